// RUN: asnet-opt %s --convert-arith-to-approx --split-input-file --verify-diagnostics

#id = affine_map<(i) -> (i)>
func.func @layer(%a: tensor<4xf32>) -> tensor<4xf32> {
  %0 = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel"]}
      outs(%a : tensor<4xf32>) attrs = {approx.layer = "dense_1"} {
  ^bb0(%x: f32):
    // expected-error @below {{'math.log' is not supported (layer 'dense_1'); supported are arith.{addf,subf,mulf,divf,maximumf,minimumf} on f32, bf16 or f16 and what approx-expand-math expands}}
    %y = math.log %x : f32
    linalg.yield %y : f32
  } -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// All errors are reported at once.
func.func @types(%a: f64, %b: f80, %v: vector<4xtf32>) {
  // expected-error @below {{'arith.addf' on f64 is not supported; f32, bf16 and f16 are}}
  %0 = arith.addf %a, %a : f64
  // expected-error @below {{'arith.mulf' on f80 is not supported; f32, bf16 and f16 are}}
  %1 = arith.mulf %b, %b : f80
  // expected-error @below {{'arith.divf' on tf32 is not supported; f32, bf16 and f16 are}}
  %2 = arith.divf %v, %v : vector<4xtf32>
  return
}

// -----

func.func @fast_math(%a: f32) {
  // expected-error @below {{'arith.addf' has fast-math flags <reassoc,contract>; expected none}}
  %0 = arith.addf %a, %a fastmath<reassoc,contract> : f32
  // expected-error @below {{'arith.cmpf' has fast-math flags <nnan>; expected none}}
  %1 = arith.cmpf oeq, %a, %a fastmath<nnan> : f32
  return
}

// -----

func.func @inexact(%a: f32, %i: i32, %d: f64, %v: vector<4xf32>, %n: i9, %m: i12) {
  // expected-error @below {{'arith.maxnumf' is not supported}}
  %0 = arith.maxnumf %a, %a : f32
  // expected-error @below {{'arith.minnumf' is not supported}}
  %1 = arith.minnumf %a, %a : f32
  // expected-error @below {{'arith.fptosi' is not supported}}
  %2 = arith.fptosi %a : f32 to i32
  // expected-error @below {{'arith.sitofp' is not supported}}
  %3 = arith.sitofp %i : i32 to f32
  // expected-error @below {{'arith.truncf' is not supported}}
  %4 = arith.truncf %d : f64 to f32
  // expected-error @below {{'arith.remf' is not supported}}
  %5 = arith.remf %a, %a : f32
  // expected-error @below {{'arith.truncf' is not supported}}
  %7 = arith.truncf %a : f32 to bf16
  // expected-error @below {{'arith.sitofp' is not supported}}
  %8 = arith.sitofp %n : i9 to bf16
  // expected-error @below {{'arith.uitofp' is not supported}}
  %9 = arith.uitofp %m : i12 to f16
  // expected-error @below {{'vector.fma' is not supported}}
  %6 = vector.fma %v, %v, %v : vector<4xf32>
  return
}

// -----

func.func @named(%a: tensor<2x2xf32>) -> tensor<2x2xf32> {
  // expected-error @below {{'linalg.matmul' computes floats in an implied body (layer 'dense'); run 'linalg-generalize-named-ops' first}}
  %0 = linalg.matmul {approx.layer = "dense"} ins(%a, %a : tensor<2x2xf32>, tensor<2x2xf32>)
      outs(%a : tensor<2x2xf32>) -> tensor<2x2xf32>
  return %0 : tensor<2x2xf32>
}
