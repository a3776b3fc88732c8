# SPDX-License-Identifier: Apache-2.0
"""Files and folders that are written whole or not at all, and what killed processes leave of them.

A temporary name is locked (flock) by the process that writes it, so that another process can tell
what is being written from what nobody will ever finish.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from asnet_mlir.errors import AsnetError, InputError, ToolError

__all__ = [
    "new_file",
    "new_folder",
    "put_in_place",
    "remove_leftovers",
    "replacement",
    "restore",
    "sync",
    "unwritable",
    "write_whole",
]

#: What is younger may be between its creation and its lock.
_LEFTOVER_SECONDS = 60.0
#: Names beside what is replaced: of what is new, and of what was there.
_NEW, _OLD = ".asnet-new-", ".asnet-old-"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_FAILED_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def unwritable(path: str | os.PathLike[str], error: OSError, more: str = "") -> AsnetError:
    """Return what to raise where `path` can't be written; `more` ends the message.

    A full or failed disk is a failure (status 1), a place that can't be written to is bad input
    (status 2), whatever was being written.
    """
    text = f"{os.fspath(path)}: can't be written: {error.strerror or error}{more}"
    return ToolError(text) if error.errno in _FAILED_DISK else InputError(text)


def write_whole(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Replace a file by `content` (text as UTF-8): afterwards it is the old or the new one.

    Something that is no regular file, such as /dev/stdout, is written to as it is.

    Raises:
      InputError, ToolError: see `unwritable`; the old file is left as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    target = Path(path)
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        target = target.resolve() if target.is_symlink() else target
        with new_file(target.absolute().parent, f".{target.name}-") as temporary:
            temporary.write_bytes(data)
            os.chmod(temporary, target.stat().st_mode & 0o777 if target.exists() else _mode(0o666))
            sync(temporary)
            os.replace(temporary, target)
    except OSError as error:
        raise unwritable(path, error) from None


def _mode(mode: int) -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mode & ~mask


@contextlib.contextmanager
def new_file(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield an empty file in `parent` that is locked, and removed at the end unless renamed."""
    descriptor, name = tempfile.mkstemp(dir=parent, prefix=prefix)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield Path(name)
    finally:
        _remove(Path(name))
        os.close(descriptor)


@contextlib.contextmanager
def new_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield an empty folder in `parent` that is locked; its name is removed at the end."""
    path = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield path
        finally:
            os.close(descriptor)
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def sync(path: Path) -> None:
    """Have a file, or all files of a folder, on the disk and not only in memory."""
    if path.is_dir():
        for folder, _, names in os.walk(path):
            for name in names:
                if not os.path.islink(file := os.path.join(folder, name)):
                    _sync_one(file)
    _sync_one(path)


def _sync_one(path: str | os.PathLike[str]) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system without it
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `path` at the end, or is gone where the block fails.

    Whoever looks at `path` finds what was there or all that is new, at any moment, also after a
    process that was killed or a failure of power.

    Raises:
      OSError: `path` is as it was.
    """
    restore(path)
    with new_folder(path.parent, f".{path.name}{_NEW}") as temporary:
        yield temporary
        temporary.chmod(_mode(0o777))
        if path.exists():
            sync(temporary)  # before what is there goes
        put_in_place(temporary, path, f".{path.name}{_OLD}")


def restore(path: Path) -> None:
    """Remove what killed processes left of writing a `replacement` of `path`.

    Where one was killed between two renames (on a file system that can't exchange names), what was
    there comes back.
    """
    if not path.exists() and not path.is_symlink():
        with contextlib.suppress(OSError, StopIteration):
            names = sorted(entry.name for entry in os.scandir(path.parent))
            old = next(name for name in names if name.startswith(f".{path.name}{_OLD}"))
            os.rename(path.parent / old, path)
    for kind in (_NEW, _OLD):
        remove_leftovers(path.parent, f".{path.name}{kind}")


def put_in_place(new: Path, path: Path, spare: str) -> None:
    """Make the file or folder `new` be `path`; what is there is then called `new`.

    The two are exchanged in one step where the file system can.  Where it can't, what is there is
    called `spare` + a number beside `path` for a moment; `remove_leftovers` brings it back after a
    process that was killed then.

    Raises:
      OSError: nothing was changed.
    """
    for _ in range(100):
        try:
            if path.exists() or path.is_symlink():
                _exchange(new, path)
            else:
                os.rename(new, path)
            return
        except FileNotFoundError:
            if not new.exists():
                raise
            # Somebody else removed `path` meanwhile.
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                continue  # somebody else made `path` meanwhile
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
                raise
            break
    else:
        raise OSError(errno.EBUSY, "other processes keep changing it", str(path))
    old = path.with_name(f"{spare}{os.getpid()}")
    os.rename(path, old)
    try:
        os.rename(new, path)
    except OSError:
        os.rename(old, path)
        raise
    os.rename(old, new)


def _exchange(one: Path, other: Path) -> None:
    """Exchange two names in one step (Linux, renameat2)."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    names = (os.fsencode(one), os.fsencode(other))
    if call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one), None, str(other))


def remove_leftovers(parent: Path, prefix: str, old_seconds: float = _LEFTOVER_SECONDS) -> int:
    """Remove temporary names of processes that were killed; return how many.

    Args:
      prefix: of the names.
      old_seconds: what is younger stays.
    """
    count = 0
    try:
        names = [entry.path for entry in os.scandir(parent) if entry.name.startswith(prefix)]
    except OSError:
        return 0
    for name in names:
        with contextlib.suppress(OSError):
            if time.time() - os.lstat(name).st_mtime < old_seconds or _is_held(name):
                continue
            _remove(Path(name))
            count += 1
    return count


def _is_held(name: str) -> bool:
    if os.path.islink(name):
        return False
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
