# SPDX-License-Identifier: Apache-2.0
"""Networks whose inputs, weights and outputs are of any format: front ends, data, files, words."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import asnet_mlir as asnet
from asnet_mlir.binding import Binding, Rule
from asnet_mlir.compiler import bind_for_hardware, to_approx
from asnet_mlir.cores import core_from_verilog
from asnet_mlir.data import Dataset, load_data
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.evaluation.evaluator import CompiledNetwork
from asnet_mlir.evaluation.second_net import check_first_samples
from asnet_mlir.evaluation.session import Session
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.cached import pack, unpack
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.weights import weights_file_of, write_weights
from asnet_mlir.support.formats import (
    BF16,
    EDGE_FORMATS,
    F16,
    F32,
    format_of_array,
    format_of_element,
    parse_format,
)

INTEGERS = tuple(format for format in EDGE_FORMATS if not format.is_float)
FLOATS = (F32, BF16, F16)
I8, U8, I32 = (parse_format(name) for name in ("i8", "u8", "i32"))
formats = st.sampled_from(EDGE_FORMATS)
seeds = st.integers(0, 2**16)


def numbers(format, shape, seed):
    """Random values: all bits of integers, of floats moderate ones."""
    rng = np.random.default_rng(seed)
    if format.is_float:
        return format.from_numbers(rng.normal(size=shape) * 3)
    least, greatest = map(int, format.range)
    return rng.integers(least, greatest, shape, format.dtype, endpoint=True)


def same(got, want):
    return got.dtype == want.dtype and got.tobytes() == np.ascontiguousarray(want).tobytes()


# Formats as values


@given(formats)
def test_a_format_is_found_again(format):
    assert format_of_array(np.zeros(1, format.dtype)) == format
    assert format_of_element(format.element_type, is_unsigned=not format.is_signed) == format
    assert format.dtype.itemsize == format.storage_bytes


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool", ">f4", "complex64"])
def test_dtypes_without_a_format(dtype):
    assert format_of_array(np.zeros(1, dtype)) is None


@given(formats, seeds)
def test_words_hold_values(format, seed):
    values = numbers(format, (3, 5), seed)
    words = format.to_words(values)
    assert words.dtype == np.uint32 and words.max() < 1 << format.width
    assert same(format.from_words(words), values)


@given(formats, formats, seeds)
def test_numbers_are_converted(given_format, format, seed):
    """From any format to any: rounded once, or the integers that they are."""
    given = numbers(given_format, 40, seed)
    exact = given.astype(np.float64)
    if format.is_float:
        bits = format.from_numbers(given).view(format.bits_dtype)
        assert (bits == format.round(exact)).all()
        return
    least, greatest = format.range
    fits = (exact >= least) & (exact <= greatest) & (exact == np.rint(exact))
    if fits.all():
        assert (format.from_numbers(given).astype(np.float64) == exact).all()
    else:
        with pytest.raises(InputError, match=f"is no {format}, an integer from {least} to"):
            format.from_numbers(given)
    assert same(format.from_numbers(given[fits]), given[fits].astype(format.dtype))


# Data


@settings(deadline=None)
@given(formats, seeds)
def test_data_sets_have_a_format(format, seed):
    x = numbers(format, (4, 2, 3), seed)
    data = load_data((x, [0, 1, 2, 0]), format)
    assert data.format == format and same(data.x, x)
    assert data.head(2).format == data.shaped((6,)).format == format
    assert same(data.converted(format).x, x)


def test_images_are_as_the_network_reads_them():
    floats, codes = load_data("mnist:test:3"), load_data("mnist:test:3", U8)
    assert codes.x.dtype == np.uint8 and codes.x.max() == 255
    assert same(floats.x, codes.x.astype(np.float32) / np.float32(255))
    signed = load_data("mnist:test:3", I8).x
    assert same(signed, (codes.x.astype(int) - 128).astype(np.int8))


@pytest.mark.parametrize("format", EDGE_FORMATS, ids=str)
def test_npz(tmp_path, format):
    """bfloat16 is read from what numpy writes of it."""
    x = numbers(format, (4, 3), 1)
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(4))
    assert same(load_data(str(tmp_path / "d.npz"), format).x, x)


# Networks


def dense(input_format, weight_format, output_format, seed=0, shape=(6, 3)):
    """`x w`, one product and sum after the other, in the accumulator's format."""
    weights = numbers(weight_format, shape, seed)
    both_float = input_format.is_float and weight_format.is_float
    wide = F32 if both_float or output_format.is_float else I32

    def apply(x, w):
        x, w = x.astype(wide.dtype), w.astype(wide.dtype)
        return jnp.dot(x, w).astype(output_format.dtype)

    return from_jax_function(
        apply, (np.zeros((1, shape[0]), input_format.dtype), weights), name="net"
    )


