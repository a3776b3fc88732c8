# SPDX-License-Identifier: Apache-2.0
"""Random always blocks: models, gates and both simulators agree.

Loops that find a bit, cases on a computed index, arrays, functions (`random_procedures.py`).
`ASNET_FUZZ_SECONDS` (20) bounds it, `ASNET_FUZZ_SEED` (0) is where it begins.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
from random_procedures import random_procedures

from asnet_mlir.cores import core_from_verilog
from asnet_mlir.cores.checks.check import check
from asnet_mlir.cores.models.derive import derive_models
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.models.netlist_models import graph_of
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.netlist import Netlist
from asnet_mlir.cores.verilog.structure import remove_registers
from asnet_mlir.errors import UnsupportedError

SECONDS = float(os.environ.get("ASNET_FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("ASNET_FUZZ_SEED", "0"))
FUNCTIONS = 12


def test_random_procedures(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    end, seed = time.monotonic() + SECONDS, SEED
    while time.monotonic() < end or not counts:
        path = tmp_path / f"s{seed}.v"
        path.write_text(random_procedures(FUNCTIONS, seed))
        ports = {"a": "a", "b": "b", "result": "result"}
        core = core_from_verilog([path], ports=ports, latency=0)
        instances = {f"k{n}": core.instance({"K": n}) for n in range(FUNCTIONS)}
        for report in check(list(instances.values()), random_vectors=4096, seed=seed):
            counts[f"{report.strategy} model"] += 1
            assert report.passed, (
                f"seed {seed}, {report.label}: {report.failures}\n{path.read_text()}"
            )
        rng = np.random.default_rng(seed)
        a, b = (rng.integers(0, 1 << 12, 512).astype(np.uint16) for _ in range(2))
        kernel = compile_elementwise(derive_models(instances))
        for (symbol, instance), read in zip(
            instances.items(), elaborate(list(instances.values())), strict=True
        ):
            assert isinstance(read, Netlist)
            flat, _ = remove_registers(read, instance)
            try:
                graph, inputs, outputs = graph_of(instance, flat)
            except UnsupportedError:
                counts["refused as gates"] += 1
                continue
            bits = [(v >> k & 1).astype(bool) for v in (a, b) for k in range(12)]
            planes = graph.evaluate(outputs, dict(zip(inputs, bits, strict=True)))
            got = sum(np.uint32(1 << k) * plane for k, plane in enumerate(planes))
            where = f"seed {seed}, {instance.label}: gates\n{path.read_text()}"
            np.testing.assert_array_equal(got, kernel(symbol, a, b), where)
            counts["gates compared"] += 1
        counts["functions"] += FUNCTIONS
        seed += 1
    print(f"\nprocedures, seeds {SEED}..{seed - 1}: {dict(counts)}, failures: 0")
