# SPDX-License-Identifier: Apache-2.0
"""Arguments that several verbs have, and what they mean."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any, NoReturn

import asnet_mlir
from asnet_mlir.errors import InputError

__all__ = [
    "DATA",
    "METRIC",
    "MODEL",
    "Parser",
    "STRATEGY",
    "THREADS",
    "Verbs",
    "add_module",
    "add_style",
    "add_verb",
    "binding_arguments",
    "binding_of",
    "bundle_arguments",
    "compensated",
    "compensation_arguments",
    "integer",
    "model_of",
    "network_arguments",
    "number",
]

MODEL = (
    "classification_mnist, convolutional_mnist, convolutional_svhn or resnet8_svhn; FILE.keras, "
    "FILE.h5 or FILE.json with weights beside it; FILE.pt2 of PyTorch; FILE.onnx; FILE.tflite, "
    "quantised; the folder of a SavedModel; FILE.mlir or FILE.mlirbc (StableHLO, or what 'asnet "
    "compile -o' wrote); or MODULE:FUNCTION, which returns a function of JAX or TensorFlow or a "
    "module of PyTorch, and example arguments"
)
DATA = (
    "mnist:test, svhn_synthetic:test, svhn:FOLDER, fashion_mnist:test or cifar10:FOLDER (or "
    ":train; :N takes the first N samples), or FILE.npz with the array x, and y with labels; for a "
    "network of several inputs or outputs, arrays by their names, and y_OUTPUT"
)
METRIC = (
    "accuracy, top5 (topK), f1, auc, iou, mse, mae, psnr, snr, kl, or module:function; with :exact "
    "beside the exact network's outputs; by default what data and output ask for; OUTPUT=accuracy "
    "says which of several outputs is judged"
)
STRATEGY = (
    "force how cores are computed, with equal bits: lifted, rows or models (sums of products of "
    "8-bit codes), or for models native, word, bitslice, table, simulated"
)
THREADS = "by default one a core"

#: What `add_subparsers` returns.
type Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the program's."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see '{self.prog} --help')")


def add_verb(
    verbs: Verbs, name: str, run: Callable[[Any], int | None], help: str, *parents: Parser
) -> argparse.ArgumentParser:
    """Add a verb, which `run` carries out, with the arguments of `parents` and of every verb."""
    common = Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object")
    common.add_argument("--debug", action="store_true", help="show the trace of an error")
    command = verbs.add_parser(name, help=help, description=help, parents=[common, *parents])
    command.set_defaults(run=run)
    return command


def network_arguments() -> Parser:
    """Return the arguments that name a network."""
    network = Parser(add_help=False)
    network.add_argument("model", metavar="MODEL", help=MODEL)
    network.add_argument(
        "--weights",
        metavar="FILE",
        help="of a .mlir or .mlirbc file, an .npz file, by default NAME.weights.npz; of a .json "
        "file, an .h5 file, by default NAME.weights.h5, NAME_weights.h5 or NAME.h5; beside it",
    )
    add_module(network)
    return network


def add_module(command: argparse.ArgumentParser) -> None:
    """Add the argument that names a file with layers of the user's own."""
    command.add_argument(
        "--module",
        metavar="FILE.py",
        help="run this file, which defines layers that a .keras, .h5 or .json file names",
    )


def binding_arguments() -> Parser:
    """Return the arguments that give a binding."""
    bound = Parser(add_help=False)
    bound.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="OP[@LAYER[A:B]]=CORE[:P=20,M=3] ..",
        help="compute ops of a kind by a core, everywhere, in a layer or in output channels of it, "
        "A up to B; a list, or repeated",
    )
    bound.add_argument(
        "--binding",
        metavar="FILE.json|STORE.sqlite#KEY",
        help="a saved binding, or that of a stored result",
    )
    bound.add_argument(
        "--accumulator",
        metavar="BITS[:wrap|saturate]",
        help="sum integers (addi) in so many bits, 2 to 32",
    )
    return bound


def compensation_arguments() -> Parser:
    """Return the arguments that make up for errors of cores in networks on integer codes."""
    made_up = Parser(add_help=False)
    for name, what in (
        ("tune-weights", "replace weights by those whose products come nearest"),
        ("control-variate", "add to each sum what its filter's errors are on average"),
    ):
        made_up.add_argument(
            f"--{name}",
            nargs="?",
            const="",
            metavar="DATA",
            help=f"{what}, for the codes of DATA or for all alike",
        )
    return made_up


def compensated(options: Any, model: Any, binding: Any) -> Any:
    """Return the model with what `compensation_arguments` ask for."""
    from asnet_mlir.compensation import add_control_variate, tune_weights

    found = model
    if options.tune_weights is not None:
        found = tune_weights(model, binding, options.tune_weights or None).network
    if options.control_variate is not None:
        data = options.control_variate or None
        found = add_control_variate(found, binding, data, meant=model).network
    return found


def bundle_arguments() -> Parser:
    """Return the argument of verbs that read a bundle."""
    bundled = Parser(add_help=False)
    bundled.add_argument(
        "--modified",
        action="store_true",
        help="go on, with a warning, with a bundle that was changed since it was generated",
    )
    return bundled


def add_style(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the hardware's style."""
    command.add_argument(
        "--style",
        metavar="S",
        help="shared: one machine, least area (default); stream: an engine a layer, the only style "
        "of networks on integer codes",
    )
    command.add_argument(
        "--lanes",
        action="append",
        default=[],
        metavar="[LAYER=]N ..",
        help="of --style stream: outputs (of codes: terms of sums) at once, in all layers or in "
        "one; a list, or repeated",
    )


def integer(text: str) -> int:
    """Return the integer that a command line names; only ASCII digits are digits here."""
    if not re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer")
    return int(text)


def number(text: str) -> float:
    """Return the decimal number that a command line names."""
    if not re.fullmatch(r"[+-]?[0-9]*\.?[0-9]+(e[+-]?[0-9]+)?", text, re.ASCII | re.IGNORECASE):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number")
    return float(text)


def binding_of(options: Any) -> Any:
    """Return the binding that the arguments give."""
    from asnet_mlir.binding import Binding, accumulator_rule

    if options.bind and options.binding is not None:
        raise InputError("give either --bind or --binding, not both")
    if options.binding is not None:
        from asnet_mlir.exploration.stored_bindings import stored_binding

        binding = stored_binding(options.binding) or Binding.load(options.binding)
    else:
        binding = Binding.parse(options.bind)
    if options.accumulator is None:
        return binding
    return Binding((*binding.rules, accumulator_rule(options.accumulator)))


def model_of(name: str, weights: str | None, module: str | None = None) -> Any:
    """Return a network's name, or the network where other files belong to it."""
    if weights is None and module is None:
        return name
    return asnet_mlir.load_model(name, weights, module=module)
