# SPDX-License-Identifier: Apache-2.0
"""A bundle's manifest: what it holds, and whether it still does."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asnet_mlir.data import Edges
from asnet_mlir.errors import InputError
from asnet_mlir.hardware.bundle import systemverilog as verilog
from asnet_mlir.support.formats import F32, NumberFormat, parse_format
from asnet_mlir.support.parts import Parts

__all__ = [
    "HELPERS",
    "STREAM_KINDS",
    "check_files",
    "check_name",
    "edge_formats",
    "edges_of",
    "engine_steps",
    "helper_modules",
    "listed",
    "predicted_cycles",
    "predicted_latency",
    "read_manifest",
    "verify_files",
]


_MANIFEST_KINDS: dict[str, type] = {
    "top": str,
    "input_words": int,
    "output_words": int,
    "predicted_cycles_per_sample": int,
    "memories": dict,
    "info": dict,
    "files": dict,
}

#: Of files in a message.
_MOST_LISTED = 5
HELPERS = ("fifo", "ram", "register_file", "rom")
#: Kinds of bundles that are an engine a layer.
STREAM_KINDS = ("stream", "integers")
#: Cycles that a stage of a stream adds to its own: memories, cores, and the queue behind it.
_STAGE_LATENCY = 64


def check_name(name: str) -> None:
    """Check the name of a design.

    Raises:
      InputError: it can't be the name of a module, with which others begin.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise InputError(f"'{name}' is no name for a Verilog module; use letters, digits and _")
    if name.lower() in verilog.KEYWORDS:
        raise InputError(f"'{name}' is a keyword of SystemVerilog; take another name")


def edge_formats(info: Mapping[str, Any]) -> tuple[NumberFormat, NumberFormat]:
    """Return the formats of a network's input and output, by a manifest's `info`: f32 if unsaid.

    Raises:
      InputError: there is no such format.
    """
    given, taken = (str(info.get(f"{edge}_format", F32)) for edge in ("input", "output"))
    return parse_format(given), parse_format(taken)


def edges_of(bundle: str | Path, info: Mapping[str, Any]) -> Edges:
    """Return what a network takes and gives, by a manifest's `info`.

    Raises:
      InputError: the manifest is damaged.
    """
    shape = info.get("input_shape")
    if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape):
        raise InputError(f"{bundle}: damaged (input_shape); generate the bundle anew")
    try:
        inputs, outputs = (
            Parts.of_json(info[edge]) if edge in info else None for edge in ("inputs", "outputs")
        )
    except InputError as error:
        raise InputError(f"{bundle}: damaged ({error}); generate the bundle anew") from None
    return Edges(tuple(shape), edge_formats(info)[0], inputs, outputs)


def engine_steps(layer: Mapping[str, Any]) -> int:
    """Return how many steps an engine issues for a sample."""
    if "steps" in layer:
        return int(layer["steps"])
    return int(layer["work"] // layer["outputs"] * layer["slots"])


def helper_modules(name: str) -> list[str]:
    """Return the modules for memories and queues in the design `name`."""
    return [f"{name}_{helper}" for helper in HELPERS]


def predicted_cycles(summary: Mapping[str, Any]) -> int:
    """Return the clock cycles from one sample's start to the next without any back-pressure."""
    answer = summary["memory_latency"] + 1  # a word leaves every so many cycles
    return (
        summary["input_words"]
        + summary["start_cycles"]  # until the first row is executed
        + summary["cycles"]
        + summary["output_words"] * answer
    )


def predicted_latency(manifest: Mapping[str, Any]) -> int:
    """Return the clock cycles from a sample's first word in to its last word out, at most.

    Of a stream as if no stage began before the one in front had ended.
    """
    if manifest["kind"] not in STREAM_KINDS:
        return int(manifest["predicted_cycles_per_sample"])
    stages = sum(layer["cycles"] + _STAGE_LATENCY for layer in manifest["layers"])
    return int(manifest["input_words"] + stages)


def read_manifest(bundle_dir: str | Path) -> dict[str, Any]:
    """Return the manifest of a bundle.

    Raises:
      InputError: the folder is no bundle.
    """
    path = Path(bundle_dir) / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except OSError:
        raise InputError(
            f"{bundle_dir}: no manifest.json; make a bundle with 'asnet generate'"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != 1:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise InputError(f"{path}: format {found!r}, this version reads 1")
    for key, kind in _MANIFEST_KINDS.items():
        value = manifest.get(key)
        wrong_number = isinstance(value, int) and (value is True or not 0 < value < 1 << 40)
        if not isinstance(value, kind) or wrong_number:
            raise InputError(f"{path}: the key '{key}' is missing or not what 'generate' wrote")
    for name in manifest["files"]:
        if not (Path(bundle_dir) / name).is_file():
            raise InputError(f"{bundle_dir}: lacks the file '{name}'; generate the bundle anew")
    return manifest


def check_files(bundle_dir: str | Path) -> None:
    """Refuse a bundle that is not as it was generated.

    Raises:
      InputError: the folder is no bundle, or files of it were changed: which.
    """
    changed = verify_files(bundle_dir)
    if changed:
        raise InputError(
            f"{bundle_dir}: changed since it was generated: {listed(changed)}; generate it anew, "
            "or give --modified to go on with it as it is"
        )


def listed(names: Sequence[str]) -> str:
    """Return a list of files for a message."""
    rest = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def verify_files(bundle_dir: str | Path) -> list[str]:
    """Return the files of a bundle whose content is not what was generated."""
    folder = Path(bundle_dir)
    changed = []
    for name, digest in read_manifest(folder)["files"].items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            changed.append(name)
    return changed
