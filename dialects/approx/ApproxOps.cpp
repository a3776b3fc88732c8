#include "dialects/approx/Approx.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace asnet::approx;

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

static constexpr StringLiteral kInstance = "instance";

/// `lhs, rhs {instance = 31} : type`.  The instance is an i32 but reads and prints without a type.
static ParseResult parseArithmetic(OpAsmParser &parser, OperationState &result) {
  OpAsmParser::UnresolvedOperand lhs, rhs;
  Type type;
  SMLoc attrLoc;
  if (parser.parseOperand(lhs) || parser.parseComma() || parser.parseOperand(rhs) ||
      parser.getCurrentLocation(&attrLoc) || parser.parseOptionalAttrDict(result.attributes) ||
      parser.parseColonType(type) || parser.resolveOperands({lhs, rhs}, type, result.operands))
    return failure();
  if (Attribute instance = result.attributes.get(kInstance)) {
    auto id = dyn_cast<IntegerAttr>(instance);
    if (!id || !id.getType().isSignlessInteger() || !id.getValue().isSignedIntN(32))
      return parser.emitError(attrLoc)
             << "'instance' must be a 32-bit integer, got " << instance;
    result.attributes.set(kInstance, parser.getBuilder().getI32IntegerAttr(
                                         static_cast<int32_t>(id.getValue().getSExtValue())));
  }
  result.addTypes(type);
  return success();
}

static void printArithmetic(OpAsmPrinter &printer, Operation *op) {
  printer << ' ' << op->getOperand(0) << ", " << op->getOperand(1);
  if (!op->getAttrs().empty()) {
    printer << " {";
    llvm::interleaveComma(op->getAttrs(), printer, [&](NamedAttribute attr) {
      if (attr.getName() == kInstance)
        printer << kInstance << " = " << cast<IntegerAttr>(attr.getValue()).getInt();
      else
        printer.printNamedAttribute(attr);
    });
    printer << '}';
  }
  printer << " : " << op->getResult(0).getType();
}

static LogicalResult verifyArithmetic(Operation *op, IntegerAttr instance) {
  if (instance && instance.getInt() < 1)
    return op->emitOpError("'instance' must be at least 1, got ")
           << instance.getInt() << "; leave it out for exact arithmetic";
  return success();
}

/// Ties a bound op to its declaration.  Called when the enclosing module is verified, not when the
/// op is: a pass on a function must not read what lies outside it.
static LogicalResult verifyBinding(ArithmeticOpInterface op) {
  std::optional<uint32_t> id = op.getInstance();
  if (!id)
    return success();
  LibraryOp library = LibraryOp::lookup(op);
  if (!library)
    return op->emitOpError("instance ")
           << *id << " is not declared: the module has no 'approx.library'; add one with 'approx.core "
           << *id << " \"" << op.getOpKind() << "\" ...'";
  CoreOp core = library.lookupCore(*id);
  if (!core)
    return (op->emitOpError("instance ")
            << *id << " is not declared; the library declares " << library.describe())
               .attachNote(library.getLoc())
           << "library is here";
  if (core.getOp() != op.getOpKind())
    return (op->emitOpError("instance ") << *id << " computes \"" << core.getOp()
                                         << "\", but this op is \"" << op.getOpKind() << "\"")
               .attachNote(core.getLoc())
           << "instance is declared here";
  return success();
}

#define ARITHMETIC_OP(OP)                                                                          \
  ParseResult OP::parse(OpAsmParser &parser, OperationState &result) {                             \
    return parseArithmetic(parser, result);                                                        \
  }                                                                                                \
  void OP::print(OpAsmPrinter &printer) { printArithmetic(printer, *this); }                       \
  LogicalResult OP::verify() { return verifyArithmetic(*this, getInstanceAttr()); }                \
  LogicalResult OP::verifySymbolUses(SymbolTableCollection &) { return verifyBinding(*this); }

ARITHMETIC_OP(AddFOp)
ARITHMETIC_OP(SubFOp)
ARITHMETIC_OP(MulFOp)
ARITHMETIC_OP(DivFOp)
ARITHMETIC_OP(MaxFOp)
ARITHMETIC_OP(MinFOp)
#undef ARITHMETIC_OP

