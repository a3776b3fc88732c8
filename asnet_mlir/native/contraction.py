# SPDX-License-Identifier: Apache-2.0
"""Sums of products of 8-bit codes, made for their weights (`_mlir_libs/Contraction.h`)."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asnet_mlir.native.objects import native_library

__all__ = ["Contraction", "Lifted", "contract_address", "vectors_for"]


def contract_address() -> int:
    """Return the address of `asnet_contract`, which native code of stages calls."""
    return native_library().contract_address()


def vectors_for(lanes: int) -> list[str]:
    """Return the instructions that there is code for on this processor, the best first.

    `avx512` (with VNNI and VBMI) has all ways; `avx2` lifted products; `portable` is always there.
    """
    return native_library().vectors_for(lanes)


@dataclass(frozen=True)
class Lifted:
    """A product of codes as a sum of exact products of bytes.

        product(x, w) = sum_r left[r][x] * right[r][w] * 2^shifts[r] + constants[w]  (mod 2^32)

    Attributes:
      left: uint8[passes, 256], by the bits of the sample's code.
      right: int8[passes, 256], by the bits of the weight's code.
      shifts: of each pass.
      constants: int32[256], by the weight's code.
    """

    left: np.ndarray
    right: np.ndarray
    shifts: tuple[int, ...]
    constants: np.ndarray

    @property
    def passes(self) -> int:
        return len(self.shifts)

    def table(self) -> np.ndarray:
        """Return int32[256 weights, 256 codes]."""
        scaled = self.right.astype(np.int64) << np.array(self.shifts, np.int64)[:, None]
        table = scaled.T @ self.left.astype(np.int64) + self.constants[:, None]
        return (table & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


class Contraction:
    """Sums of products for given weights; lives as long as plans that use its address.

    Attributes:
      passes: exact products of bytes for each product; None where rows are looked up.
      products: of a sample.
    """

    def __init__(
        self,
        described: Mapping[str, Any],
        weights: np.ndarray,
        product: Lifted | np.ndarray,
        *,
        vectors: str | None = None,
    ) -> None:
        """Pack weights.

        Args:
          described: the attribute `approx.contraction` (`approx-call-contractions`).
          weights: C-contiguous array of codes of 8 bits.
          product: lifted, or int32[256 weights, 256 codes], to be looked up by rows.
          vectors: one of `vectors_for`; by default the best.
        """
        self.passes = product.passes if isinstance(product, Lifted) else None
        self.products = math.prod(described["ranges"])
        shape: Sequence[Sequence[int]] = [
            described[name] for name in ("ranges", "reduces", "x", "w", "y")
        ]
        offsets = tuple(described[f"{name}_offset"] for name in "xwy")
        empty = b""
        parts: tuple[Any, ...]
        if isinstance(product, Lifted):
            parts = (list(product.shifts), product.left, product.right, product.constants)
        else:
            parts = (None, product, empty, empty)
        self._made = native_library().contraction(
            tuple(shape),
            offsets,
            described["lanes"],
            described["adds"],
            weights.view(np.uint8),
            *parts,
            vectors or vectors_for(described["lanes"])[0],
        )

        self._codes, self._sums = (
            described["lanes"] * _extent(described, name) for name in ("x", "y")
        )

    @property
    def address(self) -> int:
        """What `asnet_contract` takes first."""
        return native_library().contraction_address(self._made)

    def __call__(self, codes: np.ndarray, sums: np.ndarray) -> None:
        """Add to, or write, `sums`; see `approx-call-contractions`.

        Args:
          codes: uint8, as many as the loops reach, times lanes.
          sums: int32 likewise.
        """
        assert codes.size >= self._codes and sums.size >= self._sums
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        function(contract_address())(self.address, codes.ctypes.data, sums.ctypes.data)

    def seconds(self, runs: int = 5) -> float:
        """Return the least time of some runs on codes drawn at random."""
        codes = np.random.default_rng(0).integers(0, 256, self._codes, np.uint8)
        sums = np.zeros(self._sums, np.int32)
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            self(codes, sums)
            times.append(time.perf_counter() - start)
        return min(times)


def _extent(described: Mapping[str, Any], name: str) -> int:
    """Return how many elements the loops reach."""
    steps = zip(described["ranges"], described[name], strict=True)
    return described[f"{name}_offset"] + 1 + sum((r - 1) * s for r, s in steps)
