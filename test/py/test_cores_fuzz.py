# SPDX-License-Identifier: Apache-2.0
"""Mutated Verilog: what comes out is a model that equals the simulators, or one clear line.

`ASNET_FUZZ_MUTANTS=2000 ASNET_FUZZ_SEED=5 pytest test/py/test_cores_fuzz.py` tries more.
"""

from __future__ import annotations

import dataclasses
import os
import re
import time
from pathlib import Path

from mutated_verilog import BASES, mutant

from asnet_mlir.cores.checks.check import CheckReport, check
from asnet_mlir.cores.core import Core, Instance
from asnet_mlir.cores.reading.from_verilog import core_from_verilog
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.structure import remove_registers
from asnet_mlir.errors import AsnetError

MUTANTS = int(os.environ.get("ASNET_FUZZ_MUTANTS", "15"))
SEED = int(os.environ.get("ASNET_FUZZ_SEED", "0"))
# What is simulated alone takes seconds to build: of these, only so many in a hundred mutants.
ALONE_IN_HUNDRED = 7
VECTORS = 300
UNCHANGED = -1  # the seed of a base
# No step may take longer; the tools' own bounds are what holds them.
SECONDS = 100.0

WIDEST_OPERAND, WIDEST_RESULT = 32, 48
# A division is refused where its divisor may be 0: such a mutant is not mixed with others.
_DIVISION = re.compile(r"[/%]")


@dataclasses.dataclass
class Survivor:
    """A mutant that was read."""

    seed: int
    text: str
    core: Core
    widths: tuple[int, int, int]


def assert_clear(seed: int, error: AsnetError) -> None:
    message = str(error)
    assert message.strip(), f"mutant {seed}: {type(error).__name__} without a message"
    assert "\n" not in message, f"mutant {seed}: more than one line: {message}"
    assert "Traceback" not in message, f"mutant {seed}: {message}"
    assert len(message) < 1000, f"mutant {seed}: {len(message)} characters: {message[:300]}"


def read(folder: Path, seed: int) -> tuple[str, Core | AsnetError]:
    name, text = mutant(seed)
    path = folder / f"{name}_{seed}.v"
    path.write_text(text)
    start = time.monotonic()
    try:
        core: Core | AsnetError = core_from_verilog([path])
    except AsnetError as error:
        assert_clear(seed, error)
        core = error
    assert time.monotonic() - start < SECONDS, f"mutant {seed}"
    return text, core


def combined(folder: Path, survivors: list[Survivor]) -> list[Instance]:
    """Return instances of one core whose parameter K selects the survivor: one simulation."""
    files = []
    branches = []
    latencies = []
    for number, survivor in enumerate(survivors):
        text = survivor.text
        for module in {*re.findall(r"\bmodule\s+(\w+)", text), *BASES, "adder"}:
            text = re.sub(rf"\b{module}\b", f"{module}_{number}", text)
        files.append(folder / f"part{number}.v")
        files[-1].write_text(text)
        ports = survivor.core.ports
        names = {"a": ports.a, "b": ports.b, "r": ports.result, "clk": ports.clock}
        wires = dict(zip("abr", survivor.widths, strict=True))
        connections = ", ".join(
            f".{name}({role}" + (f"[{wires[role] - 1}:0]" if role in wires else "") + ")"
            for role, name in names.items()
            if name
        )
        rest = (
            f"assign r[{WIDEST_RESULT - 1}:{wires['r']}] = 0; "
            if wires["r"] < WIDEST_RESULT
            else ""
        )
        top = f"{survivor.core.module}_{number}"
        branches.append(f"if (K == {number}) begin {rest}{top} u({connections}); end")
        latencies.append(survivor.core.instance().latency)
    wrapper = folder / "fuzz.v"
    wrapper.write_text(
        "module fuzz #(parameter K = 0, parameter D = 0) (input clk, "
        f"input [{WIDEST_OPERAND - 1}:0] a, input [{WIDEST_OPERAND - 1}:0] b, "
        f"output [{WIDEST_RESULT - 1}:0] r);\n generate\n"
        + "\n".join(branches)
        + "\n endgenerate\nendmodule\n"
    )
    core = core_from_verilog(
        [*files, wrapper],
        top="fuzz",
        ports={"a": "a", "b": "b", "result": "r", "clock": "clk"},
        latency="D",
    )
    return [core.instance({"K": k, "D": latency}) for k, latency in enumerate(latencies)]


