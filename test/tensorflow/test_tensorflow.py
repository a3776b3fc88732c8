# SPDX-License-Identifier: Apache-2.0
"""What TensorFlow computes is what the lowered network computes."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import asnet_mlir as asnet
from asnet_mlir.errors import AsnetError, InputError, UnsupportedError
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.saved_model import load_saved_model


def layers_of(model) -> set[str]:
    return set(re.findall(r'approx\.layer = "([^"]*)"', asnet.compile(model, "approx")))


def assert_agrees(model, x, expected):
    got = Evaluator(load_model(model)).outputs(x)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
    assert (got.argmax(1) == np.asarray(expected).argmax(1)).all()
    # A network that ignores its input would agree with itself.
    assert len(np.unique(got.round(4), axis=0)) > 1


def test_module_function_and_concrete_function(module, x):
    expected = module(x).numpy()
    for model in (module, module.__call__, module.__call__.get_concrete_function()):
        assert_agrees(model, x, expected)
    network = load_model(module)
    assert [w.name for w in network.weights] == [
        "net/kernel",
        "net/bias",
        "constant",
        "last/constant",
    ]
    np.testing.assert_array_equal(network.weights[0].value, module.kernel.numpy())
    assert layers_of(module) == {"dense", "last"}
    np.testing.assert_array_equal(network.reference(x), expected)


def test_function_without_a_signature_takes_example_arguments(module, x):
    function = tf.function(lambda batch: {"output": module(batch)}, autograph=False)
    assert_agrees((function, (tf.zeros([1, 6]),)), x, module(x).numpy())
    with pytest.raises(InputError, match="its input's shape is unknown; give input_signature"):
        load_model(function)


def test_layers_are_bound_by_name(module, x):
    binding = asnet.Binding.parse(["mulf@dense=fmul_trunc:P=22"])
    exact, bound = (Evaluator(module, b).outputs(x) for b in (asnet.Binding(), binding))
    assert not np.array_equal(exact, bound)
    with pytest.raises(InputError, match="did you mean 'dense'"):
        Evaluator(module, asnet.Binding.parse(["mulf@dens=fmul_trunc:P=22"]))


def test_saved_model(module, x, tmp_path):
    """Through the process that reads it; the tests below read theirs here, which is quicker."""
    folder = tmp_path / "saved"
    tf.saved_model.save(module, str(folder))
    assert_agrees(str(folder), x, module(x).numpy())
    assert load_model(folder).name == "saved"
    assert layers_of(folder) == {"dense", "last"}


def test_saved_model_whose_optimizer_is_unknown(x, tmp_path):
    """Slots of a class that TensorFlow does not know keep it from loading; inference needs none."""
    from tensorflow.core.protobuf import saved_model_pb2

    class Trained(tf.Module):
        def __init__(self):
            super().__init__()
            self.kernel = tf.Variable(np.linspace(-1, 1, 18, dtype=np.float32).reshape(6, 3))
            self.optimizer = tf.compat.v1.train.AdamOptimizer(0.1)

        @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32)])
        def __call__(self, batch):
            return batch @ self.kernel

    model, folder = Trained(), tmp_path / "saved"
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x))
    model.optimizer.apply_gradients([(tape.gradient(loss, model.kernel), model.kernel)])
    tf.saved_model.save(model, str(folder))
    program = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(program.read_bytes())
    for node in saved.meta_graphs[0].object_graph_def.nodes:
        if node.user_object.identifier == "optimizer":
            node.user_object.identifier = "_unknown_optimizer"
    program.write_bytes(saved.SerializeToString())
    with pytest.raises(AttributeError, match="add_slot"):
        tf.saved_model.load(str(folder))
    np.testing.assert_allclose(load_saved_model(folder).reference(x), model(x).numpy(), 1e-5)


def test_saved_model_with_a_signature(module, x, tmp_path):
    folder = str(tmp_path / "saved")
    scaled = tf.function(
        lambda batch: {"y": 2.0 * module(batch)},
        input_signature=[tf.TensorSpec([None, 6], tf.float32, name="batch")],
        autograph=False,
    )
    holder = tf.Module()
    holder.inner = module
    tf.saved_model.save(holder, folder, signatures={"scaled": scaled})
    assert_agrees(load_saved_model(Path(folder)), x, 2 * module(x).numpy())
    tf.saved_model.save(holder, folder, signatures={"scaled": scaled, "other": scaled})
    with pytest.raises(InputError, match="signatures other, scaled, none of them serving_default"):
        load_saved_model(Path(folder))


def test_damaged_saved_models(module, tmp_path):
    with pytest.raises(InputError, match=r"a folder without saved_model\.pb"):
        load_model(tmp_path)
    folder = tmp_path / "saved"
    tf.saved_model.save(module, str(folder))
    program = (folder / "saved_model.pb").read_bytes()
    (folder / "saved_model.pb").write_bytes(program[:100])
    with pytest.raises(InputError, match=r"saved: TensorFlow can't read it") as caught:
        load_model(folder)
    assert len(str(caught.value).splitlines()) == 1
    (folder / "saved_model.pb").write_bytes(program)
    next((folder / "variables").glob("variables.data*")).unlink()
    with pytest.raises(InputError, match="saved: TensorFlow can't read it"):
        load_saved_model(folder)


def images():
    return np.random.default_rng(2).standard_normal((20, 9, 8, 2)).astype(np.float32)


def functional():
    keras.utils.set_random_seed(3)
    layers = keras.layers
    inner = keras.Sequential(
        [
            keras.Input((9, 8, 2)),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="conv"),
            layers.MaxPooling2D(2, name="pool"),
        ],
        name="inner",
    )
    inputs = keras.Input((9, 8, 2))
    y = layers.Flatten()(inner(inputs))
    y = layers.Dropout(0.5)(layers.Dense(8, activation="sigmoid", name="hidden")(y))
    y = layers.Add(name="both")([y, layers.Dense(8, name="side")(y)])
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="last")(y), name="outer")


def test_keras_on_tensorflow():
    model = functional()
    assert_agrees(model, images(), model.predict(images(), verbose=0))
    assert {"inner/conv", "hidden", "side", "last"} <= layers_of(model)
    assert [w.name for w in load_model(model).weights][:2] == [
        "inner/conv/kernel",
        "inner/conv/bias",
    ]


def test_keras_layers_have_one_name_on_either_backend(tmp_path):
    """The same file, read by Keras on JAX in another process, since Keras is on TensorFlow here."""
    model = functional()
    path = tmp_path / "model.keras"
    model.save(path)
    assert_agrees(path, images(), model.predict(images(), verbose=0))
    assert layers_of(path) - {"both"} == layers_of(model) - {"both"}
    by_name = {w.name: w.value for w in load_model(path).weights}
    assert by_name.keys() == {w.name for w in load_model(model).weights}
    for weight in load_model(model).weights:
        np.testing.assert_array_equal(weight.value, by_name[weight.name])


def test_keras_export(tmp_path):
    model = functional()
    model.export(str(tmp_path / "exported"), verbose=False)
    network = load_saved_model(tmp_path / "exported")
    assert_agrees(network, images(), model.predict(images(), verbose=0))
    assert {"inner/conv", "hidden", "side", "last"} <= layers_of(network)


def test_subclassed_keras_model(x):
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.first = keras.layers.Dense(5, activation="relu", name="first")
            self.second = keras.layers.Dense(3, name="second")

        def call(self, batch):
            return self.second(self.first(batch))

    model = Own()
    with pytest.raises(InputError, match="own: is not built"):
        load_model(model)
    expected = model(x).numpy()
    assert_agrees(model, x, expected)
    assert layers_of(model) == {"first", "second"}


def function(body, *shape, dtype=tf.float32):
    return tf.function(body, input_signature=[tf.TensorSpec(shape, dtype)], autograph=False)


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        (lambda: tf.Module(name="empty"), InputError, "empty: the tf.Module has no __call__"),
        (lambda: function(lambda x: x, None, 2, dtype=tf.int64), AsnetError, "int64"),
        (lambda: function(lambda x: x, None, None), InputError, "is open"),
        (lambda: function(lambda x: x, None), InputError, r"must be a tensor \[batch, ...\]"),
        (lambda: function(lambda x: tf.cast(x, tf.int64), None, 2), AsnetError, "i64|int64"),
        (lambda: function(tf.reduce_sum, None, 2), InputError, "first dimension is the batch"),
        (
            lambda: function(lambda x: x * tf.Variable(1.0, dtype=tf.float64), None, 2),
            InputError,
            "can't trace it",
        ),
        (
            lambda: function(
                lambda x: x + tf.cast(tf.strings.length(tf.strings.as_string(x)), x.dtype), None, 2
            ),
            UnsupportedError,
            "XLA can't compile it",
        ),
    ],
)
def test_what_can_not_be_lowered(model, kind, message):
    with pytest.raises(kind, match=message) as caught:
        load_model(model())
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("dtype", [tf.int32, tf.uint8, tf.bfloat16, tf.float16])
def test_inputs_and_outputs_have_the_formats_of_the_function(dtype):
    weights = tf.constant([[0, 1, 2], [3, 4, 5]], tf.int32)

    def body(x):
        return tf.matmul(tf.cast(x, tf.int32), weights) if dtype.is_integer else x * 2

    wrapped = function(body, None, 2, dtype=dtype)
    x = np.array([[1, 2], [3, 250]]).astype(dtype.as_numpy_dtype)
    got = Evaluator(load_model(wrapped)).outputs(x)
    want = wrapped(tf.constant(x)).numpy()
    assert np.asarray(got).dtype == want.dtype
    np.testing.assert_array_equal(np.asarray(got).astype(np.float64), want.astype(np.float64))
