# SPDX-License-Identifier: Apache-2.0
"""Networks in a result store: the text of the approx module, and each array of weights once."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.evaluator import CompiledNetwork
from asnet_mlir.exploration.archive import Archive
from asnet_mlir.frontends.weights import to_stored, weights_file_of, write_weights
from asnet_mlir.network import Weight
from asnet_mlir.support.files import write_whole

__all__ = ["keep_network", "write_network"]

_TEXT = "network.mlir"


def keep_network(archive: Archive, key: str, compiled: CompiledNetwork) -> None:
    """Keep what a network's results were computed from; weights that are there already are shared.

    Args:
      key: of the network in the store.
    """
    if archive.kept("network", key) is not None:
        return
    weights = compiled.network.weights
    files = {_TEXT: compiled.lowered.encode()}
    for number, weight in enumerate(weights):
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, to_stored(np.ascontiguousarray(weight.value)))
        files[f"{number:04}"] = buffer.getvalue()
    facts = {"name": compiled.network.name, "weights": [weight.name for weight in weights]}
    archive.keep("network", key, facts, files)


def write_network(archive: Archive, key: str, folder: Path) -> Path | None:
    """Write a kept network as `NAME-KEY.mlir` with its weights beside it, which `load_model` takes.

    Returns:
      The file; None where the store, of an older program, does not keep the network.

    Raises:
      InputError: the store is damaged.
    """
    kept = archive.kept("network", key)
    if kept is None:
        return None
    facts, files = kept
    stem = re.sub(r"[^A-Za-z0-9_]+", "_", str(facts["name"]))[:60] or "network"
    path = folder / f"{stem}-{key[:8]}.mlir"
    weights = []
    for number, name in enumerate(facts["weights"]):
        content = io.BytesIO(archive.content(files[f"{number:04}"]))
        try:
            array = np.lib.format.read_array(content, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(f"{archive.name}: the weight {name} can't be read ({error})") from None
        weights.append(Weight(name, array))  # bits without a type are stored as they are
    write_whole(path, archive.content(files[_TEXT]))
    if weights:
        write_weights(weights_file_of(path), weights)
    return path
