# SPDX-License-Identifier: Apache-2.0
"""Evolution of circuits: ways of computing errors agree, and a search keeps its word."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asnet_mlir.cli.main import main
from asnet_mlir.cores.metrics.subject import Histogram
from asnet_mlir.errors import InputError
from asnet_mlir.evolution import _evolve, folder, search, starts
from asnet_mlir.evolution import problem as problems
from asnet_mlir.evolution.circuit import Builder, Circuit
from asnet_mlir.evolution.goal import Bound, Goal, parse_bounds
from asnet_mlir.evolution.problem import Problem, Task, arrays, exact_errors
from asnet_mlir.evolution.search import Search
from asnet_mlir.support import files


def operands(widths: tuple[int, int], signed: bool) -> tuple[np.ndarray, ...]:
    """Return codes and values of both operands of all pairs."""
    index = np.arange(1 << sum(widths), dtype=np.int64)
    codes = index & ((1 << widths[0]) - 1), index >> widths[0]
    values = tuple(
        np.where(signed & (code >> (width - 1)), code - (1 << width), code)
        for code, width in zip(codes, widths, strict=True)
    )
    return *codes, *values


def value_of(results: np.ndarray, width: int, signed: bool) -> np.ndarray:
    results = results.astype(np.int64)
    return np.where(signed & (results >> (width - 1)), results - (1 << width), results)


widths_of = st.tuples(st.integers(2, 5), st.integers(2, 5))


@settings(max_examples=40, deadline=None)
@given(widths_of, st.booleans(), st.integers(-2, 2), st.booleans(), st.booleans())
def test_exact_starts_are_exact(
    widths: tuple[int, int], signed: bool, more: int, booth: bool, dadda: bool
) -> None:
    a, b, x, y = operands(widths, signed)
    result = sum(widths) + more
    reduce = starts._dadda if dadda else starts._array
    circuit = starts.multiplier(widths, result, signed, reduce=reduce, booth=booth)
    assert (circuit.evaluate([a, b]).astype(np.int64) == x * y & ((1 << result) - 1)).all()
    for op, exact in (("addi", x + y), ("subi", x - y)):
        circuit = starts.adder(op, widths, result, signed)
        assert (circuit.evaluate([a, b]).astype(np.int64) == exact & ((1 << result) - 1)).all()


def test_the_constant_of_left_out_columns_makes_up_for_their_mean() -> None:
    exact = starts.multiplier((6, 6), 12, False)
    problem = Problem(Task(exact, False, "muli"))
    for cut in range(1, 11):
        circuit = starts.multiplier((6, 6), 12, False, cut=cut)
        assert abs(problem.errors(circuit).bias) <= (1 << cut) / 2
        assert circuit.area() < exact.area()


@st.composite
def circuits(draw: st.DrawFn, widths: tuple[int, int], bits: int) -> Circuit:
    builder = Builder(widths)
    literals = [0, *builder.operands[0], *builder.operands[1]]
    for _ in range(draw(st.integers(0, 25))):
        x, y = (draw(st.sampled_from(literals)) ^ draw(st.integers(0, 1)) for _ in range(2))
        gate = builder.differ if draw(st.booleans()) else builder.conjunction
        literals.append(gate(x, y))
    return builder.finish(
        [draw(st.sampled_from(literals)) ^ draw(st.integers(0, 1)) for _ in range(bits)]
    )


@settings(max_examples=60, deadline=None)
@given(
    st.data(),
    st.tuples(st.integers(2, 7), st.integers(2, 7)),
    st.booleans(),
    st.booleans(),
)
def test_compiled_figures_are_those_of_numpy(
    data: st.DataObject, widths: tuple[int, int], signed: bool, weighted: bool
) -> None:
    bits = data.draw(st.integers(1, 11))
    exact, circuit = (data.draw(circuits(widths, bits)) for _ in range(2))
    task = Task(exact, signed)
    histogram = None
    a, b, x, y = operands(widths, signed)
    weight = np.ones(a.size)
    if weighted:
        weight = np.random.default_rng(0).integers(0, 9, a.size) + (a == 0)
        histogram = Histogram(x, y, weight)
    want = value_of(exact.evaluate([a, b]), bits, signed)
    error = value_of(circuit.evaluate([a, b]), bits, signed) - want
    seen = {}
    for isa in ("avx512", "avx2", "baseline"):
        try:
            problem = Problem(task, histogram, isa=isa)
        except ValueError:  # this processor has it not
            continue
        seen[isa] = problem.errors(circuit)
    errors = seen["baseline"]
    assert set(map(repr, seen.values())) == {repr(errors)}
    assert np.abs(error).mean() == errors.MAE
    assert np.abs(error).max() == errors.WCE
    assert (error != 0).mean() == errors.EP
    assert errors.bias == error.mean()
    relative = np.abs(error) / np.maximum(1, np.abs(want))
    assert pytest.approx(relative.mean(), abs=1e-8) == errors.MRE
    if weighted:
        assert pytest.approx((np.abs(error) * weight).sum() / weight.sum(), rel=1e-6) == errors.WMED
        mean = (error * weight).sum() / weight.sum()
        assert pytest.approx(mean, rel=1e-6, abs=1e-6) == errors.Wbias
    else:
        assert errors.WMED is None and errors.Wbias is None
    assert exact_errors(task, circuit) == (errors.MAE, errors.WCE, errors.EP, errors.bias)


@pytest.mark.parametrize("signed", [False, True])
def test_all_pairs_of_more_bits_than_a_run_of_blocks_has(signed: bool) -> None:
    """Gates that the highest operand bits decide are left out; outputs may be constants there."""
    widths = (10, 9)
    exact = starts.multiplier(widths, 19, signed)
    task = Task(exact, signed)
    problem = Problem(task)
    rng = np.random.default_rng(4)
    for gates in (0, 40, 400):
        builder = Builder(widths)
        literals = [0, *builder.operands[0], *builder.operands[1]]
        for _ in range(gates):
            x, y = (int(v) ^ int(rng.integers(2)) for v in rng.choice(literals[-60:], 2))
            literals.append((builder.differ if rng.integers(2) else builder.conjunction)(x, y))
        outputs = [int(v) ^ int(rng.integers(2)) for v in rng.choice(literals, 19)]
        circuit = builder.finish(outputs)
        found = problem.errors(circuit)
        expected = (found.MAE, found.WCE, found.EP, found.bias)
        assert exact_errors(task, circuit, threads=1) == expected
    cut = starts.multiplier(widths, 19, signed, cut=9)
    found = problem.errors(cut)
    assert exact_errors(task, cut) == (found.MAE, found.WCE, found.EP, found.bias)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of a few thousand candidates."""
    monkeypatch.setattr(search, "_CANDIDATES", 3000)


