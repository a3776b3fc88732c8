"""A folder of results named by the hash of what they were made from.

`ASNET_CACHE_DIR` overrides the place (default: `$XDG_CACHE_HOME/asnet-mlir` or
`~/.cache/asnet-mlir`).  Entries are written to a temporary name and renamed, so that a process that
is killed, or two that run at once, never leave half an entry.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

__all__ = [
    "cache_directory",
    "cached_bytes",
    "cached_directory",
    "cached_text",
    "content_hash",
]

_DIGEST_SIZE = hashlib.sha256().digest_size


def cache_directory() -> Path:
    """Return the folder of all cached results (made when absent)."""
    override = os.environ.get("ASNET_CACHE_DIR")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = Path(override) if override else base / "asnet-mlir"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def content_hash(*parts: str | bytes) -> str:
    """Return a hex SHA-256 of `parts`, each framed by its length so that no two lists collide."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def cached_text(kind: str, key: str, make: Callable[[], str]) -> str:
    """Return the text cached as `kind`/`key`, made by `make` on the first call."""
    path = cache_directory() / kind / key
    if path.is_file():
        return path.read_text()
    text = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    os.replace(file.name, path)
    return text


def cached_directory(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return the folder cached as `kind`/`key`; `make(folder)` fills it on the first call."""
    path = cache_directory() / kind / key
    if path.is_dir():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=".new-"))
    try:
        make(temporary)
        try:
            os.rename(temporary, path)
        except OSError:
            if not path.is_dir():  # anything but "another process was first"
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def cached_bytes(kind: str, key: str, make: Callable[[], bytes]) -> bytes:
    """Return the bytes cached as `kind`/`key`, made by `make` on the first call.

    A checksum goes with them: an entry that is damaged is made again.  Where nothing can be written
    (a full disk, a folder without permission), nothing is kept.
    """
    try:
        content = (cache_directory() / kind / key).read_bytes()
    except OSError:
        content = b""
    digest, data = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
    if content and hashlib.sha256(data).digest() == digest:
        return data
    data = make()
    with contextlib.suppress(OSError):
        path = cache_directory() / kind / key
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "wb", dir=path.parent, prefix=".new-", delete=False
        ) as file:
            try:
                file.write(hashlib.sha256(data).digest() + data)
                file.flush()
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    return data
