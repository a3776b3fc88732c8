# SPDX-License-Identifier: Apache-2.0
"""How good a configuration is, computed by XLA on a device that JAX finds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.evaluation import Evaluation
from asnet_mlir.evaluation.evaluate import judges_of, output_figures, prepare_data
from asnet_mlir.evaluation.outcomes import outcome_of
from asnet_mlir.metrics import Metric
from asnet_mlir.training.approximation import Approximation, approximate

__all__ = ["DEVICES", "evaluate_on", "find_device"]

#: By JAX's names of platforms.
DEVICES = {"cpu-xla": "cpu", "gpu": "gpu", "tpu": "tpu"}


def find_device(name: str) -> Any:
    """Return JAX's first device of a name of `DEVICES`.

    Raises:
      InputError: there is no such name, or no such device here.
    """
    if name not in DEVICES:
        raise InputError(f"device '{name}': one of cpu, {', '.join(DEVICES)}")
    try:
        return jax.devices(DEVICES[name])[0]
    except RuntimeError:
        found = sorted({device.platform for device in jax.devices()})
        raise InputError(
            f"device '{name}': JAX {jax.__version__} finds none here, only {', '.join(found)}; "
            "it takes jaxlib's plugin for it (jax[cuda13], jax[tpu])"
        ) from None


def evaluate_on(
    device: str,
    model: Any,
    data: Any,
    binding: Any = None,
    *,
    metric: str | Metric | Sequence[str | Metric] | None = None,
    batch: int = 256,
) -> Evaluation:
    """Measure how good `model` under `binding` is on `data`, like `evaluate`, by XLA on a device.

    Codes are those of `evaluate`; floats that are computed of them differ in the last bits.

    Args:
      device: of `DEVICES`.
      model, data, binding, metric: see `evaluate`.
      batch: samples at once.

    Raises:
      InputError: see `find_device`, `approximate`, `prepare_data`.
    """
    place = find_device(device)
    function = approximate(model, binding)
    network = function.network
    dataset = prepare_data(data, network)
    judges = judges_of(metric, dataset, network)
    outputs, compiled, seconds = _outputs(function, dataset.x, place, batch)
    exact = outputs
    if function.binding.rules:
        exact, _, _ = _outputs(approximate(network), dataset.x, place, batch)
    judges = [judge.resolved(exact) for judge in judges]
    judge = judges[0]
    return Evaluation(
        function.binding,
        judge.value(outputs),
        len(dataset),
        seconds,
        compiled,
        judge.metric,
        judge.difference(outputs, exact),
        outcome=outcome_of(judge, outputs),
        outputs=output_figures(judges, outputs, exact),
    )


def _outputs(
    function: Approximation, x: np.ndarray, device: Any, batch: int
) -> tuple[np.ndarray, float, float]:
    """Return outputs, seconds of compilation, and seconds of all samples."""
    size = min(batch, len(x))
    begin = time.perf_counter()
    with jax.default_device(device):
        shape = jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype)
        compiled = jax.jit(function).lower(shape).compile()
        between = time.perf_counter()
        rows = []
        for start in range(0, len(x), size):
            part = x[start : start + size]
            filled = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
            rows.append(np.asarray(compiled(filled))[: len(part)])
    return np.concatenate(rows), between - begin, time.perf_counter() - between
