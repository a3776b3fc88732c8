# SPDX-License-Identifier: Apache-2.0
"""And-inverter graphs of model texts, and their comparison by ABC's SAT sweeping.

SAT solvers alone do not see that two circuits of thousands of gates are the same; sweeping does: it
finds inner signals that agree under simulation, proves the agreement from the inputs upwards and
merges them, so that every single proof is small (Mishchenko, Chatterjee, Brayton and Een,
*Improvements to combinational equivalence checking*, ICCAD 2006).  ABC comes with Yosys' wheel.
"""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from asnet_mlir.cores.circuits.terms import Function
from asnet_mlir.cores.circuits.words import FALSE, Gates, Word
from asnet_mlir.errors import ToolError, ToolTimeoutError, UnsupportedError
from asnet_mlir.support import processes
from asnet_mlir.support.resources import how_to_install

__all__ = ["Graph", "abc_path", "blast", "same"]

_CONFLICTS = 1_000_000
_MEMORY_BYTES = 4 << 30


class Graph(Gates):
    """A growing graph in which no two gates have the same inputs."""

    def __init__(self) -> None:
        # The inputs of each variable's gate; None where it is an input of the graph (or the
        # constant).
        self._gates: list[tuple[int, int] | None] = [None]
        self._known: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        """Return the number of variables: gates, inputs and the constant."""
        return len(self._gates)

    def input(self) -> int:
        """Return a new input."""
        self._gates.append(None)
        return 2 * (len(self._gates) - 1)

    def word(self, width: int) -> Word:
        """Return new inputs."""
        return [self.input() for _ in range(width)]

    def _conjoin(self, x: int, y: int) -> int:
        found = self._known.get((x, y))
        if found is None:
            self._gates.append((x, y))
            found = self._known[x, y] = 2 * (len(self._gates) - 1)
        return found

    def _differ(self, x: int, y: int) -> int:
        both, neither = self.conjunction(x, y), self.conjunction(x ^ 1, y ^ 1)
        return self.conjunction(both ^ 1, neither ^ 1)

    def is_nan(self, word: Word) -> int:
        """Return whether the bits of an f32 are those of a NaN."""
        exponent = self.any([bit ^ 1 for bit in word[23:31]]) ^ 1
        return self.conjunction(exponent, self.any(word[:23]))

    def write(self, path: Path, outputs: Sequence[int], inputs: Sequence[int]) -> None:
        """Write the gates that outputs need as binary AIGER (Biere, *The AIGER format*, 2007)."""
        needed = self._cone(outputs)
        number = {0: 0}
        for literal in inputs:
            number[literal >> 1] = len(number)
        gates = [variable for variable in needed if self._gates[variable] is not None]
        missing = [v for v in needed if v and self._gates[v] is None and v not in number]
        if missing:
            raise ValueError("an output depends on an input that is not listed")
        for variable in gates:
            number[variable] = len(number)

        def renumbered(literal: int) -> int:
            return 2 * number[literal >> 1] | literal & 1

        header = f"aig {len(number) - 1} {len(inputs)} 0 {len(outputs)} {len(gates)}\n"
        body = bytearray(header.encode())
        body += "".join(f"{renumbered(literal)}\n" for literal in outputs).encode()
        for variable in gates:
            pair = self._gates[variable]
            assert pair is not None
            low, high = sorted(renumbered(literal) for literal in pair)
            for delta in (2 * number[variable] - high, high - low):
                while delta > 0x7F:
                    body.append(delta & 0x7F | 0x80)
                    delta >>= 7
                body.append(delta)
        path.write_bytes(body)

    def substitute(self, outputs: Sequence[int], replaced: Mapping[int, int]) -> list[int]:
        """Return `outputs` as they are with other literals in the place of some inputs."""
        new: dict[int, int] = {literal >> 1: other for literal, other in replaced.items()}
        for variable in self._cone(outputs):
            pair = self._gates[variable]
            if pair is not None:
                left, right = (new[literal >> 1] ^ literal & 1 for literal in pair)
                new[variable] = self.conjunction(left, right)
            else:
                new.setdefault(variable, 2 * variable)
        return [new[literal >> 1] ^ literal & 1 for literal in outputs]

    def evaluate(
        self, outputs: Sequence[int], values: Mapping[int, np.ndarray]
    ) -> list[np.ndarray]:
        """Return outputs for inputs: arrays of bool of one shape; inputs without a value are 0."""
        shape = next((value.shape for value in values.values()), ())
        known = {literal >> 1: value for literal, value in values.items()}
        for variable in self._cone(outputs):
            pair = self._gates[variable]
            if pair is not None:
                left, right = (known[x >> 1] ^ bool(x & 1) for x in pair)
                known[variable] = left & right
            else:
                known.setdefault(variable, np.zeros(shape, bool))
        return [known[literal >> 1] ^ bool(literal & 1) for literal in outputs]

    def gate(self, literal: int) -> tuple[int, int] | None:
        """Return the inputs of the gate whose output, inverted or not, a literal is; else None."""
        return self._gates[literal >> 1]

    def inputs_of(self, outputs: Sequence[int]) -> list[int]:
        """Return the inputs that outputs depend on, in the order in which they were made."""
        return [2 * v for v in self._cone(outputs) if v and self._gates[v] is None]

    def gates_of(self, outputs: Sequence[int]) -> list[tuple[int, tuple[int, int]]]:
        """Return the gates that outputs need, inputs of a gate before it: variable and inputs."""
        pairs = [(variable, self._gates[variable]) for variable in self._cone(outputs)]
        return [(variable, pair) for variable, pair in pairs if pair is not None]

    def _cone(self, outputs: Sequence[int]) -> list[int]:
        """Return the variables that outputs need; a gate's number is above its inputs'."""
        seen = {literal >> 1 for literal in outputs}
        stack = list(seen)
        while stack:
            for literal in self._gates[stack.pop()] or ():
                if literal >> 1 not in seen:
                    seen.add(literal >> 1)
                    stack.append(literal >> 1)
        return sorted(seen)


