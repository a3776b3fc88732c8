// SPDX-License-Identifier: Apache-2.0
#include "passes/Passes.h"

#include "dialects/approx/Layers.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/StringExtras.h"

#include <set>

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_SPLITCHANNELS
#include "passes/Passes.h.inc"

namespace {
/// Ranges of output channels of a layer: `conv=0:8+12:16`.
struct Request {
  StringRef text;
  std::string layer;
  SmallVector<std::pair<int64_t, int64_t>> ranges;
};

/// The output channels of an op: loops over outputs that choose weights, the outermost of which is
/// split, in steps of `inner` channels.
struct Channels {
  unsigned dim;
  int64_t count; // of steps
  int64_t inner;
};

/// Whether an op adds up products.
bool sumsProducts(linalg::GenericOp op) {
  return op.getNumReductionLoops() > 0 && op.hasPureTensorSemantics() && op.getNumDpsInits() == 1 &&
         op.getBody()
             ->walk([](Operation *inner) {
               return isa<approx::MulIOp, approx::MulFOp>(inner) ? WalkResult::interrupt()
                                                                 : WalkResult::advance();
             })
             .wasInterrupted();
}

/// Values that depend on the samples; weights do not.
DenseSet<Value> findActivations(func::FuncOp function) {
  DenseSet<Value> found;
  for (BlockArgument argument : function.getArguments())
    if (!function.getArgAttr(argument.getArgNumber(), approx::kWeightAttrName))
      found.insert(argument);
  for (Operation &op : function.getBody().front()) {
    bool depends = op.walk([&](Operation *inner) {
                       return llvm::any_of(inner->getOperands(),
                                           [&](Value value) { return found.contains(value); })
                                  ? WalkResult::interrupt()
                                  : WalkResult::advance();
                     }).wasInterrupted();
    if (depends)
      found.insert(op.result_begin(), op.result_end());
  }
  return found;
}

std::optional<Channels> findChannels(linalg::GenericOp op, const DenseSet<Value> &activations) {
  SmallVector<int64_t> extents = op.getStaticLoopRanges();
  SmallVector<utils::IteratorType> iterators = op.getIteratorTypesArray();
  auto indexes = [](AffineMap map, unsigned dim) {
    return llvm::is_contained(map.getResults(), getAffineDimExpr(dim, map.getContext()));
  };
  AffineMap output = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  std::optional<Channels> found;
  for (AffineExpr expr : output.getResults()) {
    auto dimExpr = dyn_cast<AffineDimExpr>(expr);
    if (!dimExpr || iterators[dimExpr.getPosition()] != utils::IteratorType::parallel)
      continue;
    unsigned dim = dimExpr.getPosition();
    bool chooses = llvm::any_of(op.getDpsInputOperands(), [&](OpOperand *operand) {
      return !activations.contains(operand->get()) &&
             indexes(op.getMatchingIndexingMap(operand), dim);
    });
    if (!chooses || ShapedType::isDynamic(extents[dim]))
      continue;
    if (found)
      found->inner *= extents[dim];
    else
      found = Channels{dim, extents[dim], 1};
  }
  return found;
}

/// The steps `[begin, end)` of `dim` of an operand, or the operand where it has no such dimension.
Value slice(IRRewriter &b, Location loc, Value operand, AffineMap map, unsigned dim, int64_t begin,
            int64_t end, DictionaryAttr attributes) {
  auto type = cast<RankedTensorType>(operand.getType());
  SmallVector<OpFoldResult> offsets(type.getRank(), b.getIndexAttr(0)),
      strides(type.getRank(), b.getIndexAttr(1));
  SmallVector<OpFoldResult> sizes;
  bool has = false;
  for (auto [position, expr] : llvm::enumerate(map.getResults())) {
    bool own = expr == getAffineDimExpr(dim, map.getContext());
    has |= own;
    if (own)
      offsets[position] = b.getIndexAttr(begin);
    sizes.push_back(b.getIndexAttr(own ? end - begin : type.getDimSize(position)));
  }
  if (!has)
    return operand;
  auto op = tensor::ExtractSliceOp::create(b, loc, operand, offsets, sizes, strides);
  op->setDiscardableAttrs(attributes);
  return op;
}

/// Computes an op in parts, each from one cut to the next; a part's layer is named after its channels.
void split(IRRewriter &b, linalg::GenericOp op, const Channels &channels, ArrayRef<int64_t> cuts,
           StringRef layer) {
  b.setInsertionPoint(op);
  Location loc = op.getLoc();
  OpOperand *init = op.getDpsInitOperand(0);
  Value whole = init->get();
  for (auto [begin, end] : llvm::zip(cuts.drop_back(), cuts.drop_front())) {
    std::string name =
        (layer + "/[" + Twine(begin * channels.inner) + ":" + Twine(end * channels.inner) + "]")
            .str();
    NamedAttrList attributes(op->getDiscardableAttrDictionary());
    attributes.set(approx::kLayerAttrName, b.getStringAttr(name));
    DictionaryAttr own = attributes.getDictionary(b.getContext());
    SmallVector<Value> operands;
    for (OpOperand &operand : op->getOpOperands())
      operands.push_back(slice(b, loc, operand.get(), op.getMatchingIndexingMap(&operand),
                               channels.dim, begin, end, own));
    Operation *part = clone(b, op, operands.back().getType(), operands);
    part->setDiscardableAttrs(own);
    auto type = cast<RankedTensorType>(operands.back().getType());
    SmallVector<OpFoldResult> offsets, sizes, strides(type.getRank(), b.getIndexAttr(1));
    for (auto [position, expr] : llvm::enumerate(op.getMatchingIndexingMap(init).getResults())) {
      bool isChannel = expr == getAffineDimExpr(channels.dim, b.getContext());
      offsets.push_back(b.getIndexAttr(isChannel ? begin : 0));
      sizes.push_back(b.getIndexAttr(type.getDimSize(position)));
    }
    auto insert = tensor::InsertSliceOp::create(b, loc, part->getResult(0), whole, offsets, sizes,
                                                strides);
    insert->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    whole = insert;
  }
  b.replaceOp(op, whole);
}

struct SplitChannels : impl::SplitChannelsBase<SplitChannels> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<Request> requests;
    for (const std::string &text : ranges)
      if (failed(parse(text, requests)))
        return signalPassFailure();
    IRRewriter rewriter(&getContext());
    SmallVector<bool> used(requests.size());
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      DenseSet<Value> activations = findActivations(function);
      for (auto op :
           llvm::make_early_inc_range(function.getBody().front().getOps<linalg::GenericOp>()))
        if (failed(splitOp(rewriter, op, activations, requests, used)))
          return signalPassFailure();
    }
    for (auto [request, isUsed] : llvm::zip(requests, used))
      if (!isUsed) {
        emitError(request) << "layer '" << request.layer << "' sums no products";
        return signalPassFailure();
      }
  }

