// RUN: asnet-opt --approx-schedule='plain-latency=0 pipeline-rows=0' --split-input-file %s | FileCheck %s
// RUN: asnet-opt --approx-schedule='memory-latency=2 pipeline-rows=0' --split-input-file %s | FileCheck %s --check-prefix=SLOW

// Without overlap (schedule-overlap.mlir has that).

// A dense layer: operands are read in the cycle before the issue, the accumulator as late as it can
// be; the loop over one image is gone and left its layer to the next.

approx.library {
  approx.core 1 "mulf" @fmul {LATENCY = 3} latency 3 interval 1
  approx.core 2 "addf" @fadd {LATENCY = 4} latency 4 interval 1
  approx.core 3 "divf" @fdiv {} latency 9 interval 1
}
// CHECK-LABEL: func.func @dense
// CHECK-SAME: approx.lengths = array<i64: 0, 0>
// CHECK-SAME: approx.memories =
// CHECK-SAME: {bank = "ram", base = 0 : i64, name = "arg0", role = "input", words = 7 : i64}
// CHECK-SAME: {bank = "rom", base = 0 : i64, name = "dense/kernel", role = "weight", words = 21 : i64}
// CHECK-SAME: {bank = "ram", base = 7 : i64, name = "arg2", role = "output", words = 3 : i64}
// CHECK-SAME: approx.units =
// CHECK-SAME: id = 1 : i64
// CHECK-SAME: id = 2 : i64
// CHECK-NOT: id = 3
func.func @dense(%x: memref<1x7xf32> {approx.role = "input"},
                 %w: memref<7x3xf32> {approx.weight = "dense/kernel"},
                 %y: memref<1x3xf32> {bufferize.result}) {
  // CHECK-NOT: = 0 to 1
  affine.for %n = 0 to 1 {
    affine.for %j = 0 to 3 {
      affine.for %k = 0 to 7 {
        // CHECK: affine.load {{.*}} {approx.base = 0 : i64, approx.memory = 0 : i64, approx.start = 0 : i64, approx.strides = array<i64: 0, 1>}
        // CHECK: affine.load {{.*}} {approx.base = 0 : i64, approx.memory = 1 : i64, approx.start = 0 : i64, approx.strides = array<i64: 1, 3>}
        // CHECK: affine.load {{.*}} {approx.base = 7 : i64, approx.memory = 2 : i64, approx.start = 5 : i64, approx.strides = array<i64: 1, 0>}
        // CHECK: approx.mulf {{.*}} {approx.latency = 3 : i64, approx.start = 1 : i64, approx.unit = 1 : i64, instance = 1}
        // CHECK: approx.addf {{.*}} {approx.latency = 4 : i64, approx.start = 6 : i64, approx.unit = 2 : i64, instance = 2}
        // CHECK: affine.store {{.*}} {approx.base = 7 : i64, approx.memory = 2 : i64, approx.start = 12 : i64, approx.strides = array<i64: 1, 0>}
        // SLOW: approx.mulf {{.*}} approx.start = 2 : i64
        %a = affine.load %x[%n, %k] : memref<1x7xf32>
        %b = affine.load %w[%k, %j] : memref<7x3xf32>
        %c = affine.load %y[%n, %j] : memref<1x3xf32>
        %p = approx.mulf %a, %b {instance = 1} : f32
        %s = approx.addf %c, %p {instance = 2} : f32
        affine.store %s, %y[%n, %j] : memref<1x3xf32>
      }
      // CHECK: approx.lengths = array<i64: 13>, approx.trip = 7 : i64
    }
    // CHECK: approx.layer = "dense", approx.lengths = array<i64: 0, 0>, approx.trip = 3 : i64
  } {approx.layer = "dense"}
  return
}

// -----

// A convolution with stride 2: the window's loops keep a stride of their own.

