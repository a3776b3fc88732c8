"""JAX functions."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.folding import fold_weights
from asnet_mlir.frontends.network import Network, Weight
from asnet_mlir.frontends.stablehlo import as_float32, linalg_from_stablehlo

__all__ = ["from_jax_function", "from_module_function"]


def from_jax_function(
    function: Callable[..., Any],
    example_arguments: Sequence[Any],
    *,
    name: str | None = None,
    weight_names: Sequence[str] | None = None,
) -> Network:
    """Make a network of `function(x, *weights)`.

    Args:
      function: takes the input batch first; what follows are pytrees of float32 weights.  Weights
        that it closes over become constants.
      example_arguments: values of all arguments; the input's first dimension is the batch, its
        values do not matter.
      weight_names: names of the flattened weights; by default their pytree paths.

    Raises:
      InputError: the function can't be traced, or its shapes are not as described.
      UnsupportedError: an argument or the result is not float32.
    """
    import jax

    name = name or str(getattr(function, "__name__", "network"))
    if not example_arguments:
        raise InputError(f"{name}: the example arguments must hold at least the input batch")
    x, *weight_trees = example_arguments
    x_shape, x_dtype = np.shape(x), np.result_type(x)
    if x_dtype != np.float32 or len(x_shape) < 2:
        raise InputError(f"{name}: the input must be float32[batch, ...], got {x_dtype}{x_shape}")
    paths_and_values, structure = jax.tree.flatten_with_path(tuple(weight_trees))
    weights = tuple(
        Weight(
            weight_names[i] if weight_names else "weight" + jax.tree_util.keystr(path),
            as_float32(jax.tree_util.keystr(path), value),
        )
        for i, (path, value) in enumerate(paths_and_values)
    )

    def flat(batch: Any, *leaves: Any) -> Any:
        return function(batch, *jax.tree.unflatten(structure, leaves))

    # Unused arguments stay, so that argument i of @main is always weight i.
    jitted = jax.jit(flat, keep_unused=True)

    def specification(batch: int) -> list[Any]:
        return [
            jax.ShapeDtypeStruct((batch, *x_shape[1:]), np.float32),
            *(jax.ShapeDtypeStruct(w.value.shape, np.float32) for w in weights),
        ]

    try:
        result = jax.eval_shape(flat, *specification(2))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: JAX can't trace it: {str(error).splitlines()[0]}") from None
    if not hasattr(result, "shape") or not result.shape or result.shape[0] != 2:
        raise InputError(f"{name}: must return one array whose first dimension is the batch")
    if result.dtype != np.float32:
        raise UnsupportedError(f"{name}: returns {result.dtype}; only float32 is supported")

    def module(batch: int) -> Any:
        return jitted.lower(*specification(batch)).compiler_ir("stablehlo")

    def reference(batch: np.ndarray) -> np.ndarray:
        return np.asarray(jitted(batch, *(w.value for w in weights)))

    return fold_weights(
        Network(
            name,
            tuple(x_shape[1:]),
            tuple(result.shape[1:]),
            weights,
            stablehlo=lambda batch: str(module(batch)),
            lower=lambda batch: linalg_from_stablehlo(module(batch)),
            reference=reference,
        )
    )


def from_module_function(reference: str) -> Network:
    """Import `module:function` and make a network of what the function returns.

    The function takes no arguments and returns `(fn, example_args)`; see `from_jax_function`.

    Raises:
      InputError: the module or function is missing or returns something else.
    """
    module_name, _, function_name = reference.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), function_name)):
        raise InputError(f"unknown model '{reference}': name a function as module:function")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(f"{reference}: can't import '{module_name}': {error}") from None
    factory = getattr(module, function_name, None)
    if not callable(factory):
        raise InputError(f"{reference}: '{module_name}' has no function '{function_name}'")
    made = factory()
    if not (isinstance(made, tuple) and len(made) == 2 and callable(made[0])):
        raise InputError(f"{reference}: must return (fn, example_args)")
    return from_jax_function(made[0], made[1], name=function_name)
