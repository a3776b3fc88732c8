# SPDX-License-Identifier: Apache-2.0
"""Assemble a scheduled network into the microprogram of the sequential machine.

A row is what the machine does in one cycle.  Its slots are independent of each other: one read of
the RAM, one of the ROM, one write to the RAM (each through an address register that may be stepped
in the same cycle), one issue, one result, one write to the registers, one action of the sequencer.
docs/decisions/0005-sequential-machine.md describes the timing that this file relies on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from scheduled import Access, Constant, Kernel, Loaded, Loop, Operand, Program, Segment, Value

__all__ = ["PORTS", "Field", "Microprogram", "assemble", "bits_for", "issue_field"]

#: Ports with address registers of their own.
PORTS = ("ram", "rom", "write")
#: Those to whose address a word may be added.
_READS = ("ram", "rom")


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
    offset_sources: dict[str, tuple[str, ...]]
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


@dataclass(frozen=True)
class _Overlap:
    """The rows of a loop whose iterations begin every `interval` cycles and take `length` each.

    lowering/schedule/Timing.h says how prologue, kernel and epilogue lie, and of a loop that is run
    several times without a pause, the rows of a run.
    """

    interval: int
    length: int
    trip: int
    runs: int
    kernel: Kernel

    @property
    def cycles(self) -> int:
        return (self.runs * self.trip - 1) * self.interval + self.length

    @property
    def steady_end(self) -> int:
        """The cycle behind the kernel's last pass."""
        return self.kernel.first + self.kernel.passes * self.kernel.rows

    @property
    def saved(self) -> int:
        """Cycles of a run that have no rows of their own."""
        return max(self.kernel.passes - 1, 0) * self.kernel.rows

    @property
    def run_rows(self) -> int:
        """Rows of a run that is not the last one."""
        return self.trip * self.interval - self.saved if self.runs > 1 else 0

    @property
    def rows(self) -> int:
        rest = self.cycles - max(self.runs - 1, 0) * self.trip * self.interval
        return self.run_rows + rest - self.saved

    def row(self, cycle: int) -> int | None:
        """Return the row in which a cycle's events are written; None: another one stands for it."""
        run, base, kernel = self.trip * self.interval, 0, self.kernel
        if self.runs > 1 and cycle >= run + kernel.fill:
            if cycle < (self.runs - 1) * run + kernel.fill:
                return None
            cycle -= (self.runs - 1) * run
            base = self.run_rows
        if not kernel.passes or cycle < kernel.first + kernel.rows:
            return base + cycle
        if cycle < self.steady_end:
            return None
        return base + cycle - self.saved

    def iterations(self) -> Iterable[int]:
        """Return the iterations, of all runs, that have events in rows of their own."""
        total, overlapping = self.runs * self.trip, -(-self.length // self.interval)
        if self.runs > 1:
            first, last = self.trip + overlapping, (self.runs - 1) * self.trip - overlapping
        else:
            first = -(-(self.kernel.first + self.kernel.rows) // self.interval)
            last = self.trip - overlapping
        if not self.kernel.passes or first >= last:
            return range(total)
        return [*range(first), *range(last, total)]


class _Assembler:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.timing = program.timing
        self.rows: list[_Row] = []
        self.spans: list[tuple[int, int]] = []
        self.definitions: dict[int, int] = {}
        self.uses: dict[int, list[int]] = {}
        self.a_sources: set[str] = set()
        self.b_sources: set[str] = set()
        self.condition_sources: set[str] = set()
        self.offset_sources: dict[str, set[str]] = {port: set() for port in _READS}
        self.functions: set[str] = set()
        self.result_sources: set[int | None] = set()
        self.address_registers = dict.fromkeys(PORTS, 0)
        self.loop_counters = 0
        self.result_rows: list[tuple[_Row, int | None]] = []
        self.function_rows: list[tuple[_Row, str]] = []
        self.layer_cycles: list[tuple[str, int]] = []
        # Registers that values of overlapping iterations share have numbers from here on.
        self.next_shared = 1 << 32
        self.shared: list[tuple[int, int, int]] = []  # first and last row, number
        self.shared_writes: dict[int, set[int]] = {}

    # ---- Rows.

    def run(self) -> int:
        cycles = 0
        for item in self.program.body:
            cycles += self.nest(item)
        self.rows.append(_Row({"done": 1}, notes=["done"]))
        self.rows.append(_Row())  # on its way when `done` is seen
        return cycles + 1

    def nest(self, item: Segment | Loop) -> int:
        """Emit an outermost loop or segment behind rows that set what its addresses start from."""
        first = len(self.rows)
        self.address_index: dict[int, int] = {}
        self.counter_index: dict[int, int] = {}
        self.last_use: dict[int, int] = {}
        preset: dict[str, list[Access]] = {port: [] for port in PORTS}
        loops: list[Loop] = []
        for part in _walk(item):
            if isinstance(part, Loop):
                if _passes(part):
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
            passes = _passes(loop)
            row.put(loop_set=1, loop_index=index, loop_count=passes - 1)
            row.notes.append(f"count[{index}] = {passes}")
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
        overlap = _overlap(loop)
        if overlap is not None:
            return self.overlapped(loop, overlap, path)
        if _overlaps_runs(loop):
            return self.overlapped_runs(loop, path)
        start = self.tail = len(self.rows)
        nested_cycles = nested_rows = 0
        for item in loop.body:
            before = len(self.rows)
            if isinstance(item, Loop):
                nested_cycles += self.loop(item, path)
                nested_rows += len(self.rows) - before
            else:
                self.segment(item, path)
        self.correct(loop, len(path) - 1)
        while len(self.rows) < self.tail + self.timing.fetch + 1:
            self.rows.append(_Row())
        self.branch(loop, start, len(self.rows) - 1)
        return loop.trip * (len(self.rows) - start - nested_rows + nested_cycles)

    def correct(self, loop: Loop, depth: int) -> None:
        """Bring what the addresses advanced in inner loops to the stride of the loop around."""
        for item in loop.body:
            if not isinstance(item, Loop):
                continue
            for part in _walk(item):
                if not isinstance(part, Segment):
                    continue
                for access in part.accesses:
                    step = access.strides[depth] - item.trip * access.strides[depth + 1]
                    if step:
                        self.step(access, step)

    def overlapped_runs(self, loop: Loop, path: Sequence[Loop]) -> int:
        """Emit a loop around one whose iterations overlap, those of different runs too."""
        (inner,) = loop.body
        assert isinstance(inner, Loop)
        overlap = _overlap(inner)
        assert overlap is not None and overlap.kernel.passes
        start = len(self.rows)
        self.overlapped(inner, overlap, [*path, inner])
        fill = start + overlap.kernel.fill
        self.branch(loop, fill, fill + overlap.run_rows - 1)
        # The last run: what comes behind it may begin where its kernel ends.
        first = start + overlap.run_rows + overlap.kernel.first
        self.branch(inner, first, first + overlap.kernel.rows - 1)
        before = len(self.rows)
        self.correct(loop, len(path) - 1)
        return overlap.cycles + len(self.rows) - before

    def branch(self, loop: Loop, start: int, last: int) -> None:
        """End the rows that a loop repeats; what only happens behind them may begin then."""
        index, passes = self.counter_index[id(loop)], _passes(loop)
        branch = self.rows[last - self.timing.fetch]
        branch.put(loop_next=1, loop_index=index, loop_count=passes - 1, target=start)
        branch.notes.append(f"loop count[{index}] -> {start}")
        self.spans.append((start, last))
        self.tail = last + 1

    def overlapped(self, loop: Loop, overlap: _Overlap, path: Sequence[Loop]) -> int:
        """Emit a loop whose iterations overlap."""
        (segment,) = loop.body
        assert isinstance(segment, Segment)
        start = self.tail = len(self.rows)
        self.rows += [_Row() for _ in range(overlap.rows)]
        # A result is on the bus until the next one, of whichever iteration.
        results = [self.timing.latched(issue) for issue in segment.issues]
        held: dict[int, range] = {}
        for issue in segment.issues:
            at = self.timing.latched(issue)
            until = min((other - at - 1) % overlap.interval for other in results) + 1
            held[issue.result] = range(at + 1, at + until + 1)
        numbers = self.share(segment, held, overlap.interval)
        for number in sorted(set(numbers.values())):
            self.shared.append((start, start + overlap.rows - 1, number))
        for iteration in overlap.iterations():
            begin = iteration * overlap.interval

            def row_of(cycle: int, begin: int = begin) -> int | None:
                row = overlap.row(begin + cycle)
                return None if row is None else start + row

            run, number = divmod(iteration, overlap.trip)
            last = run < overlap.runs - 1 and number == overlap.trip - 1
            self.events(segment, path, row_of, held, numbers, overlap.trip if last else 0)
        if overlap.kernel.passes:
            first = start + overlap.kernel.first
            self.branch(loop, first, first + overlap.kernel.rows - 1)
        return overlap.cycles

    def share(self, segment: Segment, held: dict[int, range], interval: int) -> dict[int, int]:
        """Choose registers for a segment whose iterations overlap: first fit on the interval.

        The scheduler sees to it that a value is not needed for longer than the interval.
        """
        last: dict[int, int] = {}
        uses = [
            (issue.start, operand)
            for issue in segment.issues
            for operand in (issue.a, issue.b, issue.condition)
        ]
        uses += [(access.start, access.offset) for access in segment.accesses]
        for start, operand in uses:
            if not isinstance(operand, Value) or operand.number not in held:
                continue  # a value from outside has a register of its own
            if start not in held[operand.number]:
                last[operand.number] = max(last.get(operand.number, 0), start)
        taken: list[set[int]] = []
        numbers: dict[int, int] = {}
        for number, use in sorted(last.items(), key=lambda entry: held[entry[0]].start):
            # Written at the end of its first cycle, so read from the next on.
            written = held[number].start
            assert use - written <= interval, "a value outlives the iterations' interval"
            cycles = {cycle % interval for cycle in range(written + 1, use + 1)}
            index = next((i for i, other in enumerate(taken) if not other & cycles), len(taken))
            if index == len(taken):
                taken.append(set())
            taken[index] |= cycles
            numbers[number] = self.next_shared + index
        self.next_shared += len(taken)
        return numbers

    def step(self, access: Access, step: int) -> None:
        port = _port(access)
        at = max(self.tail, self.last_use[id(access)] + 1)
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
        results = sorted(self.timing.latched(issue) for issue in segment.issues)
        held: dict[int, range] = {}  # cycles in which the result register has the value
        for issue in segment.issues:
            at = self.timing.latched(issue)
            later = [other for other in results if other > at]
            held[issue.result] = range(at + 1, (later[0] if later else segment.length) + 1)
            self.definitions[issue.result] = base + at + 1
        self.events(segment, path, lambda cycle: base + cycle, held, {})
        return segment.length

    def events(  # noqa: C901 (what an access, an issue, a result each take)
        self,
        segment: Segment,
        path: Sequence[Loop],
        row_of: Callable[[int], int | None],
        held: dict[int, range],
        shared: dict[int, int],
        restart: int = 0,
    ) -> None:
        """Fill the slots of an iteration, as far as `row_of` has rows for its cycles.

        Where it is the last of a run of `restart` iterations, addresses go to the next run's first.
        """
        for access in segment.accesses:
            at = row_of(access.start)
            if at is None:
                continue
            port = _port(access)
            index = self.address_index[id(access)]
            step = access.strides[-1] if path else 0
            if restart:
                step = access.strides[-2] - (restart - 1) * step
            row = self.rows[at]
            self.last_use[id(access)] = max(at, self.last_use.get(id(access), 0))
            row.put(**{f"{port}_index": index, f"{port}_set": 0, f"{port}_update": int(step != 0)})
            if step:
                row.put(**{f"{port}_step": step})
            if access.offset is not None:
                row.put(**{f"{port}_offset": 1})
                self.operand(at, f"{port}_offset", access.offset, held, shared, access.start)
            update = f" += {step}" if step else ""
            if access.write:
                row.put(write_enable=1)
                assert access.value is not None and access.start in held[access.value]
                row.notes.append(f"{access.memory}[write[{index}]{update}] = result")
            else:
                row.notes.append(f"read {access.memory}[{port}[{index}]{update}]")

        for issue in segment.issues:
            function, second = issue.function, issue.b
            if issue.unit is None and function.startswith("sh") and isinstance(second, Constant):
                function, second = f"{function}_{second.bits}", None
            name = function
            if issue.unit is not None:
                unit = self.program.units[issue.unit]
                name = f"unit {unit.id} ({unit.op})"
            else:
                self.functions.add(function)
            at = row_of(issue.start)
            if at is not None:
                row = self.rows[at]
                operands = {"a": issue.a, "b": second, "condition": issue.condition}
                for port, operand in operands.items():
                    if operand is not None:
                        self.operand(at, port, operand, held, shared, issue.start)
                row.put(**{issue_field(self.program, issue.unit): 1})
                row.notes.append(f"issue {name}")
            self.result_sources.add(issue.unit)
            at = row_of(self.timing.at_unit(issue))
            if at is not None and issue.unit is None:
                self.function_rows.append((self.rows[at], function))
            at = row_of(self.timing.latched(issue))
            if at is not None:
                self.result_rows.append((self.rows[at], issue.unit))
                self.rows[at].put(result_enable=1)
                self.rows[at].notes.append(f"result of {name}")
            at = row_of(self.timing.latched(issue) + 1)
            if at is not None and issue.result in shared:
                self.shared_writes.setdefault(shared[issue.result], set()).add(at)

    def operand(
        self,
        at: int,
        port: str,
        operand: Operand,
        held: dict[int, range],
        shared: dict[int, int],
        cycle: int,
    ) -> None:
        row = self.rows[at]
        if isinstance(operand, Constant):
            source = "immediate"
            row.put(immediate=operand.bits)
        elif isinstance(operand, Loaded):
            source = operand.bank
        elif cycle in held.get(operand.number, ()):
            source = "result"
        else:
            source = "register"
            number = shared.get(operand.number, operand.number)
            row.registers[f"{port}_register"] = number
            if number not in shared.values():
                self.uses.setdefault(number, []).append(at)
        sources = {"a": self.a_sources, "b": self.b_sources, "condition": self.condition_sources}
        sources |= {f"{read}_offset": found for read, found in self.offset_sources.items()}
        sources[port].add(source)
        row.notes.append(f"{port} <- {source}")
        row.slots[f"{port}_source_name"] = source  # type: ignore[assignment]  # encoded later

    # ---- Registers: linear scan over rows; a value that a loop reads lives until the loop's end.

    def allocate(self) -> int:
        intervals = list(self.shared)
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
            for row in sorted(self.shared_writes.get(number, {definition})):
                self.rows[row].put(register_enable=1, register_index=register)
                self.rows[row].notes.append(f"r{register} <- result")
        for each in self.rows:
            for name, number in each.registers.items():
                each.put(**{name: self.register_of[number]})
        return count


def _overlap(loop: Loop) -> _Overlap | None:
    """Return how the iterations of a loop overlap, if they do."""
    if loop.interval is None:
        return None
    (segment,) = loop.body
    assert isinstance(segment, Segment)
    assert loop.kernel is not None
    return _Overlap(loop.interval, segment.length, loop.trip, loop.runs, loop.kernel)


def _overlaps_runs(loop: Loop) -> bool:
    return any(isinstance(item, Loop) and item.runs > 1 for item in loop.body)


def _passes(loop: Loop) -> int:
    """Return how often the rows are run that a loop repeats; 0: it repeats none."""
    overlap = _overlap(loop)
    if overlap is not None:
        return overlap.kernel.passes
    return loop.trip - _overlaps_runs(loop)  # the last run has rows of its own


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
    offsets = {
        port: tuple(source for source in order if source in found)
        for port, found in assembler.offset_sources.items()
    }
    functions = tuple(sorted(assembler.functions))
    units = sorted(source for source in assembler.result_sources if source is not None)
    result_sources: tuple[int | None, ...] = (
        (*units, None) if None in assembler.result_sources else tuple(units)
    )
    for row in assembler.rows:
        for port, names in (
            ("a", a_sources),
            ("b", b_sources),
            ("condition", conditions),
            *((f"{port}_offset", found) for port, found in offsets.items()),
        ):
            source = row.slots.pop(f"{port}_source_name", None)
            if source is not None:
                row.put(**{f"{port}_source": names.index(source)})
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

    for port, found in offsets.items():
        widths[f"{port}_offset"] = 1
        widths[f"{port}_offset_source"] = bits_for(len(found))
        widths[f"{port}_offset_register"] = bits_for(registers)

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
        offset_sources=offsets,
        functions=functions,
        result_sources=result_sources,
        address_registers=assembler.address_registers,
        registers=registers,
        loop_counters=assembler.loop_counters,
        layer_cycles=tuple(assembler.layer_cycles),
    )
