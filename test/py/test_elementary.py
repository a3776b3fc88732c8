# SPDX-License-Identifier: Apache-2.0
"""Functions written in other operations: how exact they are, at ends too, and in hardware."""

import math
from fractions import Fraction

import numpy as np
import pytest

from asnet_mlir.binding import Binding
from asnet_mlir.compiler import to_approx
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.frontends.jax import from_jax_function
from asnet_mlir.hardware import generate, simulate

#: In ulps, as docs/semantics.md says.
BOUNDS = {"sin": 3, "cos": 3, "tan": 5, "cbrt": 1, "atan2": 3, "power": 16}
ENDS = np.float32([0.0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -2.5, np.inf, -np.inf, np.nan, 3e38, 1e-45])


def network(name: str, width: int):
    import jax
    import jax.numpy as jnp

    if name in ("atan2", "power"):
        pair = jnp.arctan2 if name == "atan2" else jax.lax.pow
        half = width // 2
        function = lambda x: pair(x[:, :half], x[:, half:])  # noqa: E731
    else:
        function = getattr(jnp, name)
    return from_jax_function(lambda x: function(x), (np.zeros((1, width), np.float32),), name=name)


def outputs(name: str, *operands: np.ndarray) -> np.ndarray:
    return Evaluator(network(name, len(operands))).outputs(np.stack(operands, 1)).ravel()


def patterns(count: int) -> np.ndarray:
    """Numbers of all exponents, and such as networks have."""
    rng = np.random.default_rng(11)
    words = rng.integers(0, 1 << 32, count, dtype=np.uint64).astype(np.uint32)
    near = rng.uniform(-40, 40, count).astype(np.float32)
    turns = (rng.integers(-4000, 4000, count) * (math.pi / 2)).astype(np.float32)
    return np.concatenate([words.view(np.float32), near, turns])


def ulps(got: np.ndarray, exact: np.ndarray) -> float:
    """Return the largest error of the results that are normal numbers."""
    normal = (np.abs(exact) >= 2.0**-126) & (np.abs(exact) < 2.0**128) & np.isfinite(exact)
    spacing = np.spacing(np.abs(exact[normal]).astype(np.float32)).astype(np.longdouble)
    return float((np.abs(got[normal].astype(np.longdouble) - exact[normal]) / spacing).max())


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "cbrt"])
def test_functions_of_one_number_are_as_exact_as_stated(name):
    x = patterns(20000)
    got = outputs(name, x)
    assert (np.isnan(got) == (np.isnan(x) | (np.isinf(x) & (name != "cbrt")))).all()
    # numpy reduces arguments up to here exactly enough; larger ones below.
    inside = np.abs(x) < (np.inf if name == "cbrt" else 2.0**30)
    exact = getattr(np, name)(x[inside].astype(np.longdouble))
    assert ulps(got[inside], exact) <= BOUNDS[name]


def reduced(x: float) -> float:
    """Return x less multiples of 2 pi, by pi to 400 bits (Machin's formula)."""
    unit = 1 << 400

    def arctangent(inverse: int) -> int:
        power, total, n = unit // inverse, 0, 0
        while power:
            total += (-1) ** n * power // (2 * n + 1)
            power //= inverse * inverse
            n += 1
        return total

    turn = Fraction(8 * (4 * arctangent(5) - arctangent(239)), unit)
    exact = Fraction(x)
    return float(exact - round(exact / turn) * turn)


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_large_arguments_are_reduced_exactly(name):
    x = np.abs(patterns(700)[:700])
    x = x[np.isfinite(x) & (x > 1e6)]
    # The float that is nearest to an odd multiple of pi / 2.
    x = np.append(x, np.float32(16367173 * 2.0**72))
    exact = getattr(np, name)(np.array([reduced(float(value)) for value in x], np.longdouble))
    near = np.abs(exact) > 1e-7  # where a double's 2 pi is exact enough
    assert near.sum() > 50
    assert ulps(outputs(name, x)[near], exact[near]) <= BOUNDS[name]


def test_angles_and_powers_are_as_exact_as_stated():
    rng = np.random.default_rng(3)
    y, x = patterns(20000), rng.permutation(patterns(20000))
    exact = np.arctan2(y.astype(np.longdouble), x.astype(np.longdouble))
    assert ulps(outputs("atan2", y, x), exact) <= BOUNDS["atan2"]
    x = np.exp(rng.uniform(-60, 60, 30000) * rng.choice([1, 1e-2, 1e-4], 30000)).astype(np.float32)
    y = (rng.uniform(-86, 86, 30000) / np.maximum(np.abs(np.log(x)), 1e-6)).astype(np.float32)
    got, exact = outputs("power", x, y), x.astype(np.longdouble) ** y.astype(np.longdouble)
    assert ulps(got, exact) <= BOUNDS["power"]
    small = np.abs(y) <= 4
    assert ulps(got[small], exact[small]) <= 2


@pytest.mark.parametrize("name", ["atan2", "power"])
def test_ends_are_those_of_the_standard(name):
    y, x = (a.ravel() for a in np.meshgrid(ENDS, ENDS))
    got = outputs(name, y, x)
    with np.errstate(all="ignore"):
        want = (np.arctan2 if name == "atan2" else np.power)(y, x)
    if name == "power":
        want[np.abs(want) < 2.0**-126] *= 0  # flushed
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


def test_narrow_floats_are_rounded_once():
    import jax.numpy as jnp

    def function(x):
        return jnp.sin(x.astype(jnp.bfloat16)).astype(jnp.float32)

    x = np.linspace(-9, 9, 64, dtype=np.float32)[:, None]
    got = Evaluator(from_jax_function(function, (x[:1],), name="narrow")).outputs(x)
    given = np.asarray(jnp.asarray(x).astype(jnp.bfloat16).astype(jnp.float32), np.float64)
    want = np.asarray(jnp.asarray(np.sin(given)).astype(jnp.bfloat16).astype(jnp.float32))
    np.testing.assert_array_equal(got, want)


def test_bindings_reach_them_and_hardware_has_them(tmp_path):
    approx = to_approx(network("sin", 3), 1)
    assert "approx.mulf" in approx and "math." not in approx
    binding = Binding.parse(["mulf=fmul_trunc:P=12"])
    x = np.float32([[0.1, 2, -30], [1e9, np.inf, -0.0], [np.nan, 1e-42, 3e38]])
    exact = Evaluator(network("sin", 3)).outputs(x)
    assert not np.array_equal(Evaluator(network("sin", 3), binding).outputs(x), exact)
    np.savez(tmp_path / "x.npz", x=x)
    generate(network("sin", 3), binding, output=tmp_path / "b")
    result = simulate(tmp_path / "b", str(tmp_path / "x.npz"))
    assert (result.samples, result.mismatches) == (3, 0), result.differences
