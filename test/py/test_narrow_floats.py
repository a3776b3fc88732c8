# SPDX-License-Identifier: Apache-2.0
"""Arithmetic and functions on bf16 and f16 in native code, against exact arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.operands import corner_pairs, exact_float, random_pairs
from asnet_mlir.ir import module_from_text, run_passes
from asnet_mlir.support.formats import BF16, F16, F32, FLOAT_OPS, OP_KINDS

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast")

NARROW = pytest.mark.parametrize("kind", [BF16, F16], ids=str)


def expanded(text):
    with module_from_text(text) as module:
        run_passes(module, "builtin.module(approx-expand-math,convert-approx-to-calls)", "test")
        return "\n".join(str(op) for op in module.body.operations)


@NARROW
@pytest.mark.parametrize("op", FLOAT_OPS)
def test_arithmetic_is_rounded_once(kind, op):
    """Subnormals are kept, which x86's own rounding to bf16 flushes."""
    text = f"""func.func private @f(%a: i16, %b: i16) -> i16 {{
      %x = arith.bitcast %a : i16 to {kind}
      %y = arith.bitcast %b : i16 to {kind}
      %z = {OP_KINDS[op].exact} %x, %y : {kind}
      %r = arith.bitcast %z : {kind} to i16
      return %r : i16
    }}"""
    kernel = compile_elementwise({"f": text})
    pairs = [corner_pairs(kind), random_pairs(1 << 18, 1, kind.name)]
    a, b = (np.concatenate(side) for side in zip(*pairs, strict=True))
    got, want = kernel("f", a, b), exact_float(kind, op, a, b)
    wrong = kind.canonical(got) != want
    assert not wrong.any(), [hex(v[wrong][0]) for v in (a, b, got, want)]


@NARROW
def test_rounding_of_f32(kind):
    text = expanded(f"""func.func private @f(%a: i32, %b: i32) -> i16 {{
      %x = arith.bitcast %a : i32 to f32
      %y = arith.truncf %x : f32 to {kind}
      %r = arith.bitcast %y : {kind} to i16
      return %r : i16
    }}""")
    rng = np.random.default_rng(2)
    # Every number of the format, the points halfway to the next, and their neighbours.
    numbers = np.arange(1 << 16, dtype=np.uint32)
    wide = kind.to_float64(numbers.astype(np.uint16)).astype(np.float32).view(np.uint32)
    half = np.uint32(1 << F32.fraction_bits - kind.fraction_bits - 1)
    near = np.concatenate([wide + half + np.uint32(d) for d in (0, 1, -1 & 0xFFFFFFFF)])
    small = rng.integers(0, 1 << 32, 1 << 18, dtype=np.uint32) & np.uint32(0xB8FFFFFF)
    words = np.concatenate([wide, near, small, rng.integers(0, 1 << 32, 1 << 19, dtype=np.uint32)])
    got = compile_elementwise({"f": text})("f", words, words)
    want = kind.round(words.view(np.float32).astype(np.float64))
    wrong = got != want
    assert not wrong.any(), [hex(v[wrong][0]) for v in (words, got, want)]


@NARROW
def test_functions_are_those_of_f32(kind):
    """All operands: the function of f32 on the extended number, rounded."""

    def text(name, element, bits):
        return expanded(f"""func.func private @{name}(%a: {bits}, %b: {bits}) -> {bits} {{
          %x = arith.bitcast %a : {bits} to {element}
          %y = math.exp %x : {element}
          %r = arith.bitcast %y : {element} to {bits}
          return %r : {bits}
        }}""")

    texts = {"narrow": text("narrow", kind, "i16"), "wide": text("wide", "f32", "i32")}
    kernel = compile_elementwise(texts)
    numbers = np.arange(1 << 16, dtype=np.uint16)
    wide = kind.to_float64(numbers).astype(np.float32).view(np.uint32)
    got = kernel("narrow", numbers, numbers)
    want = kind.round(kernel("wide", wide, wide).view(np.float32).astype(np.float64))
    assert (got == want).all()
    assert got[kind.is_nan(numbers)].tolist() == [kind.canonical_nan] * kind.is_nan(numbers).sum()
