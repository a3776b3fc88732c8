# SPDX-License-Identifier: Apache-2.0
"""TFLite files that tests write, and what LiteRT's reference kernels compute of them."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "int4": schema.TensorType.INT4,
    "bool": schema.TensorType.BOOL,
}


class File:
    """A file that is being written: tensors, and ops on them by their numbers."""

    def __init__(self):
        self.tensors, self.buffers, self.codes, self.ops = [], [schema.BufferT()], [], []

    def tensor(self, name, shape, dtype="int8", scale=None, zero=0, *, data=None, axis=0):
        """Add a tensor; `scale` one number or one for each channel of `axis`."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), TYPES[dtype]
        tensor.buffer = 0
        if data is not None:
            tensor.buffer = len(self.buffers)
            self.buffers.append(schema.BufferT())
            self.buffers[-1].data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        if scale is not None:
            quantization = schema.QuantizationParametersT()
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            quantization.scale = scales
            quantization.zeroPoint = np.broadcast_to(np.asarray(zero, np.int64), scales.shape)
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, name, value, scale=None, zero=0, *, axis=0):
        """Add a tensor with a value."""
        value = np.asarray(value)
        return self.tensor(name, value.shape, value.dtype.name, scale, zero, data=value, axis=axis)

    def op(self, name, inputs, outputs, version=1, **options):
        """Add an op of the schema's name, `CONV_2D`; options as the schema names them."""
        code = getattr(schema.BuiltinOperator, name)
        if (code, version) not in self.codes:
            self.codes.append((code, version))
        op = schema.OperatorT()
        op.opcodeIndex = self.codes.index((code, version))
        op.inputs, op.outputs = list(inputs), list(outputs)
        kind = options.pop("kind", None)
        if kind is not None:
            op.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            op.builtinOptions = getattr(schema, f"{kind}T")()
            for key, value in options.items():
                assert hasattr(op.builtinOptions, key), key
                setattr(op.builtinOptions, key, value)
        self.ops.append(op)

    def model(self, inputs, outputs) -> Any:
        """Return the schema's object of the model."""
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.ops
        graph.inputs, graph.outputs = list(inputs), list(outputs)
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self.buffers
        model.operatorCodes = []
        for code, version in self.codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.version = code, version
            entry.deprecatedBuiltinCode = min(code, 127)
            model.operatorCodes.append(entry)
        return model

    def content(self, inputs, outputs) -> bytes:
        """Return the file."""
        return packed(self.model(inputs, outputs))


def packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def by_litert(content: bytes, x: np.ndarray) -> np.ndarray:
    """Return what LiteRT's reference kernels make of samples, one after the other."""
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    (given,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for sample in x:
        interpreter.set_tensor(given["index"], sample[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result["index"]))
    return np.concatenate(outputs)
