# SPDX-License-Identifier: Apache-2.0
"""Integer hardware on ECP5: area, clock and images a second, predicted and measured.

    make hardware-integers      (or: python benchmarks/integer_hardware.py [--row LABEL ..])

Networks in 8 bits, with lanes for a rate at a clock; multipliers of the device, soft logic, or an
approximate core.  The clock is nextpnr's, the median of `--seeds` (by default three).  Beside it
the float stream of the same network (generator.json).  `--xilinx` maps the rows to Xilinx 7, whose
place and route is not open; `--energy` gives energy an image in gates of OSU 0.18.  Results go to
integer_hardware.json and docs/hardware.md after every row; an interrupted run goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import host

import asnet_mlir as asnet
from asnet_mlir.hardware.synthesis import synth

PATH = host.RESULTS / "integer_hardware.json"
PAGE = Path(__file__).parents[1] / "docs" / "hardware.md"
CALIBRATION = {"resnet8_svhn": "svhn_synthetic:train:512"}
CORE = "muli=compressor42:N=8,SIGNED=1"
#: Network, options of `generate`, binding, and whether multipliers are the device's.
ROWS: dict[str, tuple[str, dict[str, Any], str | None, bool]] = {
    "784 x 10, soft": ("classification_mnist", {"lanes": ["4"]}, None, False),
    "784 x 10, DSP": ("classification_mnist", {"lanes": ["4"]}, None, True),
    "784 x 10, compressor42": ("classification_mnist", {"lanes": ["4"]}, CORE, False),
    "convolutional_mnist, DSP": (
        "convolutional_mnist",
        {"target_fps": 16300, "clock_mhz": 100},
        None,
        True,
    ),
    "resnet8_svhn, DSP": (
        "resnet8_svhn",
        {"target_fps": 1350, "clock_mhz": 100, "device": "85k"},
        None,
        True,
    ),
    "resnet8_svhn, compressor42": (
        "resnet8_svhn",
        {"target_fps": 850, "clock_mhz": 100},
        CORE,
        False,
    ),
}
#: Bindings whose energy is compared: exact, and of the search (eight_bits_search.json) the best one
#: that loses at most 0.6 points of accuracy.
ENERGY = ("convolutional_mnist", {"lanes": ["8"]})
BEST = (
    "muli@conv1=mul8s_evolved:M=38 muli@conv2=mul8s_evolved:M=35 "
    "muli@dense1=mul8s_evolved:M=21 muli@dense2=truncated:CUT=7,SIGNED=1"
)
BINDINGS = {"exact": None, "best at 0.6 points": BEST.split()}
LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
_ACTIVITY, _MHZ = 0.1, 100.0

#: What a cell is for, by the instance or net it is named by; what is left is around these.
_PARTS = {
    "multipliers": r"t(erm)?\d",
    "accumulators": r"sums|a\d+_\d|before|after|adder|f_x0",
    "requantization": r"f\b|f_|rest_q",
    "addresses": r"window\b|weight|rom_",
}
_LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--row", action="append", choices=ROWS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-route", action="store_true", help="no place and route")
    parser.add_argument("--xilinx", action="store_true", help="map to Xilinx 7 instead")
    parser.add_argument("--energy", action="store_true", help="energy an image instead")
    options = parser.parse_args()
    seeds = 0 if options.no_route else options.seeds
    if options.energy:
        for label in BINDINGS:
            if label not in known("energy"):
                keep("energy", label, energy(label))
    for label in [] if options.energy else options.row or ROWS:
        if options.xilinx and label not in known("xilinx7"):
            keep("xilinx7", label, mapped_to_xilinx(label))
        elif not options.xilinx and known("rows").get(label, {}).get("seeds", -1) < seeds:
            keep("rows", label, measure(label, seeds))


def known(section: str) -> dict[str, Any]:
    """Return what has been measured."""
    report: dict[str, dict[str, Any]] = json.loads(PATH.read_text()) if PATH.is_file() else {}
    return report.get(section, {})


def keep(section: str, label: str, measured: dict[str, Any]) -> None:
    """Write what was measured, beside what is known by now."""
    report = {name: known(name) for name in ("rows", "xilinx7", "energy")}
    report[section][label] = measured
    host.save("integer_hardware", report)
    write("integers", table(report))
    write("integers xilinx", xilinx_table(report))
    write("integers energy", energy_table(report))


@contextmanager
def generated(
    name: str, how: dict[str, Any], binding: str | list[str] | None
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give the bundle of a network in 8 bits, and its manifest."""
    model = asnet.quantize(name, CALIBRATION.get(name, "mnist:train:512"))
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        yield bundle, asnet.generate(model, binding, output=bundle, **how)


def measure(label: str, seeds: int) -> dict[str, Any]:
    """Return prediction and measurement of a row, placed with so many seeds."""
    name, how, binding, dsp = ROWS[label]
    with generated(name, {**how, "predict_area": True, "dsp": dsp}, binding) as (bundle, manifest):
        found = asnet.synthesize(bundle, dsp=dsp, seeds=max(seeds, 1), route=seeds > 0)
        shares = parts(synth.netlist(bundle, dsp))
    whole = sum(layer.get("work", 0) for layer in manifest["layers"])
    return {
        "network": name,
        "seeds": seeds,
        "cycles": manifest["predicted_cycles_per_sample"],
        "predicted": manifest["predicted_luts"],
        "terms": {
            layer["layer"]: layer["lanes"] for layer in manifest["layers"] if "lanes" in layer
        },
        "least_utilisation": min(
            layer["utilisation_bound"]
            for layer in manifest["layers"]
            if layer.get("work", 0) > 0.05 * whole
        ),
        "parts": shares,
        **{key: found.get(key) for key in ("luts", "dsps", "brams", "ffs", "fmax_mhz", "device")},
        "fmax_mhz_by_seed": found.get("fmax_mhz_by_seed"),
    }


