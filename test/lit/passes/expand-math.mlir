// RUN: asnet-opt %s --approx-expand-math --canonicalize --cse | FileCheck %s
// RUN: asnet-opt %s --approx-expand-math | FileCheck %s --check-prefix=OPS

// Only these ops: hardware has each of them as plain logic.
// OPS-NOT: {{(arith\.(fptosi|fptoui|addf|mulf|muli|divsi|maximumf)|math\.fma)}}

// CHECK-LABEL: func.func @exp(
// CHECK-SAME:  %[[X:.*]]: f32
func.func @exp(%x: f32) -> f32 {
  // CHECK-DAG: %[[NAN:.*]] = arith.constant 0x7FC00000 : f32
  // CHECK-DAG: %[[NAN_BITS:.*]] = arith.constant 2143289344 : i32
  // CHECK-DAG: %[[LOG2E:.*]] = arith.constant 1.44269502 : f32
  // CHECK-DAG: %[[LN2_HI:.*]] = arith.constant -0.693359375 : f32
  // CHECK-DAG: %[[ONE:.*]] = arith.constant 1.000000e+00 : f32

  // Clamp, multiply, canonicalise the product's bits.
  // CHECK:      %[[CLAMPED:.*]] = arith.select %{{.*}} : f32
  // CHECK:      %[[CLAMPED2:.*]] = arith.select %{{.*}}, %[[CLAMPED]] : f32
  // CHECK:      %[[T:.*]] = approx.mulf %[[CLAMPED2]], %[[LOG2E]] : f32
  // CHECK-NEXT: %[[UNO:.*]] = arith.cmpf uno, %[[T]], %[[T]] : f32
  // CHECK-NEXT: %[[RAW:.*]] = arith.bitcast %[[T]] : f32 to i32
  // CHECK-NEXT: arith.select %[[UNO]], %[[NAN_BITS]], %[[RAW]] : i32

  // Range reduction.
  // CHECK:      %[[N:.*]] = arith.bitcast %{{.*}} : i32 to f32
  // CHECK:      %[[HI:.*]] = approx.mulf %[[N]], %[[LN2_HI]] : f32
  // CHECK-NEXT: approx.addf %[[CLAMPED2]], %[[HI]] : f32

  // The polynomial ends with ... + 1, then the exponent.
  // CHECK:      %[[Y:.*]] = approx.addf %{{.*}}, %[[ONE]] : f32
  // CHECK-NOT:  approx.
  // CHECK:      %[[RESULT:.*]] = arith.bitcast %{{.*}} : i32 to f32
  // CHECK:      %[[IS_NAN:.*]] = arith.cmpf uno, %[[X]], %[[X]] : f32
  // CHECK-NEXT: %[[EXP:.*]] = arith.select %[[IS_NAN]], %[[NAN]], %[[RESULT]] : f32
  // CHECK-NEXT: return %[[EXP]]
  %0 = math.exp %x : f32
  return %0 : f32
}

// CHECK-LABEL: func.func @exp_vector(
func.func @exp_vector(%x: vector<8xf32>) -> vector<8xf32> {
  // CHECK: approx.mulf %{{.*}}, %{{.*}} : vector<8xf32>
  // CHECK-NOT: math.exp
  // CHECK: return
  %0 = math.exp %x : vector<8xf32>
  return %0 : vector<8xf32>
}

// CHECK-LABEL: func.func @exp_tensor(
func.func @exp_tensor(%x: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: approx.mulf %{{.*}}, %{{.*}} : tensor<8xf32>
  // CHECK-NOT: math.exp
  // CHECK: return
  %0 = math.exp %x : tensor<8xf32>
  return %0 : tensor<8xf32>
}

// CHECK-LABEL: func.func @expm1(
func.func @expm1(%x: f32) -> f32 {
  // CHECK: %[[MINUS_ONE:.*]] = arith.constant -1.000000e+00 : f32
  // 2^n - 1, added to 2^n q.
  // CHECK: %[[POWER:.*]] = approx.addf %{{.*}}, %[[MINUS_ONE]] : f32
  // CHECK: approx.addf %{{.*}}, %[[POWER]] : f32
  %0 = math.expm1 %x : f32
  return %0 : f32
}

// CHECK-LABEL: func.func @log(
// CHECK-SAME:  %[[X:.*]]: f32
func.func @log(%x: f32) -> f32 {
  // CHECK-DAG: %[[LN2_HI:.*]] = arith.constant 0.693359375 : f32
  // CHECK-DAG: %[[MINUS_INF:.*]] = arith.constant 0xFF800000 : f32
  // CHECK-DAG: %[[NAN:.*]] = arith.constant 0x7FC00000 : f32
  // CHECK:     %[[E:.*]] = approx.mulf %{{.*}}, %[[LN2_HI]] : f32
  // CHECK:     approx.addf %{{.*}}, %[[E]] : f32
  // CHECK-NOT: approx.
  // CHECK:     arith.select %{{.*}}, %[[MINUS_INF]]
  // CHECK:     %[[POSITIVE:.*]] = arith.cmpf oge, %[[X]]
  // CHECK-NEXT: arith.select %[[POSITIVE]], %{{.*}}, %[[NAN]] : f32
  %0 = math.log %x : f32
  return %0 : f32
}

