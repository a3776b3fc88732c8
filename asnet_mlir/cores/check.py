"""Checks of instances against their contract, an independent simulator and IEEE-754.

A check passes when

* the latency declared, that of the structure and that observed in simulation are one number;
* the derived model and Verilator give the same bits for every operand pair tried, NaN operands
  being 0x7FC00000 where the core sees them (`docs/semantics.md`);
* a core that claims to be exact gives the bits of the host's IEEE-754 operation, NaN as 0x7FC00000.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.cache import cache_directory, cached_text, content_hash
from asnet_mlir.cores import model as models
from asnet_mlir.cores import netlist as netlists
from asnet_mlir.cores.core import Core, Instance, library_cores, parse_instance
from asnet_mlir.cores.verilator import SimulatedFamily, Widths, build_family
from asnet_mlir.errors import AsnetError
from asnet_mlir.verilator import version as simulator_version

__all__ = [
    "CANONICAL_NAN",
    "CheckReport",
    "check",
    "check_core",
    "corner_values",
    "differing",
    "ieee_reference",
    "random_pairs",
    "typical_pairs",
]

#: The NaN that a core sees and that an exact core gives.
CANONICAL_NAN = 0x7FC00000

_CHUNK = 1 << 18
_SHOWN_MISMATCHES = 5
_SIMULATION_JOBS = 2


@dataclass(frozen=True)
class CheckReport:
    """What checking one instance found.

    `vectors` is the number of operand pairs, `seed` that of the random ones; `metrics` compares the
    core with the exact operation over `typical_pairs` whose exact result is a normal number:
    `max_relative_error`, `mean_relative_error` (None where a result is not finite) and
    `error_probability`.  Empty for integer functions.
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

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return self.status == "pass"

    def summary(self) -> str:
        """Return the report as text: one line, and one more for each failure."""
        parts = [f"{self.label}: {self.status}"]
        if self.vectors:
            parts.append(
                f"{self.strategy} model, {self.vectors} operand pairs (seed {self.seed}), "
                f"{', '.join(self.simulators)}, latency {self.latency_cycles}"
            )
        if self.metrics:
            error = self.metrics["max_relative_error"]
            parts.append(f"max relative error {'not finite' if error is None else f'{error:.3g}'}")
        return "\n  ".join(["; ".join(parts), *self.failures])

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            **asdict(self),
            "simulators": list(self.simulators),
            "failures": list(self.failures),
        }


def check(
    instances: Sequence[Instance],
    *,
    random_vectors: int = 100_000,
    seed: int = 0,
    strategy: models.Strategy | None = None,
) -> list[CheckReport]:
    """Check instances and return a report on each, from the cache where it was made before.

    Args:
      instances: those of one core are simulated together.
      random_vectors: operand pairs tried besides the grid of corner values.  Integer functions of
        at most 16 operand bits are tried exhaustively instead.
      seed: of the random operands.
      strategy: force that of the model, as in `derive_models`.

    Raises:
      InputError: Verilog that cannot be read or that breaks the contract of ports.
      ToolError: a tool is missing or failed.
    """
    unique = {instance.content_hash: instance for instance in instances}
    made: dict[str, CheckReport] = {}

    def name_of(key: str) -> str:
        return content_hash(_version(), key, str(random_vectors), str(seed), strategy or "any")

    def make(key: str) -> str:
        if key not in made:
            missing = [
                instance
                for other, instance in unique.items()
                if not (cache_directory() / "checks" / name_of(other)).is_file()
            ]
            for instance, report in zip(
                missing, _check_all(missing, random_vectors, seed, strategy), strict=True
            ):
                made[instance.content_hash] = report
        return json.dumps(made[key].to_json())

    reports = []
    for instance in instances:
        key = instance.content_hash
        entry = json.loads(cached_text("checks", name_of(key), functools.partial(make, key)))
        entry |= {
            "label": instance.label,
            "simulators": tuple(entry["simulators"]),
            "failures": tuple(entry["failures"]),
        }
        reports.append(CheckReport(**entry))
    return reports


