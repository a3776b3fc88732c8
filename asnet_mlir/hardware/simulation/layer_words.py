# SPDX-License-Identifier: Apache-2.0
"""What the layers of a network should compute inside the hardware, word by word.

The software's values come from the JIT of the bundle's own network and models, of the very code
that the hardware was made of: the loops of the sequential machine, or the stages of a stream.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.hardware.schedule import shared
from asnet_mlir.hardware.schedule import stream as streams
from asnet_mlir.ir import main_function, module_from_text, run_passes, walk
from asnet_mlir.native.jit import CompiledModule
from asnet_mlir.reference import to_native
from asnet_mlir.support.formats import NumberFormat, parse_format

__all__ = ["Layers", "Value", "machine_layers", "stream_layers"]

_VIEWS = (
    "memref.cast",
    "memref.collapse_shape",
    "memref.expand_shape",
    "memref.reinterpret_cast",
    "memref.subview",
    "memref.view",
)
_OTHER_VERSION = (
    "this version of the compiler makes other hardware of the network than the bundle has; "
    "generate the bundle anew"
)


@dataclass(frozen=True)
class Value:
    """Words that the hardware computes for a sample.

    Attributes:
      layer: the layer that they are part of.
      step, steps: which of the layer's loop nests computes them, of how many (1 of 1 in a stream).
      shape: of the array that they are in.
      places: int64, the row-major index in that array of each word, in the order in which the
        hardware gives or the test bench compares them.
      format: of its numbers; of floats NaN equals NaN.
      writes, addresses: of the sequential machine, the number of writes to the RAM that compute
        them, and where they are then, in the order of `places`.
    """

    layer: str
    step: int
    steps: int
    shape: tuple[int, ...]
    places: np.ndarray
    format: NumberFormat
    writes: int = 0
    addresses: np.ndarray | None = None

    def coordinates(self, position: int) -> tuple[int, tuple[int, ...]]:
        """Return the row-major index and the coordinates of the word at a position."""
        index = int(self.places[position])
        return index, tuple(int(i) for i in np.unravel_index(index, self.shape or (1,)))


@dataclass(frozen=True)
class Layers:
    """The values of a network in the order of computation, and the software that computes them.

    `compute(x)` returns uint32 arrays, one a value in the order of its `places`, of one sample
    (1, ..).
    """

    values: tuple[Value, ...]
    compute: Callable[[np.ndarray], list[np.ndarray]]

    @property
    def words(self) -> int:
        """Words of all values of a sample."""
        return sum(value.places.size for value in self.values)

    def table(self) -> np.ndarray:
        """Return the uint64 numbers that the test bench wants to know (tb/bench.cpp)."""
        numbers = [np.array([len(self.values)])]
        for value in self.values:
            head = [int(value.format.is_float), value.places.size]
            if value.addresses is not None:
                numbers += [np.array([*head, value.writes]), value.addresses]
            else:
                numbers.append(np.array(head))
        return np.concatenate(numbers).astype(np.uint64)

    def write_expected(
        self, path: Path, x: np.ndarray, progress: Callable[[int], None] | None = None
    ) -> None:
        """Write the words of all samples to a file, all samples of a value after each other.

        Args:
          x: (samples, ..) of the network's format.
          progress: is told how many samples are done.
        """
        samples = len(x)
        if not self.words:
            path.touch()
            return
        # On disk, not in memory: 10,000 images of a convolutional network are gigabytes.
        out = np.memmap(path, np.uint32, "w+", shape=(samples * self.words,))
        for sample in range(samples):
            start = 0
            for value, words in zip(self.values, self.compute(x[sample : sample + 1]), strict=True):
                size = value.places.size
                out[start + sample * size : start + (sample + 1) * size] = words
                start += samples * size
            if progress is not None:
                progress(sample + 1)
        out.flush()


def machine_layers(
    network: str,
    models: str,
    weights: Sequence[np.ndarray],
    buffers: Sequence[Mapping[str, Any]],
) -> Layers:
    """Return the values of the sequential machine: what each loop nest leaves in the RAM.

    Args:
      network: the bound network, as the bundle keeps it.
      models: of its instances.
      weights: in the order of the network's arguments.
      buffers: of the manifest, where the hardware has what.

    Raises:
      InputError: this version of the compiler makes other hardware of the network.
    """
    from mlir import ir

    scheduled = shared.schedule(network)
    with module_from_text(scheduled) as module:
        main = main_function(module)
        block = main.regions[0].blocks[0]
        memories = _to_python(main.attributes["approx.memories"])
        if [_place(entry) for entry in memories] != [_place(entry) for entry in buffers]:
            raise InputError(_OTHER_VERSION)
        values: list[Value] = []
        kinds: list[Any] = []
        ops_of_block = [op.operation for op in block.operations]
        following = list(itertools.pairwise(ops_of_block))
        for layer, ops in list(_nests(ops_of_block)):
            stores = [op for each in ops for op in walk(each) if _is_store(op)]
            by_address: dict[int, tuple[Any, tuple[int, str]]] = {}
            writes = 0
            for store in stores:
                addresses = _addresses(store)
                writes += addresses.size
                # Straight-line code may be of several layers.
                if "approx.layer" in store.attributes:
                    layer = store.attributes["approx.layer"].value
                key = store.attributes["approx.memory"].value, layer
                # Buffers that are never needed at one time share words: the last one has them.
                for address in addresses.ravel().tolist():
                    by_address.pop(address, None)
                    by_address[address] = store, key
            groups: dict[tuple[int, str], list[int]] = {}
            roots: dict[int, Any] = {}
            for store, key in by_address.values():
                root = _root(store.operands[1])
                # A buffer of a loop's body is gone behind the loop.
                if isinstance(root.owner, ir.Block) or root.owner.operation.block == block:
                    groups.setdefault(key, [])
                    roots[key[0]] = root
            for address, (_, key) in sorted(by_address.items()):
                if key in groups:
                    groups[key].append(address)
            after = next(one for last, one in following if last == ops[-1])
            for number, ((memory, name), found) in enumerate(groups.items()):
                root = roots[memory]
                snapshot = block.add_argument(root.type, ir.Location.unknown())
                with ir.InsertionPoint(after):
                    ir.Operation.create("memref.copy", operands=[root, snapshot])
                kinds.append(root.type)
                shaped = ir.ShapedType(root.type)
                addresses = np.array(found, np.int64)
                values.append(
                    Value(
                        layer=name,
                        step=0,
                        steps=0,
                        shape=tuple(shaped.shape),
                        places=addresses - memories[memory]["base"],
                        format=parse_format(str(shaped.element_type)),
                        # All at the end of the nest: what comes after the first has no writes.
                        writes=writes if number == 0 else 0,
                        addresses=addresses,
                    )
                )
        function = ir.FunctionType(main.attributes["function_type"].value)
        inputs = [*function.inputs, *kinds]
        main.attributes["function_type"] = ir.TypeAttr.get(ir.FunctionType.get(inputs, []))
        known = list(ir.ArrayAttr(main.attributes["arg_attrs"]))
        empty = ir.DictAttr.get({})
        main.attributes["arg_attrs"] = ir.ArrayAttr.get([*known, *[empty] * len(kinds)])
        main.attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
        parsed = ir.Module.parse(models)
        for op in list(parsed.body.operations):
            module.body.append(op)
        shapes = [tuple(ir.ShapedType(kind).shape) for kind in inputs]
        held = [_as_held(array, kind) for array, kind in zip(weights, inputs[1:], strict=False)]
        of_input = str(ir.ShapedType(inputs[0]).element_type)
        results = [_empty(kind) for kind in inputs[1 + len(weights) : len(inputs) - len(kinds)]]
        run_passes(module, "builtin.module(asnet-loops-to-llvm)", "lowering to LLVM")
        compiled = CompiledModule(module, shapes={"main": shapes})
    arrays = [np.empty(value.shape, value.format.dtype) for value in values]

    def compute(x: np.ndarray) -> list[np.ndarray]:
        compiled("main", _words(x.reshape(shapes[0]), of_input), *held, *results, *arrays)
        return [
            value.format.to_words(array.reshape(-1))[value.places]
            for array, value in zip(arrays, values, strict=True)
        ]

    return Layers(tuple(_numbered(values)), compute)


def stream_layers(
    network: str,
    models: str,
    weights: Sequence[np.ndarray],
    lanes: Sequence[str],
    layers: Sequence[Mapping[str, Any]],
) -> Layers:
    """Return the values of a stream: what each stage passes on.

    Args:
      network, models, weights: as of `machine_layers`.
      lanes: as `generate` had them.
      layers: of the manifest, the stages that the hardware has.

    Raises:
      InputError: this version of the compiler makes other hardware of the network.
    """
    from mlir import ir

    scheduled = streams.schedule(network, lanes)
    with module_from_text(scheduled.text) as module:
        main = main_function(module)
        functions = {
            op.attributes["sym_name"].value: op
            for op in module.body.operations
            if "approx.index" in op.attributes
        }
        orders = _orders(functions.values())
        block = main.regions[0].blocks[0]
        terminator = list(block.operations)[-1]
        results: list[tuple[Any, Value]] = []
        for op in block.operations:
            if op.operation.name != "func.call":
                continue
            function = functions[op.attributes["callee"].value]
            for number, result in zip(
                _to_python(function.attributes["approx.results"]), op.results, strict=True
            ):
                shaped = ir.ShapedType(result.type)
                shape = tuple(shaped.shape)
                layer = ""
                if "approx.stage" in function.attributes:
                    layer = function.attributes["approx.stage"].value
                places = np.arange(math.prod(shape), dtype=np.int64)
                if number in orders:
                    places = _strided(0, *orders[number]).reshape(-1)
                format = parse_format(str(shaped.element_type))
                results.append((result, Value(layer, 0, 0, shape, places, format)))
        values = [value for _, value in results]
        known = [(entry["layer"], entry.get("outputs")) for entry in layers]
        made = [(value.layer, value.places.size) for value in values]
        if len(known) != len(made) or any(
            one[0] != two[0] or one[1] not in (None, two[1])
            for one, two in zip(known, made, strict=True)
        ):
            raise InputError(_OTHER_VERSION)
        function_type = ir.FunctionType(main.attributes["function_type"].value)
        taken = list(function_type.inputs)
        held = [_as_held(array, kind) for array, kind in zip(weights, taken[1:], strict=True)]
        of_input = str(ir.ShapedType(taken[0]).element_type)
        network_outputs = [_empty(kind) for kind in function_type.results]
        kinds = [*function_type.results, *(result.type for result, _ in results)]
        returned = [*terminator.operands, *(result for result, _ in results)]
        with ir.InsertionPoint(terminator):
            ir.Operation.create("func.return", operands=returned)
        terminator.operation.erase()
        main.attributes["function_type"] = ir.TypeAttr.get(
            ir.FunctionType.get(list(function_type.inputs), kinds)
        )
        if "res_attrs" in main.attributes:
            del main.attributes["res_attrs"]
        text = str(module)
    compiled = to_native(text, models)
    arrays = [np.empty(value.shape, value.format.dtype) for value in values]

    def compute(x: np.ndarray) -> list[np.ndarray]:
        compiled("main", _words(x, of_input), *held, *network_outputs, *arrays)
        return [
            value.format.to_words(array.reshape(-1))[value.places]
            for array, value in zip(arrays, values, strict=True)
        ]

    return Layers(tuple(_numbered(values)), compute)


# ---- The sequential machine's loops


def _empty(kind: Any) -> np.ndarray:
    """Return an array for numbers of a shaped type."""
    return np.empty(tuple(kind.shape), parse_format(str(kind.element_type)).dtype)


def _as_held(array: np.ndarray, kind: Any) -> np.ndarray:
    """Return a weight as hardware holds it, for an argument of a shaped type."""
    from mlir import ir

    return _words(array, str(ir.ShapedType(kind).element_type))


def _words(array: np.ndarray, element: str) -> np.ndarray:
    """Return numbers for an argument: integers that hardware has in words have zeros above them."""
    if element != "i32" or array.dtype.itemsize == 4:
        return array
    return array.view(f"uint{8 * array.dtype.itemsize}").astype(np.uint32)


def _place(memory: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(memory.get(key) for key in ("name", "bank", "base", "words"))


def _nests(operations: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield what the program runs one after the other: loops, and the code between them.

    With the layer of the first; parts that write nothing are left out.
    """
    layer = ""
    part: list[Any] = []
    for operation in operations:
        is_loop = "approx.trip" in operation.attributes
        if is_loop and part:
            yield layer, part
            part = []
        if not is_loop and not _is_store(operation):
            continue
        if "approx.layer" in operation.attributes and not part:
            layer = operation.attributes["approx.layer"].value
        if is_loop:
            if any(_is_store(inner) for inner in walk(operation)):
                yield layer, [operation]
        else:
            part.append(operation)
    if part:
        yield layer, part


