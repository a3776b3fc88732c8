// RUN: asnet-opt --approx-schedule %s > %t
// RUN: asnet-opt --approx-verify-schedule %t -o %t.same
// RUN: diff %t %t.same

// What is edited after scheduling is refused where it does not follow from the code.

// An interval is the distance of iterations: with another one they are in each other's way.
// RUN: sed 's/approx.ii = 2/approx.ii = 1/' %t > %t.1
// RUN: not asnet-opt --approx-verify-schedule %t.1 2>&1 | FileCheck %s --check-prefix=INTERVAL
// INTERVAL: error: 'affine.load' op uses the RAM in cycle 7, as does 'affine.load' when an iteration begins every 1 cycles (layer 'dense')

// RUN: sed 's/approx.ii = 2/approx.ii = 3/' %t > %t.2
// RUN: not asnet-opt --approx-verify-schedule %t.2 2>&1 | FileCheck %s --check-prefix=LONGER
// LONGER: error: 'affine.for' op has another 'approx.kernel' than its times give, {{.*}} (layer 'dense')

// RUN: sed 's/passes = [0-9]*/passes = 3/' %t > %t.3
// RUN: not asnet-opt --approx-verify-schedule %t.3 2>&1 | FileCheck %s --check-prefix=LONGER

// RUN: sed '/approx.addf/s/approx.start = 8 :/approx.start = 6 :/' %t > %t.4
// RUN: not asnet-opt --approx-verify-schedule %t.4 2>&1 | FileCheck %s --check-prefix=EARLY
// EARLY: error: 'approx.addf' op starts in cycle 6, but an operand is

// RUN: sed '/affine.store/s/approx.start = 14 :/approx.start = 13 :/' %t > %t.5
// RUN: not asnet-opt --approx-verify-schedule %t.5 2>&1 | FileCheck %s --check-prefix=STORE
// STORE: error: 'affine.store' op writes in cycle 13 what the machine has in cycle 14 only

// RUN: sed 's/approx.trip = 70/approx.trip = 71/' %t > %t.6
// RUN: not asnet-opt --approx-verify-schedule %t.6 2>&1 | FileCheck %s --check-prefix=TRIP
// TRIP: error: 'affine.for' op has 'approx.trip = 71', but 70 iterations

// RUN: sed 's/approx.lengths = array<i64: 15>/approx.lengths = array<i64: 12>/' %t > %t.7
// RUN: not asnet-opt --approx-verify-schedule %t.7 2>&1 | FileCheck %s --check-prefix=LENGTH
// LENGTH: error: 'approx.addf' op starts in cycle 8 and is done in cycle 15, but its code has 12 cycles

// RUN: sed 's/issue_to_use = 2/issue_to_use = 3/' %t > %t.8
// RUN: not asnet-opt --approx-verify-schedule %t.8 2>&1 | FileCheck %s --check-prefix=TIMING
// TIMING: error: 'approx.addf' op starts in cycle 8 and is done in cycle 16, but its code has 15 cycles

// RUN: sed 's/memory = 1 : i64, plain/plain/' %t > %t.9
// RUN: not asnet-opt --approx-verify-schedule %t.9 2>&1 | FileCheck %s --check-prefix=FACT
// FACT: error: 'func.func' op has no 'memory' in 'approx.timing'; run the scheduling pass of this version

// RUN: sed 's/plain = 1 : i64/plain = "one"/' %t > %t.10
// RUN: not asnet-opt --approx-verify-schedule %t.10 2>&1 | FileCheck %s --check-prefix=KIND
// KIND: error: 'func.func' op 'approx.timing' must be a dictionary of integers of at least 0

// RUN: sed '/name = "arg2"/s/base = 70 :/base = 69 :/' %t > %t.11
// RUN: not asnet-opt --approx-verify-schedule %t.11 2>&1 | FileCheck %s --check-prefix=SHARED
// SHARED: error: 'func.func' op has 'arg{{[02]}}' and 'arg{{[02]}}' at the same words, while both are needed

// Sums of one place only: the next run of the inner loop reads what the last iterations write.
// RUN: sed '/approx.layer = "sums"/s/approx.lengths/approx.overlap, approx.lengths/' %t > %t.12
// RUN: not asnet-opt --approx-verify-schedule %t.12 2>&1 | FileCheck %s --check-prefix=RUNS
// RUNS: error: 'affine.for' op has 'approx.overlap', but its iterations cannot overlap (layer 'sums')

approx.library {
  approx.core 1 "mulf" @fmul {LATENCY = 3} latency 3 interval 1
  approx.core 2 "addf" @fadd {LATENCY = 4} latency 4 interval 1
}
func.func @main(%x: memref<70xf32> {approx.role = "input"},
                %w: memref<70x16xf32> {approx.weight = "kernel"},
                %y: memref<16xf32> {bufferize.result}) {
  affine.for %j = 0 to 16 {
    affine.for %k = 0 to 70 {
      %a = affine.load %x[%k] : memref<70xf32>
      %b = affine.load %w[%k, %j] : memref<70x16xf32>
      %c = affine.load %y[%j] : memref<16xf32>
      %p = approx.mulf %a, %b {instance = 1} : f32
      %s = approx.addf %c, %p {instance = 2} : f32
      affine.store %s, %y[%j] : memref<16xf32>
    }
  } {approx.layer = "dense"}
  affine.for %i = 0 to 3 {
    affine.for %k = 0 to 16 {
      %a = affine.load %x[%k] : memref<70xf32>
      %c = affine.load %y[0] : memref<16xf32>
      %s = approx.addf %c, %a {instance = 2} : f32
      affine.store %s, %y[0] : memref<16xf32>
    }
  } {approx.layer = "sums"}
  return
}
