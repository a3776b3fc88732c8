// SPDX-License-Identifier: Apache-2.0
#include "lowering/schedule/Schedule.h"

#include "dialects/approx/Formats.h"

#include "mlir/Dialect/Affine/Analysis/AffineStructures.h"
#include "mlir/Dialect/Affine/Analysis/LoopAnalysis.h"
#include "mlir/Dialect/Affine/LoopUtils.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace asnet {

void LinearForm::add(const LinearForm &other, int64_t factor) {
  constant += factor * other.constant;
  for (auto [variable, coefficient] : other.coefficients)
    coefficients[variable] += factor * coefficient;
  for (auto [word, coefficient] : other.words)
    words[word] += factor * coefficient;
}

bool LinearForm::sameCoefficients(const LinearForm &other) const {
  auto covers = [](const LinearForm &a, const LinearForm &b) {
    return llvm::all_of(a.coefficients, [&](auto &entry) {
      auto it = b.coefficients.find(entry.first);
      return entry.second == (it == b.coefficients.end() ? 0 : it->second);
    });
  };
  return words.empty() && other.words.empty() && covers(*this, other) && covers(other, *this);
}

LogicalResult Memories::collect() {
  // Inputs and outputs are part of the interface even where nothing touches them.
  WalkResult result = func.walk([&](Operation *op) -> WalkResult {
    auto identity = [&](unsigned rank) {
      return Builder(op->getContext()).getMultiDimIdentityMap(rank);
    };
    return llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case<affine::AffineLoadOp>([&](auto load) {
          return collectAccess(op, load.getMemRef(), load.getAffineMap(), load.getMapOperands());
        })
        .Case<affine::AffineStoreOp>([&](auto store) {
          return collectAccess(op, store.getMemRef(), store.getAffineMap(), store.getMapOperands());
        })
        .Case<memref::LoadOp>([&](auto load) {
          return collectAccess(op, load.getMemRef(), identity(load.getIndices().size()),
                               load.getIndices());
        })
        .Case<memref::StoreOp>([&](auto store) {
          return collectAccess(op, store.getMemRef(), identity(store.getIndices().size()),
                               store.getIndices());
        })
        .Default([](auto) { return success(); });
  });
  if (result.wasInterrupted())
    return failure();
  for (StringRef role : {"input", "output"})
    if (llvm::none_of(memories, [&](const Memory &memory) { return memory.role == role; }))
      return func.emitOpError("has no ")
             << role << " that it accesses; an argument needs 'approx.role = \"" << role << "\"'";
  // Inputs are received before anything is computed; outputs, which are sent behind it, outlive all.
  for (Memory &memory : memories)
    if (memory.role == "input")
      memory.first = -1;
    else if (memory.role == "output")
      memory.last = std::numeric_limits<int64_t>::max();
  return success();
}

/// The index of the memory that `base` is; a global has one, whichever operation names it.
FailureOr<unsigned> Memories::find(Operation *op, Value base) {
  if (auto it = known.find(base); it != known.end())
    return it->second;
  unsigned index = memories.size();
  if (auto global = base.getDefiningOp<memref::GetGlobalOp>())
    for (auto [i, memory] : llvm::enumerate(memories))
      if (memory.role == "constant" && memory.name == global.getName())
        index = i;
  if (index == memories.size()) {
    FailureOr<Memory> memory = describe(op, base);
    if (failed(memory))
      return failure();
    memories.push_back(*memory);
  }
  known[base] = index;
  return index;
}

