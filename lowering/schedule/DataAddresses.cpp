// SPDX-License-Identifier: Apache-2.0
#include "lowering/schedule/Schedule.h"

#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_DATAADDRESSES
#include "lowering/Lowering.h.inc"

namespace {
/// A place in memory: what loops say, and a word that data say, which is in a range.
struct Place {
  AffineExpr loops;
  Value word; // i32, or none
  int64_t low = 0, high = 0;
};

Value viewSource(Value view) {
  while (auto viewLike = view.getDefiningOp<ViewLikeOpInterface>())
    view = viewLike.getViewSource();
  return view;
}

/// Makes the address of a load of two parts, a linear function of the loops and a word.
class AddressMaker {
public:
  explicit AddressMaker(Operation *load)
      : load(load), b(load), loc(load->getLoc()), context(load->getContext()) {}

  /// Nothing happens to a load whose address has no part from data.
  LogicalResult rewrite(Value memory, AffineMap map, ValueRange operands);

private:
  FailureOr<Place> placeOf(Value index);
  FailureOr<Place> placeOf(AffineExpr expr, ValueRange operands, unsigned numDims);
  FailureOr<Place> originOf(Value view);
  FailureOr<Place> limited(Operation *op);
  FailureOr<Place> sum(const Place &x, const Place &y);
  FailureOr<Place> scaled(const Place &place, int64_t factor);
  std::optional<std::pair<int64_t, int64_t>> rangeOf(AffineExpr expr);
  Value constant(int64_t word) {
    return arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(int32_t(word)));
  }
  Place known(int64_t place) { return {getAffineConstantExpr(place, context), {}}; }
  LogicalResult refuse(const Twine &why) {
    scheduleError(load, "reads where data say, but ", why.str());
    return failure();
  }

  Operation *load;
  OpBuilder b;
  Location loc;
  MLIRContext *context;
  SmallVector<Value> variables; // of the loops, by dimension of expressions
};

bool comesFromData(Value index) {
  Operation *op = index.getDefiningOp();
  if (!op || !index.getType().isIndex())
    return false;
  return isa<arith::IndexCastOp, arith::IndexCastUIOp>(op) ||
         llvm::any_of(op->getOperands(), comesFromData);
}

/// Whether a view begins, or is begun by one that does, where data say.
bool beginsWhereDataSay(Value view) {
  auto viewLike = view.getDefiningOp<ViewLikeOpInterface>();
  return viewLike && (llvm::any_of(viewLike->getOperands(), comesFromData) ||
                      beginsWhereDataSay(viewLike.getViewSource()));
}

FailureOr<Place> AddressMaker::sum(const Place &x, const Place &y) {
  Place place{x.loops + y.loops, x.word ? x.word : y.word, x.low + y.low, x.high + y.high};
  if (!llvm::isInt<32>(place.low) || !llvm::isInt<32>(place.high))
    return refuse("nothing keeps the index small enough for 32 bits");
  if (x.word && y.word)
    place.word = arith::AddIOp::create(b, loc, x.word, y.word);
  return place;
}

/// Products by signed digits, of which few are not zero: 7 times is 8 times less once.
FailureOr<Place> AddressMaker::scaled(const Place &place, int64_t factor) {
  if (!place.word || factor == 0)
    return Place{place.loops * factor, {}};
  if (factor < 0)
    return refuse("the address falls where the index rises");
  Place product{place.loops * factor, {}, place.low * factor, place.high * factor};
  if (!llvm::isInt<32>(product.low) || !llvm::isInt<32>(product.high))
    return refuse("nothing keeps the index small enough for 32 bits");
  SmallVector<std::pair<unsigned, bool>> digits; // shift, negative
  for (unsigned shift = 0; factor != 0; ++shift, factor >>= 1)
    if (factor & 1) {
      bool isNegative = (factor & 3) == 3;
      digits.push_back({shift, isNegative});
      factor += isNegative ? 1 : -1;
    }
  for (auto [shift, isNegative] : llvm::reverse(digits)) {
    Value term = place.word;
    if (shift)
      term = arith::ShLIOp::create(b, loc, term, constant(shift));
    if (!product.word)
      product.word = term;
    else if (isNegative)
      product.word = arith::SubIOp::create(b, loc, product.word, term);
    else
      product.word = arith::AddIOp::create(b, loc, product.word, term);
  }
  return product;
}

