# SPDX-License-Identifier: Apache-2.0
"""The rules of docs/semantics.md, section 8, against Python's integers, number by number."""

import math
from fractions import Fraction

import numpy as np
import pytest
from quantized_programs import by_xla

from asnet_mlir.binding import Binding
from asnet_mlir.emit import compile
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation import CompiledNetwork, Evaluator
from asnet_mlir.frontends.program import from_program
from asnet_mlir.quantized import Builder, Quantization


def meaning(scale, zero=0, bits=8, signed=True):
    return Quantization(np.asarray(scale), np.asarray(zero), bits, signed)


def factor(real):
    """M and e of rule Q4, of the exact value of a binary64 number."""
    if real == 0:
        return 0, 0
    exact, e = Fraction(real), 0
    while exact >= 1:
        exact, e = exact / 2, e + 1
    while exact < Fraction(1, 2):
        exact, e = exact * 2, e - 1
    m = math.floor(exact * 2**31 + Fraction(1, 2))
    return (m // 2, e + 1) if m == 2**31 else (m, e) if e >= -31 else (0, 0)


def nearest_away(x):
    """A fraction to the nearest integer, ties away from 0."""
    return int(math.copysign(math.floor(abs(x) + Fraction(1, 2)), x)) if x else 0


def once(a, real):
    m, e = factor(real)
    return math.floor(Fraction(a * m, 2 ** (31 - e)) + Fraction(1, 2))


def twice(a, real):
    m, e = factor(real)
    a = (a * 2 ** max(e, 0) + 2**31) % 2**32 - 2**31
    high = math.floor(Fraction(a * m, 2**31) + Fraction(1, 2))
    return nearest_away(Fraction(high, 2 ** max(-e, 0)))


ROUND = {"single": once, "double": twice}


def clip(value, q, activation=None):
    low, high = activation or (q.low, q.high)
    return max(low, min(high, value))


def build(shape, q, layer):
    builder = Builder("net", shape, q)
    return builder.program(layer(builder, builder.input))


def random_codes(rng, shape, q):
    return rng.integers(q.low, q.high + 1, shape).astype(q.format.dtype)


Q2_CASES = [
    # bits, signed of x; bits, signed, zero point of weights; rounding; scale of the output
    (8, True, 8, True, 0, "single", 0.11),
    (8, True, 8, True, 0, "double", 0.11),
    (8, False, 8, False, 130, "double", 0.07),
    (8, True, 8, True, -5, "single", 1e-5),  # a factor above 1
    (4, True, 3, True, 1, "single", 0.01),
    (12, True, 5, True, 0, "double", 0.02),
    (16, False, 2, True, 0, "single", 3.0),
]


@pytest.mark.parametrize("case", Q2_CASES)
def test_q2_q4_convolutions(case):
    """Products of codes, corrections, padding, one factor a channel, rounding, saturation."""
    x_bits, x_signed, w_bits, w_signed, zw, rounding, sy = case
    rng = np.random.default_rng(x_bits * w_bits)
    qx = meaning(0.031, 3 if x_signed else 7, x_bits, x_signed)
    scales = rng.uniform(0.002, 0.02, 4)
    qw, qy = meaning(scales, zw, w_bits, w_signed), meaning(sy, 2)
    w = random_codes(rng, (2, 3, 2, 4), qw)  # two groups
    bias = rng.integers(-900, 900, 4).astype(np.int32)
    program = build(
        (4, 5, 4), qx,
        lambda b, x: b.conv2d(
            x, w, qw, bias, qy, layer="c", strides=(1, 2), padding=((1, 0), (0, 2)),
            dilation=(2, 1), groups=2, activation=(-100, 90), rounding=rounding,
        ),
    )  # fmt: skip
    x = random_codes(rng, (2, 4, 5, 4), qx)
    got = by_xla(program, x)
    padded = np.pad(
        x.astype(int), ((0, 0), (1, 0), (0, 2), (0, 0)), constant_values=qx.zero_point[0]
    )
    assert got.shape == (2, 3, 3, 4)
    for n, i, j, c in np.ndindex(*got.shape):
        group = slice(0, 2) if c < 2 else slice(2, 4)
        window = padded[n, i : i + 3 : 2, 2 * j : 2 * j + 3, group]
        reals = (window - int(qx.zero_point[0])) * (w[..., c].astype(int) - zw)
        total = int(reals.sum()) + int(bias[c])
        real = qx.single_scale * float(scales[c]) / qy.single_scale
        assert got[n, i, j, c] == clip(ROUND[rounding](total, real) + 2, qy, (-100, 90))


@pytest.mark.parametrize("rounding", ["single", "double"])
@pytest.mark.parametrize(
    "real", [0.5, 0.25, 2.0**-20, 0.3, 1.7, 2.0**-31, 2.0**-40, 0.999999999999]
)
def test_q4_rounding(real, rounding):
    """All sorts of factors on sums with ties on both sides of 0."""
    q = meaning(1.0)
    rng = np.random.default_rng(0)
    sums = np.concatenate([np.arange(-64, 64), rng.integers(-(2**30), 2**30, 128)])
    program = build(
        (1,), q,
        lambda b, x: b.dense(
            x, np.zeros((1, 256), np.int8), q, sums.astype(np.int32), meaning(1.0, 1, 16),
            layer="d", rounding=rounding, factors=np.array([real]),
        ),
    )  # fmt: skip
    got = by_xla(program, np.zeros((1, 1), np.int8))[0]
    q16 = meaning(1.0, 1, 16)
    assert got.tolist() == [clip(ROUND[rounding](int(a), real) + 1, q16) for a in sums]


def test_q5_pools_and_means():
    q, qy = meaning(0.1, -7), meaning(0.04, 5)
    x = random_codes(np.random.default_rng(3), (2, 5, 4, 2), q)
    pads = ((1, 0), (0, 1))
    common = {"layer": "p", "strides": (2, 1), "padding": pads}
    average = by_xla(build((5, 4, 2), q, lambda b, v: b.average_pool(v, (2, 2), **common)), x)
    greatest = by_xla(build((5, 4, 2), q, lambda b, v: b.max_pool(v, (2, 2), **common)), x)
    mean = by_xla(build((5, 4, 2), q, lambda b, v: b.mean(v, (0, 1), qy, layer="m")), x)
    for n, i, j, c in np.ndindex(*average.shape):
        rows, columns = slice(max(0, 2 * i - 1), 2 * i + 1), slice(j, j + 2)
        window = x[n, rows, columns, c].astype(int)
        assert average[n, i, j, c] == nearest_away(Fraction(int(window.sum()), window.size))
        assert greatest[n, i, j, c] == window.max()
    for n, c in np.ndindex(*mean.shape):
        m, e = factor(0.1 / 0.04)
        more = min(4, 31 + e)  # log2 of 20, cut
        m, e = (m << more) // 20, e - more
        total = int(x[n, :, :, c].astype(int).sum()) + 7 * 20
        expected = math.floor(Fraction(total * m, 2 ** (31 - e)) + Fraction(1, 2)) + 5
        assert mean[n, c] == clip(expected, qy)


@pytest.mark.parametrize("subtract", [False, True])
def test_q6_sums(subtract):
    qx, qy, qo = meaning(0.07, 4), meaning(0.021, -9), meaning(0.1, 3)
    codes = np.random.default_rng(4).integers(-128, 128, (3, 200, 2)).astype(np.int8)

    def layer(b, v):
        left = b.slice(v, (0, 0), (200, 1), (1, 1), layer="l")
        right = b.slice(v, (0, 1), (200, 2), (1, 1), layer="r")
        right = b.table(right, np.arange(-128, 128), qy, layer="same")
        return b.add(left, right, qo, layer="a", subtract=subtract)

    got = by_xla(build((200, 2), qx, layer), codes)[..., 0]
    for n, i in np.ndindex(*got.shape):
        a, b = (int(v) for v in codes[n, i])
        t = [
            twice((a - 4) << 20, 0.07 / 0.14),
            twice((b + 9) << 20, 0.021 / 0.14),
        ]
        total = t[0] - t[1] if subtract else t[0] + t[1]
        assert got[n, i] == clip(twice(total, 0.14 / (2**20 * 0.1)) + 3, qo)


def test_q7_products_and_concatenations():
    q, qo = meaning(0.05, 10), meaning(0.4, -1)
    codes = np.random.default_rng(5).integers(-128, 128, (2, 64)).astype(np.int8)
    square = by_xla(build((64,), q, lambda b, v: b.multiply(v, v, qo, layer="m")), codes)
    joined = by_xla(build((64,), q, lambda b, v: b.concatenate([v, v], 0, qo, layer="c")), codes)
    for n, i in np.ndindex(*codes.shape):
        a = int(codes[n, i]) - 10
        assert square[n, i] == clip(twice(a * a, 0.05 * 0.05 / 0.4) - 1, qo)
        assert joined[n, i] == joined[n, i + 64] == clip(twice(a, 0.05 / 0.4) - 1, qo)


def test_q8_functions():
    q, qo = meaning(0.05, 10), meaning(1 / 128)
    codes = np.arange(-128, 128, dtype=np.int8)[None]
    got = by_xla(build((256,), q, lambda b, v: b.function(v, np.sin, qo, layer="f")), codes)[0]
    expected = np.clip(np.rint(np.sin(0.05 * (np.arange(-128, 128) - 10)) * 128), -128, 127)
    assert got.tolist() == expected.tolist()


def test_q9_real_numbers():
    q = meaning(0.1, -3)
    x = np.array([[0.0, 0.05, -0.05, 0.15, 12.7, 1e30, -1e30, np.nan, 3e9]], np.float32)
    builder = Builder("net", (9,), None)
    codes = builder.quantize(builder.input, q, layer="q")
    got = by_xla(builder.program(codes), x)[0]
    ratios = (x[0] / np.float32(0.1)).astype(np.float64)
    expected = np.nan_to_num(np.copysign(np.floor(np.abs(ratios) + 0.5), ratios)) - 3
    assert got.tolist() == np.clip(expected, -128, 127).tolist()
    back = by_xla(build((9,), q, lambda b, v: b.dequantize(v, layer="d")), got[None])[0]
    assert back.tolist() == ((got.astype(np.float32) + 3) * np.float32(0.1)).tolist()


def test_what_a_core_sees():
    """Products and the sums of them; no correction of zero points, and no part of a softmax."""
    q, rng = meaning(0.1, 3), np.random.default_rng(0)
    kernel, scales = random_codes(rng, (3, 3, 2, 4), q), rng.uniform(0.01, 0.02, 4)
    matrix = random_codes(rng, (64, 10), q)

    def layer(b, v):
        pads = ((1, 1), (1, 1))
        v = b.conv2d(v, kernel, meaning(scales, 5), None, q, layer="conv", padding=pads)
        v = b.reshape(b.add(v, v, q, layer="sum"), (64,), layer="flat")
        v = b.dense(v, matrix, meaning(0.01, -2), None, q, layer="dense")
        return b.softmax(v, meaning(1 / 256, -128), layer="softmax")

    program = build((4, 4, 2), q, layer)
    network = from_program(program)
    text = compile(network, emit="approx")
    seen = {op: text.count(f"= approx.{op} ") for op in ("muli", "addi", "maxi")}
    assert seen == {"muli": 2, "addi": 2, "maxi": 1}
    x = random_codes(rng, (3, 4, 4, 2), q)
    got = Evaluator(CompiledNetwork(network), Binding()).outputs(x)
    np.testing.assert_array_equal(got, by_xla(program, x))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: meaning(0.0), "scale 0: scales must be positive and finite"),
        (lambda: meaning(-1.0), "scale -1"),
        (lambda: meaning(np.nan), "scale nan"),
        (lambda: meaning(0.1, 128), "zero point 128: must be a code, an integer from -128 to 127"),
        (lambda: meaning(0.1, -1, signed=False), "an integer from 0 to 255"),
        (lambda: meaning(0.1, bits=1), "codes have 2 to 16 bits, not 1"),
        (lambda: meaning(0.1, bits=17), "codes have 2 to 16 bits, not 17"),
        (lambda: meaning([0.1, 0.2], [1, 2, 3]), "3 zero points for 2 scales"),
    ],
)
def test_q1_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_q3_sums_that_32_bits_do_not_hold_are_refused():
    q = meaning(0.1, bits=16)
    w = np.full((100, 2), 30000, np.int16)
    with pytest.raises(InputError, match=r"layer 'wide': its sums may reach \d+, which 32 bits"):
        build((100,), q, lambda b, x: b.dense(x, w, q, None, q, layer="wide"))
