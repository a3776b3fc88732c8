# SPDX-License-Identifier: Apache-2.0
"""Circuits of a library by number: one core whose Verilog is written for a value of its parameter.

A hundred multipliers as files would be read, hashed and shipped where one is wanted.  So a core's
manifest may name an index (JSON) of members, each described by a few words, and the one source file
of the core that differs is written for the member that is asked for.

A circuit is described by one of these, N being the bits of an operand:

    {"core": "drum", "parameters": {"K": 6}}        a core of the library; N is its parameter N
    {"array": {"columns": 20, "a": 0, "b": 0, "constant": 0}}
                                                    an array without columns below `columns`, and
                                                    without the low bits of a and b; plus a constant
    {"digit": 8, "blocks": [[null, C], [C, C]]}     a sum of products of digits, block [i][j] of
                                                    digit i of a and j of b; null: left out
    {"netlist": "mul8u_1"}                          netlists/mul8u_1.v.gz beside the index, with the
                                                    inputs a and b and one output
"""

from __future__ import annotations

import functools
import gzip
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asnet_mlir.cores.sources.source import Source, read_source
from asnet_mlir.errors import InputError

__all__ = ["Members", "circuit_sources"]

_OUTPUT = re.compile(r"\boutput\s+(?:(?:wire|logic|signed)\s+)*(?:\[[^]]*\]\s*)?(\w+)")


@dataclass(frozen=True)
class Members:
    """Where the circuits of a core are.

    Attributes:
      parameter: the core's parameter that chooses one.
      index: the file that lists them: `{"bits": N, "members": [{"circuit": .., ..}, ..]}`; for
        netlists that are no unsigned products also `"result": bits` and `"signed": true`.
      module: the module that is written, and the file of this name among the core's sources.
      fixed: the core's sources, the written one as it is for the default member.
    """

    parameter: str
    index: Path
    module: str
    fixed: tuple[Source, ...]

    def sources(self, number: int) -> tuple[Source, ...]:
        """Return the core's sources for a member.

        Raises:
          InputError: the index cannot be read, has no such member, or its circuit is malformed.
        """
        entries = read_index(self.index)
        try:
            circuit = entries["members"][number]["circuit"]
            bits = int(entries["bits"])
            result = int(entries.get("result", 2 * bits))
            signed = bool(entries.get("signed", False))
        except (IndexError, KeyError, TypeError, ValueError):
            raise InputError(
                f"{self.index}: has no circuit for {self.parameter}={number}"
            ) from None
        text, others = circuit_sources(
            circuit,
            bits,
            self.module,
            self.index.parent,
            (self.parameter, number),
            result=result,
            signed=signed,
        )
        written = [
            Source(source.path, text) if source.path.stem == self.module else source
            for source in self.fixed
        ]
        known = {source.path for source in written}
        return (*written, *(source for source in others if source.path not in known))


