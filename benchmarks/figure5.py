# SPDX-License-Identifier: Apache-2.0
"""Fig. 5 of the paper: every circuit of the library in convolutional_mnist.

    make figure5           (or: python benchmarks/figure5.py [--only STEP ..]
                                                             [--first N] [--placed N]
                                                             [--simulated N])

Steps: `accuracy` of each on 10,000 images; those below 95 % are dropped; `area` of the network's
whole machine with each of the others (Yosys, ECP5); `clock` of the smallest ones (nextpnr);
`bundle` simulates that of A, the smallest one, and compares its words with the model's; `page`
writes docs/figure5.md and its picture, `report` build/figure5.html and its pictures, as `asnet
report` shows the store build/figure5.sqlite, which has the accuracies with the machines' areas.
Results (figure5.json) are written after every design, and an interrupted run goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import host

ROOT = Path(__file__).resolve().parent.parent
INDEX = ROOT / "hdl_lib" / "mul24_library" / "index.json"
PATH = host.RESULTS / "figure5.json"
PAGE = ROOT / "docs" / "figure5.md"
PICTURE = ROOT / "docs" / "figure5.png"
STORE = ROOT / "build" / "figure5.sqlite"
#: Circuits of which the accuracies are measured before they are written.
_BATCH = 8
NETWORK, DATA = "convolutional_mnist", "mnist:test"
REQUIRED = 0.95
STEPS = ("accuracy", "area", "clock", "bundle", "page", "report")
#: What the paper's text states (section V-E): A has the least area, F the highest clock.
PAPER = {
    "dropped": "more than 86 %",
    "A": {"reduction": 2.324, "fmax_mhz": 62.33},
    "F": {"reduction": 0.852, "fmax_mhz": 63.93},
}
# A circuit is checked on fewer pairs than a core that is used by itself: there are so many.
_CHECK_VECTORS = "65536"


def read() -> list[dict[str, Any]]:
    """Return what is known of each circuit: a circuit that is another one now is new."""
    known = json.loads(PATH.read_text())["members"] if PATH.is_file() else []
    by_signature = {entry["signature"]: entry for entry in known}
    members = json.loads(INDEX.read_text())["members"]
    return [
        {
            **by_signature.get(member["signature"], {}),
            "M": number,
            "name": member["name"],
            "MRE": member["metrics"]["MRE"],
            "signature": member["signature"],
        }
        for number, member in enumerate(members)
    ]


def write(entries: Sequence[dict[str, Any]]) -> None:
    """Keep what is known."""
    new = PATH.with_suffix(".new")
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    new.write_text(f'{{"machine": {json.dumps(host.describe())}, "members": [\n{lines}\n]}}\n')
    os.replace(new, PATH)


def spread(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return circuits in an order in which those done first are spread over the library."""
    return sorted(entries, key=lambda entry: f"{entry['M']:08b}"[::-1])


def accuracy(entries: Sequence[dict[str, Any]], first: int) -> None:
    """Evaluate what is not, `first` circuits at most."""
    left = spread([entry for entry in entries if "accuracy" not in entry][:first])
    for begin in range(0, len(left), _BATCH):
        start = time.monotonic()
        batch = left[begin : begin + _BATCH]
        found = explored([entry["M"] for entry in batch])
        for entry in batch:
            result = found[entry["M"]]
            entry["accuracy"], entry["images"] = result.value, result.samples
        write(entries)
        took = (time.monotonic() - start) / len(batch)
        print(
            ", ".join(f"M={entry['M']}: {entry['accuracy']:.4f}" for entry in batch)
            + f"; {took:.0f} s each, {len(left) - begin - len(batch)} to evaluate",
            flush=True,
        )


def circuit_of(binding: Any) -> int:
    """Return which circuit a binding has; the exact operation is that of circuit 0."""
    return next((rule.instance.all_parameters["M"] for rule in binding.rules), 0)


