// RUN: asnet-opt %s --approx-add-lanes=lanes=8 --split-input-file | FileCheck %s

#id = affine_map<(d0) -> (d0)>

// A sample in each lane; a weight is broadcast where it meets one; a fill is filled with lanes.

// CHECK-LABEL: func.func @main(
// CHECK-SAME:    %[[X:.*]]: tensor<4xvector<8xf32>> {approx.value = 0 : i64},
// CHECK-SAME:    %[[W:.*]]: tensor<4xf32>) -> tensor<vector<8xf32>>
// CHECK:         %[[SPREAD:.*]] = vector.broadcast %{{.*}} : f32 to vector<8xf32>
// CHECK:         %[[FILL:.*]] = linalg.generic {{.*}} ins(%[[SPREAD]] : vector<8xf32>) outs(%{{.*}} : tensor<vector<8xf32>>)
// CHECK:         linalg.generic
// CHECK-SAME:      ins(%[[X]], %[[W]] : tensor<4xvector<8xf32>>, tensor<4xf32>) outs(%[[FILL]] : tensor<vector<8xf32>>)
// CHECK-NEXT:    ^bb0(%[[IN:.*]]: vector<8xf32>, %[[IN_W:.*]]: f32, %[[ACC:.*]]: vector<8xf32>):
// CHECK-NEXT:      %[[B:.*]] = vector.broadcast %[[IN_W]] : f32 to vector<8xf32>
// CHECK-NEXT:      %[[P:.*]] = approx.mulf %[[IN]], %[[B]] : vector<8xf32>
// CHECK-NEXT:      %[[S:.*]] = arith.addf %[[ACC]], %[[P]] : vector<8xf32>
func.func @main(%x: tensor<4xf32> {approx.value = 0}, %w: tensor<4xf32>) -> tensor<f32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<f32>
  %fill = linalg.generic {indexing_maps = [affine_map<() -> ()>, affine_map<() -> ()>], iterator_types = []}
      ins(%zero : f32) outs(%e : tensor<f32>) {
  ^bb0(%in: f32, %out: f32):
    linalg.yield %in : f32
  } -> tensor<f32>
  %0 = linalg.generic {indexing_maps = [#id, #id, affine_map<(d0) -> ()>], iterator_types = ["reduction"]}
      ins(%x, %w : tensor<4xf32>, tensor<4xf32>) outs(%fill : tensor<f32>) {
  ^bb0(%in: f32, %in_w: f32, %acc: f32):
    %1 = approx.mulf %in, %in_w : f32
    %2 = arith.addf %acc, %1 : f32
    linalg.yield %2 : f32
  } -> tensor<f32>
  return %0 : tensor<f32>
}

// -----

// Padding, slices and reshapes move whole lanes; a condition of indices is one for all lanes.

// CHECK-LABEL: func.func @moves(
// CHECK:         tensor.pad
// CHECK:           %[[P:.*]] = vector.broadcast %{{.*}} : f32 to vector<8xf32>
// CHECK:           tensor.yield %[[P]] : vector<8xf32>
// CHECK:         tensor<4xvector<8xf32>> to tensor<6xvector<8xf32>>
// CHECK:         tensor.extract_slice %{{.*}}[2] [4] [1] : tensor<6xvector<8xf32>> to tensor<4xvector<8xf32>>
// CHECK:         arith.select %{{.*}}, %{{.*}}, %{{.*}} : vector<8xf32>
func.func @moves(%x: tensor<4xf32> {approx.value = 0}) -> tensor<4xf32> {
  %zero = arith.constant 0.0 : f32
  %c1 = arith.constant 1 : index
  %padded = tensor.pad %x low[1] high[1] {
  ^bb0(%i: index):
    tensor.yield %zero : f32
  } : tensor<4xf32> to tensor<6xf32>
  %slice = tensor.extract_slice %padded[2] [4] [1] : tensor<6xf32> to tensor<4xf32>
  %e = tensor.empty() : tensor<4xf32>
  %0 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
      ins(%slice : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %i = linalg.index 0 : index
    %odd = arith.cmpi eq, %i, %c1 : index
    %1 = arith.select %odd, %in, %zero : f32
    linalg.yield %1 : f32
  } -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Nothing depends on a value: nothing changes.

// CHECK-LABEL: func.func @prepare(%{{.*}}: tensor<4xf32>) -> tensor<4xf32>
// CHECK-NEXT:    return
func.func @prepare(%w: tensor<4xf32>) -> tensor<4xf32> {
  return %w : tensor<4xf32>
}

// -----

// What a loop carries has lanes, also where it starts from constants.

// CHECK-LABEL: func.func @loop
// CHECK: scf.for %[[I:.*]] = {{.*}} iter_args(%[[H:.*]] = %{{.*}}) -> (tensor<4xvector<8xf32>>)
// CHECK: tensor.extract_slice %{{.*}}[%[[I]], 0] {{.*}} : tensor<3x4xvector<8xf32>>
// CHECK: linalg.generic {{.*}} ins(%[[H]], %{{.*}} : tensor<4xvector<8xf32>>, tensor<4xvector<8xf32>>)
// CHECK: scf.yield %{{.*}} : tensor<4xvector<8xf32>>
func.func @loop(%x: tensor<3x4xf32> {approx.value = 0}) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %start = arith.constant dense<1.0> : tensor<4xf32>
  %0 = scf.for %i = %c0 to %c3 step %c1 iter_args(%h = %start) -> tensor<4xf32> {
    %row = tensor.extract_slice %x[%i, 0] [1, 4] [1, 1] : tensor<3x4xf32> to tensor<4xf32>
    %e = tensor.empty() : tensor<4xf32>
    %1 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
        ins(%h, %row : tensor<4xf32>, tensor<4xf32>) outs(%e : tensor<4xf32>) {
    ^bb0(%a: f32, %b: f32, %out: f32):
      %2 = arith.addf %a, %b : f32
      linalg.yield %2 : f32
    } -> tensor<4xf32>
    scf.yield %1 : tensor<4xf32>
  }
  return %0 : tensor<4xf32>
}