def check_core(
    core: str | Core | Instance, *, random_vectors: int = 100_000, seed: int = 0
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
        unequal &= ~(_is_nan(left) & _is_nan(right))
    return np.flatnonzero(unequal)


def ieee_reference(op: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the bits of the exact operation on f32 bits (uint32), every NaN as 0x7FC00000.

    The four basic operations are the host's own (IEEE 754-2019, 5.4.1); maximum and minimum (9.6)
    are found by comparing integers, because hosts disagree on signed zeros.
    """
    x, y = a.view(np.float32), b.view(np.float32)
    if op in ("maxf", "minf"):
        # Sign and magnitude to an order in which -0 is below +0.
        keys = [np.where(v >> 31, ~v, v | np.uint32(1 << 31)).astype(np.uint32) for v in (a, b)]
        first = (keys[0] >= keys[1]) == (op == "maxf")
        result = np.where(first, a, b)
        nan = _is_nan(a) | _is_nan(b)
    else:
        operation = {
            "addf": np.add,
            "subf": np.subtract,
            "mulf": np.multiply,
            "divf": np.divide,
        }[op]
        with np.errstate(all="ignore"):
            result = operation(x, y).view(np.uint32)
        nan = _is_nan(result)
    return np.where(nan, np.uint32(CANONICAL_NAN), result).astype(np.uint32)


@functools.cache
def corner_values() -> np.ndarray:
    """Return the bits of special f32 values, both signs of each (uint32, more than 64 of them)."""
    magnitudes = [
        0x00000000,  # zero
        *(0x00000001, 0x00000002, 0x00000003, 0x00400000, 0x007FFFFE, 0x007FFFFF),  # subnormal
        *(0x00800000, 0x00800001, 0x00FFFFFF, 0x01000000, 0x01000001),  # least normal ones
        *(0x0B800000, 0x0C000000, 0x1F800000, 0x20000000),  # products around the subnormals
        *(0x34000000, 0x33800000, 0x33800001),  # ulp of one, its half, and just above
        *(0x3E800000, 0x3F000000, 0x3F7FFFFE, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x3F800002),
        *(0x3FC00000, 0x3FFFFFFF, 0x40000000, 0x40400000, 0x3EAAAAAB, 0x40490FDB),
        *(0x3F800800, 0x3F801000, 0x3F802000, 0x3FFFF000, 0x3FFFF800),  # halfway products
        *(0x3FB504F3, 0x3F9E3779, 0x3F955555, 0x3FEAAAAA),
        *(0x4B000000, 0x4B7FFFFF, 0x4B800000, 0x4B800001, 0x5F000000, 0x5F800000),
        *(0x7E800000, 0x7EFFFFFF, 0x7F000000, 0x7F7FFFFE, 0x7F7FFFFF),  # greatest
        0x7F800000,  # infinity
        *(0x7FC00000, 0x7FC00001, 0x7FFFFFFF),  # quiet NaNs
        *(0x7F800001, 0x7FA00000, 0x7FBFFFFF),  # signalling NaNs
    ]
    return np.array([m | s for m in magnitudes for s in (0, 1 << 31)], np.uint32)


def random_pairs(count: int, seed: Sequence[int] | int) -> tuple[np.ndarray, np.ndarray]:
    """Return f32 bits of random operands: eight distributions in equal parts, shuffled.

    Uniform bits; magnitudes about one; near exponents (cancellation); products and quotients
    around the subnormals and around overflow; few significant bits (exact results, ties); long runs
    of ones; a subnormal operand.
    """
    rng = np.random.default_rng(seed)

    def bits(n: int) -> np.ndarray:
        return rng.integers(0, 1 << 32, n, dtype=np.uint32)

    def with_exponents(n: int, low: int, high: int) -> np.ndarray:
        exponents = rng.integers(low, high + 1, n).clip(0, 254).astype(np.uint32)
        return (bits(n) & np.uint32(0x807FFFFF)) | (exponents << 23)

    sizes = [count // 8 + (index < count % 8) for index in range(8)]
    pairs = [
        (bits(sizes[0]), bits(sizes[0])),
        (with_exponents(sizes[1], 119, 134), with_exponents(sizes[1], 119, 134)),
    ]
    for distance, n in zip((2, 0, 1), sizes[2:5], strict=True):
        a = with_exponents(n, 1, 254)
        exponents = (a >> 23 & 0xFF).astype(np.int64)
        jitter = rng.integers(-26, 27, n)
        partner = [
            127 - exponents + (0 if distance == 0 else 127) + jitter,
            exponents + 127 * rng.choice((-1, 1), n) + jitter,
            exponents + rng.integers(-3, 4, n),
        ][distance]
        b = with_exponents(n, 0, 0) | (partner.clip(0, 254).astype(np.uint32) << 23)
        pairs.append((a, b))
    short = np.uint32(0xFFFFF000)
    pairs.append((with_exponents(sizes[5], 100, 154) & short, with_exponents(sizes[5], 100, 154)))
    pairs[-1] = (
        pairs[-1][0],
        pairs[-1][1] & (short << rng.integers(0, 8, sizes[5], dtype=np.uint32)),
    )
    ones = (np.uint32(1) << rng.integers(0, 24, sizes[6], dtype=np.uint32)) - np.uint32(1)
    pairs.append(
        (with_exponents(sizes[6], 90, 160) | ones, with_exponents(sizes[6], 90, 160) | ones)
    )
    pairs.append((with_exponents(sizes[7], 0, 0), with_exponents(sizes[7], 60, 200)))
    order = rng.permutation(count)
    swap = rng.random(count) < 0.5
    a, b = (np.concatenate([pair[side] for pair in pairs])[order] for side in (0, 1))
    return np.where(swap, b, a), np.where(swap, a, b)


def typical_pairs(count: int, seed: Sequence[int] | int) -> tuple[np.ndarray, np.ndarray]:
    """Return f32 bits of normal operands: uniform sign and fraction, exponents -8..7 uniform.

    Errors are measured on these, so that figures of different cores can be compared.
    """
    rng = np.random.default_rng(seed)
    a, b = (
        rng.integers(0, 1 << 32, count, dtype=np.uint32) & np.uint32(0x807FFFFF)
        | rng.integers(119, 135, count, dtype=np.uint32) << 23
        for _ in range(2)
    )
    return a, b


def _is_nan(bits: np.ndarray) -> np.ndarray:
    return (bits & 0x7FFFFFFF) > 0x7F800000


def _is_normal(bits: np.ndarray) -> np.ndarray:
    exponents = bits >> 23 & 0xFF
    return (exponents != 0) & (exponents != 0xFF)


def _canonical(bits: np.ndarray) -> np.ndarray:
    return np.where(_is_nan(bits), np.uint32(CANONICAL_NAN), bits)


class _Findings:
    """What has been seen of one instance so far."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.failures: list[str] = []
        self.mismatches = {"model": 0, "IEEE-754": 0}
        self.vectors = 0
        self.normal = 0
        self.wrong = 0
        self.error_sum = 0.0
        self.error_max = 0.0

    def compare(
        self, other: str, a: np.ndarray, b: np.ndarray, got: np.ndarray, want: np.ndarray, nan: bool
    ) -> None:
        """Compare the simulation with the `other` result bits."""
        where = differing(got, want, nan_equals_nan=nan)
        shown = self.mismatches[other]
        self.mismatches[other] += where.size
        for index in where[: max(0, _SHOWN_MISMATCHES - shown)]:
            self.failures.append(
                f"a = {int(a[index]):#010x}, b = {int(b[index]):#010x}: simulation "
                f"{int(got[index]):#010x}, {other} {int(want[index]):#010x}"
            )

    def measure(self, a: np.ndarray, b: np.ndarray, got: np.ndarray, exact: np.ndarray) -> None:
        """Add up the errors against the exact operation."""
        usable = _is_normal(a) & _is_normal(b) & _is_normal(exact)
        got, exact = got[usable], exact[usable]
        self.normal += got.size
        self.wrong += int(np.count_nonzero(got != exact))
        with np.errstate(all="ignore"):  # NaNs are among what a core may return
            value, truth = (bits.view(np.float32).astype(np.float64) for bits in (got, exact))
            errors = np.abs(value - truth) / np.abs(truth)
        if errors.size:
            self.error_sum += float(errors.sum())
            self.error_max = max(self.error_max, float(np.nan_to_num(errors, nan=np.inf).max()))

    def metrics(self) -> dict[str, float | None]:
        """Return the errors as the report gives them."""
        if not self.normal:
            return {}

        def finite(value: float) -> float | None:
            return value if np.isfinite(value) else None

        return {
            "max_relative_error": finite(self.error_max),
            "mean_relative_error": finite(self.error_sum / self.normal),
            "error_probability": self.wrong / self.normal,
        }


def _check_all(
    instances: Sequence[Instance],
    random_vectors: int,
    seed: int,
    strategy: models.Strategy | None,
) -> list[CheckReport]:
    findings = {instance.content_hash: _Findings(instance) for instance in instances}
    widths: dict[str, Widths] = {}
    sound = []
    for instance, result in zip(instances, netlists.elaborate(instances), strict=True):
        if isinstance(result, AsnetError):
            raise result
        flat, depth = netlists.remove_registers(result, instance)
        ports = {role: len(port["bits"]) for role, port in flat.module["ports"].items()}
        widths[instance.content_hash] = Widths(ports["a"], ports["b"], ports["result"])
        if depth == instance.latency:
            sound.append(instance)
        else:
            findings[instance.content_hash].failures.append(
                f"declares a latency of {instance.latency} cycles, its structure has {depth}"
            )
    derived = models.derive_models({f"m{i}": s for i, s in enumerate(sound)}, strategy)
    strategies = {s.content_hash: derived[f"m{i}"].strategy for i, s in enumerate(sound)}
    families: dict[tuple[str, Widths], list[Instance]] = {}
    for instance in sound:
        key = (instance.core.sources_hash, widths[instance.content_hash])
        families.setdefault(key, []).append(instance)
    with ThreadPoolExecutor(_SIMULATION_JOBS) as pool:
        built = list(pool.map(lambda item: build_family(item[1], item[0][1]), families.items()))
    texts = {s.content_hash: derived[f"m{i}"].text for i, s in enumerate(sound)}
    symbols = {s.content_hash: f"m{i}" for i, s in enumerate(sound)}
    for ((_, width), members), family in zip(families.items(), built, strict=True):
        _check_family(
            family,
            [findings[member.content_hash] for member in members],
            width,
            {symbols[m.content_hash]: texts[m.content_hash] for m in members},
            [strategies[member.content_hash] for member in members],
            random_vectors,
            seed,
        )
    reports = []
    for instance in instances:
        found = findings[instance.content_hash]
        summary = [
            f"{count} of {found.vectors} operand pairs: simulation and {other} differ"
            for other, count in found.mismatches.items()
            if count
        ]
        failures = (*summary, *found.failures)
        reports.append(
            CheckReport(
                label=instance.label,
                status="fail" if failures else "pass",
                strategy=strategies.get(instance.content_hash),
                vectors=found.vectors,
                seed=seed,
                simulators=(simulator_version(),) if found.vectors else (),
                latency_cycles=instance.latency,
                metrics=found.metrics(),
                failures=failures,
            )
        )
    return reports


def _check_family(
    family: SimulatedFamily,
    members: Sequence[_Findings],
    widths: Widths,
    texts: dict[str, str],
    strategies: Sequence[str],
    random_vectors: int,
    seed: int,
) -> None:
    from asnet_mlir.jit import compile_elementwise

    core = members[0].instance.core
    is_float = core.op is not None
    kernel = compile_elementwise(texts)
    exact = [_claims_ieee(member.instance) for member in members]
    declared = [member.instance.latency for member in members]
    for is_typical, a, b in _vectors(is_float, widths, random_vectors, seed):
        seen_a, seen_b = (_canonical(a), _canonical(b)) if is_float else (a, b)
        if not members[0].vectors:
            _check_latency(family, members, seen_a, seen_b)
        results = family.run(seen_a, seen_b, declared).astype(np.uint32 if is_float else np.uint64)
        reference = ieee_reference(core.op, seen_a, seen_b) if core.op is not None else None
        for position, (member, symbol) in enumerate(zip(members, texts, strict=True)):
            native = strategies[position] == "native"
            member.vectors += a.size
            if is_float:
                # A native model relies on NaNs being quiet, which every NaN from arithmetic is.
                operands = [
                    np.where(_is_nan(v) & (v >> 22 & 1 == 0), s, v) if native else v
                    for v, s in ((a, seen_a), (b, seen_b))
                ]
                got = kernel(symbol, *(v.astype(np.uint32).view(np.float32) for v in operands))
                modelled = got.view(np.uint32)
            else:
                kinds = [
                    np.dtype(f"uint{max(8, 1 << (w - 1).bit_length())}")
                    for w in (widths.a, widths.b)
                ]
                modelled = kernel(symbol, a.astype(kinds[0]), b.astype(kinds[1])).astype(np.uint64)
            got_bits = results[position]
            member.compare("model", seen_a, seen_b, got_bits, modelled, native)
            if reference is not None:
                if exact[position]:
                    member.compare("IEEE-754", seen_a, seen_b, got_bits, reference, False)
                if is_typical:
                    member.measure(seen_a, seen_b, got_bits, reference)


def _check_latency(
    family: SimulatedFamily, members: Sequence[_Findings], a: np.ndarray, b: np.ndarray
) -> None:
    """Compare declared latencies with those observed on some of the first operands."""
    picked = np.random.default_rng(0).permutation(a.size)[:48]
    try:
        observed = family.measure_latencies(a[picked], b[picked])
    except AsnetError as error:
        for member in members:
            member.failures.append(str(error))
        return
    for member, cycles in zip(members, observed, strict=True):
        if cycles is not None and cycles != member.instance.latency:
            member.failures.append(
                f"declares a latency of {member.instance.latency} cycles, simulation shows {cycles}"
            )


def _claims_ieee(instance: Instance) -> bool:
    core = instance.core
    return core.exact and models.at_exact_parameters(core, instance)


def _vectors(
    is_float: bool, widths: Widths, count: int, seed: int
) -> Iterator[tuple[bool, np.ndarray, np.ndarray]]:
    """Give operands in chunks, and whether errors are measured on them: corners, then random."""
    if is_float:
        corners = corner_values()
        a, b = (grid.ravel() for grid in np.meshgrid(corners, corners, indexing="ij"))
        yield False, a, b
        for number, start in enumerate(range(0, count, _CHUNK)):
            size = min(_CHUNK, count - start)
            yield False, *random_pairs(size - size // 4, (seed, number))
            yield True, *typical_pairs(size // 4, (seed, number))
        return
    if widths.a + widths.b <= 16:
        a, b = np.meshgrid(
            np.arange(1 << widths.a, dtype=np.uint64),
            np.arange(1 << widths.b, dtype=np.uint64),
            indexing="ij",
        )
        yield False, a.ravel(), b.ravel()
        return
    corners_of = []
    for width in (widths.a, widths.b):
        top = (1 << width) - 1
        values = {0, 1, 2, 3, top, top - 1, top >> 1, (top >> 1) + 1}
        values |= {0x5555555555555555 & top, 0xAAAAAAAAAAAAAAAA & top}
        values |= {1 << k for k in range(width)} | {top >> k for k in range(width)}
        corners_of.append(np.array(sorted(values), np.uint64))
    a, b = np.meshgrid(*corners_of, indexing="ij")
    yield False, a.ravel(), b.ravel()
    for number, start in enumerate(range(0, count, _CHUNK)):
        rng = np.random.default_rng((seed, number))
        n = min(_CHUNK, count - start)
        yield (
            True,
            rng.integers(0, (1 << widths.a) - 1, n, dtype=np.uint64, endpoint=True),
            rng.integers(0, (1 << widths.b) - 1, n, dtype=np.uint64, endpoint=True),
        )


@functools.cache
def _code_version() -> str:
    here = Path(__file__).parent
    return content_hash(*((here / f"{stem}.py").read_text() for stem in ("check", "verilator")))


def _version() -> str:
    # The library belongs to it: a core is native by comparison with the library's exact ones.
    exact = [core.sources_hash for core in library_cores().values() if core.exact]
    return content_hash(_code_version(), models.code_version(), simulator_version(), *exact)
