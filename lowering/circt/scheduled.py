# SPDX-License-Identifier: Apache-2.0
"""Read what `approx-schedule` decided from generic-form MLIR into plain Python objects.

Runs in CIRCT's process: the operations are unregistered there, and all that counts is in their
discardable attributes (lowering/Lowering.td describes them).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import circt
from circt import ir

__all__ = [
    "Access",
    "Constant",
    "Issue",
    "Kernel",
    "Loaded",
    "Loop",
    "Memory",
    "Operand",
    "Program",
    "ScheduleError",
    "Segment",
    "Timing",
    "Unit",
    "Value",
    "facts",
    "parse_module",
    "read_program",
    "to_python",
]


class ScheduleError(Exception):
    """The input is not what the scheduling passes write."""


@dataclass(frozen=True)
class Timing:
    """What the machine takes, in cycles.

    Attributes:
      fetch: from a row's name in pc to its execution; so many rows behind a branch are executed
        whether or not it is taken.
      issue_to_use: from an issue, the latency aside, until the result can be an operand.
      memory: from an address to the word as an operand.
      plain: in the plain logic, a register behind its result included.
    """

    fetch: int
    issue_to_use: int
    memory: int
    plain: int

    @property
    def plain_inside(self) -> int:
        """Cycles in the plain logic's module: of two or more, one is behind its result."""
        return min(self.plain, max(self.plain - 1, 1))

    def at_unit(self, issue: Issue) -> int:
        """Return the cycle in which operands lie at the unit; a register is behind its result."""
        return issue.start + self.issue_to_use - 1

    def latched(self, issue: Issue) -> int:
        """Return the cycle at whose end a result goes to its register."""
        return self.at_unit(issue) + issue.latency


@dataclass(frozen=True)
class Memory:
    """A buffer of the network and where its words lie; `contents` of constants, as bits."""

    name: str
    role: str
    bank: str
    base: int
    words: int
    contents: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Unit:
    """An instance of a core, and how many registers are behind its result."""

    id: int
    op: str
    module: str
    parameters: tuple[tuple[str, int], ...]
    latency: int
    pad: int = 0


@dataclass(frozen=True)
class Constant:
    """An immediate operand."""

    bits: int


@dataclass(frozen=True)
class Value:
    """An operand made by the issue whose `result` is this number."""

    number: int


@dataclass(frozen=True)
class Loaded:
    """An operand that comes from a memory's port in the cycle of the issue."""

    bank: str


Operand = Constant | Value | Loaded


@dataclass(frozen=True)
class Access:
    """One use of a memory's port: cycle, and address as base plus strides times iterations.

    `offset` is a word that is added to a read's address.
    """

    bank: str
    write: bool
    start: int
    base: int
    strides: tuple[int, ...]
    value: int | None = None
    memory: str = ""
    offset: Value | None = None


@dataclass(frozen=True)
class Issue:
    """What an issue slot starts.

    `unit` is an index into `Program.units`, None for plain logic; `function` names the plain
    function.  `condition` is the selector of a selection.
    """

    start: int
    function: str
    unit: int | None
    latency: int
    a: Operand
    b: Operand | None
    condition: Operand | None
    result: int


@dataclass(frozen=True)
class Kernel:
    """The rows that a loop repeats whose iterations overlap; lowering/schedule/Timing.h draws them.

    Attributes:
      fill: cycles until all iterations that overlap are under way.
      first: the first of the rows.
      rows: how many they are.
      passes: how often they are run; 0: each cycle has a row of its own.
    """

    fill: int
    first: int
    rows: int
    passes: int


@dataclass
class Segment:
    """Straight-line code: `length` cycles."""

    length: int
    issues: list[Issue] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)


@dataclass
class Loop:
    """A counted loop around segments and loops.

    Iterations of a loop around one segment may overlap: one begins every `interval` cycles, and the
    rows of `kernel` are repeated. So may its `runs`, if the loop around it has nothing else: the
    next run begins so many cycles behind the last iteration of this one.
    """

    trip: int
    layer: str | None
    body: list[Segment | Loop]
    interval: int | None = None
    runs: int = 1
    kernel: Kernel | None = None


