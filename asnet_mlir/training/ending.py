# SPDX-License-Identifier: Apache-2.0
"""A network of codes without what it computes of its last codes in float: words to compare."""

from __future__ import annotations

from pathlib import Path

from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.stablehlo_file import from_stablehlo_bytes, parse_stablehlo
from asnet_mlir.network import Network
from asnet_mlir.quantization.graph import returning
from asnet_mlir.training.reader import read_network
from asnet_mlir.training.rewriting import inlined_module, with_constants

__all__ = ["ending_in_codes"]


def ending_in_codes(network: Network) -> Network:
    """Return a network that gives the codes of which another one's last floats are computed.

    Floats of XLA and of the evaluator differ in their last bits (a softmax's exponentials); codes
    don't.  A network that ends in codes, or whose floats are computed of several codes, is returned
    as it is.
    """
    if not network.output_format.is_float:
        return network
    code = read_network(network)
    value = code.output
    codes = None
    while (op := code.producers.get(value)) is not None:
        if op.name == "convert" and not code.types[op.operands[0]].element.startswith("f"):
            codes = code.source(op.operands[0], ("convert",))
            break
        if not op.operands:
            break
        value = op.operands[0]
    if codes is None or code.types[codes].shape[:1] != (code.batch,):
        return network
    own = network.unfolded or network
    module = inlined_module(own)
    text = with_constants(
        parse_stablehlo(own.name, returning(module, [codes]).encode()), own.weights
    )
    return load_model(from_stablehlo_bytes(Path(f"{own.name}.mlir"), text.encode()))
