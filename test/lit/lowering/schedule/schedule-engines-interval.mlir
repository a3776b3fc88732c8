// RUN: asnet-opt %s --pass-pipeline='builtin.module(approx-cut-engines,approx-split-stages,approx-schedule-engines)' | FileCheck %s

// A multiplier that wants its operands for 8 cycles: something is issued every 8, and the sum is at its
// adder again in time with no other in between. The operands lie in registers of the multiplier's own,
// a cycle later than without an interval.
// 10 x 20 products take 8 cycles each. The divider behind the sums takes one every 12; they come every
// 8 x 10.
// CHECK-LABEL: func.func @stage_0
// CHECK-SAME: accumulate = 8 : i64, bound = 1600 : i64, cycles = 1600 : i64, depth = 10 : i64, done = 19 : i64
// CHECK-SAME: epilogue_interval = 12 : i64
// CHECK-SAME: interleave = 1 : i64, interval = 8 : i64, issue_cycles = 1600 : i64
// CHECK-NOT: slot_fifo
// CHECK: approx.mulf {{.*}} {approx.interval = 8 : i64, approx.latency = 3 : i64, approx.start = 4 : i64, approx.unit = 1 : i64, instance = 1}
// CHECK: approx.addf {{.*}} {approx.latency = 4 : i64, approx.start = 8 : i64, approx.unit = 2 : i64, instance = 2}
// CHECK: approx.divf {{.*}} {approx.interval = 12 : i64, approx.latency = 4 : i64, approx.start = 14 : i64

// Sums of 2 are quicker than the divider behind them, and wait in a queue: it is what the engine takes.
// CHECK-LABEL: func.func @stage_1
// CHECK-SAME: bound = 60 : i64, cycles = 60 : i64, depth = 2 : i64
// CHECK-SAME: epilogue_interval = 12 : i64
// CHECK-SAME: interleave = 5 : i64, interval = 2 : i64, issue_cycles = 20 : i64
// CHECK-SAME: slot_fifo = 23 : i64

#row = affine_map<(n, j) -> (n, j)>
module {
approx.library {
  approx.core 1 "mulf" @serial {} latency 3 interval 8
  approx.core 2 "addf" @fadd {LATENCY = 4} latency 4 interval 1
  approx.core 3 "divf" @divide {} latency 4 interval 12
  approx.core 4 "addf" @every2 {} latency 4 interval 2
}
func.func @main(%x: tensor<1x10xf32> {approx.role = "input"},
                %w: tensor<10x20xf32> {approx.weight = "w"},
                %d: tensor<20xf32> {approx.weight = "d"}) -> tensor<1x5xf32> {
  %zero = arith.constant 0.0 : f32
  %two = arith.constant 2.0 : f32
  %e = tensor.empty() : tensor<1x20xf32>
  %f = linalg.generic {indexing_maps = [#row], iterator_types = ["parallel", "parallel"]}
      outs(%e : tensor<1x20xf32>) {
  ^bb0(%o: f32):
    linalg.yield %zero : f32
  } -> tensor<1x20xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(n, j, k) -> (n, k)>,
      affine_map<(n, j, k) -> (k, j)>, affine_map<(n, j, k) -> (n, j)>],
      iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<1x10xf32>, tensor<10x20xf32>) outs(%f : tensor<1x20xf32>)
      attrs = {approx.layer = "dense"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = approx.mulf %a, %b {instance = 1} : f32
    %q = approx.addf %o, %p {instance = 2} : f32
    linalg.yield %q : f32
  } -> tensor<1x20xf32>
  %z = linalg.generic {indexing_maps = [#row, affine_map<(n, j) -> (j)>, #row],
      iterator_types = ["parallel", "parallel"]}
      ins(%s, %d : tensor<1x20xf32>, tensor<20xf32>) outs(%e : tensor<1x20xf32>)
      attrs = {approx.layer = "dense"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %q = approx.divf %a, %b {instance = 3} : f32
    linalg.yield %q : f32
  } -> tensor<1x20xf32>
  %v = tensor.expand_shape %z [[0], [1, 2, 3]] output_shape [1, 5, 2, 2]
      : tensor<1x20xf32> into tensor<1x5x2x2xf32>
  %ep = tensor.empty() : tensor<1x5xf32>
  %fp = linalg.generic {indexing_maps = [#row], iterator_types = ["parallel", "parallel"]}
      outs(%ep : tensor<1x5xf32>) {
  ^bb0(%o: f32):
    linalg.yield %zero : f32
  } -> tensor<1x5xf32>
  %t = linalg.generic {indexing_maps = [affine_map<(n, j, k) -> (n, j, k, 1)>,
      affine_map<(n, j, k) -> (n, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%v : tensor<1x5x2x2xf32>) outs(%fp : tensor<1x5xf32>) attrs = {approx.layer = "pool"} {
  ^bb0(%a: f32, %o: f32):
    %q = approx.addf %o, %a {instance = 4} : f32
    linalg.yield %q : f32
  } -> tensor<1x5xf32>
  %u = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]}
      ins(%t : tensor<1x5xf32>) outs(%ep : tensor<1x5xf32>) attrs = {approx.layer = "pool"} {
  ^bb0(%a: f32, %o: f32):
    %q = approx.divf %a, %two {instance = 3} : f32
    linalg.yield %q : f32
  } -> tensor<1x5xf32>
  return %u : tensor<1x5xf32>
}
}