//===----------------------------------------------------------------------===//
// LibraryOp
//===----------------------------------------------------------------------===//

LibraryOp LibraryOp::lookup(Operation *op) {
  for (auto module = op->getParentOfType<ModuleOp>(); module;
       module = module->getParentOfType<ModuleOp>()) {
    auto libraries = module.getOps<LibraryOp>();
    if (!libraries.empty())
      return *libraries.begin();
  }
  return {};
}

CoreOp LibraryOp::lookupCore(uint32_t id) {
  for (auto core : getBody().getOps<CoreOp>())
    if (core.getId() == id)
      return core;
  return {};
}

std::string LibraryOp::describe() {
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::interleaveComma(getBody().getOps<CoreOp>(), os,
                        [&](CoreOp core) { os << core.getId() << " (\"" << core.getOp() << "\")"; });
  return text.empty() ? "nothing" : text;
}

LogicalResult LibraryOp::verify() {
  // Wider than an ID: the map keeps the largest keys to itself, and IDs are not verified yet.
  llvm::SmallDenseMap<uint64_t, CoreOp> seen;
  for (Operation &op : getBody().front()) {
    auto core = dyn_cast<CoreOp>(op);
    if (!core)
      return op.emitOpError("is not allowed in an 'approx.library', which holds 'approx.core' only");
    auto [it, isNew] = seen.try_emplace(core.getId(), core);
    if (!isNew)
      return (core.emitOpError("declares instance ") << core.getId() << " a second time")
                 .attachNote(it->second.getLoc())
             << "first declaration is here";
  }
  return success();
}

LogicalResult LibraryOp::verifySymbolUses(SymbolTableCollection &) {
  auto first = *cast<ModuleOp>((*this)->getParentOp()).getOps<LibraryOp>().begin();
  if (first != *this)
    return (emitOpError("is the module's second library; merge them into one")
                .attachNote(first.getLoc())
            << "first library is here");
  return success();
}

//===----------------------------------------------------------------------===//
// CoreOp
//===----------------------------------------------------------------------===//

/// `{LATENCY = 4, P = 20}`: 64-bit integers, which read and print without a type.
static ParseResult parseParameters(OpAsmParser &parser, DictionaryAttr &parameters) {
  NamedAttrList attrs;
  if (parser.parseOptionalAttrDict(attrs))
    return failure();
  parameters = attrs.getDictionary(parser.getContext());
  return success();
}

static void printParameters(OpAsmPrinter &printer, CoreOp, DictionaryAttr parameters) {
  printer << '{';
  llvm::interleaveComma(parameters, printer, [&](NamedAttribute parameter) {
    auto value = dyn_cast<IntegerAttr>(parameter.getValue());
    if (!value || !value.getType().isSignlessInteger(64))
      return printer.printNamedAttribute(parameter);
    printer.printKeywordOrString(parameter.getName().getValue());
    printer << " = " << value.getInt();
  });
  printer << '}';
}

LogicalResult CoreOp::verify() {
  if (int64_t id = getIdAttr().getInt(); id < 1)
    return emitOpError("'id' must be at least 1, got ") << id;
  if (!llvm::is_contained(getOpKinds(), getOp()))
    return emitOpError("'op' must be one of ")
           << llvm::join(getOpKinds(), ", ") << ", got \"" << getOp() << "\"";
  for (NamedAttribute parameter : getParameters())
    if (auto value = dyn_cast<IntegerAttr>(parameter.getValue());
        !value || !value.getType().isSignlessInteger(64))
      return emitOpError("parameter '") << parameter.getName().getValue()
                                        << "' must be a 64-bit integer, got " << parameter.getValue();
  if (int64_t latency = getLatencyAttr().getInt(); latency < 0)
    return emitOpError("'latency' must be at least 0 cycles, got ") << latency;
  if (int64_t interval = getIntervalAttr().getInt(); interval < 1)
    return emitOpError("'interval' must be at least 1 cycle, got ") << interval;
  return success();
}

#include "dialects/approx/ApproxInterfaces.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/approx/ApproxOps.cpp.inc"
