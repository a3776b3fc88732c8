# SPDX-License-Identifier: Apache-2.0
"""Loops of StableHLO whose number of iterations is known become `scf.for`.

    stablehlo.while --calls inlined, counters evaluated--> scf.for over what is carried

Integers that an iteration computes of integers only (counters, positions) are *stepped*: they are
evaluated here, for each iteration.  So the number of iterations is known without matching any
pattern; slices whose position is stepped get a position that is linear in the loop's counter, and
other uses read a table.  What the body hands on unchanged is read from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.frontends.constants import main_of
from asnet_mlir.frontends.locations import describe_op
from asnet_mlir.frontends.samples import evaluator_of
from asnet_mlir.ir import walk

__all__ = [
    "as_type",
    "constant_of",
    "counted_loop",
    "extract",
    "inline_calls",
    "integer_constant",
    "rewrite_loops",
    "signless",
]

#: Iterations of one loop.
_MOST_TRIPS = 1 << 14
#: Elements of a value that is evaluated.
_MOST_ELEMENTS = 1 << 10
#: What the builders of MLIR's ops take for a position that is a value.
_DYNAMIC = -(1 << 63)

_Array = np.ndarray


def rewrite_loops(module: Any) -> None:
    """Replace every `stablehlo.while` of `@main`, outer ones first.

    Args:
      module: jaxlib MLIR module of StableHLO; changed.

    Raises:
      UnsupportedError: how often one runs, or where one writes, depends on data.
    """
    main = main_of(module)
    if main is None:
        return
    loops = [op for op in walk(main.operation) if op.name == "stablehlo.while"]
    if not loops:
        return
    inline_calls(module)
    for op in [op for op in walk(main.operation) if op.name == "stablehlo.while"]:
        _Loop(op).rewrite()


def inline_calls(module: Any) -> None:
    """Inline the calls in `@main`, in bodies of loops as well, where MLIR's own pass does not."""
    from jaxlib.mlir import ir

    functions = {
        op.attributes["sym_name"].value: op
        for op in module.operation.regions[0].blocks[0].operations
        if op.operation.name == "func.func"
    }
    pending = [op for op in walk(main_of(module).operation) if op.name == "func.call"]
    while pending:
        call = pending.pop()
        block = functions[call.attributes["callee"].value].regions[0].blocks[0]
        mapping = dict(zip(block.arguments, call.operands, strict=True))
        for view in block.operations:
            if view.operation.name == "func.return":
                for result, value in zip(call.results, view.operation.operands, strict=True):
                    result.replace_all_uses_with(mapping[value])
                break
            copy = view.operation.clone(ir.InsertionPoint(call))
            for op in walk(copy):
                op.location = ir.Location.callsite(op.location, [call.location])
                for number, value in enumerate(op.operands):
                    if value in mapping:
                        op.operands[number] = mapping[value]
                if op.name == "func.call":
                    pending.append(op)
            mapping.update(zip(view.operation.results, copy.results, strict=True))
        call.erase()


