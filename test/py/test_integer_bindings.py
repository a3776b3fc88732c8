# SPDX-License-Identifier: Apache-2.0
"""Bindings of networks that compute on integer codes: signs, widths, accumulators, searches."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.binding import Binding, Rule, accumulator_rule, is_within
from asnet_mlir.cores import check, derive_models, parse_instance
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.reading.description import instance_from_description
from asnet_mlir.cores.reading.library import exact_instance
from asnet_mlir.data import Dataset
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation import CompiledNetwork, Evaluator, Session
from asnet_mlir.exploration import keys
from asnet_mlir.exploration.constraints import load_constraints
from asnet_mlir.exploration.costs import Proxies, exact_instances
from asnet_mlir.exploration.layers import Layer
from asnet_mlir.exploration.space import DesignSpace
from asnet_mlir.exploration.store import InstanceCost
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.support.formats import parse_format

CORES = Path(__file__).parents[2] / "examples" / "cores"
RNG = np.random.default_rng(14)
W1 = RNG.integers(-128, 128, (12, 8)).astype(np.int8)
W2 = RNG.integers(-128, 128, (8, 3)).astype(np.int8)
X = RNG.integers(-128, 128, (40, 12)).astype(np.int8)


def two_layers(x, w1, w2):
    """Two dense layers of codes; between them a shift back to i8."""
    with jax.named_scope("first"):
        y = jnp.dot(x, w1, preferred_element_type=jnp.int32)
    y = jnp.clip(y >> 8, -128, 127).astype(jnp.int8)
    with jax.named_scope("second"):
        return jnp.dot(y, w2, preferred_element_type=jnp.int32)


def network(dtype=np.int8):
    weights = [w.view(np.uint8) if dtype == np.uint8 else w for w in (W1, W2)]

    def unsigned(x, w1, w2):
        with jax.named_scope("first"):
            y = jnp.dot(x, w1, preferred_element_type=jnp.int32)
        y = jnp.clip(y >> 12, 0, 255).astype(jnp.uint8)
        with jax.named_scope("second"):
            return jnp.dot(y, w2, preferred_element_type=jnp.int32)

    apply = unsigned if dtype == np.uint8 else two_layers
    return from_jax_function(apply, (X[:1].view(dtype), *weights), name="codes")


def by_hand(multiply, add=lambda a, b: a + b):
    """The same, products and sums in order from 0 by functions on int64."""

    def dense(x, w):
        sums = np.zeros((len(x), w.shape[1]), np.int64)
        for k in range(w.shape[0]):
            a, b = np.broadcast_arrays(x[:, k, None].astype(np.int64), w[k].astype(np.int64))
            sums = add(sums, multiply(a, b))
        return sums

    return dense(np.clip(dense(X, W1) >> 8, -128, 127), W2).astype(np.int32)


def table(text, *, bits, signed, op="muli"):
    """All results of a core on operands of so many bits, by its model; indexed by bits."""
    kernel = compile_elementwise(derive_models({"m": parse_instance(text, op=op)}))
    codes = np.arange(1 << bits).astype(kernel.dtypes("m")[0])
    found = kernel("m", np.repeat(codes, len(codes)), np.tile(codes, len(codes))).astype(np.int64)
    wide = 1 << 2 * bits
    found &= wide - 1
    return np.where(found >= wide // 2, found - wide, found) if signed else found


def test_sign_and_magnitude():
    """An unsigned core sees magnitudes, 128 of -128 among them; the product has the sign."""
    plain = table("mul8u_evolved:M=5", bits=8, signed=False).reshape(256, 256)
    codes = np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)
    a, b = codes[:, None], codes
    # Where a factor is 0, the sign is that of the other one.
    want = np.where((a < 0) ^ (b < 0), -plain[abs(a), abs(b)], plain[abs(a), abs(b)])
    got = table("mul8u_evolved:M=5,SIGN_MAGNITUDE=8", bits=8, signed=True).reshape(256, 256)
    assert (got == want).all()
    assert abs(codes).max() == 128 and (got != a * b).any()


def test_wider_and_narrower_cores():
    """A wider core gets codes extended; a narrower one their low bits, the product extended."""
    assert (
        table("truncated:N=12,CUT=0,SIGNED=1,CODE_BITS=8", bits=8, signed=True)
        == table("truncated:N=8,CUT=0,SIGNED=1", bits=8, signed=True)
    ).all()
    assert (
        table("drum:N=9,K=6,CODE_BITS=8", bits=8, signed=False)
        == table("drum:N=9,K=6", bits=9, signed=False).reshape(512, 512)[:256, :256].ravel()
    ).all()
    got = table("truncated:N=6,CUT=0,SIGNED=1,CODE_BITS=8", bits=8, signed=True).reshape(256, 256)
    codes = np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)
    small = abs(codes + 0.5) < 32
    assert (got[small][:, small] == codes[small][:, None] * codes[small]).all()


@pytest.mark.parametrize("text", ["mul8u_evolved:M=5,SIGN_MAGNITUDE=8", "drum:N=9,K=4,CODE_BITS=8"])
def test_a_wrapped_core_is_checked_and_survives(text, tmp_path):
    binding = Binding.parse([f"muli@first={text}"])
    (rule,) = binding.rules
    assert rule.label == f"muli@first={text}"
    assert check([rule.instance], random_vectors=2000)[0].passed
    binding.save(tmp_path / "b.json")
    again = Binding.load(tmp_path / "b.json")
    assert again == binding and again.label == binding.label
    assert again.rules[0].instance.content_hash == rule.instance.content_hash
    assert rule.instance.content_hash != parse_instance(text.rpartition(",")[0]).content_hash


def test_a_wrapped_pipeline_keeps_its_latency(tmp_path):
    (tmp_path / "late.v").write_text(
        "module late(input clk, input [7:0] a, b, output reg [15:0] p);\n"
        "reg [15:0] q; always @(posedge clk) begin q <= a * b; p <= q; end endmodule\n"
    )
    instance = parse_instance(f"{tmp_path}/late.v:SIGN_MAGNITUDE=8", op="muli")
    assert instance.latency == 2 and check([instance], random_vectors=500)[0].passed
    got = table(f"{tmp_path}/late.v:SIGN_MAGNITUDE=8", bits=8, signed=True)
    codes = np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)
    assert (got.reshape(256, 256) == codes[:, None] * codes).all()


def test_a_network_with_a_wrapped_core():
    binding = Binding.parse(["muli=mul8u_evolved:M=9,SIGN_MAGNITUDE=8"])
    found = table("mul8u_evolved:M=9,SIGN_MAGNITUDE=8", bits=8, signed=True).reshape(256, 256)
    want = by_hand(lambda a, b: found[a & 255, b & 255])
    assert (Evaluator(network(), binding).outputs(X) == want).all()
    assert (want != Evaluator(network()).outputs(X)).any()


@pytest.mark.parametrize(
    ("dtype", "rule", "message"),
    [
        (np.int8, "muli@first=mul8u_evolved:M=5", r"mul8u_evolved:M=5 computes on u8, but muli is "
         r"on i8 here \(layer 'first'\); SIGN_MAGNITUDE=8 gives it their magnitudes"),
        (np.uint8, "muli=mul8s_evolved:M=5", "computes on i8, but muli is on u8 here .*; codes "
         "without a sign need an unsigned core"),
        (np.int8, "muli=truncated:N=6,CUT=2,SIGNED=1", "computes on i6, but muli is on i8 here .*; "
         "CODE_BITS=8 gives it the low 6 bits, where all codes fit"),
        (np.int8, "addi=loa:N=16,K=4", "computes on u16, but addi is on i32 here .*; CODE_BITS=32"),
    ],
)  # fmt: skip
def test_cores_that_do_not_fit_the_codes(dtype, rule, message):
    with pytest.raises(InputError, match=message):
        Evaluator(network(dtype), Binding.parse([rule]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mul8s_evolved:SIGN_MAGNITUDE=8", "its operands are signed"),
        ("loa:SIGN_MAGNITUDE=8", "is for unsigned cores of muli; it computes addi"),
        ("drum:N=8,CODE_BITS=1", "CODE_BITS = 1 is not in 2..32"),
        ("drum:N=8,CODE_BITS=9,SIGN_MAGNITUDE=9", "not both"),
        ("fmul:CODE_BITS=9", "it computes mulf"),
    ],
)
def test_wrappers_that_cannot_be(text, message):
    with pytest.raises(InputError, match=message):
        parse_instance(text)


def test_an_iterative_core_has_no_wrapper():
    described = {"core": str(CORES / "mul16_serial.v"), "interval": 4}
    with pytest.raises(UnsupportedError, match="is iterative; CODE_BITS is for other cores"):
        instance_from_description(described, "muli", {"CODE_BITS": 8})


def clamped(bits, saturate):
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def add(a, b):
        total = a + b
        return np.clip(total, low, high) if saturate else (total - low) % (1 << bits) + low

    return add


@pytest.mark.parametrize(("text", "saturate"), [("14", False), ("14:wrap", False),
                                                ("15:saturate", True)])  # fmt: skip
def test_narrow_accumulators(text, saturate):
    add = clamped(int(text[:2]), saturate)
    want = by_hand(lambda a, b: a * b, add)
    got = Evaluator(network(), Binding((accumulator_rule(text),))).outputs(X)
    assert (got == want).all()
    assert (want != by_hand(lambda a, b: a * b)).any()


def test_an_accumulator_of_all_bits_is_exact():
    got = Evaluator(network(), Binding((accumulator_rule("32"),))).outputs(X)
    assert (got == by_hand(lambda a, b: a * b)).all()


@pytest.mark.parametrize("text", ["1", "33", "20:round", "x", "20:", "-4", "0"])
def test_accumulators_that_cannot_be(text):
    with pytest.raises(InputError, match=f"accumulator '{text}': (has 2 to 32|write BITS)"):
        accumulator_rule(text)


@pytest.mark.parametrize("core", ["loa:N=32,K=9", "loa:N=18,K=9,CODE_BITS=32"])
def test_an_approximate_adder_sums_in_order(core):
    """Sums of 32 bits have no sign for an adder; one of 18 bits wraps, as an accumulator does."""
    bits = 18 if "18" in core else 32
    ones, half = (1 << 9) - 1, 1 << 8

    def add(a, b):
        carry = ((a & half) != 0) & ((b & half) != 0)
        total = (((a >> 9) + (b >> 9) + carry) << 9) | ((a | b) & ones)
        low = -(1 << bits - 1)
        return (total - low) % (1 << bits) + low

    got = Evaluator(network(), Binding.parse([f"addi={core}"])).outputs(X)
    assert (got == by_hand(lambda a, b: a * b, add)).all()


def test_exact_cores_of_integers():
    assert exact_instance("muli", "i8").label == "imul:SIGNED=1"
    assert exact_instance("muli", "u6").label == "imul:N=6"
    assert exact_instance("addi", "i32").label == "accumulator"
    assert exact_instance("maxi", "i8") is None
    codes = np.arange(64).astype(np.int64)
    assert (table("imul:N=6", bits=6, signed=False) == np.outer(codes, codes).ravel()).all()


SPACE = {
    "scope": "layer",
    "cores": [
        {"op": "muli", "core": "mul8s_evolved", "parameters": {"M": 20}},
        {"op": "muli", "core": "mul8u_evolved", "parameters": {"M": 20, "SIGN_MAGNITUDE": 8}},
        {"op": "muli", "core": "truncated", "parameters": {"N": 8, "SIGNED": 1}},
    ],
}


def test_a_space_of_integer_cores():
    """Only cores of the codes' format are choices; configurations have the words of evaluations."""
    y = np.argmax(Evaluator(network()).outputs(X), axis=1)
    found = asnet_mlir.explore(network(), (X, y), SPACE)
    first, second = found.space.variables
    assert [v.label for v in (first, second)] == ["muli@first", "muli@second"]
    assert [c and c.label for c in first.choices] == [
        None, "mul8s_evolved:M=20",
        "mul8u_evolved:M=20,SIGN_MAGNITUDE=8", "truncated:SIGNED=1",
    ]  # fmt: skip
    assert len(found.results) == 16 and found.results[0].accuracy == 1
    for result in found.results[7::8]:
        again = asnet_mlir.evaluate(network(), (X, y), json.loads(json.dumps(
            result.binding.to_json())))  # fmt: skip
        assert again.accuracy == result.accuracy


