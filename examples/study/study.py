# SPDX-License-Identifier: Apache-2.0
"""A study as for a paper: own multipliers, a choice by layers, judged, built, packed and drawn.

    make study        (or: python examples/study/study.py [OUTPUT_FOLDER] [--record FILE.md])

A small network is trained on Fashion-MNIST (Debian's dataset-fashion-mnist; without it on MNIST).
Three multipliers in Verilog, written here and without a manifest, make a design space by layers.
The choice is made on the last 10,000 training images and judged on the test images; two searches
with several seeds are drawn beside the whole space.  Ten configurations are generated, simulated
and synthesized, beside what was predicted.  Then the study is packed, unpacked in another folder
and evaluated again; tables and figures are written.  `--record` writes what came out as a page.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import asnet_mlir
from asnet_mlir.errors import InputError
from asnet_mlir.exploration import Exploration, Result
from asnet_mlir.exploration.energy import liberty
from asnet_mlir.exploration.packing import STORE
from asnet_mlir.exploration.provenance import machine
from asnet_mlir.exploration.repeat import repeat
from asnet_mlir.exploration.sweep_progress import ProgressDisplay
from asnet_mlir.reports import exploration_table
from asnet_mlir.reports.compare import table
from asnet_mlir.reports.figures import Look
from asnet_mlir.reports.table_formats import formatted

HERE = Path(__file__).parent
#: How many configurations are built, and how many images each of them computes in simulation.
BUILT, IMAGES = 10, 2
#: Of the accuracy, that may be lost on the validation data.
LOSS = 0.01
#: Changes of a net in a cycle at which the power of whole hardware is reported, and the clock.
ACTIVITY, MEGAHERTZ = 0.2, 100.0
#: Configurations that a search may measure of the space's 64, and its seeds.
BUDGET, SEEDS = 24, 3
COSTS = "area,latency,energy"


def data() -> str:
    """Return the data set that is here."""
    try:
        asnet_mlir.load_data("fashion_mnist:test:1")
        return "fashion_mnist"
    except InputError:
        return "mnist"


def train(name: str, path: Path) -> None:
    """Train a network of two layers, 784 x 16 x 10, whose outputs are logits."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    keras.utils.set_random_seed(1)
    samples = asnet_mlir.load_data(f"{name}:train[0:50000]")
    model = keras.Sequential(
        [
            keras.layers.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu", name="hidden"),
            keras.layers.Dense(10, name="output"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    model.fit(samples.x.reshape(-1, 28, 28), samples.y, batch_size=128, epochs=6, verbose=0)
    model.save(path)


def explore(model: Path, store: Path, name: str) -> Exploration:
    """Measure the whole space and choose; then draw two searches beside it."""
    validation = f"{name}:train[50000:60000]"
    bound = asnet_mlir.evaluate(model, validation).accuracy - LOSS
    display = ProgressDisplay(cost="area")
    common: dict[str, Any] = {
        "store": store,
        "cost": COSTS,
        "choose": f"accuracy>={bound:.4f}",
        "style": "stream",
        "progress": display,
        "cost_progress": display.costs,
    }
    space = HERE / "constraints.json"
    found = asnet_mlir.explore(model, validation, space, test=f"{name}:test", **common)
    searched = asnet_mlir.explore(
        model, validation, space, strategy="greedy,nsga2", seeds=SEEDS, budget=BUDGET, **common
    )
    display.close()
    print(exploration_table(found))
    for search, volume in zip(searched.searches, searched.volumes(), strict=True):
        print(f"{search.label}: hypervolume {volume[-1]:.4f} after {len(search.results)}")
    return found


def spread(found: Exploration, count: int) -> list[Result]:
    """Return the exact configuration, the choice, those of each core's last choices, and others
    evenly over the range of areas.
    """
    order = sorted(found.results, key=lambda result: result.costs["area"])
    choices = found.space.variables[0].choices
    lasts = {c.reference.partition(":")[0]: n for n, c in enumerate(choices) if c is not None}
    ends = [r for r in order if {*r.configuration} in [{last} for last in lasts.values()]]
    unique = {r.key: r for r in (found.exact, found.chosen, *ends) if r is not None}
    for area in np.linspace(order[0].costs["area"], order[-1].costs["area"], count):
        left = [result for result in order if result.key not in unique]
        near = min(left, key=lambda result: abs(result.costs["area"] - area))
        unique |= {near.key: near} if len(unique) < count else {}
    return list(unique.values())


def build(model: Path, result: Result, folder: Path, images: str) -> dict[str, Any]:
    """Generate, simulate and synthesize a configuration."""
    asnet_mlir.generate(model, result.binding, output=folder, force=True, style="stream")
    simulated = asnet_mlir.simulate(folder, images, samples=IMAGES)
    watts = asnet_mlir.synthesize(
        folder, target="asic", liberty=liberty(), activity=ACTIVITY, clock_mhz=MEGAHERTZ
    )["power_watts"]
    power = watts["internal"] + watts["switching"]
    return {
        "label": result.label,
        "predicted": dict(result.costs),
        "area": asnet_mlir.synthesize(folder, route=False)["luts"],
        "cycles": simulated.cycles_per_sample,
        "latency": simulated.latency_cycles,
        "energy": 1e9 * power * simulated.cycles_per_sample / (1e6 * MEGAHERTZ),
        "words_that_differ": simulated.mismatches,
    }


def ranks(values: Sequence[float]) -> np.ndarray:
    """Return ranks, float64[n]; equal values share their mean."""
    array = np.asarray(values, np.float64)
    return np.array([(array < v).sum() + ((array == v).sum() - 1) / 2 for v in array])


def verdict(built: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how predictions compare with what was built."""

    def pairs(name: str) -> tuple[list[float], list[float]]:
        return [one["predicted"][name] for one in built], [one[name] for one in built]

    def rho(name: str) -> float:
        return float(np.corrcoef(*map(ranks, pairs(name)))[0, 1])

    areas = zip(*pairs("area"), strict=True)
    return {
        "area_off_at_most": max(abs(found / real - 1) for found, real in areas),
        "area_rank_correlation": rho("area"),
        "energy_rank_correlation": rho("energy"),
        **{
            f"{name}_equal": sum(p == m for p, m in zip(*pairs(name), strict=True))
            for name in ("cycles", "latency")
        },
        "built": len(built),
        "words_that_differ": sum(one["words_that_differ"] for one in built),
    }


def built_table(built: Sequence[Mapping[str, Any]], kind: str) -> str:
    """Return what was predicted beside what was measured."""
    head = ["configuration", "LUT4", "predicted", "off", "cycles", "predicted"]
    head += ["latency", "predicted", "energy [nJ]", "predicted"]
    rows = []
    for one in built:
        known = one["predicted"]
        row = [one["label"], f"{one['area']:,}", f"{known['area']:,.0f}"]
        row.append(f"{100 * (known['area'] / one['area'] - 1):+.1f} %")
        for name in ("cycles", "latency", "energy"):
            row += [f"{one[name]:,.0f}", f"{known[name]:,.0f}"]
        rows.append(row)
    return formatted(head, rows, kind)


def sentence(found: Mapping[str, Any]) -> str:
    """Return a verdict in words."""
    number = found["built"]
    return (
        f"Area is off by {100 * found['area_off_at_most']:.1f} % at most; cycles are equal in "
        f"{found['cycles_equal']} of {number}, latencies in {found['latency_equal']}; rank "
        f"correlations (Spearman) are {found['area_rank_correlation']:.3f} of areas and "
        f"{found['energy_rank_correlation']:.3f} of energies; {found['words_that_differ']} words "
        "differ from the software's."
    )


def build_all(
    model: Path, found: Exploration, output: Path, images: str
) -> tuple[list[dict[str, Any]], list[Path]]:
    """Build configurations, the exact one and the choice first; return them and their folders."""
    results = spread(found, BUILT)
    folders = [output / "hardware" / f"{number}" for number in range(len(results))]
    folders[:2] = [output / "hardware" / "exact", output / "hardware" / "chosen"]
    with ThreadPoolExecutor(2) as pool:
        built = list(pool.map(lambda r, f: build(model, r, f, images), results, folders))
    (output / "built.json").write_text(json.dumps(built, indent=2) + "\n")
    return built, folders


def processor_seconds() -> float:
    """Return the processor time of this process and all that it started, ended or not, so far."""
    tick, total, parents = os.sysconf("SC_CLK_TCK"), {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        process = int(stat.parent.name)
        parents[process] = int(fields[1])
        total[process] = sum(map(int, fields[11:15])) / tick

    def is_own(process: int) -> bool:
        while process > 1 and process != os.getpid():
            process = parents.get(process, 0)
        return process == os.getpid()

    times = os.times()
    return sum(t for p, t in total.items() if is_own(p)) or times.user + times.system


def write_tables(store: Path, folders: Sequence[Path], output: Path) -> None:
    """Write the table for a paper in four forms, the page, and the drawings as PNG and PDF."""
    rows = asnet_mlir.compare([*folders[:2], store], route=False)
    for kind, suffix in (("text", "txt"), ("latex", "tex"), ("markdown", "md"), ("csv", "csv")):
        (output / f"table.{suffix}").write_text(formatted(*table(rows), kind))
    print((output / "table.txt").read_text())
    page, figures = output / "report.html", output / "figures"
    column = Look("pdf", width=3.4, font=8, title=False)
    for path in asnet_mlir.report(
        store, page, png=output / "pictures", figures=figures, look=column
    ):
        print(path)


def page(name: str, facts: Mapping[str, Any], built: Sequence[Mapping[str, Any]]) -> str:
    """Return what came out as a page of the documentation."""
    computer = machine()
    return (
        "# The study's figures\n\n"
        "Written by `python examples/study/study.py --record docs/study.md`; "
        f"asnet-mlir {asnet_mlir.__version__}, Python {platform.python_version()}, "
        f"{computer['processors']} processors ({computer['processor']}).\n\n"
        f"784 x 16 x 10 on {name}, chosen on 10,000 of the training images and judged on the test "
        f"images: exact {facts['exact']}, chosen `{facts['chosen']}` {facts['judged']}. "
        f"Hardware of the style `stream`, {IMAGES} images simulated; energies are of the whole "
        f"hardware without its memories, mapped to OSU 0.18, at {ACTIVITY:g} changes of a net in a "
        "cycle, and are predicted for the arithmetic alone, from its operands: their order is "
        "compared.\n\n"
        f"{built_table(built, 'markdown')}\n{sentence(verdict(built))}\n\n"
        f"Packed, unpacked in another folder and evaluated again: {facts['equal']} of "
        f"{facts['again']} figures are equal. The whole command took {facts['seconds'] / 60:.1f} "
        f"minutes, {facts['processor_seconds']:.0f} processor seconds, at a load of "
        f"{facts['load']:.1f} (the mean of 15 minutes at its end).\n"
    )


def main(output: Path, record: Path | None) -> int:
    begin = time.perf_counter()

    def step(text: str) -> None:
        own = processor_seconds()
        print(f"\n[{time.perf_counter() - begin:5.1f} s, processor {own:.1f} s] {text}", flush=True)

    output.mkdir(parents=True, exist_ok=True)
    name, model, store = data(), output / "network.keras", output / STORE
    if not model.is_file():
        step(f"training on {name}")
        train(name, model)
    step("choosing on the last 10,000 training images, judging on the test images")
    found = explore(model, store, name)
    assert found.test is not None and found.chosen is not None
    print(f"chosen: {found.chosen.label}")
    found.chosen.binding.save(output / "chosen.json")
    step(f"{BUILT} configurations generated, simulated ({IMAGES} images) and synthesized")
    built, folders = build_all(model, found, output, f"{name}:test")
    print(f"{built_table(built, 'text')}{sentence(verdict(built))}")
    step("packing the study, and evaluating it again in another folder")
    asnet_mlir.pack(store, output / "study.zip")
    other = output / time.strftime("unpacked-%H%M%S")
    asnet_mlir.unpack(output / "study.zip", other)
    again = list(repeat(other, STORE))
    print(f"{sum(one.equal for one in again)} of {len(again)} figures are equal")
    step("tables, page and figures")
    write_tables(store, folders, output)
    step("done")
    facts = {
        "exact": f"{found.test.of(found.exact).value:.2%}",
        "chosen": found.chosen.label,
        "judged": f"{found.test.of(found.chosen).value:.2%}",
        "equal": sum(one.equal for one in again),
        "again": len(again),
        "seconds": time.perf_counter() - begin,
        "processor_seconds": processor_seconds(),
        "load": os.getloadavg()[2],
        **verdict(built),
    }
    (output / "summary.json").write_text(json.dumps(facts, indent=2) + "\n")
    if record is not None:
        record.write_text(page(name, facts, built))
    return int(facts["words_that_differ"] > 0 or facts["equal"] < facts["again"])


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("output", nargs="?", type=Path, default=Path("study-output"))
    arguments.add_argument("--record", type=Path, help="a page of what came out")
    given = arguments.parse_args()
    sys.exit(main(given.output, given.record))
