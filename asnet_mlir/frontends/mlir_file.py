"""MLIR modules in files as models: StableHLO, and the stages approx and bound."""

from __future__ import annotations

import re
from pathlib import Path

from asnet_mlir.errors import InputError
from asnet_mlir.frontends.cached import cached_network, file_key
from asnet_mlir.frontends.network import Network
from asnet_mlir.frontends.weights import weights_file_of

__all__ = ["from_mlir_file"]

# The approx dialect's own attribute of `@main`'s first argument; StableHLO does not hold it.
_APPROX = re.compile(rb'approx\.role\s*=\s*"')


def from_mlir_file(path: Path, weights: Path | None = None) -> Network:
    """Read a StableHLO, approx or bound module.

    Args:
      weights: an `.npz` file; by default `net.weights.npz` beside `net.mlir`.

    Raises:
      InputError: see `from_stablehlo_file` and `from_approx_file`.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if weights is not None and not weights.is_file():
        raise InputError(f"{weights}: no such file")
    if path.suffix == ".mlir" and _APPROX.search(path.read_bytes()):
        from asnet_mlir.frontends.approx_file import from_approx_file

        return from_approx_file(path, weights)

    def make() -> Network:
        from asnet_mlir.frontends.stablehlo_file import from_stablehlo_file

        return from_stablehlo_file(path, weights)

    def find_key() -> str:
        beside = weights or weights_file_of(path)
        files = [path, beside] if beside.is_file() else [path]
        given = "given" if weights else "beside"
        return f"{given} {file_key(*files, packages=('jax', 'jaxlib'))}"

    return cached_network(find_key, path.stem, make)
