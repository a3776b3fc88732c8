# SPDX-License-Identifier: Apache-2.0
"""Files without the licence's line are found, and get it once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import spdx


def test_the_line_is_added_where_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spdx, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.cpp").write_text("int x;\n")
    (tmp_path / "c.py").write_text("# SPDX-License-Identifier: Apache-2.0\n")
    (tmp_path / "empty.py").touch()
    bench = tmp_path / "asnet_mlir" / "hardware" / "bundle" / "bench.cpp"
    bench.parent.mkdir(parents=True)
    bench.write_text("int y;\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
    assert [path.name for path in spdx.without_line(tmp_path)] == ["a.py", "b.cpp"]
    assert spdx.main(["--check"]) == 1
    assert spdx.main([]) == 0
    assert spdx.main(["--check"]) == 0
    assert (tmp_path / "b.cpp").read_text() == "// SPDX-License-Identifier: Apache-2.0\nint x;\n"
    assert bench.read_text() == "int y;\n"
