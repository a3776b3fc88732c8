"""Checks of instances against their contract, two independent simulators and exact arithmetic.

A check passes when

* the latency declared, that of the structure and that observed in simulation are one number (for a
  core with a handshake: the most cycles that were seen are not more than declared);
* the derived model, Verilator and Yosys' CXXRTL give the same bits for every operand pair tried,
  NaN operands being the canonical one where the core sees them (`docs/semantics.md`);
* no result depends on what Verilog leaves undefined or, for a core with a state, on earlier
  operands;
* a core that claims to be exact gives the bits of the host's IEEE-754 operation with NaN as the
  canonical one, or of the integer operation.

Everything that comes out of the user's Verilog runs in processes with limits (`simulation.py`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from asnet_mlir.cores.checks import fit
from asnet_mlir.cores.core import (
    Core,
    Instance,
)
from asnet_mlir.cores.models.derive import derive_models, models_version
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.models.model import Model, Strategy
from asnet_mlir.cores.models.native import at_exact_parameters
from asnet_mlir.cores.operands import (
    corner_pairs,
    corner_values,
    exact_float,
    exact_integer,
    ieee_reference,
    integer_corner_pairs,
    random_operands,
    random_pairs,
    typical_pairs,
)
from asnet_mlir.cores.reading.library import library_cores, parse_instance
from asnet_mlir.cores.simulation.family import Widths, make_family
from asnet_mlir.cores.simulation.latency import with_latency
from asnet_mlir.cores.simulation.simulation import (
    Simulation,
    build,
    observed_latencies,
    port_widths,
    simulate_pairs,
    widths_of,
)
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.structure import remove_registers
from asnet_mlir.errors import AsnetError
from asnet_mlir.support import processes
from asnet_mlir.support.cache import cached_texts, content_hash
from asnet_mlir.support.formats import F32, FLOAT_FORMATS, INTEGER_OPS, NumberFormat
from asnet_mlir.support.verilator import version as simulator_version
from asnet_mlir.worker import in_mlir_process

__all__ = [
    "CANONICAL_NAN",
    "DEFAULT_VECTORS",
    "CheckReport",
    "check",
    "check_core",
    "corner_values",
    "differing",
    "ieee_reference",
    "random_pairs",
    "typical_pairs",
]

#: The NaN that an f32 core sees and that an exact core gives.
CANONICAL_NAN = F32.canonical_nan

#: Random operand pairs tried besides the corners.
DEFAULT_VECTORS = 1_000_000

_CHUNK = 1 << 20
_SHOWN_MISMATCHES = 5
# Instances in one library of CXXRTL, whose code takes long to compile: several are compiled and run
# side by side.  Verilator's code for many instances is compiled as fast as that for one.
_CXXRTL_GROUP = 6
_JOBS = 2
# Operand bits up to which every pair is tried: always, and in a check of full length.
_ALWAYS_EXHAUSTIVE_BITS = 16
_EXHAUSTIVE_BITS = 24
# An iterative core is tried on fewer pairs where they would take more clock cycles than this, but
# never on fewer than these.
_MOST_CYCLES = 200_000_000
_FEWEST_PAIRS = 1 << 16
# Mean relative error from which a significand unit is looked at on its own.
_SUSPICIOUS = 0.05
# Pairs that are tried once more in another order.
_REORDERED_PAIRS = 1 << 15


@dataclass(frozen=True)
class CheckReport:
    """What checking one instance found.

    `vectors` is the number of operand pairs, `seed` that of the random ones; `simulator_vectors`
    says for each simulator how many of them it was given.  `metrics` compares a floating-point core
    with the exact operation over `typical_pairs` whose exact result is a normal number:
    `max_relative_error`, `mean_relative_error` (None where a result is not finite) and
    `error_probability`.  For an integer core they are over all pairs, relative errors against at
    least 1, with `mean_absolute_error` and `worst_case_error`; empty where there is no operation to
    compare with.  `op` is what it is compared with, of signed operands or not; `inferred` says how
    it was found where none was given.  `warnings` are no failures: what is most likely meant
    otherwise.
    """

    label: str
    status: str
    strategy: str | None
    vectors: int
    seed: int
    simulators: tuple[str, ...]
    latency_cycles: int
    metrics: dict[str, float | None] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    simulator_vectors: dict[str, int] = field(default_factory=dict)
    op: str | None = None
    signed: bool = False
    inferred: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return self.status == "pass"

    def summary(self) -> str:
        """Return the report as text: one line, and one more for each failure."""
        parts = [f"{self.label}: {self.status}"]
        if self.vectors:
            simulators = [
                name if count == self.vectors else f"{name} ({count} of them)"
                for name, count in self.simulator_vectors.items()
            ]
            parts.append(
                f"{self.strategy} model, {self.vectors} operand pairs (seed {self.seed}), "
                f"{', '.join(simulators)}, latency {self.latency_cycles}"
            )
        if self.metrics:
            error = self.metrics["max_relative_error"]
            parts.append(f"max relative error {'not finite' if error is None else f'{error:.3g}'}")
        if self.inferred:
            parts.insert(1, self.inferred)
        return "\n  ".join(
            ["; ".join(parts), *self.failures, *(f"warning: {text}" for text in self.warnings)]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            **asdict(self),
            "simulators": list(self.simulators),
            "failures": list(self.failures),
            "warnings": list(self.warnings),
        }


def check(
    instances: Sequence[Instance],
    *,
    random_vectors: int = DEFAULT_VECTORS,
    seed: int = 0,
    strategy: Strategy | None = None,
) -> list[CheckReport]:
    """Check instances and return a report on each, from the cache where it was made before.

    Args:
      instances: those of one core are simulated together.
      random_vectors: operand pairs tried besides the grid of corner values.  Integer functions of
        at most 16 operand bits, and of at most 24 unless fewer vectors than by default are asked
        for, are tried exhaustively instead (by one simulator: CXXRTL, or Verilator where there is
        a clock; the other one gets a random part of at least this number).  Cores that take many
        cycles are tried on fewer, which the report says.
      seed: of the random operands.
      strategy: force that of the model, as in `derive_models`.

    Raises:
      InputError: Verilog that cannot be read, that breaks the contract of ports, that ends or
        hangs its simulation, or that is never done.
      ToolError: a tool is missing or failed.
    """
    instances = [with_latency(instance) for instance in instances]
    settings = (str(random_vectors), str(seed), strategy or "any")
    keys = [content_hash(_version(), instance.content_hash, *settings) for instance in instances]
    by_key = dict(zip(keys, instances, strict=True))

    def make(missing: list[str]) -> dict[str, str]:
        made = _check_all([by_key[key] for key in missing], random_vectors, seed, strategy)
        return {
            key: json.dumps(report.to_json()) for key, report in zip(missing, made, strict=True)
        }

    texts = cached_texts("checks", keys, make)
    reports = []
    for key, instance in zip(keys, instances, strict=True):
        entry = json.loads(texts[key])
        entry |= {
            "label": instance.label,
            "simulators": tuple(entry["simulators"]),
            "failures": tuple(entry["failures"]),
            "warnings": tuple(entry["warnings"]),
        }
        reports.append(CheckReport(**entry))
    return reports


@in_mlir_process()
def check_core(
    core: str | Core | Instance, *, random_vectors: int = DEFAULT_VECTORS, seed: int = 0
) -> CheckReport:
    """Check one core, given as text for `parse_instance`, as a core (with its defaults) or fixed.

    Raises:
      InputError, ToolError: see `check` and `parse_instance`.
    """
    if isinstance(core, str):
        core = parse_instance(core)
    instance = core.instance() if isinstance(core, Core) else core
    return check([instance], random_vectors=random_vectors, seed=seed)[0]


def differing(left: np.ndarray, right: np.ndarray, *, nan_equals_nan: bool) -> np.ndarray:
    """Return the indices at which two arrays of result bits differ.

    Args:
      left, right: 1-D unsigned integer arrays of one length.
      nan_equals_nan: read the bits as f32, and let any NaN equal any NaN.
    """
    unequal = left != right
    if nan_equals_nan:
        unequal &= ~(F32.is_nan(left) & F32.is_nan(right))
    return np.flatnonzero(unequal)


class _Findings:
    """What has been seen of one instance so far."""

    def __init__(self, instance: Instance, widths: Widths) -> None:
        self.instance = instance
        self.widths = widths
        self.strategy: str | None = None
        self.failures: list[str] = []
        self.undefined: list[str] = []  # failures that explain all others
        self.mismatches: dict[str, int] = {}
        self.vectors = 0
        self.simulators: dict[str, int] = {}
        self.cycles: set[int] = set()
        self.normal = 0
        self.wrong = 0
        self.error_sum = 0.0
        self.error_max = 0.0
        self.absolute_sum = 0.0
        self.absolute_max = 0.0
        core = instance.core
        self.op, self.signed = core.op, core.signed
        self.inferred: str | None = None
        self.warnings: list[str] = []

    def compare(
        self, other: str, a: np.ndarray, b: np.ndarray, got: np.ndarray, want: np.ndarray, nan: bool
    ) -> None:
        """Compare the first simulation's result bits with the `other` ones."""
        where = differing(got, want, nan_equals_nan=nan)
        shown = self.mismatches.get(other, 0)
        if where.size:
            self.mismatches[other] = shown + where.size
        widths = self.widths
        for index in where[: max(0, _SHOWN_MISMATCHES - shown)]:
            self.failures.append(
                f"a = {_hex(a[index], widths.a)}, b = {_hex(b[index], widths.b)}: simulation "
                f"{_hex(got[index], widths.result)}, {other} {_hex(want[index], widths.result)}"
            )

    def measure(
        self,
        kind: NumberFormat,
        a: np.ndarray,
        b: np.ndarray,
        got: np.ndarray,
        exact: np.ndarray,
    ) -> None:
        """Add up the errors against the exact operation."""
        usable = kind.is_normal(a) & kind.is_normal(b) & kind.is_normal(exact)
        got, exact = got[usable], exact[usable]
        self.normal += got.size
        wrong = got != exact
        self.wrong += int(np.count_nonzero(wrong))
        with np.errstate(all="ignore"):  # NaNs are among what a core may return
            value, truth = (kind.to_float64(bits[wrong]) for bits in (got, exact))
            errors = np.abs(value - truth) / np.abs(truth)
        if errors.size:
            self.error_sum += float(errors.sum())
            self.error_max = max(self.error_max, float(np.nan_to_num(errors, nan=np.inf).max()))

    def measure_integers(
        self, a: np.ndarray, b: np.ndarray, got: np.ndarray, op: str, signed: bool
    ) -> None:
        """Add up the errors against the exact operation on integers."""
        widths = (self.widths.a, self.widths.b, self.widths.result)
        exact, defined = exact_integer(op, a, b, widths, signed)
        # A difference of unsigned operands is two's complement where the port has the bits for it.
        is_signed = signed or (op == "subi" and widths[2] > max(widths[:2]))
        value, truth = (
            _numbers(bits[defined], widths[2], is_signed) for bits in (got.astype(np.uint64), exact)
        )
        self.normal += value.size
        errors = np.abs(value - truth)
        if errors.size:
            self.wrong += int(np.count_nonzero(errors))
            relative = errors / np.maximum(np.abs(truth), 1.0)
            self.error_sum += float(relative.sum())
            self.error_max = max(self.error_max, float(relative.max()))
            self.absolute_sum += float(errors.sum())
            self.absolute_max = max(self.absolute_max, float(errors.max()))

    def metrics(self) -> dict[str, float | None]:
        """Return the errors as the report gives them."""
        if not self.normal:
            return {}

        def finite(value: float) -> float | None:
            return value if np.isfinite(value) else None

        found = {
            "max_relative_error": finite(self.error_max),
            "mean_relative_error": finite(self.error_sum / self.normal),
            "error_probability": self.wrong / self.normal,
        }
        if not self.instance.core.is_float:
            found["mean_absolute_error"] = self.absolute_sum / self.normal
            found["worst_case_error"] = self.absolute_max
        return found

    def report(self, seed: int) -> CheckReport:
        """Return the report."""
        summary = [
            f"{count} of {self.vectors} operand pairs: simulation and {other} differ"
            for other, count in self.mismatches.items()
        ]
        failures = (*self.undefined, *summary, *self.failures)
        return CheckReport(
            label=self.instance.label,
            status="fail" if failures else "pass",
            strategy=self.strategy,
            vectors=self.vectors,
            seed=seed,
            simulators=tuple(self.simulators),
            latency_cycles=self.instance.latency,
            metrics=self.metrics(),
            failures=failures,
            simulator_vectors=self.simulators,
            op=self.op,
            signed=self.signed,
            inferred=self.inferred,
            warnings=tuple(self.warnings),
        )


