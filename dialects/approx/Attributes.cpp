// SPDX-License-Identifier: Apache-2.0
// What the dialect's discardable attributes may hold, and on what they stand.  Passes, and CIRCT's
// process behind them, take these attributes as they are: here they are checked, wherever IR comes
// from.

#include "dialects/approx/Approx.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace asnet::approx;

ArrayRef<AttributeInfo> asnet::approx::getAttributes() {
  static constexpr AttributeInfo attributes[] = {
#define APPROX_ATTRIBUTE(NAME, STEM, HOLDS, STANDS_ON)                                             \
  {k##STEM##AttrName, AttributeKind::HOLDS, AttributePlace::STANDS_ON},
#include "dialects/approx/Attributes.def"
  };
  return attributes;
}

namespace {
const AttributeInfo *lookup(StringRef name) {
  static const llvm::StringMap<const AttributeInfo *> table = [] {
    llvm::StringMap<const AttributeInfo *> made;
    for (const AttributeInfo &info : getAttributes())
      made[info.name] = &info;
    return made;
  }();
  return table.lookup(name);
}

/// What an attribute of a kind must be, or nothing where `value` is that.
StringRef wanted(AttributeKind kind, Attribute value) {
  auto number = dyn_cast<IntegerAttr>(value);
  bool isNumber = number && number.getType().isSignlessInteger() &&
                  number.getValue().getBitWidth() <= 64;
  auto text = dyn_cast<StringAttr>(value);
  switch (kind) {
  case AttributeKind::String:
    return text ? "" : "a string";
  case AttributeKind::Name:
    return text && !text.empty() ? "" : "a string that is not empty";
  case AttributeKind::Role:
    return text && llvm::is_contained({"input", "output"}, text.getValue())
               ? ""
               : "\"input\" or \"output\"";
  case AttributeKind::Phase:
    return text && llvm::is_contained({"main", "epilogue"}, text.getValue())
               ? ""
               : "\"main\" or \"epilogue\"";
  case AttributeKind::Natural:
    return isNumber && number.getInt() >= 0 ? "" : "an integer of at least 0";
  case AttributeKind::Naturals: {
    auto numbers = dyn_cast<DictionaryAttr>(value);
    return numbers &&
                   llvm::all_of(numbers,
                                [](NamedAttribute entry) {
                                  return wanted(AttributeKind::Natural, entry.getValue()).empty();
                                })
               ? ""
               : "a dictionary of integers of at least 0";
  }
  case AttributeKind::Positive:
    return isNumber && number.getInt() >= 1 ? "" : "an integer of at least 1";
  case AttributeKind::Integer:
    return isNumber ? "" : "an integer";
  case AttributeKind::Word:
    return (isNumber && number.getType().isSignlessInteger(32)) || isa<DenseI32ArrayAttr>(value)
               ? ""
               : "an i32 or an array of i32";
  case AttributeKind::Integers:
    return isa<DenseI64ArrayAttr>(value) ? "" : "an array of i64";
  case AttributeKind::Unit:
    return isa<UnitAttr>(value) ? "" : "a unit attribute";
  case AttributeKind::Symbol:
    return isa<FlatSymbolRefAttr>(value) ? "" : "a symbol";
  case AttributeKind::Array:
    return isa<ArrayAttr>(value) ? "" : "an array";
  case AttributeKind::Dictionary:
    return isa<DictionaryAttr>(value) ? "" : "a dictionary";
  }
  llvm_unreachable("a kind that is not there");
}

LogicalResult verifyAttribute(Operation *op, NamedAttribute attribute, AttributePlace place) {
  StringRef name = attribute.getName().getValue();
  const AttributeInfo *info = lookup(name);
  if (!info)
    return op->emitOpError("has '") << name << "', which is no attribute of this dialect";
  if (place != info->place)
    return op->emitOpError("has '")
           << name << "', which belongs to "
           << (place == AttributePlace::Value ? "operations, not to arguments or results"
                                              : "arguments and results of functions");
  StringRef want = wanted(info->kind, attribute.getValue());
  if (!want.empty())
    return op->emitOpError("'") << name << "' must be " << want << ", got " << attribute.getValue();
  return success();
}
} // namespace

LogicalResult ApproxDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  return verifyAttribute(op, attribute, AttributePlace::Operation);
}

LogicalResult ApproxDialect::verifyRegionArgAttribute(Operation *op, unsigned, unsigned,
                                                      NamedAttribute attribute) {
  return verifyAttribute(op, attribute, AttributePlace::Value);
}

LogicalResult ApproxDialect::verifyRegionResultAttribute(Operation *op, unsigned, unsigned,
                                                         NamedAttribute attribute) {
  return verifyAttribute(op, attribute, AttributePlace::Value);
}
