# SPDX-License-Identifier: Apache-2.0
"""Write docs/benchmarks.md from benchmarks/results/*.json: `make benchmarks-table`, or

python benchmarks/benchmarks_table.py [--check]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import host

_SCALING = "../benchmarks/results/scaling.png"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def load(name: str) -> dict[str, Any] | None:
    path = host.RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail where the page is stale")
    options = parser.parse_args()
    text = "\n".join(lines()).rstrip() + "\n"
    if options.check:
        if not PAGE.is_file() or PAGE.read_text() != text:
            sys.exit(f"{PAGE} is stale: run 'make benchmarks-table'")
        return
    PAGE.write_text(text)


def lines() -> Iterator[str]:
    yield "# Benchmarks"
    yield ""
    yield "Written by `make benchmarks-table` from `benchmarks/results`, which `make bench` makes."
    yield "Ratios are medians of pairs measured in turn in one process."
    yield ""
    if xla := load("evaluate_against_xla"):
        yield from against_xla(xla)
    if eight_bits := load("eight_bits_speed"):
        yield from in_eight_bits(eight_bits)
    if gates := load("gates_in_networks"):
        yield from in_networks(gates)
    if sweeps := load("sweeps"):
        yield from of_sweeps(sweeps)
    if exactness := load("exactness"):
        yield from of_exactness(exactness)


def stated(report: dict[str, Any]) -> str:
    load_average = report.get("load_average_at_start", 0.0)
    busy = f", load average {load_average} at the start" if load_average else ""
    return f"{report.get('machine', '')}, {report.get('cores', '?')} cores{busy}."


def against_xla(report: dict[str, Any]) -> Iterator[str]:
    yield "## One configuration against the exact network in XLA"
    yield ""
    yield f"`{report['binding']}`, {report['threads']} threads each, {report['repeat']} pairs. "
    yield stated(report)
    yield ""
    yield (
        "| network | images | `jax.jit`, exact | asnet-mlir, exact | approximate | ratio | "
        "quartiles |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name, entry in report["networks"].items():
        rows = entry["rows"]
        times = [
            f"{rows[label]['milliseconds']['median']:.1f} ms"
            for label in ("jax.jit", "exact", "approximate")
        ]
        ratio = rows["approximate"]["ratio_to_jax"]
        low, high = ratio["quartiles"]
        yield (
            f"| {name} | {entry['samples']:,} | {' | '.join(times)} | **{ratio['median']:.3f}** | "
            f"{low:.3f} .. {high:.3f} |"
        )
    yield ""


def in_eight_bits(report: dict[str, Any]) -> Iterator[str]:
    yield "## Eight bits against the exact float network in XLA"
    yield ""
    yield (
        f"`make bench-eight-bits`, {report['threads']} threads each, {report['repeat']} pairs: the "
        "quantised network, exact and under cores, against float in `jax.jit`. " + stated(report)
    )
    yield ""
    first = next(iter(report["networks"].values()))["rows"]
    labels = [label for label in first if label != "jax"]
    yield f"| network | images | float, `jax.jit` | {' | '.join(labels)} |"
    yield "|---" * (3 + len(labels)) + "|"
    for name, entry in report["networks"].items():
        rows = entry["rows"]
        ratios = [f"**{rows[label]['ratio_to_jax']['median']:.3f}**" for label in labels]
        theirs = rows["jax"]["milliseconds"]["median"]
        yield f"| {name} | {entry['samples']:,} | {theirs:.1f} ms | {' | '.join(ratios)} |"
    changes = [
        seconds
        for entry in report["networks"].values()
        for seconds in entry["seconds_to_change_the_binding"].values()
    ]
    yield ""
    yield f"Another binding, cores known: at most {1e3 * max(changes):.1f} ms a network."
    yield ""
    yield "Convolutions of ResNet-8 alone, billions of products a second:"
    yield ""
    ways = list(report["layers"][0]["products_per_second"])
    threads = report["layers"][0]["threads"]
    yield f"| layer | {' | '.join(ways)} |"
    yield "|---" * (1 + len(ways)) + "|"
    for entry in report["layers"]:
        rates = entry["products_per_second"]
        yield f"| {entry['layer']} | {' | '.join(f'{rates[way] / 1e9:.0f}' for way in ways)} |"
    yield ""
    yield (
        f"Ours on {threads['ours']} thread, XLA and ONNX Runtime (`ConvInteger`) on "
        f"{threads['xla']}."
    )
    yield ""


def in_networks(report: dict[str, Any]) -> Iterator[str]:
    yield "## 24 x 24 gates in every multiplication"
    yield ""
    yield stated(report)
    yield ""
    yield "| network | images | ratio to exact `jax.jit` |"
    yield "|---|---|---|"
    for name, entry in report["networks"].items():
        yield f"| {name} | {entry['samples']:,} | **{entry['ratio_to_jax']['median']:.1f}** |"
    yield ""


def of_sweeps(report: dict[str, Any]) -> Iterator[str]:
    cases = report["cases"]
    yield "## Sweeps, compilation, memory"
    yield ""
    yield "Each in a fresh process with an empty cache of native code. " + stated(report)
    yield ""
    yield "| what | configurations | images each | seconds |"
    yield "|---|---|---|---|"
    for case, name in (
        ("figure 3a", "Fig. 3(a): multipliers and dividers, classification_mnist"),
        ("figure 4a", "Fig. 4(a): the same, convolutional_svhn"),
        ("product", "23 x 23 product and exact ones, classification_mnist"),
    ):
        entry = cases[case]
        yield (
            f"| {name} | {entry['configurations']} | {entry['samples']:,} | "
            f"**{entry['seconds']:.1f}** |"
        )
    yield ""
    labels = list(next(iter(cases["compile"].values())))
    yield "Seconds to compile a network and a binding, and then another binding:"
    yield ""
    yield f"| network | {' | '.join(labels)} |"
    yield "|---" * (len(labels) + 1) + "|"
    for name, row in cases["compile"].items():
        yield f"| {name} | {' | '.join(f'{row[label]:.2f}' for label in labels)} |"
    yield ""
    memory = cases["memory"]
    yield (
        f"Memory above the data, convolutional_svhn, {memory['samples']:,} images: "
        f"{memory['evaluator_mib']:.0f} MiB for an evaluation, {memory['session_mib']:.0f} MiB "
        "for a session that keeps results of layers."
    )
    yield ""
    yield "Time grows in proportion to images and to configurations:"
    yield ""
    yield f"![milliseconds against images, seconds against configurations]({_SCALING})"
    yield ""


def of_exactness(report: dict[str, Any]) -> Iterator[str]:
    yield "## Exactness"
    yield ""
    yield (
        "Largest error against a float64 evaluation over the whole test set, ours and the "
        "framework's (`jax.jit`); outputs of both side by side (`make exactness`)."
    )
    yield ""
    yield (
        "| network | images | errors of | asnet-mlir | framework | ratio | outputs differ by | "
        "other answers |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for name, entry in report.items():
        yield (
            f"| {name} | {entry['samples']:,} | {entry['of']} | {entry['our_error']:.2e} | "
            f"{entry['framework_error']:.2e} | **{entry['ratio']:.2f}** | "
            f"{entry['outputs_difference_to_framework']:.1e} | {entry['other_answers']} |"
        )
    yield ""


if __name__ == "__main__":
    main()
