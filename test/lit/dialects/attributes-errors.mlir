// RUN: asnet-opt %s --split-input-file --verify-diagnostics --allow-unregistered-dialect

func.func @layer(%a: f32) {
  // expected-error @below {{'approx.layer' must be a string that is not empty, got 7 : i64}}
  %0 = approx.mulf %a, %a {approx.layer = 7} : f32
  return
}

// -----

// expected-error @below {{'approx.weight' must be a string that is not empty, got 3 : i64}}
func.func @weight(%a: tensor<4xf32> {approx.weight = 3}) {
  return
}

// -----

// expected-error @below {{'approx.role' must be "input" or "output", got "foo"}}
func.func @role(%a: tensor<4xf32> {approx.role = "foo"}) {
  return
}

// -----

// expected-error @below {{'approx.value' must be an integer of at least 0, got -1 : i64}}
func.func @value() -> (tensor<4xf32> {approx.value = -1}) {
  %0 = tensor.empty() : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func @start(%x: memref<8xf32>, %i: index) {
  // expected-error @below {{'approx.start' must be an integer of at least 0, got -7 : i64}}
  %0 = affine.load %x[symbol(%i)] {approx.start = -7} : memref<8xf32>
  return
}

// -----

func.func @trip() {
  // expected-error @below {{'approx.trip' must be an integer of at least 1, got 0 : i64}}
  affine.for %i = 0 to 4 {
  } {approx.trip = 0}
  return
}

// -----

func.func @strides(%a: f32) {
  // expected-error @below {{'approx.strides' must be an array of i64, got [1]}}
  "other.op"() {approx.strides = [1]} : () -> ()
  return
}

// -----

func.func @misspelt(%a: f32) {
  // expected-error @below {{has 'approx.layr', which is no attribute of this dialect}}
  %0 = approx.mulf %a, %a {approx.layr = "dense"} : f32
  return
}

// -----

func.func @elsewhere(%a: f32) {
  // expected-error @below {{has 'approx.weight', which belongs to arguments and results of functions}}
  %0 = approx.mulf %a, %a {approx.weight = "w"} : f32
  return
}

// -----

// expected-error @below {{has 'approx.layer', which belongs to operations, not to arguments or results}}
func.func @argument(%a: f32 {approx.layer = "dense"}) {
  return
}
