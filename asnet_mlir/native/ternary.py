# SPDX-License-Identifier: Apache-2.0
"""Tables of three inputs as single instructions, where the processor has them.

Bit-sliced models (`cores/models/bitslice.py`) call functions that carry `approx.lut = <table>`,
with a body of `arith` that works everywhere.  AVX-512 computes any such table by one `vpternlog`;
LLVM finds that out for some of the bodies only, and takes long.
"""

from __future__ import annotations

from typing import Any

from asnet_mlir.native.objects import host

__all__ = ["use_ternary_logic"]

_TABLE = "approx.lut"
_INTRINSICS = {
    "vector<16xi32>": "llvm.x86.avx512.pternlog.d.512",
    "vector<8xi64>": "llvm.x86.avx512.pternlog.q.512",
}


def use_ternary_logic(module: Any) -> None:
    """Replace the bodies of functions with `approx.lut` by the processor's instruction for them.

    Args:
      module: an `mlir.ir.Module`, in whose context this is called.  It is left as it is on
        processors without AVX-512.
    """
    from mlir import ir

    if "+avx512f" not in host():
        return
    for op in list(module.body.operations):
        if _TABLE not in op.attributes:
            continue
        name = op.attributes["sym_name"].value
        table = ir.IntegerAttr(op.attributes[_TABLE]).value
        plane = str(ir.FunctionType(op.attributes["function_type"].value).results[0])
        # The instruction takes the table's highest address bit first.
        replacement = ir.Module.parse(
            f"func.func private @{name}(%x0: {plane}, %x1: {plane}, %x2: {plane}) -> {plane} {{\n"
            f"  %table = llvm.mlir.constant({table} : i32) : i32\n"
            f'  %y = llvm.call_intrinsic "{_INTRINSICS[plane]}"(%x2, %x1, %x0, %table) '
            f": ({plane}, {plane}, {plane}, i32) -> {plane}\n"
            f"  return %y : {plane}\n"
            "}\n"
        )
        op.operation.erase()
        for moved in list(replacement.body.operations):
            module.body.append(moved)
