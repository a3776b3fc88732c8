# SPDX-License-Identifier: Apache-2.0
"""Data sets: MNIST as shipped, synthetic house numbers, and what users bring."""

from asnet_mlir.data.dataset import Dataset
from asnet_mlir.data.datasets import load_data

__all__ = ["Dataset", "load_data"]
