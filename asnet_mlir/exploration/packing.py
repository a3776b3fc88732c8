# SPDX-License-Identifier: Apache-2.0
"""A study as one file to hand on: `study.zip`, from which another machine evaluates it again.

It holds the result store, the networks with their weights, the Verilog of the cores, each study's
constraints, and `study.json`, which says what made it and has the hash of every file.  All paths in
it are relative to its folder: commands run there as they stand.  Data sets are named, with their
hashes; those that are files of the user's are packed on demand.
"""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import tempfile
import time
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import asnet_mlir
from asnet_mlir.data.datasets import data_file
from asnet_mlir.errors import InputError
from asnet_mlir.exploration.archive import Archive
from asnet_mlir.exploration.kept_networks import write_network
from asnet_mlir.exploration.provenance import provenance
from asnet_mlir.exploration.store import EvaluationRecord, Store, StudyRecord
from asnet_mlir.exploration.stored_bindings import moved_core, placed_core
from asnet_mlir.support.files import new_folder, put_in_place, unwritable, write_whole

__all__ = ["STORE", "Unpacked", "pack", "unpack"]

#: Names in a packed study.
STORE, _INDEX, _CORES = "results.sqlite", "study.json", "cores"
_FORMAT, _VERSION = "asnet-study", 1
#: Texts with labels of cores.
_LABELS = (
    ("evaluation", "label"),
    ("evaluation", "rules"),
    ("partial", "label"),
    ("study", "constraints"),
    ("study", "variables"),
    ("instance", "label"),
)
#: What an unpacked file may take; weights of the largest networks are below.
_LARGEST = 8 << 30
#: So that the same study gives the same file.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Unpacked:
    """A study in a folder.

    Attributes:
      folder: where it is.
      index: what `study.json` says: `product`, `made`, `provenance`, `networks`, `data`, `files`.
    """

    folder: Path
    index: Mapping[str, Any]

    @property
    def store(self) -> Path:
        """The result store."""
        return self.folder / STORE


def pack(study: str | Path, output: str | Path, *, with_data: bool = False) -> dict[str, Any]:
    """Write a result store, with all that its results need, as one file.

    Args:
      study: the store; it is only read.
      output: the `.zip`, which is replaced if it is there.
      with_data: pack also the data sets that are `.npz` files.

    Returns:
      What `study.json` says.

    Raises:
      InputError: no store, or one of an older program that lacks a network; a data set that is to
        be packed is not there.
    """
    output = Path(output)
    if output.exists() and output.samefile(study):
        raise InputError(f"{output}: is the store itself; name another file")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store(study, read_only=True) as store:
            store.execute("VACUUM INTO ?", [str(folder / STORE)])
        index = _fill(folder, str(study), with_data)
        content = _zipped(folder)
    write_whole(output, content)
    return index


def _fill(folder: Path, name: str, with_data: bool) -> dict[str, Any]:
    """Write all but the store, whose commands are made those of the folder; return the index."""
    with Store(folder / STORE) as store:
        networks = _write_networks(store, folder, name)
        data = _write_data(store, folder) if with_data else {}
        for study in store.studies():
            file = _write_constraints(store.archive, study, folder)
            _set(store, "study", study.key, _study_command(study, networks, data, file))
        for record in store.evaluations():
            _set(store, "evaluation", record.key, _command(store, record, networks, data))
        for key, file in networks.items():
            store.execute("UPDATE network SET source = ? WHERE key = ?", [file, key])
        for dataset in store.datasets():
            place = data.get(dataset.name, dataset.name)
            store.execute("UPDATE dataset SET name = ? WHERE key = ?", [place, dataset.key])
        _move_cores(store)
        store.execute("DELETE FROM kept WHERE kind = 'run'")
        store.execute("VACUUM")
        facts = {
            "networks": [
                {"name": n.name, "key": n.key, "file": networks[n.key]} for n in store.networks()
            ],
            "data": [
                {"name": d.name, "samples": d.samples, "key": d.key} for d in store.datasets()
            ],
            "seeds": sorted({study.seed for study in store.studies()}),
        }
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    index = {
        "format": _FORMAT,
        "version": _VERSION,
        "product": asnet_mlir.__version__,
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "provenance": provenance(),
        **facts,
        "files": {path.relative_to(folder).as_posix(): _hash(path) for path in files},
    }
    (folder / _INDEX).write_text(json.dumps(index, indent=2) + "\n")
    return index


def _set(store: Store, table: str, key: str, command: str | None) -> None:
    store.execute(f"UPDATE {table} SET command = ? WHERE key = ?", [command, key])


