# SPDX-License-Identifier: Apache-2.0
"""MLIR modules in files as models: StableHLO, and the forms approx and bound."""

from __future__ import annotations

import re
from pathlib import Path

from asnet_mlir.errors import InputError
from asnet_mlir.frontends.cached import cached_network, file_key
from asnet_mlir.frontends.weights import weights_file_of
from asnet_mlir.network import Network
from asnet_mlir.support.forms import MODEL_FORMS

__all__ = ["from_mlir_file"]

# The approx dialect's own attribute of `@main`'s first argument; StableHLO does not hold it.
_APPROX = re.compile(rb'approx\.role\s*=\s*"')
# What operations at the beginning of a line say about the form, in the order of the forms.
_FORMS = {
    "scheduled": re.compile(rb"\bapprox\.(?:lengths|inputs)\s*="),
    "llvm": re.compile(rb'^\s*(?:%\S+ = )?"?llvm\.', re.MULTILINE),
    "hw": re.compile(rb'^\s*"?hw\.module', re.MULTILINE),
    "sv": re.compile(rb"^(?:module \w+\s*[(;#]|endmodule\b)", re.MULTILINE),
}
_APPROX_OP = re.compile(rb'^\s*(?:%\S+ = )?"?approx\.', re.MULTILINE)
# Arithmetic that the form approx would have as its own.
_FLOAT_OP = re.compile(rb'^\s*%\S+ = "?(?:arith\.[a-z]+f\b|math\.)', re.MULTILINE)


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
    if path.suffix == ".mlir":
        content = path.read_bytes()
        form = _other_form(content)
        if form:
            raise InputError(
                f"{path}: is of the form '{form}', which is no model; models are of the forms "
                + ", ".join(MODEL_FORMS)
            )
        if _APPROX.search(content):
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


def _other_form(content: bytes) -> str | None:
    """Return the form of `asnet compile --emit` that a text is of, if that is no model."""
    form = next((name for name, mark in _FORMS.items() if mark.search(content)), None)
    if form is None and _FLOAT_OP.search(content) and not _APPROX_OP.search(content):
        return "linalg"
    return form
