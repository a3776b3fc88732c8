# SPDX-License-Identifier: Apache-2.0
"""The greatest error of a multiplier or adder by algebra on its netlist.

SAT solvers do not see that two multipliers of 16 bits are near each other, and less so with 24
bits.  But many approximate circuits are exact arithmetic on something else than the operands: an
array without cells, a product of leading bits, a sum of smaller products.  So words are evaluated
as integer polynomials of the operands' bits: the difference to the exact polynomial is short, and
its greatest value is found without enumerating operands (`circuits/polynomials.py`).

- **Cases.** Where what a multiplexer or shift does depends on an operand's bits (a leading-one
  detector), the highest such bit is fixed at 1 and at 0, and each case is evaluated by itself.
- **Blocks.** What a module without a polynomial gives for a few operand bits is tabulated from its
  gates.  The exact terms of these bits go into the same table: a block counts with its error.

No word is taken for its polynomial where it could wrap: the range of each is bounded.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from asnet_mlir.cores.circuits import polynomials
from asnet_mlir.cores.circuits.aig import Graph
from asnet_mlir.cores.circuits.gates import Gates
from asnet_mlir.cores.circuits.polynomials import Polynomial
from asnet_mlir.cores.circuits.tables import greatest_sum
from asnet_mlir.cores.circuits.words import FALSE, TRUE
from asnet_mlir.cores.verilog.inlining import without_circles
from asnet_mlir.cores.verilog.netlist import ordered_cells
from asnet_mlir.errors import UnsupportedError

__all__ = ["Bounds", "error_bounds"]

#: Terms of a bit that gates make of others, and of a word.
_MOST_BIT_TERMS, _MOST_TERMS = 16, 8192
_MOST_CASES = 4096
_ENUMERATION_SECONDS = 10.0
#: Above every word.
_NO_BOUND = 1 << 512
#: Bits of the inputs of a block that is tabulated: of any, and where cases could help.
_MOST_TABLE_BITS, _FEW_TABLE_BITS = 24, 16


@dataclass(frozen=True)
class Bounds:
    """Between which bounds the error `exact - result` lies, and operands where it is large.

    Attributes:
      low, high: proved bounds.
      pairs: operands (a, b) at which the error is the least and the greatest one that was found.
      cases: how many cases were looked at.
      blocks: how many tables the errors of blocks are in.
    """

    low: int
    high: int
    pairs: tuple[tuple[int, int], tuple[int, int]]
    cases: int
    blocks: int


@dataclass(frozen=True, eq=False)
class _Word:
    """A word's value; bits above `high` are constants."""

    polynomial: Polynomial
    high: int


@dataclass(frozen=True)
class _Unknown:
    """A bit without a polynomial; where fixing an operand bit could help, `variable` is that."""

    variable: int | None = None


#: 0, 1, or bit k of a word.
type _Bit = int | tuple[_Word, int] | _Unknown


class _Stuck(Exception):
    """A value has no polynomial."""

    def __init__(self, variable: int | None = None) -> None:
        super().__init__()
        self.variable = variable


@dataclass(frozen=True, eq=False)
class _Block:
    """A module applied to operand bits; its result, 0..high, is the unknown `term`.

    `inputs` are the bits of its ports by net: constants, or terms of operand bits.
    """

    module: str
    inputs: Mapping[Any, int]
    outputs: tuple[Any, ...]
    terms: tuple[int, ...]
    term: int
    high: int


