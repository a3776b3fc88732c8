# SPDX-License-Identifier: Apache-2.0
"""Multipliers evolved for a network's own operands against the best general-purpose ones.

    make evolved-for-network    (python benchmarks/evolved_for_network.py [--only STEP ..]
                                                                          [-o DIR])

Steps: `evolve` quantizes convolutional_mnist and evolves signed 8 x 8 multipliers whose error is
weighted by the operands of its products (WMED): under bounds on it alone, for the least area or
energy, and for the least energy with those kept of which the network loses no more than some
accuracy, on images that nothing else is measured with; `measure` puts each, and each
general-purpose one, into all products: accuracy on validation images of the training set, energy
an image with the network's operands (`asnet explore --cost energy`); `page` chooses, of both kinds,
the circuit of least energy that keeps the accuracy within some loss on these and on the test set,
and writes evolved_for_network.json and its part of docs/evolution.md.  Every step goes on where it
was interrupted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import host

import asnet_mlir as asnet
from asnet_mlir.exploration.costs import format_of, unit_of
from asnet_mlir.exploration.energy import liberty
from asnet_mlir.exploration.results import Result
from asnet_mlir.exploration.space import DesignSpace
from asnet_mlir.hardware import synthesize

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "evolution.md"
STEPS = ("evolve", "measure", "page")
NETWORK, CALIBRATION = "convolutional_mnist", "mnist:train:512"
SEARCHED = "mnist:train[50000:55000]"
VALIDATION, TEST = "mnist:train[55000:60000]", "mnist:test"
LOSSES = (0.001, 0.0025, 0.005, 0.01)
#: Searches: what they minimize, bounds on WMED (the least, the largest, how many), threads, rounds.
SEARCHES = (
    ("area", 20, 400, 12, 2, 46),
    ("area", 1, 300, 14, 1, 9),
    ("energy", 40, 400, 12, 2, 46),
)
#: Searches that try circuits in the network: the loss that they keep, bounds on WMED as above, the
#: seed, threads and rounds.
KEPT = (
    (0.0005, 20, 200, 8, 1, 2, 60),
    (0.0015, 40, 300, 8, 1, 2, 60),
    (0.004, 60, 500, 8, 1, 2, 60),
)
#: Evolved circuits that are tried: those of smaller errors cost too much.
WMED = 20.0
#: Mean errors of the shipped circuits that are tried: what errs more loses more than a point.
MAE = (12.0, 420.0)
#: Energies do not depend on the clock; so many cores are measured before they are stored.
_MHZ, _BATCH = 100.0, 6


def general() -> list[str]:
    """Return the general-purpose cores, as bindings name them: shipped circuits, and families."""
    found = []
    for core, more in (("mul8s_evolved", ""), ("mul8u_evolved", ",SIGN_MAGNITUDE=8")):
        index = json.loads((ROOT / "hdl_lib" / core / "index.json").read_text())
        found += [
            f"{core}:M={number}{more}"
            for number, member in enumerate(index["members"])
            if MAE[0] <= member["metrics"]["MAE"] <= MAE[1]
        ]
    found += [f"truncated:N=8,CUT={cut},CORRECTION=1,SIGNED=1" for cut in (5, 6, 7)]
    found += [f"bam:N=8,VBL={columns},SIGN_MAGNITUDE=8" for columns in (5, 6, 7, 8)]
    found += [f"perforated:N=8,K={rows},SIGNED=1" for rows in (1, 2)]
    found += [f"compressor42:N=8,DESIGN={design},SIGNED=1" for design in (1, 2, 3, 4)]
    found += [f"drum:N=8,K={k},SIGN_MAGNITUDE=8" for k in (4, 5)]
    found += [f"ssm:N=8,K={k},SIGN_MAGNITUDE=8" for k in (4, 5)]
    found += ["roba:N=8,SIGNED=1", "mbm:N=8,SIGNED=1"]
    return [*found, "mitchell:N=8,SIGN_MAGNITUDE=8", "kulkarni:N=8,SIGN_MAGNITUDE=8"]


def fronts(folder: Path) -> list[Path]:
    """Return the folders of the searches under bounds on WMED alone."""
    return [
        folder / f"front_{'' if what == 'area' else f'{what}_'}{least}_{most}_{points}"
        for what, least, most, points, _, _ in SEARCHES
    ]


def kept_fronts(folder: Path) -> list[Path]:
    """Return the folders of the searches that try circuits in the network."""
    return [folder / f"kept_{1e4 * loss:g}_{seed}" for loss, _, _, _, seed, _, _ in KEPT]


def evolve(folder: Path) -> None:
    """Quantize the network, and evolve fronts, or go on with them."""
    folder.mkdir(parents=True, exist_ok=True)
    network = folder / "net8.mlir"
    if not network.is_file():
        command = ["asnet", "quantize", NETWORK, "--data", CALIBRATION, "--no-alone"]
        subprocess.run([*command, "-o", str(network)], check=True)
    for front, (what, *settings) in zip(fronts(folder), SEARCHES, strict=True):
        search(network, front, tuple(settings), ["--minimize", what])
    exact = asnet.evaluate(network, SEARCHED).value
    for front, (loss, *bounds, seed, threads, rounds) in zip(
        kept_fronts(folder), KEPT, strict=True
    ):
        more = ["--keep", f"accuracy>={exact - loss:.4f}", "--test", SEARCHED]
        more += ["--minimize", "energy", "--seed", str(seed)]
        search(network, front, (*bounds, threads, rounds), more)


def search(
    network: Path, front: Path, settings: tuple[float, ...], more: Sequence[str] = ()
) -> None:
    """Evolve a front, or go on with it; settings are as in `SEARCHES`."""
    least, most, points, threads, rounds = (f"{value:g}" for value in settings)
    command = ["asnet", "cores", "evolve", "--op", "muli", "--width", "8", "--signed"]
    command += ["--bound", f"WMED<={most}", "--least", least, "--points", points]
    command += ["--weights", str(network), "--data", CALIBRATION, *more]
    command += ["--threads", threads, "--rounds", rounds, "-o", str(front)]
    subprocess.run(command, check=True)


def circuits(folder: Path) -> list[dict[str, Any]]:
    """Return what the searches found: entries of their fronts, with the files' paths."""
    found = []
    for front in (*fronts(folder), *kept_fronts(folder)):
        for entry in json.loads((front / "front.json").read_text())["circuits"]:
            if entry["errors"]["WMED"] >= WMED:
                found.append({**entry, "file": str(front / entry["file"])})
    return found


