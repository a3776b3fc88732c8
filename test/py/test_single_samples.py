# SPDX-License-Identifier: Apache-2.0
"""Single samples, in vectors along the outputs of a layer: the bits of a sample in a lane."""

import numpy as np
import pytest
from test_evaluation import same_bits

from asnet_mlir.binding import Binding
from asnet_mlir.evaluation import CompiledNetwork, Evaluator, evaluator
from asnet_mlir.frontends.jax import from_jax_function

RULES = [[], ["mulf=fmul_trunc:P=12", "addf=fadd_trunc:P=4"]]


def convolutions(layout: str, filters: int):
    """A network of convolutions (one of them depthwise), pools, reshapes and softmax."""
    import jax

    rng = np.random.default_rng(filters)
    last = layout == "NHWC"
    kernel_layout = "HWIO" if last else "OIHW"
    shape = (9, 8, 3) if last else (3, 9, 8)
    kernels = [(3, 3, 3, filters), (3, 3, 1, filters)]
    if not last:
        kernels = [tuple(np.array(k)[[3, 2, 0, 1]]) for k in kernels]
    weights = [rng.standard_normal(k).astype(np.float32) for k in kernels]
    dense = rng.standard_normal((filters, 10)).astype(np.float32)

    def forward(x, first, second, dense):
        for name, kernel, groups in (("a", first, 1), ("b", second, filters)):
            with jax.named_scope(name):
                x = jax.lax.conv_general_dilated(
                    *(x, kernel, (1, 1), "SAME"),
                    dimension_numbers=(layout, kernel_layout, layout),
                    feature_group_count=groups,
                )
                x = jax.nn.relu(x + 0.25)
        with jax.named_scope("pool"):
            window = (1, 2, 2, 1) if last else (1, 1, 2, 2)
            x = jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, window, "VALID")
            x = x.sum((1, 2) if last else (2, 3))
        with jax.named_scope("dense"):
            return jax.nn.softmax(x @ dense / 100)

    example = (np.zeros((1, *shape), np.float32), *weights, dense)
    return from_jax_function(forward, example, name="single"), shape


@pytest.mark.parametrize(
    ("layout", "filters", "rules"),
    [("NHWC", 16, RULES[0]), ("NHWC", 24, RULES[1]), ("NCHW", 7, RULES[1])],
)
def test_a_single_sample_has_the_bits_of_one_in_a_lane(layout, filters, rules) -> None:
    network, shape = convolutions(layout, filters)
    compiled, binding = CompiledNetwork(network), Binding.parse(rules)
    single = compiled.of_one_sample()
    assert compiled.lanes > 1 == single.lanes
    assert single.of_one_sample() is None
    x = np.random.default_rng(0).standard_normal((5, *shape)).astype(np.float32)
    x.reshape(5, -1)[3, :6] = [np.inf, -0.0, 1e-40, np.nan, -np.inf, 3e38]
    expected = Evaluator(compiled, binding).outputs(x)
    assert same_bits(Evaluator(single, binding).outputs(x), expected)
    assert len(np.unique(expected[:3])) > 20


def test_few_samples_get_code_of_their_own_once_it_pays(monkeypatch) -> None:
    network, shape = convolutions("NHWC", 8)
    x = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    subject = Evaluator(network)
    expected = subject.outputs(x)
    assert subject._single is None  # what it took is less than to compile again
    monkeypatch.setattr(evaluator, "_SECONDS_OF_FEW", 0.0)
    assert same_bits(subject.outputs(x), expected)
    assert subject._single is not None
    other = {network.weights[-1].name: np.zeros_like(network.weights[-1].value)}
    changed = subject.outputs(x, other)
    assert same_bits(changed, Evaluator(network).outputs(x, other))
    assert not same_bits(changed, expected)
    many = np.concatenate([x] * 4)
    assert same_bits(subject.outputs(many), np.concatenate([expected] * 4))
