# SPDX-License-Identifier: Apache-2.0
"""StableHLO files: text (`.mlir`), bytecode and portable artifacts (`.mlirbc`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError
from asnet_mlir.frontends.constants import WEIGHT_ATTRIBUTE, main_of
from asnet_mlir.frontends.module import Traced, lower_module
from asnet_mlir.frontends.stablehlo import run_passes
from asnet_mlir.frontends.weights import (
    TensorKind,
    assign_weights,
    check_batch_dimension,
    read_weights,
    weights_file_of,
    wrong_kind,
)
from asnet_mlir.ir import walk
from asnet_mlir.network import Network, Weight
from asnet_mlir.support.formats import format_of_element

__all__ = ["from_stablehlo_bytes", "from_stablehlo_file", "parse_stablehlo"]

# MLIR's bytecode, and the producer that a portable artifact (versioned StableHLO) names in it.
_BYTECODE = b"ML\xefR"
_PORTABLE = b"StableHLO_v"
# Types of codes that stand for real numbers, as text has them.
_QUANTIZED = "!quant."
_TO_INTEGERS = (
    "builtin.module(func.func(stablehlo-legalize-quant-to-math,chlo-legalize-to-stablehlo),"
    "canonicalize)"
)


def from_stablehlo_file(path: Path, weights: Path | None = None) -> Network:
    """Read a StableHLO module.

    The public function `@main` takes one tensor whose first dimension is the batch, and after it
    the weights, and returns one tensor; the batch size is fixed by the file.  Weights are constants
    of the module or come from `weights`: arguments find theirs by the attribute `approx.weight` or
    the name in their location, else by their position (`arr_0`, ..).

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
        given, result = _kinds(path, main)
        arguments = list(zip(_argument_names(main), given[1:], strict=True))
        values = _weights(path, weights, arguments)
        lowered = lower_module(module, values)
        _ = lowered.linalg  # what can't be lowered is no network
        lowered.analyze(str(path))
    return Network(
        path.stem,
        given[0].shape[1:],
        result.shape[1:],
        (*values, *lowered.constants),
        Traced(str(path), lambda _: lowered, fixed_batch=given[0].shape[0]),
        input_format=given[0].format,
        output_format=result.format,
    )


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


def _kinds(path: Path, main: Any) -> tuple[list[TensorKind], TensorKind]:
    """Return what `@main` takes and what it returns."""
    from jaxlib.mlir import ir

    function_type = main.attributes["function_type"].value
    inputs, results = list(function_type.inputs), list(function_type.results)
    if not inputs or len(results) != 1:
        raise InputError(
            f"{path}: @main must take the input (and weights) and return one tensor, it takes "
            f"{len(inputs)} and returns {len(results)}"
        )

    def kind_of(type: Any) -> TensorKind:
        if isinstance(type, ir.RankedTensorType) and type.has_static_shape:
            format = format_of_element(str(type.element_type))
            if format is not None:
                return TensorKind(tuple(type.shape), format)
        raise wrong_kind(path, type)

    taken, returned = [kind_of(type) for type in inputs], kind_of(results[0])
    check_batch_dimension(path, taken[0], returned)
    return taken, returned


def _argument_names(main: Any) -> list[str]:
    """Return what the arguments after the input are called, "" for those without a name."""
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
    return names[1:]


def _weights(
    path: Path, weights: Path | None, arguments: list[tuple[str, TensorKind]]
) -> tuple[Weight, ...]:
    if not arguments:
        if weights is not None:
            raise InputError(f"{path}: @main takes no weights; leave out '{weights}'")
        return ()
    beside = weights_file_of(path)
    if weights is None and not beside.is_file():
        raise InputError(
            f"{path}: @main takes {len(arguments)} weights; give them with --weights FILE.npz, or "
            f"as {beside.name} beside it"
        )
    where = weights or beside
    return assign_weights(str(where), read_weights(where), arguments)
