# SPDX-License-Identifier: Apache-2.0
"""A network under a binding as a function of JAX, whose words are the evaluator's."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from asnet_mlir.binding import Binding
from asnet_mlir.cores import Instance, ensure_checked
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation.weighted_sums import (
    WeightedSum,
    as_approx,
    find_sums,
    product_table,
)
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.stablehlo_file import from_stablehlo_bytes
from asnet_mlir.network import Network
from asnet_mlir.training.estimators import Estimator, slopes
from asnet_mlir.training.float_products import (
    FloatCores,
    float_weights,
    ordered_sums,
    reduced,
)
from asnet_mlir.training.heads import before_shares, output_values
from asnet_mlir.training.jax_products import Matrix, Product, Way, Window, pin, sums_of_products
from asnet_mlir.training.operations import DTYPES, Number, apply
from asnet_mlir.training.reader import Operation, Straight, Type, read_network
from asnet_mlir.training.rewriting import with_added
from asnet_mlir.training.rows import packed, unpacked
from asnet_mlir.training.scales import find_scales

__all__ = ["ONLY", "Approximation", "Noise", "Parameters", "approximate"]

#: What the only output of a network is called here.
ONLY = "outputs"

#: By a weight's name `kernel`, its codes, and `bias`, what is added to sums of its products.
Parameters = dict[str, dict[str, Any]]

#: Sums of a looked-up product that are computed at once.
_MOST_SUMS = 1 << 24
#: What moves codes, and keeps what they are.
_KEEPS = ("convert", "pad", "reshape", "transpose", "slice", "reverse", "broadcast_in_dim")
_CODE_BITS = {f"{sign}i{bits}": bits for sign in ("", "u") for bits in (8, 16)}


@dataclass(frozen=True)
class Noise:
    """Gaussian noise that is added to the sums of layers.

    Attributes:
      levels: by layer its standard deviation, float32, in units of the sums.
      key: of JAX, that it is drawn by.
    """

    levels: Mapping[str, Any]
    key: Any


def approximate(
    model: Any,
    binding: Any = None,
    *,
    estimator: str | Estimator = "ste",
    scales: bool = False,
) -> Approximation:
    """Return a network of codes under a binding as a function of JAX.

    Args:
      model: whatever `load_model` takes, on integer codes (`asnet quantize`, `.tflite`, ..).
      binding: which core computes which products (`muli`), whatever `Binding.of` takes.
      estimator: what gradients take for the derivatives of a core's products: `ste`, `lre`,
        `difference`, `difference2d`, or a function, also by its name `module:function`
        (`training/estimators.py`).
      scales: whether `parameters` have scales, to be learnt.

    Raises:
      InputError: see `load_model` and `Network.complete`; an unknown estimator.
      UnsupportedError: an operation that has no form in JAX here; a binding of other ops than
        products of codes; a core with operands of more than 10 bits, of which there is no table.
    """
    network = load_model(model)
    bound = network.complete(binding)
    ensure_checked(bound.instances.values())
    return Approximation(network, bound, estimator, scales)


class Approximation:
    """A function of JAX; `jit`, `grad` and `vmap` take it like any other.

    Attributes:
      network: that it computes.
      binding: under which.
      parameters: what training changes, float32, by the names of weights of products: `kernel`, its
        codes over the greatest one, and `bias`, which is added to the sums, 0 as the network is;
        by the names of multipliers `scale` (`training/scales.py`).  Of a network of floats, by the
        names of weights of products and of biases: `value`.
    """

    def __init__(
        self, network: Network, binding: Binding, estimator: str | Estimator, scales: bool
    ) -> None:
        self.network = network
        self.binding = binding
        self._code = read_network(network)
        self._sums = {
            op.results[0]: _Sum(self._code, op)
            for op in self._code.operations
            if op.name in ("convolution", "dot_general") and _is_of_codes(self._code, op)
        }
        self._floats = FloatCores(binding)
        _check_binding(binding, self._code, bool(self._sums))
        self._products = _products(network, binding, self._sums, estimator)
        self.parameters: Parameters = {
            one.name: one.parameters() for one in self._sums.values() if one.weight is not None
        }
        self._scales = find_scales(self._code) if scales else []
        if scales and not self._scales:
            raise InputError(f"{network.name}: has no scales of channels that could be learnt")
        self.parameters |= {scale.name: scale.parameters() for scale in self._scales}
        self._float_weights = {} if self._sums else float_weights(self._code)
        self.parameters |= {
            name: {"value": self._code.weights[number].value}
            for name, number in self._float_weights.items()
        }
        self._samples = max(
            min(
                (
                    _MOST_SUMS // math.prod(self._code.types[value].shape)
                    for value in self._sums
                    if any(product.passes is None for _, _, product in self._products[value])
                ),
                default=0,
            ),
            0,
        )

    def __call__(self, x: Any, parameters: Mapping[str, Any] | None = None) -> Any:
        """Return the outputs, of the network's format; of several, a row of them for each sample.

        Args:
          x: [n, *input_shape] of the network's format; of several inputs, rows of them or a
            dictionary of arrays by their names.
          parameters: like `parameters`, which are taken by default.
        """
        return self._run(x, parameters, [self._code.output])[0].exact

    def named(self, x: Any, parameters: Mapping[str, Any] | None = None) -> Any:
        """Return the outputs as a dictionary of arrays by their names; of one, that.

        Args:
          x, parameters: see `__call__`.
        """
        rows = self(x, parameters)
        return rows if self.network.outputs is None else unpacked(self.network.outputs, rows)

    def logits(
        self, x: Any, parameters: Mapping[str, Any] | None = None, noise: Noise | None = None
    ) -> Any:
        """Return what a softmax takes, float32 with derivatives: [n, classes].

        That is the argument of the network's own softmax or sigmoid where it ends in one, the
        outputs where they are numbers, and the codes over 8 where they are codes; of several
        outputs a dictionary of these by the outputs' names.

        Args:
          x, parameters: see `__call__`.
          noise: what is added to the sums of products of codes.
        """
        found = self.reals(x, parameters, logits=self.output_names, noise=noise)[1]
        return found[ONLY] if self.network.outputs is None else found

    def reals(
        self,
        x: Any,
        parameters: Mapping[str, Any] | None = None,
        *,
        logits: Collection[str],
        noise: Noise | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Return the outputs, and each by its name as float32 with derivatives.

        Args:
          x, parameters: see `__call__`.
          logits: the outputs that are wanted as they are before their softmax or sigmoid.
          noise: see `logits`.
        """
        own = dict(self._heads)
        before = {name: before_shares(self._code, own[name]) for name in logits}
        own |= {name: value for name, value in before.items() if value is not None}
        values = [self._code.output, *own.values()]
        rows, *found = self._run(x, parameters, values, differentiable=True, noise=noise)
        reals = {}
        for name, number in zip(own, found, strict=True):
            real = number.as_real()
            is_code = name in logits and before[name] is None and not number.is_float
            shape = self._shape_of(name)
            if self.network.outputs is not None and real.shape[1:] != shape:
                real = lax.reshape(real, (real.shape[0], *shape))
            reals[name] = real / 8 if is_code else real
        return rows.exact, reals

    @property
    def output_names(self) -> tuple[str, ...]:
        """The outputs' names; `ONLY` of one."""
        return (ONLY,) if self.network.outputs is None else self.network.outputs.names

    def _shape_of(self, output: str) -> tuple[int, ...]:
        parts = self.network.outputs
        return self.network.output_shape if parts is None else parts.part(output, "output").shape

    @functools.cached_property
    def _heads(self) -> dict[str, int]:
        """By its name the value that each output is."""
        parts = self.network.outputs
        return {ONLY: self._code.output} if parts is None else output_values(self._code, parts)

    def bias_unit(self, weight: str) -> float:
        """Return by what a parameter `bias` is multiplied, in units of the sums."""
        return next(one.unit for one in self._sums.values() if one.name == weight)

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that sum products of codes and weights."""
        return tuple(
            dict.fromkeys(one.layer for one in self._sums.values() if one.weight is not None)
        )

    def _run(
        self,
        x: Any,
        parameters: Mapping[str, Any] | None,
        outputs: Sequence[int],
        *,
        differentiable: bool = False,
        noise: Noise | None = None,
    ) -> list[Number]:
        """Return values of the network, [n, ..] each."""
        # Sums are scaled in 64 bits; what comes in and goes out has at most 32.
        with jax.enable_x64(True):
            x = self._rows(x)
            batch, shape = self._code.batch, self._code.types[0].shape
            weights = self._weights(parameters, differentiable)
            x = jnp.asarray(x, DTYPES[self._code.types[0].element])
            levels = {} if noise is None else noise.levels
            one = functools.partial(self._batch, weights, outputs, differentiable, levels)
            rows = _filled(x, batch).reshape(-1, *shape) if batch > 1 else x[:, None]
            keys = None if noise is None else jax.random.split(noise.key, rows.shape[0])

            def joined(part: Any) -> Any:
                if batch == 1:
                    return part[:, 0]
                return part.reshape(-1, *part.shape[2:])[: x.shape[0]]

            found = jax.tree.map(joined, self._mapped(one, (rows, keys)))
        return [Number(*parts) for parts in found]

    def _rows(self, x: Any) -> Any:
        """Return samples as the network takes them.

        Raises:
          InputError: they are of another shape.
        """
        name, inputs = self.network.name, self.network.inputs
        if isinstance(x, Mapping):
            if inputs is None:
                raise InputError(f"{name}: has one input, and takes an array of samples")
            x = packed(name, inputs, x)
        shape = self._code.types[0].shape
        if x.ndim != len(shape) or x.shape[1:] != shape[1:]:
            several = "" if inputs is None else f", or a dictionary of {inputs}"
            raise InputError(
                f"{name}: takes [n, {', '.join(map(str, shape[1:]))}]{several}, not {list(x.shape)}"
            )
        return x

    def _mapped(self, one: Any, rows: tuple[Any, Any]) -> Any:
        """Compute batches together, and no more of them than memory holds."""
        count = rows[0].shape[0]
        if self._samples and isinstance(count, int) and count > max(self._samples, 1):
            return lax.map(one, rows, batch_size=max(self._samples, 1))
        return jax.vmap(one)(rows)

    def _batch(
        self,
        weights: Sequence[Number],
        outputs: Sequence[int],
        differentiable: bool,
        levels: Mapping[str, Any],
        row: tuple[Any, Any],
    ) -> list[list[Any]]:
        """Return values for one batch, the numbers of each and, of integers, their float32."""
        x, key = row
        own: dict[int, Number] = dict(enumerate([Number(x), *weights]))
        wanted = [op for op in self._code.operations if op.results[0] <= max(outputs)]
        for op in wanted:
            (value,) = op.results
            operands = [own[number] for number in op.operands]
            if value in self._sums:
                cores = self._products[value]
                own[value] = self._sums[value].apply(operands, cores, weights, differentiable)
                if op.layer in levels:
                    own_key = jax.random.fold_in(key, value)
                    own[value] = _noisy(own[value], levels[op.layer], own_key)
            elif op.name in ("convolution", "dot_general"):
                own[value] = _plain_sum(op, operands, self._code.types[value], self._floats)
            elif self._floats.is_ordered and self._code.types[value].element == "f32":
                own[value] = _by_floats(op, operands, self._code.types[value], self._floats)
            else:
                own[value] = apply(op, operands, self._code.types[value])
        found = [own[value] for value in outputs]
        return [[one.exact] if one.real is None else [one.exact, one.real] for one in found]

    def _weights(self, parameters: Mapping[str, Any] | None, differentiable: bool) -> list[Number]:
        numbers = [Number(jnp.asarray(weight.value)) for weight in self._code.weights]
        if parameters is None and not differentiable:
            return numbers
        given = self.parameters if parameters is None else parameters
        if set(given) != set(self.parameters):
            raise InputError(f"{self.network.name}: parameters are of {', '.join(self.parameters)}")
        for one in self._sums.values():
            if one.weight is not None:
                numbers[one.weight] = one.kernel(given[one.name]["kernel"], differentiable)
                numbers.append(_whole(given[one.name]["bias"] * one.unit, differentiable))
                one.bias = len(numbers) - 1
        for name, number in self._float_weights.items():
            numbers[number] = Number(jnp.asarray(given[name]["value"], jnp.float32))
        for scale in self._scales:
            own = jnp.asarray(given[scale.name]["scale"])
            numbers[scale.weight] = scale.number(own, differentiable)
        return numbers

    def tuned(self, parameters: Mapping[str, Any]) -> Network:
        """Return the network with trained parameters, whose words are those of `self(x, ..)`."""
        weights: dict[str, np.ndarray] = {}
        added: dict[int, tuple[int, np.ndarray]] = {}
        with jax.enable_x64(True):
            for value, one in self._sums.items():
                if one.weight is None:
                    continue
                own = parameters[one.name]
                kernel = one.kernel(jnp.asarray(own["kernel"]), False).exact
                bias = _whole(jnp.asarray(own["bias"]) * one.unit, False).exact
                weights[one.name] = np.asarray(kernel)
                added[value] = one.axis % len(one.shape), np.asarray(bias + one.offset(kernel))
            for scale in self._scales:
                factor = jnp.asarray(parameters[scale.name]["scale"])
                weights[scale.name] = np.asarray(scale.number(factor, False).exact)
        weights |= {name: np.asarray(parameters[name]["value"]) for name in self._float_weights}
        own_network = self.network.unfolded or self.network
        text = with_added(own_network, self._code, weights, added)
        path = Path(f"{own_network.name}.mlir")
        return load_model(from_stablehlo_bytes(path, text.encode()))


class _Sum:
    """A sum of products of codes, a convolution or a product of matrices.

    Attributes:
      layer: of the operation.
      name: of the weight.
      weight: the number among the network's weights of what it multiplies; None where both operands
        depend on the input.
      zero: the code that stands for 0 among those that it multiplies.
      unit: of a trained bias, in units of sums.
    """

    def __init__(self, code: Straight, op: Operation) -> None:
        self.layer = op.layer
        self.op = op
        self.bias = -1
        self._elements = [_codes_of(code, value) for value in op.operands]
        source = code.source(op.operands[1], _KEEPS[:1])
        self.weight = source - 1 if 1 <= source <= len(code.weights) else None
        self.shape = code.types[op.results[0]].shape
        self.name = ""
        if self.weight is not None:
            self.name = code.weights[self.weight].name
            self.base = code.weights[self.weight].value
            self._greatest = float(max(abs(int(self.base.min())), int(self.base.max()), 1))
            bits = _CODE_BITS[self._elements[1]]
            self.zero = _zero_code(code, op.operands[0])
            self.unit = float(2 ** (bits - 1) * 2 ** (_CODE_BITS[self._elements[0]] - 2))
            info = np.iinfo(self.base.dtype)
            is_symmetric = info.min < 0 and int(self.base.min()) > info.min
            self._range = (float(-info.max if is_symmetric else info.min), float(info.max))

    @property
    def axis(self) -> int:
        """The dimension of the result that its output channels are."""
        return self.op.attributes["out"][-1] if self.op.name == "convolution" else -1

    def parameters(self) -> dict[str, Any]:
        """Return the trained numbers as the network has them."""
        channels = self.base.shape[self._output_axis]
        return {
            "kernel": (self.base / np.float32(self._greatest)).astype(np.float32),
            "bias": np.zeros(channels, np.float32),
        }

    @property
    def _output_axis(self) -> int:
        if self.op.name == "convolution":
            return int(self.op.attributes["rhs"][-1])
        taken = {*self.op.attributes["contracting"][1], *self.op.attributes["batching"][1]}
        return next(axis for axis in reversed(range(self.base.ndim)) if axis not in taken)

    def kernel(self, parameter: Any, differentiable: bool) -> Number:
        """Return codes of weights; their derivative is 0 where a code is the last one."""
        real = jnp.clip(parameter * jnp.float32(self._greatest), *self._range)
        exact = jnp.round(real).astype(self.base.dtype)
        return Number(exact, pin(real, exact) if differentiable else None)

    def offset(self, kernel: Any) -> Any:
        """Return int32[channels], what the code of 0 takes away for weights that changed."""
        axes = tuple(a for a in range(self.base.ndim) if a != self._output_axis)
        change = kernel.astype(jnp.int32) - jnp.asarray(self.base, jnp.int32)
        return -self.zero * change.sum(axes, dtype=jnp.int32)

    def apply(
        self,
        operands: list[Number],
        products: Sequence[tuple[int, int, Product]],
        weights: Sequence[Number],
        differentiable: bool,
    ) -> Number:
        """Return the sums, products by the layer's cores."""
        (x, y), elements = operands, self._elements
        way, left, right, finish = _canonical(self.op, self.shape)
        image = left(x.exact).astype(DTYPES[elements[0]])
        kernel = right(y.exact).astype(DTYPES[elements[1]])
        reals = (left(x.as_real()), right(y.as_real())) if differentiable else None
        parts = []
        for begin, end, product in products:
            if begin == 0 and end == kernel.shape[-1]:
                parts.append(sums_of_products(way, product, image, kernel, reals))
                continue
            if isinstance(way, Window) and way.groups > 1:
                raise UnsupportedError(
                    f"{self.op.place}: cores for some channels of a grouped convolution have no "
                    "form in JAX here"
                )
            own = None if reals is None else (reals[0], reals[1][..., begin:end])
            parts.append(sums_of_products(way, product, image, kernel[..., begin:end], own))
        exact = finish(jnp.concatenate([part[0] for part in parts], -1))
        real = None
        if differentiable:
            real = finish(jnp.concatenate([part[1] for part in parts], -1))
        if self.bias < 0 or self.weight is None or len(weights) <= self.bias:
            return Number(exact, real)
        return self._with_bias(exact, real, weights)

    def _with_bias(self, exact: Any, real: Any, weights: Sequence[Number]) -> Number:
        assert self.weight is not None
        kernel, bias = weights[self.weight], weights[self.bias]
        axis = self.axis % exact.ndim

        def wide(vector: Any) -> Any:
            return lax.broadcast_in_dim(vector, exact.shape, (axis,))

        exact = exact + wide(bias.exact) + wide(self.offset(kernel.exact))
        if real is None:
            return Number(exact)
        axes = tuple(a for a in range(self.base.ndim) if a != self._output_axis)
        offset = -self.zero * kernel.as_real().sum(axes)
        return Number(exact, pin(real + wide(bias.as_real()) + wide(offset), exact))


