# SPDX-License-Identifier: Apache-2.0
"""Strategies: against the optimum of small spaces, under budgets, the same for a seed."""

from __future__ import annotations

import dataclasses
import itertools
import random

import numpy as np
import pytest

from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.exploration import Store, choose, costs, explore, load_constraints
from asnet_mlir.exploration.criterion import Criterion
from asnet_mlir.exploration.layers import Layer
from asnet_mlir.exploration.results import Result
from asnet_mlir.exploration.space import DesignSpace
from asnet_mlir.exploration.strategies import STRATEGIES, Task, strategy_named

SAMPLES = 10_000
#: Those that know nothing of a network but results.
SEARCHES = sorted(set(STRATEGIES) - {"agn"})


class Spent(Exception):
    """The budget is spent."""


class World:
    """A made-up network: losses that add up, nearly, and costs that are weighted by op counts."""

    def __init__(self, variables: int, choices: int, seed: int) -> None:
        generator = random.Random(seed)
        entry = {"op": "mulf", "core": "fmul_trunc", "parameters": {"P": list(range(choices))}}
        layers = [Layer(f"l{i}", {"mulf": generator.randrange(1, 50)}) for i in range(variables)]
        given = load_constraints({"scope": "layer", "cores": [entry]})
        self.space = DesignSpace.of(given, layers)
        self._weights = [layer.ops["mulf"] for layer in layers]
        self._worst = [generator.random() ** 3 for _ in layers]
        self._seed = seed

    def accuracy(self, configuration):
        loss = sum(
            worst * (c / (len(v.choices) - 1)) ** 3
            for worst, c, v in zip(self._worst, configuration, self.space.variables, strict=True)
        )
        noise = random.Random(repr((self._seed, configuration))).uniform(0, 0.002)
        return round(SAMPLES * max(0.1, 0.95 - 0.3 * loss - noise)) / SAMPLES

    def cost(self, configuration):
        return sum(
            weight * (30 - c) for weight, c in zip(self._weights, configuration, strict=True)
        )

    def run(self, strategy, *, budget=None, seed=0, bound=None, noise=None):
        """Return results by configuration, in the order in which they were asked for."""
        results: dict = {}

        def measure(wanted):
            for configuration in wanted:
                if configuration in results:
                    continue
                if budget is not None and len(results) >= budget:
                    raise Spent
                binding = self.space.binding(configuration)
                results[configuration] = Result(
                    binding, self.accuracy(configuration), SAMPLES, {}, configuration
                )
            return results

        criterion = Criterion.parse(bound) if bound else None
        task = Task(
            self.space, self.cost, measure, results, budget, seed, SAMPLES, criterion, noise=noise
        )
        try:
            STRATEGIES[strategy](task)
        except Spent:
            assert len(results) == budget
        return results

    def cheapest(self, results, limit):
        """Return the least cost of results at least as accurate as `limit`."""
        return min(self.cost(c) for c, r in results.items() if r.accuracy >= limit)


def test_exhaustive_is_the_whole_product_once():
    world = World(3, 4, 0)
    asked = list(world.run("exhaustive"))
    assert asked == list(itertools.product(range(5), repeat=3))
    changes = sum(a[0] != b[0] for a, b in itertools.pairwise(asked))
    assert changes == 4  # first layers change least often: their results are used again


@pytest.mark.parametrize("budget", [1, 2, 20, 90, 124, 125, 1000])
def test_exhaustive_under_a_budget_draws_without_repetition(budget):
    world = World(3, 4, 0)
    asked = list(world.run("exhaustive", budget=budget))
    assert len(asked) == len(set(asked)) == min(budget, 125)
    assert world.space.exact in asked and asked == sorted(asked)
    if 2 < budget < 120:
        assert set(asked) != set(world.run("exhaustive", budget=budget, seed=1))


def test_exhaustive_refuses_absurd_sizes():
    world = World(12, 20, 0)
    with pytest.raises(InputError, match=r"has about 10\^15 configurations; give --budget N"):
        world.run("exhaustive")
    assert len(world.run("exhaustive", budget=50)) == 50


