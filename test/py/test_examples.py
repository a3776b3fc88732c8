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


def test_eight_bits(tmp_path):
    result = subprocess.run(
        [sys.executable, EXAMPLES / "eight_bits.py", tmp_path],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    assert "in float: dense2: reduce" in result.stdout and (tmp_path / "net.mlir").is_file()
    accuracies = [float(line.rpartition(" ")[2]) for line in result.stdout.splitlines()[-4:-1]]
    assert min(accuracies) > 0.97
