// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_REGISTERBLOCK
#include "lowering/Lowering.h.inc"

namespace {
/// Ops in one unrolled body: more only costs compile time.
constexpr int64_t kMostUnrolled = 320;
/// Bodies of more ops need the registers for themselves.
constexpr unsigned kSmallBody = 8, kMediumBody = 40;

bool isReduction(linalg::GenericOp op, unsigned dim) {
  return op.getIteratorTypesArray()[dim] == utils::IteratorType::reduction;
}

/// A memref whose elements lie at constant distances.
struct Layout {
  SmallVector<int64_t> strides;
  int64_t offset, extent;
};

FailureOr<Layout> getLayout(Type type) {
  auto memref = dyn_cast<MemRefType>(type);
  Layout layout;
  if (!memref || !memref.hasStaticShape() ||
      failed(memref.getStridesAndOffset(layout.strides, layout.offset)) ||
      ShapedType::isDynamic(layout.offset) || llvm::any_of(layout.strides, ShapedType::isDynamic))
    return failure();
  layout.extent = layout.offset + 1;
  for (auto [size, stride] : llvm::zip_equal(memref.getShape(), layout.strides)) {
    if (stride < 0 || size == 0)
      return failure();
    layout.extent += (size - 1) * stride;
  }
  return layout;
}

bool canBlock(linalg::GenericOp op) {
  if (!op.hasPureBufferSemantics() ||
      !op.getBody()->getOps<approx::ArithmeticOpInterface>().empty() ||
      !op.getBody()->getOps<func::CallOp>().empty() ||
      llvm::any_of(op.getStaticLoopRanges(),
                   [](int64_t range) { return ShapedType::isDynamic(range) || range == 0; }))
    return false;
  for (OpOperand &operand : op->getOpOperands())
    if (isa<MemRefType>(operand.get().getType()) && failed(getLayout(operand.get().getType())))
      return false;
  for (OpOperand &init : op.getDpsInitsMutable())
    if (!op.getMatchingIndexingMap(&init).isProjectedPermutation())
      return false;
  return true;
}

/// A reduction with the op that initialized its accumulators before and the elementwise op that uses
/// the sums after: one loop nest, whose sums are never in memory.
struct Nest {
  linalg::GenericOp op;
  linalg::GenericOp fill, epilogue;
};

class Emitter {
public:
  Emitter(IRRewriter &b, Nest nest, int64_t registers)
      : b(b), nest(nest), op(nest.op), loc(op.getLoc()), ranges(op.getStaticLoopRanges()),
        registers(registers) {
    for (unsigned dim = 0; dim < ranges.size(); ++dim)
      (isReduction(op, dim) ? reductions : parallels).push_back(dim);
    chooseVector();
    analyzeBody();
    chooseTile();
    orderLoops();
    chooseUnroll();
  }

  void emit() {
    flatten(op);
    if (nest.fill)
      flatten(nest.fill);
    if (nest.epilogue)
      flatten(nest.epilogue);
    ivs.assign(ranges.size(), Value());
    SmallVector<int64_t> sizes(ranges.size(), 1);
    emitParallel(0, sizes);
  }

private:
  /// Of scalar code: takes outputs that lie side by side as the lanes of a vector, along a dimension
  /// in which whatever is read lies side by side as well, or is the same for all of them.
  void chooseVector() {
    for (unsigned dim : llvm::reverse(parallels))
      for (int64_t size = registers / 2; size >= 4; size /= 2)
        if (ranges[dim] % size == 0 && canVectorize(dim)) {
          vectorDim = dim;
          lanes = size;
          ranges[dim] /= size;
          return;
        }
  }

  bool canVectorize(unsigned dim) {
    return canVectorize(op, identity(), dim) &&
           (!nest.fill || canVectorize(nest.fill, fillPosition(), dim)) &&
           (!nest.epilogue || canVectorize(nest.epilogue, epiloguePosition(), dim));
  }

