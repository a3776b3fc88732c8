# SPDX-License-Identifier: Apache-2.0
"""What a result store keeps besides results, so that they can be had again and compared.

- Of each full result, what its samples contribute to it (`evaluation.outcomes`).
- Of each core outside the library, its files and how it is described; of each network its text and
  its weights.  Contents are kept once, under their hashes.
- Of each run of a study and of each synthesis, the machine and the versions of the tools.

These are tables of their own, which stores of older programs lack and older programs do not look
at: to miss one is to know nothing, not an error.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.outcomes import Outcome, interval
from asnet_mlir.evaluation.statistics import share_interval

__all__ = ["TABLES", "Archive"]

TABLES = (
    """CREATE TABLE IF NOT EXISTS content (
  hash TEXT PRIMARY KEY,      -- SHA-256 of the bytes
  bytes BLOB NOT NULL         -- zlib
)""",
    """CREATE TABLE IF NOT EXISTS outcome (  -- what samples contribute to a full result
  evaluation TEXT PRIMARY KEY,  -- key in evaluation
  kind TEXT NOT NULL,         -- right: a bit a sample; groups: pseudo-values, float64
  bytes BLOB NOT NULL         -- zlib; of bits the first is the highest of its byte
)""",
    """CREATE TABLE IF NOT EXISTS kept (  -- what results were computed from
  kind TEXT NOT NULL,         -- core: by content_hash; network: by key; beside: by evaluation;
                              -- breakdown, run, spread: by study
  key TEXT NOT NULL,
  facts TEXT NOT NULL,        -- JSON; of a core its description
  files TEXT NOT NULL,        -- JSON: {path or name: hash in content}
  PRIMARY KEY (kind, key)
)""",
    """CREATE TABLE IF NOT EXISTS provenance (  -- who computed it, with what
  kind TEXT NOT NULL,         -- study: by key; synthesis: by content_hash
  key TEXT NOT NULL,
  time TEXT NOT NULL,         -- UTC, ISO 8601
  facts TEXT NOT NULL,        -- JSON: {machine, tools: {name: version}}
  PRIMARY KEY (kind, key, time)
)""",
)


class _Database(Protocol):
    """What is needed of a store."""

    @property
    def name(self) -> str: ...

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None: ...

    def select(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...


class Archive:
    """The tables above in a store."""

    def __init__(self, database: _Database) -> None:
        self._database = database

    @property
    def name(self) -> str:
        """The store's file, as it was given."""
        return self._database.name

    def has(self, table: str) -> bool:
        """Whether the store has a table, which older ones lack."""
        return bool(
            self._database.select(
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
            )
        )

    # -- contents ----------------------------------------------------------------------------

    def keep_content(self, content: bytes) -> str:
        """Keep bytes once; return their hash."""
        digest = hashlib.sha256(content).hexdigest()
        if not self._database.select("SELECT 1 FROM content WHERE hash = ?", (digest,)):
            self._database.execute(
                "INSERT OR IGNORE INTO content VALUES (?, ?)", (digest, zlib.compress(content))
            )
        return digest

    def content(self, digest: str) -> bytes:
        """Return the bytes kept under a hash.

        Raises:
          InputError: they are not there, or others are.
        """
        rows = self._database.select("SELECT bytes FROM content WHERE hash = ?", (digest,))
        try:
            found = zlib.decompress(rows[0][0]) if rows else b""
        except zlib.error:
            found = b""
        if hashlib.sha256(found).hexdigest() != digest:
            raise InputError(
                f"{self._database.name}: the store is damaged: the content {digest[:16]} is "
                + ("another one" if rows else "missing")
            )
        return found

    # -- outcomes ----------------------------------------------------------------------------

    def keep_outcome(self, evaluation: str, outcome: Outcome) -> None:
        """Keep what the samples of an evaluation contribute to its figure."""
        is_right = outcome.dtype == bool
        content = np.packbits(outcome) if is_right else outcome.astype("<f8")
        self._database.execute(
            "INSERT OR REPLACE INTO outcome VALUES (?, ?, ?)",
            (evaluation, "right" if is_right else "groups", zlib.compress(content.tobytes())),
        )

    def outcome(self, evaluation: str, samples: int) -> Outcome | None:
        """Return the outcome of an evaluation of so many samples; None where it was not kept.

        Raises:
          InputError: it is damaged.
        """
        if not self.has("outcome"):
            return None
        rows = self._database.select(
            "SELECT kind, bytes FROM outcome WHERE evaluation = ?", (evaluation,)
        )
        if not rows:
            return None
        try:
            content = zlib.decompress(rows[0][1])
            if rows[0][0] == "groups":
                return np.frombuffer(content, "<f8").astype(np.float64)
            bits = np.unpackbits(np.frombuffer(content, np.uint8))
            if not samples <= len(bits) < samples + 8:
                raise ValueError(f"it is not of {samples} samples")
        except (zlib.error, ValueError, TypeError) as error:
            raise InputError(
                f"{self._database.name}: the store is damaged: the outcome of the result "
                f"{evaluation[:16]} can't be read ({error})"
            ) from None
        return bits[:samples].astype(bool)

    def interval(
        self, evaluation: str, correct: int | None, samples: int
    ) -> tuple[float, float] | None:
        """Return the 95 % interval of a full result's figure; None where it is not known."""
        if correct is not None:
            return share_interval(correct, samples)
        found = self.outcome(evaluation, samples)
        return None if found is None else interval(found)

    # -- cores, networks, bindings -----------------------------------------------------------

    def keep(
        self, kind: str, key: str, facts: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> None:
        """Keep what is known of something; what is there already stays."""
        if self.kept(kind, key) is None:
            hashes = {name: self.keep_content(content) for name, content in files.items()}
            self._database.execute(
                "INSERT OR IGNORE INTO kept VALUES (?, ?, ?, ?)",
                (kind, key, json.dumps(facts), json.dumps(hashes)),
            )

    def put(self, kind: str, key: str, facts: Mapping[str, Any]) -> None:
        """Keep facts in the place of what is there."""
        self._database.execute(
            "INSERT OR REPLACE INTO kept VALUES (?, ?, ?, '{}')", (kind, key, json.dumps(facts))
        )

    def kept(self, kind: str, key: str) -> tuple[dict[str, Any], dict[str, str]] | None:
        """Return the facts about something, and its files with their hashes."""
        if not self.has("kept"):
            return None
        rows = self._database.select(
            "SELECT facts, files FROM kept WHERE kind = ? AND key = ?", (kind, key)
        )
        return (json.loads(rows[0][0]), json.loads(rows[0][1])) if rows else None

    # -- provenance --------------------------------------------------------------------------

    def note(self, kind: str, key: str, facts: Mapping[str, Any]) -> None:
        """Note who computes a study or a synthesis now, with what."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._database.execute(
            "INSERT OR REPLACE INTO provenance VALUES (?, ?, ?, ?)",
            (kind, key, now, json.dumps(facts)),
        )

    def notes(self, kind: str, key: str) -> list[tuple[str, dict[str, Any]]]:
        """Return times and facts, the oldest first."""
        if not self.has("provenance"):
            return []
        rows = self._database.select(
            "SELECT time, facts FROM provenance WHERE kind = ? AND key = ? ORDER BY time",
            (kind, key),
        )
        return [(when, json.loads(facts)) for when, facts in rows]
