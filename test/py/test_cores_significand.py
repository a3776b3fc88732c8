# SPDX-License-Identifier: Apache-2.0
"""Significand cores: exact units give IEEE 754; inexact ones what docs/significand.md says.

The reference below is that page in Python's integers: it shares nothing with the Verilog.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asnet_mlir.cores import Core, core_from_verilog, derive_models, load_core
from asnet_mlir.cores.checks.check import check, corner_values, ieee_reference, random_pairs
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.reading.significand import wrap
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.support.formats import FLOAT_FORMATS

# ---- The reference.


def decode(bits: int, format: str) -> tuple[int, int, int]:
    """Return sign, exponent field and fraction."""
    e, f = FLOAT_FORMATS[format].exponent_bits, FLOAT_FORMATS[format].fraction_bits
    return bits >> (e + f), bits >> f & ((1 << e) - 1), bits & ((1 << f) - 1)


def encode(sign: int, magnitude: int, weight: int, format: str) -> int:
    """Return magnitude * 2^weight rounded to nearest even."""
    e, f = FLOAT_FORMATS[format].exponent_bits, FLOAT_FORMATS[format].fraction_bits
    bias = (1 << (e - 1)) - 1
    top = (1 << e) - 1 << f
    if magnitude == 0:
        return sign << (e + f)
    exponent = max(magnitude.bit_length() - 1 + weight, 1 - bias)
    drop = exponent - f - weight
    if drop <= 0:
        rounded = magnitude << -drop
    else:
        rounded, rest = magnitude >> drop, magnitude & ((1 << drop) - 1)
        half = 1 << (drop - 1)
        rounded += rest > half or (rest == half and rounded & 1)
    bits = (exponent + bias - 1 << f) + rounded
    return sign << (e + f) | min(bits, top)


def special(a: int, b: int, op: str, format: str) -> int | None:
    """Return the result where an operand is infinite or NaN."""
    e, f = FLOAT_FORMATS[format].exponent_bits, FLOAT_FORMATS[format].fraction_bits
    top = (1 << e) - 1
    nan = top << f | 1 << (f - 1)
    (sa, ea, fa), (sb, eb, fb) = decode(a, format), decode(b, format)
    sb ^= op == "subf"
    if ea != top and eb != top:
        return None
    if (ea == top and fa) or (eb == top and fb):
        return nan
    if op == "mulf":
        zero = (ea == 0 and fa == 0) or (eb == 0 and fb == 0)
        return nan if zero else (sa ^ sb) << (e + f) | top << f
    if ea == top and eb == top:
        return nan if sa != sb else sa << (e + f) | top << f
    return (sa if ea == top else sb) << (e + f) | top << f


def multiply(unit: Unit, format: str, align: str, a: int, b: int) -> int:
    """Return the product as docs/significand.md defines it."""
    found = special(a, b, "mulf", format)
    if found is not None:
        return found
    f, n = FLOAT_FORMATS[format].fraction_bits, unit.bits
    bias = (1 << (FLOAT_FORMATS[format].exponent_bits - 1)) - 1
    (sa, ea, fa), (sb, eb, fb) = decode(a, format), decode(b, format)
    words = [s | (1 << f if x else 0) for x, s in ((ea, fa), (eb, fb))]
    up = n - (f + 1) if n <= f + 1 or align == "left" else 0
    words = [w << up if up >= 0 else w >> -up for w in words]
    if 0 in words:
        return encode(sa ^ sb, 0, 0, format)
    weight = max(ea, 1) + max(eb, 1) - 2 * bias - 2 * f - 2 * up
    return encode(sa ^ sb, unit.function(*words), weight, format)


def add(unit: Unit, format: str, align: str, a: int, b: int, subtract: bool = False) -> int:
    """Return the sum as docs/significand.md defines it."""
    found = special(a, b, "subf" if subtract else "addf", format)
    if found is not None:
        return found
    f, n, r = FLOAT_FORMATS[format].fraction_bits, unit.bits, unit.result
    e = FLOAT_FORMATS[format].exponent_bits
    bias = (1 << (e - 1)) - 1
    room = min(n, r - 1)
    w = room if align == "left" else min(room, f + 4)
    operands = [decode(a, format), decode(b ^ (int(subtract) << (e + f)), format)]
    operands.sort(key=lambda o: o[1:], reverse=True)
    (s1, e1, f1), (s2, e2, f2) = operands

    def word(exponent: int, fraction: int) -> int:
        significand = fraction | (1 << f if exponent else 0)
        return significand << (w - f - 1) if w > f else significand >> (f + 1 - w)

    x, y = word(e1, f1), word(e2, f2)
    distance = max(e1, 1) - max(e2, 1)
    lost = y & ((1 << distance) - 1)
    y = y >> distance | (lost != 0 and w >= f + 3)
    effective = s1 ^ s2
    zero_sign = s1 & s2
    if x == 0:
        return encode(zero_sign, 0, 0, format)
    mask = (1 << n) - 1
    total = unit.function(x ^ mask if effective else x, y)
    if effective:
        total = 0 if total > mask else total ^ mask
    weight = max(e1, 1) - bias - (w - 1)
    return encode(zero_sign if total == 0 else s1, total, weight, format)


# ---- Units, as Verilog expressions of x and y and as functions.


@dataclass(frozen=True)
class Unit:
    """An unsigned unit of N x N -> R bits."""

    name: str
    bits: int
    result: int
    expression: str
    body: Callable[[int, int], int]

    def function(self, x: int, y: int) -> int:
        return self.body(x, y) & ((1 << self.result) - 1)

    def core(self, folder: Path) -> Core:
        path = folder / f"{self.name}.v"
        path.write_text(
            f"module {self.name}(input [{self.bits - 1}:0] x, y,\n"
            f"  output [{self.result - 1}:0] r);\n  assign r = {self.expression};\nendmodule\n"
        )
        return core_from_verilog([path])


def multiplier(bits: int) -> Unit:
    return Unit(f"mul{bits}", bits, 2 * bits, "x * y", lambda x, y: x * y)


def adder(bits: int, carry: bool = True) -> Unit:
    name = f"add{bits}" + ("c" if carry else "")
    return Unit(name, bits, bits + carry, "x + y", lambda x, y: x + y)


def too_small(bits: int) -> Unit:
    """A product whose leading bits are missing."""
    mask = (1 << bits + bits // 2) - 1
    return Unit(
        f"small{bits}", bits, 2 * bits, f"(x * y) & {2 * bits}'h{mask:x}", lambda x, y: x * y & mask
    )


def too_large(bits: int) -> Unit:
    """A product with ones where none can be."""
    return Unit(
        f"large{bits}", bits, 2 * bits, "(x * y) | {y, x}", lambda x, y: x * y | y << bits | x
    )


def junk_sum(bits: int, carry: bool) -> Unit:
    """Sums with low bits that carry nowhere, often above or below the true ones."""
    name = f"junk{bits}" + ("c" if carry else "")
    return Unit(
        name, bits, bits + carry, "(x ^ (y << 1)) + (x & y)", lambda x, y: (x ^ y << 1) + (x & y)
    )


def nothing(bits: int) -> Unit:
    return Unit(f"nothing{bits}", bits, 2 * bits, "0", lambda x, y: 0)


@dataclass(frozen=True)
class Case:
    """A unit in a wrapper."""

    unit: Unit
    op: str
    format: str
    align: str = "right"

    def __str__(self) -> str:
        return f"{self.unit.name}_{self.op}_{self.format}_{self.align}"

    def reference(self, a: int, b: int) -> int:
        if self.op == "mulf":
            return multiply(self.unit, self.format, self.align, a, b)
        return add(self.unit, self.format, self.align, a, b, self.op == "subf")


EXACT = [
    *(Case(multiplier(n), "mulf", "f32", align) for n, align in ((24, "right"), (32, "right"))),
    *(Case(multiplier(n), "mulf", "f32", align) for n, align in ((25, "left"), (32, "left"))),
    *(Case(adder(27), op, "f32") for op in ("addf", "subf")),
    *(Case(adder(28, False), "addf", "f32", align) for align in ("right", "left")),
    *(Case(adder(32), "addf", "f32", align) for align in ("right", "left")),
    Case(adder(32, False), "subf", "f32", "left"),
]
EXACT_16 = [
    *(Case(multiplier(8), "mulf", "bf16", align) for align in ("right",)),
    *(Case(multiplier(11), "mulf", "f16", align) for align in ("right",)),
    *(Case(multiplier(32), "mulf", format, "right") for format in ("bf16", "f16")),
    *(Case(adder(11), op, "bf16") for op in ("addf", "subf")),
    *(Case(adder(14), op, "f16") for op in ("addf", "subf")),
    Case(adder(32, False), "addf", "f16", "left"),
]
INEXACT = [
    *(Case(multiplier(n), "mulf", "f32") for n in (2, 8, 16, 23)),
    Case(multiplier(8), "mulf", "f16"),
    *(Case(too_small(n), "mulf", "f32") for n in (8, 24)),
    *(Case(too_large(n), "mulf", "f32") for n in (16, 24)),
    *(Case(too_large(32), "mulf", "f32", align) for align in ("right", "left")),
    *(Case(too_large(8), "mulf", format) for format in ("bf16", "f16")),
    *(Case(too_small(16), "mulf", format, "left") for format in ("bf16", "f16")),
    Case(too_large(32), "mulf", "f16"),
    Case(nothing(8), "mulf", "bf16"),
    *(Case(adder(n), "addf", "f32") for n in (8, 24, 25, 26)),
    Case(adder(24, False), "subf", "f32"),
    *(Case(junk_sum(27, True), op, "f32") for op in ("addf", "subf")),
    *(Case(junk_sum(32, carry), "addf", "f32", "left") for carry in (True, False)),
    Case(junk_sum(16, True), "addf", "f32"),
    *(Case(junk_sum(16, carry), "subf", "bf16") for carry in (True, False)),
    Case(junk_sum(14, True), "addf", "f16"),
]
CASES = [*EXACT, *EXACT_16, *INEXACT]


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory: pytest.TempPathFactory):
    """Compute a case on arrays of bits; all cases are derived and compiled at once."""
    folder = tmp_path_factory.mktemp("units")
    units: dict[str, Core] = {}
    instances = {}
    for case in CASES:
        if case.unit.name not in units:
            units[case.unit.name] = case.unit.core(folder)
        core = wrap(units[case.unit.name], case.op, case.format, case.align)
        instances[str(case)] = core.instance()
    kernel = compile_elementwise(derive_models(instances, "word"), opt_level=1)

    def run(case: Case, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        if case.format == "f32":
            operands = (v.astype(np.uint32).view(np.float32) for v in (a, b))
            return kernel(str(case), *operands).view(np.uint32)
        return kernel(str(case), a.astype(np.uint16), b.astype(np.uint16))

    return run


def corners(format: str) -> np.ndarray:
    """Return bits of special values of a format, both signs of each."""
    if format == "f32":
        values = corner_values()
        # The models read any NaN as the canonical one.
        return np.where((values & 0x7FFFFFFF) > 0x7F800000, np.uint32(0x7FC00000), values)
    f, e = FLOAT_FORMATS[format].fraction_bits, FLOAT_FORMATS[format].exponent_bits
    bias, top, one = (1 << (e - 1)) - 1, (1 << e) - 1, 1 << f
    magnitudes = {0, 1, 2, 3, one - 1, one, one + 1, top << f, top << f | one >> 1, (top << f) - 1}
    for exponent in (0, 1, f, bias // 2, bias - f, bias - 1, bias, bias + 1, bias + f, top - 1):
        for fraction in (0, 1, one // 2, one // 2 + 1, one - 1, 0x5555 % one):
            magnitudes.add(exponent << f | fraction)
    return np.array([m | s << (e + f) for m in sorted(magnitudes) for s in (0, 1)], np.uint32)


def pairs(format: str, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the corner grid and random pairs of bits."""
    grid = np.meshgrid(corners(format), corners(format))
    if format == "f32":
        a, b = (
            np.concatenate(sides)
            for sides in zip(
                random_pairs(count - count // 4, seed), sparse_pairs(count // 4, seed), strict=True
            )
        )
        canonical = [
            np.where((v & 0x7FFFFFFF) > 0x7F800000, np.uint32(0x7FC00000), v) for v in (a, b)
        ]
    else:
        canonical = list(np.random.default_rng(seed).integers(0, 1 << 16, (2, count)))
        # Half of them near each other, for sums.
        near = np.random.default_rng(seed + 1).integers(-3000, 3000, count // 2)
        canonical[1][: count // 2] = (canonical[0][: count // 2] ^ 0x8000) + near & 0xFFFF
    return tuple(  # type: ignore[return-value]
        np.concatenate([g.ravel(), v]).astype(np.uint32)
        for g, v in zip(grid, canonical, strict=True)
    )


def sparse_pairs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return f32 bits with at most two ones in their fractions and products about the subnormals.

    One bit decides there between a tie and what is rounded up.
    """
    rng = np.random.default_rng((seed, 1))
    powers = np.array([0, *(1 << i for i in range(23))])
    fractions = rng.choice(powers, (2, count)) | rng.choice(powers, (2, count))
    first = rng.integers(1, 125, count)
    second = (127 - first + rng.integers(-27, 3, count)).clip(0, 254)
    signs = rng.integers(0, 2, (2, count)) << 31
    a, b = (np.stack([first, second]) << 23 | fractions | signs).astype(np.uint32)
    return a, b


def assert_bits(case: Case, a: np.ndarray, b: np.ndarray, got: np.ndarray, want: np.ndarray):
    wrong = np.flatnonzero(got != want)
    shown = [
        f"{int(a[i]):#x} {int(b[i]):#x}: {int(got[i]):#x}, not {int(want[i]):#x}" for i in wrong[:5]
    ]
    assert not wrong.size, (str(case), wrong.size, shown)


@pytest.mark.parametrize("case", EXACT, ids=str)
def test_exact_units_give_ieee_754(evaluate, case: Case) -> None:
    a, b = pairs("f32", 200_000)
    assert_bits(case, a, b, evaluate(case, a, b), ieee_reference(case.op, a, b))


@pytest.mark.parametrize("case", EXACT_16, ids=str)
def test_exact_units_give_ieee_754_in_16_bits(evaluate, case: Case) -> None:
    a, b = pairs(case.format, 400_000)
    dtype = {"bf16": ml_dtypes.bfloat16, "f16": np.float16}[case.format]
    with np.errstate(invalid="ignore"):  # signalling NaNs
        x, y = (v.astype(np.uint16).view(dtype).astype(np.float64) for v in (a, b))
    operation = {"mulf": np.multiply, "addf": np.add, "subf": np.subtract}[case.op]
    with np.errstate(all="ignore"):
        # Exact in binary64 but for sums of far operands, and those it rounds twice without harm.
        wide = operation(x, y)
        nan = np.isnan(wide)
        # binary32 holds what both formats round from, apart from the depths of bf16's subnormals.
        narrow = wide.astype(np.float32)
        sure = (np.abs(wide) >= 2.0**-120) | (wide == 0) | nan
        want = narrow.astype(dtype).view(np.uint16)
    want = np.where(nan, FLOAT_FORMATS[case.format].canonical_nan, want)
    got = evaluate(case, a, b)
    assert np.count_nonzero(sure) > 100_000
    assert_bits(case, a[sure], b[sure], got[sure], want[sure])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reference(evaluate, case: Case) -> None:
    a, b = pairs(case.format, 3000, seed=1)
    picked = np.random.default_rng(2).permutation(a.size)[:4000]
    a, b = a[picked], b[picked]
    want = np.array([case.reference(int(x), int(y)) for x, y in zip(a, b, strict=True)])
    assert_bits(case, a, b, evaluate(case, a, b), want)


def test_the_reference_is_ieee_754_where_units_are_exact() -> None:
    a, b = pairs("f32", 2000, seed=3)
    for case in (EXACT[0], EXACT[3], EXACT[4], EXACT[5], EXACT[-1]):
        want = ieee_reference(case.op, a, b)
        got = [case.reference(int(x), int(y)) for x, y in zip(a, b, strict=True)]
        assert_bits(case, a, b, np.array(got), want)


words = st.one_of(
    st.integers(0, (1 << 32) - 1),
    # Few bits set, near exponents, subnormals.
    st.builds(
        lambda e, i, j: e << 23 | (1 << i | 1 << j) & 0x7FFFFF,
        st.integers(50, 140),
        *([st.integers(0, 23)] * 2),
    ),
    st.builds(lambda m, s: s << 31 | m, st.integers(0, 0x7FFFFF), st.integers(0, 1)),
    st.builds(lambda m, s: s << 31 | 0x3F800000 | m, st.integers(0, 0x7FFFFF), st.integers(0, 1)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=8), st.sampled_from(INEXACT))
def test_inexact_units_give_what_is_documented(evaluate, operands, case: Case) -> None:
    shift = 0 if case.format == "f32" else 16
    a, b = (np.array(side, np.uint32) >> shift for side in zip(*operands, strict=True))
    nan = 0x7FC00000
    if case.format == "f32":
        a, b = (np.where((v & 0x7FFFFFFF) > 0x7F800000, nan, v).astype(np.uint32) for v in (a, b))
    want = np.array([case.reference(int(x), int(y)) for x, y in zip(a, b, strict=True)])
    assert_bits(case, a, b, evaluate(case, a, b), want)


# ---- Pipelines, parameters, names.

PIPELINED = """module unit #(parameter K = 0)
  (input ck, en, rst_n, input [23:0] x, y, output [47:0] r, input [3:0] mode, output busy);
  reg [47:0] first, second;
  always @(posedge ck or negedge rst_n)
    if (!rst_n) first <= 0;
    else if (en) first <= mode == 4'd5 ? (x >> K << K) * (y >> K << K) : 0;
  always @(posedge ck) if (en) second <= first;
  assign r = second;
  assign busy = en;
endmodule
"""


def registers(depth: int, parameters: str = "", k: str = "0") -> str:
    """Return a plain pipeline of a certain depth as Verilog."""
    names = [f"s{i}" for i in range(depth)]
    steps = "".join(f" {new} <= {old};" for old, new in itertools.pairwise(names))
    return (
        f"module unit {parameters} (input ck, input [23:0] x, y, output [47:0] r);\n"
        f"  reg [47:0] {', '.join(names)};\n"
        f"  always @(posedge ck) begin s0 <= (x >> {k} << {k}) * y;{steps} end\n"
        f"  assign r = {names[-1]};\nendmodule\n"
    )


def core_of(folder: Path, text: str, **options) -> Core:
    path = folder / "unit.v"
    path.write_text(text)
    return core_from_verilog([path], **options)


def test_latency_is_that_of_unit_and_wrapper(tmp_path: Path) -> None:
    core = wrap(core_of(tmp_path, registers(2)), "mulf", latency=1)
    exact = dataclasses.replace(core, exact=True)
    assert core.instance().latency == 3
    assert core.instance({"LATENCY": 5}).latency == 7
    assert core.level == "significand" and core.unit is not None
    (report,) = check([exact.instance()], random_vectors=20_000, strategy="word")
    assert report.passed, report.failures
    assert report.latency_cycles == 3
    with pytest.raises(InputError, match=r"LATENCY = 6 is not in 0\.\.5"):
        core.instance({"LATENCY": 6})


def test_latency_by_the_units_parameter(tmp_path: Path) -> None:
    text = "module unit #(parameter LATENCY = 1) (input ck, input [23:0] x, y, output [47:0] r);\n"
    text += "  reg [47:0] s; always @(posedge ck) s <= x * y;\n"
    text += "  assign r = LATENCY ? s : x * y;\nendmodule\n"
    unit = core_of(tmp_path, text, latency="LATENCY")
    core = dataclasses.replace(wrap(unit, "mulf", latency=2), exact=True)
    assert [parameter.name for parameter in core.parameters] == ["LATENCY"]
    instances = [core.instance({"LATENCY": n}) for n in (0, 1)]
    assert [instance.latency for instance in instances] == [2, 3]
    models = derive_models({f"m{i}": s for i, s in enumerate(instances)}, "word")
    assert [model.latency for model in models.values()] == [2, 3]


def test_parameters_go_through_unless_ports_depend_on_them(tmp_path: Path) -> None:
    parameters = "#(parameter LATENCY = 3, parameter clk_i = 0)"
    core = wrap(core_of(tmp_path, registers(1, parameters, k="clk_i")), "mulf")
    assert [p.name for p in core.parameters] == ["LATENCY", "clk_i", "LATENCY_"]
    a, b = random_pairs(2000, 4)
    kernel = compile_elementwise(derive_models({"m": core.instance({"clk_i": 23})}, "word"))
    got = kernel("m", a.view(np.float32), b.view(np.float32)).view(np.uint32)
    cut = Unit("cut", 24, 48, "", lambda x, y: (x >> 23 << 23) * y)
    finite = ((a >> 23 & 0xFF) != 255) & ((b >> 23 & 0xFF) != 255)
    want = [multiply(cut, "f32", "right", int(x), int(y)) for x, y in zip(a, b, strict=True)]
    assert_bits(Case(cut, "mulf", "f32"), a[finite], b[finite], got[finite], np.array(want)[finite])
    text = "module unit #(parameter N = 8) (input [N-1:0] x, y, output [2*N-1:0] r);\n"
    unit = core_of(tmp_path, text + "  assign r = x * y;\nendmodule\n")
    assert [p.name for p in wrap(unit, "mulf", "bf16").parameters] == ["LATENCY"]


def test_enable_reset_and_constants_go_through(tmp_path: Path) -> None:
    ports = {
        "a": "x",
        "b": "y",
        "result": "r",
        "clock": "ck",
        "enable": "en",
        "reset": "rst_n",
        "reset_active": "low",
        "constant": {"mode": 5},
    }
    core = wrap(core_of(tmp_path, PIPELINED, ports=ports), "mulf")
    assert core.ports.tied == {"en": 1, "rst_n": 1, "mode": 5}
    assert "busy" not in core.sources[-1].text
    instance = core.instance({"LATENCY": 1})
    model = derive_models({"m": instance}, "word")["m"]
    assert model.latency == instance.latency == 3
    a, b = random_pairs(5000, 5)
    got = compile_elementwise({"m": model})("m", a.view(np.float32), b.view(np.float32))
    want = ieee_reference("mulf", a, b)
    got = np.where(np.isnan(got), np.uint32(0x7FC00000), got.view(np.uint32))
    assert_bits(EXACT[0], a, b, got, want)


def test_library_cores_are_units() -> None:
    """DRUM in the wrapper is fmul_drum."""
    unit = load_core("drum").instance({"N": 24, "K": 5})
    fixed = tuple(
        dataclasses.replace(p, default=dict(unit.parameters)[p.name]) for p in unit.core.parameters
    )
    core = wrap(dataclasses.replace(unit.core, parameters=fixed), "mulf")
    assert [p.name for p in core.parameters] == ["K", "LATENCY"]
    own = load_core("fmul_drum").instance({"K": 5, "LATENCY": 0})
    kernel = compile_elementwise(derive_models({"wrapped": core.instance(), "own": own}, "word"))
    a, b = (v.view(np.float32) for v in random_pairs(20_000, 6))
    results = [kernel(symbol, a, b).view(np.uint32) for symbol in ("wrapped", "own")]
    np.testing.assert_array_equal(*results)


def test_names_that_the_wrapper_needs(tmp_path: Path) -> None:
    text = "module {0}(input [7:0] x, y, output [15:0] r);\n  assign r = x * y;\nendmodule\n"
    core = wrap(core_of(tmp_path, text.format("m") + text.format("m_mulf_bf16"), top="m"), "mulf")
    assert core.module == "m_mulf_f32"
    core = wrap(
        core_of(tmp_path, text.format("m") + text.format("m_mulf_bf16"), top="m"), "mulf", "bf16"
    )
    assert core.module == "m_mulf_bf16_"
    derive_models({"m": core.instance()}, "word")
    with pytest.raises(InputError, match=r"module 'asnet_clz' has the name of one of the signif"):
        wrap(core_of(tmp_path, text.format("asnet_clz")), "mulf")


@pytest.mark.parametrize(
    ("widths", "op", "options", "message"),
    [
        ((8, 8, 15), "mulf", {}, r"have 8, 8, 15 bits; .* for mulf has N x N -> 2N bits, N in 2\."),
        ((8, 9, 16), "mulf", {}, r"have 8, 9, 16 bits"),
        ((33, 33, 34), "addf", {}, r"N in 2\.\.32"),
        ((8, 8, 10), "addf", {}, r"for addf has N \+ N -> N or N\+1 bits"),
        ((8, 8, 16), "divf", {}, r"no significand wrapper for 'divf'; one of mulf, addf, subf"),
        ((8, 8, 16), "mulf", {"format": "f64"}, r"unknown format 'f64'; one of f32, bf16, f16"),
        ((8, 8, 16), "mulf", {"align": "top"}, r"align is 'top'; right or left"),
        ((8, 8, 16), "mulf", {"latency": 6}, r"latency is 6, not in 0\.\.5"),
    ],
)
def test_units_that_do_not_fit(tmp_path: Path, widths, op: str, options, message: str) -> None:
    a, b, r = widths
    text = f"module unit(input [{a - 1}:0] x, input [{b - 1}:0] y, output [{r - 1}:0] r);\n"
    unit = core_of(
        tmp_path,
        text + "  assign r = x + y;\nendmodule\n",
        ports={"a": "x", "b": "y", "result": "r"},
    )
    error = UnsupportedError if op == "divf" else InputError
    with pytest.raises(error, match=message):
        wrap(unit, op, **options)


def test_units_of_other_kinds(tmp_path: Path) -> None:
    unit = multiplier(8).core(tmp_path)
    with pytest.raises(InputError, match=r"its operands are signed"):
        wrap(dataclasses.replace(unit, signed=True), "mulf")
    with pytest.raises(InputError, match=r"computes addi; mulf needs a unit for muli"):
        wrap(dataclasses.replace(unit, op="addi"), "mulf")
    with pytest.raises(UnsupportedError, match=r"is iterative"):
        wrap(dataclasses.replace(unit, initiation_interval=4), "mulf")
    with pytest.raises(InputError, match=r"computes mulf in f32; a unit takes integers"):
        wrap(load_core("fmul"), "mulf")
