"""Explore the design space that constraints span on a network (the paper's Algorithm 1)."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.cache import content_hash
from asnet_mlir.cores import derive_models, ensure_checked
from asnet_mlir.data import Dataset
from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.evaluation.evaluator import CompiledNetwork
from asnet_mlir.evaluation.session import Session
from asnet_mlir.exploration import keys
from asnet_mlir.exploration.constraints import Constraints, load_constraints
from asnet_mlir.exploration.costs import CostModel, check_cost, measure_costs
from asnet_mlir.exploration.criterion import Criterion
from asnet_mlir.exploration.early_stop import EarlyStop
from asnet_mlir.exploration.layers import network_layers
from asnet_mlir.exploration.progress import Progress
from asnet_mlir.exploration.results import Exploration, Result, check_objective
from asnet_mlir.exploration.results import choose as pick
from asnet_mlir.exploration.runner import LocalRunner, Measurement, Runner
from asnet_mlir.exploration.space import Configuration, DesignSpace
from asnet_mlir.exploration.store import (
    DatasetRecord,
    EvaluationRecord,
    LayerRecord,
    NetworkRecord,
    PartialRecord,
    RuleRecord,
    Store,
    StudyRecord,
    VariableRecord,
)
from asnet_mlir.exploration.strategies import Task, strategy_named
from asnet_mlir.frontends import load_model
from asnet_mlir.worker import in_mlir_process

__all__ = ["DEFAULT_BUDGET", "explore"]

#: Configurations that a search measures where no budget is given.
DEFAULT_BUDGET = 500


@in_mlir_process
def explore(
    model: Any,
    data: str | Dataset,
    constraints: str | Path | Mapping[str, Any] | Constraints,
    *,
    store: str | Path | None = None,
    strategy: str = "exhaustive",
    budget: int | None = None,
    seed: int = 0,
    cost: str = "none",
    choose: str | None = None,
    minimize: str | None = None,
    maximize: str | None = None,
    only_axes: bool = False,
    early_stop: float | None = None,
    scheduler: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    cost_progress: Any = None,
    command: str | None = None,
) -> Exploration:
    """Measure accuracy (and cost) of configurations that the constraints span.

    Args:
      model: whatever `load_model` takes.
      data: whatever `load_data` takes.
      constraints: a constraints file, its content, or what `load_constraints` returned.
      store: an SQLite file that keeps the results; those in it already are not computed again.
      strategy: `exhaustive`, `greedy` or `nsga2` (`exploration.strategies`).
      budget: configurations that may be measured, those found in the store with them, so that a
        study which is continued ends where it would have ended; by default all for `exhaustive`,
        `DEFAULT_BUDGET` for the others.
      seed: of the strategy and of early stopping.
      cost: `area`, `delay`, `energy` (which gives all three) or `none` (`exploration.costs`).
      choose: bounds on the choice, which the strategies look for: `accuracy>=0.9 and area<=2000`.
      minimize, maximize: see `choose` in `exploration.results`.
      only_axes: leave out configurations that approximate more than one variable.
      early_stop: stop evaluations whose accuracy is below the bound with this confidence, such as
        0.999; off by default (`exploration.early_stop`).
      scheduler: address of a Dask scheduler whose workers evaluate.
      threads: see `Evaluator`.
      progress: called after each configuration, once its result is stored.
      cost_progress: called with (done, total, label) after each instance's synthesis.
      command: what repeats the study, for the store.

    Returns:
      All results; `chosen` is what `choose` picks of them, or None.

    Raises:
      InputError: see `load_constraints`, `load_model`, `load_data`, `Criterion.parse`; an unknown
        strategy or cost; a budget below 1; a store of another version; a scheduler that can't be
        reached.
      AsnetError: the store can't be written; no worker is left.
      KeyboardInterrupt: with a message that says what is stored.
    """
    run_strategy = strategy_named(strategy)
    check_cost(cost)
    if budget is not None and budget < 1:
        raise InputError(f"the budget must be at least 1 configuration, not {budget}")
    if only_axes and strategy != "exhaustive":
        raise InputError(f"--axes goes with the strategy exhaustive, not with {strategy}")
    criterion = Criterion.parse(choose) if choose is not None else None
    if criterion:
        criterion.check_costs(cost)
    check_objective(cost, minimize, maximize)
    if budget is None and strategy != "exhaustive":
        budget = DEFAULT_BUDGET
    network = load_model(model)
    dataset = prepare_data(data, network)
    given = constraints if isinstance(constraints, Constraints) else load_constraints(constraints)
    begin = time.perf_counter()
    compiled = CompiledNetwork(network)
    layers = network_layers(compiled.lowered, network.fixed_batch or 1)
    space = DesignSpace.of(given, layers)
    stop = _stopping_rule(early_stop, criterion, len(dataset), seed)
    with Store(store) as kept:
        study = _describe(model, compiled, dataset, space, kept)
        record = StudyRecord(
            key="",
            network=study.network,
            dataset=study.dataset,
            constraints=given.to_json(),
            scope=given.scope,
            strategy="axes" if only_axes else strategy,
            seed=seed,
            budget=budget,
            cost=cost,
            bound=choose,
            early_stop=early_stop,
            command=command,
            size=space.size,
            stopping_rule=stop.name if stop else None,
            variables=tuple(
                VariableRecord(
                    variable.op,
                    variable.layer,
                    tuple("exact" if c is None else c.label for c in variable.choices),
                )
                for variable in space.variables
            ),
        )
        cluster = _connect(scheduler)
        costs = measure_costs(cost, space, kept, cost_progress)
        _prepare_cores(space)
        if network.binding is not None:
            ensure_checked(network.binding.instances.values())
        runner = _runner(compiled, dataset, stop, cluster, threads)
        engine = _Engine(kept, study, record, costs, runner, stop, budget, progress, only_axes)
        task = Task(
            space,
            costs.minimized,
            engine.measure,
            engine.results,
            budget,
            seed,
            len(dataset),
            criterion,
            only_axes,
        )
        chosen: Result | None = None

        def finished() -> Exploration:
            return Exploration(
                network.name,
                dataset.name,
                len(dataset),
                given,
                space,
                tuple(engine.results.values()),
                time.perf_counter() - begin,
                engine.evaluated,
                strategy,
                cost,
                chosen,
                engine.key,
            )

        state = "interrupted"
        try:
            with runner:
                try:
                    engine.measure([space.exact])
                    run_strategy(task)
                except _BudgetSpent:
                    pass
            if criterion or minimize or maximize:
                try:
                    wanted = criterion or Criterion("", ())
                    chosen = pick(finished(), wanted, minimize=minimize, maximize=maximize)
                except InputError:
                    raise
                except AsnetError:
                    pass  # nothing satisfies the bound; the caller asks `choose` for the reason
            state = "done"
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_interrupted(store, engine)) from None
        finally:
            engine.end(state, time.perf_counter() - begin, chosen)
        return finished()


class _BudgetSpent(Exception):
    """Ends a strategy from inside `measure`."""


@dataclass(frozen=True)
class _Study:
    """What all evaluations of a study have in common."""

    network: str
    dataset: str
    data_name: str
    source: str | None
    samples: int
    space: DesignSpace
    bound: Binding | None = None  # what the network's file binds already
    exact: Mapping[str, str] = field(default_factory=keys.exact_hashes)

    def key(self, binding: Binding) -> str:
        """Return the key of a configuration's evaluation."""
        binding = binding.over(self.bound) if self.bound else binding
        assigned = keys.assignment(binding, self.space.layers, self.exact)
        return keys.evaluation_key(self.network, self.dataset, assigned)


