# SPDX-License-Identifier: Apache-2.0
"""Float networks to networks of codes: what is found in them, what it costs, what is refused."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import make_conv, make_mlp

import asnet_mlir
from asnet_mlir.cli.main import main
from asnet_mlir.errors import InputError
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.stablehlo_file import from_stablehlo_bytes
from asnet_mlir.quantization.accumulators import quantize_weights
from asnet_mlir.quantization.functions import function_of
from asnet_mlir.quantization.graph import Graph
from asnet_mlir.quantization.groups import Clamp
from asnet_mlir.quantization.loss import values_of
from asnet_mlir.quantization.matching import find_groups
from asnet_mlir.quantization.quantize import quantize_network
from asnet_mlir.quantization.scheme import Scheme
from asnet_mlir.quantized import Quantization
from asnet_mlir.quantized.products import folded_bias, greatest_sums

RNG = np.random.default_rng(7)
IMAGES = RNG.standard_normal((40, 8, 8, 1)).astype(np.float32)


def network_of(function, shape, name="net", dtype=np.float32):
    return from_jax_function(function, (np.zeros((1, *shape), dtype),), name=name)


def snr(exact, noisy) -> float:
    """Signal to noise in dB."""
    exact, noisy = np.float64(exact), np.float64(noisy)
    return 10 * math.log10(np.sum(exact**2) / max(np.sum((noisy - exact) ** 2), 1e-30))


def real_outputs(given, x):
    """The outputs of a quantised network as real numbers, by XLA, which is quicker to compile."""
    output = given.graph.output
    return values_of(given, given.written, [output], x)[output]


def conv(x, channels, kernel=(3, 3), strides=(1, 1), padding="SAME", seed=0, **options):
    """A convolution of NHWC images with random weights."""
    import jax

    groups = options.get("feature_group_count", 1)
    weights = np.random.default_rng(seed).standard_normal(
        (*kernel, x.shape[-1] // groups, channels)
    )
    return jax.lax.conv_general_dilated(
        x,
        weights.astype(np.float32) / np.float32(np.sqrt(weights[..., 0].size)),
        strides,
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        **options,
    )


def plain(x):
    return conv(x, 6)


def strided(x):
    return conv(x, 6, strides=(2, 1), padding=[(0, 1), (2, 0)])


def dilated(x):
    return conv(x, 6, rhs_dilation=(2, 2))


def grouped(x):
    return conv(conv(x, 6), 4, feature_group_count=2)


def depthwise(x):
    return conv(conv(x, 6), 12, feature_group_count=6)


def channels_first(x):
    import jax

    weights = np.random.default_rng(3).standard_normal((5, 1, 3, 3)).astype(np.float32)
    return jax.lax.conv_general_dilated(
        x.transpose(0, 3, 1, 2), weights, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW")
    )


def one_dimensional(x):
    import jax

    weights = np.random.default_rng(4).standard_normal((3, 8, 5)).astype(np.float32)
    return jax.lax.conv_general_dilated(
        x[..., 0], weights, (2,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
    )


def normalized(x):
    factor = np.linspace(-1, 2, 6, dtype=np.float32)
    return (np.float32(0.1) * factor - (conv(x, 6) * factor - np.float32(0.3) * factor)) / (
        factor + 2
    )


def normalized_before(x):
    import jax

    factor = np.linspace(0.5, 2, 6, dtype=np.float32)
    x = jax.lax.reduce_window(conv(x, 6), -np.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return conv(jax.nn.relu(x * factor - np.float32(0.1) * factor), 4, seed=1)


def residual(x):
    import jax

    x = jax.nn.relu6(conv(x, 6))
    return jax.nn.relu(x + conv(x, 6, seed=1)) - conv(x, 6, seed=2)


def pooled(x):
    import jax

    x = conv(x, 6)
    ones = (1, 3, 3, 1), (1, 2, 2, 1), "SAME"
    counts = jax.lax.reduce_window(np.ones(x.shape, np.float32), 0.0, jax.lax.add, *ones)
    average = jax.lax.reduce_window(x, 0.0, jax.lax.add, *ones) / counts
    largest = jax.lax.reduce_window(x, -np.inf, jax.lax.max, *ones)
    return jax.numpy.concatenate([average, largest], axis=-1)


def averaged(x):
    return conv(x, 6).mean(axis=(1, 2)) @ np.random.default_rng(1).standard_normal((6, 4)).astype(
        np.float32
    )


def squeezed(x):
    """Squeeze and excitation, nearest neighbours as a broadcast, the maximum over all of space."""
    import jax

    x = conv(x, 6)
    means = x.mean(axis=(1, 2), keepdims=True)
    gates = jax.nn.sigmoid(conv(means, 6, (1, 1), seed=1))
    x = jax.numpy.repeat(jax.numpy.repeat(x * gates, 2, axis=1), 2, axis=2)
    x = conv(x, 5, seed=2).max(axis=(1, 2))
    return x @ np.random.default_rng(2).standard_normal((5, 4)).astype(np.float32)


def projected(x):
    """Weights of three dimensions, as layers of attention have them; the biases, too."""
    import jax

    weights = np.random.default_rng(2).standard_normal((6, 3, 4)).astype(np.float32)
    x = jax.numpy.einsum("abc,cde->abde", conv(x, 6)[:, 0], weights) + weights[0]
    return jax.numpy.einsum("abde,cde->abc", jax.nn.relu(x), weights) + weights[:, 0, 0]


def activated(x):
    import jax

    x = jax.nn.silu(conv(x, 6))
    x = jax.nn.leaky_relu(conv(x, 6, seed=1), 0.1)
    return jax.nn.gelu(conv(x, 6, seed=2))


def moved(x):
    x = conv(x, 6)[:, 1:7, ::2].transpose(0, 3, 1, 2)
    x = x.reshape(x.shape[0], 6, -1)
    return x @ np.random.default_rng(2).standard_normal((24, 3)).astype(np.float32)


NETWORKS = {
    plain: ["convolution"],
    strided: ["convolution"],
    dilated: ["convolution"],
    grouped: ["convolution", "convolution, 2 groups"],
    depthwise: ["convolution", "convolution, 6 groups"],
    channels_first: ["transpose", "convolution"],
    one_dimensional: ["reshape", "convolution"],
    normalized: ["convolution"],
    normalized_before: ["convolution", "maximum", "convolution, 6 groups", "convolution"],
    residual: ["convolution", "convolution", "add", "convolution", "subtract"],
    pooled: ["convolution", "average", "maximum", "concatenation"],
    averaged: ["convolution", "mean", "dense"],
    squeezed: [
        *("convolution", "mean", "convolution", "function", "broadcast", "multiply"),
        *("broadcast", "reshape") * 2,
        *("convolution", "maximum", "dense"),
    ],
    projected: ["convolution", "slice", "reshape", "dense", "dense"],
    activated: ["convolution", "function"] * 3,
    moved: ["convolution", "slice", "transpose", "reshape", "dense"],
}


@pytest.mark.parametrize("function", NETWORKS, ids=lambda function: function.__name__)
def test_layers_are_found_and_keep_their_numbers(function):
    """What is found is what there is; 8 bits give 30 dB, 12 bits 20 dB more."""
    network = network_of(function, (8, 8, 1))
    kinds = [group.kind for group in find_groups(Graph(network))]
    assert [kind for kind in kinds if kind != "float"] == NETWORKS[function]
    assert "float" not in kinds
    expected = network.reference(IMAGES)
    found = []
    for bits in (8, 12):
        given = quantize_network(network, IMAGES, Scheme(bits, bits))
        found.append(snr(expected, real_outputs(given, IMAGES)))
    assert found[0] > 25 and found[1] > found[0] + 15, found


def test_normalization_of_layers_stays_in_float():
    """Its squares and means are not made codes that only float operations read."""

    def function(x):
        x = conv(x, 6)
        return conv(x * (x * x + x).mean(axis=-1, keepdims=True), 4)

    network = network_of(function, (8, 8, 1))
    kinds = [group.kind for group in find_groups(Graph(network))]
    assert [kind for kind in kinds if kind != "float"] == ["convolution", "convolution"]
    given = quantize_network(network, IMAGES, Scheme())
    assert snr(network.reference(IMAGES), real_outputs(given, IMAGES)) > 20


FUNCTIONS = (
    "jax.nn.sigmoid(x)", "jax.lax.logistic(x)", "jnp.tanh(x)", "jax.nn.elu(x)", "jnp.cbrt(x)",
    "jax.nn.softplus(x)", "jax.nn.hard_swish(x)", "jax.nn.gelu(x)", "jnp.exp(-x * x)",
    "jax.nn.gelu(x, approximate=False)", "jnp.sqrt(jnp.abs(x)) + jnp.sign(x)", "jnp.log1p(x * x)",
    "jnp.where((x > 0.5) | (x <= -1), x, 3 - x)", "jnp.clip(x, -1, 0.5)", "jnp.expm1(x)",
    "jnp.floor(x) + jnp.ceil(2 * x)", "jax.lax.rsqrt(x * x + 1)", "jnp.round(x + x * x)",
    "jnp.sin(x)",
    "jnp.minimum(x, 0.3) / 2 - jnp.log(x * x + 0.1) * jnp.cos(x)", "jnp.power(jnp.abs(x), 1.5)",
)  # fmt: skip


def test_functions_are_those_of_xla():
    """What numpy computes for a table is what the float network computes."""
    import jax
    import jax.numpy as jnp

    x = np.linspace(-3.01, 3, 200, dtype=np.float32).reshape(50, 4)
    for text in FUNCTIONS:

        def function(x, text=text):
            return eval(text, {"jax": jax, "jnp": jnp, "x": x @ np.eye(4, dtype=np.float32)})

        network = network_of(function, (4,))
        graph = Graph(network)
        *_, group = find_groups(graph)
        if text == "jnp.clip(x, -1, 0.5)":  # the range of the product
            assert group.detail.clamp == Clamp(-1, 0.5)
            continue
        assert group.kind == "function", text
        table = function_of(graph, group.ops, group.inputs[0], group.output)
        assert np.allclose(table(x), network.reference(x), rtol=1e-4, atol=1e-5), text


def test_functions_that_jax_writes_otherwise():
    text = """func.func @main(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
      %w = stablehlo.constant dense<[[1.0, 0.0], [0.0, 1.0]]> : tensor<2x2xf32>
      %0 = stablehlo.dot %x, %w : (tensor<1x2xf32>, tensor<2x2xf32>) -> tensor<1x2xf32>
      %1 = stablehlo.logistic %0 : tensor<1x2xf32>
      %2 = stablehlo.negate %1 : tensor<1x2xf32>
      return %2 : tensor<1x2xf32>
    }"""
    graph = Graph(from_stablehlo_bytes(Path("net.mlir"), text.encode()))
    *_, group = find_groups(graph)
    table = function_of(graph, group.ops, group.inputs[0], group.output)
    assert np.allclose(table(np.array([-2.0, 0.5])), [-0.11920292, -0.62245933])


@pytest.mark.parametrize(
    "scheme",
    [
        Scheme(unsigned=True),
        Scheme(symmetric=True),
        Scheme(symmetric=True, unsigned=True),
        Scheme(per_channel=False, method="percentile"),
        Scheme(bits=5, weights=6, method="mse"),
        Scheme(bits=16, weights=16),
        Scheme(bits=16, weights=4),
        Scheme(bits=2, weights=2, method="mse"),
    ],
)
def test_schemes(scheme):
    network = from_jax_function(*make_conv(), name="conv")
    given = quantize_network(network, IMAGES, scheme)
    found = snr(network.reference(IMAGES), real_outputs(given, IMAGES))
    assert found > 4 * min(scheme.bits, scheme.weights, 9) - 7, found
    for weights in given.written.weights.values():
        own = weights.quantization
        assert (own.bits, own.signed) == (scheme.weights, not scheme.unsigned)
        assert own.is_per_channel == scheme.per_channel
        assert own.signed or weights.codes.dtype == np.uint8 or scheme.weights > 8
    for codes in given.codes.values():
        assert (codes.bits, codes.signed) == (scheme.bits, not scheme.unsigned)
        middle = 1 << (scheme.bits - 1) if scheme.unsigned else 0
        assert not scheme.symmetric or codes.single_zero_point == middle


def test_the_range_with_the_least_error_is_narrower():
    """An outlier widens all codes' steps; `mse` and `percentile` let it saturate."""
    x = np.concatenate([RNG.standard_normal(100_000), [60.0, -60.0]]).astype(np.float32)
    from asnet_mlir.quantization.calibration import Observed

    observed = Observed(-60.0, 60.0, x)
    scales = {
        method: Scheme(bits=4, method=method).activation(observed).single_scale
        for method in ("minmax", "percentile", "mse")
    }
    assert scales["percentile"] < scales["minmax"] / 5
    assert scales["mse"] < scales["minmax"] / 2


