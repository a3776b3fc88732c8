// RUN: not asnet-opt %s --split-input-file --pass-pipeline='builtin.module(approx-cut-engines,approx-split-stages,approx-schedule-engines)' 2>&1 | FileCheck %s

#row = affine_map<(n) -> (n)>
module {
  func.func @main(%x: tensor<8xf32> {approx.role = "input"}) -> tensor<8xf32> {
    %e = tensor.empty() : tensor<8xf32>
    // CHECK: 'approx.addf' op is not bound to an instance that 'approx.library' declares
    %y = linalg.generic {indexing_maps = [#row, #row], iterator_types = ["parallel"]}
        ins(%x : tensor<8xf32>) outs(%e : tensor<8xf32>) attrs = {approx.layer = "double"} {
    ^bb0(%a: f32, %o: f32):
      %s = approx.addf %a, %a : f32
      linalg.yield %s : f32
    } -> tensor<8xf32>
    return %y : tensor<8xf32>
  }
}

// -----

#row = affine_map<(n) -> (n)>
module {
  // CHECK: layer 'two' gives 2 values that others read
  func.func @main(%x: tensor<8xf32> {approx.role = "input"}) -> tensor<8xf32> {
    %e = tensor.empty() : tensor<8xf32>
    %y:2 = linalg.generic {indexing_maps = [#row, #row, #row], iterator_types = ["parallel"]}
        ins(%x : tensor<8xf32>) outs(%e, %e : tensor<8xf32>, tensor<8xf32>)
        attrs = {approx.layer = "two"} {
    ^bb0(%a: f32, %o: f32, %p: f32):
      %n = arith.negf %a : f32
      linalg.yield %a, %n : f32, f32
    } -> (tensor<8xf32>, tensor<8xf32>)
    %z = linalg.generic {indexing_maps = [#row, #row, #row], iterator_types = ["parallel"]}
        ins(%y#0, %y#1 : tensor<8xf32>, tensor<8xf32>) outs(%e : tensor<8xf32>)
        attrs = {approx.layer = "less"} {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %c = arith.cmpf olt, %a, %b : f32
      %s = arith.select %c, %a, %b : f32
      linalg.yield %s : f32
    } -> tensor<8xf32>
    return %z : tensor<8xf32>
  }
}
