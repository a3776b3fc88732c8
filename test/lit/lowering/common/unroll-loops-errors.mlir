// RUN: asnet-opt %s --approx-unroll-loops --verify-diagnostics

func.func @unknown(%n: index, %y: tensor<1xf32>) -> tensor<1xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // expected-error @+1 {{can't be unrolled: its number of iterations is no constant}}
  %0 = scf.for %i = %c0 to %n step %c1 iter_args(%a = %y) -> tensor<1xf32> {
    scf.yield %a : tensor<1xf32>
  }
  return %0 : tensor<1xf32>
}
