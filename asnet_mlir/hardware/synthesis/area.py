# SPDX-License-Identifier: Apache-2.0
"""Area of a bundle before synthesis: its cores, measured alone, and what is around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asnet_mlir.hardware.bundle.unit import CoreFiles
from asnet_mlir.hardware.synthesis import synth

__all__ = ["predict_luts"]

#: LUT4 (ECP5) around the cores, fitted to the three networks of the paper with exact cores
#: (docs/hardware.md has prediction and measurement).
_MACHINE = 1200
_ENGINE = 260
#: For each further lane: its sum's register file and choice, its word in the queue of slots.
_LANE = 130


def predict_luts(
    manifest: Mapping[str, Any],
    cores: Mapping[int, CoreFiles],
    progress: Callable[[str], None] | None = None,
) -> dict[str, int]:
    """Return roughly how many LUT4 a bundle takes on ECP5.

    Args:
      manifest: of the bundle; `instances` say how often each core is built.
      cores: by the instance's number.  Each is mapped alone by Yosys, between registers, cached.
      progress: told of each core that is mapped.

    Returns:
      `cores`, `control` and their sum, `total`.

    Raises:
      ToolError: Yosys failed.
    """
    say = progress or synth.silent
    own = sum(
        entry["count"]
        * int(synth.synthesize(cores[entry["id"]], route=False, progress=say)["luts"])
        for entry in manifest["instances"]
    )
    around = 0
    if manifest["kind"] == "sequential":
        around = _MACHINE
    else:
        for layer in manifest["layers"]:
            if layer["kind"] == "machine":
                around += _MACHINE
            else:
                around += _ENGINE + _LANE * (layer["lanes"] - 1)
    return {"cores": own, "control": around, "total": own + around}
