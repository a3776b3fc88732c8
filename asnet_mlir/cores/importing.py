# SPDX-License-Identifier: Apache-2.0
"""A public library of circuits, imported in one go: what passes its check becomes cores by name.

A member is a folder `LIBRARY/NAME/CIRCUIT` with a `core.toml`, so that its path names the core
wherever a core is named.  `LIBRARY/NAME/library.json` lists them with what was found of each.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asnet_mlir.cores import each
from asnet_mlir.cores.members import MANIFEST
from asnet_mlir.cores.sources.source import read_source, user_path
from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.support.cache import content_hash
from asnet_mlir.support.files import replacement, restore, unwritable, write_whole
from asnet_mlir.support.formats import INTEGER_OPS

__all__ = ["Imported", "import_circuits"]

INDEX = "library.json"
_FORMAT = 1
_LIBRARY = "library"
_NAME = re.compile(r"\w[\w.+-]*", re.ASCII)


@dataclass(frozen=True)
class Imported:
    """What became of a folder of circuits.

    Attributes:
      path: the library's folder, as a binding names it.
      kept: circuits of this import that are members now, in the order of their files.
      failed: the others, with why.
      same: how many files are copies of others, name and text, as in libraries that have a folder
        for each figure of merit.
      members: how many members the library has now, those of earlier imports among them.
    """

    path: Path
    kept: tuple[each.Row, ...]
    failed: tuple[each.Row, ...]
    same: int
    members: int

    @property
    def c_models(self) -> Counter[str]:
        """How many C models of what was kept match: by order of operands, "neither" or "error"."""
        found = (row.c_model for row in self.kept if row.c_model is not None)
        return Counter(model.get("order", "error") for model in found)

    def summary(self) -> str:
        """Return the result as text: a line for each file that failed, and what there is now."""
        lines = [f"{row.file}: {row.message}" for row in self.failed]
        lines.append(f"{self.path}: kept {len(self.kept)} of {len(self.kept) + len(self.failed)}")
        if self.members > len(self.kept):
            lines[-1] += f", {self.members} members with those of earlier imports"
        if self.same:
            lines[-1] += f"; {self.same} more files are copies of these"
        if self.c_models:
            words = {"as given": "match", "by name": "match by name", "both": "match either way"}
            words |= {"swapped": "match with operands swapped", "neither": "are other functions"}
            words["error"] = "can't be called"
            counts = [f"{count} {words[order]}" for order, count in self.c_models.most_common()]
            lines.append(f"C models beside them, which nothing depends on: {', '.join(counts)}")
        if self.kept:
            first = self.kept[0]
            lines.append(f"bind them by their paths, like {first.op}={self.path / first.core}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "library": str(self.path),
            "members": self.members,
            "same": self.same,
            "kept": [_listed(row) for row in self.kept],
            "failed": [_listed(row) for row in self.failed],
            "c_models": dict(self.c_models),
        }


def import_circuits(
    folder: str | Path,
    name: str | None = None,
    *,
    library: str | Path = _LIBRARY,
    op: str | None = None,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Check and characterize every circuit below a folder; keep those that pass under their names.

    What is done is kept at once: the same call goes on where it was interrupted.  A member is never
    replaced by another circuit of its name.

    Args:
      folder: Verilog files, each a circuit of integers by itself, with C models of the same name
        beside them or not.
      name: of the library; by default that of the folder.
      library: where libraries lie; by default `library` below the working folder.
      op: what all of them compute; by default what the name of each, or its function, tells.
      jobs: see `each.run`.
      progress: is told how many files are done, of how many.

    Raises:
      InputError: no such folder, no circuit in it, a bad name, a library that can't be
        written or that isn't one.
      ToolError: the disk is full.
    """
    source = user_path(folder)
    if not source.is_dir():
        raise InputError(f"{source}: is no folder" if source.exists() else f"{source}: not there")
    if op is not None and op not in INTEGER_OPS:
        raise InputError(
            f"--op '{op}': imported circuits are of integers: one of {', '.join(INTEGER_OPS)}"
        )
    name = source.resolve().name if name is None else name
    if not _NAME.fullmatch(name):
        raise InputError(f"'{name}' can't be a library's name: letters, digits and . + - _ only")
    found = each.find([str(source)])
    target = user_path(library) / name
    if target.resolve().is_relative_to(source.resolve()):
        raise InputError(
            f"{target}: is below {source}, which is imported; give --library elsewhere"
        )
    _prepare(target)
    files, names = _distinct(found)
    rows: dict[str, each.Row] = {}
    done = 0

    def told(row: each.Row) -> None:
        nonlocal done
        done += 1
        rows[row.file] = _keep(row, target)
        if progress is not None:
            progress(done, len(files))

    request = each.Request("import", op)
    circuits = []
    for file in files:
        problem = _described(file) or names.get(file) or _taken(file, target)
        if problem:
            told(each.Row(file, "error", core=Path(file).stem, message=problem))
        else:
            circuits.append(file)
    each.run(circuits, request, jobs=jobs, progress=told)
    kept = tuple(rows[file] for file in files if rows[file].status == "pass")
    failed = tuple(rows[file] for file in files if rows[file].status != "pass")
    members = _members(target) | {row.core: _listed(row) for row in kept}
    index = {"format": _FORMAT, "members": members, "failed": [_listed(row) for row in failed]}
    write_whole(target / INDEX, json.dumps(index, indent=1) + "\n")
    return Imported(target, kept, failed, len(found) - len(files), len(members))


