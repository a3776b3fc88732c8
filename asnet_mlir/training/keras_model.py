# SPDX-License-Identifier: Apache-2.0
"""A network under a binding as a model of Keras on JAX: `fit`, callbacks and metrics of Keras."""

from __future__ import annotations

from typing import Any

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.frontends.keras import import_keras
from asnet_mlir.network import Network
from asnet_mlir.training.approximation import Approximation

__all__ = ["as_keras", "from_keras"]


def as_keras(function: Approximation) -> Any:
    """Return a `keras.Model` that gives what `function.logits` gives, whose weights are trained.

    Its loss takes logits: `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`.  Of
    several inputs it takes a dictionary by their names, of several outputs it gives one: losses and
    labels are dictionaries, too.

    Raises:
      UnsupportedError: Keras computes with another framework than JAX.
    """
    keras = import_keras()

    base: Any = keras.layers.Layer

    class Approximated(base):
        """The network as one layer."""

        def __init__(self) -> None:
            super().__init__(name="approximated")
            self.function = function
            self.own = {
                name: {
                    key: self.add_weight(
                        shape=np.shape(value),
                        initializer=lambda shape, dtype, v=value: keras.ops.array(v, dtype),
                        name=f"{name}_{key}".replace("/", "_"),
                    )
                    for key, value in parts.items()
                }
                for name, parts in function.parameters.items()
            }

        def call(self, x: Any) -> Any:
            values = {
                name: {key: one.value for key, one in parts.items()}
                for name, parts in self.own.items()
            }
            kinds = {part.name: part.format for part in network.inputs or ()}
            own = (
                {name: keras.ops.cast(x[name], kind.dtype.name) for name, kind in kinds.items()}
                if kinds
                else keras.ops.cast(x, network.input_format.dtype.name)
            )
            return function.logits(own, values)

    network = function.network
    parts = {part.name: part for part in network.inputs or ()}
    inside: Any = {
        name: keras.Input(part.shape, dtype=part.format.dtype.name, name=name)
        for name, part in parts.items()
    }
    if not parts:
        inside = keras.Input(network.input_shape, dtype=network.input_format.dtype.name)
    return keras.Model(inside, Approximated()(inside), name=network.name.replace("/", "_"))


def from_keras(model: Any) -> Network:
    """Return the network of a model that `as_keras` made, with the weights that it has now.

    Raises:
      InputError: it is another model.
    """
    layer = model.layers[-1]
    function = getattr(layer, "function", None)
    if not isinstance(function, Approximation):
        raise InputError(f"{model.name}: was not made by as_keras")
    return function.tuned(
        {
            name: {key: np.asarray(one.value) for key, one in parts.items()}
            for name, parts in layer.own.items()
        }
    )
