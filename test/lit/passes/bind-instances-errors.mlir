// RUN: split-file %s %t
// RUN: not asnet-opt %t/net.mlir --approx-bind-instances=bindings=mulf=6 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// UNKNOWN: net.mlir:1:1: error: binding 'mulf=6': instance 6 is not declared; the library declares 31 ("mulf"), 7 ("divf")
// RUN: not asnet-opt %t/net.mlir --approx-bind-instances=bindings=mulf=7 2>&1 | FileCheck %s --check-prefix=KIND
// KIND: error: binding 'mulf=7': instance 7 computes "divf", not "mulf"
// RUN: not asnet-opt %t/net.mlir --approx-bind-instances=bindings=mul=31 2>&1 | FileCheck %s --check-prefix=OP
// OP: error: binding 'mul=31': unknown op kind 'mul'; known are addf, subf, mulf, divf, maxf, minf
// RUN: not asnet-opt %t/net.mlir --approx-bind-instances=bindings=mulf@dens_1=31 2>&1 | FileCheck %s --check-prefix=NEAR
// NEAR: error: binding 'mulf@dens_1=31': layer 'dens_1' has no mulf; did you mean 'dense_1'? layers with mulf: conv, dense_1
// RUN: not asnet-opt %t/net.mlir --approx-bind-instances=bindings=mulf@pool=31 2>&1 | FileCheck %s --check-prefix=FAR
// FAR: error: binding 'mulf@pool=31': layer 'pool' has no mulf; layers with mulf: conv, dense_1
// RUN: not asnet-opt %t/net.mlir --approx-bind-instances=bindings=divf@conv=7 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: binding 'divf@conv=7': layer 'conv' has no divf; no named layer has
// RUN: not asnet-opt %t/net.mlir --approx-bind-instances=bindings=mulf 2>&1 | FileCheck %s --check-prefix=MALFORMED
// RUN: not asnet-opt %t/net.mlir --approx-bind-instances=bindings=mulf=-1 2>&1 | FileCheck %s --check-prefix=MALFORMED
// RUN: not asnet-opt %t/net.mlir --approx-bind-instances=bindings=mulf@=31 2>&1 | FileCheck %s --check-prefix=MALFORMED
// MALFORMED: error: binding 'mulf{{.*}}': is malformed; expected OP=ID or OP@LAYER=ID with ID at least 0
// RUN: not asnet-opt %t/net.mlir --approx-bind-instances=bindings=mulf=31,mulf=0 2>&1 | FileCheck %s --check-prefix=TWICE
// TWICE: error: binding 'mulf=0': contradicts 'mulf=31'; keep one of them
// RUN: not asnet-opt %t/bare.mlir --approx-bind-instances=bindings=mulf=31 2>&1 | FileCheck %s --check-prefix=LIBRARY
// LIBRARY: error: binding 'mulf=31': instance 31 is not declared: the module has no 'approx.library'
// RUN: not asnet-opt %t/bare.mlir --approx-bind-instances=bindings=mulf=0 2>&1 | FileCheck %s --check-prefix=EMPTY
// EMPTY: error: the module has no approx op to bind; run 'convert-arith-to-approx' first
// RUN: not asnet-opt %t/deep.mlir --approx-bind-instances=bindings=mulf@blck=0 2>&1 | FileCheck %s --check-prefix=SCOPE
// SCOPE: error: binding 'mulf@blck=0': layer 'blck' has no mulf; did you mean 'block'? layers with mulf: block/conv, block/l0, {{.*}}, block/l10 and 2 more
// RUN: not asnet-opt %t/deep.mlir --approx-bind-instances=bindings=mulf@conv=0 2>&1 | FileCheck %s --check-prefix=PATH
// PATH: error: binding 'mulf@conv=0': layer 'conv' has no mulf; did you mean 'block/conv'?

//--- net.mlir
module {
  approx.library {
    approx.core 31 "mulf" @m {} latency 1 interval 1
    approx.core 7 "divf" @d {} latency 1 interval 1
  }
  func.func @f(%a: f32) {
    %0 = approx.mulf %a, %a {approx.layer = "conv"} : f32
    %1 = approx.mulf %a, %a {approx.layer = "dense_1"} : f32
    %2 = approx.divf %a, %a : f32
    return
  }
}

//--- bare.mlir
module {
  func.func @f(%a: f32) { return }
}

//--- deep.mlir
module {
  func.func @f(%a: f32) {
    %0 = approx.mulf %a, %a {approx.layer = "block/conv"} : f32
    %1 = approx.mulf %a, %a {approx.layer = "block/l0"} : f32
    %2 = approx.mulf %a, %a {approx.layer = "block/l1"} : f32
    %3 = approx.mulf %a, %a {approx.layer = "block/l2"} : f32
    %4 = approx.mulf %a, %a {approx.layer = "block/l3"} : f32
    %5 = approx.mulf %a, %a {approx.layer = "block/l4"} : f32
    %6 = approx.mulf %a, %a {approx.layer = "block/l5"} : f32
    %7 = approx.mulf %a, %a {approx.layer = "block/l6"} : f32
    %8 = approx.mulf %a, %a {approx.layer = "block/l7"} : f32
    %9 = approx.mulf %a, %a {approx.layer = "block/l8"} : f32
    %10 = approx.mulf %a, %a {approx.layer = "block/l9"} : f32
    %11 = approx.mulf %a, %a {approx.layer = "block/l10"} : f32
    %12 = approx.mulf %a, %a {approx.layer = "block/l11"} : f32
    %13 = approx.mulf %a, %a {approx.layer = "block/l12"} : f32
    return
  }
}
