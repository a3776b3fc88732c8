# SPDX-License-Identifier: Apache-2.0
"""Hardware of random networks on integer codes: every word, and every cycle."""

import pytest
from code_networks import check_random


@pytest.mark.parametrize("seed", range(200))
def test_random_networks(seed, tmp_path):
    check_random(seed, tmp_path / "bundle")
