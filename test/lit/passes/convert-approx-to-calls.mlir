// RUN: asnet-opt %s --convert-approx-to-calls | FileCheck %s
// RUN: asnet-opt %s --convert-approx-to-calls=keep-library | FileCheck %s --check-prefix=KEEP
// RUN: asnet-opt %s --convert-approx-to-calls --inline | FileCheck %s --check-prefix=INLINE

// KEEP: approx.library
// CHECK-NOT: approx.library
approx.library {
  approx.core 7 "addf" @fadd {} latency 1 interval 1
  approx.core 31 "mulf" @fmul_trunc {P = 20} latency 1 interval 1
  approx.core 8 "mulf" @bf16_mul {} latency 1 interval 1 {format = "bf16"}
  approx.core 9 "mulf" @bf16_bits {} latency 1 interval 1 {format = "bf16"}
}

// A model that the module has is called; a missing one is declared once.
// CHECK-DAG: func.func private @approx_core_7(f32, f32) -> f32
// CHECK-DAG: func.func private @approx_core_31(%{{.*}}: f32, %{{.*}}: f32) -> f32
func.func private @approx_core_31(%a: f32, %b: f32) -> f32 {
  %mask = arith.constant 0xFFF00000 : i32
  %0 = arith.bitcast %a : f32 to i32
  %1 = arith.andi %0, %mask : i32
  %2 = arith.bitcast %1 : i32 to f32
  %3 = arith.mulf %2, %b : f32
  return %3 : f32
}

// CHECK-LABEL: func.func @bound(
// CHECK-SAME:  %[[A:.*]]: f32, %[[B:.*]]: f32
// INLINE-LABEL: func.func @bound(
func.func @bound(%a: f32, %b: f32) -> f32 {
  // CHECK-NEXT: %[[M:.*]] = call @approx_core_31(%[[A]], %[[B]]) {approx.layer = "dense"} : (f32, f32) -> f32
  // CHECK-NEXT: %[[S:.*]] = call @approx_core_7(%[[M]], %[[B]]) : (f32, f32) -> f32
  // CHECK-NEXT: %[[T:.*]] = call @approx_core_7(%[[S]], %[[B]]) : (f32, f32) -> f32
  // CHECK-NEXT: return %[[T]]
  // INLINE-NOT: call @approx_core_31
  // INLINE: arith.andi
  // INLINE: arith.mulf
  // INLINE: call @approx_core_7
  %0 = approx.mulf %a, %b {instance = 31, approx.layer = "dense"} : f32
  %1 = approx.addf %0, %b {instance = 7} : f32
  %2 = approx.addf %1, %b {instance = 7} : f32
  return %2 : f32
}

// CHECK-LABEL: func.func @exact(
// CHECK-SAME:  %[[A:.*]]: f32, %[[B:.*]]: f32, %[[V:.*]]: vector<4xf32>
func.func @exact(%a: f32, %b: f32, %v: vector<4xf32>) {
  // CHECK-NEXT: arith.addf %[[A]], %[[B]] : f32
  %0 = approx.addf %a, %b : f32
  // CHECK-NEXT: arith.subf %[[A]], %[[B]] : f32
  %1 = approx.subf %a, %b : f32
  // CHECK-NEXT: arith.mulf %[[A]], %[[B]] : f32
  %2 = approx.mulf %a, %b : f32
  // CHECK-NEXT: arith.divf %[[A]], %[[B]] : f32
  %3 = approx.divf %a, %b : f32
  // CHECK-NEXT: arith.maximumf %[[A]], %[[B]] : f32
  %4 = approx.maxf %a, %b : f32
  // CHECK-NEXT: arith.minimumf %[[A]], %[[B]] : f32
  %5 = approx.minf %a, %b : f32
  // CHECK-NEXT: arith.mulf %[[V]], %[[V]] : vector<4xf32>
  %6 = approx.mulf %v, %v : vector<4xf32>
  return
}

// Models are inlined into the bodies of linalg ops too.

