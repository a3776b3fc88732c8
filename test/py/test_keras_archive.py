# SPDX-License-Identifier: Apache-2.0
"""`.keras` files that are broken or mean harm: one line each, and nothing of them is run."""

from __future__ import annotations

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

from asnet_mlir.errors import InputError
from asnet_mlir.frontends import load_model

MARK = "asnet-was-here"


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """The members of a good file."""
    from asnet_mlir.frontends.keras import import_keras

    keras = import_keras()
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(2, 3, activation="relu", kernel_regularizer="l2"),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation=keras.activations.softmax, name="last"),
        ]
    )
    model.compile(loss="mse", optimizer="adam")
    path = tmp_path_factory.mktemp("keras") / "good.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def with_config(members, change):
    config = json.loads(members["config.json"])
    change(config)
    return members | {"config.json": json.dumps(config)}


def with_weights(members, change):
    content = io.BytesIO(members["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        change(file)
    return members | {"model.weights.h5": content.getvalue()}


def refused(path, message):
    with pytest.raises(InputError, match=message) as caught:
        load_model(str(path))
    assert len(str(caught.value).splitlines()) == 1
    assert str(path) in str(caught.value)


def test_a_good_file_stored_or_compressed(members, tmp_path):
    one = load_model(write(tmp_path / "a.keras", members))
    two = load_model(write(tmp_path / "b.keras", members, compression=zipfile.ZIP_DEFLATED))
    assert one.name == "a" and two.name == "b"
    assert [w.name for w in one.weights] == [w.name for w in two.weights]
    assert "last/kernel" in [w.name for w in one.weights]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated(members, tmp_path, share):
    whole = write(tmp_path / "whole.keras", members).read_bytes()
    path = tmp_path / "cut.keras"
    path.write_bytes(whole[: int(share * len(whole))])
    refused(path, "not a .keras file, or a damaged one")


def test_flipped_bits(members, tmp_path):
    """Every checksum is looked at."""
    whole = bytearray(write(tmp_path / "whole.keras", members).read_bytes())
    path = tmp_path / "flipped.keras"
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(whole)
    refused(path, "damaged")


@pytest.mark.parametrize("content", [b"\x89HDF\r\n\x1a\n" + bytes(100), b"PK\x03\x04", b"{}"])
def test_no_zip(tmp_path, content):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    refused(path, "not a .keras file")


@pytest.mark.parametrize("name", ["../outside", "/absolute", "assets/../../x", "a\\..\\b"])
def test_members_that_leave_the_archive(members, tmp_path, name):
    path = write(tmp_path / "m.keras", members | {name: b"x"})
    refused(path, "points out of the archive")
    assert not (tmp_path.parent / "outside").exists()


def test_members_that_do_not_belong(members, tmp_path):
    refused(write(tmp_path / "m.keras", members | {"run.py": b"x"}), "holds 'run.py'")
    for name in members:
        rest = {key: value for key, value in members.items() if key != name}
        refused(write(tmp_path / "m.keras", rest), f"lacks its member '{name}'")
    with zipfile.ZipFile(tmp_path / "t.keras", "w") as archive, pytest.warns(UserWarning):
        for key, value in members.items():
            archive.writestr(key, value)
        archive.writestr("config.json", members["config.json"])
    refused(tmp_path / "t.keras", "the member 'config.json' twice")


def test_zip_bomb(members, tmp_path):
    bomb = members | {"assets/zeros": bytes(150 << 20)}
    path = write(tmp_path / "bomb.keras", bomb, compression=zipfile.ZIP_DEFLATED, compresslevel=1)
    assert path.stat().st_size < 2 << 20
    refused(path, r"unpacks from \d+ to \d+ bytes")


@pytest.mark.parametrize("config", ["", "[]", "{}", "[" * 200_000, '{"class_name": 3}', "null"])
def test_configs_that_describe_nothing(members, tmp_path, config):
    path = write(tmp_path / "m.keras", members | {"config.json": config})
    refused(path, r"its config\.json|names a class")


def layer(model, **changes):
    model["config"]["layers"][1].update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: layer(c, module="os", class_name="system", config={"name": "touch"}),
            "'touch' is of the class 'system' of 'os'",
        ),
        (
            lambda c: layer(c, module="subprocess", class_name="Popen", config=f"touch {MARK}"),
            "class 'Popen' of 'subprocess'",
        ),
        (
            lambda c: layer(c, module="keras.utils", class_name="get_file", config={}),
            r"'get_file' of 'keras\.utils'",
        ),
        (
            lambda c: layer(c, module="keras.src.saving", class_name="load_model", config={}),
            r"'load_model' of 'keras\.src\.saving'",
        ),
        (
            lambda c: layer(c, module=None, class_name="Own", registered_name="mine>Own"),
            "class 'Own', which is not Keras' own; .*--module FILE.py",
        ),
        (lambda c: layer(c, class_name="Lambda"), r"\(Lambda\) is Python code"),
        (lambda c: layer(c, class_name="TFSMLayer"), "runs a program of another framework"),
        (lambda c: layer(c, class_name="StringLookup"), "reads a vocabulary"),
        (
            lambda c: c["config"]["layers"][1]["config"].update(
                activation={"class_name": "__lambda__", "config": {"value": "4wAA"}}
            ),
            "__lambda__.* is Python code",
        ),
        (
            lambda c: c["config"]["layers"][1]["config"].update(
                activation={"module": "builtins", "class_name": "eval", "config": "1"}
            ),
            "class 'eval' of 'builtins'",
        ),
        (
            lambda c: c["config"]["layers"][1]["config"].update(
                activation={
                    "module": "builtins",
                    "class_name": "function",
                    "config": "eval",
                    "registered_name": "function",
                }
            ),
            "Keras can't read it",
        ),
        (
            lambda c: c["config"]["layers"][1]["config"].update(
                {"__reduce__": ["os.system", [f"touch {MARK}"]]}
            ),
            "Keras can't read it",
        ),
        (lambda c: layer(c, class_name="NoSuchLayer"), "Keras can't read it"),
        (lambda c: layer(c, config={"filters": "many"}), "Keras can't read it"),
    ],
)
def test_configs_that_mean_harm(members, tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    refused(write(tmp_path / "m.keras", with_config(members, change)), message)
    assert not (tmp_path / MARK).exists()


def test_how_it_was_compiled_is_not_read(members, tmp_path):
    """So that a model with a loss of one's own is a model."""

    def change(config):
        config["compile_config"]["loss"] = {"module": "mine", "class_name": "Loss", "config": {}}

    assert load_model(write(tmp_path / "m.keras", with_config(members, change))).weights


def first_dataset(file):
    found = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return next(item for item in found if item.ndim > 1)


def replace(file, make):
    dataset = first_dataset(file)
    name, value = dataset.name, dataset[()]
    del file[name]
    make(file, name, value)


def external_storage(file, name, value):
    file.create_dataset(name, value.shape, value.dtype, external=[("/etc/passwd", 0, value.nbytes)])


def huge(file, name, value):
    file.create_dataset(name, (1 << 20, 1 << 20), "f4", chunks=(1, 1 << 10))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda f, n, v: f.__setitem__(n, h5py.ExternalLink("/etc/other.h5", "/x")),
            "has the link",
        ),
        (lambda f, n, v: f.__setitem__(n, h5py.SoftLink("/elsewhere")), "has the link"),
        (external_storage, "takes .* from another file"),
        (huge, r"claims \d+ bytes of arrays"),
        (lambda f, n, v: f.create_dataset(n, data="text"), "not numbers"),
        (lambda f, n, v: f.create_dataset(n, data=v[..., :1]), "Keras can't read it"),
        (lambda f, n, v: None, "Keras can't read it"),
        (lambda f, n, v: f.create_dataset(n, data=v * np.nan), r"weight '\S+' holds 18 NaNs of 18"),
    ],
)
def test_weights(members, tmp_path, make, message):
    changed = with_weights(members, lambda file: replace(file, make))
    refused(write(tmp_path / "m.keras", changed), message)


def test_one_nan_is_enough(members, tmp_path):
    def change(file, name, value):
        value.flat[3] = np.nan
        file.create_dataset(name, data=value)

    changed = with_weights(members, lambda file: replace(file, change))
    refused(
        write(tmp_path / "m.keras", changed), "holds 1 NaN of 18 numbers; the training diverged"
    )


@pytest.mark.parametrize("content", [b"", b"no HDF5", None])
def test_damaged_weights(members, tmp_path, content):
    if content is None:
        content = members["model.weights.h5"][:3000]
    changed = members | {"model.weights.h5": content}
    refused(write(tmp_path / "m.keras", changed), r"its model\.weights\.h5 is damaged")
