# SPDX-License-Identifier: Apache-2.0
"""`run`: outputs as they are, of the network and of its layers."""

import json

import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.cli.main import main
from asnet_mlir.data import Samples
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation import Evaluator

X = np.random.default_rng(5).standard_normal((37, 8, 8, 1)).astype(np.float32)


@pytest.mark.parametrize("rules", [[], ["mulf@conv=fmul_trunc:P=18"]])
def test_layers_are_those_that_the_network_computes(conv, rules):
    """Each layer's output, put through the layers after it by numpy, gives the next one's."""
    network = asnet_mlir.load_model(conv)
    given = asnet_mlir.run(network, X, rules, layers=True, threads=2)
    assert list(given.layers) == ["conv", "pool", "dense"]
    assert given.labels is None
    evaluator = Evaluator(network, Binding.parse(rules))
    assert given.outputs.tobytes() == evaluator.outputs(X).tobytes()
    assert given.layers["dense"].tobytes() == given.outputs.tobytes()
    feature, pooled = given.layers["conv"], given.layers["pool"]
    assert feature.shape == (37, 6, 6, 4) and feature.min() == 0
    windows = feature.reshape(37, 3, 2, 3, 2, 4)
    assert np.array_equal(windows.max(axis=(2, 4)), pooled)
    weights = {weight.name: weight.value for weight in network.weights}
    (dense,) = (value for value in weights.values() if value.shape == (36, 5))
    near = np.float64(pooled.reshape(37, 36)) @ np.float64(dense)
    assert np.allclose(given.outputs, near, rtol=1e-5, atol=1e-5)
    if rules:
        exact = asnet_mlir.run(network, X, layers=True).layers["conv"]
        assert not np.array_equal(exact, feature)


def test_codes_are_given_as_they_are():
    """A network of integers takes and gives codes; samples of a fixed batch stay in their order."""
    import jax
    import jax.numpy as jnp

    from asnet_mlir.frontends.jax import from_jax_function

    kernel = np.arange(-6, 6, dtype=np.int8).reshape(4, 3)

    def forward(x):
        with jax.named_scope("dense"):
            return jnp.matmul(x, kernel, preferred_element_type=jnp.int32)

    network = from_jax_function(forward, (np.zeros((1, 4), np.int8),), name="codes")
    x = np.random.default_rng(1).integers(-128, 128, (70, 4), np.int8)
    given = asnet_mlir.run(network, Samples("codes", x, network.input_format))
    assert given.outputs.dtype == np.int32
    assert np.array_equal(given.outputs, x.astype(np.int32) @ kernel)


def test_a_fixed_batch_keeps_the_order(tmp_path):
    path = tmp_path / "net.mlir"
    path.write_text(
        "func.func @main(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {\n"
        '  %y = stablehlo.add %x, %x : tensor<3x4xf32> loc("twice/add")\n'
        '  %z = stablehlo.multiply %y, %y : tensor<3x4xf32> loc("square/mul")\n'
        "  return %z : tensor<3x4xf32>\n}\n"
    )
    x = np.arange(80, dtype=np.float32).reshape(20, 4)
    layers = asnet_mlir.run(path, x, layers=True).layers
    assert np.array_equal(layers["twice"], 2 * x)
    assert np.array_equal(layers["square"], 4 * x * x)


def test_the_verb(tmp_path, capfd):
    data = tmp_path / "x.npz"
    np.savez(data, x=np.zeros((5, 784), np.float32))
    out = tmp_path / "out.npz"
    common = ("run", "classification_mnist", "--layers", "-o", str(out), "--json")
    assert main([*common, "--data", f"{data}:3"]) == 0
    said = json.loads(capfd.readouterr().out)
    with np.load(out) as arrays:
        assert set(said["arrays"]) == set(arrays.files) >= {"outputs", "layer/dense"}
        assert arrays["outputs"].shape == (3, 10)
    assert main([*common, "--data", "mnist:test:4"]) == 0
    with np.load(out) as arrays:
        assert arrays["labels"].tolist() == asnet_mlir.load_data("mnist:test:4").y.tolist()


def test_bad_input(tmp_path, capfd, mlp):
    common = ["run", "classification_mnist", "--data", "mnist:test:4", "-o"]
    assert main([*common, str(tmp_path / "out.npy")]) == 2
    assert "name it FILE.npz" in capfd.readouterr().err
    with pytest.raises(InputError, match="samples have the shape 4, the network takes 13"):
        asnet_mlir.run(mlp, np.zeros((2, 4), np.float32))
    bad = np.zeros((3, 13), np.float32)
    bad[1, 4] = np.nan
    with pytest.raises(InputError, match=r"sample 1 holds a NaN at \[4\]"):
        asnet_mlir.run(mlp, bad)
