# SPDX-License-Identifier: Apache-2.0
"""The formal link: a core as the hardware has it is the exact core on masked operands.

Verilog --Yosys--> netlist --unrolled over time--> CIRCT comb --> smt --> SMT-LIB --z3--> proof

A proof is about the module at its parameters with its pipeline: the result of a cycle, as a
function of all operands of all earlier cycles, is the exact core of the operands `latency` cycles
before, with some of their low bits zero; bit for bit, for all operands, NaNs included.  It uses
none of the models that the software computes with.  docs/decisions/0006-proofs.md has the times,
and what is trusted.
`python -m asnet_mlir.cores.proofs.formal` proves the library's truncating cores for every P.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from asnet_mlir.cores.core import Core, Instance
from asnet_mlir.cores.proofs import solver
from asnet_mlir.cores.reading.library import library_cores, load_core
from asnet_mlir.cores.simulation import simulation
from asnet_mlir.cores.simulation.latency import with_latency
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.structure import unroll
from asnet_mlir.errors import AsnetError, InputError, UnsupportedError
from asnet_mlir.support import processes
from asnet_mlir.support.tools import circt_program

__all__ = ["Claim", "Counterexample", "Link", "claim", "exact_core", "main", "prove_claims"]

_WORKER = Path(__file__).with_name("z3_worker.py")
_FULL = 0xFFFFFFFF

Status = Literal["proved", "refuted", "unknown"]


@dataclass(frozen=True)
class Claim:
    """That an instance is an exact one on masked operands.

    Attributes:
      instance: the module at its parameters.
      exact: what it is compared with, without registers.
      masks: the bits of a and b that the exact one sees.
      latency: the clock cycles after which the result is expected.
    """

    instance: Instance
    exact: Instance
    masks: tuple[int, int]
    latency: int


@dataclass(frozen=True)
class Counterexample:
    """Operands for which a claim is wrong, and the simulated results of both sides.

    `confirmed` says whether these differ, as z3 says they do.
    """

    a: int
    b: int
    hardware: int
    exact: int
    confirmed: bool

    def __str__(self) -> str:
        """Return it for people, in hex."""
        how = "confirmed by simulation" if self.confirmed else "NOT confirmed by simulation"
        return (
            f"a = {self.a:08x}, b = {self.b:08x}: hardware {self.hardware:08x}, exact "
            f"{self.exact:08x} ({how})"
        )


@dataclass(frozen=True)
class Link:
    """What came of a claim; `reason` says why it is unknown, or more about why it is wrong."""

    claim: Claim
    status: Status
    seconds: float
    counterexample: Counterexample | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        instance, pair = self.claim.instance, self.counterexample
        return {
            "core": instance.label,
            "module": instance.core.module,
            "parameters": dict(instance.parameters),
            "latency": self.claim.latency,
            "against": self.claim.exact.core.name,
            "masks": list(self.claim.masks),
            "status": self.status,
            "seconds": self.seconds,
            "reason": self.reason,
            "counterexample": pair
            and {
                "a": pair.a,
                "b": pair.b,
                "hardware": pair.hardware,
                "exact": pair.exact,
                "confirmed": pair.confirmed,
            },
        }


def exact_core(core: Core) -> Core | None:
    """Return the library's exact core that a core claims to be behind masks; None without one.

    It is an exact core itself, or the one of its name: `fmul` of `fmul_trunc`.
    """
    library = library_cores()
    for name in (core.name, core.name.removesuffix("_trunc")):
        found = library.get(name)
        if found is not None and found.exact and found.op == core.op and found.format == "f32":
            return found
    return None


def claim(
    instance: Instance,
    *,
    against: str | None = None,
    ignored: int | None = None,
    latency: int | None = None,
) -> Claim:
    """Return what an instance claims to be.

    Args:
      instance: a core of two f32 operands.
      against: the exact core, by default `exact_core`.
      ignored: the number of low bits of both operands that it ignores; by default none where it is
        an exact core itself, else its parameter P.
      latency: clock cycles, by default the instance's own.

    Raises:
      InputError: there is nothing that it claims, or no such exact core.
      UnsupportedError: a core with a state, or not of f32.
    """
    instance = with_latency(instance)
    core = instance.core
    if core.is_stateful or core.format != "f32":
        raise UnsupportedError(f"{core.name}: only pipelines on f32 can be proved")
    exact = exact_core(core) if against is None else load_core(against)
    if exact is None:
        raise InputError(
            f"{core.name}: claims to be no exact core behind masks; give one with --against"
        )
    if exact.op != core.op or exact.format != "f32" or exact.is_stateful:
        raise InputError(f"{exact.name}: computes {exact.op} of {exact.format}, not {core.op}")
    own = dict(instance.parameters)
    if ignored is None:
        ignored = 0 if core.name == exact.name else own.get("P")
    if ignored is None:
        raise InputError(
            f"{core.name}: has no parameter P; say how many bits it ignores (--ignore)"
        )
    if not 0 <= ignored <= 32:
        raise InputError(f"{ignored} ignored bits: operands have 32")
    # The registers stay with the core; what else the two have in common is the same.
    values = {p.name: own[p.name] for p in exact.parameters if p.name in own}
    if isinstance(exact.latency_cycles, str):
        values[exact.latency_cycles] = 0
    reference = exact.instance(values)
    mask = _FULL & ~((1 << ignored) - 1)
    return Claim(
        instance, reference, (mask, mask), instance.latency if latency is None else latency
    )


def prove_claims(claims: Sequence[Claim], *, seconds: float = 60.0) -> list[Link]:
    """Prove or refute claims.

    Args:
      seconds: bound for z3 on each; what it cannot tell in that time is "unknown".

    Raises:
      InputError: a core's Verilog is not read, or is no pipeline.
      ToolError: a tool is missing or broke.
    """
    if not claims:
        return []
    instances = [c.instance for c in claims] + [c.exact for c in claims]
    circuits = []
    for instance, found in zip(instances, elaborate(instances, simplify=False), strict=True):
        if isinstance(found, AsnetError):
            raise found
        circuits.append(unroll(found, instance))
    jobs = [
        _job(one, left, right)
        for one, left, right in zip(
            claims, circuits[: len(claims)], circuits[len(claims) :], strict=True
        )
    ]
    texts = _to_smtlib(claims, jobs)
    links = []
    for one, job, answer in zip(claims, jobs, _decide(texts, seconds), strict=True):
        status: Status = {"unsat": "proved", "sat": "refuted"}.get(answer["status"], "unknown")  # type: ignore[assignment]
        pair, reason = None, answer["reason"]
        if status == "refuted":
            depths = {name.partition("@")[2] for name in job["left"]["operands"]}
            if depths - {str(one.latency)}:
                several = " and ".join(sorted(depths, key=int))
                reason = f"its result depends on operands {several} cycles before"
            names = [name for name, _ in job["inputs"]]
            pair = _confirmed(one, dict(zip(names, answer["values"], strict=True)))
        links.append(Link(one, status, answer["seconds"], pair, reason))
    return links


def _job(one: Claim, left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Return what `comb_to_smt.py` builds."""
    own = [f"{role}@{one.latency}" for role in "ab"]
    seen = [name for name, port in left["ports"].items() if port["direction"] == "input"]
    names = [*own, *(name for name in seen if name not in own)]
    masks = dict(zip("ab", one.masks, strict=True))
    operands = {
        name: [f"{name[0]}@{one.latency}", masks[name[0]]]
        for name, port in right["ports"].items()
        if port["direction"] == "input"
    }
    return {
        "inputs": [[name, 32] for name in names],
        "left": {**left, "operands": {name: [name, _FULL] for name in seen}},
        "right": {**right, "operands": operands},
    }


