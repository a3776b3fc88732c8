# SPDX-License-Identifier: Apache-2.0
"""Error metrics against brute force; the pictures and files that carry them."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asnet_mlir
from asnet_mlir.cores import CheckReport, core_from_verilog, library_cores, parse_instance
from asnet_mlir.cores.checks.registration import vectors_before_use
from asnet_mlir.cores.metrics import integer_sums, integers
from asnet_mlir.cores.metrics.characterize import characterize, error_map
from asnet_mlir.cores.metrics.subject import Histogram, Subject
from asnet_mlir.cores.simulation.family import storage
from asnet_mlir.data import Dataset
from asnet_mlir.errors import InputError, MismatchError
from asnet_mlir.evaluation.operand_samples import operand_samples
from asnet_mlir.reports import plot_errors
from asnet_mlir.support.formats import INTEGER_OPS


def brute_force(op, widths, signed, table, pairs=None, weights=None, overflow="plain"):
    """Return the metrics by their definitions, one pair at a time, in Python's own integers."""
    wa, wb, wr = widths

    def twos(value, width):
        return value - (1 << width) if signed and value >> (width - 1) else value

    needed = {"muli": wa + wb, "divi": wa + signed}.get(op, max(wa, wb) + (op in ("addi", "subi")))
    result_signed = signed or (op == "subi" and wr >= needed)
    errors, exacts, counts, undefined, overflowing = [], [], [], 0, 0
    every = itertools.product(range(1 << wa), range(1 << wb)) if pairs is None else pairs
    for number, (a, b) in enumerate(every):
        x, y = twos(a, wa), twos(b, wb)
        if op == "divi" and y == 0:
            undefined += 1
            continue
        exact = {
            "addi": lambda x=x, y=y: x + y,
            "subi": lambda x=x, y=y: x - y,
            "muli": lambda x=x, y=y: x * y,
            "divi": lambda x=x, y=y: math.trunc(x / y),
            "maxi": lambda x=x, y=y: max(x, y),
            "mini": lambda x=x, y=y: min(x, y),
        }[op]()
        wraps = wr < needed
        if wraps:  # what the port can hold of it
            ideal = exact
            exact %= 1 << wr
            if result_signed and exact >= 1 << (wr - 1):
                exact -= 1 << wr
            if overflow == "exclude" and exact != ideal:
                overflowing += 1
                continue
        got = int(table[a, b])
        if result_signed and got >= 1 << (wr - 1):
            got -= 1 << wr
        error = got - exact
        if wraps and overflow == "modular":
            error = min(error, error + (1 << wr), error - (1 << wr), key=abs)
            error = -error if error == 1 << (wr - 1) else error  # the half: either way is as long
        errors.append(error)
        exacts.append(exact)
        counts.append(1 if weights is None else weights[number])
    total = sum(counts)
    relative = [abs(e) / max(1, abs(x)) for e, x in zip(errors, exacts, strict=True)]

    def mean(values):
        return sum(c * v for c, v in zip(counts, values, strict=True)) / total

    seen = [k for k, count in enumerate(counts) if count]
    return {
        "EP": mean([e != 0 for e in errors]),
        "MAE": mean([abs(e) for e in errors]),
        "WCE": max(abs(errors[k]) for k in seen),
        "MSE": mean([e * e for e in errors]),
        "bias": mean(errors),
        "MRE": mean(relative),
        "MRE_nonzero": sum(c * r for c, r, x in zip(counts, relative, exacts, strict=True) if x)
        / sum(c for c, x in zip(counts, exacts, strict=True) if x)
        if any(c for c, x in zip(counts, exacts, strict=True) if x)
        else None,
        "WCRE": max(relative[k] for k in seen),
    }, (undefined if overflow == "plain" else (undefined, overflowing))


def table_subject(op, widths, signed, table):
    """Return a core that is a table: what `characterize` looks at, without any Verilog."""
    core = dataclasses.replace(library_cores()["fmul"], op=op, format=None, signed=signed)
    dtype = storage(widths[2])
    return Subject(
        core.instance(),
        "word",
        dict(zip(("a", "b", "result"), widths, strict=True)),
        lambda a, b: table[a, b].astype(dtype),
    )


