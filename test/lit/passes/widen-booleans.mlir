// RUN: asnet-opt %s --approx-widen-booleans | FileCheck %s

#id = affine_map<(d0) -> (d0)>

// CHECK-LABEL: func.func @masks(
func.func @masks(%x: tensor<4xf32>) -> tensor<3xf32> {
  %zero = arith.constant 0.0 : f32
  %i = arith.constant 1 : index
  %true = arith.constant true
  %e = tensor.empty() : tensor<4xi1>
  // CHECK:      %[[POSITIVE:.*]] = linalg.generic {{.*}} outs(%{{.*}} : tensor<4xi32>)
  // CHECK:        %[[C:.*]] = arith.cmpf ogt
  // CHECK-NEXT:   %[[W:.*]] = arith.extui %[[C]] : i1 to i32
  // CHECK-NEXT:   linalg.yield %[[W]] : i32
  %positive = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%e : tensor<4xi1>) {
  ^bb0(%a: f32, %o: i1):
    %c = arith.cmpf ogt, %a, %zero : f32
    linalg.yield %c : i1
  } -> tensor<4xi1>
  // CHECK: tensor.extract_slice %[[POSITIVE]]{{.*}} : tensor<4xi32> to tensor<2xi32>
  %slice = tensor.extract_slice %positive[1] [2] [1] : tensor<4xi1> to tensor<2xi1>
  // CHECK: %[[ONE:.*]] = arith.extui %{{.*}} : i1 to i32
  // CHECK: linalg.fill ins(%[[ONE]] : i32) outs(%{{.*}} : tensor<3xi32>)
  %e3 = tensor.empty() : tensor<3xi1>
  %ones = linalg.fill ins(%true : i1) outs(%e3 : tensor<3xi1>) -> tensor<3xi1>
  %padded = tensor.insert_slice %slice into %ones[1] [2] [1] : tensor<2xi1> into tensor<3xi1>
  // CHECK:      %[[ELEMENT:.*]] = tensor.extract %{{.*}} : tensor<4xi32>
  // CHECK-NEXT: arith.trunci %[[ELEMENT]] : i32 to i1
  %second = tensor.extract %positive[%i] : tensor<4xi1>
  // CHECK: arith.constant dense<[1, 0, 1]> : tensor<3xi32>
  %constant = arith.constant dense<[true, false, true]> : tensor<3xi1>
  %f = tensor.empty() : tensor<3xf32>
  // CHECK:      linalg.generic
  // CHECK-NEXT: ^bb0(%[[A:.*]]: i32, %[[B:.*]]: i32, %{{.*}}: f32):
  // CHECK-DAG:    arith.trunci %[[A]] : i32 to i1
  // CHECK-DAG:    arith.trunci %[[B]] : i32 to i1
  // CHECK:        arith.andi %{{.*}} : i1
  %y = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
      ins(%padded, %constant : tensor<3xi1>, tensor<3xi1>) outs(%f : tensor<3xf32>) {
  ^bb0(%a: i1, %b: i1, %o: f32):
    %c = arith.andi %a, %b : i1
    %d = arith.andi %c, %second : i1
    %g = arith.uitofp %d : i1 to f32
    linalg.yield %g : f32
  } -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// CHECK-LABEL: func.func @nothing_to_do(
func.func @nothing_to_do(%x: tensor<4xi32>, %b: i1) -> tensor<4xi32> {
  // CHECK-NEXT: return
  return %x : tensor<4xi32>
}
