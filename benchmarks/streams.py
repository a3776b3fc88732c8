# SPDX-License-Identifier: Apache-2.0
"""Cycles and utilisation of the streaming hardware: three networks, 1, 4 and 10 lanes.

    make hardware-streams      (or: python benchmarks/streams.py [--images N])

Every bundle is simulated on its test set and compared with the software word by word; a difference
is an error.  Results go to benchmarks/results/streams.json and into decision 14.  Cycles do not
depend on the machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from host import save

import asnet_mlir as asnet

NETWORKS = {
    "classification_mnist": "mnist:test",
    "convolutional_mnist": "mnist:test",
    "convolutional_svhn": "svhn_synthetic:test",
}
LANES = (1, 4, 10)
PAGE = Path(__file__).parents[1] / "docs" / "decisions" / "0014-streaming-engines.md"
_BEGIN, _END = "<!-- begin: streams -->", "<!-- end: streams -->"


def measure(network: str, data: str, lanes: int, images: int) -> dict[str, Any]:
    """Generate and simulate one bundle."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        manifest = asnet.generate(network, output=bundle, style="stream", lanes=[str(lanes)])
        result = asnet.simulate(bundle, data, samples=images)
    if result.mismatches:
        raise SystemExit(f"{network}, {lanes} lanes: {result.mismatches} words differ")
    return {
        "network": network,
        "lanes": lanes,
        "images": images,
        "mismatches": result.mismatches,
        "predicted_cycles_per_image": manifest["predicted_cycles_per_sample"],
        "cycles_per_image": result.cycles_per_sample,
        "latency_cycles": result.latency_cycles,
        "stages": [
            {key: layer[key] for key in ("layer", "kind", "cycles")} for layer in manifest["layers"]
        ],
        "layers": list(result.layers),
    }


def main() -> None:
    """Measure all, store and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=100)
    images = parser.parse_args().images
    rows = []
    for network, data in NETWORKS.items():
        for lanes in LANES:
            row = measure(network, data, lanes, images)
            rows.append(row)
            print(
                f"{network}, {lanes} lanes: {row['cycles_per_image']} cycles an image, predicted "
                f"{row['predicted_cycles_per_image']}",
                file=sys.stderr,
            )
            for layer in row["layers"]:
                print(
                    f"  {layer['layer']}: {layer['work']} steps, {layer['utilisation']:.3f} of "
                    f"{layer['utilisation_bound']:.3f}",
                    file=sys.stderr,
                )
            write_page(rows)
    save("streams", {"rows": rows})


def write_page(rows: list[dict[str, Any]]) -> None:
    """Put the cycles that were measured between the marks of decision 14."""
    lines = [
        "| network | " + " | ".join(f"{lanes} lane(s)" for lanes in LANES) + " | slowest stage |",
        "|---" * (len(LANES) + 2) + "|",
    ]
    for network in NETWORKS:
        found = {row["lanes"]: row for row in rows if row["network"] == network}
        cells = [f"{found[n]['cycles_per_image']:,.0f}" if n in found else "-" for n in LANES]
        slowest = [
            max(found[n]["stages"], key=lambda stage: stage["cycles"]) for n in LANES if n in found
        ]
        names = ", ".join(f"{stage['layer']} ({stage['kind']})" for stage in slowest)
        lines.append(f"| `{network}` | {' | '.join(cells)} | {names} |")
    head, _, rest = PAGE.read_text().partition(_BEGIN)
    tail = rest.partition(_END)[2]
    PAGE.write_text(f"{head}{_BEGIN}\n\n" + "\n".join(lines) + f"\n\n{_END}{tail}")


if __name__ == "__main__":
    main()
