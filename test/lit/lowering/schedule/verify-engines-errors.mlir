// RUN: asnet-opt %s --pass-pipeline='builtin.module(approx-cut-engines,approx-split-stages,approx-schedule-engines)' > %t
// RUN: asnet-opt --approx-verify-schedule %t -o %t.same
// RUN: diff %t %t.same

// RUN: sed '/approx.addf/s/approx.start = 7 :/approx.start = 6 :/' %t > %t.1
// RUN: not asnet-opt --approx-verify-schedule %t.1 2>&1 | FileCheck %s --check-prefix=EARLY
// EARLY: error: 'approx.addf' op starts in cycle 6, but an operand is there in cycle 7

// RUN: sed 's/accumulate = 7/accumulate = 8/' %t > %t.2
// RUN: not asnet-opt --approx-verify-schedule %t.2 2>&1 | FileCheck %s --check-prefix=SUM
// SUM: error: 'approx.addf' op starts in cycle 7, but the sum is at its adder in cycle 8

// RUN: sed 's/interleave = 10/interleave = 5/' %t > %t.3
// RUN: not asnet-opt --approx-verify-schedule %t.3 2>&1 | FileCheck %s --check-prefix=TURNS
// TURNS: error: 'approx.addf' op takes 4 cycles and its sum 2 more, but the next step is there after 5

// RUN: sed 's/done = 12/done = 11/' %t > %t.4
// RUN: not asnet-opt --approx-verify-schedule %t.4 2>&1 | FileCheck %s --check-prefix=DONE
// DONE: error: 'func.func' op has an engine that is done in cycle 11, but its last result is there in cycle 12

// RUN: sed 's/approx.latency = 3/approx.latency = 2/' %t > %t.5
// RUN: not asnet-opt --approx-verify-schedule %t.5 2>&1 | FileCheck %s --check-prefix=LATENCY
// LATENCY: error: 'approx.mulf' op has 'approx.latency = 2', but unit 1 takes 3 cycles

// RUN: sed 's/linalg.yield %[0-9]* : f32/linalg.yield %out : f32/' %t > %t.6
// RUN: not asnet-opt --approx-verify-schedule %t.6 2>&1 | FileCheck %s --check-prefix=YIELD
// YIELD: error: 'linalg.generic' op gives a reduction's value that no unit computes

module {
approx.library {
  approx.core 1 "mulf" @fmul {LATENCY = 3} latency 3 interval 1
  approx.core 2 "addf" @fadd {LATENCY = 4} latency 4 interval 1
}
func.func @main(%x: tensor<1x8xf32> {approx.role = "input"},
                %w: tensor<8x20xf32> {approx.weight = "w"}) -> tensor<1x20xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x20xf32>
  %f = linalg.generic {indexing_maps = [affine_map<(n, j) -> (n, j)>],
      iterator_types = ["parallel", "parallel"]} outs(%e : tensor<1x20xf32>) {
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
  return %d : tensor<1x20xf32>
}
}