FailureOr<Memory> Memories::describe(Operation *op, Value base) {
  Memory memory;
  memory.base = base;
  memory.words = cast<MemRefType>(base.getType()).getNumElements();
  if (auto argument = dyn_cast<BlockArgument>(base)) {
    unsigned index = argument.getArgNumber();
    auto weight = func.getArgAttrOfType<StringAttr>(index, approx::kWeightAttrName);
    auto role = func.getArgAttrOfType<StringAttr>(index, approx::kRoleAttrName);
    memory.name = weight ? weight.str() : ("arg" + Twine(index)).str();
    if (weight)
      memory.role = "weight";
    else if (role && (role.getValue() == "input" || role.getValue() == "output"))
      memory.role = role.getValue();
    else if (func.getArgAttr(index, "bufferize.result"))
      memory.role = "output";
    else
      return scheduleError(op, "accesses argument ", index,
                           ", which has neither 'approx.role' (\"input\", \"output\") nor "
                           "'approx.weight'");
    return memory;
  }
  if (auto global = base.getDefiningOp<memref::GetGlobalOp>()) {
    auto declaration = SymbolTable::lookupNearestSymbolFrom<memref::GlobalOp>(func,
                                                                              global.getNameAttr());
    if (!declaration || !declaration.getConstant())
      return scheduleError(op, "accesses a global that is not constant");
    memory.name = global.getName().str();
    memory.role = "constant";
    memory.contents = dyn_cast_or_null<DenseElementsAttr>(declaration.getConstantInitValue());
    if (!memory.contents)
      return scheduleError(op, "accesses a constant whose contents are not dense elements");
    return memory;
  }
  if (!base.getDefiningOp<memref::AllocOp>() && !base.getDefiningOp<memref::AllocaOp>())
    return scheduleError(op, "accesses memory of unknown origin");
  memory.name = ("buffer_" + Twine(memories.size())).str();
  memory.role = "scratch";
  return memory;
}

FailureOr<LinearForm> Memories::linearize(Operation *user, AffineExpr expr, ValueRange operands,
                                          unsigned numDims) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr)) {
    LinearForm form;
    form.constant = constant.getValue();
    return form;
  }
  if (isa<AffineDimExpr, AffineSymbolExpr>(expr)) {
    Value value = isa<AffineDimExpr>(expr)
                      ? operands[cast<AffineDimExpr>(expr).getPosition()]
                      : operands[numDims + cast<AffineSymbolExpr>(expr).getPosition()];
    LinearForm form;
    if (affine::getForInductionVarOwner(value)) {
      form.coefficients[value] = 1;
      return form;
    }
    if (auto constant = value.getDefiningOp<arith::ConstantIndexOp>()) {
      form.constant = constant.value();
      return form;
    }
    if (isLoad(user) && value.getDefiningOp<arith::IndexCastOp>()) {
      form.words[value] = 1;
      return form;
    }
    scheduleError(user, "has an index that is no linear function of the loops; "
                        "hardware addresses are linear in the loop counters");
    return failure();
  }
  auto binary = cast<AffineBinaryOpExpr>(expr);
  if (expr.getKind() != AffineExprKind::Add && expr.getKind() != AffineExprKind::Mul) {
    scheduleError(user, "has an index with a division or remainder; "
                        "hardware addresses are linear in the loop counters");
    return failure();
  }
  FailureOr<LinearForm> lhs = linearize(user, binary.getLHS(), operands, numDims);
  FailureOr<LinearForm> rhs = linearize(user, binary.getRHS(), operands, numDims);
  if (failed(lhs) || failed(rhs))
    return failure();
  LinearForm form;
  if (expr.getKind() == AffineExprKind::Add) {
    form.add(*lhs, 1);
    form.add(*rhs, 1);
  } else if (rhs->coefficients.empty() && rhs->words.empty()) {
    form.add(*lhs, rhs->constant);
  } else {
    form.add(*rhs, lhs->constant); // a valid affine product has a constant side
  }
  return form;
}

