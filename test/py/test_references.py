# SPDX-License-Identifier: Apache-2.0
"""The references of dialect and passes are those of the .td files and of the lit tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import references


def test_the_pages_are_up_to_date() -> None:
    for path, text in references.pages().items():
        assert path.read_text() == text, f"{path.name} is old: make references"


def test_what_the_page_on_asnet_opt_does_in_python(capsys: pytest.CaptureFixture[str]) -> None:
    page = (references.ROOT / "docs" / "asnet-opt.md").read_text()
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], {})
    printed = capsys.readouterr().out
    assert "func.func @square_of_sum(" in printed
    assert "arith.mulf" in printed


def test_an_example_is_the_first_function_of_its_lit_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "ROOT", tmp_path)
    test = tmp_path / "name.mlir"
    test.write_text(
        "// RUN: asnet-opt %s\n\n!t = f32\n\n// Why.\n// CHECK-LABEL: func.func @a\n"
        "func.func @a() {\n  return\n}\n\nfunc.func @b() {\n  return\n}\n"
    )
    _, block, _ = references._example(test).split("```")
    assert block == (
        "mlir\n// RUN: asnet-opt %s\n\n// Why.\n// CHECK-LABEL: func.func @a\n"
        "func.func @a() {\n  return\n}\n"
    )