def _numbers(bits: np.ndarray, width: int, signed: bool) -> np.ndarray:
    """Return words of `width` bits as numbers (float64)."""
    if not signed:
        return bits.astype(np.float64)
    shift = np.uint64(64 - width)
    return ((bits << shift).view(np.int64) >> shift.astype(np.int64)).astype(np.float64)


def _hex(value: Any, width: int) -> str:
    return f"{int(value):#0{2 + (width + 3) // 4}x}"


def _signedness(core: Core, found: Mapping[fit.Reading, float]) -> str:
    """Say that an integer core fits its operation better when its operands are read otherwise."""
    op, signed = str(core.op), core.signed
    read = "signed" if signed else "unsigned"
    option = "--no-signed" if signed else "--signed"
    return (
        f"it fits {op} of {'unsigned' if signed else 'signed'} operands far better: the mean "
        f"distance is {found[op, not signed]:.2%} of that of a constant 0, against "
        f"{found[op, signed]:.2%} for {read} ones, as which they are read; say {option} "
        f"(signed={not signed} in Python, signed = {str(not signed).lower()} in core.toml)"
    )


def _unit_warning(instance: Instance) -> str | None:
    """Say that a significand unit is one of signed integers, or nothing."""
    unit = instance.core.unit
    if unit is None:
        return None
    names = {parameter.name for parameter in unit.core.parameters}
    given = {name: value for name, value in instance.parameters if name in names}
    inner = unit.core.instance(given)
    widths = port_widths([inner])[0]
    a, b = fit.probes(widths)
    found = fit.distances(widths, a, b, simulate_pairs(inner, a, b))
    op = str(unit.core.op)
    if not fit.fits_other_signedness(found, op, False):
        return None
    return (
        f"its unit {unit.core.name} fits {op} of signed operands far better: the mean distance is "
        f"{found[op, True]:.2%} of that of a constant 0, against {found[op, False]:.2%} for the "
        "unsigned ones of significands, whose top bit is set; use an unsigned unit, or a signed "
        "one of more bits with --align right"
    )


