# SPDX-License-Identifier: Apache-2.0
"""Maps the board and the network to ECP5 by Yosys, as `pyosys` has it; reads nextpnr's report.

python synthesize.py BUNDLE OUTPUT.json SOURCE..
python synthesize.py --report REPORT.json MHZ
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def synthesize(bundle: Path, output: str, sources: list[str]) -> None:
    """Map to LUTs, multipliers of the network's cores in soft logic."""
    from pyosys import libyosys

    manifest = json.loads((bundle / "manifest.json").read_text())
    defines = [
        f"-DNETWORK={manifest['top']}",
        f"-DIN_BYTES={manifest['input_words']}",
        f"-DOUT_BYTES={manifest['output_words']}",
    ]
    board = [str(Path(source).resolve()) for source in sources]
    netlist = Path(output).resolve()
    os.chdir(bundle)  # where ROMs are read from `rom`
    files = Path("filelist.f").read_text().split()
    design = libyosys.Design()
    design.run_pass(f"read_verilog -sv -defer {' '.join([*defines, *files, *board])}")
    design.run_pass("scratchpad -set abc9.nomfs 1")
    design.run_pass(f"synth_ecp5 -top ulx3s -json {netlist}")


def report(path: str, mhz: float) -> None:
    """Print area and clock; end with status 1 where the clock is missed."""
    found = json.loads(Path(path).read_text())
    used = {name: entry["used"] for name, entry in found["utilization"].items() if entry["used"]}
    names = ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "MULT18X18D")
    print(", ".join(f"{name} {used.get(name, 0)}" for name in names))
    clocks = {name: round(entry["achieved"], 1) for name, entry in found["fmax"].items()}
    print(", ".join(f"{name} {value} MHz" for name, value in clocks.items()))
    if any(value < mhz for name, value in clocks.items() if "25mhz" not in name):
        print(f"the clock of {mhz:g} MHz is missed", file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    if sys.argv[1] == "--report":
        report(sys.argv[2], float(sys.argv[3]))
    else:
        synthesize(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
