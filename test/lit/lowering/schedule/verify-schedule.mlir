// RUN: asnet-opt --approx-schedule %s | asnet-opt --approx-verify-schedule | FileCheck %s
// RUN: asnet-opt --approx-schedule='memory-latency=2 fetch-latency=3 plain-latency=3 result-registers=1' %s | asnet-opt --approx-verify-schedule | FileCheck %s --check-prefix=MOST

// A schedule that follows from the code stays as it is; with registers everywhere words are read two
// cycles before they are used, and a unit's result comes a cycle later.

approx.library {
  approx.core 1 "mulf" @fmul {LATENCY = 3} latency 3 interval 1
}
// CHECK-LABEL: func.func @main
// CHECK-SAME: approx.timing = {fetch = 2 : i64, issue_to_use = 2 : i64, memory = 1 : i64, plain = 1 : i64}
// MOST-LABEL: func.func @main
// MOST-SAME: approx.timing = {fetch = 3 : i64, issue_to_use = 2 : i64, memory = 2 : i64, plain = 3 : i64}
// MOST-SAME: pad = 1 : i64
func.func @main(%x: memref<70xf32> {approx.role = "input"},
                %w: memref<70xf32> {approx.weight = "scale"},
                %y: memref<70xf32> {bufferize.result}) {
  affine.for %k = 0 to 70 {
    // CHECK: affine.load {{.*}} approx.start = 0 : i64
    // CHECK: approx.mulf {{.*}}approx.latency = 3 : i64, approx.start = 1 : i64
    // CHECK: affine.store {{.*}} approx.start = 6 : i64
    // MOST: affine.load {{.*}} approx.start = 0 : i64
    // MOST: approx.mulf {{.*}}approx.latency = 4 : i64, approx.start = 2 : i64
    // MOST: affine.store {{.*}} approx.start = 8 : i64
    %a = affine.load %x[%k] : memref<70xf32>
    %b = affine.load %w[%k] : memref<70xf32>
    %p = approx.mulf %a, %b {instance = 1} : f32
    affine.store %p, %y[%k] : memref<70xf32>
  }
  return
}
