# SPDX-License-Identifier: Apache-2.0
"""A synthetic stand-in for the Street View House Numbers: crops of painted house numbers.

The real data set (Netzer et al., *Reading digits in natural images with unsupervised feature
learning*, 2011) may not be passed on with this package; `asnet_mlir.data.svhn` reads its files
where a user has them.  This module paints 32 x 32 colour images of the same kind: a digit of a
house number in the middle, parts of its neighbours left and right, seen at an angle, on walls with
edges and stripes, unevenly lit, with shadows, blurred and noisy.  The images are synthetic, and are
called so wherever they appear: accuracies on them say nothing about accuracies on the real ones.

Sample i of a part depends on the part's name and i only.  The arithmetic is limited to what every
machine rounds alike (see `glyphs`), and `_SHA256` states what comes out.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import numpy as np

from asnet_mlir.data.glyphs import FIELD_HEIGHT, FIELD_WIDTH, STYLES, distance_fields
from asnet_mlir.data.noise import draw, draw_bytes, spread
from asnet_mlir.errors import ToolError
from asnet_mlir.support.cache import cached_directory

__all__ = ["SIZES", "paint", "synthetic_svhn"]

SIZES = {"train": 30_000, "test": 10_000}
"""The number of samples of each part."""

_SHA256 = {
    "train": "2bb402e5aa29060d1fb796fe1eae938c6c6f9506bb27dacdb9b2824c32a34ece",
    "test": "42312637338d46f8e73c0d623855cd408d535baf26f66da06363e907fc03a9a9",
}
_SIDE = 32
_BLOCK = 128  # samples painted at a time: what fits into a core's cache


def synthetic_svhn(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8[n, 32, 32, 3] images and uint8[n] labels of a whole part.

    They are painted on the first call (some seconds) and kept in the cache.

    Raises:
      ToolError: this machine's arithmetic paints other images than all others do.
    """

    count, expected = SIZES[part], _SHA256[part]

    def fill(folder: Path) -> None:
        images, labels = paint(part, 0, count)
        content = labels.tobytes() + images.tobytes()
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise ToolError(
                f"svhn_synthetic:{part}: the images painted here have the SHA-256 {found}, not "
                f"{expected}: this machine's float32 arithmetic differs from IEEE 754"
            )
        (folder / "labels-images").write_bytes(content)

    folder = cached_directory("svhn_synthetic", expected, fill)
    values = np.fromfile(folder / "labels-images", np.uint8)
    return values[count:].reshape(count, _SIDE, _SIDE, 3), values[:count]


