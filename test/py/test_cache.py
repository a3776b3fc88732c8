# SPDX-License-Identifier: Apache-2.0
"""The cache: damaged entries, places that can't be written to, killed runs, versions of code."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import asnet_mlir
from asnet_mlir.cli.main import main
from asnet_mlir.cores import load_core
from asnet_mlir.cores.models import derive
from asnet_mlir.cores.models.derive import _cache_key, derive_models, models_version
from asnet_mlir.cores.simulation import simulation
from asnet_mlir.cores.verilog import yosys
from asnet_mlir.cores.verilog.yosys import reader_version
from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.frontends import cached
from asnet_mlir.native import objects as native
from asnet_mlir.support import cache, files

PACKAGE = Path(asnet_mlir.__file__).parent


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "family.so").write_bytes(b"code" * 100)
    (folder / "reader").write_text("slang")
    (folder / "include0").symlink_to("/usr/include")


def never(*_: object):
    raise AssertionError("made again")


# -- versions


@pytest.fixture
def own_sources(tmp_path, monkeypatch):
    """The program's sources as a copy that may be changed, and no version remembered."""
    copy = tmp_path / "asnet_mlir"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "data"))
    shutil.copytree(PACKAGE.parent / "lowering", copy / "lowering")
    monkeypatch.setattr(cache, "__file__", str(copy / "support" / "cache.py"))
    monkeypatch.setattr(cache, "lowering_directory", lambda: copy / "lowering")
    monkeypatch.setattr(asnet_mlir, "__path__", [str(copy)])
    fresh = cache.code_version.__wrapped__
    for module in (native, cached, derive, yosys, simulation):
        monkeypatch.setattr(module, "code_version", fresh)
    for module in (derive, sys.modules["asnet_mlir.cores.checks.check"]):
        monkeypatch.setattr(module, "models_version", models_version.__wrapped__)
    monkeypatch.setattr(yosys, "reader_version", reader_version.__wrapped__)
    return copy


