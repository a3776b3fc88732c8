# SPDX-License-Identifier: Apache-2.0
"""Samples of a batch are computed each by itself: what is refused, and what must not be."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from asnet_mlir.data import Dataset
from asnet_mlir.errors import InputError, ToolError, UnsupportedError
from asnet_mlir.evaluation import Evaluator, evaluate
from asnet_mlir.evaluation.evaluator import CompiledNetwork
from asnet_mlir.evaluation.second_net import check_first_samples
from asnet_mlir.frontends import load_model, tensors
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.module import LoweredModule
from asnet_mlir.frontends.xla import run_by_xla
from asnet_mlir.network import Elsewhere

X = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)


def network(function, shape=(6,)):
    return from_jax_function(function, (np.zeros((1, *shape), np.float32),), name="net")


def standardized(x):
    h = x * 2
    return jnp.where((h - h.mean(0)) / jnp.sqrt(h.var(0) + 1e-3) > 0, 1.0, -1.0)


MIXES = {
    "mean": ("reduce", lambda x: x - x.mean(0)),
    "hidden by a comparison": ("reduce", standardized),
    "compared with a mean": ("reduce", lambda x: (x > x.mean(0)).astype(jnp.float32)),
    "argmax": ("reduce", lambda x: x + jnp.argmax(x, 0)),
    "softmax": ("reduce", lambda x: jax.nn.softmax(x, 0)),
    "norm": ("reduce", lambda x: x / jnp.sqrt((x * x).sum())),
    "rank": ("compare", lambda x: (x[:, None] > x[None]).sum(1).astype(jnp.float32)),
    "covariance": ("dot_general", lambda x: x @ (x.T @ x)),
    "cumulative sum": ("reduce_window", lambda x: lax.cumsum(x, 0, reverse=True)),
    "window": (
        "reduce_window",
        lambda x: lax.reduce_window(x, 0.0, lax.add, (3, 1), (1, 1), "SAME"),
    ),
}
POSITIONS = {
    "index": ("add", lambda x: x + jnp.arange(x.shape[0])[:, None]),
    "first": ("slice", lambda x: jnp.where(x[:1] > 0, x, -x)),
    "roll": ("slice", lambda x: jnp.roll(x, 1, 0)),
    "reversed": ("reverse", lambda x: x[::-1]),
    "the first one otherwise": (
        "select",
        lambda x: jnp.where(jnp.arange(x.shape[0])[:, None] == 0, x, -x),
    ),
    "gathered": ("gather", lambda x: x[jnp.zeros(x.shape[0], int)]),
}
SIZES = {
    "times the size": ("multiply", lambda x: x * x.shape[0]),
    "compared with the size": ("compare", lambda x: jnp.where(x > x.shape[0], x, 0.0)),
    "number of ones": ("reduce", lambda x: x + jnp.ones_like(x).sum(0)),
    "one alone": ("", lambda x: x if x.shape[0] == 1 else x * 2),
    "two at most": ("", lambda x: x if x.shape[0] < 3 else x * 2),
}
FINE = {
    "argmax as an index": lambda x: x[jnp.arange(x.shape[0]), jnp.argmax(x, 1)][:, None],
    "index along the sample": lambda x: jnp.take_along_axis(x, jnp.argmin(x, 1, keepdims=True), 1),
    "embedding": lambda x: jnp.arange(12.0).reshape(4, 3)[jnp.clip(x.astype(int), 0, 3)],
    "product of a sample with itself": lambda x: x.reshape(-1, 2, 3) @ x.reshape(-1, 3, 2),
    "batch and rows merged": lambda x: (
        jnp.tanh(x.reshape(-1, 3)) @ jnp.arange(9.0).reshape(3, 3)
    ).reshape(-1, 6),
    "heads before the batch": lambda x: (
        jax.nn.softmax(x.reshape(-1, 2, 3).transpose(1, 0, 2).reshape(-1, 3))
        .reshape(2, -1, 3)
        .transpose(1, 0, 2)
    ),
    "rows of other lengths": lambda x: jnp.tanh(
        jax.nn.softmax(x.reshape(-1, 3, 2), -1).reshape(-1, 6).reshape(-1, 3) * 2
    ).reshape(-1, 6),
    "features first": lambda x: (jnp.arange(36.0).reshape(6, 6) @ x.T).T,
    "reversed twice": lambda x: x[::-1][::-1],
    "both halves at once": lambda x: (lambda y: y[: len(x)] - y[len(x) :])(
        jnp.tanh(jnp.concatenate([x, -x], 0))
    ),
    "sample by sample": lambda x: jnp.stack([x[i] * x[i].sum() for i in range(len(x))]),
    "vmap": jax.vmap(lambda s: lax.dynamic_slice(s, (jnp.argmax(s) // 2,), (3,)) / s.sum()),
    "kernels of samples": jax.vmap(lambda s: jnp.convolve(s, s[:3], mode="same")),
    "scan": lambda x: lax.associative_scan(jnp.add, x, axis=1),
    "a row for each": lambda x: x + jnp.tile(jnp.arange(6.0), (x.shape[0], 1)),
    "nothing of the input": lambda x: jnp.zeros((x.shape[0], 3)) + jnp.arange(3.0),
    "NaNs of its own": lambda x: x / (x * 0),
}


@pytest.mark.parametrize("case", MIXES)
def test_mixed_samples_are_refused_with_the_op(case):
    op, function = MIXES[case]
    with pytest.raises(UnsupportedError, match=f"net: 'stablehlo.{op}'.* mixes the samples"):
        network(function)


@pytest.mark.parametrize("case", POSITIONS)
def test_a_sample_does_not_depend_on_its_position(case):
    op, function = POSITIONS[case]
    with pytest.raises(UnsupportedError, match=f"'stablehlo.{op}'.* by their position"):
        network(function)


@pytest.mark.parametrize("case", SIZES)
def test_a_sample_does_not_depend_on_the_size_of_its_batch(case):
    op, function = SIZES[case]
    with pytest.raises(
        UnsupportedError, match=f"depends on the size of its batch.*{op}|{op}.*depends on the size"
    ):
        network(function)


@pytest.mark.parametrize("case", FINE)
def test_what_keeps_samples_apart_is_accepted(case, monkeypatch):
    """By the analysis alone: numbers are not asked."""
    monkeypatch.setattr("asnet_mlir.frontends.module.run_by_xla", None)
    network(FINE[case])


def write_module(folder, body: str, batch: int = 4):
    kind = f"tensor<{batch}x3xf32>"
    path = folder / "net.mlir"
    path.write_text(f"func.func @main(%x: {kind}) -> {kind} {{\n{body}\nreturn %y : {kind}\n}}\n")
    return path


MEAN = """%z = stablehlo.constant dense<0.0> : tensor<f32>
%sum = stablehlo.reduce(%x init: %z) applies stablehlo.add across dimensions = [0]
  : (tensor<4x3xf32>, tensor<f32>) -> tensor<3xf32>
