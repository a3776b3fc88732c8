// SPDX-License-Identifier: Apache-2.0
#include "Problem.h"

#include <algorithm>
#include <cmath>

namespace asnet::evolution {

double figure(Metric metric, const ErrorSums &sums, uint64_t pairs) {
  const auto count = static_cast<double>(pairs);
  switch (metric) {
  case Metric::MAE:
    return static_cast<double>(sums.absolute) / count;
  case Metric::WCE:
    return static_cast<double>(sums.worst);
  case Metric::EP:
    return static_cast<double>(sums.wrong) / count;
  case Metric::Bias:
    return std::fabs(static_cast<double>(sums.error)) / count;
  case Metric::Weighted0:
    return sums.weighted[0];
  case Metric::Weighted1:
    return sums.weighted[1];
  case Metric::WeightedBias:
    return std::fabs(sums.weightedError);
  }
  return 0;
}

namespace {

constexpr uint64_t kBlockPairs = 64 * kBlockWords;
/// Inputs that have other values within a run of blocks, where all pairs are looked at.
constexpr unsigned kRunBits = 16;

/// A circuit's gates, computed for one block after the other.
class BlockEvaluator {
public:
  /// `inputs` points to the words of each input.
  BlockEvaluator(const Kernels &kernels, const Circuit &circuit,
                 std::vector<const uint64_t *> inputs)
      : kernels(kernels), zero(kBlockWords) {
    std::fill(zero.get(), zero.get() + kBlockWords, 0);
    std::vector<const uint64_t *> variables{zero.get()};
    variables.insert(variables.end(), inputs.begin(), inputs.end());
    for (const Gate &gate : circuit.gates) {
      planes.emplace_back(kBlockWords);
      operations.push_back({variables[gate.a >> 1], variables[gate.b >> 1], planes.back().get(),
                            gate.a & 1 ? ~0ull : 0, gate.b & 1 ? ~0ull : 0, gate.isXor});
      variables.push_back(planes.back().get());
    }
    for (uint32_t literal : circuit.outputs) {
      outputs.push_back(variables[literal >> 1]);
      inverted.push_back(literal & 1 ? ~0ull : 0);
    }
  }

  void run() { kernels.gates(operations.data(), static_cast<unsigned>(operations.size()), 0); }
  const std::vector<Plane> &gatePlanes() const { return planes; }

  std::vector<const uint64_t *> outputs;
  std::vector<uint64_t> inverted;

private:
  const Kernels &kernels;
  Plane zero;
  std::vector<Plane> planes;
  std::vector<GateOperation> operations;
};

/// Copies a block's words of all inputs to where an evaluator reads them.
class BlockInputs {
public:
  explicit BlockInputs(size_t count) {
    for (size_t i = 0; i < count; ++i)
      planes.emplace_back(kBlockWords);
  }
  std::vector<const uint64_t *> pointers() const {
    std::vector<const uint64_t *> result;
    result.reserve(planes.size());
    for (const Plane &plane : planes)
      result.push_back(plane.get());
    return result;
  }
  void load(const Problem &problem, uint64_t block) {
    for (size_t i = 0; i < planes.size(); ++i)
      std::copy_n(problem.inputs[i].get() + block * kBlockWords, kBlockWords, planes[i].get());
  }
  /// Writes the bits of the numbers of a block's pairs.
  void count(uint64_t block) {
    constexpr uint64_t kPatterns[] = {0xAAAAAAAAAAAAAAAAull, 0xCCCCCCCCCCCCCCCCull,
                                      0xF0F0F0F0F0F0F0F0ull, 0xFF00FF00FF00FF00ull,
                                      0xFFFF0000FFFF0000ull, 0xFFFFFFFF00000000ull};
    for (size_t k = 0; k < planes.size(); ++k)
      for (unsigned i = 0; i < kBlockWords; ++i) {
        const uint64_t word = block * kBlockWords + i;
        planes[k].get()[i] = k < 6 ? kPatterns[k] : word >> (k - 6) & 1 ? ~0ull : 0;
      }
  }

private:
  std::vector<Plane> planes;
};

/// A circuit's gates for values of its highest inputs: what these decide is not computed.
class FoldedEvaluator {
public:
  /// `inputs` points to the words of the lowest inputs; the others have values by `fold`.
  FoldedEvaluator(const Kernels &kernels, const Circuit &circuit,
                  const std::vector<const uint64_t *> &inputs)
      : kernels(kernels), circuit(circuit), zero(kBlockWords), pointers{zero.get()} {
    std::fill(zero.get(), zero.get() + kBlockWords, 0);
    pointers.insert(pointers.end(), inputs.begin(), inputs.end());
    outputs.resize(circuit.outputs.size());
    inverted.resize(circuit.outputs.size());
  }

