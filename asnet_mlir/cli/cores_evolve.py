# SPDX-License-Identifier: Apache-2.0
"""`asnet cores evolve`: the cheapest circuits under bounds on their errors."""

from __future__ import annotations

import argparse
import re
import warnings
from pathlib import Path
from typing import Any

from asnet_mlir.cli.arguments import Verbs, add_verb, integer, model_of, number
from asnet_mlir.cli.printing import print_json
from asnet_mlir.errors import AsnetWarning, InputError

__all__ = ["add"]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_DEFAULT_SECONDS = 60.0
#: Of both operands, and of the result: sums of errors have 64 bits.
_MOST_BITS, _MOST_RESULT_BITS = 64, 48


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs, "evolve", run, "evolve the cheapest circuits under bounds on their errors"
    )
    command.add_argument("--op", metavar="OP", help="muli, addi or subi")
    command.add_argument(
        "--width", metavar="N[xM]", help="bits of the operands: 8, or 8x6 for a of 8 and b of 6"
    )
    command.add_argument(
        "--result", type=integer, metavar="N", help="bits of the result; by default all it needs"
    )
    command.add_argument(
        "--signed",
        action=argparse.BooleanOptionalAction,
        help="operands are two's complement; of a file by default as declared",
    )
    command.add_argument(
        "--from",
        dest="source",
        action="append",
        default=[],
        metavar="FILE.v",
        help="the exact function is what this core computes, instead of --op and --width; several "
        "files are one core",
    )
    command.add_argument("--top", metavar="M", help="the module of --from; by default the only top")
    command.add_argument(
        "--start",
        action="append",
        default=[],
        metavar="FILE.v|CORE",
        help="start from this circuit too; may be repeated",
    )
    command.add_argument(
        "--bound",
        action="append",
        required=True,
        metavar="'WCE<=128'",
        help="METRIC<=NUMBER of MAE, WCE, EP, |bias|, MRE, WMED or |Wbias|; several are kept "
        "together",
    )
    command.add_argument(
        "--points", type=integer, default=1, metavar="N", help="a front of N bounds of the first"
    )
    command.add_argument(
        "--least", type=number, metavar="X", help="the front's least bound; by default a 1000th"
    )
    command.add_argument(
        "--minimize",
        default="area",
        metavar="WHAT",
        help="area (default), power, energy (power and registers) or delay",
    )
    command.add_argument(
        "--weights",
        metavar="FILE.npz|NETWORK[@LAYER]",
        help="operands by which WMED is weighted: arrays a, b and weight, or those of a network's "
        "multiplications as codes of the operands' widths (needs --data)",
    )
    command.add_argument("--data", metavar="DATA", help="what the network of --weights runs on")
    command.add_argument(
        "--keep",
        metavar="'accuracy>=0.98'",
        help="only circuits with which the network of --weights, on 8-bit codes, keeps this on the "
        "data of --test",
    )
    command.add_argument(
        "--test", metavar="DATA", help="samples of --keep; others than those it is judged by later"
    )
    command.add_argument(
        "--budget",
        metavar="10m",
        help=f"time in s, m or h, of all runs together (default: {_DEFAULT_SECONDS:.0f}s)",
    )
    command.add_argument(
        "--rounds", type=integer, metavar="N", help="instead of a time: repeatable to the bit"
    )
    command.add_argument("--seed", type=integer, default=0, metavar="N", help="(default: 0)")
    command.add_argument(
        "--threads", type=integer, metavar="N", help="by default one for each processor"
    )
    command.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="DIR",
        help="circuits and front.json; the same command goes on with what is there",
    )


