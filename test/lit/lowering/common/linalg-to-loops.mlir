// RUN: asnet-opt %s --approx-linalg-to-loops --canonicalize --split-input-file | FileCheck %s

#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// The loops are in the iterators' order; the outermost has the layer's name.

// CHECK-LABEL: func.func @matmul(
// CHECK-SAME:  %[[A:.*]]: memref<2x3xf32>, %[[B:.*]]: memref<3x4xf32>, %[[C:.*]]: memref<2x4xf32>
func.func @matmul(%a: memref<2x3xf32>, %b: memref<3x4xf32>, %c: memref<2x4xf32>) {
  // CHECK:      affine.for %[[M:.*]] = 0 to 2 {
  // CHECK-NEXT:   affine.for %[[N:.*]] = 0 to 4 {
  // CHECK-NEXT:     affine.for %[[K:.*]] = 0 to 3 {
  // CHECK-DAG:        %[[X:.*]] = affine.load %[[A]][%[[M]], %[[K]]]
  // CHECK-DAG:        %[[Y:.*]] = affine.load %[[B]][%[[K]], %[[N]]]
  // CHECK-DAG:        %[[ACC:.*]] = affine.load %[[C]][%[[M]], %[[N]]]
  // CHECK:            %[[P:.*]] = approx.mulf %[[X]], %[[Y]]
  // CHECK-NEXT:       %[[S:.*]] = approx.addf %[[ACC]], %[[P]]
  // CHECK-NEXT:       affine.store %[[S]], %[[C]][%[[M]], %[[N]]]
  // CHECK-NEXT:     }
  // CHECK-NEXT:   }
  // CHECK-NEXT: } {approx.layer = "dense"}
  linalg.generic {indexing_maps = [#mk, #kn, #mn],
                  iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : memref<2x3xf32>, memref<3x4xf32>) outs(%c : memref<2x4xf32>)
      attrs = {approx.layer = "dense"} {
  ^bb0(%x: f32, %y: f32, %acc: f32):
    %p = approx.mulf %x, %y : f32
    %s = approx.addf %acc, %p : f32
    linalg.yield %s : f32
  }
  return
}

// -----

// Example of the documentation.

// CHECK-LABEL: func.func @copy(
// CHECK-SAME:  %[[A:.*]]: memref<4xf32>, %[[B:.*]]: memref<4xf32>
func.func @copy(%a: memref<4xf32>, %b: memref<4xf32>) {
  // CHECK-NEXT: affine.for %[[I:.*]] = 0 to 4 {
  // CHECK-NEXT:   %[[V:.*]] = affine.load %[[A]][%[[I]]]
  // CHECK-NEXT:   affine.store %[[V]], %[[B]][%[[I]]]
  // CHECK-NEXT: } {approx.layer = "dense"}
  linalg.copy {approx.layer = "dense"} ins(%a : memref<4xf32>) outs(%b : memref<4xf32>)
  return
}

// -----

// CHECK-LABEL: func.func @strided_copy(
func.func @strided_copy(%a: memref<4x8xf32, strided<[16, 1], offset: 3>>, %b: memref<4x8xf32>) {
  // CHECK:      affine.for %[[I:.*]] = 0 to 4 {
  // CHECK-NEXT:   affine.for %[[J:.*]] = 0 to 8 {
  // CHECK-NEXT:     affine.load %{{.*}}[%[[I]], %[[J]]] : memref<4x8xf32, strided<[16, 1], offset: 3>>
  // CHECK-NOT: memref.copy
  memref.copy %a, %b : memref<4x8xf32, strided<[16, 1], offset: 3>> to memref<4x8xf32>
  return
}

// -----

// CHECK-LABEL: func.func @fill_scalar(
func.func @fill_scalar(%v: f32, %b: memref<f32>) {
  // CHECK-NEXT: affine.store %{{.*}}, %{{.*}}[] : memref<f32>
  linalg.fill ins(%v : f32) outs(%b : memref<f32>)
  return
}

// -----

// CHECK-LABEL: func.func @nothing_to_do(
func.func @nothing_to_do(%a: memref<4xf32>) -> f32 {
  // CHECK-NOT: affine.for
  %c0 = arith.constant 0 : index
  %0 = memref.load %a[%c0] : memref<4xf32>
  return %0 : f32
}
