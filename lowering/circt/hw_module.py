# SPDX-License-Identifier: Apache-2.0
"""Text of hw modules, and the memories and cores that they instantiate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from microcode import bits_for
from scheduled import Unit

from asnet_mlir.support.formats import F32

__all__ = [
    "CLOCK",
    "NAN",
    "CorePorts",
    "Externs",
    "Module",
    "Parts",
    "canonical",
    "design",
    "is_nan",
    "mlir_string",
    "passed_on",
    "rom_file",
    "rom_parts",
    "shown",
]

NAN = F32.canonical_nan
CLOCK = "!seq.clock"
#: The parameter of modules with ROMs: the folder of their files, from where a tool runs.
_ROM_FOLDER = "RomFolder"
#: Of a name in a comment: CIRCT breaks lines of more than 87 characters.
_LONGEST_SHOWN = 60


def mlir_string(text: str) -> str:
    """Return a string attribute: other bytes than printable ASCII as two hexadecimal digits."""
    return "".join(
        ['"']
        + [f"\\{b:02X}" if b < 32 or b > 126 or b in b'"\\' else chr(b) for b in text.encode()]
        + ['"']
    )


def shown(name: str) -> str:
    """Return a layer's name for a comment: on one line, without what a tool could take for more."""
    text = "".join(c if c.isprintable() and c != "\\" else "?" for c in name)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


@dataclass(frozen=True)
class CorePorts:
    """How the core of a unit is attached, as the option `--cores` says it.

    `canonical_nan` says that its only NaN result is 0x7FC00000, so that nothing has to force this.
    `tied` are inputs that are held at a value: name, width, value.  An iterative core has some of:
    `reset`; `start`, which is 1 in the first cycle of new operands; `settled`, which is 1 once the
    core can be started after a reset; `late`, which is 1 where the core took longer than it may.
    """

    a: str = "a_i"
    b: str = "b_i"
    result: str = "result_o"
    clock: str | None = "clk_i"
    module: str | None = None
    parameters: tuple[tuple[str, int], ...] | None = None
    canonical_nan: bool = True
    tied: tuple[tuple[str, int, int], ...] = ()
    reset: str | None = None
    start: str | None = None
    settled: str | None = None
    late: str | None = None


class Module:
    """The body of a hw.module, written as text: every method returns the SSA value that it makes.

    Widths are tracked, so that types need not be repeated.
    """

    def __init__(self, name: str, comment: str) -> None:
        self.name = name
        self.comment = comment
        self.parameters: dict[str, str] = {}
        self.ports: list[str] = []
        self.outputs: list[tuple[str, int, str]] = []
        self.lines: list[str] = []
        self.widths: dict[str, int] = {}
        self.hints: dict[str, str] = {}
        self.count = 0

    def text(self) -> str:
        ports = [*self.ports, *(f"out {name} : i{width}" for name, width, _ in self.outputs)]
        values = ", ".join(value for _, _, value in self.outputs)
        types = ", ".join(f"i{width}" for _, width, _ in self.outputs)
        body = "\n".join(f"  {self._hinted(line)}" for line in self.lines)
        comment = mlir_string(self.comment)
        parameters = ", ".join(f"{name}: none = {text}" for name, text in self.parameters.items())
        head = f"@{self.name}<{parameters}>" if parameters else f"@{self.name}"
        return (
            f"hw.module {head}({', '.join(ports)}) attributes {{comment = {comment}}} {{\n"
            f"{body}\n  hw.output {values} : {types}\n}}\n"
        )

    def _hinted(self, line: str) -> str:
        """Return an operation with the name for its wire, should it get one."""
        value, _, operation = line.partition(" = ")
        if value not in self.hints or not operation.startswith("comb."):
            return line
        return line.replace(" : ", f' {{sv.namehint = "{self.hints[value]}"}} : ', 1)

    def section(self, title: str) -> None:
        """Begin a section of the text."""
        self.lines.append(f"sv.verbatim {mlir_string(chr(10) + '// ---- ' + title)}")

    def note(self, text: str) -> None:
        """Put a comment between the statements."""
        self.lines.append(f"sv.verbatim {mlir_string('// ' + text)}")

    def hint(self, name: str, value: str) -> str:
        """Name an expression, should it be used more than once; returns it."""
        if value.startswith("%v"):
            self.hints.setdefault(value, name)
        return value

    def parameter(self, name: str, value: int, width: int) -> str:
        """A constant with a name (`localparam`)."""
        self.lines.append(f"%{name} = sv.localparam {{value = {value} : i{width}}} : i{width}")
        self.widths[f"%{name}"] = width
        return f"%{name}"

    def input(self, name: str, width: int) -> str:
        self.ports.append(f"in %{name} : i{width}")
        self.widths[f"%{name}"] = width
        return f"%{name}"

    def clock(self, name: str) -> str:
        self.ports.append(f"in %{name} : {CLOCK}")
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

    def define(self, name: str, value: str) -> None:
        """Make a value that was declared by `forward` another name of `value`, just made."""
        last = f"{value} = "
        assert self.lines[-1].startswith(last), name
        self.lines[-1] = f"{name} = {self.lines[-1].removeprefix(last)}"

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
        operands = [f"{port}: {value}: {CLOCK}" for port, value in (clocks or {}).items()]
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