@dataclass(frozen=True)
class Program:
    """A scheduled network."""

    name: str
    memories: tuple[Memory, ...]
    units: tuple[Unit, ...]
    timing: Timing
    body: list[Segment | Loop]
    takes_floats: bool = True

    def words(self, bank: str) -> int:
        """Return how many words `bank` has."""
        return max((m.base + m.words for m in self.memories if m.bank == bank), default=0)

    def stream(self, role: str) -> tuple[int, int]:
        """Return the first word and the number of words of the input or output."""
        found = [m for m in self.memories if m.role == role]
        first = min(m.base for m in found)
        return first, max(m.base + m.words for m in found) - first

    def input_sizes(self) -> list[int]:
        """Return the words of each input, in the order in which they are received."""
        inputs = [memory for memory in self.memories if memory.role == "input"]
        return [memory.words for memory in sorted(inputs, key=lambda memory: memory.base)]


def parse_module(text: str, context: ir.Context) -> ir.Module:
    """Parse MLIR text with every dialect of CIRCT registered and all others let through."""
    circt.register_dialects(context)
    context.allow_unregistered_dialects = True
    with context:
        return ir.Module.parse(text)


def read_program(module: ir.Module) -> Program:
    """Return the program of the module's one scheduled function.

    Raises:
      ScheduleError: there is none, or more than one.
    """
    functions = [
        op.operation for op in module.body.operations if "approx.lengths" in op.operation.attributes
    ]
    if len(functions) != 1:
        raise ScheduleError(
            f"expected one scheduled function, got {len(functions)}; run approx-schedule first"
        )
    return _Reader(functions[0]).program()


def takes_floats(function: ir.Operation) -> bool:
    """Whether a function's first argument, the network's input, is of f32."""
    inputs = ir.FunctionType(ir.TypeAttr(function.attributes["function_type"]).value).inputs
    return bool(str(ir.ShapedType(inputs[0]).element_type) == "f32")


def _integer(operation: ir.Operation, name: str) -> int:
    if name not in operation.attributes:
        raise ScheduleError(
            f"'{operation.name}' has no '{name}'; run this version's approx-schedule"
        )
    return ir.IntegerAttr(operation.attributes[name]).value


def facts(operation: ir.Operation, name: str) -> dict[str, int]:
    """Return the numbers of a dictionary on an operation.

    Raises:
      ScheduleError: it has none.
    """
    if name not in operation.attributes:
        raise ScheduleError(
            f"'{operation.name}' has no '{name}'; run the scheduling pass of this version"
        )
    found: dict[str, int] = to_python(operation.attributes[name])
    return found


def to_python(attribute: ir.Attribute) -> Any:
    """Return an attribute as dictionaries, lists, tuples, strings and numbers."""
    if isinstance(attribute, ir.DictAttr):
        return {entry.name: to_python(entry.attr) for entry in attribute}
    if isinstance(attribute, ir.StringAttr | ir.FlatSymbolRefAttr):
        return attribute.value
    if isinstance(attribute, ir.IntegerAttr):
        return attribute.value
    if isinstance(attribute, ir.ArrayAttr):
        return [to_python(entry) for entry in attribute]
    return tuple(attribute)


def _named_entries(attribute: ir.Attribute) -> Iterator[dict[str, Any]]:
    for entry in ir.ArrayAttr(attribute):
        dictionary = ir.DictAttr(entry)
        yield {dictionary[i].name: to_python(dictionary[i].attr) for i in range(len(dictionary))}


