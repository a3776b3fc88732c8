# SPDX-License-Identifier: Apache-2.0
"""Read what `approx-schedule-engines` decided from generic-form MLIR into plain Python objects.

Runs in CIRCT's process; see `scheduled.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from circt import ir
from scheduled import ScheduleError, Unit, facts, takes_floats, to_python

__all__ = [
    "Body",
    "Constant",
    "Engine",
    "EngineTiming",
    "Node",
    "Operand",
    "Stage",
    "Stream",
    "read_stream",
]


@dataclass(frozen=True)
class EngineTiming:
    """What engines take, in cycles.

    Attributes:
      memory: from an address to its word.
      operands: from an issue to its operands at a core's input.
      epilogue_operands: from an output's token to the words that its epilogue reads.
      sum_to_adder: of a sum's way back to its adder, the adder's latency aside.
      handover: from a slot of a buffer that was read to the first word that may be written there.
    """

    memory: int
    operands: int
    epilogue_operands: int
    sum_to_adder: int
    handover: int


@dataclass(frozen=True)
class Constant:
    """A word that is known."""

    bits: int


@dataclass(frozen=True)
class Operand:
    """A value of another layer, or a weight, that an engine reads by an address of its loops.

    Attributes:
      value: number of the value; None for a weight.
      weight: name of the weight.
      is_epilogue: read once an output instead of once a step.
      words: of a frame's buffer, or of the ROM.
      base, outer, inner: the address: base plus strides times iterations.
      frames: that the buffer holds; 0 where words are used as they come.
      shape, low, high, pad: of a buffer that is padded with the word `pad`.
      ranges, strides, lane_stride, source_base: where in the weight a ROM's words come from.
      write_ranges, write_strides: loops over the words as they come, and where they belong, if they
        do not come in row-major order.
    """

    value: int | None
    weight: str | None
    is_epilogue: bool
    words: int
    base: int
    outer: tuple[int, ...]
    inner: tuple[int, ...]
    frames: int = 0
    shape: tuple[int, ...] = ()
    low: tuple[int, ...] = ()
    high: tuple[int, ...] = ()
    pad: int = 0
    ranges: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    lane_stride: int = 0
    source_base: int = 0
    write_ranges: tuple[int, ...] = ()
    write_strides: tuple[int, ...] = ()


@dataclass(frozen=True)
class Node:
    """An operation of the datapath.

    `arguments` are names: `operand:<n>`, `accumulator`, `result` (of the body before), `node:<n>`;
    or constants.  `unit` is an index into the stream's units, None for plain logic.  Where
    `interval` is more than 1, operands keep still for so many cycles.
    """

    start: int
    latency: int
    unit: int | None
    function: str
    arguments: tuple[str | Constant, ...]
    interval: int = 1


@dataclass(frozen=True)
class Body:
    """What is computed once a step or once an output: nodes in order, and what is given on."""

    nodes: tuple[Node, ...]
    result: str | Constant


@dataclass(frozen=True)
class Engine:
    """The schedule of a stage; lowering/Lowering.td describes the numbers."""

    numbers: dict[str, Any]
    operands: tuple[Operand, ...]
    main: Body
    epilogue: tuple[Body, ...]

    @property
    def interval(self) -> int:
        """Cycles from one issue to the next."""
        return int(self.numbers.get("interval", 1))

    @property
    def epilogue_interval(self) -> int:
        """Cycles from one output to the next."""
        return int(self.numbers.get("epilogue_interval", 1))

    @property
    def is_queued(self) -> bool:
        """Whether finished slots wait in a queue, from which the epilogue takes outputs."""
        return "slot_fifo" in self.numbers

    def __getattr__(self, name: str) -> Any:
        """Return a number of the schedule."""
        try:
            return self.numbers[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True)
class Stage:
    """A layer or a part of one; `engine` is None where the sequential machine computes it.

    `orders` are then, for each input, the loops over its words as they come and where they belong;
    empty for row-major order.
    """

    index: int
    layer: str
    inputs: tuple[int, ...]
    results: tuple[int, ...]
    engine: Engine | None
    reason: str
    orders: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class Stream:
    """A network as stages and what passes between them."""

    timing: EngineTiming
    stages: tuple[Stage, ...]
    units: tuple[Unit, ...]
    outputs: tuple[int, ...]
    input_words: int
    takes_floats: bool


def read_stream(module: ir.Module) -> Stream:
    """Return the stages of a module.

    Raises:
      ScheduleError: the module is not what approx-schedule-engines writes.
    """
    units: list[Unit] = []
    stages: list[Stage] = []
    outputs: tuple[int, ...] | None = None
    input_words, floats = 0, True
    operations = [op.operation for op in module.body.operations]
    for operation in operations:
        if "approx.units" in operation.attributes:
            units += [
                Unit(**{**entry, "parameters": tuple(sorted(entry["parameters"].items()))})
                for entry in to_python(operation.attributes["approx.units"])
            ]
    index_of = {unit.id: index for index, unit in enumerate(units)}
    for operation in operations:
        attributes = operation.attributes
        if "approx.index" in attributes:
            stages.append(_stage(operation, index_of))
        elif "approx.outputs" in attributes:
            outputs = to_python(attributes["approx.outputs"])
            input_words = to_python(attributes["approx.input_words"])
            floats = takes_floats(operation)
            timing = EngineTiming(**facts(operation, "approx.timing"))
    if outputs is None or not stages:
        raise ScheduleError("no scheduled stages; run approx-schedule-engines first")
    return Stream(timing, tuple(stages), tuple(units), outputs, input_words, floats)


def _stage(function: ir.Operation, index_of: dict[int, int]) -> Stage:
    attributes = function.attributes
    engine, reason = None, ""
    orders: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = ()
    if "approx.engine" in attributes:
        bodies = [
            (op.operation.attributes, op.operation)
            for op in function.regions[0].blocks[0].operations
            if "approx.phase" in op.operation.attributes
        ]
        main = [op for a, op in bodies if to_python(a["approx.phase"]) == "main"]
        rest = [op for a, op in bodies if to_python(a["approx.phase"]) == "epilogue"]
        engine = Engine(
            to_python(attributes["approx.engine"]),
            tuple(_operand(entry) for entry in to_python(attributes["approx.operands"])),
            _body(main[0], index_of),
            tuple(_body(op, index_of) for op in rest),
        )
    else:
        reason = to_python(attributes["approx.machine"])
        orders = tuple(
            (order.get("ranges", ()), order.get("strides", ()))
            for order in to_python(attributes["approx.orders"])
        )
    return Stage(
        index=to_python(attributes["approx.index"]),
        layer=to_python(attributes["approx.stage"]) if "approx.stage" in attributes else "",
        inputs=to_python(attributes["approx.inputs"]),
        results=to_python(attributes["approx.results"]),
        engine=engine,
        reason=reason,
        orders=orders,
    )


def _operand(entry: dict[str, Any]) -> Operand:
    values = dict(entry)
    is_epilogue = values.pop("phase") == "epilogue"
    values["pad"] = values.get("pad", 0) & 0xFFFFFFFF
    return Operand(
        value=values.pop("value", None),
        weight=values.pop("weight", None),
        is_epilogue=is_epilogue,
        **values,
    )


def _body(operation: ir.Operation, index_of: dict[int, int]) -> Body:
    sources = to_python(operation.attributes["approx.sources"])
    words = to_python(operation.attributes["approx.bits"])
    block = operation.regions[0].blocks[0]
    names: dict[ir.Value, str | Constant] = {
        argument: Constant(word & 0xFFFFFFFF) if source == "constant" else source
        for argument, source, word in zip(block.arguments, sources, words, strict=True)
    }

    def name_of(value: ir.Value) -> str | Constant:
        if value in names:
            return names[value]
        owner = value.owner
        if isinstance(owner, ir.Block) or "approx.bits" not in owner.attributes:
            raise ScheduleError("an engine uses a value that is not scheduled")
        return Constant(to_python(owner.attributes["approx.bits"]) & 0xFFFFFFFF)

    nodes: list[Node] = []
    inside = [op.operation for op in block.operations]
    for op in inside[:-1]:
        attributes = op.attributes
        if "approx.start" not in attributes:
            continue
        is_unit = "approx.unit" in attributes
        nodes.append(
            Node(
                start=to_python(attributes["approx.start"]),
                latency=to_python(attributes["approx.latency"]) if is_unit else 0,
                unit=index_of[to_python(attributes["approx.unit"])] if is_unit else None,
                function="" if is_unit else to_python(attributes["approx.alu"]),
                arguments=tuple(name_of(value) for value in op.operands),
                interval=to_python(attributes["approx.interval"])
                if "approx.interval" in attributes
                else 1,
            )
        )
        names[op.results[0]] = f"node:{len(nodes) - 1}"
    return Body(tuple(nodes), name_of(inside[-1].operands[0]))
