# SPDX-License-Identifier: Apache-2.0
"""A network's graph as engines between streams, and the top module around them."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.hardware.integers.code_graph import (
    Access,
    Concat,
    Generic,
    Graph,
    Node,
    Pad,
    Tensor,
    inputs,
)
from asnet_mlir.hardware.integers.dataflow import Step, queue_depths
from asnet_mlir.hardware.integers.datapath import Rom, Unit, given, literal, serial_interval
from asnet_mlir.hardware.integers.elementwise_engine import map_engine
from asnet_mlir.hardware.integers.engine import Engine
from asnet_mlir.hardware.integers.joins import join_engine, waiting_codes
from asnet_mlir.hardware.integers.loop_windows import Wanted, Window, output_order, plan
from asnet_mlir.hardware.integers.parts_area import Area
from asnet_mlir.hardware.integers.queues import Ends, queue_area, queue_text
from asnet_mlir.hardware.integers.reductions import reduction
from asnet_mlir.hardware.integers.scalars import Body, Interval, Scalar, full_range
from asnet_mlir.hardware.integers.weight_memories import Fed, WeightSources, top_ports
from asnet_mlir.hardware.integers.window_engine import window_engine

__all__ = ["HELPERS", "RTL", "Design", "Lanes", "Stage", "build", "fed_stages", "reads"]

#: Modules of the library, beside those of `bundle.manifest`; what others instantiate comes last.
HELPERS = (
    "frames",
    "pad",
    "pair",
    "product",
    "serial",
    "rows",
    "window",
    "weights",
    "weight_ring",
    "slice",
)
#: Where they are, as `asnet_NAME.sv`.
RTL = Path(__file__).parent / "rtl"

_ROMS = WeightSources(())


#: LUT4 of `asnet_frames`.
_FRAMES = 100
#: Codes that may come in at once although they come slowly on average: results of lanes.
_BURST = 16


class Lanes:
    """How many terms engines compute at once: `N` for all, `LAYER=N` for one; or with `cycles` as
    few as a sample in so many cycles wants."""

    def __init__(self, texts: Sequence[str], cycles: int | None = None) -> None:
        self._all, self._of = 1, {}
        self.cycles = cycles
        for text in texts:
            layer, equals, number = text.rpartition("=")
            if not re.fullmatch(r"[1-9]\d{0,5}", number, re.ASCII) or (equals and not layer):
                raise InputError(f"lanes '{text}': give N or LAYER=N, N at least 1")
            if layer:
                self._of[layer] = int(number)
            else:
                self._all = int(number)

    def of(self, layer: str) -> Wanted:
        """Return what is wanted of a layer; lanes of one that it is inside of are its own."""
        for name in (layer, *(layer[: m.start()] for m in re.finditer("/", layer))):
            if name in self._of:
                return Wanted(self._of[name])
        return Wanted(self._all) if self.cycles is None else Wanted(cycles=self.cycles)

    def check(self, layers: Sequence[str]) -> None:
        """Refuse lanes of a layer that the network lacks."""
        for name in self._of:
            if not any(layer == name or layer.startswith(f"{name}/") for layer in layers):
                known = ", ".join(dict.fromkeys(layers))
                raise InputError(f"lanes of '{name}': no such layer; layers are {known}")


@dataclass(frozen=True)
class Stage:
    """A part of the design.

    Attributes:
      layer: of the network.
      name: of its instance and, behind the design's name, of its module.
      inputs: the tensors that it reads.
      output: the tensor that it gives.
      needed: see `dataflow.Step`.
      engine: its module; None of padding and joins, which `text` instantiates.
      text: of its instance without connections.
      cycles: of a sample.
      window: of an engine with loops.
      bounds: of what it gives.
      added: codes in a row at most that it adds, one a cycle.
      queues: codes of each input that wait in front of it while it takes none, or ().
    """

    layer: str
    name: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    needed: tuple[np.ndarray, ...]
    engine: Engine | None
    text: str
    cycles: int
    window: Window | None
    bounds: Interval
    added: int = 0
    queues: tuple[int, ...] = ()

    @property
    def ahead(self) -> int:
        """Codes of its input that it holds while it works at its pace."""
        waiting = max(self.queues, default=0) if self.window is None else self.window.ahead
        return waiting + (0 if self.engine is None else self.engine.latency)


@dataclass(frozen=True)
class Design:
    """A design.

    Attributes:
      files: SystemVerilog by path.
      roms: contents of ROMs.
      stages: in order.
      queues: codes that wait in front of each reader of a tensor that several read.
      counts: how often each bound core is built.
      input_words, output_words, cycles: of a sample.
      area: of it, cores left out.
    """

    files: Mapping[str, str]
    roms: tuple[Rom, ...]
    stages: tuple[Stage, ...]
    queues: Mapping[str, int]
    counts: Mapping[int, int]
    input_words: int
    output_words: int
    cycles: int
    area: Area


def build(
    graph: Graph,
    top: str,
    units: Mapping[int, Unit],
    lanes: Lanes,
    sources: WeightSources = _ROMS,
    in_logic: Mapping[str, int] = MappingProxyType({}),
) -> Design:
    """Build the design of a graph.

    Args:
      in_logic: of stages by name, how many of their terms are for no multiplier of the device.

    Raises:
      InputError: lanes of a layer that there is not.
      UnsupportedError: something that engines can't do, named with its layer.
    """
    return _Builder(graph, top, units, lanes, sources, in_logic).build()


class _Builder:
    def __init__(
        self,
        graph: Graph,
        top: str,
        units: Mapping[int, Unit],
        lanes: Lanes,
        sources: WeightSources,
        in_logic: Mapping[str, int],
    ) -> None:
        self._sources, self._in_logic = sources, in_logic
        self._graph, self._top, self._units, self._lanes = graph, top, units, lanes
        self._stages: list[Stage] = []
        self._bounds: dict[Tensor, Interval] = {graph.input: full_range(graph.input.bits)}
        self._cycles = 0

    def build(self) -> Design:
        nodes = _in_order(self._graph)
        self._lanes.check([node.layer for node in nodes])
        readers = Counter(tensor.root for node in nodes for tensor in inputs(node))
        readers[self._graph.output.root] += 1
        fused = _fused(nodes, readers)
        done: set[Node] = set()  # behind another, in its engine
        for node in nodes:
            if node in done:
                continue
            then = fused.get(id(node))
            if then is not None:
                done.add(then)
            self._stage(node, then)
        self._sources.check([stage.layer for stage in self._stages if _has_weights(stage)])
        words = self._graph.input.size
        streamed = sum(len(fed.words()) * reads(stage, fed) for stage, fed in self._fed)
        own = streamed if self._sources.mode == "stream" else 0
        self._cycles = max([words, own, *(stage.cycles for stage in self._stages)])
        self._stages = [self._with_queue(stage) for stage in self._stages]
        top, queues = self._top_module()
        files = {f"rtl/{self._top}.sv": top}
        counts: Counter[int] = Counter()
        roms: list[Rom] = []
        for stage in self._stages:
            if stage.engine is not None:
                text = f"// Layer '{_printable(stage.layer)}'.\n{stage.engine.text}"
                files[f"rtl/{stage.engine.module}.sv"] = text
                for module, part in stage.engine.parts.items():
                    files[f"rtl/{module}.sv"] = part
                counts.update(stage.engine.units)
                roms += stage.engine.roms
        return Design(
            files,
            tuple(roms),
            tuple(self._stages),
            queues,
            counts,
            words,
            self._graph.output.size,
            self._cycles,
            self._area(queues),
        )

    def _area(self, queues: Mapping[str, int]) -> Area:
        """Return the area of all engines, and of what is between them and at the edges."""
        total = Area(luts=_FRAMES)
        for stage in self._stages:
            if stage.engine is not None:
                total += stage.engine.area
            else:
                counters = sum(6 * (size - 1).bit_length() for size in stage.output.shape)
                total += Area(luts=counters + stage.bounds.width)
            for tensor, words in zip(stage.inputs, stage.queues, strict=False):
                total += queue_area(words, self._bounds[tensor].width)
        return total + sum((queue_area(words, 8) for words in queues.values()), Area())

    def _with_queue(self, stage: Stage) -> Stage:
        """Return a stage with the queue that it wants: what comes in at the pace of the design."""
        if stage.engine is not None:
            return stage
        coming = -(-stage.added * stage.inputs[0].size // self._cycles)
        return dataclasses.replace(stage, queues=(coming + _BURST,))

    def _stage(self, node: Node, then: Generic | None) -> None:
        name = f"stage_{len(self._stages)}_{_identifier(node.layer)}"
        if isinstance(node, Pad):
            self._pad(node, name)
        elif isinstance(node, Concat):
            self._concat(node, name)
        elif isinstance(node, Generic) and (node.start is not None or _is_copy(node)):
            self._window(node, then, name)
        else:
            assert isinstance(node, Generic)
            self._map(node, name)

    def _add(self, stage: Stage) -> None:
        self._stages.append(stage)
        self._bounds[stage.output] = stage.bounds

    def _window(self, node: Generic, then: Generic | None, name: str) -> None:
        found = reduction(node)
        in_order = found.op is not None and (
            found.op.instance is not None or not found.op.name.startswith("add")
        )
        window = plan(node, self._lanes.of(node.layer), in_order)
        x = window.x.root
        engine = window_engine(
            self._top,
            name,
            node,
            window,
            self._bounds[x],
            then,
            self._units,
            self._sources.of(node.layer),
            self._in_logic.get(name, 0),
        )
        output = node.result if then is None else then.result
        cycles = max(window.cycles, x.size)
        self._add(
            Stage(
                node.layer,
                name,
                (x,),
                output,
                (window.needed(),),
                engine,
                "",
                cycles,
                window,
                engine.result,
            )
        )

    def _map(self, node: Generic, name: str) -> None:
        streams = [tensor.root for tensor, _ in node.operands if tensor.constant is None]
        size = node.result.size
        interval = 1 if self._lanes.cycles is None else serial_interval(self._lanes.cycles // size)
        engine = map_engine(
            self._top,
            name,
            node,
            [self._bounds[one] for one in streams],
            self._units,
            interval,
        )
        needed = tuple(np.arange(1, size + 1) for _ in streams)
        self._add(
            Stage(
                node.layer,
                name,
                tuple(streams),
                node.result,
                needed,
                engine,
                "",
                size * engine.interval,
                None,
                engine.result,
            )
        )

    def _pad(self, node: Pad, name: str) -> None:
        x, padded = node.x.root, node.result.shape
        found = self._bounds[x]
        bounds = Interval(min(found.low, node.value), max(found.high, node.value))
        inside = np.zeros(padded, np.int64)
        index = tuple(
            slice(low, low + size) for low, size in zip(node.low, node.x.shape, strict=True)
        )
        inside[index] = 1
        axes = list(range(len(padded)))[::-1]

        def packed(values: Sequence[int]) -> str:
            return "{" + ", ".join(f"32'd{values[axis]}" for axis in reversed(axes)) + "}"

        highs = [low + size for low, size in zip(node.low, node.x.shape, strict=True)]
        width = bounds.width
        text = (
            f"{self._top}_pad #(.Bits({width}), .Rank({len(axes)}), .Sizes({packed(padded)}),\n"
            f"    .Lows({packed(node.low)}), .Highs({packed(highs)}), "
            f".Value({literal(node.value, width)}))"
        )
        needed = (np.cumsum(inside.reshape(-1)),)
        size = node.result.size
        # At the longest: at the end of a sample and the next one's beginning.
        added = _longest_run(inside.reshape(-1) == 0)
        self._add(
            Stage(
                node.layer,
                name,
                (x,),
                node.result,
                needed,
                None,
                text,
                size,
                None,
                bounds,
                added,
            )
        )

    def _concat(self, node: Concat, name: str) -> None:
        if any(part.constant is not None for part in node.parts):
            raise UnsupportedError(f"hardware of codes joins no constants (layer '{node.layer}')")
        roots = tuple(part.root for part in node.parts)
        bounds = Interval(
            min(self._bounds[root].low for root in roots),
            max(self._bounds[root].high for root in roots),
        )
        inner = [int(np.prod(part.shape[node.axis :])) for part in node.parts]
        rounds = node.result.size // sum(inner)
        turn = np.tile(np.repeat(np.arange(len(inner)), inner), rounds)
        needed = tuple(np.cumsum(turn == part) for part in range(len(inner)))
        engine = join_engine(self._top, name, [self._bounds[root] for root in roots], inner, bounds)
        self._add(
            Stage(
                node.layer,
                name,
                roots,
                node.result,
                needed,
                engine,
                "",
                node.result.size,
                None,
                bounds,
                queues=tuple(words + _BURST for words in waiting_codes(inner)),
            )
        )

    # The top module.

    def _top_module(self) -> tuple[str, dict[str, int]]:
        steps = [
            Step(
                stage.inputs,
                stage.output,
                stage.needed,
                stage.ahead,
            )
            for stage in self._stages
        ]
        body: list[str] = []
        queues: dict[str, int] = {}
        ports: dict[tuple[int, int], str] = {}  # of each input of a stage: its net
        output = self._graph.output.root
        tensors = [self._graph.input, *(stage.output for stage in self._stages)]
        names = {tensor: f"t{number}" for number, tensor in enumerate(tensors)}
        leaving = ""
        for tensor, net in names.items():
            readers = [
                (number, place)
                for number, stage in enumerate(self._stages)
                for place, one in enumerate(stage.inputs)
                if one is tensor
            ]
            width = self._bounds[tensor].width
            body.append(f"  logic signed [{width - 1}:0] {net};\n  logic {net}_valid, {net}_ready;")
            if tensor is output:
                leaving = net
            if len(readers) == 1 and tensor is not output:
                ports[readers[0]] = net
            elif readers:
                if tensor is output:
                    raise UnsupportedError("hardware of codes gives what nothing else reads")
                depths = queue_depths(steps, tensor, [number for number, _ in readers])
                body.append(self._fork(net, width, depths))
                for branch, reader in enumerate(readers):
                    ports[reader] = f"{net}_{branch}"
                    queues[f"{net}_{branch}"] = depths[branch]
        for number, stage in enumerate(self._stages):
            nets = [ports[number, place] for place in range(len(stage.inputs))]
            body.append(self._instance(stage, nets, names[stage.output]))
        return self._framed("\n".join(body), leaving), queues

    def _fork(self, net: str, width: int, depths: Sequence[int]) -> str:
        count = len(depths)
        text = f"""  logic [{count - 1}:0] {net}_done_q, {net}_room;
  assign {net}_ready = &({net}_done_q | {net}_room);
  always_ff @(posedge clk)
    if (rst || ({net}_valid && {net}_ready)) {net}_done_q <= '0;
    else if ({net}_valid) {net}_done_q <= {net}_done_q | {net}_room;
