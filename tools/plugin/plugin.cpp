// SPDX-License-Identifier: Apache-2.0
// libAsnetPlugin.so: the approx dialect and its passes for stock mlir-opt.  Registration only.
//
//   mlir-opt --load-dialect-plugin=libAsnetPlugin.so --load-pass-plugin=libAsnetPlugin.so \
//     --pass-pipeline='builtin.module(convert-arith-to-approx)' FILE.mlir

#include "dialects/approx/Approx.h"
#include "lowering/Lowering.h"
#include "lowering/Pipelines.h"
#include "passes/Passes.h"

#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"

// Symbols are hidden by default in this project: these two are what the loader looks up.
extern "C" __attribute__((visibility("default"))) mlir::DialectPluginLibraryInfo
mlirGetDialectPluginInfo() {
  return {
      MLIR_PLUGIN_API_VERSION, "approx", LLVM_VERSION_STRING,
      [](mlir::DialectRegistry *registry) { registry->insert<asnet::approx::ApproxDialect>(); }};
}

extern "C" __attribute__((visibility("default"))) mlir::PassPluginLibraryInfo
mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "approx", LLVM_VERSION_STRING, [] {
            asnet::registerApproxPasses();
            asnet::registerApproxLoweringPasses();
            asnet::registerApproxPipelines();
          }};
}
