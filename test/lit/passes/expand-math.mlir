// RUN: asnet-opt %s --approx-expand-math --canonicalize --cse | FileCheck %s
// RUN: asnet-opt %s --approx-expand-math | FileCheck %s --check-prefix=OPS

// Only these ops: hardware has each of them as plain logic.
// OPS-NOT: {{(arith\.(fptosi|sitofp|addf|mulf|muli|divsi|maximumf)|math\.fma)}}

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

// CHECK-LABEL: func.func @left_alone(
func.func @left_alone(%x: f64, %y: f32, %z: tensor<?xf32>) -> (f64, f32, tensor<?xf32>) {
  // CHECK-NEXT: math.exp %{{.*}} : f64
  // CHECK-NEXT: math.log %{{.*}} : f32
  // CHECK-NEXT: math.exp %{{.*}} : tensor<?xf32>
  // CHECK-NEXT: return
  %0 = math.exp %x : f64
  %1 = math.log %y : f32
  %2 = math.exp %z : tensor<?xf32>
  return %0, %1, %2 : f64, f32, tensor<?xf32>
}
