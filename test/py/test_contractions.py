# SPDX-License-Identifier: Apache-2.0
"""Sums of products of codes: every way, on every kind of processor, gives the bits of the model."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asnet_mlir.evaluation.cpu as cpu
import asnet_mlir.native.contraction as native_contraction
from asnet_mlir.binding import Binding
from asnet_mlir.cores.models.lifting import lift
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.contractions import Product, parse_strategy
from asnet_mlir.evaluation.evaluator import CompiledNetwork, Evaluator
from asnet_mlir.native.contraction import Contraction, vectors_for

#: Instructions that this processor has.
VECTORS = vectors_for(16)


def fitting(vectors, lanes):
    """Return `vectors` where they hold so many lanes, else `portable`."""
    return vectors if vectors in vectors_for(lanes) else "portable"


def low_rank(rng, rank):
    """A table of products of bytes, and some more."""
    codes = np.arange(256)
    table = np.outer(rng.integers(-128, 128, 256), rng.integers(0, 256, 256))
    for _ in range(rank - 1):
        table += np.outer(rng.integers(-3, 4, 256), rng.integers(-9, 10, 256)) << rng.integers(0, 3)
    return (table + rng.integers(-1000, 1000, 256)[:, None] + 0 * codes).astype(np.int32)


def any_table(rng):
    return rng.integers(-32768, 32768, (256, 256)).astype(np.int32)


@st.composite
def shapes(draw):
    """Loops of a convolution (groups, pixels, filters, taps, channels), any strides in memory."""
    groups, pixels = draw(st.integers(1, 3)), draw(st.integers(1, 21))
    filters, taps = draw(st.integers(1, 14)), draw(st.integers(1, 5))
    channels, step = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    ranges = [groups, pixels, filters, taps, channels]
    inputs = groups * channels
    return {
        "ranges": ranges,
        "reduces": [0, 0, 0, 1, 1],
        "x": [channels, step * inputs, 0, inputs, 1],
        "w": [filters * channels * taps, 0, 1, filters * channels, filters],
        "y": [filters, groups * filters, 1, 0, 0],
        "x_offset": draw(st.integers(0, 2)),
        "w_offset": draw(st.integers(0, 2)),
        "y_offset": draw(st.integers(0, 2)),
        "lanes": draw(st.sampled_from([16, 16, 16, 8, 1, 5])),
        "adds": draw(st.booleans()),
    }


def by_loops(shape, table, weights, codes, sums):
    """The definition: one product after the other."""
    lanes = shape["lanes"]
    result = sums.reshape(-1, lanes).astype(np.int64)
    if not shape["adds"]:
        places = {
            shape["y_offset"] + sum(i * s for i, s in zip(point, shape["y"], strict=True))
            for point in itertools.product(*map(range, shape["ranges"]))
        }
        result[sorted(places)] = 0
    x = codes.reshape(-1, lanes)
    for point in itertools.product(*map(range, shape["ranges"])):
        at = {
            name: shape[f"{name}_offset"]
            + sum(i * s for i, s in zip(point, shape[name], strict=True))
            for name in "xwy"
        }
        result[at["y"]] += table[weights[at["w"]], x[at["x"]]]
    return (result & 0xFFFFFFFF).astype(np.uint32).view(np.int32).reshape(-1)


def extent(shape, name):
    steps = zip(shape["ranges"], shape[name], strict=True)
    return shape[f"{name}_offset"] + 1 + sum((r - 1) * s for r, s in steps)


@pytest.mark.parametrize("vectors", VECTORS)
@settings(max_examples=25, deadline=None)
@given(shape=shapes(), seed=st.integers(0, 2**32 - 1), rank=st.integers(1, 4))
def test_every_way_is_the_definition(vectors, shape, seed, rank):
    if math.prod(shape["ranges"]) > 6000:
        shape["ranges"][1] = 3
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 256, extent(shape, "w"), np.uint8)
    codes = rng.integers(0, 256, extent(shape, "x") * shape["lanes"], np.uint8)
    before = rng.integers(-(2**31), 2**31, extent(shape, "y") * shape["lanes"]).astype(np.int32)
    table = low_rank(rng, rank)
    lifted = lift(table)
    assert lifted is not None and np.array_equal(lifted.table(), table)
    other = any_table(rng)
    for product, meant in ((lifted, table), (table, table), (other, other)):
        if product is table and (np.ptp(table.astype(np.int64), 1) >= 65536).any():
            continue
        sums = before.copy()
        Contraction(shape, weights, product, vectors=fitting(vectors, shape["lanes"]))(codes, sums)
        expected = by_loops(shape, meant, weights, codes, before)
        np.testing.assert_array_equal(sums, expected)


@pytest.mark.parametrize(
    ("channels", "step", "filters", "pixels"),
    [(8, 1, 13, 9), (4, 2, 5, 6), (12, 1, 1, 4), (4, 1, 6, 3), (6, 1, 4, 7)],
)
def test_codes_that_several_pixels_read(channels, step, filters, pixels):
    """Quads of channels side by side are looked up once for all pixels; 6 channels are none."""
    rng = np.random.default_rng(channels)
    shape = {
        "ranges": [2, pixels, filters, 3, channels],
        "reduces": [0, 0, 0, 1, 1],
        "x": [40 * channels, step * channels, 0, channels, 1],
        "w": [0, 0, 1, channels * filters, filters],
        "y": [pixels * filters, filters, 1, 0, 0],
        **{f"{name}_offset": 0 for name in "xwy"},
        "lanes": 16,
        "adds": True,
    }
    weights = rng.integers(0, 256, extent(shape, "w"), np.uint8)
    codes = rng.integers(0, 256, extent(shape, "x") * 16, np.uint8)
    before = rng.integers(-(2**31), 2**31, extent(shape, "y") * 16).astype(np.int32)
    table = low_rank(rng, 3)
    for vectors in VECTORS:
        sums = before.copy()
        Contraction(shape, weights, lift(table), vectors=vectors)(codes, sums)
        np.testing.assert_array_equal(sums, by_loops(shape, table, weights, codes, before))


@pytest.mark.parametrize("terms", [256, 257, 258, 514, 515])
def test_rows_of_the_largest_words(terms):
    """Sums of bytes fit 16 bits for 257 terms, and go on in 32 bits."""
    rng = np.random.default_rng(terms)
    shape = {
        "ranges": [5, 2, terms],
        "reduces": [0, 0, 1],
        "x": [terms, 0, 1],
        "w": [0, terms, 1],
        "y": [2, 1, 0],
        **{f"{name}_offset": 0 for name in "xwy"},
        "lanes": 16,
        "adds": False,
    }
    table = np.zeros((256, 256), np.int32)
    table[:, 1:] = 65535
    weights = rng.integers(0, 256, 2 * terms, np.uint8)
    codes = np.ones((5, terms, 16), np.uint8)
    codes[3:] = rng.integers(0, 2, codes[3:].shape)
    expected = np.repeat(65535 * codes.sum(1, dtype=np.int32)[:, None], 2, axis=1)
    for vectors in VECTORS:
        sums = np.zeros(expected.size, np.int32)
        Contraction(shape, weights, table, vectors=vectors)(codes.reshape(-1), sums)
        np.testing.assert_array_equal(sums, expected.reshape(-1))


@pytest.mark.parametrize(
    ("name", "passes"),
    [("signed", 1), ("unsigned", 2), ("mixed", 1), ("cut", 7), ("zero", 0), ("constant", 0)],
)
def test_products_that_are_known_to_be_short(name, passes):
    codes = np.arange(256)
    signed = np.where(codes > 127, codes - 256, codes)
    table = {
        "signed": np.outer(signed, signed),
        "unsigned": np.outer(codes, codes),
        "mixed": np.outer(signed, codes),  # weights with a sign, codes without
        # Partial products of columns below 3 left out: x_i w_j with i + j < 3.
        "cut": np.outer(codes, codes)
        - sum(
            np.outer(codes >> j & 1, codes >> i & 1) << (i + j)
            for i in range(3)
            for j in range(3 - i)
        ),
        "zero": np.zeros((256, 256)),
        "constant": np.outer(codes**2, np.ones(256)),
    }[name].astype(np.int32)
    lifted = lift(table)
    assert lifted.passes <= passes
    np.testing.assert_array_equal(lifted.table(), table)


def test_a_table_of_full_rank_is_looked_up():
    rng = np.random.default_rng(0)
    product = Product(any_table(rng), None)
    assert product.lifted is None and product.ways == ("rows",)
    # Rows are words of 16 bits above a constant each.
    wide = low_rank(rng, 1) * 100
    assert Product(wide, None).ways == ("lifted",)


def network():
    """Convolutions of all kinds and a dense layer, on codes; a function for load_model."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    rng = np.random.default_rng(5)
    kernels = [
        rng.integers(-128, 128, shape).astype(np.int8)
        for shape in ((3, 3, 3, 7), (3, 3, 1, 7), (2, 2, 7, 10), (120, 5))
    ]

    def convolve(x, w, **options):
        return lax.conv_general_dilated(
            x,
            w,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            preferred_element_type=jnp.int32,
            **options,
        )

    def codes(sums, shift):
        return jnp.clip(sums >> shift, -128, 127).astype(jnp.int8)

    def fn(x):
        with jax.named_scope("first"):
            x = codes(convolve(x, kernels[0], window_strides=(1, 2), padding="VALID"), 8)
        x = codes(
            convolve(x, kernels[1], window_strides=(1, 1), padding="VALID", feature_group_count=7),
            6,
        )
        x = codes(
            convolve(x, kernels[2], window_strides=(1, 1), padding="VALID", rhs_dilation=(2, 1)), 7
        )
        return jnp.dot(x.reshape(x.shape[0], -1), kernels[3], preferred_element_type=jnp.int32)

    return fn, (np.zeros((1, 10, 14, 3), np.int8),)


