# SPDX-License-Identifier: Apache-2.0
"""Data sets: MNIST as shipped, synthetic house numbers, and what users bring."""

from asnet_mlir.data.dataset import Dataset, Samples
from asnet_mlir.data.datasets import load_data, load_samples
from asnet_mlir.data.named_arrays import Edges, load_named

__all__ = ["Dataset", "Edges", "Samples", "load_data", "load_named", "load_samples"]
