# SPDX-License-Identifier: Apache-2.0
"""Models over arrays (bit-sliced, tables): the bits of word-level code, in any network."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_verilog import random_module

from asnet_mlir.binding import Binding
from asnet_mlir.compiler import bind, to_approx
from asnet_mlir.cores import core_from_verilog, derive_models, parse_instance
from asnet_mlir.cores.circuits import luts
from asnet_mlir.cores.circuits import terms as smt
from asnet_mlir.cores.models import bitslice
from asnet_mlir.cores.models.derive import convert
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation import CompiledNetwork, Evaluator
from asnet_mlir.frontends import load_model
from asnet_mlir.native import ternary
from asnet_mlir.reference import to_native


def gates_multiplier(width: int, dropped: int = 0) -> str:
    """Verilog of an array multiplier made of single gates, without its lowest columns."""
    lines = [
        f"module gates{width}(input [{width - 1}:0] a, input [{width - 1}:0] b, "
        f"output [{2 * width - 1}:0] y);"
    ]
    columns: list[list[str]] = [[] for _ in range(2 * width + 1)]
    for i in range(width):
        for j in range(width):
            if i + j >= dropped:
                lines.append(f"wire p{i}_{j}; and (p{i}_{j}, a[{i}], b[{j}]);")
                columns[i + j].append(f"p{i}_{j}")
    count = 0
    for column in range(2 * width):
        while len(columns[column]) > 1:
            x, y = columns[column][:2]
            z = columns[column][2] if len(columns[column]) > 2 else "1'b0"
            s, c = f"s{count}", f"c{count}"
            count += 1
            lines.append(f"wire {s}, {c}; assign {s} = {x} ^ {y} ^ {z};")
            lines.append(f"assign {c} = ({x} & {y}) | ({z} & ({x} | {y}));")
            columns[column] = [*columns[column][3:], s]
            columns[column + 1].append(c)
        lines.append(f"assign y[{column}] = {(columns[column] or ["1'b0"])[0]};")
    return "\n".join([*lines, "endmodule", ""])


@pytest.fixture(scope="module")
def multiplier(tmp_path_factory):
    path = tmp_path_factory.mktemp("cores") / "gates.v"
    path.write_text(gates_multiplier(8, dropped=3))
    return core_from_verilog([path]).instance()


@pytest.mark.parametrize("strategy", ["bitslice", "table"])
def test_every_pair_of_a_small_core(multiplier, strategy):
    models = {
        "word": derive_models({"word": multiplier}, "word")["word"],
        "other": derive_models({"other": multiplier}, strategy)["other"],
    }
    assert models["other"].strategy == strategy
    kernel = compile_elementwise(models)
    a, b = (grid.ravel() for grid in np.meshgrid(*[np.arange(256, dtype=np.uint8)] * 2))
    np.testing.assert_array_equal(kernel("other", a, b), kernel("word", a, b))
    # Not trivially: the core drops partial products.
    assert (kernel("word", a, b) != a.astype(np.uint16) * b).any()


@pytest.mark.parametrize("count", [1, 2, 63, 511, 512, 513, 1025])
def test_any_number_of_pairs(multiplier, count):
    kernel = compile_elementwise(
        {
            "word": derive_models({"word": multiplier}, "word")["word"],
            "sliced": derive_models({"sliced": multiplier}, "bitslice")["sliced"],
        }
    )
    rng = np.random.default_rng(count)
    a, b = (rng.integers(0, 256, count).astype(np.uint8) for _ in range(2))
    np.testing.assert_array_equal(kernel("sliced", a, b), kernel("word", a, b))


@pytest.mark.parametrize("name", ["fmul:LATENCY=0", "fadd:LATENCY=0", "fmax:LATENCY=0"])
def test_words_become_gates(name):
    instance = parse_instance(name)
    kernel = compile_elementwise(
        {
            "word": derive_models({"word": instance}, "word")["word"],
            "sliced": derive_models({"sliced": instance}, "bitslice")["sliced"],
        }
    )
    bits = np.random.default_rng(0).integers(0, 1 << 32, (2, 20_001), dtype=np.uint32)
    a, b = bits.view(np.float32)
    np.testing.assert_array_equal(
        kernel("sliced", a, b).view(np.uint32), kernel("word", a, b).view(np.uint32)
    )


def test_the_fastest_strategy_is_kept(multiplier):
    model = derive_models({"m": parse_instance("drum:N=8,K=4")})["m"]
    assert set(model.nanoseconds) == {"word", "table"}
    assert model.strategy == min(model.nanoseconds, key=lambda name: model.nanoseconds[name])
    # Where it is known, the others are not made.
    model = derive_models({"m": multiplier})["m"]
    assert (model.strategy, model.nanoseconds) == ("bitslice", {})


def test_strategies_that_do_not_apply(multiplier):
    with pytest.raises(InputError, match="strategy 'table' does not apply"):
        derive_models({"m": parse_instance("fmul:LATENCY=0")}, "table")
    with pytest.raises(InputError, match="nothing proves"):
        derive_models({"m": multiplier}, "native")


@st.composite
def netlists(draw):
    """A random netlist of gates and words in the format of Yosys' write_json."""
    nets = [list(range(2, 10)), list(range(10, 18))]
    bits = [bit for net in nets for bit in net]
    fresh = 100
    cells = {}
    for number in range(draw(st.integers(3, 40))):
        kind = draw(
            st.sampled_from(
                ["$and", "$or", "$xor", "$xnor", "$not", "$mux", "$_NAND_", "$_AOI3_", "$_OAI4_"]
                + ["$_ANDNOT_", "$_NMUX_", "$reduce_xor", "$add", "$logic_not"]
            )
        )
        nets_so_far = st.sampled_from([*bits, "0", "1"])
        width = draw(st.integers(2, 6)) if kind == "$add" else 1
        inputs = {
            "$not": "A",
            "$logic_not": "A",
            "$reduce_xor": "A",
            "$mux": "ABS",
            "$_NMUX_": "ABS",
            "$_AOI3_": "ABC",
            "$_OAI4_": "ABCD",
        }.get(kind, "AB")
        operand_width = 3 if kind == "$reduce_xor" else width
        connections = {port: [draw(nets_so_far) for _ in range(operand_width)] for port in inputs}
        connections["Y"] = list(range(fresh, fresh + width))
        fresh += width
        bits += connections["Y"]
        cells[f"u{number}"] = {
            "type": kind,
            "parameters": {},
            "connections": connections,
            "port_directions": {p: "output" if p == "Y" else "input" for p in connections},
        }
    result = [draw(st.sampled_from(bits)) for _ in range(8)]
    ports = {
        "a": {"direction": "input", "bits": nets[0]},
        "b": {"direction": "input", "bits": nets[1]},
        "result": {"direction": "output", "bits": result},
    }
    return {"ports": ports, "cells": cells}


