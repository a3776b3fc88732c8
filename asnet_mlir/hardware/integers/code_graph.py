# SPDX-License-Identifier: Apache-2.0
"""A bound network on integer codes as a graph of tensors: what `linalg` says, as plain data.

What depends on weights only is computed here (`Constant`), so what is left are the operations that
hardware does for each sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.hardware.integers.scalars import OPS, Body, Scalar, evaluate, wrapped
from asnet_mlir.ir import main_function, module_from_text

__all__ = [
    "Access",
    "Concat",
    "Generic",
    "Graph",
    "Node",
    "Pad",
    "Tensor",
    "gathered",
    "inputs",
    "read_graph",
]


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of one sample, or a constant.

    Attributes:
      shape: with the batch of 1.
      bits: of an element, a signless integer.
      constant: int64 of that shape, where it is known beforehand.
      of: the tensor of which this is another shape.
    """

    shape: tuple[int, ...]
    bits: int
    constant: np.ndarray | None = None
    of: Tensor | None = None

    @property
    def root(self) -> Tensor:
        """The tensor that a node gives, or the network's input."""
        return self if self.of is None else self.of.root

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Access:
    """Where an operand is read: `matrix @ loops + offsets` are its coordinates."""

    matrix: np.ndarray
    offsets: np.ndarray

    def flat(self, shape: Sequence[int]) -> tuple[np.ndarray, int]:
        """Return what a step of each loop adds to the element's number, and that of the first."""
        strides = np.array([int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))], int)
        if not len(shape):
            return np.zeros(self.matrix.shape[1], int), 0
        return strides @ self.matrix, int(strides @ self.offsets)


@dataclass(frozen=True, eq=False)
class Node:
    """An operation that gives `result`; `layer` is for messages and names."""

    layer: str
    result: Tensor


@dataclass(frozen=True, eq=False)
class Generic(Node):
    """A loop nest: `body` for each point, reduced into the value of `start`.

    Attributes:
      sizes: of the loops.
      reduced: which of them are reductions.
      operands: with their accesses, in the order of the body's arguments; the last argument is the
        value so far.
      result_access: where the result is written.
      start: of the sums; None where nothing is reduced.
    """

    sizes: tuple[int, ...]
    reduced: tuple[bool, ...]
    operands: tuple[tuple[Tensor, Access], ...]
    result_access: Access
    start: Tensor | None
    body: Body


@dataclass(frozen=True, eq=False)
class Pad(Node):
    """`x` with `value` around it."""

    x: Tensor
    low: tuple[int, ...]
    high: tuple[int, ...]
    value: int


@dataclass(frozen=True, eq=False)
class Concat(Node):
    """Tensors joined along an axis."""

    parts: tuple[Tensor, ...]
    axis: int


@dataclass(frozen=True, eq=False)
class Graph:
    """A network.

    Attributes:
      input, output: its edges.
      nodes: in an order in which they can be computed.
    """

    input: Tensor
    output: Tensor
    nodes: tuple[Node, ...]


def read_graph(text: str, weights: Mapping[str, np.ndarray]) -> Graph:
    """Return the graph of a bound network.

    Args:
      text: a module of the approx dialect on tensors, batch 1.
      weights: arrays by the names that arguments carry.

    Raises:
      UnsupportedError: it has something that is no arithmetic of integers, named with its layer.
    """
    with module_from_text(text) as module:
        return _Reader(weights).graph(main_function(module))


