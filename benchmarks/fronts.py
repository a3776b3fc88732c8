# SPDX-License-Identifier: Apache-2.0
"""Fronts of evolved circuits: multipliers of 8, 12 and 16 bits, adders of 8 to 32.

    make fronts            (or: python benchmarks/fronts.py [--minutes X] [--only STEP ..])

Evolves them (searches stay in build/fronts, and go on there), chooses circuits that no other one
dominates, adds them to hdl_lib/NAME_evolved, maps them, and writes docs/fronts.md.  A circuit keeps
its number; none has the function of another one.  A new core wants its lines in hdl_lib's lists and
page, which test_hdl_lib.py asks for.

Steps: evolve, choose, map, page.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SEARCHES = ROOT / "build" / "fronts"
PAGE, PICTURE = ROOT / "docs" / "fronts.md", ROOT / "docs" / "fronts.png"
STEPS = ("evolve", "choose", "map", "page")
# Where Debian's package qflow-tech-osu018 has its gates.
LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
_TARGETS = ("ecp5", "cyclonev")


@dataclass(frozen=True)
class Front:
    """Circuits of one function.

    Attributes:
      searches: name, bound, points, least bound.
      most: circuits of the library that are chosen at one time.
    """

    name: str
    op: str
    width: int
    signed: bool
    searches: tuple[tuple[str, str, int, float], ...]
    most: int

    @property
    def result(self) -> int:
        """Bits of the result."""
        return 2 * self.width if self.op == "muli" else self.width + 1

    @property
    def folder(self) -> Path:
        """Where the circuits are."""
        return ROOT / "hdl_lib" / f"{self.name}_evolved"


FRONTS = (
    Front(
        "mul8u",
        "muli",
        8,
        False,
        (
            ("mae", "MAE<=4096", 48, 0.25),
            ("wce", "WCE<=8192", 36, 1),
            ("mre", "MRE<=0.3", 24, 0.001),
        ),
        64,
    ),
    Front(
        "mul8s",
        "muli",
        8,
        True,
        (("mae", "MAE<=2048", 44, 0.25), ("wce", "WCE<=4096", 32, 1)),
        64,
    ),
    Front("mul12u", "muli", 12, False, (("mae", "MAE<=300000", 20, 16),), 14),
    Front("mul16u", "muli", 16, False, (("mae", "MAE<=60000000", 20, 256),), 14),
    Front("mul16s", "muli", 16, True, (("mae", "MAE<=60000000", 16, 256),), 12),
    Front("add8u", "addi", 8, False, (("mae", "MAE<=40", 10, 0.5),), 8),
    Front("add12u", "addi", 12, False, (("mae", "MAE<=400", 10, 0.5),), 8),
    Front("add16u", "addi", 16, False, (("mae", "MAE<=6000", 12, 1),), 8),
    Front("add32u", "addi", 32, False, (("mae", "MAE<=100000000", 12, 1),), 8),
)

#: EvoApproxLib's fronts: MAE, WCE, area in um2 at 45 nm as the circuits' files state it; the first
#: one is the exact circuit.  Errors were recomputed on all operand pairs.
EVOAPPROX: dict[str, tuple[tuple[str, float, int, float], ...]] = {
    "mul8u": (
        ("1JJQ", 0, 0, 709.6),
        ("ZB3", 0.125, 2, 682.8),
        ("4X5", 0.906, 10, 663.6),
        ("LK8", 3.04, 11, 637.8),
        ("DG8", 5.18, 26, 645.3),
        ("C67", 8.66, 66, 614.3),
        ("2AC", 24.5, 79, 508.3),
        ("NLX", 42.3, 161, 511.5),
        ("197B", 119.0, 431, 395.6),
        ("L93", 157.0, 782, 355.7),
        ("12N4", 283.6, 1408, 390.5),
        ("17C8", 370.0, 1577, 239.3),
        ("FTA", 580.6, 2809, 214.5),
        ("18UH", 773.1, 3475, 149.7),
        ("T83", 1409.4, 5380, 110.8),
        ("1A0M", 1888.6, 7200, 75.6),
        ("13QR", 3167.8, 12754, 41.3),
    ),
    "mul8s": (
        ("1KV6", 0, 0, 729.8),
        ("1KV8", 1.25, 5, 711.0),
        ("1KV9", 4.25, 17, 685.2),
        ("1KVA", 12.25, 49, 641.1),
        ("1KVM", 32.0, 128, 652.8),
        ("1KVP", 33.3, 137, 635.0),
        ("1KVQ", 36.5, 161, 599.8),
        ("1L2J", 53.3, 255, 558.9),
        ("1KX5", 101.3, 449, 543.0),
        ("1L2L", 149.8, 759, 411.6),
        ("1KXF", 224, 896, 482.4),
        ("1L2N", 339.9, 1743, 284.9),
        ("1L12", 2016, 8064, 172.2),
    ),
}

#: Published families at 8 bits, unsigned, as cores of the library: parameters besides N.
FAMILIES: dict[str, Sequence[str]] = {
    "bam": [f"VBL={k}" for k in range(1, 14)],
    "drum": [f"K={k}" for k in range(3, 8)],
    "truncated": [f"CUT={k},CORRECTION={c}" for k in range(1, 8) for c in (0, 1, 2)],
    "perforated": [f"J={j},K={k}" for j in range(4) for k in (1, 2, 3)],
    "compressor42": [f"DESIGN={d},COLUMNS={c}" for d in range(1, 5) for c in (6, 8, 10, 12)],
    "ssm": ["K=4", "K=5", "K=6", "K=4,EXTENDED=1", "K=6,EXTENDED=1"],
    "ilm": [f"CORRECTIONS={c}" for c in range(3)],
    **{name: [""] for name in ("mitchell", "mbm", "roba", "kulkarni")},
}


# ---- Evolution


def evolve(minutes: float) -> None:
    """Let every search go on until it has had so many minutes."""
    for front in FRONTS:
        for name, bound, points, least in front.searches:
            command = ["asnet", "cores", "evolve", "--op", front.op, "--width", str(front.width)]
            command += ["--signed"] * front.signed
            command += ["--bound", bound, "--points", str(points), "--least", f"{least:g}"]
            command += ["--threads", "1", "--budget", f"{minutes:g}m"]
            folder = SEARCHES / f"{front.name}_{name}"
            print(f"{front.name}, {bound}", flush=True)
            subprocess.run([*command, "-o", str(folder)], check=True)


# ---- Library


def read(front: Front) -> dict[str, Any]:
    """Return the index as it is."""
    path = front.folder / "index.json"
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    more = {"result": front.result} if front.op != "muli" else {}
    return {"bits": front.width, **more, "signed": front.signed, "members": []}


def choose(front: Front) -> None:
    """Add what no other circuit dominates."""
    from asnet_mlir.evolution.folder import name_of
    from asnet_mlir.evolution.problem import Task
    from asnet_mlir.evolution.starts import starts

    index = read(front)
    members = index["members"]
    if not members:
        exact = starts(front.op, (front.width, front.width), front.result, front.signed)[0]
        task = Task(exact, front.signed, front.op)
        errors = dict.fromkeys(("MAE", "WCE", "EP", "bias", "MRE"), 0) | {"exhaustive": True}
        members.append(_entry(front, name_of(task, exact), exact, errors, "exact"))
    known = {member["hash"] for member in members}
    found = []
    for name, _, _, _ in front.searches:
        folder = SEARCHES / f"{front.name}_{name}"
        if not (folder / "front.json").is_file():
            print(f"{folder.relative_to(ROOT)}: has no front yet")
            continue
        state = json.loads((folder / "search.json").read_text())
        circuits = {
            circuit.hash(): circuit
            for circuit in (_circuit(front, kept) for kept in state["circuits"])
            if circuit is not None
        }
        for entry in json.loads((folder / "front.json").read_text())["circuits"]:
            if entry["hash"] in circuits:
                found.append((entry, circuits[entry["hash"]]))
    added = 0
    for entry, circuit in _spread(_undominated(found), front.most):
        if entry["hash"] in known or circuit.area() == 0:
            continue
        known.add(entry["hash"])
        added += 1
        members.append(_entry(front, entry["name"], circuit, entry["errors"], "evolved"))
    write(front, index)
    print(f"{front.name}: {len(members)} circuits, {added} of them new")


def _circuit(front: Front, kept: Any) -> Any:
    from asnet_mlir.evolution.circuit import Circuit

    if kept is None:
        return None
    gates = np.array(kept["gates"], np.int64).reshape(-1, 3)
    return Circuit((front.width, front.width), gates, np.array(kept["outputs"], np.int64))


def _undominated(found: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return circuits that none beats in area and in MAE, WCE and MRE at once."""
    unique = {entry["hash"]: (entry, circuit) for entry, circuit in found}
    points = list(unique.values())

    def figures(one: tuple[Any, Any]) -> tuple[float, ...]:
        errors = one[0]["errors"]
        return (one[1].area(), errors["MAE"], errors["WCE"], errors["MRE"])

    def is_beaten(one: tuple[Any, Any]) -> bool:
        own = figures(one)
        return any(
            all(x <= y for x, y in zip(figures(other), own, strict=True)) and figures(other) != own
            for other in points
        )

    return sorted((one for one in points if not is_beaten(one)), key=lambda one: figures(one)[1])


