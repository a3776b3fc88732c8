# SPDX-License-Identifier: Apache-2.0
"""The library of multipliers: circuits by number, what they cost and how wrong they are.

    make library    (python benchmarks/multiplier_library.py [--only STEP ..] [--liberty FILE.lib]
                                                             [--evolved DIR ..])

Adds the circuits that the index hdl_lib/mul24_library/index.json lacks, fills in the figures that
are missing, and writes the index, the core's file, the range of M and docs/library.md.  It goes on
where it was interrupted.  A circuit keeps its number; none has the function of another one: results
for fixed operand pairs differ.

Steps: functions (errors, signature), proofs (worst-case error by `asnet cores prove`'s algebra
and intervals; what an earlier version of them did not prove is tried again), ecp5, asic (with a
liberty file), cyclonev, page.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "hdl_lib" / "mul24_library"
INDEX = FOLDER / "index.json"
PAGE = ROOT / "docs" / "library.md"
PICTURE = ROOT / "docs" / "library.png"
BITS = 24
STEPS = ("functions", "proofs", "ecp5", "asic", "cyclonev", "page")
# Where Debian's package qflow-tech-osu018 has its gates.
LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
_BATCH = 12
# Circuits that are taken of a front.
_POINTS = 12
_PAIRS = 1 << 16
_PROOF_SECONDS = 120.0
#: Raised where more can be proved.
_PROVER = 2
_SEED = 20261126


# ---- Circuits


def candidates() -> Iterator[dict[str, Any]]:
    """Return circuits with their names and origins, the oldest first: new ones are added below."""
    yield _entry("exact", "exact", {"array": {}})
    yield from _arrays()
    for k in range(3, 21):
        yield _entry(f"drum K={k}", "DRUM", {"core": "drum", "parameters": {"K": k}})
    yield _entry("mitchell", "Mitchell", {"core": "mitchell"})
    yield from _blocks()
    yield from _families()
    yield from _evolved()


def _entry(name: str, origin: str, circuit: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "origin": origin, "circuit": circuit}


def _arrays() -> Iterator[dict[str, Any]]:
    for columns in range(4, 42):
        circuit = {"array": {"columns": columns}}
        yield _entry(f"columns {columns}", "broken array", circuit)
    for low in range(1, 21):
        yield _entry(f"bits {low}", "truncated operands", {"array": {"a": low, "b": low}})
    for low in range(2, 22, 2):
        yield _entry(f"rows {low}", "perforated rows", {"array": {"b": low}})
    for columns in range(8, 44, 4):
        # What the columns hold on the average, rounded to the lowest column that is left.
        mean = sum(min(c + 1, 2 * BITS - 1 - c) << c for c in range(columns)) / 4
        constant = round(mean / (1 << columns)) << columns
        circuit = {"array": {"columns": columns, "constant": constant}}
        yield _entry(f"columns {columns}, constant", "truncated with constant", circuit)


def _grid(digit: int, by_weight: Sequence[Any]) -> dict[str, Any]:
    """Return a sum of blocks, each chosen by the sum of its digits' places."""
    count = BITS // digit
    return {
        "digit": digit,
        "blocks": [[by_weight[i + j] for j in range(count)] for i in range(count)],
    }


