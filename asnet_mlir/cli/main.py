"""The command line: `asnet VERB ...`.

Exit status 0: done; 1: a failure, a mismatch in `simulate` or `cores check` included; 2: bad input.
With `--json`, standard output holds one JSON object and nothing else.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args

import asnet_mlir
from asnet_mlir.cli.completion import SHELLS, completed, shell_code
from asnet_mlir.compiler import STAGES
from asnet_mlir.errors import AsnetError, AsnetWarning, InputError
from asnet_mlir.support import interrupts

__all__ = ["main"]

_MODEL = (
    "classification_mnist, convolutional_mnist or convolutional_svhn; FILE.keras; the folder of a "
    "SavedModel; FILE.mlir or FILE.mlirbc (StableHLO, or what 'asnet compile -o' wrote); or "
    "MODULE:FUNCTION, which returns a function of JAX or TensorFlow and example arguments"
)
_DATA = (
    "mnist:test, svhn_synthetic:test, svhn:FOLDER or fashion_mnist:test (or :train; :N takes the "
    "first N samples), or FILE.npz with the arrays x and y"
)
_THREADS = "by default one a core"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see '{self.prog} --help')")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    # JAX probes for accelerators and says so; results are the same on any of them.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    home = Path(os.path.expanduser("~"))
    if not (home.is_dir() and os.access(home, os.W_OK)):
        import logging

        # Matplotlib tells of its own folder for settings; the cache has said what matters.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        given = sys.argv[1:] if arguments is None else arguments
        options = completed(_parser()).parse_args(_spread(given))
        with warnings.catch_warnings():
            warnings.simplefilter("default", AsnetWarning)
            warnings.showwarning = functools.partial(_show_warning, warnings.showwarning)
            return options.run(options) or 0
    except AsnetError as error:
        if debug:
            raise
        print(f"asnet: error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt as error:
        return interrupts.answer(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a full disk, a folder without permission
        if debug:
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"asnet: error: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except Exception as error:
        if debug:
            raise
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        print(f"asnet: internal error: {text} (--debug shows where)", file=sys.stderr)
        return 1


def _show_warning(
    usual: Callable[..., None],
    message: Warning | str,
    category: type[Warning],
    *place: Any,
    **options: Any,
) -> None:
    """Show our own warnings like errors, others as usual."""
    if issubclass(category, AsnetWarning):
        print(f"asnet: warning: {' '.join(str(message).split())}", file=sys.stderr)
    else:
        usual(message, category, *place, **options)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="asnet",
        description="Trained networks to hardware with approximate arithmetic.",
    )
    parser.add_argument("--version", action="version", version=asnet_mlir.__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object")
    common.add_argument("--debug", action="store_true", help="show the trace of an error")

    bound = _Parser(add_help=False)
    bound.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="OP[@LAYER]=CORE[:P=20,M=3] ..",
        help="compute ops of a kind by a core; a list, or repeated",
    )
    bound.add_argument("--binding", metavar="FILE.json", help="a saved binding")

    network = _Parser(add_help=False)
    network.add_argument("model", metavar="MODEL", help=_MODEL)
    network.add_argument(
        "--weights",
        metavar="FILE.npz",
        help="of a .mlir or .mlirbc file; by default NAME.weights.npz beside NAME.mlir",
    )

    def verb(name: str, run: Callable[[Any], int | None], help: str, *parents: Any) -> Any:
        command = verbs.add_parser(name, help=help, description=help, parents=[common, *parents])
        command.set_defaults(run=run)
        return command

    def hardware_style(command: Any) -> None:
        command.add_argument(
            "--style",
            default="shared",
            metavar="S",
            help="shared: one machine, least area (default); stream: an engine a layer",
        )
        command.add_argument(
            "--lanes",
            action="append",
            default=[],
            metavar="[LAYER=]N ..",
            help="of --style stream: outputs at once, in all layers or in one; a list, or repeated",
        )

    command = verb("compile", _compile, "print a stage of the compiler", network, bound)
    command.add_argument(
        "--emit",
        default="bound",
        metavar="STAGE",
        help=f"one of {', '.join(STAGES)}; the last three are the hardware's (default: bound)",
    )
    command.add_argument("--batch", type=int, metavar="N", help="samples in a call (default: 1)")
    hardware_style(command)
    command.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="weights go into NAME.weights.npz beside NAME.mlir",
    )

    command = verb("evaluate", _evaluate, "accuracy of one configuration", network, bound)
    command.add_argument("--data", required=True, metavar="DATA", help=_DATA)
    command.add_argument("--threads", type=int, metavar="N", help=_THREADS)

    command = verb(
        "explore", _explore, "accuracy of every configuration of a design space", network
    )
    command.add_argument("--data", required=True, metavar="DATA", help=_DATA)
    command.add_argument(
        "--constraints", required=True, metavar="FILE.json", help="the design space"
    )
    command.add_argument("--store", metavar="FILE.sqlite", help="keep results; continue a sweep")
    command.add_argument("--axes", action="store_true", help="approximate one op kind at a time")
    command.add_argument(
        "--strategy",
        default="exhaustive",
        metavar="S",
        help="exhaustive (default), greedy or nsga2",
    )
    command.add_argument(
        "--budget", type=_integer, metavar="N", help="measure at most N configurations"
    )
    command.add_argument(
        "--seed", type=_integer, default=0, metavar="N", help="of the strategy (default: 0)"
    )
    command.add_argument(
        "--cost",
        default="none",
        metavar="C",
        help="area, delay or energy of the instances from synthesis, or none (default)",
    )
    command.add_argument(
        "--choose",
        metavar="'accuracy>=0.9'",
        help="pick the cheapest configuration within bounds, several joined by 'and'",
    )
    command.add_argument("--minimize", metavar="COST", help="what the choice goes by")
    command.add_argument("--maximize", metavar="accuracy", help="what the choice goes by")
    command.add_argument("--save", metavar="FILE.json", help="where the chosen binding goes")
    command.add_argument(
        "--plot", metavar="FILE.png", help="draw accuracy against parameters, or the front"
    )
    command.add_argument(
        "--early-stop",
        type=_number,
        metavar="0.999",
        help="stop evaluations that are below the bound with this confidence",
    )
    command.add_argument(
        "--scheduler", metavar="HOST:PORT", help="evaluate on the workers of a Dask scheduler"
    )
    command.add_argument("--threads", type=int, metavar="N", help=_THREADS)

    command = verb("report", _report, "the results in a store as a page that opens anywhere")
    command.add_argument("store", metavar="STORE", help="what 'asnet explore --store' wrote")
    command.add_argument("-o", "--output", metavar="FILE.html", help="the page")
    command.add_argument("--png", metavar="FOLDER", help="the drawings as pictures")

    command = verb(
        "generate", _generate, "the network as a bundle of SystemVerilog", network, bound
    )
    hardware_style(command)
    command.add_argument("-o", "--output", required=True, metavar="DIR", help="a new folder")
    command.add_argument("--force", action="store_true", help="replace an existing folder")
    command.add_argument(
        "--prefix",
        metavar="NAME",
        help="name of the top module, with which all other names begin (default: the network's)",
    )
    command.add_argument(
        "--clock-mhz",
        type=_number,
        metavar="F",
        help="give each core the fewest pipeline stages with which it reaches F MHz alone on ECP5",
    )
    command.add_argument(
        "--predict-area",
        action="store_true",
        help="say roughly how many LUT4 of ECP5 it takes; maps each core alone",
    )

    bundled = _Parser(add_help=False)
    bundled.add_argument(
        "--modified",
        action="store_true",
        help="go on, with a warning, with a bundle that was changed since it was generated",
    )

    command = verb(
        "simulate", _simulate, "run a bundle in Verilator and compare every word", bundled
    )
    command.add_argument("bundle", metavar="DIR", help="what 'asnet generate' wrote")
    command.add_argument("--data", required=True, metavar="DATA", help=_DATA)
    command.add_argument("-n", "--samples", type=int, metavar="N", help="the first N samples")
    command.add_argument(
        "--layers",
        action="store_true",
        help="compare what every layer computes: says where the first difference is",
    )
    command.add_argument("--trace", metavar="FILE.vcd", help="a waveform of the first sample")
    command.add_argument(
        "--trace-cycles", type=_integer, metavar="N", help="its bound (default: 20000)"
    )
    command.add_argument(
        "--stall-seed",
        type=_integer,
        default=0,
        metavar="N",
        help="pause both streams at random, by this seed",
    )
    command.add_argument(
        "--reset-cycle",
        type=_integer,
        default=0,
        metavar="N",
        help="reset in this cycle, then send all samples again",
    )

    command = verb(
        "prove",
        _prove,
        "that cores are the exact ones on masked operands, by CIRCT and z3",
        bundled,
    )
    command.add_argument("design", metavar="DIR|CORE[:P=20]", help="a bundle or a core")
    command.add_argument(
        "--against", metavar="CORE", help="the exact core (default: fmul of fmul_trunc)"
    )
    command.add_argument(
        "--ignore", type=_integer, metavar="N", help="low operand bits that count as 0 (default: P)"
    )
    command.add_argument(
        "--seconds", type=_number, default=60.0, metavar="S", help="bound on each proof"
    )

    command = verb("synth", _synth, "area and clock frequency of a bundle or a core", bundled)
    command.add_argument("design", metavar="DIR|CORE[:P=20]", help="a bundle or a core")
    command.add_argument(
        "--target",
        default="ecp5",
        metavar="TARGET",
        help="ecp5 (default), cyclonev, xilinx7 or asic; or a project for quartus or vivado",
    )
    command.add_argument("--seed", type=_integer, default=1, help="the first of place and route")
    command.add_argument(
        "--seeds", type=_integer, default=1, metavar="N", help="place N times: the median clock"
    )
    command.add_argument(
        "--device",
        metavar="25k|45k|85k|NAME",
        help="ECP5 that it must fit; or quartus' or vivado's name of a device",
    )
    command.add_argument(
        "--project", metavar="FOLDER", help="of quartus or vivado (default: DIR-quartus)"
    )
    command.add_argument("--liberty", metavar="FILE.lib", help="gates for --target asic")
    command.add_argument(
        "--activity",
        type=_number,
        metavar="0.1",
        help="of --target asic: changes of a net in a cycle; power by OpenSTA",
    )
    command.add_argument(
        "--clock", type=_number, metavar="MHZ", help="of that power (default: 100)"
    )
    command.add_argument("--dsp", action="store_true", help="allow DSP blocks")

    _add_cores_verbs(verbs, common)

    command = verb("cache", _cache, "what is kept between runs: where, how much; or remove it")
    command.add_argument("--clean", action="store_true", help="remove what is kept")
    command.add_argument(
        "--days", type=_number, metavar="N", help="of --clean: only what nobody used for N days"
    )

    command = verb("completion", _completion, "a script by which a shell completes asnet")
    command.add_argument("shell", metavar="SHELL", choices=SHELLS, help=" or ".join(SHELLS))
    return parser


#: Options that take a list, and what a value of theirs looks like.
_LISTS = {
    "--bind": re.compile(r"[a-z]\w*(@.+)?=.", re.DOTALL),
    "--lanes": re.compile(r"(.+=)?[0-9]+", re.DOTALL),
    # No core of the library: its parameters stand behind a colon.
    "--port": re.compile(r"[a-z_]+(\.\w+)?=."),
    "--param": re.compile(r"[A-Za-z_]\w*=."),
}


def _spread(arguments: Sequence[str]) -> list[str]:
    """Return a command line in which each value of a list has its option in front of it.

    argparse's own lists would take a MODEL behind them for one value more.
    """
    spread: list[str] = []
    option = ""
    for position, argument in enumerate(arguments):
        if argument == "--":
            return [*spread, *arguments[position:]]
        name = argument.partition("=")[0]
        if name in _LISTS:
            option = name
        elif option and arguments[position - 1] != option:
            if _LISTS[option].match(argument) and not Path(argument).exists():
                spread.append(option)
            else:
                option = ""
        spread.append(argument)
    return spread


def _integer(text: str) -> int:
    """Return the integer that a command line names; only ASCII digits are digits here."""
    if not re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"'{text}' is not an integer")
    return int(text)


def _number(text: str) -> float:
    """Return the decimal number that a command line names."""
    if not re.fullmatch(r"[+-]?[0-9]*\.?[0-9]+", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number")
    return float(text)


def _add_cores_verbs(verbs: Any, common: Any) -> None:
    """Add `asnet cores list|check|characterize`."""
    text = "list, check or characterize cores"
    cores = verbs.add_parser("cores", help=text, description=text)
    core_verbs = cores.add_subparsers(dest="core_verb", required=True, metavar="VERB")

    which = _Parser(add_help=False)
    which.add_argument(
        "core",
        nargs="+",
        metavar="CORE[:P=20]|FILE.v|TABLE",
        help="cores of the library, core.toml files, tables (.npy, .csv, .txt, .h, .hex), or the "
        "Verilog files of one core",
    )
    which.add_argument(
        "--op", metavar="OP", help="what it computes: mulf, addf, .., muli, addi, .."
    )
    which.add_argument(
        "--param", action="append", default=[], metavar="P=20", help="one or several"
    )
    which.add_argument("--strategy", metavar="S", help="force that of the model: word, native, ..")
    which.add_argument("--seed", type=_integer, default=0, metavar="N", help="of random operands")
    several = which.add_argument_group("for many cores at once")
    several.add_argument(
        "--each",
        action="store_true",
        help="every file named or below a folder is a core by itself; prints a table, and goes on "
        "where it was interrupted",
    )
    several.add_argument(
        "--jobs", type=_integer, metavar="N", help="side by side; by default one for each processor"
    )
    several.add_argument("--csv", metavar="FILE", help="write the table, with every figure")
    files = which.add_argument_group("for Verilog files")
    files.add_argument("--top", metavar="M", help="the module; by default the only top")
    files.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="ROLE=NAME",
        help="a, b, result, clock, enable, reset, start, done, busy, ready, start_b, ready_b or "
        "ack; also reset_active=low, constant.NAME=VALUE and unspecified.b=0 (no result is asked "
        "for there); one or several",
    )
    files.add_argument("--latency", metavar="CYCLES|PARAM", help="by default as measured")
    files.add_argument(
        "--interval", type=_integer, metavar="N", help="cycles for which operands are held"
    )
    files.add_argument(
        "--include", action="append", default=[], metavar="DIR", help="may be repeated"
    )
    files.add_argument(
        "--level",
        metavar="LEVEL",
        help="float, significand (an integer unit for the wrapper of --op) or integer",
    )
    files.add_argument(
        "--align", metavar="right|left", help="of a significand in a wider unit (default: right)"
    )
    files.add_argument("--format", metavar="F", help="f32 (default), bf16 or f16")
    files.add_argument(
        "--signed",
        action=argparse.BooleanOptionalAction,
        help="operands of an integer core are two's complement; by default as declared",
    )

    def verb(name: str, run: Callable[[Any], int | None], help: str, *parents: Any) -> Any:
        parents = (common, *parents)
        command = core_verbs.add_parser(name, help=help, description=help, parents=parents)
        command.set_defaults(run=run)
        return command

    verb("list", _cores_list, "the library's cores")

    command = verb("check", _cores_check, "check a core against its contract", which)
    command.add_argument("--vectors", type=_integer, metavar="N", help="random operand pairs")
    command.add_argument(
        "--model", metavar="FILE.c[:FUNCTION]", help="a C model to check against the Verilog"
    )

    command = verb("characterize", _cores_characterize, "error metrics of a core", which)
    command.add_argument(
        "--distribution", metavar="D", help="of the operands: uniform, normal or typical"
    )
    command.add_argument(
        "--operands", metavar="FILE.npz", help="operand pairs: arrays a and b, maybe weight"
    )
    command.add_argument("--network", metavar="MODEL", help="operands as they occur in a network")
    command.add_argument("--weights", metavar="FILE.npz", help="of --network, as of MODEL")
    command.add_argument("--data", metavar="DATA", help="what --network runs on")
    command.add_argument("--layer", metavar="LAYER", help="of --network; by default all")
    command.add_argument("--samples", metavar="N|all", help="operand pairs")
    command.add_argument(
        "--overflow",
        default="plain",
        metavar="O",
        help="of an integer result that wraps: plain (default), modular (distance modulo 2^width) "
        "or exclude (only pairs whose exact result fits)",
    )
    command.add_argument("--threads", type=_integer, metavar="N", help=_THREADS)
    command.add_argument(
        "-o", "--output", metavar="PREFIX", help="write PREFIX.json and PREFIX.png"
    )


def _binding(options: Any) -> Any:
    from asnet_mlir.binding import Binding

    if options.bind and options.binding is not None:
        raise InputError("give either --bind or --binding, not both")
    if options.binding is not None:
        return Binding.load(options.binding)
    return Binding.parse(options.bind)


def _model(name: str, weights: str | None) -> Any:
    return name if weights is None else asnet_mlir.load_model(name, weights)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def _write_new(path: str, text: str) -> None:
    from asnet_mlir.support.files import write_whole

    write_whole(path, text)


def _compile(options: Any) -> None:
    from asnet_mlir.compiler import MODEL_STAGES
    from asnet_mlir.frontends.weights import weights_file_of, write_weights

    if options.batch is not None and options.batch < 1:
        raise InputError(f"--batch must be at least 1, not {options.batch}")
    network = asnet_mlir.load_model(options.model, options.weights)
    text = asnet_mlir.compile(
        network,
        options.emit,
        _binding(options),
        batch=options.batch,
        style=options.style,
        lanes=options.lanes,
    )
    if options.output:
        output = Path(options.output)
        _write_new(options.output, text)
        framework = options.emit == "stablehlo" and network.unfolded is not None
        weights = network.unfolded.weights if framework else network.weights
        if options.emit in MODEL_STAGES and output.suffix == ".mlir" and weights:
            write_weights(weights_file_of(output), weights)
    elif options.json:
        _print_json({"stage": options.emit, "text": text})
    else:
        print(text)


def _evaluate(options: Any) -> None:
    result = asnet_mlir.evaluate(
        _model(options.model, options.weights),
        options.data,
        _binding(options),
        threads=options.threads,
    )
    if options.json:
        _print_json(result.to_json())
        return
    print(
        f"accuracy {result.accuracy:.4f} on {result.samples} samples in {result.seconds:.3f} s "
        f"(compiled in {result.compile_seconds:.2f} s), binding: {result.binding.label}"
    )


def _explore(options: Any) -> None:
    from asnet_mlir.exploration import choose
    from asnet_mlir.exploration.criterion import Criterion
    from asnet_mlir.exploration.sweep_progress import ProgressDisplay
    from asnet_mlir.reports import exploration_table, has_axes, plot_accuracy, plot_front

    if options.store == "":
        raise InputError("--store needs a file name")
    picks = options.choose is not None or options.minimize or options.maximize
    if options.save and not picks:
        raise InputError("--save needs --choose: it saves the chosen binding")
    criterion = Criterion.parse(options.choose) if options.choose is not None else Criterion("", ())
    display = ProgressDisplay(criterion if picks else None, options.cost)
    quiet = options.json and not sys.stderr.isatty()
    try:
        exploration = asnet_mlir.explore(
            _model(options.model, options.weights),
            options.data,
            options.constraints,
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
        )
    finally:
        display.close()
    chosen = None
    if picks:
        chosen = choose(
            exploration, criterion, minimize=options.minimize, maximize=options.maximize
        )
    if chosen and options.save:
        _write_new(options.save, json.dumps(chosen.binding.to_json(), indent=2) + "\n")
    if options.plot and has_axes(exploration) and options.cost == "none":
        plot_accuracy(exploration, Path(options.plot))
    elif options.plot:
        plot_front(exploration, Path(options.plot), chosen)
    if options.json:
        _print_json(exploration.to_json() | ({"chosen": chosen.to_json()} if chosen else {}))
        return
    print(exploration_table(exploration))
    if exploration.replaced:
        print(
            f"{exploration.replaced} results in the store came from other models of these cores "
            "than this program makes; they were measured again"
        )
    print(
        f"{len(exploration.results)} configurations ({exploration.evaluated} run) on "
        f"{exploration.samples} samples in {exploration.seconds:.1f} s"
    )
    if chosen:
        bound = f" for {options.choose}" if options.choose else ""
        print(
            f"chosen{bound}: {chosen.binding.label}, "
            + ", ".join(_figure(name, value) for name, value in chosen.figures.items())
        )


def _figure(name: str, value: float) -> str:
    """Return a figure for people."""
    units = {"accuracy": "", "area": " LUT4", "delay": " ns", "energy": " LUT ns"}
    return f"{name} {value:.4f}" if name == "accuracy" else f"{name} {value:,.0f}{units[name]}"


def _repeats(options: Any) -> str:
    """Return the command that repeats an exploration."""
    words = ["asnet", "explore", options.model, "--data", options.data]
    words += ["--constraints", options.constraints]
    if options.axes:
        words.append("--axes")
    for name, default in (
        ("weights", None),
        ("strategy", "exhaustive"),
        ("budget", None),
        ("seed", 0),
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


def _report(options: Any) -> None:
    if options.output is None and options.png is None:
        raise InputError("report needs -o FILE.html, --png FOLDER, or both")
    written = asnet_mlir.report(options.store, options.output, png=options.png)
    if options.json:
        _print_json({"files": [str(path) for path in written]})
        return
    for path in written:
        print(path)


def _generate(options: Any) -> None:
    manifest = asnet_mlir.generate(
        _model(options.model, options.weights),
        _binding(options),
        output=options.output,
        force=options.force,
        style=options.style,
        lanes=options.lanes,
        clock_mhz=options.clock_mhz,
        prefix=options.prefix,
        predict_area=options.predict_area,
        progress=_show_stage if sys.stderr.isatty() else None,
    )
    if options.json:
        _print_json(manifest)
        return
    print(f"bundle written to {options.output}")
    print(f"{manifest['predicted_cycles_per_sample']} cycles per image predicted")
    if options.predict_area:
        luts = manifest["predicted_luts"]
        print(f"about {luts['total']} LUT4 on ECP5, {luts['cores']} of them in cores")
    if options.clock_mhz is not None:
        for entry in manifest["instances"]:
            print(
                f"  {entry['op']}: {entry['core']}, {entry['latency']} cycles"
                + (f", {entry['fmax_mhz']} MHz alone" if entry["fmax_mhz"] else "")
            )
    for entry in manifest["layers"]:
        if entry.get("kind") == "engine":
            print(
                f"  {entry['layer']}: {entry['cycles']} cycles, the order of the sums demands "
                f"{entry['bound']}; {entry['lanes']} lanes, {entry['interleave']} outputs in turn"
            )
        elif entry.get("kind") == "machine":
            print(f"  {entry['layer']}: {entry['cycles']} cycles, by the sequential machine")


def _simulate(options: Any) -> int:
    from asnet_mlir.support.progress import ProgressLine

    _warn_of_changes(options.bundle, options.modified)
    quiet = options.json and not sys.stderr.isatty()
    line = ProgressLine()
    try:
        result = asnet_mlir.simulate(
            options.bundle,
            options.data,
            samples=options.samples,
            layers=options.layers,
            trace=options.trace,
            trace_cycles=options.trace_cycles,
            stall_seed=options.stall_seed,
            reset_cycle=options.reset_cycle,
            modified=options.modified,
            progress=None if quiet else line.show,
        )
    finally:
        line.close()
    if options.json:
        _print_json(result.to_json())
        return 0 if result.equal else 1
    for text in result.differences:
        print(text)
    print(f"{result.samples} images simulated, {result.mismatches} mismatching words")
    if result.vectors:
        print(
            f"{result.vectors} vectors of the bundle, {result.vector_mismatches} mismatching words"
        )
    print(f"{result.cycles_per_sample} cycles per image, latency {result.latency_cycles} cycles")
    for layer in result.layers:
        print(
            f"  {layer['layer']}: {layer['utilisation']:.4f} of its multipliers' cycles used, "
            f"the order of the sums allows {layer['utilisation_bound']:.4f}"
        )
    for layer in result.compared:
        print(
            f"  {layer['layer']}: {layer['words']} words per image compared, "
            f"{layer['mismatches']} mismatches"
        )
    first = result.first_difference
    if first is not None:
        step = f" (step {first['step']} of {first['steps']})" if first["steps"] > 1 else ""
        print(
            f"first difference: image {first['image']}, layer '{first['layer']}'{step}, index "
            f"{first['index']} {tuple(first['coordinates'])}: hardware {first['hardware']:08x}, "
            f"software {first['software']:08x}"
        )
    if result.traced_cycles:
        print(f"{result.traced_cycles} cycles in {options.trace}")
    return 0 if result.equal else 1


def _prove(options: Any) -> int:
    _warn_of_changes(options.design, options.modified)
    result = asnet_mlir.prove(
        options.design,
        against=options.against,
        ignored=options.ignore,
        seconds=options.seconds,
        modified=options.modified,
    )
    if options.json:
        _print_json(result.to_json())
        return 0 if result.proved else 1
    for link, places in zip(result.links, result.places, strict=True):
        one = link.claim
        where = f", {places} in the RTL" if places else ""
        print(
            f"{one.instance.label} (latency {one.latency}{where}) is {one.exact.core.name} of "
            f"a & {one.masks[0]:08x}, b & {one.masks[1]:08x}: {link.status} in {link.seconds:.3f} s"
        )
        if link.counterexample is not None:
            print(f"  {link.counterexample}")
        if link.reason:
            print(f"  {link.reason}")
    for label in result.unclaimed:
        print(f"{label}: claims to be no exact core behind masks")
    if result.not_covered:
        print(f"not covered: {result.not_covered}")
    return 0 if result.proved else 1


def _warn_of_changes(design: str, modified: bool) -> None:
    """Say which files of a bundle are not those that were generated, where that is no error."""
    from asnet_mlir.hardware.bundle.manifest import listed, verify_files

    if modified and Path(design).is_dir():
        changed = verify_files(design)
        if changed:
            text = f"{design}: changed since it was generated: {listed(changed)}"
            print(f"asnet: warning: {text}", file=sys.stderr)


def _completion(options: Any) -> None:
    print(shell_code(options.shell))


def _show_stage(text: str) -> None:
    print(f"{text} ..", file=sys.stderr, flush=True)


def _synth(options: Any) -> None:
    if options.clock is not None and options.activity is None:
        raise InputError("--clock is of the power that --activity asks for")
    _warn_of_changes(options.design, options.modified)
    result = asnet_mlir.synthesize(
        options.design,
        target=options.target,
        seed=options.seed,
        seeds=options.seeds,
        dsp=options.dsp,
        device=options.device,
        liberty=options.liberty,
        activity=options.activity,
        clock_mhz=100.0 if options.clock is None else options.clock,
        project=options.project,
        modified=options.modified,
        progress=_show_stage if sys.stderr.isatty() else None,
    )
    if options.json:
        _print_json(result)
        return
    if not result.get("tool_found", True):
        print(
            f"project written to {result['project']}; {result['tool']} was not found: run 'make' "
            "there, on a machine that has it"
        )
        return
    power = result.pop("power_watts", {})
    shown = result | {f"power_{name}": f"{watts:.3g} W" for name, watts in power.items()}
    print(", ".join(f"{key} {value}" for key, value in shown.items() if value is not None))


def _cache(options: Any) -> None:
    from asnet_mlir.support.cache import cache_use, clean_cache

    if options.days is not None and not options.clean:
        raise InputError("--days goes with --clean")
    result: dict[str, Any] = {}
    if options.clean:
        result["removed"], result["removed_bytes"] = clean_cache(options.days or 0.0)
    use = cache_use()
    kinds = {kind: {"entries": n, "bytes": size} for kind, (n, size) in use.kinds.items()}
    result |= {"place": str(use.place), "kinds": kinds, "leftovers": use.leftovers}
    result["limit"] = use.limit
    if options.json:
        _print_json(result)
        return
    if options.clean:
        print(f"removed {result['removed']} entries, {result['removed_bytes'] / 1e6:.1f} MB")
    print(f"{use.place} (ASNET_CACHE_DIR names another place)")
    for kind, (count, size) in use.kinds.items():
        print(f"  {kind}: {count} entries, {size / 1e6:.1f} MB")
    limit = "no limit" if use.limit is None else f"at most {use.limit / 1e6:.0f} MB"
    total = sum(size for _, size in use.kinds.values())
    print(f"  in all {total / 1e6:.1f} MB, {limit} (ASNET_CACHE_SIZE)")
    if use.leftovers:
        print(f"  {use.leftovers} left over from runs that were killed; --clean removes them")


def _cores_list(options: Any) -> None:
    from asnet_mlir.cores import library_cores
    from asnet_mlir.cores.simulation.simulation import port_widths

    cores = list(library_cores().values())
    widths = port_widths([core.instance() for core in cores])
    if options.json:
        _print_json(
            {
                "cores": [
                    {
                        "name": core.name,
                        "level": core.level,
                        "op": core.op,
                        "format": core.format,
                        "widths": {"a": width.a, "b": width.b, "result": width.result},
                        "signed": core.signed,
                        "exact": core.exact,
                        "latency_cycles": core.latency_cycles,
                        "initiation_interval": core.initiation_interval,
                        "summary": core.summary,
                        "parameters": {
                            p.name: {"low": p.low, "high": p.high, "default": p.default}
                            for p in core.parameters
                        },
                    }
                    for core, width in zip(cores, widths, strict=True)
                ]
            }
        )
        return
    rows = [("core", "level", "op", "format", "widths", "latency", "", "parameters", "summary")]
    for core, width in zip(cores, widths, strict=True):
        rows.append(
            (
                core.name,
                core.level,
                core.op or "-",
                core.format or "-",
                f"{width.a} x {width.b} -> {width.result}",
                str(core.latency_cycles),
                "exact" if core.exact else "",
                ", ".join(f"{p.name} {p.legal}" for p in core.parameters),
                core.summary,
            )
        )
    columns = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [f"{cell:{size}}" for cell, size in zip(row, columns, strict=True)]
        print("  ".join(cells).rstrip())


def _pairs(texts: Sequence[str], what: str) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or not value:
            raise InputError(f"{what} '{text}': write NAME=VALUE")
        if not text.isascii() and what == "--param":
            raise InputError(f"{what} '{text}': a parameter's value is written in ASCII digits")
        if key in pairs:
            raise InputError(f"{what} '{text}': {key} is given twice")
        pairs[key] = value
    return pairs


def _description(options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters, and what else `core_from_verilog` is told, of `cores ..`."""
    ports, parameters = _pairs(options.port, "--port"), _pairs(options.param, "--param")
    given = {
        "top": options.top,
        "ports": ports or None,
        "latency": _latency(options.latency),
        "interval": options.interval,
        "includes": tuple(options.include) or None,
        "level": options.level,
        "align": options.align,
        "format": options.format,
        "signed": options.signed,
    }
    for name, choices in (
        ("level", ("float", "significand", "integer")),
        ("align", ("right", "left")),
    ):
        if given[name] is not None and given[name] not in choices:
            raise InputError(f"--{name} '{given[name]}': one of {', '.join(choices)}")
    return parameters, {name: value for name, value in given.items() if value is not None}


