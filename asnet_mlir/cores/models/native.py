# SPDX-License-Identifier: Apache-2.0
"""Cores whose model is an operation of the processor, on masked operands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from asnet_mlir.cores.core import Core, Instance
from asnet_mlir.cores.models.model import native_text
from asnet_mlir.cores.reading.library import library_core, library_cores
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.errors import AsnetError
from asnet_mlir.support.formats import F32, OP_KINDS

__all__ = ["QUIET_NAN_BITS", "at_exact_parameters", "contains", "native_masks", "native_model"]

# The quiet-NaN pattern of the exponent and bit 22: a mask that keeps them keeps every quiet NaN a
# NaN, so that the native operation needs no canonical operands.
QUIET_NAN_BITS = F32.canonical_nan

_REACHES_ELSEWHERE = re.compile(
    r"`\s*(define|undef|undefineall|include|resetall)\b|\b(bind|defparam)\b"
)


def native_masks(instance: Instance, hierarchy: Netlist | None = None) -> tuple[int, int] | None:
    """Return the operand masks under which the exact operation is the instance; None if unproved.

    Args:
      instance: what to prove.
      hierarchy: its netlist with the hierarchy kept; read when absent and needed.
    """
    core = instance.core
    if core.format != "f32":
        return None
    own = library_core(core.name)
    full = (1 << 32) - 1
    if own is not None and own.exact and _same_sources(core, own):
        return (
            (full, full) if core.ports == own.ports and at_exact_parameters(own, instance) else None
        )
    candidates = [
        other
        for other in library_cores().values()
        if other.exact and other.op == core.op and contains(core, other)
    ]
    if not candidates:
        return None
    if hierarchy is None:
        found = elaborate([instance], flatten=False)[0]
        if isinstance(found, AsnetError):
            raise found
        hierarchy = found
    for other in candidates:
        masks = _match_wrapper(instance, hierarchy, other)
        if masks is not None:
            return masks
    return None


def _same_sources(core: Core, other: Core) -> bool:
    return (
        core.module == other.module
        and core.op == other.op
        and [source.text for source in core.sources] == [s.text for s in other.sources]
    )


def at_exact_parameters(core: Core, instance: Instance) -> bool:
    """Return whether an exact core's parameters are at the values for which it claims exactness."""
    values = dict(instance.parameters)
    return all(
        values[parameter.name] == parameter.default
        for parameter in core.parameters
        if parameter.name != core.latency_cycles
    )


def contains(core: Core, other: Core) -> bool:
    """Whether all files of `other` are among those of `core`, and the rest cannot change them.

    A macro, an include, a bind or a defparam could change what the library's text means.
    """
    library = {source.text for source in other.sources}
    texts = {source.text for source in core.sources}
    return library <= texts and not any(_REACHES_ELSEWHERE.search(text) for text in texts - library)


def _match_wrapper(instance: Instance, hierarchy: Netlist, other: Core) -> tuple[int, int] | None:
    """Return the masks where a netlist is nothing but an exact core between its ports."""
    core, top = instance.core, hierarchy.module
    cell = _only_cell(top)
    child = hierarchy.modules.get(cell["type"]) if cell else None
    if cell is None or child is None:
        return None
    if child["attributes"].get("hdlname", cell["type"]) != other.module:
        return None
    values = child.get("parameter_default_values", {})
    if not _are_defaults(values, other):
        return None
    ports, connections = top["ports"], cell["connections"]
    used = {core.ports.a, core.ports.b, core.ports.result, core.ports.clock} - {None}
    if set(ports) != used:
        return None
    if other.ports.clock is not None:
        clock = ports[core.ports.clock]["bits"] if core.ports.clock else []
        has_depth = int(values.get(str(other.latency_cycles), "1"), 2) != 0
        if connections.get(other.ports.clock) != clock and has_depth:
            return None
    if connections.get(other.ports.result) != ports[core.ports.result]["bits"]:
        return None
    a, b = (
        _mask(connections.get(inner, []), ports[outer]["bits"])
        for inner, outer in ((other.ports.a, core.ports.a), (other.ports.b, core.ports.b))
    )
    return None if a is None or b is None else (a, b)


def _only_cell(module: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the cell of a module that has one, apart from those that give nothing."""
    cells = [
        cell
        for cell in module["cells"].values()
        if "port_directions" not in cell or "output" in cell["port_directions"].values()
    ]
    return cells[0] if len(cells) == 1 else None


def _are_defaults(values: Mapping[str, str], core: Core) -> bool:
    """Whether a module's parameters, but the latency's, are a core's defaults."""
    for parameter in core.parameters:
        if parameter.name != core.latency_cycles:
            text = values.get(parameter.name)
            if text is None or not re.fullmatch("[01]+", text):
                return False
            if int(text, 2) != parameter.default & ((1 << len(text)) - 1):
                return False
    return True


def _mask(got: Sequence[Any], given: Sequence[Any]) -> int | None:
    """Return which bits of a port come from those of another, all others being 0.

    None where some are of elsewhere, or a quiet NaN would be none behind the mask.
    """
    if len(got) != 32 or len(given) != 32:
        return None
    mask = 0
    for position, bit in enumerate(got):
        if bit == given[position]:
            mask |= 1 << position
        elif bit != "0":
            return None
    return mask if mask & QUIET_NAN_BITS == QUIET_NAN_BITS else None


def native_model(instance: Instance, masks: tuple[int, int]) -> dict[str, Any]:
    operation = OP_KINDS[str(instance.core.op)].exact
    return {
        "text": native_text(operation, masks),
        "strategy": "native",
        "latency": None,
        "operation": operation,
        "masks": masks,
    }
