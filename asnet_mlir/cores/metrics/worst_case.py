# SPDX-License-Identifier: Apache-2.0
"""Proofs of the worst-case error (WCE) of integer cores, beyond enumerating operands.

docs/decisions/0022-error-proofs.md says which ways there are and how far each goes.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.metrics.characterize import characterize
from asnet_mlir.cores.operands import random_operands
from asnet_mlir.cores.proofs import algebra, intervals, miter
from asnet_mlir.cores.simulation.simulation import simulate_pairs
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.structure import remove_registers
from asnet_mlir.errors import AsnetError, InputError, UnsupportedError

__all__ = ["METHODS", "ErrorProof", "Method", "Witness", "prove_error"]

Method = Literal["algebra", "exhaustion", "intervals", "abc", "z3"]

#: Ways to prove an error, as they are tried.
METHODS: tuple[Method, ...] = ("algebra", "exhaustion", "intervals", "abc", "z3")

_MOST_EXHAUSTIVE_BITS = 32
#: What is not decided by then is seldom decided at all.
_INTERVAL_SECONDS = 120.0
_OPERATORS = {"muli": "*", "addi": "+", "subi": "-"}


@dataclass(frozen=True)
class Witness:
    """Operands with an error, computed by simulating the Verilog, as integers."""

    a: int
    b: int
    result: int
    exact: int

    @property
    def error(self) -> int:
        """The absolute error."""
        return abs(self.exact - self.result)

    def __str__(self) -> str:
        """Return it for people."""
        return (
            f"a = {self.a}, b = {self.b}: result {self.result}, exact {self.exact}, "
            f"error {self.error} (simulated)"
        )


@dataclass(frozen=True)
class ErrorProof:
    """What is known of the worst-case error of an instance.

    Attributes:
      claimed: the bound to be proved; None where the worst-case error itself was asked for.
      status: of the claim; without one, "proved" where `bound` is the worst-case error itself.
      bound: no error is above it; None where nothing was proved.
      witness: the operands with the greatest error that is known.
      method: what decided it; `reason` says why nothing did.
    """

    label: str
    op: str
    claimed: int | None
    status: Literal["proved", "refuted", "unknown"]
    bound: int | None
    witness: Witness | None
    method: str
    seconds: float
    reason: str = ""

    @property
    def exact(self) -> bool:
        """Whether `bound` is reached."""
        return self.witness is not None and self.witness.error == self.bound

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "exact": self.exact}

    def summary(self) -> str:
        """Return it for people."""
        exact = f"a {_OPERATORS[self.op]} b"
        said = f"|result - {exact if self.op == 'muli' else f'({exact})'}|"
        if self.claimed is not None:
            head = f"{said} <= {self.claimed}: {self.status}"
        elif self.status == "proved":
            head = f"{said} <= {self.bound}, the worst case: proved"
        else:
            head = f"{said}: the worst case is unknown"
        how = f" by {self.method}" if self.method else ""
        lines = [f"{self.label}: {head}{how} in {self.seconds:.1f} s"]
        if self.bound is not None and self.bound != self.claimed and self.claimed is not None:
            lines.append(f"  proved: <= {self.bound}")
        if self.witness is not None:
            lines.append(f"  {self.witness}")
        if self.reason:
            lines.append(f"  {self.reason}")
        return "\n".join(lines)


def prove_error(
    instance: Instance,
    bound: int | None = None,
    *,
    method: Method | None = None,
    seconds: float = 600.0,
) -> ErrorProof:
    """Prove or refute that no error of an integer core is above a bound, or find the least bound.

    Args:
      instance: of a core for "muli", "addi" or "subi" whose result port holds every exact result.
      bound: on the absolute error; None: find the worst-case error.
      method: the only way to try; by default each of `METHODS` but z3 that applies, until one
        decides.
      seconds: bound on the time.

    Raises:
      InputError: another core, or a bound below 0.
      ToolError: a tool is missing or broke.
    """
    core = instance.core
    if core.op not in _OPERATORS:
        raise InputError(
            f"{instance.label}: computes {core.op}; errors of muli, addi and subi can be proved"
        )
    if core.is_stateful:
        raise UnsupportedError(f"{instance.label}: is iterative; only pipelines can be proved")
    if bound is not None and bound < 0:
        raise InputError(f"the bound must not be negative, but is {bound}")
    if method is not None and method not in METHODS:
        raise InputError(f"unknown method '{method}'; one of {', '.join(METHODS)}")
    search = _Search(instance, bound, time.monotonic(), seconds)
    for way in METHODS[:4] if method is None else (method,):
        search.run(way)
        if search.decided:
            break
    return search.proof()


class _Search:
    """What is known while ways are tried."""

    def __init__(
        self, instance: Instance, claimed: int | None, start: float, seconds: float
    ) -> None:
        self._instance = instance
        self._claimed = claimed
        self._start, self._end = start, start + seconds
        (flat,) = elaborate([instance])
        if isinstance(flat, AsnetError):
            raise flat
        core = instance.core
        assert core.op is not None
        self._subject = miter.Subject(remove_registers(flat, instance)[0], core.op, core.signed)
        a, b, result = self._subject.widths
        if result < self._subject.needed:
            raise InputError(
                f"{instance.label}: a result of {result} bits does not hold every exact one, which "
                f"needs {self._subject.needed}: its errors wrap"
            )
        self._widths = (a, b, result)
        self._bound: int | None = None
        self._witness: Witness | None = None
        self._method = ""
        self._reasons: list[str] = []

    @property
    def _least(self) -> int:
        return -1 if self._witness is None else self._witness.error

    @property
    def _status(self) -> Literal["proved", "refuted", "unknown"]:
        if self._claimed is None:
            return "proved" if self._bound == self._least else "unknown"
        if self._least > self._claimed:
            return "refuted"
        proved = self._bound is not None and self._bound <= self._claimed
        return "proved" if proved else "unknown"

    @property
    def decided(self) -> bool:
        """Whether nothing is left to be tried."""
        return self._status != "unknown"

    def proof(self) -> ErrorProof:
        """Return what is known."""
        core, status = self._instance.core, self._status
        return ErrorProof(
            self._instance.label,
            str(core.op),
            self._claimed,
            status,
            self._bound,
            self._witness,
            self._method,
            time.monotonic() - self._start,
            "" if status != "unknown" else "; ".join(self._reasons),
        )

    def run(self, way: Method) -> None:
        """Try one way."""
        left = self._end - time.monotonic()
        if left <= 0:
            self._reasons.append(f"{way}: no time is left")
        elif way == "algebra":
            self._by_algebra(left)
        elif way == "exhaustion":
            self._by_exhaustion()
        elif way == "intervals":
            self._by_intervals(min(left, _INTERVAL_SECONDS))
        else:
            self._by_miter(way)

    def _seen(self, a: int, b: int) -> None:
        """Take operands into account, by simulation."""
        bits = [np.array([value], np.uint64) for value in (a, b)]
        result = int(simulate_pairs(self._instance, bits[0], bits[1])[0])
        signed = self._subject.signed

        def number(value: int, width: int, signed: bool) -> int:
            return value - (1 << width) if signed and value >> (width - 1) else value

        wide_a, wide_b, wide = self._widths
        x, y = number(a, wide_a, signed), number(b, wide_b, signed)
        exact = {"muli": x * y, "addi": x + y, "subi": x - y}[self._subject.op]
        got = number(result, wide, signed or self._subject.op == "subi")
        witness = Witness(x, y, got, exact)
        if witness.error > self._least:
            self._witness = witness

    def _by_algebra(self, seconds: float) -> None:
        core = self._instance.core
        if core.signed or core.op == "subi" or core.ports.clock is not None:
            self._reasons.append("algebra: is for combinational muli and addi, unsigned")
            return
        (found,) = elaborate([self._instance], flatten=False)
        if isinstance(found, AsnetError):
            raise found
        ports = {"a": core.ports.a, "b": core.ports.b, "result": core.ports.result}
        bounds = algebra.error_bounds(found.modules, found.top, str(core.op), ports, seconds)
        if bounds is None:
            self._reasons.append("algebra: a word has no short polynomial")
            return
        self._bound, self._method = max(-bounds.low, bounds.high), "algebra"
        self._seen(*bounds.pairs[bounds.high >= -bounds.low])
        if self._status == "unknown":
            self._reasons.append(f"algebra: proves {self._bound} only")

    def _by_exhaustion(self) -> None:
        a, b, _ = self._widths
        if a + b > _MOST_EXHAUSTIVE_BITS:
            self._reasons.append(f"exhaustion: {a} x {b} bits are too many")
            return
        found = characterize(self._instance, samples="all", distribution="uniform", checked=True)
        self._bound, self._method = int(found.metrics["WCE"] or 0), "exhaustion"
        worst = found.worst_case or {"a": 0, "b": 0}
        self._seen(int(worst["a"]) & ((1 << a) - 1), int(worst["b"]) & ((1 << b) - 1))

    def _by_intervals(self, seconds: float) -> None:
        core = self._instance.core
        if core.signed or core.op == "subi":
            self._reasons.append("intervals: are for muli and addi, unsigned")
            return
        found = intervals.greatest_error(
            self._subject.netlist, self._subject.op, seconds, self._claimed
        )
        if found is None:
            self._reasons.append("intervals: too many cells, or some without a bound")
            return
        if self._bound is None or found.bound < self._bound:
            self._bound, self._method = found.bound, "intervals"
        self._seen(*found.pair)
        if self._status == "unknown":
            self._reasons.append(f"intervals: prove {found.bound} only")

    def _by_miter(self, engine: miter.Engine) -> None:
        """Decide the claim; without one, halve the gap between what is proved and what occurs."""
        self._method = engine
        if self._witness is None:
            self._sampled()
        first = True
        while not self.decided:
            left = self._end - time.monotonic()
            if left < 1.0:
                self._reasons.append(f"{engine}: not decided in time")
                return
            goal = self._claimed
            if goal is None:
                # Upwards by factors until something is proved, then halfway.
                if self._bound is not None:
                    goal = (self._least + self._bound) // 2
                else:
                    goal = self._least if first else 2 * self._least + 1
                first = False
            found = miter.decide(self._subject, goal, engine, left)
            if found is None:
                self._reasons.append(f"{engine}: not decided in time")
                return
            if found is True:
                self._bound = goal
            else:
                before = self._least
                self._seen(*found)
                if self._least <= before:
                    raise AsnetError(
                        f"{self._instance.label}: {engine} says that the error at a = {found[0]}, "
                        f"b = {found[1]} is above {goal}, but simulation does not"
                    )

    def _sampled(self) -> None:
        """Start with the greatest error among random operands."""
        a, b = random_operands(None, self._widths[0], self._widths[1], 1 << 12, 1)
        results = simulate_pairs(self._instance, a, b)
        subject = self._subject

        def numbers(values: np.ndarray, width: int, signed: bool) -> np.ndarray:
            values = values.astype(object)
            return (
                np.where(values >> (width - 1) > 0, values - (1 << width), values)
                if (signed)
                else values
            )

        x, y = (
            numbers(v, w, subject.signed) for v, w in zip((a, b), self._widths[:2], strict=True)
        )
        got = numbers(results, self._widths[2], subject.signed or subject.op == "subi")
        exact = {"muli": x * y, "addi": x + y, "subi": x - y}[subject.op]
        at = int(np.argmax(np.abs(exact - got)))
        self._witness = Witness(int(x[at]), int(y[at]), int(got[at]), int(exact[at]))
