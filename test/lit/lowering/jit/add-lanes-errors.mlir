// RUN: asnet-opt %s --approx-add-lanes=lanes=8 --split-input-file --verify-diagnostics

func.func @main(%x: tensor<?xf32> {approx.value = 0}, %i: index) -> tensor<f32> {
  // expected-error @below {{'tensor.extract' has no form for several samples at once}}
  %0 = tensor.extract %x[%i] : tensor<?xf32>
  %1 = tensor.from_elements %0 : tensor<f32>
  return %1 : tensor<f32>
}
