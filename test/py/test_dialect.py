# SPDX-License-Identifier: Apache-2.0
"""The approx dialect in Python: typed builders, parsing, verification, passes, import orders."""

from __future__ import annotations

import subprocess
import sys

import pytest

from asnet_mlir import dialects
from asnet_mlir.support.tools import asnet_opt_path

dialects.load()

from mlir import ir, passmanager
from mlir.dialects import func

from asnet_mlir.dialects import approx


@pytest.fixture
def context():
    with ir.Context() as context, ir.Location.unknown():
        yield context


def build_module() -> ir.Module:
    """A library of one core and a function with a bound and an exact op."""
    f32 = ir.F32Type.get()
    module = ir.Module.create()
    with ir.InsertionPoint(module.body):
        library = approx.LibraryOp()
        with ir.InsertionPoint(library.body.blocks.append()):
            parameters = ir.DictAttr.get(
                {"P": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 20)}
            )
            approx.core(31, "mulf", "fmul_trunc", parameters, 4, 1)

        @func.FuncOp.from_py_func(f32, f32)
        def f(a, b):
            return approx.addf(a, approx.mulf(a, b, instance=31))

    return module


def test_builders_give_what_the_text_says(context):
    module = build_module()
    assert module.operation.verify()
    expected = ir.Module.parse(
        """
        approx.library { approx.core 31 "mulf" @fmul_trunc {P = 20} latency 4 interval 1 }
        func.func @f(%a: f32, %b: f32) -> f32 {
          %0 = approx.mulf %a, %b {instance = 31} : f32
          %1 = approx.addf %a, %0 : f32
          return %1 : f32
        }"""
    )
    assert str(module) == str(expected)


def test_parsed_ops_are_typed(context):
    module = ir.Module.parse(str(build_module()))
    library, function = module.body.operations
    (core,) = library.body.blocks[0].operations
    multiply, add, _ = function.regions[0].blocks[0].operations
    assert isinstance(library, approx.LibraryOp)
    assert isinstance(core, approx.CoreOp)
    assert (core.id.value, core.op.value, core.module.value) == (31, "mulf", "fmul_trunc")
    assert (core.latency.value, core.interval.value) == (4, 1)
    assert core.parameters["P"].value == 20
    assert isinstance(multiply, approx.MulFOp)
    assert multiply.instance.value == 31
    assert add.instance is None


def test_verifier_names_the_fault(context):
    module = build_module()
    multiply = module.body.operations[1].regions[0].blocks[0].operations[0]
    multiply.instance = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), 32)
    with pytest.raises(ir.MLIRError, match="instance 32 is not declared; the library declares 31"):
        module.operation.verify()


def test_passes_are_registered(context):
    module = build_module()
    passmanager.PassManager.parse(
        "builtin.module(approx-bind-instances{bindings=mulf=0},convert-approx-to-calls)"
    ).run(module.operation)
    assert "arith.mulf" in str(module)
    assert "approx" not in str(module)


def test_load_twice_is_load_once():
    dialects.load()
    dialects.load()


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )


def test_package_itself_imports_nothing_heavy():
    code = (
        "import sys, asnet_mlir; "
        "print([m for m in ('mlir', 'jax', 'circt', 'numpy') if m in sys.modules])"
    )
    assert run(code).stdout.strip() == "[]"


def test_clash_is_an_error_and_no_crash():
    result = run(
        "import sys, types; sys.modules['circt'] = types.ModuleType('circt')\n"
        "from asnet_mlir import dialects, errors\n"
        "try: dialects.load()\n"
        "except errors.AsnetError as e: print('refused:', e)"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("refused: 'circt' was imported before MLIR")


def test_asnet_opt_runs_from_the_console_script():
    result = subprocess.run(
        [sys.executable, "-c", "from asnet_mlir.cli import program; program.asnet_opt()", "--help"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "--approx-bind-instances" in result.stdout
    assert asnet_opt_path().name == "asnet-opt"