def _to_smtlib(claims: Sequence[Claim], jobs: Sequence[dict[str, Any]]) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="asnet-smt-") as name:
        request, answer = Path(name) / "jobs.json", Path(name) / "results.json"
        request.write_text(json.dumps(jobs))
        processes.run_program(
            circt_program("comb_to_smt.py"),
            [request, answer],
            purpose="converting netlists to SMT-LIB with CIRCT",
            timeout_seconds=120.0 + 30.0 * len(jobs),
        )
        results = json.loads(answer.read_text())
    for one, result in zip(claims, results, strict=True):
        if "error" in result:
            raise UnsupportedError(f"{one.instance.label}: {result['error']}")
    return [result["smtlib"] for result in results]


def _decide(texts: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    """Return z3's answers; those that its process does not reach are "unknown"."""
    request = [{"smtlib": text, "seconds": seconds} for text in texts]
    found, reason = solver.answers(
        ["-P", _WORKER], request, [seconds] * len(texts), "proving with z3"
    )
    missing = {"status": "unknown", "reason": reason, "seconds": seconds}
    return [found[k] if k < len(found) else missing for k in range(len(texts))]


def _confirmed(one: Claim, values: Mapping[str, int]) -> Counterexample:
    """Return a counterexample with what simulations of both sides give for it.

    Args:
      values: of the operands by name, `a@N` N cycles before the result.
    """
    oldest = max(int(name.partition("@")[2]) for name in values)
    cycles = range(oldest, -1, -1)
    a, b = (
        np.array([values.get(f"{role}@{cycle}", 0) for cycle in cycles], np.uint32) for role in "ab"
    )
    at = oldest - one.latency
    family = simulation.make_family([one.instance], simulation.port_widths([one.instance])[0])
    simulated = simulation.build(family, "verilator")
    hardware = int(simulated.run(a, b, latencies=[one.latency])[0][at])
    masked = [side[at : at + 1] & np.uint32(m) for side, m in zip((a, b), one.masks, strict=True)]
    exact = int(simulation.simulate_pairs(one.exact, masked[0], masked[1])[0])
    return Counterexample(int(a[at]), int(b[at]), hardware, exact, hardware != exact)


def main(arguments: list[str] | None = None) -> int:
    """Prove truncating cores for every P and print a table; return 1 where a proof is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m asnet_mlir.cores.proofs.formal",
        description="Prove by CIRCT and z3 that truncating cores, at their latencies, are the "
        "exact ones on masked operands.",
    )
    parser.add_argument("cores", nargs="*", default=["fmul_trunc", "fdiv_trunc", "fadd_trunc"])
    missing = False
    for name in parser.parse_args(arguments).cores:
        core = load_core(name)
        p = next(parameter for parameter in core.parameters if parameter.name == "P")
        values = range(p.low or 0, (p.high or 0) + 1)
        links = prove_claims([claim(core.instance({"P": value})) for value in values])
        for link in links:
            said = link.counterexample or link.reason or f"latency {link.claim.latency}"
            print(f"{link.claim.instance.label:18} {link.status:8} {link.seconds:6.3f} s  {said}")
            missing |= link.status != "proved"
    return int(missing)


if __name__ == "__main__":
    sys.exit(main())