def multiplier_search(goal: Goal, signed: bool = False, **more: object) -> Search:
    found = starts.starts("muli", (5, 5), 10, signed)
    one = Search(Problem(Task(found[0], signed, "muli")), goal, threads=2, **more)
    one.begin(found)
    return one


@pytest.mark.parametrize("objective", ["area", "power", "delay", "energy"])
def test_a_search_keeps_its_bounds_and_what_it_says_of_circuits(
    short: None, objective: str
) -> None:
    goal = Goal(parse_bounds(["MAE<=16", "WCE<=90"]), 6, 0.5, objective)
    one = multiplier_search(goal)
    before = [f.cost for f in one.found()]
    one.run(lambda counts: counts.rounds < 2)
    assert one.counts.candidates >= one.counts.measured >= one.counts.whole > 0
    found = one.found()
    assert min(f.cost for f in found) < min(before)
    a, b, x, y = operands((5, 5), False)
    for f in found:
        error = np.abs(f.circuit.evaluate([a, b]).astype(np.int64) - x * y)
        assert error.mean() == f.errors.MAE <= f.bound <= 16
        assert error.max() == f.errors.WCE <= 90
        assert f.cost == one.cost(f.circuit)
        if objective == "area":
            assert f.cost == f.circuit.area()
    for place, circuit in zip(goal.places(), one.circuits, strict=True):
        assert circuit is None or place >= one.problem.errors(circuit).MAE
    # The cost that the search kept is that of the circuit, counted anew.
    starts_again = [arrays(circuit) for circuit in one.circuits if circuit is not None]
    elites, _ = _evolve.search(one.problem.handle, goal.for_search(), starts_again, 5, 3000)
    for elite in elites:
        if elite is not None:
            assert elite[1] == one.cost(one._circuit(elite[0]))
    costs = [f.cost for f in found]
    assert costs == sorted(costs, reverse=True) and len(set(costs)) == len(costs)


