// SPDX-License-Identifier: Apache-2.0
#include "Search.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace asnet::evolution {
namespace {

constexpr uint32_t kNone = ~0u;
/// Candidates of one parent's line before another elite is taken.
constexpr uint64_t kBurst = 2000;
/// Genes that one mutation changes at most.
constexpr unsigned kMostChanges = 6;
/// Signals of which the most similar one is taken.
constexpr unsigned kTries = 8;
/// How much more a unit of delay weighs than one of area.
constexpr uint64_t kDelayWeight = 1ull << 32;
constexpr uint64_t kFullActivity = 1024;

/// The gate that computes a value, in normal form: AND has a < b; XOR has them not inverted too.
struct Value {
  uint32_t a, b;
  bool isXor;
  uint64_t *plane = nullptr; ///< null: not computed
  uint64_t ones = 0;         ///< of the plane, where power is asked for
};

/// All values of a line of circuits, each once: what a candidate shares with its parent, wherever
/// it stands, is not computed again.
class Values {
public:
  Values(const Problem &problem, bool countsOnes)
      : problem(problem), countsOnes(countsOnes), zero(problem.allWords()) {
    std::fill(zero.get(), zero.get() + problem.allWords(), 0);
    values.push_back({kNone, kNone, false, zero.get()});
    for (const Plane &input : problem.inputs)
      values.push_back({kNone, kNone, false, input.get()});
    table.assign(1024, 0);
  }

  uint32_t size() const { return static_cast<uint32_t>(values.size()); }
  uint32_t firstGate() const { return static_cast<uint32_t>(problem.inputs.size()) + 1; }
  Value &operator[](uint32_t value) { return values[value]; }

  /// Returns the literal of a gate, simplified.
  uint32_t gate(uint32_t a, uint32_t b, bool isXor) {
    uint32_t inverted = 0;
    if (isXor) {
      inverted = (a ^ b) & 1;
      a &= ~1u;
      b &= ~1u;
    }
    if (a > b)
      std::swap(a, b);
    if (isXor) {
      if (a == b)
        return inverted;
      if (a == 0)
        return b ^ inverted;
    } else {
      if (a == 0 || (a ^ 1) == b)
        return 0;
      if (a == 1 || a == b)
        return b;
    }
    if (2 * values.size() > table.size())
      grow();
    size_t place = find(a, b, isXor);
    if (!table[place]) {
      table[place] = size();
      values.push_back({a, b, isXor});
    }
    return 2 * table[place] | inverted;
  }

  /// Forgets the values from `count` on: the last ones that were made.
  void shrink(uint32_t count) {
    while (size() > count) {
      const Value &value = values.back();
      table[find(value.a, value.b, value.isXor)] = 0;
      release(value.plane);
      values.pop_back();
    }
  }

  /// Keeps only values that are needed for `literals`, which get their new numbers.
  void compact(std::vector<uint32_t> &literals) {
    std::vector<uint32_t> number(values.size(), kNone);
    for (uint32_t literal : literals)
      number[literal >> 1] = 0;
    for (uint32_t v = size(); v-- > firstGate();)
      if (number[v] != kNone)
        number[values[v].a >> 1] = number[values[v].b >> 1] = 0;
    std::vector<Value> kept;
    for (uint32_t v = 0; v < size(); ++v) {
      if (v >= firstGate() && number[v] == kNone) {
        release(values[v].plane);
        continue;
      }
      number[v] = static_cast<uint32_t>(kept.size());
      kept.push_back(values[v]);
      if (v >= firstGate()) {
        kept.back().a = 2 * number[values[v].a >> 1] | (values[v].a & 1);
        kept.back().b = 2 * number[values[v].b >> 1] | (values[v].b & 1);
      }
    }
    values = std::move(kept);
    for (uint32_t &literal : literals)
      literal = 2 * number[literal >> 1] | (literal & 1);
    rehash();
  }

  uint64_t *newPlane() {
    if (freePlanes.empty()) {
      planes.emplace_back(problem.allWords());
      freePlanes.push_back(planes.back().get());
    }
    uint64_t *plane = freePlanes.back();
    freePlanes.pop_back();
    return plane;
  }

