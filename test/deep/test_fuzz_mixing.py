# SPDX-License-Identifier: Apache-2.0
"""Random functions of JAX, some of which mix samples: none of those is accepted, no other refused.

A function is a chain of steps from float32[n, k] to float32[n, m].  Steps are of two kinds: those
that compute each sample by itself, however they are written (batch and features merged, moved,
reversed twice, sample by sample, by vmap, by indices), and those that look at other samples, at the
position or at the size of the batch.  What is right does not come from the steps alone: every
function is run by JAX on random batches and on their samples alone.

- accepted, and JAX gives a sample other outputs in a batch than alone: a failure;
- refused, and none of its steps looks beyond the sample: a failure.

Every third function goes through a `.mlir` file of a fixed batch as well.
`ASNET_FUZZ_SECONDS` (20) bounds it, `ASNET_FUZZ_SEED` (0) is where it begins.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from asnet_mlir.errors import AsnetError
from asnet_mlir.frontends import load_model, module
from asnet_mlir.frontends.jax import from_jax_function

SECONDS = float(os.environ.get("ASNET_FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("ASNET_FUZZ_SEED", "0"))
FEATURES, FIXED = 6, 4
REFUSALS = ("mixes the samples", "by their position", "the size of its batch", "keeps the samples")

Step = Callable[[Any], Any]


def weight(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)


def divided(x: Any, rng: np.random.Generator) -> tuple[int, int]:
    """Return two factors of the number of features."""
    n = x.shape[1]
    a = int(rng.choice([k for k in range(1, n + 1) if n % k == 0]))
    return a, n // a


def seeded(make: Callable[[Any, np.random.Generator], Any]) -> Callable[[int], Step]:
    """A step whose parameters are drawn when it is called: the same for every batch size."""
    return lambda seed: lambda x: make(x, np.random.default_rng(seed))


def by_itself() -> dict[str, Callable[[int], Step]]:
    def merged(x, rng):
        a, b = divided(x, rng)
        y = jnp.tanh(x.reshape(-1, b) @ weight(rng, b, b))
        return y.reshape(-1, a * b) if rng.random() < 0.5 else y.reshape(x.shape[0], -1)

    def heads_first(x, rng):
        a, b = divided(x, rng)
        y = x.reshape(-1, a, b).transpose(1, 0, 2).reshape(-1, b)
        y = jax.nn.softmax(y, -1).reshape(a, -1, b)
        return y.transpose(1, 0, 2).reshape(x.shape)

    def attention(x, rng):
        a, b = divided(x, rng)
        q = x.reshape(-1, a, b)
        scores = jnp.einsum("nib,njb->nij", q, q)
        if rng.random() < 0.5:
            scores = jnp.where(np.tril(np.ones((a, a), bool)), scores, -jnp.inf)
        return (jax.nn.softmax(scores, -1) @ q).reshape(x.shape)

    def both_halves(x, rng):
        y = jnp.tanh(jnp.concatenate([x, -2 * x], 0) @ weight(rng, x.shape[1], x.shape[1]))
        first, second = (y[: len(x)], y[len(x) :]) if rng.random() < 0.5 else jnp.split(y, 2)
        return first - second * second

    def there_and_back(x, rng):
        kind = rng.integers(4)
        if kind == 0:
            return jnp.abs(x[::-1])[::-1]
        if kind == 1:
            return jnp.roll(jnp.roll(x, 1, 0) * 2, -1, 0)
        if kind == 2:
            return jnp.concatenate([x, x * 2], 0)[: len(x)]
        return jnp.pad(x, ((1, 2), (0, 0)))[1 : 1 + len(x)]

    def one_by_one(x, rng):
        row = weight(rng, x.shape[1])
        return jnp.stack([jnp.cumsum(x[i]) * row + x[i].max() for i in range(len(x))])

    def mapped(x, rng):
        kind, k = rng.integers(4), int(rng.integers(1, max(2, x.shape[1])))
        if kind == 0:
            return jax.vmap(lambda s: lax.dynamic_slice(s, (jnp.argmax(s) // 2,), (k,)))(x)
        if kind == 1:
            return jax.vmap(lambda s: jnp.convolve(s, s[: min(3, k)], mode="same"))(x)
        if kind == 2:
            return jax.vmap(lambda s: s / (1 + jnp.abs(s).sum()), in_axes=1, out_axes=1)(x.T).T
        return jax.vmap(lambda s: jnp.outer(s[:k], s).sum(0))(x)

    def indexed(x, rng):
        kind, n = rng.integers(5), x.shape[1]
        if kind == 0:
            return x + x[jnp.arange(len(x)), jnp.argmax(x, 1)][:, None]
        if kind == 1:
            return x * jnp.take_along_axis(x, jnp.argmin(x, 1, keepdims=True), 1)
        if kind == 2:
            return x[:, rng.permutation(n)]
        if kind == 3:
            return x + jax.nn.one_hot(jnp.argmax(x, 1), n)
        return x + jnp.asarray(weight(rng, 4, n))[jnp.clip(x[:, 0].astype(int), 0, 3)]

    def constants(x, rng):
        kind, n = rng.integers(4), x.shape[1]
        row = weight(rng, n)
        if kind == 0:
            return x + jnp.tile(jnp.asarray(row), (len(x), 1))
        if kind == 1:
            return x * jnp.broadcast_to(row, x.shape) + jnp.zeros_like(x)
        if kind == 2:
            return x + (jnp.arange(len(x)) * 0)[:, None] + jnp.arange(n)
        return x - jnp.full((len(x), 1), 0.5)

    def windows(x, rng):
        k = int(rng.integers(1, x.shape[1] + 1))
        if rng.random() < 0.5:
            return lax.reduce_window(x, -jnp.inf, lax.max, (1, k), (1, 1), "SAME")
        return lax.reduce_window(x, 0.0, lax.add, (1, k), (1, 2), "VALID")

    def joined(x, rng):
        kind, k = rng.integers(4), int(rng.integers(0, x.shape[1]))
        if kind == 0:
            return jnp.concatenate([x[:, k:], x[:, :k] * 2], 1)
        if kind == 1:
            return jnp.roll(x, k, 1) + x[:, ::-1]
        if kind == 2:
            return jnp.stack([x, -x], 2).max(2)
        return jnp.pad(x, ((0, 0), (k, 1)), constant_values=0.5)

    def moved(x, rng):
        w = weight(rng, x.shape[1], 5)
        if rng.random() < 0.5:
            return (w.T @ x.T).T
        return jnp.einsum("ni,nj,jk->nk", x, jnp.tanh(x), w)

    def elementwise(x, rng):
        steps = (
            jnp.tanh,
            jnp.abs,
            lambda y: jnp.where(y > 0, y, -0.5),
            lambda y: jnp.sign(y) + y,
            lambda y: jnp.minimum(y, 1.5) * y,
            lambda y: jnp.exp(-jnp.abs(y)),
            lambda y: (y > 0.1).astype(jnp.float32) - y,
            lambda y: y.astype(jnp.int32).astype(jnp.float32) + y,
        )
        return steps[rng.integers(len(steps))](x)

    def normalized(x, rng):
        kind = rng.integers(4)
        if kind == 0:
            return (x - x.mean(1, keepdims=True)) / jnp.sqrt(x.var(1, keepdims=True) + 0.1)
        if kind == 1:
            return jax.nn.log_softmax(x, 1)
        if kind == 2:
            return x / (1 + jnp.linalg.norm(x, axis=1, keepdims=True))
        return lax.associative_scan(jnp.maximum, x, axis=1)

    own = (merged, heads_first, attention, both_halves, there_and_back, one_by_one, mapped)
    own += (indexed, constants, windows, joined, moved, elementwise, normalized)
    return {step.__name__: seeded(step) for step in own}


def beyond() -> dict[str, Callable[[int], Step]]:
    def statistics(x, rng):
        kind = rng.integers(7)
        if kind == 0:
            return x - x.mean(0)
        if kind == 1:
            return jnp.where(x > x.mean(0), x, -1.0)
        if kind == 2:
            return x + jnp.argmax(x, 0)
        if kind == 3:
            return jax.nn.softmax(x, 0)
        if kind == 4:
            return x / (1 + jnp.abs(x).sum())
        if kind == 5:
            return x + (x.max(0) > 1)
        return x @ (x.T @ x)

    def neighbours(x, rng):
        kind = rng.integers(6)
        if kind == 0:
            return lax.cumsum(x, 0, reverse=bool(rng.integers(2)))
        if kind == 1:
            return x + jnp.roll(x, 1, 0)
        if kind == 2:
            return lax.reduce_window(x, 0.0, lax.add, (2, 1), (1, 1), "SAME")
        if kind == 3:
            return (x[:, None] > x[None]).sum(1).astype(jnp.float32)
        if kind == 4:
            return jnp.concatenate([x[1:], x[:1]], 0)
        return lax.associative_scan(jnp.add, x, axis=0)

    def positions(x, rng):
        kind = rng.integers(6)
        if kind == 0:
            return x + jnp.arange(len(x))[:, None]
        if kind == 1:
            return jnp.where(x[:1] > 0, x, -x)
        if kind == 2:
            return x[::-1]
        if kind == 3:
            return jnp.concatenate([x[:1] * 2, x[1:]], 0)
        if kind == 4:
            return jnp.where((jnp.arange(len(x)) == len(x) - 1)[:, None], -x, x)
        return x[jnp.zeros(len(x), int)] + x

    def sizes(x, rng):
        kind = rng.integers(5)
        if kind == 0:
            return x * len(x)
        if kind == 1:
            return jnp.where(x > 1 / len(x), x, 0.0)
        if kind == 2:
            return x + jnp.ones_like(x).sum(0)
        if kind == 3:
            return x if len(x) == 1 else x * 2
        return x / x.size

    def reshaped(x, rng):
        if rng.random() < 0.5:
            return x.T.reshape(x.shape)
        return jnp.cumsum(x.reshape(-1)).reshape(x.shape)

    return {
        step.__name__: seeded(step) for step in (statistics, neighbours, positions, sizes, reshaped)
    }


def make(seed: int) -> tuple[list[str], Step, set[str]]:
    """Return a function's steps, itself, and those of its steps that look beyond a sample."""
    rng = np.random.default_rng(seed)
    good, bad = by_itself(), beyond()
    names = [str(name) for name in rng.choice(sorted(good), size=rng.integers(1, 6))]
    looks = set()
    if rng.random() < 0.5:
        names.insert(int(rng.integers(len(names) + 1)), str(rng.choice(sorted(bad))))
        looks = {name for name in names if name in bad}
    steps = [(good | bad)[name](int(rng.integers(1 << 30))) for name in names]

    def function(x):
        for step in steps:
            x = step(x)
        return x

    return names, function, looks