def read_index(path: Path) -> Any:
    """Return the index of members.

    Raises:
      InputError: it cannot be read.
    """
    try:
        return _parsed(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None


@functools.lru_cache(maxsize=16)
def _parsed(path: Path, _: int) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def circuit_sources(
    circuit: Mapping[str, Any],
    bits: int,
    module: str,
    folder: Path,
    parameter: tuple[str, int] | None = None,
    *,
    result: int | None = None,
    signed: bool = False,
) -> tuple[str, tuple[Source, ...]]:
    """Return the text of a module with ports a_i, b_i and result_o, and what it instantiates.

    Args:
      circuit: as this file's head describes.
      bits: of an operand.
      folder: beside which cores of the library, and in which `netlists`, are looked for.
      parameter: a parameter of the module, and the only value that it can have.
      result: bits of the result, by default those of a product; others are for netlists.
      signed: the ports are declared as signed; for netlists too.

    Raises:
      InputError: the circuit is malformed.
    """
    result = 2 * bits if result is None else result
    if (result != 2 * bits or signed) and "netlist" not in circuit:
        raise InputError(f"{folder}: only a netlist is no unsigned product: {json.dumps(circuit)}")
    kind = "logic signed" if signed else "logic"
    is_product = result == 2 * bits
    what = "Multiplier" if is_product else "Circuit"
    purpose = f"result_o ~ {'a_i * b_i' if is_product else module}"
    writer = _Writer(folder)
    body = writer.circuit(circuit, bits, "", "a_i", "b_i", "result_o")
    head = [
        f"// {what} of {bits}-bit integers, a circuit of the library; generated by asnet-mlir.",
        "//",
        f"// Purpose:  {purpose}, {'signed' if signed else 'unsigned'}: {json.dumps(circuit)}",
        "// Source:   docs/library.md.",
        "// Latency:  0, combinational.",
        "// Special:  none.",
        f"module {module}" + (" (" if parameter is None else " #("),
    ]
    check = []
    if parameter is not None:
        name, value = parameter
        head += [f"  parameter int unsigned {name} = {value}", ") ("]
        check = [
            f"  if ({name} != {value}) begin : gen_other_member",
            f'    $error("{module}: this is the text of {name} = {value}");',
            "  end",
        ]
    head += [
        f"  input  {kind} [{bits - 1}:0] a_i,",
        f"  input  {kind} [{bits - 1}:0] b_i,",
        f"  output {kind} [{result - 1}:0] result_o",
        ");",
    ]
    return "\n".join([*head, *check, *body, "endmodule", ""]), tuple(writer.sources)


@dataclass(frozen=True)
class _Term:
    """An unsigned word of a sum: an expression of `width` bits at bit `offset`."""

    offset: int
    width: int
    text: str

    @property
    def top(self) -> int:
        """The bits of the sum that it reaches."""
        return self.offset + self.width


class _Writer:
    """Lines of Verilog, and the sources of what they instantiate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[Path, Source] = {}

    @property
    def sources(self) -> list[Source]:
        """What is instantiated."""
        return list(self._found.values())

    def circuit(
        self, circuit: Mapping[str, Any], bits: int, name: str, a: str, b: str, result: str
    ) -> list[str]:
        """Return lines that drive `result`, 2 * bits wide, by operands that are expressions."""
        kinds = circuit.keys() & {"core", "array", "blocks", "netlist"}
        if len(kinds) != 1:
            raise InputError(f"{self._folder}: no circuit: {json.dumps(circuit)}")
        kind = kinds.pop()
        make = {"core": self._core, "array": self._array, "blocks": self._blocks}
        try:
            if kind == "netlist":
                return self._netlist(circuit, name, a, b, result)
            return make[kind](circuit, bits, name, a, b, result)
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{self._folder}: malformed circuit: {json.dumps(circuit)}") from None

    def _core(
        self, circuit: Mapping[str, Any], bits: int, name: str, a: str, b: str, result: str
    ) -> list[str]:
        path = self._folder.parent / circuit["core"] / "core.toml"
        manifest = tomllib.loads(path.read_text(encoding="utf-8"))
        for file in manifest["sources"]:
            source = read_source(path.parent / file)
            self._found[source.path] = source
        values = {"N": bits, **circuit.get("parameters", {})}
        parameters = ", ".join(f".{key}({int(value)})" for key, value in values.items())
        ports = manifest["ports"]
        return [
            f"  {manifest['module']} #({parameters}) u_core{name} (",
            f"    .{ports['a']}({a}), .{ports['b']}({b}), .{ports['result']}({result}));",
        ]

    def _netlist(
        self, circuit: Mapping[str, Any], name: str, a: str, b: str, result: str
    ) -> list[str]:
        stem = str(circuit["netlist"])
        packed = self._folder / "netlists" / f"{stem}.v.gz"
        try:
            text = gzip.decompress(packed.read_bytes()).decode()
        except (OSError, EOFError, UnicodeDecodeError):
            raise InputError(f"{packed}: cannot be read") from None
        path = packed.with_suffix("")
        self._found[path] = Source(path, text)
        output = _OUTPUT.search(text)
        if output is None:
            raise InputError(f"{packed}: has no output")
        return [f"  {stem} u_netlist{name} (.a({a}), .b({b}), .{output[1]}({result}));"]

    def _array(
        self, circuit: Mapping[str, Any], bits: int, name: str, a: str, b: str, result: str
    ) -> list[str]:
        given = circuit["array"]
        columns, low_a, low_b = (int(given.get(key, 0)) for key in ("columns", "a", "b"))
        constant = int(given.get("constant", 0))
        terms = []
        for row in range(low_b, bits):
            first = max(low_a, columns - row)
            if first < bits:
                live = f"{a}[{bits - 1}:{first}] & {{{bits - first}{{{b}[{row}]}}}}"
                terms.append(_Term(row + first, bits - first, f"({live})"))
        if constant:
            low = (constant & -constant).bit_length() - 1
            width = constant.bit_length() - low
            terms.append(_Term(low, width, f"{width}'d{constant >> low}"))
        return _sum(terms, f"s{name}", result, 2 * bits)

    def _blocks(
        self, circuit: Mapping[str, Any], bits: int, name: str, a: str, b: str, result: str
    ) -> list[str]:
        digit, blocks = int(circuit["digit"]), circuit["blocks"]
        count = bits // digit
        if digit * count != bits or [len(row) for row in blocks] != [count] * count:
            raise ValueError
        lines, diagonals = [], []
        for difference in sorted(range(1 - count, count), key=abs):
            # Blocks of a diagonal lie side by side.
            terms: list[_Term] = []
            for j in range(count):
                i = j + difference
                if not 0 <= i < count or blocks[i][j] is None:
                    continue
                own = f"p{name}_{i}_{j}"
                x, y = (f"x{name}_{i}_{j}", f"y{name}_{i}_{j}")
                lines += [
                    f"  logic [{2 * digit - 1}:0] {own};",
                    f"  logic [{digit - 1}:0] {x}, {y};",
                    f"  assign {x} = {a}[{digit * i} +: {digit}];",
                    f"  assign {y} = {b}[{digit * j} +: {digit}];",
                    *self.circuit(blocks[i][j], digit, f"{name}_{i}_{j}", x, y, own),
                ]
                terms.append(_Term(digit * (i + j), 2 * digit, own))
            if terms:
                diagonals.append(_joined(terms))
        return [*lines, *_sum(diagonals, f"s{name}", result, 2 * bits)]


def _joined(terms: Sequence[_Term]) -> _Term:
    """Return words that do not overlap, lowest first, as one."""
    parts: list[str] = []
    place = terms[0].offset
    for term in terms:
        if term.offset > place:
            parts.append(f"{term.offset - place}'b0")
        parts.append(term.text)
        place = term.top
    return _Term(terms[0].offset, place - terms[0].offset, f"{{{', '.join(reversed(parts))}}}")


def _at(term: _Term, low: int, width: int) -> str:
    """Return a term as `width` bits whose lowest is bit `low` of the sum."""
    above = width - (term.top - low)
    parts = [f"{above}'b0"] if above else []
    parts.append(term.text)
    if term.offset > low:
        parts.append(f"{term.offset - low}'b0")
    return f"{{{', '.join(parts)}}}" if len(parts) > 1 else term.text


def _sum(terms: Sequence[_Term], name: str, result: str, width: int) -> list[str]:
    """Return lines that drive `result` by a sum, in a tree of adders.

    `keep` stops Yosys (alumacc) from merging them into one carry-save array, which costs more LUTs
    on FPGAs with carry chains; see asnet_sigmul24.
    """
    lines: list[str] = []
    level = list(terms)
    number = 0
    while len(level) > 1:
        following = []
        for k in range(0, len(level) - 1, 2):
            one, two = level[k], level[k + 1]
            low, top = min(one.offset, two.offset), min(max(one.top, two.top) + 1, width)
            size = top - low
            lines += [
                f"  (* keep *) logic [{size - 1}:0] {name}_{number};",
                f"  assign {name}_{number} = {_at(one, low, size)} + {_at(two, low, size)};",
            ]
            following.append(_Term(low, size, f"{name}_{number}"))
            number += 1
        level = [*following, *level[len(level) & ~1 :]]
    last = _at(level[0], 0, width) if level else f"{width}'b0"
    return [*lines, f"  assign {result} = {last};"]
