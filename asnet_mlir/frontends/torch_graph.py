# SPDX-License-Identifier: Apache-2.0
"""Programs of `torch.export` as functions of JAX, op by op.

What depends on constants and shapes only is computed as the graph is read.  Ops in place give a new
value for what they change; where something else looks at the same memory, they are refused.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError, described
from asnet_mlir.frontends.graph_function import GraphFunction
from asnet_mlir.frontends.known_arrays import narrow
from asnet_mlir.frontends.onnx_graph import Known
from asnet_mlir.frontends.onnx_tensors import Constant, Tensor
from asnet_mlir.frontends.torch_archive import DAMAGED, DTYPES, TorchProgram
from asnet_mlir.frontends.torch_call import Call, TorchTranslation

__all__ = ["WITHOUT_NUMBERS", "TorchFunction", "targets"]

_ATEN = "torch.ops.aten."
_HIGHER = "torch.ops.higher_order."
#: Ops that say what holds, and give nothing.
_CLAIMS = ("_assert_", "sym_constrain_range", "_check")
#: How ops begin that are read here and not translated.
WITHOUT_NUMBERS = (*_CLAIMS, "sym_size", "sym_numel")
#: Ops whose results may look at the memory of what they take.
_VIEWS = frozenset(
    [
        "alias",
        "chunk",
        "contiguous",
        "detach",
        "diagonal",
        "expand",
        "expand_as",
        "flatten",
        "movedim",
        "narrow",
        "numpy_T",
        "permute",
        "real",
        "reshape",
        "select",
        "slice",
        "split",
        "split_with_sizes",
        "squeeze",
        "swapaxes",
        "swapdims",
        "t",
        "to",
        "transpose",
        "type_as",
        "unbind",
        "unflatten",
        "unfold",
        "unsqueeze",
        "view",
        "view_as",
    ]
)
_SPREADING = ("expand", "expand_as", "repeat")
#: Functions of numbers that shapes are computed by.
_SCALARS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "add": operator.add,
        "and_": operator.and_,
        "ceil": math.ceil,
        "eq": operator.eq,
        "floor": math.floor,
        "floordiv": operator.floordiv,
        "ge": operator.ge,
        "gt": operator.gt,
        "le": operator.le,
        "lt": operator.lt,
        "mod": operator.mod,
        "mul": operator.mul,
        "ne": operator.ne,
        "neg": operator.neg,
        "or_": operator.or_,
        "sub": operator.sub,
        "sym_float": float,
        "sym_int": int,
        "sym_ite": lambda chosen, one, other: one if chosen else other,
        "sym_max": max,
        "sym_min": min,
        "sym_not": operator.not_,
        "sym_sum": sum,
        "truediv": operator.truediv,
        "trunc": math.trunc,
    }
)
#: Kinds of arguments that stand for themselves, and lists of what may be computed.
_PLAIN = frozenset(
    f"as_{kind}"
    for kind in ("int", "ints", "string", "strings", "bool", "bools",
                 "memory_format", "layout", "int_lists")
)  # fmt: skip
_LISTS = frozenset(
    f"as_{kind}"
    for kind in ("tensors", "optional_tensors", "sym_ints", "sym_bools", "sym_floats")
)  # fmt: skip


def targets(program: TorchProgram) -> set[str]:
    """Return which ops a program calls.

    Raises:
      InputError: it is damaged.
    """
    with described("a damaged .pt2 file"):
        return {str(node["target"]) for node in _all_nodes(program.graph)}


def _all_nodes(graph: Mapping[str, Any]) -> Iterator[Any]:
    for node in graph["nodes"]:
        yield node
        for entry in node["inputs"]:
            if "as_graph" in entry["arg"]:
                yield from _all_nodes(entry["arg"]["as_graph"]["graph"])


class TorchFunction(GraphFunction):
    """The function of a program; outputs have PyTorch's order of dimensions."""

    def __init__(
        self, name: str, program: TorchProgram, translations: Mapping[str, TorchTranslation]
    ) -> None:
        """Prepare a program.

        Raises:
          InputError: it is damaged.
        """
        super().__init__(name)
        self._program, self._translations = program, translations
        self.outputs = program.outputs
        with described(f"{name}: a damaged .pt2 file"):
            metas = program.graph["tensor_values"]
            self.inputs = {own: _kind(name, own, metas[own]) for own in program.inputs}

    def _run(self, inputs: Mapping[str, Any]) -> list[Any]:
        values: dict[str, Any] = {
            node: Constant(array, self._program.names[node])
            for node, array in self._program.arrays.items()
        }
        values |= {name: Tensor.plain(jnp.asarray(array)) for name, array in inputs.items()}
        self._compute(self._program.graph, values)
        results = []
        for output in self.outputs:
            known = _named(self.name, values, output)
            results.append(
                known.logical if isinstance(known, Tensor) else self._arrays.array(known)
            )
        return results

    def _compute(self, graph: Mapping[str, Any], values: dict[str, Any]) -> None:
        """Compute a graph's nodes, in order; `values` grows by what they give."""
        with described(f"{self.name}: a damaged .pt2 file"):
            memory = _Memory(graph)
        for index, node in enumerate(graph["nodes"]):
            target, layer = str(node["target"]), _layer(node)
            about = f"{self.name}: op {target.removeprefix('torch.ops.')} of layer '{layer}'"
            try:
                results = self._node(node, target, layer, values)
                if _in_place(target):
                    for name in memory.changed(node, index):
                        values[name] = results[0]
            except InputError as error:
                text = str(error).removeprefix(f"{self.name}: ")
                raise type(error)(f"{self.name}: {text}" if text.startswith("op ") else
                                  f"{about}: {text}") from None  # fmt: skip
            except (*DAMAGED, ZeroDivisionError) as error:
                detail = " ".join(str(error).split())[:200]
                raise InputError(f"{about}: {detail or type(error).__name__}") from None
            values.update(zip(_given(node), results, strict=False))

    def _node(self, node: Any, target: str, layer: str, values: Mapping[str, Any]) -> list[Any]:
        arguments = {
            str(entry["name"]): _argument(self.name, entry["arg"], values)
            for entry in node["inputs"]
        }
        if target.startswith(("_operator.", "math.", "torch.sym_")):
            return [_scalar(target, list(arguments.values()))]
        if target.startswith(_HIGHER):
            return self._higher(target.removeprefix(_HIGHER), arguments, values)
        if not target.startswith(_ATEN):
            raise UnsupportedError("is a custom op")
        op, _, overload = target.removeprefix(_ATEN).partition(".")
        if op.startswith(_CLAIMS):
            return []
        if op == "sym_size":
            return [arguments["self"].shape[arguments["dim"]]]
        if op == "sym_numel":
            return [math.prod(arguments["self"].shape)]
        translate = self._translations.get(op) or self._translations.get(op.rstrip("_"))
        if translate is None:
            raise UnsupportedError("is not supported")

        def run(graph: Any, given: Sequence[Any]) -> list[Known]:
            return self._subgraph(graph, given, values)

        call = Call(op.rstrip("_"), overload, layer, arguments, self._arrays, run)
        known = not any(isinstance(part, Tensor) for part in _parts(arguments))
        with jax.named_scope(layer):
            if known and not _spreads_weights(call):
                return self._evaluate(translate, call, _given(node))
            result = translate(call)
        parts = result if isinstance(result, tuple | list) else [result]
        return [_known(part, name) for part, name in zip(parts, _given(node), strict=False)]

    def _evaluate(self, translate: TorchTranslation, call: Call, names: list[str]) -> list[Any]:
        """Return what an op gives for constants only."""
        with jax.ensure_compile_time_eval(), np.errstate(all="ignore"):
            plain = {name: _as_plain(part) for name, part in call.arguments.items()}
            result = translate(
                Call(call.op, call.overload, call.layer, plain, call.arrays, call.run)
            )
            parts = result if isinstance(result, tuple | list) else [result]
            arrays = [p.logical if isinstance(p, Tensor) else p for p in parts]
        return [
            array if isinstance(array, Constant) else Constant(np.asarray(array), name)
            for array, name in zip(arrays, names, strict=False)
        ]

    def _higher(
        self, op: str, arguments: Mapping[str, Any], values: Mapping[str, Any]
    ) -> list[Any]:
        """Return what an op on graphs gives: those that set how PyTorch computes."""
        parts = list(arguments.values())
        graphs = [i for i, part in enumerate(parts) if isinstance(part, dict) and "nodes" in part]
        if op not in ("wrap_with_set_grad_enabled", "wrap_with_autocast") or len(graphs) != 1:
            raise UnsupportedError("is not supported")
        given: list[Any] = []
        for part in parts[graphs[0] + 1 :]:
            given += part if isinstance(part, list) else [part]
        return self._subgraph(parts[graphs[0]], given, values)

    def _subgraph(self, graph: Any, given: Sequence[Any], values: Mapping[str, Any]) -> list[Known]:
        names = [next(iter(entry.values()))["name"] for entry in graph["inputs"]]
        own = {**values, **dict(zip(names, given, strict=True))}
        self._compute(graph, own)
        return [_argument(self.name, entry, own) for entry in graph["outputs"]]


