# SPDX-License-Identifier: Apache-2.0
"""Bindings: which instance computes which ops (the paper's "configuration")."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from asnet_mlir.cores import Instance, load_core, parse_instance
from asnet_mlir.cores.reading.description import describe, instance_from_description, relative_to
from asnet_mlir.cores.reading.schema import constraints_schema
from asnet_mlir.cores.simulation.latency import with_latency
from asnet_mlir.cores.simulation.operand_format import with_operand_format
from asnet_mlir.errors import InputError
from asnet_mlir.support.files import write_whole
from asnet_mlir.support.formats import FLOAT_FORMATS
from asnet_mlir.support.json_input import check_keys, check_schema, read_json

__all__ = [
    "Binding",
    "Rule",
    "accumulator_rule",
    "is_within",
    "layer_option",
    "place_of",
    "split_channels",
]

_FORMAT_VERSION = 1
#: What would end a layer's name in a rule, a label or a list of labels.
_QUOTED_LAYERS = re.compile(r"[\s,=\"\x00-\x1f\x7f]|\[[0-9]+:[0-9]+\]$")
_PART = re.compile(r"(.+)/\[([0-9]+):([0-9]+)\]", re.ASCII | re.DOTALL)
#: Channels behind a layer's name.
_CHANNELS = re.compile(r"\[([0-9]{1,9}):([0-9]{1,9})\]", re.ASCII)
#: Kinds of ops that a layer's output channels may be bound apart for: products, and their sums.
_BY_CHANNEL = ("mulf", "muli", "addi")


def split_channels(name: str) -> tuple[str, tuple[int, int] | None]:
    """Return a layer's name without the channels that its end says, and these: `conv/[0:8]`.

    So the parts are named that `approx-split-channels` makes of a layer.
    """
    found = _PART.fullmatch(name)
    return (found[1], (int(found[2]), int(found[3]))) if found else (name, None)


def is_within(layer: str, scope: str | None) -> bool:
    """Say whether a layer is `scope` or inside it; None is the network.

    `a/b` is inside `a`, and channels are inside of more channels: `a/[0:4]` in `a/[0:8]`.
    """
    base, channels = split_channels(scope or "")
    if channels is not None:
        own, part = split_channels(layer)
        return (
            part is not None
            and channels[0] <= part[0]
            and part[1] <= channels[1]
            and is_within(own, base)
        )
    return scope is None or layer == scope or layer.startswith(f"{scope}/")


def place_of(op: str, layer: str | None) -> str:
    """Return ops of a kind in a layer as on the command line: `mulf@dense`, `muli@conv[0:8]`."""
    if layer is None:
        return op
    name, channels = split_channels(layer)
    quoted = _QUOTED_LAYERS.search(name)
    part = f"[{channels[0]}:{channels[1]}]" if channels else ""
    return f"{op}@{json.dumps(name, ensure_ascii=False) if quoted else name}{part}"


@dataclass(frozen=True)
class Rule:
    """Ops of kind `op`, in `layer` or everywhere, are computed by `instance`.

    `layer` may end in the output channels that it is about, `conv/[0:8]`; `typed` is the text that
    it was read from, which errors show, and makes no rule another one.
    """

    op: str
    instance: Instance
    layer: str | None = None
    typed: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.layer == "":
            raise InputError(f"{self.instance.label}: the layer it is bound in has no name")
        if self.instance.core.op != self.op:
            raise InputError(
                f"{self.instance.label}: computes {self.instance.core.op}, it can't be bound to "
                f"{self.op}"
            )
        if self.channels is None:
            return
        begin, end = self.channels
        if begin >= end:
            raise InputError(f"{self.place}: channels are BEGIN:END with BEGIN below END")
        if self.op not in _BY_CHANNEL:
            raise InputError(
                f"{self.place}: channels are for {', '.join(_BY_CHANNEL)}, not for {self.op}"
            )

    @property
    def channels(self) -> tuple[int, int] | None:
        """The output channels that it is about, the end not included; None: all."""
        return split_channels(self.layer or "")[1]

    def fits(self, kind: str, layer: str, format: str | None = None) -> bool:
        """Say whether it is about ops of a kind in a layer: that one, or one in its scope.

        An instance computes ops of its own format only, in which operands are; None: whichever.
        """
        return (
            self.op == kind
            and is_within(layer, self.layer)
            and (format is None or self.instance.computes_on(format))
        )

    def __repr__(self) -> str:
        return f"Rule({self.label!r})"

    @property
    def place(self) -> str:
        """What it is about, as on the command line: `mulf@dense`, `mulf@"fc 1"` or `mulf`."""
        return place_of(self.op, self.layer)

    @property
    def label(self) -> str:
        """As on the command line: `mulf@dense=fmul_trunc:P=20`, `mulf=rtl/mul.v:C=2`."""
        return f"{self.place}={self.instance.reference}"


@dataclass(frozen=True)
class Binding:
    """A set of rules; the one with the longest layer wins, ops without a rule are exact."""

    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        seen: dict[tuple[str, str | None], list[Instance]] = {}
        for rule in self.rules:
            about = rule.op, rule.layer
            if rule.channels is not None:
                _check_overlap(rule, self.rules)
            others = seen.setdefault(about, [])
            if any(_meet(rule.instance, other) for other in others):
                raise InputError(f"binding: two rules for {rule.place}")
            others.append(rule.instance)

    def __repr__(self) -> str:
        return f"Binding({self.label!r})"

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Binding:
        """Read rules written as `OP[@LAYER[BEGIN:END]]=CORE[:P=20,M=3]`.

        `[0:8]` are the layer's output channels 0 to 7.  A layer's name that has a `=` in it, begins
        with a quotation mark or ends like channels is written as a string of JSON:
        `mulf@"a=b"=fmul`.

        Raises:
          InputError: a malformed text, an unknown core or op, a parameter out of range.
        """
        rules = []
        for text in texts:
            op, layer, core = _split_rule(text)
            if not op or not core or layer == "":
                raise InputError(f"'{text}': write a binding as OP[@LAYER[BEGIN:END]]=CORE[:P=20]")
            rules.append(Rule(op, parse_instance(core, op=op), layer, text))
        return cls(tuple(rules))

    @classmethod
    def of(cls, value: Any) -> Binding:
        """Make a binding of what says one.

        Args:
          value: a rule as text, as `parse` takes it; several in a list; a mapping of `OP[@LAYER]`,
            with the layer's name as it is, to cores, each a text or an `Instance`; what `to_json`
            returns; the path of a file that `save` wrote; None for the exact network; a `Binding`.

        Raises:
          InputError: it says none.
        """
        if value is None:
            return cls()
        if isinstance(value, Binding):
            return value
        if isinstance(value, Path) or (isinstance(value, str) and _is_file(value)):
            return cls.load(value)
        if isinstance(value, str):
            return cls.parse([value])
        if isinstance(value, Mapping):
            if "bindings" in value:
                return cls.from_json(value)
            return cls(tuple(_rule(place, core) for place, core in value.items()))
        rules: list[Rule] = []
        wrong = [] if isinstance(value, list | tuple) else [value]
        for rule in () if wrong else value:
            if isinstance(rule, Rule):
                rules.append(rule)
            elif isinstance(rule, str):
                rules += cls.parse([rule]).rules
            else:
                wrong.append(rule)
        if wrong:
            raise InputError(
                "a binding is 'OP[@LAYER]=CORE[:P=20]', a list or a mapping of such, or a Binding, "
                f"not {type(wrong[0]).__name__}"
            )
        return cls(tuple(rules))

    @classmethod
    def load(cls, path: str | Path) -> Binding:
        """Read a binding that `save` wrote; paths in it are relative to the file.

        Raises:
          InputError: the file is missing or not a binding; the message names the key.
        """
        document = read_json(path)
        try:
            return cls.from_json(document.value, document.path.parent)
        except InputError as error:
            raise document.locate(error) from None

    @classmethod
    def from_json(cls, value: Any, folder: Path | None = None) -> Binding:
        """Make a binding of what `to_json` returns.

        Args:
          folder: what relative paths are relative to, by default the working directory.
        """
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
                    entry, entry["op"], entry.get("parameters", {}), folder
                )
                instance = instance.without_given_defaults()
                layer = entry.get("layer")
                if "channels" in entry:
                    layer = _part(layer, *entry["channels"][:2])
                rules.append(Rule(entry["op"], instance, layer))
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
                    **_place_of(rule),
                    **describe(rule.instance),
                }
                for rule in self.rules
            ],
        }

    def save(self, path: str | Path) -> None:
        """Write the binding as JSON, with the paths of cores relative to the file."""
        value = self.to_json()
        folder = Path(path).absolute().parent
        value["bindings"] = [relative_to(entry, folder) for entry in value["bindings"]]
        write_whole(path, json.dumps(value, indent=2) + "\n")

    @cached_property
    def instances(self) -> dict[int, Instance]:
        """The distinct instances by ID; IDs count from 1 in the order of the rules."""
        by_hash: dict[str, Instance] = {}
        for rule in self.rules:
            by_hash.setdefault(rule.instance.content_hash, rule.instance)
        return dict(enumerate(by_hash.values(), start=1))

    @cached_property
    def channels(self) -> dict[str, tuple[tuple[int, int], ...]]:
        """The ranges of output channels that rules are about, by layer."""
        found: dict[str, dict[tuple[int, int], None]] = {}
        for rule in self.rules:
            if rule.channels is not None:
                layer = split_channels(rule.layer or "")[0]
                found.setdefault(layer, {})[rule.channels] = None
        return {layer: tuple(ranges) for layer, ranges in found.items()}

    @cached_property
    def pass_option(self) -> str:
        """The rules as `approx-bind-instances` takes them: `mulf=1,divf@dense=2`."""
        return ",".join(self.numbered)

    @cached_property
    def numbered(self) -> dict[str, Rule]:
        """The rules by how `approx-bind-instances` takes them, and names them in its errors."""
        ids = {instance.content_hash: number for number, instance in self.instances.items()}
        numbered = {}
        for rule in self.rules:
            where = f"{rule.op}@{layer_option(rule.layer)}" if rule.layer else rule.op
            numbered[f"{where}={ids[rule.instance.content_hash]}"] = rule
        return numbered

    def rule_for(self, kind: str, layer: str, format: str | None = None) -> Rule | None:
        """Return the rule that decides about ops of a kind in a layer: of those that fit, the one
        with the longest layer.  The pass `approx-bind-instances` decides alike.
        """
        fitting = (rule for rule in self.rules if rule.fits(kind, layer, format))
        return max(fitting, key=lambda rule: len(rule.layer or ""), default=None)

    def over(self, other: Binding) -> Binding:
        """Return these rules on top of those of `other`: where both say something, these count."""
        kept = tuple(
            rule
            for rule in other.rules
            if not any(
                own.fits(rule.op, rule.layer or "", rule.instance.format)
                and (own.layer is None or rule.layer)
                for own in self.rules
            )
        )
        return Binding((*self.rules, *kept))

    @property
    def label(self) -> str:
        """One line for people: `mulf=fmul_trunc:P=20 divf=fdiv_trunc:P=22`, or `exact`."""
        return " ".join(rule.label for rule in self.rules) or "exact"


def accumulator_rule(text: str) -> Rule:
    """Return the rule that gives the sums of a network an accumulator, `BITS[:wrap|saturate]`.

    It is the library's `accumulator`, bound to `addi` in all layers: in an accumulator of few bits
    the order of a sum counts, which is then that of docs/semantics.md.

    Raises:
      InputError: another text, or fewer than 2 or more than 32 bits.
    """
    bits, colon, how = text.partition(":")
    if (how not in ("wrap", "saturate") and colon) or not re.fullmatch(r"[0-9]{1,9}", bits, re.A):
        raise InputError(f"accumulator '{text}': write BITS, BITS:wrap or BITS:saturate")
    if not 2 <= int(bits) <= 32:
        raise InputError(f"accumulator '{text}': has 2 to 32 bits, not {int(bits)}")
    values = {"N": int(bits), "SATURATE": int(how == "saturate")}
    return Rule("addi", load_core("accumulator").instance(values), typed=f"--accumulator {text}")


def with_facts(binding: Binding) -> Binding:
    """Return the binding with what the Verilog shows of every instance filled in.

    That is latency and the format of operands (`with_latency`, `with_operand_format`).

    Raises:
      InputError: an instance that fits no op of a network.
    """
    rules = (
        replace(rule, instance=with_operand_format(with_latency(rule.instance)))
        for rule in binding.rules
    )
    return Binding(tuple(rules))


def _meet(one: Instance, other: Instance) -> bool:
    """Return whether there is a format that two instances of a kind compute on."""
    if one.format is None or other.format is None:
        return one.format == other.format
    return one.computes_on(other.format)


def _is_file(text: str) -> bool:
    return "=" not in text and text.endswith(".json")


def _part(layer: str | None, begin: int, end: int) -> str:
    """Return the name of some channels of a layer."""
    if layer is None:
        raise InputError("channels: need a layer")
    return f"{layer}/[{begin}:{end}]"


def _place_of(rule: Rule) -> dict[str, Any]:
    """Return where a rule holds, as keys of JSON."""
    if rule.layer is None:
        return {}
    layer, channels = split_channels(rule.layer)
    return {"layer": layer, **({"channels": list(channels)} if channels else {})}


def _check_overlap(rule: Rule, others: Iterable[Rule]) -> None:
    """Refuse a rule that shares some channels, but not all of one's, with another one."""
    layer, (begin, end) = split_channels(rule.layer or "")[0], rule.channels or (0, 0)
    for other in others:
        if other is rule or other.op != rule.op or other.channels is None:
            continue
        if split_channels(other.layer or "")[0] != layer or other.channels == rule.channels:
            continue
        if max(begin, other.channels[0]) < min(end, other.channels[1]):
            raise InputError(f"binding: {rule.place} and {other.place} have channels in common")


