# SPDX-License-Identifier: Apache-2.0
"""Runs that are killed at a rename or fsync, and runs that are interrupted: nothing is half.

Kills come from `strace`, which ends the process as it enters the Nth such system call.
`ASNET_FUZZ_SECONDS` (default 20) bounds each test, `ASNET_FUZZ_SEED` chooses its cases.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from fuzzing import ASNET, DATA, cases, environment, without_times

from asnet_mlir.exploration.store import Store
from asnet_mlir.support.files import restore

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job
    signal.signal(signal.SIGINT, signal.default_int_handler)  # its children inherit it otherwise

CALLS = "rename,renameat,renameat2,fsync,fdatasync"
SPACE = [
    {"op": "mulf", "core": "fmul_trunc", "parameters": {"P": [0, 8, 12, 16, 20, 22]}},
    {"op": "divf", "core": "fdiv_trunc", "parameters": {"P": [0, 8, 12, 16, 20, 22]}},
]


def killed(command: list[str], when: int, env: dict[str, str], *inject: str, calls: str = CALLS):
    """Run a command that dies as it enters the Nth of some system calls."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    extra = [word for fault in inject for word in ("-e", f"inject={fault}")]
    kill = ["-e", f"inject={calls}:signal=SIGKILL:when={when}"]
    return subprocess.run(
        ["strace", "-f", "-qqq", "-o", os.devnull, "-e", f"trace={calls}", *extra, *kill, *command],
        env=env,
        capture_output=True,
        text=True,
        timeout=900,
    )


def age(folder: Path) -> None:
    """Make what lies in a folder as old as leftovers are before they are removed."""
    past = time.time() - 3600
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            os.utime(path, (past, past), follow_symlinks=False)


# -- generate

WRITE = """
import sys
from pathlib import Path
from asnet_mlir.hardware.bundle.write import _write
import hashlib, json
out, version, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
files = {f"rtl/f{n}.sv": f"{version} {n}".encode() * 99 for n in range(count)}
sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
files["manifest.json"] = json.dumps({"version": version, "files": sums}).encode()
_write(out, files)
print("written", flush=True)
"""


def whole(out: Path) -> str | None:
    """Return which version a bundle is, None where there is none; it must be whole."""
    if not out.exists():
        return None
    manifest = json.loads((out / "manifest.json").read_bytes())
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest, name
    found = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert found == {*manifest["files"], "manifest.json"}
    return str(manifest.get("version"))


def test_bundles_survive_kills(tmp_path, capsys):
    counts: Counter[str] = Counter()
    out = tmp_path / "b" / "bundle"
    out.parent.mkdir()
    before: str | None = None
    for number, rng in cases(counts):
        version, count = f"v{number}", rng.choice([1, 3, 8])
        # Some file systems can't exchange two names.
        faults = rng.choice([(), (), ("renameat2:error=EINVAL",)])
        calls = "rename,fsync" if faults else CALLS
        command = [sys.executable, "-c", WRITE, str(out), version, str(count)]
        ended = killed(command, rng.randrange(1, count + 9), environment(), *faults, calls=calls)
        was_killed = ended.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        assert was_killed or ended.returncode == 0, ended.stderr
        counts["killed" if was_killed else "ended"] += 1
        if not out.exists() and before is not None:
            assert faults, "no bundle at all, though names can be exchanged"
            counts["brought back"] += 1
            restore(out)
        now = whole(out)
        allowed = {version} if "written" in ended.stdout else {version, before}
        assert now in allowed, (number, now, before)
        before = now
        age(out.parent)
        restore(out)
        assert [p for p in out.parent.iterdir() if p != out] == [], number
    with capsys.disabled():
        print(f"\nkilled writers of bundles: {dict(counts)}")