integers = st.sampled_from(INTEGERS)


@settings(deadline=None, max_examples=8)
@given(integers, integers, integers, seeds)
def test_integer_networks_equal_jax(input_format, weight_format, output_format, seed):
    """Modulo 2^32 there is nothing to round: all words are JAX's."""
    network = dense(input_format, weight_format, output_format, seed)
    assert (network.input_format, network.output_format) == (input_format, output_format)
    assert network.weights[0].format == weight_format
    x = numbers(input_format, (37, 6), seed + 1)
    assert same(Evaluator(network).outputs(x), network.reference(x))


@settings(deadline=None, max_examples=6)
@given(formats, st.sampled_from(FLOATS), seeds)
def test_elementwise_networks_round_once(input_format, format, seed):
    """A product in the format, rounded once."""
    # Integers of 32 bits to a narrow float would round twice, which is an error.
    assume(input_format.is_float or input_format.width <= 16 or format == F32)
    weights = numbers(format, (6,), seed)

    def apply(x, w):
        return x.astype(format.dtype) * w

    x = numbers(input_format, (37, 6), seed + 1)
    network = from_jax_function(apply, (x[:1], weights), name="net")
    want = format.round(
        format.to_float64(format.round(x.astype(np.float64))) * weights.astype(np.float64)
    )
    got = Evaluator(network).outputs(x)
    assert got.dtype == format.dtype
    assert (format.canonical(got.view(format.bits_dtype)) == want).all()


def conv(x, w):
    return jax.lax.conv_general_dilated(
        x,
        w,
        (1, 2),
        [(1, 2), (0, 1)],
        lhs_dilation=(2, 1),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        preferred_element_type=jnp.int32,
    )


@pytest.mark.parametrize("formats", [(U8, U8), (U8, I8), (I8, I8)], ids="{0[0]} {0[1]}".format)
def test_convolutions_extend_by_sign(formats):
    """StableHLO's own lowering takes all narrow operands as signed."""
    x, w = (
        numbers(format, shape, 3)
        for format, shape in zip(formats, ((9, 5, 4, 2), (3, 3, 2, 3)), strict=True)
    )

    def apply(x, w):
        same = x.dtype == w.dtype
        return conv(x, w) if same else conv(x.astype(jnp.int32), w.astype(jnp.int32))

    network = from_jax_function(apply, (x[:1], w), name="net")
    assert same(Evaluator(network).outputs(x), network.reference(x))
    text = to_approx(network, 1)
    kind = {(U8, U8): "unsigned %0 : i8 -> i16", (U8, I8): " : i9 -> i18", (I8, I8): " : i8 -> i16"}
    (product,) = [line for line in text.splitlines() if "approx.muli" in line]
    assert product.endswith(kind[formats].split("%0")[-1]), product
    assert ("unsigned" in product) == (formats == (U8, U8))


