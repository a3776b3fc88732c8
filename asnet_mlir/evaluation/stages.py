# SPDX-License-Identifier: Apache-2.0
"""Stages: the parts of a network, one a layer, that are compiled, cached and run by themselves.

    approx module --split--> stages --bind, models, lanes, loops--> object files

A stage's native code depends on its own text and on what its own ops are bound to.  So a binding
that changes one layer compiles one stage, one that changes a parameter of a truncating core
compiles none (masks are arguments), and results of the stages before it can be used again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from asnet_mlir.binding import Binding, Rule
from asnet_mlir.errors import UnsupportedError
from asnet_mlir.ir import main_function, module_from_text, operand_format, run_passes
from asnet_mlir.native.objects import native_key
from asnet_mlir.support.cache import cached_text

__all__ = ["Split", "Stage", "split_stages"]

_SPLIT = "builtin.module(approx-split-stages)"
_ADD_LANES = "builtin.module(approx-add-lanes{lanes=2})"


@dataclass(frozen=True)
class Stage:
    """One layer of a network, unbound.

    Attributes:
      text: a module with the function `@main`, whose arguments and results are numbered values of
        the network (`approx.value`) or weights (`approx.weight`).
      layer: its name; empty where it has none.
      sites: op kinds that occur, each with the layer of the op and the format of its operands: what
        a binding can bind.
      inputs, outputs: numbers of the values it reads and gives.
    """

    text: str
    layer: str
    sites: tuple[tuple[str, str, str], ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def output_kinds(self) -> dict[int, tuple[tuple[int, ...], str]]:
        """Return the shape, its batch included, and MLIR's element type of each output's value."""
        with module_from_text(self.text) as module:
            results = main_function(module).attributes["function_type"].value.results
            kinds = [(tuple(kind.shape), str(kind.element_type)) for kind in results]
        return dict(zip(self.outputs, kinds, strict=True))

    def restrict(self, binding: Binding) -> Binding:
        """Return the rules of `binding` that decide about this stage, with IDs of their own."""
        deciding = [binding.rule_for(*site) for site in self.sites]
        return Binding(tuple(rule for rule in binding.rules if rule in deciding))

    def is_reached_by(self, rule: Rule) -> bool:
        """Return whether a rule fits an op of this stage."""
        return any(rule.fits(*site) for site in self.sites)


@dataclass(frozen=True)
class Split:
    """A network as its stages, in the order of computation.

    Attributes:
      has_lanes: whether every op has a form for several samples at once.
    """

    stages: tuple[Stage, ...]
    has_lanes: bool


def split_stages(approx: str) -> Split:
    """Split a module of the approx dialect (unbound) into its stages.

    Raises:
      UnsupportedError: the network is not straight-line code.
    """
    content = json.loads(
        cached_text("stages", native_key("split", approx), lambda: json.dumps(_split(approx)))
    )
    stages = tuple(
        Stage(
            item["text"],
            item["layer"],
            tuple((kind, layer, format) for kind, layer, format in item["sites"]),
            tuple(item["inputs"]),
            tuple(item["outputs"]),
        )
        for item in content["stages"]
    )
    return Split(stages, content["has_lanes"])


def _split(approx: str) -> dict[str, Any]:
    stages, has_lanes = [], True
    with module_from_text(approx) as module:
        from mlir import ir

        run_passes(module, _SPLIT, "splitting into stages")
        for op in module.body.operations:
            name = op.attributes["sym_name"].value if "sym_name" in op.attributes else ""
            if not name.startswith("stage_"):
                continue
            layer = op.attributes["approx.stage"].value if "approx.stage" in op.attributes else ""
            op.attributes["sym_name"] = ir.StringAttr.get("main")
            stages.append(
                {
                    "text": f"module {{\n{op}\n}}\n",
                    "layer": layer,
                    "sites": sorted(_sites(op)),
                    "inputs": _numbers(op, "arg_attrs"),
                    "outputs": _numbers(op, "res_attrs"),
                }
            )
            has_lanes = has_lanes and _has_lanes(op)
    return {"stages": stages, "has_lanes": has_lanes}


def _sites(op: Any, layer: str = "") -> set[tuple[str, str, str]]:
    """Return kind, layer and format of the approx ops in `op`; a layer holds for all inside."""
    if "approx.layer" in op.attributes:
        layer = op.attributes["approx.layer"].value
    found = set()
    if op.operation.name.startswith("approx."):
        found.add((op.operation.name.removeprefix("approx."), layer, operand_format(op).name))
    for region in op.regions:
        for block in region:
            for child in block:
                found |= _sites(child, layer)
    return found


def _has_lanes(function: Any) -> bool:
    from mlir import ir

    module = ir.Module.create()
    module.body.append(function.operation.clone())
    try:
        run_passes(module, _ADD_LANES, "vectorizing")
    except UnsupportedError:
        return False
    return True


def _numbers(function: Any, attribute: str) -> list[int]:
    if attribute not in function.attributes:
        return []
    return [
        entry["approx.value"].value
        for entry in function.attributes[attribute]
        if "approx.value" in entry
    ]
