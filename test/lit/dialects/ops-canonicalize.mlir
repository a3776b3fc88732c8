// RUN: asnet-opt %s --canonicalize --cse | FileCheck %s

// Neither folds nor reordered operands: a core may tell its operands apart, and x * 1 is what it says.

// CHECK-LABEL: func.func @no_folds(
// CHECK-SAME:  %[[A:.*]]: f32, %[[B:.*]]: f32
func.func @no_folds(%a: f32, %b: f32) -> (f32, f32, f32) {
  %zero = arith.constant 0.0 : f32
  %one = arith.constant 1.0 : f32
  // CHECK-DAG: %[[ZERO:.*]] = arith.constant 0.0
  // CHECK-DAG: %[[ONE:.*]] = arith.constant 1.0
  // CHECK: %[[MUL:.*]] = approx.mulf %[[ONE]], %[[A]] : f32
  %0 = approx.mulf %one, %a : f32
  // CHECK: %[[ADD:.*]] = approx.addf %[[ZERO]], %[[A]] : f32
  %1 = approx.addf %zero, %a : f32
  // CHECK: %[[AB:.*]] = approx.mulf %[[A]], %[[B]] : f32
  // CHECK: %[[BA:.*]] = approx.mulf %[[B]], %[[A]] : f32
  // CHECK: %[[MAX:.*]] = approx.maxf %[[AB]], %[[BA]] : f32
  %ab = approx.mulf %a, %b : f32
  %ba = approx.mulf %b, %a : f32
  %2 = approx.maxf %ab, %ba : f32
  // CHECK: return %[[MUL]], %[[ADD]], %[[MAX]]
  return %0, %1, %2 : f32, f32, f32
}

// Equal computations are one, and unused ones none: the ops are pure.

// CHECK-LABEL: func.func @pure(
func.func @pure(%a: f32) -> (f32, f32) {
  // CHECK-NEXT: %[[R:.*]] = approx.mulf
  // CHECK-NEXT: return %[[R]], %[[R]]
  %unused = approx.divf %a, %a : f32
  %0 = approx.mulf %a, %a : f32
  %1 = approx.mulf %a, %a : f32
  return %0, %1 : f32, f32
}
