// RUN: asnet-opt %s --approx-subf-to-addf | FileCheck %s

approx.library { approx.core 5 "subf" @fsub {} latency 1 interval 1 }

// CHECK-LABEL: func.func @unbound(
// CHECK-SAME:  %[[A:.*]]: f32, %[[B:.*]]: f32
func.func @unbound(%a: f32, %b: f32) -> f32 {
  // CHECK-NEXT: %[[NEG:.*]] = arith.negf %[[B]] : f32
  // CHECK-NEXT: %[[SUM:.*]] = approx.addf %[[A]], %[[NEG]] {approx.layer = "dense"} : f32
  // CHECK-NEXT: return %[[SUM]]
  %0 = approx.subf %a, %b {approx.layer = "dense"} : f32
  return %0 : f32
}

// CHECK-LABEL: func.func @vector(
func.func @vector(%a: vector<4xf32>) -> vector<4xf32> {
  // CHECK: arith.negf {{.*}} : vector<4xf32>
  // CHECK: approx.addf {{.*}} : vector<4xf32>
  %0 = approx.subf %a, %a : vector<4xf32>
  return %0 : vector<4xf32>
}

// CHECK-LABEL: func.func @bound_stays(
func.func @bound_stays(%a: f32, %b: f32) -> f32 {
  // CHECK-NEXT: approx.subf %{{.*}}, %{{.*}} {instance = 5} : f32
  // CHECK-NEXT: return
  %0 = approx.subf %a, %b {instance = 5} : f32
  return %0 : f32
}
