# SPDX-License-Identifier: Apache-2.0
"""Build the hw/comb/seq IR of the streaming hardware: its engines and machines, and what passes
between them.

docs/decisions/0014-streaming-engines.md has the block diagram.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine_module import EngineModule, up_counter
from engines import Body, Engine, EngineTiming, Operand, Stage, Stream
from frames import InputFrames
from hw_module import CorePorts, Externs, Module, Parts, passed_on, shown
from machine import MachineOptions, machine_modules
from microcode import Microprogram, bits_for
from scheduled import Program, ScheduleError

__all__ = ["Machine", "build_stream", "stage_name"]


@dataclass(frozen=True)
class Machine:
    """A stage's program for the sequential machine."""

    program: Program
    code: Microprogram


def stage_name(top: str, stage: Stage) -> str:
    """Return the name of a stage's module."""
    return f"{top}_stage_{stage.index}"


def _top_comment(stream: Stream) -> str:
    """Return what the header of the top module says."""
    return "\n".join(
        [
            "A network as a stream: each stage computes a part of it while others are at other",
            "samples. What passes between them are AXI4-Streams in the order in which outputs are",
            "computed:",
            *(f"  stage {stage.index}: {shown(stage.layer)}" for stage in stream.stages),
        ]
    )


def build_stream(
    stream: Stream,
    machines: Mapping[int, Machine],
    name: str,
    cores: Mapping[int, CorePorts],
) -> tuple[list[Module], Externs]:
    """Return the modules of the hardware, the top one last, and what they instantiate.

    Args:
      stream: the scheduled network.
      machines: the programs of the stages that no engine computes, by index.
      name: of the top module.
      cores: how the core of each instance is attached.
    """
    externs = Externs(name)
    modules: list[Module] = []
    for stage in stream.stages:
        own = stage_name(name, stage)
        if stage.engine is not None:
            engine = EngineModule(
                stage, stage.engine, own, stream.units, cores, externs, stream.timing
            )
            modules += engine.build()
        else:
            machine = machines[stage.index]
            options = MachineOptions(own, is_stage=True)
            for number, (value, order) in enumerate(zip(stage.inputs, stage.orders, strict=True)):
                if order[0]:
                    sorting = _ordering(value, *order, stream.timing)
                    sorter = f"{own}_order_{number}"
                    modules += EngineModule(
                        stage, sorting, sorter, (), cores, externs, stream.timing
                    ).build()
            modules += machine_modules(machine.program, machine.code, options, cores, externs)
    top = _Top(Module(name, _top_comment(stream)), cores, externs, stream, machines)
    modules.append(top.build(modules))
    return modules, externs


def _ordering(
    value: int, ranges: tuple[int, ...], strides: tuple[int, ...], timing: EngineTiming
) -> Engine:
    """Return an engine that brings the words of a value into row-major order."""
    words = math.prod(ranges)
    operand = Operand(
        value=value,
        weight=None,
        is_epilogue=False,
        words=words,
        base=0,
        outer=(1,),
        inner=(),
        frames=2,
        write_ranges=ranges,
        write_strides=strides,
    )
    numbers = {
        "outputs": words,
        "slots": words,
        "depth": 1,
        "interleave": 1,
        "lanes": 1,
        "last_lanes": 1,
        "outer": (words,),
        "inner": (),
        "epilogue_loops": (),
        "done": timing.operands,
        "fifo": timing.operands + timing.handover,
    }
    return Engine(numbers, (operand,), Body((), "operand:0"), ())


