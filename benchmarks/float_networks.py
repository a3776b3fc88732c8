# SPDX-License-Identifier: Apache-2.0
"""Float networks to measure: of keras.applications, and in JAX what other frameworks have.

No weights are downloaded: they are random, normalizations' too, and change no time.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["NETWORKS", "SAMPLES", "Subject"]

#: Of a batch, where 32 take less time than to begin with them.
SAMPLES = {"LSTM": 4096}


@dataclass(frozen=True)
class Subject:
    """A network as both sides take it.

    Attributes:
      load: gives the network.
      function: the same for `jax.jit`, of one batch.
      shape: of a sample.
    """

    load: Callable[[], Any]
    function: Callable[[Any], Any]
    shape: tuple[int, ...]


def of_keras(make: Callable[[Any], Any]) -> Subject:
    """Return what `make` makes of the module `keras`, with random weights."""
    import keras

    from asnet_mlir.frontends import load_model

    keras.utils.set_random_seed(0)
    model = make(keras)
    rng = np.random.default_rng(0)
    for variable in model.weights:
        role = variable.path.rpartition("/")[2]
        if role in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif role in ("beta", "moving_mean"):  # else values would shrink to nothing
            variable.assign(rng.uniform(-0.5, 0.5, variable.shape))
    trainable = [variable.value for variable in model.trainable_variables]
    rest = [variable.value for variable in model.non_trainable_variables]
    return Subject(
        lambda: load_model(model),
        lambda x: model.stateless_call(trainable, rest, x, training=False)[0],
        tuple(model.input_shape[1:]),
    )


def application(name: str) -> Callable[[], Subject]:
    """Return what makes a network of `keras.applications`, for 224 x 224 pixels."""
    return lambda: of_keras(lambda keras: getattr(keras.applications, name)(weights=None))


def lstm() -> Subject:
    """Return 32 cells of an LSTM over 28 rows of 28 numbers, and a classifier."""

    def make(keras: Any) -> Any:
        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input((28, 28)),
                layers.LSTM(32),
                layers.Dense(10, activation="softmax"),
            ]
        )

    return of_keras(make)


class _Weights:
    """Random weights, in the order in which a network's function takes them."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self.values: list[np.ndarray] = []

    def add(self, shape: Sequence[int], inputs: int) -> None:
        scale = math.sqrt(2 / inputs)
        self.values.append((self._rng.standard_normal(shape) * scale).astype(np.float32))

    def add_normalization(self, channels: int) -> None:
        self.values.append(self._rng.uniform(0.5, 1.0, channels).astype(np.float32))
        self.values.append(self._rng.uniform(-0.5, 0.5, channels).astype(np.float32))


def of_jax(forward: Callable[..., Any], weights: _Weights, shape: tuple[int, ...]) -> Subject:
    """Return a function of a batch and weights, one by one."""
    from asnet_mlir.frontends import load_model
    from asnet_mlir.frontends.jax import from_jax_function

    def load() -> Any:
        example = np.zeros((1, *shape), np.float32)
        arguments = (example, *weights.values)
        return load_model(from_jax_function(forward, arguments, name=forward.__name__))

    return Subject(load, lambda x: forward(x, *weights.values), shape)