class _Reader:
    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self._weights = weights
        self._tensors: dict[Any, Tensor] = {}
        self._joined: dict[Any, tuple[Tensor, ...]] = {}  # parts of what is not whole yet
        self._nodes: list[Node] = []

    def graph(self, main: Any) -> Graph:
        block = main.regions[0].blocks[0]
        given = list(main.attributes["arg_attrs"])
        network_input = self._new(block.arguments[0])
        for argument, attributes in zip(list(block.arguments)[1:], given[1:], strict=True):
            array = self._weights[attributes["approx.weight"].value]
            self._new(argument, array if array.dtype.kind in "iu" else None)
        for op in block.operations:
            if op.operation.name == "func.return":
                output = self._tensors[op.operands[0]]
                if output.constant is not None:
                    raise UnsupportedError("the network's output does not depend on its input")
                return Graph(network_input, output, _live(self._nodes, output))
            self._op(op.operation)
        raise AssertionError("a function without a return")

    def _new(self, value: Any, constant: np.ndarray | None = None) -> Tensor:
        from mlir import ir

        kind = value.type
        shape = tuple(kind.shape)
        element = kind.element_type
        bits = ir.IntegerType(element).width if isinstance(element, ir.IntegerType) else 0
        known = None
        if constant is not None:
            known = wrapped(constant.astype(np.int64), bits).reshape(shape)
        self._tensors[value] = tensor = Tensor(shape, bits, known)
        return tensor

    def _op(self, op: Any) -> None:
        name, layer = op.name, _layer(op)
        reshapes = ("tensor.collapse_shape", "tensor.expand_shape", "tensor.cast")
        if name == "arith.constant":
            self._constant(op)
        elif name == "tensor.empty":
            self._new(op.results[0])
        elif name in reshapes:
            x = self._tensors[op.operands[0]]
            if x.constant is not None:
                self._new(op.results[0], x.constant)
            else:
                shape = tuple(op.results[0].type.shape)
                self._tensors[op.results[0]] = Tensor(shape, x.bits, None, x)
        elif name == "tensor.pad":
            self._pad(op, layer)
        elif name == "tensor.extract_slice":
            self._slice(op, layer)
        elif name == "tensor.insert_slice":
            self._insert(op, layer)
        elif name == "linalg.generic":
            for number in range(len(op.results)):
                self._generic(op, layer, number)
        else:
            raise UnsupportedError(f"hardware on integers has no {name} (layer '{layer}')")

    def _constant(self, op: Any) -> None:
        from mlir import ir

        value = op.results[0]
        if not isinstance(value.type, ir.ShapedType):
            return
        if not isinstance(value.type.element_type, ir.IntegerType):
            self._new(value)
            return
        attribute = ir.DenseElementsAttr(op.attributes["value"])
        if attribute.is_splat:
            splat = ir.IntegerAttr(attribute.get_splat_value()).value
            self._new(value, np.full(tuple(value.type.shape), splat, np.int64))
        else:
            self._new(value, np.array(attribute))

    def _pad(self, op: Any, layer: str) -> None:
        x = self._tensors[op.operands[0]]
        low, high = (tuple(op.attributes[f"static_{side}"]) for side in ("low", "high"))
        operations = list(op.regions[0].blocks[0].operations)
        value = _number(operations[-1].operands[0])
        if value is None or min(low + high) < 0:
            raise UnsupportedError(f"hardware pads with constants, not by less (layer '{layer}')")
        if x.constant is not None:
            pads = list(zip(low, high, strict=True))
            self._new(op.results[0], np.pad(x.constant, pads, constant_values=value))
        else:
            self._nodes.append(Pad(layer, self._new(op.results[0]), x, low, high, value))

    def _slice(self, op: Any, layer: str) -> None:
        x = self._tensors[op.operands[0]]
        offsets, sizes, steps = _static(op)
        shape = tuple(op.results[0].type.shape)
        if x.constant is not None:
            places = zip(offsets, sizes, steps, strict=True)
            index = tuple(slice(o, o + n * step, step) for o, n, step in places)
            self._new(op.results[0], x.constant[index].reshape(shape))
            return
        result = Tensor(sizes, x.bits)
        self._nodes.append(_copy(layer, result, x, Access(np.diag(steps), np.array(offsets))))
        self._tensors[op.results[0]] = Tensor(shape, x.bits, None, result)

    def _insert(self, op: Any, layer: str) -> None:
        """Parts that are inserted one after the other along an axis are a concatenation."""
        part, into = self._tensors[op.operands[0]], op.operands[1]
        offsets, sizes, steps = _static(op)
        shape = tuple(op.results[0].type.shape)
        axes = [axis for axis, size in enumerate(sizes) if size != shape[axis]]
        axis = axes[0] if axes else 0
        before = self._joined.get(into, ())
        if (
            len(axes) > 1
            or set(steps) != {1}
            or offsets[axis] != sum(p.shape[axis] for p in before)
        ):
            raise UnsupportedError(f"hardware joins tensors along one dimension (layer '{layer}')")
        constant = None if part.constant is None else part.constant.reshape(sizes)
        parts = (*before, Tensor(sizes, part.bits, constant, part))
        result = self._new(op.results[0])
        if offsets[axis] + sizes[axis] < shape[axis]:
            self._joined[op.results[0]] = parts
        else:
            self._nodes.append(Concat(layer, result, parts, axis))

    def _generic(self, op: Any, layer: str, number: int) -> None:
        """Read what gives one of an op's results."""
        inputs = next(iter(op.attributes["operandSegmentSizes"]))
        accesses = [_access(attribute.value) for attribute in op.attributes["indexing_maps"]]
        written = accesses[inputs + number]
        sizes = _sizes(op, accesses)
        reduced = tuple("reduction" in str(kind) for kind in op.attributes["iterator_types"])
        # Without a reduction what results begin with is read as other operands are.
        so_far = inputs + number if any(reduced) else None
        reader = _BodyReader(self._tensors, layer, len(sizes), so_far)
        body, used, loops = reader.read(op, number)
        if any(reduced) and any(i >= inputs for i in used):
            raise UnsupportedError(f"hardware of codes reduces one value (layer '{layer}')")
        operands = [(self._tensors[op.operands[i]], accesses[i]) for i in used]
        operands += [_numbers_of_loop(sizes, loop) for loop in loops]
        operands += reader.extracted
        start = None
        if so_far is not None:
            start = self._tensors[op.operands[so_far]]
            if start.constant is None:
                raise UnsupportedError(f"hardware sums from constants on (layer '{layer}')")
        for tensor, _ in operands:
            if not tensor.bits:
                raise UnsupportedError(f"hardware of codes has no f32 (layer '{layer}')")
        if all(tensor.constant is not None for tensor, _ in operands) and not any(reduced):
            arrays = [gathered(tensor, access, sizes) for tensor, access in operands]
            values = np.broadcast_to(evaluate(body, arrays), sizes)
            shape = tuple(op.results[number].type.shape)
            result = np.zeros(shape, np.int64)
            result.reshape(-1)[_places(written, shape, sizes)] = values
            self._new(op.results[number], result)
            return
        result_tensor = self._new(op.results[number])
        self._nodes.append(
            Generic(layer, result_tensor, sizes, reduced, tuple(operands), written, start, body)
        )


