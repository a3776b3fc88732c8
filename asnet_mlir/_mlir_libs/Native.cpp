// SPDX-License-Identifier: Apache-2.0
// The Python module asnet_mlir._mlir_libs._asnet: registration of the dialect, native code, and the
// runner.  A handful of functions, so plain CPython and no binding library.

#include "Contraction.h"
#include "Objects.h"
#include "Runner.h"

#include "dialects/approx/Approx.h"
#include "lowering/Lowering.h"
#include "lowering/Pipelines.h"
#include "passes/Passes.h"

#include "mlir-c/IR.h"
#include "mlir/CAPI/IR.h"

#include <Python.h>

#include "mlir-c/Bindings/Python/Interop.h"

#include <chrono>

using namespace asnet;

namespace {
struct Decref {
  void operator()(PyObject *object) const { Py_XDECREF(object); }
};
using Owned = std::unique_ptr<PyObject, Decref>;

PyObject *fail(llvm::Error error) {
  PyErr_SetString(PyExc_RuntimeError, llvm::toString(std::move(error)).c_str());
  return nullptr;
}

/// MLIR's Python objects give a capsule of their C counterparts to other modules.
Owned capsuleOf(PyObject *object) {
  return Owned(PyObject_GetAttrString(object, MLIR_PYTHON_CAPI_PTR_ATTR));
}

//===----------------------------------------------------------------------===//
// Dialect
//===----------------------------------------------------------------------===//

PyObject *registerDialects(PyObject *, PyObject *pythonRegistry) {
  Owned capsule = capsuleOf(pythonRegistry);
  if (!capsule)
    return nullptr;
  MlirDialectRegistry registry = mlirPythonCapsuleToDialectRegistry(capsule.get());
  if (mlirDialectRegistryIsNull(registry))
    return nullptr;
  unwrap(registry)->insert<approx::ApproxDialect>();
  Py_RETURN_NONE;
}

//===----------------------------------------------------------------------===//
// Native code
//===----------------------------------------------------------------------===//

constexpr const char *kObject = "asnet_mlir.LoadedObject", *kPlan = "asnet_mlir.Plan";

PyObject *host(PyObject *, PyObject *) { return PyUnicode_FromString(describeHost().c_str()); }

PyObject *compile(PyObject *, PyObject *arguments) {
  PyObject *pythonModule;
  unsigned level;
  if (!PyArg_ParseTuple(arguments, "OI", &pythonModule, &level))
    return nullptr;
  Owned capsule = capsuleOf(pythonModule);
  if (!capsule)
    return nullptr;
  MlirModule module = mlirPythonCapsuleToModule(capsule.get());
  if (mlirModuleIsNull(module))
    return nullptr;
  // The module's context belongs to the caller, so that several threads may compile at once.
  PyThreadState *state = PyEval_SaveThread();
  llvm::Expected<llvm::SmallVector<char, 0>> object = compileObject(unwrap(module), level);
  PyEval_RestoreThread(state);
  if (!object)
    return fail(object.takeError());
  return PyBytes_FromStringAndSize(object->data(), object->size());
}

void deleteObject(PyObject *capsule) {
  delete static_cast<LoadedObject *>(PyCapsule_GetPointer(capsule, kObject));
}

PyObject *load(PyObject *, PyObject *arguments) {
  const char *bytes;
  Py_ssize_t size;
  PyObject *symbols;
  if (!PyArg_ParseTuple(arguments, "y#O!", &bytes, &size, &PyDict_Type, &symbols))
    return nullptr;
  std::vector<std::pair<std::string, uint64_t>> addresses;
  PyObject *key, *value;
  Py_ssize_t position = 0;
  while (PyDict_Next(symbols, &position, &key, &value)) {
    const char *name = PyUnicode_AsUTF8(key);
    uint64_t address = name ? PyLong_AsUnsignedLongLong(value) : 0;
    if (PyErr_Occurred())
      return nullptr;
    addresses.emplace_back(name, address);
  }
  auto loaded = LoadedObject::load(llvm::StringRef(bytes, size), addresses);
  if (!loaded)
    return fail(loaded.takeError());
  return PyCapsule_New(loaded->release(), kObject, deleteObject);
}

PyObject *lookup(PyObject *, PyObject *arguments) {
  PyObject *capsule;
  const char *name;
  if (!PyArg_ParseTuple(arguments, "Os", &capsule, &name))
    return nullptr;
  auto *object = static_cast<LoadedObject *>(PyCapsule_GetPointer(capsule, kObject));
  if (!object)
    return nullptr;
  llvm::Expected<uint64_t> address = object->lookup(name);
  if (!address)
    return fail(address.takeError());
  return PyLong_FromUnsignedLongLong(*address);
}

//===----------------------------------------------------------------------===//
// Runner
//===----------------------------------------------------------------------===//

void deletePlan(PyObject *capsule) {
  delete static_cast<Plan *>(PyCapsule_GetPointer(capsule, kPlan));
}

/// Reads a sequence of integers.
bool readIntegers(PyObject *sequence, std::vector<int64_t> &values) {
  Owned fast(PySequence_Fast(sequence, "expected a sequence of integers"));
  if (!fast)
    return false;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.get()); ++i) {
    values.push_back(PyLong_AsLongLong(PySequence_Fast_GET_ITEM(fast.get(), i)));
    if (PyErr_Occurred())
      return false;
  }
  return true;
}

