# SPDX-License-Identifier: Apache-2.0
"""The way of a network through the compiler, form by form.

Every step takes and gives the text of an MLIR module, so that each can be printed, changed by hand
and fed back (`asnet compile --emit FORM`, `asnet-opt`).

    stablehlo --frontends--> linalg --to_approx--> approx --bind--> bound --to_llvm--> llvm
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from asnet_mlir.binding import Binding, layer_option
from asnet_mlir.cores import Instance, derive_models, load_core
from asnet_mlir.cores.core import EXACT_CORES
from asnet_mlir.cores.models.model import model_symbol
from asnet_mlir.cores.reading.code_wrapper import wrapper_for
from asnet_mlir.cores.simulation.latency import with_latency
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.ir import (
    main_function,
    mark_parts,
    module_from_text,
    operand_format,
    run_passes,
    walk,
    with_layers,
)
from asnet_mlir.network import Network
from asnet_mlir.support.formats import F32, OP_KINDS, NumberFormat, OpKind, format_of_element

__all__ = [
    "bind",
    "bind_for_hardware",
    "bound_module",
    "mark_arguments",
    "model_texts",
    "split_by_channels",
    "to_approx",
]

TO_APPROX = "builtin.module(asnet-to-approx)"


def to_approx(network: Network, batch: int) -> str:
    """Lower a network to linalg on tensors whose arithmetic is that of the approx dialect.

    Arguments of `@main` carry `approx.role = "input"` or `approx.weight = NAME`.

    Raises:
      UnsupportedError: an op that the dialect can't express, named with layer and location.
    """
    if network.is_approx:
        return network.lowering.text("approx", batch)
    with module_from_text(network.lower(batch)) as module:
        mark_arguments(module, network)
        _rename(module, network.name)
        run_passes(module, TO_APPROX, network.name)
        return str(module)


def mark_arguments(module: Any, network: Network) -> None:
    """Mark the first argument of `@main` as the network's input and the others as its weights.

    Integers are signless in MLIR: where the network's input or output are read without a sign, that
    is marked as well; and so are the parts of rows, which a file of the module keeps (`parts_in`).
    """
    from mlir import ir

    def sign(format: NumberFormat) -> dict[str, Any]:
        return {} if format.is_signed else {"approx.unsigned": ir.UnitAttr.get()}

    main = main_function(module)
    mark_parts(ir, main, network.inputs, network.outputs)
    main.attributes["arg_attrs"] = ir.ArrayAttr.get(
        [
            ir.DictAttr.get(
                {"approx.role": ir.StringAttr.get("input"), **sign(network.input_format)}
            ),
            *(
                ir.DictAttr.get({"approx.weight": ir.StringAttr.get(weight.name)})
                for weight in network.weights
            ),
        ]
    )
    if "res_attrs" in main.attributes:  # the framework's
        del main.attributes["res_attrs"]
    if not network.output_format.is_signed:
        main.attributes["res_attrs"] = ir.ArrayAttr.get(
            [ir.DictAttr.get(sign(network.output_format))]
        )


def split_by_channels(
    approx: str, channels: Mapping[str, Sequence[tuple[int, int]]], every: int = 0
) -> str:
    """Compute ranges of layers' output channels apart in a module of the approx dialect.

    Args:
      channels: ranges by layer (`Binding.channels`).
      every: all layers that have output channels in ranges of so many besides; 0: none.

    Raises:
      InputError: a layer without output channels, or a range that is beyond them.
    """
    if not channels and not every:
        return approx
    with module_from_text(approx) as module:
        _split_channels(module, channels, every)
        return str(module)


def _split_channels(
    module: Any, channels: Mapping[str, Sequence[tuple[int, int]]], every: int = 0
) -> None:
    ranges = ",".join(
        f"{layer_option(layer)}={'+'.join(f'{begin}:{end}' for begin, end in some)}"
        for layer, some in channels.items()
    )
    given = f"ranges={ranges} " if ranges else ""
    try:
        run_passes(module, f"builtin.module(approx-split-channels{{{given}every={every}}})", None)
    except UnsupportedError as error:
        raise InputError(f"binding: {error}") from None


def bind(approx: str, binding: Binding) -> str:
    """Declare the binding's instances in a module of the approx dialect and apply its rules.

    Raises:
      InputError: a rule names a layer that the network does not have.
    """
    with bound_module(approx, binding) as module:
        return str(module)


@contextlib.contextmanager
def bound_module(approx: str, binding: Binding) -> Iterator[Any]:
    """Yield what `bind` returns as an open module, in whose context the block runs."""
    with module_from_text(approx) as module:
        _apply(module, binding)
        yield module


def bind_for_hardware(
    approx: str, binding: Binding, exact: Mapping[str, Instance] | None = None
) -> tuple[str, dict[int, Instance]]:
    """Bind like `bind`, and bind the ops that have no rule to the library's exact cores.

    Hardware has no operation without a core.  Exact subtractions become additions first, so that
    they share the adder.

    Args:
      approx: module of the approx dialect.
      binding: the rules.
      exact: other instances for ops without a rule, by kind.

    Returns:
      The module, in which every op is bound, and all instances by ID.  Integer ops without a rule
      are plain logic.

    Raises:
      UnsupportedError: see `_check_for_hardware`.
    """
    with bound_module(approx, binding) as module:
        from mlir import ir

        _check_for_hardware(module)
        run_passes(module, "builtin.module(approx-subf-to-addf)", "binding")
        instances = dict(binding.instances)
        ids = {instance.content_hash: number for number, instance in instances.items()}
        for op in list(walk(module.operation)):
            kind = op.name.removeprefix("approx.")
            if not op.name.startswith("approx.") or kind not in OP_KINDS:
                continue
            if kind not in EXACT_CORES:
                _make_plain(op, OP_KINDS[kind])
            elif "instance" not in op.attributes:
                chosen = (exact or {}).get(kind) or load_core(EXACT_CORES[kind]).instance()
                number = ids.setdefault(chosen.content_hash, len(ids) + 1)
                instances[number] = chosen
                op.attributes["instance"] = ir.IntegerAttr.get(
                    ir.IntegerType.get_signless(32), number
                )
        _declare(module, instances, units=True)
        module.operation.verify()
        return str(module), instances


#: What hardware computes with units.
_UNITS_ON = (F32,)


def _check_for_hardware(module: Any) -> None:
    """Refuse what hardware has no words, memories or units for: here, and nowhere else.

    Raises:
      UnsupportedError: naming the input, the output, the weight or the layer, and its format.
    """
    only = f"hardware computes on {', '.join(map(str, _UNITS_ON))}"
    main = main_function(module)
    kinds = main.attributes["function_type"].value
    arguments = list(main.attributes.get("arg_attrs", [{}] * len(kinds.inputs)))
    results = main.attributes.get("res_attrs", [{}])
    edges = [("input", kinds.inputs[0], arguments[0]), ("output", kinds.results[0], results[0])]
    for what, kind, own in edges:
        element = str(kind.element_type)
        format = format_of_element(element, is_unsigned="approx.unsigned" in own)
        if format is None or not _has_words(format):
            raise UnsupportedError(
                f"{only}; the network's {what} is {format or element}{_remedy(format)}"
            )
    for op, layer in with_layers(module.operation):
        kind_name = op.name.removeprefix("approx.")
        if not op.name.startswith("approx.") or kind_name not in OP_KINDS:
            continue
        format = operand_format(op)
        is_plain = not OP_KINDS[kind_name].is_float and "instance" not in op.attributes
        if format not in _UNITS_ON and not (is_plain and kind_name in _PLAIN):
            where = f" (layer '{layer}')" if layer else ""
            bound = "" if "instance" not in op.attributes else "a core for "
            remedy = _CODES if bound and not format.is_float else _remedy(format)
            raise UnsupportedError(
                f"{only}; the network has {bound}{kind_name} on {format}{where}{remedy}"
            )
    for kind, own in zip(list(kinds.inputs)[1:], arguments[1:], strict=True):
        format = format_of_element(str(kind.element_type))
        if format is None or not _has_words(format):
            name = own["approx.weight"].value
            raise UnsupportedError(
                f"{only}; the weight '{name}' is of {kind.element_type}{_remedy(format)}"
            )


#: What can be done about cores for integers in a network that takes floats.
_CODES = "; networks that take codes or bytes, not f32, have hardware on codes"


def _remedy(format: NumberFormat | None) -> str:
    """Return what can be done about a format that hardware has not."""
    if format is None or not format.is_float:
        return ""
    return f"; asnet compile --widen makes {_UNITS_ON[0]} of {format}"


def _has_words(format: NumberFormat) -> bool:
    """Whether hardware has streams, memories and plain logic for a format: f32 and integers."""
    return format in _UNITS_ON or not format.is_float


#: Exact integer ops that are the same word for word in plain logic.
_PLAIN = ("addi", "subi", "muli", "maxi", "mini")


def _make_plain(op: Any, kind: OpKind) -> None:
    """Replace an exact integer op by the op of `arith` that it stands for."""
    from mlir import ir

    is_unsigned = "is_unsigned" in op.attributes
    result = op.results[0]
    extension = "arith.extui" if is_unsigned else "arith.extsi"
    with ir.InsertionPoint(op), op.location:
        operands = [
            value
            if value.type == result.type
            else ir.Operation.create(extension, results=[result.type], operands=[value]).result
            for value in op.operands
        ]
        plain = ir.Operation.create(
            kind.exact_unsigned if is_unsigned else kind.exact,
            results=[result.type],
            operands=operands,
        )
    if "approx.layer" in op.attributes:
        plain.attributes["approx.layer"] = op.attributes["approx.layer"]
    result.replace_all_uses_with(plain.result)
    op.erase()


def model_texts(instances: Mapping[int, Instance]) -> str:
    """Return the models of instances, functions named after their IDs, as one module's text."""
    models = derive_models({model_symbol(key): value for key, value in instances.items()})
    return "\n".join(model.text for model in models.values())


