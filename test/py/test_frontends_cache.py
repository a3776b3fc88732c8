# SPDX-License-Identifier: Apache-2.0
"""The cache of model files: no framework on a warm one, and nothing wrong from a damaged one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from asnet_mlir.emit import compile as compile_model
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.load import builtin_models
from asnet_mlir.support import cache


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "frontends"


def forget(monkeypatch):
    """Fail where a framework would be asked."""

    def fail(*_):
        raise AssertionError("the framework was asked")

    monkeypatch.setattr("asnet_mlir.frontends.keras_file._make", fail)


def test_a_warm_cache_needs_no_framework(own_cache):
    script = (
        "import sys, asnet_mlir as asnet\n"
        "print(asnet.evaluate('classification_mnist', 'mnist:test:300').accuracy)\n"
        "print(sorted({'jax', 'jaxlib', 'keras', 'h5py'} & set(sys.modules)))\n"
    )
    results = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    (cold, loaded), (warm, none) = (r.stdout.splitlines() for r in results)
    assert cold == warm and none == "[]" and "keras" in loaded


def test_a_warm_network_is_the_same(own_cache, monkeypatch):
    cold = load_model("classification_mnist")
    texts = [cold.lower(1), cold.stablehlo(1), cold.lower(7)]
    x = np.random.default_rng(0).random((5, 784)).astype(np.float32)
    reference = cold.reference(x)
    outputs = Evaluator(cold).outputs(x)
    forget(monkeypatch)
    warm = load_model("classification_mnist")
    assert [warm.lower(1), warm.stablehlo(1), warm.lower(7)] == texts
    for one, two in zip(cold.weights, warm.weights, strict=True):
        assert one.name == two.name
        np.testing.assert_array_equal(one.value, two.value)
    np.testing.assert_array_equal(Evaluator(warm).outputs(x), outputs)
    np.testing.assert_allclose(outputs, reference, rtol=0, atol=1e-5)
    with pytest.raises(AssertionError, match="the framework was asked"):
        warm.lower(8)


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "garbage"])
def test_damaged_entries_are_made_again(own_cache, damage):
    text = load_model("classification_mnist").lower(1)
    entries = sorted(own_cache.iterdir())
    assert len(entries) == 2
    for path in entries:
        content = bytearray(path.read_bytes())
        if damage == "flip":
            content[len(content) // 2] ^= 1
        elif damage == "truncate":
            content = content[:-1]
        elif damage == "empty":
            content = bytearray()
        else:
            content = bytearray(b"x" * 100)
        path.write_bytes(content)
    network = load_model("classification_mnist")
    assert network.lower(1) == text and network.weights[0].value.shape == (784, 10)
    assert sorted(own_cache.iterdir()) == entries  # made anew, nothing left over
    load_model("classification_mnist")


def test_names_are_the_files_and_contents_decide(own_cache, tmp_path, monkeypatch):
    content = builtin_models()["classification_mnist"].read_bytes()
    one, two = tmp_path / "one.keras", tmp_path / "two.keras"
    one.write_bytes(content)
    first = load_model(one)
    first.lower(1)
    forget(monkeypatch)
    two.write_bytes(content)
    second = load_model(two)
    assert (first.name, second.name) == ("one", "two")
    assert second.lower(1) == first.lower(1)
    assert "module @two" in compile_model(second, "approx")
    two.write_bytes(content + b"\0")
    with pytest.raises(AssertionError, match="the framework was asked"):
        load_model(two)


def test_a_file_that_changes_is_noticed(own_cache, tmp_path):
    content = builtin_models()["classification_mnist"].read_bytes()
    path = tmp_path / "net.keras"
    path.write_bytes(content)
    load_model(path).lower(1)
    network = load_model(path)
    path.write_bytes(builtin_models()["convolutional_mnist"].read_bytes())
    assert network.lower(1)  # is there already
    with pytest.raises(InputError, match="net: its file changed while it was in use"):
        network.lower(3)


def test_a_file_of_fixed_batch_is_not_needed_again(own_cache, tmp_path):
    path = tmp_path / "net.mlir"
    path.write_text(
        "func.func @main(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {\n"
        "%c = stablehlo.constant dense<[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]> : tensor<2x3xf32>\n"
        "%y = stablehlo.add %x, %c : tensor<2x3xf32> return %y : tensor<2x3xf32> }\n"
    )
    load_model(path)
    network = load_model(path)
    path.unlink()
    assert "stablehlo.add" in network.stablehlo(2)
    assert network.unfolded.lower(2)
    assert Evaluator(network).outputs(np.zeros((2, 3), np.float32)).tolist() == [
        [1, 2, 3],
        [1, 2, 3],
    ]


def test_errors_are_not_kept(own_cache, tmp_path):
    path = tmp_path / "net.mlir"
    path.write_text("nonsense")
    for _ in range(2):
        with pytest.raises(InputError, match="not a StableHLO module"):
            load_model(path)
    assert not own_cache.exists()


def test_stablehlo_and_its_weights_are_one_entry(own_cache, tmp_path):
    path, weights = tmp_path / "net.mlir", tmp_path / "w.npz"
    path.write_text(
        "func.func @main(%x: tensor<1x2xf32>, %w: tensor<2xf32>) -> tensor<1x2xf32> {\n"
        "%b = stablehlo.broadcast_in_dim %w, dims = [1] : (tensor<2xf32>) -> tensor<1x2xf32>\n"
        "%y = stablehlo.multiply %x, %b : tensor<1x2xf32> return %y : tensor<1x2xf32> }\n"
    )
    x = np.ones((1, 2), np.float32)
    for value in (2.0, 3.0, 2.0):
        np.savez(weights, np.full(2, value, np.float32))
        assert Evaluator(load_model(path, weights)).outputs(x).tolist() == [[value, value]]


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("a file, no folder")
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "file"))
    assert cache.cached_bytes("kind", "key", lambda: b"value") == b"value"
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache" / "kind" / "key").mkdir(parents=True)  # can't be replaced by a file
    assert cache.cached_bytes("kind", "key", lambda: b"value") == b"value"
    assert [p.name for p in (tmp_path / "cache" / "kind").iterdir()] == ["key"]


def test_cached_bytes_leaves_nothing_behind_when_it_fails(own_cache):
    def fail():
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cache.cached_bytes("kind", "key", fail)
    assert cache.cached_bytes("kind", "key", lambda: b"value") == b"value"
    assert cache.cached_bytes("kind", "key", fail) == b"value"
    assert [p.name for p in (cache.cache_directory() / "kind").iterdir()] == ["key"]
