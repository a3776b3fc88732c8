"""Models of instances: MLIR functions that compute what the Verilog computes.

Two strategies give the same bits on every operand that a core can see:

* `word`: the netlist itself, cell by cell, as integer arithmetic (`lowering/circt`);
* `native`: the host's own operation on masked operands.  It is used where the structure proves it:
  the top module is nothing but one instance of a library core that is exact, whose operand bits are
  each the same bit of the top's operand or the constant 0, and whose result is the top's result.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from asnet_mlir import processes
from asnet_mlir.cache import cached_text, content_hash
from asnet_mlir.cores import netlist as netlists
from asnet_mlir.cores.core import Core, Instance, library_cores
from asnet_mlir.cores.netlist import Netlist
from asnet_mlir.errors import AsnetError, InputError, UnsupportedError
from asnet_mlir.resources import lowering_directory

__all__ = [
    "Model",
    "Strategy",
    "at_exact_parameters",
    "code_version",
    "convert",
    "derive_models",
    "native_masks",
]

Strategy = Literal["native", "word"]

# The quiet-NaN pattern of the exponent and bit 22: a mask that keeps them keeps every quiet NaN a
# NaN, so that the native operation needs no canonical operands.
_QUIET_NAN_BITS = 0x7FC00000
_PLACEHOLDER = "__asnet_core__"
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
    """One `func.func private @symbol` in MLIR 22's text, and how it was found.

    It takes two f32 and returns f32; for a core without operation, integers of its ports' widths.
    `latency` is the depth of the pipeline by structure; None where the native proof needed none.
    `masks` are those of the operands of a native model, and `operation` is what it applies to them.
    """

    symbol: str
    text: str
    strategy: Strategy
    latency: int | None = None
    operation: str | None = None
    masks: tuple[int, int] | None = None

    @property
    def parametric_text(self) -> str:
        """The same function with its masks as constants marked for `approx-promote-parameters`.

        Two native models of one operation and symbol have equal parametric texts: what tells them
        apart is `parameters`.
        """
        if self.operation is None or self.masks is None:
            return self.text
        text = _native_text(self.operation, (0, 0), marked=True)
        return text.replace(f"@{_PLACEHOLDER}(", f"@{self.symbol}(")

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
      strategy: force one; by default the native one where it is proved, else the derived one.

    Raises:
      InputError: the Verilog cannot be read, breaks the contract, or (strategy "native") the
        structure proves nothing; latency declared and measured differ.
      ToolError: Yosys or CIRCT failed.
    """
    unique = {instance.content_hash: instance for instance in instances.values()}
    made: dict[str, dict[str, Any]] = {}

    def make_all() -> None:
        missing = [key for key in unique if not _is_cached(key, strategy)]
        made.update(_derive([unique[key] for key in missing], strategy))

    models = {}
    for symbol, instance in instances.items():
        key = instance.content_hash

        def make(key: str = key) -> str:
            if not made:
                make_all()
            return json.dumps(made[key])

        entry = json.loads(cached_text("models", _cache_key(key, strategy), make))
        models[symbol] = Model(
            symbol=symbol,
            text=entry["text"].replace(f"@{_PLACEHOLDER}(", f"@{symbol}("),
            strategy=entry["strategy"],
            latency=entry["latency"],
            operation=entry.get("operation"),
            masks=tuple(entry["masks"]) if entry.get("masks") else None,
        )
    return models


def native_masks(instance: Instance, hierarchy: Netlist | None = None) -> tuple[int, int] | None:
    """Return the operand masks under which the exact operation is the instance; None if unproved.

    Args:
      instance: what to prove.
      hierarchy: its netlist with the hierarchy kept; read when absent and needed.
    """
    core = instance.core
    if core.op is None or core.format != "f32":
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
    remaining = list(instances)
    if strategy != "word":
        remaining = []
        views = _hierarchies(instances)
        for instance in instances:
            masks = native_masks(instance, views.get(instance.content_hash))
            if masks is not None and instance.core.op is not None:
                operation = _NATIVE_OPERATIONS[instance.core.op]
                results[instance.content_hash] = {
                    "text": _native_text(operation, masks),
                    "strategy": "native",
                    "latency": None,
                    "operation": operation,
                    "masks": masks,
                }
            elif strategy == "native":
                raise InputError(
                    f"{instance.label}: its structure does not prove that it is an exact operation "
                    "on masked operands; use the strategy 'word'"
                )
            else:
                remaining.append(instance)
    if remaining:
        results.update(_derive_words(remaining))
    return results


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


def _derive_words(instances: Sequence[Instance]) -> dict[str, dict[str, Any]]:
    jobs, latencies, views = [], [], []
    for instance, result in zip(instances, netlists.elaborate(instances), strict=True):
        if isinstance(result, AsnetError):
            raise result
        flat, latency = netlists.remove_registers(result, instance)
        if latency != instance.latency:
            raise InputError(
                f"{instance.label}: declares a latency of {instance.latency} cycles, but its "
                f"structure has {latency}; correct latency_cycles"
            )
        jobs.append(
            {
                "symbol": _PLACEHOLDER,
                "format": instance.core.format if instance.core.op else None,
                "module": flat.module,
            }
        )
        latencies.append(latency)
        views.append(flat)
    texts = convert(jobs)
    results = {}
    for instance, latency, view, text in zip(instances, latencies, views, texts, strict=True):
        if "error" in text:
            where = view.location(view.module["cells"].get(text["cell"], {}))
            raise UnsupportedError(f"{where}: {instance.label}: {text['error']}".lstrip(": "))
        results[instance.content_hash] = {
            "text": text["text"],
            "strategy": "word",
            "latency": latency,
        }
    return results


def convert(jobs: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Run `lowering/circt/comb_to_arith.py` on jobs, in one process of CIRCT.

    Args:
      jobs: `{"symbol", "format", "module"}` each, as described in that file.
    """
    with tempfile.TemporaryDirectory(prefix="asnet-circt-") as name:
        request, answer = Path(name) / "jobs.json", Path(name) / "results.json"
        request.write_text(json.dumps(jobs))
        processes.run(
            [sys.executable, _converter(), request, answer],
            purpose="converting a netlist with CIRCT",
            timeout_seconds=120.0 + 30.0 * len(jobs),
        )
        return json.loads(answer.read_text())


def _converter() -> Path:
    return lowering_directory() / "circt" / "comb_to_arith.py"


@functools.cache
def code_version() -> str:
    """Return a hash of what models depend on besides the instance: code, tools, the library."""
    here = Path(__file__).parent
    files = [here / f"{stem}.py" for stem in ("core", "model", "netlist", "yosys_worker")]
    texts = [
        path.read_text()
        for path in (*files, _converter(), _converter().with_name("widen_integers.py"))
    ]
    tools = [importlib.metadata.version(name) for name in ("pyosys", "circt")]
    return content_hash(*texts, *tools)


def _library_version() -> str:
    return content_hash(*(c.sources_hash for c in library_cores().values() if c.exact))


def _cache_key(key: str, strategy: Strategy | None) -> str:
    return content_hash(code_version(), _library_version(), key, strategy or "any")


def _is_cached(key: str, strategy: Strategy | None) -> bool:
    from asnet_mlir.cache import cache_directory

    return (cache_directory() / "models" / _cache_key(key, strategy)).is_file()
