// RUN: asnet-opt %s --approx-widen-integers --split-input-file --verify-diagnostics

func.func @divide(%x: i8) -> i8 {
  // expected-error @below {{'arith.divsi' of integers of fewer than 32 bits has no hardware; compute it in 32 bits}}
  %0 = arith.divsi %x, %x : i8
  return %0 : i8
}

// -----

func.func @half(%x: i16) -> bf16 {
  // expected-error @below {{'arith.bitcast' has no hardware: there are numbers of f32 and integers only, not of 'bf16'; leave out the conversion to it}}
  %0 = arith.bitcast %x : i16 to bf16
  return %0 : bf16
}
