// RUN: asnet-opt %s --approx-expand-math | FileCheck %s

// Functions of bf16 and f16 are those of f32 between conversions.

// CHECK-LABEL: func.func @exp(
// CHECK-SAME:  %[[X:.*]]: bf16
func.func @exp(%x: bf16) -> bf16 {
  // CHECK-NEXT: %[[WIDE:.*]] = arith.extf %[[X]] : bf16 to f32
  // CHECK-NOT: bf16
  // CHECK: approx.mulf %{{.*}}, %{{.*}} : f32
  // CHECK-NOT: bf16
  // CHECK: %[[BITS:.*]] = arith.trunci %{{.*}} : i32 to i16
  // CHECK-NEXT: %[[Y:.*]] = arith.bitcast %[[BITS]] : i16 to bf16
  // CHECK-NEXT: return %[[Y]]
  %0 = math.exp %x : bf16
  return %0 : bf16
}

// CHECK-LABEL: func.func @vectors(
func.func @vectors(%x: tensor<4xf16>, %y: vector<4xbf16>) -> (tensor<4xf16>, vector<4xbf16>) {
  // CHECK: arith.extf %{{.*}} : tensor<4xf16> to tensor<4xf32>
  // CHECK: arith.bitcast %{{.*}} : tensor<4xi16> to tensor<4xf16>
  // CHECK: arith.bitcast %{{.*}} : vector<4xi16> to vector<4xbf16>
  %0 = math.sqrt %x : tensor<4xf16>
  %1 = math.absf %y : vector<4xbf16>
  return %0, %1 : tensor<4xf16>, vector<4xbf16>
}

// CHECK-LABEL: func.func @conversions(
func.func @conversions(%x: f32, %h: f16, %i: i8, %j: i9, %k: i32) -> (bf16, i8, bf16, bf16, bf16) {
  // CHECK-NOT: arith.truncf
  // CHECK-NOT: arith.fptosi
  %0 = arith.truncf %x : f32 to bf16
  %1 = arith.fptosi %h : f16 to i8
  // What is exact stays, what would be rounded twice as well.
  // CHECK: arith.sitofp %{{.*}} : i8 to bf16
  // CHECK: arith.sitofp %{{.*}} : i9 to f32
  // CHECK: arith.sitofp %{{.*}} : i32 to bf16
  %2 = arith.sitofp %i : i8 to bf16
  %3 = arith.sitofp %j : i9 to bf16
  %4 = arith.sitofp %k : i32 to bf16
  return %0, %1, %2, %3, %4 : bf16, i8, bf16, bf16, bf16
}
