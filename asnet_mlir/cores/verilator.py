"""Simulation of instances by Verilator: the independent second opinion on a model.

One library holds a *family*: instances of one core that differ in their parameters only.  They are
fed the same operands, a new pair every clock, and everything about time is observed, not assumed.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asnet_mlir import verilator
from asnet_mlir.cache import cached_directory, content_hash
from asnet_mlir.cores.core import Instance, Source
from asnet_mlir.errors import InputError, ToolError, UnsupportedError

__all__ = ["SimulatedFamily", "Widths", "build_family"]

# Cycles for which operands are held while latency is measured; deeper pipelines are refused.
_HOLD_CYCLES = 256

_FLAGS = (
    "-O1",
    "-fPIC",
    "-fvisibility=hidden",
    # Unique symbols would be shared by all libraries that one process loads.
    "-fno-gnu-unique",
    # $finish, $stop and fatal errors set a flag below instead of ending this process.
    "-DVL_USER_FINISH",
    "-DVL_USER_STOP",
    "-DVL_USER_FATAL",
)
_VERILATOR_OPTIONS = (
    "--no-assert",
    "--x-assign",
    "unique",  # undefined values are random, so that a result that depends on them is noticed
    "--x-initial",
    "unique",
    "-Wno-lint",
    "-Wno-style",
)


@dataclass(frozen=True)
class Widths:
    """Bits of the operands and the result."""

    a: int
    b: int
    result: int


class SimulatedFamily:
    """A loaded simulation; made by `build_family`.  Not safe for several threads at once."""

    def __init__(self, library: Path, count: int) -> None:
        self.count = count
        self._library = ctypes.CDLL(str(library), mode=os.RTLD_NOW | os.RTLD_LOCAL)
        self._library.asnet_run.restype = ctypes.c_int

    def trace(self, a: np.ndarray, b: np.ndarray, cycles: int) -> np.ndarray:
        """Return the results seen in each of `cycles` clock cycles, as uint64 (count, cycles).

        Args:
          a, b: uint64 operands, one pair a cycle; the last pair is held to the end.

        Raises:
          ToolError: the simulated Verilog stopped by itself ($finish, $stop, no convergence).
        """
        a, b = (np.ascontiguousarray(operand, dtype=np.uint64) for operand in (a, b))
        if a.shape != b.shape or a.ndim != 1 or not a.size:
            raise InputError("operands must be two 1-D arrays of one length, not empty")
        results = np.empty((self.count, cycles), np.uint64)
        pointer = ctypes.c_void_p
        status = self._library.asnet_run(
            ctypes.c_size_t(a.size),
            pointer(a.ctypes.data),
            pointer(b.ctypes.data),
            ctypes.c_size_t(cycles),
            pointer(results.ctypes.data),
        )
        if status:
            raise ToolError("simulating with Verilator: the Verilog ended the simulation by itself")
        return results

    def run(self, a: np.ndarray, b: np.ndarray, latencies: Sequence[int]) -> np.ndarray:
        """Return the result of each pair for each instance, as uint64 (count, len(a))."""
        trace = self.trace(a, b, a.size + max(latencies))
        return np.stack(
            [row[lag : lag + a.size] for row, lag in zip(trace, latencies, strict=True)]
        )

    def measure_latencies(self, a: np.ndarray, b: np.ndarray) -> list[int | None]:
        """Return each instance's latency in cycles as observed; None where nothing ever changes.

        Each pair of operands is held for a long time.  The result must move to its new value in the
        same number of cycles after every change of the operands, and then stay.

        Raises:
          UnsupportedError: it does not, so this is no pipeline of one depth.
        """
        hold = _HOLD_CYCLES
        trace = self.trace(np.repeat(a, hold), np.repeat(b, hold), a.size * hold)
        latencies: list[int | None] = []
        for row in trace:
            segments = row.reshape(a.size, hold)
            seen: set[int] = set()
            for before, after in itertools.pairwise(segments):
                old, new = before[-1], after[-1]
                if old != new:
                    stale = np.flatnonzero(after != new)
                    first_change = int(np.argmax(after != old))
                    settled = int(stale[-1]) + 1 if stale.size else 0
                    seen |= {first_change, settled}
            if len(seen) > 1:
                raise UnsupportedError(
                    f"simulation: results arrive after {min(seen)} to {max(seen)} cycles; a core "
                    "is a pipeline of one depth"
                )
            latencies.append(seen.pop() if seen else None)
        return latencies


def build_family(instances: Sequence[Instance], widths: Widths) -> SimulatedFamily:
    """Return a simulation of instances of one core, built on the first call and then cached.

    Raises:
      UnsupportedError: a port is wider than 64 bits.
      ToolError: Verilator or the C++ compiler failed.
    """
    core = instances[0].core
    if any(instance.core.sources_hash != core.sources_hash for instance in instances):
        raise InputError(f"{core.name}: a family is made of instances of one core")
    if max(widths.a, widths.b, widths.result) > 64:
        raise UnsupportedError(f"{core.name}: ports wider than 64 bits cannot be simulated yet")
    top = _top(instances, widths)
    key = content_hash(
        verilator.version(), core.sources_hash, top, _DRIVER, *_FLAGS, *_VERILATOR_OPTIONS
    )
    folder = cached_directory("verilator", key, lambda path: _build(path, core.sources, top))
    return SimulatedFamily(folder / "family.so", len(instances))


_DRIVER = r"""
#include "Vfamily.h"
#include "verilated.h"
#include <cstddef>
#include <cstdint>
#include <memory>