def explored(circuits: Sequence[int], cost: Any = "none") -> dict[int, Any]:
    """Return results by circuit; what the store has is not computed again."""
    import asnet_mlir

    core = {"op": "mulf", "core": "fmul_library", "parameters": {"M": sorted(circuits)}}
    found = asnet_mlir.explore(NETWORK, DATA, {"cores": [core]}, store=STORE, cost=cost)
    return {circuit_of(one.binding): one for one in found.results if one.binding.rules}


def report(entries: Sequence[dict[str, Any]], first: int) -> None:
    """Write the store's report: all circuits, those whose machines are mapped with their areas."""
    import asnet_mlir

    luts = {entry["M"]: entry["mapped"]["luts"] for entry in entries if "mapped" in entry}

    def machine_luts(binding: Any) -> float:
        return float(luts[circuit_of(binding)])

    done = [entry["M"] for entry in entries if "accuracy" in entry][:first]
    if not done:
        return
    explored(done)
    if 0 in luts and (mapped := [m for m in done if m in luts]):
        explored(mapped, machine_luts)
    page = STORE.with_suffix(".html")
    for path in asnet_mlir.report(STORE, page, png=STORE.with_suffix("")):
        print(path.relative_to(ROOT), flush=True)


def kept(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the circuits that are accurate enough."""
    return [entry for entry in entries if entry.get("accuracy", 0.0) >= REQUIRED]


def machine(m: int, folder: Path) -> Path:
    """Generate the network's machine with circuit `m` below a folder."""
    import asnet_mlir

    asnet_mlir.generate(NETWORK, f"mulf=fmul_library:M={m}", output=folder / "bundle")
    return folder / "bundle"


def exchanged(exact: Path, m: int, folder: Path) -> Path:
    """Return a copy of the exact machine with circuit `m` in the place of its own.

    What a machine is but for the circuit's text does not depend on the circuit: generating each
    one would check its model and compute test vectors, of which no area depends.
    """
    from asnet_mlir.cores import parse_instance
    from asnet_mlir.hardware.bundle.core_files import unit_files
    from asnet_mlir.hardware.bundle.systemverilog import merge_sources

    bundle = folder / "bundle"
    shutil.copytree(exact, bundle)
    core = unit_files(parse_instance(f"fmul_library:M={m}"))
    merged = merge_sources({0: (core.module, core.sources)}, prefix=f"{NETWORK}_")
    names = []
    for name, text in merged.files:
        names.append(f"cores/{name}")
        (bundle / names[-1]).write_text(text)
    listed = bundle / "filelist.f"
    others = [name for name in listed.read_text().split() if name not in names]
    listed.write_text("".join(f"{name}\n" for name in (*names, *others)))
    top = bundle / "rtl" / f"{NETWORK}.sv"
    text, count = re.subn(r"\.M\(0\)", f".M({m})", top.read_text())
    assert count == 1, f"{top}: {count} multipliers of the library"
    top.write_text(text)
    return bundle


def area(entries: Sequence[dict[str, Any]], first: int) -> None:
    """Map the network's machine with each circuit that is accurate enough."""
    import asnet_mlir

    left = [entry for entry in kept(entries) if "mapped" not in entry][:first]
    with tempfile.TemporaryDirectory(prefix="asnet-figure5-") as place:
        exact = machine(0, Path(place)) if left else Path()
        for number, entry in enumerate(spread(left)):
            with tempfile.TemporaryDirectory(prefix="asnet-figure5-") as folder:
                bundle = exchanged(exact, entry["M"], Path(folder))
                found = asnet_mlir.synthesize(bundle, route=False, modified=True)
            entry["mapped"] = {key: found[key] for key in ("luts", "ffs")}
            write(entries)
            print(
                f"M={entry['M']}: {found['luts']} LUT4; {len(left) - number - 1} to map", flush=True
            )


def _placed(m: int) -> dict[str, Any]:
    """Return area and clock of the network's machine with circuit `m`, a median of three seeds."""
    import asnet_mlir

    with tempfile.TemporaryDirectory(prefix="asnet-figure5-") as folder:
        found = asnet_mlir.synthesize(machine(m, Path(folder)), seeds=3)
    return {key: found[key] for key in ("luts", "ffs", "fmax_mhz", "fmax_mhz_by_seed", "device")}


def clock(entries: Sequence[dict[str, Any]], placed: int) -> None:
    """Place the smallest machines, and the exact one."""
    mapped = [entry for entry in kept(entries) if "mapped" in entry]
    smallest = sorted(mapped, key=lambda e: e["mapped"]["luts"])[:placed]
    for entry in [*smallest, *(e for e in mapped if e["M"] == 0)]:
        if "placed" not in entry:
            entry["placed"] = _placed(entry["M"])
            write(entries)
            print(f"M={entry['M']}: {entry['placed']['fmax_mhz']} MHz", flush=True)


def smallest(entries: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the circuit of the smallest machine that is mapped; None where none is."""
    mapped = [entry for entry in kept(entries) if "mapped" in entry]
    return min(mapped, key=lambda e: e["mapped"]["luts"], default=None)


def bundle(entries: Sequence[dict[str, Any]], images: int) -> None:
    """Simulate the machine of the smallest circuit on images of the test set."""
    import asnet_mlir

    entry = smallest(entries)
    if entry is None or entry.get("simulated", {}).get("images", 0) >= images:
        return
    with tempfile.TemporaryDirectory(prefix="asnet-figure5-") as folder:
        found = asnet_mlir.simulate(machine(entry["M"], Path(folder)), DATA, samples=images)
    wrong = found.mismatches + found.vector_mismatches
    entry["simulated"] = {"images": found.samples, "differing_words": wrong}
    write(entries)
    print(f"M={entry['M']}: {wrong} differing words in {found.samples} images", flush=True)


def page(entries: Sequence[dict[str, Any]]) -> None:
    """Write docs/figure5.md and its picture."""
    done = [entry for entry in entries if "accuracy" in entry]
    good = kept(done)
    mapped = [entry for entry in good if "mapped" in entry]
    placed = [entry for entry in mapped if "placed" in entry]
    largest = max((entry["mapped"]["luts"] for entry in mapped), default=0)

    def reduction(entry: dict[str, Any]) -> float:
        return 100 * (1 - entry["mapped"]["luts"] / largest)

    def row(what: str, entry: dict[str, Any] | None, paper: str) -> str:
        theirs: Any = PAPER[paper]
        if entry is None:
            ours = ["not measured yet"] * 3
        else:
            found = entry.get("placed", {}).get("fmax_mhz")
            mhz = f"{found:.2f} MHz" if found else "not placed"
            ours = [f"M={entry['M']} ({entry['name']})", f"{reduction(entry):.3f} %", mhz]
        cells = [what, *ours, f"{theirs['reduction']} % LE", f"{theirs['fmax_mhz']} MHz"]
        return "| " + " | ".join(cells) + " |"

    least = smallest(entries)
    simulated = (least or {}).get("simulated")
    words = (
        f"The machine of A, simulated on {simulated['images']} images, gives "
        f"{simulated['differing_words']} words that differ from the model's."
        if simulated
        else "The machine of A is not simulated yet."
    )
    fastest = max(placed, key=lambda e: e["placed"]["fmax_mhz"]) if len(placed) > 1 else None
    against = _against_exact({"A": least, "F": fastest}, mapped)
    dropped = f"{100 * (1 - len(good) / len(done)):.1f} %" if done else "not measured yet"
    so_far = "" if len(done) == len(entries) else " so far: the run is not complete"
    text = f"""# Fig. 5: the library's multipliers in convolutional_mnist

`make figure5` binds each of the {len(entries)} circuits of [library.md](library.md) to all
multiplications and measures the accuracy on 10,000 images; what is below {REQUIRED:.0%} is dropped
before synthesis. {len(done)} circuits are evaluated, {len(good)} are accurate enough:
{dropped} dropped{so_far}.
The paper drops {PAPER["dropped"]} of its circuits, which evolution made; most of ours are from
families, so that the shares say how many inaccurate circuits a library holds.

{len(mapped)} machines are mapped to ECP5 (Yosys), {len(placed)} of them, the smallest ones and the
exact one in the end, placed and routed (nextpnr, median of three seeds): F is the fastest. The
paper's figures are logic elements and clocks of Cyclone V by Quartus. Reductions are of the whole
network's machine, against the largest one, as in the paper. {against}{words}
The command also leaves a store with the accuracies and areas, `build/figure5.sqlite`, which
`asnet report` shows, and that report as `build/figure5.html` and pictures.

| point | circuit | area | clock | paper: area | paper: clock |
|---|---|---|---|---|---|
{row("A, least area", least, "A")}
{row("F, highest clock", fastest, "F")}

![accuracy, area and clock](figure5.png)
"""
    PAGE.write_text(text)
    _picture(done, mapped, placed, reduction)


def _against_exact(points: Mapping[str, Any], mapped: Sequence[dict[str, Any]]) -> str:
    """Say what points save of the machine with the exact circuit, which is not the largest."""
    exact = next((entry for entry in mapped if entry["M"] == 0), None)
    if exact is None:
        return ""
    luts = exact["mapped"]["luts"]
    saved = [
        f"{name} {100 * (1 - entry['mapped']['luts'] / luts):.1f} %"
        for name, entry in points.items()
        if entry is not None
    ]
    mhz = f", {exact['placed']['fmax_mhz']:.2f} MHz" if "placed" in exact else ""
    return (
        f"Of the machine with the exact circuit (M=0: {luts:,} LUT4{mhz}) they save: "
        f"{', '.join(saved)}.\n"
    )


def _picture(done: Any, mapped: Any, placed: Any, reduction: Any) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(
        1, 3, figsize=(15, 4.4), constrained_layout=True
    )
    for good, colour in ((False, "goldenrod"), (True, "tab:blue")):
        chosen = [e for e in done if (e["accuracy"] >= REQUIRED) == good]
        left.plot(
            [max(e["MRE"], 1e-9) for e in chosen],
            [100 * e["accuracy"] for e in chosen],
            "o",
            color=colour,
            markersize=4,
            label=f"{'at least' if good else 'below'} {REQUIRED:.0%}: {len(chosen)}",
        )
    left.set(xscale="log", xlabel="mean relative error (exact: 1e-9)", ylabel="accuracy, %")
    left.legend()
    middle.plot(
        [reduction(e) for e in mapped],
        [100 * e["accuracy"] for e in mapped],
        "o",
        color="tab:blue",
        markersize=4,
    )
    middle.set(xlabel="area reduction of the machine, %", ylabel="accuracy, %")
    right.plot(
        [reduction(e) for e in placed],
        [e["placed"]["fmax_mhz"] for e in placed],
        "o",
        color="tab:blue",
        markersize=5,
        label="ours (ECP5, nextpnr)",
    )
    for name in ("A", "F"):
        theirs: Any = PAPER[name]
        right.plot(theirs["reduction"], theirs["fmax_mhz"], "x", color="black")
        right.annotate(f" {name}, paper", (theirs["reduction"], theirs["fmax_mhz"]))
    right.set(xlabel="area reduction of the machine, %", ylabel="clock, MHz")
    for axis in (left, middle, right):
        axis.grid(alpha=0.3)
    figure.savefig(PICTURE, dpi=110)


def main() -> int:
    """Carry the steps out."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--first", type=int, default=1 << 20, help="circuits of a step, at most")
    parser.add_argument("--placed", type=int, default=8, help="machines that are placed")
    parser.add_argument("--simulated", type=int, default=3, help="images that A's machine is given")
    options = parser.parse_args()
    os.environ.setdefault("ASNET_CHECK_VECTORS", _CHECK_VECTORS)
    entries = read()
    for step in options.only:
        if step == "accuracy":
            accuracy(entries, options.first)
        elif step == "area":
            area(entries, options.first)
        elif step == "clock":
            clock(entries, options.placed)
        elif step == "bundle":
            bundle(entries, options.simulated)
        elif step == "report":
            report(entries, options.first)
        else:
            page(entries)
    return 0


if __name__ == "__main__":
    sys.exit(main())
