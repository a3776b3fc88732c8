// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_HOISTUNIFORM
#include "lowering/Lowering.h.inc"

namespace {
/// A weight that is taken apart into more values than this costs more loads than it saves work.
constexpr size_t kMostParts = 8;
/// From so many uses of each element on, what is computed of it alone is worth a pass of its own.
constexpr int64_t kManyUses = 32;

class Hoister {
public:
  explicit Hoister(func::FuncOp main) : main(main), b(main.getContext()) {}

  void run() {
    findVarying();
    SmallVector<linalg::GenericOp> generics;
    main.walk([&](linalg::GenericOp op) {
      if (isVarying(op))
        generics.push_back(op);
    });
    for (linalg::GenericOp op : generics)
      splitBody(op);
    outline();
  }

private:
  bool isVarying(Value value) { return varying.contains(value); }
  bool isVarying(Operation *op) {
    return llvm::any_of(op->getResults(), [&](Value result) { return isVarying(result); });
  }

  void findVarying() {
    for (BlockArgument argument : main.getArguments())
      if (main.getArgAttr(argument.getArgNumber(), approx::kValueAttrName))
        varying.insert(argument);
    findVarying(main.getBody().front());
  }

  void findVarying(Block &block) {
    for (Operation &op : block) {
      // What a loop carries or counts is another one in each iteration.
      if (auto loop = dyn_cast<scf::ForOp>(op)) {
        varying.insert(loop.getBody()->args_begin(), loop.getBody()->args_end());
        findVarying(*loop.getBody());
      }
      bool depends = false;
      op.walk([&](Operation *nested) {
        depends |= llvm::any_of(nested->getOperands(),
                                [&](Value value) { return isVarying(value); });
      });
      if (depends)
        varying.insert(op.result_begin(), op.result_end());
    }
  }

  /// Whether a value is there before anything that depends on the input.
  bool isUniform(Value value) {
    return !isVarying(value) && value.getParentBlock() == &main.getBody().front();
  }

  /// Whether a reduction reads each element of an operand so often that what it computes of it alone
  /// should be there already.
  bool isReadOften(linalg::GenericOp op, OpOperand &operand) {
    auto type = dyn_cast<RankedTensorType>(operand.get().getType());
    if (op.getNumReductionLoops() == 0 || !op.isDpsInput(&operand) || !type ||
        !type.hasStaticShape() || type.getNumElements() == 0)
      return false;
    int64_t steps = 1;
    for (int64_t range : op.getStaticLoopRanges()) {
      if (ShapedType::isDynamic(range))
        return false;
      steps *= range;
    }
    return steps / type.getNumElements() >= kManyUses;
  }

  static bool isWider(Value value, Value tensor) {
    Type of = value.getType(), element = cast<RankedTensorType>(tensor.getType()).getElementType();
    return !of.isIntOrFloat() || !element.isIntOrFloat() ||
           of.getIntOrFloatBitWidth() > element.getIntOrFloatBitWidth();
  }

