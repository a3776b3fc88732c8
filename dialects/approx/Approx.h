// The approx dialect (see ApproxOps.td).

#ifndef DIALECTS_APPROX_APPROX_H
#define DIALECTS_APPROX_APPROX_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/VectorInterfaces.h"

#include <optional>
#include <string>

namespace asnet::approx {

/// The op kinds, in the order in which diagnostics list them.
llvm::ArrayRef<llvm::StringRef> getOpKinds();

/// The discardable attribute that names the layer of a network that an op belongs to.
inline constexpr llvm::StringLiteral kLayerAttrName = "approx.layer";

/// The op's own layer or the one of its nearest ancestor that has one; null if there is none.
mlir::StringAttr getLayer(mlir::Operation *op);

/// A layer's name as options of passes hold it, with `%20` for a space, decoded: names may hold what
/// separates options and their parts. Any byte may be written so, a percent sign must be.
std::string decodeLayerName(llvm::StringRef text);

} // namespace asnet::approx

#include "dialects/approx/ApproxDialect.h.inc"
#include "dialects/approx/ApproxInterfaces.h.inc"
#define GET_OP_CLASSES
#include "dialects/approx/ApproxOps.h.inc"

#endif // DIALECTS_APPROX_APPROX_H
