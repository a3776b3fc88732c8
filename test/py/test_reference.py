# SPDX-License-Identifier: Apache-2.0
"""The reference stage by stage: the bits of one module, equal stages compiled once and kept."""

import numpy as np
import pytest
from conftest import make_mlp

from asnet_mlir import reference
from asnet_mlir.binding import Binding
from asnet_mlir.compiler import bind, model_texts, to_approx
from asnet_mlir.frontends.jax import from_jax_function

IDENTITY = """module {
func.func @main(%x: tensor<1x3xf32>, %w: tensor<3xf32> {approx.weight = "w"})
    -> (tensor<1x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>) {
  %empty = tensor.empty() : tensor<1x3xf32>
  %sums = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>,
                       affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%x, %w : tensor<1x3xf32>, tensor<3xf32>) outs(%empty : tensor<1x3xf32>) {
  ^bb0(%a: f32, %b: f32, %unused: f32):
    %sum = arith.addf %a, %b : f32
    linalg.yield %sum : f32
  } -> tensor<1x3xf32>
  return %sums, %x, %sums : tensor<1x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>
}
}
"""


@pytest.mark.parametrize("rules", [[], ["mulf=fmul_trunc:P=12", "addf@layer1=fadd_trunc:P=8"]])
def test_stages_give_the_bits_of_one_module(rules, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path))
    function, arguments = make_mlp((7, 7, 7, 7, 3), 5)
    network = from_jax_function(function, arguments, name="deep")
    binding = Binding.parse(rules)
    bound, models = bind(to_approx(network, 1), binding), model_texts(binding.instances)
    weights = [weight.value for weight in network.weights]
    x = np.random.default_rng(1).standard_normal((4, 7)).astype(np.float32)
    x[3, 2] = np.inf

    compiled = []
    compile_object = reference.compile_object
    monkeypatch.setattr(
        reference, "compile_object", lambda *a: compiled.append(1) or compile_object(*a)
    )
    whole = reference.to_native(bound, models)
    staged = reference.StagedReference(bound, models)
    assert 0 < len(compiled) < len(staged.parts)
    made = len(compiled)
    again = reference.StagedReference(bound, models)
    assert len(compiled) == made
    for sample in np.split(x, len(x)):
        results = [np.zeros((1, 3), np.float32) for _ in range(3)]
        whole("main", sample, *weights, results[0])
        staged([sample], weights, [results[1]])
        again([sample], weights, [results[2]])
        for result in results[1:]:
            np.testing.assert_array_equal(result.view(np.uint32), results[0].view(np.uint32))


def test_outputs_that_are_inputs_or_twice_the_same_value(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path))
    x, w = np.float32([[1, 2, 3]]), np.float32([4, 5, 6])
    outputs = [np.zeros((1, 3), np.float32) for _ in range(3)]
    reference.StagedReference(IDENTITY, "")([x], [w], outputs)
    np.testing.assert_array_equal(outputs, [x + w, x, x + w])
