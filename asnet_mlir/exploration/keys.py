# SPDX-License-Identifier: Apache-2.0
"""Under which hashes results are kept: of all that decides them, and of nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.cores import load_core
from asnet_mlir.cores.core import EXACT_CORES
from asnet_mlir.data import Dataset
from asnet_mlir.exploration.layers import Layer
from asnet_mlir.exploration.store import ACCURACY
from asnet_mlir.network import Network
from asnet_mlir.support.cache import content_hash

__all__ = [
    "assignment",
    "dataset_key",
    "evaluation_key",
    "exact_hashes",
    "network_key",
]

#: Raise it when the same module, weights, data and binding may give other results than before.
_SEMANTICS_VERSION = 1


def network_key(network: Network, approx: str) -> str:
    """Return the hash of a network: its approx module, its weights, the arithmetic's version."""
    arrays = [np.ascontiguousarray(weight.value) for weight in network.weights]
    return content_hash(
        f"{asnet_mlir.__version__} {_SEMANTICS_VERSION}",
        approx,
        *(part for array in arrays for part in (str(array.shape), array.tobytes())),
    )


def dataset_key(dataset: Dataset) -> str:
    """Return the hash of samples and targets."""
    x, y = np.ascontiguousarray(dataset.x), dataset.y
    if y is None:
        return content_hash(str(x.shape), x.tobytes())
    # Class indices had no more than their bytes, before there were other targets.
    is_indices = y.ndim == 1 and y.dtype.kind == "i"
    kind = (
        () if is_indices else (str(y.shape), str(y.dtype.descr if y.dtype.names else y.dtype.name))
    )
    return content_hash(str(x.shape), x.tobytes(), np.ascontiguousarray(y).tobytes(), *kind)


def exact_hashes() -> dict[str, str]:
    """Return the content hash of each op kind's exact core, which computes what no rule does."""
    return {op: load_core(name).instance().content_hash for op, name in EXACT_CORES.items()}


def assignment(
    binding: Binding, layers: Sequence[Layer], exact: Mapping[str, str]
) -> tuple[tuple[str, str, str], ...]:
    """Return (layer, op kind, instance's hash) wherever a binding changes the arithmetic.

    Two bindings with the same assignment compute the same, however their rules are written.
    """
    result = []
    for layer in layers:
        for op in sorted(layer.ops):
            formats: list[str | None] = [*sorted(layer.formats.get(op, ()))]
            for format in formats or [None]:
                rule = binding.rule_for(op, layer.name, format)
                if rule is not None and rule.instance.content_hash != exact.get(op):
                    result.append((layer.name, op, rule.instance.content_hash))
    return tuple(result)


def evaluation_key(
    network: str, dataset: str, assigned: tuple[tuple[str, str, str], ...], metric: str
) -> str:
    """Return the key of one evaluation.

    Args:
      metric: its key; an accuracy has none, since stores have held other figures only since.
    """
    others = () if metric == ACCURACY.key else (metric,)
    return content_hash(network, dataset, json.dumps(assigned), *others)
