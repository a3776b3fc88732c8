# SPDX-License-Identifier: Apache-2.0
"""Functions of one number over all bit patterns of f32, against extended precision.

`STRIDE=1` takes all 2^32, about half an hour of a processor a function; without it every 4001st.
"""

import os

import numpy as np
import pytest
from test_elementary import BOUNDS, network, ulps

from asnet_mlir.evaluation import Evaluator

STRIDE = int(os.environ.get("STRIDE", "4001"))
CHUNK = 1 << 20


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "cbrt"])
def test_all_numbers(name):
    evaluator, worst = Evaluator(network(name, 1)), 0.0
    # glibc's functions of long double reduce arguments of any size.
    exact_of = getattr(np, name)
    for start in range(0, 1 << 32, CHUNK * STRIDE):
        words = np.arange(start, min(start + CHUNK * STRIDE, 1 << 32), STRIDE, dtype=np.uint64)
        x = words.astype(np.uint32).view(np.float32)
        x = x[np.isfinite(x)]
        if len(x):
            got = evaluator.outputs(x[:, None]).ravel()
            worst = max(worst, ulps(got, exact_of(x.astype(np.longdouble))))
    print(f"{name}: {worst:.3f} ulp")
    assert worst <= BOUNDS[name]
