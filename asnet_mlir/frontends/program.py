# SPDX-License-Identifier: Apache-2.0
"""Programs that a `Builder` wrote as networks."""

from __future__ import annotations

import functools

import numpy as np

from asnet_mlir.frontends.folding import fold_weights
from asnet_mlir.frontends.module import LoweredModule, Traced, lower_module
from asnet_mlir.frontends.stablehlo_file import parse_stablehlo
from asnet_mlir.network import Network
from asnet_mlir.quantized import Program
from asnet_mlir.support.formats import format_of_element

__all__ = ["from_program"]


def from_program(program: Program) -> Network:
    """Return a program as a network for any batch size; its framework is XLA."""

    @functools.cache
    def lowered(batch: int) -> LoweredModule:
        module = parse_stablehlo(program.name, program.text(batch).encode())
        return lower_module(module, program.weights, known=())

    def compute(x: np.ndarray) -> np.ndarray:
        return lowered(len(x)).run(program.name, x)

    formats = [format_of_element(tensor.element) for tensor in (program.input, program.output)]
    assert formats[0] is not None and formats[1] is not None
    return fold_weights(
        Network(
            program.name,
            program.input.shape,
            program.output.shape,
            program.weights,
            Traced(program.name, lowered, compute=compute),
            input_format=formats[0],
            output_format=formats[1],
        )
    )
