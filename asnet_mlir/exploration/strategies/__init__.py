# SPDX-License-Identifier: Apache-2.0
"""Which configurations of a design space are measured, and in which order.

A strategy is a function of a `Task`.  It asks for configurations by `task.measure` until it is done
or the evaluation budget is spent, which ends it from inside that call.  All that it decides follows
from the seed and from results, never from the clock: a run that goes on from a store, or on another
number of machines, takes the same way.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from asnet_mlir.errors import InputError
from asnet_mlir.exploration.strategies.agn import agn
from asnet_mlir.exploration.strategies.exhaustive import exhaustive
from asnet_mlir.exploration.strategies.greedy import greedy
from asnet_mlir.exploration.strategies.nsga2 import nsga2
from asnet_mlir.exploration.strategies.task import NoiseModel, Task

__all__ = ["STRATEGIES", "NoiseModel", "Task", "strategy_named"]

STRATEGIES: dict[str, Callable[[Task], None]] = {
    "exhaustive": exhaustive,
    "greedy": greedy,
    "nsga2": nsga2,
    "agn": agn,
}


def strategy_named(name: str) -> Callable[[Task], None]:
    """Return the strategy of that name.

    Raises:
      InputError: there is none.
    """
    if name not in STRATEGIES:
        near = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise InputError(f"unknown strategy '{name}'{hint} (strategies: {', '.join(STRATEGIES)})")
    return STRATEGIES[name]
