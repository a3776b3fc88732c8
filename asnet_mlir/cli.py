"""The command line: `asnet VERB ...`.

Exit status 0: done; 1: a failure, a mismatch in `simulate` or `cores check` included; 2: bad input.
With `--json`, standard output holds one JSON object and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import asnet_mlir
from asnet_mlir.errors import AsnetError, InputError

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see '{self.prog} --help')")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    # JAX probes for accelerators and says so; results are the same on any of them.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parser().parse_args(arguments)
        return options.run(options) or 0
    except AsnetError as error:
        if debug:
            raise
        print(f"asnet: error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("asnet: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a full disk, a folder without permission
        if debug:
            raise
        print(f"asnet: error: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        if debug:
            raise
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        print(f"asnet: internal error: {text} (--debug shows where)", file=sys.stderr)
        return 1


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
        metavar="OP[@LAYER]=CORE[:P=20,M=3]",
        help="compute ops of a kind by a core; may be repeated",
    )
    bound.add_argument("--binding", metavar="FILE.json", help="a saved binding")

    def verb(name: str, run: Callable[[Any], int | None], help: str, *parents: Any) -> Any:
        command = verbs.add_parser(name, help=help, description=help, parents=[common, *parents])
        command.set_defaults(run=run)
        return command

    command = verb("compile", _compile, "print a stage of the compiler", bound)
    command.add_argument("model", metavar="MODEL")
    command.add_argument("--emit", default="bound", metavar="STAGE")
    command.add_argument("--batch", type=int, default=1, help="samples in a call")
    command.add_argument("-o", "--output", metavar="FILE")

    command = verb("evaluate", _evaluate, "accuracy of one configuration", bound)
    command.add_argument("model", metavar="MODEL")
    command.add_argument("--data", required=True, metavar="DATA")
    command.add_argument("--threads", type=int, metavar="N")

    command = verb("explore", _explore, "accuracy of every configuration of a design space")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("--data", required=True, metavar="DATA")
    command.add_argument("--constraints", required=True, metavar="FILE.json")
    command.add_argument("--store", metavar="FILE.sqlite", help="keep results; continue a sweep")
    command.add_argument("--axes", action="store_true", help="approximate one op kind at a time")
    command.add_argument("--choose", metavar="'accuracy>=0.9'", help="pick a configuration")
    command.add_argument("--save", metavar="FILE.json", help="where the chosen binding goes")
    command.add_argument("--plot", metavar="FILE.png", help="draw accuracy against parameters")
    command.add_argument("--threads", type=int, metavar="N")

    command = verb("generate", _generate, "the network as a bundle of SystemVerilog", bound)
    command.add_argument("model", metavar="MODEL")
    command.add_argument("-o", "--output", required=True, metavar="DIR")
    command.add_argument("--force", action="store_true", help="replace an existing folder")

    command = verb("simulate", _simulate, "run a bundle in Verilator and compare every word")
    command.add_argument("bundle", metavar="DIR")
    command.add_argument("--data", required=True, metavar="DATA")
    command.add_argument("-n", "--samples", type=int, metavar="N", help="the first N samples")

    command = verb("synth", _synth, "area and clock frequency of a bundle or a core")
    command.add_argument("design", metavar="DIR|CORE[:P=20]")
    command.add_argument("--target", default="ecp5", metavar="TARGET")
    command.add_argument("--seed", type=int, default=1, help="of place and route")
    command.add_argument("--dsp", action="store_true", help="allow DSP blocks")

    cores = verbs.add_parser("cores", help="list or check cores", description="list or check cores")
    core_verbs = cores.add_subparsers(dest="core_verb", required=True, metavar="VERB")
    command = core_verbs.add_parser("list", help="the library's cores", parents=[common])
    command.set_defaults(run=_cores_list)
    command = core_verbs.add_parser(
        "check", help="check a core against its contract", parents=[common]
    )
    command.set_defaults(run=_cores_check)
    command.add_argument("core", nargs="+", metavar="CORE[:P=20]|FILE.v")
    command.add_argument("--top", metavar="M")
    command.add_argument("--op", metavar="OP")
    command.add_argument("--port", action="append", default=[], metavar="ROLE=NAME")
    command.add_argument("--param", action="append", default=[], metavar="P=20")
    command.add_argument("--latency", type=int, metavar="CYCLES")
    return parser


def _binding(options: Any) -> Any:
    from asnet_mlir.binding import Binding

    if options.bind and options.binding is not None:
        raise InputError("give either --bind or --binding, not both")
    if options.binding is not None:
        return Binding.load(options.binding)
    return Binding.parse(options.bind)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def _write_new(path: str, text: str) -> None:
    try:
        Path(path).write_text(text)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def _compile(options: Any) -> None:
    if options.batch < 1:
        raise InputError(f"--batch must be at least 1, not {options.batch}")
    text = asnet_mlir.compile(options.model, options.emit, _binding(options), batch=options.batch)
    if options.output:
        _write_new(options.output, text)
    elif options.json:
        _print_json({"stage": options.emit, "text": text})
    else:
        print(text)


def _evaluate(options: Any) -> None:
    result = asnet_mlir.evaluate(
        options.model, options.data, _binding(options), threads=options.threads
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
    from asnet_mlir.exploration.explore import progress_line
    from asnet_mlir.reports import accuracy_table, plot_accuracy

    if options.store == "":
        raise InputError("--store needs a file name")
    if options.save and not options.choose:
        raise InputError("--save needs --choose: it saves the chosen binding")
    exploration = asnet_mlir.explore(
        options.model,
        options.data,
        options.constraints,
        store=options.store,
        only_axes=options.axes,
        threads=options.threads,
        progress=progress_line,
    )
    chosen = choose(exploration, options.choose) if options.choose else None
    if chosen and options.save:
        _write_new(options.save, json.dumps(chosen.binding.to_json(), indent=2) + "\n")
    if options.plot:
        plot_accuracy(exploration, Path(options.plot))
    if options.json:
        _print_json(exploration.to_json() | ({"chosen": chosen.to_json()} if chosen else {}))
        return
    print(accuracy_table(exploration))
    print(
        f"{len(exploration.results)} configurations ({exploration.evaluated} run) on "
        f"{exploration.samples} samples in {exploration.seconds:.1f} s"
    )
    if chosen:
        print(
            f"chosen for {options.choose}: {chosen.binding.label}, accuracy {chosen.accuracy:.4f}"
        )


def _generate(options: Any) -> None:
    manifest = asnet_mlir.generate(
        options.model, _binding(options), output=options.output, force=options.force
    )
    if options.json:
        _print_json(manifest)
        return
    print(f"bundle written to {options.output}")


def _simulate(options: Any) -> int:
    result = asnet_mlir.simulate(options.bundle, options.data, samples=options.samples)
    if options.json:
        _print_json(result.to_json())
    else:
        for line in result.differences:
            print(line)
        print(f"{result.samples} images simulated, {result.mismatches} mismatching words")
        print(
            f"{result.cycles_per_sample} cycles per image, latency {result.latency_cycles} cycles"
        )
    return 1 if result.mismatches else 0


def _synth(options: Any) -> None:
    result = asnet_mlir.synthesize(
        options.design, target=options.target, seed=options.seed, dsp=options.dsp
    )
    if options.json:
        _print_json(result)
        return
    print(", ".join(f"{key} {value}" for key, value in result.items() if value is not None))


def _cores_list(options: Any) -> None:
    from asnet_mlir.cores import library_cores

    cores = library_cores().values()
    if options.json:
        _print_json(
            {
                "cores": [
                    {
                        "name": core.name,
                        "op": core.op,
                        "exact": core.exact,
                        "summary": core.summary,
                        "parameters": {
                            p.name: {"low": p.low, "high": p.high, "default": p.default}
                            for p in core.parameters
                        },
                    }
                    for core in cores
                ]
            }
        )
        return
    for core in cores:
        ranges = ", ".join(f"{p.name} {p.low}..{p.high}" for p in core.parameters)
        exact = "exact" if core.exact else ""
        print(f"{core.name:12} {core.op:5} {exact:6} {ranges:28} {core.summary}")


def _pairs(texts: Sequence[str], what: str) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or not value:
            raise InputError(f"{what} '{text}': write NAME=VALUE")
        pairs[key] = value
    return pairs


def _cores_check(options: Any) -> int:
    from asnet_mlir.cores import check, core_from_verilog, parse_instance

    ports, parameters = _pairs(options.port, "--port"), _pairs(options.param, "--param")
    if all(Path(name).suffix in (".v", ".sv") for name in options.core):
        core = core_from_verilog(
            options.core, top=options.top, op=options.op, ports=ports, latency=options.latency
        )
        instances = [core.instance(parameters)]
    else:
        instances = [
            base.core.instance({**dict(base.parameters), **parameters})
            for base in (parse_instance(name, op=options.op) for name in options.core)
        ]
    reports = check(instances)
    if options.json:
        values = [report.to_json() for report in reports]
        _print_json(values[0] if len(values) == 1 else {"reports": values})
    else:
        for report in reports:
            print(report.summary())
    return 0 if all(report.status == "pass" for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
