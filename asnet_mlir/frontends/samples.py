# SPDX-License-Identifier: Apache-2.0
"""Each sample of a batch must be computed by itself: decided on the StableHLO module.

A network is lowered for one sample (or for the batch that its file fixes) and evaluated on any
number of them.  So no element of a sample's output may depend on another sample, and all samples
must go through the same function, whatever their position and the size of the batch.  Every
operation is interpreted on `asnet_mlir.frontends.tensors.Tensor`; what that decides, and what it
can't, is in docs/decisions/0018-independent-samples.md.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.frontends import tensors
from asnet_mlir.frontends.constants import main_of
from asnet_mlir.frontends.induction import widened
from asnet_mlir.frontends.locations import describe_op
from asnet_mlir.frontends.tensors import Tensor

__all__ = ["SampleAnalysis", "analyze_samples", "check_sizes", "evaluator_of"]

#: Constants up to this size are computed with; larger ones are looked at as they are.
_COMPUTED = 1 << 20


@dataclass(frozen=True)
class _Found:
    """What an operation makes of samples.

    Attributes:
      mixed: an element depends on several samples; else they are treated by their position.
    """

    op: Any
    mixed: bool


def analyze_samples(name: str, module: Any, weights: Sequence[np.ndarray]) -> SampleAnalysis:
    """Analyze a module whose samples must be independent of each other and of their position.

    Args:
      name: of the network, for messages.
      module: jaxlib MLIR module of StableHLO, `@main(input, *weights)`, chlo legalized.
      weights: values of all arguments after the input.

    Raises:
      UnsupportedError: naming the op.
    """
    with module.context, np.errstate(all="ignore"):
        analysis = SampleAnalysis(module)
        try:
            result = analysis.run(weights)
        except tensors.TooLargeError:
            op = analysis.current
            raise UnsupportedError(
                f"{name}: can't tell whether {describe_op(op)} keeps the samples of a batch apart "
                "(it moves them in a pattern of too many elements); compute each sample by itself"
            ) from None
        whole = tensors.merge(result, 0)
        found = _irregular(whole, analysis.batch, analysis.returned, first=True)
        if found is not None:
            raise UnsupportedError(f"{name}: {_message(analysis.cause or found)}")
    return analysis


def check_sizes(name: str, one: SampleAnalysis, other: SampleAnalysis) -> bool:
    """Return whether two batch sizes of a function compute the same for a sample.

    Returns:
      False where they are written too differently to tell.

    Raises:
      UnsupportedError: they don't, naming the op.
    """
    if one.result_print() == other.result_print():
        return True
    if [op.name for op, _ in one.results] != [op.name for op, _ in other.results]:
        return False
    for (op, left), (_, right) in zip(one.results, other.results, strict=True):
        if left != right and left and right:
            raise UnsupportedError(
                f"{name}: what {describe_op(op)} computes for a sample depends on the size of its "
                f"batch ({one.batch} or {other.batch}); each sample must be computed by itself"
            )
    return False


def _message(found: _Found) -> str:
    what = describe_op(found.op)
    if found.mixed:
        return (
            f"{what} mixes the samples of a batch, so that the output of one depends on others; "
            "each sample must be computed by itself"
        )
    return (
        f"{what} treats the samples of a batch by their position in it; all must be computed in "
        "the same way"
    )


def _irregular(tensor: Tensor, size: int, op: Any, *, first: bool = False) -> _Found | None:
    """Return how a tensor is not one function of each sample.

    Args:
      first: the samples must be the first dimension.
    """
    lowest, highest = np.broadcast_arrays(tensor.lowest, tensor.highest)
    if bool(((lowest < highest) & (highest >= 0)).any()):
        return _Found(op, True)
    atoms = tensor.atoms
    if first:
        candidates = [0] if tensor.dims[0] == (size,) else []
        if size == 1:
            return None
        if not tensor.has_owner and 0 not in tensor.explicit and 0 not in tensor.axes:
            return None
    else:
        if not tensor.has_owner:
            return None
        candidates = [k for k in tensor.explicit if atoms[k] == size]
        if size == 1:
            return None
    for k in candidates:
        index = np.arange(size).reshape([-1 if j == k else 1 for j in range(len(atoms))])
        own = bool(((highest == index) | (highest < 0)).all())
        start = tensor.prints.take([0], axis=k)
        if own and k not in tensor.axes and bool((tensor.prints == start).all()):
            return None
    return _Found(op, False)


class SampleAnalysis:
    """The interpretation of one module.

    Attributes:
      batch: its size.
      results: the operations in their order, each with the fingerprint of its first result, that of
        one sample if there is one; nothing for constants.
      returned: the last operation.
      cause: the first operation on the way to the result that does not keep samples apart.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.main = main_of(module)
        self.batch = int(self.main.attributes["function_type"].value.inputs[0].shape[0])
        self.results: list[tuple[Any, bytes]] = []
        self.returned: Any = None
        self.current: Any = None
        self._functions = {
            op.attributes["sym_name"].value: op
            for op in module.operation.regions[0].blocks[0].operations
            if "sym_name" in op.attributes
        }
        self.cause: _Found | None = None

    def run(self, weights: Sequence[np.ndarray]) -> Tensor:
        """Interpret `@main` and return its result."""
        kinds = list(self.main.attributes["function_type"].value.inputs)
        values = [tensors.batch(tensors.tag("input"), kinds[0].shape)]
        for index, kind in enumerate(kinds[1:]):
            known = weights[index]
            values.append(
                tensors.symbol(tensors.tag(f"weight {index}"), kind.shape)
                if known.size > _COMPUTED
                else tensors.constant(known)
            )
        (self._output,), (self.cause,) = self._function(self.main, values, [None] * len(values))
        return self._output

    def result_print(self) -> bytes:
        """Return the fingerprint of what is computed for a sample."""
        return _sample_print(self._output)

    def first_difference(self, other: SampleAnalysis) -> str:
        """Return where another batch size begins to be written differently."""
        for (op, left), (theirs, right) in zip(self.results, other.results, strict=False):
            if op.name != theirs.name or (left and right and left != right):
                return f"beginning at {describe_op(op)}"
        return "which has other operations"

    def _function(
        self, function: Any, arguments: Sequence[Tensor], causes: Sequence[_Found | None]
    ) -> tuple[list[Tensor], list[_Found | None]]:
        """Interpret a function.

        Args:
          causes: of each argument the first op on its way that does not keep samples apart.

        Returns:
          The results, and the same of them.
        """
        block = function.regions[0].blocks[0]
        values = dict(zip(block.arguments, arguments, strict=True))
        found = dict(zip(block.arguments, causes, strict=True))
        return self._block(block, values, found)

    def _block(
        self, block: Any, values: dict[Any, Tensor], found: dict[Any, _Found | None]
    ) -> tuple[list[Tensor], list[_Found | None]]:
        """Interpret a block whose arguments have `values`, and causes `found`."""
        for view in block.operations:
            op = view.operation
            operands = [values[value] for value in op.operands]
            before = [found[value] for value in op.operands]
            if op.name in ("func.return", "stablehlo.return"):
                self.returned = op
                return operands, before
            self.current = op
            if op.name == "func.call":
                callee = self._functions[op.attributes["callee"].value]
                results, after = self._function(callee, operands, before)
            elif op.name == "stablehlo.while":
                results, after = self._loop(op, values, found)
            else:
                if op.name == "stablehlo.gather":
                    operands += _joined_parts(op, values)
                results = _interpret(op, operands)
                earliest = next((cause for cause in before if cause is not None), None)
                after = []
                for result, value in zip(op.results, results, strict=True):
                    assert value.shape == tuple(result.type.shape), (op.name, value.dims)
                    own = _irregular(value, self.batch, op)
                    after.append(own and (earliest or own))
                is_known = results[0].known is not None
                self.results.append((op, b"" if is_known else _sample_print(results[0])))
            values.update(zip(op.results, results, strict=True))
            found.update(zip(op.results, after, strict=True))
        raise AssertionError("a block without a return")

    def _loop(
        self, op: Any, outer: Mapping[Any, Tensor], found: Mapping[Any, _Found | None]
    ) -> tuple[list[Tensor], list[_Found | None]]:
        """Interpret a loop by what is true of all its iterations (`induction.py`)."""
        condition, body = (region.blocks[0] for region in op.regions)
        start = [outer[value] for value in op.operands]
        causes = [found[value] for value in op.operands]
        begin = len(self.results)
        decided: list[Tensor] = []

        def step(state: list[Tensor]) -> list[Tensor]:
            nonlocal causes
            del self.results[begin:]
            own = {**found, **dict(zip(condition.arguments, causes, strict=True))}
            decided[:], _ = self._block(
                condition, {**outer, **dict(zip(condition.arguments, state, strict=True))}, own
            )
            own = {**found, **dict(zip(body.arguments, causes, strict=True))}
            values = {**outer, **dict(zip(body.arguments, state, strict=True))}
            after, mixed = self._block(body, values, own)
            causes = [old or new for old, new in zip(causes, mixed, strict=True)]
            return after

        claims = widened(f"loop {begin}", start, step)
        if claims is None or decided[0].has_owner:
            # How often it runs may depend on a sample: nothing is known of what it gives.
            results = _opaque(op, start)
            return results, [_irregular(value, self.batch, op) for value in results]
        state, after = claims
        parts = [*start, *after, *decided]
        digest = tensors.tag(repr([_sample_print(part) for part in parts]))
        results = [
            Tensor(
                claim.dims,
                tensors.mix(claim.prints, digest),
                claim.lowest,
                claim.highest,
                claim.axes,
            )
            for claim in state
        ]
        self.results.append((op, _sample_print(results[0])))
        kept = [
            cause if _irregular(value, self.batch, op) else None
            for cause, value in zip(causes, results, strict=True)
        ]
        return results, kept


