# SPDX-License-Identifier: Apache-2.0
"""Front ends: a trained network of a framework becomes a `Network`."""

from asnet_mlir.frontends.load import load_model

__all__ = ["load_model"]
