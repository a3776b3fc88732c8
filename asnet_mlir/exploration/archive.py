# SPDX-License-Identifier: Apache-2.0
"""What a result store keeps besides results, so that they can be had again and compared.

- Of each full result, which samples were right: a bit a sample, compressed.
- Of each core outside the library, its files and how it is described; of each network, its `approx`
  module and its weights.  Contents are kept once, under their hashes.
- Of each run of a study, and of each synthesis, the machine and the versions of the tools.

These are tables of their own, which stores of older programs lack and older programs do not look
at: to miss one is to know nothing, not an error.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from asnet_mlir.errors import InputError

__all__ = ["TABLES", "Archive"]

TABLES = (
    """CREATE TABLE IF NOT EXISTS content (
  hash TEXT PRIMARY KEY,      -- SHA-256 of the bytes
  bytes BLOB NOT NULL         -- zlib
)""",
    """CREATE TABLE IF NOT EXISTS outcome (  -- which samples a full result has right
  evaluation TEXT PRIMARY KEY,  -- key in evaluation
  bits BLOB NOT NULL          -- zlib of a bit a sample, the first the highest of its byte
)""",
    """CREATE TABLE IF NOT EXISTS kept (  -- what results were computed from
  kind TEXT NOT NULL,         -- core: by content_hash; network: by key
  key TEXT NOT NULL,
  facts TEXT NOT NULL,        -- JSON; of a core its description
  files TEXT NOT NULL,        -- JSON: {path or name: hash in content}
  PRIMARY KEY (kind, key)
)""",
    """CREATE TABLE IF NOT EXISTS provenance (  -- who computed it, with what
  kind TEXT NOT NULL,         -- study: by key; synthesis: by content_hash and target
  key TEXT NOT NULL,
  time TEXT NOT NULL,         -- UTC, ISO 8601
  facts TEXT NOT NULL,        -- JSON: versions of tools, the machine
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

    def keep_outcome(self, evaluation: str, right: np.ndarray) -> None:
        """Keep which samples, bool[n], an evaluation has right."""
        self._database.execute(
            "INSERT OR REPLACE INTO outcome VALUES (?, ?)",
            (evaluation, zlib.compress(np.packbits(right).tobytes(), 9)),
        )

    def outcome(self, evaluation: str, samples: int) -> np.ndarray | None:
        """Return bool[samples], or None where it was not kept."""
        if not self.has("outcome"):
            return None
        rows = self._database.select("SELECT bits FROM outcome WHERE evaluation = ?", (evaluation,))
        if not rows:
            return None
        try:
            bits = np.frombuffer(zlib.decompress(rows[0][0]), np.uint8)
        except zlib.error:
            bits = np.empty(0, np.uint8)
        if len(bits) != -(-samples // 8):
            raise InputError(
                f"{self._database.name}: the store is damaged: the outcome of {evaluation[:16]} "
                f"is not one of {samples} samples"
            )
        return np.unpackbits(bits)[:samples].astype(bool)

    # -- cores and networks ------------------------------------------------------------------

    def keep(
        self, kind: str, key: str, facts: Mapping[str, Any], files: Mapping[str, bytes]
    ) -> None:
        """Keep what is known of a core or a network; one that is there already stays."""
        if self.kept(kind, key) is None:
            hashes = {name: self.keep_content(content) for name, content in files.items()}
            self._database.execute(
                "INSERT OR IGNORE INTO kept VALUES (?, ?, ?, ?)",
                (kind, key, json.dumps(facts), json.dumps(hashes)),
            )

    def kept(self, kind: str, key: str) -> tuple[dict[str, Any], dict[str, str]] | None:
        """Return the facts about a core or a network, and its files with their hashes."""
        if not self.has("kept"):
            return None
        rows = self._database.select(
            "SELECT facts, files FROM kept WHERE kind = ? AND key = ?", (kind, key)
        )
        return (json.loads(rows[0][0]), json.loads(rows[0][1])) if rows else None

    # -- provenance --------------------------------------------------------------------------

    def note(self, kind: str, key: str, time: str, facts: Mapping[str, Any]) -> None:
        """Note who computed a study or a synthesis, with what."""
        self._database.execute(
            "INSERT OR REPLACE INTO provenance VALUES (?, ?, ?, ?)",
            (kind, key, time, json.dumps(facts)),
        )

    def notes(self, kind: str, key: str) -> list[tuple[str, dict[str, Any]]]:
        """Return times and facts, the oldest first."""
        if not self.has("provenance"):
            return []
        rows = self._database.select(
            "SELECT time, facts FROM provenance WHERE kind = ? AND key = ? ORDER BY time",
            (kind, key),
        )
        return [(time, json.loads(facts)) for time, facts in rows]
