// RUN: asnet-opt %s --split-input-file --verify-diagnostics

func.func @no_library(%a: f32) {
  // expected-error @below {{instance 31 is not declared: the module has no 'approx.library'; add one with 'approx.core 31 "mulf" ...'}}
  %0 = approx.mulf %a, %a {instance = 31} : f32
  return
}

// -----

// expected-note @below {{library is here}}
approx.library {
  approx.core 5 "mulf" @m {} latency 1 interval 1
  approx.core 7 "divf" @d {} latency 1 interval 1
}
func.func @unknown(%a: f32) {
  // expected-error @below {{instance 6 is not declared; the library declares 5 ("mulf"), 7 ("divf")}}
  %0 = approx.mulf %a, %a {instance = 6} : f32
  return
}

// -----

approx.library {
  // expected-note @below {{instance is declared here}}
  approx.core 7 "divf" @d {} latency 1 interval 1
}
func.func @kind(%a: f32) {
  // expected-error @below {{instance 7 computes "divf", but this op is "mulf"}}
  %0 = approx.mulf %a, %a {instance = 7} : f32
  return
}

// -----

func.func @zero(%a: f32) {
  // expected-error @below {{'instance' must be at least 1, got 0; leave it out for exact arithmetic}}
  %0 = approx.mulf %a, %a {instance = 0} : f32
  return
}

// -----

func.func @not_integer(%a: f32) {
  // expected-error @below {{'instance' must be a 32-bit integer, got "fmul"}}
  %0 = approx.mulf %a, %a {instance = "fmul"} : f32
  return
}

// -----

func.func @too_large(%a: f32) {
  // expected-error @below {{'instance' must be a 32-bit integer, got 2147483648}}
  %0 = approx.mulf %a, %a {instance = 2147483648} : f32
  return
}

// -----

func.func @integers(%a: i32) {
  // expected-error @below {{operand #0 must be f32, bf16 or f16, or a vector or tensor of these, but got 'i32'}}
  %0 = approx.mulf %a, %a : i32
  return
}

// -----

// expected-note @below {{first library is here}}
approx.library @one {}
// expected-error @below {{is the module's second library; merge them into one}}
approx.library @two {}

// -----

approx.library {
  // expected-note @below {{first declaration is here}}
  approx.core 1 "mulf" @m {} latency 1 interval 1
  // expected-error @below {{declares instance 1 a second time}}
  approx.core 1 "addf" @a {} latency 1 interval 1
}

// -----

approx.library {
  // expected-error @below {{'id' must be at least 1, got -1}}
  approx.core -1 "mulf" @m {} latency 1 interval 1
}

// -----

approx.library {
  // expected-error @below {{'op' must be one of addf, subf, mulf, divf, maxf, minf, addi, subi, muli, divi, maxi, mini, got "mul"}}
  approx.core 1 "mul" @m {} latency 1 interval 1
}

// -----

approx.library {
  // expected-error @below {{'format' must be f32, bf16 or f16, got "i8"}}
  approx.core 1 "mulf" @m {} latency 1 interval 1 {format = "i8"}
}

// -----

approx.library {
  // expected-error @below {{'format' must be iN or uN with N from 2 to 32, got "i33"}}
  approx.core 1 "muli" @m {} latency 1 interval 1 {format = "i33"}
}

// -----

approx.library {
  // expected-note @below {{instance is declared here}}
  approx.core 7 "mulf" @m {} latency 1 interval 1
}
func.func @format(%a: bf16) {
  // expected-error @below {{instance 7 computes on f32, but this op is on bf16}}
  %0 = approx.mulf %a, %a {instance = 7} : bf16
  return
}

// -----

approx.library {
  // expected-note @below {{instance is declared here}}
  approx.core 7 "muli" @m {} latency 1 interval 1 {format = "u8"}
}
func.func @sign(%a: i8) {
  // expected-error @below {{instance 7 computes on u8, but this op is on i8}}
  %0 = approx.muli %a, %a {instance = 7} : i8 -> i16
  return
}

// -----

approx.library {
  // expected-error @below {{parameter 'P' must be a 64-bit integer, got "x"}}
  approx.core 1 "mulf" @m {P = "x"} latency 1 interval 1
}

// -----

approx.library {
  // expected-error @below {{'latency' must be at least 0 cycles, got -1}}
  approx.core 1 "mulf" @m {} latency -1 interval 1
}

// -----

approx.library {
  // expected-error @below {{'interval' must be at least 1 cycle, got 0}}
  approx.core 1 "mulf" @m {} latency 1 interval 0
}

// -----

approx.library {
  // expected-error @below {{is not allowed in an 'approx.library', which holds 'approx.core' only}}
  %0 = arith.constant 1 : i32
}

// -----

func.func @nested() {
  // expected-error @below {{expects parent op 'builtin.module'}}
  approx.library {}
  return
}
