# SPDX-License-Identifier: Apache-2.0
"""The forms of a network that `asnet compile --emit` gives, in the order of its way.

Here and not in the compiler, so that the command line can name them without loading it.
"""

from __future__ import annotations

__all__ = ["FORMS", "MODEL_FORMS"]

#: What `compile` can emit; `scheduled`, `hw` and `sv` are the hardware's.
FORMS = ("stablehlo", "linalg", "approx", "bound", "llvm", "scheduled", "hw", "sv")

#: The forms whose modules are models again, with their weights beside them.
MODEL_FORMS = ("stablehlo", "approx", "bound")