def _spread(points: list[tuple[Any, Any]], most: int) -> list[tuple[Any, Any]]:
    """Return so many of them, evenly by their place."""
    if len(points) <= most:
        return points
    return [points[round(k * (len(points) - 1) / (most - 1))] for k in range(most)]


def _entry(
    front: Front, name: str, circuit: Any, errors: dict[str, Any], origin: str
) -> dict[str, Any]:
    figures = {k: v for k, v in errors.items() if v is not None and k != "exhaustive"}
    text = circuit.verilog(name, signed=front.signed, ports=("a", "b", "p"))
    packed = front.folder / "netlists" / f"{name}.v.gz"
    packed.parent.mkdir(parents=True, exist_ok=True)
    packed.write_bytes(gzip.compress(text.encode(), mtime=0))
    return {
        "name": name,
        "origin": origin,
        "circuit": {"netlist": name},
        "hash": circuit.hash(),
        "gates": len(circuit.gates),
        "units": circuit.area(),
        "levels": circuit.depth(),
        "exhaustive": errors["exhaustive"],
        "metrics": figures,
    }


def write(front: Front, index: dict[str, Any]) -> None:
    """Write the index, a line a member, the manifest and the core's file."""
    from asnet_mlir.cores.sources.by_number import circuit_sources

    name = f"{front.name}_evolved"
    head = ", ".join(f'"{k}": {json.dumps(v)}' for k, v in index.items() if k != "members")
    lines = ",\n".join(json.dumps(member) for member in index["members"])
    new = front.folder / "index.new"
    new.write_text(f'{{{head}, "members": [\n{lines}\n]}}\n')
    os.replace(new, front.folder / "index.json")
    text, _ = circuit_sources(
        index["members"][0]["circuit"],
        front.width,
        name,
        front.folder,
        ("M", 0),
        result=front.result,
        signed=front.signed,
    )
    (front.folder / f"{name}.sv").write_text(_alone(front, index["members"][0]["name"], text))
    kind = "signed" if front.signed else "unsigned"
    what = "a * b" if front.op == "muli" else "a + b"
    (front.folder / "core.toml").write_text(
        f'''name = "{name}"
module = "{name}"
op = "{front.op}"
sources = ["{name}.sv"]
latency_cycles = 0
initiation_interval = 1
exact = false
special_values = "as the member's circuit"
summary = "{what} of {front.width} bits, {kind}, by evolved circuit M"
{"signed = true" if front.signed else ""}

[ports]
a = "a_i"
b = "b_i"
result = "result_o"

[parameters.M]
low = 0
high = {len(index["members"]) - 1}
default = 0
summary = "the circuit: its place in index.json, see docs/fronts.md"

[members]
parameter = "M"
index = "index.json"
module = "{name}"

[origin]
license = "Apache-2.0"
reference = "docs/fronts.md"
'''.replace('"\n\n\n', '"\n\n')
    )


