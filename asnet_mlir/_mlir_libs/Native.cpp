// The Python module asnet_mlir._mlir_libs._asnet: one function, so plain CPython and no binding
// library.

#include "dialects/approx/Approx.h"
#include "lowering/Lowering.h"
#include "passes/Passes.h"

#include "mlir-c/IR.h"
#include "mlir/CAPI/IR.h"

#include <Python.h>

#include "mlir-c/Bindings/Python/Interop.h"

static PyObject *registerDialects(PyObject *, PyObject *pythonRegistry) {
  // MLIR's Python objects give a capsule of their C counterparts to other modules.
  PyObject *capsule = PyObject_GetAttrString(pythonRegistry, MLIR_PYTHON_CAPI_PTR_ATTR);
  if (!capsule)
    return nullptr;
  MlirDialectRegistry registry = mlirPythonCapsuleToDialectRegistry(capsule);
  Py_DECREF(capsule);
  if (mlirDialectRegistryIsNull(registry))
    return nullptr;
  unwrap(registry)->insert<asnet::approx::ApproxDialect>();
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"register_dialects", registerDialects, METH_O,
     "register_dialects(registry)\n--\n\nRegister the approx dialect into a DialectRegistry."},
    {nullptr, nullptr, 0, nullptr},
};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_asnet", "Registration of the approx dialect and its passes.", -1, methods,
    nullptr, nullptr, nullptr, nullptr,
};

PyMODINIT_FUNC PyInit__asnet() {
  asnet::registerApproxPasses();
  asnet::registerApproxLoweringPasses();
  return PyModule_Create(&module);
}
