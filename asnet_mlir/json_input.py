"""Checks that the JSON files of users share."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from asnet_mlir.errors import InputError

__all__ = ["check_keys"]


def check_keys(place: str, value: Mapping[str, Any], known: set[str], required: set[str]) -> None:
    """Check that an object has the keys it must have and no other.

    Args:
      place: where it stands in its file, such as `cores[1].parameters`; empty for the top.

    Raises:
      InputError: an unknown key (with the nearest known one), or a required one is missing.
    """
    prefix = f"{place}: " if place else ""
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            listing = f"; known are {', '.join(sorted(known))}"
            hint = f"; did you mean '{near[0]}'?" if near else listing
            raise InputError(f"{prefix}unknown key '{key}'{hint}")
    for key in sorted(required - set(value)):
        raise InputError(f"{prefix}lacks the key '{key}'")
