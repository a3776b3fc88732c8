# SPDX-License-Identifier: Apache-2.0
"""What the ports of a core are for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["HANDSHAKE_OUTPUTS", "LIBRARY_PORTS", "OUTPUT_ROLES", "PORT_ROLES", "Ports"]


@dataclass(frozen=True)
class Ports:
    """Names of a core's ports by role; None where the core has no port for a role.

    Attributes:
      a, b, result: the operands and the result.
      clock: None for a purely combinational core.
      enable: 1 where registers advance; held at 1.
      reset: synchronous or not; active at 1, or at 0 with `reset_active_low`.
      start: of a core with a handshake: asks for operands to be taken; they are held until the
        result is there.  1 for one cycle or, with `ready`, up to the first cycle in which that is 1
        as well.
      done: 1 in a cycle, behind that in which operands were taken, in which the result is valid; it
        may stay 1 until the next start.
      busy: of a core without `done`: the result is valid in the first cycle in which it is 0 after
        it has been 1.
      ready: operands are taken in a cycle in which it and `start` are 1.
      start_b, ready_b: the same for `b` alone; `start` and `ready` are then those of `a`.
      ack: somebody takes the result; held at 1.
      constant: further inputs and the values that they are held at.
      unspecified: values of an operand, by its role, for which the result is left open: a divider's
        is for `b` = 0.  Nothing is checked or compared there, and models give anything.
    """

    a: str
    b: str
    result: str
    clock: str | None = None
    enable: str | None = None
    reset: str | None = None
    start: str | None = None
    done: str | None = None
    reset_active_low: bool = False
    constant: tuple[tuple[str, int], ...] = ()
    busy: str | None = None
    ready: str | None = None
    start_b: str | None = None
    ready_b: str | None = None
    ack: str | None = None
    unspecified: tuple[tuple[str, int], ...] = ()

    @property
    def roles(self) -> dict[str, str]:
        """Port name by role, in the order of `PORT_ROLES`, for those that the core has."""
        return {role: getattr(self, role) for role in PORT_ROLES if getattr(self, role)}

    @property
    def tied(self) -> dict[str, int]:
        """The inputs that are held at a value in operation, with it: enable, ack, reset, constants.

        The reset is inactive here; whoever simulates a core with a state applies it before.
        """
        values = {name: 1 for name in (self.enable, self.ack) if name}
        if self.reset:
            values[self.reset] = int(self.reset_active_low)
        return values | dict(self.constant)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs that somebody looks at."""
        return tuple(name for role, name in self.roles.items() if role in OUTPUT_ROLES)

    def specified(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return for which pairs of operands the result is specified, bool, (len(a),)."""
        kept = np.ones(a.shape, bool)
        for role, value in self.unspecified:
            kept &= (a if role == "a" else b) != value
        return kept

    def to_json(self) -> dict[str, Any]:
        """Return the roles as the keys `ports` of bindings and constraints have them."""
        value: dict[str, Any] = dict(self.roles)
        if self.reset_active_low:
            value["reset_active"] = "low"
        if self.constant:
            value["constant"] = dict(self.constant)
        if self.unspecified:
            value["unspecified"] = dict(self.unspecified)
        return value

    def problem(self) -> str | None:
        """Say what is missing in a handshake, or None."""
        if self.done and self.busy:
            return "done and busy are two ways to tell the same; name one of them"
        if self.start and not (self.done or self.busy):
            return "a handshake needs the port done too, or the port busy"
        for role, needed in (
            ("done", "start"),
            ("busy", "start"),
            ("ready", "start"),
            ("start_b", "start"),
            ("ready_b", "start_b"),
        ):
            if getattr(self, role) and not getattr(self, needed):
                return f"a handshake needs the port {needed} too: there is {role} without it"
        return None


#: As the library's cores and generated ones name them.
LIBRARY_PORTS = Ports("a_i", "b_i", "result_o", clock="clk_i")

#: What a port can be, apart from an input held at a value.
PORT_ROLES = (
    *("a", "b", "result", "clock", "enable", "reset", "start", "done"),
    *("busy", "ready", "start_b", "ready_b", "ack"),
)

#: The outputs by which a core with a handshake tells what it does.
HANDSHAKE_OUTPUTS = ("done", "busy", "ready", "ready_b")

#: The roles of outputs; those of all others are inputs.
OUTPUT_ROLES = ("result", *HANDSHAKE_OUTPUTS)
