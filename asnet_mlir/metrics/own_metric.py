# SPDX-License-Identifier: Apache-2.0
"""A user's own metric: a function of Python, named `module:function`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np

from asnet_mlir import dialects
from asnet_mlir.errors import InputError, described
from asnet_mlir.metrics.metric import Metric, Output
from asnet_mlir.support.cache import content_hash
from asnet_mlir.support.named_functions import import_function

__all__ = ["OwnMetric", "own_metric"]


@dataclass(frozen=True)
class OwnMetric(Metric):
    """What `function(outputs, targets)` returns: a number, or one a sample, of which the mean.

    It is given all outputs, [n, *shape] of the network's dtype, and the targets as the data has
    them (the exact network's outputs where it has none), in this process.  Counts are kept until
    all are there: pairs of an output and a target.
    """

    reference: str = ""
    function: Callable[..., Any] = field(default=len, compare=False)
    source: str = ""
    larger: bool = True

    unit: ClassVar[Literal["%", "dB", ""]] = ""

    @property
    def name(self) -> str:
        return self.reference.partition(":")[2]

    @property
    def larger_is_better(self) -> bool:  # type: ignore[override]
        return self.larger

    @property
    def title(self) -> str:  # type: ignore[override]
        return self.name

    @property
    def key(self) -> str:
        return f"{self.reference} {self.source}{' exact' if self.against_exact else ''}"

    def prepared(self, targets: np.ndarray, output: Output) -> tuple[Self, np.ndarray]:
        return self, targets

    def prepared_exact(self, output: Output) -> Self:
        return self

    def answers(self, exact: np.ndarray) -> np.ndarray:
        return exact

    def count(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        pairs = np.empty((len(outputs), 2), object)
        pairs[:, 0], pairs[:, 1] = list(outputs), list(targets)
        return pairs

    def value(self, counts: np.ndarray) -> float:
        outputs, targets = (np.stack(list(column)) for column in counts.T)
        with described(f"{self.reference}: can't be called"):
            given = np.asarray(self.function(outputs, targets), np.float64)
        if given.shape not in ((), (len(outputs),)):
            raise InputError(
                f"{self.reference}: must return a number, or {len(outputs)} (one a sample), not an "
                f"array of shape {list(given.shape)}"
            )
        value = math.fsum(given.ravel()) / given.size
        return value if not math.isnan(value) else (-math.inf if self.larger else math.inf)


def own_metric(reference: str, *, against_exact: bool = False) -> OwnMetric:
    """Import a user's metric; its attribute `larger_is_better` says the direction (True without).

    Raises:
      InputError: it can't be imported, or is no function.
    """
    # The module may import TensorFlow, after which MLIR could not be loaded.
    dialects.load_first()
    function = import_function(reference)
    try:
        source = inspect.getsource(inspect.getmodule(function) or function)
    except (OSError, TypeError):
        source = ""
    larger = getattr(function, "larger_is_better", True)
    if not isinstance(larger, bool):
        raise InputError(f"{reference}: 'larger_is_better' must be True or False, not {larger!r}")
    return OwnMetric(against_exact, reference, function, content_hash(source)[:16], larger)
