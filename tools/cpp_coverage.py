# SPDX-License-Identifier: Apache-2.0
"""Which lines of C++ were run, by what a build with `--coverage` left: `make coverage-cpp`.

    python tools/cpp_coverage.py BUILD

A line counts once, also where several objects hold it (a header, a template's instances); it was
run if it was in one of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def lines_run(build: Path, root: Path = ROOT) -> dict[str, dict[int, bool]]:
    """Return for each file below `root` which lines hold code, and whether each was run."""
    found: dict[str, dict[int, bool]] = defaultdict(dict)
    for notes in sorted(build.resolve().rglob("*.gcno")):
        done = subprocess.run(
            ["gcov", "--json-format", "--stdout", notes.name],
            cwd=notes.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # that an object was never run is seen in the counts
            check=True,
        )
        document = json.loads(done.stdout)
        folder = Path(document["current_working_directory"])
        for file in document["files"]:
            path = (folder / file["file"]).resolve()
            if not path.is_relative_to(root) or path.is_relative_to(build.resolve()):
                continue
            name = str(path.relative_to(root))
            if name.startswith(".venv") or not file["lines"]:
                continue
            lines = found[name]
            for line in file["lines"]:
                number = line["line_number"]
                lines[number] = lines.get(number, False) or line["count"] > 0
    return found


def main() -> int:
    """Print a table, the files with the fewest lines run first."""
    (build,) = sys.argv[1:]
    rows = [
        (sum(lines.values()), len(lines), name) for name, lines in lines_run(Path(build)).items()
    ]
    for run, count, name in sorted(rows, key=lambda row: row[0] / row[1]):
        print(f"{name:50}{count:7}{100 * run / count:7.1f} %")
    run, count = sum(row[0] for row in rows), sum(row[1] for row in rows)
    print(f"{'all':50}{count:7}{100 * run / max(count, 1):7.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())