def _sample_print(tensor: Tensor) -> bytes:
    """Return the fingerprints of a tensor, those of one sample where it is one function of each."""
    prints = tensor.prints
    order = sorted(tensor.axes)
    axes = [order.index(k) for k in tensor.axes]
    prints = prints.squeeze(tuple(k for k, size in enumerate(prints.shape) if size == 1))
    for k in reversed(range(prints.ndim)):
        start = prints.take([0], axis=k)
        if bool((prints == start).all()):
            prints = start.squeeze(k)
    return repr((axes, prints.shape)).encode() + prints.tobytes()


# One operation


def evaluator_of(op: Any) -> Callable[..., np.ndarray | None]:
    """Return what computes the result of an operation on constants, given as arrays.

    It returns None where that can't be computed here.
    """
    name = op.name.removeprefix("stablehlo.")
    if name in _COMPUTE or name in ("compare", "convert"):
        function = _function_of(op, name)
        return function or (lambda *_: None)

    def interpreted(*arrays: np.ndarray) -> np.ndarray | None:
        values = [tensors.constant(np.asarray(array)) for array in arrays]
        return _interpret(op, values)[0].value

    return interpreted


def _interpret(op: Any, operands: Sequence[Tensor]) -> list[Tensor]:
    name = op.name.removeprefix("stablehlo.")
    if all(0 in result.type.shape for result in op.results):
        return [tensors.constant(np.zeros(result.type.shape, bool)) for result in op.results]
    rule = _RULES.get(name)
    if rule is not None:
        made = rule(op, operands)
        return made if isinstance(made, list) else [made]
    shapes = {value.shape for value in operands} | {tuple(r.type.shape) for r in op.results}
    if name in _ELEMENTWISE and len(shapes - {()}) <= 1:
        return [_elementwise(op, name, operands)]
    return _opaque(op, operands)


