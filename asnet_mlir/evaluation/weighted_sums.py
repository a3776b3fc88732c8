# SPDX-License-Identifier: Apache-2.0
"""Sums of products of integer codes and weights, found in a network's approx module."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.compiler import split_by_channels, to_approx
from asnet_mlir.cores import Instance, derive_models
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation.evaluator import Evaluator
from asnet_mlir.ir import main_function, module_from_text, operand_format, run_passes, with_layers
from asnet_mlir.network import ApproxTexts, Network
from asnet_mlir.support.formats import NumberFormat, format_of_element

__all__ = [
    "WeightedSum",
    "activations",
    "as_approx",
    "dims_of",
    "errors_of_sums",
    "find_sums",
    "histogram",
    "linalg_ops",
    "pairs",
    "product_table",
    "renumbered",
    "text_of",
    "texts_of_maps",
]

_RESHAPES = ("tensor.collapse_shape", "tensor.expand_shape")
_SLICE = "tensor.extract_slice"
_MOST_BITS = 10


@dataclass(frozen=True)
class WeightedSum:
    """An op of a network that sums products of codes and weights (`approx.muli`).

    Attributes:
      layer: of the op.
      position: of the op among all linalg ops.
      activation: the number of the operand that holds codes, whose numbers are of `codes`.
      weight: the name of the weights, whose part it is that `steps` lead to.
      steps: a shape each for reshapes, or (offsets, sizes, strides, shape) for slices.
      is_swapped: the weight is the left operand of the product.
      operands, result: formats of the product's operands, and of its result.
      filter_axes, filter_dims: the dimensions of the weights, and the loops, that tell filters
        apart, which are outputs.
      summed: the loops that are summed over, and how far each goes.
      shared: dimensions of the codes and of the weights that are one loop: a code meets the weights
        of its own place there.
    """

    layer: str
    position: int
    activation: int
    codes: NumberFormat
    weight: str
    steps: tuple[tuple[Any, ...], ...]
    is_swapped: bool
    operands: NumberFormat
    result: NumberFormat
    filter_axes: tuple[int, ...]
    filter_dims: tuple[int, ...]
    summed: tuple[tuple[int, int], ...]
    shared: tuple[tuple[int, int], ...]

    def part(self, weights: np.ndarray) -> np.ndarray:
        """Return the view of the weights' array that the op reads."""
        view = weights.view()
        for step in self.steps:
            if step[0] == "slice":
                _, offsets, sizes, strides, shape = step
                places = (
                    slice(begin, begin + size * stride, stride)
                    for begin, size, stride in zip(offsets, sizes, strides, strict=True)
                )
                view = view[tuple(places)]
            else:
                shape = step[1]
            view = np.reshape(view, shape, copy=False)
        return view


def as_approx(network: Network, binding: Binding) -> Network:
    """Return a network as a module of the approx dialect, with its parts by channels."""
    batch = network.fixed_batch or 1
    text = split_by_channels(to_approx(network, batch), binding.channels)
    return replace(network, lowering=ApproxTexts(network.name, {batch: text}), unfolded=None)


def text_of(network: Network) -> str:
    """Return the module of a network that `as_approx` made."""
    return network.lowering.text("approx", network.fixed_batch or 1)


def find_sums(network: Network) -> list[WeightedSum]:
    """Return the sums of products of codes and weights of a network in the approx dialect.

    Raises:
      UnsupportedError: weights of such a sum are used by something else as well, as by sums of
        weights that are not computed beforehand.
    """
    found = []
    with module_from_text(text_of(network)) as module:
        main = main_function(module)
        names = {
            number: own["approx.weight"].value
            for number, own in enumerate(main.attributes["arg_attrs"])
            if "approx.weight" in own
        }
        for position, (op, layer) in enumerate(linalg_ops(module)):
            one = _weighted_sum(op, layer, position, names)
            if one is not None:
                found.append(one)
        summed = {one.weight for one in found}
        for number, name in names.items():
            if name in summed:
                _check_uses(main.regions[0].blocks[0].arguments[number], name, found)
    return found


