# SPDX-License-Identifier: Apache-2.0
"""StableHLO modules run by XLA, which is what JAX, Keras on JAX and TensorFlow compile with.

XLA refuses some of what it is given by ending the process (`reduce_window` with negative padding),
so that it runs in a process of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from asnet_mlir.errors import ToolError
from asnet_mlir.worker import run_apart

__all__ = ["run_by_xla", "run_samples_by_xla"]


def run_by_xla(name: str, text: str, arguments: Sequence[np.ndarray]) -> np.ndarray:
    """Return the result of a StableHLO module's `@main`, computed by XLA on the CPU.

    Args:
      name: of the network, for messages.

    Raises:
      ToolError: XLA ended the process, or refused the module.
    """
    purpose = f"{name}: running it by XLA"
    (result,) = run_apart(_execute, name, text, None, list(arguments), purpose=purpose)
    return result[0]


def run_samples_by_xla(
    name: str, text: str, x: np.ndarray, arguments: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Return what a module with any number of results gives for batches, one after the other.

    Args:
      name: of the network, for messages.
      x: [n, ...], a batch a row: what `@main` takes first.
      arguments: the others.

    Returns:
      For each result of `@main`, [n, ...], a batch a row.

    Raises:
      ToolError: see `run_by_xla`.
    """
    purpose = f"{name}: running it by XLA"
    return run_apart(_execute, name, text, x, list(arguments), purpose=purpose)


def _execute(
    name: str, text: str, x: np.ndarray | None, arguments: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Return each result, a batch a row; without x, for the arguments alone."""
    import os

    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    from jax.errors import JaxRuntimeError

    (device,) = jax.local_devices(backend="cpu")[:1]
    try:
        executable = _executable(text)
        fixed = [jax.device_put(argument, device) for argument in arguments]
        calls = [fixed] if x is None else ([jax.device_put(row, device), *fixed] for row in x)
        rows = []
        for call in calls:
            results = executable.execute_sharded(call).disassemble_into_single_device_arrays()
            rows.append([np.asarray(result[0]) for result in results])
    except JaxRuntimeError as error:
        detail = " ".join(str(error).split())[:300]
        raise ToolError(f"{name}: XLA can't run it: {detail}") from None
    return [np.stack(column) for column in zip(*rows, strict=True)]


@functools.lru_cache(maxsize=4)
def _executable(text: str) -> Any:
    import jax
    from jax.extend.backend import get_backend

    return get_backend("cpu").compile_and_load(text, jax.local_devices(backend="cpu")[:1])
