"""Which front end reads what the user names."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError
from asnet_mlir.frontends.folding import fold_weights
from asnet_mlir.frontends.network import Network
from asnet_mlir.resources import data_directory

__all__ = ["builtin_models", "load_model"]


_LONGEST_NAME = 1000


def builtin_models() -> dict[str, Path]:
    """Return the networks that come with trained weights, by name."""
    return {path.stem: path for path in sorted((data_directory() / "models").glob("*.keras"))}


def load_model(model: Any) -> Network:
    """Make a `Network` of what the user names, its weights folded (`fold_weights`).

    Args:
      model: a built-in name, a `.keras` file, a StableHLO `.mlir`/`.mlirbc` file,
        `module:function` (see `from_module_function`), a Keras model, or a `Network` itself.

    Raises:
      InputError: nothing of that name can be read.
      UnsupportedError: the network uses what no front end supports.
    """
    return fold_weights(_load(model))


def _load(model: Any) -> Network:
    if isinstance(model, Network):
        return model
    if not isinstance(model, str | Path):
        from asnet_mlir.frontends.keras import from_keras_model

        return from_keras_model(model)
    text = str(model)
    if len(text) > _LONGEST_NAME:
        raise InputError(f"unknown model '{text[:60]}...': the name is too long")
    builtin = builtin_models()
    if text in builtin:
        from asnet_mlir.frontends.keras import from_keras_file

        return from_keras_file(builtin[text], name=text)
    if text.endswith(".keras"):
        from asnet_mlir.frontends.keras import from_keras_file

        return from_keras_file(Path(text))
    if text.endswith((".mlir", ".mlirbc")):
        from asnet_mlir.frontends.stablehlo import from_stablehlo_file

        return from_stablehlo_file(Path(text))
    if ":" in text:
        from asnet_mlir.frontends.jax import from_module_function

        return from_module_function(text)
    near = difflib.get_close_matches(text, builtin, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else f"; built in: {', '.join(builtin) or 'none'}"
    raise InputError(
        f"unknown model '{text}'{hint} (or name a .keras, .mlir file or module:function)"
    )
