# SPDX-License-Identifier: Apache-2.0
"""The generator's figures of merit: three networks, both styles, one lane.

    make hardware-merit      (or: python benchmarks/generator.py [--images N] [--no-route]
                              [--seeds N] [--network NAME ..] [--style S ..])

Equality: the words of the simulation against the software's, for the exact cores and three other
bindings.  Area: LUT4 of the mapped bundle with exact cores against the sum of its cores alone.
Clock: the median of the placements' seeds against the slowest core alone.  Everything that takes
long is cached or stored, so an interrupted run goes on where it stopped.  Results go to
benchmarks/results/generator.json and docs/hardware.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import host

import asnet_mlir as asnet
from asnet_mlir.binding import Binding

PATH = host.RESULTS / "generator.json"
PAGE = Path(__file__).parents[1] / "docs" / "hardware.md"
DATA = {
    "classification_mnist": "mnist:test",
    "convolutional_mnist": "mnist:test",
    "convolutional_svhn": "svhn_synthetic:test",
}
STYLES = ("shared", "stream")
#: What is simulated: exact, coarse, the paper's Table I, and cores of other kinds and latencies.
BINDINGS = {
    "exact": [],
    "P = 12": ["mulf=fmul_trunc:P=12"],
    "Table I": ["mulf=fmul_trunc:P=20", "divf=fdiv_trunc:P=22"],
    "DRUM, another adder latency": ["mulf=fmul_drum", "addf=fadd:LATENCY=2"],
}
#: The exact cores of the library as they are bound by default.
CORES = ("fmul", "fadd", "fsub", "fdiv", "fmax", "fmin")
_BEGIN, _END = "<!-- begin: generator -->", "<!-- end: generator -->"


def main() -> None:
    """Measure what is asked for; store and write the page after every figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", action="append", choices=sorted(DATA))
    parser.add_argument("--style", action="append", choices=STYLES)
    parser.add_argument("--images", type=int, help="by default 1,000 of MNIST's dense network, 100")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-route", action="store_true", help="no place and route")
    options = parser.parse_args()
    report: dict[str, Any] = json.loads(PATH.read_text()) if PATH.is_file() else {}
    report.setdefault("cores", {})
    report.setdefault("rows", {})
    networks = options.network or list(DATA)
    styles = options.style or STYLES
    for core in CORES:
        # The mapping first: `synthesize` with placements reports the placed LUTs.
        entry = {"luts": asnet.synthesize(core, route=False)["luts"]}
        if not options.no_route:
            entry["fmax_mhz"] = asnet.synthesize(core, seeds=options.seeds)["fmax_mhz"]
        report["cores"].setdefault(core, {}).update(entry)
        save(report)
    for route in (False,) if options.no_route else (False, True):
        for network in networks:
            for style in styles:
                measure(report, network, style, options, route)
                save(report)


def measure(
    report: dict[str, Any], network: str, style: str, options: argparse.Namespace, route: bool
) -> None:
    """Fill in the row of a network and a style."""
    row = report["rows"].setdefault(f"{network}, {style}", {"network": network, "style": style})
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        started = time.perf_counter()
        manifest = asnet.generate(network, output=bundle, style=style)
        seconds = round(time.perf_counter() - started, 1)
        if route:
            say(f"{network}, {style}: placing")
            placed = asnet.synthesize(bundle, seeds=options.seeds)
            row |= {"placed": {key: placed[key] for key in ("luts", "fmax_mhz", "device")}}
            row["placed"]["fmax_mhz_by_seed"] = placed["fmax_mhz_by_seed"]
            return
        predicted = asnet.generate(
            network, output=bundle, style=style, force=True, predict_area=True
        )["predicted_luts"]
        row |= {
            "generation_seconds": seconds,
            "predicted_cycles": manifest["predicted_cycles_per_sample"],
            "predicted_luts": predicted["total"],
            "units": {entry["core"]: 0 for entry in manifest["instances"]},
        }
        for entry in manifest["instances"]:
            row["units"][entry["core"]] += entry["count"]
        say(f"{network}, {style}: mapping")
        mapped = asnet.synthesize(bundle, route=False)
        row |= {key: mapped[key] for key in ("luts", "ffs", "brams")}
        row["core_luts"] = sum(
            count * asnet.synthesize(core, route=False)["luts"]
            for core, count in row["units"].items()
        )
    equal = row.setdefault("equality", {})
    for name, rules in BINDINGS.items():
        images = options.images or (1000 if network == "classification_mnist" else 100)
        if equal.get(name, {}).get("images", 0) >= images and equal[name]["bundle"] == digest(
            manifest
        ):
            continue
        with tempfile.TemporaryDirectory() as folder:
            bundle = Path(folder) / "bundle"
            asnet.generate(network, Binding.parse(rules), output=bundle, style=style)
            say(f"{network}, {style}: simulating {images} images, {name}")
            result = asnet.simulate(bundle, DATA[network], samples=images)
        equal[name] = {
            "images": images,
            "mismatches": result.mismatches,
            "cycles": result.cycles_per_sample,
            "bundle": digest(manifest),
        }
        if name == "exact":
            row["layers"] = list(result.layers)
            row["latency_cycles"] = result.latency_cycles
        save(report)


