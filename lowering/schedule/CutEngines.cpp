// SPDX-License-Identifier: Apache-2.0
#include "lowering/schedule/Engines.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_CUTENGINES
#include "lowering/Lowering.h.inc"

namespace {
/// In a layer that needs the machine anyway, shorter reductions are left to it, unless their steps,
/// of so many cycles each, would make it the slowest part of the network.
constexpr int64_t kWorthAnEngine = 1024, kMachineStep = 13;

class Cutter {
public:
  Cutter(func::FuncOp main, int64_t lanes) : main(main), lanes(lanes), builder(main.getContext()) {}

  void run() {
    sinkMovements();
    findVarying();
    for (Operation *op : varying)
      if (auto generic = dyn_cast<linalg::GenericOp>(op);
          generic && generic.getNumReductionLoops() != 0 && canBeEngine(op))
        slowest = std::max(slowest, countSteps(generic) / lanes);
    StringAttr layer;
    SmallVector<Operation *> ops;
    for (Operation &op : main.getBody().front().without_terminator()) {
      if (!varying.contains(&op))
        continue;
      auto own = op.getAttrOfType<StringAttr>(approx::kLayerAttrName);
      if (own && layer && own != layer) {
        cutLayer(ops);
        ops.clear();
        layer = {};
      }
      if (own)
        layer = own;
      ops.push_back(&op);
    }
    cutLayer(ops);
    while (cutWhereValuesLeave())
      ;
  }

private:
  enum class Part { none, padding, nest, elementwise, machine };

  void findVarying() {
    DenseSet<Value> values;
    for (BlockArgument argument : main.getArguments())
      if (!main.getArgAttr(argument.getArgNumber(), approx::kWeightAttrName))
        values.insert(argument);
    for (Operation &op : main.getBody().front())
      if (llvm::any_of(op.getOperands(), [&](Value operand) { return values.contains(operand); })) {
        values.insert(op.result_begin(), op.result_end());
        varying.insert(&op);
      }
  }

  /// A reshape is no hardware: it becomes part of whoever reads its result, instead of a layer of its
  /// own or a second value that a layer gives.
  void sinkMovements() {
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(main.getBody().front()))) {
      if (!isMovement(&op))
        continue;
      op.removeAttr(approx::kLayerAttrName);
      for (OpOperand &use : llvm::make_early_inc_range(op.getUses())) {
        Operation *user = use.getOwner();
        if (user->hasTrait<OpTrait::IsTerminator>())
          continue;
        builder.setInsertionPoint(user);
        Operation *copy = builder.clone(op);
        if (auto layer = user->getAttr(approx::kLayerAttrName))
          copy->setAttr(approx::kLayerAttrName, layer);
        use.set(copy->getResult(0));
      }
      if (op.use_empty())
        op.erase();
    }
  }

  static bool isMovement(Operation *op) {
    return isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op);
  }

  bool isWorthAnEngine(linalg::GenericOp op) {
    int64_t steps = countSteps(op);
    return steps >= kWorthAnEngine || steps * kMachineStep > slowest;
  }

  static bool canBeEngine(Operation *op) {
    std::string reason;
    auto generic = dyn_cast<linalg::GenericOp>(op);
    return generic && isEngineOp(generic, reason);
  }

  void cutLayer(ArrayRef<Operation *> ops) {
    bool all = llvm::all_of(ops, [](Operation *op) {
      return isMovement(op) || isa<tensor::PadOp>(op) || canBeEngine(op);
    });
    Part part = Part::none;
    Value last; // what the part computed last
    Operation *movement = nullptr; // the first of those in front of the op
    auto begin = [&](Operation *op, Part next, bool isCut) {
      if (part != Part::none && isCut)
        (movement ? movement : op)->setAttr(approx::kCutAttrName, builder.getUnitAttr());
      part = next;
    };
    for (Operation *op : ops) {
      if (isMovement(op)) {
        movement = movement ? movement : op;
        continue;
      }
      if (isa<tensor::PadOp>(op)) {
        begin(op, Part::padding, true);
        movement = nullptr;
        continue;
      }
      auto generic = dyn_cast<linalg::GenericOp>(op);
      bool isEngine = canBeEngine(op);
      if (isEngine && generic.getNumReductionLoops() != 0 && (all || isWorthAnEngine(generic))) {
        begin(op, Part::nest, part != Part::padding);
      } else if (isEngine && (part == Part::nest || part == Part::elementwise) &&
                 findChained(generic, last)) {
        // goes on with what the part computed
      } else if (isEngine && all) {
        begin(op, Part::elementwise, part != Part::padding);
      } else {
        begin(op, Part::machine, part != Part::machine && part != Part::padding);
      }
      last = op->getResult(0);
      movement = nullptr;
    }
  }

  /// A stage gives one value. Where several ops of a part compute what others read, the part ends
  /// behind each of them; what they have in common then leaves a part as well. Returns whether there
  /// was any.
  bool cutWhereValuesLeave() {
    Block &block = main.getBody().front();
    SmallVector<SmallVector<Operation *>> parts;
    DenseMap<Operation *, size_t> partOf;
    StringAttr layer;
    for (Operation &op : block.without_terminator()) {
      if (!varying.contains(&op))
        continue;
      auto own = op.getAttrOfType<StringAttr>(approx::kLayerAttrName);
      if (parts.empty() || op.hasAttr(approx::kCutAttrName) || (own && layer && own != layer)) {
        parts.emplace_back();
        layer = own;
      }
      layer = layer ? layer : own;
      parts.back().push_back(&op);
      partOf[&op] = parts.size() - 1;
    }
    bool isChanged = false;
    for (auto [index, part] : llvm::enumerate(parts)) {
      auto leaves = [&](Operation *op) {
        return llvm::any_of(op->getUsers(), [&](Operation *user) {
          auto other = partOf.find(block.findAncestorOpInBlock(*user));
          return other == partOf.end() || other->second != index;
        });
      };
      Operation *behind = nullptr; // the op behind one whose value leaves
      bool hasLeft = false;
      for (Operation *op : part) {
        if (hasLeft && !behind)
          behind = op;
        if (!leaves(op))
          continue;
        if (behind) {
          behind->setAttr(approx::kCutAttrName, builder.getUnitAttr());
          isChanged = true;
          behind = nullptr;
        }
        hasLeft = true;
      }
    }
    return isChanged;
  }

  func::FuncOp main;
  int64_t lanes, slowest = 0;
  OpBuilder builder;
  DenseSet<Operation *> varying;
};

struct CutEngines : impl::CutEnginesBase<CutEngines> {
  using CutEnginesBase::CutEnginesBase;

  void runOnOperation() override {
    if (lanes < 1) {
      getOperation().emitError("'lanes' must be at least 1, got ") << static_cast<int64_t>(lanes);
      return signalPassFailure();
    }
    if (auto main = getOperation().lookupSymbol<func::FuncOp>("main"); main && !main.isExternal())
      Cutter(main, lanes).run();
  }
};
} // namespace
} // namespace asnet
