# SPDX-License-Identifier: Apache-2.0
"""Names in the locations of jaxlib's MLIR modules: where layers' names live."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from asnet_mlir.ir import walk

__all__ = [
    "describe_op",
    "first_name",
    "named_text",
    "rename_locations",
    "scope_of",
    "shorten_locations",
]

#: As in passes/AnnotateLayers.cpp: transformations of JAX wrap scopes, `jvp(dense)`; calls name a
#: function and no scope, `jit(relu)`.
_TRANSFORMATIONS = ("jvp", "vmap", "transpose")
_WRAPPER = re.compile(
    r"(jvp|vmap|transpose|jit|pjit|pmap|xla_call|closed_call|custom_jvp_call|custom_vjp_call"
    r"|checkpoint|remat)\("
)

#: As in passes/AnnotateLayers.cpp: the body of a loop is of the layer that has the loop.
_LOOP = re.compile(r"(?:^|(?<=/))while/(?:body|cond)(?:/(?:eval_jaxpr|closed_call))?(?:/|$)")

_LONGEST_LOCATION = 200


def describe_op(op: Any) -> str:
    """Return an operation's name with its layer and its place, for messages."""
    location = str(op.location).replace('"-":', "line ")  # of a text that was parsed
    layer = scope_of(op.location)
    place = f" (layer '{layer}')" if layer else ""
    detail = (
        f" of {op.attributes['call_target_name']}" if "call_target_name" in op.attributes else ""
    )
    return f"'{op.name}'{detail}{place} at {location[:_LONGEST_LOCATION]}"


def scope_of(location: Any) -> str:
    """Return the scope that a location names, such as `dense` for `jit(f)/dense/dot_general`."""
    return _LOOP.sub("", _full_scope_of(location)).rstrip("/")


def _full_scope_of(location: Any) -> str:
    """Return the scope with the parts of loops in it."""
    from jaxlib.mlir import ir

    location = location.maybe_downcast() if hasattr(location, "maybe_downcast") else location
    if isinstance(location, ir.NameLoc):
        parts = _components(location.name_str)
        rest = _wrapped_name(ir, location)
        if rest is None:
            return "/".join(_scopes(parts[:-1]))
        around = _scopes(parts) if len(parts) > 1 else []
        return "/".join([*around, *filter(None, [_full_scope_of(rest)])])
    if isinstance(location, ir.FusedLoc):
        return max((_full_scope_of(child) for child in location.locations), key=len, default="")
    if isinstance(location, ir.CallSiteLoc):
        return _full_scope_of(location.caller) or _full_scope_of(location.callee)
    return ""


def _components(name: str) -> list[tuple[str, str, str]]:
    """Return the parts of a name between slashes: text, and what wraps what, if it is a call."""
    parts = []
    while True:
        wrapper = _WRAPPER.match(name)
        close = _closing(name, wrapper.end() - 1) if wrapper else None
        if wrapper and close is not None:
            parts.append((name[: close + 1], wrapper[1], name[wrapper.end() : close]))
            end = close + 1
        else:
            end = len(name.partition("/")[0])
            parts.append((name[:end], "", ""))
        if end == len(name):
            return parts
        name = name[end + 1 :]


def _closing(name: str, opening: int) -> int | None:
    """Return where a parenthesis closes if that ends a component."""
    depth = 0
    for place in range(opening, len(name)):
        depth += (name[place] == "(") - (name[place] == ")")
        if depth == 0:
            return place if name[place + 1 : place + 2] in ("", "/") else None
    return None


def _scopes(components: Sequence[tuple[str, str, str]]) -> list[str]:
    scopes = []
    for text, wrapper, wrapped in components:
        if wrapper in _TRANSFORMATIONS:
            scopes += _scopes(_components(wrapped))
        elif text and not wrapper:
            scopes.append(text)
    return scopes


def _wrapped_name(ir: Any, location: Any) -> Any:
    """Return the name that a name wraps, or None where it wraps frames.

    JAX writes the primitive in front, `max:`, around the name; of a name that has `:/` in it, the
    part up to there is around the rest.
    """
    child = location.child_loc
    child = child.maybe_downcast() if hasattr(child, "maybe_downcast") else child
    is_name = isinstance(child, ir.NameLoc) and location.name_str.endswith(":")
    return child if is_name else None


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

    _change_locations(module, lambda location: _innermost(ir, location), lambda place: place)


def named_text(module: Any) -> str:
    """Return a module's text with the names in its locations, without places in files."""
    from jaxlib.mlir import ir

    with module.context:
        copy = module.operation.clone()
        _change_locations(copy, lambda _: None, lambda _: ir.Location.unknown())
        return str(copy.operation.get_asm(enable_debug_info=True))


def _change_locations(
    module: Any, frame: Callable[[Any], Any], place: Callable[[Any], Any]
) -> None:
    """Change all locations: frames that a name wraps by `frame`, what has no name by `place`."""
    from jaxlib.mlir import ir

    def changed(location: Any) -> Any:
        if isinstance(location, ir.NameLoc):
            rest = _wrapped_name(ir, location)
            child = frame(location.child_loc) if rest is None else changed(rest)
            return ir.Location.name(location.name_str, childLoc=child)
        if isinstance(location, ir.CallSiteLoc):
            return ir.Location.callsite(changed(location.callee), [changed(location.caller)])
        if isinstance(location, ir.FusedLoc):
            return ir.Location.fused([changed(child) for child in location.locations])
        return place(location)

    with module.context:
        for op in walk(module.operation):
            op.location = changed(op.location)
            for region in op.regions:
                for block in region:
                    for argument in block.arguments:
                        argument.set_location(changed(argument.location))


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
