# SPDX-License-Identifier: Apache-2.0
"""Digits as strokes, in many styles: distance fields from which digits are drawn.

A digit is a few polylines on a grid 6 wide and 10 high.  A style rounds their corners (from nearly
square to nearly oval), stretches, slants, and picks among shapes (a 1 with or without foot, an open
or a closed 4, ..); what it gives is the distance of each point of a raster from the nearest stroke.
The thickness is chosen when the digit is drawn.

All is computed by single IEEE additions, multiplications, divisions and square roots of float32
arrays, which every machine rounds alike; no sums whose order a library may choose, no sines.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asnet_mlir.data.noise import draw, spread

__all__ = ["FIELD_HEIGHT", "FIELD_WIDTH", "STYLES", "distance_fields"]

STYLES = 48
# The raster covers x in -3..9 and y in -3..13 of the grid: a digit and room for thick strokes.
FIELD_WIDTH, FIELD_HEIGHT = 48, 64
_LEFT, _TOP, _PER_UNIT = -3.0, -3.0, 4.0

Point = tuple[float, float]


@dataclass(frozen=True)
class _Stroke:
    """A polyline; corners are rounded unless listed in `sharp`."""

    points: tuple[Point, ...]
    closed: bool = False
    sharp: tuple[int, ...] = ()


def _box(left: float, top: float, right: float, bottom: float) -> _Stroke:
    return _Stroke(((left, top), (right, top), (right, bottom), (left, bottom)), closed=True)


def _line(*points: Point, sharp: Sequence[int] = ()) -> _Stroke:
    return _Stroke(points, sharp=tuple(sharp))


_SHAPES: dict[int, tuple[tuple[_Stroke, ...], ...]] = {
    0: ((_box(0, 0, 6, 10),), (_box(0.6, 0, 5.4, 10),)),
    1: (
        (_line((3, 0), (3, 10)),),
        (_line((1.0, 2.0), (3.4, 0), (3.4, 10), sharp=[1]),),
        (_line((1.2, 1.6), (3.2, 0), (3.2, 10), sharp=[1]), _line((1.0, 10), (5.4, 10))),
    ),
    2: (
        (_line((0.2, 2.8), (0.2, 0), (6, 0), (6, 4.4), (0, 10), (6, 10), sharp=[4]),),
        (_line((0.2, 2.4), (0.2, 0), (5.8, 0), (5.8, 5.4), (0.2, 5.0), (0.2, 10), (6, 10)),),
        (_line((0, 2.5), (0, 0), (5.8, 0), (5.8, 3.4), (0, 9.9), (6, 9.9), sharp=[4]),),
    ),
    3: (
        (
            _line((0.2, 2.2), (0.2, 0), (5.7, 0), (5.7, 4.7), (2.3, 4.7)),
            _line((2.3, 4.7), (6, 4.7), (6, 10), (0, 10), (0, 7.8)),
        ),
        (
            _line((0.3, 0), (5.6, 0), (2.5, 4.0), sharp=[1]),
            _line((2.5, 4.0), (6, 4.0), (6, 10), (0, 10), (0, 8.0)),
        ),
    ),
    4: (
        (_line((4.5, 10), (4.5, 0), (0, 7), (6.2, 7), sharp=[1, 2]),),
        (_line((0.8, 0), (0.4, 5.8), (6, 5.8), sharp=[1]), _line((4.6, 2.4), (4.6, 10))),
        (_line((3.4, 0), (0, 6.6), (6, 6.6), sharp=[1]), _line((4.4, 3.6), (4.4, 10))),
    ),
    5: (
        (
            _line((5.6, 0), (0.8, 0), (0.4, 4.6), sharp=[1]),
            _line((0.4, 4.6), (1.4, 3.7), (6, 3.7), (6, 10), (0, 10), (0, 7.9)),
        ),
        (
            _line((5.8, 0), (0.4, 0), (0.4, 4.4), sharp=[1]),
            _line((0.4, 4.4), (6, 4.4), (6, 10), (0, 10), (0, 8.2)),
        ),
    ),
    6: (
        (
            _line((5.6, 2.2), (5.6, 0), (0, 0), (0, 7.1)),
            _box(0, 4.2, 6, 10),
        ),
        (_line((4.4, 0), (0.9, 4.2), (0.0, 7.1)), _box(0, 4.4, 6, 10)),
    ),
    7: (
        (_line((0, 0), (6, 0), (2, 10), sharp=[1]),),
        (_line((0.2, 0), (6, 0), (6, 2.6), (2.4, 4.6), (2.4, 10), sharp=[1]),),
        (_line((0, 1.5), (0, 0), (6, 0), (2.2, 10), sharp=[1, 2]),),
        (_line((0, 0), (6, 0), (2, 10), sharp=[1]), _line((1.4, 5), (5.6, 5))),
    ),
    8: (
        (_box(0.4, 0, 5.6, 4.7), _box(0, 4.7, 6, 10)),
        (_box(0.2, 0, 5.8, 5.0), _box(0.2, 5.0, 5.8, 10)),
    ),
}
# A 9 is a 6 upside down.
_SHAPES[9] = tuple(
    tuple(
        _Stroke(tuple((6 - x, 10 - y) for x, y in stroke.points), stroke.closed, stroke.sharp)
        for stroke in shape
    )
    for shape in _SHAPES[6]
)


def distance_fields() -> np.ndarray:
    """Return float32[STYLES, 10, FIELD_HEIGHT, FIELD_WIDTH].

    The value at [s, d, i, j] is the distance, in units of a tenth of a digit's height, from the
    point ((j + 0.5) / 4 - 3, (i + 0.5) / 4 - 3) to the nearest stroke of digit d in style s.
    """
    fields = np.empty((STYLES, 10, FIELD_HEIGHT, FIELD_WIDTH), np.float32)
    for style in range(STYLES):
        values = draw("style", np.arange(style, style + 1, dtype=np.uint64), 16)[0]
        roundness = float(spread(values[10], 0.3, 1.0))
        contrast = float(spread(values[11], 1.0, 1.5))  # of vertical to horizontal strokes
        width = float(spread(values[12], 0.75, 1.1))
        slant = float(spread(values[13], -0.08, 0.3)) if int(values[14]) % 3 == 0 else 0.0
        for digit, shapes in _SHAPES.items():
            shape = shapes[int(values[digit]) % len(shapes)]
            segments = [segment for stroke in shape for segment in _segments(stroke, roundness)]
            fields[style, digit] = _field(segments, contrast, width, slant)
    return fields


def _segments(stroke: _Stroke, roundness: float) -> list[tuple[Point, Point]]:
    """Return the straight pieces of a stroke whose corners are quadratic Bézier curves."""
    points, count = stroke.points, len(stroke.points)
    path: list[Point] = [] if stroke.closed else [points[0]]
    for index in range(count) if stroke.closed else range(1, count - 1):
        before, corner, after = points[index - 1], points[index], points[(index + 1) % count]
        if index in stroke.sharp:
            path.append(corner)
            continue
        # An edge is shared by two curves, but for the outer edges of an open stroke.
        first = 0.95 if not stroke.closed and index == 1 else 0.5
        last = 0.95 if not stroke.closed and index == count - 2 else 0.5
        start = _between(corner, before, roundness * first)
        end = _between(corner, after, roundness * last)
        for step in range(7):
            t = step / 6
            path.append(_between(_between(start, corner, t), _between(corner, end, t), t))
    if stroke.closed:
        path.append(path[0])
    else:
        path.append(points[-1])
    return [(a, b) for a, b in itertools.pairwise(path) if a != b]


def _between(a: Point, b: Point, t: float) -> Point:
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t)


def _field(
    segments: list[tuple[Point, Point]], contrast: float, width: float, slant: float
) -> np.ndarray:
    """Return float32[FIELD_HEIGHT, FIELD_WIDTH], the distance to the nearest segment."""

    def place(point: Point) -> Point:
        # Distances across vertical strokes are measured shorter: these come out thicker.
        x, y = point
        return ((3 + (x - 3) * width + (5 - y) * slant) / contrast, y)

    x = (np.arange(FIELD_WIDTH, dtype=np.float32) + 0.5) / _PER_UNIT + _LEFT
    x = (x / np.float32(contrast)).astype(np.float32)[np.newaxis, :]
    y = (np.arange(FIELD_HEIGHT, dtype=np.float32) + 0.5) / _PER_UNIT + _TOP
    y = y.astype(np.float32)[:, np.newaxis]
    nearest = np.full((FIELD_HEIGHT, FIELD_WIDTH), np.float32(1e9))
    for a, b in ((place(a), place(b)) for a, b in segments):
        dx, dy = np.float32(b[0] - a[0]), np.float32(b[1] - a[1])
        ax, ay = x - np.float32(a[0]), y - np.float32(a[1])
        along = (ax * dx + ay * dy) / np.float32(dx * dx + dy * dy)
        along = np.minimum(np.maximum(along, np.float32(0)), np.float32(1))
        ox, oy = ax - along * dx, ay - along * dy
        nearest = np.minimum(nearest, ox * ox + oy * oy)
    return np.sqrt(nearest)