class _Loop:
    """One `stablehlo.while` and what is known of it before it runs.

    Attributes:
      op: it.
      carried: the numbers of the values that iterations hand on: neither stepped nor unchanged.
      trips: how often it runs.
      last: what stepped values are behind the last iteration, by number.
    """

    def __init__(self, op: Any) -> None:
        self.op = op
        self._condition, self._body = (region.blocks[0] for region in op.regions)
        self._keep_unchanged()
        self._trace()
        self.carried = [
            number
            for number in range(len(op.operands))
            if number not in self._unchanged and number not in self.last
        ]

    def _fail(self, why: str, op: Any = None) -> NoReturn:
        raise UnsupportedError(f"unsupported op {describe_op(op or self.op)}: {why}")

    # What is known

    def _keep_unchanged(self) -> None:
        """Read what the body hands on as it is from outside."""
        returned = list(_terminator(self._body).operands)
        self._unchanged = [
            number for number, value in enumerate(returned) if value == self._body.arguments[number]
        ]
        for number in self._unchanged:
            for block in (self._condition, self._body):
                block.arguments[number].replace_all_uses_with(self.op.operands[number])

    def _trace(self) -> None:
        """Run the loop on the integers that depend on nothing but such integers."""
        start = {
            number: value
            for number, operand in enumerate(self.op.operands)
            if number not in self._unchanged and (value := constant_of(operand)) is not None
        }
        returned = list(_terminator(self._body).operands)
        decided, body, after = self._collect(start, returned)
        ending = decided.place(_terminator(self._condition).operands[0])
        for operand in (value for op in _inner(self._body) for value in op.operands):
            body.place(operand)
        self.trips, state, rows = 0, list(start.values()), []
        while self._is_known(decided.run(state), ending):
            if self.trips == _MOST_TRIPS:
                self._fail(f"it runs more than {_MOST_TRIPS} times")
            self.trips += 1
            rows.append(body.run(state))
            state = [value for place in after if (value := rows[-1][place]) is not None]
            if len(state) < len(after):
                self._fail_of_data()
        self.last = dict(zip(start, state, strict=True))
        self._stepped = {}
        for value, place in body.changing().items():
            column = [number for row in rows if (number := row[place]) is not None]
            if len(column) == len(rows):
                self._stepped[value] = np.stack(column) if rows else np.zeros((0,), np.int64)

    def _collect(
        self, start: dict[int, _Array], returned: Sequence[Any]
    ) -> tuple[_Integers, _Integers, list[int]]:
        """Return what computes the condition and the body, and where the next values will be.

        What depends on anything else is taken out of `start`.
        """
        while True:
            decided = _Integers({self._condition.arguments[n]: start[n] for n in start})
            body = _Integers({self._body.arguments[n]: start[n] for n in start})
            after = {n: body.place(returned[n]) for n in start}
            places = [place for place in after.values() if place is not None]
            if len(places) == len(after):
                return decided, body, places
            for number in [n for n, place in after.items() if place is None]:
                del start[number]

    def _is_known(self, row: Sequence[_Array | None], place: int | None) -> bool:
        """Return whether the loop goes on, which must be known."""
        value = None if place is None else row[place]
        if value is None:
            self._fail_of_data()
        return bool(value)

    def _fail_of_data(self) -> NoReturn:
        self._fail(
            "how often it runs depends on data; a loop must run a number of times that is known "
            "when the network is loaded"
        )

    # The new loop

    def rewrite(self) -> None:
        """Replace the loop by an `scf.for`; its results by that one's, or by what is known."""
        from jaxlib.mlir import ir

        op = self.op
        with ir.InsertionPoint(op), op.location:
            loop, block = _empty_loop(
                self.trips, [signless(op.operands[number]) for number in self.carried]
            )
        self._counter = block.arguments[0]
        self._before = ir.InsertionPoint(loop)
        self._step()
        with ir.InsertionPoint(block), op.location:
            for argument, number in zip(list(block.arguments)[1:], self.carried, strict=True):
                old = self._body.arguments[number]
                old.replace_all_uses_with(as_type(argument, old.type))
        *ops, terminator = [view.operation for view in self._body.operations]
        returned = [terminator.operands[number] for number in self.carried]
        terminator.erase()
        for inner in reversed(ops):  # what is stepped is read by its like only
            if any(result in self._stepped for result in inner.results):
                inner.erase()
        for view in list(self._body.operations):
            block.append(view)
        with ir.InsertionPoint(block), op.location:
            ir.Operation.create("scf.yield", operands=[signless(value) for value in returned])
        with ir.InsertionPoint(op), op.location:
            self._replace_results(loop)
        op.erase()

    def _replace_results(self, loop: Any) -> None:
        given = dict(zip(self.carried, loop.results, strict=True))
        for number, result in enumerate(self.op.results):
            if number in given:
                value = as_type(given[number], result.type)
            elif number in self._unchanged:
                value = self.op.operands[number]
            else:
                value = integer_constant(result.type, self.last[number])
            result.replace_all_uses_with(value)

    def _step(self) -> None:
        """Replace what is stepped in the body where it is used by all other ops."""
        from jaxlib.mlir import ir

        stepped = self._stepped
        made: dict[Any, Any] = {}
        start = ir.InsertionPoint.at_block_begin(self._body)
        for op in _inner(self._body):
            if op.operation.block == self._body and any(r in stepped for r in op.results):
                continue
            if not any(value in stepped for value in op.operands):
                continue
            moved = _MOVES.get(op.name)
            if moved is not None and op.operation.block == self._body:
                with ir.InsertionPoint(op), op.location:
                    value = moved(self, op)
                if value is not None:
                    op.results[0].replace_all_uses_with(value)
                    op.erase()
                    continue
            is_end = op == _terminator(self._body)
            for number, value in enumerate(op.operands):
                if value not in stepped or (is_end and number not in self.carried):
                    continue
                if value not in made:
                    with start, op.location:
                        made[value] = self._materialized(value)
                op.operands[number] = made[value]

    def starts(self, values: Sequence[Any], sizes: Sequence[int], whole: Sequence[int]) -> Any:
        """Return where slices begin in each iteration, int64[dims, trips], in range; or None."""
        found = []
        for value, size, all_ in zip(values, sizes, whole, strict=True):
            if value in self._stepped:
                given: _Array | None = self._stepped[value]
            else:
                given = constant_of(value)
            if given is None:
                return None
            places = np.broadcast_to(np.asarray(given).reshape(-1), (self.trips,))
            found.append(np.clip(places.astype(np.int64), 0, all_ - size))
        return np.stack(found)

    def places(self, starts: _Array) -> list[Any] | None:
        """Return positions as numbers and values linear in the counter; None if they are not."""
        return linear_places(starts, self._counter)

    def table(self, values: _Array, kind: Any) -> Any:
        """Return what one of `values`, [trips, *shape], is in the present iteration."""
        from jaxlib.mlir import ir
        from jaxlib.mlir.dialects import stablehlo

        element = ir.IntegerType.get_signless(kind.element_type.width)
        is_bit = element.width == 1
        if is_bit:
            element = ir.IntegerType.get_signless(32)
        with self._before:
            whole = integer_constant(ir.RankedTensorType.get(values.shape, element), values)
        sizes = [1, *values.shape[1:]]
        row = extract(whole, [self._counter, *[0] * (values.ndim - 1)], sizes)
        row = stablehlo.reshape(ir.RankedTensorType.get(values.shape[1:], element), row)
        return stablehlo.convert(kind, row) if is_bit else as_type(row, kind)

    def _materialized(self, value: Any) -> Any:
        from jaxlib.mlir import ir

        values = self._stepped[value]
        kind = ir.RankedTensorType(value.type)
        if not len(values) or bool((values == values[0]).all()):
            return integer_constant(kind, values[0] if len(values) else np.zeros((), np.int64))
        return self.table(values, kind)