#id = affine_map<(i) -> (i)>
// INLINE-LABEL: func.func @in_linalg
// INLINE: linalg.generic
// INLINE-NOT: call
// INLINE: arith.andi
// INLINE: linalg.yield
func.func @in_linalg(%t: tensor<4xf32>) -> tensor<4xf32> {
  %0 = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel"]}
      outs(%t : tensor<4xf32>) {
  ^bb0(%x: f32):
    %y = approx.mulf %x, %x {instance = 31} : f32
    linalg.yield %y : f32
  } -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// CHECK-LABEL: func.func @nothing_to_do
// CHECK-NEXT: arith.mulf
// CHECK-NEXT: return
func.func @nothing_to_do(%a: f32) -> f32 {
  %0 = arith.mulf %a, %a : f32
  return %0 : f32
}

// Integers are extended to the result's width first; a division has no undefined result.

// CHECK-LABEL: func.func @integers(
// CHECK-SAME:  %[[A:.*]]: i8, %[[B:.*]]: i8
func.func @integers(%a: i8, %b: i8) -> (i16, i16, i8, i8, i8) {
  // CHECK: %[[SA:.*]] = arith.extsi %[[A]] : i8 to i16
  // CHECK: %[[SB:.*]] = arith.extsi %[[B]] : i8 to i16
  // CHECK: arith.muli %[[SA]], %[[SB]] : i16
  %0 = approx.muli %a, %b : i8 -> i16
  // CHECK: %[[UA:.*]] = arith.extui %[[A]] : i8 to i16
  // CHECK: %[[UB:.*]] = arith.extui %[[B]] : i8 to i16
  // CHECK: arith.muli %[[UA]], %[[UB]] : i16
  %1 = approx.muli unsigned %a, %b : i8 -> i16
  // CHECK: arith.maxui %[[A]], %[[B]] : i8
  %2 = approx.maxi unsigned %a, %b : i8
  // CHECK: arith.minsi %[[A]], %[[B]] : i8
  %3 = approx.mini %a, %b : i8
  // CHECK: %[[ZERO:.*]] = arith.cmpi eq, %[[B]], %{{.*}} : i8
  // CHECK: %[[DIVISOR:.*]] = arith.select %[[ZERO]]
  // CHECK: %[[Q:.*]] = arith.divui %[[A]], %[[DIVISOR]] : i8
  // CHECK: arith.select %[[ZERO]], %{{.*}}, %[[Q]] : i8
  %4 = approx.divi unsigned %a, %b : i8
  return %0, %1, %2, %3, %4 : i16, i16, i8, i8, i8
}

// CHECK-LABEL: func.func @narrow(
func.func @narrow(%a: bf16) -> bf16 {
  // CHECK: call @approx_core_8(%{{.*}}, %{{.*}}) : (bf16, bf16) -> bf16
  %0 = approx.mulf %a, %a {instance = 8} : bf16
  // CHECK: arith.addf %{{.*}}, %{{.*}} : bf16
  %1 = approx.addf %0, %a : bf16
  return %1 : bf16
}

// A model may take the bits of floats, a NaN as the canonical one.

func.func private @approx_core_9(%a: i16, %b: i16) -> i16 {
  %0 = arith.andi %a, %b : i16
  return %0 : i16
}

// CHECK-LABEL: func.func @bits(
// CHECK-SAME:  %[[A:.*]]: bf16
func.func @bits(%a: bf16) -> bf16 {
  // CHECK-DAG: %[[NAN:.*]] = arith.cmpf uno, %[[A]], %[[A]] : bf16
  // CHECK-DAG: %[[CANONICAL:.*]] = arith.constant 32704 : i16
  // CHECK-DAG: %[[BITS:.*]] = arith.bitcast %[[A]] : bf16 to i16
  // CHECK: %[[SEEN:.*]] = arith.select %[[NAN]], %[[CANONICAL]], %[[BITS]] : i16
  // CHECK: %[[R:.*]] = call @approx_core_9(%[[SEEN]], %{{.*}}) : (i16, i16) -> i16
  // CHECK: arith.bitcast %[[R]] : i16 to bf16
  %0 = approx.mulf %a, %a {instance = 9} : bf16
  return %0 : bf16
}
