# SPDX-License-Identifier: Apache-2.0
"""Results on disk: one SQLite file with every evaluation, every study and what instances cost.

An evaluation's key is the hash of everything that decides its result (`exploration.keys`), so that
a sweep which is stopped and started again finds what it had, and a changed network, data set or
core never meets an old result.  Each result is committed before it is reported: a process that is
killed at any moment loses at most what it was computing.  Several processes may write to one store
(write-ahead log, short transactions); the file must be on a local disk, as SQLite's documentation
of WAL says.

Everything that `asnet report` shows is in the file: no core, network or data set is read for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from asnet_mlir.binding import Rule
from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.exploration.archive import TABLES, Archive
from asnet_mlir.exploration.origin import Origin
from asnet_mlir.exploration.runs import is_alive
from asnet_mlir.metrics import Metric, text_of
from asnet_mlir.metrics.class_metrics import Accuracy

__all__ = [
    "ACCURACY",
    "DatasetRecord",
    "EvaluationRecord",
    "InstanceCost",
    "LayerRecord",
    "MetricRecord",
    "NetworkRecord",
    "PartialRecord",
    "RuleRecord",
    "Store",
    "StudyRecord",
    "StudyResult",
    "VariableRecord",
    "check_store",
]

_APPLICATION_ID = 0x41534E54  # "ASNT": tells our files from other SQLite files
_SCHEMA_VERSION = 5
#: Version 2 lacks the columns `origin`, 3 those of metrics: all its results are accuracies.  Up to
#: 4, proxies had the names of what they stand for.  A file that may be written is brought to this
#: version when it is opened.
_READABLE = (2, 3, 4, 5)
#: What costs were called up to version 4.
_OLD_COSTS = {name: f"{name}_proxy" for name in ("area", "delay", "energy")}
#: Tables whose columns changed.
_CHANGED = ("evaluation", "partial", "study")
_BUSY_SECONDS = 60.0

_SCHEMA = """
CREATE TABLE network (
  key TEXT PRIMARY KEY,       -- hash of the lowered network and its weights
  name TEXT NOT NULL,
  source TEXT,                -- MODEL on the command line; NULL for an object of Python
  layers TEXT NOT NULL        -- JSON: [[name, {op kind: operations a sample}], ..], in order
);
CREATE TABLE dataset (
  key TEXT PRIMARY KEY,       -- hash of samples and targets
  name TEXT NOT NULL,         -- DATA on the command line
  samples INTEGER NOT NULL
);
CREATE TABLE evaluation (
  key TEXT PRIMARY KEY,       -- hash of all that decides the result
  network TEXT NOT NULL REFERENCES network(key),
  dataset TEXT NOT NULL REFERENCES dataset(key),
  label TEXT NOT NULL,        -- one line for people
  binding TEXT NOT NULL,      -- JSON: as --save writes it, and --binding reads it
  rules TEXT NOT NULL,        -- JSON: [{op, layer, label, core, parameters, content_hash}, ..]
  correct INTEGER,            -- samples that are right, where the metric is their share
  samples INTEGER NOT NULL,
  seconds REAL NOT NULL,      -- of this evaluation, compilation included
  version TEXT NOT NULL,      -- of asnet-mlir
  command TEXT,               -- what evaluates it again
  time TEXT NOT NULL,         -- UTC, ISO 8601
  origin TEXT NOT NULL DEFAULT '{"models": {}}',  -- JSON: {code, models: {content_hash: version}}
  metric TEXT NOT NULL DEFAULT '{"name": "accuracy"}',  -- JSON: {name, key, unit, ..}
  value REAL,                 -- its figure; NULL for correct / samples
  difference TEXT             -- JSON: {snr, equal_answers, largest_error} from the exact network
);
CREATE TABLE partial (        -- evaluations stopped early: never full results
  key TEXT NOT NULL,          -- of the evaluation that it would have become
  rule TEXT NOT NULL,         -- the rule that stopped it, with its seed and bound
  correct INTEGER,
  samples INTEGER NOT NULL,   -- that were evaluated
  confidence REAL NOT NULL,   -- with which the figure does not satisfy the bound
  bound REAL NOT NULL,        -- a figure of the metric
  seconds REAL NOT NULL,
  label TEXT NOT NULL,
  origin TEXT NOT NULL DEFAULT '{"models": {}}',
  metric TEXT NOT NULL DEFAULT '{"name": "accuracy"}',
  value REAL,
  PRIMARY KEY (key, rule)
);
CREATE TABLE instance (       -- figures of synthesis
  content_hash TEXT NOT NULL,
  target TEXT NOT NULL,
  op TEXT NOT NULL,
  label TEXT NOT NULL,
  area REAL,                  -- 4-input LUTs
  delay REAL,                 -- ns from operands to result
  PRIMARY KEY (content_hash, target)
);
CREATE TABLE study (          -- one invocation of explore; the same one again continues it
  key TEXT PRIMARY KEY,
  network TEXT NOT NULL REFERENCES network(key),
  dataset TEXT NOT NULL REFERENCES dataset(key),
  constraints TEXT NOT NULL,  -- JSON: {scope, choices: {op: [{label, content_hash, ..}, ..]}}
  variables TEXT NOT NULL,    -- JSON: [[op, layer or null, [label of each choice]], ..]
  scope TEXT NOT NULL,
  strategy TEXT NOT NULL,
  seed INTEGER NOT NULL,
  budget INTEGER,
  cost TEXT NOT NULL,         -- names joined by commas, what was minimized first; or none
  bound TEXT,                 -- --choose
  early_stop REAL,            -- confidence
  stopping_rule TEXT,         -- rule of its partial results
  command TEXT,
  state TEXT NOT NULL,        -- running, interrupted or done
  size TEXT NOT NULL,         -- configurations of the whole space (may exceed 64 bits)
  seconds REAL NOT NULL,      -- spent so far, all runs of it together
  chosen TEXT REFERENCES evaluation(key),
  created TEXT NOT NULL,
  updated TEXT NOT NULL,
  metric TEXT NOT NULL DEFAULT '{"name": "accuracy"}'
);
CREATE TABLE study_result (
  study TEXT NOT NULL REFERENCES study(key),
  evaluation TEXT NOT NULL,   -- key in evaluation, or in partial where that lacks it
  position INTEGER NOT NULL,  -- in the order of the study
  configuration TEXT NOT NULL,  -- JSON: the choice made for each variable, by its place
  costs TEXT NOT NULL,        -- JSON: {name: figure}, those known; `exploration.cost_kinds`
  PRIMARY KEY (study, position)
);
CREATE INDEX evaluation_network ON evaluation(network, dataset);
"""


@dataclass(frozen=True)
class LayerRecord:
    """A layer and how many operations of each kind it does for one sample."""

    name: str
    ops: Mapping[str, int]


@dataclass(frozen=True)
class NetworkRecord:
    """A network: `source` is what names it on the command line, None for an object of Python."""

    key: str
    name: str
    source: str | None
    layers: tuple[LayerRecord, ...]


@dataclass(frozen=True)
class DatasetRecord:
    """A data set under its name on the command line."""

    key: str
    name: str
    samples: int


@dataclass(frozen=True)
class RuleRecord:
    """Ops of kind `op`, in `layer` or everywhere (None), computed by an instance.

    Attributes:
      label: the instance, `fmul_trunc:P=20`.
      core: its core's name or path.
      parameters: all of them, by name.
      content_hash: of the instance.
    """

    op: str
    layer: str | None
    label: str
    core: str
    parameters: Mapping[str, int]
    content_hash: str

    @classmethod
    def of(cls, rule: Rule) -> RuleRecord:
        """Return what a store keeps of a rule."""
        instance = rule.instance
        return cls(
            rule.op,
            rule.layer,
            instance.reference,
            instance.to_json()["core"],
            instance.all_parameters,
            instance.content_hash,
        )


@dataclass(frozen=True)
class MetricRecord:
    """What results are figures of.

    Attributes:
      name: as `--metric` has it, without options.
      key: with all that decides the figure.
      title, unit: of an axis; the unit is `%` (of figures in 0..1), `dB` or none.
      against_exact: targets are the exact network's outputs.
    """

    name: str
    key: str = ""
    title: str = ""
    unit: str = ""
    larger_is_better: bool = True
    against_exact: bool = False

    @classmethod
    def of(cls, metric: Metric) -> MetricRecord:
        """Return the record of a metric."""
        return cls(
            metric.name,
            metric.key,
            metric.title,
            metric.unit,
            metric.larger_is_better,
            metric.against_exact,
        )

    @classmethod
    def from_text(cls, text: str) -> MetricRecord:
        """Read JSON as stores keep it.

        Raises:
          ValueError, TypeError: `text` is something else.
        """
        value = json.loads(text)
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise ValueError(f"no metric: {text[:50]}")
        if not all(isinstance(value.get(name, ""), str) for name in ("key", "title", "unit")):
            raise ValueError(f"no metric: {text[:50]}")
        return ACCURACY if value == {"name": "accuracy"} else cls(**value)

    def to_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @property
    def label(self) -> str:
        """The metric for headings."""
        return f"{self.name} against the exact network" if self.against_exact else self.name

    def score(self, value: float) -> float:
        """Return what is the larger, the better a figure is."""
        return value if self.larger_is_better else -value

    def show(self, value: float) -> str:
        """Return a figure for people, with its unit."""
        return text_of(value, self.unit)


#: The metric of stores that know no other.
ACCURACY = MetricRecord.of(Accuracy())


@dataclass(frozen=True)
class EvaluationRecord:
    """A full result: the configuration on every sample of the data set.

    Attributes:
      network, dataset: keys.
      binding: JSON values as `Binding.to_json` gives them; `Binding.from_json` reads them while
        the core's files exist.
      correct: samples that are right, where the metric is their share; None otherwise.
      seconds: of this evaluation, compilation included.
      version: of asnet-mlir.
      command: evaluates it again; None where the network was an object of Python.
      time: UTC, ISO 8601.
      origin: the code and the models that it came from.
      metric: what it is judged by.
      figure: the metric's, where `correct` does not say it.
      difference: from the exact network, as `Difference.to_json` gives it; None in older stores.
    """

    key: str
    network: str
    dataset: str
    label: str
    binding: Mapping[str, Any]
    rules: tuple[RuleRecord, ...]
    correct: int | None
    samples: int
    seconds: float
    version: str
    command: str | None
    time: str = ""
    origin: Origin = field(default_factory=Origin)
    metric: MetricRecord = ACCURACY
    figure: float | None = None
    difference: Mapping[str, float | None] | None = None

    @property
    def value(self) -> float:
        """The figure of the metric; an accuracy is in 0..1."""
        return _value(self)


@dataclass(frozen=True)
class PartialRecord:
    """An evaluation that was stopped because it can't reach a bound.

    Attributes:
      key: of the evaluation that it would have become.
      rule: names the stopping rule with its seed, bound and confidence.
      correct, metric, figure, origin: see `EvaluationRecord`; of `samples` evaluated.
      confidence: with which the figure of all samples does not reach `bound`.
    """

    key: str
    rule: str
    correct: int | None
    samples: int
    confidence: float
    bound: float
    seconds: float
    label: str
    origin: Origin = field(default_factory=Origin)
    metric: MetricRecord = ACCURACY
    figure: float | None = None

    @property
    def value(self) -> float:
        """An estimate of the figure, from the samples evaluated."""
        return _value(self)


def _value(record: EvaluationRecord | PartialRecord) -> float:
    if record.correct is not None:
        return record.correct / record.samples
    assert record.figure is not None  # `Store._check`
    return record.figure


@dataclass(frozen=True)
class InstanceCost:
    """What one instance costs, alone between registers; None where it was not measured.

    Attributes:
      area: 4-input LUTs.
      delay: nanoseconds from operands to result: latency in cycles over the highest clock.
    """

    content_hash: str
    target: str
    op: str
    label: str
    area: float | None = None
    delay: float | None = None


@dataclass(frozen=True)
class VariableRecord:
    """What a study chose between: `choices` are labels of instances, `exact` the first one."""

    op: str
    layer: str | None
    choices: tuple[str, ...]


@dataclass(frozen=True)
class StudyRecord:
    """One exploration: what was asked, how far it is, and what it chose.

    Attributes:
      constraints: `{"scope": .., "choices": {op: [{"label", "content_hash", ..}, ..]}}`, the
        choices in the order of the constraints file, without the exact operation.
      variables: one for each op kind (scope `network`), or for each layer and op kind.
      cost: names joined by commas, what was minimized first; or `none`.
      bound: what the choice had to satisfy, as `--choose` takes it.
      early_stop: the confidence with which evaluations were stopped; None without.
      stopping_rule: `rule` of the study's partial results.
      state: `running`, `interrupted` or `done`; a killed one stays `running` (`Store.state`).
      size: configurations of the whole space.
      seconds: spent on it, all runs together.
      chosen: key of an evaluation.
      metric: what judged its configurations.
    """

    key: str
    network: str
    dataset: str
    constraints: Mapping[str, Any]
    scope: str
    strategy: str
    seed: int
    budget: int | None
    cost: str
    bound: str | None
    early_stop: float | None
    command: str | None
    size: int
    variables: tuple[VariableRecord, ...] = ()
    stopping_rule: str | None = None
    state: str = "running"
    seconds: float = 0.0
    chosen: str | None = None
    created: str = ""
    updated: str = ""
    metric: MetricRecord = ACCURACY


@dataclass(frozen=True)
class StudyResult:
    """A result in its study.

    Attributes:
      position: in the order in which the study asked for it.
      configuration: the choice made for each of the study's variables, by its place; all 0 is the
        exact network.  (The evaluation's own rules may be written differently: it may come from a
        study of another scope.)
      evaluation: a full result, or a partial one where it was stopped early.
      costs: figures that are known, by name (`exploration.cost_kinds`).
    """

    position: int
    configuration: tuple[int, ...]
    evaluation: EvaluationRecord | PartialRecord
    costs: Mapping[str, float]


class Store:
    """A result store; a context manager.  `path` None keeps the results in memory."""

    def __init__(self, path: str | Path | None, *, read_only: bool = False) -> None:
        """Open the store, or make it.

        Args:
          path: an SQLite file.
          read_only: never write to the file or beside it; it must exist.

        Raises:
          InputError: the file is no store of this version, or damaged; it is left as it is.
        """
        self._name = ":memory:" if path is None else str(path)
        self._read_only = read_only
        if path is not None:
            _check_place(Path(path), read_only)
        with self._guard(opening=True):
            self._connection = self._connect(None if path is None else Path(path))
            try:
                self._open()
            except BaseException:
                self._connection.close()
                raise

    def _connect(self, path: Path | None) -> sqlite3.Connection:
        def connect(name: str, uri: bool = False) -> sqlite3.Connection:
            return sqlite3.connect(
                name, timeout=_BUSY_SECONDS, isolation_level=None, uri=uri, check_same_thread=False
            )

        if path is None:
            return connect(":memory:")
        if not self._read_only:
            return connect(str(path))
        uri = path.absolute().as_uri()
        connection = connect(f"{uri}?mode=ro", uri=True)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError:
            # A file in WAL mode in a folder that can't be written; nobody can be writing to it.
            connection.close()
            log = path.with_name(path.name + "-wal")
            if log.is_file() and log.stat().st_size:
                raise
            connection = connect(f"{uri}?immutable=1", uri=True)
        return connection

    def _open(self) -> None:
        application, version, tables = self._state()
        if tables == 0 and application == 0 and not self._read_only:
            self._create()
        elif application != _APPLICATION_ID:
            raise InputError(f"{self._name}: is an SQLite file, but not a result store")
        elif version not in _READABLE:
            raise InputError(
                f"{self._name}: is a result store of version {version}, this program reads "
                f"version {_SCHEMA_VERSION}; give another file"
            )
        else:
            problem = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problem != "ok":
                raise InputError(f"{self._name}: the store is damaged ({problem.splitlines()[0]})")
            if version != _SCHEMA_VERSION and not self._read_only:
                self._migrate()
        if not self._read_only:
            for table in TABLES:
                self._connection.execute(table)
            # A power failure may lose the last results, a killed process none.
            self._connection.execute("PRAGMA synchronous = NORMAL")

    def _state(self) -> tuple[int, int, int]:
        """Return whose file it is, its version and how many tables it has, all of one moment.

        Another process may be making the store meanwhile: what is read before and after it has done
        so would be tables in a file of nobody's.
        """
        self._connection.execute("BEGIN")
        try:
            count = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            return self._pragma("application_id"), self._pragma("user_version"), count
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _migrate(self) -> None:
        """Copy tables that had fewer columns; the new ones get their defaults."""
        with self._transaction():
            if self._pragma("user_version") == _SCHEMA_VERSION:
                return  # another process was first
            statements = _SCHEMA.split(";\n")
            for table in _CHANGED:
                old = [row[1] for row in self._connection.execute(f"PRAGMA table_info({table})")]
                create = next(s for s in statements if f"CREATE TABLE {table} (" in s)
                self._connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
                self._connection.execute(create)
                columns = ", ".join(old)
                self._connection.execute(
                    f"INSERT INTO {table} ({columns}) SELECT {columns} FROM old_{table} "
                    "ORDER BY rowid"
                )
                self._connection.execute(f"DROP TABLE old_{table}")
            self._connection.execute(next(s for s in statements if "CREATE INDEX" in s))
            for was, now in _OLD_COSTS.items():
                self._connection.execute("UPDATE study SET cost = ? WHERE cost = ?", (now, was))
                self._connection.execute(
                    "UPDATE study_result SET costs = replace(costs, ?, ?)",
                    (f'"{was}":', f'"{now}":'),
                )
            self._connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    def _pragma(self, name: str) -> int:
        return self._connection.execute(f"PRAGMA {name}").fetchone()[0]

    def _create(self) -> None:
        # Changing the journal does not wait for other processes that do the same.
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        with self._transaction():
            if self._pragma("user_version") == _SCHEMA_VERSION:
                return  # another process was first
            for statement in _SCHEMA.split(";\n"):
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _guard(self, opening: bool = False) -> Iterator[None]:
        """Turn SQLite's errors into the project's; the file keeps what was committed."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise AsnetError(
                    f"{self._name}: can't be written, the disk is full or failed ({error}); what "
                    "was reported is stored: make room and run the same command again"
                ) from None
            if code == sqlite3.SQLITE_BUSY:
                raise AsnetError(
                    f"{self._name}: another process held the store for {_BUSY_SECONDS:.0f} s"
                ) from None
            if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
                raise InputError(f"{self._name}: can't be opened for writing ({error})") from None
            if code == sqlite3.SQLITE_NOTADB or (opening and code == sqlite3.SQLITE_ERROR):
                raise InputError(f"{self._name}: not a result store ({error})") from None
            raise InputError(
                f"{self._name}: the store is damaged ({error}); it was left as it is"
            ) from None

    def _write(self, statement: str, values: Sequence[Any]) -> None:
        with self._guard():
            self._connection.execute(statement, values)

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._guard():
            return self._connection.execute(statement, values).fetchall()

    @property
    def name(self) -> str:
        """The file, as it was given."""
        return self._name

    @property
    def archive(self) -> Archive:
        """What is kept besides results: outcomes of samples, cores, networks, who computed it."""
        return Archive(self)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Carry out a statement of SQL; committed when this returns."""
        self._write(statement, values)

    def select(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query in SQL."""
        return self._rows(statement, values)

    # -- what was evaluated ------------------------------------------------------------------

    def add_network(self, network: NetworkRecord) -> None:
        """Store a network; one that is there already keeps its record."""
        layers = [[layer.name, dict(layer.ops)] for layer in network.layers]
        self._write(
            "INSERT OR IGNORE INTO network VALUES (?, ?, ?, ?)",
            (network.key, network.name, network.source, json.dumps(layers)),
        )

    def add_dataset(self, dataset: DatasetRecord) -> None:
        """Store a data set; one that is there already keeps its record."""
        self._write(
            "INSERT OR IGNORE INTO dataset VALUES (?, ?, ?)",
            (dataset.key, dataset.name, dataset.samples),
        )

    def networks(self) -> list[NetworkRecord]:
        """Return all networks, oldest first."""
        rows = self._rows("SELECT * FROM network ORDER BY rowid")
        with self._json():
            return [
                NetworkRecord(
                    key, name, source, tuple(LayerRecord(n, ops) for n, ops in json.loads(layers))
                )
                for key, name, source, layers in rows
            ]

    def datasets(self) -> list[DatasetRecord]:
        """Return all data sets, oldest first."""
        records = []
        for row in self._rows("SELECT * FROM dataset ORDER BY rowid"):
            records.append(DatasetRecord(*row))
            if not isinstance(records[-1].samples, int) or records[-1].samples < 1:
                raise InputError(
                    f"{self._name}: the store is damaged: data set '{records[-1].name}' has "
                    f"{records[-1].samples!r} samples"
                )
        return records

    def add(self, evaluation: EvaluationRecord, *, replace: bool = False) -> None:
        """Store a full result; committed when this returns.

        Args:
          replace: take the place of one that is there, which otherwise stays.
        """
        rules = [
            {
                "op": rule.op,
                "layer": rule.layer,
                "label": rule.label,
                "core": rule.core,
                "parameters": dict(rule.parameters),
                "content_hash": rule.content_hash,
            }
            for rule in evaluation.rules
        ]
        self._write(
            f"INSERT OR {'REPLACE' if replace else 'IGNORE'} INTO evaluation "
            f"VALUES ({', '.join('?' * 16)})",
            (
                evaluation.key,
                evaluation.network,
                evaluation.dataset,
                evaluation.label,
                json.dumps(evaluation.binding),
                json.dumps(rules),
                evaluation.correct,
                evaluation.samples,
                evaluation.seconds,
                evaluation.version,
                evaluation.command,
                evaluation.time or _now(),
                evaluation.origin.to_text(),
                evaluation.metric.to_text(),
                evaluation.figure,
                None if evaluation.difference is None else json.dumps(evaluation.difference),
            ),
        )

    def get(self, key: str) -> EvaluationRecord | None:
        """Return the full result stored under `key`."""
        rows = self._rows("SELECT * FROM evaluation WHERE key = ?", (key,))
        return self._evaluation(rows[0]) if rows else None

    def evaluations(
        self, network: str | None = None, dataset: str | None = None
    ) -> list[EvaluationRecord]:
        """Return full results, oldest first; only those of one network or data set by its key."""
        rows = self._rows(
            "SELECT * FROM evaluation WHERE (?1 IS NULL OR network = ?1) "
            "AND (?2 IS NULL OR dataset = ?2) ORDER BY rowid",
            (network, dataset),
        )
        return [self._evaluation(row) for row in rows]

    def count(self) -> int:
        """Return the number of full results."""
        return self._rows("SELECT count(*) FROM evaluation")[0][0]

    def _evaluation(self, row: Sequence[Any]) -> EvaluationRecord:
        values = list(row)
        with self._json():
            values[4] = json.loads(values[4])
            values[5] = tuple(RuleRecord(**rule) for rule in json.loads(values[5]))
            values[12:13] = [Origin.from_text(text) for text in values[12:13]]
            values[13:14] = [MetricRecord.from_text(text) for text in values[13:14]]
            values[15:] = [text and json.loads(text) for text in values[15:]]
        record = EvaluationRecord(*values)
        self._check(record)
        return record

    def _partial(self, row: Sequence[Any]) -> PartialRecord:
        values = list(row)
        with self._json():
            values[8:9] = [Origin.from_text(text) for text in values[8:9]]
            values[9:10] = [MetricRecord.from_text(text) for text in values[9:10]]
        record = PartialRecord(*values)
        self._check(record)
        return record

    def _check(self, record: EvaluationRecord | PartialRecord) -> None:
        """Refuse numbers that no evaluation gives: what reads them would show 200 %."""
        correct, samples, seconds = record.correct, record.samples, record.seconds
        is_figure = correct is None and isinstance(record.figure, float)
        counts = isinstance(samples, int) and samples >= 1
        counts &= is_figure or (isinstance(correct, int) and 0 <= correct <= samples)
        if not counts:
            what = f"{correct!r} of {samples!r} samples right"
        elif not isinstance(seconds, float | int) or not 0 <= seconds < float("inf"):
            what = f"{seconds!r} seconds"
        else:
            return
        raise InputError(
            f"{self._name}: the store is damaged: the result of '{record.label}' (key "
            f"{str(record.key)[:16]}) says {what}; remove the row to have it measured again: "
            f"DELETE FROM {'evaluation' if isinstance(record, EvaluationRecord) else 'partial'} "
            f"WHERE key = '{record.key}'"
        )

    @contextlib.contextmanager
    def _json(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{self._name}: the store is damaged ({error})") from None

    def add_partial(self, partial: PartialRecord) -> None:
        """Store the state of an evaluation that was stopped early."""
        self._write(
            f"INSERT OR REPLACE INTO partial VALUES ({', '.join('?' * 11)})",
            (
                partial.key,
                partial.rule,
                partial.correct,
                partial.samples,
                partial.confidence,
                partial.bound,
                partial.seconds,
                partial.label,
                partial.origin.to_text(),
                partial.metric.to_text(),
                partial.figure,
            ),
        )

    def get_partial(self, key: str, rule: str) -> PartialRecord | None:
        """Return what `rule` stopped of the evaluation `key`."""
        rows = self._rows("SELECT * FROM partial WHERE key = ? AND rule = ?", (key, rule))
        return self._partial(rows[0]) if rows else None

    # -- what instances cost -----------------------------------------------------------------

    def add_cost(self, cost: InstanceCost) -> None:
        """Store an instance's figures; None leaves a figure that is there."""
        self._write(
            "INSERT INTO instance VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "area = coalesce(excluded.area, area), delay = coalesce(excluded.delay, delay)",
            (cost.content_hash, cost.target, cost.op, cost.label, cost.area, cost.delay),
        )

    def costs(self) -> list[InstanceCost]:
        """Return the figures of all instances."""
        return [InstanceCost(*row) for row in self._rows("SELECT * FROM instance ORDER BY rowid")]

    # -- studies -----------------------------------------------------------------------------

    def begin_study(self, study: StudyRecord) -> None:
        """Store what a study is about to do; one that is there already goes on."""
        with self._guard(), self._transaction():
            now = _now()
            self._connection.execute(
                f"INSERT INTO study VALUES ({', '.join('?' * 21)}) ON CONFLICT DO UPDATE SET "
                "state = 'running', updated = excluded.updated, command = excluded.command",
                (
                    study.key,
                    study.network,
                    study.dataset,
                    json.dumps(study.constraints),
                    json.dumps([[v.op, v.layer, list(v.choices)] for v in study.variables]),
                    study.scope,
                    study.strategy,
                    study.seed,
                    study.budget,
                    study.cost,
                    study.bound,
                    study.early_stop,
                    study.stopping_rule,
                    study.command,
                    "running",
                    str(study.size),
                    0.0,
                    None,
                    now,
                    now,
                    study.metric.to_text(),
                ),
            )
            # Positions are those of the run that goes on.
            self._connection.execute("DELETE FROM study_result WHERE study = ?", (study.key,))

    def add_study_result(
        self,
        study: str,
        evaluation: str,
        position: int,
        configuration: Sequence[int],
        costs: Mapping[str, float],
    ) -> None:
        """Note that a study came to an evaluation."""
        self._write(
            "INSERT OR REPLACE INTO study_result VALUES (?, ?, ?, ?, ?)",
            (study, evaluation, position, json.dumps(configuration), json.dumps(costs)),
        )

    def end_study(self, study: str, state: str, seconds: float, chosen: str | None) -> None:
        """Note how a run of a study ended: `seconds` are added, `chosen` replaces the choice."""
        self._write(
            "UPDATE study SET state = ?, seconds = seconds + ?, chosen = ?, updated = ? "
            "WHERE key = ?",
            (state, seconds, chosen, _now(), study),
        )

    def state(self, study: str) -> str:
        """Return `running`, `interrupted`, `done` or `killed`; empty where there is no such study.

        Of one that another machine runs, or an older program began: `running or killed`.
        """
        rows = self._rows("SELECT state FROM study WHERE key = ?", (study,))
        if not rows or rows[0][0] != "running":
            return rows[0][0] if rows else ""
        run = self.archive.kept("run", study)
        alive = None if run is None else is_alive(run[0])
        return {True: "running", False: "killed", None: "running or killed"}[alive]

    def studies(self) -> list[StudyRecord]:
        """Return all studies, oldest first."""
        has_metric = self._pragma("user_version") >= 4
        rows = self._rows(
            "SELECT key, network, dataset, constraints, scope, strategy, seed, budget, cost, bound,"
            " early_stop, command, size, variables, stopping_rule, state, seconds, chosen, "
            f"created, updated{', metric' if has_metric else ''} FROM study ORDER BY created, rowid"
        )
        records = []
        for row in rows:
            values = list(row)
            with self._json():
                values[3], values[12] = json.loads(values[3]), int(values[12])
                values[13] = tuple(
                    VariableRecord(op, layer, tuple(choices))
                    for op, layer, choices in json.loads(values[13])
                )
                values[20:] = [MetricRecord.from_text(text) for text in values[20:]]
            if self._pragma("user_version") < 5:
                values[8] = _OLD_COSTS.get(values[8], values[8])
            records.append(StudyRecord(*values))
        return records

    def study_results(self, study: str) -> list[StudyResult]:
        """Return the results that a study came to, in its order."""
        rows = self._rows(
            "SELECT position, evaluation, configuration, costs FROM study_result WHERE study = ? "
            "ORDER BY position",
            (study,),
        )
        results = []
        old = self._pragma("user_version") < 5
        for position, key, configuration, costs in rows:
            found: EvaluationRecord | PartialRecord | None = self.get(key)
            if found is None:
                partial = self._rows(
                    "SELECT * FROM partial WHERE key = ?1 AND rule = "
                    "(SELECT stopping_rule FROM study WHERE key = ?2)",
                    (key, study),
                )
                found = self._partial(partial[0]) if partial else None
            if found is not None:
                with self._json():
                    place = tuple(json.loads(configuration))
                    figures = json.loads(costs)
                if old:
                    figures = {_OLD_COSTS.get(name, name): v for name, v in figures.items()}
                results.append(StudyResult(position, place, found, figures))
        return results

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame` with a row for each result of each study, in its order.

        Columns: study (first digits of its key), strategy, seed, network, data, label, metric,
        value, low and high (of the 95 % interval), samples, seconds, a column for each cost, and
        chosen, stopped_early, command.

        Raises:
          InputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise InputError("Store.to_pandas needs pandas: pip install pandas") from None
        return pandas.DataFrame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """Return what `to_pandas` has, as dictionaries."""
        networks = {network.key: network.name for network in self.networks()}
        datasets = {dataset.key: dataset.name for dataset in self.datasets()}
        rows = []
        for study in self.studies():
            for result in self.study_results(study.key):
                found = result.evaluation
                is_full = isinstance(found, EvaluationRecord)
                ends = self.archive.interval(found.key, found.correct, found.samples)
                rows.append(
                    {
                        "study": study.key[:8],
                        "strategy": study.strategy,
                        "seed": study.seed,
                        "network": networks.get(study.network),
                        "data": datasets.get(study.dataset),
                        "label": found.label,
                        "metric": found.metric.name,
                        "value": found.value,
                        "low": ends[0] if ends and is_full else None,
                        "high": ends[1] if ends and is_full else None,
                        "samples": found.samples,
                        "seconds": found.seconds,
                        **result.costs,
                        "chosen": found.key == study.chosen,
                        "stopped_early": not is_full,
                        "command": found.command if isinstance(found, EvaluationRecord) else None,
                    }
                )
        return rows

    def close(self) -> None:
        """Close the file; what the log holds goes into it when nobody else has it open."""
        with contextlib.suppress(sqlite3.Error):  # on a full disk the log just stays
            self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_store(path: str | Path | None) -> None:
    """Refuse what is no store, or can't become one, before anything is computed for it.

    Nothing is made or changed.

    Raises:
      InputError: as `Store`.
    """
    if path is None:
        return
    _check_place(Path(path), read_only=False)
    if Path(path).is_file() and Path(path).stat().st_size:
        Store(path, read_only=True).close()


def _check_place(path: Path, read_only: bool) -> None:
    """Refuse what SQLite's own messages do not explain."""
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
    if path.is_dir():
        raise InputError(f"{path}: is a folder, not a result store")
    if read_only and not path.is_file():
        raise InputError(f"{path}: no such file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path}: its folder does not exist")
    if path.is_file() and not os.access(path, os.R_OK):
        raise InputError(f"{path}: can't be read: permission denied")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
