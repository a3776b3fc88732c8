"""Assemble a scheduled network into the microprogram of the sequential machine.

A row is what the machine does in one cycle.  Its slots are independent of each other: one read of
the RAM, one of the ROM, one write to the RAM (each through an address register that may be stepped
in the same cycle), one issue, one result, one write to the registers, one action of the sequencer.
docs/decisions/0005-sequential-machine.md describes the timing that this file relies on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from scheduled import Access, Constant, Loaded, Loop, Operand, Program, Segment

__all__ = ["BRANCH_DELAY", "PORTS", "Field", "Microprogram", "assemble", "bits_for", "issue_field"]

#: Rows behind a branch that are executed whether or not it is taken: those already fetched.
BRANCH_DELAY = 2
#: Ports with address registers of their own.
PORTS = ("ram", "rom", "write")


@dataclass(frozen=True)
class Field:
    """A field of the control word."""

    name: str
    low: int
    width: int


@dataclass
class _Row:
    slots: dict[str, int] = field(default_factory=dict)
    registers: dict[str, int] = field(default_factory=dict)  # field -> value number
    notes: list[str] = field(default_factory=list)

    def put(self, **slots: int) -> None:
        for name, value in slots.items():
            if self.slots.get(name, value) != value:
                raise AssertionError(f"two users of {name} in one cycle")
            self.slots[name] = value


@dataclass(frozen=True)
class Microprogram:
    """The control words and what the hardware needs to know to decode them."""

    words: tuple[int, ...]
    fields: tuple[Field, ...]
    listing: str
    cycles: int
    a_sources: tuple[str, ...]
    b_sources: tuple[str, ...]
    condition_sources: tuple[str, ...]
    functions: tuple[str, ...]
    result_sources: tuple[int | None, ...]
    address_registers: dict[str, int]
    registers: int
    loop_counters: int
    layer_cycles: tuple[tuple[str, int], ...]

    @property
    def width(self) -> int:
        """Bits of a control word."""
        return sum(entry.width for entry in self.fields)


def bits_for(count: int) -> int:
    """Return the width that tells `count` things apart (0 for one)."""
    return max(count - 1, 0).bit_length()


def issue_field(program: Program, unit: int | None) -> str:
    """Return the name of the field that starts a unit, or the plain logic."""
    return "issue_plain" if unit is None else f"issue_unit_{program.units[unit].id}"


class _Assembler:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.rows: list[_Row] = []
        self.spans: list[tuple[int, int]] = []
        self.definitions: dict[int, int] = {}
        self.uses: dict[int, list[int]] = {}
        self.a_sources: set[str] = set()
        self.b_sources: set[str] = set()
        self.condition_sources: set[str] = set()
        self.functions: set[str] = set()
        self.result_sources: set[int | None] = set()
        self.address_registers = dict.fromkeys(PORTS, 0)
        self.loop_counters = 0
        self.result_rows: list[tuple[_Row, int | None]] = []
        self.function_rows: list[tuple[_Row, str]] = []
        self.layer_cycles: list[tuple[str, int]] = []

    # ---- Rows.

    def run(self) -> int:
        cycles = 0
        for item in self.program.body:
            cycles += self.nest(item)
        self.rows.append(_Row({"done": 1}, notes=["done"]))
        self.rows.append(_Row())  # already fetched when `done` is seen
        return cycles + 1

    def nest(self, item: Segment | Loop) -> int:
        """Emit an outermost loop or segment behind rows that set what its addresses start from."""
        first = len(self.rows)
        self.address_index: dict[int, int] = {}
        self.counter_index: dict[int, int] = {}
        preset: dict[str, list[Access]] = {port: [] for port in PORTS}
        loops: list[Loop] = []
        for part in _walk(item):
            if isinstance(part, Loop):
                self.counter_index[id(part)] = len(loops)
                loops.append(part)
                continue
            for access in part.accesses:
                users = preset[_port(access)]
                self.address_index[id(access)] = len(users)
                users.append(access)
        for port, accesses in preset.items():
            self.address_registers[port] = max(self.address_registers[port], len(accesses))
            for index, access in enumerate(accesses):
                row = self.row(first + index)
                row.put(
                    **{
                        f"{port}_index": index,
                        f"{port}_set": 1,
                        f"{port}_update": 1,
                        f"{port}_step": access.base,
                    }
                )
                row.notes.append(f"{port}[{index}] = {access.memory}+{access.base}")
        self.loop_counters = max(self.loop_counters, len(loops))
        for index, loop in enumerate(loops):
            row = self.row(first + index)
            row.put(loop_set=1, loop_index=index, loop_count=loop.trip - 1)
            row.notes.append(f"count[{index}] = {loop.trip}")
        cycles = len(self.rows) - first
        if isinstance(item, Loop):
            cycles += self.loop(item, [])
            self.layer_cycles.append((item.layer or "", cycles))
        else:
            cycles += self.segment(item, [])
        return cycles

    def row(self, index: int) -> _Row:
        while len(self.rows) <= index:
            self.rows.append(_Row())
        return self.rows[index]

    def loop(self, loop: Loop, outer: list[Loop]) -> int:
        path = [*outer, loop]
        start = tail = len(self.rows)
        nested_cycles = nested_rows = 0
        for item in loop.body:
            if isinstance(item, Loop):
                before = len(self.rows)
                nested_cycles += self.loop(item, path)
                tail = len(self.rows)
                nested_rows += tail - before
            else:
                self.segment(item, path)
        # What the addresses advanced in inner loops is brought to this loop's stride.
        depth = len(path) - 1
        for item in loop.body:
            if not isinstance(item, Loop):
                continue
            for part in _walk(item):
                if not isinstance(part, Segment):
                    continue
                for access in part.accesses:
                    step = access.strides[depth] - item.trip * access.strides[depth + 1]
                    if step:
                        self.step(access, step, tail)
        while len(self.rows) < tail + BRANCH_DELAY + 1:
            self.rows.append(_Row())
        index = self.counter_index[id(loop)]
        branch = self.rows[len(self.rows) - 1 - BRANCH_DELAY]
        branch.put(loop_next=1, loop_index=index, loop_count=loop.trip - 1, target=start)
        branch.notes.append(f"loop count[{index}] -> {start}")
        self.spans.append((start, len(self.rows) - 1))
        return loop.trip * (len(self.rows) - start - nested_rows + nested_cycles)

    def step(self, access: Access, step: int, earliest: int) -> None:
        port = _port(access)
        at = earliest
        while f"{port}_index" in self.row(at).slots:
            at += 1
        index = self.address_index[id(access)]
        slots = {f"{port}_index": index, f"{port}_update": 1, f"{port}_set": 0}
        self.rows[at].put(**slots, **{f"{port}_step": step})
        self.rows[at].notes.append(f"{port}[{index}] += {step}")

    def segment(self, segment: Segment, path: Sequence[Loop]) -> int:
        base = len(self.rows)
        for _ in range(segment.length):
            self.rows.append(_Row())
        results = sorted(issue.start + 1 + issue.latency for issue in segment.issues)
        held: dict[int, range] = {}  # cycles in which the result register has the value
        for issue in segment.issues:
            at = issue.start + 1 + issue.latency
            later = [other for other in results if other > at]
            held[issue.result] = range(at + 1, (later[0] if later else segment.length) + 1)
            self.definitions[issue.result] = base + at + 1

        for access in segment.accesses:
            port = _port(access)
            index = self.address_index[id(access)]
            step = access.strides[-1] if path else 0
            row = self.rows[base + access.start]
            row.put(**{f"{port}_index": index, f"{port}_set": 0, f"{port}_update": int(step != 0)})
            if step:
                row.put(**{f"{port}_step": step})
            update = f" += {step}" if step else ""
            if access.write:
                row.put(write_enable=1)
                assert access.value is not None and access.start in held[access.value]
                row.notes.append(f"{access.memory}[write[{index}]{update}] = result")
            else:
                row.notes.append(f"read {access.memory}[{port}[{index}]{update}]")

        for issue in segment.issues:
            row = self.rows[base + issue.start]
            function, second = issue.function, issue.b
            if issue.unit is None and function.startswith("sh") and isinstance(second, Constant):
                function, second = f"{function}_{second.bits}", None
            self.operand(row, base, "a", issue.a, held, issue.start)
            if second is not None:
                self.operand(row, base, "b", second, held, issue.start)
            if issue.condition is not None:
                self.operand(row, base, "condition", issue.condition, held, issue.start)
            result = self.rows[base + issue.start + 1 + issue.latency]
            name = function
            if issue.unit is not None:
                unit = self.program.units[issue.unit]
                name = f"unit {unit.id} ({unit.op})"
            else:
                self.functions.add(function)
            row.put(**{issue_field(self.program, issue.unit): 1})
            row.notes.append(f"issue {name}")
            self.result_sources.add(issue.unit)
            operate = self.rows[base + issue.start + 1]
            if issue.unit is None:
                self.function_rows.append((operate, function))
            self.result_rows.append((result, issue.unit))
            result.put(result_enable=1)
            result.notes.append(f"result of {name}")
        return segment.length

    def operand(
        self,
        row: _Row,
        base: int,
        port: str,
        operand: Operand,
        held: dict[int, range],
        cycle: int,
    ) -> None:
        if isinstance(operand, Constant):
            source = "immediate"
            row.put(immediate=operand.bits)
        elif isinstance(operand, Loaded):
            source = operand.bank
        elif cycle in held.get(operand.number, ()):
            source = "result"
        else:
            source = "register"
            row.registers[f"{port}_register"] = operand.number
            self.uses.setdefault(operand.number, []).append(base + cycle)
        sources = {"a": self.a_sources, "b": self.b_sources, "condition": self.condition_sources}
        sources[port].add(source)
        row.notes.append(f"{port} <- {source}")
        row.slots[f"{port}_source_name"] = source  # type: ignore[assignment]  # encoded later

    # ---- Registers: linear scan over rows; a value that a loop reads lives until the loop's end.

    def allocate(self) -> int:
        intervals = []
        for number, uses in self.uses.items():
            definition = self.definitions[number]
            end = max(uses)
            for start, last in self.spans:
                if definition < start <= end:
                    end = max(end, last) if any(start <= use <= last for use in uses) else end
            intervals.append((definition, end, number))
        free: list[int] = []
        busy: list[tuple[int, int]] = []
        count = 0
        self.register_of: dict[int, int] = {}
        for definition, end, number in sorted(intervals):
            free += [register for last, register in busy if last <= definition]
            busy = [(last, register) for last, register in busy if last > definition]
            free.sort()
            if not free:
                free.append(count)
                count += 1
            register = free.pop(0)
            busy.append((end, register))
            self.register_of[number] = register
            self.rows[definition].put(register_enable=1, register_index=register)
            self.rows[definition].notes.append(f"r{register} <- result")
        for row in self.rows:
            for name, number in row.registers.items():
                row.put(**{name: self.register_of[number]})
        return count


def _walk(item: Segment | Loop) -> Iterator[Segment | Loop]:
    yield item
    if isinstance(item, Loop):
        for inner in item.body:
            yield from _walk(inner)


def _port(access: Access) -> str:
    return "write" if access.write else access.bank


def assemble(program: Program) -> Microprogram:
    """Return the microprogram of `program`."""
    assembler = _Assembler(program)
    cycles = assembler.run()
    registers = assembler.allocate()

    order = ("register", "result", "ram", "rom", "immediate")
    a_sources = tuple(source for source in order if source in assembler.a_sources)
    b_sources = tuple(source for source in order if source in assembler.b_sources)
    conditions = tuple(source for source in order if source in assembler.condition_sources)
    functions = tuple(sorted(assembler.functions))
    units = sorted(source for source in assembler.result_sources if source is not None)
    result_sources: tuple[int | None, ...] = (
        (*units, None) if None in assembler.result_sources else tuple(units)
    )
    for row in assembler.rows:
        for port, names in (("a", a_sources), ("b", b_sources), ("condition", conditions)):
            source = row.slots.pop(f"{port}_source_name", None)
            if source is not None:
                row.put(**{f"{port}_source": names.index(source)})  # type: ignore[arg-type]
    for row, unit in assembler.result_rows:
        row.put(result_source=result_sources.index(unit))
    for row, function in assembler.function_rows:
        row.put(function=functions.index(function) + 1)  # 0: none

    ram_bits = max(bits_for(program.words("ram")), 1)
    rom_bits = max(bits_for(program.words("rom")), 1)
    widths: dict[str, int] = {}
    for port in PORTS:
        widths[f"{port}_index"] = bits_for(assembler.address_registers[port])
        widths[f"{port}_set"] = widths[f"{port}_update"] = 1
        widths[f"{port}_step"] = rom_bits if port == "rom" else ram_bits
    widths["write_enable"] = 1
    widths["a_source"] = bits_for(len(a_sources))
    widths["b_source"] = bits_for(len(b_sources))
    widths["condition_source"] = bits_for(len(conditions))
    for name in ("a_register", "b_register", "condition_register", "register_index"):
        widths[name] = bits_for(registers)
    widths["immediate"] = 32
    for source in result_sources:
        widths[issue_field(program, source)] = 1
    widths["result_enable"] = widths["register_enable"] = 1
    widths["result_source"] = bits_for(len(result_sources))
    widths["function"] = bits_for(len(functions) + 1)
    widths["loop_set"] = widths["loop_next"] = widths["done"] = 1
    widths["loop_index"] = bits_for(assembler.loop_counters)
    widths["loop_count"] = max(
        row.slots.get("loop_count", 0) for row in assembler.rows
    ).bit_length()
    widths["target"] = bits_for(len(assembler.rows))

    # A field that is zero in every row needs no bits.
    used = {name for row in assembler.rows for name, value in row.slots.items() if value}
    fields: list[Field] = []
    low = 0
    for name, width in widths.items():
        if width and name in used:
            fields.append(Field(name, low, width))
            low += width
    known = {entry.name: entry for entry in fields}
    words = []
    lines = []
    for number, row in enumerate(assembler.rows):
        word = 0
        for name, value in row.slots.items():
            if name in known:
                entry = known[name]
                word |= (value & ((1 << entry.width) - 1)) << entry.low
        words.append(word)
        lines.append(f"{number:5d}  {'; '.join(row.notes) or '-'}")
    return Microprogram(
        words=tuple(words),
        fields=tuple(fields),
        listing="\n".join(lines) + "\n",
        cycles=cycles,
        a_sources=a_sources,
        b_sources=b_sources,
        condition_sources=conditions,
        functions=functions,
        result_sources=result_sources,
        address_registers=assembler.address_registers,
        registers=registers,
        loop_counters=assembler.loop_counters,
        layer_cycles=tuple(assembler.layer_cycles),
    )