CORES = ["truncated:N=8,SIGNED=1,CUT=6", "mul8s_evolved:M=30", "kulkarni:N=8,SIGNED=1"]


@pytest.mark.parametrize("vectors", VECTORS)
def test_ways_agree_in_a_network(vectors, monkeypatch):
    """Also as processors with AVX2 only do it: in 8 lanes."""
    if vectors != VECTORS[0]:
        monkeypatch.setattr(cpu, "_registers", lambda: 16)
        for module in (cpu, native_contraction):
            monkeypatch.setattr(module, "vectors_for", lambda lanes: [vectors])
    fn, examples = network()
    x = np.random.default_rng(1).integers(-128, 128, (33, *examples[0].shape[1:])).astype(np.int8)
    exact = np.asarray(fn(x))
    for core in (None, *CORES):
        binding = Binding.parse([f"muli={core}"] if core else [])
        outputs = {}
        for way in ("models", "lifted", "rows", None):
            compiled = CompiledNetwork((fn, examples), way=way)
            evaluator = Evaluator(compiled, binding)
            outputs[way] = evaluator.outputs(x)
            products = [p for stage in evaluator._bound for p in stage.products]
            if way == "models" or (way is None and vectors == "portable"):
                assert not products
            else:  # not every product can be lifted
                assert len(products) == 4 or (way == "lifted" and not products)
        if core is None:
            np.testing.assert_array_equal(outputs["models"], exact)
        else:
            assert (outputs["models"] != exact).any()
        for way in ("lifted", "rows", None):
            np.testing.assert_array_equal(outputs[way], outputs["models"], err_msg=f"{core} {way}")


