// RUN: asnet-opt %s --convert-elementwise-to-linalg --split-input-file | FileCheck %s --check-prefix=LINALG
// RUN: asnet-opt %s --inline --split-input-file | FileCheck %s --check-prefix=INLINE

// Upstream's passes know the ops by their traits and interfaces.

// LINALG-LABEL: func.func @elementwise
// LINALG: linalg.generic
// LINALG:   %[[R:.*]] = approx.mulf %{{.*}}, %{{.*}} {instance = 3} : f32
// LINALG:   linalg.yield %[[R]]
approx.library { approx.core 3 "mulf" @m {} latency 1 interval 1 }
func.func @elementwise(%a: tensor<4xf32>) -> tensor<4xf32> {
  %0 = approx.mulf %a, %a {instance = 3} : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

func.func private @square(%a: f32) -> f32 {
  %0 = approx.mulf %a, %a : f32
  return %0 : f32
}

// INLINE-LABEL: func.func @caller
// INLINE-NEXT: approx.mulf
// INLINE-NEXT: return
func.func @caller(%a: f32) -> f32 {
  %0 = call @square(%a) : (f32) -> f32
  return %0 : f32
}
