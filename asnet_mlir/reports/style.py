# SPDX-License-Identifier: Apache-2.0
"""How drawings look: one set of colours, marks and names for pages, pictures and the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["CHOSEN", "COLOURS", "MARKERS", "beyond_text", "core_name", "far_limit", "page_colours"]

#: Okabe and Ito's colours (2008), which most colour-blind people tell apart, without yellow.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
#: The same, lighter, on the dark page.
_ON_DARK = ("#5db4f0", "#ff9a55", "#45cfa5", "#ee9cc6", "#9ad6ff", "#ffc34d")
#: Told apart by shape as well as by hue, and in grey.
MARKERS = ("o", "s", "^", "D", "v", "P")
#: The ring around a choice; of the exact configuration there is a square in the text's colour.
CHOSEN, _CHOSEN_ON_DARK = "#b2182b", "#ff7b7b"
#: Figures further from the front than this many times its span do not compress the axis.
_FAR = 2.0


def page_colours() -> str:
    """Return the colours as CSS variables, `--series-0` .. and `--mark`."""

    def rules(colours: Sequence[str], chosen: str) -> str:
        series = "".join(f" --series-{n}: {colour};" for n, colour in enumerate(colours))
        return f":root {{{series} --mark: {chosen}; }}\n"

    light, dark = rules(COLOURS, CHOSEN), rules(_ON_DARK, _CHOSEN_ON_DARK)
    return f"{light}@media screen and (prefers-color-scheme: dark) {{\n  {dark}}}\n"


def core_name(reference: str) -> str:
    """Return a core's short name from its reference: `rtl/mul.v:C=2` is `mul.v`."""
    return reference.partition(":")[0].rsplit("/", 1)[-1]


def far_limit(
    front: Sequence[float], values: Sequence[float], larger_is_better: bool
) -> tuple[float, int] | None:
    """Return where an axis of figures ends, and how many of them are beyond; None for none.

    Args:
      front: figures that must be seen well, those of the front and of the exact configuration.
      values: all figures.
    """
    near = [value for value in front if math.isfinite(value)]
    if not near:
        return None
    low, high = min(near), max(near)
    room = _FAR * max(high - low, 1e-9)
    limit = low - room if larger_is_better else high + room
    far = sum((v < limit) if larger_is_better else (v > limit) for v in values if math.isfinite(v))
    return (limit, far) if far else None


def beyond_text(count: int, is_below: bool) -> str:
    """Return what a drawing says of points beyond its axis."""
    what = "configuration is" if count == 1 else "configurations are"
    return f"{count} {what} {'below' if is_below else 'above'}"