def _rename(module: Any, name: str) -> None:
    """Give the module its network's name and drop what the framework left on it."""
    from mlir import ir

    for attribute in list(module.operation.attributes):
        key = attribute if isinstance(attribute, str) else attribute.name
        del module.operation.attributes[key]
    module.operation.attributes["sym_name"] = ir.StringAttr.get(name)


def _apply(module: Any, binding: Binding) -> None:
    """Declare the binding's instances and run its rules."""
    if not binding.rules:
        return
    if binding.channels:
        _split_channels(module, binding.channels)
    _declare(module, binding.instances)
    pipeline = f"builtin.module(approx-bind-instances{{bindings={binding.pass_option}}})"
    try:
        run_passes(module, pipeline, None)
    except UnsupportedError as error:
        _check_formats(module, binding)
        text = str(error)
        for number, rule in binding.numbered.items():
            text = text.replace(f"'{number}'", f"'{rule.typed or rule.label}'")
        raise InputError(text) from None


def _check_formats(module: Any, binding: Binding) -> None:
    """Refuse a rule whose instance computes on another format than the ops that it is about.

    Raises:
      InputError: naming rule, formats, layer, and the wrapper that makes the core fit.
    """
    sites = [
        (op.name.removeprefix("approx."), layer, operand_format(op).name)
        for op, layer in with_layers(module.operation)
        if op.name.removeprefix("approx.") in OP_KINDS
    ]
    for rule in binding.rules:
        about = [site for site in sites if rule.fits(*site[:2])]
        if not about or any(rule.fits(*site) for site in about):
            continue
        kind, layer, format = about[0]
        where = f" (layer '{layer}')" if layer else ""
        hint = wrapper_for(rule.instance, format)
        raise InputError(
            f"binding '{rule.typed or rule.label}': {rule.instance.label} computes on "
            f"{rule.instance.format}, but {kind} is on {format} here{where}"
            + (f"; {hint}" if hint else "")
        )


