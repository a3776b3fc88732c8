# SPDX-License-Identifier: Apache-2.0
"""JAX functions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, described
from asnet_mlir.frontends.folding import fold_weights
from asnet_mlir.frontends.module import LoweredModule, Traced, check_samples, lower_module
from asnet_mlir.frontends.part_rows import parts_of
from asnet_mlir.frontends.weights import TensorKind, as_weight, network_format, unique_name
from asnet_mlir.network import Network
from asnet_mlir.support.parts import Parts

__all__ = ["from_jax_function"]


def from_jax_function(
    function: Callable[..., Any],
    example_arguments: Sequence[Any],
    *,
    name: str | None = None,
    weight_names: Sequence[str] | None = None,
    fixed_batch: int | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> Network:
    """Make a network of `function(x, *weights)`.

    Args:
      function: takes the input batch first, or a pytree of batches; what follows are pytrees of
        weights, of any format.  It returns a batch or a pytree of them.  Arrays that it closes over
        become weights as well, named by the scope that uses them.
      example_arguments: values of all arguments; the inputs' first dimension is the batch, their
        values do not matter.
      weight_names: names of the flattened weights; by default their pytree paths.
      fixed_batch: the only batch size that the function takes, or None where it takes any.
      input_names, output_names: of the flattened inputs and outputs; by default their pytree paths.

    Raises:
      InputError: the function can't be traced, or its shapes are not as described.
      UnsupportedError: an argument or the result is of no format, or samples are mixed.
    """
    import jax

    name = name or str(getattr(function, "__name__", "network"))
    if not example_arguments:
        raise InputError(f"{name}: the example arguments must hold at least the input batch")
    examples, *weight_trees = example_arguments
    taken = _taken(name, examples, input_names)
    paths_and_values, structure = jax.tree.flatten_with_path(tuple(weight_trees))
    input_structure = jax.tree.structure(examples)
    names, used = [], set[str]()
    for index, (path, _) in enumerate(paths_and_values):
        own = weight_names[index] if weight_names else "weight" + jax.tree_util.keystr(path)
        names.append(unique_name(own, used))
    arguments = tuple(
        as_weight(own, value) for own, (_, value) in zip(names, paths_and_values, strict=True)
    )

    def flat(*leaves: Any) -> Any:
        x = jax.tree.unflatten(input_structure, leaves[: len(taken)])
        return function(x, *jax.tree.unflatten(structure, leaves[len(taken) :]))

    # Unused arguments stay, so that argument i of @main is always weight i.
    jitted = jax.jit(flat, keep_unused=True)

    def specification(batch: int) -> list[Any]:
        return [
            *(jax.ShapeDtypeStruct((batch, *shape[1:]), dtype) for _, shape, dtype in taken),
            *(jax.ShapeDtypeStruct(w.value.shape, w.value.dtype) for w in arguments),
        ]

    traced = fixed_batch or 2
    with described(f"{name}: JAX can't trace it"):
        result = jax.eval_shape(flat, *specification(traced))
    given = _given(name, result, output_names, traced)
    inputs = parts_of(name, "input", [(n, (traced, *s[1:]), d) for n, s, d in taken], traced)
    outputs = parts_of(name, "output", given, traced)
    kind_in, kind_out = _kind(name, "input", taken, inputs), _kind(name, "output", given, outputs)

    def module(batch: int) -> Any:
        with described(f"{name}: JAX can't trace it"):
            return jitted.lower(*specification(batch)).compiler_ir("stablehlo")

    lower = functools.partial(lower_module, inputs=inputs, outputs=outputs)
    # Traced once here: what the function closes over is known afterwards.
    smallest = fixed_batch or 1
    first = lower(module(smallest), arguments)

    def again(batch: int) -> LoweredModule:
        return lower(module(batch), arguments, known=first.constants)

    @functools.cache
    def lowered(batch: int) -> LoweredModule:
        return first if batch == smallest else again(batch)

    def reference(batch: np.ndarray) -> np.ndarray:
        leaves = inputs.unpack(batch).values() if inputs else [batch]
        results = jax.tree.leaves(jitted(*leaves, *(w.value for w in arguments)))
        if outputs is None:
            return np.asarray(results[0])
        return outputs.pack(dict(zip(outputs.names, map(np.asarray, results), strict=True)))

    if fixed_batch is None:
        check_samples(name, first, again)
    else:
        first.analyze(name)
    return fold_weights(
        Network(
            name,
            kind_in.shape,
            kind_out.shape,
            (*arguments, *first.constants),
            Traced(name, lowered, compute=reference, fixed_batch=fixed_batch),
            input_format=kind_in.format,
            output_format=kind_out.format,
            inputs=inputs,
            outputs=outputs,
        )
    )


def _taken(
    name: str, examples: Any, names: Sequence[str] | None
) -> list[tuple[str, tuple[int, ...], Any]]:
    """Return name, shape and dtype of each input of a pytree of examples."""
    import jax

    leaves = jax.tree.leaves_with_path(examples)
    several = len(leaves) > 1
    taken = []
    for index, (path, x) in enumerate(leaves):
        own = names[index] if names else _name("input", path)
        shape, dtype = tuple(np.shape(x)), jax.numpy.result_type(x)
        if len(shape) < (1 if several else 2):
            which = f"input '{own}'" if several else "the input"
            raise InputError(f"{name}: {which} must be an array [batch, ...], got {dtype}{shape}")
        taken.append((own, shape, dtype))
    if not taken:
        raise InputError(f"{name}: the example arguments must hold at least the input batch")
    first, batch = taken[0][0], taken[0][1][0]
    for own, shape, _ in taken[1:]:
        if shape[0] != batch:
            raise InputError(
                f"{name}: the first dimension of all inputs is the batch; it is {batch} in "
                f"'{first}' and {shape[0]} in '{own}'"
            )
    return taken


def _given(
    name: str, result: Any, names: Sequence[str] | None, batch: int
) -> list[tuple[str, tuple[int, ...], Any]]:
    """Return name, shape and dtype of each output of a pytree of what was traced."""
    import jax

    leaves = jax.tree.leaves_with_path(result)
    if len(leaves) == 1:
        leaf = leaves[0][1]
        if not hasattr(leaf, "shape") or leaf.shape[:1] != (batch,):
            raise InputError(f"{name}: must return one array whose first dimension is the batch")
        return [("output", tuple(leaf.shape), leaf.dtype)]
    if not leaves:
        raise InputError(f"{name}: must return an array whose first dimension is the batch")
    return [
        (names[index] if names else _name("output", path), tuple(leaf.shape), leaf.dtype)
        for index, (path, leaf) in enumerate(leaves)
    ]


def _name(what: str, path: Sequence[Any]) -> str:
    """Return the name of a leaf: the keys of its path; a number has what it counts before it."""
    keys = [
        str(next(getattr(key, own) for own in ("key", "name", "idx") if hasattr(key, own)))
        for key in path
    ]
    text = "/".join(keys)
    return f"{what}{text}" if text[:1].isdigit() or not text else text


def _kind(
    name: str, what: str, named: Sequence[tuple[str, tuple[int, ...], Any]], parts: Parts | None
) -> TensorKind:
    """Return the kind of a sample, or of its row."""
    if parts is not None:
        return TensorKind(parts.shape, parts.format)
    ((_, shape, dtype),) = named
    return TensorKind(tuple(shape[1:]), network_format(f"{name}: the {what}", dtype))
