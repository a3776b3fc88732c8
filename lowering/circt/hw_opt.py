# SPDX-License-Identifier: Apache-2.0
"""asnet-hw-opt: the tool of CIRCT's process, from a scheduled network to SystemVerilog.

Reads what `asnet-opt --approx-schedule --mlir-print-op-generic` prints; of a network in stages,
what `--approx-schedule-engines` does, and behind it, separated by `// -----`, the scheduled code of
each stage that is left to the sequential machine.  Writes one form:

- `microcode`: the microprogram, one line a row;
- `hw`: the machine in the hw, comb and seq dialects, before any pass;
- `sv`: SystemVerilog;
- `all`: a JSON object with all of these and what the bundle needs besides.

It runs on its own, not as a part of the package, as CIRCT's and MLIR's Python packages cannot live
in one process: `python lowering/circt/hw_opt.py --emit sv scheduled.mlir`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import circt
from circt import ir
from circt.passmanager import PassManager
from engines import read_stream
from hw_module import CorePorts, design, rom_file, rom_parts
from machine import MachineOptions, build
from microcode import Microprogram, assemble
from scheduled import Program, ScheduleError, parse_module, read_program
from stream_module import Machine, build_stream, stage_name

__all__ = ["main"]

_NO_RANDOM = "disable-reg-randomization=true disable-mem-randomization=true"
# This order matters: others crash the exporter.
_PASSES = (
    "builtin.module(hw.module(canonicalize,cse))",
    f"builtin.module(lower-seq-to-sv{{{_NO_RANDOM}}})",
    "builtin.module(hw.module(lower-hw-to-sv))",
    "builtin.module(canonicalize,cse)",
    "builtin.module(hw.module(prettify-verilog))",
)


def _export(hw_text: str) -> dict[str, str]:
    """Return SystemVerilog by file name, one module a file."""
    with ir.Context() as context, ir.Location.unknown(), TemporaryDirectory() as folder:
        module = parse_module(hw_text, context)
        module.operation.verify()
        for pipeline in _PASSES:
            PassManager.parse(pipeline).run(module.operation)
        circt.export_split_verilog(module, folder)
        return {
            path.name: path.read_text(encoding="utf-8")
            for path in sorted(Path(folder).glob("*.sv"))
        }


def _summary(program: Program, code: Microprogram, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "cycles": code.cycles,
        "rows": len(code.words),
        "row_bits": code.width,
        "registers": code.registers,
        "memory_latency": program.timing.memory,
        "start_cycles": program.timing.fetch,
        "ram_words": program.words("ram"),
        "rom_words": program.words("rom"),
        "input_words": program.stream("input")[1],
        "output_words": program.stream("output")[1],
        "functions": list(code.functions),
        "layer_cycles": [list(entry) for entry in code.layer_cycles],
        "memories": [memory.__dict__ for memory in program.memories],
        "units": [{**unit.__dict__, "parameters": dict(unit.parameters)} for unit in program.units],
    }


def _microcode_hex(code: Microprogram) -> str:
    digits = (code.width + 3) // 4
    return "".join(f"{word:0{digits}x}\n" for word in code.words)


def _machine_roms(
    program: Program, code: Microprogram, name: str
) -> dict[str, list[tuple[str, int, int, int, int]]]:
    return {
        "weights": rom_parts(rom_file(name, "weights"), program.words("rom"), 32),
        "microcode": rom_parts(rom_file(name, "microcode"), len(code.words), code.width),
    }


def _read_cores(path: Path | None) -> dict[int, CorePorts]:
    if path is None:
        return {}
    cores = {}
    for key, entry in json.loads(path.read_text()).items():
        parameters = entry.pop("parameters", None)
        if parameters is not None:
            parameters = tuple(sorted(parameters.items()))
        tied = tuple(tuple(port) for port in entry.pop("tied", ()))
        cores[int(key)] = CorePorts(**entry, parameters=parameters, tied=tied)
    return cores


def _joined(files: dict[str, str], name: str) -> str:
    """Return SystemVerilog as one text, the module `name` last."""
    last = files.pop(f"{name}.sv")
    return "\n".join([*files.values(), last])


def _read_program(text: str) -> Program:
    with ir.Context() as context, ir.Location.unknown():
        return read_program(parse_module(text, context))


def _is_in_stages(text: str) -> bool:
    with ir.Context() as context, ir.Location.unknown():
        module = parse_module(text, context)
        return any("approx.index" in op.operation.attributes for op in module.body.operations)


def _sequential(text: str, options: argparse.Namespace, cores: dict[int, CorePorts]) -> str:
    program = _read_program(text)
    code = assemble(program)
    name = options.name or program.name
    machine = MachineOptions(name)
    hw_text = build(program, code, machine, cores)
    if options.emit == "microcode":
        return code.listing
    if options.emit == "hw":
        return hw_text
    if options.emit == "sv":
        return _joined(_export(hw_text), name)
    return json.dumps(
        {
            "summary": _summary(program, code, name),
            "microcode_listing": code.listing,
            "microcode_hex": _microcode_hex(code),
            "roms": _machine_roms(program, code, name),
            "hw": hw_text,
            "sv": _export(hw_text),
        }
    )


def _stream(
    text: str, scheduled: list[str], options: argparse.Namespace, cores: dict[int, CorePorts]
) -> str:
    with ir.Context() as context, ir.Location.unknown():
        stream = read_stream(parse_module(text, context))
    name = options.name or "network"
    left = [stage.index for stage in stream.stages if stage.engine is None]
    if len(left) != len(scheduled):
        raise ScheduleError(
            f"{len(left)} stages are left to the sequential machine, and {len(scheduled)} modules "
            "with their scheduled code follow"
        )
    machines = {}
    for index, machine in zip(left, scheduled, strict=True):
        program = _read_program(machine)
        machines[index] = Machine(program, assemble(program))
    modules, externs = build_stream(stream, machines, name, cores)
    hw_text = design(externs, modules)
    if options.emit == "microcode":
        return "".join(machine.code.listing for machine in machines.values())
    if options.emit == "hw":
        return hw_text
    if options.emit == "sv":
        return _joined(_export(hw_text), name)
    stages = []
    for stage in stream.stages:
        entry: dict[str, Any] = {
            "index": stage.index,
            "layer": stage.layer,
            "module": stage_name(name, stage),
            "reason": stage.reason,
        }
        if stage.engine is not None:
            operands = [dataclasses.asdict(operand) for operand in stage.engine.operands]
            nodes = [*stage.engine.main.nodes, *(n for b in stage.engine.epilogue for n in b.nodes)]
            used = sorted({stream.units[n.unit].id for n in nodes if n.unit is not None})
            entry |= {"engine": stage.engine.numbers, "operands": operands, "units": used}
            entry["roms"] = {
                str(k): rom_parts(
                    rom_file(entry["module"], k),
                    operand.words,
                    32 * (1 if operand.is_epilogue else stage.engine.lanes),
                )
                for k, operand in enumerate(stage.engine.operands)
                if operand.weight is not None
            }
        else:
            part = machines[stage.index]
            entry |= {
                "machine": _summary(part.program, part.code, stage_name(name, stage)),
                "units": [unit.id for unit in part.program.units],
                "microcode_listing": part.code.listing,
                "microcode_hex": _microcode_hex(part.code),
                "roms": _machine_roms(part.program, part.code, entry["module"]),
            }
        stages.append(entry)
    units = [{**unit.__dict__, "parameters": dict(unit.parameters)} for unit in stream.units]
    return json.dumps(
        {
            "stages": stages,
            "units": units,
            "input_words": stream.input_words,
            "hw": hw_text,
            "sv": _export(hw_text),
        }
    )


def _verify(text: str) -> None:
    """Check a schedule by the pass that the schedulers run themselves.

    It knows the operations, which are unregistered here, and is in the other process as MLIR is.

    Raises:
      ScheduleError: what is wrong, and where.
    """
    own = Path(sys.executable).with_name("asnet-opt")
    tool = os.environ.get("ASNET_OPT") or shutil.which(own) or shutil.which("asnet-opt")
    if tool is None:
        raise ScheduleError(f"{own}, which checks schedules, is not there, nor one in PATH")
    command = [tool, "--approx-verify-schedule", "--split-input-file", "-o", os.devnull]
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if not result.returncode:
        return
    place = r"^(?:within split at )?<stdin>:(?:(\d+) offset :)?(\d+):(\d+): error: (.*)"
    found = re.search(place, result.stderr, re.MULTILINE)
    if found is None:
        raise ScheduleError(" ".join(result.stderr.split())[-300:])
    offset, line, column, what = found.groups()
    raise ScheduleError(f"line {int(offset or 1) + int(line) - 1}, column {column}: {what}")


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; return its exit status."""
    parser = argparse.ArgumentParser(prog="asnet-hw-opt", description=__doc__.splitlines()[0])
    parser.add_argument("input", nargs="?", default="-", help="scheduled MLIR in generic form")
    parser.add_argument("--emit", choices=("microcode", "hw", "sv", "all"), default="sv")
    parser.add_argument("--name", default="", help="the top module, with whose name all begin")
    parser.add_argument("--cores", type=Path, help="JSON: ports of the core of each instance")
    parser.add_argument(
        "--verified", action="store_true", help="the input is what asnet-opt wrote: do not check it"
    )
    parser.add_argument("-o", dest="output", default="-")
    options = parser.parse_args(arguments)
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    given = sys.stdin.read() if options.input == "-" else Path(options.input).read_text("utf-8")
    text, *behind = re.split(r"^// -----\n", given, flags=re.MULTILINE)
    cores = _read_cores(options.cores)
    try:
        if not options.verified:
            _verify(given)
        if _is_in_stages(text):
            result = _stream(text, behind, options, cores)
        else:
            result = _sequential(text, options, cores)
    except ScheduleError as error:
        print(f"asnet-hw-opt: {error}", file=sys.stderr)
        return 1
    except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # No schedule at all, or one of another version.
        text = " ".join(f"{type(error).__name__} {error}".split())[:200]
        print(f"asnet-hw-opt: this is no schedule of approx-schedule: {text}", file=sys.stderr)
        return 1
    except ir.MLIRError as error:
        print(
            f"asnet-hw-opt: {error}\nasnet-hw-opt: the input must be in generic form; "
            "print it with --mlir-print-op-generic",
            file=sys.stderr,
        )
        return 1
    if options.output == "-":
        sys.stdout.write(result)
    else:
        Path(options.output).write_text(result, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