class _BodyReader:
    """Reads the body of an op into a `Body` whose arguments are the operands that it reads, the
    numbers of loops that it reads, what it extracts by them, and last the value so far: the
    argument `so_far` of the block.

    Attributes:
      extracted: tensors that are read by numbers of loops, and how.
    """

    def __init__(
        self, tensors: Mapping[Any, Tensor], layer: str, loops: int, so_far: int | None
    ) -> None:
        self.extracted: list[tuple[Tensor, Access]] = []
        self._loops = loops
        self._tensors = tensors
        self._layer = layer
        self._so_far = so_far
        self._ops: list[Scalar] = []
        self._places: dict[Any, int] = {}

    def read(self, op: Any, result_number: int) -> tuple[Body, list[int], list[int]]:
        """Return the body of a result, which operands it reads and which loops."""
        block = op.regions[0].blocks[0]
        *all_operations, ends = list(block.operations)
        operations = _needed_for(all_operations, ends.operands[result_number])
        read = {operand for inner in operations for operand in inner.operands}
        read.add(ends.operands[result_number])
        used = [i for i, x in enumerate(block.arguments) if i != self._so_far and x in read]
        extracts = {
            inner.results[0]: access
            for inner in operations
            if inner.operation.name == "tensor.extract" and (access := self._by_loops(inner))
        }
        self.extracted = list(extracts.values())
        others = [inner for inner in operations if inner.results[0] not in extracts]
        named = {operand for inner in others for operand in inner.operands}
        loops = sorted(
            {
                inner.attributes["dim"].value
                for inner in operations
                if inner.operation.name == "linalg.index" and inner.results[0] in named
            }
        )
        first_extract = len(used) + len(loops)
        for number, argument in enumerate(block.arguments):
            place = used.index(number) if number in used else first_extract + len(extracts)
            if argument in read:
                self._add(argument, Scalar("arg", (), _bits(argument), number=place))
        for inner in operations:
            if inner.operation.name == "linalg.index":
                loop = inner.attributes["dim"].value
                if loop in loops:
                    number = len(used) + loops.index(loop)
                    self._add(inner.results[0], Scalar("arg", (), 64, number=number))
            elif inner.results[0] in extracts:
                value = inner.results[0]
                number = first_extract + list(extracts).index(value)
                self._add(value, Scalar("arg", (), _bits(value), number=number))
            else:
                self._read_op(inner.operation)
        result = self._place(ends.operands[result_number])
        return Body(tuple(self._ops), result), used, loops

    def _add(self, value: Any, scalar: Scalar) -> None:
        self._places[value] = len(self._ops)
        self._ops.append(scalar)

    def _place(self, value: Any) -> int:
        if value not in self._places:
            number = _number(value)
            if number is None:
                raise UnsupportedError(
                    f"hardware of codes has no {value.type} (layer '{self._layer}')"
                )
            self._add(value, Scalar("const", (), _bits(value), number=number))
        return self._places[value]

    def _by_loops(self, op: Any) -> tuple[Tensor, Access] | None:
        """Return what an op extracts at coordinates that are numbers of loops or constants."""
        from mlir import ir

        rows, offsets = [], []
        for index in list(op.operands)[1:]:
            owner = index.owner
            number = _number(index)
            is_loop = not isinstance(owner, ir.Block) and owner.name == "linalg.index"
            if not is_loop and number is None:
                return None
            row = np.zeros(self._loops, int)
            if is_loop:
                row[owner.attributes["dim"].value] = 1
            rows.append(row)
            offsets.append(0 if is_loop or number is None else number)
        matrix = np.array(rows, int).reshape(len(rows), self._loops)
        return self._tensors[op.operands[0]], Access(matrix, np.array(offsets, int))

    def _read_op(self, op: Any) -> None:
        name = op.name.split(".", 1)[1]
        result = op.results[0]
        if op.name == "tensor.extract" and len(op.operands) == 2:
            table = self._tensors[op.operands[0]].constant
            if table is not None:
                index = self._place(op.operands[1])
                self._add(result, Scalar("lookup", (index,), _bits(result), table=table))
                return
        if name not in OPS or not _bits(result):
            raise UnsupportedError(
                f"hardware of codes has no {name} to {result.type} (layer '{self._layer}')"
            )
        predicate = _PREDICATES[op.attributes["predicate"].value] if name == "cmpi" else ""
        instance = op.attributes["instance"].value if "instance" in op.attributes else None
        self._add(
            result,
            Scalar(
                name,
                tuple(self._place(operand) for operand in op.operands),
                _bits(result),
                predicate,
                instance=instance,
                unsigned="is_unsigned" in op.attributes,
            ),
        )