def _alone(front: Front, netlist: str, text: str) -> str:
    """Return a core's text with the gates in the place of the netlist's instance.

    The file is read by itself, in the library's lists; where a member is used, the netlist is a
    file beside it.
    """
    packed = front.folder / "netlists" / f"{netlist}.v.gz"
    inside = gzip.decompress(packed.read_bytes()).decode().partition(");\n")[2]
    gates = inside.removesuffix("endmodule\n")
    for short, port in (("a", "a_i"), ("b", "b_i"), ("p", "result_o")):
        gates = re.sub(rf"\b{short}\[", f"{port}[", gates)
    return re.sub(rf"  {netlist} u_netlist .*\n", lambda _: gates, text)


# ---- Areas


def cells(texts: dict[str, str]) -> dict[str, float]:
    """Return the area of cells of modules, by name: um^2 in osu018, nothing between registers."""
    with tempfile.TemporaryDirectory(prefix="asnet-fronts-") as folder:
        lines = ["from pyosys import libyosys as ys"]
        for name, text in texts.items():
            (Path(folder) / f"{name}.v").write_text(text)
            lines.append("d = ys.Design()")
            for step in (
                f"read_verilog -sv {name}.v",
                f"hierarchy -top {name}",
                "proc; flatten; opt -full; techmap; opt",
                f"abc -liberty {LIBERTY}",
                "opt_clean -purge",
                f"tee -o {name}.txt stat -liberty {LIBERTY}",
            ):
                lines.append(f"ys.run_pass({step!r}, d)")
        subprocess.run(
            [sys.executable, "-c", "\n".join(lines)], cwd=folder, check=True, capture_output=True
        )
        found = {}
        for name in texts:
            report = (Path(folder) / f"{name}.txt").read_text()
            match = re.search(r"Chip area for module.*: *([0-9.]+)", report)
            found[name] = float(match[1]) if match else 0.0
        return found


