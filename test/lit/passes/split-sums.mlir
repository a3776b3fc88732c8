// RUN: asnet-opt %s --approx-split-sums=least=64 --split-input-file | FileCheck %s

#x = affine_map<(n, j, k) -> (n, k)>
#w = affine_map<(n, j, k) -> (k, j)>
#y = affine_map<(n, j, k) -> (n, j)>

// 100 terms as 10 blocks of 10; the sum of the blocks starts from where the whole sum began.

// CHECK-DAG:   #[[X:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d2 * 10 + d3)>
// CHECK-DAG:   #[[W:.*]] = affine_map<(d0, d1, d2, d3) -> (d2 * 10 + d3, d1)>
// CHECK-DAG:   #[[STEPS:.*]] = affine_map<(d0, d1, d2, d3) -> (d3)>
// CHECK-DAG:   #[[P:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>
// CHECK-LABEL: func.func @dense(
// CHECK-SAME:    %[[A:.*]]: tensor<1x100xf32>, %[[B:.*]]: tensor<100x3xf32>, %[[INIT:.*]]: tensor<1x3xf32>)
// CHECK:         %[[ZEROS:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<1x3x10xf32>) attrs = {approx.layer = "d"}
// CHECK:         %[[STEPS_OF:.*]] = tensor.empty() : tensor<10xf32>
// CHECK:         %[[PARTIAL:.*]] = linalg.generic {indexing_maps = [#[[X]], #[[W]], #[[STEPS]], #[[P]]],
// CHECK-SAME:      iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
// CHECK-SAME:      ins(%[[A]], %[[B]], %[[STEPS_OF]] :
// CHECK-SAME:      outs(%[[ZEROS]] : tensor<1x3x10xf32>) attrs = {approx.layer = "d"}
// CHECK:           %[[T:.*]] = arith.mulf
// CHECK:           arith.addf %{{.*}}, %[[T]]
// CHECK:         linalg.generic {{.*}} ["parallel", "parallel", "reduction"]} ins(%[[PARTIAL]] : tensor<1x3x10xf32>)
// CHECK-SAME:      outs(%[[INIT]] : tensor<1x3xf32>) attrs = {approx.layer = "d"}
// CHECK-NEXT:    ^bb0(%[[IN:.*]]: f32, %[[ACC:.*]]: f32):
// CHECK-NEXT:      arith.addf %[[ACC]], %[[IN]]
func.func @dense(%x: tensor<1x100xf32>, %w: tensor<100x3xf32>, %y: tensor<1x3xf32>) -> tensor<1x3xf32> {
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<1x100xf32>, tensor<100x3xf32>) outs(%y : tensor<1x3xf32>) attrs = {approx.layer = "d"} {
  ^bb0(%a: f32, %b: f32, %acc: f32):
    %1 = arith.mulf %a, %b : f32
    %2 = arith.addf %acc, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<1x3xf32>
  return %0 : tensor<1x3xf32>
}

// -----

#x = affine_map<(n, k) -> (n, k)>
#y = affine_map<(n, k) -> (n)>

// Not split: a prime number of terms, a maximum, a sum whose terms depend on the sum, few terms.

// CHECK-LABEL: func.func @others
// CHECK-COUNT-4: linalg.generic
// CHECK-NOT:     linalg.generic
func.func @others(%x: tensor<2x101xf32>, %u: tensor<2x100xf32>, %s: tensor<2x36xf32>, %y: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) {
  %0 = linalg.generic {indexing_maps = [#x, #y], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<2x101xf32>) outs(%y : tensor<2xf32>) {
  ^bb0(%a: f32, %acc: f32):
    %1 = arith.addf %acc, %a : f32
    linalg.yield %1 : f32
  } -> tensor<2xf32>
  %2 = linalg.generic {indexing_maps = [#x, #y], iterator_types = ["parallel", "reduction"]}
      ins(%u : tensor<2x100xf32>) outs(%y : tensor<2xf32>) {
  ^bb0(%a: f32, %acc: f32):
    %3 = arith.maximumf %acc, %a : f32
    linalg.yield %3 : f32
  } -> tensor<2xf32>
  %4 = linalg.generic {indexing_maps = [#x, #y], iterator_types = ["parallel", "reduction"]}
      ins(%u : tensor<2x100xf32>) outs(%y : tensor<2xf32>) {
  ^bb0(%a: f32, %acc: f32):
    %5 = arith.mulf %acc, %a : f32
    %6 = arith.addf %acc, %5 : f32
    linalg.yield %6 : f32
  } -> tensor<2xf32>
  %7 = linalg.generic {indexing_maps = [#x, #y], iterator_types = ["parallel", "reduction"]}
      ins(%s : tensor<2x36xf32>) outs(%y : tensor<2xf32>) {
  ^bb0(%a: f32, %acc: f32):
    %8 = arith.addf %acc, %a : f32
    linalg.yield %8 : f32
  } -> tensor<2xf32>
  return %0, %2, %4, %7 : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>
}
