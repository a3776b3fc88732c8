// approx-schedule: when and where each operation of an affine loop nest happens on the sequential
// machine (docs/decisions/0005-sequential-machine.md describes the machine and its timing).

#include "lowering/Lowering.h"

#include "mlir/Dialect/Affine/Analysis/AffineStructures.h"
#include "mlir/Dialect/Affine/Analysis/LoopAnalysis.h"
#include "mlir/Dialect/Affine/LoopUtils.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_SCHEDULE
#include "lowering/Lowering.h.inc"

namespace {
constexpr int64_t kWordBits = 32;
// A result is latched the cycle after the unit's last, and can be an operand from the next on.
constexpr int64_t kIssueToUse = 2;
// Rows of microcode that a loop has at least: its branch, and two behind that are executed anyway.
constexpr int64_t kBranchRows = 3;

/// A linear function of the induction variables, each counted 0, 1, 2, ..
struct LinearForm {
  int64_t constant = 0;
  llvm::MapVector<Value, int64_t> coefficients; // keyed by an affine.for's induction variable

  void add(const LinearForm &other, int64_t factor) {
    constant += factor * other.constant;
    for (auto [variable, coefficient] : other.coefficients)
      coefficients[variable] += factor * coefficient;
  }
  bool sameCoefficients(const LinearForm &other) const {
    auto covers = [](const LinearForm &a, const LinearForm &b) {
      return llvm::all_of(a.coefficients, [&](auto &entry) {
        auto it = b.coefficients.find(entry.first);
        return entry.second == (it == b.coefficients.end() ? 0 : it->second);
      });
    };
    return covers(*this, other) && covers(other, *this);
  }
};

struct Memory {
  Value base;
  std::string name;
  StringRef role; // input, output, weight, constant, scratch
  int64_t words = 0;
  int64_t address = 0; // of its first word in its bank
  int64_t first = std::numeric_limits<int64_t>::max(), last = -1; // lifetime in top-level ops
  DenseElementsAttr contents;
  bool isRom() const { return role == "weight" || role == "constant"; }
};

struct Access {
  unsigned memory = 0;
  LinearForm address; // in words, from the start of the memory
};

/// What one issue slot starts: an operation of a unit or of the plain logic, or a move through it.
struct Node {
  Operation *op;                     // the operation, or what is moved (load, constant, store)
  bool isMove = false;
  int64_t latency = 0;               // cycles inside the unit or the plain logic
  std::optional<int64_t> unit;       // none: plain logic
  int64_t interval = 1;
  SmallVector<Operation *, 2> loads; // read just in time as operands
  Operation *store = nullptr;        // takes the result in the cycle in which it appears
  SmallVector<std::pair<unsigned, int64_t>> after; // node, least distance between the starts
  SmallVector<unsigned> values;                    // nodes whose results are operands
  int64_t priority = 0;
  int64_t start = -1;
};

/// The start of `to`, `iterations` later, lies at least `distance` cycles behind that of `from`.
struct Edge {
  unsigned from, to;
  int64_t distance, iterations;
};

/// When the nodes of an innermost loop start.
struct Plan {
  SmallVector<int64_t> starts;
  int64_t length = 0; // of an iteration
  int64_t ii = 0;     // cycles from an iteration to the next; 0: they do not overlap
  int64_t cycles = 0; // of the whole loop
};

class Scheduler {
public:
  Scheduler(func::FuncOp func, int64_t memoryLatency, int64_t plainLatency, int64_t pipelineRows)
      : func(func), memoryLatency(memoryLatency), plainLatency(plainLatency),
        pipelineRows(pipelineRows), builder(func.getContext()) {}

  LogicalResult run();

private:
  LogicalResult prepare();
  LogicalResult collectMemories();
  LogicalResult collectAccess(Operation *op, Value memref, AffineMap map, ValueRange indices);
  LogicalResult collectUnits();
  void assignAddresses();
  void scheduleBlock(Block &block);
  SmallVector<Node> makeNodes(ArrayRef<Operation *> ops);
  void scheduleSegment(ArrayRef<Operation *> ops, int64_t &length);
  void scheduleInnermost(affine::AffineForOp loop);
  void overlapRuns(affine::AffineForOp outer);
  void annotate(MutableArrayRef<Node> nodes);
  void placeNodes(MutableArrayRef<Node> nodes);
  int64_t lengthOf(ArrayRef<Node> nodes);
  Plan plan(MutableArrayRef<Node> nodes, Value variable, int64_t trips);
  SmallVector<Edge> allEdges(ArrayRef<Node> nodes, Value variable, int64_t trips);
  std::optional<int64_t> carried(Operation *a, Operation *b, Value variable, int64_t trips);
  bool placeModulo(MutableArrayRef<Node> nodes, ArrayRef<Edge> edges, int64_t ii);
  bool isParallel(ArrayRef<affine::AffineForOp> band, affine::AffineForOp loop);
  bool rangesMeet(const Access &a, const Access &b);
  int64_t interchange(affine::AffineForOp root, bool apply);
  int64_t interchangeAll(bool apply);
  void choosePads();
  bool isRom(Operation *access) { return memories[accesses[access].memory].isRom(); }
  FailureOr<LinearForm> linearize(Operation *user, AffineExpr expr, ValueRange operands,
                                  unsigned numDims);
  /// Say what is wrong with an op, in parts, and behind it in which layer.
  template <typename... Parts>
  InFlightDiagnostic error(Operation *op, Parts &&...parts) {
    InFlightDiagnostic diagnostic = op->emitOpError();
    (diagnostic << ... << std::forward<Parts>(parts));
    for (Operation *parent = op; parent; parent = parent->getParentOp())
      if (auto layer = parent->getAttrOfType<StringAttr>("approx.layer")) {
        diagnostic << " (layer '" << layer.getValue() << "')";
        break;
      }
    return diagnostic;
  }
  bool mayAlias(Operation *a, Operation *b) {
    const Access &x = accesses[a], &y = accesses[b];
    if (x.memory != y.memory) {
      // Buffers that are never needed at one time may share words (assignAddresses); in straight-line
      // code, the last access to one can stand beside the first to the other.
      const Memory &m = memories[x.memory], &n = memories[y.memory];
      return !m.isRom() && !n.isRom() && m.address < n.address + n.words &&
             n.address < m.address + m.words;
    }
    return !(x.address.sameCoefficients(y.address) && x.address.constant != y.address.constant);
  }
  void setInt(Operation *op, StringRef name, int64_t value) {
    op->setDiscardableAttr(name, builder.getI64IntegerAttr(value));
  }