@pytest.mark.parametrize("metric", ["MAE", "WCE", "EP", "bias", "MRE"])
def test_every_metric_is_bounded(short: None, metric: str) -> None:
    most = {"MAE": 4, "WCE": 20, "EP": 0.4, "bias": 1, "MRE": 0.05}[metric]
    limits = [Bound(metric, most)] + ([Bound("MAE", 50)] if metric == "bias" else [])
    one = multiplier_search(Goal(tuple(limits)), signed=True)
    exact = one.problem.task.exact
    one.run(lambda counts: counts.rounds < 1)
    (f,) = one.found()
    assert abs(getattr(f.errors, metric)) <= most
    assert metric == "bias" or getattr(f.errors, metric) > 0
    assert f.circuit.area() < exact.area()


def state(one: Search) -> list[bytes]:
    return [c.gates.tobytes() + c.outputs.tobytes() for c in one.circuits if c is not None]


def test_rounds_are_repeatable_and_an_interrupted_search_goes_on(
    short: None, tmp_path: Path
) -> None:
    goal = Goal(parse_bounds(["WCE<=64"]), 4, 4)
    whole, again = multiplier_search(goal, seed=3), multiplier_search(goal, seed=3)
    whole.run(lambda counts: counts.rounds < 2)
    again.run(lambda counts: counts.rounds < 1)
    folder.save_state(tmp_path, {"x": 1}, again)
    later = multiplier_search(goal, seed=3)
    assert folder.load_state(tmp_path, {"x": 1}, later)
    later.run(lambda counts: counts.rounds < 2)
    assert state(later) == state(whole)
    other = multiplier_search(goal, seed=4)
    other.run(lambda counts: counts.rounds < 2)
    assert state(other) != state(whole)
    with pytest.raises(InputError, match="has a search with x = 1, not 2"):
        folder.load_state(tmp_path, {"x": 2}, later)
    path = tmp_path / folder.STATE
    path.write_text(path.read_text().replace('"rounds":1', '"rounds":7'))
    with pytest.raises(InputError, match="damaged; remove it"):
        folder.load_state(tmp_path, {"x": 1}, later)


def test_kernels_of_every_kind_find_the_same_circuits(short: None) -> None:
    goal = Goal(parse_bounds(["MRE<=0.1"]), 3, 0.01)
    found = starts.starts("muli", (4, 4), 8, True)
    states = []
    for isa in ("avx512", "avx2", "baseline"):
        try:
            problem = Problem(Task(found[0], True, "muli"), isa=isa)
        except ValueError:
            continue
        one = Search(problem, goal, threads=1)
        one.begin(found)
        one.round()
        states.append(state(one))
    assert all(one == states[0] for one in states)


def test_errors_count_where_a_histogram_has_operands(short: None) -> None:
    found = starts.starts("muli", (5, 5), 10, False)
    small = Histogram(*(grid.ravel() for grid in np.mgrid[0:6, 0:6]))
    problem = Problem(Task(found[0], False, "muli"), small)
    weighted = Search(problem, Goal(parse_bounds(["WMED<=0.2"])), threads=1)
    weighted.begin(found)
    weighted.round()
    plain = multiplier_search(Goal(parse_bounds(["MAE<=0.2"])))
    plain.round()
    (a,), (b,) = weighted.found(), plain.found()
    assert a.errors.WMED is not None and a.errors.WMED <= 0.2 < a.errors.MAE
    assert a.cost < 0.7 * b.cost  # the upper operand bits are never seen


