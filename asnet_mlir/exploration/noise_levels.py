# SPDX-License-Identifier: Apache-2.0
"""What noise the layers of a network of codes stand, and what the cores of a design space add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from asnet_mlir.binding import is_within, split_channels
from asnet_mlir.cores import Instance
from asnet_mlir.data import Dataset
from asnet_mlir.evaluation.evaluator import CompiledNetwork
from asnet_mlir.evaluation.weighted_sums import (
    WeightedSum,
    activations,
    errors_of_sums,
    find_sums,
    product_table,
)
from asnet_mlir.exploration.space import DesignSpace
from asnet_mlir.network import ApproxTexts

__all__ = ["LayerNoise", "error_of_sums"]

#: Samples whose codes are counted.
_SAMPLES = 64


class LayerNoise:
    """A network's `NoiseModel` (`exploration.strategies.task`)."""

    def __init__(self, compiled: CompiledNetwork, data: Dataset, space: DesignSpace) -> None:
        """Take a network; nothing is computed before it is asked for."""
        network = compiled.network
        texts = {network.fixed_batch or 1: compiled.lowered}
        self._network = network
        self._plain = replace(
            network, lowering=ApproxTexts(network.name, texts), binding=None, unfolded=None
        )
        self._data, self._space = data, space

    @cached_property
    def _sums(self) -> list[list[WeightedSum]]:
        """By variable those of its layers."""
        found = find_sums(self._plain)
        return [
            [one for one in found if variable.op == "muli" and is_within(one.layer, variable.layer)]
            for variable in self._space.variables
        ]

    @cached_property
    def errors(self) -> list[np.ndarray]:
        """See `NoiseModel`."""
        arrays = {weight.name: weight.value for weight in self._plain.weights}
        x = self._data.x[:_SAMPLES]
        tables: dict[tuple[str, str, bool], np.ndarray] = {}
        codes: dict[int, np.ndarray] = {}

        def error(one: WeightedSum, instance: Instance | None) -> float:
            if instance is None or not instance.computes_on(one.operands.name):
                return 0.0
            key = instance.content_hash, one.operands.name, one.is_swapped
            if key not in tables:
                tables[key] = product_table(instance, one)
            if one.position not in codes:
                codes[one.position] = activations(self._plain, one, x)
            weights = one.part(arrays[one.weight])
            return error_of_sums(one, tables[key], codes[one.position], weights)

        return [
            np.array(
                [[error(one, choice) for one in sums] for choice in variable.choices], np.float64
            )
            for variable, sums in zip(self._space.variables, self._sums, strict=True)
        ]

    def levels(self, shares: Sequence[float], seed: int) -> Iterator[list[np.ndarray]]:
        """See `NoiseModel`.  A layer whose choices have no errors stands anything."""
        from asnet_mlir.training.approximation import approximate
        from asnet_mlir.training.tolerance import tolerated_noise

        layers = [[split_channels(one.layer)[0] for one in sums] for sums in self._sums]
        ranges = _ranges(layers, self.errors)
        saved = _shares(layers, self._counts, ranges, shares)
        function = approximate(self._network)
        for found in tolerated_noise(function, self._data, ranges, saved, seed=seed):
            yield [np.array([found.get(name, np.inf) for name in own]) for own in layers]

    @cached_property
    def _counts(self) -> dict[str, int]:
        """By layer, channels together, its products of a sample."""
        counts: dict[str, int] = {}
        for layer in self._space.layers:
            name = split_channels(layer.name)[0]
            counts[name] = counts.get(name, 0) + layer.ops.get("muli", 0)
        return counts


def _ranges(
    layers: Sequence[Sequence[str]], errors: Sequence[np.ndarray]
) -> dict[str, tuple[float, float]]:
    """Return by layer a level below its least error that is not 0, and one above its greatest."""
    found: dict[str, list[float]] = {}
    for names, own in zip(layers, errors, strict=True):
        for place, name in enumerate(names):
            found.setdefault(name, []).extend(one for one in own[:, place].tolist() if one > 0)
    return {name: (min(own) / 2, 2 * max(own)) for name, own in found.items() if own}


def _shares(
    layers: Sequence[Sequence[str]],
    counts: Mapping[str, int],
    ranges: Mapping[str, object],
    shares: Sequence[float],
) -> dict[str, float]:
    """Return by layer its part of what variables save, by its products."""
    found = dict.fromkeys(ranges, 0.0)
    for names, share in zip(layers, shares, strict=True):
        own = {name: counts.get(name, 1) for name in names}
        for name, count in own.items():
            if name in found:
                found[name] += share * count / sum(own.values())
    return found


def error_of_sums(
    one: WeightedSum, table: np.ndarray, codes: np.ndarray, weights: np.ndarray
) -> float:
    """Return the root mean square of a core's error in sums, codes taken for independent.

    Args:
      table: what the core gives (`product_table`).
      codes: that the sums read, of some samples.
      weights: that they multiply.
    """
    mean, variance = errors_of_sums(one, table, codes, weights)
    return float(np.sqrt((variance + mean**2).mean()))
