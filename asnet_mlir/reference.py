# SPDX-License-Identifier: Apache-2.0
"""The reference: a bound network as scalar loops, against which all faster code is tested."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.ir import main_function, module_from_text, run_passes, walk
from asnet_mlir.native.jit import CompiledModule, library_paths
from asnet_mlir.native.objects import compile_object, native_key
from asnet_mlir.support.cache import cached_bytes
from asnet_mlir.support.formats import parse_format

__all__ = ["StagedReference", "to_native"]

_SPLIT = "builtin.module(approx-split-stages)"
_LOWER = "builtin.module(asnet-reference)"
#: Of LLVM's optimizer: its vectorizers double the time, and the order of sums is fixed anyway.
_LEVEL = 2


def to_native(
    bound: str, models: str, *, callbacks: Mapping[str, Any] | None = None
) -> CompiledModule:
    """Compile a bound module as the reference: scalar loops, one sample after the other.

    `("main", x, *weights, y)` runs it.  The evaluator's code, which is much faster, is tested
    against it.

    Args:
      bound: what `bind` or `bind_for_hardware` returned.
      models: what `model_texts` returned for the instances that are bound.
      callbacks: C functions (of ctypes) that `models` declare, by their names.
    """
    with module_from_text(bound) as module:
        from mlir import ir

        # The module object must outlive the move of its operations.
        parsed = ir.Module.parse(models)
        for op in list(parsed.body.operations):
            module.body.append(op)
        main = main_function(module)
        function = ir.FunctionType(main.attributes["function_type"].value)
        shapes = [
            tuple(ir.ShapedType(kind).shape) for kind in (*function.inputs, *function.results)
        ]
        run_passes(module, _LOWER, "lowering to LLVM")
        compiled = CompiledModule(module, shapes={"main": shapes}, callbacks=callbacks)
    return compiled


@dataclass(frozen=True)
class _Value:
    """A value between stages: of one sample."""

    number: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class _Part:
    """A stage as a module with the function `@main`, without a name of the network in it.

    `inputs` and `outputs` are values, `weights` names, in the order of its arguments.
    """

    text: str
    inputs: tuple[_Value, ...]
    weights: tuple[tuple[str, tuple[int, ...]], ...]
    outputs: tuple[_Value, ...]

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the arguments."""
        values = [value.shape for value in self.inputs]
        weights = [shape for _, shape in self.weights]
        return [*values, *weights, *(value.shape for value in self.outputs)]


class StagedReference:
    """The reference, one stage after the other; its bits are those of `to_native`.

    LLVM takes minutes for a deep network as one function.  Here equal stages are compiled once,
    side by side, and kept on disk.
    """

    def __init__(self, bound: str, models: str) -> None:
        """Compile a bound network, see `to_native`."""
        self.parts, self._inputs, self._weights, self._outputs = _split(bound)
        distinct = list({part.text: part for part in self.parts}.values())
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            codes = pool.map(lambda part: _compiled(part, models), distinct)
            self._compiled = dict(zip((part.text for part in distinct), codes, strict=True))
        values = {value for part in self.parts for value in part.outputs}
        self._arrays = {value.number: np.empty(value.shape, value.dtype) for value in values}

    def __call__(
        self,
        inputs: Sequence[np.ndarray],
        weights: Sequence[np.ndarray],
        outputs: Sequence[np.ndarray],
    ) -> None:
        """Compute one sample; arrays are in the order of the network's arguments and results.

        Raises:
          InputError: the weights are not the network's.
        """
        given = [array.shape for array in weights]
        if given != [shape for _, shape in self._weights]:
            raise InputError(
                f"the network has {len(self._weights)} arrays of weights, given were {len(given)}, "
                "or their shapes differ; generate the bundle anew"
            )
        arrays = {**self._arrays, **dict(zip(self._outputs, outputs, strict=True))}
        arrays |= dict(zip(self._inputs, inputs, strict=True))
        named = dict(zip((name for name, _ in self._weights), weights, strict=True))
        for part in self.parts:
            self._compiled[part.text](
                "main",
                *(arrays[value.number] for value in part.inputs),
                *(named[name] for name, _ in part.weights),
                *(arrays[value.number] for value in part.outputs),
            )
        for number, output in zip(self._outputs, outputs, strict=True):
            if arrays[number] is not output:  # an input, or the same value twice
                output[...] = arrays[number]


def _split(
    bound: str,
) -> tuple[list[_Part], tuple[int, ...], tuple[tuple[str, tuple[int, ...]], ...], tuple[int, ...]]:
    """Return the stages of a bound network, the numbers of its inputs, names and shapes of its
    weights in order, and the numbers of its outputs.
    """
    from mlir import ir

    with module_from_text(bound) as module:
        run_passes(module, _SPLIT, "splitting into stages")
        main, parts = main_function(module), []
        libraries = [op for op in module.body.operations if op.operation.name == "approx.library"]
        inputs = tuple(value.number for value in _values(main, "arg_attrs"))
        weights = _named_weights(main)
        outputs = tuple(value.number for value in _values(main, "res_attrs"))
        for op in module.body.operations:
            name = op.attributes["sym_name"].value if "sym_name" in op.attributes else ""
            if not name.startswith("stage_"):
                continue
            taken, given = _values(op, "arg_attrs"), _values(op, "res_attrs")
            named = _named_weights(op)
            op.attributes["sym_name"] = ir.StringAttr.get("main")
            for inner in walk(op.operation):
                for attribute in ("arg_attrs", "res_attrs", "approx.layer", "approx.stage"):
                    if attribute in inner.attributes:
                        del inner.attributes[attribute]
            alone = ir.Module.create()  # so that its values are numbered from 0
            for one in (*libraries, op):
                alone.body.append(one.operation.clone())
            parts.append(_Part(str(alone), taken, named, given))
    return parts, inputs, weights, outputs


def _kinds(function: Any, attribute: str) -> list[tuple[Any, Any]]:
    """Return type and attributes of each argument, or result, of a function."""
    kind = function.attributes["function_type"].value
    types = kind.inputs if attribute == "arg_attrs" else kind.results
    if attribute not in function.attributes:
        return []
    return list(zip(types, function.attributes[attribute], strict=True))


def _values(function: Any, attribute: str) -> tuple[_Value, ...]:
    return tuple(
        _Value(entry["approx.value"].value, tuple(kind.shape), _dtype(str(kind.element_type)))
        for kind, entry in _kinds(function, attribute)
        if "approx.value" in entry
    )


def _dtype(element: str) -> np.dtype[Any]:
    """Return how numbers between stages are kept; there are some that no network takes or gives."""
    inner = {"i1": np.bool_, "i64": np.int64}
    return np.dtype(inner[element] if element in inner else parse_format(element).dtype)


def _named_weights(function: Any) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple(
        (entry["approx.weight"].value, tuple(kind.shape))
        for kind, entry in _kinds(function, "arg_attrs")
        if "approx.weight" in entry
    )


def _compiled(part: _Part, models: str) -> CompiledModule:
    """Return a stage's code, from the cache where it was made before."""

    def make() -> bytes:
        with module_from_text(part.text) as module:
            from mlir import ir

            parsed = ir.Module.parse(models)
            for op in list(parsed.body.operations):
                module.body.append(op)
            run_passes(module, _LOWER, "lowering to LLVM")
            header = json.dumps(library_paths(module)).encode()
            return header + b"\n" + compile_object(module, _LEVEL)

    stored = cached_bytes("reference", native_key("reference", part.text, models), make)
    header, _, code = stored.partition(b"\n")
    return CompiledModule.from_object(code, json.loads(header), {"main": part.shapes})
