// SPDX-License-Identifier: Apache-2.0
#include "lowering/schedule/Schedule.h"

#include "mlir/Dialect/Affine/LoopUtils.h"

#include <set>

using namespace mlir;

namespace asnet {

int64_t lengthOf(ArrayRef<Node> nodes, const MachineTiming &timing) {
  int64_t length = 0;
  for (const Node &node : nodes)
    length = std::max(
        {length, node.start + node.latency + timing.issueToUse + 1, node.start + node.interval});
  return length;
}

namespace {
/// The start of `to`, `iterations` later, lies at least `distance` cycles behind that of `from`.
struct Edge {
  unsigned from, to;
  int64_t distance, iterations;
};

/// Nodes that wait for a place: the least negated priority first, then the least number.
using PlaceFirst = std::set<std::pair<int64_t, size_t>>;

/// Gives the nodes of a segment their starts.
class Placer {
public:
  Placer(MutableArrayRef<Node> nodes, Problem &problem)
      : nodes(nodes), memories(problem.memories), timing(problem.timing),
        pipelineRows(problem.pipelineRows) {}

  void placeInOrder();
  Plan plan(Value variable, int64_t trips);

private:
  SmallVector<Edge> allEdges(Value variable, int64_t trips);
  int64_t leastInterval();
  std::optional<SmallVector<int64_t>> heights(ArrayRef<Edge> edges, int64_t ii);
  int64_t recurrenceInterval(ArrayRef<Edge> edges, int64_t least, int64_t end);
  bool placeModulo(ArrayRef<Edge> edges, int64_t ii);
  SmallVector<int64_t> starts() {
    return llvm::map_to_vector(nodes, [](const Node &node) { return node.start; });
  }

