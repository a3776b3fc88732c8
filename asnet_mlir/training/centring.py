# SPDX-License-Identifier: Apache-2.0
"""Biases that take away what a binding's cores are wrong by on average: where training starts."""

from __future__ import annotations

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.evaluation.weighted_sums import (
    activations,
    as_approx,
    errors_of_sums,
    find_sums,
    product_table,
)
from asnet_mlir.training.approximation import Approximation, Parameters

__all__ = ["centred"]


def centred(function: Approximation, x: np.ndarray) -> Parameters:
    """Return a function's parameters with such biases.

    A core whose error has a mean shifts all sums of a layer, by far more than a few epochs' steps
    bring back.  The means are those on the codes that the exact network has for some samples, codes
    taken for independent; rules for some channels of a layer are left out.

    Args:
      x: the samples, of the network's shape and format.
    """
    network = as_approx(function.network, Binding())
    arrays = {weight.name: weight.value for weight in network.weights}
    found = dict(function.parameters)
    for one in find_sums(network):
        rule = function.binding.rule_for("muli", one.layer, one.operands.name)
        own = found.get(one.weight)
        if rule is None or own is None:
            continue
        table = product_table(rule.instance, one)
        mean, _ = errors_of_sums(
            one, table, activations(network, one, x), one.part(arrays[one.weight])
        )
        if mean.shape == own["bias"].shape:
            bias = -mean / function.bias_unit(one.weight)
            found[one.weight] = {**own, "bias": bias.astype(np.float32)}
    return found
