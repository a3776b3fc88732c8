# SPDX-License-Identifier: Apache-2.0
"""Configurations beside each other: how good they are, what their hardware takes, for a paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.outcomes import p_value
from asnet_mlir.exploration.store import EvaluationRecord, MetricRecord, Store
from asnet_mlir.hardware import simulate, synthesize
from asnet_mlir.hardware.bundle.manifest import read_manifest
from asnet_mlir.reports.figure_texts import interval_text, number_text

__all__ = ["COLUMNS", "Row", "compare", "table"]

COLUMNS: Mapping[str, str] = {
    "luts": "LUT4",
    "ffs": "FF",
    "dsps": "DSP",
    "brams": "BRAM",
    "fmax_mhz": "Fmax [MHz]",
    "cycles": "cycles",
    "latency_us": "latency [us]",
    "images_per_s": "images/s",
    "energy": "energy [nJ]",
    "area": "area, predicted [LUT4]",
    "cycles_predicted": "cycles, predicted",
    "lut_time": "LUT4 x cycles, predicted",
    "area_proxy": "area_proxy [LUT4]",
    "delay_proxy": "delay_proxy [ns]",
    "energy_proxy": "energy_proxy [LUT4 ns]",
}
"""Figures of hardware by name, with their headings."""

_OF_COSTS = {"cycles": "cycles_predicted"}


@dataclass(frozen=True)
class Row:
    """A configuration.

    Attributes:
      name: of the folder, or the configuration's label.
      place: the folder or store it is of.
      value, interval: of the metric; None where nothing says it.
      p: of the paired test against the exact configuration on the same samples.
      figures: of hardware, by name (`COLUMNS`); None where not known.
      is_exact: whether nothing is approximated.
      spread: least and largest clock of several seeds.
    """

    name: str
    place: str
    figures: Mapping[str, float | None]
    metric: MetricRecord | None = None
    value: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    is_exact: bool = False
    spread: tuple[float, float] | None = None
    binding: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        metric = {} if self.metric is None else {self.metric.name: self.value}
        return {
            "name": self.name,
            "place": self.place,
            **metric,
            "interval": None if self.interval is None else list(self.interval),
            "p_against_exact": self.p,
            **self.figures,
            "fmax_spread": None if self.spread is None else list(self.spread),
        }


def compare(
    places: Sequence[str | Path],
    *,
    seeds: int = 1,
    route: bool = True,
    samples: int = 0,
    data: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Row]:
    """Return configurations of bundles and of stores, the exact ones first.

    A bundle is synthesized for ECP5 (cached); its accuracy is that of the result with its binding
    in one of the stores.  Of a store, the exact network and the choices of its studies are shown,
    on the test data where there are any.

    Args:
      places: folders that `generate` wrote, and result stores.
      seeds: of place and route; the clock is the median.
      route: place and route; without, bundles have no clock.
      samples: of each bundle to simulate, for its latency.
      data: of these samples.
      progress: is told of every step that takes long.

    Raises:
      InputError: something is neither; stores of different networks, data or metrics: what differs.
    """
    if not places:
        raise InputError("compare: name bundles and result stores")
    if samples and data is None:
        raise InputError("compare: --simulate needs --data")
    stores = [Path(place) for place in places if not Path(place).is_dir()]
    known = [row for store in stores for row in _of_store(store)]
    _check_alike(known)
    rows = []
    for place in places:
        if Path(place).is_dir():
            row = _of_bundle(Path(place), known, seeds, route, progress)
            rows.append(_simulated(row, Path(place), samples, data) if samples else row)
        else:
            rows += [row for row in known if row.place == str(place)]
    built = [row.binding for row in rows if Path(row.place).is_dir() and row.binding]
    # A result whose hardware is there stands in its row.
    rows = [row for row in rows if Path(row.place).is_dir() or row.binding not in built]
    unique = {(row.name, row.place): row for row in rows}
    return sorted(unique.values(), key=lambda row: not row.is_exact)


def _of_store(path: Path) -> list[Row]:
    """Return the exact network and the choices of a store."""
    with Store(path, read_only=True) as store:
        studies = store.studies()
        tests = [study for study in studies if study.strategy == "test"]
        names = {network.key: network.name for network in store.networks()}
        datasets = {dataset.key: dataset.name for dataset in store.datasets()}
        rows = []
        for study in tests or studies:
            results = store.study_results(study.key)
            exact = next((r for r in results if not any(r.configuration)), None)
            for result in results:
                record = result.evaluation
                wanted = result is exact or record.key == study.chosen
                if not wanted or not isinstance(record, EvaluationRecord):
                    continue
                own = store.archive.outcome(record.key, record.samples)
                other = None
                if exact is not None:
                    other = store.archive.outcome(exact.evaluation.key, record.samples)
                found = store.archive.interval(record.key, record.correct, record.samples)
                facts = f"{names[study.network]} on {datasets[study.dataset]}"
                rows.append(
                    Row(
                        record.label,
                        str(path),
                        {_OF_COSTS.get(k, k): v for k, v in result.costs.items()},
                        record.metric,
                        record.value,
                        found,
                        None if result is exact else p_value(own, other),
                        result is exact,
                        binding={"facts": facts, "network": study.network, **record.binding},
                    )
                )
    if not rows:
        raise InputError(f"{path}: holds no study with results")
    return rows


def _check_alike(rows: Sequence[Row]) -> None:
    """Refuse rows of stores that can't stand beside each other, and say what differs."""
    for row in rows:
        first = rows[0]
        one, other = first.binding["facts"], row.binding["facts"]
        if one != other:
            raise InputError(f"{first.place} is of {one}, {row.place} of {other}: no table of both")
        if first.binding["network"] != row.binding["network"]:
            raise InputError(
                f"{first.place} and {row.place}: both are of {one}, but the networks differ "
                "(their weights, their layers, or the version of asnet-mlir)"
            )
        if first.metric != row.metric and first.metric and row.metric:
            raise InputError(
                f"{first.place} is judged by {first.metric.label}, {row.place} by "
                f"{row.metric.label}: no table of both"
            )


