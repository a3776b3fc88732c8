// RUN: asnet-opt %s --pass-pipeline='builtin.module(linalg-generalize-named-ops,asnet-split-stream,approx-schedule-engines)' | FileCheck %s

// A padded input lies in the engine's buffer with its padding, which is written when the words are: a
// frame of 4 words is one of 6 there, with the bits of 1.0 around it.

// CHECK-LABEL: func.func @stage_0
// CHECK-SAME:    outputs = 4 : i64
// CHECK-SAME:    ram_words = 12 : i64
// CHECK-SAME:    high = array<i64: 0, 1>, inner = array<i64: 1>, low = array<i64: 0, 1>
// CHECK-SAME:    pad = 1065353216 : i32, phase = "main", shape = array<i64: 1, 6>, value = 0 : i64, words = 6 : i64
// CHECK-SAME:    weight = "w"
// CHECK-LABEL: func.func @main
// CHECK-SAME:    approx.input_words = 4 : i64

approx.library {
  approx.core 1 "mulf" @fmul {LATENCY = 3} latency 3 interval 1
  approx.core 2 "addf" @fadd {LATENCY = 4} latency 4 interval 1
}
func.func @main(%x: tensor<1x4xf32> {approx.role = "input"},
                %w: tensor<3xf32> {approx.weight = "w"}) -> tensor<1x4xf32> {
  %one = arith.constant 1.0 : f32
  %zero = arith.constant 0.0 : f32
  %padded = tensor.pad %x low[0, 1] high[0, 1] {
  ^bb0(%i: index, %j: index):
    tensor.yield %one : f32
  } {approx.layer = "filter"} : tensor<1x4xf32> to tensor<1x6xf32>
  %e = tensor.empty() : tensor<1x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x4xf32>) -> tensor<1x4xf32>
  %c = linalg.generic {indexing_maps = [affine_map<(n, p, k) -> (n, p + k)>,
      affine_map<(n, p, k) -> (k)>, affine_map<(n, p, k) -> (n, p)>],
      iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%padded, %w : tensor<1x6xf32>, tensor<3xf32>) outs(%f : tensor<1x4xf32>)
      attrs = {approx.layer = "filter"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = approx.mulf %a, %b {instance = 1} : f32
    %s = approx.addf %o, %p {instance = 2} : f32
    linalg.yield %s : f32
  } -> tensor<1x4xf32>
  return %c : tensor<1x4xf32>
}
