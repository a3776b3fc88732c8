# SPDX-License-Identifier: Apache-2.0
"""Costs of hardware: cycles are those of what is generated, areas add up, own costs count."""

from __future__ import annotations

import pytest

from asnet_mlir.errors import InputError
from asnet_mlir.exploration import explore, hardware_costs, load_constraints
from asnet_mlir.exploration.cost_kinds import cost_names, figures_of, giving
from asnet_mlir.exploration.costs import unit_of
from asnet_mlir.exploration.hardware_costs import Generator, HardwareCosts, Style, _Built
from asnet_mlir.exploration.layers import Layer
from asnet_mlir.exploration.space import DesignSpace
from asnet_mlir.hardware import generate, simulate

NET, DATA = "classification_mnist", "mnist:test:20"
SPACE = {
    "scope": "network",
    "cores": [{"op": "mulf", "core": "fmul_trunc", "parameters": {"P": [18, 20], "LATENCY": [3]}},
              {"op": "mulf", "core": "fmul_trunc", "parameters": {"P": 20, "LATENCY": 5}}],
}  # fmt: skip


@pytest.mark.parametrize("style", ["shared", "stream"])
def test_cycles_are_those_of_the_generated_hardware(style, tmp_path):
    """Of the exact network and of a deeper multiplier, which has a schedule of its own."""
    space = {"scope": "network", "cores": SPACE["cores"][1:]}
    found = explore(NET, DATA, space, cost="cycles", style=style)
    cycles = [result.costs["cycles"] for result in found.results]
    for number, result in enumerate(found.results):
        manifest = generate(NET, result.binding, output=tmp_path / str(number), style=style)
        assert manifest["predicted_cycles_per_sample"] == cycles[number]
    assert style == "stream" or cycles[0] != cycles[1]


def test_the_latency_is_that_of_the_simulation(monkeypatch):
    """Simulated once for all configurations of one schedule."""
    simulated = []

    def once(folder, data, *, samples):
        simulated.append(samples)
        return simulate(folder, data, samples=samples)

    monkeypatch.setattr(hardware_costs, "simulate", once)
    monkeypatch.setattr(hardware_costs, "cached_text", lambda kind, key, make: make())
    space = {"scope": "network", "cores": SPACE["cores"][:1]}
    found = explore(NET, DATA, space, cost="latency,cycles")
    latencies = {result.costs["latency"] for result in found.results}
    assert simulated == [1] and len(latencies) == 1
    assert found.exact.costs["cycles"] - 100 < latencies.pop() <= found.exact.costs["cycles"]


def test_area_is_measured_twice_and_linear_in_the_units_between(monkeypatch):
    """The exact hardware and that of the last choice are mapped whole, once each."""
    luts = {"fmul": 1600, "fadd": 600, "fdiv": 1900, "fmax": 150}
    whole = []

    def synthesize(design, *, route, progress):
        if hasattr(design, "core"):
            core = design.core.name
            return {"luts": luts.get(core, 1000 - 10 * dict(design.parameters).get("P", 0))}
        whole.append(design)
        return {"luts": [5000, 4000][len(whole) - 1]}

    monkeypatch.setattr(hardware_costs, "synthesize", synthesize)
    monkeypatch.setattr(hardware_costs, "cached_text", lambda kind, key, make: make())
    found = explore(NET, DATA, SPACE, cost="area")
    areas = {result.label: result.costs["area"] for result in found.results}
    assert areas["exact"] == 5000 and areas["mulf=fmul_trunc:P=20,LATENCY=5"] == 4000
    # Units of 820 LUTs instead of 1600 and 800: each of them is worth 1.25.
    assert areas["mulf=fmul_trunc:P=18"] == 5000 - 1.25 * (1600 - 820)
    for result in found.results:
        assert result.costs["lut_time"] == result.costs["area"] * result.costs["cycles"]
    assert len(whole) == 2


def test_what_is_around_units_depends_on_their_core(monkeypatch):
    """Each core's last choices are mapped whole; units of several cores have the mean."""
    luts = {"fmul": 1600, "fmul_trunc": 800, "fmul_drum": 1000}
    wholes = {"exact": 5000, "mulf@a=fmul_trunc mulf@b=fmul_trunc": 2800,
              "mulf@a=fmul_drum mulf@b=fmul_drum": 3800}  # fmt: skip
    layers = (Layer("a", {"mulf": 4}), Layer("b", {"mulf": 2}))
    cores = [{"op": "mulf", "core": name} for name in ("fmul_trunc", "fmul_drum")]
    space = DesignSpace.of(load_constraints({"scope": "layer", "cores": cores}), layers)
    written = []

    class Written(Generator):
        def write(self, binding, folder):
            written.append(binding.label or "exact")
            return {}

    def generate(self, signature, binding, units):
        rules = [unit_of(binding, layer, "mulf", "f32") for layer in layers]
        return _Built(10, {str(n): rules.count(unit) for n, unit in enumerate(units)})

    def synthesize(design, **options):
        return {"luts": luts[design.core.name] if hasattr(design, "core") else wholes[written[-1]]}

    monkeypatch.setattr(HardwareCosts, "_generate", generate)
    monkeypatch.setattr(hardware_costs, "synthesize", synthesize)
    monkeypatch.setattr(hardware_costs, "cached_text", lambda kind, key, make: make())
    costs = HardwareCosts(["area"], Written(None, "", Style(), None), space, None)
    areas = {c: costs.figures(c)["area"] for c in space.configurations()}
    assert [areas[c] for c in ((0, 0), (1, 1), (2, 2))] == list(wholes.values())
    # Around them are 1800: 0.375 less for each LUT of a truncated one's, nothing of a DRUM's.
    assert areas[1, 0] == 2400 + 1800 - 0.375 * 800 and areas[0, 2] == 2600 + 1800
    assert areas[1, 2] == 1800 + 1800 - 0.375 / 2 * 1400
    assert sorted(written) == sorted(wholes)


def test_a_cost_of_the_users_own():
    def weight(binding):
        return 100 - sum(dict(rule.instance.parameters)["P"] for rule in binding.rules)

    found = explore(NET, DATA, SPACE, cost=weight, choose="weight<=81")
    assert found.cost == "weight" and found.chosen.costs["weight"] == 80
    assert found.exact.costs == {"weight": 100}

    def odd(binding):
        return "much"

    with pytest.raises(InputError, match="the cost odd returned 'much', which is no number"):
        explore(NET, DATA, SPACE, cost=odd)
    with pytest.raises(InputError, match="needs a name of its own, not '<lambda>'"):
        explore(NET, DATA, SPACE, cost=lambda binding: 1)


def test_what_is_asked_for_and_what_comes_with_it():
    assert cost_names("area,energy_proxy") == ("area", "energy_proxy")
    assert figures_of("cycles") == ("cycles",)
    assert set(figures_of("area")) == {"area", "cycles", "lut_time"}
    assert giving("energy_proxy", "cycles") == "cycles,energy_proxy"
    with pytest.raises(InputError, match="unknown cost 'delay'; costs are area, cycles"):
        cost_names("area,delay")


def test_energy_without_a_library_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("ASNET_LIBERTY", str(tmp_path / "none.lib"))
    with pytest.raises(InputError, match=r"none\.lib is not there; install Debian's qflow-tech"):
        explore(NET, DATA, SPACE, cost="energy")
