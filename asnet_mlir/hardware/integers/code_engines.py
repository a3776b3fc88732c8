# SPDX-License-Identifier: Apache-2.0
"""Engines as SystemVerilog: a module a layer, between streams of codes with valid and ready."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.hardware.integers.code_graph import Generic, gathered
from asnet_mlir.hardware.integers.datapath import (
    Datapath,
    Rom,
    Unit,
    datapath,
    given,
    header,
    instance,
    literal,
)
from asnet_mlir.hardware.integers.loop_windows import Window, output_order
from asnet_mlir.hardware.integers.parts_area import NOTHING, Area, adder, memory, rom
from asnet_mlir.hardware.integers.queues import is_late, queue_area, queue_text
from asnet_mlir.hardware.integers.scalars import Body, Interval, Scalar, full_range
from asnet_mlir.hardware.integers.weight_memories import Fed

__all__ = ["Engine", "map_engine", "window_engine"]

#: Cycles from a step to its word of codes and of weights.
_READ = 3
#: Cycles of a pair of products at least: see `asnet_pair`.
_PAIR = 3
#: Cycles from an output to its constants.
_CONSTANTS = 2


@dataclass(frozen=True)
class Engine:
    """A module that takes codes and gives codes.

    Attributes:
      module: its name; ports are `x0_i`, .., `y_o`, each with valid and ready.
      text: it.
      parts: modules that it instantiates, by name.
      fed: its weights, where they lie outside.
      result: bounds of what it gives.
      roms: their contents.
      units: how often each bound core is in it.
      latency: cycles from its last input to an output, roughly.
      interval: cycles from an output to the next one, where it is computed serially.
      area: of it, cores left out.
      term: of that, each of the terms that it computes at once, where it has loops.
    """

    module: str
    text: str
    result: Interval
    roms: tuple[Rom, ...]
    units: Mapping[int, int] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)
    latency: int = 0
    interval: int = 1
    fed: Fed | None = None
    area: Area = NOTHING
    term: Area = NOTHING


@dataclass(frozen=True)
class _Function:
    """A pipeline of a node without a reduction, with the ROM of its constants.

    Attributes:
      path: the pipeline.
      roms: of it.
      constants: those of them that have a word an output.
      text: of the instance; takes `f_fire`, `f_x0`, .., gives `f_y`.
    """

    path: Datapath
    roms: tuple[Rom, ...]
    constants: tuple[Rom, ...]
    text: str

    @property
    def latency(self) -> int:
        return self.path.latency

    @property
    def area(self) -> Area:
        constants = sum((rom(len(one.words), one.width) for one in self.constants), Area())
        return self.path.area + constants + Area(luts=10.0 * len(self.constants))


def _rom(design: str, rom: Rom, address: str, bits: int, output: str) -> str:
    return (
        f"  {design}_rom #(.Words({len(rom.words)}), .Width({rom.width}), .AddressBits({bits}),\n"
        f'    .Folder(RomFolder), .File("{design}_{rom.name}.hex")) rom_{output} (\n'
        f"    .clk_i(clk_i), .address_i({address}), .data_o({output})\n  );\n"
    )


def _function(
    design: str,
    name: str,
    node: Generic,
    streams: Sequence[Interval],
    units: Mapping[int, Unit],
    interval: int,
) -> _Function:
    """Return the pipeline of a node without a reduction; `streams` bound what it reads, an output
    is computed every `interval` cycles at most."""
    order = output_order(node)
    order += [loop for loop in range(len(node.sizes)) if loop not in order]
    bounds, arrivals, sources = [], [], []
    columns: list[tuple[np.ndarray, int]] = []
    stream = 0
    for tensor, access in node.operands:
        if tensor.constant is None:
            bounds.append(streams[stream])
            arrivals.append(0)
            sources.append(f"f_x{stream}")
            stream += 1
            continue
        values = gathered(tensor, access, node.sizes).transpose(order).reshape(-1)
        found = Interval(int(values.min()), int(values.max()))
        bounds.append(found)
        if found.single is None:
            arrivals.append(_CONSTANTS)
            low = sum(width for _, width in columns)
            # As wide as its port, which has the sign: Yosys fails on $signed of a whole signal.
            sources.append(f"f_constants_q[{low + found.width - 1}:{low}]")
            columns.append((values, found.width))
        else:
            arrivals.append(0)
            sources.append(literal(found.low, found.width))
    path = datapath(f"{design}_{name}_f", node.body, bounds, arrivals, units, design, interval)
    text, roms = "", []
    if columns:
        rom, counter = _constants(design, f"{name}_constants", columns)
        roms.append(rom)
        text += counter
    width = path.result.width
    text += f"  logic signed [{width - 1}:0] f_y;\n"
    ports = "".join(f", .x{number}_i({source})" for number, source in enumerate(sources))
    start = ", .rst_i(rst_i), .start_i(f_fire)" if path.has_start else ""
    text += f"  {path.module}{given(bool(path.roms))} f (.clk_i(clk_i){start}{ports}, .y_o(f_y));\n"
    return _Function(path, (*path.roms, *roms), tuple(roms), text)


def _constants(
    design: str, name: str, columns: Sequence[tuple[np.ndarray, int]]
) -> tuple[Rom, str]:
    """Return the ROM of what outputs want, and a counter that goes through it."""
    period = max(_period(values) for values, _ in columns)
    words = [0] * period
    low = 0
    for values, width in columns:
        for index, value in enumerate(values[:period].tolist()):
            words[index] |= (value & ((1 << width) - 1)) << low
        low += width
    bits = max(1, (period - 1).bit_length())
    rom = Rom(name, tuple(words), low)
    text = f"""  // What each output takes of constants, by its channel.
  logic [{bits - 1}:0] f_count_q;
  logic [{low - 1}:0] f_constants, f_constants_q;
  always_ff @(posedge clk_i) begin
    if (rst_i) f_count_q <= '0;
    else if (f_fire) f_count_q <= f_count_q == {bits}'d{period - 1} ? '0 : f_count_q + 1'b1;
    f_constants_q <= f_constants;
  end
