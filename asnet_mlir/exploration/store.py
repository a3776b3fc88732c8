"""Results on disk: one SQLite file, one row per evaluated configuration.

A row's key is the hash of everything that decides the result, so that a sweep which is stopped and
started again finds what it had, and a changed network, data set or core never meets an old result.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from types import TracebackType

from asnet_mlir.errors import InputError

__all__ = ["Store"]

_APPLICATION_ID = 0x41534E54  # "ASNT": tells our files from other SQLite files
_SCHEMA_VERSION = 1


class Store:
    """A result store; a context manager.  `path` None keeps the results in memory."""

    def __init__(self, path: str | Path | None) -> None:
        """Open the store, or make it.

        Raises:
          InputError: the file is no store of this version; it is left as it is.
        """
        name = ":memory:" if path is None else str(path)
        if path is not None and not Path(path).absolute().parent.is_dir():
            raise InputError(f"{path}: its folder does not exist")
        try:
            self._connection = sqlite3.connect(name, timeout=30.0, isolation_level=None)
            application = self._pragma("application_id")
            tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables == 0 and application == 0:
                self._create()
            elif application != _APPLICATION_ID:
                raise InputError(f"{path}: is an SQLite file, but not a result store")
            elif self._pragma("user_version") != _SCHEMA_VERSION:
                raise InputError(
                    f"{path}: is a result store of version {self._pragma('user_version')}, this "
                    f"program reads version {_SCHEMA_VERSION}"
                )
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path}: not a result store ({error})") from None

    def _pragma(self, name: str) -> int:
        return self._connection.execute(f"PRAGMA {name}").fetchone()[0]

    def _create(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.executescript(
            f"""
            BEGIN IMMEDIATE;
            PRAGMA application_id = {_APPLICATION_ID};
            PRAGMA user_version = {_SCHEMA_VERSION};
            CREATE TABLE IF NOT EXISTS evaluation (
                key TEXT PRIMARY KEY, network TEXT, data TEXT, label TEXT,
                result TEXT, time TEXT DEFAULT CURRENT_TIMESTAMP
            );
            COMMIT;
            """
        )

    def get(self, key: str) -> dict | None:
        """Return the result stored under `key`."""
        row = self._connection.execute(
            "SELECT result FROM evaluation WHERE key = ?", (key,)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, key: str, network: str, data: str, label: str, result: dict) -> None:
        """Store a result; committed when this returns."""
        self._connection.execute(
            "INSERT OR REPLACE INTO evaluation (key, network, data, label, result) "
            "VALUES (?, ?, ?, ?, ?)",
            (key, network, data, label, json.dumps(result)),
        )

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()
