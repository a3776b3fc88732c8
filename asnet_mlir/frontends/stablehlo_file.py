# SPDX-License-Identifier: Apache-2.0
"""StableHLO files: text (`.mlir`), bytecode and portable artifacts (`.mlirbc`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError
from asnet_mlir.frontends.constants import WEIGHT_ATTRIBUTE, main_of
from asnet_mlir.frontends.module import Traced, lower_module
from asnet_mlir.frontends.part_rows import parts_of
from asnet_mlir.frontends.stablehlo import run_passes
from asnet_mlir.frontends.weights import (
    TensorKind,
    assign_weights,
    read_weights,
    unique_name,
    weights_file_of,
    wrong_kind,
)
from asnet_mlir.ir import parts_in, walk
from asnet_mlir.network import Network
from asnet_mlir.support.formats import format_of_element
from asnet_mlir.support.parts import Parts

__all__ = ["from_stablehlo_bytes", "from_stablehlo_file", "parse_stablehlo"]

# MLIR's bytecode, and the producer that a portable artifact (versioned StableHLO) names in it.
_BYTECODE = b"ML\xefR"
_PORTABLE = b"StableHLO_v"
# JAX's name of a result, by its path: `result['class'][0]`.
_RESULT = "jax.result_info"
# Types of codes that stand for real numbers, as text has them.
_QUANTIZED = "!quant."
_TO_INTEGERS = (
    "builtin.module(func.func(stablehlo-legalize-quant-to-math,chlo-legalize-to-stablehlo),"
    "canonicalize)"
)


def from_stablehlo_file(path: Path, weights: Path | None = None) -> Network:
    """Read a StableHLO module.

    The public function `@main` takes tensors whose first dimension is the batch, and after them the
    weights, and returns such tensors; the batch size is fixed by the file.  Weights are constants
    of the module or come from `weights`: arguments find theirs by the attribute `approx.weight` or
    the name in their location, else by their position (`arr_0`, ..).  Arguments without a weight
    are inputs where they come first and begin with the batch.  Several inputs and outputs go by the
    names in arguments' locations and in `jax.result_info`.

    Args:
      weights: an `.npz` file; by default the module's own (`net.weights.npz` beside `net.mlir`)
        where `@main` takes any.

    Raises:
      InputError: the file is missing, does not parse, or `@main` has another signature; the weights
        do not fit.
      UnsupportedError: an op has no lowering, or samples of the batch are not independent.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return from_stablehlo_bytes(path, path.read_bytes(), weights)


def from_stablehlo_bytes(path: Path, content: bytes, weights: Path | None = None) -> Network:
    """Make a network of the content of a file, which need not exist; see `from_stablehlo_file`."""
    module = parse_stablehlo(path, content)
    with module.context:
        main = main_of(module)
        if main is None:
            raise InputError(f"{path}: lacks the function @main")
        given, results = _kinds(path, main)
        batch = given[0].shape[0]
        arguments = list(zip(_argument_names(main), given, strict=True))
        stored, where = _stored_weights(path, weights, arguments)
        count = _count_inputs(path, arguments, stored, where, results)
        values = assign_weights(str(where), stored, arguments[count:]) if stored else ()
        inputs, taken = _edge(path, "input", [n for n, _ in arguments[:count]], given[:count])
        outputs, returned = _edge(path, "output", _result_names(main), results)
        lowered = lower_module(module, values, inputs=inputs, outputs=outputs)
        # Of rows already, in a file that `asnet compile` wrote.
        of_rows = _parts(path, main)
        _ = lowered.linalg  # what can't be lowered is no network
        lowered.analyze(str(path))
    return Network(
        path.stem,
        taken.shape,
        returned.shape,
        (*values, *lowered.constants),
        Traced(str(path), lambda _: lowered, fixed_batch=batch),
        input_format=taken.format,
        output_format=returned.format,
        inputs=inputs or of_rows[0],
        outputs=outputs or of_rows[1],
    )


def _parts(path: Path, main: Any) -> tuple[Parts | None, Parts | None]:
    from jaxlib.mlir import ir

    try:
        return parts_in(ir, main)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _edge(
    path: Path, what: str, names: Sequence[str], kinds: Sequence[TensorKind]
) -> tuple[Parts | None, TensorKind]:
    """Return the parts that inputs or outputs are, and the kind of a sample or its row."""
    if len(kinds) == 1:
        return None, TensorKind(kinds[0].shape[1:], kinds[0].format)
    taken: set[str] = set()
    named = [
        (unique_name(name or f"{what}{index}", taken), kind.shape, kind.format.dtype_name)
        for index, (name, kind) in enumerate(zip(names, kinds, strict=True))
    ]
    parts = parts_of(str(path), what, named, kinds[0].shape[0])
    assert parts is not None
    return parts, TensorKind(parts.shape, parts.format)


def _count_inputs(
    path: Path,
    arguments: Sequence[tuple[str, TensorKind]],
    stored: Mapping[str, Any],
    where: Path,
    results: Sequence[TensorKind],
) -> int:
    """Return how many arguments, from the first, are inputs.

    Raises:
      InputError: the others have no weights.
    """
    if set(stored) == {f"arr_{index}" for index in range(len(stored))}:
        count = len(arguments) - len(stored)  # by position
    else:
        named = [index for index, (name, _) in enumerate(arguments) if index and name in stored]
        count = min(named, default=len(arguments))
    batch = results[0].shape[0]
    inputs = [kind.shape[:1] == (batch,) for _, kind in arguments[:count]]
    # What else is wrong with stored weights, `assign_weights` says.
    count = max(1, inputs.index(False) if False in inputs else count)
    if not stored and count < len(arguments):
        name = arguments[count][0] or f"number {count}"
        raise InputError(
            f"{path}: @main takes {len(arguments) - 1} weights; give them with --weights FILE.npz, "
            f"or as {where.name} beside it (argument '{name}' does not begin with the batch of "
            f"{batch}, as inputs do)"
        )
    return count


