# SPDX-License-Identifier: Apache-2.0
"""Integers of 8 bits in hardware on floats: what comes in, arithmetic, what goes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asnet_mlir

RNG = np.random.default_rng(0)
WEIGHTS = RNG.standard_normal((12, 4)).astype(np.float32)
BYTES = RNG.integers(-128, 128, 256, dtype=np.int8)


def pixels(x: Any) -> Any:
    """Return what a layer makes of bytes without a sign."""
    import jax.numpy as jnp

    return jnp.maximum(x.astype(jnp.float32) * np.float32(1 / 255) @ WEIGHTS, 0)


def codes(x: Any) -> Any:
    """Return what every signed byte becomes by all arithmetic on them."""
    import jax.numpy as jnp

    q = x.astype(jnp.int8)
    sums = q * jnp.int8(3) + BYTES - (q & jnp.int8(29))
    chosen = jnp.where(sums > 5, sums >> 1, -sums) ^ jnp.minimum(sums << 2, q)
    wide = jnp.maximum(chosen, jnp.int8(-100)).astype(jnp.int32) + q.astype(jnp.uint8)
    return wide.astype(jnp.float32)


def classes(x: Any) -> Any:
    """Return bytes made of floats."""
    import jax.numpy as jnp

    return jnp.round(x * 20).astype(jnp.uint8)


@pytest.mark.parametrize(
    ("function", "dtype", "size", "style"),
    [
        (pixels, np.uint8, 12, "stream"),
        (codes, np.float32, 256, "shared"),
        (classes, np.float32, 12, "shared"),
    ],
    ids=["bytes come in", "arithmetic on bytes", "bytes go out"],
)
def test_bytes_in_hardware(
    function: Callable[[Any], Any], dtype: Any, size: int, style: str, tmp_path: Path
) -> None:
    network = asnet_mlir.load_model((function, (np.zeros((1, size), dtype),)))
    manifest = asnet_mlir.generate(network, output=tmp_path / "b", style=style)
    assert manifest.get("has_integer_words", False) == (function is classes)
    rows = np.arange(size) - (0 if dtype == np.uint8 else 128)
    x = np.stack([rows, rows[::-1] + (dtype == np.uint8) * 100]).astype(dtype)
    assert (
        np.array_equal(
            asnet_mlir.run(network, x).outputs.reshape(2, -1),
            np.asarray(function(x)).reshape(2, -1),
        )
        or function is pixels
    )  # whose sums are in another order in XLA
    compared = asnet_mlir.simulate(tmp_path / "b", (x, np.zeros(2, int)), layers=True)
    assert compared.equal
    assert compared.vectors == 5
