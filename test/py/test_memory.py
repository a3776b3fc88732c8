# SPDX-License-Identifier: Apache-2.0
"""Memory of a run: values that do not live at the same time share it, too little is refused."""

import random

import numpy as np
import pytest

from asnet_mlir.errors import InputError
from asnet_mlir.evaluation import cpu_backend
from asnet_mlir.evaluation.evaluator import Evaluator
from asnet_mlir.evaluation.transpose import transposer
from asnet_mlir.native.objects import Argument, Plan
from asnet_mlir.support.memory import available_memory

_SIZE = 4 * 64


def _copies(pairs, values, rows=1):
    """A plan of which each stage copies a value, or transposes one of [rows, columns]."""
    copy = transposer(rows, 64 // rows, 1, "f32")
    functions = [(copy, [Argument("value", a), Argument("value", b)]) for a, b in pairs]
    return Plan(functions, [_SIZE] * values)


def _ends(count):
    x = np.arange(64 * 3, dtype=np.float32)
    return x, {0: x, count: np.zeros_like(x)}


def test_a_chain_takes_the_memory_of_two_values():
    plan = _copies([(i, i + 1) for i in range(9)], 10)
    x, arrays = _ends(9)
    assert plan.memory(arrays) == 2 * _SIZE
    plan.run(arrays, 3, 2)
    np.testing.assert_array_equal(arrays[9], x)


def test_a_value_that_has_memory_of_its_own_takes_none():
    plan = _copies([(0, 1), (1, 2), (2, 3)], 4)
    x, arrays = _ends(3)
    assert plan.memory(arrays) == 2 * _SIZE
    arrays[1] = np.zeros_like(x)
    assert plan.memory(arrays) == _SIZE
    plan.run(arrays, 3, 1)
    np.testing.assert_array_equal(arrays[1], x)
    np.testing.assert_array_equal(arrays[3], x)


@pytest.mark.parametrize("seed", range(20))
def test_no_value_is_overwritten_while_it_is_needed(seed):
    """Each is made of one of the last few by moving elements; how long it lives is random."""
    draw = random.Random(seed)
    pairs = [(draw.randrange(max(0, to - 6), to), to) for to in range(1, 30)]
    plan = _copies(pairs, 30, rows=2)
    x = np.arange(64 * 2, dtype=np.float32)
    expected = {0: x.reshape(2, 2, 32)}
    for source, to in pairs:
        expected[to] = expected[source].swapaxes(1, 2).reshape(2, 2, 32)
    outputs = {n: np.zeros_like(x) for n in range(1, 30) if n == 29 or draw.random() < 0.2}
    assert plan.memory({0: x, **outputs}) <= 7 * _SIZE
    plan.run({0: x, **outputs}, 2, 1)
    for number, y in outputs.items():
        np.testing.assert_array_equal(y.reshape(2, 2, 32), expected[number])


def test_available_memory_is_the_smaller_of_machine_and_group(tmp_path):
    proc, group = tmp_path / "proc", tmp_path / "group"
    proc.mkdir(), group.mkdir()
    assert available_memory(proc, group) == 1 << 62
    (proc / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\n")
    assert available_memory(proc, group) == 5000 << 10
    (group / "memory.current").write_text("3000\n")
    (group / "memory.max").write_text("max\n")
    assert available_memory(proc, group) == 5000 << 10
    (group / "memory.max").write_text("10000\n")
    (group / "memory.stat").write_text("anon 2000\ninactive_file 500\n")
    assert available_memory(proc, group) == 7500


def test_a_network_that_does_not_fit_is_refused_before_it_runs(monkeypatch):
    evaluator = Evaluator("classification_mnist")
    x = np.zeros((16, *evaluator.network.input_shape), np.float32)
    monkeypatch.setattr(cpu_backend, "available_memory", lambda: 1000)
    with pytest.raises(InputError, match=r"takes 0\.0 GB of memory, and 0\.0 GB are available"):
        evaluator.outputs(x)
