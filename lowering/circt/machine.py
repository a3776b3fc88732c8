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
    what = "A part of a network" if options.is_stage else "A network"
    lines = [
        f"{what} as a sequential machine: samples of {inputs} words, answers of {outputs}.",
        "",
        f"A program of {len(code.words)} rows ({options.name}.lst lists them) says what happens in",
        "each cycle: one read of the RAM, one of the ROM, one write to the RAM, one issue of two",
        "operands to one of the units below, one result. A row is executed two cycles after pc has",
        "named it, so the two rows behind a branch are executed, too.",
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
        modules.append(plain_logic(options.plain, code.functions, program.plain_latency))
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
        m, program, code = self.m, self.program, self.code
        clk = m.clock("clk")
        rst = self.rst = m.input("rst", 1)
        frames = None
        if self.options.is_stage:
            in_data, in_valid = m.input("s_axis_tdata", 32), m.input("s_axis_tvalid", 1)
        else:
            frames = InputFrames(m, clk, rst)
            in_data, in_valid = frames.word, frames.valid
        out_ready = m.input("m_axis_tready", 1)
        self.clock_bit = m.bit(clk)
        m.forward("control", code.width)

        ram_words = program.words("ram")
        ram_bits = max(bits_for(ram_words), 1)
        in_first, in_words = program.stream("input")
        out_first, out_words = program.stream("output")

        # Phases: receive the input, run the microprogram, send the output.
        receive, run, send = (
            m.parameter(name, number, 2) for number, name in enumerate(("Receive", "Run", "Send"))
        )
        m.section("Phases: receive a sample, run the program, send the answer.")
        phase = m.forward("phase", 2)
        may_receive = m.compare("eq", phase, receive)
        if any(self.ports(unit).settled for unit in program.units):
            # A core that a reset does not stop is left to itself until it is done.
            may_receive = m.and_(may_receive, m.forward("settled", 1))
        receiving = m.name_as("receiving", may_receive)
        running = m.name_as("running", m.compare("eq", phase, run))
        sending = m.name_as("sending", m.compare("eq", phase, send))
        position = m.forward("position", ram_bits)
        word_sent = m.forward("word_sent", 1)
        received = m.name_as("received", m.and_(receiving, in_valid))
        accepted = m.name_as("accepted", m.and_(word_sent, out_ready))
        last_in = m.hint("at_last_input", m.equals(position, in_first + in_words - 1))
        last_out = m.hint("at_last_output", m.equals(position, out_first + out_words - 1))
        frame_in = m.name_as("frame_received", m.and_(received, last_in))
        frame_out = m.name_as("frame_sent", m.and_(accepted, last_out))
        done = self.field("done")
        next_phase = m.mux(
            frame_in,
            run,
            m.mux(done, send, m.mux(frame_out, receive, phase)),
        )
        m.register("phase", next_phase, clk, rst)
        step = m.add(position, m.fit(m.or_(received, accepted), ram_bits))
        position_next = m.mux(
            frame_in,
            m.constant(out_first, ram_bits),
            m.mux(frame_out, m.constant(in_first, ram_bits), step),
        )
        assert in_first == 0  # what `position` is reset to
        m.register("position", position_next, clk, rst)
        # A word is on the bus once the RAM has answered, and leaves it when it was accepted.
        waited = m.and_(sending, m.not_(accepted))
        for cycle in range(program.memory_latency - 1):
            waited = m.and_(
                m.register(f"asked_{cycle}", waited, clk, rst), sending, m.not_(accepted)
            )
        m.register("word_sent", waited, clk, rst)
        late = any(self.ports(unit).late for unit in program.units)
        lates = [m.forward("late", 1)] if late else []
        last_word = m.hint("last_word", m.and_(word_sent, last_out))
        takes = receiving
        if frames is not None:
            m.section("Frames of another length; see m_axis_tuser.")
            frames.connect(received, last_in)
            takes = frames.ready(receiving)
            wrong = m.or_(m.forward("wrong_frame", 1), frames.wrong)
            m.register("wrong_frame", m.and_(wrong, m.not_(frame_out)), clk, rst)

        # Sequencer: counter, control store, control word.
        m.section("Sequencer: the row to be fetched, and what the row in execution says.")
        pc_bits = max(bits_for(len(code.words)), 1)
        pc = m.forward("pc", pc_bits)
        taken = m.forward("taken", 1)
        stored = self.rom("microcode", len(code.words), code.width, "microcode", pc)
        target = m.fit(self.field("target", pc_bits), pc_bits)
        following = m.mux(taken, target, m.add(pc, m.constant(1, pc_bits)))
        m.register("pc", following, clk, m.hint("not_running", m.not_(running)))
        fetched = m.register("fetched", running, clk, rst)
        idle = m.name_as("idle", m.not_(m.and_(fetched, running)))
        m.register("control", stored, clk, idle)
        for port, names in (("a", code.a_sources), ("b", code.b_sources)):
            if "immediate" in names:
                self.immediate(port, names, stored, idle, clk)
        m.section("Loops and addresses.")
        self.loops(clk)

        # Addresses.
        addresses = {}
        for port in PORTS:
            words = program.words("rom" if port == "rom" else "ram")
            if words and code.address_registers[port]:
                addresses[port] = self.address(port, max(bits_for(words), 1))
        read_address = m.mux(sending, position, addresses.get("ram", position))
        write_address = m.mux(receiving, position, addresses.get("write", position))

        # Memories.
        m.section("Memories.")
        result = m.forward("result", 32)
        write_enable = m.or_(received, m.and_(running, self.field("write_enable")))
        ram = self.ram(
            "ram",
            ram_words,
            m.name_as("ram_read_address", read_address),
            m.name_as("ram_write_enable", write_enable),
            m.name_as("ram_write_address", write_address),
            m.mux(receiving, in_data, result),
        )
        sources = {"ram": self.delayed("ram_word", ram, clk), "result": result}
        if "rom" in addresses:
            words = program.words("rom")
            rom = self.rom("weights", words, 32, "weights", addresses["rom"])
            sources["rom"] = self.delayed("rom_word", rom, clk)
        # Operands: one issue a cycle, so that all units share the choice. Each has registers of its
        # own, which lie where it lies and keep still while it is not used.
        m.section("Operands: one issue a cycle; each unit keeps its own.")
        for port, names in (
            ("a", code.a_sources),
            ("b", code.b_sources),
            ("condition", code.condition_sources),
        ):
            if len(names) > 1:
                codes = ", ".join(f"{number} {name}" for number, name in enumerate(names))
                m.note(f"row_{port}_source: {codes}")
        a = m.name_as("a", self.operand("a", code.a_sources, sources))
        b = a
        if code.b_sources:
            b = m.name_as("b", self.operand("b", code.b_sources, sources))

        # Units and plain logic; one result a cycle.
        results = []
        plain = None
        for source in code.result_sources:
            name = "plain" if source is None else self.unit_name(program.units[source])
            issue = self.field(issue_field(program, source))
            unit_a = m.register(f"{name}_a", a, clk, enable=issue)
            unit_b = m.register(f"{name}_b", b, clk, enable=issue)
            if source is None:
                assert has_plain
                condition = m.constant(0, 1)
                if code.condition_sources:
                    value = self.operand("condition", code.condition_sources, sources)
                    value = m.extract(value, 0, 1)
                    condition = m.register("condition", value, clk, enable=issue)
                width = operation_width(code.functions)
                inputs = {
                    "a": unit_a,
                    "b": unit_b,
                    "condition": condition,
                    "operation": m.fit(self.field("function", width), width),
                }
                clocks = {"clk": clk} if program.plain_latency else {}
                outputs = {"result": 32}
                (plain,) = m.instance("plain", self.options.plain, inputs, outputs, clocks=clocks)
            else:
                unit = program.units[source]
                start = ""
                if self.ports(unit).start:
                    start = m.register(f"{name}_start", issue, clk, rst)
                word = self.unit(unit, unit_a, unit_b, start=start)
                for number in range(unit.pad):
                    word = m.register(f"{name}_result_{number}", word, clk)
                results.append(word)
        # Where it was not asked for anything, the result of the plain logic is 0.
        m.section("The result, of one unit a cycle.")
        if len(code.result_sources) > 1:
            units = ["plain" if s is None else program.units[s].op for s in code.result_sources]
            codes = ", ".join(f"{number} {name}" for number, name in enumerate(units))
            m.note(f"row_result_source: {codes}")
        word = self.united("result", results, plain)
        m.register("result", word, clk, enable=self.field("result_enable"))
        if self.late:
            m.name_as("late", m.or_(*self.late))
        if self.settled:
            m.register("settled", m.or_("%settled", m.and_(*self.settled)), clk, rst)

        m.output("s_axis_tready", takes)
        m.output("m_axis_tdata", sources["ram"])
        m.output("m_axis_tvalid", word_sent)
        m.output("m_axis_tlast", last_word)
        if frames is not None:
            m.output("m_axis_tuser", m.and_(last_word, "%wrong_frame"))
            frames.error(lates, m.input("frame_error_clear", 1))
        elif late:
            m.output("late", "%late")
        m.section("Units, memories and register files.")
        return m

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
            if len(pair) == 1:
                is_here = m.equals(index, low)
                word = pair[0]
            else:
                is_here = m.equals(m.extract(index, 1, width - 1), low // 2) if width > 1 else None
                word = m.mux(m.extract(index, 0, 1), pair[1], pair[0])
            if is_here:
                word = m.and_(word, m.repeat(is_here, m.widths[word]))
            words.append(word)
        return m.or_(*words, *([last] if last else []))

    def delayed(self, name: str, word: str, clk: str) -> str:
        for cycle in range(self.program.memory_latency - 1):
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
        return m.name_as(f"{port}_address", stored)

    def operand(self, port: str, names: Sequence[str], sources: Mapping[str, str]) -> str:
        m = self.m
        width = 1 if port == "condition" else 32
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
