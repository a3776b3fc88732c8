// SPDX-License-Identifier: Apache-2.0
// The approx dialect (see ApproxOps.td).

#ifndef DIALECTS_APPROX_APPROX_H
#define DIALECTS_APPROX_APPROX_H

#include "dialects/approx/Attributes.h"
#include "dialects/approx/Formats.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/VectorInterfaces.h"

#include <optional>
#include <string>

namespace asnet::approx {

/// What all ops of a kind have in common.
struct OpKind {
  llvm::StringLiteral name; // "mulf"
  /// The ops of `arith` that it stands for; of integers, in two's complement or without a sign.
  llvm::StringLiteral exact, exactUnsigned;
  bool isFloat;
  bool isCommutative; // where it is exact; cores may tell their operands apart
  unsigned order;     // in lists

  std::string getOperation() const { return ("approx." + name).str(); }
};

/// The op kinds in their order: those of the dialect's ops with ArithmeticOpInterface.
llvm::ArrayRef<const OpKind *> getOpKinds();

/// The op kind of a name, or null.
const OpKind *lookupOpKind(llvm::StringRef name);

/// The names of all op kinds for a diagnostic: `addf, subf, ..`.
std::string listOpKinds();

/// The op's own layer or the one of its nearest ancestor that has one; null if there is none.
mlir::StringAttr getLayer(mlir::Operation *op);

/// A layer's name as options of passes hold it, with `%20` for a space, decoded: names may hold what
/// separates options and their parts. Any byte may be written so, a percent sign must be.
std::string decodeLayerName(llvm::StringRef text);

class ArithmeticOpInterface;

namespace detail {
mlir::LogicalResult verifyArithmetic(mlir::Operation *op);

/// Ties a bound op to its declaration.  Called when the enclosing module is verified, not when the
/// op is: a pass on a function must not read what lies outside it.
mlir::LogicalResult verifyBinding(ArithmeticOpInterface op);

/// The op of `arith` that a float op or an integer op stands for.
template <typename Exact>
mlir::Value createExact(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value lhs,
                        mlir::Value rhs) {
  return Exact::create(builder, loc, lhs, rhs);
}
// Without an undefined result.
template <>
mlir::Value createExact<mlir::arith::DivSIOp>(mlir::OpBuilder &builder, mlir::Location loc,
                                              mlir::Value lhs, mlir::Value rhs);
template <>
mlir::Value createExact<mlir::arith::DivUIOp>(mlir::OpBuilder &builder, mlir::Location loc,
                                              mlir::Value lhs, mlir::Value rhs);

/// An integer as one of `type`, which is at least as wide.
mlir::Value extend(mlir::OpBuilder &builder, mlir::Value value, mlir::Type type, bool isUnsigned);
} // namespace detail
} // namespace asnet::approx

#include "dialects/approx/ApproxDialect.h.inc"
#include "dialects/approx/ApproxInterfaces.h.inc"
#define GET_OP_CLASSES
#include "dialects/approx/ApproxOps.h.inc"

#endif // DIALECTS_APPROX_APPROX_H
