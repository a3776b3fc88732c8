# SPDX-License-Identifier: Apache-2.0
"""What `run_artifacts.py` runs: `prepare.py OUTPUT`, artifacts, samples and expected words."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np

import asnet_mlir
from asnet_mlir.data import load_samples
from asnet_mlir.frontends import load_model
from asnet_mlir.training import export_artifact

SAMPLES = 512
NETWORKS = {"convolutional_mnist": "mnist", "resnet8_svhn": "svhn_synthetic"}
#: Exact, and cores whose tables have the rank 1, 5 and 193.
BINDINGS = {
    "exact": [],
    "rank1": ["muli=perforated:N=8,SIGN_MAGNITUDE=8"],
    "rank5": ["muli=mul8s_evolved:M=15"],
    "rank193": ["muli=mul8s_evolved:M=21"],
}
PLATFORMS = ("cpu", "cuda")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    index = []
    for name, data in NETWORKS.items():
        network = asnet_mlir.quantize(name, f"{data}:train", symmetric=True)
        samples = load_samples(f"{data}:test:{SAMPLES}", network.input_format)[0]
        x = samples.shaped(network.input_shape).x
        for key, binding in BINDINGS.items():
            artifact, arrays = f"{name}_{key}.stablehlo", f"{name}_{key}.npz"
            made = export_artifact(
                network, binding, folder / artifact, platforms=PLATFORMS, codes=True
            )
            words = asnet_mlir.run(made.network, x, binding).outputs
            np.savez_compressed(folder / arrays, x=x, words=words)
            label = " ".join(binding) or "exact codes"
            index.append(
                {"network": name, "binding": label, "artifact": artifact, "arrays": arrays}
            )
        floats = load_model(name)
        x = load_samples(f"{data}:test:{SAMPLES}", floats.input_format)[0].x
        artifact, arrays = f"{name}_float.stablehlo", f"{name}_float.npz"
        export_artifact(floats, None, folder / artifact, platforms=PLATFORMS)
        np.savez_compressed(folder / arrays, x=x)
        index.append({"network": name, "binding": "", "artifact": artifact, "arrays": arrays})
    (folder / "index.json").write_text(json.dumps(index, indent=2) + "\n")
    shutil.copy(Path(__file__).with_name("run_artifacts.py"), folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
