// SPDX-License-Identifier: Apache-2.0
#include "passes/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_CONVERTARITHTOAPPROX
#include "passes/Passes.h.inc"

namespace {
constexpr StringLiteral kSupported =
    "arith.{addf,subf,mulf,divf,maximumf,minimumf} on f32, bf16 or "
    "f16 and what approx-expand-math expands";

/// The kind of float ops whose exact op this is, or null.
const approx::OpKind *getKind(Operation *op) {
  StringRef name = op->getName().getStringRef();
  for (const approx::OpKind *kind : approx::getOpKinds())
    if (kind->isFloat && kind->exact == name)
      return kind;
  return nullptr;
}

bool isFloat(Type type) {
  Type element = getElementTypeOrSelf(type);
  return isa<FloatType, ComplexType>(element);
}

bool touchesFloats(Operation *op) {
  return llvm::any_of(op->getOperandTypes(), isFloat) ||
         llvm::any_of(op->getResultTypes(), isFloat);
}

/// Emit `'op' what (layer 'name')`.
InFlightDiagnostic reject(Operation *op, const Twine &what) {
  InFlightDiagnostic diag = op->emitError();
  diag << "'" << op->getName() << "' " << what;
  if (StringAttr layer = approx::getLayer(op))
    diag << " (layer '" << layer.getValue() << "')";
  return diag;
}

/// Whether a conversion from an integer of this width can never round.
bool isExactFromInteger(Operation *op) {
  if (!isa<arith::SIToFPOp, arith::UIToFPOp>(op))
    return false;
  const approx::FloatFormat *format =
      approx::getFloatFormat(getElementTypeOrSelf(op->getResult(0).getType()));
  return format && getElementTypeOrSelf(op->getOperand(0).getType()).getIntOrFloatBitWidth() <=
                       format->fractionBits + 1;
}

/// Dialects whose ops move, compare or hold floats but do not compute them.
bool isDataMovement(Operation *op) {
  static constexpr StringLiteral dialects[] = {
      "builtin",       "func",   "cf",     "scf",    "affine",    "memref",
      "bufferization", "tensor", "linalg", "approx", "ml_program"};
  return llvm::is_contained(dialects, op->getName().getDialectNamespace());
}

LogicalResult checkFastMath(Operation *op) {
  auto fastMath = dyn_cast<arith::ArithFastMathInterface>(op);
  // Where the flags are optional, the attribute may be null.
  auto attr = fastMath ? fastMath.getFastMathFlagsAttr() : arith::FastMathFlagsAttr();
  if (!attr || attr.getValue() == arith::FastMathFlags::none)
    return success();
  return reject(op, "has fast-math flags <" + arith::stringifyFastMathFlags(attr.getValue()) + ">")
         << "; expected none: they let the result's bits depend on the optimizer";
}

LogicalResult check(Operation *op) {
  if (isa<linalg::LinalgOp>(op) && !isa<linalg::GenericOp>(op)) {
    // The body of a named op is implied by its name: what is in there is not what is printed.
    bool computes = op->getRegion(0)
                        .walk([](Operation *inner) {
                          return isa<linalg::YieldOp, linalg::IndexOp>(inner)
                                     ? WalkResult::advance()
                                     : WalkResult::interrupt();
                        })
                        .wasInterrupted();
    if (computes && touchesFloats(op))
      return reject(op, "computes floats in an implied body")
             << "; run 'linalg-generalize-named-ops' first";
    return success();
  }
  // On integers as well: hardware has no such function, and the JIT not all of them.
  bool isMath = op->getName().getDialectNamespace() == "math";
  if (!isMath && (!touchesFloats(op) || isDataMovement(op)))
    return success();
  if (isa<arith::ConstantOp, arith::BitcastOp, arith::SelectOp, arith::CmpFOp, arith::NegFOp,
          arith::ExtFOp>(op) ||
      isExactFromInteger(op))
    return checkFastMath(op);
  if (getKind(op)) {
    Type element = getElementTypeOrSelf(op->getResult(0).getType());
    if (!approx::getFloatFormat(element)) {
      std::string type;
      llvm::raw_string_ostream(type) << element;
      return reject(op, "on " + type + " is not supported") << "; f32, bf16 and f16 are";
    }
    return checkFastMath(op);
  }
  return reject(op, "is not supported") << "; supported are " << kSupported;
}

/// Integers that a network multiplies and sums up: the ops by which reductions accumulate, and the
/// products that they add.  All other integers stay plain logic, which no core computes: they count,
/// address, convert, and scale sums back to codes (docs/semantics.md, section 3).
class IntegerReductions {
public:
  explicit IntegerReductions(IRRewriter &rewriter) : rewriter(rewriter) {}

