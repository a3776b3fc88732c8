# SPDX-License-Identifier: Apache-2.0
"""Projects for Quartus and Vivado: complete, the same each time, and their reports are read."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from asnet_mlir.cli import main as cli
from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.hardware import generate, synthesize
from asnet_mlir.hardware.synthesis import projects

TARGETS = ("quartus", "vivado")

FIT = """
+-----------------------------------------------------------------------------------------+
; Fitter Resource Utilization by Entity                                                    ;
+----------------------------+----------------------+---------------------+----------------------\
-----+-------------------+-------+------------+
; Compilation Hierarchy Node ; ALMs needed [=A-B+C] ; Combinational ALUTs ; Dedicated Logic Regis\
ters ; Block Memory Bits ; M10Ks ; DSP Blocks ;
+----------------------------+----------------------+---------------------+----------------------\
-----+-------------------+-------+------------+
; |mlp                       ; 2105.5 (0.5)         ; 3,211 (1)           ; 1842 (0)             \
     ; 24576             ; 7     ; 2          ;
;    |fmul:unit_1|           ; 800.0 (800.0)        ; 1200 (1200)         ; 300 (300)            \
     ; 0                 ; 0     ; 1          ;
+----------------------------+----------------------+---------------------+----------------------\
-----+-------------------+-------+------------+
"""

STA = """
+--------------------------------------------------+
; Slow 1100mV 85C Model Fmax Summary               ;
+------------+-----------------+------------+------+
; Fmax       ; Restricted Fmax ; Clock Name ; Note ;
+------------+-----------------+------------+------+
; 77.14 MHz  ; 77.14 MHz       ; clk        ;      ;
+------------+-----------------+------------+------+

+--------------------------------------------------+
; Slow 1100mV 0C Model Fmax Summary                ;
+------------+-----------------+------------+------+
; Fmax       ; Restricted Fmax ; Clock Name ; Note ;
+------------+-----------------+------------+------+
; 76.02 MHz  ; 76.02 MHz       ; clk        ;      ;
+------------+-----------------+------------+------+
"""

UTILIZATION = """
| Tool Version : Vivado v.2023.2
1. Slice Logic
+----------------------------+------+-------+------------+-----------+-------+
|          Site Type         | Used | Fixed | Prohibited | Available | Util% |
+----------------------------+------+-------+------------+-----------+-------+
| Slice LUTs                 | 3050 |     0 |          0 |     63400 |  4.81 |
|   LUT as Logic             | 3002 |     0 |          0 |     63400 |  4.74 |
| Slice Registers            | 1911 |     0 |          0 |    126800 |  1.51 |
+----------------------------+------+-------+------------+-----------+-------+
| Block RAM Tile    |  3.5 |     0 |          0 |       135 |  2.59 |
| DSPs      |    0 |     0 |          0 |       240 |  0.00 |
"""

TIMING = """
------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)
    -------      -------  ---------------------  -------------------      -------
      7.500        0.000                      0                 4711        0.121

------------------------------------------------------------------------------------------------
| Clock Summary
| -------------
------------------------------------------------------------------------------------------------

