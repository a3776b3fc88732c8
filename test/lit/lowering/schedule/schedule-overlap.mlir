// RUN: asnet-opt --approx-schedule --split-input-file %s | FileCheck %s
// RUN: asnet-opt --approx-schedule='pipeline-rows=0' --split-input-file %s | FileCheck %s --check-prefix=NONE

// A dense layer: its neurons take turns, so that a term is added every two cycles. A result of both
// units in one cycle is avoided by a register behind the multiplier.

approx.library {
  approx.core 1 "mulf" @fmul {LATENCY = 3} latency 3 interval 1
  approx.core 2 "addf" @fadd {LATENCY = 4} latency 4 interval 1
}
// CHECK-LABEL: func.func @dense
// CHECK-SAME: {id = 1 : i64, latency = 3 : i64, module = @fmul, op = "mulf", pad = 1 : i64,
// NONE-LABEL: func.func @dense
// NONE-NOT: pad
func.func @dense(%x: memref<70xf32> {approx.role = "input"},
                 %w: memref<70x16xf32> {approx.weight = "dense/kernel"},
                 %y: memref<16xf32> {bufferize.result}) {
  // CHECK: affine.for {{.*}} = 0 to 70
  // CHECK: affine.for {{.*}} = 0 to 16
  // NONE: affine.for {{.*}} = 0 to 16
  // NONE: affine.for {{.*}} = 0 to 70
  // NONE-NOT: approx.ii
  affine.for %j = 0 to 16 {
    affine.for %k = 0 to 70 {
      // CHECK: affine.load {{.*}} approx.start = 7 : i64, approx.strides = array<i64: 0, 1>}
      // CHECK: approx.mulf {{.*}} {approx.latency = 4 : i64, approx.start = 1 : i64
      // CHECK: approx.addf {{.*}} {approx.latency = 4 : i64, approx.start = 8 : i64
      // CHECK: affine.store {{.*}} approx.start = 14 : i64
      // CHECK: approx.ii = 2 : i64, approx.kernel = {{.*}}, approx.lengths = array<i64: 15>, approx.trip = 16 : i64
      // CHECK: approx.layer = "dense", {{.*}} approx.overlap, approx.trip = 70 : i64
      %a = affine.load %x[%k] : memref<70xf32>
      %b = affine.load %w[%k, %j] : memref<70x16xf32>
      %c = affine.load %y[%j] : memref<16xf32>
      %p = approx.mulf %a, %b {instance = 1} : f32
      %s = approx.addf %c, %p {instance = 2} : f32
      affine.store %s, %y[%j] : memref<16xf32>
    }
  } {approx.layer = "dense"}
  return
}

// -----

// One sum: its next term waits for the one before (written in cycle w, asked for in w + 1), what is
// multiplied does not.

approx.library {
  approx.core 1 "mulf" @fmul {LATENCY = 3} latency 3 interval 1
  approx.core 2 "addf" @fadd {LATENCY = 4} latency 4 interval 1
}
// CHECK-LABEL: func.func @sum
// CHECK-NOT: pad
func.func @sum(%x: memref<70xf32> {approx.role = "input"},
               %w: memref<70xf32> {approx.weight = "dense/kernel"},
               %y: memref<1xf32> {bufferize.result}) {
  affine.for %k = 0 to 70 {
    %a = affine.load %x[%k] : memref<70xf32>
    %b = affine.load %w[%k] : memref<70xf32>
    %c = affine.load %y[0] : memref<1xf32>
    %p = approx.mulf %a, %b {instance = 1} : f32
    %s = approx.addf %c, %p {instance = 2} : f32
    affine.store %s, %y[0] : memref<1xf32>
    // CHECK: approx.ii = 8 : i64, approx.kernel = {{.*}}, approx.lengths = array<i64: 13>, approx.trip = 70 : i64
  }
  return
}

// -----

// A word that the iteration after the next one reads: what takes twelve cycles is needed after two
// iterations, so that one begins every sixth. The outer loop cannot be moved in, as a row reads the one
// before; and where it begins with the last words of that, it waits for them.

