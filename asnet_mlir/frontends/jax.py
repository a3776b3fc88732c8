# SPDX-License-Identifier: Apache-2.0
"""JAX functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, described
from asnet_mlir.frontends.folding import fold_weights
from asnet_mlir.frontends.module import LoweredModule, Traced, check_samples, lower_module
from asnet_mlir.frontends.weights import as_weight, network_format, unique_name
from asnet_mlir.network import Network

__all__ = ["from_jax_function"]


def from_jax_function(
    function: Callable[..., Any],
    example_arguments: Sequence[Any],
    *,
    name: str | None = None,
    weight_names: Sequence[str] | None = None,
    fixed_batch: int | None = None,
) -> Network:
    """Make a network of `function(x, *weights)`.

    Args:
      function: takes the input batch first; what follows are pytrees of weights, of any format.
        Arrays that it closes over become weights as well, named by the scope that uses them.
      example_arguments: values of all arguments; the input's first dimension is the batch, its
        values do not matter.
      weight_names: names of the flattened weights; by default their pytree paths.
      fixed_batch: the only batch size that the function takes, or None where it takes any.

    Raises:
      InputError: the function can't be traced, or its shapes are not as described.
      UnsupportedError: an argument or the result is of no format, or samples are mixed.
    """
    import jax

    name = name or str(getattr(function, "__name__", "network"))
    if not example_arguments:
        raise InputError(f"{name}: the example arguments must hold at least the input batch")
    x, *weight_trees = example_arguments
    x_shape, x_dtype = np.shape(x), jax.numpy.result_type(x)
    if len(x_shape) < 2:
        raise InputError(f"{name}: the input must be an array [batch, ...], got {x_dtype}{x_shape}")
    input_format = network_format(f"{name}: the input", x_dtype)
    paths_and_values, structure = jax.tree.flatten_with_path(tuple(weight_trees))
    names, taken = [], set[str]()
    for index, (path, _) in enumerate(paths_and_values):
        own = weight_names[index] if weight_names else "weight" + jax.tree_util.keystr(path)
        names.append(unique_name(own, taken))
    arguments = tuple(
        as_weight(own, value) for own, (_, value) in zip(names, paths_and_values, strict=True)
    )

    def flat(batch: Any, *leaves: Any) -> Any:
        return function(batch, *jax.tree.unflatten(structure, leaves))

    # Unused arguments stay, so that argument i of @main is always weight i.
    jitted = jax.jit(flat, keep_unused=True)

    def specification(batch: int) -> list[Any]:
        return [
            jax.ShapeDtypeStruct((batch, *x_shape[1:]), x_dtype),
            *(jax.ShapeDtypeStruct(w.value.shape, w.value.dtype) for w in arguments),
        ]

    with described(f"{name}: JAX can't trace it"):
        result = jax.eval_shape(flat, *specification(fixed_batch or 2))
    if not hasattr(result, "shape") or result.shape[:1] != (fixed_batch or 2,):
        raise InputError(f"{name}: must return one array whose first dimension is the batch")
    output_format = network_format(f"{name}: the output", result.dtype)

    def module(batch: int) -> Any:
        with described(f"{name}: JAX can't trace it"):
            return jitted.lower(*specification(batch)).compiler_ir("stablehlo")

    # Traced once here: what the function closes over is known afterwards.
    smallest = fixed_batch or 1
    first = lower_module(module(smallest), arguments)

    def again(batch: int) -> LoweredModule:
        return lower_module(module(batch), arguments, known=first.constants)

    @functools.cache
    def lowered(batch: int) -> LoweredModule:
        return first if batch == smallest else again(batch)

    def reference(batch: np.ndarray) -> np.ndarray:
        return np.asarray(jitted(batch, *(w.value for w in arguments)))

    if fixed_batch is None:
        check_samples(name, first, again)
    else:
        first.analyze(name)
    return fold_weights(
        Network(
            name,
            tuple(x_shape[1:]),
            tuple(result.shape[1:]),
            (*arguments, *first.constants),
            Traced(name, lowered, compute=reference, fixed_batch=fixed_batch),
            input_format=input_format,
            output_format=output_format,
        )
    )
