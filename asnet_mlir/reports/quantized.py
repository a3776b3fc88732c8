# SPDX-License-Identifier: Apache-2.0
"""What a quantisation did to each layer, as a part of a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError
from asnet_mlir.support.json_input import read_json

__all__ = ["HEAD", "layer_rows", "read_quantization", "summary"]

HEAD = ("layer", "what", "range", "scale", "zero point", "saturated", "SNR [dB]", "alone [dB]")

_OF_A_REPORT = ("file", "bits", "weights", "accuracy", "accuracy_float", "layers", "float")
_OF_A_LAYER = ("name", "kind", "low", "high", "scale", "zero_point", "saturated", "snr", "alone")


def read_quantization(path: str | Path) -> Mapping[str, Any]:
    """Return what `asnet quantize --json` printed.

    Raises:
      InputError: the file can't be read, or is something else.
    """
    found = read_json(path).value
    if not isinstance(found, Mapping) or any(name not in found for name in _OF_A_REPORT):
        raise InputError(f"{path}: is not what 'asnet quantize --json' prints")
    for layer in found["layers"]:
        if not isinstance(layer, Mapping) or any(name not in layer for name in _OF_A_LAYER):
            raise InputError(f"{path}: is not what 'asnet quantize --json' prints: a layer of it")
    return found


def summary(report: Mapping[str, Any]) -> str:
    """Return in a sentence what was quantised and what that cost."""
    text = f"{report['file']}: activations of {report['bits']} bits, weights of {report['weights']}"
    if report["accuracy"] is not None:
        text += f"; accuracy {report['accuracy']:.2%}, in float {report['accuracy_float']:.2%}"
    islands = [f"{layer} ({', '.join(ops)})" for layer, ops in report["float"].items()]
    return text + (f"; in float: {'; '.join(islands)}" if islands else "") + "."


def layer_rows(report: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each layer, as `HEAD` names them."""
    for layer in report["layers"]:
        yield (
            layer["name"],
            layer["kind"],
            f"{layer['low']:.4g}..{layer['high']:.4g}",
            f"{layer['scale']:.4g}",
            str(layer["zero_point"]),
            f"{layer['saturated']:.2%}",
            *("" if layer[name] is None else f"{layer[name]:.1f}" for name in ("snr", "alone")),
        )
