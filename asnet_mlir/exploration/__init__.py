"""The explorer: the design space that a constraints file spans (the paper's Approximate Test Bed,
ATB).
"""

from asnet_mlir.exploration.constraints import Constraints, load_constraints
from asnet_mlir.exploration.explore import Exploration, choose, explore

__all__ = ["Constraints", "Exploration", "choose", "explore", "load_constraints"]
