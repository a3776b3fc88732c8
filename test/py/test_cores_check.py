# SPDX-License-Identifier: Apache-2.0
"""Checks: they pass what is right, and above all fail what is wrong."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asnet_mlir.cores import (
    Instance,
    core_from_verilog,
    ensure_checked,
    load_core,
    parse_instance,
)
from asnet_mlir.cores.checks import check as check_module
from asnet_mlir.cores.checks import chunks, family_check
from asnet_mlir.cores.checks.check import (
    check,
    corner_values,
    differing,
    ieee_reference,
    random_pairs,
    typical_pairs,
)
from asnet_mlir.cores.simulation.simulation import RestlessError, SimulationError
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.support.cache import cache_directory

DATA = Path(__file__).parent / "data"
BITS = random_pairs(1000, 5)[0]


def test_comparator_accepts_equal_bits_and_nans() -> None:
    assert differing(BITS, BITS.copy(), nan_equals_nan=False).size == 0
    nans = np.array([0x7FC00000, 0x7F800001], np.uint32)
    other = np.array([0xFFC00000, 0x7FFFFFFF], np.uint32)
    assert differing(nans, other, nan_equals_nan=True).size == 0
    assert differing(nans, other, nan_equals_nan=False).size == 2


@pytest.mark.parametrize("nan_equals_nan", [True, False])
def test_comparator_rejects(nan_equals_nan: bool) -> None:
    values = np.arange(0x3F800000, 0x3F800000 + 100, dtype=np.uint32)
    sign, ulp, nan = values.copy(), values.copy(), values.copy()
    sign[3] ^= np.uint32(1 << 31)
    ulp[99] += np.uint32(1)
    nan[50] = 0x7FC00000
    for wrong, where in ((sign, [3]), (ulp, [99]), (nan, [50])):
        assert list(differing(values, wrong, nan_equals_nan=nan_equals_nan)) == where
        assert list(differing(wrong, values, nan_equals_nan=nan_equals_nan)) == where
    assert differing(values, np.roll(values, 1), nan_equals_nan=nan_equals_nan).size == 100
    zeros = np.array([0, 1 << 31], np.uint32)
    assert differing(zeros, zeros[::-1], nan_equals_nan=nan_equals_nan).size == 2


def test_reference() -> None:
    def f(op: str, a: int, b: int) -> int:
        return int(ieee_reference(op, np.array([a], np.uint32), np.array([b], np.uint32))[0])

    one, minus_zero, inf, nan = 0x3F800000, 1 << 31, 0x7F800000, 0xFFC12345
    assert f("addf", one, one) == 0x40000000
    assert f("mulf", inf, 0) == f("divf", 0, 0) == f("maxf", nan, one) == 0x7FC00000
    assert f("maxf", minus_zero, 0) == f("maxf", 0, minus_zero) == 0
    assert f("minf", minus_zero, 0) == f("minf", 0, minus_zero) == minus_zero
    assert f("maxf", 0xBF800000, 0xC0000000) == 0xBF800000
    assert f("minf", inf, one) == one
    assert f("mulf", 0x00000001, 0x3F000001) == 1  # subnormals are neither flushed nor zeroed


def test_operands_are_many_and_reproducible() -> None:
    corners = corner_values()
    assert len(set(corners.tolist())) == corners.size > 64
    for pairs in (random_pairs, typical_pairs):
        first, again, other = pairs(1003, 1), pairs(1003, 1), pairs(1003, 2)
        np.testing.assert_array_equal(first, again)
        assert (first[0] != other[0]).any()
        assert first[0].shape == first[1].shape == (1003,)


def test_library_passes() -> None:
    # One at full length; `make deep` has ten times as many for each of the library.
    names = ["fadd", "fsub", "fmul", "fmin", "fmul_trunc:P=1", "fmul_trunc:P=22"]
    reports = check([parse_instance(name) for name in names], random_vectors=50_000)
    full = check([parse_instance("fmax")])
    assert full[0].vectors >= 64 * 64 + 1_000_000
    for report in reports + full:
        assert report.passed, report.failures
        assert report.vectors >= 64 * 64 + 50_000
        assert report.simulators == ("verilator 5.052", "cxxrtl (yosys 0.70, slang)")
        assert report.simulator_vectors == dict.fromkeys(report.simulators, report.vectors)
        assert report.strategy == "native"
        assert set(report.metrics) == {
            "max_relative_error",
            "mean_relative_error",
            "error_probability",
        }
        assert (report.metrics["error_probability"] == 0) == ("P" not in report.label)
        json.dumps(report.to_json())
        assert report.summary().startswith(f"{report.label}: pass; native model, ")


def test_what_was_checked_is_kept_before_the_next_ones_begin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of many instances some are checked at a time: what interrupts the next loses nothing."""
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path))  # nothing is known yet
    asked: list[list[str]] = []

    def checked(instances: list[Instance], *_: Any) -> list[Any]:
        asked.append([instance.label for instance in instances])
        if len(asked) == 2 and not told:
            raise KeyboardInterrupt
        return [real([one], 100, 0, None)[0] for one in instances]

    real = check_module._check_all
    monkeypatch.setattr(check_module, "_check_all", checked)
    monkeypatch.setattr(check_module, "_TOGETHER", 2)
    core = load_core("truncated")
    instances = [core.instance({"N": 4, "CUT": cut}) for cut in range(3)]
    told: list[tuple[int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        check(instances, random_vectors=101)
    assert [len(labels) for labels in asked] == [2, 1]
    reports = check(
        instances, random_vectors=101, progress=lambda done, total: told.append((done, total))
    )
    assert asked[2:] == [[instances[2].label]] and told == [(2, 3), (3, 3)]
    assert [report.label for report in reports] == [one.label for one in instances]


def test_a_wrong_latency_is_found() -> None:
    core = dataclasses.replace(load_core("fmax"), latency_cycles=2, in_library=False)
    (report,) = check([core.instance({"LATENCY": 1})])
    assert report.status == "fail"
    assert report.failures == ("declares a latency of 2 cycles, its structure has 1",)


def wrapper(tmp_path: Path, change: str, exact: bool) -> Instance:
    """Return fmax behind a wrapper that changes its result."""
    (tmp_path / "w.sv").write_text(
        "module w(input [31:0] a, b, output [31:0] y);\nwire [31:0] r;\n"
        "fmax #(.LATENCY(0)) u(.clk_i(1'b0), .a_i(a), .b_i(b), .result_o(r));\n"
        f"assign y = {change};\nendmodule\n"
    )
    files = [tmp_path / "w.sv", *(source.path for source in load_core("fmax").sources)]
    core = core_from_verilog(files, top="w", op="maxf", ports={"a": "a", "b": "b", "result": "y"})
    return dataclasses.replace(core, exact=exact).instance()


def test_errors_of_a_latency_are_told_apart_by_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never shows is no failure, a simulation's end is no result; texts do not count."""
    error: Exception

    def fails(*rest: Any) -> None:
        raise error

    monkeypatch.setattr(family_check, "observed_latencies", fails)
    trial: Any = object.__new__(family_check.FamilyCheck)
    member = SimpleNamespace(failures=[])
    trial._core, trial._simulations = SimpleNamespace(has_handshake=False), [None]
    trial._members = [member]
    error = RestlessError("m.v: never")
    assert trial._latency_is_right(BITS, BITS) and not member.failures
    error = SimulationError("m.v: ends")
    with pytest.raises(SimulationError):
        trial._latency_is_right(BITS, BITS)
    error = UnsupportedError("forest/settled.v: results arrive after 1 to 2 cycles")
    assert trial._latency_is_right(BITS, BITS) and member.failures == [str(error)]


def test_an_exact_core_that_is_not_exact_is_found(tmp_path: Path) -> None:
    change = "(a == 32'h3f800001 && b == 32'h3f800000) ? r + 1 : r"
    (report,) = check([wrapper(tmp_path, change, exact=True)], random_vectors=1000)
    assert report.status == "fail"
    assert report.failures == (
        f"1 of {report.vectors} operand pairs: simulation and IEEE-754 differ",
        "a = 0x3f800001, b = 0x3f800000: simulation 0x3f800002, IEEE-754 0x3f800001",
    )


def test_a_nan_that_is_not_canonical_is_found_in_an_exact_core(tmp_path: Path) -> None:
    change = "r == 32'h7fc00000 ? 32'h7fc00001 : r"
    reports = [
        check([wrapper(tmp_path, change, exact)], random_vectors=1000)[0] for exact in (True, False)
    ]
    assert not reports[0].passed
    assert reports[1].passed  # its own business; the model has the same bits


def test_a_model_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = sys.modules["asnet_mlir.cores.checks.check"]
    # The wrong report goes to a cache of its own.
    for kind in ("headers", "verilator", "verilator-runtime", "cxxrtl", "simulation-runner"):
        (cache_directory() / kind).mkdir(exist_ok=True)
        (tmp_path / kind).symlink_to(cache_directory() / kind)
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path))
    derive = module.derive_models

    def tampered(instances: dict, strategy: object = None) -> dict:
        return {
            symbol: dataclasses.replace(model, text=model.text.replace("maximumf", "maxnumf"))
            for symbol, model in derive(instances, strategy).items()
        }

    monkeypatch.setattr(module, "derive_models", tampered)
    (report,) = check([parse_instance("fmax")], random_vectors=1000)
    assert not report.passed
    assert "simulation and model differ" in report.failures[0]


