# SPDX-License-Identifier: Apache-2.0
"""Simulation of instances, bounded: Verilog that hangs, crashes or prints ends as one clear error.

A simulator's shared library (`family.py`) is loaded by a small program in a process of its own,
with limits on time, memory and files; operands and results pass through files.  What time has to do
with a core is observed here, never assumed.
"""

from __future__ import annotations

import functools
import itertools
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.operands import (
    corner_pairs,
    integer_corner_pairs,
    random_operands,
)
from asnet_mlir.cores.simulation import by_cxxrtl as cxxrtl
from asnet_mlir.cores.simulation import by_verilator as verilator
from asnet_mlir.cores.simulation.family import DONE_LIMIT, Family, Widths, make_family
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.errors import AsnetError, InputError, ToolError, ToolTimeoutError, UnsupportedError
from asnet_mlir.support import cpp, processes
from asnet_mlir.support.cache import cached_directory, cached_texts, code_version, content_hash
from asnet_mlir.support.formats import FLOAT_FORMATS

__all__ = [
    "SIMULATORS",
    "RestlessError",
    "Simulation",
    "SimulationError",
    "SimulatorName",
    "Widths",
    "block_library",
    "build",
    "make_family",
    "measure_latency",
    "observed_latencies",
    "port_widths",
    "run_library",
    "simulate_pairs",
]

SimulatorName = Literal["verilator", "cxxrtl"]

#: The simulators that every check uses.
SIMULATORS: tuple[SimulatorName, ...] = ("verilator", "cxxrtl")

# Cycles for which operands are held while latency is measured; deeper pipelines are refused.
_HOLD_CYCLES = 256
_MEASURED_PAIRS = 48
_BASE_SECONDS = 20.0
_SECONDS_PER_CYCLE = 20e-6
_MEMORY_BYTES = 8 << 30

_STOPPED, _UNSETTLED, _NEVER_DONE, _NEVER_TAKEN = 10, 11, 12, 13

# run LIBRARY COUNT SEED INTERVAL WAITING CYCLES(0 or 1) LATENCY.. in a folder with a, b, r and c.
_RUNNER = r"""
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

static void* map(const char* name) {
  const int file = open(name, O_RDWR);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0) return nullptr;
  void* memory = mmap(nullptr, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return memory == MAP_FAILED ? nullptr : memory;
}

int main(int count, char** words) {
  if (count < 7) return 2;
  void* library = dlopen(words[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) return fprintf(stderr, "%s\n", dlerror()), 3;
  using Run = int (*)(int64_t, int64_t, int64_t, const int64_t*, int64_t, const void*,
                      const void*, void*, uint32_t*);
  const auto run = reinterpret_cast<Run>(dlsym(library, "asnet_run"));
  std::vector<int64_t> latencies;
  for (int i = 7; i < count; ++i) latencies.push_back(atoll(words[i]));
  void* a = map("a");
  void* b = map("b");
  void* r = map("r");
  void* c = atoll(words[6]) ? map("c") : nullptr;
  if (!run || !a || !b || !r) return fprintf(stderr, "cannot map the operands\n"), 3;
  // What is simulated may print without end and write files.
  if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) return 3;
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_FSIZE, &none);
  setrlimit(RLIMIT_CORE, &none);
  const int status = run(atoll(words[3]), atoll(words[4]), atoll(words[5]), latencies.data(),
                         atoll(words[2]), a, b, r, static_cast<uint32_t*>(c));
  _exit(status);  // without destructors of what was simulated
}
"""


class SimulationError(InputError):
    """A design that its simulation does not get through."""


class RestlessError(InputError):
    """The result of an iterative core never rests, so that its latency is not seen."""