def paint(part: str, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (uint8[n, 32, 32, 3]) and labels (uint8[n]) of samples start..stop-1."""
    images = np.empty((stop - start, _SIDE, _SIDE, 3), np.uint8)
    labels = np.empty(stop - start, np.uint8)
    for begin in range(start, stop, _BLOCK):
        end = min(begin + _BLOCK, stop)
        out = slice(begin - start, end - start)
        images[out], labels[out] = _paint_block(part, np.arange(begin, end, dtype=np.uint64))
    return images, labels


class _Choices:
    """The random choices of a block of samples, one after the other; arrays of shape [n, 1, 1]."""

    def __init__(self, part: str, index: np.ndarray) -> None:
        self._words = draw(f"svhn_synthetic {part} scene", index, 96)
        self._next = 0

    def _word(self) -> np.ndarray:
        self._next += 1
        return self._words[:, self._next - 1, np.newaxis, np.newaxis]

    def between(self, low: float, high: float) -> np.ndarray:
        return spread(self._word(), low, high)

    def skewed(self, low: float, high: float) -> np.ndarray:
        """Return values of which those near `low` are more frequent."""
        unit = self.between(0, 1)
        return np.float32(low) + unit * unit * np.float32(high - low)

    def integer(self, count: int) -> np.ndarray:
        return ((self._word() >> np.uint64(32)) % np.uint64(count)).astype(np.int64)

    def chance(self, share: float) -> np.ndarray:
        """Return 1.0 for about a `share` of the samples, 0.0 for the others."""
        return (self.between(0, 1) < np.float32(share)).astype(np.float32)


@functools.cache
def _fields() -> np.ndarray:
    return distance_fields().reshape(-1)


@functools.cache
def _pixels() -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the pixels' centres, float32[1, 32, 32] in -16..16."""
    line = np.arange(_SIDE, dtype=np.float32) - np.float32((_SIDE - 1) / 2)
    x = np.broadcast_to(line[np.newaxis, :], (_SIDE, _SIDE)).copy()
    return x[np.newaxis], x.T.copy()[np.newaxis]


def _clip(values: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(values, np.float32(0)), np.float32(1))


def _paint_block(part: str, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    choose = _Choices(part, index)
    label = choose.integer(10)
    ink = _ink(choose, label)
    shadow = _moved(ink, choose) * choose.chance(0.3) * choose.between(0.2, 0.6)
    channels = _colours(choose, ink, shadow)
    images = np.stack(channels, axis=-1)
    _blur(choose, images)
    _grain(part, index, choose, images)
    return (_clip(images) * np.float32(255) + np.float32(0.5)).astype(np.uint8), label[:, 0, 0]


def _ink(choose: _Choices, label: np.ndarray) -> np.ndarray:
    """Return how far each pixel is covered by a digit: float32[n, 32, 32] in 0..1."""
    x, y = _pixels()
    # Pixels to the digits' grid (10 high): scale, slope, slant, perspective.
    height = choose.between(17, 30)
    stretch = choose.between(0.8, 1.25)
    x = x - choose.between(-2.5, 2.5)
    y = y - choose.between(-2.5, 2.5)
    slope, slant = choose.between(-0.2, 0.2), choose.between(-0.15, 0.15)
    depth = (
        np.float32(1) + x * choose.between(-0.012, 0.012) + y * choose.between(-0.008, 0.008)
    ) * height
    scale = np.float32(10) / depth
    across = (x + y * slant) * scale * stretch + np.float32(3)
    down = (y + x * slope) * scale + np.float32(5)
    # One line of text: left neighbour, digit, right neighbour, each in a cell of its own.
    pitch = choose.between(7.5, 10.0)
    margin = (pitch - np.float32(6)) * np.float32(0.5)
    cell = np.floor((across + margin) / pitch)
    cell = np.minimum(np.maximum(cell, np.float32(-1)), np.float32(1))
    across = across - cell * pitch
    left, right = choose.integer(10), choose.integer(10)
    digit = np.where(cell < 0, left, np.where(cell > 0, right, label))
    absent_left, absent_right = choose.chance(0.4), choose.chance(0.4)
    present = np.where(cell < 0, 1 - absent_left, np.where(cell > 0, 1 - absent_right, 1))
    distance = _sample(choose.integer(STYLES) * 10 + digit, across, down)
    thickness = choose.between(0.45, 1.25)
    edge = height * np.float32(0.1)  # pixels per unit of the grid
    return _clip((thickness - distance) * edge + np.float32(0.5)) * present.astype(np.float32)


def _sample(glyph: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return the distance fields' values at points of the digits' grid, interpolated linearly."""
    column = (across + np.float32(3)) * np.float32(4) - np.float32(0.5)
    row = (down + np.float32(3)) * np.float32(4) - np.float32(0.5)
    column = np.minimum(np.maximum(column, np.float32(0)), np.float32(FIELD_WIDTH - 1.001))
    row = np.minimum(np.maximum(row, np.float32(0)), np.float32(FIELD_HEIGHT - 1.001))
    left, top = column.astype(np.int64), row.astype(np.int64)
    right_share, low_share = column - left.astype(np.float32), row - top.astype(np.float32)
    at = (glyph * FIELD_HEIGHT + top) * FIELD_WIDTH + left
    fields = _fields()

    def mixed(at: np.ndarray) -> np.ndarray:
        value = fields[at]
        return value + (fields[at + 1] - value) * right_share

    upper = mixed(at)
    return upper + (mixed(at + FIELD_WIDTH) - upper) * low_share


def _moved(ink: np.ndarray, choose: _Choices) -> np.ndarray:
    """Return `ink` moved by a few pixels: where a raised digit casts its shadow."""
    steps = np.arange(_SIDE, dtype=np.int64)
    columns = np.clip(steps[np.newaxis, np.newaxis, :] - choose.integer(5) + 2, 0, _SIDE - 1)
    rows = np.clip(steps[np.newaxis, :, np.newaxis] - choose.integer(3), 0, _SIDE - 1)
    return np.take_along_axis(np.take_along_axis(ink, columns, 2), rows, 1)


def _half_plane(choose: _Choices, softness: float) -> np.ndarray:
    """Return 0..1 across a random edge: walls' corners, frames, the border of a shadow."""
    x, y = _pixels()
    # A direction that is mostly upright or level, as edges of buildings are.
    main, other = choose.chance(0.5) * 2 - 1, choose.between(-0.25, 0.25)
    level = choose.chance(0.5)
    a = level * other + (1 - level) * main
    b = level * main + (1 - level) * other
    return _clip((x * a + y * b - choose.between(-18, 18)) * np.float32(softness))


def _colours(choose: _Choices, ink: np.ndarray, shadow: np.ndarray) -> list[np.ndarray]:
    """Return red, green and blue, float32[n, 32, 32] around 0..1."""
    x, y = _pixels()
    # The wall: stripes (bricks, boards), edges.
    a, b = choose.between(-1, 1), choose.between(-1, 1)
    phase = (x * a + y * b) * choose.between(0.08, 0.5) + choose.between(0, 1)
    wave = np.abs(phase - np.floor(phase) - np.float32(0.5)) * np.float32(2)
    texture = (wave - np.float32(0.5)) * choose.skewed(0, 0.22)
    for _ in range(2):
        step = choose.between(-0.35, 0.35) * choose.chance(0.4)
        texture = texture + _half_plane(choose, 1.0) * step
    # Light: a slope, and sometimes the border of a shadow.
    light = (
        np.float32(1) + x * choose.between(-0.015, 0.015) + y * choose.between(-0.018, 0.018)
    ) * (np.float32(1) - _half_plane(choose, 0.4) * choose.between(0.1, 0.6) * choose.chance(0.25))
    light = light * (np.float32(1) - shadow)
    contrast = choose.skewed(0.07, 0.65)
    wall = choose.between(0.1, 0.9)
    # Away from the wall's brightness, to the side with more room for most.
    brighter = np.where(choose.between(0.15, 0.85) > wall, np.float32(1), np.float32(-1))
    paint_level = wall + brighter * contrast
    sheen = y * choose.between(-0.008, 0.008)
    warm_wall, green_wall = choose.between(-0.07, 0.1), choose.between(-0.04, 0.04)
    vivid = np.float32(1) + choose.chance(0.2) * 3
    warm_paint, green_paint = choose.between(-0.07, 0.07), choose.between(-0.04, 0.04)
    channels = []
    for warmth, greenness in ((1.0, -0.5), (0.0, 1.0), (-1.0, -0.5)):
        warmth_share, green_share = np.float32(warmth), np.float32(greenness)
        background = wall + warm_wall * warmth_share + green_wall * green_share + texture
        paint_colour = (
            paint_level + (warm_paint * warmth_share + green_paint * green_share) * vivid + sheen
        )
        channels.append((background + (paint_colour - background) * ink) * light)
    return channels


def _blur(choose: _Choices, images: np.ndarray) -> None:
    """Blur by up to five passes of a (1, 2, 1) / 4 filter along each axis, in place."""
    across = choose.between(0, 5)
    # Mostly out of focus, as strong in both directions; else moved.
    down = np.where(choose.chance(0.7) > 0, across, choose.between(0, 5))
    for step in range(5):
        for axis, strength in ((1, down), (2, across)):
            share = _clip(strength - np.float32(step))[..., np.newaxis] * np.float32(0.25)
            first, last = (np.take(images, [at], axis=axis) for at in (0, _SIDE - 1))
            head, tail = (
                np.take(images, range(*ends), axis=axis) for ends in ((0, _SIDE - 1), (1, _SIDE))
            )
            before = np.concatenate([first, head], axis=axis)
            after = np.concatenate([tail, last], axis=axis)
            images += (before + after - images - images) * share


def _grain(part: str, index: np.ndarray, choose: _Choices, images: np.ndarray) -> None:
    """Add the noise of a sensor, one part for all colours and one for each, in place."""
    shape = (len(index), _SIDE, _SIDE, 4)
    noise = draw_bytes(f"svhn_synthetic {part} grain", index, _SIDE * _SIDE * 4).reshape(shape)
    centred = (noise.astype(np.float32) - np.float32(127.5)) * np.float32(1 / 128)
    grey, colour = choose.skewed(0.004, 0.1), choose.skewed(0.002, 0.05)
    images += centred[..., :1] * grey[..., np.newaxis]
    images += centred[..., 1:] * colour[..., np.newaxis]
