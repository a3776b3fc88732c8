# SPDX-License-Identifier: Apache-2.0
"""The schema of constraints files, in which a core is described as in bindings."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["constraints_schema"]


@functools.cache
def constraints_schema() -> Mapping[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the constraints file."""
    return json.loads(Path(__file__).with_name("constraints.schema.json").read_text())