def linalg_ops(module: Any) -> Iterator[tuple[Any, str]]:
    """Yield the `linalg.generic` ops of a module, each with its layer."""
    for op, layer in with_layers(module.operation):
        if op.operation.name == "linalg.generic":
            yield op, layer


def _weighted_sum(op: Any, layer: str, position: int, names: dict[int, str]) -> WeightedSum | None:
    body = op.regions[0].blocks[0]
    products = [inner for inner in body.operations if inner.operation.name == "approx.muli"]
    if len(products) != 1 or "reduction" not in str(op.attributes["iterator_types"]):
        return None
    product = products[0]
    sources = [s for value in product.operands if (s := _argument(value)) is not None]
    if len(sources) < 2 or any(number >= len(op.operands) - 1 for number, _ in sources):
        return None
    paths = [_path(op.operands[number], names) for number, _ in sources]
    weights = [side for side, path in enumerate(paths) if path is not None]
    if len(weights) != 1:
        return None
    (side,) = weights
    activation, is_unsigned = sources[1 - side]
    own = operand_format(product)
    element = op.operands[activation].type.element_type
    if is_unsigned is None:
        is_unsigned = not own.is_signed
    codes = format_of_element(str(element), is_unsigned=is_unsigned)
    result = format_of_element(str(product.results[0].type), is_unsigned=not own.is_signed)
    path = paths[side]
    loops = texts_of_maps(op)[sources[side][0]]
    if codes is None or result is None or path is None or not all(map(_DIM.fullmatch, loops)):
        return None
    dims, sizes = [int(text[1:]) for text in loops], op.operands[sources[side][0]].type.shape
    iterators = [str(one) for one in op.attributes["iterator_types"]]
    parallel = [(axis, d) for axis, d in enumerate(dims) if "parallel" in iterators[d]]
    return WeightedSum(
        layer,
        position,
        activation,
        codes,
        *path,
        side == 0,
        own,
        result,
        tuple(axis for axis, _ in parallel),
        tuple(d for _, d in parallel),
        tuple(
            (d, size) for d, size in zip(dims, sizes, strict=True) if "reduction" in iterators[d]
        ),
        tuple(
            (axis, loops.index(text))
            for axis, text in enumerate(texts_of_maps(op)[activation])
            if text in loops
        ),
    )


_DIM = re.compile(r"d\d+")


def texts_of_maps(op: Any) -> list[list[str]]:
    """Return the results of the indexing maps of a linalg op, each as text: `d1 * 2 + d4`."""
    texts = (str(attribute) for attribute in op.attributes["indexing_maps"])
    return [
        [part.strip() for part in text.rpartition("-> (")[2].removesuffix(")>").split(",")]
        for text in texts
    ]


def dims_of(results: Sequence[str]) -> list[int]:
    """Return the loops that the results of a map name, in their order."""
    return [int(name[1:]) for text in results for name in _DIM.findall(text)]


def renumbered(results: Sequence[str], number: Mapping[int, int]) -> list[str]:
    """Return the results of a map with other numbers of loops."""
    return [_DIM.sub(lambda found: f"d{number[int(found[0][1:])]}", text) for text in results]


def _argument(value: Any) -> tuple[int, bool | None] | None:
    """Return the block's argument that a value is, and whether it was extended by zeros."""
    from mlir import ir

    extended: bool | None = None
    if not isinstance(value.owner, ir.Block) and value.owner.name in ("arith.extui", "arith.extsi"):
        extended, value = value.owner.name == "arith.extui", value.owner.operands[0]
    if not isinstance(value.owner, ir.Block):
        return None
    return ir.BlockArgument(value).arg_number, extended


