# SPDX-License-Identifier: Apache-2.0
"""Every function of the machine's plain logic against its definition, corners included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asnet_mlir.hardware.bundle.write import write_bundle
from asnet_mlir.hardware.schedule.registers import FEWEST, MOST, Registers
from asnet_mlir.hardware.simulation.simulate import simulate

NAN = 0x7FC00000
CORNERS = [
    *(0, 1 << 31, 1, 0x80000001, 0x007FFFFF, 0x807FFFFF, 0x00800000, 0x3F800000, 0xBF800000),
    *(0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000, NAN, 31, 32, 33, 23),
]
WORDS = 14  # a sample: so many operands a, then as many b

Bits = np.ndarray
Function = Callable[[Bits, Bits], Bits]


def canonical(bits: Bits) -> Bits:
    return np.where(np.isnan(bits.astype(np.uint32).view(np.float32)), np.uint32(NAN), bits)


def signed(bits: Bits) -> Bits:
    return bits.view(np.int32)


def shifted(function: Callable[[Bits, Bits], Bits]) -> Function:
    # Amounts are masked to 0..31 by the network: others are poison in MLIR.
    return lambda a, b: function(a, b & np.uint32(31)).astype(np.uint32)


INTEGER: dict[str, Function] = {
    "andi": lambda a, b: a & b,
    "ori": lambda a, b: a | b,
    "xori": lambda a, b: a ^ b,
    "addi": lambda a, b: a + b,
    "subi": lambda a, b: a - b,
    "muli": lambda a, b: a * b,
    "maxsi": lambda a, b: np.maximum(signed(a), signed(b)).view(np.uint32),
    "minsi": lambda a, b: np.minimum(signed(a), signed(b)).view(np.uint32),
    "maxui": np.maximum,
    "minui": np.minimum,
    "shli": shifted(lambda a, b: a << b),
    "shrui": shifted(lambda a, b: a >> b),
    "shrsi": shifted(lambda a, b: signed(a) >> signed(b)),
}
CMPI: dict[str, Function] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "slt": lambda a, b: signed(a) < signed(b),
    "sle": lambda a, b: signed(a) <= signed(b),
    "sgt": lambda a, b: signed(a) > signed(b),
    "sge": lambda a, b: signed(a) >= signed(b),
    "ult": lambda a, b: a < b,
    "ule": lambda a, b: a <= b,
    "ugt": lambda a, b: a > b,
    "uge": lambda a, b: a >= b,
}
ORDERED = {
    "eq": np.equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "lt": np.less,
    "le": np.less_equal,
    "ne": np.not_equal,
}


def compare(predicate: str) -> Function:
    def function(a: Bits, b: Bits) -> Bits:
        x, y = a.view(np.float32), b.view(np.float32)
        unordered = np.isnan(x) | np.isnan(y)
        if predicate in ("uno", "ord"):
            return unordered if predicate == "uno" else ~unordered
        result = ORDERED[predicate[1:]](x, y)
        return (result | unordered) if predicate[0] == "u" else (result & ~unordered)

    return function


CMPF = {
    predicate: compare(predicate)
    for predicate in ("uno", "ord", *(kind + name for kind in "ou" for name in ORDERED))
}


def negated(a: Bits, _: Bits) -> Bits:
    return np.where(np.isnan(a.view(np.float32)), np.uint32(NAN), a ^ np.uint32(1 << 31))


def bodies() -> list[tuple[str, Function]]:
    """Return a body that makes %r of %a and %b, and what it computes, for every function."""
    integers = "%i = arith.bitcast %a : f32 to i32\n    %j = arith.bitcast %b : f32 to i32\n    "
    back = "\n    %r = arith.bitcast %k : i32 to f32"
    one_or_zero = (
        "\n    %one = arith.constant 1.0 : f32\n    %zero = arith.constant 0.0 : f32"
        "\n    %r = arith.select %k, %one, %zero : f32"
    )
    chosen: list[tuple[str, Function]] = []
    for name, function in INTEGER.items():
        mask = ""
        right = "%j"
        if name.startswith("sh"):
            mask = "%m = arith.constant 31 : i32\n    %s = arith.andi %j, %m : i32\n    "
            right = "%s"
        text = f"{integers}{mask}%k = arith.{name} %i, {right} : i32{back}"
        chosen.append((text, lambda a, b, f=function: canonical(f(a, b))))
    for amount in (1, 23):  # by a constant: wires
        text = (
            f"{integers}%m = arith.constant {amount} : i32\n    %k = arith.shrui %i, %m : i32{back}"
        )
        chosen.append((text, lambda a, b, n=amount: canonical(a >> np.uint32(n))))
    for name, function in CMPI.items():
        text = f"{integers}%k = arith.cmpi {name}, %i, %j : i32{one_or_zero}"
        chosen.append((text, lambda a, b, f=function: np.where(f(a, b), 0x3F800000, 0)))
    for name, function in CMPF.items():
        text = f"%k = arith.cmpf {name}, %a, %b : f32{one_or_zero}"
        chosen.append((text, lambda a, b, f=function: np.where(f(a, b), 0x3F800000, 0)))
    chosen.append(("%r = arith.negf %a : f32", negated))
    # A bit becomes a word, and a word a bit.
    text = (
        f"{integers}%c = arith.cmpi slt, %i, %j : i32\n    %w = arith.extui %c : i1 to i32\n    "
        f"%n = arith.addi %w, %i : i32\n    %t = arith.trunci %n : i32 to i1\n    "
        "%k = arith.xori %t, %c : i1" + one_or_zero
    )
    chosen.append(
        (
            text,
            lambda a, b: np.where(
                ((signed(a) < signed(b)) + a & 1) != (signed(a) < signed(b)), 0x3F800000, 0
            ),
        )
    )
    return chosen


def network(texts: list[str]) -> str:
    t = f"tensor<1x{WORDS}xf32>"
    same = "affine_map<(n, i) -> (n, i)>"
    ops = "\n".join(
        f"""  %r{index} = linalg.generic {{indexing_maps = [{same}, {same}, {same}],
      iterator_types = ["parallel", "parallel"]}}
      ins(%p, %q : {t}, {t}) outs(%e : {t}) {{
  ^bb0(%a: f32, %b: f32, %o: f32):
    {text}
    linalg.yield %r : f32
  }} -> {t}"""
        for index, text in enumerate(texts)
    )
    results = ", ".join(f"%r{index}" for index in range(len(texts)))
    types = ", ".join([t] * len(texts))
    return f"""
