# SPDX-License-Identifier: Apache-2.0
"""Random convolutions of codes, in any order of loops: all vectors give what portable loops give.

Larger than those of `test/py/test_contractions.py`, which compares with the definition: up to 3
million products, 16 groups, 5,000 terms.  `ASNET_FUZZ_SECONDS` (20) bounds it.
"""

import math
from collections import Counter

import fuzzing
import numpy as np
import pytest

from asnet_mlir.cores.models.lifting import lift
from asnet_mlir.native.contraction import Contraction, vectors_for

LANES = 16
VECTORS = vectors_for(LANES)
MOST_PRODUCTS = 3_000_000
CHANNELS = [1, 2, 3, 4, 6, 8, 12, 16, 20, 32, 64, 200, 700]
LOOPS = ("ranges", "reduces", "x", "w", "y")


def shape_of(rng):
    """Loops of a convolution with strides and dilation, or of a dense layer."""
    groups = int(rng.choice([1, 1, 1, 2, 5, 16]))
    filters = int(rng.integers(1, 40 if groups == 1 else 4))
    height, width = int(rng.integers(1, 9)), int(rng.integers(1, 20))
    taps = [int(n) for n in rng.integers(1, 6, 2)]
    channels = int(rng.choice(CHANNELS))
    if rng.random() < 0.15:
        height, width, taps, channels = 1, 1, [1, 1], int(rng.integers(1, 5000))
    step, dilation = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    inputs = groups * channels
    wide = ((width - 1) * step + (taps[1] - 1) * dilation + 1 + int(rng.integers(0, 3))) * inputs
    w = [filters * math.prod(taps) * channels, 0, 0, 1, taps[1] * channels * filters]
    y = [filters, width * groups * filters, groups * filters, 1]
    shape = {
        "ranges": [groups, height, width, filters, *taps, channels],
        "reduces": [0, 0, 0, 0, 1, 1, 1],
        "x": [channels, step * wide, step * inputs, 0, dilation * wide, dilation * inputs, 1],
        "w": [*w, channels * filters, filters],
        "y": [*y, 0, 0, 0],
        **{f"{name}_offset": int(rng.integers(0, 5)) for name in "xwy"},
        "lanes": LANES,
        "adds": bool(rng.random() < 0.5),
    }
    if rng.random() < 0.5:
        order = rng.permutation(7)
        shape |= {name: [shape[name][i] for i in order] for name in LOOPS}
    return shape


def extent(shape, name):
    steps = zip(shape["ranges"], shape[name], strict=True)
    return shape[f"{name}_offset"] + 1 + sum((r - 1) * s for r, s in steps)


def table_of(rng, rank):
    table = sum(
        np.outer(rng.integers(-40, 40, 256), rng.integers(0, 100, 256)) << int(rng.integers(0, 3))
        for _ in range(rank)
    )
    return (table + rng.integers(-1000, 1000, 256)[:, None]).astype(np.int32)


@pytest.mark.skipif(len(VECTORS) == 1, reason="a processor with AVX2")
def test_vectors_are_portable_loops():
    counts = Counter()
    for number, chosen in fuzzing.cases(counts):
        rng = np.random.default_rng(chosen.getrandbits(64))
        shape = shape_of(rng)
        if math.prod(shape["ranges"]) > MOST_PRODUCTS:
            continue
        weights = rng.integers(0, 256, extent(shape, "w"), np.uint8)
        codes = rng.integers(0, 256, extent(shape, "x") * LANES, np.uint8)
        before = rng.integers(-(2**31), 2**31, extent(shape, "y") * LANES)
        low = table_of(rng, int(rng.integers(1, 5)))
        any_words = rng.integers(-32768, 32768, (256, 256)).astype(np.int32)
        for product, table in ((lift(low), low), (any_words, any_words)):
            expected = before.astype(np.int32)
            Contraction(shape, weights, table, vectors="portable")(codes, expected)
            for vectors in VECTORS[:-1]:
                sums = before.astype(np.int32)
                Contraction(shape, weights, product, vectors=vectors)(codes, sums)
                np.testing.assert_array_equal(
                    sums, expected, err_msg=f"case {number}, {vectors}: {shape}"
                )
                counts[vectors] += 1
    print(dict(counts))
    assert all(counts[vectors] for vectors in VECTORS[:-1])
