// RUN: asnet-opt %s --approx-outline-contractions --split-input-file | FileCheck %s

// A dense layer of codes under a core: the product, its core and its widening move out.

// CHECK-LABEL: func.func @main
// CHECK: linalg.generic {{.*}} attrs = {approx.layer = "dense", approx.product = 0 : i64}
// CHECK-NEXT: ^bb0(%[[X:.*]]: i8, %[[W:.*]]: i8, %[[SUM:.*]]: i32):
// CHECK-NEXT: %[[BOTH:.*]] = arith.cmpi slt, %[[X]], %[[W]] : i8
// CHECK-NEXT: %[[WIDE:.*]] = arith.extui %[[BOTH]]
// CHECK-NEXT: arith.addi %[[SUM]], %[[WIDE]] : i32
// CHECK: func.func private @product_0(%[[A:.*]]: i8, %[[B:.*]]: i8) -> i32 attributes {approx.layer = "dense", approx.product = 0 : i64}
// CHECK-NEXT: %[[P:.*]] = approx.muli %[[A]], %[[B]] {instance = 1} : i8 -> i16
// CHECK-NEXT: arith.extsi %[[P]] : i16 to i32
approx.library {
  approx.core 1 "muli" @mul8 latency 0 interval 1 {format = "i8"}
}
func.func @main(%x: tensor<4xi8> {approx.value = 0 : i64}, %w: tensor<4x3xi8> {approx.weight = "w"}, %y: tensor<3xi32>) -> tensor<3xi32> {
  %0 = linalg.generic {indexing_maps = [affine_map<(o, k) -> (k)>, affine_map<(o, k) -> (k, o)>, affine_map<(o, k) -> (o)>], iterator_types = ["parallel", "reduction"]} ins(%x, %w : tensor<4xi8>, tensor<4x3xi8>) outs(%y : tensor<3xi32>) attrs = {approx.layer = "dense"} {
  ^bb0(%a: i8, %b: i8, %s: i32):
    %p = approx.muli %a, %b {instance = 1} : i8 -> i16
    %q = arith.extsi %p : i16 to i32
    %r = approx.addi %s, %q : i32
    linalg.yield %r : i32
  } -> tensor<3xi32>
  return %0 : tensor<3xi32>
}

// -----

// A bound adder: the order of the sum counts, so everything stays.

// CHECK-LABEL: func.func @main
// CHECK: approx.muli
// CHECK-NEXT: arith.extsi
// CHECK-NEXT: approx.addi {{.*}} {instance = 1}
// CHECK-NOT: approx.product
approx.library {
  approx.core 1 "addi" @adder latency 0 interval 1 {format = "i32"}
}
func.func @main(%x: tensor<4xi8> {approx.value = 0 : i64}, %w: tensor<4xi8> {approx.weight = "w"}, %y: tensor<i32>) -> tensor<i32> {
  %0 = linalg.generic {indexing_maps = [affine_map<(k) -> (k)>, affine_map<(k) -> (k)>, affine_map<(k) -> ()>], iterator_types = ["reduction"]} ins(%x, %w : tensor<4xi8>, tensor<4xi8>) outs(%y : tensor<i32>) {
  ^bb0(%a: i8, %b: i8, %s: i32):
    %p = approx.muli %a, %b : i8 -> i16
    %q = arith.extsi %p : i16 to i32
    %r = approx.addi %s, %q {instance = 1} : i32
    linalg.yield %r : i32
  } -> tensor<i32>
  return %0 : tensor<i32>
}

// -----

// Both operands depend on the sample: there is no weight.

// CHECK-LABEL: func.func @main
// CHECK-NOT: approx.product
func.func @main(%x: tensor<4xi8> {approx.value = 0 : i64}, %w: tensor<4xi8> {approx.value = 1 : i64}, %y: tensor<i32>) -> tensor<i32> {
  %0 = linalg.generic {indexing_maps = [affine_map<(k) -> (k)>, affine_map<(k) -> (k)>, affine_map<(k) -> ()>], iterator_types = ["reduction"]} ins(%x, %w : tensor<4xi8>, tensor<4xi8>) outs(%y : tensor<i32>) {
  ^bb0(%a: i8, %b: i8, %s: i32):
    %p = approx.muli %a, %b : i8 -> i16
    %q = arith.extsi %p : i16 to i32
    %r = approx.addi %s, %q : i32
    linalg.yield %r : i32
  } -> tensor<i32>
  return %0 : tensor<i32>
}
