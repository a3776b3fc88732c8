# SPDX-License-Identifier: Apache-2.0
"""Control variates: what a filter's errors are on average, added to its sums.

G. Zervakis, O. Spantidi, I. Anagnostopoulos, H. Amrouch, J. Henkel, Control Variate Approximation
for DNN Accelerators, DAC 2021 (arXiv 2102.09642): the sum of a filter's approximate products gets
V S + B added, where S is the sum of the codes x that the filter multiplies, and V, B are constants
of the filter.  They are those of the least mean square of what is left of its error, of codes that
are drawn independently: with e_k(x) = x w_k - T(x, w'_k) for each of the filter's K weights,

    V = mean over k of cov(e_k(x), x) / var(x),    B = sum over k of (mean e_k(x) - V mean x).

V is a number of 16 fraction bits, B an integer; V S is rounded to the nearest integer, ties up.
S is summed by `addi` in the layer `LAYER/variate`, once for all filters, in the order of the
filter's own sum: it can be bound, it is in hardware, and costs count it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from asnet_mlir.compensation.tuning import DEFAULT_SAMPLES, prepared
from asnet_mlir.cores import Instance
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.weighted_sums import (
    WeightedSum,
    activations,
    dims_of,
    find_sums,
    histogram,
    linalg_ops,
    product_table,
    renumbered,
    text_of,
    texts_of_maps,
)
from asnet_mlir.frontends import load_model
from asnet_mlir.ir import module_from_text
from asnet_mlir.network import ApproxTexts, Network
from asnet_mlir.worker import in_mlir_process

__all__ = ["Compensation", "VariateLayer", "add_control_variate", "coefficients"]

_FRACTION_BITS = 16


@dataclass(frozen=True)
class VariateLayer:
    """What was added to a layer's sums.

    Attributes:
      core: the label of the instance.
      filters: how many constants V and B there are.
      least, greatest: of V.
      error_before, error_after: root mean square of a filter's error, as the model of independent
        codes has it.
    """

    layer: str
    core: str
    filters: int
    least: float
    greatest: float
    error_before: float
    error_after: float


@dataclass(frozen=True)
class Compensation:
    """A network with control variates, of the form `approx`, and what was done."""

    network: Network
    layers: tuple[VariateLayer, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the layers as JSON values."""
        return [dict(vars(layer)) for layer in self.layers]


@in_mlir_process(load=load_model)
def add_control_variate(
    model: Any,
    binding: Any,
    data: Any = None,
    *,
    meant: Any = None,
    samples: int = DEFAULT_SAMPLES,
) -> Compensation:
    """Add control variates to the sums whose products a binding gives a core.

    Args:
      model, binding, data, samples: as for `tune_weights`.
      meant: the network whose products are meant, where the weights of `model` are tuned; by
        default `model` itself.

    Raises:
      InputError: the binding has no core for products of codes and weights in the network.
      UnsupportedError: see `find_sums` and `product_table`.
    """
    network, bound, x = prepared(model, binding, data, samples)
    wanted = {weight.name: weight.value for weight in load_model(meant or model).weights}
    arrays = {weight.name: weight.value for weight in network.weights}
    layers, added = [], []
    for one in find_sums(network):
        rule = bound.rule_for("muli", one.layer, one.operands.name)
        if rule is None:
            continue
        codes = None if x is None else activations(network, one, x)
        weights = one.part(arrays[one.weight].copy()), one.part(wanted[one.weight].copy())
        variate, layer = _variate(one, rule.instance, weights, codes)
        layers.append(layer)
        added.append((one, variate))
    if not layers:
        raise InputError(
            f"{network.name}: binds no core to products of codes and weights ('{bound.label}'); "
            "there is nothing to make up for"
        )
    texts = {network.fixed_batch or 1: _with_variates(network, added)}
    network = replace(network, lowering=ApproxTexts(network.name, texts))
    return Compensation(network, tuple(layers))


@dataclass(frozen=True)
class _Variate:
    """The constants of a sum, int64 of the shape of its filters."""

    scale: np.ndarray
    offset: np.ndarray


