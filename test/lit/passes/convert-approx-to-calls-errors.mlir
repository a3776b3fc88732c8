// RUN: asnet-opt %s --convert-approx-to-calls --split-input-file --verify-diagnostics

approx.library { approx.core 31 "mulf" @m {} latency 1 interval 1 }
func.func @vector(%a: vector<4xf32>) {
  // expected-error @below {{bound 'approx.mulf' on 'vector<4xf32>' cannot be a call, which takes f32; run 'convert-elementwise-to-linalg' first}}
  %0 = approx.mulf %a, %a {instance = 31} : vector<4xf32>
  return
}

// -----

approx.library { approx.core 31 "mulf" @m {} latency 1 interval 1 }
func.func @double(%a: f64) {
  // expected-error @below {{bound 'approx.mulf' on 'f64' cannot be a call, which takes f32}}
  %0 = approx.mulf %a, %a {instance = 31} : f64
  return
}

// -----

approx.library { approx.core 31 "mulf" @m {} latency 1 interval 1 }
// expected-error @below {{symbol 'approx_core_31' must be a function of type '(f32, f32) -> f32', got '(f32) -> f32'}}
func.func private @approx_core_31(f32) -> f32
func.func @model(%a: f32) {
  %0 = approx.mulf %a, %a {instance = 31} : f32
  return
}
