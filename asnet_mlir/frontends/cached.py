# SPDX-License-Identifier: Apache-2.0
"""A cache of model files: what a framework made of one is read again without the framework.

Importing JAX and Keras and tracing a network take seconds; the module's text and the weights, read
from a file, milliseconds.  Entries are named by the file's content, the versions of what reads it
and this package's own front ends, so that a change of any of them makes them anew.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import numpy as np

from asnet_mlir import dialects
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.folding import fold_weights
from asnet_mlir.frontends.weights import from_stored, to_stored
from asnet_mlir.native.objects import native_key
from asnet_mlir.network import Elsewhere, Form, Network, Weight
from asnet_mlir.support.cache import cached_bytes, code_version, content_hash
from asnet_mlir.support.formats import parse_format
from asnet_mlir.support.parts import Parts

__all__ = ["cached_network", "file_key", "pack", "unpack"]

_KIND = "frontends"


def file_key(*paths: Path, packages: tuple[str, ...]) -> str:
    """Return the key of a model that lies in `paths` (files or folders), read by `packages`."""
    parts: list[str | bytes] = [
        code_version("frontends", "quantized"),
        *(_version(package) for package in packages),
    ]
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        parts.append(str(len(files)))
        for file in files:
            parts += [str(file.relative_to(path)), file.read_bytes()]
    return content_hash(*parts)


def cached_network(find_key: Callable[[], str], name: str, make: Callable[[], Network]) -> Network:
    """Return the network `make()`, its weights folded, from the cache; or make it and keep it.

    Its texts are kept as well, each batch size when it is first asked for; what is not there yet
    makes the network by its framework, once.

    Args:
      find_key: gives everything that the network depends on, see `file_key`.
      name: of the network; two copies of one file may have different ones.
    """
    given = find_key()

    @functools.cache
    def made() -> Network:
        network = fold_weights(make())
        if find_key() != given:
            raise InputError(f"{name}: its file changed while it was in use; load the model again")
        return network

    # The compiler folds weights; where this process can't hold MLIR, they are not folded yet.
    key = native_key(given) if dialects.can_load() else content_hash(given, "not folded")

    def text(form: str, batch: int) -> str:
        def make_text() -> bytes:
            network = made()
            if form == "unfolded":
                return (network.unfolded or network).lower(batch).encode()
            return network.lowering.text(cast(Form, form), batch).encode()

        entry = content_hash(key, form, str(batch))
        return cached_bytes(_KIND, entry, make_text).decode()

    def compute(x: np.ndarray) -> np.ndarray:
        if not made().lowering.computes:
            raise UnsupportedError(f"{name}: its framework is not in this process")
        return made().lowering.compute(x)

    def make_entry() -> bytes:
        network = made()
        if network.fixed_batch is not None:
            # All that it will ever be asked for, so that its file is not needed again.
            for form in ("stablehlo", "linalg", "unfolded"):
                text(form, network.fixed_batch)
        return pack(network)

    return unpack(
        cached_bytes(_KIND, content_hash(key, "network"), make_entry),
        name,
        text,
        compute,
    )


def pack(network: Network) -> bytes:
    """Return everything of a network but its name and what it computes, as an `.npz` file."""
    arrays: dict[str, np.ndarray] = {}
    stored: dict[str, np.ndarray] = {}

    def place(weight: Weight) -> tuple[str, str, str]:
        # Most weights are the same array before and after folding.
        key = next((k for k, array in arrays.items() if array is weight.value), str(len(arrays)))
        arrays[key] = weight.value
        stored[key] = to_stored(weight.value)
        return weight.name, weight.format.name, key

    header = {
        "input_format": network.input_format.name,
        "output_format": network.output_format.name,
        "input_shape": network.input_shape,
        "output_shape": network.output_shape,
        "inputs": network.inputs and network.inputs.to_json(),
        "outputs": network.outputs and network.outputs.to_json(),
        "fixed_batch": network.fixed_batch,
        "computes": network.lowering.computes,
        "warnings": network.warnings,
        "weights": [place(weight) for weight in network.weights],
        "unfolded": network.unfolded and [place(weight) for weight in network.unfolded.weights],
    }
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, header=np.array(json.dumps(header)), **stored)
    return file.getvalue()


def unpack(
    data: bytes,
    name: str,
    text: Callable[[str, int], str],
    compute: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Network:
    """Return the network of which `pack` made `data`, with a name and functions given anew.

    Args:
      text: gives, for a batch size, the forms `stablehlo`, `linalg` and `unfolded` (linalg before
        weights were folded).
      compute: is left out where the network's framework computed nothing.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        header = json.loads(str(archive["header"]))
        arrays = {key: archive[key] for key in archive.files if key != "header"}

    def network(weights: Any, linalg: str) -> Network:
        return Network(
            name,
            tuple(header["input_shape"]),
            tuple(header["output_shape"]),
            tuple(
                Weight(label, from_stored(arrays[key], parse_format(format)))
                for label, format, key in weights
            ),
            Elsewhere(
                name,
                lambda form, batch: text(linalg if form == "linalg" else form, batch),
                compute if header["computes"] else None,
                header["fixed_batch"],
            ),
            input_format=parse_format(header["input_format"]),
            output_format=parse_format(header["output_format"]),
            inputs=header["inputs"] and Parts.of_json(header["inputs"]),
            outputs=header["outputs"] and Parts.of_json(header["outputs"]),
            warnings=tuple(header["warnings"]),
        )

    whole = network(header["weights"], "linalg")
    if header["unfolded"] is None:
        return whole
    return replace(whole, unfolded=network(header["unfolded"], "unfolded"))


@functools.cache
def _version(package: str) -> str:
    try:
        return f"{package}=={metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} is missing"