def test_sums_fit_in_32_bits():
    """Where 16-bit weights would let sums leave 32 bits, scales grow until they don't."""
    kernel = RNG.standard_normal((3000, 4))
    bias = np.array([0.0, 1.0, -5.0, 1e4])
    x = Quantization(np.array([1e-4]), np.array([-32768]), 16)
    scheme = Scheme(bits=16, weights=16)
    weights = quantize_weights(kernel, bias, x, scheme.kernel(kernel))
    assert weights.is_limited
    total = folded_bias(weights.codes, x, weights.quantization, weights.bias.astype(np.int64))
    sums = greatest_sums(weights.codes, x, total, weights.quantization.zero_point)
    assert (sums < 2**31).all() and sums.min() > 2**29
    narrow, few = x.replace(bits=8, zero_point=np.array([-128])), kernel[:9]
    assert not quantize_weights(few, bias * 0, narrow, Scheme().kernel(few)).is_limited


def test_a_channel_without_weights_keeps_its_bias():
    """Its weights say nothing about a scale, which is the scale of its bias as well."""
    kernel = RNG.standard_normal((5, 3))
    kernel[:, 1] = 0
    bias = np.array([0.1, 0.12345, 0.0])
    x = Quantization(np.array([0.02]), np.array([-128]))
    weights = quantize_weights(kernel, bias, x, Scheme().kernel(kernel))
    assert np.allclose(weights.bias * 0.02 * weights.quantization.scale, bias, rtol=0.01)


