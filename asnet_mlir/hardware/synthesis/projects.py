# SPDX-License-Identifier: Apache-2.0
"""Projects for vendors' tools, by edalize: a folder that Quartus or Vivado works in; its figures.

A project holds copies of all it needs, so it can be taken to the machine that has the tool.
"""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.hardware.bundle.manifest import read_manifest
from asnet_mlir.hardware.synthesis.targets import VENDOR_TARGETS
from asnet_mlir.support import processes
from asnet_mlir.support.files import replacement, unwritable
from asnet_mlir.support.resources import how_to_install

__all__ = ["VENDOR_TARGETS", "read_figures", "synthesize", "write_project"]

#: What a vendor's tool may take, in seconds.
_TIMEOUT = 6 * 3600.0

#: Quartus wants a device's family, too: by how the device's name begins, the longest first.
_FAMILIES = {
    "10CL": "Cyclone 10 LP", "10CX": "Cyclone 10 GX", "EP4CGX": "Cyclone IV GX",
    "EP4C": "Cyclone IV E", "5C": "Cyclone V", "5A": "Arria V", "5S": "Stratix V",
    "10A": "Arria 10", "10M": "MAX 10", "1S": "Stratix 10", "AG": "Agilex",
}  # fmt: skip


@dataclass(frozen=True)
class _Tool:
    """A vendor's tool: its program, the device by default, constraints and settings as Tcl.

    The settings lie in the project's folder, where the project is made; `dsp` switches multipliers
    to soft logic, `multipliers` says how they are used.
    """

    program: str
    device: str
    constraints: str
    file_type: str
    settings: str
    dsp: str
    multipliers: str = ""


_TOOLS = {
    "quartus": _Tool(
        "quartus_sh",
        "5CSEMA5F31C6",
        ".sdc",
        "SDC",
        """# Files of $readmemh are named from here.
set_global_assignment -name SEARCH_PATH .
""",
        """# Multipliers are soft logic: there approximation saves area.
set_global_assignment -name DSP_BLOCK_BALANCING "LOGIC ELEMENTS"
set_global_assignment -name AUTO_DSP_RECOGNITION OFF
""",
    ),
    "vivado": _Tool(
        "vivado",
        "xc7a100tcsg324-1",
        ".xdc",
        "xdc",
        """# Files of $readmemh are looked for beside the source and in the folder of the run.
file delete -force rtl/rom
file copy -force rom rtl/rom
set_property STEPS.SYNTH_DESIGN.TCL.PRE [file normalize copy_rom.tcl] [get_runs synth_1]
""",
        """# Multipliers are soft logic: there approximation saves area.
set_property STEPS.SYNTH_DESIGN.ARGS.MAX_DSP 0 [get_runs synth_1]
""",
        """# Two products of 8 x 8 bits that have a factor in common are one of a multiplier.
set_property verilog_define ASNET_PAIRED_PRODUCTS [current_fileset]
""",
    ),
}

_COPY_ROM = """# Runs in the folder of the synthesis, before it.
set project [file dirname [file normalize [info script]]]
file delete -force rom
file copy -force [file join $project rom] rom
"""