def assert_metrics(got, want):
    for name, value in want.items():
        assert got[name] == pytest.approx(value, rel=1e-12, abs=1e-15), name


def test_errors_across_a_wrap():
    """A lower-part OR adder without a carry out: an error of 16 across the wrap is one of 240."""
    a, b = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    table = ((a >> 5) + (b >> 5) << 5 | (a | b) & 31) & 255
    subject = table_subject("addi", (8, 8, 8), False, table)
    found = {
        overflow: integers.characterize_integers(subject, "uniform", None, 0, 1, overflow)
        for overflow in ("plain", "modular", "exclude")
    }
    greatest = {overflow: entry["metrics"]["WCE"] for overflow, entry in found.items()}
    assert greatest == {"plain": 255, "modular": 31, "exclude": 31}
    assert (
        found["exclude"]["overflowing"] == 255 * 128 and found["exclude"]["overflow"] == "exclude"
    )
    assert found["plain"]["overflowing"] == 0
    # 256 of the 65,536 sums are 0 (modulo 256), whose relative errors are of 1.
    metrics = found["modular"]["metrics"]
    assert metrics["MRE"] > metrics["MRE_nonzero"] > 0
    wide = table_subject("addi", (8, 8, 9), False, a + b)
    assert (
        integers.characterize_integers(wide, "uniform", None, 0, 1, "exclude")["overflow"] is None
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_integer_metrics_are_those_of_brute_force(data):
    op = data.draw(st.sampled_from(INTEGER_OPS))
    widths = tuple(data.draw(st.integers(low, 4)) for low in (1, 2, 1))
    wr = data.draw(st.sampled_from((widths[2], widths[0] + widths[1], 11)))
    widths = (*widths[:2], wr)
    signed = data.draw(st.booleans())
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    table = rng.integers(0, 1 << wr, (1 << widths[0], 1 << widths[1]))
    subject = table_subject(op, widths, signed, table)
    found = integers.characterize_integers(subject, "uniform", None, 0, 1)
    want, undefined = brute_force(op, widths, signed, table)
    assert_metrics(found["metrics"], want)
    assert found["undefined"] == undefined and found["exhaustive"]
    assert found["vectors"] == 1 << (widths[0] + widths[1])
    for overflow in ("modular", "exclude"):
        found = integers.characterize_integers(subject, "uniform", None, 0, 1, overflow)
        want, left_out = brute_force(op, widths, signed, table, overflow=overflow)
        assert_metrics(found["metrics"], want)
        assert (found["undefined"], found["overflowing"]) == left_out
    worst = found["worst_case"]
    assert want["WCE"] == (abs(worst["result"] - worst["exact"]) if worst else 0)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("op", INTEGER_OPS)
def test_both_reductions_agree(op: str, signed: bool) -> None:
    """The compiled reduction and Python's integers, on 16-bit operands and 32-bit results."""
    rng = np.random.default_rng([INTEGER_OPS.index(op), signed])
    contract = integer_sums.Contract(op, 16, 16, int(rng.choice((32, 17, 16))), signed)
    compiled = integer_sums.CompiledSums(contract)
    for size in (1, 7, 8, 1001):
        # Zeros and the greatest values, of both signs, are likely.
        a, b = (rng.choice([0, 1, 0x7FFF, 0x8000, 0xFFFF, 255], size) for _ in range(2))
        a, b = (np.where(rng.random(size) < 0.5, v, rng.integers(0, 1 << 16, size)) for v in (a, b))
        a, b = a.astype(np.uint16), b.astype(np.uint16)
        result = rng.integers(0, 1 << contract.result, size).astype(storage(contract.result))
        left = compiled(a, b, result)
        right = integer_sums.sums_in_python(contract, a, b, result)
        for name in ("pairs", "undefined", "weight", "wrong", "absolute", "signed", "square"):
            assert getattr(left, name) == getattr(right, name), (size, name)
        assert left.greatest == right.greatest
        assert left.greatest_relative == right.greatest_relative
        assert math.fsum(left.relative) == pytest.approx(math.fsum(right.relative), rel=1e-13)


def test_errors_of_32_bits_do_not_overflow():
    contract = integer_sums.Contract("muli", 16, 16, 32, False)
    a = np.full(integer_sums.BLOCK, 0xFFFF, np.uint16)
    a[::2] = 0
    result = np.where(a == 0, (1 << 32) - 1, 0).astype(np.uint32)  # as wrong as can be
    sums = integer_sums.CompiledSums(contract)(a, a, result)
    half, great, less = integer_sums.BLOCK // 2, (1 << 32) - 1, 0xFFFF**2
    assert sums.absolute == half * (great + less) and sums.signed == half * (great - less)
    assert sums.square == half * (great**2 + less**2) and sums.greatest == great


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_nothing(threads):
    rng = np.random.default_rng(3)
    table = rng.integers(0, 1 << 20, (1 << 10, 1 << 11))
    subject = table_subject("muli", (10, 11, 20), False, table)
    one = integers.characterize_integers(subject, "uniform", None, 0, 1)
    assert integers.characterize_integers(subject, "uniform", None, 0, threads) == one
    drawn = integers.characterize_integers(subject, "normal", 300_000, 7, 1)
    assert integers.characterize_integers(subject, "normal", 300_000, 7, threads) == drawn
    assert drawn["vectors"] == 300_000 and not drawn["exhaustive"]
    assert (
        drawn["metrics"]
        != integers.characterize_integers(subject, "normal", 300_000, 8, threads)["metrics"]
    )


def test_weights_count():
    rng = np.random.default_rng(4)
    widths = (4, 6, 10)
    table = rng.integers(0, 1 << 10, (16, 64))
    a, b = rng.integers(0, 16, 200), rng.integers(0, 64, 200)
    for weight in (None, rng.integers(0, 9, 200), rng.random(200)):
        histogram = Histogram(a, b, weight, "h")
        found = integers.characterize_integers(
            table_subject("muli", widths, False, table), histogram, None, 0, 2
        )
        want, _ = brute_force(
            "muli",
            widths,
            False,
            table,
            zip(a.tolist(), b.tolist(), strict=True),
            None if weight is None else weight.tolist(),
        )
        assert_metrics(found["metrics"], want)
        assert found["vectors"] == 200


def test_wide_operands_are_exact():
    """32 x 32 -> 64 bits: the errors of a multiplier that adds 3 to every product."""
    core = dataclasses.replace(library_cores()["fmul"], op="muli", format=None)
    subject = Subject(
        core.instance(), "word", {"a": 32, "b": 32, "result": 64}, lambda a, b: _plus_3(a, b)
    )
    found = integers.characterize_integers(subject, "uniform", 10_000, 0, 2)
    assert found["metrics"]["MAE"] == 3 and found["metrics"]["bias"] == 3
    assert found["metrics"]["MSE"] == 9 and found["metrics"]["WCE"] == 3
    assert found["output_range"] == (1 << 64) - 1


def _plus_3(a, b):
    return a.astype(np.uint64) * b.astype(np.uint64) + np.uint64(3)


def verilog_core(folder, text, op, signed=False, name="t"):
    path = folder / f"{name}.v"
    path.write_text(text)
    core = core_from_verilog([path])
    return dataclasses.replace(core, op=op, format=None, signed=signed).instance()


def test_verilog_to_metrics(tmp_path):
    """A signed 6 x 6 multiplier that drops three columns, from its Verilog."""
    text = (
        "module t(input signed [5:0] a, b, output signed [11:0] y);\n"
        "  wire signed [11:0] p = a * b;\n  assign y = {p[11:3], 3'b000};\nendmodule\n"
    )
    instance = verilog_core(tmp_path, text, "muli", signed=True)
    found = characterize(instance, checked=True)
    side = np.arange(64)
    value = np.where(side < 32, side, side - 64)
    table = (np.multiply.outer(value, value) & ~7) & 0xFFF
    want, _ = brute_force("muli", (6, 6, 12), True, table)
    assert_metrics(found.metrics, want)
    assert found.widths == {"a": 6, "b": 6, "result": 12}
    assert found.percent["WCE"] == pytest.approx(100 * 7 / 4095)
    assert found.percent["EP"] == 100 * found.metrics["EP"]
    assert json.loads(json.dumps(found.to_json()))["metrics"] == found.metrics
    assert "MAE" in found.summary() and "4096 operand pairs" in found.summary()
    again = characterize(instance, checked=True, threads=1)  # from the cache
    assert again == found


def test_exact_cores_have_no_error(tmp_path):
    text = (
        "module t(input [3:0] a, input [3:0] b, output [4:0] y);\n  assign y = a + b;\nendmodule\n"
    )
    found = characterize(verilog_core(tmp_path, text, "addi"), checked=True)
    assert set(found.metrics.values()) == {0} and found.worst_case is None
    found = characterize(parse_instance("fmul"), samples=100_000, checked=True)
    assert set(found.metrics.values()) == {0} and found.worst_case is None
    assert all(counts["mismatches"] == 0 for counts in found.special_values.values())
    assert all(counts["vectors"] > 0 for counts in found.special_values.values())


def test_float_metrics_are_those_of_numpy():
    """fmul_trunc keeps the upper fraction bits: the same in numpy, measured by the definitions."""
    rng = np.random.default_rng(5)
    a, b = (rng.standard_normal(50_000).astype(np.float32) for _ in range(2))
    weight = rng.random(50_000)
    found = characterize(
        parse_instance("fmul_trunc:P=17"), distribution=Histogram(a, b, weight), checked=True
    )
    mask = np.uint32(0xFFFFFFFF << 17 & 0xFFFFFFFF)
    cut = [(v.view(np.uint32) & mask).view(np.float32) for v in (a, b)]
    got = (cut[0] * cut[1]).astype(np.float64)
    exact = (a * b).astype(np.float64)
    error = got - exact
    ulp = np.spacing(np.abs(a * b)).astype(np.float64)
    share = weight / weight.sum()
    want = {
        "EP": share @ (error != 0),
        "MAE": share @ np.abs(error),
        "WCE": np.abs(error).max(),
        "MSE": share @ error**2,
        "bias": share @ error,
        "MRE": share @ np.abs(error / exact),
        "WCRE": np.abs(error / exact).max(),
        "relative_bias": share @ (error / exact),
        "mean_ulp": share @ (np.abs(error) / ulp),
        "max_ulp": (np.abs(error) / ulp).max(),
    }
    for name, value in want.items():
        assert found.metrics[name] == pytest.approx(value, rel=1e-10), name
    assert found.vectors == 50_000 and found.not_finite == 0
    assert found.worst_case["result"] / found.worst_case["exact"] - 1 == pytest.approx(
        -want["WCRE"]
    )


@pytest.mark.parametrize("distribution", ["uniform", "normal", "typical"])
def test_float_threads_change_nothing(distribution, tmp_path, monkeypatch):
    results = []
    for threads in (1, 3):
        monkeypatch.setenv("ASNET_CACHE_DIR", str(tmp_path / str(threads)))
        results.append(
            characterize(
                parse_instance("fmul_trunc:P=12"),
                distribution=distribution,
                samples=200_001,
                threads=threads,
                checked=True,
            )
        )
    assert results[0] == results[1] and results[0].vectors == 200_001


def test_special_values_are_counted_apart(tmp_path):
    """A multiplier without any treatment of NaN and infinity."""
    path = tmp_path / "fmul_bare.v"
    path.write_text(
        "module fmul_bare(input [31:0] a, b, output [31:0] y);\n"
        "  wire [47:0] p = {1'b1, a[22:0]} * {1'b1, b[22:0]};\n"
        "  wire [9:0] e = a[30:23] + b[30:23] - 10'd127 + p[47];\n"
        "  assign y = {a[31] ^ b[31], e[7:0], p[47] ? p[46:24] : p[45:23]};\nendmodule\n"
    )
    found = characterize(
        core_from_verilog([path], op="mulf").instance(), samples=100_000, checked=True
    )
    assert found.metrics["max_ulp"] == 1  # it truncates
    for name in ("nan", "infinity", "zero", "subnormal"):
        assert found.special_values[name]["mismatches"] > 0
    assert found.not_finite == 0
    huge = np.array([2.0**100, 1.5], np.float32)
    found = characterize(
        core_from_verilog([path], op="mulf").instance(),
        distribution=Histogram(huge, np.array([2.0**100, 1.5], np.float32)),
        checked=True,
    )
    assert found.special_values["infinity"]["vectors"] > 0 and found.metrics["MRE"] == 0


def test_error_maps(tmp_path):
    text = (
        "module t(input [7:0] a, b, output [15:0] y);\n"
        "  assign y = a * b + (a[7] ? 16'd5 : 16'd0);\nendmodule\n"
    )
    instance = verilog_core(tmp_path, text, "muli")
    drawn = error_map(instance)
    assert drawn.mean.shape == (256, 256) and drawn.a[-1] == 256
    assert (drawn.mean[:128] == 0).all() and (drawn.mean[128:] == 5).all()
    assert (drawn.errors == 5).mean() == 0.5
    for number, inst in enumerate((instance, parse_instance("fmul_trunc:P=19"))):
        found = characterize(inst, samples=10_000, checked=True)
        picture = tmp_path / f"{number}.png"
        plot_errors(found, error_map(inst), picture)
        assert picture.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="can't be (drawn|written)"):
        plot_errors(found, error_map(inst), tmp_path / "nowhere" / "x.png")
    mean = error_map(parse_instance("fmul_trunc:P=19")).mean
    assert (mean <= 0).all() and mean.min() < -0.05  # truncation makes magnitudes smaller
    division = error_map(dataclasses.replace(instance, core=_as(instance.core, "divi")))
    assert np.isnan(division.mean[:, 0]).all() and np.isfinite(division.mean[:, 1:]).all()