  func::FuncOp func;
  int64_t memoryLatency, plainLatency, pipelineRows;
  Builder builder;
  SmallVector<Memory> memories;
  DenseMap<Value, unsigned> memoryOf;
  DenseMap<Operation *, Access> accesses;
  llvm::MapVector<int64_t, Operation *> units; // instance -> approx.core
  std::map<int64_t, int64_t> pads;             // instance -> registers behind its result
};

bool isLoad(Operation *op) { return isa<affine::AffineLoadOp, memref::LoadOp>(op); }
bool isStore(Operation *op) { return isa<affine::AffineStoreOp, memref::StoreOp>(op); }
bool isApprox(Operation *op) { return op->getName().getDialectNamespace() == "approx"; }

/// No hardware: the result has the operand's bits.
bool isAlias(Operation *op) {
  if (isa<arith::ExtUIOp>(op))
    return true;
  return isa<arith::BitcastOp>(op) && op->getResult(0).getType().isInteger();
}

/// Neither hardware nor value: describes memory or ends a block.
bool isStructural(Operation *op) {
  return isa<memref::AllocOp, memref::AllocaOp, memref::DeallocOp, memref::GetGlobalOp,
             affine::AffineApplyOp>(op) ||
         isa<ViewLikeOpInterface>(op) || op->hasTrait<OpTrait::IsTerminator>() ||
         (isa<arith::ConstantOp>(op) && op->getResult(0).getType().isIndex());
}

/// The operation that makes `value`, through aliases; null for what enters the function.
Operation *producer(Value value) {
  Operation *op = value.getDefiningOp();
  while (op && isAlias(op))
    op = op->getOperand(0).getDefiningOp();
  return op;
}

/// All operations that use the value of `op`, through aliases, with repetitions.
void collectUsers(Operation *op, SmallVectorImpl<Operation *> &users) {
  for (Operation *user : op->getUsers()) {
    if (isAlias(user))
      collectUsers(user, users);
    else
      users.push_back(user);
  }
}

/// What the plain logic does for `op`, or nothing.
std::string plainFunction(Operation *op) {
  auto all32 = [&] {
    return llvm::all_of(op->getOperandTypes(), [](Type t) { return t.isInteger(32); });
  };
  bool narrow = llvm::all_of(op->getOperandTypes(),
                             [](Type t) { return t.isInteger(32) || t.isInteger(1); });
  return llvm::TypeSwitch<Operation *, std::string>(op)
      .Case<arith::AndIOp>([&](auto) { return narrow ? "andi" : ""; })
      .Case<arith::OrIOp>([&](auto) { return narrow ? "ori" : ""; })
      .Case<arith::XOrIOp>([&](auto) { return narrow ? "xori" : ""; })
      .Case<arith::AddIOp>([&](auto) { return all32() ? "addi" : ""; })
      .Case<arith::SubIOp>([&](auto) { return all32() ? "subi" : ""; })
      .Case<arith::MulIOp>([&](auto) { return all32() ? "muli" : ""; })
      .Case<arith::ShLIOp>([&](auto) { return all32() ? "shli" : ""; })
      .Case<arith::ShRUIOp>([&](auto) { return all32() ? "shrui" : ""; })
      .Case<arith::ShRSIOp>([&](auto) { return all32() ? "shrsi" : ""; })
      .Case<arith::MaxSIOp>([&](auto) { return all32() ? "maxsi" : ""; })
      .Case<arith::MinSIOp>([&](auto) { return all32() ? "minsi" : ""; })
      .Case<arith::MaxUIOp>([&](auto) { return all32() ? "maxui" : ""; })
      .Case<arith::MinUIOp>([&](auto) { return all32() ? "minui" : ""; })
      .Case<arith::TruncIOp>([&](auto trunc) {
        return trunc.getType().isInteger(1) ? "trunci" : "";
      })
      .Case<arith::NegFOp>([&](auto neg) { return neg.getType().isF32() ? "negf" : ""; })
      .Case<arith::SelectOp>([&](auto select) {
        return select.getType().isF32() || select.getType().isInteger(32) ||
                       select.getType().isInteger(1)
                   ? "select"
                   : "";
      })
      // Integer to float: a NaN becomes the canonical one.
      .Case<arith::BitcastOp>([&](auto cast) { return cast.getType().isF32() ? "canon" : ""; })
      .Case<arith::CmpIOp>([&](auto compare) {
        return all32() ? ("cmpi_" + arith::stringifyCmpIPredicate(compare.getPredicate())).str()
                       : std::string();
      })
      .Case<arith::CmpFOp>([&](auto compare) {
        return compare.getLhs().getType().isF32()
                   ? ("cmpf_" + arith::stringifyCmpFPredicate(compare.getPredicate())).str()
                   : std::string();
      })
      .Default([](auto) { return std::string(); });
}

LogicalResult Scheduler::run() {
  if (!func.getBody().hasOneBlock())
    return func.emitOpError("must have one block");
  if (failed(prepare()) || failed(collectMemories()) || failed(collectUnits()))
    return failure();
  assignAddresses();
  if (pipelineRows != 0) {
    choosePads();
    interchangeAll(/*apply=*/true);
  }

  for (auto &[op, access] : accesses) {
    const Memory &memory = memories[access.memory];
    SmallVector<int64_t> strides;
    for (Operation *loop = op->getParentOp(); loop != func; loop = loop->getParentOp()) {
      auto it = access.address.coefficients.find(
          cast<affine::AffineForOp>(loop).getInductionVar());
      strides.push_back(it == access.address.coefficients.end() ? 0 : it->second);
    }
    std::reverse(strides.begin(), strides.end());
    setInt(op, "approx.memory", access.memory);
    setInt(op, "approx.base", memory.address + access.address.constant);
    op->setDiscardableAttr("approx.strides", builder.getDenseI64ArrayAttr(strides));
  }
  scheduleBlock(func.getBody().front());

  SmallVector<Attribute> memoryAttrs;
  for (const Memory &memory : memories) {
    NamedAttrList attrs;
    attrs.set("name", builder.getStringAttr(memory.name));
    attrs.set("role", builder.getStringAttr(memory.role));
    attrs.set("bank", builder.getStringAttr(memory.isRom() ? "rom" : "ram"));
    attrs.set("base", builder.getI64IntegerAttr(memory.address));
    attrs.set("words", builder.getI64IntegerAttr(memory.words));
    if (memory.contents) {
      SmallVector<int32_t> words;
      if (memory.contents.getElementType().isF32())
        for (const APFloat &value : memory.contents.getValues<APFloat>())
          words.push_back(value.isNaN() ? 0x7FC00000
                                        : value.bitcastToAPInt().getZExtValue());
      else
        for (const APInt &value : memory.contents.getValues<APInt>())
          words.push_back(value.getZExtValue());
      attrs.set("contents", builder.getDenseI32ArrayAttr(words));
    }
    memoryAttrs.push_back(attrs.getDictionary(func.getContext()));
  }
  func->setDiscardableAttr("approx.memories", builder.getArrayAttr(memoryAttrs));
  SmallVector<Attribute> unitAttrs;
  for (auto [id, core] : units) {
    NamedAttrList attrs;
    for (StringRef name : {"op", "module", "parameters", "latency"})
      attrs.set(name, core->getAttr(name));
    attrs.set("id", builder.getI64IntegerAttr(id));
    if (pads[id])
      attrs.set("pad", builder.getI64IntegerAttr(pads[id]));
    unitAttrs.push_back(attrs.getDictionary(func.getContext()));
  }
  func->setDiscardableAttr("approx.units", builder.getArrayAttr(unitAttrs));
  setInt(func, "approx.memory_latency", memoryLatency);
  setInt(func, "approx.plain_latency", plainLatency);
  return success();
}

/// Loops of one iteration and values without uses go; every use of a scalar constant gets a
/// constant of its own, right before it.
LogicalResult Scheduler::prepare() {
  WalkResult result = func.walk([&](Operation *op) -> WalkResult {
    if (auto loop = dyn_cast<affine::AffineForOp>(op)) {
      if (!loop.hasConstantBounds())
        return error(op, "must have constant bounds, got bounds that depend on values");
      if (loop.getNumResults() != 0)
        return error(op, "carries values between iterations; store them to memory");
      uint64_t trips = *affine::getConstantTripCount(loop);
      if (trips == 0) {
        loop.erase();
      } else if (trips == 1) {
        if (auto layer = op->getAttr("approx.layer"))
          for (Operation &inner : loop.getBody()->without_terminator())
            inner.setDiscardableAttr("approx.layer", layer);
        if (failed(affine::promoteIfSingleIteration(loop)))
          return WalkResult::interrupt();
      }
    } else if (op != func && op->getNumRegions() != 0) {
      return error(op, "is no static affine loop; hardware needs static control flow");
    }
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();

  SmallVector<Operation *> dead;
  func.walk<WalkOrder::PostOrder>([&](Operation *op) {
    if (op->use_empty() && (isLoad(op) || isMemoryEffectFree(op)) && !isStructural(op))
      dead.push_back(op);
  });
  while (!dead.empty()) {
    Operation *op = dead.pop_back_val();
    SmallVector<Value> operands(op->getOperands());
    op->erase();
    for (Value operand : operands)
      if (Operation *def = operand.getDefiningOp())
        if (def->use_empty() && (isLoad(def) || isMemoryEffectFree(def)) && !isStructural(def) &&
            !llvm::is_contained(dead, def))
          dead.push_back(def);
  }

  SmallVector<arith::ConstantOp> constants;
  func.walk([&](arith::ConstantOp op) {
    if (!op.getType().isIndex())
      constants.push_back(op);
  });
  for (arith::ConstantOp constant : constants) {
    uint64_t bits;
    if (auto value = dyn_cast<FloatAttr>(constant.getValue());
        value && value.getType().isF32()) {
      bits = value.getValue().isNaN() ? 0x7FC00000
                                      : value.getValue().bitcastToAPInt().getZExtValue();
    } else if (auto value = dyn_cast<IntegerAttr>(constant.getValue());
               value && value.getType().getIntOrFloatBitWidth() <= kWordBits) {
      bits = value.getValue().getZExtValue();
    } else {
      return error(constant, "is wider than a word of 32 bits or no scalar");
    }
    constant->setDiscardableAttr("approx.bits", builder.getI32IntegerAttr(int32_t(bits)));
    for (OpOperand &use : llvm::make_early_inc_range(constant->getUses())) {
      OpBuilder at(use.getOwner());
      use.set(at.clone(*constant)->getResult(0));
    }
    constant.erase();
  }
  return success();
}

FailureOr<LinearForm> Scheduler::linearize(Operation *user, AffineExpr expr, ValueRange operands,
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
    error(user, "has an index that is no linear function of the loops; "
                "hardware addresses are linear in the loop counters");
    return failure();
  }
  auto binary = cast<AffineBinaryOpExpr>(expr);
  if (expr.getKind() != AffineExprKind::Add && expr.getKind() != AffineExprKind::Mul) {
    error(user, "has an index with a division or remainder; "
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
  } else if (rhs->coefficients.empty()) {
    form.add(*lhs, rhs->constant);
  } else {
    form.add(*rhs, lhs->constant); // a valid affine product has a constant side
  }
  return form;
}

LogicalResult Scheduler::collectAccess(Operation *op, Value memref, AffineMap map,
                                       ValueRange indices) {
  // All views of a buffer have the buffer's first word as origin: their type says the rest.
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)) || ShapedType::isDynamic(offset) ||
      llvm::any_of(strides, ShapedType::isDynamic) || !type.hasStaticShape())
    return error(op, "must access memory of static shape, strides and offset, got ",
                 memref.getType());
  if (!type.getElementType().isF32() && !type.getElementType().isInteger(32))
    return error(op, "must access words of 32 bits, f32 or i32, got elements of ",
                 type.getElementType(),
                 "; hardware has no narrower numbers, so leave out the conversion to them");
  Value base = memref;
  while (auto view = base.getDefiningOp<ViewLikeOpInterface>())
    base = view.getViewSource();

