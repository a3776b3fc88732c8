# SPDX-License-Identifier: Apache-2.0
"""The verb `finetune`: weights of a network of codes, trained through the cores of a binding."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from asnet_mlir.data import Dataset
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.frontends import load_model
from asnet_mlir.metrics import Metric
from asnet_mlir.network import Network
from asnet_mlir.support.cache import content_hash
from asnet_mlir.support.files import write_whole
from asnet_mlir.training.approximation import Approximation, Parameters, approximate
from asnet_mlir.training.centring import centred
from asnet_mlir.training.estimators import Estimator
from asnet_mlir.training.losses import total_loss
from asnet_mlir.training.training_task import Task, exact_rows, judged, logits_of, make_task

__all__ = ["OPTIMIZERS", "SCHEDULES", "Epoch", "Tuned", "finetune"]

OPTIMIZERS = ("adam", "sgd")
#: How the rate goes: on as it is, or along half a cosine to 0 at the last epoch's end.
SCHEDULES = ("constant", "cosine")
#: Steps' sizes by default: parameters go from -1 to 1.
_RATES = {"adam": 1e-3, "sgd": 1e-2}
#: Samples whose codes the cores' mean errors are of.
_CENTRED = 256


@dataclass(frozen=True)
class Epoch:
    """What an epoch gave.

    Attributes:
      epoch: 0 is the network before training.
      loss: mean of its batches; NaN before training.
      score: of the validation samples, what decides which epoch is the best: the greater, the
        better.
      validation_loss: of the validation samples.
      figures: of the validation samples, by `OUTPUT METRIC` (of one output, by `METRIC`); those of
        several bindings are means.
    """

    epoch: int
    loss: float
    score: float
    validation_loss: float
    figures: Mapping[str, float]

    @property
    def accuracy(self) -> float:
        """The accuracy, 0..1, of the only output."""
        return self.figures["accuracy"]


@dataclass(frozen=True)
class Tuned:
    """A trained network.

    Attributes:
      network: with the parameters of the best epoch.
      epochs: all, in their order.
      best: the epoch of the greatest score; the first of several.
      stopped: why training ended before the last epoch, or "".
      decided_by: the figure that scores are of, a key of `Epoch.figures`, or `validation_loss`.
    """

    network: Network
    epochs: tuple[Epoch, ...]
    best: Epoch
    stopped: str
    decided_by: str


def finetune(
    model: Any,
    data: str | Path | Dataset | tuple[Any, Any] | Mapping[str, Any],
    binding: Any = None,
    *,
    also: Sequence[Any] = (),
    epochs: int = 5,
    batch: int = 64,
    estimator: str | Estimator = "lre",
    scales: bool = False,
    centre: bool = False,
    loss: str | Sequence[str] = (),
    metric: str | Metric | Sequence[str | Metric] | None = None,
    optimizer: str = "adam",
    rate: float | None = None,
    schedule: str = "constant",
    seed: int = 0,
    validation: str | Path | Dataset | tuple[Any, Any] | Mapping[str, Any] | None = None,
    patience: int | None = None,
    checkpoint: str | Path | None = None,
    report: Callable[[Epoch], None] = lambda _: None,
) -> Tuned:
    """Train a network's weights and biases with its cores in the forward pass.

    Args:
      model, binding, estimator, scales: see `approximate`.
      also: bindings that the network shall be good for as well: each step takes one of all, by lot.
      data: labelled samples, whatever `load_named` takes; of several outputs, those without labels
        are not trained for.
      centre: start with biases that take away the mean errors of the (first) binding's cores
        (`training/centring.py`); epoch 0 has them.
      batch: samples a step.
      loss: `[OUTPUT=]LOSS[:WEIGHT]` of `LOSSES`, for each output at most one; by default that which
        goes with what judges it (`make_losses`).
      metric: see `evaluate`; the first one decides which epoch is the best.  Without any, that is
        the figure of the only output that has labels, and the loss where several have.
      rate: of the optimizer, for parameters from -1 to 1.
      schedule: of the rate, of `SCHEDULES`.
      validation: decides which epoch is the best; by default the last tenth of `data`, which is
        then not trained on.
      patience: stop after so many epochs that brought nothing better.
      checkpoint: a file that is written after each epoch, and gone on from where it exists: the
        result has the same bits.

    Raises:
      InputError: see `approximate`, `prepare_data`, `judges_of` and `make_losses`; an option is out
        of range; a checkpoint of another training.
    """
    options = _Options(
        batch, optimizer, rate or _RATES.get(optimizer, 0.0), schedule, seed, epochs, estimator
    )
    _check(options, rate)
    network = load_model(model)
    functions = [
        approximate(network, one, estimator=estimator, scales=scales) for one in (binding, *also)
    ]
    function = functions[0]
    if not function.parameters:
        raise InputError(f"{function.network.name}: has no weights that could be trained")
    own, given = prepare_data(data, network), [loss] if isinstance(loss, str) else loss
    if validation is None:
        kept = max(len(own) // 10, 1)
        task = make_task(network, own, given, metric)
        training, held = task.part(0, len(own) - kept), task.part(len(own) - kept, len(own))
        if len(own) == kept:
            raise InputError("there is no sample to train on")
    else:
        training = make_task(network, own, given, metric)
        held = make_task(network, prepare_data(validation, network), given, metric)
        held.require_like(training)
    held = held.resolved(lambda x: exact_rows(network, function, x))
    start = centred(function, training.x[:_CENTRED]) if centre else function.parameters
    loop = _Loop(functions, start, training, held, options)
    found, parameters, stopped = loop.run(patience, checkpoint, report)
    best = max(found, key=lambda one: (one.score, -one.epoch))
    return Tuned(function.tuned(parameters), tuple(found), best, stopped, held.decided_by)


@dataclass(frozen=True)
class _Options:
    """What the bits of a trained network depend on beside its samples: see `finetune`."""

    batch: int
    optimizer: str
    rate: float
    schedule: str
    seed: int
    epochs: int
    estimator: str | Estimator

    def key(self) -> str:
        """Return a text that differs where the steps do."""
        function = self.estimator
        name = function if isinstance(function, str) else getattr(function, "__qualname__", "")
        parts = [self.batch, self.optimizer, self.rate, self.schedule, self.seed, name]
        return repr([*parts, self.epochs] if self.schedule == "cosine" else parts)


def _check(options: _Options, rate: float | None) -> None:
    if options.optimizer not in OPTIMIZERS:
        raise InputError(f"optimizer '{options.optimizer}': one of {', '.join(OPTIMIZERS)}")
    if options.schedule not in SCHEDULES:
        raise InputError(f"schedule '{options.schedule}': one of {', '.join(SCHEDULES)}")
    if options.epochs < 1 or options.batch < 1:
        raise InputError("epochs and batch must be at least 1")
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise InputError(f"a rate is positive and finite, not {rate:g}")


class _Loop:
    """Epochs of steps.

    The order of samples in an epoch, and which binding a step takes, depend on the seed and the
    epoch's number.
    """

    def __init__(
        self,
        functions: Sequence[Approximation],
        start: Parameters,
        training: Task,
        held: Task,
        options: _Options,
    ) -> None:
        self._parameters = start
        self._training, self._held = training, held
        self._batch, self._seed = min(options.batch, len(training.x)), options.seed
        self._epochs = options.epochs
        self._optimizer = self._chosen(options)
        self._key = content_hash(
            "training 3",
            options.key(),
            training.key,
            repr([one.binding.label for one in functions]),
            functions[0].network.name,
            *(array.tobytes() for array in (*training.arrays, *jax.tree.leaves(start))),
        )
        self._steps = [self._step(function) for function in functions]
        self._judged = [judged(function, held.losses) for function in functions]

    def _chosen(self, options: _Options) -> Any:
        import optax

        rate: Any = options.rate
        if options.schedule == "cosine":
            steps = options.epochs * (len(self._training.x) // self._batch)
            rate = optax.cosine_decay_schedule(rate, steps)
        return optax.adam(rate) if options.optimizer == "adam" else optax.sgd(rate, momentum=0.9)

    def _step(self, function: Approximation) -> Callable[..., Any]:
        import optax

        losses = self._training.losses

        def loss(parameters: Any, x: Any, targets: Any) -> Any:
            _, reals = function.reals(x, parameters, logits=logits_of(losses))
            return total_loss(losses, reals, targets)

        def step(parameters: Any, state: Any, x: Any, targets: Any) -> Any:
            value, slope = jax.value_and_grad(loss)(parameters, x, targets)
            updates, state = self._optimizer.update(slope, state, parameters)
            # Codes of any weights have a loss; a slope that is no number spoils them.
            value = value + 0 * optax.tree.norm(slope)
            return value, optax.apply_updates(parameters, updates), state

        return jax.jit(step)

    def run(
        self,
        patience: int | None,
        checkpoint: str | Path | None,
        report: Callable[[Epoch], None],
    ) -> tuple[list[Epoch], Any, str]:
        """Return the epochs, the best one's parameters, and why it ended early."""
        parameters: Any = jax.tree.map(jnp.asarray, self._parameters)
        state = self._optimizer.init(parameters)
        tree = parameters, state, parameters
        done: list[Epoch] = []
        if checkpoint is not None and Path(checkpoint).is_file():
            tree, done = self._read(checkpoint, tree)
        parameters, state, best = tree
        if not done:
            done = [self._judge(0, math.nan, parameters)]
            report(done[0])
        for number in range(len(done), self._epochs + 1):
            loss, after, state = self._epoch(number, parameters, state)
            if not math.isfinite(loss):
                return done, best, f"the loss of epoch {number} is {loss}"
            parameters = after
            one = self._judge(number, loss, parameters)
            if one.score > max(old.score for old in done):
                best = parameters
            done.append(one)
            if checkpoint is not None:
                self._write(checkpoint, (parameters, state, best), done)
            report(one)
            top = max(done, key=lambda old: (old.score, -old.epoch)).epoch
            if patience is not None and number - top >= patience and number < self._epochs:
                return done, best, f"nothing better in {patience} epochs"
        return done, best, ""

    def _epoch(self, number: int, parameters: Any, state: Any) -> tuple[float, Any, Any]:
        x, targets = self._training.x, [loss.targets for loss in self._training.losses]
        random = np.random.default_rng([self._seed, number])
        order = random.permutation(len(x))
        losses = []
        for start in range(0, len(x) - self._batch + 1, self._batch):
            chosen = order[start : start + self._batch]
            step = self._steps[random.integers(len(self._steps))]
            value, parameters, state = step(
                parameters, state, x[chosen], [own[chosen] for own in targets]
            )
            losses.append(value)
        return float(np.mean([float(value) for value in losses])), parameters, state

    def _judge(self, number: int, loss: float, parameters: Any) -> Epoch:
        """Return the epoch of a number whose steps had the mean loss `loss`."""
        found = [self._held.judge(judged, parameters) for judged in self._judged]
        score, held_loss = (float(np.mean([one[place] for one in found])) for place in (0, 1))
        figures = {
            name: float(np.mean([figures[name] for _, _, figures in found])) for name in found[0][2]
        }
        return Epoch(number, loss, score, held_loss, figures)

    def _write(self, path: str | Path, tree: Any, done: list[Epoch]) -> None:
        leaves: dict[str, Any] = {
            f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(tree))
        }
        history = np.array(
            [
                (one.epoch, one.loss, one.score, one.validation_loss, *one.figures.values())
                for one in done
            ]
        )
        buffer = io.BytesIO()
        np.savez(buffer, key=self._key, history=history, **leaves)
        write_whole(path, buffer.getvalue())

    def _read(self, path: str | Path, tree: Any) -> tuple[Any, list[Epoch]]:
        leaves, structure = jax.tree.flatten(tree)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                key = str(arrays["key"])
                found = [jnp.asarray(arrays[f"leaf{i}"]) for i in range(len(leaves))]
                done = [self._epoch_of(row.tolist()) for row in arrays["history"]]
        except (ValueError, OSError, KeyError) as error:
            raise InputError(f"{path}: no checkpoint ({error})") from None
        if key != self._key:
            raise InputError(f"{path}: is of another training; remove it, or name another file")
        return jax.tree.unflatten(structure, found), done

    def _epoch_of(self, row: list[float]) -> Epoch:
        number, loss, score, held_loss, *figures = row
        named = dict(zip(self._held.labels, figures, strict=True))
        return Epoch(int(number), loss, score, held_loss, named)
