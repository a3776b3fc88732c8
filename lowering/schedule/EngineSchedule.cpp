// SPDX-License-Identifier: Apache-2.0
#include "lowering/schedule/EngineSchedule.h"

using namespace mlir;

namespace asnet {

namespace {
// Words of distributed RAM are cheap up to here.
constexpr int64_t kSmallRam = 16, kMostInterleave = 32;
} // namespace

bool Engine::findChain() {
  if (func.getNumResults() != 1)
    return no("gives several values");
  Value result = func.getBody().front().getTerminator()->getOperand(0);
  DenseSet<Operation *> covered;
  for (Value value = skipReshapes(result);;) {
    auto op = value.getDefiningOp<linalg::GenericOp>();
    std::string why;
    if (!op)
      return no("has an operation that is no linalg.generic");
    if (!isEngineOp(op, why))
      return no(why);
    covered.insert(op);
    linalg::GenericOp before;
    if (op.getNumReductionLoops() == 0)
      for (OpOperand *operand : op.getDpsInputOperands())
        if (auto other = skipReshapes(operand->get()).getDefiningOp<linalg::GenericOp>()) {
          if (!findChained(op, other.getResult(0)))
            return no("reads what it computes more than once");
          before = other;
        }
    if (!before) {
      main = op;
      break;
    }
    epilogue.insert(epilogue.begin(), op);
    value = before.getResult(0);
  }
  for (Operation &op : func.getBody().front().without_terminator()) {
    if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp, tensor::PadOp, tensor::EmptyOp,
            arith::ConstantOp>(op) ||
        covered.contains(&op))
      continue;
    auto fill = dyn_cast<linalg::GenericOp>(op);
    if (!fill || main.getDpsInitOperand(0)->get() != fill.getResult(0))
      return no("has more operations than a reduction and what follows it");
  }
  if (main.getNumReductionLoops() == 0)
    return true;

  auto fill = main.getDpsInitOperand(0)->get().getDefiningOp<linalg::GenericOp>();
  std::optional<uint32_t> word;
  if (fill && fill.getNumResults() == 1) {
    Value yielded = fill.getBody()->getTerminator()->getOperand(0);
    if (auto argument = dyn_cast<BlockArgument>(yielded);
        argument && argument.getOwner() == fill.getBody())
      yielded = fill->getOperand(argument.getArgNumber());
    word = constantWord(yielded);
  }
  if (!word)
    return no("has sums that do not start from a constant");
  initial = *word;
  return true;
}

bool Engine::collectOperand(linalg::GenericOp op, OpOperand &use, bool isEpilogue,
                            ArrayRef<unsigned> outerDims, ArrayRef<unsigned> innerDims) {
  Operand operand;
  operand.isEpilogue = isEpilogue;
  AffineMap map = op.getMatchingIndexingMap(&use);
  auto type = cast<RankedTensorType>(use.get().getType());
  operand.words = operand.load = type.getNumElements();
  SmallVector<int64_t> coefficients = *linearCoefficients(linearPosition(map, type),
                                                          map.getNumDims());
  operand.base = coefficients.back();
  for (unsigned dim : outerDims)
    operand.outer.push_back(coefficients[dim]);
  for (unsigned dim : innerDims)
    operand.inner.push_back(coefficients[dim]);
  Value source = skipReshapes(use.get());
  if (auto pad = source.getDefiningOp<tensor::PadOp>()) {
    if (!pad.getConstantPaddingValue() || !constantWord(pad.getConstantPaddingValue()) ||
        !pad.getLow().empty() || !pad.getHigh().empty() ||
        llvm::any_of(pad.getStaticLow(), [](int64_t size) { return size < 0; }) ||
        llvm::any_of(pad.getStaticHigh(), [](int64_t size) { return size < 0; }))
      return no("has a padding that is not constant or negative");
    operand.pad = pad;
    operand.load = pad.getSourceType().getNumElements();
    operand.words = pad.getResultType().getNumElements();
    source = skipReshapes(pad.getSource());
  }
  operand.argument = dyn_cast<BlockArgument>(source);
  if (!operand.argument)
    return no("reads what is neither a weight nor a value of another layer");
  operand.isWeight = func.getArgAttr(operand.argument.getArgNumber(), approx::kWeightAttrName) !=
                     nullptr;
  if (operand.isWeight && operand.pad)
    return no("pads a weight");
  operandOf[{op, use.getOperandNumber()}] = operands.size();
  operands.push_back(operand);
  return true;
}

