# SPDX-License-Identifier: Apache-2.0
"""Proofs of worst-case errors against enumeration, and each way against the others."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from asnet_mlir.cores.circuits import polynomials
from asnet_mlir.cores.circuits.tables import greatest_sum
from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.metrics.worst_case import prove_error
from asnet_mlir.cores.proofs import algebra
from asnet_mlir.cores.reading.from_verilog import core_from_verilog
from asnet_mlir.cores.reading.library import parse_instance
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.netlist import Netlist

# Four products of 3 x 3 bits: the lowest by gates that give 3 * 3 = 7 where both low digits are 3.
_BLOCKS = """
module low(input [2:0] a, input [2:0] b, output [5:0] p);
  wire bad = a[0] & a[1] & b[0] & b[1] & (a[2] ^ b[2]);
  assign p = a * b - {5'b0, bad} - {4'b0, bad, 1'b0};
endmodule
module top(input [5:0] a, input [5:0] b, output [11:0] p);
  wire [5:0] ll, lh, hl;
  low u0(a[2:0], b[2:0], ll);
  low u1(a[5:3], b[2:0], hl);
  low u2(a[2:0], b[5:3], lh);
  wire [5:0] hh = a[5:3] * b[5:3];
  assign p = {hh, ll} + {3'b0, {1'b0, hl} + {1'b0, lh}, 3'b0};
endmodule
"""


def _bounds(instance: Instance) -> algebra.Bounds | None:
    (netlist,) = elaborate([instance], flatten=False)
    assert isinstance(netlist, Netlist)
    ports = instance.core.ports
    roles = {"a": ports.a, "b": ports.b, "result": ports.result}
    return algebra.error_bounds(netlist.modules, netlist.top, str(instance.core.op), roles, 60.0)


def _of_file(folder: Path, text: str, op: str = "muli") -> Instance:
    path = folder / "top.v"
    path.write_text(text)
    return core_from_verilog([path], op=op, top="top").instance()


@pytest.mark.parametrize("seed", range(20))
def test_greatest_value_of_random_polynomials(seed: int) -> None:
    rng = np.random.default_rng(seed)
    terms = rng.integers(0, 1 << 8, 14).tolist()
    polynomial = {t: int(c) for t, c in zip(terms, rng.integers(-9, 10, 14), strict=True) if c}
    every = [polynomials.value(polynomial, ones) for ones in range(1 << 8)]
    bound, ones = polynomials.greatest(polynomial)
    assert bound == max(every) == polynomials.value(polynomial, ones)
    assert polynomials.greatest(polynomial, max(every) + 1)[0] <= max(every) + 1


@pytest.mark.parametrize("seed", range(5))
def test_greatest_sum_of_random_tables(seed: int) -> None:
    rng = np.random.default_rng(seed)
    digits = [[1, 2, 4], [8, 16, 32], [64, 128], [256, 512]]
    tables = [
        ([*left, *right], rng.integers(-50, 50, 1 << (len(left) + len(right))))
        for left, right in itertools.product(digits[:2], digits[2:])
    ]
    rest = {1 | 64: 20, 8: -7, 0: 5}

    def value(ones: int) -> int:
        total = polynomials.value(rest, ones)
        for names, values in tables:
            total += int(values[sum(1 << k for k, v in enumerate(names) if v & ones)])
        return total

    every = [value(ones) for ones in range(1 << 10)]
    found = greatest_sum(rest, tables, float("inf"))
    assert found is not None
    assert found[0] == max(every) == value(found[1])


@pytest.mark.parametrize(
    "label",
    [
        "bam:N=8,VBL=7",
        "bam:N=8,VBL=6,HBL=2",
        "drum:N=8,K=3",
        "loa:N=8,K=5",
        "kulkarni:N=8",
        "ssm:N=8,K=5",
    ],
)
def test_algebra_is_exhaustion(label: str) -> None:
    instance = parse_instance(label)
    by_algebra = prove_error(instance, method="algebra")
    by_exhaustion = prove_error(instance, method="exhaustion")
    assert by_algebra.status == by_exhaustion.status == "proved"
    assert by_algebra.exact
    assert by_algebra.bound == by_exhaustion.bound


@pytest.mark.parametrize(
    "label",
    ["mitchell:N=6", "ilm:N=5,CORRECTIONS=1", "roba:N=6", "ssm:N=8,K=4", "loa:N=5,K=3"],
)
def test_intervals_are_exhaustion(label: str) -> None:
    instance = parse_instance(label)
    found, true = (prove_error(instance, method=way) for way in ("intervals", "exhaustion"))
    assert found.status == true.status == "proved"
    assert found.bound == true.bound


#: Words of all kinds, over operands of two widths.
_WORDS = (
    "a + {{2'b0, b}} * {0}",
    "(a >> b[2:1]) + (b << a[1:0])",
    "a * b - (a & 7'd{0})",
    "(a < {{2'b0, b}}) ? a * b : (a | 7'd{0})",
    "(a ^ 7'd{0}) * (b >= 5'd{0} ? b : 5'd3)",
    "~(a * b) + (b == 5'd{0})",
    "(a * b) >> (a != 7'd{0})",
    "({{a[6:3], 3'd{0}}} * b) - (!b) + (a > 7'd{0}) + (b <= 5'd{0})",
    "(b ? a - b : 12'd{0}) <<< 1",
)


@pytest.mark.parametrize("number", range(len(_WORDS)))
def test_intervals_of_words_that_wrap(tmp_path: Path, number: int) -> None:
    """No bound is below the greatest error, and what a pair is said to have it has."""
    text = _WORDS[number].format(6)
    path = tmp_path / "top.v"
    path.write_text(
        "module top(input [6:0] a, input [4:0] b, output [11:0] p);\n"
        f"  assign p = {text};\nendmodule\n"
    )
    instance = core_from_verilog([path], op="muli", top="top").instance()
    found = prove_error(instance, method="intervals", seconds=1.0)
    true = prove_error(instance, method="exhaustion")
    assert found.bound is not None and true.bound is not None
    assert found.bound >= true.bound
    assert found.witness is not None and found.witness.error <= true.bound
    if found.status == "proved":
        assert found.bound == true.bound


def test_a_logarithmic_multiplier_of_18_bits_has_its_greatest_error_found() -> None:
    proof = prove_error(parse_instance("mitchell:N=18"))
    # Both fractions are a half: 2^(2 N - 2) / 4.  Less is refuted by the witness.
    assert (proof.method, proof.exact, proof.bound) == ("intervals", True, 1 << 32)
    assert proof.witness is not None and proof.witness.error == 1 << 32


def test_blocks_are_exhausted_and_summed(tmp_path: Path) -> None:
    instance = _of_file(tmp_path, _BLOCKS)
    bounds = _bounds(instance)
    assert bounds is not None and bounds.blocks == 3
    # All three at their worst: 3 * (1 + 8 + 8) needs bits 2 that differ, of which there are two.
    by_exhaustion = prove_error(instance, method="exhaustion")
    assert (bounds.low, bounds.high) == (0, by_exhaustion.bound)


def test_gates_of_operand_bits(tmp_path: Path) -> None:
    text = """
module top(input [5:0] a, input [5:0] b, output [6:0] p);
  wire [3:0] high = a[5:3] + b[5:3];
  assign p = {high, a[2] ^ b[2], ~(a[1] & b[1]), ~(a[0] | ~b[0]) ^ (a[1] ~^ b[0])};
endmodule
"""
    instance = _of_file(tmp_path, text, "addi")
    by_algebra = prove_error(instance, method="algebra")
    assert by_algebra.exact
    assert by_algebra.bound == prove_error(instance, method="exhaustion").bound


def test_wrapping_sum_is_no_polynomial(tmp_path: Path) -> None:
    text = """
module top(input [3:0] a, input [3:0] b, output [7:0] p);
  wire [6:0] s = a * b + 7'd64;
  assign p = {1'b0, s};
endmodule
"""
    assert _bounds(_of_file(tmp_path, text)) is None


def test_24_bits_are_proved_with_their_witness() -> None:
    proof = prove_error(parse_instance("bam:N=24,VBL=20"), 19_922_945)
    assert (proof.status, proof.method, proof.exact) == ("proved", "algebra", True)
    proof = prove_error(parse_instance("bam:N=24,VBL=20"), 19_922_944)
    assert proof.status == "refuted"
    assert proof.witness is not None and proof.witness.error == 19_922_945


@pytest.mark.parametrize("method", ["abc", "z3"])
def test_miters_prove_and_refute(method: str) -> None:
    for label, bound in (("bam:N=5,VBL=4", 49), ("loa:N=12,K=5", 16)):
        instance = parse_instance(label)
        assert prove_error(instance, bound, method=method).status == "proved"  # type: ignore[arg-type]
        refuted = prove_error(instance, bound - 1, method=method)  # type: ignore[arg-type]
        assert refuted.status == "refuted"
        assert refuted.witness is not None and refuted.witness.error == bound


@pytest.mark.parametrize("method", ["abc", "z3"])
def test_an_evolved_circuit_is_proved_by_each_engine(method: str) -> None:
    bound = 10591  # of all pairs, as its index says
    for claimed, status in ((bound, "proved"), (bound - 1, "refuted")):
        proof = prove_error(parse_instance("mul8u_evolved:M=45"), claimed, method=method)  # type: ignore[arg-type]
        assert (proof.status, proof.method) == (status, method)


def test_miter_of_signed_operands(tmp_path: Path) -> None:
    text = """
module top(input signed [3:0] a, input signed [3:0] b, output signed [7:0] p);
  assign p = (a * b) & 8'shfc;
endmodule
"""
    instance = _of_file(tmp_path, text)
    assert instance.core.signed
    for method in ("abc", "z3"):
        proof = prove_error(instance, method=method)  # type: ignore[arg-type]
        assert (proof.status, proof.bound) == ("proved", 3)
