// RUN: asnet-opt %s --approx-distinct-results | FileCheck %s

// CHECK-LABEL: func.func @twice(
// CHECK-SAME:    %[[A:.*]]: tensor<4xf32>, %[[B:.*]]: tensor<4xf32>)
// CHECK:         %[[COPY:.*]] = linalg.copy ins(%[[A]] : tensor<4xf32>)
// CHECK:         return %[[A]], %[[B]], %[[COPY]]
func.func @twice(%a: tensor<4xf32>, %b: tensor<4xf32>)
    -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  return %a, %b, %a : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: func.func @once(
// CHECK-NEXT:    return
func.func @once(%a: tensor<4xf32>, %n: i32) -> (tensor<4xf32>, i32, i32) {
  return %a, %n, %n : tensor<4xf32>, i32, i32
}
