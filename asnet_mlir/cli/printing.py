# SPDX-License-Identifier: Apache-2.0
"""What the verbs write."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["print_json", "show_step", "warn_of_changes", "write_new"]


def print_json(value: Any) -> None:
    """Print one JSON object."""
    print(json.dumps(value, indent=2))


def write_new(path: str, text: str) -> None:
    """Write a file whole or not at all."""
    from asnet_mlir.support.files import write_whole

    write_whole(path, text)


def show_step(text: str) -> None:
    """Say on standard error what is done now."""
    print(f"{text} ..", file=sys.stderr, flush=True)


def warn_of_changes(design: str, modified: bool) -> None:
    """Say which files of a bundle are not those that were generated, where that is no error."""
    from asnet_mlir.hardware.bundle.manifest import listed, verify_files

    if modified and Path(design).is_dir():
        changed = verify_files(design)
        if changed:
            text = f"{design}: changed since it was generated: {listed(changed)}"
            print(f"asnet: warning: {text}", file=sys.stderr)
