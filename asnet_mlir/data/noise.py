# SPDX-License-Identifier: Apache-2.0
"""Random numbers that are the same on every machine and in every version of NumPy.

Each number is a hash of a stream's name, a sample's index and a position (SplitMix64's output
function: Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014), so
that sample 7 does not depend on how many samples are made, and in which order.
"""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["draw", "draw_bytes", "spread"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def draw(stream: str, index: np.ndarray, count: int) -> np.ndarray:
    """Return uint64[n, count], `count` numbers for each sample.

    Args:
      stream: a name; another one gives unrelated numbers.
      index: uint64[n].
    """
    digest = hashlib.sha256(stream.encode()).digest()
    key = np.uint64(int.from_bytes(digest[:8], "little"))
    start = _mix(_mix(index * _GOLDEN + key) + key)
    return _mix(start[:, np.newaxis] + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)


def draw_bytes(stream: str, index: np.ndarray, count: int) -> np.ndarray:
    """Return uint8[n, count]."""
    words = draw(stream, index, -(-count // 8))
    return words.astype("<u8", copy=False).view(np.uint8).reshape(len(index), -1)[:, :count]


def spread(words: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return float32 values in low..high for uint64 words, spread evenly over 2^24 steps."""
    unit = (words >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    return np.float32(low) + unit * np.float32(high - low)


def _mix(word: np.ndarray) -> np.ndarray:
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))
