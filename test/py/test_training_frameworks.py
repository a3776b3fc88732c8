# SPDX-License-Identifier: Apache-2.0
"""Networks under bindings in Keras, and on several devices of JAX."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.cli.main import main
from asnet_mlir.errors import InputError
from asnet_mlir.frontends.keras import import_keras
from asnet_mlir.frontends.program import from_program
from asnet_mlir.quantized import Builder, Quantization
from asnet_mlir.training import approximate
from asnet_mlir.training.keras_model import as_keras, from_keras

CODES = Quantization(np.array([0.1]), np.array([-3]), 8)
RANK_5 = "muli=mul8s_evolved:M=15"


@functools.cache
def network():
    rng = np.random.default_rng(1)
    build = Builder("dense", (12,), CODES)
    kernel = rng.integers(-127, 128, (12, 3), np.int8)
    scale = Quantization(np.array([0.02]), np.array([0]), 8)
    return from_program(
        build.program(build.dense(build.input, kernel, scale, None, CODES, layer="one"))
    )


def labelled(count=64):
    x = np.random.default_rng(2).integers(-128, 128, (count, 12), np.int8)
    return x, (x[:, 0] > 0) + 2 * (x[:, 1] > 90)


def test_keras_fits_the_network_through_its_cores():
    keras = import_keras()
    x, y = labelled()
    y = np.minimum(y, 2)
    model = as_keras(approximate(network(), RANK_5, estimator="lre"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss=loss)
    history = model.fit(x, y, epochs=4, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < history[0]
    tuned = from_keras(model)
    wanted = asnet_mlir.run(tuned, x, RANK_5).outputs
    assert np.array_equal(np.asarray(model(x)) * 8, wanted)
    assert not np.array_equal(wanted, asnet_mlir.run(network(), x, RANK_5).outputs)
    with pytest.raises(InputError, match="was not made by as_keras"):
        from_keras(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))


def test_a_keras_file_becomes_a_keras_file(tmp_path, monkeypatch):
    keras, layers = import_keras(), import_keras().layers
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((12,)), layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dense(3)]
    )
    monkeypatch.chdir(tmp_path)
    model.save("net.keras")
    x, y = labelled()
    np.savez("data.npz", x=(x / 128).astype(np.float32), y=np.minimum(y, 2))
    rule = "mulf=fmul_trunc:P=18"
    command = f"finetune net.keras --data data.npz --test data.npz --bind {rule} --epochs 2 --rate"
    for output in ("tuned.mlir", "tuned.keras"):
        assert main([*command.split(), "0.05", "-o", output]) == 0
    own, other = (
        asnet_mlir.run(one, "data.npz", rule).outputs
        for one in (f"{tmp_path}/tuned.mlir", f"{tmp_path}/tuned.keras")
    )
    assert np.allclose(own, other, rtol=1e-5, atol=1e-5)
    assert not np.allclose(other, asnet_mlir.run("net.keras", "data.npz", rule).outputs, atol=1e-2)


TWO_DEVICES = """
import jax, numpy as np, sys
from jax.sharding import Mesh, NamedSharding, PartitionSpec
sys.path.insert(0, sys.argv[1])
from test_training_frameworks import RANK_5, labelled, network
from asnet_mlir.training import approximate
function = approximate(network(), RANK_5)
x = labelled()[0]
rows = NamedSharding(Mesh(np.array(jax.devices()), ("batch",)), PartitionSpec("batch"))
found = jax.jit(function, in_shardings=rows, out_shardings=rows)(x)
assert len(found.sharding.device_set) == 2
assert np.array_equal(np.asarray(found), np.asarray(jax.jit(function)(x)))
each = jax.pmap(function)(x.reshape(2, -1, *x.shape[1:]))
assert np.array_equal(np.asarray(each).reshape(found.shape), np.asarray(found))
one = jax.jit(jax.grad(lambda own, x: function.logits(x, own).sum()))
own = [np.asarray(one(function.parameters, given)["one/kernel"]["kernel"])
       for given in (x, jax.device_put(x, rows))]
assert np.allclose(*own, rtol=1e-5)
"""


def test_two_devices_share_a_batch():
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-c", TWO_DEVICES, str(Path(__file__).parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
