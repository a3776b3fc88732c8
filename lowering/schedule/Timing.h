// SPDX-License-Identifier: Apache-2.0
// How long the hardware takes for what the schedules count on.  The scheduling passes write these
// facts into the IR as `approx.timing`; CIRCT's Python and the verification read them from there, so
// that they are stated once.

#ifndef LOWERING_SCHEDULE_TIMING_H
#define LOWERING_SCHEDULE_TIMING_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Operation.h"

namespace asnet {

/// Cycles of the sequential machine (docs/decisions/0005-sequential-machine.md).
struct MachineTiming {
  /// From a row's name in pc to its execution: so many rows behind a branch are executed anyway.
  int64_t fetch = 2;
  /// From the issue, the unit's latency aside, until the result can be an operand: it is latched the
  /// cycle after the unit's last, and is there from the next on.
  int64_t issueToUse = 2;
  /// From a memory's address to its word as an operand.
  int64_t memory = 1;
  /// Inside the plain logic.
  int64_t plain = 1;

  /// Rows that a loop has at least: its branch, and those behind that are executed anyway.
  int64_t branchRows() const { return fetch + 1; }

  mlir::DictionaryAttr toAttr(mlir::MLIRContext *context) const;
  /// What `approx.timing` of a scheduled function says, or an error.
  static mlir::FailureOr<MachineTiming> of(mlir::Operation *func);
};

/// Cycles of an engine of the stream (docs/decisions/0014-streaming-engines.md).
struct EngineTiming {
  /// From a memory's address to its word.
  int64_t memory = 1;
  /// From an issue to its operands at a core's input: forming an address takes one cycle, bringing
  /// the word to a register another.
  int64_t operands() const { return memory + 2; }
  /// From an output's token to the operands of its epilogue, whose address lies ready.
  int64_t epilogueOperands() const { return operands() - 1; }
  /// A sum goes through a register file back to its adder's input register.
  int64_t sumToAdder = 2;
  /// From a slot of a buffer that was read to the first word that may be written there, and from the
  /// last word written to the first that is read.
  int64_t handover = 4;

  mlir::DictionaryAttr toAttr(mlir::MLIRContext *context) const;
  static mlir::FailureOr<EngineTiming> of(mlir::Operation *func);
};

/// How the rows of a loop lie whose iterations begin every `ii` cycles and take `length` each.
///
/// The prologue has the cycles in which not all iterations that overlap are under way yet; from then
/// on the same happens every `ii` cycles, in the rows of the kernel; the epilogue has the cycles
/// after the last iteration's first `ii`.  A branch wants rows behind it, so a kernel may hold
/// several times `ii`, and the prologue what is no multiple of this.  Where the kernel would be run
/// only once, there is no branch: all is prologue and epilogue.
///
/// The loop may be run several times without a pause between the runs.  Addresses take another step
/// behind the last iteration of a run.  The rows are then the prologue; those of a run, up to where
/// the next one is where this one began, which the outer loop repeats; and those of the last run.
struct Overlap {
  int64_t ii, length, trips, branchRows;
  int64_t runs = 1;

  int64_t cycles() const { return (runs * trips - 1) * ii + length; }
  /// Iterations under way at once.
  int64_t overlapping() const { return llvm::divideCeil(length, ii); }
  /// Cycles until all iterations that overlap are under way.
  int64_t fill() const { return (overlapping() - 1) * ii; }
  /// Cycles of a run in which nothing but the same happens; the last iteration of a run that others
  /// follow has other steps of addresses.
  int64_t steady() const {
    return std::max<int64_t>((trips - (runs > 1 ? 1 : 0)) * ii - fill(), 0);
  }
  /// Rows of the kernel.
  int64_t kernel() const { return llvm::divideCeil(branchRows, ii) * ii; }
  /// How often the kernel is run; 0 without one.
  int64_t passes() const {
    int64_t passes = steady() / kernel();
    return passes > 1 ? passes : 0;
  }
  /// The kernel's first row.
  int64_t first() const { return fill() + steady() - passes() * kernel(); }
  /// Cycles of a run that have no rows of their own.
  int64_t saved() const { return passes() ? (passes() - 1) * kernel() : 0; }
  /// Rows of one run.
  int64_t rows() const { return (trips - 1) * ii + length - saved(); }
  /// Further rows for a run that is not the last one.
  int64_t runRows() const { return runs > 1 ? trips * ii - saved() : 0; }

  /// As `approx.kernel` has it.
  mlir::DictionaryAttr toAttr(mlir::MLIRContext *context) const;
};

} // namespace asnet

#endif // LOWERING_SCHEDULE_TIMING_H
