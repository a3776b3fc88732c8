// RUN: asnet-opt %s --convert-approx-to-calls --split-input-file --verify-diagnostics

approx.library { approx.core 31 "mulf" @m {} latency 1 interval 1 }
func.func @vector(%a: vector<4xf32>) {
  // expected-error @below {{bound 'approx.mulf' on 'vector<4xf32>' cannot be a call, which takes scalars; run 'convert-elementwise-to-linalg' first}}
  %0 = approx.mulf %a, %a {instance = 31} : vector<4xf32>
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

// -----

// A model is of one format.
approx.library { approx.core 31 "mulf" @m {} latency 1 interval 1 {format = "bf16"} }
// expected-error @below {{symbol 'approx_core_31' must be a function of type '(bf16, bf16) -> bf16', got '(f32, f32) -> f32'}}
func.func private @approx_core_31(f32, f32) -> f32
func.func @narrow(%a: bf16) {
  %0 = approx.mulf %a, %a {instance = 31} : bf16
  return
}
