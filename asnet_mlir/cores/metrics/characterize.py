# SPDX-License-Identifier: Apache-2.0
"""How far an instance is from the exact operation: the error metrics of approximate computing.

`docs/characterization.md` defines every figure.  Blocks of operand pairs are fixed and their sums
are exact integers (those of floats: a correctly rounded sum of fixed partial sums), so that no
result depends on the number of threads.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from asnet_mlir.cores.checks.check import CheckReport, check
from asnet_mlir.cores.checks.registration import vectors_before_use
from asnet_mlir.cores.core import (
    Core,
    Instance,
)
from asnet_mlir.cores.metrics.floats import characterize_floats, float_map
from asnet_mlir.cores.metrics.integers import characterize_integers, integer_map
from asnet_mlir.cores.metrics.subject import (
    DISTRIBUTIONS,
    OVERFLOWS,
    Distribution,
    ErrorMap,
    Overflow,
    Subject,
)
from asnet_mlir.cores.models.derive import models_version
from asnet_mlir.cores.models.model import Strategy
from asnet_mlir.cores.reading.library import parse_instance
from asnet_mlir.errors import InputError, MismatchError
from asnet_mlir.support.cache import cached_text, content_hash
from asnet_mlir.support.formats import INTEGER_OPS
from asnet_mlir.worker import in_mlir_process

__all__ = ["Characterization", "characterize", "characterize_core", "compared", "error_map"]

_MAX_SAMPLES = 1 << 33


@dataclass(frozen=True)
class Characterization:
    """The errors of one instance; `docs/characterization.md` defines the figures.

    Attributes:
      kind: "integer" or "float": which metrics there are.
      distribution: its name; the operand pairs' file for a histogram.
      vectors: operand pairs looked at; `exhaustive` if these are all that there are.
      output_range: of integers, what 100 per cent of an error is.
      metrics: EP, MAE, WCE, MSE, bias, MRE, WCRE; for integers also MRE_nonzero; for floats also
        relative_bias, mean_ulp, max_ulp.  None where a result was not finite.
      percent: the same in per cent, where that means something.
      undefined: pairs left out because the operation has no result (a division by zero).
      overflow: of an integer core whose result port does not hold every exact result: what an error
        means there, one of `OVERFLOWS`; else None.
      overflowing: pairs left out because their exact result does not fit (overflow "exclude").
      not_finite: of floats, results that are not finite where the exact one is.
      special_values: of floats, how many pairs involve NaN, infinity, a subnormal or zero, and
        how many of them gave other bits than the exact operation; corner values included.
      worst_case: operands with the greatest error (absolute; of floats, relative), and results.
      inferred: how the operation was found where none was given.
      warnings: what is most likely meant otherwise, as in `CheckReport`.
    """

    label: str
    kind: Literal["integer", "float"]
    op: str
    format: str | None
    signed: bool
    widths: dict[str, int]
    strategy: str
    distribution: str
    seed: int
    vectors: int
    exhaustive: bool
    output_range: int | None
    metrics: dict[str, int | float | None]
    percent: dict[str, float | None]
    undefined: int = 0
    overflow: str | None = None
    overflowing: int = 0
    not_finite: int = 0
    special_values: dict[str, dict[str, int]] = field(default_factory=dict)
    worst_case: dict[str, Any] | None = None
    inferred: str | None = None
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {**asdict(self), "warnings": list(self.warnings)}

    @property
    def headline(self) -> str:
        """The metrics that tell most, in one line."""
        metrics, percent = self.metrics, self.percent

        def number(value: int | float | None) -> str:
            return "not finite" if value is None else f"{value:.4g}"

        if self.kind == "float":
            return (
                f"EP {number(percent['EP'])} %, MRE {number(percent['MRE'])} %, "
                f"WCRE {number(percent['WCRE'])} %, max {number(metrics['max_ulp'])} ulp"
            )
        return (
            f"EP {number(percent['EP'])} %, MAE {number(metrics['MAE'])} "
            f"({number(percent['MAE'])} %), WCE {metrics['WCE']} ({number(percent['WCE'])} %), "
            f"MRE {number(percent['MRE'])} %"
        )

    def summary(self) -> str:
        """Return the figures as text for people."""
        how = "all" if self.exhaustive else f"{self.distribution} (seed {self.seed}),"
        if not self.exhaustive and self.distribution not in DISTRIBUTIONS:
            how = f"{self.distribution},"
        lines = [f"{self.label}: {self.op}, {how} {self.vectors} operand pairs, {self.strategy}"]
        if self.inferred:
            lines.append(f"  {self.inferred}")
        lines += [f"  warning: {text}" for text in self.warnings]
        for name, value in self.metrics.items():
            text = "not finite" if value is None else f"{value:.6g}"
            share = self.percent.get(name)
            line = f"  {name:14}{text:>14}" + ("" if share is None else f"{share:13.6g} %")
            if self.kind == "integer":
                line = f"{line:47}{_NOTES.get(name, '')}".rstrip()
            lines.append(line)
        if self.output_range is not None:
            lines.append(f"  100 % of an absolute error is {self.output_range}")
        if self.overflow:
            lines.append(f"  overflow {self.overflow}: {_OVERFLOW_NOTES[self.overflow]}")
        if self.undefined:
            lines.append(f"  left out: {self.undefined} pairs without a result")
        if self.overflowing:
            lines.append(f"  left out: {self.overflowing} pairs whose exact result does not fit")
        if self.not_finite:
            lines.append(f"  {self.not_finite} results are not finite where the exact one is")
        for name, counts in self.special_values.items():
            lines.append(
                f"  {name}: {counts['mismatches']} of {counts['vectors']} pairs differ from IEEE"
            )
        if self.worst_case:
            lines.append(
                "  worst case: "
                + ", ".join(f"{name} = {value}" for name, value in self.worst_case.items())
            )
        return "\n".join(lines)


_NOTES = {
    "MRE": "of all pairs, where the exact result is 0 against 1",
    "MRE_nonzero": "without pairs whose exact result is 0",
}

_OVERFLOW_NOTES = {
    "plain": "errors are between the words that the port holds, also across a wrap",
    "modular": "errors are the shortest way modulo 2^width of the result",
    "exclude": "only pairs whose exact result fits count",
}


def characterize(
    instance: Instance,
    *,
    distribution: Distribution | None = None,
    samples: int | Literal["all"] | None = None,
    seed: int = 0,
    strategy: Strategy | None = None,
    threads: int | None = None,
    checked: bool = False,
    overflow: Overflow = "plain",
) -> Characterization:
    """Return the errors of an instance against the exact operation, from the cache if known.

    Args:
      instance: of a floating-point core, or of an integer core; its operation where it has none is
        inferred from its name or its function, which `Characterization.inferred` tells.
      distribution: of the operands.  "uniform": every integer operand alike, floats uniform in
        [-1, 1); "normal": integers around the middle of their range with a deviation of an eighth
        of it, floats standard normal; "typical" (floats only): uniform sign and fraction, exponents
        -8..7.  By default "uniform" for integers and "typical" for floats.
      samples: operand pairs, or "all"; by default all where integer operands have at most 32 bits
        together (20 if the model is a simulation) and are uniform, else a million (floats: four).
      seed: of the operands drawn.
      strategy: force that of the model, as in `derive_models`.
      threads: by default as many as this process has processors.  Results do not depend on it.
      checked: the instance has passed its check, so that it is not checked here.
      overflow: of an integer core whose result port is too narrow for every exact result: "plain",
        the difference of the words; "modular", their distance modulo 2^width; "exclude", without
        the pairs whose exact result does not fit.

    Raises:
      InputError: a core without an operation that is told by nothing, a distribution that does not
        fit; see also `vectors_before_use`.
      MismatchError: the core fails its check.
      ToolError: see `check` and `derive_models`.
    """
    if distribution is None:
        distribution = "typical" if instance.core.is_float else "uniform"
    _check_operands(instance, distribution, samples)
    _check_options(instance, overflow, seed, threads)
    inferred: str | None = None
    warnings: tuple[str, ...] = ()
    if not checked or instance.core.op is None:
        report = _looked_at(instance, strategy)
        if not report.passed:
            raise MismatchError(f"{report.label}: the core fails its check: {report.failures[0]}")
        instance, inferred, warnings = compared(instance, report), report.inferred, report.warnings
    core = instance.core
    assert core.op is not None
    named = distribution if isinstance(distribution, str) else distribution.content_hash
    key = content_hash(
        models_version(),
        instance.content_hash,
        named,
        str(samples),
        str(seed),
        strategy or "any",
    )
    if overflow != "plain":
        key = content_hash(key, overflow)
    workers = threads or len(os.sched_getaffinity(0))

    def make() -> str:
        subject = Subject.of(instance, strategy)
        if core.is_float:
            found = characterize_floats(subject, distribution, samples, seed, workers)
        else:
            found = characterize_integers(subject, distribution, samples, seed, workers, overflow)
        return json.dumps(found)

    entry = json.loads(cached_text("characterizations", key, make))
    return Characterization(
        label=instance.label,
        kind="float" if core.is_float else "integer",
        op=core.op,
        format=core.format,
        signed=core.signed,
        distribution=distribution if isinstance(distribution, str) else distribution.name,
        seed=seed,
        inferred=inferred,
        warnings=warnings,
        **entry,
    )


def _check_operands(
    instance: Instance, distribution: Distribution, samples: int | str | None
) -> None:
    core = instance.core
    if isinstance(distribution, str):
        if distribution not in DISTRIBUTIONS:
            raise InputError(
                f"unknown distribution '{distribution}'; one of {', '.join(DISTRIBUTIONS)}"
            )
        if distribution == "typical" and not core.is_float:
            raise InputError(
                f"{instance.label}: the distribution 'typical' is one of floating-point operands; "
                "use 'uniform' or 'normal'"
            )
    elif samples is not None:
        raise InputError(f"{distribution.name}: all pairs of a histogram count; leave samples out")
    if isinstance(samples, str):
        if samples != "all":
            raise InputError(f"samples '{samples}': give a number or 'all'")
        if core.is_float or distribution != "uniform":
            raise InputError("samples 'all': only for integer cores and uniform operands")
    elif samples is not None and not 1 <= samples <= _MAX_SAMPLES:
        raise InputError(f"samples must be from 1 to {_MAX_SAMPLES}, not {samples}")


def _check_options(instance: Instance, overflow: str, seed: int, threads: int | None) -> None:
    if overflow not in OVERFLOWS:
        raise InputError(f"unknown overflow '{overflow}'; one of {', '.join(OVERFLOWS)}")
    if overflow != "plain" and instance.core.is_float:
        raise InputError(
            f"{instance.label}: overflow '{overflow}' is for integer cores, whose results wrap"
        )
    if seed < 0:
        raise InputError(f"the seed must not be negative, but is {seed}")
    if threads is not None and threads < 1:
        raise InputError(f"the number of threads must be at least 1, not {threads}")


def _looked_at(instance: Instance, strategy: Strategy | None) -> CheckReport:
    return check([instance], random_vectors=vectors_before_use(), strategy=strategy)[0]


def compared(instance: Instance, report: CheckReport) -> Instance:
    """Return an instance with the operation that its check took it for, if it has none.

    Raises:
      InputError: neither its name nor its function tells one.
    """
    core = instance.core
    if core.op is not None:
        return instance
    if report.op is None:
        raise InputError(
            f"{instance.label}: has no operation to compare it with, and neither its name nor its "
            "function tells one; give it with --op (op=.. in Python): one of "
            f"{', '.join(INTEGER_OPS)}"
        )
    return replace(instance, core=replace(core, op=report.op, signed=report.signed))


@in_mlir_process()
def characterize_core(
    core: str | Core | Instance,
    *,
    op: str | None = None,
    distribution: Distribution | None = None,
    samples: int | Literal["all"] | None = None,
    seed: int = 0,
    threads: int | None = None,
    overflow: Overflow = "plain",
) -> Characterization:
    """Characterize one core, given as text for `parse_instance`, as a core, or fixed.

    Args:
      op: the operation, for text that names Verilog without a manifest.

    Raises:
      InputError, MismatchError, ToolError: see `characterize` and `parse_instance`.
    """
    if isinstance(core, str):
        core = parse_instance(core, op=op)
    elif op is not None:
        raise InputError("op is for a core given as text; this one has its own")
    instance = core.instance() if isinstance(core, Core) else core
    return characterize(
        instance,
        distribution=distribution,
        samples=samples,
        seed=seed,
        threads=threads,
        overflow=overflow,
    )


def error_map(
    instance: Instance,
    *,
    distribution: Distribution | None = None,
    seed: int = 0,
    strategy: Strategy | None = None,
    overflow: Overflow = "plain",
) -> ErrorMap:
    """Return the picture of an instance's errors; the instance has been characterized.

    Args:
      distribution, seed, strategy, overflow: as in `characterize`; the map covers all operands
        alike.
    """
    if instance.core.op is None:
        instance = compared(instance, _looked_at(instance, strategy))
    subject = Subject.of(instance, strategy)
    if instance.core.is_float:
        return float_map(subject, distribution or "typical", seed)
    return integer_map(subject, distribution or "uniform", seed, overflow)
