# SPDX-License-Identifier: Apache-2.0
"""Quantised networks shaped as MLPerf Tiny's, with random weights, as TensorFlow Lite files."""

import numpy as np
from tflite_files import File

SAME = {"padding": 0, "dilationHFactor": 1, "dilationWFactor": 1}


class Stack:
    """Layers one after the other; scales keep codes in the middle of their range."""

    def __init__(self, seed, shape):
        self.rng, self.file = np.random.default_rng(seed), File()
        self.shape, self.scale, self.zero = tuple(shape), 0.05, -10
        self.at = self.input = self.file.tensor("input", [1, *shape], "int8", 0.05, -10)
        self.count = 0

    def _next(self, name, shape, scale, zero):
        self.count += 1
        self.shape, self.scale, self.zero = tuple(shape), scale, zero
        self.at = self.file.tensor(f"net/{name}_{self.count}", [1, *shape], "int8", scale, zero)
        return self.at

    def _weights(self, shape, axis, fan_in):
        channels = shape[axis]
        codes = self.rng.integers(-127, 128, shape).astype(np.int8)
        scales = (self.rng.uniform(1.8, 3.7, channels) / 127 / np.sqrt(fan_in)).astype(np.float32)
        kernel = self.file.constant(f"w{self.count}", codes, scales, axis=axis)
        bias = self.rng.integers(-2000, 2000, channels).astype(np.int32)
        of_bias = scales * np.float32(self.scale)
        return kernel, self.file.constant(f"b{self.count}", bias, of_bias)

    def conv(self, channels, size, stride=1, activation=1):
        h, w, c = self.shape
        weights = self._weights((channels, *size, c), 0, size[0] * size[1] * c)
        given = self.at
        shape = (-(-h // stride), -(-w // stride), channels)
        out = self._next("Conv2D", shape, self.scale, -128 if activation else 4)
        self.file.op(
            "CONV_2D", [given, *weights], [out], 3, kind="Conv2DOptions", strideH=stride,
            strideW=stride, fusedActivationFunction=activation, **SAME,
        )  # fmt: skip
        return self

    def depthwise(self, stride=1):
        h, w, c = self.shape
        weights, given = self._weights((1, 3, 3, c), 3, 9), self.at
        out = self._next("depthwise", (-(-h // stride), -(-w // stride), c), self.scale, -128)
        self.file.op(
            "DEPTHWISE_CONV_2D", [given, *weights], [out], 3, kind="DepthwiseConv2DOptions",
            strideH=stride, strideW=stride, depthMultiplier=1, fusedActivationFunction=1, **SAME,
        )  # fmt: skip
        return self

    def dense(self, channels, activation=0):
        n = int(np.prod(self.shape))
        weights, given = self._weights((channels, n), 0, n), self.at
        out = self._next("MatMul", (channels,), self.scale, -128 if activation else 4)
        self.file.op(
            "FULLY_CONNECTED", [given, *weights], [out], 4, kind="FullyConnectedOptions",
            fusedActivationFunction=activation,
        )  # fmt: skip
        return self

    def pool(self):
        h, w, c = self.shape
        given, out = self.at, self._next("AvgPool", (1, 1, c), self.scale, self.zero)
        self.file.op(
            "AVERAGE_POOL_2D", [given], [out], 2, kind="Pool2DOptions", padding=1, strideH=h,
            strideW=w, filterHeight=h, filterWidth=w,
        )  # fmt: skip
        return self

    def flat(self):
        n = int(np.prod(self.shape))
        shape = self.file.constant("shape", np.array([1, -1], np.int32))
        given, out = self.at, self._next("Reshape", (n,), self.scale, self.zero)
        self.file.op("RESHAPE", [given, shape], [out], kind="ReshapeOptions")
        return self

    def residual(self, channels, stride):
        start = self.at, self.shape, self.scale, self.zero
        self.conv(channels, (3, 3), stride).conv(channels, (3, 3), activation=0)
        left = self.at
        if stride > 1:
            self.at, self.shape, self.scale, self.zero = start
            self.conv(channels, (1, 1), stride, activation=0)
            right = self.at
        else:
            right = start[0]
        out = self._next("add", self.shape, self.scale * 1.5, -128)
        self.file.op("ADD", [left, right], [out], 2, kind="AddOptions", fusedActivationFunction=1)
        return self

    def softmax(self):
        given, out = self.at, self._next("Softmax", self.shape, 1 / 256, -128)
        self.file.op("SOFTMAX", [given], [out], 2, kind="SoftmaxOptions", beta=1.0)
        return self

    def content(self):
        return self.file.content([self.input], [self.at])


def resnet8():
    """ResNet-8, on 16 x 16 pixels: three stacks of two convolutions and a short cut."""
    net = Stack(0, (16, 16, 3)).conv(16, (3, 3)).residual(16, 1).residual(32, 2).residual(64, 2)
    return net.pool().flat().dense(10).content()


def ds_cnn():
    """DS-CNN for keywords, two of its four separable blocks."""
    net = Stack(1, (49, 10, 1)).conv(64, (10, 4), 2)
    for _ in range(2):
        net.depthwise().conv(64, (1, 1))
    return net.pool().flat().dense(12).softmax().content()


def mobilenet():
    """MobileNetV1 with a quarter of the channels, on 32 x 32 pixels."""
    net = Stack(2, (32, 32, 3)).conv(8, (3, 3), 2)
    for channels, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (256, 2)):
        net.depthwise(stride).conv(channels, (1, 1))
    return net.pool().flat().dense(2).content()


def autoencoder():
    """The autoencoder for machine sounds: dense layers of 128 around a bottleneck of 8."""
    net = Stack(3, (640,))
    for channels in (128, 128, 8, 128, 128):
        net.dense(channels, activation=1)
    return net.dense(640).content()
