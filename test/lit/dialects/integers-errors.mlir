// RUN: asnet-opt %s --split-input-file --verify-diagnostics

func.func @floats(%a: f32) {
  // expected-error @below {{operand #0 must be a signless integer of 2 to 32 bits, or a vector or tensor of these, but got 'f32'}}
  %0 = approx.muli %a, %a : f32
  return
}

// -----

func.func @narrow(%a: i1) {
  // expected-error @below {{operand #0 must be a signless integer of 2 to 32 bits, or a vector or tensor of these, but got 'i1'}}
  %0 = approx.addi %a, %a : i1
  return
}

// -----

func.func @wide(%a: i32) {
  // expected-error @below {{result #0 must be a signless integer of 2 to 32 bits, or a vector or tensor of these, but got 'i64'}}
  %0 = approx.muli %a, %a : i32 -> i64
  return
}

// -----

func.func @signed_type(%a: si8) {
  // expected-error @below {{operand #0 must be a signless integer of 2 to 32 bits, or a vector or tensor of these, but got 'si8'}}
  %0 = approx.muli %a, %a : si8
  return
}

// -----

func.func @narrower(%a: i16) {
  // expected-error @below {{result must be at least as wide as the operands, got u8 of u16}}
  %0 = approx.muli unsigned %a, %a : i16 -> i8
  return
}

// -----

func.func @shape(%a: vector<4xi8>) {
  // expected-error @below {{all non-scalar operands/results must have the same shape and base type}}
  %0 = approx.muli %a, %a : vector<4xi8> -> vector<2xi16>
  return
}

// -----

func.func @sign(%a: i8) {
  // expected-error @below {{'is_unsigned' is written as 'unsigned' before the operands}}
  %0 = approx.muli %a, %a {is_unsigned} : i8
  return
}

// -----

approx.library {
  // expected-note @below {{instance is declared here}}
  approx.core 7 "mulf" @m {} latency 1 interval 1
}
func.func @kind(%a: i8) {
  // expected-error @below {{instance 7 computes "mulf", but this op is "muli"}}
  %0 = approx.muli %a, %a {instance = 7} : i8 -> i16
  return
}