approx.library {
  approx.core 2 "addf" @fadd {LATENCY = 4} latency 4 interval 1
}
// CHECK-LABEL: func.func @distance
func.func @distance(%x: memref<82xf32> {approx.role = "input"},
                    %y: memref<6x82xf32> {bufferize.result}) {
  affine.for %k = 0 to 82 {
    %a = affine.load %x[%k] : memref<82xf32>
    affine.store %a, %y[0, %k] : memref<6x82xf32>
    // CHECK: approx.ii = 1 : i64
  }
  // CHECK: affine.for {{.*}} = 1 to 6
  affine.for %i = 1 to 6 {
    // CHECK: affine.for {{.*}} = 2 to 80
    affine.for %k = 2 to 80 {
      %a = affine.load %y[%i - 1, %k] : memref<6x82xf32>
      %c = affine.load %y[%i, %k - 2] : memref<6x82xf32>
      %s = approx.addf %c, %a {instance = 2} : f32
      affine.store %s, %y[%i, %k] : memref<6x82xf32>
      // CHECK: approx.ii = 6 : i64
    }
    // CHECK: approx.overlap, approx.trip = 5
  }
  affine.for %i = 1 to 6 {
    affine.for %k = 0 to 41 {
      %a = affine.load %y[%i - 1, %k + 40] : memref<6x82xf32>
      %s = approx.addf %a, %a {instance = 2} : f32
      affine.store %s, %y[%i, %k] : memref<6x82xf32>
      // CHECK: approx.ii = 1 : i64
    }
    // CHECK-NOT: approx.overlap
    // CHECK: approx.trip = 5
  }
  return
}

// -----

// A convolution: of the loops over columns and filters, the longer one; the window's terms keep their
// order. A run of its loop begins two cycles behind the last iteration of the one before.

approx.library {
  approx.core 1 "mulf" @fmul {LATENCY = 1} latency 1 interval 1
  approx.core 2 "addf" @fadd {LATENCY = 1} latency 1 interval 1
}
// CHECK-LABEL: func.func @convolution
func.func @convolution(%x: memref<9x20x2xf32> {approx.role = "input"},
                       %w: memref<3x3x2x4xf32> {approx.weight = "kernel"},
                       %y: memref<7x18x4xf32> {approx.role = "output"}) {
  // CHECK: affine.for {{.*}} = 0 to 7
  // CHECK: affine.for {{.*}} = 0 to 4
  // CHECK: affine.for {{.*}} = 0 to 3
  // CHECK: affine.for {{.*}} = 0 to 3
  // CHECK: affine.for {{.*}} = 0 to 2
  // CHECK: affine.for {{.*}} = 0 to 18
  // CHECK: approx.strides = array<i64: 40, 0, 40, 2, 1, 2>
  // CHECK: approx.ii = 2 : i64, approx.kernel = {{.*}}, approx.lengths = array<i64: 8>, approx.trip = 18 : i64
  // CHECK: approx.overlap, approx.trip = 2
  // CHECK: approx.layer = "conv", {{.*}}, approx.trip = 7
  affine.for %i = 0 to 7 {
    affine.for %j = 0 to 18 {
      affine.for %o = 0 to 4 {
        affine.for %u = 0 to 3 {
          affine.for %v = 0 to 3 {
            affine.for %c = 0 to 2 {
              %a = affine.load %x[%i + %u, %j + %v, %c] : memref<9x20x2xf32>
              %b = affine.load %w[%u, %v, %c, %o] : memref<3x3x2x4xf32>
              %d = affine.load %y[%i, %j, %o] : memref<7x18x4xf32>
              %p = approx.mulf %a, %b {instance = 1} : f32
              %s = approx.addf %d, %p {instance = 2} : f32
              affine.store %s, %y[%i, %j, %o] : memref<7x18x4xf32>
            }
          }
        }
      }
    }
  } {approx.layer = "conv"}
  return
}

// -----

// A unit that is kept for 8 cycles begins an iteration every 8 cycles, and is through when the loop ends.

approx.library {
  approx.core 1 "mulf" @serial {} latency 7 interval 8
}
// CHECK-LABEL: func.func @interval
func.func @interval(%x: memref<30xf32> {approx.role = "input"},
                    %y: memref<30xf32> {approx.role = "output"}) {
  affine.for %i = 0 to 30 {
    %a = affine.load %x[%i] : memref<30xf32>
    %p = approx.mulf %a, %a {instance = 1} : f32
    affine.store %p, %y[%i] : memref<30xf32>
    // CHECK: approx.ii = 8 : i64, approx.kernel = {{.*}}, approx.lengths = array<i64: 11>, approx.trip = 30 : i64
  }
  return
}
