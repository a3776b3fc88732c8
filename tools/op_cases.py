# SPDX-License-Identifier: Apache-2.0
"""Tiny networks, one for each op of StableHLO and each layer of Keras that somebody may ask for.

`tools/ops_table.py` makes docs/ops.md of them, `test/py/test_ops.py` compares what they compute
with the frameworks.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from asnet_mlir.network import Form, Lowering, Network

os.environ.setdefault("JAX_PLATFORMS", "cpu")

__all__ = ["CASES", "KERAS_CASES", "Case", "KerasCase", "inputs"]


@dataclass(frozen=True)
class Case:
    """One op of StableHLO in a network.

    Attributes:
      op: the op, without its dialect's name.
      what: how it is used, where there is more than one way.
      function: takes float32[n, *shape] and weights.
      shape: of one sample.
      weights: shapes of weights.
    """

    op: str
    function: Callable[..., Any]
    what: str = ""
    shape: tuple[int, ...] = (4, 6)
    weights: tuple[tuple[int, ...], ...] = ()

    def network(self) -> Network:
        """Return the network; its reference is JAX."""
        from asnet_mlir.frontends.jax import from_jax_function

        rng = np.random.default_rng(1)
        values = [rng.standard_normal(shape).astype(np.float32) for shape in self.weights]
        example = np.zeros((1, *self.shape), np.float32)
        return from_jax_function(self.function, (example, *values), name=self.op)


@dataclass(frozen=True)
class _Computed:
    """A lowering whose framework is a function of numpy."""

    lowering: Lowering
    compute: Callable[[np.ndarray], np.ndarray]
    computes: ClassVar[bool] = True

    @property
    def fixed_batch(self) -> int | None:
        return self.lowering.fixed_batch

    def text(self, form: Form, batch: int) -> str:
        return self.lowering.text(form, batch)


@dataclass(frozen=True)
class TextCase:
    """One op of StableHLO that JAX does not write: `text` is the module."""

    op: str
    text: str
    reference: Callable[[np.ndarray], np.ndarray]
    what: str = ""
    shape: tuple[int, ...] = (4,)

    def network(self) -> Network:
        """Return the network; its reference is numpy."""
        import dataclasses
        import tempfile

        from asnet_mlir.frontends import load_model

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "case.mlir"
            path.write_text(self.text)
            network = load_model(path)
        return dataclasses.replace(network, lowering=_Computed(network.lowering, self.reference))


@dataclass(frozen=True)
class KerasCase:
    """One layer of Keras: `make(layers)` returns it."""

    layer: str
    make: Callable[[Any], Any]
    what: str = ""
    shape: tuple[int, ...] = (6, 6, 4)
    inputs: int = 1

    def network(self) -> Network:
        """Return the network, with random weights; its reference is Keras on JAX."""
        from asnet_mlir.frontends.keras import from_keras_model, import_keras

        keras = import_keras()
        keras.utils.set_random_seed(1)
        first = keras.Input(self.shape)
        layer = self.make(keras.layers)
        if self.inputs == 1:
            output = layer(first)
        else:
            output = layer([first, keras.layers.Activation("relu")(first)])
        model = keras.Model(first, output, name=self.layer.lower())
        rng = np.random.default_rng(1)
        for variable in model.weights:
            if "float" not in str(variable.dtype):
                continue
            # Variances are positive; zero biases would hide mistakes.
            positive = "variance" in variable.path or "gamma" in variable.path
            low, high = (0.5, 1.5) if positive else (-0.5, 0.5)
            variable.assign(rng.uniform(low, high, variable.shape))
        return from_keras_model(model)


def inputs(shape: tuple[int, ...], count: int = 5) -> np.ndarray:
    """Return float32[count, *shape], moderate numbers of both signs."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, *shape)).astype(np.float32)


def _jax() -> tuple[Any, Any, Any]:
    import jax
    import jax.numpy as jnp

    return jax, jnp, jax.lax


def _i32(x: Any) -> Any:
    _, jnp, _ = _jax()
    return (x * 100).astype(jnp.int32)


def _f32(x: Any) -> Any:
    _, jnp, _ = _jax()
    return x.astype(jnp.float32)