func.func @main(%x: tensor<1x{2 * WORDS}xf32> {{approx.role = "input"}}) -> ({types}) {{
  %e = tensor.empty() : {t}
  %p = tensor.extract_slice %x[0, 0] [1, {WORDS}] [1, 1]
      : tensor<1x{2 * WORDS}xf32> to {t}
  %q = tensor.extract_slice %x[0, {WORDS}] [1, {WORDS}] [1, 1]
      : tensor<1x{2 * WORDS}xf32> to {t}
{ops}
  return {results} : {types}
}}
"""


@pytest.mark.parametrize("registers", [FEWEST, MOST], ids=["fewest", "most"])
def test_every_function_is_that_of_its_operation(tmp_path: Path, registers: Registers) -> None:
    cases = bodies()
    text = network([text for text, _ in cases])
    folder = tmp_path / "bundle"
    manifest = write_bundle(text, {}, {}, folder, name="plain", registers=registers)
    assert manifest["memories"]["weights"]["words"] == 0
    rng = np.random.default_rng(7)
    pairs = np.array(np.meshgrid(CORNERS, CORNERS), np.uint32).reshape(2, -1)
    random = rng.integers(0, 1 << 32, (2, 2000), np.uint32)
    equal = np.repeat(rng.integers(0, 1 << 32, (1, 100), np.uint32), 2, axis=0)
    pairs = canonical(np.concatenate([pairs, random, equal], axis=1)).astype(np.uint32)
    samples = pairs.shape[1] // WORDS
    a, b = (row[: samples * WORDS].reshape(samples, WORDS) for row in pairs)
    result = simulate(tmp_path / "bundle", np.concatenate([a, b], axis=1).view(np.float32))
    got = result.outputs.reshape(samples, len(cases), WORDS)
    for index, (text, function) in enumerate(cases):
        expected = function(a, b).astype(np.uint32)
        wrong = np.argwhere(got[:, index] != expected)
        assert not len(wrong), [
            f"{text}: {a[i, j]:08x} {b[i, j]:08x}: {got[i, index, j]:08x} not {expected[i, j]:08x}"
            for i, j in wrong[:5]
        ]