def test_a_simulator_that_is_wrong_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Should one simulator err, the report says which pair and what each gave."""
    for kind in ("headers", "verilator", "verilator-runtime", "simulation-runner"):
        (cache_directory() / kind).mkdir(exist_ok=True)
        (tmp_path / kind).symlink_to(cache_directory() / kind)
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path))
    module = sys.modules["asnet_mlir.cores.simulation.by_cxxrtl"]
    wrong = module._MODEL.replace("top_.p_a.set", "if (bits != 0x17) top_.p_a.set")
    monkeypatch.setattr(module, "_MODEL", wrong)
    (report,) = check([core_from_verilog([DATA / "integer.v"]).instance()])
    count, rest = report.failures[0].split(" ", 1)
    assert 200 < int(count) <= 256
    assert rest == f"of {1 << 16} operand pairs: simulation and cxxrtl (yosys 0.70, slang) differ"
    assert report.failures[1].startswith("a = 0x17, b = 0x")
    assert not any("model differ" in line for line in report.failures)


def test_other_formats(tmp_path: Path) -> None:
    (tmp_path / "m.sv").write_text(
        "module m(input [15:0] a, b, output [15:0] y);\n"
        "wire nan = a[14:0] > 15'h7f80 || b[14:0] > 15'h7f80;\n"
        "wire [15:0] ka = a[15] ? ~a : a | 16'h8000, kb = b[15] ? ~b : b | 16'h8000;\n"
        "assign y = nan ? 16'h7fc0 : ka >= kb ? a : b;\nendmodule\n"
    )
    plain = core_from_verilog([tmp_path / "m.sv"], ports={"a": "a", "b": "b", "result": "y"})
    core = dataclasses.replace(plain, op="maxf", format="bf16", exact=True)
    (report,) = check([core.instance()], random_vectors=20_000)
    assert report.passed, report.failures
    assert report.metrics["error_probability"] == 0
    wrong = dataclasses.replace(core, op="minf")
    (report,) = check([wrong.instance()], random_vectors=20_000)
    assert not report.passed and "simulation and IEEE-754 differ" in report.failures[0]


def test_exact_integer_cores(tmp_path: Path) -> None:
    (tmp_path / "s.v").write_text(
        "module s(input signed [4:0] a, input signed [3:0] b, output [9:0] y);\n"
        "assign y = a * b;\nendmodule\n"
    )
    plain = core_from_verilog([tmp_path / "s.v"], ports={"a": "a", "b": "b", "result": "y"})
    for signed, passed in ((True, True), (False, False)):
        core = dataclasses.replace(plain, op="muli", signed=signed, exact=True)
        (report,) = check([core.instance()])
        assert report.vectors == 1 << 9
        assert report.passed == passed, report.failures
        assert passed or "simulation and exact muli differ" in report.failures[0]


def test_up_to_twenty_four_bits_are_tried_exhaustively(tmp_path: Path) -> None:
    (tmp_path / "t.v").write_text(
        "module t(input [10:0] a, input [9:0] b, output [10:0] y);\n"
        "assign y = (a == 11'h6bc && b == 10'h1ef) ? 11'd1 : a & b;\nendmodule\n"
    )
    core = core_from_verilog([tmp_path / "t.v"], ports={"a": "a", "b": "b", "result": "y"})
    (report,) = check([core.instance()])
    assert report.passed and report.vectors == 1 << 21
    some, every = report.simulator_vectors.values()
    assert every == 1 << 21 and 1_000_000 <= some < 1 << 21
    assert f"verilator 5.052 ({some} of them), cxxrtl (yosys 0.70, slang)," in report.summary()
    (short,) = check([core.instance()], random_vectors=5000)
    assert 5000 <= short.vectors < 20_000


def test_with_a_clock_verilator_gets_every_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "DEFAULT_VECTORS", 70_000)
    (tmp_path / "t.v").write_text(
        "module t(input clk, input [8:0] a, input [7:0] b, output reg [8:0] y);\n"
        "always @(posedge clk) y <= a ^ {b, 1'b1};\nendmodule\n"
    )
    core = core_from_verilog([tmp_path / "t.v"], ports={"a": "a", "b": "b", "result": "y"})
    (report,) = check([core.instance()], random_vectors=70_000)
    assert report.passed and report.latency_cycles == 1
    assert list(report.simulator_vectors.values()) == [1 << 17, 70_000]


def test_integer_functions_are_tried_exhaustively() -> None:
    (report,) = check([core_from_verilog([DATA / "integer.v"]).instance()])
    assert report.passed and report.vectors == 1 << 16
    # It drops the lowest row: every product with an odd b, where a is not 0, is a too small.
    assert report.op == "muli" and report.metrics["worst_case_error"] == 255
    assert report.metrics["mean_absolute_error"] == 255 / 4


def test_a_variable_says_how_much_is_tried_before_use(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        sys.modules[ensure_checked.__module__],
        "check",
        lambda instances, *, random_vectors, **_: asked.append(random_vectors) or [],
    )
    for text in ("", "123", str(1 << 32)):
        monkeypatch.setenv("ASNET_CHECK_VECTORS", text)
        ensure_checked([])
    assert asked == [1_000_000, 123, 1 << 32]
    for text in ("0", "-1", "1e6", "many", str((1 << 32) + 1)):
        monkeypatch.setenv("ASNET_CHECK_VECTORS", text)
        with pytest.raises(InputError, match=f"ASNET_CHECK_VECTORS='{text}': give a number"):
            ensure_checked([])
