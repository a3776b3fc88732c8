# SPDX-License-Identifier: Apache-2.0
"""TensorFlow functions and modules, exported where they live.

This module is only used in processes that have TensorFlow: the user's, or the child that reads a
SavedModel.  MLIR is not imported here (see docs/decisions/0009-front-ends-and-processes.md); XLA's
bridge gives StableHLO, which jaxlib's MLIR reads.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError, described
from asnet_mlir.frontends.constants import main_of
from asnet_mlir.frontends.folding import fold_weights
from asnet_mlir.frontends.locations import first_name, rename_locations
from asnet_mlir.frontends.module import LoweredModule, Traced, check_samples, lower_module
from asnet_mlir.frontends.stablehlo_file import parse_stablehlo
from asnet_mlir.frontends.weights import TensorKind, as_weight, network_format, unique_name
from asnet_mlir.ir import walk
from asnet_mlir.network import Network, Weight

__all__ = ["from_tensorflow", "from_tensorflow_function", "input_kind", "variable_name"]

#: Scopes that stand for a call and not for a layer.
_CALLS = re.compile(r"(Stateful)?PartitionedCall(_\d+)?|jit_\w+|XLA_\w+")


def from_tensorflow(
    model: Any, example_arguments: Sequence[Any] | None = None, *, name: str | None = None
) -> Network:
    """Make a network of a `tf.function`, a concrete function or a `tf.Module`.

    Args:
      model: takes one tensor [batch, ...] and returns one; a module is called, by its `__call__`.
      example_arguments: the input batch, where the function's own signature does not say its shape.

    Raises:
      InputError: it can't be called, its input's shape is unknown, or it can't be traced.
      UnsupportedError: more than one input or output, numbers of no format, or an operation that
        XLA can't compile.
    """
    import tensorflow as tf

    if isinstance(model, tf.Module) and not callable(model):
        raise InputError(
            f"{model.name}: the tf.Module has no __call__; give one of its functions instead"
        )
    label = name or re.sub(r"\W+", "_", _name(model)) or "network"
    if example_arguments is not None:
        if len(example_arguments) != 1:
            raise UnsupportedError(
                f"{label}: only functions of one input are supported, got "
                f"{len(example_arguments)} example arguments (weights are tf.Variables)"
            )
        example = tf.TensorSpec.from_tensor(tf.convert_to_tensor(example_arguments[0]))
        kind = _kind(label, example)
    else:
        kind = input_kind(label, model)
    variables = [(variable_name(v), v) for v in getattr(model, "variables", ())]
    return from_tensorflow_function(model, kind, name=label, variables=variables)


def from_tensorflow_function(
    function: Callable[[Any], Any],
    kind: TensorKind,
    *,
    name: str,
    variables: Sequence[tuple[str, Any]] = (),
    root: str | None = "",
    scopes: frozenset[str] = frozenset(),
) -> Network:
    """Make a network of a function of one batch.

    Args:
      function: takes a batch, returns a tensor [batch, ...] or a container of one.
      kind: of one sample.
      variables: names for variables; others go by their own.
      root: a scope around the whole network, left out of layers' names; None for whichever scope
        all layers are in.
      scopes: names of layers; TensorFlow counts a scope that is opened again (`dense_1`), which
        then goes by its layer's name.

    Raises:
      InputError, UnsupportedError: see `from_tensorflow`.
    """
    import tensorflow as tf

    shape, dtype = kind.shape, kind.format.dtype_name

    def specification(batch: int) -> Any:
        return tf.TensorSpec([batch, *shape], dtype)

    def trace(batch: int) -> Any:
        def call(x: Any) -> Any:
            return _only_tensor(name, tf, function(x))

        spec = specification(batch)
        traced = tf.function(call, input_signature=[spec], jit_compile=True, autograph=False)
        with described(f"{name}: TensorFlow can't trace it"):
            return traced, traced.get_concrete_function()

    _, concrete = trace(2)
    output = concrete.structured_outputs
    output_format = network_format(f"{name}: the output", output.dtype)
    if not output.shape.rank or output.shape[0] != 2 or None in output.shape.as_list():
        raise InputError(
            f"{name}: must return one tensor of fixed shape whose first dimension is the batch, "
            f"returns {output.shape}"
        )
    weights = _captured(concrete, variables)

    def module(batch: int) -> Any:
        traced, own = trace(batch)
        with described(f"{name}: XLA can't compile it", UnsupportedError):
            compiled = traced.experimental_get_compiler_ir(specification(batch))
            content = compiled(stage="stablehlo_serialized")
        if len(_captured(own, variables)) != len(weights):
            raise UnsupportedError(f"{name}: its weights depend on the batch size")
        parsed = parse_stablehlo(name, content)
        _check_arguments(name, parsed, weights)
        around = _common_scope(parsed, scopes) if root is None else root
        rename_locations(parsed, functools.partial(_layer_path, root=around, scopes=scopes))
        return parsed

    first = lower_module(module(1), weights)

    @functools.cache
    def lowered(batch: int) -> LoweredModule:
        return lower_module(module(batch), weights, known=first.constants) if batch > 1 else first

    def reference(batch: np.ndarray) -> np.ndarray:
        result = _only_tensor(name, tf, function(tf.constant(batch)))
        return np.asarray(result.numpy())

    check_samples(
        name, first, lambda batch: lower_module(module(batch), weights, known=first.constants)
    )
    network = Network(
        name,
        shape,
        tuple(output.shape.as_list()[1:]),
        (*weights, *first.constants),
        Traced(name, lowered, compute=reference),
        input_format=kind.format,
        output_format=output_format,
    )
    return fold_weights(network)


def input_kind(label: str, model: Any) -> TensorKind:
    """Return the kind of one sample that a function's or module's own signature states.

    Raises:
      InputError: it states none, or an open one.
      UnsupportedError: it takes several inputs.
    """
    import tensorflow as tf

    # A tf.function is bound to its object when it is looked up.
    function = model.__call__ if isinstance(model, tf.Module) else model
    signature = getattr(function, "structured_input_signature", None)
    if signature is not None:  # a concrete function
        leaves = tf.nest.flatten(signature)
    else:
        leaves = list(getattr(function, "input_signature", None) or ())
    leaves = [leaf for leaf in leaves if isinstance(leaf, tf.TensorSpec)]
    if not leaves:
        raise InputError(
            f"{label}: its input's shape is unknown; give input_signature to tf.function, or "
            "(function, example_args)"
        )
    if len(leaves) != 1:
        raise UnsupportedError(
            f"{label}: only functions of one input are supported, it has {len(leaves)}"
        )
    return _kind(label, leaves[0])


def _kind(label: str, spec: Any) -> TensorKind:
    """Return the kind of one sample."""
    if not spec.shape.rank or spec.shape.rank < 2:
        raise InputError(
            f"{label}: the input must be a tensor [batch, ...], got {spec.dtype.name}{spec.shape}"
        )
    sizes = spec.shape.as_list()
    if None in sizes[1:]:
        raise InputError(f"{label}: its input shape {spec.shape} is open; fix all but the batch")
    return TensorKind(tuple(sizes[1:]), network_format(f"{label}: the input", spec.dtype))


def _only_tensor(name: str, tf: Any, value: Any) -> Any:
    leaves = tf.nest.flatten(value)
    if len(leaves) != 1:
        raise UnsupportedError(
            f"{name}: only functions of one output are supported, it returns {len(leaves)}"
        )
    return tf.convert_to_tensor(leaves[0])


def _captured(concrete: Any, variables: Sequence[tuple[str, Any]]) -> tuple[Weight, ...]:
    """Return what a concrete function takes besides its input, in the order of its arguments."""
    names = {id(v.handle): label for label, v in variables if hasattr(v, "handle")}
    by_handle = {id(v.handle): v for v in concrete.graph.variables}
    taken: set[str] = set()
    weights = []
    for captured in concrete.captured_inputs:
        variable = by_handle.get(id(captured))
        if variable is not None:
            label = names.get(id(captured)) or variable_name(variable)
            value = variable.numpy()
        elif hasattr(captured, "numpy"):
            label, value = "constant", captured.numpy()
        else:
            raise UnsupportedError(f"captures {captured}, which is no variable")
        label = unique_name(label, taken)
        weights.append(as_weight(label, value))
    return tuple(weights)


def _check_arguments(name: str, module: Any, weights: Sequence[Weight]) -> None:
    """Check that `@main` takes the input and the weights in their order."""
    main = main_of(module)
    shapes = [tuple(kind.shape) for kind in main.attributes["function_type"].value.inputs][1:]
    if shapes != [weight.value.shape for weight in weights]:
        raise UnsupportedError(
            f"{name}: XLA's module takes weights of the shapes {shapes}, the function has "
            f"{[weight.value.shape for weight in weights]}"
        )


def _layer_path(name: str, root: str, scopes: frozenset[str]) -> str:
    """Return the scopes and the operation that a name of TensorFlow's graph stands for.

    XLA joins the names of what it merged by semicolons; the last one is whole.
    """
    parts = [part for part in name.split(";")[-1].split("/") if part]
    parts = [_known(part, scopes | {root}) for part in parts if not _CALLS.fullmatch(part)]
    return "/".join(parts[1:] if parts[:1] == [root] else parts)


def _common_scope(module: Any, scopes: frozenset[str]) -> str:
    """Return the scope that all operations of a module are in, if others are in it; or ""."""
    names = (first_name(op.location) for op in walk(module.operation))
    paths = [_layer_path(name, "", scopes).split("/")[:-1] for name in names]
    roots = {path[0] for path in paths if path}
    return next(iter(roots)) if len(roots) == 1 and max(map(len, paths)) > 1 else ""


def _known(part: str, scopes: frozenset[str]) -> str:
    """Return the scope that `part` is, or is a counted one of; else `part`."""
    counted = re.sub(r"_\d+$", "", part)
    return counted if part not in scopes and counted in scopes else part


def variable_name(variable: Any) -> str:
    """Return the name of a variable of TensorFlow or Keras, without the number of its output."""
    name = getattr(variable, "path", None) or variable.name
    return str(name).removesuffix(":0")


def _name(model: Any) -> str:
    name = getattr(model, "__name__", None) or getattr(model, "name", None)
    return str(name) if name else type(model).__name__
