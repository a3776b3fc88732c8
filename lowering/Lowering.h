// SPDX-License-Identifier: Apache-2.0
// The passes that leave the dialect (see Lowering.td).

#ifndef LOWERING_LOWERING_H
#define LOWERING_LOWERING_H

#include "dialects/approx/Approx.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace asnet {
#define GEN_PASS_DECL
#include "lowering/Lowering.h.inc"
#define GEN_PASS_REGISTRATION
#include "lowering/Lowering.h.inc"
} // namespace asnet

#endif // LOWERING_LOWERING_H
