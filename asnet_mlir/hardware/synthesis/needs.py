# SPDX-License-Identifier: Apache-2.0
"""What a bundle needs before synthesis: memory, block RAMs, multipliers, time, and a device."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asnet_mlir.hardware.bundle.kit import CLOCK_PERIOD_NS
from asnet_mlir.hardware.bundle.manifest import predicted_latency
from asnet_mlir.hardware.synthesis.targets import ecp5_fit

__all__ = ["block_rams", "needs_of"]

#: Words and bits of a word of a block RAM of ECP5 (DP16KD) in each of its modes.
_MODES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))


def needs_of(
    bundle: str | Path, manifest: Mapping[str, Any], device: str | None = None
) -> dict[str, Any]:
    """Return what a bundle needs, from its Verilog and its manifest.

    Args:
      bundle: its folder.
      manifest: where `generate` predicted the area, it is compared with the device's.
      device: of ECP5: `25k`, `45k` or `85k`.

    Returns:
      memory_bits: of all memories, ROMs included.
      block_rams: of 18 kbit (ECP5), those that are too large for logic.
      multipliers: copies of the cores that multiply.
      cycles_per_sample: from one sample to the next, the throughput.
      latency_cycles: from a sample's first word in to its last word out, at most: as if no stage
        began before the one before it had ended.
      clock_mhz: what was asked for, else that of the bundle's constraints.
      seconds_per_sample, seconds_latency: at this clock.
      device: where one is given: `name`, `fits`, `excess` (what it lacks, in words), `larger` (the
        smallest device that has it, or None).

    Raises:
      InputError: there is no such device.
    """
    memories = _memories(Path(bundle), manifest["name"])
    clock = manifest.get("clock_mhz") or 1000 / CLOCK_PERIOD_NS
    cycles, latency = manifest["predicted_cycles_per_sample"], predicted_latency(manifest)
    brams = sum(block_rams(words, width) for words, width, is_block in memories if is_block)
    counts = {"brams": brams}
    if "predicted_luts" in manifest:
        counts["luts"] = manifest["predicted_luts"]["total"]
        counts["dsps"] = manifest["predicted_luts"].get("dsps", 0)
    return {
        "memory_bits": sum(words * width for words, width, _ in memories),
        "block_rams": brams,
        "multipliers": sum(
            entry["count"] for entry in manifest["instances"] if entry["op"].startswith("mul")
        ),
        "cycles_per_sample": cycles,
        "latency_cycles": latency,
        "clock_mhz": clock,
        "seconds_per_sample": cycles / clock / 1e6,
        "seconds_latency": latency / clock / 1e6,
        **({} if device is None else {"device": ecp5_fit(counts, device)}),
    }


def block_rams(words: int, width: int) -> int:
    """Return how many block RAMs of ECP5 hold `words` of `width` bits, in their best mode."""
    return min(-(-words // depth) * -(-width // bits) for depth, bits in _MODES)


def _memories(bundle: Path, name: str) -> list[tuple[int, int, bool]]:
    """Return words, bits of a word and whether it is block RAM, of each memory of a design.

    Generated modules stand once in a design, and every memory is in a module of the library.
    """
    found = []
    kinds = "fifo|ram|register_file|rom|weight_ring|weights|window"
    instance = re.compile(rf"(?<!module )\b{name}_({kinds}) #\((.*?)\n?\s*\) ", re.S)
    for path in sorted((bundle / "rtl").glob("*.sv")):
        for kind, text in instance.findall(path.read_text()):
            given = {
                key: int(value)
                for key, value in re.findall(r"\.(\w+)\s*\(\s*(?:\d+'d)?(\d+)\s*\)", text)
            }
            found += _of_module(kind, given)
    return found


def _of_module(kind: str, given: Mapping[str, int]) -> list[tuple[int, int, bool]]:
    """Return the memories in a module of the library, as its Verilog declares them."""
    if kind == "window":
        bits = given.get("RingBits", 4)
        return [(1 << bits, given.get("Bits", 8) * given.get("Pack", 1), bits > 6)]
    if kind == "weight_ring":
        return [(1 << given["RowBits"], given["Width"], True)]
    words = given["Words"]
    if kind == "weights":
        return [(1 << given["AddressBits"], given["Width"], words > 32)]
    if kind == "register_file":
        return [(words, given["Width"], False)]
    if kind == "fifo":
        return [(words, given["Width"], words > 64)]
    address = given["AddressBits"]
    if kind == "rom":
        is_block = words > 32
        return [(1 << address if is_block else words, given["Width"], is_block)]
    half = 1 << (address - 1)
    high = 1 << max(words - half - 1, 0).bit_length()
    if half - high > 1024:
        return [(half, 32, True), (high, 32, True)]
    return [(1 << address, 32, True)]
