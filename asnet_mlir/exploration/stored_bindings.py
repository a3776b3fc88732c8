# SPDX-License-Identifier: Apache-2.0
"""Bindings of results in a store, `results.sqlite#KEY`, with the files of their cores.

A store keeps the Verilog, the tables and the manifests of all cores outside the library that its
results were computed with.  A binding is read from the user's files where they are what they were,
else from those in the store.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from asnet_mlir.binding import Binding, Rule
from asnet_mlir.cores import Instance
from asnet_mlir.cores.core import Core
from asnet_mlir.cores.reading.description import describe
from asnet_mlir.cores.sources.source import included
from asnet_mlir.errors import InputError
from asnet_mlir.exploration.archive import Archive
from asnet_mlir.exploration.store import EvaluationRecord, Store
from asnet_mlir.support.cache import cached_directory, content_hash
from asnet_mlir.support.resources import hdl_library_directory

__all__ = ["keep_beside", "keep_cores", "moved_core", "placed_core", "stored_binding"]

_PLACE = re.compile(r"(.+)#([0-9a-f]{6,64})", re.ASCII | re.DOTALL)


def keep_cores(archive: Archive, instances: Iterable[Instance]) -> None:
    """Keep the files of all instances outside the library."""
    for instance in instances:
        key = instance.content_hash
        if _is_ours(instance.core) or archive.kept("core", key) is not None:
            continue
        files = {str(path): path.read_bytes() for path in _files(instance.core)}
        archive.keep("core", key, describe(instance), files)


def stored_binding(place: str) -> Binding | None:
    """Return the binding of a result, `STORE#KEY`, or None where `place` is no such text.

    The first digits of the key are enough, six or more, where no other result's begins with them.

    Raises:
      InputError: no such store or result; a core's file is not what it was, and the store, of an
        older version, does not keep it.
    """
    found = _PLACE.fullmatch(place)
    if found is None:
        return None
    with Store(found[1], read_only=True) as store:
        record = _record(store, found[1], found[2])
        rules = [
            _rule(store.archive, place, entry, meant)
            for entry, meant in _entries(store.archive, record)
        ]
    return Binding(tuple(rules))


def keep_beside(archive: Archive, evaluation: str, binding: Binding) -> None:
    """Keep the whole binding of a result, with the rules that its configuration lies on top of."""
    hashes = [rule.instance.content_hash for rule in binding.rules]
    archive.keep("beside", evaluation, {"binding": binding.to_json(), "hashes": hashes}, {})


def _entries(archive: Archive, record: EvaluationRecord) -> list[tuple[Mapping[str, Any], str]]:
    """Return the rules of a result, each with the content hash of its instance."""
    binding, hashes = record.binding, [rule.content_hash for rule in record.rules]
    beside = archive.kept("beside", record.key)
    if beside is not None:
        binding, hashes = beside[0]["binding"], beside[0]["hashes"]
    return list(zip(binding.get("bindings", []), hashes, strict=True))


def _record(store: Store, name: str, key: str) -> EvaluationRecord:
    rows = store.select("SELECT key FROM evaluation WHERE substr(key, 1, ?) = ?", (len(key), key))
    if len(rows) != 1:
        what = "two results begin" if rows else "no result begins"
        raise InputError(f"{name}: {what} with the key '{key}'")
    record = store.get(rows[0][0])
    assert record is not None
    return record


def _rule(archive: Archive, place: str, entry: Mapping[str, Any], meant: str) -> Rule:
    """Return a rule whose instance is the one that the result was computed with."""
    problem = "has changed since"
    try:
        rule = _read(entry)
        if rule.instance.content_hash == meant:
            return rule
    except InputError as error:
        problem = f"can't be read any more ({error})"
    kept = archive.kept("core", meant)
    if kept is None:
        raise InputError(
            f"{place}: the core {entry.get('core')} {problem}, and the store does not keep it"
        )
    description, files = kept

    def write(folder: Path) -> None:
        placed_core(archive, description, files, folder)

    key = content_hash(meant, json.dumps([description, files]), "2")
    folder = cached_directory("kept-cores", key, write)
    moved = _moved(description, files, folder)
    core = description["core"]
    where = {key: entry[key] for key in ("op", "layer", "channels") if key in entry}
    rule = _read({**where, **moved})
    if rule.instance.content_hash != meant:
        raise InputError(f"{place}: the core {core} in the store is not the one of the result")
    return rule


def _read(entry: Mapping[str, Any]) -> Rule:
    (rule,) = Binding.from_json({"bindings": [dict(entry)]}).rules
    return rule


def placed_core(
    archive: Archive, description: Mapping[str, Any], files: Mapping[str, str], folder: Path
) -> dict[str, Any]:
    """Write the files of a kept core below `folder`, and return its description with their places.

    They lie to each other as they did, without the folders that all of them were in.
    """
    root = _root(description, files)
    for name, digest in files.items():
        path = folder / Path(name).relative_to(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive.content(digest))
    moved = _moved(description, files, folder)
    for one in moved.get("includes", []):
        Path(one).mkdir(parents=True, exist_ok=True)
    return moved


def moved_core(
    description: Mapping[str, Any], files: Mapping[str, str], folder: Path
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a kept core's description and files as if they lay below `folder`."""
    root = _root(description, files)
    places = {str(folder / Path(name).relative_to(root)): h for name, h in files.items()}
    return _moved(description, files, folder), places


def _root(description: Mapping[str, Any], files: Mapping[str, str]) -> str:
    """Return the folder that holds all of a core's files, and the folders of its includes."""
    folders = [os.path.dirname(name) for name in files]
    return os.path.commonpath([*folders, *description.get("includes", ())])


def _moved(
    description: Mapping[str, Any], files: Mapping[str, str], folder: Path
) -> dict[str, Any]:
    """Return a core's description with the places of its files below `folder`."""
    root, core = _root(description, files), description["core"]

    def place(path: str) -> str:
        return str(folder / Path(path).relative_to(root))

    moved = dict(description)
    moved["core"] = [*map(place, core)] if isinstance(core, list) else place(core)
    if "includes" in description:
        moved["includes"] = [*map(place, description["includes"])]
    return moved


def _is_ours(core: Core) -> bool:
    while core.inside is not None and not core.in_library:
        core = core.inside
    return core.in_library or core.path is None


def _files(core: Core) -> list[Path]:
    """Return the files that a core is read from: its manifest or table, sources, what they use."""
    found = {core.path: None} if core.path is not None else {}
    inner: Core | None = core
    while inner is not None:
        found |= {source.path: None for source in inner.sources}
        folders = inner.include_folders
        found |= {source.path: None for source in included(inner.sources, folders)}
        if inner.members is not None:
            found[inner.members.index] = None
        inner = inner.inside
    # The Verilog of tables and wrappers is generated and lies nowhere; the library's is ours.
    ours = hdl_library_directory().resolve()
    return [path for path in found if path.is_file() and not path.is_relative_to(ours)]
