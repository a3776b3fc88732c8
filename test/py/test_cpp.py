# SPDX-License-Identifier: Apache-2.0
"""The C++ compiler reads the headers that simulations begin with from its own dump."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from asnet_mlir.support import cpp

FLAGS = ("-std=gnu++17", "-O0")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "cache"))


def files_read(flags: list[str], unit: Path) -> str:
    """Return what the compiler says it reads; a dump that is used begins with '!'."""
    command = [cpp.COMPILER, *flags, "-DMORE=1", "-H", "-fsyntax-only", str(unit)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


def test_headers_are_read_from_a_dump_and_without_it_from_their_text(tmp_path: Path) -> None:
    flags = cpp.with_headers(["cstdint"], FLAGS)
    (tmp_path / "unit.cpp").write_text("std::uint8_t two = MORE + 1;\n")
    header = flags[-1]
    assert files_read(flags, tmp_path / "unit.cpp").startswith(f"! {header}.gch")
    # Flags that do not suit the dump: the text is read, and all is the same.
    other = ["-DUINT8_MAX=3" if flag == "-O0" else flag for flag in flags]
    other[0] = "-std=gnu++20"
    assert f"! {header}" not in files_read(other, tmp_path / "unit.cpp")


def test_a_set_of_flags_has_its_own_and_it_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (cpp.with_headers(["cstdint"], ["-std=gnu++17", o])[-1] for o in ("-O0", "-O1"))
    assert first != second
    made = os.stat(f"{first}.gch").st_mtime_ns
    monkeypatch.setattr(cpp, "_FOUND", {})  # another process
    assert cpp.with_headers(["cstdint"], FLAGS)[-1] == first
    assert os.stat(f"{first}.gch").st_mtime_ns == made
    # Another cache has none yet.
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "other"))
    assert Path(cpp.with_headers(["cstdint"], FLAGS)[-1]).is_relative_to(tmp_path / "other")
