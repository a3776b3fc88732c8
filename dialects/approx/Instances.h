// SPDX-License-Identifier: Apache-2.0
// What instances compute on.

#ifndef DIALECTS_APPROX_INSTANCES_H
#define DIALECTS_APPROX_INSTANCES_H

#include "dialects/approx/Approx.h"

namespace asnet::approx {

/// The format of an instance's operands: the one that it declares, else f32 for the kinds on floats;
/// empty where an instance on integers declares none.
llvm::StringRef getFormat(CoreOp core);

/// Whether an instance on `own` computes on an op's operands; sums and differences modulo 2^N are the
/// same of operands with and without a sign.
bool computesOn(llvm::StringRef own, ArithmeticOpInterface op);

/// The bits of a float as a core sees them, those of a NaN canonical.
mlir::Value createBits(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value);

} // namespace asnet::approx

#endif // DIALECTS_APPROX_INSTANCES_H
