# SPDX-License-Identifier: Apache-2.0
"""What training takes for the derivatives of a core's products: estimators, from its own table.

A product of codes is a table T[x, w]; it has no derivative, so that each estimator says what is
taken for dT/dx and dT/dw:

- `ste`, straight through: those of the exact product, w and x (Bengio et al., arXiv 1308.3432);
- `lre`, linear regression: of each row and column of the table the slope of the line of least
  squares;
- `difference`: differences of the table, smoothed along the code that changes (arXiv 2509.10519);
- `difference2d`: smoothed along both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.support.named_functions import import_function

__all__ = ["ESTIMATORS", "Estimator", "Slopes", "named", "slopes"]

#: A user's: takes the table float64[codes, weights] and the numbers float64 that its rows and
#: columns stand for; returns dT/dx and dT/dw, arrays of the table's shape.
Estimator = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

#: Singular values below this share of the greatest are left out, and all beyond so many.
_LEAST, _MOST = 0.02, 16


@dataclass(frozen=True)
class Slopes:
    """Derivatives as sums of products of a function of x and one of w.

    Attributes:
      by_x: float32[terms, codes] and [terms, weights], of dT/dx.
      by_w: the same of dT/dw.
    """

    by_x: tuple[np.ndarray, np.ndarray]
    by_w: tuple[np.ndarray, np.ndarray]


def slopes(table: np.ndarray, x: np.ndarray, w: np.ndarray, estimator: str | Estimator) -> Slopes:
    """Return the derivatives of a table by an estimator.

    Args:
      table: [codes, weights].
      x, w: the codes of rows and columns, ascending.

    Raises:
      InputError: there is no such estimator, or a user's gives other shapes or no numbers.
    """
    function = named(estimator) if isinstance(estimator, str) else estimator
    found = function(table.astype(np.float64), x.astype(np.float64), w.astype(np.float64))
    pair = [np.asarray(one, np.float64) for one in found]
    if len(pair) != 2 or any(one.shape != table.shape for one in pair):
        raise InputError(f"an estimator returns two arrays of the table's shape {table.shape}")
    if not all(np.isfinite(one).all() for one in pair):
        raise InputError("an estimator returned a slope that is no finite number")
    return Slopes(_factors(pair[0]), _factors(pair[1]))


def named(estimator: str) -> Estimator:
    """Return an estimator by its name, or the function that `module:function` names.

    Raises:
      InputError: there is none.
    """
    if ":" in estimator:
        return import_function(estimator)
    if estimator not in ESTIMATORS:
        names = ", ".join(ESTIMATORS)
        raise InputError(
            f"estimator '{estimator}': one of {names} (or a function, module:function)"
        )
    return ESTIMATORS[estimator]


def _straight(table: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    by_x = np.broadcast_to(w[None, :], table.shape)
    return by_x, np.broadcast_to(x[:, None], table.shape)


def _regression(table: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _slope(table, x), _slope(table.T, w).T


def _slope(table: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return for each column the slope of its line of least squares, all rows alike."""
    centred = x - x.mean()
    return np.broadcast_to((centred @ table / (centred @ centred))[None, :], table.shape)


def _difference(table: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    by_x = np.gradient(_smooth(table, 0), x, axis=0)
    return by_x, np.gradient(_smooth(table, 1), w, axis=1)


def _difference2d(table: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    smooth = _smooth(_smooth(table, 0), 1)
    return np.gradient(smooth, x, axis=0), np.gradient(smooth, w, axis=1)


def _smooth(table: np.ndarray, axis: int) -> np.ndarray:
    """Return lines of least squares over 1/16 of the codes around each, at its own place.

    In the middle that is a moving average; at the ends, where there is nothing on one side, an
    average would flatten what goes up.
    """
    rows = np.moveaxis(table, axis, 0)
    size = len(rows)
    half = max(size // 32, 1)
    weights = np.zeros((size, size))
    for place in range(size):
        near = np.arange(max(place - half, 0), min(place + half + 1, size))
        centred = near - near.mean()
        weights[place, near] = 1 / len(near) + (place - near.mean()) * centred / (centred @ centred)
    return np.moveaxis((weights @ rows.reshape(size, -1)).reshape(rows.shape), 0, axis)


#: By name.
ESTIMATORS: dict[str, Estimator] = {
    "ste": _straight,
    "lre": _regression,
    "difference": _difference,
    "difference2d": _difference2d,
}


def _factors(slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest sum of a few products, by singular values: [terms, rows], [.., columns].

    What is estimated needs no more, and each term costs a convolution.
    """
    left, values, right = np.linalg.svd(slope, full_matrices=False)
    count = max(int((values[:_MOST] > _LEAST * values[0]).sum()), 1)
    roots = np.sqrt(values[:count])
    return (
        (left[:, :count] * roots).T.astype(np.float32),
        (right[:count] * roots[:, None]).astype(np.float32),
    )
