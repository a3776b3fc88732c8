# SPDX-License-Identifier: Apache-2.0
"""Gates in every multiplication of a network against the exact network under `jax.jit`.

    make bench       (or: python benchmarks/gates_in_networks.py [--threads N] [--repeat R])

The core is a 24 x 24 bit multiplier of 3,054 gates inside the wrapper that makes binary32 of it
(docs/significand.md).  Both sides run on the same data in this process, in turn, with the same
number of threads; compilation is not counted on either side but given.  What is quoted is the
median of the pairwise ratios.

Results: gates_in_networks.json.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import host
from evaluate_against_xla import keras_function

GATES = Path(__file__).parents[1] / "examples" / "cores" / "mul24_gates.v"

#: Networks and data.
CASES = {
    "convolutional_mnist": "mnist:test:2000",
    "convolutional_svhn": "svhn_synthetic:test:1000",
}


def main() -> None:
    options = host.beside_xla(__doc__, CASES, 21).parse_args()
    report = host.restrict(options)
    report["binding"] = f"mulf={GATES.name}"
    report["networks"] = {
        name: measure(name, CASES[name], options) for name in options.network or CASES
    }
    host.save("gates_in_networks", report)


def measure(name: str, data: str, options: Any) -> dict[str, Any]:
    """Return times and ratios of one network."""
    import jax
    import numpy as np

    from asnet_mlir.binding import Binding
    from asnet_mlir.evaluation import CompiledNetwork, Evaluator
    from asnet_mlir.evaluation.evaluate import prepare_data
    from asnet_mlir.frontends import load_model

    network = load_model(name)
    x = prepare_data(data, network).x
    device_x = jax.device_put(x)
    xla = keras_function(name)
    binding = Binding.parse([f"mulf={GATES}"])
    compiled = CompiledNetwork(network)
    begin = time.perf_counter()
    evaluator = Evaluator(compiled, binding, threads=options.threads)
    seconds = time.perf_counter() - begin

    def theirs() -> Any:
        return np.asarray(xla(device_x).block_until_ready())

    def ours() -> Any:
        return evaluator.outputs(x)

    difference = float(np.abs(ours() - theirs()).max())  # and a warm-up
    pairs = []
    for _ in range(options.repeat):
        pair = []
        for run in (theirs, ours):
            begin = time.perf_counter()
            run()
            pair.append(1e3 * (time.perf_counter() - begin))
        pairs.append(pair)
    return {
        "data": data,
        "samples": len(x),
        "compile_seconds": round(seconds, 2),
        "largest_difference_to_exact_outputs": difference,
        "milliseconds": {
            "jax.jit, exact": host.spread([pair[0] for pair in pairs]),
            "gates": host.spread([pair[1] for pair in pairs]),
        },
        "ratio_to_jax": host.spread([pair[1] / pair[0] for pair in pairs]),
    }


if __name__ == "__main__":
    main()
