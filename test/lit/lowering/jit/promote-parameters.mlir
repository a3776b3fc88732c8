// RUN: asnet-opt %s --split-input-file --approx-promote-parameters | FileCheck %s

// CHECK-LABEL: func.func private @approx_core_1(
// CHECK-SAME:    %[[A:.*]]: f32, %[[B:.*]]: f32, %[[MASK_A:.*]]: i32, %[[MASK_B:.*]]: i32) -> f32
func.func private @approx_core_1(%a: f32, %b: f32) -> f32 {
  // CHECK-NOT: arith.constant
  // CHECK: arith.andi %{{.*}}, %[[MASK_A]]
  // CHECK: arith.andi %{{.*}}, %[[MASK_B]]
  %ma = arith.constant {approx.parameter} -8 : i32
  %xa = arith.bitcast %a : f32 to i32
  %ka = arith.andi %xa, %ma : i32
  %ua = arith.bitcast %ka : i32 to f32
  %mb = arith.constant {approx.parameter} -16 : i32
  %xb = arith.bitcast %b : f32 to i32
  %kb = arith.andi %xb, %mb : i32
  %ub = arith.bitcast %kb : i32 to f32
  %r = arith.mulf %ua, %ub : f32
  return %r : f32
}

// A model without marked constants keeps its signature.
// CHECK-LABEL: func.func private @approx_core_2(%{{.*}}: f32, %{{.*}}: f32) -> f32
func.func private @approx_core_2(%a: f32, %b: f32) -> f32 {
  %c = arith.constant 2.0 : f32
  %r = arith.mulf %a, %c : f32
  return %r : f32
}

// Read once, outside of the loop.
// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %[[PARAMETERS:[a-z0-9]*]]: memref<2xi32> {approx.parameters})
// CHECK:         %[[P0:.*]] = memref.load %[[PARAMETERS]]
// CHECK:         %[[P1:.*]] = memref.load %[[PARAMETERS]]
// CHECK:         scf.for
// CHECK:           call @approx_core_1(%{{.*}}, %{{.*}}, %[[P0]], %[[P1]])
// CHECK:           call @approx_core_2(%{{.*}}, %{{.*}}) :
func.func @main(%x: f32, %n: index) -> f32 {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%acc = %x) -> f32 {
    %p = func.call @approx_core_1(%acc, %x) : (f32, f32) -> f32
    %q = func.call @approx_core_2(%p, %x) : (f32, f32) -> f32
    scf.yield %q : f32
  }
  return %r : f32
}

// -----

// Without parameters @main takes an empty array.
// CHECK-LABEL: func.func @main(%{{.*}}: f32, %{{.*}}: memref<0xi32> {approx.parameters}) -> f32
func.func @main(%x: f32) -> f32 {
  return %x : f32
}
