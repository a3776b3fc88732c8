# SPDX-License-Identifier: Apache-2.0
"""The evaluator: equal bits whatever the batch, the threads and the vectors."""

import numpy as np
import pytest
from conftest import make_mlp
from hypothesis import given, settings
from hypothesis import strategies as st

from asnet_mlir.binding import Binding
from asnet_mlir.compiler import bind, model_texts, to_approx
from asnet_mlir.data import Dataset
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation import CompiledNetwork, Evaluator, evaluate
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.metrics import Output, make_judge
from asnet_mlir.reference import to_native

SPECIAL = np.array(
    [0.0, -0.0, 1e-40, -1e-45, 1.5, -3e38, 3e38, np.inf, -np.inf, np.nan], np.float32
)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal word for word, any NaN equal to any."""
    nan = np.isnan(a) & np.isnan(b)
    return bool(np.all((a.view(np.uint32) == b.view(np.uint32)) | nan))


def test_the_comparison_rejects_what_it_must():
    a = np.array([1.0, 2.0, np.nan], np.float32)
    assert same_bits(a, a.copy())
    assert not same_bits(np.float32([0.0]), np.float32([-0.0]))
    assert not same_bits(a, a[[1, 0, 2]])
    assert not same_bits(a, np.array([1.0, np.nextafter(np.float32(2), 3), np.nan], np.float32))
    assert not same_bits(a, np.array([1.0, 2.0, 3.0], np.float32))


def scalar_outputs(network, binding: Binding, x: np.ndarray) -> np.ndarray:
    """The network as scalar loops in the defined order, all samples in one batch."""
    text = bind(to_approx(network, len(x)), binding)
    y = np.empty((len(x), *network.output_shape), np.float32)
    weights = [w.value for w in network.weights]
    models = model_texts(binding.instances)
    to_native(text, models)("main", x, *weights, y)
    return y


@settings(max_examples=12, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=4),
    count=st.integers(1, 70),
    rules=st.sampled_from(
        [[], ["mulf=fmul_trunc:P=11"], ["mulf@layer0=fmul_trunc:P=21", "divf=fdiv_trunc:P=22"]]
    ),
    seed=st.integers(0, 2**31),
)
def test_vectorized_equals_scalar(sizes, count, rules, seed):
    function, arguments = make_mlp(tuple(sizes), seed)
    network = from_jax_function(function, arguments, name="random")
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, sizes[0])).astype(np.float32)
    special = rng.random(x.shape) < 0.02
    x[special] = rng.choice(SPECIAL, special.sum())
    binding = Binding.parse(rules)
    assert same_bits(Evaluator(network, binding).outputs(x), scalar_outputs(network, binding, x))


@pytest.mark.parametrize(
    ("strides", "padding", "dilation", "groups"),
    [(1, "VALID", 1, 1), (2, "SAME", 1, 1), (1, "SAME", 2, 2), ((2, 1), "VALID", 1, 4)],
)
def test_convolutions_vectorized_equal_scalar(strides, padding, dilation, groups):
    import jax

    strides = (strides, strides) if isinstance(strides, int) else strides
    rng = np.random.default_rng(8)
    kernel = rng.standard_normal((3, 2, 4 // groups, 12)).astype(np.float32)

    def forward(x, w):
        y = jax.lax.conv_general_dilated(
            *(x, w, strides, padding),
            rhs_dilation=(dilation, dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )
        y = jax.lax.reduce_window(y, -np.inf, jax.lax.max, (1, 2, 3, 1), (1, 2, 1, 1), "VALID")
        return y.sum(axis=(1, 2))

    network = from_jax_function(forward, (np.zeros((1, 9, 11, 4), np.float32), kernel))
    x = rng.standard_normal((19, 9, 11, 4)).astype(np.float32)
    x[3, 2, 1] = [np.inf, -0.0, 1e-40, np.nan]
    binding = Binding.parse(["mulf=fmul_trunc:P=13"])
    got = Evaluator(network, binding).outputs(x)
    assert same_bits(got, scalar_outputs(network, binding, x))
    exact = Evaluator(network).outputs(x)
    np.testing.assert_allclose(exact[:3], np.asarray(forward(x, kernel))[:3], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("filters", "stride", "size"), [(6, 1, (9, 11)), (13, 2, (8, 7))])
def test_convolutions_of_channels_first_equal_scalar(filters, stride, size):
    """Tiles of filters and pixels whose dimensions are not the innermost ones."""
    import jax

    rng = np.random.default_rng(filters)
    kernel = rng.standard_normal((filters, 4, 3, 3)).astype(np.float32)

    def forward(x, w):
        y = jax.lax.conv_general_dilated(x, w, (stride, stride), "SAME")
        return jax.nn.relu(y + 0.5)

    network = from_jax_function(forward, (np.zeros((1, 4, *size), np.float32), kernel))
    x = rng.standard_normal((18, 4, *size)).astype(np.float32)
    x[3, 2, 1, :4] = [np.inf, -0.0, 1e-40, np.nan]
    binding = Binding.parse(["mulf=fmul_trunc:P=13"])
    got = Evaluator(network, binding).outputs(x)
    assert same_bits(got, scalar_outputs(network, binding, x))
    assert len(np.unique(got[:3])) > 100


@pytest.mark.parametrize("sizes", [(8, 3), (5, 7), (16, 4), (24, 33)])
def test_reversed_dimensions(sizes):
    """Blocks of a loop that goes backwards through what it reads."""
    rng = np.random.default_rng(sizes[0])
    weight = rng.standard_normal(sizes).astype(np.float32)
    x = rng.standard_normal((40, sizes[0])).astype(np.float32)
    network = from_jax_function(lambda x: (x * 10)[:, ::-1] @ weight, (x[:1],))
    expected = (x.astype(float) * 10)[:, ::-1] @ weight
    np.testing.assert_allclose(Evaluator(network).outputs(x), expected, rtol=0, atol=1e-4)
    images = rng.standard_normal((17, *sizes, 2)).astype(np.float32)
    flipped = from_jax_function(lambda x: (x * 10)[:, ::-1, ::-1].sum(-1), (images[:1],))
    expected = (images.astype(float) * 10)[:, ::-1, ::-1].sum(-1)
    np.testing.assert_allclose(Evaluator(flipped).outputs(images), expected, rtol=0, atol=1e-4)


def test_dense_is_summed_in_order_without_fma():
    """Against numpy, step by step: 28 blocks of 28 products, then the blocks, bias last."""
    network = load_model("classification_mnist")
    kernel, bias = (w.value for w in network.weights)
    logits = from_jax_function(
        lambda x, w, b: x @ w + b, (np.zeros((1, 784), np.float32), kernel, bias)
    )
    x = np.random.default_rng(3).random((50, 784), dtype=np.float32)

    def summed(steps):
        total = np.zeros((50, 10), np.float32)
        for block in range(28):
            part = np.zeros((50, 10), np.float32)
            for k in steps:
                k = block * 28 + k
                part = part + x[:, k : k + 1] * kernel[k]
            total = total + part
        return total + bias

    total = summed(range(28))
    assert same_bits(Evaluator(logits).outputs(x), total)
    # The same products in another order differ, so that this test can fail.
    assert not same_bits(summed(range(27, -1, -1)), total)


def test_outputs_do_not_depend_on_batch_or_threads(mlp):
    x = np.random.default_rng(0).standard_normal((600, 13)).astype(np.float32)
    whole = Evaluator(mlp, threads=1).outputs(x)
    assert same_bits(Evaluator(mlp, threads=3).outputs(x), whole)
    single = Evaluator(mlp)
    for i in (0, 1, 255, 256, 599):
        assert same_bits(single.outputs(x[i : i + 1]), whole[i : i + 1])
    assert same_bits(single.outputs(x[::-1].copy())[::-1].copy(), whole)


def test_truncation_is_masking_of_both_operands(mlp):
    """One product, by hand."""
    product = from_jax_function(
        lambda x, w: x * w, (np.zeros((1, 64), np.float32), np.ones(64, np.float32))
    )
    rng = np.random.default_rng(1)
    x, w = (rng.standard_normal((1, 64)).astype(np.float32) for _ in range(2))
    network = from_jax_function(lambda x, w: x * w, (x, w[0]))
    assert product.input_shape == network.input_shape
    for p in (0, 5, 22):
        mask = np.uint32(0xFFFFFFFF << p & 0xFFFFFFFF)
        expected = (x.view(np.uint32) & mask).view(np.float32) * (w.view(np.uint32) & mask).view(
            np.float32
        )
        got = Evaluator(network, Binding.parse([f"mulf=fmul_trunc:P={p}"])).outputs(x)
        assert same_bits(got, expected)


def test_masks_as_arguments_equal_masks_as_constants(mlp):
    """One piece of native code serves every P; each gives what its own constants give."""
    compiled = CompiledNetwork(mlp)
    x = np.random.default_rng(2).standard_normal((64, 13)).astype(np.float32)
    seen = set()
    for p, q in ((0, 22), (3, 0), (22, 22), (12, 7)):
        binding = Binding.parse([f"mulf=fmul_trunc:P={p}", f"divf=fdiv_trunc:P={q}"])
        got = Evaluator(compiled, binding).outputs(x)
        assert same_bits(got, scalar_outputs(mlp, binding, x)), (p, q)
        seen.add(got.tobytes())
    assert len(seen) == 4
    assert compiled.native_stages == len(compiled.stages)


def test_accuracy_rules():
    outputs = np.array([[1, 1, 0], [0, 1, 1], [np.nan, 5, 1], [0, 0, 7]], np.float32)
    judge = make_judge("accuracy", np.array([0, 1, 1, 2]), Output((3,)), "d")
    assert judge.value(outputs) == 0.75  # ties: lowest; a NaN row is wrong
    judge = make_judge("accuracy", np.array([1, 2, 0, 0]), Output((3,)), "d")
    assert judge.value(outputs) == 0.0


def test_parts_of_the_samples_have_the_same_rules():
    """Ties, NaNs at the label's place and elsewhere, a part of the samples."""
    outputs = np.array(
        [[1, 1, 0], [0, 1, 1], [np.nan, 5, 1], [5, np.nan, 1], [0, 0, 7]], np.float32
    )
    labels = np.array([0, 1, 1, 1, 2])
    data = Dataset("d", np.zeros((5, 13), np.float32), labels)

    judge = make_judge(None, data.y, Output((3,)), "d")
    assert judge.count(outputs).tolist() == [True, True, False, False, True]
    assert judge.count(outputs[1:4], 1).tolist() == [True, False, False]
    assert judge.value(outputs) == 0.6


