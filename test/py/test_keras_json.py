# SPDX-License-Identifier: Apache-2.0
"""Descriptions of models (`.json`) with weights, layers of the user's own, and weights' types."""

import json
import warnings

import h5py
import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.cli.main import main
from asnet_mlir.errors import AsnetWarning, InputError
from asnet_mlir.frontends import keras_file, load_model
from asnet_mlir.frontends.keras import import_keras


def dense(name, units, activation, before):
    """A layer as Keras 2.0 wrote it."""
    options = {"scale": 1.0, "mode": "fan_in", "distribution": "uniform", "seed": None}
    old = {"class_name": "VarianceScaling", "config": options}
    config = {
        "name": name, "trainable": True, "units": units, "activation": activation,
        "use_bias": True, "kernel_initializer": old, "bias_initializer":
        {"class_name": "Zeros", "config": {}}, "kernel_regularizer":
        {"class_name": "L1L2", "config": {"l1": 1e-4, "l2": 0.0}}, "bias_regularizer": None,
        "activity_regularizer": None, "kernel_constraint": None, "bias_constraint": None,
    }  # fmt: skip
    return {"name": name, "class_name": "Dense", "config": config,
            "inbound_nodes": [[[before, 0, 0, {}]]]}  # fmt: skip


def functional():
    """What `model.to_json()` of Keras 2.0 gave."""
    taken = {"batch_input_shape": [None, 6], "dtype": "float32", "sparse": False, "name": "in"}
    layers = [
        {"name": "in", "class_name": "InputLayer", "config": taken, "inbound_nodes": []},
        dense("fc1", 8, "relu", "in"),
        dense("out", 3, "softmax", "fc1"),
    ]
    return {
        "class_name": "Model", "keras_version": "2.0.6", "backend": "tensorflow",
        "config": {"name": "model_1", "layers": layers, "input_layers": [["in", 0, 0]],
                   "output_layers": [["out", 0, 0]]},
    }  # fmt: skip


def sequential():
    """The same, its layers in a list."""
    layers = [{key: layer[key] for key in ("class_name", "config")}
              for layer in functional()["config"]["layers"][1:]]  # fmt: skip
    layers[0]["config"]["batch_input_shape"] = [None, 6]
    return {"class_name": "Sequential", "config": layers, "keras_version": "1.2.2"}


ARRAYS = {
    "fc1": [np.linspace(-1, 1, 48).reshape(6, 8), np.linspace(0, 0.1, 8)],
    "out": [np.linspace(1, -1, 24).reshape(8, 3), np.zeros(3)],
}


def write_weights(path, kind="<f4"):
    """Weights as Keras 2 wrote them, by the names of layers."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in ARRAYS]
        for name, arrays in ARRAYS.items():
            group = file.create_group(name)
            names = [f"{name}/{own}:0" for own in ("kernel", "bias")]
            group.attrs["weight_names"] = [own.encode() for own in names]
            for own, array in zip(names, arrays, strict=True):
                group.create_dataset(own, data=array.astype(kind))


def expected(x):
    (w, b), (v, c) = ARRAYS.values()
    y = np.maximum(x @ w + b, 0) @ v + c
    e = np.exp(y - y.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


X = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


@pytest.mark.parametrize("describe", [functional, sequential])
@pytest.mark.parametrize("end", ["_weights.h5", ".h5"])
def test_json_and_weights_of_keras_2(tmp_path, describe, end):
    (tmp_path / "net.json").write_text(json.dumps(describe()))
    write_weights(tmp_path / f"net{end}")
    network = load_model(tmp_path / "net.json")
    np.testing.assert_allclose(network.reference(X), expected(X), 1e-5)
    assert "/fc1/" in network.stablehlo(1)


def test_json_and_weights_of_keras_3(tmp_path):
    keras = import_keras()
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, activation="gelu"), layers.Dense(2)]
    )
    (tmp_path / "net.json").write_text(model.to_json())
    model.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(InputError, match="none of net.weights.h5, net_weights.h5, net.h5, .* lies"):
        load_model(tmp_path / "net.json")
    network = load_model(tmp_path / "net.json", tmp_path / "other.weights.h5")
    np.testing.assert_allclose(network.reference(X), np.asarray(model(X)), 1e-5)


def test_weights_are_part_of_what_is_cached(tmp_path):
    (tmp_path / "net.json").write_text(json.dumps(functional()))
    write_weights(tmp_path / "net.h5")
    first = load_model(tmp_path / "net.json").reference(X)
    with h5py.File(tmp_path / "net.h5", "r+") as file:
        file["out/out/bias:0"][:] = [1, 2, 3]
    assert (load_model(tmp_path / "net.json").reference(X) != first).any()


def spoil(change):
    config = functional()
    change(config)
    return json.dumps(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "its content can't be read"),
        ("[]", "describes no model"),
        (spoil(lambda c: c["config"]["layers"][1].update(class_name="Lambda")), "is Python code"),
        (spoil(lambda c: c["config"]["layers"][1].update(class_name="QDense")), "Keras can't read"),
        (spoil(lambda c: c["config"]["layers"][1].update(class_name="Fc", module="acme")),
         "class 'Fc' of 'acme', which is not Keras' own; .*--module FILE.py"),
        (spoil(lambda c: c["config"]["layers"][1]["config"].update(units=7)),
         "the weights of net.h5 don't fit"),
    ],
)  # fmt: skip
def test_bad_descriptions(tmp_path, text, message):
    (tmp_path / "net.json").write_text(text)
    write_weights(tmp_path / "net.h5")
    with pytest.raises(InputError, match=message) as error:
        load_model(tmp_path / "net.json")
    assert "\n" not in str(error.value)


def test_weights_that_are_none(tmp_path):
    (tmp_path / "net.json").write_text(json.dumps(functional()))
    (tmp_path / "net.h5").write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=r"net.h5: its content is damaged"):
        load_model(tmp_path / "net.json")
    with pytest.raises(InputError, match=r"gone.h5: no such file"):
        load_model(tmp_path / "net.json", tmp_path / "gone.h5")


OWN = """
import keras
from own_helper import FACTOR

