// SPDX-License-Identifier: Apache-2.0
// The parts of approx-schedule: what operations are (Operations.cpp), what they touch (Memories.cpp),
// what is issued (Nodes.cpp), when (Placement.cpp), in which order of loops (LoopOrder.cpp), and
// whether a schedule is one (VerifySchedule.cpp).

#ifndef LOWERING_SCHEDULE_SCHEDULE_H
#define LOWERING_SCHEDULE_SCHEDULE_H

#include "lowering/Lowering.h"
#include "lowering/schedule/Timing.h"
#include "lowering/schedule/Words.h"

#include "llvm/ADT/MapVector.h"

#include <map>

namespace asnet {

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

bool isLoad(mlir::Operation *op);
bool isStore(mlir::Operation *op);
bool isApprox(mlir::Operation *op);
/// No hardware: the result has the operand's bits, as a word or as what a memory's port adds.
bool isAlias(mlir::Operation *op);
/// Neither hardware nor value: describes memory or ends a block.
bool isStructural(mlir::Operation *op);
bool isInnermost(mlir::affine::AffineForOp loop);
int64_t tripsOf(mlir::affine::AffineForOp loop);

/// What has a time in a block: no loops, no aliases.
llvm::SmallVector<mlir::Operation *> timedOps(mlir::Block &block);

/// The operation that makes `value`, through aliases; null for what enters the function.
mlir::Operation *producer(mlir::Value value);

/// All operations that use the value of `op`, through aliases, with repetitions.
void collectUsers(mlir::Operation *op, llvm::SmallVectorImpl<mlir::Operation *> &users);

/// What the plain logic does for `op`, or nothing.
std::string plainFunction(mlir::Operation *op);

/// The word of a scalar constant, a NaN canonical; nothing for what is no scalar or wider.
std::optional<uint32_t> wordOf(mlir::arith::ConstantOp constant);

/// Say what is wrong with an op, in parts, and behind it in which layer.
template <typename... Parts>
mlir::InFlightDiagnostic scheduleError(mlir::Operation *op, Parts &&...parts) {
  mlir::InFlightDiagnostic diagnostic = op->emitOpError();
  (diagnostic << ... << std::forward<Parts>(parts));
  if (mlir::StringAttr layer = approx::getLayer(op))
    diagnostic << " (layer '" << layer.getValue() << "')";
  return diagnostic;
}

void setInt(mlir::Operation *op, llvm::StringRef name, int64_t value);

//===----------------------------------------------------------------------===//
// Memories
//===----------------------------------------------------------------------===//

/// A linear function of the induction variables, each counted 0, 1, 2, .., and of words.
struct LinearForm {
  int64_t constant = 0;
  llvm::MapVector<mlir::Value, int64_t> coefficients; // keyed by an affine.for's induction variable
  llvm::MapVector<mlir::Value, int64_t> words; // keyed by an index that comes from data

  void add(const LinearForm &other, int64_t factor);
  /// Whether the two differ by a constant. Words are taken to differ.
  bool sameCoefficients(const LinearForm &other) const;
};

struct Memory {
  mlir::Value base;
  std::string name;
  llvm::StringRef role; // input, output, weight, constant, scratch
  int64_t words = 0;
  int64_t address = 0; // of its first word in its bank
  int64_t first = std::numeric_limits<int64_t>::max(), last = -1; // lifetime in top-level ops
  mlir::DenseElementsAttr contents;

  bool isRom() const { return role == "weight" || role == "constant"; }
  bool sharesWords(const Memory &other) const {
    return isRom() == other.isRom() && address < other.address + other.words &&
           other.address < address + words;
  }
  bool isAliveWith(const Memory &other) const { return first <= other.last && other.first <= last; }
};

struct Access {
  unsigned memory = 0;
  LinearForm address; // in words, from the start of the memory
};

/// The memories of a function, where they lie, and what loads and stores touch.
class Memories {
public:
  explicit Memories(mlir::func::FuncOp func) : func(func) {}

