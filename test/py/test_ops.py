# SPDX-License-Identifier: Apache-2.0
"""Every op of the table: what docs/ops.md says of it, what it computes, and what is refused."""

from __future__ import annotations

import os

import numpy as np
import op_cases
import ops_table
import pytest
from test_evaluation import same_bits, scalar_outputs

from asnet_mlir.binding import Binding
from asnet_mlir.emit import compile as compile_model
from asnet_mlir.errors import AsnetError, InputError, UnsupportedError
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.jax import from_jax_function

ROWS = ops_table.PAGE.read_text().splitlines()
# Cores whose models are native operations: others compile for long where functions are expanded.
APPROXIMATE = Binding.parse(["mulf=fmul_trunc:P=9", "divf=fdiv_trunc:P=7"])
SPECIAL = np.array(
    [0.0, -0.0, 1e-40, -1e-45, 1.5, 0.5, -2.5, -3e38, 3e38, np.inf, -np.inf, np.nan], np.float32
)


def title(case) -> str:
    return f"{getattr(case, 'op', None) or case.layer} {case.what}".strip().replace(" ", "-")


@pytest.mark.parametrize("case", (*op_cases.CASES, *op_cases.KERAS_CASES), ids=title)
def test_the_table_says_what_happens(case):
    """Within 1e-5 of the framework where it says yes, refused by name where it says no."""
    name = f"`{getattr(case, 'op', None) or case.layer}`"
    # Up to the schedule, which decides whether hardware can do it; the table's maker goes on.
    support = ops_table.try_network(case.network, "scheduled")
    assert ops_table.row(name, case.what, support) in ROWS, "run `make ops-table`"
    assert support.evaluates or support.reason.startswith("`")


def test_the_table_has_no_other_rows():
    rows = [line for line in ROWS if line.startswith("| `")]
    assert len(rows) == len(op_cases.CASES) + len(op_cases.KERAS_CASES)


def by_title(*titles: str):
    cases = {title(case): case for case in (*op_cases.CASES, *op_cases.KERAS_CASES)}
    return [cases[name] for name in titles]


@pytest.mark.parametrize(
    "case",
    by_title(
        *(
            "batch_norm_inference",
            "concatenate",
            "exponential_minus_one",
            "gather-computed-indices",
        ),
        *(
            "log",
            "log_plus_one",
            "pad-with-holes,-and-negative",
            "power-constant-half-integer-exponent",
        ),
        *("reduce-argmax", "reduce-or", "reduce-variance", "reduce_window-sum,-padded", "reverse"),
        *("rsqrt", "select_and_scatter", "sqrt", "tanh", "convolution-dilated-input-(transposed)"),
        *("convert-f32-to-ui8-and-back", "LayerNormalization", "UpSampling2D-bilinear"),
    ),
    ids=title,
)
def test_the_evaluator_equals_the_scalar_reference(case):
    """Bit for bit, under approximate cores, special values among the inputs."""
    network = case.network()
    plain = " = approx." not in compile_model(network, "approx")  # nothing to bind
    binding = Binding() if plain else APPROXIMATE
    x = op_cases.inputs(network.input_shape, network.fixed_batch or 21)
    rng = np.random.default_rng(5)
    special = rng.random(x.shape) < 0.1
    x[special] = rng.choice(SPECIAL, special.sum())
    kept = x.copy()
    got = Evaluator(network, binding).outputs(x)
    expected = scalar_outputs(network, binding, x)
    assert same_bits(got, expected)
    assert same_bits(x, kept), "the input was overwritten"


PLAIN = (
    *("abs", "ceil", "clamp", "compare-floats", "concatenate", "floor", "is_finite", "maximum"),
    *("minimum", "negate", "round_nearest_even", "select", "sign", "add", "subtract", "multiply"),
    *("convert-f32-to-i32-and-back", "convert-booleans-to-f32", "slice", "transpose", "reshape"),
    *("reduce-maximum", "reduce-minimum", "reduce-argmax", "reduce-argmin"),
)


@pytest.mark.parametrize("case", by_title(*PLAIN), ids=title)
def test_plain_ops_on_special_values_equal_the_interpreter(case):
    """NaNs, infinities, zeros of both signs; as StableHLO's own interpreter computes them."""
    network = case.network()
    rng = np.random.default_rng(3)
    x = rng.choice(SPECIAL, (1, *network.input_shape)).astype(np.float32)
    if "convert-f32-to-i32" in title(case):
        x = np.clip(np.nan_to_num(x), -1e6, 1e6)  # elsewhere StableHLO leaves it open
    expected = interpreted(network, x)
    got = Evaluator(network).outputs(x)
    # Signs of zeros and NaNs included, but for NaNs' bits.
    assert same_bits(got, expected), (x, got, expected)