def map_members(front: Front) -> None:
    """Fill in the areas that are missing."""
    from asnet_mlir.cores.reading.library import parse_instance
    from asnet_mlir.hardware.synthesis.synthesize import synthesize

    index = read(front)
    members = index["members"]
    if LIBERTY.is_file():
        texts = {
            m["name"]: gzip.decompress(
                (front.folder / "netlists" / f"{m['name']}.v.gz").read_bytes()
            ).decode()
            for m in members
            if "osu018" not in m.setdefault("area", {})
        }
        areas = cells(texts) if texts else {}
        for m in members:
            if m["name"] in areas:
                m["area"]["osu018"] = areas[m["name"]]
    else:
        print(f"{LIBERTY} is not there (Debian: qflow-tech-osu018)")
    for target in _TARGETS:
        for number, m in enumerate(members):
            if target not in m["area"]:
                instance = parse_instance(f"{front.name}_evolved:M={number}")
                m["area"][target] = synthesize(instance, target=target, route=False)["luts"]
    write(front, index)
    print(f"{front.name}: {len(members)} mapped")


# ---- Page


def families() -> list[dict[str, Any]]:
    """Return published families at 8 bits, with errors and areas as the evolved circuits have."""
    from asnet_mlir.cores.reading.library import parse_instance
    from asnet_mlir.errors import AsnetError
    from asnet_mlir.evolution.core_circuit import circuit_of
    from asnet_mlir.evolution.problem import Problem, Task
    from asnet_mlir.evolution.starts import starts

    problem = Problem(Task(starts("muli", (8, 8), 16, False)[0], False, "muli"))
    points: list[dict[str, Any]] = []
    texts: dict[str, Any] = {}
    for core, choices in FAMILIES.items():
        for choice in choices:
            text = f"{core}:N=8" + (f",{choice}" if choice else "")
            try:
                circuit = circuit_of(parse_instance(text, op="muli"))
            except AsnetError as error:
                print(f"{text}: {error}")
                continue
            if len(circuit.outputs) != 16:
                continue
            errors = problem.errors(circuit)
            name = f"f{len(points)}"
            texts[name] = circuit.verilog(name)
            points.append({"name": text, "metrics": vars(errors), "units": circuit.area()})
    if LIBERTY.is_file():
        areas = cells(texts)
        for number, point in enumerate(points):
            point["osu018"] = areas[f"f{number}"]
    return points


