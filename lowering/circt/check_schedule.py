"""Check that a scheduled module is one: what edits may have broken is named with its place.

Runs in CIRCT's process, where operations of the network are unregistered: nothing but this looks at
their attributes before they become hardware.  Checked are the attributes' types and ranges, the
units against the library and against the operations they compute, the addresses against the
memories, and the times at which operands are there (docs/decisions/0005-sequential-machine.md).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any

from circt import ir

__all__ = ["ScheduleError", "check_schedule"]

#: A result is latched the cycle after its unit's last, and can be an operand from the next on.
_ISSUE_TO_USE = 2

_NATURAL = ("start", "move", "latency", "memory", "unit", "memory_latency", "plain_latency")
_NATURAL += ("index", "input_words", "value")
_POSITIVE = ("trip", "ii", "interval")
_NAMES = ("layer", "alu", "weight")
_ARRAYS = ("strides", "lengths", "inputs", "results", "outputs")


class ScheduleError(Exception):
    """The input is not what approx-schedule writes."""


def check_schedule(module: ir.Module) -> None:
    """Check a scheduled module.

    Raises:
      ScheduleError: what is wrong, and where.
    """
    library = _library(module)
    for operation in _walk(module.operation):
        _check_attributes(operation)
    for function in module.body.operations:
        _Function(function.operation, library).check()


def _walk(operation: ir.Operation) -> Iterator[ir.Operation]:
    for region in operation.regions:
        for block in region:
            for child in block:
                yield child.operation
                yield from _walk(child.operation)


def _fail(operation: ir.Operation, text: str) -> ScheduleError:
    place = re.match(r'loc\("[^"]*":(\d+):(\d+)\)', str(operation.location))
    where = f"line {place[1]}, column {place[2]}: " if place else ""
    return ScheduleError(f"{where}'{operation.name}' {text}")


def _properties(operation: ir.Operation) -> dict[str, Any]:
    """Return the properties of an operation that is not registered, which only its text shows."""
    text = operation.get_asm(print_generic_op_form=True, large_elements_limit=1)
    found = re.search(r"<(\{.*?\})>", text.splitlines()[0])
    if found is None:
        return {}
    return {entry.name: entry.attr for entry in ir.DictAttr(ir.Attribute.parse(found[1]))}


def _library(module: ir.Module) -> dict[int, tuple[ir.Operation, dict[str, Any]]]:
    """Return the instances that the module's library declares, by ID."""
    found = {}
    for operation in module.body.operations:
        if operation.operation.name == "approx.library":
            for core in _walk(operation.operation):
                values = {name: _python(value) for name, value in _properties(core).items()}
                if isinstance(values.get("id"), int):
                    found[values["id"]] = (core, values)
    return found


def _python(attribute: ir.Attribute) -> Any:
    if isinstance(attribute, ir.DictAttr):
        return {entry.name: _python(entry.attr) for entry in attribute}
    if isinstance(attribute, ir.IntegerAttr | ir.StringAttr | ir.FlatSymbolRefAttr):
        return attribute.value
    return attribute


def _integer(operation: ir.Operation, name: str) -> int:
    if name not in operation.attributes:
        raise _fail(operation, f"has no '{name}'; run this version's approx-schedule")
    value = operation.attributes[name]
    if not isinstance(value, ir.IntegerAttr):
        raise _fail(operation, f"has '{name} = {value}', which is no integer")
    return value.value


def _check_attributes(operation: ir.Operation) -> None:
    for full in operation.attributes:
        value = operation.attributes[full]
        name = full.removeprefix("approx.")
        if name == full:
            continue
        if name in (*_NATURAL, *_POSITIVE):
            least = int(name in _POSITIVE)
            if _integer(operation, full) < least:
                raise _fail(operation, f"has '{full} = {value}'; it must be at least {least}")
        elif name in _NAMES and not (isinstance(value, ir.StringAttr) and value.value):
            raise _fail(operation, f"has '{full} = {value}', which is no name")
        elif name in _ARRAYS and not isinstance(value, ir.DenseI64ArrayAttr):
            raise _fail(operation, f"has '{full} = {value}', which is no array of i64")