def _is_store(op: Any) -> bool:
    return "approx.memory" in op.attributes and not len(op.results)


def _addresses(store: Any) -> np.ndarray:
    """Return the address of each execution of a store, by its loops."""
    trips: list[int] = []
    parent = store.parent
    while "approx.trip" in parent.attributes:
        trips.insert(0, parent.attributes["approx.trip"].value)
        parent = parent.operation.parent
    strides = list(_to_python(store.attributes["approx.strides"]))
    return _strided(store.attributes["approx.base"].value, trips, strides)


def _strided(base: int, ranges: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    place = np.full(tuple(ranges), base, np.int64)
    for axis, (size, stride) in enumerate(zip(ranges, strides, strict=True)):
        shape = [1] * len(ranges)
        shape[axis] = size
        place = place + (np.arange(size) * stride).reshape(shape)
    return place


def _root(value: Any) -> Any:
    """Return the buffer that a view shows."""
    from mlir import ir

    while not isinstance(value.owner, ir.Block) and value.owner.name in _VIEWS:
        value = value.owner.operands[0]
    return value


def _numbered(values: Sequence[Value]) -> Iterator[Value]:
    """Say of each value which step of its layer it is."""
    totals: dict[str, int] = {}
    for value in values:
        totals[value.layer] = totals.get(value.layer, 0) + 1
    seen: dict[str, int] = {}
    for value in values:
        seen[value.layer] = seen.get(value.layer, 0) + 1
        yield dataclasses.replace(value, step=seen[value.layer], steps=totals[value.layer])


# ---- Streams


def _orders(functions: Any) -> dict[int, tuple[list[int], list[int]]]:
    """Return the loops over the words of values that do not leave in row-major order."""
    orders: dict[int, tuple[list[int], list[int]]] = {}
    for function in functions:
        inputs = _to_python(function.attributes["approx.inputs"])
        if "approx.orders" in function.attributes:
            for value, order in zip(
                inputs, _to_python(function.attributes["approx.orders"]), strict=True
            ):
                if order.get("ranges"):
                    orders[value] = (list(order["ranges"]), list(order["strides"]))
        if "approx.operands" in function.attributes:
            for operand in _to_python(function.attributes["approx.operands"]):
                if operand.get("write_ranges"):
                    orders[operand["value"]] = (
                        list(operand["write_ranges"]),
                        list(operand["write_strides"]),
                    )
    return orders


def _to_python(attribute: Any) -> Any:
    """Return an attribute as dictionaries, lists, strings and numbers."""
    from mlir import ir

    if isinstance(attribute, ir.DictAttr):
        return {entry.name: _to_python(entry.attr) for entry in attribute}
    if isinstance(attribute, ir.StringAttr | ir.FlatSymbolRefAttr | ir.IntegerAttr):
        return attribute.value
    if isinstance(attribute, ir.ArrayAttr):
        return [_to_python(entry) for entry in attribute]
    return list(attribute)


def summary(values: Sequence[Value], mismatches: Sequence[int]) -> list[Mapping[str, Any]]:
    """Return for each layer, in order of computation, its words a sample and its mismatches."""
    layers: dict[str, dict[str, Any]] = {}
    for value, count in zip(values, mismatches, strict=True):
        entry = layers.setdefault(value.layer, {"layer": value.layer, "words": 0, "mismatches": 0})
        entry["words"] += value.places.size
        entry["mismatches"] += count
    return list(layers.values())