class _Circuit:
    """Modules evaluated on polynomials."""

    def __init__(self, tables: _Tables, operand_bits: int, large_tables: bool = False) -> None:
        self._tables = tables
        self._modules = tables.modules
        self._operand_bits = operand_bits
        self._large_tables = large_tables
        #: Whether a block was left to cases that a large table has.
        self.leaves_tables = False
        self.blocks: list[_Block] = []
        #: Of unknowns, in the order of their variables: the operand bit that could settle each.
        self.hints: list[int | None] = []
        self._parts: dict[tuple[_Word, int], int] = {}

    def evaluate(self, name: str, inputs: Mapping[Any, _Bit]) -> dict[Any, _Bit]:
        """Return the value of every net of a module for those of its inputs."""
        nets: dict[Any, _Bit] = {"0": 0, "1": 1, **inputs}
        cells = self._modules[name]["cells"]
        for cell_name in self._tables.orders[name]:
            cell = cells[cell_name]
            directions, connections = cell["port_directions"], cell["connections"]
            values = {
                port: [nets.get(bit, _Unknown()) for bit in bits]
                for port, bits in connections.items()
                if directions[port] == "input"
            }
            if cell["type"] in self._modules:
                found = self._instance(cell["type"], values)
                for port, bits in connections.items():
                    if directions[port] == "output":
                        nets.update(zip(bits, found[port], strict=True))
                continue
            output = connections.get("Y")
            if output is None:
                continue
            try:
                result = self._cell(cell, values, len(output))
            except _Stuck as stuck:
                result = [_Unknown(stuck.variable)] * len(output)
            nets.update(zip(output, result, strict=True))
        return nets

    def _instance(self, name: str, values: Mapping[str, list[_Bit]]) -> dict[str, list[_Bit]]:
        ports = self._modules[name]["ports"]
        inputs = {
            net: bit
            for port, bits in values.items()
            for net, bit in zip(ports[port]["bits"], bits, strict=True)
        }
        nets = self.evaluate(name, inputs)
        found = {
            port: [nets.get(bit, _Unknown()) for bit in entry["bits"]]
            for port, entry in ports.items()
            if entry["direction"] == "output"
        }
        unknown = [bit for bits in found.values() for bit in bits if isinstance(bit, _Unknown)]
        # Cases serve large modules better, where they help.
        most = _MOST_TABLE_BITS
        if any(u.variable is not None for u in unknown):
            is_product = sum(map(len, found.values())) >= len(inputs)
            if not (is_product and self._large_tables):
                most = _FEW_TABLE_BITS
                self.leaves_tables |= is_product and most < len(inputs) <= _MOST_TABLE_BITS
        if unknown and len(inputs) <= most:
            for port, bits in found.items():
                found[port] = self._tabulated(name, inputs, ports[port]["bits"]) or bits
        return found

    def _tabulated(
        self, name: str, inputs: Mapping[Any, _Bit], outputs: Sequence[Any]
    ) -> list[_Bit] | None:
        """Return a module's result as a table's, where its inputs are a few operand bits."""
        terms: dict[Any, int] = {}
        for net, bit in inputs.items():
            term = bit if isinstance(bit, int) else _operand_term(bit, self._operand_bits)
            if term is None:
                return None
            terms[net] = -1 - term if isinstance(bit, int) else term
        operands = tuple(dict.fromkeys(term for term in terms.values() if term > 0))
        term = self._atom(max((t.bit_length() - 1 for t in operands), default=None))
        block = _Block(name, terms, tuple(outputs), operands, term, (1 << len(outputs)) - 1)
        # A product's range matters to the sum of products; a leading-one detector's to nothing.
        if len(outputs) >= len(operands):
            block = replace(block, high=int(self._tables.of(block).max()))
        self.blocks.append(block)
        word = _Word({term: 1}, block.high)
        return [(word, k) for k in range(len(outputs))]

    def _cell(
        self, cell: Mapping[str, Any], values: Mapping[str, list[_Bit]], width: int
    ) -> list[_Bit]:
        kind, parameters = str(cell["type"]), cell["parameters"]
        a, b = values.get("A", []), values.get("B", [])

        def signed(key: str) -> bool:
            return bool(int(str(parameters.get(key, "0")), 2))

        if kind in ("$shl", "$sshl", "$shr", "$sshr", "$shift", "$shiftx"):
            if (kind == "$sshr" and signed("A_SIGNED")) or signed("B_SIGNED"):
                raise _Stuck
            amount = sum(_known(bit) << k for k, bit in enumerate(b))
            wide: list[_Bit] = [*a, *[0] * (width + amount)]
            return ([0] * amount + wide)[:width] if "shl" in kind else wide[amount:][:width]
        if kind == "$mux":
            return self._chosen(values["S"][0], b, a)
        if kind in ("$logic_not", "$reduce_or", "$reduce_bool"):
            return [_any(a, kind == "$logic_not"), *[0] * (width - 1)]
        if kind == "$reduce_and":
            return [_negated(_any([_negated(bit) for bit in a], False)), *[0] * (width - 1)]
        if signed("A_SIGNED") and any(len(word) < width for word in (a, b) if word):
            raise _Stuck
        a, b = ([*word[:width], *[0] * (width - len(word))] for word in (a, b))
        if kind in ("$and", "$_AND_"):
            return self._conjunctions(a, b)
        if kind in ("$pos", "$buf"):
            return a
        if kind in ("$not", "$_NOT_"):
            return [_negated(bit) for bit in a]
        if kind in _GATES:
            return [_GATES[kind](x, y) for x, y in zip(a, b, strict=True)]
        if kind in ("$add", "$sub", "$mul"):
            found = self._arithmetic(kind, self.value(a), self.value(b), width)
            if found is not None:
                return found
        variables = [_hint(bit) for bit in (*a, *b)]
        raise _Stuck(max((v for v in variables if v is not None), default=None))

    def value(self, bits: Sequence[_Bit]) -> tuple[Polynomial, int]:
        """Return the value of a word, and a bound of it."""
        total: Polynomial = {}
        high = 0
        position = 0
        while position < len(bits):
            bit = bits[position]
            if isinstance(bit, _Unknown):
                raise _Stuck(bit.variable)
            if isinstance(bit, int):
                total = polynomials.add(total, {0: bit} if bit else {}, 1 << position)
                high += bit << position
                position += 1
                continue
            word, first = bit
            last = first + 1
            for other in bits[position + 1 :]:
                if other != (word, last):
                    break
                last += 1
            part = self._from(word, first)
            bound = word.high >> first
            if word.high >> last:
                part = polynomials.add(part, self._from(word, last), -1 << (last - first))
                bound = (1 << (last - first)) - 1
            total = polynomials.add(total, part, 1 << position)
            high += bound << position
            position += last - first
        return total, high

    def _from(self, word: _Word, first: int) -> Polynomial:
        """Return the value of the bits of a word from `first` on.

        Where it has no polynomial it is an unknown of its own; the bits below are the word less
        that, so that it goes away where the two meet again.
        """
        below = 1 << first
        if not any(c % below for c in word.polynomial.values()):
            return {term: c // below for term, c in word.polynomial.items()}
        atom = self._parts.get((word, first))
        if atom is None:
            atom = self._parts[word, first] = self._atom(_hint((word, first)))
        return {atom: 1}

    def _atom(self, hint: int | None) -> int:
        """Return a new unknown as a term; `hint` is the operand bit that could settle it."""
        self.hints.append(hint)
        return 1 << (self._operand_bits + len(self.hints) - 1)

    def _highest(self, polynomial: Polynomial) -> int:
        """Return an upper bound of a value.

        The part of a word w from bit k on lies in (w - 2^k + 1) / 2^k .. w / 2^k, so that it is
        replaced by these, all multiplied by 2^k; the result of a block, by its range.
        """
        total, scale = dict(polynomial), 0
        for (word, first), atom in reversed(self._parts.items()):
            coefficient = total.pop(atom, 0)
            if not coefficient:
                continue
            total = polynomials.scaled(total, 1 << first)
            total = polynomials.add(total, word.polynomial, coefficient)
            if coefficient < 0:
                total = polynomials.add(total, {0: (1 << first) - 1}, -coefficient)
            scale += first
        for block in self.blocks:
            coefficient = total.pop(block.term, 0)
            if coefficient > 0:
                total = polynomials.add(total, {0: 1}, coefficient * block.high)
        # A term with an unknown and an operand bit has no bound here.
        if self._has_atoms(total):
            return _NO_BOUND
        return polynomials.range_of(total)[1] >> scale

    def _has_atoms(self, polynomial: Polynomial) -> bool:
        return any(term >> self._operand_bits for term in polynomial)

    def _arithmetic(
        self, kind: str, a: tuple[Polynomial, int], b: tuple[Polynomial, int], width: int
    ) -> list[_Bit] | None:
        """Return the bits of a sum, difference or product; None where it could wrap."""
        if kind == "$mul":
            if self._has_atoms(a[0]) and self._has_atoms(b[0]):
                return None
            if len(a[0]) * len(b[0]) > 16 * _MOST_TERMS:
                return None
            found, high = polynomials.multiply(a[0], b[0]), a[1] * b[1]
        elif kind == "$add":
            found, high = polynomials.add(a[0], b[0]), a[1] + b[1]
        else:
            found, high = polynomials.add(a[0], b[0], -1), a[1]
            if self._has_atoms(found) or polynomials.range_of(found)[0] < 0:
                return None
        if high >> width:
            high = min(high, self._highest(found))
        return None if high >> width else _bits(found, high, width)

    def _conjunctions(self, a: Sequence[_Bit], b: Sequence[_Bit]) -> list[_Bit]:
        """Return bitwise conjunctions; of a word with one bit as a word."""
        for one, word in ((a, b), (b, a)):
            if isinstance(one[0], tuple) and all(bit == one[0] for bit in one):
                factor = _single(one[0])
                if factor is not None and any(_single(bit) is None for bit in word):
                    found, high = self.value(word)
                    return _bits(polynomials.multiply(factor, found), high, len(word))
        return [_and(x, y) for x, y in zip(a, b, strict=True)]

    def _chosen(self, condition: _Bit, yes: Sequence[_Bit], no: Sequence[_Bit]) -> list[_Bit]:
        if isinstance(condition, int):
            return list(yes if condition else no)
        if list(yes) == list(no):
            return list(no)
        for word, select in ((yes, condition), (no, _negated(condition))):
            other = no if word is yes else yes
            if all(bit == 0 for bit in other) and not isinstance(select, _Unknown):
                try:
                    return self._conjunctions([select] * len(word), word)
                except _Stuck:
                    break
        raise _Stuck(_hint(condition))


def _operand_term(bit: _Bit, operand_bits: int) -> int | None:
    """Return the operand bit that a bit is, as a term."""
    if not isinstance(bit, tuple) or bit[0].high != 1 or len(bit[0].polynomial) != 1:
        return None
    ((term, coefficient),) = bit[0].polynomial.items()
    is_one = coefficient == 1 and term and not term & (term - 1)
    return term if is_one and term.bit_length() <= operand_bits else None


def _hint(bit: _Bit) -> int | None:
    """Return the highest variable that a bit depends on."""
    if isinstance(bit, int):
        return None
    if isinstance(bit, _Unknown):
        return bit.variable
    return max((term.bit_length() - 1 for term in bit[0].polynomial if term), default=None)


def _known(bit: _Bit) -> int:
    """Return the value of a bit that decides what happens to others."""
    if isinstance(bit, int):
        return bit
    raise _Stuck(_hint(bit))


def _bits(polynomial: Polynomial, high: int, width: int) -> list[_Bit]:
    """Return the bits of a value in 0..high."""
    if not polynomial.keys() - {0}:
        constant = polynomial.get(0, 0)
        return [constant >> k & 1 for k in range(width)]
    if len(polynomial) > _MOST_TERMS:
        raise _Stuck
    word = _Word(polynomial, high)
    return [(word, k) if high >> k else 0 for k in range(width)]


def _single(bit: _Bit) -> Polynomial | None:
    """Return the polynomial of a bit that is a word of its own, or a constant."""
    if isinstance(bit, int):
        return {0: 1} if bit else {}
    if isinstance(bit, tuple) and bit[0].high == 1 and len(bit[0].polynomial) <= _MOST_BIT_TERMS:
        return bit[0].polynomial
    return None


def _gate(x: _Bit, y: _Bit, both: int, each: int) -> _Bit:
    """Return `each * (x + y) + both * x * y`."""
    p, q = _single(x), _single(y)
    if p is None or q is None:
        return _Unknown(next((b.variable for b in (x, y) if isinstance(b, _Unknown)), None))
    found = polynomials.scaled(polynomials.multiply(p, q), both)
    if each:
        found = polynomials.add(polynomials.add(found, p, each), q, each)
    return _bits(found, 1, 1)[0] if len(found) <= _MOST_BIT_TERMS else _Unknown()


def _and(x: _Bit, y: _Bit) -> _Bit:
    if 0 in (x, y):
        return 0
    if isinstance(x, int):
        return y
    return x if isinstance(y, int) else _gate(x, y, 1, 0)


def _negated(bit: _Bit) -> _Bit:
    if isinstance(bit, int):
        return bit ^ 1
    own = _single(bit)
    if own is None:
        return bit if isinstance(bit, _Unknown) else _Unknown()
    return _bits(polynomials.add({0: 1}, own, -1), 1, 1)[0]


def _or(x: _Bit, y: _Bit) -> _Bit:
    if 1 in (x, y):
        return 1
    if isinstance(x, int):
        return y
    return x if isinstance(y, int) else _gate(x, y, -1, 1)


def _xor(x: _Bit, y: _Bit) -> _Bit:
    if isinstance(x, int):
        return _negated(y) if x else y
    if isinstance(y, int):
        return _negated(x) if y else x
    return _gate(x, y, -2, 1)


_GATES = {
    "$or": _or,
    "$_OR_": _or,
    "$xor": _xor,
    "$_XOR_": _xor,
    "$xnor": lambda x, y: _negated(_xor(x, y)),
    "$_XNOR_": lambda x, y: _negated(_xor(x, y)),
    "$_NAND_": lambda x, y: _negated(_and(x, y)),
    "$_NOR_": lambda x, y: _negated(_or(x, y)),
}


def _any(bits: Sequence[_Bit], negated: bool) -> _Bit:
    """Return whether any bit is 1 (or none, where negated)."""
    total: _Bit = int(any(bit == 1 for bit in bits))
    if not total:
        for bit in bits:
            total = _or(total, bit)
    if isinstance(total, _Unknown):
        variables = [v for bit in bits if (v := _hint(bit)) is not None]
        return _Unknown(max(variables, default=None))
    return _negated(total) if negated else total


# ---- Errors


def error_bounds(
    modules: Mapping[str, Any], top: str, op: str, ports: Mapping[str, str], seconds: float
) -> Bounds | None:
    """Return bounds of `exact - result` over all operands; None where there is no polynomial.

    Args:
      modules: a combinational hierarchy in the format of Yosys' `write_json`.
      op: "muli" or "addi", of unsigned operands.
      ports: the ports of the roles a, b and result.
      seconds: bound on the time.
    """
    end = time.monotonic() + seconds
    tables = _Tables(modules)
    try:
        return _bounds(tables, top, op, ports, end, large_tables=False)
    except _LargeTables:
        return _bounds(tables, top, op, ports, end, large_tables=True)


class _LargeTables(Exception):
    """There is no polynomial, but there could be one where blocks are tabulated."""


def _bounds(
    tables: _Tables, top: str, op: str, ports: Mapping[str, str], end: float, *, large_tables: bool
) -> Bounds | None:
    """Return `error_bounds`.

    Raises:
      _LargeTables: not with `large_tables`.
    """
    own = tables.modules[top]["ports"]
    a, b, result = (own[ports[role]]["bits"] for role in ("a", "b", "result"))
    nets = [*a, *b]
    # By sign of the error: the greatest bound, and operand bits at 1 for it.
    extremes: dict[int, tuple[int, int] | None] = {-1: None, 1: None}
    cases = blocks = 0
    stack = [(0, 0)]
    while stack:
        ones, zeros = stack.pop()
        cases += 1
        if cases > _MOST_CASES or time.monotonic() > end:
            return None
        circuit = _Circuit(tables, len(nets), large_tables)
        inputs: dict[Any, _Bit] = {
            net: ones >> k & 1 if (ones | zeros) >> k & 1 else (_Word({1 << k: 1}, 1), 0)
            for k, net in enumerate(nets)
        }
        try:
            values = circuit.evaluate(top, inputs)
            found, _ = circuit.value([values.get(bit, _Unknown()) for bit in result])
        except _Stuck as stuck:
            variable = stuck.variable
            while variable is not None and variable >= len(nets):
                variable = circuit.hints[variable - len(nets)]
            if variable is None:
                if circuit.leaves_tables:
                    raise _LargeTables from None
                return None
            term = 1 << variable
            stack += [(ones, zeros | term), (ones | term, zeros)]
            continue
        exact = polynomials.substitute(_exact(op, len(a), len(b)), ones, zeros)
        error = polynomials.add(exact, found, -1)
        settled = sum(block.term for block in circuit.blocks)
        if any(term >> len(nets) and term & ~settled for term in error):
            return None  # part of a word that did not meet the rest of it
        blocks = max(blocks, len(circuit.blocks))
        # The first case has the highest bits at 1: others are seldom worse.
        for sign, known in extremes.items():
            enough = None if known is None else known[0]
            found_bound = _greatest(
                polynomials.scaled(error, sign), circuit.blocks, tables, enough, end
            )
            if found_bound is None:
                return None
            if known is None or found_bound[0] > known[0]:
                extremes[sign] = found_bound[0], found_bound[1] | ones
    least, most = extremes[-1], extremes[1]
    assert least is not None and most is not None
    pairs = [(at & ((1 << len(a)) - 1), at >> len(a)) for _, at in (least, most)]
    return Bounds(-least[0], most[0], (pairs[0], pairs[1]), cases, blocks)


def _exact(op: str, a: int, b: int) -> Polynomial:
    if op == "muli":
        return {1 << i | 1 << (a + j): 1 << (i + j) for i in range(a) for j in range(b)}
    total = {1 << i: 1 << i for i in range(a)}
    return total | {1 << (a + j): 1 << j for j in range(b)}


def _greatest(
    error: Polynomial, blocks: Sequence[_Block], tables: _Tables, enough: int | None, end: float
) -> tuple[int, int] | None:
    """Return an upper bound of an error, and operand bits at 1 for which it is large."""
    used = [block for block in blocks if any(t & block.term for t in error)]
    if not used:
        return polynomials.greatest(error, enough)
    shift = min((c & -c).bit_length() - 1 for c in error.values())
    rest = {term: c >> shift for term, c in error.items()}
    groups = []
    for block in used:
        own = block.term
        if any(term & own and term != own for term in rest):
            return None  # a product of a block's result
        factor = rest.pop(own)
        inside = sum(block.terms)
        mine = {term: c for term, c in rest.items() if term and not term & ~inside}
        for term in mine:
            del rest[term]
        groups.append((block.terms, tables.of(block) * factor + _values(mine, block.terms)))
    found = greatest_sum(rest, groups, min(end, time.monotonic() + _ENUMERATION_SECONDS))
    return found[0] << shift, found[1]


def _values(polynomial: Polynomial, terms: Sequence[int]) -> np.ndarray:
    """Return a polynomial's values by the number whose bit k is the variable `terms[k]`."""
    index = {term: k for k, term in enumerate(terms)}
    total = np.zeros(1 << len(terms), np.int64)
    numbers = np.arange(total.size)
    for term, coefficient in polynomial.items():
        inner = sum(1 << index[variable] for variable in polynomials.variables(term))
        total += np.where(numbers & inner == inner, coefficient, 0)
    return total


class _Tables:
    """Modules, and what they give for all values of the bits that they are applied to."""

    def __init__(self, modules: Mapping[str, Any]) -> None:
        self.modules = {name: without_circles(modules, name) for name in modules}
        self.orders = {name: ordered_cells(m["cells"]) for name, m in self.modules.items()}
        self._known: dict[Any, np.ndarray] = {}

    def of(self, block: _Block) -> np.ndarray:
        """Return results by the number whose bit k is the block's operand bit `terms[k]`."""
        place = {term: k for k, term in enumerate(block.terms)}
        inputs = {net: term if term < 0 else place[term] for net, term in block.inputs.items()}
        key = (block.module, tuple(inputs.items()))
        if key not in self._known:
            self._known[key] = self._made(block, inputs)
        return self._known[key]

    def _made(self, block: _Block, inputs: Mapping[Any, int]) -> np.ndarray:
        graph = Graph()
        variables = graph.word(len(block.terms))
        literals = {
            net: (variables[k] if k >= 0 else (FALSE, TRUE)[-1 - k]) for net, k in inputs.items()
        }
        outputs = _Nested(graph, self.modules, block.module, literals).word(block.outputs)
        count = 1 << len(variables)
        found = np.empty(count, np.int64)
        step = min(count, 1 << 16)
        for first in range(0, count, step):
            numbers = np.arange(first, first + step)
            values = {literal: numbers >> k & 1 > 0 for k, literal in enumerate(variables)}
            bits = graph.evaluate(outputs, values)
            found[first : first + step] = sum(
                bit.astype(np.int64) << k for k, bit in enumerate(bits)
            )
        return found


class _Nested(Gates):
    """The gates of a module with those of its instances."""

    def __init__(
        self, graph: Graph, modules: Mapping[str, Any], name: str, inputs: Mapping[Any, int]
    ) -> None:
        super().__init__(graph, modules[name]["cells"], inputs)
        self._modules = modules

    def _build(self, name: str, cell: Mapping[str, Any]) -> None:
        inner = self._modules.get(cell["type"])
        if inner is None:
            super()._build(name, cell)
            return
        connections = cell["connections"]
        inputs = {
            net: literal
            for port, bits in connections.items()
            if cell["port_directions"][port] == "input"
            for net, literal in zip(inner["ports"][port]["bits"], self._gather(bits), strict=True)
        }
        nested = _Nested(self._graph, self._modules, cell["type"], inputs)
        for port, bits in connections.items():
            if cell["port_directions"][port] == "output":
                word = nested.word(inner["ports"][port]["bits"])
                self._literals.update(zip(bits, word, strict=True))
        if nested.unknown:
            raise UnsupportedError(f"{cell['type']} has undefined values")
