// RUN: asnet-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(approx-fuse-elementwise))' | FileCheck %s

#id = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (j)>

// A broadcast and a sum become one loop; the layer's name stays.
// CHECK-LABEL: func.func @bias
// CHECK-SAME:    %[[X:.*]]: tensor<4x8xf32>, %[[B:.*]]: tensor<8xf32>
func.func @bias(%x: tensor<4x8xf32>, %b: tensor<8xf32>) -> tensor<4x8xf32> {
  // CHECK: linalg.generic
  // CHECK-SAME: ins(%[[X]], %[[B]]
  // CHECK-SAME: approx.layer = "dense"
  // CHECK: arith.addf
  // CHECK-NOT: linalg.generic
  %e = tensor.empty() : tensor<4x8xf32>
  %0 = linalg.generic {indexing_maps = [#row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%b : tensor<8xf32>) outs(%e : tensor<4x8xf32>) attrs = {approx.layer = "dense"} {
    ^bb0(%in: f32, %out: f32):
      linalg.yield %in : f32
  } -> tensor<4x8xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %0 : tensor<4x8xf32>, tensor<4x8xf32>) outs(%e : tensor<4x8xf32>)
      attrs = {approx.layer = "dense"} {
    ^bb0(%a: f32, %c: f32, %out: f32):
      %s = arith.addf %a, %c : f32
      linalg.yield %s : f32
  } -> tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}

// -----

#id = affine_map<(i, j) -> (i, j)>

// Layers stay apart: a binding may tell them apart.
// CHECK-LABEL: func.func @two_layers
func.func @two_layers(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // CHECK: linalg.generic
  // CHECK: arith.mulf
  // CHECK: linalg.generic
  // CHECK: arith.addf
  %e = tensor.empty() : tensor<4x8xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) attrs = {approx.layer = "first"} {
    ^bb0(%in: f32, %out: f32):
      %m = arith.mulf %in, %in : f32
      linalg.yield %m : f32
  } -> tensor<4x8xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%0 : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) attrs = {approx.layer = "second"} {
    ^bb0(%in: f32, %out: f32):
      %s = arith.addf %in, %in : f32
      linalg.yield %s : f32
  } -> tensor<4x8xf32>
  return %1 : tensor<4x8xf32>
}

// -----

#id = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
#vec = affine_map<(i) -> (i)>

// Work is not repeated: neither for each element that a result is broadcast to, nor in a reduction.
// CHECK-LABEL: func.func @no_repeated_work
func.func @no_repeated_work(%x: tensor<4xf32>, %y: tensor<4x8xf32>) -> tensor<4xf32> {
  // CHECK: linalg.generic
  // CHECK-SAME: ["parallel"]
  // CHECK: arith.divf
  // CHECK: linalg.generic
  // CHECK-SAME: ["parallel", "parallel"]
  // CHECK: arith.mulf
  // CHECK: linalg.generic
  // CHECK-SAME: ["parallel", "reduction"]
  // CHECK: arith.addf
  %e1 = tensor.empty() : tensor<4xf32>
  %e2 = tensor.empty() : tensor<4x8xf32>
  %0 = linalg.generic {indexing_maps = [#vec, #vec], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%e1 : tensor<4xf32>) {
    ^bb0(%in: f32, %out: f32):
      %d = arith.divf %in, %in : f32
      linalg.yield %d : f32
  } -> tensor<4xf32>
  %1 = linalg.generic {indexing_maps = [#id, #row, #id], iterator_types = ["parallel", "parallel"]}
      ins(%y, %0 : tensor<4x8xf32>, tensor<4xf32>) outs(%e2 : tensor<4x8xf32>) {
    ^bb0(%a: f32, %b: f32, %out: f32):
      %m = arith.mulf %a, %b : f32
      linalg.yield %m : f32
  } -> tensor<4x8xf32>
  %2 = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%1 : tensor<4x8xf32>) outs(%x : tensor<4xf32>) {
    ^bb0(%in: f32, %out: f32):
      %s = arith.addf %out, %in : f32
      linalg.yield %s : f32
  } -> tensor<4xf32>
  return %2 : tensor<4xf32>
}

// -----

#id = affine_map<(i) -> (i)>
#scalar = affine_map<(i) -> ()>

// A constant operand becomes a scalar and folds: this is how StableHLO writes a padding's zero.
// CHECK-LABEL: func.func @constant
// CHECK: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK: linalg.generic
// CHECK-NOT: ins(
// CHECK: linalg.yield %[[ZERO]]
func.func @constant() -> tensor<4xf32> {
  %zero = arith.constant dense<0> : tensor<i32>
  %e = tensor.empty() : tensor<4xf32>
  %0 = linalg.generic {indexing_maps = [#scalar, #id], iterator_types = ["parallel"]}
      ins(%zero : tensor<i32>) outs(%e : tensor<4xf32>) {
    ^bb0(%in: i32, %out: f32):
      %f = arith.sitofp %in : i32 to f32
      linalg.yield %f : f32
  } -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// Integers that are only widened are read narrow by a reduction.

// CHECK-LABEL: func.func @widened(
// CHECK-SAME:  %[[X:.*]]: tensor<4x8xi8>
func.func @widened(%x: tensor<4x8xi8>, %init: tensor<4xi32>) -> tensor<4xi32> {
  // CHECK: linalg.generic
  // CHECK-SAME: ins(%[[X]] : tensor<4x8xi8>)
  // CHECK-NEXT: ^bb0(%[[IN:.*]]: i8, %[[ACC:.*]]: i32):
  // CHECK-NEXT: %[[W:.*]] = arith.extui %[[IN]] : i8 to i32
  // CHECK-NEXT: arith.addi %[[ACC]], %[[W]] : i32
  %empty = tensor.empty() : tensor<4x8xi32>
  %wide = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
                          iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x8xi8>) outs(%empty : tensor<4x8xi32>) {
  ^bb0(%in: i8, %out: i32):
    %w = arith.extui %in : i8 to i32
    linalg.yield %w : i32
  } -> tensor<4x8xi32>
  %sum = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
                         iterator_types = ["parallel", "reduction"]}
      ins(%wide : tensor<4x8xi32>) outs(%init : tensor<4xi32>) {
  ^bb0(%in: i32, %acc: i32):
    %s = arith.addi %acc, %in : i32
    linalg.yield %s : i32
  } -> tensor<4xi32>
  return %sum : tensor<4xi32>
}
