# SPDX-License-Identifier: Apache-2.0
"""How much noise the sums of a network's layers stand, learnt by gradients.

E. Trommer, B. Waschneck, A. Kumar, Combining Gradients and Probabilities for Heterogeneous
Approximation of Neural Networks (AGN), ICCAD 2022: Gaussian noise is added to the sums of every
layer, and its levels are trained with the loss of the task, which wants them small, and a second
one, which wants them large where much is to be saved.  Their weight against each other leads along
a front.

Here weights stay as they are, and the second loss goes by the logarithm of a level: what an
approximate multiplier saves grows about with the logarithm of its error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asnet_mlir.data import Dataset
from asnet_mlir.training.approximation import Approximation, Noise
from asnet_mlir.training.losses import are_classes, cross_entropy

__all__ = ["WEIGHTS", "tolerated_noise"]

#: Of the second loss, in the order in which they are learnt: from little noise to much.
WEIGHTS = tuple(2.0**step for step in range(-8, 8))
#: Steps at each weight; more at the first, where levels come from far.
_STEPS, _FIRST = 8, 24
_BATCH, _RATE = 32, 0.2


def tolerated_noise(
    function: Approximation,
    data: Dataset,
    ranges: Mapping[str, tuple[float, float]],
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    weights: Sequence[float] = WEIGHTS,
) -> Iterator[dict[str, float]]:
    """Yield for each weight of the second loss the noise levels of layers, learnt one on the other.

    Args:
      function: of the network; its own cores compute the products.
      data: batches are drawn of it.  Where its labels are classes, the first loss is their cross
        entropy, else the mean square of how far outputs are from those without noise, over their
        variance; of several outputs it is the sum of theirs.
      ranges: by layer (`Approximation.layers`), the least and the greatest level, standard
        deviations in units of the layer's sums.
      shares: by layer how much of all that can be saved is to be saved there; they sum to 1.
      seed: of batches and of the noise.
    """
    import optax

    layers = list(ranges)
    low, high = (jnp.log(jnp.array([ranges[one][end] for one in layers])) for end in (0, 1))
    own = jnp.array([shares[one] for one in layers], jnp.float32)
    task = _Task(function, data)

    def loss(logs: Any, weight: Any, x: Any, target: Any, key: Any) -> Any:
        levels = {one: jnp.exp(logs[place]) for place, one in enumerate(layers)}
        _, outputs = function.reals(x, logits=function.output_names, noise=Noise(levels, key))
        return task.loss(outputs, target) - weight * (own * logs).sum()

    optimizer = optax.adam(_RATE)

    @jax.jit
    def step(logs: Any, state: Any, weight: Any, x: Any, target: Any, key: Any) -> Any:
        slope = jax.grad(loss)(logs, weight, x, target, key)
        updates, state = optimizer.update(slope, state)
        return jnp.clip(optax.apply_updates(logs, updates), low, high), state

    random = np.random.default_rng(seed)
    key = jax.random.key(seed)
    logs, state = low, optimizer.init(low)
    for number, weight in enumerate(weights):
        for _ in range(_STEPS if number else _FIRST):
            chosen = random.integers(len(data.x), size=_BATCH)
            key, drawn = jax.random.split(key)
            x, target = data.x[chosen], task.target(chosen)
            logs, state = step(logs, state, np.float32(weight), x, target, drawn)
        yield dict(zip(layers, np.exp(np.asarray(logs, np.float64)).tolist(), strict=True))


class _Task:
    """What a network is for: the first loss, of several outputs the sum of theirs."""

    def __init__(self, function: Approximation, data: Dataset) -> None:
        self._data = data
        self._exact = jax.jit(lambda x: function.reals(x, logits=function.output_names)[1])
        outputs = {name: np.asarray(one) for name, one in self._exact(data.x[:_BATCH]).items()}
        self._variances = {name: float(one.var()) or 1.0 for name, one in outputs.items()}
        self._classes = {
            name: y
            for name, y in _targets(data, function.output_names).items()
            if are_classes(y) and outputs[name].ndim == 2 and int(y.max()) < outputs[name].shape[1]
        }

    def target(self, chosen: np.ndarray) -> dict[str, Any]:
        """Return what the outputs of samples should be."""
        known = {name: y[chosen] for name, y in self._classes.items()}
        if len(known) == len(self._variances):
            return known
        return {**self._exact(self._data.x[chosen]), **known}

    def loss(self, outputs: Mapping[str, Any], target: Mapping[str, Any]) -> Any:
        losses = [
            cross_entropy(own, target[name])
            if name in self._classes
            else jnp.square(own - target[name]).mean() / self._variances[name]
            for name, own in outputs.items()
        ]
        return sum(losses[1:], start=losses[0])


def _targets(data: Dataset, outputs: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the labels of the outputs that have any."""
    if data.y is None:
        return {}
    if data.y.dtype.names is None:
        return {outputs[0]: data.y} if len(outputs) == 1 else {}
    return {name: data.y[name] for name in data.y.dtype.names if name in outputs}
