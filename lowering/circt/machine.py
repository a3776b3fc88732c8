# SPDX-License-Identifier: Apache-2.0
"""Build the hw/comb/seq IR of the sequential machine around a microprogram.

docs/decisions/0005-sequential-machine.md has the block diagram and the timing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from frames import InputFrames
from hw_module import CorePorts, Externs, Module, Parts, design
from microcode import PORTS, Microprogram, bits_for, issue_field
from plain_logic import operation_width, plain_logic
from scheduled import Program

__all__ = ["MachineOptions", "build", "machine_modules"]


@dataclass(frozen=True)
class MachineOptions:
    """What the machine is called, and what it is.

    `is_stage`: the machine is one of a stream's stages, whose frames always have the right length.
    """

    name: str
    is_stage: bool = False

    @property
    def plain(self) -> str:
        """The module of the plain logic."""
        return f"{self.name}_plain"


def _comment(program: Program, code: Microprogram, options: MachineOptions) -> str:
    """Return what the module's header says."""
    inputs, outputs = program.stream("input")[1], program.stream("output")[1]
    fetch = {2: "two", 3: "three"}.get(program.timing.fetch, str(program.timing.fetch))
    what = "A part of a network" if options.is_stage else "A network"
    lines = [
        f"{what} as a sequential machine: samples of {inputs} words, answers of {outputs}.",
        "",
        f"A program of {len(code.words)} rows ({options.name}.lst lists them) says what happens in",
        "each cycle: one read of the RAM, one of the ROM, one write to the RAM, one issue of two",
        "operands to one of the units below, one result. A row is executed "
        f"{fetch} cycles after pc has",
        f"named it, so the {fetch} rows behind a branch are executed, too.",
    ]
    return "\n".join(lines)


def build(
    program: Program,
    code: Microprogram,
    options: MachineOptions,
    cores: Mapping[int, CorePorts],
) -> str:
    """Return the machine as text of the hw, comb, seq and sv dialects."""
    externs = Externs(options.name)
    return design(externs, machine_modules(program, code, options, cores, externs))


def machine_modules(
    program: Program,
    code: Microprogram,
    options: MachineOptions,
    cores: Mapping[int, CorePorts],
    externs: Externs,
) -> list[Module]:
    """Return the machine's modules, itself the last; what they instantiate goes into `externs`."""
    modules = []
    if code.functions:
        modules.append(plain_logic(options.plain, code.functions, program.timing.plain_inside))
    return [*modules, _Machine(program, code, options, cores, externs).build(bool(modules))]