  /// Find memories and accesses; an error for what the machine cannot address.
  mlir::LogicalResult collect();
  /// First fit: memories share words when no top-level operation needs both.
  void assignAddresses();
  /// Write addresses to accesses and, as `approx.memories`, memories to the function.
  void annotate();
  /// Take the addresses from what `annotate` wrote, and compare the rest with it.
  mlir::LogicalResult verify();

  const Access &accessOf(mlir::Operation *op) const { return accesses.find(op)->second; }
  bool isRom(mlir::Operation *access) const { return memoryOf(access).isRom(); }
  /// What makes the word that is added to the address of a load; null where loops say all of it.
  mlir::Operation *offsetOf(mlir::Operation *load) const;
  /// Whether two accesses may touch one word in one iteration of the loops around both.
  bool mayAlias(mlir::Operation *a, mlir::Operation *b) const;
  /// Whether the ranges of two addresses in one memory, over all iterations, have words in common.
  static bool rangesMeet(const Access &a, const Access &b);
  /// The least number of iterations, at least 1, after which `b` may touch the word that `a` touched.
  std::optional<int64_t> carried(mlir::Operation *a, mlir::Operation *b, mlir::Value variable,
                                 int64_t trips) const;

private:
  const Memory &memoryOf(mlir::Operation *access) const {
    return memories[accessOf(access).memory];
  }
  mlir::LogicalResult collectAccess(mlir::Operation *op, mlir::Value memref, mlir::AffineMap map,
                                    mlir::ValueRange indices);
  mlir::FailureOr<LinearForm> originOf(mlir::Operation *op, mlir::Value view);
  mlir::LogicalResult addIndices(mlir::Operation *op, mlir::AffineMap map, mlir::ValueRange indices,
                                 llvm::ArrayRef<int64_t> strides, LinearForm &address);
  mlir::FailureOr<unsigned> find(mlir::Operation *op, mlir::Value base);
  mlir::FailureOr<Memory> describe(mlir::Operation *op, mlir::Value base);
  mlir::FailureOr<LinearForm> linearize(mlir::Operation *user, mlir::AffineExpr expr,
                                        mlir::ValueRange operands, unsigned numDims);
  llvm::SmallVector<int64_t> stridesOf(mlir::Operation *op, const Access &access);
  static std::optional<int64_t> offsetOperand(mlir::Operation *op, const Access &access);
  mlir::DictionaryAttr toAttr(const Memory &memory);

  mlir::func::FuncOp func;
  llvm::SmallVector<Memory> memories;
  llvm::DenseMap<mlir::Value, unsigned> known; // by the value that is the memory
  llvm::MapVector<mlir::Operation *, Access> accesses;
};

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

/// The instances that a function uses, and the registers behind their results.
class Units {
public:
  /// Find them; an error for what has no hardware.
  mlir::LogicalResult collect(mlir::func::FuncOp func);
  /// What `approx.units` says of them.
  mlir::ArrayAttr toAttr(mlir::MLIRContext *context);

  /// Cycles to the result, registers behind it included.
  int64_t latencyOf(int64_t id) { return cores[id].getLatency() + pads[id]; }
  int64_t intervalOf(int64_t id) { return cores[id].getInterval(); }
  auto ids() { return llvm::to_vector(llvm::make_first_range(cores)); }