approx.library {
  approx.core 1 "mulf" @fmul {} latency 0 interval 1
}
// CHECK-LABEL: func.func @convolution
func.func @convolution(%x: memref<1x9x9x2xf32> {approx.role = "input"},
                       %y: memref<4x4xf32> {approx.role = "output"}) {
  affine.for %i = 0 to 4 {
    affine.for %j = 0 to 4 {
      affine.for %u = 0 to 3 {
        affine.for %v = 0 to 3 {
          // CHECK: affine.load {{.*}} {approx.base = 1 : i64, {{.*}} approx.start = 2 : i64, approx.strides = array<i64: 36, 4, 18, 2>
          %a = affine.load %x[0, %i * 2 + %u, %j * 2 + %v, 1] : memref<1x9x9x2xf32>
          // Two words of one memory: one is read early and moved to a register.
          // CHECK: affine.load {{.*}} approx.move = 1 : i64, approx.start = 0 : i64
          %b = affine.load %y[%i, %j] : memref<4x4xf32>
          %p = approx.mulf %a, %b {instance = 1} : f32
          affine.store %p, %y[%i, %j] : memref<4x4xf32>
        }
      }
    }
  }
  return
}

// -----

// Views have linear addresses in the buffer they look at: padding writes the inside of a larger
// buffer, flattening reads it in one piece. Loops may start anywhere and step by anything.

// CHECK-LABEL: func.func @views
// CHECK-SAME: {bank = "ram", base = 25 : i64, name = "buffer_1", role = "scratch", words = 36 : i64}
func.func @views(%x: memref<4x4xf32> {approx.role = "input"},
                 %y: memref<9xf32> {approx.role = "output"}) {
  %pad = memref.alloc() : memref<6x6xf32>
  %inside = memref.subview %pad[1, 1] [4, 4] [1, 1]
      : memref<6x6xf32> to memref<4x4xf32, strided<[6, 1], offset: 7>>
  affine.for %i = 0 to 4 {
    affine.for %j = 0 to 4 {
      // CHECK: affine.load {{.*}} approx.start = 0 : i64, approx.strides = array<i64: 4, 1>
      %a = affine.load %x[%i, %j] : memref<4x4xf32>
      // CHECK: affine.store {{.*}} {approx.base = 32 : i64, {{.*}} approx.move = 1 : i64, approx.start = 3 : i64, approx.strides = array<i64: 6, 1>}
      affine.store %a, %inside[%i, %j] : memref<4x4xf32, strided<[6, 1], offset: 7>>
    }
  }
  %flat = memref.collapse_shape %pad [[0, 1]] : memref<6x6xf32> into memref<36xf32>
  affine.for %i = 3 to 30 step 3 {
    // CHECK: affine.load {{.*}} {approx.base = 28 : i64, {{.*}} approx.strides = array<i64: 3>
    %a = affine.load %flat[%i] : memref<36xf32>
    // CHECK: arith.negf {{.*}} {approx.alu = "negf", approx.start = 1 : i64}
    %n = arith.negf %a : f32
    // CHECK: affine.store {{.*}} {approx.base = 16 : i64, {{.*}} approx.strides = array<i64: 1>
    affine.store %n, %y[%i floordiv 3 - 1] : memref<9xf32>
    // CHECK: approx.trip = 9 : i64
  }
  return
}

// -----

// A maximum over all, then its broadcast: memories that no operation needs at one time share words,
// and the word that the previous iteration wrote is never read too early.

approx.library {
  approx.core 4 "maxf" @fmax {} latency 1 interval 1
}
// CHECK-LABEL: func.func @reduction
// CHECK-SAME: {bank = "rom", base = 0 : i64, contents = array<i32: -8388608>, name = "lowest", role = "constant", words = 1 : i64}
memref.global "private" constant @lowest : memref<f32> = dense<0xFF800000>
func.func @reduction(%x: memref<8xf32> {approx.role = "input"},
                     %y: memref<8xf32> {approx.role = "output"}) {
  %m = memref.alloc() : memref<f32>
  %l = memref.get_global @lowest : memref<f32>
  %first = affine.load %l[] : memref<f32>
  affine.store %first, %m[] : memref<f32>
  affine.for %i = 0 to 8 {
    %a = affine.load %x[%i] : memref<8xf32>
    %b = affine.load %m[] : memref<f32>
    // CHECK: approx.maxf {{.*}} approx.start = 3 : i64
    %c = approx.maxf %b, %a {instance = 4} : f32
    // CHECK: affine.store {{.*}} approx.start = 6 : i64
    affine.store %c, %m[] : memref<f32>
    // CHECK: approx.lengths = array<i64: 7>
  }
  affine.for %i = 0 to 8 {
    %b = affine.load %m[] : memref<f32>
    affine.store %b, %y[%i] : memref<8xf32>
  }
  return
}

