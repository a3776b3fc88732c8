# SPDX-License-Identifier: Apache-2.0
"""Loops of the sequential machine whose iterations overlap: random networks, cycle for cycle."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stream_networks

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.hardware import generate, simulate
from asnet_mlir.hardware.bundle.manifest import read_manifest
from asnet_mlir.hardware.schedule import shared
from asnet_mlir.hardware.schedule.registers import FEWEST, MOST, Registers
from asnet_mlir.hardware.synthesis import clock
from asnet_mlir.network import Network

IMAGES = 3
# `make deep` tries more.  These have and lack every kind of layer: both paddings and poolings, with
# and without a hidden layer and an exponential; adders of 0, 1 and 4 cycles.
IS_DEEP = bool(os.environ.get("ASNET_DEEP"))
SEEDS = range(24) if IS_DEEP else (0, 2, 4, 5)
SEEDS_OF_REGISTERS = range(100, 108) if IS_DEEP else (102, 103)


def random_network(rng: np.random.Generator) -> Network:
    """A convolution, a pooling, dense layers, an exponential, each of them or not."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    height, width, channels = (int(n) for n in rng.integers((3, 3, 1), (8, 9, 4)))
    filters = int(rng.integers(1, 7))
    kernel = tuple(int(n) for n in rng.integers(1, 4, 2))
    strides = tuple(int(n) for n in rng.integers(1, 3, 2))
    padding = str(rng.choice(["SAME", "VALID"]))
    has_conv, has_pool, has_hidden, has_exp = (bool(b) for b in rng.random(4) < 0.6)
    is_maximum = bool(rng.integers(2))
    hidden, outputs = (int(n) for n in rng.integers(1, 20, 2))
    p = stream_networks.weights(
        int(rng.integers(1000)), k=(*kernel, channels, filters), b=(filters,)
    )

    def features(x: Any, k: Any, b: Any) -> Any:
        if has_conv:
            with jax.named_scope("conv"):
                x = stream_networks.conv(x, k, window_strides=strides, padding=padding) + b
                x = jax.nn.relu(x)
        if has_pool:
            start, operation = (-jnp.inf, lax.max) if is_maximum else (0.0, lax.add)
            with jax.named_scope("pool"):
                x = lax.reduce_window(x, start, operation, (1, 2, 2, 1), (1, 1, 1, 1), "SAME")
        return x.reshape(x.shape[0], -1)

    shape = (height, width, channels)
    count = jax.eval_shape(
        features, jax.ShapeDtypeStruct((1, *shape), np.float32), p["k"], p["b"]
    ).shape[1]
    sizes = [count, *([hidden] if has_hidden else []), outputs]
    for number, size in enumerate(itertools.pairwise(sizes)):
        p |= stream_networks.weights(number, **{f"w{number}": size, f"c{number}": size[1:]})

    def f(x: Any, p: dict[str, Any]) -> Any:
        y = features(x, p["k"], p["b"])
        for number in range(len(sizes) - 1):
            with jax.named_scope(f"dense{number}"):
                y = y @ p[f"w{number}"] + p[f"c{number}"]
        if has_exp:
            with jax.named_scope("last"):
                y = jax.nn.softmax(y)
        return y

    return stream_networks.network(f, shape, p, "random")


def random_binding(rng: np.random.Generator) -> Binding:
    """Latencies that fit each other or not."""
    return Binding.parse(
        [
            f"mulf=fmul:LATENCY={rng.integers(0, 8)}",
            f"addf=fadd:LATENCY={rng.integers(0, 6)}",
            f"maxf=fmax:LATENCY={rng.integers(0, 2)}",
        ]
    )


def check(bundle: Path, **options: Any) -> Any:
    """Simulate random images, and compare what each loop nest leaves in the RAM."""
    shape = read_manifest(bundle)["info"]["input_shape"]
    x = np.random.default_rng(3).standard_normal((IMAGES, *shape)).astype(np.float32)
    special = [np.nan, np.inf, -0.0, 1e-42]
    x[1].reshape(-1)[: len(special)] = special[: x[1].size]
    np.savez(bundle.parent / "data.npz", x=x, y=np.zeros(IMAGES, int))
    return simulate(bundle, str(bundle.parent / "data.npz"), layers=True, **options)


