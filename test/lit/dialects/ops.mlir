// RUN: asnet-opt %s | FileCheck %s
// RUN: asnet-opt %s --mlir-print-op-generic | asnet-opt | FileCheck %s

// Every op, with and without an instance, parses and prints as written.

// CHECK: approx.library @cores {
approx.library @cores {
  // CHECK-NEXT: approx.core 12 "addf" @fadd {} latency 0 interval 1
  approx.core 12 "addf" @fadd {} latency 0 interval 1
  // CHECK-NEXT: approx.core 13 "addf" @bf16_add {} latency 0 interval 1 {format = "bf16"}
  approx.core 13 "addf" @bf16_add {} latency 0 interval 1 {format = "bf16"}
  // CHECK-NEXT: approx.core 31 "mulf" @fmul_trunc {LATENCY = 4, P = 20} latency 4 interval 1
  approx.core 31 "mulf" @fmul_trunc {P = 20, LATENCY = 4} latency 4 interval 1
  // CHECK-NEXT: approx.core 7 "divf" @fdiv {WIDTH = -1} latency 26 interval 13 {note = "slow"}
  approx.core 7 "divf" @fdiv {WIDTH = -1} latency 26 interval 13 {note = "slow"}
}

// CHECK-LABEL: func.func @exact(
// CHECK-SAME:  %[[A:.*]]: f32, %[[B:.*]]: f32
func.func @exact(%a: f32, %b: f32) {
  // CHECK: approx.addf %[[A]], %[[B]] : f32
  %0 = approx.addf %a, %b : f32
  // CHECK: approx.subf %[[A]], %[[B]] : f32
  %1 = approx.subf %a, %b : f32
  // CHECK: approx.mulf %[[A]], %[[B]] : f32
  %2 = approx.mulf %a, %b : f32
  // CHECK: approx.divf %[[A]], %[[B]] : f32
  %3 = approx.divf %a, %b : f32
  // CHECK: approx.maxf %[[A]], %[[B]] : f32
  %4 = approx.maxf %a, %b : f32
  // CHECK: approx.minf %[[A]], %[[B]] : f32
  %5 = approx.minf %a, %b : f32
  return
}

// CHECK-LABEL: func.func @bound
func.func @bound(%a: f32, %v: vector<4xf32>, %t: tensor<?x2xbf16>) {
  // CHECK: approx.mulf %{{.*}}, %{{.*}} {instance = 31} : f32
  %0 = approx.mulf %a, %a {instance = 31} : f32
  // CHECK: approx.divf %{{.*}}, %{{.*}} {approx.layer = "dense", instance = 7} : vector<4xf32>
  %1 = approx.divf %v, %v {instance = 7 : i32, approx.layer = "dense"} : vector<4xf32>
  // CHECK: approx.addf %{{.*}}, %{{.*}} {instance = 13} : tensor<?x2xbf16>
  %2 = approx.addf %t, %t {instance = 13} : tensor<?x2xbf16>
  return
}
