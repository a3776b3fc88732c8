# SPDX-License-Identifier: Apache-2.0
"""`.h5` files as Keras 2 wrote them, and files that are no networks."""

import json

import h5py
import numpy as np
import pytest

from asnet_mlir.errors import InputError
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.keras import import_keras


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model in an `.h5` file, and what it gives."""
    keras = import_keras()
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.ReLU(6.0),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="head"),
        ]
    )
    path = tmp_path_factory.mktemp("h5") / "net.h5"
    model.save(path)
    x = np.random.default_rng(0).standard_normal((4, 6, 6, 2)).astype(np.float32)
    return path, x, np.asarray(model(x))


def changed(saved, folder, change):
    """Return a copy of the file whose description of the model is changed."""
    path = folder / "old.h5"
    path.write_bytes(saved[0].read_bytes())
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(change(config))
    return path


def layer(config, name):
    return next(one for one in config["config"]["layers"] if one["config"]["name"] == name)


def keras_2(config):
    """What MobileNets of Keras 2 have."""
    layer(config, "depthwise")["config"]["groups"] = 1
    old = {"class_name": "VarianceScaling", "config": {"distribution": "normal", "mode": "fan"}}
    layer(config, "head")["config"]["kernel_initializer"] = old
    config["config"] = config["config"]["layers"]
    return config


@pytest.mark.parametrize("change", [lambda config: config, keras_2])
def test_h5_file(saved, tmp_path, change):
    path = changed(saved, tmp_path, change)
    network = load_model(path)
    np.testing.assert_allclose(network.reference(saved[1]), saved[2], 1e-6)
    assert "/depthwise/" in network.stablehlo(1)


def code(config):
    layer(config, "head")["class_name"] = "Lambda"
    return config


def someones(config):
    layer(config, "head").update(module="acme.layers", class_name="Head")
    return config


@pytest.mark.parametrize(
    ("change", "message"), [(code, "is Python code"), (someones, "class 'Head' of 'acme.layers'")]
)
def test_code_in_an_h5_file_is_refused(saved, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        load_model(changed(saved, tmp_path, change))


def test_weights_alone(saved, tmp_path):
    path = tmp_path / "net.weights.h5"
    path.write_bytes(saved[0].read_bytes())
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]
    with pytest.raises(InputError, match="holds weights without a model"):
        load_model(path)
    path.write_bytes(b"no such thing")
    with pytest.raises(InputError, match="not an HDF5 file"):
        load_model(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("net.pt", "is a pickle, .* is never loaded; .*torch.export.save"),
        ("net.pkl", "is a pickle, .* is never loaded"),
        ("net.safetensors", "holds arrays without a network"),
        ("net.index", "a part of TensorFlow's checkpoint, weights without a network"),
        ("net.xml", r"a file of OpenVINO, which is not read; export the network to ONNX"),
        ("net.py", "is a program; name a function in it"),
        ("mult.v", "is a circuit, .*asnet cores import"),
        ("net.unheard", "of a kind that is not read; a MODEL is a .keras, .h5, .json, .tflite"),
    ],
)
def test_other_suffixes_say_what_to_do(tmp_path, name, message):
    path = tmp_path / name
    path.write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=message):
        load_model(path)