bool Engine::collectOperands() {
  SmallVector<int64_t> ranges = main.getStaticLoopRanges();
  AffineMap output = main.getMatchingIndexingMap(main.getDpsInitOperand(0));
  // Outputs leave in row-major order of the result.
  for (AffineExpr expr : output.getResults())
    if (unsigned dim = cast<AffineDimExpr>(expr).getPosition(); ranges[dim] > 1)
      outerDims.push_back(dim);
  for (auto [dim, iterator] : llvm::enumerate(main.getIteratorTypesArray()))
    if (iterator == utils::IteratorType::reduction && ranges[dim] > 1)
      innerDims.push_back(dim);
  for (unsigned dim : outerDims)
    outerRanges.push_back(ranges[dim]);
  for (unsigned dim : innerDims)
    innerRanges.push_back(ranges[dim]);
  auto collect = [&](linalg::GenericOp op, bool isEpilogue, Operation *before,
                     ArrayRef<unsigned> outer, ArrayRef<unsigned> inner) {
    for (OpOperand *use : op.getDpsInputOperands())
      if (isa<RankedTensorType>(use->get().getType()) &&
          !op.getMatchingBlockArgument(use).use_empty() &&
          (!before || skipReshapes(use->get()).getDefiningOp() != before) &&
          !collectOperand(op, *use, isEpilogue, outer, inner))
        return false;
    return true;
  };
  if (!collect(main, false, nullptr, outerDims, innerDims))
    return false;
  Operation *before = main;
  SmallVector<int64_t> shape;
  for (linalg::GenericOp op : epilogue) {
    SmallVector<int64_t> own = op.getStaticLoopRanges();
    SmallVector<unsigned> dims;
    for (auto [dim, range] : llvm::enumerate(own))
      if (range > 1)
        dims.push_back(dim);
    size_t known = operands.size();
    if (!collect(op, true, before, dims, {}))
      return false;
    if (operands.size() > known) {
      if (!shape.empty() && shape != own)
        return no("reshapes between operations that read weights");
      shape = own;
      epilogueRanges.clear();
      for (unsigned dim : dims)
        epilogueRanges.push_back(own[dim]);
    }
    before = op;
  }
  return true;
}

/// Weights of the reduction lie in the order of the loops, so that a word holds what the lanes need.
void Engine::placeWeight(Operand &operand) {
  SmallVector<int64_t> inner(operand.inner), outer(operand.outer);
  operand.laneStride = lanes > 1 ? outer.back() : 0;
  if (lanes > 1)
    outer.back() *= lanes;
  int64_t words = 1;
  SmallVector<int64_t *> strides;
  for (auto [stride, range, own] : llvm::zip_equal(inner, innerRanges, operand.inner))
    if (stride != 0) {
      operand.ranges.push_back(range);
      operand.strides.push_back(stride);
      strides.push_back(&own);
    }
  for (auto [stride, range, own] : llvm::zip_equal(outer, outerRanges, operand.outer))
    if (stride != 0) {
      operand.ranges.push_back(range);
      operand.strides.push_back(stride);
      strides.push_back(&own);
    }
  for (auto [stride, range] :
       llvm::zip_equal(llvm::reverse(strides), llvm::reverse(operand.ranges))) {
    *stride = words;
    words *= range;
  }
  operand.words = words;
}

/// Adjacent loops over which all addresses go on alike become one.
void Engine::mergeLoops(SmallVectorImpl<int64_t> &ranges, bool isEpilogue, bool isInner) {
  auto stridesOf = [&](Operand &operand) -> SmallVector<int64_t> & {
    return isInner ? operand.inner : operand.outer;
  };
  for (size_t i = ranges.size(); i-- > 1;) {
    bool fits = llvm::all_of(operands, [&](Operand &operand) {
      ArrayRef<int64_t> strides = stridesOf(operand);
      return operand.isEpilogue != isEpilogue || strides[i - 1] == strides[i] * ranges[i];
    });
    if (!fits)
      continue;
    ranges[i - 1] *= ranges[i];
    ranges.erase(ranges.begin() + i);
    for (Operand &operand : operands)
      if (operand.isEpilogue == isEpilogue) {
        SmallVector<int64_t> &strides = stridesOf(operand);
        strides.erase(strides.begin() + i - 1);
      }
  }
}

