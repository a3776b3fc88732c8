# SPDX-License-Identifier: Apache-2.0
"""`asnet cores check`: a core against its contract."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from asnet_mlir.cli.arguments import Verbs, add_verb, integer
from asnet_mlir.cli.cores_arguments import core_arguments, instances_of, run_each, strategy_of
from asnet_mlir.cli.printing import print_json
from asnet_mlir.errors import InputError

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(verbs, "check", run, "check a core against its contract", core_arguments())
    command.add_argument("--vectors", type=integer, metavar="N", help="random operand pairs")
    command.add_argument(
        "--model", metavar="FILE.c[:FUNCTION]", help="a C model to check against the Verilog"
    )


def run(options: Any) -> int:
    """Carry the verb out; the status is 1 where something failed."""
    from asnet_mlir.cores import check
    from asnet_mlir.cores.reading.table import is_table

    strategy = strategy_of(options)
    c_model = None if options.model is None else _c_model(options.model)
    count = {} if options.vectors is None else {"random_vectors": options.vectors}
    if options.vectors is not None and not 0 <= options.vectors <= 1 << 32:
        raise InputError(f"--vectors must be from 0 to {1 << 32}, not {options.vectors}")
    if options.seed < 0:
        raise InputError(f"--seed must not be negative, but is {options.seed}")
    if options.each:
        if options.model is not None:
            raise InputError("--model is for one core at a time, not for --each")
        return run_each(options, "check", vectors=options.vectors)
    instances = instances_of(options)
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
        print_json(values[0] if len(values) == 1 else {"reports": values})
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