def _instances(options: Any) -> list[Any]:
    """Return the instances that the arguments of `cores check|characterize` name."""
    from asnet_mlir.cores import core_from_verilog, parse_instance
    from asnet_mlir.cores.reading.table import core_from_table, is_table

    for name in ("jobs", "csv"):
        if getattr(options, name) is not None:
            raise InputError(f"--{name} is for --each")
    folder = next((name for name in options.core if Path(name).is_dir()), None)
    if folder is not None and not (Path(folder) / "core.toml").is_file():
        raise InputError(f"{folder}: is a folder; --each takes every file in it as a core")
    parameters, description = _description(options)
    if all(Path(name).suffix in (".v", ".sv") for name in options.core):
        # A parameter may decide the widths of the ports, so the values are given at once.
        core = core_from_verilog(options.core, op=options.op, parameters=parameters, **description)
        return [core.instance()]
    of_tables = ("level", "align", "format", "signed")
    if all(is_table(name) for name in options.core) and description.keys() <= set(of_tables):
        return [
            core_from_table(name, options.op, parameters, **description).instance()
            for name in options.core
        ]
    if description:
        flags = {"ports": "port", "includes": "include"}
        flag = flags.get(next(iter(description)), next(iter(description)))
        raise InputError(
            f"--{flag} describes Verilog files, but '{options.core[0]}' is "
            "not one (parameters of a file are given with --param)"
        )
    return [
        base.core.instance({**dict(base.parameters), **parameters})
        for base in (parse_instance(name, op=options.op) for name in options.core)
    ]