  bool canVectorize(linalg::GenericOp of, AffineMap position, unsigned dim) {
    auto isScalar = [](Type type) { return type.isIntOrFloat(); };
    for (Operation &inner : of.getBody()->without_terminator())
      if (!(inner.hasTrait<OpTrait::Vectorizable>() || inner.hasTrait<OpTrait::ConstantLike>()) ||
          !llvm::all_of(inner.getResultTypes(), isScalar) ||
          !llvm::all_of(inner.getOperandTypes(), isScalar))
        return false;
    for (OpOperand &operand : of->getOpOperands()) {
      auto type = dyn_cast<MemRefType>(operand.get().getType());
      if (!type)
        continue;
      auto stride = strideAlong(type, of.getMatchingIndexingMap(&operand).compose(position), dim);
      bool moves = stride == 1 || (stride == 0 && of.isDpsInput(&operand));
      if (!moves || !isScalar(type.getElementType()) || type.getElementTypeBitWidth() < 8)
        return false;
    }
    return true;
  }

  /// How far apart elements of a memref are for neighbours along a dimension; none if not constant.
  std::optional<int64_t> strideAlong(MemRefType type, AffineMap map, unsigned dim) {
    AffineExpr linear = linearized(*getLayout(type), map);
    AffineExpr next = linear.replace(b.getAffineDimExpr(dim), b.getAffineDimExpr(dim) + 1);
    AffineExpr distance = simplifyAffineExpr(next - linear, map.getNumDims(), 0);
    if (auto fixed = dyn_cast<AffineConstantExpr>(distance))
      return fixed.getValue();
    return std::nullopt;
  }

  AffineExpr linearized(const Layout &layout, AffineMap map) {
    AffineExpr linear = b.getAffineConstantExpr(layout.offset);
    for (auto [expr, stride] : llvm::zip_equal(map.getResults(), layout.strides))
      linear = linear + expr * stride;
    return linear;
  }

  /// The lanes of a value where outputs are computed as vectors.
  Value toVector(Value value) {
    if (!vectorDim || isa<VectorType>(value.getType()))
      return value;
    return vector::BroadcastOp::create(b, loc, VectorType::get({lanes}, value.getType()), value);
  }

  /// Makes an op whose operands are vectors one of vectors.
  void vectorize(Operation *inner) {
    if (!vectorDim || llvm::none_of(inner->getOperandTypes(), llvm::IsaPred<VectorType>))
      return;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(inner);
    for (OpOperand &operand : inner->getOpOperands())
      if (!(isa<arith::SelectOp>(inner) && operand.getOperandNumber() == 0))
        operand.set(toVector(operand.get()));
    for (Value result : inner->getResults())
      result.setType(VectorType::get({lanes}, result.getType()));
  }

  // What is read or computed for which iterators.
  struct Work {
    llvm::SmallBitVector dims;
    double cost;
  };

  void analyzeBody() {
    unsigned rank = ranges.size();
    DenseMap<Value, llvm::SmallBitVector> depends;
    auto dimsOf = [&](AffineMap map) {
      llvm::SmallBitVector dims(rank);
      for (unsigned dim = 0; dim < rank; ++dim)
        dims[dim] = map.isFunctionOfDim(dim);
      return dims;
    };
    for (OpOperand &operand : op->getOpOperands()) {
      BlockArgument argument = op.getMatchingBlockArgument(&operand);
      depends[argument] = dimsOf(op.getMatchingIndexingMap(&operand));
      if (argument.use_empty())
        continue;
      if (op.isDpsInput(&operand))
        work.push_back({depends[argument], 1.0});
      else
        accumulates = true;
    }
    for (Operation &inner : op.getBody()->without_terminator()) {
      llvm::SmallBitVector dims(rank);
      for (Value operand : inner.getOperands())
        if (auto found = depends.find(operand); found != depends.end())
          dims |= found->second;
      if (auto index = dyn_cast<linalg::IndexOp>(inner))
        dims.set(index.getDim());
      for (Value result : inner.getResults())
        depends[result] = dims;
      if (inner.hasTrait<OpTrait::ConstantLike>())
        continue;
      ++bodySize;
      bool isVector = vectorDim || llvm::any_of(inner.getResultTypes(), llvm::IsaPred<VectorType>);
      work.push_back({dims, isVector ? 1.0 : 0.5});
    }
  }

