// SPDX-License-Identifier: Apache-2.0
// asnet-tables: writes the dialect's tables as Python, at build time (`asnet_mlir/support/_tables.py`).
//
// Python reads cores' manifests and bindings in processes that must not load MLIR, so it cannot ask
// the dialect itself.

#include "dialects/approx/Approx.h"

#include "llvm/Support/raw_ostream.h"

using namespace asnet::approx;

static const char *python(bool value) { return value ? "True" : "False"; }

int main(int argc, char **argv) {
  if (argc != 2) {
    llvm::errs() << "usage: asnet-tables FILE.py\n";
    return 2;
  }
  std::error_code error;
  llvm::raw_fd_ostream os(argv[1], error);
  if (error) {
    llvm::errs() << "asnet-tables: " << argv[1] << ": " << error.message() << "\n";
    return 1;
  }
  os << "\"\"\"The tables of the approx dialect, written by tools/asnet-tables from its C++.\"\"\"\n\n"
     << "# name, bits of the exponent, bits of the fraction\n"
     << "FLOAT_FORMATS = (\n";
  for (const FloatFormat &format : kFloatFormats)
    os << "    (\"" << format.name << "\", " << format.exponentBits << ", " << format.fractionBits
       << "),\n";
  os << ")\n\n# fewest and most bits of an integer\nINTEGER_BITS = (" << kLeastIntegerBits << ", "
     << kMostIntegerBits << ")\n\n"
     << "# name, the op that it stands for, the same on unsigned integers, on floats, commutative\n"
     << "OP_KINDS = (\n";
  for (const OpKind *kind : getOpKinds())
    os << "    (\"" << kind->name << "\", \"" << kind->exact << "\", \"" << kind->exactUnsigned
       << "\", " << python(kind->isFloat) << ", " << python(kind->isCommutative) << "),\n";
  os << ")\n\n# name, what it holds, what it stands on\nATTRIBUTES = (\n";
#define APPROX_ATTRIBUTE(NAME, STEM, HOLDS, STANDS_ON)                                             \
  os << "    (\"" << k##STEM##AttrName << "\", \"" << #HOLDS << "\", \"" << #STANDS_ON << "\"),\n";
#include "dialects/approx/Attributes.def"
  os << ")\n";
  return 0;
}