@dataclass(frozen=True)
class Simulation:
    """A family's shared library; `name` is that of the simulator as reports give it."""

    family: Family
    library: Path
    name: str

    def run(
        self,
        a: np.ndarray,
        b: np.ndarray,
        *,
        latencies: Sequence[int] | None = None,
        interval: int | None = None,
        seed: int = 1,
        waiting: int = 0,
    ) -> np.ndarray:
        """Return the results of pairs of operands, unsigned, (instances, len(a)).

        Args:
          a, b: 1-D arrays of integers, of one length, not empty.
          latencies: cycles after which results are picked; by default the instances' own.
          interval: cycles for which operands are held; by default the core's own.
          seed: what undefined values are drawn from, where the simulator draws them.
          waiting: not 0: idle cycles, drawn from this number, between the pairs of a handshake.

        Raises:
          SimulationError: the Verilog ended it, did not settle, took too long or was never done.
          ToolError: the simulation crashed.
        """
        return self.run_with_cycles(
            a, b, latencies=latencies, interval=interval, seed=seed, waiting=waiting
        )[0]

    def run_with_cycles(
        self,
        a: np.ndarray,
        b: np.ndarray,
        *,
        latencies: Sequence[int] | None = None,
        interval: int | None = None,
        seed: int = 1,
        waiting: int = 0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `run`'s results, and for a handshake the cycles until done, (len(a),)."""
        family = self.family
        core = family.instances[0].core
        kinds = family.widths.dtypes
        if a.shape != b.shape or a.ndim != 1 or not a.size:
            raise InputError("operands must be two 1-D arrays of one length, not empty")
        if latencies is None:
            latencies = [0 if core.has_handshake else i.latency for i in family.instances]
        if interval is None:
            interval = core.initiation_interval
        cycles = a.size + (max(latencies) if latencies else 0)
        if core.has_handshake:
            declared = core.latency_cycles if isinstance(core.latency_cycles, int) else 64
            cycles *= max(declared, 64)
        seconds = _BASE_SECONDS + _SECONDS_PER_CYCLE * cycles * interval * family.count
        return run_library(
            self.library,
            a.astype(kinds[0], copy=False),
            b.astype(kinds[1], copy=False),
            kinds[2],
            family.count,
            label=family.instances[0].label,
            options=(seed, interval, waiting),
            latencies=latencies,
            with_cycles=core.has_handshake,
            seconds=seconds,
            done_by="lowers busy" if core.ports.busy else "raises done",
        )


def run_library(
    library: Path,
    a: np.ndarray,
    b: np.ndarray,
    result_kind: np.dtype,
    rows: int,
    *,
    label: str,
    options: tuple[int, int, int] = (1, 1, 0),
    latencies: Sequence[int] = (0,),
    with_cycles: bool = False,
    seconds: float,
    what: str = "the Verilog",
    done_by: str = "raises done",
) -> tuple[np.ndarray, np.ndarray]:
    """Call `asnet_run` of a shared library in a process of its own; see `Simulation.run`.

    Args:
      result_kind, rows: dtype of the results and number of their rows.
      options: seed, interval, waiting.
      seconds: limit of time.
      what: what runs in there, named in errors.
      done_by: how it tells that it is done.
    """
    with tempfile.TemporaryDirectory(prefix="asnet-simulation-") as name:
        folder = Path(name)
        a.tofile(folder / "a")
        b.tofile(folder / "b")
        for file, size in (("r", rows * a.size * result_kind.itemsize), ("c", 4 * a.size)):
            with open(folder / file, "wb") as stream:
                stream.truncate(size if file == "r" or with_cycles else 1)
        try:
            done = processes.run(
                [
                    _runner(),
                    library,
                    *(str(number) for number in (a.size, *options, int(with_cycles), *latencies)),
                ],
                purpose=f"simulating {label}",
                cwd=folder,
                timeout_seconds=seconds,
                memory_bytes=_MEMORY_BYTES,
                check=False,
            )
        except ToolTimeoutError:
            raise SimulationError(
                f"{label}: simulating {a.size} operand pairs took longer than {seconds:.0f} s; "
                f"{what} may hold an endless loop"
            ) from None
        results = np.fromfile(folder / "r", result_kind).reshape(rows, a.size)
        cycles = (
            np.fromfile(folder / "c", np.uint32) if with_cycles else np.zeros(a.size, np.uint32)
        )
    status = done.returncode
    if status == _STOPPED:
        raise SimulationError(
            f"{label}: {what} ends the simulation itself ($finish, $stop or $fatal)"
        )
    if status == _UNSETTLED:
        raise SimulationError(
            f"{label}: combinational logic does not settle in simulation; is there a loop?"
        )
    if status in (_NEVER_DONE, _NEVER_TAKEN):
        index = int(np.argmax(cycles == 0xFFFFFFFF))
        how = (
            f"never {done_by}"
            if status == _NEVER_DONE
            else "never takes its operands (ready and start both 1)"
        )
        raise SimulationError(
            f"{label}: {how}: not within {DONE_LIMIT} cycles of a start with "
            f"a = {int(a[index]):#x}, b = {int(b[index]):#x}"
        )
    if status != 0:
        detail = " | ".join(done.stderr.strip().splitlines()[-3:])
        how = f"signal {-status}" if status < 0 else f"status {status}"
        raise ToolError(f"{label}: {what} crashed its simulation ({how}) {detail}".rstrip())
    return results, cycles


def build(family: Family, simulator: SimulatorName) -> Simulation:
    """Return a family's simulation, built on the first call and then cached.

    Raises:
      ToolError: a tool failed or took too long.
    """
    if simulator == "verilator":
        return Simulation(family, verilator.build(family), verilator.name())
    library = cxxrtl.build(family)
    return Simulation(family, library, cxxrtl.name(library))


def port_widths(instances: Sequence[Instance]) -> list[Widths]:
    """Return the widths of the ports of each instance.

    Raises:
      AsnetError: the Verilog cannot be read or lacks a port.
    """
    keys = [_widths_key(instance) for instance in instances]
    by_key = dict(zip(keys, instances, strict=True))

    def make(missing: list[str]) -> dict[str, str]:
        made = {}
        chosen = [by_key[key] for key in missing]
        for key, one, result in zip(missing, chosen, elaborate(chosen), strict=True):
            if isinstance(result, AsnetError):
                raise result
            widths = widths_of(result, one)
            made[key] = json.dumps([widths.a, widths.b, widths.result])
        return made

    texts = cached_texts("widths", keys, make)
    return [Widths(*json.loads(texts[key])) for key in keys]


def widths_of(netlist: Netlist, instance: Instance) -> Widths:
    """Return the widths of an instance's ports as its netlist has them."""
    ports = instance.core.ports
    found = []
    for port in (ports.a, ports.b, ports.result):
        entry = netlist.module["ports"].get(port)
        if entry is None or not entry["bits"]:
            raise InputError(f"{instance.core.name}: the module has no port '{port}'")
        found.append(len(entry["bits"]))
    return Widths(*found)


def simulate_pairs(
    instances: Instance | Sequence[Instance],
    a: np.ndarray,
    b: np.ndarray,
    *,
    simulator: SimulatorName = "verilator",
    seed: int = 1,
) -> np.ndarray:
    """Return what the simulated Verilog of instances gives for pairs of operands.

    Args:
      instances: one, or several of one core with ports of the same widths.
      a, b: 1-D arrays of bits (any unsigned dtype that holds them).
      seed: what undefined values are drawn from.

    Returns:
      Bits in the unsigned dtype of the result's width: (len(a),) for one instance, else
      (instances, len(a)).

    Raises:
      InputError: see `Simulation.run`.
      ToolError: a tool failed.
    """
    alone = isinstance(instances, Instance)
    members = [instances] if isinstance(instances, Instance) else list(instances)
    widths = port_widths(members)
    if len(set(widths)) != 1:
        raise InputError(f"{members[0].core.name}: instances with ports of several widths")
    if members[0].core.has_handshake:
        results = np.concatenate(
            [
                build(make_family([member], widths[0]), simulator).run(a, b, seed=seed)
                for member in members
            ]
        )
    else:
        results = build(make_family(members, widths[0]), simulator).run(a, b, seed=seed)
    return results[0] if alone else results


def block_library(instance: Instance) -> Path:
    """Return a shared library with `asnet_block(const void* a, const void* b, void* r, int64_t n)`.

    The function runs pairs of operands, stored as `Widths.dtypes`, through the simulated core;
    threads may call it side by side.  NaN operands are read as the canonical one.  `int64_t
    asnet_block_failures(void)` counts what could not be computed.  All this runs in the calling
    process: check the core first.

    Raises:
      ToolError: a tool failed.
    """
    widths = port_widths([instance])[0]
    return build(make_family([instance], widths, block=True), "verilator").library


def measure_latency(instance: Instance) -> tuple[int, int]:
    """Return the fewest and the most cycles from operands to the result, as observed.

    The two differ for a core with a handshake whose time depends on its operands.

    Raises:
      InputError: the core is never done, or its result never settles; see also `Simulation.run`.
      UnsupportedError: a core without a handshake whose time depends on its operands.
    """
    widths = port_widths([instance])[0]
    simulation = build(make_family([instance], widths), "verilator")
    core = instance.core
    if core.has_handshake:
        # Among the corners are the operands that a bit-by-bit shifter needs longest for.
        a, b = _varied_operands(instance, widths, 4096, corners=True)
        _, cycles = simulation.run_with_cycles(a, b)
        return int(cycles.min()), int(cycles.max())
    a, b = _varied_operands(instance, widths, _MEASURED_PAIRS)
    observed = observed_latencies(simulation, a, b)[0]
    if observed is None:
        raise InputError(f"{instance.label}: its result never changes, so that no latency is seen")
    return observed, observed


def _varied_operands(
    instance: Instance, widths: Widths, count: int, *, corners: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return random operand pairs and, if asked for, all pairs of corner values, mixed."""
    core = instance.core
    a, b = random_operands(core.format, widths.a, widths.b, count, (0, 1))
    if corners:
        if core.format is not None:
            first, second = corner_pairs(FLOAT_FORMATS[core.format])
        else:
            first, second = integer_corner_pairs(widths.a, widths.b)
        a, b = np.concatenate([a, first]), np.concatenate([b, second])
    kept = core.ports.specified(a, b)
    a, b = a[kept], b[kept]
    order = np.random.default_rng(1).permutation(a.size)
    return a[order].astype(np.uint64), b[order].astype(np.uint64)


def observed_latencies(simulation: Simulation, a: np.ndarray, b: np.ndarray) -> list[int | None]:
    """Return each instance's latency in cycles as observed; None where nothing ever changes.

    Each pair of operands is held for a long time.  A pipeline's result must move to its new value
    in the same number of cycles after every change of the operands, and then stay.  That of an
    iterative core may show what is not finished; its latency is where it rests at the latest.

    Raises:
      UnsupportedError: a pipeline's does not, so it is none of one depth.
      RestlessError: an iterative core's result never rests.
    """
    instances = simulation.family.instances
    interval = instances[0].core.initiation_interval
    hold = max(_HOLD_CYCLES, 4 * interval)
    hold += -hold % interval
    trace = simulation.run(
        np.repeat(a, hold), np.repeat(b, hold), latencies=(0,) * len(instances), interval=1
    )
    latencies: list[int | None] = []
    for instance, row in zip(instances, trace, strict=True):
        seen: set[int] = set()
        for before, after in itertools.pairwise(row.reshape(a.size, hold)):
            old, new = before[-1], after[-1]
            stale = np.flatnonzero(after != new)
            settled = int(stale[-1]) + 1 if stale.size else 0
            if settled > hold - interval and interval > 1:
                raise RestlessError(
                    f"{instance.label}: the result never comes to rest while operands are held, so "
                    "its latency cannot be seen; declare it"
                )
            if old != new:
                seen |= {settled} if interval > 1 else {int(np.argmax(after != old)), settled}
        if len(seen) > 1 and interval == 1:
            raise UnsupportedError(
                f"{instance.label}: in simulation results arrive after {min(seen)} to {max(seen)} "
                "cycles; a core is a pipeline of one depth"
            )
        latencies.append(max(seen) if seen else None)
    return latencies


def _widths_key(instance: Instance) -> str:
    ports = instance.core.ports
    return content_hash(
        code_version("cores"),
        instance.core.sources_hash,
        json.dumps([ports.a, ports.b, ports.result, instance.parameters]),
    )


@functools.cache
def _runner() -> Path:
    def make(folder: Path) -> None:
        (folder / "run.cpp").write_text(_RUNNER)
        cpp.compile(
            ["-std=gnu++17", "-O1", "run.cpp", "-ldl", "-o", "run"],
            purpose="compiling the program that runs simulations",
            cwd=folder,
            timeout_seconds=600.0,
        )

    return cached_directory("simulation-runner", content_hash(_RUNNER), make) / "run"
