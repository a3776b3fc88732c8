// RUN: asnet-opt %s --approx-split-stages --split-input-file | FileCheck %s

#id = affine_map<(d0) -> (d0)>

// Two layers; the op without a name goes with the one before it; the fill, which depends on no input,
// is cloned into the stage that needs it.

// CHECK-LABEL: func.func @stage_0(
// CHECK-SAME:    %[[X:.*]]: tensor<4xf32> {approx.value = 0 : i64},
// CHECK-SAME:    %[[W:.*]]: tensor<4xf32> {approx.weight = "w"})
// CHECK-SAME:    -> (tensor<2x2xf32> {approx.value = 1 : i64}) attributes {approx.stage = "a"}
// CHECK:         %[[Y:.*]] = linalg.generic {{.*}} ins(%[[X]], %[[W]] :
// CHECK:         %[[E:.*]] = tensor.expand_shape %[[Y]]
// CHECK:         return %[[E]]
// CHECK-LABEL: func.func @stage_1(
// CHECK-SAME:    %[[X:.*]]: tensor<2x2xf32> {approx.value = 1 : i64})
// CHECK-SAME:    -> (tensor<2xf32> {approx.value = 2 : i64}) attributes {approx.stage = "b"}
// CHECK:         %[[FILL:.*]] = linalg.generic {{.*}} ins(%{{.*}} : f32)
// CHECK:         linalg.generic {{.*}} ins(%[[X]] : {{.*}} outs(%[[FILL]] :
// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %[[X:.*]]: tensor<4xf32> {approx.value = 0 : i64},
// CHECK-SAME:    %[[W:.*]]: tensor<4xf32> {approx.weight = "w"})
// CHECK-SAME:    -> (tensor<2xf32> {approx.value = 2 : i64})
// CHECK-NEXT:    %[[A:.*]] = call @stage_0(%[[X]], %[[W]])
// CHECK-NEXT:    %[[B:.*]] = call @stage_1(%[[A]])
// CHECK-NEXT:    return %[[B]]
func.func @main(%x: tensor<4xf32>, %w: tensor<4xf32> {approx.weight = "w"}) -> tensor<2xf32> {
  %cst = arith.constant 0.0 : f32
  %e2 = tensor.empty() : tensor<2xf32>
  %zero = linalg.generic {indexing_maps = [affine_map<(d0) -> ()>, #id], iterator_types = ["parallel"]}
      ins(%cst : f32) outs(%e2 : tensor<2xf32>) attrs = {approx.layer = "b"} {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<2xf32>
  %e4 = tensor.empty() : tensor<4xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
      ins(%x, %w : tensor<4xf32>, tensor<4xf32>) outs(%e4 : tensor<4xf32>) attrs = {approx.layer = "a"} {
  ^bb0(%in: f32, %in_w: f32, %out: f32):
    %1 = approx.mulf %in, %in_w : f32
    linalg.yield %1 : f32
  } -> tensor<4xf32>
  %1 = tensor.expand_shape %0 [[0, 1]] output_shape [2, 2] : tensor<4xf32> into tensor<2x2xf32>
  %2 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>],
                       iterator_types = ["parallel", "reduction"]}
      ins(%1 : tensor<2x2xf32>) outs(%zero : tensor<2xf32>) attrs = {approx.layer = "b"} {
  ^bb0(%in: f32, %out: f32):
    %3 = approx.addf %out, %in : f32
    linalg.yield %3 : f32
  } -> tensor<2xf32>
  return %2 : tensor<2xf32>
}

// -----

#id = affine_map<(d0) -> (d0)>

// A value that two later layers read (a residual) is an argument of both.

// CHECK-LABEL: func.func @stage_0(%{{.*}}: tensor<4xf32> {approx.value = 0 : i64})
// CHECK-LABEL: func.func @stage_1(%{{.*}}: tensor<4xf32> {approx.value = 1 : i64})
// CHECK-LABEL: func.func @stage_2(%{{.*}}: tensor<4xf32> {approx.value = 2 : i64}, %{{.*}}: tensor<4xf32> {approx.value = 1 : i64})
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %e = tensor.empty() : tensor<4xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) attrs = {approx.layer = "a"} {
  ^bb0(%in: f32, %out: f32):
    %1 = approx.addf %in, %in : f32
    linalg.yield %1 : f32
  } -> tensor<4xf32>
  %1 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%0 : tensor<4xf32>) outs(%e : tensor<4xf32>) attrs = {approx.layer = "b"} {
  ^bb0(%in: f32, %out: f32):
    %2 = approx.mulf %in, %in : f32
    linalg.yield %2 : f32
  } -> tensor<4xf32>
  %2 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
      ins(%1, %0 : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) attrs = {approx.layer = "c"} {
  ^bb0(%in: f32, %in_0: f32, %out: f32):
    %3 = approx.addf %in, %in_0 : f32
    linalg.yield %3 : f32
  } -> tensor<4xf32>
  return %2 : tensor<4xf32>
}
