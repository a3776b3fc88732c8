"""A bound network, compiled for this machine."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.compiler import bind, model_texts, to_approx, to_native
from asnet_mlir.errors import InputError
from asnet_mlir.frontends import Network, load_model

__all__ = ["Evaluator", "default_threads"]

#: Samples in one call: their inputs stay in the second-level cache, and many blocks of the
#: vectorizer fit (its tiles are powers of two that divide the batch).
_CHUNK = 256


def default_threads() -> int:
    """Return the number of processors this process may use."""
    return len(os.sched_getaffinity(0))


class Evaluator:
    """Computes a network's outputs as its binding's hardware would, bit for bit.

    Results do not depend on the number of samples, their order, or `threads`.
    """

    def __init__(
        self,
        model: Any,
        binding: Binding | None = None,
        *,
        threads: int | None = None,
        lowered: str | None = None,
    ) -> None:
        """Compile `model` under `binding`.

        Args:
          model: whatever `load_model` takes.
          binding: which instances compute which ops; exact without.
          threads: at most this many run at once; by default one per processor.
          lowered: what `lower` returned for the model, to save its time for each configuration.

        Raises:
          InputError, UnsupportedError: see `asnet_mlir.compile`.
        """
        self.network: Network = load_model(model)
        self.binding = binding or Binding()
        self.threads = default_threads() if threads is None else threads
        if self.threads < 1:
            raise InputError(f"the number of threads must be at least 1, not {threads}")
        self._chunk = _batch(self.network)
        self._weights = [weight.value for weight in self.network.weights]
        bound = bind(lowered or self.lower(self.network), self.binding)
        self._compiled = to_native(bound, model_texts(self.binding.instances))

    @staticmethod
    def lower(network: Network) -> str:
        """Lower a network to the approx dialect, for the batch that evaluators use."""
        return to_approx(network, _batch(network))

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Return float32[n, *output_shape] for float32[n, *input_shape].

        Raises:
          InputError: `x` has another shape or dtype.
        """
        network = self.network
        if x.dtype != np.float32 or x.shape[1:] != network.input_shape:
            raise InputError(
                f"{network.name}: takes float32 samples of shape {network.input_shape}, got "
                f"{x.dtype} of {x.shape[1:]}"
            )
        x = np.ascontiguousarray(x)
        result = np.empty((len(x), *network.output_shape), np.float32)

        def run(start: int) -> None:
            part = x[start : start + self._chunk]
            if len(part) == self._chunk:
                self._call(part, result[start : start + self._chunk])
                return
            # The compiled batch is fixed: the rest is filled up with zeros, whose outputs are dropped.
            padded = np.zeros((self._chunk, *network.input_shape), np.float32)
            padded[: len(part)] = part
            whole = np.empty((self._chunk, *network.output_shape), np.float32)
            self._call(padded, whole)
            result[start:] = whole[: len(part)]

        starts = range(0, len(x), self._chunk)
        if self.threads == 1 or len(starts) == 1:
            for start in starts:
                run(start)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(run, starts))
        return result

    def _call(self, x: np.ndarray, y: np.ndarray) -> None:
        self._compiled("main", x, *self._weights, y)


def _batch(network: Network) -> int:
    return network.fixed_batch or _CHUNK
