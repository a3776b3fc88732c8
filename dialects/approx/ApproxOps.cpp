// SPDX-License-Identifier: Apache-2.0
#include "dialects/approx/Instances.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace asnet::approx;

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

static constexpr StringLiteral kInstance = "instance", kIsUnsigned = "is_unsigned";

/// `{instance = 31}`: an i32 that reads and prints without a type.
static ParseResult parseAttributes(OpAsmParser &parser, NamedAttrList &attributes) {
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseOptionalAttrDict(attributes))
    return failure();
  if (attributes.get(kIsUnsigned))
    return parser.emitError(loc) << "'" << kIsUnsigned
                                 << "' is written as 'unsigned' before the operands";
  if (Attribute instance = attributes.get(kInstance)) {
    auto id = dyn_cast<IntegerAttr>(instance);
    if (!id || !id.getType().isSignlessInteger() || !id.getValue().isSignedIntN(32))
      return parser.emitError(loc) << "'instance' must be a 32-bit integer, got " << instance;
    attributes.set(kInstance, parser.getBuilder().getI32IntegerAttr(
                                  static_cast<int32_t>(id.getValue().getSExtValue())));
  }
  return success();
}

static void printAttributes(OpAsmPrinter &printer, Operation *, DictionaryAttr attributes) {
  auto shown = llvm::to_vector(llvm::make_filter_range(
      attributes, [](NamedAttribute attribute) { return attribute.getName() != kIsUnsigned; }));
  if (shown.empty())
    return;
  printer << " {";
  llvm::interleaveComma(shown, printer, [&](NamedAttribute attribute) {
    if (attribute.getName() == kInstance)
      printer << kInstance << " = " << cast<IntegerAttr>(attribute.getValue()).getInt();
    else
      printer.printNamedAttribute(attribute);
  });
  printer << '}';
}

/// `i8`, or `i8 -> i16` where the result is wider.
static ParseResult parseOperandAndResultTypes(OpAsmParser &parser, Type &operand, Type &result) {
  if (parser.parseType(operand))
    return failure();
  result = operand;
  return failed(parser.parseOptionalArrow()) ? ParseResult(success()) : parser.parseType(result);
}

static void printOperandAndResultTypes(OpAsmPrinter &printer, Operation *, Type operand,
                                       Type result) {
  printer << operand;
  if (result != operand)
    printer << " -> " << result;
}

LogicalResult asnet::approx::detail::verifyArithmetic(Operation *op) {
  auto arithmetic = cast<ArithmeticOpInterface>(op);
  if (auto instance = op->getAttrOfType<IntegerAttr>(kInstance); instance && instance.getInt() < 1)
    return op->emitOpError("'instance' must be at least 1, got ")
           << instance.getInt() << "; leave it out for exact arithmetic";
  NumberFormat operand = arithmetic.getOperandFormat(), result = arithmetic.getResultFormat();
  if (result.width < operand.width)
    return op->emitOpError("result must be at least as wide as the operands, got ")
           << result.getName() << " of " << operand.getName();
  return success();
}

LogicalResult asnet::approx::detail::verifyBinding(ArithmeticOpInterface op) {
  std::optional<uint32_t> id = op.getInstance();
  if (!id)
    return success();
  LibraryOp library = LibraryOp::lookup(op);
  if (!library)
    return op->emitOpError("instance ")
           << *id
           << " is not declared: the module has no 'approx.library'; add one with 'approx.core "
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
  if (StringRef own = getFormat(core); !computesOn(own, op))
    return (op->emitOpError("instance ") << *id << " computes on " << own << ", but this op is on "
                                         << op.getOperandFormat().getName())
               .attachNote(core.getLoc())
           << "instance is declared here";
  return success();
}

Value asnet::approx::detail::extend(OpBuilder &builder, Value value, Type type, bool isUnsigned) {
  if (value.getType() == type)
    return value;
  if (isUnsigned)
    return arith::ExtUIOp::create(builder, value.getLoc(), type, value);
  return arith::ExtSIOp::create(builder, value.getLoc(), type, value);
}

