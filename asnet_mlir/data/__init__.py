# SPDX-License-Identifier: Apache-2.0
"""Data sets: MNIST as shipped, synthetic house numbers, and what users bring."""

from asnet_mlir.data.dataset import Dataset, Samples
from asnet_mlir.data.datasets import load_data, load_samples

__all__ = ["Dataset", "Samples", "load_data", "load_samples"]
