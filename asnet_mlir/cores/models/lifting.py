# SPDX-License-Identifier: Apache-2.0
"""Products of codes written as sums of exact products of bytes.

A table M[x, w] of integers of rank r is U V with r columns and rows of integers: the rows of V are
a basis of the lattice that M's rows span (Hermite normal form), made short (Lenstra, Lenstra and
Lovasz, 1982), and U has the coordinates of M's rows, which are integers.  A column of U and a row
of V are cut into bytes; each pair of bytes is a pass, an exact product.
"""

from __future__ import annotations

import json

import numpy as np

from asnet_mlir.native.contraction import Lifted
from asnet_mlir.support.cache import cached_bytes, code_version, content_hash

__all__ = ["lift"]

#: Above this rank rows of the table are quicker on every processor, and factors slow to find.
_HIGHEST_RANK = 40
#: Tables whose greatest entries are above this may overflow 64 bits on the way.
_LARGEST = 1 << 31


def lift(table: np.ndarray) -> Lifted | None:
    """Return the lifted form of a product, from the cache where it was found before.

    Args:
      table: int32[256 weights, 256 codes].

    Returns:
      None where its rank is too high for it to be of use.  What is returned was multiplied out: it
      equals the table in all 65,536 entries.
    """
    key = content_hash("lifted", code_version("cores"), table.tobytes())
    data = cached_bytes("lifted", key, lambda: _packed(_lift(table)))
    header, _, arrays = data.partition(b"\n")
    shifts = json.loads(header)
    if shifts is None:
        return None
    size = 256 * len(shifts)
    return Lifted(
        np.frombuffer(arrays, np.uint8, size).reshape(-1, 256),
        np.frombuffer(arrays, np.int8, size, size).reshape(-1, 256),
        tuple(shifts),
        np.frombuffer(arrays, np.int32, 256, 2 * size),
    )


def _packed(lifted: Lifted | None) -> bytes:
    if lifted is None:
        return b"null\n"
    header = json.dumps(lifted.shifts).encode() + b"\n"
    return header + b"".join(a.tobytes() for a in (lifted.left, lifted.right, lifted.constants))


def _lift(table: np.ndarray) -> Lifted | None:
    """Find the factors with the fewest passes, and multiply them out."""
    products = table.astype(np.int64).T  # [codes, weights]
    # What depends on the weight alone costs nothing.
    constants = products[0].copy()
    candidates = [_factors(products - constants)]
    if candidates[0] is not None:
        by_columns = _factors((products - constants).T)
        if by_columns is not None:
            candidates.append((by_columns[1].T, by_columns[0].T))
    lifted = [_passes(*factors, constants) for factors in candidates if factors is not None]
    if not lifted:
        return None
    best = min(lifted, key=lambda one: one.passes)
    if not np.array_equal(best.table(), table):
        return None
    return best


def _factors(products: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return U, V of int64 with `products` = U V; None where the rank is too high."""
    from flint import fmpz_mat

    if abs(products).max() >= _LARGEST:
        return None
    used, place = np.unique(products, axis=0, return_inverse=True)
    matrix = fmpz_mat(used.tolist())
    rank = matrix.rank()
    if rank > _HIGHEST_RANK:
        return None
    if rank == 0:
        return np.zeros((len(products), 0), np.int64), np.zeros((0, products.shape[1]), np.int64)
    form = matrix.hnf()
    rows = [[int(form[i, j]) for j in range(form.ncols())] for i in range(rank)]
    basis = fmpz_mat(rows).lll()
    right = np.array([[int(basis[i, j]) for j in range(basis.ncols())] for i in range(rank)])
    left = _coordinates(used, right)
    return None if left is None else (left[place.ravel()], right)


def _coordinates(rows: np.ndarray, basis: np.ndarray) -> np.ndarray | None:
    """Return the integers U with `rows` = U `basis`."""
    from flint import fmpz_mat

    # Gram matrix G = V V^T:  U G = rows V^T, solved over the rationals, whole by construction.
    gram = fmpz_mat((basis.astype(object) @ basis.astype(object).T).tolist())
    wanted = fmpz_mat((rows.astype(object) @ basis.astype(object).T).T.tolist())
    solved = gram.solve(wanted)
    found = np.array(
        [[int(solved[i, j].p) for i in range(solved.nrows())] for j in range(solved.ncols())]
    )
    return found if np.array_equal(found @ basis, rows) else None


def _passes(left: np.ndarray, right: np.ndarray, constants: np.ndarray) -> Lifted:
    """Cut the factors into bytes: of the left one without a sign, of the right one with a sign."""
    lefts, rights, shifts = [], [], []
    constants = constants.copy()
    for column, row in zip(left.T, right, strict=True):
        # Least first: what is taken off is a constant of the weight.
        least = int(column.min())
        constants += least * row
        column = column - least
        column, shift = _without_twos(column)
        row, more = _without_twos(row)
        for low, digits in _unsigned_bytes(column):
            for high, signed in _signed_bytes(row):
                lefts.append(digits)
                rights.append(signed)
                shifts.append(shift + more + low + high)
    # The kernel has the greatest shift first; a shift of 32 and more adds nothing.
    kept = [i for i in np.argsort([-s for s in shifts], kind="stable") if shifts[i] < 32]
    return Lifted(
        np.array([lefts[i] for i in kept], np.uint8).reshape(-1, 256),
        np.array([rights[i] for i in kept], np.int8).reshape(-1, 256),
        tuple(int(shifts[i]) for i in kept),
        (constants & 0xFFFFFFFF).astype(np.uint32).view(np.int32),
    )


def _without_twos(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Divide integers by the greatest power of two that divides them all."""
    bits = int(np.bitwise_or.reduce(values))
    shift = (bits & -bits).bit_length() - 1 if bits else 0
    return values >> shift, shift


def _unsigned_bytes(values: np.ndarray) -> list[tuple[int, np.ndarray]]:
    digits, shift = [], 0
    while values.any():
        digits.append((shift, values & 0xFF))
        values, shift = values >> 8, shift + 8
    return [(s, d) for s, d in digits if d.any()]


def _signed_bytes(values: np.ndarray) -> list[tuple[int, np.ndarray]]:
    digits, shift = [], 0
    while values.any():
        low = ((values + 128) & 0xFF) - 128
        digits.append((shift, low))
        values, shift = (values - low) >> 8, shift + 8
    return [(s, d) for s, d in digits if d.any()]
