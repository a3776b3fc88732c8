# SPDX-License-Identifier: Apache-2.0
"""The verb `compile`: a network up to a stage, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asnet_mlir.compiler import bind, to_approx
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.cpu import to_llvm
from asnet_mlir.frontends import load_model
from asnet_mlir.hardware import emit_hardware
from asnet_mlir.support.stage_names import STAGES
from asnet_mlir.worker import in_mlir_process

__all__ = ["compile"]


@in_mlir_process(load=load_model)
def compile(
    model: Any,
    emit: str = "bound",
    binding: Any = None,
    *,
    batch: int | None = None,
    style: str = "shared",
    lanes: Sequence[str] = (),
) -> str:
    """Compile a network up to a stage and return the stage's text.

    Args:
      model: whatever `load_model` takes.
      emit: one of `STAGES`.
      binding: which instances compute which ops, whatever `Binding.of` takes; exact without.
      batch: samples in a call, by default 1 (or the file's own number); the hardware's stages know
        1 only.
      style, lanes: of the hardware's stages, see `generate`.

    Raises:
      InputError: an unknown stage, model, or layer in the binding.
      UnsupportedError: the network has an op that is not supported, named with its location.
    """
    if emit not in STAGES:
        raise InputError(f"unknown stage '{emit}'; stages are {', '.join(STAGES)}")
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
        return to_llvm(approx, binding)
    if batch != 1:
        raise InputError(f"stage '{emit}' needs a batch of 1, not {batch}")
    return emit_hardware(network, binding, emit, style, lanes)