class _Memory:
    """Which values of a graph may lie in the same memory, for ops that change it in place."""

    def __init__(self, graph: Mapping[str, Any]) -> None:
        self._made: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._first: dict[str, str] = {}  # the first name of what ops in place gave new ones
        self._base: dict[str, str] = {}  # what a view, or a view of one, looks at
        self._views: dict[str, list[str]] = {}
        for index, node in enumerate(graph["nodes"]):
            taken, given = list(_taken(node)), _given(node)
            self._last |= dict.fromkeys(taken, index)
            self._made |= dict.fromkeys(given, index)
            if taken and _in_place(str(node["target"])):
                self._first |= dict.fromkeys(given, self._first.get(taken[0], taken[0]))
            elif not taken or _op(node) not in _VIEWS:
                continue
            base = self._base.get(taken[0], taken[0])
            self._base |= dict.fromkeys(given, base)
            self._views.setdefault(base, [base]).extend(given)
        self._last |= dict.fromkeys(
            (own["as_tensor"]["name"] for own in graph["outputs"] if "as_tensor" in own),
            len(graph["nodes"]),
        )

    def changed(self, node: Any, index: int) -> list[str]:
        """Return the names of what a node changes in place.

        Raises:
          UnsupportedError: something else looks at it, and is used later.
        """
        own = next(_taken(node))
        first, names = self._first.get(own, own), []
        for name in self._views[self._base.get(own, own)]:
            if self._made.get(name, -1) >= index:
                continue
            if self._first.get(name, name) == first:
                names.append(name)
            elif self._last.get(name, -1) > index:
                raise UnsupportedError(
                    f"changes in place what '{name}' looks at; export the program with "
                    "run_decompositions({}), which writes it without"
                )
        return names


