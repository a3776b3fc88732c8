"""The reference: a bound network as scalar loops, against which all faster code is tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asnet_mlir.ir import main_function, module_from_text, run_passes
from asnet_mlir.native.jit import CompiledModule

__all__ = ["to_native"]


# The reference: scalar loop nests in the order in which ops list their iterators.
_REFERENCE = (
    "builtin.module(approx-distinct-results,one-shot-bufferize{bufferize-function-boundaries=true "
    "function-boundary-type-conversion=identity-layout-map},"
    "buffer-results-to-out-params{hoist-static-allocs=true modify-public-functions=true},"
    "fold-memref-alias-ops,canonicalize,cse,approx-block-calls,symbol-dce,"
    "buffer-deallocation-pipeline,approx-linalg-to-loops,lower-affine,convert-scf-to-cf,"
    "expand-strided-metadata,lower-affine,convert-vector-to-llvm,finalize-memref-to-llvm,"
    "convert-arith-to-llvm,convert-index-to-llvm,convert-ub-to-llvm,convert-func-to-llvm,"
    "convert-cf-to-llvm,reconcile-unrealized-casts,canonicalize,cse)"
)


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
        main.attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
        _protect_arguments(main)
        function = ir.FunctionType(main.attributes["function_type"].value)
        shapes = [
            tuple(ir.ShapedType(kind).shape) for kind in (*function.inputs, *function.results)
        ]
        for pipeline in (
            "builtin.module(convert-approx-to-calls{keep-blocks=true})",
            "builtin.module(inline,canonicalize,cse)",
            _REFERENCE,
        ):
            run_passes(module, pipeline, "lowering to LLVM")
        compiled = CompiledModule(module, shapes={"main": shapes}, callbacks=callbacks)
    return compiled


def _protect_arguments(main: Any) -> None:
    """Forbid bufferization to compute in place in an argument: the arrays are the caller's."""
    from mlir import ir

    attributes = main.attributes.get("arg_attrs")
    count = len(ir.FunctionType(main.attributes["function_type"].value).inputs)
    given = list(ir.ArrayAttr(attributes)) if attributes else [ir.DictAttr.get({})] * count
    main.attributes["arg_attrs"] = ir.ArrayAttr.get(
        [
            ir.DictAttr.get(
                {
                    **{named.name: named.attr for named in ir.DictAttr(known)},
                    "bufferization.writable": ir.BoolAttr.get(False),
                }
            )
            for known in given
        ]
    )
