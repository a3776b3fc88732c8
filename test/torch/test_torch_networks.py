# SPDX-License-Identifier: Apache-2.0
"""Networks of PyTorch against PyTorch's own outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch_networks import NETWORKS, Recurrent, residual, trained

import asnet_mlir
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends import load_model


def outputs(model, x):
    with torch.no_grad():
        return model(x).numpy()


def compare(network, model, x, near=5e-6):
    expected = outputs(model, x)
    got = asnet_mlir.run(network, x.numpy()).outputs
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= near * np.abs(expected).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_module(name):
    make, shape = NETWORKS[name]
    model, x = trained(make()), torch.randn(5, *shape)
    network = load_model((model, (x[:1],)))
    assert network.fixed_batch is None
    compare(network, model, x)


def test_the_same_from_a_module_a_program_and_a_file(tmp_path):
    """In training as in evaluation; what the module was in stays."""
    model, x = trained(residual()), torch.randn(2, 3, 16, 16)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    torch.export.save(program, tmp_path / "net.pt2")
    model.train()
    model[0].eval()
    networks = [load_model(given) for given in ((model, (x,)), program, tmp_path / "net.pt2")]
    assert model.training and model[1].training and not model[0].training
    texts = {network.stablehlo(1) for network in networks}
    assert len(texts) == 1
    text = texts.pop()
    assert '"jit(flat)/4.conv1/' in text and "/5.shortcut.0/" in text
    assert text.count("stablehlo.transpose") <= 2


def test_core_aten_ops(tmp_path):
    """What PyTorch takes apart is read as well: other ops, the same network."""
    model, x = trained(residual()), torch.randn(2, 3, 16, 16)
    program = torch.export.export(model, (x,)).run_decompositions()
    torch.export.save(program, tmp_path / "net.pt2")
    compare(load_model(tmp_path / "net.pt2"), model, x)


def test_a_batch_that_the_module_fixes():
    class Fixed(nn.Module):
        def forward(self, x):
            return torch.tanh(x.reshape(4, 6))

    model, x = Fixed(), torch.randn(4, 2, 3)
    network = load_model((model, (x,)))
    assert network.fixed_batch == 4
    compare(network, model, x)


def test_ops_that_are_taken_apart():
    """An op that is not read whole, and one in place on a view."""

    class Rare(nn.Module):
        def forward(self, x):
            y = x.clone()
            y[:, 1].mul_(3)
            return torch.logaddexp(y, x.flip(-1))

    x = torch.randn(3, 4)
    compare(load_model((Rare(), (x,))), Rare(), x)


def test_half_precision():
    model, x = trained(NETWORKS["perceptron"][0]()).bfloat16(), torch.randn(4, 6).bfloat16()
    network = load_model((model, (x,)))
    assert network.input_format.name == "bf16"


def spoilt(change):
    model = NETWORKS["perceptron"][0]()
    change(model)
    return model


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x)


class Choice(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@torch.library.custom_op("acme::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@twice.register_fake
def _(x):
    return torch.empty_like(x)


class Custom(nn.Module):
    def forward(self, x):
        return twice(x)


class Mixed(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        (Noise(), UnsupportedError, "Noise: op aten.randn_like.default.*gives random numbers"),
        (Choice(), InputError, "Choice: PyTorch can't export it"),
        (Custom(), UnsupportedError, "op acme.twice.default of layer 'twice': is a custom op"),
        (Mixed(), UnsupportedError, "mixes the samples of a batch"),
        (Recurrent(nn.LSTM, proj_size=2), UnsupportedError, "proj_size"),
    ],
)
def test_what_is_refused(model, kind, message):
    shape = (4, 3) if isinstance(model, Recurrent) else (4,)
    if isinstance(model, Recurrent):
        model.head = nn.Linear(2, 3)
    with pytest.raises(InputError, match=message) as error:
        load_model((model, (torch.randn(2, *shape),)))
    assert type(error.value) is kind
    assert "\n" not in str(error.value)


def test_a_module_alone():
    with pytest.raises(InputError, match=r"does not say its input's shape; give \(module, \(x,\)"):
        load_model(nn.Linear(2, 3))
    with pytest.raises(InputError, match="must be tensors of PyTorch"):
        load_model((nn.Linear(2, 3), (np.zeros((1, 2), np.float32),)))


def test_files_of_other_kinds(tmp_path):
    torch.save(nn.Linear(2, 3), tmp_path / "net.pt2")
    with pytest.raises(InputError, match="is a pickle .* is never loaded"):
        load_model(tmp_path / "net.pt2")
    torch.jit.save(torch.jit.script(nn.Linear(2, 3)), tmp_path / "net.pt2")
    with pytest.raises(InputError, match="is a pickle .* is never loaded"):
        load_model(tmp_path / "net.pt2")