def test_clamps_compose():
    assert Clamp().within(low=0).within(high=6) == Clamp(0, 6)
    assert Clamp(0, 6).within(low=-1, high=9) == Clamp(0, 6)
    assert Clamp(0, 6).within(low=7) == Clamp(7, 7)


def test_images_are_taken_as_bytes(tmp_path):
    """A data set of images gives its bytes; other numbers are quantised on the way in."""
    function, arguments = make_mlp((784, 12, 5))
    network = from_jax_function(function, arguments, name="mlp")
    given = quantize_network(network, "mnist:test:30", Scheme())
    assert str(given.network.input_format) == "u8"
    # The codes are those of the images, moved by 128.
    own = given.codes[given.graph.input]
    assert own.single_zero_point == -128 and own.single_scale == 1 / 255
    x = asnet_mlir.load_data("mnist:test:30").shaped((784,)).x
    path = tmp_path / "x.npz"
    np.savez(path, x=x * 2 - 1)
    given = quantize_network(network, str(path), Scheme())
    assert str(given.network.input_format) == "f32"


def test_softmax_stays_in_float(mlp):
    given = quantize_network(mlp, RNG.standard_normal((50, 13)).astype(np.float32), Scheme())
    kinds = [group.kind for group in given.groups]
    assert kinds[:2] == ["dense", "dense"] and set(kinds[2:]) == {"float"}
    x = RNG.standard_normal((200, 13)).astype(np.float32)
    outputs = asnet_mlir.run(given.network, x).outputs
    assert np.allclose(outputs.sum(axis=1), 1, atol=1e-5)
    assert np.mean(outputs.argmax(1) == mlp.reference(x).argmax(1)) > 0.9


