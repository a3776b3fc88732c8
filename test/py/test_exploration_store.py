# SPDX-License-Identifier: Apache-2.0
"""The store: nothing reported is lost, nothing foreign is touched, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.exploration.origin import Origin
from asnet_mlir.exploration.store import (
    _APPLICATION_ID,
    _SCHEMA,
    ACCURACY,
    DatasetRecord,
    EvaluationRecord,
    InstanceCost,
    LayerRecord,
    NetworkRecord,
    PartialRecord,
    RuleRecord,
    Store,
    StudyRecord,
    VariableRecord,
)

NETWORK = NetworkRecord("n1", "net", "net.keras", (LayerRecord("conv", {"mulf": 9, "addf": 9}),))
DATASET = DatasetRecord("d1", "mnist:test", 100)
STUDY = StudyRecord(
    key="s1",
    network="n1",
    dataset="d1",
    constraints={"scope": "layer", "choices": {"mulf": [{"label": "fmul_trunc:P=20"}]}},
    scope="layer",
    strategy="greedy",
    seed=7,
    budget=50,
    cost="energy_proxy",
    bound="accuracy>=0.9",
    early_stop=0.999,
    command="asnet explore ..",
    size=10**30,
    stopping_rule="rule",
    variables=(VariableRecord("mulf", "conv", ("exact", "fmul_trunc:P=20")),),
)


def evaluation(number: int = 0, correct: int = 90) -> EvaluationRecord:
    rule = RuleRecord("mulf", "conv", f"fmul_trunc:P={number}", "fmul_trunc", {"P": number}, "h")
    binding = {"version": 1, "bindings": [{"op": "mulf", "core": "fmul_trunc"}]}
    return EvaluationRecord(
        f"e{number}", "n1", "d1", rule.label, binding, (rule,), correct, 100, 0.25, "0.1.0", "asnet"
    )


def fill(path: Path, count: int) -> None:
    with Store(path) as store:
        store.add_network(NETWORK)
        store.add_dataset(DATASET)
        for number in range(count):
            store.add(evaluation(number))


def test_everything_comes_back(tmp_path):
    path = tmp_path / "s.sqlite"
    fill(path, 2)
    with Store(path) as store:
        store.add_partial(PartialRecord("e9", "rule", 30, 64, 0.999, 0.9, 0.1, "label"))
        store.add_partial(PartialRecord("e9", "another", 5, 32, 0.9, 0.95, 0.1, "label"))
        store.add_cost(InstanceCost("h", "ecp5", "mulf", "fmul_trunc:P=0", area=100.0))
        store.add_cost(InstanceCost("h", "ecp5", "mulf", "fmul_trunc:P=0", delay=20.5))
        store.begin_study(STUDY)
        for position, key in ((0, "e1"), (2, "e0"), (1, "e9")):
            store.add_study_result("s1", key, position, (position, 1), {"energy_proxy": 3.5})
        store.end_study("s1", "done", 1.5, "e0")
    with Store(path, read_only=True) as store:
        assert store.networks() == [NETWORK] and store.datasets() == [DATASET]
        (first, second) = store.evaluations()
        assert first.time.endswith("Z") and first.value == 0.9
        assert (first.key, first.rules, first.binding) == (
            "e0",
            evaluation(0).rules,
            evaluation(0).binding,
        )
        assert store.get("e1") == second and store.get("e9") is None and store.count() == 2
        assert store.evaluations(network="n2") == [] == store.evaluations(dataset="d2")
        assert store.costs() == [InstanceCost("h", "ecp5", "mulf", "fmul_trunc:P=0", 100.0, 20.5)]
        (study,) = store.studies()
        assert study.constraints == STUDY.constraints and study.size == 10**30
        assert (study.state, study.seconds, study.chosen, study.bound) == (
            *("done", 1.5, "e0"),
            "accuracy>=0.9",
        )
        results = store.study_results("s1")
        assert [r.evaluation.key for r in results] == ["e1", "e9", "e0"]
        assert isinstance(results[1].evaluation, PartialRecord)
        assert results[1].evaluation.rule == "rule"
        assert results[0].costs == {"energy_proxy": 3.5}
        assert [r.configuration for r in results] == [(0, 1), (1, 1), (2, 1)]
        assert study.variables == STUDY.variables
        with pytest.raises(InputError, match="can't be opened for writing"):
            store.add(evaluation(5))


def test_a_result_that_is_there_stays(tmp_path):
    path = tmp_path / "s.sqlite"
    fill(path, 1)
    with Store(path) as store:
        store.add(evaluation(0, correct=1))
        assert store.get("e0").correct == 90


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from asnet_mlir.exploration.store import Store
from test_exploration_store import NETWORK, DATASET, evaluation
with Store({path!r}) as store:
    store.add_network(NETWORK)
    store.add_dataset(DATASET)
    for number in range({start}, {stop}):
        store.add(evaluation(number))
        print(number, flush=True)
"""


