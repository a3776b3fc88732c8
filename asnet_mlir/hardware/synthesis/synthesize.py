# SPDX-License-Identifier: Apache-2.0
"""The verb `synthesize`: area, delay and clock of a bundle or a core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from asnet_mlir.cores import Instance, parse_instance
from asnet_mlir.errors import InputError
from asnet_mlir.hardware.bundle.core_files import core_files
from asnet_mlir.hardware.bundle.manifest import check_files
from asnet_mlir.hardware.bundle.unit import CoreFiles
from asnet_mlir.hardware.synthesis import projects
from asnet_mlir.hardware.synthesis import synth as synthesis

__all__ = ["synthesize"]


def synthesize(
    design: str | Path | Instance,
    *,
    target: str = "ecp5",
    seed: int = 1,
    seeds: int = 1,
    dsp: bool = False,
    route: bool = True,
    device: str | None = None,
    liberty: str | Path | None = None,
    activity: float | synthesis.Operands | None = None,
    clock_mhz: float = 100.0,
    op: str | None = None,
    project: str | Path | None = None,
    modified: bool = False,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Return area and clock frequency of a bundle, or of a core between registers.

    Args:
      design: a bundle's folder, a core's text (`fmul_trunc:P=20`) or an instance.
      target: `ecp5` (Yosys and nextpnr), or without place and route, so without a clock frequency
        but with the delay of the cells: `cyclonev`, `xilinx7`, `asic`; or of a bundle, by the
        vendor's tool where it is in PATH: `quartus`, `vivado`.
      seed: of place and route; the first of them.
      seeds: how many are placed; the clock is the median.
      dsp: let multipliers use the device's DSP blocks; by default they are soft logic, where
        approximation saves area.
      route: without, the design is only mapped: quicker, and there is no clock frequency.
      device: of ECP5: `25k`, `45k` or `85k`; by default the smallest with room.  Of a vendor's
        tool: its name there; by default a Cyclone V 5CSEMA5F31C6, an Artix-7 xc7a100tcsg324-1.
      liberty: the gates of an ASIC library.
      activity: of an ASIC: changes of every net in a cycle, or a core's operands, bits of a and of
        b as integers [streams, cycles], from which those of each pin follow; with it, OpenSTA
        reports the power at `clock_mhz`.
      op: of a core: what it computes, so that a unit of significands is synthesized in its wrapper,
        as networks have it.
      project: the folder of a vendor's project; by default `DIR-quartus` beside the bundle.
      modified: take a bundle whose files are not those that were generated.
      progress: is told of every step that begins.

    Returns:
      See `asnet_mlir.hardware.synthesis.synth.synthesize`; of a vendor's tool,
      `asnet_mlir.hardware.synthesis.projects.synthesize`.

    Raises:
      InputError: neither a bundle nor a core; a bundle that was changed; an unknown target or
        device; too large a design; a project's folder that exists.
      ToolError: a tool failed, or a ROM was lost on the way.
    """
    if target in projects.VENDOR_TARGETS:
        if isinstance(design, Instance) or not Path(design).is_dir():
            raise InputError(f"target {target} takes a bundle's folder, not '{design}'")
        if liberty is not None or activity is not None:
            raise InputError(f"target {target} takes no liberty file and no activity; asic does")
        if seeds != 1 or not route:
            raise InputError(f"target {target} places once, as the project says")
        if not modified:
            check_files(design)
        return projects.synthesize(
            Path(design),
            target,
            project=None if project is None else Path(project),
            device=device,
            dsp=dsp,
            **({"progress": progress} if progress else {}),
        )
    if project is not None:
        vendors = " and ".join(projects.VENDOR_TARGETS)
        raise InputError(f"target {target} writes no project; {vendors} do")
    what: Path | CoreFiles
    if isinstance(design, Instance):
        what = core_files(design)
    elif Path(design).is_dir():
        what = Path(design)
        if not modified:
            check_files(what)
    else:
        what = core_files(parse_instance(str(design), op=op))
    return synthesis.synthesize(
        what,
        target,
        seeds=range(seed, seed + seeds),
        dsp=dsp,
        route=route,
        device=device,
        liberty=liberty,
        activity=activity,
        clock_mhz=clock_mhz,
        **({"progress": progress} if progress else {}),
    )