static thread_local bool stopped = false;
void vl_finish(const char*, int, const char*) { stopped = true; }
void vl_stop(const char*, int, const char*) { stopped = true; }
void vl_fatal(const char*, int, const char*, const char*) { stopped = true; }

extern "C" __attribute__((visibility("default"))) int asnet_run(
    size_t count, const uint64_t* a, const uint64_t* b, size_t cycles, uint64_t* results) {
  auto context = std::make_unique<VerilatedContext>();
  context->randReset(2);
  context->randSeed(1);
  auto top = std::make_unique<Vfamily>(context.get());
  stopped = false;
  for (size_t t = 0; t < cycles && !stopped; ++t) {
    const size_t i = t < count ? t : count - 1;
    top->asnet_a = static_cast<decltype(+top->asnet_a)>(a[i]);
    top->asnet_b = static_cast<decltype(+top->asnet_b)>(b[i]);
    top->asnet_clock = 0;
    top->eval();
@READ@
    top->asnet_clock = 1;
    top->eval();
  }
  return stopped;
}
"""


def _top(instances: Sequence[Instance], widths: Widths) -> str:
    core = instances[0].core
    lines = [
        "module asnet_family(",
        "  input wire asnet_clock,",
        f"  input wire [{widths.a - 1}:0] asnet_a,",
        f"  input wire [{widths.b - 1}:0] asnet_b,",
    ]
    lines.append(
        ",\n".join(
            f"  output wire [{widths.result - 1}:0] asnet_r{index}"
            for index in range(len(instances))
        )
    )
    lines.append(");")
    for index, instance in enumerate(instances):
        values = ", ".join(f".{name}({value})" for name, value in instance.parameters)
        clock = f".{core.ports.clock}(asnet_clock), " if core.ports.clock else ""
        lines.append(
            f"  {core.module} {f'#({values}) ' if values else ''}asnet_u{index} ({clock}"
            f".{core.ports.a}(asnet_a), .{core.ports.b}(asnet_b), "
            f".{core.ports.result}(asnet_r{index}));"
        )
    return "\n".join([*lines, "endmodule", ""])


def _build(folder: Path, sources: Sequence[Source], top: str) -> None:
    """Fill `folder` with family.so."""
    where = sources[0].path
    names = []
    for number, source in enumerate(sources):
        (folder / f"f{number}.sv").write_text(source.text, encoding="utf-8")
        names.append(f"f{number}.sv")
    (folder / "asnet_family.sv").write_text(top)
    includes = [f"-I{path}" for path in dict.fromkeys(source.path.parent for source in sources)]
    verilator.translate(
        [*names, "asnet_family.sv"],
        top="asnet_family",
        prefix="Vfamily",
        into="generated",
        cwd=folder,
        options=[*_VERILATOR_OPTIONS, *includes],
        purpose=f"building a simulation of {where} with Verilator",
    )
    count = top.count("asnet_u")
    read = "\n".join(
        f"    results[{index} * cycles + t] = top->asnet_r{index};" for index in range(count)
    )
    # One translation unit, because parsing Verilator's headers takes longer than a small model.
    # What Verilator calls slow runs once, at the start: it is not worth optimising.
    parts = sorted(path.name for path in (folder / "generated").glob("*.cpp"))
    fast = [name for name in parts if "__Slow" not in name]
    slow = [name for name in parts if "__Slow" in name]
    (folder / "driver.cpp").write_text(
        _DRIVER.replace("@READ@", read)
        + "".join(f'#include "generated/{name}"\n' for name in fast)
        + '#pragma GCC optimize("O0")\n'
        + "".join(f'#include "generated/{name}"\n' for name in slow)
    )
    verilator.compile_model(
        ["driver.cpp"],
        folder / "family.so",
        flags=_FLAGS,
        includes=["generated"],
        link=["-shared", "-Wl,-Bsymbolic"],
        cwd=folder,
        purpose=f"compiling a simulation of {where}",
    )
    shutil.rmtree(folder / "generated")
    (folder / "driver.cpp").unlink()