%m = stablehlo.broadcast_in_dim %sum, dims = [1] : (tensor<3xf32>) -> tensor<4x3xf32>
%y = stablehlo.subtract %x, %m : tensor<4x3xf32>"""
ROWS = """%c = stablehlo.constant dense<{rows}> : tensor<4x3xf32>
%y = stablehlo.add %x, %c : tensor<4x3xf32>"""


def test_files_of_a_fixed_batch(tmp_path):
    with pytest.raises(UnsupportedError, match="'stablehlo.reduce' at loc.line 3:24. mixes"):
        load_model(write_module(tmp_path, MEAN))
    different = ROWS.format(rows=[[1.0, 2.0, 3.0]] * 3 + [[1.0, 2.0, 4.0]])
    with pytest.raises(UnsupportedError, match=r"'stablehlo.add'.* by their position"):
        load_model(write_module(tmp_path, different))
    alike = load_model(write_module(tmp_path, ROWS.format(rows=[[1.0, 2.0, 3.0]] * 4)))
    got = Evaluator(alike).outputs(X[:, :3])
    np.testing.assert_array_equal(got, X[:, :3] + np.array([1, 2, 3], np.float32))


MATRIX = """%w = stablehlo.constant dense<[[1.0, 2.0, 3.0], [0.0, 1.0, 5.0], [2.0, 0.0, 1.0]]>
  : tensor<3x3xf32>"""
#: What other frameworks than JAX write.
OTHERS = {
    "dot": f"""{MATRIX}
