// SPDX-License-Identifier: Apache-2.0
#include "passes/Passes.h"

#include "dialects/approx/Instances.h"

#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_CONVERTAPPROXTOCALLS
#include "passes/Passes.h.inc"

namespace {
struct ConvertApproxToCalls : impl::ConvertApproxToCallsBase<ConvertApproxToCalls> {
  using Base::Base;

  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    IRRewriter rewriter(&getContext());
    bool keepsOps = false;
    WalkResult result = getOperation().walk([&](approx::ArithmeticOpInterface op) {
      if (FlatSymbolRefAttr block = keepBlocks ? getBlock(symbols, op) : FlatSymbolRefAttr()) {
        op->setAttr(approx::kBlockAttrName,
                    block); // counts as a use, which the instance's number does not
        keepsOps = true;
        return WalkResult::advance();
      }
      rewriter.setInsertionPoint(op);
      Value replacement = op.getInstance() ? createCall(rewriter, symbols, op)
                                           : op.createExact(rewriter);
      if (!replacement)
        return WalkResult::interrupt();
      replacement.getDefiningOp()->setDiscardableAttrs(op->getDiscardableAttrDictionary());
      rewriter.replaceOp(op, replacement);
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      return signalPassFailure();
    if (!keepLibrary && !keepsOps)
      for (auto library : llvm::make_early_inc_range(getOperation().getOps<approx::LibraryOp>()))
        library.erase();
  }

private:
  static std::string modelName(approx::ArithmeticOpInterface op) {
    return ("approx_core_" + Twine(*op.getInstance())).str();
  }

  /// The function over arrays of the op's model, if it has one.
  static FlatSymbolRefAttr getBlock(SymbolTable &symbols, approx::ArithmeticOpInterface op) {
    Operation *model = op.getInstance() ? symbols.lookup(modelName(op)) : nullptr;
    return model ? model->getAttrOfType<FlatSymbolRefAttr>(approx::kBlockAttrName)
                 : FlatSymbolRefAttr();
  }

  /// Whether a core gives more bits than an op of integers has: the op is modulo 2 to its own width.
  static bool isGivenWider(FunctionType model, Type operand, Type result) {
    return isa<IntegerType>(result) && model.getNumInputs() == 2 && model.getNumResults() == 1 &&
           llvm::all_of(model.getInputs(), [&](Type type) { return type == operand; }) &&
           isa<IntegerType>(model.getResult(0)) &&
           model.getResult(0).getIntOrFloatBitWidth() > result.getIntOrFloatBitWidth();
  }

  /// The call of the instance's model; null, with an error, if it cannot be called.
  Value createCall(OpBuilder &b, SymbolTable &symbols, approx::ArithmeticOpInterface op) {
    Type operand = op->getOperand(0).getType(), result = op->getResult(0).getType();
    if (isa<ShapedType>(operand)) {
      op->emitError() << "bound '" << op->getName() << "' on " << operand
                      << " cannot be a call, which takes scalars; run "
                         "'convert-elementwise-to-linalg' first and vectorise after inlining";
      return nullptr;
    }
    std::string name = modelName(op);
    FunctionType modelType = b.getFunctionType({operand, operand}, {result});
    Operation *symbol = symbols.lookup(name);
    if (!symbol) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(getOperation().getBody());
      auto model = func::FuncOp::create(b, op.getLoc(), name, modelType);
      model.setPrivate();
      symbols.insert(model);
      symbol = model;
    }
    auto model = dyn_cast<func::FuncOp>(symbol);
    Location loc = op.getLoc();
    auto bits = [&](Type type) -> Type { return b.getIntegerType(type.getIntOrFloatBitWidth()); };
    if (model && isa<FloatType>(operand) &&
        model.getFunctionType() ==
            b.getFunctionType({bits(operand), bits(operand)}, {bits(result)})) {
      Value lhs = approx::createBits(b, loc, op->getOperand(0));
      Value rhs = approx::createBits(b, loc, op->getOperand(1));
      auto call = func::CallOp::create(b, loc, model, ValueRange{lhs, rhs});
      return arith::BitcastOp::create(b, loc, result, call.getResult(0));
    }
    if (model && isGivenWider(model.getFunctionType(), operand, result)) {
      Value given = func::CallOp::create(b, loc, model, op->getOperands()).getResult(0);
      return arith::TruncIOp::create(b, loc, result, given);
    }
    if (!model || model.getFunctionType() != modelType) {
      InFlightDiagnostic diag = symbol->emitError("symbol '")
                                << name << "' must be a function of type " << modelType;
      if (model)
        diag << ", got " << model.getFunctionType();
      return nullptr;
    }
    return func::CallOp::create(b, loc, model, op->getOperands()).getResult(0);
  }
};
} // namespace
} // namespace asnet
