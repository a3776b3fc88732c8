# SPDX-License-Identifier: Apache-2.0
"""The stages of the compiler by name: forms of a network that `asnet compile --emit` prints.

Here and not in the compiler, so that the command line can name them without loading it.
"""

from __future__ import annotations

__all__ = ["MODEL_STAGES", "STAGES"]

#: What `compile` can emit; `scheduled`, `hw` and `sv` are the hardware's.
STAGES = ("stablehlo", "linalg", "approx", "bound", "llvm", "scheduled", "hw", "sv")

#: The stages whose modules are models again, with their weights beside them.
MODEL_STAGES = ("stablehlo", "approx", "bound")