KEYS = {
    "native code": (
        lambda: native.native_key("x"),
        ("native/jit", "compiler", "evaluation/stages"),
    ),
    "networks": (lambda: cached.file_key(packages=()), ("frontends/keras", "compiler")),
    "models": (
        lambda: _cache_key("x", None),
        (
            "cores/models/bitslice",
            "cores/proofs/z3_worker",
            "native/jit",
            "lowering/circt/comb_to_arith",
            "support/processes",
        ),
    ),
    "checks": (
        lambda: sys.modules["asnet_mlir.cores.checks.check"]._version(),
        (
            "cores/checks/check",
            "cores/simulation/simulation",
            "cores/operands",
            "support/verilator",
            "cores/simulation/family",
        ),
    ),
    "netlists": (
        reader_version.__wrapped__,
        ("cores/verilog/netlist", "cores/verilog/read_worker"),
    ),
    "widths": (
        lambda: simulation._widths_key(load_core("fmul").instance()),
        ("cores/verilog/structure", "cores/simulation/simulation"),
    ),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_changed_file_changes_the_key(name, own_sources):
    key, stems = KEYS[name]
    seen = {key()}
    for stem in stems:
        with open(own_sources / f"{stem}.py", "a") as file:
            file.write("# another line\n")
        assert key() not in seen, stem
        seen.add(key())
    with open(own_sources / "worker.py", "a") as file:
        file.write("# decides no result\n")
    assert key() in seen


def test_a_new_file_of_a_package_changes_its_version(own_sources):
    version = cache.code_version.__wrapped__
    before = version("cores"), version("evaluation")
    (own_sources / "cores" / "new_module.py").write_text("pass\n")
    assert version("cores") != before[0] and version("evaluation") == before[1]


# -- damage


@pytest.mark.parametrize("damage", ["flip", "first", "cut", "empty", "other", "folder"])
def test_a_damaged_text_is_made_again(place, damage):
    for key in ("one", "two"):
        assert cache.cached_text("models", key, lambda key=key: f"text {key} é") == f"text {key} é"
    path = place / "models" / "one"
    content = bytearray(path.read_bytes())
    if damage in ("flip", "first"):
        content[-3 if damage == "flip" else 0] ^= 4
    elif damage == "cut":
        content = content[:-1]
    elif damage == "empty":
        content = bytearray()
    elif damage == "other":
        content = bytearray((place / "models" / "two").read_bytes())
    path.write_bytes(content)
    if damage == "folder":
        path.unlink()
        (path / "x").mkdir(parents=True)
    for make in (lambda: "new", never):
        assert cache.cached_text("models", "one", make) == "new"
    assert sorted(p.name for p in (place / "models").iterdir()) == ["one", "two"]


def test_texts_that_are_damaged_are_made_together(place):
    asked = []

    def make(keys):
        asked.append(keys)
        return {key: key.upper() for key in keys}

    assert cache.cached_texts("k", ["a", "b", "a", "c"], make) == {"a": "A", "b": "B", "c": "C"}
    (place / "k" / "a").write_bytes(b"")
    (place / "k" / "c").unlink()
    assert cache.cached_texts("k", ["a", "b", "c"], make)["c"] == "C"
    assert asked == [["a", "b", "c"], ["a", "c"]]


def _flip(folder: Path) -> None:
    content = bytearray((folder / "deep" / "family.so").read_bytes())
    content[7] ^= 1
    (folder / "deep" / "family.so").write_bytes(content)


def _relink(folder: Path) -> None:
    (folder / "include0").unlink()
    (folder / "include0").symlink_to("/tmp")


DAMAGES = {
    "flipped": _flip,
    "cut": lambda f: os.truncate(f / "deep" / "family.so", 3),
    "missing": lambda f: (f / "reader").unlink(),
    "more": lambda f: (f / "more").write_text("more"),
    "link": _relink,
    "no list": lambda f: (f / ".checksums").unlink(),
    "list": lambda f: os.truncate(f / ".checksums", 40),
    "a file": lambda f: (shutil.rmtree(f), f.write_text("x")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_made_again(place, damage):
    path = cache.cached_directory("verilator", "key", fill)
    assert cache.cached_directory("verilator", "key", never) == path
    DAMAGES[damage](path)
    assert cache.cached_directory("verilator", "key", fill) == path
    assert (path / "deep" / "family.so").read_bytes() == b"code" * 100
    assert cache.cached_directory("verilator", "key", never) == path
    assert [p.name for p in (place / "verilator").iterdir()] == ["key"]


def test_a_folder_is_made_once_by_all_who_want_it(place):
    """Threads here, and processes alike: the lock is that of an open file."""
    made = []

    def slowly(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.2)
        cache.cached_directory("headers", "inner", fill)  # what it is made from waits for nobody
        fill(folder)

    with ThreadPoolExecutor(4) as pool:
        wanted = [pool.submit(cache.cached_directory, "verilator", "key", slowly) for _ in range(4)]
        assert {path.result() for path in wanted} == {place / "verilator" / "key"}
    assert len(made) == 1


def test_nobody_waits_for_ever(place, monkeypatch):
    monkeypatch.setattr(cache, "_WAIT_SECONDS", 0.0)

    def outer(folder: Path) -> None:
        fill(folder)
        cache.cached_directory("verilator", "key", fill)  # as if the other one stood still

    path = cache.cached_directory("verilator", "key", outer)
    assert cache.cached_directory("verilator", "key", never) == path


def test_a_damaged_model_gives_no_other_bits(place):
    """One digit lost in a model's text used to give a network another accuracy, silently."""
    core = load_core("fmul_trunc").instance({"P": 8})
    (first,) = derive_models({"f": core}).values()
    (entry,) = (place / "models").iterdir()
    entry.write_bytes(entry.read_bytes().replace(b"-256", b"-255"))
    (second,) = derive_models({"f": core}).values()
    assert first.text == second.text and "-256" in first.text
    entry.write_bytes(b"")
    assert derive_models({"f": core})["f"].text == first.text


# -- places


def test_a_file_in_the_place_of_the_cache(tmp_path, monkeypatch, capfd):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "file"))
    assert cache.cached_text("kind", "key", lambda: "text") == "text"
    assert cache.cached_text("kind", "key", never) == "text"  # as long as this process lives
    folder = cache.cached_directory("kind", "folder", fill)
    assert folder.is_dir() and tmp_path not in folder.parents
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "it is a file" in said and "ASNET_CACHE_DIR" in said
    assert (tmp_path / "file").read_text() == "no folder"


def test_no_place_at_all(tmp_path, monkeypatch, capfd):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "file"))

    def none(**_: object) -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(cache.tempfile, "mkdtemp", none)
    assert cache.cached_text("kind", "key", lambda: "text") == "text"
    with pytest.raises(ToolError, match="TMPDIR"):
        cache.cached_directory("kind", "folder", fill)
    assert capfd.readouterr().err.count("\n") == 1