def _declare(module: Any, instances: Mapping[int, Instance], units: bool = False) -> None:
    """Give the module a library of exactly `instances`, or with `units`, of their hardware."""
    from mlir import ir

    from asnet_mlir.dialects import approx

    for op in list(module.body.operations):
        if op.operation.name == "approx.library":
            op.operation.erase()
    if not instances:
        return
    i64 = ir.IntegerType.get_signless(64)
    with ir.InsertionPoint.at_block_begin(module.body):
        library = approx.LibraryOp()  # type: ignore[attr-defined]
        block = library.regions[0].blocks.append()
    with ir.InsertionPoint(block):
        for number, instance in instances.items():
            instance = with_latency(instance)
            # With those inside a wrapper for codes, from which a file's reader makes it again.
            given = dict(instance.parameters)
            if instance.core.inner is not None and not units:
                given = instance.all_parameters
            parameters = {key: ir.IntegerAttr.get(i64, value) for key, value in given.items()}
            core = approx.CoreOp(  # type: ignore[attr-defined]
                number,
                instance.core.op,
                instance.core.module,
                ir.DictAttr.get(parameters),
                instance.unit_latency if units else instance.latency,
                instance.unit_interval if units else instance.interval,
            )
            if instance.format not in (None, F32.name):
                core.attributes["format"] = ir.StringAttr.get(instance.format)
