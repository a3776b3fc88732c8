// RUN: asnet-opt --approx-protect-weights %s | FileCheck %s

// CHECK-LABEL: func.func @main
// CHECK-SAME: %arg0: tensor<4xf32> {approx.role = "input"},
// CHECK-SAME: %arg1: tensor<4xf32> {approx.weight = "bias", bufferization.writable = false}
func.func @main(%x: tensor<4xf32> {approx.role = "input"},
                %b: tensor<4xf32> {approx.weight = "bias"}) -> tensor<4xf32> {
  return %b : tensor<4xf32>
}
