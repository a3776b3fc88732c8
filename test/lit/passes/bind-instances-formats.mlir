// RUN: asnet-opt %s --approx-bind-instances=bindings=mulf=1,mulf=2,addf=3,muli=4 | FileCheck %s
// RUN: not asnet-opt %s --approx-bind-instances=bindings=addf=5 2>&1 | FileCheck %s --check-prefix=OTHER
// RUN: not asnet-opt %s --approx-bind-instances=bindings=mulf@dense=2,mulf@dense=6 2>&1 | FileCheck %s --check-prefix=TWICE

// An instance binds the ops of its format.

// OTHER: error: binding 'addf=5': instance 5 computes on f16, but addf is on bf16 here
// TWICE: error: binding 'mulf@dense=6': contradicts 'mulf@dense=2'; keep one of them
approx.library {
  approx.core 1 "mulf" @fmul {} latency 1 interval 1
  approx.core 2 "mulf" @bf16_mul {} latency 1 interval 1 {format = "bf16"}
  approx.core 3 "addf" @bf16_add {} latency 1 interval 1 {format = "bf16"}
  approx.core 4 "muli" @mul8u {} latency 1 interval 1 {format = "u8"}
  approx.core 5 "addf" @f16_add {} latency 1 interval 1 {format = "f16"}
  approx.core 6 "mulf" @bf16_mul {} latency 1 interval 1 {format = "bf16"}
}

// CHECK-LABEL: func.func @formats
func.func @formats(%a: f32, %b: bf16, %i: i8) {
  // CHECK: approx.mulf %{{.*}} {approx.layer = "dense", instance = 1} : f32
  %0 = approx.mulf %a, %a {approx.layer = "dense"} : f32
  // CHECK: approx.mulf %{{.*}} {approx.layer = "dense", instance = 2} : bf16
  %1 = approx.mulf %b, %b {approx.layer = "dense"} : bf16
  // CHECK: approx.addf %{{.*}} {instance = 3} : bf16
  %2 = approx.addf %b, %b : bf16
  // CHECK: approx.muli unsigned %{{.*}} {instance = 4} : i8 -> i16
  %3 = approx.muli unsigned %i, %i : i8 -> i16
  // CHECK: approx.muli %{{[a-z0-9]+}}, %{{[a-z0-9]+}} : i8 -> i16
  %4 = approx.muli %i, %i : i8 -> i16
  return
}
