"""Streams the vectors of this bundle through the hardware; `make cocotb` runs it.

Words are put on the bus, and looked at, in the low half of the clock, so no simulator's order of
events at the edge matters.  SAMPLES=N in the environment runs the first N vectors (default: 2).
"""

from __future__ import annotations

import itertools
import json
import os
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, First, ReadOnly, RisingEdge, Timer

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = json.loads((ROOT / "manifest.json").read_text())
INPUT_WORDS, OUTPUT_WORDS = MANIFEST["input_words"], MANIFEST["output_words"]
SAMPLES = min(int(os.environ.get("SAMPLES", "2")), MANIFEST["vectors"]["samples"])
#: Cycles without any word in or out after which the hardware is taken to hang.
PATIENCE = 4 * (MANIFEST["predicted_cycles_per_sample"] + 1000) * (len(MANIFEST["layers"]) + 2)
PERIOD_NS = 10
#: Words of a shell's integers may look like NaNs.
ARE_INTEGERS = MANIFEST.get("has_integer_words", False)


def words(name: str, count: int) -> list[int]:
    lines = (ROOT / "tb" / "vectors" / name).read_text().split()
    return [int(line, 16) for line in lines[:count]]


def is_nan(word: int) -> bool:
    return not ARE_INTEGERS and (word & 0x7FFFFFFF) > 0x7F800000


async def reset(dut: Any) -> None:
    """Hold the reset for four cycles."""
    await FallingEdge(dut.clk)
    dut.rst.value = 1
    dut.s_axis_tvalid.value = 0
    dut.s_axis_tdata.value = 0
    dut.s_axis_tlast.value = 0
    dut.m_axis_tready.value = 0
    dut.frame_error_clear.value = 0
    for _ in range(4):
        await FallingEdge(dut.clk)
    dut.rst.value = 0


async def stream(
    dut: Any,
    inputs: list[int],
    outputs: int,
    pauses: random.Random | None,
    lengths: list[int] | None = None,
) -> list[int]:
    """Send words until they are all taken and `outputs` words came; return these.

    `lengths` are those of the frames, where they are not all right.
    """
    frames = lengths or [INPUT_WORDS] * -(-len(inputs) // INPUT_WORDS)
    lasts = {end - 1 for end in itertools.accumulate(frames)}
    received: list[int] = []
    sent = idle = 0
    offered = False
    while sent < len(inputs) or len(received) < outputs:
        # Once offered, a word stays on the bus until it is taken.
        if sent < len(inputs):
            offered = offered or pauses is None or pauses.random() < 0.75
            dut.s_axis_tdata.value = inputs[sent]
            dut.s_axis_tlast.value = int(sent in lasts)
        dut.s_axis_tvalid.value = int(offered)
        ready = len(received) < outputs and (pauses is None or pauses.random() < 0.67)
        dut.m_axis_tready.value = int(ready)
        await ReadOnly()
        taken = offered and bool(int(dut.s_axis_tready.value))
        valid = bool(int(dut.m_axis_tvalid.value))
        if taken:
            sent, offered = sent + 1, False
        if valid and ready:
            last = len(received) % OUTPUT_WORDS == OUTPUT_WORDS - 1
            wrong = last and frames[len(received) // OUTPUT_WORDS] != INPUT_WORDS
            assert int(dut.m_axis_tlast.value) == last, f"tlast with output word {len(received)}"
            assert int(dut.m_axis_tuser.value) == wrong, f"tuser with output word {len(received)}"
            received.append(int(dut.m_axis_tdata.value))
        idle = 0 if taken or (valid and ready) else idle + 1
        assert idle < PATIENCE, f"the hardware hangs after {sent} words in, {len(received)} out"
        waits = not taken and (offered or sent == len(inputs))
        if waits and not valid and len(received) < outputs:
            # Nothing moves before one of these rises: not a step of Python for each cycle.
            timeout = Timer(PATIENCE * PERIOD_NS, "ns")
            events = [RisingEdge(dut.m_axis_tvalid)]
            if sent < len(inputs):
                events.append(RisingEdge(dut.s_axis_tready))
            fired = await First(*events, timeout)
            assert fired is not timeout, (
                f"the hardware hangs after {sent} words in, {len(received)} out"
            )
        await FallingEdge(dut.clk)
    dut.s_axis_tvalid.value = 0
    dut.m_axis_tready.value = 0
    return received


def compare(received: list[int], expected: list[int]) -> None:
    """Compare every word; a NaN equals any NaN."""
    wrong = [
        f"image {index // OUTPUT_WORDS}, output {index % OUTPUT_WORDS}: "
        f"hardware {got:08x}, expected {word:08x}"
        for index, (got, word) in enumerate(zip(received, expected, strict=True))
        if got != word and not (is_nan(got) and is_nan(word))
    ]
    assert not wrong, f"{len(wrong)} of {len(expected)} words differ: " + "; ".join(wrong[:10])


async def check(dut: Any, pauses: random.Random | None, interrupted_after: int = 0) -> None:
    """Run all samples and compare; before that, reset in the middle of a frame if wished."""
    Clock(dut.clk, PERIOD_NS, "ns").start()
    inputs = words("input.hex", SAMPLES * INPUT_WORDS)
    expected = words("output.hex", SAMPLES * OUTPUT_WORDS)
    await reset(dut)
    if interrupted_after:
        await stream(dut, inputs[:interrupted_after], 0, pauses)
        await reset(dut)
    compare(await stream(dut, inputs, len(expected), pauses), expected)
    assert int(dut.frame_error.value) == 0, "the hardware reports a wrong tlast"


@cocotb.test()
async def every_word(dut: Any) -> None:
    """Without pauses."""
    await check(dut, None)


@cocotb.test()
async def random_pauses(dut: Any) -> None:
    """Both streams pause at random."""
    await check(dut, random.Random(1))


@cocotb.test()
async def reset_in_mid_frame(dut: Any) -> None:
    """A reset with half a frame received leaves nothing behind."""
    await check(dut, random.Random(2), max(1, INPUT_WORDS // 2))


@cocotb.test()
async def frames_of_another_length(dut: Any) -> None:
    """Frames that are too short and too long are answered and reported; the next one is right."""
    Clock(dut.clk, PERIOD_NS, "ns").start()
    sample = words("input.hex", INPUT_WORDS)
    expected = words("output.hex", OUTPUT_WORDS)
    short = max(1, INPUT_WORDS // 2)
    lengths = [short, INPUT_WORDS + 3, INPUT_WORDS]
    inputs = [*sample[:short], *sample, 0, 0, 0, *sample]
    await reset(dut)
    received = await stream(dut, inputs, 3 * OUTPUT_WORDS, random.Random(3), lengths)
    compare(received[OUTPUT_WORDS:], expected * 2)
    assert int(dut.frame_error.value) == 1, "frames of a wrong length are not reported"
    dut.frame_error_clear.value = 1
    await FallingEdge(dut.clk)
    assert int(dut.frame_error.value) == 0, "frame_error is not cleared"
