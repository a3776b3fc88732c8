// SPDX-License-Identifier: Apache-2.0
// The Python module asnet_mlir.evolution._evolve.  A handful of functions, so plain CPython and no
// binding library.

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "Search.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>

using namespace asnet::evolution;

namespace {

constexpr const char *kProblem = "asnet_mlir.evolution.Problem";

/// A contiguous buffer of Python, released at the end.
class Buffer {
public:
  explicit Buffer(PyObject *object) {
    isOpen = PyObject_GetBuffer(object, &view, PyBUF_C_CONTIGUOUS) == 0;
  }
  ~Buffer() {
    if (isOpen)
      PyBuffer_Release(&view);
  }
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;

  explicit operator bool() const { return isOpen; }
  template <typename T>
  const T *as() const {
    return static_cast<const T *>(view.buf);
  }
  template <typename T>
  size_t size() const {
    return static_cast<size_t>(view.len) / sizeof(T);
  }

private:
  Py_buffer view;
  bool isOpen;
};

struct Decref {
  void operator()(PyObject *object) const { Py_XDECREF(object); }
};
using Owned = std::unique_ptr<PyObject, Decref>;

bool fail(const char *text) {
  PyErr_SetString(PyExc_ValueError, text);
  return false;
}

void deleteProblem(PyObject *capsule) {
  delete static_cast<Problem *>(PyCapsule_GetPointer(capsule, kProblem));
}

Problem *problemOf(PyObject *capsule) {
  return static_cast<Problem *>(PyCapsule_GetPointer(capsule, kProblem));
}

void fill(std::vector<Plane> &planes, const Buffer &buffer, uint64_t words) {
  for (size_t start = 0; start < buffer.size<uint64_t>(); start += words) {
    planes.emplace_back(words);
    std::memcpy(planes.back().get(), buffer.as<uint64_t>() + start, words * sizeof(uint64_t));
  }
}

/// Returns `Problem::weightedBlocks` of weights, or None, that were read already.
unsigned weightedBlocks(PyObject *weights, unsigned blocks) {
  if (weights == Py_None)
    return 0;
  Buffer values(weights);
  if (!values)
    return 0;
  const auto *first = values.as<double>(), *last = first + values.size<double>();
  if (!std::is_sorted(first, last, std::greater<>()))
    return 0;
  const auto weighted = std::find(first, last, 0.0) - first;
  return std::min(blocks, 1 + static_cast<unsigned>((weighted - 1) / (64 * kBlockWords)));
}

PyObject *makeProblem(PyObject *, PyObject *arguments) {
  PyObject *inputs, *exact, *weights[kWeightings];
  unsigned long long words, drawnWords;
  int isSigned;
  const char *isa;
  if (!PyArg_ParseTuple(arguments, "OOKKpOOz", &inputs, &exact, &words, &drawnWords, &isSigned,
                        &weights[0], &weights[1], &isa))
    return nullptr;
  const Kernels *kernels = chooseKernels(isa);
  if (!kernels) {
    PyErr_Format(PyExc_ValueError, "this processor has no '%s'", isa);
    return nullptr;
  }
  try {
    auto problem = std::make_unique<Problem>();
    problem->words = words;
    problem->drawnWords = drawnWords;
    problem->isSigned = isSigned != 0;
    problem->kernels = kernels;
    Buffer inputBits(inputs), exactBits(exact);
    if (!inputBits || !exactBits)
      return nullptr;
    const bool isWhole = words != 0 && words % kBlockWords == 0 && drawnWords % kBlockWords == 0 &&
                         inputBits.size<uint64_t>() % (words + drawnWords) == 0 &&
                         exactBits.size<uint64_t>() % words == 0;
    if (!isWhole || inputBits.size<uint64_t>() == 0 || exactBits.size<uint64_t>() == 0 ||
        exactBits.size<uint64_t>() / words > kMostOutputs)
      return fail("planes are whole blocks, of at least one input and at most 64 outputs"), nullptr;
    // A mean of relative errors stays below 2^22, one of absolute errors below 2^(bits + 1).
    problem->scale[0] = 0x1p30;
    problem->scale[1] = std::ldexp(1.0, 51 - static_cast<int>(exactBits.size<uint64_t>() / words));
    fill(problem->inputs, inputBits, words + drawnWords);
    fill(problem->exact, exactBits, words);
    for (unsigned w = 0; w < kWeightings; ++w) {
      if (weights[w] == Py_None)
        continue;
      Buffer values(weights[w]);
      if (!values)
        return nullptr;
      if (values.size<double>() != problem->pairs())
        return fail("a weight for each pair"), nullptr;
      problem->weights[w].resize(problem->pairs());
      constexpr uint64_t kBlockPairs = 64 * kBlockWords;
      for (uint64_t pair = 0; pair < problem->pairs(); ++pair)
        problem->weights[w][pair - pair % kBlockPairs +
                            weightPosition(static_cast<unsigned>(pair % kBlockPairs))] =
            values.as<double>()[pair];
    }
    problem->weightedBlocks = weightedBlocks(weights[1], problem->blocks());
    return PyCapsule_New(problem.release(), kProblem, deleteProblem);
  } catch (const std::bad_alloc &) {
    return PyErr_NoMemory();
  }
}

/// Reads (gates: int64 triples of operands and kind, outputs: int64 literals).
bool readCircuit(PyObject *pair, size_t inputs, size_t bits, Circuit &circuit) {
  PyObject *gates, *outputs;
  if (!PyArg_ParseTuple(pair, "OO", &gates, &outputs))
    return false;
  Buffer gateRows(gates), outputRow(outputs);
  if (!gateRows || !outputRow)
    return false;
  uint64_t variables = inputs + 1;
  for (size_t i = 0; i + 2 < gateRows.size<int64_t>(); i += 3) {
    const int64_t *row = gateRows.as<int64_t>() + i;
    if (row[0] < 0 || row[1] < 0 || static_cast<uint64_t>(row[0]) >= 2 * variables ||
        static_cast<uint64_t>(row[1]) >= 2 * variables)
      return fail("a gate's operands stand before it");
    circuit.gates.push_back(
        {static_cast<uint32_t>(row[0]), static_cast<uint32_t>(row[1]), row[2] != 0});
    ++variables;
  }
  for (size_t k = 0; k < outputRow.size<int64_t>(); ++k) {
    const int64_t literal = outputRow.as<int64_t>()[k];
    if (literal < 0 || static_cast<uint64_t>(literal) >= 2 * variables)
      return fail("an output is a literal of the circuit");
    circuit.outputs.push_back(static_cast<uint32_t>(literal));
  }
  if (circuit.outputs.size() != bits)
    return fail("as many outputs as the exact results have bits");
  return true;
}

/// Returns the bytes of numbers; "y#" would make None of an empty vector's.
PyObject *bytesOf(const std::vector<int64_t> &numbers) {
  const char *start = numbers.empty() ? "" : reinterpret_cast<const char *>(numbers.data());
  return PyBytes_FromStringAndSize(start,
                                   static_cast<Py_ssize_t>(numbers.size() * sizeof(int64_t)));
}

PyObject *toPython(const Circuit &circuit) {
  std::vector<int64_t> gates, outputs(circuit.outputs.begin(), circuit.outputs.end());
  for (const Gate &gate : circuit.gates)
    gates.insert(gates.end(), {gate.a, gate.b, gate.isXor});
  Owned gateBytes(bytesOf(gates)), outputBytes(bytesOf(outputs));
  if (!gateBytes || !outputBytes)
    return nullptr;
  return PyTuple_Pack(2, gateBytes.get(), outputBytes.get());
}

PyObject *figures(const ErrorSums &sums, uint64_t pairs) {
  return Py_BuildValue("(dKddddd)", figure(Metric::MAE, sums, pairs),
                       static_cast<unsigned long long>(sums.worst), figure(Metric::EP, sums, pairs),
                       static_cast<double>(sums.error) / static_cast<double>(pairs),
                       figure(Metric::Weighted0, sums, pairs),
                       figure(Metric::Weighted1, sums, pairs), sums.weightedError);
}

PyObject *measureCircuit(PyObject *, PyObject *arguments) {
  PyObject *capsule, *pair;
  if (!PyArg_ParseTuple(arguments, "OO", &capsule, &pair))
    return nullptr;
  Problem *problem = problemOf(capsule);
  Circuit circuit;
  if (!problem || !readCircuit(pair, problem->inputs.size(), problem->exact.size(), circuit))
    return nullptr;
  ErrorSums sums;
  Py_BEGIN_ALLOW_THREADS;
  sums = measure(*problem, circuit);
  Py_END_ALLOW_THREADS;
  return figures(sums, problem->pairs());
}

PyObject *measureAllPairs(PyObject *, PyObject *arguments) {
  PyObject *pair, *exactPair;
  unsigned inputs, bits;
  int isSigned;
  unsigned long long first, blocks;
  if (!PyArg_ParseTuple(arguments, "IIpOOKK", &inputs, &bits, &isSigned, &pair, &exactPair, &first,
                        &blocks))
    return nullptr;
  Circuit circuit, exact;
  if (bits == 0 || bits > kMostOutputs)
    return fail("from 1 to 64 outputs"), nullptr;
  if (!readCircuit(pair, inputs, bits, circuit) || !readCircuit(exactPair, inputs, bits, exact))
    return nullptr;
  ErrorSums sums;
  uint64_t worstBlock = first;
  Py_BEGIN_ALLOW_THREADS;
  sums = measureAll(*chooseKernels(nullptr), inputs, isSigned != 0, circuit, exact, first, blocks,
                    worstBlock);
  Py_END_ALLOW_THREADS;
  return Py_BuildValue(
      "(KKLKK)", static_cast<unsigned long long>(sums.absolute),
      static_cast<unsigned long long>(sums.wrong), static_cast<long long>(sums.error),
      static_cast<unsigned long long>(sums.worst), static_cast<unsigned long long>(worstBlock));
}

bool readGoal(PyObject *arguments, Goal &goal) {
  PyObject *bounds, *limits;
  int metric, objective;
  if (!PyArg_ParseTuple(arguments, "iOOiIII", &metric, &bounds, &limits, &objective,
                        &goal.areaOfAnd, &goal.areaOfXor, &goal.powerOfRegister))
    return false;
  if (metric < 0 || metric >= static_cast<int>(kMetrics) || objective < 0 || objective > 2)
    return fail("an unknown metric or objective");
  goal.metric = static_cast<Metric>(metric);
  goal.objective = static_cast<Objective>(objective);
  Buffer boundValues(bounds), limitValues(limits);
  if (!boundValues || !limitValues)
    return false;
  goal.bounds.assign(boundValues.as<double>(),
                     boundValues.as<double>() + boundValues.size<double>());
  if (goal.bounds.empty() || limitValues.size<double>() != kMetrics)
    return fail("at least one bound, and a limit for each metric");
  std::copy(limitValues.as<double>(), limitValues.as<double>() + kMetrics, goal.limits.begin());
  return true;
}

/// Puts circuits into a new archive.
bool readArchive(PyObject *sequence, const Problem &problem, const Goal &goal,
                 std::vector<Elite> &archive) {
  archive.resize(goal.bounds.size());
  Owned fast(PySequence_Fast(sequence, "expected a sequence of circuits"));
  if (!fast)
    return false;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.get()); ++i) {
    Elite elite;
    if (!readCircuit(PySequence_Fast_GET_ITEM(fast.get(), i), problem.inputs.size(),
                     problem.exact.size(), elite.circuit))
      return false;
    Py_BEGIN_ALLOW_THREADS;
    elite.sums = measure(problem, elite.circuit);
    elite.cost = costOf(problem, goal, elite.circuit);
    Py_END_ALLOW_THREADS;
    insert(archive, goal, elite, problem.pairs());
  }
  return true;
}

