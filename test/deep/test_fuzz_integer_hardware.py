# SPDX-License-Identifier: Apache-2.0
"""Hardware of random networks on integer codes: every word, and every cycle."""

import pytest
from code_networks import Joins, check_random

from asnet_mlir.errors import InputError


@pytest.mark.parametrize("seed", range(200))
def test_random_networks(seed, tmp_path):
    check_random(seed, tmp_path / "bundle")


@pytest.mark.parametrize("seed", range(60))
def test_random_joins(seed, tmp_path):
    try:
        check_random(seed, tmp_path / "bundle", Joins, 4)
    except InputError as error:
        pytest.skip(str(error))  # no lanes reach the rate