/// `maxsi` or `minsi` of an index and a constant.
FailureOr<Place> AddressMaker::limited(Operation *op) {
  APInt limit;
  unsigned other = matchPattern(op->getOperand(0), m_ConstantInt(&limit)) ? 1 : 0;
  FailureOr<Place> place = placeOf(op->getOperand(other));
  if (failed(place))
    return failure();
  auto distance = dyn_cast<AffineConstantExpr>(place->loops);
  if ((other == 0 && !matchPattern(op->getOperand(1), m_ConstantInt(&limit))) || !distance ||
      !place->word)
    return refuse("its index is limited together with a loop's");
  // The limit of the word, behind which the distance is added.
  int64_t bound = limit.getSExtValue() - distance.getValue();
  if (!llvm::isInt<32>(bound))
    return refuse("nothing keeps the index small enough for 32 bits");
  Value most = constant(bound);
  if (isa<arith::MaxSIOp>(op))
    return Place{place->loops, arith::MaxSIOp::create(b, loc, place->word, most),
                 std::max(place->low, bound), std::max(place->high, bound)};
  return Place{place->loops, arith::MinSIOp::create(b, loc, place->word, most),
               std::min(place->low, bound), std::min(place->high, bound)};
}

FailureOr<Place> AddressMaker::placeOf(Value index) {
  if (affine::getForInductionVarOwner(index)) {
    auto *found = llvm::find(variables, index);
    unsigned dim = found - variables.begin();
    if (found == variables.end())
      variables.push_back(index);
    return Place{getAffineDimExpr(dim, context), {}};
  }
  APInt number;
  if (matchPattern(index, m_ConstantInt(&number)))
    return known(number.getSExtValue());
  Operation *op = index.getDefiningOp();
  if (!op)
    return refuse("its index is no loop's and no data's");
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op))
    return placeOf(apply.getAffineMap().getResult(0), apply.getMapOperands(),
                   apply.getAffineMap().getNumDims());
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp>(op)) {
    Value word = op->getOperand(0);
    if (!isIntegerWord(word.getType()))
      return refuse("its index is of " + llvm::formatv("{0}", word.getType()).str() +
                    ", not of i32");
    int64_t least = std::numeric_limits<int32_t>::min(), most = std::numeric_limits<int32_t>::max();
    if (isa<arith::IndexCastUIOp>(op)) // beyond any memory
      word = arith::MinUIOp::create(b, loc, word, constant(most)), least = 0;
    return Place{getAffineConstantExpr(0, context), word, least, most};
  }
  if (isa<arith::MaxSIOp, arith::MinSIOp>(op))
    return limited(op);
  if (isa<arith::AddIOp, arith::MulIOp>(op)) {
    FailureOr<Place> x = placeOf(op->getOperand(0)), y = placeOf(op->getOperand(1));
    if (failed(x) || failed(y))
      return failure();
    if (isa<arith::AddIOp>(op))
      return sum(*x, *y);
    if (auto factor = dyn_cast<AffineConstantExpr>(y->loops); factor && !y->word)
      return scaled(*x, factor.getValue());
  }
  return refuse("its index is made by '" + op->getName().getStringRef() + "'");
}

FailureOr<Place> AddressMaker::placeOf(AffineExpr expr, ValueRange operands, unsigned numDims) {
  if (auto number = dyn_cast<AffineConstantExpr>(expr))
    return known(number.getValue());
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return placeOf(operands[dim.getPosition()]);
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
    return placeOf(operands[numDims + symbol.getPosition()]);
  auto binary = cast<AffineBinaryOpExpr>(expr);
  FailureOr<Place> x = placeOf(binary.getLHS(), operands, numDims),
                   y = placeOf(binary.getRHS(), operands, numDims);
  if (failed(x) || failed(y))
    return failure();
  if (expr.getKind() == AffineExprKind::Add)
    return sum(*x, *y);
  if (!x->word && !y->word)
    return Place{getAffineBinaryOpExpr(expr.getKind(), x->loops, y->loops), {}};
  auto factor = dyn_cast<AffineConstantExpr>(y->loops);
  if (expr.getKind() == AffineExprKind::Mul && factor && !y->word)
    return scaled(*x, factor.getValue());
  return refuse("its index is divided");
}

/// Where the first element of a view lies, as `Memories` has it.
FailureOr<Place> AddressMaker::originOf(Value view) {
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(cast<MemRefType>(view.getType()).getStridesAndOffset(strides, offset)))
    return refuse("of memory without strides");
  if (!ShapedType::isDynamic(offset))
    return known(offset);
  auto viewLike = view.getDefiningOp<ViewLikeOpInterface>();
  if (!viewLike)
    return refuse("of memory that begins nobody knows where");
  FailureOr<Place> origin = originOf(viewLike.getViewSource());
  auto subview = dyn_cast<memref::SubViewOp>(viewLike.getOperation());
  if (failed(origin) || !subview)
    return origin;
  SmallVector<int64_t> distances;
  (void)subview.getSourceType().getStridesAndOffset(distances, offset);
  for (auto [position, distance] : llvm::zip_equal(subview.getMixedOffsets(), distances)) {
    FailureOr<Place> place = isa<Value>(position)
                                 ? placeOf(cast<Value>(position))
                                 : known(cast<IntegerAttr>(cast<Attribute>(position)).getInt());
    if (succeeded(place))
      place = scaled(*place, distance);
    if (succeeded(place))
      place = sum(*origin, *place);
    if (failed(place))
      return failure();
    origin = place;
  }
  return origin;
}