def _needed_for(operations: Sequence[Any], value: Any) -> list[Any]:
    """Return which operations of a block a value comes from, in order."""
    needed, kept = {value}, []
    for op in reversed(operations):
        if any(result in needed for result in op.operation.results):
            kept.append(op.operation)
            needed.update(op.operation.operands)
    return kept[::-1]


_PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")


def _bits(value: Any) -> int:
    """Return the bits of a scalar; 64 of an index, 0 where it is no integer."""
    from mlir import ir

    if isinstance(value.type, ir.IndexType):
        return 64
    return ir.IntegerType(value.type).width if isinstance(value.type, ir.IntegerType) else 0


def _number(value: Any) -> int | None:
    """Return the integer that a value is by `arith.constant`."""
    from mlir import ir

    owner = value.owner
    if isinstance(owner, ir.Block) or owner.name != "arith.constant":
        return None
    attribute = owner.attributes["value"]
    if not isinstance(attribute, ir.IntegerAttr):
        return None
    number = ir.IntegerAttr(attribute).value
    if _bits(value) == 1:
        return int(bool(number))
    return int(number)


def _layer(op: Any) -> str:
    return op.attributes["approx.layer"].value if "approx.layer" in op.attributes else ""


def _static(op: Any) -> tuple[tuple[int, ...], ...]:
    """Return the offsets, sizes and steps of a slice."""
    return tuple(tuple(op.attributes[f"static_{what}"]) for what in ("offsets", "sizes", "strides"))