/// x / 0 has all bits set, and the least integer divided by -1 is itself, as in StableHLO.
template <typename DivOp>
static Value createDivision(OpBuilder &builder, Location loc, Value lhs, Value rhs) {
  using arith::CmpIPredicate;
  unsigned width = getElementTypeOrSelf(lhs.getType()).getIntOrFloatBitWidth();
  auto constant = [&](const APInt &value) -> Value {
    Type type = lhs.getType();
    TypedAttr attribute = builder.getIntegerAttr(getElementTypeOrSelf(type), value);
    if (auto shaped = dyn_cast<ShapedType>(type))
      attribute = DenseElementsAttr::get(shaped, cast<Attribute>(attribute));
    return arith::ConstantOp::create(builder, loc, attribute);
  };
  auto isEqual = [&](Value value, Value other) -> Value {
    return arith::CmpIOp::create(builder, loc, CmpIPredicate::eq, value, other);
  };
  auto select = [&](Value condition, Value value, Value other) -> Value {
    return arith::SelectOp::create(builder, loc, condition, value, other);
  };
  Value zero = constant(APInt(width, 0)), one = constant(APInt(width, 1));
  Value ones = constant(APInt::getAllOnes(width));
  Value isZero = isEqual(rhs, zero), divisor = select(isZero, one, rhs);
  if (std::is_same_v<DivOp, arith::DivSIOp>) {
    Value least = constant(APInt::getSignedMinValue(width));
    Value overflows = arith::AndIOp::create(builder, loc, isEqual(lhs, least), isEqual(rhs, ones));
    divisor = select(overflows, one, divisor);
  }
  return select(isZero, ones, DivOp::create(builder, loc, lhs, divisor));
}

template <>
Value asnet::approx::detail::createExact<arith::DivSIOp>(OpBuilder &builder, Location loc,
                                                         Value lhs, Value rhs) {
  return createDivision<arith::DivSIOp>(builder, loc, lhs, rhs);
}

template <>
Value asnet::approx::detail::createExact<arith::DivUIOp>(OpBuilder &builder, Location loc,
                                                         Value lhs, Value rhs) {
  return createDivision<arith::DivUIOp>(builder, loc, lhs, rhs);
}

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
  llvm::interleaveComma(getBody().getOps<CoreOp>(), os, [&](CoreOp core) {
    os << core.getId() << " (\"" << core.getOp() << "\")";
  });
  return text.empty() ? "nothing" : text;
}

LogicalResult LibraryOp::verify() {
  // Wider than an ID: the map keeps the largest keys to itself, and IDs are not verified yet.
  llvm::SmallDenseMap<uint64_t, CoreOp> seen;
  for (Operation &op : getBody().front()) {
    auto core = dyn_cast<CoreOp>(op);
    if (!core)
      return op.emitOpError(
          "is not allowed in an 'approx.library', which holds 'approx.core' only");
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

/// Whether there is such a format among those of a kind's operands.
static bool isFormat(StringRef name, const OpKind *kind) {
  if (kind->isFloat)
    return llvm::any_of(kFloatFormats, [&](const FloatFormat &f) { return f.name == name; });
  unsigned width;
  return (name.consume_front("i") || name.consume_front("u")) && !name.getAsInteger(10, width) &&
         width >= kLeastIntegerBits && width <= kMostIntegerBits;
}

LogicalResult CoreOp::verify() {
  if (int64_t id = getIdAttr().getInt(); id < 1)
    return emitOpError("'id' must be at least 1, got ") << id;
  if (!lookupOpKind(getOp()))
    return emitOpError("'op' must be one of ") << listOpKinds() << ", got \"" << getOp() << "\"";
  const OpKind *kind = lookupOpKind(getOp());
  if (std::optional<StringRef> format = getFormat(); format && !isFormat(*format, kind))
    return emitOpError("'format' must be ")
           << (kind->isFloat ? "f32, bf16 or f16" : "iN or uN with N from 2 to 32") << ", got \""
           << *format << "\"";
  for (NamedAttribute parameter : getParameters())
    if (auto value = dyn_cast<IntegerAttr>(parameter.getValue());
        !value || !value.getType().isSignlessInteger(64))
      return emitOpError("parameter '")
             << parameter.getName().getValue() << "' must be a 64-bit integer, got "
             << parameter.getValue();
  if (int64_t latency = getLatencyAttr().getInt(); latency < 0)
    return emitOpError("'latency' must be at least 0 cycles, got ") << latency;
  if (int64_t interval = getIntervalAttr().getInt(); interval < 1)
    return emitOpError("'interval' must be at least 1 cycle, got ") << interval;
  return success();
}

#include "dialects/approx/ApproxInterfaces.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/approx/ApproxOps.cpp.inc"
