# SPDX-License-Identifier: Apache-2.0
"""How good one configuration is, by a metric and beside the exact network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.cores import ensure_checked
from asnet_mlir.data import Dataset, Samples, load_named
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.contractions import parse_strategy
from asnet_mlir.evaluation.evaluator import CompiledNetwork, Evaluator
from asnet_mlir.evaluation.outcomes import Outcome, interval, outcome_of
from asnet_mlir.evaluation.second_net import check_first_samples
from asnet_mlir.frontends import load_model
from asnet_mlir.metrics import (
    Difference,
    Judge,
    Metric,
    Output,
    OutputMetric,
    finite,
    make_judge,
    make_judges,
    only_judged,
)
from asnet_mlir.network import Network
from asnet_mlir.worker import in_mlir_process

__all__ = [
    "Evaluation",
    "OutputFigure",
    "evaluate",
    "judge_of",
    "judges_of",
    "output_figures",
    "prepare_data",
]


@dataclass(frozen=True)
class Contracted:
    """How a layer's sums of products of 8-bit codes are computed.

    Attributes:
      way: `lifted` or `rows`.
      passes: exact products of bytes for each product, of lifted ones.
      products: of a sample.
    """

    layer: str
    way: str
    passes: int | None
    products: int


@dataclass(frozen=True)
class OutputFigure:
    """How good one of several outputs is.

    Attributes:
      output: its name.
      value: the figure of its metric.
      difference: from the same network with exact arithmetic.
    """

    output: str
    metric: Metric
    value: float
    difference: Difference

    @classmethod
    def of(cls, judge: Judge, outputs: np.ndarray, exact: np.ndarray) -> OutputFigure:
        """Judge rows of outputs beside the exact network's."""
        assert isinstance(judge.metric, OutputMetric)
        value, difference = judge.value(outputs), judge.difference(outputs, exact)
        return cls(judge.metric.output, judge.metric.metric, value, difference)

    def to_json(self) -> dict[str, Any]:
        """Return the figure as JSON values; None stands for an infinite one."""
        return {
            self.metric.name: finite(self.value),
            "metric": self.metric.name,
            "larger_is_better": self.metric.larger_is_better,
            "against": "exact" if self.metric.against_exact else "targets",
            "difference": self.difference.to_json(),
        }


