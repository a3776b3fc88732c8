# SPDX-License-Identifier: Apache-2.0
"""Units with strobes, with busy and with ready in a whole network, in both styles of hardware."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "py"))

import stream_networks
import test_cores_handshakes as handshakes
import test_hardware_iterative as iterative

from asnet_mlir.binding import Binding, Rule
from asnet_mlir.cores import Core, core_from_verilog
from asnet_mlir.hardware import generate
from asnet_mlir.hardware.bundle.manifest import read_manifest


def unit(folder: Path, name: str, text: str, inside: str, operands: str) -> Core:
    """A handshake around a core of the library."""
    a, b = operands.split()
    inner = f"{inside} #(.LATENCY(0)) f (.clk_i(clk), .a_i({a}), .b_i({b}), .result_o(z));"
    sources = iterative.files(folder, name, text.format(top=31, inner=inner), inside)
    return core_from_verilog(sources, top=name, op=f"{inside[1:]}f")


@pytest.fixture(scope="module", params=["shared", "stream"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("handshakes")
    strobes = unit(folder, "strobes", handshakes.STROBES, "fmul", "a b")
    ready = unit(folder, "ready_unit", handshakes.READY, "fadd", "x w")
    busy = unit(folder, "busy_unit", handshakes.BUSY, "fadd", "x w")
    rules = [
        Rule("mulf", strobes.instance(), "conv"),
        Rule("mulf", strobes.instance(), "dense"),
        Rule("addf", ready.instance(), "conv"),
        Rule("addf", ready.instance(), "global"),
        Rule("addf", busy.instance(), "average"),
        Rule("addf", busy.instance(), "dense"),
    ]
    network = stream_networks.residual()
    generate(network, Binding(tuple(rules)), output=folder / "b", style=request.param)
    return folder / "b"


def test_equal_words_and_cycles(bundle: Path) -> None:
    result = iterative.check(bundle, 4)
    manifest = read_manifest(bundle)
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]


@pytest.mark.parametrize("seed", [1, 2])
def test_pauses_and_resets(bundle: Path, seed: int) -> None:
    iterative.check(bundle, 4, stall_seed=seed)
    for cycle in np.random.default_rng(seed).integers(1, 20000, 4).tolist():
        iterative.check(bundle, 3, reset_cycle=cycle, stall_seed=seed)
