# SPDX-License-Identifier: Apache-2.0
"""A stream as models of its stages, which rest, against one model of all."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.errors import UnsupportedError
from asnet_mlir.hardware.bundle.systemverilog import header
from asnet_mlir.hardware.simulation import simulate as simulation
from asnet_mlir.support.cache import cache_directory


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engines that wait for each other, a branch, and a machine at the end."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    first, second = (rng.standard_normal(shape).astype(np.float32) for shape in ((12, 8), (8, 4)))

    def network(x: Any) -> Any:
        with jax.named_scope("one"):
            y = x @ first
        with jax.named_scope("two"):
            z = jnp.maximum(y, 0.0)
        with jax.named_scope("three"):
            z = (z + y) @ second
        with jax.named_scope("four"):
            return jax.nn.softmax(z)

    folder = tmp_path_factory.mktemp("stages") / "b"
    asnet_mlir.generate((network, (np.zeros((1, 12), np.float32),)), output=folder, style="stream")
    return folder


def run(bundle: Path, stages: bool, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    """Simulate 7 samples, by a model of each stage or by one model."""
    monkeypatch.setattr(simulation, "_DEEP", 2 if stages else 1000)
    monkeypatch.setattr(simulation, "_LEVELS", ((0, "-Og"),))
    x = np.random.default_rng(1).standard_normal((7, 12)).astype(np.float32)
    return simulation.simulate(bundle, x, **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stall_seed": 3},
        {"stall_seed": 5, "reset_cycle": 211},
        {"stall_seed": 2, "frames": [12, 3, 12, 15, 1, 12, 12]},
    ],
    ids=["as fast as it goes", "pauses", "reset", "frames"],
)
def test_models_of_stages_are_the_whole(
    bundle: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(bundle, False, monkeypatch, **options)
    stages = run(bundle, True, monkeypatch, **options)
    assert np.array_equal(stages.outputs, whole.outputs)
    assert stages.cycles_per_sample == whole.cycles_per_sample
    assert stages.latency_cycles == whole.latency_cycles
    assert stages.busy_cycles == whole.busy_cycles


def test_words_of_layers_are_compared(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "_DEEP", 2)
    monkeypatch.setattr(simulation, "_LEVELS", ((0, "-Og"),))
    x = np.random.default_rng(2).standard_normal((3, 12)).astype(np.float32)
    compared = asnet_mlir.simulate(bundle, (x, np.zeros(3, int)), layers=True)
    assert compared.equal
    assert [layer["layer"] for layer in compared.compared] == ["one", "two", "three", "four"]


def test_only_what_changed_is_compiled_again(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiled() -> set[str]:
        return {path.name for path in (cache_directory() / "stage-simulation").iterdir()}

    before = run(bundle, True, monkeypatch)
    known = compiled()
    shutil.copytree(bundle, tmp_path / "b")
    stage = next((tmp_path / "b" / "rtl").glob("*_stage_0.sv"))
    text = stage.read_text()
    assert "operand_0 <= " in text
    changed = text.replace("operand_0 <= ", "operand_0 <= 32'h80000000 ^ ", 1)
    stage.write_text(f"// {time.time_ns()}: in no cache\n{changed}")
    after = run(tmp_path / "b", True, monkeypatch)
    assert len(compiled() - known) == 1
    assert not np.array_equal(after.outputs, before.outputs)
    assert np.array_equal(after.outputs, run(tmp_path / "b", False, monkeypatch).outputs)


def test_headers_of_modules() -> None:
    text = """// module m (input x);
    module other (input a); endmodule
    module m // ports
      #(parameter P = ")") (input [P-1:0] a, /* ; */
                            output b);
      wire c;
    endmodule"""
    found = header(text, "m")
    assert found.startswith("module m // ports")
    assert found.endswith("output b);")
    with pytest.raises(UnsupportedError, match="no module 'n'"):
        header(text, "n")
