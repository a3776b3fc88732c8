// RUN: asnet-opt %s --split-input-file --pass-pipeline='builtin.module(func.func(approx-vectorize-outputs),canonicalize,cse)' | FileCheck %s

#x = affine_map<(n, j, k) -> (n, k)>
#w = affine_map<(n, j, k) -> (k, j)>
#y = affine_map<(n, j, k) -> (n, j)>

// A dense layer: a loop over blocks of samples, inside it one over the reduction, one step at a time;
// the accumulator is the left operand and nothing is reassociated or contracted.
// CHECK-LABEL: func.func @dense
func.func @dense(%x: tensor<32x784xf32>, %w: tensor<784x10xf32>, %y: tensor<32x10xf32>) -> tensor<32x10xf32> {
  // CHECK-DAG: %[[ONE:.*]] = arith.constant 1 : index
  // CHECK-DAG: %[[EIGHT:.*]] = arith.constant 8 : index
  // CHECK-DAG: %[[DEPTH:.*]] = arith.constant 784 : index
  // CHECK: scf.for {{.*}} step %[[EIGHT]]
  // CHECK:   scf.for {{.*}} to %[[DEPTH]] step %[[ONE]]
  // CHECK:     %[[ACC:[0-9]+]] = vector.transfer_read {{.*}} tensor<8x10xf32>, vector<8x10xf32>
  // CHECK:     %[[P:.*]] = arith.mulf {{.*}} : vector<8x10xf32>
  // CHECK:     arith.addf %[[ACC]], %[[P]] : vector<8x10xf32>
  // CHECK-NOT: vector.multi_reduction
  // CHECK-NOT: vector.contract
  // CHECK-NOT: fma
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<32x784xf32>, tensor<784x10xf32>) outs(%y : tensor<32x10xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %p = arith.mulf %a, %b : f32
      %s = arith.addf %c, %p : f32
      linalg.yield %s : f32
  } -> tensor<32x10xf32>
  return %0 : tensor<32x10xf32>
}

// -----

#id = affine_map<(i, j) -> (i, j)>

// A body that is no float arithmetic is vectorized as well: this is what an inlined model looks like.
// CHECK-LABEL: func.func @masked
// CHECK: arith.andi {{.*}} : vector<4x16xi32>
func.func @masked(%x: tensor<4x16xf32>) -> tensor<4x16xf32> {
  %e = tensor.empty() : tensor<4x16xf32>
  %mask = arith.constant -4096 : i32
  %0 = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x : tensor<4x16xf32>) outs(%e : tensor<4x16xf32>) {
    ^bb0(%in: f32, %out: f32):
      %b = arith.bitcast %in : f32 to i32
      %m = arith.andi %b, %mask : i32
      %f = arith.bitcast %m : i32 to f32
      linalg.yield %f : f32
  } -> tensor<4x16xf32>
  return %0 : tensor<4x16xf32>
}

// -----

#window = affine_map<(i, k) -> (i + k)>
#k = affine_map<(i, k) -> (k)>
#i = affine_map<(i, k) -> (i)>

// One step of a window is an interval: blocks extend along it.
// CHECK-LABEL: func.func @window
// CHECK: scf.for
// CHECK:   arith.mulf {{.*}} : vector<8xf32>
// CHECK:   arith.addf {{.*}} : vector<8xf32>
func.func @window(%x: tensor<10xf32>, %w: tensor<3xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
  %0 = linalg.generic {indexing_maps = [#window, #k, #i], iterator_types = ["parallel", "reduction"]}
      ins(%x, %w : tensor<10xf32>, tensor<3xf32>) outs(%y : tensor<8xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %p = arith.mulf %a, %b : f32
      %s = arith.addf %c, %p : f32
      linalg.yield %s : f32
  } -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// -----

#strided = affine_map<(i, c, k) -> (2 * i + k, c)>
#k = affine_map<(i, c, k) -> (k)>
#out = affine_map<(i, c, k) -> (i, c)>

// With a stride there are gaps: the channels are the block, positions are a loop.
// CHECK-LABEL: func.func @stride
// CHECK: arith.maximumf {{.*}} : vector<4xf32>
func.func @stride(%x: tensor<16x4xf32>, %w: tensor<2xf32>, %y: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %0 = linalg.generic {indexing_maps = [#strided, #k, #out], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<16x4xf32>, tensor<2xf32>) outs(%y : tensor<8x4xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %s = arith.maximumf %c, %a : f32
      linalg.yield %s : f32
  } -> tensor<8x4xf32>
  return %0 : tensor<8x4xf32>
}

// -----

#mod = affine_map<(i, k) -> (i mod 2 + k)>
#k = affine_map<(i, k) -> (k)>
#i = affine_map<(i, k) -> (i)>

// What is no sum of dimensions stays as it is.
// CHECK-LABEL: func.func @no_sum
// CHECK-NOT: vector.
// CHECK: linalg.generic
func.func @no_sum(%x: tensor<10xf32>, %w: tensor<3xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
  %0 = linalg.generic {indexing_maps = [#mod, #k, #i], iterator_types = ["parallel", "reduction"]}
      ins(%x, %w : tensor<10xf32>, tensor<3xf32>) outs(%y : tensor<8xf32>) {
    ^bb0(%a: f32, %b: f32, %c: f32):
      %p = arith.mulf %a, %b : f32
      %s = arith.addf %c, %p : f32
      linalg.yield %s : f32
  } -> tensor<8xf32>
  return %0 : tensor<8xf32>
}
