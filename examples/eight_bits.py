# SPDX-License-Identifier: Apache-2.0
"""A network of eight bits: quantized, evaluated with two cores, and looked at layer by layer.

    python examples/eight_bits.py [OUTPUT_FOLDER]

It takes half a minute the first time.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import asnet_mlir

# A checkout has training images, mnist:train, which is what calibrates in earnest.
MODEL, CALIBRATION, TEST = "convolutional_mnist", "mnist:test:256", "mnist:test:2000"
#: Multipliers of magnitudes with 8 bits; the sign of the codes is put back.
CORES = (
    "muli=drum:N=8,K=4,SIGN_MAGNITUDE=8",
    "muli=mitchell:N=8,SIGN_MAGNITUDE=8",
)


def main(output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    outcome = asnet_mlir.quantization_outcome(MODEL, CALIBRATION, test=TEST)
    print(outcome.table())
    print(f"float {outcome.accuracy_float:.4f}, codes of 8 bits {outcome.accuracy:.4f}")
    path = output / "net.mlir"
    outcome.save(path)  # a model of every verb from now on

    for core in CORES:
        result = asnet_mlir.evaluate(path, TEST, core)
        print(f"{core}: {result.accuracy:.4f}")
    # The same core in one layer only, and what that does to the layer's codes.
    in_one_layer = CORES[0].replace("muli=", "muli@conv2=")
    exact = asnet_mlir.run(path, TEST, layers=True).layers["conv2"].astype(int)
    approximate = asnet_mlir.run(path, TEST, in_one_layer, layers=True).layers["conv2"]
    error = np.abs(approximate - exact)
    print(f"codes of conv2 with {CORES[0]} there: {error.mean():.2f} off, at most {error.max()}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