"""
        for branch, depth in enumerate(depths):
            name = f"{net}_{branch}"
            text += f"  logic signed [{width - 1}:0] {name};\n  logic {name}_valid, {name}_ready;\n"
            source = (net, f"{net}_valid && !{net}_done_q[{branch}]", f"{net}_room[{branch}]")
            text += self._queue(f"{name}_queue", depth, width, source, name)
        return text

    def _queue(self, name: str, words: int, width: int, source: Ends, sink: str) -> str:
        """Return a queue in the top module, which leads to the net `sink`."""
        ends = (sink, f"{sink}_valid", f"{sink}_ready")
        return queue_text(self._top, name, words, width, source, ends, ("clk", "rst"))

    def _instance(self, stage: Stage, nets: Sequence[str], result: str) -> str:
        waiting, nets = self._waiting(stage, nets)
        if stage.engine is None:
            (net,), own = nets, stage.bounds.width
            return (
                f"{waiting}  {stage.text} {stage.name} (\n    .clk_i(clk), .rst_i(rst), "
                f".data_i({own}'({net})), .valid_i({net}_valid), "
                f".ready_o({net}_ready),\n    .data_o({result}), .valid_o({result}_valid), "
                f".ready_i({result}_ready)\n  );"
            )
        data = ", ".join(f".x{number}_i({net})" for number, net in enumerate(nets))
        valid = ", ".join(f"{net}_valid" for net in reversed(nets))
        ready = ", ".join(f"{net}_ready" for net in reversed(nets))
        weights = ""
        if stage.engine.fed is not None:
            number = [one.name for one, _ in self._fed].index(stage.name)
            weights = stage.engine.fed.connections(number)
        return (
            f"{waiting}  {stage.engine.module}{given(bool(stage.engine.roms))} {stage.name} (\n"
            f"    .clk_i(clk), .rst_i(rst), {weights}{data}, .valid_i({{{valid}}}), "
            f".ready_o({{{ready}}}),\n"
            f"    .y_o({result}), .valid_o({result}_valid), .ready_i({result}_ready)\n  );"
        )

    def _waiting(self, stage: Stage, nets: Sequence[str]) -> tuple[str, list[str]]:
        """Return the queues in front of a stage, and the nets behind them."""
        text, behind = "", list(nets)
        for place, words in enumerate(stage.queues):
            width = self._bounds[stage.inputs[place]].width
            net = f"{stage.name}_x{place if len(nets) > 1 else ''}"
            source = (nets[place], f"{nets[place]}_valid", f"{nets[place]}_ready")
            text += f"  logic signed [{width - 1}:0] {net};\n  logic {net}_valid, {net}_ready;\n"
            text += self._queue(f"{net}_queue", words, width, source, net)
            behind[place] = net
        return text, behind

    @property
    def _fed(self) -> list[tuple[Stage, Fed]]:
        """The stages whose weights lie outside, in their order there, and these."""
        return fed_stages(self._stages)

    def _framed(self, body: str, leaving: str) -> str:
        bits, out = self._graph.input.bits, self._graph.output.bits
        return f"""// An engine a layer, between streams of codes.
