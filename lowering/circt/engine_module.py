# SPDX-License-Identifier: Apache-2.0
"""Build the hw/comb/seq IR of an engine: one layer of the streaming hardware.

docs/decisions/0014-streaming-engines.md has the block diagram and the timing; what happens when was
decided by `approx-schedule-engines`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engines import Body, Constant, Engine, EngineTiming, Node, Operand, Stage
from hw_module import CorePorts, Externs, Module, Parts, shown
from microcode import bits_for
from plain_logic import operation_code, plain_logic
from scheduled import Unit

__all__ = ["EngineModule", "up_counter"]


@dataclass
class _Delay:
    """Registers one after the other."""

    length: int = 0
    has_reset: bool = False


@dataclass(frozen=True)
class _Value:
    """A word and the cycle after the issue in which it is there."""

    name: str
    ready: int


def up_counter(m: Module, name: str, limit: int, step: str, clk: str, rst: str) -> tuple[str, str]:
    """A counter 0 .. limit - 1 that starts over; returns it and whether it is at its end."""
    width = max(bits_for(limit), 1)
    value = m.forward(name, width)
    at_end = m.equals(value, limit - 1)
    up = m.add(value, m.constant(1, width))
    m.register(name, m.mux(at_end, m.constant(0, width), up), clk, rst, enable=step)
    return value, m.name_as(f"{name}_at_end", at_end)


class _Nest:
    """Counters of a loop nest, the last loop the innermost, that go on together at `step`.

    `wraps` says that all loops are in their last iteration.
    """

    def __init__(
        self, m: Module, name: str, ranges: Sequence[int], step: str, clk: str, rst: str
    ) -> None:
        self.m = m
        self.ranges = list(ranges)
        self.ends: list[str] = []  # from the innermost on
        carry = step
        for level in reversed(range(len(self.ranges))):
            _, at_end = up_counter(m, f"{name}_{level}", self.ranges[level], carry, clk, rst)
            self.ends.append(at_end)
            carry = m.hint(f"{name}_{level - 1}_step", m.and_(carry, at_end))
        self.wraps = m.and_(*self.ends) if self.ends else m.constant(1, 1)
        m.hint(f"{name}_at_end", self.wraps)

    @property
    def inside_wraps(self) -> str:
        """Whether all loops but the outermost are in their last iteration."""
        return self.m.and_(*self.ends[:-1]) if self.ends[:-1] else self.m.constant(1, 1)

    def delta(self, strides: Sequence[int], width: int) -> str:
        """Return what a step adds to an address: the stride of the loop that goes on, less what
        the loops inside it, which start over, had added."""
        m = self.m
        deltas = []  # from the innermost loop on
        behind = 0
        for level in reversed(range(len(self.ranges))):
            deltas.append(strides[level] - behind)
            behind += strides[level] * (self.ranges[level] - 1)
        value = m.constant(deltas[-1], width) if deltas else m.constant(0, width)
        for end, delta in reversed(list(zip(self.ends, deltas[:-1], strict=False))):
            value = m.mux(end, value, m.constant(delta, width))
        return value


def _comment(stage: Stage, engine: Engine, timing: EngineTiming) -> str:
    """Return what the header of an engine's module says."""
    ready = {3: "third", 4: "fourth"}.get(timing.operands, f"{timing.operands}th")
    lanes = "" if engine.lanes == 1 else f" {engine.lanes} at once,"
    return "\n".join(
        [
            f"Engine of layer '{shown(stage.layer)}':",
            f"{engine.outputs} outputs,{lanes} of {engine.depth} steps each.",
            "",
            f"The steps of {engine.interleave} output(s) take turns, as a sum has to wait for its",
            "last addition; each output sees its steps in their order. A step takes an address in",
            "the cycle behind its issue, its operands are there in the "
            f"{ready}. A last step is only",
            "issued if there is a place for its output in the queue, so nothing has to stop.",
        ]
    )