class _Engine:
    """Measures configurations for a strategy: from the store, else by the runner."""

    def __init__(
        self,
        store: Store,
        study: _Study,
        record: StudyRecord,
        costs: CostModel,
        runner: Runner,
        stop: EarlyStop | None,
        budget: int | None,
        progress: Progress | None,
        only_axes: bool,
    ) -> None:
        self.results: dict[Configuration, Result] = {}
        self.evaluated = 0
        self._store, self._study, self._costs, self._runner = store, study, costs, runner
        self._stop, self._budget, self._progress = stop, budget, progress
        space = study.space
        axes = 1 + sum(len(variable.choices) - 1 for variable in space.variables)
        size = axes if only_axes else space.size
        bounded = record.strategy in ("exhaustive", "axes") or budget is not None
        self._total = min(size, budget or size) if bounded else None
        self._begin = time.perf_counter()
        self._position = 0
        self.key = content_hash(
            study.network,
            study.dataset,
            json.dumps(record.constraints, sort_keys=True),
            repr((record.strategy, record.seed, budget, record.cost, record.bound)),
            stop.name if stop else "",
        )
        store.begin_study(StudyRecord(**{**record.__dict__, "key": self.key}))

    def measure(self, wanted: Iterable[Configuration]) -> Mapping[Configuration, Result]:
        """See `Task.measure`."""
        waiting: list[tuple[int, Configuration, Result]] = []
        spent = False

        def jobs() -> Iterator[tuple[tuple[int, Configuration, str], Binding]]:
            nonlocal spent
            for configuration in wanted:
                if configuration in self.results or configuration in asked:
                    continue
                if self._budget is not None and len(self.results) + len(open_) >= self._budget:
                    spent = True
                    return
                asked.add(configuration)
                position, self._position = self._position, self._position + 1
                binding = self._study.space.binding(configuration)
                key = self._study.key(binding)
                found = self._find(key, binding, configuration)
                if found is not None:
                    self._keep(position, configuration, found, waiting)
                    continue
                open_.add(configuration)
                yield (position, configuration, key), binding

        asked: set[Configuration] = set()
        open_: set[Configuration] = set()
        for (position, configuration, key), measured in self._runner.run(jobs()):
            open_.discard(configuration)
            result = self._add(key, configuration, measured)
            self._keep(position, configuration, result, waiting)
        # A cluster's workers finish in any order; the results are in that of the strategy.
        for _, configuration, result in sorted(waiting, key=lambda entry: entry[0]):
            self.results.pop(configuration, None)
            self.results[configuration] = result
        if spent:
            raise _BudgetSpent
        return self.results

    def _find(self, key: str, binding: Binding, configuration: Configuration) -> Result | None:
        known = self._store.get(key)
        costs = self._costs.figures(configuration)
        if known is not None:
            return Result(
                binding, known.accuracy, known.samples, costs, configuration, None, key, True
            )
        if self._stop is None:
            return None
        partial = self._store.get_partial(key, self._stop.name)
        if partial is None:
            return None
        return Result(
            binding,
            partial.accuracy,
            partial.samples,
            costs,
            configuration,
            partial.confidence,
            key,
            True,
        )

    def _add(self, key: str, configuration: Configuration, measured: Measurement) -> Result:
        """Store what was measured."""
        study = self._study
        binding = study.space.binding(configuration)
        confidence = None
        if measured.stopped and self._stop is not None:
            confidence = self._stop.confidence
            self._store.add_partial(
                PartialRecord(
                    key,
                    self._stop.name,
                    measured.correct,
                    measured.samples,
                    confidence,
                    self._stop.needed / self._stop.samples,
                    measured.seconds,
                    binding.label,
                )
            )
        else:
            self._store.add(
                EvaluationRecord(
                    key,
                    study.network,
                    study.dataset,
                    binding.label,
                    binding.to_json(),
                    tuple(
                        RuleRecord(
                            rule.op,
                            rule.layer,
                            rule.instance.label,
                            rule.instance.to_json()["core"],
                            rule.instance.all_parameters,
                            rule.instance.content_hash,
                        )
                        for rule in binding.rules
                    ),
                    measured.correct,
                    measured.samples,
                    measured.seconds,
                    asnet_mlir.__version__,
                    _reproduce(study.source, study.data_name, binding),
                )
            )
        self.evaluated += 1
        return Result(
            binding,
            measured.correct / measured.samples,
            measured.samples,
            self._costs.figures(configuration),
            configuration,
            confidence,
            key,
        )

    def _keep(
        self,
        position: int,
        configuration: Configuration,
        result: Result,
        waiting: list[tuple[int, Configuration, Result]],
    ) -> None:
        """Note a result and report it, in this order: what was reported is stored."""
        self._store.add_study_result(self.key, result.key, position, configuration, result.costs)
        self.results[configuration] = result
        waiting.append((position, configuration, result))
        if self._progress:
            seconds = time.perf_counter() - self._begin
            self._progress(len(self.results), self._total, result, seconds)

    def end(self, state: str, seconds: float, chosen: Result | None) -> None:
        """Note how the run ended."""
        try:
            self._store.end_study(self.key, state, seconds, chosen.key if chosen else None)
        except AsnetError:
            if state == "done":
                raise  # otherwise there is an error already, perhaps this one


