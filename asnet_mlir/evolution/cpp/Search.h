// SPDX-License-Identifier: Apache-2.0
// Cartesian Genetic Programming (Miller and Thomson, EuroGP 2000) over gates with inverted inputs,
// for the cheapest circuits under bounds on an error (Vasicek and Sekanina, IEEE Trans. Evolutionary
// Computation 19(3), 2015), with an elite for each of several bounds: an archive as in MAP-Elites
// (Mouret and Clune, 2015), so that one run gives a whole front.

#pragma once

#include "Problem.h"

#include <array>
#include <limits>

namespace asnet::evolution {

enum class Objective { Area, Power, Delay };

/// What a search looks for.
struct Goal {
  Metric metric; ///< whose bounds the archive has
  std::vector<double> bounds; ///< rising; each a place in the archive
  /// Bounds that every circuit keeps.
  std::array<double, kMetrics> limits;
  Objective objective = Objective::Area;
  uint32_t areaOfAnd = 1, areaOfXor = 2;
  /// Of `Power`, for each bit of operands that is read and of results that is no constant.
  uint32_t powerOfRegister = 0;
};

/// The cheapest circuit known under a bound.
struct Elite {
  Circuit circuit;
  ErrorSums sums;
  uint64_t cost = std::numeric_limits<uint64_t>::max();
};

/// What a search did.
struct Counts {
  uint64_t candidates = 0; ///< made by mutation
  uint64_t measured = 0; ///< whose errors were decided by evaluation
  uint64_t whole = 0; ///< of these: evaluated on all pairs
  uint64_t gates = 0; ///< gates computed, each on a block of pairs
  uint64_t accepted = 0, improved = 0;
};

/// A generator of random numbers (Blackman and Vigna, xoshiro256**, 2018).
class Random {
public:
  explicit Random(uint64_t seed);
  uint64_t next();
  /// Returns a number below `bound`, which is not 0.
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((next() >> 32) * bound >> 32); }

private:
  uint64_t state[4];
};

/// Puts a circuit into the archive wherever it is better; returns in how many places.
unsigned insert(std::vector<Elite> &archive, const Goal &goal, const Elite &elite, uint64_t pairs);

/// Returns whether the sums keep a goal's limits.
bool isWithin(const Goal &goal, const ErrorSums &sums, uint64_t pairs);

/// Returns a circuit's cost; `Power` takes the share of ones at each gate from the problem's pairs.
uint64_t costOf(const Problem &problem, const Goal &goal, const Circuit &circuit);

/// Makes about `candidates` candidates, starting again and again from elites.  The archive has an
/// elite for the largest bound.
Counts search(const Problem &problem, const Goal &goal, std::vector<Elite> &archive, uint64_t seed,
              uint64_t candidates);

} // namespace asnet::evolution
