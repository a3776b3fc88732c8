# SPDX-License-Identifier: Apache-2.0
"""Operations on float32 by cores, in JAX, in the order that docs/semantics.md defines.

A core that is proved to be the exact operation on operands with bits cut off is that, in JAX's
operations; any other one is called: its model, compiled to native code, for arrays on the CPU.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from asnet_mlir.binding import Binding
from asnet_mlir.cores import Instance
from asnet_mlir.cores.models.derive import derive_models
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.models.native import native_masks
from asnet_mlir.training.jax_products import Way, pin
from asnet_mlir.training.reader import Operation, Straight

__all__ = ["FloatCores", "float_weights", "ordered_sums", "reduced"]

#: A function of two arrays of float32 that broadcast.
Binary = Callable[[Any, Any], Any]

_EXACT: dict[str, Binary] = {
    "addf": lax.add,
    "subf": lax.sub,
    "mulf": lax.mul,
    "divf": lax.div,
    "maxf": lax.max,
    "minf": lax.min,
}
#: Operations of StableHLO by the kinds of ops that they are.
KINDS = {
    "add": "addf",
    "subtract": "subf",
    "multiply": "mulf",
    "divide": "divf",
    "maximum": "maxf",
    "minimum": "minf",
}
#: Sums of at least so many terms over one dimension are sums of blocks, of at least so many, unless
#: all of them would be more numbers than that (`approx-split-sums`).
_LONG, _LEAST_BLOCKS, _MOST_BLOCK_SUMS = 256, 8, 16384


class FloatCores:
    """What computes operations on float32.

    Attributes:
      is_ordered: whether sums are to be made in their defined order: a binding has rules for them.
    """

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self._made: dict[str, Binary] = {}
        self.is_ordered = any(rule.op in _EXACT for rule in binding.rules)

    def operation(self, name: str, layer: str) -> Binary | None:
        """Return an operation of StableHLO in a layer; None where no core computes such."""
        kind = KINDS.get(name)
        if kind is None:
            return None
        rule = self._binding.rule_for(kind, layer, "f32")
        if rule is None:
            return _EXACT[kind]
        key = rule.instance.content_hash
        if key not in self._made:
            self._made[key] = _by_core(rule.op, rule.instance)
        return self._made[key]


def float_weights(code: Straight) -> dict[str, int]:
    """Return the float32 weights of products and those added to what depends on the input.

    By name, with their numbers among the network's weights.  What is computed of weights alone, a
    normalization's statistics, stays.
    """
    depends = {0}
    for op in code.operations:
        if depends.intersection(op.operands):
            depends.update(op.results)
    found = {}
    for op in code.operations:
        if op.name not in ("convolution", "dot_general", "add") or op.results[0] not in depends:
            continue
        for value in op.operands:
            number = code.source(value, ("broadcast_in_dim", "reshape", "transpose", "reverse"))
            if value not in depends and 1 <= number <= len(code.weights):
                weight = code.weights[number - 1]
                if weight.value.dtype == np.float32:
                    found[weight.name] = number - 1
    return found


def _by_core(kind: str, instance: Instance) -> Binary:
    """Return what a core computes, with the derivatives of the exact operation.

    Raises:
      InputError, ToolError: see `derive_models`.
    """
    exact = _EXACT[kind]
    masks = native_masks(instance)
    if masks is None:
        words: Binary = _called(instance)
    else:
        left, right = (functools.partial(_masked, mask=mask) for mask in masks)

        def words(a: Any, b: Any) -> Any:
            return exact(left(a), right(b))

    def operation(a: Any, b: Any) -> Any:
        a, b = jnp.broadcast_arrays(a, b)
        return pin(exact(a, b), words(lax.stop_gradient(a), lax.stop_gradient(b)))

    return operation


def _masked(x: Any, mask: int) -> Any:
    if mask == 0xFFFFFFFF:
        return x
    bits = lax.bitcast_convert_type(x, jnp.uint32)
    number = lax.bitcast_convert_type(bits & np.uint32(mask), jnp.float32)
    return jnp.where(jnp.isnan(x), x, number)


def _called(instance: Instance) -> Binary:
    kernel = compile_elementwise(derive_models({"core": instance}))
    kinds = kernel.dtypes("core")
    # XLA's threads flush subnormals; this one, started here, doesn't.
    thread = ThreadPoolExecutor(1, "core")
    thread.submit(int).result()

    def native(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        flat = [
            np.ascontiguousarray(one, np.float32).reshape(-1).view(kind)
            for one, kind in zip((a, b), kinds[:2], strict=True)
        ]
        found = thread.submit(kernel, "core", *flat).result()
        return found.view(np.float32).reshape(np.shape(a))

    def words(a: Any, b: Any) -> Any:
        kind = jax.ShapeDtypeStruct(a.shape, jnp.float32)
        return jax.pure_callback(native, kind, a, b, vmap_method="broadcast_all")

    return words


def ordered_sums(
    way: Way, multiply: Binary, add: Binary, operands: tuple[Any, Any], terms_in: int
) -> Any:
    """Return sums of products one after the other, from 0.0, long ones by blocks.

    Derivatives are those of exact sums.

    Args:
      operands: x and w as `way` takes them.
      terms_in: dimensions of more than one term that a sum runs over.
    """
    real = way.convolve(*operands, jnp.float32)
    x, w = (lax.stop_gradient(operand) for operand in operands)
    rows, terms = way.matrices(x, w)
    groups, count, length = rows.shape[0], rows.shape[1], rows.shape[2]
    block = _block(length, groups * count * terms.shape[2]) if terms_in == 1 else length
    left = rows.reshape(groups, count, -1, block)
    right = terms.reshape(groups, -1, block, terms.shape[2])

    def product(total: Any, pair: tuple[Any, Any]) -> tuple[Any, None]:
        a, b = pair  # [groups, rows, blocks] and [groups, blocks, outputs]
        found = multiply(a[..., None], b[:, None])
        # Behind the barrier nothing makes a fused multiply-add of both.
        return add(total, lax.optimization_barrier(found)), None

    start = jnp.zeros((groups, count, left.shape[2], terms.shape[2]), jnp.float32)
    steps = jnp.moveaxis(left, 3, 0), jnp.moveaxis(right, 2, 0)
    sums, _ = lax.scan(product, start, steps)
    if sums.shape[2] > 1:
        sums = _one_after_other(add, jnp.moveaxis(sums, 2, 0), 0.0)
    else:
        sums = sums[:, :, 0]
    return pin(real, way.result(x, w, sums))


def reduced(op: Operation, both: Binary, x: Any, start: Any) -> Any:
    """Return what `reduce` and `reduce_window` give, one number after the other from `start` on."""
    own = op.attributes
    if op.name == "reduce":
        return _reduced_over(both, x, own["dimensions"], start)
    ones = (1,) * x.ndim
    size, strides = own["window_dimensions"], own.get("window_strides", ones)
    dilations, bases = own.get("window_dilations", ones), own.get("base_dilations", ones)
    pads = own.get("padding", ((0, 0),) * x.ndim)
    x = lax.pad(x, start, [(*pad, base - 1) for pad, base in zip(pads, bases, strict=True)])
    counts = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, d, s in zip(x.shape, size, dilations, strides, strict=True)
    ]
    total = jnp.broadcast_to(start, counts)
    for place in np.ndindex(*size):
        begins = [p * d for p, d in zip(place, dilations, strict=True)]
        ends = [b + (n - 1) * s + 1 for b, n, s in zip(begins, counts, strides, strict=True)]
        total = both(total, lax.slice(x, begins, ends, strides))
    return total


def _reduced_over(both: Binary, x: Any, axes: tuple[int, ...], start: Any) -> Any:
    rest = [axis for axis in range(x.ndim) if axis not in axes]
    kept = tuple(x.shape[axis] for axis in rest)
    terms = lax.transpose(x, (*axes, *rest)).reshape(-1, *kept)
    is_sum = len(axes) == 1 and both not in (lax.max, lax.min)
    block = _block(len(terms), math.prod(kept)) if is_sum else len(terms)
    if block < len(terms):
        blocks = terms.reshape(-1, block, *kept).swapaxes(0, 1)
        terms = _one_after_other(both, blocks, 0.0)
    return _one_after_other(both, terms, start)


def _one_after_other(both: Binary, terms: Any, start: Any) -> Any:
    first = jnp.broadcast_to(jnp.float32(start), terms.shape[1:])
    return lax.scan(lambda total, one: (both(total, one), None), first, terms)[0]


def _block(terms: int, sums: int) -> int:
    """Return the terms of a block; all of them where a sum stays whole."""
    if terms < _LONG:
        return terms
    for blocks in range(math.isqrt(terms), _LEAST_BLOCKS - 1, -1):
        if terms % blocks == 0:
            return terms // blocks if sums * blocks <= _MOST_BLOCK_SUMS else terms
    return terms
