# SPDX-License-Identifier: Apache-2.0
"""The door to native code: what a machine that runs stages has to do.

A stage (a layer's function, `stages.py`) knows no machine.  A back end compiles stages under a
binding, prepares what depends on weights only, and runs blocks of samples through them.  Results of
all back ends are equal, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.stages import Stage
from asnet_mlir.native.contraction import Contraction
from asnet_mlir.support.cache import content_hash
from asnet_mlir.support.formats import NumberFormat

__all__ = ["Backend", "Compiled", "Rows", "Weights"]


class Weights:
    """The arrays that a run computes with, by name.

    They are arguments of a run: what is kept of them (layouts that a stage prepares, results of
    layers) is kept under their content.  A `Weights` is a value, whose arrays do not change; who
    changes weights makes another one.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take C-contiguous arrays by name."""
        self.arrays = dict(arrays)
        self._hashes: dict[str, str] = {}

    def replaced(self, others: Mapping[str, np.ndarray]) -> Weights:
        """Return these with some of them replaced.

        Args:
          others: arrays of the same shapes and dtypes, by name.

        Raises:
          InputError: an unknown name, another shape or dtype.
        """
        arrays = dict(self.arrays)
        for name, value in others.items():
            if name not in arrays:
                known = ", ".join(arrays) or "none"
                raise InputError(f"weights: there is no '{name}'; the network has {known}")
            own = arrays[name]
            if value.shape != own.shape or value.dtype != own.dtype:
                raise InputError(
                    f"weights: '{name}' is {own.dtype}{list(own.shape)}, got "
                    f"{value.dtype}{list(value.shape)}"
                )
            arrays[name] = np.ascontiguousarray(value)
        changed = Weights(arrays)
        changed._hashes = {k: h for k, h in self._hashes.items() if k not in others}
        return changed

    def key(self, names: Sequence[str]) -> str:
        """Return a hash of the contents of some of them."""
        for name in names:
            if name not in self._hashes:
                array = self.arrays[name]
                self._hashes[name] = content_hash(array.dtype.name, array.tobytes())
        return content_hash(*(self._hashes[name] for name in names))


class Compiled(Protocol):
    """A stage compiled under a binding.

    Attributes:
      key: hash of everything that decides the stage's results but weights and input.
      weights: the names of those that it computes with.
      value_bytes: bytes of a block of each value that it reads or writes, by number.
    """

    @property
    def stage(self) -> Stage: ...

    @property
    def key(self) -> str: ...

    @property
    def weights(self) -> Sequence[str]: ...

    @property
    def value_bytes(self) -> Mapping[int, int]: ...


@dataclass(frozen=True)
class Rows:
    """Samples as users have them, a row each, beside values as stages have them.

    Attributes:
      number, value: of the rows, and of the value, among those of a plan.
      rows, columns: of a block of rows: samples times elements of one.
      format: of the elements.
    """

    number: int
    value: int
    rows: int
    columns: int
    format: NumberFormat


class Backend(Protocol):
    """A machine that runs stages.

    Attributes:
      name: as users name it.
      formats: of the values that its stages take, as types of MLIR (`f32`, `i8`).
      lanes: samples that it computes at once.
      compiled: how many different stages it has compiled, or loaded from the cache.
    """

    name: str
    formats: frozenset[str]

    @property
    def lanes(self) -> int: ...

    @property
    def compiled(self) -> int: ...

    def of_one_sample(self) -> Backend | None:
        """Return one that is quicker for single samples, with the same bits; None if none is."""
        ...

    def compile(self, stages: Sequence[Stage], binding: Binding) -> tuple[Any, ...]:
        """Return stages compiled (each a `Compiled`) under the network's binding.

        Raises:
          InputError, UnsupportedError, ToolError: of the binding's cores.
        """
        ...

    def plan(
        self,
        stages: Sequence[Any],
        weights: Weights,
        sizes: Mapping[int, int],
        *,
        enter: Rows | None,
        leave: Rows | None,
    ) -> Any:
        """Return what `run` takes: compiled stages with weights prepared, in order.

        Args:
          sizes: bytes of a block of every value, by number from 0.
          enter: the input, where the plan begins with its rows.
          leave: the output, where it ends with them.
        """
        ...

    def contractions(
        self, stages: Sequence[Any], weights: Weights
    ) -> tuple[tuple[str, Contraction], ...]:
        """Return the contractions of stages with their layers, in order."""
        ...

    def run(self, plan: Any, arrays: Mapping[int, np.ndarray], blocks: int, threads: int) -> None:
        """Run a plan on blocks of samples; see `asnet_mlir.native.objects.Plan.run`."""
        ...
