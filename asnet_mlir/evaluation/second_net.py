# SPDX-License-Identifier: Apache-2.0
"""The exact network against its framework, on the first samples of the data.

What `asnet_mlir.frontends.samples` decides on the module, and what the compiler makes of it, is
looked at once more in numbers: docs/decisions/0018-independent-samples.md.
"""

from __future__ import annotations

import sys

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.errors import ToolError, UnsupportedError
from asnet_mlir.evaluation.evaluator import CompiledNetwork, Evaluator
from asnet_mlir.frontends.xla import run_by_xla
from asnet_mlir.native.objects import native_key
from asnet_mlir.network import Network
from asnet_mlir.support.cache import cached_bytes, code_version, content_hash

__all__ = ["check_first_samples"]

_SAMPLES = 8
#: Outputs may differ by this share of the largest: sums are in another order.
_TOLERANCE = 0.02
#: A sum of another order may end on the other side of a step, in a few samples.
_SHARE = 0.25


def check_first_samples(compiled: CompiledNetwork, x: np.ndarray) -> None:
    """Compare the exact network with XLA's results for a batch of the first samples of `x`.

    The verdict is cached.  A network of a fixed batch has no framework: its first sample must give
    the same bits among copies of itself as among the others.

    Raises:
      UnsupportedError: they differ.
    """
    network = compiled.network
    if network.fixed_batch is not None:
        if network.fixed_batch > 1 and not network.missing:
            _check_alone(compiled, x, network.fixed_batch)
        return
    if not network.lowering.computes:
        return
    first = np.ascontiguousarray(x[:_SAMPLES])
    source = network.unfolded or network
    text = source.stablehlo(len(first))
    weights = [weight.value for weight in source.weights]
    given = content_hash(text, first.tobytes(), *(value.tobytes() for value in weights))
    key = native_key(code_version("frontends", "evaluation"), given)

    def compare() -> bytes:
        try:
            expected = run_by_xla(network.name, text, [first, *weights])
        except ToolError as error:
            print(f"{error}; the exact network was not compared with it", file=sys.stderr)
            return b""
        return _difference(network, Evaluator(compiled, Binding()).outputs(first), expected)

    verdict = cached_bytes("frontends", key, compare)
    if verdict:
        raise UnsupportedError(verdict.decode())


def _difference(network: Network, got: np.ndarray, expected: np.ndarray) -> bytes:
    """Return what is wrong with the outputs, or nothing."""
    outputs = network.outputs
    if outputs is None:
        return _of_output(network.name, "output", got, expected)
    messages = (
        _of_output(network.name, f"'{name}'", outputs.take(name, got), outputs.take(name, expected))
        for name in outputs.names
    )
    return next(filter(None, messages), b"")


def _of_output(name: str, label: str, got: np.ndarray, expected: np.ndarray) -> bytes:
    """Return what is wrong with one output, or nothing."""
    got, expected = (
        outputs.reshape(len(got), -1).astype(np.float64) for outputs in (got, expected)
    )
    size = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    with np.errstate(invalid="ignore"):
        near = np.abs(got - expected) <= _TOLERANCE * size
    same = near | (got == expected) | (np.isnan(got) & np.isnan(expected))
    wrong = np.flatnonzero(~same.all(axis=1))
    if len(wrong) <= _SHARE * len(got):
        return b""
    sample = int(wrong[0])
    place = int(np.flatnonzero(~same[sample])[0])
    return (
        f"{name}: of the first {len(got)} samples {len(wrong)} have other outputs than "
        f"their framework's program gives them as one batch (sample {sample}, {label} {place}: "
        f"{got[sample, place]:g}, XLA has {expected[sample, place]:g}); does one depend on others?"
    ).encode()


def _check_alone(compiled: CompiledNetwork, x: np.ndarray, batch: int) -> None:
    """Give the first sample copies of itself for company, everywhere in the batch."""
    whole = np.zeros((batch, *x.shape[1:]), x.dtype)
    whole[: len(x[:batch])] = x[:batch]
    evaluator = Evaluator(compiled, Binding())
    expected = evaluator.outputs(whole)[:1]
    copies = evaluator.outputs(np.repeat(whole[:1], batch, axis=0))
    if copies.tobytes() != np.repeat(expected, batch, axis=0).tobytes():
        raise UnsupportedError(
            f"{compiled.network.name}: the outputs of a sample depend on the others of its batch "
            f"of {batch}, or on its place among them; each sample must be computed by itself"
        )
