# SPDX-License-Identifier: Apache-2.0
"""tools/cpp_coverage.py: which lines of C++ were run."""

import subprocess
from pathlib import Path

import cpp_coverage


def test_lines_of_headers_count_once_and_what_was_not_run_is_seen(tmp_path: Path) -> None:
    (tmp_path / "choose.h").write_text(
        "inline int choose(int x) {\n  if (x)\n    return 1;\n  return 2;\n}\n"
    )
    main = '#include "choose.h"\nint other();\nint main() { return choose(1) + other() != 3; }\n'
    (tmp_path / "main.cpp").write_text(main)
    (tmp_path / "other.cpp").write_text('#include "choose.h"\nint other() { return choose(0); }\n')
    (tmp_path / "never.cpp").write_text("int never() {\n  return 1;\n}\n")
    build = tmp_path / "build"
    build.mkdir()
    for name in ("main", "other", "never"):
        command = ["g++", "-O0", "--coverage", "-c", str(tmp_path / f"{name}.cpp")]
        subprocess.run(command, cwd=build, check=True)
    subprocess.run(
        ["g++", "--coverage", "main.o", "other.o", "-o", "program"], cwd=build, check=True
    )
    subprocess.run([build / "program"], check=True)
    found = cpp_coverage.lines_run(build, tmp_path.resolve())
    # Each of the two objects ran one of the branches.
    assert found["choose.h"] == {1: True, 2: True, 3: True, 4: True}
    assert found["never.cpp"] == {1: False, 2: False}
    assert set(found) == {"choose.h", "main.cpp", "other.cpp", "never.cpp"}
