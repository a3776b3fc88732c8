# SPDX-License-Identifier: Apache-2.0
"""A folder of results named by the hash of what they were made from.

`ASNET_CACHE_DIR` overrides the place (default: `$XDG_CACHE_HOME/asnet-mlir` or
`~/.cache/asnet-mlir`), `ASNET_CACHE_SIZE` the gigabytes that it may take (default: 20).

What a caller may rely on (docs/decisions/0017-cache.md):

- An entry carries a checksum over its kind, its key and its content.  One that fails it (a flipped
  bit, a file cut short, another entry's content) is made again, never returned.
- An entry is written to a temporary name, brought to the disk and renamed: a process that is
  killed, or two that run at once, never leave half of one.
- A cache that can't be written to stops nobody: what is made then lies in a temporary folder of
  this process, which is said once.
- Keys hold `code_version` of the packages that make the entry, so that code which changed never
  meets what the old one made.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import functools
import hashlib
import json
import os
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asnet_mlir
from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.support.files import (
    new_file,
    new_folder,
    put_in_place,
    remove_leftovers,
    sync,
    unwritable,
)
from asnet_mlir.support.resources import lowering_directory

__all__ = [
    "CacheUse",
    "cache_directory",
    "cache_use",
    "cached_bytes",
    "cached_directory",
    "cached_text",
    "cached_texts",
    "clean_cache",
    "code_version",
    "content_hash",
]

_DIGEST_SIZE = hashlib.sha256().digest_size
#: The lock's time is when the cache's size was last looked at.
_TEMPORARY, _LISTING, _LOCK = ".new-", ".checksums", ".lock"
_MAKING = ".making"
_DEFAULT_GIGABYTES = 20.0
#: How often a cache's size is looked at, and what is left of the limit where it is too large.
_TRIM_SECONDS, _LEFT = 3600.0, 0.9
#: How long one waits for another process that makes the same folder.
_WAIT_SECONDS = 120.0
#: With less room than this a tool that failed may have failed for want of it.
_ENOUGH_BYTES = 256 << 20
#: Modules of the package itself that only call others: no result depends on them.
_NO_CODE = ("emit.py", "plugin.py", "worker.py", "worker_main.py", "progress.py", "interrupts.py")
#: Packages on which every result depends.
_ALWAYS = ("support", "native")


def content_hash(*parts: str | bytes) -> str:
    """Return a hex SHA-256 of `parts`, each framed by its length so that no two lists collide."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


# -- versions ---------------------------------------------------------------------------------


@functools.cache
def code_version(*packages: str) -> str:
    """Return a hash of this program's code: of whole packages, so that no list of files ages.

    The modules of `asnet_mlir` itself (compiler, reference, ..), `support` and `native` always
    belong to it.

    Args:
      packages: folders of the package (`cores`, `evaluation`, ..; `_mlir_libs`, which holds the
        native library), and `lowering`, whose Python part runs in CIRCT's process.
    """
    always = {"": [Path(__file__).resolve().parents[1]]} | {
        name: _folders(name) for name in _ALWAYS
    }
    parts: list[str | bytes] = []
    for name, folders in always.items():
        for path in sorted(path for folder in folders for path in folder.glob("*.py")):
            if path.name not in _NO_CODE:
                parts += [f"{name}/{path.name}", path.read_bytes()]
    for package in sorted(packages):
        for folder in _folders(package):
            files = (p for p in folder.rglob("*") if "__pycache__" not in p.parts and p.is_file())
            for path in sorted(files):
                parts += [f"{package}/{path.relative_to(folder)}", path.read_bytes()]
    return content_hash(*parts)


def _folders(package: str) -> list[Path]:
    if package == "lowering":
        return [lowering_directory()]
    # A wheel has all in one folder; an editable install has the checkout and what CMake made.
    roots = {Path(__file__).resolve().parents[1], *(Path(p).resolve() for p in asnet_mlir.__path__)}
    own = sorted(root for root in roots if root.name == "asnet_mlir")
    return [root / package for root in own if (root / package).is_dir()]


# -- places -----------------------------------------------------------------------------------