class Study(NamedTuple):
    """Results of the exact network, which is the first one, and of cores in all its products."""

    results: list[Result]
    space: DesignSpace


def study(folder: Path, cores: Sequence[str]) -> Study:
    """Measure every core in all products; results are kept in a store."""
    results: dict[str, Result] = {}
    for first in range(0, len(cores), _BATCH):
        found = asnet.explore(
            folder / "net8.mlir",
            VALIDATION,
            {"cores": [constraint(core) for core in cores[first : first + _BATCH]]},
            store=folder / "study.sqlite",
            cost="energy",
        )
        for result in found.results:
            results[result.label] = result
            print(
                f"{result.label}: {result.value:.4f}, {result.costs['energy']:.0f} nJ", flush=True
            )
    return Study(list(results.values()), found.space)


def constraint(core: str) -> dict[str, Any]:
    """Return a core of a binding as constraints name it."""
    name, _, values = core.partition(":")
    pairs = (pair.partition("=") for pair in values.split(",") if pair)
    return {"op": "muli", "core": name, "parameters": {key: int(v) for key, _, v in pairs}}


def measure(folder: Path) -> tuple[Study, Study]:
    """Return the studies of the general-purpose cores and of the evolved ones."""
    return study(folder, general()), study(folder, [one["file"] for one in circuits(folder)])


class Judge:
    """Accuracies on the test set, each evaluated once."""

    def __init__(self, folder: Path) -> None:
        self._network, self._known = folder / "net8.mlir", dict[str, float]()

    def test(self, result: Result) -> float:
        """Return the accuracy of a configuration on the test set."""
        if result.label not in self._known:
            found = asnet.evaluate(self._network, TEST, result.binding)
            self._known[result.label] = found.value
        return self._known[result.label]

    def best(self, found: Sequence[Result], exact: Result, loss: float) -> Result:
        """Return the configuration of least energy that keeps the accuracy on both sets."""
        for result in sorted(found, key=lambda result: result.costs["energy"]):
            within = result.value >= exact.value - loss - 1e-9
            if within and self.test(result) >= self.test(exact) - loss - 1e-9:
                return result
        return exact


