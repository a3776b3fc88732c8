#include "passes/Passes.h"

#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_CONVERTAPPROXTOCALLS
#include "passes/Passes.h.inc"

namespace {
constexpr StringLiteral kBlock = "approx.block";

/// The arith op that an exact approx op stands for.
Operation *createExact(OpBuilder &b, approx::ArithmeticOpInterface op) {
  Location loc = op.getLoc();
  Value lhs = op->getOperand(0), rhs = op->getOperand(1);
  return TypeSwitch<Operation *, Operation *>(op)
      .Case<approx::AddFOp>([&](auto) { return arith::AddFOp::create(b, loc, lhs, rhs); })
      .Case<approx::SubFOp>([&](auto) { return arith::SubFOp::create(b, loc, lhs, rhs); })
      .Case<approx::MulFOp>([&](auto) { return arith::MulFOp::create(b, loc, lhs, rhs); })
      .Case<approx::DivFOp>([&](auto) { return arith::DivFOp::create(b, loc, lhs, rhs); })
      .Case<approx::MaxFOp>([&](auto) { return arith::MaximumFOp::create(b, loc, lhs, rhs); })
      .Case<approx::MinFOp>([&](auto) { return arith::MinimumFOp::create(b, loc, lhs, rhs); });
}

struct ConvertApproxToCalls : impl::ConvertApproxToCallsBase<ConvertApproxToCalls> {
  using Base::Base;

  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    IRRewriter rewriter(&getContext());
    bool keepsOps = false;
    WalkResult result = getOperation().walk([&](approx::ArithmeticOpInterface op) {
      if (FlatSymbolRefAttr block = keepBlocks ? getBlock(symbols, op) : FlatSymbolRefAttr()) {
        op->setAttr(kBlock, block); // counts as a use, which the instance's number does not
        keepsOps = true;
        return WalkResult::advance();
      }
      rewriter.setInsertionPoint(op);
      Operation *replacement = op.getInstance() ? createCall(rewriter, symbols, op)
                                                : createExact(rewriter, op);
      if (!replacement)
        return WalkResult::interrupt();
      replacement->setDiscardableAttrs(op->getDiscardableAttrDictionary());
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
    return model ? model->getAttrOfType<FlatSymbolRefAttr>(kBlock) : FlatSymbolRefAttr();
  }

  /// The call of the instance's model; null, with an error, if it cannot be called.
  Operation *createCall(OpBuilder &b, SymbolTable &symbols, approx::ArithmeticOpInterface op) {
    Type type = op->getResult(0).getType();
    if (!type.isF32()) {
      InFlightDiagnostic diag = op->emitError();
      diag << "bound '" << op->getName() << "' on " << type
           << " cannot be a call, which takes f32";
      if (isa<ShapedType>(type))
        diag << "; run 'convert-elementwise-to-linalg' first and vectorise after inlining";
      return nullptr;
    }
    std::string name = modelName(op);
    FunctionType modelType = b.getFunctionType({type, type}, {type});
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
    if (!model || model.getFunctionType() != modelType) {
      InFlightDiagnostic diag = symbol->emitError("symbol '")
                                << name << "' must be a function of type " << modelType;
      if (model)
        diag << ", got " << model.getFunctionType();
      return nullptr;
    }
    return func::CallOp::create(b, op.getLoc(), model, op->getOperands());
  }
};
} // namespace
} // namespace asnet