  /// Moves what the body computes of a single operand to an op of its own, where the operand is
  /// uniform or read often.
  void splitBody(linalg::GenericOp op) {
    Block *body = op.getBody();
    // The operand that each value of the body is computed from; values of several or of varying
    // operands have none.  Constants and what the body captures go with any.
    DenseMap<Value, std::optional<unsigned>> source; // absent: of no operand
    DenseSet<Value> mixed;
    for (OpOperand &operand : op->getOpOperands()) {
      BlockArgument argument = op.getMatchingBlockArgument(&operand);
      if (isVarying(operand.get()) && isReadOften(op, operand)) {
        source[argument] = operand.getOperandNumber();
        continue;
      }
      if (op.isDpsInput(&operand) && isUniform(operand.get()) &&
          isa<RankedTensorType>(operand.get().getType()))
        source[argument] = operand.getOperandNumber();
      else if (!isUniform(operand.get()) || op.isDpsInit(&operand))
        mixed.insert(argument);
    }
    for (Operation &inner : body->without_terminator()) {
      std::optional<unsigned> of;
      bool isMixed = inner.getNumRegions() != 0 || !isMemoryEffectFree(&inner) ||
                     isa<linalg::IndexOp, func::CallOp, approx::ArithmeticOpInterface>(inner);
      for (Value operand : inner.getOperands()) {
        isMixed |= mixed.contains(operand);
        auto found = source.find(operand);
        if (found == source.end())
          continue;
        isMixed |= of && *of != *found->second;
        of = found->second;
      }
      for (Value result : inner.getResults()) {
        if (isMixed)
          mixed.insert(result);
        else if (of)
          source[result] = of;
      }
    }
    // Of these, what others read.
    std::map<unsigned, SmallVector<Value>> parts;
    for (Operation &inner : body->without_terminator())
      for (Value result : inner.getResults())
        if (auto found = source.find(result);
            found != source.end() && llvm::any_of(result.getUsers(), [&](Operation *user) {
              return user == body->getTerminator() || mixed.contains(user->getResult(0));
            }))
          parts[*found->second].push_back(result);

    SmallVector<std::pair<Value, Value>> replacements; // of the body: new argument's tensor
    SmallVector<AffineMap> maps;
    for (auto &[number, values] : parts) {
      OpOperand &operand = op->getOpOperand(number);
      Value tensor = operand.get();
      if (isVarying(tensor) ? values.size() > 1 || isWider(values.front(), tensor)
                            : values.size() > kMostParts)
        continue;
      for (Value value : values) {
        Value prepared = prepare(op, tensor, op.getMatchingBlockArgument(&operand), value);
        if (isVarying(tensor))
          varying.insert(prepared);
        replacements.emplace_back(value, prepared);
        maps.push_back(op.getMatchingIndexingMap(&operand));
      }
    }
    if (replacements.empty())
      return;

    // The new operands come after the other inputs.
    unsigned inputs = op.getNumDpsInputs();
    SmallVector<AffineMap> allMaps = op.getIndexingMapsArray();
    allMaps.insert(allMaps.begin() + inputs, maps.begin(), maps.end());
    SmallVector<Value> added;
    b.setInsertionPointToStart(body);
    for (auto [index, replacement] : llvm::enumerate(replacements)) {
      auto element = cast<RankedTensorType>(replacement.second.getType()).getElementType();
      Value argument = body->insertArgument(inputs + index, element, op.getLoc());
      if (element != replacement.first.getType())
        argument = arith::TruncIOp::create(b, op.getLoc(), replacement.first.getType(), argument);
      replacement.first.replaceAllUsesWith(argument);
      added.push_back(replacement.second);
    }
    op.getInputsMutable().append(added);
    op.setIndexingMapsAttr(b.getAffineMapArrayAttr(allMaps));
    for (Operation &inner : llvm::make_early_inc_range(llvm::reverse(*body)))
      if (isOpTriviallyDead(&inner))
        inner.erase();
  }

  /// The tensor of `value`, which a body computes from `argument`, for every element of `tensor`.
  Value prepare(linalg::GenericOp op, Value tensor, BlockArgument argument, Value value) {
    auto type = cast<RankedTensorType>(tensor.getType());
    Location loc = op.getLoc();
    // What is uniform is computed before loops.
    b.setInsertionPoint(isUniform(tensor) ? main.getBody().front().findAncestorOpInBlock(*op) : op);
    // Memory has no bits.
    Type element = value.getType().isInteger(1) ? b.getI8Type() : value.getType();
    Value empty = tensor::EmptyOp::create(b, loc, type.getShape(), element);
    AffineMap identity = b.getMultiDimIdentityMap(type.getRank());
    SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
    auto prepared = linalg::GenericOp::create(
        b, loc, empty.getType(), tensor, empty, ArrayRef{identity, identity}, iterators,
        [&](OpBuilder &inside, Location, ValueRange arguments) {
          IRMapping mapping;
          mapping.map(argument, arguments[0]);
          SetVector<Operation *> needed;
          SmallVector<Value> pending{value};
          while (!pending.empty()) {
            Operation *def = pending.pop_back_val().getDefiningOp();
            if (def && def->getBlock() == op.getBody() && needed.insert(def))
              llvm::append_range(pending, def->getOperands());
          }
          for (Operation *def : topologicalSort(needed))
            inside.clone(*def, mapping);
          Value result = mapping.lookup(value);
          if (result.getType() != element)
            result = arith::ExtUIOp::create(inside, loc, element, result);
          linalg::YieldOp::create(inside, loc, result);
        });
    return prepared.getResult(0);
  }

