# SPDX-License-Identifier: Apache-2.0
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
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.cores.circuits import aig, luts, rom
from asnet_mlir.cores.circuits import terms as smt
from asnet_mlir.cores.circuits.gates import Gates
from asnet_mlir.cores.circuits.words import FALSE, TRUE, Word
from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.models import bitslice
from asnet_mlir.cores.models.external import simulated_model, with_library
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.models.model import PLACEHOLDER, Model, Strategy
from asnet_mlir.cores.models.native import QUIET_NAN_BITS, contains, native_masks, native_model
from asnet_mlir.cores.models.texts import looped_text, port_types, single_pair_text
from asnet_mlir.cores.proofs.statements import prove_native
from asnet_mlir.cores.reading.library import library_cores
from asnet_mlir.cores.simulation.latency import with_latency
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.cores.verilog.structure import remove_registers
from asnet_mlir.errors import AsnetError, InputError, ToolError, UnsupportedError
from asnet_mlir.support import processes
from asnet_mlir.support.cache import cached_texts, code_version, content_hash
from asnet_mlir.support.resources import hdl_library_directory
from asnet_mlir.support.tools import circt_program

__all__ = ["convert", "derive_models", "gates_of", "library_version", "models_version"]

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
    instances = {symbol: with_latency(one) for symbol, one in instances.items()}
    circuits = {symbol: _circuit(one) for symbol, one in instances.items()}
    keys = {symbol: _cache_key(one.content_hash, strategy) for symbol, one in circuits.items()}
    by_key = {key: circuits[symbol] for symbol, key in keys.items()}

    def make(missing: list[str]) -> dict[str, str]:
        derived = _derive([by_key[key] for key in missing], strategy)
        return {key: json.dumps(derived[by_key[key].content_hash]) for key in missing}

    texts = cached_texts("models", list(by_key), make)
    models = {}
    for symbol, instance in instances.items():
        entry = json.loads(texts[keys[symbol]])
        models[symbol] = Model(
            symbol=symbol,
            text=with_library(entry["text"], symbol, instance),
            strategy=entry["strategy"],
            latency=entry["latency"],
            operation=entry.get("operation"),
            masks=tuple(entry["masks"]) if entry.get("masks") else None,
            block=entry.get("block", False),
            nanoseconds=entry.get("nanoseconds", {}),
            version=f"{entry['strategy']} {content_hash(entry['text'])[:16]}",
        )
    return models


def _circuit(instance: Instance) -> Instance:
    """Return what a model is derived of: a circuit of integers, whatever it is taken for."""
    core = instance.core
    if core.is_float:
        return instance
    return replace(instance, core=replace(core, op=None, signed=False, exact=False))


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
            results[instance.content_hash] = simulated_model(instance)
        else:
            remaining.append(instance)
    if strategy in (None, "native") and remaining:
        views = _hierarchies(remaining)
        unproved = []
        for instance in remaining:
            masks = native_masks(instance, views.get(instance.content_hash))
            if masks is not None:
                results[instance.content_hash] = native_model(instance, masks)
            elif strategy == "native" and instance.core.format != "f32":
                raise _not_proved(instance)
            else:
                unproved.append(instance)
        remaining = unproved
    if remaining:
        results.update(_derive_netlists(remaining, strategy))
    return results


def _hierarchies(instances: Sequence[Instance]) -> dict[str, Netlist]:
    """Return the hierarchical netlists of those instances that could be wrappers of exact cores."""
    library = [core for core in library_cores().values() if core.exact]
    wanted = [
        instance
        for instance in instances
        if any(core.op == instance.core.op and contains(instance.core, core) for core in library)
    ]
    if not wanted:
        return {}
    found = {}
    for instance, result in zip(wanted, elaborate(wanted, flatten=False), strict=True):
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
    core = instance.core
    if core.format != "f32" or core.op is None or len(word) > _LONGEST_PROOF:
        return None
    return prove_native(word, _reference_texts(core.op), seconds=_PROOF_SECONDS)


def _reference_texts(op: str) -> list[str]:
    """Return the word-level models of the library's exact f32 cores of an operation."""
    cores = {
        name: core.combinational()
        for name, core in library_cores().items()
        if core.exact and core.op == op and core.format == "f32"
    }
    return [model.text for model in derive_models(cores, "word").values()] if cores else []