def is_nan(m: Module, word: str) -> str:
    exponent = m.equals(m.extract(word, 23, 8), 0xFF)
    fraction = m.compare("ne", m.extract(word, 0, 23), m.constant(0, 23))
    return m.and_(exponent, fraction)


def canonical(m: Module, word: str) -> str:
    return m.mux(is_nan(m, word), m.constant(NAN, 32), word)


def _extern(name: str, ports: Sequence[str], parameters: str = "", verilog: str = "") -> str:
    attributes = f' attributes {{verilogName = "{verilog}"}}' if verilog else ""
    return f"hw.module.extern @{name}{parameters}({', '.join(ports)}){attributes}\n"


def _core_parameters(values: Sequence[tuple[str, int]]) -> tuple[str, str]:
    """Return the parameters as an extern module declares them and as an instance gives them."""
    if not values:
        return "", ""
    declared = ", ".join(f"{name}: i32" for name, _ in values)
    given = ", ".join(f"{name}: i32 = {value}" for name, value in values)
    return f"<{declared}>", f"<{given}>"


def _given(parameter: str) -> str:
    """Return a parameter of the module around as the value of an instance's."""
    return f'#hw.param.decl.ref<"{parameter}">'


def passed_on(module: Module) -> str:
    """Return the parameters of an instance of `module` in another one that has them too."""
    given = ", ".join(f"{name}: none = {_given(name)}" for name in module.parameters)
    return f"<{given}>" if given else ""


def rom_file(module: str, what: str | int) -> str:
    """Return the file of a ROM of a module: of an operand, the microcode or the weights."""
    return f"{module}_{what}.hex"


def rom_parts(file: str, words: int, width: int) -> list[tuple[str, int, int, int, int]]:
    """Return the ROMs that make up one: file, first word, words, lowest bit and width of each.

    `file` is the name in the ROMs' folder.

    Block RAMs are 1024 words of 18 bits, 2048 of 9, 4096 of 4 and so on.  Of a deep ROM of more
    than 16 bits, synthesis would use the ninth bits as well, and depths that are no powers of two
    it makes of many blocks: both take logic to choose among blocks.  So it is made of columns of
    16 bits, and where a power of two would waste too much, of two such powers (as asnet_ram).
    """
    if words <= 1024:
        return [(file, 0, words, 0, width)]
    half = 1 << (bits_for(words) - 1)
    rows = [(0, words)]
    if half - (1 << bits_for(words - half)) > 1024:
        rows = [(0, half), (half, words - half)]
    stem = file.removesuffix(".hex")
    parts = [
        (first, count, low, min(16, width - low))
        for first, count in rows
        for low in range(0, width, 16)
    ]
    if len(parts) == 1:
        return [(file, *parts[0])]
    return [(f"{stem}_{number}.hex", *part) for number, part in enumerate(parts)]


