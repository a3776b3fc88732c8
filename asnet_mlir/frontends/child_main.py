# SPDX-License-Identifier: Apache-2.0
"""A model file read in a process of its framework: TensorFlow's, or Keras on JAX.

    python -m asnet_mlir.frontends.child_main KIND PATH BATCH FOLDER

writes into FOLDER what `asnet_mlir.frontends.cached` packs of the network, and its texts for BATCH.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from asnet_mlir.errors import AsnetError
from asnet_mlir.frontends.cached import pack
from asnet_mlir.frontends.child import FAILED
from asnet_mlir.frontends.keras_file import from_keras_file
from asnet_mlir.frontends.saved_model import load_saved_model
from asnet_mlir.network import Network


def main(arguments: Sequence[str]) -> int:
    """Read one model and write it; return the exit status."""
    kind, path, batch, folder = arguments[0], Path(arguments[1]), int(arguments[2]), arguments[3]
    # Frameworks print; what is printed must not stand among the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        network = _load(kind, path)
        if network.fixed_batch is not None:
            batch = network.fixed_batch
        (Path(folder) / "stablehlo").write_text(network.stablehlo(batch))
        (Path(folder) / "linalg").write_text(network.lower(batch))
        (Path(folder) / "network").write_bytes(pack(network))
    except AsnetError as error:
        print(json.dumps({"kind": type(error).__name__, "message": str(error)}), file=answers)
        answers.flush()
        return FAILED
    return 0


def _load(kind: str, path: Path) -> Network:
    if kind == "saved_model":
        return load_saved_model(path)
    return from_keras_file(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