def _write_networks(store: Store, folder: Path, name: str) -> dict[str, str]:
    """Write the networks; return their files by their keys."""
    (folder / "networks").mkdir()
    found = {}
    for network in store.networks():
        path = write_network(store.archive, network.key, folder / "networks")
        if path is None:
            raise InputError(
                f"{name}: lacks the network '{network.name}', since an older program wrote it; run "
                "its 'asnet explore' again with this one, which keeps it and computes nothing anew"
            )
        found[network.key] = path.relative_to(folder).as_posix()
    return found


def _write_data(store: Store, folder: Path) -> dict[str, str]:
    """Copy the data sets that are files; return the new names by the old ones."""
    found: dict[str, str] = {}
    for dataset in store.datasets():
        place = data_file(dataset.name)
        if place is None:
            continue
        if not place.is_file():
            raise InputError(f"{place}: no such file, the data of results; pack without the data")
        content = place.read_bytes()
        copy = Path("data") / f"{hashlib.sha256(content).hexdigest()[:8]}-{place.name}"
        (folder / copy).parent.mkdir(exist_ok=True)
        (folder / copy).write_bytes(content)
        found[dataset.name] = copy.as_posix() + dataset.name.removeprefix(str(place))
    return found


def _write_constraints(archive: Archive, study: StudyRecord, folder: Path) -> str:
    """Write what a study chose between, with the files of its cores; return the file."""
    cores = []
    for op, choices in study.constraints.get("choices", {}).items():
        for choice in choices:
            entry = {k: v for k, v in choice.items() if k not in ("label", "content_hash")}
            kept = archive.kept("core", choice["content_hash"])
            if kept is not None:
                moved = placed_core(archive, *kept, folder / _core_folder(*kept))
                places = [key for key in ("core", "includes") if key in moved]
                entry |= {key: _up(moved[key], folder) for key in places}
            cores.append({"op": op, **entry})
    given = {k: study.constraints[k] for k in ("scope", "channels") if k in study.constraints}
    path = folder / "constraints" / f"{study.key[:8]}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**given, "cores": cores}, indent=2) + "\n")
    return path.relative_to(folder).as_posix()


def _core_folder(description: Mapping[str, Any], files: Mapping[str, str]) -> Path:
    """Return where a core's files lie in a packed study: one place for the same files."""
    _, moved = moved_core(description, files, Path())
    return Path(_CORES) / hashlib.sha256(json.dumps(moved).encode()).hexdigest()[:12]


def _move_cores(store: Store) -> None:
    """Make the places of kept cores those in the packed study, wherever the store names them."""
    places: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    for key, facts, files in store.select("SELECT key, facts, files FROM kept WHERE kind = 'core'"):
        kept = json.loads(facts), json.loads(files)
        folder = _core_folder(*kept)
        description, moved = moved_core(*kept, folder)
        names |= dict(zip(kept[1], moved, strict=True))
        places[key] = {k: description[k] for k in ("core", "includes") if k in description}
        # They lie nowhere; what is below a root can be placed below another one.
        rooted, moved = moved_core(*kept, Path("/") / folder)
        store.execute(
            "UPDATE kept SET facts = ?, files = ? WHERE kind = 'core' AND key = ?",
            [json.dumps(rooted), json.dumps(moved), key],
        )
    for record in store.evaluations():
        binding = _placed(record.binding, [rule.content_hash for rule in record.rules], places)
        store.execute(
            "UPDATE evaluation SET binding = ? WHERE key = ?", [json.dumps(binding), record.key]
        )
    for key, text in store.select("SELECT key, facts FROM kept WHERE kind = 'beside'"):
        facts = json.loads(text)
        facts["binding"] = _placed(facts["binding"], facts["hashes"], places)
        store.execute(
            "UPDATE kept SET facts = ? WHERE kind = 'beside' AND key = ?", [json.dumps(facts), key]
        )
    # Labels name files outside of the author's working directory by their absolute paths.
    for table, column in _LABELS:
        for old, new in names.items():
            in_json = [json.dumps(name)[1:-1] for name in (old, new)]
            store.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", in_json)