private:
  InFlightDiagnostic emitError(const Request &request) {
    return getOperation().emitError("channels '") << request.text << "': ";
  }

  LogicalResult parse(StringRef text, SmallVectorImpl<Request> &requests) {
    auto [layer, list] = text.rsplit('=');
    Request request{text, approx::decodeLayerName(layer), {}};
    for (StringRef range : llvm::split(list, '+')) {
      int64_t begin, end;
      auto [first, last] = range.split(':');
      if (first.getAsInteger(10, begin) || last.getAsInteger(10, end) || begin < 0 || begin >= end)
        return emitError(request) << "is malformed; expected LAYER=BEGIN:END[+BEGIN:END..]";
      request.ranges.emplace_back(begin, end);
    }
    if (request.layer.empty())
      return emitError(request) << "is malformed; expected LAYER=BEGIN:END[+BEGIN:END..]";
    requests.push_back(std::move(request));
    return success();
  }

  LogicalResult splitOp(IRRewriter &rewriter, linalg::GenericOp op,
                        const DenseSet<Value> &activations, ArrayRef<Request> requests,
                        MutableArrayRef<bool> used) {
    StringAttr layer = approx::getLayer(op);
    if (!layer || !sumsProducts(op))
      return success();
    bool isPart = approx::splitChannels(layer.getValue()).second.has_value();
    std::set<int64_t> cuts;
    std::optional<Channels> channels;
    for (auto [number, request] : llvm::enumerate(requests)) {
      if (!approx::isWithin(layer.getValue(), request.layer))
        continue;
      used[number] = true;
      if (isPart)
        continue;
      channels = findChannels(op, activations);
      if (!channels || op.hasIndexSemantics())
        return emitError(request) << "layer '" << layer.getValue()
                                  << "' has no output channels: no loop over its outputs chooses "
                                     "its weights";
      int64_t count = channels->count * channels->inner;
      for (auto [begin, end] : request.ranges) {
        if (end > count)
          return emitError(request) << "layer '" << layer.getValue() << "' has " << count
                                    << " output channels, not " << end;
        if (begin % channels->inner || end % channels->inner)
          return emitError(request)
                 << "layer '" << layer.getValue() << "' has groups of " << channels->inner
                 << " channels, which " << begin << ":" << end << " divides";
        cuts.insert({begin / channels->inner, end / channels->inner});
      }
    }
    if (every > 0 && !isPart && !op.hasIndexSemantics()) {
      channels = findChannels(op, activations);
      int64_t step = channels ? llvm::divideCeil(every, channels->inner) : 0;
      for (int64_t cut = step; channels && cut < channels->count; cut += step)
        cuts.insert(cut);
    }
    if (!channels || (cuts.empty() && every > 0))
      return success();
    cuts.insert({0, channels->count});
    split(rewriter, op, *channels, llvm::to_vector(cuts), layer.getValue());
    return success();
  }
};
} // namespace
} // namespace asnet
