# SPDX-License-Identifier: Apache-2.0
"""Functions of one number over all bit patterns of f32, against f64.

`STRIDE=1` takes all 2^32, 2 (cbrt, tan) to 7 (sin, cos) minutes of a processor a function; without
it every 4001st.
"""

import os

import numpy as np
import pytest
from test_elementary import BOUNDS, network

from asnet_mlir.evaluation import Evaluator

STRIDE = int(os.environ.get("STRIDE", "4001"))
CHUNK = 1 << 20


def worst_ulps(got: np.ndarray, exact: np.ndarray) -> float:
    """Return the largest error of f32 results that are normal numbers, beside f64."""
    size = np.abs(exact)
    normal = (size >= 2.0**-126) & (size < 2.0**128)
    if not normal.any():
        return 0.0
    spacing = np.spacing(size[normal].astype(np.float32)).astype(np.float64)
    return float((np.abs(got[normal] - exact[normal]) / spacing).max())


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "cbrt"])
def test_all_numbers(name):
    evaluator, worst = Evaluator(network(name, 1)), 0.0
    exact_of = getattr(np, name)
    for start in range(0, 1 << 32, CHUNK * STRIDE):
        words = np.arange(start, min(start + CHUNK * STRIDE, 1 << 32), STRIDE, dtype=np.uint64)
        x = words.astype(np.uint32).view(np.float32)
        x = x[np.isfinite(x)]
        if not len(x):
            continue
        exact = exact_of(x.astype(np.float64))
        # glibc's functions of long double reduce arguments of any size: so do numpy's of f64.
        some = exact_of(x[:: CHUNK // 64].astype(np.longdouble))
        assert (np.abs(exact[:: CHUNK // 64] - some) <= 1e-14 * np.abs(some)).all()
        worst = max(worst, worst_ulps(evaluator.outputs(x[:, None]).ravel(), exact))
    print(f"{name}: {worst:.3f} ulp")
    assert worst <= BOUNDS[name]
