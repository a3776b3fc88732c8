// RUN: asnet-opt %s --approx-data-addresses | FileCheck %s
// RUN: asnet-opt %s --approx-data-addresses --approx-schedule > %t
// RUN: FileCheck %s --check-prefix=SCHEDULE < %t
// RUN: asnet-opt %t --approx-verify-schedule -o %t.same
// RUN: diff %t %t.same

// The word must be there when the address is, and be the one that is added.
// RUN: sed '/memref.load/s/approx.start = 17 :/approx.start = 12 :/; s/approx.move = 18 :/approx.move = 13 :/' %t > %t.1
// RUN: not asnet-opt --approx-verify-schedule %t.1 2>&1 | FileCheck %s --check-prefix=EARLY
// EARLY: error: 'memref.load' op starts in cycle 12, but an operand is there in cycle 13

// RUN: sed '/memref.load/s/approx.offset = 1 :/approx.offset = 2 :/' %t > %t.2
// RUN: not asnet-opt --approx-verify-schedule %t.2 2>&1 | FileCheck %s --check-prefix=OTHER
// OTHER: error: 'memref.load' op has another 'approx.offset' than its index

// A row of 7 words, by an index that is limited: 7 times it, and the loop's place in the row.
// CHECK-LABEL: func.func @rows
// SCHEDULE-LABEL: func.func @rows
func.func @rows(%ids: memref<5xi32> {approx.role = "input"},
                %table: memref<300x7xf32> {approx.weight = "table"},
                %y: memref<5x7xf32> {approx.role = "output"}) {
  %c0 = arith.constant 0 : index
  %c299 = arith.constant 299 : index
  affine.for %i = 0 to 5 {
    affine.for %j = 0 to 7 {
      // CHECK: %[[ID:.*]] = affine.load
      // CHECK: %[[LOW:.*]] = arith.maxsi %[[ID]], %c0_i32 : i32
      // CHECK: %[[ROW:.*]] = arith.minsi %[[LOW]], %c299_i32 : i32
      // CHECK: %[[EIGHT:.*]] = arith.shli %[[ROW]], %c3_i32 : i32
      // CHECK: %[[WORD:.*]] = arith.subi %[[EIGHT]], %[[ROW]] : i32
      // CHECK: %[[VIEW:.*]] = memref.reinterpret_cast {{.*}} sizes: [2094, 7], strides: [1, 1]
      // CHECK: %[[DATA:.*]] = arith.index_cast %[[WORD]] : i32 to index
      // CHECK: %[[LOOPS:.*]] = affine.apply #{{.*}}(%{{.*}})
      // CHECK: memref.load %[[VIEW]][%[[DATA]], %[[LOOPS]]]
      // SCHEDULE: arith.index_cast {{.*}} {approx.alias}
      // SCHEDULE: memref.load {{.*}} approx.offset = 1 : i64, {{.*}}approx.strides = array<i64: 0, 1>
      %id = affine.load %ids[%i] : memref<5xi32>
      %0 = arith.index_cast %id : i32 to index
      %1 = arith.maxsi %0, %c0 : index
      %2 = arith.minsi %1, %c299 : index
      %3 = memref.load %table[%2, %j] : memref<300x7xf32>
      affine.store %3, %y[%i, %j] : memref<5x7xf32>
    }
  }
  return
}

// A slice that begins where data say, unsigned.
// CHECK-LABEL: func.func @slice
func.func @slice(%x: memref<9xi32> {approx.role = "input"},
                 %y: memref<3xi32> {approx.role = "output"}) {
  %c0 = arith.constant 0 : index
  %c6 = arith.constant 6 : index
  %at = affine.load %x[0] : memref<9xi32>
  // CHECK: %[[SMALL:.*]] = arith.minui %{{.*}}, %c2147483647_i32 : i32
  // CHECK: %[[PLACE:.*]] = arith.minsi %[[SMALL]], %c6_i32 : i32
  // CHECK: sizes: [7, 3], strides: [1, 1]
  %0 = arith.index_castui %at : i32 to index
  %1 = arith.minsi %0, %c6 : index
  %slice = memref.subview %x[%1] [3] [1] : memref<9xi32> to memref<3xi32, strided<[1], offset: ?>>
  affine.for %i = 0 to 3 {
    %2 = affine.load %slice[%i] : memref<3xi32, strided<[1], offset: ?>>
    affine.store %2, %y[%i] : memref<3xi32>
  }
  return
}

// Nothing from data.
// CHECK-LABEL: func.func @loops
// CHECK-NOT: reinterpret_cast
func.func @loops(%x: memref<9xf32> {approx.role = "input"},
                 %y: memref<9xf32> {approx.role = "output"}) {
  affine.for %i = 0 to 9 {
    %0 = memref.load %x[%i] : memref<9xf32>
    affine.store %0, %y[%i] : memref<9xf32>
  }
  return
}