def parts(netlist: Path) -> dict[str, int]:
    """Return LUT4 by what they are for."""
    modules = json.loads(netlist.read_text())["modules"]
    cells = max((module["cells"] for module in modules.values()), key=len)
    counts: Counter[str] = Counter(dict.fromkeys([*_PARTS, "around"], 0))
    for name, cell in cells.items():
        inner = name.split(".", 1)[1] if name.startswith("stage_") and "." in name else "around"
        what = next((part for part, form in _PARTS.items() if re.match(form, inner)), "around")
        counts[what] += _LUTS.get(cell["type"], 0)
    return dict(counts)


def mapped_to_xilinx(label: str) -> dict[str, Any]:
    """Return what a row takes of Xilinx 7."""
    name, how, binding, dsp = ROWS[label]
    with generated(name, {**how, "dsp": dsp}, binding) as (bundle, manifest):
        found = asnet.synthesize(bundle, dsp=dsp, target="xilinx7")
    kept = {key: found[key] for key in ("luts", "ffs", "dsps", "brams", "delay_ns")}
    return kept | {"cycles": manifest["predicted_cycles_per_sample"]}


def energy(label: str) -> dict[str, Any]:
    """Return gates, power and energy an image of a binding, memories and wires left out."""
    name, how = ENERGY
    with generated(name, how, BINDINGS[label]) as (bundle, manifest):
        found = asnet.synthesize(
            bundle, target="asic", liberty=LIBERTY, activity=_ACTIVITY, clock_mhz=_MHZ
        )
    cycles = manifest["predicted_cycles_per_sample"]
    watts = found["power_watts"]["total"]
    return {
        "network": name,
        "cycles": cycles,
        "area_um2": found["area"],
        "gates": found["gates"],
        "watts": watts,
        "joules_per_image": watts * cycles / (_MHZ * 1e6),
    }


def xilinx_table(report: dict[str, Any]) -> str:
    """Return what the rows take of Xilinx 7."""
    lines = [
        "| network | LUTs | flip-flops | DSP48E1 | block RAMs of 18 kbit | longest path, ns |",
        "|---|---|---|---|---|---|",
    ]
    for label, row in report.get("xilinx7", {}).items():
        lines.append(
            f"| {label} | {row['luts']:,} | {row['ffs']:,} | {row['dsps']} | {row['brams']} | "
            f"{row['delay_ns']} |"
        )
    return "\n".join(lines)


def energy_table(report: dict[str, Any]) -> str:
    """Return energy an image, exact and approximate."""
    lines = ["| multipliers | area, um^2 | gates | mW | uJ an image |", "|---|---|---|---|---|"]
    for label, row in report.get("energy", {}).items():
        lines.append(
            f"| {label} | {row['area_um2']:,.0f} | {row['gates']:,} | {1e3 * row['watts']:.1f} | "
            f"{1e6 * row['joules_per_image']:.3f} |"
        )
    return "\n".join(lines)


def table(report: dict[str, Any]) -> str:
    """Return the page's table."""
    streams = json.loads((host.RESULTS / "generator.json").read_text())["rows"]
    lines = [
        "| network | cycles an image | LUT4 (predicted) | DSP | block RAMs | MHz | images/s | "
        "images/s per 1,000 LUT4 | of the float stream's | least utilisation | around |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for label, row in report["rows"].items():
        clock, rate, dense, ratio, around = row["fmax_mhz"], "-", "-", "-", "-"
        if "parts" in row:
            around = f"{row['parts']['around'] / sum(row['parts'].values()):.0%}"
        if clock:
            images = clock * 1e6 / row["cycles"]
            each = images / row["luts"] * 1000
            rate, dense = f"{images:,.0f}", f"{each:,.0f}"
            stream = streams.get(f"{row['network']}, stream", {})
            if stream.get("placed"):
                own = (
                    stream["placed"]["fmax_mhz"]
                    * 1e6
                    / stream["predicted_cycles"]
                    / stream["luts"]
                    * 1000
                )
                ratio = f"{each / own:.0f} x"
        lines.append(
            f"| {label} | {row['cycles']:,} | {row['luts']:,} ({row['predicted']['total']:,}) | "
            f"{row['dsps']} | {row['brams']} | {clock or '-'} | {rate} | {dense} | {ratio} | "
            f"{row['least_utilisation']:.2f} | {around} |"
        )
    return "\n".join(lines)


def write(section: str, table: str) -> None:
    """Write a table into the page."""
    begin, end = (f"<!-- {mark}: {section} -->" for mark in ("begin", "end"))
    before, found, rest = PAGE.read_text().partition(begin)
    assert found, section
    after = rest.partition(end)[2]
    PAGE.write_text(f"{before}{begin}\n\n{table}\n{end}{after}")


if __name__ == "__main__":
    main()