def test_a_space_whose_core_fits_nothing():
    space = {"cores": [{"op": "muli", "core": "mul8u_evolved"}]}
    with pytest.raises(InputError, match="computes on u8, but muli is on i8 in the network; SIGN"):
        asnet_mlir.explore(network(), (X, np.zeros(len(X), int)), space)


APPROX = "mul8s_evolved:M=20"


def test_channels_are_bound_apart():
    """Their outputs are those of the networks that bind the whole layer, beside each other."""
    exact, whole = (Evaluator(network(), Binding.parse(b)).outputs(X)
                    for b in ([], [f"muli@second={APPROX}"]))  # fmt: skip
    assert (exact != whole).any(axis=0).all()
    got = Evaluator(network(), Binding.parse([f"muli@second[1:2]={APPROX}"])).outputs(X)
    assert (got == np.where([False, True, False], whole, exact)).all()
    # The range wins over the layer, the layer over the network.
    rules = [f"muli={APPROX}", "muli@second=imul:SIGNED=1", f"muli@second[2:3]={APPROX}"]
    got = Evaluator(network(), Binding.parse(rules)).outputs(X)
    first = Evaluator(network(), Binding.parse([f"muli@first={APPROX}"])).outputs(X)
    both = Evaluator(network(), Binding.parse([f"muli={APPROX}"])).outputs(X)
    assert (got == np.where([False, False, True], both, first)).all()