  auto [it, isNew] = memoryOf.try_emplace(base, memories.size());
  if (auto global = base.getDefiningOp<memref::GetGlobalOp>(); global && isNew)
    for (auto [i, memory] : llvm::enumerate(memories))
      if (memory.role == "constant" && memory.name == global.getName())
        it->second = i, isNew = false;
  if (isNew) {
    Memory memory;
    memory.base = base;
    memory.words = cast<MemRefType>(base.getType()).getNumElements();
    memory.name = ("buffer_" + Twine(memories.size())).str();
    memory.role = "scratch";
    if (auto argument = dyn_cast<BlockArgument>(base)) {
      unsigned index = argument.getArgNumber();
      auto weight = func.getArgAttrOfType<StringAttr>(index, "approx.weight");
      auto role = func.getArgAttrOfType<StringAttr>(index, "approx.role");
      if (weight) {
        memory.role = "weight";
        memory.name = weight.str();
      } else if (role && (role.getValue() == "input" || role.getValue() == "output")) {
        memory.role = role.getValue();
        memory.name = ("arg" + Twine(index)).str();
      } else if (func.getArgAttr(index, "bufferize.result")) {
        memory.role = "output";
        memory.name = ("arg" + Twine(index)).str();
      } else {
        return error(op, "accesses argument ", index,
                     ", which has neither 'approx.role' (\"input\", \"output\") nor "
                     "'approx.weight'");
      }
    } else if (auto global = base.getDefiningOp<memref::GetGlobalOp>()) {
      auto declaration =
          SymbolTable::lookupNearestSymbolFrom<memref::GlobalOp>(func, global.getNameAttr());
      memory.name = global.getName().str();
      if (declaration && declaration.getConstant()) {
        memory.role = "constant";
        memory.contents = dyn_cast_or_null<DenseElementsAttr>(declaration.getConstantInitValue());
        if (!memory.contents)
          return error(op, "accesses a constant whose contents are not dense elements");
      } else {
        return error(op, "accesses a global that is not constant");
      }
    } else if (!base.getDefiningOp<memref::AllocOp>() &&
               !base.getDefiningOp<memref::AllocaOp>()) {
      return error(op, "accesses memory of unknown origin");
    }
    memories.push_back(memory);
  }
  Memory &memory = memories[it->second];
  if (memory.isRom() && isStore(op))
    return error(op, "writes to '", memory.name, "', which is read-only");
  Operation *top = op;
  while (top->getParentOp() != func)
    top = top->getParentOp();
  int64_t position = std::distance(func.getBody().front().begin(), top->getIterator());
  memory.first = std::min(memory.first, position);
  memory.last = std::max(memory.last, position);