def _latency(text: str | None) -> int | str | None:
    """Return cycles, or the name of a parameter."""
    if text is None or re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII):
        return text
    if not re.fullmatch(r"[0-9]+", text, re.ASCII):
        raise InputError(f"--latency '{text}': give clock cycles or a parameter's name")
    return int(text)


def _strategy(options: Any) -> Any:
    from asnet_mlir.cores.models.model import Strategy

    names = get_args(Strategy)
    if options.strategy is not None and options.strategy not in names:
        raise InputError(f"--strategy '{options.strategy}': one of {', '.join(names)}")
    return options.strategy


def _cores_check(options: Any) -> int:
    from asnet_mlir.cores import check
    from asnet_mlir.cores.reading.table import is_table

    strategy = _strategy(options)
    c_model = None if options.model is None else _c_model(options.model)
    count = {} if options.vectors is None else {"random_vectors": options.vectors}
    if options.vectors is not None and not 0 <= options.vectors <= 1 << 32:
        raise InputError(f"--vectors must be from 0 to {1 << 32}, not {options.vectors}")
    if options.seed < 0:
        raise InputError(f"--seed must not be negative, but is {options.seed}")
    if options.each:
        if options.model is not None:
            raise InputError("--model is for one core at a time, not for --each")
        return _cores_each(options, "check", vectors=options.vectors)
    instances = _instances(options)
    if c_model is not None and len(instances) != 1:
        raise InputError("--model is for one core at a time")
    reports = check(instances, seed=options.seed, strategy=strategy, **count)
    values = [report.to_json() for report in reports]
    passed = all(report.passed for report in reports)
    lines = [report.summary() for report in reports]
    for number, instance in enumerate(instances):
        if is_table(instance.core.path or ""):
            lines[number] += f"\n  {instance.core.summary}"
            values[number]["table"] = instance.core.summary
    if c_model is not None:
        from asnet_mlir.cores.checks.c_model import check_c_model

        found = check_c_model(instances[0], *c_model)
        values[0]["c_model"] = found.to_json()
        passed &= found.passed
        lines.append(found.summary())
    if options.json:
        _print_json(values[0] if len(values) == 1 else {"reports": values})
    else:
        print("\n".join(lines))
    return 0 if passed else 1


