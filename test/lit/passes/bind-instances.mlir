// RUN: asnet-opt %s --approx-bind-instances=bindings=mulf=31,divf@dense=7,mulf@encoder/a=32,mulf@encoder=33,addf=0,mulf@fc%%201=32,mulf@100%%25=33 | FileCheck %s
// RUN: asnet-opt %s --pass-pipeline='builtin.module(approx-bind-instances{bindings=addf=0,mulf@100%%25=33,mulf@fc%%201=32,mulf@encoder=33,mulf@encoder/a=32,divf@dense=7,mulf=31})' | FileCheck %s
// RUN: asnet-opt %s --approx-bind-instances | FileCheck %s --check-prefix=NOTHING

approx.library {
  approx.core 7 "divf" @d {} latency 1 interval 1
  approx.core 9 "addf" @a {} latency 1 interval 1
  approx.core 31 "mulf" @m {P = 1} latency 1 interval 1
  approx.core 32 "mulf" @m {P = 2} latency 1 interval 1
  approx.core 33 "mulf" @m {P = 3} latency 1 interval 1
}

// NOTHING-LABEL: func.func @kinds
// NOTHING: approx.mulf %{{.*}}, %{{.*}} : f32
// NOTHING: approx.addf %{{.*}}, %{{.*}} {instance = 9} : f32

// CHECK-LABEL: func.func @kinds
func.func @kinds(%a: f32) {
  // CHECK: approx.mulf %{{.*}}, %{{.*}} {instance = 31} : f32
  %0 = approx.mulf %a, %a : f32
  // 0 makes exact.
  // CHECK: approx.addf %{{.*}}, %{{.*}} : f32
  %1 = approx.addf %a, %a {instance = 9} : f32
  // Not in the layer.
  // CHECK: approx.divf %{{.*}}, %{{.*}} : f32
  %2 = approx.divf %a, %a : f32
  // CHECK: approx.subf %{{.*}}, %{{.*}} : f32
  %3 = approx.subf %a, %a : f32
  return
}

// CHECK-LABEL: func.func @layers
func.func @layers(%a: f32) {
  // CHECK: approx.divf {{.*}} {approx.layer = "dense", instance = 7}
  %0 = approx.divf %a, %a {approx.layer = "dense"} : f32
  // CHECK: approx.divf {{.*}} {approx.layer = "dense_1"}
  %1 = approx.divf %a, %a {approx.layer = "dense_1"} : f32
  // The most specific binding wins.
  // CHECK: approx.mulf {{.*}} {approx.layer = "encoder/a", instance = 32}
  %2 = approx.mulf %a, %a {approx.layer = "encoder/a"} : f32
  // CHECK: approx.mulf {{.*}} {approx.layer = "encoder/a/inner", instance = 32}
  %3 = approx.mulf %a, %a {approx.layer = "encoder/a/inner"} : f32
  // CHECK: approx.mulf {{.*}} {approx.layer = "encoder/b", instance = 33}
  %4 = approx.mulf %a, %a {approx.layer = "encoder/b"} : f32
  // CHECK: approx.mulf {{.*}} {approx.layer = "encoder2", instance = 31}
  %5 = approx.mulf %a, %a {approx.layer = "encoder2"} : f32
  // Any byte of a name may be written by its code, a percent sign must be.
  // CHECK: approx.mulf {{.*}} {approx.layer = "fc 1", instance = 32}
  %6 = approx.mulf %a, %a {approx.layer = "fc 1"} : f32
  // CHECK: approx.mulf {{.*}} {approx.layer = "100%", instance = 33}
  %7 = approx.mulf %a, %a {approx.layer = "100%"} : f32
  // CHECK: approx.mulf {{.*}} {approx.layer = "fc_1", instance = 31}
  %8 = approx.mulf %a, %a {approx.layer = "fc_1"} : f32
  return
}

// The layer of the op around it, unless the op has its own.

#id = affine_map<(i) -> (i)>
// CHECK-LABEL: func.func @ancestor
func.func @ancestor(%t: tensor<4xf32>) -> tensor<4xf32> {
  %0 = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel"]}
      outs(%t : tensor<4xf32>) attrs = {approx.layer = "dense"} {
  ^bb0(%x: f32):
    // CHECK: approx.divf %{{.*}}, %{{.*}} {instance = 7} : f32
    %y = approx.divf %x, %x : f32
    // CHECK: approx.divf %{{.*}}, %{{.*}} {approx.layer = "other"} : f32
    %z = approx.divf %y, %x {approx.layer = "other"} : f32
    linalg.yield %z : f32
  } -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// Channels are inside of more channels of the same layer.
// RUN: asnet-opt %s "--approx-bind-instances=bindings=mulf@c/%5B0:8%5D=32,mulf@c=33" | FileCheck %s --check-prefix=CHANNELS

// CHANNELS-LABEL: func.func @channels
func.func @channels(%a: f32) {
  // CHANNELS: approx.mulf {{.*}} {approx.layer = "c/[0:4]", instance = 32}
  %0 = approx.mulf %a, %a {approx.layer = "c/[0:4]"} : f32
  // CHANNELS: approx.mulf {{.*}} {approx.layer = "c/[4:12]", instance = 33}
  %1 = approx.mulf %a, %a {approx.layer = "c/[4:12]"} : f32
  // CHANNELS: approx.mulf {{.*}} {approx.layer = "c", instance = 33}
  %2 = approx.mulf %a, %a {approx.layer = "c"} : f32
  return
}
