# SPDX-License-Identifier: Apache-2.0
"""Random networks on integer codes: layers of all kinds, odd sizes, strides, paddings, branches."""

import numpy as np

import asnet_mlir
from asnet_mlir.frontends.program import from_program
from asnet_mlir.quantized import Builder, Quantization


class Random:
    """A network of some layers, drawn with a seed; a network of images becomes one of vectors."""

    def __init__(self, seed, layers=6):
        self.rng = np.random.default_rng(seed)
        self.count = 0
        self.kinds = []
        shape = (*self.rng.integers(3, 9, 2).tolist(), int(self.rng.integers(1, 7)))
        if self.rng.random() < 0.2:
            shape = shape[-1:]
        self.net = Builder(f"random_{seed}", shape, self.codes())
        self.x = self.net.input
        for _ in range(layers):
            choices = self.on_images if len(self.x.shape) == 3 else self.on_vectors
            kind = choices[int(self.rng.integers(len(choices)))]
            self.kinds.append(kind.__name__)
            self.x = kind(self)
        if len(self.x.shape) == 3:
            self.x = self.flat()
        self.x = self.dense()

    def network(self):
        """Return the network."""
        return from_program(self.net.program(self.x))

    def codes(self, low=0.02, high=0.12):
        zero = int(self.rng.integers(-128, 128))
        return Quantization(np.array([self.rng.uniform(low, high)]), np.array([zero]))

    def _name(self):
        self.count += 1
        return f"layer{self.count}"

    def _weights(self, *shape):
        channels, fan_in = shape[-1], int(np.prod(shape[:-1]))
        scale = self.rng.uniform(0.5, 1.5, channels) / np.sqrt(fan_in) / 64
        codes = self.rng.integers(-127, 128, shape).astype(np.int8)
        return codes, Quantization(scale, np.zeros(channels, int))

    def _bias(self, channels):
        if self.rng.random() < 0.3:
            return None
        return self.rng.integers(-800, 800, channels).astype(np.int32)

    def _activation(self):
        return None if self.rng.random() < 0.5 else (int(self.rng.integers(-60, 0)), 100)

    def _pads(self, kernel):
        """Return paddings less than the kernel."""
        return tuple(tuple(self.rng.integers(0, max(1, k), 2).tolist()) for k in kernel)

    def _kernel(self, pads_count=False):
        """Return a kernel, strides and paddings that fit."""
        most = [min(4, size) for size in self.x.shape[:2]]
        kernel = tuple(int(self.rng.integers(1, m + 1)) for m in most)
        strides = tuple(self.rng.integers(1, 4, 2).tolist())
        return kernel, strides, self._pads(kernel)

    def conv(self):
        (h, w), strides, padding = self._kernel()
        outputs = int(self.rng.integers(1, 9))
        weights = self._weights(h, w, self.x.shape[-1], outputs)
        return self.net.conv2d(
            self.x, *weights, self._bias(outputs), self.codes(), layer=self._name(),
            strides=strides, padding=padding, activation=self._activation(),
        )  # fmt: skip

    def dilated(self):
        h, w = (1 + (min(3, size) > 2) for size in self.x.shape[:2])
        weights = self._weights(h, w, self.x.shape[-1], 3)
        return self.net.conv2d(
            self.x, *weights, None, self.codes(), layer=self._name(), dilation=(2, 2)
        )

    def depthwise(self):
        kernel, strides, padding = self._kernel()
        inputs = self.x.shape[-1]
        outputs = inputs * int(self.rng.integers(1, 3))
        return self.net.conv2d(
            self.x, *self._weights(*kernel, 1, outputs), self._bias(outputs), self.codes(),
            layer=self._name(), strides=strides, padding=padding, groups=inputs,
        )  # fmt: skip

    def grouped(self):
        inputs = self.x.shape[-1]
        groups = next(g for g in (3, 2, 1) if inputs % g == 0)
        weights = self._weights(1, 1, inputs // groups, 2 * groups)
        return self.net.conv2d(
            self.x, *weights, None, self.codes(), layer=self._name(), groups=groups
        )

    def dense(self):
        outputs = int(self.rng.integers(1, 12))
        weights = self._weights(self.x.shape[-1], outputs)
        return self.net.dense(
            self.x, *weights, self._bias(outputs), self.codes(), layer=self._name()
        )

    def max_pool(self):
        kernel, strides, padding = self._kernel()
        return self.net.max_pool(
            self.x, kernel, layer=self._name(), strides=strides, padding=padding
        )

    def average_pool(self):
        kernel, strides, padding = self._kernel()
        if any(sum(pads) for pads in padding):
            padding = ((0, 0), (0, kernel[1] - 1))
        return self.net.average_pool(
            self.x, kernel, layer=self._name(), strides=strides, padding=padding
        )

    def residual(self):
        """Add what two layers make of one tensor, or what one makes of it to itself."""
        first = self.x
        weights = self._weights(3, 3, first.shape[-1], first.shape[-1])
        self.x = self.net.conv2d(
            first, *weights, None, self.codes(), layer=self._name(), padding=((1, 1), (1, 1))
        )
        return self.net.add(
            first, self.x, self.codes(), layer=self._name(), subtract=self.rng.random() < 0.3
        )

    def joined(self):
        """Join two branches along a dimension."""
        weights = self._weights(1, 1, self.x.shape[-1], self.x.shape[-1])
        other = self.net.conv2d(self.x, *weights, None, self.codes(), layer=self._name())
        axis = int(self.rng.integers(3))
        return self.net.concatenate([self.x, other], axis, self.codes(), layer=self._name())

    def gate(self):
        """Multiply each channel by what a sigmoid of its mean gives."""
        gate = self.net.mean(self.x, (0, 1), self.codes(), layer=self._name(), keep_dimensions=True)
        gate = self.net.function(
            gate, lambda x: 1 / (1 + np.exp(-x)), self.codes(), layer=self._name()
        )
        return self.net.multiply(self.x, gate, self.codes(), layer=self._name())

    def product(self):
        return self.net.multiply(self.x, self.x, self.codes(), layer=self._name())

    def shifted(self):
        """Add a constant of some shape that is broadcast."""
        shape = self.x.shape[-1:] if self.rng.random() < 0.5 else self.x.shape
        codes = self.codes()
        constant = self.net.constant(
            self.rng.integers(-128, 128, shape).astype(np.int8), codes, layer=self._name()
        )
        return self.net.add(self.x, constant, self.codes(), layer=self._name())

    def table(self):
        return self.net.function(self.x, np.tanh, self.codes(), layer=self._name())

    def softmax(self):
        return self.net.softmax(self.x, self.codes(), layer=self._name())

    def clamp(self):
        return self.net.clamp(self.x, (-50, 70), layer=self._name())

    def requantize(self):
        return self.net.requantize(self.x, self.codes(), layer=self._name())

    def mean(self):
        axes = [(0, 1), (1,), (0,), (2,)][int(self.rng.integers(4))]
        keep = True if len(axes) < 2 else bool(self.rng.random() < 0.5)
        return self.net.mean(self.x, axes, self.codes(), layer=self._name(), keep_dimensions=keep)

    def greatest(self):
        return self.net.greatest(self.x, (0,), layer=self._name(), keep_dimensions=True)

    def pad(self):
        padding = ((1, 0), (0, 2), (0, int(self.rng.integers(2))))
        return self.net.pad(self.x, padding, layer=self._name())

    def transpose(self):
        order = self.rng.permutation(3).tolist()
        return self.net.transpose(self.x, order, layer=self._name())

    def part(self):
        start = [int(self.rng.integers(0, size)) for size in self.x.shape]
        return self.net.slice(self.x, start, self.x.shape, [1, 2, 1], layer=self._name())

    def flat(self):
        return self.net.reshape(self.x, (int(np.prod(self.x.shape)),), layer=self._name())

    on_images = (
        conv, conv, dilated, depthwise, depthwise, grouped, max_pool, average_pool, residual,
        joined, gate, product, shifted, table, clamp, requantize, mean, greatest, pad, transpose,
        part, flat, softmax,
    )  # fmt: skip
    on_vectors = (dense, dense, shifted, table, clamp, requantize, softmax, product)


class Joins(Random):
    """A network in which several tensors, of chains of layers, are joined along some dimension."""

    def _branch(self, x):
        same = ((1, 1), (1, 1))
        kind, channels, layer = int(self.rng.integers(4)), x.shape[-1], self._name()
        if kind == 0:
            return x
        if kind == 1:
            return self.net.function(x, np.tanh, self.codes(), layer=layer)
        size, padding = (1, ((0, 0), (0, 0))) if kind == 2 else (3, same)
        weights = self._weights(size, size, channels, channels)
        return self.net.conv2d(x, *weights, None, self.codes(), layer=layer, padding=padding)

    def several(self):
        parts, axis = [], int(self.rng.integers(3))
        for _ in range(int(self.rng.integers(2, 5))):
            part = self.x
            for _ in range(int(self.rng.integers(3))):
                part = self._branch(part)
            parts.append(part)
        if self.rng.random() < 0.4:  # the last one is smaller
            start, shape = [0, 0, 0], parts[-1].shape
            start[axis] = int(self.rng.integers(shape[axis]))
            parts[-1] = self.net.slice(parts[-1], start, shape, [1, 1, 1], layer=self._name())
        return self.net.concatenate(parts, axis, self.codes(), layer=self._name())

    on_images = (
        several, several, Random.conv, Random.depthwise, Random.max_pool, Random.clamp,
        Random.requantize, Random.joined, Random.residual,
    )  # fmt: skip


def check_random(seed, bundle, kind=Random, layers=6):
    """Simulate a random network, and require every word; without pauses also every cycle."""
    network = kind(seed, layers).network()
    sizing = {"lanes": [str((1, 2, 4, 9)[seed % 4])]}
    if seed % 3 == 2:  # engines of about equal pace
        sizing = {"target_fps": 1e8 / 6000}
    manifest = asnet_mlir.generate(network, output=bundle, **sizing)
    low, high = network.input_format.range
    x = np.random.default_rng(seed).integers(low, high + 1, (12, *network.input_shape))
    given = (x.astype(network.input_format.dtype), np.zeros(len(x), int))
    options = {"stall_seed": seed} if seed % 2 else {}
    result = asnet_mlir.simulate(bundle, given, **options)
    assert (result.mismatches, result.vector_mismatches) == (0, 0), result.differences
    if not options and manifest["predicted_cycles_per_sample"] > 40:  # few frames are under way
        assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]