PyObject *plan(PyObject *, PyObject *arguments) {
  PyObject *pythonStages, *pythonSizes;
  if (!PyArg_ParseTuple(arguments, "OO", &pythonStages, &pythonSizes))
    return nullptr;
  std::vector<int64_t> sizes;
  if (!readIntegers(pythonSizes, sizes))
    return nullptr;
  Owned fast(PySequence_Fast(pythonStages, "expected a sequence of stages"));
  if (!fast)
    return nullptr;
  std::vector<Stage> stages;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.get()); ++i) {
    unsigned long long address;
    PyObject *kinds, *payloads;
    if (!PyArg_ParseTuple(PySequence_Fast_GET_ITEM(fast.get(), i), "KOO", &address, &kinds,
                          &payloads))
      return nullptr;
    std::vector<int64_t> kindValues, payloadValues;
    if (!readIntegers(kinds, kindValues) || !readIntegers(payloads, payloadValues))
      return nullptr;
    Stage stage{reinterpret_cast<Stage::Entry>(address), {}};
    if (kindValues.size() != payloadValues.size()) {
      PyErr_SetString(PyExc_ValueError, "a stage has as many kinds as payloads");
      return nullptr;
    }
    for (size_t j = 0; j < kindValues.size(); ++j) {
      auto kind = static_cast<StageArgument::Kind>(kindValues[j]);
      if (kind == StageArgument::Value &&
          (payloadValues[j] < 0 || payloadValues[j] >= static_cast<int64_t>(sizes.size()))) {
        PyErr_SetString(PyExc_ValueError, "a stage takes a value that the plan does not have");
        return nullptr;
      }
      stage.arguments.push_back({kind, payloadValues[j]});
    }
    stages.push_back(std::move(stage));
  }
  auto *made = new Plan(std::move(stages), std::move(sizes));
  return PyCapsule_New(made, kPlan, deletePlan);
}

/// Returns the plan, or null with an error set.
Plan *readRun(PyObject *capsule, PyObject *pythonBases, std::vector<Placement> &placements) {
  auto *plan = static_cast<Plan *>(PyCapsule_GetPointer(capsule, kPlan));
  std::vector<int64_t> bases;
  if (!plan || !readIntegers(pythonBases, bases))
    return nullptr;
  if (bases.size() != plan->countValues()) {
    PyErr_SetString(PyExc_ValueError, "a base address for each value of the plan, 0 for none");
    return nullptr;
  }
  placements.reserve(bases.size());
  for (int64_t base : bases)
    placements.push_back({reinterpret_cast<char *>(base)});
  return plan;
}

PyObject *memory(PyObject *, PyObject *arguments) {
  PyObject *capsule, *pythonBases;
  if (!PyArg_ParseTuple(arguments, "OO", &capsule, &pythonBases))
    return nullptr;
  std::vector<Placement> placements;
  Plan *plan = readRun(capsule, pythonBases, placements);
  return plan ? PyLong_FromLongLong(plan->memoryOf(placements)) : nullptr;
}

