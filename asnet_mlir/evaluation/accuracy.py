# SPDX-License-Identifier: Apache-2.0
"""What counts as right: the one definition of accuracy."""

from __future__ import annotations

import numpy as np

__all__ = ["right_samples"]


def right_samples(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return bool[n]: whether the largest of each row of [n, classes] is its label's.

    The lowest index wins ties; a row with a NaN is wrong.
    """
    right: np.ndarray = np.argmax(outputs, axis=1) == labels
    return right & ~np.isnan(outputs).any(axis=1)
