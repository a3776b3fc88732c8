// SPDX-License-Identifier: Apache-2.0
#include "lowering/schedule/Engines.h"

#include "lowering/schedule/Schedule.h"

#include "mlir/Dialect/Affine/Analysis/AffineStructures.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace asnet {

namespace {
/// Longer bodies, such as an exponential, cost a core for each of their operations; the sequential
/// machine computes them with one of each kind.
constexpr unsigned kMostUnits = 4, kMostPlain = 6;
} // namespace

Value skipReshapes(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

std::optional<SmallVector<int64_t>> linearCoefficients(AffineExpr expr, unsigned numDims) {
  SmallVector<int64_t> flat;
  if (failed(getFlattenedAffineExpr(expr, numDims, 0, &flat)) || flat.size() != numDims + 1)
    return std::nullopt;
  return flat;
}

AffineExpr linearPosition(AffineMap map, ShapedType type) {
  AffineExpr position = getAffineConstantExpr(0, map.getContext());
  int64_t stride = type.getNumElements();
  for (auto [expr, size] : llvm::zip_equal(map.getResults(), type.getShape())) {
    stride /= size;
    position = position + expr * stride;
  }
  return simplifyAffineExpr(position, map.getNumDims(), 0);
}

std::optional<uint32_t> constantWord(Value value) {
  auto constant = value.getDefiningOp<arith::ConstantOp>();
  return constant && isFloatWord(constant.getType()) ? wordOf(constant) : std::nullopt;
}

std::string plainName(Operation *op) {
  bool isFloat = isa<arith::CmpFOp>(op) || (isa<arith::NegFOp, arith::SelectOp>(op) &&
                                            isFloatWord(op->getResult(0).getType()));
  return isFloat ? plainFunction(op) : "";
}

int64_t countSteps(linalg::GenericOp op) {
  int64_t steps = 1;
  for (int64_t range : op.getStaticLoopRanges())
    steps *= range;
  return steps;
}

OpOperand *findChained(linalg::GenericOp op, Value result) {
  OpOperand *found = nullptr;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    if (skipReshapes(operand->get()) != result)
      continue;
    if (found || !op.getMatchingIndexingMap(operand).isIdentity())
      return nullptr;
    found = operand;
  }
  if (!found || op.getNumReductionLoops() != 0 || op.getNumResults() != 1 ||
      !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isIdentity())
    return nullptr;
  // Nobody else sees the elements in between.
  for (Value value = found->get();; value = value.getDefiningOp()->getOperand(0)) {
    if (!value.hasOneUse())
      return nullptr;
    if (value == result)
      return found;
  }
}

bool isEngineOp(linalg::GenericOp op, std::string &reason) {
  auto no = [&](const Twine &why) {
    reason = why.str();
    return false;
  };
  if (op.getNumResults() != 1 || op.getNumDpsInits() != 1)
    return no("has several results");
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  for (int64_t range : ranges)
    if (ShapedType::isDynamic(range) || range == 0)
      return no("has a dynamic or empty dimension");
  if (op.hasIndexSemantics())
    return no("computes with indices");
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<RankedTensorType>(operand.get().getType());
    if (op.getMatchingBlockArgument(&operand).use_empty() && op.isDpsInput(&operand))
      continue;
    if (!type) {
      if (!constantWord(operand.get()))
        return no("has a scalar operand that is no constant");
      continue;
    }
    if (!type.hasStaticShape() || !isFloatWord(type.getElementType()))
      return no("has operands other than " + kWordFormat.name + " of static shape");
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!linearCoefficients(linearPosition(map, type), map.getNumDims()))
      return no("has an index that is not linear");
  }
  OpOperand *init = op.getDpsInitOperand(0);
  AffineMap output = op.getMatchingIndexingMap(init);
  BlockArgument accumulator = op.getMatchingBlockArgument(init);
  bool isReduction = op.getNumReductionLoops() != 0;
  if (!output.isProjectedPermutation() ||
      output.getNumResults() + op.getNumReductionLoops() != ranges.size())
    return no("writes its result in another way than element by element");
  unsigned units = 0, plain = 0;
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (isa<arith::ConstantOp>(inner))
      continue;
    if (inner.getName().getDialectNamespace() == "approx")
      ++units;
    else if (!plainName(&inner).empty())
      ++plain;
    else
      return no("computes '" + inner.getName().getStringRef() + "'");
    for (Value operand : inner.getOperands())
      if (operand.getParentBlock() != op.getBody() && !constantWord(operand))
        return no("uses a value from outside that is no constant");
  }
  if (units > kMostUnits || plain > kMostPlain)
    return no("has a body of " + Twine(units + plain) + " operations");
  Value yielded = op.getBody()->getTerminator()->getOperand(0);
  if (!isReduction) {
    if (!accumulator.use_empty())
      return no("reads its own result");
    return true;
  }
  Operation *last = yielded.getDefiningOp();
  if (!last || last->getBlock() != op.getBody() ||
      last->getName().getDialectNamespace() != "approx" || !accumulator.hasOneUse() ||
      *accumulator.user_begin() != last)
    return no("is no reduction of one operation on the accumulator");
  return true;
}

} // namespace asnet
