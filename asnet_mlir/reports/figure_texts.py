# SPDX-License-Identifier: Apache-2.0
"""Figures for people, the same in the terminal, in tables and on pages."""

from __future__ import annotations

import math
from typing import Protocol

from asnet_mlir.exploration.cost_kinds import cost_kind

__all__ = ["cost_text", "figure_text", "interval_text", "number_text"]


class _Shown(Protocol):
    """A metric, or the record of one."""

    def show(self, value: float) -> str: ...


def interval_text(metric: _Shown, interval: tuple[float, float] | None) -> str:
    """Return a 95 % interval in the metric's unit, `98.46..98.91 %`; nothing where unknown."""
    if interval is None:
        return ""
    low, high = map(metric.show, interval)
    return f"{low.partition(' ')[0]}..{high}"


def figure_text(metric: _Shown, value: float, interval: tuple[float, float] | None) -> str:
    """Return a figure with its interval, `98.70 % [98.46..98.91 %]`."""
    found = interval_text(metric, interval)
    return f"{metric.show(value)} [{found}]" if found else metric.show(value)


def number_text(value: float) -> str:
    """Return a number for people: whole from 1,000 on, else with four significant digits."""
    if abs(value) >= 1000 or value == 0 or not math.isfinite(value):
        return f"{value:,.0f}"
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}".rstrip("0").rstrip(".") if decimals else f"{value:.0f}"


def cost_text(name: str, value: float) -> str:
    """Return a cost with its unit."""
    unit = cost_kind(name).unit
    return f"{number_text(value)} {unit}" if unit else number_text(value)