  SmallVector<Value> operands(indices);
  affine::fullyComposeAffineMapAndOperands(&map, &operands);
  affine::canonicalizeMapAndOperands(&map, &operands);
  // With each loop counted 0, 1, 2, .. divisions may cancel against its step.
  SmallVector<AffineExpr> dims;
  for (unsigned i = 0; i < map.getNumDims(); ++i) {
    dims.push_back(builder.getAffineDimExpr(i));
    if (affine::AffineForOp loop = affine::getForInductionVarOwner(operands[i]))
      dims.back() = dims.back() * loop.getStepAsInt() + loop.getConstantLowerBound();
  }
  map = simplifyAffineMap(
      map.replaceDimsAndSymbols(dims, {}, map.getNumDims(), map.getNumSymbols()));
  Access access;
  access.memory = it->second;
  access.address.constant = offset;
  for (auto [expr, stride] : llvm::zip_equal(map.getResults(), strides)) {
    FailureOr<LinearForm> index = linearize(op, expr, operands, map.getNumDims());
    if (failed(index))
      return failure();
    access.address.add(*index, stride);
  }
  accesses[op] = access;
  return success();
}

LogicalResult Scheduler::collectMemories() {
  // Inputs and outputs are part of the interface even where nothing touches them.
  WalkResult result = func.walk([&](Operation *op) -> WalkResult {
    auto identity = [&](unsigned rank) {
      return builder.getMultiDimIdentityMap(rank);
    };
    return llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case<affine::AffineLoadOp>([&](auto load) {
          return collectAccess(op, load.getMemRef(), load.getAffineMap(), load.getMapOperands());
        })
        .Case<affine::AffineStoreOp>([&](auto store) {
          return collectAccess(op, store.getMemRef(), store.getAffineMap(),
                               store.getMapOperands());
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
  return success();
}

LogicalResult Scheduler::collectUnits() {
  DenseMap<int64_t, Operation *> declared;
  func->getParentOfType<ModuleOp>().walk([&](approx::CoreOp core) {
    declared[core.getId()] = core;
  });
  std::map<int64_t, Operation *> used;
  WalkResult result = func.walk([&](Operation *op) -> WalkResult {
    if (op == func || isa<affine::AffineForOp>(op) || isStructural(op) || isAlias(op) ||
        isLoad(op) || isStore(op) || isa<arith::ConstantOp>(op))
      return WalkResult::advance();
    for (Type type : op->getOperandTypes())
      if (!type.isF32() && !(type.isInteger() && type.getIntOrFloatBitWidth() <= kWordBits))
        return error(op, "has an operand that is no word of at most 32 bits: ", type);
    if (isApprox(op)) {
      auto instance = op->getAttrOfType<IntegerAttr>("instance");
      if (!instance)
        return error(op, "is not bound to an instance; hardware needs a core for every "
                         "operation, exact ones included");
      auto it = declared.find(instance.getInt());
      if (it == declared.end())
        return error(op, "is bound to instance ", instance.getInt(),
                     ", which no 'approx.core' declares");
      used[instance.getInt()] = it->second;
      return WalkResult::advance();
    }
    if (plainFunction(op).empty()) {
      SmallVector<Type> types(op->getOperandTypes());
      llvm::append_range(types, op->getResultTypes());
      auto other = llvm::find_if(types, [](Type type) {
        return type.isIntOrFloat() && !type.isF32() && !type.isInteger(32) && !type.isInteger(1);
      });
      if (other != types.end())
        return error(op, "has no hardware: there are numbers of f32, i32 and i1 only, not of ",
                     *other, "; leave out the conversion to it");
      return error(op, "has no hardware; supported are approx ops and plain logic of the arith "
                       "dialect on i1 and i32");
    }
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();
  for (auto [id, core] : used)
    units[id] = core;
  return success();
}

/// First fit: memories share words when no top-level operation needs both.
void Scheduler::assignAddresses() {
  const int64_t always = std::numeric_limits<int64_t>::max();
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
      memory.first = -1;
      memory.address = inputWords;
      inputWords += memory.words;
    } else if (memory.role == "output") {
      // Outputs lie together behind the inputs and, since they outlive the inputs, nowhere else.
      memory.last = always;
      memory.address = inputWords + outputWords;
      outputWords += memory.words;
    } else {
      for (bool moved = true; moved;) {
        moved = false;
        for (unsigned other : placed) {
          const Memory &o = memories[other];
          bool together = memory.first <= o.last && o.first <= memory.last;
          bool overlap = memory.address < o.address + o.words &&
                         o.address < memory.address + memory.words;
          if (together && overlap) {
            memory.address = o.address + o.words;
            moved = true;
          }
        }
      }
    }
    placed.push_back(index);
  }
}

/// What has a time in a block: no loops, no aliases.
SmallVector<Operation *> timedOps(Block &block) {
  SmallVector<Operation *> ops;
  for (Operation &op : block)
    if (!isa<affine::AffineForOp>(op) && !isAlias(&op) && !isStructural(&op))
      ops.push_back(&op);
  return ops;
}

bool isInnermost(affine::AffineForOp loop) {
  return loop.getBody()->getOps<affine::AffineForOp>().empty();
}

void Scheduler::scheduleBlock(Block &block) {
  SmallVector<int64_t> lengths;
  SmallVector<Operation *> segment;
  auto flush = [&] {
    lengths.push_back(0);
    scheduleSegment(segment, lengths.back());
    segment.clear();
  };
  for (Operation &op : block) {
    if (auto loop = dyn_cast<affine::AffineForOp>(op)) {
      flush();
      if (isInnermost(loop))
        scheduleInnermost(loop);
      else
        scheduleBlock(*loop.getBody());
      overlapRuns(loop);
      setInt(loop, "approx.trip", *affine::getConstantTripCount(loop));
    } else if (isAlias(&op)) {
      op.setDiscardableAttr("approx.alias", builder.getUnitAttr());
    } else if (!isStructural(&op)) {
      segment.push_back(&op);
    }
  }
  flush();
  block.getParentOp()->setDiscardableAttr("approx.lengths",
                                          builder.getDenseI64ArrayAttr(lengths));
}

/// What is issued in straight-line code, with the order that values and memory demand.
SmallVector<Node> Scheduler::makeNodes(ArrayRef<Operation *> ops) {
  DenseMap<Operation *, unsigned> position;
  for (auto [i, op] : llvm::enumerate(ops))
    position[op] = i;

  // 1. A load whose only user is an operation of this segment is read just in time, unless a store
  // that may change the word lies between the two, or the user already reads another word of the
  // same bank. `effective` is where in program order an access really happens.
  DenseMap<Operation *, unsigned> effective;
  DenseMap<Operation *, SmallVector<Operation *, 2>> operandLoads;
  for (Operation *op : ops) {
    if (!isLoad(op))
      continue;
    effective[op] = position[op];
    SmallVector<Operation *> users;
    collectUsers(op, users);
    Operation *user = users.front();
    if (!llvm::all_equal(users) || !position.count(user))
      continue;
    // The condition of a selection comes from a register.
    if (isa<arith::SelectOp>(user) && producer(user->getOperand(0)) == op)
      continue;
    bool blocked = llvm::any_of(ops, [&](Operation *other) {
      return isStore(other) && other != user && position[other] > position[op] &&
             position[other] < position[user] && mayAlias(op, other);
    });
    bool sameBank = llvm::any_of(operandLoads[user], [&](Operation *other) {
      return memories[accesses[other].memory].isRom() == memories[accesses[op].memory].isRom();
    });
    if (blocked || sameBank)
      continue;
    operandLoads[user].push_back(op);
    effective[op] = position[user];
  }
  auto readJustInTime = [&](Operation *load) {
    SmallVector<Operation *> users;
    collectUsers(load, users);
    return llvm::is_contained(operandLoads[users.front()], load);
  };

  // 2. A store takes its value straight from the unit that makes it, if that is in this segment,
  // feeds no other store, and no access that may touch the word lies between the two.
  DenseMap<Operation *, Operation *> resultStore;
  for (Operation *op : ops) {
    if (!isStore(op))
      continue;
    Operation *source = producer(op->getOperand(0));
    effective[op] = position[op];
    if (!source || !position.count(source) || isLoad(source) || isa<arith::ConstantOp>(source) ||
        resultStore.count(source))
      continue;
    bool blocked = llvm::any_of(ops, [&](Operation *other) {
      if (other == op || !(isLoad(other) || isStore(other)) || !mayAlias(op, other))
        return false;
      auto it = effective.find(other);
      unsigned at = it == effective.end() ? position[other] : it->second;
      return at > position[source] && at < position[op];
    });
    if (blocked)
      continue;
    resultStore[source] = op;
    effective[op] = position[source];
  }

  // 3. One node for each thing that is issued.
  SmallVector<Node> nodes;
  DenseMap<Operation *, unsigned> nodeOf;
  for (Operation *op : ops) {
    Node node;
    node.op = op;
    node.latency = plainLatency;
    if (isLoad(op)) {
      if (readJustInTime(op))
        continue;
      node.isMove = true;
      node.loads.push_back(op);
    } else if (isa<arith::ConstantOp>(op)) {
      // An issue carries one immediate; a second one goes through a register, as does a condition.
      Operation *user = *op->getUsers().begin();
      while (isAlias(user))
        user = *user->getUsers().begin();
      bool isCondition = isa<arith::SelectOp>(user) && producer(user->getOperand(0)) == op;
      auto bits = op->getAttr("approx.bits");
      bool isSecond = false;
      for (Value operand : user->getOperands()) {
        Operation *other = producer(operand);
        if (other == op)
          break;
        isSecond |= other && isa<arith::ConstantOp>(other) && other->getAttr("approx.bits") != bits;
      }
      if (!isCondition && !isSecond)
        continue;
      node.isMove = true;
    } else if (isStore(op)) {
      if (Operation *source = producer(op->getOperand(0));
          source && resultStore.lookup(source) == op)
        continue;
      node.isMove = true;
      node.loads = operandLoads[op];
      node.store = op;
    } else {
      node.loads = operandLoads[op];
      node.store = resultStore.lookup(op);
      if (isApprox(op)) {
        node.unit = op->getAttrOfType<IntegerAttr>("instance").getInt();
        Operation *core = units[*node.unit];
        node.latency = core->getAttrOfType<IntegerAttr>("latency").getInt() + pads[*node.unit];
        node.interval = core->getAttrOfType<IntegerAttr>("interval").getInt();
      }
    }
    unsigned index = nodes.size();
    for (Value operand : op->getOperands())
      if (Operation *source = producer(operand))
        if (auto it = nodeOf.find(source); it != nodeOf.end()) {
          node.after.push_back({it->second, nodes[it->second].latency + kIssueToUse});
          node.values.push_back(it->second);
        }
    nodeOf[op] = index;
    nodes.push_back(std::move(node));
  }

  // 4. Order of accesses to memory. A word is read `memoryLatency` cycles before the issue and
  // written in the cycle in which the result appears; reading and writing it never coincide.
  for (auto [i, node] : llvm::enumerate(nodes)) {
    for (auto [j, earlier] : llvm::enumerate(ArrayRef(nodes).take_front(i))) {
      for (Operation *load : node.loads)
        if (earlier.store && mayAlias(load, earlier.store))
          node.after.push_back({j, earlier.latency + kIssueToUse + 1 + memoryLatency});
      if (!node.store)
        continue;
      for (Operation *load : earlier.loads)
        if (mayAlias(load, node.store))
          node.after.push_back({j, 1 - memoryLatency - node.latency - kIssueToUse});
      if (earlier.store && mayAlias(earlier.store, node.store))
        node.after.push_back({j, 1 + earlier.latency - node.latency});
    }
  }

  return nodes;
}

int64_t Scheduler::lengthOf(ArrayRef<Node> nodes) {
  int64_t length = 0;
  for (const Node &node : nodes)
    length = std::max({length, node.start + node.latency + kIssueToUse + 1,
                       node.start + node.interval});
  return length;
}

void Scheduler::scheduleSegment(ArrayRef<Operation *> ops, int64_t &length) {
  SmallVector<Node> nodes = makeNodes(ops);
  placeNodes(nodes);
  length = lengthOf(nodes);
  annotate(nodes);
}

void Scheduler::scheduleInnermost(affine::AffineForOp loop) {
  SmallVector<Operation *> ops = timedOps(*loop.getBody());
  for (Operation &op : *loop.getBody())
    if (isAlias(&op))
      op.setDiscardableAttr("approx.alias", builder.getUnitAttr());
  SmallVector<Node> nodes = makeNodes(ops);
  Plan best = plan(nodes, loop.getInductionVar(), *affine::getConstantTripCount(loop));
  for (auto [node, start] : llvm::zip_equal(nodes, best.starts))
    node.start = start;
  annotate(nodes);
  loop->setDiscardableAttr("approx.lengths", builder.getDenseI64ArrayAttr({best.length}));
  if (best.ii)
    setInt(loop, "approx.ii", best.ii);
}

/// Where a loop holds nothing but one whose iterations overlap, the first iterations of that one's
/// next run may overlap the last ones of this run: the flow of iterations goes on.
void Scheduler::overlapRuns(affine::AffineForOp outer) {
  SmallVector<affine::AffineForOp> band;
  affine::getPerfectlyNestedLoops(band, outer);
  if (pipelineRows == 0 || band.size() != 2 || !band[1]->hasAttr("approx.ii"))
    return;
  affine::AffineForOp inner = band[1];
  int64_t ii = inner->getAttrOfType<IntegerAttr>("approx.ii").getInt();
  int64_t length = cast<DenseI64ArrayAttr>(inner->getAttr("approx.lengths"))[0];
  int64_t trips = *affine::getConstantTripCount(inner);
  // Only runs that follow each other overlap, and the kernel is repeated (rows: microcode.py).
  int64_t overlapped = llvm::divideCeil(length, ii), unroll = llvm::divideCeil(kBranchRows, ii);
  int64_t kernels = trips - overlapped;
  if (overlapped * ii < kBranchRows || kernels < 2 * unroll)
    return;
  int64_t more = (2 * overlapped + kernels % unroll + unroll) * ii;
  if (more > pipelineRows)
    return;
  SmallVector<Operation *> all = llvm::filter_to_vector(
      timedOps(*inner.getBody()), [](Operation *op) { return isLoad(op) || isStore(op); });
  auto start = [](Operation *op) {
    return op->getAttrOfType<IntegerAttr>("approx.start").getInt();
  };
  for (Operation *first : all) {
    for (Operation *second : all) {
      const Access &x = accesses[first], &y = accesses[second];
      if ((!isStore(first) && !isStore(second)) || isRom(first) || isRom(second))
        continue;
      // After how many iterations of the flow, at least, the second may touch the first's word.
      int64_t iterations = 1;
      if (x.memory != y.memory) {
        if (!mayAlias(first, second))
          continue;
      } else if (!x.address.sameCoefficients(y.address)) {
        if (!rangesMeet(x, y))
          continue;
      } else {
        int64_t step = x.address.coefficients.lookup(inner.getInductionVar());
        int64_t ahead = x.address.constant - y.address.constant -
                        x.address.coefficients.lookup(outer.getInductionVar());
        if (step == 0 ? ahead != 0 : ahead % step != 0 || std::abs(ahead / step) >= trips)
          continue;
        if (step != 0)
          iterations = trips + ahead / step;
      }
      if (start(second) + iterations * ii < start(first) + 1)
        return;
    }
  }
  outer->setDiscardableAttr("approx.overlap", builder.getUnitAttr());
}

void Scheduler::annotate(MutableArrayRef<Node> nodes) {
  for (Node &node : nodes) {
    setInt(node.op, node.isMove ? "approx.move" : "approx.start", node.start);
    for (Operation *load : node.loads)
      setInt(load, "approx.start", node.start - memoryLatency);
    if (node.store)
      setInt(node.store, "approx.start", node.start + node.latency + kIssueToUse);
    if (node.unit) {
      setInt(node.op, "approx.unit", *node.unit);
      setInt(node.op, "approx.latency", node.latency);
    } else if (!node.isMove) {
      node.op->setDiscardableAttr("approx.alu", builder.getStringAttr(plainFunction(node.op)));
    }
  }
}

/// List scheduling: of the nodes whose predecessors are placed, the one with the longest way to the
/// end takes the first cycle in which the issue slot, the result bus, the read ports that it needs
/// and its unit are free.
void Scheduler::placeNodes(MutableArrayRef<Node> nodes) {
  for (size_t i = nodes.size(); i-- > 0;) {
    Node &node = nodes[i];
    node.priority = std::max(node.priority, node.latency + kIssueToUse);
    for (auto [j, distance] : node.after)
      nodes[j].priority = std::max(nodes[j].priority, node.priority + distance);
  }
  DenseSet<int64_t> issue, result, read[2];
  DenseMap<int64_t, SmallVector<int64_t>> unitStarts;
  for (size_t left = nodes.size(); left > 0; --left) {
    Node *best = nullptr;
    for (Node &node : nodes) {
      if (node.start >= 0 ||
          llvm::any_of(node.after, [&](auto edge) { return nodes[edge.first].start < 0; }))
        continue;
      if (!best || node.priority > best->priority)
        best = &node;
    }
    int64_t start = best->loads.empty() ? 0 : memoryLatency;
    for (auto [j, distance] : best->after)
      start = std::max(start, nodes[j].start + distance);
    auto fits = [&](int64_t at) {
      return !issue.contains(at) && !result.contains(at + best->latency) &&
             llvm::none_of(best->loads,
                           [&](Operation *load) {
                             return read[isRom(load)].contains(at - memoryLatency);
                           }) &&
             (!best->unit || llvm::none_of(unitStarts[*best->unit], [&](int64_t other) {
               return std::abs(other - at) < best->interval;
             }));
    };
    while (!fits(start))
      ++start;
    best->start = start;
    issue.insert(start);
    result.insert(start + best->latency);
    for (Operation *load : best->loads)
      read[isRom(load)].insert(start - memoryLatency);
    if (best->unit)
      unitStarts[*best->unit].push_back(start);
  }
}

/// The least number of iterations, at least 1, after which `b` may touch the word that `a` touched.
std::optional<int64_t> Scheduler::carried(Operation *a, Operation *b, Value variable,
                                          int64_t trips) {
  const Access &x = accesses[a], &y = accesses[b];
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

/// What the nodes of an innermost loop have to wait for, in their iteration and in earlier ones.
SmallVector<Edge> Scheduler::allEdges(ArrayRef<Node> nodes, Value variable, int64_t trips) {
  SmallVector<Edge> edges;
  for (auto [i, node] : llvm::enumerate(nodes)) {
    unsigned to = i;
    for (auto [from, distance] : node.after)
      edges.push_back({from, to, distance, 0});
    // A value has one register: it is read the last time when the next iteration's is written.
    for (unsigned from : node.values)
      edges.push_back({to, from, -(nodes[from].latency + kIssueToUse), 1});
    for (auto [j, earlier] : llvm::enumerate(nodes)) {
      unsigned from = j;
      auto order = [&](Operation *first, Operation *second, int64_t distance) {
        if (auto iterations = carried(first, second, variable, trips))
          edges.push_back({from, to, distance, *iterations});
      };
      // As in one iteration (makeNodes).
      for (Operation *load : node.loads)
        if (earlier.store)
          order(earlier.store, load, earlier.latency + kIssueToUse + 1 + memoryLatency);
      if (!node.store)
        continue;
      for (Operation *load : earlier.loads)
        order(load, node.store, 1 - memoryLatency - node.latency - kIssueToUse);
      if (earlier.store)
        order(earlier.store, node.store, 1 + earlier.latency - node.latency);
    }
  }
  return edges;
}

/// The quickest way to run an innermost loop: one iteration after the other, or overlapped with the
/// shortest initiation interval for which there is a schedule of few enough rows.
Plan Scheduler::plan(MutableArrayRef<Node> nodes, Value variable, int64_t trips) {
  auto starts = [&] {
    return llvm::map_to_vector(nodes, [](const Node &node) { return node.start; });
  };
  for (Node &node : nodes)
    node.start = -1, node.priority = 0;
  placeNodes(nodes);
  Plan best;
  best.starts = starts();
  best.length = lengthOf(nodes);
  int64_t listRows = std::max(best.length, kBranchRows);
  best.cycles = trips * listRows;
  if (nodes.empty() || pipelineRows == 0)
    return best;

  // Each node is an issue and a result, reads a bank at most once and writes one word at most; a
  // unit is kept for its interval.
  std::map<int64_t, int64_t> busy;
  for (const Node &node : nodes)
    if (node.unit)
      busy[*node.unit] += node.interval;
  int64_t least = nodes.size();
  for (auto [unit, cycles] : busy)
    least = std::max(least, cycles);
  SmallVector<Edge> edges = allEdges(nodes, variable, trips);
  for (int64_t ii = least; ii < listRows; ++ii) {
    if (!placeModulo(nodes, edges, ii))
      continue;
    int64_t length = lengthOf(nodes), cycles = (trips - 1) * ii + length;
    // Rows: until all iterations that overlap are under way, those of a kernel of at least
    // `kBranchRows`, and until the last iteration is done. microcode.py does the same.
    int64_t overlapped = llvm::divideCeil(length, ii), unroll = llvm::divideCeil(kBranchRows, ii);
    int64_t kernels = trips - overlapped + 1;
    int64_t rows = cycles;
    if (kernels >= 2 * unroll)
      rows = (overlapped - 1 + kernels % unroll + unroll - 1) * ii + length;
    if (rows - listRows > pipelineRows)
      continue;
    if (cycles < best.cycles) {
      best.starts = starts();
      best.length = length;
      best.ii = ii;
      best.cycles = cycles;
    }
    break;
  }
  return best;
}

/// Iterative modulo scheduling (Rau, 1994): nodes are placed by their distance from the end; one
/// that finds no free cycle takes the first that is possible, and what is in its way is placed
/// anew.
bool Scheduler::placeModulo(MutableArrayRef<Node> nodes, ArrayRef<Edge> edges, int64_t ii) {
  size_t count = nodes.size();
  SmallVector<int64_t> height(count, 0);
  for (size_t round = 0;; ++round) {
    bool changed = false;
    for (const Edge &edge : edges) {
      int64_t value = height[edge.to] + edge.distance - ii * edge.iterations;
      if (value > height[edge.from])
        height[edge.from] = value, changed = true;
    }
    if (!changed)
      break;
    if (round > count)
      return false; // a recurrence takes longer
  }
  SmallVector<SmallVector<const Edge *>> in(count), out(count);
  for (const Edge &edge : edges) {
    if (edge.from == edge.to)
      continue; // satisfied, as heights exist
    in[edge.to].push_back(&edge);
    out[edge.from].push_back(&edge);
  }
  SmallVector<int64_t> last(count, -1);
  for (Node &node : nodes)
    node.start = -1;
  auto slot = [&](int64_t cycle) { return ((cycle % ii) + ii) % ii; };
  // Who has the issue and the result of each cycle modulo II. Reads are as far before the issues for
  // all, so that ports are free where the issue is.
  SmallVector<Node *> issues(ii, nullptr), results(ii, nullptr);
  SmallVector<Node *> slow; // units that are kept for longer than their issue
  for (Node &node : nodes)
    if (node.unit && node.interval > 1)
      slow.push_back(&node);
  auto inTheWay = [&](const Node &node, int64_t at) {
    SmallVector<Node *, 4> found;
    if (Node *other = issues[slot(at)])
      found.push_back(other);
    if (Node *other = results[slot(at + node.latency)])
      found.push_back(other);
    if (node.unit && node.interval > 1)
      for (Node *other : slow) {
        if (other == &node || other->start < 0 || other->unit != node.unit)
          continue;
        int64_t behind = slot(at - other->start);
        if (behind < other->interval || ii - behind < node.interval)
          found.push_back(other);
      }
    return found;
  };
  auto take = [&](Node &node, int64_t at) {
    node.start = at;
    issues[slot(at)] = results[slot(at + node.latency)] = &node;
  };
  auto release = [&](Node &node) {
    if (node.start < 0)
      return;
    issues[slot(node.start)] = results[slot(node.start + node.latency)] = nullptr;
    node.start = -1;
  };
  for (int64_t budget = 20 * count; budget > 0; --budget) {
    std::optional<size_t> next;
    for (size_t i = 0; i < count; ++i)
      if (nodes[i].start < 0 && (!next || height[i] > height[*next]))
        next = i;
    if (!next) {
      int64_t first = std::numeric_limits<int64_t>::max();
      for (const Node &node : nodes)
        first = std::min(first, node.start - (node.loads.empty() ? 0 : memoryLatency));
      for (Node &node : nodes)
        node.start -= first;
      return true;
    }
    Node &node = nodes[*next];
    int64_t earliest = node.loads.empty() ? 0 : memoryLatency;
    for (const Edge *edge : in[*next])
      if (nodes[edge->from].start >= 0)
        earliest = std::max(earliest, nodes[edge->from].start + edge->distance -
                                          ii * edge->iterations);
    int64_t at = earliest;
    while (at < earliest + ii && !inTheWay(node, at).empty())
      ++at;
    if (at == earliest + ii) {
      at = std::max(earliest, last[*next] + 1);
      for (Node *other : inTheWay(node, at))
        release(*other);
    }
    take(node, at);
    last[*next] = at;
    for (const Edge *edge : out[*next]) {
      Node &other = nodes[edge->to];
      if (other.start >= 0 && other.start + ii * edge->iterations < at + edge->distance)
        release(other);
    }
  }
  return false;
}

bool Scheduler::rangesMeet(const Access &a, const Access &b) {
  auto range = [](const LinearForm &form) {
    int64_t low = form.constant, high = form.constant;
    for (auto [variable, coefficient] : form.coefficients) {
      int64_t last = *affine::getConstantTripCount(affine::getForInductionVarOwner(variable)) - 1;
      (coefficient < 0 ? low : high) += coefficient * last;
    }
    return std::make_pair(low, high);
  };
  auto [lowA, highA] = range(a.address);
  auto [lowB, highB] = range(b.address);
  return lowA <= highB && lowB <= highA;
}

/// Whether no word that is written in one iteration of `loop` is touched in another one, for any
/// iterations of the other loops of the perfect nest `band`. Then `loop` may be at any place in it:
/// iterations that depend on each other have the same number in `loop`, so keep their order.
bool Scheduler::isParallel(ArrayRef<affine::AffineForOp> band, affine::AffineForOp loop) {
  SmallVector<Operation *> all =
      llvm::filter_to_vector(timedOps(*affine::AffineForOp(band.back()).getBody()),
                             [](Operation *op) { return isLoad(op) || isStore(op); });
  struct Term {
    int64_t coefficient, last;
    bool isLoop;
  };
  for (Operation *store : all) {
    if (!isStore(store))
      continue;
    for (Operation *other : all) {
      const Access &x = accesses[store], &y = accesses[other];
      if (x.memory != y.memory) {
        if (mayAlias(store, other))
          return false;
        continue;
      }
      if (!x.address.sameCoefficients(y.address)) {
        if (rangesMeet(x, y))
          return false;
        continue;
      }
      // Is the sum of coefficients times differences of iterations ever that of the constants?
      SmallVector<Term> terms;
      bool isFixed = true; // the address is the same in all iterations of `loop`
      for (affine::AffineForOp each : band) {
        int64_t coefficient = x.address.coefficients.lookup(each.getInductionVar());
        if (coefficient == 0)
          continue;
        isFixed &= each != loop;
        terms.push_back({coefficient, int64_t(*affine::getConstantTripCount(each)) - 1,
                         each == loop});
      }
      llvm::stable_sort(terms, [](const Term &a, const Term &b) {
        return std::abs(a.coefficient) > std::abs(b.coefficient);
      });
      SmallVector<int64_t> reach(terms.size() + 1, 0); // of the terms from here on
      for (size_t i = terms.size(); i-- > 0;)
        reach[i] = reach[i + 1] + std::abs(terms[i].coefficient) * terms[i].last;
      int64_t budget = 100000;
      std::function<bool(size_t, int64_t, bool)> meets = [&](size_t i, int64_t rest, bool differs) {
        if (std::abs(rest) > reach[i])
          return false;
        if (--budget < 0)
          return true; // not known: too many cases
        if (i == terms.size())
          return differs;
        for (int64_t delta = -terms[i].last; delta <= terms[i].last; ++delta)
          if (meets(i + 1, rest - terms[i].coefficient * delta,
                    differs || (terms[i].isLoop && delta != 0)))
            return true;
        return false;
      };
      if (meets(0, x.address.constant - y.address.constant, isFixed))
        return false;
    }
  }
  return true;
}

/// Of each perfect nest, the loop that makes it quickest becomes the innermost: independent sums
/// take turns where the next term of one would have to wait. The other loops, so the terms of each
/// sum, keep their order. Returns the cycles of the nest, roughly.
int64_t Scheduler::interchange(affine::AffineForOp root, bool apply) {
  SmallVector<affine::AffineForOp> band;
  affine::getPerfectlyNestedLoops(band, root);
  affine::AffineForOp innermost = band.back();
  int64_t total = 1;
  for (affine::AffineForOp loop : band)
    total *= *affine::getConstantTripCount(loop);
  if (!isInnermost(innermost)) {
    int64_t cycles = 0;
    for (auto loop : llvm::to_vector(innermost.getBody()->getOps<affine::AffineForOp>()))
      cycles += total * interchange(loop, apply);
    return cycles;
  }
  SmallVector<Node> nodes = makeNodes(timedOps(*innermost.getBody()));
  std::optional<size_t> best;
  int64_t least = 0;
  for (size_t i = band.size(); i-- > 0;) {
    if (i + 1 < band.size() && !isParallel(band, band[i]))
      continue;
    int64_t trips = *affine::getConstantTripCount(band[i]);
    Plan candidate = plan(nodes, band[i].getInductionVar(), trips);
    // The rows in which an outer loop branches; an overlapped loop's last ones do.
    int64_t around = candidate.ii ? 0 : kBranchRows;
    int64_t cycles = total / trips * (candidate.cycles + around);
    if (!best || cycles < least)
      best = i, least = cycles;
  }
  if (!apply || *best + 1 == band.size())
    return least;
  Attribute layer = root->getAttr("approx.layer");
  affine::AffineForOp moved = band[*best];
  for (size_t i = *best + 1; i < band.size(); ++i)
    affine::interchangeLoops(moved, band[i]);
  if (*best == 0 && layer) {
    moved->removeAttr("approx.layer");
    band[1]->setAttr("approx.layer", layer);
  }
  return least;
}

int64_t Scheduler::interchangeAll(bool apply) {
  int64_t cycles = 0;
  for (auto loop : llvm::to_vector(func.getOps<affine::AffineForOp>()))
    cycles += interchange(loop, apply);
  return cycles;
}

/// One issue a cycle and one result a cycle: where all cycles are to be used, the units' latencies
/// must fit each other. A multiplication and an addition every two cycles are issued one in even
/// cycles, the other in odd ones, and so must their results come: not with latencies of which one
/// is even. A unit gets a register behind its result where that makes the network at least 2 %
/// quicker.
void Scheduler::choosePads() {
  int64_t cycles = interchangeAll(/*apply=*/false);
  for (auto &[id, core] : units) {
    pads[id] = 1;
    int64_t padded = interchangeAll(/*apply=*/false);
    if (padded * 100 <= cycles * 98)
      cycles = padded;
    else
      pads[id] = 0;
  }
}

struct Schedule : impl::ScheduleBase<Schedule> {
  using ScheduleBase::ScheduleBase;

  void runOnOperation() override {
    if (memoryLatency < 1) {
      getOperation().emitError("'memory-latency' must be at least 1, got ")
          << static_cast<int64_t>(memoryLatency);
      return signalPassFailure();
    }
    if (plainLatency < 0 || plainLatency > 1) {
      getOperation().emitError("'plain-latency' must be 0 or 1, got ")
          << static_cast<int64_t>(plainLatency);
      return signalPassFailure();
    }
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (!func.isDeclaration() &&
          failed(Scheduler(func, memoryLatency, plainLatency, pipelineRows).run()))
        return signalPassFailure();
  }
};
} // namespace
} // namespace asnet