def _opaque(op: Any, operands: Sequence[Tensor]) -> list[Tensor]:
    """Return the results of an operation of which nothing is known: all depend on everything."""
    whole = [tensors.fold(value, range(len(value.dims)), 0) for value in operands]
    flat = [tensors.reshape(value, ()) for value in whole]
    base = tensors.combine(_tag_of(op), flat) if flat else tensors.symbol(_tag_of(op), ())
    return [_anywhere(base, number, result) for number, result in enumerate(op.results)]


def _anywhere(base: Tensor, number: int, result: Any) -> Tensor:
    tensor = tensors.symbol(tensors.mix(base.prints.reshape(()), number), result.type.shape)
    point = (1,) * len(tensor.atoms)
    return Tensor(
        tensor.dims,
        tensor.prints,
        base.lowest.reshape(point),
        base.highest.reshape(point),
        tensor.axes,
    )


def _tag_of(op: Any, *without: str) -> int:
    """Return the fingerprint of an operation: its attributes, regions and element types."""
    return tensors.tag(_text_of(op, without))


def _text_of(op: Any, without: Sequence[str] = ()) -> str:
    attributes = sorted(
        f"{name}={op.attributes[name]}" for name in op.attributes if name not in without
    )
    kinds = [str(result.type.element_type) for result in op.results]
    return " ".join([op.name, *attributes, *kinds, *map(_region_text, op.regions)])


def _region_text(region: Any) -> str:
    lines = []
    for block in region.blocks:
        numbers = {argument: str(n) for n, argument in enumerate(block.arguments)}
        for view in block.operations:
            op = view.operation
            for result in op.results:
                numbers[result] = str(len(numbers))
            used = [numbers.get(value, "outside") for value in op.operands]
            text = _text_of(op) if op.name != "stablehlo.return" else op.name
            lines.append(f"{text}({','.join(used)})")
    return "{" + ";".join(lines) + "}"


def _integers(op: Any, name: str) -> list[int]:
    return [int(value) for value in op.attributes[name]]


def _shape_of(op: Any) -> tuple[int, ...]:
    return tuple(op.results[0].type.shape)


# Element by element

_WORDS = (
    "abs add and atan2 bitcast_convert cbrt ceil clamp compare complex convert cosine "
    "count_leading_zeros divide exponential exponential_minus_one floor imag "
    "is_finite log log_plus_one logistic map maximum minimum multiply negate not or "
    "popcnt power real reduce_precision remainder round_nearest_afz "
    "round_nearest_even rsqrt select shift_left shift_right_arithmetic "
    "shift_right_logical sign sine sqrt subtract tan tanh xor "
)
_ELEMENTWISE = frozenset(_WORDS.split())

#: What is computed of constants, so that indices are known; anything else is only fingerprinted.
_COMPUTE: dict[str, Callable[..., np.ndarray]] = {
    "abs": np.abs,
    "add": np.add,
    "and": np.bitwise_and,
    "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
    "divide": lambda x, y: _quotient(x, y),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "multiply": np.multiply,
    "negate": np.negative,
    "not": np.invert,
    "or": np.bitwise_or,
    "remainder": lambda x, y: x - _quotient(x, y) * y,
    "select": np.where,
    "sign": np.sign,
    "subtract": np.subtract,
    "xor": np.bitwise_xor,
}
_OF_INTEGERS = ("divide", "remainder")
_COMPARE: dict[str, Callable[..., np.ndarray]] = {
    "EQ": np.equal,
    "NE": np.not_equal,
    "LT": np.less,
    "LE": np.less_equal,
    "GT": np.greater,
    "GE": np.greater_equal,
}