def _stopping_rule(
    confidence: float | None, criterion: Criterion | None, samples: int, seed: int
) -> EarlyStop | None:
    if confidence is None:
        return None
    if criterion is None or not criterion.accuracy_bounds:
        raise InputError("--early-stop needs a bound to stop at, such as --choose 'accuracy>=0.9'")
    return EarlyStop(samples, criterion.least_correct(samples), confidence, seed)


def _describe(
    model: Any,
    compiled: CompiledNetwork,
    dataset: Dataset,
    space: DesignSpace,
    store: Store,
) -> _Study:
    """Store what the study is about."""
    source = str(model) if isinstance(model, str | Path) else None
    network = compiled.network
    network_key = keys.network_key(network, compiled.lowered)
    dataset_key = keys.dataset_key(dataset)
    layers = tuple(LayerRecord(layer.name, layer.ops) for layer in space.layers)
    store.add_network(NetworkRecord(network_key, network.name, source, layers))
    store.add_dataset(DatasetRecord(dataset_key, dataset.name, len(dataset)))
    bound = compiled.network.binding
    return _Study(network_key, dataset_key, dataset.name, source, len(dataset), space, bound)


def _connect(scheduler: str | None) -> Any:
    """Return a client of a Dask scheduler; early, since what comes next may take minutes."""
    if scheduler is None:
        return None
    from asnet_mlir.exploration.cluster import connect

    return connect(scheduler)