def digest(manifest: dict[str, Any]) -> str:
    """Return what stands for the hardware: its sources and ROMs."""
    import hashlib

    files = {
        name: value
        for name, value in manifest["files"].items()
        if name.startswith(("rtl/", "rom/", "cores/"))
    }
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]


def say(text: str) -> None:
    """Show what begins."""
    print(text, file=sys.stderr, flush=True)


def save(report: dict[str, Any]) -> None:
    """Write the results and their page."""
    report["machine"] = host.describe()
    PATH.write_text(json.dumps(report, indent=2) + "\n")
    text = PAGE.read_text()
    head, _, rest = text.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    PAGE.write_text(f"{head}{_BEGIN}\n{tables(report)}\n{_END}{tail}")


def tables(report: dict[str, Any]) -> str:
    """Return the tables of the page."""
    rows = list(report["rows"].values())
    lines = [
        "",
        "| network, style | cycles an image (predicted) | least utilisation | words that differ | "
        "generated in |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        exact = row.get("equality", {}).get("exact")
        if exact is None:
            continue
        large = [layer for layer in row.get("layers", ()) if layer["work"] >= 2000]
        least = f"{min(layer['utilisation'] for layer in large):.4f}" if large else "-"
        wrong = sum(entry["mismatches"] for entry in row["equality"].values())
        images = min(entry["images"] for entry in row["equality"].values())
        lines.append(
            f"| `{row['network']}`, {row['style']} | {exact['cycles']:,.0f} "
            f"({row['predicted_cycles']:,}) | {least} | {wrong} of {images} images, "
            f"{len(row['equality'])} bindings | {row['generation_seconds']} s |"
        )
    lines += [
        "",
        "| network, style | LUT4 (predicted) | cores alone | overhead | block RAMs | MHz (seeds) | "
        "of the slowest core | images/s | images/s per 1,000 LUT4 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "luts" not in row:
            continue
        placed = row.get("placed")
        clock = ratio = speed = density = "not measured"
        if placed:
            seeds = ", ".join(f"{value:.1f}" for value in placed["fmax_mhz_by_seed"].values())
            clock = f"{placed['fmax_mhz']:.1f} ({seeds})"
            slowest = min(report["cores"][core]["fmax_mhz"] for core in row["units"])
            ratio = f"{placed['fmax_mhz'] / slowest:.2f}"
            images = placed["fmax_mhz"] * 1e6 / row["predicted_cycles"]
            speed, density = f"{images:,.0f}", f"{images / row['luts'] * 1000:,.1f}"
        lines.append(
            f"| `{row['network']}`, {row['style']} | {row['luts']:,} ({row['predicted_luts']:,}) | "
            f"{row['core_luts']:,} | {row['luts'] / row['core_luts'] - 1:.1%} | {row['brams']} | "
            f"{clock} | {ratio} | {speed} | {density} |"
        )
    lines += ["", "| exact core alone | LUT4 | MHz |", "|---|---|---|"]
    for core, entry in report["cores"].items():
        lines.append(f"| `{core}` | {entry['luts']:,} | {entry.get('fmax_mhz', '-')} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
