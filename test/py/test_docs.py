# SPDX-License-Identifier: Apache-2.0
"""What the pages name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = "asnet_mlir|benchmarks|dialects|docs|examples|hdl_lib|lowering|passes|test|tools"


def test_the_check_finds_what_is_missing(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "`test/py/test_nowhere.py`, `docs`/`test/py/*.py`, [there](page.md), [not](gone.md#part), "
        "[far](https://example.org/x.md)"
    )
    assert missing(page) == ["test/py/test_nowhere.py", "gone.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_file_and_link_of_a_page_exists(page):
    assert missing(page) == []


def test_the_index_has_every_page():
    index = ROOT / "docs" / "README.md"
    found = re.findall(r"\]\(([^)]+)\)", index.read_text())
    links = {(index.parent / link).resolve() for link in found}
    assert {page for page in index.parent.rglob("*.md") if page != index} - links == set()


def test_every_make_target_of_a_page_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        (page.name, target)
        for page in PAGES
        for target in re.findall(r"`make ([a-z-]+)`", page.read_text())
    }
    # What a bundle's own makefile has.
    assert {
        entry for entry in named if entry[1] not in targets | {"cocotb", "control", "lint", "help"}
    } == set()


def missing(page: Path) -> list[str]:
    """Return the files that a page names, as paths from the root or as links, and that are not."""
    text = page.read_text()
    paths = re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]+\.[a-z]+)\b(?![*<{{])", text)
    links = [
        link.partition("#")[0]
        for link in re.findall(r"\]\(([^)\s]+)\)", text)
        if "://" not in link and not link.startswith("#")
    ]
    return [path for path in paths if not (ROOT / path).exists()] + [
        link for link in links if not (page.parent / link).exists()
    ]
