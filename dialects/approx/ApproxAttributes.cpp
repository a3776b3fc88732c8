// What the dialect's discardable attributes may hold, and on what they stand.  Passes, and CIRCT's
// process behind them, take these attributes as they are: here they are checked, wherever IR comes
// from.

#include "dialects/approx/Approx.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace asnet::approx;

namespace {
enum class Kind {
  unknown,
  string,    // of any length
  name,      // a string that is not empty
  role,      // "input" or "output"
  phase,     // "main" or "epilogue"
  natural,   // an integer of at least 0
  positive,  // an integer of at least 1
  integer,
  word,      // an i32, or several
  integers,  // array<i64: ..>
  unit,
  symbol,
  array,
  dictionary
};

/// What an attribute holds, by its name without the dialect's.
Kind kindOf(StringRef name) {
  return llvm::StringSwitch<Kind>(name)
      .Cases({"layer", "alu", "weight", "library"}, Kind::name)
      .Cases({"stage", "machine"}, Kind::string)
      .Case("role", Kind::role)
      .Case("phase", Kind::phase)
      .Cases({"value", "prepared", "index", "memory", "start", "move", "unit", "latency"},
             Kind::natural)
      .Cases({"memory_latency", "plain_latency", "input_words", "lut"}, Kind::natural)
      .Cases({"trip", "ii", "interval"}, Kind::positive)
      .Case("base", Kind::integer)
      .Case("bits", Kind::word)
      .Cases({"strides", "lengths", "inputs", "results", "outputs"}, Kind::integers)
      .Cases({"alias", "overlap", "cut", "parameter", "parameters", "arena"}, Kind::unit)
      .Case("block", Kind::symbol)
      .Cases({"memories", "units", "operands", "sources", "orders"}, Kind::array)
      .Case("engine", Kind::dictionary)
      .Default(Kind::unknown);
}

/// Whether an attribute belongs to arguments and results of functions, and to nothing else.
bool isOfValues(StringRef name) {
  return llvm::is_contained({"weight", "role", "value", "prepared", "arena", "parameters"}, name);
}

/// What an attribute of a kind must be, or nothing where `value` is that.
StringRef wanted(Kind kind, Attribute value) {
  auto number = dyn_cast<IntegerAttr>(value);
  bool isNumber = number && number.getType().isSignlessInteger() &&
                  number.getValue().getBitWidth() <= 64;
  auto text = dyn_cast<StringAttr>(value);
  switch (kind) {
  case Kind::unknown:
    return "";
  case Kind::string:
    return text ? "" : "a string";
  case Kind::name:
    return text && !text.empty() ? "" : "a string that is not empty";
  case Kind::role:
    return text && llvm::is_contained({"input", "output"}, text.getValue())
               ? ""
               : "\"input\" or \"output\"";
  case Kind::phase:
    return text && llvm::is_contained({"main", "epilogue"}, text.getValue())
               ? ""
               : "\"main\" or \"epilogue\"";
  case Kind::natural:
    return isNumber && number.getInt() >= 0 ? "" : "an integer of at least 0";
  case Kind::positive:
    return isNumber && number.getInt() >= 1 ? "" : "an integer of at least 1";
  case Kind::integer:
    return isNumber ? "" : "an integer";
  case Kind::word:
    return (isNumber && number.getType().isSignlessInteger(32)) || isa<DenseI32ArrayAttr>(value)
               ? ""
               : "an i32 or an array of i32";
  case Kind::integers:
    return isa<DenseI64ArrayAttr>(value) ? "" : "an array of i64";
  case Kind::unit:
    return isa<UnitAttr>(value) ? "" : "a unit attribute";
  case Kind::symbol:
    return isa<FlatSymbolRefAttr>(value) ? "" : "a symbol";
  case Kind::array:
    return isa<ArrayAttr>(value) ? "" : "an array";
  case Kind::dictionary:
    return isa<DictionaryAttr>(value) ? "" : "a dictionary";
  }
  llvm_unreachable("a kind that is not there");
}

LogicalResult verifyAttribute(Operation *op, NamedAttribute attribute, bool isOfValue) {
  StringRef full = attribute.getName().getValue();
  StringRef name = full.substr(full.find('.') + 1);
  Kind kind = kindOf(name);
  if (kind == Kind::unknown)
    return op->emitOpError("has '") << full << "', which is no attribute of this dialect";
  if (isOfValue != isOfValues(name))
    return op->emitOpError("has '") << full << "', which belongs to "
                                    << (isOfValue ? "operations, not to arguments or results"
                                                  : "arguments and results of functions");
  StringRef want = wanted(kind, attribute.getValue());
  if (!want.empty())
    return op->emitOpError("'") << full << "' must be " << want << ", got " << attribute.getValue();
  return success();
}
} // namespace

LogicalResult ApproxDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  return verifyAttribute(op, attribute, /*isOfValue=*/false);
}

LogicalResult ApproxDialect::verifyRegionArgAttribute(Operation *op, unsigned, unsigned,
                                                      NamedAttribute attribute) {
  return verifyAttribute(op, attribute, /*isOfValue=*/true);
}

LogicalResult ApproxDialect::verifyRegionResultAttribute(Operation *op, unsigned, unsigned,
                                                         NamedAttribute attribute) {
  return verifyAttribute(op, attribute, /*isOfValue=*/true);
}
