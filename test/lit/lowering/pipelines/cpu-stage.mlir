// RUN: asnet-opt %s --asnet-cpu-loops='lanes=4 registers=16' | FileCheck %s --check-prefix=LOOPS
// RUN: asnet-opt %s --asnet-cpu-stage='lanes=4 registers=16' | FileCheck %s --check-prefix=LLVM --implicit-check-not=unrealized --implicit-check-not=arith.
// RUN: asnet-opt %s --asnet-cpu-loops='lanes=4 registers=16' --asnet-to-llvm | FileCheck %s --check-prefix=LLVM
// RUN: asnet-opt %s --asnet-cpu-loops | FileCheck %s --check-prefix=SCALAR
// RUN: asnet-opt %s --asnet-reference | FileCheck %s --check-prefix=REFERENCE --implicit-check-not=unrealized --implicit-check-not=vector

// A bound stage, as the evaluator has it, with the model of its instance.

approx.library { approx.core 1 "mulf" @truncating {} latency 1 interval 1 {format = "bf16"} }

func.func private @approx_core_1(%a: bf16, %b: bf16) -> bf16 {
  %bits = arith.bitcast %a : bf16 to i16
  %mask = arith.constant -16 : i16
  %kept = arith.andi %bits, %mask : i16
  %used = arith.bitcast %kept : i16 to bf16
  %result = arith.mulf %used, %b : bf16
  return %result : bf16
}

// What depends on weights only is prepared once.
// LOOPS: func.func @prepare(%{{.*}}: memref<4x2xbf16> {approx.weight = "w"}, %{{.*}}: memref<4x2xf32> {approx.prepared = 0 : i64}) attributes {llvm.emit_c_interface}
// LOOPS:   arith.extf %{{.*}} : bf16 to f32
// LOOPS: func.func @main(%{{.*}}: memref<1x4xvector<4xbf16>> {approx.value = 0 : i64}, %{{.*}}: memref<4x2xbf16> {approx.weight = "w"}, {{.*}}) attributes {llvm.emit_c_interface}
// LOOPS:   arith.andi %{{.*}} : vector<4xi16>
// LOOPS:   arith.mulf %{{.*}}, %{{.*}} : vector<4xf32>
// LOOPS:   arith.addf %{{.*}}, %{{.*}} : vector<4xf32>
// SCALAR: func.func @main(%{{.*}}: memref<1x4xbf16>
// SCALAR-NOT: vector<
// LLVM-LABEL: llvm.func @main
// LLVM:   llvm.fmul %{{.*}}, %{{.*}} : vector<4xf32>
// LLVM: llvm.func @_mlir_ciface_main
// REFERENCE-LABEL: llvm.func @main
// REFERENCE:   llvm.and %{{.*}} : i16
// REFERENCE:   llvm.fmul %{{.*}}, %{{.*}} : f32
// REFERENCE:   llvm.fadd %{{.*}}, %{{.*}} : f32
// REFERENCE: llvm.func @_mlir_ciface_main
#x = affine_map<(i, j, k) -> (i, k)>
#w = affine_map<(i, j, k) -> (k, j)>
#y = affine_map<(i, j, k) -> (i, j)>
func.func @main(%x: tensor<1x4xbf16> {approx.value = 0}, %w: tensor<4x2xbf16> {approx.weight = "w"})
    -> (tensor<1x2xbf16> {approx.value = 1}) {
  %zero = arith.constant 0.0 : bf16
  %empty = tensor.empty() : tensor<1x2xbf16>
  %start = linalg.generic {indexing_maps = [affine_map<(i, j) -> ()>, affine_map<(i, j) -> (i, j)>],
                           iterator_types = ["parallel", "parallel"]}
      ins(%zero : bf16) outs(%empty : tensor<1x2xbf16>) {
  ^bb0(%in: bf16, %out: bf16):
    linalg.yield %in : bf16
  } -> tensor<1x2xbf16>
  %0 = linalg.generic {indexing_maps = [#x, #w, #y],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<1x4xbf16>, tensor<4x2xbf16>) outs(%start : tensor<1x2xbf16>) {
  ^bb0(%a: bf16, %b: bf16, %sum: bf16):
    %1 = approx.mulf %a, %b {instance = 1} : bf16
    %2 = approx.addf %sum, %1 : bf16
    linalg.yield %2 : bf16
  } -> tensor<1x2xbf16>
  return %0 : tensor<1x2xbf16>
}
