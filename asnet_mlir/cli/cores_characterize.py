# SPDX-License-Identifier: Apache-2.0
"""`asnet cores characterize`: error metrics of a core."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from asnet_mlir.cli.arguments import THREADS, Verbs, add_verb, integer, model_of
from asnet_mlir.cli.cores_arguments import core_arguments, instances_of, run_each, strategy_of
from asnet_mlir.cli.printing import print_json, write_new
from asnet_mlir.errors import InputError

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(verbs, "characterize", run, "error metrics of a core", core_arguments())
    command.add_argument(
        "--distribution", metavar="D", help="of the operands: uniform, normal or typical"
    )
    command.add_argument(
        "--operands", metavar="FILE.npz", help="operand pairs: arrays a and b, maybe weight"
    )
    command.add_argument("--network", metavar="MODEL", help="operands as they occur in a network")
    command.add_argument("--weights", metavar="FILE.npz", help="of --network, as of MODEL")
    command.add_argument("--data", metavar="DATA", help="what --network runs on")
    command.add_argument("--layer", metavar="LAYER", help="of --network; by default all")
    command.add_argument("--samples", metavar="N|all", help="operand pairs")
    command.add_argument(
        "--overflow",
        default="plain",
        metavar="O",
        help="of an integer result that wraps: plain (default), modular (distance modulo 2^width) "
        "or exclude (only pairs whose exact result fits)",
    )
    command.add_argument("--threads", type=integer, metavar="N", help=THREADS)
    command.add_argument(
        "-o", "--output", metavar="PREFIX", help="write PREFIX.json and PREFIX.png"
    )


def run(options: Any) -> int:
    """Carry the verb out; the status is 1 where something failed."""
    from asnet_mlir.cores.metrics.characterize import characterize, error_map

    strategy = strategy_of(options)
    samples = _samples(options)
    if options.each:
        for name in ("operands", "network", "output"):
            if getattr(options, name) is not None:
                raise InputError(f"--{name} is for one core at a time, not for --each")
        chosen_way = {"distribution": options.distribution, "samples": samples}
        return run_each(options, "characterize", threads=options.threads, **chosen_way)
    instances = instances_of(options)
    if len(instances) != 1:
        raise InputError("characterizes one core at a time (several Verilog files are one core)")
    instance = instances[0]
    arguments = {
        "distribution": _distribution(options, instance.core.op, samples),
        "seed": options.seed,
        "strategy": strategy,
        "overflow": options.overflow,
    }
    if options.network is not None:
        samples = None  # they are drawn already
    found = characterize(instance, samples=samples, threads=options.threads, **arguments)
    if options.output is not None:
        from asnet_mlir.reports import plot_errors

        write_new(f"{options.output}.json", json.dumps(found.to_json(), indent=2) + "\n")
        plot_errors(found, error_map(instance, **arguments), Path(f"{options.output}.png"))
    if options.json:
        print_json(found.to_json())
    else:
        print(found.summary())
    return 0


def _samples(options: Any) -> Any:
    """Return how many operand pairs are asked for, having checked what goes together."""
    chosen = [
        f"--{name}"
        for name in ("distribution", "operands", "network")
        if getattr(options, name) is not None
    ]
    if len(chosen) > 1:
        raise InputError(f"give one of {' and '.join(chosen)}, not both")
    for name, needed in (("data", "network"), ("layer", "network"), ("weights", "network")):
        if getattr(options, name) is not None and getattr(options, needed) is None:
            raise InputError(f"--{name} is for --{needed}")
    if options.network is not None and options.data is None:
        raise InputError("--network needs --data: what the network runs on")
    samples = options.samples
    if samples not in (None, "all"):
        if not re.fullmatch(r"[0-9]+", samples, re.ASCII):
            raise InputError(f"--samples '{samples}': give a number or 'all'")
        samples = int(samples)
    return samples


def _distribution(options: Any, op: str, samples: Any) -> Any:
    """Return what the operands are drawn from."""
    from asnet_mlir.cores.metrics.subject import Histogram
    from asnet_mlir.evaluation.operand_samples import operand_samples

    if options.network is None:
        return (
            options.distribution if options.operands is None else Histogram.load(options.operands)
        )
    if samples == "all":
        raise InputError("--samples all: a network's operands are drawn; give a number")
    return operand_samples(
        model_of(options.network, options.weights),
        options.data,
        op,
        options.layer,
        seed=options.seed,
        **({} if samples is None else {"samples": samples}),
    )