def _variate(
    one: WeightedSum,
    instance: Instance,
    weights: tuple[np.ndarray, np.ndarray],
    codes: np.ndarray | None,
) -> tuple[_Variate, VariateLayer]:
    low, high = (int(end) for end in one.operands.range)
    begin, end = (int(edge) for edge in one.codes.range)
    shares = np.zeros(high - low + 1)
    shares[begin - low : end - low + 1] = (
        1 / (end - begin + 1) if codes is None else histogram(codes, one.codes)
    )
    rank = len(one.filter_axes)
    filters = [np.moveaxis(part, one.filter_axes, range(rank)) for part in weights]
    shape = filters[0].shape[:rank]
    used, wanted = (part.reshape(int(np.prod(shape)), -1).astype(np.int64) for part in filters)
    scale, offset, before, after = coefficients(
        product_table(instance, one), shares, low, used, wanted
    )
    fixed = np.rint(scale * (1 << _FRACTION_BITS)).astype(np.int64)
    layer = VariateLayer(
        one.layer,
        instance.label,
        len(scale),
        float(scale.min()),
        float(scale.max()),
        float(np.sqrt(np.mean(before))),
        float(np.sqrt(np.mean(after))),
    )
    return _Variate(fixed.reshape(shape), np.rint(offset).astype(np.int64).reshape(shape)), layer


