# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs as functions of JAX.

What is known before the network runs, shapes above all, is computed by ONNX's own reference
evaluator; arrays of floats among it become weights where an op takes them, turned as it wants them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError, described
from asnet_mlir.frontends.graph_function import GraphFunction
from asnet_mlir.frontends.known_arrays import KnownArrays
from asnet_mlir.frontends.onnx_file import sorted_nodes, tensor_array
from asnet_mlir.frontends.onnx_node import OnnxNode, attributes_of, layer_name
from asnet_mlir.frontends.onnx_tensors import Constant, Tensor

__all__ = ["Known", "Node", "OnnxFunction", "Result", "Translation"]

_OLDEST = 11
_DOMAINS = ("", "ai.onnx")
_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
           "RandomUniformLike")  # fmt: skip

Known = Tensor | Constant
Result = Any  # what a translation returns: an array or what is `Known`, or a tuple of them
_Values = dict[str, Known]


@dataclass
class Node(OnnxNode):
    """A node with what its inputs are, for the functions that translate ops.

    Attributes:
      arrays: of the graph.
      version: of the operator set.
      outputs: names of what it gives, "" where nobody asks.
      run: computes the graph that an attribute holds, given its inputs.
    """

    arrays: KnownArrays = field(kw_only=True)
    version: int = field(kw_only=True)
    outputs: Sequence[str] = field(kw_only=True)
    run: Callable[[Any, Sequence[Any]], list[Known]] = field(kw_only=True)

    def host(self, index: int) -> np.ndarray:
        """Return an input that must be known before the network runs."""
        found = self.input(index)
        if not isinstance(found, Constant):
            raise UnsupportedError(f"its input {index} must be a constant, it depends on the data")
        return found.value

    def tensor(self, index: int) -> Tensor:
        """Return an input as a tensor."""
        found = self.input(index)
        return found if isinstance(found, Tensor) else Tensor.plain(self.arrays.array(found))

    def logical(self, index: int) -> Any:
        """Return an input as an array in ONNX's order."""
        return self.tensor(index).logical

    def turned(self, index: int, how: str, turn: Callable[[Any], Any]) -> Any:
        """Return `turn` of an input: of a constant it becomes the weight, so that nothing is left.

        Args:
          how: names what `turn` does; it only moves numbers.
        """
        found = self.input(index)
        if isinstance(found, Constant):
            return self.arrays.array(found, how, turn)
        return turn(found.logical)

    def aligned(self, indices: Sequence[int] | None = None) -> tuple[list[Any], tuple[int, ...]]:
        """Return inputs that are broadcast together as arrays in one order, and that order.

        It is the order of the largest of them that is no constant and has all dimensions.
        """
        chosen = [self.input(i) for i in (range(len(self.inputs)) if indices is None else indices)]
        rank = max(len(known.shape) for known in chosen)
        whole = [k for k in chosen if isinstance(k, Tensor) and len(k.order) == rank]
        held = max(whole, key=lambda tensor: tensor.array.size, default=None)
        order = held.order if held else tuple(range(rank))

        def widened(array: Any) -> Any:
            if not array.ndim:
                return array
            return array.reshape((1,) * (rank - array.ndim) + array.shape).transpose(order)

        arrays = []
        for known in chosen:
            if isinstance(known, Constant):
                arrays.append(self.arrays.array(known, f"as {order}", widened))
            elif len(known.order) == rank:
                arrays.append(known.ordered(order))
            else:
                arrays.append(widened(known.logical))
        return arrays, order


Translation = Callable[[Node], Result]


