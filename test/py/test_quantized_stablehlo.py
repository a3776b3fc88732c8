# SPDX-License-Identifier: Apache-2.0
"""StableHLO files with quantised types compute on integer codes."""

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.emit import compile
from asnet_mlir.evaluation import CompiledNetwork, Evaluator
from asnet_mlir.frontends import load_model

DENSE = """
!q = tensor<2x4x!quant.uniform<i8:f32, 0.125:3>>
!w = tensor<4x3x!quant.uniform<i8<-127:127>:f32, 0.25>>
!a = tensor<2x3x!quant.uniform<i32:f32, 0.03125>>
!o = tensor<2x3x!quant.uniform<i8:f32, 0.5:-4>>
func.func public @main(%x: tensor<2x4xf32>) -> tensor<2x3xf32> {
  %0 = stablehlo.uniform_quantize %x : (tensor<2x4xf32>) -> !q
  %w = stablehlo.constant() {value = dense<[[1,2,3],[4,5,6],[7,8,9],[-1,-2,-3]]> : tensor<4x3xi8>}
    : () -> !w
  %1 = stablehlo.dot_general %0, %w, contracting_dims = [1] x [0] : (!q, !w) -> !a
  %2 = stablehlo.uniform_quantize %1 : (!a) -> !o
  %3 = stablehlo.uniform_dequantize %2 : (!o) -> tensor<2x3xf32>
  return %3 : tensor<2x3xf32>
}
"""


def test_dense(tmp_path):
    path = tmp_path / "net.mlir"
    path.write_text(DENSE)
    network = load_model(path)
    x = np.random.default_rng(0).normal(0, 6, (2, 4)).astype(np.float32)
    codes = np.clip(np.rint(x / 0.125) + 3, -128, 127).astype(np.int64)
    weights = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [-1, -2, -3]])
    sums = (codes - 3) @ weights
    expected = 0.5 * (np.clip(np.rint(sums * 0.03125 / 0.5) - 4, -128, 127) + 4)
    got = Evaluator(CompiledNetwork(network), Binding()).outputs(x)
    np.testing.assert_array_equal(got, expected.astype(np.float32))
    assert "approx.muli" in compile(network, emit="approx")
