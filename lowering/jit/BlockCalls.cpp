// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "dialects/approx/Instances.h"

#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_BLOCKCALLS
#include "lowering/Lowering.h.inc"

namespace {
/// What a call costs besides its elements: loops around it, descriptors, ends of pipelines.
constexpr double kCallCost = 4;

/// The function over arrays that computes an op of a body.
FlatSymbolRefAttr getBlock(approx::ArithmeticOpInterface op) {
  return op->getAttrOfType<FlatSymbolRefAttr>(approx::kBlockAttrName);
}

/// Samples in a value of a body.
int64_t lanesOf(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return vector ? vector.getNumElements() : 1;
}

/// Emits one linalg.generic as loops over tiles; in each tile, every call of its body is one call
/// for all elements.
class TiledCalls {
public:
  TiledCalls(OpBuilder &b, linalg::GenericOp op, int64_t budget, int64_t block)
      : b(b), op(op), loc(op.getLoc()), ranges(op.getStaticLoopRanges()) {
    for (auto call : op.getBody()->getOps<approx::ArithmeticOpInterface>())
      if (auto block = getBlock(call))
        calls.emplace_back(call, block);
    int64_t lanes = lanesOf(calls.front().first->getResult(0).getType());
    chooseTile(std::max<int64_t>(1, budget / lanes), std::max<int64_t>(1, block / lanes));
  }

  void emit() {
    createBuffers();
    SmallVector<Value> outer(ranges.size());
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    for (Value &value : outer)
      value = zero;
    // Loops over outputs outside, reductions inside: each output sees its reduction in order.
    SmallVector<unsigned> order = loopOrder();
    emitLoops(order, 0, /*inTile=*/false, outer, [&] { emitTile(outer); });
  }

private:
  using Indices = SmallVectorImpl<Value>;

  bool isReduction(unsigned dim) {
    return op.getIteratorTypesArray()[dim] == utils::IteratorType::reduction;
  }

  /// Loops over tiles have outputs outside, so that few are at work at a time; those in a tile have
  /// reductions outside, so that consecutive additions don't wait for each other.
  SmallVector<unsigned> loopOrder(bool inTile = false) {
    SmallVector<unsigned> order;
    for (bool reductions : {inTile, !inTile})
      for (unsigned dim = 0; dim < ranges.size(); ++dim)
        if (isReduction(dim) == reductions)
          order.push_back(dim);
    return order;
  }

  /// What of the body computes `values`, in order, up to the block's arguments and results of calls
  /// made before.
  SetVector<Operation *> slice(ValueRange values) {
    SetVector<Operation *> found;
    SmallVector<Value> pending(values);
    while (!pending.empty()) {
      Operation *def = pending.pop_back_val().getDefiningOp();
      if (!def || def->getBlock() != op.getBody() || isBlockCall(def) || !found.insert(def))
        continue;
      def->walk([&](Operation *nested) { llvm::append_range(pending, nested->getOperands()); });
    }
    return topologicalSort(found);
  }

  bool isBlockCall(Operation *candidate) {
    return llvm::any_of(calls, [&](auto &entry) { return entry.first == candidate; });
  }

  /// Whether what a call takes depends on the accumulated outputs.
  bool callsReadOutputs() {
    SmallVector<Value> pending;
    for (auto &[call, block] : calls)
      llvm::append_range(pending, call->getOperands());
    DenseSet<Value> seen;
    unsigned inputs = op.getNumDpsInputs();
    while (!pending.empty()) {
      Value value = pending.pop_back_val();
      if (!seen.insert(value).second)
        continue;
      if (auto argument = dyn_cast<BlockArgument>(value)) {
        if (argument.getOwner() == op.getBody() && argument.getArgNumber() >= inputs)
          return true;
        continue;
      }
      if (Operation *def = value.getDefiningOp(); def->getBlock() == op.getBody())
        def->walk([&](Operation *nested) { llvm::append_range(pending, nested->getOperands()); });
    }
    return false;
  }

