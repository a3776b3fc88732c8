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
from asnet_mlir.frontends.part_rows import parts_of
from asnet_mlir.frontends.stablehlo_file import parse_stablehlo
from asnet_mlir.frontends.weights import TensorKind, as_weight, network_format, unique_name
from asnet_mlir.ir import walk
from asnet_mlir.network import Network, Weight
from asnet_mlir.support.parts import Parts

__all__ = [
    "from_tensorflow",
    "from_tensorflow_function",
    "inputs_and_call",
    "signature_of",
    "variable_name",
]

#: Scopes that stand for a call and not for a layer.
_CALLS = re.compile(r"(Stateful)?PartitionedCall(_\d+)?|jit_\w+|XLA_\w+")


def from_tensorflow(
    model: Any, example_arguments: Sequence[Any] | None = None, *, name: str | None = None
) -> Network:
    """Make a network of a `tf.function`, a concrete function or a `tf.Module`.

    Args:
      model: takes tensors [batch, ...] and returns a tensor, or a container of several; a module is
        called, by its `__call__`.
      example_arguments: the input batches, where the function's own signature does not say their
        shapes.

    Raises:
      InputError: it can't be called, an input's shape is unknown, or it can't be traced.
      UnsupportedError: numbers of no format, or an operation that XLA can't compile.
    """
    import tensorflow as tf

    if isinstance(model, tf.Module) and not callable(model):
        raise InputError(
            f"{model.name}: the tf.Module has no __call__; give one of its functions instead"
        )
    label = name or re.sub(r"\W+", "_", _name(model)) or "network"
    if example_arguments is not None:
        given = tuple(example_arguments)
        specs = [
            tf.TensorSpec.from_tensor(tf.convert_to_tensor(leaf)) for leaf in tf.nest.flatten(given)
        ]
        signature: tuple[Any, Any] = tf.nest.pack_sequence_as(given, specs), {}
    else:
        signature = signature_of(label, model)
    inputs, call = inputs_and_call(label, model, signature)
    variables = [(variable_name(v), v) for v in getattr(model, "variables", ())]
    return from_tensorflow_function(call, inputs, name=label, variables=variables)


def from_tensorflow_function(
    function: Callable[..., Any],
    inputs: Sequence[tuple[str, TensorKind]],
    *,
    name: str,
    variables: Sequence[tuple[str, Any]] = (),
    root: str | None = "",
    scopes: frozenset[str] = frozenset(),
    output_names: Sequence[str] | None = None,
) -> Network:
    """Make a network of a function of batches.

    Args:
      function: takes a batch of each input, returns a tensor [batch, ...] or a container of some.
      inputs: name and kind of one sample of each.
      variables: names for variables; others go by their own.
      root: a scope around the whole network, left out of layers' names; None for whichever scope
        all layers are in.
      scopes: names of layers; TensorFlow counts a scope that is opened again (`dense_1`), which
        then goes by its layer's name.
      output_names: of the flattened outputs; by default their paths in what the function returns.

    Raises:
      InputError, UnsupportedError: see `from_tensorflow`.
    """
    import tensorflow as tf

    def specifications(batch: int) -> list[Any]:
        return [
            tf.TensorSpec(
                [batch, *kind.shape], kind.format.dtype_name, name=re.sub(r"\W", "_", own)
            )
            for own, kind in inputs
        ]

    def trace(batch: int) -> Any:
        def call(*batches: Any) -> Any:
            return tf.nest.map_structure(tf.convert_to_tensor, function(*batches))

        specs = specifications(batch)
        traced = tf.function(call, input_signature=specs, jit_compile=True, autograph=False)
        with described(f"{name}: TensorFlow can't trace it"):
            return traced, traced.get_concrete_function()

    _, concrete = trace(2)
    returned = concrete.structured_outputs
    names = output_names or _output_names(tf, returned)
    packing_in = parts_of(
        name, "input", [(n, (2, *k.shape), k.format.dtype_name) for n, k in inputs], 2
    )
    packing_out, output = _outputs(name, names, tf.nest.flatten(returned))
    weights = _captured(concrete, variables)

    def module(batch: int) -> Any:
        traced, own = trace(batch)
        with described(f"{name}: XLA can't compile it", UnsupportedError):
            compiled = traced.experimental_get_compiler_ir(*specifications(batch))
            content = compiled(stage="stablehlo_serialized")
        if len(_captured(own, variables)) != len(weights):
            raise UnsupportedError(f"{name}: its weights depend on the batch size")
        parsed = parse_stablehlo(name, content)
        _check_arguments(name, parsed, weights, len(inputs))
        around = _common_scope(parsed, scopes) if root is None else root
        rename_locations(parsed, functools.partial(_layer_path, root=around, scopes=scopes))
        return parsed

    lower = functools.partial(lower_module, inputs=packing_in, outputs=packing_out)
    first = lower(module(1), weights)

    def again(batch: int) -> LoweredModule:
        return lower(module(batch), weights, known=first.constants)

    @functools.cache
    def lowered(batch: int) -> LoweredModule:
        return again(batch) if batch > 1 else first

    def reference(batch: np.ndarray) -> np.ndarray:
        batches = packing_in.unpack(batch).values() if packing_in else [batch]
        results = [leaf.numpy() for leaf in tf.nest.flatten(function(*map(tf.constant, batches)))]
        if packing_out is None:
            return np.asarray(results[0])
        return packing_out.pack(dict(zip(packing_out.names, results, strict=True)))

    check_samples(name, first, again)
    taken = TensorKind(packing_in.shape, packing_in.format) if packing_in else inputs[0][1]
    network = Network(
        name,
        taken.shape,
        output.shape,
        (*weights, *first.constants),
        Traced(name, lowered, compute=reference),
        input_format=taken.format,
        output_format=output.format,
        inputs=packing_in,
        outputs=packing_out,
    )
    return fold_weights(network)


