"""Build the hw/comb/seq IR of the sequential machine around a microprogram.

docs/decisions/0005-sequential-machine.md has the block diagram and the timing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from microcode import PORTS, Microprogram, bits_for, issue_field
from scheduled import Program, Unit

__all__ = ["CorePorts", "MachineOptions", "build"]

_NAN = 0x7FC00000
_CLOCK = "!seq.clock"


@dataclass(frozen=True)
class CorePorts:
    """How the core of a unit is attached.

    `canonical_nan` says that its only NaN result is 0x7FC00000, so that nothing has to force this.
    `tied` are inputs that are held at a value: name, width, value.
    """

    a: str = "a_i"
    b: str = "b_i"
    result: str = "result_o"
    clock: str | None = "clk_i"
    module: str | None = None
    parameters: tuple[tuple[str, int], ...] | None = None
    canonical_nan: bool = True
    tied: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True)
class MachineOptions:
    """Names that the SystemVerilog refers to."""

    name: str
    rom_file: str = "rom/weights.hex"
    microcode_file: str = "rom/microcode.hex"


class _Module:
    """The body of a hw.module, written as text: every method returns the SSA value that it makes.

    Widths are tracked, so that types need not be repeated.
    """

    def __init__(self, name: str, comment: str) -> None:
        self.name = name
        self.comment = comment
        self.ports: list[str] = []
        self.outputs: list[tuple[str, int, str]] = []
        self.lines: list[str] = []
        self.widths: dict[str, int] = {}
        self.count = 0

    def text(self) -> str:
        ports = [*self.ports, *(f"out {name} : i{width}" for name, width, _ in self.outputs)]
        values = ", ".join(value for _, _, value in self.outputs)
        types = ", ".join(f"i{width}" for _, width, _ in self.outputs)
        body = "\n".join(f"  {line}" for line in self.lines)
        comment = json.dumps(self.comment)
        return (
            f"hw.module @{self.name}({', '.join(ports)}) attributes {{comment = {comment}}} {{\n"
            f"{body}\n  hw.output {values} : {types}\n}}\n"
        )

    def input(self, name: str, width: int) -> str:
        self.ports.append(f"in %{name} : i{width}")
        self.widths[f"%{name}"] = width
        return f"%{name}"

    def clock(self, name: str) -> str:
        self.ports.append(f"in %{name} : {_CLOCK}")
        return f"%{name}"

    def output(self, name: str, value: str) -> None:
        self.outputs.append((name, self.widths[value], value))

    def make(self, operation: str, width: int) -> str:
        self.count += 1
        value = f"%v{self.count}"
        self.lines.append(f"{value} = {operation}")
        self.widths[value] = width
        return value

    def forward(self, name: str, width: int) -> str:
        """Declare a value that `register` or `name_as` defines later (hw.module is a graph)."""
        self.widths[f"%{name}"] = width
        return f"%{name}"

    def name_as(self, name: str, value: str) -> str:
        width = self.widths[value]
        # With a symbol, so that canonicalization keeps the wire and its name.
        self.lines.append(f"%{name} = hw.wire {value} sym @{name} : i{width}")
        self.widths[f"%{name}"] = width
        return f"%{name}"

    def constant(self, value: int, width: int) -> str:
        return self.make(f"hw.constant {value & ((1 << width) - 1)} : i{width}", width)

    def _same(self, operation: str, *operands: str) -> str:
        width = self.widths[operands[0]]
        assert all(self.widths[o] == width for o in operands), (operation, operands)
        return self.make(f"comb.{operation} bin {', '.join(operands)} : i{width}", width)

    def and_(self, *operands: str) -> str:
        return self._same("and", *operands) if len(operands) > 1 else operands[0]

    def or_(self, *operands: str) -> str:
        return self._same("or", *operands) if len(operands) > 1 else operands[0]

    def xor(self, *operands: str) -> str:
        return self._same("xor", *operands)

    def add(self, a: str, b: str) -> str:
        return self._same("add", a, b)

    def sub(self, a: str, b: str) -> str:
        return self._same("sub", a, b)

    def binary(self, operation: str, a: str, b: str) -> str:
        return self._same(operation, a, b)

    def not_(self, a: str) -> str:
        return self.xor(a, self.constant(-1, self.widths[a]))

    def compare(self, predicate: str, a: str, b: str) -> str:
        assert self.widths[a] == self.widths[b], (predicate, a, b)
        return self.make(f"comb.icmp bin {predicate} {a}, {b} : i{self.widths[a]}", 1)

    def equals(self, a: str, value: int) -> str:
        return self.compare("eq", a, self.constant(value, self.widths[a]))

    def mux(self, condition: str, if_true: str, if_false: str) -> str:
        width = self.widths[if_true]
        assert self.widths[if_false] == width and self.widths[condition] == 1
        return self.make(f"comb.mux bin {condition}, {if_true}, {if_false} : i{width}", width)

    def extract(self, a: str, low: int, width: int) -> str:
        if low == 0 and width == self.widths[a]:
            return a
        source = self.widths[a]
        return self.make(f"comb.extract {a} from {low} : (i{source}) -> i{width}", width)

    def concat(self, *operands: str) -> str:
        if len(operands) == 1:
            return operands[0]
        width = sum(self.widths[o] for o in operands)
        types = ", ".join(f"i{self.widths[o]}" for o in operands)
        return self.make(f"comb.concat {', '.join(operands)} : {types}", width)

    def fit(self, a: str, width: int) -> str:
        """Zero-extend or truncate."""
        if self.widths[a] >= width:
            return self.extract(a, 0, width)
        return self.concat(self.constant(0, width - self.widths[a]), a)

    def repeat(self, bit: str, count: int) -> str:
        return self.make(f"comb.replicate {bit} : (i1) -> i{count}", count)

    def select(self, index: str | None, values: Sequence[str]) -> str:
        """Return `values[index]` as a tree of multiplexers."""
        if len(values) == 1:
            return values[0]
        assert index is not None
        level = list(values)
        for bit in range(bits_for(len(values))):
            choice = self.extract(index, bit, 1)
            level = [
                self.mux(choice, level[i + 1], level[i]) if i + 1 < len(level) else level[i]
                for i in range(0, len(level), 2)
            ]
        return level[0]

    def register(
        self,
        name: str,
        value: str,
        clock: str,
        reset: str | None = None,
        enable: str | None = None,
    ) -> str:
        width = self.widths[value]
        initial = f" reset {reset}, {self.constant(0, width)}" if reset else ""
        kind = "compreg.ce" if enable else "compreg"
        also = f", {enable}" if enable else ""
        self.lines.append(f"%{name} = seq.{kind} {value}, {clock}{also}{initial} : i{width}")
        self.widths[f"%{name}"] = width
        return f"%{name}"

    def bit(self, clock: str) -> str:
        return self.make(f"seq.from_clock {clock}", 1)

    def instance(
        self,
        name: str,
        module: str,
        inputs: Mapping[str, str],
        outputs: Mapping[str, int],
        parameters: str = "",
        clocks: Mapping[str, str] | None = None,
    ) -> list[str]:
        operands = [f"{port}: {value}: {_CLOCK}" for port, value in (clocks or {}).items()]
        operands += [f"{port}: {value}: i{self.widths[value]}" for port, value in inputs.items()]
        values = [f"%{name}_{port}" for port in outputs]
        for value, width in zip(values, outputs.values(), strict=True):
            self.widths[value] = width
        results = ", ".join(f"{port}: i{width}" for port, width in outputs.items())
        self.lines.append(
            f'{", ".join(values)} = hw.instance "{name}" @{module}{parameters}'
            f"({', '.join(operands)}) -> ({results})"
        )
        return values


def _is_nan(m: _Module, word: str) -> str:
    exponent = m.equals(m.extract(word, 23, 8), 0xFF)
    fraction = m.compare("ne", m.extract(word, 0, 23), m.constant(0, 23))
    return m.and_(exponent, fraction)


def _canonical(m: _Module, word: str) -> str:
    return m.mux(_is_nan(m, word), m.constant(_NAN, 32), word)


def _plain_logic(functions: Sequence[str], latency: int) -> _Module:
    """The plain logic: one function of two words and a condition, chosen by its index.

    With a latency of 1 there are registers behind what is deep (carries, shifts), before what comes
    of it: choices by comparisons, and float comparisons from several integer ones.
    """
    m = _Module("plain_logic", "Plain logic of the network: moves, integers, comparisons.")
    clock = m.clock("clk") if latency else None
    a = m.input("a", 32)
    b = m.input("b", 32)
    condition = m.input("condition", 1)
    width = bits_for(len(functions))
    index = m.input("operation", max(width, 1))

    chosen: dict[str, str] = {}

    def is_(*names: str) -> str:
        """Whether the function is one of `names`; those that nobody uses are left out."""
        terms = []
        for name in names:
            if name in functions:
                if name not in chosen:
                    is_name = m.equals(index, functions.index(name))
                    chosen[name] = m.name_as(f"is_{name}", is_name)
                terms.append(chosen[name])
        return m.or_(*terms) if terms else m.constant(0, 1)

    def have(*names: str) -> list[str]:
        return [name for name in names if name in functions]

    def cut(name: str, value: str) -> str:
        return m.register(f"{name}_q", value, clock) if clock else value

    groups: list[tuple[list[str], str]] = []  # functions, their common result

    # One operand or the other.
    orders = have("maxsi", "minsi", "maxui", "minui")
    picks = have("move", "select", *orders)
    signed_less = unsigned_less = None
    signed = have("maxsi", "minsi", *(f"cmpi_{p}" for p in ("slt", "sle", "sgt", "sge")))
    unsigned = have("maxui", "minui", *(f"cmpi_{p}" for p in ("ult", "ule", "ugt", "uge")))
    if signed:
        signed_less = m.compare("slt", a, b)
    if unsigned:
        unsigned_less = m.compare("ult", a, b)
    take_a = []
    if have("move"):
        take_a.append(is_("move"))
    if have("select"):
        take_a.append(m.and_(is_("select"), condition))
    for name in orders:
        less = signed_less if name.endswith("si") else unsigned_less
        assert less is not None
        take_a.append(m.and_(is_(name), less if name.startswith("min") else m.not_(less)))
    nan_a = _is_nan(m, a) if have("negf", "canon") or _uses_cmpf(functions) else None
    if have("negf"):
        # The sign flips, except that of a NaN: its only form is the canonical one.
        assert nan_a is not None
        sign = m.and_(m.not_(m.extract(a, 31, 1)), m.not_(nan_a))
        groups.append((["negf"], m.concat(sign, m.extract(a, 0, 31))))
    if have("canon"):
        assert nan_a is not None
        groups.append((["canon"], m.mux(nan_a, m.constant(_NAN, 32), a)))
    late: list[str] = []  # results that are made behind the registers
    if picks == ["move"]:
        groups.append((picks, a))
    elif picks:
        picked = m.mux(cut("take_a", m.or_(*take_a)), cut("a", a), cut("b", b))
        late.append(m.and_(picked, m.repeat(cut("is_picked", is_(*picks)), 32)))

    # Sums.
    sums = have("addi", "subi")
    if sums == ["addi"]:
        groups.append((sums, m.add(a, b)))
    elif sums == ["subi"]:
        groups.append((sums, m.sub(a, b)))
    elif sums:
        # a - b = ~(~a + b): one adder for both.
        flip = m.repeat(is_("subi"), 32)
        groups.append((sums, m.xor(m.add(m.xor(a, flip), b), flip)))

    for name, operation in (("andi", "and"), ("ori", "or"), ("xori", "xor"), ("muli", "mul")):
        if have(name):
            groups.append(([name], m.binary(operation, a, b)))
    for name, operation in (("shli", "shl"), ("shrui", "shru"), ("shrsi", "shrs")):
        if have(name):
            groups.append(([name], m.binary(operation, a, b)))
        for fixed in functions:
            if fixed.startswith(f"{name}_"):
                amount = m.constant(int(fixed.split("_")[1]), 32)
                groups.append(([fixed], m.binary(operation, a, amount)))
    if have("trunci"):
        groups.append((["trunci"], m.fit(m.extract(a, 0, 1), 32)))

    # One function is chosen, so that the others can be masked instead of passed over in turn.
    masked = [
        m.and_(m.name_as(f"value_of_{names[0]}", value), m.repeat(is_(*names), 32))
        for names, value in groups
    ]
    if masked:
        late.append(cut("word", m.or_(*masked)))

    # Comparisons: one bit.
    integer = have(*(name for name in functions if name.startswith("cmpi_")))
    terms = []
    if integer:
        bits = [m.and_(is_(name), m.compare(name.split("_")[1], a, b)) for name in integer]
        terms.append(cut("compared", m.or_(*bits)))
    if _uses_cmpf(functions):
        assert nan_a is not None
        terms += _float_comparisons(m, functions, a, b, nan_a, is_, cut)
    if terms:
        late.append(m.fit(m.or_(*terms), 32))
    m.output("result", m.or_(*late))
    return m


def _uses_cmpf(functions: Sequence[str]) -> bool:
    return any(name.startswith("cmpf_") for name in functions)


def _float_comparisons(
    m: _Module,
    functions: Sequence[str],
    a: str,
    b: str,
    nan_a: str,
    is_: Callable[..., str],
    cut: Callable[[str, str], str],
) -> list[str]:
    """IEEE 754 comparisons from one comparison of integers (-0 equals +0, NaN is unordered)."""
    unordered = cut("unordered", m.or_(nan_a, _is_nan(m, b)))
    zero = m.constant(0, 31)
    magnitudes = m.extract(a, 0, 31), m.extract(b, 0, 31)
    both_zero = cut(
        "both_zero", m.and_(*(m.compare("eq", magnitude, zero) for magnitude in magnitudes))
    )
    equal = m.or_(both_zero, cut("same_bits", m.compare("eq", a, b)))
    signs = cut("sign_a", m.extract(a, 31, 1)), cut("sign_b", m.extract(b, 31, 1))
    below = cut("below", m.compare("ult", *magnitudes))
    same_sign_less = m.mux(signs[0], m.and_(m.not_(below), m.not_(equal)), below)
    less = m.and_(
        m.not_(both_zero), m.mux(m.xor(*signs), signs[0], same_sign_less), m.not_(unordered)
    )
    equal = m.and_(equal, m.not_(unordered))
    greater = m.and_(m.not_(less), m.not_(equal), m.not_(unordered))
    basic = {"lt": [less], "gt": [greater], "eq": [equal], "le": [less, equal]}
    basic |= {"ge": [greater, equal], "ne": [less, greater]}
    terms = []
    for name in functions:
        if not name.startswith("cmpf_"):
            continue
        predicate = name.removeprefix("cmpf_")
        if predicate == "true":
            value = m.constant(1, 1)
        elif predicate == "false":
            value = m.constant(0, 1)
        elif predicate == "ord":
            value = m.not_(unordered)
        elif predicate == "uno":
            value = unordered
        else:
            parts = list(basic[predicate[1:]])
            value = m.or_(*parts, *([unordered] if predicate[0] == "u" else []))
        terms.append(m.and_(cut(f"is_{name}", is_(name)), value))
    return terms


def _extern(name: str, ports: Sequence[str], parameters: str = "", verilog: str = "") -> str:
    attributes = f' attributes {{verilogName = "{verilog}"}}' if verilog else ""
    return f"hw.module.extern @{name}{parameters}({', '.join(ports)}){attributes}\n"


def _parameters(values: Sequence[tuple[str, int]]) -> tuple[str, str]:
    """Return the parameters as an extern module declares them and as an instance gives them."""
    if not values:
        return "", ""
    declared = ", ".join(f"{name}: i32" for name, _ in values)
    given = ", ".join(f"{name}: i32 = {value}" for name, value in values)
    return f"<{declared}>", f"<{given}>"


def build(
    program: Program,
    code: Microprogram,
    options: MachineOptions,
    cores: Mapping[int, CorePorts],
) -> str:
    """Return the machine as text of the hw, comb, seq and sv dialects."""
    plain = _plain_logic(code.functions, program.plain_latency) if code.functions else None
    externs: dict[str, str] = {}
    top = _Machine(program, code, options, cores, externs).build(plain is not None)
    parts = ["".join(externs.values()).rstrip()]
    if plain is not None:
        parts.append(plain.text())
    body = "\n".join([*parts, top.text()])
    # Yosys' own reader knows no packed arrays of more than one dimension.
    options_text = "locationInfoStyle=none,disallowLocalVariables,disallowPackedArrays"
    return f'module attributes {{circt.loweringOptions = "{options_text}"}} {{\n{body}}}\n'


class _Machine:
    def __init__(
        self,
        program: Program,
        code: Microprogram,
        options: MachineOptions,
        cores: Mapping[int, CorePorts],
        externs: dict[str, str],
    ) -> None:
        self.program = program
        self.code = code
        self.options = options
        self.cores = cores
        self.externs = externs
        self.fields: dict[str, str] = {}
        self.m = _Module(
            options.name, "Sequential machine: see docs/decisions/0005-sequential-machine.md."
        )

    def extern(self, name: str, ports: Sequence[str], parameters: str = "") -> None:
        self.externs[name] = _extern(name, ports, parameters)

    def rom(self, name: str, words: int, width: int, file: str, address: str) -> str:
        bits = max(bits_for(words), 1)
        # CIRCT checks the widths of an extern module's ports, so one declaration a use.
        symbol = f"asnet_rom_{name}"
        self.externs[symbol] = _extern(
            symbol,
            ["in %clk_i : i1", f"in %address_i : i{bits}", f"out data_o : i{width}"],
            "<Words: i32, Width: i32, AddressBits: i32, File: none>",
            verilog="asnet_rom",
        )
        parameters = (
            f"<Words: i32 = {words}, Width: i32 = {width}, AddressBits: i32 = {bits}, "
            f'File: none = "{file}">'
        )
        inputs = {"clk_i": self.clock_bit, "address_i": self.m.fit(address, bits)}
        return self.m.instance(name, symbol, inputs, {"data_o": width}, parameters)[0]

    def register_file(
        self, name: str, words: int, width: int, read: str, enable: str, write: str, data: str
    ) -> str:
        # Distributed RAM comes in blocks of 16 words.
        bits = max(bits_for(words), 4)
        symbol = f"asnet_register_file_{bits}_{width}"
        self.externs[symbol] = _extern(
            symbol,
            [
                "in %clk_i : i1",
                f"in %read_index_i : i{bits}",
                f"out read_data_o : i{width}",
                "in %write_enable_i : i1",
                f"in %write_index_i : i{bits}",
                f"in %write_data_i : i{width}",
            ],
            "<Words: i32, Width: i32, IndexBits: i32>",
            verilog="asnet_register_file",
        )
        parameters = f"<Words: i32 = {1 << bits}, Width: i32 = {width}, IndexBits: i32 = {bits}>"
        inputs = {
            "clk_i": self.clock_bit,
            "read_index_i": self.m.fit(read, bits),
            "write_enable_i": enable,
            "write_index_i": self.m.fit(write, bits),
            "write_data_i": data,
        }
        return self.m.instance(name, symbol, inputs, {"read_data_o": width}, parameters)[0]

    def field(self, name: str, width: int = 1) -> str:
        """The field of the control word in execution; zero where no row sets it."""
        for entry in self.code.fields:
            if entry.name == name:
                if name not in self.fields:
                    part = self.m.extract("%control", entry.low, entry.width)
                    self.fields[name] = self.m.name_as(f"row_{name}", part)
                return self.fields[name]
        return self.m.constant(0, width)

    def build(self, has_plain: bool) -> _Module:
        m, program, code = self.m, self.program, self.code
        clk = m.clock("clk")
        rst = m.input("rst", 1)
        in_data = m.input("s_axis_tdata", 32)
        in_valid = m.input("s_axis_tvalid", 1)
        in_last = m.input("s_axis_tlast", 1)
        out_ready = m.input("m_axis_tready", 1)
        self.clock_bit = m.bit(clk)
        m.forward("control", code.width)

        ram_words = program.words("ram")
        ram_bits = max(bits_for(ram_words), 1)
        in_first, in_words = program.stream("input")
        out_first, out_words = program.stream("output")

        # Phases: receive the input, run the microprogram, send the output.
        phase = m.forward("phase", 2)
        receiving = m.name_as("receiving", m.equals(phase, 0))
        running = m.name_as("running", m.equals(phase, 1))
        sending = m.name_as("sending", m.equals(phase, 2))
        position = m.forward("position", ram_bits)
        word_sent = m.forward("word_sent", 1)
        received = m.name_as("received", m.and_(receiving, in_valid))
        accepted = m.name_as("accepted", m.and_(word_sent, out_ready))
        last_in = m.equals(position, (in_first + in_words - 1))
        last_out = m.equals(position, (out_first + out_words - 1))
        frame_in = m.and_(received, last_in)
        frame_out = m.and_(accepted, last_out)
        done = m.name_as("done", self.field("done"))
        next_phase = m.mux(
            frame_in,
            m.constant(1, 2),
            m.mux(done, m.constant(2, 2), m.mux(frame_out, m.constant(0, 2), phase)),
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
        wrong_last = m.and_(received, m.xor(in_last, last_in))
        error = m.forward("frame_error", 1)
        m.register("frame_error", m.or_(error, wrong_last), clk, rst)

        # Sequencer: counter, control store, control word.
        pc_bits = max(bits_for(len(code.words)), 1)
        pc = m.forward("pc", pc_bits)
        taken = m.forward("taken", 1)
        stored = self.rom("microcode", len(code.words), code.width, self.options.microcode_file, pc)
        target = m.fit(self.field("target", pc_bits), pc_bits)
        following = m.mux(taken, target, m.add(pc, m.constant(1, pc_bits)))
        m.register("pc", following, clk, m.not_(running))
        fetched = m.register("fetched", running, clk, rst)
        idle = m.not_(m.and_(fetched, running))
        m.register("control", stored, clk, idle)
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
        symbol = "asnet_ram"
        self.extern(
            symbol,
            [
                "in %clk_i : i1",
                f"in %read_address_i : i{ram_bits}",
                "out read_data_o : i32",
                "in %write_enable_i : i1",
                f"in %write_address_i : i{ram_bits}",
                "in %write_data_i : i32",
            ],
            "<Words: i32, AddressBits: i32>",
        )
        result = m.forward("result", 32)
        write_enable = m.or_(received, m.and_(running, self.field("write_enable")))
        ram = m.instance(
            "ram",
            symbol,
            {
                "clk_i": self.clock_bit,
                "read_address_i": m.name_as("ram_read_address", read_address),
                "write_enable_i": m.name_as("ram_write_enable", write_enable),
                "write_address_i": m.name_as("ram_write_address", write_address),
                "write_data_i": m.mux(receiving, _canonical(m, in_data), result),
            },
            {"read_data_o": 32},
            f"<Words: i32 = {ram_words}, AddressBits: i32 = {ram_bits}>",
        )[0]
        sources = {"ram": self.delayed("ram_word", ram, clk), "result": result}
        if "rom" in addresses:
            words = program.words("rom")
            rom = self.rom("weights", words, 32, self.options.rom_file, addresses["rom"])
            sources["rom"] = self.delayed("rom_word", rom, clk)
        sources["immediate"] = self.field("immediate", 32)

        # Operands: one issue a cycle, so that all units share the choice. Each has registers of its
        # own, which lie where it lies and keep still while it is not used.
        a = m.name_as("a", self.operand("a", code.a_sources, sources))
        b = a
        if code.b_sources:
            b = m.name_as("b", self.operand("b", code.b_sources, sources))

        # Units and plain logic; one result a cycle.
        results = []
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
                width = max(bits_for(len(code.functions)), 1)
                inputs = {
                    "a": unit_a,
                    "b": unit_b,
                    "condition": condition,
                    "operation": m.fit(self.field("function", width), width),
                }
                clocks = {"clk": clk} if program.plain_latency else {}
                outputs = {"result": 32}
                results += m.instance("plain", "plain_logic", inputs, outputs, clocks=clocks)
            else:
                results.append(self.unit(program.units[source], unit_a, unit_b))
        index = self.field("result_source") if len(results) > 1 else None
        m.register("result", m.select(index, results), clk, enable=self.field("result_enable"))

        m.output("s_axis_tready", receiving)
        m.output("m_axis_tdata", sources["ram"])
        m.output("m_axis_tvalid", word_sent)
        m.output("m_axis_tlast", m.and_(word_sent, last_out))
        m.output("frame_error", "%frame_error")
        return m

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
        finished = m.equals(count, 0)
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
        for name in names:
            if name == "register":
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
        index = self.field(f"{port}_source") if len(values) > 1 else None
        return m.select(index, values)

    @staticmethod
    def unit_name(unit: Unit) -> str:
        return f"unit_{unit.id}_{unit.op}"

    def unit(self, unit: Unit, a: str, b: str) -> str:
        m = self.m
        ports = self.cores.get(unit.id, CorePorts())
        module = ports.module or unit.module
        declared, given = _parameters(
            unit.parameters if ports.parameters is None else ports.parameters
        )
        inputs = {ports.a: a, ports.b: b}
        if ports.clock:
            inputs = {ports.clock: self.clock_bit, **inputs}
        inputs |= {name: m.constant(value, width) for name, width, value in ports.tied}
        declarations = [f"in %{port} : i{m.widths[value]}" for port, value in inputs.items()]
        self.externs[module] = _extern(
            module, [*declarations, f"out {ports.result} : i32"], declared
        )
        word = m.instance(self.unit_name(unit), module, inputs, {ports.result: 32}, given)[0]
        return word if ports.canonical_nan else _canonical(m, word)
