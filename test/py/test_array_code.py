# SPDX-License-Identifier: Apache-2.0
"""What numpy computes of weights has the bits of the scalar reference."""

from __future__ import annotations

import numpy as np
import pytest
from test_evaluation import same_bits

from asnet_mlir.compiler import TO_APPROX
from asnet_mlir.errors import UnsupportedError
from asnet_mlir.frontends.array_code import compute_arrays
from asnet_mlir.ir import main_function, module_from_text, run_passes
from asnet_mlir.reference import to_native

_N = 4096


def _elementwise(body: str, result: str = "f32") -> str:
    map = "affine_map<(d0) -> (d0)>"
    return f"""
      func.func @main(%a: tensor<{_N}xf32>, %b: tensor<{_N}xf32>) -> tensor<{_N}x{result}> {{
        %e = tensor.empty() : tensor<{_N}x{result}>
        %one = arith.constant 1.0 : f32
        %c3 = arith.constant 3 : i32
        %0 = linalg.generic {{indexing_maps = [{map}, {map}, {map}],
            iterator_types = ["parallel"]}} ins(%a, %b : tensor<{_N}xf32>, tensor<{_N}xf32>)
            outs(%e : tensor<{_N}x{result}>) {{
        ^bb0(%x: f32, %y: f32, %o: {result}):
          {body}
          linalg.yield %r : {result}
        }} -> tensor<{_N}x{result}>
        return %0 : tensor<{_N}x{result}>
      }}"""


def _both(text, *arguments, dtype=np.float32):
    """What numpy and what compiled scalar code make of the arguments."""
    with module_from_text(text) as module:
        run_passes(module, TO_APPROX, "test")
        main = main_function(module)
        shape = tuple(main.attributes["function_type"].value.results[0].shape)
        (got,) = compute_arrays(main, arguments)
        expected = np.empty(shape, dtype)
        to_native(str(module), "")("main", *arguments, expected)
    return got, expected


def _patterns(seed: int) -> np.ndarray:
    """float32 of all exponents, subnormal ones, zeros and infinities among them, without NaNs."""
    bits = np.random.default_rng(seed).integers(0, 1 << 32, _N, np.uint32)
    bits[:8] = [0, 0x80000000, 0x7F800000, 0xFF800000, 1, 0x80000001, 0x7FFFFF, 0x7F7FFFFF]
    values = bits.view(np.float32)
    return np.where(np.isnan(values), np.float32(1.5), values)


@pytest.mark.parametrize(
    "function",
    ["math.rsqrt %x", "math.sqrt %x", "math.exp %x", "math.tanh %x", "math.log %x", "math.absf %x"]
    + ["arith.addf %x, %y", "arith.subf %x, %y", "arith.mulf %x, %y", "arith.divf %x, %y"],
)
def test_functions_of_floats(function):
    got, expected = _both(_elementwise(f"%r = {function} : f32"), _patterns(1), _patterns(2))
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(got), nan)
    assert same_bits(got[~nan], expected[~nan])


@pytest.mark.parametrize("predicate", ["oeq", "ogt", "ole", "one", "ord", "ueq", "ult", "uno"])
def test_comparisons_of_floats(predicate):
    a, b = _patterns(3), _patterns(4)
    a[::5], b[::7] = b[::5], np.nan
    body = f"%c = arith.cmpf {predicate}, %x, %y : f32\n %r = arith.select %c, %x, %one : f32"
    assert same_bits(*_both(_elementwise(body), a, b))


@pytest.mark.parametrize("predicate", ["eq", "slt", "sge", "ult", "uge"])
@pytest.mark.parametrize("operation", ["shrui", "shrsi", "shli", "muli", "subi"])
def test_integers(operation, predicate):
    body = f"""
      %i = arith.bitcast %x : f32 to i32
      %j = arith.bitcast %y : f32 to i32
      %k = arith.{operation} %i, %c3 : i32
      %c = arith.cmpi {predicate}, %k, %j : i32
      %w = arith.extui %c : i1 to i32
      %r = arith.xori %k, %w : i32"""
    text = _elementwise(body, "i32")
    assert same_bits(*_both(text, _patterns(5), _patterns(6), dtype=np.int32))


def _sum(terms: int) -> str:
    return f"""
      func.func @main(%a: tensor<{terms}x3xf32>) -> tensor<3xf32> {{
        %z = arith.constant dense<0.0> : tensor<3xf32>
        %0 = linalg.generic {{indexing_maps = [affine_map<(d0, d1) -> (d1, d0)>,
            affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]}}
            ins(%a : tensor<{terms}x3xf32>) outs(%z : tensor<3xf32>) {{
        ^bb0(%x: f32, %o: f32):
          %s = arith.addf %o, %x : f32
          linalg.yield %s : f32
        }} -> tensor<3xf32>
        return %0 : tensor<3xf32>
      }}"""


def test_a_sum_keeps_its_order():
    a = np.random.default_rng(7).standard_normal((37, 3)).astype(np.float32)
    got, expected = _both(_sum(37), a)
    assert same_bits(got, expected)
    assert not same_bits(got, a.astype(np.float64).sum(0).astype(np.float32))


_PLACES = """
  func.func @main(%a: tensor<4x5xf32>) -> tensor<7x9xf32> {
    %z = arith.constant 2.5 : f32
    %p = tensor.pad %a low[1, 0] high[2, 4] {
    ^bb0(%i: index, %j: index):
      tensor.yield %z : f32
    } : tensor<4x5xf32> to tensor<7x9xf32>
    %s = tensor.extract_slice %a[3, 0] [1, 3] [1, 2] : tensor<4x5xf32> to tensor<3xf32>
    %r = tensor.insert_slice %s into %p[2, 5] [3, 1] [2, 1] : tensor<3xf32> into tensor<7x9xf32>
    return %r : tensor<7x9xf32>
  }"""


def test_padding_and_slices():
    assert same_bits(*_both(_PLACES, _patterns(8)[:20].reshape(4, 5)))


@pytest.mark.parametrize(
    "text",
    [_sum(200_003), _elementwise("%r = arith.maximumf %x, %y : f32")],
    ids=["many terms", "an op that numpy does otherwise"],
)
def test_what_is_not_computed_is_refused_before_it_is_begun(text):
    with module_from_text(text) as module:
        run_passes(module, TO_APPROX, "test")
        function = main_function(module)
        with pytest.raises(UnsupportedError):
            compute_arrays(function, [np.empty(0)] * len(function.regions[0].blocks[0].arguments))