/// Lanes compute neighbours in the innermost loop over outputs. Where these read different words of
/// a value, a loop whose iterations read the same ones can become the innermost, if the outputs may
/// leave in that order.
void Engine::chooseLaneLoop() {
  unsigned count = outerRanges.size();
  if (count < 2 || isShared(count - 1) || !mayReorder || !epilogue.empty())
    return;
  for (unsigned loop = count - 1; loop-- > 0;) {
    if (!isShared(loop))
      continue;
    SmallVector<int64_t> strides(count, 1);
    for (unsigned i = count - 1; i-- > 0;)
      strides[i] = strides[i + 1] * outerRanges[i + 1];
    auto rotate = [&](SmallVectorImpl<int64_t> &values) {
      std::rotate(values.begin() + loop, values.begin() + loop + 1, values.end());
    };
    rotate(strides);
    rotate(outerRanges);
    for (Operand &operand : operands)
      rotate(operand.outer);
    orderRanges = outerRanges;
    orderStrides = std::move(strides);
    return;
  }
}

bool Engine::formLoops() {
  auto product = [](ArrayRef<int64_t> ranges) {
    int64_t all = 1;
    for (int64_t range : ranges)
      all *= range;
    return all;
  };
  outputs = product(outerRanges);
  depth = product(innerRanges);
  // Lanes share what they read of a stream.
  if (depth > 1 && lanesWanted > 1)
    chooseLaneLoop();
  bool canShare = depth > 1 && !outerRanges.empty() && isShared(outerRanges.size() - 1);
  lanes = canShare ? std::min(lanesWanted, outerRanges.back()) : 1;
  lastLanes = lanes;
  if (lanes > 1) {
    int64_t blocks = llvm::divideCeil(outerRanges.back(), lanes);
    // As many as make a difference: 10 lanes for 16 filters take as long as 8.
    lanes = llvm::divideCeil(outerRanges.back(), blocks);
    lastLanes = outerRanges.back() - (blocks - 1) * lanes;
    outerRanges.back() = blocks;
  }
  slots = product(outerRanges);
  for (Operand &operand : operands)
    if (operand.isWeight && !operand.isEpilogue)
      placeWeight(operand);
  // The innermost loop decides which lanes of a word count.
  SmallVector<int64_t> kept;
  if (lanes == 1 || lastLanes == lanes)
    mergeLoops(outerRanges, false, false);
  mergeLoops(innerRanges, false, true);
  mergeLoops(epilogueRanges, true, false);
  return true;
}

/// As soon as possible, with a register before each operation. Operands of a unit with an interval
/// wait in one more register, which keeps still for that long. Returns when the result is ready.
int64_t Engine::scheduleBody(linalg::GenericOp op, int64_t from, bool isMain) {
  for (BlockArgument argument : op.getBody()->getArguments())
    ready[argument] = from;
  Value yielded = op.getBody()->getTerminator()->getOperand(0);
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (isa<arith::ConstantOp>(inner)) {
      ready[inner.getResult(0)] = 0;
      continue;
    }
    int64_t start = from, latency = 0;
    for (Value operand : inner.getOperands())
      start = std::max(start, readyOf(operand));
    if (isUnit(inner)) {
      latency = latencyOf(&inner);
      if (intervalOf(&inner) > 1)
        ++start;
    }
    starts[&inner] = start;
    ready[inner.getResult(0)] = start + latency + 1;
    if (isMain && op.getNumReductionLoops() != 0 && inner.getResult(0) == yielded) {
      sum = start;
      chooseInterleave(latency);
    }
  }
  return std::max(from, readyOf(yielded));
}

void Engine::chooseInterleave(int64_t latency) {
  if (depth > 1)
    bound = std::max(bound, depth * latency);
  interleave = 1;
  if (depth == 1)
    return;
  int64_t least = llvm::divideCeil(latency + timing.sumToAdder, interval);
  auto total = [&](int64_t size) { return llvm::divideCeil(slots, size) * size; };
  interleave = least;
  for (int64_t size = least; size <= std::max(least, kMostInterleave); ++size) {
    // More than fits a small RAM only for what it saves.
    double worth = interleave <= kSmallRam && size > kSmallRam ? 1.01 : 1.0;
    if (total(size) * worth < total(interleave))
      interleave = size;
  }
}

