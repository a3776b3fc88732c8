# SPDX-License-Identifier: Apache-2.0
"""Sums of products of codes in JAX: exact, lifted to exact ones, or looked up in a core's table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from asnet_mlir.cores.models.lifting import lift
from asnet_mlir.native.contraction import Lifted
from asnet_mlir.training.estimators import Slopes

__all__ = ["Matrix", "Product", "Way", "Window", "pin", "sums_of_products"]

#: Lifted products of more passes are looked up; so many exact ones take as long on a CPU.
_MOST_PASSES = 64
#: Of a matrix product of bytes on accelerators a multiple.
_TERMS = 16
#: Convolutions of no more channels on either side are faster as matrix products.
_FEW_CHANNELS = 16


@dataclass(frozen=True)
class Window:
    """A convolution of x [n, *size, channels] with w [*kernel, channels / groups, outputs].

    x is padded already.
    """

    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def convolve(self, x: Any, w: Any, element: Any) -> Any:
        """Return the sums by XLA's convolution."""
        rank = len(self.strides)
        space = tuple(range(1, rank + 1))
        numbers = lax.ConvDimensionNumbers(
            (0, rank + 1, *space), (rank + 1, rank, *range(rank)), (0, rank + 1, *space)
        )
        return lax.conv_general_dilated(
            x,
            w,
            self.strides,
            "VALID",
            rhs_dilation=self.dilation,
            dimension_numbers=numbers,
            feature_group_count=self.groups,
            precision=lax.Precision.HIGHEST,
            preferred_element_type=element,
        )

    def matrices(self, x: Any, w: Any) -> tuple[Any, Any]:
        """Return x as [groups, rows, terms], and w as [groups, terms, outputs]."""
        kernel = w.shape[:-2]
        sizes = [
            (n - (k - 1) * d - 1) // s + 1
            for n, k, d, s in zip(x.shape[1:-1], kernel, self.dilation, self.strides, strict=True)
        ]
        parts = []
        for place in np.ndindex(*kernel):
            starts = [p * d for p, d in zip(place, self.dilation, strict=True)]
            ends = [
                a + (n - 1) * s + 1 for a, n, s in zip(starts, sizes, self.strides, strict=True)
            ]
            part = lax.slice(
                x, (0, *starts, 0), (x.shape[0], *ends, x.shape[-1]), (1, *self.strides, 1)
            )
            parts.append(part.reshape(-1, self.groups, x.shape[-1] // self.groups))
        rows = jnp.stack(parts, 2)  # [rows, groups, places, channels]
        rows = rows.reshape(rows.shape[0], self.groups, -1).transpose(1, 0, 2)
        terms = w.reshape(-1, self.groups, w.shape[-1] // self.groups).transpose(1, 0, 2)
        return rows, terms

    def result(self, x: Any, w: Any, sums: Any) -> Any:
        """Return sums [groups, rows, outputs] in the shape of the convolution's result."""
        sizes = [
            (n - (k - 1) * d - 1) // s + 1
            for n, k, d, s in zip(
                x.shape[1:-1], w.shape[:-2], self.dilation, self.strides, strict=True
            )
        ]
        return sums.transpose(1, 0, 2).reshape(x.shape[0], *sizes, w.shape[-1])

    def over_terms(self, w: Any) -> Any:
        """Return sums over the terms of w, in a shape that broadcasts to the result's."""
        return w.sum(tuple(range(w.ndim - 1)), dtype=jnp.int32)


@dataclass(frozen=True)
class Matrix:
    """Products of matrices, x [groups, rows, terms] with w [groups, terms, outputs]."""

    def convolve(self, x: Any, w: Any, element: Any) -> Any:
        """Return the sums by XLA's dot."""
        return lax.dot_general(
            x,
            w,
            (((2,), (1,)), ((0,), (0,))),
            precision=lax.Precision.HIGHEST,
            preferred_element_type=element,
        )

    def matrices(self, x: Any, w: Any) -> tuple[Any, Any]:
        """See `Window.matrices`."""
        return x, w

    def result(self, x: Any, w: Any, sums: Any) -> Any:
        """See `Window.result`."""
        return sums

    def over_terms(self, w: Any) -> Any:
        """See `Window.over_terms`."""
        return w.sum(1, keepdims=True, dtype=jnp.int32)


#: How sums of products are made.
Way = Window | Matrix


def _multiply(way: Way, x: Any, w: Any, element: Any) -> Any:
    """Return exact sums; integer convolutions are for CPUs, elsewhere they are matrix products.

    On CPUs XLA has fast convolutions of bytes where there are more than 16 channels on either side
    and one group (at best 140 GMAC/s on two cores, where it else has 1 to 3).
    """

    def by_matrices(x: Any, w: Any) -> Any:
        rows, terms = way.matrices(x, w)
        # On an H100 XLA's dot of int8 gave wrong words for 3, 5, 9 and 45 terms, and none for the
        # multiples of 4 that were tried: zeros make it a multiple of 16.
        more = -rows.shape[2] % _TERMS
        rows = jnp.pad(rows, ((0, 0), (0, 0), (0, more)))
        terms = jnp.pad(terms, ((0, 0), (0, more), (0, 0)))
        return way.result(x, w, Matrix().convolve(rows, terms, element))

    if isinstance(way, Window) and (way.groups > 1 or max(w.shape[-2:]) <= _FEW_CHANNELS):
        return by_matrices(x, w)
    return lax.platform_dependent(
        x, w, cpu=lambda x, w: way.convolve(x, w, element), default=by_matrices
    )


class Product:
    """A product of two codes in JAX.

    Attributes:
      low: the numbers of the first row and the first column of the table.
      table: int32[codes, weights], what the core gives; None for exact products.
      slopes: of the table; None: those of the exact product.
      passes: exact products of bytes that it takes; None where it is looked up.
    """

    def __init__(
        self,
        table: np.ndarray | None,
        low: int,
        slopes: Slopes | None = None,
        *,
        look_up: bool = False,
    ) -> None:
        self.table = table
        self.low = low
        self.slopes = slopes
        self.passes: int | None = None if table is not None else 1
        self._groups: list[tuple[int, np.ndarray, np.ndarray]] = []
        if table is not None and len(table) <= 256 and not look_up:
            self._lift(table)

    def _lift(self, table: np.ndarray) -> None:
        size = len(table)
        numbers = np.arange(256)
        places = (numbers - self.low) % size  # by the bits of a code
        lifted = lift(np.ascontiguousarray(table[places[None, :], places[:, None]]))
        if lifted is None or lifted.passes > _MOST_PASSES:
            return
        self.passes = lifted.passes
        own = (np.arange(size) + self.low) & 255
        merged = _merged(lifted)
        # Bytes without a sign become signed ones: what that takes away depends on the weight.
        more = np.zeros(256, np.int64)
        for shift, _, right in merged:
            more += (right.astype(np.int64).sum(0) << shift) * 128
        constants = lifted.constants[own].astype(np.int64) + more[own]
        self._constants = (constants & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
        self._groups = [
            (shift, (left.astype(np.int16) - 128).astype(np.int8)[:, own].T, right[:, own].T)
            for shift, left, right in merged
        ]

    def sums(self, way: Way, x: Any, w: Any) -> Any:
        """Return the sums of products of codes x and w, int32 modulo 2^32."""
        if self.table is None:
            return self._exact(way, x, w)
        x = (x.astype(jnp.int32) - self.low).astype(jnp.uint16)
        w = (w.astype(jnp.int32) - self.low).astype(jnp.uint16)
        if self.passes is None:
            return self._looked_up(way, x, w)
        total = way.over_terms(jnp.take(self._constants, w.astype(jnp.int32)))
        for shift, left, right in self._groups:
            wide = jnp.take(left, x.astype(jnp.int32), axis=0)  # [.., channels, passes]
            wide = wide.reshape(*x.shape[:-1], -1)
            kernel = jnp.moveaxis(jnp.take(right, w.astype(jnp.int32), axis=0), -1, -2)
            kernel = kernel.reshape(*w.shape[:-2], -1, w.shape[-1])
            part = _multiply(way, wide, kernel, jnp.int32)
            total = total + lax.shift_left(part, jnp.int32(shift))
        return total

    def _exact(self, way: Way, x: Any, w: Any) -> Any:
        if x.dtype == w.dtype == jnp.int8:
            return _multiply(way, x, w, jnp.int32)
        return _multiply(way, x.astype(jnp.int32), w.astype(jnp.int32), jnp.int32)

    def _looked_up(self, way: Way, x: Any, w: Any) -> Any:
        assert self.table is not None
        size = len(self.table)
        rows, terms = way.matrices(x, w)
        table = jnp.asarray(self.table.reshape(-1))

        def add(total: Any, codes: tuple[Any, Any]) -> tuple[Any, None]:
            left, right = (code.astype(jnp.int32) for code in codes)
            return total + table[left[:, :, None] * size + right[:, None, :]], None

        start = jnp.zeros((rows.shape[0], rows.shape[1], terms.shape[2]), jnp.int32)
        columns = jnp.moveaxis(rows, 2, 0), jnp.moveaxis(terms, 1, 0)
        return way.result(x, w, lax.scan(add, start, columns)[0])


def _merged(lifted: Lifted) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Return passes of one shift together: a shift, uint8[passes, 256] and int8[passes, 256].

    A pass joins those of a lower shift where its factors, shifted by the difference, are bytes
    still: a convolution of two passes is faster than two.
    """
    groups: list[tuple[int, list[np.ndarray], list[np.ndarray]]] = []
    for number in np.argsort(lifted.shifts, kind="stable"):
        shift, left, right = (
            int(lifted.shifts[number]),
            lifted.left[number].astype(np.int64),
            lifted.right[number].astype(np.int64),
        )
        for base, lefts, rights in groups:
            by_right = min(shift - base, _room(right, -128, 127))
            by_left = shift - base - by_right
            if by_left <= _room(left, 0, 255):
                lefts.append(left << by_left)
                rights.append(right << by_right)
                break
        else:
            groups.append((shift, [left], [right]))
    return [
        (shift, np.stack(lefts).astype(np.uint8), np.stack(rights).astype(np.int8))
        for shift, lefts, rights in groups
    ]


def _room(numbers: np.ndarray, least: int, greatest: int) -> int:
    """Return by how many bits numbers can be shifted until one leaves a range; 32 of zeros."""
    if not numbers.any():
        return 32
    room = 0
    while (numbers << (room + 1) >= least).all() and (numbers << (room + 1) <= greatest).all():
        room += 1
    return room


@jax.custom_vjp
def pin(real: Any, exact: Any) -> Any:
    """Return `exact` as float32, whose derivative is that of `real`."""
    return lax.convert_element_type(exact, jnp.float32)


def _pin_forward(real: Any, exact: Any) -> tuple[Any, None]:
    return lax.convert_element_type(exact, jnp.float32), None


def _pin_backward(_: None, slope: Any) -> tuple[Any, None]:
    return slope, None


pin.defvjp(_pin_forward, _pin_backward)


def sums_of_products(
    way: Way, product: Product, x: Any, w: Any, reals: tuple[Any, Any] | None
) -> tuple[Any, Any]:
    """Return the sums of products of codes, int32, and the same as float32 with a derivative.

    Args:
      reals: x and w as float32 with their derivatives; None where none is wanted.
    """
    exact = product.sums(way, x, w)
    if reals is None:
        return exact, None
    return exact, pin(_estimated(way, product, x, w)(*reals), exact)


def _estimated(way: Way, product: Product, x: Any, w: Any) -> Any:
    """Return a function of x and w as float32 of which the derivative alone counts.

    With dT/dx = sum of f(x) g(w) its derivative by x is that of conv(f(x) x, g(w)), f and g held:
    operations of JAX throughout, so that a batch's gradients of weights are one convolution.
    """
    if product.slopes is None:
        return lambda x, w: way.convolve(x, w, jnp.float32)
    left, right = (code.astype(jnp.int32) - product.low for code in (x, w))

    def held(factors: np.ndarray, codes: Any) -> Any:
        return lax.stop_gradient(jnp.take(factors, codes, mode="clip"))

    def sums(x_real: Any, w_real: Any) -> Any:
        slopes = product.slopes
        assert slopes is not None
        by_x = [
            way.convolve(x_real * held(of_x, left), held(of_w, right), jnp.float32)
            for of_x, of_w in zip(*slopes.by_x, strict=True)
        ]
        by_w = [
            way.convolve(held(of_x, left), w_real * held(of_w, right), jnp.float32)
            for of_x, of_w in zip(*slopes.by_w, strict=True)
        ]
        return sum(by_x[1:] + by_w, by_x[0])

    return sums
