// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"
#include "lowering/schedule/Words.h"
#include "passes/ExpandMath.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_WIDENINTEGERS
#include "lowering/Lowering.h.inc"

namespace {
bool isNarrow(Type type) {
  Type element = getElementTypeOrSelf(type);
  return element.isInteger() && element.getIntOrFloatBitWidth() > 1 &&
         element.getIntOrFloatBitWidth() < kWordBits;
}

Type widen(Type type) {
  if (!isNarrow(type))
    return type;
  Type word = IntegerType::get(type.getContext(), kWordBits);
  if (auto tensor = dyn_cast<RankedTensorType>(type))
    return tensor.clone(word);
  return word;
}

/// An op, and the bits that elements of its operands and results had: values change their types one
/// after the other.
struct Noted {
  Operation *op;
  SmallVector<unsigned> operands, results;
  bool isNarrow = false;
};

SmallVector<unsigned> bitsOf(TypeRange types) {
  return llvm::map_to_vector(types, [](Type type) {
    Type element = getElementTypeOrSelf(type);
    return element.isIntOrFloat() ? element.getIntOrFloatBitWidth() : 0;
  });
}

Noted noted(Operation *op) {
  Noted note{op, bitsOf(op->getOperandTypes()), bitsOf(op->getResultTypes())};
  note.isNarrow = llvm::any_of(op->getOperandTypes(), isNarrow) ||
                  llvm::any_of(op->getResultTypes(), isNarrow);
  for (Region &region : op->getRegions())
    for (Block &block : region)
      note.isNarrow |= llvm::any_of(block.getArgumentTypes(), isNarrow);
  return note;
}

/// Builds words; `low` keeps the bits of a number, `extended` reads it with its sign.
struct Words {
  OpBuilder builder;
  ElementwiseBuilder b;
  explicit Words(Operation *op) : builder(op), b(builder, op->getLoc(), builder.getF32Type()) {}

  Value low(Value word, unsigned bits) {
    return bits < kWordBits ? b.andi(word, b.i32((uint32_t(1) << bits) - 1)) : word;
  }
  Value extended(Value word, unsigned bits) {
    if (bits >= kWordBits)
      return word;
    Value amount = b.i32(kWordBits - bits);
    return b.shrsi(b.shli(word, amount), amount);
  }
};

/// Lets everybody use the low bits of a word instead.
void keepLow(OpBuilder &builder, Value word, unsigned bits) {
  ElementwiseBuilder b(builder, word.getLoc(), builder.getF32Type());
  Value mask = b.i32((uint32_t(1) << bits) - 1);
  Value kept = b.andi(word, mask);
  word.replaceAllUsesExcept(kept, kept.getDefiningOp());
}

LogicalResult refuse(Operation *op) {
  SmallVector<Type> types(op->getOperandTypes());
  llvm::append_range(types, op->getResultTypes());
  for (Type type : types)
    if (isa<FloatType>(type) && !isFloatWord(type))
      return op->emitError() << "'" << op->getName() << "' has no hardware: there are numbers of "
                             << kWordFormat.name << " and integers only, not of " << type
                             << "; leave out the conversion to it";
  return op->emitError() << "'" << op->getName() << "' of integers of fewer than " << kWordBits
                         << " bits has no hardware; compute it in " << kWordBits << " bits";
}

bool isSignedOrder(arith::CmpIPredicate predicate) {
  using arith::CmpIPredicate;
  return predicate == CmpIPredicate::slt || predicate == CmpIPredicate::sle ||
         predicate == CmpIPredicate::sgt || predicate == CmpIPredicate::sge;
}

/// Arithmetic on numbers, whose operands are words by now.
LogicalResult rewriteArithmetic(const Noted &note) {
  Operation *op = note.op;
  Words words(op);
  ElementwiseBuilder &b = words.b;
  unsigned bits = note.results.front();
  if (bits > kWordBits)
    return op->emitError() << "'" << op->getName() << "' gives integers of " << bits
                           << " bits, and hardware has words of " << kWordBits
                           << "; leave out what computes in more";
  auto in = [&](unsigned i) { return op->getOperand(i); };
  auto extended = [&](unsigned i) { return words.extended(in(i), note.operands[i]); };
  Value made =
      llvm::TypeSwitch<Operation *, Value>(op)
          .Case<arith::ExtUIOp>([&](auto) {
            return note.operands[0] > 1
                       ? in(0)
                       : arith::ExtUIOp::create(words.builder, op->getLoc(),
                                                words.builder.getIntegerType(kWordBits), in(0))
                             .getResult();
          })
          .Case<arith::ExtSIOp>([&](auto) {
            Value wide = note.operands[0] > 1 ? extended(0)
                                              : b.select(in(0), b.i32(~uint32_t(0)), b.i32(0));
            return words.low(wide, bits);
          })
          .Case<arith::TruncIOp>([&](auto) { return bits > 1 ? words.low(in(0), bits) : Value(); })
          .Case<arith::ShRSIOp>([&](auto) { return words.low(b.shrsi(extended(0), in(1)), bits); })
          .Case<arith::MaxSIOp>(
              [&](auto) { return words.low(b.maxsi(extended(0), extended(1)), bits); })
          .Case<arith::MinSIOp>(
              [&](auto) { return words.low(b.minsi(extended(0), extended(1)), bits); })
          .Case<arith::IndexCastOp>([&](auto cast) {
            return arith::IndexCastOp::create(words.builder, op->getLoc(), cast.getType(),
                                              extended(0))
                .getResult();
          })
          .Case<arith::IndexCastUIOp>([&](auto cast) {
            return arith::IndexCastUIOp::create(words.builder, op->getLoc(), cast.getType(),
                                                words.low(in(0), note.operands[0]))
                .getResult();
          })
          .Case<arith::SIToFPOp>(
              [&](auto) { return b.integerToFloat(extended(0), kWordBits, true); })
          .Case<arith::UIToFPOp>([&](auto) { return b.integerToFloat(in(0), kWordBits, false); })
          .Case<arith::CmpIOp>([&](auto compare) {
            bool isSigned = isSignedOrder(compare.getPredicate());
            return isSigned ? b.cmpi(compare.getPredicate(), extended(0), extended(1)) : Value();
          })
          .Default([](auto) { return Value(); });
  if (made) {
    op->getResult(0).replaceAllUsesWith(made);
    op->erase();
    return success();
  }
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    APInt value = cast<IntegerAttr>(constant.getValue()).getValue();
    constant.setValueAttr(words.builder.getIntegerAttr(words.builder.getIntegerType(kWordBits),
                                                       value.zextOrTrunc(kWordBits)));
  } else if (!isa<arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::ShLIOp, arith::AndIOp,
                  arith::OrIOp, arith::XOrIOp, arith::ShRUIOp, arith::MaxUIOp, arith::MinUIOp,
                  arith::SelectOp, arith::CmpIOp, arith::TruncIOp>(op)) {
    return refuse(op);
  }
  Value result = op->getResult(0);
  result.setType(widen(result.getType()));
  // What can carry beyond the number's bits.
  if (isa<arith::AddIOp, arith::SubIOp, arith::MulIOp, arith::ShLIOp>(op)) {
    words.builder.setInsertionPointAfter(op);
    keepLow(words.builder, result, bits);
  }
  return success();
}

