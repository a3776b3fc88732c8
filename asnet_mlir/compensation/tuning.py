# SPDX-License-Identifier: Apache-2.0
"""Weight tuning: weights whose approximate products are nearest to the exact ones.

V. Mrazek, Z. Vasicek, L. Sekanina, M. A. Hanif, M. Shafique, ALWANN: Automatic Layer-Wise
Approximation of Deep Neural Network Accelerators without Retraining, ICCAD 2019: each weight w of a
layer is replaced by the code w' for which the core's products with w' are the nearest to the exact
products with w.  Nearest is here the least mean square of the difference over the codes that the
layer meets, or over all of them; zero points, biases and scales stay those of w.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.cores import Instance, ensure_checked
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.evaluation.weighted_sums import (
    WeightedSum,
    activations,
    as_approx,
    find_sums,
    histogram,
    product_table,
)
from asnet_mlir.frontends import load_model
from asnet_mlir.network import Network
from asnet_mlir.support.cache import content_hash
from asnet_mlir.worker import in_mlir_process

__all__ = ["TunedLayer", "Tuning", "WeightTuner", "nearest_codes", "prepared", "tune_weights"]

#: Samples that the distribution of codes is taken of.
DEFAULT_SAMPLES = 256


@dataclass(frozen=True)
class TunedLayer:
    """What became of a layer's weights.

    Attributes:
      core: the label of the instance.
      weights, changed: how many there are, and how many have another code.
      error_before, error_after: root mean square of product minus exact product of the weights as
        they were, over weights and codes.
    """

    layer: str
    core: str
    weights: int
    changed: int
    error_before: float
    error_after: float


@dataclass(frozen=True)
class Tuning:
    """A network with tuned weights, of the form `approx`, and what was done."""

    network: Network
    layers: tuple[TunedLayer, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the layers as JSON values."""
        return [dict(vars(layer)) for layer in self.layers]


@in_mlir_process(load=load_model)
def tune_weights(
    model: Any, binding: Any, data: Any = None, *, samples: int = DEFAULT_SAMPLES
) -> Tuning:
    """Replace weights of the layers whose products a binding gives a core.

    Args:
      model: whatever `load_model` takes, on integer codes.
      binding: whatever `Binding.of` takes.
      data: whatever `load_data` takes: the codes of its first samples are weighed as often as they
        occur, layer by layer, in the exact network; without, all codes alike.
      samples: of the data.

    Raises:
      InputError: the binding has no core for products of codes and weights in the network.
      UnsupportedError: see `find_sums` and `product_table`.
    """
    network, bound, x = prepared(model, binding, data, samples)
    arrays, layers = WeightTuner(network, x).tuned(bound)
    if not layers:
        raise InputError(
            f"{network.name}: binds no core to products of codes and weights ('{bound.label}'); "
            "there is nothing to tune"
        )
    weights = tuple(replace(w, value=arrays.get(w.name, w.value)) for w in network.weights)
    return Tuning(replace(network, weights=weights), layers)


def prepared(
    model: Any, binding: Any, data: Any, samples: int
) -> tuple[Network, Binding, np.ndarray | None]:
    """Return a network of the form `approx`, what it is bound to, checked, and its first samples.

    Args:
      model, binding, data, samples: see `tune_weights`.
    """
    network = load_model(model)
    bound: Binding = network.complete(binding)
    ensure_checked(bound.instances.values())
    x = None if data is None else prepare_data(data, network).x[:samples]
    return replace(as_approx(network, bound), binding=None), bound, x


class WeightTuner:
    """Tunes the weights of a network for one binding after the other.

    What was found for a core in a layer is kept: searches bind the same ones again and again.

    Attributes:
      key: hash of what decides tuned weights besides the network and the binding.
    """

    def __init__(self, network: Network, x: np.ndarray | None) -> None:
        """Take a network in the approx dialect, and samples whose codes count; None: all alike."""
        self._weights = {weight.name: weight.value for weight in network.weights}
        self._sums = [
            (one, None if x is None else activations(network, one, x)) for one in find_sums(network)
        ]
        self._found: dict[tuple[int, str], tuple[np.ndarray, TunedLayer]] = {}
        self.key = content_hash("tuned weights 1", "" if x is None else x.tobytes())

    def tuned(self, binding: Binding) -> tuple[dict[str, np.ndarray], tuple[TunedLayer, ...]]:
        """Return the arrays that change, by name, and what was done in each layer.

        Args:
          binding: complete (`Network.complete`); its cores are checked.

        Raises:
          UnsupportedError: see `product_table`.
        """
        arrays: dict[str, np.ndarray] = {}
        layers = []
        for one, codes in self._sums:
            rule = binding.rule_for("muli", one.layer, one.operands.name)
            if rule is None:
                continue
            key = one.position, rule.instance.content_hash
            if key not in self._found:
                part = one.part(self._weights[one.weight])
                self._found[key] = _tuned(one, rule.instance, part, codes)
            found, layer = self._found[key]
            array = arrays.setdefault(one.weight, self._weights[one.weight].copy())
            one.part(array)[...] = found
            layers.append(layer)
        return arrays, tuple(layers)


def _tuned(
    one: WeightedSum, instance: Instance, part: np.ndarray, codes: np.ndarray | None
) -> tuple[np.ndarray, TunedLayer]:
    """Return the weights of a sum for a core, and what they gain."""
    low, high = (int(end) for end in one.operands.range)
    shares = np.zeros(high - low + 1)
    begin, end = (int(edge) for edge in one.codes.range)
    shares[begin - low : end - low + 1] = (
        1 / (end - begin + 1) if codes is None else histogram(codes, one.codes)
    )
    before = part.astype(np.int64)
    own = np.unique(before)
    table = product_table(instance, one)
    errors, chosen = nearest_codes(table, shares, low, own, (int(own[0]), int(own[-1])))
    place = np.searchsorted(own, before)
    after = chosen[place]
    old, new = (float(np.sqrt(error[place].mean())) for error in errors)
    changed = int((after != before).sum())
    layer = TunedLayer(one.layer, instance.label, before.size, changed, old, new)
    return after.astype(part.dtype), layer


def nearest_codes(
    table: np.ndarray, shares: np.ndarray, low: int, weights: np.ndarray, allowed: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each weight the code whose products are nearest to the weight's exact ones.

    Args:
      table: products [codes, weights] of all numbers from `low` on.
      shares: how often each code occurs, float64[codes].
      weights: int64[n].
      allowed: the least and the greatest code that may be chosen.

    Returns:
      Mean squares of the differences, float64[2, n]: for the weights themselves, for what was
      chosen.  The codes, int64[n]; the weight itself where no other one is nearer.
    """
    x = np.arange(len(shares), dtype=np.float64) + low
    columns = np.arange(allowed[0], allowed[1] + 1)
    products = table[:, columns - low].astype(np.float64)
    # The mean square of T(x, v) - x w is E[T^2] - 2 w E[x T] + w^2 E[x^2].
    squares, mixed = shares @ products**2, (shares * x) @ products
    power = float(shares @ x**2)
    w = weights[:, None].astype(np.float64)
    distances = np.maximum(squares - 2 * w * mixed + w**2 * power, 0)
    rows, own = np.arange(len(weights)), weights - allowed[0]
    best = distances.argmin(axis=1)
    best = np.where(distances[rows, best] < distances[rows, own], best, own)
    return np.stack([distances[rows, own], distances[rows, best]]), columns[best]
