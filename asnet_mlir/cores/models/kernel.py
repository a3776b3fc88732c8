# SPDX-License-Identifier: Apache-2.0
"""Models compiled into loops over arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from asnet_mlir.cores.models.model import Model
from asnet_mlir.errors import InputError
from asnet_mlir.ir import new_context
from asnet_mlir.native.jit import CompiledModule
from asnet_mlir.native.ternary import use_ternary_logic

__all__ = ["ElementwiseKernel", "compile_elementwise"]


class ElementwiseKernel:
    """Models compiled into loops over arrays; made by `compile_elementwise`."""

    def __init__(self, compiled: CompiledModule, dtypes: dict[str, tuple[np.dtype, ...]]) -> None:
        self._compiled = compiled
        self._dtypes = dtypes

    def prepared(
        self, symbol: str, a: np.ndarray, b: np.ndarray, result: np.ndarray
    ) -> Callable[[], None]:
        """Return the call that writes model `symbol` of each pair to `result`, to be repeated."""
        return self._compiled.prepared(f"{symbol}_loop", a, b, result)

    def dtypes(self, symbol: str) -> tuple[np.dtype, ...]:
        """Return the dtypes of the operands and the result of model `symbol`."""
        return self._dtypes[symbol]

    def __call__(self, symbol: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return model `symbol` of each pair of elements.

        Args:
          symbol: one of the compiled models.
          a, b: 1-D arrays of one length; float32, or for integer models the unsigned dtype of at
            least the port's width (upper bits ignored).

        Raises:
          InputError: shapes or dtypes do not fit.
        """
        dtypes = self._dtypes[symbol]
        if a.shape != b.shape or a.ndim != 1 or (a.dtype, b.dtype) != dtypes[:2]:
            raise InputError(
                f"{symbol}: expected two 1-D arrays of {dtypes[0]} and {dtypes[1]} of one length, "
                f"got {a.dtype}{a.shape} and {b.dtype}{b.shape}"
            )
        result = np.empty(a.shape, dtypes[2])
        self._compiled(f"{symbol}_loop", np.ascontiguousarray(a), np.ascontiguousarray(b), result)
        return result


def compile_elementwise(models: Mapping[str, Model | str], opt_level: int = 3) -> ElementwiseKernel:
    """Compile models into loops over arrays, one kernel for all of them.

    Args:
      models: by symbol, a model or its text: `func.func private @symbol(%a, %b) -> r`, on f32 or
        integers of up to 64 bits (carried in the next wider unsigned dtype), with `approx.block`
        where another function computes whole arrays.

    Raises:
      InputError: a model is not such a function.
    """
    from asnet_mlir import dialects

    dialects.load()
    from mlir import ir
    from mlir.dialects import arith, func, memref, scf
    from mlir.passmanager import PassManager

    dtypes = {}
    texts = [model if isinstance(model, str) else model.text for model in models.values()]
    with new_context(), ir.Location.unknown():
        module = ir.Module.parse("\n".join(texts))
        functions = {
            op.attributes["sym_name"].value: op
            for op in module.body.operations
            if isinstance(op, func.FuncOp)
        }
        index = ir.IndexType.get()
        for symbol in models:
            if symbol not in functions:
                raise InputError(f"the model text has no function '{symbol}'")
            function = functions[symbol]
            types = [*function.type.inputs, *function.type.results]
            if len(types) != 3:
                raise InputError(f"{symbol}: a model takes two operands and gives one result")
            storage = [_storage(ir, symbol, kind) for kind in types]
            dtypes[symbol] = tuple(dtype for dtype, _ in storage)
            buffers = [
                ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], kind) for _, kind in storage
            ]
            with ir.InsertionPoint(module.body):
                loop = func.FuncOp(f"{symbol}_loop", ir.FunctionType.get(buffers, []))
            loop.attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
            with ir.InsertionPoint(loop.add_entry_block()):
                if "approx.block" in function.attributes:
                    block = ir.FlatSymbolRefAttr(function.attributes["approx.block"])
                    func.CallOp([], block, list(loop.arguments))
                else:
                    zero = arith.constant(index, 0)
                    one = arith.constant(index, 1)
                    count = memref.dim(loop.arguments[0], zero)
                    for position in scf.for_(zero, count, one):
                        operands = [
                            _convert(arith, memref.load(buffer, [position]), kind)
                            for buffer, kind in zip(loop.arguments[:2], types[:2], strict=True)
                        ]
                        value = func.CallOp(function, operands).result
                        result = _convert(arith, value, storage[2][1])
                        memref.store(result, loop.arguments[2], [position])
                        scf.yield_([])
                func.ReturnOp([])
        use_ternary_logic(module)
        module.operation.verify()
        PassManager.parse("builtin.module(asnet-models-to-llvm)").run(module.operation)
        return ElementwiseKernel(CompiledModule(module, opt_level), dtypes)


def _storage(ir: Any, symbol: str, kind: Any) -> tuple[np.dtype, Any]:
    if isinstance(kind, ir.F32Type):
        return np.dtype(np.float32), kind
    if isinstance(kind, ir.IntegerType):
        for bits in (8, 16, 32, 64):
            if kind.width <= bits:
                return np.dtype(f"uint{bits}"), ir.IntegerType.get_signless(bits)
    raise InputError(f"{symbol}: {kind} is neither f32 nor an integer of up to 64 bits")


def _convert(arith: Any, value: Any, to: Any) -> Any:
    """Truncate or extend an integer with zeros; f32 stays."""
    if value.type == to:
        return value
    have, want = value.type.width, to.width
    return arith.trunci(to, value) if want < have else arith.extui(to, value)