def _blocks() -> Iterator[dict[str, Any]]:
    exact: dict[str, Any] = {"array": {}}
    for digit in (12, 8, 6):
        weights = 2 * (BITS // digit) - 1
        for dropped in range(1, weights - 1):
            for name, low, origin in (
                ("none", None, "blocks"),
                ("mitchell", {"core": "mitchell"}, "blocks, Mitchell"),
                ("drum 3", {"core": "drum", "parameters": {"K": 3}}, "blocks, DRUM"),
                (f"columns {digit}", {"array": {"columns": digit}}, "blocks, broken arrays"),
            ):
                chosen = [low if w < dropped else exact for w in range(weights)]
                name = f"{digit} bits, weights below {dropped}: {name}"
                yield _entry(name, origin, _grid(digit, chosen))
        for first in (digit // 2, digit, digit + digit // 2):
            chosen = [
                {"array": {"columns": max(0, first - w * digit // 4)}} for w in range(weights)
            ]
            name = f"{digit} bits, columns {first} and fewer with weight"
            yield _entry(name, "blocks, broken arrays", _grid(digit, chosen))


def _families() -> Iterator[dict[str, Any]]:
    def core(name: str, origin: str, **parameters: int) -> dict[str, Any]:
        text = " ".join([name, *(f"{key}={value}" for key, value in parameters.items())])
        return _entry(text, origin, {"core": name, "parameters": parameters})

    yield core("kulkarni", "Kulkarni")
    for k in (12, 14, 16, 18, 20):
        yield core("ssm", "SSM", K=k)
    yield core("mbm", "MBM")
    for corrections in (0, 1, 2, 3):
        yield core("ilm", "iterative logarithmic", CORRECTIONS=corrections)
    yield core("roba", "RoBA")
    for design in (1, 2, 3, 4):
        for columns in (12, 24):
            yield core("compressor42", "compressors", DESIGN=design, COLUMNS=columns)
    for cut in (14, 18, 22):
        yield core("truncated", "truncated with the next column", CUT=cut, CORRECTION=2)
    exact: dict[str, Any] = {"array": {}}
    for below in (1, 2, 3):
        for design in (1, 2):
            block = {"core": "compressor42", "parameters": {"DESIGN": design, "COLUMNS": 8}}
            chosen = [block if w < below else exact for w in range(5)]
            name = f"8 bits, weights below {below}: compressors {design}"
            yield _entry(name, "blocks, compressors", _grid(8, chosen))
        chosen = [{"core": "kulkarni"} if w < below else exact for w in range(5)]
        name = f"8 bits, weights below {below}: Kulkarni"
        yield _entry(name, "blocks, Kulkarni", _grid(8, chosen))


def _evolved() -> Iterator[dict[str, Any]]:
    """Circuits that were evolved, the netlists beside the index: alone, or as blocks."""
    exact: dict[str, Any] = {"array": {}}
    for path in sorted((FOLDER / "netlists").glob("mul*u_*.v.gz")):
        name = path.name.removesuffix(".v.gz")
        digit = int(name[3:].partition("u_")[0])
        if digit == BITS:
            yield _entry(name, "evolved", {"netlist": name})
        if BITS % digit or digit == BITS:
            continue
        weights = 2 * (BITS // digit) - 1
        # In the lower half of the weights, and everywhere.
        for below in (weights // 2 + 1, weights):
            chosen = [{"netlist": name} if w < below else exact for w in range(weights)]
            title = f"{name} at weights below {below}" if below < weights else f"{name} only"
            yield _entry(title, "blocks, evolved", _grid(digit, chosen))


def take(folder: Path) -> None:
    """Keep unsigned multipliers of a folder of `asnet cores evolve`, spread over its front."""
    circuits = json.loads((folder / "front.json").read_text())["circuits"]
    for circuit in circuits[:: -(-len(circuits) // _POINTS)]:
        if re.fullmatch(r"mul\d+u_\w+", circuit["name"]):
            (FOLDER / "netlists").mkdir(exist_ok=True)
            packed = gzip.compress((folder / circuit["file"]).read_bytes(), mtime=0)
            (FOLDER / "netlists" / f"{circuit['name']}.v.gz").write_bytes(packed)


# ---- Figures


def read() -> dict[str, Any]:
    """Return the index as it is."""
    if not INDEX.is_file():
        return {"bits": BITS, "members": []}
    found: dict[str, Any] = json.loads(INDEX.read_text())
    return found


def write(index: dict[str, Any]) -> None:
    """Write the index, a line a member, and what depends on it."""
    lines = ",\n".join(json.dumps(member) for member in index["members"])
    text = f'{{"bits": {index["bits"]}, "members": [\n{lines}\n]}}\n'
    new = INDEX.with_suffix(".new")
    new.write_text(text)
    os.replace(new, INDEX)
    for name in ("mul24_library", "fmul_library"):
        path = ROOT / "hdl_lib" / name / "core.toml"
        manifest = path.read_text()
        high = max(len(index["members"]) - 1, 0)
        path.write_text(
            re.sub(r"(\[parameters\.M\]\nlow = 0\nhigh = )\d+", rf"\g<1>{high}", manifest)
        )


def instance_of(circuit: dict[str, Any]) -> Any:
    """Return the integer core of a circuit, whether or not the index has it."""
    from asnet_mlir.cores.reading.library import load_core
    from asnet_mlir.cores.sources.by_number import circuit_sources
    from asnet_mlir.cores.sources.source import Source

    base = load_core("mul24_library")
    text, others = circuit_sources(circuit, BITS, "mul24_library", FOLDER, ("M", 0))
    own = Source(base.sources[0].path, text)
    return dataclasses.replace(base, sources=(own, *others), members=None).instance()


def functions(index: dict[str, Any]) -> None:
    """Add the circuits that are not there, unless their function is."""
    from asnet_mlir.cores.proofs.miter import Subject
    from asnet_mlir.cores.verilog.elaborate import elaborate
    from asnet_mlir.cores.verilog.structure import remove_registers
    from asnet_mlir.errors import AsnetError

    known = {json.dumps(member["circuit"]) for member in index["members"]}
    signatures = {member["signature"] for member in index["members"]}
    new = [entry for entry in candidates() if json.dumps(entry["circuit"]) not in known]
    rng = np.random.default_rng(_SEED)
    a, b = rng.integers(0, 1 << BITS, (2, _PAIRS), np.uint64)
    exact = a * b
    for first in range(0, len(new), _BATCH):
        batch = new[first : first + _BATCH]
        instances = [instance_of(entry["circuit"]) for entry in batch]
        for entry, instance, flat in zip(batch, instances, elaborate(instances), strict=True):
            if isinstance(flat, AsnetError):
                raise flat
            subject = Subject(remove_registers(flat, instance)[0], "muli", signed=False)
            result = subject.evaluate(a, b)
            signature = hashlib.sha256(result.astype("<u8").tobytes()).hexdigest()[:32]
            if signature in signatures:
                continue
            signatures.add(signature)
            error = result.astype(np.float64) - exact.astype(np.float64)
            metrics = {
                "EP": float((result != exact).mean()),
                "MAE": float(np.abs(error).mean()),
                "bias": float(error.mean()),
                "MRE": float((np.abs(error) / np.maximum(exact.astype(np.float64), 1)).mean()),
            }
            index["members"].append({**entry, "signature": signature, "metrics": metrics})
        write(index)
        print(f"{len(index['members'])} members, {len(new) - first - len(batch)} to look at")


def proofs(index: dict[str, Any]) -> None:
    """Prove worst-case errors, those also that an earlier version did not."""
    from asnet_mlir.cores.verilog.elaborate import elaborate
    from asnet_mlir.errors import AsnetError

    def is_open(entry: dict[str, Any]) -> bool:
        found = entry.get("WCE")
        return found is None or (found["status"] != "proved" and found.get("prover", 1) < _PROVER)

    open_ones = [(m, entry) for m, entry in enumerate(index["members"]) if is_open(entry)]
    for first in range(0, len(open_ones), _BATCH):
        batch = open_ones[first : first + _BATCH]
        instances = [instance_of(entry["circuit"]) for _, entry in batch]
        whole, flats = elaborate(instances, flatten=False), elaborate(instances)
        for (m, entry), instance, netlist, flat in zip(batch, instances, whole, flats, strict=True):
            if isinstance(netlist, AsnetError):
                raise netlist
            if isinstance(flat, AsnetError):
                raise flat
            entry["WCE"] = _proof(m, instance, netlist, flat)
            write(index)
        print(f"{len(open_ones) - first - len(batch)} proofs to do")


def _proof(m: int, instance: Any, netlist: Any, flat: Any) -> dict[str, Any]:
    """Return what is proved of a circuit's worst-case error."""
    from asnet_mlir.cores.proofs.algebra import error_bounds
    from asnet_mlir.cores.proofs.intervals import greatest_error
    from asnet_mlir.cores.proofs.miter import Subject
    from asnet_mlir.cores.verilog.structure import remove_registers

    subject = Subject(remove_registers(flat, instance)[0], "muli", signed=False)
    ports = {"a": "a_i", "b": "b_i", "result": "result_o"}
    bounds = error_bounds(netlist.modules, netlist.top, "muli", ports, _PROOF_SECONDS)
    if bounds is not None:
        least, most = bounds.pairs
        a, b = most if bounds.high >= -bounds.low else least
        bound = max(bounds.high, -bounds.low)
    else:
        found = greatest_error(subject.netlist, "muli", _PROOF_SECONDS)
        if found is None or found.bound >> (2 * BITS - 1):  # so much says nothing
            return {"status": "not proved", "prover": _PROVER}
        (a, b), bound = found.pair, found.bound
    operands = [np.array([value], np.uint64) for value in (a, b)]
    reached = abs(a * b - int(subject.evaluate(*operands)[0]))
    return {
        "status": "proved",
        "bound": bound,
        "exact": reached == bound,
        "witness": [a, b],
        "command": f"asnet cores prove mul24_library:M={m} --wce {bound}",
    }


def areas(index: dict[str, Any], target: str, liberty: Path | None) -> None:
    """Map to a target what is not."""
    from asnet_mlir.hardware.synthesis.synthesize import synthesize

    open_ones = [e for e in index["members"] if target not in e.setdefault("area", {})]
    for number, entry in enumerate(open_ones):
        found = synthesize(
            instance_of(entry["circuit"]), target=target, route=False, liberty=liberty
        )
        keys = {"ecp5": ("luts",), "cyclonev": ("luts", "delay_ns")}
        chosen = keys.get(target, ("area", "gates", "delay_ns"))
        entry["area"][target] = {key: found[key] for key in chosen}
        if number % 8 == 7 or number == len(open_ones) - 1:
            write(index)
            print(f"{target}: {len(open_ones) - number - 1} to map", flush=True)


# ---- Page


def page(index: dict[str, Any]) -> None:
    """Write docs/library.md and its picture."""
    members = index["members"]
    exact = members[0]
    rows = []
    for m, entry in enumerate(members):
        proof, area = entry.get("WCE", {}), entry.get("area", {})
        bound = proof.get("bound")
        wce = "not proved" if bound is None else f"{bound:.4g}" if bound >= 10**6 else f"{bound}"
        cells = [
            str(m),
            entry["name"],
            entry["origin"],
            f"{entry['metrics']['MRE']:.3g}",
            wce + ("" if proof.get("exact", True) else " at most"),
            *(
                str(round(area[target][key])) if target in area else ""
                for target, key in (("ecp5", "luts"), ("cyclonev", "luts"), ("asic", "area"))
            ),
        ]
        rows.append("| " + " | ".join(cells) + " |")
    proved = [m for m in members if m.get("WCE", {}).get("status") == "proved"]
    reached = sum(1 for m in proved if m["WCE"]["exact"])
    errors = [m["metrics"]["MRE"] for m in members if m["metrics"]["MRE"] > 0]
    mapped = [m["area"]["ecp5"]["luts"] for m in members if "ecp5" in m.get("area", {})]
    ratio = f"{max(mapped) / min(mapped):.0f}" if mapped else "?"
    text = f"""# Library of 24 x 24 multipliers

`fmul_library:M=m` multiplies f32 with circuit m as the multiplier of significands,
`mul24_library:M=m` is the circuit itself. {len(members)} circuits, no two with one function; mean
relative errors from {min(errors):.1g} to {max(errors):.2g}; areas on ECP5 over a factor of {ratio}.
`make library` writes this page and [index.json](../hdl_lib/mul24_library/index.json), and goes on
where it was interrupted.

- **Shipped** is a description of each circuit, a line of the index; the Verilog of circuit m is
  written where m is asked for (`asnet_mlir/cores/sources/by_number.py` says how circuits are
  described). Models are derived from that text, and bundles hold it.
- **Errors** are of {_PAIRS:,} pairs of uniform 24-bit operands (seed {_SEED}), by the gates of
  Yosys' netlist.
- **WCE**: proved, by algebra or intervals, for {len(proved)}, and reached by operands for {reached}
  of them (the others: "at most"); the index holds operands and the command that repeats the proof
  ([decision 22](decisions/0022-error-proofs.md)).
- **Area** between registers: LUT4 of ECP5 and ALUTs of Cyclone V, soft logic only; area of cells
  in the 0.18 um library of Debian's `qflow-tech-osu018`, by Yosys and abc (um^2). What is empty
  has not been mapped yet.
- **No two alike**: SHA-256 of the results for these operands, `signature` in the index.

Evolved circuits of other widths, and adders: [fronts.md](fronts.md).

![errors and areas](library.png)

| M | circuit | origin | MRE | WCE | LUT4 | ALUT | osu018 |
|---|---|---|---|---|---|---|---|
"""
    PAGE.write_text(text + "\n".join(rows) + "\n")
    _picture(members, exact)


def _picture(members: Sequence[dict[str, Any]], exact: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(15, 5.4), layout="constrained")
    targets = (("ecp5", "luts", "LUT4"), ("cyclonev", "luts", "ALUT"), ("asic", "area", "um²"))
    for axis, (target, key, unit) in zip(axes, targets, strict=True):
        for number, origin in enumerate(dict.fromkeys(m["origin"] for m in members)):
            colour = pyplot.get_cmap("tab20")(number % 20)
            points = [
                (max(m["metrics"]["MRE"], 1e-9), m["area"][target][key])
                for m in members
                if m["origin"] == origin and target in m.get("area", {})
            ]
            if points:
                axis.plot(*zip(*points, strict=True), "o", markersize=4, color=colour, label=origin)
        axis.set(xscale="log", xlabel="mean relative error (exact: 1e-9)", ylabel=unit)
        axis.set_title({"ecp5": "ECP5", "cyclonev": "Cyclone V", "asic": "osu018"}[target])
        axis.grid(alpha=0.3)
    if axes[0].lines:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=7, fontsize=8)
    figure.savefig(PICTURE, dpi=110)


def main() -> int:
    """Carry the steps out."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--liberty", type=Path, default=LIBERTY)
    parser.add_argument(
        "--evolved", nargs="+", type=Path, default=[], help="folders of `asnet cores evolve`"
    )
    options = parser.parse_args()
    for folder in options.evolved:
        take(folder)
    index = read()
    for step in options.only:
        if step == "functions":
            functions(index)
        elif step == "proofs":
            proofs(index)
        elif step == "page":
            page(index)
        elif step == "asic" and not options.liberty.is_file():
            print(f"asic: {options.liberty} is not there (Debian: qflow-tech-osu018)")
        else:
            areas(index, step, options.liberty if step == "asic" else None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
