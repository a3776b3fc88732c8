# SPDX-License-Identifier: Apache-2.0
"""`asnet finetune`: weights trained through the cores of a binding."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asnet_mlir.cli.arguments import (
    DATA,
    METRIC,
    Verbs,
    add_verb,
    binding_arguments,
    binding_of,
    model_of,
    network_arguments,
    number,
)
from asnet_mlir.cli.printing import print_json
from asnet_mlir.errors import InputError
from asnet_mlir.support.files import write_whole

if TYPE_CHECKING:
    from asnet_mlir.training.finetune import Epoch

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs,
        "finetune",
        run,
        "train a network with its cores in the forward pass",
        network_arguments(),
        binding_arguments(),
    )
    option = command.add_argument
    option("--data", required=True, metavar="DATA", help=f"to train on: {DATA}")
    option(
        "--test",
        metavar="DATA",
        help="decides which epoch is best (default: last tenth of --data)",
    )
    option(
        "--also",
        action="append",
        nargs="+",
        default=[],
        metavar="RULE",
        help="train for the binding of these rules as well; repeated: for several",
    )
    option("--epochs", type=int, default=5, metavar="N", help="(default: 5)")
    option("--batch", type=int, default=64, metavar="N", help="samples a step (default: 64)")
    option(
        "--estimator",
        default="lre",
        metavar="E",
        help="of the core's derivatives: ste, lre (default), difference, difference2d or "
        "module:function",
    )
    option(
        "--loss",
        nargs="+",
        default=[],
        metavar="[OUTPUT=]L[:WEIGHT]",
        help="of each output that has labels: cross_entropy, mse or mae (default: cross_entropy of "
        "classes, mse of numbers), with its weight in their sum (default: 1; 0: not trained for)",
    )
    option(
        "--metric",
        nargs="+",
        metavar="[OUTPUT=]M",
        help=f"decides which epoch is best, the first of several: {METRIC}; where several outputs "
        "have labels and there is no --metric, the loss decides",
    )
    option("--scales", action="store_true", help="learn the scales of codes as well")
    option(
        "--centre", action="store_true", help="start with biases that take cores' mean errors away"
    )
    option("--optimizer", default="adam", metavar="O", help="adam (default) or sgd")
    option("--rate", type=number, metavar="R", help="of the optimizer (adam: 0.001, sgd: 0.01)")
    option("--schedule", default="constant", metavar="S", help="of the rate: constant or cosine")
    option("--patience", type=int, metavar="N", help="stop after N epochs with nothing better")
    option("--seed", type=int, default=0, metavar="N", help="of the samples' order (default: 0)")
    option(
        "--checkpoint",
        metavar="FILE.npz",
        help="written after each epoch; where it exists training goes on from it",
    )
    option(
        "-o",
        "--output",
        required=True,
        metavar="NET.mlir",
        help="gets the network of the best epoch, a MODEL of every verb; NET.keras where MODEL is "
        "such a file of floats",
    )


def run(options: Any) -> None:
    """Carry the verb out."""
    from asnet_mlir.binding import Binding
    from asnet_mlir.training.finetune import finetune

    path = Path(options.output)
    source = _keras_source(options, path)

    def report(one: Epoch) -> None:
        loss = "" if one.epoch == 0 else f", loss {one.loss:.4f}"
        print(f"epoch {one.epoch}: {_figures(one)}{loss}", file=sys.stderr, flush=True)

    tuned = finetune(
        model_of(options.model, options.weights, options.module),
        options.data,
        binding_of(options),
        also=[Binding.parse(texts) for texts in options.also],
        epochs=options.epochs,
        batch=options.batch,
        estimator=options.estimator,
        scales=options.scales,
        centre=options.centre,
        loss=options.loss,
        metric=options.metric,
        optimizer=options.optimizer,
        rate=options.rate,
        schedule=options.schedule,
        seed=options.seed,
        validation=options.test,
        patience=options.patience,
        checkpoint=options.checkpoint,
        report=report,
    )
    _write(tuned.network, path, source)
    if options.json:
        epochs = [_epoch_json(one) for one in tuned.epochs]
        best = tuned.best.epoch
        print_json(
            {
                "file": str(path),
                "epochs": epochs,
                "best": best,
                "decided_by": tuned.decided_by,
                "stopped": tuned.stopped,
            }
        )
        return
    if tuned.stopped:
        print(f"stopped: {tuned.stopped}")
    print(f"best: epoch {tuned.best.epoch}, {_figures(tuned.best)}")
    print(f"written to {path}")


def _figures(epoch: Epoch) -> str:
    """Return an epoch's figures of the validation samples as text."""
    figures = [f"{name} {value:.4f}" for name, value in epoch.figures.items()]
    if len(figures) > 1:
        figures.append(f"validation loss {epoch.validation_loss:.4f}")
    return ", ".join(figures)


def _epoch_json(epoch: Epoch) -> dict[str, Any]:
    """Return an epoch as JSON values; None stands for what is no finite number."""
    from asnet_mlir.metrics import finite

    outputs: dict[str, dict[str, float | None]] = {}
    for name, value in epoch.figures.items():
        output, _, metric = name.rpartition(" ")
        outputs.setdefault(output, {})[metric] = finite(value)
    own = outputs.pop("", {})
    return {
        "epoch": epoch.epoch,
        "loss": finite(epoch.loss),
        "validation_loss": finite(epoch.validation_loss),
        **own,
        **({"outputs": outputs} if outputs else {}),
    }


def _keras_source(options: Any, output: Path) -> Path | None:
    """Return the file whose model the output shall be; None where it is to be StableHLO.

    Raises:
      InputError: the output is neither, or the model of no such file.
    """
    if output.suffix == ".mlir":
        return None
    from asnet_mlir.frontends.load import builtin_models

    source = builtin_models().get(options.model, Path(options.model))
    if output.suffix == ".keras" and source.suffix in (".keras", ".h5") and options.module is None:
        return source
    raise InputError(
        f"{output}: a trained network is written as FILE.mlir, that of a .keras or .h5 file as "
        "FILE.keras, too"
    )


def _write(network: Any, output: Path, source: Path | None) -> None:
    if source is None:
        from asnet_mlir.training.rewriting import text_of

        write_whole(output, text_of(network))
        return
    from asnet_mlir.frontends.keras_file import write_keras_file

    own = network.unfolded or network
    write_keras_file(source, {weight.name: weight.value for weight in own.weights}, output)
