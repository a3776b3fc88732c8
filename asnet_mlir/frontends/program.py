# SPDX-License-Identifier: Apache-2.0
"""Programs that a `Builder` wrote as networks."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from asnet_mlir.frontends.folding import fold_weights
from asnet_mlir.frontends.module import LoweredModule, Traced, lower_module
from asnet_mlir.frontends.part_rows import parts_of
from asnet_mlir.frontends.stablehlo_file import parse_stablehlo
from asnet_mlir.frontends.weights import TensorKind
from asnet_mlir.network import Network
from asnet_mlir.quantized import Program
from asnet_mlir.quantized.writer import Tensor
from asnet_mlir.support.formats import format_of_element
from asnet_mlir.support.parts import Parts

__all__ = ["from_program"]


def from_program(program: Program) -> Network:
    """Return a program as a network for any batch size; its framework is XLA."""

    inputs, taken = _edge(program.name, "input", program.inputs)
    outputs, given = _edge(program.name, "output", program.outputs)

    @functools.cache
    def lowered(batch: int) -> LoweredModule:
        module = parse_stablehlo(program.name, program.text(batch).encode())
        return lower_module(module, program.weights, known=(), inputs=inputs, outputs=outputs)

    def compute(x: np.ndarray) -> np.ndarray:
        return lowered(len(x)).run(program.name, x)

    return fold_weights(
        Network(
            program.name,
            taken.shape,
            given.shape,
            program.weights,
            Traced(program.name, lowered, compute=compute),
            input_format=taken.format,
            output_format=given.format,
            inputs=inputs,
            outputs=outputs,
        )
    )


def _edge(
    name: str, what: str, tensors: Sequence[tuple[str, Tensor]]
) -> tuple[Parts | None, TensorKind]:
    """Return the parts that a program's inputs or outputs are, and the kind of a sample."""
    kinds = []
    for own, tensor in tensors:
        format = format_of_element(tensor.element)
        assert format is not None
        kinds.append((own, TensorKind(tensor.shape, format)))
    parts = parts_of(name, what, [(own, (1, *k.shape), k.format.dtype_name) for own, k in kinds], 1)
    return parts, TensorKind(parts.shape, parts.format) if parts else kinds[0][1]
