// RUN: asnet-opt %s --approx-data-addresses --approx-schedule --split-input-file --verify-diagnostics

func.func @unlimited(%ids: memref<5xi32> {approx.role = "input"},
                     %table: memref<30xf32> {approx.weight = "table"},
                     %y: memref<5xf32> {approx.role = "output"}) {
  affine.for %i = 0 to 5 {
    %id = affine.load %ids[%i] : memref<5xi32>
    %0 = arith.index_cast %id : i32 to index
    // expected-error @below {{'memref.load' op reads where data say, but nothing keeps the index inside: clamp it (layer 'embedding')}}
    %1 = memref.load %table[%0] {approx.layer = "embedding"} : memref<30xf32>
    affine.store %1, %y[%i] : memref<5xf32>
  }
  return
}

// -----

func.func @with_a_loop(%ids: memref<5xi32> {approx.role = "input"},
                       %table: memref<30xf32> {approx.weight = "table"},
                       %y: memref<5xf32> {approx.role = "output"}) {
  %c0 = arith.constant 0 : index
  affine.for %i = 0 to 5 {
    %id = affine.load %ids[%i] : memref<5xi32>
    %0 = arith.index_cast %id : i32 to index
    %1 = arith.addi %0, %i : index
    %2 = arith.maxsi %1, %c0 : index
    // expected-error @below {{reads where data say, but its index is limited together with a loop's}}
    %3 = memref.load %table[%2] : memref<30xf32>
    affine.store %3, %y[%i] : memref<5xf32>
  }
  return
}

// -----

func.func @divided(%ids: memref<5xi32> {approx.role = "input"},
                   %table: memref<30xf32> {approx.weight = "table"},
                   %y: memref<5xf32> {approx.role = "output"}) {
  %c2 = arith.constant 2 : index
  affine.for %i = 0 to 5 {
    %id = affine.load %ids[%i] : memref<5xi32>
    %0 = arith.index_cast %id : i32 to index
    %1 = arith.divui %0, %c2 : index
    // expected-error @below {{reads where data say, but its index is made by 'arith.divui'}}
    %2 = memref.load %table[%1] : memref<30xf32>
    affine.store %2, %y[%i] : memref<5xf32>
  }
  return
}

// -----

// Hardware writes where loops say.
func.func @scatter(%ids: memref<5xi32> {approx.role = "input"},
                   %y: memref<30xi32> {approx.role = "output"}) {
  affine.for %i = 0 to 5 {
    %id = affine.load %ids[%i] : memref<5xi32>
    %0 = arith.index_cast %id : i32 to index
    // expected-error @below {{'memref.store' op has an index that is no linear function of the loops}}
    memref.store %id, %y[%0] : memref<30xi32>
  }
  return
}
