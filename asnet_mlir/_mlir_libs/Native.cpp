// The Python module asnet_mlir._mlir_libs._asnet.

#include "mlir-c/IR.h"
#include "mlir/Bindings/Python/NanobindAdaptors.h"

#include <nanobind/nanobind.h>

namespace nb = nanobind;

extern "C" void asnetRegisterDialects(MlirDialectRegistry registry);
extern "C" void asnetRegisterPasses();

NB_MODULE(_asnet, module) {
  module.doc() = "Registration of the approx dialect and its passes.";
  asnetRegisterPasses();
  module.def(
      "register_dialects", [](MlirDialectRegistry registry) { asnetRegisterDialects(registry); },
      nb::arg("registry"), "Register the approx dialect into an MLIR dialect registry.");
}