def _noisy(sums: Number, level: Any, key: Any) -> Number:
    """Return sums with noise added; their derivative by its level is the noise itself."""
    added = level * jax.random.normal(key, sums.exact.shape, jnp.float32)
    exact = sums.exact + jnp.round(added).astype(jnp.int32)
    return Number(exact, pin(sums.as_real() + added, exact))


def _whole(real: Any, differentiable: bool) -> Number:
    exact = jnp.round(real).astype(jnp.int32)
    return Number(exact, pin(real, exact) if differentiable else None)


def _canonical(op: Operation, shape: tuple[int, ...]) -> tuple[Way, Any, Any, Any]:
    """Return how an operation is computed: the way, and functions of operands and of the result."""
    own = op.attributes
    if op.name == "convolution":
        rank = len(own["lhs"]) - 2
        if own.get("batch_group_count", 1) != 1:
            raise UnsupportedError(f"{op.place}: groups of the batch have no form in JAX here")
        ones = (1,) * rank
        way = Window(
            own.get("window_strides", ones),
            own.get("rhs_dilation", ones),
            own.get("feature_group_count", 1),
        )
        pads = own.get("padding", ((0, 0),) * rank)
        holes = own.get("lhs_dilation", ones)

        def image(x: Any) -> Any:
            x = lax.transpose(x, own["lhs"])
            edges = [(low, high, hole - 1) for (low, high), hole in zip(pads, holes, strict=True)]
            return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])

        def kernel(w: Any) -> Any:
            w = lax.transpose(w, own["rhs"])
            turned = [axis for axis, yes in enumerate(own.get("window_reversal", ())) if yes]
            return lax.rev(w, turned)

        back = tuple(int(place) for place in np.argsort(own["out"]))
        return way, image, kernel, lambda sums: lax.transpose(sums, back)
    (left, right), (left_batch, right_batch) = own["contracting"], own["batching"]

    def matrix(axes: tuple[int, ...], batch: tuple[int, ...], is_left: bool) -> Any:
        def arranged(value: Any) -> Any:
            free = [a for a in range(value.ndim) if a not in (*axes, *batch)]
            order = [*batch, *free, *axes] if is_left else [*batch, *axes, *free]
            groups = math.prod(value.shape[a] for a in batch)
            terms = math.prod(value.shape[a] for a in axes)
            split = (groups, -1, terms) if is_left else (groups, terms, -1)
            return lax.transpose(value, order).reshape(split)

        return arranged

    return (
        Matrix(),
        matrix(left, left_batch, True),
        matrix(right, right_batch, False),
        lambda sums: sums.reshape(shape),
    )


