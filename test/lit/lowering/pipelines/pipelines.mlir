// RUN: asnet-opt %s --asnet-to-approx | FileCheck %s --check-prefix=APPROX
// RUN: asnet-opt %s --asnet-to-approx --approx-bind-instances=bindings=mulf=31 --approx-split-stages | FileCheck %s --check-prefix=SPLIT
// RUN: asnet-opt %s --asnet-fold-weights | FileCheck %s --check-prefix=FOLD
// RUN: mlir-opt %s %plugins --pass-pipeline='builtin.module(asnet-to-approx)' | FileCheck %s --check-prefix=APPROX
// RUN: asnet-opt --help | FileCheck %s --check-prefix=HELP

// The names under which asnet-opt, the plugin and Python know the ways through the passes.

// HELP: Pass Pipelines:
// HELP: --asnet-cpu-loops
// HELP: --asnet-cpu-stage{{.*}}to the LLVM dialect
// HELP: --lanes=<long>{{.*}}samples at once
// HELP: --registers=<long>
// HELP: --asnet-fold-weights
// HELP: --asnet-loops-to-llvm
// HELP: --asnet-models-to-llvm
// HELP: --asnet-reference
// HELP: --asnet-schedule
// HELP: --memory-latency=<long>
// HELP: --asnet-split-stream
// HELP: --asnet-to-approx
// HELP: --asnet-to-llvm

approx.library { approx.core 31 "mulf" @truncating {} latency 1 interval 1 }

// APPROX-LABEL: func.func @main
// APPROX:   approx.mulf %{{.*}}, %{{.*}} : f32
// APPROX:   approx.addf %{{.*}}, %{{.*}} : f32
// SPLIT-LABEL: func.func @stage_0
// SPLIT:   approx.mulf %{{.*}}, %{{.*}} {instance = 31} : f32
// FOLD-LABEL: func.func @main
// FOLD:   arith.mulf
func.func @main(%x: tensor<1x4xf32> {approx.role = "input"},
                %w: tensor<4x2xf32> {approx.weight = "w"}) -> tensor<1x2xf32> {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<1x2xf32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x2xf32>) -> tensor<1x2xf32>
  %0 = linalg.matmul ins(%x, %w : tensor<1x4xf32>, tensor<4x2xf32>)
      outs(%start : tensor<1x2xf32>) -> tensor<1x2xf32>
  return %0 : tensor<1x2xf32>
}
