// SPDX-License-Identifier: Apache-2.0
// asnet-opt: mlir-opt with the approx dialect and its passes.  Registration only.

#include "dialects/approx/Approx.h"
#include "lowering/Lowering.h"
#include "lowering/Pipelines.h"
#include "passes/Passes.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllPasses();
  registry.insert<asnet::approx::ApproxDialect>();
  asnet::registerApproxPasses();
  asnet::registerApproxLoweringPasses();
  asnet::registerApproxPipelines();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "asnet-opt: the approx dialect's optimizer\n", registry));
}
