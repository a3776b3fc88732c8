# SPDX-License-Identifier: Apache-2.0
"""Caches that are damaged, and caches that can't be written to: the results stay the clean ones.

`ASNET_FUZZ_SECONDS` (default 20) bounds each test, `ASNET_FUZZ_SEED` chooses its cases.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzing import ASNET, DATA, cases, environment, without_times

COMMANDS = (
    ("evaluate", "classification_mnist", "--data", "mnist:test:64", "--json"),
    (
        *("evaluate", "classification_mnist", "--data", "mnist:test:64", "--json"),
        *("--bind", "mulf=fmul_trunc:P=12", "divf=fdiv_trunc:P=8"),
    ),
    ("cores", "check", str(DATA / "integer.v"), "--op", "muli", "--vectors", "500", "--json"),
    ("cores", "characterize", str(DATA / "integer.v"), "--op", "muli", "--json"),
    ("cores", "list", "--json"),
)
#: Where a command's texts of seconds are of no use: what is made again may take this long.
LIMIT = 900


def run(arguments: tuple[str, ...], place: Path | None, tmp: Path, **more: str | None):
    values = environment(
        ASNET_CACHE_DIR=None if place is None else str(place), TMPDIR=str(tmp), **more
    )
    arguments = tuple(a for a in arguments)
    return subprocess.run(
        [*ASNET, *_flat(arguments)], env=values, capture_output=True, text=True, timeout=LIMIT
    )


def _flat(arguments: tuple[str, ...]) -> list[str]:
    """Return a command's words; each further rule of --bind gets its own option."""
    words: list[str] = []
    for word in arguments:
        is_rule = "=" in word and words and "=" in words[-1]
        words += ["--bind", word] if is_rule else [word]
    return words


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A whole cache, and what each command says with it."""
    place = tmp_path_factory.mktemp("clean") / "cache"
    tmp = tmp_path_factory.mktemp("tmp")
    expected = []
    for command in COMMANDS:
        first, second = run(command, place, tmp), run(command, place, tmp)
        assert first.returncode == 0, first.stderr
        assert without_times(first.stdout) == without_times(second.stdout)
        expected.append(without_times(first.stdout))
    return place, expected


def damage(rng: random.Random, path: Path, others: list[Path]) -> str:
    """Damage a file; return how."""
    content = bytearray(path.read_bytes())
    kind = rng.choice(["flip", "cut", "empty", "zeros", "more", "swap", "delete", "folder", "link"])
    if kind == "flip" and content:
        for _ in range(rng.choice([1, 1, 3])):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == "cut" and content:
        content = content[: rng.randrange(len(content))]
    elif kind == "empty":
        content = bytearray()
    elif kind == "zeros" and content:
        start = rng.randrange(len(content))
        stop = min(len(content), start + rng.choice([1, 512, 4096]))
        content[start:stop] = bytes(stop - start)
    elif kind == "more":
        content += rng.randbytes(rng.choice([1, 100]))
    elif kind == "swap":
        content = bytearray(rng.choice([p for p in others if p.is_file()]).read_bytes())
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/nonexistent")
    elif kind != "delete":
        path.write_bytes(content)
    return kind


def test_damaged_entries(clean, tmp_path, capsys):
    pristine, expected = clean
    counts: Counter[str] = Counter()
    failures = []
    place, tmp = tmp_path / "cache", tmp_path / "tmp"
    tmp.mkdir()
    kinds = sorted(p.name for p in pristine.iterdir() if p.is_dir())
    for number, rng in cases(counts):
        shutil.rmtree(place, ignore_errors=True)
        # Hundreds of megabytes, which are copied only where they are the kind to damage.
        kind = rng.choice([k for k in kinds if k != "headers"] * 3 + ["headers"])
        large = [] if kind == "headers" else ["headers"]
        shutil.copytree(pristine, place, symlinks=True, ignore=shutil.ignore_patterns(*large))
        for name in large:
            (place / name).symlink_to(pristine / name)
        found = [p for p in sorted(place.rglob("*")) if p.is_file() and not p.is_symlink()]
        files = [p for p in found if p.name != ".lock"]
        own = [p for p in files if p.relative_to(place).parts[0] == kind]
        chosen = rng.sample(own, min(len(own), rng.choice([1, 1, 2, 5])))
        done = [(str(p.relative_to(place)), damage(rng, p, own)) for p in chosen if p.exists()]
        which = rng.randrange(len(COMMANDS))
        ended = run(COMMANDS[which], place, tmp)
        counts[f"kind {kind}"] += 1
        same = ended.returncode == 0 and without_times(ended.stdout) == expected[which]
        if not same or ended.stderr or list(tmp.iterdir()):
            failures.append((number, done, COMMANDS[which], ended.returncode, ended.stderr[-500:]))
    with capsys.disabled():
        print(f"\ndamaged caches: {dict(counts)}, failures: {len(failures)}")
    assert not failures, failures[:5]


@contextlib.contextmanager
def mounted(size: int) -> Iterator[Path]:
    """Yield a small file system of its own."""
    path = Path(tempfile.mkdtemp(prefix="asnet-fuzz-"))
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("file systems can't be mounted here")
        try:
            yield path
        finally:
            subprocess.run(["umount", "-l", str(path)], check=True)
    finally:
        path.rmdir()


def failing(rng: random.Random, kind: str, place: Path, pristine: Path) -> None:
    """Make `place`, a small file system, a cache that fails."""
    some = sorted(p for p in pristine.iterdir() if p.is_dir())
    for folder in rng.sample(some, rng.randrange(len(some))):
        with contextlib.suppress(OSError, shutil.Error):
            shutil.copytree(folder, place / folder.name, symlinks=True)
    if kind == "read only":
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    elif kind == "file in a kind's place":
        name = rng.choice(some).name
        shutil.rmtree(place / name, ignore_errors=True)
        with contextlib.suppress(OSError):
            (place / name).touch()
    elif kind == "full":
        with contextlib.suppress(OSError), open(place / "ballast", "wb") as file:
            while True:
                file.write(bytes(1 << 14))


def test_caches_that_fail(clean, tmp_path, capsys):
    pristine, expected = clean
    counts: Counter[str] = Counter()
    failures = []
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    for number, rng in cases(counts):
        kind = rng.choice(
            ["small", "small", "full", "read only", "file in a kind's place", "file", "no home"]
        )
        counts[kind] += 1
        which = rng.randrange(len(COMMANDS))
        with mounted(int(2 ** rng.uniform(14, 23))) as disk:
            if kind == "no home":
                ended = run(COMMANDS[which], None, tmp, HOME="/dev/null", XDG_CACHE_HOME=None)
            elif kind == "file":
                (disk / "file").write_text("x")
                ended = run(COMMANDS[which], disk / "file", tmp)
            else:
                failing(rng, kind, disk, pristine)
                ended = run(COMMANDS[which], disk, tmp)
            left = list(disk.rglob(".new-*"))
        lines = ended.stderr.splitlines()
        said = len(lines) <= 1 and all("goes on without it" in line for line in lines)
        same = ended.returncode == 0 and without_times(ended.stdout) == expected[which]
        counts["said"] += len(lines)
        if not same or not said or left or list(tmp.iterdir()):
            left += list(tmp.iterdir())
            for path in tmp.iterdir():
                shutil.rmtree(path, ignore_errors=True)
            failures.append((number, kind, COMMANDS[which], ended.returncode, left, lines[-6:]))
    with capsys.disabled():
        print(f"\ncaches that fail: {dict(counts)}, failures: {len(failures)}")
    assert not failures, failures[:5]


def test_a_cache_of_somebody_else(clean, tmp_path):
    """Its entries are read; what is missing is made for this run alone."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can be somebody else")
    with mounted(64 << 20) as disk:
        disk.chmod(0o755)
        place, tmp = disk / "cache", disk / "tmp"
        ignored = shutil.ignore_patterns("headers", "models")
        shutil.copytree(clean[0], place, symlinks=True, ignore=ignored)
        tmp.mkdir()
        tmp.chmod(0o777)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if subprocess.run([*nobody, *ASNET, "--version"], capture_output=True).returncode:
            pytest.skip("nobody can't run this Python")
        done = subprocess.run(
            [*nobody, *ASNET, *_flat(COMMANDS[1])],
            env=environment(ASNET_CACHE_DIR=str(place), TMPDIR=str(tmp), HOME="/nonexistent"),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert without_times(done.stdout) == clean[1][1]
        assert done.stderr.count("\n") == 1 and "Permission denied" in done.stderr
        assert not (place / "models").exists() and not list(tmp.iterdir())