  static SmallVector<int64_t> divisors(int64_t range, int64_t limit) {
    SmallVector<int64_t> found;
    for (int64_t size = 1; size <= std::min(range, limit); ++size)
      if (range % size == 0)
        found.push_back(size);
    return found;
  }

  /// Chooses the tile of at most `budget` elements that costs least for an element, where models
  /// compute `unit` elements at once and a call of one costs as much as kCallCost elements.  Tiles
  /// divide the iteration space: they leave no remainder.
  void chooseTile(int64_t budget, int64_t unit) {
    tile.assign(ranges.size(), 1);
    // A tile spans steps of a reduction only where no call waits for the step before, and only whole
    // inner reductions: so the steps stay in order.
    SmallVector<unsigned> dims;
    SmallVector<unsigned> inOrder = loopOrder();
    bool spansReductions = !callsReadOutputs();
    for (unsigned dim : llvm::reverse(inOrder))
      if (!isReduction(dim) || spansReductions)
        dims.push_back(dim);
    SmallVector<int64_t> sizes = tile;
    double least = std::numeric_limits<double>::infinity();
    std::function<void(unsigned, int64_t, bool)> choose = [&](unsigned depth, int64_t count,
                                                              bool isWhole) {
      if (depth == dims.size()) {
        double cost = (llvm::alignTo(count, unit) + kCallCost) / count;
        if (cost < least) {
          least = cost;
          tile = sizes;
        }
        return;
      }
      unsigned dim = dims[depth];
      // Among equal tiles the first: outputs that are neighbours, few steps of a reduction.
      SmallVector<int64_t> candidates = divisors(ranges[dim], budget / count);
      if (!isReduction(dim))
        std::reverse(candidates.begin(), candidates.end());
      for (int64_t size : candidates) {
        if (isReduction(dim) && size > 1 && !isWhole)
          break;
        sizes[dim] = size;
        choose(depth + 1, count * size,
               isReduction(dim) ? isWhole && size == ranges[dim] : isWhole);
      }
      sizes[dim] = 1;
    };
    choose(0, 1, true);
  }

  /// One memory, seen by the body as one element for each of its numbers, or vectors of them, and by
  /// models as an array of numbers.
  struct Buffer {
    Value elements, array;
  };

  /// What the memory holds for values of `type` where a model takes or gives `array`: the same, or a
  /// float's bits.
  static Type storedType(Type type, Type array) {
    Type number = cast<MemRefType>(array).getElementType();
    if (auto vector = dyn_cast<VectorType>(type))
      return vector.clone(number);
    return number;
  }

  /// A value as memory holds it: a float's bits, an integer with zeros above it.
  Value toStored(Value value, Type stored) {
    if (value.getType() == stored)
      return value;
    if (isa<FloatType>(getElementTypeOrSelf(value.getType())))
      return approx::createBits(b, loc, value);
    return arith::ExtUIOp::create(b, loc, stored, value);
  }

  /// The value of `type` that memory holds; of a wider integer the low bits.
  Value fromStored(Value stored, Type type) {
    if (stored.getType() == type)
      return stored;
    if (isa<FloatType>(getElementTypeOrSelf(type)))
      return arith::BitcastOp::create(b, loc, type, stored);
    return arith::TruncIOp::create(b, loc, type, stored);
  }

