# SPDX-License-Identifier: Apache-2.0
"""Depths that are chosen for a clock."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stream_networks

from asnet_mlir.binding import Binding
from asnet_mlir.cli import main as cli
from asnet_mlir.cores import Instance
from asnet_mlir.errors import InputError
from asnet_mlir.hardware import generate
from asnet_mlir.hardware import generation as verbs
from asnet_mlir.hardware.comparison import software_outputs
from asnet_mlir.hardware.synthesis import clock


def model_of(step: float, tried: list[str] | None = None) -> Any:
    """Stand in for synthesis: every register adds as much to the clock."""

    def synthesize(instance: Instance) -> dict[str, float]:
        if tried is not None:
            tried.append(instance.label)
        return {"fmax_mhz": 20.0 + step * instance.latency}

    return synthesize


def chosen(binding: Binding, clock_mhz: float, step: float = 10.0) -> list[str]:
    found = clock.choose(binding, binding.instances.values(), clock_mhz, model_of(step))
    return [rule.label for rule in found.binding.rules]


def test_the_fewest_registers_are_chosen() -> None:
    binding = Binding.parse(["mulf=fmul_trunc:P=9", "addf@dense=fadd", "divf=fdiv"])
    assert chosen(binding, 54) == [
        "mulf=fmul_trunc:P=9,LATENCY=4",
        "addf@dense=fadd",
        "divf=fdiv:LATENCY=4",
    ]
    assert chosen(binding, 18)[0] == "mulf=fmul_trunc:P=9,LATENCY=0"


def test_many_depths_are_bisected() -> None:
    tried: list[str] = []
    binding = Binding.parse(["divf=fdiv"])
    found = clock.choose(binding, binding.instances.values(), 127, model_of(10, tried))
    assert found.binding.rules[0].label == "divf=fdiv:LATENCY=12"
    assert len(tried) <= 6
    (entry,) = found.entries.values()
    assert entry == {"fmax_mhz": 140.0, "chosen": {"LATENCY": 12}}


def test_depths_that_cannot_reach_it_are_not_tried() -> None:
    tried: list[str] = []
    binding = Binding.parse(["mulf=fmul"])
    found = clock.choose(binding, binding.instances.values(), 95, model_of(10, tried))
    # 20 MHz in one stage: at best 80 in four, 125 with what placements differ by.
    assert tried == ["fmul:LATENCY=0", *(f"fmul:LATENCY={depth}" for depth in range(4, 10))]
    assert found.binding.rules[0].label == "mulf=fmul:LATENCY=9"


def test_a_tenth_is_to_spare_where_there_is_a_depth_for_it() -> None:
    """What is around a core makes it slower; one that just reaches the clock is still taken."""
    binding = Binding.parse(["mulf=fmul"])
    assert chosen(binding, 99) == ["mulf=fmul:LATENCY=9"]  # of 110 MHz; 8 have 100
    assert chosen(binding, 115) == ["mulf=fmul:LATENCY=10"]  # of 120 MHz, all that there is
    assert chosen(Binding.parse(["mulf=fmul:LATENCY=8"]), 99) == ["mulf=fmul:LATENCY=8"]


def test_what_the_binding_says_stays(tmp_path: Path) -> None:
    assert chosen(Binding.parse(["mulf=fmul:LATENCY=3"]), 40) == ["mulf=fmul"]
    assert chosen(Binding.parse(["mulf=fmul:LATENCY=6"]), 40) == ["mulf=fmul:LATENCY=6"]
    # A file states every parameter: those at their defaults are not taken as said.
    for text, expected in (("fmul", "fmul:LATENCY=2"), ("fmul:LATENCY=6", "fmul:LATENCY=6")):
        Binding.parse([f"mulf={text}"]).save(tmp_path / "b.json")
        assert chosen(Binding.load(tmp_path / "b.json"), 36) == [f"mulf={expected}"]


def test_a_core_that_is_too_slow_is_named() -> None:
    with pytest.raises(InputError, match=r"^fmul: the core alone reaches 120.0 MHz at most, with "):
        chosen(Binding.parse(["mulf=fmul"]), 121)
    with pytest.raises(InputError, match="with the LATENCY=3 that the binding gives, not 91;"):
        chosen(Binding.parse(["mulf=fmul:LATENCY=3"]), 91)
    with pytest.raises(InputError, match="fmax: the core alone reaches 30.0 MHz at most, with"):
        chosen(Binding.parse(["maxf=fmax"]), 91)


@pytest.mark.parametrize("value", ["0", "-5", "nan", "fast"])
def test_a_clock_that_is_none(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], value: str
) -> None:
    arguments = ["generate", "classification_mnist", "-o", str(tmp_path / "b")]
    assert cli.main([*arguments, f"--clock-mhz={value}"]) == 2
    assert capfd.readouterr().err.count("\n") == 1
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("style", ["shared", "stream"])
def test_other_depths_give_the_same_bits(
    tmp_path: Path, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both bundles compute the same, each in its predicted cycles.

    Placements take a minute: `make deep` makes them, here every register adds 10 MHz.
    """
    if "ASNET_DEEP" not in os.environ:

        def placed(instance: Instance, **_: Any) -> dict[str, float]:
            quick = instance.core.name in ("fmax", "fmin")
            return {"fmax_mhz": 95.0 if quick else 40.0 + 10 * instance.latency}

        monkeypatch.setattr(verbs, "synthesize", placed)
    from asnet_mlir.hardware.simulation.simulate import simulate

    binding = Binding.parse(["mulf=fmul_trunc:P=20"])
    network = stream_networks.dense()
    plain = generate(network, binding, output=tmp_path / "plain", style=style)
    told: list[str] = []
    quick = generate(
        network,
        binding,
        output=tmp_path / "quick",
        style=style,
        clock_mhz=90,
        progress=told.append,
    )
    assert quick["clock_mhz"] == 90 and "clock_mhz" not in plain
    for entry in quick["instances"]:
        assert entry["fmax_mhz"] >= 90
        assert entry["chosen"] == {"LATENCY": entry["parameters"]["LATENCY"]}
        assert entry["latency"] == entry["parameters"]["LATENCY"]
    depths = {entry["op"]: entry["latency"] for entry in quick["instances"]}
    assert depths["addf"] > {entry["op"]: entry["latency"] for entry in plain["instances"]}["addf"]
    stated = quick["info"]["binding"]["bindings"][0]["parameters"]
    assert stated == {"P": 20, "FLUSH": 0, "LATENCY": depths["mulf"]}
    x = np.random.default_rng(1).standard_normal((4, 24)).astype(np.float32)
    expected = software_outputs(tmp_path / "plain", x)
    assert (software_outputs(tmp_path / "quick", x) == expected).all()
    for folder, manifest in ((tmp_path / "plain", plain), (tmp_path / "quick", quick)):
        result = simulate(folder, x)
        assert (result.outputs == expected).all()
        assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