def test_a_full_cache(place, monkeypatch, capfd):
    whole = cache.cached_text("kind", "before", lambda: "kept")

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "sync", full)
    assert cache.cached_text("kind", "before", never) == whole  # what is there is read
    monkeypatch.undo()
    monkeypatch.setenv("ASNET_CACHE_DIR", str(place))
    calls = []

    def full_once(path: Path) -> None:
        calls.append(path)
        if place in path.parents:
            full(path)

    monkeypatch.setattr(cache, "sync", full_once)
    for number in range(3):
        assert cache.cached_text("kind", f"{number}", lambda: "text") == "text"
        assert cache.cached_directory("kind", f"f{number}", fill).is_dir()
    assert capfd.readouterr().err.count("No space left on device") == 1
    assert sorted(p.name for p in (place / "kind").iterdir()) == ["before"]


def test_a_tool_that_fails_for_want_of_room_is_not_blamed(place, monkeypatch, capfd):
    def compile_(folder: Path) -> None:
        if place in folder.parents:
            raise ToolError("g++ ended with status 1")
        fill(folder)

    with pytest.raises(ToolError, match="status 1"):
        cache.cached_directory("kind", "key", compile_)
    usage = shutil.disk_usage(place)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert cache.cached_directory("kind", "key", compile_).is_dir()
    assert "little room" in capfd.readouterr().err


