"""Tools run as processes: their bounds."""

from __future__ import annotations

import sys

import pytest

from asnet_mlir import processes
from asnet_mlir.errors import ToolError


def test_bounds_of_any_size() -> None:
    """A simulation of many cycles may have months: more milliseconds than poll can count."""
    done = processes.run(
        [sys.executable, "-c", "print(1)"], purpose="printing", timeout_seconds=1e9
    )
    assert done.stdout == "1\n"
    with pytest.raises(ToolError, match=r"sleeping: \S+ took longer than 0\.2 s"):
        processes.run(
            [sys.executable, "-c", "import time; time.sleep(60)"],
            purpose="sleeping",
            timeout_seconds=0.2,
        )
