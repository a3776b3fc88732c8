// SPDX-License-Identifier: Apache-2.0
// What is said of a layer's name: about the layer and all that is inside it.

#ifndef DIALECTS_APPROX_LAYERS_H
#define DIALECTS_APPROX_LAYERS_H

#include "llvm/ADT/StringRef.h"

namespace asnet::approx {

/// Whether a layer is `scope` or inside it, as `a/b` is inside `a`; all are inside the empty one.
inline bool isWithin(llvm::StringRef layer, llvm::StringRef scope) {
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
