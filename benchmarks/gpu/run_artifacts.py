# SPDX-License-Identifier: Apache-2.0
"""Run exported networks where JAX is: words that differ from the evaluator's, and images a second.

`python run_artifacts.py FOLDER`, made by `prepare.py`; it needs JAX and NumPy alone.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

BATCH = 256


def timed(function: Callable[[Any], Any], x: Any, seconds: float = 2.0) -> float:
    """Return images a second of whole batches that lie on the device already."""
    jax.block_until_ready(function(x))
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        jax.block_until_ready([function(x) for _ in range(4)])
        count += 4 * len(x)
    return count / (time.perf_counter() - begin)


def main(folder: Path) -> int:
    """Run all; return how many words differ, an artifact that fails being one."""
    print(f"JAX {jax.__version__}, {jax.devices()[0]}", flush=True)
    all_differ = 0
    for one in json.loads((folder / "index.json").read_text()):
        arrays = np.load(folder / one["arrays"])
        x, wanted = arrays["x"], arrays["words"] if one["binding"] else None
        try:
            artifact = export.deserialize(bytearray((folder / one["artifact"]).read_bytes()))
            function = jax.jit(artifact.call)
            rows = [np.asarray(function(x[i : i + BATCH])) for i in range(0, len(x), BATCH)]
            speed = timed(function, jax.device_put(x[:BATCH]))
        except Exception as error:
            print(f"{one['artifact']}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            all_differ += 1
            continue
        label = f"{one['network']} {one['binding'] or 'exact float'}"
        if wanted is None:
            print(f"{label}: {speed:.0f} images/s", flush=True)
            continue
        differ = int((np.concatenate(rows) != wanted).sum())
        all_differ += differ
        print(f"{label}: {differ} of {wanted.size} words differ, {speed:.0f} images/s", flush=True)
    return all_differ


if __name__ == "__main__":
    sys.exit(1 if main(Path(sys.argv[1])) else 0)
