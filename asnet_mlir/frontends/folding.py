# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on weights only is done once, when a network is loaded.

`approx-fold-weights` moves it out of the network; here its results are computed, to the bits of
`docs/semantics.md`, and become weights like the framework's own.  numpy computes them where it has
what they need (`array_code.py`), else the scalar reference, which must be compiled for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from asnet_mlir import dialects
from asnet_mlir.compiler import TO_APPROX, mark_arguments
from asnet_mlir.errors import UnsupportedError
from asnet_mlir.frontends.array_code import compute_arrays
from asnet_mlir.frontends.weights import TensorKind, as_weight
from asnet_mlir.ir import main_function, module_from_text, run_passes
from asnet_mlir.network import Form, Network, Weight
from asnet_mlir.reference import to_native

__all__ = ["fold_weights"]

_FOLD = "builtin.module(asnet-fold-weights)"
_OUTLINED = "folded_weights"


@dataclass(frozen=True)
class _Split:
    """A lowered network after the pass.

    Attributes:
      main: text of the module without the outlined function.
      weights: names and kinds of `@main`'s arguments after the input.
      folding: text of a module whose `@main` computes what was folded, or None for nothing.
      inputs, results: the weights it takes; names and kinds of its results.
    """

    main: str
    weights: tuple[tuple[str, TensorKind], ...]
    folding: str | None
    inputs: tuple[str, ...] = ()
    results: tuple[tuple[str, TensorKind], ...] = ()


def fold_weights(network: Network) -> Network:
    """Return the network with all arithmetic on weights and constants only done.

    The results are weights of the new network, named `LAYER/folded`; weights that only they needed
    are gone.  A binding never reaches that arithmetic, and hardware holds its results.

    A network that can't be lowered is returned as it is: the error belongs to who lowers it.  So is
    one in a process that can't hold MLIR: the worker that runs the public functions folds it.
    """
    if network.unfolded is not None or network.is_approx or not dialects.can_load():
        return network
    batch = network.fixed_batch or 1
    try:
        split = _split(network.lower(batch), network)
    except UnsupportedError:
        return network
    values = {weight.name: weight.value for weight in network.weights}
    if split.folding is not None:
        values |= _evaluate(split.folding, split, values)

    return replace(
        network,
        weights=tuple(Weight(name, values[name]) for name, _ in split.weights),
        lowering=_Folded(network, split, batch),
        unfolded=network,
    )


class _Folded:
    """The lowering of a network without what has been folded."""

    def __init__(self, network: Network, split: _Split, batch: int) -> None:
        self._network = network
        self._split = split
        self._batch = batch
        self.fixed_batch = network.fixed_batch
        self.computes = network.lowering.computes

    def text(self, form: Form, batch: int) -> str:
        if form != "linalg":
            return self._network.lowering.text(form, batch)
        again = self._split
        if batch != self._batch:
            again = _split(self._network.lower(batch), self._network)
        if again.weights != self._split.weights:
            raise UnsupportedError(
                f"{self._network.name}: what it computes of its weights depends on the batch size"
            )
        return again.main

    def compute(self, x: np.ndarray) -> np.ndarray:
        return self._network.lowering.compute(x)


def _split(text: str, network: Network) -> _Split:
    with module_from_text(text) as module:
        from mlir import ir

        mark_arguments(module, network)
        run_passes(module, _FOLD, network.name)
        functions = {
            ir.StringAttr(op.attributes["sym_name"]).value: op
            for op in module.body.operations
            if "sym_name" in op.attributes
        }
        main, outlined = functions["main"], functions.get(_OUTLINED)
        weights = _named(main, "arg_attrs", main.attributes["function_type"].value.inputs)
        if outlined is None:
            return _Split(module.operation.get_asm(enable_debug_info=True), weights, None)
        kind = outlined.attributes["function_type"].value
        inputs = _named(outlined, "arg_attrs", kind.inputs)
        results = _named(outlined, "res_attrs", kind.results)
        outlined.detach_from_parent()
        main_text = module.operation.get_asm(enable_debug_info=True)
        main.operation.erase()
        del outlined.attributes["res_attrs"]
        outlined.attributes["sym_name"] = ir.StringAttr.get("main")
        module.body.append(outlined)
        return _Split(
            main_text,
            weights,
            module.operation.get_asm(enable_debug_info=True),
            tuple(name for name, _ in inputs),
            results,
        )


def _named(function: Any, attribute: str, types: Any) -> tuple[tuple[str, TensorKind], ...]:
    """Return the name and kind of each argument or result that is a weight."""
    from mlir import ir

    if attribute not in function.attributes:  # no arguments
        return ()
    dictionaries = ir.ArrayAttr(function.attributes[attribute])
    return tuple(
        (ir.StringAttr(attributes["approx.weight"]).value, TensorKind.of_signless(kind))
        for attributes, kind in zip(map(ir.DictAttr, dictionaries), types, strict=True)
        if "approx.weight" in attributes
    )


def _evaluate(folding: str, split: _Split, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the folded values by name, computed with exact ops in the defined order."""
    arguments = [values[name] for name in split.inputs]
    with module_from_text(folding) as module:
        run_passes(module, TO_APPROX, "folding weights")
        try:
            arrays = compute_arrays(main_function(module), arguments)
        except UnsupportedError:
            arrays = _compiled(str(module), split, arguments)
    return {
        name: as_weight(name, np.ascontiguousarray(array)).value
        for (name, _), array in zip(split.results, arrays, strict=True)
    }


def _compiled(text: str, split: _Split, arguments: list[np.ndarray]) -> list[np.ndarray]:
    """Return what a module of the approx dialect computes, as scalar loops."""
    results = [np.empty(kind.shape, kind.format.dtype) for _, kind in split.results]
    to_native(text, "")("main", *arguments, *results)
    return results
