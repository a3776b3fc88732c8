# SPDX-License-Identifier: Apache-2.0
"""Explore the design space that constraints span on a network (the paper's Algorithm 1)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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
from asnet_mlir.exploration.code_costs import CodeHardwareCosts
from asnet_mlir.exploration.constraints import Constraints, load_constraints
from asnet_mlir.exploration.cost_kinds import Cost
from asnet_mlir.exploration.costs import CostModel, CostPart, measure_costs
from asnet_mlir.exploration.early_stop import EarlyStop, ErrorStop, StoppingRule
from asnet_mlir.exploration.energy import EnergyCosts
from asnet_mlir.exploration.hardware_costs import Generator, HardwareCosts, Style
from asnet_mlir.exploration.kept_networks import keep_network
from asnet_mlir.exploration.layers import network_layers
from asnet_mlir.exploration.measurer import Study
from asnet_mlir.exploration.noise_levels import LayerNoise
from asnet_mlir.exploration.origin import Origin, origin_of
from asnet_mlir.exploration.results import Exploration
from asnet_mlir.exploration.runner import LocalRunner, Runner
from asnet_mlir.exploration.space import DesignSpace
from asnet_mlir.exploration.store import DatasetRecord, LayerRecord, NetworkRecord, Store
from asnet_mlir.exploration.stored_bindings import keep_cores
from asnet_mlir.exploration.study_options import DEFAULT_BUDGET, StudyOptions
from asnet_mlir.exploration.sweep import Sweep
from asnet_mlir.exploration.sweep_progress import Progress
from asnet_mlir.frontends import load_model
from asnet_mlir.hardware.integers.codes import is_on_codes
from asnet_mlir.metrics import Judge, Metric
from asnet_mlir.network import ApproxTexts
from asnet_mlir.support.cache import content_hash
from asnet_mlir.support.interrupts import Interrupts
from asnet_mlir.worker import in_mlir_process

__all__ = ["DEFAULT_BUDGET", "explore"]


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
    seeds: int = 1,
    synthesis_seeds: int = 1,
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
      strategy: `exhaustive`, `greedy`, `nsga2` or `agn` (`exploration.strategies`), or several
        joined by commas: each is a study of its own in the store.
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
      cost_progress: called with (done, total, label) after each instance's synthesis, and with
        (0, 0, what begins) before other steps that take long.
      command: what repeats the study, for the store.
      test: data on which, in the end, the exact network, the front and the choice are evaluated;
        they have no sample in common with `data`, on which the choice is made.
      style, lanes: of the hardware that costs are of, as `generate` takes them.
      seeds: with how many seeds, from `seed` on, strategies search that draw anything.
      synthesis_seeds: how often units are placed and routed: costs of which a clock is a part have
        the median of the clocks, and are known with their range (`Result.spread`).

    Returns:
      All results; `chosen` is what `choose` picks of them, or None.

    Raises:
      InputError: see `load_constraints`, `load_model`, `load_data`, `Criterion.parse`; an unknown
        strategy or cost; a budget below 1; a store of another version; a scheduler that can't be
        reached.
      AsnetError: the store can't be written; no worker is left.
      KeyboardInterrupt: with a message that says what is stored.
    """
    options = StudyOptions(
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
        seeds,
        synthesis_seeds,
    )
    if isinstance(data, str | Path) and isinstance(test, str | Path):
        check_apart(str(data), str(test))
    with Interrupts() as interrupts:
        return _explore(model, data, constraints, options, progress, cost_progress, interrupts)


def _explore(
    model: Any,
    data: str | Path | Dataset | tuple[Any, Any],
    constraints: str | Path | Mapping[str, Any] | Constraints,
    options: StudyOptions,
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
        origin = _prepare_cores(space, network.binding, cost_progress)
        tuner = _tuner(compiled, options.tuned)
        store = stack.enter_context(Store(options.store))
        study = _describe(model, compiled, dataset, judge, space, store, origin, options, tuner)
        _keep(store, study, compiled, _instances(space, network.binding))
        costs = _costs(options, compiled, dataset, study, store, cost_progress)
        runner = _runner(compiled, dataset, judge, stop, cluster, options.threads, tuner)
        sweep = Sweep(
            options,
            network.name,
            dataset,
            given,
            study,
            store,
            costs,
            stop,
            interrupts,
            begin,
            LayerNoise(compiled, dataset, space),
        )
        chosen = sweep.run(runner, progress)
        if test is None:
            return sweep.found(chosen)
        judge = judge_of(judge.metric, test, network)
        session = _runner(compiled, test, judge, None, None, options.threads, tuner)
        return sweep.found(chosen, sweep.judged(test, session, chosen))


def _costs(
    options: StudyOptions,
    compiled: CompiledNetwork,
    dataset: Dataset,
    study: Study,
    store: Store,
    progress: Callable[[int, int, str], None] | None,
) -> CostModel:
    """Return what configurations cost, or will be found to cost when they are asked for."""
    network = compiled.network
    plain = replace(network, binding=None, missing=())

    def say(step: str) -> None:
        if progress is not None:
            progress(0, 0, step)

    def hardware(wanted: Sequence[str]) -> CostPart:
        generator = Generator(plain, study.network, options.style, dataset.head(1), say)
        kind = CodeHardwareCosts if is_on_codes(network) else HardwareCosts
        return kind(wanted, generator, study.space, network.binding)

    def energy() -> CostPart:
        key = content_hash(study.network, study.dataset)
        return EnergyCosts(plain, key, dataset, study.space, network.binding, say)

    return measure_costs(
        options.cost,
        study.space,
        store,
        progress,
        network.binding,
        hardware,
        energy,
        options.synthesis_seeds,
    )


def _given(constraints: str | Path | Mapping[str, Any] | Constraints) -> Constraints:
    return constraints if isinstance(constraints, Constraints) else load_constraints(constraints)


def _stopping_rule(options: StudyOptions, metric: Metric, samples: int) -> StoppingRule | None:
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
    options: StudyOptions,
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


def _prepare_cores(
    space: DesignSpace, bound: Binding | None, progress: Callable[[int, int, str], None] | None
) -> Origin:
    """Check all instances and derive their models together: tools start once, not once each."""
    instances = _instances(space, bound)

    def checked(done: int, total: int) -> None:
        if progress is not None and total > done:
            progress(0, 0, f"{done} of {total} cores are checked")

    ensure_checked(instances, checked)
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
