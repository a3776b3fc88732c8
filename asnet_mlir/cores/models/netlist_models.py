# SPDX-License-Identifier: Apache-2.0
"""Models of a netlist without registers: in words, of planes of bits, as a table."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from asnet_mlir.cores.circuits import aig, luts
from asnet_mlir.cores.circuits import terms as smt
from asnet_mlir.cores.circuits.gates import Gates
from asnet_mlir.cores.circuits.words import FALSE, TRUE, Word
from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.models import bitslice
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.models.model import PLACEHOLDER, Strategy
from asnet_mlir.cores.models.native import QUIET_NAN_BITS
from asnet_mlir.cores.models.texts import looped_text, port_types, single_pair_text
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.errors import InputError, UnsupportedError

__all__ = ["NetlistModels", "Circuit", "graph_of"]

#: Operand bits of the largest table: 65,536 results stay in the second-level cache.
_WIDEST_TABLE = 16
#: Above this many gates word-level code takes LLVM long and is never the fastest; from this many on
#: a netlist is one of gates.
_MOST_GATES_IN_WORDS, _FEWEST_GATES = 1500, 128
_TIMED_PAIRS = 1 << 15
_TIMED_RUNS = 7


@dataclass(frozen=True)
class Circuit:
    """What models are made of.

    Attributes:
      flat: the netlist, without registers.
      roms: the functions of its ROMs, or nothing.
      word: the netlist in words, which calls these; None where CIRCT has no words for it.
    """

    instance: Instance
    flat: Netlist
    roms: str
    word: str | None

    @functools.cached_property
    def gates(self) -> int:
        """How many cells are single gates: all their ports have one bit."""
        return sum(
            all(len(bits) == 1 for bits in cell["connections"].values())
            for cell in self.flat.module["cells"].values()
        )

    @property
    def is_of_gates(self) -> bool:
        """Whether many of them are."""
        return self.gates >= _FEWEST_GATES


class NetlistModels:
    """Models of a circuit.

    Attributes:
      models: by strategy, the one that is forced or all that may be the fastest.
      refused: why those that were tried are not there; begins with a semicolon.
    """

    def __init__(self, circuit: Circuit, strategy: Strategy | None) -> None:
        """Make them.

        Raises:
          InputError: the strategy that is forced does not apply.
        """
        self._circuit, self._strategy = circuit, strategy
        self.models: dict[str, dict[str, Any]] = {}
        self.refused = ""
        roms, self._word = circuit.roms, circuit.word
        # No vector code loads from a ROM or a table: the model computes arrays itself.
        if roms and strategy == "bitslice":
            raise UnsupportedError(f"{circuit.instance.label}: a ROM can't be sliced into bits")
        if roms and self._word:
            types = port_types(circuit.instance, circuit.flat)
            self._word = roms + looped_text(types, self._word)
        # Of nothing but gates, planes are 15 to 45 times as fast as words, and 4 times as tables.
        every = len(circuit.flat.module["cells"])
        is_free = strategy is None
        only_gates = is_free and not roms and circuit.is_of_gates and circuit.gates == every
        is_short = circuit.gates <= _MOST_GATES_IN_WORDS and not only_gates
        if strategy == "word" or (is_free and is_short):
            self._add_word()
        # Planes could be faster than words: gates are, and floating-point numbers, whose shifts and
        # leading zeros are long in words.
        may_be_sliced = circuit.is_of_gates or circuit.instance.core.is_float
        if not roms and (
            strategy == "bitslice" or (is_free and (self._word is None or may_be_sliced))
        ):
            self._add_planes()
        if strategy == "table" or (is_free and not (only_gates and "bitslice" in self.models)):
            self._add_table()

    def _add_word(self) -> None:
        if self._word:
            self.models["word"] = {"text": self._word, "block": bool(self._circuit.roms)}

    def _add_planes(self) -> None:
        text = self._tried(_sliced_text)
        if text is None:
            self._add_word()
        else:
            self.models["bitslice"] = {"text": text, "block": True}

    def _add_table(self) -> None:
        text = self._tried(_table_text)
        if text is not None:
            text = looped_text(port_types(self._circuit.instance, self._circuit.flat), text)
            self.models["table"] = {"text": text, "block": True}
        elif self._strategy:
            raise InputError(
                f"{self._circuit.instance.label}: its operands have more than {_WIDEST_TABLE} bits "
                "together; strategy 'table' does not apply"
            )

    def _tried(self, make: Callable[[Instance, Netlist, str | None], str | None]) -> str | None:
        try:
            return make(self._circuit.instance, self._circuit.flat, self._word)
        except UnsupportedError as error:
            if self._strategy:
                raise UnsupportedError(f"{self._circuit.instance.label}: {error}") from None
            told = f"; as gates: {error}"
            self.refused += told if told not in self.refused else ""
            return None

    def fastest(self) -> tuple[str, dict[str, float]]:
        """Return the strategy that takes the least time, and the nanoseconds for a pair of each."""
        if len(self.models) == 1:
            return next(iter(self.models)), {}
        times = {}
        for name, model in self.models.items():
            kernel = compile_elementwise({PLACEHOLDER: model["text"]})
            rng = np.random.default_rng(0)
            a, b = (
                rng.integers(0, 256, _TIMED_PAIRS * kind.itemsize, np.uint8).view(kind)
                for kind in kernel.dtypes(PLACEHOLDER)[:2]
            )
            call = kernel.prepared(PLACEHOLDER, a, b, kernel(PLACEHOLDER, a, b))
            best = float("inf")
            for _ in range(_TIMED_RUNS):
                start = time.perf_counter()
                call()
                best = min(best, time.perf_counter() - start)
            times[name] = round(best / _TIMED_PAIRS * 1e9, 3)
        return min(times, key=lambda name: times[name]), times


def _sliced_text(instance: Instance, flat: Netlist, word: str | None) -> str:
    """Return a model on planes of bits, of the word-level one `word` or else of the netlist."""
    types, storage = port_types(instance, flat)
    if word is None:
        graph, inputs, outputs = graph_of(instance, flat)
        circuit = luts.map_luts(graph, inputs, outputs)
        a, b, result = (len(flat.module["ports"][name]["bits"]) for name in ("a", "b", "result"))
        widths = (a, b, result)
    else:
        function = smt.parse(word)
        circuit, widths = bitslice.slice_function(function), function.widths
    text = bitslice.compose(circuit, widths, PLACEHOLDER, storage)
    return text + single_pair_text(types, storage)


def graph_of(instance: Instance, flat: Netlist) -> tuple[aig.Graph, Word, Word]:
    """Return the gates of a netlist, the bits of a, then those of b, and the bits of the result.

    Raises:
      UnsupportedError: there are too many of them, or a cell has none.
    """
    graph = aig.Graph()
    ports = {name: flat.module["ports"][name]["bits"] for name in ("a", "b", "result")}
    operands = {name: graph.word(len(ports[name])) for name in "ab"}
    seen = operands
    if instance.core.format == "f32":  # a NaN is the canonical one, as in `comb_to_arith.py`
        nan = [TRUE if QUIET_NAN_BITS >> k & 1 else FALSE for k in range(32)]
        seen = {n: graph.choose_word(graph.is_nan(w), nan, w) for n, w in operands.items()}
    literals = {
        bit: literal for name in "ab" for bit, literal in zip(ports[name], seen[name], strict=True)
    }
    result = Gates(graph, flat.module["cells"], literals).word(ports["result"])
    return graph, [*operands["a"], *operands["b"]], result


def _table_text(instance: Instance, flat: Netlist, text: str | None) -> str | None:
    """Return a model that looks results up; None if it is too large.

    It is filled by the model `text`, or else by the gates of the netlist.
    """
    if instance.core.format == "f32":
        return None
    ports = flat.module["ports"]
    a_width, b_width = (len(ports[name]["bits"]) for name in ("a", "b"))
    if a_width + b_width > _WIDEST_TABLE:
        return None
    (a_type, b_type, result_type), (a_stored, b_stored, stored) = port_types(instance, flat)
    pairs = np.arange(1 << (a_width + b_width), dtype=np.uint64)
    a = (pairs >> np.uint64(b_width)).astype(np.dtype(f"uint{a_stored[1:]}"))
    b = (pairs & np.uint64((1 << b_width) - 1)).astype(np.dtype(f"uint{b_stored[1:]}"))
    if text is None:
        graph, inputs, outputs = graph_of(instance, flat)
        places = [*range(b_width, a_width + b_width), *range(b_width)]
        values = {
            literal: (pairs >> np.uint64(place) & np.uint64(1)).astype(bool)
            for place, literal in zip(places, inputs, strict=True)
        }
        kind = np.dtype(f"uint{stored[1:]}")
        results = np.zeros(pairs.size, kind)
        for place, plane in enumerate(graph.evaluate(outputs, values)):
            results |= plane.astype(kind) << kind.type(place)
    else:
        results = compile_elementwise({PLACEHOLDER: text}, opt_level=1)(PLACEHOLDER, a, b)
    index = f"i{max(32, a_width + b_width)}"
    shape = f"memref<{results.size}x{stored}>"
    back = f"arith.trunci %found : {stored} to {result_type}"
    lines = [
        f'memref.global "private" constant @{PLACEHOLDER}_table : {shape} = '
        f'dense<"0x{results.tobytes().hex().upper()}">',
        f"func.func private @{PLACEHOLDER}(%a: {a_type}, %b: {b_type}) -> {result_type} {{",
        f"  %table = memref.get_global @{PLACEHOLDER}_table : {shape}",
        f"  %a_wide = arith.extui %a : {a_type} to {index}",
        f"  %b_wide = arith.extui %b : {b_type} to {index}",
        f"  %places = arith.constant {b_width} : {index}",
        f"  %high = arith.shli %a_wide, %places : {index}",
        f"  %number = arith.ori %high, %b_wide : {index}",
        f"  %at = arith.index_castui %number : {index} to index",
        f"  %found = memref.load %table[%at] : {shape}",
        f"  %result = {back}" if stored != result_type else "",
        f"  return {'%found' if stored == result_type else '%result'} : {result_type}",
        "}",
    ]
    return "\n".join(line for line in lines if line) + "\n"
