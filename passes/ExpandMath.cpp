// SPDX-License-Identifier: Apache-2.0
#include "passes/ExpandMath.h"
#include "passes/Passes.h"

#include "mlir/Transforms/WalkPatternRewriteDriver.h"

using namespace mlir;

namespace asnet {
#define GEN_PASS_DEF_EXPANDMATH
#include "passes/Passes.h.inc"

namespace {
struct ExpandMath : impl::ExpandMathBase<ExpandMath> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateExpandConversionPatterns(patterns);
    populateExpandExpPatterns(patterns);
    populateExpandLogPatterns(patterns);
    populateExpandPowPatterns(patterns);
    populateExpandRoundingPatterns(patterns);
    populateExpandSqrtPatterns(patterns);
    populateExpandTanhPatterns(patterns);
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};
} // namespace
} // namespace asnet
