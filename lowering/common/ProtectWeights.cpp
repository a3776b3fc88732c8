// SPDX-License-Identifier: Apache-2.0
// approx-protect-weights: weights live in a ROM, and a value may be read again, so nothing may be
// computed in place in them.

#include "lowering/Lowering.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_PROTECTWEIGHTS
#include "lowering/Lowering.h.inc"

namespace {
constexpr StringLiteral kReadOnly[] = {approx::kWeightAttrName, approx::kValueAttrName,
                                       approx::kPreparedAttrName, approx::kParametersAttrName};

struct ProtectWeights : impl::ProtectWeightsBase<ProtectWeights> {
  void runOnOperation() override {
    Builder builder(&getContext());
    for (auto func : getOperation().getOps<func::FuncOp>())
      for (unsigned index = 0; index < func.getNumArguments(); ++index)
        if (isa<TensorType>(func.getArgumentTypes()[index]) &&
            llvm::any_of(kReadOnly, [&](StringRef name) { return func.getArgAttr(index, name); }))
          func.setArgAttr(index, bufferization::BufferizationDialect::kWritableAttrName,
                          builder.getBoolAttr(false));
  }
};
} // namespace
} // namespace asnet
