# SPDX-License-Identifier: Apache-2.0
"""The native module `_asnet`: the approx dialect and its passes for MLIR's Python bindings.

Use `asnet_mlir.dialects.load()`; importing `_asnet` by itself is not enough.
"""