LogicalResult Memories::collectAccess(Operation *op, Value memref, AffineMap map,
                                      ValueRange indices) {
  // All views of a buffer have the buffer's first word as origin: their type says the rest.
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)) ||
      llvm::any_of(strides, ShapedType::isDynamic) || !type.hasStaticShape())
    return scheduleError(op, "must access memory of static shape and strides, got ",
                         memref.getType());
  if (!isWord(type.getElementType()))
    return scheduleError(op, "must access words of ", kWordBits, " bits, ", kWordFormat.name,
                         " or ", getIntegerWordName(), ", got elements of ", type.getElementType(),
                         "; hardware has no narrower numbers, so leave out the conversion to them");
  Value base = memref;
  while (auto view = base.getDefiningOp<ViewLikeOpInterface>())
    base = view.getViewSource();

  FailureOr<unsigned> index = find(op, base);
  if (failed(index))
    return failure();
  Memory &memory = memories[*index];
  if (memory.isRom() && isStore(op))
    return scheduleError(op, "writes to '", memory.name, "', which is read-only");
  Operation *top = op;
  while (top->getParentOp() != func)
    top = top->getParentOp();
  int64_t position = std::distance(func.getBody().front().begin(), top->getIterator());
  memory.first = std::min(memory.first, position);
  memory.last = std::max(memory.last, position);

  Access access;
  access.memory = *index;
  FailureOr<LinearForm> origin = originOf(op, memref);
  if (failed(origin) || failed(addIndices(op, map, indices, strides, *origin)))
    return failure();
  if (origin->words.size() > 1 ||
      llvm::any_of(origin->words, [](auto &entry) { return entry.second != 1; }))
    return scheduleError(op, "has an address that takes more than a word from data; run "
                             "approx-data-addresses first");
  access.address = std::move(*origin);
  accesses[op] = std::move(access);
  return success();
}

/// Where the first element of a view lies: its type says it, or the views say how they move.
FailureOr<LinearForm> Memories::originOf(Operation *op, Value view) {
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(cast<MemRefType>(view.getType()).getStridesAndOffset(strides, offset)))
    return scheduleError(op, "must access memory of strides, got ", view.getType());
  LinearForm origin;
  if (!ShapedType::isDynamic(offset)) {
    origin.constant = offset;
    return origin;
  }
  auto viewLike = view.getDefiningOp<ViewLikeOpInterface>();
  if (!viewLike)
    return scheduleError(op, "accesses memory that begins nobody knows where");
  Value source = viewLike.getViewSource();
  FailureOr<LinearForm> around = originOf(op, source);
  auto subview = dyn_cast<memref::SubViewOp>(viewLike.getOperation());
  if (failed(around) || !subview)
    return around;
  SmallVector<int64_t> distances;
  (void)cast<MemRefType>(source.getType()).getStridesAndOffset(distances, offset);
  Builder b(op->getContext());
  for (auto [position, stride] : llvm::zip_equal(subview.getMixedOffsets(), distances)) {
    if (auto value = dyn_cast<Value>(position)) {
      if (failed(addIndices(op, b.getMultiDimIdentityMap(1), value, stride, *around)))
        return failure();
    } else {
      around->constant += stride * cast<IntegerAttr>(cast<Attribute>(position)).getInt();
    }
  }
  return around;
}

/// Add what indices contribute to an address: the results of `map`, times strides.
LogicalResult Memories::addIndices(Operation *op, AffineMap map, ValueRange indices,
                                   ArrayRef<int64_t> strides, LinearForm &address) {
  SmallVector<Value> operands(indices);
  affine::fullyComposeAffineMapAndOperands(&map, &operands);
  affine::canonicalizeMapAndOperands(&map, &operands);
  // With each loop counted 0, 1, 2, .. divisions may cancel against its step.
  SmallVector<AffineExpr> dims;
  for (unsigned i = 0; i < map.getNumDims(); ++i) {
    dims.push_back(Builder(op->getContext()).getAffineDimExpr(i));
    if (affine::AffineForOp loop = affine::getForInductionVarOwner(operands[i]))
      dims.back() = dims.back() * loop.getStepAsInt() + loop.getConstantLowerBound();
  }
  map =
      simplifyAffineMap(map.replaceDimsAndSymbols(dims, {}, map.getNumDims(), map.getNumSymbols()));
  for (auto [expr, stride] : llvm::zip_equal(map.getResults(), strides)) {
    FailureOr<LinearForm> form = linearize(op, expr, operands, map.getNumDims());
    if (failed(form))
      return failure();
    address.add(*form, stride);
  }
  return success();
}