"""
    return rom, text + _rom(design, rom, "f_count_q", bits, "f_constants")


def _period(values: np.ndarray) -> int:
    """Return after how many outputs constants are the same again."""
    for period in (n for n in range(1, len(values) + 1) if len(values) % n == 0):
        if (values.reshape(-1, period) == values[:period]).all():
            return period
    raise AssertionError


def _delayed(name: str, source: str, cycles: int, resets: bool = True) -> str:
    """Return a shift register of a bit; `NAME` is the bit `cycles` later."""
    if cycles == 0:
        return f"  logic {name};\n  assign {name} = {source};\n"
    value = source if cycles == 1 else f"{{{name}_q[{cycles - 2}:0], {source}}}"
    reset = f"rst_i ? '0 : {value}" if resets else value
    return (
        f"  logic {name};\n  logic [{cycles - 1}:0] {name}_q;\n"
        f"  always_ff @(posedge clk_i) {name}_q <= {reset};\n"
        f"  assign {name} = {name}_q[{cycles - 1}];\n"
    )


def _gap(cycles: int) -> str:
    """Return a bit that is 0 for so many cycles behind a group's last step."""
    if not cycles:
        return ""
    bits = cycles.bit_length()
    return f"""  logic [{bits - 1}:0] gap_q;
  logic free_q;
  always_ff @(posedge clk_i) begin
    if (rst_i) gap_q <= '0;
    else if (step && group_end) gap_q <= {bits}'d{cycles};
    else if (gap_q != '0) gap_q <= gap_q - 1'b1;
    free_q <= rst_i || (!(step && group_end) && gap_q <= {bits}'d1);
  end
"""


def _resting(interval: int) -> str:
    """Return a counter that is 0 if the last `f_fire` is so many cycles ago."""
    bits = (interval - 1).bit_length()
    return f"""  logic [{bits - 1}:0] rest_q;
  always_ff @(posedge clk_i) begin
    if (rst_i) rest_q <= '0;
    else if (f_fire) rest_q <= {bits}'d{interval - 1};
    else if (rest_q != '0) rest_q <= rest_q - 1'b1;
  end
"""


def _queue(design: str, depth: int, width: int) -> str:
    return queue_text(
        design, "queue", depth, width, ("f_y", "f_done", ""), ("y_o", "valid_o", "ready_i")
    )


def _power(number: int) -> int:
    return 1 << (number - 1).bit_length()


