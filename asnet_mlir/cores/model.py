"""Models of instances: MLIR functions that compute what the Verilog computes.

Several strategies give the same bits on every operand that a core can see:

* `native`: the host's own operation on masked operands.  It is used where it is proved: by
  structure, where the top module is nothing but one instance of a library core that is exact, whose
  operand bits are each the same bit of the top's operand or the constant 0, and whose result is the
  top's result; else by `prove.py`, in a short time;
* `word`: the netlist itself, cell by cell, as integer arithmetic (`lowering/circt`);
* `bitslice`: the word-level model's gates as bitwise operations on 512 pairs at a time;
* `table`: every result looked up, where the operands have few bits;
* `simulated`: Verilator behind the same interface, for cores with state (`simulation.py`).

Where several apply, each is compiled and timed, and the fastest one is kept with the model.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import re
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from asnet_mlir import processes
from asnet_mlir.cache import cached_texts, code_version, content_hash
from asnet_mlir.cores import aig, bitslice, luts, rom, smt
from asnet_mlir.cores import netlist as netlists
from asnet_mlir.cores.core import Core, Instance, library_cores
from asnet_mlir.cores.gates import Gates
from asnet_mlir.cores.netlist import Netlist
from asnet_mlir.errors import AsnetError, InputError, ToolError, UnsupportedError
from asnet_mlir.resources import hdl_library_directory, lowering_directory

__all__ = [
    "STRATEGIES",
    "Model",
    "Strategy",
    "at_exact_parameters",
    "convert",
    "derive_models",
    "external_text",
    "models_version",
    "native_masks",
]

Strategy = Literal["native", "word", "bitslice", "table", "simulated"]

#: All strategies, in the order in which they are documented.
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

# The quiet-NaN pattern of the exponent and bit 22: a mask that keeps them keeps every quiet NaN a
# NaN, so that the native operation needs no canonical operands.
_QUIET_NAN_BITS = 0x7FC00000
_PLACEHOLDER = "__asnet_core__"
_LIBRARY = "__asnet_library__"

#: Operand bits of the largest table: 65,536 results stay in the second-level cache.
_WIDEST_TABLE = 16
#: Above this many gates word-level code takes LLVM long and is never the fastest; from this many on
#: a netlist is one of gates.
_MOST_GATES_IN_WORDS, _FEWEST_GATES = 1500, 128
#: Bounds on proofs about a user's core; what is not proved in that time is not used.
_PROOF_SECONDS = 10.0
_LONGEST_PROOF = 100_000
_TIMED_PAIRS = 1 << 15
_TIMED_RUNS = 7
_NATIVE_OPERATIONS = {
    "addf": "arith.addf",
    "subf": "arith.subf",
    "mulf": "arith.mulf",
    "divf": "arith.divf",
    "maxf": "arith.maximumf",
    "minf": "arith.minimumf",
}
_REACHES_ELSEWHERE = re.compile(
    r"`\s*(define|undef|undefineall|include|resetall)\b|\b(bind|defparam)\b"
)


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
        text = _native_text(self.operation, (0, 0), marked=True)
        return text.replace(_PLACEHOLDER, self.symbol)

    @property
    def parameters(self) -> tuple[int, ...]:
        """The values of the marked constants of `parametric_text`, in their order, as uint32."""
        return self.masks or ()


def derive_models(
    instances: Mapping[str, Instance], strategy: Strategy | None = None
) -> dict[str, Model]:
    """Return the model of each instance under its symbol, from the cache where it was made before.

    Args:
      instances: instance by the symbol that its function shall have.
      strategy: force one; by default the native one where it is proved, else the fastest.

    Raises:
      InputError: the Verilog cannot be read, breaks the contract, or the strategy that is forced
        does not apply; latency declared and measured differ.
      ToolError: Yosys or CIRCT failed.
    """
    keys = {symbol: _cache_key(one.content_hash, strategy) for symbol, one in instances.items()}
    by_key = {key: instances[symbol] for symbol, key in keys.items()}

    def make(missing: list[str]) -> dict[str, str]:
        derived = _derive([by_key[key] for key in missing], strategy)
        return {key: json.dumps(derived[by_key[key].content_hash]) for key in missing}

    texts = cached_texts("models", list(by_key), make)
    models = {}
    for symbol, instance in instances.items():
        entry = json.loads(texts[keys[symbol]])
        models[symbol] = Model(
            symbol=symbol,
            text=_resolved(entry["text"], symbol, instance),
            strategy=entry["strategy"],
            latency=entry["latency"],
            operation=entry.get("operation"),
            masks=tuple(entry["masks"]) if entry.get("masks") else None,
            block=entry.get("block", False),
            nanoseconds=entry.get("nanoseconds", {}),
            version=f"{entry['strategy']} {content_hash(entry['text'])[:16]}",
        )
    return models


def native_masks(instance: Instance, hierarchy: Netlist | None = None) -> tuple[int, int] | None:
    """Return the operand masks under which the exact operation is the instance; None if unproved.

    Args:
      instance: what to prove.
      hierarchy: its netlist with the hierarchy kept; read when absent and needed.
    """
    core = instance.core
    if core.format != "f32":
        return None
    library = library_cores()
    own = library.get(core.name)
    full = (1 << 32) - 1
    if own is not None and own.exact and _same_sources(core, own):
        return (
            (full, full) if core.ports == own.ports and at_exact_parameters(own, instance) else None
        )
    candidates = [
        other
        for other in library.values()
        if other.exact and other.op == core.op and _contains(core, other)
    ]
    if not candidates:
        return None
    if hierarchy is None:
        found = netlists.elaborate([instance], flatten=False)[0]
        if isinstance(found, AsnetError):
            raise found
        hierarchy = found
    for other in candidates:
        masks = _match_wrapper(instance, hierarchy, other)
        if masks is not None:
            return masks
    return None


def _same_sources(core: Core, other: Core) -> bool:
    return (
        core.module == other.module
        and core.op == other.op
        and [source.text for source in core.sources] == [s.text for s in other.sources]
    )


def at_exact_parameters(core: Core, instance: Instance) -> bool:
    """Return whether an exact core's parameters are at the values for which it claims exactness."""
    values = dict(instance.parameters)
    return all(
        values[parameter.name] == parameter.default
        for parameter in core.parameters
        if parameter.name != core.latency_cycles
    )


