# SPDX-License-Identifier: Apache-2.0
"""The command line: JSON and nothing else on standard output, one line and a status for errors."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from asnet_mlir.cli import main as cli


def run(capfd, *arguments):
    """Return (status, standard output, standard error) of one command."""
    status = cli.main([str(a) for a in arguments])
    captured = capfd.readouterr()
    return status, captured.out, captured.err


def test_evaluate_json(capfd):
    status, out, _ = run(
        capfd,
        *("evaluate", "classification_mnist", "--data", "mnist:test:500", "--json"),
        *("--bind", "mulf=fmul_trunc:P=20"),
    )
    value = json.loads(out)
    assert status == 0
    assert value["samples"] == 500 and 0.9 < value["accuracy"] <= 1 and value["seconds"] > 0
    assert value["binding"]["bindings"][0]["parameters"]["P"] == 20


def test_explore_chooses_and_saves(capfd, tmp_path):
    constraints = tmp_path / "c.json"
    constraints.write_text(
        json.dumps(
            {
                "cores": [
                    {
                        "op": "mulf",
                        "core": "fmul_trunc",
                        "parameters": {"P": {"ParamLow": 18, "ParamHigh": 22, "ParamStep": 4}},
                    }
                ]
            }
        )
    )
    chosen, plot = tmp_path / "chosen.json", tmp_path / "plot.png"
    arguments = (
        *("explore", "classification_mnist", "--data", "mnist:test:500"),
        *("--constraints", constraints, "--store", tmp_path / "s.sqlite"),
        *("--choose", "accuracy>=0.5", "--save", chosen, "--plot", plot, "--json"),
    )
    status, out, _ = run(capfd, *arguments)
    value = json.loads(out)
    assert status == 0 and value["evaluated"] == 3
    assert value["chosen"]["label"] == "mulf=fmul_trunc:P=22"
    assert plot.read_bytes().startswith(b"\x89PNG")
    status, out, _ = run(capfd, *arguments)
    assert json.loads(out)["evaluated"] == 0
    status, out, _ = run(
        capfd,
        *("evaluate", "classification_mnist", "--data", "mnist:test:500", "--json"),
        *("--binding", chosen),
    )
    assert json.loads(out)["accuracy"] == value["chosen"]["accuracy"]


def test_compile_prints_every_form(capfd):
    marks = {
        "stablehlo": "stablehlo.dot_general",
        "linalg": "arith.mulf",
        "approx": "approx.mulf %",
        "bound": "{instance = 1}",
        "llvm": "llvm.func",
        "scheduled": '"affine.for"',
        "hw": "hw.module",
        "sv": "module classification_mnist",
    }
    for form, mark in marks.items():
        status, out, err = run(
            capfd,
            *("compile", "classification_mnist", "--emit", form, "--bind", "mulf=fmul_trunc:P=3"),
        )
        assert status == 0 and mark in out, (form, err)


def test_cores_list(capfd):
    status, out, _ = run(capfd, "cores", "list", "--json")
    cores = {core["name"]: core for core in json.loads(out)["cores"]}
    assert status == 0
    assert cores["fmul_trunc"]["parameters"]["P"] == {"low": 0, "high": 22, "default": 0}
    assert cores["fdiv"]["exact"] is True
    assert cores["fmul"]["widths"] == {"a": 32, "b": 32, "result": 32}
    assert (cores["fmul"]["level"], cores["fmul"]["format"]) == ("float", "f32")
    assert cores["fmul"]["latency_cycles"] == "LATENCY"
    integer = [core for core in cores.values() if core["level"] == "integer"]
    assert all(core["format"] is None and core["widths"]["a"] > 0 for core in integer)
    status, out, _ = run(capfd, "cores", "list")
    lines = out.splitlines()
    assert status == 0 and len(lines) == len(cores) + 1
    assert lines[0].split()[:5] == ["core", "level", "op", "format", "widths"]
    assert re.search(r"^fmul_trunc +float +mulf +f32 +32 x 32 -> 32 +LATENCY +P 0\.\.22", out, re.M)


MULTIPLIER = (
    "module m8 #(parameter K = 0)(input [7:0] a, b, output [15:0] y);\n"
    "  assign y = (a >> K << K) * b;\nendmodule\n"
)


def test_cores_check_and_characterize_a_file(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m8.v").write_text(MULTIPLIER)
    which = ("m8.v", "--op", "muli", "--param", "K=2")
    status, out, err = run(capfd, "cores", "check", *which, "--json", "--strategy", "word")
    value = json.loads(out)
    assert status == 0 and value["status"] == "pass" and value["strategy"] == "word", err
    assert value["label"] == "m8:K=2"
    status, out, err = run(capfd, "cores", "characterize", *which, "--json", "-o", "errors")
    value = json.loads(out)
    assert status == 0 and err == ""
    a, b = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    error = (a & 3) * b
    assert value["metrics"]["WCE"] == 3 * 255 == error.max() and value["exhaustive"]
    assert value["metrics"]["MAE"] == error.mean() == -value["metrics"]["bias"]
    assert value["percent"]["WCE"] == pytest.approx(100 * 765 / 65535)
    assert json.loads((tmp_path / "errors.json").read_text()) == value
    assert (tmp_path / "errors.png").read_bytes().startswith(b"\x89PNG")
    np.savez(tmp_path / "pairs.npz", a=np.array([3, 4]), b=np.array([1, 1]), weight=[3, 1])
    status, out, err = run(capfd, "cores", "characterize", *which, "--operands", "pairs.npz")
    assert status == 0 and "pairs.npz, 2 operand pairs" in out and "75 %" in out, (out, err)


BAD_VERILOG = "module m(input [31:0] a, b, output [31:0] y);\n  assign y = a +;\nendmodule\n"
NARROW_VERILOG = "module m(input [15:0] a, b, output [31:0] y);\n  assign y = a * b;\nendmodule\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "required"),
        (("fly",), "invalid choice"),
        (("evaluate", "classification_mnist"), "--data"),
        (("evaluate", "classification_mnist", "--data", "cifar"), "unknown data set"),
        (("evaluate", "clasification", "--data", "mnist:test:9"), "unknown model 'clasification'"),
        (
            ("evaluate", "classification_mnist", "--data", "mnist:test:9", "--bind", "mulf=fmull"),
            "did you mean",
        ),
        (
            ("evaluate", "classification_mnist", "--data", "mnist:test:9")
            + ("--bind", "mulf=fmul_trunc:P=23"),
            "P = 23 is not in 0..22",
        ),
        (
            ("evaluate", "classification_mnist", "--data", "mnist:test:9")
            + ("--bind", "mulf@conv9=fmul_trunc:P=2"),
            "conv9",
        ),
        (
            ("evaluate", "classification_mnist", "--data", "mnist:test:9", "--threads", "0"),
            "at least 1",
        ),
        (("compile", "classification_mnist", "--emit", "gates"), "unknown form 'gates'"),
        (("compile", "classification_mnist", "--batch", "0"), "at least 1"),
        (("compile", "classification_mnist", "--emit", "sv", "--batch", "2"), "batch of 1"),
        (("simulate", "no_such_bundle", "--data", "mnist:test:1"), "manifest.json"),
        (("synth", "no_such_core"), "unknown core"),
        (("synth", "fmul", "--target", "z80"), "z80"),
        (("cores", "check", "BAD.v", "--op", "mulf"), "BAD.v:2"),
        (("cores", "check", "NARROW.v", "--op", "mulf", "--level", "float"), "16 bits"),
        (("cores", "check", "MISSING.v"), "MISSING.v"),
        (("cores", "check", "fmul", "--param", "LATENCY"), "write NAME=VALUE"),
        (("cores", "check", "fmul", "--param", "LATENCY=٣"), "ASCII digits"),
        (("cores", "check", "fmul", "--param", "LATENCY=1", "--param", "LATENCY=2"), "twice"),
        (("cores", "check", "fmul", "--top", "fmul"), "--top describes Verilog files"),
        (("cores", "check", "fmul", "--include", "."), "--include describes Verilog files"),
        (("cores", "check", "fmul", "--op", "addf"), "computes mulf, not addf"),
        (("cores", "check", "fmul", "--strategy", "magic"), "--strategy 'magic': one of native"),
        (("cores", "check", "fmul", "--vectors", "-1"), "--vectors must be from 0"),
        (("cores", "check", "fmul", "--vectors", "٣"), "not an integer"),
        (("cores", "check", "fmul", "--seed", "-1"), "--seed must not be negative"),
        (("cores", "check", "fmul", "fadd", "--model", "m.c"), "one core at a time"),
        (("cores", "check", "fmul", "--model", "m.c:2"), "write FILE.c or FILE.c:FUNCTION"),
        (("cores", "check", "NARROW.v", "--level", "gate"), "--level 'gate': one of float"),
        (("cores", "check", "NARROW.v", "--align", "up"), "--align 'up': one of right"),
        (("cores", "check", "NARROW.v", "--latency", "1.5"), "clock cycles or a parameter's name"),
        (("cores", "characterize", "NARROW.v", "--op", "mul"), "unknown operation 'mul'"),
        (("cores", "characterize", "fmul", "fadd"), "one core at a time"),
        (("cores", "characterize", "fmul", "--distribution", "flat"), "unknown distribution"),
        (("cores", "characterize", "fmul", "--samples", "1e6"), "give a number or 'all'"),
        (("cores", "characterize", "fmul", "--samples", "0"), "samples must be from 1"),
        (("cores", "characterize", "fmul", "--threads", "0"), "at least 1"),
        (("cores", "characterize", "fmul", "--operands", "MISSING.npz"), "MISSING.npz"),
        (("cores", "characterize", "fmul", "--data", "mnist:test"), "--data is for --network"),
        (("cores", "characterize", "fmul", "--network", "n"), "--network needs --data"),
        (
            ("cores", "characterize", "fmul", "--operands", "a", "--distribution", "normal"),
            "not both",
        ),
        (
            ("cores", "characterize", "drum", "--network", "n", "--data", "mnist:test"),
            "networks compute floats",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(capfd, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "BAD.v").write_text(BAD_VERILOG)
    (tmp_path / "NARROW.v").write_text(NARROW_VERILOG)
    status, out, err = run(capfd, *arguments)
    assert (status, out) == (2, ""), err
    assert message in err and len(err.strip().splitlines()) == 1, err


def test_unsupported_op_is_named_with_its_location(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strange_net.py").write_text(
        "import jax, jax.numpy as jnp, numpy as np\n"
        "def net():\n"
        "    def fn(x):\n"
        "        with jax.named_scope('odd'):\n"
        "            return jax.lax.population_count(x.astype(jnp.int32))\n"
        "    return fn, (np.ones((1, 2), np.float32),)\n"
    )
    status, _, err = run(capfd, "compile", "strange_net:net", "--emit", "approx")
    assert status == 2 and re.search(r"math\.ctpop.*odd", err), err
    assert len(err.strip().splitlines()) == 1


def test_data_of_the_wrong_shape(capfd, tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, x=np.zeros((2, 5)), y=np.zeros(2, int))
    status, _, err = run(capfd, "evaluate", "classification_mnist", "--data", path)
    assert status == 2 and "samples have the shape 5, the network takes 784" in err


@pytest.mark.parametrize("arguments", [["--help"], ["explore", "--help"], ["cores", "nosuch"]])
def test_what_needs_no_compiler_loads_none(arguments):
    """Help and errors of the command line load neither a framework nor NumPy nor the compiler."""
    script = (
        "import contextlib, sys\n"
        "from asnet_mlir.cli.main import main\n"
        f"with contextlib.suppress(SystemExit): main({arguments})\n"
        "heavy = {'jax', 'mlir', 'numpy', 'asnet_mlir.cores', 'asnet_mlir.binding'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_import_is_light_and_works_in_any_order():
    """`import asnet_mlir` loads no framework; JAX before or after it makes no difference."""
    script = (
        "import sys, asnet_mlir\n"
        "heavy = {'jax', 'keras', 'mlir', 'circt', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    for order in ("import jax, asnet_mlir", "import asnet_mlir, jax", "import keras, asnet_mlir"):
        script = f"{order}\nasnet_mlir.compile('classification_mnist', 'approx')\n"
        subprocess.run(
            [sys.executable, "-c", script], check=True, env={"KERAS_BACKEND": "jax", "HOME": "/tmp"}
        )
