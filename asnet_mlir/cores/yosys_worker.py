"""Run Yosys jobs, one after the other: `python -P yosys_worker.py JOBS.json`.

A process of its own because a Yosys error ends the process.  It imports nothing of this package.
JOBS.json is a list of lists of jobs; the jobs of one inner list share their sources, which are read
once.  A job is `{"output": FILE, "script": [COMMAND, ..]}`; its netlist goes to FILE, so that a
FILE that is missing tells the parent which job ended the process.
"""

import json
import os
import sys

from pyosys import libyosys


def main() -> None:
    """Run the jobs of the file named on the command line."""
    with open(sys.argv[1], encoding="utf-8") as file:
        groups = json.load(file)
    for group in groups:
        design = libyosys.Design()
        for command in group["read"]:
            libyosys.run_pass(command, design)
        libyosys.run_pass("design -save sources", design)
        for job in group["jobs"]:
            print(f"\n@@job {job['output']}", flush=True)
            libyosys.run_pass("design -load sources", design)
            for command in job["script"]:
                libyosys.run_pass(command, design)
            libyosys.run_pass(f"write_json {job['output']}.part", design)
            os.replace(job["output"] + ".part", job["output"])
        libyosys.run_pass("design -reset", design)
        libyosys.run_pass("design -delete sources", design)


if __name__ == "__main__":
    main()
