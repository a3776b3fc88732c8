// RUN: asnet-opt %s --approx-hoist-uniform --canonicalize --split-input-file | FileCheck %s

#id = affine_map<(d0) -> (d0)>

// The weight's masked bits are computed once, for the whole weight; the sample's stay.

// CHECK-LABEL: func.func @prepare(
// CHECK-SAME:    %[[W:.*]]: tensor<4xf32> {approx.weight = "w"},
// CHECK-SAME:    %[[P:.*]]: memref<1xi32> {approx.parameters}) -> (tensor<4xi32> {approx.prepared = 0 : i64})
// CHECK:         %[[MASK:.*]] = memref.load %[[P]]
// CHECK:         linalg.generic {{.*}} ins(%[[W]] :
// CHECK:           %[[BITS:.*]] = arith.bitcast
// CHECK:           arith.andi %[[BITS]], %[[MASK]]
// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %[[X:[a-z0-9]*]]: tensor<4xf32> {approx.value = 0 : i64},
// CHECK-SAME:    %[[PREPARED:[a-z0-9]*]]: tensor<4xi32> {approx.prepared = 0 : i64})
// CHECK:         linalg.generic
// CHECK-SAME:      ins(%[[X]], %{{[^,]*}}, %[[PREPARED]] : tensor<4xf32>, tensor<4xf32>, tensor<4xi32>)
// CHECK-NEXT:    ^bb0(%[[IN:.*]]: f32, %{{.*}}: f32, %[[IN_W:.*]]: i32, %{{.*}}: f32):
// CHECK-NEXT:      %[[BITS:.*]] = arith.bitcast %[[IN]]
// CHECK-NEXT:      %[[BOTH:.*]] = arith.xori %[[BITS]], %[[IN_W]]
func.func @main(%x: tensor<4xf32> {approx.value = 0}, %w: tensor<4xf32> {approx.weight = "w"},
                %p: memref<1xi32> {approx.parameters}) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %mask = memref.load %p[%c0] : memref<1xi32>
  %e = tensor.empty() : tensor<4xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
      ins(%x, %w : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%in: f32, %in_w: f32, %out: f32):
    %1 = arith.bitcast %in : f32 to i32
    %2 = arith.bitcast %in_w : f32 to i32
    %3 = arith.andi %2, %mask : i32
    %4 = arith.xori %1, %3 : i32
    %5 = arith.bitcast %4 : i32 to f32
    linalg.yield %5 : f32
  } -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

#id = affine_map<(d0) -> (d0)>

// A comparison of a weight is kept as a byte.

// CHECK-LABEL: func.func @prepare(
// CHECK-SAME:    -> (tensor<4xi8> {approx.prepared = 0 : i64})
// CHECK:           arith.extui %{{.*}} : i1 to i8
// CHECK-LABEL: func.func @main(
// CHECK:           arith.trunci %{{.*}} : i8 to i1
func.func @main(%x: tensor<4xf32> {approx.value = 0}, %w: tensor<4xf32> {approx.weight = "w"}) -> tensor<4xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
      ins(%x, %w : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%in: f32, %in_w: f32, %out: f32):
    %1 = arith.cmpf ogt, %in_w, %zero : f32
    %2 = arith.select %1, %in, %zero : f32
    linalg.yield %2 : f32
  } -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

#id = affine_map<(d0) -> (d0)>

// What a weight becomes as a whole moves too; nothing else of the body is uniform.

// CHECK-LABEL: func.func @prepare(
// CHECK-SAME:    %[[W:.*]]: tensor<2x2xf32> {approx.weight = "w"}) -> (tensor<4xf32> {approx.prepared = 0 : i64})
// CHECK-NEXT:    %[[C:.*]] = tensor.collapse_shape %[[W]]
// CHECK-NEXT:    return %[[C]]
// CHECK-LABEL: func.func @main(
// CHECK-NOT:     collapse_shape
func.func @main(%x: tensor<4xf32> {approx.value = 0}, %w: tensor<2x2xf32> {approx.weight = "w"}) -> tensor<4xf32> {
  %flat = tensor.collapse_shape %w [[0, 1]] : tensor<2x2xf32> into tensor<4xf32>
  %e = tensor.empty() : tensor<4xf32>
  %0 = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel"]}
      ins(%x, %flat : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%in: f32, %in_w: f32, %out: f32):
    %1 = arith.mulf %in, %in_w : f32
    linalg.yield %1 : f32
  } -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

#x = affine_map<(n, k) -> (k)>
#w = affine_map<(n, k) -> (k, n)>
#y = affine_map<(n, k) -> (n)>

// A sample's value that 40 sums read is masked once, not 40 times, and is no matter of @prepare.

// CHECK-LABEL: func.func @prepare(
// CHECK-NEXT:    return
// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %[[X:[a-z0-9]*]]: tensor<4xf32> {approx.value = 0 : i64}
// CHECK:         %[[MASKED:.*]] = linalg.generic {{.*}} ins(%[[X]] : tensor<4xf32>)
// CHECK:           arith.andi
// CHECK:         linalg.generic {{.*}} ins(%[[X]], %{{.*}}, %[[MASKED]] :
// CHECK-NOT:       arith.andi
// CHECK:           arith.mulf
func.func @main(%x: tensor<4xf32> {approx.value = 0}, %w: tensor<4x40xf32> {approx.weight = "w"},
                %sums: tensor<40xf32> {approx.value = 1}) -> tensor<40xf32> {
  %mask = arith.constant -4096 : i32
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "reduction"]}
      ins(%x, %w : tensor<4xf32>, tensor<4x40xf32>) outs(%sums : tensor<40xf32>) {
  ^bb0(%in: f32, %in_w: f32, %sum: f32):
    %1 = arith.bitcast %in : f32 to i32
    %2 = arith.andi %1, %mask : i32
    %3 = arith.bitcast %2 : i32 to f32
    %4 = arith.mulf %3, %in_w : f32
    %5 = arith.addf %sum, %4 : f32
    linalg.yield %5 : f32
  } -> tensor<40xf32>
  return %0 : tensor<40xf32>
}
