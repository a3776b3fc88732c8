# SPDX-License-Identifier: Apache-2.0
"""Decide SMT-LIB texts with z3, one after the other: `python -P z3_worker.py JOBS.json`.

A process of its own, because z3 can be neither bounded in memory nor stopped for sure within one.
It imports nothing of this package.  JOBS.json is a list of `{"smtlib": .., "seconds": N}`; for each
job a line with a JSON object goes to standard output: `status`, z3's answer; `values`, those of the
declared constants in order, where the assertion can be satisfied; `seconds`; `reason`, where z3
does not know.
"""

import json
import sys
import time

import z3


def main() -> None:
    """Run the jobs of the file named on the command line."""
    with open(sys.argv[1], encoding="utf-8") as file:
        jobs = json.load(file)
    for job in jobs:
        print(json.dumps(decide(job["smtlib"], job["seconds"])), flush=True)


def decide(text: str, seconds: float) -> dict[str, object]:
    """Return the answer to one text."""
    start = time.monotonic()
    # What follows asks and then forgets everything, the answer included.
    text = text.partition("(check-sat)")[0]
    names = [line.split()[1] for line in text.splitlines() if line.startswith("(declare-const")]
    solver = z3.SolverFor("QF_BV")
    solver.set("timeout", max(1, int(seconds * 1000)))
    solver.from_string(text)
    found = solver.check()
    answer: dict[str, object] = {"status": str(found), "reason": ""}
    if found == z3.sat:
        model = solver.model()
        values = {declaration.name(): model[declaration] for declaration in model.decls()}
        # What does not matter has no value.
        answer["values"] = [values[n].as_long() if n in values else 0 for n in names]
    elif found == z3.unknown:
        answer["reason"] = solver.reason_unknown()
    return {**answer, "seconds": time.monotonic() - start}


if __name__ == "__main__":
    main()
