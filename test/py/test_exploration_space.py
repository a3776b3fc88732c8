# SPDX-License-Identifier: Apache-2.0
"""Layers and their op counts, design spaces, keys, bounds and costs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asnet_mlir.binding import Binding
from asnet_mlir.compiler import to_approx
from asnet_mlir.cores import load_core
from asnet_mlir.data import Dataset
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation import Evaluator, Session
from asnet_mlir.evaluation.recorded_operands import record_operands
from asnet_mlir.exploration import keys, load_constraints
from asnet_mlir.exploration.costs import CostModel, Proxies, exact_instances, measure_costs
from asnet_mlir.exploration.criterion import Criterion
from asnet_mlir.exploration.layers import Layer, network_layers
from asnet_mlir.exploration.space import DesignSpace
from asnet_mlir.exploration.store import InstanceCost, Store
from asnet_mlir.metrics.class_metrics import Accuracy

PROXIES = ("area_proxy", "delay_proxy", "energy_proxy")
LAYERS = (Layer("a", {"mulf": 6, "addf": 5}), Layer("b", {"divf": 2, "mulf": 1}))


def constraints(scope: str = "network", **ops: list[int]):
    cores = {"mulf": "fmul_trunc", "divf": "fdiv_trunc"}
    entries = [{"op": op, "core": cores[op], "parameters": {"P": ps}} for op, ps in ops.items()]
    return load_constraints({"scope": scope, "cores": entries})


def test_op_counts_of_a_convolutional_network(conv):
    layers = network_layers(to_approx(conv, 1))
    macs, windows = 6 * 6 * 4 * 9, 3 * 3 * 4 * 4
    assert [layer.name for layer in layers] == ["conv", "pool", "dense"]
    assert layers[0].ops == {"mulf": macs, "addf": macs, "maxf": 6 * 6 * 4}
    assert layers[1].ops == {"maxf": windows}
    assert layers[2].ops == {"mulf": 36 * 5, "addf": 36 * 5}
    assert network_layers(to_approx(conv, 4), 4) == layers


def test_op_counts_are_what_the_evaluator_runs(conv, conv_data, mlp):
    """Each execution of an op is counted by a callback in its place."""
    mlp_data = Dataset("m", np.ones((3, 13), np.float32), np.zeros(3, np.int64))
    for layer in network_layers(to_approx(conv, 1)):
        for op, count in layer.ops.items():
            a, _ = record_operands(conv, conv_data.head(3), op, layer.name)
            assert len(a) == 3 * count, (layer.name, op)
    layers = network_layers(to_approx(mlp, 1))
    assert {layer.name for layer in layers} >= {"layer0", "layer1"}
    for op in ("mulf", "addf", "divf", "maxf", "subf"):  # of all layers, those without a name too
        a, _ = record_operands(mlp, mlp_data, op)
        assert len(a) == 3 * sum(layer.ops.get(op, 0) for layer in layers)


def test_spaces_by_layer():
    space = DesignSpace.of(constraints("layer", mulf=[20, 21, 22], divf=[22]), LAYERS)
    assert [(v.label, len(v.choices)) for v in space.variables] == [
        ("mulf@a", 4),
        ("mulf@b", 4),
        ("divf@b", 2),
    ]
    configurations = list(space.configurations())
    assert len(configurations) == space.size == 32 and configurations[0] == space.exact
    assert space.binding((3, 1, 1)).pass_option == "mulf@a=1,mulf@b=2,divf@b=3"
    assert [space.binding(c).label for c in itertools.islice(configurations, 1, 3)] == [
        "divf@b=fdiv_trunc:P=22",
        "mulf@b=fmul_trunc:P=20",
    ]
    assert space.steps((3, 0, 1)) == 2


def test_candidates_of_some_layers_only():
    entry = {"op": "mulf", "core": "fmul_trunc", "parameters": {"P": [20, 22]}}
    other = {"op": "mulf", "core": "fmul_trunc", "parameters": {"P": [10]}, "layers": ["b"]}
    layers = (*LAYERS, Layer("b/c", {"mulf": 1}))
    space = DesignSpace.of(load_constraints({"scope": "layer", "cores": [entry, other]}), layers)
    assert [(v.label, len(v.choices)) for v in space.variables] == [
        ("mulf@a", 3),
        ("mulf@b", 4),
        ("mulf@b/c", 4),
    ]
    alone = DesignSpace.of(load_constraints({"scope": "layer", "cores": [other]}), LAYERS)
    assert [v.label for v in alone.variables] == ["mulf@b"]
    with pytest.raises(InputError, match=r"cores\[0\].layers: needs the scope 'layer'"):
        load_constraints({"cores": [other]})
    wrong = {**other, "layers": ["dnse"]}
    named = (Layer("dense", {"mulf": 1}), Layer("conv", {"mulf": 1, "divf": 1}))
    message = "no layer 'dnse' with mulf in the network; did you mean 'dense'.*mulf: dense, conv"
    with pytest.raises(InputError, match=message):
        DesignSpace.of(load_constraints({"scope": "layer", "cores": [wrong]}), named)
    wrong = {"op": "divf", "core": "fdiv_trunc", "layers": ["dense"]}  # it has no divf
    with pytest.raises(InputError, match="no layer 'dense' with divf"):
        DesignSpace.of(load_constraints({"scope": "layer", "cores": [wrong]}), named)


def test_spaces_that_fit_no_network():
    with pytest.raises(InputError, match="no divf in the network; it has mulf, addf"):
        DesignSpace.of(constraints(divf=[1]), LAYERS[:1])
    with pytest.raises(InputError, match="scope 'layer', but the network names no layers with mul"):
        DesignSpace.of(constraints("layer", mulf=[1]), [Layer("", {"mulf": 1})])


def test_the_exact_choice_inside_a_bound_scope():
    """`mulf@net` also binds `net/inner`, unless that has a rule of its own."""
    layers = (Layer("net", {"mulf": 1}), Layer("net/inner", {"mulf": 1}))
    space = DesignSpace.of(constraints("layer", mulf=[22]), layers)
    exact = keys.exact_hashes()
    truncating = load_core("fmul_trunc").instance({"P": 22}).content_hash
    for configuration in space.configurations():
        assigned = keys.assignment(space.binding(configuration), layers, exact)
        bound = [layer.name for layer, c in zip(layers, configuration, strict=True) if c]
        assert assigned == tuple((name, "mulf", truncating) for name in bound)


def key(*rules: str) -> str:
    assigned = keys.assignment(Binding.parse(rules), LAYERS, keys.exact_hashes())
    return keys.evaluation_key("network", "dataset", assigned, "accuracy")


def test_keys_are_those_of_what_is_computed():
    trunc = "mulf=fmul_trunc:P=20"
    same = [key(trunc), key("mulf@a=fmul_trunc:P=20", "mulf@b=fmul_trunc:P=20")]
    assert len(set(same)) == 1
    assert key() == key("mulf=fmul") == key("maxf=fmax")  # exact, and an op that does not occur
    different = [
        key(),
        key(trunc),
        key("mulf=fmul_trunc:P=21"),
        key("mulf@a=fmul_trunc:P=20"),
        key("mulf@b=fmul_trunc:P=20"),
        key(trunc, "divf=fdiv_trunc:P=20"),
        key(trunc, "mulf@b=fmul"),
    ]
    assert len(set(different)) == len(different) - 1  # the last is mulf@a alone
    assert different[-1] == different[3]


def test_keys_of_networks_and_data(conv, mlp):
    import dataclasses

    text = to_approx(conv, 1)
    base = keys.network_key(conv, text)
    weight = conv.weights[0]
    value = weight.value.copy()
    value.flat[0] = np.nextafter(value.flat[0], np.float32(9))
    changed = dataclasses.replace(
        conv, weights=(dataclasses.replace(weight, value=value), *conv.weights[1:])
    )
    assert keys.network_key(changed, text) != base != keys.network_key(mlp, to_approx(mlp, 1))
    x, y = np.zeros((3, 2), np.float32), np.array([0, 1, 0])
    other = x.copy()
    other[2, 1] = -0.0
    found = {
        keys.dataset_key(Dataset("d", *pair))
        for pair in ((x, y), (other, y), (x, y[::-1] * 2), (x[:2], y[:2]))
    }
    assert len(found) == 4 and keys.dataset_key(Dataset("renamed", x, y)) in found


def test_sessions_give_the_evaluators_outputs(conv, conv_data):
    session = Session(conv, conv_data)
    binding = Binding.parse(["mulf@conv=fmul_trunc:P=22"])
    whole = Evaluator(conv, binding).outputs(conv_data.x)
    assert np.array_equal(session.outputs(binding), whole)
    assert np.array_equal(session.outputs(binding, 7, 50), whole[7:50])
    right = np.argmax(whole, axis=1) == conv_data.y
    assert np.array_equal(session.judge.count(session.outputs(binding)), right)
    assert np.array_equal(session.judge.count(session.outputs(binding, 100), 100), right[100:])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("acuracy>=0.9", "unknown figure 'acuracy'; did you mean 'accuracy'"),
        ("zzz>=0.9", "unknown figure 'zzz'; known are accuracy, .*area, cycles, "),
        ("accuracy=0.9", "write a bound as accuracy>=0.9"),
        ("accuracy>=0.9 or area<=3", "write a bound as"),
        ("accuracy>=0.9 and", "write a bound as"),
        ("accuracy>=nan", "write a bound as"),
        ("accuracy>=1e", "write a bound as"),
        ("", "write a bound as"),
        ("area<=90%", "the area is not in per cent, only a share is"),
    ],
)
def test_bounds_that_cannot_be_read(text, message):
    with pytest.raises(InputError, match=message) as error:
        Criterion.parse(text)
    assert "\n" not in str(error.value)


def test_bounds():
    criterion = Criterion.parse("accuracy >= 90 % and area<=2000")
    assert criterion.holds({"accuracy": 0.9, "area": 2000})
    assert not criterion.holds({"accuracy": 0.9, "area": 2000.5})
    assert not criterion.holds({"accuracy": 0.89, "area": 0})
    for cost, known in (
        ("none", False),
        ("area", True),
        ("delay_proxy", False),
        ("lut_time", True),
    ):
        if known:
            criterion.check_costs(cost)
        else:
            with pytest.raises(InputError, match="the area is not known with --cost"):
                criterion.check_costs(cost)


@given(
    samples=st.integers(1, 3000),
    limit=st.floats(0, 1.001, allow_nan=False).map(lambda v: round(v, 6)),
    relation=st.sampled_from([">", ">="]),
)
def test_how_many_must_be_right(samples, limit, relation):
    criterion = Criterion.parse(f"accuracy{relation}{limit:.6f}")
    needed = criterion.least_correct(samples, Accuracy())
    assert needed == 0 or not criterion.good((needed - 1) / samples, Accuracy())
    assert needed == samples + 1 or criterion.good(needed / samples, Accuracy())


def figures(space: DesignSpace) -> dict[str, InstanceCost]:
    """Made-up figures: area counts 100, 101, .., delay 10, 11, .. in order of appearance."""
    instances = [
        *exact_instances(space.layers).values(),
        *(c for v in space.variables for c in v.choices if c is not None),
    ]
    unique = {i.content_hash: i for i in instances}
    return {
        h: InstanceCost(h, "ecp5", i.core.op or "", i.label, 100.0 + n, 10.0 + n)
        for n, (h, i) in enumerate(unique.items())
    }


@pytest.mark.parametrize("scope", ["network", "layer"])
def test_costs_are_sums_over_ops_and_distinct_instances(scope):
    layers = (*LAYERS, Layer("c", {"subf": 3}))
    space = DesignSpace.of(constraints(scope, mulf=[20, 21], divf=[22]), layers)
    table = figures(space)
    model = Proxies(PROXIES, space, table)
    exact = exact_instances(layers)
    assert exact["subf", "f32"] == exact["addf", "f32"]  # hardware subtracts with the adder
    for configuration in space.configurations():
        area, delay, energy = {}, 0.0, 0.0
        assigned = {
            (layer, op): instance
            for layer, op, instance in keys.assignment(
                space.binding(configuration), layers, keys.exact_hashes()
            )
        }
        for layer in layers:
            for op, count in layer.ops.items():
                figure = table[assigned.get((layer.name, op), exact[op, "f32"].content_hash)]
                area[figure.content_hash] = figure.area
                delay += count * figure.delay
                energy += count * figure.delay * figure.area
        assert model.figures(configuration) == pytest.approx(
            {"area_proxy": sum(area.values()), "delay_proxy": delay, "energy_proxy": energy}
        )
        for cost in ("area_proxy", "delay_proxy"):
            alone = Proxies([cost], space, table).figures(configuration)
            assert alone == {cost: pytest.approx(model.figures(configuration)[cost])}
    # A file's own binding stands where a configuration has no rule, and costs what it binds.
    bound = Binding.parse(["mulf@a=fmul_trunc:P=21", "addf=fadd"])
    truncating = bound.rules[0].instance.content_hash
    given = Proxies(PROXIES, space, table, bound).figures(space.exact)["delay_proxy"]
    plain = Proxies(PROXIES, space, table).figures(space.exact)["delay_proxy"]
    change = table[truncating].delay - table[exact["mulf", "f32"].content_hash].delay
    assert given - plain == pytest.approx(6 * change)
    assert CostModel("none", space).figures(space.exact) == {}
    assert CostModel("none", space).minimized(space.exact) == len(space.variables)


@pytest.mark.parametrize(
    ("cost", "fmax", "area", "delay"),
    [
        ("area_proxy", 80.0, 321.0, None),
        ("delay_proxy", 80.0, None, 37.5),  # three registers, two of them inside: 3 x 12.5 ns
        ("energy_proxy", 80.0, 321.0, 37.5),
        ("energy_proxy", 70.0, 321.0, 42.857),
        ("energy_proxy", None, 321.0, 0.0),  # wires: nothing lies between registers
    ],
)
def test_what_an_instance_costs(monkeypatch, cost, fmax, area, delay):
    """Area as mapped, without place and route; delay after it, from register to register."""
    from asnet_mlir.exploration import costs

    asked = []

    def synthesize(instance, *, target, route=True, seeds=1):
        asked.append((instance.label, target, route))
        clock = fmax if route else 1.0
        return {"luts": 321 if not route else 999, "fmax_mhz_by_seed": {"1": clock}}

    monkeypatch.setattr(costs, "synthesize", synthesize)
    space = DesignSpace.of(
        load_constraints(
            {"cores": [{"op": "mulf", "core": "fmul_trunc", "parameters": {"P": 3, "LATENCY": 2}}]}
        ),
        (Layer("a", {"mulf": 4}),),
    )
    with Store(None) as store:
        model = measure_costs(cost, space, store)
        stored = {figure.label: figure for figure in store.costs()}
    trunc = stored["fmul_trunc:P=3,LATENCY=2"]
    assert (trunc.target, trunc.op, trunc.area, trunc.delay) == ("ecp5", "mulf", area, delay)
    assert len(stored) == 2  # the exact core, too
    assert {route for _, _, route in asked} == {
        *([False] if area is not None else []),
        *([True] if delay is not None else []),
    }
    figures = model.figures((1,))
    energy = 4 * (area or 0) * (delay or 0)
    expected = {"area_proxy": area, "delay_proxy": 4 * (delay or 0), "energy_proxy": energy}
    wanted = expected if cost == "energy_proxy" else {cost: expected[cost]}
    assert figures == pytest.approx(wanted, abs=0.01)


def test_clocks_of_several_seeds_have_a_median_and_a_range(monkeypatch):
    """Of sums the ends are those of all units quick and of all units slow."""
    from asnet_mlir.exploration import costs

    # Both have a latency of 3: four periods.
    clocks = {"fmul": (400.0, 320.0, 500.0), "fmul_trunc": (800.0, 1000.0, 400.0)}

    def synthesize(instance, *, target, route=True, seeds=1):
        own = clocks[instance.core.name][:seeds]
        return {"luts": 300, "fmax_mhz_by_seed": dict(enumerate(own, 1))}

    monkeypatch.setattr(costs, "synthesize", synthesize)
    layers = (Layer("a", {"mulf": 4}), Layer("b", {"mulf": 2}))
    space = DesignSpace.of(constraints("layer", mulf=[20]), layers)
    with Store(None) as store:
        one = measure_costs("delay_proxy", space, store)
        assert one.figures((0, 0)) == {"delay_proxy": 60.0} and one.spreads((0, 0)) == {}
        model = measure_costs("energy_proxy", space, store, seeds=3)
    assert model.figures((0, 1))["delay_proxy"] == 4 * 10.0 + 2 * 5.0
    assert model.spreads((0, 1)) == {
        "delay_proxy": (4 * 8.0 + 2 * 4.0, 4 * 12.5 + 2 * 10.0),
        "energy_proxy": (300 * 40.0, 300 * 70.0),
    }


def test_a_label_says_what_all_layers_share_once():
    """What `--bind` makes of it computes the same."""
    layers = (Layer("a", {"mulf": 4, "addf": 4}), Layer("b", {"mulf": 2}))
    space = DesignSpace.of(constraints("layer", mulf=[20, 21]), layers)
    assert space.label((1, 1)) == "mulf=fmul_trunc:P=20"
    assert space.label((1, 2)) == "mulf@a=fmul_trunc:P=20 mulf@b=fmul_trunc:P=21"
    assert space.label((0, 1)) == "mulf@b=fmul_trunc:P=20" and space.label((0, 0)) == "exact"
    for configuration in space.configurations():
        label = space.label(configuration)
        parsed = Binding.parse([] if label == "exact" else label.split())
        for layer in layers:
            rules = [b.rule_for("mulf", layer.name) for b in (parsed, space.binding(configuration))]
            one, other = (rule and rule.instance for rule in rules)
            assert one == other