@pytest.mark.parametrize("seed", range(6))
def test_greedy_comes_near_the_optimum(seed):
    world = World(4, 6, seed)
    everything = {c: Result(None, world.accuracy(c)) for c in world.space.configurations()}
    limit = 0.85
    best = world.cheapest(everything, limit)
    found = world.run("greedy", bound=f"accuracy>={limit}", budget=500)
    assert len(found) < len(everything) / 8
    exact = world.cost(world.space.exact)
    # It saves at least 95 % of what can be saved.
    assert exact - world.cheapest(found, limit) >= 0.95 * (exact - best)


def test_greedy_without_a_bound_traces_the_front_to_its_end():
    world = World(4, 6, 1)
    found = world.run("greedy", budget=500)
    assert tuple(len(v.choices) - 1 for v in world.space.variables) in found


def test_greedy_interpolates_sensitivities_that_the_budget_does_not_allow():
    world = World(8, 20, 2)
    found = list(world.run("greedy", budget=60, bound="accuracy>=0.8"))
    alone = [c for c in found if sum(1 for i in c if i) == 1]
    assert {c for c in alone if 20 in c} == {
        tuple(20 if i == v else 0 for i in range(8)) for v in range(8)
    }
    limit = 0.8
    results = world.run("greedy", budget=60, bound=f"accuracy>={limit}")
    uniform = [tuple([i] * 8) for i in range(21)]
    best_uniform = min(world.cost(c) for c in uniform if world.accuracy(c) >= limit)
    assert world.cheapest(results, limit) < best_uniform


def test_nsga2_beats_uniform_and_drawn_configurations():
    limit, saved, saved_by_drawing = 0.85, 0.0, 0.0
    for seed in range(5):
        world = World(8, 12, seed)
        results = world.run("nsga2", budget=400, bound=f"accuracy>={limit}", seed=seed)
        assert len(results) == 400 and world.space.exact in results
        uniform = [tuple([i] * 8) for i in range(13)]
        best_uniform = min(world.cost(c) for c in uniform if world.accuracy(c) >= limit)
        assert world.cheapest(results, limit) < best_uniform
        drawn = world.run("exhaustive", budget=400, seed=seed)
        exact = world.cost(world.space.exact)
        saved += 1 - world.cheapest(results, limit) / exact
        saved_by_drawing += 1 - world.cheapest(drawn, limit) / exact
    assert saved > 1.05 * saved_by_drawing


def test_nsga2_ends_when_everything_is_measured():
    assert len(World(2, 2, 0).run("nsga2", budget=500)) == 9


@pytest.mark.parametrize("strategy", SEARCHES)
def test_the_same_seed_takes_the_same_way(strategy):
    world = World(5, 6, 3)
    first = list(world.run(strategy, budget=70, seed=5, bound="accuracy>=0.8"))
    assert first == list(world.run(strategy, budget=70, seed=5, bound="accuracy>=0.8"))
    if strategy != "greedy":  # it draws nothing
        assert first != list(world.run(strategy, budget=70, seed=6, bound="accuracy>=0.8"))


@pytest.mark.parametrize("strategy", SEARCHES)
@pytest.mark.parametrize("budget", [1, 2, 3, 7])
def test_small_budgets(strategy, budget):
    found = len(World(3, 3, 0).run(strategy, budget=budget))
    # The greedy search may be done before.
    assert found == budget or (strategy == "greedy" and budget == 7 and found > 3)


@pytest.mark.parametrize("strategy", SEARCHES)
def test_one_variable_with_one_choice(strategy):
    assert set(World(1, 1, 0).run(strategy, budget=50)) == {(0,), (1,)}


class Noise:
    """A choice's error is its place; a variable stands the more, the less it loses."""

    def __init__(self, world):
        self._world = world
        self.errors = [
            np.arange(len(variable.choices), dtype=float)[:, None]
            for variable in world.space.variables
        ]

    def levels(self, shares, seed):
        assert sum(shares) == pytest.approx(1) and min(shares) > 0
        for weight in np.linspace(0, 6, 13):
            yield [np.array([weight / (0.2 + worst)]) for worst in self._world._worst]