def _frames_held(stage: Stage, timing: EngineTiming) -> int:
    """Return how many frames there can be in a stage, so that nothing waits for more marks."""
    held = 0
    engines = [stage.engine] if stage.engine else []
    engines += [_ordering(0, *order, timing) for order in stage.orders if order[0]]
    for engine in engines:
        promised = engine.fifo + engine.lanes * (engine.slot_fifo if engine.is_queued else 0)
        held += max((operand.frames for operand in engine.operands), default=0)
        held += -(-promised // engine.outputs) + 1
    # In front of a machine there is a queue of two frames and a word.
    return held if stage.engine else held + 4


@dataclass(frozen=True)
class _Link:
    """One end of a stream: the signals of a word that is offered."""

    data: str
    valid: str
    last: str


class _Top(Parts):
    """The stages, and the streams between them."""

    def __init__(
        self,
        m: Module,
        cores: Mapping[int, CorePorts],
        externs: Externs,
        stream: Stream,
        machines: Mapping[int, Machine],
    ) -> None:
        super().__init__(m, cores, externs)
        self.stream = stream
        self.machines = machines
        # Who reads each value: the port's ready and the name of the valid that it gets.
        self.readers: dict[int, list[tuple[str, str]]] = {}
        self.links: dict[int, _Link] = {}
        self.sources: dict[int, str] = {}  # ready of each value's maker

    def build(self, modules: Sequence[Module]) -> Module:
        """Build it; `modules` are those of the stages."""
        m, stream = self.m, self.stream
        self.clk = m.clock("clk")
        self.rst = m.input("rst", 1)
        frames = InputFrames(m, self.clk, self.rst, stream.takes_floats)
        out_ready = m.input("m_axis_tready", 1)
        self.clock_bit = m.bit(self.clk)
        if len(stream.outputs) != 1 or stream.outputs[0] < 1:
            raise ScheduleError("a network must give one value that a layer computes")
        self.links[0] = _Link(frames.word, frames.valid, "")
        for stage in stream.stages:
            prefix = f"stage_{stage.index}"
            for value in stage.results:
                self.links[value] = _Link(
                    m.forward(f"{prefix}_m_axis_tdata", 32),
                    m.forward(f"{prefix}_m_axis_tvalid", 1),
                    m.forward(f"{prefix}_m_axis_tlast", 1),
                )
        m.section("Stages.")
        for stage in stream.stages:
            self.stage(stage, modules)
        marked = m.forward("marks_ready_o", 1)
        _, is_taken = self.read(0, marked, "marks_valid")
        # Nobody else reads the network's result, so that what is offered stays on the bus.
        final = self.links[stream.outputs[0]]
        self.readers[stream.outputs[0]] = [(out_ready, "output_valid")]
        in_ready = self.broadcast()
        self.ends(frames, in_ready, is_taken, final, out_ready)
        m.section("Stages and queues.")
        return m

    def read(self, value: int, ready: str, port: str) -> tuple[str, str]:
        """Take part in a value's stream; returns data and valid."""
        self.readers.setdefault(value, []).append((ready, port))
        return self.links[value].data, self.m.forward(port, 1)

    def stage(self, stage: Stage, modules: Sequence[Module]) -> None:
        """Instantiate a stage."""
        m = self.m
        prefix = f"stage_{stage.index}"
        module = stage_name(m.name, stage)
        if len(stage.results) != 1:
            raise ScheduleError(f"layer '{stage.layer}' gives several values")
        inputs = {"rst": self.rst, "m_axis_tready": m.forward(f"{prefix}_taken", 1)}
        if stage.engine is not None:
            for k, operand in enumerate(stage.engine.operands):
                if operand.value is None:
                    continue
                ready = m.forward(f"{prefix}_s{k}_axis_tready", 1)
                word, is_valid = self.read(operand.value, ready, f"{prefix}_valid_{k}")
                inputs[f"s{k}_axis_tdata"] = word
                inputs[f"s{k}_axis_tvalid"] = is_valid
        else:
            inputs |= self.machine_input(stage, self.machines[stage.index].program)
        # CIRCT wants ports in the order of their module.
        declared = next(other for other in modules if other.name == module)
        order = [port.split()[1].removeprefix("%") for port in declared.ports]
        inputs = {port: inputs[port] for port in order if port != "clk"}
        outputs = {port: width for port, width, _ in declared.outputs}
        m.parameters |= declared.parameters
        m.instance(prefix, module, inputs, outputs, passed_on(declared), clocks={"clk": self.clk})
        self.sources[stage.results[0]] = f"%{prefix}_taken"
        if "late" in outputs:
            self.late.append(f"%{prefix}_late")

    def broadcast(self) -> str:
        """A word goes to all readers of its value at once; returns whether all take the input's."""
        m = self.m
        in_ready = ""
        for value, ends in self.readers.items():
            for _, port in ends:
                others = [other for other, name in ends if name != port]
                m.name_as(port, m.and_(self.links[value].valid, *others))
            all_ready = m.and_(*(ready for ready, _ in ends))
            if value == 0:
                in_ready = m.name_as("input_ready", all_ready)
            else:
                m.name_as(self.sources[value].removeprefix("%"), all_ready)
        return in_ready

    def ends(
        self, frames: InputFrames, in_ready: str, is_taken: str, final: _Link, out_ready: str
    ) -> None:
        """The network's streams: which of the frames under way have the wrong length."""
        m, stream = self.m, self.stream
        m.section("Frames of another length; see m_axis_tuser.")
        received = m.name_as("received", m.and_(frames.valid, in_ready))
        _, at_end = up_counter(m, "position", stream.input_words, received, self.clk, self.rst)
        frames.connect(received, at_end)
        # A place for each frame that there can be.
        last_word = m.name_as("last_word", m.and_("%output_valid", final.last))
        held = sum(_frames_held(stage, stream.timing) for stage in stream.stages)
        depth = 1 << bits_for(max(16, held))
        pushed = m.and_(is_taken, at_end)
        popped = m.and_(last_word, out_ready)
        _, mark, is_mark = self.fifo("marks", depth, self.rst, frames.is_wrong, pushed, popped)
        m.output("s_axis_tready", frames.ready(in_ready))
        m.output("m_axis_tdata", final.data)
        m.output("m_axis_tvalid", "%output_valid")
        m.output("m_axis_tlast", last_word)
        m.output("m_axis_tuser", m.and_(last_word, is_mark, mark))
        frames.error(self.late, m.input("frame_error_clear", 1))

    def machine_input(self, stage: Stage, program: Program) -> dict[str, str]:
        """Queues of two frames in front of a machine, which takes one input after the other."""
        m, clk, rst = self.m, self.clk, self.rst
        prefix = f"stage_{stage.index}"
        sizes = program.input_sizes()
        taken = m.forward(f"{prefix}_s_axis_tready", 1)
        step = m.forward(f"{prefix}_received", 1)
        ends: list[str] = []
        words: list[str] = []
        valids: list[str] = []
        turn = None
        if len(sizes) > 1:
            turn = m.forward(f"{prefix}_turn", bits_for(len(sizes)))
        for number, (value, size) in enumerate(zip(stage.inputs, sizes, strict=True)):
            ready = m.forward(f"{prefix}_queue_{number}_ready_o", 1)
            if stage.orders[number][0]:
                sorter = f"{prefix}_order_{number}"
                taken_word = m.forward(f"{sorter}_s0_axis_tready", 1)
                word, valid = self.read(value, taken_word, f"{prefix}_valid_{number}")
                ports = {
                    "rst": rst,
                    "s0_axis_tdata": word,
                    "s0_axis_tvalid": valid,
                    "m_axis_tready": ready,
                }
                given = {"m_axis_tdata": 32, "m_axis_tvalid": 1, "m_axis_tlast": 1}
                given["s0_axis_tready"] = 1
                word, valid, *_ = m.instance(
                    sorter, f"{m.name}_{sorter}", ports, given, clocks={"clk": clk}
                )
            else:
                word, valid = self.read(value, ready, f"{prefix}_valid_{number}")
            mine = m.equals(turn, number) if turn else m.constant(1, 1)
            pop = m.and_(taken, mine)
            _, out, is_valid = self.fifo(
                f"{prefix}_queue_{number}", max(2 * size, 16), rst, word, valid, pop
            )
            words.append(out)
            valids.append(is_valid)
            if turn:
                _, at_end = up_counter(
                    m, f"{prefix}_word_{number}", size, m.and_(step, mine), clk, rst
                )
                ends.append(at_end)
        if turn:
            at_end = m.select(turn, ends)
            following = m.add(turn, m.constant(1, m.widths[turn]))
            is_last = m.equals(turn, len(sizes) - 1)
            following = m.mux(is_last, m.constant(0, m.widths[turn]), following)
            m.register(turn.removeprefix("%"), following, clk, rst, enable=m.and_(step, at_end))
        valid = m.hint(f"{prefix}_word_valid", m.select(turn, valids))
        m.name_as(f"{prefix}_received", m.and_(valid, taken))
        return {
            "s_axis_tdata": m.select(turn, words),
            "s_axis_tvalid": valid,
        }
