# SPDX-License-Identifier: Apache-2.0
"""Results of a store evaluated again: whether this machine comes to the same figures."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asnet_mlir.data.datasets import data_file
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation import evaluate
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.exploration import keys
from asnet_mlir.exploration.store import EvaluationRecord, Store
from asnet_mlir.exploration.stored_bindings import stored_binding
from asnet_mlir.frontends import load_model

__all__ = ["Repeated", "repeat"]


@dataclass(frozen=True)
class Repeated:
    """A stored result beside what came out now.

    Attributes:
      value: that came out now.
    """

    record: EvaluationRecord
    value: float

    @property
    def equal(self) -> bool:
        """Whether the figures are equal, all digits of them."""
        return self.value == self.record.value


def repeat(folder: str | Path, store: str) -> Iterator[Repeated]:
    """Evaluate each study's exact network and its choice again.

    Args:
      folder: what the store's paths are relative to.
      store: the name of the store in it.

    Raises:
      InputError: a network has no source; a data set is not the one of the results; see `evaluate`.
    """
    folder = Path(folder)
    with Store(folder / store, read_only=True) as opened:
        networks = {network.key: network for network in opened.networks()}
        datasets = {dataset.key: dataset for dataset in opened.datasets()}
        wanted: dict[str, EvaluationRecord] = {}
        for study in opened.studies():
            for result in opened.study_results(study.key):
                found = result.evaluation
                is_asked = not any(result.configuration) or found.key == study.chosen
                if isinstance(found, EvaluationRecord) and is_asked:
                    wanted[found.key] = found
    for record in wanted.values():
        source, data = networks[record.network].source, datasets[record.dataset]
        if source is None:
            raise InputError(f"{store}: the network was an object of Python; pack the store")
        network = load_model(folder / source if (folder / source).is_file() else source)
        place = data_file(data.name)
        name = str(folder / data.name) if place and not place.is_absolute() else data.name
        dataset = prepare_data(name, network)
        if keys.dataset_key(dataset) != data.key:
            raise InputError(f"{data.name}: other samples than those of the study (another hash)")
        binding = stored_binding(f"{folder / store}#{record.key}")
        yield Repeated(record, evaluate(network, dataset, binding, metric=_metric(record)).value)


def _metric(record: EvaluationRecord) -> str:
    """Return a result's metric as `--metric` takes it."""
    words = shlex.split(record.command or "")
    if "--tune-weights" in words:
        raise InputError(
            f"{record.label}: its weights are tuned; run its command: {record.command}"
        )
    if "--metric" in words:
        return words[words.index("--metric") + 1]
    return record.metric.name + (":exact" if record.metric.against_exact else "")