def _by_floats(op: Operation, operands: list[Number], type: Type, cores: FloatCores) -> Number:
    """Return the result of an operation on float32 where a binding is of such."""
    values = [operand.as_real() for operand in operands]
    if op.name in ("reduce", "reduce_window"):
        both = cores.operation(op.attributes["body"], op.layer)
        if both is not None:
            return Number(reduced(op, both, *values))
    elif (found := cores.operation(op.name, op.layer)) is not None:
        return Number(found(*values))
    return apply(op, operands, type)


def _plain_sum(op: Operation, operands: list[Number], type: Type, cores: FloatCores) -> Number:
    """Return sums of products that are none of codes."""
    way, left, right, finish = _canonical(op, type.shape)
    element = DTYPES[type.element]
    x, w = left(operands[0].exact), right(operands[1].exact)
    if operands[0].is_float and type.element == "f32" and cores.is_ordered:
        multiply, add = (cores.operation(name, op.layer) for name in ("multiply", "add"))
        assert multiply is not None and add is not None
        dimensions = len(op.attributes["contracting"][0]) if isinstance(way, Matrix) else 3
        return Number(finish(ordered_sums(way, multiply, add, (x, w), dimensions)))
    if operands[0].is_float:
        return Number(finish(way.convolve(x, w, element)))
    # Wide integers: XLA has no convolution of them on accelerators.
    rows, terms = way.matrices(x, w)
    exact = finish(way.result(x, w, Matrix().convolve(rows, terms, element)))
    if not any(operand.varies for operand in operands):
        return Number(exact)
    reals = left(operands[0].as_real()), right(operands[1].as_real())
    return Number(exact, pin(finish(way.convolve(*reals, jnp.float32)), exact))