def test_one_compiled_network_tells_ranges_and_parameters_apart():
    """Of bindings that differ by places or by parameters only, all give what they do alone."""
    ranges = {"second": ((0, 1), (1, 2))}
    compiled = CompiledNetwork(network(), channels=ranges)
    session = Session(compiled, Dataset("x", X, np.zeros(len(X), int), parse_format("i8")))
    bindings = [
        [f"muli@second{where}={core}"]
        for core in (APPROX, "mul8s_evolved:M=3")
        for where in ("[0:1]", "[1:2]", "")
    ]
    words = [session.outputs(Binding.parse(rules)).copy() for rules in bindings]
    for rules, got in zip(bindings, words, strict=True):
        assert (got == Evaluator(network(), Binding.parse(rules)).outputs(X)).all(), rules
    assert len({got.tobytes() for got in words}) == len(words)


def test_channels_of_sums_and_products():
    rules = ["muli@second[0:2]=mul8s_evolved:M=20", "addi@second[1:3]=accumulator:N=14"]
    separate = [
        Evaluator(network(), Binding.parse([rule.replace("[0:2]", "").replace("[1:3]", "")
                                            for rule in some])).outputs(X)
        for some in (rules[:1], rules, rules[1:])
    ]  # fmt: skip
    got = Evaluator(network(), Binding.parse(rules)).outputs(X)
    assert (got == np.stack([separate[k][:, k] for k in range(3)], axis=1)).all()