def assert_equal(survivor: Survivor, report: CheckReport) -> None:
    # A check that fails refuses the core.  That is right where the simulators differ from each
    # other, because the text has no one meaning (an x, an index out of range, a division by 0);
    # where they agree, the model is wrong.
    differ = any("and cxxrtl" in failure for failure in report.failures)
    if not report.passed and (survivor.seed == UNCHANGED or not differ):
        raise AssertionError(f"mutant {survivor.seed}: {report.failures}\n{survivor.text}")


def check_together(folder: Path, survivors: list[Survivor]) -> None:
    """Check survivors in one simulation; where one of them is refused, in halves."""
    if len(survivors) == 1:
        check_alone(survivors[0])
        return
    folder.mkdir()
    try:
        reports = check(combined(folder, survivors), random_vectors=VECTORS)
    except AsnetError as error:
        assert_clear(survivors[0].seed, error)
        half = len(survivors) // 2
        check_together(folder / "0", survivors[:half])
        check_together(folder / "1", survivors[half:])
        return
    for survivor, report in zip(survivors, reports, strict=True):
        assert_equal(survivor, report)


def check_alone(survivor: Survivor) -> None:
    start = time.monotonic()
    try:
        (report,) = check([survivor.core.instance()], random_vectors=VECTORS)
    except AsnetError as error:
        assert_clear(survivor.seed, error)
    else:
        assert_equal(survivor, report)
    assert time.monotonic() - start < SECONDS, f"mutant {survivor.seed}"


def test_mutants_equal_the_simulators_or_are_refused(tmp_path: Path) -> None:
    read_ones: list[tuple[int, str, Core]] = []
    refused = 0
    for seed in range(SEED, SEED + MUTANTS):
        text, core = read(tmp_path, seed)
        if isinstance(core, AsnetError):
            refused += 1
        else:
            read_ones.append((seed, text, core))
    for name, text in BASES.items():  # unchanged, they must pass
        (tmp_path / f"{name}.v").write_text(text)
        read_ones.append((UNCHANGED, text, core_from_verilog([tmp_path / f"{name}.v"])))
    together, alone = [], []
    netlists = elaborate([core.instance() for _, _, core in read_ones])
    for (seed, text, core), netlist in zip(read_ones, netlists, strict=True):
        if isinstance(netlist, AsnetError):
            assert_clear(seed, netlist)
            refused += 1
            continue
        survivor = Survivor(seed, text, core, (0, 0, 0))
        roles = {core.ports.enable, core.ports.reset, core.ports.start, *core.ports.constant}
        if core.is_stateful or roles != {None} or _DIVISION.search(text):
            alone.append(survivor)
            continue
        try:
            flat, _ = remove_registers(netlist, core.instance())
        except AsnetError as error:
            assert_clear(seed, error)
            refused += 1
            continue
        bits = {role: len(port["bits"]) for role, port in flat.module["ports"].items()}
        survivor.widths = bits["a"], bits["b"], bits["result"]
        small = max(survivor.widths[:2]) <= WIDEST_OPERAND and survivor.widths[2] <= WIDEST_RESULT
        (together if small else alone).append(survivor)
    assert sum(survivor.seed == UNCHANGED for survivor in together) == len(BASES) - 1
    assert refused > MUTANTS // 10, "nearly every mutant was accepted"
    assert len(together) > MUTANTS // 10, "nearly no mutant was accepted"
    together.sort(key=lambda survivor: survivor.seed)  # the bases with the first
    for start in range(0, len(together), 60):
        check_together(tmp_path / f"combined{start}", together[start : start + 60])
    for survivor in alone[: MUTANTS * ALONE_IN_HUNDRED // 100]:
        check_alone(survivor)
