# SPDX-License-Identifier: Apache-2.0
"""A table of cores: what they are, that they pass their check, how wrong and how fast they are.

    make cores-table       (or: python benchmarks/cores_table.py [--repeat R])

Takes the library's cores at parameters of interest and all of examples/cores through import,
check, characterization and model, and writes docs/cores.md.  A cell that could not be made says so,
and the exit status is 1 then.  Speeds are measured at the end, in one thread, all models in turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import host

ROOT = Path(__file__).resolve().parent.parent
# Pairs whose operands and results stay in the second-level cache.
PAIRS = 1 << 14


class Case(NamedTuple):
    """A row: what it shows; a library core or files of examples/cores and their description."""

    shows: str
    core: str
    options: Mapping[str, Any] = MappingProxyType({})
    parameters: Mapping[str, int] = MappingProxyType({})


CASES = [
    Case("exact, IEEE 754", "fmul"),
    Case("exact, subnormals flushed", "fmul:FLUSH=1"),
    Case("exact, one 24 x 24 product", "fmul_dsp"),
    Case("exact adder", "fadd"),
    Case("exact divider", "fdiv"),
    Case("ignores 12 fraction bits", "fmul_trunc:P=12"),
    Case("ignores 20 fraction bits", "fmul_trunc:P=20"),
    Case("divider that ignores 20 fraction bits", "fdiv_trunc:P=20"),
    Case("pipeline of 7 stages", "fmul_trunc:P=12,LATENCY=7"),
    Case("DRUM on significands", "fmul_drum:K=6"),
    Case("logarithmic (Mitchell)", "examples/user_core/fmul_log.v", {"op": "mulf"}),
    Case("flushes subnormals, written by hand", "fmul_flush.v", {"op": "mulf"}),
    Case("SystemVerilog package", "fmul_package.sv", {"op": "mulf"}),
    Case("3,130 gates as significand unit", "mul24_gates.v", {"op": "mulf"}),
    Case("16 x 16 gates as significand unit", "mul16_pruned.v", {"op": "mulf"}),
    Case("8 x 8 gates in bfloat16", "mul8_pruned.v", {"op": "mulf", "format": "bf16"}),
    Case(
        "32 x 32 as significand unit, 20 bits ignored",
        "mul32_low_cut.v",
        {"op": "mulf", "align": "left"},
        {"CUT": 20},
    ),
    Case("8 x 8 gates", "mul8_pruned.v", {"op": "muli"}),
    Case("16 x 16 gates", "mul16_pruned.v", {"op": "muli"}),
    Case("24 x 24 gates", "mul24_gates.v", {"op": "muli"}),
    Case("32 x 32", "mul32_low_cut.v", {"op": "muli"}),
    Case("signed 8 x 8, Booth", "booth8_signed.v", {"op": "muli"}),
    Case("DRUM 16 x 16, k = 6", "drum:N=16,K=6"),
    Case("Mitchell 16 x 16", "mitchell"),
    Case("broken array 8 x 8", "bam:N=8,VBL=6,HBL=2"),
    Case("lower-part OR adder", "loa:N=16,K=8"),
    Case("6 columns cut off, their mean added", "truncated:N=8,CUT=6"),
    Case("6 columns cut off, signed", "truncated:N=8,CUT=6,SIGNED=1"),
    Case("without its first two rows", "perforated:N=8,K=2"),
    Case("4:2 compressors of Momeni in 8 columns", "compressor42:N=8"),
    Case("4:2 compressors of Venkatachalam in 8 columns", "compressor42:N=8,DESIGN=2"),
    Case("4:2 compressors of Yang in all columns", "compressor42:N=8,COLUMNS=16,DESIGN=3"),
    Case("4:2 compressors of Lin in all columns", "compressor42:N=8,COLUMNS=16,DESIGN=4"),
    Case("2 x 2 blocks of Kulkarni", "kulkarni:N=8"),
    Case("8 of 16 bits from two places", "ssm:N=16,K=8"),
    Case("8 of 16 bits from three places", "ssm:N=16,K=8,EXTENDED=1"),
    Case("rounded to powers of two (RoBA)", "roba:N=8"),
    Case("rounded to powers of two, signed", "roba:N=8,SIGNED=1"),
    Case("logarithmic without bias (MBM)", "mbm:N=16"),
    Case("leading ones, one correction", "ilm:N=8,CORRECTIONS=1"),
    Case("24 x 24 as significand unit, MBM", "mbm:N=24", {"op": "mulf"}),
    Case("low part set from a common one on (ETA I)", "eta1:N=16,K=8"),
    Case("sub-adders of 8 bits (GeAr)", "gear:N=16,R=4,P=4"),
    Case("almost correct adder (ACA)", "gear:N=16,R=1,P=6"),
    Case("carry chain in two parts", "carry_cut:N=16,K=8"),
    Case("divider by logarithms (Mitchell)", "mitchell_div:N=16"),
    Case("exact subtractor", "fsub"),
    Case("exact maximum", "fmax"),
    Case("exact minimum", "fmin"),
    Case("adder that ignores 12 fraction bits", "fadd_trunc:P=12"),
    Case("circuit 20 of the library on significands", "fmul_library:M=20"),
    Case("circuit 20 of the library", "mul24_library:M=20"),
    Case("exact, signed", "imul:N=8,SIGNED=1"),
    Case("exact adder of 32 bits", "accumulator"),
    Case("evolved", "mul8u_evolved:M=45"),
    Case("evolved, signed", "mul8s_evolved:M=21"),
    Case("evolved, 12 x 12", "mul12u_evolved:M=4"),
    Case("evolved, 16 x 16", "mul16u_evolved:M=4"),
    Case("evolved, signed 16 x 16", "mul16s_evolved:M=4"),
    Case("evolved adder of 8 bits", "add8u_evolved:M=3"),
    Case("evolved adder of 12 bits", "add12u_evolved:M=3"),
    Case("evolved adder of 16 bits", "add16u_evolved:M=3"),
    Case("evolved adder of 32 bits", "add32u_evolved:M=3"),
    Case("pipeline, enable, reset active at 0", "mul16_enabled.v", {"op": "muli"}),
    Case("iterative, start and done", "div16_restoring.v", {"op": "divi"}),
    Case("iterative, a result every 4 cycles", "mul16_serial.v", {"op": "muli", "interval": 4}),
    Case(
        "two files, include folder, fixed point",
        "fixed_mul/fixed_mul.v fixed_mul/saturate.v",
        {"includes": ("fixed_mul/include",)},
    ),
]

HEADER = [
    *("core", "what it shows", "op", "operands", "strategy", "check", "pairs", "latency"),
    *("EP [%]", "mean error", "worst error", "M evaluations/s"),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=101, help="of each speed measurement")
    parser.add_argument("--only", metavar="TEXT", help="rows whose core has TEXT in its name")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "cores.md")
    options = parser.parse_args()
    cases = [case for case in CASES if not options.only or options.only in case.core]
    rows = []
    for case in cases:
        start = time.perf_counter()
        rows.append(_row(case))
        print(f"{rows[-1]['core']}: {time.perf_counter() - start:.1f} s", file=sys.stderr)
    machine = host.describe()
    _measure(rows, options.repeat)
    options.output.write_text(_page(rows, machine))
    print(f"wrote {options.output}")
    failures = [f"{row['core']}: {failure}" for row in rows for failure in row["failures"]]
    print(*failures, sep="\n", file=sys.stderr)
    return 1 if failures else 0


def _row(case: Case) -> dict[str, Any]:
    """Return the cells of a row; those that fail hold why."""
    from asnet_mlir.cores import check, derive_models
    from asnet_mlir.cores.metrics.characterize import characterize
    from asnet_mlir.cores.simulation.simulation import port_widths

    row: dict[str, Any] = dict.fromkeys(HEADER, "-")
    row |= {"core": case.core, "what it shows": case.shows, "failures": []}
    try:
        instance = _instance(case)
        core = instance.core
        widths = port_widths([instance])[0]
        row["core"] = f"`{instance.label}`"
        row["op"] = core.op or "-"
        sign = "signed " if core.signed else ""
        row["operands"] = core.format or f"{sign}{widths.a} x {widths.b} → {widths.result}"
        row["latency"] = str(instance.latency)
        if instance.interval > 1:
            row["latency"] += f", interval {instance.interval}"
        report = check([instance])[0]
        row["check"], row["pairs"] = report.status, f"{report.vectors:,}"
        row["strategy"] = report.strategy or "-"
        row["failures"] += report.failures
        row["model"] = derive_models({"f": instance})["f"]
        row["strategy"] = row["model"].strategy
        if core.op is not None and report.passed:
            found = characterize(instance, checked=True)
            _fill_metrics(row, found)
    except Exception as error:  # a table with a hole is better than none
        text = " ".join(str(error).split())
        row["failures"].append(text)
        row["check"] = f"{row['check']}: {text[:80]}".removeprefix("-: ")
    return row


def _instance(case: Case) -> Any:
    from asnet_mlir.cores import core_from_verilog, parse_instance

    if not case.core.endswith((".v", ".sv")):
        return parse_instance(case.core, op=case.options.get("op"))
    examples = ROOT / "examples" / "cores"
    files = [
        ROOT / f if "/" in f and (ROOT / f).is_file() else examples / f for f in case.core.split()
    ]
    options = dict(case.options)
    if "includes" in options:
        options["includes"] = [examples / folder for folder in options["includes"]]
    return core_from_verilog(files, **options).instance(case.parameters)


def _fill_metrics(row: dict[str, Any], found: Any) -> None:
    metrics, percent = found.metrics, found.percent

    def number(value: float | None, digits: int = 3) -> str:
        return "not finite" if value is None else f"{value:.{digits}g}"

    row["EP [%]"] = number(percent["EP"], 4)
    if found.kind == "float":
        row["mean error"] = f"MRE {number(percent['MRE'])} %"
        row["worst error"] = f"WCRE {number(percent['WCRE'])} %"
    else:
        row["mean error"] = f"MAE {number(metrics['MAE'])} ({number(percent['MAE'])} %)"
        row["worst error"] = f"WCE {metrics['WCE']:,} ({number(percent['WCE'])} %)"


def _measure(rows: list[dict[str, Any]], repeat: int) -> None:
    """Fill in speeds: the median of all repetitions, in turn, and the best."""
    import numpy as np

    from asnet_mlir.cores.models.kernel import compile_elementwise

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    runs: dict[int, Any] = {}
    for index, row in enumerate(rows):
        if "model" not in row:
            continue
        kernel = compile_elementwise({"f": row["model"]})
        dtypes = kernel.dtypes("f")
        a, b = host.operands(dtypes, PAIRS)
        runs[index] = kernel.prepared("f", a, b, np.empty(PAIRS, dtypes[2]))
        runs[index]()
    times: dict[int, list[float]] = {index: [] for index in runs}
    for repetition in range(repeat):
        for index, run in runs.items():
            if rows[index]["strategy"] == "simulated" and repetition % 20:
                continue
            start = time.perf_counter()
            run()
            times[index].append(time.perf_counter() - start)
    for index, seconds in times.items():
        median, best = (PAIRS / value / 1e6 for value in (statistics.median(seconds), min(seconds)))
        rows[index]["M evaluations/s"] = (
            f"{median:,.3g} (best {best:,.3g})"
            if median < 100
            else (f"{median:,.0f} (best {best:,.0f})")
        )


def _page(rows: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    lines = [
        "# Cores",
        "",
        "Written by `make cores-table` (`benchmarks/cores_table.py`). Each row is Verilog that was "
        "imported, checked against two simulators, characterized "
        "([what the figures mean](characterization.md)) and turned into a model, all of it by its "
        "file alone.",
        "",
        "Operand pairs are those of the check: exhaustive, or random and corner values. Errors are "
        "over all operands where these have at most 32 bits together and the model is not a "
        "simulation, over a million uniform pairs for other integers, over four million *typical* "
        "pairs for floats. Speeds are the median of a model's evaluations a second in one thread, "
        "and the best, on arrays in the second-level cache "
        f"({machine['machine']}, {_vectors()}, load average {machine['load_average_at_start']} at "
        "the start).",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|" + "---|" * len(HEADER),
    ]
    for row in rows:
        cells = [str(row[name]).replace("|", "\\|") for name in HEADER]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _vectors() -> str:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    return "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"


if __name__ == "__main__":
    sys.exit(main())
