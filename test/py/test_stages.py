# SPDX-License-Identifier: Apache-2.0
"""Stages: native code of one layer at a time, kept on disk, and results that are used again."""

import itertools
import signal
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_evaluation import same_bits

from asnet_mlir.binding import Binding
from asnet_mlir.compiler import to_approx
from asnet_mlir.data import Dataset
from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.evaluation import CompiledNetwork, Evaluator, Session, cpu, stages
from asnet_mlir.evaluation.stages import split_stages
from asnet_mlir.evaluation.transpose import transposer
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.native import objects as native
from asnet_mlir.network import Weight
from asnet_mlir.support.cache import cache_directory, cached_bytes


def residual_network(side: int = 7, filters: int = 5):
    """A convolution whose result is used twice, a pool, two dense layers and a softmax."""
    import jax
    from jax import lax

    rng = np.random.default_rng(0)

    def weights(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    flat = (side // 2) ** 2 * filters
    arguments = [weights(3, 3, 2, filters), weights(filters), weights(3, 3, filters, filters)]
    arguments += [weights(flat, 6), weights(6, 3), weights(3)]

    def convolve(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)

    def forward(x, k1, b1, k2, w3, w4, b4):
        with jax.named_scope("first"):
            y = jax.nn.relu(convolve(x, k1) + b1)
        with jax.named_scope("second"):
            y = y + convolve(y, k2)
        with jax.named_scope("pool"):
            y = lax.reduce_window(y, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        with jax.named_scope("third"):
            y = y.reshape(y.shape[0], -1) @ w3
        with jax.named_scope("fourth"):
            y = y @ w4 + b4
        with jax.named_scope("softmax"):
            return jax.nn.softmax(y)

    return from_jax_function(forward, (np.zeros((1, side, side, 2), np.float32), *arguments))


@pytest.fixture(scope="module")
def network():
    return residual_network()


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((75, 7, 7, 2)).astype(np.float32)
    return Dataset("random", x, rng.integers(0, 3, 75))


RULES = st.lists(
    st.tuples(
        st.sampled_from(["mulf@first", "mulf@second", "mulf@third", "mulf@fourth", "mulf"]),
        st.sampled_from([0, 12, 21]),
    ),
    unique_by=lambda rule: rule[0],
    max_size=3,
)


def binding_of(rules) -> Binding:
    return Binding.parse([f"{where}=fmul_trunc:P={p}" for where, p in rules])


@settings(max_examples=15, deadline=None)
@given(sequence=st.lists(st.tuples(RULES, st.integers(0, 75), st.booleans()), max_size=6))
def test_a_session_equals_the_evaluator_whatever_it_saw_before(network, dataset, sequence):
    session = Session(network, dataset)
    compiled = session.compiled
    for rules, start, whole in sequence:
        binding = binding_of(rules)
        expected = Evaluator(compiled, binding).outputs(dataset.x)
        if whole:
            assert same_bits(session.outputs(binding), expected)
        else:
            assert same_bits(
                session.outputs(binding, start, start + 20), expected[start : start + 20]
            )


def test_layers_before_the_first_change_are_not_computed_again(network, dataset, monkeypatch):
    session = Session(network, dataset)
    ran = []
    plan = session.compiled.plan

    def spy(stages, *rest, **options):
        ran.append([bound.stage.layer for bound in stages])
        return plan(stages, *rest, **options)

    monkeypatch.setattr(session.compiled, "plan", spy)
    for p in (5, 9, 13, 17):
        session.outputs(binding_of([("mulf@third", p)]))
    everything = ["first", "second", "pool", "third", "fourth", "softmax"]
    # The second time shows where the change is; from the third on, what is before it is there.
    assert ran == [everything, everything, everything[3:], everything[3:]]
    ran.clear()
    session.outputs(binding_of([("mulf@first", 3), ("mulf@third", 17)]))
    assert ran == [everything]


def test_weights_may_change_between_runs(network, dataset):
    """Of one compiled network and one session, nothing is stale, and nothing compiled again."""
    binding = binding_of([("mulf@second", 14)])
    session = Session(network, dataset)
    compiled = session.compiled
    evaluator = Evaluator(compiled, binding)
    own = session.outputs(binding)
    compiled.bind(binding_of([("mulf@third", 5)]))
    count = compiled.native_stages
    rng = np.random.default_rng(2)
    names = [weight.name for weight in network.weights]
    for changed in ([names[0]], [names[2], names[5]], [names[3]], names):
        others = {
            name: rng.standard_normal(compiled.weights.arrays[name].shape).astype(np.float32)
            for name in changed
        }
        renewed = tuple(
            Weight(weight.name, others.get(weight.name, weight.value)) for weight in network.weights
        )
        expected = Evaluator(replace(network, weights=renewed), binding).outputs(dataset.x)
        assert not same_bits(expected, own)
        assert same_bits(evaluator.outputs(dataset.x, others), expected)
        weights = compiled.weights.replaced(others)
        for p in (5, 9, 13):  # the session keeps what the third layer reads
            session.outputs(binding_of([("mulf@third", p)]))
        other = binding_of([("mulf@third", 17)])
        of_other = Evaluator(replace(network, weights=renewed), other).outputs(dataset.x)
        assert same_bits(session.outputs(other, weights=weights), of_other)
        for _ in range(3):
            assert same_bits(session.outputs(binding, weights=weights), expected)
        assert same_bits(evaluator.outputs(dataset.x), own)
        assert same_bits(session.outputs(binding), own)
    assert compiled.native_stages == count
    for wrong in ({"w": own}, {names[0]: own}, {names[5]: np.zeros(3)}):
        with pytest.raises(InputError, match="weights:"):
            evaluator.outputs(dataset.x, wrong)


def test_what_a_session_keeps_is_bounded(network, dataset, monkeypatch):
    from asnet_mlir.evaluation import session as module

    session = Session(network, dataset)
    block = session.compiled.sizes or session.outputs() is None or session.compiled.sizes
    limit = 2 * session._blocks * max(block.values())
    monkeypatch.setattr(module, "_KEPT", limit)
    for p, layer in itertools.product((5, 9, 13), ("fourth", "third", "second", "first")):
        session.outputs(binding_of([(f"mulf@{layer}", p)]))
        assert sum(array.nbytes for array in session._kept.values()) <= limit


def test_rules_reach_a_stage_as_they_reach_its_ops(network):
    split = split_stages(to_approx(network, 1))
    by_layer = {stage.layer: stage for stage in split.stages}
    binding = binding_of([("mulf", 12), ("mulf@third", 21), ("mulf@second", 0)])
    third = by_layer["third"].restrict(binding)
    assert [rule.layer for rule in third.rules] == ["third"]
    assert [rule.layer for rule in by_layer["softmax"].restrict(binding).rules] == [None]
    assert by_layer["pool"].restrict(binding).rules == ()


def test_scalar_code_gives_the_same_bits(network, dataset, monkeypatch):
    binding = binding_of([("mulf", 13)])
    expected = Evaluator(network, binding).outputs(dataset.x)
    monkeypatch.setattr(stages, "_has_lanes", lambda text: False)
    monkeypatch.setattr(stages, "cached_text", lambda kind, key, make: make())
    compiled = CompiledNetwork(network)
    assert compiled.lanes == 1
    assert same_bits(Evaluator(compiled, binding).outputs(dataset.x), expected)


def test_native_code_is_compiled_once_on_a_machine(network, dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path))
    binding = binding_of([("mulf@third", 13)])
    expected = Evaluator(network, binding).outputs(dataset.x)

    def never(*arguments):
        raise AssertionError("compiled again")

    monkeypatch.setattr(cpu, "compile_object", never)
    assert same_bits(Evaluator(network, binding).outputs(dataset.x), expected)
    with pytest.raises(AssertionError, match="compiled again"):
        Evaluator(network, Binding.parse(["divf=fdiv_trunc:P=13", "addf=fadd:FLUSH=1"]))


def test_a_damaged_entry_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path))
    assert cached_bytes("kind", "key", lambda: b"content") == b"content"
    path = cache_directory() / "kind" / "key"
    for damage in (path.read_bytes()[:-1], b"", path.read_bytes()[:-1] + b"!", b"short"):
        path.write_bytes(damage)
        assert cached_bytes("kind", "key", lambda: b"content") == b"content"
        assert cached_bytes("kind", "key", lambda: b"other") == b"content"