def run(options: Any) -> int:
    """Carry the verb out."""
    from asnet_mlir.cores.metrics.subject import Histogram
    from asnet_mlir.evolution import folder as folders
    from asnet_mlir.evolution.goal import Goal, parse_bounds
    from asnet_mlir.evolution.problem import Problem
    from asnet_mlir.evolution.search import Search
    from asnet_mlir.support.progress import ProgressLine, duration

    seconds, rounds = _budget(options)
    bounds = parse_bounds(options.bound)
    goal = Goal(bounds, options.points, options.least, options.minimize)
    if options.seed < 0:
        raise InputError(f"--seed must not be negative, but is {options.seed}")
    if options.threads is not None and not 1 <= options.threads <= 256:
        raise InputError(f"--threads must be from 1 to 256, not {options.threads}")
    task, starts = _task(options)
    histogram: Histogram | None = _histogram(options, task)
    search = Search(Problem(task, histogram, options.seed), goal, options.seed)
    if options.threads is not None:
        search.threads = options.threads
    keep = _keep(options, task)
    about = {
        "function": _function(options, task),
        "exact": task.exact.hash(),
        "signed": task.signed,
        "bounds": ", ".join(f"{bound.metric}<={bound.most:g}" for bound in bounds),
        "points": goal.points,
        "least": goal.smallest if goal.points > 1 else None,
        "minimize": goal.objective,
        "weights": None if histogram is None else histogram.content_hash,
        **({} if keep is None else {"keep": keep.about}),
        "starts": [one.hash() for one in starts],
        "seed": search.seed,
        "threads": search.threads,
    }
    search.keeps = keep
    folder = Path(options.output)
    if not folders.load_state(folder, about, search):
        search.begin(starts)
        _warn_of_starts(options.start, search, starts)
        folders.save_state(folder, about, search)
    line = ProgressLine()

    def go_on(counts: Any) -> bool:
        done = counts.rounds >= rounds if rounds is not None else counts.seconds >= seconds
        speed = counts.candidates / counts.seconds if counts.seconds else 0.0
        left = (
            f"round {counts.rounds} of {rounds}"
            if rounds is not None
            else f"{duration(max(0.0, seconds - counts.seconds))} left"
        )
        line.show(f"{counts.candidates:,} candidates, {speed:,.0f} a second, {left}", done)
        return not done

    try:
        search.run(go_on, lambda: folders.save_state(folder, about, search))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted after {search.counts.rounds} rounds; the same command goes on"
        ) from None
    finally:
        line.close()
    entries = folders.write_front(folder, about, search)
    if options.json:
        counts = {**vars(search.counts), "left_out": search.left_out}
        print_json({"about": about, "counts": counts, "circuits": entries})
    else:
        print(_summary(folder, search, entries))
    return 0


def _budget(options: Any) -> tuple[float, int | None]:
    if options.rounds is not None:
        if options.budget is not None:
            raise InputError("give either --budget or --rounds, not both")
        if options.rounds < 0:
            raise InputError(f"--rounds must not be negative, but is {options.rounds}")
        return 0.0, options.rounds
    if options.budget is None:
        return _DEFAULT_SECONDS, None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smh]?)", options.budget, re.ASCII)
    if not match:
        raise InputError(f"--budget '{options.budget}': write a time such as 90s, 10m or 1h")
    return float(match[1]) * _UNITS[match[2]], None


def _task(options: Any) -> tuple[Any, list[Any]]:
    """Return what circuits are to compute, and the circuits to start from."""
    from asnet_mlir.cores import core_from_verilog
    from asnet_mlir.evolution.core_circuit import circuit_of
    from asnet_mlir.evolution.problem import Task
    from asnet_mlir.evolution.starts import starts

    if options.source:
        for name in ("width", "result"):
            if getattr(options, name) is not None:
                raise InputError(f"--{name} goes with --op; a file of --from has its own")
        description = {"top": options.top, "signed": options.signed}
        given = {name: value for name, value in description.items() if value is not None}
        instance = core_from_verilog(
            options.source, op=options.op, level="integer", **given
        ).instance()
        exact = circuit_of(instance)
        _check_bits(exact.widths, len(exact.outputs))
        task = Task(exact, instance.core.signed, instance.core.op)
        found = [exact]
    else:
        if options.op is None or options.width is None:
            raise InputError("name the function: --op muli --width 8, or --from FILE.v")
        if options.top is not None:
            raise InputError("--top is for --from")
        if options.op not in ("muli", "addi", "subi"):
            raise InputError(
                f"--op {options.op}: evolution starts from muli, addi or subi; give "
                "another function's circuit with --from"
            )
        match = re.fullmatch(r"([0-9]+)(?:x([0-9]+))?", options.width, re.ASCII)
        if not match:
            raise InputError(f"--width '{options.width}': write 8, or 8x6")
        widths = (int(match[1]), int(match[2] or match[1]))
        if min(widths) < 2:
            raise InputError(f"--width {options.width}: operands have at least 2 bits")
        needed = sum(widths) if options.op == "muli" else max(widths) + 1
        result = needed if options.result is None else options.result
        if not 1 <= result <= needed:
            raise InputError(f"--result must be from 1 to {needed}, not {result}")
        _check_bits(widths, result)
        signed = bool(options.signed)
        found = starts(options.op, widths, result, signed)
        task = Task(found[0], signed, options.op)
    return task, [*found, *(_start(name, options, task) for name in options.start)]


def _check_bits(widths: tuple[int, ...], result: int) -> None:
    if sum(widths) > _MOST_BITS or result > _MOST_RESULT_BITS:
        raise InputError(
            f"{sum(widths)} bits of operands and {result} of the result are too many: at most "
            f"{_MOST_BITS} and {_MOST_RESULT_BITS} can be searched"
        )


def _start(name: str, options: Any, task: Any) -> Any:
    from asnet_mlir.cores import core_from_verilog, parse_instance
    from asnet_mlir.evolution.core_circuit import circuit_of

    if Path(name).suffix in (".v", ".sv"):
        core = core_from_verilog([name], op=options.op, level="integer", signed=task.signed)
        instance = core.instance()
    else:
        instance = parse_instance(name, op=options.op)
    circuit = circuit_of(instance)
    if circuit.widths != task.widths or len(circuit.outputs) != task.result:
        raise InputError(
            f"--start {name}: has operands of {circuit.widths[0]} and {circuit.widths[1]} bits and "
            f"a result of {len(circuit.outputs)}; the function has {task.widths[0]}, "
            f"{task.widths[1]} and {task.result}"
        )
    return circuit


