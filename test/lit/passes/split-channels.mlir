// RUN: asnet-opt %s --approx-split-channels=ranges=d=4:8 --split-input-file | FileCheck %s
// RUN: asnet-opt %s --approx-split-channels=every=5 --split-input-file | FileCheck %s --check-prefix=EVERY

#x = affine_map<(n, j, k) -> (n, k)>
#w = affine_map<(n, j, k) -> (k, j)>
#y = affine_map<(n, j, k) -> (n, j)>

// Three parts: the range, and what lies before and behind it.

// EVERY-LABEL: func.func @dense(
// EVERY:         linalg.generic {{.*}} attrs = {approx.layer = "d/[0:5]"}
// EVERY:         linalg.generic {{.*}} attrs = {approx.layer = "d/[5:10]"}

// CHECK-LABEL: func.func @dense(
// CHECK-SAME:    %[[X:.*]]: tensor<1x3xi8> {{.*}}, %[[W:.*]]: tensor<3x10xi8> {{.*}}, %[[Y:.*]]: tensor<1x10xi32>)
// CHECK:         %[[W0:.*]] = tensor.extract_slice %[[W]][0, 0] [3, 4] [1, 1] {approx.layer = "d/[0:4]"}
// CHECK:         %[[Y0:.*]] = tensor.extract_slice %[[Y]][0, 0] [1, 4] [1, 1] {approx.layer = "d/[0:4]"}
// CHECK:         %[[P0:.*]] = linalg.generic {{.*}} ins(%[[X]], %[[W0]] : {{.*}} outs(%[[Y0]] : tensor<1x4xi32>) attrs = {approx.layer = "d/[0:4]"}
// CHECK:           approx.muli
// CHECK:         %[[I0:.*]] = tensor.insert_slice %[[P0]] into %[[Y]][0, 0] [1, 4] [1, 1] {approx.layer = "d"}
// CHECK:         linalg.generic {{.*}} outs(%{{.*}} : tensor<1x4xi32>) attrs = {approx.layer = "d/[4:8]"}
// CHECK:         %[[I1:.*]] = tensor.insert_slice %{{.*}} into %[[I0]][0, 4] [1, 4] [1, 1]
// CHECK:         linalg.generic {{.*}} outs(%{{.*}} : tensor<1x2xi32>) attrs = {approx.layer = "d/[8:10]"}
// CHECK:         %[[I2:.*]] = tensor.insert_slice %{{.*}} into %[[I1]][0, 8] [1, 2] [1, 1]
// CHECK:         return %[[I2]]
func.func @dense(%x: tensor<1x3xi8> {approx.role = "input"}, %w: tensor<3x10xi8> {approx.weight = "w"}, %y: tensor<1x10xi32>) -> tensor<1x10xi32> {
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<1x3xi8>, tensor<3x10xi8>) outs(%y : tensor<1x10xi32>) attrs = {approx.layer = "d"} {
  ^bb0(%a: i8, %b: i8, %acc: i32):
    %1 = approx.muli %a, %b : i8 -> i32
    %2 = approx.addi %acc, %1 : i32
    linalg.yield %2 : i32
  } -> tensor<1x10xi32>
  return %0 : tensor<1x10xi32>
}

// -----

#x = affine_map<(g, j, k) -> (g, k)>
#w = affine_map<(g, j, k) -> (g, k, j)>
#y = affine_map<(g, j, k) -> (g, j)>

// Channels count through groups and the filters of each; another layer stays whole.

// EVERY-LABEL: func.func @groups(
// EVERY:         linalg.generic {{.*}} attrs = {approx.layer = "d/conv/[0:8]"}
// EVERY:         linalg.generic {{.*}} attrs = {approx.layer = "d/conv/[8:12]"}
// EVERY:         linalg.generic {{.*}} attrs = {approx.layer = "other/[0:8]"}

// CHECK-LABEL: func.func @groups(
// CHECK:         linalg.generic {{.*}} attrs = {approx.layer = "d/conv/[0:4]"}
// CHECK:         linalg.generic {{.*}} attrs = {approx.layer = "d/conv/[4:8]"}
// CHECK:         linalg.generic {{.*}} attrs = {approx.layer = "d/conv/[8:12]"}
// CHECK:         linalg.generic {{.*}} outs(%{{.*}} : tensor<3x4xi32>) attrs = {approx.layer = "other"}
func.func @groups(%x: tensor<3x5xi8> {approx.role = "input"}, %w: tensor<3x5x4xi8> {approx.weight = "w"}, %y: tensor<3x4xi32>) -> (tensor<3x4xi32>, tensor<3x4xi32>) {
  %0 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<3x5xi8>, tensor<3x5x4xi8>) outs(%y : tensor<3x4xi32>) attrs = {approx.layer = "d/conv"} {
  ^bb0(%a: i8, %b: i8, %acc: i32):
    %1 = approx.muli %a, %b : i8 -> i32
    %2 = approx.addi %acc, %1 : i32
    linalg.yield %2 : i32
  } -> tensor<3x4xi32>
  %3 = linalg.generic {indexing_maps = [#x, #w, #y], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<3x5xi8>, tensor<3x5x4xi8>) outs(%y : tensor<3x4xi32>) attrs = {approx.layer = "other"} {
  ^bb0(%a: i8, %b: i8, %acc: i32):
    %1 = approx.muli %a, %b : i8 -> i32
    %2 = approx.addi %acc, %1 : i32
    linalg.yield %2 : i32
  } -> tensor<3x4xi32>
  return %0, %3 : tensor<3x4xi32>, tensor<3x4xi32>
}