  /// Cost of one output in a tile: what several outputs share is paid once.
  double costOf(ArrayRef<int64_t> tile) {
    double cost = 0, outputs = 1;
    for (unsigned dim : parallels)
      outputs *= tile[dim];
    for (const Work &item : work) {
      double copies = item.cost;
      for (unsigned dim : parallels)
        if (item.dims[dim])
          copies *= tile[dim];
      cost += copies;
    }
    // A step of a loop.
    return (cost + 1) / outputs;
  }

  int64_t outputsLimit() {
    int64_t accumulators = accumulates ? op.getNumDpsInits() : 0;
    if (accumulators == 0)
      return bodySize > kMediumBody ? 1 : bodySize > kSmallBody ? 2 : 4;
    if (bodySize > kMediumBody)
      return 2;
    if (bodySize > kSmallBody)
      return 4;
    return std::max<int64_t>(1, registers * 3 / 4 / accumulators);
  }

  /// Takes the outputs of two dimensions at once, those with the least work an output: the innermost
  /// where several pairs have it.
  void chooseTile() {
    tile.assign(ranges.size(), 1);
    SmallVector<unsigned> candidates;
    for (unsigned dim : llvm::reverse(parallels))
      if (ranges[dim] > 1)
        candidates.push_back(dim);
    double best = std::numeric_limits<double>::infinity();
    if (candidates.size() == 1)
      chooseSizes(candidates[0], std::nullopt, best);
    for (unsigned second = 1; second < candidates.size(); ++second)
      for (unsigned first = 0; first < second; ++first)
        chooseSizes(candidates[first], candidates[second], best);
  }

  /// Makes `tile` one of the outputs of two dimensions where its cost is below `best`.
  void chooseSizes(unsigned first, std::optional<unsigned> second, double &best) {
    int64_t limit = outputsLimit(), others = second ? ranges[*second] : 1;
    for (int64_t size = 1; size <= std::min(limit, ranges[first]); ++size) {
      for (int64_t other = 1; other <= std::min(limit / size, others); ++other) {
        // What is left over has code of its own: in one dimension only.
        int64_t rest = ranges[first] % size, otherRest = others % other;
        if (rest && otherRest)
          continue;
        SmallVector<int64_t> sizes(ranges.size(), 1);
        sizes[first] = size;
        if (second)
          sizes[*second] = other;
        double cost = costOf(sizes);
        if (rest || otherRest) {
          SmallVector<int64_t> left = sizes;
          unsigned dim = rest ? first : *second;
          left[dim] = rest ? rest : otherRest;
          double share = double(left[dim]) / ranges[dim];
          cost = cost * (1 - share) + costOf(left) * share;
          cost *= 1.02;
        }
        if (cost < best - 1e-9) {
          best = cost;
          tile = sizes;
        }
      }
    }
  }

  /// Loops over outputs that read other samples' values stand outside those that read other weights
  /// only: a few values, each of all samples, are used with all weights before the next ones come.
  void orderLoops() {
    llvm::SmallBitVector moves(ranges.size());
    for (OpOperand *input : op.getDpsInputOperands())
      if (auto type = dyn_cast<MemRefType>(input->get().getType());
          type && isa<VectorType>(type.getElementType()))
        for (unsigned dim : parallels)
          if (op.getMatchingIndexingMap(input).isFunctionOfDim(dim))
            moves.set(dim);
    if (moves.any())
      std::stable_partition(parallels.begin(), parallels.end(),
                            [&](unsigned dim) { return moves[dim]; });
  }