class _Integers:
    """Small arrays of integers that depend on some values and on constants only.

    What computes them is collected first, so that it can be run often.
    """

    def __init__(self, given: Mapping[Any, _Array]) -> None:
        """Make one that depends on the values `given`; the arrays are examples."""
        self._places: dict[Any, int | None] = {}
        self._row: list[_Array | None] = []
        self._steps: list[tuple[int, Callable[..., _Array | None], list[int]]] = []
        for value, array in given.items():
            self._places[value] = self._append(array)
        self._given = len(given)
        self._changes = set(range(self._given))

    def _append(self, array: _Array | None) -> int:
        self._row.append(array)
        return len(self._row) - 1

    def place(self, value: Any) -> int | None:
        """Return where in a row a value will be; None if it depends on anything else."""
        if value not in self._places:
            self._places[value] = self._find(value)
        return self._places[value]

    def _find(self, value: Any) -> int | None:
        from jaxlib.mlir import ir

        if isinstance(value.owner, ir.Block) or not _is_integer(value):
            return None
        op = value.owner.operation if hasattr(value.owner, "operation") else value.owner
        if len(op.regions):
            return None
        operands = []
        for operand in op.operands:
            place = self.place(operand)
            if place is None:
                return None
            operands.append(place)
        compute = evaluator_of(op)
        if not self._changes.isdisjoint(operands):
            place = self._append(None)
            self._steps.append((place, compute, operands))
            self._changes.add(place)
            return place
        known = compute(*(self._row[place] for place in operands))
        return None if known is None else self._append(known)

    def constant(self, value: Any) -> _Array | None:
        """Return a value that depends on constants only; None if it does not."""
        place = self.place(value)
        return None if place is None or place in self._changes else self._row[place]

    def changing(self) -> dict[Any, int]:
        """Return the places of the values that depend on what is given."""
        return {v: place for v, place in self._places.items() if place in self._changes}

    def run(self, given: Sequence[_Array | None]) -> list[_Array | None]:
        """Return the row of all values; None where one can't be computed."""
        row = [*given, *self._row[self._given :]]
        for place, compute, operands in self._steps:
            values = [row[operand] for operand in operands]
            row[place] = None if any(v is None for v in values) else compute(*values)
        return row


def constant_of(value: Any) -> _Array | None:
    """Return a small array of integers that depends on constants only; None of others."""
    return _Integers({}).constant(value)


