# SPDX-License-Identifier: Apache-2.0
"""TensorFlow's functions, models and SavedModels of several inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import asnet_mlir as asnet
from asnet_mlir.frontends.saved_model import load_saved_model

RNG = np.random.default_rng(0)
KERNEL = RNG.standard_normal((3, 4)).astype(np.float32)
ARRAYS = {
    "ids": RNG.integers(0, 5, (7, 2)).astype(np.int32),
    "dense": RNG.standard_normal((7, 3)).astype(np.float32),
}


class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(KERNEL, name="kernel")

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2], tf.int32, name="ids"),
            tf.TensorSpec([None, 3], tf.float32, name="dense"),
        ],
        autograph=False,
    )
    def __call__(self, ids, dense):
        hidden = dense @ self.kernel
        scale = tf.cast(tf.reduce_sum(ids, 1, keepdims=True), tf.float32)
        return {"scores": hidden * scale, "next": ids + 1}


def check(model):
    network = asnet.load_model(model)
    assert set(network.inputs.names) == {"ids", "dense"}
    assert set(network.outputs.names) == {"scores", "next"}
    got = asnet.run(network, ARRAYS).named
    wanted = ARRAYS["dense"] @ KERNEL * ARRAYS["ids"].sum(1, keepdims=True)
    np.testing.assert_allclose(got["scores"], wanted, rtol=1e-4, atol=1e-5)
    assert (got["next"] == ARRAYS["ids"] + 1).all()


def test_module_and_its_signature():
    check(Net())


def test_function_with_example_arguments():
    net = Net()
    function = tf.function(lambda x: net(x["ids"], x["dense"]), autograph=False)
    example = {name: tf.constant(array) for name, array in ARRAYS.items()}
    network = asnet.load_model((function, (example,)))
    assert len(network.inputs) == 2
    assert network.outputs.names == ("next", "scores")


def test_saved_model(tmp_path: Path):
    net, folder = Net(), tmp_path / "saved"
    tf.saved_model.save(net, str(folder), signatures=net.__call__)
    check(load_saved_model(folder))


def test_keras_on_tensorflow():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    hidden = keras.layers.Dense(4, name="trunk")(a - b)
    model = keras.Model({"a": a, "b": b}, {"p": hidden, "q": keras.layers.Dense(1)(hidden)})
    arrays = {"a": ARRAYS["dense"], "b": ARRAYS["dense"][::-1].copy()}
    network = asnet.load_model(model)
    assert (network.inputs.names, network.outputs.names) == (("a", "b"), ("p", "q"))
    got, wanted = asnet.run(network, arrays).named, model(arrays)
    for name in "pq":
        np.testing.assert_allclose(got[name], wanted[name].numpy(), rtol=1e-4, atol=1e-5)