  /// Unrolls inner reductions as a whole, or the innermost by a divisor.
  void chooseUnroll() {
    unroll.assign(ranges.size(), 1);
    int64_t ops = bodySize + 1;
    for (unsigned dim : parallels)
      ops *= tile[dim];
    for (unsigned dim : llvm::reverse(reductions)) {
      if (ops * ranges[dim] <= kMostUnrolled) {
        unroll[dim] = ranges[dim];
        ops *= ranges[dim];
        continue;
      }
      for (int64_t factor : {4, 3, 2})
        if (ranges[dim] % factor == 0 && ops * factor <= kMostUnrolled) {
          unroll[dim] = factor;
          break;
        }
      break;
    }
  }

  /// Every memref as a one-dimensional one, so that an address is one sum.
  void flatten(linalg::GenericOp of) {
    for (Value operand : of->getOperands()) {
      auto type = dyn_cast<MemRefType>(operand.getType());
      if (!type || flat.contains(operand))
        continue;
      Layout layout = *getLayout(type);
      auto flatType = MemRefType::get({layout.extent}, type.getElementType(),
                                      MemRefLayoutAttrInterface(), type.getMemorySpace());
      flat[operand] = memref::ReinterpretCastOp::create(b, loc, flatType, operand, /*offset=*/0,
                                                        /*sizes=*/ArrayRef<int64_t>{layout.extent},
                                                        /*strides=*/ArrayRef<int64_t>{1});
      layouts[operand] = layout;
    }
  }

  AffineMap identity() { return b.getMultiDimIdentityMap(ranges.size()); }

