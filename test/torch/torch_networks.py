# SPDX-License-Identifier: Apache-2.0
"""Small networks of PyTorch, one of each kind, with the shape of a sample."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def trained(model):
    """Return a module whose statistics are not those of a new one."""
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, float("norm" in name and name.endswith("weight")), 0.2)
    return model.eval()


class Block(nn.Module):
    """A residual block of ResNet, with what it does in place."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
        y += self.shortcut(x)
        return self.relu(y)


def residual(width=4, classes=3):
    """ResNet18's parts, narrow."""
    layers = [nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True),
              nn.MaxPool2d(3, 2, 1)]  # fmt: skip
    layers += [Block(width, width), Block(width, 2 * width, 2)]
    layers += [nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(2 * width, classes)]
    return nn.Sequential(*layers)


class Inverted(nn.Module):
    """A block of MobileNetV2."""

    def __init__(self, channels):
        super().__init__()
        inside = 3 * channels
        self.layers = nn.Sequential(
            nn.Conv2d(channels, inside, 1, bias=False), nn.BatchNorm2d(inside), nn.ReLU6(True),
            nn.Conv2d(inside, inside, 3, padding=1, groups=inside, bias=False),
            nn.BatchNorm2d(inside), nn.ReLU6(True),
            nn.Conv2d(inside, channels, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x):
        return x + self.layers(x)


def mobile():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.Hardswish(), Inverted(4), nn.AdaptiveAvgPool2d(3),
        nn.Dropout(0.3), nn.Flatten(), nn.Linear(36, 3),
    )  # fmt: skip


class Dense(nn.Module):
    """A block and a transition of DenseNet."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(c), nn.ReLU(inplace=True), nn.Conv2d(c, 2, 3, padding=1))
            for c in (3, 5, 7)
        )
        self.transition = nn.Sequential(nn.Conv2d(9, 4, 1), nn.AvgPool2d(2, 2))
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        parts = [x]
        for layer in self.layers:
            parts.append(layer(torch.cat(parts, 1)))
        x = self.transition(torch.cat(parts, 1))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Mixer(nn.Module):
    """One layer of an MLP-mixer."""

    def __init__(self, width=8, tokens=16):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, 4)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens = nn.Sequential(nn.Linear(tokens, 8), nn.GELU(), nn.Linear(8, tokens))
        self.channels = nn.Sequential(nn.Linear(width, 8), nn.GELU("tanh"), nn.Linear(8, width))
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return self.head((x + self.channels(self.norm2(x))).mean(1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = (
            nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(inplace=True))
            for i, o in ((3, 4), (4, 8), (8, 4))
        )
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.out = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        skip = self.first(x)
        x = self.second(F.max_pool2d(skip, 2))
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = self.up(F.interpolate(x, size=skip.shape[2] // 2, mode="nearest"))
        return self.out(self.last(torch.cat([skip, x], 1)))


class Transformer(nn.Module):
    """Two layers of an encoder, behind a token of its own and places."""

    def __init__(self, **options):
        super().__init__()
        self.places = nn.Parameter(torch.randn(1, 7, 8))
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **options)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.head(self.encoder(x)[:, 0])


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.rnn = kind(3, 5, batch_first=True, **options)
        self.head = nn.Linear(5 * (1 + options.get("bidirectional", False)), 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


def perceptron():
    return nn.Sequential(nn.Linear(6, 8), nn.SELU(), nn.Linear(8, 3), nn.Softmax(-1))


NETWORKS = {
    "perceptron": (perceptron, (6,)),
    "residual": (residual, (3, 16, 16)),
    "mobile": (mobile, (3, 16, 16)),
    "dense": (Dense, (3, 8, 8)),
    "mixer": (Mixer, (3, 16, 16)),
    "unet": (UNet, (3, 8, 8)),
    "transformer": (Transformer, (6, 8)),
    "transformer_gelu": (lambda: Transformer(norm_first=True, activation="gelu"), (6, 8)),
    "gru": (lambda: Recurrent(nn.GRU, num_layers=2, bidirectional=True), (4, 3)),
    "lstm": (lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True), (4, 3)),
    "rnn": (lambda: Recurrent(nn.RNN, nonlinearity="relu"), (4, 3)),
}