def differs(together: np.ndarray, alone: np.ndarray) -> bool:
    """Whether more differs than sums in another order explain, and a step that they end beyond."""
    size = np.abs(alone[np.isfinite(alone)]).max(initial=0.0)
    with np.errstate(invalid="ignore"):
        near = np.abs(together - alone) <= 1e-3 * size
    same = near | (together == alone) | (np.isnan(together) & np.isnan(alone))
    return bool(same.mean() < 0.97)


def depends(function: Step, rng: np.random.Generator, batches: tuple[int, ...]) -> bool:
    """Whether JAX gives a sample other outputs in a batch than alone."""
    for batch in batches:
        for scale in (0.5, 2.0):
            x = (rng.standard_normal((batch, FEATURES)) * scale).astype(np.float32)
            alone = np.concatenate([np.asarray(function(x[i : i + 1])) for i in range(batch)])
            if differs(np.asarray(function(x)), alone):
                return True
    return False


def depends_within(function: Step, rng: np.random.Generator) -> bool:
    """Whether, in a batch of a fixed size, other samples or the order make a difference."""
    for scale in (0.5, 2.0):
        x = (rng.standard_normal((FIXED, FEATURES)) * scale).astype(np.float32)
        whole = np.asarray(function(x))
        for _ in range(2):
            order = rng.permutation(FIXED)
            if differs(np.asarray(function(x[order])), whole[order]):
                return True
            other = x.copy()
            other[1:] = rng.standard_normal((FIXED - 1, FEATURES)) * scale * 2
            if differs(np.asarray(function(other))[:1], whole[:1]):
                return True
    return False