PyObject *run(PyObject *, PyObject *arguments) {
  PyObject *capsule, *pythonBases;
  long long blocks, threads;
  if (!PyArg_ParseTuple(arguments, "OOLL", &capsule, &pythonBases, &blocks, &threads))
    return nullptr;
  std::vector<Placement> placements;
  Plan *plan = readRun(capsule, pythonBases, placements);
  if (!plan)
    return nullptr;

  // Other Python threads go on, and Ctrl-C is answered, while native code runs.
  bool raised = false, complete = false;
  std::string problem;
  PyThreadState *state = PyEval_SaveThread();
  using Clock = std::chrono::steady_clock;
  Clock::time_point asked = Clock::now();
  try {
    complete = plan->run(placements, blocks, threads, [&] {
      if (Clock::now() - asked < std::chrono::milliseconds(100))
        return false;
      asked = Clock::now();
      PyEval_RestoreThread(state);
      raised = PyErr_CheckSignals() != 0;
      state = PyEval_SaveThread();
      return raised;
    });
  } catch (const std::exception &error) {
    problem = error.what();
  }
  PyEval_RestoreThread(state);
  if (!problem.empty()) {
    PyErr_SetString(PyExc_MemoryError, problem.c_str());
    return nullptr;
  }
  if (!complete)
    return nullptr;
  Py_RETURN_NONE;
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

constexpr const char *kContraction = "asnet_mlir.Contraction";

/// The best first.
constexpr std::pair<const char *, Vectors> kVectors[] = {
    {"avx512", Vectors::Avx512}, {"avx2", Vectors::Avx2}, {"portable", Vectors::Portable}};

void deleteContraction(PyObject *capsule) {
  delete static_cast<Contraction *>(PyCapsule_GetPointer(capsule, kContraction));
}

PyObject *contraction(PyObject *, PyObject *arguments) {
  PyObject *loops[5], *shifts;
  long long offsets[3], lanes;
  int adds;
  const char *name;
  Py_buffer weights{}, lefts{}, rights{}, constants{};
  if (!PyArg_ParseTuple(arguments, "(OOOOO)(LLL)Lpy*Oy*y*y*s", &loops[0], &loops[1], &loops[2],
                        &loops[3], &loops[4], &offsets[0], &offsets[1], &offsets[2], &lanes, &adds,
                        &weights, &shifts, &lefts, &rights, &constants, &name))
    return nullptr;
  struct Release {
    std::array<Py_buffer *, 4> buffers;
    ~Release() {
      for (Py_buffer *buffer : buffers)
        PyBuffer_Release(buffer);
    }
  } release{{&weights, &lefts, &rights, &constants}};
  ContractionShape shape;
  std::vector<int64_t> *fields[] = {&shape.ranges, &shape.reduces, &shape.x, &shape.w, &shape.y};
  for (int i = 0; i < 5; ++i)
    if (!readIntegers(loops[i], *fields[i]))
      return nullptr;
  shape.xOffset = offsets[0];
  shape.wOffset = offsets[1];
  shape.yOffset = offsets[2];
  shape.lanes = lanes;
  shape.adds = adds;
  Vectors vectors{};
  bool isKnown = false;
  for (auto [known, value] : kVectors)
    if (known == std::string_view(name)) {
      vectors = value;
      isKnown = true;
    }
  if (!isKnown || !Contraction::supports(vectors, lanes)) {
    PyErr_Format(PyExc_ValueError, "no vectors '%s' of %lld lanes on this processor", name, lanes);
    return nullptr;
  }
  const auto *codes = static_cast<const uint8_t *>(weights.buf);
  Contraction *made;
  if (shifts == Py_None) {
    if (lefts.len != 65536 * 4) {
      PyErr_SetString(PyExc_ValueError, "a table has 256 x 256 words");
      return nullptr;
    }
    made = new Contraction(shape, codes, static_cast<const int32_t *>(lefts.buf), vectors);
  } else {
    std::vector<int64_t> powers;
    if (!readIntegers(shifts, powers))
      return nullptr;
    auto size = static_cast<Py_ssize_t>(256 * powers.size());
    if (lefts.len != size || rights.len != size || constants.len != 1024) {
      PyErr_SetString(PyExc_ValueError, "a pass has 256 bytes for each operand");
      return nullptr;
    }
    std::vector<LiftedPass> passes(powers.size());
    for (size_t i = 0; i < passes.size(); ++i) {
      memcpy(passes[i].left.data(), static_cast<const char *>(lefts.buf) + 256 * i, 256);
      memcpy(passes[i].right.data(), static_cast<const char *>(rights.buf) + 256 * i, 256);
      passes[i].shift = static_cast<int>(powers[i]);
    }
    std::array<int32_t, 256> given;
    memcpy(given.data(), constants.buf, sizeof(given));
    made = new Contraction(shape, codes, std::move(passes), given, vectors);
  }
  return PyCapsule_New(made, kContraction, deleteContraction);
}

PyObject *contractionAddress(PyObject *, PyObject *capsule) {
  void *address = PyCapsule_GetPointer(capsule, kContraction);
  return address ? PyLong_FromVoidPtr(address) : nullptr;
}

PyObject *contractAddress(PyObject *, PyObject *) {
  return PyLong_FromVoidPtr(reinterpret_cast<void *>(&asnet_contract));
}

PyObject *vectorsFor(PyObject *, PyObject *argument) {
  long long lanes = PyLong_AsLongLong(argument);
  if (PyErr_Occurred())
    return nullptr;
  PyObject *names = PyList_New(0);
  for (auto [name, vectors] : kVectors)
    if (names && Contraction::supports(vectors, lanes)) {
      PyObject *text = PyUnicode_FromString(name);
      if (!text || PyList_Append(names, text) < 0)
        Py_CLEAR(names);
      Py_XDECREF(text);
    }
  return names;
}

PyMethodDef methods[] = {
    {"contraction", contraction, METH_VARARGS,
     "contraction((ranges, reduces, x, w, y), offsets, lanes, adds, weights, shifts, lefts, rights, "
     "constants, vectors)\n--\n\nA contraction for given weights; without shifts, `lefts` is a "
     "table of int32[256 weights][256 codes]."},
    {"contraction_address", contractionAddress, METH_O,
     "contraction_address(contraction)\n--\n\nWhat `asnet_contract` takes first."},
    {"contract_address", contractAddress, METH_NOARGS,
     "contract_address()\n--\n\nThe address of `asnet_contract`."},
    {"vectors_for", vectorsFor, METH_O,
     "vectors_for(lanes)\n--\n\nInstructions that contractions of so many lanes have code for on this "
     "processor, the best first: 'avx512', 'avx2', 'portable'."},
    {"register_dialects", registerDialects, METH_O,
     "register_dialects(registry)\n--\n\nRegister the approx dialect into a DialectRegistry."},
    {"host", host, METH_NOARGS,
     "host()\n--\n\nProcessor, features and LLVM version that native code depends on."},
    {"compile", compile, METH_VARARGS,
     "compile(module, level)\n--\n\nA module in the LLVM dialect as an object file, in bytes."},
    {"load", load, METH_VARARGS,
     "load(object, symbols)\n--\n\nLoad an object; `symbols` has addresses of what it refers to."},
    {"lookup", lookup, METH_VARARGS,
     "lookup(loaded, name)\n--\n\nThe address of a symbol of a loaded object."},
    {"plan", plan, METH_VARARGS,
     "plan(stages, sizes)\n--\n\nStages (address, kinds, payloads) over values of `sizes` bytes a "
     "block; kinds are 0 value, 1 constant address, 2 arena of so many bytes."},
    {"memory", memory, METH_VARARGS,
     "memory(plan, bases)\n--\n\nBytes that each thread of a run takes."},
    {"run", run, METH_VARARGS,
     "run(plan, bases, blocks, threads)\n--\n\nRun a plan; values without a base are scratch memory."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    "_asnet",
    "The approx dialect, native code and its runner.",
    -1,
    methods,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
};
} // namespace

// NOLINTNEXTLINE(bugprone-reserved-identifier): Python looks for it by this name.
PyMODINIT_FUNC PyInit__asnet() {
  registerApproxPasses();
  registerApproxLoweringPasses();
  registerApproxPipelines();
  return PyModule_Create(&module);
}
