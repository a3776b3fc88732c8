# SPDX-License-Identifier: Apache-2.0
"""What the fuzzers of the cache and of kills have in common."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ASNET = [sys.executable, "-c", "from asnet_mlir.cli.program import asnet; asnet()"]
DATA = Path(__file__).parents[1] / "py" / "data"

#: What differs between two runs that compute the same.
_TIMES = {"seconds", "compile_seconds", "nanoseconds", "evaluations_per_second", "created"}


def seconds(share: float = 1.0) -> float:
    """Return how long to try: ASNET_FUZZ_SECONDS, shared by the fuzzers of a file."""
    return float(os.environ.get("ASNET_FUZZ_SECONDS", "20")) * share


def cases(counts: Counter[str], share: float = 1.0) -> Iterator[tuple[int, random.Random]]:
    """Yield a case's number and its random numbers until the time is over; at least one."""
    seed = int(os.environ.get("ASNET_FUZZ_SEED", "1"))
    end, number = time.monotonic() + seconds(share), 0
    while number == 0 or time.monotonic() < end:
        yield number, random.Random(f"{seed} {number}")
        number += 1
        counts["cases"] += 1


def environment(**changes: str | None) -> dict[str, str]:
    """Return this process's environment with changes; None removes a variable."""
    values: Mapping[str, str | None] = {**os.environ, "JAX_PLATFORMS": "cpu", **changes}
    return {name: value for name, value in values.items() if value is not None}


def without_times(text: str) -> Any:
    """Return JSON without what differs between two runs."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: clean(v) for k, v in value.items() if k not in _TIMES}
        return [clean(v) for v in value] if isinstance(value, list) else value

    return clean(json.loads(text))
