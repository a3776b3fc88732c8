# SPDX-License-Identifier: Apache-2.0
"""The library's own cores and the examples: each against an arithmetic of its own in Python."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asnet_mlir.cores import (
    Instance,
    core_from_verilog,
    derive_models,
    library_cores,
    native_masks,
    parse_instance,
)
from asnet_mlir.cores.checks.check import corner_values, ieee_reference, random_pairs
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.simulation.simulation import simulate_pairs
from asnet_mlir.errors import InputError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "cores"
NAN = np.uint32(0x7FC00000)


def f32_pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return bits of the corner grid and of random pairs, NaNs canonical."""
    grid = np.meshgrid(corner_values(), corner_values())
    sides = [
        np.concatenate([g.ravel(), v]) for g, v in zip(grid, random_pairs(count, 7), strict=True)
    ]
    a, b = (np.where((v & 0x7FFFFFFF) > 0x7F800000, NAN, v).astype(np.uint32) for v in sides)
    return a, b


def computed(instances: list[Instance], a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """Return what word-level models give for f32 bits or integers."""
    models = derive_models({f"m{i}": s for i, s in enumerate(instances)}, "word")
    kernel = compile_elementwise(models, opt_level=1)
    results = []
    for symbol, instance in zip(models, instances, strict=True):
        if instance.core.is_float:
            results.append(kernel(symbol, a.view(np.float32), b.view(np.float32)).view(np.uint32))
        else:
            results.append(kernel(symbol, a, b))
    return results


def exhaustive(bits: int, dtype: type = np.uint8) -> tuple[np.ndarray, np.ndarray]:
    values = np.arange(1 << bits, dtype=dtype)
    a, b = (side.ravel() for side in np.meshgrid(values, values, indexing="ij"))
    return a, b


# ---- Flushing.


def flushed_reference(op: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the exact operation where subnormal operands and results are zeros of their sign.

    A result is subnormal if it is below the smallest normal number after rounding to 24 bits.
    """
    x, y = (
        np.where((v & 0x7F800000) == 0, v & np.uint32(1 << 31), v).view(np.float32).astype(float)
        for v in (a, b)
    )
    operation = {"mulf": np.multiply, "divf": np.divide, "addf": np.add, "subf": np.subtract}[op]
    with np.errstate(all="ignore"):
        wide = operation(x, y)  # binary64 rounds what is rounded again without harm
        result = wide.astype(np.float32)
        # Far from the subnormals, so that all 24 bits are there.
        tiny = (np.abs(wide) < 1) & (np.abs((wide * 2.0**200).astype(np.float32)) < 2.0**74)
        tiny |= wide == 0
    bits = np.where(tiny, np.copysign(np.float32(0), wide).astype(np.float32), result)
    bits = bits.astype(np.float32).view(np.uint32)
    return np.where(np.isnan(wide), NAN, bits)


FLUSHING = {"fmul": "mulf", "fmul_dsp": "mulf", "fadd": "addf", "fsub": "subf", "fdiv": "divf"}


def test_flush() -> None:
    a, b = f32_pairs(200_000)
    latency = {"fmul": (0, 10), "fmul_dsp": (10,), "fadd": (0, 9), "fsub": (4,), "fdiv": (0, 33)}
    instances = [parse_instance(f"{n}:FLUSH=1,LATENCY={k}") for n in FLUSHING for k in latency[n]]
    for instance, got in zip(instances, computed(instances, a, b), strict=True):
        want = flushed_reference(FLUSHING[instance.core.name], a, b)
        wrong = np.flatnonzero(got != want)
        assert not wrong.size, (
            instance.label,
            [f"{a[i]:#x} {b[i]:#x}: {got[i]:#x} {want[i]:#x}" for i in wrong[:5]],
        )
        plain = ieee_reference(FLUSHING[instance.core.name], a, b)
        assert np.count_nonzero(plain != want) > 1000  # the operands tell the two apart


def test_flush_rounds_before_it_flushes() -> None:
    # (2 - 2^-23) * 2^-127 * (1 + 2^-23): all ones below the smallest normal number, rounded up.
    up = (0x00FFFFFF, 0x3F000001, 0x00800000)
    # 24 bits that are exact and below it.
    down = (0x00FFFFFE, 0x3F000000, 0x00000000)
    a, b, want = (np.array(column, np.uint32) for column in zip(up, down, strict=True))
    (got,) = computed([parse_instance("fmul:FLUSH=1,LATENCY=0")], a, b)
    np.testing.assert_array_equal(got, want)


def test_flush_of_truncating_cores_is_that_of_the_cores_inside() -> None:
    a, b = f32_pairs(20_000)
    mask = np.uint32(0xFFFFFFFF << 13 & 0xFFFFFFFF)
    for name in ("fmul", "fdiv"):
        instances = [
            parse_instance(f"{name}_trunc:P=13,FLUSH=1,LATENCY=0"),
            parse_instance(f"{name}:FLUSH=1,LATENCY=0"),
        ]
        (got, _), (_, want) = computed(instances, a, b), computed(instances, a & mask, b & mask)
        np.testing.assert_array_equal(got, want)


def gates(folder: Path, text: str) -> int:
    """Return the and gates and inverters that Yosys makes of an instance, unoptimised mostly."""
    instance = parse_instance(text)
    names = []
    for number, source in enumerate(instance.core.sources):
        names.append(f"f{number}.sv")
        (folder / names[-1]).write_text(source.text)
    values = "".join(f" -chparam {name} {value}" for name, value in instance.parameters)
    script = (
        "from pyosys import libyosys\ndesign = libyosys.Design()\n"
        f"for command in ('read_verilog -sv {' '.join(names)}',\n"
        f"    'hierarchy -top {instance.core.module}{values}', 'proc', 'flatten', 'opt -full',\n"
        "    'techmap', 'opt', 'aigmap', 'opt', 'tee -q -o stat.json stat -json'):\n"
        "    libyosys.run_pass(command, design)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True, timeout=120, stdout=-3)
    return json.loads((folder / "stat.json").read_text())["design"]["num_cells"]


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("fmul_trunc:P=14,", 0.75),
        ("fmul_trunc:P=20,", 0.5),
        ("fadd:", 0.98),
        ("fdiv_trunc:P=14,", 0.85),
    ],
)
def test_flush_leaves_less_to_build(tmp_path: Path, name: str, share: float) -> None:
    kept, flushed = (gates(tmp_path, f"{name}LATENCY=0,FLUSH={f}") for f in (0, 1))
    assert flushed <= share * kept


def test_only_cores_at_their_defaults_are_native() -> None:
    full = (1 << 32) - 1
    assert native_masks(parse_instance("fmul:LATENCY=5")) == (full, full)
    assert native_masks(parse_instance("fmul_trunc:P=4")) == (full - 15, full - 15)
    for text in ("fmul:FLUSH=1", "fmul_trunc:P=4,FLUSH=1", "fsub:FLUSH=1", "fdiv_trunc:FLUSH=1"):
        assert native_masks(parse_instance(text)) is None


# ---- Multipliers and adders.


def test_fmul_dsp_is_exact() -> None:
    a, b = f32_pairs(100_000)
    instances = [parse_instance(f"fmul_dsp:LATENCY={n}") for n in range(11)]
    for got in computed(instances, a, b):
        np.testing.assert_array_equal(got, ieee_reference("mulf", a, b))


@pytest.mark.parametrize(
    ("core", "op", "depths"),
    [("fadd", "addf", (6, 9)), ("fmul", "mulf", (8, 9, 10)), ("fdiv", "divf", (30, 33))],
)
def test_deep_pipelines_compute_the_same(core: str, op: str, depths: tuple[int, ...]) -> None:
    """Their models are made of the netlist; that registers are where they must be is proved."""
    a, b = f32_pairs(100_000)
    for got in computed([parse_instance(f"{core}:LATENCY={n}") for n in depths], a, b):
        np.testing.assert_array_equal(got, ieee_reference(op, a, b))


def drum(n: int, k: int) -> Callable[[int, int], int]:
    def cut(x: int) -> int:
        drop = x.bit_length() - k
        return x if drop <= 0 else (x >> drop | 1) << drop

    return lambda x, y: cut(x) * cut(y)


def mitchell(n: int) -> Callable[[int, int], int]:
    def product(x: int, y: int) -> int:
        if 0 in (x, y):
            return 0
        kx, ky = x.bit_length() - 1, y.bit_length() - 1
        # Fractions scaled by 2^(kx+ky): f = x / 2^kx - 1.
        fraction = (x << ky) + (y << kx) - (2 << kx + ky)
        one = 1 << kx + ky
        return one + fraction if fraction < one else 2 * fraction

    return product


def loa(n: int, k: int) -> Callable[[int, int], int]:
    def total(x: int, y: int) -> int:
        low = (x | y) & ((1 << k) - 1)
        carry = x >> (k - 1) & y >> (k - 1) & 1
        return ((x >> k) + (y >> k) + carry) << k | low

    return total


def bam(n: int, vbl: int, hbl: int) -> Callable[[int, int], int]:
    kept = [(i, j) for i in range(n) for j in range(hbl, n) if i + j >= vbl]
    return lambda x, y: sum((x >> i & y >> j & 1) << (i + j) for i, j in kept)


INTEGER = [
    ("drum:N=6,K=3", drum(6, 3), 6),
    ("drum:N=7,K=6", drum(7, 6), 7),
    ("drum:N=3,K=2", drum(3, 2), 3),
    ("mitchell:N=7", mitchell(7), 7),
    ("mitchell:N=2", mitchell(2), 2),
    ("loa:N=7,K=4", loa(7, 4), 7),
    ("loa:N=2,K=1", loa(2, 1), 2),
    ("bam:N=6,VBL=5,HBL=2", bam(6, 5, 2), 6),
    ("bam:N=6,VBL=0", bam(6, 0, 0), 6),
    ("bam:N=4,VBL=8,HBL=4", bam(4, 8, 4), 4),
    ("bam:N=7,VBL=10", bam(7, 10, 0), 7),
]
WIDE = [
    ("drum", drum(16, 6), 16),
    ("drum:N=32,K=9", drum(32, 9), 32),
    ("mitchell", mitchell(16), 16),
    ("mitchell:N=32", mitchell(32), 32),
    ("mitchell:N=24", mitchell(24), 24),
    ("loa", loa(16, 8), 16),
    ("bam:N=16,VBL=12,HBL=3", bam(16, 12, 3), 16),
]


def test_integer_cores_are_what_their_papers_say() -> None:
    """The small ones on all operands, the wide ones on random ones of all magnitudes."""
    rng = np.random.default_rng(11)
    for table, count in ((INTEGER, 0), (WIDE, 3000)):
        instances = [parse_instance(text) for text, _, _ in table]
        models = derive_models({f"m{i}": s for i, s in enumerate(instances)}, "word")
        kernel = compile_elementwise(models, opt_level=1)
        for symbol, (text, reference, bits) in zip(models, table, strict=True):
            if count:
                shifts = rng.integers(0, bits, (2, count), dtype=np.uint64)
                a, b = rng.integers(0, 1 << bits, (2, count), dtype=np.uint64) >> shifts
                dtype = np.uint16 if bits <= 16 else np.uint32
                a, b = a.astype(dtype), b.astype(dtype)
            else:
                a, b = exhaustive(bits)
            want = [reference(int(x), int(y)) for x, y in zip(a, b, strict=True)]
            got = kernel(symbol, a, b)
            assert got.tolist() == want, text


def test_drum_is_within_the_bound_of_its_paper() -> None:
    """1 - (1 - 2^-(K-1))^-2 bounds errors: 1.56 % at K = 8, 6.35 % at K = 6; the bias is small."""
    a, b = np.random.default_rng(8).integers(1, 1 << 16, (2, 200_000), dtype=np.uint16)
    (got,) = computed([parse_instance("drum:K=6")], a, b)
    exact = a.astype(float) * b
    errors = (got - exact) / exact
    assert 0.05 < np.abs(errors).max() < 0.0635
    assert abs(errors.mean()) < 0.003


def test_fmul_drum_multiplies_significands_by_drum() -> None:
    a, b = f32_pairs(0)
    rng = np.random.default_rng(3)
    normal = rng.integers(100 << 23, 150 << 23, (2, 5000), dtype=np.uint32)
    (got,) = computed([parse_instance("fmul_drum:K=4,LATENCY=0")], *normal)
    for x, y, z in zip(*normal.tolist(), got.tolist(), strict=True):
        product = drum(24, 4)(x & 0x7FFFFF | 1 << 23, y & 0x7FFFFF | 1 << 23)
        length = product.bit_length()
        assert z == ((x >> 23) + (y >> 23) - 127 + length - 47 << 23) + (
            (product >> length - 24) - (1 << 23)
        )
    (special,) = computed([parse_instance("fmul_drum:K=4,LATENCY=0")], a, b)
    exact = ieee_reference("mulf", a, b)
    where = (exact == NAN) | (a & 0x7FFFFFFF == 0) | (b & 0x7FFFFFFF == 0)
    np.testing.assert_array_equal(special[where], exact[where])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drum:N=8,K=8", r"N must be in 3\.\.32 and K in 2\.\.N-1"),
        ("loa:N=8,K=8", r"K in 1\.\.N-1"),
        ("bam:N=8,VBL=17", r"VBL in 0\.\.2N"),
        ("mitchell:N=1", r"N = 1 is not in 2\.\.32"),
        ("fmul:FLUSH=2", r"FLUSH = 2 is not in 0\.\.1"),
    ],
)
def test_parameters_outside_their_range(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        derive_models({"m": parse_instance(text)})


def test_manifests_say_what_each_core_is() -> None:
    for name, core in library_cores().items():
        assert core.license == "Apache-2.0" and core.reference and core.summary, name
        assert all(parameter.summary for parameter in core.parameters), name
        header = core.sources[0].text.split(f"module {name}")[0]
        for line in ("// Purpose:", "// Source:", "// Latency:", "// Special:"):
            assert line in header, (name, line)


# ---- Examples.


def example(*files: str, **options) -> Instance:
    return core_from_verilog([EXAMPLES / file for file in files], **options).instance()


def generator():
    spec = importlib.util.spec_from_file_location("generate_gates", EXAMPLES / "generate_gates.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_gate_level_examples_are_what_their_generator_makes() -> None:
    script = EXAMPLES / "generate_gates.py"
    subprocess.run([sys.executable, script, "--check"], check=True, timeout=60)
    gates = {
        path.name: len(re.findall(r"^  (?:assign n|and|or|xor)", path.read_text(), re.M))
        for path in EXAMPLES.glob("mul*_*.v")
    }
    assert 2900 <= gates["mul24_gates.v"] <= 3200
    assert gates["mul16_pruned.v"] > 1000 and gates["mul8_pruned.v"] > 200


def test_gate_level_examples_compute_what_the_circuit_does() -> None:
    """The circuit is evaluated here gate by gate, on one bit of many operands at a time."""
    module = generator()
    rng = np.random.default_rng(5)
    for file, (name, width, columns, rate, seed, _) in module.FILES.items():
        circuit = module.Circuit(width, module.choices(seed), columns, rate)
        circuit.gates.append(("zero", None, None))
        outputs = circuit.multiply()
        a, b = rng.integers(0, 1 << width, (2, 4000), dtype=np.uint32)
        nets: dict[object, np.ndarray] = {0: np.zeros(a.size, bool)}
        for i in range(width):
            nets[f"a{i}"], nets[f"b{i}"] = (side >> i & 1 == 1 for side in (a, b))
        functions = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}
        for number, (kind, x, y) in enumerate(circuit.gates[1:], 1):
            nets[number] = functions[kind](nets[x], nets[y])
        want = sum(nets[net].astype(np.uint64) << np.uint64(i) for i, net in enumerate(outputs))
        instance = example(file, op="muli")
        assert (instance.core.ports.a, instance.core.ports.result) == ("A", "O")
        got = simulate_pairs(instance, a, b).astype(np.uint64)
        np.testing.assert_array_equal(got, want, err_msg=name)
        exact = a.astype(np.uint64) * b
        errors = np.abs(got - exact.astype(np.float64)) / 4.0**width
        assert errors.any() and errors.mean() < 0.01


def test_fixed_point_example() -> None:
    instance = example(
        *("fixed_mul/fixed_mul.v", "fixed_mul/saturate.v"),
        includes=[EXAMPLES / "fixed_mul" / "include"],
    )
    assert instance.core.signed
    a, b = np.random.default_rng(1).integers(-(1 << 15), 1 << 15, (2, 20_000))
    a[:10_000] >>= 6
    want = np.clip(a * b >> 8, -(1 << 15), (1 << 15) - 1)
    (got,) = computed([instance], a.astype(np.int16).view(np.uint16), b.astype(np.int16).view("u2"))
    np.testing.assert_array_equal(got.view(np.int16), want)


def test_booth_example() -> None:
    a, b = exhaustive(8)
    x, y = (side.view(np.int8).astype(np.int64) for side in (a, b))
    exact = example("booth8_signed.v", op="muli", parameters={"CUT": 0})
    cut = example("booth8_signed.v", op="muli")
    assert cut.core.signed
    got, approximate = computed([exact, cut], a, b)
    np.testing.assert_array_equal(got.view(np.int16), x * y)
    errors = approximate.view(np.int16).astype(np.int64) - x * y
    assert errors.any() and np.abs(errors).max() < 4 * 16
    assert not (approximate & 15).any()


def test_pipelined_example() -> None:
    instance = example("mul16_enabled.v", op="muli")
    ports = instance.core.ports
    assert (ports.clock, ports.enable, ports.reset) == ("clk", "en", "rst_n")
    assert ports.reset_active_low and instance.latency == 2
    a, b = np.random.default_rng(2).integers(0, 1 << 16, (2, 5000), dtype=np.uint16)
    (got,) = computed([instance], a, b)
    np.testing.assert_array_equal(got, a.astype(np.uint32) * b)


def test_iterative_examples() -> None:
    a, b = np.random.default_rng(2).integers(0, 1 << 16, (2, 2000), dtype=np.uint16)
    b[:1000] >>= 9
    divider = example("div16_restoring.v", op="divi")
    assert (divider.core.ports.start, divider.core.ports.done) == ("start", "done")
    want = np.where(b == 0, 0xFFFF, a // np.maximum(b, 1))
    assert (b == 0).any()
    np.testing.assert_array_equal(simulate_pairs(divider, a, b), want)
    serial = example("mul16_serial.v", op="muli", interval=4)
    assert serial.latency == 4
    np.testing.assert_array_equal(simulate_pairs(serial, a, b), a.astype(np.uint32) * b)


def test_floating_point_examples() -> None:
    a, b = f32_pairs(50_000)
    flush, package = computed(
        [example(f, op="mulf") for f in ("fmul_flush.v", "fmul_package.sv")], a, b
    )
    want = flushed_reference("mulf", a, b)
    # It flushes before rounding: one number less is normal.
    same = (want & 0x7FFFFFFF) != 0x00800000
    np.testing.assert_array_equal(flush[same], want[same])
    exact = ieee_reference("mulf", a, b)
    normal = [((v >> 23 & 0xFF) % 255 != 0) for v in (a, b, exact)]
    usable = normal[0] & normal[1] & normal[2] & (exact & 0x7FFFFFFF > 0x00FFFFFF)
    with np.errstate(all="ignore"):
        ratio = package[usable].view(np.float32) / exact[usable].view(np.float32)
    assert usable.sum() > 10_000 and 1 - 2.0**-10 < ratio.min() < ratio.max() <= 1


def test_wide_example() -> None:
    a, b = np.random.default_rng(4).integers(0, 1 << 32, (2, 2000), dtype=np.uint32)
    (got,) = computed([example("mul32_low_cut.v", op="muli", parameters={"CUT": 9})], a, b)
    mask = np.uint64(0xFFFFFE00)
    np.testing.assert_array_equal(got, (a & mask) * (b & mask))