def synthesize(
    bundle: Path,
    target: str,
    *,
    project: Path | None = None,
    device: str | None = None,
    dsp: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write a project and, where the vendor's tool is in PATH, run it.

    Args:
      bundle: a bundle's folder.
      target: "quartus" or "vivado".
      project: a folder that does not exist yet; by default beside the bundle, `DIR-quartus`.
      device: the vendor's name of it.
      dsp: let the tool use the device's multipliers.
      progress: is told before the tool runs.

    Returns:
      target, device, project, tool (the program), tool_found; luts (Quartus: ALUTs; Vivado: up to 6
      inputs), ffs, dsps, brams (Quartus: M9K, M10K or M20K; Vivado: of 18 kbit), fmax_mhz, seconds.
      A figure is None where no tool ran, or its report does not say.

    Raises:
      InputError: no bundle, a folder that exists, or a device that has no such name.
      ToolError: edalize is missing, or the tool failed.
    """
    tool = _TOOLS[target]
    folder = project or bundle.resolve().parent / f"{bundle.resolve().name}-{target}"
    chosen = write_project(bundle, target, folder, device=device, dsp=dsp)
    found = shutil.which(tool.program) is not None
    result: dict[str, Any] = {"target": target}
    result |= dict.fromkeys(("luts", "ffs", "dsps", "brams", "fmax_mhz"))
    result |= {"device": chosen, "project": str(folder)}
    result |= {"tool": tool.program, "tool_found": found, "seconds": 0.0}
    if found:
        started = time.monotonic()
        progress(f"running {tool.program} in {folder}")
        processes.run(
            ["make"],
            purpose=f"running {tool.program} in {folder}",
            cwd=folder,
            timeout_seconds=_TIMEOUT,
            memory_bytes=None,
        )
        result |= read_figures(folder, target)
        result["seconds"] = round(time.monotonic() - started, 1)
    return result


def write_project(
    bundle: Path, target: str, folder: Path, *, device: str | None = None, dsp: bool = False
) -> str:
    """Write the project of a bundle into the new folder `folder`; return the device.

    The same bundle gives the same bytes.  On any error nothing is left.

    Raises:
      InputError, ToolError: see `synthesize`.
    """
    tool = _TOOLS[target]
    manifest = read_manifest(bundle)
    chosen = tool.device if device is None else device
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", chosen, re.ASCII):
        raise InputError(f"'{chosen}' is no name of a device; {tool.device} is one")
    if folder.exists() or folder.is_symlink():
        raise InputError(
            f"{folder}: exists; nothing was written (name another folder with --project)"
        )
    options: dict[str, Any] = {"part": chosen}
    if target == "quartus":
        options = {"family": _family(chosen), "device": chosen}
    name = manifest["name"]
    constraints = f"constraints/{name}{tool.constraints}"
    if not (bundle / constraints).is_file():
        raise InputError(f"{bundle}: lacks the file '{constraints}'; generate the bundle anew")
    sources = (bundle / "filelist.f").read_text().split()
    roms = sorted({m["file"] for m in manifest["memories"].values() if "file" in m})
    files = [{"name": "settings.tcl", "file_type": "tclSource"}]
    files += [{"name": path, "file_type": "systemVerilogSource"} for path in sources]
    files.append({"name": constraints, "file_type": tool.file_type})
    files += [{"name": path, "file_type": "user"} for path in roms]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacement(folder) as temporary:
            (temporary / "rom").mkdir()
            for path in (*sources, *roms, constraints):
                (temporary / path).parent.mkdir(parents=True, exist_ok=True)
                (temporary / path).write_bytes((bundle / path).read_bytes())
            (temporary / "settings.tcl").write_text(
                tool.settings + (tool.multipliers if dsp else tool.dsp)
            )
            if target == "vivado":
                (temporary / "copy_rom.tcl").write_text(_COPY_ROM)
            edam = {"name": name, "toplevel": manifest["top"], "files": files}
            _configure(target, edam, options, temporary)
    except OSError as error:
        raise unwritable(folder, error) from None
    return chosen


def _configure(target: str, edam: dict[str, Any], options: dict[str, Any], folder: Path) -> None:
    """Have edalize write the project's Tcl and makefile."""
    try:
        from edalize.edatool import get_edatool
        from edalize.flows.vivado import Vivado
    except ImportError:
        hint = how_to_install("edalize")
        raise ToolError(f"the Python package edalize is not installed; {hint}") from None
    with _quiet():
        if target == "quartus":
            edam["tool_options"] = {"quartus": options}
            get_edatool("quartus")(edam=edam, work_root=str(folder)).configure()
        else:
            edam["flow_options"] = options
            Vivado(edam, str(folder)).configure()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep edalize from saying that the tool is not there: that is told once, by us."""
    logger = logging.getLogger("edalize")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _family(device: str) -> str:
    for prefix, family in _FAMILIES.items():
        if device.upper().startswith(prefix):
            return family
    raise InputError(
        f"device '{device}': its family is not known; names begin with {', '.join(_FAMILIES)}"
    )


def read_figures(project: Path, target: str) -> dict[str, Any]:
    """Return the figures in the reports of a run: None for what they do not say.

    Of several clocks and corners, the frequency is the lowest.
    """
    figures = _quartus_figures if target == "quartus" else _vivado_figures
    return figures(project)


def _report(project: Path, pattern: str) -> str:
    """Return the text of the report that matches, or ''."""
    found = sorted(project.glob(pattern))
    return found[0].read_text(encoding="iso-8859-1") if found else ""


def _number(text: str | None) -> float | None:
    """Return the first number of a cell such as `1,234.5 (12.0)`."""
    match = re.search(r"-?[0-9][0-9,]*(\.[0-9]+)?", text or "")
    return float(match[0].replace(",", "")) if match else None


def _count(text: str | None) -> int | None:
    value = _number(text)
    return None if value is None else int(value)


def _quartus_figures(project: Path) -> dict[str, Any]:
    # A table: its title, a line, the columns, a line, the rows; the first row is the whole design.
    fit = _report(project, "*.fit.rpt")
    row: dict[str, str] = {}
    table = re.search(
        r"^; Fitter Resource Utilization by Entity *;\n\+[-+]*\n;(.*);\n\+[-+]*\n;(.*);$", fit, re.M
    )
    if table:
        cells = [[cell.strip() for cell in line.split(";")] for line in table.groups()]
        row = dict(zip(*cells, strict=False))
    clocks = [
        float(value)
        for part in re.findall(
            r"^; Slow [^;]*Model Fmax Summary *;\n((?:[;+].*\n)*)",
            _report(project, "*.sta.rpt"),
            re.M,
        )
        for value in re.findall(r"^; ([0-9.]+) MHz", part, re.M)
    ]
    memory = next((row[key] for key in ("M10Ks", "M20Ks", "M9Ks") if key in row), None)
    luts = next((row[key] for key in ("Combinational ALUTs", "Logic Cells") if key in row), None)
    dsps = next((row[key] for key in ("DSP Blocks", "DSP Elements") if key in row), None)
    return {
        "luts": _count(luts),
        "ffs": _count(row.get("Dedicated Logic Registers")),
        "dsps": _count(dsps),
        "brams": _count(memory),
        "fmax_mhz": min(clocks) if clocks else None,
    }


def _vivado_figures(project: Path) -> dict[str, Any]:
    used = _report(project, "*.runs/impl_1/*_utilization_placed.rpt")
    timing = _report(project, "*.runs/impl_1/*_timing_summary_routed.rpt")

    def cell(*names: str) -> float | None:
        match = re.search(rf"^\| *(?:{'|'.join(names)})\*? *\| *([0-9.]+) *\|", used, re.M)
        return float(match[1]) if match else None

    # The worst slack is that of the clock: the period less it is the longest path.
    slack = re.search(r"^ *WNS\(ns\).*\n[ -]*\n *(-?[0-9.]+)", timing, re.M)
    period = re.search(r"^clk +\{[^}]*\} +([0-9.]+)", timing, re.M)
    delay = float(period[1]) - float(slack[1]) if slack and period else 0.0
    tiles = cell("Block RAM Tile")
    luts, ffs = cell("Slice LUTs", "CLB LUTs"), cell("Slice Registers", "CLB Registers")
    dsps = cell("DSPs")
    return {
        "luts": None if luts is None else int(luts),
        "ffs": None if ffs is None else int(ffs),
        "dsps": None if dsps is None else int(dsps),
        "brams": None if tiles is None else int(2 * tiles),
        "fmax_mhz": round(1000 / delay, 2) if delay > 0 else None,
    }