// -----

// Plain logic: a word takes part as it is (bitcast to integers), a NaN made of bits becomes the
// canonical one, and every use of a constant has a constant of its own.

// CHECK-LABEL: func.func @plain
func.func @plain(%x: memref<8xf32> {approx.role = "input"},
                 %y: memref<8xf32> {approx.role = "output"}) {
  %c = arith.constant 255 : i32
  %z = arith.constant 0.0 : f32
  affine.for %i = 0 to 8 {
    %a = affine.load %x[%i] : memref<8xf32>
    // CHECK: arith.bitcast {{.*}} {approx.alias}
    %b = arith.bitcast %a : f32 to i32
    // CHECK: arith.constant {approx.bits = 255 : i32}
    // CHECK: arith.andi {{.*}} {approx.alu = "andi", approx.start = 1 : i64}
    %d = arith.andi %b, %c : i32
    // CHECK: arith.constant {approx.bits = 255 : i32}
    // CHECK: arith.addi {{.*}} {approx.alu = "addi", approx.start = 3 : i64}
    // SLOW: arith.andi {{.*}} {approx.alu = "andi", approx.start = 2 : i64}
    // SLOW: arith.addi {{.*}} {approx.alu = "addi", approx.start = 5 : i64}
    %e = arith.addi %d, %c : i32
    // CHECK: arith.bitcast {{.*}} {approx.alu = "canon", approx.start = 5 : i64}
    %f = arith.bitcast %e : i32 to f32
    // CHECK: arith.cmpf ogt, {{.*}} {approx.alu = "cmpf_ogt", approx.start = 7 : i64}
    %g = arith.cmpf ogt, %f, %z : f32
    // CHECK: arith.select {{.*}} {approx.alu = "select", approx.start = 9 : i64}
    %h = arith.select %g, %f, %z : f32
    // CHECK: affine.store {{.*}} approx.start = 11 : i64
    affine.store %h, %y[%i] : memref<8xf32>
  }
  return
}

// -----

// A unit with an interval is kept for so many cycles: the second product begins when the first one's
// operands have been there for 8, and nothing of the next iteration comes before the second one's have.

approx.library {
  approx.core 1 "mulf" @serial {} latency 3 interval 8
  approx.core 2 "addf" @fadd {LATENCY = 1} latency 1 interval 1
}
// CHECK-LABEL: func.func @interval
func.func @interval(%x: memref<8xf32> {approx.role = "input"},
                    %y: memref<8xf32> {approx.role = "output"}) {
  affine.for %i = 0 to 8 {
    %a = affine.load %x[%i] : memref<8xf32>
    // CHECK: approx.mulf {{.*}} {approx.latency = 3 : i64, approx.start = 3 : i64, approx.unit = 1 : i64
    %p = approx.mulf %a, %a {instance = 1} : f32
    // CHECK: approx.addf {{.*}} approx.start = 4 : i64
    %q = approx.addf %a, %a {instance = 2} : f32
    // CHECK: approx.mulf {{.*}} {approx.latency = 3 : i64, approx.start = 11 : i64
    %r = approx.mulf %p, %q {instance = 1} : f32
    affine.store %r, %y[%i] : memref<8xf32>
    // CHECK: approx.lengths = array<i64: 19>, approx.trip = 8 : i64
  }
  return
}
