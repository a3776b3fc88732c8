# SPDX-License-Identifier: Apache-2.0
"""Integer hardware on ECP5: area, clock and images a second, predicted and measured.

    make hardware-integers      (or: python benchmarks/integer_hardware.py [--row LABEL ..])

Networks in 8 bits, with lanes for a rate at a clock; multipliers of the device, soft logic, or an
approximate core.  The clock is nextpnr's for one seed (`--seeds`).  Beside it the float stream of
the same network (generator.json).  Results go to integer_hardware.json and docs/hardware.md after
every row; an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import host

import asnet_mlir as asnet

PATH = host.RESULTS / "integer_hardware.json"
PAGE = Path(__file__).parents[1] / "docs" / "hardware.md"
_BEGIN, _END = "<!-- begin: integers -->", "<!-- end: integers -->"
CALIBRATION = {"resnet8_svhn": "svhn_synthetic:train:512"}
CORE = "muli=compressor42:N=8,SIGNED=1"
#: Network, options of `generate`, binding, and whether multipliers are the device's.
ROWS: dict[str, tuple[str, dict[str, Any], str | None, bool]] = {
    "784 x 10, soft": ("classification_mnist", {"lanes": ["4"]}, None, False),
    "784 x 10, DSP": ("classification_mnist", {"lanes": ["4"]}, None, True),
    "convolutional_mnist, DSP": (
        "convolutional_mnist",
        {"target_fps": 16300, "clock_mhz": 100},
        None,
        True,
    ),
    "resnet8_svhn, DSP": ("resnet8_svhn", {"target_fps": 1000, "clock_mhz": 120}, None, True),
    "resnet8_svhn, compressor42": (
        "resnet8_svhn",
        {"target_fps": 500, "clock_mhz": 100},
        CORE,
        False,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--row", action="append", choices=ROWS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--no-route", action="store_true", help="no place and route")
    options = parser.parse_args()
    report: dict[str, Any] = json.loads(PATH.read_text()) if PATH.is_file() else {"rows": {}}
    for label in options.row or ROWS:
        if label not in report["rows"]:
            report["rows"][label] = measure(label, options.seeds, not options.no_route)
        host.save("integer_hardware", report)
        write(report)


def measure(label: str, seeds: int, route: bool) -> dict[str, Any]:
    """Return prediction and measurement of a row."""
    name, how, binding, dsp = ROWS[label]
    model = asnet.quantize(name, CALIBRATION.get(name, "mnist:train:512"))
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        manifest = asnet.generate(model, binding, output=bundle, predict_area=True, dsp=dsp, **how)
        found = asnet.synthesize(bundle, dsp=dsp, seeds=seeds, route=route)
    busiest = sum(layer.get("work", 0) for layer in manifest["layers"])
    return {
        "network": name,
        "cycles": manifest["predicted_cycles_per_sample"],
        "predicted": manifest["predicted_luts"],
        "terms": {
            layer["layer"]: layer["lanes"] for layer in manifest["layers"] if "lanes" in layer
        },
        "least_utilisation": min(
            layer["utilisation_bound"]
            for layer in manifest["layers"]
            if layer.get("work", 0) > 0.05 * busiest
        ),
        **{key: found.get(key) for key in ("luts", "dsps", "brams", "ffs", "fmax_mhz", "device")},
    }


def table(report: dict[str, Any]) -> str:
    """Return the page's table."""
    streams = json.loads((host.RESULTS / "generator.json").read_text())["rows"]
    lines = [
        "| network | cycles an image | LUT4 (predicted) | DSP | block RAMs | MHz | images/s | "
        "images/s per 1,000 LUT4 | of the float stream's | least utilisation |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for label, row in report["rows"].items():
        clock, rate, dense, ratio = row["fmax_mhz"], "-", "-", "-"
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
            f"{row['least_utilisation']:.2f} |"
        )
    return "\n".join(lines)


def write(report: dict[str, Any]) -> None:
    """Write the table into the page."""
    text = PAGE.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}\n\n{table(report)}\n{_END}{after}")


if __name__ == "__main__":
    main()
