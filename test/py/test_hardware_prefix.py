# SPDX-License-Identifier: Apache-2.0
"""Two networks as parts of one design: no name clashes, and each finds its ROMs."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stream_networks

from asnet_mlir.binding import Binding
from asnet_mlir.cli import main as cli
from asnet_mlir.hardware import generate
from asnet_mlir.hardware.bundle import core_data
from asnet_mlir.hardware.bundle.manifest import read_manifest
from asnet_mlir.support import processes, verilator
from asnet_mlir.support.tools import yosys_program

#: Every word goes to both networks; an answer of the first is followed by one of the second.
BOTH = """\
module both (
  input  logic        clk, rst,
  input  logic [31:0] s_axis_tdata,
  input  logic        s_axis_tvalid, s_axis_tlast,
  output logic        s_axis_tready,
  output logic [31:0] m_axis_tdata,
  output logic        m_axis_tvalid, m_axis_tlast, m_axis_tuser,
  input  logic        m_axis_tready,
  output logic        frame_error,
  input  logic        frame_error_clear
);
  logic [1:0][31:0] data;
  logic [1:0] ready, valid, last, user, error;
  logic second;
  always_ff @(posedge clk) begin
    if (rst) second <= 1'b0;
    else if (m_axis_tvalid && m_axis_tready && last[second]) second <= !second;
  end
  assign s_axis_tready = &ready;
  assign m_axis_tdata = data[second];
  assign m_axis_tvalid = valid[second];
  assign m_axis_tlast = second && last[1];
  assign m_axis_tuser = user[second];
  assign frame_error = |error;
  one #(.RomFolder("ROMS_ONE")) u_one (
    .clk, .rst, .s_axis_tdata, .s_axis_tvalid(s_axis_tvalid && ready[1]), .s_axis_tlast,
    .s_axis_tready(ready[0]), .m_axis_tdata(data[0]), .m_axis_tvalid(valid[0]),
    .m_axis_tlast(last[0]), .m_axis_tuser(user[0]), .m_axis_tready(m_axis_tready && !second),
    .frame_error(error[0]), .frame_error_clear
  );
  two #(.RomFolder("ROMS_TWO")) u_two (
    .clk, .rst, .s_axis_tdata, .s_axis_tvalid(s_axis_tvalid && ready[0]), .s_axis_tlast,
    .s_axis_tready(ready[1]), .m_axis_tdata(data[1]), .m_axis_tvalid(valid[1]),
    .m_axis_tlast(last[1]), .m_axis_tuser(user[1]), .m_axis_tready(m_axis_tready && second),
    .frame_error(error[1]), .frame_error_clear
  );
