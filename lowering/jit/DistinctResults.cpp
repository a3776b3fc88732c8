// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_DISTINCTRESULTS
#include "lowering/Lowering.h.inc"

namespace {
struct DistinctResults : impl::DistinctResultsBase<DistinctResults> {
  void runOnOperation() override {
    getOperation()->walk([](func::ReturnOp ret) {
      SmallPtrSet<Value, 8> seen;
      OpBuilder builder(ret);
      for (OpOperand &operand : ret->getOpOperands()) {
        Value value = operand.get();
        auto type = dyn_cast<RankedTensorType>(value.getType());
        if (seen.insert(value).second || !type || !type.hasStaticShape())
          continue;
        Value empty = tensor::EmptyOp::create(builder, ret.getLoc(), type.getShape(),
                                              type.getElementType());
        operand.set(linalg::CopyOp::create(builder, ret.getLoc(), value, empty).getResult(0));
      }
    });
  }
};
} // namespace
} // namespace asnet
