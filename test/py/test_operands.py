# SPDX-License-Identifier: Apache-2.0
"""Operands recorded from a network are those that its ops see."""

import numpy as np
import pytest

from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.recorded_operands import record_operands


@pytest.fixture
def data(tmp_path):
    # 300 samples: one batch of 256 and a rest, whose padding would be seen.
    x = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    path = tmp_path / "data.npz"
    np.savez(path, x=x, y=np.zeros(300, np.int64))
    return path, x


def model(tmp_path, monkeypatch):
    (tmp_path / "recorded_net.py").write_text(
        "import jax.numpy as jnp, numpy as np\n"
        "def build():\n"
        "    w = jnp.array(np.arange(6, dtype=np.float32).reshape(3, 2) - 2.5)\n"
        "    return (lambda x: jnp.maximum(x @ w, 0.25)), (jnp.zeros((1, 3), jnp.float32),)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return "recorded_net:build"


def test_all_pairs(tmp_path, monkeypatch, data):
    path, x = data
    a, b = record_operands(model(tmp_path, monkeypatch), str(path), "mulf")
    w = np.arange(6, dtype=np.float32).reshape(3, 2) - 2.5
    expected = sorted(
        (float(x[n, k]), float(w[k, j])) for n in range(300) for k in range(3) for j in range(2)
    )
    assert (
        sorted(zip(a.view(np.float32).tolist(), b.view(np.float32).tolist(), strict=True))
        == expected
    )


def test_a_draw(tmp_path, monkeypatch, data):
    path, x = data
    name = model(tmp_path, monkeypatch)
    a, _ = record_operands(name, str(path), "maxf", samples=100, seed=1)
    again, _ = record_operands(name, str(path), "maxf", samples=100, seed=1)
    other, _ = record_operands(name, str(path), "maxf", samples=100, seed=2)
    assert a.size == 100
    np.testing.assert_array_equal(a, again)
    assert (a != other).any()
    w = np.arange(6, dtype=np.float32).reshape(3, 2) - 2.5
    seen = {float(v) for v in (x @ w).ravel()}
    assert all(min(abs(v - s) for s in seen) < 1e-4 for v in a.view(np.float32)[:20].tolist())


def test_bad_requests(tmp_path, monkeypatch, data):
    path, _ = data
    name = model(tmp_path, monkeypatch)
    with pytest.raises(InputError, match="has no divf"):
        record_operands(name, str(path), "divf")
    with pytest.raises(InputError, match="unknown operation"):
        record_operands(name, str(path), "tanh")
    with pytest.raises(InputError, match="nowhere"):
        record_operands(name, str(path), "mulf", "nowhere")
