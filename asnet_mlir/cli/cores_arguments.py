# SPDX-License-Identifier: Apache-2.0
"""What `asnet cores check` and `asnet cores characterize` share."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from asnet_mlir.cli.arguments import Parser, integer
from asnet_mlir.cli.printing import print_json, write_new
from asnet_mlir.errors import InputError

__all__ = ["core_arguments", "description_of", "instances_of", "run_each", "strategy_of"]


def core_arguments() -> Parser:
    """Return the arguments that name cores and describe those given as files."""
    which = Parser(add_help=False)
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
    which.add_argument("--seed", type=integer, default=0, metavar="N", help="of random operands")
    several = which.add_argument_group("for many cores at once")
    several.add_argument(
        "--each",
        action="store_true",
        help="every file named or below a folder is a core by itself; prints a table, and goes on "
        "where it was interrupted",
    )
    several.add_argument(
        "--jobs", type=integer, metavar="N", help="side by side; by default one for each processor"
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
        "--interval", type=integer, metavar="N", help="cycles for which operands are held"
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
    return which


def strategy_of(options: Any) -> Any:
    from asnet_mlir.cores.models.model import Strategy

    names = get_args(Strategy)
    if options.strategy is not None and options.strategy not in names:
        raise InputError(f"--strategy '{options.strategy}': one of {', '.join(names)}")
    return options.strategy


def instances_of(options: Any) -> list[Any]:
    """Return the instances that the arguments of `cores check|characterize` name."""
    from asnet_mlir.cores import core_from_verilog, parse_instance
    from asnet_mlir.cores.reading.table import core_from_table, is_table

    for name in ("jobs", "csv"):
        if getattr(options, name) is not None:
            raise InputError(f"--{name} is for --each")
    folder = next((name for name in options.core if Path(name).is_dir()), None)
    if folder is not None and not (Path(folder) / "core.toml").is_file():
        raise InputError(f"{folder}: is a folder; --each takes every file in it as a core")
    parameters, description = description_of(options)
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


def run_each(options: Any, verb: Any, **rest: Any) -> int:
    """Check or characterize every file; the status is 1 where one did not pass."""
    from asnet_mlir.cores import each
    from asnet_mlir.support.progress import ProgressLine, duration

    parameters, description = description_of(options)
    request = each.Request(
        verb,
        options.op,
        parameters,
        description,
        seed=options.seed,
        strategy=strategy_of(options),
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
        write_new(options.csv, each.to_csv(rows))
    if options.json:
        print_json({"cores": [row.to_json() for row in rows]})
    else:
        print(each.table(rows))
    return 0 if all(row.status == "pass" for row in rows) else 1


def description_of(options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
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


def _latency(text: str | None) -> int | str | None:
    """Return cycles, or the name of a parameter."""
    if text is None or re.fullmatch(r"[A-Za-z_]\w*", text, re.ASCII):
        return text
    if not re.fullmatch(r"[0-9]+", text, re.ASCII):
        raise InputError(f"--latency '{text}': give clock cycles or a parameter's name")
    return int(text)