  void convert(linalg::GenericOp generic) {
    if (generic.getNumReductionLoops() == 0)
      return;
    // Over memories there are no results: what is yielded stands for them.
    for (auto [number, accumulator] : llvm::enumerate(generic.getRegionOutputArgs())) {
      Operation *op = generic.getBody()->getTerminator()->getOperand(number).getDefiningOp();
      if (!op || !approx::isIntegerOfFormat(accumulator.getType()) ||
          !llvm::is_contained(op->getOperands(), accumulator))
        continue;
      if (isa<arith::AddIOp>(op))
        for (Value term : op->getOperands())
          if (auto product = term.getDefiningOp<arith::MulIOp>();
              product && product->getBlock() == generic.getBody() && product->hasOneUse())
            convertProduct(product);
      convertAccumulation(op);
    }
  }

private:
  struct Integer {
    Value value; // before it was extended
    unsigned width;
    bool isUnsigned;
  };

  static Integer narrowed(Value value) {
    Operation *op = value.getDefiningOp();
    bool isExtended = isa_and_nonnull<arith::ExtSIOp, arith::ExtUIOp>(op) &&
                      approx::isIntegerOfFormat(op->getOperand(0).getType());
    if (isExtended)
      value = op->getOperand(0);
    return {value, value.getType().getIntOrFloatBitWidth(), isExtended && isa<arith::ExtUIOp>(op)};
  }

  /// A product of integers of N bits has 2 N bits; it is widened as the accumulator wants it.
  void convertProduct(arith::MulIOp op) {
    Integer lhs = narrowed(op.getLhs()), rhs = narrowed(op.getRhs());
    unsigned width = op.getType().getIntOrFloatBitWidth();
    bool isUnsigned = lhs.isUnsigned && rhs.isUnsigned;
    // Among signed integers, one without a sign takes a bit more.
    auto needed = [&](const Integer &integer) {
      return integer.width + (integer.isUnsigned && !isUnsigned ? 1 : 0);
    };
    unsigned own = std::max(needed(lhs), needed(rhs));
    rewriter.setInsertionPoint(op);
    if (own >= width) {
      create<approx::MulIOp>(op, op.getType(), op.getLhs(), op.getRhs(), false);
      return;
    }
    Type operand = rewriter.getIntegerType(own);
    Type product = rewriter.getIntegerType(std::min(2 * own, width));
    auto extended = [&](const Integer &integer) {
      return approx::detail::extend(rewriter, integer.value, operand, integer.isUnsigned);
    };
    create<approx::MulIOp>(op, product, extended(lhs), extended(rhs), isUnsigned);
  }

  void convertAccumulation(Operation *op) {
    rewriter.setInsertionPoint(op);
    Type type = op->getResult(0).getType();
    Value lhs = op->getOperand(0), rhs = op->getOperand(1);
    if (isa<arith::AddIOp>(op))
      create<approx::AddIOp>(op, type, lhs, rhs, false);
    else if (isa<arith::MaxSIOp, arith::MaxUIOp>(op))
      create<approx::MaxIOp>(op, type, lhs, rhs, isa<arith::MaxUIOp>(op));
    else if (isa<arith::MinSIOp, arith::MinUIOp>(op))
      create<approx::MinIOp>(op, type, lhs, rhs, isa<arith::MinUIOp>(op));
  }

  /// Replaces `op` by an approx op, whose result is widened to the type of `op`.
  template <typename Op>
  void create(Operation *op, Type type, Value lhs, Value rhs, bool isUnsigned) {
    auto created = Op::create(rewriter, op->getLoc(), type, lhs, rhs, isUnsigned,
                              /*instance=*/IntegerAttr());
    created->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    rewriter.replaceOp(op, approx::detail::extend(rewriter, created.getResult(),
                                                  op->getResult(0).getType(), isUnsigned));
  }

  IRRewriter &rewriter;
};

struct ConvertArithToApprox : impl::ConvertArithToApproxBase<ConvertArithToApprox> {
  void runOnOperation() override {
    // Check first, so that a network that is rejected is rejected as it came, with all its errors.
    bool ok = true;
    getOperation()->walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (succeeded(check(op)))
        return WalkResult::advance();
      ok = false;
      return WalkResult::skip();
    });
    if (!ok)
      return signalPassFailure();

    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (getKind(op))
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    IntegerReductions integers(rewriter);
    getOperation()->walk([&](linalg::GenericOp generic) { integers.convert(generic); });
    for (Operation *op : ops) {
      rewriter.setInsertionPoint(op);
      OperationState state(op->getLoc(), getKind(op)->getOperation(), op->getOperands(),
                           op->getResultTypes());
      Operation *converted = rewriter.create(state);
      converted->setDiscardableAttrs(op->getDiscardableAttrDictionary());
      rewriter.replaceOp(op, converted);
    }
  }
};
} // namespace
} // namespace asnet