def _op(node: Any) -> str:
    return str(node["target"]).removeprefix(_ATEN).partition(".")[0]


def _in_place(target: str) -> bool:
    op = target.removeprefix(_ATEN).partition(".")[0]
    return target.startswith(_ATEN) and op.endswith("_") and not op.startswith(_CLAIMS)


def _taken(node: Any) -> Iterator[str]:
    """Yield the names of the tensors that a node takes."""
    for entry in node["inputs"]:
        ((kind, own),) = entry["arg"].items()
        if kind == "as_tensor":
            yield own["name"]
        elif kind == "as_tensors":
            yield from (one["name"] for one in own)
        elif kind == "as_optional_tensors":
            yield from (one["as_tensor"]["name"] for one in own if "as_tensor" in one)


def _given(node: Any) -> list[str]:
    """Return the names of what a node gives."""
    names = []
    for entry in node["outputs"]:
        ((kind, own),) = entry.items()
        if kind == "as_tensors":
            names += [one["name"] for one in own]
        elif kind.startswith("as_sym"):
            names.append(own["as_name"])
        else:
            names.append(own["name"] if isinstance(own, dict) else "")
    return names


def _argument(name: str, entry: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """Return what an argument of an archive stands for."""
    ((kind, own),) = entry.items()
    if kind == "as_none":
        return None
    if kind == "as_tensor":
        return _named(name, values, own["name"])
    if kind in _LISTS:
        return [_element(name, one, values) for one in own]
    if kind in ("as_sym_int", "as_sym_bool", "as_sym_float", "as_optional_tensor"):
        return _element(name, own, values)
    if kind == "as_graph":
        return own["graph"]
    if kind in ("as_float", "as_floats"):  # JSON has no infinities: they are texts
        return [float(one) for one in own] if isinstance(own, list) else float(own)
    if kind in _PLAIN:
        return own
    if kind == "as_scalar_type":
        if own not in DTYPES:
            raise UnsupportedError(f"numbers of type {own} of PyTorch are not supported")
        return narrow(DTYPES[own])
    if kind == "as_device":
        return None
    raise UnsupportedError(f"takes {kind.removeprefix('as_')}, which is not supported")


def _element(name: str, own: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    if "as_none" in own:
        return None
    if "as_tensor" in own:
        return _named(name, values, own["as_tensor"]["name"])
    if "as_name" in own:
        return _named(name, values, own["as_name"])
    if "name" in own:
        return _named(name, values, own["name"])
    return next(iter(own.values()))


def _named(name: str, values: Mapping[str, Any], own: str) -> Any:
    if own not in values:
        raise InputError(f"{name}: nothing gives '{own}'")
    return values[own]


def _scalar(target: str, arguments: Sequence[Any]) -> Any:
    name = target.rpartition(".")[2]
    if name not in _SCALARS or any(isinstance(a, Tensor | Constant) for a in arguments):
        raise UnsupportedError("is not supported")
    return _SCALARS[name](*arguments)


def _parts(arguments: Mapping[str, Any]) -> Iterator[Any]:
    for part in arguments.values():
        yield from part if isinstance(part, list) else [part]


def _as_plain(part: Any) -> Any:
    """Return an argument with arrays in place of constants."""
    if isinstance(part, list):
        return [_as_plain(one) for one in part]
    if isinstance(part, Constant):
        return Tensor.plain(jnp.asarray(part.value.astype(narrow(part.value.dtype))))
    return part


def _spreads_weights(call: Call) -> bool:
    """Whether an op repeats weights, over a batch mostly: computed, they would grow with it."""
    found = call.arguments.get("self")
    if call.op not in _SPREADING or not isinstance(found, Constant):
        return False
    return found.value.dtype.kind not in "iub" and found.value.size > 1


def _known(part: Any, name: str) -> Any:
    if isinstance(part, Tensor | Constant | int | float):
        return part
    return Constant(part, name) if isinstance(part, np.ndarray) else Tensor.plain(part)


def _layer(node: Any) -> str:
    """Return the path of the module that a node belongs to, else its own name."""
    stack = node["metadata"].get("nn_module_stack", "").split(";")
    path = stack[-1].split(",")[1] if stack[-1].count(",") >= 2 else ""
    path = re.sub(r"@\d+", "", path)
    return path or str(node.get("name") or next(iter(_given(node)), "op"))


def _kind(name: str, own: str, meta: Any) -> tuple[np.dtype[Any], list[int | None]]:
    """Return the element type of an input and its dimensions, None for those that are open."""
    if meta["dtype"] not in DTYPES:
        raise UnsupportedError(f"{name}: input '{own}' is of type {meta['dtype']} of PyTorch")
    return DTYPES[meta["dtype"]], [size.get("as_int") for size in meta["sizes"]]