Multiply = Callable[[int, Word, Word], Word]


def blast(
    graph: Graph, function: Function, a: Word, b: Word, multiply: Multiply | None = None
) -> tuple[list[Word], int]:
    """Build all nodes of a function; return their words, and where a division is undefined.

    What is poison in `arith` becomes new inputs.

    Args:
      multiply: product of a node's operands, instead of gates.
    """
    words: list[Word] = []
    undefined = FALSE
    nodes = function.nodes
    for index, node in enumerate(nodes):
        operands = [words[k] for k in node.operands]
        if node.op == "muli" and multiply is not None:
            word = multiply(index, *operands)
        elif node.op in ("divui", "remui", "divsi", "remsi"):
            word, bad = _division(graph, node.op, *operands)
            undefined = graph.either(undefined, bad)
        elif node.op == "argument":
            word = (a, b)[int(node.value)]
        elif node.op == "constant":
            word = [int(node.value) >> k & 1 for k in range(node.width)]
        else:
            word = _operation(graph, node.op, str(node.value), operands, node.width)
        if len(word) != node.width:
            raise UnsupportedError(f"operation {node.op} of {node.width} bits is not supported")
        words.append(word)
    return words, undefined


def _division(graph: Graph, op: str, x: Word, y: Word) -> tuple[Word, int]:
    def negated_if(condition: int, word: Word) -> Word:
        flipped = [graph.differ(condition, bit) for bit in word]
        return graph.add(flipped, [FALSE] * len(word), condition)[0]

    bad = graph.any(y) ^ 1
    if op in ("divui", "remui"):
        return graph.divide(x, y)[op == "remui"], bad
    minus_one = graph.any([bit ^ 1 for bit in y]) ^ 1
    least = graph.conjunction(x[-1], graph.any(x[:-1]) ^ 1)
    bad = graph.either(bad, graph.conjunction(least, minus_one))
    quotient, remainder = graph.divide(negated_if(x[-1], x), negated_if(y[-1], y))
    if op == "divsi":
        return negated_if(graph.differ(x[-1], y[-1]), quotient), bad
    return negated_if(x[-1], remainder), bad


def _operation(graph: Graph, op: str, predicate: str, operands: list[Word], width: int) -> Word:
    x = operands[0]
    y = operands[1] if len(operands) > 1 else x
    if op == "select":
        return graph.choose_word(x[0], operands[1], operands[2])
    if op in ("andi", "ori", "xori"):
        gate = {"andi": graph.conjunction, "ori": graph.either, "xori": graph.differ}[op]
        return [gate(left, right) for left, right in zip(x, y, strict=True)]
    if op == "addi":
        return graph.add(x, y)[0]
    if op == "subi":
        return graph.subtract(x, y)[0]
    if op == "muli":
        return graph.multiply(x, y)
    if op in ("extui", "extsi"):
        return x + [FALSE if op == "extui" else x[-1]] * (width - len(x))
    if op in ("trunci", "bitcast"):
        return x[:width]
    if op == "isnan":
        return [graph.is_nan(x)]
    if op in ("shli", "shrui", "shrsi"):
        return _shift(graph, op, x, y)
    if op == "cmpi":
        return [_compare(graph, predicate, x, y)]
    if op in ("maxui", "minui", "maxsi", "minsi"):
        greater = _compare(graph, f"{op[3]}ge", x, y)
        return graph.choose_word(greater ^ (op[:3] == "min"), x, y)
    raise UnsupportedError(f"operation {op} is not supported in a proof")


