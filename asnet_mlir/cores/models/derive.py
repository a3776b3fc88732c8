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
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from asnet_mlir.cores.circuits import aig, rom
from asnet_mlir.cores.circuits.words import Word
from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.models.external import simulated_model, with_library
from asnet_mlir.cores.models.model import PLACEHOLDER, Model, Strategy
from asnet_mlir.cores.models.native import contains, native_masks, native_model
from asnet_mlir.cores.models.netlist_models import Circuit, NetlistModels, graph_of
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

#: Bounds on proofs about a user's core; what is not proved in that time is not used.
_PROOF_SECONDS = 10.0
_LONGEST_PROOF = 100_000


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
    flats = _without_registers(instances)
    named = [rom.name_functions(flat.module, PLACEHOLDER) for flat in flats]
    texts = convert(
        [
            {"symbol": PLACEHOLDER, "format": instance.core.format, "module": module}
            for instance, (module, _) in zip(instances, named, strict=True)
        ]
    )
    if strategy in (None, "native"):  # once, before threads ask for them at once
        words = [one for one, text in zip(instances, texts, strict=True) if text.get("text")]
        for op in {one.core.op for one in words if one.core.format == "f32"} - {None}:
            _reference_texts(str(op))

    def derived(job: tuple[Instance, Netlist, tuple[Any, str], dict[str, str]]) -> dict[str, Any]:
        instance, flat, (_, roms), text = job
        found = _derive_netlist(Circuit(instance, flat, roms, text.get("text")), text, strategy)
        return {**found, "latency": instance.latency}

    # What takes long are LLVM, which runs beside Python, and processes.
    group = processes.Group()
    with ThreadPoolExecutor(os.process_cpu_count() or 1, initializer=group.join) as pool:
        jobs = zip(instances, flats, named, texts, strict=True)
        futures = [pool.submit(derived, job) for job in jobs]
        try:
            found = [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            group.end()
            raise
    return {one.content_hash: model for one, model in zip(instances, found, strict=True)}


def _without_registers(instances: Sequence[Instance]) -> list[Netlist]:
    flats = []
    for instance, result in zip(instances, elaborate(instances), strict=True):
        if isinstance(result, AsnetError):
            raise result
        flat, latency = remove_registers(result, instance)
        if latency != instance.latency:
            raise InputError(
                f"{instance.label}: declares a latency of {instance.latency} cycles, but its "
                f"structure has {latency}; correct latency_cycles"
            )
        flats.append(flat)
    return flats


def _derive_netlist(
    circuit: Circuit, answer: Mapping[str, str], strategy: Strategy | None
) -> dict[str, Any]:
    """Return the model of one netlist.

    Args:
      answer: CIRCT's for its text in words.
    """
    instance = circuit.instance
    if strategy in (None, "native") and not circuit.is_of_gates and circuit.word:
        masks = None if circuit.roms else _prove_native(instance, circuit.word)
        if masks is not None:
            return native_model(instance, masks)
    if strategy == "native":
        raise _not_proved(instance)
    found = NetlistModels(circuit, strategy)
    if not found.models:
        # What words cannot do, gates and tables may: they need no conversion by CIRCT.
        no_words = f"{_place(circuit.flat, answer)}{instance.label}: {answer['error']}"
        raise UnsupportedError(no_words + found.refused)
    chosen, nanoseconds = found.fastest()
    return {
        "block": False,
        **found.models[chosen],
        "strategy": chosen,
        "nanoseconds": nanoseconds,
    }


def _place(flat: Netlist, answer: Mapping[str, str]) -> str:
    """Return `file:line: ` of the cell that a conversion stopped at, else of the module."""
    item = flat.module["cells"].get(answer["cell"], flat.module)
    place = flat.location(item) or flat.location(flat.module)
    return f"{place}: " if place else ""


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
    graph, inputs, outputs = graph_of(instance, flat)
    width = len(flat.module["ports"]["a"]["bits"])
    return graph, inputs[:width], inputs[width:], outputs


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