def _contains(core: Core, other: Core) -> bool:
    """Whether all files of `other` are among those of `core`, and the rest cannot change them.

    A macro, an include, a bind or a defparam could change what the library's text means.
    """
    library = {source.text for source in other.sources}
    texts = {source.text for source in core.sources}
    return library <= texts and not any(_REACHES_ELSEWHERE.search(text) for text in texts - library)


def _match_wrapper(instance: Instance, hierarchy: Netlist, other: Core) -> tuple[int, int] | None:
    core = instance.core
    top = hierarchy.module
    cells = [
        cell
        for cell in top["cells"].values()
        if "output" in cell.get("port_directions", {}).values()
    ] + [cell for cell in top["cells"].values() if "port_directions" not in cell]
    if len(cells) != 1:
        return None
    cell = cells[0]
    child = hierarchy.modules.get(cell["type"])
    if child is None or child["attributes"].get("hdlname", cell["type"]) != other.module:
        return None
    values = child.get("parameter_default_values", {})
    for parameter in other.parameters:
        if parameter.name != other.latency_cycles:
            text = values.get(parameter.name)
            if text is None or not re.fullmatch("[01]+", text):
                return None
            if int(text, 2) != parameter.default & ((1 << len(text)) - 1):
                return None
    ports, connections = top["ports"], cell["connections"]
    used = {core.ports.a, core.ports.b, core.ports.result, core.ports.clock} - {None}
    if set(ports) != used:
        return None
    if other.ports.clock is not None:
        clock = ports[core.ports.clock]["bits"] if core.ports.clock else []
        has_depth = int(values.get(str(other.latency_cycles), "1"), 2) != 0
        if connections.get(other.ports.clock) != clock and has_depth:
            return None
    if connections.get(other.ports.result) != ports[core.ports.result]["bits"]:
        return None
    masks = []
    for inner, outer in ((other.ports.a, core.ports.a), (other.ports.b, core.ports.b)):
        mask = 0
        got, same = connections.get(inner, []), ports[outer]["bits"]
        if len(got) != 32 or len(same) != 32:
            return None
        for position, bit in enumerate(got):
            if bit == same[position]:
                mask |= 1 << position
            elif bit != "0":
                return None
        if mask & _QUIET_NAN_BITS != _QUIET_NAN_BITS:
            return None
        masks.append(mask)
    return masks[0], masks[1]


def _native_text(operation: str, masks: tuple[int, int], marked: bool = False) -> str:
    mark = "{approx.parameter} " if marked else ""
    lines = [f"func.func private @{_PLACEHOLDER}(%a: f32, %b: f32) -> f32 {{"]
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