def _quotient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return integers divided and truncated."""
    down = x // y
    return down + ((down < 0) & (down * y != x))


def _elementwise(op: Any, name: str, operands: Sequence[Tensor]) -> Tensor:
    computed = _computed(op, name, operands)
    if computed is not None:
        return tensors.constant(computed)
    shape = _shape_of(op)
    wide = [
        value if value.shape == shape else tensors.expand_dims(value, shape, ())
        for value in operands
    ]
    predicate = wide[0].value if name == "select" else None
    if predicate is not None and bool((predicate == predicate.flat[0]).all()):
        # One of the two everywhere: the other one does not matter.
        return wide[1] if bool(predicate.flat[0]) else wide[2]
    if name in ("add", "multiply", "maximum", "minimum", "and", "or", "xor"):
        # Either order gives the same bits, NaNs' payloads apart.
        whole = [tensors.combine(_tag_of(op), pair) for pair in (wide, wide[::-1])]
        with np.errstate(over="ignore"):
            return Tensor(
                whole[0].dims,
                whole[0].prints + whole[1].prints,
                whole[0].lowest,
                whole[0].highest,
                whole[0].axes,
            )
    return tensors.combine(_tag_of(op), wide)


def _computed(op: Any, name: str, operands: Sequence[Tensor]) -> np.ndarray | None:
    """Return an operation's value where all its operands are known."""
    values = [value.value for value in operands]
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    function = _function_of(op, name)
    return None if function is None else function(*known)


def _function_of(op: Any, name: str) -> Callable[..., np.ndarray | None] | None:
    """Return what computes an elementwise operation on arrays; None where nothing does."""
    shape = _shape_of(op)
    kind = _DTYPES.get(str(op.results[0].type.element_type))
    if kind is None or math.prod(shape) > _COMPUTED:
        return None
    if name == "compare":
        compare = _COMPARE[_word(op.attributes["comparison_direction"])]
        return lambda *known: np.asarray(compare(*known))
    if name == "convert":
        return lambda known: _converted(known, kind)
    if name not in _COMPUTE:
        return None
    compute = _COMPUTE[name]

    def computed(*known: np.ndarray) -> np.ndarray | None:
        if name in _OF_INTEGERS and (known[0].dtype.kind not in "iu" or not known[-1].all()):
            return None  # also what is divided by 0
        return np.broadcast_to(compute(*known), shape).astype(kind)

    return computed


def _converted(known: np.ndarray, kind: np.dtype[Any]) -> np.ndarray | None:
    if known.dtype.kind in "fV" and kind.kind in "iu":
        return None  # what is out of range is left open
    return known != 0 if kind.kind == "b" else known.astype(kind)


def _word(attribute: Any) -> str:
    """Return `LT` for `#stablehlo<comparison_direction LT>`."""
    return re.findall(r"\w+", str(attribute))[-1]


# Constants

_DTYPES = {
    "i1": np.dtype(bool),
    **{f"i{n}": np.dtype(f"int{n}") for n in (8, 16, 32, 64)},
    **{f"ui{n}": np.dtype(f"uint{n}") for n in (8, 16, 32, 64)},
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
}


def _constant(op: Any, _: Sequence[Tensor]) -> Tensor:
    from jaxlib.mlir import ir

    kind = _DTYPES.get(str(op.results[0].type.element_type))
    shape = _shape_of(op)
    if kind is None:  # jaxlib raises when it meets an attribute of complex numbers
        return tensors.symbol(tensors.tag(str(op.results[0].type.element_type)), shape)
    value = op.attributes["value"]
    if not isinstance(value, ir.DenseElementsAttr):
        return tensors.symbol(_tag_of(op), shape)
    with contextlib.suppress(ValueError, TypeError, RuntimeError):
        if value.is_splat:
            element = value.get_splat_value()
            return tensors.constant(np.broadcast_to(np.array(element.value, kind), shape))
        array = np.array(value)
        if array.size == math.prod(shape):
            return tensors.constant(array.reshape(shape).astype(kind, copy=False))
    return tensors.symbol(_tag_of(op), shape)


def _iota(op: Any, _: Sequence[Tensor]) -> Tensor:
    shape = _shape_of(op)
    dim = int(op.attributes["iota_dimension"].value)
    kind = _DTYPES.get(str(op.results[0].type.element_type), np.dtype(np.int64))
    row = np.arange(shape[dim], dtype=kind).reshape(
        [-1 if d == dim else 1 for d in range(len(shape))]
    )
    return tensors.constant(np.broadcast_to(row, shape))


# Moving elements


def _broadcast(op: Any, operands: Sequence[Tensor]) -> Tensor:
    return tensors.expand_dims(operands[0], _shape_of(op), _integers(op, "broadcast_dimensions"))


def _broadcast_leading(op: Any, operands: Sequence[Tensor]) -> Tensor:
    shape = _shape_of(op)
    return tensors.expand_dims(
        operands[0], shape, range(len(shape) - len(operands[0].dims), len(shape))
    )


def _batch_norm(op: Any, operands: Sequence[Tensor]) -> Tensor:
    shape, feature = _shape_of(op), int(op.attributes["feature_index"].value)
    vectors = [tensors.expand_dims(vector, shape, [feature]) for vector in operands[1:]]
    return tensors.combine(_tag_of(op, "feature_index"), [operands[0], *vectors])


def _reshape(op: Any, operands: Sequence[Tensor]) -> Tensor:
    return tensors.reshape(operands[0], _shape_of(op))


def _transpose(op: Any, operands: Sequence[Tensor]) -> Tensor:
    return tensors.transpose(operands[0], _integers(op, "permutation"))