def writer(path: Path, start: int, stop: int) -> subprocess.Popen[str]:
    code = WRITER.format(tests=str(Path(__file__).parent), path=str(path), start=start, stop=stop)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_two_processes_make_and_fill_one_store(tmp_path):
    path = tmp_path / "s.sqlite"
    processes = [writer(path, 0, 400), writer(path, 300, 700), writer(path, 700, 1000)]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    with Store(path) as store:
        assert {e.key for e in store.evaluations()} == {f"e{n}" for n in range(1000)}


def test_a_store_that_another_process_makes_while_it_is_opened(tmp_path, monkeypatch):
    """What is known of the file is of one moment: an empty one, or a store."""
    path, pragma, made = tmp_path / "s.sqlite", Store._pragma, []
    sql(path, "PRAGMA journal_mode = WAL")  # empty, and nobody waits for a reader

    def meanwhile(self, name):
        found = pragma(self, name)
        if not made:
            made.append(name)
            fill(path, 3)
        return found

    monkeypatch.setattr(Store, "_pragma", meanwhile)
    with Store(path) as store:
        assert made and store.count() == 3


def test_a_killed_process_loses_nothing_that_it_reported(tmp_path):
    path, generator = tmp_path / "s.sqlite", random.Random(4)
    reported = 0
    for _ in range(6):
        process = writer(path, reported, 10**6)
        lines = generator.randrange(1, 200)
        for _ in range(lines):
            reported = int(process.stdout.readline()) + 1
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")
        process.wait()
        reported = max([reported, *(int(line) + 1 for line in rest[:-1])])
        with Store(path) as store:
            assert {f"e{n}" for n in range(reported)} <= {e.key for e in store.evaluations()}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"not a database, but long enough" * 99), "not a result st"),
        (lambda path: path.write_bytes(b"SQLite format 3\0" + b"\0" * 80), "not a result store"),
        (lambda path: sql(path, "CREATE TABLE t (a)"), "an SQLite file, but not a result store"),
        (lambda path: (fill(path, 3), sql(path, "PRAGMA user_version = 1")), "of version 1, this"),
        (lambda path: (fill(path, 3), sql(path, "PRAGMA user_version = 99")), "of version 99"),
        (lambda path: (fill(path, 300), garble(path)), "the store is damaged"),
        (lambda path: (fill(path, 300), truncate(path)), "the store is damaged"),
    ],
)
def test_foreign_old_and_damaged_files_are_left_as_they_are(tmp_path, make, message):
    path = tmp_path / "s.sqlite"
    make(path)
    before = path.read_bytes()
    for read_only in (False, True):
        with pytest.raises(InputError, match=message) as error:
            Store(path, read_only=read_only)
        assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
    assert path.read_bytes() == before


