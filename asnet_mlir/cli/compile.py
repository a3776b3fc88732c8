# SPDX-License-Identifier: Apache-2.0
"""`asnet compile`: a network in one of its forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asnet_mlir
from asnet_mlir.cli.arguments import (
    Verbs,
    add_style,
    add_verb,
    binding_arguments,
    binding_of,
    compensated,
    compensation_arguments,
    model_of,
    network_arguments,
)
from asnet_mlir.cli.printing import print_json, write_new
from asnet_mlir.errors import InputError
from asnet_mlir.support.forms import FORMS, MODEL_FORMS

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs,
        "compile",
        run,
        "print a network in one of its forms",
        network_arguments(),
        binding_arguments(),
        compensation_arguments(),
    )
    command.add_argument(
        "--emit",
        default="bound",
        metavar="FORM",
        help=f"one of {', '.join(FORMS)}; the last three are the hardware's (default: bound)",
    )
    command.add_argument("--batch", type=int, metavar="N", help="samples in a call (default: 1)")
    command.add_argument(
        "--widen",
        action="store_true",
        help="f32 wherever the network has f16 or bf16, which hardware has not",
    )
    add_style(command)
    command.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="weights go into NAME.weights.npz beside NAME.mlir",
    )


def run(options: Any) -> None:
    """Carry the verb out."""
    from asnet_mlir.frontends.weights import weights_file_of, write_weights

    if options.batch is not None and options.batch < 1:
        raise InputError(f"--batch must be at least 1, not {options.batch}")
    binding = binding_of(options)
    model = compensated(options, model_of(options.model, options.weights, options.module), binding)
    network = asnet_mlir.load_model(model)
    if options.widen:
        from asnet_mlir.frontends.widening import widened

        network = asnet_mlir.load_model(widened(network))
    text = asnet_mlir.compile(
        network,
        options.emit,
        binding,
        batch=options.batch,
        style=options.style,
        lanes=options.lanes,
    )
    if options.output:
        output = Path(options.output)
        write_new(options.output, text)
        framework = options.emit == "stablehlo" and network.unfolded is not None
        weights = network.unfolded.weights if framework else network.weights
        if options.emit in MODEL_FORMS and output.suffix == ".mlir" and weights:
            write_weights(weights_file_of(output), weights)
    elif options.json:
        print_json({"form": options.emit, "text": text})
    else:
        print(text)
