# SPDX-License-Identifier: Apache-2.0
"""Typed builders of the approx dialect, generated from `dialects/approx/ApproxOps.td`."""

from asnet_mlir.dialects import load as _load

_load()

from asnet_mlir.dialects._approx_ops_gen import *
