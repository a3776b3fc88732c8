# SPDX-License-Identifier: Apache-2.0
"""Random names of layers, networks and cores on the whole way: they stay distinct, RTL is legal.

`ASNET_FUZZ_SECONDS` bounds it, `ASNET_FUZZ_SEED` is the first seed; failures print seed and names.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import time
import traceback
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.compiler import to_approx
from asnet_mlir.cores import core_from_verilog
from asnet_mlir.cores.sources.source import Source
from asnet_mlir.cores.verilog.interface import read_interface
from asnet_mlir.exploration.layers import network_layers
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.frontends.weights import weights_file_of, write_weights
from asnet_mlir.hardware.bundle.manifest import read_manifest
from asnet_mlir.hardware.bundle.systemverilog import KEYWORDS
from asnet_mlir.hardware.comparison import _inside
from asnet_mlir.ir import module_from_text, walk

SECONDS = float(os.environ.get("ASNET_FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("ASNET_FUZZ_SEED", "1"))

_PUNCTUATION = " ,=@{}'\"\\%()[]<>:;|&$#!?*+-.~^`\t\n_"
_KNOWN = [
    *sorted(KEYWORDS),
    "asnet_rom",
    "plain_logic",
    "asnet_observed",
    "clk",
    "rst",
    "dense",
    "main",
]
#: Scopes that JAX writes itself, and what it wraps.
_WRAPPED = re.compile(r"^(jvp|vmap|transpose|jit|pjit|pmap|\w+_call|checkpoint|remat)\(.*\)$", re.S)
_CORE = """module {name}(input [31:0] a, input [31:0] b, output [31:0] y);
  assign y = a ^ {{b[30:0], b[31]}};
endmodule
"""


def random_text(rng: random.Random) -> str:
    """Return letters of anywhere, keywords, punctuation, long texts."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.choice(_KNOWN)
    if kind == 1:
        return "".join(rng.choice(_PUNCTUATION) for _ in range(rng.randint(1, 6)))
    if kind == 2:
        return rng.choice("abXZ") * rng.randint(60, 1500)
    if kind == 3:
        points = (rng.choice((0xFF, 0x3FF, 0xFFFF, 0x10FFFF)) for _ in range(rng.randint(1, 8)))
        letters = (chr(rng.randint(0x20, top)) for top in points)
        return "".join(c for c in letters if not 0xD800 <= ord(c) < 0xE000) or "é"
    if kind == 4:
        return f"fc{rng.choice(_PUNCTUATION)}{rng.randint(0, 2)}"
    return rng.choice(("größe", "层", "Δx", "dense", "é", "e\u0301"))


def random_names(rng: random.Random, count: int) -> list[str]:
    """Return different names of layers, some of which differ little."""
    names: list[str] = []
    while len(names) < count:
        name = random_text(rng)
        if names and rng.random() < 0.5:
            other = rng.choice(names)
            name = rng.choice(
                (
                    other.swapcase(),
                    re.sub(r"\W", "_", other, flags=re.ASCII),
                    f"{other} ",
                    f" {other}",
                    f"{other}_1",
                    other[:-1],
                    f"{other}%20",
                )
            )
        # A slash separates scopes.
        name = name.replace("/", "|")
        if name and name not in names and not _WRAPPED.match(name):
            names.append(name)
    return names


def make(rng: random.Random) -> tuple[Any, list[str]]:
    names = random_names(rng, rng.randint(2, 5))
    weights = [np.float32([[2, k], [1, -1]]) for k in range(len(names))]

    def function(x: Any, weights: Any) -> Any:
        for name, weight in zip(names, weights, strict=True):
            with jax.named_scope(name):
                x = jnp.maximum(x @ weight, 0)
        return x

    arguments = (np.zeros((1, 2), np.float32), weights)
    return from_jax_function(function, arguments, name=random_text(rng)), names


def bound_layers(text: str) -> set[str]:
    with module_from_text(text) as module:
        found = set()
        for op in walk(module.operation):
            if op.name == "approx.mulf" and "instance" in op.attributes:
                while "approx.layer" not in op.attributes:
                    op = op.parent
                found.add(op.attributes["approx.layer"].value)
        return found


