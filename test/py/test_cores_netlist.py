# SPDX-License-Identifier: Apache-2.0
"""Netlists: which pipelines are read, how deep they are, and why others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from asnet_mlir.cores import core_from_verilog, load_core, parse_instance
from asnet_mlir.cores.core import Core, Instance
from asnet_mlir.cores.models.derive import derive_models
from asnet_mlir.cores.verilog import elaborate as elaborate_module
from asnet_mlir.cores.verilog import interface, structure
from asnet_mlir.cores.verilog.elaborate import _Recent, elaborate
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.cores.verilog.structural_latency import measure_latency
from asnet_mlir.cores.verilog.structure import remove_registers
from asnet_mlir.cores.verilog.yosys import run_jobs
from asnet_mlir.errors import AsnetError, InputError, ToolError, UnsupportedError

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def pipelines() -> Core:
    return core_from_verilog([DATA / "pipelines.sv"], parameters={"KIND": 0}, latency=0)


@pytest.mark.parametrize(("kind", "depth"), [(0, 0), (1, 1), (2, 2), (13, 1)])
def test_depth_of_pipelines(pipelines: Core, kind: int, depth: int) -> None:
    assert measure_latency(pipelines.instance({"KIND": kind})) == depth


@pytest.mark.parametrize(
    ("kind", "error", "line", "message"),
    [
        (3, UnsupportedError, 15, "not a feed-forward pipeline: a register feeds itself"),
        (4, UnsupportedError, 16, "not a feed-forward pipeline: a register feeds itself"),
        (5, UnsupportedError, 17, "a register has an enable or a reset that is no port"),
        (6, UnsupportedError, 19, "falling edge"),
        (7, UnsupportedError, 20, "operands arrive here 0 and 1 registers deep"),
        (8, InputError, 21, "a latch is inferred"),
        (9, InputError, 22, "a combinational loop passes here"),
        (10, InputError, 8, "net r is used but never driven"),
        (11, InputError, 2, "bit 0 of result is undefined (x)"),
        (14, UnsupportedError, 2, "bits of result are 1 and 2 registers deep"),
    ],
)
def test_what_is_no_pipeline(
    pipelines: Core, kind: int, error: type, line: int, message: str
) -> None:
    with pytest.raises(error) as caught:
        measure_latency(pipelines.instance({"KIND": kind}))
    assert f"pipelines.sv:{line}: pipelines" in str(caught.value)
    assert message in str(caught.value)


def test_division_by_what_may_be_zero(pipelines: Core) -> None:
    with pytest.raises(UnsupportedError, match=r"pipelines.sv:25: .*division by what may be zero"):
        derive_models({"f": pipelines.instance({"KIND": 12})})


def test_declared_latency_is_compared_with_the_structure(pipelines: Core) -> None:
    with pytest.raises(InputError, match="declares a latency of 0 cycles.*structure has 1"):
        derive_models({"f": pipelines.instance({"KIND": 1})})


def test_every_latency_of_the_library_is_what_the_structure_has() -> None:
    instances = [load_core("fmul").instance({"LATENCY": depth}) for depth in range(7)]
    assert [measure_latency(instance) for instance in instances[:3]] == [0, 1, 2]
    assert all(isinstance(netlist, Netlist) for netlist in elaborate(instances))


def test_a_job_that_ends_yosys_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "bad.v").write_text(
        "module bad #(parameter P = 0)(input a, b, output y);\n"
        "generate if (P == 1) missing u(a, b, y); else assign y = a; endgenerate\nendmodule\n"
    )
    core = core_from_verilog([tmp_path / "bad.v"])
    good = parse_instance("fmax")
    results = elaborate([core.instance({"P": 1}), good, core.instance(), core.instance({"P": 1})])
    assert [isinstance(result, AsnetError) for result in results] == [True, False, False, True]


def test_wrong_port_widths_and_names(tmp_path: Path) -> None:
    text = (Path(load_core("fmax").path or "").parent / "core.toml").read_text()
    for old, new, message in (
        ('result = "result_o"', 'result = "y_o"', "no port 'y_o' (result)"),
        ('a = "a_i"', 'a = "result_o"', "key 'ports' gives port 'result_o' two roles"),
        ('clock = "clk_i"', 'clock = "clock_i"', "no port 'clock_i' (clock)"),
    ):
        folder = tmp_path / str(len(message))
        (folder / "fmax").mkdir(parents=True)
        (folder / "common").symlink_to(Path(load_core("fmax").path or "").parents[1] / "common")
        for source in Path(load_core("fmax").path or "").parent.glob("*.sv"):
            (folder / "fmax" / source.name).write_text(source.read_text())
        (folder / "fmax" / "core.toml").write_text(text.replace(old, new))
        with pytest.raises(InputError) as caught:
            measure_latency(load_core(folder / "fmax").instance())
        assert message in str(caught.value)
    (tmp_path / "w.v").write_text(
        "module w(input [7:0] a, b, output [7:0] y); assign y = a; endmodule"
    )
    (tmp_path / "core.toml").write_text(
        'name = "w"\nmodule = "w"\nop = "mulf"\nsources = ["w.v"]\nlatency_cycles = 0\n'
        '[ports]\na = "a"\nb = "b"\nresult = "y"\n'
    )
    with pytest.raises(InputError, match=r"w.v:1: w: port a has 8 bits, expected 32"):
        measure_latency(load_core(tmp_path / "core.toml").instance())


def test_the_last_netlists_are_kept_each_for_its_caller(tmp_path, monkeypatch) -> None:
    (tmp_path / "part.vh").write_text("`define PART a & b\n")
    (tmp_path / "part.v").write_text(
        '`include "part.vh"\n'
        "module part(input a, input b, output y);\nassign y = `PART;\nendmodule\n"
    )
    jobs_run = []
    run = run_jobs
    monkeypatch.setattr(
        elaborate_module, "run_jobs", lambda jobs, *rest: jobs_run.extend(jobs) or run(jobs, *rest)
    )

    def cells(instance: Instance) -> dict:
        (found,) = elaborate([instance])
        assert isinstance(found, Netlist)
        return found.module["cells"]

    instance = core_from_verilog([tmp_path / "part.v"]).instance()
    first = cells(instance)
    jobs_run.clear()
    second = cells(instance)
    assert second == first and not jobs_run
    second.clear()
    assert cells(instance) == first
    (tmp_path / "part.vh").write_text("`define PART a | b\n")
    other = core_from_verilog([tmp_path / "part.v"]).instance()
    assert {cell["type"] for cell in cells(other).values()} == {"$or"}


def test_what_is_kept_of_netlists_is_bounded() -> None:
    recent = _Recent(300)
    for key in range(9):
        recent.put(key, Netlist("top", {"top": {}}, {}))
    kept = [key for key in range(9) if recent.get(key) is not None]
    assert kept and kept == list(range(9 - len(kept), 9)) and len(kept) < 9


def test_what_is_done_with_netlists_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.v").write_text("module m(input a, b, output y); assign y = a; endmodule\n")
    monkeypatch.setattr(structure, "OWN_CPU_SECONDS", 0.2)
    monkeypatch.setattr(interface, "OWN_CPU_SECONDS", 0.2)
    core = core_from_verilog([tmp_path / "m.v"])

    def endless(*_: object) -> None:
        while True:
            pass

    monkeypatch.setattr(structure, "_check_ports", endless)
    (found,) = elaborate([core.instance()])
    assert isinstance(found, Netlist)
    with pytest.raises(
        ToolError, match=r"m\.v: looking at its netlist took longer than 0\.2 s of p"
    ):
        remove_registers(found, core.instance())
    monkeypatch.setattr(interface, "_clock_bits", endless)
    (tmp_path / "m.v").write_text("module m(input a, b, output y); assign y = b; endmodule\n")
    with pytest.raises(ToolError, match=r"m\.v: looking at its modules took longer than"):
        core_from_verilog([tmp_path / "m.v"])


def test_modules_that_instantiate_themselves_twice(tmp_path: Path) -> None:
    # A tree of 64 leaves, with a register on every level: its clock is that of any level.
    (tmp_path / "tree.v").write_text(
        "module tree #(parameter N = 64)(input ck, input [N-1:0] x, output reg y);\n"
        "generate if (N == 1) always @(posedge ck) y <= x;\n"
        "else begin : g\n"
        "  wire l, r;\n"
        "  tree #(N / 2) low(ck, x[N/2-1:0], l); tree #(N / 2) high(ck, x[N-1:N/2], r);\n"
        "  always @(posedge ck) y <= l ^ r;\nend endgenerate\nendmodule\n"
        "module top(input ck, input [31:0] a, b, output y); tree u(ck, {a, b}, y); endmodule\n"
    )
    core = core_from_verilog([tmp_path / "tree.v"], top="top")
    assert core.ports.clock == "ck"
    assert core.instance().latency == 7