def _codes_of(code: Straight, value: int) -> str:
    """Return the element type of the codes that a value was extended from, or ""."""
    while code.types[value].element not in _CODE_BITS:
        op = code.producers.get(value)
        if op is None or op.name not in _KEEPS:
            return ""
        value = op.operands[0]
    return code.types[value].element


def _is_of_codes(code: Straight, op: Operation) -> bool:
    is_narrow = code.types[op.results[0]].element == "i32"
    return is_narrow and all(_codes_of(code, value) for value in op.operands)


def _zero_code(code: Straight, value: int) -> int:
    """Return the code of 0 among those of a value: what is added before they saturate.

    Where that is not to be seen it is taken for 0.  No word depends on it: it keeps sums where they
    are while weights are trained.
    """
    value = code.source(value, (*_KEEPS, "reduce_window", "reduce"))
    op = code.producers.get(value)
    if op is None or op.name != "clamp":
        return 0
    op = code.producers.get(op.operands[1])
    constant = code.producers.get(op.operands[1]) if op is not None and op.name == "add" else None
    if constant is None or constant.name != "constant":
        return 0
    return int(constant.attributes["value"].flat[0])


def _filled(x: Any, batch: int) -> Any:
    """Return samples, the last one repeated until they are whole batches."""
    more = -x.shape[0] % batch
    return jnp.concatenate([x, jnp.repeat(x[-1:], more, axis=0)]) if more else x


