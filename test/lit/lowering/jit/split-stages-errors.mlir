// RUN: asnet-opt %s --approx-split-stages --split-input-file --verify-diagnostics

// expected-error @below {{returns a value that does not depend on the input}}
func.func @main(%x: tensor<4xf32>, %w: tensor<4xf32> {approx.weight = "w"}) -> tensor<4xf32> {
  return %w : tensor<4xf32>
}

// -----

// expected-error @below {{lacks the function 'main' to split}}
module {}