def _c_model(text: str) -> tuple[str, str | None]:
    """Split `FILE.c[:FUNCTION]`."""
    file, colon, function = text.rpartition(":")
    if not colon or Path(text).exists():
        return text, None
    if not re.fullmatch(r"[A-Za-z_]\w*", function, re.ASCII):
        raise InputError(f"--model '{text}': write FILE.c or FILE.c:FUNCTION")
    return file, function


def _cores_characterize(options: Any) -> int:
    from asnet_mlir.cores.metrics.characterize import characterize, error_map
    from asnet_mlir.cores.metrics.subject import Histogram
    from asnet_mlir.evaluation.operand_samples import operand_samples

    strategy = _strategy(options)
    chosen = [
        f"--{name}"
        for name in ("distribution", "operands", "network")
        if getattr(options, name) is not None
    ]
    if len(chosen) > 1:
        raise InputError(f"give one of {' and '.join(chosen)}, not both")
    for name, needed in (("data", "network"), ("layer", "network"), ("weights", "network")):
        if getattr(options, name) is not None and getattr(options, needed) is None:
            raise InputError(f"--{name} is for --{needed}")
    if options.network is not None and options.data is None:
        raise InputError("--network needs --data: what the network runs on")
    samples = options.samples
    if samples not in (None, "all"):
        if not re.fullmatch(r"[0-9]+", samples, re.ASCII):
            raise InputError(f"--samples '{samples}': give a number or 'all'")
        samples = int(samples)
    if options.each:
        for name in ("operands", "network", "output"):
            if getattr(options, name) is not None:
                raise InputError(f"--{name} is for one core at a time, not for --each")
        chosen_way = {"distribution": options.distribution, "samples": samples}
        return _cores_each(options, "characterize", threads=options.threads, **chosen_way)
    instances = _instances(options)
    if len(instances) != 1:
        raise InputError("characterizes one core at a time (several Verilog files are one core)")
    instance = instances[0]
    distribution: Any = options.distribution
    if options.operands is not None:
        distribution = Histogram.load(options.operands)
    if options.network is not None:
        if samples == "all":
            raise InputError("--samples all: a network's operands are drawn; give a number")
        count = {} if samples is None else {"samples": samples}
        distribution = operand_samples(
            _model(options.network, options.weights),
            options.data,
            instance.core.op,
            options.layer,
            seed=options.seed,
            **count,
        )
        samples = None
    arguments = {
        "distribution": distribution,
        "seed": options.seed,
        "strategy": strategy,
        "overflow": options.overflow,
    }
    found = characterize(instance, samples=samples, threads=options.threads, **arguments)
    if options.output is not None:
        from asnet_mlir.reports import plot_errors

        _write_new(f"{options.output}.json", json.dumps(found.to_json(), indent=2) + "\n")
        plot_errors(found, error_map(instance, **arguments), Path(f"{options.output}.png"))
    if options.json:
        _print_json(found.to_json())
    else:
        print(found.summary())
    return 0


def _cores_each(options: Any, verb: Any, **rest: Any) -> int:
    """Check or characterize every file; the status is 1 where one did not pass."""
    from asnet_mlir.cores import each
    from asnet_mlir.support.progress import ProgressLine, duration

    parameters, description = _description(options)
    request = each.Request(
        verb,
        options.op,
        parameters,
        description,
        seed=options.seed,
        strategy=_strategy(options),
        **rest,
    )
    files = each.find(options.core)
    line = ProgressLine()
    start = time.monotonic()
    done = 0

    def told(row: Any) -> None:
        nonlocal done
        done += 1
        left = (time.monotonic() - start) / done * (len(files) - done)
        line.show(f"{done} of {len(files)} cores, about {duration(left)} left", done == len(files))

    try:
        rows = each.run(files, request, jobs=options.jobs, progress=told)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted after {done} of {len(files)} cores; the same command goes on"
        ) from None
    finally:
        line.close()
    if options.csv is not None:
        _write_new(options.csv, each.to_csv(rows))
    if options.json:
        _print_json({"cores": [row.to_json() for row in rows]})
    else:
        print(each.table(rows))
    return 0 if all(row.status == "pass" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