def _prepare_cores(space: DesignSpace) -> None:
    """Check all instances and derive their models together: tools start once, not once each."""
    instances = {
        choice.content_hash: choice
        for variable in space.variables
        for choice in variable.choices
        if choice is not None
    }
    ensure_checked(instances.values())
    derive_models({f"core_{index}": value for index, value in enumerate(instances.values())})


def _runner(
    compiled: CompiledNetwork,
    dataset: Dataset,
    stop: EarlyStop | None,
    cluster: Any,
    threads: int | None,
) -> Runner:
    if stop is not None:
        dataset = Dataset(dataset.name, dataset.x[stop.order], dataset.y[stop.order])
    if cluster is not None:
        from asnet_mlir.exploration.cluster import ClusterRunner

        return ClusterRunner(cluster, compiled.network, dataset, stop, threads)
    return LocalRunner(Session(compiled, dataset, threads=threads), stop)


def _reproduce(source: str | None, data: str, binding: Binding) -> str | None:
    """Return the command that evaluates a binding again."""
    if source is None:
        return None
    words = ["asnet", "evaluate", source, "--data", data]
    if all(rule.instance.core.in_library for rule in binding.rules):
        for rule in binding.rules:
            words += ["--bind", rule.label]
    else:
        words += ["--binding", "binding.json"]  # the record holds its content
    return shlex.join(words)


def _interrupted(store: str | Path | None, engine: _Engine) -> str:
    if store is None:
        return f"interrupted after {engine.evaluated} evaluations; without --store none is kept"
    complete = sum(result.complete for result in engine.results.values())
    return (
        f"interrupted: {complete} evaluations of this study are stored in {store}; the same "
        "command goes on from there"
    )
