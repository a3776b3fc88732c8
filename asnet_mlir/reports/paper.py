# SPDX-License-Identifier: Apache-2.0
"""What the paper states about its networks, to be shown beside our results."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SOURCE", "PaperPoint", "paper_points"]


@dataclass(frozen=True)
class PaperPoint:
    """An accuracy that the paper states.

    Attributes:
      where: in the paper.
      rules: per op kind, the parameters of the one approximate core it was computed with in the
        whole network (`P`: ignored mantissa bits).
      accuracy: 0..1.
      samples: test images.
    """

    where: str
    rules: Mapping[str, Mapping[str, int]]
    accuracy: float
    samples: int

    def beside(self, op: str) -> str:
        """Return what is approximated besides `op`: `with divf P=22`, or nothing."""
        others = [
            " ".join([other, *(f"{name}={value}" for name, value in parameters.items())])
            for other, parameters in self.rules.items()
            if other != op
        ]
        return f"with {', '.join(others)}" if others else ""


@functools.cache
def _file() -> Mapping:
    return json.loads(Path(__file__).with_name("paper.json").read_text())


SOURCE: str = _file()["source"]
"""Authors and title of the paper."""


def paper_points(network: str) -> list[PaperPoint]:
    """Return what the paper states for the built-in network of this name."""
    return [PaperPoint(**point) for point in _file()["networks"].get(network, [])]
