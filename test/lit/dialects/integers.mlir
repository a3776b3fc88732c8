// RUN: asnet-opt %s | FileCheck %s
// RUN: asnet-opt %s --mlir-print-op-generic | asnet-opt | FileCheck %s
// RUN: asnet-opt %s --canonicalize --cse | FileCheck %s
// RUN: asnet-opt %s --convert-elementwise-to-linalg | FileCheck %s --check-prefix=LINALG

// Integers are signless: the op says how they are read, and the result may be wider.

approx.library {
  approx.core 3 "muli" @mul8s {} latency 0 interval 1
  approx.core 4 "muli" @mul8u {} latency 0 interval 1
}

// CHECK-LABEL: func.func @all(
// CHECK-SAME:  %[[A:.*]]: i8, %[[B:.*]]: i8
func.func @all(%a: i8, %b: i8) -> (i8, i8, i8, i8, i8, i8) {
  // CHECK: approx.addi %[[A]], %[[B]] : i8
  %0 = approx.addi %a, %b : i8
  // CHECK: approx.subi %[[A]], %[[B]] : i8
  %1 = approx.subi %a, %b : i8
  // CHECK: approx.muli %[[A]], %[[B]] : i8
  %2 = approx.muli %a, %b : i8
  // CHECK: approx.divi unsigned %[[A]], %[[B]] : i8
  %3 = approx.divi unsigned %a, %b : i8
  // CHECK: approx.maxi %[[A]], %[[B]] : i8
  %4 = approx.maxi %a, %b : i8
  // CHECK: approx.mini unsigned %[[A]], %[[B]] : i8
  %5 = approx.mini unsigned %a, %b : i8
  return %0, %1, %2, %3, %4, %5 : i8, i8, i8, i8, i8, i8
}

// CHECK-LABEL: func.func @wider
// LINALG-LABEL: func.func @wider
func.func @wider(%a: i8, %v: vector<4xi2>, %t: tensor<?x2xi24>) -> (i16, i16, vector<4xi3>, tensor<?x2xi32>) {
  // CHECK: approx.muli %{{.*}}, %{{.*}} {instance = 3} : i8 -> i16
  %0 = approx.muli %a, %a {instance = 3} : i8 -> i16
  // CHECK: approx.muli unsigned %{{.*}}, %{{.*}} {approx.layer = "dense", instance = 4} : i8 -> i16
  %1 = approx.muli unsigned %a, %a {instance = 4, approx.layer = "dense"} : i8 -> i16
  // CHECK: approx.addi unsigned %{{.*}}, %{{.*}} : vector<4xi2> -> vector<4xi3>
  %2 = approx.addi unsigned %v, %v : vector<4xi2> -> vector<4xi3>
  // CHECK: approx.addi %{{.*}}, %{{.*}} : tensor<?x2xi24> -> tensor<?x2xi32>
  // LINALG: linalg.generic
  // LINALG:   approx.addi %{{.*}}, %{{.*}} : i24 -> i32
  %3 = approx.addi %t, %t : tensor<?x2xi24> -> tensor<?x2xi32>
  return %0, %1, %2, %3 : i16, i16, vector<4xi3>, tensor<?x2xi32>
}

// Neither folds nor reordered operands.

// CHECK-LABEL: func.func @no_folds(
func.func @no_folds(%a: i8) -> i8 {
  // CHECK: %[[ONE:.*]] = arith.constant 1 : i8
  // CHECK: approx.muli %[[ONE]], %{{.*}} : i8
  %one = arith.constant 1 : i8
  %0 = approx.muli %one, %a : i8
  return %0 : i8
}
