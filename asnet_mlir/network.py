# SPDX-License-Identifier: Apache-2.0
"""What every front end produces: a network that can be lowered for any batch size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from asnet_mlir.binding import Binding, with_facts
from asnet_mlir.data import Edges
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.support.formats import F32, SUPPORTED_DTYPES, NumberFormat, format_of_array
from asnet_mlir.support.parts import Parts

__all__ = ["ApproxTexts", "Elsewhere", "Form", "Lowering", "Network", "Weight", "check_batch"]

Form = Literal["stablehlo", "linalg", "approx"]


@dataclass(frozen=True)
class Weight:
    """One trained array, an argument of the lowered function after the input.

    Attributes:
      name: the framework's path of it, such as `dense/kernel`.
      value: array of a format's dtype (`format_of_array`), C order.
    """

    name: str
    value: np.ndarray

    @property
    def format(self) -> NumberFormat:
        """What its numbers are.

        Raises:
          UnsupportedError: the array's dtype is that of no format.
        """
        format = format_of_array(self.value)
        if format is None:
            raise UnsupportedError(
                f"weight '{self.name}' is {self.value.dtype}; {SUPPORTED_DTYPES} are supported"
            )
        return format

    def __repr__(self) -> str:
        return f"Weight({self.name!r}, {self.value.dtype}{list(self.value.shape)})"


class Lowering(Protocol):
    """How a network becomes the text of a module.

    Attributes:
      fixed_batch: the only batch size that it takes, or None for any.
      computes: whether `compute` gives the framework's own outputs.
    """

    @property
    def fixed_batch(self) -> int | None: ...

    @property
    def computes(self) -> bool: ...

    def text(self, form: Form, batch: int) -> str:
        """Return the module of a form for a batch size, with one public function `@main`.

        Args:
          form: `stablehlo`, as the framework gives it; `linalg` on tensors, `@main(input,
            *weights)`, locations included (layer names live in them); `approx`.

        Raises:
          InputError: it does not give that form, or not for that batch size.
          UnsupportedError: an op that can't be lowered.
        """
        ...

    def compute(self, x: np.ndarray) -> np.ndarray:
        """Return the framework's outputs of a batch, each in the network's formats.

        Raises:
          UnsupportedError: the framework is not here.
        """
        ...


@dataclass(frozen=True)
class ApproxTexts:
    """The lowering of a network that is an `approx` module already, by batch size.

    Attributes:
      origin: where it comes from, for messages.
    """

    origin: str
    texts: Mapping[int, str]
    computes: ClassVar[bool] = False

    @property
    def fixed_batch(self) -> int | None:
        return next(iter(self.texts)) if len(self.texts) == 1 else None

    def text(self, form: Form, batch: int) -> str:
        if form != "approx":
            raise InputError(f"{self.origin}: is past the forms stablehlo and linalg")
        check_batch(self.origin, batch, self.fixed_batch)
        return self.texts[batch]

    def compute(self, x: np.ndarray) -> np.ndarray:
        raise UnsupportedError(f"{self.origin}: comes from no framework")


class Elsewhere:
    """The lowering of a network whose texts somebody else has: the cache, or another process."""

    def __init__(
        self,
        name: str,
        text: Callable[[Form, int], str],
        compute: Callable[[np.ndarray], np.ndarray] | None,
        fixed_batch: int | None,
    ) -> None:
        self._name = name
        self._text = text
        self._compute = compute
        self.fixed_batch = fixed_batch
        self.computes = compute is not None

    def text(self, form: Form, batch: int) -> str:
        return self._text(form, batch)

    def compute(self, x: np.ndarray) -> np.ndarray:
        if self._compute is None:
            raise UnsupportedError(f"{self._name}: its framework is not in this process")
        return self._compute(x)


def check_batch(origin: str, batch: int, fixed: int | None) -> None:
    """Refuse another batch size than the fixed one.

    Raises:
      InputError: naming `origin`.
    """
    if fixed is not None and batch != fixed:
        raise InputError(f"{origin}: its batch size is fixed at {fixed}, {batch} was asked for")


@dataclass(frozen=True)
class Network:
    """A feed-forward network, from [batch, *input_shape] to [batch, *output_shape].

    Of several inputs or outputs, these are rows of all (docs/decisions/0035-rows-of-parts.md).

    Attributes:
      name: for messages and file names.
      input_shape, output_shape: of one sample, without the batch dimension.
      input_format, output_format: of its numbers.
      weights: in the order in which the lowered function takes them.
      lowering: gives its modules.
      unfolded: the network as the framework gave it, where arithmetic on weights only has been done
        (`fold_weights`): what its StableHLO takes are its weights.
      binding: what the ops of a bound module are bound to.
      missing: ops of a bound module whose core's source is unknown: kind, layer, and the message
        for who does not bind them anew.
      inputs, outputs: the tensors of which a sample's row holds several; None of one, which needs
        no name.
      warnings: what `load_model` has yet to say of it, behind its name.
    """

    name: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    weights: tuple[Weight, ...]
    lowering: Lowering
    unfolded: Network | None = field(default=None, compare=False)
    binding: Binding | None = None
    missing: tuple[tuple[str, str, str], ...] = ()
    input_format: NumberFormat = F32
    output_format: NumberFormat = F32
    inputs: Parts | None = None
    outputs: Parts | None = None
    warnings: tuple[str, ...] = ()

    @property
    def fixed_batch(self) -> int | None:
        """The only batch size that it can be lowered for, or None for any."""
        return self.lowering.fixed_batch

    @property
    def edges(self) -> Edges:
        """What data for it look like."""
        return Edges(self.input_shape, self.input_format, self.inputs, self.outputs)

    @property
    def is_approx(self) -> bool:
        """Whether it is a module of the approx dialect already."""
        return isinstance(self.lowering, ApproxTexts)

    def stablehlo(self, batch: int) -> str:
        """Return the StableHLO module that the framework gives; see `Lowering.text`."""
        return self.lowering.text("stablehlo", batch)

    def lower(self, batch: int) -> str:
        """Return the module as linalg on tensors; see `Lowering.text`."""
        return self.lowering.text("linalg", batch)

    def reference(self, x: np.ndarray) -> np.ndarray:
        """Return the outputs that the framework computes; see `Lowering.compute`."""
        return self.lowering.compute(x)

    def __repr__(self) -> str:
        shapes = " -> ".join(
            str(parts) if parts else f"{'' if format == F32 else format}{list(shape)}"
            for format, shape, parts in (
                (self.input_format, self.input_shape, self.inputs),
                (self.output_format, self.output_shape, self.outputs),
            )
        )
        return f"Network({self.name!r}, {shapes}, {len(self.weights)} weights)"

    def complete(self, binding: Any = None) -> Binding:
        """Return `binding`, whatever `Binding.of` takes, on top of what the network has already.

        Raises:
          InputError: it is no binding, or an op is left whose core's source is unknown.
        """
        binding = Binding.of(binding)
        for kind, layer, message in self.missing:
            if not any(rule.fits(kind, layer) for rule in binding.rules):
                raise InputError(message)
        if self.binding is not None:
            binding = binding.over(self.binding)
        return with_facts(binding)