Clock  Waveform(ns)         Period(ns)      Frequency(MHz)
-----  ------------         ----------      --------------
clk    {0.000 10.000}       20.000          50.000
"""


@pytest.fixture(scope="module")
def bundle(mlp, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("projects") / "bundle"
    generate(mlp, output=folder, style="stream")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def evaluate(folder: Path, script: str) -> list[tuple[str, ...]]:
    """Run a Tcl script in a folder; return the commands that Tcl itself does not know."""
    tkinter = pytest.importorskip("tkinter", reason="Python was built without Tcl")
    tcl = tkinter.Tcl()
    tcl.eval("set called {}; proc unknown args { lappend ::called $args; return {} }")
    with contextlib.chdir(folder):  # Tcl's folder is the process's, which its scripts change, too
        tcl.eval(f"source {{{script}}}")
    return [tcl.splitlist(call) for call in tcl.splitlist(tcl.eval("set called"))]


@pytest.mark.parametrize("target", TARGETS)
def test_a_project_is_complete_and_the_same_each_time(
    bundle: Path, tmp_path: Path, target: str
) -> None:
    projects.write_project(bundle, target, tmp_path / "one")
    projects.write_project(bundle, target, tmp_path / "deep" / "two")
    made = contents(tmp_path / "one")
    assert contents(tmp_path / "deep" / "two") == made
    assert not list(tmp_path.glob(".*"))
    manifest = json.loads((bundle / "manifest.json").read_text())
    suffix = {"quartus": "sdc", "vivado": "xdc"}[target]
    copied = [*(bundle / "filelist.f").read_text().split(), f"constraints/mlp.{suffix}"]
    copied += [m["file"] for m in manifest["memories"].values() if "file" in m]
    assert len(copied) > 12
    for path in copied:
        assert made[path] == (bundle / path).read_bytes(), path
    for path, data in made.items():
        assert str(tmp_path).encode() not in data and str(bundle).encode() not in data, path


def test_quartus_is_told_all_of_it(bundle: Path, tmp_path: Path) -> None:
    projects.write_project(bundle, "quartus", tmp_path / "p")
    calls = evaluate(tmp_path / "p", "mlp.tcl")
    assert calls[0] == ("project_new", "mlp", "-overwrite")
    assigned = [(call[2], call[3]) for call in calls if call[0] == "set_global_assignment"]
    assert [v for k, v in assigned if k == "SYSTEMVERILOG_FILE"] == (
        (bundle / "filelist.f").read_text().split()
    )
    settings = dict(assigned)
    assert settings["FAMILY"] == "Cyclone V" and settings["DEVICE"] == "5CSEMA5F31C6"
    assert settings["TOP_LEVEL_ENTITY"] == "mlp" and settings["SEARCH_PATH"] == "."
    assert settings["SDC_FILE"] == "constraints/mlp.sdc"
    assert settings["DSP_BLOCK_BALANCING"] == "LOGIC ELEMENTS"
    projects.write_project(bundle, "quartus", tmp_path / "d", dsp=True, device="10CL025YU256C8G")
    settings = {
        call[2]: call[3]
        for call in evaluate(tmp_path / "d", "mlp.tcl")
        if call[0] == "set_global_assignment"
    }
    assert "DSP_BLOCK_BALANCING" not in settings
    assert settings["FAMILY"] == "Cyclone 10 LP" and settings["DEVICE"] == "10CL025YU256C8G"


def test_vivado_is_told_all_of_it(bundle: Path, tmp_path: Path) -> None:
    project = tmp_path / "p"
    projects.write_project(bundle, "vivado", project)
    calls = evaluate(project, "mlp.tcl")
    assert calls[0][:2] == ("create_project", "mlp")
    read = [call[2] for call in calls if call[:2] == ("read_verilog", "-sv")]
    assert read == (bundle / "filelist.f").read_text().split()
    assert ("read_xdc", "constraints/mlp.xdc") in calls
    properties = {call[1]: call[2] for call in calls if call[0] == "set_property"}
    assert properties["part"] == "xc7a100tcsg324-1" and properties["top"] == "mlp"
    assert properties["STEPS.SYNTH_DESIGN.ARGS.MAX_DSP"] == "0"
    assert "verilog_define" not in properties
    projects.write_project(bundle, "vivado", tmp_path / "multipliers", dsp=True)
    calls = evaluate(tmp_path / "multipliers", "mlp.tcl")
    defined = {call[1]: call[2] for call in calls if call[0] == "set_property"}
    assert defined["verilog_define"] == "ASNET_PAIRED_PRODUCTS"
    # ROMs are where $readmemh looks: beside the source, and in the folder of the run.
    roms = contents(bundle / "rom")
    assert contents(project / "rtl" / "rom") == roms
    (tmp_path / "run").mkdir()
    for _ in range(2):
        assert evaluate(tmp_path / "run", properties["STEPS.SYNTH_DESIGN.TCL.PRE"]) == []
        assert contents(tmp_path / "run" / "rom") == roms


@pytest.mark.parametrize(("target", "suffix"), [("quartus", "sdc"), ("vivado", "xdc")])
def test_constraints_are_tcl(bundle: Path, target: str, suffix: str) -> None:
    calls = evaluate(bundle, f"constraints/mlp.{suffix}")
    assert ("create_clock", "-name", "clk", "-period", "20", "") in calls
    assert ("get_ports", "clk") in calls


@pytest.mark.parametrize("target", TARGETS)
def test_without_the_tool_there_is_a_project(
    bundle: Path, tmp_path: Path, target: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    folder = tmp_path / "p"
    arguments = ["synth", str(bundle), "--target", target, "--project", str(folder)]
    assert cli.main(arguments) == 0
    tool = {"quartus": "quartus_sh", "vivado": "vivado"}[target]
    said = capsys.readouterr().out
    assert said.startswith(f"project written to {folder}; {tool} was not found: run 'make' there")
    assert said.count("\n") == 1
    # What is there stays.
    before = contents(folder)
    assert cli.main(arguments) == 2
    assert re.search(r"exists; nothing was written .*--project", capsys.readouterr().err)
    assert contents(folder) == before
    copy = shutil.copytree(bundle, tmp_path / "b")
    assert cli.main(["synth", str(copy), "--target", target, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (
        result["project"] == str(tmp_path / f"b-{target}") and (tmp_path / f"b-{target}").is_dir()
    )
    assert result["tool_found"] is False
    assert all(result[key] is None for key in ("luts", "ffs", "dsps", "brams", "fmax_mhz"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "quartus", "device": "xc7a100t"}, "its family is not known"),
        ({"target": "vivado", "device": "a b"}, "'a b' is no name of a device"),
        ({"target": "vivado", "device": "x; exec"}, "is no name of a device"),
        ({"target": "vivado", "liberty": __file__}, "takes no liberty file"),
        ({"target": "quartus", "seeds": 3}, "places once"),
        ({"target": "ecp5", "project": "p"}, "writes no project; quartus and vivado do"),
        ({"target": "altera"}, "targets are ecp5, cyclonev, xilinx7, asic, quartus, vivado"),
    ],
)
def test_wrong_options(bundle: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    given = {"project": tmp_path / "p", **options}
    if options["target"] == "altera":
        del given["project"]
    with pytest.raises(InputError, match=re.escape(message)):
        synthesize(bundle, **given)
    assert not (tmp_path / "p").exists()


def test_a_core_alone_has_no_project() -> None:
    with pytest.raises(InputError, match="target quartus takes a bundle's folder, not 'fmul'"):
        synthesize("fmul", target="quartus")


def test_a_bundle_without_constraints(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "b")
    (copy / "constraints" / "mlp.sdc").unlink()
    with pytest.raises(InputError, match=r"lacks the file 'constraints/mlp.sdc'"):
        synthesize(copy, target="quartus", project=tmp_path / "p")


def fake_tool(folder: Path, programs: dict[str, str]) -> str:
    """Make programs of shell lines; return a PATH with them and the system's."""
    folder.mkdir()
    for name, lines in programs.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_quartus_reports(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fit").write_text(FIT)
    (tmp_path / "sta").write_text(STA)
    programs = dict.fromkeys(("quartus_sh", "quartus_map", "quartus_asm"), "exit 0")
    programs["quartus_fit"] = f"cp {tmp_path}/fit mlp.fit.rpt"
    programs["quartus_sta"] = f"cp {tmp_path}/sta mlp.sta.rpt"
    monkeypatch.setenv("PATH", fake_tool(tmp_path / "bin", programs))
    result = synthesize(bundle, target="quartus", project=tmp_path / "p")
    figures = {key: result[key] for key in ("luts", "ffs", "dsps", "brams", "fmax_mhz")}
    assert figures == {"luts": 3211, "ffs": 1842, "dsps": 2, "brams": 7, "fmax_mhz": 76.02}
    assert result["tool_found"] is True


def test_vivado_reports(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "utilization").write_text(UTILIZATION)
    (tmp_path / "timing").write_text(TIMING)
    run = "mlp.runs/impl_1"
    lines = f"touch mlp.xpr mlp.bit; mkdir -p {run}; "
    lines += f"cp {tmp_path}/utilization {run}/mlp_utilization_placed.rpt; "
    lines += f"cp {tmp_path}/timing {run}/mlp_timing_summary_routed.rpt"
    monkeypatch.setenv("PATH", fake_tool(tmp_path / "bin", {"vivado": lines}))
    result = synthesize(bundle, target="vivado", project=tmp_path / "p")
    figures = {key: result[key] for key in ("luts", "ffs", "dsps", "brams", "fmax_mhz")}
    # A tile of block RAM is two of 18 kbit; 20 ns less 7.5 ns of slack are 12.5 ns.
    assert figures == {"luts": 3050, "ffs": 1911, "dsps": 0, "brams": 7, "fmax_mhz": 80.0}


def test_a_tool_that_fails(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake_tool(tmp_path / "bin", {"quartus_sh": "echo no licence >&2; exit 3"})
    monkeypatch.setenv("PATH", path)
    with pytest.raises(ToolError, match="no licence"):
        synthesize(bundle, target="quartus", project=tmp_path / "p")


@pytest.mark.parametrize("target", TARGETS)
def test_reports_that_say_nothing(tmp_path: Path, target: str) -> None:
    found = projects.read_figures(tmp_path, target)
    assert set(found) == {"luts", "ffs", "dsps", "brams", "fmax_mhz"}
    assert not any(value is not None for value in found.values())
    run = tmp_path / "x.runs" / "impl_1"
    run.mkdir(parents=True)
    for path in (tmp_path / "x.fit.rpt", tmp_path / "x.sta.rpt", run / "x_utilization_placed.rpt"):
        path.write_text("; Nothing ;\n| Slice LUTs | |\n")
    assert not any(value is not None for value in projects.read_figures(tmp_path, target).values())
