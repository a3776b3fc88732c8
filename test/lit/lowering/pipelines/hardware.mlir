// RUN: asnet-opt %s --asnet-schedule=memory-latency=2 | FileCheck %s --check-prefix=SCHEDULE
// RUN: asnet-opt %s --asnet-schedule --asnet-loops-to-llvm | FileCheck %s --check-prefix=LLVM --implicit-check-not=unrealized
// RUN: asnet-opt %s --asnet-split-stream=lanes=2 --approx-schedule-engines=lanes=2 | FileCheck %s --check-prefix=STREAM

approx.library { approx.core 1 "addf" @fadd {} latency 3 interval 1 }

// SCHEDULE: func.func @main
// SCHEDULE-SAME: approx.timing = {{.*}}memory = 2 : i64
// SCHEDULE: affine.for
// SCHEDULE: approx.addf {{.*}} {approx.latency = 3{{.*}}approx.start = {{[0-9]+}}
// LLVM-LABEL: llvm.func @main
// LLVM: llvm.call @approx_core_1(
// STREAM-LABEL: func.func @stage_0
// STREAM-SAME: approx.engine = {
func.func @main(%x: tensor<4xf32> {approx.role = "input"}, %w: tensor<4xf32> {approx.weight = "w"})
    -> tensor<4xf32> {
  %empty = tensor.empty() : tensor<4xf32>
  %0 = linalg.generic {approx.layer = "sum", iterator_types = ["parallel"],
                       indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>]}
      ins(%x, %w : tensor<4xf32>, tensor<4xf32>) outs(%empty : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %out: f32):
    %1 = approx.addf %a, %b {instance = 1} : f32
    linalg.yield %1 : f32
  } -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
