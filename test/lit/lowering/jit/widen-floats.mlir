// RUN: asnet-opt %s --approx-widen-floats | FileCheck %s

// CHECK-LABEL: func.func @bf16(
// CHECK-SAME:  %[[A:.*]]: bf16, %[[B:.*]]: bf16
func.func @bf16(%a: bf16, %b: bf16) -> bf16 {
  // CHECK-DAG: %[[X:.*]] = arith.extf %[[A]] : bf16 to f32
  // CHECK-DAG: %[[Y:.*]] = arith.extf %[[B]] : bf16 to f32
  // CHECK: %[[P:.*]] = arith.mulf %[[X]], %[[Y]] : f32
  // CHECK-NOT: arith.truncf
  // CHECK: %[[BITS:.*]] = arith.trunci %{{.*}} : i32 to i16
  // CHECK: %[[R:.*]] = arith.bitcast %[[BITS]] : i16 to bf16
  // CHECK: return %[[R]]
  %0 = arith.mulf %a, %b : bf16
  return %0 : bf16
}

// CHECK-LABEL: func.func @vectors(
func.func @vectors(%a: vector<4xf16>) -> vector<4xf16> {
  // CHECK: arith.maximumf %{{.*}}, %{{.*}} : vector<4xf32>
  // CHECK: arith.bitcast %{{.*}} : vector<4xi16> to vector<4xf16>
  %0 = arith.maximumf %a, %a : vector<4xf16>
  return %0 : vector<4xf16>
}

// LLVM would narrow a maximum of extended numbers again.
// CHECK-LABEL: func.func @chosen(
func.func @chosen(%a: bf16, %b: bf16) -> bf16 {
  // CHECK-NOT: arith.extf
  // CHECK: arith.shli
  // CHECK: arith.minimumf %{{.*}}, %{{.*}} : f32
  // CHECK: return
  %0 = arith.minimumf %a, %b : bf16
  return %0 : bf16
}

// CHECK-LABEL: func.func @other(
func.func @other(%a: f32, %b: bf16, %c: i1) -> (f32, bf16, i1) {
  // CHECK-NEXT: arith.mulf %{{.*}}, %{{.*}} : f32
  // CHECK-NEXT: arith.select %{{.*}} : bf16
  // CHECK-NEXT: arith.cmpf olt, %{{.*}} : bf16
  // CHECK-NEXT: return
  %0 = arith.mulf %a, %a : f32
  %1 = arith.select %c, %b, %b : bf16
  %2 = arith.cmpf olt, %b, %b : bf16
  return %0, %1, %2 : f32, bf16, i1
}