  void createBuffers() {
    elements = 1;
    for (int64_t size : tile)
      elements *= size;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(&op->getParentOfType<func::FuncOp>().getBody().front());
    auto create = [&](Type type, Type array) -> Buffer {
      type = storedType(type, array);
      Type number = getElementTypeOrSelf(type);
      int64_t count = elements * lanesOf(type), size = number.getIntOrFloatBitWidth() / 8;
      Value memory = memref::AllocOp::create(b, loc, MemRefType::get({count * size}, b.getI8Type()),
                                             b.getI64IntegerAttr(64));
      Value zero = arith::ConstantIndexOp::create(b, loc, 0);
      Value extent = arith::ConstantIndexOp::create(b, loc, count);
      Value view = memref::ViewOp::create(b, loc, MemRefType::get({elements}, type), memory, zero,
                                          ValueRange());
      Value numbers = memref::ViewOp::create(
          b, loc, MemRefType::get({ShapedType::kDynamic}, number), memory, zero, extent);
      return {view, numbers};
    };
    auto module = op->getParentOfType<ModuleOp>();
    for (auto &[call, block] : calls) {
      TypeRange arrays = module.lookupSymbol<func::FuncOp>(block).getArgumentTypes();
      // Operands are dead after their call; results may be read by all that follow.
      for (auto [position, operand] : llvm::enumerate(call->getOperands())) {
        auto [buffer, isNew] = operandBuffers.try_emplace({position, arrays[position]});
        if (isNew)
          buffer->second = create(operand.getType(), arrays[position]);
        callBuffers[call].push_back(buffer->second);
      }
      Value result = call->getResult(0);
      callBuffers[call].push_back(resultBuffers[result] = create(result.getType(), arrays.back()));
    }
  }

  /// Emits the loops of `order` from `depth` on; `indices` are those inside.
  void emitLoops(ArrayRef<unsigned> order, unsigned depth, bool inTile, Indices &indices,
                 function_ref<void()> body) {
    if (depth == order.size())
      return body();
    unsigned dim = order[depth];
    int64_t end = inTile ? tile[dim] : ranges[dim], step = inTile ? 1 : tile[dim];
    if (end == step)
      return emitLoops(order, depth + 1, inTile, indices, body);
    Value lower = arith::ConstantIndexOp::create(b, loc, 0);
    Value upper = arith::ConstantIndexOp::create(b, loc, end);
    Value stride = arith::ConstantIndexOp::create(b, loc, step);
    auto loop = scf::ForOp::create(b, loc, lower, upper, stride);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(loop.getBody()->getTerminator());
    Value before = indices[dim];
    indices[dim] = loop.getInductionVar();
    emitLoops(order, depth + 1, inTile, indices, body);
    indices[dim] = before;
  }

  void emitTile(ArrayRef<Value> outer) {
    for (auto &[call, block] : calls) {
      emitElements(outer, [&](ArrayRef<Value> at, Value position) {
        IRMapping values = evaluate(call->getOperands(), at, position);
        for (auto [operand, buffer] : llvm::zip(call->getOperands(), callBuffers[call])) {
          Value value = values.lookupOrDefault(operand);
          value = toStored(value, cast<MemRefType>(buffer.elements.getType()).getElementType());
          memref::StoreOp::create(b, loc, value, buffer.elements, position);
        }
      });
      SmallVector<Value> arrays;
      for (Buffer &buffer : callBuffers[call])
        arrays.push_back(buffer.array);
      func::CallOp::create(b, loc, block, TypeRange(), arrays);
    }
    emitElements(outer, [&](ArrayRef<Value> at, Value position) {
      Operation *yield = op.getBody()->getTerminator();
      IRMapping values = evaluate(yield->getOperands(), at, position);
      for (auto [result, output] : llvm::zip(yield->getOperands(), op.getDpsInitsMutable()))
        memref::StoreOp::create(b, loc, values.lookupOrDefault(result), output.get(),
                                subscripts(op.getMatchingIndexingMap(&output), at));
    });
  }

  /// Emits `body` for each element of a tile, with its indices and its position in the buffers.
  void emitElements(ArrayRef<Value> outer, function_ref<void(ArrayRef<Value>, Value)> body) {
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    SmallVector<Value> inner(ranges.size(), zero);
    SmallVector<unsigned> order = loopOrder(/*inTile=*/true);
    emitLoops(order, 0, /*inTile=*/true, inner, [&] {
      SmallVector<Value> at;
      for (auto [start, offset] : llvm::zip(outer, inner))
        at.push_back(offset == zero
                         ? start
                         : (start.getDefiningOp<arith::ConstantIndexOp>()
                                ? offset
                                : arith::AddIOp::create(b, loc, start, offset).getResult()));
      AffineExpr linear = b.getAffineConstantExpr(0);
      for (unsigned dim : order)
        linear = linear * tile[dim] + b.getAffineDimExpr(dim);
      Value position =
          affine::AffineApplyOp::create(b, loc, AffineMap::get(ranges.size(), 0, linear), inner);
      body(at, position);
    });
  }

