# SPDX-License-Identifier: Apache-2.0
"""What every front end does with its StableHLO module: calls inlined, constants become weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.frontends.constants import WEIGHT_ATTRIBUTE, constants_to_arguments, main_of
from asnet_mlir.frontends.empty import remove_empty_tensors
from asnet_mlir.frontends.locations import named_text, shorten_locations
from asnet_mlir.frontends.part_rows import pack_main
from asnet_mlir.frontends.samples import SampleAnalysis, analyze_samples, check_sizes
from asnet_mlir.frontends.stablehlo import INLINE, linalg_from_stablehlo, run_passes
from asnet_mlir.frontends.xla import run_by_xla
from asnet_mlir.network import Elsewhere, Form, Weight, check_batch
from asnet_mlir.support.formats import NumberFormat, format_of_element
from asnet_mlir.support.parts import Parts

__all__ = ["LoweredModule", "check_samples", "lower_module"]

#: Batch sizes for which a network must be the same function of each sample.
_BATCHES = (2, 3)

#: How two batch sizes are compared by numbers: inputs' sizes, what outputs may differ by, and how
#: many must not.
_SCALES = (0.3, 1.0, 10.0)
_TOLERANCE = 1e-4
_SHARE = 0.98


class LoweredModule:
    """A StableHLO module `@main(input, *weights)`.

    Attributes:
      constants: the weights that were constants; the last arguments of `@main`.
      stablehlo: its text, with the names in locations; arguments carry `approx.weight`.
      inputs, outputs: of which rows it takes and gives, see `Network`.
    """

    def __init__(
        self,
        module: Any,
        weights: Sequence[Weight],
        constants: tuple[Weight, ...],
        inputs: Parts | None = None,
        outputs: Parts | None = None,
    ) -> None:
        self._module = module
        self._weights = (*weights, *constants)
        self.constants = constants
        self.inputs, self.outputs = inputs, outputs
        self.stablehlo = named_text(module)

    @cached_property
    def linalg(self) -> str:
        """The text of the module as linalg on tensors, with locations.

        Raises:
          UnsupportedError: see `linalg_from_stablehlo`.
        """
        return linalg_from_stablehlo(self._module)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of the input, its batch included."""
        kinds = main_of(self._module).attributes["function_type"].value.inputs
        return tuple(kinds[0].shape)

    @property
    def input_format(self) -> NumberFormat:
        """The format of the input."""
        kind = main_of(self._module).attributes["function_type"].value.inputs[0]
        format = format_of_element(str(kind.element_type))
        if format is None:
            raise UnsupportedError(f"the input is of {kind.element_type}, which is no format")
        return format

    def run(self, name: str, x: np.ndarray) -> np.ndarray:
        """Return the outputs of a batch, computed by XLA in a process of its own.

        Raises:
          ToolError: see `run_by_xla`.
        """
        return run_by_xla(name, self.stablehlo, [x, *(weight.value for weight in self._weights)])

    def analyze(self, name: str) -> SampleAnalysis:
        """Return how the module computes each sample of its batch.

        Args:
          name: of the network, for messages.

        Raises:
          UnsupportedError: see `analyze_samples`.
        """
        return analyze_samples(name, self._module, [weight.value for weight in self._weights])


class Traced:
    """The lowering of what lies in this process as StableHLO: a framework's function, or a file."""

    def __init__(
        self,
        name: str,
        modules: Callable[[int], LoweredModule],
        *,
        compute: Callable[[np.ndarray], np.ndarray] | None = None,
        fixed_batch: int | None = None,
    ) -> None:
        """Lower `modules(batch)`; `compute` is the framework's own evaluation."""
        self._name = name
        self._modules = modules
        self._compute = compute
        self.fixed_batch = fixed_batch
        self.computes = compute is not None

    def __reduce__(self) -> tuple[Any, ...]:
        # In another process, it is this one that is asked (`asnet_mlir.worker`).
        compute = self.compute if self.computes else None
        return Elsewhere, (self._name, self.text, compute, self.fixed_batch)

    def text(self, form: Form, batch: int) -> str:
        check_batch(self._name, batch, self.fixed_batch)
        module = self._modules(batch)
        return module.stablehlo if form == "stablehlo" else module.linalg

    def compute(self, x: np.ndarray) -> np.ndarray:
        if self._compute is None:
            raise UnsupportedError(f"{self._name}: comes from no framework")
        return self._compute(x)


