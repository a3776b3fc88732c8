# SPDX-License-Identifier: Apache-2.0
"""Functions and modules that come with example arguments, and functions that return such."""

from __future__ import annotations

from typing import Any

from asnet_mlir.errors import InputError, described
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.network import Network
from asnet_mlir.support.named_functions import import_function, is_reference

__all__ = ["call_module_function", "from_model_and_arguments"]


def call_module_function(reference: str) -> Any:
    """Import `module:function` and return what the function, which takes no arguments, returns.

    Raises:
      InputError: the module or function is missing, or raised something.
    """
    if not is_reference(reference):
        raise InputError(f"unknown model '{reference}': name a function as module:function")
    from asnet_mlir import dialects

    # The module may import TensorFlow, after which MLIR could not be loaded.
    dialects.load_first()
    factory = import_function(reference)
    with described(f"{reference}: can't be called"):
        return factory()


def from_model_and_arguments(model: tuple[Any, ...], *, name: str | None = None) -> Network:
    """Make a network of `(fn, example_args)`.

    `fn` is a function of JAX, a `tf.function` or a `torch.nn.Module`.

    Raises:
      InputError: the tuple is something else; see `from_jax_function`,
        `from_tensorflow` and `from_torch`.
    """
    if len(model) != 2 or not callable(model[0]) or not isinstance(model[1], tuple | list):
        must = f"{name}: must return" if name else "give"
        raise InputError(f"{must} (fn, example_args)")
    function, arguments = model
    frameworks = {kind.__module__.partition(".")[0] for kind in type(function).__mro__}
    if "torch" in frameworks:
        from asnet_mlir.frontends.torch import from_torch

        return from_torch(function, arguments, name=name)
    if "tensorflow" in frameworks:
        from asnet_mlir.frontends.tensorflow import from_tensorflow

        return from_tensorflow(function, arguments, name=name)
    return from_jax_function(function, arguments, name=name)
