"""Circuits of look-up tables with at most three inputs, mapped by ABC.

Three inputs because that is what a vector instruction takes: AVX-512's `vpternlog` computes any
function of three bits.  Mapping for area (P. Schlag, J. Kong and P. K. Chan, *Routability-driven
technology mapping for LUT-based FPGAs*, 1994, is the first of many) is what FPGA flows do, and ABC,
which comes with Yosys' wheel, does it well.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asnet_mlir import processes
from asnet_mlir.cores.aig import FALSE, Graph, abc_path
from asnet_mlir.errors import ToolError, UnsupportedError

__all__ = ["MOST_GATES", "Circuit", "Lut", "map_luts"]

#: And-gates of the largest graph that is mapped.
MOST_GATES = 60_000

_SECONDS = 120.0
_MEMORY_BYTES = 4 << 30
# Structural choices (`dch`), with a bound on the SAT solver's conflicts, save a twentieth of the tables.
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
    luts: list[Lut] = []
    # Depth first from the first output on: what is computed is soon used, which keeps registers
    # free, and low bits, from which carries come, are first.
    for output in listed["outputs"]:
        stack = [output]
        while stack:
            name = stack[-1]
            if name in net:
                stack.pop()
                continue
            names, table = tables[name]
            waiting = [other for other in names if other not in net]
            if waiting:
                stack += reversed(waiting)
                continue
            net[name] = inputs + len(luts)
            luts.append(Lut(tuple(net[other] for other in names), table))
            stack.pop()
    return Circuit(inputs, tuple(luts), tuple(net[name] for name in listed["outputs"]))


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