def lower_module(
    module: Any,
    weights: Sequence[Weight],
    *,
    known: Sequence[Weight] | None = None,
    inputs: Parts | None = None,
    outputs: Parts | None = None,
) -> LoweredModule:
    """Prepare a jaxlib MLIR module of StableHLO whose `@main` takes the input and `weights`.

    Args:
      module: is not changed.
      known: see `constants_to_arguments`.
      inputs, outputs: what `@main` takes and returns several of, which become rows.
    """
    from jaxlib.mlir import ir

    with module.context:
        copy = module.operation.clone()
        pack_main(copy, inputs, outputs)
        run_passes(copy, INLINE)
        remove_empty_tensors(copy)
        shorten_locations(copy)
        constants = constants_to_arguments(copy, weights, known=known)
        main = main_of(copy)
        names = [weight.name for weight in (*weights, *constants)]
        old = main.attributes.get("arg_attrs")
        attributes = []
        for index in range(len(names) + 1):
            own = {item.name: item.attr for item in old[index]} if old is not None else {}
            if index:
                own[WEIGHT_ATTRIBUTE] = ir.StringAttr.get(names[index - 1])
            attributes.append(ir.DictAttr.get(own))
        main.attributes["arg_attrs"] = ir.ArrayAttr.get(attributes)
        return LoweredModule(copy, weights, tuple(constants), inputs, outputs)


def check_samples(name: str, one: LoweredModule, make: Callable[[int], LoweredModule]) -> None:
    """Refuse a network whose samples are not each computed by itself, in one way.

    Args:
      one: the module for a batch of 1, as which the network is compiled.
      make: gives it for other batch sizes.

    Raises:
      UnsupportedError: naming the op.
    """
    try:
        _ = one.linalg
    except UnsupportedError:
        return  # it is never evaluated, and the error belongs to who lowers it
    alone = one.analyze(name)
    for batch in _BATCHES:
        other = make(batch)
        analysis = other.analyze(name)
        # Where they are written too differently to tell, numbers decide.
        if not check_sizes(name, alone, analysis) and not _compute_the_same(name, one, other):
            raise UnsupportedError(
                f"{name}: what it computes for a sample depends on the size of its batch (1 or "
                f"{batch}), {alone.first_difference(analysis)}; each sample must be computed by "
                "itself"
            )


def _compute_the_same(name: str, one: LoweredModule, other: LoweredModule) -> bool:
    """Return whether two batch sizes give a sample the same outputs, on random inputs, by XLA."""
    rng = np.random.default_rng(0)
    shape, input_format = other.input_shape, other.input_format
    for scale in _SCALES:
        if other.inputs is not None:
            x = other.inputs.pack(
                {
                    part.name: _random_input(rng, (shape[0], *part.shape), part.format, scale)
                    for part in other.inputs
                }
            )
        else:
            x = _random_input(rng, shape, input_format, scale)
        together = other.run(name, x)
        alone = np.concatenate([one.run(name, sample[None]) for sample in x])
        split = other.outputs.unpack if other.outputs is not None else lambda rows: {"": rows}
        pairs = zip(split(together).values(), split(alone).values(), strict=True)
        if not all(_are_near(*pair) for pair in pairs):
            return False
    return True


def _are_near(together: np.ndarray, alone: np.ndarray) -> bool:
    """Return whether outputs are the same but for the order of sums."""
    together, alone = together.astype(np.float64), alone.astype(np.float64)
    size = np.abs(alone[np.isfinite(alone)]).max(initial=0.0)
    with np.errstate(invalid="ignore"):
        near = np.abs(together - alone) <= _TOLERANCE * size
    same = near | (together == alone) | (np.isnan(together) & np.isnan(alone))
    # Sums of another order may end on the other side of a step.
    return bool(same.mean() >= _SHARE)


def _random_input(
    rng: np.random.Generator, shape: tuple[int, ...], format: NumberFormat, scale: float
) -> np.ndarray:
    """Return normally distributed numbers of a size; integers are drawn from all of the format."""
    if format.is_float:
        return format.from_numbers((rng.standard_normal(shape) * scale).astype(np.float32))
    least, greatest = map(int, format.range)
    return rng.integers(least, greatest, shape, format.dtype, endpoint=True)
