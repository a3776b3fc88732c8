"""Names in the locations of jaxlib's MLIR modules: where layers' names live."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["first_name", "rename_locations", "scope_of", "shorten_locations", "walk"]

#: A call is no scope: `jit(relu)`, `jvp(dense)` wraps one (see passes/AnnotateLayers.cpp).
_CALL = re.compile(r"(?:jit|pjit|closed_call|custom_jvp_call|checkpoint|remat)(?:\(.*\))?")


def walk(op: Any) -> Iterator[Any]:
    """Yield `op` and every operation in it, outermost first."""
    yield op
    for region in op.regions:
        for block in region:
            for child in block:
                yield from walk(child.operation)


def scope_of(location: Any) -> str:
    """Return the scope that a location names, such as `dense` for `jit(f)/dense/dot_general`."""
    from jaxlib.mlir import ir

    location = location.maybe_downcast() if hasattr(location, "maybe_downcast") else location
    if isinstance(location, ir.NameLoc):
        parts = location.name_str.split("/")[:-1]
        return "/".join(part for part in parts if part and not _CALL.fullmatch(part))
    if isinstance(location, ir.FusedLoc):
        return max((scope_of(child) for child in location.locations), key=len, default="")
    if isinstance(location, ir.CallSiteLoc):
        return scope_of(location.caller) or scope_of(location.callee)
    return ""


def rename_locations(module: Any, rename: Callable[[str], str]) -> None:
    """Give every operation of a module the first name in its location, changed by `rename`.

    Operations whose location has no name, or whose new name is empty, become nameless.
    """
    from jaxlib.mlir import ir

    with module.context:
        for op in walk(module.operation):
            name = first_name(op.location)
            new = rename(name) if name else ""
            op.location = ir.Location.name(new) if new else ir.Location.unknown()


def shorten_locations(module: Any) -> None:
    """Leave of the Python frames in a module's locations the innermost: the line that made the op.

    The frames around it are those of whoever called; with them, one network would have another text
    each time.
    """
    from jaxlib.mlir import ir

    with module.context:
        for op in walk(module.operation):
            op.location = _shortened(ir, op.location)
            for region in op.regions:
                for block in region:
                    for argument in block.arguments:
                        argument.set_location(_shortened(ir, argument.location))


def _shortened(ir: Any, location: Any) -> Any:
    if isinstance(location, ir.NameLoc):
        frame = _innermost(ir, location.child_loc)
        return ir.Location.name(location.name_str, childLoc=frame)
    if isinstance(location, ir.CallSiteLoc):
        callee, caller = _shortened(ir, location.callee), _shortened(ir, location.caller)
        return ir.Location.callsite(callee, [caller])
    if isinstance(location, ir.FusedLoc):
        return ir.Location.fused([_shortened(ir, child) for child in location.locations])
    return location


def _innermost(ir: Any, location: Any) -> Any:
    while not isinstance(location, ir.FileLineColLoc):
        if isinstance(location, ir.CallSiteLoc):
            location = location.callee
        elif isinstance(location, ir.NameLoc):
            location = location.child_loc
        else:
            return None
    return location


def first_name(location: Any) -> str:
    """Return the first name that a location holds, or ""."""
    from jaxlib.mlir import ir

    if isinstance(location, ir.NameLoc):
        return str(location.name_str)
    if isinstance(location, ir.FusedLoc):
        return next((name for child in location.locations if (name := first_name(child))), "")
    if isinstance(location, ir.CallSiteLoc):
        return first_name(location.callee) or first_name(location.caller)
    return ""