bool Engine::analyze() {
  if (!findChain() || !collectOperands() || !formLoops())
    return false;
  if (llvm::none_of(operands, [](const Operand &operand) { return !operand.isWeight; }))
    return no("reads no value of another layer");
  for (linalg::GenericOp op : epilogue)
    for (Operation &inner : op.getBody()->without_terminator())
      if (isUnit(inner) && !inner.hasAttr("instance"))
        return no("is not bound");
  interval = intervalOf(main);
  for (linalg::GenericOp op : epilogue)
    epilogueInterval = std::max(epilogueInterval, intervalOf(op));
  bound = slots * depth * interval;
  if (epilogueInterval > 1)
    bound = std::max(bound, outputs * epilogueInterval);
  done = sumReady = scheduleBody(main, timing.operands(), true);
  for (linalg::GenericOp op : epilogue)
    done = scheduleBody(op, done, false);
  issueCycles = llvm::divideCeil(slots, interleave) * interleave * depth * interval;
  cycles = std::max(issueCycles, outputs * epilogueInterval);
  // What is read in the order in which it comes needs no buffer.
  int64_t values = llvm::count_if(operands, [](Operand &operand) { return !operand.isWeight; });
  for (Operand &operand : operands) {
    if (operand.isWeight)
      continue;
    bool inOrder = values == 1 && depth == 1 && !operand.isEpilogue && !operand.pad &&
                   operand.base == 0 && operand.words == outputs && operand.outer.size() <= 1 &&
                   (operand.outer.empty() || operand.outer.front() == 1);
    operand.frames = inOrder ? 0 : 2;
    cycles = std::max(cycles, operand.load);
  }
  return true;
}

void Engine::annotateOp(linalg::GenericOp op, bool isMain, Operation *before) {
  op->setDiscardableAttr(approx::kPhaseAttrName, b.getStringAttr(isMain ? "main" : "epilogue"));
  SmallVector<Attribute> sources;
  SmallVector<int32_t> words;
  for (OpOperand &use : op->getOpOperands()) {
    std::string source = "none";
    uint32_t word = 0;
    if (auto it = operandOf.find({op, use.getOperandNumber()}); it != operandOf.end()) {
      source = ("operand:" + Twine(it->second)).str();
    } else if (op.isDpsInit(&use)) {
      source = isMain && op.getNumReductionLoops() != 0 ? "accumulator" : "none";
    } else if (auto constant = constantWord(use.get())) {
      source = "constant";
      word = *constant;
    } else if (before && skipReshapes(use.get()).getDefiningOp() == before) {
      source = "result";
    }
    sources.push_back(b.getStringAttr(source));
    words.push_back(word);
  }
  op->setDiscardableAttr(approx::kSourcesAttrName, b.getArrayAttr(sources));
  op->setDiscardableAttr(approx::kBitsAttrName, b.getDenseI32ArrayAttr(words));
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (isa<arith::ConstantOp>(inner))
      continue;
    inner.setDiscardableAttr(approx::kStartAttrName, i64(starts[&inner]));
    if (isUnit(inner)) {
      int64_t id = inner.getAttrOfType<IntegerAttr>("instance").getInt();
      inner.setDiscardableAttr(approx::kUnitAttrName, i64(id));
      inner.setDiscardableAttr(approx::kLatencyAttrName, i64(latencyOf(&inner)));
      if (int64_t cycles = intervalOf(&inner); cycles > 1)
        inner.setDiscardableAttr(approx::kIntervalAttrName, i64(cycles));
      units[id] += isMain ? lanes : 1;
    } else {
      inner.setDiscardableAttr(approx::kAluAttrName, b.getStringAttr(plainName(&inner)));
    }
  }
}

void Engine::annotate() {
  annotateOp(main, true, nullptr);
  Operation *before = main;
  for (linalg::GenericOp op : epilogue) {
    annotateOp(op, false, before);
    before = op;
  }
  // Constants give their words to CIRCT's process.
  func.walk([&](arith::ConstantOp constant) {
    if (auto word = constantWord(constant.getResult()))
      constant->setDiscardableAttr(approx::kBitsAttrName, b.getI32IntegerAttr(int32_t(*word)));
  });
  annotateOperands();
  annotateEngine();
}