void Memories::assignAddresses() {
  int64_t romWords = 0;
  SmallVector<unsigned> placed;
  SmallVector<unsigned> order = llvm::to_vector(llvm::seq<unsigned>(0, memories.size()));
  // The stream fills inputs from address 0 on and reads outputs in one piece: place them first.
  auto rank = [&](const Memory &m) { return m.role == "input" ? 0 : m.role == "output" ? 1 : 2; };
  auto argument = [&](const Memory &m) {
    auto value = dyn_cast<BlockArgument>(m.base);
    return value ? value.getArgNumber() : ~0u;
  };
  llvm::stable_sort(order, [&](unsigned a, unsigned b) {
    const Memory &x = memories[a], &y = memories[b];
    return std::make_tuple(rank(x), argument(x), x.first) <
           std::make_tuple(rank(y), argument(y), y.first);
  });
  int64_t inputWords = 0, outputWords = 0;
  for (unsigned index : order) {
    Memory &memory = memories[index];
    if (memory.isRom()) {
      memory.address = romWords;
      romWords += memory.words;
      continue;
    }
    if (memory.role == "input") {
      memory.address = inputWords;
      inputWords += memory.words;
    } else if (memory.role == "output") {
      // Outputs lie together behind the inputs and, since they outlive the inputs, nowhere else.
      memory.address = inputWords + outputWords;
      outputWords += memory.words;
    } else {
      for (bool moved = true; moved;) {
        moved = false;
        for (unsigned other : placed) {
          const Memory &o = memories[other];
          if (memory.isAliveWith(o) && memory.sharesWords(o)) {
            memory.address = o.address + o.words;
            moved = true;
          }
        }
      }
    }
    placed.push_back(index);
  }
}

SmallVector<int64_t> Memories::stridesOf(Operation *op, const Access &access) {
  SmallVector<int64_t> strides;
  for (Operation *loop = op->getParentOp(); loop != func; loop = loop->getParentOp())
    strides.push_back(
        access.address.coefficients.lookup(cast<affine::AffineForOp>(loop).getInductionVar()));
  std::reverse(strides.begin(), strides.end());
  return strides;
}

Operation *Memories::offsetOf(Operation *load) const {
  const LinearForm &address = accessOf(load).address;
  return address.words.empty() ? nullptr : producer(address.words.front().first);
}

/// Which operand of a load is the word that is added to its address, if there is one.
std::optional<int64_t> Memories::offsetOperand(Operation *op, const Access &access) {
  if (access.address.words.empty())
    return std::nullopt;
  auto operands = op->getOperands();
  return std::distance(operands.begin(), llvm::find(operands, access.address.words.front().first));
}

void Memories::annotate() {
  Builder builder(func.getContext());
  for (auto &[op, access] : accesses) {
    setInt(op, approx::kMemoryAttrName, access.memory);
    setInt(op, approx::kBaseAttrName, memories[access.memory].address + access.address.constant);
    op->setDiscardableAttr(approx::kStridesAttrName,
                           builder.getDenseI64ArrayAttr(stridesOf(op, access)));
    if (std::optional<int64_t> operand = offsetOperand(op, access))
      setInt(op, approx::kOffsetAttrName, *operand);
  }
  auto attrs = llvm::map_to_vector(
      memories, [&](const Memory &memory) -> Attribute { return toAttr(memory); });
  func->setDiscardableAttr(approx::kMemoriesAttrName, builder.getArrayAttr(attrs));
}

DictionaryAttr Memories::toAttr(const Memory &memory) {
  Builder builder(func.getContext());
  NamedAttrList attrs;
  attrs.set("name", builder.getStringAttr(memory.name));
  attrs.set("role", builder.getStringAttr(memory.role));
  attrs.set("bank", builder.getStringAttr(memory.isRom() ? "rom" : "ram"));
  attrs.set("base", builder.getI64IntegerAttr(memory.address));
  attrs.set("words", builder.getI64IntegerAttr(memory.words));
  if (memory.contents) {
    SmallVector<int32_t> words;
    if (isFloatWord(memory.contents.getElementType()))
      for (const APFloat &value : memory.contents.getValues<APFloat>())
        words.push_back(approx::getWord(value));
    else
      for (const APInt &value : memory.contents.getValues<APInt>())
        words.push_back(value.getZExtValue());
    attrs.set("contents", builder.getDenseI32ArrayAttr(words));
  }
  return attrs.getDictionary(func.getContext());
}

