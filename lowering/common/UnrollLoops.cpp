// SPDX-License-Identifier: Apache-2.0
#include "lowering/Lowering.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Utils/Utils.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_UNROLLLOOPS
#include "lowering/Lowering.h.inc"

namespace {
struct UnrollLoops : impl::UnrollLoopsBase<UnrollLoops> {
  void runOnOperation() override {
    // Inner loops first: they are unrolled once for all iterations around them.
    WalkResult result = getOperation()->walk<WalkOrder::PostOrder>([](scf::ForOp loop) {
      if (loop.getNumResults() == 0 || succeeded(loopUnrollFull(loop)))
        return WalkResult::advance();
      loop.emitError("can't be unrolled: its number of iterations is no constant");
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
} // namespace asnet
