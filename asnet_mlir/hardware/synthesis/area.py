# SPDX-License-Identifier: Apache-2.0
"""Area of a bundle before synthesis: its cores, measured alone, and what is around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asnet_mlir.hardware.bundle.unit import CoreFiles
from asnet_mlir.hardware.synthesis import synth

__all__ = ["core_luts", "predict_luts"]

#: LUT4 (ECP5) around the cores, fitted to the three networks of the paper with exact cores
#: (docs/hardware.md has prediction and measurement).
_MACHINE = 1200
_ENGINE = 260
#: For each further lane: its sum's register file and choice, its word in the queue of slots.
_LANE = 130


def core_luts(core: CoreFiles, progress: Callable[[str], None] | None = None) -> int:
    """Return how many LUT4 a core takes, mapped alone."""
    mapped = synth.synthesize(core, route=False, progress=progress or synth.silent)
    return int(mapped["luts"])


def predict_luts(
    manifest: Mapping[str, Any],
    cores: Mapping[int, CoreFiles],
    progress: Callable[[str], None] | None = None,
    dsp: bool = False,
) -> dict[str, int]:
    """Return roughly how many LUT4 a bundle takes on ECP5.

    Args:
      manifest: of the bundle; `instances` say how often each core is built.
      cores: by the instance's number.  Each is mapped alone by Yosys, between registers, cached.
      progress: told of each core that is mapped.
      dsp: products of codes that no core computes are for the device's multipliers.

    Returns:
      `cores`, `control` and their sum, `total`; of engines on codes `dsps` and `brams` as well.

    Raises:
      ToolError: Yosys failed.
    """
    own = sum(
        entry["count"] * core_luts(cores[entry["id"]], progress) for entry in manifest["instances"]
    )
    if manifest["kind"] == "integers":
        counts = manifest["predicted_area"]["dsp" if dsp else "soft"]
        control = counts["luts"]
        return counts | {"cores": own, "control": control, "total": own + control}
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