def test_channels_of_another_cut():
    """A network that was compiled for some channels refuses others, also where they overlap."""
    compiled = CompiledNetwork(network(), channels={"second": ((0, 2),)})
    rules = [f"muli@second[0:2]={APPROX}", f"muli@second[2:3]={APPROX}"]
    whole = Evaluator(network(), Binding.parse([f"muli@second={APPROX}"])).outputs(X)
    assert (Evaluator(compiled, Binding.parse(rules)).outputs(X) == whole).all()
    all_of_them = Binding.parse([f"muli@second[0:3]={APPROX}"])
    assert (Evaluator(compiled, all_of_them).outputs(X) == whole).all()
    with pytest.raises(InputError, match="compiled without the channels of muli@second.1:3."):
        compiled.bind(Binding.parse([f"muli@second[1:3]={APPROX}"]))
    with pytest.raises(InputError, match="has no muli; did you mean 'second/.0:2.'"):
        compiled.bind(Binding.parse([f"muli@second[0:1]={APPROX}"]))


def test_channels_survive(tmp_path):
    texts = [f"muli@first[0:4]={APPROX}", f'muli@"fc 1"[4:8]={APPROX}', f'muli@"c[0:4]"={APPROX}']
    binding = Binding.parse(texts)
    assert binding.label == " ".join(texts)
    assert binding.channels == {"first": ((0, 4),), "fc 1": ((4, 8),)}
    assert [rule.layer for rule in binding.rules][2] == "c[0:4]"
    binding.save(tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text())["bindings"][1]["channels"] == [4, 8]
    assert Binding.load(tmp_path / "b.json") == binding
    assert Binding.of({"muli@first[0:4]": APPROX}).rules[0] == binding.rules[0]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["muli@second[1:4]=imul"], "layer 'second' has 3 output channels, not 4"),
        (["muli@second[2:2]=imul"], r"muli@second\[2:2\]: channels are BEGIN:END with BEGIN below"),
        (
            ["muli@a[0:2]=imul", "muli@a[1:3]=imul"],
            r"muli@a\[0:2\] and muli@a\[1:3\] have channels",
        ),
        (["muli@a[0:2]=imul", "muli@a[0:2]=imul"], r"two rules for muli@a\[0:2\]"),
        (["muli@third[0:2]=imul:SIGNED=1"], "layer 'third' sums no products"),
        (["addf@a[0:2]=fadd"], r"addf@a\[0:2\]: channels are for mulf, muli, addi, not for addf"),
    ],
)
def test_channels_that_cannot_be(rules, message):
    with pytest.raises(InputError, match=message):
        Evaluator(network(), Binding.parse(rules))