PyObject *searchCircuits(PyObject *, PyObject *arguments) {
  PyObject *capsule, *goalTuple, *circuits;
  unsigned long long seed, candidates;
  if (!PyArg_ParseTuple(arguments, "OOOKK", &capsule, &goalTuple, &circuits, &seed, &candidates))
    return nullptr;
  Problem *problem = problemOf(capsule);
  Goal goal;
  std::vector<Elite> archive;
  if (!problem || !readGoal(goalTuple, goal))
    return nullptr;
  Counts counts;
  try {
    if (!readArchive(circuits, *problem, goal, archive))
      return nullptr;
    if (archive.back().cost == std::numeric_limits<uint64_t>::max())
      return fail("no circuit keeps the bounds"), nullptr;
    Py_BEGIN_ALLOW_THREADS;
    if (candidates)
      counts = search(*problem, goal, archive, seed, candidates);
    Py_END_ALLOW_THREADS;
  } catch (const std::bad_alloc &) {
    return PyErr_NoMemory();
  }
  Owned list(PyList_New(0));
  if (!list)
    return nullptr;
  for (const Elite &elite : archive) {
    Owned item;
    if (elite.cost == std::numeric_limits<uint64_t>::max()) {
      item.reset(Py_NewRef(Py_None));
    } else {
      Owned circuit(toPython(elite.circuit));
      if (!circuit)
        return nullptr;
      item.reset(Py_BuildValue("(OK)", circuit.get(), static_cast<unsigned long long>(elite.cost)));
    }
    if (!item || PyList_Append(list.get(), item.get()) != 0)
      return nullptr;
  }
  return Py_BuildValue(
      "(O(KKKKKK))", list.get(), static_cast<unsigned long long>(counts.candidates),
      static_cast<unsigned long long>(counts.measured),
      static_cast<unsigned long long>(counts.whole), static_cast<unsigned long long>(counts.gates),
      static_cast<unsigned long long>(counts.accepted),
      static_cast<unsigned long long>(counts.improved));
}

