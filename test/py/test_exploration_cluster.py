# SPDX-License-Identifier: Apache-2.0
"""Sweeps on a Dask cluster: workers may die, the results are those of one process."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import socket
import time

import pytest

from asnet_mlir.binding import Binding
from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.exploration import cluster, explore
from asnet_mlir.exploration.store import Store
from asnet_mlir.network import ApproxTexts
from asnet_mlir.quantization import quantize

SPACE = {
    "scope": "layer",
    "cores": [{"op": "mulf", "core": "fmul_trunc", "parameters": {"P": [10, 16, 22]}}],
}


@pytest.fixture(scope="module")
def workers():
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as local:
        yield local


def test_a_worker_that_is_killed_in_mid_sweep_changes_nothing(workers, conv, conv_data, tmp_path):
    killed = []

    def kill_one(done, total, result, seconds):
        if done == 4:
            killed.append(next(iter(workers.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

    store = tmp_path / "s.sqlite"
    address = workers.scheduler_address
    swept = explore(
        *(conv, conv_data, SPACE), store=store, scheduler=address, threads=1, progress=kill_one
    )
    assert killed and swept.evaluated == 16
    alone = explore(conv, conv_data, SPACE)
    assert [(r.configuration, r.accuracy) for r in swept.results] == [
        (r.configuration, r.accuracy) for r in alone.results
    ]
    with Store(store, read_only=True) as kept:
        assert kept.count() == 16 and kept.studies()[0].state == "done"
    again = explore(conv, conv_data, SPACE, store=store, scheduler=address)
    assert again.evaluated == 0


def test_searches_and_early_stops_on_a_cluster_take_the_same_way(workers, conv, conv_data):
    arguments = {
        "strategy": "nsga2",
        "budget": 10,
        "choose": "accuracy>=0.87",
        "early_stop": 0.9,
    }
    address = workers.scheduler_address
    far = explore(conv, conv_data, SPACE, scheduler=address, threads=1, **arguments)
    near = explore(conv, conv_data, SPACE, **arguments)
    assert [(r.configuration, r.accuracy, r.samples) for r in far.results] == [
        (r.configuration, r.accuracy, r.samples) for r in near.results
    ]


def test_an_evaluation_that_fails_on_a_worker_is_one_error(workers, conv, conv_data, monkeypatch):
    def without_texts(compiled):
        return dataclasses.replace(portable(compiled), lowering=ApproxTexts("none", {}))

    portable = cluster._portable
    monkeypatch.setattr(cluster, "_portable", without_texts)
    with pytest.raises(AsnetError, match="a worker failed to evaluate exact: KeyError") as error:
        explore(conv, conv_data, SPACE, scheduler=workers.scheduler_address)
    assert "\n" not in str(error.value) and error.value.exit_status == 1


def test_no_scheduler_where_one_was_named(conv, conv_data, monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 1)
    with socket.socket() as listening:  # it answers nothing
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        silent = f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            closed = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        for address in (silent, closed, "nonsense", "", "ftp://127.0.0.1:1"):
            begin = time.monotonic()
            with pytest.raises(InputError, match="no Dask scheduler answers there") as error:
                explore(conv, conv_data, SPACE, scheduler=address, store=tmp_path / "s.sqlite")
            assert list(tmp_path.iterdir()) == []  # no empty store
            assert time.monotonic() - begin < 5
            assert str(error.value).startswith(f"--scheduler {address}: ")
            assert "\n" not in str(error.value)


def test_a_scheduler_without_workers(monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(cluster, "_WORKERS_SECONDS", 1)
    refused = pytest.raises(InputError, match="it has no workers; start some with 'dask worker")
    with LocalCluster(n_workers=0, dashboard_address=":0") as local, refused:
        cluster.connect(local.scheduler_address)


def test_workers_that_never_come_back(conv, conv_data, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(cluster, "_PATIENCE_SECONDS", 2)
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as local:

        def end(done, total, result, seconds):
            if done == 2:
                local.scale(0)

        with pytest.raises(AsnetError, match="no workers left"):
            explore(
                *(conv, conv_data, SPACE),
                scheduler=local.scheduler_address,
                threads=1,
                progress=end,
            )


class Gone:
    """A client whose scheduler was killed, perhaps after it was greeted."""

    status = "closed"

    def __init__(self, greeted):
        if greeted:
            self.register_plugin = lambda *arguments, **options: None

    def __getattr__(self, name):
        def call(*arguments, **options):
            logging.getLogger("distributed.client").error("a trace of twenty lines")
            raise OSError("in <TCP (closed)>: Stream is closed")

        return call


@pytest.mark.parametrize("greeted", [True, False])
def test_a_scheduler_that_is_killed_is_one_error(conv, conv_data, monkeypatch, caplog, greeted):
    monkeypatch.setattr(cluster, "_portable", lambda compiled: None)
    runner = cluster.ClusterRunner(Gone(greeted), None, conv_data, None)
    with pytest.raises(AsnetError, match="scheduler is gone; what was reported is stored"), runner:
        list(runner.run([("a", Binding())]))
    # What the client says some time after it was closed, too.
    logging.getLogger("distributed.client").error("Failed to reconnect to scheduler")
    assert not caplog.records
    runner._unsilence()


def test_codes_on_a_cluster(workers, conv, conv_data):
    """A quantised network's words are the same on workers."""
    network = quantize(conv, conv_data)
    space = {
        "scope": "layer",
        "cores": [
            {"op": "muli", "core": "drum", "parameters": {"N": 8, "K": 3, "SIGN_MAGNITUDE": 8}},
            {"op": "muli", "core": "truncated", "parameters": {"N": 8, "CUT": 7, "SIGNED": 1}},
        ],
    }
    near = explore(network, conv_data, space)
    far = explore(
        *(network, conv_data, space),
        scheduler=workers.scheduler_address,
        threads=1,
    )
    accuracies = [(r.configuration, r.accuracy) for r in far.results]
    assert accuracies == [(r.configuration, r.accuracy) for r in near.results]
    assert len({accuracy for _, accuracy in accuracies}) > 2