class OnnxFunction(GraphFunction):
    """The function of a model's graph; outputs have ONNX's order of dimensions."""

    def __init__(self, name: str, model: Any, translations: Mapping[str, Translation]) -> None:
        """Prepare a model, whose functions are inlined.

        Raises:
          InputError: its parts don't fit together.
          UnsupportedError: its operator set is too old; an op is not among the translations.
        """
        super().__init__(name)
        self._translations = translations
        versions = {e.domain: e.version for e in model.opset_import}
        self.version = versions.get("", versions.get("ai.onnx", 0))
        if self.version < _OLDEST:
            raise UnsupportedError(
                f"{name}: opset {self.version}; {_OLDEST} and later are supported (convert it by "
                "onnx.version_converter)"
            )
        self._model = _expanded(name, model, translations)
        graph = self._model.graph
        self._constants = self._initializers(graph)
        given = [value for value in graph.input if value.name not in self._constants]
        self.inputs = {value.name: _kind(name, value) for value in given}
        self.outputs = [value.name for value in graph.output]
        self._nodes = sorted_nodes(name, graph, {*self._constants, *self.inputs})

    def _run(self, inputs: Mapping[str, Any]) -> list[Any]:
        values: _Values = dict(self._constants)
        values |= {name: Tensor.plain(jnp.asarray(array)) for name, array in inputs.items()}
        self._compute(self._nodes, values)
        arrays = []
        for output in self.outputs:
            if output not in values:
                raise InputError(f"{self.name}: no node gives the output '{output}'")
            known = values[output]
            arrays.append(known.logical if isinstance(known, Tensor) else self._arrays.array(known))
        return arrays

    def _initializers(self, graph: Any) -> _Values:
        found: _Values = {
            tensor.name: Constant(tensor_array(self.name, tensor), tensor.name)
            for tensor in graph.initializer
        }
        for sparse in graph.sparse_initializer:
            raise UnsupportedError(f"{self.name}: '{sparse.values.name}' is a sparse array")
        return found

    def _compute(self, nodes: Sequence[Any], values: _Values) -> None:
        """Compute nodes, in order; `values` grows by what they give."""
        for proto in nodes:
            about = (
                f"{self.name}: op {proto.op_type} of layer '{layer_name(proto)}', which gives "
                f"'{', '.join(proto.output)}'"
            )
            try:
                results = self._translate(proto, values)
            except InputError as error:
                text = str(error).removeprefix(f"{self.name}: ")
                raise type(error)(
                    f"{about}: {text}" if "op " not in text[:3] else str(error)
                ) from None
            except (TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError) as error:
                detail = " ".join(str(error).split())[:200]
                raise InputError(f"{about}: {detail or type(error).__name__}") from None
            if len(results) < len(proto.output):
                extra = [name for name in proto.output[len(results) :] if name]
                if extra:
                    raise UnsupportedError(f"{about}: its output '{extra[0]}' is not supported")
            values.update(zip(proto.output, results, strict=False))

    def _translate(self, proto: Any, values: _Values) -> list[Known]:
        inputs = [values[name] if name else None for name in proto.input]
        layer = layer_name(proto)
        if proto.op_type in _RANDOM:
            raise UnsupportedError("gives random numbers")
        has_graph = any(a.HasField("g") or a.graphs for a in proto.attribute)
        constants = [known for known in inputs if not isinstance(known, Tensor)]
        if not has_graph and len(constants) == len(inputs) and not _spreads_weights(proto, inputs):
            return self._evaluate(proto, constants)
        translate = self._translations.get(proto.op_type)
        if translate is None or proto.domain not in _DOMAINS:
            raise _unknown(proto, self._translations)

        def run(graph: Any, given: Sequence[Any]) -> list[Known]:
            own = {**values, **self._initializers(graph)}
            names = [value.name for value in graph.input]
            own |= dict(zip(names, given, strict=True))
            nodes = sorted_nodes(self.name, graph, {*own})
            self._compute(nodes, own)
            return [own[value.name] for value in graph.output]

        node = Node(
            proto.op_type, layer, inputs, attributes_of(proto),
            arrays=self._arrays, version=self.version, outputs=list(proto.output), run=run,
        )  # fmt: skip
        with jax.named_scope(layer):
            result = translate(node)
        parts = result if isinstance(result, tuple | list) else (result,)
        return [_known(part, name) for part, name in zip(parts, proto.output, strict=False)]

    def _evaluate(self, proto: Any, inputs: Sequence[Constant | None]) -> list[Known]:
        """Return what a node gives for constants, by ONNX's reference evaluator."""
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        arrays = {
            name: known.value
            for name, known in zip(proto.input, inputs, strict=True)
            if known is not None
        }
        any_type = helper.make_tensor_type_proto(1, None)
        taken, given = (
            [helper.make_value_info(name, any_type) for name in names if name]
            for names in (arrays, proto.output)
        )
        graph = helper.make_graph([proto], "constants", taken, given)
        model = helper.make_model(graph, opset_imports=self._model.opset_import)
        with (
            described("it can't be computed of its constants", UnsupportedError),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            results = ReferenceEvaluator(model).run(None, arrays)
        made = iter(results)
        return [
            Constant(np.asarray(next(made)), name) if name else Constant(np.zeros(()), name)
            for name in proto.output
        ]


def _spreads_weights(proto: Any, inputs: Sequence[Any]) -> bool:
    """Whether a node repeats weights, over a batch mostly: computed, they would grow with it."""
    if proto.op_type != "Expand" or not inputs or inputs[0] is None:
        return False
    value = inputs[0].value
    return value.dtype.kind == "f" and value.size > 1


def _known(part: Any, name: str) -> Known:
    if isinstance(part, Tensor | Constant):
        return part
    if isinstance(part, np.ndarray):
        return Constant(part, name)
    return Tensor.plain(part)


def _unknown(proto: Any, translations: Mapping[str, Translation]) -> UnsupportedError:
    if proto.domain not in _DOMAINS:
        return UnsupportedError(f"is a custom op, of the domain '{proto.domain}'")
    return UnsupportedError(f"is not supported; supported are {', '.join(sorted(translations))}")


def _expanded(name: str, model: Any, translations: Mapping[str, Translation]) -> Any:
    """Return a model without calls of functions, its own or those that define other ops."""
    from onnx import inliner

    kept = [("", op) for op in (*translations, "Constant")]
    with described(f"{name}: its functions can't be inlined"):
        model = inliner.inline_local_functions(model)
    whole = _with_defaults(model, translations)
    try:
        return inliner.inline_selected_functions(
            whole, kept, exclude=True, inline_schema_functions=True
        )
    except RuntimeError:  # it leaves out what some definition needs: the op is named later
        return model


def _with_defaults(model: Any, translations: Mapping[str, Translation]) -> Any:
    """Return a model whose ops that others define say all their attributes.

    A definition refers to them; the inliner knows only those that a node states.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    version = {entry.domain: entry.version for entry in model.opset_import}.get("", 0)
    for node in copy.graph.node:
        if node.domain not in _DOMAINS or node.op_type in (*translations, "Constant"):
            continue
        try:
            schema = onnx.defs.get_schema(node.op_type, version, "")
        except onnx.defs.SchemaError:
            continue
        stated = {attribute.name for attribute in node.attribute}
        for own in schema.attributes.values():
            if own.name not in stated and own.default_value.name:
                node.attribute.append(own.default_value)
    return copy


def _kind(name: str, value: Any) -> tuple[np.dtype[Any], list[int | None]]:
    """Return the element type of an input and its dimensions, None for those that are open."""
    import onnx

    if not value.type.HasField("tensor_type"):
        raise UnsupportedError(f"{name}: input '{value.name}' is no tensor")
    kind = value.type.tensor_type
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except (KeyError, TypeError, ValueError):
        raise UnsupportedError(
            f"{name}: input '{value.name}' is of type {kind.elem_type}"
        ) from None
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
    return dtype, [size if size is None or size > 0 else None for size in sizes]
