# SPDX-License-Identifier: Apache-2.0
"""What is decided on the text of Verilog, before anybody reads it.

* Testbenches that lie in the files are blanked, as are modules that are not below the top where
  one of them cannot be read (`$shm_open`): none of the tools would get past them.
* Macros that contain themselves, or that grow to more text than anybody reads, are refused at once.
* Files of memories are looked into before a simulator stops at them.

Lines stay where they are, so that errors name the right ones.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asnet_mlir.cores.sources.source import Source, without_comments
from asnet_mlir.errors import InputError

__all__ = [
    "check_macros",
    "check_memory_file",
    "only_below",
    "verilog_name",
    "without_testbenches",
]

#: Characters of text that macros may make.
_MOST_TEXT = 64 << 20

_NAME = r"\\\S+|[A-Za-z_][\w$]*"
_MODULE = re.compile(rf"\b(?:module|macromodule)\s+(?:automatic\s+|static\s+)?({_NAME})")
_ENDS = re.compile(r"\b(?:(module|macromodule)|(endmodule))\b(?:\s*:\s*\w+)?")
_STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
# A directive with the lines that it goes on for.
_DIRECTIVE = re.compile(r"^[ \t]*`(?:[^\n\\]|\\[^\n]|\\\n)*$", re.MULTILINE)
_NO_PORTS = re.compile(r"(?:\s*import\b[^;]*;)*\s*(?:\(\s*\)\s*)?;")


@dataclass(frozen=True)
class _Module:
    """A module's text: file, first and last character, whether it has ports, what it mentions."""

    name: str
    file: int
    start: int
    end: int
    has_ports: bool
    mentions: frozenset[str]


def _code(text: str) -> str:
    """Return Verilog with blanks for comments and strings."""
    code = without_comments(text)
    return _STRING.sub(lambda match: " " * len(match[0]), code)


def _modules(sources: Sequence[Source]) -> list[_Module]:
    found: list[_Module] = []
    for number, source in enumerate(sources):
        code = _code(source.text)
        start, depth = 0, 0
        for match in _ENDS.finditer(code):
            if match[1]:
                start = match.start() if depth == 0 else start
                depth += 1
            elif depth:
                depth -= 1
                if depth == 0:
                    found += _module(code, number, start, match.end())
    return found


def _module(code: str, file: int, start: int, end: int) -> Iterator[_Module]:
    head = _MODULE.match(code, start, end)
    if head is not None:
        body = code[head.end() : end]
        mentions = {name.removeprefix("\\") for name in re.findall(_NAME, body)}
        has_ports = _NO_PORTS.match(body) is None
        yield _Module(head[1].removeprefix("\\"), file, start, end, has_ports, frozenset(mentions))


def _without(sources: tuple[Source, ...], away: Sequence[_Module]) -> tuple[Source, ...]:
    """Return sources with blanks for modules; directives in them stay, which others may use."""
    texts = [source.text for source in sources]
    for module in away:
        text = texts[module.file]
        part = text[module.start : module.end]
        code = _code(part)
        kept = [match.span() for match in _DIRECTIVE.finditer(code)]
        blank, end = "", 0
        for first, last in [*kept, (len(part), len(part))]:
            blank += re.sub(r"[^\n]", " ", part[end:first]) + part[first:last]
            end = last
        texts[module.file] = text[: module.start] + blank + text[module.end :]
    return tuple(
        dataclasses.replace(source, text=text) if text != source.text else source
        for source, text in zip(sources, texts, strict=True)
    )


def without_testbenches(sources: tuple[Source, ...], top: str | None) -> tuple[Source, ...]:
    """Return sources with blanks for modules without ports, but for `top` and what it mentions."""
    modules = _modules(sources)
    kept = _reached(modules, top) if top is not None else set()
    away = [module for module in modules if not module.has_ports and module.name not in kept]
    return sources if len(away) == len(modules) else _without(sources, away)


def only_below(sources: tuple[Source, ...], top: str | None) -> tuple[Source, ...]:
    """Return sources with blanks for modules that neither `top` nor one below it mentions.

    Without `top` it is the only module that no other one mentions; if there are several, nothing
    changes.
    """
    modules = _modules(sources)
    if top is None:
        used = {name for module in modules for name in module.mentions - {module.name}}
        roots = {module.name for module in modules} - used
        if len(roots) != 1:
            return sources
        (top,) = roots
    kept = _reached(modules, top)
    return _without(sources, [module for module in modules if module.name not in kept])


def _reached(modules: Sequence[_Module], top: str) -> set[str]:
    mentions: dict[str, set[str]] = {}
    for module in modules:
        mentions.setdefault(module.name, set()).update(module.mentions)
    if top not in mentions:
        return set(mentions)
    seen, pending = {top}, [top]
    while pending:
        for name in mentions[pending.pop()] & mentions.keys() - seen:
            seen.add(name)
            pending.append(name)
    return seen


