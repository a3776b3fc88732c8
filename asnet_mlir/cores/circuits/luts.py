# SPDX-License-Identifier: Apache-2.0
"""Circuits of look-up tables with at most three inputs, mapped by ABC.

Three inputs because that is what a vector instruction takes: AVX-512's `vpternlog` computes any
function of three bits.  Mapping for area (P. Schlag, J. Kong and P. K. Chan, *Routability-driven
technology mapping for LUT-based FPGAs*, 1994, is the first of many) is what FPGA flows do, and ABC,
which comes with Yosys' wheel, does it well.
"""

from __future__ import annotations

import heapq
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asnet_mlir.cores.circuits.aig import Graph, abc_path
from asnet_mlir.cores.circuits.words import FALSE
from asnet_mlir.errors import ToolError, UnsupportedError
from asnet_mlir.support import processes

__all__ = ["MOST_GATES", "Circuit", "Lut", "map_luts"]

#: And-gates of the largest graph that is mapped.
MOST_GATES = 30_000

_SECONDS = 120.0
_MEMORY_BYTES = 4 << 30
# Structural choices (`dch`), with a bound on the SAT solver's conflicts, save a twentieth.
_SCRIPT = "read in.aig; dch -C 100; if -K 3 -a; write_blif out.blif"


@dataclass(frozen=True)
class Lut:
    """A function of up to three nets: bit `x0 + 2 x1 + 4 x2` of `table` is its value."""

    inputs: tuple[int, ...]
    table: int


@dataclass(frozen=True)
class Circuit:
    """Nets are numbered: the inputs first, then one for each of `luts`, which come in order.

    A table without inputs is a constant.
    """

    inputs: int
    luts: tuple[Lut, ...]
    outputs: tuple[int, ...]


def map_luts(graph: Graph, inputs: Sequence[int], outputs: Sequence[int]) -> Circuit:
    """Return the circuit that computes literals of a graph.

    Args:
      graph: what ABC maps.
      inputs: literals of the graph's inputs, in the order in which the circuit shall have them.
      outputs: literals; inputs that they depend on and that are not listed are 0.

    Raises:
      UnsupportedError: the graph is too large.
      ToolError: ABC is missing, failed, or wrote what is not understood.
    """
    if len(graph) > MOST_GATES:
        raise UnsupportedError(f"{len(graph)} and-gates are more than {MOST_GATES}")
    listed = set(inputs)
    free = [literal for literal in graph.inputs_of(outputs) if literal not in listed]
    outputs = graph.substitute(outputs, dict.fromkeys(free, FALSE))
    with tempfile.TemporaryDirectory(prefix="asnet-abc-") as name:
        folder = Path(name)
        graph.write(folder / "in.aig", outputs, inputs)
        done = processes.run(
            [abc_path(), "-c", _SCRIPT],
            purpose="mapping a circuit with ABC",
            cwd=folder,
            timeout_seconds=_SECONDS,
            memory_bytes=_MEMORY_BYTES,
        )
        path = folder / "out.blif"
        if not path.is_file():
            tail = " | ".join((done.stderr + done.stdout).strip().splitlines()[-3:])
            raise ToolError(f"mapping a circuit with ABC: it wrote no circuit: {tail}")
        text = path.read_text()
    return _read_blif(text, len(inputs))