  void release(uint64_t *plane) {
    if (plane)
      freePlanes.push_back(plane);
  }

  void count(uint32_t value) {
    if (countsOnes)
      values[value].ones = problem.kernels->ones(values[value].plane + problem.activityOffset(),
                                                 problem.activityWords());
  }

private:
  size_t find(uint32_t a, uint32_t b, bool isXor) const {
    uint64_t hash = (uint64_t(a) << 33) ^ (uint64_t(b) << 1) ^ isXor;
    hash = (hash ^ (hash >> 29)) * 0x9E3779B97F4A7C15ull;
    const size_t mask = table.size() - 1;
    size_t place = (hash >> 32) & mask;
    while (table[place]) {
      const Value &value = values[table[place]];
      if (value.a == a && value.b == b && value.isXor == isXor)
        break;
      place = (place + 1) & mask;
    }
    return place;
  }

  void grow() {
    table.resize(2 * table.size());
    rehash();
  }

  void rehash() {
    std::fill(table.begin(), table.end(), 0);
    for (uint32_t v = firstGate(); v < size(); ++v)
      table[find(values[v].a, values[v].b, values[v].isXor)] = v;
  }

  const Problem &problem;
  bool countsOnes;
  Plane zero;
  std::vector<Value> values;
  /// Open addressing; 0 is free.  What was put in last can be taken out again.
  std::vector<uint32_t> table;
  std::vector<Plane> planes;
  std::vector<uint64_t *> freePlanes;
};

/// One parent and its candidates.
class Line {
public:
  Line(const Problem &problem, const Goal &goal, std::vector<Elite> &archive, Random &random,
       Counts &counts)
      : problem(problem), goal(goal), archive(archive), random(random), counts(counts),
        isPower(goal.objective == Objective::Power), values(problem, isPower),
        firstSlot(static_cast<uint32_t>(problem.inputs.size()) + 1) {
    const unsigned blocks = onlyWeighted() ? problem.weightedBlocks : problem.blocks();
    for (unsigned block = 0; block < blocks; ++block)
      order.push_back(block);
    // Blocks in an order in which the first ones stand for all: weighted pairs are sorted, those
    // that count most come first.
    if (!isSorted())
      for (unsigned block = blocks; block > 1; --block)
        std::swap(order[block - 1], order[random.below(block)]);
  }

  void run(unsigned place, uint64_t candidates) {
    home = place;
    start(archive[place]);
    for (uint64_t i = 0; i < candidates; ++i) {
      ++counts.candidates;
      mutate();
      if (!decide())
        undo();
    }
    // What the line drifted to is what the next one from here begins with.
    if (cost <= archive[home].cost)
      archive[home] = {extract(), sums, cost};
  }

private:
  bool isBounded(Metric metric) const {
    return goal.limits[static_cast<unsigned>(metric)] < std::numeric_limits<double>::infinity();
  }

  /// Returns whether pairs are sorted by weights, and these are of account.
  bool isSorted() const {
    return problem.weightedBlocks &&
           (isBounded(Metric::Weighted1) || isBounded(Metric::WeightedBias));
  }

  /// Returns whether pairs without a weight are of no account.
  bool onlyWeighted() const {
    for (unsigned m = 0; m < static_cast<unsigned>(Metric::Weighted1); ++m)
      if (isBounded(static_cast<Metric>(m)))
        return false;
    return isSorted();
  }

  /// Returns a block of pairs, of sorted ones rather one of those that count most.
  unsigned anyBlock() {
    const uint32_t below = isSorted() ? 1 + random.below(static_cast<uint32_t>(order.size()))
                                      : static_cast<uint32_t>(order.size());
    return order[random.below(below)];
  }