class _Place:
    """A folder of entries; locked (shared) so that `clean_cache` knows of its users."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._cleaned: set[str] = set()
        self._lock: int | None = None

    def folder(self, kind: str) -> Path:
        """Return the folder of a kind, made when absent."""
        self.lock()
        folder = self.root / kind
        _make_folder(folder)
        if not self._cleaned:
            atexit.register(self._trim, os.getpid())
        if kind not in self._cleaned:
            self._cleaned.add(kind)
            remove_leftovers(folder, _TEMPORARY)
        return folder

    def lock(self) -> None:
        """Say that this process uses the place, for as long as it lives."""
        if self._lock is None:
            _make_folder(self.root)
            self._lock = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(self._lock, fcntl.LOCK_SH)  # waits for one that cleans

    def _trim(self, owner: int) -> None:
        """Remove what was not used for longest where the place is too large, as its last user."""
        if os.getpid() != owner or self._lock is None:
            return
        with contextlib.suppress(OSError, InputError):
            limit = _size_limit()
            if limit is None:
                return
            if 0 <= time.time() - os.fstat(self._lock).st_mtime < _TRIM_SECONDS:
                return
            # Another user's lock is shared: it goes on, and looks at the size when it ends.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.utime(self._lock)
            found = [
                (_last_used(entry), _size(entry), entry)
                for _, entries in _entries(self.root)
                for entry in entries
            ]
            total = sum(size for _, size, _ in found)
            if total <= limit:
                return
            for _, size, entry in sorted(found):
                if total <= _LEFT * limit:
                    break
                _remove(entry)
                total -= size


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, "it is a file", str(path)) from None


class _Cache:
    """The user's cache, and where it can't be written to a temporary one of this process."""

    def __init__(self, place: Path | None, problem: str = "") -> None:
        self._own = None if place is None else _Place(place)
        self._writable = place is not None
        self._other: _Place | None = None
        if place is None:
            self._give_up("", problem)

    def places(self) -> list[_Place]:
        """Return where entries may be, the first one first."""
        return [place for place in (self._own, self._other) if place is not None]

    def writing(self) -> _Place:
        """Return where entries go."""
        if self._writable and self._own is not None:
            return self._own
        if self._other is None:
            try:
                root = Path(tempfile.mkdtemp(prefix="asnet-cache-"))
            except OSError as error:
                raise ToolError(
                    f"no folder for temporary files can be written to ({error.strerror}); name "
                    "one by TMPDIR"
                ) from None
            atexit.register(_remove_of, os.getpid(), root)
            self._other = _Place(root)
        return self._other

    def fail(self, error: OSError | str) -> bool:
        """Go on without the user's cache; return whether there is another place to go on with."""
        if not self._writable or self._own is None:
            return False
        self._writable = False
        reason = error if isinstance(error, str) else error.strerror or str(error)
        self._give_up(f" {self._own.root}", reason)
        return True

    def _give_up(self, name: str, reason: str) -> None:
        print(
            f"asnet: warning: the cache{name} can't be written to ({reason}); this run goes on "
            "without it (ASNET_CACHE_DIR names another place)",
            file=sys.stderr,
            flush=True,
        )

    def is_at_fault(self, error: BaseException) -> bool:
        """Say whether making an entry may have failed because the user's cache has no room."""
        if not self._writable or self._own is None:
            return False
        if isinstance(error, OSError):
            return True
        try:
            return shutil.disk_usage(self._own.root).free < _ENOUGH_BYTES
        except OSError:
            return True


def _remove_of(owner: int, root: Path) -> None:
    if os.getpid() == owner:  # a fork has its parent's list of what to do at the end
        shutil.rmtree(root, ignore_errors=True)


_CACHES: dict[tuple[str | None, ...], _Cache] = {}


def _cache() -> _Cache:
    names = ("ASNET_CACHE_DIR", "XDG_CACHE_HOME", "HOME")
    key = tuple(os.environ.get(name) for name in names)
    if key not in _CACHES:
        _size_limit()  # a wrong one is an error now, not when the process ends
        try:
            _CACHES[key] = _Cache(_user_place())
        except RuntimeError:  # neither HOME nor an account
            _CACHES[key] = _Cache(None, "there is no home directory")
    return _CACHES[key]


def _user_place() -> Path:
    override = os.environ.get("ASNET_CACHE_DIR")
    if override:
        return Path(override).absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base.absolute() / "asnet-mlir"


def cache_directory() -> Path:
    """Return the folder of cached results (made when absent), or the one that stands in for it."""
    cache = _cache()
    try:
        cache.writing().lock()
    except OSError as error:
        cache.fail(error)
        cache.writing().lock()
    return cache.writing().root


# -- entries ----------------------------------------------------------------------------------