def _path(value: Any, names: dict[int, str]) -> tuple[str, tuple[tuple[Any, ...], ...]] | None:
    """Return which weights a tensor is a part of, and how; None where it is none of any."""
    from mlir import ir

    steps: list[tuple[Any, ...]] = []
    while not isinstance(value.owner, ir.Block):
        op = value.owner
        shape = tuple(op.results[0].type.shape)
        if op.name in _RESHAPES:
            steps.append(("shape", shape))
        elif op.name == _SLICE:
            places = (tuple(op.attributes[f"static_{key}"]) for key in _SLICE_KEYS)
            steps.append(("slice", *places, shape))
        else:
            return None
        value = op.operands[0]
    number = ir.BlockArgument(value).arg_number
    return (names[number], tuple(reversed(steps))) if number in names else None


_SLICE_KEYS = ("offsets", "sizes", "strides")


def _check_uses(value: Any, name: str, found: Sequence[WeightedSum]) -> None:
    """Refuse weights that are read by anything but the sums that were found."""
    sums = sum(one.weight == name for one in found)
    pending, seen = [value], 0
    while pending:
        for use in pending.pop().uses:
            if use.owner.name in (*_RESHAPES, _SLICE):
                pending.append(use.owner.results[0])
            else:
                seen += 1
    if seen != sums:
        raise UnsupportedError(
            f"weight '{name}' is used by other ops than sums of its products; nothing can be "
            "made up for there"
        )


def activations(network: Network, one: WeightedSum, x: np.ndarray) -> np.ndarray:
    """Return the codes that a sum reads, for samples of the network's shape and format.

    Returns:
      The array that the op reads, with all samples in the axis of the batch, which need not be the
      first one.

    Raises:
      UnsupportedError: a network of a fixed batch above 1 has this axis elsewhere.
    """
    batch = network.fixed_batch or 1
    with module_from_text(text_of(network)) as module:
        from mlir import ir

        op = list(linalg_ops(module))[one.position][0]
        value = op.operands[one.activation]
        shape = tuple(value.type.shape)
        place = _sample_axis(one, shape, batch)
        main = main_function(module)
        end = main.regions[0].blocks[0].operations
        end = end[len(end) - 1].operation
        if place:
            value = _as_one_sample(value, shape, end)
        inputs = main.attributes["function_type"].value.inputs
        main.attributes["function_type"] = ir.TypeAttr.get(
            ir.FunctionType.get(list(inputs), [value.type])
        )
        if "res_attrs" in main.attributes:
            del main.attributes["res_attrs"]
        if not one.codes.is_signed:
            unsigned = ir.DictAttr.get({"approx.unsigned": ir.UnitAttr.get()})
            main.attributes["res_attrs"] = ir.ArrayAttr.get([unsigned])
        end.operands[0] = value
        run_passes(module, "builtin.module(canonicalize)", one.layer)
        probed = tuple(value.type.shape)
        text = str(module)
    probe = replace(
        network,
        output_shape=probed[1:],
        output_format=one.codes,
        lowering=ApproxTexts(network.name, {batch: text}),
    )
    found = Evaluator(probe).outputs(x)
    return np.moveaxis(found, 0, place + 1).squeeze(place) if place else found


def _sample_axis(one: WeightedSum, shape: tuple[int, ...], batch: int) -> int:
    """Return the axis of a sum's codes in which samples lie: the first, or one of size 1."""
    if shape[0] == batch:
        return 0
    paired = {axis for axis, _ in one.shared}
    axes = [axis for axis, size in enumerate(shape) if size == batch == 1 and axis not in paired]
    if not axes:
        raise UnsupportedError(
            f"layer '{one.layer}': what its sums read ({'x'.join(map(str, shape))}) has no axis of "
            f"{batch} sample{'s' * (batch > 1)}; its codes can't be counted"
        )
    return axes[0]


