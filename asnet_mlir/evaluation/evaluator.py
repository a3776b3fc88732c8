"""A bound network, compiled for this machine."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.cache import content_hash
from asnet_mlir.compiler import bind, to_approx, to_native
from asnet_mlir.cores import derive_models
from asnet_mlir.errors import InputError
from asnet_mlir.frontends import Network, load_model
from asnet_mlir.jit import CompiledModule

__all__ = ["CompiledNetwork", "Evaluator", "default_threads"]

#: Samples in one call.  Both are multiples of 8, so that the vectorizer's tiles divide them; the
#: large one has fewer calls, the small one wastes less on what fills up the last call.
_SMALL_BATCH = 256
_LARGE_BATCH = 1000
_MOST_THREADS = 256


def default_threads() -> int:
    """Return the number of processors this process may use."""
    return len(os.sched_getaffinity(0))


class CompiledNetwork:
    """A network lowered once, and the native code of its configurations.

    Configurations that differ only in the masks of truncating cores share native code: a mask is an
    argument of it, so that sweeping a parameter compiles nothing.
    """

    def __init__(self, model: Any, *, samples: int = 0) -> None:
        """Lower `model`, whatever `load_model` takes, for about `samples` samples at a time."""
        self.network: Network = load_model(model)
        batch = _LARGE_BATCH if samples >= _LARGE_BATCH else _SMALL_BATCH
        self.batch = self.network.fixed_batch or batch
        self.lowered = to_approx(self.network, self.batch)
        self._native: dict[str, CompiledModule] = {}

    def native(self, binding: Binding) -> tuple[CompiledModule, np.ndarray]:
        """Return native code for `binding` and the int32 parameters that it takes."""
        models = derive_models(
            {f"approx_core_{key}": value for key, value in binding.instances.items()}
        )
        texts = "\n".join(model.parametric_text for model in models.values())
        key = content_hash(binding.pass_option, texts)
        if key not in self._native:
            self._native[key] = to_native(bind(self.lowered, binding), texts, parametric=True)
        parameters = [value for model in models.values() for value in model.parameters]
        return self._native[key], np.array(parameters, np.uint32).view(np.int32)


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
    ) -> None:
        """Compile `model` under `binding`.

        Args:
          model: whatever `load_model` takes, or a `CompiledNetwork`, whose native code is reused.
          binding: which instances compute which ops; exact without.
          threads: at most this many run at once; by default one per processor.

        Raises:
          InputError, UnsupportedError: see `asnet_mlir.compile`.
        """
        self.threads = default_threads() if threads is None else threads
        if self.threads < 1:
            raise InputError(f"the number of threads must be at least 1, not {threads}")
        # More threads than batches in flight never help; a pool of a million ends the process.
        self.threads = min(self.threads, _MOST_THREADS)
        compiled = model if isinstance(model, CompiledNetwork) else CompiledNetwork(model)
        self.network = compiled.network
        self.binding = (binding or Binding()).over(self.network.instances)
        self._batch = compiled.batch
        self._compiled, parameters = compiled.native(self.binding)
        self._constants = [*(weight.value for weight in self.network.weights), parameters]

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Return float32[n, *output_shape] for float32[n, *input_shape].

        NaNs in `x` must be quiet (numpy's own are); a `Dataset` makes them so.

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
            part = x[start : start + self._batch]
            if len(part) == self._batch:
                self._call(part, result[start : start + self._batch])
                return
            # The compiled batch is fixed: the rest is filled up with zeros, their outputs dropped.
            padded = np.zeros((self._batch, *network.input_shape), np.float32)
            padded[: len(part)] = part
            whole = np.empty((self._batch, *network.output_shape), np.float32)
            self._call(padded, whole)
            result[start:] = whole[: len(part)]

        starts = range(0, len(x), self._batch)
        if self.threads == 1 or len(starts) == 1:
            for start in starts:
                run(start)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(run, starts))
        return result

    def _call(self, x: np.ndarray, y: np.ndarray) -> None:
        self._compiled("main", x, *self._constants, y)
