# SPDX-License-Identifier: Apache-2.0
"""Proofs: what is true is proved, what is not is refuted by a pair of operands, in bounded time."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asnet_mlir.cores import load_core
from asnet_mlir.cores.circuits.aig import Graph
from asnet_mlir.cores.circuits.terms import Function, Node, evaluate, parse
from asnet_mlir.cores.circuits.words import FALSE, TRUE, Word
from asnet_mlir.cores.core import Core, Instance
from asnet_mlir.cores.models.derive import _prove_native, _reference_texts, derive_models
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.models.truncating import prove_truncating
from asnet_mlir.cores.proofs import prove_worker as worker
from asnet_mlir.cores.proofs.statements import insensitive_masks, prove_equal, prove_native
from asnet_mlir.cores.reading.from_verilog import core_from_verilog
from asnet_mlir.errors import AsnetError, InputError

DATA = Path(__file__).parent / "data"
FULL = (1 << 32) - 1


def model(*lines: str, kind: str = "i16") -> str:
    body = "\n  ".join(lines)
    return f"func.func private @f(%a: {kind}, %b: {kind}) -> {kind} {{\n  {body}\n}}\n"


def prove_here(one: str, two: str, masks: tuple[int, int] | None = None) -> worker.Answer:
    """As `prove_equal`, without a process for it."""
    return worker.prove(parse(one), parse(two), masks, 5.0)


TEXTBOOK = {
    "max": ("textbook_max", "maxf", {}),
    "add": ("textbook_add", "addf", {}),
    "add_9": ("textbook_add", "addf", {"P": 9}),
    "add_23": ("textbook_add", "addf", {"P": 23}),
    "add_bug": ("textbook_add", "addf", {"BUG": 1}),
    "sub": ("textbook_add", "subf", {}),
    "mul_16": ("textbook_mul", "mulf", {"P": 16}),
    "mul_8_bug": ("textbook_mul", "mulf", {"P": 8, "BUG": 1}),
    "mul_17": ("textbook_mul", "mulf", {"P": 17}),
    "normalised_17": ("textbook_mul_normalised", "mulf", {"P": 17}),
}


@pytest.fixture(scope="module")
def textbook() -> dict[str, tuple[Instance, str]]:
    """Instances and their word-level models; read in one go, which is faster."""
    cores: dict[tuple[str, str], Core] = {}
    instances = {}
    for key, (module, op, parameters) in TEXTBOOK.items():
        if (module, op) not in cores:
            cores[module, op] = core_from_verilog([DATA / "textbook_float.v"], top=module, op=op)
        instances[key] = cores[module, op].instance(parameters)
    models = derive_models(instances, "word")
    return {key: (instances[key], models[key].text) for key in instances}


# ---- The three ways to read a text agree


_OPS = (
    *("addi", "subi", "muli", "andi", "ori", "xori", "shli", "shrui", "shrsi"),
    *("divui", "divsi", "remui", "remsi", "maxui", "minui", "maxsi", "minsi"),
    *("select", "cmpi", "extend"),
)
_PREDICATES = ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge")


def random_function(seed: int, width: int = 4, size: int = 8) -> Function:
    """Return a function whose divisions and shifts may be undefined for some operands."""
    rng = random.Random(seed)
    nodes = [Node("argument", (), width, 0), Node("argument", (), width, 1)]
    nodes.append(Node("constant", (), width, rng.randrange(1 << width)))

    def of(bits: int) -> int:
        found = [k for k, node in enumerate(nodes) if node.width == bits]
        if not found:
            nodes.append(Node("constant", (), bits, rng.randrange(1 << bits)))
            return len(nodes) - 1
        return rng.choice(found[-4:])

    for _ in range(size):
        op = rng.choice(_OPS)
        if op == "select":
            operands = (of(1), of(width), of(width))
            nodes.append(Node(op, operands, width))
        elif op == "cmpi":
            operands = (of(width), of(width))
            nodes.append(Node(op, operands, 1, rng.choice(_PREDICATES)))
        elif op == "extend":
            operands = (of(width),)
            nodes.append(Node(rng.choice(["extui", "extsi"]), operands, width + 3))
            nodes.append(Node("trunci", (len(nodes) - 1,), width))
        else:
            operands = (of(width), of(width))
            nodes.append(Node(op, operands, width))
    return Function("f", tuple(nodes), of(width), (False, False, False))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 30), change=st.integers(0, 1 << 30))
@example(seed=0, change=32764)
def test_no_engine_contradicts_exhaustion(seed: int, change: int) -> None:
    one = random_function(seed)
    nodes = list(one.nodes)
    rng = random.Random(change)
    if change % 3:  # else the same function: engines must see that, where it is defined
        position = rng.randrange(2, len(nodes))
        node = nodes[position]
        if node.op == "constant":
            nodes[position] = Node("constant", (), node.width, int(node.value) ^ 1)
        elif len(node.operands) == 2:
            nodes[position] = Node(node.op, node.operands[::-1], node.width, node.value)
    two = Function("f", tuple(nodes), one.result, one.is_float)
    a, b = (side.ravel().astype(np.uint64) for side in np.meshgrid(range(16), range(16)))
    (left, bad_left), (right, bad_right) = evaluate(one, a, b), evaluate(two, a, b)
    bad = np.zeros(a.shape, bool)
    for mask in (bad_left, bad_right):
        bad |= False if mask is None else mask
    truth = bool(np.all(left[~bad] == right[~bad]))
    # A division may stand for any value where it is not known to be defined, so that an engine's
    # counterexample need not be one; `prove_equal` evaluates it before it counts.
    divides = any("div" in n.op or "rem" in n.op for n in nodes)
    masks = (15, 15)
    for found, pair in (
        worker._by_sweeping(one, two, masks, 5.0, "exact"),
        worker._by_z3(one, two, masks, 5.0),
    ):
        assert not found or truth
        if not bad.any() and not divides:
            assert found == truth
        if pair is not None and not bad.any() and not divides:
            where = (a == pair[0]) & (b == pair[1])
            assert left[where][0] != right[where][0] or truth


def test_evaluation_is_that_of_the_native_code() -> None:
    rng = np.random.default_rng(0)
    text = derive_models({"f": load_core("fadd").instance()}, "word")["f"].text
    a, b = rng.integers(0, 1 << 32, (2, 5000), dtype=np.uint32)
    native = compile_elementwise({"f": text})("f", a.view(np.float32), b.view(np.float32))
    got, undefined = evaluate(parse(text), a, b)
    assert undefined is None
    np.testing.assert_array_equal(got.astype(np.uint32), native.view(np.uint32))


def number_of(graph: Graph, values: dict[int, int], word: Word) -> int:
    """Evaluate a word for values of input literals."""
    known = {0: 0, **{key >> 1: bit for key, bit in values.items()}}
    for variable, gate in enumerate(graph._gates):
        if gate is not None:
            x, y = (known[side >> 1] ^ (side & 1) for side in gate)
            known[variable] = x & y
    return sum((known[bit >> 1] ^ (bit & 1)) << k for k, bit in enumerate(word))


@pytest.mark.parametrize("normalise", [False, True])
def test_what_is_assumed_of_products_is_true(normalise: bool) -> None:
    rng = random.Random(1)
    width = 10
    graph = Graph()
    x, y = graph.word(width), graph.word(width)
    products = worker._Products(graph, normalise)
    product = products(0, x + [FALSE] * width, y + [FALSE] * width)
    assert products.facts not in (FALSE, TRUE)
    ((first, second, abstract),) = products._made
    for _ in range(80):
        left, right = (rng.getrandbits(rng.randrange(width + 1)) for _ in range(2))
        values = {bit: left >> k & 1 for k, bit in enumerate(x)}
        values |= {bit: right >> k & 1 for k, bit in enumerate(y)}
        factors = number_of(graph, values | dict.fromkeys(abstract, 0), first + second)
        true = (factors & ((1 << width) - 1)) * (factors >> width)
        values |= {bit: true >> k & 1 for k, bit in enumerate(abstract)}
        got = number_of(graph, values, [*product, products.facts])
        assert got == left * right | 1 << 2 * width


# ---- Small texts


def test_equal_texts_are_proved_and_others_refuted_by_a_pair() -> None:
    one = model("%0 = arith.addi %a, %b : i16", "return %0 : i16")
    two = model("%0 = arith.xori %a, %b : i16", "%1 = arith.andi %a, %b : i16",
                "%2 = arith.addi %1, %1 : i16", "%3 = arith.addi %0, %2 : i16",
                "return %3 : i16")  # fmt: skip
    three = model("%0 = arith.ori %a, %b : i16", "return %0 : i16")
    assert prove_equal(one, two).proved
    proof = prove_equal(one, three)
    assert proof.status == "refuted" and proof.counterexample is not None
    a, b = proof.counterexample
    assert (a + b) & 0xFFFF != a | b
    assert prove_here(one, three, (0xFF00, 0x00FF))["status"] == "refuted"
    assert prove_here(model("%c = arith.constant -256 : i16", "%d = arith.constant 255 : i16",
                             "%0 = arith.andi %a, %c : i16", "%1 = arith.andi %b, %d : i16",
                             "%2 = arith.addi %0, %1 : i16", "return %2 : i16"),
                       three, (0xFF00, 0x00FF))["status"] == "proved"  # fmt: skip


def test_one_pair_in_four_billion_is_found() -> None:
    lines = ("%x = arith.constant 20035 : i16", "%y = arith.constant 17017 : i16",
             "%0 = arith.cmpi eq, %a, %x : i16", "%1 = arith.cmpi eq, %b, %y : i16",
             "%2 = arith.andi %0, %1 : i1", "%3 = arith.extui %2 : i1 to i16",
             "%4 = arith.addi %a, %b : i16", "%5 = arith.xori %4, %3 : i16",
             "return %5 : i16")  # fmt: skip
    proof = prove_equal(
        model(*lines), model("%0 = arith.addi %a, %b : i16", "return %0 : i16"), seconds=10
    )
    assert proof.status == "refuted" and proof.counterexample == (20035, 17017)
    assert proof.method == "sweeping"


def test_undefined_results_prove_nothing() -> None:
    shift = model("%0 = arith.shli %a, %b : i16", "return %0 : i16")
    assert prove_here(shift, shift)["status"] == "unknown"
    guarded = model("%c = arith.constant 15 : i16", "%0 = arith.andi %b, %c : i16",
                    "%1 = arith.shli %a, %0 : i16", "return %1 : i16")  # fmt: skip
    assert prove_here(guarded, guarded)["status"] == "proved"
    division = model("%0 = arith.divui %a, %b : i16", "return %0 : i16")
    assert prove_here(division, division)["status"] == "unknown"
    odd = model("%c = arith.constant 1 : i16", "%0 = arith.ori %b, %c : i16",
                "%1 = arith.divui %a, %0 : i16", "return %1 : i16")  # fmt: skip
    assert prove_here(odd, odd)["status"] == "proved"


@pytest.mark.parametrize(
    "line", ["arith.addf %a, %b : f32", "math.atan2 %a, %b : f32", "arith.maximumf %a, %b : f32"]
)
def test_an_operation_that_is_not_known_is_named(line: str) -> None:
    text = model(f"%0 = {line}", "return %0 : f32", kind="f32")
    proof = prove_equal(text, text)
    assert proof.status == "unknown" and line.split()[0] in proof.method


@pytest.mark.parametrize("flags", ["overflow<nsw>", "overflow<nuw>"])
def test_flags_that_make_poison_prove_nothing(flags: str) -> None:
    text = model(f"%0 = arith.addi %a, %b {flags} : i16", "return %0 : i16")
    assert prove_equal(text, text).status == "unknown"


def test_nonsense_is_unknown() -> None:
    good = model("return %a : i16")
    assert prove_equal("no MLIR", good).status == "unknown"
    assert prove_equal(model("return %a : i16"), model("return %a : i8", kind="i8")).status == (
        "refuted"
    )


def test_nan_operands_are_canonical_and_nan_results_equal() -> None:
    same = model("return %a : f32", kind="f32")
    canonical = model("%0 = arith.cmpf uno, %a, %a : f32", "%n = arith.constant 2143289345 : i32",
                      "%1 = arith.bitcast %a : f32 to i32", "%2 = arith.select %0, %n, %1 : i32",
                      "%3 = arith.bitcast %2 : i32 to f32", "return %3 : f32",
                      kind="f32")  # fmt: skip
    assert prove_here(same, canonical)["status"] == "proved"
    bits = model("%1 = arith.bitcast %a : f32 to i32", "%m = arith.constant 2143289343 : i32",
                 "%0 = arith.cmpi ugt, %1, %m : i32", "%n = arith.constant 0 : i32",
                 "%2 = arith.select %0, %n, %1 : i32", "%3 = arith.bitcast %2 : i32 to f32",
                 "return %3 : f32", kind="f32")  # fmt: skip
    assert prove_here(same, bits)["status"] == "refuted"  # negative numbers are greater, too


def test_time_is_bounded() -> None:
    # A sum of rows and the product of another kind: sweeping finds no inner signals in common.
    texts = derive_models(
        {name: load_core(name).instance({"LATENCY": 0}) for name in ("fmul", "fmul_dsp")}, "word"
    )
    start = time.monotonic()
    proof = prove_equal(texts["fmul"].text, texts["fmul_dsp"].text, seconds=2)
    assert proof.status == "unknown"
    assert time.monotonic() - start < 20


# ---- Cores


@pytest.mark.parametrize("name", ["fmul_trunc", "fdiv_trunc", "fadd_trunc"])
def test_truncating_cores_are_exact_ones_on_masked_operands(name: str) -> None:
    proofs = prove_truncating(name, (1, 22))
    assert {value: proof.status for value, proof in proofs.items()} == dict.fromkeys(
        (1, 22), "proved"
    )


def test_another_mask_is_refuted() -> None:
    values = {"LATENCY": 0}
    texts = derive_models(
        {
            "t": load_core("fmul_trunc").instance({"P": 12, **values}),
            "e": load_core("fmul").instance(values),
        },
        "word",
    )
    for kept in (11, 13):
        mask = FULL ^ ((1 << kept) - 1)
        proof = prove_equal(texts["t"].text, texts["e"].text, masks=(mask, mask))
        assert proof.status == "refuted" and proof.counterexample is not None


def test_only_truncating_cores_have_a_p() -> None:
    with pytest.raises(InputError, match="fadd: is no core"):
        prove_truncating("fadd")


@pytest.mark.parametrize(
    ("key", "mask"),
    [
        ("max", FULL),
        ("add", FULL),
        ("add_9", FULL ^ 0x1FF),
        ("mul_16", FULL ^ 0xFFFF),
        ("add_bug", None),  # one sum in 134 million is rounded wrongly
        ("mul_8_bug", None),  # one product
        ("sub", None),
        # Bit 22 tells quiet NaNs from infinities: the host's operation could not be used.
        ("add_23", None),
    ],
)
def test_a_users_core_is_proved_native(
    textbook: dict[str, tuple[Instance, str]], key: str, mask: int | None
) -> None:
    instance, text = textbook[key]
    expected = None if mask is None else (mask, mask)
    references = _reference_texts(str(instance.core.op))
    assert prove_native(text, references, seconds=20 if mask is not None else 4) == expected


def test_integers_are_never_native() -> None:
    core = core_from_verilog([DATA / "integer.v"])
    assert _prove_native(core.instance(), model("return %a : i16")) is None


def test_products_before_and_after_normalising(
    textbook: dict[str, tuple[Instance, str]],
) -> None:
    # 7 bits of each factor, in either order: as gates.
    assert prove_equal(textbook["mul_17"][1], textbook["normalised_17"][1]).proved


def test_masks_are_those_of_the_bits_that_count(
    textbook: dict[str, tuple[Instance, str]],
) -> None:
    masks = insensitive_masks(lambda a, b: (a & 0xFFF0) + (b & 0x0FFF), 16)
    assert masks == (0xFFF0, 0x0FFF)
    assert insensitive_masks(textbook["add_9"][1]) == (FULL ^ 0x1FF, FULL ^ 0x1FF)


def test_errors_are_of_the_family() -> None:
    with pytest.raises(AsnetError):
        prove_truncating("nothing")