def _empty_loop(trips: int, inits: Sequence[Any]) -> tuple[Any, Any]:
    """Return an `scf.for` at the insertion point, and its body, which lacks its end."""
    from jaxlib.mlir import ir

    for dialect in ("arith", "affine", "scf", "tensor"):
        ir.Context.current.get_dialect_descriptor(dialect)  # loads it
    kinds = [init.type for init in inits]
    bounds = [_index(value) for value in (0, trips, 1)]
    loop = ir.Operation.create("scf.for", results=kinds, operands=[*bounds, *inits], regions=1)
    return loop, loop.regions[0].blocks.append(ir.IndexType.get(), *kinds)


def counted_loop(
    trips: int, inits: Sequence[Any], body: Callable[[Any, Sequence[Any]], Sequence[Any]]
) -> list[Any]:
    """Return what is carried behind a loop of `trips` iterations, made at the insertion point.

    Args:
      inits: tensors without signs (`signless`).
      body: makes an iteration, given the counter and what is carried; it returns as much.
    """
    from jaxlib.mlir import ir

    loop, block = _empty_loop(trips, inits)
    with ir.InsertionPoint(block):
        results = body(block.arguments[0], list(block.arguments)[1:])
        ir.Operation.create("scf.yield", operands=list(results))
    return list(loop.results)


def linear_places(starts: _Array, counter: Any) -> list[Any] | None:
    """Return positions that follow a counter: numbers, and values where they move.

    Args:
      starts: int64[dims, trips].

    Returns:
      None where one is not linear in the counter.
    """
    from jaxlib.mlir import ir

    places: list[Any] = []
    for row in starts:
        first, step = (int(row[0]), int(row[1] - row[0])) if len(row) > 1 else (int(row.sum()), 0)
        if not np.array_equal(row, first + step * np.arange(len(row))):
            return None
        if step == 0:
            places.append(first)
        elif (first, step) == (0, 1):
            places.append(counter)
        else:
            dim = ir.AffineExpr.get_dim(0)
            map_ = ir.AffineMap.get(1, 0, [dim * step + first])
            places.append(
                ir.Operation.create(
                    "affine.apply",
                    results=[ir.IndexType.get()],
                    operands=[counter],
                    attributes={"map": ir.AffineMapAttr.get(map_)},
                ).result
            )
    return places


# Slices at stepped positions


def _dynamic_slice(loop: _Loop, op: Any) -> Any:
    from jaxlib.mlir import ir

    source, *starts = op.operands
    shape = list(ir.RankedTensorType(source.type).shape)
    sizes = [int(size) for size in op.attributes["slice_sizes"]]
    found = loop.starts(starts, sizes, shape)
    return None if found is None else _slice_at(loop, op, source, found, sizes)


def _slice_at(loop: _Loop, op: Any, source: Any, starts: _Array, sizes: Sequence[int]) -> Any:
    """Return a slice of `source`, of `op`'s element type."""
    from jaxlib.mlir import ir

    places = loop.places(starts)
    if places is None:
        loop._fail("it reads at positions that are no linear function of the iteration", op)
    kind = ir.RankedTensorType.get(sizes, ir.RankedTensorType(source.type).element_type)
    return as_type(extract(signless(source), places, sizes), kind)


def _dynamic_update_slice(loop: _Loop, op: Any) -> Any:
    from jaxlib.mlir import ir

    whole, update, *starts = op.operands
    kind = ir.RankedTensorType(whole.type)
    sizes = list(ir.RankedTensorType(update.type).shape)
    found = loop.starts(starts, sizes, kind.shape)
    if found is None:
        return None
    places = loop.places(found)
    if places is None:
        loop._fail("it writes at positions that are no linear function of the iteration", op)
    target = signless(whole)
    numbers, values = _positions(places)
    written = ir.Operation.create(
        "tensor.insert_slice",
        results=[target.type],
        operands=[signless(update), target, *values],
        attributes=_slice_attributes(numbers, sizes, [1, 1, len(values), 0, 0]),
    ).result
    return as_type(written, kind)


