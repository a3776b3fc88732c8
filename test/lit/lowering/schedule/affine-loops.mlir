// RUN: asnet-opt %s --approx-affine-loops | FileCheck %s

// CHECK-LABEL: func.func @loops
func.func @loops(%m: memref<8xf32>, %n: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  // CHECK: affine.for %[[I:.*]] = 0 to 8 {
  // CHECK: memref.load %{{.*}}[%[[I]]]
  // CHECK: } {approx.layer = "lstm"}
  scf.for %i = %c0 to %c8 step %c1 {
    %0 = memref.load %m[%i] : memref<8xf32>
    memref.store %0, %m[%c0] : memref<8xf32>
  } {approx.layer = "lstm"}
  // CHECK: scf.for
  scf.for %i = %c0 to %n step %c1 {
    %0 = memref.load %m[%c0] : memref<8xf32>
    memref.store %0, %m[%i] : memref<8xf32>
  }
  return
}