_DEFINE = re.compile(
    r"^[ \t]*`define[ \t]+([A-Za-z_][\w$]*)(\([^()]*\))?((?:[^\n\\]|\\[^\n]|\\\n)*)$", re.MULTILINE
)
_TOKEN = re.compile(r"`([A-Za-z_][\w$]*)|([A-Za-z_][\w$]*)|[(){}\[\],]|[^`(){}\[\],A-Za-z_]+|`")

#: The length of a text: a number of characters ("") and how often the parameters of a macro occur.
_Length = dict[str, int]


def check_macros(sources: Sequence[Source], included: Sequence[str] = ()) -> None:
    """Check that no macro contains itself and that none grows out of all bounds.

    How long a text is when it is expanded is a linear function of how long its arguments are, so
    nothing is expanded here.  A macro that is defined more than once is left to those who read it:
    which text holds where is not decided here.

    Args:
      included: texts of included files.

    Raises:
      InputError: names the file, and the line of the macro that contains itself.
    """
    files = [(str(source.path), without_comments(source.text)) for source in sources]
    files += [(str(sources[0].path), without_comments(text)) for text in included]
    found: dict[str, list[tuple[list[str], str, str]]] = {}
    for path, code in files:
        for match in _DEFINE.finditer(code):
            line = code.count("\n", 0, match.start()) + 1
            parameters = [p.split("=")[0].strip() for p in (match[2] or "()")[1:-1].split(",")]
            found.setdefault(match[1], []).append((parameters, match[3], f"{path}:{line}"))
    macros = _Macros({name: every[0] for name, every in found.items() if len(every) == 1})
    try:
        for name in macros.known:
            macros.of(name)
        for path, code in files if macros.known else ():
            if macros.length(_DEFINE.sub("", code), ()).get("", 0) > _MOST_TEXT:
                raise InputError(
                    f"{path}: its macros stand for more than {_MOST_TEXT >> 20} MiB of text"
                )
    except RecursionError:
        return  # nested deeper than this looks; what reads it has limits of its own


class _Macros:
    """Lengths of texts with macros; `known` has each one's parameters, text and place."""

    def __init__(self, known: Mapping[str, tuple[list[str], str, str]]) -> None:
        self.known = known
        self._lengths: dict[str, _Length] = {}
        self._open: set[str] = set()

    def of(self, name: str) -> _Length:
        """Return the length of a macro's text."""
        if name in self._lengths:
            return self._lengths[name]
        parameters, body, place = self.known[name]
        if name in self._open:
            raise InputError(f"{place}: macro {name} contains itself, so that it has no end")
        self._open.add(name)
        self._lengths[name] = self.length(body, parameters)
        self._open.discard(name)
        return self._lengths[name]

    def length(self, text: str, parameters: Sequence[str]) -> _Length:
        """Return the length of a text in which parameters occur."""
        total: _Length = {"": 0}

        def add(length: _Length, times: int = 1) -> None:
            for key, value in length.items():
                total[key] = total.get(key, 0) + times * value

        position = 0
        while match := _TOKEN.match(text, position):
            position = match.end()
            if match[1] in self.known:
                names = self.known[match[1]][0]
                arguments, position = (
                    _arguments(text, position) if names != [""] else ([], position)
                )
                given = [self.length(argument, parameters) for argument in arguments]
                for key, value in self.of(match[1]).items():
                    if key == "":
                        add({"": value})
                    elif names.index(key) < len(given):
                        add(given[names.index(key)], value)
            elif match[2] in parameters:
                add({match[2]: 1})
            else:
                add({"": len(match[0])})
        return total


def _arguments(text: str, position: int) -> tuple[list[str], int]:
    """Return the arguments in brackets behind a macro's name, and where they end."""
    opening = re.compile(r"\s*\(").match(text, position)
    if opening is None:
        return [], position
    depth, start, found = 0, opening.end(), []
    for match in re.compile(r"[(){}\[\],]").finditer(text, opening.end()):
        mark = match[0]
        if mark in "([{":
            depth += 1
        elif mark in ")]}" and depth:
            depth -= 1
        elif not depth and mark in ",)":
            found.append(text[start : match.start()])
            start = match.end()
            if mark == ")":
                return found, start
    return [], position


def check_memory_file(path: Path, base: int, where: str) -> None:
    """Check that a file holds what `$readmemh` (base 16) or `$readmemb` (2) reads.

    Raises:
      InputError: names the place in the Verilog, and the file and line where it is something else.
    """
    digits = "0-9a-fA-FxXzZ_" if base == 16 else "01xXzZ_"
    token = re.compile(rf"@[0-9a-fA-F_]+|[{digits}?]+")
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"{where}: {path}: cannot be read: {error.strerror}") from None
    blank = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
    code = blank.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    for number, line in enumerate(code.splitlines(), start=1):
        for word in line.split():
            if not token.fullmatch(word):
                kind = "hexadecimal" if base == 16 else "binary"
                raise InputError(
                    f"{where}: {path}:{number}: '{word[:20]}' is no {kind} number, so that this is "
                    "no file of a memory"
                )


def verilog_name(name: str) -> str:
    """Return a name as Verilog writes it: escaped unless it is a plain identifier."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else f"\\{name} "