// CHECK-LABEL: func.func @log1p(
// CHECK-SAME:  %[[X:.*]]: f32
func.func @log1p(%x: f32) -> f32 {
  // CHECK:      %[[U:.*]] = approx.addf %[[X]], %{{.*}} : f32
  // CHECK:      %[[D:.*]] = approx.addf %[[U]], %{{.*}} : f32
  // CHECK-NEXT: %[[Q:.*]] = approx.divf %[[X]], %[[D]] : f32
  // CHECK:      approx.mulf %{{.*}}, %[[Q]] : f32
  %0 = math.log1p %x : f32
  return %0 : f32
}

// Roots need neither a division nor a subtraction.
// CHECK-LABEL: func.func @roots(
func.func @roots(%x: f32) -> (f32, f32) {
  // CHECK-NOT: approx.{{(divf|subf)}}
  // CHECK: return
  %0 = math.sqrt %x : f32
  %1 = math.rsqrt %x : f32
  return %0, %1 : f32, f32
}

// CHECK-LABEL: func.func @tanh(
func.func @tanh(%x: f32) -> f32 {
  // CHECK: %[[D:.*]] = approx.divf %{{.*}}, %{{.*}} : f32
  // CHECK: approx.addf %[[D]], %{{.*}} : f32
  %0 = math.tanh %x : f32
  return %0 : f32
}

// CHECK-LABEL: func.func @powers(
// CHECK-SAME:  %[[X:.*]]: f32
func.func @powers(%x: f32) -> (f32, f32, f32) {
  %three = arith.constant 3.0 : f32
  %minus_two = arith.constant -2.0 : f32
  %zero = arith.constant 0.0 : f32
  // CHECK-DAG:  %[[ONE:.*]] = arith.constant 1.000000e+00 : f32
  // CHECK:      %[[SQUARE:.*]] = approx.mulf %[[X]], %[[X]] : f32
  // CHECK-NEXT: %[[CUBE:.*]] = approx.mulf %[[X]], %[[SQUARE]] : f32
  // CHECK-NEXT: %[[INVERSE:.*]] = approx.divf %[[ONE]], %[[SQUARE]] : f32
  // CHECK-NEXT: return %[[CUBE]], %[[INVERSE]], %[[ONE]]
  %0 = math.powf %x, %three : f32
  %1 = math.powf %x, %minus_two : f32
  %2 = math.powf %x, %zero : f32
  return %0, %1, %2 : f32, f32, f32
}

// CHECK-LABEL: func.func @plain_logic(
func.func @plain_logic(%x: f32, %y: f32) -> (f32, f32, f32, f32, f32, f32, f32) {
  // CHECK-NOT: {{(approx|math)\.}}
  // CHECK: return
  %0 = math.absf %x : f32
  %1 = math.copysign %x, %y : f32
  %2 = math.floor %x : f32
  %3 = math.ceil %x : f32
  %4 = math.trunc %x : f32
  %5 = math.round %x : f32
  %6 = math.roundeven %x : f32
  return %0, %1, %2, %3, %4, %5, %6 : f32, f32, f32, f32, f32, f32, f32
}

// CHECK-LABEL: func.func @conversions(
func.func @conversions(%x: f32, %i: i32, %b: i1, %c: i24) -> (i32, i8, f32, f32, f32) {
  // CHECK-NOT: arith.{{fpto|uitofp}}
  // CHECK:     arith.trunci %{{.*}} : i32 to i8
  // CHECK:     arith.select %{{.*}}, %{{.*}}, %{{.*}} : f32
  // Exact, every target converts alike.
  // CHECK:     arith.sitofp %{{.*}} : i24 to f32
  %0 = arith.fptosi %x : f32 to i32
  %1 = arith.fptoui %x : f32 to i8
  %2 = arith.sitofp %i : i32 to f32
  %3 = arith.uitofp %b : i1 to f32
  %4 = arith.sitofp %c : i24 to f32
  return %0, %1, %2, %3, %4 : i32, i8, f32, f32, f32
}

// CHECK-LABEL: func.func @other_powers(
func.func @other_powers(%x: f32, %y: f32) -> (f32, f32, f32) {
  %third = arith.constant 0.333 : f32
  %large = arith.constant 65.0 : f32
  // CHECK-COUNT-3: math.powf
  %0 = math.powf %x, %y : f32
  %1 = math.powf %x, %third : f32
  %2 = math.powf %x, %large : f32
  return %0, %1, %2 : f32, f32, f32
}

// CHECK-LABEL: func.func @left_alone(
func.func @left_alone(%x: f64, %y: f32, %z: tensor<?xf32>) -> (f64, f32, tensor<?xf32>) {
  // CHECK-NEXT: math.exp %{{.*}} : f64
  // CHECK-NEXT: math.sin %{{.*}} : f32
  // CHECK-NEXT: math.exp %{{.*}} : tensor<?xf32>
  // CHECK-NEXT: return
  %0 = math.exp %x : f64
  %1 = math.sin %y : f32
  %2 = math.exp %z : tensor<?xf32>
  return %0, %1, %2 : f64, f32, tensor<?xf32>
}