ADDER = """
module lower_or(input signed [31:0] a, input signed [31:0] b, output signed [31:0] result);
  assign result = {a[31:5] + b[31:5], a[4:0] | b[4:0]};
endmodule
"""


def test_a_bound_adder_keeps_its_order(tmp_path):
    """The sum is the core's, one term after the other: no contraction."""
    adder = tmp_path / "lower_or.v"
    adder.write_text(ADDER)
    fn, examples = network()
    x = np.random.default_rng(2).integers(-128, 128, (5, *examples[0].shape[1:])).astype(np.int8)
    binding = Binding.parse([f"addi={adder}", "muli=kulkarni:N=8,SIGNED=1"])
    outputs = [
        Evaluator(CompiledNetwork((fn, examples), way=way), binding) for way in (None, "models")
    ]
    assert not any(stage.products for stage in outputs[0]._bound)
    np.testing.assert_array_equal(outputs[0].outputs(x), outputs[1].outputs(x))


def test_channels_are_computed_apart():
    fn, examples = network()
    binding = Binding.parse(
        [
            "muli=kulkarni:N=8,SIGNED=1",
            "muli@first[0:3]=mul8s_evolved:M=30",
            "muli@first[3:4]=roba:N=8,SIGNED=1",
        ]
    )
    x = np.random.default_rng(6).integers(-128, 128, (18, *examples[0].shape[1:])).astype(np.int8)
    outputs = []
    for way in (None, "models"):
        compiled = CompiledNetwork((fn, examples), way=way, channels=binding.channels)
        outputs.append(Evaluator(compiled, binding).outputs(x))
    np.testing.assert_array_equal(*outputs)
    with pytest.raises(InputError, match=r"compiled without the channels of muli@first\[0:3\]"):
        CompiledNetwork((fn, examples)).bind(binding)


