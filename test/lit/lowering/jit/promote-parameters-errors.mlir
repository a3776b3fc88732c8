// RUN: asnet-opt %s --split-input-file --verify-diagnostics --approx-promote-parameters

// expected-error @below {{lacks the function 'main' that would take the parameters}}
module {
}

// -----

func.func private @model(%a: f32) -> f32 {
  // expected-error @below {{is marked 'approx.parameter' but is not of type i32}}
  %m = arith.constant {approx.parameter} 1 : i64
  return %a : f32
}
func.func @main(%x: f32) -> f32 {
  return %x : f32
}

// -----

func.func private @model(%a: f32) -> f32 {
  %m = arith.constant {approx.parameter} 1 : i32
  return %a : f32
}
func.func @helper(%x: f32) -> f32 {
  // expected-error @below {{uses a model with parameters outside of 'main'}}
  %0 = call @model(%x) : (f32) -> f32
  return %0 : f32
}
func.func @main(%x: f32) -> f32 {
  return %x : f32
}
