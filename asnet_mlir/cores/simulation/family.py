# SPDX-License-Identifier: Apache-2.0
"""A family of instances as one simulated design: what both simulators have in common.

A family holds instances of one core that differ in their parameters only; they are fed the same
operands.  Each simulator turns the family's top module into a shared library with one C interface
(`DRIVER`), so that whoever runs it need not know which simulator is inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.sources.memory_files import memory_files
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.support.cache import content_hash

__all__ = ["DRIVER", "TOP", "Family", "Widths", "make_family", "storage"]

#: Name of the generated top module.
TOP = "asnet_family"

#: Most clock cycles that a handshake may take; then it counts as never done.
DONE_LIMIT = 4096


@dataclass(frozen=True)
class Widths:
    """Bits of the operands and the result."""

    a: int
    b: int
    result: int

    @property
    def dtypes(self) -> tuple[np.dtype, np.dtype, np.dtype]:
        """The unsigned dtypes in which operands and result are stored."""
        return storage(self.a), storage(self.b), storage(self.result)


def storage(width: int) -> np.dtype:
    """Return the unsigned dtype in which integers of `width` bits are stored."""
    return np.dtype(f"uint{max(8, 1 << (width - 1).bit_length())}")


@dataclass(frozen=True)
class Family:
    """Instances of one core, side by side in one design.

    Where `block_latency` is a number, the library has the function `asnet_block`, which picks
    results that many cycles after their operands (and heeds `done` where there is a handshake).
    """

    instances: tuple[Instance, ...]
    widths: Widths
    block_latency: int | None

    @property
    def count(self) -> int:
        """Number of instances."""
        return len(self.instances)

    @property
    def key(self) -> str:
        """Hash of the design."""
        core = self.instances[0].core
        # A simulator reads a memory's file from where it was when the library was built.
        texts = (self.top(), self.settings(), self.ports_code("@", "@"), DRIVER)
        return content_hash(core.sources_hash, *memory_files(core.sources), *texts)

    def top(self) -> str:
        """Return the top module, in Verilog-2005: clk, rst, start, a, b to r0.., d0...

        Bits of `start`: operand a (or both) is there, b is.  Those of `d0`: the result is there, or
        the core is not busy; it takes operand a, it takes b (always 1 where it does not say so).

        Names of the core are written as escaped identifiers, which may be keywords of another
        version of the language.
        """
        core = self.instances[0].core
        ports, widths = core.ports, self.widths
        lines = [
            f"module {TOP}(",
            "  input wire clk,",
            "  input wire rst,",
            "  input wire [1:0] start,",
            f"  input wire [{widths.a - 1}:0] a,",
            f"  input wire [{widths.b - 1}:0] b,",
        ]
        outputs = [f"  output wire [{widths.result - 1}:0] r{i}" for i in range(self.count)]
        if core.has_handshake:
            outputs += [f"  output wire [2:0] d{i}" for i in range(self.count)]
        lines += [",\n".join(outputs), ");"]
        inputs = {ports.a: "a", ports.b: "b"}
        # What a port is tied to has the port's own width once it is assigned.
        inputs |= {name: f"64'd{value & (1 << 64) - 1}" for name, value in ports.tied.items()}
        if ports.clock:
            inputs[ports.clock] = "clk"
        for name, bit in ((ports.start, 0), (ports.start_b, 1)):
            if name:
                inputs[name] = f"start[{bit}]"
        if ports.reset and core.is_stateful:
            inputs[ports.reset] = "~rst" if ports.reset_active_low else "rst"
        for index, instance in enumerate(self.instances):
            values = ", ".join(f".\\{name} ({value})" for name, value in instance.parameters)
            connections = {**inputs, ports.result: f"r{index}"}
            if core.has_handshake:
                bits = ((ports.done, 0), (ports.ready, 1), (ports.ready_b, 2))
                connections |= {name: f"d{index}[{bit}]" for name, bit in bits if name}
                # One `ready` may be that of both operands.
                alone = "1'b1" if ports.ready is None else f"d{index}[1]"
                if ports.ready is None:
                    lines.append(f"  assign d{index}[1] = 1'b1;")
                if ports.ready_b is None:
                    lines.append(f"  assign d{index}[2] = {alone};")
            if ports.busy:
                connections[ports.busy] = f"busy{index}"
                lines += [f"  wire busy{index};", f"  assign d{index}[0] = ~busy{index};"]
            lines.append(
                f"  \\{core.module} {f'#({values}) ' if values else ''}u{index} ("
                + ", ".join(f".\\{name} ({net})" for name, net in connections.items())
                + ");"
            )
        return "\n".join([*lines, "endmodule", ""])

    def settings(self) -> str:
        """Return the C++ constants that `DRIVER` is compiled with."""
        core = self.instances[0].core
        exponent, fraction = {"f32": (8, 23), "bf16": (8, 7), "f16": (5, 10)}.get(
            core.format or "", (0, 0)
        )
        types = (f"uint{dtype.itemsize * 8}_t" for dtype in self.widths.dtypes)
        lines = [
            f"using {name} = {kind};"
            for name, kind in zip(("asnet_a", "asnet_b", "asnet_r"), types, strict=True)
        ]
        constants = {
            "kInstances": self.count,
            "kClocked": int(core.ports.clock is not None),
            "kHandshake": int(core.has_handshake),
            "kBusy": int(core.ports.busy is not None),
            # Operands that are asked for one by one, or together.
            "kStarts": 3 if core.ports.start_b else 1,
            "kReset": int(core.ports.reset is not None and core.is_stateful),
            "kInterval": core.initiation_interval,
            "kLimit": DONE_LIMIT,
            "kMaskA": (1 << self.widths.a) - 1,
            "kMaskB": (1 << self.widths.b) - 1,
            "kBlockLatency": self.block_latency or 0,
            "kExponent": exponent,
            "kFraction": fraction,
        }
        lines += [
            f"constexpr {'uint64_t' if name.startswith('kMask') else 'int64_t'} {name} = "
            f"{value}{'u' if name.startswith('kMask') else ''};"
            for name, value in constants.items()
        ]
        if self.block_latency is not None:
            lines.append("#define ASNET_BLOCK")
        return "\n".join(["#include <cstdint>", *lines, ""])

    def ports_code(self, read: str, state: str) -> str:
        """Return the functions of a simulator's class that read outputs by the instance's number.

        `read` and `state` are expressions in which `@` stands for the number.
        """

        def switch(expression: str) -> str:
            cases = "".join(
                f" case {index}: return {expression.replace('@', str(index))};"
                for index in range(self.count)
            )
            return f"switch (index) {{{cases} default: return 0; }}"

        core = self.instances[0].core
        return (
            f"  uint64_t result(int64_t index) {{ {switch(read)} }}\n"
            f"  unsigned state(int64_t index) "
            f"{{ {switch(state) if core.has_handshake else '(void)index; return 0;'} }}\n"
        )


def make_family(instances: Sequence[Instance], widths: Widths, *, block: bool = False) -> Family:
    """Return the family of instances of one core.

    Args:
      block: the library shall have `asnet_block`; for one instance.  That of a core with a
        handshake always has it.

    Raises:
      InputError: the instances are not of one core, or several where there can be only one.
      UnsupportedError: a port is wider than 64 bits.
    """
    core = instances[0].core
    if any(instance.core.sources_hash != core.sources_hash for instance in instances):
        raise InputError(f"{core.name}: a family is made of instances of one core")
    if len(instances) != 1 and (core.has_handshake or block):
        raise InputError(f"{core.name}: is simulated alone, not in a family of {len(instances)}")
    widest = max(widths.a, widths.b, widths.result)
    if widest > 64:
        raise UnsupportedError(
            f"{core.name}: a port has {widest} bits; cores of more than 64 cannot be simulated"
        )
    latency = 0 if core.has_handshake else instances[0].latency if block else None
    return Family(tuple(instances), widths, latency)


#: The C interface around a simulator's class `Model`.
#:
#: `Model(seed)` draws undefined values from `seed`; `a`, `b`, `clock`, `reset`, `start` set inputs,
#: `result` and `state` read `r0..` and `d0..` of `Family.top`;
#: `settle()` is false where combinational logic does not come to rest; `stopped()` tells whether
#: the Verilog has ended the simulation by itself.
DRIVER = r"""
#include <cstdlib>
#include <memory>

