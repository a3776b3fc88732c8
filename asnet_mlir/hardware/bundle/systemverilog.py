# SPDX-License-Identifier: Apache-2.0
"""Put the sources of several cores beside each other so that one elaboration can read all.

Cores come from different places: helper modules of one name recur, with one content or several
(EvoApproxLib's do).  Equal files are kept once; of modules that differ, each gets its own name.
All names can get a prefix, so that designs that share cores can stand beside each other.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asnet_mlir.errors import UnsupportedError

__all__ = [
    "KEYWORDS",
    "MergedSources",
    "directives",
    "header",
    "identifier",
    "merge_sources",
]

_KEYWORDS = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before
begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class
clocking cmos config const constraint context continue cover covergroup coverpoint cross deassign
default defparam design disable dist do edge else end endcase endchecker endclass endclocking
endconfig endfunction endgenerate endgroup endinterface endmodule endpackage endprimitive endprogram
endproperty endspecify endsequence endtable endtask enum event eventually expect export extends
extern final first_match for force foreach forever fork forkjoin function generate genvar global
highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies import incdir include
initial inout input inside instance int integer interconnect interface intersect join join_any
join_none large let liblist library local localparam logic longint macromodule matches medium
modport module nand negedge nettype new nexttime nmos nor noshowcancelled not notif0 notif1 null or
output package packed parameter pmos posedge primitive priority program property protected pull0
pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence
rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0
rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal
showcancelled signed small soft solve specify specparam static string strong strong0 strong1 struct
super supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time
timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union
unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait wait_order
wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""
#: The reserved words of IEEE 1800-2017 (annex B).
KEYWORDS = frozenset(_KEYWORDS.split())

#: Compiler directives that change nothing in another core, and so may stay in its text.
_HARMLESS = frozenset(
    {
        "`timescale",
        "`default_nettype",
        "`resetall",
        "`celldefine",
        "`endcelldefine",
        "`begin_keywords",
        "`end_keywords",
    }
)

# Comments, strings and numbers are passed over as one piece, so that only code is renamed.
_TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\])*\"|\\\S+|[`$]?[A-Za-z_][A-Za-z0-9_$]*"
    r"|'[sS]?[bodhBODH]\s*[0-9a-fA-FxXzZ?_]+|[0-9]\w*(?:\.[0-9]\w*)?|.",
    re.DOTALL,
)
_DIRECTIVE = re.compile(
    r"`timescale\s+\d+\s*\w+\s*/\s*\d+\s*\w+|`default_nettype\s+\w+|`begin_keywords\s*\"[^\"]*\"|`\w+"
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_BLOCKS = ("module", "macromodule", "package", "interface", "primitive", "program")
_BODIES = ("function", "task", "class")
_DEFINES = ("module", "macromodule", "package", "interface", "primitive")
#: Of an identifier made of a name, which becomes part of others and of files' names.
_LONGEST_IDENTIFIER = 60
_LONGEST_FILE = 120


def identifier(name: str, prefix: str = "network") -> str:
    """Return an identifier of Verilog made of any name.

    It begins with a letter (with `prefix` where the name does not), is ASCII, short and no keyword
    in any case.  What would be lost otherwise, letters outside of ASCII or the end of a long name,
    is in a hash behind it.
    """
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    if not re.match(r"[A-Za-z]", text):
        text = f"{prefix}_{text}"
    if text.lower() in KEYWORDS:
        text = f"{text}_{prefix}"
    if not name.isascii() or len(text) > _LONGEST_IDENTIFIER:
        text = f"{text[: _LONGEST_IDENTIFIER - 9]}_{_mark(name)}"
    return text


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]


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


def _code(text: str) -> list[str]:
    """Return the tokens of `text` without comments and white space."""
    return [
        token
        for token in _tokens(text)
        if not token.isspace() and not token.startswith(("//", "/*"))
    ]


def directives(text: str) -> set[str]:
    """Return the compiler directives and macros in `text` whose effect would reach other files."""
    return {token for token in _tokens(text) if token[0] == "`" and token not in _HARMLESS}


def header(text: str, module: str) -> str:
    """Return the declaration of a module in `text`, from `module` up to the `;` behind its ports.

    Raises:
      UnsupportedError: `text` does not declare it.
    """
    declaration: list[str] = []
    last, depth = "", 0
    for token in _tokens(text):
        is_code = not token.isspace() and not token.startswith(("//", "/*"))
        if declaration:
            declaration.append(token)
            depth += (token == "(") - (token == ")")
            if token == ";" and depth == 0:
                return "".join(declaration)
        elif token == module and last == "module":
            declaration = ["module ", token]
        last = token if is_code else last
    raise UnsupportedError(f"there is no module '{module}' where one of that name is expected")


def _defined(text: str, where: str = "Verilog") -> set[str]:
    """Return the names of the modules and packages that `text`, the file `where`, defines.

    Raises:
      UnsupportedError: a name is escaped or reserved.
    """
    names: set[str] = set()
    expect = ""
    for token in _code(text):
        if token in _DEFINES:
            expect = token
        elif expect and token in ("automatic", "static"):
            continue
        elif expect:
            if token.startswith("\\"):
                raise UnsupportedError(
                    f"{where}: the {expect} '{token}' has an escaped name, which hardware bundles "
                    "do not support; give it a plain name"
                )
            if token in KEYWORDS and expect != "interface":  # `interface class`
                raise UnsupportedError(
                    f"{where}: the {expect} '{token}' is named like a keyword of SystemVerilog, in "
                    "which bundles are written; rename it"
                )
            if _IDENTIFIER.fullmatch(token) and token not in KEYWORDS:
                names.add(token)
            expect = ""
    return names


def _outside(text: str) -> tuple[set[str], list[str]]:
    """Return what `text` has in no module or package: imports, and the names of declarations."""
    imports: set[str] = set()
    names: list[str] = []
    code = _code(_DIRECTIVE.sub(" ", _without_comments(text)))
    index = 0
    while index < len(code):
        token = code[index]
        if token in _BLOCKS:
            end = f"end{token.removeprefix('macro')}"
            depth = 1
            while index + 1 < len(code) and depth:
                index += 1
                depth += (code[index] == token) - (code[index] == end)
            index += 1
            if code[index : index + 1] == [":"]:
                index += 2
        elif token == ";":
            index += 1
        elif token in ("import", "timeunit", "timeprecision"):
            start = index + 1
            while index < len(code) and code[index] != ";":
                index += 1
            if token == "import":
                imports.add("".join(code[start:index]))
        elif token == "(" and code[index + 1 : index + 2] == ["*"]:
            index += 2
            while index < len(code) and code[index - 1 : index + 1] != ["*", ")"]:
                index += 1
            index += 1
        else:
            behind = _declaration_end(code, index)
            names += _declared_names(code[index:behind])
            index = behind
    return imports, names


def _without_comments(text: str) -> str:
    return "".join(" " if token.startswith(("//", "/*")) else token for token in _tokens(text))


def _declaration_end(code: Sequence[str], start: int) -> int:
    """Return where the declaration at `start` ends: behind its `;`, or its `endfunction`."""
    closing = next((f"end{t}" for t in code[start : start + 2] if t in _BODIES), None)
    depth = 0
    for index in range(start, len(code)):
        token = code[index]
        depth += (token in "[{(") - (token in "]})")
        if token == closing:
            return index + (3 if code[index + 1 : index + 2] == [":"] else 1)
        if closing is None and depth == 0 and token == ";":
            return index + 1
    return len(code)


def _declared_names(code: Sequence[str]) -> list[str]:
    """Return the names that a declaration gives; those of an enumeration's values, too."""
    names: list[str] = []
    name, depth = code[0], 0
    is_body = any(token in _BODIES for token in code[:2])
    stops = "(;#" if is_body else "=,;"
    in_enumeration = None  # its depth of brackets
    for before, token in itertools.pairwise(["", *code]):
        if before in "{," and before and depth == in_enumeration and token not in KEYWORDS:
            names.append(token)
        if token == "{" and in_enumeration is None and "enum" in code:
            in_enumeration = depth + 1
        if depth == 0 and token in stops:
            names.append(name)
            if is_body:
                break
        depth += (token in "[{(") - (token in "]})")
        if depth == 0 and before != "=" and _IDENTIFIER.fullmatch(token) and token not in KEYWORDS:
            name = token
    return [name for name in dict.fromkeys(names) if _IDENTIFIER.fullmatch(name)] or [code[0]]


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Rename identifiers wherever they are, so that ports and signals of the same name agree."""
    # An escaped identifier, as in `\\adder `, is the same as a plain one.
    return "".join(names.get(token.removeprefix("\\"), token) for token in _tokens(text))


def _identifiers(text: str) -> set[str]:
    return {token.removeprefix("\\") for token in _tokens(text)}


def _closed(text: str) -> str:
    """Return `text` with the default net type at its end as it is at the start of every file."""
    code = _code(text)
    kinds = [after for token, after in itertools.pairwise(code) if token == "`default_nettype"]
    if kinds and kinds[-1] != "wire":
        return text.rstrip("\n") + "\n`default_nettype wire\n"
    return text


def _check_outside(cores: Sequence[Sequence[tuple[str, str]]]) -> None:
    """Refuse what two cores have outside of modules and packages: all share one scope there.

    Imports count too, because a name could then come from the other core's package.
    """
    first: tuple[frozenset[str], tuple[str, ...]] | None = None
    for files in cores:
        imported: dict[str, str] = {}
        declared: dict[str, tuple[str, str]] = {}
        for file_name, text in files:
            imports, names = _outside(text)
            imported.update(dict.fromkeys(imports, file_name))
            if names:
                declared[text] = (file_name, names[0])
        scope = (frozenset(imported), tuple(declared))
        if not (imported or declared) or scope == first:
            continue
        if first is not None:
            for file_name, name in declared.values():
                raise UnsupportedError(
                    f"{file_name}: declares '{name}' outside of modules and packages, where "
                    "another core has names, too; move it into a package or module"
                )
            name, file_name = min(imported.items())
            raise UnsupportedError(
                f"{file_name}: imports '{name}' outside of modules, where another core has other "
                f"names; write {name.partition('::')[0]}::NAME wherever a name is used"
            )
        first = scope


def merge_sources(
    cores: Mapping[int, tuple[str, Sequence[tuple[str, str]]]],
    reserved: Sequence[str] = (),
    prefix: str = "",
) -> MergedSources:
    """Merge the sources of `cores` (instance: top module, files as (name, text)).

    Names of modules and files differ by more than case, as some tools and file systems ignore it.

    Args:
      cores: the sources.
      reserved: module names that the machine takes for itself.
      prefix: in front of the name of every module and package, and of what is declared outside.

    Raises:
      UnsupportedError: a module has an escaped name or a keyword's; two cores have declarations
        or imports outside of modules and packages.
    """
    # A module's identity is the text of all files of its core that could change what it is: the
    # file that defines it and, as a file may instantiate what another defines, those as well.
    definitions: dict[str, set[str]] = {}
    groups: dict[int, dict[str, str]] = {}
    for key, (_, files) in cores.items():
        group: dict[str, str] = {}
        for file_name, text in files:
            for name in _defined(text, file_name):
                group[name] = text
        groups[key] = group
        for name, text in group.items():
            definitions.setdefault(name, set()).add(text)
    cased: dict[str, set[str]] = {}
    for name in definitions:
        cased.setdefault(name.lower(), set()).add(name)
    taken = {name.lower() for name in reserved}
    clashing = {
        name
        for name, texts in definitions.items()
        if len(texts) > 1 or f"{prefix}{name}".lower() in taken or len(cased[name.lower()]) > 1
    }
    merged: dict[str, str] = {}
    modules: dict[int, str] = {}
    renamed: dict[int, Mapping[str, str]] = {}
    placed: list[list[tuple[str, str]]] = []
    for key, (top, files) in cores.items():
        group = groups[key]
        # Whoever uses a renamed module changes too, and must be told apart from other users.
        changed = clashing & set(group)
        grew = True
        while grew:
            grew = False
            for name, text in group.items():
                if name not in changed and changed & _identifiers(text):
                    changed.add(name)
                    grew = True
        texts = sorted({group[name] for name in changed})
        digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]
        names = {
            name: f"{prefix}{name}_{digest}"
            if len(cased[name.lower()]) == 1
            else f"{prefix}{name}_{_mark(name + digest)}"
            for name in changed
        }
        if prefix:
            outside = [name for _, text in files for name in _outside(text)[1]]
            names |= {name: prefix + name for name in (*group, *outside) if name not in names}
        modules[key] = names.get(top, top)
        renamed[key] = names
        placed.append([(name, _closed(_renamed(text, names))) for name, text in files])
        for file_name, text in placed[-1]:
            stem, dot, suffix = file_name.rpartition(".")
            # A file that is called after a module still is.
            stem = names.get(stem or file_name, stem or file_name)
            target = f"{stem}{dot}{suffix}" if dot else stem
            alike = (name for name in merged if name.lower() == target.lower())
            if len(stem) > _LONGEST_FILE or any(merged[n] != text or n != target for n in alike):
                target = f"{stem[:_LONGEST_FILE]}_{_mark(text)}{dot}{suffix if dot else ''}"
            merged[target] = text
    _check_outside(placed)
    # Equal texts under two names would define a module twice.
    seen: set[str] = set()
    result = []
    # Every file comes after those that come before it in its core, so packages before their users.
    for name, text in merged.items():
        if text not in seen:
            seen.add(text)
            result.append((name, text))
    return MergedSources(tuple(result), modules, renamed)