def test_generate_survives_kills(tmp_path, capsys):
    counts: Counter[str] = Counter()
    cache, out = tmp_path / "cache", tmp_path / "b" / "bundle"
    out.parent.mkdir()
    env = environment(ASNET_CACHE_DIR=str(cache))

    def command(p: int) -> list[str]:
        rule = ["--bind", f"mulf=fmul_trunc:P={p}"]
        return [*ASNET, "generate", "classification_mnist", *rule, "-o", str(out), "--force"]

    manifests = {}
    for p in (12, 20):
        subprocess.run(command(p), env=env, check=True, capture_output=True)
        manifests[p] = (out / "manifest.json").read_bytes()
    now = 20
    for number, rng in cases(counts):
        p = 32 - now
        ended = killed(command(p), int(2 ** rng.uniform(0, 7)), env)
        is_new = (out / "manifest.json").read_bytes() == manifests[p]
        assert is_new or (out / "manifest.json").read_bytes() == manifests[now], number
        assert is_new or ended.returncode != 0
        whole(out)
        counts["new" if is_new else "old"] += 1
        now = p if is_new else now
        age(out.parent)
        restore(out)
        assert [path for path in out.parent.iterdir() if path != out] == [], number
    with capsys.disabled():
        print(f"\nkilled runs of generate: {dict(counts)}")


# -- stores and caches