void Engine::annotateOperands() {
  SmallVector<Attribute> operandAttrs;
  for (Operand &operand : operands) {
    NamedAttrList attrs;
    unsigned number = operand.argument.getArgNumber();
    if (operand.isWeight) {
      attrs.set("weight", func.getArgAttr(number, approx::kWeightAttrName));
      if (!operand.isEpilogue) {
        attrs.set("ranges", array(operand.ranges));
        attrs.set("strides", array(operand.strides));
        attrs.set("lane_stride", i64(operand.laneStride));
        attrs.set("source_base", i64(operand.base));
        operand.base = 0;
      }
      romWords += operand.words * (operand.isEpilogue ? 1 : lanes);
    } else {
      attrs.set("value", func.getArgAttr(number, approx::kValueAttrName));
      attrs.set("frames", i64(operand.frames));
      ramWords += operand.words * operand.frames;
    }
    if (!operand.writeRanges.empty()) {
      attrs.set("write_ranges", array(operand.writeRanges));
      attrs.set("write_strides", array(operand.writeStrides));
    }
    attrs.set("phase", b.getStringAttr(operand.isEpilogue ? "epilogue" : "main"));
    attrs.set("words", i64(operand.words));
    attrs.set("base", i64(operand.base));
    attrs.set("outer", array(operand.outer));
    attrs.set("inner", array(operand.inner));
    if (operand.pad) {
      attrs.set("shape", array(operand.pad.getResultType().getShape()));
      attrs.set("low", array(operand.pad.getStaticLow()));
      attrs.set("high", array(operand.pad.getStaticHigh()));
      attrs.set("pad",
                b.getI32IntegerAttr(int32_t(*constantWord(operand.pad.getConstantPaddingValue()))));
    }
    operandAttrs.push_back(attrs.getDictionary(func.getContext()));
  }
  func->setDiscardableAttr(approx::kOperandsAttrName, b.getArrayAttr(operandAttrs));
}

void Engine::annotateEngine() {
  NamedAttrList attrs;
  // Outputs under way when the first comes back with its credit: no more can be there at once.
  int64_t window = llvm::divideCeil(done + timing.handover, interval), round = interleave * depth;
  int64_t fifo = window / round * interleave + std::min(window % round, interleave);
  if (isQueued()) {
    // Words of finished slots leave one after the other: a group may wait while the next one is finished.
    attrs.set("slot_fifo",
              i64(2 * interleave + llvm::divideCeil(sumReady + timing.handover, lanes)));
    fifo = done - sumReady + timing.epilogueOperands() + timing.handover;
  }
  NamedAttrList resources;
  for (auto [id, count] : units)
    resources.set(("unit_" + Twine(id)).str(), i64(count));
  resources.set("ram_words", i64(ramWords));
  resources.set("rom_words", i64(romWords));
  attrs.set("outputs", i64(outputs));
  attrs.set("slots", i64(slots));
  attrs.set("depth", i64(depth));
  attrs.set("interleave", i64(interleave));
  if (interval > 1)
    attrs.set("interval", i64(interval));
  if (epilogueInterval > 1)
    attrs.set("epilogue_interval", i64(epilogueInterval));
  attrs.set("lanes", i64(lanes));
  attrs.set("last_lanes", i64(lastLanes));
  attrs.set("outer", array(outerRanges));
  attrs.set("inner", array(innerRanges));
  attrs.set("epilogue_loops", array(epilogueRanges));
  if (main.getNumReductionLoops() != 0) {
    attrs.set("initial", b.getI32IntegerAttr(int32_t(initial)));
    attrs.set("accumulate", i64(sum));
  }
  attrs.set("done", i64(done));
  attrs.set("fifo", i64(fifo));
  attrs.set("issue_cycles", i64(issueCycles));
  attrs.set("cycles", i64(cycles));
  attrs.set("bound", i64(bound));
  attrs.set("work", i64(outputs * depth));
  attrs.set("resources", resources.getDictionary(func.getContext()));
  func->setDiscardableAttr(approx::kEngineAttrName, attrs.getDictionary(func.getContext()));
}

} // namespace asnet
