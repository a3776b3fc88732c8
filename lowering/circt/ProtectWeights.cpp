// approx-protect-weights: weights live in a ROM, so nothing may be computed in place in them.

#include "lowering/Lowering.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_PROTECTWEIGHTS
#include "lowering/Lowering.h.inc"

namespace {
struct ProtectWeights : impl::ProtectWeightsBase<ProtectWeights> {
  void runOnOperation() override {
    Builder builder(&getContext());
    for (auto func : getOperation().getOps<func::FuncOp>())
      for (unsigned index = 0; index < func.getNumArguments(); ++index)
        if (func.getArgAttr(index, "approx.weight"))
          func.setArgAttr(index, bufferization::BufferizationDialect::kWritableAttrName,
                          builder.getBoolAttr(false));
  }
};
} // namespace
} // namespace asnet
