# SPDX-License-Identifier: Apache-2.0
"""The evaluator: a bound network by JIT on a test set (the paper's Approximate Design Evaluator,
ADE).
"""

from asnet_mlir.evaluation.evaluate import Evaluation, evaluate
from asnet_mlir.evaluation.evaluator import CompiledNetwork, Evaluator
from asnet_mlir.evaluation.run import Outputs, run
from asnet_mlir.evaluation.session import Session

__all__ = [
    "CompiledNetwork",
    "Evaluation",
    "Evaluator",
    "Outputs",
    "Session",
    "evaluate",
    "run",
]
