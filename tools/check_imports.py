# SPDX-License-Identifier: Apache-2.0
"""The import contract of `pyproject.toml`: `python tools/check_imports.py [CONFIG]`.

import-linter asks Python where the package is.  An editable install answers with the folder of the
checkout as well, whose tests and tools are no part of it, so its finder is taken away first.
"""

from __future__ import annotations

import sys
from pathlib import Path

from importlinter import cli

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: list[str]) -> int:
    """Check the contract of a configuration, by default that of the checkout."""
    config = Path(arguments[0]) if arguments else ROOT / "pyproject.toml"
    sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in type(f).__module__]
    sys.path.insert(0, str(config.resolve().parent))
    return cli.lint_imports(config_filename=str(config), no_cache=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