  /// Prepares `run` for the values of inputs that are not among the lowest: bit 0 the first one's.
  void fold(unsigned inputs, uint64_t values) {
    // Literals of variables: numbers below `given` are the constant and the lowest inputs.
    const auto given = static_cast<uint32_t>(pointers.size());
    literals.clear();
    for (uint32_t variable = 0; variable < given; ++variable)
      literals.push_back(2 * variable);
    for (uint32_t input = given - 1; input < inputs; ++input)
      literals.push_back(values >> (input - given + 1) & 1);
    left.clear();
    for (const Gate &gate : circuit.gates)
      literals.push_back(folded(literals[gate.a >> 1] ^ (gate.a & 1),
                                literals[gate.b >> 1] ^ (gate.b & 1), gate.isXor, given));
    // How often each of the gates that are left is read: 0 for those that no output needs.
    uses.assign(given + left.size(), 0);
    for (uint32_t literal : circuit.outputs)
      ++uses[literalOf(literal) >> 1];
    for (size_t i = left.size(); i-- > 0;)
      if (uses[given + i]) {
        ++uses[left[i].a >> 1];
        ++uses[left[i].b >> 1];
      }
    place(given);
  }

  void run() { kernels.gates(operations.data(), static_cast<unsigned>(operations.size()), 0); }

  std::vector<const uint64_t *> outputs;
  std::vector<uint64_t> inverted;

private:
  uint32_t literalOf(uint32_t literal) const { return literals[literal >> 1] ^ (literal & 1); }

  /// Returns the literal of a gate, which is new where nothing simpler has its value.
  uint32_t folded(uint32_t x, uint32_t y, bool isXor, uint32_t given) {
    if (x > y)
      std::swap(x, y);
    if (isXor) {
      if (x < 2)
        return y ^ x;
      if (x >> 1 == y >> 1)
        return x ^ y;
    } else {
      if (x == 0 || (x ^ 1) == y)
        return 0;
      if (x == 1 || x == y)
        return y;
    }
    left.push_back({x, y, isXor});
    return 2 * static_cast<uint32_t>(given + left.size() - 1);
  }

  /// Gives the gates that are needed their words, those of gates that are read no more first.
  void place(uint32_t given) {
    pointers.resize(given + left.size());
    operations.clear();
    idle.clear();
    size_t used = 0;
    for (size_t i = 0; i < left.size(); ++i) {
      if (!uses[given + i])
        continue;
      if (idle.empty()) {
        if (used == planes.size())
          planes.emplace_back(kBlockWords);
        idle.push_back(planes[used++].get());
      }
      uint64_t *result = idle.back();
      idle.pop_back();
      pointers[given + i] = result;
      const Gate &gate = left[i];
      operations.push_back({pointers[gate.a >> 1], pointers[gate.b >> 1], result,
                            gate.a & 1 ? ~0ull : 0, gate.b & 1 ? ~0ull : 0, gate.isXor});
      for (uint32_t operand : {gate.a >> 1, gate.b >> 1})
        if (--uses[operand] == 0 && operand >= given)
          idle.push_back(const_cast<uint64_t *>(pointers[operand]));
    }
    for (size_t k = 0; k < outputs.size(); ++k) {
      const uint32_t literal = literalOf(circuit.outputs[k]);
      outputs[k] = pointers[literal >> 1];
      inverted[k] = literal & 1 ? ~0ull : 0;
    }
    pointers.resize(given);
  }

