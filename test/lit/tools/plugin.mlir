// RUN: mlir-opt %s %plugins --pass-pipeline='builtin.module(convert-arith-to-approx,approx-bind-instances{bindings=mulf=31})' | FileCheck %s
// RUN: mlir-opt %s %plugins --pass-pipeline='builtin.module(convert-arith-to-approx,approx-bind-instances{bindings=mulf=31},convert-approx-to-calls,inline,symbol-dce)' | FileCheck %s --check-prefix=CALLS --implicit-check-not=approx.
// RUN: mlir-opt %s %plugins --pass-pipeline='builtin.module(convert-arith-to-approx,func.func(approx-linalg-to-loops))' | FileCheck %s --check-prefix=LOOPS
// RUN: not mlir-opt %s 2>&1 | FileCheck %s --check-prefix=WITHOUT

// The dialect and the passes in the wheel's own mlir-opt, among upstream's passes.  Without the
// plugin it does not know them.

// WITHOUT: error: Dialect `approx' not found
approx.library { approx.core 31 "mulf" @truncating {P = 20} latency 1 interval 1 }

// The model is a core's: it is left alone and inlined.
func.func private @approx_core_31(%a: f32, %b: f32) -> f32 {
  %bits = arith.bitcast %a : f32 to i32
  %nan = arith.cmpf uno, %a, %b : f32
  %mask = arith.constant -1048576 : i32
  %kept = arith.andi %bits, %mask : i32
  %word = arith.select %nan, %mask, %kept : i32
  %result = arith.bitcast %word : i32 to f32
  return %result : f32
}

// CHECK-LABEL: func.func @dense
// CALLS-LABEL: func.func @dense
// LOOPS-LABEL: func.func @dense
func.func @dense(%a: memref<4x8xf32>, %b: memref<8x2xf32>, %c: memref<4x2xf32>) {
  // CHECK:      ^bb0(%[[X:.*]]: f32, %[[W:.*]]: f32, %[[SUM:.*]]: f32):
  // CHECK-NEXT:   %[[P:.*]] = approx.mulf %[[X]], %[[W]] {instance = 31} : f32
  // CHECK-NEXT:   %[[S:.*]] = approx.addf %[[SUM]], %[[P]] : f32
  // CHECK-NEXT:   linalg.yield %[[S]]

  // CALLS:      ^bb0(%[[X:.*]]: f32, %[[W:.*]]: f32, %[[SUM:.*]]: f32):
  // CALLS:        %[[BITS:.*]] = arith.bitcast %[[X]] : f32 to i32
  // CALLS:        arith.andi %[[BITS]], %{{.*}} : i32
  // CALLS:        %[[P:.*]] = arith.bitcast %{{.*}} : i32 to f32
  // CALLS:        %[[S:.*]] = arith.addf %[[SUM]], %[[P]] : f32
  // CALLS:        linalg.yield %[[S]]

  // LOOPS-COUNT-3: affine.for
  // LOOPS:           approx.mulf
  // LOOPS-NEXT:      approx.addf
  linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, k)>,
                                   affine_map<(i, j, k) -> (k, j)>,
                                   affine_map<(i, j, k) -> (i, j)>],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<4x8xf32>, memref<8x2xf32>) outs(%c : memref<4x2xf32>) {
  ^bb0(%x: f32, %w: f32, %sum: f32):
    %product = arith.mulf %x, %w : f32
    %total = arith.addf %sum, %product : f32
    linalg.yield %total : f32
  }
  return
}
