// SPDX-License-Identifier: Apache-2.0
#include "lowering/schedule/Schedule.h"

#include "mlir/Dialect/Affine/LoopUtils.h"

using namespace mlir;

namespace asnet {

namespace {
/// One loop's part in the difference of an address between two iterations.
struct Term {
  int64_t coefficient, last;
  bool isLoop; // the one that is asked for
};

/// Whether the sum of coefficients times differences of iterations is ever `rest`, with a difference
/// in the loop that is asked for (`differs`: there is one already).
class Meeting {
public:
  explicit Meeting(SmallVector<Term> given) : terms(std::move(given)), reach(terms.size() + 1, 0) {
    llvm::stable_sort(terms, [](const Term &a, const Term &b) {
      return std::abs(a.coefficient) > std::abs(b.coefficient);
    });
    for (size_t i = terms.size(); i-- > 0;)
      reach[i] = reach[i + 1] + std::abs(terms[i].coefficient) * terms[i].last;
  }

  bool isPossible(int64_t rest, bool differs, size_t i = 0) {
    if (std::abs(rest) > reach[i])
      return false;
    if (--budget < 0)
      return true; // not known: too many cases
    if (i == terms.size())
      return differs;
    for (int64_t delta = -terms[i].last; delta <= terms[i].last; ++delta)
      if (isPossible(rest - terms[i].coefficient * delta,
                     differs || (terms[i].isLoop && delta != 0), i + 1))
        return true;
    return false;
  }

private:
  SmallVector<Term> terms;
  SmallVector<int64_t> reach; // of the terms from each on
  int64_t budget = 100000;
};

class LoopOrder {
public:
  LoopOrder(func::FuncOp func, Problem &problem)
      : func(func), problem(problem), memories(problem.memories) {}

  /// Returns the cycles of all nests, roughly.
  int64_t interchangeAll(bool apply) {
    int64_t cycles = 0;
    for (auto loop : llvm::to_vector(func.getOps<affine::AffineForOp>()))
      cycles += interchange(loop, apply);
    return cycles;
  }

private:
  int64_t interchange(affine::AffineForOp root, bool apply);
  bool isParallel(ArrayRef<affine::AffineForOp> band, affine::AffineForOp loop);
  bool meetInOthers(Operation *store, Operation *other, ArrayRef<affine::AffineForOp> band,
                    affine::AffineForOp loop);

  func::FuncOp func;
  Problem &problem;
  Memories &memories;
};

/// Whether `other` may touch, in another iteration of `loop`, the word that `store` writes.
bool LoopOrder::meetInOthers(Operation *store, Operation *other, ArrayRef<affine::AffineForOp> band,
                             affine::AffineForOp loop) {
  const Access &x = memories.accessOf(store), &y = memories.accessOf(other);
  if (x.memory != y.memory)
    return memories.mayAlias(store, other);
  if (!x.address.sameCoefficients(y.address))
    return Memories::rangesMeet(x, y);
  SmallVector<Term> terms;
  bool isFixed = true; // the address is the same in all iterations of `loop`
  for (affine::AffineForOp each : band) {
    int64_t coefficient = x.address.coefficients.lookup(each.getInductionVar());
    if (coefficient == 0)
      continue;
    isFixed &= each != loop;
    terms.push_back({coefficient, tripsOf(each) - 1, each == loop});
  }
  return Meeting(terms).isPossible(x.address.constant - y.address.constant, isFixed);
}

/// Whether no word that is written in one iteration of `loop` is touched in another one, for any
/// iterations of the other loops of the perfect nest `band`. Then `loop` may be at any place in it:
/// iterations that depend on each other have the same number in `loop`, so keep their order.
bool LoopOrder::isParallel(ArrayRef<affine::AffineForOp> band, affine::AffineForOp loop) {
  SmallVector<Operation *> all =
      llvm::filter_to_vector(timedOps(*affine::AffineForOp(band.back()).getBody()),
                             [](Operation *op) { return isLoad(op) || isStore(op); });
  return llvm::none_of(all, [&](Operation *store) {
    return isStore(store) && llvm::any_of(all, [&](Operation *other) {
             return meetInOthers(store, other, band, loop);
           });
  });
}

/// Returns the cycles of the nest, roughly.
int64_t LoopOrder::interchange(affine::AffineForOp root, bool apply) {
  SmallVector<affine::AffineForOp> band;
  affine::getPerfectlyNestedLoops(band, root);
  affine::AffineForOp innermost = band.back();
  int64_t total = 1;
  for (affine::AffineForOp loop : band)
    total *= tripsOf(loop);
  if (!isInnermost(innermost)) {
    int64_t cycles = 0;
    for (auto loop : llvm::to_vector(innermost.getBody()->getOps<affine::AffineForOp>()))
      cycles += total * interchange(loop, apply);
    return cycles;
  }
  SmallVector<Node> nodes = makeNodes(problem, timedOps(*innermost.getBody()));
  std::optional<size_t> best;
  int64_t least = 0;
  for (size_t i = band.size(); i-- > 0;) {
    if (i + 1 < band.size() && !isParallel(band, band[i]))
      continue;
    int64_t trips = tripsOf(band[i]);
    Plan candidate = planLoop(nodes, band[i].getInductionVar(), trips, problem);
    // The rows in which an outer loop branches; an overlapped loop's last ones do.
    int64_t around = candidate.ii ? 0 : problem.timing.branchRows();
    int64_t cycles = total / trips * (candidate.cycles + around);
    if (!best || cycles < least)
      best = i, least = cycles;
  }
  if (!apply || *best + 1 == band.size())
    return least;
  Attribute layer = root->getAttr(approx::kLayerAttrName);
  affine::AffineForOp moved = band[*best];
  for (size_t i = *best + 1; i < band.size(); ++i)
    affine::interchangeLoops(moved, band[i]);
  if (*best == 0 && layer) {
    moved->removeAttr(approx::kLayerAttrName);
    band[1]->setAttr(approx::kLayerAttrName, layer);
  }
  return least;
}
} // namespace

void interchangeLoops(func::FuncOp func, Problem &problem) {
  LoopOrder(func, problem).interchangeAll(/*apply=*/true);
}

void choosePads(func::FuncOp func, Problem &problem) {
  LoopOrder order(func, problem);
  int64_t cycles = order.interchangeAll(/*apply=*/false);
  for (int64_t id : problem.units.ids()) {
    ++problem.units.pads[id];
    int64_t padded = order.interchangeAll(/*apply=*/false);
    if (padded * 100 <= cycles * 98)
      cycles = padded;
    else
      --problem.units.pads[id];
  }
}

} // namespace asnet
