# SPDX-License-Identifier: Apache-2.0
"""Run Yosys commands: `python yosys_commands.py COMMANDS.json`, a JSON list of strings.

A process of its own because a Yosys error ends the process.  It imports nothing of this package.
"""

import json
import sys

from pyosys import libyosys


def main() -> None:
    """Run the commands of the file named on the command line in one design."""
    with open(sys.argv[1], encoding="utf-8") as file:
        commands = json.load(file)
    design = libyosys.Design()
    for command in commands:
        libyosys.run_pass(command, design)


if __name__ == "__main__":
    main()