def _lax(name: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        return getattr(_jax()[2], name)(*arguments)

    return call


def _on_integers(name: str, second: int | None = None) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        _, jnp, lax = _jax()
        operands = [_i32(x)]
        if second is not None:
            operands.append(jnp.full(x.shape, second, jnp.int32))
        return _f32(getattr(lax, name)(*operands))

    return call


def _positive(name: str) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        return getattr(_jax()[2], name)(x * x + np.float32(0.01))

    return call


def _convolution(x: Any, kernel: Any, **options: Any) -> Any:
    _, _, lax = _jax()
    numbers = ("NHWC", "HWIO", "NHWC")
    options = {"window_strides": (1, 1), "padding": "VALID", **options}
    return lax.conv_general_dilated(x, kernel, dimension_numbers=numbers, **options)


def _window(x: Any, operation: str, start: float, padding: str = "VALID", **options: Any) -> Any:
    _, _, lax = _jax()
    shape = (1,) * (x.ndim - 2) + (2, 2)
    strides = options.pop("strides", shape)
    initial = np.float32(start)
    return lax.reduce_window(x, initial, getattr(lax, operation), shape, strides, padding)


def _fft(x: Any) -> Any:
    _, jnp, _ = _jax()
    return jnp.real(jnp.fft.fft(x)).astype(jnp.float32)


def _until(x: Any) -> Any:
    _, jnp, lax = _jax()
    return lax.while_loop(lambda y: jnp.sum(y) < 10, lambda y: y + 1, x)


def _repeated(x: Any) -> Any:
    _, _, lax = _jax()
    return lax.fori_loop(0, 3, lambda i, y: y * 0.5 + x[:, i], x[:, 0])


def _scanned(x: Any) -> Any:
    _, jnp, lax = _jax()
    rows = jnp.moveaxis(x, 1, 0)
    last, all_ = lax.scan(lambda y, row: (y * 0.5 + row, y), rows[0] * 0, rows)
    return last + all_.sum(0)


def _case(x: Any) -> Any:
    _, _, lax = _jax()
    return lax.cond(x.sum() > 0, lambda y: y, lambda y: -y, x)


def _cholesky(x: Any) -> Any:
    _, jnp, lax = _jax()
    return lax.linalg.cholesky(jnp.einsum("bij,bkj->bik", x, x))


def _row_of_maximum(x: Any) -> Any:
    jax, jnp, lax = _jax()
    return jax.vmap(lambda sample: lax.dynamic_index_in_dim(sample, jnp.argmax(sample[:, 0])))(x)


def _gradient_of_pooling(x: Any) -> Any:
    jax, _, _ = _jax()
    return jax.grad(lambda y: (_window(y, "max", -np.inf) ** 2).sum())(x)


def _unsigned(x: Any) -> Any:
    _, jnp, _ = _jax()
    return _f32((x * x * 100).astype(jnp.uint8))


def _text(body: str, shape: str = "1x4") -> str:
    kind = f"tensor<{shape}xf32>"
    return f"func.func @main(%x: {kind}) -> {kind} {{\n{body}\n  return %y : {kind}\n}}\n"


_BATCH_NORM = _text(
    """  %s = stablehlo.constant dense<[1.5, 0.5, 2.0, 1.0]> : tensor<4xf32>
  %o = stablehlo.constant dense<[0.5, -1.0, 0.25, 2.0]> : tensor<4xf32>
  %m = stablehlo.constant dense<[0.1, 0.2, -0.3, 0.4]> : tensor<4xf32>
  %v = stablehlo.constant dense<[1.1, 0.7, 0.9, 2.0]> : tensor<4xf32>
  %y = "stablehlo.batch_norm_inference"(%x, %s, %o, %m, %v)
      <{epsilon = 0.001 : f32, feature_index = 1 : i64}>
      : (tensor<1x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>)
      -> tensor<1x4xf32>"""
)


def _batch_norm(x: np.ndarray) -> np.ndarray:
    scale, offset = np.array([1.5, 0.5, 2.0, 1.0]), np.array([0.5, -1.0, 0.25, 2.0])
    mean, variance = np.array([0.1, 0.2, -0.3, 0.4]), np.array([1.1, 0.7, 0.9, 2.0])
    return ((x - mean) / np.sqrt(variance + 0.001) * scale + offset).astype(np.float32)


_COMPOSITE = (
    _text(
        '  %y = stablehlo.composite "my.relu" %x {decomposition = @relu}'
        " : (tensor<1x4xf32>) -> tensor<1x4xf32>"
    )
    + """func.func private @relu(%x: tensor<1x4xf32>) -> tensor<1x4xf32> {
  %z = stablehlo.constant dense<0.0> : tensor<1x4xf32>
  %y = stablehlo.maximum %x, %z : tensor<1x4xf32>
  return %y : tensor<1x4xf32>
}
"""
)

_AFZ = _text("  %y = stablehlo.round_nearest_afz %x : tensor<1x4xf32>")
_BARRIER = _text("  %y = stablehlo.optimization_barrier %x : tensor<1x4xf32>")
_MAP = _text(
    """  %y = "stablehlo.map"(%x) <{dimensions = array<i64: 0, 1>}> ({
  ^bb0(%a: tensor<f32>):
    %b = stablehlo.multiply %a, %a : tensor<f32>
    stablehlo.return %b : tensor<f32>
  }) : (tensor<1x4xf32>) -> tensor<1x4xf32>"""
)


def _round_away(x: np.ndarray) -> np.ndarray:
    return np.copysign(np.floor(np.abs(x) + np.float32(0.5)), x).astype(np.float32)


#: In the order of the table.
CASES: tuple[Case | TextCase, ...] = (
    Case("abs", _lax("abs")),
    Case("add", lambda x, w: x + w, weights=((6,),)),
    Case("add", _on_integers("add", 7), "integers"),
    Case("and", lambda x: x * ((x > 0) & (x < 1)), "booleans"),
    Case("and", _on_integers("bitwise_and", 13), "integers"),
    Case("atan2", lambda x: _jax()[2].atan2(x, x + 1)),
    TextCase("batch_norm_inference", _BATCH_NORM, _batch_norm),
    Case(
        "bitcast_convert",
        lambda x: _jax()[2].bitcast_convert_type(
            _jax()[2].bitcast_convert_type(x, np.int32) ^ 1, np.float32
        ),
    ),
    Case("broadcast_in_dim", lambda x, w: x + w[:, None], weights=((4,),)),
    Case("case", _case),
    Case("cbrt", _lax("cbrt")),
    Case("ceil", _lax("ceil")),
    Case("cholesky", _cholesky, "in JAX a custom call", shape=(3, 5)),
    Case("clamp", lambda x: _jax()[2].clamp(np.float32(-1), x, np.float32(0.5))),
    Case("compare", lambda x, w: _f32(x > w), "floats", weights=((6,),)),
    Case("compare", lambda x: _f32(_i32(x) >= 7), "integers"),
    Case("complex", lambda x: _jax()[1].real(_jax()[2].complex(x, x) * 2)),
    TextCase("composite", _COMPOSITE, lambda x: np.maximum(x, 0)),
    Case("concatenate", lambda x: _jax()[1].concatenate([x, x + 1, x], axis=1)),
    Case("constant", lambda x: x * np.arange(6, dtype=np.float32)),
    Case("convert", lambda x: _f32(_i32(x)), "f32 to i32 and back"),
    Case("convert", lambda x: _f32(x > 0), "booleans to f32"),
    Case("convert", lambda x: _f32(x.astype(np.int8)), "f32 to i8 and back"),
    Case("convert", _unsigned, "f32 to ui8 and back"),
    Case("convert", lambda x: _f32(x.astype(_jax()[1].bfloat16)), "f32 to bf16"),
    Case("convolution", _convolution, "2-D", (7, 6, 2), ((3, 2, 2, 5),)),
    Case(
        "convolution",
        functools.partial(_convolution, window_strides=(2, 1), padding="SAME"),
        "strides, padding",
        (7, 6, 2),
        ((3, 2, 2, 5),),
    ),
    Case(
        "convolution",
        functools.partial(_convolution, rhs_dilation=(2, 2)),
        "dilated kernel",
        (7, 6, 2),
        ((3, 2, 2, 5),),
    ),
    Case(
        "convolution",
        functools.partial(_convolution, lhs_dilation=(2, 2), padding=((1, 2), (1, 2))),
        "dilated input (transposed)",
        (5, 4, 2),
        ((3, 3, 2, 3),),
    ),
    Case(
        "convolution",
        functools.partial(_convolution, feature_group_count=2),
        "groups",
        (5, 6, 4),
        ((3, 3, 2, 6),),
    ),
    Case(
        "convolution",
        functools.partial(_convolution, feature_group_count=4),
        "depthwise",
        (5, 6, 4),
        ((3, 3, 1, 8),),
    ),
    Case("cosine", _lax("cos")),
    Case("count_leading_zeros", _on_integers("clz")),
    Case("divide", lambda x, w: x / (w * w + 1), weights=((6,),)),
    Case("divide", _on_integers("div", 7), "integers"),
    Case("dot_general", lambda x, w: x @ w, "with weights", weights=((6, 3),)),
    Case("dot_general", lambda x: _jax()[1].einsum("bij,bkj->bik", x, x), "batched"),
    Case("dynamic_slice", lambda x: _jax()[2].dynamic_slice_in_dim(x, 1, 2, 1), "fixed index"),
    Case(
        "dynamic_update_slice",
        lambda x: _jax()[2].dynamic_update_slice(x, x[:, :1] * 2, (0, 1, 0)),
        "fixed index",
    ),
    Case("exponential", _lax("exp")),
    Case("exponential_minus_one", _lax("expm1")),
    Case("fft", _fft),
    Case("floor", _lax("floor")),
    Case("gather", lambda x: x[:, np.array([0, 2, 1])], "fixed indices"),
    Case("gather", _row_of_maximum, "computed indices"),
    Case("iota", lambda x: x + _jax()[1].arange(6, dtype=np.float32)),
    Case("is_finite", lambda x: _jax()[1].where(_jax()[1].isfinite(x), x, 0)),
    Case("log", _positive("log")),
    Case("log_plus_one", lambda x: _jax()[2].log1p(abs(x))),
    Case("logistic", _lax("logistic")),
    TextCase("map", _MAP, lambda x: x * x),
    Case("maximum", lambda x, w: _jax()[1].maximum(x, w), weights=((6,),)),
    Case("minimum", lambda x, w: _jax()[1].minimum(x, w), weights=((6,),)),
    Case("multiply", lambda x, w: x * w, weights=((6,),)),
    Case("multiply", _on_integers("mul", 7), "integers"),
    Case("negate", _lax("neg")),
    Case("not", lambda x: x * ~(x > 0), "booleans"),
    TextCase("optimization_barrier", _BARRIER, lambda x: x),
    Case("or", lambda x: x * ((x > 1) | (x < 0)), "booleans"),
    Case(
        "pad",
        lambda x: _jax()[2].pad(x, np.float32(2), ((0, 0, 0), (1, 2, 1), (-1, 0, 0))),
        "with holes, and negative",
    ),
    Case("popcnt", _on_integers("population_count")),
    Case("power", lambda x: _jax()[2].pow(x, np.float32(3)), "constant integer exponent"),
    Case(
        "power",
        lambda x: _jax()[2].pow(x * x + 1, np.float32(-1.5)),
        "constant half-integer exponent",
    ),
    Case("power", lambda x: _jax()[2].pow(abs(x), np.float32(0.3)), "other constant exponent"),
    Case("power", lambda x: _jax()[2].pow(abs(x), x), "computed exponent"),
    Case("reduce", lambda x: x.sum(1), "sum"),
    Case("reduce", lambda x: x.mean((1, 2))[:, None], "mean"),
    Case("reduce", lambda x: x.max(2), "maximum"),
    Case("reduce", lambda x: x.min(1), "minimum"),
    Case("reduce", lambda x: x.prod(1), "product"),
    Case("reduce", lambda x: _f32((x > 1).any(1)), "or"),
    Case("reduce", lambda x: x.var(1), "variance"),
    Case("reduce", lambda x: _f32(_jax()[1].argmax(x, 1)), "argmax"),
    Case("reduce", lambda x: _f32(_jax()[1].argmin(x, 2)), "argmin"),
    Case("reduce_precision", lambda x: _jax()[2].reduce_precision(x, 8, 10)),
    Case("reduce_window", lambda x: _window(x, "max", -np.inf), "maximum"),
    Case("reduce_window", lambda x: _window(x, "add", 0, "SAME", strides=(1, 1, 2)), "sum, padded"),
    Case("reduce_window", lambda x: _jax()[1].cumsum(x, 1), "cumulative sum"),
    Case("remainder", lambda x: _jax()[2].rem(x, np.float32(0.7))),
    Case("reshape", lambda x: x.reshape(x.shape[0], 3, 8)),
    Case("reverse", lambda x: x[:, ::-1]),
    TextCase("round_nearest_afz", _AFZ, _round_away),
    Case("round_nearest_even", lambda x: _jax()[1].round(x * 4) / 4),
    Case("rsqrt", _positive("rsqrt")),
    Case("scatter", lambda x: x.at[:, 1].set(0)),
    Case("select", lambda x, w: _jax()[1].where(x > 0, x, w), weights=((6,),)),
    Case("select_and_scatter", _gradient_of_pooling),
    Case("shift_left", _on_integers("shift_left", 3)),
    Case("shift_right_arithmetic", _on_integers("shift_right_arithmetic", 3)),
    Case("shift_right_logical", _on_integers("shift_right_logical", 9)),
    Case("sign", _lax("sign")),
    Case("sine", _lax("sin")),
    Case("slice", lambda x: x[:, 1:3, ::2]),
    Case("sort", lambda x: _jax()[1].sort(x, 1)),
    Case("sqrt", _positive("sqrt")),
    Case("subtract", lambda x, w: x - w, weights=((6,),)),
    Case("tan", lambda x: _jax()[1].tan(x * 0.5)),
    Case("tanh", _lax("tanh")),
    Case("transpose", lambda x: x.transpose(0, 2, 1)),
    Case("while", _repeated, "fixed number of iterations"),
    Case("while", _scanned, "scan"),
    Case("while", _until, "number of iterations depends on data"),
    Case("xor", lambda x: x * ((x > 0) ^ (x > 1)), "booleans"),
)

_ACTIVATIONS = [
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "silu",
    "gelu",
    "sigmoid",
    "hard_sigmoid",
    "hard_silu",
    "tanh",
    "hard_tanh",
    "tanh_shrink",
    "soft_shrink",
    "hard_shrink",
    "softplus",
    "softsign",
    "squareplus",
    "sparse_plus",
    "mish",
    "exponential",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "softmax",
    "sparse_sigmoid",
    "glu",
    "sparsemax",
]


def _activation(name: str) -> Callable[[Any], Any]:
    return lambda layers: layers.Activation(name)


#: In the order of the table.
KERAS_CASES = (
    *(KerasCase("Activation", _activation(name), name, shape=(3, 8)) for name in _ACTIVATIONS),
    KerasCase(
        "Activation", lambda layers: layers.Activation(_tanh_gelu), "gelu, tanh form", shape=(3, 8)
    ),
    KerasCase("Add", lambda layers: layers.Add(), inputs=2),
    KerasCase("Attention", lambda layers: layers.Attention(), shape=(5, 4), inputs=2),
    KerasCase("Average", lambda layers: layers.Average(), inputs=2),
    KerasCase("AveragePooling1D", lambda layers: layers.AveragePooling1D(2), shape=(6, 4)),
    KerasCase("AveragePooling2D", lambda layers: layers.AveragePooling2D(2)),
    KerasCase("AveragePooling2D", lambda layers: layers.AveragePooling2D(3, 2, "same"), "padded"),
    KerasCase("AveragePooling3D", lambda layers: layers.AveragePooling3D(2), shape=(4, 4, 4, 2)),
    KerasCase("BatchNormalization", lambda layers: layers.BatchNormalization()),
    KerasCase("CenterCrop", lambda layers: layers.CenterCrop(4, 3)),
    KerasCase("Concatenate", lambda layers: layers.Concatenate(), inputs=2),
    KerasCase("Conv1D", lambda layers: layers.Conv1D(3, 3, dilation_rate=2), shape=(8, 4)),
    KerasCase(
        "Conv1DTranspose", lambda layers: layers.Conv1DTranspose(3, 3, strides=2), shape=(5, 4)
    ),
    KerasCase("Conv2D", lambda layers: layers.Conv2D(3, 3)),
    KerasCase(
        "Conv2D", lambda layers: layers.Conv2D(3, 3, strides=2, padding="same"), "strides, padding"
    ),
    KerasCase(
        "Conv2D", lambda layers: layers.Conv2D(4, 3, dilation_rate=2, groups=2), "dilation, groups"
    ),
    KerasCase(
        "Conv2DTranspose", lambda layers: layers.Conv2DTranspose(3, 3, strides=2, padding="same")
    ),
    KerasCase("Conv3D", lambda layers: layers.Conv3D(3, 2), shape=(4, 4, 4, 2)),
    KerasCase("Cropping2D", lambda layers: layers.Cropping2D(((1, 0), (2, 1)))),
    KerasCase("Dense", lambda layers: layers.Dense(5)),
    KerasCase("DepthwiseConv2D", lambda layers: layers.DepthwiseConv2D(3, depth_multiplier=2)),
    KerasCase("Dot", lambda layers: layers.Dot(axes=2), shape=(3, 4), inputs=2),
    KerasCase("Dropout", lambda layers: layers.Dropout(0.5)),
    KerasCase("ELU", lambda layers: layers.ELU(alpha=0.5)),
    KerasCase(
        "EinsumDense", lambda layers: layers.EinsumDense("abc,cd->abd", (None, 7)), shape=(3, 4)
    ),
    KerasCase("Flatten", lambda layers: layers.Flatten()),
    KerasCase("GRU", lambda layers: layers.GRU(3), shape=(4, 5)),
    KerasCase("GRU", lambda layers: layers.GRU(3, unroll=True), "unrolled", shape=(2, 5)),
    KerasCase("GaussianNoise", lambda layers: layers.GaussianNoise(0.1)),
    KerasCase("GlobalAveragePooling2D", lambda layers: layers.GlobalAveragePooling2D()),
    KerasCase("GlobalMaxPooling2D", lambda layers: layers.GlobalMaxPooling2D()),
    KerasCase("GroupNormalization", lambda layers: layers.GroupNormalization(2)),
    KerasCase("LSTM", lambda layers: layers.LSTM(3), shape=(4, 5)),
    KerasCase("LSTM", lambda layers: layers.LSTM(3, unroll=True), "unrolled", shape=(2, 5)),
    KerasCase("LayerNormalization", lambda layers: layers.LayerNormalization()),
    KerasCase("LeakyReLU", lambda layers: layers.LeakyReLU(0.1)),
    KerasCase("MaxPooling1D", lambda layers: layers.MaxPooling1D(2), shape=(6, 4)),
    KerasCase("MaxPooling2D", lambda layers: layers.MaxPooling2D(2)),
    KerasCase("MaxPooling2D", lambda layers: layers.MaxPooling2D(3, 2, "same"), "padded"),
    KerasCase("Maximum", lambda layers: layers.Maximum(), inputs=2),
    KerasCase("Minimum", lambda layers: layers.Minimum(), inputs=2),
    KerasCase(
        "MultiHeadAttention",
        lambda layers: lambda pair: layers.MultiHeadAttention(2, 3)(*pair),
        shape=(5, 4),
        inputs=2,
    ),
    KerasCase("Multiply", lambda layers: layers.Multiply(), inputs=2),
    KerasCase("Normalization", lambda layers: layers.Normalization(mean=0.5, variance=2.0)),
    KerasCase("PReLU", lambda layers: layers.PReLU(shared_axes=[1, 2])),
    KerasCase("Permute", lambda layers: layers.Permute((3, 1, 2))),
    KerasCase("RMSNormalization", lambda layers: layers.RMSNormalization()),
    KerasCase("ReLU", lambda layers: layers.ReLU(max_value=6.0, negative_slope=0.1)),
    KerasCase("RepeatVector", lambda layers: layers.RepeatVector(3), shape=(4,)),
    KerasCase("Rescaling", lambda layers: layers.Rescaling(1 / 255, -0.5)),
    KerasCase("Reshape", lambda layers: layers.Reshape((9, 16))),
    KerasCase("Resizing", lambda layers: layers.Resizing(9, 4), "bilinear"),
    KerasCase("SeparableConv2D", lambda layers: layers.SeparableConv2D(5, 3)),
    KerasCase("SimpleRNN", lambda layers: layers.SimpleRNN(3), shape=(4, 5)),
    KerasCase(
        "SimpleRNN", lambda layers: layers.SimpleRNN(3, unroll=True), "unrolled", shape=(4, 5)
    ),
    KerasCase("Softmax", lambda layers: layers.Softmax()),
    KerasCase("SpatialDropout2D", lambda layers: layers.SpatialDropout2D(0.5)),
    KerasCase("Subtract", lambda layers: layers.Subtract(), inputs=2),
    KerasCase("UnitNormalization", lambda layers: layers.UnitNormalization()),
    KerasCase("UpSampling2D", lambda layers: layers.UpSampling2D(2), "nearest"),
    KerasCase(
        "UpSampling2D", lambda layers: layers.UpSampling2D(2, interpolation="bilinear"), "bilinear"
    ),
    KerasCase("ZeroPadding2D", lambda layers: layers.ZeroPadding2D(((1, 0), (2, 1)))),
)


def _tanh_gelu(x: Any) -> Any:
    import keras

    return keras.activations.gelu(x, approximate=True)
