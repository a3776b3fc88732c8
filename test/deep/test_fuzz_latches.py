# SPDX-License-Identifier: Apache-2.0
"""Random always blocks with partial assignments: accepted only if nobody sees what a latch holds.

Every pair of operands is simulated in many orders, so that latches hold all kinds of values before
it.  An accepted function gives one result for each pair, that of its model, in both simulators; a
refused one is seen to give two.  Where a latch is only ever set to one value, the simulators show
that once, at the beginning: then two values of its gates must do it.
`ASNET_FUZZ_SECONDS` (20) bounds it, `ASNET_FUZZ_SEED` (0) is where it begins.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
from random_procedures import random_latches

from asnet_mlir.cores import core_from_verilog
from asnet_mlir.cores.circuits.aig import Graph
from asnet_mlir.cores.circuits.gates import Gates
from asnet_mlir.cores.models.derive import derive_models
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.simulation.family import Widths, make_family
from asnet_mlir.cores.simulation.simulation import build
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.cores.verilog.structure import remove_registers
from asnet_mlir.errors import AsnetError

SECONDS = float(os.environ.get("ASNET_FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("ASNET_FUZZ_SEED", "0"))
FUNCTIONS, ORDERS = 40, 60


def _depends_on_the_beginning(read: Netlist, rng: np.random.Generator) -> bool:
    """Return whether a result is seen to depend on what latches hold when the simulation begins."""
    ports = read.module["ports"]
    graph = Graph()
    bits = [*ports["a"]["bits"], *ports["b"]["bits"]]
    literals = {bit: graph.input() for bit in bits}
    gates = Gates(graph, read.module["cells"], literals)
    outputs = gates.word(ports["result"]["bits"])
    values = {literal: rng.random((256, 64)) < 0.5 for literal in gates.unknown}
    for place, bit in enumerate(bits):
        values[literals[bit]] = np.repeat((np.arange(256) >> place & 1)[:, None] == 1, 64, axis=1)
    return any((plane != plane[:, :1]).any() for plane in graph.evaluate(outputs, values))


def test_random_latches(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    end, seed = time.monotonic() + SECONDS, SEED
    while time.monotonic() < end or not counts:
        path = tmp_path / f"s{seed}.v"
        path.write_text(random_latches(FUNCTIONS, seed))
        core = core_from_verilog([path], ports={"a": "a", "b": "b", "result": "result"}, latency=0)
        instances = [core.instance({"K": n}) for n in range(FUNCTIONS)]
        refused: dict[int, str] = {}
        netlists: list[Netlist] = []
        for number, read in enumerate(elaborate(instances)):
            assert isinstance(read, Netlist), f"seed {seed}: {read}"
            netlists.append(read)
            had = any("latch" in cell["type"] for cell in read.module["cells"].values())
            try:
                remove_registers(read, instances[number])
                counts["accepted with a latch" if had else "without a latch"] += 1
            except AsnetError as error:
                refused[number] = str(error)
                assert "a latch is inferred" in str(error), f"seed {seed}, K {number}: {error}"
        counts["refused"] += len(refused)
        rng = np.random.default_rng(seed)
        pairs = np.concatenate([rng.permutation(256) for _ in range(ORDERS)])
        a, b = (pairs >> 4).astype(np.uint8), (pairs & 15).astype(np.uint8)
        good = [n for n in range(FUNCTIONS) if n not in refused]
        models = derive_models({f"k{n}": instances[n] for n in good})
        kernel = compile_elementwise(models)
        for simulator in ("verilator", "cxxrtl"):
            family = make_family(instances, Widths(4, 4, 8))
            rows = build(family, simulator).run(a, b)  # type: ignore[arg-type]
            for number, row in enumerate(rows):
                where = f"seed {seed}, K {number}, {simulator}\n{path.read_text()}"
                if number in refused:
                    seen = {(int(pair), int(value)) for pair, value in zip(pairs, row, strict=True)}
                    if len(seen) == 256:
                        assert _depends_on_the_beginning(netlists[number], rng), where
                        counts[f"refused, not seen by {simulator} later on"] += 1
                    continue
                np.testing.assert_array_equal(row, kernel(f"k{number}", a, b), where)
        counts["functions"] += FUNCTIONS
        seed += 1
    print(f"\nlatches, seeds {SEED}..{seed - 1}: {dict(counts)}, failures: 0")
