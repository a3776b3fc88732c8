// RUN: asnet-opt %s --approx-carry-in-place | FileCheck %s

#id = affine_map<(d0) -> (d0)>

// CHECK-LABEL: func.func @scan
func.func @scan(%xs: tensor<3x4xf32>, %h0: tensor<4xf32>) -> (tensor<4xf32>, tensor<3x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %empty = tensor.empty() : tensor<4xf32>
  %ys0 = tensor.empty() : tensor<3x4xf32>
  // CHECK: scf.for %[[I:.*]] = {{.*}} iter_args(%[[H:.*]] = %{{.*}}, %[[YS:.*]] = %{{.*}})
  %0:2 = scf.for %i = %c0 to %c3 step %c1 iter_args(%h = %h0, %ys = %ys0)
      -> (tensor<4xf32>, tensor<3x4xf32>) {
    // A slice of the present iteration comes to one place.
    // CHECK: %[[SLICE:.*]] = tensor.extract_slice %{{.*}}[%[[I]], 0]
    // CHECK: %[[HERE:.*]] = linalg.copy ins(%[[SLICE]]
    %x = tensor.extract_slice %xs[%i, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
    // Its own memory in each iteration.
    // CHECK: %[[EMPTY:.*]] = tensor.empty() : tensor<4xf32>
    // CHECK: %[[NEXT:.*]] = linalg.generic {{.*}} ins(%[[H]], %[[HERE]] {{.*}} outs(%[[EMPTY]]
    %next = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
        ins(%h, %x : tensor<4xf32>, tensor<4xf32>) outs(%empty : tensor<4xf32>) {
    ^bb0(%a: f32, %b: f32, %out: f32):
      %1 = arith.addf %a, %b : f32
      linalg.yield %1 : f32
    } -> tensor<4xf32>
    // CHECK: %[[ROWS:.*]] = tensor.insert_slice %[[NEXT]] into %[[YS]]
    %rows = tensor.insert_slice %next into %ys[%i, 0] [1, 4] [1, 1]
        : tensor<4xf32> into tensor<3x4xf32>
    // CHECK: %[[KEPT:.*]] = linalg.copy ins(%[[NEXT]] : tensor<4xf32>) outs(%[[H]]
    // CHECK: scf.yield %[[KEPT]], %[[ROWS]]
    scf.yield %next, %rows : tensor<4xf32>, tensor<3x4xf32>
  }
  return %0#0, %0#1 : tensor<4xf32>, tensor<3x4xf32>
}