def test_no_home_at_all(tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": "/dev/null", "TMPDIR": str(tmp_path)}
    code = "from asnet_mlir.cli.main import main; raise SystemExit(main(['cores', 'list']))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and "fmul_trunc" in done.stdout
    assert done.stderr.count("\n") == 1 and "/dev/null/.cache" in done.stderr
    assert list(tmp_path.iterdir()) == []


# -- killed runs


def test_leftovers_that_are_old_and_nobodys_go(place):
    kind = place / "kind"
    for name in (".new-old", ".new-young", ".new-held"):
        (kind / name).mkdir(parents=True)
    (kind / ".new-file").write_text("half")
    with files.new_folder(kind, ".new-") as held:
        old = time.time() - 3600
        for path in (kind / ".new-old", kind / ".new-file", held):
            os.utime(path, (old, old))
        cache.cached_text("kind", "key", lambda: "text")
        left = {p.name for p in kind.iterdir()}
        assert left == {".new-young", ".new-held", held.name, "key"}


def let_go(place):
    """Make this process one that has not used the cache."""
    cache._CACHES.clear()
    for lock in list(os.listdir("/proc/self/fd")):
        try:
            if os.readlink(f"/proc/self/fd/{lock}") == str(place / ".lock"):
                os.close(int(lock))
        except OSError:
            pass


def test_asnet_cache_shows_and_cleans(place, capsys):
    cache.cached_text("models", "key", lambda: "text")
    cache.cached_directory("verilator", "key", fill)
    (place / "models" / ".new-x").write_text("half")
    assert main(["cache"]) == 0
    shown = capsys.readouterr().out
    assert str(place) in shown and "models" in shown and "1 left over" in shown
    assert "at most 20000 MB (ASNET_CACHE_SIZE)" in shown
    assert main(["cache", "--clean", "--days", "1"]) == 2  # this process uses it
    assert "using it" in capsys.readouterr().err
    code = "import sys; from asnet_mlir.cli.main import main; sys.exit(main(sys.argv[1:]))"
    let_go(place)
    for arguments, left in (
        (["--days", "1"], {"models/key", "verilator/key"}),
        ([], set()),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, "cache", "--clean", *arguments],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert {str(p.relative_to(place)) for p in place.glob("*/*")} == left


def test_a_cache_that_is_too_large_loses_what_was_not_used_for_longest(place):
    """By the last process that uses it, when that ends."""
    for age, key in enumerate(["now", "yesterday", "long ago", "before"]):
        cache.cached_directory("kind", key, lambda folder: (folder / "f").write_bytes(bytes(3000)))
        for path in (place / "kind" / key, place / "kind" / key / ".checksums"):
            os.utime(path, (time.time() - age * 86400,) * 2)

    def another(size):
        code = "import os\nfrom asnet_mlir.support import cache\n"
        code += "cache.cached_text('kind', f'text {os.getpid()}', lambda: 'text')"
        environment = {**os.environ, "ASNET_CACHE_SIZE": size}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert done.stderr.strip().splitlines()[-1:] == (
            []
            if size != "much"
            else [
                "asnet_mlir.errors.InputError: ASNET_CACHE_SIZE=much: "
                "write gigabytes, as 20 or 0.5, or none"
            ]
        )
        return {path.name for path in (place / "kind").iterdir() if path.is_dir()}

    def an_hour_passes():
        os.utime(place / ".lock", (0, 0))

    everything = {"now", "yesterday", "long ago", "before"}
    an_hour_passes()
    assert another("0.00001") == everything  # this process uses it
    let_go(place)
    assert another("much") == another("none") == another("0.1") == everything
    assert another("0.00001") == everything  # looked at just now
    an_hour_passes()
    assert another("0.00001") == {"now", "yesterday"}


@pytest.mark.parametrize("can_exchange", [True, False])
def test_putting_in_place(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", _no_exchange)
    new, path = tmp_path / "new", tmp_path / "path"
    new.mkdir()
    (new / "a").write_text("1")
    files.put_in_place(new, path, ".old-")
    assert (path / "a").read_text() == "1" and not new.exists()
    new.mkdir()
    files.put_in_place(new, path, ".old-")
    assert list(path.iterdir()) == [] and (new / "a").read_text() == "1"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "path"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", _no_exchange)
    path = tmp_path / "bundle"
    for text in ("one", "two"):
        with files.replacement(path) as new:
            (new / "file").write_text(text)
        assert (path / "file").read_text() == text
        with pytest.raises(ToolError), files.replacement(path) as new:
            (new / "file").write_text("never")
            raise ToolError("failed")
        assert (path / "file").read_text() == text
        assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_what_a_killed_run_left_of_a_replacement(tmp_path):
    path, old = tmp_path / "bundle", tmp_path / ".bundle.asnet-old-123"
    for folder, text in ((old, "old"), (tmp_path / ".bundle.asnet-new-x", "half")):
        folder.mkdir()
        (folder / "file").write_text(text)
    (tmp_path / ".bundle-of-mine").mkdir()
    (tmp_path / ".bundle2.asnet-new-x").mkdir()
    past = time.time() - 3600
    for folder in tmp_path.iterdir():
        os.utime(folder, (past, past))
    files.restore(path)
    assert (path / "file").read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} == {
        "bundle",
        ".bundle-of-mine",
        ".bundle2.asnet-new-x",
    }


def _no_exchange(one: Path, other: Path) -> None:
    raise OSError(errno.EINVAL, "Invalid argument")


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write_whole(path, "old")
    path.chmod(0o640)
    files.write_whole(path, "new é")
    assert path.read_text(encoding="utf-8") == "new é" and path.stat().st_mode & 0o777 == 0o640

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(ToolError, match="No space left"):
        files.write_whole(path, "newer")
    with pytest.raises(InputError, match="No such file"):
        files.write_whole(tmp_path / "none" / "file", "x")
    assert path.read_text(encoding="utf-8") == "new é"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