  /// Moves the uniform ops that hold data to the function `prepare`.
  void outline() {
    Block &body = main.getBody().front();
    SetVector<Value> results;
    SetVector<Operation *> ops;
    for (Operation &op : body) {
      if (isVarying(&op) || isa<func::ReturnOp>(op)) {
        op.walk([&](Operation *nested) {
          for (Value operand : nested->getOperands()) {
            Operation *def = operand.getDefiningOp();
            // What costs nothing stays where it is: constants, empty tensors, and scalars.
            if (def && def->getBlock() == &body && !isVarying(operand) &&
                isa<RankedTensorType>(operand.getType()) && computes(operand))
              results.insert(operand);
          }
        });
      }
    }
    SmallVector<Value> pending(results.getArrayRef());
    SetVector<Value> arguments;
    while (!pending.empty()) {
      Value value = pending.pop_back_val();
      Operation *def = value.getDefiningOp();
      if (!def) {
        if (cast<BlockArgument>(value).getOwner() == &body)
          arguments.insert(value);
        continue;
      }
      if (def->getBlock() == &body && ops.insert(def))
        def->walk([&](Operation *nested) { llvm::append_range(pending, nested->getOperands()); });
    }
    ops = topologicalSort(ops);

    Location loc = main.getLoc();
    // In main's order, whatever the order in which they were found.
    SmallVector<Value> sorted(arguments.getArrayRef());
    llvm::sort(sorted, [](Value left, Value right) {
      return cast<BlockArgument>(left).getArgNumber() < cast<BlockArgument>(right).getArgNumber();
    });
    auto type = b.getFunctionType(ValueRange(sorted).getTypes(),
                                  ValueRange(results.getArrayRef()).getTypes());
    auto prepare = func::FuncOp::create(loc, "prepare", type);
    main->getParentOfType<ModuleOp>().insert(main, prepare);
    Block *block = prepare.addEntryBlock();
    IRMapping mapping;
    for (auto [position, argument] : llvm::enumerate(sorted)) {
      mapping.map(argument, block->getArgument(position));
      if (auto attributes = main.getArgAttrDict(cast<BlockArgument>(argument).getArgNumber()))
        prepare.setArgAttrs(position, attributes);
    }
    OpBuilder inside = OpBuilder::atBlockEnd(block);
    for (Operation *op : ops)
      inside.clone(*op, mapping);
    SmallVector<Value> returned;
    for (Value result : results)
      returned.push_back(mapping.lookup(result));
    func::ReturnOp::create(inside, loc, returned);

    for (auto [index, result] : llvm::enumerate(results)) {
      unsigned position = main.getNumArguments();
      auto attributes = b.getDictionaryAttr(
          b.getNamedAttr(approx::kPreparedAttrName, b.getI64IntegerAttr(index)));
      (void)main.insertArgument(position, result.getType(), attributes, loc);
      prepare.setResultAttr(index, approx::kPreparedAttrName, b.getI64IntegerAttr(index));
      // Only what computes with the input reads the new argument.
      Value(result).replaceUsesWithIf(main.getArgument(position), [&](OpOperand &use) {
        Operation *user = body.findAncestorOpInBlock(*use.getOwner());
        return isVarying(user) || isa<func::ReturnOp>(user);
      });
    }
    for (Operation *op : llvm::reverse(ops))
      if (isOpTriviallyDead(op))
        op->erase();
  }

  /// Whether there is anything to do for a uniform tensor but to fill it with one scalar.
  bool computes(Value value) {
    Operation *def = value.getDefiningOp();
    if (isa<tensor::EmptyOp>(def) || def->hasTrait<OpTrait::ConstantLike>())
      return false;
    if (auto generic = dyn_cast<linalg::GenericOp>(def))
      return llvm::any_of(generic.getDpsInputOperands(),
                          [&](OpOperand *operand) {
                            return isa<RankedTensorType>(operand->get().getType());
                          }) ||
             generic.getBody()->getOperations().size() > 1;
    return true;
  }

  func::FuncOp main;
  OpBuilder b;
  DenseSet<Value> varying;
};

struct HoistUniform : impl::HoistUniformBase<HoistUniform> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main || main.isExternal()) {
      getOperation().emitError("lacks the function 'main'");
      return signalPassFailure();
    }
    Hoister(main).run();
  }
};
} // namespace
} // namespace asnet
