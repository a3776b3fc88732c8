// SPDX-License-Identifier: Apache-2.0
// approx-entry-points: `@main` and `@prepare` are called from C, with arrays that are the caller's.

#include "lowering/Lowering.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_ENTRYPOINTS
#include "lowering/Lowering.h.inc"

namespace {
struct EntryPoints : impl::EntryPointsBase<EntryPoints> {
  void runOnOperation() override {
    Builder builder(&getContext());
    for (StringRef name : {"main", "prepare"}) {
      auto function = getOperation().lookupSymbol<func::FuncOp>(name);
      if (!function)
        continue;
      function->setAttr(LLVM::LLVMDialect::getEmitCWrapperAttrName(), builder.getUnitAttr());
      for (BlockArgument argument : function.getArguments())
        if (isa<TensorType>(argument.getType()))
          function.setArgAttr(argument.getArgNumber(),
                              bufferization::BufferizationDialect::kWritableAttrName,
                              builder.getBoolAttr(false));
    }
  }
};
} // namespace
} // namespace asnet
