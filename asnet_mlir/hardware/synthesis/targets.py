# SPDX-License-Identifier: Apache-2.0
"""What Yosys runs for each target, and how its cells are counted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asnet_mlir.errors import InputError

__all__ = [
    "TARGETS",
    "VENDOR_TARGETS",
    "Device",
    "count",
    "delay_ns",
    "ecp5_device",
    "ecp5_fit",
    "ecp5_misfit",
    "ecp5_multipliers",
    "script",
]

TARGETS = ("ecp5", "cyclonev", "xilinx7", "asic")

#: By the vendor's own tools, where they are there: `projects`.
VENDOR_TARGETS = ("quartus", "vivado")

#: Where a flow stops to have its ROMs looked at: the first step that maps memories to cells.
_MEMORY_STEP = {"ecp5": "map_ram", "cyclonev": "map_bram", "xilinx7": "map_memory", "asic": "fine"}

#: Cell models with delays (`specify` blocks), for Yosys' `sta`.
_CELL_MODELS = {
    "cyclonev": (
        "-D cyclonev",
        [f"+/intel_alm/common/{kind}_sim.v" for kind in ("alm", "dff", "dsp", "mem", "misc")],
    ),
    "xilinx7": ("", ["+/xilinx/cells_sim.v"]),
}

#: LUTs that a distributed memory or shift register of Xilinx 7 occupies.
_XILINX_MEMORY_LUTS = {
    "RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM32M": 4, "RAM64M": 4,
    "RAM128X1S": 2, "RAM128X1D": 4, "RAM256X1S": 4, "SRL16E": 1, "SRLC16E": 1, "SRLC32E": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Device:
    """An ECP5 device: LUTs, block RAMs of 18 kbit and multipliers that it has."""

    name: str
    luts: int
    brams: int
    dsps: int


_ECP5 = (
    Device("25k", 24288, 56, 28),
    Device("45k", 43848, 108, 72),
    Device("85k", 83640, 208, 156),
)


def ecp5_device(counts: Mapping[str, int], name: str | None = None) -> Device:
    """Return the device that is named, or else the smallest with a tenth of its LUTs to spare.

    Raises:
      InputError: there is no such device, or the design does not fit: by how much.
    """
    if name is None:
        for device in _ECP5:
            spacious = counts["luts"] < 0.9 * device.luts
            if spacious and not _excess(counts, device):
                return device
        device = _ECP5[-1]
    else:
        device = _named(name)
    excess = _excess(counts, device)
    if excess:
        larger = _larger(counts, device)
        advice = f"; it fits {larger}" if larger else "; it is the largest device"
        raise InputError(f"the design does not fit ECP5 {device.name}: {excess}{advice}")
    return device


def ecp5_fit(counts: Mapping[str, int], name: str) -> dict[str, Any]:
    """Return whether what is known of a design's needs fits a device.

    Args:
      counts: some of `luts`, `brams` and `dsps`.

    Returns:
      name, fits, excess (what is lacking, in words), larger (a larger device that fits, or None).

    Raises:
      InputError: there is no such device.
    """
    device = _named(name)
    excess = _excess(counts, device)
    larger = _larger(counts, device) if excess else None
    return {"name": device.name, "fits": not excess, "excess": excess, "larger": larger}


def ecp5_multipliers(name: str) -> int:
    """Return how many multipliers a device has.

    Raises:
      InputError: there is no such device.
    """
    return _named(name).dsps


def _named(name: str) -> Device:
    for device in _ECP5:
        if device.name == name.lower():
            return device
    names = ", ".join(device.name for device in _ECP5)
    raise InputError(f"unknown ECP5 device '{name}'; devices are {names}")


def _larger(counts: Mapping[str, int], device: Device) -> str | None:
    larger = [d.name for d in _ECP5 if d.luts > device.luts and not _excess(counts, d)]
    return larger[0] if larger else None


def ecp5_misfit(name: str, counts: Mapping[str, int]) -> str:
    """Return by how much a design does not fit a device, or ''."""
    try:
        ecp5_device(counts, name)
    except InputError as error:
        return str(error)
    return ""


def _excess(counts: Mapping[str, int], device: Device) -> str:
    """Return what the design needs beyond what the device has, or ''."""
    parts = []
    for key, what, there in (
        ("luts", "LUTs", device.luts),
        ("brams", "block RAMs", device.brams),
        ("dsps", "multipliers", device.dsps),
    ):
        needed = counts.get(key, 0)
        if needed > there:
            parts.append(f"{needed} {what} where there are {there} ({needed - there} too many)")
    return ", ".join(parts)


def script(
    target: str, top: str, sources: list[str], dsp: bool, on_codes: bool, liberty: str | None
) -> list[str]:
    """Return the Yosys commands that map `sources` (file names, in order) to `target`.

    `on_codes` says that they are engines on codes. The commands leave memories.json (every memory
    before it is mapped), stat.json, for ECP5 the netlist design.json and where cells have delays
    sta.txt.
    """
    # Constant operand bits of a truncating core must be seen through its shifters and dividers
    # before they are shared or mapped.
    # Engines on codes have products of their own for soft logic, and pairs for 25 x 18 bits.
    kind = ""
    if on_codes and target != "asic":
        pairs = " -DASNET_PAIRED_PRODUCTS" if target == "xilinx7" else ""
        kind = pairs if dsp else " -DASNET_SOFT_PRODUCTS"
    commands = [f"read_verilog -defer -sv{kind} {name}" for name in sources]
    commands += [f"hierarchy -check -top {top}", "proc", "flatten"]
    commands += ["opt_expr -full -mux_undef", "opt_clean", "scratchpad -set abc9.nomfs 1"]
    flow = {
        "ecp5": f"synth_ecp5 -top {top}",
        "cyclonev": f"synth_intel_alm -family cyclonev -top {top} -noiopad -noclkbuf",
        "xilinx7": f"synth_xilinx -family xc7 -abc9 -top {top} -noiopad -noclkbuf",
        "asic": f"synth -top {top} -flatten",
    }[target]
    if not dsp and target != "asic":
        flow += " -nodsp"
    step = _MEMORY_STEP[target]
    commands += [
        f"{flow} -run begin:{step}",
        "select t:$mem_v2",
        "write_json -selected memories.json",
        "select -clear",
    ]
    if target == "asic":
        return [*commands, *_to_gates(liberty or "")]
    commands += [f"{flow} -run {step}:"]
    if target == "ecp5":
        commands.append("write_json design.json")
    commands.append("tee -q -o stat.json stat -json")
    if target in _CELL_MODELS:
        define, models = _CELL_MODELS[target]
        # sta wants cell models with delays, which the flow has read without.
        commands += [
            "write_rtlil mapped.il",
            "design -reset",
            "read_rtlil mapped.il",
            f"read_verilog -specify -lib {define} -overwrite {' '.join(models)}",
            f"hierarchy -top {top}",
            "tee -q -o sta.txt sta",
        ]
    return commands


def _to_gates(liberty: str) -> list[str]:
    """Return the rest of `synth` without `memory_map`, and the mapping to a library's gates.

    Memories stay as they are: in silicon they are macros, not flip-flops.
    """
    # The path that abc sees lies between registers: without their own delay and setup time.
    # stime prints the delay of the longest path, from the tables of the library.
    mapping = "strash;ifraig;scorr;dc2;dch,-f;map,-B,0.9;topo;buffer,-c;upsize;dnsize;stime,-p"
    return [
        "opt -fast -full",
        "opt -undriven -fine",
        "techmap",
        "opt -fast",
        "abc",
        "opt -fast",
        f"dfflibmap -liberty {liberty}",
        f"tee -q -o abc.txt abc -liberty {liberty} -script +{mapping}",
        "opt_clean",
        f"tee -q -o stat.json stat -json -liberty {liberty}",
        # For the power: the gates without memories, in the plain Verilog that OpenSTA reads.
        "delete t:$mem_v2",
        "setundef -zero",
        "splitnets -ports",
        "opt_clean",
        "write_verilog -noattr -noexpr -nohex -nodec gates.v",
    ]


def count(target: str, cells: Mapping[str, int]) -> dict[str, int]:
    """Return luts, ffs, dsps, brams (and what else a target has) of a netlist's cells by type.

    Block RAMs count 18 kbit on ECP5 and Xilinx 7 (one of 36 kbit counts twice), 10 on Cyclone V.
    """
    if target == "ecp5":
        # 4-input LUTs: carry chains and small memories are made of them, too.
        return {
            "luts": cells.get("LUT4", 0)
            + 2 * cells.get("CCU2C", 0)
            + 4 * cells.get("TRELLIS_DPR16X4", 0),
            "ffs": cells.get("TRELLIS_FF", 0),
            "dsps": cells.get("MULT18X18D", 0),
            "brams": cells.get("DP16KD", 0),
        }
    if target == "cyclonev":
        return {
            "luts": sum(n for cell, n in cells.items() if "_ALUT" in cell),
            "ffs": cells.get("MISTRAL_FF", 0),
            "dsps": sum(n for cell, n in cells.items() if cell.startswith("MISTRAL_MUL")),
            "brams": cells.get("MISTRAL_M10K", 0),
            "alms_estimated": _alms(cells),
        }
    if target == "xilinx7":
        memory = sum(n * cells.get(cell, 0) for cell, n in _XILINX_MEMORY_LUTS.items())
        return {
            "luts": memory + sum(cells.get(f"LUT{n}", 0) for n in range(1, 7)),
            "ffs": sum(cells.get(cell, 0) for cell in ("FDRE", "FDSE", "FDCE", "FDPE")),
            "dsps": cells.get("DSP48E1", 0),
            "brams": 2 * cells.get("RAMB36E1", 0) + cells.get("RAMB18E1", 0),
        }
    return {}  # gates: they have no such things


def _alms(cells: Mapping[str, int]) -> int:
    """Estimate the ALMs: two functions of up to 4 inputs share one, or one of 5 and one of 3."""
    five, four = cells.get("MISTRAL_ALUT5", 0), cells.get("MISTRAL_ALUT4", 0)
    small = cells.get("MISTRAL_ALUT3", 0) + cells.get("MISTRAL_ALUT2", 0)
    chain = cells.get("MISTRAL_ALUT_ARITH", 0)
    alone = small - min(five, small)
    return cells.get("MISTRAL_ALUT6", 0) + five + (four + alone + 1) // 2 + (chain + 1) // 2


def delay_ns(target: str, work: Path) -> float | None:
    """Return the longest path between registers by the delays of the cells alone, without wires."""
    if target == "asic":
        found = re.findall(r"Delay\s*=\s*([0-9.]+)\s*ps", (work / "abc.txt").read_text())
        return round(max(map(float, found)) / 1000, 3) if found else None
    path = work / "sta.txt"
    if not path.is_file():
        return None
    match = re.search(r"Latest arrival time in '[^']*' is (\d+)", path.read_text())
    return round(int(match[1]) / 1000, 3) if match else None


def leakage_power(liberty: str, cells: Mapping[str, int]) -> tuple[float | None, str | None]:
    """Return the sum of `cell_leakage_power` of a netlist's cells by type, and its unit.

    Both are None where the library does not give it for each of them, or states no unit.
    """
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", liberty, flags=re.DOTALL)
    unit = re.search(r'\bleakage_power_unit\s*:\s*"?([^";]+?)"?\s*;', text)
    parts = re.split(r'\bcell\s*\(\s*"?([^")\s]+)"?\s*\)\s*\{', text)
    leaks = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        found = re.search(r'\bcell_leakage_power\s*:\s*"?([-+.0-9eE]+)', body)
        if found:
            leaks[name] = float(found[1])
    gates = {cell: n for cell, n in cells.items() if not cell.startswith("$")}
    if unit is None or not gates.keys() <= leaks.keys():
        return None, None
    return round(sum(n * leaks[cell] for cell, n in gates.items()), 6), unit[1]


#: `set_power_activity -pins` of OpenSTA before 2.0 reads a variable that it does not set.
_SET_ACTIVITY_OF = """proc set_activity_of {kind what activity duty} {
  if {[llength [info commands sta::set_power_${kind}_activity]]} {
    sta::set_power_${kind}_activity $what $activity $duty
  } else {
    set_power_activity -${kind}s $what -activity $activity -duty $duty
  }
}"""


def power_script(
    top: str, mhz: float, activity: float | Mapping[tuple[str, str], tuple[float, float]]
) -> str:
    """Return the commands with which OpenSTA reports the power of gates.v.

    Args:
      activity: changes in a cycle of `clk`, of every net; or of each pin by instance and name
        (ports have no instance), with the share of cycles in which it is 1.  Wires have no load.
    """
    if isinstance(activity, Mapping):
        set_activity = []
        for (instance, pin), (changes, duty) in activity.items():
            values = f"{changes:.9f} {duty:.9f}"
            where = f"pin [get_pins {{{instance}/{pin}}}]"
            if not instance:
                name = re.sub(r"[][]", r"\\\g<0>", pin)  # brackets are patterns
                where = f"input_port [get_ports {{{name}}}]"
            set_activity.append(f"set_activity_of {where} {values}")
    else:
        set_activity = [f"set_power_activity -global -activity {activity:g}"]
    period = f"create_clock -name clk -period {1000 / mhz:g}"
    return "\n".join(
        [
            "read_liberty cells.lib",
            "read_verilog gates.v",
            f"link_design {top}",
            "if {[llength [get_ports -quiet clk]]} {",
            f"  {period} [get_ports clk]",
            "} else {",
            f"  {period}",
            "}",
            _SET_ACTIVITY_OF,
            *set_activity,
            "report_power -digits 6",
            "exit",
            "",
        ]
    )


def power_watts(report: str) -> dict[str, float] | None:
    """Return internal, switching, leakage and total power in W of OpenSTA's report."""
    match = re.search(r"^Total\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)", report, re.M)
    if match is None:
        return None
    names = ("internal", "switching", "leakage", "total")
    try:
        return dict(zip(names, map(float, match.groups()), strict=True))
    except ValueError:
        return None


def gate_area(stat: Mapping[str, Any]) -> float:
    """Return the area in the unit of the liberty file that Yosys' `stat -json` states."""
    section = stat.get("design") or next(iter(stat["modules"].values()))
    return float(section.get("area", 0.0))
