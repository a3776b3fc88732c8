# SPDX-License-Identifier: Apache-2.0
"""Write docs/dialect.md and docs/passes.md from .td files and lit tests (`make references`).

`mlir-tblgen` renders ops and passes.  Below each pass stands an example that is tested: the first
function of the lit test that is called like the pass, with what FileCheck wants of it.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from asnet_mlir.plugin import mlir_opt_path

__all__ = ["pages"]

ROOT = Path(__file__).resolve().parents[1]
LIT = ROOT / "test" / "lit"

_HEAD = "<!-- Written by `make references`; change the .td files instead. -->\n"
_PASSES = """
# Passes

Each is a pass of `asnet-opt` and of the plugin ([how to run them](asnet-opt.md)). Behind
"Tested" is the first function of its lit test: what goes in, and what FileCheck asks of what
comes out.

## From MLIR to MLIR

{passes}
## Towards native code and hardware

{lowering}"""


def pages() -> dict[Path, str]:
    """Return each page's path and text."""
    dialect = _render("dialects/approx/ApproxOps.td", "--gen-dialect-doc", "--dialect=approx")
    dialect = dialect.replace("[TOC]\n\n", "").replace("# 'approx' Dialect", "# The approx dialect")
    example = f"\n{_example(LIT / 'dialects' / 'ops.mlir')}"
    passes, lowering = (
        re.sub(r"^### `-(.*)`\n(?s:.*?)(?=\n+^### |\Z)", _with_example, text, flags=re.MULTILINE)
        for text in (
            _render("passes/Passes.td", "--gen-pass-doc"),
            _render("lowering/Lowering.td", "--gen-pass-doc"),
        )
    )
    return {
        ROOT / "docs" / "dialect.md": f"{_HEAD}\n{dialect.strip()}\n{example}",
        ROOT / "docs" / "passes.md": _HEAD + _PASSES.format(passes=passes, lowering=lowering),
    }


def _render(source: str, *options: str) -> str:
    tblgen = mlir_opt_path().with_name("mlir-tblgen")
    include = tblgen.parents[1] / "include"
    command: list[str | Path] = [tblgen, f"-I{include}", f"-I{ROOT}", *options, ROOT / source]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    text = re.sub(r"^<!--.*-->\n+", "", text)
    return re.sub(r"\n{3,}", "\n\n", text)


def _with_example(section: re.Match[str]) -> str:
    stem = section[1].removeprefix("approx-")
    tests = sorted(LIT.rglob(f"{stem}.mlir"))
    if len(tests) != 1:
        raise SystemExit(f"{section[1]}: {len(tests)} lit tests are called {stem}.mlir, not one")
    return f"{section[0].rstrip()}\n\n{_example(tests[0])}"


def _example(test: Path) -> str:
    """Return the RUN lines and the first function of a lit test, with the comments above it."""
    lines = test.read_text().splitlines()
    runs = [line for line in lines if line.startswith("// RUN:")]
    first = next(i for i, line in enumerate(lines) if line.startswith(("func.func", "module")))
    # Down to the last line above it that is no comment on it.
    others = (i for i in range(first) if not lines[i].startswith("//") or lines[i] in runs)
    start = max(others, default=-1) + 1
    end = next(i for i in range(first, len(lines)) if lines[i] == "}")
    block = "\n".join([*runs, "", *lines[start : end + 1]])
    name = test.relative_to(ROOT).as_posix()
    return (
        f'<details><summary>Tested: <a href="../{name}">{name}</a></summary>\n\n'
        f"```mlir\n{block}\n```\n\n</details>\n"
    )


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
