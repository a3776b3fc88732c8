# SPDX-License-Identifier: Apache-2.0
"""The compiled part (cpp/Module.cpp)."""

from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray]

def problem(
    inputs: np.ndarray,
    exact: np.ndarray,
    words: int,
    drawn: int,
    signed: bool,
    weights0: np.ndarray | None,
    weights1: np.ndarray | None,
    isa: str | None,
) -> Any: ...
def measure(
    problem: Any, circuit: Arrays
) -> tuple[float, int, float, float, float, float, float]: ...
def measure_all(
    inputs: int,
    bits: int,
    signed: bool,
    circuit: Arrays,
    exact: Arrays,
    first_block: int,
    blocks: int,
) -> tuple[int, int, int, int, int]: ...
def search(
    problem: Any, goal: tuple[Any, ...], circuits: list[Arrays], seed: int, candidates: int
) -> tuple[list[tuple[tuple[bytes, bytes], int] | None], tuple[int, int, int, int, int, int]]: ...
