// RUN: asnet-opt %s --approx-hoist-from-loops | FileCheck %s
// RUN: asnet-opt %s --approx-hoist-from-loops=movements=false | FileCheck %s --check-prefix=ARITHMETIC

#id = affine_map<(d0) -> (d0)>

// What depends on weights only is computed once, the start of a sum stays in the loop.
// CHECK-LABEL: func.func @weights
// ARITHMETIC-LABEL: func.func @weights
func.func @weights(%x: tensor<4xf32>, %w: tensor<4xf32>) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %zero = arith.constant 0.0 : f32
  // CHECK: linalg.generic
  // CHECK: arith.mulf
  // CHECK: tensor.expand_shape
  // CHECK: scf.for
  // CHECK: linalg.fill
  // CHECK: arith.addf
  // ARITHMETIC: arith.mulf
  // ARITHMETIC: scf.for
  // ARITHMETIC: tensor.expand_shape
  %0 = scf.for %i = %c0 to %c3 step %c1 iter_args(%h = %x) -> tensor<4xf32> {
    %empty = tensor.empty() : tensor<4xf32>
    %square = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
        ins(%w : tensor<4xf32>) outs(%empty : tensor<4xf32>) {
    ^bb0(%in: f32, %out: f32):
      %1 = arith.mulf %in, %in : f32
      linalg.yield %1 : f32
    } -> tensor<4xf32>
    %row = tensor.expand_shape %w [[0, 1]] output_shape [1, 4]
        : tensor<4xf32> into tensor<1x4xf32>
    %same = tensor.collapse_shape %row [[0, 1]] : tensor<1x4xf32> into tensor<4xf32>
    %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<4xf32>) -> tensor<4xf32>
    %next = linalg.generic {indexing_maps = [#id, #id, #id, #id], iterator_types = ["parallel"]}
        ins(%h, %square, %same : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>)
        outs(%start : tensor<4xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32, %out: f32):
      %1 = arith.addf %a, %b : f32
      %2 = arith.addf %1, %c : f32
      %3 = arith.addf %out, %2 : f32
      linalg.yield %3 : f32
    } -> tensor<4xf32>
    scf.yield %next : tensor<4xf32>
  }
  return %0 : tensor<4xf32>
}
