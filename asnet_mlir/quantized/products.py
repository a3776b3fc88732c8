# SPDX-License-Identifier: Apache-2.0
"""Convolutions and dense layers on codes (docs/semantics.md, Q2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.quantized.fixed_point import FixedPoint, Rounding
from asnet_mlir.quantized.parameters import Quantization
from asnet_mlir.quantized.rescaling import rescale, saturate, uniform_or_weight
from asnet_mlir.quantized.writer import Tensor, Writer

__all__ = [
    "Convolution",
    "check_accumulator",
    "convolve",
    "correct_sums",
    "folded_bias",
    "greatest_sums",
    "multiply_matrix",
    "ones",
    "requantize_sums",
]

_ACCUMULATOR_BITS = 32


@dataclass(frozen=True)
class Convolution:
    """The window of a convolution over images in NHWC order with weights in HWIO.

    Attributes:
      strides, dilation: of height and width.
      padding: before and after, of height and width.
      groups: of channels.
    """

    strides: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def output_size(self, size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of the output."""
        sizes = tuple(
            (n + sum(pad) - ((k - 1) * step + 1)) // stride + 1
            for n, pad, k, step, stride in zip(
                size, self.padding, kernel, self.dilation, self.strides, strict=True
            )
        )
        if min(sizes) < 1:
            raise InputError(
                f"a window of {list(kernel)} does not fit in {list(size)} padded by "
                f"{[list(pad) for pad in self.padding]}"
            )
        return sizes[0], sizes[1]


def greatest_sums(
    weights: np.ndarray, x: Quantization, bias: np.ndarray, zero: np.ndarray
) -> np.ndarray:
    """Return what the magnitudes of sums are at most: int64[channels].

    Args:
      weights: codes, channels last.
      bias: int64 of each channel.
      zero: the weights' zero points.
    """
    magnitudes = np.abs(weights.astype(np.int64)).reshape(-1, weights.shape[-1])
    greatest = max(abs(x.low), abs(x.high))
    offset = np.abs(zero) * greatest * len(magnitudes)
    sums: np.ndarray = magnitudes.sum(axis=0) * greatest + np.abs(bias) + offset
    return sums


def check_accumulator(
    weights: np.ndarray, x: Quantization, bias: np.ndarray, zero: np.ndarray
) -> None:
    """Refuse sums that 32 bits may not hold; see `greatest_sums`."""
    bound = int(greatest_sums(weights, x, bias, zero).max(initial=0))
    if bound >= 1 << _ACCUMULATOR_BITS - 1:
        raise InputError(
            f"its sums may reach {bound}, which {_ACCUMULATOR_BITS} bits don't hold: take fewer "
            "bits for activations or weights"
        )


def folded_bias(
    weights: np.ndarray,
    x: Quantization,
    weight_quantization: Quantization,
    bias: np.ndarray | None,
) -> np.ndarray:
    """Return the bias with what zero points add that depends on weights only; int64, [channels].

    `sum (x - zx)(w - zw) = sum x w - zx sum w - zw sum x + n zx zw`, whose third term depends
    on x.
    """
    codes = weights.astype(np.int64).reshape(-1, weights.shape[-1])
    zx = x.single_zero_point
    zw = np.broadcast_to(weight_quantization.zero_point, codes.shape[1:])
    given = np.zeros(codes.shape[1], np.int64) if bias is None else bias.astype(np.int64)
    return given - zx * codes.sum(axis=0) + len(codes) * zx * zw


def convolve(
    writer: Writer, x: Tensor, weights: Tensor, window: Convolution, element: str
) -> Tensor:
    """Write a convolution of images [h, w, c], padded already, with kernels [h, w, c / groups, o].

    Args:
      element: of sums, which the products are extended to.
    """
    kernel = weights.shape[:2]
    plain = Convolution(window.strides, dilation=window.dilation)
    size = plain.output_size((x.shape[0], x.shape[1]), (kernel[0], kernel[1]))
    return writer.op(
        "convolution",
        [writer.convert(x, element), writer.convert(weights, element)],
        (*size, weights.shape[3]),
        element,
        "batch_group_count = 1 : i64, dimension_numbers = "
        "#stablehlo.conv<[b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]>, "
        f"feature_group_count = {window.groups} : i64, "
        f"window_strides = array<i64: {window.strides[0]}, {window.strides[1]}>, "
        f"rhs_dilation = array<i64: {window.dilation[0]}, {window.dilation[1]}>",
    )


def requantize_sums(
    writer: Writer,
    sums: Tensor,
    bias: np.ndarray,
    factors: np.ndarray,
    output: Quantization,
    activation: tuple[int, int] | None,
    rounding: Rounding,
) -> Tensor:
    """Return codes of sums i32 [.., channels]: the bias is added, then scaled and saturated."""
    if bias.any():
        offsets = bias.astype(np.int32)  # `check_accumulator` has seen that it fits
        sums = writer.elementwise(
            "add", sums, uniform_or_weight(writer, "bias", offsets, "i32", sums)
        )
    scaled = rescale(writer, sums, FixedPoint.of(factors.tolist()), rounding)
    return saturate(writer, scaled, output, activation)


def multiply_matrix(writer: Writer, x: Tensor, weights: Tensor, element: str) -> Tensor:
    """Write the product of [.., n] and [n, channels]; `element` as of `convolve`."""
    last = x.rank - 1
    return writer.op(
        "dot_general",
        [writer.convert(x, element), writer.convert(weights, element)],
        (*x.shape[:-1], weights.shape[1]),
        element,
        f"dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [{last}], "
        "rhs_contracting_dimensions = [0]>",
    )


def correct_sums(writer: Writer, sums: Tensor, inputs: Tensor, zero_points: np.ndarray) -> Tensor:
    """Subtract what the zero points of weights add to sums: `zw sum x`.

    Args:
      sums: i32 [.., channels].
      inputs: i64 [.., groups], the sums of codes.  They have 64 bits so that they are no sums that
        a core computes: what the adder of a binding adds are products (rule Q3).
      zero_points: one, or one a channel.
    """
    inputs = writer.convert(inputs, "i32")
    channels, groups = sums.shape[-1], inputs.shape[-1]
    parted = Tensor("", (*inputs.shape[:-1], groups, channels // groups), "i32")
    wide = writer.spread(inputs, parted, range(parted.rank - 1))
    wide = writer.op("reshape", [wide], sums.shape, "i32")
    zeros = uniform_or_weight(writer, "zero_point", zero_points.astype(np.int32), "i32", sums)
    return writer.elementwise("subtract", sums, writer.elementwise("multiply", wide, zeros))


def ones(writer: Writer, shape: tuple[int, ...]) -> Tensor:
    """Return weights of 1, i64, which sum inputs up."""
    return writer.constant(1, "i64", Tensor("", shape, "i64", batched=False))