  /// Encodes a circuit: its gates in a random order that respects operands, with unused slots.
  void start(const Elite &elite) {
    const std::vector<Gate> &gates = elite.circuit.gates;
    const auto count = static_cast<uint32_t>(gates.size());
    std::vector<uint32_t> waits(count, 0), ready;
    std::vector<std::vector<uint32_t>> users(count);
    for (uint32_t g = 0; g < count; ++g) {
      for (uint32_t literal : {gates[g].a, gates[g].b})
        if ((literal >> 1) >= firstSlot) {
          ++waits[g];
          users[(literal >> 1) - firstSlot].push_back(g);
        }
      if (!waits[g])
        ready.push_back(g);
    }
    slots.clear();
    std::vector<uint32_t> slotOf(count);
    auto translated = [&](uint32_t literal) {
      const uint32_t variable = literal >> 1;
      return variable < firstSlot ? literal : 2 * slotOf[variable - firstSlot] | (literal & 1);
    };
    uint32_t spare = std::max(16u, count / 8), left = count;
    while (left || spare) {
      const auto next = static_cast<uint32_t>(firstSlot + slots.size());
      if (random.below(left + spare) < spare) {
        --spare;
        slots.push_back({anyLiteral(next), anyLiteral(next), random.below(2) == 0});
        continue;
      }
      // Half of the time the gate that waits longest: orders near to the circuit's own as well.
      const uint32_t pick = random.below(2) ? 0 : random.below(static_cast<uint32_t>(ready.size()));
      const uint32_t g = ready[pick];
      ready.erase(ready.begin() + pick);
      slotOf[g] = next;
      slots.push_back({translated(gates[g].a), translated(gates[g].b), gates[g].isXor});
      for (uint32_t user : users[g])
        if (--waits[user] == 0)
          ready.push_back(user);
      --left;
    }
    outputs.clear();
    for (uint32_t literal : elite.circuit.outputs)
      outputs.push_back(translated(literal));

    values.shrink(values.firstGate());
    literals.assign(firstSlot + slots.size(), 0);
    for (uint32_t v = 0; v < firstSlot; ++v)
      literals[v] = 2 * v;
    for (uint32_t s = 0; s < slots.size(); ++s)
      literals[firstSlot + s] = valueOf(slots[s], literals);
    results = resultsOf(outputs, literals);
    computeAll();
    sums = elite.sums;
    cost = costOfLive(results);
    findLive();
  }

  uint32_t valueOf(const Gate &slot, const std::vector<uint32_t> &of) {
    return values.gate(of[slot.a >> 1] ^ (slot.a & 1), of[slot.b >> 1] ^ (slot.b & 1), slot.isXor);
  }

  static std::vector<uint32_t> resultsOf(const std::vector<uint32_t> &outputs,
                                         const std::vector<uint32_t> &of) {
    std::vector<uint32_t> results;
    for (uint32_t output : outputs)
      results.push_back(of[output >> 1] ^ (output & 1));
    return results;
  }

  /// Computes all values of the slots, used or not: similar signals are looked for among them.
  void computeAll() {
    std::vector<uint32_t> missing;
    for (uint32_t v = values.firstGate(); v < values.size(); ++v)
      if (!values[v].plane)
        missing.push_back(v);
    makeOperations(missing);
    for (unsigned block : order)
      compute(block);
    computeDrawn();
    for (uint32_t v : missing)
      values.count(v);
  }

  /// Computes the pairs that activity is of, where these are others than those of errors.
  void computeDrawn() {
    for (uint64_t block = 0; block < problem.drawnWords / kBlockWords; ++block)
      compute(problem.blocks() + static_cast<unsigned>(block));
  }

  void makeOperations(const std::vector<uint32_t> &missing) {
    operations.clear();
    for (uint32_t v : missing)
      values[v].plane = values.newPlane();
    for (uint32_t v : missing) {
      const Value &value = values[v];
      operations.push_back({values[value.a >> 1].plane, values[value.b >> 1].plane, value.plane,
                            value.a & 1 ? ~0ull : 0, value.b & 1 ? ~0ull : 0, value.isXor});
    }
  }

  void compute(unsigned block) {
    problem.kernels->gates(operations.data(), static_cast<unsigned>(operations.size()),
                           uint64_t(block) * kBlockWords);
    counts.gates += operations.size();
  }

