# SPDX-License-Identifier: Apache-2.0
"""The verb `compile`: a network in one of its forms, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asnet_mlir.compiler import bind, split_by_channels, to_approx
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.cpu import to_llvm
from asnet_mlir.frontends import load_model
from asnet_mlir.hardware import emit_hardware
from asnet_mlir.support.forms import FORMS
from asnet_mlir.worker import in_mlir_process

__all__ = ["compile"]


@in_mlir_process(load=load_model)
def compile(
    model: Any,
    emit: str = "bound",
    binding: Any = None,
    *,
    batch: int | None = None,
    style: str | None = None,
    lanes: Sequence[str] = (),
) -> str:
    """Compile a network to one of its forms and return the text.

    Args:
      model: whatever `load_model` takes.
      emit: one of `FORMS`.
      binding: which instances compute which ops, whatever `Binding.of` takes; exact without.
      batch: samples in a call, by default 1 (or the file's own number); the hardware's forms know
        1 only.
      style, lanes: of the hardware's forms, see `generate`.

    Raises:
      InputError: an unknown form, network, or layer in the binding.
      UnsupportedError: the network has an op that is not supported, named with its location.
    """
    if emit not in FORMS:
        raise InputError(f"unknown form '{emit}'; forms are {', '.join(FORMS)}")
    network = load_model(model)
    if batch is None:
        batch = network.fixed_batch or 1
    if emit == "stablehlo":
        return network.stablehlo(batch)
    if emit == "linalg":
        return network.lower(batch)
    approx = to_approx(network, batch)
    if emit == "approx":
        return approx
    binding = network.complete(binding)
    if emit == "bound":
        return bind(approx, binding)
    if emit == "llvm":
        bind(approx, binding)  # names what does not fit the network
        return to_llvm(split_by_channels(approx, binding.channels), binding)
    if batch != 1:
        raise InputError(f"form '{emit}' needs a batch of 1, not {batch}")
    return emit_hardware(network, binding, emit, style, lanes)
