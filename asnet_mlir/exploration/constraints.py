"""The constraints file: which cores, with which parameters, make up the design space.

The keys `ParamLow` and `ParamHigh` are the paper's (Froehlich et al., section IV-C); the rest is
described in `docs/constraints.md`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asnet_mlir.binding import Binding, Rule
from asnet_mlir.cores import OPS, Instance, core_from_verilog, load_core
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.json_input import check_keys

__all__ = ["Constraints", "load_constraints"]

_TOP_KEYS = {"cores", "scope"}
_CORE_KEYS = {"op", "core", "parameters", "top", "ports"}
_RANGE_KEYS = {"ParamLow", "ParamHigh", "ParamStep"}


@dataclass(frozen=True)
class Constraints:
    """The instances that each op kind may be bound to; None is the exact operation.

    Attributes:
      choices: per op kind, its candidates in the order of the file, None first.
      scope: `network`: one instance per op kind.
    """

    choices: Mapping[str, tuple[Instance | None, ...]]
    scope: str = "network"

    def bindings(self) -> Iterator[Binding]:
        """Yield the Cartesian product of the choices, the exact configuration first."""
        ops = list(self.choices)
        for combination in itertools.product(*self.choices.values()):
            yield Binding(
                tuple(
                    Rule(op, instance)
                    for op, instance in zip(ops, combination, strict=True)
                    if instance is not None
                )
            )

    def axes(self) -> Iterator[Binding]:
        """Yield the configurations with at most one op kind approximated, the exact one first.

        These are the paper's figures: each core's parameter swept with all else exact.
        """
        yield Binding()
        for op, instances in self.choices.items():
            for instance in instances:
                if instance is not None:
                    yield Binding((Rule(op, instance),))

    @property
    def size(self) -> int:
        """The number of configurations of the whole product."""
        count = 1
        for instances in self.choices.values():
            count *= len(instances)
        return count


def load_constraints(source: str | Path | Mapping[str, Any]) -> Constraints:
    """Read a constraints file, or take its parsed content.

    Raises:
      InputError: not JSON, a missing or unknown key (named, with its place), `ParamLow` above
        `ParamHigh`, an unknown core, a parameter out of its core's range.
      UnsupportedError: the scope `layer`.
    """
    if isinstance(source, Mapping):
        return _parse(source, Path())
    path = Path(source)
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text") from None
    except RecursionError:
        raise InputError(f"{path}: not JSON that this program reads: nested too deeply") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    try:
        return _parse(content, path.parent)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from None


def _parse(content: Any, folder: Path) -> Constraints:
    if not isinstance(content, Mapping):
        raise InputError("the constraints must be an object with the key 'cores'")
    check_keys("", content, _TOP_KEYS, required={"cores"})
    scope = content.get("scope", "network")
    if scope == "layer":
        raise UnsupportedError("scope 'layer' is not supported yet; use 'network'")
    if scope != "network":
        raise InputError(f"scope: must be 'network' or 'layer', not {scope!r}")
    if not isinstance(content["cores"], list) or not content["cores"]:
        raise InputError("cores: must be a list of at least one core")
    choices: dict[str, list[Instance | None]] = {}
    for index, entry in enumerate(content["cores"]):
        place = f"cores[{index}]"
        if not isinstance(entry, Mapping):
            raise InputError(f"{place}: must be an object")
        check_keys(place, entry, _CORE_KEYS, required={"op", "core"})
        op = entry["op"]
        if op not in OPS:
            raise InputError(f"{place}.op: unknown op {op!r}; known are {', '.join(OPS)}")
        # The exact operation is always a member of the set.
        candidates = choices.setdefault(op, [None])
        try:
            candidates += _instances(entry, op, folder, place)
        except InputError as error:
            text = str(error)
            raise type(error)(text if text.startswith(place) else f"{place}: {text}") from None
    return Constraints({op: tuple(instances) for op, instances in choices.items()}, scope)


def _instances(entry: Mapping[str, Any], op: str, folder: Path, place: str) -> Iterator[Instance]:
    reference = entry["core"]
    if not isinstance(reference, str):
        raise InputError(f"{place}.core: must be a name or a path, not {reference!r}")
    for key in ("top", "ports"):
        if key in entry and not reference.endswith((".v", ".sv")):
            raise InputError(f"{place}.{key}: is for cores that are Verilog files")
    ports = entry.get("ports", {})
    if not isinstance(ports, Mapping) or not all(isinstance(name, str) for name in ports.values()):
        raise InputError(f"{place}.ports: must be an object of port names, not {ports!r}")
    path = Path(reference)
    if path.suffix in (".v", ".sv", ".toml"):
        path = path if path.is_absolute() else folder / path
    if path.suffix in (".v", ".sv"):
        core = core_from_verilog([path], top=entry.get("top"), op=op, ports=ports)
    else:
        core = load_core(path if path.suffix == ".toml" else reference)
    if core.op != op:
        raise InputError(f"{place}.op: {core.name} computes {core.op}, not {op}")
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, Mapping):
        raise InputError(f"{place}.parameters: must be an object")
    ranges = {
        name: _range(value, f"{place}.parameters.{name}") for name, value in parameters.items()
    }
    for values in itertools.product(*ranges.values()):
        yield core.instance(dict(zip(ranges, values, strict=True)))


def _range(value: Any, place: str) -> range | tuple[int, ...]:
    """Return the values of one parameter: an integer, or a range with both ends included."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    if not isinstance(value, Mapping):
        raise InputError(f"{place}: must be an integer or an object with ParamLow and ParamHigh")
    check_keys(place, value, _RANGE_KEYS, required={"ParamLow", "ParamHigh"})
    for key, number in value.items():
        if not isinstance(number, int) or isinstance(number, bool):
            raise InputError(f"{place}.{key}: must be an integer, not {number!r}")
    low, high, step = value["ParamLow"], value["ParamHigh"], value.get("ParamStep", 1)
    if low > high:
        raise InputError(f"{place}: ParamLow = {low} is above ParamHigh = {high}")
    if step < 1:
        raise InputError(f"{place}.ParamStep: must be at least 1, not {step}")
    return range(low, high + 1, step)