  /// Marks what results need in `isLive` (the values made so far), and returns its cost without
  /// activity.
  uint64_t costOfLive(const std::vector<uint32_t> &of) {
    isLive.assign(values.size(), 0);
    for (uint32_t literal : of)
      isLive[literal >> 1] = 1;
    uint64_t area = 0;
    for (uint32_t v = values.size(); v-- > values.firstGate();)
      if (isLive[v]) {
        const Value &value = values[v];
        isLive[value.a >> 1] = isLive[value.b >> 1] = 1;
        area += value.isXor ? goal.areaOfXor : goal.areaOfAnd;
      }
    if (goal.objective == Objective::Delay)
      return delayOfLive(of) * kDelayWeight + area;
    return area;
  }

  uint64_t delayOfLive(const std::vector<uint32_t> &of) {
    delays.assign(values.size(), 0);
    for (uint32_t v = values.firstGate(); v < values.size(); ++v)
      if (isLive[v]) {
        const Value &value = values[v];
        delays[v] = std::max(delays[value.a >> 1], delays[value.b >> 1]) +
                    (value.isXor ? goal.areaOfXor : goal.areaOfAnd);
      }
    uint64_t longest = 0;
    for (uint32_t literal : of)
      longest = std::max<uint64_t>(longest, delays[literal >> 1]);
    return longest;
  }

  /// Area times activity, of the values in `isLive`, all of which are computed, and what registers
  /// of operands and of results take.
  uint64_t powerOfLive(const std::vector<uint32_t> &of) {
    const uint64_t pairs = 64 * problem.activityWords();
    uint64_t power = 0;
    if (goal.powerOfRegister) {
      for (uint32_t v = 1; v < values.firstGate(); ++v)
        power += isLive[v] ? goal.powerOfRegister : 0;
      power += goal.powerOfRegister * registersOf(of);
    }
    for (uint32_t v = values.firstGate(); v < values.size(); ++v)
      if (isLive[v]) {
        const Value &value = values[v];
        power += activity(value.ones, pairs) * (value.isXor ? goal.areaOfXor : goal.areaOfAnd);
      }
    return power;
  }

public:
  /// Returns how many registers hold results: none of a constant, one of equal or opposite bits.
  static uint64_t registersOf(std::vector<uint32_t> results) {
    for (uint32_t &literal : results)
      literal >>= 1;
    std::sort(results.begin(), results.end());
    results.erase(std::unique(results.begin(), results.end()), results.end());
    return results.size() - (!results.empty() && results.front() == 0);
  }

  /// 4 p (1 - p), in 1024ths: how often a signal changes between independent pairs, over the most.
  static uint64_t activity(uint64_t ones, uint64_t pairs) {
    const double share = static_cast<double>(ones) / static_cast<double>(pairs);
    return static_cast<uint64_t>(kFullActivity * 4 * share * (1 - share));
  }

private:
  void findLive() {
    if (isPower)
      cost = powerOfLive(results);
    liveSlots.clear();
    for (uint32_t s = 0; s < slots.size(); ++s)
      if (isLive[literals[firstSlot + s] >> 1])
        liveSlots.push_back(s);
  }

  //===--------------------------------------------------------------------===//
  // Mutation
  //===--------------------------------------------------------------------===//

  /// Returns a random literal of a variable below `bound`.
  uint32_t anyLiteral(uint32_t bound) { return random.below(2 * bound); }

  /// Returns, of some signals below `bound`, the one that is most like `literal`.
  uint32_t similarLiteral(uint32_t literal, uint32_t bound) {
    const uint32_t wanted = literals[literal >> 1] ^ (literal & 1);
    const uint64_t offset = uint64_t(anyBlock()) * kBlockWords;
    const uint64_t *plane = values[wanted >> 1].plane;
    if (!plane)
      return anyLiteral(bound);
    uint32_t best = anyLiteral(bound);
    uint64_t least = ~0ull;
    for (unsigned i = 0; i < kTries; ++i) {
      const uint32_t variable = random.below(bound);
      const uint32_t other = literals[variable];
      if ((other >> 1) == (wanted >> 1) || !values[other >> 1].plane)
        continue;
      const uint64_t differ = problem.kernels->distance(plane + offset,
                                                        values[other >> 1].plane + offset);
      const bool isInverse = 2 * differ > 64 * kBlockWords;
      const uint64_t distance = isInverse ? 64 * kBlockWords - differ : differ;
      if (distance < least) {
        least = distance;
        best = 2 * variable | ((wanted ^ other ^ isInverse) & 1);
      }
    }
    return best;
  }

