// SPDX-License-Identifier: Apache-2.0
#include "dialects/approx/Instances.h"

using namespace mlir;
using namespace asnet::approx;

StringRef asnet::approx::getFormat(CoreOp core) {
  if (std::optional<StringRef> format = core.getFormat())
    return *format;
  return lookupOpKind(core.getOp())->isFloat ? StringRef(kF32.name) : StringRef();
}

Value asnet::approx::createBits(OpBuilder &builder, Location loc, Value value) {
  Type type = value.getType();
  const FloatFormat *format = getFloatFormat(getElementTypeOrSelf(type));
  Type bits = builder.getIntegerType(format->getWidth());
  TypedAttr canonical = builder.getIntegerAttr(bits, format->getCanonicalNan());
  if (auto shaped = dyn_cast<ShapedType>(type)) {
    bits = shaped.clone(bits);
    canonical = DenseElementsAttr::get(cast<ShapedType>(bits), cast<Attribute>(canonical));
  }
  Value isNan = arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::UNO, value, value);
  Value nan = arith::ConstantOp::create(builder, loc, canonical);
  Value own = arith::BitcastOp::create(builder, loc, bits, value);
  return arith::SelectOp::create(builder, loc, isNan, nan, own);
}