def map_engine(
    design: str,
    name: str,
    node: Generic,
    streams: Sequence[Interval],
    units: Mapping[int, Unit],
    interval: int = 1,
) -> Engine:
    """Return the engine of a node without a reduction, whose operands come in its order; it begins
    an output every `interval` cycles."""
    function = _function(design, name, node, streams, units, interval)
    interval = interval if function.path.has_start else 1
    depth = _power(-(-(function.latency + 5) // interval) + 1)
    width, count = function.path.result.width, len(streams)
    ports = "".join(
        f"  input  logic signed [{one.width - 1}:0] x{k}_i,\n" for k, one in enumerate(streams)
    )
    inputs = "".join(
        f"  logic signed [{one.width - 1}:0] f_x{k};\n  assign f_x{k} = x{k}_i;\n"
        for k, one in enumerate(streams)
    )
    bits = depth.bit_length()
    pause = rests = ""
    if interval > 1:
        pause, rests = " && rest_q == '0", _resting(interval)
    text = f"""module {design}_{name}{header(bool(function.roms))} (
  input  logic clk_i,
  input  logic rst_i,
{ports}  input  logic [{count - 1}:0] valid_i,
  output logic [{count - 1}:0] ready_o,
  output logic [{width - 1}:0] y_o,
  output logic valid_o,
  input  logic ready_i
);

  // An output is begun if it has a place in the queue.
  logic [{bits - 1}:0] space_q;
  logic f_fire;
{rests}  assign f_fire  = &valid_i && space_q != '0{pause};
  assign ready_o = {{{count}{{f_fire}}}};
  always_ff @(posedge clk_i) begin
    if (rst_i) space_q <= {bits}'d{depth};
    else space_q <= space_q - {bits}'(f_fire) + {bits}'(valid_o && ready_i);
  end
{inputs}{function.text}{_delayed("f_done", "f_fire", function.latency)}\
{_queue(design, depth, width)}
endmodule
"""
    return Engine(
        f"{design}_{name}",
        text,
        function.path.result,
        function.roms,
        function.path.units,
        {function.path.module: function.path.text},
        function.latency + 3 + is_late(depth),
        interval,
        area=function.area + queue_area(depth, width) + Area(luts=3.0 * bits),
    )


@dataclass(frozen=True)
class Reduction:
    """What a node reduces.

    Attributes:
      op: of the sum; None where nothing is reduced.
      term: what is reduced, on the node's operands.
      start: of the sum.
    """

    op: Scalar | None
    term: Body
    start: int


def reduction(node: Generic) -> Reduction:
    """Return how a node reduces.

    Raises:
      UnsupportedError: its body is no `op(value so far, term)`.
    """
    body = node.body
    if node.start is None:
        return Reduction(None, body, 0)
    assert node.start.constant is not None
    starts = np.unique(node.start.constant)
    so_far = [
        place
        for place, op in enumerate(body.ops)
        if op.name == "arg" and op.number == len(node.operands)
    ]
    op = body.ops[body.result]
    names = ("addi", "maxi", "mini", "maxsi", "minsi", "maxui", "minui")
    if op.name not in names or len(so_far) != 1 or len(starts) != 1 or so_far[0] not in op.operands:
        raise UnsupportedError(
            f"hardware of codes adds up, or takes the greatest or the least (layer '{node.layer}')"
        )
    others = [place for place in op.operands if place != so_far[0]]
    return Reduction(op, Body(body.ops, others[0]), int(starts[0]))


def _sum_bounds(found: Reduction, term: Interval, node: Generic, window: Window) -> Interval:
    """Return the bounds of sums, partial ones in any order included."""
    assert found.op is not None
    op, whole = found.op, full_range(found.op.bits)
    if op.instance is not None or op.unsigned:
        return whole
    if op.name != "addi":
        return Interval(min(term.low, found.start), max(term.high, found.start))
    low, high = _exact_sums(found, node, window) or (
        min(term.low, 0) * window.depth * window.pack,
        max(term.high, 0) * window.depth * window.pack,
    )
    low, high = min(low, 0) + min(found.start, 0), max(high, 0) + max(found.start, 0)
    return Interval(low, high) if whole.low <= low and high <= whole.high else whole


def _code_factor(found: Reduction, node: Generic, window: Window) -> Scalar | None:
    """Return the code of terms that are exact products of a code and a weight, or None."""
    ops = found.term.ops
    place = found.term.result
    while ops[place].name in ("extsi", "trunci"):
        place = ops[place].operands[0]
    op = ops[place]
    if op.name != "muli" or op.instance is not None or op.unsigned or len(window.weights) != 1:
        return None
    factors = []
    for operand in op.operands:
        while ops[operand].name == "extsi":
            operand = ops[operand].operands[0]
        factors.append(ops[operand])
    if any(factor.name != "arg" for factor in factors):
        return None
    codes = [f for f in factors if node.operands[f.number][0].constant is None]
    return codes[0] if len(codes) == 1 else None


def _exact_sums(found: Reduction, node: Generic, window: Window) -> tuple[int, int] | None:
    """Return the bounds of sums of exact products with weights, which are known."""
    code = _code_factor(found, node, window)
    if code is None:
        return None
    x = full_range(code.bits)
    words = window.weights[0].reshape(-1, window.depth, window.weight_lanes, window.pack)
    high = np.where(words > 0, words * x.high, words * x.low).sum(axis=(1, 3))
    low = np.where(words > 0, words * x.low, words * x.high).sum(axis=(1, 3))
    return int(low.min()), int(high.max())


def window_engine(
    design: str,
    name: str,
    node: Generic,
    window: Window,
    x: Interval,
    then: Generic | None,
    units: Mapping[int, Unit],
    weights_from: str = "rom",
    in_logic: int = 0,
) -> Engine:
    """Return the engine of a loop nest, and of the elementwise node `then` behind it.

    `weights_from` is one of `weight_memories.MODES`; products of `in_logic` of its terms are for no
    multiplier of the device.
    """
    return _WindowEngine(design, name, node, window, x, then, units, weights_from, in_logic).build()


class _WindowEngine:
    def __init__(
        self,
        design: str,
        name: str,
        node: Generic,
        window: Window,
        x: Interval,
        then: Generic | None,
        units: Mapping[int, Unit],
        weights_from: str,
        in_logic: int,
    ) -> None:
        self._design, self._name, self._node = design, name, node
        self._weights_from, self._in_logic = weights_from, in_logic
        self._fed: Fed | None = None
        self._window, self._x, self._units = window, x, units
        self._found = reduction(node)
        self._roms: list[Rom] = []
        self._columns: list[tuple[int, Interval]] = []  # lowest bit in a lane's weights, bounds
        low = 0
        for weights in window.weights:
            found = Interval(int(weights.min()), int(weights.max()))
            self._columns.append((low, found))
            low += found.width
        self._weight_bits = low
        self._term = self._terms(f"{design}_{name}_term", in_logic=False)
        self._rows = self._terms(f"{design}_{name}_term_in_logic", in_logic=True)
        op = self._found.op
        self._sums = self._term.result
        if op is not None:
            self._sums = _sum_bounds(self._found, self._term.result, node, window)
        self._levels = (window.pack - 1).bit_length()
        self._then = then
        self._function = None
        if then is not None:
            self._function = _function(
                design, name, then, [self._sums], units, window.depth // window.lanes
            )
            self._roms += self._function.roms

    def _terms(self, module: str, in_logic: bool) -> Datapath:
        bounds = []
        constants = iter(self._columns)
        for tensor, _ in self._node.operands:
            bounds.append(self._x if tensor.constant is None else next(constants)[1])
        if self._node.start is not None:  # no term reads it
            bounds.append(Interval(0, 0))
        return datapath(
            module,
            self._found.term,
            bounds,
            [0] * len(bounds),
            self._units,
            self._design,
            in_logic=in_logic,
        )

    def build(self) -> Engine:
        window, design = self._window, self._design
        result = self._sums if self._function is None else self._function.path.result
        latency = 0 if self._function is None else self._function.latency
        leaving = window.lanes * self._interval
        flight = -(-(_READ + self._term.latency + self._levels + latency + 8 + leaving)
                   // (window.depth + window.gap)) + 2  # fmt: skip
        depth = _power(max(4, window.lanes * (flight + 1)))
        reading = self._reading()
        text = "\n".join(
            [
                self._header(result.width),
                self._control(depth),
                reading,
                self._sum_up(),
                self._leave(depth, result.width),
                "endmodule\n",
            ]
        )
        multiplicity = window.lanes * window.pack
        chosen = [one for one in (self._term, self._rows) if re.search(rf"\b{one.module}\b", text)]
        parts = {path.module: path.text for path in chosen}
        self._roms += [one for path in chosen for one in path.roms]
        if self._function is not None:
            parts[self._function.path.module] = self._function.path.text
        counts = {key: n * multiplicity for key, n in self._term.units.items()}
        if self._found.op is not None and self._found.op.instance is not None:
            key = self._found.op.instance
            counts[key] = counts.get(key, 0) + window.lanes
        if self._function is not None:
            for key, n in self._function.path.units.items():
                counts[key] = counts.get(key, 0) + n
        done = _READ + self._term.latency + self._levels + window.depth + leaving + latency + 3
        done += is_late(depth)
        return Engine(
            f"{design}_{self._name}",
            text,
            result,
            tuple(self._roms),
            counts,
            parts,
            done,
            fed=self._fed,
            area=self._area(depth, result.width),
            term=self._term.area,
        )

    def _area(self, depth: int, width: int) -> Area:
        """Return the area of the engine, with a queue of so many results."""
        w, sums = self._window, self._sums.width
        lane, nodes, wide = Area(), w.pack, self._term.result.width
        while nodes > 1:
            wide += 1
            lane += adder(wide) * (nodes // 2)
            nodes = (nodes + 1) // 2
        if self._found.op is not None:
            own = Area() if self._found.op.instance is not None else adder(sums)
            lane += own + Area(luts=float(sums))
        lane += Area(luts=float(sums) if w.lanes > 1 else 0.0)
        total = lane * w.lanes + queue_area(depth, width) + self._loops_area()
        total += self._term.area * (w.lanes * w.pack - self._in_logic)
        total += self._rows.area * self._in_logic
        if self._weight_bits and w.weights:
            words = len(w.weights[0])
            total += rom(words, self._weight_bits * w.weight_lanes * w.pack)
            total += Area(luts=2.0 * words.bit_length())
        return total if self._function is None else total + self._function.area

    def _loops_area(self) -> Area:
        """Return the area of `asnet_window` and of what starts its steps."""
        w = self._window
        ring = memory(1 << w.ring_bits, self._x.width * w.codes)
        counters = sum(2.5 * (size - 1).bit_length() for size in w.sizes)
        addresses = (4 + 2 * w.pixels) * adder(w.ring_bits + 1).luts + len(w.sizes) * w.ring_bits
        return ring * w.pixels + Area(luts=20 + counters + addresses)

    def _header(self, width: int) -> str:
        return f"""module {self._design}_{self._name}{header(bool(self._roms))} (
  input  logic clk_i,
  input  logic rst_i,
  input  logic signed [{self._x.width - 1}:0] x0_i,
  input  logic [0:0] valid_i,
  output logic [0:0] ready_o,
{self._fed.ports() if self._fed else ""}  output logic [{width - 1}:0] y_o,
  output logic valid_o,
  input  logic ready_i
);
"""

    def _control(self, depth: int) -> str:
        """When a step is made: a group of lanes begins if its results have a place."""
        w = self._window
        loops = len(w.sizes)
        bits = depth.bit_length() + 1
        end_of_sum = f"end_of[{max(self._sum_loops - 1, 0)}]" if self._sum_loops else "1'b1"
        partial = w.lanes - w.last_lanes
        back = f" + {bits}'(step && group_end && last_group ? {partial} : 0)" if partial else ""
        sizes = ", ".join(f"32'd{size}" for size in reversed(w.sizes))
        deltas = ", ".join(f"32'h{delta & 0xFFFFFFFF:x}" for delta in reversed(w.deltas))
        enable = f"!first_q || (room_q{' && free_q' if w.gap else ''})"
        ready = ""
        if self._fed is not None and self._fed.mode == "load":
            enable = f"load_ready_i && ({enable})"
        if self._fed is not None and self._fed.mode == "stream":
            enable = f"weights_ready && ({enable})"
            ready = "  logic weights_ready;\n"
        return f"""{ready}  logic step, issue, first_q, group_end, last_group;
  logic [{loops - 1}:0] end_of;
  logic [{self._x.width * w.codes * w.pixels - 1}:0] word;
  logic [{bits - 1}:0] space_q;
  logic room_q;
  assign issue      = step;
  assign group_end  = {end_of_sum};
  assign last_group = {f"end_of[{w.group_loop}]" if partial else "1'b1"};
  always_ff @(posedge clk_i) begin
    if (rst_i) begin
      first_q <= 1'b1;
      room_q  <= 1'b0;
      space_q <= {bits}'d{depth};
    end else begin
      if (step) first_q <= group_end;
      // Room for a group that begins now and for the one that asks in the next cycle.
      room_q  <= space_q >= {bits}'d{2 * w.lanes};
      space_q <= space_q - {bits}'(step && first_q ? {w.lanes} : 0)
        + {bits}'(valid_o && ready_i){back};
    end
  end
{_gap(w.gap)}
  {self._design}_window #(
    .Bits({self._x.width}), .Pack({w.codes}), .RingBits({w.ring_bits}), .Chunks({w.chunks}),
    .Need({w.need}), .NeedLast({w.need_last}), .Step({w.step}), .StepLast({w.step_last}),
    .First({w.first}), .Loops({loops}), .Sizes({{{sizes}}}), .Deltas({{{deltas}}}),
    .Pixels({w.pixels}), .PixelStep({w.pixel_step})
  ) window (
    .clk_i(clk_i), .rst_i(rst_i), .data_i(x0_i), .valid_i(valid_i[0]), .ready_o(ready_o[0]),
    .enable_i({enable}), .step_o(step),
    .end_o(end_of), .data_o(word)
  );
"""

    @property
    def _interval(self) -> int:
        """Cycles from a result to the next one in the function."""
        is_serial = self._function is not None and self._function.path.has_start
        return self._window.depth // self._window.lanes if is_serial else 1

    @property
    def _sum_loops(self) -> int:
        """How many loops are those of the sum; they are the innermost ones."""
        count, product = 0, 1
        while product < self._window.depth:
            product *= self._window.sizes[count]
            count += 1
        return count

    def _reading(self) -> str:
        """The weights of a step, in the cycle in which its codes are there."""
        w = self._window
        if not w.weights or not self._weight_bits:
            return ""
        width = self._weight_bits * w.weight_lanes * w.pack
        words = []
        for step in range(len(w.weights[0])):
            word, place = 0, 0
            for lane in range(w.weight_lanes):
                for code in range(w.pack):
                    for weights, (low, found) in zip(w.weights, self._columns, strict=True):
                        value = int(weights[step, lane, code]) & ((1 << found.width) - 1)
                        word |= value << (place + low)
                    place += self._weight_bits
            words.append(word)
        if self._weights_from != "rom":
            self._fed = Fed(self._weights_from, tuple(words), width)
            if self._weights_from == "stream":
                return self._fed.memory(self._design)
        bits = max(1, (len(words) - 1).bit_length())
        if self._fed is not None:
            memory = self._fed.memory(self._design)
        else:
            rom = Rom(f"{self._name}_weights", tuple(words), width)
            self._roms.append(rom)
            memory = _rom(self._design, rom, "weight_address_q", bits, "weights_now")
        return f"""  logic [{bits - 1}:0] weight_q, weight_address_q;
  logic [{width - 1}:0] weights_now, weights;
  always_ff @(posedge clk_i) begin
    if (rst_i) weight_q <= '0;
    else if (step) weight_q <= end_of[{w.weight_loop}] ? '0 : weight_q + 1'b1;
    weight_address_q <= weight_q;
    weights          <= weights_now;
  end
{memory}"""

    def _sum_up(self) -> str:
        """Terms, trees of adders over the codes of a word, and the sums."""
        w, term = self._window, self._term.result
        ready = _READ + self._term.latency
        done = ready + self._levels
        text = _delayed("sum_valid", "step", done)
        text += _delayed("sum_first", "first_q", done, False)
        text += _delayed("sum_last", "step && group_end", done + (self._found.op is not None))
        if w.lanes > 1:
            text += _delayed("sum_partial", "last_group", done + 1, False)
        text += f"  logic signed [{self._sums.width - 1}:0] sums[{w.lanes}];\n"
        for lane in range(w.lanes):
            names = [f"t{lane}_{code}" for code in range(w.pack)]
            for name in names:
                text += f"  logic signed [{term.width - 1}:0] {name};\n"
            text += self._lane(lane, *self._tree(lane, names))
        return text + self._all_terms()

    def _all_terms(self) -> str:
        """Instances of all terms; two that have a factor in common are a pair."""
        w, text = self._window, ""
        apart = 1 if self._shares_code else w.lanes_each  # of the two lanes of a pair
        for code in range(w.pack):
            done: set[int] = set()
            for lane in range(w.lanes):
                if lane in done:
                    continue
                other = lane + apart
                if self._is_pair(lane, other, code):
                    done.add(other)
                    text += self._pair(lane, other, code)
                else:
                    text += self._term_instance(f"t{lane}_{code}", lane, code)
        return text

    @property
    def _shares_code(self) -> bool:
        """Whether neighbouring lanes read the same codes."""
        return self._window.lanes_each > 1 and not self._window.apart

    def _is_pair(self, lane: int, other: int, code: int) -> bool:
        """Whether the terms of two lanes are exact products of multipliers with a common factor."""
        w = self._window
        if other >= w.lanes or lane * w.pack + code < self._in_logic:
            return False
        is_beside = w.shared
        if self._shares_code:
            is_beside = lane // w.lanes_each == other // w.lanes_each
        is_product = _code_factor(self._found, self._node, w) is not None
        return is_beside and is_product and self._term.latency >= _PAIR

    def _pair(self, lane: int, other: int, code: int) -> str:
        """Two products in one, where a device has multipliers for it."""
        sources = [self._sources(one, code) for one in (lane, other)]
        kinds = [tensor.constant is None for tensor, _ in self._node.operands]
        common = kinds.index(self._shares_code)
        own = 1 - common
        (a, a_width), (b, width), (c, _) = sources[0][common], sources[0][own], sources[1][own]
        pair = f"pair{lane}_{code}"
        results = "".join(
            f"  assign t{one}_{code} = {self._term.result.width}'({pair}_{port});\n"
            for one, port in ((lane, "y"), (other, "z"))
        )
        return (
            f"  logic signed [{a_width + width - 1}:0] {pair}_y, {pair}_z;\n"
            f"  {self._design}_pair #(.Common({a_width}), .Own({width}), "
            f".Latency({self._term.latency})) term{lane}_{code} (\n    .clk_i(clk_i), "
            f".a_i({a}), .b_i({b}), .c_i({c}), .y_o({pair}_y), .z_o({pair}_z)\n  );\n{results}"
        )

    def _sources(self, lane: int, code: int) -> list[tuple[str, int]]:
        """Return what each operand of a term is, and its width."""
        w, sources = self._window, []
        constants = iter(self._columns)
        pixel, own_lane = divmod(lane, w.lanes_each)
        place = (lane % w.weight_lanes * w.pack + code) * self._weight_bits
        for tensor, _ in self._node.operands:
            if tensor.constant is None:
                own, width = pixel * w.codes + (own_lane if w.apart else code), self._x.width
                sources.append((f"word[{width * own} +: {width}]", width))
            else:
                low, found = next(constants)
                sources.append((f"weights[{place + low} +: {found.width}]", found.width))
        return sources

    def _term_instance(self, name: str, lane: int, code: int) -> str:
        path = self._rows if lane * self._window.pack + code < self._in_logic else self._term
        ports = [
            f".x{number}_i({source})"
            for number, (source, _) in enumerate(self._sources(lane, code))
        ]
        if self._node.start is not None:
            ports.append(f".x{len(self._node.operands)}_i(1'b0)")
        return (
            f"  {path.module}{given(bool(path.roms))} term{lane}_{code} "
            f"(.clk_i(clk_i), {', '.join(ports)}, .y_o({name}));\n"
        )

    def _tree(self, lane: int, names: list[str]) -> tuple[str, str]:
        """Return a tree of registered adders, and the name of the total."""
        text, level, width = "", 0, self._term.result.width
        while len(names) > 1:
            width += 1
            sums, steps = [], ""
            for k in range(0, len(names), 2):
                name = f"a{lane}_{level}_{k}"
                total = f"{width}'({names[k]})"
                if k + 1 < len(names):
                    total += f" + {width}'({names[k + 1]})"
                text += f"  logic signed [{width - 1}:0] {name};\n"
                steps += f"    {name} <= {total};\n"
                sums.append(name)
            text += f"  always_ff @(posedge clk_i) begin\n{steps}  end\n"
            names, level = sums, level + 1
        return text, names[0]

    def _lane(self, lane: int, tree: str, total: str) -> str:
        op, width = self._found.op, self._sums.width
        if op is None:
            return tree + f"  assign sums[{lane}] = {total};\n"
        if op.instance is not None:
            text = self._before(lane) + self._adder(lane, total, op)
        elif op.name == "addi":
            text = self._before(lane)
            text += f"  assign after{lane} = before{lane} + {width}'({total});\n"
        else:
            text = self._extreme(lane, f"{width}'({total})", op)
        text = f"{tree}  logic signed [{width - 1}:0] after{lane};\n{text}"
        return text + (
            f"  always_ff @(posedge clk_i) if (sum_valid) sums[{lane}] <= after{lane};\n"
        )

    def _before(self, lane: int) -> str:
        """Return what a sum is before a term."""
        width = self._sums.width
        start = literal(self._found.start, width)
        return (
            f"  logic signed [{width - 1}:0] before{lane};\n"
            f"  assign before{lane} = sum_first ? {start} : sums[{lane}];\n"
        )

    def _extreme(self, lane: int, term: str, op: Scalar) -> str:
        """Take the greatest or the least of all terms."""
        is_max = op.name.startswith("max")
        sign = ">" if is_max else "<"
        is_unsigned = op.unsigned or op.name.endswith("ui")
        bounds, start = self._term.result, self._found.start
        # The first term is taken, whatever there was: no choice in front of the comparison.
        is_free = not is_unsigned and (start <= bounds.low if is_max else start >= bounds.high)
        before = f"sums[{lane}]" if is_free else f"before{lane}"
        if is_unsigned:
            a, b = (f"$unsigned({op.bits}'({one}))" for one in (before, term))
        else:
            # Without signs: an overflow needs the carry below the last, where ECP5 cuts its chains.
            width = self._sums.width
            a, b = (f"({one} ^ {width}'h{1 << (width - 1):x})" for one in (before, term))
        kept = f"{'!sum_first && ' if is_free else ''}{a} {sign} {b}"
        text = "" if is_free else self._before(lane)
        return f"{text}  assign after{lane} = {kept} ? {before} : {term};\n"

    def _adder(self, lane: int, total: str, op: Scalar) -> str:
        """Instantiate a bound adder."""
        assert op.instance is not None
        unit = self._units[op.instance]
        if unit.latency:
            raise UnsupportedError(
                "hardware of codes adds up by adders without registers "
                f"(layer '{self._node.layer}')"
            )
        a, b, y = unit.widths
        text = f"  logic [{a - 1}:0] adder{lane}_a;\n  logic [{b - 1}:0] adder{lane}_b;\n"
        text += f"  logic [{y - 1}:0] adder{lane}_y;\n"
        text += f"  assign adder{lane}_a = {a}'(before{lane});\n"
        text += f"  assign adder{lane}_b = {b}'({total});\n"
        names = [f"adder{lane}_{port}" for port in "aby"]
        text += f"  {instance(unit.attachment, f'adder{lane}', *names)}\n"
        return text + f"  assign after{lane} = {self._sums.width}'($signed(adder{lane}_y));\n"

    def _leave(self, depth: int, width: int) -> str:
        """Results of lanes leave one after the other, through the function behind them."""
        w, sums = self._window, self._sums
        text = f"  logic signed [{sums.width - 1}:0] f_x0;\n  logic f_fire;\n"
        if w.lanes == 1:
            text += "  assign f_x0   = sums[0];\n  assign f_fire = sum_last;\n"
        else:
            bits = w.lanes.bit_length()
            pause = shift = ""
            if self._interval > 1:
                text += _resting(self._interval)
                pause, shift = " && rest_q == '0", "f_fire && "
            text += f"""  logic signed [{sums.width - 1}:0] results_q[{w.lanes}];
  logic [{bits - 1}:0] left_q;
  assign f_x0   = results_q[0];
  assign f_fire = left_q != '0{pause};
  always_ff @(posedge clk_i) begin
    if (rst_i) left_q <= '0;
    else if (sum_last) left_q <= sum_partial ? {bits}'d{w.last_lanes} : {bits}'d{w.lanes};
    else if (f_fire) left_q <= left_q - 1'b1;
    for (int i = 0; i < {w.lanes}; i++) begin
      if (sum_last) results_q[i] <= sums[i];
      else if ({shift}i < {w.lanes - 1}) results_q[i] <= results_q[(i+1)%{w.lanes}];
    end
  end
"""
        if self._function is None:
            text += f"  logic [{width - 1}:0] f_y;\n  assign f_y = f_x0;\n"
        else:
            text += self._function.text
        text += _delayed("f_done", "f_fire", self._function.latency if self._function else 0)
        return text + _queue(self._design, depth, width)