def _rule(place: Any, core: Any) -> Rule:
    """Return the rule that binds a place, `OP[@LAYER[BEGIN:END]]`, to a core."""
    op, at, layer = str(place).partition("@")
    if found := _CHANNELS.search(layer):
        layer = _part(layer[: found.start()], int(found[1]), int(found[2]))
    if not isinstance(core, Instance | str):
        raise InputError(f"binding of '{place}': a core is a text or an Instance, not {core!r:.60}")
    instance = core if isinstance(core, Instance) else parse_instance(core, op=op)
    return Rule(op, instance, layer if at else None)


def layer_option(name: str) -> str:
    """Return a layer's name as options of passes take it: `fc%201` for `fc 1`."""
    return quote(name, safe="/", errors="surrogateescape")


def _split_rule(text: str) -> tuple[str, str | None, str]:
    """Return op, layer and core of a rule; what is missing is empty, a layer not given None."""
    where, equals, core = text.partition("=")
    op, at, layer = where.partition("@")
    if at and layer.startswith('"'):
        try:
            layer, end = json.JSONDecoder().raw_decode(text, len(op) + 1)
        except ValueError:
            raise InputError(f"'{text}': the layer's name lacks a closing quotation mark") from None
        channels = _CHANNELS.match(text, end)
        if channels:
            layer, end = _part(layer, int(channels[1]), int(channels[2])), channels.end()
        equals, core = text[end : end + 1], text[end + 1 :]
    elif at and (channels := _CHANNELS.search(layer)) and channels.end() == len(layer):
        layer = _part(layer[: channels.start()], int(channels[1]), int(channels[2]))
    return op if equals == "=" else "", layer if at else None, core


def _rule_schema() -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return the JSON Schema of a rule, and the one that it refers to: that of the constraints."""
    root = constraints_schema()
    entry = root["$defs"]["entry"]
    properties = {
        **{key: value for key, value in entry["properties"].items() if key != "layers"},
        "layer": {"$ref": "#/$defs/name"},
        "channels": {"type": "array", "minItems": 2, "items": {"type": "integer", "minimum": 0}},
        "format": {"enum": list(FLOAT_FORMATS)},
        # Every parameter is stated, no range.
        "parameters": {"type": "object", "additionalProperties": {"type": "integer"}},
    }
    return {**entry, "properties": properties}, root