  const Kernels &kernels;
  const Circuit &circuit;
  Plane zero;
  std::vector<const uint64_t *> pointers; ///< to the words of the constant and the lowest inputs
  std::vector<Plane> planes;
  std::vector<uint64_t *> idle; ///< planes whose gates are read no more
  std::vector<GateOperation> operations;
  std::vector<uint32_t> literals, uses;
  std::vector<Gate> left;
};

} // namespace

ErrorSums measure(const Problem &problem, const Circuit &circuit) {
  BlockInputs inputs(problem.inputs.size());
  BlockEvaluator evaluator(*problem.kernels, circuit, inputs.pointers());
  std::vector<const uint64_t *> exact(problem.exact.size());
  ErrorSums sums;
  for (unsigned block = 0; block < problem.blocks(); ++block) {
    const uint64_t offset = uint64_t(block) * kBlockWords;
    inputs.load(problem, block);
    evaluator.run();
    for (size_t k = 0; k < exact.size(); ++k)
      exact[k] = problem.exact[k].get() + offset;
    ErrorRequest request{true, true, true, true, {}, {problem.scale[0], problem.scale[1]}};
    request.weightedError = true;
    for (unsigned w = 0; w < kWeightings; ++w)
      if (!problem.weights[w].empty())
        request.weights[w] = problem.weights[w].data() + 64 * offset;
    problem.kernels->errors(evaluator.outputs.data(), evaluator.inverted.data(), exact.data(),
                            static_cast<unsigned>(exact.size()), problem.isSigned, request, sums);
  }
  return sums;
}

std::vector<uint64_t> countOnes(const Problem &problem, const Circuit &circuit) {
  BlockInputs inputs(problem.inputs.size());
  BlockEvaluator evaluator(*problem.kernels, circuit, inputs.pointers());
  std::vector<uint64_t> ones(circuit.gates.size(), 0);
  const uint64_t first = problem.activityOffset() / kBlockWords;
  for (uint64_t block = first; block < first + problem.activityWords() / kBlockWords; ++block) {
    inputs.load(problem, block);
    evaluator.run();
    for (size_t i = 0; i < ones.size(); ++i)
      ones[i] += problem.kernels->ones(evaluator.gatePlanes()[i].get(), kBlockWords);
  }
  return ones;
}

ErrorSums measureAll(const Kernels &kernels, unsigned inputs, bool isSigned, const Circuit &circuit,
                     const Circuit &exact, uint64_t firstBlock, uint64_t blocks,
                     uint64_t &worstBlock) {
  // The highest inputs have one value in many blocks.
  const unsigned lowest = std::min(inputs, kRunBits);
  BlockInputs numbers(lowest);
  FoldedEvaluator own(kernels, circuit, numbers.pointers());
  FoldedEvaluator other(kernels, exact, numbers.pointers());
  const auto bits = static_cast<unsigned>(exact.outputs.size());
  // The exact bits as they are: the kernel inverts only the circuit's.
  std::vector<Plane> exactPlanes;
  std::vector<const uint64_t *> exactBits;
  for (unsigned k = 0; k < bits; ++k) {
    exactPlanes.emplace_back(kBlockWords);
    exactBits.push_back(exactPlanes.back().get());
  }
  ErrorSums sums;
  for (uint64_t block = firstBlock; block < firstBlock + blocks; ++block) {
    const uint64_t run = block * kBlockPairs >> kRunBits;
    if (block == firstBlock || block * kBlockPairs % (1ull << kRunBits) == 0) {
      own.fold(inputs, run);
      other.fold(inputs, run);
    }
    numbers.count(block);
    own.run();
    other.run();
    for (unsigned k = 0; k < bits; ++k)
      for (unsigned i = 0; i < kBlockWords; ++i)
        exactPlanes[k].get()[i] = other.outputs[k][i] ^ other.inverted[k];
    const uint64_t before = sums.worst;
    kernels.errors(own.outputs.data(), own.inverted.data(), exactBits.data(), bits, isSigned,
                   {true, true, true, true, {}, {1, 1}}, sums);
    if (sums.worst > before)
      worstBlock = block;
  }
  return sums;
}

} // namespace asnet::evolution