def _sealed(kind: str, key: str, data: bytes) -> bytes:
    """Return `data` behind its checksum, which knows whose content it is."""
    return bytes.fromhex(content_hash(kind, key, data)) + data


def _opened(kind: str, key: str, content: bytes) -> bytes | None:
    data = content[_DIGEST_SIZE:]
    return data if content == _sealed(kind, key, data) else None


def _read(kind: str, key: str) -> bytes | None:
    """Return an entry's content, or None where there is none that is whole."""
    for place in _cache().places():
        with contextlib.suppress(OSError):
            data = _opened(kind, key, (place.root / kind / key).read_bytes())
            if data is not None:
                return data
    return None


def _keep(kind: str, key: str, data: bytes) -> None:
    """Write an entry where that is possible."""
    cache = _cache()
    try:
        _write(cache.writing(), kind, key, _sealed(kind, key, data))
    except OSError as error:
        if cache.fail(error):
            _keep(kind, key, data)
    except ToolError:
        return  # nor is there another place: what was made is used once


def _write(place: _Place, kind: str, key: str, content: bytes) -> None:
    folder = place.folder(kind)
    with new_file(folder, _TEMPORARY) as temporary:
        temporary.write_bytes(content)
        sync(temporary)
        try:
            os.replace(temporary, folder / key)
        except IsADirectoryError:
            put_in_place(temporary, folder / key, _TEMPORARY)


def cached_bytes(kind: str, key: str, make: Callable[[], bytes]) -> bytes:
    """Return the bytes cached as `kind`/`key`, made by `make` where no whole entry is there."""
    data = _read(kind, key)
    if data is None:
        data = make()
        _keep(kind, key, data)
    return data


def cached_text(kind: str, key: str, make: Callable[[], str]) -> str:
    """Return the text cached as `kind`/`key`; see `cached_bytes`."""
    return cached_bytes(kind, key, lambda: make().encode()).decode()


def cached_texts(
    kind: str, keys: Sequence[str], make: Callable[[list[str]], Mapping[str, str]]
) -> dict[str, str]:
    """Return the texts cached under `keys`; `make` is given all that are missing, at once.

    Of what `make` returns everything is kept; it returns at least what it was asked for.
    """
    found = {key: _read(kind, key) for key in dict.fromkeys(keys)}
    missing = [key for key, data in found.items() if data is None]
    texts = {key: data.decode() for key, data in found.items() if data is not None}
    if missing:
        for key, text in make(missing).items():
            _keep(kind, key, text.encode())
            texts[key] = text
    return texts


def cached_directory(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return the folder cached as `kind`/`key`; `make(folder)` fills it where none whole is there.

    Nobody may write into it afterwards: a folder with another content is made again.
    """
    cache = _cache()
    for place in cache.places():
        with contextlib.suppress(OSError):
            place.lock()  # first: nobody removes what is whole afterwards
        if _is_whole(kind, key, place.root / kind / key):
            return place.root / kind / key
    try:
        return _make_directory(cache.writing(), kind, key, make)
    except (OSError, ToolError, InputError) as error:
        # The tools that fill the folder say in their own way that a disk is full.
        if not cache.is_at_fault(error):
            raise
        cache.fail(error if isinstance(error, OSError) else "it has little room left")
    place = cache.writing()
    try:
        return _make_directory(place, kind, key, make)
    except OSError as error:
        raise unwritable(place.root, error) from None


def _make_directory(place: _Place, kind: str, key: str, make: Callable[[Path], None]) -> Path:
    folder = place.folder(kind)
    path = folder / key
    with _alone(place, kind, key):
        if _is_whole(kind, key, path):  # another process was first
            return path
        with new_folder(folder, _TEMPORARY) as temporary:
            make(temporary)
            listing = json.dumps(_listing(temporary)).encode()
            (temporary / _LISTING).write_bytes(_sealed(kind, key, listing))
            temporary.chmod(0o755)
            sync(temporary)
            if not _is_whole(kind, key, path):  # it did not wait for this one
                put_in_place(temporary, path, _TEMPORARY)
    return path


@contextlib.contextmanager
def _alone(place: _Place, kind: str, key: str) -> Iterator[None]:
    """Hold off others who are about to make the same entry: they wait for it, but not for ever.

    A byte of one file stands for each entry.  Where a file system has no locks, or one who makes it
    stands still, an entry is made twice.
    """
    byte = int(content_hash(kind, key)[:15], 16)
    lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    with open(place.root / _MAKING, "ab") as file:
        end = time.monotonic() + _WAIT_SECONDS
        with contextlib.suppress(OSError):
            while True:
                try:
                    # Of the open file, so that threads hold each other off as well.
                    fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        break
                time.sleep(0.05)
        yield


def _listing(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder, and where each link leads."""
    found = {}
    for name, file in _files(folder):
        if os.path.islink(file):
            found[name] = f"link {os.readlink(file)}"
        else:
            with open(file, "rb") as stream:
                found[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    for base, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(base, name))]
        for name in (*names, *links):
            file = os.path.join(base, name)
            relative = os.path.relpath(file, folder)
            if relative != _LISTING:
                yield relative, file