  void mutate() {
    changes.clear();
    unsigned count = 1;
    while (count < kMostChanges && random.below(5) < 2)
      ++count;
    for (unsigned i = 0; i < count; ++i) {
      if (random.below(static_cast<uint32_t>(liveSlots.size() + outputs.size())) < outputs.size() ||
          slots.empty())
        mutateOutput();
      else
        mutateSlot();
    }
  }

  void mutateOutput() {
    const uint32_t k = random.below(static_cast<uint32_t>(outputs.size()));
    const auto bound = static_cast<uint32_t>(firstSlot + slots.size());
    changes.push_back({kNone, k, {outputs[k], 0, false}});
    const uint32_t kind = random.below(4);
    if (kind == 0)
      outputs[k] = anyLiteral(bound);
    else if (kind == 1)
      outputs[k] = random.below(2);
    else
      outputs[k] = similarLiteral(outputs[k], bound);
  }

  void mutateSlot() {
    const bool anySlot = liveSlots.empty() || random.below(5) == 0;
    const uint32_t s = anySlot ? random.below(static_cast<uint32_t>(slots.size()))
                               : liveSlots[random.below(static_cast<uint32_t>(liveSlots.size()))];
    Gate &slot = slots[s];
    changes.push_back({s, 0, slot});
    uint32_t &operand = random.below(2) ? slot.a : slot.b;
    const uint32_t bound = firstSlot + s;
    switch (random.below(8)) {
    case 0: // another operand
      operand = anyLiteral(bound);
      break;
    case 1:
    case 2:
    case 3: // a similar one
      operand = similarLiteral(operand, bound);
      break;
    case 4: // the operand's operand
      if ((operand >> 1) >= firstSlot) {
        const Gate &before = slots[(operand >> 1) - firstSlot];
        operand = (random.below(2) ? before.a : before.b) ^ (operand & 1);
      } else {
        operand ^= 1;
      }
      break;
    case 5: // the gate is one of its operands, or a constant
      operand = slot.isXor ? random.below(2) : random.below(4) == 0 ? 0 : 1;
      break;
    case 6:
      operand ^= 1;
      break;
    default:
      slot.isXor = !slot.isXor;
      break;
    }
  }

  void undo() {
    while (!changes.empty()) {
      const Change &change = changes.back();
      if (change.slot == kNone)
        outputs[change.output] = change.before.a;
      else
        slots[change.slot] = change.before;
      changes.pop_back();
    }
  }

  //===--------------------------------------------------------------------===//
  // Selection
  //===--------------------------------------------------------------------===//