def _slice(op: Any, operands: Sequence[Tensor]) -> Tensor:
    result = operands[0]
    names = ("start_indices", "limit_indices", "strides")
    for dim, (start, limit, stride) in enumerate(
        zip(*(_integers(op, name) for name in names), strict=True)
    ):
        result = tensors.pick(result, dim, np.arange(start, limit, stride))
    return result


def _reverse(op: Any, operands: Sequence[Tensor]) -> Tensor:
    result = operands[0]
    for dim in _integers(op, "dimensions"):
        result = tensors.pick(result, dim, np.arange(result.shape[dim])[::-1])
    return result


def _pad(op: Any, operands: Sequence[Tensor]) -> Tensor:
    result, fill = operands
    names = ("edge_padding_low", "edge_padding_high", "interior_padding")
    for dim, (low, high, interior) in enumerate(
        zip(*(_integers(op, name) for name in names), strict=True)
    ):
        size = result.shape[dim]
        spread = np.full((size - 1) * (interior + 1) + 1, -1)
        spread[:: interior + 1] = np.arange(size)
        spread = spread[max(-low, 0) :]
        if high < 0:
            spread = spread[:high]
        holes = [np.full(max(count, 0), -1) for count in (low, high)]
        result = tensors.pick(result, dim, np.concatenate([holes[0], spread, holes[1]]), fill)
    return result


def _concatenate(op: Any, operands: Sequence[Tensor]) -> Tensor:
    return tensors.concatenate(operands, int(op.attributes["dimension"].value))


def _same(_: Any, operands: Sequence[Tensor]) -> list[Tensor]:
    return list(operands)


# Sums of products and windows


def _dot(op: Any, operands: Sequence[Tensor]) -> Tensor:
    from jaxlib.mlir.dialects import stablehlo

    numbers = stablehlo.DotDimensionNumbers(op.attributes["dot_dimension_numbers"])
    return _contract(
        _tag_of(op, "dot_dimension_numbers"),
        operands[0],
        operands[1],
        list(zip(numbers.lhs_batching_dimensions, numbers.rhs_batching_dimensions, strict=True)),
        list(
            zip(numbers.lhs_contracting_dimensions, numbers.rhs_contracting_dimensions, strict=True)
        ),
    )


def _plain_dot(op: Any, operands: Sequence[Tensor]) -> Tensor:
    """Return a product of vectors or matrices (`stablehlo.dot`, which TensorFlow writes)."""
    left, right = operands
    return _contract(_tag_of(op), left, right, [], [(len(left.dims) - 1, 0)])


def _contract(
    print_: int,
    left: Tensor,
    right: Tensor,
    batched: Sequence[tuple[int, int]],
    contracted: Sequence[tuple[int, int]],
) -> Tensor:
    """Return a sum of products: `[batched.., left's other.., right's other..]`."""
    used = ({a for a, _ in (*batched, *contracted)}, {b for _, b in (*batched, *contracted)})
    free = [
        [dim for dim in range(len(tensor.dims)) if dim not in own]
        for tensor, own in zip((left, right), used, strict=True)
    ]
    count = len(batched) + len(free[0]) + len(free[1])
    shape = [left.shape[a] for a, _ in batched]
    shape += [left.shape[dim] for dim in free[0]] + [right.shape[dim] for dim in free[1]]
    shape += [left.shape[a] for a, _ in contracted]
    wide = []
    for side, tensor in enumerate((left, right)):
        places = [0] * len(tensor.dims)
        for place, pair in enumerate(batched):
            places[pair[side]] = place
        for place, dim in enumerate(free[side]):
            places[dim] = len(batched) + (len(free[0]) if side else 0) + place
        for place, pair in enumerate(contracted):
            places[pair[side]] = count + place
        wide.append(tensors.expand_dims(tensor, shape, places))
    return _summed_product(print_, wide, count)


def _summed_product(print_: int, wide: Sequence[Tensor], count: int) -> Tensor:
    """Return the sum of products over all dimensions of two tensors but the first `count`."""
    # Either order of the operands, up to a transposition of the result.
    prints = [tensors.combine(print_, pair) for pair in (wide, wide[::-1])]
    with np.errstate(over="ignore"):
        product = Tensor(
            prints[0].dims,
            prints[0].prints + prints[1].prints,
            prints[0].lowest,
            prints[0].highest,
            prints[0].axes,
        )
    shape = product.shape
    summed = tensors.fold(product, range(count, len(shape)), print_)
    return tensors.reshape(summed, shape[:count])


def _einsum(op: Any, operands: Sequence[Tensor]) -> Tensor | list[Tensor]:
    """Return a sum of products by its letters (`bij,jk->bik`); `...` is what leads."""
    texts = re.split("->|,", op.attributes["einsum_config"].value.replace(" ", ""))
    shapes = [*(value.shape for value in operands), _shape_of(op)]
    names = []
    for text, shape in zip(texts, shapes, strict=True):
        more = "".join(map(str, range(len(shape) - len(text.replace("...", "")))))
        names.append(text.replace("...", more))
    if any(len(set(text)) < len(text) for text in names):
        return _opaque(op, operands)  # a diagonal
    sizes = {
        k: n
        for text, shape in zip(names, shapes, strict=True)
        for k, n in zip(text, shape, strict=True)
    }
    letters = [*names[-1], *sorted(sizes.keys() - set(names[-1]))]
    whole = [sizes[letter] for letter in letters]
    wide = [
        tensors.expand_dims(value, whole, [letters.index(letter) for letter in text])
        for value, text in zip(operands, names[:-1], strict=True)
    ]
    return _summed_product(_tag_of(op, "einsum_config"), wide, len(names[-1]))


