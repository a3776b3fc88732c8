# SPDX-License-Identifier: Apache-2.0
"""A network of codes without what it computes of its last codes in float: words to compare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.part_rows import pack_main
from asnet_mlir.frontends.stablehlo_file import from_stablehlo_bytes, parse_stablehlo
from asnet_mlir.network import Network
from asnet_mlir.quantization.graph import returning
from asnet_mlir.support.formats import format_of_array
from asnet_mlir.support.parts import Part, Parts
from asnet_mlir.training.heads import last_codes, output_values
from asnet_mlir.training.operations import DTYPES
from asnet_mlir.training.reader import Straight, read_network
from asnet_mlir.training.rewriting import inlined_module, with_constants

__all__ = ["ending_in_codes"]


def ending_in_codes(network: Network) -> Network:
    """Return a network that gives the codes of which another one's last floats are computed.

    Floats of XLA and of the evaluator differ in their last bits (a softmax's exponentials); codes
    don't.  A network that ends in codes, or whose floats are computed of several codes, is returned
    as it is; so is each of several outputs.
    """
    code = read_network(network)
    if network.outputs is None:
        codes = last_codes(code, code.output) if network.output_format.is_float else None
        return network if codes is None else _returning(network, [codes], None)
    values = output_values(code, network.outputs)
    found = {
        part.name: last_codes(code, values[part.name])
        for part in network.outputs
        if part.format.is_float
    }
    own = {name: codes for name, codes in found.items() if codes is not None}
    if not own:
        return network
    return _returning(network, [*(values | own).values()], _with_codes(network.outputs, code, own))


def _with_codes(outputs: Parts, code: Straight, codes: Mapping[str, int]) -> Parts:
    parts = []
    for part in outputs:
        kind = code.types[codes[part.name]] if part.name in codes else None
        format = part.format if kind is None else format_of_array(np.empty(0, DTYPES[kind.element]))
        assert format is not None, kind
        parts.append(Part(part.name, part.shape if kind is None else kind.shape[1:], format))
    return Parts(tuple(parts))


def _returning(network: Network, values: list[int], outputs: Parts | None) -> Network:
    """Return the network that gives some of its values, of several a row."""
    own = network.unfolded or network
    module = parse_stablehlo(own.name, returning(inlined_module(own), values).encode())
    pack_main(module, None, outputs)
    text = with_constants(module, own.weights)
    return load_model(from_stablehlo_bytes(Path(f"{own.name}.mlir"), text.encode()))
