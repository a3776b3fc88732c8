# SPDX-License-Identifier: Apache-2.0
"""A bundle's design in its shell: the files around the network, and how its bench is connected."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir import __version__
from asnet_mlir.errors import InputError
from asnet_mlir.hardware.bundle import observed
from asnet_mlir.hardware.bundle.kit import Vectors
from asnet_mlir.hardware.bundle.manifest import STREAM_KINDS, edge_formats
from asnet_mlir.hardware.shell.options import (
    Framing,
    Shell,
    WeightMemory,
    weight_image,
    weight_places,
)
from asnet_mlir.hardware.shell.register_map import Register, c_header, registers
from asnet_mlir.hardware.shell.top import (
    bench_instance,
    clock_and_reset,
    control_ports,
    renamed,
    top_module,
)

__all__ = ["Framed", "bundle_framing", "framing_of", "surround"]


@dataclass(frozen=True)
class Framed:
    """A design with what is around the network.

    Attributes:
      files: generated files by path.
      shell: what was asked for.
      framing: of its streams; None without a shell.
      registers: of its control block.
      clock, reset: names of ports.
    """

    files: dict[str, bytes]
    shell: Shell
    framing: Framing | None
    registers: tuple[Register, ...]
    clock: str
    reset: str

    def vectors(self, vectors: Vectors) -> Vectors:
        """Return a network's vectors as the words of the streams."""
        if self.framing is None:
            return vectors
        return Vectors(
            self.framing.to_input(vectors.inputs), self.framing.to_output(vectors.outputs)
        )


def bundle_framing(manifest: Mapping[str, Any]) -> Framing:
    """Return the streams of a bundle, by its manifest: of one without a shell those of its network.

    Raises:
      InputError: the manifest is damaged.
    """
    try:
        return framing_of(Shell.of(manifest), manifest["info"])
    except (KeyError, TypeError):
        raise InputError("the manifest's shapes are damaged; generate the bundle anew") from None


def framing_of(shell: Shell, info: Mapping[str, Any]) -> Framing:
    """Return the streams of a network, by a manifest's `info`."""
    shapes = tuple(info["input_shape"]), tuple(info["output_shape"])
    return Framing.of(shell, edge_formats(info), shapes)


def surround(
    name: str,
    shell: Shell,
    files: Mapping[str, bytes],
    entries: MutableMapping[str, Any],
    info: Mapping[str, Any],
) -> Framed:
    """Return a design with its shell and the top module of its bench.

    Args:
      name: of the design and its top module.
      files: those of the network, whose top module is NAME.
      entries: of the manifest; those of the streams become the shell's, `widths` is taken out.
      info: of the manifest.

    Raises:
      InputError: see `Framing.of`.
    """
    widths = entries.pop("widths", (32, 32))
    outside: Sequence[WeightMemory] = entries.pop("outside", ())
    made = dict(files)
    if shell.is_plain:
        dut = observed.Instance.plain(name, widths)
        made["tb/observed.sv"] = _observed(name, dut, entries).encode()
        return Framed(made, shell, None, (), "clk", "rst")
    framing = framing_of(shell, info)
    entries["shell"] = shell.to_json()
    entries["has_integer_words"] = not framing.has_floats
    entries["input_words"], entries["output_words"] = framing.input.words, framing.output.words
    words: tuple[Register, ...] = ()
    if shell.control:
        words = registers(framing.input.words, framing.output.words, __version__, shell.weights)
        made[f"{name}_registers.h"] = c_header(name, words).encode()
    text = made.pop(f"rtl/{name}.sv").decode()
    made[f"rtl/{name}_network.sv"] = renamed(text, name).encode()
    made[f"rtl/{name}.sv"] = top_module(name, shell, framing, words, outside).encode()
    image = _add_weights(name, shell, outside, made, entries)
    dut = observed.Instance(
        (framing.input.width, framing.output.width),
        bench_instance(name, shell, framing, len(image)),
        "dut.network",
        control_ports(shell, framing),
    )
    made["tb/observed.sv"] = _observed(name, dut, entries).encode()
    return Framed(made, shell, framing, words, *clock_and_reset(shell))


def _add_weights(
    name: str,
    shell: Shell,
    outside: Sequence[WeightMemory],
    files: MutableMapping[str, bytes],
    entries: MutableMapping[str, Any],
) -> list[int]:
    """Add what lies outside to the files and the manifest's entries; return its words."""
    if shell.weights == "rom":
        return []
    if not outside:
        raise InputError("weights: the network has none that could lie outside of its hardware")
    image = weight_image(shell.weights, outside)
    path = f"weights/{name}.bin"
    files[path] = np.array(image, "<u4").tobytes()
    files["tb/vectors/weights.hex"] = "".join(f"{word:08x}\n" for word in image).encode()
    memories: list[dict[str, Any]] = [
        {"layer": memory.layer, "words": len(memory.words)} for memory in outside
    ]
    entries["outside_weights"] = {"mode": shell.weights, "file": path, "memories": memories}
    if shell.weights == "stream":
        for memory, place in zip(memories, weight_places(outside), strict=True):
            memory["place"] = place
        wanted = 4 * sum(len(memory.words) * memory.reads for memory in outside)
        entries["outside_weights"] |= {
            "bytes_per_sample": wanted,
            "bytes_per_cycle": wanted / entries["predicted_cycles_per_sample"],
        }
        template = Path(__file__).parent / "templates" / "memory.sv"
        files["tb/memory.sv"] = template.read_text().replace("@NAME@", name).encode()
    return image


def _observed(name: str, dut: observed.Instance, entries: Mapping[str, Any]) -> str:
    """Return the top module of the bench."""
    if entries["kind"] not in STREAM_KINDS:
        return observed.sequential(name, dut)
    instances = [entry["module"].removeprefix(f"{name}_") for entry in entries["layers"]]
    engines = [
        instance
        for instance, entry in zip(instances, entries["layers"], strict=True)
        if entry.get("kind") == "engine"
    ]
    return observed.stream(name, dut, engines, instances)
