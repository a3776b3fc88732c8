# SPDX-License-Identifier: Apache-2.0
"""Names of layers stay what they are, and distinct: bindings, lanes, manifests, files, RTL."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.cli import main as cli
from asnet_mlir.compiler import to_approx
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.exploration.layers import network_layers
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.locations import scope_of
from asnet_mlir.hardware.bundle.rom_images import rom_text
from asnet_mlir.ir import module_from_text, walk

NAMES = [
    "größe",
    "Größe",
    "层",
    "fc 1",
    "fc_1",
    "a=b",
    "a,b",
    "p%20q",
    "f(1)",
    "(",
    'q"\\',
    "'x'@y",
    "c:",
]


def named_network(names):
    """A layer of two multiplications under each name."""
    weights = [np.float32([[2, index], [1, -1]]) for index in range(len(names))]

    def function(x, weights):
        for name, weight in zip(names, weights, strict=True):
            with jax.named_scope(name):
                x = jnp.maximum(x @ weight, 0)
        return x

    return from_jax_function(function, (np.zeros((1, 2), np.float32), weights), name="Größe 1")


@pytest.fixture(scope="module")
def network():
    return named_network(NAMES)


def bound_layers(text: str) -> set[str]:
    """Return the layers that have a bound multiplication."""
    with module_from_text(text) as module:
        found = set()
        for op in walk(module.operation):
            if op.name == "approx.mulf" and "instance" in op.attributes:
                while "approx.layer" not in op.attributes:
                    op = op.parent
                found.add(op.attributes["approx.layer"].value)
        return found


def test_every_layer_is_bound_by_its_own_name(network):
    assert [layer.name for layer in network_layers(to_approx(network, 1))] == NAMES
    for name in NAMES:
        binding = Binding.of({f"mulf@{name}": "fmul_trunc:P=3"})
        assert bound_layers(asnet_mlir.compile(network, "bound", binding)) == {name}
        assert Binding.parse([binding.label]) == binding == Binding.of(binding.to_json())
    text = "binding 'mulf@fc=fmul': layer 'fc' has no mulf; did you mean '.*'\\? layers with mulf: "
    text += ", ".join(NAMES[:3])
    with pytest.raises(InputError, match="^" + text):
        asnet_mlir.compile(network, "bound", {"mulf@fc": "fmul"})


@pytest.mark.parametrize(
    ("text", "layer"),
    [
        ("mulf@fc 1=fmul", "fc 1"),
        ('mulf@"fc 1"=fmul', "fc 1"),
        ('mulf@"a=b"=fmul', "a=b"),
        ('mulf@"\\"\\u5c42"=fmul', '"层'),
        ("mulf@x@y=fmul", "x@y"),
        ("mulf=fmul", None),
    ],
)
def test_names_in_rules(text, layer):
    assert Binding.parse([text]).rules[0].layer == layer


@pytest.mark.parametrize("text", ["mulf@=fmul", 'mulf@""=fmul', 'mulf@"a"fmul', "mulf@a", "=fmul"])
def test_rules_that_are_none(text):
    with pytest.raises(InputError, match="write a binding as"):
        Binding.parse([text])


def test_a_quotation_mark_that_is_missing():
    with pytest.raises(InputError, match="lacks a closing quotation mark"):
        Binding.parse(['mulf@"a=fmul'])


def test_names_in_the_stream(network, tmp_path):
    """In the manifest as they are; in the RTL as a comment, the modules are numbered."""
    lanes = [f"{name}=2" for name in NAMES]
    manifest = asnet_mlir.generate(
        network, output=tmp_path / "b", style="stream", lanes=lanes, force=True
    )
    assert [layer["layer"] for layer in manifest["layers"]] == NAMES
    assert {layer["lanes"] for layer in manifest["layers"]} == {2}
    assert (
        json.loads((tmp_path / "b/manifest.json").read_text("utf-8"))["layers"][2]["layer"] == "层"
    )
    for layer in manifest["layers"]:
        text = (tmp_path / f"b/rtl/{layer['module']}.sv").read_text("utf-8")
        assert re.search(rf"^module {layer['module']}\b", text, re.MULTILINE)
        assert f"layer '{layer['layer'].replace(chr(92), '?')}'" in text
        assert all(line.isascii() or line.startswith("//") for line in text.splitlines())
    with pytest.raises(UnsupportedError, match="no layer 'nothing'"):
        asnet_mlir.compile(network, "scheduled", style="stream", lanes=["nothing=2"])


def test_names_in_files(network, tmp_path, capfd):
    """A module that was written has the same layers when it is read."""
    for form in ("stablehlo", "approx"):
        file = tmp_path / form / "net.mlir"
        file.parent.mkdir()
        file.write_text(asnet_mlir.compile(network, form))
        np.savez(file.with_suffix(".weights.npz"), **{w.name: w.value for w in network.weights})
        for name in ("层", "fc 1", "fc_1"):
            rule = f"mulf@{name}=fmul_trunc:P=3"
            assert cli.main(["compile", str(file), "--bind", rule]) == 0
            assert bound_layers(capfd.readouterr().out) == {name}


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("jit(f)/a/dot", "a"),
        ("jit(f)/transpose(jvp(a/b))/c/dot", "a/b/c"),
        ("jit(f)/pjit(relu)/max", ""),
        ("jit(<lambda>)/f(1)/(/g)(h/dot", "f(1)/(/g)(h"),
        ("jit(f)/jit(a/b)c/dot", "jit(a/b)c"),
        ("max:|jit(f)/a/max", "a"),
        ("jit(f)/a/c:|dot", "a/c:"),
        ("jit(f)/c:|b/dot", "c:/b"),
        ("jit(f)/c/dot|<lambda>", "c"),
    ],
)
def test_scopes_are_read_alike(name, scope):
    """In Python, which names constants after them, and by the pass that names layers."""
    from jaxlib.mlir import ir

    outer, _, inner = name.partition("|")
    with ir.Context():
        child = ir.Location.name(inner) if inner else None
        assert scope_of(ir.Location.name(outer, childLoc=child)) == scope
    text = f"""func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {{
      %0 = linalg.exp ins(%x : tensor<2xf32>) outs(%x : tensor<2xf32>) -> tensor<2xf32>
        loc({json.dumps(outer)}{f"({json.dumps(inner)})" * bool(inner)})
      return %0 : tensor<2xf32>
    }}"""
    from asnet_mlir.ir import run_passes

    with module_from_text(text) as module:
        run_passes(module, "builtin.module(func.func(approx-annotate-layers))", "test")
        layers = [
            op.attributes["approx.layer"].value
            for op in walk(module.operation)
            if "approx.layer" in op.attributes
        ]
    assert layers == [scope] * bool(scope)


def test_a_name_of_two_lines_is_a_comment_of_one():
    lines = rom_text("a\nb\u2028c/constant", [1, 2]).decode().splitlines()
    assert lines == ["// a?b?c/constant", "00000001", "00000002"]