  Value constant(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

  void emitParallel(unsigned depth, SmallVectorImpl<int64_t> &sizes) {
    if (depth == parallels.size()) {
      emitBlock(sizes);
      return;
    }
    unsigned dim = parallels[depth];
    int64_t whole = ranges[dim] / tile[dim] * tile[dim];
    auto at = [&](Value start, int64_t size) {
      ivs[dim] = start;
      sizes[dim] = size;
      emitParallel(depth + 1, sizes);
    };
    if (whole == tile[dim]) {
      at(constant(0), tile[dim]);
    } else if (whole) {
      auto loop = scf::ForOp::create(b, loc, constant(0), constant(whole), constant(tile[dim]));
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(loop.getBody()->getTerminator());
      at(loop.getInductionVar(), tile[dim]);
    }
    if (whole != ranges[dim])
      at(constant(whole), ranges[dim] - whole);
  }

  /// Calls `body` for each point of a box, the last dimension fastest.
  static void forEachPoint(ArrayRef<unsigned> dims, ArrayRef<int64_t> sizes, unsigned depth,
                           SmallVectorImpl<int64_t> &point, function_ref<void()> body) {
    if (depth == dims.size())
      return body();
    for (int64_t i = 0; i < sizes[dims[depth]]; ++i) {
      point[dims[depth]] = i;
      forEachPoint(dims, sizes, depth + 1, point, body);
    }
    point[dims[depth]] = 0;
  }

  void emitBlock(ArrayRef<int64_t> sizes) {
    SmallVector<Value> accumulators;
    SmallVector<int64_t> point(ranges.size(), 0);
    for (unsigned dim : reductions)
      ivs[dim] = constant(0);
    if (accumulates)
      forEachPoint(parallels, sizes, 0, point,
                   [&] { llvm::append_range(accumulators, initial(point)); });
    SmallVector<Value> results = emitReductions(0, sizes, accumulators);
    // The results of points lie one after the other.
    unsigned position = 0, inits = op.getNumDpsInits();
    forEachPoint(parallels, sizes, 0, point, [&] {
      ArrayRef<Value> mine = ArrayRef(results).slice(position, inits);
      position += inits;
      if (nest.epilogue)
        storeEpilogue(point, mine.front());
      else
        store(op, mine, identity(), point);
    });
  }

  SmallVector<Value> initial(ArrayRef<int64_t> point) {
    SmallVector<Value> values;
    for (OpOperand &init : op.getDpsInitsMutable()) {
      Value value = nest.fill ? evaluate(nest.fill, fillPosition(), point, {}).front()
                              : load(init.get(), op.getMatchingIndexingMap(&init), point);
      values.push_back(toVector(value));
    }
    return values;
  }

  /// The iterators of `fill` where the reduction's output map leads.
  AffineMap fillPosition() {
    linalg::GenericOp fill = nest.fill;
    AffineMap inverse = inversePermutation(fill.getMatchingIndexingMap(fill.getDpsInitOperand(0)));
    return inverse.compose(op.getMatchingIndexingMap(op.getDpsInitOperand(0)));
  }

  SmallVector<Value> emitReductions(unsigned depth, ArrayRef<int64_t> sizes,
                                    ArrayRef<Value> before) {
    if (depth == reductions.size() || isUnrolledFrom(depth))
      return emitSteps(depth, sizes, before);
    unsigned dim = reductions[depth];
    if (unroll[dim] == ranges[dim] && ranges[dim] == 1)
      return emitReductions(depth + 1, sizes, before);
    auto loop = scf::ForOp::create(b, loc, constant(0), constant(ranges[dim]),
                                   constant(depth + 1 == reductions.size() ? unroll[dim] : 1),
                                   before);
    OpBuilder::InsertionGuard guard(b);
    Block *body = loop.getBody();
    if (before.empty())
      b.setInsertionPoint(body->getTerminator());
    else
      b.setInsertionPointToEnd(body);
    ivs[dim] = loop.getInductionVar();
    SmallVector<Value> inside(loop.getRegionIterArgs().begin(), loop.getRegionIterArgs().end());
    SmallVector<Value> after = depth + 1 == reductions.size()
                                   ? emitSteps(depth, sizes, inside)
                                   : emitReductions(depth + 1, sizes, inside);
    if (!before.empty())
      scf::YieldOp::create(b, loc, after);
    ivs[dim] = Value();
    return SmallVector<Value>(loop.getResults());
  }

  bool isUnrolledFrom(unsigned depth) {
    return llvm::all_of(ArrayRef(reductions).drop_front(depth),
                        [&](unsigned dim) { return unroll[dim] == ranges[dim]; });
  }

  /// The steps of the reductions from `depth` on that are unrolled, in the defined order: for every
  /// output, one after the other.
  SmallVector<Value> emitSteps(unsigned depth, ArrayRef<int64_t> sizes, ArrayRef<Value> before) {
    for (unsigned dim : ArrayRef(reductions).drop_front(depth))
      if (!ivs[dim] || unroll[dim] == ranges[dim])
        ivs[dim] = constant(0);
    SmallVector<Value> values(before);
    SmallVector<int64_t> point(ranges.size(), 0);
    unsigned inits = op.getNumDpsInits();
    forEachPoint(ArrayRef(reductions).drop_front(depth), unroll, 0, point, [&] {
      SmallVector<Value> next;
      unsigned position = 0;
      forEachPoint(parallels, sizes, 0, point, [&] {
        ArrayRef<Value> mine = accumulates ? ArrayRef(values).slice(position, inits)
                                           : ArrayRef<Value>();
        position += inits;
        for (Value value : evaluate(op, identity(), point, mine))
          next.push_back(toVector(value));
      });
      values = std::move(next);
    });
    return values;
  }

  /// The values that `of` yields at the iterators that `position` makes of the nest's.
  SmallVector<Value> evaluate(linalg::GenericOp of, AffineMap position, ArrayRef<int64_t> point,
                              ArrayRef<Value> accumulators, Value sums = {}, Value sumsFrom = {}) {
    IRMapping values;
    for (OpOperand &operand : of->getOpOperands()) {
      BlockArgument argument = of.getMatchingBlockArgument(&operand);
      if (argument.use_empty())
        continue;
      if (sumsFrom && operand.get() == sumsFrom) {
        values.map(argument, sums);
      } else if (of.isDpsInit(&operand) && !accumulators.empty()) {
        values.map(argument, accumulators[operand.getOperandNumber() - of.getNumDpsInputs()]);
      } else if (!isa<MemRefType>(operand.get().getType())) {
        values.map(argument, operand.get());
      } else {
        AffineMap map = of.getMatchingIndexingMap(&operand).compose(position);
        values.map(argument, load(operand.get(), map, point));
      }
    }
    for (Operation &inner : of.getBody()->without_terminator()) {
      if (auto index = dyn_cast<linalg::IndexOp>(inner))
        values.map(index.getResult(), apply(position.getResult(index.getDim()), point));
      else
        vectorize(b.clone(inner, values));
    }
    SmallVector<Value> results;
    for (Value result : of.getBody()->getTerminator()->getOperands())
      results.push_back(values.lookupOrDefault(result));
    return results;
  }

  /// The iterators of the epilogue where it reads the reduction's output.
  AffineMap epiloguePosition() {
    linalg::GenericOp epilogue = nest.epilogue;
    AffineMap read;
    for (OpOperand &operand : epilogue->getOpOperands())
      if (operand.get() == op.getDpsInitOperand(0)->get() &&
          !epilogue.getMatchingBlockArgument(&operand).use_empty())
        read = epilogue.getMatchingIndexingMap(&operand);
    return inversePermutation(read).compose(op.getMatchingIndexingMap(op.getDpsInitOperand(0)));
  }

  void storeEpilogue(ArrayRef<int64_t> point, Value sum) {
    linalg::GenericOp epilogue = nest.epilogue;
    Value sums = op.getDpsInitOperand(0)->get();
    AffineMap position = epiloguePosition();
    SmallVector<Value> results = evaluate(epilogue, position, point, {}, sum, sums);
    store(epilogue, results, position, point);
  }

  /// Writes an op's results to its outputs, at the iterators that `position` makes of the nest's.
  void store(linalg::GenericOp of, ArrayRef<Value> results, AffineMap position,
             ArrayRef<int64_t> point) {
    for (auto [result, init] : llvm::zip_equal(results, of.getDpsInitsMutable())) {
      AffineMap map = of.getMatchingIndexingMap(&init).compose(position);
      Value to = flat.lookup(init.get()), at = address(init.get(), map, point);
      if (vectorDim)
        vector::StoreOp::create(b, loc, toVector(result), to, at);
      else
        memref::StoreOp::create(b, loc, result, to, at);
    }
  }

  Value load(Value memref, AffineMap map, ArrayRef<int64_t> point) {
    auto type = cast<MemRefType>(memref.getType());
    Value from = flat.lookup(memref), at = address(memref, map, point);
    if (vectorDim && strideAlong(type, map, *vectorDim) == 1)
      return vector::LoadOp::create(b, loc, VectorType::get({lanes}, type.getElementType()), from,
                                    at);
    return memref::LoadOp::create(b, loc, from, at);
  }

  Value address(Value memref, AffineMap map, ArrayRef<int64_t> point) {
    return apply(linearized(layouts.find(memref)->second, map), point);
  }

  /// The value of an expression of the iterators at the loops' variables plus `point`.
  Value apply(AffineExpr expr, ArrayRef<int64_t> point) {
    SmallVector<AffineExpr> zeros, shifted;
    for (unsigned dim = 0; dim < ranges.size(); ++dim) {
      AffineExpr iterator = b.getAffineDimExpr(dim);
      // What does not move needs no variable.
      if (!ivs[dim])
        iterator = b.getAffineConstantExpr(0);
      else if (auto fixed = ivs[dim].getDefiningOp<arith::ConstantIndexOp>())
        iterator = b.getAffineConstantExpr(fixed.value());
      int64_t size = vectorDim == dim ? lanes : 1;
      zeros.push_back(iterator * size);
      shifted.push_back((iterator + point[dim]) * size);
    }
    unsigned rank = ranges.size();
    AffineExpr base = simplifyAffineExpr(expr.replaceDims(zeros), rank, 0);
    AffineExpr moved = simplifyAffineExpr(expr.replaceDims(shifted), rank, 0);
    AffineExpr distance = simplifyAffineExpr(moved - base, rank, 0);
    // Addresses that differ by a constant share the rest.
    auto by = dyn_cast<AffineConstantExpr>(distance);
    Value value = materialize(by ? base : moved);
    if (!by || by.getValue() == 0)
      return value;
    // A reversed dimension goes backwards: as an unsigned number the distance wraps.
    auto flags = arith::IntegerOverflowFlags::nsw;
    if (by.getValue() > 0)
      flags = flags | arith::IntegerOverflowFlags::nuw;
    return arith::AddIOp::create(b, loc, value, constant(by.getValue()), flags);
  }

  Value materialize(AffineExpr expr) {
    if (auto fixed = dyn_cast<AffineConstantExpr>(expr))
      return constant(fixed.getValue());
    // Only variables that the expression has: others may belong to a loop that is closed.
    SmallVector<Value> operands;
    SmallVector<AffineExpr> dims(ranges.size(), b.getAffineConstantExpr(0));
    for (unsigned dim = 0; dim < ranges.size(); ++dim)
      if (expr.isFunctionOfDim(dim)) {
        dims[dim] = b.getAffineDimExpr(operands.size());
        operands.push_back(ivs[dim]);
      }
    AffineMap map = AffineMap::get(operands.size(), 0, expr.replaceDims(dims));
    return affine::AffineApplyOp::create(b, loc, map, operands);
  }

  IRRewriter &b;
  Nest nest;
  linalg::GenericOp op;
  Location loc;
  SmallVector<int64_t> ranges;
  int64_t registers;
  std::optional<unsigned> vectorDim; // whose iterator counts vectors of `lanes` outputs
  int64_t lanes = 1;
  SmallVector<unsigned> parallels, reductions;
  SmallVector<Work> work;
  bool accumulates = false;
  unsigned bodySize = 0;
  SmallVector<int64_t> tile, unroll;
  DenseMap<Value, Value> flat;
  DenseMap<Value, Layout> layouts;
  SmallVector<Value> ivs;
};

/// Ops of a block that read or write a buffer, through views too; null if it escapes.
std::optional<SetVector<Operation *>> usersOf(Value buffer, Block *block) {
  SetVector<Operation *> users;
  for (Operation *user : buffer.getUsers()) {
    Operation *here = block->findAncestorOpInBlock(*user);
    if (!here)
      return std::nullopt;
    users.insert(here);
    if (isa<ViewLikeOpInterface>(user)) {
      // A view of the buffer: whatever uses it uses the buffer.
      for (Value result : user->getResults()) {
        auto more = usersOf(result, block);
        if (!more)
          return std::nullopt;
        users.insert(more->begin(), more->end());
      }
    }
  }
  return users;
}

/// Finds the op before `op` that fills its accumulators, and the elementwise op after it that reads
/// them, where nobody else sees the values between.
Nest formNest(linalg::GenericOp op) {
  Nest nest{op, {}, {}};
  if (op.getNumReductionLoops() == 0 || op.getNumDpsInits() != 1)
    return nest;
  Value buffer = op.getDpsInitOperand(0)->get();
  // An argument that is written is an output: nobody else sees it before the function returns.
  bool isOutput = isa<BlockArgument>(buffer);
  if (!buffer.getDefiningOp<memref::AllocOp>() && !isOutput)
    return nest;
  Block *block = op->getBlock();
  auto users = usersOf(buffer, block);
  if (!users || llvm::any_of(op.getDpsInputOperands(),
                             [&](OpOperand *operand) { return operand->get() == buffer; }))
    return nest;
  // The nearest users around the op.
  Operation *previous = nullptr, *next = nullptr;
  for (Operation *user : *users) {
    if (user->isBeforeInBlock(op) && (!previous || previous->isBeforeInBlock(user)))
      previous = user;
    if (op->isBeforeInBlock(user) && (!next || user->isBeforeInBlock(next)))
      next = user;
  }
  auto isElementwise = [&](linalg::GenericOp candidate) {
    return candidate && canBlock(candidate) && candidate.getNumReductionLoops() == 0 &&
           candidate.getNumDpsInits() == 1 &&
           candidate.getMatchingIndexingMap(candidate.getDpsInitOperand(0)).isPermutation();
  };
  auto fill = dyn_cast_or_null<linalg::GenericOp>(previous);
  if (isElementwise(fill) && fill.getDpsInitOperand(0)->get() == buffer &&
      fill.getMatchingBlockArgument(fill.getDpsInitOperand(0)).use_empty() &&
      llvm::none_of(fill.getDpsInputOperands(),
                    [](OpOperand *operand) { return isa<MemRefType>(operand->get().getType()); }))
    nest.fill = fill;

  auto epilogue = dyn_cast_or_null<linalg::GenericOp>(next);
  if (!isElementwise(epilogue) ||
      !op.getMatchingIndexingMap(op.getDpsInitOperand(0)).isProjectedPermutation())
    return nest;
  unsigned reads = 0;
  for (OpOperand &operand : epilogue->getOpOperands())
    if (operand.get() == buffer && !epilogue.getMatchingBlockArgument(&operand).use_empty()) {
      ++reads;
      if (!epilogue.getMatchingIndexingMap(&operand).isPermutation())
        return nest;
    }
  Value target = epilogue.getDpsInitOperand(0)->get();
  bool inPlace = target == buffer;
  if (inPlace && epilogue.getMatchingIndexingMap(epilogue.getDpsInitOperand(0)) !=
                     epilogue.getMatchingIndexingMap(epilogue.getDpsInputOperand(0)))
    inPlace = false;
  // Whether the sums are read afterwards.
  bool isLast = !isOutput && llvm::none_of(*users, [&](Operation *user) {
    return epilogue->isBeforeInBlock(user) && !isa<memref::DeallocOp>(user);
  });
  if (reads != 1 || !(isLast || inPlace))
    return nest;
  // Between the two, nothing may write what the epilogue reads, or read or write what it writes.
  for (Operation *between = op->getNextNode(); between != epilogue;
       between = between->getNextNode())
    if (!isMemoryEffectFree(between) && !isa<memref::AllocOp>(between))
      return nest;
  // The epilogue's own writes must not reach what the reduction still reads.
  if (!inPlace && !target.getDefiningOp<memref::AllocOp>() && !isa<BlockArgument>(target))
    return nest;
  if (llvm::any_of(op.getDpsInputOperands(), [&](OpOperand *operand) {
        Value source = operand->get();
        while (auto view = source.getDefiningOp<ViewLikeOpInterface>())
          source = view.getViewSource();
        return source == target;
      }))
    return nest;
  nest.epilogue = epilogue;
  return nest;
}

struct RegisterBlock : impl::RegisterBlockBase<RegisterBlock> {
  using Base::Base;