  /// Decides over the mutated slots; returns whether they are the parent now.
  bool decide() {
    const uint32_t before = values.size();
    // Literals of the slots that changed, and of those behind them.
    uint32_t lowest = static_cast<uint32_t>(slots.size());
    for (const Change &change : changes)
      if (change.slot != kNone)
        lowest = std::min(lowest, change.slot);
    newLiterals = literals;
    isChanged.assign(slots.size(), 0);
    for (const Change &change : changes)
      if (change.slot != kNone)
        isChanged[change.slot] = 1;
    for (uint32_t s = lowest; s < slots.size(); ++s) {
      const Gate &slot = slots[s];
      if (isChanged[s] || newLiterals[slot.a >> 1] != literals[slot.a >> 1] ||
          newLiterals[slot.b >> 1] != literals[slot.b >> 1])
        newLiterals[firstSlot + s] = valueOf(slot, newLiterals);
    }
    std::vector<uint32_t> &newResults = candidateResults;
    newResults.clear();
    for (uint32_t output : outputs)
      newResults.push_back(newLiterals[output >> 1] ^ (output & 1));

    if (newResults == results) {
      // The same circuit: drift among what is not used.
      accept();
      return true;
    }
    uint64_t newCost = costOfLive(newResults);
    double bound = isPower ? goal.bounds.back() : boundFor(newCost);
    if (bound < 0) {
      values.shrink(before);
      return false;
    }
    missing.clear();
    for (uint32_t v = values.firstGate(); v < values.size(); ++v)
      if (isLive[v] && !values[v].plane)
        missing.push_back(v);
    makeOperations(missing);
    const bool isPowerFirst = isPower && problem.drawnWords;
    if (isPowerFirst) { // a few blocks tell the power: before errors, which take all the others
      computeDrawn();
      newCost = countPower(newResults);
      bound = boundFor(newCost);
    }
    ErrorSums newSums;
    if (bound < 0 || !evaluate(bound, newSums)) {
      forget(before);
      return false;
    }
    if (isPower && !isPowerFirst)
      newCost = countPower(newResults);
    const double error = figure(goal.metric, newSums, problem.pairs());
    const bool isParent = error <= goal.bounds[home] && newCost <= cost;
    const bool isCheaper = isParent && newCost < cost;
    if (isBetterAnywhere(error, newCost)) {
      Elite elite{extractOf(newResults), newSums, newCost};
      counts.improved += insert(archive, goal, elite, problem.pairs()) != 0;
    }
    if (!isParent) {
      forget(before);
      return false;
    }
    results = newResults;
    sums = newSums;
    cost = newCost;
    accept();
    if (isCheaper || random.below(4) == 0)
      tidy();
    return true;
  }

  /// Counts the ones of a candidate's new values, and returns its power.
  uint64_t countPower(const std::vector<uint32_t> &of) {
    for (uint32_t v : missing)
      values.count(v);
    return powerOfLive(of);
  }

  /// Releases planes that a rejected candidate computed, of its own values and of the parent's
  /// unused ones alike: what was not evaluated to the end is not there.
  void forget(uint32_t before) {
    for (uint32_t v : missing) {
      values.release(values[v].plane);
      values[v].plane = nullptr;
    }
    values.shrink(before);
  }

  void accept() {
    ++counts.accepted;
    literals.swap(newLiterals);
    if (values.size() > 2 * (firstSlot + slots.size()))
      tidy();
  }

  /// Forgets values that no slot has, and finds which slots are used.
  void tidy() {
    std::vector<uint32_t> kept = literals;
    kept.insert(kept.end(), results.begin(), results.end());
    values.compact(kept);
    std::copy(kept.begin(), kept.begin() + static_cast<long>(literals.size()), literals.begin());
    std::copy(kept.begin() + static_cast<long>(literals.size()), kept.end(), results.begin());
    const uint64_t structural = costOfLive(results);
    if (!isPower)
      cost = structural;
    findLive();
  }

  /// Returns the largest error at which a circuit of this cost is of use, -1 for none.
  double boundFor(uint64_t newCost) const {
    double bound = newCost <= cost ? goal.bounds[home] : -1;
    for (size_t place = archive.size(); place-- > 0;)
      if (newCost < archive[place].cost) {
        bound = std::max(bound, goal.bounds[place]);
        break;
      }
    return bound;
  }

  bool isBetterAnywhere(double error, uint64_t newCost) const {
    for (size_t place = 0; place < archive.size(); ++place)
      if (error <= goal.bounds[place] && newCost < archive[place].cost)
        return true;
    return false;
  }

