# SPDX-License-Identifier: Apache-2.0
"""Models that call a simulation or another library."""

from __future__ import annotations

from typing import Any

from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.models.model import PLACEHOLDER
from asnet_mlir.cores.models.texts import port_types, single_pair_text
from asnet_mlir.cores.simulation import simulation
from asnet_mlir.cores.verilog.netlist import Netlist

__all__ = ["external_text", "simulated_model", "with_library"]

_LIBRARY = "__asnet_library__"


def simulated_model(instance: Instance) -> dict[str, Any]:
    """Return the entry of a model that calls the simulation; its library is found at each use."""
    widths = simulation.port_widths([instance])[0]
    bits = {"a": widths.a, "b": widths.b, "result": widths.result}
    ports = {role: {"bits": [0] * width} for role, width in bits.items()}
    types, storage = port_types(instance, Netlist("", {"": {"ports": ports}}, {}))
    name = f"{PLACEHOLDER}_simulation"
    return {
        "text": external_text(PLACEHOLDER, name, types, storage, f'approx.library = "{_LIBRARY}"'),
        "strategy": "simulated",
        "latency": instance.latency,
        "block": True,
    }


def external_text(
    symbol: str,
    name: str,
    types: tuple[str, str, str],
    storage: tuple[str, str, str],
    attributes: str = "",
) -> str:
    """Return a model over arrays that a C function computes.

    Args:
      symbol: of the model.
      name: of `void name(const void* a, const void* b, void* r, int64_t n)`.
      types: of a, b and the result of one pair.
      storage: element types of the arrays.
      attributes: more of them for the function's declaration.
    """
    more = f", {attributes}" if attributes else ""
    arguments = ", ".join(f"%{n}: memref<?x{k}>" for n, k in zip("abr", storage, strict=True))
    lines = [
        f"llvm.func @{name}(!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) "
        f'attributes {{sym_visibility = "private"{more}}}',
        f"func.func private @{symbol}_block({arguments}) attributes {{no_inline}} {{",
        "  %c0 = arith.constant 0 : index",
        f"  %n = memref.dim %a, %c0 : memref<?x{storage[0]}>",
        "  %count = arith.index_cast %n : index to i64",
    ]
    for argument, kind in zip("abr", storage, strict=True):
        lines += [
            f"  %{argument}_at = memref.extract_aligned_pointer_as_index %{argument} : "
            f"memref<?x{kind}> -> index",
            f"  %{argument}_int = arith.index_cast %{argument}_at : index to i64",
            f"  %{argument}_ptr = llvm.inttoptr %{argument}_int : i64 to !llvm.ptr",
        ]
    lines += [
        f"  llvm.call @{name}(%a_ptr, %b_ptr, %r_ptr, %count) : "
        "(!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> ()",
        "  return",
        "}",
    ]
    block = "\n".join(lines) + "\n"
    return block + single_pair_text(types, storage).replace(PLACEHOLDER, symbol)


def with_library(text: str, symbol: str, instance: Instance) -> str:
    """Give a cached text its symbol, and a simulated one the library of this machine."""
    if _LIBRARY in text:
        text = text.replace(_LIBRARY, str(simulation.block_library(instance)))
    return text.replace(PLACEHOLDER, symbol)
