// SPDX-License-Identifier: Apache-2.0
// What is said of a layer's name: about the layer and all that is inside it.

#ifndef DIALECTS_APPROX_LAYERS_H
#define DIALECTS_APPROX_LAYERS_H

#include "llvm/ADT/StringRef.h"

#include <optional>
#include <utility>

namespace asnet::approx {

/// A layer's name without the channels that its end says, and these: `conv/[0:8]` (SplitChannels.cpp);
/// none where it says none.
inline std::pair<llvm::StringRef, std::optional<std::pair<uint64_t, uint64_t>>>
splitChannels(llvm::StringRef name) {
  size_t slash = name.rfind("/[");
  if (slash == llvm::StringRef::npos || !name.ends_with("]"))
    return {name, std::nullopt};
  auto [first, last] = name.drop_front(slash + 2).drop_back().split(':');
  uint64_t begin, end;
  if (first.getAsInteger(10, begin) || last.getAsInteger(10, end))
    return {name, std::nullopt};
  return {name.take_front(slash), std::pair(begin, end)};
}

/// Whether a layer is `scope` or inside it, as `a/b` is inside `a` and channels are inside of more
/// channels; all are inside the empty one.
inline bool isWithin(llvm::StringRef layer, llvm::StringRef scope) {
  if (auto [base, channels] = splitChannels(scope); channels) {
    auto [own, some] = splitChannels(layer);
    return some && channels->first <= some->first && some->second <= channels->second &&
           isWithin(own, base);
  }
  return scope.empty() || layer == scope ||
         (layer.starts_with(scope) && layer[scope.size()] == '/');
}

/// Of entries whose scopes a layer is within, the one that decides about it: that of the longest
/// scope; null where there are none.
template <typename Entries, typename ScopeOf>
auto mostSpecific(Entries &&entries, ScopeOf &&scopeOf) -> decltype(&*entries.begin()) {
  decltype(&*entries.begin()) best = nullptr;
  for (auto &entry : entries)
    if (!best || scopeOf(entry).size() > scopeOf(*best).size())
      best = &entry;
  return best;
}

} // namespace asnet::approx

#endif // DIALECTS_APPROX_LAYERS_H