def _check_all(
    instances: Sequence[Instance],
    random_vectors: int,
    seed: int,
    strategy: Strategy | None,
) -> list[CheckReport]:
    findings: dict[str, _Findings] = {}
    sound = []
    for instance, result in zip(instances, elaborate(instances), strict=True):
        if isinstance(result, AsnetError):
            raise result
        found = _Findings(instance, widths_of(result, instance))
        findings[instance.content_hash] = found
        if not instance.core.is_stateful:
            _, depth = remove_registers(result, instance)
            if depth != instance.latency:
                found.failures.append(
                    f"declares a latency of {instance.latency} cycles, its structure has {depth}"
                )
                continue
        sound.append(found)
    families: dict[tuple[Any, ...], list[_Findings]] = {}
    for found in sound:
        core = found.instance.core
        key = (core.sources_hash, core.ports, core.initiation_interval, core.op, core.format)
        alone = found.instance.content_hash if core.has_handshake else ""
        families.setdefault((*key, core.signed, core.exact, found.widths, alone), []).append(found)
    # What takes long are the C++ compilers: they run while models are derived.
    group = processes.Group()
    pool = ThreadPoolExecutor(_JOBS, initializer=group.join)
    try:
        building = []
        for members in families.values():
            chosen, widths = [m.instance for m in members], members[0].widths
            groups = [
                make_family(chosen[start : start + _CXXRTL_GROUP], widths)
                for start in range(0, len(chosen), _CXXRTL_GROUP)
            ]
            building.append(
                [
                    pool.submit(build, make_family(chosen, widths), "verilator"),
                    *(pool.submit(build, group, "cxxrtl") for group in groups),
                ]
            )
        symbols = {
            f"m{i}": found.instance
            for i, found in enumerate(sound)
            if not found.instance.core.is_stateful
        }
        derived = derive_models(symbols, strategy) if symbols else {}
        by_hash = {symbols[symbol].content_hash: m for symbol, m in derived.items()}
        checks = [
            _FamilyCheck(members, by_hash, random_vectors, seed, pool)
            for members in families.values()
        ]
        for check, futures in zip(checks, building, strict=True):
            check.run([future.result() for future in futures])
        for found in sound:
            error = found.metrics().get("mean_relative_error", 0.0)
            if error is None or error > _SUSPICIOUS:
                warning = _unit_warning(found.instance)
                found.warnings += [warning] if warning else []
    except BaseException:
        group.end()  # an error need not wait for compilers
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return [findings[instance.content_hash].report(seed) for instance in instances]


