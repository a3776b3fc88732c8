# SPDX-License-Identifier: Apache-2.0
"""The energy of a network's arithmetic for an image, from the switching activity of its operands.

An op's energy is that of its unit with the operands that the op has in its layer:

1. The operands of the exact network are recorded for a few samples, in the order of computation; of
   networks on integer codes, those of products, in a random order.
2. The unit's gates are evaluated on them.  The activity is the share of gates that change from one
   operation to the next, without glitches.
3. The unit, between registers, is mapped to an ASIC library by Yosys, and OpenSTA reports its
   internal and switching power at two activities.  Both are linear in it: what is left at 0 is the
   clock's.  An operation takes a cycle.

Not counted: leakage, wires, memories, control, and ops of integers for which the library has no
unit.  The library is Debian's OSU 0.18 um, or the one that `ASNET_LIBERTY` names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.cores import Instance
from asnet_mlir.cores.circuits import aig
from asnet_mlir.cores.models.derive import gates_of
from asnet_mlir.data import Dataset
from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.evaluation.operand_samples import operand_codes
from asnet_mlir.evaluation.recorded_operands import record_operands
from asnet_mlir.exploration.costs import format_of, unit_of
from asnet_mlir.exploration.space import Configuration, DesignSpace
from asnet_mlir.hardware import synthesize
from asnet_mlir.network import Network
from asnet_mlir.support.cache import cached_text, code_version, content_hash

__all__ = ["EnergyCosts", "activity", "liberty"]

#: Samples whose operands are recorded, and how many consecutive pairs are looked at, in windows.
_SAMPLES, _WINDOWS, _WINDOW = 2, 8, 256
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
            place = content_hash(code_version("cores", "evaluation"), self._key, *key)
            text = cached_text(
                "activities", place, lambda: json.dumps(self._share(layer, op, unit))
            )
            share = json.loads(text)
            fixed, slope = self._power(unit)
            self._energies[key] = 0.0 if share is None else fixed + slope * share
        return self._energies[key]

    def _share(self, layer: str, op: str, unit: Instance) -> float | None:
        pairs = self._operands(layer, op, unit)
        return None if pairs is None else activity(unit, *pairs)

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

    def _power(self, unit: Instance) -> tuple[float, float]:
        """Return the energy of a cycle without activity, and what an activity of 1 adds, in nJ."""

        def make() -> str:
            self._say(f"power of {unit.label}")
            watts = []
            for share in (0.0, 0.5):
                found = synthesize(
                    unit, target="asic", liberty=self._library, activity=share, clock_mhz=_MHZ
                )["power_watts"]
                watts.append(found["internal"] + found["switching"])
            nano = 1e9 / (_MHZ * 1e6)
            return json.dumps([watts[0] * nano, (watts[1] - watts[0]) / 0.5 * nano])

        key = content_hash(code_version("hardware"), unit.content_hash, self._library.read_bytes())
        fixed, slope = json.loads(cached_text("energies", key, make))
        return fixed, slope


def _windows(words: np.ndarray) -> np.ndarray:
    """Return windows of consecutive words from all over a stream, [windows, words]."""
    size = min(_WINDOW, len(words))
    begins = np.linspace(0, len(words) - size, _WINDOWS).astype(int)
    return np.stack([words[begin : begin + size] for begin in begins])


def _widths(unit: Instance) -> tuple[int, int]:
    _, a, b, _ = gates_of(unit)
    return len(a), len(b)


def activity(unit: Instance, a: np.ndarray, b: np.ndarray) -> float:
    """Return the share of a unit's gates that change from an operation to the next.

    Args:
      a, b: bits of operands, integers [windows, consecutive operations].

    Raises:
      AsnetError: the unit has state, or a cell that is no gate.
    """
    try:
        graph, a_bits, b_bits, outputs = gates_of(unit)
    except AsnetError:
        return 0.5  # nothing is known of it: as if operands were random
    return _changes(graph, {**_bits(a_bits, a), **_bits(b_bits, b)}, outputs)


def _bits(literals: Sequence[int], words: np.ndarray) -> dict[int, np.ndarray]:
    values = words.astype(np.int64)
    return {literal: (values >> place & 1).astype(bool) for place, literal in enumerate(literals)}


def _changes(graph: aig.Graph, inputs: Mapping[int, np.ndarray], outputs: Sequence[int]) -> float:
    """Return the mean over gates of how often they change."""
    shape = next(iter(inputs.values())).shape
    known = {literal >> 1: value for literal, value in inputs.items()}
    known[0] = np.zeros(shape, bool)
    changes, gates = 0, graph.gates_of(outputs)
    for variable, (left, right) in gates:
        value = (known[left >> 1] ^ bool(left & 1)) & (known[right >> 1] ^ bool(right & 1))
        known[variable] = value
        changes += int((value[:, 1:] != value[:, :-1]).sum())
    steps = len(gates) * shape[0] * (shape[1] - 1)
    return changes / steps if steps else 0.0