@settings(max_examples=12, deadline=None)
@given(st.lists(netlists(), min_size=4, max_size=4))
def test_random_netlists(modules):
    jobs = [
        {"symbol": f"word{number}", "format": None, "module": module}
        for number, module in enumerate(modules)
    ]
    texts = {}
    for number, word in enumerate(convert(jobs)):
        texts[f"word{number}"] = word["text"]
        texts[f"sliced{number}"] = sliced(word["text"], f"sliced{number}", ("i8", "i8", "i8"))
    kernel = compile_elementwise(texts, opt_level=0)
    a, b = np.random.default_rng(0).integers(0, 256, (2, 600)).astype(np.uint8)
    for number in range(len(modules)):
        np.testing.assert_array_equal(
            kernel(f"sliced{number}", a, b), kernel(f"word{number}", a, b)
        )


def sliced(word: str, symbol: str, storage: tuple[str, str, str]) -> str:
    """Return the bit-sliced model of a word-level one, without its function of single pairs."""
    function = smt.parse(word)
    widths = function.widths
    text = bitslice.compose(bitslice.slice_function(function), widths, symbol, storage)
    kinds = [
        "f32" if is_float else f"i{width}"
        for is_float, width in zip(function.is_float, widths, strict=True)
    ]
    return text + (
        f"func.func private @{symbol}({kinds[0]}, {kinds[1]}) -> {kinds[2]} "
        f"attributes {{no_inline, approx.block = @{symbol}_block}}\n"
    )


@pytest.mark.parametrize(
    ("widths", "storage"),
    [
        ((1, 1, 1), ("i8", "i8", "i8")),
        ((5, 3, 8), ("i8", "i8", "i8")),
        ((8, 16, 3), ("i8", "i16", "i8")),
        ((12, 7, 19), ("i16", "i8", "i32")),
        ((32, 5, 9), ("i32", "i8", "i16")),
        ((20, 33, 53), ("i32", "i64", "i64")),
        ((64, 8, 8), ("i64", "i8", "i8")),
    ],
)
@pytest.mark.parametrize("on_any_processor", [False, True])
def test_elements_of_any_width(widths, storage, on_any_processor, monkeypatch):
    # Bits are exchanged across the operands, so that a bit out of place shows.
    if on_any_processor:
        monkeypatch.setattr(ternary, "host", lambda: "")
    a, b, r = widths
    wide = max(widths)

    def resized(name: str, have: int, want: int) -> str:
        kind = "extui" if want > have else "trunci"
        operation = f"arith.{kind} %{name} : i{have} to i{want}"
        return operation if want != have else f"arith.addi %{name}, %zero : i{want}"

    word = f"""func.func private @word(%a: i{a}, %b: i{b}) -> i{r} {{
      %zero = arith.constant {f"0 : i{wide}" if wide > 1 else "false"}
      %x = {resized("a", a, wide)}
      %y = {resized("b", b, wide)}
      %three = arith.constant {f"3 : i{wide}" if wide > 1 else "true"}
      %p = arith.muli %x, %three : i{wide}
      %q = arith.subi %p, %y : i{wide}
      %s = arith.xori %q, %x : i{wide}
      %z = {resized("s", wide, r)}
      return %z : i{r}
    }}
    """
    kernel = compile_elementwise({"word": word, "sliced": sliced(word, "sliced", storage)})
    rng = np.random.default_rng(0)
    count = 700
    operands = [
        rng.integers(0, np.iinfo(kind).max, count, kind, endpoint=True)
        for kind in (f"uint{name[1:]}" for name in storage[:2])
    ]
    np.testing.assert_array_equal(kernel("sliced", *operands), kernel("word", *operands))


