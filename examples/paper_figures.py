# SPDX-License-Identifier: Apache-2.0
"""The paper's figures 3(a) and 4(a): accuracy against the mantissa bits that a core ignores.

    make figures        (or: python examples/paper_figures.py [OUTPUT_FOLDER])

Sweeps the multiplier and the divider, P = 0..22 each with all else exact, on classification_mnist
(10,000 images) and convolutional_svhn (3,000 *synthetic* images), evaluates the pair of the paper's
Table I, and writes a report with what the paper's text states beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import asnet_mlir

FIGURES = {
    "classification_mnist": "mnist:test",
    "convolutional_svhn": "svhn_synthetic:test:3000",
}
TABLE_1 = {
    "scope": "network",
    "cores": [
        {"op": "mulf", "core": "fmul_trunc", "parameters": {"P": 20}},
        {"op": "divf", "core": "fdiv_trunc", "parameters": {"P": 22}},
    ],
}


def main(output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    store = output / "results.sqlite"
    for model, data in FIGURES.items():
        constraints = Path(__file__).parent / model / "constraints.json"
        sweep = asnet_mlir.explore(model, data, constraints, store=store, only_axes=True)
        pair = asnet_mlir.explore(model, data, TABLE_1, store=store)
        print(
            f"{model} on {data}: {sweep.evaluated + pair.evaluated} configurations in "
            f"{sweep.seconds + pair.seconds:.1f} s",
            flush=True,
        )
    for path in asnet_mlir.report(store, output / "report.html", png=output):
        print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "figures-output"))
