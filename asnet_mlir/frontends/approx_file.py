# SPDX-License-Identifier: Apache-2.0
"""Modules of the approx dialect as models: what `asnet compile --emit approx|bound -o` wrote.

A bound module carries its instances (`approx.library`); the Verilog behind them is found again
where it is a core of the library.  Ops of other cores wait for a binding that gives them one.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from asnet_mlir.binding import Binding, Rule, is_within
from asnet_mlir.cores import Instance, library_cores
from asnet_mlir.cores.reading.code_wrapper import inner_module, split_wrapper, wrapped
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.weights import (
    TensorKind,
    assign_weights,
    check_batch_dimension,
    read_weights,
    weights_file_of,
    wrong_kind,
)
from asnet_mlir.ir import main_function, module_from_text, parts_in, run_passes, with_layers
from asnet_mlir.network import ApproxTexts, Network
from asnet_mlir.support.formats import OP_KINDS, format_of_element
from asnet_mlir.support.parts import Parts

__all__ = ["from_approx_file"]

_ROLE, _WEIGHT, _LAYER, _UNSIGNED = (
    f"approx.{name}" for name in ("role", "weight", "layer", "unsigned")
)


def from_approx_file(path: Path, weights: Path | None = None) -> Network:
    """Read a module of the form `approx` or `bound`.

    Args:
      weights: see `load_model`.

    Raises:
      InputError: it does not parse, `@main` is not a network's, weights do not fit, or an
        instance's parameters, latency or interval are not its core's.
      UnsupportedError: floats are computed outside of the approx dialect.
    """
    try:
        with module_from_text(path.read_text()) as module:
            arguments, output = _signature(path, main_function(module))
            inputs, outputs = _parts(module)
            # An op of arith that an edit brought in becomes one of approx, or is refused.
            run_passes(module, "builtin.module(convert-arith-to-approx)", "reading it")
            module.operation.verify()
            binding, missing = _unbind(path, module)
            text = str(module)
    except UnicodeDecodeError:
        raise InputError(f"{path}: not text") from None
    except (InputError, UnsupportedError) as error:
        message = str(error)
        prefix = "" if message.startswith(str(path)) else f"{path}: "
        raise type(error)(f"{prefix}{message}") from None
    (_, taken), *named = arguments
    beside = weights or weights_file_of(path)
    if named and not beside.is_file():
        raise InputError(
            f"{path}: @main takes {len(named)} weights; give them with --weights FILE.npz, or as "
            f"{beside.name} beside it ('asnet compile -o' writes both)"
        )
    if weights is not None and not named:
        raise InputError(f"{path}: @main takes no weights; leave out '{weights}'")
    values = assign_weights(str(beside), read_weights(beside), named) if named else ()

    return Network(
        path.stem,
        taken.shape[1:],
        output.shape[1:],
        values,
        ApproxTexts(str(path), {taken.shape[0]: text}),
        binding=binding,
        missing=missing,
        input_format=taken.format,
        output_format=output.format,
        inputs=inputs,
        outputs=outputs,
    )


def _parts(module: Any) -> tuple[Parts | None, Parts | None]:
    from mlir import ir

    return parts_in(ir, main_function(module))


def _signature(path: Path, main: Any) -> tuple[list[tuple[str, TensorKind]], TensorKind]:
    """Return name and kind of each argument (the input's is "") and the kind of the result."""
    from mlir import ir

    kind = main.attributes["function_type"].value
    attributes = main.attributes.get("arg_attrs", [])

    def kind_of(type: Any, own: Any, has_sign: bool = True) -> TensorKind:
        ranked = isinstance(type, ir.RankedTensorType) and ir.RankedTensorType(type)
        if ranked and ranked.has_static_shape:
            is_unsigned = _UNSIGNED in own
            format = format_of_element(str(ranked.element_type), is_unsigned=is_unsigned)
            if format is not None:
                return TensorKind(tuple(ranked.shape), format, has_sign)
        raise wrong_kind(path, type)

    arguments = []
    for index, (argument, own) in enumerate(zip(kind.inputs, attributes, strict=True)):
        if index == 0 and (_ROLE not in own or own[_ROLE].value != "input"):
            raise InputError(f'{path}: the first argument of @main lacks {_ROLE} = "input"')
        if index and _WEIGHT not in own:
            raise InputError(f"{path}: argument {index} of @main lacks {_WEIGHT} = NAME")
        name = own[_WEIGHT].value if index else ""
        # The sign of weights is in their array's dtype.
        arguments.append((name, kind_of(argument, own, has_sign=not index)))
    if len(kind.results) != 1:
        raise InputError(f"{path}: @main must return one tensor, it returns {len(kind.results)}")
    results = main.attributes.get("res_attrs", [{}])
    output = kind_of(kind.results[0], results[0])
    check_batch_dimension(path, arguments[0][1], output)
    return arguments, output


def _library(path: Path, module: Any) -> tuple[dict[int, Instance], dict[int, str]]:
    """Return the instances that a module declares: those of library cores, and why not the rest."""
    found: dict[int, Instance] = {}
    missing: dict[int, str] = {}
    by_module = {core.module: core for core in library_cores().values()}
    for library in module.body.operations:
        if library.operation.name != "approx.library":
            continue
        for op in library.regions[0].blocks[0].operations:
            said = op.attributes
            number, kind, name = said["id"].value, said["op"].value, said["module"].value
            parameters = {item.name: item.attr.value for item in said["parameters"]}
            own, wrapper = split_wrapper(parameters)
            core = by_module.get(inner_module(name) if wrapper else name)
            place = f"{path}: approx.core {number} ({name})"
            if core is None or core.op != kind:
                near = difflib.get_close_matches(name, by_module, n=1)
                missing[number] = (
                    f"approx.core {number} is the module '{name}', no {kind} of the library"
                    + (f" (did you mean '{near[0]}'?)" if near else "")
                    + f"; give the ops a core whose Verilog is known: --bind {kind}=FILE.v"
                )
                continue
            try:
                instance = wrapped(core.instance(own), wrapper).without_given_defaults()
            except InputError as error:
                raise InputError(f"{place}: {error}") from None
            declared = said["latency"].value, said["interval"].value
            if declared != (instance.latency, instance.interval):
                raise InputError(
                    f"{place}: declares latency {declared[0]} and interval {declared[1]}, the "
                    f"library's core has {instance.latency} and {instance.interval}"
                )
            found[number] = instance
    return found, missing


def _unbind(path: Path, module: Any) -> tuple[Binding | None, tuple[tuple[str, str, str], ...]]:
    """Take the instances from a module's ops; return them as rules, and what has no known core.

    Rules are by layer.  Ops of one layer and kind that an edit has bound apart become layers of
    their own within it (`dense/mulf_2`), so that a rule can say each.
    """
    from mlir import ir

    found, missing = _library(path, module)
    ops = [
        (op, layer)
        for op, layer in with_layers(module.operation)
        if op.name.startswith("approx.") and op.name.removeprefix("approx.") in OP_KINDS
    ]
    bound: dict[tuple[str, str], set[int | None]] = {}
    for op, layer in ops:
        bound.setdefault((op.name.removeprefix("approx."), layer), set()).add(_instance(op))
    rules: dict[tuple[str, str | None], Rule] = {}
    unknown: dict[tuple[str, str], str] = {}
    for op, layer in ops:
        kind, number = op.name.removeprefix("approx."), _instance(op)
        if number is None:
            continue
        if any(
            values != {number}
            for (other, place), values in bound.items()
            if other == kind and is_within(place, layer or None)
        ):
            layer = f"{layer}/{kind}_{number}" if layer else f"{kind}_{number}"
            op.attributes[_LAYER] = ir.StringAttr.get(layer)
        if number in missing:
            unknown[kind, layer] = missing[number]
        else:
            # Without a name all ops of the kind are bound alike.
            rules[kind, layer or None] = Rule(kind, found[number], layer or None)
        del op.attributes["instance"]
    for op in list(module.body.operations):
        if op.operation.name == "approx.library":
            op.operation.erase()
    binding = Binding(tuple(rules.values())) if rules else None
    return binding, tuple((*place, message) for place, message in unknown.items())


def _instance(op: Any) -> int | None:
    return int(op.attributes["instance"].value) if "instance" in op.attributes else None
