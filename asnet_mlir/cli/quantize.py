# SPDX-License-Identifier: Apache-2.0
"""`asnet quantize`: a float network to one of integer codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asnet_mlir
from asnet_mlir.cli.arguments import DATA, MODEL, Verbs, add_module, add_verb, model_of
from asnet_mlir.cli.printing import print_json
from asnet_mlir.errors import InputError

__all__ = ["add"]

_FILES = (".npz", ".h5", ".hdf5")


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(verbs, "quantize", run, "a float network to one of integer codes")
    option = command.add_argument
    option("model", metavar="MODEL", help=MODEL)
    option(
        "--weights",
        action="append",
        default=[],
        metavar="N|FILE",
        help="bits of weights, 2 to 16 (default: 8); or the weights of a .mlir, .mlirbc or .json "
        "file, where they are not beside it",
    )
    add_module(command)
    option(
        "--data",
        required=True,
        metavar="DATA",
        help=f"shows the ranges of values, by its first 512 samples: {DATA}; here x alone is "
        "enough",
    )
    option("--test", metavar="DATA", help="for the accuracies; by default --data with its labels")
    option("--bits", type=int, default=8, metavar="N", help="of activations, 2 to 16 (default: 8)")
    _add_scheme(command)
    option(
        "--first-last",
        choices=("codes", "float"),
        default="codes",
        help="float leaves the first and the last layer with weights as they are (default: codes)",
    )
    option(
        "--softmax",
        choices=("codes", "float"),
        default="float",
        help="of the network's end: codes, by tables, which hardware on codes has as well; it "
        "gives codes then (default: float)",
    )
    option(
        "--float",
        action="append",
        default=[],
        metavar="LAYER",
        help="leave a layer as it is; repeated for several",
    )
    option(
        "--no-alone",
        action="store_true",
        help="do not measure each layer quantized alone, which takes a network a layer",
    )
    option(
        "-o",
        "--output",
        required=True,
        metavar="NET.mlir",
        help="gets the network with its weights; a MODEL of every verb",
    )


def _add_scheme(command: Any) -> None:
    channels = command.add_mutually_exclusive_group()
    channels.add_argument(
        "--per-channel",
        action="store_true",
        help="a scale for the weights of each output channel (default)",
    )
    channels.add_argument(
        "--per-tensor", action="store_true", help="one scale for all weights of a layer"
    )
    option = command.add_argument
    option("--symmetric", action="store_true", help="zero points of activations are 0")
    option(
        "--unsigned",
        action="store_true",
        help="unsigned codes of activations and weights, for unsigned cores",
    )
    option(
        "--method",
        default="minmax",
        metavar="M",
        help="of ranges: minmax (default), percentile or mse, the least mean squared error",
    )


def run(options: Any) -> None:
    """Carry the verb out."""
    path = Path(options.output)
    if path.suffix != ".mlir":
        raise InputError(f"{path}: a quantized network is written as FILE.mlir")
    numbers = [text for text in options.weights if not text.endswith(_FILES)]
    files = [text for text in options.weights if text.endswith(_FILES)]
    outcome = asnet_mlir.quantization_outcome(
        model_of(options.model, files[-1] if files else None, options.module),
        options.data,
        bits=options.bits,
        weights=_bits(numbers[-1]) if numbers else 8,
        per_channel=not options.per_tensor,
        symmetric=options.symmetric,
        unsigned=options.unsigned,
        method=options.method,
        first_last_float=options.first_last == "float",
        float_layers=options.float,
        softmax=options.softmax,
        test=options.test,
        alone=not options.no_alone,
    )
    outcome.save(path)
    if options.json:
        print_json({"file": str(path), **outcome.to_json()})
        return
    print(outcome.table())
    if outcome.accuracy is not None and outcome.accuracy_float is not None:
        change = 100 * (outcome.accuracy - outcome.accuracy_float)
        print(
            f"accuracy {outcome.accuracy:.4f}, in float {outcome.accuracy_float:.4f} "
            f"({change:+.2f} points), on {outcome.tested} samples"
        )
    print(f"written to {path}")


def _bits(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InputError(f"--weights takes a number of bits or FILE.npz or FILE.h5, not '{text}'")
    return int(text)
