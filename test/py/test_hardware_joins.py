# SPDX-License-Identifier: Apache-2.0
"""Tensors joined along a dimension in hardware: while codes of one are taken, the others go on."""

import importlib

import numpy as np
import pytest
import stream_networks

import asnet_mlir
from asnet_mlir.frontends.program import from_program
from asnet_mlir.hardware import compare_words, generate
from asnet_mlir.hardware.integers.joins import waiting_codes
from asnet_mlir.quantized import Builder, Quantization

hardware = importlib.import_module("asnet_mlir.hardware.simulation.simulate")

RNG = np.random.default_rng(11)
CODES = Quantization(np.array([0.05]), np.array([-3]))
WIDE = Quantization(np.array([0.11]), np.array([4]))


def weights(*shape):
    quantization = Quantization(RNG.uniform(0.004, 0.02, shape[-1]), np.zeros(shape[-1], int))
    return RNG.integers(-127, 128, shape).astype(np.int8), quantization


def serial():
    """Two tensors of 7 x 2 x 2 codes, each scaled by serial products, one below the other."""
    net = Builder("serial", (7, 2, 1), CODES)
    x = net.conv2d(net.input, *weights(1, 1, 1, 2), None, CODES, layer="a")
    y = net.conv2d(x, *weights(1, 1, 2, 2), None, CODES, layer="b")
    x = net.concatenate([x, y], 0, WIDE, layer="join")
    return net, net.max_pool(x, (2, 2), layer="pool", strides=(2, 1))


def convolutions(axis):
    """Three tensors of slow convolutions, the last of 2 rows, columns or channels less."""
    net = Builder("convolutions", (6, 5, 4), CODES)
    same = ((1, 1), (1, 1))
    parts = [
        net.conv2d(net.input, *weights(3, 3, 4, 4), None, WIDE, layer=layer, padding=same)
        for layer in "abc"
    ]
    start = [2 * (axis == one) for one in range(3)]
    parts[2] = net.slice(parts[2], start, (6, 5, 4), [1, 1, 1], layer="part")
    return net, net.concatenate(parts, axis, WIDE, layer="join")


@pytest.mark.parametrize(
    ("made", "arguments", "options"),
    [
        (serial, (), {"target_fps": 1e8 / 6000}),  # products take 32 cycles
        (convolutions, (0,), {"lanes": ["1"]}),
        (convolutions, (2,), {"lanes": ["9"]}),
    ],
)
def test_joined_tensors_are_as_quick_as_the_slowest_layer(tmp_path, made, arguments, options):
    net, x = made(*arguments)
    network = from_program(net.program(x))
    manifest = asnet_mlir.generate(network, output=tmp_path / "bundle", **options)
    x = RNG.integers(-128, 128, (12, *network.input_shape)).astype(np.int8)
    result = asnet_mlir.simulate(tmp_path / "bundle", (x, np.zeros(len(x), int)))
    assert (result.mismatches, result.vector_mismatches) == (0, 0), result.differences
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]


def test_a_join_has_room_for_what_comes_while_others_are_taken():
    assert waiting_codes([28, 28]) == [14, 14]
    assert waiting_codes([10, 10, 20]) == [8, 8, 10]
    assert waiting_codes([7]) == [0]


@pytest.mark.parametrize("axis", [1, 2])
def test_joined_streams_of_floats(tmp_path, axis):
    """A buffer of at least two frames is in front of what joins them."""
    import jax
    import jax.numpy as jnp

    parameters = stream_networks.weights(1, a=(3, 3, 3, 3), b=(1, 1, 3, 3), c=(3, 3, 3, 2))

    def function(x, p):
        with jax.named_scope("a"):
            a = stream_networks.conv(x, p["a"], padding="SAME")
        with jax.named_scope("b"):
            b = stream_networks.conv(x, p["b"], padding="SAME")
        with jax.named_scope("join"):
            y = jnp.concatenate([a, b], axis)
        with jax.named_scope("c"):
            return stream_networks.conv(y, p["c"], padding="SAME")

    network = stream_networks.network(function, (5, 4, 3), parameters, "joined")
    bundle = tmp_path / "bundle"
    manifest = generate(network, output=bundle, style="stream", lanes=["3"])
    x = np.random.default_rng(0).standard_normal((8, 5, 4, 3)).astype(np.float32)
    result = hardware.simulate(bundle, x)
    assert not compare_words(result.outputs, stream_networks.software_outputs(bundle, x))
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
