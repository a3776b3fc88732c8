# SPDX-License-Identifier: Apache-2.0
"""MLIR in a worker process, where CIRCT came first (TensorFlow: test/tensorflow)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest

from asnet_mlir import worker
from asnet_mlir.errors import AsnetWarning, warn


def run(script: str, **options):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, **options
    )


PRELUDE = """
import os, signal, sys
import circt
import asnet_mlir as asnet
import numpy as np
from asnet_mlir import worker
"""


@pytest.mark.parametrize(
    "order", ["import circt, asnet_mlir as asnet", "import asnet_mlir as asnet, circt"]
)
def test_import_orders_with_circt(order, tmp_path):
    script = f"""
        import sys
        {order}
        import numpy as np
        w = np.random.default_rng(0).standard_normal((784, 10)).astype(np.float32)
        net = (lambda x: x @ w, (np.zeros((1, 784), np.float32),))
        data = asnet.load_data("mnist:test:200")
        accuracy = np.mean(np.argmax(data.x.reshape(200, 784) @ w, 1) == data.y)
        assert asnet.evaluate(net, data).accuracy == accuracy
        done = []
        space = {{"cores": [{{"op": "mulf", "core": "fmul_trunc", "parameters": {{"P": 20}}}}]}}
        asnet.explore(net, data, space, progress=lambda *a: done.append(a[:2]))
        assert done == [(1, 2), (2, 2)]
        asnet.generate("classification_mnist", output="bundle")
        assert "approx.mulf" in asnet.compile("classification_mnist", "approx")
        assert "mlir" not in sys.modules
        try:
            asnet.evaluate("no_such_network", data)
        except asnet.errors.InputError as error:
            print(error)
        try:
            from asnet_mlir.evaluation import Evaluator
            Evaluator("classification_mnist")
        except asnet.errors.AsnetError as error:
            print(error)
    """
    done = run(script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    unknown, clash = done.stdout.splitlines()
    assert unknown.startswith("unknown model 'no_such_network'")
    assert clash.startswith("'circt' was imported before MLIR")
    # Relative paths are the caller's.
    assert (tmp_path / "bundle" / "manifest.json").is_file()


def test_a_worker_that_dies_is_started_once_more():
    script = f"""{PRELUDE}
text = asnet.compile("classification_mnist", "approx")
os.kill(worker._WORKERS[-1]._process.pid, signal.SIGKILL)
assert asnet.compile("classification_mnist", "approx") == text
print("done")
"""
    done = run(script)
    assert done.stdout.split() == ["done"], done.stderr


def test_a_worker_that_dies_twice_is_an_error_with_its_last_words():
    script = f"""{PRELUDE}
def kill(*_):
    os.kill(worker._WORKERS[-1]._process.pid, signal.SIGABRT)
space = {{"cores": [{{"op": "mulf", "core": "fmul_trunc", "parameters": {{"P": 20}}}}]}}
try:
    asnet.explore("classification_mnist", "mnist:test:10", space, progress=kill)
except asnet.errors.ToolError as error:
    print(error)
# It does not stay broken.
assert "approx" in asnet.compile("classification_mnist", "approx")
"""
    done = run(script)
    assert done.returncode == 0, done.stderr
    assert "ended twice, by signal 6" in done.stdout


def test_nothing_is_left_behind():
    script = f"""{PRELUDE}
data = asnet.load_data("mnist:test:200")
asnet.evaluate("classification_mnist", data)
folders = worker._WORKERS[-1]._folders
print(worker._WORKERS[-1]._process.pid, *folders)
assert not any(list(folder.iterdir()) for folder in folders)
"""
    pid, *folders = run(script).stdout.split()
    assert folders and not any(map(os.path.exists, folders))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_ctrl_c_ends_the_worker():
    script = f"""{PRELUDE}
def interrupt(*_):
    raise KeyboardInterrupt
space = {{"cores": [{{"op": "mulf", "core": "fmul_trunc", "parameters": {{"P": 20}}}}]}}
try:
    asnet.explore("classification_mnist", "mnist:test:10", space, progress=interrupt)
except KeyboardInterrupt:
    print(worker._WORKERS[-1]._process)
"""
    assert run(script).stdout.split() == ["None"]


def test_its_parent_s_death_ends_the_worker():
    script = f"""{PRELUDE}
asnet.compile("classification_mnist", "approx")
print(worker._WORKERS[-1]._process.pid, *worker._WORKERS[-1]._folders, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = run(script)
    assert done.returncode == -signal.SIGKILL
    pid, *folders = done.stdout.split()
    for _ in range(100):
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            assert folders and not any(map(os.path.exists, folders))
            return
        subprocess.run(["sleep", "0.05"], check=True)
    pytest.fail("the worker lives on")


@pytest.fixture
def channels(tmp_path):
    """Both ends of a channel; the far one answers in a thread."""
    import socket
    import threading
    from multiprocessing.connection import Connection

    ours, theirs = socket.socketpair()
    near = worker.Channel(Connection(ours.detach()), [tmp_path])
    far = worker.Channel(Connection(theirs.detach()), [tmp_path])
    thread = threading.Thread(target=far.serve)
    thread.start()
    yield near
    near._connection.close()
    thread.join()


@pytest.mark.parametrize("size", [0, 3, worker._LARGE_BYTES, 1 << 20])
def test_arrays_arrive_whole_and_writable(channels, tmp_path, size):
    array = np.arange(size, dtype=np.uint8)
    sent = {"a": array, "b": [array[::2], array.reshape(-1, 1)]}
    back = channels.request("call", os.getcwd(), "copy", "copy", (sent,), {})
    np.testing.assert_array_equal(back["a"], array)
    np.testing.assert_array_equal(back["b"][0], array[::2])
    back["a"][:] = 7
    assert not list(tmp_path.iterdir())


def test_small_shared_memory_is_passed_over(tmp_path, monkeypatch):
    small, large = tmp_path / "small", tmp_path / "large"
    free = {small: 1 << 20, large: 1 << 40}
    usage = type("Usage", (), {})

    def disk_usage(folder):
        usage.free = free[folder]
        return usage

    monkeypatch.setattr(worker.shutil, "disk_usage", disk_usage)
    channel = worker.Channel(None, [small, large])
    assert channel._room(1 << 10) == small and channel._room(1 << 21) == large
    free[large] = 0
    assert channel._room(1 << 21) == large


def test_errors_arrive_as_what_they_are(channels):
    with pytest.raises(ZeroDivisionError):
        channels.request("call", os.getcwd(), "operator", "truediv", (1, 0), {})
    with pytest.raises(RuntimeError, match="can't be sent"):
        channels.request("call", os.getcwd(), "threading", "Lock", (), {})
    assert channels.request("call", os.getcwd(), "operator", "add", (1, 2), {}) == 3


def test_warnings_are_the_callers():
    for _ in range(2):
        with pytest.warns(AsnetWarning, match="^of the other process$") as warned:
            worker.run_apart(warn, "of the other process", purpose="warning")
        assert [one.filename for one in warned] == [__file__]
    with (
        warnings.catch_warnings(action="error"),
        pytest.raises(AsnetWarning, match="^as an error$"),
    ):
        worker.run_apart(warn, "as an error", purpose="warning")
