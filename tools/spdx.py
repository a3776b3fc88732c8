# SPDX-License-Identifier: Apache-2.0
"""The licence in the first line of each source file: `python tools/spdx.py [--check]`.

Files whose bytes go into bundles have none (NOTICE speaks for them).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IDENTIFIER = "SPDX-License-Identifier: Apache-2.0"
COMMENTS = {".py": "#", ".cpp": "//", ".h": "//", ".td": "//"}
IN_BUNDLES = ("asnet_mlir/hardware/bundle/bench", "asnet_mlir/hardware/bundle/templates/")


def without_line(root: Path) -> list[Path]:
    """Return the source files that git knows and that lack the line."""
    names = subprocess.run(
        ["git", "ls-files", *(f"*{suffix}" for suffix in COMMENTS)],
        cwd=root,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split()
    paths = [root / name for name in names if not name.startswith(IN_BUNDLES)]
    return [
        path
        for path in paths
        if path.is_file()
        and path.stat().st_size
        and not path.read_text().startswith(f"{COMMENTS[path.suffix]} {IDENTIFIER}\n")
    ]


def main(arguments: list[str]) -> int:
    """Add the line where it lacks, or say where."""
    parser = argparse.ArgumentParser(prog="tools/spdx.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="status 1 if one lacks; no change")
    check = parser.parse_args(arguments).check
    paths = without_line(ROOT)
    for path in paths:
        if check:
            print(f"{path.relative_to(ROOT)}: its first line is not '{IDENTIFIER}' (make format)")
        else:
            path.write_text(f"{COMMENTS[path.suffix]} {IDENTIFIER}\n{path.read_text()}")
    return int(check and bool(paths))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