class _Reader:
    def __init__(self, function: ir.Operation) -> None:
        self.function = function
        attributes = function.attributes
        self.name = ir.StringAttr(attributes["sym_name"]).value if "sym_name" in attributes else ""
        self.memories = tuple(
            Memory(
                name=entry["name"],
                role=entry["role"],
                bank=entry["bank"],
                base=entry["base"],
                words=entry["words"],
                contents=(
                    tuple(word & 0xFFFFFFFF for word in entry["contents"])
                    if "contents" in entry
                    else None
                ),
            )
            for entry in _named_entries(attributes["approx.memories"])
        )
        self.units = tuple(
            Unit(
                id=entry["id"],
                op=entry["op"],
                module=entry["module"],
                parameters=tuple(sorted(entry["parameters"].items())),
                latency=entry["latency"],
                pad=entry.get("pad", 0),
            )
            for entry in _named_entries(attributes["approx.units"])
        )
        self.unit_index = {unit.id: index for index, unit in enumerate(self.units)}
        self.numbers: dict[ir.Value, int] = {}
        self.timing = Timing(**facts(function, "approx.timing"))
        self.moves = 0

    def program(self) -> Program:
        return Program(
            name=self.name or "main",
            memories=self.memories,
            takes_floats=takes_floats(self.function),
            units=self.units,
            timing=self.timing,
            body=self.block(self.function),
        )

    def block(self, parent: ir.Operation) -> list[Segment | Loop]:
        lengths = tuple(ir.DenseI64ArrayAttr(parent.attributes["approx.lengths"]))
        items: list[Segment | Loop] = [Segment(lengths[0])]
        loops = 0
        for op in parent.regions[0].blocks[0].operations:
            operation = op.operation
            if "approx.trip" in operation.attributes:
                loops += 1
                layer = None
                if "approx.layer" in operation.attributes:
                    layer = ir.StringAttr(operation.attributes["approx.layer"]).value
                body = self.block(operation)
                interval, kernel = None, None
                if "approx.ii" in operation.attributes:
                    interval = _integer(operation, "approx.ii")
                    kernel = Kernel(**facts(operation, "approx.kernel"))
                trip = _integer(operation, "approx.trip")
                if "approx.overlap" in operation.attributes:
                    (inner,) = body
                    assert isinstance(inner, Loop)
                    inner.runs = trip
                items.append(Loop(trip, layer, body, interval, kernel=kernel))
                items.append(Segment(lengths[loops]))
            else:
                segment = items[-1]
                assert isinstance(segment, Segment)
                self.operation(operation, segment)
        return [item for item in items if isinstance(item, Loop) or item.length]

    def operation(self, operation: ir.Operation, segment: Segment) -> None:
        attributes = operation.attributes
        value = None
        if not operation.results and "approx.memory" in attributes:
            value = self.stored(operation)
        if "approx.memory" in attributes:
            memory = self.memories[_integer(operation, "approx.memory")]
            segment.accesses.append(
                Access(
                    bank=memory.bank,
                    write=not operation.results,
                    start=_integer(operation, "approx.start"),
                    base=_integer(operation, "approx.base"),
                    strides=tuple(ir.DenseI64ArrayAttr(attributes["approx.strides"])),
                    value=value,
                    memory=memory.name,
                    offset=self.offset(operation),
                )
            )
        if "approx.move" in attributes:
            if "approx.bits" in attributes:
                source: Operand = Constant(_integer(operation, "approx.bits") & 0xFFFFFFFF)
            elif operation.results:
                source = Loaded(self.memories[_integer(operation, "approx.memory")].bank)
            else:
                source = self.operand(operation.operands[0])
            start = _integer(operation, "approx.move")
            result = self.number(operation) if value is None else value
            segment.issues.append(
                Issue(start, "move", None, self.timing.plain, source, None, None, result)
            )
            return
        if "approx.memory" in attributes or "approx.start" not in attributes:
            return
        operands = [self.operand(value) for value in operation.operands]
        condition = operands.pop(0) if len(operands) == 3 else None
        unit = None
        function = "operate"
        latency = self.timing.plain
        if "approx.unit" in attributes:
            unit = self.unit_index[_integer(operation, "approx.unit")]
            latency = _integer(operation, "approx.latency")
        else:
            function = ir.StringAttr(attributes["approx.alu"]).value
        second = operands[1] if len(operands) > 1 else None
        segment.issues.append(
            Issue(
                start=_integer(operation, "approx.start"),
                function=function,
                unit=unit,
                latency=latency,
                a=operands[0],
                b=second,
                condition=condition,
                result=self.number(operation),
            )
        )

    def number(self, operation: ir.Operation) -> int:
        return self.numbers.setdefault(operation.results[0], len(self.numbers))

    def stored(self, store: ir.Operation) -> int:
        """Return the number of the value that `store` writes: a move's own, else the operand's."""
        if "approx.move" in store.attributes:
            self.moves += 1
            return -self.moves
        operand = self.operand(store.operands[0])
        if not isinstance(operand, Value):
            raise ScheduleError("a store takes its value from neither a unit nor a move")
        return operand.number

    def offset(self, load: ir.Operation) -> Value | None:
        """Return the word that is added to a load's address."""
        if "approx.offset" not in load.attributes:
            return None
        operand = self.operand(load.operands[_integer(load, "approx.offset")])
        if not isinstance(operand, Value):
            raise ScheduleError("an address takes a word from neither a unit nor a move")
        return operand

    def operand(self, value: ir.Value) -> Operand:
        if isinstance(value, ir.BlockArgument) or isinstance(value.owner, ir.Block):
            raise ScheduleError("an operand is a block argument")
        owner = value.owner
        while "approx.alias" in owner.attributes:
            owner = owner.operands[0].owner
        if "approx.move" not in owner.attributes:
            if "approx.bits" in owner.attributes:
                return Constant(_integer(owner, "approx.bits") & 0xFFFFFFFF)
            if "approx.memory" in owner.attributes:
                return Loaded(self.memories[_integer(owner, "approx.memory")].bank)
        return Value(self.number(owner))