def _placed(
    binding: Mapping[str, Any], hashes: Sequence[str], places: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    entries = binding.get("bindings", [])
    moved = [{**e, **places.get(h, {})} for e, h in zip(entries, hashes, strict=True)]
    return {**binding, "bindings": moved}


def _up(value: str | list[str], folder: Path) -> str | list[str]:
    """Return places in `folder` as seen from a folder in it."""
    if isinstance(value, list):
        return [str(_up(one, folder)) for one in value]
    return "../" + Path(value).relative_to(folder).as_posix()


def _command(
    store: Store, record: EvaluationRecord, networks: Mapping[str, str], data: Mapping[str, str]
) -> str | None:
    """Return what evaluates a result in the folder; None where no command can."""
    name = next(d.name for d in store.datasets() if d.key == record.dataset)
    words = shlex.split(record.command) if record.command else []
    if not words and name.startswith("("):
        return None  # arrays of Python
    options = _options(words[3:]) if words else {}
    kept = [store.archive.kept("core", rule.content_hash) for rule in record.rules]
    kept.append(store.archive.kept("beside", record.key))
    command = ["asnet", "evaluate", networks[record.network], "--data", data.get(name, name)]
    if any(one is not None for one in kept):
        command += ["--binding", f"{STORE}#{record.key[:16]}"]
    else:
        for rule in record.rules:
            place = rule.op if rule.layer is None else f"{rule.op}@{rule.layer}"
            command += ["--bind", f"{place}={rule.label}"]
    for option in ("--tune-weights", "--metric"):
        for value in options.get(option, []):
            command += [option, *([data.get(value, value)] if value else [])]
    if not words and record.metric.name != "accuracy":
        command += ["--metric", record.metric.name]
    return shlex.join(command)


def _study_command(
    study: StudyRecord, networks: Mapping[str, str], data: Mapping[str, str], constraints: str
) -> str | None:
    """Return what goes on with a study in the folder."""
    if study.command is None:
        return None
    words = shlex.split(study.command)
    changed = ["asnet", "explore", networks[study.network]]
    for option, values in _options(words[3:]).items():
        for value in values:
            if option in ("--data", "--validate", "--test", "--tune-weights"):
                value = data.get(value, value)
            elif option == "--constraints":
                value = constraints
            elif option == "--store":
                value = STORE
            elif option == "--weights":
                continue
            changed += [option, *([value] if value else [])]
    return shlex.join(changed)


def _options(words: list[str]) -> dict[str, list[str]]:
    """Return the values of each option; an empty text where it has none."""
    found: dict[str, list[str]] = {}
    for position, word in enumerate(words):
        if word.startswith("--"):
            value = words[position + 1] if position + 1 < len(words) else "--"
            found.setdefault(word, []).append("" if value.startswith("--") else value)
    return found


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
                name.compress_type = zipfile.ZIP_DEFLATED
                name.external_attr = 0o644 << 16
                archive.writestr(name, path.read_bytes())
    return buffer.getvalue()


def unpack(file: str | Path, output: str | Path) -> Unpacked:
    """Write what `pack` packed as a folder.

    Raises:
      InputError: no packed study, one of another version, a file of it is missing or is not what
        it was (named); the folder exists already.
    """
    output = Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: exists already; name a new folder")
    try:
        with zipfile.ZipFile(file) as archive:
            index = _index(archive, str(file))
            contents = {name: _content(archive, name, index, file) for name in index["files"]}
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except OSError as error:
        raise InputError(f"{file}: can't be read: {error.strerror}") from None
    except zipfile.BadZipFile as error:
        raise InputError(f"{file}: is no packed study ({error})") from None
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with new_folder(output.absolute().parent, f".{output.name}-") as new:
            for name, content in contents.items():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).write_bytes(content)
            (new / _INDEX).write_text(json.dumps(index, indent=2) + "\n")
            new.chmod(0o755)
            if output.is_dir():
                output.rmdir()
            put_in_place(new, output, str(output))
    except OSError as error:
        raise unwritable(output, error) from None
    return Unpacked(output, index)


def _index(archive: zipfile.ZipFile, file: str) -> dict[str, Any]:
    try:
        index = json.loads(archive.read(_INDEX))
    except KeyError:
        raise InputError(f"{file}: is no packed study (it lacks {_INDEX})") from None
    except (ValueError, zlib.error, RecursionError) as error:
        raise InputError(f"{file}: {_INDEX} can't be read ({error})") from None
    if not isinstance(index, dict) or index.get("format") != _FORMAT:
        raise InputError(f"{file}: is no packed study ({_INDEX} says no '{_FORMAT}')")
    if index.get("version") != _VERSION:
        raise InputError(
            f"{file}: is a packed study of version {index.get('version')}, made by asnet-mlir "
            f"{index.get('product')}; this program reads version {_VERSION}"
        )
    files = index.get("files")
    if not isinstance(files, dict) or STORE not in files:
        raise InputError(f"{file}: {_INDEX} names no {STORE}")
    return index


def _content(
    archive: zipfile.ZipFile, name: str, index: Mapping[str, Any], file: str | Path
) -> bytes:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\\" in name or not place.parts:
        raise InputError(f"{file}: the file '{name}' would lie outside of the folder")
    try:
        if archive.getinfo(name).file_size > _LARGEST:
            raise InputError(f"{file}: the file {name} is larger than any that is packed")
        content = archive.read(name)
    except KeyError:
        raise InputError(f"{file}: the file {name} is missing") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        content = b""
    if hashlib.sha256(content).hexdigest() != index["files"][name]:
        raise InputError(f"{file}: the file {name} is not what was packed (its hash differs)")
    return content
