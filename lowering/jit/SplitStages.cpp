// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_SPLITSTAGES
#include "lowering/Lowering.h.inc"

namespace {

/// Consecutive ops of one layer.
struct Stage {
  StringAttr layer;
  SetVector<Operation *> ops;
};

class Splitter {
public:
  explicit Splitter(func::FuncOp main) : main(main), b(main.getContext()) {}

  LogicalResult run() {
    if (!main.getBody().hasOneBlock())
      return main.emitError("has several blocks; expected straight-line code");
    findVarying();
    Operation *terminator = main.getBody().front().getTerminator();
    for (Value result : terminator->getOperands())
      if (!varying.contains(result))
        return main.emitError("returns a value that does not depend on the input");
    formStages();
    for (auto [number, argument] : llvm::enumerate(inputs))
      numbers[argument] = number;
    SmallVector<func::CallOp> calls;
    b.setInsertionPoint(terminator);
    for (auto [index, stage] : llvm::enumerate(stages))
      emit(index, stage);
    for (OpOperand &result : terminator->getOpOperands())
      result.set(called.lookupOrDefault(result.get()));
    for (auto [number, argument] : llvm::enumerate(inputs))
      main.setArgAttr(cast<BlockArgument>(argument).getArgNumber(), approx::kValueAttrName,
                      b.getI64IntegerAttr(number));
    for (auto [position, result] : llvm::enumerate(terminator->getOperands()))
      main.setResultAttr(position, approx::kValueAttrName,
                         b.getI64IntegerAttr(numbersOfCalled.lookup(result)));
    // From the last to the first, so that uses are gone before definitions.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(main.getBody().front())))
      if (&op != terminator && !isa<func::CallOp>(op) && op.use_empty())
        op.erase();
    return success();
  }

private:
  void findVarying() {
    for (BlockArgument argument : main.getArguments())
      if (!main.getArgAttr(argument.getArgNumber(), approx::kWeightAttrName)) {
        inputs.push_back(argument);
        varying.insert(argument);
      }
    for (Operation &op : main.getBody().front()) {
      bool depends = false;
      op.walk([&](Operation *nested) {
        depends |= llvm::any_of(nested->getOperands(),
                                [&](Value operand) { return varying.contains(operand); });
      });
      if (depends)
        varying.insert(op.result_begin(), op.result_end());
    }
  }

  void formStages() {
    for (Operation &op : main.getBody().front().without_terminator()) {
      if (llvm::none_of(op.getResults(), [&](Value result) { return varying.contains(result); }))
        continue; // computed in the stages that need it
      auto layer = op.getAttrOfType<StringAttr>(approx::kLayerAttrName);
      // What moves data between layers, such as a reshape, carries no name.
      if (stages.empty() || op.hasAttr(approx::kCutAttrName) ||
          (layer && stages.back().layer && layer != stages.back().layer))
        stages.push_back({layer, {}});
      if (!stages.back().layer)
        stages.back().layer = layer;
      stages.back().ops.insert(&op);
    }
  }

  /// Adds what `op` needs of code that does not depend on the input.
  void addUniform(Operation *op, SetVector<Operation *> &ops) {
    op->walk([&](Operation *nested) {
      for (Value operand : nested->getOperands())
        if (Operation *def = operand.getDefiningOp(); def &&
                                                      def->getBlock() == &main.getBody().front() &&
                                                      !varying.contains(operand) && ops.insert(def))
          addUniform(def, ops);
    });
  }

  void emit(size_t index, Stage &stage) {
    SetVector<Operation *> ops = stage.ops;
    for (Operation *op : stage.ops)
      addUniform(op, ops);
    ops = topologicalSort(ops);

    SetVector<Value> arguments, results;
    for (Operation *op : ops) {
      op->walk([&](Operation *nested) {
        for (Value operand : nested->getOperands()) {
          Operation *def = operand.getDefiningOp();
          bool isOutside = def ? def->getBlock() == op->getBlock() && !ops.contains(def)
                               : cast<BlockArgument>(operand).getOwner() == op->getBlock();
          if (isOutside)
            arguments.insert(operand);
        }
      });
      for (Value result : op->getResults())
        if (varying.contains(result) && llvm::any_of(result.getUsers(), [&](Operation *user) {
              return !ops.contains(op->getBlock()->findAncestorOpInBlock(*user));
            }))
          results.insert(result);
    }
    // Varying values first: the code that calls a stage treats them apart.
    SmallVector<Value> sorted(arguments.getArrayRef());
    llvm::stable_sort(sorted, [&](Value left, Value right) {
      return varying.contains(left) && !varying.contains(right);
    });

    Location loc = main.getLoc();
    auto type = b.getFunctionType(ValueRange(sorted).getTypes(),
                                  ValueRange(results.getArrayRef()).getTypes());
    auto function = func::FuncOp::create(loc, ("stage_" + Twine(index)).str(), type);
    if (stage.layer)
      // Not `approx.layer`: that would name the ops inside that have no layer.
      function->setAttr(approx::kStageAttrName, stage.layer);
    main->getParentOfType<ModuleOp>().insert(main, function);
    Block *body = function.addEntryBlock();
    IRMapping mapping;
    for (auto [position, argument] : llvm::enumerate(sorted)) {
      mapping.map(argument, body->getArgument(position));
      if (varying.contains(argument))
        function.setArgAttr(position, approx::kValueAttrName,
                            b.getI64IntegerAttr(numbers.lookup(argument)));
      else
        function.setArgAttr(
            position, approx::kWeightAttrName,
            main.getArgAttr(cast<BlockArgument>(argument).getArgNumber(), approx::kWeightAttrName));
    }
    OpBuilder inside = OpBuilder::atBlockEnd(body);
    for (Operation *op : ops)
      inside.clone(*op, mapping)->removeDiscardableAttr(approx::kCutAttrName);
    SmallVector<Value> returned;
    for (Value result : results)
      returned.push_back(mapping.lookup(result));
    func::ReturnOp::create(inside, loc, returned);

    SmallVector<Value> operands;
    for (Value argument : sorted)
      operands.push_back(called.lookupOrDefault(argument));
    auto call = func::CallOp::create(b, loc, function, operands);
    for (auto [position, result] : llvm::enumerate(results)) {
      int64_t number = inputs.size() + values++;
      numbers[result] = number;
      numbersOfCalled[call.getResult(position)] = number;
      called.map(result, call.getResult(position));
      function.setResultAttr(position, approx::kValueAttrName, b.getI64IntegerAttr(number));
    }
  }

  func::FuncOp main;
  OpBuilder b;
  DenseSet<Value> varying;
  SmallVector<Value> inputs;
  SmallVector<Stage> stages;
  DenseMap<Value, int64_t> numbers, numbersOfCalled;
  IRMapping called;
  int64_t values = 0;
};

struct SplitStages : impl::SplitStagesBase<SplitStages> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main || main.isExternal()) {
      getOperation().emitError("lacks the function 'main' to split");
      return signalPassFailure();
    }
    if (failed(Splitter(main).run()))
      signalPassFailure();
  }
};
} // namespace
} // namespace asnet
