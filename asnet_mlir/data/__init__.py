"""Data sets: MNIST as shipped, and `.npz` files."""

from asnet_mlir.data.datasets import Dataset, load_data

__all__ = ["Dataset", "load_data"]
