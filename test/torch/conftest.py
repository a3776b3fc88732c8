# SPDX-License-Identifier: Apache-2.0
"""MLIR comes before PyTorch here, so that tests can compare outputs in one process."""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("ASNET_CHECK_VECTORS", "20000")

from asnet_mlir import dialects

dialects.load()

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