def rows(store: Path) -> int:
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as kept,
    ):
        return int(kept.execute("SELECT count(*) FROM evaluation").fetchone()[0])
    return 0


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A cache that is warm, and the command of a small sweep but for its store."""
    folder = tmp_path_factory.mktemp("sweep")
    constraints = folder / "c.json"
    constraints.write_text(json.dumps({"cores": SPACE}))
    env = environment(ASNET_CACHE_DIR=str(folder / "cache"))
    command = [*ASNET, "explore", "classification_mnist", "--data", "mnist:test:500"]
    command += ["--constraints", str(constraints), "--threads", "1", "--json"]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    return command, env, results(done.stdout)


def results(text: str) -> dict[str, float]:
    return {result["label"]: result["accuracy"] for result in json.loads(text)["results"]}


def check_store(store: Path, expected: dict[str, float]) -> set[str]:
    """Return the labels of what is in a store, all of which is right."""
    if not store.is_file() or not store.stat().st_size:
        return set()
    try:
        with Store(store) as kept:
            found = {e.label: e.accuracy for e in kept.evaluations()}
    except Exception as error:  # a store that was killed before it had its tables
        raise AssertionError(f"{store}: {error}") from error
    assert found.items() <= expected.items()
    return set(found)


def test_stores_survive_kills(sweep, tmp_path, capsys):
    command, env, expected = sweep
    counts: Counter[str] = Counter()
    store = tmp_path / "s.sqlite"
    kept: set[str] = set()
    for _, rng in cases(counts):
        ended = killed([*command, "--store", str(store)], int(2 ** rng.uniform(0, 6)), env)
        now = check_store(store, expected)
        assert kept <= now  # what was there before this run, at the least
        if ended.returncode == 0:
            assert results(ended.stdout) == expected and len(now) == len(expected)
        counts["ended" if ended.returncode == 0 else "killed"] += 1
        kept = now
        if len(kept) == len(expected) or rng.random() < 0.1:
            for path in tmp_path.glob("s.sqlite*"):
                path.unlink()
            kept = set()
    with capsys.disabled():
        print(f"\nkilled sweeps: {dict(counts)}")


def test_caches_survive_kills(tmp_path, capsys):
    counts: Counter[str] = Counter()
    commands = [
        [*ASNET, "cores", "list", "--json"],
        [*ASNET, "cores", "check", str(DATA / "integer.v"), "--op", "muli", "--json"],
        [*ASNET, "evaluate", "classification_mnist", "--data", "mnist:test:64", "--json"],
    ]
    pristine = tmp_path / "pristine"
    expected = [
        without_times(
            subprocess.run(
                command,
                env=environment(ASNET_CACHE_DIR=str(pristine)),
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for command in commands
    ]
    for number, rng in cases(counts):
        cache = tmp_path / f"cache{number}"
        if rng.random() < 0.7:  # nearly all there: the kill comes in what is missing
            shutil.copytree(pristine, cache, symlinks=True)
            folders = sorted(p for p in cache.iterdir() if p.is_dir())
            for folder in rng.sample(folders, rng.randrange(1, 4)):
                shutil.rmtree(folder)
        env = environment(ASNET_CACHE_DIR=str(cache))
        which = rng.randrange(len(commands))
        ended = killed(commands[which], int(2 ** rng.uniform(0, 5)), env)
        counts["ended" if ended.returncode == 0 else "killed"] += 1
        if cache.exists():
            age(cache)
        again = subprocess.run(commands[which], env=env, capture_output=True, text=True)
        assert again.returncode == 0 and again.stderr == "", (number, again.stderr)
        assert without_times(again.stdout) == expected[which], number
        subprocess.run([*ASNET, "cache", "--clean"], env=env, check=True, capture_output=True)
        assert list(cache.glob("*/*")) == [], number
        shutil.rmtree(cache)
    with capsys.disabled():
        print(f"\nkilled makers of caches: {dict(counts)}")


# -- interrupts


def takes_signals(pid: int) -> bool:
    """Say whether a process has its own answer to SIGTERM: its first line has run."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        mask = next(line for line in lines if line.startswith("SigCgt"))
        return bool(int(mask.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def test_interrupts_at_any_time(sweep, tmp_path, capsys):
    explore, env, expected = sweep
    counts: Counter[str] = Counter()
    failures = []
    store = tmp_path / "s.sqlite"
    kept: set[str] = set()
    bundle = tmp_path / "b" / "bundle"
    bundle.parent.mkdir()
    commands = {
        "explore": [*explore, "--store", str(store)],
        "evaluate": [*ASNET, "evaluate", "classification_mnist", "--data", "mnist:test:64"],
        "check": [*ASNET, "cores", "check", "fmul_trunc:P=20"],
        "generate": [*ASNET, "generate", "classification_mnist", "-o", str(bundle), "--force"],
    }
    took: dict[str, float] = {}
    for number, rng in cases(counts):
        name = rng.choice(["explore", "explore", "evaluate", "evaluate", "check", "generate"])
        cold = rng.random() < 0.15
        place = tmp_path / "cold" if cold else None
        begin = time.monotonic()
        with subprocess.Popen(
            commands[name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**env, "ASNET_CACHE_DIR": str(place)} if place else env,
        ) as process:
            while not takes_signals(process.pid) and process.poll() is None:
                time.sleep(0.001)
            limit = 6.0 if cold else 1.2 * took.get(name, 5.0)
            sent = _signal(process, rng, limit)
            _, err = process.communicate(timeout=900)
        if process.returncode == 0 and not cold:
            took[name] = time.monotonic() - begin
        counts[f"{name} {process.returncode}"] += 1
        lines = [line for line in err.splitlines() if line.strip()]
        fine = process.returncode == 0 or (
            process.returncode == 128 + sent
            and len([line for line in lines if line.startswith("asnet: ")]) == 1
            and "Traceback" not in err
            and "Exception ignored" not in err
        )
        if not fine:
            failures.append((number, name, sent, process.returncode, err[-1500:]))
        if name == "explore" and not cold:
            now = check_store(store, expected)
            assert kept <= now
            kept = now
            if len(kept) == len(expected):
                for path in tmp_path.glob("s.sqlite*"):
                    path.unlink()
                kept = set()
        if name == "generate":
            whole(bundle)
            assert [p for p in bundle.parent.iterdir() if p != bundle] == []
        shutil.rmtree(tmp_path / "cold", ignore_errors=True)
    with capsys.disabled():
        print(f"\ninterrupts: {dict(counts)}, failures: {len(failures)}")
    assert not failures, failures[:5]


def _signal(process: subprocess.Popen[str], rng: random.Random, limit: float) -> int:
    number = rng.choice([signal.SIGINT, signal.SIGTERM])
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(rng.uniform(0, limit))
    process.send_signal(number)
    return int(number)