def _gather(loop: _Loop, op: Any) -> Any:
    """Return what a gather by a single index is: a slice, reshaped."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    source, indices = op.operands
    numbers = stablehlo.GatherDimensionNumbers(op.attributes["dimension_numbers"])
    table = loop._stepped.get(indices)
    starts_at = list(numbers.start_index_map)
    if table is None or table[0].size != len(starts_at) or len(numbers.operand_batching_dims):
        return None
    shape = list(ir.RankedTensorType(source.type).shape)
    sizes = [int(size) for size in op.attributes["slice_sizes"]]
    starts = np.zeros((len(shape), loop.trips), np.int64)
    for position, dim in enumerate(starts_at):
        starts[dim] = table.reshape(loop.trips, -1)[:, position]
    starts = np.clip(starts, 0, (np.array(shape) - np.array(sizes))[:, None])
    return stablehlo.reshape(op.results[0].type, _slice_at(loop, op, source, starts, sizes))


_MOVES = {
    "stablehlo.dynamic_slice": _dynamic_slice,
    "stablehlo.dynamic_update_slice": _dynamic_update_slice,
    "stablehlo.gather": _gather,
}


# Small parts


def _inner(block: Any) -> list[Any]:
    """Return the ops of a block and all that they hold."""
    return [op for view in block.operations for op in walk(view.operation)]


def _terminator(block: Any) -> Any:
    return block.operations[len(block.operations) - 1].operation


def _is_integer(value: Any) -> bool:
    """Return whether a value is a small array of integers or booleans."""
    from jaxlib.mlir import ir

    if not isinstance(value.type, ir.RankedTensorType):
        return False
    kind = ir.RankedTensorType(value.type)
    is_small = kind.has_static_shape and int(np.prod(kind.shape)) <= _MOST_ELEMENTS
    return is_small and isinstance(kind.element_type, ir.IntegerType)


def _index(value: int) -> Any:
    from jaxlib.mlir import ir

    index = ir.IndexType.get()
    number = ir.IntegerAttr.get(index, value)
    return ir.Operation.create(
        "arith.constant", results=[index], attributes={"value": number}
    ).result


def integer_constant(kind: Any, values: _Array) -> Any:
    """Return a constant of a tensor's type, of any integer type."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    kind = ir.RankedTensorType(kind)
    width = kind.element_type.width
    if width == 1:
        text = str(np.asarray(values, bool).tolist()).lower()
        shape = "x".join([*map(str, kind.shape), "i1"])
        return stablehlo.constant(ir.Attribute.parse(f"dense<{text}> : tensor<{shape}>"))
    sign = "u" if kind.element_type.is_unsigned else ""
    array = np.broadcast_to(values, kind.shape).astype(f"{sign}int{width}", order="C")
    return stablehlo.constant(ir.DenseElementsAttr.get(array, type=kind.element_type))


def signless(value: Any) -> Any:
    """Return a tensor as memory has it, and the loops of MLIR: integers without a sign."""
    from jaxlib.mlir import ir

    kind = ir.RankedTensorType(value.type)
    element = kind.element_type
    if isinstance(element, ir.IntegerType) and not element.is_signless:
        element = ir.IntegerType.get_signless(element.width)
    return as_type(value, ir.RankedTensorType.get(kind.shape, element))


def as_type(value: Any, kind: Any) -> Any:
    from jaxlib.mlir.dialects import stablehlo

    return value if value.type == kind else stablehlo.bitcast_convert(kind, value)


def _positions(places: Sequence[Any]) -> tuple[list[int], list[Any]]:
    """Return static positions, with a mark for those that are values, and these."""
    numbers = [place if isinstance(place, int) else _DYNAMIC for place in places]
    return numbers, [place for place in places if not isinstance(place, int)]


def extract(source: Any, places: Sequence[Any], sizes: Sequence[int]) -> Any:
    from jaxlib.mlir import ir

    numbers, values = _positions(places)
    element = ir.RankedTensorType(source.type).element_type
    return ir.Operation.create(
        "tensor.extract_slice",
        results=[ir.RankedTensorType.get(list(sizes), element)],
        operands=[source, *values],
        attributes=_slice_attributes(numbers, sizes, [1, len(values), 0, 0]),
    ).result


def _slice_attributes(
    offsets: Sequence[int], sizes: Sequence[int], segments: Sequence[int]
) -> dict[str, Any]:
    from jaxlib.mlir import ir

    return {
        "static_offsets": ir.DenseI64ArrayAttr.get(list(offsets)),
        "static_sizes": ir.DenseI64ArrayAttr.get(list(sizes)),
        "static_strides": ir.DenseI64ArrayAttr.get([1] * len(sizes)),
        "operandSegmentSizes": ir.DenseI32ArrayAttr.get(list(segments)),
    }
