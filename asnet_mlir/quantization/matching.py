# SPDX-License-Identifier: Apache-2.0
"""A graph's operations as groups: which become a layer of codes together, and which can't."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from asnet_mlir.quantization.functions import ELEMENTWISE
from asnet_mlir.quantization.graph import Graph, Op
from asnet_mlir.quantization.groups import (
    Clamp,
    Concatenation,
    Detail,
    Float,
    Function,
    Group,
    Pairwise,
    Product,
)
from asnet_mlir.quantization.moves import move_of
from asnet_mlir.quantization.pooling import pooling_of
from asnet_mlir.quantization.products_found import normalization_of, per_channel, product_of

__all__ = ["find_groups"]

_PAIRWISE = ("add", "subtract", "multiply")


def find_groups(graph: Graph) -> tuple[Group, ...]:
    """Return the groups of a graph, in the order of computation; each operation is in one."""
    return _Matcher(graph).run()


class _Matcher:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.groups: list[Group] = []
        self.done: set[int] = set()
        #: Values that will be codes.
        self.codes = {graph.input} if graph.takes_floats else set()
        #: Values that are functions of each number of another one, and their operations.
        self.pending: dict[int, tuple[int, tuple[int, ...]]] = {}

    def run(self) -> tuple[Group, ...]:
        for op in self.graph.ops:
            if op.index in self.done or self._is_function(op):
                continue
            for value in op.read:
                self._settle(value)
            self._place(op)
        self._settle(self.graph.output)
        return _named(_without_needless(self.graph, self.groups))

    def _place(self, op: Op) -> None:
        graph = self.graph
        inputs = tuple(value for value in op.read if value not in graph.constants)
        are_codes = all(value in self.codes for value in inputs)
        if all(graph.is_batched(value) for value in (*inputs, *op.results)):
            product = product_of(graph, op)
            if product is None and are_codes:
                product = self._normalization(op)
            if product is not None:
                self._add_product(op, *product)
                return
            if are_codes:
                found = pooling_of(graph, op) or move_of(graph, op) or self._pairwise(op)
                if found is not None:
                    detail, ops = found
                    self._add(detail, inputs, ops)
                    return
        self._add(Float(), inputs, [op])

    def _normalization(self, op: Op) -> tuple[Product, tuple[int, ...]] | None:
        found = normalization_of(self.graph, op)
        if found is None:
            return None
        (value,) = (own for own in op.operands if own not in self.graph.constants)
        product = _affine(self.graph, op, value, *found)
        return None if product is None else (product, found[1])

    def _add_product(self, op: Op, product: Product, axes: tuple[int, ...]) -> None:
        ops, value = [op], op.result
        while (following := self.graph.single_use(value)) is not None:
            changed = _affine(self.graph, following, value, product, axes)
            if changed is None:
                clamp = _clamped(self.graph, following, value, product.clamp)
                if clamp is None:
                    break
                changed = dataclasses.replace(product, clamp=clamp)
            product, value = changed, following.result
            ops.append(following)
        taken = tuple(own for own in op.operands if own not in self.graph.constants)
        self._add(product, taken, ops)

    def _pairwise(self, op: Op) -> tuple[Detail, list[Op]] | None:
        if op.name == "concatenate":
            axis = int(op.mlir.attributes["dimension"])
            is_inner = axis > 0 and not any(v in self.graph.constants for v in op.operands)
            return (Concatenation(axis - 1), [op]) if is_inner else None
        if op.name not in _PAIRWISE or any(v in self.graph.constants for v in op.operands):
            return None
        ops, value, clamp = [op], op.result, Clamp()
        while (following := self.graph.single_use(value)) is not None:
            narrower = _clamped(self.graph, following, value, clamp)
            if narrower is None:
                break
            clamp, value = narrower, following.result
            ops.append(following)
        return Pairwise(op.name, clamp), ops

    def _is_function(self, op: Op) -> bool:
        """Keep an operation that computes a function of each number of one value for later."""
        graph = self.graph
        if op.name not in ELEMENTWISE or len(op.results) != 1:
            return False
        roots: set[int] = set()
        ops: set[int] = set()
        for value in op.operands:
            if value in graph.constants:
                constant = graph.constants[value]
                if constant.size == 0 or not (constant == constant.reshape(-1)[:1]).all():
                    return False
                continue
            root, own = self.pending.get(value, (value, ()))
            roots.add(root)
            ops.update(own)
        if len(roots) != 1 or not roots <= self.codes:
            return False
        (root,) = roots
        if graph.shapes[op.result] != graph.shapes[root]:
            return False
        if graph.elements[op.result] not in ("f32", "i1"):
            return False
        self.pending[op.result] = root, tuple(sorted({*ops, op.index}))
        return True

    def _settle(self, value: int) -> None:
        """Make a group of a function that is needed now."""
        if value not in self.pending:
            return
        root, ops = self.pending.pop(value)
        own = [self.graph.op(index) for index in ops]
        if self.graph.elements[value] == "f32":
            self._add(Function(), (root,), own, output=value)
            return
        for op in own:  # conditions
            self._add(Float(), tuple(v for v in op.operands if v not in self.graph.constants), [op])

    def _add(
        self, detail: Detail, inputs: tuple[int, ...], ops: Sequence[Op], output: int | None = None
    ) -> None:
        output = ops[-1].results[0] if output is None else output
        layer = ops[0].layer
        layers = frozenset(op.layer for op in ops if op.layer)
        indices = tuple(op.index for op in ops)
        group = Group(layer or ops[0].name, detail, inputs, output, indices, layers)
        self.groups.append(group)
        self.done.update(indices)
        if not group.is_float:
            self.codes.add(output)


def _named(groups: Sequence[Group]) -> tuple[Group, ...]:
    """Return the groups with names of their own; a layer's name is its product's, if it has one."""
    names: dict[int, str] = {}
    counts: dict[str, int] = {}
    order = sorted(
        range(len(groups)), key=lambda i: (groups[i].is_float, not _is_product(groups[i]), i)
    )
    for index in order:
        name = groups[index].name
        counts[name] = counts.get(name, 0) + 1
        names[index] = name if counts[name] == 1 else f"{name}/{counts[name]}"
    return tuple(
        dataclasses.replace(group, name=names[index]) for index, group in enumerate(groups)
    )


def _is_product(group: Group) -> bool:
    return isinstance(group.detail, Product)


def _without_needless(graph: Graph, groups: Sequence[Group]) -> tuple[Group, ...]:
    """Return the groups, where codes that only float operations read are none."""
    read_as_codes = {graph.output}
    kept: list[Group] = []
    for group in reversed(groups):
        if group.output not in read_as_codes and not _is_product(group):
            group = dataclasses.replace(group, detail=Float())
        if not group.is_float:
            read_as_codes.update(group.inputs)
        kept.append(group)
    return tuple(reversed(kept))


def _affine(
    graph: Graph, op: Op, value: int, product: Product, axes: tuple[int, ...]
) -> Product | None:
    """Return a product times or plus what a channel has, or None where `op` does not do that."""
    if op.name not in ("add", "subtract", "multiply", "divide") or product.clamp != Clamp():
        return None
    others = [own for own in op.operands if own != value]
    if len(others) != 1 or others[0] not in graph.constants:
        return None
    constant = per_channel(graph.constants[others[0]], axes)
    if constant is None:
        return None
    one, zero = np.ones_like(constant), np.zeros_like(constant)
    is_first = op.operands[0] == value
    if op.name == "add":
        return product.scaled(one, constant)
    if op.name == "subtract":
        return product.scaled(one, -constant) if is_first else product.scaled(-one, constant)
    if op.name == "multiply":
        return product.scaled(constant, zero)
    return product.scaled(one / constant, zero) if is_first and constant.all() else None


def _clamped(graph: Graph, op: Op, value: int, clamp: Clamp) -> Clamp | None:
    """Return what `op` leaves of a value that is clamped already; None where it is no clamp."""
    bounds = [
        _one_number(graph.constants[own]) if own in graph.constants else None for own in op.operands
    ]
    if op.name == "clamp" and op.operands[1] == value:
        low, _, high = bounds
        return None if low is None or high is None else clamp.within(low, high)
    bound = next((number for number in bounds if number is not None), None)
    if bound is None or len(op.operands) != 2 or value not in op.operands:
        return None
    if op.name == "maximum":
        return clamp.within(low=bound)
    return clamp.within(high=bound) if op.name == "minimum" else None


def _one_number(array: np.ndarray) -> float | None:
    flat = array.reshape(-1)
    return float(flat[0]) if flat.size and (flat == flat[0]).all() else None
