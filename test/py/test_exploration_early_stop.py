# SPDX-License-Identifier: Apache-2.0
"""The stopping rule: exact probabilities, and errors no more frequent than stated."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asnet_mlir.errors import InputError
from asnet_mlir.exploration import choose, explore
from asnet_mlir.exploration.early_stop import EarlyStop, _most_right
from asnet_mlir.exploration.store import Store


def probability(samples: int, right: int, looked: int, at_most: int) -> Fraction:
    """P(at most `at_most` right among `looked`), by counting."""
    ways = sum(
        math.comb(right, k) * math.comb(samples - right, looked - k)
        for k in range(at_most + 1)
        if k <= right and looked - k <= samples - right
    )
    return Fraction(ways, math.comb(samples, looked))


@settings(max_examples=200, deadline=None)
@given(data=st.data(), samples=st.integers(2, 300))
def test_thresholds_are_exact(data, samples):
    needed = data.draw(st.integers(0, samples))
    looked = data.draw(st.integers(1, samples - 1))
    level = data.draw(st.sampled_from([0.3, 0.05, 1e-3, 1e-6]))
    most = _most_right(samples, needed, looked, level)
    if most >= 0:
        assert probability(samples, needed, looked, most) <= Fraction(level)
    if most + 1 <= min(looked, needed):
        # One more right would be too likely (but for the hair that rounding is given).
        more = probability(samples, needed, looked, most + 1)
        assert more > Fraction(level) * (1 - Fraction(1, 10**6))


def test_what_cannot_reach_the_bound_any_more_stops_and_the_rest_does_not():
    rule = EarlyStop(1000, 1001, 0.999)  # accuracy>1
    assert rule.thresholds == rule.looks
    assert EarlyStop(1000, 0, 0.999).thresholds == (-1,) * len(rule.looks)
    late = EarlyStop(1000, 1000, 0.999)  # all must be right: the first wrong one decides
    assert late.thresholds == tuple(look - 1 for look in late.looks)


def stops(rule: EarlyStop, right: np.ndarray) -> bool:
    """Whether the rule ends an evaluation whose samples, in order, are right or not."""
    total = np.cumsum(right)
    return any(
        total[look - 1] <= threshold
        for look, threshold in zip(rule.looks, rule.thresholds, strict=True)
    )


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize(("samples", "needed"), [(500, 450), (2000, 1000), (300, 299)])
def test_errors_are_no_more_frequent_than_stated(samples, needed, confidence):
    """At the least favourable truth, exactly K0 right, over random orders."""
    rule, generator, draws = EarlyStop(samples, needed, confidence), np.random.default_rng(1), 2000
    truth = np.arange(samples) < needed
    wrong = sum(stops(rule, generator.permutation(truth)) for _ in range(draws))
    alpha = 1 - confidence
    assert wrong / draws <= alpha + 4 * math.sqrt(alpha * (1 - alpha) / draws)
    # And it is of use: what is clearly below stops nearly always.
    far = np.arange(samples) < needed * 0.8
    assert np.mean([stops(rule, generator.permutation(far)) for _ in range(100)]) > 0.9


@pytest.mark.parametrize("confidence", [0.4, 1.0, -1, 99.9, float("nan")])
def test_confidences_that_are_none(confidence):
    with pytest.raises(InputError, match="--early-stop must be a confidence"):
        EarlyStop(100, 90, confidence)


SPACE = {
    "scope": "layer",
    "cores": [{"op": "mulf", "core": "fmul_trunc", "parameters": {"P": [10, 16, 22]}}],
}


def test_stopped_evaluations_are_marked_and_never_taken_for_full_ones(conv, conv_data, tmp_path):
    path = tmp_path / "s.sqlite"
    arguments = {"store": path, "choose": "accuracy>=0.89"}
    stopped = explore(conv, conv_data, SPACE, early_stop=0.9, seed=3, **arguments)
    partial = [r for r in stopped.results if not r.complete]
    assert 0 < len(partial) < len(stopped.results) == 16
    assert all(r.samples < 200 and r.confidence == 0.9 for r in partial)
    assert all(r.samples == 200 for r in stopped.results if r.complete)
    assert all("stopped_early" in r.to_json() for r in partial)
    with Store(path, read_only=True) as store:
        assert store.count() == 16 - len(partial)
        assert all(store.get(r.key) is None for r in partial)
        kinds = [type(r.evaluation).__name__ for r in store.study_results(stopped.study)]
        assert kinds.count("PartialRecord") == len(partial)
    again = explore(conv, conv_data, SPACE, early_stop=0.9, seed=3, **arguments)
    assert again.evaluated == 0 and [r.accuracy for r in again.results] == [
        r.accuracy for r in stopped.results
    ]
    # Another order, another confidence or bound, and no early stop: nothing partial is reused.
    other = explore(conv, conv_data, SPACE, early_stop=0.9, seed=4, **arguments)
    assert other.evaluated == len(partial)
    full = explore(conv, conv_data, SPACE, **arguments)
    assert all(r.complete for r in full.results) and 0 < full.evaluated <= len(partial)
    # What was not stopped has the accuracy of a full evaluation, in whatever order it ran.
    alone = explore(conv, conv_data, SPACE)
    by_key = {r.key: r.accuracy for r in alone.results}
    assert all(by_key[r.key] == r.accuracy for r in full.results)
    assert choose(stopped, "accuracy>=0.89").complete
    assert full.chosen is not None and full.chosen.accuracy >= 0.89


def test_early_stop_needs_a_bound(conv, conv_data):
    for bound in (None, "accuracy<=0.5"):
        with pytest.raises(InputError, match="--early-stop needs a bound"):
            explore(conv, conv_data, SPACE, early_stop=0.99, choose=bound)