def _compare(graph: Graph, predicate: str, x: Word, y: Word) -> int:
    if predicate in ("eq", "ne"):
        unequal = graph.any([graph.differ(p, q) for p, q in zip(x, y, strict=True)])
        return unequal ^ (predicate == "eq")
    if predicate[0] == "s":  # the order of signed numbers, with the signs flipped, is the unsigned
        x, y = [*x[:-1], x[-1] ^ 1], [*y[:-1], y[-1] ^ 1]
    if predicate[1:] in ("gt", "le"):
        x, y = y, x
    at_least = graph.subtract(x, y)[1]
    return at_least ^ (predicate[1:] in ("lt", "gt"))


def _shift(graph: Graph, op: str, x: Word, amount: Word) -> Word:
    width = len(x)
    fill = x[-1] if op == "shrsi" else FALSE
    word = x
    for position, bit in enumerate(amount):
        distance = 1 << position
        if distance >= width:
            break
        moved = (
            [FALSE] * distance + word[:-distance]
            if op == "shli"
            else word[distance:] + [fill] * distance
        )
        word = graph.choose_word(bit, moved, word)
    # A width of 1 is the only one that an amount of its own width cannot exceed by far.
    limit = [width >> position & 1 for position in range(len(amount))]
    beyond = graph.subtract(amount, limit)[1]
    return word if beyond == FALSE else graph.choose_word(beyond, graph.word(width), word)


def same(
    graph: Graph, left: Sequence[int], right: Sequence[int], seconds: float
) -> bool | dict[int, int] | None:
    """Return whether two lists of literals are equal whatever the inputs are.

    Args:
      seconds: bound on the time.

    Returns:
      True; the inputs' values by literal where they differ (False without them); None where ABC
      decided nothing in time.

    Raises:
      ToolError: ABC is missing, or answers what is not understood.
    """
    pairs = [(p, q) for p, q in zip(left, right, strict=True) if p != q]
    if not pairs:
        return True
    inputs = graph.inputs_of([literal for pair in pairs for literal in pair])
    if not inputs:
        return False
    with tempfile.TemporaryDirectory(prefix="asnet-abc-") as name:
        for number, side in enumerate(zip(*pairs, strict=True)):
            graph.write(Path(name) / f"{number}.aig", side, inputs)
        script = f"&r 0.aig; &cec -T {max(1, int(seconds))} -C {_CONFLICTS} 1.aig"
        try:
            done = processes.run(
                [abc_path(), "-c", script],
                purpose="comparing two circuits with ABC",
                cwd=Path(name),
                timeout_seconds=seconds + 2.0,
                memory_bytes=_MEMORY_BYTES,
                check=False,
            )
        except ToolTimeoutError:
            return None
    output = done.stdout
    if re.search(r"^Networks are equivalent\.", output, re.MULTILINE):
        return True
    if re.search(r"^Networks are NOT EQUIVALENT\.", output, re.MULTILINE):
        # The first input is the lowest bit.
        values = re.search(r"^INPUT: a = (\d+)'h([0-9A-Fa-f]+)\.", output, re.MULTILINE)
        if values is None or int(values[1]) != len(inputs):
            return False
        number = int(values[2], 16)
        return {literal: number >> k & 1 for k, literal in enumerate(inputs)}
    undecided = r"^(Networks are UNDECIDED|Timed out after)"
    if re.search(undecided, output, re.MULTILINE) or done.returncode:
        return None
    tail = " | ".join((done.stderr + output).strip().splitlines()[-3:])
    raise ToolError(f"comparing two circuits with ABC: its answer was not understood: {tail}")


def abc_path() -> Path:
    """Return the program `yosys-abc`.

    Raises:
      ToolError: it is not installed.
    """
    found = importlib.util.find_spec("pyosys")
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / "yosys-abc"
        if path.is_file():
            return path
    hint = how_to_install("pyosys")
    raise ToolError(f"ABC (yosys-abc) is not installed; it comes with pyosys: {hint}")
