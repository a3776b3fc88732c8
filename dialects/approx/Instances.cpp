// SPDX-License-Identifier: Apache-2.0
#include "dialects/approx/Instances.h"

using namespace mlir;
using namespace asnet::approx;

StringRef asnet::approx::getFormat(CoreOp core) {
  if (std::optional<StringRef> format = core.getFormat())
    return *format;
  return lookupOpKind(core.getOp())->isFloat ? StringRef(kF32.name) : StringRef();
}

bool asnet::approx::computesOn(StringRef own, ArithmeticOpInterface op) {
  std::string format = op.getOperandFormat().getName();
  if (own.empty() || own == format)
    return true;
  bool isModular = isa<AddIOp, SubIOp>(op) &&
                   op->getOperand(0).getType() == op->getResult(0).getType();
  return isModular && own.drop_front() == StringRef(format).drop_front();
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
