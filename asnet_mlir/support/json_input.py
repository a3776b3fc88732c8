# SPDX-License-Identifier: Apache-2.0
"""The JSON files of users: read with positions, and checked against a JSON Schema.

Errors name the key's path and its line: `file.json:7: cores[1].parameters.P: ...`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError

__all__ = ["Document", "check_keys", "check_schema", "read_json"]

_MAX_BYTES = 64 << 20
_MAX_DEPTH = 100
_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Document:
    """A parsed JSON file: its value, and the line of each key and element by its path."""

    path: Path
    value: Any
    lines: Mapping[str, int]

    def locate(self, error: InputError) -> InputError:
        """Return an error whose text starts with a key's path, with file and line before it."""
        text = str(error)
        place = re.split(r":\s", text, maxsplit=1)[0]
        unknown = re.match(r"(?:(\S+): )?unknown key '(.*?)'", text)
        if unknown:
            place = f"{unknown[1]}.{unknown[2]}" if unknown[1] else unknown[2]
        while place and place not in self.lines:
            place = re.sub(r"(^|\.)[^.\[]*$|\[\d+\]$", "", place)
        line = f":{self.lines[place]}" if place else ""
        return type(error)(f"{self.path}{line}: {text}")


def read_json(path: str | Path) -> Document:
    """Read a JSON file strictly: no double keys, no NaN or infinities, bounded depth.

    Raises:
      InputError: it is missing, no UTF-8, or no JSON; the message names line and column.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path}: more than {_MAX_BYTES >> 20} MiB")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text") from None
    reader = _Reader(path, text)
    return Document(path, reader.read(), reader.lines)


class _Reader:
    """Recursive descent over a text; its depth is bounded."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._at = 0
        self.lines: dict[str, int] = {}

    def read(self) -> Any:
        value = self._value("", 0)
        if self._at < len(self._text):
            raise self._error("nothing may follow the value")
        return value

    def _error(self, message: str, at: int | None = None) -> InputError:
        at = self._at if at is None else at
        line = self._line(at)
        column = at - self._text.rfind("\n", 0, at)
        return InputError(f"{self._path}:{line}:{column}: not JSON: {message}")

    def _line(self, at: int) -> int:
        return self._text.count("\n", 0, at) + 1

    def _skip(self) -> str:
        """Go to the next character that is no white space, and return it ('' at the end)."""
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
        return self._text[self._at : self._at + 1]

    def _value(self, place: str, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise self._error("nested too deeply")
        mark = self._skip()
        if mark == "{":
            value: Any = self._object(place, depth)
        elif mark == "[":
            value = self._array(place, depth)
        elif mark == '"':
            value = self._string()
        else:
            value = self._number_or_word()
        self._skip()
        return value

    def _string(self) -> str:
        start = self._at
        try:
            value, self._at = scanstring(self._text, start + 1, True)
        except json.JSONDecodeError as error:
            raise self._error(error.msg, error.pos) from None
        return value

    def _number_or_word(self) -> Any:
        number = _NUMBER.match(self._text, self._at)
        if number:
            start, self._at = self._at, number.end()
            if len(number[0]) > 100:
                raise self._error("a number of more than 100 characters", start)
            if number[2] is None and number[3] is None:
                return int(number[0])
            value = float(number[0])
            if value in (float("inf"), float("-inf")):
                raise self._error("a number out of range", start)
            # As in JSON Schema, 2.0 is an integer.
            return int(value) if value.is_integer() and abs(value) < 1 << 53 else value
        word = re.compile(r"\w*").match(self._text, self._at)
        if word and word[0] in _WORDS:
            self._at = word.end()
            return _WORDS[word[0]]
        found = repr((word[0] if word else "") or self._text[self._at : self._at + 1])
        raise self._error(f"a value is expected, not {found}" if found != "''" else "it ends here")

    def _array(self, place: str, depth: int) -> list[Any]:
        self._at += 1
        values: list[Any] = []
        if self._skip() == "]":
            self._at += 1
            return values
        while True:
            self._skip()
            inner = f"{place}[{len(values)}]"
            self.lines[inner] = self._line(self._at)
            values.append(self._value(inner, depth + 1))
            if self._end("]"):
                return values

    def _object(self, place: str, depth: int) -> dict[str, Any]:
        self._at += 1
        values: dict[str, Any] = {}
        if self._skip() == "}":
            self._at += 1
            return values
        while True:
            if self._skip() != '"':
                raise self._error("a key in double quotes is expected")
            start = self._at
            key = self._string()
            inner = f"{place}.{key}" if place else key
            if key in values:
                line = self._line(start)
                raise InputError(f"{self._path}:{line}: {inner}: the key is there twice")
            self.lines[inner] = self._line(start)
            if self._skip() != ":":
                raise self._error("':' is expected")
            self._at += 1
            values[key] = self._value(inner, depth + 1)
            if self._end("}"):
                return values

    def _end(self, bracket: str) -> bool:
        """Go over a comma or the closing bracket; return whether it was the bracket."""
        mark = self._skip()
        if mark not in (",", bracket) or not mark:
            raise self._error(f"',' or '{bracket}' is expected")
        self._at += 1
        return mark == bracket


_TYPES: dict[str, tuple[type, str]] = {
    "object": (Mapping, "an object"),
    "array": (list, "a list"),
    "string": (str, "a text"),
    "integer": (int, "an integer"),
    "boolean": (bool, "true or false"),
}
_ANNOTATIONS = {"$schema", "$defs", "title", "description", "default"}
_KEYWORDS = _ANNOTATIONS | {
    "$ref",
    "type",
    "enum",
    "anyOf",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "minItems",
    "uniqueItems",
    "minLength",
    "minimum",
}


def check_schema(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], place: str = ""
) -> None:
    """Check a value against a JSON Schema made of the keywords that this project's ones use.

    Args:
      value: a JSON value.
      schema: what it must satisfy; a part of `root`.
      root: the schema that `$ref` refers to.
      place: the value's path in its file.

    Raises:
      InputError: it does not; the message starts with the path of what is wrong.
      ValueError: a keyword that this function does not know.
    """
    prefix = f"{place}: " if place else ""
    if schema.keys() - _KEYWORDS:
        raise ValueError(f"schema keyword {min(schema.keys() - _KEYWORDS)}")
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        check_schema(value, target, root, place)
    if "anyOf" in schema:
        options = [_resolved(option, root) for option in schema["anyOf"]]
        fitting = [option for option in options if _has_type(value, option.get("type"))]
        if not fitting:
            raise InputError(f"{prefix}must be {schema['title']}, not {_shown(value)}")
        check_schema(value, fitting[0], root, place)
    if "type" in schema and not _has_type(value, schema["type"]):
        raise InputError(f"{prefix}must be {_TYPES[schema['type']][1]}, not {_shown(value)}")
    if "enum" in schema and not any(value == v and type(value) is type(v) for v in schema["enum"]):
        legal = [repr(option) for option in schema["enum"]]
        near = difflib.get_close_matches(str(value), schema["enum"], n=1)
        raise InputError(
            f"{prefix}must be {' or '.join([', '.join(legal[:-1]), legal[-1]])}, not "
            f"{_shown(value)}" + (f"; did you mean '{near[0]}'?" if near else "")
        )
    if isinstance(value, str) and len(value) < schema.get("minLength", 0):
        raise InputError(f"{prefix}must be a text that is not empty")
    if "minimum" in schema and value < schema["minimum"]:
        raise InputError(f"{prefix}must be at least {schema['minimum']}, not {value}")
    if isinstance(value, list):
        _check_list(value, schema, root, place)
    if isinstance(value, Mapping):
        _check_object(value, schema, root, place)


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def _has_type(value: Any, name: str | None) -> bool:
    if name is None:
        return True
    return isinstance(value, _TYPES[name][0]) and (name == "boolean" or not isinstance(value, bool))


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _check_list(
    value: list[Any], schema: Mapping[str, Any], root: Mapping[str, Any], place: str
) -> None:
    if len(value) < schema.get("minItems", 0):
        raise InputError(f"{place}: must be a list of at least {schema['minItems']} element")
    for index, item in enumerate(value):
        if schema.get("uniqueItems") and item in value[:index]:
            raise InputError(f"{place}[{index}]: {_shown(item)} is there twice")
        if "items" in schema:
            check_schema(item, schema["items"], root, f"{place}[{index}]")


def _check_object(
    value: Mapping[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], place: str
) -> None:
    known = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    if others is False:
        check_keys(place, value, set(known), set(schema.get("required", ())))
    for key, item in value.items():
        inner = f"{place}.{key}" if place else key
        if key in known:
            check_schema(item, known[key], root, inner)
        elif isinstance(others, Mapping):
            check_schema(item, others, root, inner)


def check_keys(place: str, value: Mapping[str, Any], known: set[str], required: set[str]) -> None:
    """Check that an object has the keys it must have and no other.

    Args:
      place: where it stands in its file, such as `cores[1].parameters`; empty for the top.

    Raises:
      InputError: an unknown key (with the nearest known one), or a required one is missing.
    """
    prefix = f"{place}: " if place else ""
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            listing = f"; known are {', '.join(sorted(known))}"
            hint = f"; did you mean '{near[0]}'?" if near else listing
            raise InputError(f"{prefix}unknown key '{key}'{hint}")
    for key in sorted(required - set(value)):
        raise InputError(f"{prefix}lacks the key '{key}'")
