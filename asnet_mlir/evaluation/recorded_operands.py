# SPDX-License-Identifier: Apache-2.0
"""The operands that the ops of a network see, drawn from a run on data."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding, Rule
from asnet_mlir.compiler import bind, to_approx
from asnet_mlir.cores import load_core
from asnet_mlir.cores.core import EXACT_CORES
from asnet_mlir.cores.models.external import external_text
from asnet_mlir.cores.models.model import model_symbol
from asnet_mlir.cores.operands import ieee_reference
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.frontends import load_model
from asnet_mlir.reference import to_native

__all__ = ["record_operands"]

_BATCH = 256

_F32 = ("f32", "f32", "f32")


def record_operands(
    model: Any,
    data: Any,
    op: str,
    layer: str | None = None,
    *,
    samples: int = 1 << 20,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return operand pairs of the exact network, drawn uniformly from all that occur.

    Args:
      model: whatever `load_model` takes.
      data: whatever `evaluate` takes; every sample is run.
      op: kind of the ops: `mulf`, `addf`, ..
      layer: of the ops; by default all layers.
      samples: pairs at most; all pairs where fewer occur.
      seed: of the draw.

    Returns:
      Bits of a and b, uint32 of one length.

    Raises:
      InputError: an unknown op or layer, or the network has no such op.
    """
    if op not in EXACT_CORES:
        raise InputError(f"unknown operation '{op}'; one of {', '.join(EXACT_CORES)}")
    if samples < 1:
        raise InputError(f"samples must be at least 1, not {samples}")
    network = load_model(model)
    if network.binding is not None:
        raise UnsupportedError(
            f"{network.name}: is bound already; operands are recorded in an exact network"
        )
    x = prepare_data(data, network).x
    binding = Binding((Rule(op, load_core(EXACT_CORES[op]).instance(), layer),))
    draw = _Draw(op, samples, seed)
    # It computes the exact operation, in Python, block by block.
    recorder = external_text(model_symbol(1), "asnet_record", _F32, _F32)
    weights = [weight.value for weight in network.weights]
    batch = network.fixed_batch or min(_BATCH, len(x))
    for start in range(0, len(x), batch):
        part = np.ascontiguousarray(x[start : start + batch])
        # The rest is a batch of its own size: padding would be recorded.
        if len(part) < batch and network.fixed_batch:
            break
        if start == 0 or len(part) < batch:
            bound = bind(to_approx(network, len(part)), binding)
            compiled = to_native(bound, recorder, callbacks={"asnet_record": draw.callback})
        y = np.empty((len(part), *network.output_shape), network.output_format.dtype)
        compiled("main", part, *weights, y)
        if draw.error is not None:
            raise draw.error
    if not draw.seen:
        place = f"layer {layer}" if layer else network.name
        raise InputError(f"{place} has no {op}, so that there are no operands to record")
    return draw.pairs()


class _Draw:
    """A uniform draw without replacement from a stream: the pairs with the least random keys."""

    def __init__(self, op: str, samples: int, seed: int) -> None:
        self.seen = 0
        self.error: Exception | None = None
        self._op = op
        self._samples = samples
        self._rng = np.random.default_rng(seed)
        self._limit = 1.0
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._held = 0
        kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        self.callback = ctypes.CFUNCTYPE(None, *kinds)(self._record)

    def _record(self, a: int, b: int, r: int, count: int) -> None:
        try:
            kind = ctypes.c_uint32 * count
            first, second, result = (
                np.frombuffer(kind.from_address(p), np.uint32) for p in (a, b, r)
            )
            result[:] = ieee_reference(self._op, first, second)
            self.seen += count
            keys = self._rng.random(count)
            chosen = keys < self._limit
            self._parts.append((keys[chosen], first[chosen], second[chosen]))
            self._held += int(np.count_nonzero(chosen))
            if self._held > 2 * self._samples + (1 << 16):
                self._shrink()
        except Exception as error:  # an exception cannot pass through native code
            self.error = error

    def _shrink(self) -> None:
        keys, a, b = (np.concatenate(arrays) for arrays in zip(*self._parts, strict=True))
        if keys.size > self._samples:
            kept = np.argpartition(keys, self._samples)[: self._samples]
            kept.sort()
            keys, a, b = keys[kept], a[kept], b[kept]
            self._limit = float(keys.max())
        self._parts, self._held = [(keys, a, b)], keys.size

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return bits of the pairs drawn."""
        self._shrink()
        _, a, b = self._parts[0]
        return a, b
