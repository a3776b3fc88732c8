"""Derived models against Verilator on random Verilog: mixed widths and signs, every operator."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest
from random_verilog import random_module

from asnet_mlir.cores import core_from_verilog
from asnet_mlir.cores.check import check
from asnet_mlir.cores.netlist import Netlist, elaborate

FUNCTIONS = 60
WORD_CELLS = (
    "add sub mul div mod neg not and or xor xnor logic_not logic_and logic_or reduce_and reduce_or "
    "reduce_xor eq ne lt le gt ge shl sshl shr sshr mux pmux shiftx"
)


@pytest.mark.parametrize("seed", [1])
def test_random_functions(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "random.v"
    path.write_text(random_module(FUNCTIONS, seed))
    core = core_from_verilog([path], ports={"a": "a", "b": "b", "result": "result"})
    instances = [core.instance({"K": number}) for number in range(FUNCTIONS)]
    for report in check(instances, random_vectors=20_000, seed=seed):
        assert report.strategy == "word"
        assert report.passed, f"seed {seed}, {report.label}: {report.failures}"
    seen: collections.Counter[str] = collections.Counter()
    for netlist in elaborate(instances):
        assert isinstance(netlist, Netlist)
        seen.update({cell["type"] for cell in netlist.module["cells"].values()})
    missing = [kind for kind in WORD_CELLS.split() if not seen[f"${kind}"]]
    assert not missing, f"the generator makes no {missing}; choose another seed"


GATES = """module gates(input [7:0] a, input [7:0] b, output [15:0] y);
\\$_AND_ g0(.A(a[0]), .B(b[0]), .Y(y[0]));
\\$_NAND_ g1(.A(a[0]), .B(b[0]), .Y(y[1]));
\\$_OR_ g2(.A(a[0]), .B(b[0]), .Y(y[2]));
\\$_NOR_ g3(.A(a[0]), .B(b[0]), .Y(y[3]));
\\$_XOR_ g4(.A(a[0]), .B(b[0]), .Y(y[4]));
\\$_XNOR_ g5(.A(a[0]), .B(b[0]), .Y(y[5]));
\\$_ANDNOT_ g6(.A(a[0]), .B(b[0]), .Y(y[6]));
\\$_ORNOT_ g7(.A(a[0]), .B(b[0]), .Y(y[7]));
\\$_MUX_ g8(.A(a[0]), .B(b[0]), .S(a[1]), .Y(y[8]));
\\$_NMUX_ g9(.A(a[0]), .B(b[0]), .S(a[1]), .Y(y[9]));
\\$_AOI3_ g10(.A(a[0]), .B(b[0]), .C(a[1]), .Y(y[10]));
\\$_OAI3_ g11(.A(a[0]), .B(b[0]), .C(a[1]), .Y(y[11]));
\\$_AOI4_ g12(.A(a[0]), .B(b[0]), .C(a[1]), .D(b[1]), .Y(y[12]));
\\$_OAI4_ g13(.A(a[0]), .B(b[0]), .C(a[1]), .D(b[1]), .Y(y[13]));
\\$_NOT_ g14(.A(a[0]), .Y(y[14]));
\\$_BUF_ g15(.A(a[0]), .Y(y[15]));
endmodule
"""


def test_gates(tmp_path: Path) -> None:
    import numpy as np

    from asnet_mlir.cores.model import derive_models
    from asnet_mlir.jit import compile_elementwise

    (tmp_path / "gates.v").write_text(GATES)
    text = derive_models({"f": core_from_verilog([tmp_path / "gates.v"]).instance()})["f"].text
    va, vb = (side.ravel().astype(np.uint8) for side in np.meshgrid(range(4), range(4)))
    result = compile_elementwise({"f": text})("f", va, vb)
    a, b, c, d = va & 1, vb & 1, va >> 1 & 1, vb >> 1 & 1
    mux = np.where(c, b, a)
    expected = [
        a & b, 1 - (a & b), a | b, 1 - (a | b), a ^ b, 1 - (a ^ b), a & (1 - b), a | (1 - b),
        mux, 1 - mux, 1 - (a & b | c), 1 - ((a | b) & c), 1 - (a & b | c & d),
        1 - ((a | b) & (c | d)), 1 - a, a,
    ]  # fmt: skip
    for position, want in enumerate(expected):
        np.testing.assert_array_equal(result >> position & 1, want, f"gate {position}")
