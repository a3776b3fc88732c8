# SPDX-License-Identifier: Apache-2.0
"""One evaluation of a whole test set under an approximate multiplier against exact `jax.jit`.

    make bench       (or: python benchmarks/evaluate_against_xla.py [--threads N] [--repeat R])

Both run the same network on the same data in this process, in turn, with the same number of
threads; compilation is not counted on either side.  What is quoted is the median of the pairwise
ratios; the spread of either side tells how noisy the machine was.

Results: evaluate_against_xla.json.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from typing import Any

import host

#: The paper's networks and test sets.
CASES = {
    "classification_mnist": "mnist:test",
    "convolutional_mnist": "mnist:test",
    "convolutional_svhn": "svhn_synthetic:test:3000",
}


def main() -> None:
    parser = host.beside_xla(__doc__, CASES, 41)
    parser.add_argument("--bind", default="mulf=fmul_trunc:P=12")
    options = parser.parse_args()
    report = host.restrict(options) | {"binding": options.bind}
    report["networks"] = {
        name: measure(name, CASES[name], options) for name in options.network or CASES
    }
    host.save("evaluate_against_xla", report)


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
    xla = keras_function(name)
    device_x = jax.device_put(x)
    compiled = CompiledNetwork(network)
    runs: dict[str, Callable[[], Any]] = {
        "jax.jit": lambda: np.asarray(xla(device_x).block_until_ready())
    }
    for label, binding in (
        ("exact", Binding()),
        ("approximate", Binding.parse([options.bind])),
    ):
        evaluator = Evaluator(compiled, binding, threads=options.threads)
        runs[label] = functools.partial(evaluator.outputs, x)
    exact, theirs = runs["exact"](), runs["jax.jit"]()
    times: dict[str, list[float]] = {label: [] for label in runs}
    for run in runs.values():
        run()  # warm-up
    for _ in range(options.repeat):
        for label, run in runs.items():
            begin = time.perf_counter()
            run()
            times[label].append(1e3 * (time.perf_counter() - begin))
    return {
        "data": data,
        "samples": len(x),
        "largest_difference_of_exact_outputs": float(np.abs(exact - theirs).max()),
        "equal_argmax": float(np.mean(exact.argmax(1) == theirs.argmax(1))),
        "rows": {
            label: {
                "milliseconds": host.spread(values),
                "ratio_to_jax": host.spread(
                    [a / b for a, b in zip(values, times["jax.jit"], strict=True)]
                ),
            }
            for label, values in times.items()
        },
    }


def keras_function(name: str) -> Any:
    """Return the Keras model of a built-in name as a jitted function with its weights inside."""
    os.environ["KERAS_BACKEND"] = "jax"
    import jax
    import keras

    from asnet_mlir.frontends.load import builtin_models

    model = keras.saving.load_model(builtin_models()[name], compile=False)
    trainable = [variable.value for variable in model.trainable_variables]
    rest = [variable.value for variable in model.non_trainable_variables]
    return jax.jit(lambda x: model.stateless_call(trainable, rest, x, training=False)[0])


if __name__ == "__main__":
    main()
