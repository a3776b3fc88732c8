// What Native.cpp needs from MLIR's C++ API, as C functions (see CMakeLists.txt).

#include "dialects/approx/Approx.h"
#include "lowering/Lowering.h"
#include "passes/Passes.h"

#include "mlir-c/IR.h"
#include "mlir/CAPI/IR.h"

extern "C" void asnetRegisterDialects(MlirDialectRegistry registry) {
  unwrap(registry)->insert<asnet::approx::ApproxDialect>();
}

extern "C" void asnetRegisterPasses() {
  asnet::registerApproxPasses();
  asnet::registerApproxLoweringPasses();
}