def test_softmax_at_the_end_as_codes(mlp):
    x = RNG.standard_normal((60, *mlp.input_shape)).astype(np.float32)
    codes = asnet_mlir.quantize(mlp, x, softmax="codes")
    real = asnet_mlir.run(asnet_mlir.quantize(mlp, x), x).outputs
    found = asnet_mlir.run(codes, x).outputs
    assert found.dtype == np.int8
    assert np.abs((found + 128.0) / 256 - real).max() < 1.5 / 256


@pytest.mark.parametrize("power", [1.0, 1.01])
def test_what_is_nearly_a_softmax_is_none(power):
    def function(x):
        import jax

        return jax.nn.softmax(conv(x, 6).reshape(len(x), -1)) ** power

    x = IMAGES[:, :2, :2]
    network = network_of(function, (2, 2, 1))
    if power == 1.0:
        assert asnet_mlir.quantize(network, x, softmax="codes").output_format.name == "i8"
        return
    with pytest.raises(InputError, match="net: does not end in a softmax of codes"):
        asnet_mlir.quantize(network, x, softmax="codes")


def test_layers_left_in_float(conv):
    exact = conv.reference(IMAGES)
    alone = {}
    for floats in ([], ["conv"], ["dense"]):
        given = quantize_network(conv, IMAGES, Scheme(bits=4, weights=4), floats=floats)
        alone[tuple(floats)] = snr(exact, real_outputs(given, IMAGES))
        names = {weight.name: weight.value.dtype for weight in given.network.weights}
        for layer in ("conv", "dense"):
            kernel = [dtype for name, dtype in names.items() if name.startswith(f"{layer}/")]
            assert (np.dtype(np.int8) in kernel) == (layer not in floats), names
    assert alone[("conv",)] > alone[()] and alone[("dense",)] > alone[()]
    with pytest.raises(InputError, match="has no layer 'convv'; its layers are conv, pool"):
        quantize_network(conv, IMAGES, Scheme(), floats=["convv"])
    with pytest.raises(InputError, match="every layer with weights is left in float"):
        quantize_network(conv, IMAGES, Scheme(), first_last_float=True)