def test_agn_takes_the_cheapest_choices_below_the_levels():
    world = World(4, 6, 1)
    found = list(world.run("agn", noise=Noise(world)))
    wanted = [
        tuple(int(min(weight / (0.2 + worst), 6)) for worst in world._worst)
        for weight in np.linspace(0, 6, 13)
    ]
    assert found == list(dict.fromkeys(wanted)) and len(found) > 5


def test_agn_goes_on_between_two_configurations_where_there_is_a_bound():
    limit, cheaper = 0.9, 0
    for seed in range(5):
        world = World(4, 6, seed)
        path = world.run("agn", noise=Noise(world))
        found = world.run("agn", noise=Noise(world), bound=f"accuracy>={limit}")
        assert path.keys() <= found.keys() and len(found) <= len(path) + 4
        cheaper += world.cheapest(found, limit) < world.cheapest(path, limit)
    assert cheaper > 1


def test_agn_spreads_a_small_budget():
    world = World(4, 6, 1)
    path = list(world.run("agn", noise=Noise(world)))
    found = list(world.run("agn", noise=Noise(world), budget=4))
    assert len(found) == 3 and {path[0], path[-1]} < set(found)


def test_agn_needs_sums_of_products():
    world = World(2, 2, 0)
    empty = Noise(world)
    empty.errors = [np.empty((3, 0))] * 2
    for noise in (None, empty):
        with pytest.raises(InputError, match="is for products of codes and weights"):
            world.run("agn", noise=noise)


def test_unknown_strategies():
    with pytest.raises(InputError, match=r"unknown strategy 'nsga3'; did you mean 'nsga2'\?"):
        strategy_named("nsga3")


SPACE = {
    "scope": "layer",
    "cores": [{"op": "mulf", "core": "fmul_trunc", "parameters": {"P": [10, 16, 22]}}],
}


@pytest.fixture
def quick_clocks(monkeypatch):
    """Areas are synthesised; place and route, which test_hardware_synth tries, is a formula."""
    real = costs.synthesize

    def synthesize(instance, *, target, route=True, seeds=1):
        asked.append(route)
        luts = real(instance, target=target, route=False)["luts"]
        return {"luts": luts, "fmax_mhz_by_seed": {"1": 2e4 / (luts + 100)}}

    asked: list[bool] = []
    monkeypatch.setattr(costs, "synthesize", synthesize)
    yield
    assert any(asked), "clocks were measured elsewhere, by place and route"


def test_a_search_by_layer_and_energy(conv, conv_data, tmp_path, quick_clocks):
    store = tmp_path / "s.sqlite"
    bound = "accuracy>=0.85 and area_proxy<=100000"
    full = explore(conv, conv_data, SPACE, store=store, cost="energy_proxy", choose=bound)
    assert len(full.results) == full.space.size == 16 and full.chosen is not None
    assert set(full.exact.costs) == {"area_proxy", "delay_proxy", "energy_proxy"}
    best = min(
        (r for r in full.results if r.accuracy >= 0.85), key=lambda r: r.costs["energy_proxy"]
    )
    assert (
        full.chosen.costs["energy_proxy"]
        == best.costs["energy_proxy"]
        < full.exact.costs["energy_proxy"]
    )
    for strategy in ("greedy", "nsga2"):
        found = explore(
            *(conv, conv_data, SPACE),
            store=store,
            cost="energy_proxy",
            choose=bound,
            strategy=strategy,
            budget=14,
        )
        assert found.evaluated == 0 and len(found.results) <= 14
        assert found.chosen is not None
        assert found.chosen.accuracy >= 0.85
    front = full.front()
    assert [r.accuracy for r in front] == sorted(r.accuracy for r in front)
    for result in full.results:
        assert any(
            r.accuracy >= result.accuracy
            and r.costs["energy_proxy"] <= result.costs["energy_proxy"]
            for r in front
        )
    most = choose(full, "energy_proxy<=1e12", maximize="accuracy")
    assert most.accuracy == max(r.accuracy for r in full.results)
    least = choose(full, "accuracy>=0.85", minimize="area_proxy")
    assert least.costs["area_proxy"] == min(
        r.costs["area_proxy"] for r in full.results if r.accuracy >= 0.85
    )
    with pytest.raises(AsnetError, match="no configuration satisfies accuracy>=0.99; the most acc"):
        choose(full, "accuracy>=0.99")


