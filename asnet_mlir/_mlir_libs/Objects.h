// SPDX-License-Identifier: Apache-2.0
// Native code as relocatable objects: made of a module in the LLVM dialect, kept as bytes (so that it
// can lie in a cache on disk), and loaded into this process.

#ifndef ASNET_MLIR_LIBS_OBJECTS_H
#define ASNET_MLIR_LIBS_OBJECTS_H

#include "mlir/IR/BuiltinOps.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace asnet {

/// What native code depends on besides its source: processor, its features, LLVM's version.
std::string describeHost();

/// Compiles for this processor.  For every `_mlir_ciface_<name>`, the object also has
/// `asnet_<name>(void **)`, which takes the addresses of the memref descriptors as an array.
llvm::Expected<llvm::SmallVector<char, 0>> compileObject(mlir::ModuleOp module, unsigned optLevel);

/// A loaded object; its code is gone with it.
class LoadedObject {
public:
  /// `symbols` are the addresses of what the object refers to and this process does not export.
  static llvm::Expected<std::unique_ptr<LoadedObject>>
  load(llvm::StringRef object, const std::vector<std::pair<std::string, uint64_t>> &symbols);
  ~LoadedObject();

  llvm::Expected<uint64_t> lookup(llvm::StringRef name);

private:
  struct Impl;
  explicit LoadedObject(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

} // namespace asnet

#endif // ASNET_MLIR_LIBS_OBJECTS_H