def _derive(instances: Sequence[Instance], strategy: Strategy | None) -> dict[str, dict[str, Any]]:
    """Derive uncached models, in one Yosys process for each view of the netlists and one of CIRCT.

    The first error is raised; what was derived before is not lost to later calls only if cached.
    """
    results: dict[str, dict[str, Any]] = {}
    remaining = []
    for instance in instances:
        if instance.core.is_stateful or strategy == "simulated":
            if strategy not in (None, "simulated"):
                raise InputError(
                    f"{instance.label}: has state, so that it can only be simulated; strategy "
                    f"'{strategy}' does not apply"
                )
            results[instance.content_hash] = _simulated(instance)
        else:
            remaining.append(instance)
    if strategy in (None, "native") and remaining:
        views = _hierarchies(remaining)
        unproved = []
        for instance in remaining:
            masks = native_masks(instance, views.get(instance.content_hash))
            if masks is not None:
                results[instance.content_hash] = _native(instance, masks)
            elif strategy == "native" and instance.core.format != "f32":
                raise _not_proved(instance)
            else:
                unproved.append(instance)
        remaining = unproved
    if remaining:
        results.update(_derive_netlists(remaining, strategy))
    return results


def _native(instance: Instance, masks: tuple[int, int]) -> dict[str, Any]:
    operation = _NATIVE_OPERATIONS[str(instance.core.op)]
    return {
        "text": _native_text(operation, masks),
        "strategy": "native",
        "latency": None,
        "operation": operation,
        "masks": masks,
    }


def _hierarchies(instances: Sequence[Instance]) -> dict[str, Netlist]:
    """Return the hierarchical netlists of those instances that could be wrappers of exact cores."""
    library = [core for core in library_cores().values() if core.exact]
    wanted = [
        instance
        for instance in instances
        if any(core.op == instance.core.op and _contains(instance.core, core) for core in library)
    ]
    if not wanted:
        return {}
    found = {}
    for instance, result in zip(wanted, netlists.elaborate(wanted, flatten=False), strict=True):
        if isinstance(result, AsnetError):
            raise result
        found[instance.content_hash] = result
    return found


def _not_proved(instance: Instance) -> InputError:
    return InputError(
        f"{instance.label}: nothing proves that it is an exact operation on masked operands; use "
        "another strategy"
    )


def _prove_native(instance: Instance, word: str) -> tuple[int, int] | None:
    """Return the masks of a native model where z3 or sweeping proves one in a short time."""
    if instance.core.format != "f32" or len(word) > _LONGEST_PROOF:
        return None
    from asnet_mlir.cores import prove

    return prove.prove_native(instance, word, seconds=_PROOF_SECONDS)


def _derive_netlists(
    instances: Sequence[Instance], strategy: Strategy | None
) -> dict[str, dict[str, Any]]:
    """Derive models by every strategy that applies to a netlist, and keep the fastest of each."""
    flats: list[tuple[Instance, Netlist, int]] = []
    for instance, result in zip(instances, netlists.elaborate(instances), strict=True):
        if isinstance(result, AsnetError):
            raise result
        flat, latency = netlists.remove_registers(result, instance)
        if latency != instance.latency:
            raise InputError(
                f"{instance.label}: declares a latency of {instance.latency} cycles, but its "
                f"structure has {latency}; correct latency_cycles"
            )
        flats.append((instance, flat, latency))
    named = [rom.name_functions(flat.module, _PLACEHOLDER) for _, flat, _ in flats]
    texts = convert(
        [
            {"symbol": _PLACEHOLDER, "format": instance.core.format, "module": module}
            for (instance, _, _), (module, _) in zip(flats, named, strict=True)
        ]
    )
    results = {}
    for (instance, flat, latency), (_, roms), text in zip(flats, named, texts, strict=True):
        word = text.get("text")
        gates = _gate_count(flat.module)
        if strategy in (None, "native") and gates < _FEWEST_GATES and word and not roms:
            masks = _prove_native(instance, word)
            if masks is not None:
                results[instance.content_hash] = {**_native(instance, masks), "latency": latency}
                continue
        if strategy == "native":
            raise _not_proved(instance)
        candidates: dict[str, dict[str, Any]] = {}
        # What words cannot do, gates and tables may: they need no conversion by CIRCT.
        refused = "" if word else f"{_place(flat, text)}{instance.label}: {text['error']}"
        block = {"block": bool(roms)}
        if roms:  # no vector code loads from a ROM: the model computes arrays itself
            word = roms + _looped_text(_types(instance, flat), word) if word else None
            if strategy == "bitslice":
                raise UnsupportedError(f"{instance.label}: a ROM can't be sliced into bits")
        if word and (strategy == "word" or (strategy is None and gates <= _MOST_GATES_IN_WORDS)):
            candidates["word"] = {"text": word, **block}
        if not roms and (
            strategy == "bitslice"
            or (strategy is None and (word is None or _may_be_sliced(instance, gates)))
        ):
            try:
                candidates["bitslice"] = {"text": _sliced_text(instance, flat, word), "block": True}
            except UnsupportedError as error:
                if strategy:
                    raise UnsupportedError(f"{instance.label}: {error}") from None
                if word:
                    candidates["word"] = {"text": word, **block}
                refused += f"; as gates: {error}"
        if strategy in (None, "table"):
            try:
                table = _table_text(instance, flat, word)
            except UnsupportedError as error:
                if strategy:
                    raise UnsupportedError(f"{instance.label}: {error}") from None
                table, told = None, f"; as gates: {error}"
                refused += told if told not in refused else ""
            if table is not None:
                candidates["table"] = {"text": table}
            elif strategy:
                raise InputError(
                    f"{instance.label}: its operands have more than {_WIDEST_TABLE} bits together; "
                    "strategy 'table' does not apply"
                )
        if not candidates:
            raise UnsupportedError(refused)
        chosen, nanoseconds = _fastest(candidates)
        results[instance.content_hash] = {
            "block": False,
            **candidates[chosen],
            "strategy": chosen,
            "latency": latency,
            "nanoseconds": nanoseconds,
        }
    return results


