# SPDX-License-Identifier: Apache-2.0
"""What a circuit approximates: its operation by name and by function, and signed operands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from asnet_mlir.cli import main as cli
from asnet_mlir.cores import core_from_verilog
from asnet_mlir.cores.checks import fit, registration
from asnet_mlir.cores.checks.check import CheckReport, check
from asnet_mlir.cores.metrics.characterize import characterize, compared
from asnet_mlir.cores.simulation.family import Widths
from asnet_mlir.errors import AsnetWarning, InputError

EIGHT = Widths(8, 8, 16)


def signed(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int64) - (values >= 128) * 256


FUNCTIONS = {
    "exact": (EIGHT, lambda a, b: a * b),
    "truncated": (EIGHT, lambda a, b: (a & 0xF0) * (b & 0xF0)),
    "signed": (EIGHT, lambda a, b: (signed(a) & ~7) * signed(b)),
    "zero": (EIGHT, lambda a, b: 0 * a),
    "lower or": (Widths(8, 8, 9), lambda a, b: (a >> 4) + (b >> 4) << 4 | (a | b) & 15),
    "wrapping": (Widths(8, 8, 8), lambda a, b: a + (b & 0xFC)),
    "minus": (Widths(8, 8, 9), lambda a, b: (a & 0xF8) - b),
    "divided": (EIGHT, lambda a, b: a // np.maximum(b, 1) & 0xFE),
    "mixed": (EIGHT, lambda a, b: a << 8 ^ b),
}


def found(name: str) -> tuple[Widths, dict[fit.Reading, float]]:
    widths, function = FUNCTIONS[name]
    a, b = (v.astype(np.int64) for v in fit.probes(widths))
    got = function(a, b).astype(np.uint64) & np.uint64((1 << widths.result) - 1)
    return widths, fit.distances(widths, a.astype(np.uint64), b.astype(np.uint64), got)


@pytest.mark.parametrize(
    ("function", "name", "expected"),
    [
        ("exact", "m", ("muli", False, "function")),
        ("truncated", "m", ("muli", False, "function")),
        ("signed", "m", ("muli", True, "function")),
        ("zero", "m", None),
        ("lower or", "m", ("addi", False, "function")),
        # Of this width a sum is the same whatever the operands are: as they are declared.
        ("wrapping", "m", ("addi", False, "function")),
        ("minus", "m", ("subi", False, "function")),
        ("divided", "m", ("divi", False, "function")),
        ("mixed", "m", None),
        ("exact", "mul8u_1JFF", ("muli", False, "name")),
        ("signed", "mul8s_1KV8", ("muli", True, "name")),
        ("signed", "mul8_approx", ("muli", True, "name")),
        ("zero", "mul8u_2NV", ("muli", False, "name")),
        ("lower or", "add8u_5LT", ("addi", False, "name")),
        # A name that the function contradicts: of another operation, signedness or width.
        ("lower or", "mul8u_5LT", ("addi", False, "function")),
        ("signed", "mul8u_1JFF", ("muli", True, "function")),
        ("exact", "mul12u_1JFF", ("muli", False, "function")),
        ("mixed", "mul12u_1JFF", None),
    ],
)
def test_operations_are_inferred(
    function: str, name: str, expected: tuple[str, bool, str] | None
) -> None:
    widths, distances = found(function)
    inference = fit.infer(name, widths, distances, False, 65536)
    told = inference and (inference.op, inference.signed, inference.source)
    assert told == expected


@pytest.mark.parametrize("function", FUNCTIONS)
def test_who_fits_the_other_reading(function: str) -> None:
    widths, distances = found(function)
    for op in ("muli", "addi"):
        if widths.result >= 9:
            want = function == "signed" and op == "muli"
            assert fit.fits_other_signedness(distances, op, False) == want, op
    if function == "exact":
        assert fit.fits_other_signedness(distances, "muli", True)


SIGNED = """module {name}(input [{top}:0] A, B, output [{out}:0] O);
  wire signed [{top}:0] a = A & ~7, b = B; wire signed [{out}:0] o = a * b; assign O = o;
endmodule
"""


def test_a_signed_circuit_behind_unsigned_ports(tmp_path: Path, capsys: object) -> None:
    path = tmp_path / "circuit.v"
    path.write_text(SIGNED.format(name="circuit", top=5, out=11))
    (declared,) = check([core_from_verilog([path], op="muli").instance()], random_vectors=1000)
    assert declared.passed and "far better" in declared.warnings[0]
    assert "say --signed (signed=True in Python" in declared.warnings[0]
    (as_signed,) = check(
        [core_from_verilog([path], op="muli", signed=True).instance()], random_vectors=1000
    )
    assert not as_signed.warnings
    error = "mean_absolute_error"
    assert declared.metrics[error] > 10 * as_signed.metrics[error] > 0  # type: ignore[operator]
    # Without an operation, its function tells both.
    assert cli.main(["cores", "check", str(path), "--json", "--vectors", "1000"]) == 0
    told = json.loads(capsys.readouterr().out)  # type: ignore[attr-defined]
    assert (told["op"], told["signed"], told["warnings"]) == ("muli", True, [])
    assert told["metrics"] == as_signed.metrics
    assert told["inferred"] == "taken for muli of signed operands by its function on all 4096 pairs"


def test_characterization_infers_the_operation(tmp_path: Path) -> None:
    path = tmp_path / "add6u_0XY.v"
    path.write_text(
        "module add6u_0XY(input [5:0] A, B, output [6:0] O); assign O = A + (B & ~1); endmodule"
    )
    inferred = characterize(core_from_verilog([path]).instance())
    given = characterize(core_from_verilog([path], op="addi").instance(), checked=True)
    assert inferred.inferred == "taken for addi of unsigned operands by its name"
    assert (inferred.op, inferred.metrics) == ("addi", given.metrics) and given.inferred is None
    assert "taken for addi" in inferred.summary()
    report = CheckReport("m", "pass", "word", 1, 0, (), 0)
    with pytest.raises(InputError, match="neither its name nor its function tells one"):
        compared(core_from_verilog([path]).instance(), report)


def test_a_signed_unit_of_significands(tmp_path: Path) -> None:
    """Its top bit is always set where it is as wide as a significand."""
    path = tmp_path / "unit.v"
    path.write_text(SIGNED.format(name="unit", top=7, out=15))
    unit = core_from_verilog([path], op="mulf", format="bf16").instance()
    (report,) = check([unit], random_vectors=4000)
    assert "its unit unit fits muli of signed operands far better" in report.warnings[0]


def test_networks_pass_warnings_on(monkeypatch: pytest.MonkeyPatch) -> None:
    report = CheckReport("mine", "pass", "word", 1, 0, (), 0, warnings=("it fits better",))
    monkeypatch.setattr(registration, "check", lambda instances, **options: [report])
    with pytest.warns(AsnetWarning, match="mine: it fits better"):
        registration.ensure_checked([])