def test_another_core_compiles_nothing():
    compiled = CompiledNetwork(network(), way="rows")
    compiled.bind(Binding.parse(["muli=mul8s_evolved:M=3"]))
    before = compiled.native_stages
    bound = compiled.bind(Binding.parse(["muli=truncated:N=8,SIGNED=1,CUT=3"]))
    assert compiled.native_stages == before
    keys = {stage.key for stage in compiled.bind(Binding.parse([]))}
    assert not keys & {stage.key for stage in bound if stage.products}


def test_weights_may_change():
    fn, examples = network()
    compiled = CompiledNetwork((fn, examples))
    evaluator = Evaluator(compiled, Binding.parse(["muli=kulkarni:N=8,SIGNED=1"]))
    x = np.random.default_rng(3).integers(-128, 128, (4, *examples[0].shape[1:])).astype(np.int8)
    name = max(compiled.weights.arrays, key=lambda n: compiled.weights.arrays[n].size)
    other = np.roll(compiled.weights.arrays[name], 1, 0)
    changed = evaluator.outputs(x, {name: other})
    models = Evaluator(
        CompiledNetwork((fn, examples), way="models"),
        Binding.parse(["muli=kulkarni:N=8,SIGNED=1"]),
    )
    np.testing.assert_array_equal(changed, models.outputs(x, {name: other}))
    assert (changed != evaluator.outputs(x)).any()


def test_evaluate_says_how_layers_are_computed():
    import asnet_mlir

    fn, examples = network()
    x = np.random.default_rng(4).integers(-128, 128, (9, *examples[0].shape[1:])).astype(np.int8)
    data = (x, np.zeros(9, np.int64))
    core = "muli=kulkarni:N=8,SIGNED=1"
    results = {
        way: asnet_mlir.evaluate((fn, examples), data, core, strategy=way)
        for way in ("lifted", "rows", "models")
    }
    assert {one.accuracy for one in results.values()} == {results["rows"].accuracy}
    assert [one.passes for one in results["lifted"].contractions] == [3] * 4
    assert {one["way"] for one in results["rows"].to_json()["contractions"]} == {"rows"}
    assert results["models"].contractions == ()
    assert results["rows"].contractions[-1].products == 120 * 5


def test_strategies_by_name():
    assert parse_strategy("rows") == (None, "rows")
    assert parse_strategy("word") == ("word", "models")
    assert parse_strategy(None) == (None, None)
    with pytest.raises(InputError, match="strategy 'row': one of lifted, rows, models, native"):
        parse_strategy("row")