  MutableArrayRef<Node> nodes;
  Memories &memories;
  const MachineTiming &timing;
  int64_t pipelineRows;
};

/// List scheduling: of the nodes whose predecessors are placed, the one with the longest way to the
/// end takes the first cycle in which the issue slot, the result bus, the read ports that it needs
/// and its unit are free.
void Placer::placeInOrder() {
  for (size_t i = nodes.size(); i-- > 0;) {
    Node &node = nodes[i];
    node.priority = std::max(node.priority, node.latency + timing.issueToUse);
    for (auto [j, distance] : node.after)
      nodes[j].priority = std::max(nodes[j].priority, node.priority + distance);
  }
  // How many of a node's predecessors are not placed, and whose predecessor a node is.
  SmallVector<size_t> waits(nodes.size());
  SmallVector<SmallVector<size_t>> successors(nodes.size());
  PlaceFirst ready;
  for (auto [i, node] : llvm::enumerate(nodes)) {
    waits[i] = node.after.size();
    for (auto [j, distance] : node.after)
      successors[j].push_back(i);
    if (waits[i] == 0)
      ready.insert({-node.priority, i});
  }
  DenseSet<int64_t> issue, result, read[2];
  DenseMap<int64_t, SmallVector<int64_t>> unitStarts;
  while (!ready.empty()) {
    size_t index = ready.begin()->second;
    ready.erase(ready.begin());
    Node *best = &nodes[index];
    int64_t start = best->loads.empty() ? 0 : timing.memory;
    for (auto [j, distance] : best->after)
      start = std::max(start, nodes[j].start + distance);
    auto fits = [&](int64_t at) {
      return !issue.contains(at) && !result.contains(at + best->latency) &&
             llvm::none_of(best->loads,
                           [&](Operation *load) {
                             return read[memories.isRom(load)].contains(at - timing.memory);
                           }) &&
             (!best->unit || llvm::none_of(unitStarts[*best->unit], [&](int64_t other) {
               return std::abs(other - at) < best->interval;
             }));
    };
    while (!fits(start))
      ++start;
    best->start = start;
    issue.insert(start);
    result.insert(start + best->latency);
    for (Operation *load : best->loads)
      read[memories.isRom(load)].insert(start - timing.memory);
    if (best->unit)
      unitStarts[*best->unit].push_back(start);
    for (size_t i : successors[index])
      if (--waits[i] == 0)
        ready.insert({-nodes[i].priority, i});
  }
}

/// What the nodes of an innermost loop have to wait for, in their iteration and in earlier ones.
SmallVector<Edge> Placer::allEdges(Value variable, int64_t trips) {
  SmallVector<Edge> edges;
  for (auto [i, node] : llvm::enumerate(nodes)) {
    unsigned to = i;
    for (auto [from, distance] : node.after)
      edges.push_back({from, to, distance, 0});
    // A value has one register: it is read the last time when the next iteration's is written.
    for (auto [from, ahead] : node.values)
      edges.push_back({to, from, -(nodes[from].latency + timing.issueToUse) - ahead, 1});
    for (auto [j, earlier] : llvm::enumerate(nodes)) {
      unsigned from = j;
      auto order = [&](Operation *first, Operation *second, int64_t distance) {
        if (auto iterations = memories.carried(first, second, variable, trips))
          edges.push_back({from, to, distance, *iterations});
      };
      // As in one iteration (orderAccesses).
      for (Operation *load : node.loads)
        if (earlier.store)
          order(earlier.store, load, earlier.latency + timing.issueToUse + 1 + timing.memory);
      if (!node.store)
        continue;
      for (Operation *load : earlier.loads)
        order(load, node.store, 1 - timing.memory - node.latency - timing.issueToUse);
      if (earlier.store)
        order(earlier.store, node.store, 1 + earlier.latency - node.latency);
    }
  }
  return edges;
}

/// Each node is an issue and a result, reads a bank at most once and writes one word at most; a unit
/// is kept for its interval.
int64_t Placer::leastInterval() {
  std::map<int64_t, int64_t> busy;
  for (const Node &node : nodes)
    if (node.unit)
      busy[*node.unit] += node.interval;
  int64_t least = nodes.size();
  for (auto [unit, cycles] : busy)
    least = std::max(least, cycles);
  return least;
}

/// The longest way from each node to the end; none where a recurrence takes longer than the interval.
std::optional<SmallVector<int64_t>> Placer::heights(ArrayRef<Edge> edges, int64_t ii) {
  SmallVector<int64_t> height(nodes.size(), 0);
  for (size_t round = 0; round <= nodes.size() + 1; ++round) {
    bool changed = false;
    for (const Edge &edge : edges) {
      int64_t value = height[edge.to] + edge.distance - ii * edge.iterations;
      if (value > height[edge.from])
        height[edge.from] = value, changed = true;
    }
    if (!changed)
      return height;
  }
  return std::nullopt;
}

/// The least interval from `least` on, and below `end`, that all recurrences allow; else `end`. Those
/// that one interval allows a longer one allows, too.
int64_t Placer::recurrenceInterval(ArrayRef<Edge> edges, int64_t least, int64_t end) {
  if (least >= end || heights(edges, least))
    return least;
  int64_t tooShort = least;
  while (end - tooShort > 1) {
    int64_t middle = tooShort + (end - tooShort) / 2;
    (heights(edges, middle) ? end : tooShort) = middle;
  }
  return end;
}

Plan Placer::plan(Value variable, int64_t trips) {
  for (Node &node : nodes)
    node.start = -1, node.priority = 0;
  placeInOrder();
  Plan best;
  best.starts = starts();
  best.length = lengthOf(nodes, timing);
  int64_t listRows = std::max(best.length, timing.branchRows());
  best.cycles = trips * listRows;
  if (nodes.empty() || pipelineRows == 0)
    return best;

  // No schedule is shorter than the longest way through an iteration; a longer one has more cycles,
  // and no fewer rows.
  int64_t shortest = 0;
  for (const Node &node : nodes)
    shortest = std::max(shortest, node.priority + 1 + (node.loads.empty() ? 0 : timing.memory));
  auto isTooLong = [&](const Overlap &overlap) { return overlap.rows() - listRows > pipelineRows; };
  SmallVector<Edge> edges = allEdges(variable, trips);
  for (int64_t ii = recurrenceInterval(edges, leastInterval(), listRows); ii < listRows; ++ii) {
    Overlap overlap{ii, shortest, trips, timing.branchRows()};
    if (overlap.cycles() >= best.cycles)
      break;
    if (isTooLong(overlap) || !placeModulo(edges, ii))
      continue;
    overlap.length = lengthOf(nodes, timing);
    if (isTooLong(overlap))
      continue;
    if (overlap.cycles() < best.cycles)
      best = {starts(), overlap.length, ii, overlap.cycles()};
    break;
  }
  return best;
}

/// Iterative modulo scheduling (Rau, 1994): nodes are placed by their distance from the end; one
/// that finds no free cycle takes the first that is possible, and what is in its way is placed
/// anew.
bool Placer::placeModulo(ArrayRef<Edge> edges, int64_t ii) {
  size_t count = nodes.size();
  std::optional<SmallVector<int64_t>> found = heights(edges, ii);
  if (!found)
    return false;
  ArrayRef<int64_t> height = *found;
  SmallVector<SmallVector<const Edge *>> in(count), out(count);
  for (const Edge &edge : edges) {
    if (edge.from == edge.to)
      continue; // satisfied, as heights exist
    in[edge.to].push_back(&edge);
    out[edge.from].push_back(&edge);
  }
  SmallVector<int64_t> last(count, -1);
  PlaceFirst waiting;
  for (auto [i, node] : llvm::enumerate(nodes)) {
    node.start = -1;
    waiting.insert({-height[i], i});
  }
  auto slot = [&](int64_t cycle) { return ((cycle % ii) + ii) % ii; };
  // Who has the issue and the result of each cycle modulo II. Reads are as far before the issues for
  // all, so that ports are free where the issue is.
  SmallVector<Node *> issues(ii, nullptr), results(ii, nullptr);
  SmallVector<Node *> slow; // units that are kept for longer than their issue
  for (Node &node : nodes)
    if (node.unit && node.interval > 1)
      slow.push_back(&node);
  auto inTheWay = [&](const Node &node, int64_t at) {
    SmallVector<Node *, 4> found;
    if (Node *other = issues[slot(at)])
      found.push_back(other);
    if (Node *other = results[slot(at + node.latency)])
      found.push_back(other);
    if (node.unit && node.interval > 1)
      for (Node *other : slow) {
        if (other == &node || other->start < 0 || other->unit != node.unit)
          continue;
        int64_t behind = slot(at - other->start);
        if (behind < other->interval || ii - behind < node.interval)
          found.push_back(other);
      }
    return found;
  };
  auto take = [&](Node &node, int64_t at) {
    node.start = at;
    issues[slot(at)] = results[slot(at + node.latency)] = &node;
  };
  auto release = [&](Node &node) {
    if (node.start < 0)
      return;
    issues[slot(node.start)] = results[slot(node.start + node.latency)] = nullptr;
    node.start = -1;
    size_t index = &node - nodes.begin();
    waiting.insert({-height[index], index});
  };
  for (int64_t budget = 20 * count; budget > 0; --budget) {
    if (waiting.empty()) {
      int64_t first = std::numeric_limits<int64_t>::max();
      for (const Node &node : nodes)
        first = std::min(first, node.start - (node.loads.empty() ? 0 : timing.memory));
      for (Node &node : nodes)
        node.start -= first;
      return true;
    }
    size_t next = waiting.begin()->second;
    waiting.erase(waiting.begin());
    Node &node = nodes[next];
    int64_t earliest = node.loads.empty() ? 0 : timing.memory;
    for (const Edge *edge : in[next])
      if (nodes[edge->from].start >= 0)
        earliest = std::max(earliest,
                            nodes[edge->from].start + edge->distance - ii * edge->iterations);
    int64_t at = earliest;
    while (at < earliest + ii && !inTheWay(node, at).empty())
      ++at;
    if (at == earliest + ii) {
      at = std::max(earliest, last[next] + 1);
      for (Node *other : inTheWay(node, at))
        release(*other);
    }
    take(node, at);
    last[next] = at;
    for (const Edge *edge : out[next]) {
      Node &other = nodes[edge->to];
      if (other.start >= 0 && other.start + ii * edge->iterations < at + edge->distance)
        release(other);
    }
  }
  return false;
}
} // namespace

void placeInOrder(MutableArrayRef<Node> nodes, Problem &problem) {
  Placer(nodes, problem).placeInOrder();
}

Plan planLoop(MutableArrayRef<Node> nodes, Value variable, int64_t trips, Problem &problem) {
  return Placer(nodes, problem).plan(variable, trips);
}

Overlap overlapOf(affine::AffineForOp loop, const MachineTiming &timing) {
  auto lengths = loop->getAttrOfType<DenseI64ArrayAttr>(approx::kLengthsAttrName);
  Overlap overlap{loop->getAttrOfType<IntegerAttr>(approx::kInitiationIntervalAttrName).getInt(),
                  lengths[0], tripsOf(loop), timing.branchRows()};
  if (auto outer = dyn_cast<affine::AffineForOp>(loop->getParentOp());
      outer && outer->hasAttr(approx::kOverlapAttrName))
    overlap.runs = tripsOf(outer);
  return overlap;
}

bool mayOverlapRuns(affine::AffineForOp outer, affine::AffineForOp inner, const Memories &memories,
                    const MachineTiming &timing) {
  Overlap overlap = overlapOf(inner, timing);
  overlap.runs = tripsOf(outer);
  // Only runs that follow each other overlap, and the kernel is repeated.
  if (overlap.overlapping() * overlap.ii < timing.branchRows() || overlap.passes() == 0)
    return false;
  SmallVector<Operation *> all = llvm::filter_to_vector(
      timedOps(*inner.getBody()), [](Operation *op) { return isLoad(op) || isStore(op); });
  auto start = [](Operation *op) {
    return op->getAttrOfType<IntegerAttr>(approx::kStartAttrName).getInt();
  };
  for (Operation *first : all) {
    for (Operation *second : all) {
      if ((!isStore(first) && !isStore(second)) || memories.isRom(first) || memories.isRom(second))
        continue;
      const Access &x = memories.accessOf(first), &y = memories.accessOf(second);
      // After how many iterations of the flow, at least, the second may touch the first's word.
      int64_t iterations = 1;
      if (x.memory != y.memory) {
        if (!memories.mayAlias(first, second))
          continue;
      } else if (!x.address.sameCoefficients(y.address)) {
        if (!Memories::rangesMeet(x, y))
          continue;
      } else {
        int64_t step = x.address.coefficients.lookup(inner.getInductionVar());
        int64_t ahead = x.address.constant - y.address.constant -
                        x.address.coefficients.lookup(outer.getInductionVar());
        if (step == 0 ? ahead != 0 : ahead % step != 0 || std::abs(ahead / step) >= overlap.trips)
          continue;
        if (step != 0)
          iterations = overlap.trips + ahead / step;
      }
      if (start(second) + iterations * overlap.ii < start(first) + 1)
        return false;
    }
  }
  return true;
}

} // namespace asnet
