# SPDX-License-Identifier: Apache-2.0
"""How much memory this process can still get, before the system ends it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["available_memory"]

_ENDLESS = 1 << 62
_PROC, _CONTROL_GROUP = Path("/proc"), Path("/sys/fs/cgroup")


def available_memory(proc: Path = _PROC, group: Path = _CONTROL_GROUP) -> int:
    """Return the bytes that are available, of the machine and of this process's control group.

    Where the system does not say, there is no limit: 2^62.

    Args:
      proc, group: where Linux mounts its `proc` and the second version of control groups.
    """
    return min(_of_machine(proc), _of_group(group))


def _of_machine(proc: Path) -> int:
    for line in _read(proc / "meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) << 10
    return _ENDLESS


def _of_group(group: Path) -> int:
    limit, used = _read(group / "memory.max").strip(), _read(group / "memory.current").strip()
    if not limit.isdecimal() or not used.isdecimal():  # "max", or no such file
        return _ENDLESS
    # Files that are cached are given back when others need the memory.
    fields = (line.split() for line in _read(group / "memory.stat").splitlines())
    cached = sum(int(size) for name, size in fields if name == "inactive_file")
    return max(0, int(limit) - int(used) + cached)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