def check_bindings(rng: random.Random, network: Any, names: list[str], folder: Path) -> None:
    model = network
    form = rng.choice(("object", "stablehlo", "approx"))
    if form != "object":
        model = str(folder / "net.mlir")
        Path(model).write_text(asnet_mlir.compile(network, form), "utf-8")
        write_weights(weights_file_of(Path(model)), network.weights)
    layers = [layer.name for layer in network_layers(to_approx(asnet_mlir.load_model(model), 1))]
    assert layers == names, (form, layers)
    for name in names:
        binding = Binding.of({f"mulf@{name}": "fmul_trunc:P=3"})
        assert Binding.parse([binding.label]) == binding, binding.label
        assert Binding.from_json(binding.to_json()) == binding
        assert bound_layers(asnet_mlir.compile(model, "bound", binding)) == {name}, name


def check_bundle(rng: random.Random, network: Any, names: list[str], folder: Path) -> None:
    style = rng.choice(("shared", "stream"))
    rules: dict[str, Any] = {}
    if rng.random() < 0.4:
        module = rng.choice(
            ("FMUL", "Fadd", "asnet_rom", "ASNET_ROM", "Plain_Logic", "fmul", "xor2")
        )
        file = folder / f"{rng.choice(('m', 'FMUL', 'fadd', 'größe', 'a b', 'x' * 200))}.v"
        file.write_text(_CORE.format(name=module))
        core = core_from_verilog([file], op="mulf", ports={"a": "a", "b": "b", "result": "y"})
        rules[f"mulf@{rng.choice(names)}"] = core.instance()
    lanes = [f"{rng.choice(names)}=2"] if style == "stream" and rng.random() < 0.5 else []
    bundle = folder / "bundle"
    manifest = asnet_mlir.generate(network, rules, output=bundle, style=style, lanes=lanes)
    layers = [entry["layer"] for entry in manifest["layers"] if entry["layer"]]
    assert list(dict.fromkeys(layers)) == names, layers
    if lanes:
        two = {entry["layer"] for entry in manifest["layers"] if entry.get("lanes") == 2}
        assert two == {lanes[0][:-2]}, two
    assert manifest["info"]["network"] == network.name
    inside = _inside(bundle, read_manifest(bundle))
    assert {value.layer for value in inside.values if value.layer} <= set(names)
    files = (bundle / "filelist.f").read_text().split()
    assert len({file.casefold() for file in manifest["files"]}) == len(manifest["files"])
    assert all(
        len(part) <= 255 and file.isascii()
        for file in manifest["files"]
        for part in file.split("/")
    )
    texts = {name: (bundle / name).read_text("utf-8") for name in files}
    # What is read here is code: the memories' contents lie elsewhere.
    sources = tuple(
        Source(bundle / name, re.sub(r"\$readmemh\([^)]*\);", ";", text))
        for name, text in texts.items()
    )
    modules = [
        name
        for source in sources
        for name in re.findall(r"^\s*module\s+(\S+?)(?=[\s(#;]|$)", source.text, re.MULTILINE)
    ]
    assert len({name.casefold() for name in modules}) == len(modules), sorted(modules)
    for name in modules:
        assert re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and name.lower() not in KEYWORDS, name
        assert len(name) <= 200
    top = read_interface(sources, manifest["top"])
    assert {port.name for port in top.ports} >= {"clk", "rst", "s_axis_tdata", "m_axis_tdata"}


def test_names(tmp_path: Path) -> None:
    end = time.monotonic() + SECONDS
    seed, bundles, failures = SEED, 0, []
    while time.monotonic() < end or seed == SEED:
        rng = random.Random(seed)
        names: list[str] = []
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            network, names = make(rng)
            check_bindings(rng, network, names, folder)
            if rng.random() < 0.5:
                bundles += 1
                check_bundle(rng, network, names, folder)
        except Exception:
            failures.append(seed)
            shown = [name[:80] for name in names]
            print(f"seed {seed}: {shown}\n{traceback.format_exc()}", flush=True)
        shutil.rmtree(folder)
        seed += 1
    print(f"names: {seed - SEED} cases, {bundles} bundles, {len(failures)} failures")
    assert not failures, failures
