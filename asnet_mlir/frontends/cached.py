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
from importlib import metadata
from pathlib import Path

import numpy as np

from asnet_mlir.cache import cached_bytes, content_hash
from asnet_mlir.errors import UnsupportedError
from asnet_mlir.frontends.network import Network, Weight

__all__ = ["cached_network", "file_key", "pack", "unpack"]

_KIND = "frontends"


def file_key(*paths: Path, packages: tuple[str, ...]) -> str:
    """Return the key of a model that lies in `paths` (files or folders), read by `packages`."""
    parts: list[str | bytes] = [_own_sources(), *(_version(package) for package in packages)]
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        parts.append(str(len(files)))
        for file in files:
            parts += [str(file.relative_to(path)), file.read_bytes()]
    return content_hash(*parts)


def cached_network(
    key: str,
    name: str,
    make: Callable[[], Network],
    make_text: Callable[[str, int], str] | None = None,
) -> Network:
    """Return the network `make()` from the cache, or make it and keep it there.

    Its texts are kept as well, each batch size when it is first asked for; what is not there yet
    makes the network by its framework, once.

    Args:
      key: everything that the network depends on, see `file_key`.
      name: of the network; two copies of one file may have different ones.
      make_text: makes the text of a stage (`stablehlo`, `lower`) for a batch size; by default the
        functions of `make()` do.
    """
    made = functools.cache(make)

    def new_text(stage: str, batch: int) -> str:
        result: str = getattr(made(), stage)(batch)
        return result

    def text(stage: str, batch: int) -> str:
        entry = content_hash(key, stage, str(batch))
        make_entry = make_text or new_text
        return cached_bytes(_KIND, entry, lambda: make_entry(stage, batch).encode()).decode()

    def reference(x: np.ndarray) -> np.ndarray:
        compute = made().reference
        if compute is None:
            raise UnsupportedError(f"{name}: its framework is not in this process")
        return compute(x)

    return unpack(
        cached_bytes(_KIND, content_hash(key, "network"), lambda: pack(made())),
        name,
        stablehlo=functools.partial(text, "stablehlo"),
        lower=functools.partial(text, "lower"),
        reference=reference,
    )


def pack(network: Network) -> bytes:
    """Return everything of a network but its name and what it computes, as an `.npz` file."""
    header = {
        "input_shape": network.input_shape,
        "output_shape": network.output_shape,
        "fixed_batch": network.fixed_batch,
        "has_reference": network.reference is not None,
        "weights": [weight.name for weight in network.weights],
    }
    file = io.BytesIO()
    arrays = {f"weight_{i}": weight.value for i, weight in enumerate(network.weights)}
    np.savez(file, allow_pickle=False, header=np.array(json.dumps(header)), **arrays)
    return file.getvalue()


def unpack(
    data: bytes,
    name: str,
    *,
    stablehlo: Callable[[int], str],
    lower: Callable[[int], str],
    reference: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Network:
    """Return the network of which `pack` made `data`, with a name and functions given anew.

    Args:
      reference: is left out where the network had none.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        header = json.loads(str(archive["header"]))
        weights = tuple(
            Weight(label, archive[f"weight_{index}"])
            for index, label in enumerate(header["weights"])
        )
    return Network(
        name,
        tuple(header["input_shape"]),
        tuple(header["output_shape"]),
        weights,
        stablehlo=stablehlo,
        lower=lower,
        fixed_batch=header["fixed_batch"],
        reference=reference if header["has_reference"] else None,
    )


@functools.cache
def _own_sources() -> str:
    """Return the hash of the front ends' sources: the package's version stays while they change."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return content_hash(*(file.read_bytes() for file in files))


@functools.cache
def _version(package: str) -> str:
    try:
        return f"{package}=={metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} is missing"
