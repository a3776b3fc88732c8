# SPDX-License-Identifier: Apache-2.0
"""Small networks of every kind of layer that an engine computes, with seeded weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.hardware import comparison
from asnet_mlir.network import Network
from asnet_mlir.support.cache import content_hash

_words: dict[str, np.ndarray] = {}


def software_outputs(bundle: Path, x: np.ndarray) -> np.ndarray:
    """Return what the software of a bundle computes, which is compiled once for all simulations."""
    files = [(bundle / name).read_bytes() for name in ("network.mlir", "models.mlir")]
    key = content_hash(*files, (bundle / "weights.npz").read_bytes(), str(x.shape), x.tobytes())
    if key not in _words:
        _words[key] = comparison.software_outputs(bundle, x)
        _words[key].setflags(write=False)
    return _words[key]


def weights(seed: int, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: (rng.standard_normal(shape) / max(1, np.prod(shape[:-1]) ** 0.5)).astype(np.float32)
        for name, shape in shapes.items()
    }


def conv(x: Any, kernel: Any, **options: Any) -> Any:
    from jax import lax

    options = {"window_strides": (1, 1), "padding": "VALID", **options}
    return lax.conv_general_dilated(
        x, kernel, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options
    )


def network(
    function: Callable[[Any, dict[str, Any]], Any],
    shape: tuple[int, ...],
    parameters: dict[str, np.ndarray],
    name: str,
) -> Network:
    return from_jax_function(function, (np.zeros((1, *shape), np.float32), parameters), name=name)


def residual() -> Network:
    """Strides, padding, groups, dilation, a way around two layers, and three kinds of pooling."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    p = weights(
        1, k1=(3, 2, 2, 6), b1=(6,), k2=(3, 3, 1, 6), b2=(6,), k3=(1, 1, 3, 8), w=(8, 5), b=(5,)
    )

    def f(x: Any, p: dict[str, Any]) -> Any:
        with jax.named_scope("conv"):
            a = conv(x, p["k1"], window_strides=(2, 1), padding="SAME") + p["b1"]
            a = jax.nn.relu(a)
        with jax.named_scope("depthwise"):
            b = (
                conv(a, p["k2"], padding="SAME", feature_group_count=6, rhs_dilation=(2, 1))
                + p["b2"]
            )
        with jax.named_scope("average"):
            c = lax.reduce_window(b, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME") / 9.0
        with jax.named_scope("add"):
            d = jax.nn.relu(a + c)
        with jax.named_scope("grouped"):
            e = conv(d, p["k3"], feature_group_count=2)
        with jax.named_scope("maximum"):
            e = lax.reduce_window(e, -jnp.inf, lax.max, (1, 2, 3, 1), (1, 2, 2, 1), "VALID")
        with jax.named_scope("global"):
            g = jnp.sum(e, axis=(1, 2)) * 0.25
        with jax.named_scope("dense"):
            return g @ p["w"] + p["b"]

    return network(f, (7, 6, 2), p, "residual")


def branches() -> Network:
    """Channels first; values with two readers, one through a reshape; a machine with two inputs."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    p = weights(4, k1=(3, 2, 3, 3), k2=(3, 2, 1, 1), w=(18, 4), s=(3,))

    def conv_nchw(x: Any, kernel: Any) -> Any:
        numbers = ("NCHW", "OIHW", "NCHW")
        return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=numbers)

    def f(x: Any, p: dict[str, Any]) -> Any:
        with jax.named_scope("left"):
            a = conv_nchw(x, p["k1"])
        with jax.named_scope("maximum"):
            b = lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 3, 3), (1, 1, 1, 1), "VALID")
        with jax.named_scope("right"):
            c = conv_nchw(b, p["k2"])
        with jax.named_scope("gate"):
            d = jnp.exp(c) * a
        with jax.named_scope("flatten"):
            e = d.reshape(x.shape[0], -1)
        with jax.named_scope("dense"):
            y = e @ p["w"]
        with jax.named_scope("sums"):
            s = jnp.sum(d, axis=(1, 2, 3))
        with jax.named_scope("last"):
            return y + s[:, None]

    return network(f, (2, 5, 4), p, "branches")


def dense(backwards: bool = False) -> Network:
    """A sum of 24 products, from the first to the last or from the last to the first."""
    import jax.numpy as jnp

    p = weights(2, w=(24, 6), b=(6,))
    if backwards:
        p["w"] = p["w"][::-1].copy()

    def f(x: Any, p: dict[str, Any]) -> Any:
        return (jnp.flip(x, 1) if backwards else x) @ p["w"] + p["b"]

    return network(f, (24,), p, "order")


def long_sums() -> Network:
    """Weights and buffers deep enough to be made of several memories."""
    import jax.numpy as jnp

    p = weights(5, w=(1100, 2), b=(2,))

    def f(x: Any, p: dict[str, Any]) -> Any:
        return jnp.maximum(x @ p["w"] + p["b"], 0)

    return network(f, (1100,), p, "long_sums")
