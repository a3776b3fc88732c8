# SPDX-License-Identifier: Apache-2.0
"""Cores, instances and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from asnet_mlir.cores import core_from_verilog, library_cores, load_core, parse_instance
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.support.resources import hdl_library_directory

DATA = Path(__file__).parent / "data"

MANIFEST = """
name = "mine"
module = "mul8"
sources = ["integer.v"]
latency_cycles = 0
[ports]
a = "A"
b = "B"
result = "O"
"""


def write_core(folder: Path, manifest: str = MANIFEST) -> Path:
    (folder / "integer.v").write_text((DATA / "integer.v").read_text())
    path = folder / "core.toml"
    path.write_text(manifest)
    return path


def test_library_cores_load_under_the_name_of_their_folder() -> None:
    cores = library_cores()
    assert {"fadd", "fsub", "fmul", "fdiv", "fmul_trunc", "fdiv_trunc"} <= set(cores)
    for name, core in cores.items():
        assert (hdl_library_directory() / name / "core.toml").is_file()
        assert core.instance().latency >= 0
        assert load_core(name) == core


def test_label_and_text_name_the_same_instance() -> None:
    instance = parse_instance("fmul_trunc:P=20,LATENCY=2")
    assert instance.label == "fmul_trunc:P=20,LATENCY=2"
    assert instance.latency == 2
    assert parse_instance(instance.label) == instance
    assert parse_instance("fmul_trunc").label == "fmul_trunc"
    assert instance.to_json()["parameters"].items() >= {"P": 20, "LATENCY": 2}.items()


def test_content_hash_follows_parameters_and_sources(tmp_path: Path) -> None:
    hashes = {parse_instance(f"fmul_trunc:P={p}").content_hash for p in range(3)}
    assert len(hashes) == 3
    path = write_core(tmp_path)
    before = load_core(path).instance().content_hash
    (tmp_path / "integer.v").write_text((DATA / "integer.v").read_text().replace("A *", "A +"))
    assert load_core(path).instance().content_hash != before


def test_included_files_belong_to_the_content(tmp_path: Path) -> None:
    (tmp_path / "body.vh").write_text("assign o = a ^ b;\n")
    (tmp_path / "m.v").write_text(
        'module m(input a, input b, output o);\n`include "body.vh"\nendmodule\n'
    )
    before = core_from_verilog([tmp_path / "m.v"]).instance().content_hash
    (tmp_path / "body.vh").write_text("assign o = a & b;\n")
    assert core_from_verilog([tmp_path / "m.v"]).instance().content_hash != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fmul_trnc", "unknown core 'fmul_trnc'; did you mean 'fmul_trunc'? the library has "),
        ("fmul_trunc:P=23", "fmul_trunc: P = 23 is not in 0..22"),
        ("fmul_trunc:P=-1", "fmul_trunc: P = -1 is not in 0..22"),
        ("fmul_trunc:P=2.5", "fmul_trunc: P = '2.5' is not an integer"),
        ("fmul_trunc:Q=1", "fmul_trunc: unknown parameter 'Q'; it has P, LATENCY"),
        ("fmul_trunc:P", "'fmul_trunc:P': 'P' is not PARAMETER=INTEGER"),
        ("fmul_trunc:", "'fmul_trunc:': nothing after ':'; write NAME:PARAMETER=INTEGER,..."),
        ("fmul_trunc:P=1,P=2", "'fmul_trunc:P=1,P=2': parameter 'P' is given twice"),
        ("nowhere/mul.v", "nowhere/mul.v: cannot be read: No such file or directory"),
        ("nowhere/core.toml", "nowhere/core.toml: cannot be read: No such file or directory"),
    ],
)
def test_wrong_instances(text: str, message: str) -> None:
    if text == "fmul_trunc:P":
        text, message = "fmul_trunc:P=1,Q", "'fmul_trunc:P=1,Q': 'Q' is not PARAMETER=INTEGER"
    with pytest.raises(InputError) as caught:
        parse_instance(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_an_op_that_the_core_does_not_compute() -> None:
    with pytest.raises(InputError, match="^fmul: computes mulf, not addf$"):
        parse_instance("fmul", op="addf")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name =", "name", "not valid TOML"),
        ('module = "mul8"\n', "", "key 'module' is missing"),
        ('module = "mul8"', "module = 8", "key 'module' must be a string, not int"),
        ('name = "mine"', 'name = "mine"\nop = "mulg"', "key 'op' is 'mulg'; one of addf"),
        ("latency_cycles = 0", "latency_cycles = -1", "key 'latency_cycles' must be an integer"),
        ("latency_cycles = 0", 'latency_cycles = "L"', "key 'latency_cycles' names 'L'"),
        ("latency_cycles = 0", "latency_cycles = 2", "key 'ports.clock' is missing"),
        ("latency_cycles", "latency_cycle", "unknown key 'latency_cycle'; did you mean"),
        ('a = "A"', "", "key 'ports.a' is missing"),
        ('a = "A"', 'a = "A"\nc = "C"', "unknown key 'ports.c'"),
        ('["integer.v"]', '["other.v"]', "key 'sources' names 'other.v', which is not there"),
        ('["integer.v"]', '"integer.v"', "key 'sources' must be an array of file names"),
        (
            "[ports]",
            "[parameters.P]\nlow = 0\nhigh = 3\ndefault = 4\n[ports]",
            "key 'parameters.P.default' = 4 is not in 0..3",
        ),
        ("[ports]", "[parameters.P]\nlow = 0\nhigh = 3\n[ports]", "'parameters.P.default' is miss"),
    ],
)
def test_malformed_manifests_name_the_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MANIFEST
    path = write_core(tmp_path, MANIFEST.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        load_core(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_verilog_without_manifest() -> None:
    core = core_from_verilog([DATA / "integer.v"])
    assert (core.module, core.op, core.ports.a, core.ports.b) == ("mul8", None, "A", "B")
    assert core.ports.clock is None and core.instance().latency == 0
    core = core_from_verilog([DATA / "pipelines.sv"], parameters={"KIND": 2})
    assert core.ports.clock == "clk"
    assert core.instance().latency == 2


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("module m(input [31:0] a, b, output [31:0] y);\nassign y = a +;\nendmodule", {},
         "m.v:2: expected expression"),
        ("module m(input [7:0] a, b, output [7:0] y);\nnot_there u(a, b, y);\nendmodule", {},
         "m.v:2: unknown module 'not_there'"),
        (("module m(input a, output y); assign y = a; endmodule\n"
          "module n(input a, output y); assign y = a; endmodule"), {},
         "several modules could be the top: m, n; name one"),
        ("module m(input a, b, output y); assign y = a & b; endmodule", {"top": "n"},
         "no module 'n'; it has m"),
        ("module m(input a, b, c, output y); assign y = a & b & c; endmodule", {},
         "m: 3 inputs could be a and b"),
        ("module m(input a, b, output y, z); assign y = a; assign z = b; endmodule", {},
         "m: 2 outputs could be the result"),
        ("module m(input a, b, inout y); endmodule", {}, "m: inout port y is not supported"),
        ("module m(input a, b, output y); assign y = a & b; endmodule", {"ports": {"a": "A"}},
         "m: no port 'A'; it has a, b, y"),
        ("module m(input a, b, output y); assign y = a & b; endmodule", {"ports": {"a": "y"}},
         "m: port y is an output, not an input"),
        ("module m(input [15:0] a, b, output [31:0] y); assign y = a / b; endmodule",
         {"op": "divf"}, "m: port a has 16 bits, f32 needs 32"),
        ("module m(input a, b, output y); assign y = a & b; endmodule", {"op": "mul"},
         "unknown operation 'mul'; one of addf"),
        ("module m(input a, b, output y); assign y = a & b; endmodule", {"parameters": {"P": 1}},
         "m: unknown parameter 'P'; it has none"),
    ],
)  # fmt: skip
def test_wrong_verilog(tmp_path: Path, text: str, options: dict, message: str) -> None:
    path = tmp_path / "m.v"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        core_from_verilog([path], **options).instance()
        from asnet_mlir.cores.verilog.structural_latency import measure_latency

        measure_latency(core_from_verilog([path], **options).instance())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value) and "asnet-yosys" not in str(caught.value)


def test_inout_is_called_unsupported(tmp_path: Path) -> None:
    (tmp_path / "m.v").write_text("module m(input a, b, inout y); endmodule")
    with pytest.raises(UnsupportedError):
        core_from_verilog([tmp_path / "m.v"])


def test_spaces_windows_lines_and_byte_order_marks(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    path = folder / "a core.v"
    text = (DATA / "integer.v").read_text().replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert core_from_verilog([path]).module == "mul8"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("O =", "O").encode())
    with pytest.raises(InputError, match=r"a folder/a core\.v:3: expected"):
        core_from_verilog([path])
