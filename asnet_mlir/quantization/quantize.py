# SPDX-License-Identifier: Apache-2.0
"""The verb `quantize`: a float network to one of integer codes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from asnet_mlir.data import Dataset, Samples, load_named, load_samples
from asnet_mlir.errors import InputError
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.stablehlo_file import from_stablehlo_bytes
from asnet_mlir.network import Network
from asnet_mlir.quantization.calibration import Observed, check_samples, observe
from asnet_mlir.quantization.graph import Graph
from asnet_mlir.quantization.groups import Float, Group, Product, Softmax
from asnet_mlir.quantization.matching import find_groups
from asnet_mlir.quantization.scheme import Scheme
from asnet_mlir.quantization.self_contained import self_contained
from asnet_mlir.quantization.softmax_ending import with_softmax
from asnet_mlir.quantization.writing import Written, write_program
from asnet_mlir.quantized import Quantization
from asnet_mlir.quantized.softmax import probabilities
from asnet_mlir.support.formats import parse_format
from asnet_mlir.worker import in_mlir_process

__all__ = ["Calibrated", "Data", "network_of", "quantize", "quantize_network"]

#: What calibrates: whatever `load_samples` takes, of several inputs `load_named`.
Data = str | Path | Dataset | Samples | np.ndarray | tuple[Any, Any] | Mapping[str, Any]

#: Samples that are run, of those that the data has.
_MOST_SAMPLES = 512
_U8 = parse_format("u8")


@dataclass(frozen=True)
class Calibrated:
    """A network with what is known of its values.

    Attributes:
      graph: the float network.
      groups: of its operations, those that stay float included.
      observed: the values at the groups' edges, on the calibration data.
      codes: what each of them becomes.
      scheme: by which.
      input: the codes that the network of codes takes; None where it takes what the float network
        does.
      x: [n, *input_shape], the samples, of the float network's format.
      written: the network of codes as a program.
      text: the same as StableHLO, weights included.
    """

    graph: Graph
    groups: tuple[Group, ...]
    observed: dict[int, Observed]
    codes: dict[int, Quantization]
    scheme: Scheme
    input: Quantization | None
    x: np.ndarray
    written: Written
    text: str

    @property
    def network(self) -> Network:
        """The network of codes."""
        return network_of(self.graph.network.name, self.text)


def network_of(name: str, text: str) -> Network:
    """Return the quantized network of the float network `name` by its text."""
    path = Path(f"{name}_quantized.mlir")
    return load_model(from_stablehlo_bytes(path, text.encode()))


def quantize(
    model: Any,
    data: Data,
    *,
    bits: int = 8,
    weights: int = 8,
    per_channel: bool = True,
    symmetric: bool = False,
    unsigned: bool = False,
    method: str = "minmax",
    first_last_float: bool = False,
    float_layers: Sequence[str] = (),
    softmax: Literal["float", "codes"] = "float",
) -> Network:
    """Return a float network with its arithmetic on integer codes (docs/quantization.md).

    Args:
      model: whatever `load_model` takes.
      data: samples, whatever `load_samples` takes (of several inputs `load_named`), that show the
        ranges of the network's values; the first 512 are run.
      bits, weights: of the codes of activations and weights, 2 to 16.
      per_channel, symmetric, unsigned, method: see `Scheme`.
      first_last_float: leave the first and the last layer with weights in float.
      float_layers: others that are left in float.
      softmax: the one that the network ends in: in float, or as codes of as many bits as
        activations, by tables, so that hardware on codes has it and the network gives codes.

    Raises:
      InputError: the network has nothing to quantize, is not as described, or has no such layer;
        it ends in no softmax that could be codes;
        the data don't fit, or say nothing about ranges.
      UnsupportedError: an operation that would be left in float can't be.
    """
    scheme = Scheme(bits, weights, per_channel, symmetric, unsigned, method)
    return network_of(
        *_quantized_text(model, data, scheme, first_last_float, float_layers, softmax)
    )


@in_mlir_process(load=load_model)
def _quantized_text(
    model: Any,
    data: Data,
    scheme: Scheme,
    first_last_float: bool,
    floats: Sequence[str],
    softmax: str,
) -> tuple[str, str]:
    """Return the name of the float network, and the text of the one of codes.

    A text goes from process to process; the network is made where it is used.
    """
    given = quantize_network(
        load_model(model),
        data,
        scheme,
        first_last_float=first_last_float,
        floats=floats,
        softmax=softmax,
    )
    return given.graph.network.name, given.text


def quantize_network(
    network: Network,
    data: Data,
    scheme: Scheme,
    *,
    first_last_float: bool = False,
    floats: Sequence[str] = (),
    softmax: str = "float",
) -> Calibrated:
    """Return a quantized network and what is known of it; see `quantize`."""
    graph = Graph(network)
    groups = _apart(network, graph, find_groups(graph))
    groups = _left_in_float(graph, groups, first_last_float, floats)
    samples, input = _calibration_data(data, network)
    x = samples.x[:_MOST_SAMPLES]
    if softmax not in ("float", "codes"):
        raise InputError(f"a softmax in '{softmax}'; it is in float or codes")
    if softmax == "codes":
        groups = with_softmax(graph, groups, x)
    observed = observe(graph, _edges(graph, groups), x)
    codes = _codes(graph, groups, observed, scheme, input)
    written = write_program(graph, groups, codes, scheme, input=input)
    text = self_contained(written.program, graph.batch, network.inputs, network.outputs)
    return Calibrated(graph, groups, observed, codes, scheme, input, x, written, text)


def _apart(network: Network, graph: Graph, groups: tuple[Group, ...]) -> tuple[Group, ...]:
    """Return the groups with a row's parts taken out of it and put into it in float.

    So each of several inputs and outputs has codes of its own, not those of all together.
    """
    return tuple(
        dataclasses.replace(group, detail=Float())
        if (network.inputs is not None and group.inputs == (graph.input,))
        or (network.outputs is not None and group.output == graph.output)
        else group
        for group in groups
    )


def _left_in_float(
    graph: Graph, groups: tuple[Group, ...], first_last_float: bool, floats: Sequence[str]
) -> tuple[Group, ...]:
    """Return the groups with those made float that shall not become codes.

    Raises:
      InputError: there is no such layer, or nothing is left to quantize.
    """
    name, given = graph.network.name, graph.network.input_format
    products = [group for group in groups if isinstance(group.detail, Product)]
    if not products:
        integers = "" if given.is_float else f"takes {given}; it computes on integers already, or "
        raise InputError(
            f"{name}: {integers}has nothing to quantize: no convolution or dense layer with "
            "constant weights, of at most two dimensions of space, outside of loops"
        )
    chosen = {products[0].name, products[-1].name} if first_last_float else set()
    for layer in floats:
        own = {group.name for group in groups if group.belongs_to(layer)}
        if not own:
            known = ", ".join(dict.fromkeys(group.name for group in groups if not group.is_float))
            raise InputError(f"{name}: has no layer '{layer}'; its layers are {known}")
        chosen |= own
    if all(group.name in chosen for group in products):
        raise InputError(f"{name}: every layer with weights is left in float; nothing to quantize")
    return tuple(
        dataclasses.replace(group, detail=Float()) if group.name in chosen else group
        for group in groups
    )


def _calibration_data(data: Data, network: Network) -> tuple[Samples, Quantization | None]:
    """Return samples for the float network, and how a network of codes takes the same data.

    Images of bytes, which a float network takes as numbers from 0 to 1, are codes already, and so
    are integers from 0 to 255: they are taken as they are.
    """
    if network.inputs is not None or isinstance(data, Mapping):
        rows = load_named(data, network.edges).samples
        check_samples(rows)
        return rows, None
    samples, _ = load_samples(data, network.input_format)
    samples = samples.shaped(network.input_shape)
    check_samples(samples)
    if not network.input_format.is_float:
        return samples, None
    try:
        pixels = load_samples(data, _U8)[0].x.reshape(samples.x.shape)
    except InputError:  # not bytes
        return samples, None
    for scale in (1 / 255, 1.0):
        if np.array_equal(pixels.astype(np.float32) / np.float32(1 / scale), samples.x):
            return samples, Quantization(np.array([scale]), np.array([0]), 8, signed=False)
    return samples, None


def _edges(graph: Graph, groups: Sequence[Group]) -> list[int]:
    """Return the values of which ranges must be known."""
    values = {graph.input} if graph.takes_floats else set()
    for group in groups:
        if not group.is_float:
            values.update((*group.inputs, group.output))
    return sorted(values)


def _codes(
    graph: Graph,
    groups: Sequence[Group],
    observed: dict[int, Observed],
    scheme: Scheme,
    input: Quantization | None,
) -> dict[int, Quantization]:
    """Return what values become."""
    codes = {}
    if graph.takes_floats:
        codes[graph.input] = _input_codes(observed[graph.input], scheme, input)
    for group in groups:
        if group.is_float:
            continue
        for value in group.inputs:
            codes.setdefault(value, scheme.activation(observed[value]))
        if isinstance(group.detail, Softmax):
            codes[group.output] = probabilities(scheme.bits, not scheme.unsigned)
        elif group.keeps_codes:
            codes[group.output] = codes[group.inputs[0]]
        else:
            codes[group.output] = scheme.activation(observed[group.output])
    return codes


def _input_codes(observed: Observed, scheme: Scheme, input: Quantization | None) -> Quantization:
    """Return the codes with which the first layers compute: the input's own where they fit."""
    if input is None:
        return scheme.activation(observed)
    if scheme.bits > input.bits or (scheme.bits == input.bits and not scheme.symmetric):
        # The same codes, moved so that they are those of the scheme.
        own = scheme.activation(observed)
        zero = own.low if scheme.bits == input.bits else 0
        return own.replace(scale=input.scale, zero_point=np.array([zero]))
    return scheme.activation(observed)