def test_a_budget_ends_the_same_way_from_an_empty_and_from_a_full_store(conv, conv_data, tmp_path):
    arguments = {"strategy": "nsga2", "budget": 9, "seed": 2, "choose": "accuracy>=0.85"}
    alone = explore(conv, conv_data, SPACE, store=tmp_path / "a.sqlite", **arguments)
    explore(conv, conv_data, SPACE, store=tmp_path / "b.sqlite")
    again = explore(conv, conv_data, SPACE, store=tmp_path / "b.sqlite", **arguments)
    assert (alone.evaluated, again.evaluated) == (9, 0)
    assert [r.configuration for r in alone.results] == [r.configuration for r in again.results]
    assert alone.chosen.configuration == again.chosen.configuration


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0}, "the budget must be at least 1 configuration, not 0"),
        ({"budget": -5}, "the budget must be at least 1"),
        ({"strategy": "greddy"}, "unknown strategy 'greddy'; did you mean 'greedy'"),
        ({"cost": "power"}, "unknown cost 'power'; costs are area, cycles, .* and none"),
        ({"choose": "area<=3"}, "the area is not known with --cost none; give --cost area"),
        ({"choose": "area_proxy<=3", "cost": "delay_proxy"}, "--cost delay_proxy,area_proxy"),
        ({"minimize": "area"}, "--minimize area: the area is not known with --cost none"),
        ({"minimize": "speed"}, "--minimize speed: costs are"),
        ({"maximize": "area"}, "only 'accuracy' can be maximized"),
        ({"minimize": "area", "maximize": "accuracy"}, "give either --minimize or --maximize"),
        ({"strategy": "nsga2", "only_axes": True}, "--axes goes with the strategy exhaustive"),
    ],
)
def test_bad_options(conv, conv_data, options, message):
    with pytest.raises(InputError, match=message) as error:
        explore(conv, conv_data, SPACE, **options)
    assert "\n" not in str(error.value)


def test_several_strategies_and_seeds_are_studies_of_one_front(conv, conv_data, tmp_path):
    """Each is the study that it would be alone; a strategy that draws nothing has one seed."""
    store = tmp_path / "s.sqlite"
    options = {"budget": 6, "choose": "accuracy>=0.5"}
    found = explore(
        conv, conv_data, SPACE, store=store, strategy="greedy, nsga2", seed=3, seeds=2, **options
    )
    assert [search.label for search in found.searches] == [
        "greedy, seed 3",
        "nsga2, seed 3",
        "nsga2, seed 4",
    ]
    for search in found.searches:
        alone = explore(
            conv,
            conv_data,
            SPACE,
            strategy=search.strategy,
            seed=search.seed,
            store=store,
            **options,
        )
        assert alone.evaluated == 0 and alone.study == search.study
        assert alone.results == tuple(
            dataclasses.replace(one, stored=True) for one in search.results
        )
    measured = {one.configuration for search in found.searches for one in search.results}
    assert len(found.results) == len(measured) and found.chosen in found.results
    volumes = found.volumes()
    assert all(list(one) == sorted(one) and 0 <= one[0] <= one[-1] <= 1 for one in volumes)
    told = found.to_json()["searches"]
    assert [one["evaluations"] for one in told] == [len(s.results) for s in found.searches]
    with Store(store) as opened:
        assert [s.state for s in opened.studies()] == ["done"] * 3
    with pytest.raises(InputError, match="the number of seeds must be at least 1, not 0"):
        explore(conv, conv_data, SPACE, seeds=0)