def _warn_of_starts(names: list[str], search: Any, starts: list[Any]) -> None:
    """Say which of the named circuits, the last ones to start with, are of no use."""
    for name, circuit in zip(names, starts[len(starts) - len(names) :], strict=True):
        if broken := search.broken(circuit):
            warnings.warn(
                f"--start {name}: breaks {broken}; the search begins without it",
                AsnetWarning,
                stacklevel=2,
            )


def _histogram(options: Any, task: Any) -> Any:
    from asnet_mlir.cores.metrics.subject import Histogram
    from asnet_mlir.evaluation.operand_samples import operand_codes

    if options.weights is None:
        if options.data is not None:
            raise InputError("--data is for --weights NETWORK")
        return None
    if options.data is None:
        if not options.weights.endswith(".npz"):
            raise InputError(f"--weights {options.weights}: a network needs --data")
        return Histogram.load(options.weights)
    if task.op != "muli":
        raise InputError("--weights NETWORK is for multipliers: a network's products weight them")
    network, _, layer = options.weights.partition("@")
    model = model_of(network, None)
    return operand_codes(model, options.data, task.widths, task.signed, layer or None)


class _Keep:
    """Whether the network keeps a figure with a circuit in its products."""

    def __init__(self, trials: Any, criterion: Any, signed: bool) -> None:
        self._trials, self._signed = trials, signed
        (self._bound,) = criterion.bounds
        self.about = f"{criterion.text} on {trials.about}"
        self._known: dict[bytes, float] = {}

    def value(self, circuit: Any) -> float:
        """Return the network's figure with a circuit."""
        table = circuit.table(self._signed)
        key = table.tobytes()
        if key not in self._known:
            self._known[key] = self._trials.value(table)
        return self._known[key]

    def __call__(self, circuit: Any) -> bool:
        return bool(self._bound.holds(self.value(circuit)))


def _keep(options: Any, task: Any) -> _Keep | None:
    from asnet_mlir.evaluation.circuit_trials import CircuitTrials
    from asnet_mlir.exploration.criterion import Criterion

    if options.keep is None:
        if options.test is not None:
            raise InputError("--test is for --keep")
        return None
    if options.weights is None or options.data is None or options.test is None:
        raise InputError("--keep needs --weights NETWORK, --data and --test")
    criterion = Criterion.parse(options.keep)
    if len(criterion.bounds) != 1 or criterion.bounds[0].is_cost:
        raise InputError(f"--keep '{options.keep}': one bound on how good the network is")
    if task.widths != (8, 8):
        raise InputError("--keep is for circuits of 8 x 8 bits, whose tables a network can try")
    network, _, layer = options.weights.partition("@")
    trials = CircuitTrials(
        model_of(network, None),
        options.test,
        task.exact.table(task.signed),
        layer=layer or None,
        metric=criterion.bounds[0].figure,
        threads=options.threads,
    )
    found = _Keep(trials, criterion, task.signed)
    if not criterion.bounds[0].holds(trials.exact):
        raise InputError(
            f"--keep '{options.keep}': the exact network has {trials.exact:.4g} on {options.test}"
        )
    return found


def _function(options: Any, task: Any) -> str:
    kind = "signed" if task.signed else "unsigned"
    what = " ".join(Path(name).name for name in options.source) or task.op
    return f"{what}, {kind}, {task.widths[0]} x {task.widths[1]} to {task.result} bits"


def _summary(folder: Path, search: Any, entries: list[dict[str, Any]]) -> str:
    """Return the circuits as a table."""
    from asnet_mlir.evolution.problem import METRICS

    counts = search.counts
    speed = counts.candidates / counts.seconds if counts.seconds else 0.0
    metrics = [name for name in METRICS if any(e["errors"][name] is not None for e in entries)]
    header = ["circuit", "cost", "gates", "levels", *metrics]
    rows = [
        [e["name"], str(e["cost"]), str(e["gates"]), str(e["levels"])]
        + [f"{e['errors'][name]:.4g}" for name in metrics]
        for e in entries
    ]
    widths = [max(len(row[k]) for row in (header, *rows)) for k in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    ]
    if entries and not all(entry["errors"]["exhaustive"] for entry in entries):
        lines.append("figures are of a sample of the operand pairs")
    if search.left_out:
        lines.append(
            f"{search.left_out} more kept the bounds on the pairs that were searched, not on all"
        )
    lines.append(
        f"{counts.candidates:,} candidates, {speed:,.0f} a second; {len(entries)} circuits in "
        f"{folder}"
    )
    return "\n".join(lines)
