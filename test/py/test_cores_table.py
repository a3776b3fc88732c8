# SPDX-License-Identifier: Apache-2.0
"""Tables as cores, and read-only memories in Verilog: read, checked, used where a core is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.cores import core_from_verilog, derive_models, parse_instance
from asnet_mlir.cores.checks.check import check
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.reading.description import describe, instance_from_description
from asnet_mlir.cores.reading.table import core_from_table, read_table
from asnet_mlir.errors import InputError
from asnet_mlir.exploration import load_constraints
from asnet_mlir.hardware.bundle.core_data import placed

A, B = np.arange(16)[:, None], np.arange(16)[None, :]
#: a times b without the lowest bit of a: its transpose is another one.
ASYMMETRIC = (A & ~1) * B
SYMMETRIC = (A * B) & ~3


def written(folder: Path, table: np.ndarray) -> list[Path]:
    """Write one table in every way, rows by lines, nested or one after the other."""
    rows = table.tolist()
    flat = [value for row in rows for value in row]
    texts = {
        "t.csv": "# a, b\n" + "\n".join(",".join(map(str, row)) for row in rows),
        "t.tsv": "\n".join("\t".join(map(hex, row)) for row in rows),
        "t.txt": "\n".join(" ".join(map(str, row)) for row in rows) + "\n",
        "one.txt": "\n".join(map(str, flat)),
        "t.h": "/* x */ const uint8_t t[16][16] = {\n"
        + ",\n".join("{" + ", ".join(f"{v}u" for v in row) + "}" for row in rows)
        + "}; // end\n",
        "flat.h": "static int t[256] = {" + ",".join(map(hex, flat)) + ",};",
        "t.hex": "// words\n@0\n" + "\n".join(f"{v:02x}" for v in flat),
        "t.mem": " ".join(f"{v:x}" for v in flat),
    }
    paths = []
    for name, text in texts.items():
        paths.append(folder / name)
        paths[-1].write_text(text)
    for name, array in (("t.npy", table), ("flat.npy", table.ravel().astype(np.uint8))):
        paths.append(folder / name)
        np.save(paths[-1], array)
    return paths


def test_every_format_gives_one_table(tmp_path):
    for path in written(tmp_path, ASYMMETRIC):
        assert (read_table(path) == ASYMMETRIC).all(), path


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "1,2\n3\n", r"t.csv:2: 1 numbers in this row, 2 in the first one"),
        ("t.csv", "1,2\n3,nan\n", r"t.csv:2: 'nan' is no integer"),
        ("t.txt", "1 2\n3 4.5\n", r"t.txt:2: 4.5 is a float; a table holds integers"),
        ("t.txt", "1 2\n3 4e1\n", r"t.txt:2: 4e1 is a float"),
        ("t.h", "int t[2][2] = {{00, 7},\n {07, 010}};", r"t.h:2: 010 is octal in C"),
        ("t.txt", "1 2 3\n" * 3, r"3 x 3 numbers; rows and columns are powers of two"),
        ("t.txt", "1\n" * 60, r"60 numbers; a table has 2\^N x 2\^N \(64\)"),
        ("t.txt", "", r"holds no number"),
        ("t.csv", "99999999999,1\n1,1\n", r"t.csv:1: 99999999999 has more than 32 bits"),
        ("h.csv", "0,0,1\n0,1,2\n1,3,4\n", r"remove headings of rows and columns"),
        ("t.h", "int t[2][2] = {{1,2},{3}};", r"1 numbers in row 1, 2 in the first one"),
        ("t.h", "int t[2][2] = {{1,2},{3,4}", r"the initialiser of 't' does not end"),
        ("t.h", "int t[4] = {1,\n2,3.0,4};", r"t.h:2: 3.0 is a float"),
        ("t.h", "int t[8] = {1,2,3,4};", r"'t' is declared 8 but has 4 numbers"),
        ("t.h", "int t[2];", r"no array with an initialiser"),
        ("t.h", "int t[]={1,2,3,4}, u[]={1};", r"several arrays are initialised: t, u"),
        ("t.hex", "00 01 xx 03", r"t.hex:1: 'xx' is no hexadecimal number"),
        ("t.hex", "@1 00 01 02", r"no word for address 0x0"),
        ("t.hex", "0 1 2 3 @3 0", r"address 0x3 is given twice"),
    ],
)
def test_a_bad_table_is_one_clear_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_table(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((4, 4)), "holds float64; a table holds integers"),
        (np.full((4, 4), np.nan), "holds float64"),
        (np.ones((4, 4, 4), int), "an array of 3 dimensions; a table has two"),
        (np.full((4, 4), 1 << 40), "holds a number of more than 32 bits"),
        (np.array([[None]]), "no array: Object arrays"),
    ],
)
def test_a_bad_array(tmp_path, array, message):
    np.save(tmp_path / "t.npy", array)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / "t.npy")


def test_a_result_that_does_not_fit(tmp_path):
    table = SYMMETRIC.copy()
    table[3, 5] = 256
    np.save(tmp_path / "t.npy", table)
    with pytest.raises(InputError, match="256 in row 3, column 5 does not fit into the 8 bits"):
        core_from_table(tmp_path / "t.npy", "muli", {"ROW_B": 0})


def model_of(instance, a, b):
    kernel = compile_elementwise(derive_models({"m": instance}))
    return kernel("m", a.astype(np.uint8), b.astype(np.uint8))


PAIRS = tuple(values.ravel() for values in np.meshgrid(np.arange(16), np.arange(16)))


def test_the_order_of_operands_is_stated(tmp_path):
    path = tmp_path / "t.npy"
    np.save(path, ASYMMETRIC)
    with pytest.raises(InputError, match=r"differs from its transpose in .* ROW_B=0 \(a\)"):
        parse_instance(str(path), op="muli")
    a, b = PAIRS
    for row_b, expected in ((0, ASYMMETRIC[a, b]), (1, ASYMMETRIC[b, a])):
        instance = parse_instance(f"{path}:ROW_B={row_b}", op="muli")
        assert (model_of(instance, a, b) == expected).all()
        # What a binding says of it makes it again.
        again = instance_from_description(
            (value := describe(instance)), "muli", value["parameters"]
        )
        assert again.content_hash == instance.content_hash
    # A table that is its own transpose leaves no choice.
    np.save(path, SYMMETRIC)
    assert (model_of(parse_instance(str(path), op="muli"), a, b) == SYMMETRIC[a, b]).all()


def test_signs_are_stated(tmp_path):
    path = tmp_path / "t.npy"
    numbers = np.arange(-8, 8)
    ascending = numbers[:, None] * numbers[None, :]
    np.save(path, ascending)
    with pytest.raises(InputError, match="holds negative numbers; .* SIGNED=2 fits muli best"):
        parse_instance(str(path), op="muli")
    with pytest.raises(InputError, match="SIGNED=0 says that it is unsigned"):
        parse_instance(f"{path}:SIGNED=0", op="muli")
    a, b = PAIRS
    exact = (((a ^ 8) - 8) * ((b ^ 8) - 8)) & 0xFF
    instance = parse_instance(f"{path}:SIGNED=2", op="muli")
    assert instance.core.signed and (model_of(instance, a, b) == exact).all()
    # The same in the order of the codes, as codes of 8 bits: nothing negative in it.
    np.save(path, np.roll(ascending, (8, 8), (0, 1)) & 0xFF)
    with pytest.raises(InputError, match="may be signed; .* SIGNED=1 fits muli best"):
        parse_instance(str(path), op="muli")
    instance = parse_instance(f"{path}:SIGNED=1", op="muli")
    assert instance.core.signed and (model_of(instance, a, b) == exact).all()
    assert not parse_instance(f"{path}:SIGNED=0", op="muli").core.signed
    assert core_from_table(path, "muli", signed=True) == instance.core


def test_a_table_of_two_widths(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(",".join(str(r * c) for c in range(4)) for r in range(16)))
    a, b = np.arange(4).repeat(16), np.tile(np.arange(16), 4)
    with pytest.raises(InputError, match="ROW_B"):
        parse_instance(str(path), op="muli")
    assert (model_of(parse_instance(f"{path}:ROW_B=1", op="muli"), a, b) == a * b).all()
    assert (model_of(parse_instance(f"{path}:ROW_B=0", op="muli"), b, a) == a * b).all()


def test_a_table_passes_its_check_against_two_simulators(tmp_path):
    np.save(tmp_path / "t.npy", ASYMMETRIC)
    report = check([parse_instance(f"{tmp_path}/t.npy:ROW_B=1", op="muli")])[0]
    assert report.passed and report.vectors == 256 and len(report.simulators) == 2


def test_a_large_rom_in_verilog_is_read_in_seconds(tmp_path):
    rng = np.random.default_rng(0)
    words = rng.integers(0, 1 << 16, 1 << 16, np.uint16)
    (tmp_path / "words.hex").write_text("\n".join(f"{word:04x}" for word in words.tolist()))
    (tmp_path / "rom.v").write_text(
        "module rom(input clk, input [7:0] a, input [7:0] b, output reg [15:0] r, s);\n"
        "reg [15:0] m [0:65535];\n"
        'initial $readmemh("words.hex", m);\n'
        # Two ports, a register deeper one after the other.
        "reg [15:0] q; always @(posedge clk) begin q <= m[{a, b}]; r <= m[q]; end\n"
        "endmodule\n".replace(", s)", ")")
    )
    instance = core_from_verilog([tmp_path / "rom.v"]).instance()
    assert instance.latency == 2
    a, b = (rng.integers(0, 256, 5000, np.uint8) for _ in "ab")
    got = compile_elementwise(derive_models({"m": instance}))("m", a, b)
    assert (got == words[words[a.astype(int) << 8 | b]]).all()


def test_a_table_is_a_file_of_the_bundle(tmp_path):
    """The whole way is in test/deep/test_tables.py."""
    np.save(tmp_path / "t.npy", ASYMMETRIC)
    instance = parse_instance(f"{tmp_path}/t.npy:ROW_B=1", op="mulf")
    assert instance.core.unit is not None and "a ROM of 256 words" in instance.core.summary
    sources = [(source.path.name, source.text) for source in instance.core.sources]
    files, ((name, text),) = placed(instance.core, sources)
    assert text.split() == [f"{value:02x}" for value in ASYMMETRIC.ravel()]
    own = dict(files)["table_t.sv"]
    assert f'$readmemh("{name}", words)' in own and str(tmp_path) not in own
    assert name.startswith("rom/table_t_")


def test_a_table_in_constraints(tmp_path):
    np.save(tmp_path / "t.npy", ASYMMETRIC)
    entry = {"op": "mulf", "core": "t.npy", "parameters": {"ROW_B": [0, 1]}}
    (tmp_path / "c.json").write_text(json.dumps({"cores": [entry]}))
    choices = load_constraints(tmp_path / "c.json").choices["mulf"]
    assert choices[0] is None and [dict(c.parameters)["ROW_B"] for c in choices[1:]] == [0, 1]
    binding = Binding.parse([f"mulf={tmp_path}/t.npy:ROW_B=1"])
    (again,) = Binding.from_json(json.loads(json.dumps(binding.to_json()))).rules
    assert again.instance.content_hash == binding.rules[0].instance.content_hash
    assert again.instance.label == "table_t_mulf_f32:ROW_B=1"


def test_hardware_has_it_in_block_ram(tmp_path):
    rows = np.arange(64)
    np.save(tmp_path / "t.npy", rows[:, None] * rows[None, :])
    found = asnet_mlir.synthesize(f"{tmp_path}/t.npy", route=False)
    assert found["brams"] == 3 and found["luts"] < 50  # 4,096 words of 12 bits