def _of_bundle(
    folder: Path,
    known: Sequence[Row],
    seeds: int,
    route: bool,
    progress: Callable[[str], None] | None,
) -> Row:
    manifest = read_manifest(folder)
    found = synthesize(folder, seeds=seeds, route=route, progress=progress)
    cycles = manifest["predicted_cycles_per_sample"]
    clock = found["fmax_mhz"]
    figures: dict[str, float | None] = {
        **{name: found[name] for name in ("luts", "ffs", "dsps", "brams", "fmax_mhz")},
        "cycles": cycles,
        "latency_us": cycles / clock if clock and manifest["kind"] == "sequential" else None,
        "images_per_s": clock * 1e6 / cycles if clock else None,
    }
    binding = manifest["info"].get("binding", {})
    rules = binding.get("bindings", [])
    twin = next((row for row in known if row.binding.get("bindings", []) == rules), None)
    clocks = [one for one in found.get("fmax_mhz_by_seed", {}).values() if one is not None]
    row = Row(
        folder.name,
        str(folder),
        figures,
        is_exact=not rules,
        spread=(min(clocks), max(clocks)) if len(clocks) > 1 else None,
    )
    if twin is None:
        return row
    return replace(
        row,
        figures={**twin.figures, **figures},
        metric=twin.metric,
        value=twin.value,
        interval=twin.interval,
        p=twin.p,
        binding=twin.binding,
    )


def _simulated(row: Row, folder: Path, samples: int, data: str | None) -> Row:
    """Return a bundle's row with cycles and latency as a simulation of it measures them."""
    assert data is not None
    found = simulate(folder, data, samples=samples)
    if not found.equal:
        raise InputError(f"{folder}: its outputs differ from the software's; see asnet simulate")
    clock = row.figures.get("fmax_mhz")
    figures = {
        **row.figures,
        "cycles": found.cycles_per_sample,
        "latency_us": found.latency_cycles / clock if clock else None,
    }
    return replace(row, figures=figures)


def table(rows: Sequence[Row], percent: bool = True) -> tuple[list[str], list[list[str]]]:
    """Return headings and cells of what is known of any row, in per cent of exact, too."""
    metric = next((row.metric for row in rows if row.metric is not None), None)
    exact = next((row for row in rows if row.is_exact), None)
    names = [name for name in COLUMNS if any(row.figures.get(name) is not None for row in rows)]
    head = ["configuration"]
    if metric is not None:
        head += [metric.label, "95 % interval", "p against exact"]
    head += [COLUMNS[name] for name in names]
    cells = []
    for row in rows:
        line = [row.name]
        if metric is not None:
            shown = "" if row.value is None else metric.show(row.value)
            p = "" if row.p is None else f"{row.p:.2g}"
            line += [shown, interval_text(metric, row.interval), p]
        for name in names:
            value, base = row.figures.get(name), exact.figures.get(name) if exact else None
            text = "" if value is None else number_text(value)
            if name == "fmax_mhz" and row.spread is not None:
                text += f" ({number_text(row.spread[0])}..{number_text(row.spread[1])})"
            if percent and value is not None and base and row is not exact:
                text += f" ({100 * value / base:.1f} %)"
            line.append(text)
        cells.append(line)
    return head, cells