def _place(flat: Netlist, answer: Mapping[str, str]) -> str:
    """Return `file:line: ` of the cell that a conversion stopped at, else of the module."""
    item = flat.module["cells"].get(answer["cell"], flat.module)
    place = flat.location(item) or flat.location(flat.module)
    return f"{place}: " if place else ""


def _gate_count(module: Mapping[str, Any]) -> int:
    """Return how many cells of a netlist are single gates: all their ports have one bit."""
    return sum(
        all(len(bits) == 1 for bits in cell["connections"].values())
        for cell in module["cells"].values()
    )


def _may_be_sliced(instance: Instance, gates: int) -> bool:
    """Return whether planes could be faster than words.

    Gates are, and floating-point numbers: their shifts and leading zeros are long in words.
    """
    return gates >= _FEWEST_GATES or instance.core.is_float


def _types(instance: Instance, flat: Netlist) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Return the types of a, b and the result in a model, and those of their arrays' elements."""
    if instance.core.format == "f32":
        return ("f32", "f32", "f32"), ("f32", "f32", "f32")
    ports = flat.module["ports"]
    widths = [len(ports[name]["bits"]) for name in ("a", "b", "result")]
    if max(widths) > 64:
        raise UnsupportedError(f"{instance.label}: ports wider than 64 bits have no model")
    storage = [max(8, 1 << (width - 1).bit_length()) for width in widths]
    return _triple(widths), _triple(storage)


def _triple(widths: Sequence[int]) -> tuple[str, str, str]:
    a, b, result = (f"i{width}" for width in widths)
    return a, b, result