namespace {
enum { kDone = 0, kStopped = 10, kUnsettled = 11, kNeverDone = 12, kNeverTaken = 13 };

class Simulation : public Model {
 public:
  explicit Simulation(int64_t seed) : Model(seed) {
    start(0);
    a(0);
    b(0);
    reset(kReset != 0);
    for (int cycle = 0; kReset && cycle < 2; ++cycle) tick();
    reset(false);
  }

  // A pair for `interval` cycles each, the results `latencies` cycles after they were applied.
  int stream(const int64_t* latencies, int64_t interval, int64_t count, const asnet_a* va,
             const asnet_b* vb, asnet_r* results) {
    int64_t deepest = 0;
    for (int64_t i = 0; i < kInstances; ++i) if (latencies[i] > deepest) deepest = latencies[i];
    // Whole intervals, so that the next call finds the core where this one did.
    const int64_t cycles = (count + (deepest + interval - 1) / interval) * interval;
    int64_t index = 0, phase = 0;
    for (int64_t t = 0; t < cycles; ++t) {
      a(va[index] & kMaskA);
      b(vb[index] & kMaskB);
      clock(false);
      if (!settle()) return kUnsettled;
      for (int64_t i = 0; i < kInstances; ++i) {
        const int64_t since = t - latencies[i];
        if (since < 0) continue;
        const int64_t pair = interval == 1 ? since : since / interval;
        if (pair < count && (interval == 1 || since % interval == 0))
          results[i * count + pair] = static_cast<asnet_r>(result(i));
      }
      if (kClocked) {
        clock(true);
        if (!settle()) return kUnsettled;
      }
      if (stopped()) return kStopped;
      if (++phase == interval) {
        phase = 0;
        if (index + 1 < count) ++index;
      }
    }
    return kDone;
  }

