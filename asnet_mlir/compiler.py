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

from asnet_mlir.binding import Binding
from asnet_mlir.cores import Instance, derive_models, load_core
from asnet_mlir.cores.core import EXACT_CORES
from asnet_mlir.cores.models.model import model_symbol
from asnet_mlir.cores.simulation.latency import with_latency
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.ir import main_function, module_from_text, run_passes, walk
from asnet_mlir.network import Network, Weight

__all__ = [
    "bind",
    "bind_for_hardware",
    "bound_module",
    "mark_arguments",
    "model_texts",
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
        mark_arguments(module, network.weights)
        _rename(module, network.name)
        run_passes(module, TO_APPROX, network.name)
        return str(module)


def mark_arguments(module: Any, weights: Sequence[Weight]) -> None:
    """Mark the first argument of `@main` as the input and the others as `weights`."""
    from mlir import ir

    main_function(module).attributes["arg_attrs"] = ir.ArrayAttr.get(
        [
            ir.DictAttr.get({"approx.role": ir.StringAttr.get("input")}),
            *(
                ir.DictAttr.get({"approx.weight": ir.StringAttr.get(weight.name)})
                for weight in weights
            ),
        ]
    )


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
      The module, in which every op is bound, and all instances by ID.

    Raises:
      UnsupportedError: an op is on another format than f32.
    """
    with bound_module(approx, binding) as module:
        from mlir import ir

        run_passes(module, "builtin.module(approx-subf-to-addf)", "binding")
        instances = dict(binding.instances)
        ids = {instance.content_hash: number for number, instance in instances.items()}
        for op in walk(module.operation):
            kind = op.name.removeprefix("approx.")
            if not op.name.startswith("approx.") or kind not in EXACT_CORES:
                continue
            operand = op.operands[0].type
            format = str(getattr(operand, "element_type", operand))
            if format != "f32":
                raise UnsupportedError(
                    f"hardware computes on f32; the network has {kind} on {format}"
                )
            if "instance" not in op.attributes:
                chosen = (exact or {}).get(kind) or load_core(EXACT_CORES[kind]).instance()
                number = ids.setdefault(chosen.content_hash, len(ids) + 1)
                instances[number] = chosen
                op.attributes["instance"] = ir.IntegerAttr.get(
                    ir.IntegerType.get_signless(32), number
                )
        _declare(module, instances, units=True)
        module.operation.verify()
        return str(module), instances


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
    main = main_function(module)
    if "res_attrs" in main.attributes:
        del main.attributes["res_attrs"]


def _apply(module: Any, binding: Binding) -> None:
    """Declare the binding's instances and run its rules."""
    if not binding.rules:
        return
    _declare(module, binding.instances)
    pipeline = f"builtin.module(approx-bind-instances{{bindings={binding.pass_option}}})"
    try:
        run_passes(module, pipeline, None)
    except UnsupportedError as error:
        text = str(error)
        for number, rule in binding.numbered.items():
            text = text.replace(f"'{number}'", f"'{rule.typed or rule.label}'")
        raise InputError(text) from None


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
            parameters = {key: ir.IntegerAttr.get(i64, value) for key, value in instance.parameters}
            core = approx.CoreOp(  # type: ignore[attr-defined]
                number,
                instance.core.op,
                instance.core.module,
                ir.DictAttr.get(parameters),
                instance.unit_latency if units else instance.latency,
                instance.unit_interval if units else instance.interval,
            )
            if instance.core.format not in (None, "f32"):
                core.attributes["format"] = ir.StringAttr.get(instance.core.format)