def sql(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def garble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for offset in range(4096, len(data), 4096):
        data[offset : offset + 64] = os.urandom(64)
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_no_place_for_a_store(tmp_path):
    for path, message in (
        (tmp_path / "no" / "s.sqlite", "folder does not exist"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises(InputError, match=message):
            Store(path)
    (tmp_path / "file").write_text("x")
    for name in ("file/s.sqlite", "n" * 300):
        with pytest.raises(InputError, match="can't be read: "):
            Store(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        Store(tmp_path / "none.sqlite", read_only=True)
    assert not (tmp_path / "none.sqlite").exists()


FULL = """
import resource, sys
sys.path.insert(0, {tests!r})
from asnet_mlir.errors import AsnetError
from asnet_mlir.exploration.store import Store
from test_exploration_store import evaluation
with Store({path!r}) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    try:
        for number in range(100, 10_000):
            store.add(evaluation(number))
            print(number, flush=True)
    except AsnetError as error:
        print(type(error).__name__, error)
"""


def test_a_full_disk_leaves_a_usable_store(tmp_path):
    path = tmp_path / "s.sqlite"
    fill(path, 100)
    code = FULL.format(tests=str(Path(__file__).parent), path=str(path))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    *numbers, message = done.stdout.splitlines()
    assert message.startswith(f"AsnetError {path}: can't be written, the disk is full or failed")
    assert "run the same command again" in message
    with Store(path) as store:
        keys = {e.key for e in store.evaluations()}
        assert len(numbers) > 10 and {f"e{n}" for n in numbers} <= keys
        store.add(evaluation(20_000))


def test_a_database_that_may_not_grow_is_a_full_disk(tmp_path):
    path = tmp_path / "s.sqlite"
    fill(path, 10)
    with Store(path) as store:
        pages = store._pragma("page_count")
        store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(AsnetError, match="the disk is full") as error:
            for number in range(10, 10_000):
                store.add(evaluation(number))
        assert error.value.exit_status == 1
        kept = store.count()
    with Store(path) as store:
        assert store.count() == kept > 10


READ = """
import os, sys, urllib.parse  # before the interpreter's folder may become unreadable
from asnet_mlir.exploration.store import Store
if os.geteuid() == 0:
    os.seteuid(65534)
with Store(sys.argv[1], read_only=True) as store:
    print(store.count())
try:
    Store(sys.argv[1])
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_store_in_a_folder_that_cannot_be_written_is_read(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    path = folder / "s.sqlite"
    fill(path, 3)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.is_relative_to(tempfile.gettempdir()) and parent != Path(tempfile.gettempdir()):
            parent.chmod(0o755)
    path.chmod(0o444)
    folder.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ, path], capture_output=True, text=True, timeout=60
        )
    finally:
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    count, error = done.stdout.splitlines()
    assert count == "3"
    assert error.startswith(f"InputError {path}: can't be opened for writing")


def test_reading_beside_a_writer(tmp_path):
    path = tmp_path / "s.sqlite"
    fill(path, 3)
    with Store(path) as writing, Store(path, read_only=True) as reading:
        writing.add(evaluation(3))
        assert reading.count() == 4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("correct = 200", "200 of 100 samples right"),
        ("correct = -1", "-1 of 100 samples right"),
        ("correct = 'many'", "'many' of 100 samples right"),
        ("samples = 0, correct = 0", "0 of 0 samples right"),
        ("seconds = -3.0", "-3.0 seconds"),
        ("origin = '[]'", "damaged"),
    ],
)
def test_a_row_that_no_evaluation_gives_is_named(tmp_path, change, says):
    path = tmp_path / "s.sqlite"
    fill(path, 3)
    sql(path, f"UPDATE evaluation SET {change} WHERE key = 'e1'")
    with Store(path) as store:
        assert store.get("e0").correct == 90
        for read in (lambda: store.get("e1"), store.evaluations):
            with pytest.raises(InputError, match="the store is damaged") as error:
                read()
            assert says in str(error.value)
            assert says == "damaged" or "'fmul_trunc:P=1' (key e1)" in str(error.value)
    sql(path, "UPDATE dataset SET samples = 0")
    with Store(path) as store, pytest.raises(InputError, match="'mnist:test' has 0 samples"):
        store.datasets()


def test_partial_rows_are_looked_at_as_well(tmp_path):
    path = tmp_path / "s.sqlite"
    with Store(path) as store:
        store.add_partial(PartialRecord("e9", "rule", 65, 64, 0.999, 0.9, 0.1, "label"))
        with pytest.raises(InputError, match="65 of 64 samples right.*DELETE FROM partial"):
            store.get_partial("e9", "rule")


@pytest.mark.parametrize("version", [2, 3])
def test_a_store_of_an_older_version_is_read_and_goes_on(tmp_path, version):
    path, old = tmp_path / "new.sqlite", tmp_path / "s.sqlite"
    fill(path, 3)
    added = "metric|value|difference" + ("|origin" if version == 2 else "")
    schema = re.sub(rf"\n  ({added}) (TEXT|REAL)[^\n]*", "", _SCHEMA)
    schema = re.sub(r",( *--[^\n]*)?\n\)", r"\1\n)", schema)
    assert "metric TEXT" not in schema and ("origin" in schema) == (version == 3)
    with contextlib.closing(sqlite3.connect(old)) as connection:
        connection.executescript(schema)
        connection.execute("ATTACH ? AS new", (str(path),))
        for table in ("network", "dataset", "evaluation"):
            columns = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
            connection.execute(
                f"INSERT INTO main.{table} SELECT {', '.join(columns)} FROM new.{table}"
            )
        connection.execute(f"PRAGMA main.application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA main.user_version = {version}")
        connection.commit()
    path = old
    with Store(path, read_only=True) as store:
        assert [e.origin for e in store.evaluations()] == [Origin()] * 3
        assert [e.metric for e in store.evaluations()] == [ACCURACY] * 3
        assert [e.value for e in store.evaluations()] == [
            e.correct / e.samples for e in store.evaluations()
        ]
    for number in (3, 4):
        with Store(path) as store:
            assert store.count() == number and store.get("e2").origin == Origin()
            origin = Origin("c0de", {"h": "native 12"})
            store.add(dataclasses.replace(evaluation(number), origin=origin))
            assert store.get(f"e{number}").origin == origin


def test_proxies_of_older_stores_are_called_so(tmp_path):
    path = tmp_path / "s.sqlite"
    fill(path, 3)
    with Store(path) as store:
        store.begin_study(STUDY)
        store.add_study_result(STUDY.key, "e1", 0, (0, 1), {"energy_proxy": 3.5})
    old = "UPDATE study_result SET costs = replace(costs, '\"energy_proxy\"', '\"energy\"')"
    sql(path, old)
    sql(path, "UPDATE study SET cost = 'energy'")
    sql(path, "PRAGMA user_version = 4")
    for read_only in (True, False, True):  # as it is, brought to this version, after that
        with Store(path, read_only=read_only) as store:
            (study,) = store.studies()
            assert study.cost == "energy_proxy"
            assert store.study_results(study.key)[0].costs == {"energy_proxy": 3.5}


def test_results_of_another_model_are_found():
    then = Origin("c", {"h": "word 12", "g": "native 1"})
    assert not then.contradicts(Origin("other code", {"h": "word 12"}))
    assert not then.contradicts(Origin("c", {"h": "bitslice 99"}))  # another way to the same bits
    assert then.contradicts(Origin("c", {"h": "word 13", "g": "native 1"}))
    assert not Origin().contradicts(then)