@pytest.mark.parametrize("format", (I8, U8), ids=str)
def test_unsigned_maxima(format):
    x = numbers(format, (9, 6), 4)

    def apply(x):
        return jnp.max(x.reshape(-1, 3, 2), axis=2)

    network = from_jax_function(apply, (x[:1],), name="net")
    assert same(Evaluator(network).outputs(x), network.reference(x))


@pytest.mark.parametrize("format", [BF16, F16, I8, U8], ids=str)
def test_closed_over_arrays_are_weights(format):
    w = numbers(format, (6, 3), 5)
    network = from_jax_function(
        lambda x: jnp.dot(x.astype(jnp.float32), w.astype(jnp.float32)),
        (np.zeros((1, 6), format.dtype),),
        name="net",
    )
    assert network.input_format == format
    x = numbers(format, (20, 6), 6) if not format.is_float else np.zeros((20, 6), format.dtype)
    assert np.allclose(Evaluator(network).outputs(x), network.reference(x))


# Cores


@pytest.fixture(scope="module")
def multiplier(tmp_path_factory):
    """8 x 8 unsigned, without the low bits of the product."""
    path = tmp_path_factory.mktemp("core") / "low.v"
    path.write_text(
        "module low(input [7:0] a, b, output [15:0] r);\n"
        "  wire [15:0] p = a * b;\n  assign r = {p[15:4], 4'd0};\nendmodule\n"
    )
    return core_from_verilog([path], op="muli").instance()


def test_a_core_computes_products_of_codes(multiplier):
    network, x = dense(U8, U8, I32), numbers(U8, (37, 6), 7)
    binding = Binding((Rule("muli", multiplier),))
    w = network.weights[0].value.astype(np.int64)
    want = ((x.astype(np.int64)[:, :, None] * w) & ~15).sum(axis=1).astype(np.int32)
    assert same(Evaluator(network, binding).outputs(x), want)
    session = Session(CompiledNetwork(network), Dataset("d", x, np.zeros(37, int), U8))
    assert same(session.outputs(binding), want)


def test_a_core_of_another_sign(multiplier):
    with pytest.raises(InputError, match="computes on u8, but muli is on i8 here"):
        Evaluator(dense(I8, I8, I32), Binding((Rule("muli", multiplier),)))


# Files


def written(network, stage, path):
    path.write_text(asnet.compile(network, stage))
    weights = (network.unfolded or network).weights if stage == "stablehlo" else network.weights
    write_weights(weights_file_of(path), weights)


@pytest.mark.parametrize("format", EDGE_FORMATS, ids=str)
def test_stages_as_files(tmp_path, format):
    """StableHLO and approx modules with their weights beside them are the same network."""
    network, x = dense(format, format, format), numbers(format, (20, 6), 8)
    want = Evaluator(network).outputs(x)
    for stage in ("stablehlo", "approx"):
        path = tmp_path / f"{stage}.mlir"
        written(network, stage, path)
        read = asnet.load_model(path)
        assert (read.input_format, read.output_format) == (format, format)
        assert same(Evaluator(read).outputs(x), want)


@given(formats)
@example(parse_format("u32"))
@settings(deadline=None, max_examples=4)
def test_packed(format):
    network = replace(dense(format, format, F32), warnings=("what is said",))
    again = unpack(pack(network), "net", network.lowering.text)
    assert again.warnings == ("what is said",)
    assert (again.input_format, again.output_format) == (format, F32)
    assert same(again.weights[0].value, network.weights[0].value)


def test_weights_of_another_format(tmp_path):
    network = dense(U8, I8, I32)
    written(network, "stablehlo", tmp_path / "n.mlir")
    np.savez(tmp_path / "w.npz", **{"weight[0]": np.zeros((6, 3), np.uint8)})
    with pytest.raises(InputError, match="is uint8, @main takes int8"):
        asnet.load_model(tmp_path / "n.mlir", weights=tmp_path / "w.npz")


# Verbs