def weighted_problem(isa: str | None = None) -> tuple[Problem, np.ndarray]:
    """Return a problem whose operands are mostly small, and the weight of each pair's index.

    It has four blocks of pairs; those of the last one do not occur.
    """
    exact = starts.multiplier((7, 7), 14, True)
    a, _, x, y = operands((7, 7), True)
    weight = np.floor(1000 * np.exp(-(x**2 + 3 * y**2) / 900)) + 3 * (a == 0)
    assert 2 * 4096 < (weight > 0).sum() < 3 * 4096
    return Problem(Task(exact, True, "muli"), Histogram(x, y, weight), isa=isa), weight


@pytest.mark.parametrize("objective", ["area", "power", "energy"])
@pytest.mark.parametrize(
    "bounds", [["WMED<=16"], ["WMED<=16", "WCE<=900"], ["WMED<=16", "Wbias<=0.05"]]
)
def test_weighted_searches_keep_their_word(short: None, objective: str, bounds: list[str]) -> None:
    """Pairs are sorted, errors given up early, and activity is of pairs that are drawn."""
    states = []
    goal = Goal(parse_bounds(bounds), 5, 0.2, objective)
    for isa in ("avx512", "avx2", "baseline"):
        try:
            problem, weight = weighted_problem(isa)
        except ValueError:  # this processor has it not
            continue
        one = Search(problem, goal, threads=1)
        one.begin(starts.starts("muli", (7, 7), 14, True))
        one.round()
        states.append(state(one))
    assert all(other == states[0] for other in states)
    a, b, x, y = operands((7, 7), True)
    found = one.found()
    assert len(found) > 2 and one.counts.improved > 0
    for f in found:
        error = np.abs(value_of(f.circuit.evaluate([a, b]), 14, True) - x * y)
        wmed = (error * weight).sum() / weight.sum()
        assert pytest.approx(wmed, rel=1e-6) == f.errors.WMED
        assert f.bound >= f.errors.WMED and error.max() == f.errors.WCE
        assert "WCE<=900" not in bounds or error.max() <= 900
        wbias = (value_of(f.circuit.evaluate([a, b]), 14, True) - x * y) @ weight / weight.sum()
        assert "Wbias<=0.05" not in bounds or abs(wbias) <= 0.05
    # The cost that the search kept is that of the circuit, counted anew.
    circuits = [arrays(circuit) for circuit in one.circuits if circuit is not None]
    elites, _ = _evolve.search(one.problem.handle, goal.for_search(), circuits, 5, 9000)
    for elite, place in zip(elites, goal.places(), strict=True):
        if elite is not None:
            circuit = one._circuit(elite[0])
            assert elite[1] == one.cost(circuit)
            # No sum that was given up early was taken for a whole one.
            assert place >= problem.seen(circuit).WMED
            assert "Wbias<=0.05" not in bounds or abs(problem.seen(circuit).Wbias) <= 0.05


def cost_of(problem: Problem, circuit: Circuit, objective: str) -> int:
    goal = Goal(parse_bounds(["MAE<=1e9"]), objective=objective)
    return Search(problem, goal, threads=1).cost(circuit)


def test_power_is_of_the_operands_that_occur() -> None:
    exact = starts.multiplier((4, 4), 8, False)
    task = Task(exact, False, "muli")
    single = Problem(task, Histogram(np.array([11]), np.array([5])))
    assert cost_of(single, exact, "power") == 0  # nothing changes
    # a is 1 or 0, half of the time each, and b is 15: four partial products, four result bits.
    half = Problem(task, Histogram(np.array([0, 1]), np.array([15, 15])))
    changing = 4 * 1024  # the ANDs of a's lowest bit; sums pass through XORs with constants
    assert cost_of(half, exact, "power") >= 0.99 * changing
    uniform = Problem(task)
    a, b, _, _ = operands((4, 4), False)
    want = 0
    values = [np.zeros(a.size, bool)]
    values += [(code >> k & 1).astype(bool) for code in (a, b) for k in range(4)]
    for left, right, is_xor in exact.gates.tolist():
        x, y = values[left >> 1] ^ bool(left & 1), values[right >> 1] ^ bool(right & 1)
        values.append(x ^ y if is_xor else x & y)
        share = values[-1].mean()
        want += int(1024 * 4 * share * (1 - share)) * (1 + is_xor)
    assert cost_of(uniform, exact, "power") == want


