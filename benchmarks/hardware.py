"""Table I and Fig. 3(b,c), 4(b,c) of the paper with our networks and today's generator.

    make hardware-table | hardware-figures      (or: python benchmarks/hardware.py table|figures
                          [--network NAME ..] [--no-route] [--seeds N])

Every stage of every design is cached, so an interrupted run goes on where it stopped.  The results
(hardware.json) are written after every design; a value that is not there is not measured yet.  LUTs
are after mapping; Yosys runs with abc9.nomfs, which is much quicker for about 5 % more LUTs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import machine

import asnet_mlir
from asnet_mlir.binding import Binding

PATH = machine.RESULTS / "hardware.json"
PAGE = Path(__file__).parents[1] / "docs" / "hardware.md"
DATA = {"classification_mnist": "mnist:test", "convolutional_svhn": "svhn_synthetic:test"}
#: The paper's Table I: reduction of logic elements, gain of Fmax, accuracy, with P = 20 in the
#: multiplier and 22 in the divider, Quartus on Cyclone V.
PAPER = {
    "classification_mnist": {"area": 0.2466, "fmax": 0.3562, "accuracy": 0.8872},
    "convolutional_svhn": {"area": 0.0642, "fmax": 0.0288, "accuracy": 0.737},
}
TABLE = ["mulf=fmul_trunc:P=20", "divf=fdiv_trunc:P=22"]
PLACED = (0, 8, 12, 16, 18, 20, 21, 22)
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
                    measure(report, table.setdefault(name, {}), network, rules, route, options)
            elif options.what == "figures":
                for p in PLACED if route else range(23):
                    point = entry.setdefault("figures", {}).setdefault(str(p), {})
                    rules = [f"mulf=fmul_trunc:P={p}"]
                    measure(report, point, network, rules, route, options, ("ecp5",))
    write_page(report)


def measure(
    report: dict[str, Any],
    point: dict[str, Any],
    network: str,
    rules: list[str],
    route: bool,
    options: argparse.Namespace,
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
        for target in targets:
            if route and target != "ecp5":
                continue
            print(f"{label}: {target}{', placed' if route else ''}", flush=True)
            result = asnet_mlir.synthesize(
                bundle, target=target, route=route, seeds=options.seeds if route else 1
            )
            # The mapped LUTs are what the figures compare; placing adds a few.
            key = f"{target}_placed" if route else target
            point[key] = {name: value for name, value in result.items() if name != "target"}
            report["machine"] = machine.describe()
            PATH.write_text(json.dumps(report, indent=2) + "\n")


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
        points = report.get(network, {}).get("figures", {})
        if not points:
            continue
        lines += ["", f"`{network}`, ECP5, multiplier that ignores P fraction bits:", ""]
        # Placements, one seed, of the machine before its iterations overlapped (another microcode).
        earlier = report[network].get("fmax_before_overlap", {})
        lines += [
            "| P | LUT4 of the network | against P = 0 | Fmax, MHz | before loops overlapped |",
            "|---|---|---|---|---|",
        ]
        for p, point in sorted(points.items(), key=lambda item: int(item[0])):
            if "ecp5" not in point:
                continue
            luts, first = point["ecp5"]["luts"], points.get("0", {}).get("ecp5", {}).get("luts")
            ratio = f"{luts / first - 1:+.1%}" if first else ""
            clock = point.get("ecp5_placed", {}).get("fmax_mhz")
            missing = "not measured yet" if int(p) in PLACED else "-"
            lines.append(f"| {p} | {luts} | {ratio} | {clock or missing} | {earlier.get(p, '-')} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