%y = stablehlo.dot %x, %w : (tensor<4x3xf32>, tensor<3x3xf32>) -> tensor<4x3xf32>""",
    "broadcast": """%c = stablehlo.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
%r = stablehlo.broadcast %c, sizes = [4] : (tensor<3xf32>) -> tensor<4x3xf32>
%y = stablehlo.add %x, %r : tensor<4x3xf32>""",
    "batch_norm_inference": """%c = stablehlo.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
%y = "stablehlo.batch_norm_inference"(%x, %c, %c, %c, %c) {epsilon = 0.001 : f32,
  feature_index = 1 : i64} : (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>,
  tensor<3xf32>) -> tensor<4x3xf32>""",
    "einsum": f"""{MATRIX}
%y = "stablehlo.einsum"(%x, %w) {{einsum_config = "bi,ij->bj"}}
  : (tensor<4x3xf32>, tensor<3x3xf32>) -> tensor<4x3xf32>""",
    "einsum of a tail": f"""{MATRIX}
%y = "stablehlo.einsum"(%w, %x) {{einsum_config = "ij,...i->...j"}}
  : (tensor<3x3xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>""",
    "dynamic_broadcast_in_dim": """%c = stablehlo.constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
%n = stablehlo.constant dense<[4, 3]> : tensor<2xi32>
%r = stablehlo.dynamic_broadcast_in_dim %c, %n, dims = [1]
  : (tensor<3xf32>, tensor<2xi32>) -> tensor<4x3xf32>
%y = stablehlo.add %x, %r : tensor<4x3xf32>""",
    "dynamic_iota": """%n = stablehlo.constant dense<[4, 3]> : tensor<2xi32>
%r = stablehlo.dynamic_iota %n, dim = 1 : (tensor<2xi32>) -> tensor<4x3xf32>
%y = stablehlo.add %x, %r : tensor<4x3xf32>""",
    "dynamic_reshape": """%n = stablehlo.constant dense<[4, 3, 1]> : tensor<3xi32>
%r = stablehlo.dynamic_reshape %x, %n : (tensor<4x3xf32>, tensor<3xi32>) -> tensor<4x3x1xf32>
%y = stablehlo.reshape %r : (tensor<4x3x1xf32>) -> tensor<4x3xf32>""",
    "dynamic_pad": """%z = stablehlo.constant dense<0.0> : tensor<f32>
%l = stablehlo.constant dense<[0, 1]> : tensor<2xi32>
%h = stablehlo.constant dense<[0, -1]> : tensor<2xi32>
%i = stablehlo.constant dense<0> : tensor<2xi32>
%y = stablehlo.dynamic_pad %x, %z, %l, %h, %i : (tensor<4x3xf32>, tensor<f32>, tensor<2xi32>,
  tensor<2xi32>, tensor<2xi32>) -> tensor<4x3xf32>""",
    "real_dynamic_slice": """%l = stablehlo.constant dense<[0, 1]> : tensor<2xi32>
%h = stablehlo.constant dense<[4, 2]> : tensor<2xi32>
%i = stablehlo.constant dense<1> : tensor<2xi32>
%r = stablehlo.real_dynamic_slice %x, %l, %h, %i : (tensor<4x3xf32>, tensor<2xi32>,
  tensor<2xi32>, tensor<2xi32>) -> tensor<4x1xf32>
%s = stablehlo.reshape %r : (tensor<4x1xf32>) -> tensor<4xf32>
%y = stablehlo.broadcast_in_dim %s, dims = [0] : (tensor<4xf32>) -> tensor<4x3xf32>""",
}
SQUARE = """%t = stablehlo.transpose %x, dims = [1, 0] : (tensor<4x3xf32>) -> tensor<3x4xf32>
%s = stablehlo.dot %t, %x : (tensor<3x4xf32>, tensor<4x3xf32>) -> tensor<3x3xf32>
%y = stablehlo.dot %x, %s : (tensor<4x3xf32>, tensor<3x3xf32>) -> tensor<4x3xf32>"""


@pytest.mark.parametrize("op", OTHERS)
def test_operations_of_other_frameworks(tmp_path, op):
    """Accepted, and what XLA computes."""
    path = write_module(tmp_path, OTHERS[op])
    network = load_model(path)
    expected = run_by_xla("net", path.read_text(), [X[:4, :3]])
    np.testing.assert_allclose(Evaluator(network).outputs(X[:4, :3]), expected, 1e-6)


#: A network with each of them is refused by its name: StableHLO has no lowering for it, or none
#: that may be used.
REFUSED = (
    "after_all all_gather all_reduce all_to_all async_done async_start batch_norm_grad "
    "batch_norm_training case cholesky collective_broadcast collective_permute collective_reduce "
    "composite create_token cross-replica-sum custom_call fft get_dimension_size "
    "get_tuple_element if infeed outfeed partition_id recv reduce_scatter replica_id rng scatter "
    "send set_dimension_size torch_index_select triangular_solve tuple unary_einsum "
    "uniform_dequantize uniform_quantize"
)
#: Of a fixed shape when the samples are looked at.
STATIC = (
    "dynamic_broadcast_in_dim dynamic_conv dynamic_gather dynamic_iota dynamic_pad "
    "dynamic_reshape real_dynamic_slice"
)
#: Taken to depend on all of their operands, by every element.
OPAQUE = frozenset({"rng_bit_generator"})


def test_every_operation_has_its_place():
    from jaxlib.mlir.dialects import _stablehlo_ops_gen as generated

    from asnet_mlir.frontends.samples import _ELEMENTWISE, _RULES

    names = [
        value.OPERATION_NAME.removeprefix("stablehlo.")
        for value in vars(generated).values()
        if hasattr(value, "OPERATION_NAME")
    ]
    places = [_ELEMENTWISE, _RULES.keys(), REFUSED.split(), STATIC.split(), OPAQUE]
    places.append({"return", "while"})  # which are no rule of one operation
    assert {name: sum(name in place for place in places) for name in names} == dict.fromkeys(
        names, 1
    )


@pytest.mark.parametrize(
    "body",
    [
        """%i = stablehlo.constant dense<[1, 3, 0]> : tensor<3xi32>
%y = "stablehlo.torch_index_select"(%x, %i) {dim = 1 : i64, batch_dims = 0 : i64}
  : (tensor<4x3xf32>, tensor<3xi32>) -> tensor<4x3xf32>""",
        """%a = stablehlo.constant dense<0.0> : tensor<f32>
%n = stablehlo.constant dense<[4, 3]> : tensor<2xi64>
%y = stablehlo.rng %a, %a, %n, distribution = UNIFORM
  : (tensor<f32>, tensor<f32>, tensor<2xi64>) -> tensor<4x3xf32>""",
    ],
)
def test_lowerings_that_may_not_be_used(tmp_path, body):
    with pytest.raises(UnsupportedError, match=r"unsupported op 'stablehlo.(rng|torch_index_)"):
        load_model(write_module(tmp_path, body))


def test_a_product_over_the_samples_is_refused(tmp_path):
    with pytest.raises(UnsupportedError, match="'stablehlo.dot' at loc.line 3:.* mixes"):
        load_model(write_module(tmp_path, SQUARE))
    einsum = SQUARE.replace(
        "stablehlo.dot %t, %x", '"stablehlo.einsum"(%t, %x) {einsum_config = "ib,bj->ij"}'
    )
    with pytest.raises(UnsupportedError, match="'stablehlo.einsum' at loc.line 3:.* mixes"):
        load_model(write_module(tmp_path, einsum))


def negative_window(x):
    window = (1, 1, 1)
    return lax.reduce_window(x, 0.0, lax.add, window, window, ((0, 0), (-1, 0), (0, 0)))


def test_what_ends_xla_does_not_end_this_process():
    """XLA aborts on a negative padding; the network itself is fine."""
    net = network(negative_window, (3, 2))
    x = X.reshape(5, 3, 2)
    np.testing.assert_array_equal(Evaluator(net).outputs(x), x[:, 1:])
    with pytest.raises(ToolError, match="net: running it by XLA: .* ended by signal 6"):
        run_by_xla("net", net.stablehlo(5), [x])
    good = network(lambda x: x * 2)
    np.testing.assert_array_equal(run_by_xla("net", good.stablehlo(5), [X]), X * 2)


EMPTY = {
    "scan": (lambda x: lax.associative_scan(jnp.add, x, axis=1), np.cumsum(X, 1)),
    "concatenation": (lambda x: jnp.concatenate([x[:, 6:], x], 1), X),
    "sum": (lambda x: x + x[:, 6:].sum(1, keepdims=True), X),
    "maximum": (lambda x: jnp.maximum(x, x[:, 6:].max(1, initial=-1.0)[:, None]), X.clip(-1)),
    "padding": (lambda x: x + lax.pad(x[:, :0], 1.0, ((0, 0, 0), (2, 4, 0))), X + 1),
    "product": (lambda x: x + x[:, :0] @ jnp.zeros((0, 6)), X),
    "update": (lambda x: lax.dynamic_update_slice(x, x[:, :0], (0, 3)), X),
    "in a function": (jax.jit(lambda x: jnp.roll(x, 0, 1)), X),
    "through a function": (lambda x: x + jnp.cumsum(x[:, :0], 1).sum(), X),
}


@pytest.mark.parametrize("case", EMPTY)
def test_empty_tensors(case):
    function, expected = EMPTY[case]
    got = Evaluator(network(function)).outputs(X)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def test_an_empty_output_is_refused():
    with pytest.raises(InputError, match="without elements"):
        network(lambda x: x[:, 6:])


def test_the_second_net_compares_with_the_framework():
    """Where the analysis had let a network pass, the first samples show it."""
    good = network(lambda x: x + 0.5)
    check_first_samples(CompiledNetwork(good), X)
    text = str(
        jax.jit(lambda x: x - x.mean(0) + 0.5)
        .lower(jax.ShapeDtypeStruct(X.shape, np.float32))
        .compiler_ir("stablehlo")
    )
    lowering = Elsewhere(
        "passed",
        lambda form, batch: text if form == "stablehlo" else good.lower(batch),
        good.reference,
        None,
    )
    passed = dataclasses.replace(good, lowering=lowering, unfolded=None)
    with pytest.raises(UnsupportedError, match="of the first 5 samples 5 have other outputs"):
        evaluate(passed, Dataset("x", X, np.zeros(5, np.int64)))


def test_the_second_net_changes_a_fixed_batch(tmp_path, monkeypatch):
    monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / "cache"))  # what passes here must not stay
    monkeypatch.setattr(LoweredModule, "analyze", lambda self, name: None)
    check_first_samples(
        CompiledNetwork(load_model(write_module(tmp_path, ROWS.format(rows=1.0)))), X[:3, :3]
    )
    passed = load_model(write_module(tmp_path, MEAN))
    with pytest.raises(UnsupportedError, match="depend on the others of its batch"):
        check_first_samples(CompiledNetwork(passed), X[:3, :3])


def test_a_constant_that_is_broadcast_is_not_copied():
    """Of 2^34 equal elements; where rows differ, they are told apart."""
    size = 1 << 17
    splat = tensors.constant(np.broadcast_to(np.float32(3), (size, size)))
    assert splat.axes == () and splat.prints.shape == (1, 1)
    rows = tensors.constant(np.broadcast_to(np.arange(4.0)[:, None], (4, size)))
    assert rows.axes == (0,)
    assert rows.prints != tensors.constant(np.zeros((4, 3))).prints