def gates_energy(space: DesignSpace, result: Result) -> float:
    """Return an energy without that of the registers' clock, in nJ an image."""
    layers = [layer for layer in space.layers if "muli" in layer.ops]
    products = sum(layer.ops["muli"] for layer in layers)
    unit = unit_of(result.binding, layers[0], "muli", format_of(layers[0], "muli"))
    assert unit is not None
    idle = synthesize(unit, target="asic", liberty=liberty(), activity=0.0, clock_mhz=_MHZ)
    watts = idle["power_watts"]
    clock = products * (watts["internal"] + watts["switching"]) * 1e9 / (_MHZ * 1e6)
    return float(result.costs["energy"]) - clock


def compare(folder: Path, studies: tuple[Study, Study]) -> dict[str, Any]:
    """Return, for each loss, the energies of both best circuits and their accuracies."""
    exact, judge = studies[0].results[0], Judge(folder)
    rows: list[dict[str, Any]] = []
    for loss in LOSSES:
        row: dict[str, Any] = {"loss": loss}
        for name, found in zip(("general", "evolved"), studies, strict=True):
            chosen = judge.best(found.results, exact, loss)
            row[name] = {
                "core": chosen.label.rpartition("/")[2].removeprefix("muli="),
                "energy": round(chosen.costs["energy"], 1),
                "gates": round(gates_energy(found.space, chosen), 1),
                "validation": chosen.value,
                "test": judge.test(chosen),
            }
        for figure in ("energy", "gates"):
            row[f"ratio of {figure}"] = round(row["evolved"][figure] / row["general"][figure], 3)
        rows.append(row)
    every = (*fronts(folder), *kept_fronts(folder))
    counts = [json.loads((front / "front.json").read_text())["counts"] for front in every]
    return {
        **host.describe(),
        "exact": {"energy": exact.costs["energy"], "gates": gates_energy(studies[0].space, exact)},
        "validation": exact.value,
        "test": judge.test(exact),
        "circuits": [len(found.results) - 1 for found in studies],
        "candidates": sum(one["candidates"] for one in counts),
        "rows": rows,
    }


def table(report: dict[str, Any]) -> str:
    """Return a report as the section of the page."""
    exact = report["exact"]
    lines = [
        f"Energies are shares of the exact multiplier's ({exact['energy'] / 1000:.2f} uJ an image, "
        f"{exact['gates'] / 1000:.2f} without the registers' clock), gates of OSU 0.18 um; "
        f"accuracies of the exact network: {report['validation']:.2%} on validation images, "
        f"{report['test']:.2%} on the test set. {report['circuits'][0]} general-purpose circuits, "
        f"{report['circuits'][1]} evolved ones, of {report['candidates']:,} candidates.",
        "",
        "| loss on both | general | energy | test | evolved | energy | test "
        "| ratio | of gates alone |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        cells = [f"<= {100 * row['loss']:g} points"]
        for name in ("general", "evolved"):
            one = row[name]
            share = one["energy"] / exact["energy"]
            cells += [one["core"], f"{share:.3f}", f"{one['test']:.2%}"]
        cells += [f"{row['ratio of energy']:.2f}", f"{row['ratio of gates']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def page(report: dict[str, Any]) -> None:
    """Write the section of the page."""
    begin, end = (f"<!-- {mark}: evolved for a network -->" for mark in ("begin", "end"))
    before, found, rest = PAGE.read_text().partition(begin)
    assert found
    PAGE.write_text(f"{before}{begin}\n\n{table(report)}\n\n{end}{rest.partition(end)[2]}")


def main() -> None:
    """Carry the steps out."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/evolved_for_network"))
    options = parser.parse_args()
    if "evolve" in options.only:
        evolve(options.output)
    if {"measure", "page"} & set(options.only):
        studies = measure(options.output)
        if "page" in options.only:
            report = compare(options.output, studies)
            host.save("evolved_for_network", report)
            page(report)


if __name__ == "__main__":
    main()
