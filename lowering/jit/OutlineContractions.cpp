// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_OUTLINECONTRACTIONS
#include "lowering/Lowering.h.inc"

namespace {
/// Whether every result of `map` is a sum of dimensions times constants, and a constant.
bool isLinear(AffineMap map) {
  return llvm::all_of(map.getResults(), [](AffineExpr expr) {
    SmallVector<AffineExpr> pending{expr};
    while (!pending.empty()) {
      AffineExpr part = pending.pop_back_val();
      if (isa<AffineDimExpr, AffineConstantExpr>(part))
        continue;
      auto binary = dyn_cast<AffineBinaryOpExpr>(part);
      if (!binary)
        return false;
      if (binary.getKind() == AffineExprKind::Mul) {
        if (!isa<AffineDimExpr>(binary.getLHS()) || !isa<AffineConstantExpr>(binary.getRHS()))
          return false;
      } else if (binary.getKind() == AffineExprKind::Add) {
        pending.append({binary.getLHS(), binary.getRHS()});
      } else {
        return false;
      }
    }
    return true;
  });
}

/// A sum of products of codes: what `linalg.generic` adds to its output, and of what.
struct Contraction {
  linalg::GenericOp op;
  OpOperand *varying = nullptr, *uniform = nullptr; // the codes of a sample, and the weights
  Value term;                                       // what is added
  SetVector<Operation *> ops;                       // that compute it
};

class Outliner {
public:
  explicit Outliner(func::FuncOp main) : main(main), b(main.getContext()) {}

  void run() {
    for (BlockArgument argument : main.getArguments())
      if (main.getArgAttr(argument.getArgNumber(), approx::kValueAttrName))
        varying.insert(argument);
    unsigned number = 0;
    for (Operation &op : main.getBody().front()) {
      bool depends = false;
      op.walk([&](Operation *nested) {
        depends |= llvm::any_of(nested->getOperands(),
                                [&](Value value) { return varying.contains(value); });
      });
      if (!depends)
        continue;
      varying.insert(op.result_begin(), op.result_end());
      if (auto generic = dyn_cast<linalg::GenericOp>(op))
        if (std::optional<Contraction> found = match(generic))
          outline(*found, number++);
    }
  }

private:
  static bool isCode(Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor && tensor.hasStaticShape() && tensor.getElementType().isInteger(8);
  }

  std::optional<Contraction> match(linalg::GenericOp op) {
    if (op.getNumDpsInits() != 1 || op.getNumReductionLoops() == 0 ||
        !llvm::all_of(op.getIndexingMapsArray(), isLinear))
      return std::nullopt;
    auto sums = dyn_cast<RankedTensorType>(op.getDpsInitOperand(0)->get().getType());
    if (!sums || !sums.hasStaticShape() || !sums.getElementType().isInteger(32))
      return std::nullopt;
    Block *body = op.getBody();
    Value accumulator = body->getArguments().back();
    // An exact sum of integers has the same bits in any order.
    auto add = body->getTerminator()->getOperand(0).getDefiningOp<approx::AddIOp>();
    if (!add || add.getInstance() || add->getBlock() != body)
      return std::nullopt;
    Contraction found{op};
    if (add.getLhs() == accumulator)
      found.term = add.getRhs();
    else if (add.getRhs() == accumulator)
      found.term = add.getLhs();
    else
      return std::nullopt;
    SmallVector<Value> pending{found.term};
    while (!pending.empty()) {
      Value value = pending.pop_back_val();
      if (auto argument = dyn_cast<BlockArgument>(value)) {
        if (argument.getOwner() != body || argument == accumulator ||
            !take(found, op->getOpOperand(argument.getArgNumber())))
          return std::nullopt;
        continue;
      }
      Operation *def = value.getDefiningOp();
      if (def->hasTrait<OpTrait::ConstantLike>()) {
        found.ops.insert(def);
        continue;
      }
      if (def->getBlock() != body || def->getNumRegions() != 0 || !isMemoryEffectFree(def) ||
          isa<linalg::IndexOp>(def))
        return std::nullopt;
      if (found.ops.insert(def))
        llvm::append_range(pending, def->getOperands());
    }
    bool multiplies = llvm::any_of(found.ops, llvm::IsaPred<approx::MulIOp>);
    if (!multiplies || !found.varying || !found.uniform)
      return std::nullopt;
    return found;
  }

  /// Notes an operand that the term reads: there is one that depends on the sample, and one that
  /// does not.
  bool take(Contraction &found, OpOperand &operand) {
    if (!isCode(operand.get().getType()))
      return false;
    OpOperand *&place = varying.contains(operand.get()) ? found.varying : found.uniform;
    if (place && place != &operand)
      return false;
    place = &operand;
    return true;
  }

  /// Moves the term to a function of its own and leaves a body that only says who takes part.
  void outline(Contraction &found, unsigned number) {
    Location loc = found.op.getLoc();
    Type code = b.getI8Type(), sum = b.getI32Type();
    auto product = func::FuncOp::create(loc, ("product_" + Twine(number)).str(),
                                        b.getFunctionType({code, code}, {sum}));
    product.setPrivate();
    if (Attribute layer = found.op->getAttr(approx::kLayerAttrName))
      product->setAttr(approx::kLayerAttrName, layer);
    main->getParentOfType<ModuleOp>().push_back(product);
    Block *entry = product.addEntryBlock();
    IRMapping mapping;
    mapping.map(found.op.getMatchingBlockArgument(found.varying), entry->getArgument(0));
    mapping.map(found.op.getMatchingBlockArgument(found.uniform), entry->getArgument(1));
    OpBuilder inside = OpBuilder::atBlockEnd(entry);
    for (Operation *op : topologicalSort(found.ops))
      inside.clone(*op, mapping);
    func::ReturnOp::create(inside, loc, mapping.lookup(found.term));

    // The body stands for the sum until `approx-call-contractions`: an op of both operands, so that
    // no pass takes one of them apart.
    Value sample = found.op.getMatchingBlockArgument(found.varying);
    Value weight = found.op.getMatchingBlockArgument(found.uniform);
    Block *body = found.op.getBody();
    Operation *yield = body->getTerminator();
    b.setInsertionPoint(yield);
    Value both = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, sample, weight);
    Value wide = arith::ExtUIOp::create(b, loc, sum, both);
    yield->setOperand(0, arith::AddIOp::create(b, loc, body->getArguments().back(), wide));
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*body)))
      if (isOpTriviallyDead(&op))
        op.erase();
    found.op->setAttr(approx::kProductAttrName, b.getI64IntegerAttr(number));
    product->setAttr(approx::kProductAttrName, b.getI64IntegerAttr(number));
  }

  func::FuncOp main;
  OpBuilder b;
  DenseSet<Value> varying;
};

struct OutlineContractions : impl::OutlineContractionsBase<OutlineContractions> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main || main.isExternal()) {
      getOperation().emitError("lacks the function 'main'");
      return signalPassFailure();
    }
    Outliner(main).run();
  }
};
} // namespace
} // namespace asnet