class _Machine(Parts):
    def __init__(
        self,
        program: Program,
        code: Microprogram,
        options: MachineOptions,
        cores: Mapping[int, CorePorts],
        externs: Externs,
    ) -> None:
        super().__init__(Module(options.name, _comment(program, code, options)), cores, externs)
        self.program = program
        self.code = code
        self.options = options
        self.fields: dict[str, str] = {}

    def field(self, name: str, width: int = 1) -> str:
        """The field of the control word in execution; zero where no row sets it."""
        for entry in self.code.fields:
            if entry.name == name:
                if name not in self.fields:
                    part = self.m.extract("%control", entry.low, entry.width)
                    self.fields[name] = self.m.name_as(f"row_{name}", part)
                return self.fields[name]
        return self.m.constant(0, width)

    def build(self, has_plain: bool) -> Module:
        m, code = self.m, self.code
        self.clk = m.clock("clk")
        self.rst = m.input("rst", 1)
        self.frames = None
        if self.options.is_stage:
            self.in_data, in_valid = m.input("s_axis_tdata", 32), m.input("s_axis_tvalid", 1)
        else:
            self.frames = InputFrames(m, self.clk, self.rst, self.program.takes_floats)
            self.in_data, in_valid = self.frames.word, self.frames.valid
        self.out_ready = m.input("m_axis_tready", 1)
        self.clock_bit = m.bit(self.clk)
        m.forward("control", code.width)
        self.has_late = any(self.ports(unit).late for unit in self.program.units)

        self.phases(in_valid)
        m.section("Sequencer: the row to be fetched, and what the row in execution says.")
        self.sequencer()
        m.forward("result", 32)
        m.section("Loops and addresses.")
        self.loops(self.clk)
        addresses = self.addresses()
        sources = self.memories(addresses)
        m.section("Operands: one issue a cycle; each unit keeps its own.")
        a, b = self.operands(sources)
        results, plain = self.units(a, b, sources, has_plain)
        m.section("The result, of one unit a cycle.")
        self.result(results, plain)
        self.outputs(sources["ram"])
        m.section("Units, memories and register files.")
        return m

    def phases(self, in_valid: str) -> None:
        """Receive the input, run the microprogram, send the output."""
        m, program, clk, rst = self.m, self.program, self.clk, self.rst
        width = max(bits_for(program.words("ram")), 1)
        in_first, in_words = program.stream("input")
        out_first, out_words = program.stream("output")
        receive, run, send = (
            m.parameter(name, number, 2) for number, name in enumerate(("Receive", "Run", "Send"))
        )
        m.section("Phases: receive a sample, run the program, send the answer.")
        phase = m.forward("phase", 2)
        may_receive = m.compare("eq", phase, receive)
        if any(self.ports(unit).settled for unit in program.units):
            # A core that a reset does not stop is left to itself until it is done.
            may_receive = m.and_(may_receive, m.forward("settled", 1))
        self.receiving = m.name_as("receiving", may_receive)
        self.running = m.name_as("running", m.compare("eq", phase, run))
        self.sending = m.name_as("sending", m.compare("eq", phase, send))
        self.position = m.forward("position", width)
        self.word_sent = m.forward("word_sent", 1)
        self.received = m.name_as("received", m.and_(self.receiving, in_valid))
        accepted = m.name_as("accepted", m.and_(self.word_sent, self.out_ready))
        last_in = m.hint("at_last_input", m.equals(self.position, in_first + in_words - 1))
        last_out = m.hint("at_last_output", m.equals(self.position, out_first + out_words - 1))
        frame_in = m.name_as("frame_received", m.and_(self.received, last_in))
        frame_out = m.name_as("frame_sent", m.and_(accepted, last_out))
        done = self.field("done")
        next_phase = m.mux(
            frame_in,
            run,
            m.mux(done, send, m.mux(frame_out, receive, phase)),
        )
        m.register("phase", next_phase, clk, rst)
        step = m.add(self.position, m.fit(m.or_(self.received, accepted), width))
        position_next = m.mux(
            frame_in,
            m.constant(out_first, width),
            m.mux(frame_out, m.constant(in_first, width), step),
        )
        assert in_first == 0  # what `position` is reset to
        m.register("position", position_next, clk, rst)
        # A word is on the bus once the RAM has answered, and leaves it when it was accepted.
        waited = m.and_(self.sending, m.not_(accepted))
        for cycle in range(program.timing.memory - 1):
            waited = m.and_(
                m.register(f"asked_{cycle}", waited, clk, rst), self.sending, m.not_(accepted)
            )
        m.register("word_sent", waited, clk, rst)
        self.lates = [m.forward("late", 1)] if self.has_late else []
        self.last_word = m.hint("last_word", m.and_(self.word_sent, last_out))
        self.takes = self.receiving
        if self.frames is not None:
            m.section("Frames of another length; see m_axis_tuser.")
            self.frames.connect(self.received, last_in)
            self.takes = self.frames.ready(self.receiving)
            wrong = m.or_(m.forward("wrong_frame", 1), self.frames.wrong)
            m.register("wrong_frame", m.and_(wrong, m.not_(frame_out)), clk, rst)

    def sequencer(self) -> None:
        """Counter, control store, control word."""
        m, code, clk = self.m, self.code, self.clk
        pc_bits = max(bits_for(len(code.words)), 1)
        pc = m.forward("pc", pc_bits)
        taken = m.forward("taken", 1)
        stored = self.rom("microcode", len(code.words), code.width, "microcode", pc)
        target = m.fit(self.field("target", pc_bits), pc_bits)
        following = m.mux(taken, target, m.add(pc, m.constant(1, pc_bits)))
        m.register("pc", following, clk, m.hint("not_running", m.not_(self.running)))
        fetched = m.register("fetched", self.running, clk, self.rst)
        for cycle in range(self.program.timing.fetch - 2):
            fetched = m.register(f"fetched_{cycle}", fetched, clk, self.rst)
            stored = m.register(f"stored_{cycle}", stored, clk)
        idle = m.name_as("idle", m.not_(m.and_(fetched, self.running)))
        m.register("control", stored, clk, idle)
        for port, names in (("a", code.a_sources), ("b", code.b_sources)):
            if "immediate" in names:
                self.immediate(port, names, stored, idle, clk)

    def addresses(self) -> dict[str, str]:
        """The address of each port that the program uses."""
        found = {}
        for port in PORTS:
            words = self.program.words("rom" if port == "rom" else "ram")
            if words and self.code.address_registers[port]:
                found[port] = self.address(port, max(bits_for(words), 1))
        return found

    def memories(self, addresses: Mapping[str, str]) -> dict[str, str]:
        """RAM and ROM; returns what an operand may come from."""
        m, program, clk = self.m, self.program, self.clk
        read_address = m.mux(self.sending, self.position, addresses.get("ram", self.position))
        write_address = m.mux(self.receiving, self.position, addresses.get("write", self.position))
        m.section("Memories.")
        result = "%result"
        write_enable = m.or_(self.received, m.and_(self.running, self.field("write_enable")))
        ram = self.ram(
            "ram",
            program.words("ram"),
            m.name_as("ram_read_address", read_address),
            m.name_as("ram_write_enable", write_enable),
            m.name_as("ram_write_address", write_address),
            m.mux(self.receiving, self.in_data, result),
        )
        sources = {"ram": self.delayed("ram_word", ram, clk), "result": result}
        if "rom" in addresses:
            rom = self.rom("weights", program.words("rom"), 32, "weights", addresses["rom"])
            sources["rom"] = self.delayed("rom_word", rom, clk)
        return sources

    def operands(self, sources: Mapping[str, str]) -> tuple[str, str]:
        """One issue a cycle, so that all units share the choice of operands."""
        m, code = self.m, self.code
        for port, names in (
            ("a", code.a_sources),
            ("b", code.b_sources),
            ("condition", code.condition_sources),
        ):
            if len(names) > 1:
                codes = ", ".join(f"{number} {name}" for number, name in enumerate(names))
                m.note(f"row_{port}_source: {codes}")
        a = b = m.name_as("a", self.operand("a", code.a_sources, sources))
        if code.b_sources:
            b = m.name_as("b", self.operand("b", code.b_sources, sources))
        return a, b

    def units(
        self, a: str, b: str, sources: Mapping[str, str], has_plain: bool
    ) -> tuple[list[str], str | None]:
        """The units and the plain logic; returns their results.

        Each has registers of its own for its operands, which lie where it lies and keep still while
        it is not used.
        """
        m, clk = self.m, self.clk
        results, plain = [], None
        for source in self.code.result_sources:
            name = "plain" if source is None else self.unit_name(self.program.units[source])
            issue = self.field(issue_field(self.program, source))
            unit_a = m.register(f"{name}_a", a, clk, enable=issue)
            unit_b = m.register(f"{name}_b", b, clk, enable=issue)
            if source is None:
                assert has_plain
                plain = self.plain(unit_a, unit_b, issue, sources)
                continue
            unit = self.program.units[source]
            start = ""
            if self.ports(unit).start:
                start = m.register(f"{name}_start", issue, clk, self.rst)
            word = self.unit(unit, unit_a, unit_b, start=start)
            for number in range(unit.pad):
                word = m.register(f"{name}_result_{number}", word, clk)
            results.append(word)
        return results, plain

    def plain(self, a: str, b: str, issue: str, sources: Mapping[str, str]) -> str:
        """The plain logic, and the condition of its selection."""
        m, code, clk = self.m, self.code, self.clk
        condition = m.constant(0, 1)
        if code.condition_sources:
            value = self.operand("condition", code.condition_sources, sources, 1)
            value = m.extract(value, 0, 1)
            condition = m.register("condition", value, clk, enable=issue)
        width = operation_width(code.functions)
        inputs = {
            "a": a,
            "b": b,
            "condition": condition,
            "operation": m.fit(self.field("function", width), width),
        }
        clocks = {"clk": clk} if self.program.timing.plain else {}
        (word,) = m.instance("plain", self.options.plain, inputs, {"result": 32}, clocks=clocks)
        for number in range(self.program.timing.plain - self.program.timing.plain_inside):
            word = m.register(f"plain_result_{number}", word, clk)
        return word

    def result(self, results: Sequence[str], plain: str | None) -> None:
        """The result register.  Where it was not asked for anything, the plain logic gives 0."""
        m, sources = self.m, self.code.result_sources
        if len(sources) > 1:
            names = ["plain" if s is None else self.program.units[s].op for s in sources]
            codes = ", ".join(f"{number} {name}" for number, name in enumerate(names))
            m.note(f"row_result_source: {codes}")
        word = self.united("result", results, plain)
        m.register("result", word, self.clk, enable=self.field("result_enable"))
        if self.late:
            m.name_as("late", m.or_(*self.late))
        if self.settled:
            settled = m.or_("%settled", m.and_(*self.settled))
            m.register("settled", settled, self.clk, self.rst)

    def outputs(self, word: str) -> None:
        m = self.m
        m.output("s_axis_tready", self.takes)
        m.output("m_axis_tdata", word)
        m.output("m_axis_tvalid", self.word_sent)
        m.output("m_axis_tlast", self.last_word)
        if self.frames is not None:
            m.output("m_axis_tuser", m.and_(self.last_word, "%wrong_frame"))
            self.frames.error(self.lates, m.input("frame_error_clear", 1))
        elif self.has_late:
            m.output("late", "%late")

    def immediate(self, port: str, names: Sequence[str], stored: str, idle: str, clk: str) -> None:
        """The row's constant as an operand: a register of its own that is 0 in all other rows."""
        m = self.m
        fields = {entry.name: entry for entry in self.code.fields}
        chooser = fields.get(f"{port}_source")
        other = m.constant(0, 1)
        if chooser is not None:
            index = m.extract(stored, chooser.low, chooser.width)
            index = m.name_as(f"next_{port}_source", index)
            other = m.not_(m.equals(index, names.index("immediate")))
        word = m.constant(0, 32)
        if "immediate" in fields:
            if "%next_immediate" not in m.widths:
                m.name_as("next_immediate", m.extract(stored, fields["immediate"].low, 32))
            word = "%next_immediate"
        other = m.hint(f"no_{port}_immediate", m.or_(idle, other))
        m.register(f"{port}_immediate", word, clk, other)

    def united(self, port: str, values: Sequence[str], last: str | None) -> str:
        """Return the value that the field `<port>_source` names.

        `last`, the source after `values`, is 0 unless it is named, so that it needs no choice. A
        pair of values and what chooses among them is a function of four inputs for each bit.
        """
        m = self.m
        count = len(values) + (last is not None)
        if count == 1:
            return last or values[0]
        index = self.field(f"{port}_source", bits_for(count))
        width = m.widths[index]
        words = []
        for low in range(0, len(values), 2):
            pair = values[low : low + 2]
            is_here: str | None
            if len(pair) == 1:
                is_here = m.equals(index, low)
                word = pair[0]
            else:
                is_here = m.equals(m.extract(index, 1, width - 1), low // 2) if width > 1 else None
                word = m.mux(m.extract(index, 0, 1), pair[1], pair[0])
            if is_here is not None:
                word = m.and_(word, m.repeat(is_here, m.widths[word]))
            words.append(word)
        return m.or_(*words, *([last] if last else []))

    def delayed(self, name: str, word: str, clk: str) -> str:
        for cycle in range(self.program.timing.memory - 1):
            word = self.m.register(f"{name}_{cycle}", word, clk)
        return word

    def loops(self, clk: str) -> None:
        """Counters count down to zero; one that got there starts over for the next time."""
        m = self.m
        width = next((f.width for f in self.code.fields if f.name == "loop_count"), 0)
        if not width:
            m.name_as("taken", m.constant(0, 1))
            return
        index = self.field("loop_index")
        start = self.field("loop_count")
        setting, following = self.field("loop_set"), self.field("loop_next")
        count = m.forward("count", width)
        finished = m.hint("count_is_0", m.equals(count, 0))
        m.name_as("taken", m.and_(following, m.not_(finished)))
        down = m.sub(count, m.constant(1, width))
        next_count = m.mux(m.or_(setting, finished), start, down)
        enable = m.or_(setting, following)
        stored = self.register_file(
            "counters", self.code.loop_counters, width, index, enable, index, next_count
        )
        m.name_as("count", stored)

    def address(self, port: str, width: int) -> str:
        m = self.m
        index = self.field(f"{port}_index")
        step = m.fit(self.field(f"{port}_step"), width)
        current = m.forward(f"{port}_address", width)
        kept = m.and_(current, m.repeat(m.not_(self.field(f"{port}_set")), width))
        stored = self.register_file(
            f"{port}_addresses",
            self.code.address_registers[port],
            width,
            index,
            self.field(f"{port}_update"),
            index,
            m.add(kept, step),
        )
        address = m.name_as(f"{port}_address", stored)
        if not self.code.offset_sources.get(port):
            return address
        word = self.operand(
            f"{port}_offset", self.code.offset_sources[port], {"result": "%result"}, width
        )
        word = m.and_(word, m.repeat(self.field(f"{port}_offset"), width))
        return m.name_as(f"{port}_data_address", m.add(address, word))

    def operand(
        self, port: str, names: Sequence[str], sources: Mapping[str, str], width: int = 32
    ) -> str:
        m = self.m
        values = []
        last = None
        for name in names:
            if name == "immediate":
                last = f"%{port}_immediate"
            elif name == "register":
                word = self.register_file(
                    f"{port}_registers",
                    max(self.code.registers, 1),
                    width,
                    self.field(f"{port}_register"),
                    self.field("register_enable"),
                    self.field("register_index"),
                    m.extract("%result", 0, width),
                )
                values.append(word)
            else:
                values.append(m.extract(sources[name], 0, width))
        return self.united(port, values, last)