@pytest.mark.parametrize(
    "case",
    by_title(
        *("convolution-strides,-padding", "convolution-depthwise", "dot_general-batched"),
        *(
            "exponential",
            "log",
            "logistic",
            "rsqrt",
            "sqrt",
            "tanh",
            "power-constant-integer-exponent",
        ),
        *("reduce_window-maximum", "reduce-sum", "pad-with-holes,-and-negative", "divide"),
        *("select_and_scatter", "gather-fixed-indices", "reduce_precision", "iota", "reverse"),
    ),
    ids=title,
)
def test_moderate_numbers_agree_with_the_interpreter(case):
    network = case.network()
    x = op_cases.inputs(network.input_shape, 1)
    np.testing.assert_allclose(
        Evaluator(network).outputs(x), interpreted(network, x), rtol=1e-6, atol=1e-5
    )


def interpreted(network, x: np.ndarray) -> np.ndarray:
    """What StableHLO's reference interpreter makes of the framework's module."""
    from jax.interpreters.mlir import make_ir_context
    from jaxlib.mlir import ir, passmanager
    from jaxlib.mlir.dialects import stablehlo

    stablehlo.register_stablehlo_passes()
    with make_ir_context():
        module = ir.Module.parse(network.stablehlo(1))
        passmanager.PassManager.parse("builtin.module(func.func(chlo-legalize-to-stablehlo))").run(
            module.operation
        )
        values = [ir.DenseElementsAttr.get(np.ascontiguousarray(x))]
        values += [ir.DenseElementsAttr.get(w.value) for w in network.unfolded.weights]
        (result,) = stablehlo.eval_module(module, values)
        return np.array(ir.DenseFPElementsAttr(result)).reshape(1, *network.output_shape)


