#include "dialects/approx/Approx.h"

#include "mlir/Transforms/InliningUtils.h"

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

ArrayRef<StringRef> asnet::approx::getOpKinds() {
  static const StringRef kinds[] = {AddFOp::getOpKind(), SubFOp::getOpKind(), MulFOp::getOpKind(),
                                    DivFOp::getOpKind(), MaxFOp::getOpKind(), MinFOp::getOpKind()};
  return kinds;
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
