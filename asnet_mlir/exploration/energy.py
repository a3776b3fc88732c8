# SPDX-License-Identifier: Apache-2.0
"""The energy of a network's arithmetic for an image, from the switching activity of its operands.

An op's energy is that of its unit with the operands that the op has in its layer:

1. The operands of the exact network are recorded for a few samples, in the order of computation; of
   networks on integer codes, those of products, in a random order.
2. The unit, between registers, is mapped to an ASIC library by Yosys, and its gates are evaluated
   on them: how often each pin changes from one operation to the next, without glitches.
3. OpenSTA reports the internal and switching power with these activities, the clock's included.  An
   operation takes a cycle.

Of a unit whose gates the operands do not determine (memories, iterations) every net changes in half
of the cycles, as if operands were random.  Not counted: leakage, wires, memories, control, and ops
of integers for which the library has no unit.  The library is Debian's OSU 0.18 um, or the one that
`ASNET_LIBERTY` names.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.cores import Instance
from asnet_mlir.cores.models.derive import gates_of
from asnet_mlir.data import Dataset
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.operand_samples import operand_codes
from asnet_mlir.evaluation.recorded_operands import record_operands
from asnet_mlir.exploration.costs import format_of, unit_of
from asnet_mlir.exploration.space import Configuration, DesignSpace
from asnet_mlir.hardware import synthesize
from asnet_mlir.hardware.synthesis.net_activity import UnknownActivityError
from asnet_mlir.hardware.synthesis.synth import Operands
from asnet_mlir.network import Network
from asnet_mlir.support.cache import cached_text, code_version, content_hash

__all__ = ["EnergyCosts", "cycle_energy", "liberty"]

#: Samples whose operands are recorded, and how many consecutive pairs are looked at, in windows.
_SAMPLES, _WINDOWS, _WINDOW = 2, 8, 256
#: Changes of a net in a cycle where operands say nothing of it.
_RANDOM = 0.5
#: The clock at which power is reported; the energy of an operation does not depend on it.
_MHZ = 100.0
_OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")


def liberty() -> Path:
    """Return the file of the ASIC library.

    Raises:
      InputError: there is none.
    """
    named = os.environ.get("ASNET_LIBERTY")
    path = Path(named) if named else _OSU018
    if not path.is_file():
        raise InputError(
            f"the energy needs the gates of an ASIC library: {path} is not there; install Debian's "
            "qflow-tech-osu018, or name a liberty file by ASNET_LIBERTY"
        )
    return path


class EnergyCosts:
    """The part of a cost model that gives `energy`, in nJ an image."""

    def __init__(
        self,
        network: Network,
        key: str,
        dataset: Dataset,
        space: DesignSpace,
        bound: Binding | None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare it; nothing is recorded yet.

        Args:
          network: without a binding of its own.
          key: hash of network and data.
          bound: what holds where a configuration says nothing.
          progress: told of each step that takes long.
        """
        self._network, self._key, self._space, self._bound = network, key, space, bound
        targets = None if dataset.y is None else dataset.y[:_SAMPLES]
        self._dataset = replace(dataset, x=dataset.x[:_SAMPLES], y=targets)
        self._say = progress or (lambda text: None)
        self._library = liberty()
        self._pairs: dict[tuple[str, str], tuple[np.ndarray, np.ndarray] | None] = {}
        self._energies: dict[tuple[str, str, str], float] = {}

    def figures(self, configuration: Configuration) -> dict[str, float]:
        """See `CostPart`."""
        return {"energy": round(sum(self.parts(configuration).values()), 6)}

    def parts(self, configuration: Configuration) -> dict[tuple[str, str], float]:
        """Return the energy of each layer's ops of each kind, nJ an image."""
        binding = self._space.binding(configuration)
        binding = binding.over(self._bound) if self._bound else binding
        found = {}
        for layer in self._space.layers:
            for op, count in layer.ops.items():
                unit = unit_of(binding, layer, op, format_of(layer, op))
                if unit is not None:
                    found[layer.name, op] = count * self._energy(layer.name, op, unit)
        return found

    def _energy(self, layer: str, op: str, unit: Instance) -> float:
        """Return the energy of one operation in nJ."""
        key = layer, op, unit.content_hash
        if key not in self._energies:
            place = content_hash(
                code_version("cores", "evaluation", "hardware"),
                self._library.read_bytes(),
                self._key,
                *key,
            )
            self._energies[key] = float(
                cached_text("energies", place, lambda: repr(self._measured(layer, op, unit)))
            )
        return self._energies[key]

    def _measured(self, layer: str, op: str, unit: Instance) -> float:
        operands = self._operands(layer, op, unit)
        if operands is None:
            return 0.0
        self._say(f"power of {unit.label} in {layer or 'the network'}")
        return cycle_energy(unit, self._library, operands)

    def _operands(
        self, layer: str, op: str, unit: Instance
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return bits of operands in the order of computation; None where none are recorded."""
        key = layer, op
        if key in self._pairs:
            return self._pairs[key]
        self._say(f"recording operands of {op} in {layer or 'the network'}")
        if self._network.input_format.is_float and unit.core.is_float:
            kind = "addf" if op == "subf" and unit.core.op == "addf" else op
            a, b = record_operands(self._network, self._dataset, op, layer or None, samples=1 << 22)
            if kind != op:
                b = b ^ np.uint32(1 << 31)
            self._pairs[key] = _windows(a), _windows(b)
        elif op == "muli":
            widths = _widths(unit)
            try:
                found = operand_codes(
                    self._network, self._dataset, widths, bool(unit.core.signed), layer or None
                )
            except InputError:
                return None
            weight = found.weight if found.weight is not None else np.ones(len(found.a))
            drawn = np.random.default_rng(0).choice(
                len(found.a), _WINDOWS * _WINDOW, p=weight / weight.sum()
            )
            shape = _WINDOWS, _WINDOW
            self._pairs[key] = found.a[drawn].reshape(shape), found.b[drawn].reshape(shape)
        else:
            self._pairs[key] = None
        return self._pairs[key]


def cycle_energy(unit: Instance, library: Path, activity: float | Operands) -> float:
    """Return the energy of a unit between registers in a cycle, in nJ.

    Args:
      library: a liberty file.
      activity: changes of every net, or operands, as for `hardware.synthesize`; where these do not
        determine what the unit's nets do, as if they were random.
    """

    def watts(activity: float | Operands) -> float:
        found = synthesize(unit, target="asic", liberty=library, activity=activity, clock_mhz=_MHZ)[
            "power_watts"
        ]
        return float(found["internal"] + found["switching"])

    try:
        power = watts(activity)
    except UnknownActivityError:
        power = watts(_RANDOM)
    return power * 1e9 / (_MHZ * 1e6)


def _windows(words: np.ndarray) -> np.ndarray:
    """Return windows of consecutive words from all over a stream, [windows, words]."""
    size = min(_WINDOW, len(words))
    begins = np.linspace(0, len(words) - size, _WINDOWS).astype(int)
    return np.stack([words[begin : begin + size] for begin in begins])


def _widths(unit: Instance) -> tuple[int, int]:
    _, a, b, _ = gates_of(unit)
    return len(a), len(b)
