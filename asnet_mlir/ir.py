# SPDX-License-Identifier: Apache-2.0
"""Modules of MLIR in this process: parsed, run through passes, walked."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.support.formats import NumberFormat, format_of_element
from asnet_mlir.support.parts import Parts

__all__ = [
    "main_function",
    "mark_parts",
    "module_from_text",
    "new_context",
    "operand_format",
    "parts_in",
    "run_passes",
    "walk",
    "with_layers",
]

# Of which Python makes operations here.  What a text or a pass needs is loaded with it: to load
# all that there is takes milliseconds, longer than most of what a context is made for.
_DIALECTS = ("approx", "arith", "func", "memref", "scf")


def new_context() -> Any:
    """Return a context of MLIR that knows the approx dialect, as quickly as there is one."""
    from asnet_mlir import dialects

    dialects.load()
    from mlir import ir

    return ir.Context(load_on_create_dialects=_DIALECTS)


@contextlib.contextmanager
def module_from_text(text: str) -> Iterator[Any]:
    """Parse `text` in a context of its own that knows the approx dialect.

    Raises:
      InputError: it does not parse.
    """
    from asnet_mlir import dialects

    dialects.load()
    from mlir import ir

    with new_context() as context, ir.Location.unknown():
        # Passes here take milliseconds; a thread pool per context costs more than it gives.
        context.enable_multithreading(False)
        try:
            module = ir.Module.parse(text)
        except ir.MLIRError as error:
            raise InputError(f"not a module of MLIR: {_diagnostic(error)}") from None
        yield module


def operand_format(op: Any) -> NumberFormat:
    """Return the format of the operands of an op of the approx dialect."""
    kind = op.operands[0].type
    element = str(getattr(kind, "element_type", kind))
    format = format_of_element(
        str(getattr(element, "element_type", element)), is_unsigned="is_unsigned" in op.attributes
    )
    assert format is not None, element
    return format


def run_passes(module: Any, pipeline: str, what: str | None) -> None:
    """Run a pipeline of passes on a module.

    Args:
      what: begins the message of an error; None where the passes' own messages say it.

    Raises:
      UnsupportedError: a pass refused.
    """
    from mlir import ir, passmanager

    try:
        passmanager.PassManager.parse(pipeline).run(module.operation)
    except ir.MLIRError as error:
        text = _diagnostic(error)
        raise UnsupportedError(text if what is None else f"{what}: {text}") from None


def _diagnostic(error: Any) -> str:
    """Return the first diagnostic of an MLIRError on one line, with its location."""
    diagnostics = getattr(error, "error_diagnostics", None)
    if not diagnostics:
        return " ".join(str(error).split())
    first = diagnostics[0]
    location = str(first.location)
    # Where an op stands in a text that the compiler has just printed itself says nothing.
    placeless = "unknown" in location or location.startswith('loc("-"')
    place = "" if placeless else f" at {location[:200]}"
    return " ".join(first.message.split()) + place


def main_function(module: Any) -> Any:
    """Return the function `@main` of a module.

    Raises:
      InputError: it has none.
    """
    for op in module.body.operations:
        if "sym_name" in op.attributes and op.attributes["sym_name"].value == "main":
            return op
    raise InputError("the module lacks the function @main")


def walk(op: Any) -> Iterator[Any]:
    """Yield an operation and all that it holds, in order.

    Those that there are at the beginning; what is changed meanwhile does not matter.
    """
    # Whoever goes through a block makes Python look for a module of each op's dialect; where the
    # bindings have none, as jaxlib's of linalg, it is looked for again for every op.
    found: list[Any] = []
    operation = op.operation
    bindings = sys.modules[type(operation).__module__]

    def keep(inner: Any) -> Any:
        found.append(inner)
        return bindings.WalkResult.ADVANCE

    operation.walk(keep, bindings.WalkOrder.PRE_ORDER)
    yield from found


def with_layers(op: Any, layer: str = "") -> Iterator[tuple[Any, str]]:
    """Yield every op with its layer: its own, or that of what it is in."""
    if "approx.layer" in op.attributes:
        layer = op.attributes["approx.layer"].value
    yield op, layer
    for region in op.regions:
        for block in region:
            for child in block:
                yield from with_layers(child.operation, layer)


#: Attributes of `@main` that say what the rows that it takes and returns hold.
_PARTS = ("inputs", "outputs")


def mark_parts(ir: Any, main: Any, inputs: Parts | None, outputs: Parts | None) -> None:
    """Let a function say what the rows hold that it takes and returns, in place.

    Args:
      ir: the MLIR that it is of, jaxlib's or the project's.
    """
    for key, parts in zip(_PARTS, (inputs, outputs), strict=True):
        if parts is not None:
            main.attributes[key] = _parts_attribute(ir, parts)


def _parts_attribute(ir: Any, parts: Parts) -> Any:
    return ir.ArrayAttr.get(
        [
            ir.DictAttr.get(
                {
                    "name": ir.StringAttr.get(part.name),
                    "shape": ir.DenseI64ArrayAttr.get(list(part.shape)),
                    "format": ir.StringAttr.get(part.format.name),
                }
            )
            for part in parts
        ]
    )


def parts_in(ir: Any, main: Any) -> tuple[Parts | None, Parts | None]:
    """Return what the rows hold that a function takes and returns; see `mark_parts`.

    Raises:
      InputError: an edit has left something else.
    """
    found: list[Parts | None] = []
    for key, kind, index in zip(_PARTS, ("input", "output"), ("inputs", "results"), strict=True):
        if key not in main.attributes:
            found.append(None)
            continue
        try:
            parts = Parts.of_json(
                [
                    {
                        "name": own["name"].value,
                        "shape": list(ir.DenseI64ArrayAttr(own["shape"])),
                        "format": own["format"].value,
                    }
                    for own in map(ir.DictAttr, ir.ArrayAttr(main.attributes[key]))
                ]
            )
        except (KeyError, ValueError, AttributeError):
            raise InputError(f"the attribute '{key}' of @main lists no {kind}s") from None
        row = next(iter(getattr(main.attributes["function_type"].value, index)))
        element = str(row.element_type).removeprefix("u")
        if tuple(row.shape)[1:] != parts.shape or element != parts.format.element_type:
            raise InputError(f"the {kind}s that @main lists, {parts}, are not those of {row}")
        found.append(parts)
    return found[0], found[1]
