# SPDX-License-Identifier: Apache-2.0
"""The model of an instance: a function of MLIR that computes what its Verilog does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

__all__ = ["Model", "PLACEHOLDER", "STRATEGIES", "Strategy", "model_symbol", "native_text"]

Strategy = Literal["native", "word", "bitslice", "table", "simulated"]
#: All strategies, in the order in which they are documented.
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
PLACEHOLDER = "__asnet_core__"


def model_symbol(number: int) -> str:
    """Return the symbol of an instance's model, as `convert-approx-to-calls` calls it."""
    return f"approx_core_{number}"


@dataclass(frozen=True)
class Model:
    """`func.func private @symbol` in MLIR 22's text, with what it needs, and how it was found.

    It takes two f32 and returns f32; for a core without format f32, integers of its ports' widths.
    Where `block` holds, `@symbol` is only for single pairs, carries `approx.block` and must not be
    inlined: `@symbol_block` computes whole arrays, 1-D memrefs (integers in i8, i16, i32, i64).

    `latency` is the depth of the pipeline by structure; None where the native proof needed none.
    `masks` are those of the operands of a native model, and `operation` is what it applies to them.
    `nanoseconds` has the time for a pair by each strategy that was tried, where there were several.
    `version` names strategy and text, whatever the symbol and wherever a simulation's library lies.
    """

    symbol: str
    text: str
    strategy: Strategy
    latency: int | None = None
    operation: str | None = None
    masks: tuple[int, int] | None = None
    block: bool = False
    nanoseconds: Mapping[str, float] = field(default_factory=dict)
    version: str = ""

    @property
    def parametric_text(self) -> str:
        """The same function with its masks as constants marked for `approx-promote-parameters`.

        Two native models of one operation and symbol have equal parametric texts: what tells them
        apart is `parameters`.
        """
        if self.operation is None or self.masks is None:
            return self.text
        text = native_text(self.operation, (0, 0), marked=True)
        return text.replace(PLACEHOLDER, self.symbol)

    @property
    def parameters(self) -> tuple[int, ...]:
        """The values of the marked constants of `parametric_text`, in their order, as uint32."""
        return self.masks or ()


def native_text(operation: str, masks: tuple[int, int], marked: bool = False) -> str:
    mark = "{approx.parameter} " if marked else ""
    lines = [f"func.func private @{PLACEHOLDER}(%a: f32, %b: f32) -> f32 {{"]
    operands = []
    for name, mask in zip("ab", masks, strict=True):
        if mask == (1 << 32) - 1:
            operands.append(f"%{name}")
            continue
        signed = mask - (1 << 32) if mask >> 31 else mask
        lines += [
            f"  %{name}_mask = arith.constant {mark}{signed} : i32",
            f"  %{name}_bits = arith.bitcast %{name} : f32 to i32",
            f"  %{name}_kept = arith.andi %{name}_bits, %{name}_mask : i32",
            f"  %{name}_used = arith.bitcast %{name}_kept : i32 to f32",
        ]
        operands.append(f"%{name}_used")
    lines += [f"  %result = {operation} {', '.join(operands)} : f32", "  return %result : f32", "}"]
    return "\n".join(lines) + "\n"
