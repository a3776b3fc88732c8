# SPDX-License-Identifier: Apache-2.0
"""StableHLO modules run by XLA, which is what JAX, Keras on JAX and TensorFlow compile with.

XLA refuses some of what it is given by ending the process (`reduce_window` with negative padding),
so that it runs in a process of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asnet_mlir.errors import ToolError
from asnet_mlir.worker import run_apart

__all__ = ["run_by_xla"]


def run_by_xla(name: str, text: str, arguments: Sequence[np.ndarray]) -> np.ndarray:
    """Return the result of a StableHLO module's `@main`, computed by XLA on the CPU.

    Args:
      name: of the network, for messages.

    Raises:
      ToolError: XLA ended the process, or refused the module.
    """
    return run_apart(_execute, name, text, list(arguments), purpose=f"{name}: running it by XLA")


def _execute(name: str, text: str, arguments: Sequence[np.ndarray]) -> np.ndarray:
    import os

    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    from jax.errors import JaxRuntimeError
    from jax.extend.backend import get_backend

    (device,) = jax.local_devices(backend="cpu")[:1]
    try:
        executable = get_backend("cpu").compile_and_load(text, [device])
        (result,) = executable.execute_sharded(
            [jax.device_put(argument, device) for argument in arguments]
        ).disassemble_into_single_device_arrays()
    except JaxRuntimeError as error:
        detail = " ".join(str(error).split())[:300]
        raise ToolError(f"{name}: XLA can't run it: {detail}") from None
    return np.asarray(result[0])
