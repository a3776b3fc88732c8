# SPDX-License-Identifier: Apache-2.0
"""And-inverter graphs of Yosys' netlists, cell by cell: a second reading of what cells compute.

The first one is `lowering/circt/comb_to_arith.py`, which makes words of `arith`; this one needs
neither CIRCT nor words, so that it serves where those do not (`model.py`), and it can say on what a
circuit depends (`unseen.py`).  What a cell computes is said there.

What has no value in Verilog is an input of the graph of its own (`Gates.unknown`): the bits that a
latch holds, and the quotient and remainder where a divisor is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from asnet_mlir.cores.circuits import rom
from asnet_mlir.cores.circuits.aig import Graph
from asnet_mlir.cores.circuits.words import FALSE, TRUE, Word
from asnet_mlir.errors import UnsupportedError

__all__ = ["BITWISE", "LATCHES", "Gates", "split_bitwise"]

#: Cells of which bit k of the output depends on bit k of these operands only.
BITWISE = {
    "$and": "AB",
    "$or": "AB",
    "$xor": "AB",
    "$xnor": "AB",
    "$not": "A",
    "$buf": "A",
    "$pos": "A",
    "$mux": "AB",
    "$bwmux": "ABS",
}
#: Latches, with the ports that open each; what opens the last one gives a constant.
LATCHES = {
    "$dlatch": ("EN",),
    "$_DLATCH_P_": ("E",),
    "$_DLATCH_N_": ("E",),
    "$adlatch": ("EN", "ARST"),
}

#: Gates of the largest graph.
_MOST_GATES = 400_000
_COMPARISONS = ("$lt", "$le", "$gt", "$ge")
_EQUALITIES = ("$eq", "$eqx", "$ne", "$nex")


class Gates:
    """The gates of a netlist's cells; `unknown` has the undefined inputs with their cells' names.

    Args:
      graph: what the gates are added to.
      cells: in the format of `write_json`, without registers and loops.
      inputs: literal by net.
    """

    def __init__(self, graph: Graph, cells: Mapping[str, Any], inputs: Mapping[Any, int]) -> None:
        self._graph = graph
        self._cells = cells
        self._literals: dict[Any, int] = dict(inputs)
        self.unknown: dict[int, str] = {}
        self._maker = {
            bit: name
            for name, cell in cells.items()
            for port, bits in cell["connections"].items()
            if cell["port_directions"][port] == "output"
            for bit in bits
            if not isinstance(bit, str)
        }

    def word(self, bits: Sequence[Any]) -> Word:
        """Return the literals of nets, with the gates that they need.

        Raises:
          UnsupportedError: a cell is not known, or there are too many gates.
        """
        stack = [self._maker[bit] for bit in bits if self._is_open(bit)]
        while stack:
            name = stack[-1]
            cell = self._cells[name]
            waiting = [
                self._maker[bit]
                for port, nets in cell["connections"].items()
                if cell["port_directions"][port] == "input"
                for bit in nets
                if self._is_open(bit)
            ]
            if waiting:
                stack.extend(dict.fromkeys(waiting))
                continue
            stack.pop()
            self._build(name, cell)
            if len(self._graph) > _MOST_GATES:
                raise UnsupportedError(f"it has more than {_MOST_GATES} gates")
        return self._gather(bits)

    def _is_open(self, bit: Any) -> bool:
        return not isinstance(bit, str) and bit not in self._literals

    def _gather(self, bits: Sequence[Any]) -> Word:
        return [
            (TRUE if bit == "1" else FALSE) if isinstance(bit, str) else self._literals[bit]
            for bit in bits
        ]

    def _build(self, name: str, cell: Mapping[str, Any]) -> None:
        operands = {
            port: self._gather(bits)
            for port, bits in cell["connections"].items()
            if cell["port_directions"][port] == "input"
        }
        output = cell["connections"]["Q" if "Q" in cell["connections"] else "Y"]
        word = self._compute(name, cell, operands, len(output))
        # Comparisons and the like give one bit, the others are 0.
        word = [*word, *[FALSE] * (len(output) - len(word))]
        self._literals.update(
            (bit, literal)
            for bit, literal in zip(output, word, strict=True)
            if not isinstance(bit, str)
        )

    def _fresh(self, name: str, width: int) -> Word:
        word = self._graph.word(width)
        self.unknown.update(dict.fromkeys(word, name))
        return word

    def _compute(  # noqa: C901 (a branch for each kind of cell)
        self, name: str, cell: Mapping[str, Any], operands: Mapping[str, Word], width: int
    ) -> Word:
        graph, kind = self._graph, str(cell["type"])
        parameters = cell["parameters"]

        def flag(key: str) -> bool:
            return bool(int(str(parameters.get(key, "0")), 2))

        if kind in LATCHES:
            if kind.startswith("$_"):
                opened = operands["E"][0] ^ (kind == "$_DLATCH_N_")
            else:
                opened = operands["EN"][0] ^ 1 ^ flag("EN_POLARITY")
            value = graph.choose_word(opened, operands["D"], self._fresh(name, width))
            if kind == "$adlatch":
                forced = [int(bit == "1") for bit in reversed(str(parameters["ARST_VALUE"]))]
                is_forced = operands["ARST"][0] ^ 1 ^ flag("ARST_POLARITY")
                value = graph.choose_word(is_forced, forced, value)
            return value
        a = operands["A"]
        if kind == rom.ROM_CELL:
            return self._stored(rom.words(cell), a, width)
        if kind.startswith("$_"):
            return [self._gate(kind, {port: word[0] for port, word in operands.items()})]
        b = operands.get("B", [])
        a_signed = flag("A_SIGNED")
        both = a_signed and (flag("B_SIGNED") or not b)
        if kind in ("$pos", "$buf", "$not", "$neg"):
            value = _resized(a, width, a_signed)
            if kind == "$neg":
                return graph.subtract([FALSE] * width, value)[0]
            return [bit ^ 1 for bit in value] if kind == "$not" else value
        if kind in ("$add", "$sub", "$mul"):
            left, right = _resized(a, width, both), _resized(b, width, both)
            if kind == "$mul":
                return graph.multiply(left, right)
            return (graph.add if kind == "$add" else graph.subtract)(left, right)[0]
        if kind in ("$and", "$or", "$xor", "$xnor"):
            left, right = _resized(a, width, both), _resized(b, width, both)
            gate = {"$and": graph.conjunction, "$or": graph.either}.get(kind, graph.differ)
            word = [gate(x, y) for x, y in zip(left, right, strict=True)]
            return [bit ^ 1 for bit in word] if kind == "$xnor" else word
        if kind in ("$div", "$mod"):
            return self._division(name, kind, a, b, both, width)
        if kind in _EQUALITIES:
            wide = max(len(a), len(b))
            left, right = _resized(a, wide, both), _resized(b, wide, both)
            unequal = graph.any([graph.differ(x, y) for x, y in zip(left, right, strict=True)])
            return [unequal ^ (kind in ("$eq", "$eqx"))]
        if kind in _COMPARISONS:
            wide = max(len(a), len(b))
            left, right = _resized(a, wide, both), _resized(b, wide, both)
            if both:  # the order of signed numbers, with the signs flipped, is the unsigned one
                left, right = _flipped(left), _flipped(right)
            if kind in ("$gt", "$le"):
                left, right = right, left
            return [graph.subtract(left, right)[1] ^ (kind in ("$lt", "$gt"))]
        if kind in ("$shl", "$sshl", "$shr", "$sshr", "$shift", "$shiftx"):
            return self._shifted(kind, a, b, (a_signed, flag("B_SIGNED")), width)
        if kind == "$mux":
            return graph.choose_word(operands["S"][0], b, a)
        if kind == "$bwmux":
            return [
                graph.choose(s, yes, no) for s, yes, no in zip(operands["S"], b, a, strict=True)
            ]
        if kind == "$pmux":
            value = a
            for position, choice in reversed(list(enumerate(operands["S"]))):  # the first one wins
                value = graph.choose_word(choice, b[position * width :][:width], value)
            return value
        if kind == "$bmux":
            values = [a[start : start + width] for start in range(0, len(a), width)]
            for choice in operands["S"]:
                pairs = zip(values[::2], values[1::2], strict=True)
                values = [graph.choose_word(choice, odd, even) for even, odd in pairs]
            return values[0]
        return [self._truth(kind, a, b)]

    def _stored(self, words: np.ndarray, address: Word, width: int) -> Word:
        """Return the word at an address: a tree of multiplexers."""
        if words.size * width > _MOST_GATES:
            raise UnsupportedError(f"a ROM of {words.size} words of {width} bits is no logic")
        values = [[int(word) >> k & 1 for k in range(width)] for word in words]
        for choice in address:
            pairs = zip(values[::2], values[1::2], strict=True)
            values = [self._graph.choose_word(choice, odd, even) for even, odd in pairs]
        return values[0]

    def _truth(self, kind: str, a: Word, b: Word) -> int:
        graph = self._graph
        if kind in ("$logic_not", "$reduce_or", "$reduce_bool"):
            return graph.any(a) ^ (kind == "$logic_not")
        if kind in ("$logic_and", "$logic_or"):
            gate = graph.conjunction if kind == "$logic_and" else graph.either
            return gate(graph.any(a), graph.any(b))
        if kind == "$reduce_and":
            return graph.any([bit ^ 1 for bit in a]) ^ 1
        if kind in ("$reduce_xor", "$reduce_xnor"):
            parity = int(kind == "$reduce_xnor")
            for bit in a:
                parity = graph.differ(parity, bit)
            return parity
        raise UnsupportedError(f"cell {kind} is not supported")

    def _division(self, name: str, kind: str, a: Word, b: Word, both: bool, width: int) -> Word:
        graph = self._graph
        wide = max(width, len(a), len(b))
        left, right = _resized(a, wide, both), _resized(b, wide, both)

        def negated_if(condition: int, word: Word) -> Word:
            flipped = [graph.differ(condition, bit) for bit in word]
            return graph.add(flipped, [FALSE] * wide, condition)[0]

        if both:
            signs = left[-1], right[-1]
            quotient, rest = graph.divide(negated_if(signs[0], left), negated_if(signs[1], right))
            word = (
                negated_if(graph.differ(*signs), quotient)
                if kind == "$div"
                else negated_if(signs[0], rest)
            )
        else:
            word = graph.divide(left, right)[kind == "$mod"]
        word = word[:width]
        is_zero = graph.any(b) ^ 1
        return (
            word if is_zero == FALSE else graph.choose_word(is_zero, self._fresh(name, width), word)
        )

    def _shifted(
        self, kind: str, a: Word, amount: Word, signed: tuple[bool, bool], width: int
    ) -> Word:
        graph = self._graph
        a_signed, amount_signed = signed
        if kind in ("$shl", "$sshl"):
            return self._moved(_resized(a, width, a_signed), amount, FALSE, True)
        wide = max(width, len(a))
        value = _resized(a, wide, a_signed and kind != "$shiftx")
        fill = value[-1] if kind == "$sshr" and a_signed else FALSE
        right = self._moved(value, amount, fill, False)
        if kind in ("$shift", "$shiftx") and amount_signed:
            opposite = graph.subtract([FALSE] * len(amount), amount)[0]
            left = self._moved(value, opposite, FALSE, True)
            right = graph.choose_word(amount[-1], left, right)
        return right[:width]

    def _moved(self, word: Word, amount: Word, fill: int, left: bool) -> Word:
        """Shift by an unsigned amount of any width."""
        width = len(word)
        for position, bit in enumerate(amount):
            distance = min(1 << position, width)
            gap = [fill] * distance
            moved = gap + word[: width - distance] if left else word[distance:] + gap
            word = self._graph.choose_word(bit, moved, word)
        return word

    def _gate(self, kind: str, pins: Mapping[str, int]) -> int:
        graph = self._graph
        both, either = graph.conjunction, graph.either
        name = kind.strip("$_")
        a, b, c, d = (pins.get(pin, FALSE) for pin in "ABCD")
        make: dict[str, Callable[[], int]] = {
            "BUF": lambda: a,
            "NOT": lambda: a ^ 1,
            "AND": lambda: both(a, b),
            "NAND": lambda: both(a, b) ^ 1,
            "OR": lambda: either(a, b),
            "NOR": lambda: either(a, b) ^ 1,
            "XOR": lambda: graph.differ(a, b),
            "XNOR": lambda: graph.differ(a, b) ^ 1,
            "ANDNOT": lambda: both(a, b ^ 1),
            "ORNOT": lambda: either(a, b ^ 1),
            "MUX": lambda: graph.choose(pins["S"], b, a),
            "NMUX": lambda: graph.choose(pins["S"], b, a) ^ 1,
            "AOI3": lambda: either(both(a, b), c) ^ 1,
            "OAI3": lambda: both(either(a, b), c) ^ 1,
            "AOI4": lambda: either(both(a, b), both(c, d)) ^ 1,
            "OAI4": lambda: both(either(a, b), either(c, d)) ^ 1,
        }
        if name not in make:
            raise UnsupportedError(f"cell {kind} is not supported")
        return make[name]()


def _resized(word: Word, width: int, signed: bool) -> Word:
    fill = word[-1] if signed and word else FALSE
    return [*word[:width], *[fill] * (width - len(word))]


def _flipped(word: Word) -> Word:
    return [*word[:-1], word[-1] ^ 1]


def split_bitwise(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Return cells of which no bitwise one reads its own output.

    `assign w = {1'b1, w[7:1] & ~a[7:1]}` is no loop, but a loop of cells: such ones become a cell
    for each bit.
    """
    feedback = _on_loops(cells)
    found: dict[str, Any] = {}
    for name, cell in cells.items():
        if name not in feedback or cell["type"] not in BITWISE:
            found[name] = cell
            continue
        connections = cell["connections"]
        for position, bit in enumerate(connections["Y"]):
            pins: dict[str, list[Any]] = {"Y": [bit]}
            for port, bits in connections.items():
                if port == "S" and cell["type"] == "$mux":
                    pins[port] = bits
                elif port != "Y":
                    signed = int(str(cell["parameters"].get(f"{port}_SIGNED", "0")), 2)
                    beyond = bits[-1] if signed and bits else "0"
                    pins[port] = [bits[position] if position < len(bits) else beyond]
            unsigned = dict.fromkeys((key for key in cell["parameters"] if "SIGNED" in key), "0")
            widths = {f"{port}_WIDTH": "1" for port in "ABY"} | {"WIDTH": "1"}
            known = {key: value for key, value in widths.items() if key in cell["parameters"]}
            found[f"{name}:{position}"] = {
                **cell,
                "parameters": {**cell["parameters"], **unsigned, **known},
                "connections": pins,
            }
    return found


def _on_loops(cells: Mapping[str, Any]) -> set[str]:
    """Return the cells that reach themselves: what is left when ends are taken off."""
    maker: dict[Any, str] = {}
    for name, cell in cells.items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "output":
                maker.update((bit, name) for bit in bits if not isinstance(bit, str))
    before = {
        name: {
            maker[bit]
            for port, bits in cell["connections"].items()
            if cell["port_directions"][port] == "input"
            for bit in bits
            if bit in maker
        }
        for name, cell in cells.items()
    }
    after: dict[str, set[str]] = {name: set() for name in cells}
    for name, others in before.items():
        for other in others:
            after[other].add(name)
    left = set(cells)
    for links, backwards in ((before, after), (after, before)):
        count = {name: len(links[name] & left) for name in left}
        ready = [name for name in left if not count[name]]
        while ready:
            name = ready.pop()
            left.discard(name)
            for other in backwards[name]:
                if other in left:
                    count[other] -= 1
                    if not count[other]:
                        ready.append(other)
    return left
