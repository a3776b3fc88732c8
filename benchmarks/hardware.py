# SPDX-License-Identifier: Apache-2.0
"""Table I and Fig. 3(b,c), 4(b,c) of the paper with our networks and today's generator.

    make hardware-table | hardware-figures      (or: python benchmarks/hardware.py table|figures
                          [--network NAME ..] [--no-route] [--seeds N])

Every step of every design is cached, so an interrupted run goes on where it stopped.  The results
(hardware.json) are written after every design; a value that is not there is not measured yet.  LUTs
are after mapping; Yosys runs with abc9.nomfs, which is much quicker for about 5 % more LUTs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import host

import asnet_mlir
from asnet_mlir.binding import Binding

PATH = host.RESULTS / "hardware.json"
PAGE = Path(__file__).parents[1] / "docs" / "hardware.md"
DATA = {"classification_mnist": "mnist:test", "convolutional_svhn": "svhn_synthetic:test"}
#: The paper's Table I: reduction of logic elements, gain of Fmax, accuracy, with P = 20 in the
#: multiplier and 22 in the divider, Quartus on Cyclone V.
PAPER = {
    "classification_mnist": {"area": 0.2466, "fmax": 0.3562, "accuracy": 0.8872},
    "convolutional_svhn": {"area": 0.0642, "fmax": 0.0288, "accuracy": 0.737},
}
#: What the paper's text states of its figures 3(b,c); of 4(b,c) it states no number.
PAPER_FIGURES: dict[str, dict[str, dict[str, list[tuple[float, str]]]]] = {
    "classification_mnist": {
        "mulf": {
            "area": [(5.0, "up to 5 % LE")],
            "clock": [(54.89, "exact, 54.89 MHz"), (79.79, "approximate, up to 79.79 MHz")],
        },
        "divf": {"area": [(16.9, "up to 16.9 % LE")]},
    }
}
TABLE = ["mulf=fmul_trunc:P=20", "divf=fdiv_trunc:P=22"]
#: Values of P whose designs are placed; those with several seeds.
PLACED = (0, 8, 12, 16, 18, 20, 21, 22)
SEVERAL_SEEDS = (0, 12, 20, 22)
#: The cores of Fig. 3 and 4, by op.
FIGURE_CORES = {"mulf": "fmul_trunc", "divf": "fdiv_trunc"}
_BEGIN, _END = "<!-- begin: measured -->", "<!-- end: measured -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("table", "figures", "page"))
    parser.add_argument("--network", action="append", choices=sorted(DATA))
    parser.add_argument("--no-route", action="store_true", help="areas and cell delays only")
    parser.add_argument("--seeds", type=int, default=3, help="placements of a design (median)")
    options = parser.parse_args()
    report: dict[str, Any] = json.loads(PATH.read_text()) if PATH.is_file() else {}
    networks = options.network or sorted(DATA)
    routes = (False,) if options.no_route else (False, True)
    for route in routes:  # the quick part of everything first
        for network in networks:
            entry = report.setdefault(network, {})
            if options.what == "table":
                table = entry.setdefault("table", {})
                for name, rules in (("exact", []), ("approximate", TABLE)):
                    measure(
                        report, table.setdefault(name, {}), network, rules, route, options.seeds
                    )
            elif options.what == "figures":
                for op, core in FIGURE_CORES.items():
                    points = entry.setdefault("figures", {}).setdefault(op, {})
                    for p in PLACED if route else range(23):
                        seeds = options.seeds if p in SEVERAL_SEEDS else 1
                        point = points.setdefault(str(p), {})
                        rules = [f"{op}={core}:P={p}"]
                        measure(report, point, network, rules, route, seeds, ("ecp5",))
    write_page(report)
    plot(report)


def measure(
    report: dict[str, Any],
    point: dict[str, Any],
    network: str,
    rules: list[str],
    route: bool,
    seeds: int,
    targets: tuple[str, ...] = ("cyclonev", "ecp5"),
) -> None:
    """Fill in what `point` lacks, and save the report."""
    binding = Binding.parse(rules)
    label = f"{network} {' '.join(rules) or 'exact'}"
    if not route and len(targets) > 1 and "accuracy" not in point:
        point["accuracy"] = asnet_mlir.evaluate(network, DATA[network], binding).accuracy
    with tempfile.TemporaryDirectory(prefix="asnet-hardware-") as folder:
        bundle = Path(folder) / "bundle"
        asnet_mlir.generate(network, binding, output=bundle)
        design = _design(bundle)
        for target in targets:
            if route and target != "ecp5":
                continue
            # The mapped LUTs are what the figures compare; placing adds a few.
            key = f"{target}_placed" if route else target
            done = point.get(key, {})
            if done.get("design") == design and (
                not route or len(done.get("fmax_mhz_by_seed", ())) >= seeds
            ):
                continue
            print(f"{label}: {target}{', placed' if route else ''}", flush=True)
            result = asnet_mlir.synthesize(
                bundle, target=target, route=route, seeds=seeds if route else 1
            )
            point[key] = {name: value for name, value in result.items() if name != "target"}
            point[key]["design"] = design
            report["machine"] = host.describe()
            PATH.write_text(json.dumps(report, indent=2) + "\n")


def _design(bundle: Path) -> str:
    """Return a hash of what is synthesised, by which a measured point is known again."""
    digest = hashlib.sha256()
    for folder in ("rtl", "cores", "rom"):
        for path in sorted((bundle / folder).rglob("*")):
            if path.is_file():
                digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def write_page(report: dict[str, Any]) -> None:
    """Replace what lies between the marks in docs/hardware.md."""
    text = PAGE.read_text()
    head, _, rest = text.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    PAGE.write_text(f"{head}{_BEGIN}\n{tables(report)}\n{_END}{tail}")


def tables(report: dict[str, Any]) -> str:
    """Return the tables of the page."""
    lines = ["", "| network | figure | paper | ours |", "|---|---|---|---|"]
    for network, paper in PAPER.items():
        table = report.get(network, {}).get("table", {})
        exact, approximate = table.get("exact", {}), table.get("approximate", {})

        def both(*keys: str, a: Any = exact, b: Any = approximate) -> tuple[Any, Any] | None:
            for key in keys:
                a, b = (a or {}).get(key), (b or {}).get(key)
            return None if a is None or b is None else (a, b)

        def row(name: str, theirs: str, ours: str | None, network: str = network) -> None:
            lines.append(f"| `{network}` | {name} | {theirs} | {ours or 'not measured yet'} |")

        pair = both("accuracy")
        row(
            "accuracy, approximate (exact)",
            f"{paper['accuracy']:.2%}",
            pair and f"{pair[1]:.2%} ({pair[0]:.2%})",
        )
        for target, what, unit in (("cyclonev", "LE", "ALUTs"), ("ecp5", "", "LUT4")):
            pair = both(target, "luts")
            theirs = f"-{paper['area']:.2%} {what}" if what else ""
            row(
                f"area, {unit}",
                theirs,
                pair and f"{pair[1] / pair[0] - 1:+.2%} ({pair[0]} to {pair[1]})",
            )
        pair = both("cyclonev", "delay_ns")
        row(
            "clock, Cyclone V",
            f"+{paper['fmax']:.2%}",
            pair
            and f"{pair[0] / pair[1] - 1:+.2%} (cells without wires: {pair[0]} to {pair[1]} ns)",
        )
        pair = both("ecp5_placed", "fmax_mhz")
        row(
            "clock, ECP5 placed and routed",
            "",
            pair
            and f"{pair[1] / pair[0] - 1:+.2%} ({pair[0]} to {pair[1]} MHz, "
            f"median of {len(exact['ecp5_placed']['fmax_mhz_by_seed'])} seed(s))",
        )
    for network in PAPER:
        for op, points in report.get(network, {}).get("figures", {}).items():
            lines += [
                "",
                f"`{network}`, ECP5, {FIGURE_CORES[op]} that ignores P fraction bits:",
                "",
                "| P | LUT4 of the network | against P = 0 | Fmax, MHz (seeds) |",
                "|---|---|---|---|",
            ]
            first = points.get("0", {}).get("ecp5", {}).get("luts")
            for p, point in sorted(points.items(), key=lambda item: int(item[0])):
                if "ecp5" not in point:
                    continue
                luts = point["ecp5"]["luts"]
                ratio = f"{luts / first - 1:+.1%}" if first else ""
                lines.append(f"| {p} | {luts} | {ratio} | {_clock(int(p), point)} |")
    return "\n".join(lines)


def _clock(p: int, point: dict[str, Any]) -> str:
    """Return the clock of a placed design: the median, and how many placements it is of."""
    placed = point.get("ecp5_placed")
    if placed is None:
        return "not measured yet" if p in PLACED else "-"
    return f"{placed['fmax_mhz']} ({len(placed['fmax_mhz_by_seed'])})"


def plot(report: dict[str, Any]) -> None:
    """Draw Fig. 3(b,c) and 4(b,c), beside what the paper's text states of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7), sharex=True)
    for row, (network, number) in enumerate(
        (("classification_mnist", 3), ("convolutional_svhn", 4))
    ):
        area, clock = axes[row]
        for op, color in (("mulf", "tab:blue"), ("divf", "tab:red")):
            points = report.get(network, {}).get("figures", {}).get(op, {})
            first = points.get("0", {}).get("ecp5", {}).get("luts")
            mapped = sorted((int(p), x["ecp5"]["luts"]) for p, x in points.items() if "ecp5" in x)
            if first:
                values = [100 * (1 - luts / first) for _, luts in mapped]
                area.plot(
                    [p for p, _ in mapped], values, "o-", ms=3, color=color, label=f"{op}, ours"
                )
            placed = sorted(
                (int(p), x["ecp5_placed"]) for p, x in points.items() if "ecp5_placed" in x
            )
            if placed:
                middle = [x["fmax_mhz"] for _, x in placed]
                seeds = [list(x["fmax_mhz_by_seed"].values()) for _, x in placed]
                clock.errorbar(
                    [p for p, _ in placed],
                    middle,
                    yerr=[
                        [m - min(s) for m, s in zip(middle, seeds, strict=True)],
                        [max(s) - m for m, s in zip(middle, seeds, strict=True)],
                    ],
                    fmt="o-",
                    ms=3,
                    capsize=2,
                    color=color,
                    label=f"{op}, ours (median and range of seeds)",
                )
            for what, value in PAPER_FIGURES.get(network, {}).get(op, {}).items():
                axis = area if what == "area" else clock
                for y, text in value:
                    axis.axhline(y, ls=":", lw=1, color=color)
                    axis.annotate(f"paper: {text}", (0, y), fontsize=7, color=color, va="bottom")
        area.set(title=f"Fig. {number}(b): {network}", ylabel="fewer LUT4 than at P = 0, %")
        clock.set(title=f"Fig. {number}(c): {network}", ylabel="Fmax, MHz (ECP5, placed)")
        for axis in (area, clock):
            axis.grid(alpha=0.3)
            if axis.has_data():
                axis.legend(fontsize=7)
            else:
                axis.text(0.5, 0.5, "not measured yet", transform=axis.transAxes, ha="center")
    for axis in axes[1]:
        axis.set_xlabel("ignored fraction bits P")
    figure.tight_layout()
    figure.savefig(PAGE.parent / "hardware_figures.png", dpi=110)


if __name__ == "__main__":
    main()
