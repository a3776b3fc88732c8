# SPDX-License-Identifier: Apache-2.0
"""How well a search did: hypervolume against evaluations, and which choices matter."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

__all__ = ["hypervolumes", "importances"]


def hypervolumes(
    points: Sequence[tuple[float, float]], ideal: tuple[float, float], worst: tuple[float, float]
) -> tuple[float, ...]:
    """Return, after each evaluation, the share of a box that the results so far dominate.

    The hypervolume indicator of two objectives (Zitzler and Thiele, 1998).

    Args:
      points: (cost, score) in the order of evaluation; the larger a score, the better.
      ideal, worst: corners of the box: least cost and best score, largest cost and worst score.
    """
    width, height = worst[0] - ideal[0], ideal[1] - worst[1]
    if width <= 0 or height <= 0:
        return tuple(1.0 for _ in points)
    front: list[tuple[float, float]] = []
    found = []
    for cost, score in points:
        if math.isfinite(cost) and math.isfinite(score):
            front = _with(front, cost, score)
        area = 0.0
        for place, (own, height_here) in enumerate(front):
            end = front[place + 1][0] if place + 1 < len(front) else worst[0]
            area += max(0.0, end - own) * max(0.0, height_here - worst[1])
        found.append(area / (width * height))
    return tuple(found)


def _with(front: list[tuple[float, float]], cost: float, score: float) -> list[tuple[float, float]]:
    """Return a front, by rising cost and score, with one more point where it is not dominated."""
    if any(c <= cost and s >= score for c, s in front):
        return front
    kept = [(c, s) for c, s in front if not (cost <= c and score >= s)]
    return sorted([*kept, (cost, score)])


def importances(
    configurations: Sequence[Sequence[int]], scores: Sequence[float]
) -> tuple[float, ...]:
    """Return, for each variable, the share of the scores' variance that its choice explains alone.

    The correlation ratio, eta squared (Pearson, 1905), over the results that there are: variables
    that a search moved together share what they explain.
    """
    known = [(c, s) for c, s in zip(configurations, scores, strict=True) if math.isfinite(s)]
    if not known:
        return ()
    mean = sum(score for _, score in known) / len(known)
    total = sum((score - mean) ** 2 for _, score in known)
    shares = []
    for place in range(len(known[0][0])):
        groups: dict[int, list[float]] = defaultdict(list)
        for configuration, score in known:
            groups[configuration[place]].append(score)
        between = sum(len(g) * (sum(g) / len(g) - mean) ** 2 for g in groups.values())
        shares.append(between / total if total else 0.0)
    return tuple(shares)