class Scale(keras.layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x):
        return x * self.scale * FACTOR

@keras.saving.register_keras_serializable("acme")
class Shift(keras.layers.Layer):
    def call(self, x):
        return x + 1
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A file of layers, and a model of them in two files."""
    from asnet_mlir.frontends.keras_own import own_objects

    folder = tmp_path_factory.mktemp("own")
    (folder / "own_layers.py").write_text(OWN)
    (folder / "own_helper.py").write_text("FACTOR = 3.0\n")
    keras = import_keras()
    with keras.saving.custom_object_scope({}):
        found = own_objects(folder / "own_layers.py")
        layers = [keras.Input((6,)), found["Scale"](), found["Shift"](), keras.layers.Dense(2)]
        model = keras.Sequential(layers)
        for end in ("keras", "h5"):
            model.save(folder / f"net.{end}")
        return folder, np.asarray(model(X))


@pytest.mark.parametrize("end", ["keras", "h5"])
def test_layers_of_the_users_own(own, end):
    folder, outputs = own
    path = folder / f"net.{end}"
    with pytest.raises(InputError, match="not Keras' own|Keras can't read"):
        load_model(path)
    network = load_model(path, module=folder / "own_layers.py")
    assert network.name == "net"
    np.testing.assert_allclose(network.reference(X), outputs, 1e-5)
    (folder / "own_helper.py").write_text("FACTOR = 3.0\n")


def test_module_on_the_command_line(own, tmp_path, capsys):
    folder, outputs = own
    np.savez(tmp_path / "x.npz", x=X)
    command = ["run", str(folder / "net.keras"), "--data", str(tmp_path / "x.npz"),
               "-o", str(tmp_path / "y.npz"), "--module"]  # fmt: skip
    assert main([*command, str(folder / "own_layers.py")]) == 0
    with np.load(tmp_path / "y.npz") as results:
        np.testing.assert_allclose(next(iter(results.values())), outputs, 1e-5)
    capsys.readouterr()
    for text, message in (
        ("1 / 0", "can't be run: ZeroDivisionError"),
        ("", "defines no class and no function"),
    ):
        (tmp_path / "mine.py").write_text(text)
        assert main([*command, str(tmp_path / "mine.py")]) == 2
        assert message in capsys.readouterr().err


def test_module_for_other_files(tmp_path):
    with pytest.raises(InputError, match=r"--module is for .keras, .h5 and .json files"):
        load_model(tmp_path / "net.onnx", module="layers.py")
    with pytest.raises(InputError, match="this model is an object"):
        load_model((abs, ()), module="layers.py")


def test_weights_of_fewer_bits_are_widened(tmp_path, monkeypatch):
    """Said each time, also where the cache has the network: of the file that is named."""
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("net", "other"):
        (tmp_path / f"{name}.json").write_text(json.dumps(functional()))
        write_weights(tmp_path / f"{name}.h5", "<f2")
        said = f"{name}.json: its weights are float16, its layers' float32: they are widened"
        with pytest.warns(AsnetWarning, match=said) as warned:
            network = load_model(tmp_path / f"{name}.json")
        assert len(warned) == 1 and warned[0].filename == __file__
        if name == "net":
            assert {weight.format.name for weight in network.weights} == {"f32"}
            np.testing.assert_allclose(network.reference(X), expected(X), 1e-2)
            monkeypatch.setattr(keras_file, "_make", lambda *_: pytest.fail("read again"))
    assert load_model(network) is network  # nothing is left to be said


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("end", ["keras", "h5"])
def test_narrow_floats_are_computed_as_they_are(tmp_path, policy, end):
    keras = import_keras()
    layers = [keras.Input((6,)), keras.layers.Dense(3, dtype=policy)]
    model = keras.Sequential(layers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(tmp_path / f"net.{end}")
    network = load_model(tmp_path / f"net.{end}")
    assert network.output_format.name == ("bf16" if "bfloat16" in policy else "f16")
    got = asnet_mlir.run(network, X).outputs.astype(np.float32)
    near = 2e-2 if "bfloat16" in policy else 2e-3
    np.testing.assert_allclose(got, np.asarray(model(X)).astype(np.float32), near, near)