class _Function:
    """A scheduled function; one without a schedule passes."""

    def __init__(self, function: ir.Operation, library: dict[int, Any]) -> None:
        self.function = function
        self.library = library
        self.units: dict[int, dict[str, Any]] = {}
        self.memories: list[dict[str, Any]] | None = None
        attributes = function.attributes
        if "approx.memories" in attributes:
            entries = ir.ArrayAttr(attributes["approx.memories"])
            self.memories = [_python(ir.DictAttr(entry)) for entry in entries]
        owner = function
        if "approx.units" in owner.attributes:
            for entry in ir.ArrayAttr(owner.attributes["approx.units"]):
                unit = _python(ir.DictAttr(entry))
                self.units[unit["id"]] = unit

    def check(self) -> None:
        for key, unit in self.units.items():
            self._check_unit(key, unit)
        if self.memories is None:
            return
        self.memory_latency = _integer(self.function, "approx.memory_latency")
        self.plain_latency = _integer(self.function, "approx.plain_latency")
        for operation in _walk(self.function):
            self._check_operation(operation)

    def _check_unit(self, key: int, unit: dict[str, Any]) -> None:
        """Compare what was scheduled with what the library declares now."""
        if not self.library:
            return
        if key not in self.library:
            raise _fail(self.function, f"was scheduled for instance {key}, which the library lacks")
        core, declared = self.library[key]
        for name in ("op", "module", "parameters", "latency"):
            if unit.get(name) != declared.get(name):
                raise _fail(
                    core,
                    f"{key} has {name} {declared.get(name)}, but was scheduled with "
                    f"{unit.get(name)}; run approx-schedule again",
                )

    def _check_operation(self, operation: ir.Operation) -> None:
        attributes = operation.attributes
        if "approx.memory" in attributes:
            _integer(operation, "approx.start")
            self._check_addresses(operation)
            if not operation.results:
                self._check_store(operation)
        if "approx.bits" in attributes:
            self._check_bits(operation)
        if "approx.unit" in attributes:
            key = _integer(operation, "approx.unit")
            unit = self.units.get(key)
            if unit is None:
                raise _fail(operation, f"uses unit {key}, which 'approx.units' lacks")
            kind = operation.name.removeprefix("approx.")
            if unit["op"] != kind:
                raise _fail(operation, f"uses unit {key}, which computes {unit['op']}")
            instance = _properties(operation).get("instance")
            if instance is not None and ir.IntegerAttr(instance).value != key:
                raise _fail(operation, f"is bound to {instance}, but uses unit {key}")
            latency = unit["latency"] + unit.get("pad", 0)
            if _integer(operation, "approx.latency") != latency:
                raise _fail(
                    operation,
                    f"has 'approx.latency = {_integer(operation, 'approx.latency')}', but unit "
                    f"{key} takes {latency} cycles",
                )
        if "approx.start" in attributes and "approx.memory" not in attributes:
            start = _integer(operation, "approx.start")
            for value in operation.operands:
                self._check_operand(operation, start, value)

    def _check_addresses(self, operation: ir.Operation) -> None:
        """Check that an access stays in its memory in all iterations of the loops around it."""
        memories = self.memories or []
        number = _integer(operation, "approx.memory")
        if number >= len(memories):
            raise _fail(operation, f"uses memory {number} of {len(memories)}")
        if "approx.strides" not in operation.attributes:
            raise _fail(operation, "has no 'approx.strides'")
        strides = list(ir.DenseI64ArrayAttr(operation.attributes["approx.strides"]))
        trips = []
        loop = operation.parent
        while loop is not None and "approx.trip" in loop.attributes:
            trips.insert(0, _integer(loop, "approx.trip"))
            loop = loop.parent
        if len(strides) != len(trips):
            raise _fail(operation, f"has {len(strides)} strides in {len(trips)} loops")
        base, memory = _integer(operation, "approx.base"), memories[number]
        ways = [stride * (trip - 1) for stride, trip in zip(strides, trips, strict=True)]
        first = base + sum(way for way in ways if way < 0)
        last = base + sum(way for way in ways if way > 0)
        if first < memory["base"] or last >= memory["base"] + memory["words"]:
            raise _fail(
                operation,
                f"has the addresses {first} to {last}, but '{memory['name']}' is at "
                f"{memory['base']} to {memory['base'] + memory['words'] - 1}",
            )

    def _check_bits(self, operation: ir.Operation) -> None:
        """Compare the word of a constant with its value; a NaN may be any."""
        value = _properties(operation).get("value")
        if not isinstance(value, ir.FloatAttr) or str(value.type) != "f32":
            return
        bits = _integer(operation, "approx.bits") & 0xFFFFFFFF
        number = value.value
        if number == number and bits != int.from_bytes(struct.pack(">f", number)):
            raise _fail(operation, f"has 'approx.bits = {bits:#x}', but the value {number}")

    def _check_operand(self, operation: ir.Operation, start: int, value: ir.Value) -> None:
        maker = self._maker(value)
        if maker is None or maker.block != operation.block:
            return
        if "approx.memory" in maker.attributes and "approx.move" not in maker.attributes:
            read = _integer(maker, "approx.start") + self.memory_latency
            if read != start:
                raise _fail(
                    operation, f"starts in cycle {start}, but an operand is read for cycle {read}"
                )
            return
        ready = self._ready(maker)
        if ready is not None and ready > start:
            raise _fail(
                operation, f"starts in cycle {start}, but an operand is there in cycle {ready}"
            )

    def _check_store(self, store: ir.Operation) -> None:
        if "approx.move" in store.attributes:
            ready = _integer(store, "approx.move") + self.plain_latency + _ISSUE_TO_USE
        else:
            maker = self._maker(store.operands[0])
            found = None
            if maker is not None and maker.block == store.block:
                found = self._ready(maker)
            if found is None:
                return
            ready = found
        start = _integer(store, "approx.start")
        if start != ready:
            raise _fail(
                store, f"writes in cycle {start} what the machine has in cycle {ready} only"
            )

    def _maker(self, value: ir.Value) -> ir.Operation | None:
        while not isinstance(value, ir.BlockArgument) and not isinstance(value.owner, ir.Block):
            owner = value.owner
            owner = getattr(owner, "operation", owner)
            if "approx.alias" not in owner.attributes:
                return owner
            value = owner.operands[0]
        return None

    def _ready(self, maker: ir.Operation) -> int | None:
        """Return the first cycle in which a result can be an operand; None for constants."""
        attributes = maker.attributes
        if "approx.move" in attributes:
            return _integer(maker, "approx.move") + self.plain_latency + _ISSUE_TO_USE
        if "approx.memory" in attributes or "approx.start" not in attributes:
            return None
        latency = self.plain_latency
        if "approx.unit" in attributes:
            latency = _integer(maker, "approx.latency")
        return _integer(maker, "approx.start") + latency + _ISSUE_TO_USE