def coefficients(
    table: np.ndarray, shares: np.ndarray, low: int, used: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return V and B of filters, and the mean squares of their errors without and with them.

    Args:
      table: products [codes, weights] of all numbers from `low` on.
      shares: how often each code occurs, float64[codes].
      used, wanted: the filters' weights, and those whose products are meant, int64[filters, K].

    Returns:
      Four times float64[filters].
    """
    x = np.arange(len(shares), dtype=np.float64) + low
    mean, square = float(shares @ x), float(shares @ x**2)
    variance = square - mean**2
    products = table.astype(np.float64)
    first, mixed, second = shares @ products, (shares * x) @ products, shares @ products**2
    w, v = wanted.astype(np.float64), used - low
    # Of e_k = x w_k - T(x, w'_k): its mean, its covariance with x, its variance.
    error = w * mean - first[v]
    covariance = w * square - mixed[v] - error * mean
    spread = w**2 * square - 2 * w * mixed[v] + second[v] - error**2
    scale = covariance.mean(axis=1) / variance if variance > 0 else np.zeros(len(w))
    count = w.shape[1]
    offset = error.sum(axis=1) - scale * mean * count
    before = spread.sum(axis=1) + error.sum(axis=1) ** 2
    left = spread.sum(axis=1) - 2 * scale * covariance.sum(axis=1) + count * scale**2 * variance
    return scale, offset, before, np.maximum(left, 0)


def _with_variates(network: Network, added: Sequence[tuple[WeightedSum, _Variate]]) -> str:
    """Return the network's module with V S + B added to sums."""
    with module_from_text(text_of(network)) as module:
        ops = [op for op, _ in linalg_ops(module)]
        for one, variate in added:
            _add(ops[one.position], one, variate)
        module.operation.verify()
        return str(module)


def _add(op: Any, one: WeightedSum, variate: _Variate) -> None:
    """Add V S + B to the result of a sum."""
    from mlir import ir

    maps, layer = texts_of_maps(op), f"{one.layer}/variate" if one.layer else "variate"
    whole = op.results[0]
    uses = [(use.owner, use.operand_number) for use in whole.uses]
    output, codes = dims_of(maps[-1]), dims_of(maps[one.activation])
    read = [d for d in output if d in codes]
    place = {d: position for position, d in enumerate(output)}
    i32, i64 = (ir.IntegerType.get_signless(bits) for bits in (32, 64))
    with _behind(op), op.location:
        summed = _sum(op, one, read, layer)
        constants = [
            _constant(ir.DenseElementsAttr.get(np.ascontiguousarray(array)))
            for array in (variate.scale, variate.offset)
        ]
        rank = len(output)
        identity = _map(rank, range(rank))
        filters = _map(rank, [place[d] for d in one.filter_dims])
        block = _generic(
            [whole, summed, *constants],
            ir.Operation.create("tensor.empty", results=[whole.type]).result,
            [identity, _map(rank, [place[d] for d in read]), filters, filters, identity],
            ["parallel"] * rank,
            layer,
        )
        with ir.InsertionPoint(block):
            own, sums, scale, offset, _ = block.arguments
            _yield(_compensated(own, sums, scale, offset, i32, i64))
    for owner, number in uses:
        owner.operands[number] = block.owner.results[0]


def _sum(op: Any, one: WeightedSum, read: Sequence[int], layer: str) -> Any:
    """Return the sum of codes over what an op sums its products over, for its dimensions `read`."""
    from mlir import ir

    i32, i8 = (ir.IntegerType.get_signless(bits) for bits in (32, 8))
    maps = texts_of_maps(op)
    extents = dict(zip(dims_of(maps[-1]), op.results[0].type.shape, strict=True))
    kind = ir.RankedTensorType.get([extents[d] for d in read], i32)
    zero = ir.DenseElementsAttr.get_splat(kind, ir.IntegerAttr.get(i32, 0))
    # As for a pooling, an operand that nobody reads says how far the sum goes.
    steps = [extent for _, extent in one.summed]
    shape = ir.Operation.create("tensor.empty", results=[ir.RankedTensorType.get(steps, i8)]).result
    kept = sorted({*read, *(d for d, _ in one.summed)})
    number = {d: position for position, d in enumerate(kept)}
    block = _generic(
        [op.operands[one.activation], shape],
        _constant(zero),
        [
            _map(len(kept), renumbered(maps[one.activation], number)),
            _map(len(kept), [number[d] for d, _ in one.summed]),
            _map(len(kept), [number[d] for d in read]),
        ],
        ["parallel" if d in read else "reduction" for d in kept],
        layer,
    )
    with ir.InsertionPoint(block):
        name = "arith.extsi" if one.codes.is_signed else "arith.extui"
        wide = ir.Operation.create(name, results=[i32], operands=[block.arguments[0]]).result
        added = ir.Operation.create(
            "approx.addi", results=[i32], operands=[block.arguments[2], wide]
        )
        _yield(added.result)
    return block.owner.results[0]


def _compensated(own: Any, summed: Any, scale: Any, offset: Any, i32: Any, i64: Any) -> Any:
    """Return own + ((scale summed + half) >> fraction bits) + offset."""
    from mlir import ir

    def make(name: str, *operands: Any, kind: Any = i64) -> Any:
        return ir.Operation.create(name, results=[kind], operands=list(operands)).result

    half, bits = (
        _constant(ir.IntegerAttr.get(i64, value))
        for value in (1 << _FRACTION_BITS - 1, _FRACTION_BITS)
    )
    product = make("arith.muli", make("arith.extsi", summed), scale)
    moved = make("arith.shrsi", make("arith.addi", product, half), bits)
    whole = make("arith.addi", make("arith.addi", make("arith.extsi", own), moved), offset)
    return make("arith.trunci", whole, kind=i32)


def _generic(
    inputs: Sequence[Any], output: Any, maps: Sequence[str], iterators: Sequence[str], layer: str
) -> Any:
    """Make a linalg op and return its empty block, whose arguments are elements of its operands."""
    from mlir import ir

    listed = ", ".join(f"#linalg.iterator_type<{name}>" for name in iterators)
    op = ir.Operation.create(
        "linalg.generic",
        results=[output.type],
        operands=[*inputs, output],
        attributes={
            "indexing_maps": ir.Attribute.parse(f"[{', '.join(maps)}]"),
            "iterator_types": ir.Attribute.parse(f"[{listed}]"),
            "operandSegmentSizes": ir.DenseI32ArrayAttr.get([len(inputs), 1]),
            "approx.layer": ir.StringAttr.get(layer),
        },
        regions=1,
    )
    kinds = [value.type.element_type for value in (*inputs, output)]
    return op.regions[0].blocks.append(*kinds)


def _map(rank: int, results: Any) -> str:
    """Return the text of an affine map of dimensions, given by number or as text."""
    dims = ", ".join(f"d{d}" for d in range(rank))
    listed = ", ".join(one if isinstance(one, str) else f"d{one}" for one in results)
    return f"affine_map<({dims}) -> ({listed})>"


def _constant(value: Any) -> Any:
    from mlir import ir

    return ir.Operation.create(
        "arith.constant", results=[value.type], attributes={"value": value}
    ).result


def _yield(value: Any) -> None:
    from mlir import ir

    ir.Operation.create("linalg.yield", operands=[value])


def _behind(op: Any) -> Any:
    """Return the place behind an op."""
    from mlir import ir

    operations = list(op.operation.block.operations)
    following = operations[[o.operation for o in operations].index(op.operation) + 1]
    return ir.InsertionPoint(following)
