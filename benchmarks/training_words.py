# SPDX-License-Identifier: Apache-2.0
"""Whether a network's words are the same in JAX, in the evaluator, and in simulated hardware."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import asnet_mlir as asnet
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.network import Network
from asnet_mlir.training import approximate
from asnet_mlir.training.ending import ending_in_codes

#: By the rank of their tables.
CORES = {
    1: "perforated:N=8,SIGN_MAGNITUDE=8",
    5: "mul8s_evolved:M=15",
    193: "mul8s_evolved:M=21",
}
IMAGES, SIMULATED = 200, 4
#: Terms of a sum that the hardware computes at once.
TERMS = "16"


def words(done: list[dict[str, Any]], network: Network, keep: Callable[[], None]) -> None:
    """Compare what the results lack.

    Raises:
      SystemExit: words differ.
    """
    codes = ending_in_codes(network)
    x = prepare_data(f"svhn_synthetic:test:{IMAGES}", codes).x
    for rank, core in CORES.items():
        if any(one["core"] == core for one in done):
            continue
        done.append({"network": network.name, "core": core, "rank": rank} | compare(codes, core, x))
        keep()
        print(done[-1], flush=True)
    if wrong := [one for one in done if one["JAX differs"] or one["hardware differs"]]:
        raise SystemExit(f"words differ: {wrong}")


def compare(network: Network, core: str, x: np.ndarray) -> dict[str, Any]:
    """Return how many words there are, and how many differ from the evaluator's."""
    binding = f"muli={core}"
    wanted = asnet.run(network, x, binding).outputs
    found = np.asarray(jax.jit(approximate(network, binding))(x))
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        asnet.generate(network, binding, output=bundle, lanes=[TERMS])
        few = x[:SIMULATED]
        simulated = asnet.simulate(bundle, (few, np.zeros(len(few), int)))
    return {
        "words": wanted.size,
        "JAX differs": int((found != wanted).sum()),
        "simulated words": wanted[:SIMULATED].size,
        "hardware differs": simulated.mismatches + simulated.vector_mismatches,
        "cycles": simulated.cycles_per_sample,
    }
