# SPDX-License-Identifier: Apache-2.0
"""Models: the native proof and its near misses, and the two strategies against each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asnet_mlir.cores import Core, load_core, parse_instance
from asnet_mlir.cores.checks.check import corner_values, differing, random_pairs
from asnet_mlir.cores.models.derive import derive_models
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.models.native import native_masks
from asnet_mlir.cores.reading.from_verilog import core_from_verilog
from asnet_mlir.errors import InputError

DATA = Path(__file__).parent / "data"


def neighbour(files: list[Path]) -> Core:
    return core_from_verilog(
        files,
        top="neighbours",
        op="mulf",
        ports={"a": "a_i", "b": "b_i", "result": "result_o", "clock": "clk_i"},
        latency="LATENCY",
    )


@pytest.fixture(scope="module")
def neighbours() -> Core:
    return neighbour([DATA / "neighbours.sv", *(s.path for s in load_core("fmul").sources)])


def test_wrappers_of_exact_cores_are_proved_native() -> None:
    full = (1 << 32) - 1
    for name in ("fmul_trunc", "fdiv_trunc", "fadd_trunc"):
        for p in (0, 7, 22):
            mask = full ^ ((1 << p) - 1)
            assert native_masks(load_core(name).instance({"P": p})) == (mask, mask)
    for name in ("fadd", "fsub", "fmul", "fdiv"):
        assert native_masks(load_core(name).instance({"LATENCY": 1})) == (full, full)


def test_the_users_own_wrapper_is_proved_native(neighbours: Core) -> None:
    assert native_masks(neighbours.instance({"KIND": 0})) == (0xFFFFF000, 0xFFFFF000)


@pytest.mark.parametrize("kind", range(1, 7))
def test_near_misses_are_not(neighbours: Core, kind: int) -> None:
    instance = neighbours.instance({"KIND": kind})
    assert native_masks(instance) is None
    with pytest.raises(InputError, match="nothing proves"):
        derive_models({"f": instance}, "native")
    if kind == 3:
        assert derive_models({"f": instance})["f"].strategy != "native"


def test_an_fmul_that_is_not_the_librarys_is_not_native(tmp_path: Path) -> None:
    files = [DATA / "neighbours.sv"]
    for source in load_core("fmul").sources:
        text = source.text
        if source.path.name == "asnet_fmul.sv":
            assert "32'h7FC00000" in text
            text = text.replace("32'h7FC00000", "32'h7FC00001")
        files.append(tmp_path / source.path.name)
        files[-1].write_text(text)
    assert native_masks(neighbour(files).instance()) is None


def test_macros_in_the_wrapper_forbid_the_proof(tmp_path: Path) -> None:
    (tmp_path / "n.sv").write_text("`define X 1\n" + (DATA / "neighbours.sv").read_text())
    files = [tmp_path / "n.sv", *(s.path for s in load_core("fmul").sources)]
    assert native_masks(neighbour(files).instance()) is None


@pytest.mark.parametrize("name", ["fmul_trunc:P=0", "fmul_trunc:P=13", "fdiv_trunc:P=20", "fadd",
                                  "fsub", "fmax", "fmin"])  # fmt: skip
def test_the_two_strategies_agree(name: str) -> None:
    instance = parse_instance(name)
    models = {s: derive_models({s: instance}, s)[s].text for s in ("native", "word")}
    kernel = compile_elementwise(models)
    corners = np.array(
        [v for v in corner_values() if not 0x7F800000 < (v & 0x7FFFFFFF) < 0x7FC00000]
    )
    grid = [side.ravel() for side in np.meshgrid(corners, corners)]
    a, b = (np.concatenate(pair) for pair in zip(grid, random_pairs(200_000, 3), strict=True))
    # A signalling NaN never reaches a model: arithmetic makes quiet ones, data are read as quiet.
    a, b = (np.where((v & 0x7FC00000) == 0x7F800000, v & 0xFF800000, v) for v in (a, b))
    native, word = (
        kernel(symbol, a.view(np.float32), b.view(np.float32)).view(np.uint32)
        for symbol in ("native", "word")
    )
    assert differing(native, word, nan_equals_nan=True).size == 0


def test_a_batch_keeps_symbols_apart() -> None:
    models = derive_models({"x": parse_instance("fmul"), "y": parse_instance("fmul_trunc:P=4")})
    for symbol, model in models.items():
        assert model.symbol == symbol
        assert f"func.func private @{symbol}(" in model.text


def test_integer_functions_keep_their_widths() -> None:
    core = core_from_verilog([DATA / "integer.v"])
    text = derive_models({"f": core.instance()})["f"].text
    assert "(%arg0: i8, %arg1: i8) -> i16" in text
    a, b = (side.ravel().astype(np.uint8) for side in np.meshgrid(range(256), range(256)))
    result = compile_elementwise({"f": text})("f", a, b)
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, a.astype(np.uint16) * (b & 0xFE))


def test_a_circuit_is_derived_once_whatever_it_is_taken_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of circuits is read without operations, which are inferred in between."""
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "m.v"
    path.write_text("module m(input [2:0] a, b, output [5:0] y); assign y = a * b & 62; endmodule")
    (bare,) = derive_models({"m": core_from_verilog([path]).instance()}).values()
    monkeypatch.setattr("asnet_mlir.cores.models.derive._derive", None)
    for how in ({"op": "muli"}, {"op": "muli", "signed": True}, {"op": "addi"}):
        (model,) = derive_models({"m": core_from_verilog([path], **how).instance()}).values()
        assert model == bare


def test_tables_are_read(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, 64)
    (tmp_path / "table.hex").write_text("\n".join(f"{value:02x}" for value in values))
    (tmp_path / "t.v").write_text(
        "module t(input [2:0] a, input [2:0] b, output [7:0] y);\nreg [7:0] rom [0:63];\n"
        'initial $readmemh("table.hex", rom);\nassign y = rom[{a, b}];\nendmodule\n'
    )
    text = derive_models({"f": core_from_verilog([tmp_path / "t.v"]).instance()})["f"].text
    a, b = (side.ravel().astype(np.uint8) for side in np.meshgrid(range(8), range(8)))
    result = compile_elementwise({"f": text})("f", a, b)
    np.testing.assert_array_equal(result, values[a.astype(int) * 8 + b])


def test_cores_derived_together_get_their_own_models(monkeypatch, tmp_path):
    """In threads, in any order: each has the text that it has alone."""
    core = load_core("truncated")
    instances = {f"cut{k}": core.instance({"N": 6, "CUT": k}) for k in (1, 3, 5)}
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "together"))
    together = derive_models(instances, "word")
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "alone"))
    alone = {k: derive_models({k: one}, "word")[k] for k, one in instances.items()}
    assert {k: model.text for k, model in together.items()} == {k: m.text for k, m in alone.items()}
    assert len({model.text.replace(k, "f") for k, model in together.items()}) == 3
