# SPDX-License-Identifier: Apache-2.0
"""Integer cores by name, or by their manifest, as units of floating-point operations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from asnet_mlir.cores.core import UNIT_OPS, Align, Core, Instance
from asnet_mlir.cores.reading import significand
from asnet_mlir.errors import InputError

__all__ = ["instance_for"]


def instance_for(
    core: Core,
    op: str | None,
    values: Mapping[str, Any],
    *,
    align: Align = "right",
    format: significand.FormatName = "f32",
) -> Instance:
    """Return a core of a manifest with parameters fixed, as what computes `op`.

    An integer core that multiplies or adds becomes the significand unit of a floating-point `op`;
    parameters that are not its own are the wrapper's.

    Raises:
      InputError: it computes something else: what it could be bound to; or see `Core.instance`,
        `significand.wrap`.
    """
    if op is None or core.op == op:
        return core.instance(values)
    if core.is_float or core.op != UNIT_OPS.get(op):
        fits = [name for name, kind in UNIT_OPS.items() if kind == core.op]
        hint = ""
        if fits and not core.is_float:
            hint = f"; it is a significand unit for {' and '.join(fits)}"
        raise InputError(f"{core.name}: computes {core.op}, not {op}{hint}")
    own = {parameter.name for parameter in core.parameters}
    given = core.instance({k: v for k, v in values.items() if k in own})
    fixed = dict(given.parameters)
    unit = dataclasses.replace(
        given.core,
        parameters=tuple(
            dataclasses.replace(p, default=fixed[p.name], declared=p.default)
            for p in core.parameters
        ),
    )
    try:
        wrapped = significand.wrap(unit, op, format, align)
    except InputError as error:
        sizes = [f"{p.name}={fixed[p.name]}" for p in core.parameters if p.name == "N"]
        if not sizes or "bits" not in str(error):
            raise
        raise InputError(f"{error} ({core.name} has {sizes[0]})") from None
    if core.in_library:
        wrapped = dataclasses.replace(wrapped, name=core.name)
    return wrapped.instance({k: v for k, v in values.items() if k not in own})