def _check_binding(binding: Binding, code: Straight, has_products: bool) -> None:
    for rule in binding.rules:
        if rule.instance.format != "f32" and rule.op != "muli":
            raise UnsupportedError(
                f"{rule.label}: in JAX a binding is of products of codes (muli) or of float32, not "
                f"of {rule.op}"
            )
        if rule.op == "muli" and not has_products:
            raise InputError(f"{code.name}: has no products of codes; quantize it first")
        if rule.op != "muli" and has_products:
            raise UnsupportedError(
                f"{rule.label}: of a network of codes JAX computes the floats exactly; bind muli"
            )


def _products(
    network: Network, binding: Binding, sums: Mapping[int, _Sum], estimator: str | Estimator
) -> dict[int, list[tuple[int, int, Product]]]:
    """Return by value the ranges of output channels, and the product of each."""
    slopes(np.zeros((4, 4)), np.arange(4), np.arange(4), estimator)  # an unknown one is refused
    found: dict[str, WeightedSum] = {}
    if sums and binding.rules:
        found = {one.layer: one for one in find_sums(as_approx(network, Binding()))}
    made: dict[tuple[Any, ...], Product] = {}
    result = {}
    for value, one in sums.items():
        channels = one.base.shape[one._output_axis] if one.weight is not None else one.shape[-1]
        ranges = []
        for begin, end, part in _ranges(binding, one.layer, channels):
            about = found.get(one.layer)
            rule = None if about is None else binding.rule_for("muli", part, about.operands.name)
            product = _product(None if rule is None else rule.instance, about, estimator, made)
            ranges.append((begin, end, product))
        result[value] = ranges
    if sums:
        _check_layers(network, binding, found)
    return result


