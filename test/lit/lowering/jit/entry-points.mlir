// RUN: asnet-opt %s --approx-entry-points | FileCheck %s

// CHECK: func.func @main(%{{.*}}: tensor<4xf32> {approx.value = 0 : i64, bufferization.writable = false}, %{{.*}}: memref<1xi32> {approx.parameters}) -> tensor<4xf32> attributes {llvm.emit_c_interface}
func.func @main(%x: tensor<4xf32> {approx.value = 0}, %p: memref<1xi32> {approx.parameters}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// CHECK: func.func @prepare(%{{.*}}: tensor<4xf32> {bufferization.writable = false}) -> tensor<4xf32> attributes {llvm.emit_c_interface}
func.func @prepare(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// CHECK: func.func private @approx_core_1_block(memref<?xf32>, memref<?xf32>, memref<?xf32>)
func.func private @approx_core_1_block(memref<?xf32>, memref<?xf32>, memref<?xf32>)