def _access(affine: Any) -> Access:
    """Return a map of MLIR as an access."""
    from mlir import ir

    loops = affine.n_dims

    def row(expression: Any) -> np.ndarray:
        """Return the factors of all loops, and a constant."""
        if isinstance(expression, ir.AffineDimExpr):
            return np.eye(loops + 1, dtype=int)[ir.AffineDimExpr(expression).position]
        if isinstance(expression, ir.AffineConstantExpr):
            return np.eye(loops + 1, dtype=int)[loops] * ir.AffineConstantExpr(expression).value
        if isinstance(expression, ir.AffineAddExpr):
            both = ir.AffineAddExpr(expression)
            return row(both.lhs) + row(both.rhs)
        if isinstance(expression, ir.AffineMulExpr):
            both = ir.AffineMulExpr(expression)
            left, right = row(both.lhs), row(both.rhs)
            return left * right[loops] if not right[:loops].any() else right * left[loops]
        raise UnsupportedError(f"hardware on integers has no access by {expression}")

    rows = [row(expression) for expression in affine.results]
    matrix = np.array(rows, int).reshape(len(rows), loops + 1)
    return Access(matrix[:, :loops], matrix[:, loops])


def _sizes(op: Any, accesses: Sequence[Access]) -> tuple[int, ...]:
    """Return how often each loop runs."""
    sizes = [0] * accesses[0].matrix.shape[1]
    for operand, access in zip(op.operands, accesses, strict=True):
        for axis, row in enumerate(access.matrix):
            (loops,) = np.nonzero(row)
            if len(loops) == 1 and row[loops[0]] == 1:
                sizes[loops[0]] = int(operand.type.shape[axis])
    return tuple(sizes)


def _places(access: Access, shape: Sequence[int], sizes: Sequence[int]) -> np.ndarray:
    """Return the number of the element at each point of a loop nest, int64[sizes]."""
    steps, first = access.flat(shape)
    place = np.full(tuple(sizes), first, np.int64)
    for loop, (size, step) in enumerate(zip(sizes, steps.tolist(), strict=True)):
        along = [1] * len(sizes)
        along[loop] = size
        place = place + (np.arange(size) * step).reshape(along)
    return place


def gathered(tensor: Tensor, access: Access, sizes: Sequence[int]) -> np.ndarray:
    """Return a constant's element at each point of a loop nest, int64[sizes]."""
    assert tensor.constant is not None
    return tensor.constant.reshape(-1)[_places(access, tensor.shape, sizes)]


def _numbers_of_loop(sizes: Sequence[int], loop: int) -> tuple[Tensor, Access]:
    """Return what a loop counts as an operand."""
    matrix = np.zeros((1, len(sizes)), int)
    matrix[0, loop] = 1
    counted = np.arange(sizes[loop])
    return Tensor((sizes[loop],), 64, counted), Access(matrix, np.zeros(1, int))


def _copy(layer: str, result: Tensor, x: Tensor, access: Access) -> Generic:
    """Return a node that copies what `access` reads."""
    body = Body((Scalar("arg", (), x.bits, number=0),), 0)
    loops = len(result.shape)
    whole = Access(np.eye(loops, dtype=int), np.zeros(loops, int))
    return Generic(layer, result, result.shape, (False,) * loops, ((x, access),), whole, None, body)


def _live(nodes: Sequence[Node], output: Tensor) -> tuple[Node, ...]:
    """Return the nodes that the output needs."""
    needed, kept = {output.root}, []
    for node in reversed(nodes):
        if node.result not in needed:
            continue
        kept.append(node)
        needed.update(tensor.root for tensor in inputs(node))
    return tuple(reversed(kept))


def inputs(node: Node) -> list[Tensor]:
    """Return the tensors that a node reads and that are computed for each sample."""
    if isinstance(node, Generic):
        tensors = [tensor for tensor, _ in node.operands]
    elif isinstance(node, Concat):
        tensors = list(node.parts)
    else:
        assert isinstance(node, Pad)
        tensors = [node.x]
    return [tensor for tensor in tensors if tensor.constant is None]
