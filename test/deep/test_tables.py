# SPDX-License-Identifier: Apache-2.0
"""A table inside a network, evaluated by its model and simulated from its ROM."""

from __future__ import annotations

import numpy as np

import asnet_mlir
from asnet_mlir.binding import Binding


def test_a_network_with_a_table_of_products(tmp_path):
    a = np.arange(256)
    np.save(tmp_path / "t.npy", (a[:, None] & ~3) * a[None, :])
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((6, 3)).astype(np.float32)
    x = rng.standard_normal((5, 6)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=np.zeros(5, int))
    binding = Binding.parse([f"mulf={tmp_path}/t.npy:ROW_B=1"])
    model = (lambda value: value @ weights, (x[:1],))
    asnet_mlir.generate(model, binding, output=tmp_path / "b")
    result = asnet_mlir.simulate(tmp_path / "b", str(tmp_path / "d.npz"))
    assert (result.samples, result.mismatches) == (5, 0), result.differences
    found = asnet_mlir.synthesize(tmp_path / "b", route=False)
    assert (
        found["brams"] >= 45
    )  # most of them of the table: 65,536 words, 14 of whose bits are not 0
