# SPDX-License-Identifier: Apache-2.0
"""Frames of random lengths through small hardware of both styles, with random pauses and resets.

ASNET_FUZZ_SECONDS bounds it (20 by default), ASNET_FUZZ_SEED chooses the first sequence.  Every
frame has to be answered in its order: one of the right length by the software's words, a shorter
one by those of its words and NaNs, a longer one by those of its first words; that exactly those
of a wrong length are marked, and frame_error says so, the bench checks.
"""

from __future__ import annotations

import importlib
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stream_networks

from asnet_mlir.errors import AsnetError
from asnet_mlir.hardware import compare_words, generate
from asnet_mlir.hardware.comparison import software_outputs
from asnet_mlir.network import Network

hardware = importlib.import_module("asnet_mlir.hardware.simulation.simulate")

SECONDS = float(os.environ.get("ASNET_FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("ASNET_FUZZ_SEED", "1"))


def dense() -> Network:
    """An engine with a buffer; as a machine, the whole program."""
    p = stream_networks.weights(1, w=(6, 3), b=(3,))

    def f(x: Any, p: dict[str, Any]) -> Any:
        return x @ p["w"] + p["b"]

    return stream_networks.network(f, (6,), p, "dense")


def elementwise(words: int) -> Network:
    """An engine without a buffer, whose answers begin before its frame has ended."""
    import jax

    def f(x: Any, p: dict[str, Any]) -> Any:
        return jax.nn.relu(x * p["s"]) + x

    parameters = stream_networks.weights(2, s=(words,))
    return stream_networks.network(f, (words,), parameters, f"elementwise_{words}")


def staged() -> Network:
    """Padding, two readers of the input, lanes' queues, and a machine behind engines."""
    import jax
    import jax.numpy as jnp

    p = stream_networks.weights(3, k=(3, 3, 1, 2), w=(32, 4))

    def f(x: Any, p: dict[str, Any]) -> Any:
        with jax.named_scope("conv"):
            a = stream_networks.conv(x, p["k"], padding="SAME") + x
        with jax.named_scope("dense"):
            y = jax.nn.relu(a).reshape(x.shape[0], -1) @ p["w"]
        with jax.named_scope("end"):
            return y - jnp.max(y, 1, keepdims=True)

    return stream_networks.network(f, (4, 4, 1), p, "staged")


HARDWARE: dict[str, tuple[Any, dict[str, Any]]] = {
    "dense, shared": (dense, {}),
    "dense, stream": (dense, {"style": "stream"}),
    "elementwise, stream": (lambda: elementwise(5), {"style": "stream"}),
    "a word, shared": (lambda: elementwise(1), {}),
    "a word, stream": (lambda: elementwise(1), {"style": "stream"}),
    "staged, stream": (staged, {"style": "stream", "lanes": ("2",)}),
}


def lengths(rng: np.random.Generator, words: int) -> np.ndarray:
    """Return the lengths of some frames: right ones, and of every kind of wrong ones."""
    count = int(rng.choice([rng.integers(1, 20), rng.integers(100, 400)]))
    near = words + rng.integers(-2, 3, count)
    kinds = (
        np.full(count, words), near, rng.integers(1, words + 1, count), np.ones(count, int),
        words + rng.integers(1, 4 * words + 4, count), rng.integers(1, 3) * np.full(count, words),
    )  # fmt: skip
    weights = rng.dirichlet(np.ones(len(kinds)))
    choice = rng.choice(len(kinds), count, p=weights)
    return np.maximum(np.choose(choice, kinds), 1)


@pytest.mark.parametrize("name", HARDWARE)
def test_frames_of_random_lengths(name: str, tmp_path: Path) -> None:
    network, options = HARDWARE[name]
    manifest = generate(network(), output=tmp_path / "bundle", **options)
    words = manifest["input_words"]
    counts: Counter[str] = Counter()
    seed = SEED - 1
    end = time.monotonic() + SECONDS / len(HARDWARE)
    while time.monotonic() < end or not counts["sequences"]:
        seed += 1
        rng = np.random.default_rng([seed, words])
        frames = lengths(rng, words)
        x = rng.standard_normal((len(frames), words)).astype(np.float32)
        x[rng.random(x.shape) < 0.02] = np.nan
        pauses = int(rng.choice([0, 1, 2])) and int(rng.integers(1, 1 << 20))
        # In the middle of what goes on; where all is over before, there is none.
        reset = int(rng.integers(1, 2 + frames.sum())) if rng.random() < 0.2 else 0
        padded = np.where(np.arange(words) < frames[:, None], x, np.float32(np.nan))
        shape = manifest["info"]["input_shape"]
        where = f"{name}, seed {seed}: frames {frames.tolist()}, pauses {pauses}, reset {reset}"
        try:
            result = hardware.simulate(
                tmp_path / "bundle", x, frames=frames.tolist(), stall_seed=pauses, reset_cycle=reset
            )
        except AsnetError as error:
            if "the simulation is over" in str(error):
                counts["over before the reset"] += 1
                continue
            pytest.fail(f"{where}: {error}")
        expected = software_outputs(tmp_path / "bundle", padded.reshape(-1, *shape))
        different = compare_words(result.outputs, expected)
        assert not different, f"{where}: words {different[:5]}"
        counts["sequences"] += 1
        counts["frames"] += len(frames)
        counts["short"] += int((frames < words).sum())
        counts["long"] += int((frames > words).sum())
        counts["with a reset"] += bool(reset)
        counts["with pauses"] += bool(pauses)
    print(f"\n{name}: {dict(counts)}, failures 0")
