# SPDX-License-Identifier: Apache-2.0
"""The streaming hardware's schedule: an engine a layer, from a bound network.

bound --cut, split, schedule--> stages --> machines of the stages that no engine computes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asnet_mlir.binding import layer_option
from asnet_mlir.errors import InputError
from asnet_mlir.hardware.schedule import shared
from asnet_mlir.hardware.schedule.registers import FEWEST, Registers
from asnet_mlir.ir import module_from_text, run_passes

__all__ = ["StreamSchedule", "hw_opt", "parse_lanes", "schedule"]

#: Between the modules of a text, as `--split-input-file` of MLIR's tools has it.
SPLIT = "\n// -----\n"
_STAGES = "builtin.module(asnet-split-stream{{lanes={lanes}}})"
_SCHEDULE = "builtin.module(approx-schedule-engines{{lanes={lanes} memory-latency={memory}}})"


@dataclass(frozen=True)
class StreamSchedule:
    """A network in scheduled stages.

    Attributes:
      text: the stages, in the generic form.
      machines: of the stages that the sequential machine computes, by index: a module each, bound.
      registers: of these machines, and of the engines.
    """

    text: str
    machines: Mapping[int, str]
    registers: Registers = FEWEST

    @property
    def complete_text(self) -> str:
        """The stages, and behind them, as asnet-hw-opt reads them, the scheduled machines."""
        machines = (
            shared.schedule(text, self.registers) for _, text in sorted(self.machines.items())
        )
        return SPLIT.join([self.text, *machines])


def parse_lanes(values: Sequence[str]) -> tuple[str, ...]:
    """Return `--lanes`, N for all layers or LAYER=N, as the manifest has it: `N` or `LAYER:N`.

    Raises:
      InputError: no number from 1 to 1024.
    """
    parsed = []
    for value in values:
        layer, equals, number = value.rpartition("=")
        if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= 1024:
            raise InputError(f"--lanes {value}: give a number from 1 to 1024, or LAYER=NUMBER")
        if equals and not layer:
            raise InputError(f"--lanes {value}: '{layer}' is no layer's name")
        parsed.append(f"{layer}:{number}" if equals else number)
    return tuple(parsed)


def schedule(
    network: str, lanes: Sequence[str] = (), registers: Registers = FEWEST
) -> StreamSchedule:
    """Split a bound network into stages and decide how each is computed.

    Args:
      network: see `shared.schedule`.
      lanes: what `parse_lanes` returns.

    Raises:
      UnsupportedError: an operation is not bound, or `lanes` names a layer that is not there.
    """
    from mlir import ir

    with module_from_text(network) as module:
        most = max([1, *(int(value.rpartition(":")[2]) for value in lanes)])
        run_passes(module, _STAGES.format(lanes=most), "splitting into stages")
        given = ",".join(_lanes_option(value) for value in lanes) or "1"
        run_passes(
            module, _SCHEDULE.format(lanes=given, memory=registers.memory), "scheduling the network"
        )
        library = "\n".join(
            str(op) for op in module.body.operations if op.operation.name == "approx.library"
        )
        machines = {}
        text = module.operation.get_asm(print_generic_op_form=True)
        for op in module.body.operations:
            if "approx.machine" not in op.attributes:
                continue
            index = op.attributes["approx.index"].value
            op.attributes["sym_name"] = ir.StringAttr.get("main")
            op.attributes["arg_attrs"] = ir.ArrayAttr.get(
                [
                    ir.DictAttr.get({"approx.role": ir.StringAttr.get("input")})
                    if "approx.value" in entry
                    else entry
                    for entry in op.attributes["arg_attrs"]
                ]
            )
            machines[index] = f"module {{\n{library}\n{op}\n}}\n"
    return StreamSchedule(text, machines, registers)


def _lanes_option(value: str) -> str:
    layer, colon, number = value.rpartition(":")
    return f"{layer_option(layer)}{colon}{number}"


def hw_opt(
    scheduled: StreamSchedule,
    emit: str,
    name: str = "",
    cores: Mapping[int, Mapping[str, Any]] | None = None,
) -> str:
    """Run asnet-hw-opt on a network in stages; see `shared.hw_opt`."""
    return shared.hw_opt(scheduled.complete_text, emit, name, cores)
