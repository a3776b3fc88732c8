# SPDX-License-Identifier: Apache-2.0
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

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import Any

from asnet_mlir.cores.checks import fit
from asnet_mlir.cores.checks.chunks import DEFAULT_VECTORS
from asnet_mlir.cores.checks.family_check import JOBS, FamilyCheck
from asnet_mlir.cores.checks.findings import CheckReport, Findings, differing
from asnet_mlir.cores.core import (
    Core,
    Instance,
)
from asnet_mlir.cores.models.derive import derive_models, library_version, models_version
from asnet_mlir.cores.models.model import Strategy
from asnet_mlir.cores.operands import (
    corner_values,
    ieee_reference,
    random_pairs,
    typical_pairs,
)
from asnet_mlir.cores.reading.library import parse_instance
from asnet_mlir.cores.simulation.family import make_family
from asnet_mlir.cores.simulation.latency import with_latency
from asnet_mlir.cores.simulation.simulation import (
    build,
    port_widths,
    simulate_pairs,
    widths_of,
)
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.structure import remove_registers
from asnet_mlir.errors import AsnetError
from asnet_mlir.support import processes
from asnet_mlir.support.cache import cached_texts, content_hash
from asnet_mlir.support.formats import F32
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

# Instances in one library of CXXRTL, whose code takes long to compile: several are compiled and run
# side by side.  Verilator's code for many instances is compiled as fast as that for one.
_CXXRTL_GROUP = 6
# Instances that are checked before what was found of them is kept.
_TOGETHER = 48
# Mean relative error from which a significand unit is looked at on its own.
_SUSPICIOUS = 0.05


def check(
    instances: Sequence[Instance],
    *,
    random_vectors: int = DEFAULT_VECTORS,
    seed: int = 0,
    strategy: Strategy | None = None,
    progress: Callable[[int, int], None] | None = None,
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
      progress: is told, now and then, how many are checked and how many there are.

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

    # Tools start once for many instances, and what they found is kept before they start again.
    texts: dict[str, str] = {}
    for some in batched(keys, _TOGETHER, strict=False):
        texts |= cached_texts("checks", some, make)
        if progress is not None:
            progress(len(texts), len(by_key))
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
    findings: dict[str, Findings] = {}
    sound = []
    for instance, result in zip(instances, elaborate(instances), strict=True):
        if isinstance(result, AsnetError):
            raise result
        found = Findings(instance, widths_of(result, instance))
        findings[instance.content_hash] = found
        if not instance.core.is_stateful:
            _, depth = remove_registers(result, instance)
            if depth != instance.latency:
                found.failures.append(
                    f"declares a latency of {instance.latency} cycles, its structure has {depth}"
                )
                continue
        sound.append(found)
    families: dict[tuple[Any, ...], list[Findings]] = {}
    for found in sound:
        core = found.instance.core
        key = (core.sources_hash, core.ports, core.initiation_interval, core.op, core.format)
        alone = found.instance.content_hash if core.has_handshake else ""
        families.setdefault((*key, core.signed, core.exact, found.widths, alone), []).append(found)
    # What takes long are the C++ compilers: they run while models are derived.
    group = processes.Group()
    pool = ThreadPoolExecutor(JOBS, initializer=group.join)
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
            FamilyCheck(members, by_hash, random_vectors, seed, pool)
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


def _version() -> str:
    # The library belongs to it: a core is native by comparison with the library's exact ones.
    return content_hash(models_version(), simulator_version(), library_version())