  void getDependentDialects(DialectRegistry &registry) const override {
    Base::getDependentDialects(registry);
    registry.insert<vector::VectorDialect>();
  }

  void runOnOperation() override {
    SmallVector<linalg::GenericOp> ops;
    getOperation()->walk([&](linalg::GenericOp op) { ops.push_back(op); });
    // Reductions take their neighbours along.
    DenseSet<Operation *> taken;
    SmallVector<Nest> nests;
    for (linalg::GenericOp op : ops)
      if (op.getNumReductionLoops() && canBlock(op)) {
        Nest nest = formNest(op);
        if (nest.fill && !taken.insert(nest.fill).second)
          nest.fill = {};
        if (nest.epilogue && !taken.insert(nest.epilogue).second)
          nest.epilogue = {};
        taken.insert(op);
        nests.push_back(nest);
      }
    for (linalg::GenericOp op : ops)
      if (!taken.contains(op) && canBlock(op))
        nests.push_back({op, {}, {}});
    IRRewriter rewriter(&getContext());
    for (Nest &nest : nests) {
      // After all that the epilogue reads.
      rewriter.setInsertionPoint(nest.epilogue ? nest.epilogue : nest.op);
      Emitter(rewriter, nest, registers).emit();
    }
    for (Nest &nest : nests)
      for (linalg::GenericOp op : {nest.epilogue, nest.op, nest.fill})
        if (op)
          rewriter.eraseOp(op);
  }
};
} // namespace
} // namespace asnet
