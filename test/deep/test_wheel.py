# SPDX-License-Identifier: Apache-2.0
"""The wheel, in a fresh environment and away from the checkout: nothing is missing in it."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_wheel_goes_the_whole_way(tmp_path):
    def run(*command, **environment):
        return subprocess.run(
            [str(part) for part in command],
            cwd=tmp_path,
            env={**os.environ, "ASNET_CACHE_DIR": str(tmp_path / "cache"), **environment},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    wheels = tmp_path / "wheels"
    bin_folder = Path(sys.executable).parent
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT, PATH=path)
    (wheel,) = wheels.glob("asnet_mlir-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    # Of C++, what bundles and their simulations are made of; of MNIST, no training images.
    assert [n for n in names if Path(n).suffix in {".cpp", ".h", ".td"}] == [
        "asnet_mlir/hardware/bundle/bench.cpp",
        "asnet_mlir/hardware/bundle/templates/control.cpp",
        "asnet_mlir/hardware/simulation/stage_models.cpp",
    ]
    assert [n for n in names if "train-" in n] == []
    assert "asnet_mlir/py.typed" in names

    venv.create(tmp_path / "venv", with_pip=True)
    fresh = tmp_path / "venv" / "bin"
    pip = (fresh / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    run(*pip, "--no-deps", "--require-hashes", "-r", ROOT / "requirements" / "lock.txt")
    run(*pip, "--no-deps", wheel)

    asnet = fresh / "asnet"
    evaluate = ("evaluate", "classification_mnist", "--data", "mnist:test", "--json")
    value = json.loads(run(asnet, *evaluate, "--bind", "mulf=fmul_trunc:P=20"))
    assert value["accuracy"] > 0.9
    run(asnet, "generate", "classification_mnist", "-o", "bundle", "--bind", "mulf=fmul_trunc:P=20")
    value = json.loads(
        run(asnet, "simulate", "bundle", "--data", "mnist:test", "-n", "3", "--json")
    )
    assert (value["samples"], value["mismatches"]) == (3, 0)
    assert "approx-bind-instances" in run(fresh / "asnet-opt", "--help")
    assert "hw" in run(fresh / "asnet-hw-opt", "--help")

    # Without a compiler, what to install is said.
    done = subprocess.run(
        [asnet, "cores", "check", "fmul_trunc:P=3"],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        check=False,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 1
    assert "'g++' is not installed; install a C++ compiler (Debian's package g++)" in done.stderr
