# SPDX-License-Identifier: Apache-2.0
"""The examples run as they are."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_python_api():
    result = subprocess.run(
        [sys.executable, EXAMPLES / "python_api.py"], capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, result.stderr
    assert "3 images simulated, 0 mismatching words" in result.stdout
    assert "report.html" in result.stdout
