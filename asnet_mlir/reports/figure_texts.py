# SPDX-License-Identifier: Apache-2.0
"""Figures for people, the same in the terminal, in tables and on pages."""

from __future__ import annotations

from typing import Protocol

__all__ = ["figure_text", "interval_text"]


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
