// RUN: asnet-opt %s --pass-pipeline='builtin.module(approx-cut-engines,approx-split-stages)' | FileCheck %s

// A layer that computes three values, of which others read two: three stages, each of which gives one.

#row = affine_map<(n) -> (n)>
module {
  // CHECK-LABEL: func.func @main
  // CHECK: %[[A:.+]] = call @stage_0({{.*}}) : ({{.*}}) -> tensor<8xf32>
  // CHECK: %[[B:.+]] = call @stage_1({{.*}}%[[A]]{{.*}}) : ({{.*}}) -> tensor<8xf32>
  // CHECK: %[[C:.+]] = call @stage_2({{.*}}%[[A]]{{.*}}%[[B]]{{.*}}) : ({{.*}}) -> tensor<8xf32>
  // CHECK: call @stage_3({{.*}}%[[B]]{{.*}}%[[C]]{{.*}})
  func.func @main(%x: tensor<8xf32> {approx.role = "input"}) -> tensor<8xf32> {
    %e = tensor.empty() : tensor<8xf32>
    %a = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel"]}
        ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) attrs = {approx.layer = "several"} {
    ^bb0(%p: f32, %o: f32):
      %s = approx.addf %p, %p {instance = 1} : f32
      linalg.yield %s : f32
    } -> tensor<8xf32>
    %b = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel"]}
        ins(%a : tensor<8xf32>) outs(%e : tensor<8xf32>) attrs = {approx.layer = "several"} {
    ^bb0(%p: f32, %o: f32):
      %s = approx.mulf %p, %p {instance = 2} : f32
      linalg.yield %s : f32
    } -> tensor<8xf32>
    %c = linalg.generic {indexing_maps = [#row, #row, #row], iterator_types = ["parallel"]}
        ins(%a, %b : tensor<8xf32>, tensor<8xf32>) outs(%e : tensor<8xf32>)
        attrs = {approx.layer = "several"} {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %s = approx.addf %p, %q {instance = 1} : f32
      linalg.yield %s : f32
    } -> tensor<8xf32>
    %d = linalg.generic {indexing_maps = [#row, #row, #row], iterator_types = ["parallel"]}
        ins(%b, %c : tensor<8xf32>, tensor<8xf32>) outs(%e : tensor<8xf32>)
        attrs = {approx.layer = "last"} {
    ^bb0(%p: f32, %q: f32, %o: f32):
      %s = approx.addf %p, %q {instance = 1} : f32
      linalg.yield %s : f32
    } -> tensor<8xf32>
    return %d : tensor<8xf32>
  }
  approx.library {
    approx.core 1 "addf" @fadd {} latency 4 interval 1
    approx.core 2 "mulf" @fmul {} latency 3 interval 1
  }
}