struct WidenIntegers : impl::WidenIntegersBase<WidenIntegers> {
  void runOnOperation() override {
    func::FuncOp func = getOperation();
    SmallVector<Noted> ops;
    func.walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (op != func && noted(op).isNarrow)
        ops.push_back(noted(op));
    });
    for (BlockArgument argument : func.getArguments())
      argument.setType(widen(argument.getType()));
    func.setType(FunctionType::get(func.getContext(),
                                   llvm::map_to_vector(func.getArgumentTypes(), widen),
                                   llvm::map_to_vector(func.getResultTypes(), widen)));
    for (const Noted &note : ops)
      if (failed(rewrite(note)))
        return signalPassFailure();
  }

private:
  LogicalResult rewrite(const Noted &note) {
    Operation *op = note.op;
    bool isTensor = llvm::any_of(op->getResultTypes(), llvm::IsaPred<RankedTensorType>);
    if (op->getName().getDialectNamespace() == "arith" && !isTensor)
      return rewriteArithmetic(note);
    if (!isa<linalg::LinalgOp, linalg::YieldOp, tensor::EmptyOp, tensor::ExtractOp,
             tensor::InsertSliceOp, tensor::ExtractSliceOp, tensor::ExpandShapeOp,
             tensor::CollapseShapeOp, tensor::PadOp, tensor::YieldOp, arith::ConstantOp, scf::ForOp,
             scf::YieldOp, func::ReturnOp>(op))
      return refuse(op);
    rewriteMovement(note);
    return success();
  }

  bool isInput(Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && argument.getOwner() == &getOperation().front() &&
           !getOperation().getArgAttr(argument.getArgNumber(), approx::kWeightAttrName);
  }

  /// Tensors, whose elements become words.
  void rewriteMovement(const Noted &note) {
    Operation *op = note.op;
    for (Region &region : op->getRegions())
      for (Block &block : region)
        for (BlockArgument argument : block.getArguments())
          argument.setType(widen(argument.getType()));
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      auto elements = cast<DenseElementsAttr>(constant.getValue());
      constant.setValueAttr(
          elements.mapValues(IntegerType::get(op->getContext(), kWordBits),
                             [](const APInt &value) { return value.zext(kWordBits); }));
    }
    for (Value result : op->getResults())
      result.setType(widen(result.getType()));
    // Nobody says what is above a number of the input.
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (!generic)
      return;
    for (OpOperand &operand : op->getOpOperands()) {
      BlockArgument argument = generic.getMatchingBlockArgument(&operand);
      unsigned bits = note.operands[operand.getOperandNumber()];
      if (!isInput(operand.get()) || bits >= kWordBits || argument.use_empty())
        continue;
      OpBuilder builder = OpBuilder::atBlockBegin(generic.getBody());
      keepLow(builder, argument, bits);
    }
  }
};
} // namespace
} // namespace asnet