def test_p0_equals_exact():
    x = "mnist:test:2000"
    exact = evaluate("classification_mnist", x).accuracy
    for rules in (["mulf=fmul_trunc:P=0"], ["divf=fdiv_trunc:P=0"], ["addf=fadd", "maxf=fmax"]):
        assert evaluate("classification_mnist", x, Binding.parse(rules)).accuracy == exact
    assert exact > 0.9


def test_wrong_inputs(mlp):
    with pytest.raises(InputError, match="takes float32 samples of shape"):
        Evaluator(mlp).outputs(np.zeros((2, 12), np.float32))
    with pytest.raises(InputError, match="takes float32 samples"):
        Evaluator(mlp).outputs(np.zeros((2, 13)))
    with pytest.raises(InputError, match="samples have the shape 28x28x1"):
        evaluate(mlp, "mnist:test:10")


def test_labels_must_be_outputs(tmp_path, mlp):
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 13)), y=np.array([0, 5]))
    with pytest.raises(InputError, match=r"the label of sample \d+ is 5, .* the classes 0..4"):
        evaluate(mlp, str(tmp_path / "d.npz"))


def test_unknown_layer_is_refused(mlp):
    with pytest.raises(InputError, match="layer1"):
        Evaluator(mlp, Binding.parse(["mulf@layer9=fmul_trunc:P=3"]))