  /// Adds up errors block by block, until a bound is exceeded.
  bool evaluate(double bound, ErrorSums &newSums) {
    ++counts.measured;
    std::array<double, kMetrics> limits = goal.limits;
    double &own = limits[static_cast<unsigned>(goal.metric)];
    own = std::min(own, bound);
    const double infinity = std::numeric_limits<double>::infinity();
    auto isNeeded = [&](Metric metric) { return limits[static_cast<unsigned>(metric)] < infinity; };
    ErrorRequest request{isNeeded(Metric::MAE),
                         isNeeded(Metric::EP),
                         isNeeded(Metric::Bias),
                         isNeeded(Metric::WCE),
                         {},
                         {problem.scale[0], problem.scale[1]},
                         {limits[4], limits[5]},
                         isNeeded(Metric::WeightedBias)};
    const auto bits = static_cast<unsigned>(problem.exact.size());
    uint64_t inverted[kMostOutputs];
    const uint64_t *planes[kMostOutputs], *exact[kMostOutputs];
    for (unsigned k = 0; k < bits; ++k)
      inverted[k] = candidateResults[k] & 1 ? ~0ull : 0;
    for (unsigned block : order) {
      compute(block);
      const uint64_t offset = uint64_t(block) * kBlockWords;
      for (unsigned k = 0; k < bits; ++k) {
        planes[k] = values[candidateResults[k] >> 1].plane + offset;
        exact[k] = problem.exact[k].get() + offset;
      }
      for (unsigned w = 0; w < kWeightings; ++w)
        request.weights[w] = (limits[4 + w] < infinity || (w == 1 && request.weightedError)) &&
                                     !problem.weights[w].empty()
                                 ? problem.weights[w].data() + 64 * offset
                                 : nullptr;
      problem.kernels->errors(planes, inverted, exact, bits, problem.isSigned, request, newSums);
      // Every sum but those of errors with their signs only grows.
      for (unsigned m = 0; m < kMetrics; ++m)
        if (!isSigned(static_cast<Metric>(m)) && limits[m] < infinity &&
            figure(static_cast<Metric>(m), newSums, problem.pairs()) > limits[m])
          return false;
    }
    ++counts.whole;
    for (Metric metric : {Metric::Bias, Metric::WeightedBias}) {
      const double limit = limits[static_cast<unsigned>(metric)];
      if (limit < infinity && figure(metric, newSums, problem.pairs()) > limit)
        return false;
    }
    return true;
  }

  static bool isSigned(Metric metric) {
    return metric == Metric::Bias || metric == Metric::WeightedBias;
  }

  Circuit extract() { return extractOf(results); }

  /// Returns the circuit of values that are computed; changes `isLive`.
  Circuit extractOf(const std::vector<uint32_t> &of) {
    costOfLive(of);
    Circuit circuit;
    std::vector<uint32_t> number(values.size());
    auto translated = [&](uint32_t literal) { return 2 * number[literal >> 1] | (literal & 1); };
    for (uint32_t v = 0; v < values.size(); ++v) {
      if (v < firstSlot) {
        number[v] = v;
      } else if (isLive[v]) {
        number[v] = static_cast<uint32_t>(firstSlot + circuit.gates.size());
        circuit.gates.push_back(
            {translated(values[v].a), translated(values[v].b), values[v].isXor});
      }
    }
    for (uint32_t literal : of)
      circuit.outputs.push_back(translated(literal));
    return circuit;
  }

  struct Change {
    uint32_t slot, output;
    Gate before; ///< an output's literal is in `a`
  };

  const Problem &problem;
  const Goal &goal;
  std::vector<Elite> &archive;
  Random &random;
  Counts &counts;
  const bool isPower;
  Values values;
  const uint32_t firstSlot;
  unsigned home = 0;
  std::vector<unsigned> order;

  // The parent.  Operands of slots are literals of variables: the constant, inputs, slots.
  std::vector<Gate> slots;
  std::vector<uint32_t> outputs;
  std::vector<uint32_t> literals; ///< of values, for each variable
  std::vector<uint32_t> results;  ///< of values, for each output
  std::vector<uint32_t> liveSlots;
  ErrorSums sums;
  uint64_t cost = 0;

  // The candidate.
  std::vector<Change> changes;
  std::vector<uint32_t> newLiterals, candidateResults, missing;
  std::vector<uint8_t> isChanged, isLive;
  std::vector<uint32_t> delays;
  std::vector<GateOperation> operations;
};

} // namespace