def _is_whole(kind: str, key: str, path: Path) -> bool:
    try:
        data = _opened(kind, key, (path / _LISTING).read_bytes())
        return data is not None and json.loads(data) == _listing(path)
    except OSError:
        return False


# -- what is in it ----------------------------------------------------------------------------


@dataclass(frozen=True)
class CacheUse:
    """What is in the cache.

    Attributes:
      kinds: entries and bytes of each kind.
      leftovers: of runs that were killed; not among the entries.
      limit: bytes that it may take, or None.
    """

    place: Path
    kinds: Mapping[str, tuple[int, int]]
    leftovers: int
    limit: float | None


def cache_use() -> CacheUse:
    """Return what is in the user's cache."""
    place = _place_to_look_at()
    kinds, leftovers = {}, 0
    for kind, entries in _entries(place):
        kept = [entry for entry in entries if not _is_temporary(entry.name)]
        leftovers += len(entries) - len(kept)
        kinds[kind] = len(kept), sum(_size(entry) for entry in kept)
    return CacheUse(place, kinds, leftovers, _size_limit())


def clean_cache(days: float = 0.0) -> tuple[int, int]:
    """Remove entries that nobody used for `days` days, and what killed runs left.

    Returns:
      Entries removed and their bytes.

    Raises:
      InputError: the cache can't be written to, or another process is using it.
    """
    place = _place_to_look_at()
    removed = size = 0
    try:
        if not place.is_dir():
            return 0, 0
        lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{place}: can't be written: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{place}: other processes of asnet-mlir are using it; try again when they are done"
            ) from None
        for _, entries in _entries(place):
            for entry in entries:
                age = time.time() - _last_used(entry)
                if not _is_temporary(entry.name) and age < days * 86400:
                    continue
                size += _size(entry)
                removed += not _is_temporary(entry.name)
                _remove(entry)
    except OSError as error:
        raise InputError(f"{place}: can't be cleaned: {error.strerror}") from None
    finally:
        os.close(lock)
    return removed, size


def _size_limit() -> float | None:
    """Return how many bytes the cache may take; None for any number.

    Raises:
      InputError: `ASNET_CACHE_SIZE` is no number.
    """
    text = os.environ.get("ASNET_CACHE_SIZE", "")
    if text == "none":
        return None
    try:
        gigabytes = float(text or _DEFAULT_GIGABYTES)
    except ValueError:
        gigabytes = -1.0
    if not gigabytes >= 0:
        raise InputError(f"ASNET_CACHE_SIZE={text}: write gigabytes, as 20 or 0.5, or none")
    return gigabytes * 1e9


def _last_used(entry: Path) -> float:
    """Return when an entry was read, as far as its file system notes that (daily), or made."""
    listing = entry / _LISTING
    status = (listing if listing.exists() else entry).lstat()
    return max(status.st_atime, status.st_mtime)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _place_to_look_at() -> Path:
    try:
        return _user_place()
    except RuntimeError:
        raise InputError(
            "there is no home directory, so no cache; ASNET_CACHE_DIR names one"
        ) from None


def _is_temporary(name: str) -> bool:
    return name.startswith((_TEMPORARY, "tmp"))


def _entries(place: Path) -> Iterator[tuple[str, list[Path]]]:
    try:
        kinds = sorted(path for path in place.iterdir() if path.is_dir())
        for kind in kinds:
            yield kind.name, sorted(kind.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{place}: can't be read: {error.strerror}") from None


def _size(entry: Path) -> int:
    if entry.is_dir() and not entry.is_symlink():
        return sum(os.lstat(file).st_size for _, file in _files(entry))
    return entry.lstat().st_size
