// SPDX-License-Identifier: Apache-2.0
// The discardable attributes of the dialect (see Attributes.def).

#ifndef DIALECTS_APPROX_ATTRIBUTES_H
#define DIALECTS_APPROX_ATTRIBUTES_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace asnet::approx {

/// What an attribute holds.
enum class AttributeKind {
  String,     // of any length
  Name,       // a string that is not empty
  Role,       // "input" or "output"
  Phase,      // "main" or "epilogue"
  Natural,    // an integer of at least 0
  Naturals,   // a dictionary of such integers
  Positive,   // an integer of at least 1
  Integer,
  Word,       // an i32, or several
  Integers,   // array<i64: ..>
  Unit,
  Symbol,
  Array,
  Dictionary
};

/// Where an attribute may stand: on an operation, or on an argument or a result of a function.
enum class AttributePlace { Operation, Value };

struct AttributeInfo {
  llvm::StringLiteral name; // with the dialect's
  AttributeKind kind;
  AttributePlace place;
};

/// All of them, in the order of Attributes.def.
llvm::ArrayRef<AttributeInfo> getAttributes();

#define APPROX_ATTRIBUTE(NAME, STEM, HOLDS, STANDS_ON)                                             \
  inline constexpr llvm::StringLiteral k##STEM##AttrName = "approx." #NAME;
#include "dialects/approx/Attributes.def"

} // namespace asnet::approx

#endif // DIALECTS_APPROX_ATTRIBUTES_H