def test_channels_without_a_layer():
    value = {"bindings": [{"op": "muli", "core": "imul", "channels": [0, 2]}]}
    with pytest.raises(InputError, match=r"bindings\[0\]: channels: need a layer"):
        Binding.from_json(value)


def test_layers_and_channels_are_inside_of_each_other():
    """As `approx::isWithin` has it; test/lit/passes/bind-instances.mlir tests that one."""
    assert is_within("a/b/[0:4]", "a") and is_within("a/b/[0:4]", "a/[0:8]")
    assert is_within("a/[0:4]", "a/[0:4]") and not is_within("a/[0:4]", "a/[1:4]")
    assert not is_within("a", "a/[0:4]") and not is_within("b/[0:4]", "a/[0:4]")


def test_a_space_by_channels():
    space = {"scope": "layer", "channels": 4, "cores": [
        {"op": "muli", "core": "mul8s_evolved", "parameters": {"M": 20}, "layers": ["first"]}
    ]}  # fmt: skip
    y = np.argmax(Evaluator(network()).outputs(X), axis=1)
    found = asnet_mlir.explore(network(), (X, y), space)
    assert [v.label for v in found.space.variables] == ["muli@first[0:4]", "muli@first[4:8]"]
    assert len(found.results) == 4
    again = asnet_mlir.evaluate(network(), (X, y), found.results[2].binding)
    assert again.accuracy == found.results[2].accuracy
    with pytest.raises(InputError, match="channels: needs the scope 'layer'"):
        asnet_mlir.explore(network(), (X, y), {**space, "scope": "network"})


def test_layers_have_the_choices_of_their_format():
    """Also costs and keys tell the ops of two formats apart."""
    layers = (
        Layer("a", {"muli": 6}, {"muli": ("u8",)}),
        Layer("b", {"muli": 5, "addi": 5}, {"muli": ("i8",), "addi": ("i32",)}),
    )
    entries = [{"op": "muli", "core": name, "parameters": {"M": 9}}
               for name in ("mul8u_evolved", "mul8s_evolved")]  # fmt: skip
    given = load_constraints({"cores": entries, "scope": "layer"}).with_formats()
    space = DesignSpace.of(given, layers)
    assert [[c and c.core.name for c in v.choices] for v in space.variables] == [
        [None, "mul8u_evolved"],
        [None, "mul8s_evolved"],
    ]
    unsigned, signed = (v.choices[1] for v in space.variables)
    both = Binding((Rule("muli", unsigned), Rule("muli", signed)))
    assert keys.assignment(both, layers, {}) == (
        ("a", "muli", unsigned.content_hash),
        ("b", "muli", signed.content_hash),
    )
    exact = exact_instances(layers)
    assert sorted(one.label for one in exact.values()) == ["accumulator", "imul", "imul:SIGNED=1"]
    figures = {
        one.content_hash: InstanceCost(one.content_hash, "ecp5", "muli", one.label, area, 2.0)
        for one, area in zip((*exact.values(), unsigned, signed), (1, 10, 20, 3, 4), strict=True)
    }
    area = {one.label: figures[one.content_hash].area for one in exact.values()}
    model = Proxies(["energy_proxy"], space, figures)
    assert model.figures((1, 0))["energy_proxy"] == 2.0 * (
        6 * 3 + 5 * area["imul:SIGNED=1"] + 5 * area["accumulator"]
    )
    network_wide = DesignSpace.of(load_constraints({"cores": entries}).with_formats(), layers)
    # A core for all layers leaves those of another format exact.
    model = Proxies(["energy_proxy"], network_wide, figures)
    assert model.figures((2,))["energy_proxy"] == 2.0 * (
        6 * area["imul"] + 5 * 4 + 5 * area["accumulator"]
    )