def _convolution(op: Any, operands: Sequence[Tensor]) -> Tensor:
    from jaxlib.mlir.dialects import stablehlo

    numbers = stablehlo.ConvDimensionNumbers(op.attributes["dimension_numbers"])
    groups = int(op.attributes["feature_group_count"].value)
    batch_groups = int(op.attributes["batch_group_count"].value)
    shape = _shape_of(op)
    print_ = _tag_of(op, "dimension_numbers", "feature_group_count", "batch_group_count")
    left, right = operands
    spatial = list(numbers.input_spatial_dimensions)
    kernel = list(numbers.kernel_spatial_dimensions)
    outer = list(numbers.output_spatial_dimensions)
    for k, (dim, window, out) in enumerate(zip(spatial, kernel, outer, strict=True)):
        size = right.shape[window]
        if size == 1 and left.shape[dim] == shape[out] and _is_plain_window(op, k):
            continue
        left = tensors.blur(left, dim, shape[out], tensors.tag(f"window {k}"))
    right = tensors.fold(right, [d for d in kernel if right.shape[d] > 1], tensors.tag("kernel"))
    # As [batch, groups, features, space..] and [groups, outputs, features].
    left = tensors.transpose(
        left, [numbers.input_batch_dimension, numbers.input_feature_dimension, *spatial]
    )
    right = tensors.reshape(
        tensors.transpose(
            right,
            [numbers.kernel_output_feature_dimension, numbers.kernel_input_feature_dimension]
            + kernel,
        ),
        [
            right.shape[numbers.kernel_output_feature_dimension],
            right.shape[numbers.kernel_input_feature_dimension],
        ],
    )
    batch, features, *space = left.shape
    outputs, inputs = right.shape
    parts = groups * batch_groups
    right = tensors.reshape(right, [parts, outputs // parts, inputs])
    left = tensors.reshape(
        left, [batch_groups, batch // batch_groups, groups, features // groups, *space]
    )
    if batch_groups > 1:
        left = tensors.transpose(left, [0, 2, 1, 3, *range(4, 4 + len(space))])
    else:
        left = tensors.transpose(left, [2, 0, 1, 3, *range(4, 4 + len(space))])
    rest = batch // batch_groups
    left = tensors.reshape(left, [parts, rest, features // groups, *space])
    made = _contract(print_, left, right, [(0, 0)], [(2, 2)])
    # [parts, batch, space.., outputs]
    rank = 2 + len(space)
    made = tensors.transpose(made, [1, 0, rank, *range(2, rank)])
    made = tensors.reshape(made, [rest, outputs, *space])
    order = [0] * rank
    order[numbers.output_batch_dimension] = 0
    order[numbers.output_feature_dimension] = 1
    for k, dim in enumerate(outer):
        order[dim] = 2 + k
    return tensors.transpose(made, order)


def _is_plain_window(op: Any, k: int) -> bool:
    """Return whether a window of size 1 moves by one element, without padding."""

    def at(name: str, default: int) -> int:
        return int(op.attributes[name][k]) if name in op.attributes else default

    padding = op.attributes.get("padding")
    padded = padding is not None and bool(np.array(padding).reshape(-1, 2)[k].any())
    strides = (at("window_strides", 1), at("lhs_dilation", 1), at("base_dilations", 1))
    return not padded and strides == (1, 1, 1)


def _sort(op: Any, operands: Sequence[Tensor]) -> list[Tensor]:
    dim = int(op.attributes["dimension"].value)
    whole = tensors.combine(tensors.tag("sorted"), operands)
    if whole.shape[dim] > 1:
        whole = tensors.blur(whole, dim, whole.shape[dim], _tag_of(op, "dimension"))
    return [
        tensors.combine(tensors.tag(f"result {number}"), [whole]) for number in range(len(operands))
    ]


def _reduce(op: Any, operands: Sequence[Tensor]) -> list[Tensor]:
    count = len(operands) // 2
    dims = _integers(op, "dimensions")
    inits = [tensors.expand_dims(init, operands[0].shape, ()) for init in operands[count:]]
    whole = tensors.combine(tensors.tag("reduced"), [*operands[:count], *inits])
    body = [view.operation.name for view in op.regions[0].blocks[0].operations]
    idempotent = body in [
        [f"stablehlo.{name}", "stablehlo.return"] for name in ("maximum", "minimum", "and", "or")
    ]
    folded = tensors.fold(whole, dims, _tag_of(op, "dimensions"), idempotent=idempotent)
    folded = tensors.reshape(folded, _shape_of(op))
    return [tensors.combine(tensors.tag(f"result {number}"), [folded]) for number in range(count)]


def _windows(op: Any, operands: Sequence[Tensor]) -> list[Tensor]:
    count = len(operands) // 2
    shape = _shape_of(op)
    sizes = _integers(op, "window_dimensions")
    inits = [tensors.expand_dims(init, operands[0].shape, ()) for init in operands[count:]]
    whole = tensors.combine(tensors.tag("window's"), [*operands[:count], *inits])
    details = (
        "window_dimensions",
        "window_strides",
        "base_dilations",
        "window_dilations",
        "padding",
    )
    for dim, size in enumerate(sizes):
        if size == 1 and whole.shape[dim] == shape[dim] and _is_plain_window(op, dim):
            continue
        own = [str(_at(op, name, dim)) for name in details]
        whole = _window(op, whole, dim, shape[dim], tensors.tag(f"window {own}"))
    print_ = _tag_of(op, *details)
    return [tensors.combine(print_ ^ number, [whole]) for number in range(count)]


def _at(op: Any, name: str, dim: int) -> Any:
    if name not in op.attributes:
        return 1 if name != "padding" else [0, 0]
    array = op.attributes[name]
    if name == "padding":
        return np.array(array).reshape(-1, 2)[dim].tolist()
    return int(array[dim])


def _window(op: Any, tensor: Tensor, dim: int, count: int, print_: int) -> Tensor:
    """Return a window moved along a dimension: by its elements where they are told apart."""
    if not tensor.explicit.intersection(tensor.range_of(dim)):
        return tensors.blur(tensor, dim, count, print_)
    size, stride, base, dilation = (
        _at(op, name, dim)
        for name in ("window_dimensions", "window_strides", "base_dilations", "window_dilations")
    )
    low = _at(op, "padding", dim)[0]
    pieces = []
    for start in range(count):
        places = start * stride - low + np.arange(size) * dilation
        inside = (places >= 0) & (places % base == 0) & (places // base < tensor.shape[dim])
        index = places[inside] // base
        if not len(index):
            index = np.array([0])  # nothing but the initial value, which is in all of them
        part = tensors.pick(tensor, dim, index)
        pieces.append(tensors.fold(part, [dim], print_))
    return tensors.concatenate(pieces, dim)


def _select_and_scatter(op: Any, operands: Sequence[Tensor]) -> Tensor:
    operand, source, init = operands
    shape = _shape_of(op)
    sizes = _integers(op, "window_dimensions")
    print_ = _tag_of(op)
    for dim, size in enumerate(sizes):
        if size == 1 and source.shape[dim] == shape[dim] and _is_plain_window(op, dim):
            continue
        operand = tensors.blur(operand, dim, shape[dim], tensors.tag("chosen"))
        source = tensors.blur(source, dim, shape[dim], tensors.tag("scattered"))
    return tensors.combine(print_, [operand, source, tensors.expand_dims(init, shape, ())])


# Moving elements to where other elements say


def _dynamic_slice(op: Any, operands: Sequence[Tensor]) -> Tensor:
    result, *starts = operands
    for dim, (size, start) in enumerate(zip(_integers(op, "slice_sizes"), starts, strict=True)):
        result = _moved(result, dim, size, start, ())
    return result


def _moved(tensor: Tensor, dim: int, size: int, start: Tensor, places: Sequence[int]) -> Tensor:
    """Return `size` elements of a dimension from `start` on, whose dimensions are the tensor's
    `places`."""
    whole = tensor.shape[dim]
    if size == whole:
        return tensor
    value = start.value
    if value is not None and value.size and bool((value == value.flat[0]).all()):
        first = min(max(int(value.flat[0]), 0), whole - size)
        return tensors.pick(tensor, dim, np.arange(first, first + size))
    found = tensors.blur(tensor, dim, size, tensors.tag("moved"))
    index = tensors.expand_dims(start, found.shape, places)
    return tensors.combine(tensors.tag("index"), [found, index])


def _dynamic_update_slice(op: Any, operands: Sequence[Tensor]) -> Tensor:
    whole, update, *starts = operands
    shape = whole.shape
    parts = [dim for dim in range(len(shape)) if update.shape[dim] != shape[dim]]
    if not parts:
        return update
    if all(starts[dim].known is not None for dim in parts):
        if len(parts) == 1:
            dim = parts[0]
            size, own = shape[dim], update.shape[dim]
            start = min(max(int(np.asarray(starts[dim].value).flat[0]), 0), size - own)
            pieces = [
                tensors.pick(whole, dim, np.arange(start)) if start else None,
                update,
                tensors.pick(whole, dim, np.arange(start + own, size))
                if start + own < size
                else None,
            ]
            return tensors.concatenate([piece for piece in pieces if piece is not None], dim)
        index = [int(np.asarray(starts[dim].value).flat[0]) for dim in parts]
        text = tensors.tag(f"update at {index}")
    else:
        text = tensors.tag("update")
    for dim in parts:
        if whole.explicit.intersection(whole.range_of(dim)):
            whole = tensors.blur(whole, dim, shape[dim], text)
        update = tensors.blur(update, dim, shape[dim], text)
    wide = [tensors.expand_dims(start, shape, ()) for start in starts]
    return tensors.combine(text, [whole, update, *wide])


def _gather(op: Any, operands: Sequence[Tensor]) -> Tensor:
    from jaxlib.mlir.dialects import stablehlo

    tensor, indices, *parts = operands
    numbers = stablehlo.GatherDimensionNumbers(op.attributes["dimension_numbers"])
    sizes = _integers(op, "slice_sizes")
    vector = numbers.index_vector_dim
    offsets = list(numbers.offset_dims)
    collapsed = list(numbers.collapsed_slice_dims)
    paired = dict(
        zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)
    )
    shape = _shape_of(op)
    batch_places = [dim for dim in range(len(shape)) if dim not in offsets]
    components = _components(indices, vector, len(numbers.start_index_map), parts)
    mapped = dict(zip(numbers.start_index_map, components, strict=True))
    # The space of the result, with the operand's collapsed dimensions behind it.
    index_dims = [d for d in range(len(indices.shape)) if d != vector]
    place_of = {d: batch_places[n] for n, d in enumerate(index_dims)}
    kept = [d for d in range(len(tensor.dims)) if d not in collapsed and d not in paired]
    offset_of = dict(zip(kept, offsets, strict=True))
    lost = [d for d in collapsed if tensor.shape[d] > 1]
    extended = list(shape) + [tensor.shape[d] for d in lost]
    places = []
    for dim in range(len(tensor.dims)):
        if dim in paired:
            places.append(place_of[paired[dim]])
        elif dim in lost:
            places.append(len(shape) + lost.index(dim))
        elif dim in offset_of:
            places.append(offset_of[dim])
            extended[offset_of[dim]] = tensor.shape[dim]
        else:  # of size 1, and dropped
            places.append(-1)
    dropped = [dim for dim, place in enumerate(places) if place < 0]
    if dropped:
        left = [dim for dim in range(len(places)) if dim not in dropped]
        tensor = tensors.reshape(tensor, [tensor.shape[dim] for dim in left])
        places = [places[dim] for dim in left]
        mapped = {left.index(d): part for d, part in mapped.items() if d in left}
        lost = [left.index(d) for d in lost]
        offset_of = {left.index(d): place for d, place in offset_of.items() if d in left}
        sizes = [sizes[dim] for dim in left]
    whole = tensors.expand_dims(tensor, extended, places)
    for dim, start in mapped.items():
        place = places[dim]
        size = sizes[dim]
        if size == whole.shape[place]:
            continue
        whole = _at_index(whole, place, size, start, batch_places)
    return tensors.reshape(whole, shape)


def _at_index(tensor: Tensor, dim: int, size: int, start: Tensor, places: Sequence[int]) -> Tensor:
    """Return `size` elements along a dimension from where `start` says for each place."""
    value, whole = start.value, tensor.shape[dim]
    varied = [n for n, d in enumerate(start.shape) if d > 1]
    if value is not None and size == 1 and len(varied) == 1:
        # Known for each index of one dimension: its elements are taken one by one.
        index = np.clip(value.reshape(-1), 0, whole - 1).astype(np.int64)
        place = places[varied[0]]
        if not {*tensor.explicit, *tensor.axes}.intersection(tensor.range_of(place)):
            return _taken(tensor, dim, index, place)
        rows = []
        for n, i in enumerate(index):
            row = tensors.pick(tensor, place, np.array([n]))
            rows.append(tensors.pick(row, dim, np.array([i])))
        return tensors.concatenate(rows, place) if len(rows) > 1 else rows[0]
    return _moved(tensor, dim, size, start, places)


def _taken(tensor: Tensor, dim: int, index: np.ndarray, place: int) -> Tensor:
    """Return a tensor, uniform along `place`, with the elements `index` of `dim` in their place."""
    one = tensors.pick(tensor, place, np.array([0]))
    picked = tensors.pick(one, dim, index)
    order = list(range(len(tensor.dims)))
    order[dim], order[place] = place, dim
    return tensors.transpose(picked, order)


def _joined_parts(op: Any, values: Mapping[Any, Tensor]) -> list[Tensor]:
    """Return what a gather's index vectors were put together of: something may be known of each."""
    source, numbers = op.operands[1].owner, op.attributes["dimension_numbers"]
    if getattr(source, "name", "") != "stablehlo.concatenate":
        return []
    from jaxlib.mlir.dialects import stablehlo

    dim = stablehlo.GatherDimensionNumbers(numbers).index_vector_dim
    parts = [values[value] for value in source.operands]
    joined = source.attributes["dimension"].value == dim
    return parts if joined and all(part.shape[dim] == 1 for part in parts) else []


def _components(indices: Tensor, vector: int, count: int, parts: Sequence[Tensor]) -> list[Tensor]:
    """Return the parts of index vectors, each without its dimension."""
    if vector == len(indices.shape):
        return [indices]
    shape = [size for dim, size in enumerate(indices.shape) if dim != vector]
    if not parts:
        parts = [tensors.pick(indices, vector, np.array([k])) for k in range(count)]
    return [tensors.reshape(part, shape) for part in parts]


_RULES: dict[str, Callable[[Any, Sequence[Tensor]], Tensor | list[Tensor]]] = {
    "batch_norm_inference": _batch_norm,
    "broadcast": _broadcast_leading,
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "constant": _constant,
    "convolution": _convolution,
    "dot": _plain_dot,
    "dot_general": _dot,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "einsum": _einsum,
    "gather": _gather,
    "iota": _iota,
    "optimization_barrier": _same,
    "pad": _pad,
    "reduce": _reduce,
    "reduce_window": _windows,
    "reshape": _reshape,
    "reverse": _reverse,
    "select_and_scatter": _select_and_scatter,
    "slice": _slice,
    "sort": _sort,
    "transpose": _transpose,
}