@dataclass(frozen=True)
class _Part:
    """Operand pairs and what Verilator gave for them, (members, pairs)."""

    a: np.ndarray
    b: np.ndarray
    results: np.ndarray


class _FamilyCheck:
    """The check of instances that are simulated together: by Verilator, and in groups by CXXRTL."""

    def __init__(
        self,
        members: Sequence[_Findings],
        derived: dict[str, Model],
        random_vectors: int,
        seed: int,
        pool: ThreadPoolExecutor,
    ) -> None:
        self._members = members
        self._core = members[0].instance.core
        self._widths = members[0].widths
        self._simulations: Sequence[Simulation] = ()
        self._models = [derived.get(member.instance.content_hash) for member in members]
        self._random_vectors = random_vectors
        self._seed = seed
        self._pool = pool
        self._format = FLOAT_FORMATS[self._core.format] if self._core.format else None
        self._exact = [
            self._core.exact and at_exact_parameters(self._core, member.instance)
            for member in members
        ]
        for member, model in zip(members, self._models, strict=True):
            member.strategy = model.strategy if model else "simulated"
        self._kernel = self._compile()

    def run(self, simulations: Sequence[Simulation]) -> None:
        """Try the instances on all operands; what is found goes to the members.

        Args:
          simulations: Verilator's, then those of CXXRTL, in the order of the members.
        """
        self._simulations = simulations
        if self._format is None:
            self._look_at_function()
        for number, chunk in enumerate(filter(None, map(self._specified, self._chunks()))):
            a, b, part, typical = chunk
            kinds = self._widths.dtypes
            a, b = a.astype(kinds[0], copy=False), b.astype(kinds[1], copy=False)
            seen_a, seen_b = a, b
            if self._format is not None:
                seen_a, seen_b = self._format.canonical(a), self._format.canonical(b)
            if not number and not self._latency_is_right(seen_a, seen_b):
                return
            results, verilated = self._simulate(seen_a, seen_b, part)
            if not number:
                self._compare_other_seed(verilated)
            if self._core.is_stateful and number < 2:
                self._compare_other_order(seen_a, seen_b, results)
            reference, defined = self._reference(seen_a, seen_b)
            for position, member in enumerate(self._members):
                member.vectors += a.size
                got = results[position]
                model = self._models[position]
                if model is not None:
                    want = self._modelled(model, (a, b), (seen_a, seen_b))
                    native = model.strategy == "native"
                    member.compare("model", seen_a, seen_b, got, want, native)
                if self._format is None and member.op is not None:
                    member.measure_integers(a, b, got, member.op, member.signed)
                if reference is None:
                    continue
                if self._exact[position]:
                    name = "IEEE-754" if self._format else f"exact {self._core.op}"
                    want = reference if defined is None else np.where(defined, reference, got)
                    member.compare(name, seen_a, seen_b, got, want, False)
                if self._format is not None and typical < a.size:
                    member.measure(
                        self._format,
                        *(v[typical:] for v in (seen_a, seen_b, got, reference)),
                    )

    def _specified(
        self, chunk: tuple[np.ndarray, np.ndarray, int, int]
    ) -> tuple[np.ndarray, np.ndarray, int, int] | None:
        """Return a chunk without the operands that the core leaves open; None if none is left."""
        a, b, part, typical = chunk
        kept = self._core.ports.specified(a, b)
        if kept.all():
            return chunk
        size = int(np.count_nonzero(kept))
        part = min(part, size)
        return (a[kept], b[kept], part, int(np.count_nonzero(kept[:typical]))) if size else None

    def _look_at_function(self) -> None:
        """Find out what integer functions approximate, and whether they are declared as such."""
        widths = self._widths
        a, b = fit.probes(widths)
        kept = self._core.ports.specified(a, b)
        a, b = a[kept], b[kept]
        kinds = widths.dtypes
        try:
            results = self._simulations[0].run(a.astype(kinds[0]), b.astype(kinds[1]))
        except AsnetError:
            return  # the check itself meets it
        for member, got in zip(self._members, results, strict=True):
            found = fit.distances(widths, a, b, got)
            core = self._core
            if core.op is None:
                inference = fit.infer(core.module, widths, found, core.signed, a.size)
                if inference is not None:
                    member.op, member.signed = inference.op, inference.signed
                    member.inferred = str(inference)
            elif core.op in INTEGER_OPS and fit.fits_other_signedness(found, core.op, core.signed):
                member.warnings.append(_signedness(core, found))

    def _chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray, int, int]]:
        """Give operands, how many of them the second simulator gets, where typical ones begin."""
        widths, total = self._widths, self._widths.a + self._widths.b
        count, seed = self._random_vectors, self._seed
        pace = self._core.initiation_interval
        if self._core.is_stateful:
            pace = max(pace, *(member.instance.latency for member in self._members))
            count = min(count, max(_FEWEST_PAIRS, _MOST_CYCLES // pace))
        bits = _EXHAUSTIVE_BITS if count >= DEFAULT_VECTORS else _ALWAYS_EXHAUSTIVE_BITS
        if total <= bits and pace << total <= max(_MOST_CYCLES, _FEWEST_PAIRS * pace):
            every = 1 << total
            for start in range(0, every, _CHUNK):
                pairs = np.arange(start, min(start + _CHUNK, every), dtype=np.uint32)
                part = min(pairs.size, -(-pairs.size * max(count, 1 << 16) // every))
                mask = np.uint32((1 << widths.b) - 1)
                yield pairs >> np.uint32(widths.b), pairs & mask, part, pairs.size
            return
        if self._format is not None:
            a, b = corner_pairs(self._format)
        else:
            a, b = integer_corner_pairs(widths.a, widths.b)
        limit = max(_FEWEST_PAIRS, _MOST_CYCLES // pace)
        yield a[:limit], b[:limit], min(a.size, limit), a.size
        for number, start in enumerate(range(0, count, _CHUNK)):
            size = min(_CHUNK, count - start)
            a, b, typical = _random_chunk(
                self._core.format, widths.a, widths.b, size, (seed, number)
            )
            yield a, b, size, typical

    def _simulate(self, a: np.ndarray, b: np.ndarray, part: int) -> tuple[np.ndarray, _Part]:
        """Run both simulators side by side, compare them and return the results of all pairs.

        Where only `part` of the pairs goes to one of them, the other one is the faster: Verilator
        for what has a clock, CXXRTL for what has none.

        Returns:
          The results, (members, len(a)), and what Verilator was given.
        """
        core = self._core
        everything = np.arange(a.size)
        chosen = everything
        if part < a.size:
            rng = np.random.default_rng(self._seed)
            chosen = np.sort(rng.choice(a.size, part, replace=False))
        first, *groups = self._simulations
        verilated, others = everything, chosen
        swapped = part < a.size and core.ports.clock is None
        if swapped:
            verilated, others = chosen, everything
        # Each half of CXXRTL's pairs may have a processor.
        halves = [half for half in np.array_split(others, _JOBS) if half.size]

        def start(simulation: Simulation, where: Any) -> Future[tuple[np.ndarray, np.ndarray]]:
            return self._pool.submit(simulation.run_with_cycles, a[where], b[where])

        jobs = [[start(group, half) for half in halves] for group in groups]
        rows, cycles = start(first, verilated).result()
        parts = [[job.result() for job in row] for row in jobs]
        other_rows = np.concatenate(
            [np.concatenate([rows for rows, _ in row], axis=1) for row in parts]
        )
        other_cycles = np.concatenate([each for _, each in parts[0]])
        name = groups[0].name
        for position, member in enumerate(self._members):
            for simulator, size in ((first.name, verilated.size), (name, others.size)):
                member.simulators[simulator] = member.simulators.get(simulator, 0) + size
            left, right = rows[position], other_rows[position]
            if swapped:
                member.compare(first.name, a[chosen], b[chosen], right[chosen], left, False)
            else:
                member.compare(name, a[chosen], b[chosen], left[chosen], right, False)
        if core.has_handshake:
            self._compare_cycles(a, b, cycles, cycles[chosen] != other_cycles)
        return other_rows if swapped else rows, _Part(a[verilated], b[verilated], rows)

    def _compare_cycles(
        self, a: np.ndarray, b: np.ndarray, cycles: np.ndarray, unequal: np.ndarray
    ) -> None:
        """Check the times that a handshake took."""
        (member,) = self._members
        declared = member.instance.latency
        slowest = int(np.argmax(cycles))
        if int(cycles[slowest]) > declared and not any("takes" in f for f in member.failures):
            measured = member.instance.core.latency_is_measured
            member.failures.append(
                ("took" if measured else "declares a latency of")
                + f" at most {declared} cycles"
                + (" when its latency was measured" if measured else "")
                + f", takes {int(cycles[slowest])} "
                f"for a = {_hex(a[slowest], self._widths.a)}, "
                f"b = {_hex(b[slowest], self._widths.b)}"
                + ("; declare the latency of the slowest operands" if measured else "")
            )
        # A core that says when it is ready may need time after other operands, and each simulator
        # has its own order of them.
        if unequal.any() and member.instance.core.ports.ready is None:
            member.failures.append("the simulators see done in different cycles")

    def _compare_other_seed(self, part: _Part) -> None:
        """Simulate the corners again with other values for what Verilog leaves undefined."""
        a, b = part.a, part.b
        again = self._simulations[0].run(a, b, seed=2)
        for member, got, other in zip(self._members, part.results, again, strict=True):
            where = np.flatnonzero(got != other)
            if where.size:
                first = where[0]
                member.undefined.append(
                    f"a = {_hex(a[first], self._widths.a)}, b = {_hex(b[first], self._widths.b)}: "
                    "the result depends on undefined (x) values: on a signal that is assigned on "
                    "other paths only (a latch), or nowhere"
                )

    def _compare_other_order(self, a: np.ndarray, b: np.ndarray, results: np.ndarray) -> None:
        """Simulate some pairs again in another order, with other pauses."""
        rng = np.random.default_rng((self._seed, 1))
        order = rng.permutation(a.size)[:_REORDERED_PAIRS]
        again = self._simulations[0].run(a[order], b[order], waiting=self._seed + 1)
        for member, got, other in zip(self._members, results, again, strict=True):
            where = np.flatnonzero(got[order] != other)
            if where.size:
                first = order[where[0]]
                member.failures.append(
                    f"a = {_hex(a[first], self._widths.a)}, b = {_hex(b[first], self._widths.b)}: "
                    "its result depends on earlier operands"
                )

    def _latency_is_right(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Compare declared latencies with those observed on some of the first operands."""
        if self._core.has_handshake:
            return True  # its cycles are counted everywhere
        picked = np.random.default_rng(0).permutation(a.size)[:48]
        iterative = self._core.is_stateful
        try:
            observed = observed_latencies(self._simulations[0], a[picked], b[picked])
        except AsnetError as error:
            if iterative and "rest" in str(error):
                return True  # results pass by; they are picked at the declared time
            if "took longer" in str(error) or "by itself" in str(error) or "settle" in str(error):
                raise
            for member in self._members:
                member.failures.append(str(error))
            return True
        for member, cycles in zip(self._members, observed, strict=True):
            if cycles is not None and cycles != member.instance.latency:
                member.failures.append(
                    f"declares a latency of {member.instance.latency} cycles, "
                    f"simulation shows {cycles}"
                )
        return True

    def _compile(self) -> Any:
        known = {model.symbol: model for model in self._models if model is not None}
        return compile_elementwise(known) if known else None

    def _modelled(
        self,
        model: Model,
        raw: tuple[np.ndarray, np.ndarray],
        seen: tuple[np.ndarray, np.ndarray],
    ) -> np.ndarray:
        """Return the model's result bits."""
        kind = self._format
        if kind is None or kind.name != "f32":
            return self._kernel(model.symbol, *seen)
        operands = raw
        if model.strategy == "native":
            # A native model relies on NaNs being quiet, which every NaN from arithmetic is.
            operands = (
                np.where(kind.is_signalling(raw[0]), seen[0], raw[0]),
                np.where(kind.is_signalling(raw[1]), seen[1], raw[1]),
            )
        return self._kernel(model.symbol, *(v.view(np.float32) for v in operands)).view(np.uint32)

    def _reference(
        self, a: np.ndarray, b: np.ndarray
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return the exact results, and where they are defined (None: everywhere)."""
        op, widths = self._core.op, self._widths
        if self._format is not None and op is not None:
            return exact_float(self._format, op, a, b), None
        if op in INTEGER_OPS and any(self._exact):
            sizes = (widths.a, widths.b, widths.result)
            result, defined = exact_integer(op, a, b, sizes, self._core.signed)
            return result.astype(widths.dtypes[2]), defined
        return None, None


@functools.lru_cache(maxsize=4)
def _random_chunk(
    number_format: str | None, width_a: int, width_b: int, size: int, seed: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return random operands, of floats a quarter typical ones at the end, and where these begin.

    Kept, because cores of one format are tried on the same operands.
    """
    if number_format is None:
        a, b = random_operands(None, width_a, width_b, size, seed)
        return a, b, size
    first = random_pairs(size - size // 4, seed, number_format)
    last = typical_pairs(size // 4, seed, number_format)
    a, b = (np.concatenate(pair) for pair in zip(first, last, strict=True))
    return a, b, size - size // 4


def _version() -> str:
    # The library belongs to it: a core is native by comparison with the library's exact ones.
    exact = [core.sources_hash for core in library_cores().values() if core.exact]
    return content_hash(models_version(), simulator_version(), *exact)
