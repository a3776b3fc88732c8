# SPDX-License-Identifier: Apache-2.0
"""StableHLO to linalg, by jaxlib's own MLIR.

jaxlib brings a copy of MLIR with the StableHLO passes; it lives beside the project's MLIR in one
process and hands over text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.frontends.elementary import FUNCTIONS
from asnet_mlir.frontends.gathers import gathered
from asnet_mlir.frontends.locations import describe_op
from asnet_mlir.frontends.loops import rewrite_loops
from asnet_mlir.frontends.sorting import exchanged
from asnet_mlir.ir import walk

__all__ = ["INLINE", "linalg_from_stablehlo", "run_passes"]

#: Composites and calls are inlined so that each op's location carries its whole scope; ops whose
#: shape is an operand become those of a fixed shape where it is a constant.
INLINE = (
    "builtin.module(inline,func.func(chlo-legalize-to-stablehlo,"
    "stablehlo-legalize-composite-to-call),inline,symbol-dce,"
    "func.func(stablehlo-canonicalize-dynamism))"
)
_LEGALIZE = "builtin.module(stablehlo-legalize-to-linalg,canonicalize,cse)"
#: Ops that have a lowering which may not be used: `rng` gives other numbers than the framework,
#: `torch_index_select` reads where an index out of range says.
_CAST = "builtin.unrealized_conversion_cast"
_REFUSED = frozenset({"stablehlo.rng", "stablehlo.torch_index_select"})


def linalg_from_stablehlo(module: Any) -> str:
    """Lower a jaxlib MLIR module of StableHLO to linalg on tensors.

    Args:
      module: `jaxlib.mlir.ir.Module`; it is not changed.

    Returns:
      The text of the module, with locations.

    Raises:
      UnsupportedError: an op has no lowering; it is named with its location.
    """
    with module.context:
        # JAX caches the module it hands out, so passes must run on a copy.
        copy = module.operation.clone()
        run_passes(copy, INLINE)
        _refuse(copy.operation, lambda name: name in _REFUSED)
        rewrite_loops(copy)
        _rewrite(copy.operation)
        run_passes(copy, _LEGALIZE)
        _refuse(copy.operation, lambda name: name.startswith(("stablehlo.", "chlo.", "mhlo.")))
        _drop_signs(copy.operation)
        return copy.operation.get_asm(enable_debug_info=True)


def run_passes(module: Any, pipeline: str) -> None:
    """Run passes on a jaxlib MLIR module, in place.

    Raises:
      UnsupportedError: a pass fails; the first diagnostic is kept, with its location.
    """
    from jaxlib.mlir import ir, passmanager
    from jaxlib.mlir.dialects import stablehlo

    stablehlo.register_stablehlo_passes()
    messages: list[str] = []

    def keep(diagnostic: Any) -> bool:
        messages.append(f"{diagnostic.location}: {diagnostic.message}")
        return True

    with module.context as context:
        handler = context.attach_diagnostic_handler(keep)
        try:
            passmanager.PassManager.parse(pipeline).run(module.operation)
        except ir.MLIRError:
            detail = messages[0] if messages else "a pass of MLIR failed without a message"
            raise UnsupportedError(f"StableHLO has an op without a lowering: {detail}") from None
        finally:
            handler.detach()


def _rewrite(module: Any) -> None:
    """Rewrite the ops for which StableHLO has no lowering, or one that leads nowhere."""
    from jaxlib.mlir import ir

    rewrites = {
        "stablehlo.concatenate": _insertions,
        "stablehlo.batch_norm_inference": _normalization,
        "stablehlo.optimization_barrier": lambda op: list(op.operands),
        "stablehlo.dot": _integer_product,
        "stablehlo.dot_general": _integer_product,
        "stablehlo.convolution": _integer_product,
        **FUNCTIONS,
    }
    # Into concatenations, which are rewritten next.
    for op in [op for op in walk(module) if op.name in ("stablehlo.sort", "stablehlo.gather")]:
        _replace(op, exchanged if op.name == "stablehlo.sort" else gathered)
    for op in list(walk(module)):
        rewrite = rewrites.get(op.name)
        if rewrite is None or not all(
            isinstance(result.type, ir.RankedTensorType) and result.type.has_static_shape
            for result in op.results
        ):
            continue
        _replace(op, rewrite)


def _replace(op: Any, rewrite: Callable[[Any], list[Any]]) -> None:
    """Replace an op by what `rewrite` makes before it; its own results mean that it stays."""
    from jaxlib.mlir import ir

    with ir.InsertionPoint(op), op.location:
        values = rewrite(op)
    if values == list(op.results):
        return
    for result, value in zip(op.results, values, strict=True):
        result.replace_all_uses_with(value)
    op.erase()


def _insertions(op: Any) -> list[Any]:
    """Return a concatenation as a chain of insertions into a new tensor.

    StableHLO's own lowering decides for each element, with `scf.if`, where it comes from: nothing
    that could be vectorized, or become hardware.
    """
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    op.context.get_dialect_descriptor("tensor")  # loads it
    given = ir.RankedTensorType(op.results[0].type)
    axis = ir.IntegerAttr(op.attributes["dimension"]).value
    element = given.element_type
    is_unsigned = isinstance(element, ir.IntegerType) and element.is_unsigned
    if is_unsigned:  # as the lowering of all other ops has them, and tensors in memory
        element = ir.IntegerType.get_signless(element.width)
    kind = ir.RankedTensorType.get(given.shape, element)
    whole = ir.Operation.create("tensor.empty", results=[kind]).result
    start = 0
    for operand in op.operands:
        sizes = list(ir.RankedTensorType(operand.type).shape)
        offsets = [start if dim == axis else 0 for dim in range(kind.rank)]
        start += sizes[axis]
        if 0 in sizes:
            continue
        if is_unsigned:
            operand = stablehlo.bitcast_convert(ir.RankedTensorType.get(sizes, element), operand)
        attributes = {
            "static_offsets": ir.DenseI64ArrayAttr.get(offsets),
            "static_sizes": ir.DenseI64ArrayAttr.get(sizes),
            "static_strides": ir.DenseI64ArrayAttr.get([1] * kind.rank),
            "operandSegmentSizes": ir.DenseI32ArrayAttr.get([1, 1, 0, 0, 0]),
        }
        whole = ir.Operation.create(
            "tensor.insert_slice", results=[kind], operands=[operand, whole], attributes=attributes
        ).result
    return [stablehlo.bitcast_convert(given, whole) if is_unsigned else whole]


def _integer_product(op: Any) -> list[Any]:
    """Return a product of integer arrays whose operands are extended before it, each by its sign.

    StableHLO's own lowering extends all as if they had one.  What the operands were before they
    were extended (`x.astype(int32)`) is padded, not what they are afterwards: the compiler then
    finds extensions where the products are, and cores see the codes.
    """
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    wide = ir.RankedTensorType(op.results[0].type).element_type
    if not isinstance(wide, ir.IntegerType):
        return list(op.results)
    operands = [_before_extension(operand) for operand in op.operands]
    if all(ir.RankedTensorType(value.type).element_type == wide for value in operands):
        return list(op.results)
    attributes = {name: op.attributes[name] for name in op.attributes}
    if op.name == "stablehlo.convolution":
        numbers = stablehlo.ConvDimensionNumbers(attributes["dimension_numbers"])
        operands[0] = _padded(operands[0], numbers.input_spatial_dimensions, attributes)
    extended = []
    for value in operands:
        kind = ir.RankedTensorType(value.type)
        extended.append(stablehlo.convert(ir.RankedTensorType.get(kind.shape, wide), value))
    return list(
        ir.Operation.create(
            op.name, results=[op.results[0].type], operands=extended, attributes=attributes
        ).results
    )


def _before_extension(value: Any) -> Any:
    """Return the narrower integers of which `value` has the same values, or `value`."""
    from jaxlib.mlir import ir

    # The owner of an argument is a block.
    while (
        op := getattr(value.owner, "operation", None)
    ) is not None and op.name == "stablehlo.convert":
        (given,) = op.operands
        to, of = (ir.RankedTensorType(v.type).element_type for v in (value, given))
        keeps_values = (
            isinstance(of, ir.IntegerType)
            and isinstance(to, ir.IntegerType)
            and 1 < of.width < to.width
            and (of.is_unsigned or not to.is_unsigned)
        )
        if not keeps_values:
            break
        value = given
    return value


def _padded(value: Any, dimensions: Sequence[int], attributes: dict[str, Any]) -> Any:
    """Pad and dilate what a convolution reads by an op of its own; change its attributes so."""
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    kind = ir.RankedTensorType(value.type)
    low, high, interior = ([0] * kind.rank for _ in range(3))
    sizes = list(kind.shape)
    padding = np.array(attributes.pop("padding", np.zeros((len(dimensions), 2))), np.int64)
    dilation = list(attributes.pop("lhs_dilation", None) or [1] * len(dimensions))
    for dimension, (before, after), factor in zip(
        dimensions, padding.reshape(-1, 2).tolist(), dilation, strict=True
    ):
        low[dimension], high[dimension], interior[dimension] = before, after, factor - 1
        spread = max(0, (sizes[dimension] - 1) * factor + 1)
        sizes[dimension] = spread + before + after
    if not any((*low, *high, *interior)):
        return value
    zero = stablehlo.constant(
        ir.DenseElementsAttr.get_splat(
            ir.RankedTensorType.get([], kind.element_type), ir.IntegerAttr.get(kind.element_type, 0)
        )
    )
    amounts = (ir.DenseI64ArrayAttr.get(amount) for amount in (low, high, interior))
    return ir.Operation.create(
        "stablehlo.pad",
        results=[ir.RankedTensorType.get(sizes, kind.element_type)],
        operands=[value, zero],
        attributes=dict(
            zip(("edge_padding_low", "edge_padding_high", "interior_padding"), amounts, strict=True)
        ),
    ).result


def _normalization(op: Any) -> list[Any]:
    """Return a batch normalization as `x k + (offset - mean k)`, k = scale / sqrt(variance + eps).

    What is computed of the statistics is folded later, as they are weights.
    """
    from jaxlib.mlir import ir
    from jaxlib.mlir.dialects import stablehlo

    x, scale, offset, mean, variance = op.operands
    feature = ir.IntegerAttr(op.attributes["feature_index"]).value
    dimensions = ir.DenseI64ArrayAttr.get([feature])
    epsilon = ir.FloatAttr.get(
        ir.RankedTensorType(x.type).element_type, ir.FloatAttr(op.attributes["epsilon"]).value
    )
    constant = stablehlo.constant(ir.DenseElementsAttr.get_splat(variance.type, epsilon))
    factor = stablehlo.multiply(scale, stablehlo.rsqrt(stablehlo.add(variance, constant)))
    rest = stablehlo.subtract(offset, stablehlo.multiply(mean, factor))
    wide = [stablehlo.broadcast_in_dim(x.type, value, dimensions) for value in (factor, rest)]
    return [stablehlo.add(stablehlo.multiply(x, wide[0]), wide[1])]


def _drop_signs(module: Any) -> None:
    """Make functions' integers signless, as all others are after the lowering."""
    from jaxlib.mlir import ir

    def signless(kind: Any) -> Any:
        if not isinstance(kind, ir.RankedTensorType):
            return kind
        element = kind.element_type
        if not isinstance(element, ir.IntegerType) or element.is_signless:
            return kind
        whole = ir.IntegerType.get_signless(element.width)
        return ir.RankedTensorType.get(kind.shape, whole, loc=ir.Location.unknown())

    for function in module.regions[0].blocks[0].operations:
        given = ir.FunctionType(function.attributes["function_type"].value)
        kinds = [[signless(kind) for kind in part] for part in (given.inputs, given.results)]
        function.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(*kinds))
    for op in list(walk(module)):
        for region in op.regions:
            for block in region:
                for argument in block.arguments:
                    argument.set_type(signless(argument.type))
        for result in op.results:
            if op.name in ("func.call", _CAST):
                result.set_type(signless(result.type))
    for op in list(walk(module)):
        if op.name == _CAST and next(iter(op.operands)).type == op.results[0].type:
            op.results[0].replace_all_uses_with(op.operands[0])
            op.erase()


def _refuse(module: Any, is_refused: Callable[[str], bool]) -> None:
    """Raise UnsupportedError for the first op of such a name, with its layer and its location."""
    for op in walk(module):
        if is_refused(op.name):
            raise UnsupportedError(
                f"unsupported op {describe_op(op)}; docs/ops.md lists what is supported"
            )
