# SPDX-License-Identifier: Apache-2.0
"""The explorer: the design space that a constraints file spans (the paper's Approximate Test Bed,
ATB).
"""

from asnet_mlir.exploration.constraints import Constraints, load_constraints
from asnet_mlir.exploration.explore import explore
from asnet_mlir.exploration.results import Exploration, Result, choose
from asnet_mlir.exploration.store import Store

__all__ = ["Constraints", "Exploration", "Result", "Store", "choose", "explore", "load_constraints"]
