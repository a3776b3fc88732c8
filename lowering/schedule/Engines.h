// SPDX-License-Identifier: Apache-2.0
// What the passes that make engines of a network's stages share (Engines.cpp).

#ifndef LOWERING_SCHEDULE_ENGINES_H
#define LOWERING_SCHEDULE_ENGINES_H

#include "lowering/Lowering.h"

namespace asnet {

/// Whether an engine can compute `op`: static shapes, linear maps, and a body of few operations on
/// floats. A reduction's accumulator must be an operand of the operation that it yields, and of no
/// other. Otherwise `reason` says why not.
bool isEngineOp(mlir::linalg::GenericOp op, std::string &reason);

/// The value that `value` is a view of: reshapes of a row-major array do not move its words.
mlir::Value skipReshapes(mlir::Value value);

/// The operand of `op` that is what `result` holds, read once and element for element, if `op` can
/// use the elements as they are made; null otherwise.
mlir::OpOperand *findChained(mlir::linalg::GenericOp op, mlir::Value result);

/// Steps of the reduction times outputs.
int64_t countSteps(mlir::linalg::GenericOp op);

/// The coefficients of a linear expression in `numDims` dimensions, the constant last; nothing for
/// divisions and remainders.
std::optional<llvm::SmallVector<int64_t>> linearCoefficients(mlir::AffineExpr expr,
                                                             unsigned numDims);

/// The position in row-major order of what `map` reads in an array of `type`.
mlir::AffineExpr linearPosition(mlir::AffineMap map, mlir::ShapedType type);

/// Calls that a constant has as a word, NaNs canonical; nothing for other values.
std::optional<uint32_t> constantWord(mlir::Value value);

/// What the plain logic is asked to do for `op`; empty where an engine does not have it.
std::string plainName(mlir::Operation *op);

} // namespace asnet

#endif // LOWERING_SCHEDULE_ENGINES_H