/// The least and the greatest number that a linear function of the loops takes.
std::optional<std::pair<int64_t, int64_t>> AddressMaker::rangeOf(AffineExpr expr) {
  SmallVector<int64_t> flat;
  if (failed(getFlattenedAffineExpr(expr, variables.size(), 0, &flat)) ||
      flat.size() != variables.size() + 1)
    return std::nullopt;
  int64_t low = flat.back(), high = flat.back();
  for (auto [variable, coefficient] : llvm::zip(variables, flat)) {
    affine::AffineForOp loop = affine::getForInductionVarOwner(variable);
    if (!loop.hasConstantBounds() || tripsOf(loop) == 0)
      return std::nullopt;
    int64_t first = loop.getConstantLowerBound();
    int64_t last = first + (tripsOf(loop) - 1) * loop.getStepAsInt();
    low += std::min(coefficient * first, coefficient * last);
    high += std::max(coefficient * first, coefficient * last);
  }
  return std::make_pair(low, high);
}

LogicalResult AddressMaker::rewrite(Value memory, AffineMap map, ValueRange operands) {
  if (llvm::none_of(operands, comesFromData) && !beginsWhereDataSay(memory))
    return success();
  SmallVector<int64_t> strides;
  int64_t offset;
  auto type = cast<MemRefType>(memory.getType());
  if (failed(type.getStridesAndOffset(strides, offset)) ||
      llvm::any_of(strides, ShapedType::isDynamic))
    return refuse("of memory without strides");
  FailureOr<Place> address = originOf(memory);
  for (auto [expr, stride] : llvm::zip_equal(map.getResults(), strides)) {
    FailureOr<Place> place = failed(address) ? address : placeOf(expr, operands, map.getNumDims());
    if (succeeded(place))
      place = scaled(*place, stride);
    if (failed(place))
      return failure();
    address = sum(*address, *place);
  }
  if (failed(address))
    return failure();
  Value base = viewSource(memory);
  int64_t words = cast<MemRefType>(base.getType()).getNumElements();
  auto range = rangeOf(address->loops);
  if (!range)
    return refuse("its loops are no linear function");
  if (address->low < 0 || range->first < 0 || address->high + range->second >= words)
    return refuse("nothing keeps the index inside: clamp it");

  // A view in which the word and the loops' part are an index each, of single steps.
  int64_t sizes[] = {address->high + 1, range->second + 1}, steps[] = {1, 1};
  auto layout = StridedLayoutAttr::get(context, 0, steps);
  auto viewType = MemRefType::get(sizes, type.getElementType(), layout, type.getMemorySpace());
  Value view = memref::ReinterpretCastOp::create(b, loc, viewType, base, 0, sizes, steps);
  Value data = arith::IndexCastOp::create(b, loc, b.getIndexType(), address->word);
  Value loops = affine::AffineApplyOp::create(
      b, loc, AffineMap::get(variables.size(), 0, address->loops), variables);
  auto made = memref::LoadOp::create(b, loc, view, ValueRange{data, loops});
  made->setDiscardableAttrs(load->getDiscardableAttrDictionary());
  load->replaceAllUsesWith(made);
  SmallVector<Operation *> dead{load};
  while (!dead.empty()) {
    Operation *op = dead.pop_back_val();
    SmallVector<Value> operands(op->getOperands());
    op->erase();
    for (Value operand : operands)
      if (Operation *def = operand.getDefiningOp(); def && isOpTriviallyDead(def))
        dead.push_back(def);
  }
  return success();
}

struct DataAddresses : impl::DataAddressesBase<DataAddresses> {
  void runOnOperation() override {
    WalkResult result = getOperation()->walk([&](Operation *op) -> WalkResult {
      if (auto load = dyn_cast<memref::LoadOp>(op))
        return AddressMaker(op).rewrite(
            load.getMemRef(),
            Builder(op->getContext()).getMultiDimIdentityMap(load.getIndices().size()),
            load.getIndices());
      if (auto load = dyn_cast<affine::AffineLoadOp>(op))
        return AddressMaker(op).rewrite(load.getMemRef(), load.getAffineMap(),
                                        load.getMapOperands());
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
} // namespace asnet
