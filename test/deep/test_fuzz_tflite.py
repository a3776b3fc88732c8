# SPDX-License-Identifier: Apache-2.0
"""Damaged TensorFlow Lite files, many: each is read, or refused by one error."""

import pytest
from test_tflite_bad import fuzz


@pytest.mark.parametrize("seed", range(10))
def test_damaged_files(seed):
    assert 0 < fuzz(seed + 1, 5000) < 5000