  SmallVector<Value> subscripts(AffineMap map, ArrayRef<Value> at) {
    SmallVector<Value> result;
    for (AffineExpr expr : map.getResults())
      result.push_back(affine::AffineApplyOp::create(
          b, loc, AffineMap::get(map.getNumDims(), map.getNumSymbols(), expr), at));
    return result;
  }

  /// Emits what `wanted`, values of the body, need for one element.
  IRMapping evaluate(ValueRange wanted, ArrayRef<Value> at, Value position) {
    IRMapping values;
    SetVector<Operation *> needed = slice(wanted);
    SmallVector<Value> read(wanted);
    for (Operation *needing : needed)
      needing->walk([&](Operation *nested) { llvm::append_range(read, nested->getOperands()); });
    for (Value value : read) {
      if (values.contains(value))
        continue;
      if (auto argument = dyn_cast<BlockArgument>(value)) {
        if (argument.getOwner() != op.getBody())
          continue;
        OpOperand *operand = op.getMatchingOpOperand(argument);
        if (!isa<MemRefType>(operand->get().getType()))
          values.map(value, operand->get());
        else
          values.map(value,
                     memref::LoadOp::create(b, loc, operand->get(),
                                            subscripts(op.getMatchingIndexingMap(operand), at)));
      } else if (auto buffer = resultBuffers.find(value); buffer != resultBuffers.end()) {
        Value loaded = memref::LoadOp::create(b, loc, buffer->second.elements, position);
        values.map(value, fromStored(loaded, value.getType()));
      }
    }
    for (Operation *needing : needed) {
      if (auto index = dyn_cast<linalg::IndexOp>(needing))
        values.map(index.getResult(), at[index.getDim()]);
      else
        b.clone(*needing, values);
    }
    return values;
  }

  OpBuilder &b;
  linalg::GenericOp op;
  Location loc;
  SmallVector<int64_t> ranges;
  SmallVector<int64_t> tile;
  int64_t elements = 1;
  SmallVector<std::pair<approx::ArithmeticOpInterface, FlatSymbolRefAttr>> calls;
  DenseMap<std::pair<unsigned, Type>, Buffer> operandBuffers;
  DenseMap<Operation *, SmallVector<Buffer>> callBuffers;
  DenseMap<Value, Buffer> resultBuffers;
};

struct BlockCalls : impl::BlockCallsBase<BlockCalls> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation().walk([&](linalg::GenericOp op) {
      bool calls = llvm::any_of(
          op.getBody()->getOps<approx::ArithmeticOpInterface>(),
          [&](approx::ArithmeticOpInterface call) { return static_cast<bool>(getBlock(call)); });
      if (calls && op.hasPureBufferSemantics() &&
          llvm::none_of(op.getStaticLoopRanges(), ShapedType::isDynamic))
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (linalg::GenericOp op : ops) {
      rewriter.setInsertionPoint(op);
      TiledCalls(rewriter, op, elements, block).emit();
      rewriter.eraseOp(op);
    }
    WalkResult left = getOperation().walk([](approx::ArithmeticOpInterface op) {
      op->emitError() << "'" << op->getName()
                      << "' is not in the body of a linalg op of static shape";
      return WalkResult::interrupt();
    });
    if (left.wasInterrupted())
      return signalPassFailure();
    for (auto library : llvm::make_early_inc_range(getOperation().getOps<approx::LibraryOp>()))
      library.erase();
  }
};
} // namespace
} // namespace asnet
