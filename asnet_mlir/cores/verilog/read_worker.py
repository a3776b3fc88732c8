# SPDX-License-Identifier: Apache-2.0
"""Run Yosys jobs, one after the other: `python -P read_worker.py JOBS.json`.

A process of its own because a Yosys error ends the process.  It imports nothing of this package.
JOBS.json is a list of groups `{"read": [COMMAND, ..], "jobs": [JOB, ..], "cpu_seconds": N}`; the
jobs of a group share their sources, which are read once.  A job is `{"output": FILE, "script":
[STEP, ..]}`; its netlist goes to FILE, so that a FILE that is missing tells the parent which job
ended the process.  A step is a command of Yosys, or `@drivers`, which prints `@@conflict NET` for
each net that is joined with two others, or `{"tie": {PORT: VALUE, ..}, "keep": [PORT, ..]}`, which
makes some of the top module's inputs constants and takes all other outputs from its ports.

Reading and each job may take `cpu_seconds`; at the bound SIGPROF ends the process.
"""

import json
import os
import signal
import sys

from pyosys import libyosys


def main() -> None:
    """Run the jobs of the file named on the command line."""
    with open(sys.argv[1], encoding="utf-8") as file:
        groups = json.load(file)
    for group in groups:
        signal.setitimer(signal.ITIMER_PROF, group["cpu_seconds"])
        design = libyosys.Design()
        print(f"\n@@read {group['name']}", flush=True)
        for command in group["read"]:
            libyosys.run_pass(command, design)
        libyosys.run_pass("design -save sources", design)
        for job in group["jobs"]:
            signal.setitimer(signal.ITIMER_PROF, group["cpu_seconds"])
            print(f"\n@@job {job['output']}", flush=True)
            libyosys.run_pass("design -load sources", design)
            for step in job["script"]:
                if step == "@drivers":
                    print_conflicts(design.top_module())
                elif isinstance(step, str):
                    libyosys.run_pass(step, design)
                else:
                    fix_ports(design.top_module(), step["tie"], step["keep"])
            libyosys.run_pass(f"write_json {job['output']}.part", design)
            os.replace(job["output"] + ".part", job["output"])
        libyosys.run_pass("design -reset", design)
        libyosys.run_pass("design -delete sources", design)


def print_conflicts(module: libyosys.Module) -> None:
    """Name the nets that two wires drive: later passes keep one of them, and no cell tells.

    What nobody reads is left out: a loop's variable that several blocks share.
    """
    driven = set()
    conflicts = []
    for left, _ in module.connections():
        for bit in left.bits():
            if bit.wire is None:
                continue
            key = (bit.wire.name.str(), bit.offset)
            if key in driven or bit.wire.port_input:
                conflicts.append((key, bit.wire.port_input or bit.wire.port_output))
            driven.add(key)
    if not conflicts:
        return
    sources = [right for _, right in module.connections()]
    for cell in (module.cell_at(index) for index in range(module.cells_size())):
        sources += [bits for port, bits in cell.connections().items() if not cell.output(port)]
    read = {
        (bit.wire.name.str(), bit.offset)
        for bits in sources
        for bit in bits.bits()
        if bit.wire is not None
    }
    for key, is_port in conflicts:
        if is_port or key in read:
            print(f"@@conflict {key[0].removeprefix(chr(92))}", flush=True)


def fix_ports(module: libyosys.Module, tie: dict[str, int], keep: list[str]) -> None:
    """Drive inputs with constants from inside and let go of outputs; leave what is not there."""
    for name, value in tie.items():
        wire = module.wire(libyosys.IdString("\\" + name))
        if wire is not None and wire.port_input and not wire.port_output:
            wire.port_input = False
            bits = "".join(str(value >> i & 1) for i in reversed(range(wire.width)))
            constant = libyosys.Const.from_string(bits)
            module.connect(libyosys.SigSpec(wire), libyosys.SigSpec(constant))
    kept = {libyosys.IdString("\\" + name) for name in keep}
    names = list(module.ports)
    if kept & set(names):
        for name in names:
            wire = module.wire(name)
            if wire.port_output and not wire.port_input and name not in kept:
                wire.port_output = False
    module.fixup_ports()


if __name__ == "__main__":
    main()
