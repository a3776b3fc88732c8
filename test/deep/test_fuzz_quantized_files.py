# SPDX-License-Identifier: Apache-2.0
"""Damaged files of quantised networks, many: each is read, or refused by one error."""

import pytest
import test_onnx
import test_tflite_bad


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("reader", [test_tflite_bad, test_onnx])
def test_damaged_files(reader, seed):
    assert 0 < reader.fuzz(seed + 1, 5000) < 5000
