// RUN: asnet-opt %s --asnet-models-to-llvm | FileCheck %s --implicit-check-not=unrealized --implicit-check-not=scf.
// RUN: mlir-opt %s %plugins --pass-pipeline='builtin.module(asnet-models-to-llvm)' | FileCheck %s

// A model with a loop around it, as checks and characterization run it: inlined, bf16 rounded once.

func.func private @model(%a: bf16, %b: bf16) -> bf16 {
  %0 = arith.mulf %a, %b : bf16
  return %0 : bf16
}

// CHECK-NOT: @model
// CHECK-LABEL: llvm.func @model_loop
// CHECK: llvm.fmul %{{.*}}, %{{.*}} : f32
// CHECK-NOT: llvm.fptrunc
// CHECK: llvm.func @_mlir_ciface_model_loop
func.func @model_loop(%a: memref<?xbf16>, %b: memref<?xbf16>, %r: memref<?xbf16>)
    attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %n = memref.dim %a, %c0 : memref<?xbf16>
  scf.for %i = %c0 to %n step %c1 {
    %x = memref.load %a[%i] : memref<?xbf16>
    %y = memref.load %b[%i] : memref<?xbf16>
    %z = func.call @model(%x, %y) : (bf16, bf16) -> bf16
    memref.store %z, %r[%i] : memref<?xbf16>
  }
  return
}