def smallest_exact() -> dict[str, float]:
    """Return the area of cells of the smallest exact circuit of each function that is known."""
    from asnet_mlir.evolution.starts import starts

    texts = {}
    for front in FRONTS:
        circuits = starts(front.op, (front.width, front.width), front.result, front.signed)
        exact = circuits[:4] if front.op == "muli" else circuits[:1]
        for number, circuit in enumerate(exact):
            name = f"{front.name}_{number}"
            texts[name] = circuit.verilog(name)
    areas = cells(texts) if LIBERTY.is_file() else {}
    return {
        front.name: min(areas[name] for name in areas if name.startswith(f"{front.name}_"))
        for front in FRONTS
        if areas
    }


def page() -> None:
    """Write docs/fronts.md and its picture."""
    exact = smallest_exact()
    found = {front.name: read(front)["members"] for front in FRONTS}
    published = families()
    total = sum(len(members) for members in found.values())
    lines = [
        "# Fronts of evolved circuits",
        "",
        f"{total} circuits, made by `asnet cores evolve` ([evolution.md](evolution.md)) and",
        "shipped as cores with a number: `mul8s_evolved:M=3`. `make fronts` lets searches go on,",
        "adds what they find, and writes this page. Numbers stay; no two circuits of a core are",
        "one function. MAE, WCE and EP are of all operand pairs, which proves the WCE (`asnet",
        "cores characterize CORE:M=m --samples all` repeats it); for 32-bit adders: of a sample.",
        "Areas: cells of osu018 in um^2 (Yosys and abc, no registers); LUT4 of ECP5 and ALUTs of",
        "Cyclone V between registers, soft logic only. M = 0 is exact. Searches of more than 20",
        "operand bits see a sample of pairs under a bound on MAE: several of 16 bits, signed, are",
        "wrong by up to 2^31 for few pairs that no sample has (-32768 times itself), as WCE says.",
        "",
        "![fronts](fronts.png)",
        "",
    ]
    lines += _comparison(found, published, exact)
    for front in FRONTS:
        members = found[front.name]
        if not members:
            continue
        kind = "signed" if front.signed else "unsigned"
        what = "multipliers" if front.op == "muli" else "adders"
        lines += [
            f"## `{front.name}_evolved`: {kind} {front.width}-bit {what}",
            "",
            "| M | circuit | gates | levels | MAE | WCE | EP | MRE | osu018 | LUT4 | ALUT |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        for number, m in enumerate(members):
            metrics, area = m["metrics"], m.get("area", {})
            cells_ = [
                str(number),
                m["name"],
                str(m["gates"]),
                str(m["levels"]),
                f"{metrics['MAE']:.4g}",
                f"{metrics['WCE']}",
                f"{metrics['EP']:.3f}",
                f"{metrics['MRE']:.3g}",
                *(f"{area[k]:.0f}" if k in area else "" for k in ("osu018", "ecp5", "cyclonev")),
            ]
            lines.append("| " + " | ".join(cells_) + " |")
        lines.append("")
    PAGE.write_text("\n".join(lines))
    _picture(found, published, exact)


def _comparison(
    found: dict[str, Any], published: list[dict[str, Any]], smallest: dict[str, float]
) -> list[str]:
    """Say what stands beside the fronts of 8 x 8 bits."""
    lines = ["## Beside others", ""]
    front = [m for m in found["mul8u"][1:] if "osu018" in m.get("area", {})]
    if front and published and "osu018" in published[0]:
        beaten = []
        for m in front:
            for p in published:
                figures = ("MAE", "WCE", "MRE")
                least = all(p["metrics"][k] <= m["metrics"][k] for k in figures)
                if least and p["osu018"] <= m["area"]["osu018"]:
                    beaten.append((m["name"], p["name"]))
        names = ": " + ", ".join(f"{x} by {y}" for x, y in beaten) if beaten else ""
        count = len({x for x, _ in beaten})
        lines += [
            f"**Published families** ({len(published)} unsigned multipliers of 8 bits, cores of",
            f"this library): {count} of the {len(front)} evolved ones are dominated by one of them",
            f"in MAE, WCE, MRE and area of cells{names}.",
            "",
        ]
    lines += [
        "**EvoApproxLib**: areas as its files state them (45 nm), ours of osu018, each over that",
        "of the smallest exact circuit of its own (ours: array, tree, Booth's): a comparison of",
        "ratios, not of one synthesis. The smallest of ours with at most its MAE, and with at most",
        "both its MAE and its WCE:",
        "",
        "| circuit | MAE | WCE | area | ours, by MAE | ours, by MAE and WCE |",
        "|---|---|---|---|---|---|",
    ]
    wins: dict[str, int] = {}
    for name, points in EVOAPPROX.items():
        members = [m for m in found[name] if "osu018" in m.get("area", {})]
        if not members or name not in smallest:
            continue
        exact = smallest[name]
        for circuit, mae, wce, area in points[1:]:
            ratio = area / points[0][3]
            own = []
            for metrics in (("MAE",), ("MAE", "WCE")):
                bounds = {"MAE": mae, "WCE": wce}
                fit = [m for m in members if all(m["metrics"][k] <= bounds[k] for k in metrics)]
                best = min(fit, key=lambda m: m["area"]["osu018"])
                own.append(f"{best['area']['osu018'] / exact:.3f} ({best['name']})")
                if best["area"]["osu018"] / exact < ratio:
                    key = f"{name} by {' and '.join(metrics)}"
                    wins[key] = wins.get(key, 0) + 1
            cells_ = [f"{name}_{circuit}", f"{mae:g}", str(wce), f"{ratio:.3f}", *own]
            lines.append("| " + " | ".join(cells_) + " |")
    counted = [
        f"{count} of {len(EVOAPPROX[key.split()[0]]) - 1} {key}" for key, count in wins.items()
    ]
    lines += ["", f"Ours are smaller in {', '.join(counted)}."]
    return [*lines, ""]


def _picture(
    found: dict[str, Any], published: list[dict[str, Any]], smallest: dict[str, float]
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(16, 4.8), constrained_layout=True)
    for axis, name in zip(axes, ("mul8u", "mul8s"), strict=False):
        members = [m for m in found[name] if "osu018" in m.get("area", {})]
        if not members:
            continue
        exact = smallest[name]
        points = [(m["metrics"]["MAE"], m["area"]["osu018"] / exact) for m in members[1:]]
        axis.plot(*zip(*points, strict=True), "o", markersize=4, label="evolved, osu018")
        theirs = EVOAPPROX[name]
        others = [(mae, area / theirs[0][3]) for _, mae, _, area in theirs[1:]]
        axis.plot(*zip(*others, strict=True), "x", label="EvoApproxLib, 45 nm as stated")
        if name == "mul8u" and published and "osu018" in published[0]:
            kept = [(p["metrics"]["MAE"], p["osu018"] / exact) for p in published]
            kept = [(mae, ratio) for mae, ratio in kept if mae > 0 and ratio < 1.6]
            axis.plot(*zip(*kept, strict=True), "+", label="families, osu018")
        axis.set(xscale="log", xlabel="MAE", ylabel="area over exact", title=name)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    for name, members in found.items():
        mapped = [m for m in members if "osu018" in m.get("area", {})]
        if name in ("mul8u", "mul8s") or len(mapped) < 2:
            continue
        exact = smallest[name]
        width = next(front.result for front in FRONTS if front.name == name)
        points = [(m["metrics"]["MAE"] / 2**width, m["area"]["osu018"] / exact) for m in mapped[1:]]
        axes[2].plot(*zip(*points, strict=True), "o-", markersize=4, label=name)
    axes[2].set(xscale="log", xlabel="MAE over 2^(bits of result)", ylabel="area over exact")
    axes[2].set_title("others")
    axes[2].grid(alpha=0.3)
    if axes[2].lines:
        axes[2].legend(fontsize=8)
    figure.savefig(PICTURE, dpi=110)
    pyplot.close(figure)


def main() -> int:
    """Carry the steps out."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--minutes", type=float, default=10, help="of each search, in all")
    options = parser.parse_args()
    for step in options.only:
        if step == "evolve":
            evolve(options.minutes)
        elif step == "page":
            page()
        else:
            for front in FRONTS:
                if step == "choose":
                    choose(front)
                elif read(front)["members"]:
                    map_members(front)
    return 0


if __name__ == "__main__":
    sys.exit(main())