def test_every_operator_as_gates(tmp_path):
    count = 12
    path = tmp_path / "random.v"
    path.write_text(random_module(count, 1))
    core = core_from_verilog([path], ports={"a": "a", "b": "b", "result": "result"})
    words = derive_models({f"w{k}": core.instance({"K": k}) for k in range(count)}, "word")
    texts = {symbol: model.text for symbol, model in words.items()}
    for number in range(count):
        function = smt.parse(texts[f"w{number}"])
        kinds = tuple(f"i{max(8, 1 << (width - 1).bit_length())}" for width in function.widths)
        texts[f"s{number}"] = sliced(texts[f"w{number}"], f"s{number}", kinds)
    kernel = compile_elementwise(texts, opt_level=0)
    rng = np.random.default_rng(0)
    for number in range(count):
        dtypes = kernel.dtypes(f"w{number}")[:2]
        a, b = (rng.integers(0, np.iinfo(t).max, 3000, t, endpoint=True) for t in dtypes)
        a[:500], b[250:750] = 0, 0
        a[500:1000] = np.iinfo(a.dtype).max
        np.testing.assert_array_equal(kernel(f"s{number}", a, b), kernel(f"w{number}", a, b))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_every_table_has_a_term(count):
    def value(term, row):
        if isinstance(term, bool):
            return int(term)
        if isinstance(term, int):
            return row >> term & 1
        operands = [value(part, row) for part in term[1:]]
        return {
            "not": lambda x: 1 - x,
            "and": lambda x, y: x & y,
            "or": lambda x, y: x | y,
            "xor": lambda x, y: x ^ y,
        }[term[0]](*operands)

    for table in range(1 << (1 << count)):
        term = bitslice.logic(table, count)
        found = sum(value(term, row) << row for row in range(1 << count))
        assert found == table


def test_a_circuit_too_large(monkeypatch):
    monkeypatch.setattr(luts, "MOST_GATES", 100)
    instance = parse_instance("fadd:LATENCY=0")
    word = derive_models({"f": instance}, "word")["f"].text
    with pytest.raises(UnsupportedError, match="more than 100"):
        bitslice.slice_function(smt.parse(word))


def _network(shape, layers):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    keras.utils.set_random_seed(1)
    return keras.Sequential([keras.Input(shape), *layers])


def _networks():
    os.environ.setdefault("KERAS_BACKEND", "jax")
    from keras import layers

    return {
        "dense": ((7,), [layers.Dense(5, "relu"), layers.Dense(3, "softmax")]),
        "convolution": (
            (9, 9, 2),
            [
                layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dense(3, "sigmoid"),
            ],
        ),
        # Outputs, channels and kernels of which no product is a number of whole blocks.
        "odd": (
            (7, 5, 6),
            [
                layers.Conv2D(9, (3, 2), groups=3, activation="relu"),
                layers.DepthwiseConv2D(3, padding="same"),
                layers.Flatten(),
                layers.Dense(3),
            ],
        ),
    }


@pytest.mark.parametrize("kind", ["dense", "convolution", "odd"])
@pytest.mark.parametrize(
    "rules",
    # Of few gates, which the compiler is done with soon; `test_words_become_gates` has all bits.
    [
        ["mulf=fmul_trunc:P=18,LATENCY=0"],
        ["addf=fadd_trunc:P=14,LATENCY=0", "mulf=fmul_trunc:P=18,LATENCY=0"],
        ["maxf=fmax"],
    ],
    ids=["products", "products and sums", "maxima"],
)
def test_networks_call_blocks_in_the_defined_order(kind, rules):
    shape, layers = _networks()[kind]
    network = load_model(_network(shape, layers))
    binding = Binding.parse(rules)
    bound = bind(to_approx(network, 6), binding)
    instances = {f"approx_core_{key}": value for key, value in binding.instances.items()}
    x = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    weights = [weight.value for weight in network.weights]
    outputs = []
    for strategy in ("native", "bitslice"):
        texts = "\n".join(m.text for m in derive_models(instances, strategy).values())
        y = np.empty((6, *network.output_shape), np.float32)
        to_native(bound, texts)("main", x, *weights, y)
        outputs.append(y.view(np.uint32))
        compiled = CompiledNetwork(network, strategy=strategy)
        outputs.append(Evaluator(compiled, binding).outputs(x).view(np.uint32))
    for other in outputs[1:]:
        np.testing.assert_array_equal(other, outputs[0])