  std::map<int64_t, int64_t> pads; // by instance

private:
  llvm::MapVector<int64_t, approx::CoreOp> cores; // by instance, in their order
};

/// What one issue slot starts: an operation of a unit or of the plain logic, or a move through it.
struct Node {
  mlir::Operation *op; // the operation, or what is moved (load, constant, store)
  bool isMove = false;
  int64_t latency = 0; // cycles inside the unit or the plain logic
  std::optional<int64_t> unit; // none: plain logic
  int64_t interval = 1;
  llvm::SmallVector<mlir::Operation *, 2> loads; // read just in time as operands
  mlir::Operation *store = nullptr; // takes the result in the cycle in which it appears
  llvm::SmallVector<std::pair<unsigned, int64_t>> after; // node, least distance between the starts
  /// Nodes whose results are needed, and how many cycles before the issue: those of operands in its
  /// cycle, those of a load's address at the port.
  llvm::SmallVector<std::pair<unsigned, int64_t>> values;
  int64_t priority = 0;
  int64_t start = -1;
};

/// What is scheduled, and for which machine.
struct Problem {
  Memories &memories;
  Units &units;
  MachineTiming timing;
  /// Rows of microcode that overlapping the iterations of a loop may cost; 0: none overlap.
  int64_t pipelineRows;
};

/// What is issued in straight-line code, with the order that values and memory demand.
llvm::SmallVector<Node> makeNodes(Problem &problem, llvm::ArrayRef<mlir::Operation *> ops);

//===----------------------------------------------------------------------===//
// Placement
//===----------------------------------------------------------------------===//

/// When the nodes of an innermost loop start.
struct Plan {
  llvm::SmallVector<int64_t> starts;
  int64_t length = 0; // of an iteration
  int64_t ii = 0; // cycles from an iteration to the next; 0: they do not overlap
  int64_t cycles = 0; // of the whole loop
};

/// Cycles until all that the nodes start is done.
int64_t lengthOf(llvm::ArrayRef<Node> nodes, const MachineTiming &timing);

/// Give nodes their starts by list scheduling.
void placeInOrder(llvm::MutableArrayRef<Node> nodes, Problem &problem);

/// The quickest way to run an innermost loop: one iteration after the other, or overlapped with the
/// shortest initiation interval for which there is a schedule of few enough rows.
Plan planLoop(llvm::MutableArrayRef<Node> nodes, mlir::Value variable, int64_t trips,
              Problem &problem);

/// The rows of an innermost loop whose iterations overlap, by its attributes.
Overlap overlapOf(mlir::affine::AffineForOp loop, const MachineTiming &timing);

/// Whether the next run of `inner`, whose iterations overlap, may begin before the last iterations
/// of this run are done: `outer` holds nothing else. Accesses have their starts.
bool mayOverlapRuns(mlir::affine::AffineForOp outer, mlir::affine::AffineForOp inner,
                    const Memories &memories, const MachineTiming &timing);

//===----------------------------------------------------------------------===//
// Order of loops
//===----------------------------------------------------------------------===//

/// One issue a cycle and one result a cycle: where all cycles are to be used, the units' latencies
/// must fit each other. A multiplication and an addition every two cycles are issued one in even
/// cycles, the other in odd ones, and so must their results come: not with latencies of which one
/// is even. A unit gets a register behind its result where that makes the network at least 2 %
/// quicker.
void choosePads(mlir::func::FuncOp func, Problem &problem);

/// Of each perfect nest, the loop that makes it quickest becomes the innermost: independent sums
/// take turns where the next term of one would have to wait. The other loops, so the terms of each
/// sum, keep their order.
void interchangeLoops(mlir::func::FuncOp func, Problem &problem);

//===----------------------------------------------------------------------===//
// Verification
//===----------------------------------------------------------------------===//

/// Check a scheduled function against its code, as CIRCT's `Problem::verify` does: the order that
/// values and memory demand, in an iteration and between those that overlap, and that nothing is
/// used twice in a cycle. One error at the operation that breaks it.
mlir::LogicalResult verifySchedule(mlir::func::FuncOp func);

/// The same for the engines of a stream.
mlir::LogicalResult verifyStream(mlir::ModuleOp module);

/// Compare the units that were scheduled with what the library declares.
mlir::LogicalResult verifyUnits(mlir::func::FuncOp func);

} // namespace asnet

#endif // LOWERING_SCHEDULE_SCHEDULE_H