def signature_of(label: str, model: Any) -> tuple[Any, Any]:
    """Return what a function's or module's own signature states: arguments and keywords.

    Raises:
      InputError: it states none.
    """
    import tensorflow as tf

    # A tf.function is bound to its object when it is looked up.
    function = model.__call__ if isinstance(model, tf.Module) else model
    stated = getattr(function, "structured_input_signature", None)
    if stated is None:  # no concrete function
        stated = tuple(getattr(function, "input_signature", None) or ()), {}
    if not any(isinstance(leaf, tf.TensorSpec) for leaf in tf.nest.flatten(stated)):
        raise InputError(
            f"{label}: its input's shape is unknown; give input_signature to tf.function, or "
            "(function, example_args)"
        )
    arguments, keywords = stated
    return arguments, keywords


def inputs_and_call(
    label: str, model: Any, signature: tuple[Any, Any]
) -> tuple[list[tuple[str, TensorKind]], Callable[..., Any]]:
    """Return name and kind of one sample of each input, and the function of batches of them.

    Args:
      model: is called.
      signature: arguments and keywords as `tf.TensorSpec`; what else they hold is given as it is.

    Raises:
      InputError: a shape is open.
    """
    import tensorflow as tf

    leaves = tf.nest.flatten(signature)
    places = [index for index, leaf in enumerate(leaves) if isinstance(leaf, tf.TensorSpec)]
    taken: set[str] = set()
    inputs = []
    for number, index in enumerate(places):
        name = unique_name(leaves[index].name or f"input{number}", taken)
        inputs.append((name, _kind(label, leaves[index])))
    if len(places) == 1:
        return inputs, model

    def call(*batches: Any) -> Any:
        filled = list(leaves)
        for index, batch in zip(places, batches, strict=True):
            filled[index] = batch
        arguments, keywords = tf.nest.pack_sequence_as(signature, filled)
        # Functions that methods became have the object among what they state.
        own = [one for one in arguments if one is not model]
        return model(*own, **keywords)

    return inputs, call


def _output_names(tf: Any, returned: Any) -> list[str]:
    """Return what the leaves of a returned container are called, by their paths."""
    if not isinstance(returned, dict):
        return [f"output{index}" for index, _ in enumerate(tf.nest.flatten(returned))]
    named = {
        key: [key] if not tf.nest.is_nested(value) else _paths(tf, key, value)
        for key, value in returned.items()
    }
    return [name for key in sorted(named) for name in named[key]]


def _paths(tf: Any, key: str, value: Any) -> list[str]:
    return [f"{key}/{index}" for index, _ in enumerate(tf.nest.flatten(value))]


def _outputs(
    name: str, names: Sequence[str], tensors: Sequence[Any]
) -> tuple[Parts | None, TensorKind]:
    """Return the parts that a function's outputs are, and the kind of a sample or its row.

    Raises:
      InputError: one is of open shape, or without the batch.
    """
    for tensor in tensors:
        shape = tensor.shape
        if not shape.rank or shape[0] != 2 or None in shape.as_list():
            raise InputError(
                f"{name}: must return tensors of fixed shape whose first dimension is the batch, "
                f"returns {shape}"
            )
    shapes = [tensor.shape.as_list() for tensor in tensors]
    named = list(zip(names, shapes, [tensor.dtype for tensor in tensors], strict=True))
    parts = parts_of(name, "output", named, 2)
    if parts is not None:
        return parts, TensorKind(parts.shape, parts.format)
    format = network_format(f"{name}: the output", tensors[0].dtype)
    return None, TensorKind(tuple(shapes[0][1:]), format)


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


def _check_arguments(name: str, module: Any, weights: Sequence[Weight], inputs: int) -> None:
    """Check that `@main` takes the inputs and the weights in their order."""
    kinds = main_of(module).attributes["function_type"].value.inputs
    shapes = [tuple(kind.shape) for kind in list(kinds)[inputs:]]
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