def test_a_file_is_read_back_with_equal_bits(tmp_path, conv):
    outcome = asnet_mlir.quantization_outcome(conv, (IMAGES, np.arange(40) % 5))
    assert outcome.tested == 40 and outcome.accuracy is not None
    by_name = {layer.name: layer for layer in outcome.layers}
    assert by_name["conv"].snr > 30 and by_name["conv"].alone > 20
    assert by_name["dense"].weight_scales[0] < by_name["dense"].weight_scales[1]
    assert {layer.saturated for layer in outcome.layers} == {0.0}
    json.dumps(outcome.to_json())
    path = tmp_path / "net.mlir"
    outcome.save(path)
    again = asnet_mlir.load_model(path)
    names = [weight.name for weight in again.weights]
    assert {"conv/kernel", "dense/kernel", "conv/multiplier"} <= set(names)
    assert names == [weight.name for weight in outcome.network.weights]
    ours, read = (asnet_mlir.run(own, IMAGES).outputs for own in (outcome.network, again))
    assert ours.tobytes() == read.tobytes()


def test_the_verb(tmp_path, capfd):
    out = tmp_path / "net.mlir"
    common = ["quantize", "classification_mnist", "--data", "mnist:train:64", "-o", str(out)]
    assert main([*common, "--test", "mnist:test:200", "--weights", "6"]) == 0
    text = capfd.readouterr().out
    assert "in float: dense: reduce" in text and "points), on 200 samples" in text
    assert main(["evaluate", str(out), "--data", "mnist:test:200", "--json"]) == 0
    accuracy = json.loads(capfd.readouterr().out)["accuracy"]
    assert f"accuracy {accuracy:.4f}, in float" in text


def test_bad_options(tmp_path, capfd):
    out = str(tmp_path / "net.mlir")
    common = ["quantize", "classification_mnist", "--data", "mnist:train:9", "-o"]
    for options, message in (
        ([out, "--bits", "1"], "codes of activations have 2 to 16 bits, not 1"),
        ([out, "--bits", "17"], "codes of activations have 2 to 16 bits, not 17"),
        ([out, "--weights", "0"], "codes of weights have 2 to 16 bits, not 0"),
        (
            [out, "--weights", "many"],
            "--weights takes a number of bits or FILE.npz or FILE.h5, not 'many'",
        ),
        ([out, "--method", "best"], "unknown method 'best'; one of minmax, percentile, mse"),
        ([out, "--float", "conv9"], "has no layer 'conv9'; its layers are dense"),
        ([str(tmp_path / "net.txt")], "is written as FILE.mlir"),
        ([out, "--per-tensor", "--per-channel"], "not allowed with argument"),
    ):
        assert main([*common, *options]) == 2, options
        assert message in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((4, 13), np.nan, np.float32), r"sample 0 holds a NaN at \[0\]"),
        (np.full((4, 13), np.inf, np.float32), "holds an infinity; ranges must be finite"),
        (np.full((4, 13), 0.5, np.float32), "all 4 samples are the same"),
        (np.zeros((1, 13), np.float32), "one sample does not show the ranges"),
        (np.zeros((4, 12), np.float32), "samples have the shape 12, the network takes 13"),
    ],
)
def test_bad_calibration_data(mlp, x, message):
    with pytest.raises(InputError, match=message):
        asnet_mlir.quantize(mlp, x)