def _prepare(target: Path) -> None:
    """Make the library's folder, and see that it is one and can be written to, before the work."""
    index = target / INDEX
    try:
        target.mkdir(parents=True, exist_ok=True)
        if index.exists():
            _members(target)
            write_whole(index, index.read_bytes())
            return
        others = [entry for entry in target.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise unwritable(target, error) from None
    if others:
        raise InputError(f"{target}: is there and no library; give another --name or --library")
    write_whole(index, json.dumps({"format": _FORMAT, "members": {}, "failed": []}) + "\n")


def _members(target: Path) -> dict[str, Any]:
    """Return the entries of a library's index for the members that are there, by name."""
    try:
        entries = json.loads((target / INDEX).read_bytes())
        if entries["format"] != _FORMAT:
            raise ValueError
        members = dict(entries["members"])
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{target / INDEX}: not the index of a library of this version; give another --name"
        ) from None
    return {name: entry for name, entry in members.items() if (target / name / MANIFEST).is_file()}


def _distinct(files: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return files without copies of earlier ones, and what is wrong with names that are taken.

    A name is that of a file without its folder and suffix.
    """
    first: dict[str, str] = {}
    distinct: list[str] = []
    problems: dict[str, str] = {}
    for file in files:
        earlier = first.setdefault(Path(file).stem, file)
        if earlier is not file:
            if Path(file).name == Path(earlier).name and _text(file) == _text(earlier):
                continue
            problems[file] = f"has the name of {earlier}; import it under another --name"
        distinct.append(file)
    return distinct, problems


def _text(file: str | Path) -> str | None:
    """Return the text of a Verilog file; None where it can't be read, which its import says."""
    try:
        return read_source(Path(file)).text
    except AsnetError:
        return None


def _described(file: str) -> str:
    return "has a core.toml: bind it by its path" if Path(file).name == MANIFEST else ""


def _taken(file: str, target: Path) -> str:
    """Say that a member of the name of a file is another circuit, or nothing."""
    member = target / Path(file).stem / Path(file).name
    if not member.is_file():
        return ""
    here, there = _text(member), _text(file)
    if here is None or there is None or here == there:
        return ""
    hashes = f"{content_hash(here)[:12]}, not {content_hash(there)[:12]}"
    return f"{member} is another circuit of this name ({hashes}): import it under another --name"


def _keep(row: each.Row, target: Path) -> each.Row:
    """Write a member that passed; return its row, or that of a failure with what explains it."""
    row = dataclasses.replace(row, core=row.core or Path(row.file).stem)
    if row.status == "pass" and row.member is not None:
        member = target / row.core
        try:
            restore(member)
            if not all(_holds(member / name, text) for name, text in row.member.items()):
                with replacement(member) as folder:
                    for name, text in row.member.items():
                        (folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise unwritable(member, error, "; what is done is kept") from None
        return row
    stem = Path(row.file).stem
    # As slang says it: other words only cost the note.
    missing = re.search(r"unknown module '([^']+)'", row.message)
    if missing and "_" in stem:
        twin = Path(row.file).with_name(f"{stem.rpartition('_')[0]}{Path(row.file).suffix}")
        if twin.is_file():
            note = f"needs the cell {missing[1]} of a library; {twin.name} beside it is whole"
            return dataclasses.replace(row, message=note)
    return row


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def _listed(row: each.Row) -> dict[str, Any]:
    """Return what the index says of a row."""
    entry: dict[str, Any] = {"name": row.core, "file": Path(row.file).name, "status": row.status}
    if row.message:
        entry["message"] = row.message
    if row.status != "pass":
        return entry
    figures = row.characterization or {}
    keys = ("signed", "vectors", "exhaustive", "metrics", "percent")
    entry |= {"op": row.op, **{key: figures[key] for key in keys if key in figures}}
    if row.member is not None:
        (text,) = (text for name, text in row.member.items() if name != MANIFEST)
        entry["content"] = content_hash(text)
    if row.c_model is not None:
        entry["c_model"] = row.c_model
    return entry
