# SPDX-License-Identifier: Apache-2.0
"""The constraints file: which cores, with which parameters, make up the design space.

The keys `ParamLow` and `ParamHigh` are the paper's (Froehlich et al., section IV-C); all are in
`constraints.schema.json`, which the file is checked against, and described in
`docs/constraints.md`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asnet_mlir.cores import Instance
from asnet_mlir.cores.reading.description import describe, instance_from_description
from asnet_mlir.cores.reading.schema import constraints_schema
from asnet_mlir.cores.reading.table import is_table
from asnet_mlir.cores.simulation.operand_format import with_operand_format
from asnet_mlir.errors import InputError
from asnet_mlir.support.json_input import check_schema, read_json

__all__ = ["Constraints", "load_constraints"]

_MAX_INSTANCES = 10_000


@dataclass(frozen=True)
class Constraints:
    """The instances that each op kind may be bound to; None is the exact operation.

    Attributes:
      choices: per op kind, its candidates in the order of the file, None first.
      layers: the only layers that an instance may be bound in, by op kind and content hash; those
        that are not here may be bound in all.
      scope: `network`: one instance per op kind; `layer`: one per op kind and layer.
      channels: with the scope `layer`, one per so many output channels of a layer; 0: of all.
    """

    choices: Mapping[str, tuple[Instance | None, ...]]
    scope: str = "network"
    layers: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    channels: int = 0

    def with_formats(self) -> Constraints:
        """Return them with the operands' format of every instance, as its Verilog shows it.

        Raises:
          InputError: an instance that fits no op of a network.
        """
        choices = {
            op: tuple(one and with_operand_format(one) for one in instances)
            for op, instances in self.choices.items()
        }
        return replace(self, choices=choices)

    def to_json(self) -> dict[str, Any]:
        """Return the scope and, per op kind, the candidates besides the exact operation."""
        return {
            "scope": self.scope,
            **({"channels": self.channels} if self.channels else {}),
            "choices": {
                op: [
                    {
                        "label": instance.reference,
                        "content_hash": instance.content_hash,
                        **describe(instance),
                        **(
                            {"layers": list(self.layers[op, instance.content_hash])}
                            if (op, instance.content_hash) in self.layers
                            else {}
                        ),
                    }
                    for instance in instances
                    if instance is not None
                ]
                for op, instances in self.choices.items()
            },
        }


def load_constraints(source: str | Path | Mapping[str, Any]) -> Constraints:
    """Read a constraints file, or take its parsed content.

    Raises:
      InputError: not JSON, what the schema forbids, `ParamLow` above `ParamHigh`, an unknown core,
        a parameter out of its core's range, an instance that is there twice; the message names
        the line and the key.
    """
    if isinstance(source, Mapping):
        return _parse(source, Path())
    document = read_json(source)
    try:
        return _parse(document.value, document.path.parent)
    except InputError as error:
        raise document.locate(error) from None


def _parse(content: Any, folder: Path) -> Constraints:
    if not isinstance(content, Mapping):
        raise InputError("the constraints must be an object with the key 'cores'")
    check_schema(content, constraints_schema(), constraints_schema())
    scope, channels = content.get("scope", "network"), content.get("channels", 0)
    if channels and scope != "layer":
        raise InputError("channels: needs the scope 'layer'")
    choices: dict[str, list[Instance | None]] = {}
    seen: dict[tuple[str, str], str] = {}
    layers: dict[tuple[str, str], tuple[str, ...]] = {}
    for index, entry in enumerate(content["cores"]):
        place, op = f"cores[{index}]", entry["op"]
        if "layers" in entry and scope != "layer":
            raise InputError(f"{place}.layers: needs the scope 'layer'")
        # The exact operation is always a member of the set.
        candidates = choices.setdefault(op, [None])
        for instance in _instances(entry, folder, place):
            first = seen.setdefault((op, instance.content_hash), place)
            if first != place:
                raise InputError(f"{place}: {instance.label} is there already, from {first}")
            candidates.append(instance)
            if "layers" in entry:
                layers[op, instance.content_hash] = tuple(entry["layers"])
    return Constraints(
        {op: tuple(instances) for op, instances in choices.items()}, scope, layers, channels
    )


def _instances(entry: Mapping[str, Any], folder: Path, place: str) -> Iterator[Instance]:
    ranges = {
        name: _values(value, f"{place}.parameters.{name}")
        for name, value in entry.get("parameters", {}).items()
    }
    if math.prod(len(values) for values in ranges.values()) > _MAX_INSTANCES:
        raise InputError(f"{place}.parameters: more than {_MAX_INSTANCES} instances of one core")
    base: Instance | None = None
    for values in itertools.product(*ranges.values()):
        parameters = dict(zip(ranges, values, strict=True))
        try:
            fixed = base is not None and not base.core.inside and not base.core.latency_is_measured
            if base is None or not fixed or is_table(base.core.path or ""):
                # A parameter may decide the widths of a unit's ports, a latency, or how a table is
                # read.
                instance = instance_from_description(entry, entry["op"], parameters, folder)
            else:
                instance = base.core.instance(parameters)
        except InputError as error:
            raise type(error)(_placed(str(error), entry, place)) from None
        base = base or instance
        yield instance


def _placed(text: str, entry: Mapping[str, Any], place: str) -> str:
    """Return an error's text with the path of the key that it is about."""
    key = text.split(":")[0].split("[")[0]
    if key in entry:
        return f"{place}.{text}"
    for name in entry.get("parameters", {}):
        if f": {name} = " in text or f"unknown parameter '{name}'" in text:
            return f"{place}.parameters.{name}: {text}"
    return f"{place}: {text}"


def _values(value: Any, place: str) -> range | tuple[int, ...]:
    """Return the values of one parameter: an integer, a list, or a range with its ends."""
    if isinstance(value, int):
        return (value,)
    if isinstance(value, list):
        return tuple(value)
    low, high = value["ParamLow"], value["ParamHigh"]
    if low > high:
        raise InputError(f"{place}: ParamLow = {low} is above ParamHigh = {high}")
    return range(low, high + 1, value.get("ParamStep", 1))