def words(ids):
    """A text classifier: rows of a table by integers, a mean of those that are no padding."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(1)
    table, hidden, last = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((300, 8), (8, 12), (12, 3))
    )
    mask = (ids > 0).astype(np.float32)[..., None]
    mean = (jnp.take(table, ids, axis=0) * mask).sum(1) / jnp.maximum(mask.sum(1), 1)
    return jax.nn.relu(mean @ hidden) @ last


def recurrent(x):
    """A loop, whose body reads weights from outside, behind a quantized layer and before one."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(2)
    first, inner, last = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((4, 5), (5, 5), (5, 3))
    )

    def step(state, row):
        return jnp.tanh(row + state @ inner), None

    rows = (x @ first).transpose(1, 0, 2)
    return jax.lax.scan(step, jnp.zeros((x.shape[0], 5)), rows)[0] @ last


def chosen(x):
    """The row whose first number is the largest, by its place: a reduction of two results."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(3)
    y = x @ rng.standard_normal((4, 5)).astype(np.float32)
    place = jnp.argmax(x[..., 0], axis=1)
    row = jnp.take_along_axis(y, place[:, None, None], axis=1)[:, 0]
    even = np.tile(np.array([True, False, True]), (1, 1))
    return jax.lax.select(
        jnp.broadcast_to(even, (x.shape[0], 3)), row[:, :3], row[:, 2:]
    ) @ rng.standard_normal((3, 3)).astype(np.float32)


def number(x):
    """One number a sample."""
    return (x @ np.random.default_rng(4).standard_normal((4, 5)).astype(np.float32)).mean((1, 2))


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (words, RNG.integers(0, 300, (40, 6)).astype(np.int32)),
        (recurrent, RNG.standard_normal((40, 6, 4)).astype(np.float32)),
        (chosen, RNG.standard_normal((40, 6, 4)).astype(np.float32)),
        (number, RNG.standard_normal((40, 6, 4)).astype(np.float32)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_integers_loops_and_choices_stay_as_they_are(function, x):
    """The layers around them become codes, and the network is read again from its text."""
    network = network_of(function, x.shape[1:], function.__name__, x.dtype)
    codes = asnet_mlir.quantize(network, x)
    assert codes.input_format == network.input_format
    exact, found = (asnet_mlir.run(own, x).outputs for own in (network, codes))
    if codes.output_format.is_float:
        assert snr(exact, found.reshape(exact.shape)) > 25
    else:
        assert np.corrcoef(exact.ravel(), found.ravel())[0, 1] > 0.999
    assert any(name.endswith("kernel") for name in (weight.name for weight in codes.weights))


def test_what_has_nothing_to_quantize(mlp):
    import jax

    network = network_of(jax.nn.softmax, (5,), "soft")
    x = RNG.standard_normal((9, 5)).astype(np.float32)
    with pytest.raises(InputError, match="soft: has nothing to quantize: no convolution or dense"):
        asnet_mlir.quantize(network, x)
    codes = asnet_mlir.quantize(mlp, (RNG.random((9, 13)) * 255).astype(np.uint8))
    with pytest.raises(InputError, match="takes u8; it computes on integers already"):
        asnet_mlir.quantize(codes, x)


def test_where_mlir_is_in_another_process(tmp_path):
    """A quantized network comes back as a text, and is made where it is used."""
    script = """
import circt
import numpy as np
import asnet_mlir
w = np.random.default_rng(0).standard_normal((784, 10)).astype(np.float32)
net = (lambda x: x @ w, (np.zeros((1, 784), np.float32),))
data = asnet_mlir.load_data("mnist:test:60")
outcome = asnet_mlir.quantization_outcome(net, data, alone=False)
codes = asnet_mlir.quantize(net, data)
assert asnet_mlir.evaluate(codes, data).accuracy == outcome.accuracy
outcome.save("net.mlir")
assert asnet_mlir.evaluate("net.mlir", data).accuracy == outcome.accuracy
assert asnet_mlir.evaluate(outcome.network, data).accuracy == outcome.accuracy
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=600
    )
    assert done.returncode == 0, done.stderr
