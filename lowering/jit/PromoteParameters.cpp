// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "mlir/IR/Builders.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_PROMOTEPARAMETERS
#include "lowering/Lowering.h.inc"

namespace {

/// A model's constants that its caller shall supply.
struct PromotedModel {
  func::FuncOp function;
  SmallVector<arith::ConstantOp> constants;
};

/// Makes each constant an argument of its function, after the operands.
void makeArguments(PromotedModel &model, Type type) {
  for (arith::ConstantOp constant : model.constants) {
    unsigned position = model.function.getNumArguments();
    (void)model.function.insertArgument(position, type, {}, constant.getLoc());
    constant.replaceAllUsesWith(model.function.getArgument(position));
    constant.erase();
  }
}

struct PromoteParameters : impl::PromoteParametersBase<PromoteParameters> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto main = module.lookupSymbol<func::FuncOp>("main");
    if (!main || main.isExternal()) {
      module.emitError("lacks the function 'main' that would take the parameters");
      return signalPassFailure();
    }
    Type i32 = IntegerType::get(&getContext(), 32);
    SmallVector<PromotedModel> models;
    int64_t count = 0;
    for (auto function : module.getOps<func::FuncOp>()) {
      PromotedModel model{function, {}};
      for (auto constant : function.getOps<arith::ConstantOp>()) {
        if (!constant->hasAttr(approx::kParameterAttrName))
          continue;
        if (constant.getType() != i32) {
          constant.emitOpError("is marked 'approx.parameter' but is not of type i32");
          return signalPassFailure();
        }
        model.constants.push_back(constant);
      }
      count += model.constants.size();
      if (!model.constants.empty())
        models.push_back(std::move(model));
    }

    // The caller reads each parameter once, outside every loop; bodies capture the values.
    Location loc = main.getLoc();
    auto type = MemRefType::get({count}, i32);
    unsigned position = main.getNumArguments();
    auto attributes = DictionaryAttr::get(
        &getContext(), {NamedAttribute(StringAttr::get(&getContext(), approx::kParametersAttrName),
                                       UnitAttr::get(&getContext()))});
    if (failed(main.insertArgument(position, type, attributes, loc))) {
      main.emitError("cannot take the parameters");
      return signalPassFailure();
    }
    OpBuilder builder = OpBuilder::atBlockBegin(&main.getBody().front());
    int64_t next = 0;
    for (PromotedModel &model : models) {
      SmallVector<Value> values;
      for (size_t i = 0; i < model.constants.size(); ++i) {
        Value index = arith::ConstantIndexOp::create(builder, loc, next++);
        values.push_back(memref::LoadOp::create(builder, loc, main.getArgument(position), index));
      }
      makeArguments(model, i32);
      auto uses = SymbolTable::getSymbolUses(model.function, module);
      for (SymbolTable::SymbolUse use : *uses) {
        auto call = dyn_cast<func::CallOp>(use.getUser());
        if (!call || call->getParentOfType<func::FuncOp>() != main) {
          use.getUser()->emitOpError("uses a model with parameters outside of 'main'");
          return signalPassFailure();
        }
        call.getOperandsMutable().append(values);
      }
    }
  }
};
} // namespace
} // namespace asnet
