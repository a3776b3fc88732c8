# SPDX-License-Identifier: Apache-2.0
"""Texts of models: types, loops, single pairs."""

from __future__ import annotations

from collections.abc import Sequence

from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.models.model import PLACEHOLDER
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.errors import UnsupportedError

__all__ = ["looped_text", "port_types", "single_pair_text", "type_names"]


def port_types(
    instance: Instance, flat: Netlist
) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Return the types of a, b and the result in a model, and those of their arrays' elements."""
    if instance.core.format == "f32":
        return ("f32", "f32", "f32"), ("f32", "f32", "f32")
    ports = flat.module["ports"]
    widths = [len(ports[name]["bits"]) for name in ("a", "b", "result")]
    if max(widths) > 64:
        raise UnsupportedError(f"{instance.label}: ports wider than 64 bits have no model")
    storage = [max(8, 1 << (width - 1).bit_length()) for width in widths]
    return type_names(widths), type_names(storage)


def type_names(widths: Sequence[int]) -> tuple[str, str, str]:
    a, b, result = (f"i{width}" for width in widths)
    return a, b, result


def single_pair_text(types: tuple[str, str, str], storage: tuple[str, str, str]) -> str:
    """Return `@symbol`, which computes one pair through `@symbol_block`."""

    def converted(name: str, have: str, want: str) -> str:
        if have == want:
            return f"arith.bitcast %{name} : {have} to {want}"
        operation = "extui" if int(want[1:]) > int(have[1:]) else "trunci"
        return f"arith.{operation} %{name} : {have} to {want}"

    arrays = [f"memref<?x{kind}>" for kind in storage]
    lines = [
        f"func.func private @{PLACEHOLDER}(%a: {types[0]}, %b: {types[1]}) -> {types[2]} "
        f"attributes {{no_inline, approx.block = @{PLACEHOLDER}_block}} {{",
        "  %c0 = arith.constant 0 : index",
    ]
    for name, kind, array in zip("abr", storage, arrays, strict=True):
        lines += [
            f"  %{name}_one = memref.alloca() : memref<1x{kind}>",
            f"  %{name}_array = memref.cast %{name}_one : memref<1x{kind}> to {array}",
        ]
    for name, have, want in (("a", types[0], storage[0]), ("b", types[1], storage[1])):
        lines += [
            f"  %{name}_stored = {converted(name, have, want)}",
            f"  memref.store %{name}_stored, %{name}_one[%c0] : memref<1x{want}>",
        ]
    lines += [
        f"  call @{PLACEHOLDER}_block(%a_array, %b_array, %r_array) : ({', '.join(arrays)}) -> ()",
        f"  %r = memref.load %r_one[%c0] : memref<1x{storage[2]}>",
        f"  %result = {converted('r', storage[2], types[2])}",
        f"  return %result : {types[2]}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def looped_text(kinds: tuple[tuple[str, str, str], tuple[str, str, str]], word: str) -> str:
    """Return a model over arrays that calls the word-level one `word` for each pair."""
    types, storage = kinds
    arrays = ", ".join(f"%{n}: memref<?x{kind}>" for n, kind in zip("abr", storage, strict=True))

    def converted(name: str, have: str, want: str) -> list[str]:
        if have == want:
            return [f"    %{name}_used = arith.bitcast %{name}_given : {have} to {want}"]
        operation = "extui" if int(want[1:]) > int(have[1:]) else "trunci"
        return [f"    %{name}_used = arith.{operation} %{name}_given : {have} to {want}"]

    lines = [
        f"func.func private @{PLACEHOLDER}_block({arrays}) attributes {{no_inline}} {{",
        "  %c0 = arith.constant 0 : index",
        "  %c1 = arith.constant 1 : index",
        f"  %n = memref.dim %a, %c0 : memref<?x{storage[0]}>",
        "  scf.for %i = %c0 to %n step %c1 {",
    ]
    for name, have, want in (("a", storage[0], types[0]), ("b", storage[1], types[1])):
        lines.append(f"    %{name}_given = memref.load %{name}[%i] : memref<?x{have}>")
        lines += converted(name, have, want)
    lines += [
        f"    %r_given = func.call @{PLACEHOLDER}_word(%a_used, %b_used) : "
        f"({types[0]}, {types[1]}) -> {types[2]}",
        *converted("r", types[2], storage[2]),
        f"    memref.store %r_used, %r[%i] : memref<?x{storage[2]}>",
        "  }",
        "  return",
        "}",
    ]
    inner = word.replace(f"@{PLACEHOLDER}(", f"@{PLACEHOLDER}_word(")
    return inner + "\n".join(lines) + "\n" + single_pair_text(types, storage)
