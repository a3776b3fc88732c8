# SPDX-License-Identifier: Apache-2.0
"""Registers that hardware may have beyond those it needs: a higher clock for more cycles."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FEWEST", "MOST", "Registers"]


@dataclass(frozen=True)
class Registers:
    """What parts of the hardware take, in cycles; the scheduling passes count on it.

    Attributes:
      memory: from a memory's address to its word: 1, or 2 with a register behind each memory.
      fetch: of the sequential machine, from a row's name to its execution: 2, or 3 with a register
        behind the microcode.
      plain: of its plain logic: 1, 2 with a register behind the result as well, or 3 with one
        behind its decoder, too.
      results: registers behind the result of each of its units, at least.
    """

    memory: int = 1
    fetch: int = 2
    plain: int = 1
    results: int = 0

    @property
    def of_machine(self) -> str:
        """Return the options of approx-schedule."""
        return (
            f"memory-latency={self.memory} fetch-latency={self.fetch} plain-latency={self.plain} "
            f"result-registers={self.results}"
        )


#: What hardware has where no clock is asked for that needs more.
FEWEST = Registers()
#: All that there are.
MOST = Registers(memory=2, fetch=3, plain=3, results=1)
