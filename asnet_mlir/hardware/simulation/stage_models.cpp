// SPDX-License-Identifier: Apache-2.0
// A stream as Verilator's models of its stages, each of which is evaluated only while something in it
// changes, and one of what is between them. Included by a generated Vtop.h, which has the ports.
//
// A clock cycle is that of one model: in the low phase signals settle through stages and what is
// between them, at the rising edge all registers take what was there before. A stage is left out as
// long as its inputs are those for which a whole cycle changed not one byte of its state: another
// cycle could not change it either.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <tuple>
#include <vector>

namespace asnet {
/// Copies a port's value; returns whether it is another one.
template <typename T> inline bool moved(const T &from, T &to) {
  if (std::memcmp(&from, &to, sizeof(T)) == 0)
    return false;
  std::memcpy(&to, &from, sizeof(T));
  return true;
}

/// A stage. `Ports` has its `Model`, what holds its state (`State`), `clock`, and `take` and `give`,
/// which copy its inputs and outputs from and to `Between` and say whether one changed.
template <typename Ports, typename Between> class Stage {
public:
  explicit Stage(VerilatedContext &context)
      : model(&context, ""), state(*model.rootp->vlSymsp), before(sizeof(typename Ports::State)) {}
  ~Stage() { model.final(); }

  /// The clock falls. Returns whether outputs changed.
  bool fall(Between &between) {
    if (!Ports::take(between, model)) {
      if (asleep)
        return false;
    } else {
      wake();
    }
    Ports::clock(model) = 0;
    model.eval();
    return Ports::give(model, between);
  }

  /// Takes what changed since the clock fell. Returns whether outputs changed.
  bool settle(Between &between) {
    if (!Ports::take(between, model))
      return false;
    wake();
    Ports::clock(model) = 0;
    model.eval();
    return Ports::give(model, between);
  }

  /// The clock rises; outputs change when it has risen everywhere.
  void rise() {
    if (asleep)
      return;
    Ports::clock(model) = 1;
    model.eval();
    ++cycles;
    if (cycles == due) {
      std::memcpy(before.data(), &state, before.size());
    } else if (cycles == due + 1) {
      asleep = std::memcmp(before.data(), &state, before.size()) == 0;
      // Looks ever more rarely at one that is busy with what it has.
      due = 2 * cycles + pause();
    }
  }

  void give(Between &between) { Ports::give(model, between); }

private:
  void wake() {
    asleep = false;
    cycles = 0;
    due = pause();
  }

  // Looking takes as long as some cycles of a stage with large memories.
  uint64_t pause() const { return 12 + before.size() / 1024; }

  typename Ports::Model model;
  const typename Ports::State &state;
  std::vector<unsigned char> before;
  bool asleep = false;
  uint64_t cycles = 0, due = 12; // since inputs changed
};

/// The whole, with the ports of `Between`.
template <typename Between, typename... Ports> class Stages : public Between {
public:
  explicit Stages(VerilatedContext *context)
      : Between(context, ""), stages(std::make_unique<Stage<Ports, Between>>(*context)...) {}

  void eval() {
    Between::eval();
    if (this->clk) {
      std::apply([&](auto &...stage) { (stage->rise(), ...); }, stages);
      std::apply([&](auto &...stage) { (stage->give(*this), ...); }, stages);
      return;
    }
    bool changed = std::apply([&](auto &...stage) { return (stage->fall(*this) | ... | false); },
                              stages);
    for (int round = 0; changed; ++round) {
      if (round == kMostRounds) {
        std::fprintf(stderr, "bench: signals between stages do not settle\n");
        std::exit(2);
      }
      Between::eval();
      changed = std::apply([&](auto &...stage) { return (stage->settle(*this) | ... | false); },
                           stages);
    }
  }

private:
  static constexpr int kMostRounds = 10000;
  std::tuple<std::unique_ptr<Stage<Ports, Between>>...> stages;
};
} // namespace asnet
