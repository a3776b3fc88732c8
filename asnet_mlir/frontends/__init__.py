"""Front ends: a trained network of a framework becomes a `Network`."""

from asnet_mlir.frontends.load import load_model
from asnet_mlir.frontends.network import Network, Weight

__all__ = ["Network", "Weight", "load_model"]