def _as(core, op):
    return dataclasses.replace(core, op=op)


def test_a_core_is_checked_first(monkeypatch):
    """`check` has its own tests; here, that it is asked and that its answer counts."""
    report = CheckReport("c", "fail", "word", 1, 0, (), 0, failures=("simulation 0x1, model 0x2",))
    asked = []

    def failing_check(instances, **arguments):
        asked.append((instances, arguments))
        return [report]

    monkeypatch.setattr("asnet_mlir.cores.metrics.characterize.check", failing_check)
    instance = parse_instance("fmul_trunc:P=3")
    with pytest.raises(MismatchError, match="c: the core fails its check: simulation 0x1"):
        characterize(instance, strategy="word")
    assert asked == [([instance], {"random_vectors": vectors_before_use(), "strategy": "word"})]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"distribution": "gaussian"}, "unknown distribution 'gaussian'; one of uniform"),
        ({"distribution": "typical"}, "'typical' is one of floating-point operands"),
        ({"samples": 0}, "samples must be from 1"),
        ({"samples": "many"}, "a number or 'all'"),
        ({"samples": "all", "distribution": "normal"}, "only for integer cores and uniform"),
        ({"threads": 0}, "at least 1"),
        ({"seed": -1}, "not be negative"),
        ({"distribution": Histogram(np.array([1.0]), np.array([1.0]))}, "takes integers"),
        ({"distribution": Histogram(np.array([256]), np.array([1]))}, "'a' holds 256, port a"),
        ({"distribution": Histogram(np.array([1]), np.array([-1]))}, "'b' holds -1, port b"),
        ({"distribution": Histogram(np.array([1]), np.array([1])), "samples": 5}, "leave samples"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    text = "module t(input [7:0] a, b, output [15:0] y);\n  assign y = a * b;\nendmodule\n"
    with pytest.raises(InputError, match=message):
        characterize(verilog_core(tmp_path, text, "muli"), checked=True, **arguments)


def test_a_core_needs_an_operation(tmp_path):
    text = "module t(input [7:0] a, b, output [15:0] y);\n  assign y = {a ^ b, a | b};\nendmodule\n"
    with pytest.raises(InputError, match="--op"):
        characterize(verilog_core(tmp_path, text, None))


def test_an_operation_and_operands_of_its_kind(tmp_path):
    text = "module t(input [7:0] a, b, output [15:0] y);\n  assign y = a * b;\nendmodule\n"
    assert characterize(verilog_core(tmp_path, text, None)).op == "muli"  # by its function
    with pytest.raises(InputError, match="holds integers"):
        characterize(
            parse_instance("fmul"),
            distribution=Histogram(np.array([1]), np.array([1])),
            checked=True,
        )
    with pytest.raises(InputError, match="only for integer cores"):
        characterize(parse_instance("fmul"), samples="all", checked=True)
    with pytest.raises(InputError, match="networks compute floats"):
        operand_samples("classification_mnist", "mnist:test", "muli")


def test_operands_of_a_network(mlp):
    """Errors over the operands that a layer of a network really sees."""
    x = np.random.default_rng(0).standard_normal((9, 13)).astype(np.float32)
    data = Dataset("nine", x, np.zeros(9, int))
    histogram = operand_samples(mlp, data, "mulf", "layer0")
    assert histogram.a.size == 9 * 13 * 7  # all products of the layer
    assert np.isin(histogram.a, x).all() or np.isin(histogram.b, x).all()
    found = characterize(parse_instance("fmul_trunc:P=20"), distribution=histogram, checked=True)
    assert found.vectors == 9 * 13 * 7 and 0.05 < found.metrics["MRE"] < 0.12
    assert found.distribution == "mulf of mlp, layer layer0 on nine"


def test_histogram_files(tmp_path):
    a, b = np.array([1.0, 2.0], np.float32), np.array([3.0, 4.0], np.float32)
    Histogram(a, b, np.array([1, 2])).save(tmp_path / "h.npz")
    read = Histogram.load(tmp_path / "h.npz")
    assert read.name == "h.npz" and (read.a == a).all() and (read.weight == [1, 2]).all()
    assert read.content_hash != Histogram(a, b).content_hash
    np.savez(tmp_path / "x.npz", a=a)
    np.save(tmp_path / "y.npy", a)
    (tmp_path / "z.npz").write_bytes(b"PK\x03\x04 nothing")
    (tmp_path / "t.npz").write_text("text")
    np.savez(tmp_path / "o.npz", a=np.array([{}], object), b=a)
    for name, message in (
        ("x.npz", "no array 'b'"),
        ("y.npy", "no array 'a'|not an .npz"),
        ("z.npz", "not an .npz"),
        ("t.npz", "not an .npz"),
        ("o.npz", "not an .npz"),
        ("missing.npz", "No such file"),
    ):
        with pytest.raises(InputError, match=message):
            Histogram.load(tmp_path / name)
    for bad, message in (
        ((a, b[:1]), "one length"),
        ((a, b.astype(int)), "both be floats or both integers"),
        ((a.reshape(1, 2), b), "1-D array"),
        ((a.astype(str), b), "1-D array of numbers"),
        ((a[:0], b[:0]), "not be empty"),
        ((a, b, np.array([1.0])), "one number for each pair"),
        ((a, b, np.array([1.0, -1.0])), "not negative"),
        ((a, b, np.array([1.0, np.nan])), "finite"),
        ((a, b, np.zeros(2)), "not all zero"),
    ):
        with pytest.raises(InputError, match=message):
            Histogram(*bad)


def test_python_verb(monkeypatch):
    passed = CheckReport("c", "pass", "native", 1, 0, (), 0)
    monkeypatch.setattr("asnet_mlir.cores.metrics.characterize.check", lambda *_, **__: [passed])
    found = asnet_mlir.characterize_core("fmul_trunc:P=20", samples=50_000)
    assert found.label == "fmul_trunc:P=20" and found.kind == "float"
    assert 0.05 < found.metrics["MRE"] < 0.1
    with pytest.raises(InputError, match="op is for a core given as text"):
        asnet_mlir.characterize_core(parse_instance("fmul"), op="mulf")
