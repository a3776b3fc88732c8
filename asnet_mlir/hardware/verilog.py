"""Put the sources of several cores beside each other so that one elaboration can read all.

Cores come from different places: helper modules of one name recur, with one content or several
(EvoApproxLib's do).  Equal files are kept once; of modules that differ, each gets its own name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["MergedSources", "merge_sources"]

# Comments and strings are passed over as one piece, so that only code is renamed.
_TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|\\\S+|`?[A-Za-z_][A-Za-z0-9_$]*|.",
    re.DOTALL,
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_DEFINES = ("module", "macromodule", "package", "interface", "primitive")


@dataclass(frozen=True)
class MergedSources:
    """Files by name, in an order that works, and what became of each core's names.

    `modules` are the top modules; `renamed` all identifiers that changed, which may be ports too.
    """

    files: tuple[tuple[str, str], ...]
    modules: Mapping[int, str]
    renamed: Mapping[int, Mapping[str, str]]


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _defined(text: str) -> set[str]:
    """Return the names of the modules and packages that `text` defines."""
    names: set[str] = set()
    expect = False
    for token in _tokens(text):
        if token in _DEFINES:
            expect = True
        elif expect and token in ("automatic", "static"):
            continue
        elif expect and _IDENTIFIER.fullmatch(token):
            names.add(token)
            expect = False
    return names


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Rename identifiers wherever they are, so that ports and signals of the same name agree."""
    return "".join(names.get(token, token) for token in _tokens(text))


def merge_sources(
    cores: Mapping[int, tuple[str, Sequence[tuple[str, str]]]], reserved: Sequence[str] = ()
) -> MergedSources:
    """Merge the sources of `cores` (instance: top module, files as (name, text)).

    `reserved` are module names that the machine takes for itself.
    """
    # A module's identity is the text of all files of its core that could change what it is: the
    # file that defines it and, as a file may instantiate what another defines, those as well.
    definitions: dict[str, set[str]] = {}
    groups: dict[int, dict[str, str]] = {}
    for key, (_, files) in cores.items():
        group: dict[str, str] = {}
        for _, text in files:
            for name in _defined(text):
                group[name] = text
        groups[key] = group
        for name, text in group.items():
            definitions.setdefault(name, set()).add(text)
    clashing = {name for name, texts in definitions.items() if len(texts) > 1} | (
        set(reserved) & set(definitions)
    )
    merged: dict[str, str] = {}
    modules: dict[int, str] = {}
    renamed: dict[int, Mapping[str, str]] = {}
    for key, (top, files) in cores.items():
        group = groups[key]
        # Whoever uses a renamed module changes too, and must be told apart from other users.
        changed = clashing & set(group)
        grew = True
        while grew:
            grew = False
            for name, text in group.items():
                if name not in changed and changed & set(_tokens(text)):
                    changed.add(name)
                    grew = True
        texts = sorted({group[name] for name in changed})
        digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]
        names = {name: f"{name}_{digest}" for name in changed}
        modules[key] = names.get(top, top)
        renamed[key] = names
        for file_name, text in files:
            text = _renamed(text, names)
            stem, dot, suffix = file_name.rpartition(".")
            target = file_name
            if merged.get(target, text) != text:
                mark = hashlib.sha256(text.encode()).hexdigest()[:8]
                target = f"{stem or file_name}_{mark}{dot}{suffix if dot else ''}"
            merged[target] = text
    # Equal texts under two names would define a module twice.
    seen: set[str] = set()
    result = []
    for name, text in sorted(merged.items(), key=lambda item: ("package" not in item[1], item[0])):
        if text not in seen:
            seen.add(text)
            result.append((name, text))
    return MergedSources(tuple(result), modules, renamed)