@pytest.mark.parametrize(("rows", "columns"), [(16, 784), (10, 16), (16, 17), (33, 31), (3, 2)])
@pytest.mark.parametrize("lanes", [1, 8, 16])
def test_transposing(rows, columns, lanes):
    import ctypes

    x = np.random.default_rng(2).random((rows, columns), dtype=np.float32)
    y = np.zeros((columns, rows), np.float32)
    address = transposer(rows, columns, lanes)
    descriptors = [(ctypes.c_int64 * 3)(a.ctypes.data, a.ctypes.data, 0) for a in (x, y)]
    pointers = (ctypes.c_void_p * 2)(*(ctypes.addressof(d) for d in descriptors))
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)(pointers)
    np.testing.assert_array_equal(y, x.T)


def test_rounding_mode_of_the_caller_does_not_matter(network, dataset):
    """Another library may have set flush-to-zero; results must not change, nor the mode."""
    import ctypes

    libm = ctypes.CDLL("libm.so.6")
    mxcsr = ctypes.create_string_buffer(64)  # fenv_t
    x = np.full((20, 7, 7, 2), 1e-41, np.float32)
    expected = Evaluator(network, threads=1).outputs(x)
    assert libm.fegetenv(mxcsr) == 0
    changed = ctypes.create_string_buffer(mxcsr.raw, 64)
    # FTZ and DAZ are bits 15 and 6 of MXCSR, the last word of glibc's x86-64 fenv_t.
    word = int.from_bytes(changed.raw[28:32], "little") | 0x8040
    changed[28:32] = word.to_bytes(4, "little")
    evaluator = Evaluator(network, threads=1)
    try:
        assert libm.fesetenv(changed) == 0
        got = evaluator.outputs(x)
        after = ctypes.create_string_buffer(64)
        libm.fegetenv(after)
    finally:
        libm.fesetenv(mxcsr)
    assert same_bits(got, expected)
    assert int.from_bytes(after.raw[28:32], "little") & 0x8040 == 0x8040


def test_ctrl_c_is_answered_between_blocks():
    network = residual_network(40, 16)
    x = np.zeros((20000, 40, 40, 2), np.float32)
    evaluator = Evaluator(network, Binding.parse(["mulf=examples/user_core/fmul_log.v"]), threads=1)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            evaluator.outputs(x)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    # The same plan works afterwards.
    assert np.isfinite(evaluator.outputs(x[:16])).all()


def test_errors_of_native_code_are_tool_errors():
    with pytest.raises(ToolError, match="loading native code"):
        native.LoadedObject(b"no object")