def _as_one_sample(value: Any, shape: tuple[int, ...], end: Any) -> Any:
    """Return a tensor with an axis of size 1 in front, made before the last op of a block."""
    from mlir import ir
    from mlir.dialects import tensor

    wide = (1, *shape)
    groups = [[0, 1], *([axis] for axis in range(2, len(wide)))]
    with ir.InsertionPoint(end), ir.Location.unknown(value.context):
        kind = ir.RankedTensorType.get(wide, value.type.element_type)
        return tensor.ExpandShapeOp(kind, value, groups, [], wide).result


def product_table(instance: Instance, one: WeightedSum) -> np.ndarray:
    """Return what a core gives for every product, int64, [codes, weights], both ascending.

    Raises:
      UnsupportedError: operands of more than 10 bits.
    """
    width, signed = one.operands.width, one.operands.is_signed
    if width > _MOST_BITS:
        raise UnsupportedError(
            f"layer '{one.layer}': {instance.label} has operands of {width} bits; tables of "
            f"products have at most {_MOST_BITS}"
        )
    kernel = compile_elementwise(derive_models({"product": instance}))
    kind = kernel.dtypes("product")[0]
    numbers = np.arange(1 << width, dtype=np.int64) - (signed << width - 1)
    bits = (numbers & ((1 << width) - 1)).astype(kind)
    a, b = np.repeat(bits, len(bits)), np.tile(bits, len(bits))
    if one.is_swapped:
        a, b = b, a
    found = kernel("product", a, b).astype(np.int64) & ((1 << one.result.width) - 1)
    if signed:
        found -= (found >> (one.result.width - 1)) << one.result.width
    return found.reshape(len(bits), len(bits))


def pairs(one: WeightedSum, codes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return how often each number of a code meets each of a weight, float64[codes, weights].

    Where windows move over codes, all of them count alike, those at the edges too.

    Args:
      codes: what the sum reads, [samples, ..].
      weights: what it reads of its weights (`WeightedSum.part`).
    """
    low, high = (int(end) for end in one.operands.range)
    size = high - low + 1

    def counted(array: np.ndarray, axes: list[int]) -> np.ndarray:
        rows = np.moveaxis(array, axes, range(len(axes))).astype(np.int64)
        rows = rows.reshape(int(np.prod([array.shape[axis] for axis in axes], dtype=int)), -1)
        places = np.arange(len(rows))[:, None] * size + rows - low
        return np.bincount(places.ravel(), minlength=len(rows) * size).reshape(-1, size)

    met = counted(codes, [axis for axis, _ in one.shared]).astype(np.float64).T
    return met @ counted(weights, [axis for _, axis in one.shared])


def histogram(codes: np.ndarray, format: NumberFormat) -> np.ndarray:
    """Return the shares of all numbers of a format, ascending, among codes."""
    low, high = (int(end) for end in format.range)
    counts = np.bincount(codes.ravel().astype(np.int64) - low, minlength=high - low + 1)
    if not counts.sum():
        raise InputError("there are no samples")
    return counts / counts.sum()


def errors_of_sums(
    one: WeightedSum, table: np.ndarray, codes: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of a core's error in each output, codes taken for independent.

    Args:
      table: what the core gives (`product_table`).
      codes: that the sums read, of some samples.
      weights: that they multiply (`WeightedSum.part`).

    Returns:
      float64[outputs] each, in the order of the weights' `filter_axes`.
    """
    low, high = (int(end) for end in one.operands.range)
    numbers = np.arange(low, high + 1, dtype=np.float64)
    shares = np.zeros(len(numbers))
    begin, end = (int(edge) for edge in one.codes.range)
    shares[begin - low : end - low + 1] = histogram(codes, one.codes)
    error = table - np.outer(numbers, numbers)
    mean, square = shares @ error, shares @ error**2  # by weight
    front = range(len(one.filter_axes))
    places = np.moveaxis(weights, one.filter_axes, front).astype(np.int64) - low
    outputs = int(np.prod([weights.shape[axis] for axis in one.filter_axes], dtype=int))
    places = places.reshape(outputs, -1)
    return mean[places].sum(1), (square - mean**2)[places].sum(1)
