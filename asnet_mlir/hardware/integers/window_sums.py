# SPDX-License-Identifier: Apache-2.0
"""Terms, trees of adders and sums of all lanes of an engine with loops, as SystemVerilog."""

from __future__ import annotations

from collections.abc import Mapping

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.hardware.integers.code_graph import Generic
from asnet_mlir.hardware.integers.datapath import Datapath, Unit, datapath, given, instance, literal
from asnet_mlir.hardware.integers.engine import delayed
from asnet_mlir.hardware.integers.loop_windows import Window
from asnet_mlir.hardware.integers.parts_area import Area, adder
from asnet_mlir.hardware.integers.reductions import code_factor, reduction, sum_bounds
from asnet_mlir.hardware.integers.scalars import Interval, Scalar

__all__ = ["READ", "WindowSums"]

#: Cycles from a step to its word of codes and of weights.
READ = 3
#: Cycles of a pair of products at least: see `asnet_pair`.
_PAIR = 3


class WindowSums:
    """What lanes compute of a word of codes and one of weights.

    Attributes:
      found: what is reduced.
      columns: of each operand's weights the lowest bit in a lane's word, and bounds.
      weight_bits: of a term.
      term: the pipeline of a term.
      rows: that of one for which the device has no multiplier.
      bounds: of a sum.
      levels: of the trees of adders.
    """

    def __init__(
        self,
        design: str,
        name: str,
        node: Generic,
        window: Window,
        x: Interval,
        units: Mapping[int, Unit],
        in_logic: int,
    ) -> None:
        self._design, self._node, self._in_logic = design, node, in_logic
        self._window, self._x, self._units = window, x, units
        self.found = reduction(node)
        self.columns: list[tuple[int, Interval]] = []
        low = 0
        for weights in window.weights:
            found = Interval(int(weights.min()), int(weights.max()))
            self.columns.append((low, found))
            low += found.width
        self.weight_bits = low
        self.term = self._terms(f"{design}_{name}_term", in_logic=False)
        self.rows = self._terms(f"{design}_{name}_term_in_logic", in_logic=True)
        self.bounds = self.term.result
        if self.found.op is not None:
            self.bounds = sum_bounds(self.found, self.term.result, node, window)
        self.levels = (window.pack - 1).bit_length()

    def _terms(self, module: str, in_logic: bool) -> Datapath:
        bounds = []
        constants = iter(self.columns)
        for tensor, _ in self._node.operands:
            bounds.append(self._x if tensor.constant is None else next(constants)[1])
        if self._node.start is not None:  # no term reads it
            bounds.append(Interval(0, 0))
        return datapath(
            module,
            self.found.term,
            bounds,
            [0] * len(bounds),
            self._units,
            self._design,
            in_logic=in_logic,
        )

    def lane_area(self) -> Area:
        """Return the area of a lane's tree and sum."""
        w, sums = self._window, self.bounds.width
        lane, nodes, wide = Area(), w.pack, self.term.result.width
        while nodes > 1:
            wide += 1
            lane += adder(wide) * (nodes // 2)
            nodes = (nodes + 1) // 2
        if self.found.op is not None:
            own = Area() if self.found.op.instance is not None else adder(sums)
            lane += own + Area(luts=float(sums))
        lane += Area(luts=float(sums) if w.lanes > 1 else 0.0)
        return lane

    def text(self) -> str:
        """Terms, trees of adders over the codes of a word, and the sums."""
        w, term = self._window, self.term.result
        ready = READ + self.term.latency
        done = ready + self.levels
        text = delayed("sum_valid", "step", done)
        text += delayed("sum_first", "first_q", done, False)
        text += delayed("sum_last", "step && group_end", done + (self.found.op is not None))
        if w.lanes > 1:
            text += delayed("sum_partial", "last_group", done + 1, False)
        text += f"  logic signed [{self.bounds.width - 1}:0] sums[{w.lanes}];\n"
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
        is_product = code_factor(self.found, self._node, w) is not None
        return is_beside and is_product and self.term.latency >= _PAIR

    def _pair(self, lane: int, other: int, code: int) -> str:
        """Two products in one, where a device has multipliers for it."""
        sources = [self._sources(one, code) for one in (lane, other)]
        kinds = [tensor.constant is None for tensor, _ in self._node.operands]
        common = kinds.index(self._shares_code)
        own = 1 - common
        (a, a_width), (b, width), (c, _) = sources[0][common], sources[0][own], sources[1][own]
        pair = f"pair{lane}_{code}"
        results = "".join(
            f"  assign t{one}_{code} = {self.term.result.width}'({pair}_{port});\n"
            for one, port in ((lane, "y"), (other, "z"))
        )
        return (
            f"  logic signed [{a_width + width - 1}:0] {pair}_y, {pair}_z;\n"
            f"  {self._design}_pair #(.Common({a_width}), .Own({width}), "
            f".Latency({self.term.latency})) term{lane}_{code} (\n    .clk_i(clk_i), "
            f".a_i({a}), .b_i({b}), .c_i({c}), .y_o({pair}_y), .z_o({pair}_z)\n  );\n{results}"
        )

    def _sources(self, lane: int, code: int) -> list[tuple[str, int]]:
        """Return what each operand of a term is, and its width."""
        w, sources = self._window, []
        constants = iter(self.columns)
        pixel, own_lane = divmod(lane, w.lanes_each)
        place = (lane % w.weight_lanes * w.pack + code) * self.weight_bits
        for tensor, _ in self._node.operands:
            if tensor.constant is None:
                own, width = pixel * w.codes + (own_lane if w.apart else code), self._x.width
                sources.append((f"word[{width * own} +: {width}]", width))
            else:
                low, found = next(constants)
                sources.append((f"weights[{place + low} +: {found.width}]", found.width))
        return sources

    def _term_instance(self, name: str, lane: int, code: int) -> str:
        path = self.rows if lane * self._window.pack + code < self._in_logic else self.term
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
        text, level, width = "", 0, self.term.result.width
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
        op, width = self.found.op, self.bounds.width
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
        width = self.bounds.width
        start = literal(self.found.start, width)
        return (
            f"  logic signed [{width - 1}:0] before{lane};\n"
            f"  assign before{lane} = sum_first ? {start} : sums[{lane}];\n"
        )

    def _extreme(self, lane: int, term: str, op: Scalar) -> str:
        """Take the greatest or the least of all terms."""
        is_max = op.name.startswith("max")
        sign = ">" if is_max else "<"
        is_unsigned = op.unsigned or op.name.endswith("ui")
        bounds, start = self.term.result, self.found.start
        # The first term is taken, whatever there was: no choice in front of the comparison.
        is_free = not is_unsigned and (start <= bounds.low if is_max else start >= bounds.high)
        before = f"sums[{lane}]" if is_free else f"before{lane}"
        if is_unsigned:
            a, b = (f"$unsigned({op.bits}'({one}))" for one in (before, term))
        else:
            # Without signs: an overflow needs the carry below the last, where ECP5 cuts its chains.
            width = self.bounds.width
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
        return text + f"  assign after{lane} = {self.bounds.width}'($signed(adder{lane}_y));\n"
