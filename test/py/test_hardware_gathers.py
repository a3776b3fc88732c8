# SPDX-License-Identifier: Apache-2.0
"""Reads at addresses that come from data, in hardware: gathers and slices at computed places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.errors import InputError

RNG = np.random.default_rng(0)
#: More rows than are gone through one by one.
TABLE = RNG.standard_normal((300, 7)).astype(np.float32)
WEIGHTS = RNG.standard_normal((7, 3)).astype(np.float32)
#: Both ends, beyond them, and the least and greatest numbers of 32 bits.
IDS = np.array([[0, 299, 150], [300, 5, -1], [-301, 7, 255], [2**31 - 1, -(2**31), 256]], np.int32)


def embedded(ids: Any) -> Any:
    """A text classifier: rows of a table, their sum, a layer."""
    import jax.numpy as jnp

    return jnp.take(TABLE, ids, axis=0, mode="clip").sum(1) @ WEIGHTS


def picked(x: Any) -> Any:
    """Reads of values that are computed: where the greatest is, and from there on."""
    import jax
    import jax.numpy as jnp

    scores = x @ WEIGHTS
    best = jnp.take_along_axis(scores, jnp.argmax(scores, -1)[..., None], -1)[..., 0]
    place = jnp.argmax(best, -1)
    rows = jax.vmap(lambda one, at: jax.lax.dynamic_slice_in_dim(one, at, 2, 0))(scores, place)
    return rows.sum(1)


def bytes_of(ids: Any) -> Any:
    """An index of 8 bits, unsigned, into a table of as many rows as it can name, and more."""
    import jax.numpy as jnp

    return jnp.take(TABLE, ids, axis=0, mode="clip")[:, 0] * 2.0


NETWORKS = {
    "embedded": (embedded, IDS),
    "picked": (picked, RNG.standard_normal((5, 4, 7)).astype(np.float32)),
    "bytes_of": (bytes_of, np.array([[0], [127], [128], [255]], np.uint8)),
}


@pytest.mark.parametrize("style", ["shared", "stream"])
@pytest.mark.parametrize("name", NETWORKS)
def test_words_are_the_evaluators(name: str, style: str, tmp_path: Path) -> None:
    function, x = NETWORKS[name]
    network = asnet_mlir.load_model((function, (x[:1],)))
    exact = asnet_mlir.run(network, x).outputs
    assert np.allclose(exact, np.asarray(function(x)), rtol=1e-5, atol=1e-6)
    manifest = asnet_mlir.generate(
        network, "mulf=fmul_trunc:P=12", output=tmp_path / "b", style=style
    )
    compared = asnet_mlir.simulate(tmp_path / "b", x)
    assert compared.equal
    assert compared.samples == len(x)
    if style == "shared":
        assert compared.cycles_per_sample == manifest["predicted_cycles_per_sample"]


def test_a_table_is_read_once_a_word(tmp_path: Path) -> None:
    """300 rows cost no more cycles than those that are named."""
    manifest = asnet_mlir.generate((embedded, (IDS[:1],)), output=tmp_path / "b", style="shared")
    assert manifest["predicted_cycles_per_sample"] < 1000


def test_places_to_write_do_not_come_from_data() -> None:
    import jax

    def written(x: Any) -> Any:
        place = x[:, :1].astype(np.int32)[:, 0]
        put = jax.vmap(lambda row, at: jax.lax.dynamic_update_slice(row, row[:1] * 2.0, (at,)))
        return put(x, place)

    with pytest.raises(InputError, match="no linear function of the loops|scatter"):
        asnet_mlir.compile((written, (np.zeros((1, 6), np.float32),)), "scheduled")
