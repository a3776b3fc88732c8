# SPDX-License-Identifier: Apache-2.0
"""`asnet synth`: area and clock frequency of a bundle or a core."""

from __future__ import annotations

import sys
from typing import Any

import asnet_mlir
from asnet_mlir.cli.arguments import Verbs, add_verb, bundle_arguments, integer, number
from asnet_mlir.cli.printing import print_json, show_step, warn_of_changes
from asnet_mlir.errors import InputError

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs, "synth", run, "area and clock frequency of a bundle or a core", bundle_arguments()
    )
    command.add_argument("design", metavar="DIR|CORE[:P=20]", help="a bundle or a core")
    command.add_argument(
        "--target",
        default="ecp5",
        metavar="TARGET",
        help="ecp5 (default), cyclonev, xilinx7 or asic; or a project for quartus or vivado",
    )
    command.add_argument("--seed", type=integer, default=1, help="the first of place and route")
    command.add_argument(
        "--seeds", type=integer, default=1, metavar="N", help="place N times: the median clock"
    )
    command.add_argument(
        "--device",
        metavar="25k|45k|85k|NAME",
        help="ECP5 that it must fit; or quartus' or vivado's name of a device",
    )
    command.add_argument(
        "--project", metavar="FOLDER", help="of quartus or vivado (default: DIR-quartus)"
    )
    command.add_argument("--liberty", metavar="FILE.lib", help="gates for --target asic")
    command.add_argument(
        "--activity",
        type=number,
        metavar="0.1",
        help="of --target asic: changes of a net in a cycle; power by OpenSTA",
    )
    command.add_argument("--clock", type=number, metavar="MHZ", help="of that power (default: 100)")
    command.add_argument(
        "--op", metavar="OP", help="of a core: what it computes, mulf for a unit in its wrapper"
    )
    command.add_argument("--dsp", action="store_true", help="allow DSP blocks")


def run(options: Any) -> None:
    """Carry the verb out."""
    if options.clock is not None and options.activity is None:
        raise InputError("--clock is of the power that --activity asks for")
    warn_of_changes(options.design, options.modified)
    result = asnet_mlir.synthesize(
        options.design,
        target=options.target,
        seed=options.seed,
        seeds=options.seeds,
        dsp=options.dsp,
        device=options.device,
        liberty=options.liberty,
        activity=options.activity,
        clock_mhz=100.0 if options.clock is None else options.clock,
        op=options.op,
        project=options.project,
        modified=options.modified,
        progress=show_step if sys.stderr.isatty() else None,
    )
    if options.json:
        print_json(result)
        return
    if not result.get("tool_found", True):
        print(
            f"project written to {result['project']}; {result['tool']} was not found: run 'make' "
            "there, on a machine that has it"
        )
        return
    power = result.pop("power_watts", {})
    shown = result | {f"power_{name}": f"{watts:.3g} W" for name, watts in power.items()}
    print(", ".join(f"{key} {value}" for key, value in shown.items() if value is not None))
