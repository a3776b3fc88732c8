# SPDX-License-Identifier: Apache-2.0
"""What makes a bundle run by itself: vectors, makefile, benches, FuseSoC core, constraints.

None of it needs asnet: `make` in the folder simulates the vectors and compares every word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from asnet_mlir import __version__
from asnet_mlir.errors import InputError
from asnet_mlir.hardware.bundle.manifest import STREAM_KINDS, edge_formats, engine_steps
from asnet_mlir.hardware.shell.options import PLAIN, Framing, Shell
from asnet_mlir.hardware.shell.packaging import Package, component_xml, litex_module
from asnet_mlir.hardware.shell.register_map import Register, table
from asnet_mlir.hardware.shell.top import LITE_PREFIX, clock_and_reset, ports
from asnet_mlir.reference import StagedReference
from asnet_mlir.support.formats import F32, NumberFormat

__all__ = [
    "CLOCK_PERIOD_NS",
    "Vectors",
    "files",
    "read_vectors",
    "software_words",
    "stimuli",
    "vectors",
]

#: Of the constraint stubs: what the networks of the examples reach on ECP5, and some room.
CLOCK_PERIOD_NS = 20

#: Of the vectors: what each sample is made of.
_KINDS = (
    "uniform in 0..1",
    "uniform in -2..2",
    "uniform in -2..2 among zeros of both signs and subnormal numbers",
    "magnitudes of 2^-40 to 2^40",
    "uniform in 0..1 but for an infinity and a NaN",
)
_SEED = 1
#: What the bench may take, as a multiple of the prediction, where both streams pause.
_SLACK = 16

#: Here and no template: headers of the package's C++ are left out of the wheel.
_FUSESOC_HEADER = """// FuseSoC calls the model after the top module; tb/bench.cpp calls it Vtop.
#include "V{top}.h"
using Vtop = V{top};
"""

#: What a bundle's page says of weights outside.
_LOADED = """
## Weights
They come through the AXI4-Stream `s_weights_*` as one frame: the words of `weights/{name}.bin` (32
bits each, lower byte first), of which the last one is the sum of the others. No sample is taken
before they are there (`weights_loaded`). A frame that is not whole or has another sum leaves the
network without weights; one that comes while samples are under way has no effect. Both are said by
`weights_error`, until a frame was right or `frame_error_clear` is 1.
"""
_STREAMED = """
## Weights
They are read from external memory, in which `weights/{name}.bin` lies from `weights_address` on, a
multiple of 64, through the AXI4 port `m_axi_*`: bursts of up to 16 words of 32 bits, up to 8 of
them ahead, answered in order. `manifest.json` has the bytes a sample and a cycle under
`outside_weights`. A slower memory makes the network slower; an error of it ends all answers until
there is a reset (`weights_error`). The bench's memory, `tb/memory.sv`, answers after random times.
"""

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Vectors:
    """Test vectors: uint32[samples, words] that go in, and what has to come out."""

    inputs: np.ndarray
    outputs: np.ndarray


def vectors(
    network: str, models: str, weights: Mapping[str, np.ndarray], info: Mapping[str, Any]
) -> Vectors:
    """Return test vectors of a network, whose outputs are the software's.

    Args:
      network: the bundle's network on tensors, batch 1.
      models: the software models of its instances.
      weights: arrays by name.
      info: of the manifest: `input_shape`, `output_shape`, formats (`edge_formats`) and `weights`,
        their order.
    """
    formats = edge_formats(info)
    words = stimuli(int(np.prod(info["input_shape"])), formats[0])
    outputs = software_words(
        network,
        models,
        [np.ascontiguousarray(weights[name]) for name in info["weights"]],
        formats[0].from_words(words).reshape(-1, *info["input_shape"]),
        info["output_shape"],
        formats[1],
    )
    return Vectors(words, outputs)


def stimuli(words: int, format: NumberFormat = F32) -> np.ndarray:
    """Return uint32[samples, words], numbers of a format that are the same everywhere and always.

    Those of f32 are around 0 and 1, subnormal, of all sizes and special; of other formats all bits
    are drawn.  They are made of the raw bits of PCG64, which numpy keeps; not of its distributions.
    """
    shape = (len(_KINDS), words)
    raw = np.random.PCG64(_SEED).random_raw(2 * len(_KINDS) * words).astype(np.uint64)
    first, second = raw.reshape(2, *shape)
    if format != F32:
        return (first & np.uint64((1 << format.width) - 1)).astype(np.uint32)
    unit = (first >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
    around = unit * np.float32(4) - np.float32(2)
    choice = (second >> np.uint64(32)).astype(np.uint32)
    sign = choice & np.uint32(0x80000000)
    fraction = (first & np.uint64(0x7FFFFF)).astype(np.uint32)
    x = np.empty(shape, np.uint32)
    x[0] = unit[0].view(np.uint32)
    x[1] = around[1].view(np.uint32)
    special = np.where(choice[2] & np.uint32(1), sign[2] | fraction[2], sign[2])
    x[2] = np.where(choice[2] & np.uint32(2), around[2].view(np.uint32), special)
    exponent = np.uint32(127 - 40) + choice[3] % np.uint32(81)
    x[3] = sign[3] | (exponent << np.uint32(23)) | fraction[3]
    x[4] = unit[4].view(np.uint32)
    x[4, words // 3] = 0x7F800000
    x[4, 2 * words // 3] = F32.canonical_nan
    return x


def software_words(
    network: str,
    models: str,
    weights: Sequence[np.ndarray],
    x: np.ndarray,
    output_shape: Sequence[int],
    output_format: NumberFormat = F32,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Return uint32[n, words]: what a bundle's network and models compute for `x`, by JIT.

    Args:
      network: on tensors, batch 1.
      models: the software models of its instances.
      weights: in the order of the network's arguments.
      x: [n, ..] of the input's format.
      output_shape, output_format: of a sample.
      progress: told how many samples are done.
    """
    reference = StagedReference(network, models)
    y = np.empty((len(x), *output_shape), output_format.dtype)
    for index in range(len(x)):
        reference([x[index : index + 1]], weights, [y[index : index + 1]])
        if progress is not None:
            progress(index + 1)
    return output_format.to_words(y.reshape(len(x), -1))