def random_network(seed: int):
    """A random chain of ops with residuals, on [n, 6, 6, c]; (function, weights)."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(seed)
    weights: list[np.ndarray] = []

    def weight(*shape: int) -> int:
        weights.append(
            (rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)
        )
        return len(weights) - 1

    steps = []
    channels = 3
    for _ in range(5):
        kind = rng.choice(["conv", "act", "norm", "residual", "concat", "pool", "attend", "plain"])
        if kind == "conv":
            out = int(rng.integers(1, 5))
            k = weight(3, int(rng.integers(1, 4)), channels, out)
            steps.append(
                lambda x, w, k=k: jax.lax.conv_general_dilated(
                    x, w[k], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
                )
            )
            channels = out
        elif kind == "act":
            name = rng.choice(["relu", "gelu", "tanh", "sigmoid", "elu", "softplus", "leaky_relu"])
            steps.append(lambda x, w, name=name: getattr(jax.nn, name)(x))
        elif kind == "norm":
            k = weight(channels)
            steps.append(
                lambda x, w, k=k: (
                    (x - x.mean(3, keepdims=True))
                    * jax.lax.rsqrt(x.var((1, 2), keepdims=True) + jnp.exp(w[k]))
                )
            )
        elif kind == "residual":
            steps.append(lambda x, w: x + jnp.where(x > 0, x[:, ::-1], jnp.abs(x)))
        elif kind == "concat":
            steps.append(lambda x, w: jnp.concatenate([x, jnp.sqrt(jnp.abs(x))], 3))
            channels *= 2
        elif kind == "pool":
            steps.append(
                lambda x, w: jax.lax.reduce_window(
                    x, -np.inf, jax.lax.max, (1, 3, 3, 1), (1, 1, 1, 1), "SAME"
                )
            )
        elif kind == "attend":
            steps.append(lambda x, w: x * jax.nn.softmax(x.sum(3), axis=2)[..., None])
        else:
            steps.append(lambda x, w: jnp.clip(jnp.floor(x * 4) / 4, -3, 3).transpose(0, 2, 1, 3))
    k = weight(channels, 4)

    def forward(x, *w):
        for step in steps:
            x = step(x, w)
        return jax.nn.log_softmax(x.mean((1, 2)) @ w[k])

    return forward, weights


@pytest.mark.parametrize("seed", range(6 if os.environ.get("ASNET_DEEP") else 1))
def test_random_networks(seed):
    function, weights = random_network(seed)
    network = from_jax_function(function, (np.zeros((1, 6, 6, 3), np.float32), *weights))
    x = op_cases.inputs((6, 6, 3), 19)
    got, expected = Evaluator(network).outputs(x), np.asarray(network.reference(x))
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)
    assert np.array_equal(got.argmax(1), expected.argmax(1))
    x[1, 2, 3] = [np.inf, -0.0, 1e-40]
    x[4, 0, 0, 1] = np.nan
    assert same_bits(
        Evaluator(network, APPROXIMATE).outputs(x), scalar_outputs(network, APPROXIMATE, x)
    )


def test_integer_division_by_zero_is_defined():
    import jax.numpy as jnp

    def function(x):
        whole = x.astype(jnp.int32)
        return (whole // (whole - whole)).astype(jnp.float32) + (whole % 3).astype(jnp.float32)

    network = from_jax_function(function, (np.zeros((1, 4), np.float32),))
    x = np.array([[5, -7, 0, -(2.0**31)]], np.float32)
    assert same_bits(Evaluator(network).outputs(x), scalar_outputs(network, Binding(), x))


def refused(function, *shape: int) -> str:
    """Return the one line by which a network is refused."""

    def scoped(x):
        import jax

        with jax.named_scope("strange"):
            return function(x)

    network = from_jax_function(scoped, (np.zeros((1, *shape), np.float32),))
    with pytest.raises(UnsupportedError) as caught:
        compile_model(network, "approx")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_unsigned_integers_are_concatenated():
    import jax.numpy as jnp

    def turned(x):
        words = x.astype(jnp.uint8)
        return jnp.concatenate([words[:, 3:], words[:, :3] + jnp.uint8(200)], 1).astype(jnp.float32)

    x = np.arange(10, dtype=np.float32).reshape(2, 5) * 20
    got = Evaluator(from_jax_function(turned, (x[:1],), name="turned")).outputs(x)
    np.testing.assert_array_equal(got, np.hstack([x[:, 3:], (x[:, :3] + 200) % 256]))


def test_refusals_name_the_op_the_layer_and_the_place():
    import jax
    import jax.numpy as jnp

    lax = jax.lax
    for function, op in (
        (lambda x: lax.while_loop(lambda y: y.sum() < 9, lambda y: y + 1, x), "stablehlo.while"),
        (lambda x: lax.cond(x.sum() > 0, lambda y: y, lambda y: -y, x), "stablehlo.case"),
        (lambda x: lax.linalg.cholesky(x), "stablehlo.custom_call"),
        (lambda x: lax.rem(x, jnp.float32(3)), "arith.remf"),
        (lambda x: x.astype(jnp.int32).astype(jnp.bfloat16).astype(jnp.float32), "arith.sitofp"),
    ):
        message = refused(function, 3, 3)
        assert f"'{op}'" in message and "(layer 'strange')" in message and " at " in message, (
            message
        )
    # JAX wraps it into a function of its own, whose location has no scopes.
    assert "'stablehlo.fft'" in refused(lambda x: jnp.real(jnp.fft.fft(x)), 3)
    assert "'complex.create'" in refused(lambda x: jnp.real(lax.complex(x, x) * 2), 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            """%a = stablehlo.convert %x : (tensor<1x2xf32>) -> tensor<1x2xf64>
            %b = stablehlo.add %a, %a : tensor<1x2xf64>
            %y = stablehlo.convert %b : (tensor<1x2xf64>) -> tensor<1x2xf32>""",
            "on f64 is not supported",
        ),
        ("%y = stablehlo.cholesky %x : tensor<1x2xf32>", "not a StableHLO module"),
        (
            """%r = stablehlo.custom_call @my_function(%x) : (tensor<1x2xf32>) -> tensor<1x2xf32>
            %y = stablehlo.add %r, %x : tensor<1x2xf32>""",
            "'stablehlo.custom_call' of \"my_function\"",
        ),
    ],
)
def test_refused_files(tmp_path, text, message):
    path = tmp_path / "net.mlir"
    path.write_text(
        f"func.func @main(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {{\n{text}\n"
        "return %y : tensor<1x2xf32>\n}"
    )
    with pytest.raises(AsnetError, match=message):
        compile_model(str(path), "approx")


def test_dynamic_shapes_are_refused(tmp_path):
    path = tmp_path / "net.mlir"
    path.write_text(
        "func.func @main(%x: tensor<?x2xf32>) -> tensor<?x2xf32> { return %x : tensor<?x2xf32> }"
    )
    with pytest.raises(InputError, match="must be numbers .* of a fixed shape"):
        load_model(str(path))
