# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite files as data: tensors, and ops on them; no code of a file runs.

The flatbuffer is read through the schema's classes (package `tflite`).  They check nothing, so that
every vector's length is checked here against the file's before anything walks over it.
"""

from __future__ import annotations

import importlib
import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError, UnsupportedError

__all__ = ["TfliteModel", "TfliteOp", "TfliteTensor", "read_tflite"]

_IDENTIFIER = b"TFL3"
_VERSION = 3
_STATE = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")

#: What reading a damaged flatbuffer raises.
_DAMAGED = (
    struct.error,
    IndexError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    KeyError,
)


@dataclass(frozen=True)
class TfliteTensor:
    """A tensor of the file.

    Attributes:
      name: cleaned of what no message should hold.
      shape: as the file has it, the batch included.
      signature: the shape with -1 where a size is open.
      type: the schema's name, `INT8`.
      scale, zero_point: float64 and int64; empty where there are none.
      axis: of the channels, where there are several scales.
      content: the bytes of a constant.
      is_sparse: whether its bytes are compressed.
    """

    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    type: str
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int
    content: bytes | None
    is_sparse: bool

    def value(self, dtype: str) -> np.ndarray:
        """Return a constant's value.

        Raises:
          InputError: it is none, or has another type, or its bytes are not those of its shape.
        """
        if self.content is None:
            raise InputError(f"tensor '{self.name}' must be a constant")
        if self.is_sparse:
            raise InputError(f"tensor '{self.name}' is sparse, which is not supported")
        if self.type != dtype:
            raise InputError(f"tensor '{self.name}' is {self.type}, expected {dtype}")
        number = np.dtype(dtype.lower()).newbyteorder("<")
        if len(self.content) != math.prod(self.shape) * number.itemsize:
            raise InputError(
                f"tensor '{self.name}': {len(self.content)} bytes don't hold {list(self.shape)} "
                f"numbers of {dtype}"
            )
        return np.frombuffer(self.content, number).reshape(self.shape)


@dataclass(frozen=True)
class TfliteOp:
    """An op of the file.

    Attributes:
      name: the schema's, `CONV_2D`; of a custom op its own, in quotes.
      version: of the op.
      inputs, outputs: numbers of tensors; -1 for one that is left out.
      options: the table of options as the schema's class, or None.
    """

    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any = field(compare=False)

    def option(self, name: str, default: int | float | bool = 0) -> Any:
        """Return an option of the schema's name; the default where the op has no table.

        Raises:
          InputError: the table is that of another op, or damaged.
        """
        if self.options is None:
            return default
        read = getattr(self.options, name, None)
        if read is None:
            raise InputError(f"has options of another op, {type(self.options).__name__}")
        try:
            return read()
        except _DAMAGED:
            raise InputError("has damaged options") from None


@dataclass(frozen=True)
class TfliteModel:
    """The one subgraph of a file.

    Attributes:
      inputs, outputs: numbers of tensors.
      names: of these, where the file's signature says any.
    """

    tensors: tuple[TfliteTensor, ...]
    ops: tuple[TfliteOp, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    names: Mapping[int, str] = field(default_factory=dict)

    def name_of(self, number: int) -> str:
        """Return what an input or output is called."""
        own = self.tensors[number].name.removeprefix("serving_default_")
        return self.names.get(number) or own.removesuffix(":0")


def read_tflite(content: bytes) -> TfliteModel:
    """Read a file's content.

    Raises:
      InputError: it is no TensorFlow Lite file, or damaged, or has several subgraphs.
      UnsupportedError: it keeps state between samples.
    """
    if content[4:8] != _IDENTIFIER:
        raise InputError("not a TensorFlow Lite file: it lacks the identifier TFL3")
    try:
        return _Reader(content).model()
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(
            f"a damaged TensorFlow Lite file ({type(error).__name__}: {str(error)[:100]})"
        ) from None


class _Reader:
    def __init__(self, content: bytes) -> None:
        from tflite.Model import Model

        self._size = len(content)
        self._model = Model.GetRootAs(content, 0)

    def model(self) -> TfliteModel:
        model = self._model
        if model.Version() != _VERSION:
            raise InputError(f"version {model.Version()} of the format; {_VERSION} is supported")
        self._refuse_state()
        graphs = model.SubgraphsLength()
        if graphs != 1:
            raise InputError(f"{graphs} subgraphs; networks of one are supported")
        graph = model.Subgraphs(0)
        tensors = self._all(graph.TensorsLength(), graph.Tensors, self._tensor)
        ops = self._all(graph.OperatorsLength(), graph.Operators, self._op)
        known = range(len(tensors))
        inputs = self._integers(graph.InputsLength(), graph.InputsAsNumpy)
        outputs = self._integers(graph.OutputsLength(), graph.OutputsAsNumpy)
        used = [*inputs, *outputs]
        for op in ops:
            used += [number for number in op.inputs if number != -1] + list(op.outputs)
        if any(number not in known for number in used):
            raise InputError(
                "a damaged TensorFlow Lite file: an op names a tensor that is not there"
            )
        return TfliteModel(tensors, ops, inputs, outputs, self._signature())

    def _signature(self) -> dict[int, str]:
        """Return the names that the file's only signature gives to tensors."""
        if self._model.SignatureDefsLength() != 1:
            return {}
        own = self._model.SignatureDefs(0)
        self._check(own.InputsLength() + own.OutputsLength())
        entries = [own.Inputs(i) for i in range(own.InputsLength())]
        entries += [own.Outputs(i) for i in range(own.OutputsLength())]
        return {entry.TensorIndex(): entry.Name().decode() for entry in entries if entry.Name()}

    def _refuse_state(self) -> None:
        """Refuse a network that keeps state between samples, as streaming ones do, by its ops."""
        self._check(self._model.OperatorCodesLength())
        for index in range(self._model.OperatorCodesLength()):
            code = self._model.OperatorCodes(index)
            name = _name_of(
                "BuiltinOperator", max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            )
            if name in _STATE:
                raise UnsupportedError(
                    f"op {name}: networks that keep state between samples are not supported"
                )

    def _all[T](
        self, count: int, get: Callable[[int], Any], read: Callable[[Any], T]
    ) -> tuple[T, ...]:
        self._check(count)
        return tuple(read(get(index)) for index in range(count))

    def _check(self, count: int) -> None:
        if count > self._size:  # each element takes a byte at least
            raise InputError(f"a damaged TensorFlow Lite file: a list of {count} elements")

    def _integers(self, count: int, get: Callable[[], Any]) -> tuple[int, ...]:
        self._check(count)
        return tuple(int(value) for value in get()) if count else ()

    def _tensor(self, tensor: Any) -> TfliteTensor:
        name = (tensor.Name() or b"").decode("utf-8", "replace")
        name = re.sub(r"[^\x20-\x7e]", "?", name)
        shape = self._integers(tensor.ShapeLength(), tensor.ShapeAsNumpy)
        if any(size < 0 for size in shape):
            raise InputError(f"tensor '{name}' has the shape {list(shape)}")
        signature = self._integers(tensor.ShapeSignatureLength(), tensor.ShapeSignatureAsNumpy)
        scale, zero, axis = self._quantization(name, tensor.Quantization())
        return TfliteTensor(
            name,
            shape,
            signature or shape,
            _name_of("TensorType", tensor.Type()),
            scale,
            zero,
            axis,
            self._content(tensor.Buffer()),
            tensor.Sparsity() is not None,
        )

    def _quantization(self, name: str, given: Any) -> tuple[np.ndarray, np.ndarray, int]:
        empty = np.zeros(0, np.float64), np.zeros(0, np.int64), 0
        if given is None:
            return empty
        if given.DetailsType() != 0:
            raise InputError(f"tensor '{name}' has a custom quantisation, which is not supported")
        self._check(given.ScaleLength())
        self._check(given.ZeroPointLength())
        if not given.ScaleLength():
            return empty
        with np.errstate(invalid="ignore"):  # signalling NaNs, which are refused later
            scale = np.array(given.ScaleAsNumpy(), np.float32).astype(np.float64)
        zero = np.zeros(len(scale), np.int64)
        if given.ZeroPointLength():
            zero = np.array(given.ZeroPointAsNumpy(), np.int64)
        return scale, zero, int(given.QuantizedDimension())

    def _content(self, number: int) -> bytes | None:
        if number >= self._model.BuffersLength():
            raise InputError(f"a damaged TensorFlow Lite file: there is no buffer {number}")
        buffer = self._model.Buffers(number)
        if buffer.Size() or buffer.Offset() > 1:
            raise InputError("weights behind the flatbuffer (files above 2 GB) are not supported")
        count = buffer.DataLength()
        self._check(count)
        return bytes(buffer.DataAsNumpy()) if count else None

    def _op(self, op: Any) -> TfliteOp:
        number = op.OpcodeIndex()
        if number >= self._model.OperatorCodesLength():
            raise InputError(f"a damaged TensorFlow Lite file: there is no op code {number}")
        code = self._model.OperatorCodes(number)
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        name = _name_of("BuiltinOperator", builtin)
        if name == "CUSTOM":
            name = f"'{(code.CustomCode() or b'').decode('utf-8', 'replace')}'"
        return TfliteOp(
            name,
            code.Version(),
            self._integers(op.InputsLength(), op.InputsAsNumpy),
            self._integers(op.OutputsLength(), op.OutputsAsNumpy),
            _options(op),
        )


def _name_of(enumeration: str, value: int) -> str:
    module = importlib.import_module(f"tflite.{enumeration}")
    names = vars(getattr(module, enumeration))
    return next(
        (name for name, number in names.items() if number == value and name.isupper()),
        f"number {value}",
    )


def _options(op: Any) -> Any:
    table = op.BuiltinOptions()
    if table is None or not op.BuiltinOptionsType():
        return None
    module = importlib.import_module("tflite.BuiltinOptions")
    names = vars(module.BuiltinOptions)
    names = {n: number for n, number in names.items() if not n.startswith("_")}
    name = next((n for n, number in names.items() if number == op.BuiltinOptionsType()), None)
    if name is None:
        return None
    options = getattr(importlib.import_module(f"tflite.{name}"), name)()
    options.Init(table.Bytes, table.Pos)
    return options
