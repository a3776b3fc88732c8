# SPDX-License-Identifier: Apache-2.0
"""A study as for a paper: own multipliers, a choice by layers, judged, built, packed and drawn.

    make study        (or: python examples/study/study.py [OUTPUT_FOLDER])

A small network is trained on Fashion-MNIST (Debian's dataset-fashion-mnist; without it on MNIST).
Three multipliers in Verilog, written here and without a manifest, make a design space by layers.
The choice is made on the last 10,000 training images and judged on the test images.  Ten
configurations are generated, simulated and synthesized, beside what was predicted.  Then the study
is packed, unpacked in another folder and evaluated again; tables and figures are written.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import asnet_mlir
from asnet_mlir.errors import InputError
from asnet_mlir.exploration import Exploration, Result
from asnet_mlir.exploration.packing import STORE
from asnet_mlir.exploration.repeat import repeat
from asnet_mlir.exploration.sweep_progress import ProgressDisplay
from asnet_mlir.reports import exploration_table
from asnet_mlir.reports.compare import table
from asnet_mlir.reports.table_formats import formatted

HERE = Path(__file__).parent
#: How many configurations are built, and how many images each of them computes in simulation.
BUILT, IMAGES = 10, 2
#: Of the accuracy, that may be lost on the validation data.
LOSS = 0.01


def data() -> str:
    """Return the data set that is here."""
    try:
        asnet_mlir.load_data("fashion_mnist:test:1")
        return "fashion_mnist"
    except InputError:
        return "mnist"


def train(name: str, path: Path) -> None:
    """Train a network of two layers, 784 x 16 x 10, whose outputs are logits."""
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


def spread(found: Exploration, count: int) -> list[Result]:
    """Return the exact configuration, the choice and others over the whole range of areas."""
    order = sorted(found.results, key=lambda result: result.costs["area"])
    places = np.linspace(0, len(order) - 1, count - 2).round().astype(int)
    wanted = [found.exact, found.chosen, *(order[place] for place in places)]
    unique = {result.key: result for result in wanted if result is not None}
    spare = (result for result in order if result.key not in unique)
    while len(unique) < min(count, len(order)):
        unique |= {(one := next(spare)).key: one}
    return list(unique.values())


def build(model: Path, result: Result, folder: Path, images: str) -> dict[str, Any]:
    """Generate, simulate and synthesize a configuration."""
    asnet_mlir.generate(model, result.binding, output=folder, force=True, style="stream")
    simulated = asnet_mlir.simulate(folder, images, samples=IMAGES)
    return {
        "label": result.label,
        "predicted": dict(result.costs),
        "luts": asnet_mlir.synthesize(folder, route=False)["luts"],
        "cycles": simulated.cycles_per_sample,
        "words_that_differ": simulated.mismatches,
    }


def ranks(values: Sequence[float]) -> np.ndarray:
    """Return ranks, float64[n]; equal values share their mean."""
    array = np.asarray(values, np.float64)
    return np.array([(array < v).sum() + ((array == v).sum() - 1) / 2 for v in array])


def show_built(built: Sequence[dict[str, Any]]) -> None:
    """Print what was predicted beside what was measured."""
    head = ["configuration", "LUT4", "predicted", "off", "cycles", "predicted"]
    rows = []
    for one in built:
        area, cycles = one["predicted"]["area"], one["predicted"]["cycles"]
        off = f"{100 * (area / one['luts'] - 1):+.1f} %"
        figures = f"{one['luts']:,}", f"{area:,.0f}", off, f"{one['cycles']:,.0f}", f"{cycles:,.0f}"
        rows.append([one["label"], *figures])
    print(formatted(head, rows, "text"))
    areas = [one["predicted"]["area"] for one in built], [one["luts"] for one in built]
    rho = np.corrcoef(*map(ranks, areas))[0, 1]
    worst = max(abs(p / m - 1) for p, m in zip(*areas, strict=True))
    equal = sum(one["cycles"] == one["predicted"]["cycles"] for one in built)
    print(
        f"area off by {100 * worst:.1f} % at most, rank correlation (Spearman) {rho:.3f}; cycles "
        f"equal in {equal} of {len(built)}; {sum(one['words_that_differ'] for one in built)} words "
        "differ from the software's"
    )


def main(output: Path) -> int:
    begin = time.perf_counter()

    def step(text: str) -> None:
        print(f"\n[{time.perf_counter() - begin:5.1f} s] {text}", flush=True)

    output.mkdir(parents=True, exist_ok=True)
    name, model, store = data(), output / "network.keras", output / "results.sqlite"
    validation, test = f"{name}:train[50000:60000]", f"{name}:test"
    if not model.is_file():
        step(f"training on {name}")
        train(name, model)
    bound = asnet_mlir.evaluate(model, validation).accuracy - LOSS

    step(f"choosing on {validation}, judging on {test}")
    display = ProgressDisplay(cost="area")
    found = asnet_mlir.explore(
        model,
        validation,
        HERE / "constraints.json",
        store=store,
        cost="area,energy",
        choose=f"accuracy>={bound:.4f}",
        test=test,
        style="stream",
        progress=display,
        cost_progress=display.costs,
    )
    display.close()
    print(exploration_table(found))
    assert found.test is not None and found.chosen is not None
    print(f"chosen: {found.chosen.label}")
    found.chosen.binding.save(output / "chosen.json")

    step(f"{BUILT} configurations generated, simulated ({IMAGES} images) and synthesized")
    results = spread(found, BUILT)
    folders = [output / "hardware" / f"{number}" for number in range(len(results))]
    folders[:2] = [output / "hardware" / "exact", output / "hardware" / "chosen"]
    with ThreadPoolExecutor(2) as pool:
        built = list(pool.map(lambda r, f: build(model, r, f, test), results, folders))
    (output / "built.json").write_text(json.dumps(built, indent=2) + "\n")
    show_built(built)

    step("packing the study, and evaluating it again in another folder")
    asnet_mlir.pack(store, output / "study.zip")
    other = output / time.strftime("unpacked-%H%M%S")
    asnet_mlir.unpack(output / "study.zip", other)
    again = list(repeat(other, STORE))
    print(f"{sum(one.equal for one in again)} of {len(again)} figures are equal")

    step("tables, page and figures")
    rows = asnet_mlir.compare([*folders[:2], store], route=False)
    for kind, suffix in (("text", "txt"), ("latex", "tex"), ("markdown", "md"), ("csv", "csv")):
        (output / f"table.{suffix}").write_text(formatted(*table(rows), kind))
    print((output / "table.txt").read_text())
    for path in asnet_mlir.report(store, output / "report.html", png=output / "figures"):
        print(path)
    step("done")
    wrong = any(one["words_that_differ"] for one in built) or not all(one.equal for one in again)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "study-output")))