def refusal(load: Callable[[], Any]) -> str:
    """Return "" where a network is accepted, else why not."""
    try:
        load()
    except AsnetError as error:
        return str(error)
    return ""


def test_nothing_that_mixes_is_accepted_and_nothing_else_refused(
    tmp_path: Path, monkeypatch: Any
) -> None:
    counts: Counter[str] = Counter()
    failures = []
    judge = module._compute_the_same

    def counted(*arguments: Any) -> bool:
        counts["decided by numbers"] += 1
        return judge(*arguments)

    monkeypatch.setattr(module, "_compute_the_same", counted)
    example = np.zeros((1, FEATURES), np.float32)
    end, seed = time.monotonic() + SECONDS, SEED
    while time.monotonic() < end and len(failures) < 20:
        names, function, looks = make(seed)
        rng = np.random.default_rng(seed)
        whys = {"function": refusal(lambda f=function: from_jax_function(f, (example,), name="f"))}
        if seed % 3 == 0:
            text = str(
                jax.jit(function)
                .lower(jax.ShapeDtypeStruct((FIXED, FEATURES), np.float32))
                .compiler_ir("stablehlo")
            )
            path = tmp_path / "net.mlir"
            path.write_text(text)
            whys["file"] = refusal(lambda p=path: load_model(p))
        for kind, why in whys.items():
            counts["cases"] += 1
            # A file's batch has one size.
            beyond_it = looks - {"sizes"} if kind == "file" else looks
            if not why:
                shown = (
                    depends(function, rng, (2, 3, 5))
                    if kind == "function"
                    else depends_within(function, rng)
                )
                counts["accepted" if not beyond_it else "looks beyond, not shown by numbers"] += 1
                if beyond_it and not shown:
                    print(
                        f"seed {seed} {kind}: accepted, and numbers do not show otherwise: {names}"
                    )
                if shown:
                    failures.append(f"seed {seed} {kind}: accepted, but depends: {names}")
            elif not any(part in why for part in REFUSALS):
                counts["refused for another reason"] += 1
                if "internal" in why:
                    failures.append(f"seed {seed} {kind}: {why}")
            elif beyond_it:
                counts["refused"] += 1
            else:
                failures.append(f"seed {seed} {kind}: refused: {names}: {why}")
        seed += 1
    print(f"\nfunctions that mix samples: seeds {SEED}..{seed - 1}: {dict(counts)}")
    assert not failures, "\n".join(failures)
    assert counts["accepted"] > counts["cases"] // 5 and counts["refused"] > counts["cases"] // 5