def _read_blif(text: str, inputs: int) -> Circuit:
    """Read what ABC writes of a combinational circuit without names."""
    tables: dict[str, tuple[list[str], int]] = {}
    listed: dict[str, list[str]] = {"inputs": [], "outputs": []}
    for words, cover in _sections(text):
        if words[0] in (".inputs", ".outputs"):
            listed[words[0][1:]] += words[1:]
        elif words[0] == ".names":
            tables[words[-1]] = (words[1:-1], _table(len(words) - 2, cover))
        elif words[0] not in (".model", ".end"):
            raise ToolError(f"mapping a circuit with ABC: its answer has '{words[0]}'")
    if len(listed["inputs"]) != inputs:
        raise ToolError("mapping a circuit with ABC: its answer has other inputs")
    net = {name: number for number, name in enumerate(listed["inputs"])}
    # Depth first from the lowest output on; the schedule falls back on this order.
    for output in listed["outputs"]:
        stack = [output]
        while stack:
            name = stack.pop()
            if name in net:
                continue
            below = [other for other in tables[name][0] if other not in net]
            if below:
                stack += [name, *reversed(below)]
            else:
                net[name] = len(net)
    luts = {
        net[n]: Lut(tuple(net[x] for x in names), table)
        for n, (names, table) in tables.items()
        if n in net
    }
    return _scheduled(inputs, luts, [net[name] for name in listed["outputs"]])


def _scheduled(inputs: int, luts: Mapping[int, Lut], outputs: Sequence[int]) -> Circuit:
    """Number the tables in an order in which few nets are alive at a time.

    A net that finds no register is stored and loaded again, as an instruction of its own.  Of the
    tables whose inputs are there, the next one is one that is the last to read some net, else any;
    among equals the one that reads the net used last (list scheduling; J. R. Goodman and W.-C. Hsu,
    *Code scheduling and register allocation in large basic blocks*, ICS 1988).  On a multiplier of
    24 x 24 bits this halves the loads of going depth first from the outputs.
    """
    readers: dict[int, list[int]] = {}
    for name, lut in luts.items():
        for net in set(lut.inputs):
            readers.setdefault(net, []).append(name)
    left = {net: len(names) for net, names in readers.items()}
    for net in outputs:
        left[net] = left.get(net, 0) + 1
    waiting = {name: sum(net >= inputs for net in set(lut.inputs)) for name, lut in luts.items()}
    used = dict.fromkeys(range(inputs), -1)
    heap: list[tuple[tuple[bool, int, int], int]] = []

    def rank(name: int) -> tuple[bool, int, int]:
        nets = set(luts[name].inputs)
        # Inputs stay in memory.
        freed = sum(left[net] == 1 and net >= inputs for net in nets)
        return (freed == 0, -max((used[net] for net in nets), default=-1), -freed)

    for name, count in waiting.items():
        if count == 0:
            heapq.heappush(heap, (rank(name), name))
    number = {net: net for net in range(inputs)}
    order: list[Lut] = []
    while heap:
        known, name = heapq.heappop(heap)
        if name in number or known != rank(name):
            continue  # done, or there again with the rank that it has now
        lut = luts[name]
        nets = set(lut.inputs)
        used[name] = len(order)
        number[name] = inputs + len(order)
        for net in nets:
            left[net] -= 1
            used[net] = len(order)
        order.append(Lut(tuple(number[net] for net in lut.inputs), lut.table))
        for reader in readers.get(name, ()):
            waiting[reader] -= 1
        for net in (*nets, name):
            for reader in readers.get(net, ()):
                if waiting[reader] == 0 and reader not in number:
                    heapq.heappush(heap, (rank(reader), reader))
    return Circuit(inputs, tuple(order), tuple(number[net] for net in outputs))


def _sections(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield each command's words and the lines of the cover below it."""
    words: list[str] = []
    cover: list[str] = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.startswith("."):
            if words:
                yield words, cover
            words, cover = line.split(), []
        elif line.strip() and not line.startswith("#"):
            cover.append(line)
    if words:
        yield words, cover


def _table(count: int, cover: Sequence[str]) -> int:
    """Return the table of a sum of products, or of its complement where the lines end in 0."""
    if count > 3:
        raise ToolError(f"mapping a circuit with ABC: a table has {count} inputs")
    table, value = 0, "1"
    for line in cover:
        parts = line.split()
        pattern, value = (parts[0] if count else ""), parts[-1]
        for row in range(1 << count):
            if all(p == "-" or int(p) == row >> k & 1 for k, p in enumerate(pattern)):
                table |= 1 << row
    return table if value == "1" else table ^ ((1 << (1 << count)) - 1)
