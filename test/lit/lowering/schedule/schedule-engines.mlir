// RUN: asnet-opt %s --pass-pipeline='builtin.module(approx-cut-engines)' | FileCheck %s --check-prefix=CUT
// RUN: asnet-opt %s --pass-pipeline='builtin.module(approx-cut-engines,approx-split-stages,approx-schedule-engines)' | FileCheck %s
// RUN: not asnet-opt %s --pass-pipeline='builtin.module(approx-split-stages,approx-schedule-engines{lanes=conv:2})' 2>&1 | FileCheck %s --check-prefix=LAYER
// RUN: not asnet-opt %s --pass-pipeline='builtin.module(approx-split-stages,approx-schedule-engines{lanes=0})' 2>&1 | FileCheck %s --check-prefix=LANES

// LAYER: lanes: the network has no layer 'conv'
// LANES: lanes must be 1 to 1024, got '0'

// The dense layer and its activation are one engine; what reads it twice begins another part.
// CUT: linalg.generic
// CUT-NOT: approx.cut
// CUT: approx.maxf
// CUT: linalg.generic {{.*}} attrs = {approx.cut, approx.layer = "dense"}
// CUT-NEXT: ^bb0
// CUT-NEXT: approx.mulf

// A multiplier of latency 3 and an adder of latency 4: operands lie at cores in cycle 3, the product
// is added in 3 + 3 + 1, the sum is there in 7 + 4 + 1. Six outputs in turn would keep the adder busy,
// ten leave no slot idle.
// CHECK-LABEL: func.func @stage_0
// CHECK-SAME: approx.engine = {accumulate = 7 : i64, bound = 160 : i64, cycles = 160 : i64, depth = 8 : i64, done = 13 : i64
// CHECK-SAME: epilogue_loops = array<i64>
// CHECK-SAME: initial = 0 : i32, inner = array<i64: 8>, interleave = 10 : i64, issue_cycles = 160 : i64
// CHECK-SAME: outer = array<i64: 20>, outputs = 20 : i64
// CHECK-SAME: slots = 20 : i64, work = 160 : i64}
// CHECK-SAME: approx.operands = [{base = 0 : i64, frames = 2 : i64, inner = array<i64: 1>, outer = array<i64: 0>, phase = "main", value = 0 : i64, words = 8 : i64}
// CHECK-SAME: weight = "w", words = 160 : i64}]
// CHECK: approx.mulf {{.*}} {approx.latency = 3 : i64, approx.start = 3 : i64, approx.unit = 1 : i64, instance = 1}
// CHECK: approx.addf {{.*}} {approx.latency = 4 : i64, approx.start = 7 : i64, approx.unit = 2 : i64, instance = 2}
// CHECK: approx.maxf {{.*}} {approx.latency = 0 : i64, approx.start = 12 : i64

// Words of one input, in order: no buffer.
// CHECK-LABEL: func.func @stage_1
// CHECK-SAME: approx.operands = [{base = 0 : i64, frames = 0 : i64

// A bit pattern is no engine's business.
// CHECK-LABEL: func.func @stage_2
// CHECK-SAME: approx.machine = "computes 'arith.bitcast'"

#row = affine_map<(n, j) -> (n, j)>
module {
approx.library {
  approx.core 1 "mulf" @fmul {LATENCY = 3} latency 3 interval 1
  approx.core 2 "addf" @fadd {LATENCY = 4} latency 4 interval 1
  approx.core 3 "maxf" @fmax {LATENCY = 0} latency 0 interval 1
}
func.func @main(%x: tensor<1x8xf32> {approx.role = "input"},
                %w: tensor<8x20xf32> {approx.weight = "w"}) -> tensor<1x20xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x20xf32>
  %f = linalg.generic {indexing_maps = [#row], iterator_types = ["parallel", "parallel"]}
      outs(%e : tensor<1x20xf32>) {
  ^bb0(%o: f32):
    linalg.yield %zero : f32
  } -> tensor<1x20xf32>
  %d = linalg.generic {indexing_maps = [affine_map<(n, j, k) -> (n, k)>,
      affine_map<(n, j, k) -> (k, j)>, affine_map<(n, j, k) -> (n, j)>],
      iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<1x8xf32>, tensor<8x20xf32>) outs(%f : tensor<1x20xf32>)
      attrs = {approx.layer = "dense"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = approx.mulf %a, %b {instance = 1} : f32
    %s = approx.addf %o, %p {instance = 2} : f32
    linalg.yield %s : f32
  } -> tensor<1x20xf32>
  %r = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]}
      ins(%d : tensor<1x20xf32>) outs(%e : tensor<1x20xf32>) attrs = {approx.layer = "dense"} {
  ^bb0(%a: f32, %o: f32):
    %s = approx.maxf %a, %zero {instance = 3} : f32
    linalg.yield %s : f32
  } -> tensor<1x20xf32>
  %q = linalg.generic {indexing_maps = [#row, #row, #row], iterator_types = ["parallel", "parallel"]}
      ins(%r, %r : tensor<1x20xf32>, tensor<1x20xf32>) outs(%e : tensor<1x20xf32>)
      attrs = {approx.layer = "dense"} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = approx.mulf %a, %a {instance = 1} : f32
    linalg.yield %s : f32
  } -> tensor<1x20xf32>
  %z = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel", "parallel"]}
      ins(%q : tensor<1x20xf32>) outs(%e : tensor<1x20xf32>) attrs = {approx.layer = "bits"} {
  ^bb0(%a: f32, %o: f32):
    %i = arith.bitcast %a : f32 to i32
    %s = arith.bitcast %i : i32 to f32
    linalg.yield %s : f32
  } -> tensor<1x20xf32>
  return %z : tensor<1x20xf32>
}
}