LogicalResult Memories::verify() {
  auto stated = func->getAttrOfType<ArrayAttr>(approx::kMemoriesAttrName);
  if (!stated || stated.size() != memories.size())
    return func.emitOpError("accesses ")
           << memories.size() << " memories, but 'approx.memories' has "
           << (stated ? stated.size() : 0) << "; run approx-schedule again";
  for (auto [memory, attr] : llvm::zip_equal(memories, stated)) {
    auto attrs = dyn_cast<DictionaryAttr>(attr);
    if (auto base = attrs ? attrs.getAs<IntegerAttr>("base") : IntegerAttr())
      memory.address = base.getInt();
    if (memory.address < 0 || attr != toAttr(memory))
      return func.emitOpError("has '")
             << memory.name << "', which is not what 'approx.memories' says of it; run "
             << "approx-schedule again";
  }
  for (const Memory &memory : memories)
    for (const Memory &other : memories)
      if (&memory != &other && memory.sharesWords(other) &&
          (memory.isRom() || memory.isAliveWith(other)))
        return func.emitOpError("has '") << memory.name << "' and '" << other.name
                                         << "' at the same words, while both are needed";
  for (auto &[op, access] : accesses) {
    auto number = op->getAttrOfType<IntegerAttr>(approx::kMemoryAttrName);
    auto base = op->getAttrOfType<IntegerAttr>(approx::kBaseAttrName);
    auto strides = op->getAttrOfType<DenseI64ArrayAttr>(approx::kStridesAttrName);
    const Memory &memory = memories[access.memory];
    if (!number || number.getInt() != access.memory)
      return scheduleError(op, "accesses '", memory.name, "', which is memory ", access.memory,
                           ", but has another 'approx.memory'");
    if (int64_t address = memory.address + access.address.constant;
        !base || base.getInt() != address)
      return scheduleError(op, "accesses '", memory.name, "' from address ", address,
                           ", but has another 'approx.base'");
    if (!strides || strides.asArrayRef() != ArrayRef(stridesOf(op, access)))
      return scheduleError(op, "has other 'approx.strides' than its index");
    auto offset = op->getAttrOfType<IntegerAttr>(approx::kOffsetAttrName);
    if ((offset ? std::optional(offset.getInt()) : std::nullopt) != offsetOperand(op, access))
      return scheduleError(op, "has another 'approx.offset' than its index");
  }
  return success();
}

bool Memories::mayAlias(Operation *a, Operation *b) const {
  const Access &x = accessOf(a), &y = accessOf(b);
  // Buffers that are never needed at one time may share words (assignAddresses); in straight-line
  // code, the last access to one can stand beside the first to the other.
  if (x.memory != y.memory)
    return !isRom(a) && memories[x.memory].sharesWords(memories[y.memory]);
  return !(x.address.sameCoefficients(y.address) && x.address.constant != y.address.constant);
}

std::optional<int64_t> Memories::carried(Operation *a, Operation *b, Value variable,
                                         int64_t trips) const {
  const Access &x = accessOf(a), &y = accessOf(b);
  if (x.memory != y.memory)
    return mayAlias(a, b) ? std::optional<int64_t>(1) : std::nullopt;
  if (!x.address.sameCoefficients(y.address))
    return rangesMeet(x, y) ? std::optional<int64_t>(1) : std::nullopt;
  int64_t step = x.address.coefficients.lookup(variable);
  int64_t ahead = x.address.constant - y.address.constant;
  if (step == 0)
    return ahead == 0 ? std::optional<int64_t>(1) : std::nullopt;
  if (ahead % step != 0 || ahead / step < 1 || ahead / step >= trips)
    return std::nullopt;
  return ahead / step;
}

bool Memories::rangesMeet(const Access &a, const Access &b) {
  if (!a.address.words.empty() || !b.address.words.empty())
    return true;
  auto range = [](const LinearForm &form) {
    int64_t low = form.constant, high = form.constant;
    for (auto [variable, coefficient] : form.coefficients) {
      int64_t last = tripsOf(affine::getForInductionVarOwner(variable)) - 1;
      (coefficient < 0 ? low : high) += coefficient * last;
    }
    return std::make_pair(low, high);
  };
  auto [lowA, highA] = range(a.address);
  auto [lowB, highB] = range(b.address);
  return lowA <= highB && lowB <= highA;
}

} // namespace asnet
