// RUN: asnet-opt %s --approx-widen-integers | FileCheck %s

#map = affine_map<(d0) -> (d0)>

// Numbers of 8 bits are words with zeros above them; the input's are cut.
// CHECK-LABEL: func.func @bytes
// CHECK-SAME: (%{{.*}}: tensor<4xi32> {approx.role = "input"}, %{{.*}}: tensor<4xi32> {approx.weight = "w"}) -> tensor<4xi32>
func.func @bytes(%x: tensor<4xi8> {approx.role = "input"},
                 %w: tensor<4xi8> {approx.weight = "w"}) -> tensor<4xi8> {
  %e = tensor.empty() : tensor<4xi8>
  // CHECK: ^bb0(%[[X:.*]]: i32, %[[W:.*]]: i32, %{{.*}}: i32):
  %0 = linalg.generic {indexing_maps = [#map, #map, #map], iterator_types = ["parallel"]}
      ins(%x, %w : tensor<4xi8>, tensor<4xi8>) outs(%e : tensor<4xi8>) {
  ^bb0(%a: i8, %b: i8, %c: i8):
    // CHECK: %[[A:.*]] = arith.andi %[[X]], %c255
    // CHECK: %[[SUM:.*]] = arith.addi %[[A]], %[[W]] : i32
    // CHECK: %[[LOW:.*]] = arith.andi %[[SUM]], %c255
    %1 = arith.addi %a, %b : i8
    // CHECK: %[[LEFT:.*]] = arith.shli %[[LOW]], %[[AMOUNT:.*]] : i32
    // CHECK: %[[SIGNED:.*]] = arith.shrsi %[[LEFT]], %[[AMOUNT]] : i32
    // CHECK: arith.maxsi %[[SIGNED]], %{{.*}} : i32
    %2 = arith.maxsi %1, %b : i8
    linalg.yield %2 : i8
  } -> tensor<4xi8>
  return %0 : tensor<4xi8>
}

// CHECK-LABEL: func.func @words
// CHECK: arith.addi %{{.*}}, %{{.*}} : i32
// CHECK-NOT: arith.andi
// CHECK: return
func.func @words(%x: tensor<4xi32> {approx.role = "input"}) -> tensor<4xi32> {
  %e = tensor.empty() : tensor<4xi32>
  %0 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]}
      ins(%x : tensor<4xi32>) outs(%e : tensor<4xi32>) {
  ^bb0(%a: i32, %c: i32):
    %1 = arith.addi %a, %a : i32
    linalg.yield %1 : i32
  } -> tensor<4xi32>
  return %0 : tensor<4xi32>
}