def parse_stablehlo(where: Path | str, content: bytes) -> Any:
    """Return the jaxlib MLIR module of text, bytecode or a portable artifact.

    Quantised types become integers, and `uniform_quantize` and its like arithmetic on them.

    Raises:
      InputError: it is none of them, or of a later version than this program reads.
      UnsupportedError: it is quantised, and an op has no form in integers.
    """
    from jax.interpreters.mlir import make_ir_context
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    context = make_ir_context()
    # Diagnostics go into the error, not to standard error.
    messages: list[str] = []

    def keep(diagnostic: Any) -> bool:
        messages.append(f"{diagnostic.message} at {diagnostic.location}")
        return True

    with context:
        handler = context.attach_diagnostic_handler(keep)
        try:
            if content.startswith(_BYTECODE) and _PORTABLE in content[:64]:
                module = stablehlo.deserialize_portable_artifact(context, content)
            else:
                if _QUANTIZED.encode() in content:
                    _load_quantized_types()
                module = ir.Module.parse(content)
        except (ir.MLIRError, ValueError) as error:
            detail = messages[0] if messages else str(error)
            detail = " ".join(detail.split())[:300]
            raise InputError(f"{where}: not a StableHLO module: {detail}") from None
        finally:
            handler.detach()
        if module is None:
            detail = " ".join(" ".join(messages[:1]).split())[:300] or "not readable"
            raise InputError(f"{where}: not a StableHLO module: {detail}")
        for op in walk(module.operation):
            if op.name.startswith("linalg."):
                raise InputError(
                    f"{where}: a module of linalg; a model is a StableHLO, approx or bound module"
                )
        if _is_quantized(module):
            run_passes(module, _TO_INTEGERS)
    return module


def _load_quantized_types() -> None:
    """Load MLIR's dialect of quantised types, which jaxlib has and registers nowhere.

    A pass that may make such types brings it into the current context.
    """
    from jaxlib.mlir import ir

    run_passes(ir.Module.parse("module {}"), "builtin.module(vhlo-legalize-to-stablehlo)")


def _is_quantized(module: Any) -> bool:
    """Whether some value's numbers are codes by their type."""
    return any(
        _QUANTIZED in str(result.type)
        for op in walk(module.operation)
        for result in (
            *op.results,
            *(a for region in op.regions for b in region for a in b.arguments),
        )
    )


def _kinds(path: Path, main: Any) -> tuple[list[TensorKind], list[TensorKind]]:
    """Return what `@main` takes and what it returns."""
    from jaxlib.mlir import ir

    function_type = main.attributes["function_type"].value
    inputs, results = list(function_type.inputs), list(function_type.results)
    if not inputs or not results:
        raise InputError(
            f"{path}: @main must take an input (and weights) and return a tensor, it takes "
            f"{len(inputs)} and returns {len(results)}"
        )

    def kind_of(type: Any) -> TensorKind:
        if isinstance(type, ir.RankedTensorType) and type.has_static_shape:
            format = format_of_element(str(type.element_type))
            if format is not None:
                return TensorKind(tuple(type.shape), format)
        raise wrong_kind(path, type)

    taken, returned = [kind_of(type) for type in inputs], [kind_of(type) for type in results]
    several = len(returned) > 1
    for kind in (taken[0], *returned):
        # An output may be a number a sample.
        least = 1 if several or kind is not taken[0] else 2
        if len(kind.shape) < least or kind.shape[0] != taken[0].shape[0]:
            raise InputError(
                f"{path}: the first dimension of @main's inputs and outputs must be the batch"
            )
    return taken, returned


def _result_names(main: Any) -> list[str]:
    """Return what the results are called by JAX, "" for those without a name."""
    results = len(main.attributes["function_type"].value.results)
    if "res_attrs" not in main.attributes:
        return [""] * results
    names = []
    for own in main.attributes["res_attrs"]:
        text = str(own[_RESULT].value) if _RESULT in own else ""
        keys = re.findall(r"\['?([^'\]]+)'?\]|\.(\w+)", text)
        name = "/".join(first or second for first, second in keys)
        names.append(f"output{name}" if name[:1].isdigit() else name)
    return names


def _argument_names(main: Any) -> list[str]:
    """Return what the arguments are called, "" for those without a name."""
    from jaxlib.mlir import ir

    attributes = main.attributes.get("arg_attrs")
    names = []
    for index, argument in enumerate(main.regions[0].blocks[0].arguments):
        own = attributes[index] if attributes is not None else {}
        if WEIGHT_ATTRIBUTE in own:
            names.append(str(own[WEIGHT_ATTRIBUTE].value))
        elif isinstance(argument.location, ir.NameLoc):
            names.append(str(argument.location.name_str))
        else:
            names.append("")
    return names


def _stored_weights(
    path: Path, weights: Path | None, arguments: Sequence[tuple[str, TensorKind]]
) -> tuple[dict[str, Any], Path]:
    """Return the arrays that arguments may take, and the file that they are (or would be) in."""
    beside = weights_file_of(path)
    if len(arguments) == 1:
        if weights is not None:
            raise InputError(f"{path}: @main takes no weights; leave out '{weights}'")
        return {}, beside
    if weights is None and not beside.is_file():
        return {}, beside
    where = weights or beside
    return read_weights(where), where
