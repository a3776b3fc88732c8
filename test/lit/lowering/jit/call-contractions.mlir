// RUN: asnet-opt %s --approx-call-contractions | FileCheck %s

// Strides of a convolution over 6 pixels with 3 taps, every second one; the zeros before are dropped.

// CHECK: func.func private @asnet_contract(index, index, index)
// CHECK-LABEL: func.func @main(
// CHECK-SAME: %[[X:.*]]: memref<6xvector<16xi8>>
// CHECK-SAME: %[[Y:.*]]: memref<4x2xvector<16xi32>>
// CHECK-SAME: %[[C:.*]]: memref<1xi8> {approx.contraction = {adds = false, lanes = 16 : i64, product = 0 : i64, ranges = array<i64: 2, 2, 3>, reduces = array<i64: 0, 0, 1>, w = array<i64: 0, 1, 2>, w_offset = 0 : i64, weight = "w", x = array<i64: 2, 0, 1>, x_offset = 0 : i64, y = array<i64: 4, 1, 0>, y_offset = 0 : i64}}
// CHECK-NOT: linalg.generic
// CHECK-DAG: %[[CONTRACTION:.*]] = memref.extract_aligned_pointer_as_index %[[C]]
// CHECK-DAG: %[[CODES:.*]] = memref.extract_aligned_pointer_as_index %[[X]]
// CHECK-DAG: %[[SUMS:.*]] = memref.extract_aligned_pointer_as_index
// CHECK: call @asnet_contract(%[[CONTRACTION]], %[[CODES]], %[[SUMS]])
func.func @main(%x: memref<6xvector<16xi8>> {approx.value = 0 : i64}, %w: memref<3x2xi8> {approx.weight = "w"}, %y: memref<4x2xvector<16xi32>> {approx.value = 1 : i64}) {
  %zero = arith.constant dense<0> : vector<16xi32>
  %half = memref.subview %y[0, 0] [2, 2] [2, 1] : memref<4x2xvector<16xi32>> to memref<2x2xvector<16xi32>, strided<[4, 1]>>
  linalg.generic {indexing_maps = [affine_map<(p, f) -> (p, f)>], iterator_types = ["parallel", "parallel"]} outs(%half : memref<2x2xvector<16xi32>, strided<[4, 1]>>) {
  ^bb0(%s: vector<16xi32>):
    linalg.yield %zero : vector<16xi32>
  }
  linalg.generic {indexing_maps = [affine_map<(p, f, k) -> (2 * p + k)>, affine_map<(p, f, k) -> (k, f)>, affine_map<(p, f, k) -> (p, f)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : memref<6xvector<16xi8>>, memref<3x2xi8>) outs(%half : memref<2x2xvector<16xi32>, strided<[4, 1]>>) attrs = {approx.product = 0 : i64} {
  ^bb0(%a: vector<16xi8>, %b: i8, %s: vector<16xi32>):
    %all = vector.broadcast %b : i8 to vector<16xi8>
    %both = arith.cmpi slt, %a, %all : vector<16xi8>
    %wide = arith.extui %both : vector<16xi1> to vector<16xi32>
    %sum = arith.addi %s, %wide : vector<16xi32>
    linalg.yield %sum : vector<16xi32>
  }
  return
}
