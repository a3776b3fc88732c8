# SPDX-License-Identifier: Apache-2.0
"""The expansions of elementary functions against the correctly rounded ones, every op exact.

Every third of all float32 inputs was checked once (docs/semantics.md has what came out); here is a
stride over all bit patterns, of both signs and all exponents, NaNs included, and every special
case.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable

import numpy as np
import pytest

from asnet_mlir import dialects

dialects.load()

from mlir import execution_engine, ir, passmanager
from mlir.runtime import get_ranked_memref_descriptor

SOURCE = """
func.func @run(%x: memref<?xf32>, %y: memref<?xRESULT>, %n: index)
    attributes {llvm.emit_c_interface} {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  scf.for %i = %c0 to %n step %c16 {
    %v = vector.load %x[%i] : memref<?xf32>, vector<16xf32>
    BODY
    vector.store %e, %y[%i] : memref<?xRESULT>, vector<16xRESULT>
  }
  return
}
"""
PIPELINE = (
    "builtin.module(approx-expand-math,convert-approx-to-calls,canonicalize,cse,convert-scf-to-cf,"
    "convert-vector-to-llvm,finalize-memref-to-llvm,convert-to-llvm,reconcile-unrealized-casts)"
)
SMALLEST_NORMAL = np.float32(2.0**-126)
# A prime, so that every exponent sees other significands.
STRIDE = 1021


@functools.cache
def compiled(body: str, result: str = "f32") -> Callable[[np.ndarray], np.ndarray]:
    """Compile `%e = .. %v` on vector<16xf32>: float32 array to an array of the result's type."""
    dtype = {"f32": np.float32, "i32": np.int32, "i8": np.int8}[result]
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(SOURCE.replace("BODY", body).replace("RESULT", result))
        passmanager.PassManager.parse(PIPELINE).run(module.operation)
        engine = execution_engine.ExecutionEngine(module, opt_level=2)

    def run(x: np.ndarray) -> np.ndarray:
        padded = np.zeros(-(-len(x) // 16) * 16, np.float32)
        padded[: len(x)] = x
        y = np.empty(len(padded), dtype)
        pointers = [
            ctypes.pointer(ctypes.pointer(get_ranked_memref_descriptor(a))) for a in (padded, y)
        ]
        engine.invoke("run", *pointers, ctypes.pointer(ctypes.c_int64(len(padded))))
        return y[: len(x)]

    return run


def function(name: str) -> Callable[[np.ndarray], np.ndarray]:
    return compiled(f"%e = math.{name} %v : vector<16xf32>")


def bits(*patterns: int) -> np.ndarray:
    return np.array(patterns, np.uint32).view(np.float32)


def ordered(x: np.ndarray) -> np.ndarray:
    """Floats as integers whose difference is the distance in ulp; both zeros are 0."""
    raw = x.view(np.int32).astype(np.int64)
    return np.where(raw < 0, -(raw & 0x7FFFFFFF), raw)


def round_away(x: np.ndarray) -> np.ndarray:
    whole = np.copysign(np.floor(np.abs(x) + 0.5), x)
    return np.where(np.abs(x) < 2**23, whole, x)


# name: the function in double precision, whose 29 bits more are good to tell 1 ulp from 2; the
# greatest distance, and the share of results that are not correctly rounded.
FUNCTIONS = {
    "exp": (np.exp, 1, 0.03),
    "expm1": (np.expm1, 2, 0.01),
    "log": (np.log, 1, 0.01),
    "log1p": (np.log1p, 2, 0.06),
    "sqrt": (np.sqrt, 1, 0.2),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1, 0.2),
    "tanh": (np.tanh, 1, 0.01),
    "absf": (np.abs, 0, 0),
    "floor": (np.floor, 0, 0),
    "ceil": (np.ceil, 0, 0),
    "trunc": (np.trunc, 0, 0),
    "round": (round_away, 0, 0),
    "roundeven": (np.rint, 0, 0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_over_all_exponents(name):
    reference, most, share = FUNCTIONS[name]
    wrong = total = 0
    for start in range(0, 1 << 32, 1 << 30):
        x = np.arange(start, start + (1 << 30), STRIDE, np.uint64).astype(np.uint32)
        x = x.view(np.float32)
        y = function(name)(x)
        with np.errstate(all="ignore"):
            expected = reference(x.astype(np.float64)).astype(np.float32)
        nan = np.isnan(expected)
        assert np.array_equal(np.isnan(y), nan)
        assert np.array_equal(np.isinf(y), np.isinf(expected))
        assert np.array_equal(np.signbit(y[~nan]), np.signbit(expected[~nan]))
        if name == "exp":  # results that are subnormal are flushed
            below = expected < SMALLEST_NORMAL
            assert not y[below].view(np.uint32).any()
            nan |= below
        distance = np.abs(ordered(y[~nan]) - ordered(expected[~nan]))
        far = distance > most
        assert not far.any(), (x[~nan][far][:4], distance[far][:4])
        wrong += np.count_nonzero(distance)
        total += distance.size
    assert wrong <= share * total


INF = np.inf
NAN = np.nan


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", 88.72284, INF),  # the least that overflows
        ("exp", -87.33655, 0.0),  # the greatest whose exponential is subnormal
        ("exp", -INF, 0.0),
        ("expm1", -0.0, -0.0),
        ("expm1", 1e-45, 1e-45),
        ("expm1", -INF, -1.0),
        ("expm1", 88.7228, np.float32(np.expm1(np.float64(np.float32(88.7228))))),
        ("log", 0.0, -INF),
        ("log", -0.0, -INF),
        ("log", -1e-45, NAN),
        ("log", 1.0, 0.0),
        ("log", INF, INF),
        ("log1p", -1.0, -INF),
        ("log1p", -1.5, NAN),
        ("log1p", -0.0, -0.0),
        ("log1p", 1e-45, 1e-45),
        ("log1p", 3.4e38, np.float32(np.log1p(3.4e38))),
        ("log1p", INF, INF),
        ("sqrt", -0.0, -0.0),
        ("sqrt", -1e-45, NAN),
        ("sqrt", INF, INF),
        ("rsqrt", 0.0, INF),
        ("rsqrt", -0.0, -INF),
        ("rsqrt", INF, 0.0),
        ("rsqrt", -1.0, NAN),
        ("tanh", -0.0, -0.0),
        ("tanh", 1e-45, 1e-45),
        ("tanh", -INF, -1.0),
        ("roundeven", 0.5, 0.0),
        ("roundeven", -1.5, -2.0),
        ("roundeven", 2.5, 2.0),
        ("round", -2.5, -3.0),
        ("floor", -0.0, -0.0),
        ("floor", -1e-45, -1.0),
        ("ceil", -0.5, -0.0),
    ],
)
def test_special_values(name, x, expected):
    got = function(name)(np.array([x], np.float32))
    expected = np.array([expected], np.float32)
    if np.isnan(expected[0]):
        assert np.isnan(got[0])
    else:
        assert got.view(np.uint32)[0] == expected.view(np.uint32)[0]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("pattern", [0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF])
def test_every_nan_gives_a_nan(name, pattern):
    assert np.isnan(function(name)(bits(pattern))[0])


def test_square_roots_of_squares_are_exact():
    k = np.arange(1, 4097, dtype=np.float32)
    assert np.array_equal(function("sqrt")(k * k), k)
    assert np.array_equal(function("sqrt")(k * k * np.float32(2.0**-140)), k * np.float32(2.0**-70))


def power(x: float, exponent: float) -> float:
    """IEEE 754-2019, 9.2.1, where Python raises; numpy's is NaN for (-inf)^0.5."""
    try:
        return math.pow(x, exponent)
    except OverflowError:
        return math.copysign(INF, x if exponent % 2 == 1 else 1)
    except ValueError:  # a zero in the denominator, or the root of a negative number
        return math.copysign(INF, x if exponent % 2 == 1 else 1) if x == 0 else NAN


@pytest.mark.parametrize("exponent", [2, 3, 7, -1, -4, 0.5, -0.5, 2.5, 64])
def test_powers(exponent):
    body = f"%c = arith.constant dense<{float(exponent)}> : vector<16xf32>\n"
    run = compiled(body + "%e = math.powf %v, %c : vector<16xf32>")
    x = np.concatenate(
        [
            np.random.default_rng(0).uniform(-3, 3, 4000).astype(np.float32),
            np.array([0.0, -0.0, 1.0, -1.0, INF, -INF, NAN], np.float32),
        ]
    )
    with np.errstate(over="ignore", under="ignore"):
        expected = np.array([power(float(v), exponent) for v in x]).astype(np.float32)
    y = run(x)
    special = ~np.isfinite(expected) | (expected == 0)
    assert np.array_equal(y[special], expected[special], equal_nan=True)
    normal = ~special & (np.abs(expected) >= SMALLEST_NORMAL)
    relative = np.abs(y[normal] / expected[normal] - 1)
    # Each of at most 11 multiplications rounds, and squaring doubles what came before.
    assert relative.max() < 2**-23 * max(2, abs(exponent))


def test_a_power_of_zero_is_one_even_of_a_nan():
    body = "%c = arith.constant dense<0.0> : vector<16xf32>\n"
    run = compiled(body + "%e = math.powf %v, %c : vector<16xf32>")
    assert run(np.array([2, NAN, INF, 0], np.float32)).tolist() == [1, 1, 1, 1]


def test_copysign():
    run = compiled(
        "%c = arith.constant dense<-2.5> : vector<16xf32>\n"
        "%e = math.copysign %c, %v : vector<16xf32>"
    )
    got = run(np.array([1, -1, 0.0, -0.0, INF, -INF], np.float32))
    assert got.tolist() == [2.5, -2.5, 2.5, -2.5, 2.5, -2.5]


SATURATION = np.array(
    [0, -0.0, 0.99, -0.99, 1.5, -1.5, 127, 128, -128, -129, 255, 256, 2**24 + 2, 2147483520, 2**31]
    + [-(2**31), -(2**31) - 256, 4294967040, 2**32, 3e38, -3e38, 1e-45, INF, -INF, NAN],
    np.float32,
)


@pytest.mark.parametrize(("result", "signed"), [("i32", True), ("i32", False), ("i8", True)])
def test_conversions_to_integers_saturate(result, signed):
    op = "fptosi" if signed else "fptoui"
    run = compiled(f"%e = arith.{op} %v : vector<16xf32> to vector<16x{result}>", result)
    width = int(result[1:])
    low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
    random = np.random.default_rng(0).integers(0, 1 << 32, 100_000, np.uint32).view(np.float32)
    x = np.concatenate([SATURATION, random])
    with np.errstate(invalid="ignore"):  # the signalling ones among the NaNs
        wide = np.nan_to_num(x.astype(np.float64), nan=0.0)
    expected = np.clip(np.trunc(wide), low, high).astype(np.int64)
    got = run(x).astype(np.int64) & ((1 << width) - 1)
    assert np.array_equal(got, expected & ((1 << width) - 1))


@pytest.mark.parametrize("signed", [True, False])
def test_conversions_from_integers_round_to_nearest_even(signed):
    op = "sitofp" if signed else "uitofp"
    run = compiled(
        "%r = arith.bitcast %v : vector<16xf32> to vector<16xi32>\n"
        f"%e = arith.{op} %r : vector<16xi32> to vector<16xf32>"
    )
    corners = [0, 1, 0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 0x7FFFFFC0, 0xFFFFFF80, 1 << 24]
    ties = [(1 << 24) + 1, (1 << 24) + 3, (1 << 25) + 2, (1 << 25) + 6, (1 << 31) + 128]
    random = np.random.default_rng(0).integers(0, 1 << 32, 100_000, np.uint32)
    shifts = np.random.default_rng(1).integers(0, 32, 100_000).astype(np.uint32)
    x = np.concatenate([np.array(corners + ties, np.uint32), random, random >> shifts])
    # As an integer nothing is a NaN: bits go through a float array unchanged.
    expected = x.view(np.int32 if signed else np.uint32).astype(np.float32)
    assert np.array_equal(run(x.view(np.float32)).view(np.uint32), expected.view(np.uint32))


def test_the_comparison_rejects_what_is_wrong():
    good = np.exp(np.linspace(-5, 5, 100)).astype(np.float32)
    off = (good.view(np.uint32) + 3).view(np.float32)
    assert np.abs(ordered(off) - ordered(good)).min() == 3
    assert np.abs(ordered(-good) - ordered(good)).min() > 2
    assert np.abs(ordered(good[::-1].copy()) - ordered(good)).max() > 2
    assert ordered(np.array([0.0, -0.0, 1e-45, -1e-45], np.float32)).tolist() == [0, 0, 1, -1]