  // One pair after the other: start, wait for done; `waiting` draws idle cycles between them.
  int handshake(int64_t waiting, int64_t count, const asnet_a* va, const asnet_b* vb,
                asnet_r* results, uint32_t* cycles) {
    uint64_t random = static_cast<uint64_t>(waiting);
    for (int64_t k = 0; k < count; ++k) {
      if (waiting) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        for (uint64_t n = random >> 62; n; --n) tick();
      }
      a(va[k] & kMaskA);
      b(vb[k] & kMaskB);
      // What is still asked for; the result counts behind the cycle in which all is taken and, if
      // the core says when it is busy, behind one in which it was.
      unsigned asked = kStarts;
      bool taken = false, seen = !kBusy;
      start(static_cast<uint8_t>(asked));
      for (int64_t t = 0;; ++t) {
        clock(false);
        if (!settle()) return kUnsettled;
        if (stopped()) return kStopped;
        const unsigned now = state(0);
        const bool ready = taken && seen && (now & 1);
        if (ready) {
          results[k] = static_cast<asnet_r>(result(0));
          if (cycles) cycles[k] = static_cast<uint32_t>(t);
        } else if (t == kLimit) {
          if (cycles) cycles[k] = ~uint32_t{0};
          return asked ? kNeverTaken : kNeverDone;
        }
        asked &= ~(now >> 1);
        taken = !asked;
        if (taken) seen |= !(now & 1);
        clock(true);
        if (!settle()) return kUnsettled;
        start(static_cast<uint8_t>(asked));
        if (ready) break;
      }
    }
    return kDone;
  }

 private:
  void tick() {
    clock(false);
    settle();
    clock(true);
    settle();
  }
};
}  // namespace

#define ASNET_EXPORT extern "C" __attribute__((visibility("default")))

// Run a fresh simulation; `results` is (instances, count), `cycles` (count) or null.
ASNET_EXPORT int asnet_run(int64_t seed, int64_t interval, int64_t waiting,
                           const int64_t* latencies, int64_t count, const void* a, const void* b,
                           void* results, uint32_t* cycles) {
  auto simulation = std::make_unique<Simulation>(seed);
  const auto* va = static_cast<const asnet_a*>(a);
  const auto* vb = static_cast<const asnet_b*>(b);
  auto* vr = static_cast<asnet_r*>(results);
  return kHandshake ? simulation->handshake(waiting, count, va, vb, vr, cycles)
                    : simulation->stream(latencies, interval, count, va, vb, vr);
}

#ifdef ASNET_BLOCK
static int64_t failures = 0;

// How often a block could not be computed (the core was never done, or the Verilog stopped).
ASNET_EXPORT int64_t asnet_block_failures() { return __atomic_load_n(&failures, __ATOMIC_RELAXED); }

template <typename T>
static T canonical(T bits) {
  constexpr T infinity = static_cast<T>(((T{1} << kExponent) - 1) << kFraction);
  constexpr T quiet = kFraction ? static_cast<T>(T{1} << (kFraction ? kFraction - 1 : 0)) : 0;
  constexpr T magnitude = static_cast<T>((T{1} << (kExponent + kFraction)) - 1);
  return kFraction && (bits & magnitude) > infinity ? static_cast<T>(infinity | quiet) : bits;
}

// The core as a function over arrays.  A thread keeps its simulation between calls: a core's
// result does not depend on earlier operands, which its check makes sure of.
ASNET_EXPORT void asnet_block(const void* a, const void* b, void* r, int64_t n) {
  static thread_local std::unique_ptr<Simulation> simulation;
  constexpr int64_t chunk = 256;
  asnet_a va[chunk];
  asnet_b vb[chunk];
  for (int64_t first = 0; first < n; first += chunk) {
    const int64_t count = n - first < chunk ? n - first : chunk;
    for (int64_t i = 0; i < count; ++i) {
      va[i] = canonical(static_cast<const asnet_a*>(a)[first + i]);
      vb[i] = canonical(static_cast<const asnet_b*>(b)[first + i]);
    }
    if (!simulation) simulation = std::make_unique<Simulation>(1);
    const int64_t latency = kBlockLatency;
    auto* results = static_cast<asnet_r*>(r) + first;
    const int status = kHandshake
                           ? simulation->handshake(0, count, va, vb, results, nullptr)
                           : simulation->stream(&latency, kInterval, count, va, vb, results);
    if (status != kDone) {
      __atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
      simulation.reset();
    }
  }
}
#endif
"""
