// RUN: asnet-opt %s --convert-arith-to-approx | FileCheck %s

// CHECK-LABEL: func.func @every_op(
// CHECK-SAME:  %[[A:.*]]: f32, %[[B:.*]]: f32
func.func @every_op(%a: f32, %b: f32) {
  // CHECK-NEXT: approx.addf %[[A]], %[[B]] : f32
  %0 = arith.addf %a, %b : f32
  // CHECK-NEXT: approx.subf %[[A]], %[[B]] : f32
  %1 = arith.subf %a, %b : f32
  // CHECK-NEXT: approx.mulf %[[A]], %[[B]] {approx.layer = "dense"} : f32
  %2 = arith.mulf %a, %b {approx.layer = "dense"} : f32
  // CHECK-NEXT: approx.divf %[[A]], %[[B]] : f32
  %3 = arith.divf %a, %b : f32
  // CHECK-NEXT: approx.maxf %[[A]], %[[B]] : f32
  %4 = arith.maximumf %a, %b : f32
  // CHECK-NEXT: approx.minf %[[A]], %[[B]] : f32
  %5 = arith.minimumf %a, %b : f32
  return
}

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// The accumulator stays on the left.

// CHECK-LABEL: func.func @matmul(
func.func @matmul(%a: tensor<2x3xf32>, %b: tensor<3x4xf32>, %c: tensor<2x4xf32>) -> tensor<2x4xf32> {
  // CHECK: ^bb0(%[[A:.*]]: f32, %[[B:.*]]: f32, %[[ACC:.*]]: f32):
  // CHECK-NEXT: %[[P:.*]] = approx.mulf %[[A]], %[[B]] : f32
  // CHECK-NEXT: %[[S:.*]] = approx.addf %[[ACC]], %[[P]] : f32
  // CHECK-NEXT: linalg.yield %[[S]]
  %0 = linalg.generic {indexing_maps = [#mk, #kn, #mn],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : tensor<2x3xf32>, tensor<3x4xf32>) outs(%c : tensor<2x4xf32>) {
  ^bb0(%x: f32, %y: f32, %acc: f32):
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %acc, %p : f32
    linalg.yield %s : f32
  } -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}

// Nothing to do: exact ops and data movement, in any float type.

// CHECK-LABEL: func.func @allowed(
func.func @allowed(%a: f32, %i: i32, %c: i1, %n: i8, %t: tensor<4xf32>, %h: f16) {
  // CHECK-NOT: approx.
  %0 = arith.constant 1.0 : f64
  %1 = arith.bitcast %a : f32 to i32
  %2 = arith.negf %a : f32
  %3 = arith.cmpf ogt, %a, %2 : f32
  %4 = arith.select %3, %a, %2 : f32
  %5 = arith.uitofp %c : i1 to f32
  %6 = arith.sitofp %n : i8 to f32
  %7 = arith.extf %h : f16 to f32
  %8 = arith.addi %i, %1 : i32
  %9 = linalg.fill ins(%a : f32) outs(%t : tensor<4xf32>) -> tensor<4xf32>
  return
}

// Every format, and integers left alone.

// CHECK-LABEL: func.func @formats(
func.func @formats(%a: bf16, %b: vector<4xf16>, %i: i8) {
  // CHECK: approx.mulf %{{.*}}, %{{.*}} : bf16
  %0 = arith.mulf %a, %a : bf16
  // CHECK: approx.maxf %{{.*}}, %{{.*}} : vector<4xf16>
  %1 = arith.maximumf %b, %b : vector<4xf16>
  // CHECK: arith.sitofp %{{.*}} : i8 to bf16
  %2 = arith.sitofp %i : i8 to bf16
  // CHECK: arith.addi %{{.*}}, %{{.*}} : i8
  %3 = arith.addi %i, %i : i8
  return
}

// Integers: what a reduction adds up, and the products as they are before they are extended.

// CHECK-LABEL: func.func @codes(
func.func @codes(%a: tensor<2x3xi8>, %b: tensor<3x4xi8>, %c: tensor<2x4xi32>) -> tensor<2x4xi32> {
  // CHECK: ^bb0(%[[A:.*]]: i8, %[[B:.*]]: i8, %[[ACC:.*]]: i32):
  // CHECK: %[[P:.*]] = approx.muli unsigned %[[A]], %[[B]] : i8 -> i16
  // CHECK-NEXT: %[[W:.*]] = arith.extui %[[P]] : i16 to i32
  // CHECK-NEXT: %[[S:.*]] = approx.addi %[[ACC]], %[[W]] : i32
  // CHECK-NEXT: linalg.yield %[[S]]
  %0 = linalg.generic {indexing_maps = [#mk, #kn, #mn],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : tensor<2x3xi8>, tensor<3x4xi8>) outs(%c : tensor<2x4xi32>) {
  ^bb0(%x: i8, %y: i8, %acc: i32):
    %u = arith.extui %x : i8 to i32
    %v = arith.extui %y : i8 to i32
    %p = arith.muli %u, %v : i32
    %s = arith.addi %acc, %p : i32
    linalg.yield %s : i32
  } -> tensor<2x4xi32>
  return %0 : tensor<2x4xi32>
}

// Operands of both signs: one without takes a bit more.

// CHECK-LABEL: func.func @both_signs(
func.func @both_signs(%a: tensor<2x3xi8>, %b: tensor<3x4xi8>, %c: tensor<2x4xi32>) -> tensor<2x4xi32> {
  // CHECK: ^bb0(%[[A:.*]]: i8, %[[B:.*]]: i8, %[[ACC:.*]]: i32):
  // CHECK-DAG: %[[X:.*]] = arith.extui %[[A]] : i8 to i9
  // CHECK-DAG: %[[Y:.*]] = arith.extsi %[[B]] : i8 to i9
  // CHECK: %[[P:.*]] = approx.muli %[[X]], %[[Y]] : i9 -> i18
  // CHECK-NEXT: arith.extsi %[[P]] : i18 to i32
  %0 = linalg.generic {indexing_maps = [#mk, #kn, #mn],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : tensor<2x3xi8>, tensor<3x4xi8>) outs(%c : tensor<2x4xi32>) {
  ^bb0(%x: i8, %y: i8, %acc: i32):
    %u = arith.extui %x : i8 to i32
    %v = arith.extsi %y : i8 to i32
    %p = arith.muli %u, %v : i32
    %s = arith.addi %acc, %p : i32
    linalg.yield %s : i32
  } -> tensor<2x4xi32>
  return %0 : tensor<2x4xi32>
}

// What does not accumulate is plain logic.

// CHECK-LABEL: func.func @scaled(
func.func @scaled(%a: tensor<4xi32>, %b: tensor<4xi32>) -> tensor<4xi32> {
  // CHECK: arith.muli
  // CHECK-NOT: approx.
  %0 = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>],
                       iterator_types = ["parallel"]}
      ins(%a : tensor<4xi32>) outs(%b : tensor<4xi32>) {
  ^bb0(%x: i32, %out: i32):
    %p = arith.muli %x, %out : i32
    %s = arith.addi %p, %out : i32
    linalg.yield %s : i32
  } -> tensor<4xi32>
  return %0 : tensor<4xi32>
}

// Nor are sums of 64 bits what a core computes: by them a network corrects zero points.

// CHECK-LABEL: func.func @correction(
func.func @correction(%a: tensor<2x3xi8>, %b: tensor<2xi64>) -> tensor<2xi64> {
  // CHECK: arith.addi %{{.*}}, %{{.*}} : i64
  // CHECK-NOT: approx.
  %0 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>],
                       iterator_types = ["parallel", "reduction"]}
      ins(%a : tensor<2x3xi8>) outs(%b : tensor<2xi64>) {
  ^bb0(%x: i8, %acc: i64):
    %wide = arith.extsi %x : i8 to i64
    %s = arith.addi %acc, %wide : i64
    linalg.yield %s : i64
  } -> tensor<2xi64>
  return %0 : tensor<2xi64>
}
