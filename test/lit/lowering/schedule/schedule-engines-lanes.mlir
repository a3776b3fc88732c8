// RUN: asnet-opt %s --pass-pipeline='builtin.module(linalg-generalize-named-ops,asnet-split-stream{lanes=2},approx-schedule-engines{lanes=filters:2,1})' | FileCheck %s

// Neighbours in the last dimension, places, read other words of the input; filters read the same ones.
// So the loop over filters becomes the innermost one, whose outputs two lanes compute: 3 x 3 slots, of
// which the last of each place has one output. The next engine's buffer is written in that order.

// CHECK-LABEL: func.func @stage_0
// CHECK-SAME:    cycles = 36 : i64, depth = 4 : i64
// CHECK-SAME:    lanes = 2 : i64, last_lanes = 1 : i64, outer = array<i64: 3, 3>, outputs = 15 : i64
// CHECK-SAME:    unit_1 = 2 : i64, unit_2 = 2 : i64
// CHECK-SAME:    approx.operands = [{base = 0 : i64, frames = 2 : i64, inner = array<i64: 1>, outer = array<i64: 4, 0>
// CHECK-SAME:    lane_stride = 4 : i64, outer = array<i64: 0, 1>
// CHECK-SAME:    weight = "w"
// CHECK-LABEL: func.func @stage_1
// CHECK-SAME:    lanes = 1 : i64
// CHECK-SAME:    words = 15 : i64, write_ranges = array<i64: 3, 5>, write_strides = array<i64: 1, 3>

approx.library {
  approx.core 1 "mulf" @fmul {LATENCY = 3} latency 3 interval 1
  approx.core 2 "addf" @fadd {LATENCY = 4} latency 4 interval 1
}
func.func @main(%x: tensor<1x3x4xf32> {approx.role = "input"},
                %w: tensor<5x4xf32> {approx.weight = "w"},
                %v: tensor<15x2xf32> {approx.weight = "v"}) -> tensor<1x2xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x5x3xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x5x3xf32>) -> tensor<1x5x3xf32>
  %c = linalg.generic {indexing_maps = [affine_map<(n, f, p, k) -> (n, p, k)>,
      affine_map<(n, f, p, k) -> (f, k)>, affine_map<(n, f, p, k) -> (n, f, p)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<1x3x4xf32>, tensor<5x4xf32>) outs(%f : tensor<1x5x3xf32>)
      attrs = {approx.layer = "filters"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = approx.mulf %a, %b {instance = 1} : f32
    %s = approx.addf %o, %p {instance = 2} : f32
    linalg.yield %s : f32
  } -> tensor<1x5x3xf32>
  %flat = tensor.collapse_shape %c [[0], [1, 2]] : tensor<1x5x3xf32> into tensor<1x15xf32>
  %e2 = tensor.empty() : tensor<1x2xf32>
  %f2 = linalg.fill ins(%zero : f32) outs(%e2 : tensor<1x2xf32>) -> tensor<1x2xf32>
  %d = linalg.generic {indexing_maps = [affine_map<(n, j, k) -> (n, k)>,
      affine_map<(n, j, k) -> (k, j)>, affine_map<(n, j, k) -> (n, j)>],
      iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%flat, %v : tensor<1x15xf32>, tensor<15x2xf32>) outs(%f2 : tensor<1x2xf32>)
      attrs = {approx.layer = "dense"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = approx.mulf %a, %b {instance = 1} : f32
    %s = approx.addf %o, %p {instance = 2} : f32
    linalg.yield %s : f32
  } -> tensor<1x2xf32>
  return %d : tensor<1x2xf32>
}