PyMethodDef methods[] = {
    {"problem", makeProblem, METH_VARARGS,
     "problem(inputs, exact, words, drawn, signed, weights0, weights1, isa)\n--\n\n"
     "Pairs in planes (uint64[bits, words], inputs with drawn more, of which activity is) and "
     "weights (float64[64 * words] or None)."},
    {"measure", measureCircuit, METH_VARARGS,
     "measure(problem, circuit)\n--\n\n"
     "MAE, WCE, EP, bias, both weighted means and the last one's bias of (int64[gates, 3], "
     "int64[outputs])."},
    {"measure_all", measureAllPairs, METH_VARARGS,
     "measure_all(inputs, bits, signed, circuit, exact, first_block, blocks)\n--\n\n"
     "Sums of |error|, of wrong pairs and of errors, the worst and its block, over 4,096 pairs a "
     "block."},
    {"search", searchCircuits, METH_VARARGS,
     "search(problem, goal, circuits, seed, candidates)\n--\n\n"
     "Elites (circuit, cost) or None for each bound, and counts."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    "_evolve",
    "Evolution of circuits.",
    -1,
    methods,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
};

} // namespace

// NOLINTNEXTLINE(bugprone-reserved-identifier): Python looks for it by this name.
PyMODINIT_FUNC PyInit__evolve() { return PyModule_Create(&module); }
