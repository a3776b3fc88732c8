# SPDX-License-Identifier: Apache-2.0
"""`asnet explore`: how good every configuration of a design space is."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import asnet_mlir
from asnet_mlir.cli.arguments import (
    DATA,
    METRIC,
    THREADS,
    Verbs,
    add_style,
    add_verb,
    binding_arguments,
    binding_of,
    integer,
    model_of,
    network_arguments,
    number,
)
from asnet_mlir.cli.printing import print_json
from asnet_mlir.errors import InputError

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs,
        "explore",
        run,
        "accuracy, or another metric, of every configuration of a design space",
        network_arguments(),
        binding_arguments(),
    )
    command.add_argument(
        "--data", "--validate", required=True, metavar="DATA", help=f"to choose by; {DATA}"
    )
    command.add_argument(
        "--test", metavar="DATA", help="other data, to judge the front and the choice by"
    )
    command.add_argument("--metric", metavar="M", help=METRIC)
    command.add_argument(
        "--constraints", required=True, metavar="FILE.json", help="the design space"
    )
    command.add_argument("--store", metavar="FILE.sqlite", help="keep results; continue a sweep")
    command.add_argument("--axes", action="store_true", help="approximate one op kind at a time")
    command.add_argument(
        "--strategy",
        default="exhaustive",
        metavar="S",
        help="exhaustive (default), greedy, nsga2 or, of networks on codes, agn; several by commas",
    )
    command.add_argument(
        "--budget", type=integer, metavar="N", help="measure at most N configurations"
    )
    command.add_argument(
        "--seed", type=integer, default=0, metavar="N", help="of the strategy (default: 0)"
    )
    command.add_argument(
        "--seeds", type=integer, default=1, metavar="N", help="search with N seeds (default: 1)"
    )
    command.add_argument(
        "--cost",
        default="none",
        metavar="C",
        help="what is minimized, and after commas what else is measured: area, cycles, latency, "
        "lut_time (hardware), energy, area_proxy, delay_proxy, energy_proxy, or none (default)",
    )
    command.add_argument(
        "--synthesis-seeds",
        type=integer,
        default=1,
        metavar="N",
        help="place units N times: clocks in costs are medians, drawn with their range",
    )
    add_style(command)
    command.add_argument(
        "--choose",
        metavar="'accuracy>=0.9'",
        help="pick the cheapest configuration within bounds, several joined by 'and'",
    )
    command.add_argument("--minimize", metavar="COST", help="what the choice goes by")
    command.add_argument("--maximize", metavar="METRIC", help="what the choice goes by")
    command.add_argument("--save", metavar="FILE.json", help="where the chosen binding goes")
    command.add_argument(
        "--plot", metavar="FILE.png", help="draw the metric against parameters, or the front"
    )
    command.add_argument(
        "--early-stop",
        type=number,
        metavar="0.999",
        help="stop evaluations that are below the bound with this confidence",
    )
    command.add_argument(
        "--scheduler", metavar="HOST:PORT", help="evaluate on the workers of a Dask scheduler"
    )
    command.add_argument("--threads", type=int, metavar="N", help=THREADS)
    command.add_argument(
        "--tune-weights",
        nargs="?",
        const="",
        metavar="DATA",
        help="tune weights for every configuration, for the codes of DATA or for all alike",
    )


def run(options: Any) -> None:
    """Carry the verb out."""
    from asnet_mlir.exploration import choose
    from asnet_mlir.exploration.cost_kinds import cost_names
    from asnet_mlir.exploration.criterion import Criterion
    from asnet_mlir.exploration.results import NothingFoundError
    from asnet_mlir.exploration.sweep_progress import ProgressDisplay
    from asnet_mlir.metrics import metric_named
    from asnet_mlir.reports import exploration_table, has_axes, plot_accuracy, plot_front

    if options.store == "":
        raise InputError("--store needs a file name")
    picks = options.choose is not None or options.minimize or options.maximize
    if options.save and not picks:
        raise InputError("--save needs --choose: it saves the chosen binding")
    metric = metric_named(options.metric) if options.metric is not None else None
    criterion = Criterion("", ())
    if options.choose is not None:
        criterion = Criterion.parse(options.choose, metric, options.cost)
    display = ProgressDisplay(
        criterion if picks else None, next(iter(cost_names(options.cost)), "none")
    )
    quiet = options.json and not sys.stderr.isatty()
    try:
        exploration = asnet_mlir.explore(
            model_of(options.model, options.weights, options.module),
            options.data,
            options.constraints,
            binding=binding_of(options),
            metric=options.metric,
            tune_weights=True if options.tune_weights == "" else options.tune_weights,
            store=options.store,
            strategy=options.strategy,
            budget=options.budget,
            seed=options.seed,
            cost=options.cost,
            choose=options.choose,
            minimize=options.minimize,
            maximize=options.maximize,
            only_axes=options.axes,
            early_stop=options.early_stop,
            scheduler=options.scheduler,
            threads=options.threads,
            progress=None if quiet else display,
            cost_progress=None if quiet else display.costs,
            command=_repeats(options),
            test=options.test,
            style=options.style,
            lanes=options.lanes,
            seeds=options.seeds,
            synthesis_seeds=options.synthesis_seeds,
        )
    finally:
        display.close()
    chosen, failure = None, None
    if picks:
        try:
            chosen = choose(
                exploration, criterion, minimize=options.minimize, maximize=options.maximize
            )
        except NothingFoundError as error:
            failure = error  # what was measured is shown first
    if chosen and options.save:
        chosen.binding.save(options.save)
    if options.plot and has_axes(exploration) and options.cost == "none":
        plot_accuracy(exploration, Path(options.plot))
    elif options.plot:
        plot_front(exploration, Path(options.plot), chosen)
    if options.json:
        found = exploration.to_json() | {"seed": options.seed, "command": _repeats(options)}
        print_json(found | ({"chosen": chosen.to_json()} if chosen else {}))
    else:
        print(exploration_table(exploration))
        _print_result(exploration, chosen, options.choose)
    if failure is not None:
        raise failure


def _print_result(exploration: Any, chosen: Any, bounds: str | None) -> None:
    """Say below the table what was run and what was chosen."""
    if exploration.replaced:
        print(
            f"{exploration.replaced} results in the store came from other models of these cores "
            "than this program makes; they were measured again"
        )
    if exploration.killed:
        print("an earlier run was killed; what it had stored was not measured again")
    if len(exploration.searches) > 1:
        for search, volume in zip(exploration.searches, exploration.volumes(), strict=True):
            print(
                f"{search.label}: {len(search.results)} configurations, hypervolume "
                f"{volume[-1] if volume else 0:.4f}"
            )
    print(
        f"{len(exploration.results)} configurations ({exploration.evaluated} run) on "
        f"{exploration.samples} samples in {exploration.seconds:.1f} s"
    )
    if chosen:
        bound = f" for {bounds}" if bounds else ""
        print(
            f"chosen{bound}: {chosen.label}, "
            + ", ".join(_figure(chosen, name, value) for name, value in chosen.figures.items())
        )
    if exploration.test:
        _print_test(exploration, chosen)


def _print_test(exploration: Any, chosen: Any) -> None:
    """Say what came out on the data that no choice was made on."""
    from asnet_mlir.evaluation.outcomes import p_value
    from asnet_mlir.reports.figure_texts import figure_text

    test = exploration.test
    print(f"on {test.data}, {test.samples} samples that the choice does not know:")
    exact = test.of(exploration.exact)
    print(f"{'exact':>8} {figure_text(exact.metric, exact.value, exact.interval)}")
    if chosen is None:
        return
    found = test.of(chosen)
    p = p_value(exact.outcome, found.outcome)
    test_name = "McNemar" if found.metric.each == "right" else "random signs"
    beside = "" if p is None or found is exact else f", p = {p:.2g} against exact ({test_name})"
    print(f"{'chosen':>8} {figure_text(found.metric, found.value, found.interval)}{beside}")


def _figure(result: Any, name: str, value: float) -> str:
    """Return a figure for people."""
    if name != result.metric.name:
        from asnet_mlir.reports.figure_texts import cost_text

        return f"{name} {cost_text(name, value)}"
    return (
        f"{name} {value:.4f}"
        if result.metric.unit == "%"
        else (f"{name} {result.metric.show(value)}")
    )


def _repeats(options: Any) -> str:
    """Return the command that repeats an exploration."""
    words = ["asnet", "explore", options.model, "--data", options.data]
    words += ["--constraints", options.constraints]
    for rule in options.bind:
        words += ["--bind", rule]
    if options.tune_weights is not None:
        words += ["--tune-weights", *filter(None, [options.tune_weights])]
    for lane in options.lanes:
        words += ["--lanes", lane]
    if options.axes:
        words.append("--axes")
    for name, default in (
        ("weights", None),
        ("test", None),
        ("style", None),
        ("metric", None),
        ("binding", None),
        ("accumulator", None),
        ("strategy", "exhaustive"),
        ("budget", None),
        ("seed", 0),
        ("seeds", 1),
        ("synthesis_seeds", 1),
        ("cost", "none"),
        ("choose", None),
        ("minimize", None),
        ("maximize", None),
        ("early_stop", None),
        ("store", None),
    ):
        value = getattr(options, name)
        if value != default:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)
