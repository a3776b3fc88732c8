// SPDX-License-Identifier: Apache-2.0
// The passes from MLIR to MLIR (see Passes.td).

#ifndef PASSES_PASSES_H
#define PASSES_PASSES_H

#include "dialects/approx/Approx.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Pass/Pass.h"

namespace asnet {
#define GEN_PASS_DECL
#include "passes/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

/// Patterns by which the body of a linalg.generic gets an operand that is one constant everywhere as
/// a scalar (FuseElementwise.cpp).
void populateInlineSplatConstantPatterns(mlir::RewritePatternSet &patterns);

/// The constant that a tensor holds everywhere, or null.
mlir::TypedAttr getSplatConstant(mlir::Value value);
} // namespace asnet

#endif // PASSES_PASSES_H