Random::Random(uint64_t seed) {
  for (uint64_t &word : state) { // Steele, Lea and Flood, SplitMix64, 2014
    seed += 0x9E3779B97F4A7C15ull;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    word = z ^ (z >> 31);
  }
}

uint64_t Random::next() {
  auto rotated = [](uint64_t x, int by) { return (x << by) | (x >> (64 - by)); };
  const uint64_t result = rotated(state[1] * 5, 7) * 9, t = state[1] << 17;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= t;
  state[3] = rotated(state[3], 45);
  return result;
}

bool isWithin(const Goal &goal, const ErrorSums &sums, uint64_t pairs) {
  for (unsigned m = 0; m < kMetrics; ++m)
    if (goal.limits[m] < std::numeric_limits<double>::infinity() &&
        figure(static_cast<Metric>(m), sums, pairs) > goal.limits[m])
      return false;
  return true;
}

unsigned insert(std::vector<Elite> &archive, const Goal &goal, const Elite &elite, uint64_t pairs) {
  if (!isWithin(goal, elite.sums, pairs))
    return 0;
  const double error = figure(goal.metric, elite.sums, pairs);
  unsigned count = 0;
  for (size_t place = 0; place < archive.size(); ++place)
    if (error <= goal.bounds[place] && elite.cost < archive[place].cost) {
      archive[place] = elite;
      ++count;
    }
  return count;
}

/// Returns how many bits of the operands a circuit reads.
static uint64_t operandBits(const Problem &problem, const Circuit &circuit) {
  const size_t firstGate = 1 + problem.inputs.size();
  std::vector<bool> isRead(firstGate, false);
  auto read = [&](uint32_t literal) {
    if ((literal >> 1) < firstGate)
      isRead[literal >> 1] = true;
  };
  for (const Gate &gate : circuit.gates) {
    read(gate.a);
    read(gate.b);
  }
  for (uint32_t literal : circuit.outputs)
    read(literal);
  return static_cast<uint64_t>(std::count(isRead.begin() + 1, isRead.end(), true));
}

uint64_t costOf(const Problem &problem, const Goal &goal, const Circuit &circuit) {
  const size_t firstGate = 1 + problem.inputs.size();
  uint64_t area = 0, longest = 0;
  std::vector<uint64_t> delay(firstGate + circuit.gates.size(), 0);
  for (size_t i = 0; i < circuit.gates.size(); ++i) {
    const Gate &gate = circuit.gates[i];
    const uint64_t own = gate.isXor ? goal.areaOfXor : goal.areaOfAnd;
    area += own;
    delay[firstGate + i] = std::max(delay[gate.a >> 1], delay[gate.b >> 1]) + own;
  }
  for (uint32_t literal : circuit.outputs)
    longest = std::max(longest, delay[literal >> 1]);
  if (goal.objective == Objective::Delay)
    return longest * kDelayWeight + area;
  if (goal.objective == Objective::Area)
    return area;
  const std::vector<uint64_t> ones = countOnes(problem, circuit);
  uint64_t power = goal.powerOfRegister *
                   (Line::registersOf(circuit.outputs) + operandBits(problem, circuit));
  for (size_t i = 0; i < circuit.gates.size(); ++i)
    power += Line::activity(ones[i], 64 * problem.activityWords()) *
             (circuit.gates[i].isXor ? goal.areaOfXor : goal.areaOfAnd);
  return power;
}

Counts search(const Problem &problem, const Goal &goal, std::vector<Elite> &archive, uint64_t seed,
              uint64_t candidates) {
  Counts counts;
  Random random(seed);
  Line line(problem, goal, archive, random, counts);
  while (counts.candidates < candidates) {
    // A place whose elite differs from its neighbour's: equal ones are one circuit.
    const auto place = random.below(static_cast<uint32_t>(archive.size()));
    if (archive[place].cost == std::numeric_limits<uint64_t>::max())
      continue;
    line.run(place, std::min(kBurst, candidates - counts.candidates));
  }
  return counts;
}

} // namespace asnet::evolution
