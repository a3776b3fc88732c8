# SPDX-License-Identifier: Apache-2.0
"""Hardware of networks on codes as others bring them: shapes nobody tuned for, all ways to lanes.

Files of TensorFlow Lite and networks of the builder, exact and with bound cores: every word with
pauses of both streams, and the cycles without.
"""

import numpy as np
import pytest
from tflite_networks import Stack

import asnet_mlir
from asnet_mlir.frontends.program import from_program
from asnet_mlir.quantized import Builder, Quantization

RNG = np.random.default_rng(11)
CODES = Quantization(np.array([0.05]), np.array([-3]))
WIDE = Quantization(np.array([0.09]), np.array([5]))
CORE = "compressor42:N=8,SIGNED=1"


def weights(*shape):
    scale = RNG.uniform(0.5, 1.5, shape[-1]) / np.sqrt(np.prod(shape[:-1])) / 64
    codes = RNG.integers(-127, 128, shape).astype(np.int8)
    return codes, Quantization(scale, np.zeros(shape[-1], int))


def bias(channels):
    return RNG.integers(-500, 500, channels).astype(np.int32)


def strided():
    """Asymmetric kernels and strides that sizes do not divide by; 7 filters, then one."""
    net = Stack(10, (17, 13, 2)).conv(7, (5, 3), 3).conv(1, (1, 4), 2).flat()
    return net.dense(3).content()


def short_cuts():
    """Several residuals, the second and third by a 1 x 1 convolution of stride 2."""
    net = Stack(11, (11, 7, 3)).conv(5, (3, 3))
    net.residual(5, 1).residual(9, 2).residual(6, 2).residual(6, 1)
    return net.pool().flat().dense(4).softmax().content()


def wide_and_narrow():
    """Dense layers of many inputs and one output, and of one input."""
    return Stack(12, (301,)).dense(1, activation=1).dense(67).dense(2).content()


def separable():
    """Depthwise and pointwise convolutions of stride 2 on odd sizes, a mean, a softmax."""
    net = Stack(13, (15, 9, 3)).conv(6, (2, 5), 2).depthwise().conv(10, (1, 1))
    return net.depthwise(2).conv(3, (1, 1), 2).pool().flat().dense(5).softmax().content()


def multiplied():
    """Three filters a channel of 2 x 4 codes, strides 3 and 1, padding on one side."""
    net = Builder("multiplied", (11, 6, 2), CODES)
    x = net.conv2d(
        net.input, *weights(2, 4, 1, 6), bias(6), WIDE, layer="each", strides=(3, 1),
        padding=((0, 1), (2, 1)), groups=2,
    )  # fmt: skip
    x = net.max_pool(x, (2, 3), layer="pool", strides=(1, 2), padding=((1, 0), (0, 1)))
    return net, net.conv2d(x, *weights(1, 1, 6, 3), None, CODES, layer="point", strides=(2, 2))


def joined():
    """Three branches of one tensor, of kernels of three sizes, side by side."""
    net = Builder("joined", (6, 5, 4), CODES)
    branches = [
        net.conv2d(
            net.input, *weights(2 * p + 1, 2 * p + 1, 4, filters), bias(filters), CODES,
            layer=f"branch{p}", padding=((p, p), (p, p)),
        )
        for p, filters in enumerate((3, 2, 5))
    ]  # fmt: skip
    x = net.concatenate(branches, 2, CODES, layer="join")
    x = net.average_pool(x, (3, 2), layer="mean", strides=(3, 2))
    return net, net.reshape(x, (40,), layer="flat")


def crossed():
    """A tensor that three read: two sums, one of which is taken from it again."""
    net = Builder("crossed", (7, 7, 3), CODES)
    same = ((1, 1), (1, 1))
    x = net.conv2d(net.input, *weights(3, 3, 3, 4), bias(4), CODES, layer="a", padding=same)
    y = net.conv2d(x, *weights(3, 3, 4, 4), None, WIDE, layer="b", padding=same)
    y = net.add(x, y, WIDE, layer="sum", activation=(-3, 120))
    z = net.conv2d(y, *weights(3, 1, 4, 4), bias(4), CODES, layer="c", padding=((1, 1), (0, 0)))
    z = net.add(z, x, CODES, layer="less", subtract=True)
    x = net.add(z, y, WIDE, layer="more")
    return net, net.mean(x, (0, 1), CODES, layer="mean")


def vectors():
    """One code in, 64 and 1 between, 33 out."""
    net = Builder("vectors", (1,), CODES)
    x = net.dense(net.input, *weights(1, 64), bias(64), CODES, layer="first")
    x = net.function(x, np.tanh, WIDE, layer="tanh")
    x = net.dense(x, *weights(64, 1), None, CODES, layer="second")
    return net, net.dense(x, *weights(1, 33), bias(33), WIDE, layer="third")


NETWORKS = [
    (strided, {"lanes": ["1"]}, CORE),
    (strided, {"lanes": ["60"]}, None),
    (short_cuts, {"lanes": ["7"]}, CORE),
    (short_cuts, {"target_fps": 1e8 / 900}, None),
    (wide_and_narrow, {"target_fps": 1e8 / 400}, CORE),
    (separable, {"lanes": ["5"]}, "truncated:N=8,CUT=6,SIGNED=1"),
    (multiplied, {"target_fps": 1e8 / 250}, CORE),
    (joined, {"lanes": ["12", "branch2=5"]}, CORE),
    (crossed, {"lanes": ["1"]}, None),
    (crossed, {"fit": "25k"}, None),
    (crossed, {"lanes": ["4"]}, "loa"),
    (vectors, {"lanes": ["16"]}, "mul8s_evolved:M=38"),
]


@pytest.mark.parametrize(("make", "options", "core"), NETWORKS)
def test_words_and_cycles(make, options, core, tmp_path):
    made = make()
    if isinstance(made, bytes):
        (tmp_path / "net.tflite").write_bytes(made)
        network = asnet_mlir.load_model(str(tmp_path / "net.tflite"))
    else:
        network = from_program(made[0].program(made[1]))
    binding = None if core is None else f"muli={core}"
    if core == "loa":
        binding = [f"muli={CORE}", "addi=loa:N=32,K=6"]
    bundle = tmp_path / "bundle"
    manifest = asnet_mlir.generate(network, binding, output=bundle, **options)
    low, high = network.input_format.range
    x = np.random.default_rng(1).integers(low, high + 1, (24, *network.input_shape))
    given = (x.astype(network.input_format.dtype), np.zeros(len(x), int))
    paused = asnet_mlir.simulate(bundle, given, stall_seed=5)
    assert (paused.mismatches, paused.vector_mismatches) == (0, 0), paused.differences
    result = asnet_mlir.simulate(bundle, given)
    assert (result.mismatches, result.vector_mismatches) == (0, 0), result.differences
    predicted = manifest["predicted_cycles_per_sample"]
    if predicted > 40:  # few frames are under way
        assert result.cycles_per_sample == predicted
    if "target_fps" in options:
        assert predicted <= 1e8 / options["target_fps"]
