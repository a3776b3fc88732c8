# SPDX-License-Identifier: Apache-2.0
"""ATen ops against PyTorch, many in one program: each gives some columns of the output."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.torch import TORCH_TRANSLATIONS

INDEX = torch.tensor([3, 0, -1, 2])
MASK = torch.tensor([True, False, True, True, False, True])

#: On positive and negative numbers [n, 12].
ELEMENTWISE = [
    torch.abs, torch.neg, torch.sign, torch.square, torch.exp, torch.exp2, torch.expm1, torch.tanh,
    torch.sigmoid, torch.erf, torch.sin, torch.cos, torch.atan, torch.sinh, torch.cosh, torch.round,
    torch.ceil, torch.floor, torch.trunc, torch.isnan, torch.isinf, torch.relu, F.silu, F.mish,
    F.hardswish, F.hardsigmoid, F.selu, F.celu, F.softsign, F.logsigmoid, F.relu6, F.tanhshrink,
    F.elu, F.gelu, F.softplus, F.hardtanh, F.hardshrink, F.softshrink, F.leaky_relu, F.glu,
    lambda x: F.elu(x, 0.7), lambda x: F.gelu(x, approximate="tanh"), lambda x: F.celu(x, 0.5),
    lambda x: F.softplus(x, 2.0, 1.0), lambda x: F.hardtanh(x, -0.3, 0.4), lambda x: x.clamp(min=0),
    lambda x: x.clamp(-0.5, 0.5), lambda x: F.leaky_relu(x, 0.2), lambda x: F.threshold(x, 0.1, 7),
    lambda x: F.hardshrink(x, 0.2), lambda x: x**2, lambda x: x**3, lambda x: x.abs() ** 0.5,
    lambda x: x.abs() ** 1.5, lambda x: 2.0**x, lambda x: x.abs().pow(x), lambda x: x.abs().log(),
    lambda x: x.abs().log1p(), lambda x: x.abs().log2(), lambda x: x.abs().log10(),
    lambda x: x.abs().sqrt(), lambda x: (x.abs() + 1).rsqrt(), lambda x: 1 / (x.abs() + 1),
    lambda x: (x / 4).tan(), lambda x: (x / 9).asin(), lambda x: (x / 9).acos(),
    lambda x: x + 2, lambda x: 2 - x, lambda x: torch.sub(x, x.flip(1), alpha=3), lambda x: x * 3,
    lambda x: torch.add(x, x.flip(1), alpha=2), lambda x: x / 3, lambda x: x // 0.3,
    lambda x: torch.div(x, 0.3, rounding_mode="trunc"), lambda x: x % 0.7, lambda x: x.fmod(0.7),
    lambda x: torch.atan2(x, x.flip(1)), lambda x: torch.maximum(x, x.flip(1)),
    lambda x: torch.minimum(x, x.flip(1)), lambda x: torch.where(x > 0, x, 5.0),
    lambda x: torch.where(x > x.flip(1), x, x.flip(1)), lambda x: x.masked_fill(x < 0, -2.0),
    lambda x: x.eq(0), lambda x: x.ne(1), lambda x: x >= 0, lambda x: x <= x.flip(1),
    lambda x: x < 0, lambda x: (x > 0) & (x < 1), lambda x: (x > 0) | (x < -1),
    lambda x: (x > 0) ^ (x < 1), lambda x: ~(x > 0), lambda x: torch.logical_and(x > 0, x < 1),
    lambda x: (x > 0).logical_not(),
    lambda x: (4 * x).int() // 3, lambda x: (4 * x).int() % 3, lambda x: (4 * x).int() / 3,
    lambda x: torch.div((4 * x).int(), 3, rounding_mode="trunc"), lambda x: (4 * x).long() * 2.5,
    lambda x: torch.lerp(x, x.flip(1), 0.3), lambda x: torch.addcmul(x, x, x.flip(1), value=0.5),
    lambda x: torch.addcdiv(x, x, x.flip(1).abs() + 1), lambda x: x.type(torch.int32),
    lambda x: x + torch.arange(12), lambda x: x * torch.linspace(0, 1, 12), lambda x: x.new_full(
        (x.shape[0], 2), 3.0), lambda x: torch.zeros_like(x) + 1, lambda x: torch.full_like(x, 2),
    lambda x: x * torch.ones(12), lambda x: x @ torch.eye(12), lambda x: x.clone().relu_().mul_(2),
    lambda x: x.detach().contiguous(), lambda x: F.dropout(x, 0.5, training=False),
]  # fmt: skip

#: On [n, 4, 6].
SHAPES = [
    lambda x: x.reshape(x.shape[0], 6, 4), lambda x: x.view(-1, 24), lambda x: x.flatten(1),
    lambda x: x.unflatten(2, (2, 3)), lambda x: x.transpose(1, 2), lambda x: x.permute(0, 2, 1),
    lambda x: x.movedim(1, 2), lambda x: x.unsqueeze(1).squeeze(1), lambda x: x[:, :1].squeeze(),
    lambda x: x[:, 1], lambda x: x[:, 1:3], lambda x: x[:, :, ::2], lambda x: x[:, -2:, 1:-1],
    lambda x: x.narrow(1, 1, 2), lambda x: x.select(2, -1), lambda x: x[:, INDEX],
    lambda x: x.index_select(1, INDEX % 4), lambda x: x[:, :, MASK], lambda x: x[:, INDEX, INDEX],
    lambda x: x.gather(2, (x.argmax(2, keepdim=True) % 6)), lambda x: x.flip(1, 2),
    lambda x: x.roll(1, 2), lambda x: x.roll((1, 2), (1, 2)), lambda x: torch.cat([x, x * 2], 1),
    lambda x: torch.stack([x, x * 2], 1), lambda x: torch.stack(x.unbind(1), 2),
    lambda x: torch.cat(x.split(2, 2), 1), lambda x: torch.cat(x.split([1, 5], 2)[::-1], 2),
    lambda x: torch.cat(x.chunk(4, 2)[::-1], 2), lambda x: x.repeat(1, 2, 1), lambda x: x.tile(2),
    lambda x: x[:, :1].expand(-1, 3, -1), lambda x: F.pad(x, (1, 2)), lambda x: F.pad(
        x, (1, 2, 0, 1), value=3.0), lambda x: F.pad(x, (1, 2), "reflect"), lambda x: F.pad(
        x, (1, 2), "replicate"), lambda x: F.pad(x, (1, 2), "circular"), lambda x: x.tril(),
    lambda x: x.triu(1), lambda x: x.mean(1), lambda x: x.mean((1, 2)), lambda x: x.sum(2, True),
    lambda x: x.prod(2), lambda x: x.amax(2), lambda x: x.amin((1, 2)), lambda x: x.max(2)[0],
    lambda x: x.max(2)[1], lambda x: x.min(2).values, lambda x: x.argmax(2), lambda x: x.argmin(1),
    lambda x: (x > 0).any(2), lambda x: (x > 0).all(2), lambda x: x.var(2), lambda x: x.std((1, 2)),
    lambda x: x.var(2, correction=0), lambda x: torch.var_mean(x, 2)[1], lambda x: x.norm(dim=2),
    lambda x: torch.linalg.vector_norm(x, 1, 2), lambda x: x.logsumexp(2), lambda x: x.cumsum(2),
    lambda x: x.softmax(2), lambda x: x.log_softmax(1), lambda x: x.topk(3, 2).values,
    lambda x: x.topk(2, 2, largest=False)[1], lambda x: x.log_softmax(-1), lambda x: x @ x.mT,
    lambda x: torch.bmm(x, x.mT), lambda x: torch.einsum("nij,nkj->nik", x, x), lambda x: x.matmul(
        torch.arange(6.0)), lambda x: torch.baddbmm(x @ x.mT, x, x.mT, beta=0.5, alpha=2),
    lambda x: F.one_hot(x.argmax(2), 6), lambda x: F.normalize(x, dim=2), lambda x: F.rms_norm(
        x, (6,)), lambda x: F.layer_norm(x, (4, 6)),
    lambda x: F.scaled_dot_product_attention(x, x, x),
    lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=torch.ones(4, 4).tril().bool()),
    lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=torch.ones(4, 4).tril(), scale=2.0),
    lambda x: F.embedding(x.argmax(2), torch.arange(18.0).reshape(6, 3)),
    lambda x: F.max_pool1d(x, 2),
    lambda x: F.avg_pool1d(x, 3, 2, 1), lambda x: F.interpolate(x, scale_factor=2, mode="linear"),
    lambda x: F.conv1d(x, torch.arange(24.0).reshape(2, 4, 3), padding=1),
    lambda x: torch.select_scatter(x, x[:, 0], 1, 2), lambda x: x.slice_scatter(x[:, :2], 1, 1, 3),
]  # fmt: skip

KERNEL = torch.linspace(-1, 1, 4 * 2 * 9).reshape(4, 2, 3, 3)

#: On [n, 4, 6, 7].
IMAGES = [
    lambda x: F.conv2d(x, KERNEL, groups=2, stride=(1, 2), padding=(1, 0)), lambda x: F.conv2d(
        x, KERNEL, torch.arange(4.0), dilation=2, groups=2), lambda x: F.conv2d(
        x, KERNEL, padding="same", groups=2),
    lambda x: F.conv2d(x, KERNEL, padding="valid", groups=2),
    lambda x: F.conv_transpose2d(x, KERNEL, stride=2, padding=1, output_padding=1),
    lambda x: F.conv_transpose2d(x, KERNEL, groups=2, dilation=2),
    lambda x: F.max_pool2d(x, 3, 2, 1),
    lambda x: F.max_pool2d(x, (2, 3), ceil_mode=True), lambda x: F.max_pool2d(x, 2, 1, dilation=2),
    lambda x: F.avg_pool2d(x, 3, 2, 1), lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    lambda x: F.avg_pool2d(x, 2, ceil_mode=True), lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    lambda x: F.adaptive_avg_pool2d(x, 1), lambda x: F.adaptive_avg_pool2d(x, (3, 7)),
    lambda x: F.adaptive_avg_pool2d(x, (4, 5)), lambda x: F.adaptive_avg_pool2d(x, (None, 2)),
    lambda x: F.adaptive_max_pool2d(x, 1), lambda x: F.adaptive_max_pool2d(x, (2, 7)),
    lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), lambda x: F.interpolate(
        x, (9, 4), mode="nearest"), lambda x: F.interpolate(x, (9, 4), mode="nearest-exact"),
    lambda x: F.interpolate(x, (9, 11), mode="bilinear", align_corners=True),
    lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"), lambda x: F.interpolate(
        x, (11, 9), mode="bicubic"), lambda x: F.group_norm(x, 2), lambda x: F.group_norm(
        x, 2, torch.arange(4.0), torch.ones(4)), lambda x: F.instance_norm(x),
    lambda x: F.batch_norm(x, torch.arange(4.0), torch.arange(1.0, 5)),
    lambda x: F.prelu(x, torch.arange(4.0)),
    lambda x: F.pixel_shuffle(x, 2), lambda x: F.pixel_unshuffle(x[..., :6], 2),
    lambda x: F.channel_shuffle(x, 2), lambda x: F.local_response_norm(x, 3), lambda x: F.pad(
        x, (1, 2, 2, 1), "reflect"), lambda x: x.mean((2, 3)), lambda x: x + torch.arange(7.0),
    lambda x: x * torch.arange(4.0)[:, None, None], lambda x: F.linear(x, torch.ones(3, 7)),
    lambda x: F.conv3d(x[:, :, None], torch.ones(2, 4, 1, 2, 2)), lambda x: F.max_pool3d(
        x[:, None], 2),
    lambda x: torch.addmm(torch.ones(3), x[:, 0, 0], torch.ones(7, 3), alpha=2),
]  # fmt: skip


class All(nn.Module):
    def __init__(self, functions):
        super().__init__()
        self.functions = functions

    def parts(self, x):
        return [f(x).float().reshape(x.shape[0], -1) for f in self.functions]

    def forward(self, x):
        return torch.cat(self.parts(x), 1)


@pytest.mark.parametrize(
    ("functions", "shape"),
    [(ELEMENTWISE, (12,)), (SHAPES, (4, 6)), (IMAGES, (4, 6, 7))],
    ids=["elementwise", "shapes", "images"],
)
def test_ops(functions, shape):
    model, x = All(functions), torch.randn(3, *shape)
    got = load_model((model, (x,))).reference(x.numpy())
    start = 0
    for index, part in enumerate(model.parts(x)):
        expected = part.numpy()
        own = got[:, start : start + expected.shape[1]]
        np.testing.assert_allclose(own, expected, 1e-4, 1e-5, err_msg=f"function {index}")
        start += expected.shape[1]
    assert start == got.shape[1]


def test_how_many_ops_are_read():
    assert len(TORCH_TRANSLATIONS) > 200