@dataclass(frozen=True)
class Evaluation:
    """What one configuration reaches.

    Attributes:
      value: the figure of the metric; an accuracy is in 0..1.
      seconds: of running the samples, compilation apart.
      compile_seconds: of compiling the configuration.
      metric: what judged it.
      difference: from the same network with exact arithmetic.
      contractions: how sums of products of 8-bit codes are computed, layer by layer.
      outcome: what the samples contribute to the figure (`evaluation.outcomes`).
      outputs: where the network has several, each of them, first the one that the figure, metric
        and difference are of.
    """

    binding: Binding
    value: float
    samples: int
    seconds: float
    compile_seconds: float
    metric: Metric
    difference: Difference
    contractions: tuple[Contracted, ...] = ()
    outcome: Outcome | None = field(default=None, compare=False, repr=False)
    outputs: tuple[OutputFigure, ...] = ()

    @property
    def interval(self) -> tuple[float, float] | None:
        """The figure's 95 % confidence interval; None where it is infinite."""
        return None if self.outcome is None else interval(self.outcome)

    @property
    def accuracy(self) -> float:
        """The accuracy, 0..1, where that is the metric."""
        if self.metric.name != "accuracy":
            raise AttributeError(f"the metric is {self.metric.name}; its figure is 'value'")
        return self.value

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as JSON values; None stands for an infinite figure."""
        return {
            self.metric.name: finite(self.value),
            "interval": None if self.interval is None else list(self.interval),
            "metric": self.metric.name,
            "larger_is_better": self.metric.larger_is_better,
            "against": "exact" if self.metric.against_exact else "targets",
            "difference": self.difference.to_json(),
            "samples": self.samples,
            "seconds": self.seconds,
            "compile_seconds": self.compile_seconds,
            "binding": self.binding.to_json(),
            "contractions": [asdict(one) for one in self.contractions],
            **self._outputs_json(),
        }

    def _outputs_json(self) -> dict[str, Any]:
        if not self.outputs:
            return {}
        each = {one.output: one.to_json() for one in self.outputs}
        return {"output": self.outputs[0].output, "outputs": each}


def output_figures(
    judges: Sequence[Judge], outputs: np.ndarray, exact: np.ndarray
) -> tuple[OutputFigure, ...]:
    """Return `Evaluation.outputs`: none where the network has one output."""
    several = [judge for judge in judges if isinstance(judge.metric, OutputMetric)]
    return tuple(OutputFigure.of(judge, outputs, exact) for judge in several)


def prepare_data(data: Any, network: Network) -> Dataset:
    """Load `data`, whatever `load_named` takes, and fit it to the network's inputs.

    Raises:
      InputError: unknown data, samples of another shape or with NaNs.
    """
    dataset = load_named(data, network.edges)
    dataset.require_numbers()
    return dataset


def judge_of(metric: str | Metric | None, dataset: Dataset, network: Network) -> Judge:
    """Return what judges the network's outputs for data by one figure; see `make_judge`.

    Raises:
      InputError: the metric, or no metric, can judge these outputs by these targets; which of
        several outputs is judged is left open.
    """
    outputs, label = network.outputs, f"{network.name} on {dataset.name}"
    if outputs is not None and metric is None:
        only_judged(dataset.y.dtype.names or () if dataset.y is not None else (), outputs, label)
    return judges_of(metric, dataset, network)[0]


def judges_of(
    metric: str | Metric | Sequence[str | Metric] | None, dataset: Dataset, network: Network
) -> list[Judge]:
    """Return what judges each of the network's outputs, the one that the figure is of first.

    Args:
      metric: of the output; of several, one for each at most.

    Raises:
      InputError: see `make_judges`; several metrics for one output.
    """
    metrics = [] if metric is None else [metric] if isinstance(metric, str | Metric) else [*metric]
    label = f"{network.name} on {dataset.name}"
    if network.outputs is not None:
        return make_judges(metrics, dataset.y, network.outputs, label)
    if len(metrics) > 1:
        raise InputError(f"{label}: has one output, and one metric judges it")
    output = Output(network.output_shape, network.output_format)
    return [make_judge(metrics[0] if metrics else None, dataset.y, output, label)]


@in_mlir_process(load=load_model)
def evaluate(
    model: Any,
    data: str | Path | Dataset | Samples | np.ndarray | tuple[Any, Any],
    binding: Any = None,
    *,
    metric: str | Metric | Sequence[str | Metric] | None = None,
    threads: int | None = None,
    strategy: str | None = None,
) -> Evaluation:
    """Compile `model` under `binding` and measure how good it is on `data`.

    Args:
      model: whatever `load_model` takes.
      data: whatever `load_named` takes; without labels, the exact network's outputs stand for them.
      binding: which instances compute which ops, whatever `Binding.of` takes; exact without.
      metric: as `metric_named` takes it; by default what data and output ask for
        (`default_metric`).  Of several outputs, one for each at most.
      threads: see `Evaluator`.
      strategy: force how cores are computed (`parse_strategy`); all give the same bits.

    Raises:
      InputError, UnsupportedError: see `load_model`, `load_data`, `asnet_mlir.compile`.
    """
    forced, way = parse_strategy(strategy)
    network = load_model(model)
    dataset = prepare_data(data, network)
    judges = judges_of(metric, dataset, network)
    binding = network.complete(binding)
    ensure_checked(binding.instances.values())
    begin = time.perf_counter()
    native = CompiledNetwork(network, strategy=forced, way=way, channels=binding.channels)
    evaluator = Evaluator(native, binding, threads=threads)
    compiled = time.perf_counter()
    outputs = evaluator.outputs(dataset.x)
    end = time.perf_counter()
    check_first_samples(native, dataset.x)
    exact = outputs
    if binding.rules:
        exact = Evaluator(native.without_binding(), threads=threads).outputs(dataset.x)
    judges = [one.resolved(exact) for one in judges]
    judge = judges[0]
    return Evaluation(
        evaluator.binding,
        judge.value(outputs),
        len(dataset),
        end - compiled,
        compiled - begin,
        judge.metric,
        judge.difference(outputs, exact),
        tuple(
            Contracted(layer, "rows" if one.passes is None else "lifted", one.passes, one.products)
            for layer, one in evaluator.contractions
        ),
        outcome_of(judge, outputs),
        ()
        if network.outputs is None
        else tuple(OutputFigure.of(j, outputs, exact) for j in judges),
    )