class EngineModule(Parts):
    """One engine."""

    def __init__(
        self,
        stage: Stage,
        engine: Engine,
        name: str,
        units: Sequence[Unit],
        cores: Mapping[int, CorePorts],
        externs: Externs,
        timing: EngineTiming,
    ) -> None:
        super().__init__(Module(name, _comment(stage, engine, timing)), cores, externs)
        self.stage = stage
        self.engine = engine
        self.timing = timing
        self.units = units
        self.plain: dict[str, Module] = {}
        self.delays: dict[str, _Delay] = {}
        self.taps: dict[str, tuple[str, int]] = {}

    # -- helpers ---------------------------------------------------------------------------------

    def later(self, value: str, cycles: int, reset: bool = False) -> str:
        """Return `value` as it was `cycles` ago."""
        value, before = self.taps.get(value, (value, 0))
        cycles += before
        if not cycles:
            return value
        line = self.delays.setdefault(value, _Delay())
        line.has_reset |= reset
        line.length = max(line.length, cycles)
        tap = self.m.forward(f"{value.removeprefix('%')}_d{cycles}", self.m.widths[value])
        self.taps[tap] = value, cycles
        return tap

    def delay_lines(self) -> None:
        """Registers of all that is needed later; a word goes on to the left in every cycle."""
        m = self.m
        if self.delays:
            m.section("Delay lines: what entered n cycles ago is the n-th word from the right.")
        for value, line in self.delays.items():
            width, stem = m.widths[value], value.removeprefix("%")
            reset = self.rst if line.has_reset else None
            if line.length == 1:
                m.register(f"{stem}_d1", value, self.clk, reset)
                continue
            whole = m.forward(f"{stem}_d", width * line.length)
            kept = m.extract(whole, 0, width * (line.length - 1))
            m.register(f"{stem}_d", m.concat(kept, value), self.clk, reset)
        for tap, (value, cycles) in self.taps.items():
            width = m.widths[value]
            if self.delays[value].length > 1:
                m.define(tap, m.extract(f"{value}_d", width * (cycles - 1), width))

    def at(self, value: _Value, cycle: int) -> str:
        """Return a value of the datapath in a cycle after the issue."""
        assert cycle >= value.ready, (value, cycle)
        return self.later(value.name, cycle - value.ready)

    def counter(self, name: str, up: str, down: str, limit: int) -> str:
        """A number 0 .. limit that goes up and down."""
        m = self.m
        width = max(limit.bit_length(), 1)
        value = m.forward(name, width)
        one = m.constant(1, width)
        changed = m.mux(up, m.add(value, one), m.sub(value, one))
        m.register(name, changed, self.clk, self.rst, enable=m.xor(up, down))
        return value

    # -- construction ----------------------------------------------------------------------------

    def build(self) -> list[Module]:
        m, e = self.m, self.engine
        self.clk = m.clock("clk")
        self.rst = m.input("rst", 1)
        self.clock_bit = m.bit(self.clk)
        streams = [k for k, operand in enumerate(e.operands) if operand.value is not None]
        self.data = {k: m.input(f"s{k}_axis_tdata", 32) for k in streams}
        self.valid = {k: m.input(f"s{k}_axis_tvalid", 1) for k in streams}
        self.out_ready = m.input("m_axis_tready", 1)
        self.ready: dict[int, str] = {}
        self.available: dict[int, str] = {}
        self.write: dict[int, tuple[str, str, str]] = {}

        self.start = m.forward("start", 1)
        self.frame_end = m.forward("frame_end", 1)
        self.release: dict[int, str] = {}
        for k in streams:
            if e.operands[k].frames:
                self.release[k] = m.forward(f"release_{k}", 1)
                self.loader(k, e.operands[k])
        self.control()
        for k in streams:
            if e.operands[k].frames and not e.operands[k].is_epilogue:
                m.name_as(f"release_{k}", self.later("%frame_end", 1, reset=True))
        self.datapath()
        self.delay_lines()
        m.section("Memories, queues and cores.")
        for k in streams:
            m.output(f"s{k}_axis_tready", self.ready[k])
        if self.settled:
            settled = m.or_("%settled", m.and_(*self.settled))
            m.register("settled", settled, self.clk, self.rst)
        if self.late:
            m.output("late", m.register("late", m.or_(*self.late), self.clk, self.rst))
        return [*self.plain.values(), m]

    def loader(self, k: int, operand: Operand) -> None:
        """Write frames to the operand's buffer, padding included, while there is room."""
        m, clk, rst = self.m, self.clk, self.rst
        m.section(f"Buffer of operand {k}: frames are written to it while there is room.")
        words = operand.words * operand.frames
        loaded = m.forward(f"loaded_{k}", 1)
        used = self.counter(f"used_{k}", loaded, f"%release_{k}", operand.frames)
        room = m.name_as(
            f"room_{k}", m.compare("ne", used, m.constant(operand.frames, m.widths[used]))
        )
        step = m.forward(f"write_{k}", 1)
        padded = None
        if operand.shape or operand.write_ranges:
            address, at_end = self.placing_writer(k, operand, step)
            padded = f"%padded_{k}" if operand.shape else None
        else:
            _, at_end = up_counter(m, f"word_{k}", operand.words, step, clk, rst)
            address, _ = up_counter(m, f"write_address_{k}", words, step, clk, rst)
        word, enable = self.data[k], step
        # While a buffer gets its padding, after a reset, nothing else is written.
        if padded:
            word = m.mux(padded, word, m.constant(operand.pad, 32))
            enable = m.hint(f"store_{k}", m.or_(step, m.not_(padded)))
        self.ready[k] = m.name_as(f"open_{k}", m.and_(room, padded) if padded else room)
        m.name_as(f"write_{k}", m.and_(self.ready[k], self.valid[k]))
        m.name_as(f"loaded_{k}", m.and_(step, at_end))
        waiting = self.counter(f"waiting_{k}", loaded, self.start, operand.frames)
        self.available[k] = m.compare("ne", waiting, m.constant(0, m.widths[waiting]))
        self.write[k] = (enable, address, word)

    def placing_writer(self, k: int, operand: Operand, step: str) -> tuple[str, str]:
        """Write words where they belong: into the middle of a buffer full of padding at first, or
        in another order than they come in.

        Returns the address, and whether the word is the last one of a frame.
        """
        m, clk, rst = self.m, self.clk, self.rst
        words = operand.words * operand.frames
        width = max(bits_for(words), 1)
        ranges, strides, origin = [operand.frames], [operand.words], 0
        if operand.shape:
            stride = operand.words
            for size, low, high in zip(operand.shape, operand.low, operand.high, strict=True):
                stride //= size
                origin += low * stride
                inside = size - low - high
                if len(ranges) > 1 and strides[-1] == stride * inside:
                    ranges[-1] *= inside
                    strides[-1] = stride
                else:
                    ranges.append(inside)
                    strides.append(stride)
        else:
            ranges += operand.write_ranges
            strides += operand.write_strides
        nest = _Nest(m, f"write_{k}_loop", ranges, step, clk, rst)
        address = m.forward(f"write_address_{k}", width)
        delta, restart, enable = nest.delta(strides, width), nest.wraps, step
        if operand.shape:
            padded = m.forward(f"padded_{k}", 1)
            is_full = m.hint(f"buffer_{k}_at_end", m.equals(address, words - 1))
            m.register(f"padded_{k}", m.or_(padded, is_full), clk, rst)
            delta = m.mux(padded, delta, m.constant(1, width))
            restart = m.mux(padded, restart, is_full)
            enable = m.or_(step, m.not_(padded))
        following = m.mux(restart, m.constant(origin, width), m.add(address, delta))
        m.register(f"write_address_{k}", following, clk, rst, enable=enable)
        return address, nest.inside_wraps

    def control(self) -> None:
        """Counters of the loops, and when something is issued."""
        m, e, clk, rst = self.m, self.engine, self.clk, self.rst
        m.section("Loops: outputs of a group, steps of their sums, groups; and when a step begins.")
        direct = [k for k in self.valid if not e.operands[k].frames]
        running = m.forward("running", 1)
        go = m.forward("go", 1)
        ready_frames = m.and_(*self.available.values()) if self.available else m.constant(1, 1)
        m.name_as("start", m.and_(m.or_(m.not_(running), self.frame_end), ready_frames))
        m.register("running", m.or_(self.start, m.and_(running, m.not_(self.frame_end))), clk, rst)

        # Slots of a group, steps of the reduction, groups.
        if e.interleave > 1:
            self.slot, slot_end = up_counter(m, "slot", e.interleave, go, clk, rst)
        else:
            self.slot, slot_end = m.constant(0, 1), m.constant(1, 1)
        step_end = m.name_as("step_end", m.and_(go, slot_end))
        if e.depth > 1:
            self.inner = _Nest(m, "inner", e.inner, step_end, clk, rst)
            self.last = m.name_as("last", self.inner.wraps)
            later_step = m.forward("later_step", 1)
            m.register("later_step", m.not_(self.last), clk, rst, enable=step_end)
            self.first = m.name_as("first", m.not_(later_step))
        else:
            self.inner = _Nest(m, "inner", [], step_end, clk, rst)
            self.first = self.last = m.constant(1, 1)
        exhausted = m.forward("exhausted", 1)
        self.outer_step = m.name_as("outer_step", m.and_(go, self.first, m.not_(exhausted)))
        self.outer = _Nest(m, "outer", e.outer, self.outer_step, clk, rst)
        wrapped = m.and_(self.outer_step, self.outer.wraps)
        exhausted_now = m.hint("in_last_group", m.or_(exhausted, wrapped))
        m.name_as("frame_end", m.and_(step_end, self.last, exhausted_now))
        m.register("exhausted", m.and_(exhausted_now, m.not_(self.frame_end)), clk, rst)
        rest = e.slots % e.interleave
        is_slot = m.constant(1, 1)
        last_slot = slot_end
        if rest:
            width = m.widths[self.slot]
            is_rest = m.compare("ult", self.slot, m.constant(rest, width))
            m.hint("is_rest", is_rest)
            is_slot = m.hint("is_slot", m.or_(m.not_(exhausted), is_rest))
            last_slot = m.equals(self.slot, rest - 1)
        self.is_last_output = m.and_(self.last, exhausted_now, last_slot)

        # The last step of an output needs a place in the queue for it.
        issue = m.forward("issue", 1)
        has_credit = self.credit(
            "slot_credits" if e.is_queued else "credits",
            m.and_(issue, self.last),
            m.forward("slot_popped" if e.is_queued else "popped", 1),
            e.slot_fifo if e.is_queued else e.fifo,
        )
        may = m.and_(running, m.or_(m.not_(self.last), m.not_(is_slot), has_credit))
        if e.interval > 1:
            may = m.and_(may, self.paced("pace", go, e.interval))
        bodies = (e.main, *e.epilogue)
        if any(
            node.unit is not None and self.ports(self.units[node.unit]).settled
            for body in bodies
            for node in body.nodes
        ):
            # A core that a reset does not stop is left to itself until it is done.
            may = m.and_(may, m.forward("settled", 1))
        m.hint("may_go", may)
        for k in direct:
            self.ready[k] = may
        m.name_as("go", m.and_(may, *(self.valid[k] for k in direct)))
        self.issue = m.name_as("issue", m.and_(go, is_slot))

    def paced(self, name: str, step: str, cycles: int) -> str:
        """Whether the last `step` is so many cycles ago."""
        m = self.m
        width = max(bits_for(cycles), 1)
        left = m.forward(name, width)
        is_over = m.equals(left, 0)
        down = m.mux(is_over, left, m.sub(left, m.constant(1, width)))
        following = m.mux(step, m.constant(cycles - 1, width), down)
        m.register(name, following, self.clk, self.rst)
        return is_over

    def credit(self, name: str, taken: str, returned: str, limit: int) -> str:
        """Whether a queue has a place that is not promised."""
        count = self.counter(name, taken, returned, limit)
        return self.m.compare("ne", count, self.m.constant(limit, self.m.widths[count]))

    def ring(self, k: int, operand: Operand, step: str) -> str:
        """The first word of the frame of a buffer that is read next."""
        m = self.m
        width = max(bits_for(operand.words * operand.frames), 1)
        name = f"frame_{k}"
        value = m.forward(name, width)
        at_end = m.equals(value, operand.words * (operand.frames - 1))
        following = m.add(value, m.constant(operand.words, width))
        following = m.mux(at_end, m.constant(0, width), following)
        m.register(name, following, self.clk, self.rst, enable=step)
        return value

    def main_operand(self, k: int, operand: Operand) -> str:
        """The word, or of a ROM with lanes words, of an operand of the reduction as it starts."""
        m, e, clk = self.m, self.engine, self.clk
        if operand.value is not None and not operand.frames:
            return self.later(self.data[k], self.timing.operands)
        frames = operand.frames or 1
        width = max(bits_for(operand.words * frames), 1)
        # Where the frame lies goes into the part of the address that the reduction walks, if any.
        base = self.ring(k, operand, self.start) if frames > 1 else m.constant(0, width)
        current = base
        if frames > 1:
            m.register(f"current_{k}", base, clk, enable=self.start)
            current = f"%current_{k}"
        walks_inner, walks_outer = any(operand.inner), any(operand.outer)
        parts = []
        if walks_inner:
            name = f"inner_address_{k}"
            value = m.forward(name, width)
            following = m.add(value, self.inner.delta(operand.inner, width))
            following = m.mux(self.last, current, following)
            following = m.mux(self.start, base, following)
            enable = m.hint("inner_addresses_step", m.or_(self.start, "%step_end"))
            m.register(name, following, clk, enable=enable)
            parts.append(value)
        elif not walks_outer:
            parts.append(current)
        if walks_outer or operand.base:
            origin = m.constant(operand.base, width)
            if not walks_inner and walks_outer and frames > 1:
                origin = m.add(base, origin) if operand.base else base
            position = origin
            if walks_outer:
                name = f"outer_address_{k}"
                value = m.forward(name, width)
                following = m.add(value, self.outer.delta(operand.outer, width))
                following = m.mux(self.start, origin, following)
                enable = m.hint("outer_addresses_step", m.or_(self.start, self.outer_step))
                m.register(name, following, clk, enable=enable)
                position = value
                if e.depth > 1:
                    stored = self.register_file(
                        f"positions_{k}",
                        e.interleave,
                        width,
                        self.slot,
                        self.first,
                        self.slot,
                        value,
                    )
                    position = m.mux(self.first, value, stored)
            parts.append(position)
        address = parts[0] if len(parts) == 1 else m.add(parts[0], parts[1])
        address = m.register(f"address_{k}", address, clk)
        if operand.weight is not None:
            word = self.rom(f"rom_{k}", operand.words, 32 * e.lanes, k, address)
        else:
            enable, write_address, data = self.write[k]
            word = self.ram(
                f"buffer_{k}", operand.words * frames, address, enable, write_address, data
            )
        return self.brought(k, word)

    def brought(self, k: int, word: str) -> str:
        """The word of a memory in the register of an operand, behind the memory's own, if any."""
        m = self.m
        for cycle in range(1, self.timing.memory):
            word = m.register(f"word_{k}_{cycle}", word, self.clk)
        return m.register(f"operand_{k}", word, self.clk)

    def epilogue_operands(self, token: str, ready: int) -> dict[int, _Value]:
        """The words that the epilogue reads, in the cycle in which it starts; `token` comes as long
        before as they take."""
        m, e, clk, rst = self.m, self.engine, self.clk, self.rst
        found: dict[int, _Value] = {}
        wanted = [k for k, operand in enumerate(e.operands) if operand.is_epilogue]
        if not wanted:
            return found
        nest = _Nest(m, "epilogue", e.epilogue_loops, token, clk, rst)
        ends = m.name_as("epilogue_end", m.and_(token, nest.wraps))
        for k in wanted:
            operand = e.operands[k]
            frames = operand.frames or 1
            width = max(bits_for(operand.words * frames), 1)
            position = m.constant(0, width)
            if any(operand.outer):
                name = f"epilogue_address_{k}"
                value = m.forward(name, width)
                following = m.add(value, nest.delta(operand.outer, width))
                following = m.mux(nest.wraps, m.constant(0, width), following)
                m.register(name, following, clk, rst, enable=token)
                position = value
            if operand.base:
                position = m.add(position, m.constant(operand.base, width))
            if frames > 1:
                position = m.add(position, self.ring(k, operand, ends))
            if operand.weight is not None:
                word = self.rom(f"rom_{k}", operand.words, 32, k, position)
            else:
                enable, write_address, data = self.write[k]
                word = self.ram(
                    f"buffer_{k}", operand.words * frames, position, enable, write_address, data
                )
                m.name_as(f"release_{k}", self.later("%epilogue_end", 1, reset=True))
            found[k] = _Value(self.brought(k, word), ready)
        return found

    def node_output(self, node: Node, operands: Sequence[str], name: str, token: _Value) -> str:
        """The output of an operation whose operands lie at its inputs; `token` is there in the
        cycle that says."""
        m = self.m
        if node.unit is not None:
            unit = self.units[node.unit]
            start = self.token_at(token, node.start) if self.ports(unit).start else ""
            return self.unit(unit, operands[0], operands[1], name, start)
        function = node.function
        if function not in self.plain:
            self.plain[function] = plain_logic(f"{m.name}_{function}", [function], 0)
        values = list(operands)
        condition = m.constant(0, 1)
        if function == "select":
            condition = m.extract(values.pop(0), 0, 1)
        inputs = {
            "a": values[0],
            "b": values[-1],
            "condition": condition,
            "operation": m.constant(operation_code([function], function), 1),
        }
        return m.instance(name, self.plain[function].name, inputs, {"result": 32})[0]

    def compute(
        self, nodes: Sequence[Node], values: Mapping[str, _Value], stem: str, token: _Value
    ) -> dict[str, _Value]:
        """Build operations; returns `values` and theirs by name.  `token` comes with what goes
        through them."""
        named = dict(values)
        for number, node in enumerate(nodes):
            name = f"{stem}_{number}"
            operands = self.arguments(named, node, name, token)
            register = self.m.register(
                f"{name}_q", self.node_output(node, operands, name, token), self.clk
            )
            named[f"node:{number}"] = _Value(register, node.start + node.latency + 1)
        return named

    def arguments(
        self, values: Mapping[str, _Value], node: Node, name: str, token: _Value
    ) -> list[str]:
        """The operands of an operation, in the cycle in which it starts."""
        operands = []
        for argument, letter in zip(node.arguments, "abc", strict=False):
            if isinstance(argument, Constant):
                operands.append(self.m.constant(argument.bits, 32))
            elif node.interval == 1 or argument == "accumulator":
                operands.append(self.at(values[argument], node.start))
            else:
                enable = self.token_at(token, node.start - 1)
                value = self.at(values[argument], node.start - 1)
                operands.append(self.m.register(f"{name}_{letter}", value, self.clk, enable=enable))
        return operands

    def token_at(self, token: _Value, cycle: int) -> str:
        """Whether something is under way that was issued so many cycles ago."""
        assert cycle >= token.ready, (token, cycle)
        return self.later(token.name, cycle - token.ready, reset=True)

    def body_result(
        self, body: Body, values: Mapping[str, _Value], stem: str, ready: int, token: _Value
    ) -> _Value:
        """Build a body; `ready` is when a result that is a constant is there."""
        named = self.compute(body.nodes, values, stem, token)
        if isinstance(body.result, Constant):
            return _Value(self.m.constant(body.result.bits, 32), ready)
        return named[body.result]

    def datapath(self) -> None:
        """From the operands to the output: steps, sums, epilogue, queue."""
        m, e = self.m, self.engine
        m.section("Operands: addresses, and the words that are read there.")
        final = m.name_as("final_token", m.and_(self.issue, self.last))
        end = m.name_as("end_token", self.is_last_output)
        words = {
            k: self.main_operand(k, operand)
            for k, operand in enumerate(e.operands)
            if not operand.is_epilogue
        }
        m.section("Steps and sums.")
        lanes = [self.lane_values(words, lane) for lane in range(e.lanes)]
        issued = _Value(self.issue, 0)
        if "initial" in e.numbers:
            results = self.reduction(lanes, issued)
        else:
            results = [self.body_result(e.main, lanes[0], "main", self.timing.operands, issued)]
        ready = results[0].ready
        before = ready - self.timing.epilogue_operands
        m.section("What is done with a finished sum, and the output's queue.")
        # The epilogue reads its operands before it starts.
        if e.is_queued:
            result, token, end = self.serialize(results, final, end)
        else:
            result = results[0]
            token = self.later(final, before, reset=True)
            end = self.later(end, before)
        extra = self.epilogue_operands(token, ready)
        for number, body in enumerate(e.epilogue):
            inputs = {f"operand:{k}": value for k, value in extra.items()}
            inputs["result"] = result
            output = _Value(token, before)
            result = self.body_result(body, inputs, f"epilogue_{number}", ready, output)
        after = e.done - before
        word = m.concat(self.later(end, after), self.at(result, e.done))
        pushed = self.later(token, after, reset=True)
        depth = max(16, 1 << bits_for(e.fifo))
        _, out, out_valid = self.fifo("output", depth, self.rst, word, pushed, self.out_ready)
        m.name_as("popped", m.and_(out_valid, self.out_ready))
        m.output("m_axis_tdata", m.extract(out, 0, 32))
        m.output("m_axis_tvalid", out_valid)
        m.output("m_axis_tlast", m.and_(out_valid, m.extract(out, 32, 1)))

    def lane_values(self, words: Mapping[int, str], lane: int) -> dict[str, _Value]:
        """The operands of the reduction that a lane sees."""
        values = {}
        for k, word in words.items():
            if self.engine.operands[k].weight is not None:
                word = self.m.extract(word, 32 * lane, 32)
            values[f"operand:{k}"] = _Value(word, self.timing.operands)
        return values

    def reduction(self, lanes: Sequence[Mapping[str, _Value]], issued: _Value) -> list[_Value]:
        """The finished sums of all lanes.  A sum goes back to its adder through a register file."""
        m, e = self.m, self.engine
        *before, add = e.main.nodes
        initial = m.constant(e.initial & 0xFFFFFFFF, 32)
        stored = None
        if e.depth > 1:
            m.forward("sums_now", 32 * len(lanes))
            slot = m.name_as("slot_token", self.slot)
            goes_on = m.name_as("partial_token", m.and_(self.issue, m.not_(self.last)))
            stored = self.register_file(
                "sums",
                e.interleave,
                32 * len(lanes),
                self.later(slot, add.start - 1),
                self.later(goes_on, add.start + add.latency, reset=True),
                self.later(slot, add.start + add.latency),
                "%sums_now",
            )
            first = self.later(m.name_as("first_token", self.first), add.start - 1)
        sums = []
        for lane, values in enumerate(lanes):
            stem = f"lane_{lane}"
            named = self.compute(before, values, stem, issued)
            accumulator = initial
            if stored is not None:
                chosen = m.mux(first, initial, m.extract(stored, 32 * lane, 32))
                # Like any operand of a unit with an interval, it keeps still.
                keep = self.token_at(issued, add.start - 1) if add.interval > 1 else None
                accumulator = m.register(f"{stem}_accumulator", chosen, self.clk, enable=keep)
            named["accumulator"] = _Value(accumulator, add.start)
            name = f"{stem}_accumulate"
            operands = self.arguments(named, add, name, issued)
            sums.append(self.node_output(add, operands, name, issued))
        if stored is not None:
            m.name_as("sums_now", m.concat(*reversed(sums)))
        return [
            _Value(m.register(f"lane_{lane}_sum", word, self.clk), add.start + add.latency + 1)
            for lane, word in enumerate(sums)
        ]

    def serialize(self, results: Sequence[_Value], final: str, end: str) -> tuple[_Value, str, str]:
        """Pass on the words of finished slots one by one.

        Returns the word; and whether there is one and whether it is the frame's last, in the cycle
        before it, in which the epilogue's operands are asked for.
        """
        m, e, clk, rst = self.m, self.engine, self.clk, self.rst
        ready = results[0].ready
        slot_words = [self.later(end, ready), *(value.name for value in reversed(results))]
        pushed = self.later(final, ready, reset=True)
        pop = m.forward("slot_popped", 1)
        depth = max(16, 1 << bits_for(e.slot_fifo))
        _, words, valid = self.fifo("slots", depth, rst, m.concat(*slot_words), pushed, pop)
        credit = self.credit("credits", m.forward("emit", 1), m.forward("popped", 1), e.fifo)
        may = [self.paced("emit_pace", "%emit", e.epilogue_interval)] * (e.epilogue_interval > 1)
        m.name_as("emit", m.and_(valid, credit, *may))
        lane = None
        if e.lanes == 1:
            at_end = m.constant(1, 1)
        else:
            width = bits_for(e.lanes)
            lane = m.forward("lane", width)
            at_end = m.equals(lane, e.lanes - 1)
            if e.last_lanes != e.lanes:
                # The last slot of a row has fewer outputs.
                _, is_last = up_counter(m, "block", e.outer[-1], pop, clk, rst)
                at_end = m.mux(is_last, m.equals(lane, e.last_lanes - 1), at_end)
            m.hint("at_last_lane", at_end)
            following = m.mux(at_end, m.constant(0, width), m.add(lane, m.constant(1, width)))
            m.register("lane", following, clk, rst, enable="%emit")
        m.name_as("slot_popped", m.and_("%emit", at_end))
        word = m.select(lane, [m.extract(words, 32 * i, 32) for i in range(e.lanes)])
        word = m.register("word", word, clk)
        is_end = m.and_(at_end, m.extract(words, 32 * e.lanes, 1))
        asked = ready - self.timing.epilogue_operands
        return _Value(word, asked + 1), "%emit", m.name_as("emit_end", is_end)
