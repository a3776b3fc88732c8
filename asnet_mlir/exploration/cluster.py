# SPDX-License-Identifier: Apache-2.0
"""Sweeps on a Dask cluster: workers evaluate configurations, this process keeps the store.

What a worker needs travels to it once, as a plugin that the scheduler also gives to workers which
join later: the network as text with its weights, and the samples.  A worker that dies takes nothing
with it but what it was computing; the scheduler hands that to another.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.data import Dataset
from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.evaluation.evaluator import CompiledNetwork
from asnet_mlir.evaluation.session import Session
from asnet_mlir.exploration.early_stop import StoppingRule
from asnet_mlir.exploration.origin import program_version
from asnet_mlir.exploration.runner import Measurement, measure
from asnet_mlir.metrics import Judge
from asnet_mlir.network import ApproxTexts, Network
from asnet_mlir.support.cache import content_hash

__all__ = ["ClusterRunner", "connect"]

T = TypeVar("T")

_CONNECT_SECONDS = 5
_WORKERS_SECONDS = 10
#: How long a sweep waits for workers to come back when there is none.
_PATIENCE_SECONDS = 60
#: How long a result may travel.
_FETCH_SECONDS = 5
#: Configurations under way for each thread of the workers: none waits for its next one.
_AHEAD = 3

_GONE = (
    "the Dask scheduler is gone; what was reported is stored: run the same command again to go on"
)

#: What a worker process has of each study, by its name; sessions are not for two threads at once.
_STUDIES: dict[str, _Work] = {}
_LOCK = threading.Lock()


def connect(address: str) -> Any:
    """Return a client of a Dask scheduler.

    Raises:
      InputError: dask is not installed; nothing answers at the address; it has no workers, or none
        that can import this version of asnet_mlir.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "--scheduler needs dask: install it with 'pip install asnet-mlir[dask]'"
        ) from None
    try:
        asyncio.run(_greet(address))
    except Exception as error:  # whatever comes of speaking with something else than a scheduler
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"--scheduler {address}: no Dask scheduler answers there ({reason[:120]}); start one "
            "with 'dask scheduler' and give its tcp://HOST:PORT"
        ) from None
    client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    try:
        _check_workers(client, address)
    except BaseException:
        client.close()
        raise
    return client


async def _greet(address: str) -> None:
    """Ask who is there; a client that fails to connect leaves threads and messages behind."""
    from distributed import Security
    from distributed.core import rpc

    arguments = Security().get_connection_args("client")
    async with asyncio.timeout(_CONNECT_SECONDS):
        async with rpc(address, timeout=_CONNECT_SECONDS, connection_args=arguments) as remote:
            if (await remote.identity())["type"] != "Scheduler":
                raise ValueError("it is another part of Dask")


def _check_workers(client: Any, address: str) -> None:
    from distributed import TimeoutError as DaskTimeoutError

    try:
        client.wait_for_workers(1, timeout=_WORKERS_SECONDS)
    except (TimeoutError, DaskTimeoutError):
        raise InputError(
            f"--scheduler {address}: it has no workers; start some with "
            f"'dask worker {address} --nthreads 1'"
        ) from None
    try:
        versions = client.run(_version)
    except Exception as error:  # whatever a worker's Python raises
        raise InputError(
            f"--scheduler {address}: its workers can't import asnet_mlir ({error}); install the "
            "same version there"
        ) from None
    for worker, version in versions.items():
        if version != _version():
            raise InputError(
                f"--scheduler {address}: worker {worker} has asnet_mlir {version}, this is "
                f"{_version()}"
            )


def _version() -> str:
    return f"{asnet_mlir.__version__} (code {program_version()})"


class _Work:
    """What a worker process evaluates configurations with."""

    def __init__(
        self,
        network: Network,
        dataset: Dataset,
        judge: Judge,
        stop: StoppingRule | None,
        threads: int,
    ) -> None:
        self._make: Callable[[], Session] = lambda: Session(
            network, dataset, threads=threads, judge=judge
        )
        self._session: Session | None = None
        self._stop = stop
        self._lock = threading.Lock()

    def measure(self, binding: Binding) -> Measurement:
        with self._lock:
            self._session = self._session or self._make()
            return measure(self._session, binding, self._stop)


def _evaluate(study: str, binding: Binding) -> Measurement:
    """Runs on a worker."""
    with _LOCK:
        work = _STUDIES[study]
    return work.measure(binding)


