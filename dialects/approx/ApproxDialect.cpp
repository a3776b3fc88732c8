// SPDX-License-Identifier: Apache-2.0
#include "dialects/approx/Approx.h"

#include "mlir/Transforms/InliningUtils.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace asnet::approx;

#include "dialects/approx/ApproxDialect.cpp.inc"

namespace {
/// Arithmetic is pure, so that a function that holds it may be inlined anywhere.
struct ApproxInlinerInterface : DialectInlinerInterface {
  using DialectInlinerInterface::DialectInlinerInterface;

  bool isLegalToInline(Operation *op, Region *, bool, IRMapping &) const final {
    return isa<ArithmeticOpInterface>(op);
  }
};
} // namespace

void ApproxDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/approx/ApproxOps.cpp.inc"
      >();
  addInterfaces<ApproxInlinerInterface>();
}

/// The kinds of those among `Ops` that a hardware instance can compute.
template <typename... Ops> static SmallVector<const OpKind *> collectKinds() {
  SmallVector<const OpKind *> kinds;
  auto add = [&](auto *op) {
    using Op = std::remove_pointer_t<decltype(op)>;
    if constexpr (std::is_base_of_v<ArithmeticOpInterface::Trait<Op>, Op>)
      kinds.push_back(&Op::getKind());
  };
  (add(static_cast<Ops *>(nullptr)), ...);
  llvm::sort(kinds, [](const OpKind *a, const OpKind *b) { return a->order < b->order; });
  return kinds;
}

ArrayRef<const OpKind *> asnet::approx::getOpKinds() {
  static const SmallVector<const OpKind *> kinds = collectKinds<
#define GET_OP_LIST
#include "dialects/approx/ApproxOps.cpp.inc"
      >();
  return kinds;
}

const OpKind *asnet::approx::lookupOpKind(StringRef name) {
  const auto *found = llvm::find_if(getOpKinds(),
                                    [&](const OpKind *kind) { return kind->name == name; });
  return found == getOpKinds().end() ? nullptr : *found;
}

std::string asnet::approx::listOpKinds() {
  return llvm::join(
      llvm::map_range(getOpKinds(), [](const OpKind *kind) { return kind->name.str(); }), ", ");
}

StringAttr asnet::approx::getLayer(Operation *op) {
  for (; op; op = op->getParentOp())
    if (auto layer = op->getAttrOfType<StringAttr>(kLayerAttrName))
      return layer;
  return {};
}

std::string asnet::approx::decodeLayerName(StringRef text) {
  std::string name;
  uint8_t byte;
  for (size_t i = 0; i < text.size(); ++i) {
    StringRef digits = text.substr(i + 1, 2);
    if (text[i] == '%' && digits.size() == 2 && !digits.getAsInteger(16, byte)) {
      name.push_back(static_cast<char>(byte));
      i += 2;
    } else {
      name.push_back(text[i]);
    }
  }
  return name;
}
