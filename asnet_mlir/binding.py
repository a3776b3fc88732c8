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
from asnet_mlir.cores.description import describe, instance_from_description
from asnet_mlir.errors import InputError
from asnet_mlir.json_input import check_keys, check_schema, read_json

__all__ = ["Binding", "Rule"]

_FORMAT_VERSION = 1
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
        if self.instance.core.format not in (None, "f32"):
            raise InputError(
                f"{self.instance.label}: computes in {self.instance.core.format}, networks in f32"
            )
        if self.instance.core.op != self.op:
            raise InputError(
                f"{self.instance.label}: computes {self.instance.core.op}, it can't be bound to "
                f"{self.op}"
            )

    def fits(self, kind: str, layer: str) -> bool:
        """Say whether it is about ops of a kind in a layer: that one, or one in its scope."""
        own = self.layer
        return self.op == kind and (own is None or layer == own or layer.startswith(f"{own}/"))

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
        document = read_json(path)
        try:
            return cls.from_json(document.value)
        except InputError as error:
            raise document.locate(error) from None

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
            check_schema(entry, *_rule_schema(), place)
            try:
                instance = instance_from_description(
                    entry, entry["op"], entry.get("parameters", {})
                )
                instance = instance.without_given_defaults()
                rules.append(Rule(entry["op"], instance, entry.get("layer")))
            except InputError as error:
                raise type(error)(f"{place}: {error}") from None
        return cls(tuple(rules))

    def to_json(self) -> dict[str, Any]:
        """Return the binding as JSON values, with every parameter stated."""
        return {
            "version": _FORMAT_VERSION,
            "bindings": [
                {
                    "op": rule.op,
                    **({"layer": rule.layer} if rule.layer else {}),
                    **describe(rule.instance),
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

    def over(self, other: Binding) -> Binding:
        """Return these rules on top of those of `other`: where both say something, these count."""
        kept = tuple(
            rule
            for rule in other.rules
            if not any(own.layer is None and own.op == rule.op for own in self.rules)
            and not any(rule.layer and own.fits(rule.op, rule.layer) for own in self.rules)
        )
        return Binding((*self.rules, *kept))

    @property
    def label(self) -> str:
        """One line for people: `mulf=fmul_trunc:P=20 divf=fdiv_trunc:P=22`, or `exact`."""
        return " ".join(rule.label for rule in self.rules) or "exact"


def _rule_schema() -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return the JSON Schema of a rule, and the one that it refers to: that of the constraints."""
    from asnet_mlir.exploration.constraints import constraints_schema  # binds in turn

    root = constraints_schema()
    entry = root["$defs"]["entry"]
    properties = {
        **{key: value for key, value in entry["properties"].items() if key != "layers"},
        "layer": {"$ref": "#/$defs/name"},
        "format": {"enum": ["f32"]},
        "signed": {"type": "boolean"},
        # Every parameter is stated, no range.
        "parameters": {"type": "object", "additionalProperties": {"type": "integer"}},
    }
    return {**entry, "properties": properties}, root
