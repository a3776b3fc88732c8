// RUN: asnet-opt %s --split-input-file --verify-diagnostics --approx-widen-booleans

func.func @elementwise(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@below {{'arith.cmpf' on a tensor of booleans is not supported; use numbers}}
  %c = arith.cmpf ogt, %x, %x : tensor<4xf32>
  %y = arith.select %c, %x, %x : tensor<4xi1>, tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @result() -> tensor<2xi1> {
  %c = arith.constant dense<true> : tensor<2xi1>
  // expected-error@below {{'func.return' on a tensor of booleans is not supported; use numbers}}
  return %c : tensor<2xi1>
}
