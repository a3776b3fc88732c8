# SPDX-License-Identifier: Apache-2.0
"""The floors of docs/architecture.md: what may import what."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECK = [sys.executable, str(ROOT / "tools" / "check_imports.py")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the contract is about."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "pyproject.toml", root)
    for path in (ROOT / "asnet_mlir").rglob("*.py"):
        copy = root / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return root


def check(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CHECK, str(root / "pyproject.toml")], capture_output=True, text=True, cwd=root
    )


def test_the_contract_is_kept(checkout: Path) -> None:
    done = check(checkout)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "says"),
    [
        ("cores/core.py", "from asnet_mlir.binding import Rule", "cores is not allowed to import"),
        (
            "cores/sources/source.py",
            "def late() -> None:\n    from asnet_mlir.cores.models.derive import derive_models",
            "sources is not allowed to import",
        ),
        ("evaluation/stages.py", "import asnet_mlir.hardware", "No circles|not allowed to import"),
        (
            "network.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import asnet_mlir.frontends",
            "network is not allowed to import",
        ),
    ],
)
def test_an_import_upwards_is_seen(checkout: Path, module: str, line: str, says: str) -> None:
    path = checkout / "asnet_mlir" / module
    before = path.read_text()
    path.write_text(f"{before}\n{line}\n")
    try:
        done = check(checkout)
    finally:
        path.write_text(before)
    assert done.returncode == 1
    assert re.search(says, " ".join(done.stdout.split())), done.stdout


def test_the_page_has_every_floor() -> None:
    """docs/architecture.md draws the floors of the contract, in its order."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    page = (ROOT / "docs" / "architecture.md").read_text()
    for contract in contracts["contracts"]:
        if contract["type"] != "layers":
            continue
        drawing = next(
            block
            for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL)
            if block.startswith(contract["name"])
        )
        rows = [
            {name.strip() for name in line.split("  ")[0].split("|")}
            for line in drawing.splitlines()[1:]
            if line and not line.startswith(" ")
        ]
        assert rows == [{name.strip() for name in row.split("|")} for row in contract["layers"]]


def test_a_name_says_which_file() -> None:
    """But for those of `cli`, which are called as the module that does a verb's work."""
    folders = ("asnet_mlir", "lowering", "benchmarks", "tools")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    counts = Counter(path.name for path in paths if path.parent.name != "cli")
    assert [name for name, count in counts.items() if count > 1] == ["__init__.py"]