def _check_layers(network: Network, binding: Binding, found: Mapping[str, WeightedSum]) -> None:
    """Every rule is of some layer's products, and of their format."""
    for rule in binding.rules:
        base = (rule.layer or "").partition("/[")[0] if rule.channels else rule.layer
        there = [
            one
            for layer, one in found.items()
            if base is None or layer == base or layer.startswith(f"{base}/")
        ]
        if not there:
            raise InputError(
                f"{rule.label}: {network.name} has no products of codes in that layer; they are in "
                f"{', '.join(found)}"
            )
        formats = sorted({one.operands.name for one in there})
        if not any(rule.instance.computes_on(one) for one in formats):
            raise InputError(
                f"{rule.label}: is of {rule.instance.format}, the codes are {', '.join(formats)}; "
                "CODE_BITS=W or SIGN_MAGNITUDE=W brings them together"
            )


def _ranges(binding: Binding, layer: str, channels: int) -> list[tuple[int, int, str]]:
    """Return ranges of channels, and the layer's name for each."""
    result, place = [], 0
    for begin, end in sorted(binding.channels.get(layer, ())):
        if begin > place:
            result.append((place, begin, layer))
        result.append((begin, end, f"{layer}/[{begin}:{end}]"))
        place = end
    if place < channels:
        result.append((place, channels, layer))
    return result


def _product(
    instance: Instance | None,
    about: WeightedSum | None,
    estimator: str | Estimator,
    made: dict[tuple[Any, ...], Product],
) -> Product:
    if instance is None or about is None:
        return made.setdefault((None,), Product(None, 0))
    key = instance.content_hash, about.operands.name, about.is_swapped
    if key not in made:
        table = product_table(instance, about)
        low, high = (int(end) for end in about.operands.range)
        numbers = np.arange(low, high + 1)
        wrapped = (table & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
        made[key] = Product(wrapped, low, slopes(table, numbers, numbers, estimator))
    return made[key]
