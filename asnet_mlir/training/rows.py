# SPDX-License-Identifier: Apache-2.0
"""Rows of several tensors (`asnet_mlir.support.parts`) in JAX: made of arrays by name, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import lax

from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import NumberFormat
from asnet_mlir.support.parts import Parts

__all__ = ["packed", "unpacked"]


def packed(network: str, parts: Parts, arrays: Mapping[str, Any]) -> Any:
    """Return [n, size], the rows of n samples; see `Parts.pack`.

    Args:
      network: its name, for messages.
      arrays: [n, *shape] of each part's dtype, by name.

    Raises:
      InputError: one is missing, has another name, shape, dtype or number of samples.
    """
    if set(arrays) != set(parts.names):
        raise InputError(f"{network}: takes {parts}, not {', '.join(arrays) or 'nothing'}")
    values = {part.name: jnp.asarray(arrays[part.name]) for part in parts}
    samples = values[parts.names[0]].shape[:1]
    rows = []
    for part in parts:
        value = values[part.name]
        if value.shape != (*samples, *part.shape) or value.dtype != part.format.dtype:
            raise InputError(
                f"{network}: '{part.name}' is {part.format} of shape [n, "
                f"{', '.join(map(str, part.shape))}], not {value.dtype} of {list(value.shape)}"
            )
        value = lax.reshape(value, (*samples, part.size))
        if part.format != parts.format:
            value = lax.convert_element_type(_bits_of(value, part.format), parts.format.dtype)
        rows.append(value)
    return lax.concatenate(rows, 1)


def unpacked(parts: Parts, rows: Any) -> dict[str, Any]:
    """Return the parts of rows [n, size], each [n, *shape] of its own dtype, by name."""
    found = {}
    for part, (begin, end) in zip(parts, parts.bounds, strict=True):
        value = lax.slice_in_dim(rows, begin, end, axis=1)
        if part.format != parts.format:
            bits = lax.convert_element_type(value, _bits(part.format))
            value = lax.bitcast_convert_type(bits, part.format.dtype)
        found[part.name] = lax.reshape(value, (rows.shape[0], *part.shape))
    return found


def _bits(format: NumberFormat) -> Any:
    return jnp.dtype(f"int{format.storage_bytes * 8}")


def _bits_of(value: Any, format: NumberFormat) -> Any:
    return lax.bitcast_convert_type(value, _bits(format))
