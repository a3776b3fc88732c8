# SPDX-License-Identifier: Apache-2.0
"""The format of an instance's operands, as its Verilog shows it."""

from __future__ import annotations

import dataclasses

from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.simulation.simulation import port_widths
from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import parse_format

__all__ = ["with_operand_format"]


def with_operand_format(instance: Instance) -> Instance:
    """Return `instance` with the format of its operands filled in, as ops of a network have it.

    Raises:
      InputError: its operands are not of one width, or of one that no format has.
    """
    if instance.format is not None:
        return instance
    widths = port_widths([instance])[0]
    if widths.a != widths.b:
        raise InputError(
            f"{instance.label}: its operands have {widths.a} and {widths.b} bits; ops of a network "
            "have two of one format"
        )
    format = parse_format(f"{'i' if instance.core.signed else 'u'}{widths.a}")
    return dataclasses.replace(instance, operands=format.name)