def _derive_netlists(
    instances: Sequence[Instance], strategy: Strategy | None
) -> dict[str, dict[str, Any]]:
    """Derive models by every strategy that applies to a netlist, and keep the fastest of each."""
    flats: list[tuple[Instance, Netlist, int]] = []
    for instance, result in zip(instances, elaborate(instances), strict=True):
        if isinstance(result, AsnetError):
            raise result
        flat, latency = remove_registers(result, instance)
        if latency != instance.latency:
            raise InputError(
                f"{instance.label}: declares a latency of {instance.latency} cycles, but its "
                f"structure has {latency}; correct latency_cycles"
            )
        flats.append((instance, flat, latency))
    named = [rom.name_functions(flat.module, PLACEHOLDER) for _, flat, _ in flats]
    texts = convert(
        [
            {"symbol": PLACEHOLDER, "format": instance.core.format, "module": module}
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
                results[instance.content_hash] = {
                    **native_model(instance, masks),
                    "latency": latency,
                }
                continue
        if strategy == "native":
            raise _not_proved(instance)
        candidates: dict[str, dict[str, Any]] = {}
        # What words cannot do, gates and tables may: they need no conversion by CIRCT.
        refused = "" if word else f"{_place(flat, text)}{instance.label}: {text['error']}"
        block = {"block": bool(roms)}
        if roms:  # no vector code loads from a ROM: the model computes arrays itself
            word = roms + looped_text(port_types(instance, flat), word) if word else None
            if strategy == "bitslice":
                raise UnsupportedError(f"{instance.label}: a ROM can't be sliced into bits")
        # Of nothing but gates, planes are 15 to 45 times as fast as words, and 4 times as tables.
        every = len(flat.module["cells"])
        is_gates = strategy is None and not roms and _FEWEST_GATES <= gates == every
        in_words = strategy is None and gates <= _MOST_GATES_IN_WORDS and not is_gates
        if word and (strategy == "word" or in_words):
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
        if strategy in (None, "table") and not (is_gates and "bitslice" in candidates):
            try:
                table = _table_text(instance, flat, word)
            except UnsupportedError as error:
                if strategy:
                    raise UnsupportedError(f"{instance.label}: {error}") from None
                table, told = None, f"; as gates: {error}"
                refused += told if told not in refused else ""
            if table is not None:
                # No vector code loads from a table: the model computes arrays itself.
                table = looped_text(port_types(instance, flat), table)
                candidates["table"] = {"text": table, "block": True}
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


def _sliced_text(instance: Instance, flat: Netlist, word: str | None) -> str:
    """Return a model on planes of bits, of the word-level one `word` or else of the netlist."""
    types, storage = port_types(instance, flat)
    if word is None:
        graph, inputs, outputs = _graph(instance, flat)
        circuit = luts.map_luts(graph, inputs, outputs)
        a, b, result = (len(flat.module["ports"][name]["bits"]) for name in ("a", "b", "result"))
        widths = (a, b, result)
    else:
        function = smt.parse(word)
        circuit, widths = bitslice.slice_function(function), function.widths
    text = bitslice.compose(circuit, widths, PLACEHOLDER, storage)
    return text + single_pair_text(types, storage)


def gates_of(instance: Instance) -> tuple[aig.Graph, Word, Word, Word]:
    """Return the gates of an instance without its registers: graph, bits of a, of b, of the result.

    Raises:
      AsnetError: as `derive_models`; the core has state, or a cell that is no gate.
    """
    if instance.core.is_stateful:
        raise InputError(f"{instance.label}: has state, so that it is no function of its operands")
    (result,) = elaborate([instance])
    if isinstance(result, AsnetError):
        raise result
    flat, _ = remove_registers(result, instance)
    graph, inputs, outputs = _graph(instance, flat)
    width = len(flat.module["ports"]["a"]["bits"])
    return graph, inputs[:width], inputs[width:], outputs


def _graph(instance: Instance, flat: Netlist) -> tuple[aig.Graph, Word, Word]:
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


def _fastest(candidates: Mapping[str, Mapping[str, Any]]) -> tuple[str, dict[str, float]]:
    """Return the strategy that takes the least time, and the nanoseconds for a pair of each."""
    if len(candidates) == 1:
        return next(iter(candidates)), {}
    times = {}
    for name, candidate in candidates.items():
        kernel = compile_elementwise({PLACEHOLDER: candidate["text"]})
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
        done = processes.run_program(
            circt_program("comb_to_arith.py"),
            [request, answer],
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


@functools.cache
def models_version() -> str:
    """Return a hash of what models depend on besides the instance: this program and its tools."""
    tools = [importlib.metadata.version(name) for name in ("pyosys", "circt", "z3-solver")]
    return content_hash(code_version("cores", "lowering"), *tools)


def library_version() -> str:
    """Return a hash of the library's exact cores, with which others are compared."""
    # Reading the library takes longer than evaluating a small network: only when it changed.
    files = sorted(hdl_library_directory().glob("*/*"))
    states = ((str(path), path.stat()) for path in files)
    return _version_of_library(tuple((name, s.st_mtime_ns, s.st_size) for name, s in states))


@functools.lru_cache(maxsize=4)
def _version_of_library(state: tuple[tuple[str, int, int], ...]) -> str:
    return content_hash(*(c.sources_hash for c in library_cores().values() if c.exact))


def _cache_key(key: str, strategy: Strategy | None) -> str:
    return content_hash(models_version(), library_version(), key, strategy or "any")
