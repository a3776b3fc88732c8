# SPDX-License-Identifier: Apache-2.0
"""The latency that a core's Verilog shows."""

from __future__ import annotations

import dataclasses

from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.simulation import simulation
from asnet_mlir.cores.verilog.structural_latency import measure_latency
from asnet_mlir.support.cache import cached_text, code_version, content_hash

__all__ = ["measured_latency", "with_latency"]


def measured_latency(instance: Instance) -> int:
    """Return what the Verilog shows: by structure, for cores with a state by simulation."""
    if not instance.core.is_stateful:
        return measure_latency(instance)
    key = content_hash("simulated", instance.content_hash, code_version("cores"))
    return int(cached_text("latencies", key, lambda: str(simulation.measure_latency(instance)[1])))


def with_latency(instance: Instance) -> Instance:
    """Return `instance` with its latency filled in.

    Raises:
      InputError, UnsupportedError: the Verilog shows none.
    """
    if instance.known_latency is not None:
        return instance
    return dataclasses.replace(instance, measured=measured_latency(instance))