endmodule
"""


def products(seed: int) -> Any:
    """A network of three products; its name and the names in it are the same for all seeds."""
    parameters = stream_networks.weights(seed, w=(3,))
    return stream_networks.network(lambda x, p: x * p["w"], (3,), parameters, "products")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prefix")
    cores = Binding.parse(["mulf=fmul_trunc:P=20,LATENCY=1"])
    generate(products(1), cores, output=folder / "one", prefix="one")
    generate(products(2), output=folder / "two", prefix="two", style="stream")
    return folder


def test_all_names_begin_with_the_prefix(bundles: Path) -> None:
    for name in ("one", "two"):
        folder = bundles / name
        assert read_manifest(folder)["top"] == name
        defined = [
            (module, path)
            for path in [*folder.glob("rtl/*.sv"), *folder.glob("cores/*"), *folder.glob("tb/*.sv")]
            for module in re.findall(r"^module (\w+)", path.read_text(), re.M)
        ]
        assert len(defined) > 6 and (name, folder / "rtl" / f"{name}.sv") in defined
        for module, path in defined:
            assert module == name or module.startswith(f"{name}_"), path
            assert path.stem == module or path.parent.name == "tb", path
        assert all(path.name.startswith(f"{name}_") for path in folder.glob("rom/*"))
        assert (folder / f"{name}.core").is_file()
        for path in folder.glob("rtl/*.sv"):  # what a header refers to is there
            for listing in re.findall(r"\w+\.lst", path.read_text()):
                assert (folder / "rtl" / listing).is_file(), path
    assert "asnet:network:one:" in (bundles / "one" / "one.core").read_text()


def test_two_networks_in_one_design_give_the_words_of_each(bundles: Path, tmp_path: Path) -> None:
    """Linted and simulated in a folder that is none of theirs."""
    text = BOTH.replace("ROMS_ONE", str(bundles / "one" / "rom"))
    (tmp_path / "both.sv").write_text(text.replace("ROMS_TWO", str(bundles / "two" / "rom")))
    sources = [
        str(bundles / name / file)
        for name in ("one", "two")
        for file in (bundles / name / "filelist.f").read_text().split()
    ]
    sources.append("both.sv")
    lint = str(bundles / "one" / "tb" / "lint.vlt")
    done = subprocess.run(
        [verilator._binary(), "--lint-only", "-Wall", "--no-timing", "--top", "both", lint]
        + sources,
        cwd=tmp_path,
        env={**os.environ, "VERILATOR_ROOT": str(verilator._root())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verilator.translate(
        sources,
        top="both",
        prefix="Vtop",
        into=tmp_path / "obj",
        cwd=tmp_path,
        options=["-Wno-style"],
        purpose="both",
    )
    parts = [*sorted((tmp_path / "obj").glob("Vtop*.cpp")), bundles / "one" / "tb" / "bench.cpp"]
    (tmp_path / "all.cpp").write_text("".join(f'#include "{part}"\n' for part in parts))
    verilator.compile_model(
        [tmp_path / "all.cpp"],
        tmp_path / "bench",
        level="-O0",
        includes=[tmp_path / "obj"],
        cwd=tmp_path,
        purpose="both",
    )
    vectors = [bundles / name / "tb" / "vectors" for name in ("one", "two")]
    first, second = ((folder / "output.hex").read_text().split() for folder in vectors)
    answers = np.stack([np.reshape(words, (5, 3)) for words in (first, second)], axis=1)
    assert first != second
    (tmp_path / "expected.hex").write_text("\n".join(answers.reshape(-1)) + "\n")
    inputs = vectors[0] / "input.hex"
    assert inputs.read_text() == (vectors[1] / "input.hex").read_text()
    for seed in ("0", "1"):
        done = subprocess.run(
            ["./bench", "--expect", "expected.hex", inputs, "out.bin", "5", "3", "6", seed]
            + ["9999", "0"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "PASS: 30 words of 5 images" in done.stdout


@pytest.mark.parametrize("name", ["one", "two"])
def test_plain_yosys_reads_a_bundle_file_by_file(bundles: Path, tmp_path: Path, name: str) -> None:
    files = (bundles / name / "filelist.f").read_text().split()
    commands = [f"read_verilog -sv {file}" for file in reversed(files)]
    commands.append(f"hierarchy -check -top {name}")
    (tmp_path / "commands.json").write_text(json.dumps(commands))
    processes.run_program(
        yosys_program(), [tmp_path / "commands.json"], purpose="reading", cwd=bundles / name
    )


def test_no_file_speaks_of_what_is_not_there(bundles: Path) -> None:
    for name in ("one", "two"):
        for path in (bundles / name).rglob("*"):
            if path.is_file() and path.suffix not in (".npz", ".mlir", ".json"):
                text = path.read_text()
                assert "docs/" not in text and "asnet_mlir/" not in text, path
                if path.parent.name == "rtl" and path.suffix == ".sv":
                    assert "_GEN" not in text, path


def test_a_table_of_a_core_has_a_name_of_its_own_and_a_folder() -> None:
    """Without a parameter in the core, a macro names the folder."""
    text = 'module t;\n  initial $readmemh("rom/t_12.hex", words);\nendmodule\n'
    assert core_data.name_in_design("rom/t_12.hex", "one") == "rom/one_t_12.hex"
    assert core_data.in_design(text, ["rom/other.hex"], "one") == text
    assert core_data.in_design(text, ["rom/other.hex", "rom/t_12.hex"], "one") == (
        '`ifndef one_ROM_FOLDER\n`define one_ROM_FOLDER "rom"\n`endif\nmodule t;\n'
        '  initial $readmemh({`one_ROM_FOLDER, "/one_t_12.hex"}, words);\nendmodule\n'
    )


@pytest.mark.parametrize("prefix", ["", "1st", "a-b", "module", "größe"])
def test_a_prefix_is_an_identifier(tmp_path: Path, capfd: Any, prefix: str) -> None:
    command = ["generate", "classification_mnist", "--prefix", prefix, "-o", str(tmp_path / "b")]
    assert cli.main(command) == 2
    assert f"'{prefix}' is" in capfd.readouterr().err
    assert not (tmp_path / "b").exists()