def resnet18() -> Subject:
    """Return torchvision's ResNet18 for inference: NCHW, OIHW, normalizations as two factors."""
    import jax
    from jax import lax

    weights = _Weights()
    widths, blocks = (64, 128, 256, 512), []
    weights.add((64, 3, 7, 7), 147)
    weights.add_normalization(64)
    before = 64
    for width in widths:
        for number in range(2):
            stride = 2 if number == 0 and width > 64 else 1
            blocks.append((stride, before != width))
            for inputs in (before, width):
                weights.add((width, inputs, 3, 3), 9 * inputs)
                weights.add_normalization(width)
            if before != width:
                weights.add((width, before, 1, 1), before)
                weights.add_normalization(width)
            before = width
    weights.add((512, 1000), 512)
    weights.values.append(np.zeros(1000, np.float32))

    def convolution(x: Any, rest: list[Any], stride: int) -> Any:
        kernel, scale, offset = (rest.pop(0) for _ in range(3))
        pad = kernel.shape[2] // 2
        x = lax.conv_general_dilated(x, kernel, (stride, stride), [(pad, pad), (pad, pad)])
        return x * scale[:, None, None] + offset[:, None, None]

    def resnet18_nchw(x: Any, *given: Any) -> Any:
        rest = list(given)
        with jax.named_scope("stem"):
            x = jax.nn.relu(convolution(x, rest, 2))
            pads = [(0, 0), (0, 0), (1, 1), (1, 1)]
            x = lax.reduce_window(x, -np.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), pads)
        for number, (stride, projects) in enumerate(blocks):
            with jax.named_scope(f"block{number}/conv1"):
                y = jax.nn.relu(convolution(x, rest, stride))
            with jax.named_scope(f"block{number}/conv2"):
                y = convolution(y, rest, 1)
            if projects:
                with jax.named_scope(f"block{number}/downsample"):
                    x = convolution(x, rest, stride)
            with jax.named_scope(f"block{number}/add"):
                x = jax.nn.relu(x + y)
        with jax.named_scope("head"):
            return x.mean((2, 3)) @ rest.pop(0) + rest.pop(0)

    return of_jax(resnet18_nchw, weights, (3, 224, 224))


def vit(blocks: int = 4, width: int = 192, heads: int = 3) -> Subject:
    """Return a vision transformer (Dosovitskiy et al., 2021) of patches of 16 x 16 pixels."""
    import jax
    import jax.numpy as jnp

    weights, tokens, size = _Weights(), (224 // 16) ** 2, width // heads
    weights.add((16 * 16 * 3, width), 16 * 16 * 3)
    weights.add((tokens, width), width)
    for _ in range(blocks):
        for inputs, outputs in ((width, 3 * width), (width, width)):
            weights.add_normalization(width)
            weights.add((inputs, outputs), 2 * inputs)
        weights.add((width, 4 * width), width)
        weights.add((4 * width, width), 8 * width)
    weights.add((width, 1000), width)

    def normalized(x: Any, scale: Any, offset: Any) -> Any:
        x = x - x.mean(-1, keepdims=True)
        return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6) * scale + offset

    def attention(x: Any, kernel: Any) -> Any:
        parts = (x @ kernel).reshape(x.shape[0], tokens, 3, heads, size).transpose(2, 0, 3, 1, 4)
        query, key, value = parts
        scores = jnp.einsum("bhqd,bhkd->bhqk", query, key) / np.float32(math.sqrt(size))
        mixed = jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores), value)
        return mixed.transpose(0, 2, 1, 3).reshape(x.shape)

    def vision_transformer(x: Any, *given: Any) -> Any:
        take = functools.partial(next, iter(given))
        with jax.named_scope("patches"):
            x = x.reshape(x.shape[0], 14, 16, 14, 16, 3).transpose(0, 1, 3, 2, 4, 5)
            x = x.reshape(x.shape[0], tokens, -1) @ take() + take()
        for number in range(blocks):
            with jax.named_scope(f"block{number}/attention"):
                y = attention(normalized(x, take(), take()), take())
            with jax.named_scope(f"block{number}/mlp"):
                scale, offset, out, up, down = (take() for _ in range(5))
                x = x + y @ out
                x = x + jax.nn.gelu(normalized(x, scale, offset) @ up) @ down
        with jax.named_scope("head"):
            return x.mean(1) @ take()

    return of_jax(vision_transformer, weights, (224, 224, 3))


#: What makes each of them, by name.
NETWORKS: dict[str, Callable[[], Subject]] = {
    "ViT": vit,
    "ResNet18": resnet18,
    **{
        name: application(name)
        for name in ("MobileNetV2", "EfficientNetB0", "DenseNet121", "ResNet50", "NASNetMobile")
    },
    "LSTM": lstm,
}
