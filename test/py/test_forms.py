# SPDX-License-Identifier: Apache-2.0
"""Every form that is printed can be read by the tool of the next one, layers included."""

import subprocess
import sys
from pathlib import Path

import pytest

import asnet_mlir
from asnet_mlir.errors import InputError
from asnet_mlir.frontends.weights import weights_file_of, write_weights
from asnet_mlir.support.forms import FORMS

RULES = {
    "classification_mnist": "mulf@dense=fmul_trunc:P=20",
    "convolutional_mnist": "mulf@conv2=fmul_trunc:P=20",
    "convolutional_svhn": "mulf@dense1=fmul_trunc:P=20",
}


@pytest.fixture(scope="module", params=list(RULES))
def network(request):
    return asnet_mlir.load_model(request.param)


@pytest.mark.parametrize("form", ["stablehlo", "approx", "bound"])
def test_models_are_read_again(network, tmp_path, form):
    file = tmp_path / f"{network.name}.mlir"
    file.write_text(asnet_mlir.compile(network, form))
    weights = (network.unfolded or network if form == "stablehlo" else network).weights
    write_weights(weights_file_of(file), weights)
    rule = RULES[network.name]
    bound = asnet_mlir.compile(network, "bound", rule)
    assert "instance = 1" in bound
    assert asnet_mlir.compile(str(file), "bound", rule) == bound


@pytest.mark.parametrize("style", ["shared", "stream"])
def test_schedules_are_read_by_the_tool_of_hardware(network, tmp_path, style):
    rule = RULES[network.name]
    file = tmp_path / "scheduled.mlir"
    file.write_text(asnet_mlir.compile(network, "scheduled", rule, style=style))
    done = subprocess.run(
        [Path(sys.executable).with_name("asnet-hw-opt"), file, f"--name={network.name}"],
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout == asnet_mlir.compile(network, "sv", rule, style=style)


def test_forms_that_are_no_models_say_so(mlp, tmp_path):
    for form in FORMS:
        for style in ("shared", "stream") if form in ("scheduled", "hw", "sv") else ("shared",):
            file = tmp_path / "net.mlir"
            file.write_text(asnet_mlir.compile(mlp, form, style=style))
            if form in ("stablehlo", "approx", "bound"):
                write_weights(weights_file_of(file), mlp.weights)
                asnet_mlir.load_model(file)
                continue
            message = f"is of the form '{form}', which is no model; models are of the forms"
            with pytest.raises(InputError, match=message):
                asnet_mlir.load_model(file)
