// RUN: asnet-opt %s --approx-unroll-loops --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @nested
// CHECK-NOT: scf.for
// CHECK: tensor.extract_slice %{{.*}}[0] [1] [1]
// CHECK: tensor.extract_slice %{{.*}}[1] [1] [1]
// CHECK: tensor.extract_slice %{{.*}}[0] [1] [1]
// CHECK: tensor.extract_slice %{{.*}}[1] [1] [1]
// CHECK-NOT: tensor.extract_slice
func.func @nested(%x: tensor<2xf32>, %y: tensor<1xf32>) -> tensor<1xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %0 = scf.for %i = %c0 to %c2 step %c1 iter_args(%a = %y) -> tensor<1xf32> {
    %1 = scf.for %j = %c0 to %c2 step %c1 iter_args(%b = %a) -> tensor<1xf32> {
      %2 = tensor.extract_slice %x[%j] [1] [1] : tensor<2xf32> to tensor<1xf32>
      %3 = linalg.add ins(%b, %2 : tensor<1xf32>, tensor<1xf32>) outs(%b : tensor<1xf32>)
          -> tensor<1xf32>
      scf.yield %3 : tensor<1xf32>
    }
    scf.yield %1 : tensor<1xf32>
  }
  return %0 : tensor<1xf32>
}