module {self._top} #(
  parameter RomFolder = "rom"
) (
  input  logic        clk,
  input  logic        rst,
{top_ports([fed for _, fed in self._fed])}\
  input  logic [{bits - 1}:0]  s_axis_tdata,
  input  logic        s_axis_tvalid,
  input  logic        s_axis_tlast,
  output logic        s_axis_tready,
  output logic [{out - 1}:0]  m_axis_tdata,
  output logic        m_axis_tvalid,
  output logic        m_axis_tlast,
  output logic        m_axis_tuser,
  input  logic        m_axis_tready,
  output logic        frame_error,
  input  logic        frame_error_clear
);

{body}
  {self._top}_frames #(
    .InBits({bits}), .OutBits({out}), .InWords({self._graph.input.size}),
    .OutWords({self._graph.output.size})
  ) frames (
    .clk_i(clk), .rst_i(rst), .s_data_i(s_axis_tdata), .s_valid_i(s_axis_tvalid),
    .s_last_i(s_axis_tlast), .s_ready_o(s_axis_tready), .data_o(t0), .valid_o(t0_valid),
    .ready_i(t0_ready), .data_i({out}'({leaving})), .valid_i({leaving}_valid),
    .ready_o({leaving}_ready), .m_data_o(m_axis_tdata), .m_valid_o(m_axis_tvalid),
    .m_last_o(m_axis_tlast), .m_user_o(m_axis_tuser), .m_ready_i(m_axis_tready),
    .error_o(frame_error), .clear_i(frame_error_clear)
  );

endmodule
"""


def _longest_run(marks: np.ndarray) -> int:
    """Return the most marks in a row, of a sequence that begins again at its end."""
    if marks.all():
        return len(marks)
    turned = np.roll(marks, -int(np.argmin(marks)))  # begins without one
    places = np.flatnonzero(~turned)
    return int(np.diff(np.append(places, len(turned))).max() - 1)


def fed_stages(stages: Sequence[Stage]) -> list[tuple[Stage, Fed]]:
    """Return the stages whose weights lie outside, in their order there, and these."""
    return [(one, one.engine.fed) for one in stages if one.engine and one.engine.fed]


def reads(stage: Stage, fed: Fed) -> int:
    """Return how often a sample goes through the weights of a stage."""
    assert stage.window is not None
    return stage.window.steps // len(fed.rows)


def _has_weights(stage: Stage) -> bool:
    return stage.window is not None and bool(stage.window.weights)


def _identifier(layer: str) -> str:
    return re.sub(r"\W+", "_", layer, flags=re.ASCII).strip("_")[:40] or "layer"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _is_copy(node: Generic) -> bool:
    """Whether a node only moves what it reads."""
    return node.start is None and node.body.ops[node.body.result].name == "arg"


def _in_order(graph: Graph) -> list[Node]:
    """Return the nodes such that elementwise ones read their operands in their own order.

    An operand that comes in another order, or several times, is copied before.
    """
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node, Generic) and node.start is None and not _is_copy(node):
            operands = []
            for tensor, access in node.operands:
                if tensor.constant is None and not _is_identity(node, tensor, access):
                    copy = _ordered_copy(node, tensor, access)
                    nodes.append(copy)
                    tensor, access = copy.result, node.result_access
                operands.append((tensor, access))
            node = dataclasses.replace(node, operands=tuple(operands))
        nodes.append(node)
    return nodes


def _is_identity(node: Generic, tensor: Tensor, access: Access) -> bool:
    """Whether an operand is read in the order in which results are stored, each once."""
    steps, first = access.flat(tensor.shape)
    wanted, _ = node.result_access.flat(node.result.shape)
    return (
        first == 0
        and tensor.size == node.result.size
        and all(
            step == want or size == 1
            for step, want, size in zip(steps, wanted, node.sizes, strict=True)
        )
    )


def _ordered_copy(node: Generic, tensor: Tensor, access: Access) -> Generic:
    output_order(node)
    body = Body((Scalar("arg", (), tensor.bits, number=0),), 0)
    result = Tensor(node.result.shape, tensor.bits)
    return dataclasses.replace(
        node, result=result, operands=((tensor, access),), start=None, body=body
    )


def _fused(nodes: Sequence[Node], readers: Mapping[Tensor, int]) -> dict[int, Generic]:
    """Return the elementwise node that follows each loop nest and reads nothing else."""
    found: dict[int, Generic] = {}
    makers = {node.result: node for node in nodes}
    for node in nodes:
        if not isinstance(node, Generic) or node.start is not None or _is_copy(node):
            continue
        streams = [tensor for tensor, _ in node.operands if tensor.constant is None]
        if len(streams) != 1 or readers[streams[0].root] != 1:
            continue
        maker: Any = makers.get(streams[0].root)
        if isinstance(maker, Generic) and (maker.start is not None or _is_copy(maker)):
            found[id(maker)] = node
    return found
