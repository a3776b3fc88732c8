# SPDX-License-Identifier: Apache-2.0
"""Whether an error is ever above a bound, by ABC or by z3.

A miter compares the distance between a circuit and the exact operation with the bound; that its
output is never 1 is the proof (Ceska, Matyas, Mrazek, Sekanina, Vasicek and Vojnar, *Approximating
Complex Arithmetic Circuits with Formal Error Guarantees: 32-bit Multipliers Accomplished*, ICCAD
2017).  The two engines have less in common than their solvers: ABC gets gates of the exact
operation, z3 the bit-vector operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from asnet_mlir.cores.circuits import aig
from asnet_mlir.cores.circuits.gates import Gates
from asnet_mlir.cores.circuits.words import FALSE, TRUE, Word
from asnet_mlir.cores.proofs import solver
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.errors import UnsupportedError

__all__ = ["Engine", "Subject", "decide"]

Engine = Literal["abc", "z3"]

_WORKER = Path(__file__).with_name("z3_worker.py")


@dataclass(frozen=True)
class Subject:
    """An integer core's netlist without registers, of ports a, b and result, and its contract."""

    netlist: Netlist
    op: str
    signed: bool

    @property
    def widths(self) -> tuple[int, int, int]:
        """Bits of a, b and the result."""
        ports = self.netlist.module["ports"]
        a, b, result = (len(ports[name]["bits"]) for name in ("a", "b", "result"))
        return a, b, result

    @property
    def needed(self) -> int:
        """Bits that hold every exact result."""
        a, b, _ = self.widths
        return a + b if self.op == "muli" else max(a, b) + 1

    def gates(self) -> tuple[aig.Graph, Word, Word, Word]:
        """Return the core's gates, and the bits of a, b and the result.

        Raises:
          UnsupportedError: there are too many gates, or a cell has none.
        """
        graph = aig.Graph()
        ports = self.netlist.module["ports"]
        a, b = (graph.word(len(ports[name]["bits"])) for name in "ab")
        nets = dict(zip([*ports["a"]["bits"], *ports["b"]["bits"]], [*a, *b], strict=True))
        gates = Gates(graph, self.netlist.module["cells"], nets)
        return graph, a, b, gates.word(ports["result"]["bits"])

    def evaluate(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the result's bits, uint64 of the shape of a and b, by the core's gates."""
        graph, *words, result = self.gates()
        values = {
            literal: operand >> np.uint64(k) & np.uint64(1) > 0
            for word, operand in zip(words, (a.astype(np.uint64), b.astype(np.uint64)), strict=True)
            for k, literal in enumerate(word)
        }
        total = np.zeros(a.shape, np.uint64)
        for k, bit in enumerate(graph.evaluate(result, values)):
            total |= bit.astype(np.uint64) << np.uint64(k)
        return total


def decide(
    subject: Subject, bound: int, engine: Engine, seconds: float
) -> Literal[True] | tuple[int, int] | None:
    """Return whether no error is above a bound.

    Returns:
      True; operands (bits of a and b) with a greater error; None where it is not decided in time.

    Raises:
      UnsupportedError: another operation than "muli", "addi" and "subi", or cells without gates.
      ToolError: the engine is missing or broke.
    """
    if subject.op not in ("muli", "addi", "subi"):
        raise UnsupportedError(f"no miter for '{subject.op}'; muli, addi and subi have one")
    graph, a, b, result = subject.gates()
    if engine == "abc":
        return _by_abc(graph, subject, (a, b, result), bound, seconds)
    return _by_z3(graph, subject, (a, b, result), bound, seconds)


def _extended(subject: Subject, word: Word, width: int, signed: bool | None = None) -> Word:
    is_signed = subject.signed if signed is None else signed
    return [*word, *[word[-1] if is_signed else FALSE] * (width - len(word))]


def _result_signed(subject: Subject) -> bool:
    return subject.signed or subject.op == "subi"


def _by_abc(
    graph: aig.Graph,
    subject: Subject,
    words: tuple[Word, Word, Word],
    bound: int,
    seconds: float,
) -> Literal[True] | tuple[int, int] | None:
    a, b, result = words
    # A sign, and a place for the difference.
    width = max(subject.needed, len(result)) + 2
    x, y = (_extended(subject, word, width) for word in (a, b))
    if subject.op == "addi":
        exact, _ = graph.add(x, y)
    elif subject.op == "subi":
        exact, _ = graph.subtract(x, y)
    elif subject.signed:
        exact = graph.multiply(x, y)
    else:
        exact = graph.multiply(x, b)
    got = _extended(subject, result, width, _result_signed(subject))
    error, _ = graph.subtract(exact, got)
    bad = graph.either(
        _above(graph, error, bound),
        _above(graph, graph.subtract([FALSE] * width, error)[0], bound),
    )
    found = aig.same(graph, [bad], [FALSE], seconds)
    if found is True:
        return True
    if found is None or found is False:
        return (0, 0) if bad == TRUE else None
    pair = [sum(found.get(literal, 0) << k for k, literal in enumerate(word)) for word in (a, b)]
    return pair[0], pair[1]


def _above(graph: aig.Graph, word: Word, bound: int) -> int:
    """Return whether a two's complement number is above a bound that is not negative."""
    limit = [bound >> k & 1 for k in range(len(word))]
    at_most = graph.subtract(limit[:-1], word[:-1])[1]
    return graph.conjunction(word[-1] ^ 1, at_most ^ 1)


def _by_z3(
    graph: aig.Graph,
    subject: Subject,
    words: tuple[Word, Word, Word],
    bound: int,
    seconds: float,
) -> Literal[True] | tuple[int, int] | None:
    a, b, result = words
    width = max(subject.needed, len(result)) + 2
    names = {0: "false"}
    lines = [f"(declare-const a (_ BitVec {len(a)}))", f"(declare-const b (_ BitVec {len(b)}))"]
    for name, word in (("a", a), ("b", b)):
        for k, literal in enumerate(word):
            names[literal >> 1] = f"{name}{k}"
            lines.append(f"(define-fun {name}{k} () Bool (= ((_ extract {k} {k}) {name}) #b1))")

    def text(literal: int) -> str:
        name = names[literal >> 1]
        return f"(not {name})" if literal & 1 else name

    for variable, (left, right) in graph.gates_of(result):
        names[variable] = f"g{variable}"
        lines.append(f"(define-fun g{variable} () Bool (and {text(left)} {text(right)}))")
    bits = " ".join(f"(ite {text(literal)} #b1 #b0)" for literal in reversed(result))
    extend = {True: "sign_extend", False: "zero_extend"}

    def wide(term: str, own: int, signed: bool) -> str:
        return f"((_ {extend[signed]} {width - own}) {term})"

    operation = {"muli": "bvmul", "addi": "bvadd", "subi": "bvsub"}[subject.op]
    x, y = (wide(name, len(w), subject.signed) for name, w in zip("ab", (a, b), strict=True))
    joined = f"(concat {bits})" if len(result) > 1 else bits
    got = wide(joined, len(result), _result_signed(subject))
    lines += [
        f"(define-fun error () (_ BitVec {width}) (bvsub ({operation} {x} {y}) {got}))",
        f"(define-fun bound () (_ BitVec {width}) (_ bv{bound} {width}))",
        "(assert (or (bvsgt error bound) (bvslt error (bvneg bound))))",
        "(check-sat)",
    ]
    request = [{"smtlib": "\n".join(lines), "seconds": seconds}]
    answers, _ = solver.answers(["-P", _WORKER], request, [seconds], "proving with z3")
    status = answers[0]["status"] if answers else "unknown"
    if status == "sat":
        values: Sequence[int] = answers[0]["values"]
        return values[0], values[1]
    return True if status == "unsat" else None
