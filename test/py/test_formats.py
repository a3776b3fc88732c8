# SPDX-License-Identifier: Apache-2.0
"""The tables of formats, op kinds and attributes, against numpy, MLIR and those who use them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from asnet_mlir.cores import EXACT_CORES, load_core
from asnet_mlir.errors import InputError
from asnet_mlir.exploration.constraints import constraints_schema
from asnet_mlir.support.formats import (
    ATTRIBUTES,
    BF16,
    F16,
    F32,
    FLOAT_FORMATS,
    FLOAT_OPS,
    INTEGER_OPS,
    OP_KINDS,
    parse_format,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", FLOAT_FORMATS.values(), ids=str)
def test_floats_are_those_of_numpy(kind):
    info = ml_dtypes.finfo(kind.dtype)
    assert (info.bits, info.nmant) == (kind.width, kind.fraction_bits)
    assert kind.range == (float(info.min), float(info.max))
    assert kind.dtype.itemsize == kind.bits_dtype.itemsize == kind.width // 8
    bits = np.array([kind.canonical_nan, kind.infinity, kind.sign], kind.bits_dtype)
    nan, infinity, zero = bits.view(kind.dtype)
    assert np.isnan(nan) and np.isinf(infinity) and np.signbit(zero) and zero == 0


def test_canonical_nans():
    found = [kind.canonical_nan for kind in (F32, BF16, F16)]
    assert found == [0x7FC00000, 0x7FC0, 0x7E00]


@pytest.mark.parametrize(
    ("name", "least", "greatest", "dtype"),
    [("i8", -128, 127, "int8"), ("u8", 0, 255, "uint8"), ("u2", 0, 3, "uint8"),
     ("i12", -2048, 2047, "int16"), ("i32", -(2**31), 2**31 - 1, "int32"),
     ("u17", 0, 131071, "uint32")],
)  # fmt: skip
def test_integers(name, least, greatest, dtype):
    kind = parse_format(name)
    assert (kind.range, kind.dtype, str(kind)) == ((least, greatest), np.dtype(dtype), name)
    assert not kind.is_float and kind.is_signed == (name[0] == "i")
    assert kind is parse_format(name)


@pytest.mark.parametrize("name", ["i1", "u33", "f64", "i08", "s8", "", "i", "i-8", "u８"])
def test_unknown_formats(name):
    with pytest.raises(InputError, match=f"unknown format '{name}'; give one of f32, bf16"):
        parse_format(name)


def test_kinds():
    assert FLOAT_OPS == ("addf", "subf", "mulf", "divf", "maxf", "minf")
    assert INTEGER_OPS == ("addi", "subi", "muli", "divi", "maxi", "mini")
    ordered = [name for name, kind in OP_KINDS.items() if not kind.is_commutative]
    assert ordered == ["subf", "divf", "subi", "divi"]
    assert (OP_KINDS["maxf"].exact, OP_KINDS["divi"].exact) == ("arith.maximumf", "arith.divsi")
    assert OP_KINDS["divi"].exact_unsigned == "arith.divui"


def test_kinds_are_ops_of_the_dialect():
    from asnet_mlir.ir import module_from_text

    for name, kind in OP_KINDS.items():
        element = "f32" if kind.is_float else "i8"
        text = f"func.func @f(%a: {element}) {{ %0 = approx.{name} %a, %a : {element} return }}"
        with module_from_text(text) as module:
            assert f"approx.{name}" in str(module)


def test_exact_cores_are_exact():
    for op, name in EXACT_CORES.items():
        core = load_core(name)
        assert (core.op, core.exact, core.format) == (op, True, "f32")


def test_the_constraints_know_the_kinds_of_networks():
    assert constraints_schema()["$defs"]["op"]["enum"] == list(OP_KINDS)


def test_attributes_are_known():
    """C++ and Python name no attribute of the dialect that its table lacks, or that nobody uses."""
    known = {name for name, _, _ in ATTRIBUTES}
    ops = {f"approx.{op}" for op in (*OP_KINDS, "library", "core", "mlir", "so")}
    named = set()
    files = [*(ROOT / "lowering").rglob("*"), *(ROOT / "asnet_mlir").rglob("*.py"),
             *(ROOT / "passes").rglob("*"), *(ROOT / "dialects").rglob("*.cpp")]  # fmt: skip
    for path in files:
        if path.suffix in (".py", ".cpp", ".h", ".td"):
            text = path.read_text()
            named |= set(re.findall(r"""["'{,(\s`](approx\.[a-z_]+)\b(?!\()""", text))
            constants = set(re.findall(r"\bk(\w+)AttrName\b", text))
            named |= {_name_of(constant) for constant in constants} & known
    assert named - known - ops == set()
    assert known - named == set()


def _name_of(stem):
    if stem == "InitiationInterval":
        return "approx.ii"
    return "approx." + re.sub(r"(?<!^)([A-Z])", r"_\1", stem).lower()


def test_the_tables_need_no_mlir():
    code = (
        "import sys, json; from asnet_mlir.support.formats import OP_KINDS;"
        "print(json.dumps([m for m in ('mlir', 'ml_dtypes', 'jax') if m in sys.modules]))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == []
