"""Bindings: which instance computes which ops (the paper's "configuration")."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from asnet_mlir.cores import Instance, parse_instance
from asnet_mlir.errors import InputError
from asnet_mlir.json_input import check_keys

__all__ = ["Binding", "Rule"]

_FORMAT_VERSION = 1
_RULE_KEYS = {"op", "layer", "core", "top", "ports", "parameters"}
#: What separates the parts of a rule; `approx-annotate-layers` puts underscores for them.
_NOT_IN_LAYERS = re.compile(r"[\s,=@{}'\"]")


@dataclass(frozen=True)
class Rule:
    """Ops of kind `op`, in `layer` or everywhere, are computed by `instance`."""

    op: str
    instance: Instance
    layer: str | None = None

    def __post_init__(self) -> None:
        if self.layer is not None and (not self.layer or _NOT_IN_LAYERS.search(self.layer)):
            raise InputError(
                f"layer '{self.layer}': a binding names layers with '_' for spaces and any of "
                ",=@{}'\""
            )
        if self.instance.core.op != self.op:
            raise InputError(
                f"{self.instance.label}: computes {self.instance.core.op}, it can't be bound to "
                f"{self.op}"
            )

    @property
    def label(self) -> str:
        """As on the command line: `mulf@dense=fmul_trunc:P=20`."""
        return f"{self.op}{f'@{self.layer}' if self.layer else ''}={self.instance.label}"


@dataclass(frozen=True)
class Binding:
    """A set of rules; a rule with a layer wins over one without, ops without a rule are exact."""

    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        seen = set()
        for rule in self.rules:
            if (rule.op, rule.layer) in seen:
                where = f"{rule.op}{f'@{rule.layer}' if rule.layer else ''}"
                raise InputError(f"binding: two rules for {where}")
            seen.add((rule.op, rule.layer))

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Binding:
        """Read rules written as `OP[@LAYER]=CORE[:P=20,M=3]`.

        Raises:
          InputError: a malformed text, an unknown core or op, a parameter out of range.
        """
        rules = []
        for text in texts:
            where, equals, core = text.partition("=")
            op, at, layer = where.partition("@")
            if not equals or not op or not core or (at and not layer):
                raise InputError(f"'{text}': write a binding as OP[@LAYER]=CORE[:P=20]")
            rules.append(Rule(op, parse_instance(core, op=op), layer or None))
        return cls(tuple(rules))

    @classmethod
    def load(cls, path: str | Path) -> Binding:
        """Read a binding that `save` wrote.

        Raises:
          InputError: the file is missing or not a binding; the message names the key.
        """
        path = Path(path)
        try:
            return cls.from_json(json.loads(path.read_text()))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from None
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{path}: not JSON: {error}") from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    @classmethod
    def from_json(cls, value: Any) -> Binding:
        """Make a binding of what `to_json` returns."""
        if not isinstance(value, Mapping) or not isinstance(value.get("bindings"), list):
            raise InputError("a binding is an object with the list 'bindings'")
        check_keys("", value, {"version", "bindings"}, required={"bindings"})
        version = value.get("version", _FORMAT_VERSION)
        if version is True or version != _FORMAT_VERSION:
            raise InputError(f"binding of version {version}; this program reads {_FORMAT_VERSION}")
        rules = []
        for index, entry in enumerate(value["bindings"]):
            place = f"bindings[{index}]"
            if not isinstance(entry, Mapping):
                raise InputError(f"{place}: must be an object")
            check_keys(place, entry, _RULE_KEYS, required={"op", "core"})
            for key in ("op", "core", "layer", "top"):
                if key in entry and not (isinstance(entry[key], str) and entry[key]):
                    raise InputError(f"{place}.{key}: must be a text, not {entry[key]!r}")
            parameters = entry.get("parameters", {})
            if not isinstance(parameters, Mapping):
                raise InputError(f"{place}.parameters: must be an object, not {parameters!r}")
            ports = entry.get("ports", {})
            if not isinstance(ports, Mapping) or not all(
                isinstance(name, str) for name in ports.values()
            ):
                raise InputError(f"{place}.ports: must be an object of port names, not {ports!r}")
            base = parse_instance(entry["core"], op=entry["op"], top=entry.get("top"), ports=ports)
            if parameters and base != base.core.instance():
                raise InputError(f"{place}: parameters belong into 'parameters', not into 'core'")
            instance = base.core.instance(parameters) if parameters else base
            rules.append(Rule(entry["op"], instance, entry.get("layer")))
        return cls(tuple(rules))

    def to_json(self) -> dict[str, Any]:
        """Return the binding as JSON values, with every parameter stated."""
        return {
            "version": _FORMAT_VERSION,
            "bindings": [
                {
                    "op": rule.op,
                    **({"layer": rule.layer} if rule.layer else {}),
                    "core": rule.instance.to_json()["core"],
                    **_verilog_keys(rule.instance),
                    "parameters": dict(rule.instance.parameters),
                }
                for rule in self.rules
            ],
        }

    def save(self, path: str | Path) -> None:
        """Write the binding as JSON."""
        Path(path).write_text(json.dumps(self.to_json(), indent=2) + "\n")

    @cached_property
    def instances(self) -> dict[int, Instance]:
        """The distinct instances by ID; IDs count from 1 in the order of the rules."""
        by_hash: dict[str, Instance] = {}
        for rule in self.rules:
            by_hash.setdefault(rule.instance.content_hash, rule.instance)
        return dict(enumerate(by_hash.values(), start=1))

    @cached_property
    def pass_option(self) -> str:
        """The rules as `approx-bind-instances` takes them: `mulf=1,divf@dense=2`."""
        ids = {instance.content_hash: number for number, instance in self.instances.items()}
        return ",".join(
            f"{rule.op}{f'@{rule.layer}' if rule.layer else ''}={ids[rule.instance.content_hash]}"
            for rule in self.rules
        )

    @property
    def label(self) -> str:
        """One line for people: `mulf=fmul_trunc:P=20 divf=fdiv_trunc:P=22`, or `exact`."""
        return " ".join(rule.label for rule in self.rules) or "exact"


def _verilog_keys(instance: Instance) -> dict[str, Any]:
    """Return the module and the ports' roles of a core that is a Verilog file without a manifest.

    The file alone may not tell which operand is which.
    """
    core = instance.core
    if core.path is None or core.path.suffix not in (".v", ".sv"):
        return {}
    roles = {"a": core.ports.a, "b": core.ports.b, "result": core.ports.result}
    if core.ports.clock:
        roles["clock"] = core.ports.clock
    return {"top": core.module, "ports": roles}