class ClusterRunner:
    """Evaluates on the workers of a Dask cluster."""

    def __init__(
        self,
        client: Any,
        compiled: CompiledNetwork,
        dataset: Dataset,
        judge: Judge,
        stop: StoppingRule | None = None,
        threads: int | None = None,
    ) -> None:
        """Prepare what travels to the workers.

        Args:
          client: what `connect` returned; closed at the end.
          judge: of the dataset's outputs; a metric of the user's own is imported by the workers.
          threads: of one evaluation on a worker; by default one per processor of its machine.
        """
        self._client = client
        self._work = (_portable(compiled), dataset, judge, stop, threads)
        self._alone_since: float | None = None
        self._is_gone = False
        self._unsilence: Callable[[], None] = lambda: None
        self._name = content_hash(str(os.getpid()), str(time.time_ns()))[:16]

    def __enter__(self) -> ClusterRunner:
        from distributed import WorkerPlugin

        class Plugin(WorkerPlugin):
            """Gives a worker its part of the study."""

            name = f"asnet-{self._name}"
            study, work = self._name, self._work

            def setup(self, worker: Any) -> None:
                from asnet_mlir.evaluation.evaluator import default_threads
                from asnet_mlir.exploration import cluster

                network, dataset, judge, stop, threads = self.work
                with cluster._LOCK:
                    cluster._STUDIES[self.study] = cluster._Work(
                        network, dataset, judge, stop, threads or default_threads()
                    )

            def teardown(self, worker: Any) -> None:
                from asnet_mlir.exploration import cluster

                with cluster._LOCK:
                    cluster._STUDIES.pop(self.study, None)

        self._unsilence = _silence()
        with self._speaking():
            self._client.register_plugin(Plugin(), name=Plugin.name)
        return self

    def __exit__(self, *error: object) -> None:
        # The cluster may be what failed.
        with contextlib.suppress(AsnetError), self._speaking():
            self._client.unregister_worker_plugin(f"asnet-{self._name}")
        with contextlib.suppress(AsnetError), self._speaking():
            self._client.close()
        # A client that has lost its scheduler tells of it some time after it was closed.
        if not self._is_gone:
            self._unsilence()

    def run(self, jobs: Iterable[tuple[T, Binding]]) -> Iterator[tuple[T, Measurement]]:
        """See `Runner`.

        Raises:
          AsnetError: an evaluation failed on its worker, or all workers left.
        """
        source = iter(jobs)
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        tags: dict[str, tuple[T, Binding, Any]] = {}
        number = itertools.count()

        def fill() -> None:
            while len(tags) < _AHEAD * max(1, self._workers()):
                job = next(source, None)
                if job is None:
                    return
                key = f"asnet-{self._name}-{id(tags)}-{next(number)}"
                with self._speaking():
                    future = self._client.submit(_evaluate, self._name, job[1], key=key)
                    tags[key] = (*job, future)
                    future.add_done_callback(done.put)

        try:
            fill()
            while tags:
                future = self._next(done)
                tag, binding, _ = tags[future.key]
                measured = self._result(future, binding)
                if measured is None:
                    future.add_done_callback(done.put)
                    continue
                del tags[future.key]
                yield tag, measured
                fill()
        finally:
            with contextlib.suppress(AsnetError), self._speaking():
                self._client.cancel([future for _, _, future in tags.values()])

    @contextlib.contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn whatever speaking with a scheduler that is gone raises into one error."""
        try:
            yield
        except AsnetError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            self._is_gone = True
            raise AsnetError(f"{_GONE} ({reason})") from None

    def _next(self, done: queue.SimpleQueue[Any]) -> Any:
        """Wait for an evaluation to end."""
        while True:
            try:
                return done.get(timeout=1.0)
            except queue.Empty:
                self._check_workers()

    def _result(self, future: Any, binding: Binding) -> Measurement | None:
        """Return what an evaluation gave, or None where it was lost with its worker.

        Raises:
          AsnetError: it failed.
        """
        with contextlib.suppress(TimeoutError):
            if future.status == "finished":
                return self._fetched(future.result)
            if future.status == "cancelled":
                self._is_gone = True
                raise AsnetError(_GONE)
            if future.status == "error":
                error = self._fetched(future.exception)
                text = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                raise AsnetError(f"a worker failed to evaluate {binding.label}: {text}")
        # It was done, but its worker died with the result: the scheduler has it done again.
        self._check_workers()
        return None

    def _fetched(self, get: Callable[..., Any]) -> Any:
        try:
            with self._speaking():
                return get(timeout=_FETCH_SECONDS)
        except AsnetError:
            if self._client.status == "running":
                raise TimeoutError from None  # its worker died with the result
            raise

    def _check_workers(self) -> None:
        """Give up when no worker is left for a while."""
        now = time.monotonic()
        if self._client.status == "running" and self._workers() > 0:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since > _PATIENCE_SECONDS:
            raise AsnetError(
                f"the Dask cluster has no workers left for {_PATIENCE_SECONDS} s; what was "
                "reported is stored: start workers and run the same command again"
            )

    def _workers(self) -> int:
        with self._speaking():
            return len(self._client.scheduler_info(n_workers=-1)["workers"])


def _silence() -> Callable[[], None]:
    """Keep Dask from telling of lost connections: what matters, this program says.

    Returns:
      What makes it speak again.
    """
    names = [n for n in logging.root.manager.loggerDict if n.startswith(("distributed", "tornado"))]
    loggers = [logging.getLogger(name) for name in (*names, "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)

    def unsilence() -> None:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

    return unsilence


def _portable(compiled: CompiledNetwork) -> Network:
    """Return a network that can travel: the text of its approx module instead of front ends."""
    network = compiled.network
    texts = {network.fixed_batch or 1: compiled.lowered}
    return replace(network, lowering=ApproxTexts(network.name, texts), unfolded=None)
