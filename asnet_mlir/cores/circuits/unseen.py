# SPDX-License-Identifier: Apache-2.0
"""What has no defined value in a netlist, and whether anybody can see it.

A signal that is assigned on some paths only is a latch, which holds an older value on the others;
a quotient is undefined where its divisor is 0.  Both are harmless where no output depends on them,
as where a signal is read only on the path on which it is assigned.  That is decided for all
operands: each undefined bit is an input of its own, and SAT sweeping (`aig.same`) compares the
outputs with those for which all such inputs are 0.  As nothing is assumed about them, it does not
matter what a latch held before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from asnet_mlir.cores.circuits import aig
from asnet_mlir.cores.circuits.gates import LATCHES, Gates
from asnet_mlir.cores.circuits.words import FALSE
from asnet_mlir.errors import AsnetError, InputError, UnsupportedError

__all__ = ["ZERO_DIVISOR", "has_undefined", "replaced", "settle"]

#: Attribute of a division whose result for a divisor 0 nobody sees; models give 0.
ZERO_DIVISOR = "zero_divisor_is_unseen"

_SECONDS = 10.0


def _is_undefined(cell: Mapping[str, Any]) -> bool:
    is_division = cell["type"] in ("$div", "$mod") and "1" not in cell["connections"]["B"]
    return is_division or cell["type"] in LATCHES


def has_undefined(cells: Mapping[str, Any]) -> bool:
    """Return whether there is a latch, or a division by what is not odd or the like."""
    return any(map(_is_undefined, cells.values()))


def settle(
    cells: Mapping[str, Any],
    inputs: Iterable[Any],
    outputs: Sequence[Any],
    where: Callable[[Mapping[str, Any]], str],
    excluded: Sequence[tuple[Sequence[Any], int]] = (),
) -> dict[str, Any]:
    """Return cells as `replaced` gives them, if no output depends on what is undefined.

    Args:
      cells: in the format of `write_json`, without registers and loops.
      inputs: nets that have a value.
      outputs: nets that somebody looks at.
      where: names the place of a cell for errors.
      excluded: nets and the number that they never have together, as declared.

    Raises:
      InputError: what a latch holds can be seen, or may be.
      UnsupportedError: the same of a quotient; or a cell is not known.
    """
    if not has_undefined(cells):
        return dict(cells)
    graph = aig.Graph()
    literals = {bit: graph.input() for bit in inputs if not isinstance(bit, str)}
    gates = Gates(graph, cells, literals)
    try:
        found = gates.word(outputs)
    except UnsupportedError as error:
        first = next(cell for cell in cells.values() if _is_undefined(cell))
        raise _seen(first, where, f" ({error})") from None
    for bits, value in excluded:
        word = gates.word(bits)
        is_other = graph.any([bit ^ (value >> k & 1) for k, bit in enumerate(word)])
        found = [graph.conjunction(is_other, literal) for literal in found]
    reached = [literal for literal in graph.inputs_of(found) if literal in gates.unknown]
    if reached:
        others = graph.substitute(found, dict.fromkeys(reached, FALSE))
        verdict = aig.same(graph, found, others, _SECONDS)
        if verdict is not True:
            values = verdict if isinstance(verdict, dict) else {}
            literal = next((one for one in reached if values.get(one)), reached[0])
            undecided = "" if verdict is not None else f" (not decided in {_SECONDS:g} s)"
            raise _seen(cells[gates.unknown[literal]], where, undecided)
    return replaced(cells)


def replaced(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Return cells with latches as wires and divisions marked with `ZERO_DIVISOR`."""
    found: dict[str, Any] = {}
    for name, cell in cells.items():
        if cell["type"] in LATCHES:
            found[name] = _as_wire(cell)
        elif _is_undefined(cell):
            marked = {**cell.get("attributes", {}), ZERO_DIVISOR: "1"}
            found[name] = {**cell, "attributes": marked}
        else:
            found[name] = cell
    return found


def _as_wire(latch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cell that passes on what a latch would when it is open."""
    bits = latch["connections"]
    width = format(len(bits["D"]), "b")
    if latch["type"] != "$adlatch":
        pins = {"A": bits["D"]}
        kind, parameters = "$buf", {"A_SIGNED": "0", "A_WIDTH": width, "Y_WIDTH": width}
    else:
        forced = list(reversed(latch["parameters"]["ARST_VALUE"]))
        inputs = (bits["D"], forced)
        low, high = inputs if int(latch["parameters"]["ARST_POLARITY"], 2) else inputs[::-1]
        pins = {"A": low, "B": high, "S": bits["ARST"]}
        kind, parameters = "$mux", {"WIDTH": width}
    return {
        **latch,
        "type": kind,
        "parameters": parameters,
        "port_directions": {**dict.fromkeys(pins, "input"), "Y": "output"},
        "connections": {**pins, "Y": bits["Q"]},
    }


def _seen(
    cell: Mapping[str, Any], where: Callable[[Mapping[str, Any]], str], more: str
) -> AsnetError:
    if cell["type"] in LATCHES:
        return InputError(
            f"{where(cell)}: a latch is inferred, and what it holds can reach the result{more}; "
            "assign the signal on every path"
        )
    return UnsupportedError(
        f"{where(cell)}: division by what may be zero is undefined in Verilog, and the result "
        f"depends on it{more}; give it a value there, or declare the operand that makes it zero "
        "(--port unspecified.b=0)"
    )