class Externs(dict[str, str]):
    """What a design instantiates from elsewhere: declarations by symbol.

    The names of all modules of the design begin with `prefix`.
    """

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self.prefix = prefix

    def memory(self, kind: str, sizes: Sequence[int], ports: Sequence[str], parameters: str) -> str:
        """Declare a memory of the library in `rtl`; returns its symbol.

        CIRCT checks the widths of an extern module's ports, so there is a declaration a size.
        """
        symbol = ".".join([kind, *map(str, sizes)])
        self[symbol] = _extern(symbol, ports, parameters, f"{self.prefix}_{kind}")
        return symbol


class Parts:
    """A module in the making and what it instantiates: memories and cores.

    `externs` collects the declarations that the instances need.
    """

    def __init__(self, m: Module, cores: Mapping[int, CorePorts], externs: Externs) -> None:
        self.m = m
        self.cores = cores
        self.externs = externs
        self.clock_bit = ""
        self.rst = ""
        # What iterative cores say: whether they can be started, and whether they are too late.
        self.settled: list[str] = []
        self.late: list[str] = []

    def rom(self, name: str, words: int, width: int, what: str | int, address: str) -> str:
        m = self.m
        file = rom_file(m.name, what)
        parts = rom_parts(file, words, width)
        rows: dict[int, list[str]] = {}
        for number, (own, first, count, _, bits) in enumerate(parts):
            label = name if len(parts) == 1 else f"{name}_{number}"
            rows.setdefault(first, []).append(self.rom_part(label, count, bits, own, address))
        values = [m.concat(*reversed(columns)) for columns in rows.values()]
        if len(values) == 1:
            return values[0]
        # The second one begins where the highest bit of the address is 1.
        is_high = m.extract(address, bits_for(words) - 1, 1)
        return m.mux(m.register(f"{name}_is_high", is_high, "%clk"), values[1], values[0])

    def rom_part(self, name: str, words: int, width: int, file: str, address: str) -> str:
        bits = max(bits_for(words), 1)
        symbol = self.externs.memory(
            "rom",
            (bits, width),
            ["in %clk_i : i1", f"in %address_i : i{bits}", f"out data_o : i{width}"],
            "<Words: i32, Width: i32, AddressBits: i32, Folder: none, File: none>",
        )
        self.m.parameters[_ROM_FOLDER] = '"rom"'
        parameters = (
            f"<Words: i32 = {words}, Width: i32 = {width}, AddressBits: i32 = {bits}, "
            f'Folder: none = {_given(_ROM_FOLDER)}, File: none = "{file}">'
        )
        inputs = {"clk_i": self.clock_bit, "address_i": self.m.fit(address, bits)}
        return self.m.instance(name, symbol, inputs, {"data_o": width}, parameters)[0]

    def ram(self, name: str, words: int, read: str, enable: str, write: str, data: str) -> str:
        bits = max(bits_for(words), 1)
        symbol = self.externs.memory(
            "ram",
            (bits,),
            [
                "in %clk_i : i1",
                f"in %read_address_i : i{bits}",
                "out read_data_o : i32",
                "in %write_enable_i : i1",
                f"in %write_address_i : i{bits}",
                "in %write_data_i : i32",
            ],
            "<Words: i32, AddressBits: i32>",
        )
        inputs = {
            "clk_i": self.clock_bit,
            "read_address_i": read,
            "write_enable_i": enable,
            "write_address_i": write,
            "write_data_i": data,
        }
        parameters = f"<Words: i32 = {words}, AddressBits: i32 = {bits}>"
        return self.m.instance(name, symbol, inputs, {"read_data_o": 32}, parameters)[0]

    def fifo(
        self, name: str, words: int, reset: str, data: str, valid: str, ready: str
    ) -> tuple[str, str, str]:
        """A queue; returns whether it takes a word, its output, and whether that is valid."""
        width = self.m.widths[data]
        symbol = self.externs.memory(
            "fifo",
            (width,),
            [
                "in %clk_i : i1",
                "in %rst_i : i1",
                f"in %data_i : i{width}",
                "in %valid_i : i1",
                "out ready_o : i1",
                f"out data_o : i{width}",
                "out valid_o : i1",
                "in %ready_i : i1",
            ],
            "<Words: i32, Width: i32, AddressBits: i32>",
        )
        parameters = (
            f"<Words: i32 = {words}, Width: i32 = {width}, AddressBits: i32 = {bits_for(words)}>"
        )
        inputs = {
            "clk_i": self.clock_bit,
            "rst_i": reset,
            "data_i": data,
            "valid_i": valid,
            "ready_i": ready,
        }
        outputs = {"ready_o": 1, "data_o": width, "valid_o": 1}
        taken, word, is_valid = self.m.instance(name, symbol, inputs, outputs, parameters)
        return taken, word, is_valid

    def register_file(
        self, name: str, words: int, width: int, read: str, enable: str, write: str, data: str
    ) -> str:
        # Distributed RAM comes in blocks of 16 words.
        bits = max(bits_for(words), 4)
        symbol = self.externs.memory(
            "register_file",
            (bits, width),
            [
                "in %clk_i : i1",
                f"in %read_index_i : i{bits}",
                f"out read_data_o : i{width}",
                "in %write_enable_i : i1",
                f"in %write_index_i : i{bits}",
                f"in %write_data_i : i{width}",
            ],
            "<Words: i32, Width: i32, IndexBits: i32>",
        )
        parameters = f"<Words: i32 = {1 << bits}, Width: i32 = {width}, IndexBits: i32 = {bits}>"
        inputs = {
            "clk_i": self.clock_bit,
            "read_index_i": self.m.hint(f"{name}_index", self.m.fit(read, bits)),
            "write_enable_i": enable,
            "write_index_i": self.m.hint(f"{name}_index", self.m.fit(write, bits)),
            "write_data_i": data,
        }
        return self.m.instance(name, symbol, inputs, {"read_data_o": width}, parameters)[0]

    @staticmethod
    def unit_name(unit: Unit) -> str:
        return f"unit_{unit.id}_{unit.op}"

    def ports(self, unit: Unit) -> CorePorts:
        return self.cores.get(unit.id, CorePorts())

    def unit(self, unit: Unit, a: str, b: str, name: str = "", start: str = "") -> str:
        m = self.m
        ports = self.ports(unit)
        module = ports.module or unit.module
        declared, given = _core_parameters(
            unit.parameters if ports.parameters is None else ports.parameters
        )
        inputs = {ports.a: a, ports.b: b}
        if ports.start:
            inputs = {ports.start: start, **inputs}
        if ports.reset:
            inputs = {ports.reset: self.rst, **inputs}
        if ports.clock:
            inputs = {ports.clock: self.clock_bit, **inputs}
        inputs |= {name: m.constant(value, width) for name, width, value in ports.tied}
        declarations = [f"in %{port} : i{m.widths[value]}" for port, value in inputs.items()]
        outputs = {ports.result: 32}
        outputs |= {port: 1 for port in (ports.settled, ports.late) if port}
        declarations += [f"out {port} : i{width}" for port, width in outputs.items()]
        self.externs[module] = _extern(module, declarations, declared)
        values = m.instance(name or self.unit_name(unit), module, inputs, outputs, given)
        word, *said = values
        for port, into in ((ports.settled, self.settled), (ports.late, self.late)):
            if port:
                into.append(said.pop(0))
        return word if ports.canonical_nan else canonical(m, word)


def design(externs: Mapping[str, str], modules: Sequence[Module]) -> str:
    """Return a whole design: what is instantiated from elsewhere, and `modules`."""
    parts = ["".join(externs.values()).rstrip(), *(module.text() for module in modules)]
    body = "\n".join(parts)
    # Yosys' own reader knows no packed arrays of more than one dimension.
    options = "locationInfoStyle=none,disallowLocalVariables,disallowPackedArrays"
    options += ",emittedLineLength=100"
    return f'module attributes {{circt.loweringOptions = "{options}"}} {{\n{body}}}\n'