def test_accuracy_on_codes():
    """Labels that the network gives itself, by its greatest int32."""
    network, x = dense(U8, I8, I32), numbers(U8, (64, 6), 9)
    y = network.reference(x).argmax(axis=1)
    assert asnet.evaluate(network, (x, y)).accuracy == 1.0
    assert asnet.evaluate(network, (x.astype(np.float32), y)).accuracy == 1.0
    with pytest.raises(InputError, match=r"0.5 at \[0, 0\] is no u8, an integer from 0 to 255"):
        prepare_data((np.full((1, 6), 0.5), [0]), network)


def test_what_has_no_format():
    with pytest.raises(UnsupportedError, match="input 'input' is bool; float32, bfloat16"):
        from_jax_function(lambda x: x + 1.0, (np.zeros((1, 3), bool),), name="n")


def test_second_net_compares_every_format():
    check_first_samples(CompiledNetwork(dense(BF16, BF16, BF16)), numbers(BF16, (8, 6), 1))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: dense(BF16, F32, F32), "the network's input is bf16"),
        (lambda: dense(F32, F32, BF16), "the network's output is bf16"),
        (lambda: masked(), r"the weight 'weight\[0\]' is of f16"),
        (lambda: scoped(), r"the network has mulf on bf16 \(layer 'inner'\)"),
    ],
    ids=["input", "output", "weight", "layer"],
)
def test_hardware_refuses_in_one_line(network, message):
    with pytest.raises(UnsupportedError, match=f"hardware computes on f32; {message}") as caught:
        bind_for_hardware(to_approx(network(), 1), Binding())
    assert "\n" not in str(caught.value)


def masked():
    def apply(x, w):
        return jnp.where(w > 3, x, 0.0)

    example = np.zeros((1, 6), np.float32), numbers(F16, 6, 1)
    return from_jax_function(apply, example, name="net")


def scoped():
    def apply(x):
        with jax.named_scope("inner"):
            return (x.astype(jnp.bfloat16) * jnp.bfloat16(1.5)).astype(jnp.float32)

    return from_jax_function(apply, (np.zeros((1, 6), np.float32),), name="net")


def test_sums_of_words_stay_plain_logic():
    """A count of floats, which hardware had before integers were ops of the dialect."""

    def apply(x):
        return jnp.sum((x > 0).astype(jnp.int32), axis=1, keepdims=True).astype(jnp.float32)

    network = from_jax_function(apply, (np.zeros((1, 6), np.float32),), name="net")
    assert "approx.addi" in to_approx(network, 1)
    text, instances = bind_for_hardware(to_approx(network, 1), Binding())
    assert "approx.addi" not in text and "arith.addi" in text and not instances


@pytest.mark.parametrize("format", [I8, U8], ids=str)
def test_plain_integers_of_hardware_compute_what_they_stand_for(tmp_path, format):
    """Products, sums and extrema of codes: with the codes' sign, not with the other one."""

    def apply(x):
        codes = x.astype(format.dtype).reshape(-1, 2, 3)
        dimensions = ((2,), (2,)), ((0,), (0,))
        products = jax.lax.dot_general(codes, codes, dimensions, preferred_element_type=jnp.int32)
        parts = products.reshape(-1, 4), jnp.max(codes, axis=2), jnp.min(codes, axis=2)
        # A float's product makes the text a model with a core.
        floats = [part.astype(jnp.float32) for part in parts]
        return jnp.concatenate([*floats, x * x], axis=1)

    x = numbers(format, (32, 6), 8).astype(np.float32)
    network = from_jax_function(apply, (x[:1],), name="net")
    text, instances = bind_for_hardware(to_approx(network, 1), Binding())
    assert "approx.muli" not in text and "approx.maxi" not in text and len(instances) == 1
    path = tmp_path / "plain.mlir"
    path.write_text(text)
    assert same(Evaluator(load_model(path)).outputs(x), network.reference(x))