def run(listing: str, registers: Registers = FEWEST) -> tuple[int, int]:
    """Return the cycles and the writes to the RAM of a microprogram, by its listing.

    The words that operations take from the RAM were asked for when it wants to be asked, and none
    is written in that cycle, as a RAM answers nothing defined then (`asnet_ram`).
    """
    rows = [line[7:].split("; ") for line in listing.splitlines()]
    addresses: dict[str, int] = {}
    left: dict[str, int] = {}
    counts: dict[str, int] = {}
    asked: dict[int, int] = {}
    jumps: dict[int, int] = {}
    cycle = row = writes = 0
    while rows[row] != ["done"]:
        written = None
        for note in rows[row]:
            if match := re.fullmatch(r"(\w+\[\d+\]) = \S*\+(\d+)", note):
                addresses[match[1]] = int(match[2])
            elif match := re.fullmatch(r"count\[(\d+)\] = (\d+)", note):
                left[match[1]] = counts[match[1]] = int(match[2]) - 1
            elif match := re.fullmatch(r"(\w+\[\d+\]) \+= (-?\d+)", note):
                addresses[match[1]] += int(match[2])
            elif match := re.fullmatch(r"read .*?\[(\w+\[\d+\])(?: \+= (-?\d+))?\]", note):
                if match[1].startswith("ram"):
                    assert cycle not in asked
                    asked[cycle] = addresses[match[1]]
                addresses[match[1]] += int(match[2] or 0)
            elif match := re.fullmatch(r".*?\[(write\[\d+\])(?: \+= (-?\d+))?\] = .*", note):
                assert written is None
                written = addresses[match[1]]
                addresses[match[1]] += int(match[2] or 0)
                writes += 1
            elif match := re.fullmatch(r"loop count\[(\d+)\] -> (\d+)", note):
                if left[match[1]]:
                    left[match[1]] -= 1
                    jumps[cycle + 1 + registers.fetch] = int(match[2])
                else:
                    left[match[1]] = counts[match[1]]
        if any(note.endswith("<- ram") for note in rows[row]):
            assert asked.pop(cycle - registers.memory, None) is not None
        assert written is None or asked.get(cycle) != written, (cycle, row)
        cycle += 1
        row = jumps.pop(cycle, row + 1)
    assert not asked and not jumps
    return cycle + 1, writes


def check_program(bundle: Path) -> None:
    """Every microprogram of a bundle by its listing; what it says of cycles is exact."""
    manifest = read_manifest(bundle)
    programs = [manifest["schedule"]] if "schedule" in manifest else []
    for path in sorted((bundle / "rtl").glob("*.lst")):
        cycles, writes = run(path.read_text(), Registers(**manifest.get("registers", {})))
        assert writes
        if programs:
            assert cycles == programs[0]["cycles"]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_networks_in_both_styles(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network, binding = random_network(rng), random_binding(rng)
    for style in ("shared", "stream"):
        manifest = generate(network, binding, output=tmp_path / style, style=style)
        result = check(tmp_path / style)
        assert result.equal, result.differences
        assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
        check_program(tmp_path / style)


@pytest.mark.parametrize("seed", SEEDS_OF_REGISTERS)
def test_registers_around_the_cores(tmp_path: Path, seed: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(clock, "registers", lambda _: MOST)
    rng = np.random.default_rng(seed)
    style = ("shared", "stream")[seed % 2]
    network, binding = random_network(rng), random_binding(rng)
    manifest = generate(network, binding, output=tmp_path / "b", style=style)
    assert Registers(**manifest["registers"]) == MOST
    assert check(tmp_path / "b", stall_seed=3).equal
    result = check(tmp_path / "b")
    assert result.equal, result.differences
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
    check_program(tmp_path / "b")


def test_products_and_sums_every_other_cycle(tmp_path: Path) -> None:
    """One issue a cycle is what bounds it: two cycles a term, and what begins and ends a loop."""
    manifest = generate(stream_networks.dense(), output=tmp_path / "b")
    sums = max(entry["cycles"] for entry in manifest["layers"])
    assert 24 * 6 * 2 <= sums < 24 * 6 * 13 // 2
    assert manifest["schedule"]["rows"] < 128
    scheduled = asnet_mlir.compile(stream_networks.dense(), "scheduled")
    assert "approx.ii = 2" in scheduled and "pad = 1" in scheduled


def test_a_wrong_interval_is_seen(tmp_path: Path, monkeypatch: Any) -> None:
    """Iterations of a sum that begin a cycle too early read what is not written yet."""
    scheduled = shared.schedule

    def hasty(*arguments: Any, **options: Any) -> str:
        text = scheduled(*arguments, **options)
        interval = r"approx\.ii = 8 : i64, approx\.kernel = \{[^}]*\}"
        wrong, count = re.subn(interval, lambda found: found[0].replace("= 8 ", "= 7 "), text)
        assert count == 1
        return wrong

    parameters = stream_networks.weights(6, w=(24, 1))
    network = stream_networks.network(lambda x, p: x @ p["w"], (24,), parameters, "sum")
    generate(network, output=tmp_path / "right")
    assert check(tmp_path / "right").equal
    monkeypatch.setattr(shared, "schedule", hasty)
    generate(network, output=tmp_path / "wrong")
    assert not check(tmp_path / "wrong").equal
