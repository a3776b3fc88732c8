# SPDX-License-Identifier: Apache-2.0
"""The folder of a search: its state, so that a killed one goes on, and what it found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.evolution.circuit import Circuit
from asnet_mlir.evolution.problem import METRICS, Task
from asnet_mlir.evolution.search import Counts, Found, Search
from asnet_mlir.support.files import unwritable, write_whole

__all__ = ["STATE", "load_state", "name_of", "save_state", "write_front"]

STATE, _FRONT = "search.json", "front.json"
_VERSION = 1


def save_state(folder: Path, about: Mapping[str, Any], search: Search) -> None:
    """Write what a search is about and how far it is; the old state stays where that fails.

    Raises:
      InputError, ToolError: the folder can't be written.
    """
    circuits = [
        None if one is None else {"gates": one.gates.tolist(), "outputs": one.outputs.tolist()}
        for one in search.circuits
    ]
    body = {"about": dict(about), "counts": asdict(search.counts), "circuits": circuits}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from None
    whole = {"version": _VERSION, "checksum": _checksum(body), **body}
    write_whole(folder / STATE, json.dumps(whole, separators=(",", ":")) + "\n")


def load_state(folder: Path, about: Mapping[str, Any], search: Search) -> bool:
    """Go on with a search that is in the folder; return whether there is one.

    Raises:
      InputError: the folder has a search about something else, or one that can't be read.
    """
    path = folder / STATE
    try:
        text = path.read_text()
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: can't be read: {reason}") from None
    try:
        state = json.loads(text)
        body = {key: state[key] for key in ("about", "counts", "circuits")}
        if state["version"] != _VERSION or state["checksum"] != _checksum(body):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{path}: is no search of this version, or damaged; remove it to begin anew"
        ) from None
    for key, value in json.loads(json.dumps(dict(about))).items():
        if body["about"].get(key) != value:
            raise InputError(
                f"{folder}: has a search with {key} = {body['about'].get(key)}, not {value}; give "
                "another folder with -o"
            )
    search.counts = Counts(**body["counts"])
    widths = search.problem.task.widths
    search.circuits = [
        None
        if one is None
        else Circuit(
            widths,
            np.array(one["gates"], np.int64).reshape(-1, 3),
            np.array(one["outputs"], np.int64),
        )
        for one in body["circuits"]
    ]
    return True


def _checksum(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def name_of(task: Task, circuit: Circuit) -> str:
    """Return a circuit's name, such as `mul8u_1f0c62`: what it computes and a hash."""
    kind = {"muli": "mul", "addi": "add", "subi": "sub"}.get(task.op or "", "fun")
    widths = "x".join(str(width) for width in dict.fromkeys(task.widths))
    return f"{kind}{widths}{'s' if task.signed else 'u'}_{circuit.hash()[:6]}"


def write_front(folder: Path, about: Mapping[str, Any], search: Search) -> list[dict[str, Any]]:
    """Write the circuits that were found, each as Verilog, and `front.json`; return its entries.

    Files of circuits that a longer search replaced are removed.

    Raises:
      InputError, ToolError: the folder can't be written.
    """
    found = search.found()
    entries = [_entry(search, one) for one in found]
    old = _files_of(folder)
    for entry, one in zip(entries, found, strict=True):
        text = one.circuit.verilog(
            entry["name"], signed=search.problem.task.signed, comment=_comment(about, entry)
        )
        write_whole(folder / entry["file"], text)
    front = {"about": dict(about), "counts": asdict(search.counts), "circuits": entries}
    write_whole(folder / _FRONT, json.dumps(front, indent=1) + "\n")
    for name in set(old) - {entry["file"] for entry in entries}:
        (folder / name).unlink(missing_ok=True)
    return entries


def _files_of(folder: Path) -> Sequence[str]:
    try:
        front = json.loads((folder / _FRONT).read_text())
        return [Path(entry["file"]).name for entry in front["circuits"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _entry(search: Search, one: Found) -> dict[str, Any]:
    name = name_of(search.problem.task, one.circuit)
    return {
        "name": name,
        "file": f"{name}.v",
        "bound": one.bound,
        "cost": one.cost,
        "gates": len(one.circuit.gates),
        "xors": int(one.circuit.gates[:, 2].sum()),
        "levels": one.circuit.depth(),
        "hash": one.circuit.hash(),
        "errors": asdict(one.errors),
    }


def _comment(about: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    errors = entry["errors"]
    figures = ", ".join(
        f"{name} {errors[name]:.6g}" for name in METRICS if errors[name] is not None
    )
    scope = "all operand pairs" if errors["exhaustive"] else "a sample of the operand pairs"
    return (
        f"{entry['name']}: {about['function']}, evolved by `asnet cores evolve` "
        f"under {about['bounds']}.\n"
        f"{entry['gates']} gates, {entry['xors']} of them XOR; {entry['levels']} levels.\n"
        f"Of {scope}: {figures}."
    )
