# SPDX-License-Identifier: Apache-2.0
"""Functions of integers as pipelines of SystemVerilog, each value as wide as its bounds demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.hardware.integers import parts_area as areas
from asnet_mlir.hardware.integers.parts_area import NOTHING, Area
from asnet_mlir.hardware.integers.scalars import Body, Interval, Scalar, as_unsigned, bounds

__all__ = [
    "Datapath",
    "Rom",
    "Unit",
    "datapath",
    "given",
    "header",
    "instance",
    "literal",
    "serial_interval",
]

#: What logic may take between two registers, and parts of it, in ns of ECP5 with routing.
_BUDGET = 4.0
_LUT, _CARRY_BASE, _CARRY_BIT = 0.9, 1.2, 0.05
#: From so many cycles for a product on it is computed serially, in so many cycles at most.
_SERIAL, _SERIAL_MOST = 4, 32
#: Words of a table in logic (`asnet_rom`); numbers by which can be divided.
_SMALL_TABLE, _DIVISORS = 32, 4096
#: What a multiplier of the device takes with a sign, and limbs without one.
_FACTOR_BITS, _LIMB_BITS = 18, 17
_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


@dataclass(frozen=True)
class Unit:
    """A bound core.

    Attributes:
      attachment: how it is instantiated (`bundle.unit.attachment`).
      widths: bits of its operands and its result.
      latency: in cycles.
    """

    attachment: Mapping[str, Any]
    widths: tuple[int, int, int]
    latency: int


@dataclass(frozen=True)
class Rom:
    """Contents of a ROM: the file's name without the design's, words, and bits of a word."""

    name: str
    words: tuple[int, ...]
    width: int


@dataclass(frozen=True)
class Datapath:
    """A pipeline.

    Attributes:
      text: its module.
      module: its name.
      latency: cycles from the operands to the result.
      result: bounds of it.
      roms: tables that it looks up.
      units: how often it instantiates each bound core.
      has_start: whether it has the ports `start_i` and `rst_i`.
      area: of it, cores left out.
    """

    text: str
    module: str
    latency: int
    result: Interval
    roms: tuple[Rom, ...]
    units: Mapping[int, int]
    has_start: bool = False
    area: Area = NOTHING


def header(has_roms: bool) -> str:
    """Return the parameters of a module: where its ROMs are, if it has any."""
    return ' #(\n  parameter RomFolder = "rom"\n)' if has_roms else ""


def given(has_roms: bool) -> str:
    """Return the parameters of an instance of such a module."""
    return " #(.RomFolder(RomFolder))" if has_roms else ""


def literal(value: int, width: int) -> str:
    """Return a signed constant of SystemVerilog."""
    return f"{width}'sh{value & ((1 << width) - 1):x}"


def serial_interval(cycles: int) -> int:
    """Return how many cycles a result may take where one is wanted every so many, for less area."""
    return next((few for few in (_SERIAL_MOST, 16, 8, _SERIAL) if few <= cycles), 1)


def datapath(
    module: str,
    body: Body,
    arguments: Sequence[Interval],
    arrivals: Sequence[int],
    units: Mapping[int, Unit],
    design: str,
    interval: int = 1,
    in_logic: bool = False,
) -> Datapath:
    """Build the pipeline of a body.

    Args:
      module: its name.
      arguments: bounds; ports are `x0_i`, `x1_i`, .., of the width of each.
      arrivals: the cycle in which each argument is there.
      units: bound cores by instance.
      design: what names of ROMs and helpers begin with.
      interval: the fewest cycles from operands to the next ones.  With `_SERIAL` or more, wide
        products are computed one digit after the other, and the module has a port `start_i` that
        is 1 in the cycle of the operands, and `rst_i`, which ends what is under way.
      in_logic: its products are for no multiplier of the device.
    """
    return _Pipeline(module, body, arguments, arrivals, units, design, interval, in_logic).build()


class _Factor(NamedTuple):
    """A net, and what is known of it."""

    net: str
    known: areas.Factor

    @property
    def width(self) -> int:
        return self.known.width


@dataclass
class _Signal:
    """A value: its bounds, the stage in which it is computed, and the time that this takes."""

    bounds: Interval
    stage: int
    delay: float = 0.0
    names: dict[int, str] = field(default_factory=dict)


class _Pipeline:
    def __init__(
        self,
        module: str,
        body: Body,
        arguments: Sequence[Interval],
        arrivals: Sequence[int],
        units: Mapping[int, Unit],
        design: str,
        interval: int,
        in_logic: bool,
    ) -> None:
        self._in_logic = in_logic
        self._module, self._body, self._design = module, body, design
        self._interval, self._starts, self._has_start = interval, {0: "start_i"}, False
        self._arguments, self._arrivals, self._units = arguments, arrivals, units
        self._bounds = bounds(body, arguments)
        self._signals: list[_Signal] = []
        self._nets: list[str] = []
        self._registers: list[str] = []
        self._roms: list[Rom] = []
        self._used: dict[int, int] = {}
        self._area = Area()

    def build(self) -> Datapath:
        needed = self._needed()
        for place, op in enumerate(self._body.ops):
            found = self._bounds[place]
            if place not in needed or found.single is not None:
                self._signals.append(
                    _Signal(
                        found,
                        0,
                        0.0,
                        {0: "" if place not in needed else literal(found.low, found.width)},
                    )
                )
                continue
            self._signals.append(self._op(place, op))
        result = self._signals[self._body.result]
        latency = result.stage + (1 if result.delay > 0 else 0)
        latency = max(latency, *self._arrivals, 0) if self._arrivals else latency
        name = self._at(self._body.result, latency)
        width = result.bounds.width
        ports = ["  input  logic clk_i"]
        if self._has_start:
            ports += ["  input  logic rst_i", "  input  logic start_i"]
        ports += [
            f"  input  logic signed [{self._arguments[number].width - 1}:0] x{number}_i"
            for number in range(len(self._arguments))
        ]
        ports.append(f"  output logic signed [{width - 1}:0] y_o")
        steps = "".join(f"    {line}\n" for line in self._registers)
        text = f"module {self._module}{header(bool(self._roms))} (\n"
        text += ",\n".join(ports) + "\n);\n\n"
        text += "".join(f"  {line}\n" for line in self._nets)
        if steps:
            text += f"\n  always_ff @(posedge clk_i) begin\n{steps}  end\n"
        text += f"\n  assign y_o = {name};\n\nendmodule\n"
        return Datapath(
            text,
            self._module,
            latency,
            result.bounds,
            tuple(self._roms),
            dict(self._used),
            self._has_start,
            self._area,
        )

    def _needed(self) -> set[int]:
        """Return the places of the ops that the result needs, constants in between cut off."""
        needed: set[int] = set()
        waiting = [self._body.result]
        while waiting:
            place = waiting.pop()
            if place in needed:
                continue
            needed.add(place)
            if self._bounds[place].single is None:
                op = self._body.ops[place]
                chosen = op.operands
                if op.name == "select" and self._bounds[chosen[0]].single is not None:
                    chosen = (chosen[1 if self._bounds[chosen[0]].single else 2],)
                waiting += chosen
        return needed

    # Names of values in stages.

    def _net(self, name: str, width: int, expression: str) -> None:
        self._nets.append(f"logic signed [{width - 1}:0] {name};")
        self._nets.append(f"assign {name} = {expression};")

    def _register(self, name: str, width: int, expression: str) -> None:
        self._nets.append(f"logic signed [{width - 1}:0] {name};")
        self._registers.append(f"{name} <= {expression};")

    def _at(self, place: int, stage: int) -> str:
        """Return the name of a value in a stage, delayed by registers."""
        signal = self._signals[place]
        if signal.bounds.single is not None:
            return literal(signal.bounds.low, signal.bounds.width)
        last = max(known for known in signal.names if known <= stage)
        while last < stage:
            last += 1
            name = f"v{place}_{last}"
            self._register(name, signal.bounds.width, signal.names[last - 1])
            signal.names[last] = name
        return signal.names[stage]

    def _ready(self, operands: Sequence[int], cost: float) -> tuple[int, float]:
        """Return the stage in which an op of `cost` is computed, and when its result is there."""
        live = [self._signals[p] for p in operands if self._signals[p].bounds.single is None]
        stage = max((signal.stage for signal in live), default=0)
        begin = max((signal.delay for signal in live if signal.stage == stage), default=0.0)
        if begin and begin + cost > _BUDGET:
            return stage + 1, cost
        return stage, begin + cost

    def _registered(self, operands: Sequence[int]) -> int:
        """Return the first stage in which all operands come out of registers."""
        live = [self._signals[p] for p in operands if self._signals[p].bounds.single is None]
        return max((signal.stage + (1 if signal.delay > 0 else 0) for signal in live), default=0)

    # Ops.

    def _op(self, place: int, op: Scalar) -> _Signal:
        found = self._bounds[place]
        if op.name == "arg":
            arrival = self._arrivals[op.number]
            return _Signal(found, arrival, 0.0, {arrival: f"x{op.number}_i"})
        if op.name == "lookup":
            return self._lookup(place, op)
        if op.instance is not None:
            return self._unit(place, op)
        if op.name == "muli" and not self._is_shift(op):
            return self._product(place, op)
        if op.name == "divsi":
            return self._divide(place, op)
        if op.name == "select" and self._bounds[op.operands[0]].single is not None:
            chosen = op.operands[1 if self._bounds[op.operands[0]].single else 2]
            return self._moved(place, chosen, lambda x: x)
        cost = self._cost(op, found)
        self._area += self._area_of(op, found)
        stage, delay = self._ready(op.operands, cost)
        operands = [self._operand(place, number, stage) for number in op.operands]
        name = f"v{place}_{stage}"
        self._net(name, found.width, self._expression(op, found, operands))
        return _Signal(found, stage, delay, {stage: name})

    def _moved(self, place: int, source: int, change: Callable[[str], str]) -> _Signal:
        signal = self._signals[source]
        stage = signal.stage
        name = f"v{place}_{stage}"
        self._net(name, self._bounds[place].width, change(self._at(source, stage)))
        return _Signal(self._bounds[place], stage, signal.delay, {stage: name})

    def _operand(self, place: int, source: int, stage: int) -> str:
        """Return an operand as the op takes it: read without a sign where the op does so."""
        op = self._body.ops[place]
        name = self._at(source, stage)
        is_unsigned = (
            op.unsigned
            or op.name in ("extui", "index_castui", "maxui", "minui")
            or (op.name == "cmpi" and op.predicate[0] == "u")
            or (op.name == "shrui" and source == op.operands[0])
        )
        if is_unsigned and self._bounds[source].low < 0:
            bits = self._body.ops[source].bits
            wide = f"{name}_{place}_u"
            self._net(wide, bits, name)
            return f"$signed({{1'b0, {wide}}})"
        return name

    def _is_shift(self, op: Scalar) -> bool:
        return any(
            (number := self._bounds[place].single) is not None
            and number > 0
            and number & (number - 1) == 0
            for place in op.operands
        )

    def _cost(self, op: Scalar, found: Interval) -> float:
        width = max([found.width, *(self._bounds[place].width for place in op.operands)])
        chain = _CARRY_BASE + _CARRY_BIT * width
        if op.name in ("extsi", "trunci", "extui", "index_cast", "index_castui", "muli"):
            return 0.0
        if op.name in ("shli", "shrsi", "shrui"):
            amount = self._bounds[op.operands[1]]
            return _LUT * (amount.high - amount.low).bit_length()
        if op.name[:3] in ("max", "min"):
            return chain + _LUT
        if op.name in ("select", "andi", "ori", "xori"):
            return _LUT
        return chain

    def _area_of(self, op: Scalar, found: Interval) -> Area:
        """Return the area of an op without registers."""
        width = max([found.width, *(self._bounds[place].width for place in op.operands)])
        name = op.name
        if name in ("extsi", "trunci", "extui", "index_cast", "index_castui", "muli"):
            return Area()
        if name in ("shli", "shrsi", "shrui"):
            amount = self._bounds[op.operands[1]]
            return Area(luts=found.width * (amount.high - amount.low).bit_length())
        if name in ("select", "andi", "ori", "xori"):
            return Area(luts=found.width)
        if name[:3] in ("max", "min"):
            if found in [self._bounds[place] for place in op.operands]:
                return Area()  # a limit that is none
            return areas.adder(width) + Area(luts=found.width)
        if name == "cmpi" and any(self._bounds[place].single == 0 for place in op.operands):
            return Area(luts=1)  # a sign
        if name in ("addi", "subi"):
            # Where the second one has zeros, or either one of a sum, the other's bits pass.
            passing = [self._zeros(place) for place in op.operands]
            return areas.adder(width - (max(passing) if name == "addi" else passing[1]))
        return areas.adder(width)

    def _expression(self, op: Scalar, found: Interval, operands: list[str]) -> str:
        """Return an expression whose low bits, as many as the result has, are the result."""
        name = op.name
        simple = {"andi": "&", "ori": "|", "xori": "^"}
        # As wide as the exact result is, of which the result takes the low bits.
        wide = max(op.bits, *(self._bounds[place].width for place in op.operands)) + 1
        first = f"{wide}'({operands[0]})"
        if name in ("extsi", "trunci", "extui", "index_cast", "index_castui"):
            return f"{found.width}'({operands[0]})"
        if name in ("addi", "subi"):
            width = max(found.width, *(self._bounds[place].width for place in op.operands)) + 1
            sign = "+" if name == "addi" else "-"
            total = f"({width}'({operands[0]}) {sign} {width}'({operands[1]}))"
            return f"{found.width}'{total}"
        if name in simple:
            return f"{found.width}'({first} {simple[name]} {wide}'({operands[1]}))"
        if name == "cmpi":
            return (
                f"({first} {_COMPARISONS[op.predicate[-2:]]} {wide}'({operands[1]})) "
                f"? {found.width}'sd1 : {found.width}'sd0"
            )
        if name == "select":
            return (
                f"{operands[0]}[0] ? {found.width}'({operands[1]}) : {found.width}'({operands[2]})"
            )
        if name[:3] in ("max", "min"):
            sign = ">" if name[:3] == "max" else "<"
            left, right = (f"{found.width}'({operand})" for operand in operands)
            return f"({first} {sign} {wide}'({operands[1]})) ? {left} : {right}"
        if name == "muli":
            shift, other = self._shift_of(op)
            return f"{found.width}'(({found.width + 1}'({operands[other]})) <<< {shift})"
        return self._shifted(op, found, operands)

    def _shift_of(self, op: Scalar) -> tuple[int, int]:
        for number, place in enumerate(op.operands):
            power = self._bounds[place].single
            if power is not None and power > 0 and power & (power - 1) == 0:
                return power.bit_length() - 1, 1 - number
        raise AssertionError(op)

    def _shifted(self, op: Scalar, found: Interval, operands: list[str]) -> str:
        """Return a shift, by the least amount first and by the few others then."""
        amount = self._bounds[op.operands[1]]
        if amount.low < 0 or amount.high >= 128:
            raise UnsupportedError(f"hardware of codes has no shift by {amount.low}..{amount.high}")
        source = self._bounds[op.operands[0]]
        if op.name == "shrui":
            source = as_unsigned(source, self._body.ops[op.operands[0]].bits)
        width = max(found.width, source.width) + (amount.high if op.name == "shli" else 0)
        sign = "<<<" if op.name == "shli" else ">>>"
        least = amount.low
        if op.name != "shli":
            # No shift by more than the width: by which some simulators take the amount modulo 32.
            if amount.single is None:
                width = max(width, amount.high + 1)
            least = min(least, width - 1)
        base = f"({width}'({operands[0]}) {sign} {least})"
        if amount.single is not None:
            return f"{found.width}'{base}"
        rest_bits = (amount.high - amount.low).bit_length()
        rest = f"{rest_bits}'({operands[1]} - {literal(amount.low, amount.width + 1)})"
        return f"{found.width}'({base} {sign} {rest})"

    def _lookup(self, place: int, op: Scalar) -> _Signal:
        assert op.table is not None
        found, index = self._bounds[place], op.operands[0]
        stage = self._registered([index])
        net = f"v{place}_{stage + 1}"
        words = [int(entry) for entry in op.table]
        table = self._table(words, found.width, self._at(index, stage), net)
        self._net(net, found.width, f"$signed({table})")
        # Out of a block RAM a word comes late.
        late = _BUDGET if len(words) > _SMALL_TABLE else _LUT
        return _Signal(found, stage + 1, late, {stage + 1: net})

    def _table(self, entries: Sequence[int], width: int, index: str, net: str) -> str:
        """Look up in a ROM; return the word's name, a cycle after that of `index`."""
        bits = max(1, (len(entries) - 1).bit_length())
        words = tuple(entry & ((1 << width) - 1) for entry in entries)
        name = f"{self._module.removeprefix(self._design + '_')}_table{len(self._roms)}"
        self._roms.append(Rom(name, words, width))
        self._area += areas.rom(len(words), width)
        self._nets.append(f"logic [{width - 1}:0] {net}_u;")
        self._nets.append(
            f"{self._design}_rom #(.Words({len(words)}), .Width({width}), .AddressBits({bits}), "
            f'.Folder(RomFolder), .File("{self._design}_{name}.hex")) {name} '
            f"(.clk_i(clk_i), .address_i({bits}'({index})), .data_o({net}_u));"
        )
        return f"{net}_u"

    def _unit(self, place: int, op: Scalar) -> _Signal:
        """Instantiate a bound core, between registers."""
        assert op.instance is not None
        unit = self._units[op.instance]
        self._used[op.instance] = self._used.get(op.instance, 0) + 1
        stage = self._registered(op.operands)
        if stage == max(self._arrivals, default=0):
            # Codes of a memory go to the cores of all lanes: those wires have a cycle of their own.
            stage += 1
        done = stage + unit.latency
        nets = []
        for number, source in enumerate(op.operands):
            net = f"u{place}_{'ab'[number]}"
            width = unit.widths[number]
            self._nets.append(f"logic [{width - 1}:0] {net};")
            self._nets.append(f"assign {net} = {width}'({self._operand(place, source, stage)});")
            nets.append(net)
        self._nets.append(f"logic [{unit.widths[2] - 1}:0] u{place}_y;")
        self._nets.append(instance(unit.attachment, f"u{place}", nets[0], nets[1], f"u{place}_y"))
        name = f"v{place}_{done}"
        own = f"{{1'b0, u{place}_y}}" if op.unsigned else f"u{place}_y"
        self._net(name, self._bounds[place].width, f"$signed({own})")
        return _Signal(self._bounds[place], done, _BUDGET, {done: name})

    def _start(self, stage: int) -> str:
        """Return the name of the bit that is 1 when operands are in a stage."""
        last = max(known for known in self._starts if known <= stage)
        while last < stage:
            last += 1
            self._nets.append(f"logic start_{last};")
            self._registers.append(f"start_{last} <= {self._starts[last - 1]} && !rst_i;")
            self._starts[last] = f"start_{last}"
        return self._starts[stage]

    def _serial(self, place: int, op: Scalar) -> _Signal:
        """Multiply by an adder, a digit of the second factor a cycle."""
        found = self._bounds[place]
        stage = self._registered(op.operands)
        self._has_start = True
        factors = [self._factor(place, number, stage) for number in range(2)]
        a, b = sorted(factors, key=lambda factor: factor.width)
        left, right = a.width, b.width
        cycles = min(self._interval, _SERIAL_MOST, right)
        self._area += areas.serial(left, right, cycles)
        product = f"p{place}"
        self._nets.append(f"logic signed [{left + right - 1}:0] {product};")
        self._nets.append(
            f"{self._design}_serial #(.Left({left}), .Right({right}), .Cycles({cycles})) "
            f"serial{place} (.clk_i(clk_i), .rst_i(rst_i), .start_i({self._start(stage)}), "
            f".a_i({a.net}), .b_i({b.net}), .y_o({product}));"
        )
        digit = -(-right // cycles)
        stage += cycles + 2 + (1 if digit == 1 else _levels(digit + 1))
        name = f"v{place}_{stage}"
        wide = max(found.width, left + right)
        self._net(name, found.width, f"{found.width}'({wide}'({product}))")
        return _Signal(found, stage, 0.0, {stage: name})

    def _product(self, place: int, op: Scalar) -> _Signal:
        """Multiply, by products that the device's multipliers take, registers inside."""
        found = self._bounds[place]
        widest = max(self._bounds[operand].width for operand in op.operands)
        if self._interval >= _SERIAL and widest > _FACTOR_BITS // 2:
            return self._serial(place, op)
        stage = self._registered(op.operands)
        left, right = (self._factor(place, number, stage) for number in range(2))
        product, stage = self._multiplied(place, left, right, stage, found.width)
        name = f"v{place}_{stage}"
        self._net(name, found.width, f"{found.width}'({product})")
        return _Signal(found, stage, 0.0, {stage: name})

    def _multiplied(
        self, place: int, left: _Factor, right: _Factor, stage: int, exact: int
    ) -> tuple[str, int]:
        """Multiply nets that come out of registers in `stage`.

        Returns:
          The low `exact` bits of the product, and the stage in which they are there.
        """
        limbs = [self._limbs(left), self._limbs(right)]
        widths = [(a.width, b.width) for a, _ in limbs[0] for b, _ in limbs[1]]
        latency = max(2, *(_levels(min(pair)) for pair in widths))
        terms = []
        own = ", .InLogic(1'b1)" if self._in_logic else ""
        for i, (a, a_shift) in enumerate(limbs[0]):
            for j, (b, b_shift) in enumerate(limbs[1]):
                product, width = f"p{place}_{i}{j}", a.width + b.width
                narrow, wide = sorted((a, b), key=lambda factor: factor.width)
                self._area += areas.product(wide.known, narrow.known, self._in_logic)
                self._nets.append(f"logic signed [{width - 1}:0] {product};")
                self._nets.append(
                    f"{self._design}_product #(.Left({wide.width}), .Right({narrow.width}), "
                    f".Latency({latency}){own}) {product}_unit "
                    f"(.clk_i(clk_i), .a_i({wide.net}), .b_i({narrow.net}), .y_o({product}));"
                )
                terms.append((product, a_shift + b_shift))
        stage, level = stage + latency, 0
        while len(terms) > 1:
            sums = []
            for k in range(0, len(terms), 2):
                low = min(shift for _, shift in terms[k : k + 2])
                parts = [f"({exact}'({x}) <<< {shift - low})" for x, shift in terms[k : k + 2]]
                name = f"s{place}_{level}_{k}"
                self._register(name, exact, " + ".join(parts))
                self._area += areas.adder(exact) if len(parts) > 1 else Area()
                sums.append((name, low))
            terms, level, stage = sums, level + 1, stage + 1
        return f"{exact}'({terms[0][0]}) <<< {terms[0][1]}", stage

    def _divide(self, place: int, op: Scalar) -> _Signal:
        """Divide, cut towards 0.

        Of a magnitude a below 2^n, a / d = a m / 2^k, cut, where m = 2^k / d rounded up and
        2^k >= 2^n d (Granlund and Montgomery, Division by Invariant Integers, 1994).  Of several d
        the greatest one gives k, and m is looked up.
        """
        found = self._bounds[place]
        dividend, divisor = (self._bounds[operand] for operand in op.operands)
        if divisor.low <= 0 or divisor.high > _DIVISORS:
            raise UnsupportedError(
                f"hardware of codes divides by positive numbers up to {_DIVISORS} only"
            )
        bits = max(dividend.high, -dividend.low, 1).bit_length()
        power = bits + (divisor.high - 1).bit_length()
        factors = [-(-(1 << power) // d) for d in range(divisor.low, divisor.high + 1)]
        wide = max(factors).bit_length() + 1
        stage = self._registered(op.operands)
        x = self._at(op.operands[0], stage)
        is_negative, magnitude = f"n{place}_{stage}", f"m{place}_{stage}"
        self._net(is_negative, 1, f"{x} < {literal(0, dividend.width)}")
        wider = f"({bits + 1}'({x}))"  # in parentheses: Yosys takes -9'(x) for (-9)'(x)
        self._net(magnitude, bits + 1, f"{is_negative} ? -{wider} : {wider}")
        factor = literal(factors[0], wide)
        moved = stage + 1
        if divisor.single is None:
            index = f"d{place}_{stage}"
            least = literal(divisor.low, divisor.width)
            self._net(index, divisor.width, f"{self._at(op.operands[1], stage)} - {least}")
            factor = self._table(factors, wide, index, f"r{place}")
            self._register(f"{factor}_q", wide, factor)
            factor, moved = f"{factor}_q", moved + 1
        for later in range(stage + 1, moved + 1):
            for name, width in ((f"n{place}", 1), (f"m{place}", bits + 1)):
                self._register(f"{name}_{later}", width, f"{name}_{later - 1}")
        self._net(f"k{place}", wide, factor)
        product, done = self._multiplied(
            place,
            _Factor(f"m{place}_{moved}", areas.Factor(bits + 1)),
            _Factor(f"k{place}", areas.Factor(wide, value=divisor.single and factors[0])),
            moved,
            bits + 1 + wide,
        )
        for later in range(moved + 1, done + 1):
            self._register(f"n{place}_{later}", 1, f"n{place}_{later - 1}")
        quotient = f"q{place}"
        self._area += areas.adder(bits + 1) * 2 + Area(luts=2 * bits)
        self._net(quotient, bits + 1, f"{bits + 1}'(({product}) >>> {power})")
        name = f"v{place}_{done}"
        self._net(
            name,
            found.width,
            f"{found.width}'(n{place}_{done}[0] ? -({quotient}) : {quotient})",
        )
        return _Signal(found, done, _CARRY_BASE + _LUT, {done: name})

    def _factor(self, place: int, number: int, stage: int) -> _Factor:
        source = self._body.ops[place].operands[number]
        name, found = self._operand(place, source, stage), self._bounds[source]
        width, value = found.width, found.single
        if self._body.ops[place].unsigned and found.low < 0:
            width, value = self._body.ops[source].bits + 1, None
        whole = f"f{place}_{'ab'[number]}"
        self._net(whole, width, f"{width}'({name})")
        return _Factor(whole, areas.Factor(width, zeros=self._zeros(source), value=value))

    def _zeros(self, place: int) -> int:
        """Return how many of a value's lowest bits are known to be 0."""
        op, found = self._body.ops[place], self._bounds[place].single
        if found is not None:
            return op.bits if found == 0 else (found & -found).bit_length() - 1
        if op.name in ("extsi", "extui", "trunci", "index_cast", "index_castui"):
            return self._zeros(op.operands[0])
        if op.name == "shli":
            return self._zeros(op.operands[0]) + self._bounds[op.operands[1]].low
        if op.name == "muli":
            return sum(map(self._zeros, op.operands))
        if op.name in ("addi", "subi"):
            return min(map(self._zeros, op.operands))
        return 0

    def _limbs(self, factor: _Factor) -> list[tuple[_Factor, int]]:
        """Return the parts of a factor, with the bits below them."""
        whole, known = factor
        if known.width <= _FACTOR_BITS:
            return [(factor, 0)]
        parts = []
        low = 0
        while known.width - low > _FACTOR_BITS:
            part = f"{whole}{low}"
            self._net(
                part, _FACTOR_BITS, f"$signed({{1'b0, {whole}[{low + _LIMB_BITS - 1}:{low}]}})"
            )
            parts.append((_Factor(part, known.limb(low, _LIMB_BITS)), low))
            low += _LIMB_BITS
        part = f"{whole}{low}"
        self._net(part, known.width - low, f"$signed({whole}[{known.width - 1}:{low}])")
        return [*parts, (_Factor(part, known.limb(low)), low)]


def _levels(bits: int) -> int:
    """Return how many registers a product by so many bits has inside: see `asnet_rows`."""
    return 1 + ((bits + 1) // 2 - 1).bit_length()


def instance(
    attachment: Mapping[str, Any], name: str, a: str, b: str, result: str, clock: str = "clk_i"
) -> str:
    """Return the instantiation of a core."""
    parameters = ", ".join(f".{key}({value})" for key, value in attachment["parameters"].items())
    ports = [f".{attachment['a']}({a})", f".{attachment['b']}({b})"]
    ports.append(f".{attachment['result']}({result})")
    if attachment["clock"]:
        ports.append(f".{attachment['clock']}({clock})")
    ports += [f".{port}({width}'d{value})" for port, width, value in attachment["tied"]]
    given = f" #({parameters})" if parameters else ""
    return f"{attachment['module']}{given} {name} ({', '.join(ports)});"