def _single_pair_text(types: tuple[str, str, str], storage: tuple[str, str, str]) -> str:
    """Return `@symbol`, which computes one pair through `@symbol_block`."""

    def converted(name: str, have: str, want: str) -> str:
        if have == want:
            return f"arith.bitcast %{name} : {have} to {want}"
        operation = "extui" if int(want[1:]) > int(have[1:]) else "trunci"
        return f"arith.{operation} %{name} : {have} to {want}"

    arrays = [f"memref<?x{kind}>" for kind in storage]
    lines = [
        f"func.func private @{_PLACEHOLDER}(%a: {types[0]}, %b: {types[1]}) -> {types[2]} "
        f"attributes {{no_inline, approx.block = @{_PLACEHOLDER}_block}} {{",
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
        f"  call @{_PLACEHOLDER}_block(%a_array, %b_array, %r_array) : ({', '.join(arrays)}) -> ()",
        f"  %r = memref.load %r_one[%c0] : memref<1x{storage[2]}>",
        f"  %result = {converted('r', storage[2], types[2])}",
        f"  return %result : {types[2]}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _looped_text(kinds: tuple[tuple[str, str, str], tuple[str, str, str]], word: str) -> str:
    """Return a model over arrays that calls the word-level one `word` for each pair."""
    types, storage = kinds
    arrays = ", ".join(f"%{n}: memref<?x{kind}>" for n, kind in zip("abr", storage, strict=True))

    def converted(name: str, have: str, want: str) -> list[str]:
        if have == want:
            return [f"    %{name}_used = arith.bitcast %{name}_given : {have} to {want}"]
        operation = "extui" if int(want[1:]) > int(have[1:]) else "trunci"
        return [f"    %{name}_used = arith.{operation} %{name}_given : {have} to {want}"]

    lines = [
        f"func.func private @{_PLACEHOLDER}_block({arrays}) attributes {{no_inline}} {{",
        "  %c0 = arith.constant 0 : index",
        "  %c1 = arith.constant 1 : index",
        f"  %n = memref.dim %a, %c0 : memref<?x{storage[0]}>",
        "  scf.for %i = %c0 to %n step %c1 {",
    ]
    for name, have, want in (("a", storage[0], types[0]), ("b", storage[1], types[1])):
        lines.append(f"    %{name}_given = memref.load %{name}[%i] : memref<?x{have}>")
        lines += converted(name, have, want)
    lines += [
        f"    %r_given = func.call @{_PLACEHOLDER}_word(%a_used, %b_used) : "
        f"({types[0]}, {types[1]}) -> {types[2]}",
        *converted("r", types[2], storage[2]),
        f"    memref.store %r_used, %r[%i] : memref<?x{storage[2]}>",
        "  }",
        "  return",
        "}",
    ]
    inner = word.replace(f"@{_PLACEHOLDER}(", f"@{_PLACEHOLDER}_word(")
    return inner + "\n".join(lines) + "\n" + _single_pair_text(types, storage)


def _sliced_text(instance: Instance, flat: Netlist, word: str | None) -> str:
    """Return a model on planes of bits, of the word-level one `word` or else of the netlist."""
    types, storage = _types(instance, flat)
    if word is None:
        graph, inputs, outputs = _graph(instance, flat)
        circuit = luts.map_luts(graph, inputs, outputs)
        a, b, result = (len(flat.module["ports"][name]["bits"]) for name in ("a", "b", "result"))
        widths = (a, b, result)
    else:
        function = smt.parse(word)
        circuit, widths = bitslice.slice_function(function), function.widths
    text = bitslice.compose(circuit, widths, _PLACEHOLDER, storage)
    return text + _single_pair_text(types, storage)


def _graph(instance: Instance, flat: Netlist) -> tuple[aig.Graph, aig.Word, aig.Word]:
    """Return the gates of a netlist, the bits of a, then those of b, and the bits of the result.

    Raises:
      UnsupportedError: there are too many of them, or a cell has none.
    """
    graph = aig.Graph()
    ports = {name: flat.module["ports"][name]["bits"] for name in ("a", "b", "result")}
    operands = {name: graph.word(len(ports[name])) for name in "ab"}
    seen = operands
    if instance.core.format == "f32":  # a NaN is the canonical one, as in `comb_to_arith.py`
        nan = [aig.TRUE if _QUIET_NAN_BITS >> k & 1 else aig.FALSE for k in range(32)]
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
    from asnet_mlir.jit import compile_elementwise

    (a_type, b_type, result_type), (a_stored, b_stored, stored) = _types(instance, flat)
    pairs = np.arange(1 << (a_width + b_width), dtype=np.uint64)
    a = (pairs >> np.uint64(b_width)).astype(np.dtype(f"uint{a_stored[1:]}"))
    b = (pairs & np.uint64((1 << b_width) - 1)).astype(np.dtype(f"uint{b_stored[1:]}"))
    if text is None:
        graph, inputs, outputs = _graph(instance, flat)
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
        results = compile_elementwise({_PLACEHOLDER: text}, opt_level=1)(_PLACEHOLDER, a, b)
    index = f"i{max(32, a_width + b_width)}"
    shape = f"memref<{results.size}x{stored}>"
    back = f"arith.trunci %found : {stored} to {result_type}"
    lines = [
        f'memref.global "private" constant @{_PLACEHOLDER}_table : {shape} = '
        f'dense<"0x{results.tobytes().hex().upper()}">',
        f"func.func private @{_PLACEHOLDER}(%a: {a_type}, %b: {b_type}) -> {result_type} {{",
        f"  %table = memref.get_global @{_PLACEHOLDER}_table : {shape}",
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


def _simulated(instance: Instance) -> dict[str, Any]:
    """Return the entry of a model that calls the simulation; its library is found at each use."""
    from asnet_mlir.cores import simulation

    widths = simulation.port_widths([instance])[0]
    bits = {"a": widths.a, "b": widths.b, "result": widths.result}
    ports = {role: {"bits": [0] * width} for role, width in bits.items()}
    types, storage = _types(instance, Netlist("", {"": {"ports": ports}}, {}))
    name = f"{_PLACEHOLDER}_simulation"
    return {
        "text": external_text(_PLACEHOLDER, name, types, storage, f'approx.library = "{_LIBRARY}"'),
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
    return block + _single_pair_text(types, storage).replace(_PLACEHOLDER, symbol)


def _resolved(text: str, symbol: str, instance: Instance) -> str:
    """Give a cached text its symbol, and a simulated one the library of this machine."""
    if _LIBRARY in text:
        from asnet_mlir.cores import simulation

        text = text.replace(_LIBRARY, str(simulation.block_library(instance)))
    return text.replace(_PLACEHOLDER, symbol)


def _fastest(candidates: Mapping[str, Mapping[str, Any]]) -> tuple[str, dict[str, float]]:
    """Return the strategy that takes the least time, and the nanoseconds for a pair of each."""
    if len(candidates) == 1:
        return next(iter(candidates)), {}
    from asnet_mlir.jit import compile_elementwise

    times = {}
    for name, candidate in candidates.items():
        kernel = compile_elementwise({_PLACEHOLDER: candidate["text"]})
        rng = np.random.default_rng(0)
        a, b = (
            rng.integers(0, 256, _TIMED_PAIRS * kind.itemsize, np.uint8).view(kind)
            for kind in kernel.dtypes(_PLACEHOLDER)[:2]
        )
        call = kernel.prepared(_PLACEHOLDER, a, b, kernel(_PLACEHOLDER, a, b))
        best = float("inf")
        for _ in range(_TIMED_RUNS):
            start = time.perf_counter()
            call()
            best = min(best, time.perf_counter() - start)
        times[name] = round(best / _TIMED_PAIRS * 1e9, 3)
    return min(times, key=lambda name: times[name]), times


def convert(jobs: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Run `lowering/circt/comb_to_arith.py` on jobs, in one process of CIRCT if none ends it.

    Args:
      jobs: `{"symbol", "format", "module"}` each, as described in that file.

    Returns:
      `{"text"}` for each, or `{"error", "cell"}` where CIRCT cannot, or takes too long.
    """
    with tempfile.TemporaryDirectory(prefix="asnet-circt-") as name:
        request, answer = Path(name) / "jobs.json", Path(name) / "results.json"
        request.write_text(json.dumps(jobs))
        done = processes.run(
            [sys.executable, _converter(), request, answer],
            purpose="converting a netlist with CIRCT",
            timeout_seconds=120.0 + 120.0 * len(jobs),
            check=False,
        )
        if answer.is_file():
            return json.loads(answer.read_text())
    if len(jobs) > 1:
        return [convert([job])[0] for job in jobs]
    if done.returncode >= 0:
        tail = " | ".join(done.stderr.strip().splitlines()[-3:])
        raise ToolError(f"converting a netlist with CIRCT: status {done.returncode}: {tail}")
    late = done.returncode == -signal.SIGPROF
    how = "takes too long on it" if late else f"ended with signal {-done.returncode}"
    return [{"error": f"CIRCT {how}", "cell": ""}]


def _converter() -> Path:
    return lowering_directory() / "circt" / "comb_to_arith.py"


@functools.cache
def models_version() -> str:
    """Return a hash of what models depend on besides the instance: this program and its tools."""
    tools = [importlib.metadata.version(name) for name in ("pyosys", "circt", "z3-solver")]
    return content_hash(code_version("cores", "lowering"), *tools)


def _library_version() -> str:
    # Reading the library takes longer than evaluating a small network: only when it changed.
    files = sorted(hdl_library_directory().glob("*/*"))
    states = ((str(path), path.stat()) for path in files)
    return _version_of_library(tuple((name, s.st_mtime_ns, s.st_size) for name, s in states))


@functools.lru_cache(maxsize=4)
def _version_of_library(state: tuple[tuple[str, int, int], ...]) -> str:
    return content_hash(*(c.sources_hash for c in library_cores().values() if c.exact))


def _cache_key(key: str, strategy: Strategy | None) -> str:
    return content_hash(models_version(), _library_version(), key, strategy or "any")