def files(
    *,
    name: str,
    sources: Sequence[str],
    entries: Mapping[str, Any],
    vectors: Vectors | None,
    shell: Shell = PLAIN,
    framing: Framing | None = None,
    registers: Sequence[Register] = (),
    info: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the files by path, and keys of the manifest.

    Args:
      name: of the design and its top module.
      sources: the Verilog files, in order.
      entries: of the manifest: `kind`, `layers`, `memories`, `input_words`, `output_words`,
        `predicted_cycles_per_sample`.
      vectors: without, the bundle can be linted and synthesized but not checked by itself.
      shell, framing, registers: what is around the network.
      info: of the manifest: `inputs` and `outputs` where a frame has several.
    """
    samples = 0 if vectors is None else len(vectors.inputs)
    engines = [layer for layer in entries["layers"] if layer.get("kind") == "engine"]
    stages = max(len(entries["layers"]), 1)
    reset_cycle = max(1, entries["input_words"] // 2)
    limit = (samples + stages) * _SLACK * (entries["predicted_cycles_per_sample"] + 1000)
    steps = [engine_steps(layer) for layer in engines]
    numbers = [samples, entries["input_words"], entries["output_words"]]
    # The bench of a stream looks at its engines, that of a shell knows its ports.
    has_own_top = entries["kind"] in STREAM_KINDS or framing is not None
    observed = ["tb/observed.sv"] if has_own_top else []
    if shell.weights == "stream":
        observed.insert(0, "tb/memory.sv")
    bench_top = f"{name}_observed" if observed else name
    run = ["--expect", "tb/vectors/output.hex", "tb/vectors/input.hex", "output.bin"]
    run += map(str, [*numbers, 1, limit + reset_cycle, reset_cycle, *steps])
    roms = sorted({m["file"] for m in entries["memories"].values() if "file" in m})
    hexes = [*roms, *(["tb/vectors/input.hex", "tb/vectors/output.hex"] if vectors else [])]
    if shell.weights != "rom":
        hexes.append("tb/vectors/weights.hex")
    bench_files = [f"{path}: {{file_type: systemVerilogSource}}" for path in observed]
    bench_files.append("tb/bench.cpp: {file_type: cppSource}")
    bench_files.append("tb/fusesoc/Vtop.h: {file_type: cppSource, is_include_file: true}")
    is_integer = entries["kind"] == "integers"
    defines = [f"-DASNET_ENGINES={len(engines)}"]
    if entries.get("has_integer_words"):
        defines.append("-DASNET_INTEGERS")
    values = {
        "NAME": name,
        "VERSION": __version__,
        "CYCLES": f"{entries['predicted_cycles_per_sample']:,}",
        "TOP": name,
        "BENCH_TOP": bench_top,
        "BENCH_SV": " ".join(observed),
        "WORDS": _words(framing, is_integer),
        "MISSING": "0" if is_integer else "NaN",
        "INPUT_WORDS": entries["input_words"],
        "OUTPUT_WORDS": entries["output_words"],
        "PARTS": "".join(_parts_text(what, info[what]) for what in _FRAMES if what in info),
        "SAMPLES": samples,
        "LIMIT": limit + reset_cycle,
        "RESET_CYCLE": reset_cycle,
        "FRAMES": ",".join(map(str, _lengths(samples, entries["input_words"]))),
        "STEPS": " ".join(map(str, steps)),
        "DEFINES": " ".join(defines),
        "FUSESOC_DEFINES": "\n".join(f"        - -CFLAGS {define}" for define in defines),
        "COCOTB_SOURCES": "$(SOURCES)" if framing is None else "$(SOURCES) $(BENCH_SV)",
        "COCOTB_TOP": "$(TOP)" if framing is None else "$(BENCH_TOP)",
        **_ports(shell, framing),
        **_control(name, bool(registers)),
        "SHELL": _shell_text(name, shell, framing, registers),
        "PERIOD": CLOCK_PERIOD_NS,
        "MHZ": f"{1000 / CLOCK_PERIOD_NS:g}",
        "VLNV": f"asnet:network:{name}:{__version__}",
        "RTL_FILES": _items(sources),
        "ROM_FILES": _items([f"{path}: {{copyto: {path}}}" for path in hexes]),
        "BENCH_FILES": _items(bench_files),
        "RUN_OPTIONS": ", ".join(f'"{option}"' for option in run),
    }
    made = {
        path: _filled(template, values)
        for path, template in (
            ("README.md", "README.md"),
            ("Makefile", "Makefile"),
            ("tb/cocotb.mk", "cocotb.mk"),
            ("tb/test_stream.py", "test_stream.py"),
            ("tb/lint.vlt", "lint.vlt"),
            (f"{name}.core", "network.core"),
            (f"constraints/{name}.lpf", "network.lpf"),
            (f"constraints/{name}.sdc", "network.sdc"),
            (f"constraints/{name}.xdc", "network.xdc"),
        )
    }
    if framing is not None:
        package = Package(name, __version__, shell, framing, registers, sources, roms)
        if registers:
            made["tb/control.cpp"] = _filled("control.cpp", values)
        made["component.xml"] = component_xml(package)
        made[f"{name}_litex.py"] = litex_module(package)
    made["tb/fusesoc/Vtop.h"] = _FUSESOC_HEADER.format(top=bench_top).encode()
    if vectors is not None:
        made["tb/vectors/input.hex"] = _hex(vectors.inputs)
        made["tb/vectors/output.hex"] = _hex(vectors.outputs)
    described = {"samples": samples, "kinds": list(_KINDS[:samples]), "reset_cycle": reset_cycle}
    return made, {"vectors": described, "constraints": {"clock_period_ns": CLOCK_PERIOD_NS}}


#: What a frame may have several of.
_FRAMES = ("inputs", "outputs")


def _parts_text(what: str, parts: Sequence[Mapping[str, Any]]) -> str:
    """Return the section of a bundle's README about the parts of a frame."""
    frame = "a sample" if what == "inputs" else "an answer"
    rows = "\n".join(
        f"| `{part['name']}` | {'x'.join(map(str, part['shape'])) or 'a number'} | "
        f"{part['begin']} to {part['end'] - 1} |"
        for part in parts
    )
    return (
        f"\n\nThe frame of {frame} holds these {what}, one after the other:\n\n"
        f"| {what[:-1]} | shape | numbers of the frame |\n|---|---|---|\n{rows}"
    )


def _words(framing: Framing | None, is_integer: bool) -> str:
    """Return what the streams carry, in words."""
    if framing is None:
        return "codes" if is_integer else "32-bit words"
    texts = []
    for edge, what in ((framing.input, "codes"), (framing.output, "indices")):
        number = what if framing.classes else "codes" if is_integer else "numbers"
        number = "codes" if edge is framing.input and is_integer else number
        several = f", {edge.lanes} {number} each with the first in the lowest bits"
        texts.append(f"{edge.width}-bit words{several if edge.lanes > 1 else ''}")
    return f"words (in: {texts[0]}; out: {texts[1]})"


def _ports(shell: Shell, framing: Framing | None) -> dict[str, str]:
    """Return what templates say of ports."""
    clock, reset = clock_and_reset(shell)
    low = ", which resets while it is 0" if reset == "aresetn" else ""
    inputs = f"{reset} s_axis_* m_axis_tready frame_error_clear"
    outputs = "s_axis_tready m_axis_* frame_error"
    if framing is not None and shell.control:
        lite = [port for port in ports(shell, framing) if port.name.startswith(LITE_PREFIX)]
        inputs += "".join(f" {port.name}" for port in lite if port.is_input)
        outputs += "".join(f" {port.name}" for port in lite if not port.is_input)
    return {
        "CLOCK": clock,
        "RESET": f"`{reset}`{low}",
        "INPUTS": inputs,
        "OUTPUTS": outputs,
    }


def _control(name: str, has_registers: bool) -> dict[str, str]:
    """Return what templates say of the control block's bench."""
    values = {"PREFIX": name.upper(), "CHECK": "", "CONTROL": ""}
    if has_registers:
        values["CHECK"] = " control"
        values["CONTROL"] = (_TEMPLATES / "control.mk").read_text() + "\n"
    return values


def _shell_text(
    name: str, shell: Shell, framing: Framing | None, registers: Sequence[Register]
) -> str:
    """Return what the bundle's page says of the shell, behind its ports."""
    text = ""
    if framing is not None and framing.output.lanes > 1:
        text += """
`m_axis_tkeep` says which bytes of an answer's last word are of it; those that a sample's last word
has beyond it have no effect.
"""
    if framing is not None and framing.classes:
        text += f"""
An answer is the index of the greatest of {framing.classes} numbers, the first one of equal ones.
"""
    text += {"rom": "", "load": _LOADED, "stream": _STREAMED}[shell.weights].format(name=name)
    if registers:
        text += f"""
## Registers
Behind the AXI4-Lite port `s_axi_*`, 32 bits each; `{name}_registers.h` has them for C. Nothing
needs to be written before samples are taken.

{table(registers)}"""
    return text


def read_vectors(bundle: Path, manifest: Mapping[str, Any]) -> Vectors | None:
    """Return the test vectors in a bundle, or None where it has none.

    Raises:
      InputError: they are not what the manifest says.
    """
    samples = (manifest.get("vectors") or {}).get("samples", 0)
    if not samples:
        return None

    def read(name: str, words: int) -> np.ndarray:
        path = bundle / "tb" / "vectors" / name
        try:
            values = [int(word, 16) for word in path.read_text().split()]
            return np.array(values, np.uint32).reshape(samples, words)
        except (OSError, ValueError, OverflowError) as error:
            raise InputError(f"{path}: damaged ({error}); generate the bundle anew") from None

    return Vectors(
        read("input.hex", manifest["input_words"]), read("output.hex", manifest["output_words"])
    )


def _lengths(samples: int, words: int) -> list[int]:
    """Return lengths of frames, one a sample: too short, right, too long, then right."""
    return [max(1, words // 2), words, words + 3, *[words] * samples][:samples]


def _items(lines: Sequence[str]) -> str:
    """Return the items of a list in a fileset."""
    return "\n".join(f"      - {line}" for line in lines)


def _filled(template: str, values: Mapping[str, Any]) -> bytes:
    """Return a template with each @KEY@ replaced."""
    text = (_TEMPLATES / template).read_text()
    return re.sub(r"@([A-Z_]+)@", lambda match: str(values[match[1]]), text).encode()


def _hex(words: np.ndarray) -> bytes:
    """Return words as text, one a line, as `$readmemh` reads them."""
    return "".join(f"{word:08x}\n" for word in words.reshape(-1).tolist()).encode()