def test_registers_are_of_bits_that_are_read_and_of_results_that_change() -> None:
    builder = Builder((3, 3))
    a, b = builder.operands
    both = builder.conjunction(a[1], b[2])
    # A constant, one value three times (once inverted), and an operand's bit.
    circuit = builder.finish([1, both, both ^ 1, both, a[0], 0])
    problem = Problem(Task(circuit, False))
    registers = cost_of(problem, circuit, "energy") - cost_of(problem, circuit, "power")
    one = cost_of(problem, builder.finish([a[0]] + 5 * [0]), "energy")  # a bit in, a bit out
    assert registers == (3 + 2) * one / 2 > 0


def test_only_circuits_that_are_of_use_are_kept(
    short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_CANDIDATES_TO_TRY", 3000)
    goal = Goal(parse_bounds(["MAE<=16"]), 6, 0.5)
    tried = []

    def keeps(circuit: Circuit) -> bool:
        tried.append(circuit)
        return bool(circuit.evaluate([np.array([3]), np.array([5])])[0] == 15)

    one = multiplier_search(goal, keeps=keeps)
    one.run(lambda counts: counts.rounds < 2)
    assert one.counts.tried > one.counts.kept > 0
    assert all(c is None or keeps(c) for c in one.circuits)
    assert min(f.cost for f in one.found()) < one.cost(one.problem.task.exact)
    again = multiplier_search(goal, keeps=keeps)
    again.run(lambda counts: counts.rounds < 2)
    assert state(again) == state(one)
    none = multiplier_search(goal)
    none.keeps = lambda circuit: False
    with pytest.raises(InputError, match="none of the 1 circuits to start with is of use"):
        none.begin([none.problem.task.exact])


@pytest.mark.parametrize("signed", [True, False])
def test_codes_of_a_network_are_symmetric(monkeypatch: pytest.MonkeyPatch, signed: bool) -> None:
    from asnet_mlir.evaluation import operand_samples

    a = np.array([0, 1.0, -2.0, 1.0, np.inf], np.float32)
    b = np.array([-8.0, 4.0, 4.0, 4.0, 0], np.float32)
    monkeypatch.setattr(
        operand_samples, "operand_samples", lambda *_, **__: Histogram(a, b, name="net")
    )
    # A network on floats, which has no codes of its own.
    monkeypatch.setattr(operand_samples, "load_model", lambda model: model)
    monkeypatch.setattr(operand_samples, "_integer_sums", lambda *_: [])
    found = operand_samples.operand_codes("net", "data", (4, 5), signed)
    assert found.weight is not None
    pairs = dict(
        zip(zip(found.a.tolist(), found.b.tolist(), strict=True), found.weight, strict=True)
    )
    # 2.0 and 8.0 are the largest codes: 7 and 15 beside a sign, else 15 and 31.
    want = (
        {(0, -15): 1, (4, 8): 2, (-7, 8): 1, (0, 0): 1}
        if signed
        else {(0, 31): 1, (8, 16): 2, (15, 16): 1, (0, 0): 1}
    )
    assert pairs == want


def test_operands_of_more_bits_are_measured_on_all_pairs_where_that_is_possible() -> None:
    found = starts.starts("muli", (11, 10), 21, False)
    problem = Problem(Task(found[0], False, "muli"))
    assert not problem.is_exhaustive
    cut = found[-2]  # what is left depends on the highest bits
    index = np.arange(1 << 21, dtype=np.int64)
    a, b = index & 2047, index >> 11
    error = cut.evaluate([a, b]).astype(np.int64) - a * b
    errors = problem.errors(cut)
    assert errors.exhaustive
    assert (np.abs(error).mean(), np.abs(error).max()) == (errors.MAE, errors.WCE)


@pytest.mark.parametrize(("op", "width", "result"), [("muli", 24, 48), ("addi", 32, 33)])
def test_wide_operands_have_figures_of_a_sample(op: str, width: int, result: int) -> None:
    found = starts.starts(op, (width, width), result, False)
    problem = Problem(Task(found[0], False, op), seed=1)
    errors = problem.errors(found[-width // 2])
    random = np.random.default_rng(2)
    a, b = random.integers(0, 1 << width, (2, 1 << 12))
    exact = (a * b if op == "muli" else a + b).astype(np.float64)
    error = found[-width // 2].evaluate([a, b]).astype(np.float64) - exact
    assert not errors.exhaustive
    assert pytest.approx(np.abs(error).mean(), rel=0.1) == errors.MAE
    assert errors.WCE >= np.abs(error).max() * 0.5 > 0
    relative = np.abs(error) / np.maximum(1, exact)
    assert pytest.approx(relative.mean(), rel=0.3) == errors.MRE


def test_what_is_no_circuit_is_refused() -> None:
    found = starts.starts("muli", (4, 4), 8, False)
    problem = Problem(Task(found[0], False, "muli"))
    gates, outputs = (array.copy() for array in arrays(found[0]))
    gates[0, 0] = 2 * found[0].first_gate  # a gate that is not there yet
    with pytest.raises(ValueError, match="operands stand before it"):
        _evolve.measure(problem.handle, (gates, outputs))
    with pytest.raises(ValueError, match="as many outputs"):
        _evolve.measure(problem.handle, (found[0].gates, outputs[:-1].copy()))
    with pytest.raises(ValueError, match="no 'sse9'"):
        Problem(Task(found[0], False), isa="sse9")


def test_a_bound_that_nothing_breaks_leaves_no_gate(short: None, tmp_path: Path) -> None:
    command = ["cores", "evolve", "--op", "muli", "--width", "3", "--bound", "MAE<=64"]
    assert main([*command, "--rounds", "1", "-o", str(tmp_path), "--threads", "1"]) == 0
    (entry,) = json.loads((tmp_path / "front.json").read_text())["circuits"]
    assert entry["gates"] == 0
    assert "input  wire [2:0] a" in (tmp_path / entry["file"]).read_text()
    assert main([*command, "--rounds", "2", "-o", str(tmp_path), "--threads", "1"]) == 0


VERILOG = """module odd(input [3:0] a, input [4:0] b, output reg [7:0] y);
  integer k;
  always @* begin
    y = 0;
    for (k = 0; k < 4; k = k + 1) if (a[k]) y = y + ((b << k) ^ {6'd0, b[1:0]});
    if (b == 5'd9) y = y | 8'h81;
  end
endmodule
"""


def test_any_core_is_a_start_and_what_comes_out_is_a_core(
    short: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from asnet_mlir.cores import core_from_verilog
    from asnet_mlir.evolution.core_circuit import circuit_of

    source = tmp_path / "odd.v"
    source.write_text(VERILOG)
    circuit = circuit_of(core_from_verilog([source], level="integer").instance())
    a, b, _, _ = operands((4, 5), False)
    want = np.zeros_like(a)
    for k in range(4):
        want = np.where(a >> k & 1, want + ((b << k) ^ (b & 3)), want) & 255
    want = np.where(b == 9, want | 0x81, want)
    assert (circuit.evaluate([a, b]).astype(np.int64) == want).all()

    command = ["cores", "evolve", "--from", str(source), "--bound", "MAE<=6", "--rounds", "1"]
    command += ["-o", str(tmp_path / "out"), "--threads", "1", "--json"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    (entry,) = told["circuits"]
    again = circuit_of(core_from_verilog([tmp_path / "out" / entry["file"]]).instance())
    error = np.abs(again.evaluate([a, b]).astype(np.int64) - want)
    assert error.mean() == entry["errors"]["MAE"] <= 6
    assert entry["gates"] < len(circuit.gates)


def test_characterization_of_an_evolved_core_is_what_its_front_says(
    short: None, tmp_path: Path
) -> None:
    from asnet_mlir.cores import core_from_verilog
    from asnet_mlir.cores.metrics.characterize import characterize

    command = ["cores", "evolve", "--op", "muli", "--width", "4x5", "--signed", "--rounds", "1"]
    command += ["--bound", "WCE<=9", "-o", str(tmp_path), "--threads", "1"]
    assert main(command) == 0
    (entry,) = json.loads((tmp_path / "front.json").read_text())["circuits"]
    instance = core_from_verilog([tmp_path / entry["file"]], op="muli").instance()
    metrics = characterize(instance).metrics
    for name in ("MAE", "WCE", "EP", "bias"):
        assert metrics[name] == entry["errors"][name]
    assert metrics["MRE"] == pytest.approx(entry["errors"]["MRE"], rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--op", "muli"], "name the function"),
        (["--op", "mulf", "--width", "8"], "evolution starts from muli, addi or subi"),
        (["--op", "muli", "--width", "8y8"], "write 8, or 8x6"),
        (["--op", "muli", "--width", "1"], "at least 2 bits"),
        (["--op", "muli", "--width", "32"], "at most 64 and 48 can be searched"),
        (["--op", "muli", "--width", "4", "--result", "9"], "from 1 to 8, not 9"),
        (["--op", "muli", "--width", "4", "--points", "3", "--least", "9"], "a front goes from"),
        (["--op", "muli", "--width", "4", "--minimize", "cost"], "one of area, power, delay"),
        (["--op", "muli", "--width", "4", "--budget", "soon"], "write a time such as"),
        (["--op", "muli", "--width", "4", "--data", "mnist"], "--data is for --weights"),
        (["--op", "muli", "--width", "4", "--weights", "w"], "a network needs --data"),
        (["--op", "muli", "--width", "4", "--start", "drum"], "--start drum: has operands of"),
        (["--op", "muli", "--width", "4", "--bound", "WMED<=1"], "needs a histogram"),
        (["--op", "muli", "--width", "4", "--bound", "Wbias<=1"], "bound on Wbias needs a hist"),
        (["--op", "muli", "--width", "4", "--bound", "WCE<=3"], "WCE has two bounds"),
        (["--op", "muli", "--width", "4", "--bound", "PSNR<=3"], "METRIC one of MAE, WCE"),
        (["--from", "{here}/none.v"], "none.v"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [argument.replace("{here}", str(tmp_path)) for argument in arguments]
    rest = ["--bound", "WCE<=4", "-o", str(tmp_path / "out")]
    assert main(["cores", "evolve", *rest, *filled]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_histogram_of_another_width_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Histogram(np.array([3, 17]), np.array([1, 2])).save(tmp_path / "h.npz")
    command = ["cores", "evolve", "--op", "muli", "--width", "4", "--bound", "WMED<=1"]
    command += ["--weights", str(tmp_path / "h.npz"), "-o", str(tmp_path / "out")]
    assert main(command) == 2
    assert "h.npz: 'a' has 3 to 17, more than the 4 bits (unsigned)" in capsys.readouterr().err


def test_starts_that_break_the_bounds_are_named_with_their_least() -> None:
    found = starts.starts("muli", (4, 4), 8, False)
    one = Search(Problem(Task(found[0], False, "muli")), Goal(parse_bounds(["MAE<=0.01"])))
    with pytest.raises(InputError, match=r"none of the 1 circuits .*the least is 4") as error:
        one.begin([found[-3]])
    assert "MAE<=0.01" in str(error.value)


def test_a_front_replaces_the_one_before_it(short: None, tmp_path: Path) -> None:
    command = ["cores", "evolve", "--op", "addi", "--width", "6", "--bound", "MAE<=4", "--points"]
    command += ["3", "-o", str(tmp_path), "--threads", "1"]
    assert main([*command, "--rounds", "1"]) == 0
    assert main([*command, "--rounds", "2"]) == 0
    front = json.loads((tmp_path / "front.json").read_text())
    assert front["counts"]["rounds"] == 2
    files = {path.name for path in tmp_path.glob("*.v")}
    assert files == {entry["file"] for entry in front["circuits"]}


def test_a_start_that_breaks_the_bounds_is_named(
    short: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = starts.starts("muli", (4, 4), 8, False)
    for name, circuit in (("bad", found[-1]), ("good", found[-6])):
        (tmp_path / f"{name}.v").write_text(circuit.verilog(name))
    command = ["cores", "evolve", "--op", "muli", "--width", "4", "--bound", "MAE<=4", "--rounds"]
    command += ["0", "-o", str(tmp_path / "out"), "--threads", "1"]
    for name in ("bad", "good"):
        command += ["--start", str(tmp_path / f"{name}.v")]
    assert main(command) == 0
    error = capsys.readouterr().err
    assert "bad.v: breaks MAE<=4 (it has " in error and "the search begins without it" in error
    assert "good.v" not in error


def test_a_killed_search_goes_on_where_it_was(short: None, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom asnet_mlir.cli.main import main\n"
        "from asnet_mlir.evolution import search\n"
        "search._CANDIDATES = 3000\nsys.exit(main(sys.argv[1:]))\n"
    )
    command = ["cores", "evolve", "--op", "muli", "--width", "4", "--bound", "WCE<=64"]
    command += ["--points", "4", "--least", "4", "--threads", "1"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    endless = [*command, "--rounds", "1000000", "-o", str(killed)]
    process = subprocess.Popen([sys.executable, "-c", program, *endless])
    deadline = time.monotonic() + 120
    try:
        while rounds_of(killed) < 2:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    rounds = rounds_of(killed) + 2
    for out in (killed, whole):
        assert main([*command, "--rounds", str(rounds), "-o", str(out)]) == 0
    fronts = [json.loads((out / "front.json").read_text()) for out in (killed, whole)]
    assert fronts[0]["circuits"] == fronts[1]["circuits"]
    assert fronts[0]["counts"]["rounds"] == rounds


def test_where_a_sample_misled_the_search_the_exact_circuit_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(problems, "_EXHAUSTIVE_BITS", 4)
    # Wrong for one pair of 2^22, which no sample of 2^16 is likely to have.
    exact = starts.adder("addi", (11, 11), 12, False)
    builder = Builder((11, 11))
    a, b = builder.operands
    total, _ = builder.add([*a, 0], [*b, 0], 0)
    all_ones = 1
    for bit in (*a, *b):
        all_ones = builder.conjunction(all_ones, bit)
    wrong = builder.finish([*total[:-1], total[-1] ^ all_ones])
    one = Search(Problem(Task(exact, False, "addi")), Goal(parse_bounds(["WCE<=3"])))
    one.circuits = [wrong]
    (found,) = one.found()
    assert found.circuit is exact and found.errors.WCE == 0 and one.left_out == 1
    one.circuits = [exact]
    assert [f.circuit for f in one.found()] == [exact] and one.left_out == 0


def rounds_of(out: Path) -> int:
    """Return how many rounds a search's state has."""
    path = out / folder.STATE
    return json.loads(path.read_text())["counts"]["rounds"] if path.exists() else 0


def test_a_full_disk_leaves_the_state_before(
    short: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["cores", "evolve", "--op", "muli", "--width", "4", "--bound", "WCE<=64"]
    command += ["-o", str(tmp_path), "--threads", "1", "--rounds"]
    assert main([*command, "1"]) == 0
    before = (tmp_path / folder.STATE).read_bytes()

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    capsys.readouterr()
    assert main([*command, "2"]) == 1
    error = capsys.readouterr().err
    assert "search.json: can't be written: No space left on device" in error
    assert (tmp_path / folder.STATE).read_bytes() == before
    monkeypatch.undo()
    monkeypatch.setattr(search, "_CANDIDATES", 3000)
    assert main([*command, "2"]) == 0
    assert json.loads((tmp_path / "front.json").read_text())["counts"]["rounds"] == 2
