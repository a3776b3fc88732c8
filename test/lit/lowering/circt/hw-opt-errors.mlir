// RUN: asnet-opt --approx-schedule='pipeline-rows=0' --mlir-print-op-generic %s > %t
// RUN: %python %S/../../../../lowering/circt/hw_opt.py --emit=microcode %t > %t.code

// What is edited after scheduling is one error with its place, or the same schedule.
// RUN: sed 's/approx.start = 3 : i64/approx.start = -7 : i64/' %t > %t.1
// RUN: not %python %S/../../../../lowering/circt/hw_opt.py %t.1 2>&1 | FileCheck %s --check-prefix=START
// START: asnet-hw-opt: line [[#]], column [[#]]: 'affine.load' op 'approx.start' must be an integer of at least 0, got -7

// RUN: sed '/approx.core/s/latency = 1 :/latency = 5 :/' %t > %t.2
// RUN: not %python %S/../../../../lowering/circt/hw_opt.py %t.2 2>&1 | FileCheck %s --check-prefix=LATENCY
// LATENCY: asnet-hw-opt: line [[#]], column [[#]]: 'approx.core' op 1 has latency 5 : i64, but was scheduled with 1 : i64; schedule again

// RUN: sed '/approx.core/s/op = "mulf"/op = "divf"/' %t > %t.3
// RUN: not %python %S/../../../../lowering/circt/hw_opt.py %t.3 2>&1 | FileCheck %s --check-prefix=OP
// OP: 'approx.mulf' op instance 1 computes "divf", but this op is "mulf"

// RUN: sed 's/approx.latency = 1 :/approx.latency = 2 :/' %t > %t.4
// RUN: not %python %S/../../../../lowering/circt/hw_opt.py %t.4 2>&1 | FileCheck %s --check-prefix=OWN
// OWN: 'approx.mulf' op has 'approx.latency = 2', but unit 1 takes 1 cycles

// RUN: sed 's/"approx.mulf"/"approx.divf"/' %t > %t.5
// RUN: not %python %S/../../../../lowering/circt/hw_opt.py %t.5 2>&1 | FileCheck %s --check-prefix=KIND
// KIND: 'approx.divf' op instance 1 computes "mulf", but this op is "divf"

// RUN: sed 's/approx.layer = "dense"/approx.layer = 7/' %t > %t.6
// RUN: not %python %S/../../../../lowering/circt/hw_opt.py %t.6 2>&1 | FileCheck %s --check-prefix=LAYER
// LAYER: 'affine.for' op 'approx.layer' must be a string that is not empty, got 7 : i64

// RUN: sed 's/approx.start = 4 : i64/approx.start = 3 : i64/' %t > %t.7
// RUN: not %python %S/../../../../lowering/circt/hw_opt.py %t.7 2>&1 | FileCheck %s --check-prefix=EARLY
// EARLY: 'approx.addf' op starts in cycle 3, but an operand is

// RUN: sed 's/approx.lengths = array<i64: 9>/approx.lengths = array<i64>/' %t > %t.8
// RUN: not %python %S/../../../../lowering/circt/hw_opt.py %t.8 2>&1 | FileCheck %s --check-prefix=ELSE
// ELSE: asnet-hw-opt: line [[#]], column [[#]]: 'affine.for' op has 0 loops, so 'approx.lengths' needs 1 numbers

// RUN: sed '/memref<5x3xf32>/s/approx.base = 0 :/approx.base = 4 :/' %t > %t.9
// RUN: not %python %S/../../../../lowering/circt/hw_opt.py %t.9 2>&1 | FileCheck %s --check-prefix=BASE
// BASE: 'affine.load' op accesses 'kernel' from address 0, but has another 'approx.base'

// RUN: sed 's/approx.trip = 5 :/approx.trip = 6 :/' %t > %t.10
// RUN: not %python %S/../../../../lowering/circt/hw_opt.py %t.10 2>&1 | FileCheck %s --check-prefix=TRIP
// TRIP: 'affine.for' op has 'approx.trip = 6', but 5 iterations

// RUN: sed 's/approx.bits = 0 :/approx.bits = 1 :/' %t > %t.11
// RUN: not %python %S/../../../../lowering/circt/hw_opt.py %t.11 2>&1 | FileCheck %s --check-prefix=BITS
// BITS: 'arith.constant' op has other 'approx.bits' than its value

approx.library {
  approx.core 1 "mulf" @fmul_trunc {LATENCY = 1, P = 20} latency 1 interval 1
  approx.core 2 "addf" @fadd {LATENCY = 2} latency 2 interval 1
}
func.func @main(%x: memref<5xf32> {approx.role = "input"},
                %w: memref<5x3xf32> {approx.weight = "kernel"},
                %y: memref<3xf32> {bufferize.result}) {
  affine.for %j = 0 to 3 {
    affine.for %k = 0 to 5 {
      %a = affine.load %x[%k] : memref<5xf32>
      %b = affine.load %w[%k, %j] : memref<5x3xf32>
      %c = affine.load %y[%j] : memref<3xf32>
      %p = approx.mulf %a, %b {instance = 1} : f32
      %s = approx.addf %c, %p {instance = 2} : f32
      affine.store %s, %y[%j] : memref<3xf32>
    }
  } {approx.layer = "dense"}
  %zero = arith.constant 0.0 : f32
  affine.for %i = 0 to 3 {
    affine.store %zero, %y[%i] : memref<3xf32>
  }
  return
}
