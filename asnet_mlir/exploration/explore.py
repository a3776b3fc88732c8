# SPDX-License-Identifier: Apache-2.0
"""Explore the design space that constraints span on a network (the paper's Algorithm 1)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from asnet_mlir.binding import Binding
from asnet_mlir.compensation import WeightTuner
from asnet_mlir.compensation.tuning import DEFAULT_SAMPLES
from asnet_mlir.cores import Instance, ensure_checked
from asnet_mlir.data import Dataset
from asnet_mlir.data.splits import check_apart
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.evaluate import judge_of, prepare_data
from asnet_mlir.evaluation.evaluator import CompiledNetwork
from asnet_mlir.evaluation.second_net import check_first_samples
from asnet_mlir.evaluation.session import Session
from asnet_mlir.exploration import keys
from asnet_mlir.exploration.constraints import Constraints, load_constraints
from asnet_mlir.exploration.cost_kinds import Cost, cost_names
from asnet_mlir.exploration.costs import CostModel, CostPart, measure_costs
from asnet_mlir.exploration.criterion import Criterion
from asnet_mlir.exploration.early_stop import EarlyStop, ErrorStop, StoppingRule
from asnet_mlir.exploration.energy import EnergyCosts
from asnet_mlir.exploration.hardware_costs import HardwareCosts, Style
from asnet_mlir.exploration.kept_networks import keep_network
from asnet_mlir.exploration.layers import network_layers
from asnet_mlir.exploration.measurer import BudgetSpent, Measurer, Study
from asnet_mlir.exploration.noise_levels import LayerNoise
from asnet_mlir.exploration.origin import Origin, origin_of
from asnet_mlir.exploration.results import (
    Exploration,
    Judgement,
    NothingFoundError,
    Result,
    check_objective,
)
from asnet_mlir.exploration.results import choose as pick
from asnet_mlir.exploration.runner import LocalRunner, Runner
from asnet_mlir.exploration.space import DesignSpace
from asnet_mlir.exploration.store import (
    DatasetRecord,
    LayerRecord,
    MetricRecord,
    NetworkRecord,
    Store,
    StudyRecord,
    VariableRecord,
    check_store,
)
from asnet_mlir.exploration.stored_bindings import keep_cores
from asnet_mlir.exploration.strategies import Task, strategy_named
from asnet_mlir.exploration.sweep_progress import Progress
from asnet_mlir.frontends import load_model
from asnet_mlir.metrics import Judge, Metric, is_metric_name, metric_named
from asnet_mlir.metrics.class_metrics import Accuracy
from asnet_mlir.network import ApproxTexts
from asnet_mlir.support.cache import content_hash
from asnet_mlir.support.interrupts import Interrupts
from asnet_mlir.worker import in_mlir_process

__all__ = ["DEFAULT_BUDGET", "explore"]

#: Configurations that a search measures where no budget is given.
DEFAULT_BUDGET = 500


@in_mlir_process(load=load_model)
def explore(
    model: Any,
    data: str | Path | Dataset | tuple[Any, Any],
    constraints: str | Path | Mapping[str, Any] | Constraints,
    *,
    binding: Any = None,
    metric: str | Metric | None = None,
    tune_weights: Any = None,
    store: str | Path | None = None,
    strategy: str = "exhaustive",
    budget: int | None = None,
    seed: int = 0,
    cost: Cost = "none",
    choose: str | None = None,
    minimize: str | None = None,
    maximize: str | None = None,
    only_axes: bool = False,
    early_stop: float | None = None,
    scheduler: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    cost_progress: Callable[[int, int, str], None] | None = None,
    command: str | None = None,
    test: str | Path | Dataset | tuple[Any, Any] | None = None,
    style: str | None = None,
    lanes: Sequence[str] = (),
) -> Exploration:
    """Measure how good (and how costly) configurations are that the constraints span.

    Args:
      model: whatever `load_model` takes.
      data: whatever `load_data` takes; without labels, the exact network's outputs stand for them.
      constraints: a constraints file, its content, or what `load_constraints` returned.
      binding: rules that hold in every configuration where the constraints say nothing, whatever
        `Binding.of` takes.
      metric: what judges them, as `metric_named` takes it; by default the one that `choose` has a
        bound on, else what data and output ask for (`default_metric`).
      tune_weights: evaluate every configuration with weights tuned for it (`tune_weights`), for the
        codes of these data, or with True for all codes alike; not with `scheduler`.
      store: an SQLite file that keeps the results; those in it already are not computed again.
      strategy: `exhaustive`, `greedy`, `nsga2` or `agn` (`exploration.strategies`).
      budget: configurations that may be measured, those found in the store with them, so that a
        study which is continued ends where it would have ended; by default all for `exhaustive`,
        `DEFAULT_BUDGET` for the others.
      seed: of the strategy and of early stopping.
      cost: what is minimized, and after commas what is measured besides: `area`, `cycles`,
        `lut_time`, `energy`, proxies of them (`exploration.cost_kinds`), `none`; or a function of a
        configuration's `Binding` that returns a number, under its name.
      choose: bounds on the choice, which the strategies look for: `accuracy>=0.9 and area<=2000`,
        `psnr>=30`.
      minimize, maximize: see `choose` in `exploration.results`.
      only_axes: leave out configurations that approximate more than one variable.
      early_stop: stop evaluations that do not reach the bound with this confidence, such as 0.999;
        for shares of right samples and means of errors; off by default (`exploration.early_stop`).
      scheduler: address of a Dask scheduler whose workers evaluate.
      threads: see `Evaluator`.
      progress: called after each configuration, once its result is stored.
      cost_progress: called with (done, total, label) after each instance's synthesis.
      command: what repeats the study, for the store.
      test: data on which, in the end, the exact network, the front and the choice are evaluated;
        they have no sample in common with `data`, on which the choice is made.
      style, lanes: of the hardware that costs are of, as `generate` takes them.

    Returns:
      All results; `chosen` is what `choose` picks of them, or None.

    Raises:
      InputError: see `load_constraints`, `load_model`, `load_data`, `Criterion.parse`; an unknown
        strategy or cost; a budget below 1; a store of another version; a scheduler that can't be
        reached.
      AsnetError: the store can't be written; no worker is left.
      KeyboardInterrupt: with a message that says what is stored.
    """
    options = _Options(
        Binding.of(binding),
        metric,
        tune_weights,
        store,
        strategy,
        budget,
        seed,
        cost,
        choose,
        minimize,
        maximize,
        only_axes,
        early_stop,
        scheduler,
        threads,
        command,
        test,
        Style(style, tuple(lanes)),
    )
    if isinstance(data, str | Path) and isinstance(test, str | Path):
        check_apart(str(data), str(test))
    with Interrupts() as interrupts:
        return _explore(model, data, constraints, options, progress, cost_progress, interrupts)


@dataclass(frozen=True)
class _Options:
    """What `explore` takes, and what follows from it alone; made, it is checked."""

    binding: Binding
    given_metric: str | Metric | None
    tuned: Any
    store: str | Path | None
    strategy: str
    given_budget: int | None
    seed: int
    cost: Cost
    choose: str | None
    minimize: str | None
    maximize: str | None
    only_axes: bool
    early_stop: float | None
    scheduler: str | None
    threads: int | None
    command: str | None
    test: Any = None
    style: Style = Style()  # noqa: RUF009 (a value)

    def __post_init__(self) -> None:
        strategy_named(self.strategy)
        cost_names(self.cost)
        if self.given_budget is not None and self.given_budget < 1:
            raise InputError(
                f"the budget must be at least 1 configuration, not {self.given_budget}"
            )
        if self.only_axes and self.strategy != "exhaustive":
            raise InputError(f"--axes goes with the strategy exhaustive, not with {self.strategy}")
        if self.criterion:
            self.criterion.check_costs(self.cost)
        if self.tuned is not None and self.scheduler is not None:
            raise InputError("weights are tuned in this process; give no scheduler")
        check_objective(self.cost, self.minimize, self.maximize, self.metric or Accuracy())
        check_store(self.store)

    @cached_property
    def criterion(self) -> Criterion | None:
        """The bounds on the choice."""
        given = self._given
        return Criterion.parse(self.choose, given, self.cost) if self.choose is not None else None

    @cached_property
    def _given(self) -> Metric | None:
        return (
            metric_named(self.given_metric)
            if isinstance(self.given_metric, str)
            else (self.given_metric)
        )

    @cached_property
    def metric(self) -> Metric | None:
        """The metric that is asked for; None where data and output decide."""
        if self._given is not None:
            return self._given
        asked = [self.criterion.metric_name if self.criterion else None]
        asked += [one for one in (self.minimize, self.maximize) if one and is_metric_name(one)]
        return next((metric_named(name) for name in asked if name), None)

    @property
    def minimized(self) -> str:
        """The name of the cost that is minimized, or `none`."""
        return next(iter(cost_names(self.cost)), "none")

    @property
    def costs(self) -> str:
        """The costs that were asked for, as text."""
        return ",".join(cost_names(self.cost)) or "none"

    @property
    def budget(self) -> int | None:
        """Configurations that may be measured; None for all."""
        if self.given_budget is None and self.strategy != "exhaustive":
            return DEFAULT_BUDGET
        return self.given_budget

    def total(self, space: DesignSpace) -> int:
        """Return how many configurations there will be at most."""
        axes = 1 + sum(len(v.choices) - 1 for v in space.variables)
        return min(axes if self.only_axes else space.size, self.budget or space.size)

    def record(
        self, study: Study, constraints: Constraints, stop: StoppingRule | None
    ) -> StudyRecord:
        """Return what the store keeps of the question."""
        return StudyRecord(
            key="",
            network=study.network,
            dataset=study.dataset,
            constraints=constraints.to_json(),
            scope=constraints.scope,
            strategy="axes" if self.only_axes else self.strategy,
            seed=self.seed,
            budget=self.budget,
            cost=self.costs,
            bound=self.choose,
            early_stop=self.early_stop,
            command=self.command,
            size=study.space.size,
            variables=_variables(study.space),
            stopping_rule=stop.name if stop else None,
            metric=MetricRecord.of(study.metric),
        )


def _explore(
    model: Any,
    data: str | Path | Dataset | tuple[Any, Any],
    constraints: str | Path | Mapping[str, Any] | Constraints,
    options: _Options,
    progress: Progress | None,
    cost_progress: Callable[[int, int, str], None] | None,
    interrupts: Interrupts,
) -> Exploration:
    """Load what `explore` names, make everything ready, and search."""
    network = load_model(model)
    if options.binding.rules:
        network = replace(network, binding=network.complete(options.binding))
    dataset = prepare_data(data, network)
    judge = judge_of(options.metric, dataset, network)
    test = None if options.test is None else prepare_data(options.test, network)
    stop = _stopping_rule(options, judge.metric, len(dataset))
    given = _given(constraints).with_formats()
    begin = time.perf_counter()
    compiled = CompiledNetwork(network, every=given.channels)
    check_first_samples(compiled, dataset.x)
    layers = network_layers(compiled.lowered, network.fixed_batch or 1)
    space = DesignSpace.of(given, layers)
    with contextlib.ExitStack() as stack:
        # What may fail comes before the store, which would be left empty.
        cluster = _connect(options.scheduler)
        if cluster is not None:
            stack.callback(cluster.close)
        origin = _prepare_cores(space, network.binding)
        tuner = _tuner(compiled, options.tuned)
        store = stack.enter_context(Store(options.store))
        study = _describe(model, compiled, dataset, judge, space, store, origin, options, tuner)
        _keep(store, study, compiled, _instances(space, network.binding))
        costs = _costs(options, compiled, dataset, study, store, cost_progress)
        record = options.record(study, given, stop)
        runner = _runner(compiled, dataset, judge, stop, cluster, options.threads, tuner)
        total = options.total(space)
        measurer = Measurer(store, study, record, costs, runner, stop, total, progress, interrupts)

        breakdown: list[dict[str, Any]] = []

        def found(chosen: Result | None = None, judgement: Judgement | None = None) -> Exploration:
            return Exploration(
                network.name,
                dataset.name,
                len(dataset),
                given,
                space,
                tuple(measurer.results.values()),
                time.perf_counter() - begin,
                measurer.evaluated,
                options.strategy,
                options.minimized,
                chosen,
                measurer.key,
                measurer.replaced,
                judge.metric,
                judgement,
                options.cost,
                breakdown,
            )

        task = Task(
            space,
            costs.minimized,
            measurer.measure,
            measurer.results,
            options.budget,
            options.seed,
            len(dataset),
            options.criterion,
            options.only_axes,
            judge.metric,
            LayerNoise(compiled, dataset, space),
        )
        state, chosen = "interrupted", None
        try:
            with runner, contextlib.suppress(BudgetSpent):
                measurer.measure([space.exact])
                strategy_named(options.strategy)(task)
            chosen = _choice(found(), options)
            state = "done"
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_interrupted(options.store, measurer)) from None
        finally:
            measurer.end(state, time.perf_counter() - begin, chosen)
        breakdown = _breakdown(costs, space, chosen)
        if breakdown:
            store.archive.put("breakdown", measurer.key, {"rows": breakdown})
        judgement = None
        if test is not None:
            judge = judge_of(judge.metric, test, network)
            session = _runner(compiled, test, judge, None, None, options.threads, tuner)
            tested = _tester(store, study, test, record, costs, session, interrupts)
            judgement = _judgement(tested, found(chosen), test)
        return found(chosen, judgement)


def _costs(
    options: _Options,
    compiled: CompiledNetwork,
    dataset: Dataset,
    study: Study,
    store: Store,
    progress: Callable[[int, int, str], None] | None,
) -> CostModel:
    """Return what configurations cost, or will be found to cost when they are asked for."""
    network = compiled.network
    plain = replace(network, binding=None, missing=())

    def hardware(wanted: Sequence[str]) -> CostPart:
        return HardwareCosts(
            wanted, plain, study.network, study.space, network.binding, options.style
        )

    def energy() -> CostPart:
        key = content_hash(study.network, study.dataset)
        return EnergyCosts(plain, key, dataset, study.space, network.binding)

    return measure_costs(
        options.cost, study.space, store, progress, network.binding, hardware, energy
    )


def _breakdown(costs: CostModel, space: DesignSpace, chosen: Result | None) -> list[dict[str, Any]]:
    """Return where the costs of the exact network and of the choice come from."""
    named = {"exact": space.exact}
    return costs.breakdown(named if chosen is None else {**named, "chosen": chosen.configuration})


def _tester(
    store: Store,
    study: Study,
    test: Dataset,
    record: StudyRecord,
    costs: CostModel,
    runner: Runner,
    interrupts: Interrupts,
) -> Measurer:
    """Return what measures on the test data: a study of its own in the store."""
    key = keys.dataset_key(test)
    store.add_dataset(DatasetRecord(key, test.name, len(test)))
    study = replace(study, dataset=key, data_name=test.name)
    record = replace(
        record, dataset=key, strategy="test", budget=None, early_stop=None, stopping_rule=None
    )
    return Measurer(store, study, record, costs, runner, None, None, None, interrupts)


def _judgement(measurer: Measurer, found: Exploration, test: Dataset) -> Judgement:
    """Measure the exact network, the front and the choice on the test data."""
    begin = time.perf_counter()
    wanted = [found.exact, *found.front(), *([found.chosen] if found.chosen else [])]
    results = measurer.measure([result.configuration for result in wanted])
    judgement = Judgement(test.name, len(test), tuple(results.values()))
    chosen = judgement.of(found.chosen) if found.chosen else None
    measurer.end("done", time.perf_counter() - begin, chosen)
    return judgement


def _choice(found: Exploration, options: _Options) -> Result | None:
    """Return the result that is asked for; None without a bound or one that satisfies it."""
    if not (options.criterion or options.minimize or options.maximize):
        return None
    # Where nothing satisfies the bound, the caller asks `choose` for the reason.
    with contextlib.suppress(NothingFoundError):
        return pick(
            found,
            options.criterion or Criterion("", ()),
            minimize=options.minimize,
            maximize=options.maximize,
        )
    return None


def _given(constraints: str | Path | Mapping[str, Any] | Constraints) -> Constraints:
    return constraints if isinstance(constraints, Constraints) else load_constraints(constraints)


def _variables(space: DesignSpace) -> tuple[VariableRecord, ...]:
    return tuple(
        VariableRecord(
            variable.op,
            variable.layer,
            tuple("exact" if choice is None else choice.reference for choice in variable.choices),
        )
        for variable in space.variables
    )


def _stopping_rule(options: _Options, metric: Metric, samples: int) -> StoppingRule | None:
    """Return when evaluations may stop; bounds are checked against the metric.

    Raises:
      InputError: bounds on another metric, none to stop at, or a metric that no rule is for.
    """
    criterion, confidence = options.criterion, options.early_stop
    if criterion is not None:
        criterion.check_metric(metric)
    if confidence is None:
        return None
    bounds = criterion.metric_bounds(metric) if criterion else ()
    if criterion is None or not bounds:
        example = "accuracy>=0.9" if metric.larger_is_better else f"{metric.name}<=0.1"
        raise InputError(f"--early-stop needs a bound to stop at, such as --choose '{example}'")
    if metric.each == "right":
        needed = criterion.least_correct(samples, metric)
        return EarlyStop(samples, needed, confidence, options.seed)
    if metric.each == "error":
        least = min(bounds, key=lambda bound: (bound.limit, bound.relation))
        return ErrorStop(samples, least.limit, confidence, options.seed, least.relation == "<")
    raise InputError(
        f"--early-stop: some samples say nothing certain about all samples' {metric.name}; it is "
        "for accuracy and topK of one class a sample, mse, mae and kl"
    )


def _describe(
    model: Any,
    compiled: CompiledNetwork,
    dataset: Dataset,
    judge: Judge,
    space: DesignSpace,
    store: Store,
    origin: Origin,
    options: _Options,
    tuner: WeightTuner | None,
) -> Study:
    """Store what the study is about."""
    source = str(model) if isinstance(model, str | Path) else None
    network = compiled.network
    network_key = keys.network_key(network, compiled.lowered)
    if tuner is not None:
        network_key = content_hash(network_key, tuner.key)
    dataset_key = keys.dataset_key(dataset)
    layers = tuple(LayerRecord(layer.name, layer.ops) for layer in space.layers)
    store.add_network(NetworkRecord(network_key, network.name, source, layers))
    store.add_dataset(DatasetRecord(dataset_key, dataset.name, len(dataset)))
    bound = compiled.network.binding
    return Study(
        network_key,
        dataset_key,
        dataset.name,
        source,
        space,
        bound,
        options.binding,
        options.given_metric if isinstance(options.given_metric, str) else None,
        judge.metric,
        options.tuned,
        origin=origin,
    )


def _keep(
    store: Store, study: Study, compiled: CompiledNetwork, instances: Sequence[Instance]
) -> None:
    """Keep what the results will be computed from; a store in memory has no use for it."""
    if store.name != ":memory:":
        keep_cores(store.archive, instances)
        keep_network(store.archive, study.network, compiled)


def _tuner(compiled: CompiledNetwork, tuned: Any) -> WeightTuner | None:
    """Return what tunes the weights of every configuration, if that is asked for."""
    if tuned is None:
        return None
    network = compiled.network
    x = None if tuned is True else prepare_data(tuned, network).x[:DEFAULT_SAMPLES]
    texts = {network.fixed_batch or 1: compiled.lowered}
    plain = replace(network, lowering=ApproxTexts(network.name, texts), binding=None)
    return WeightTuner(plain, x)


def _connect(scheduler: str | None) -> Any:
    """Return a client of a Dask scheduler; early, since what comes next may take minutes."""
    if scheduler is None:
        return None
    from asnet_mlir.exploration.cluster import connect

    return connect(scheduler)


def _prepare_cores(space: DesignSpace, bound: Binding | None) -> Origin:
    """Check all instances and derive their models together: tools start once, not once each."""
    instances = _instances(space, bound)
    ensure_checked(instances)
    return origin_of(instances)


def _instances(space: DesignSpace, bound: Binding | None) -> list[Instance]:
    """Return the distinct instances that a space or what holds beside it binds."""
    chosen = [c for variable in space.variables for c in variable.choices if c is not None]
    instances = {one.content_hash: one for one in chosen}
    if bound is not None:
        instances |= {one.content_hash: one for one in bound.instances.values()}
    return list(instances.values())


def _runner(
    compiled: CompiledNetwork,
    dataset: Dataset,
    judge: Judge,
    stop: StoppingRule | None,
    cluster: Any,
    threads: int | None,
    tuner: WeightTuner | None,
) -> Runner:
    if stop is not None:
        y = None if dataset.y is None else dataset.y[stop.order]
        dataset = replace(dataset, x=dataset.x[stop.order], y=y)
        judge = judge.ordered(stop.order)
    if cluster is not None:
        from asnet_mlir.exploration.cluster import ClusterRunner

        return ClusterRunner(cluster, compiled, dataset, judge, stop, threads)
    weights_of = None if tuner is None else lambda binding: tuner.tuned(binding)[0]
    session = Session(compiled, dataset, threads=threads, judge=judge, weights_of=weights_of)
    return LocalRunner(session, stop)


def _interrupted(store: str | Path | None, measurer: Measurer) -> str:
    if store is None:
        return f"interrupted after {measurer.evaluated} evaluations; without --store none is kept"
    complete = sum(result.complete for result in measurer.results.values())
    return (
        f"interrupted: {complete} evaluations of this study are stored in {store}; the same "
        "command goes on from there"
    )
