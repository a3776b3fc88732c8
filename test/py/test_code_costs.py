# SPDX-License-Identifier: Apache-2.0
"""Costs of hardware on integer codes: of layers apart, they are those of all layers together."""

from __future__ import annotations

import numpy as np
import pytest

from asnet_mlir.data import Dataset
from asnet_mlir.exploration import explore
from asnet_mlir.exploration.hardware_costs import Generator
from asnet_mlir.frontends.program import from_program
from asnet_mlir.hardware import generate, simulate
from asnet_mlir.quantized import Builder, Quantization

RNG = np.random.default_rng(8)
CODES = Quantization(np.array([0.05]), np.array([-3]))
SPACE = {
    "scope": "layer",
    "cores": [{"op": "muli", "core": "compressor42", "parameters": {"N": 8, "SIGNED": 1}},
              {"op": "muli", "core": "truncated", "parameters": {"N": 8, "SIGNED": 1, "CUT": 7}}],
}  # fmt: skip


@pytest.fixture(scope="module")
def network():
    """Two layers of 12 and 5 outputs."""
    net = Builder("two", (9,), CODES)
    x = net.input
    for name, channels in (("wide", 12), ("narrow", 5)):
        scale = Quantization(RNG.uniform(0.004, 0.02, channels), np.zeros(channels, int))
        weights = RNG.integers(-127, 128, (x.shape[-1], channels)).astype(np.int8)
        x = net.dense(x, weights, scale, None, CODES, layer=name)
    return from_program(net.program(x))


@pytest.fixture(scope="module")
def data():
    x = RNG.integers(-128, 128, (20, 9)).astype(np.int8)
    return Dataset("codes", x, RNG.integers(0, 5, 20))


def test_area_and_cycles_are_those_that_generate_predicts(network, data, tmp_path, monkeypatch):
    """Every configuration, though one hardware a layer is generated besides the exact one."""
    written = []
    manifest = Generator.manifest

    def counted(self, binding):
        written.append(binding.label)
        return manifest(self, binding)

    monkeypatch.setattr(Generator, "manifest", counted)
    monkeypatch.setattr(
        "asnet_mlir.exploration.hardware_costs.cached_text", lambda k, key, make: make()
    )
    found = explore(network, data, SPACE, cost="area,cycles", lanes=["2"])
    assert len(found.results) == 9 and len(written) == 3
    results = {result.configuration: result for result in found.results}
    for number, place in enumerate([(2, 0), (1, 2)]):
        result, folder = results[place], tmp_path / str(number)
        made = generate(network, result.binding, output=folder, lanes=["2"], predict_area=True)
        assert result.costs["cycles"] == made["predicted_cycles_per_sample"]
        # Each layer's area is rounded.
        assert abs(result.costs["area"] - made["predicted_luts"]["total"]) <= 2
    areas = {result.label: result.costs["area"] for result in found.results}
    assert len(set(areas.values())) > 6


def test_the_latency_is_that_of_the_simulation(network, data, tmp_path):
    space = {**SPACE, "cores": SPACE["cores"][:1], "scope": "network"}
    found = explore(network, data, space, cost="latency")
    chosen = found.results[-1]
    generate(network, chosen.binding, output=tmp_path / "bundle")
    assert chosen.binding.rules
    assert simulate(tmp_path / "bundle", data, samples=1).latency_cycles == chosen.costs["latency"]


def test_energy_of_codes_is_that_of_their_products(network, data):
    """A core of fewer gates takes less; the exact one is the library's of 8 bits."""
    found = explore(network, data, SPACE, cost="energy")
    energies = {result.configuration: result.costs["energy"] for result in found.results}
    assert 0 < energies[2, 2] < energies[0, 0]
    shares = [row["exact"] for row in found.breakdown if row["op"] == "muli"]
    assert len(shares) == 2 and all(share > 0 for share in shares)


def test_cores_beside_the_configuration_count(network, data, tmp_path):
    space = {"scope": "layer", "cores": [{**SPACE["cores"][1], "layers": ["wide"]}]}
    rule = "muli@narrow=compressor42:N=8,SIGNED=1"
    found = explore(network, data, space, cost="area", binding=rule)
    for number, result in enumerate(found.results):
        bound = [rule, *(one.label for one in result.binding.rules)]
        made = generate(network, bound, output=tmp_path / str(number), predict_area=True)
        assert abs(result.costs["area"] - made["predicted_luts"]["total"]) <= 2


def test_channels_of_a_layer_have_cores_of_their_own(network, data, tmp_path):
    """One core in both parts of a layer is other hardware than a core in each."""
    cores = [{**core, "layers": ["narrow"]} for core in SPACE["cores"]]
    space = {"scope": "layer", "channels": 3, "cores": cores}
    found = explore(network, data, space, cost="area,cycles")
    results = {result.configuration: result for result in found.results}
    for number, place in enumerate([(1, 1), (1, 2), (2, 1), (2, 2)]):
        result, folder = results[place], tmp_path / str(number)
        made = generate(network, result.binding, output=folder, predict_area=True)
        assert result.costs["cycles"] == made["predicted_cycles_per_sample"]
        assert abs(result.costs["area"] - made["predicted_luts"]["total"]) <= 2
    assert len({results[place].costs["area"] for place in [(1, 1), (1, 2), (2, 2)]}) == 3
