# SPDX-License-Identifier: Apache-2.0
"""Stages on the processor: lowered to LLVM, compiled, loaded."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import json
import os
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.cores import Instance, derive_models
from asnet_mlir.cores.models.model import Model, Strategy, model_symbol
from asnet_mlir.errors import ToolError
from asnet_mlir.evaluation.contractions import (
    Outlined,
    Product,
    Way,
    contraction_from,
    inlined,
    names_instance,
    outlined,
    product_table,
)
from asnet_mlir.evaluation.stages import Stage, split_stages
from asnet_mlir.ir import module_from_text, run_passes
from asnet_mlir.native.contraction import (
    contract_address,
    vectors_for,
)
from asnet_mlir.native.jit import block_libraries
from asnet_mlir.native.objects import (
    Argument,
    LoadedObject,
    Plan,
    aligned,
    compile_object,
    host,
    native_key,
)
from asnet_mlir.native.ternary import use_ternary_logic
from asnet_mlir.support.cache import cached_bytes, content_hash

__all__ = [
    "BoundStage",
    "NativeStage",
    "StageCompiler",
    "TO_LLVM",
    "to_llvm",
]


def to_llvm(approx: str, binding: Binding) -> str:
    """Lower a module of the approx dialect to the LLVM dialect, as the evaluator runs it.

    Returns:
      A module for each stage, several samples at once, separated by `// -----`.
    """
    split = split_stages(approx)
    compiler = StageCompiler.for_host(split.has_lanes)
    return "// -----\n".join(compiler.lowered_text(stage, binding) for stage in split.stages)


_LOOPS = "builtin.module(asnet-cpu-loops{{lanes={lanes} registers={registers}}})"
TO_LLVM = "builtin.module(asnet-to-llvm)"


@contextlib.contextmanager
def _lowered(
    bound: str, models: Mapping[int, Model], layer: str, lanes: int
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield a stage in the LLVM dialect, `lanes` samples at once, and its signature.

    Args:
      bound: the stage, bound, its contractions outlined.
      models: of the instances that it names, by ID; with their symbols.
      layer: named in errors.
      lanes: 1 for scalar code.

    Yields:
      `(module, signature)`; the signature says what `@main` and `@prepare` take, see `_signature`.
    """
    with module_from_text(bound) as module:
        from mlir import ir

        for model in models.values():
            text = model.parametric_text
            if model.block:
                text = _declaration(model)
            parsed = ir.Module.parse(text)
            for op in list(parsed.body.operations):
                module.body.append(op)
        layer = f"layer '{layer}'"
        run_passes(module, _LOOPS.format(lanes=lanes, registers=_registers()), layer)
        signature = {}
        for op in module.body.operations:
            name = op.attributes["sym_name"].value
            if name in ("main", "prepare"):
                signature[name] = _signature(op)
        run_passes(module, TO_LLVM, layer)
        yield module, signature


def _registers() -> int:
    """Vector registers of this processor: 32 of 16 lanes with AVX-512, else 16 of 8 lanes."""
    return 32 if "+avx512f" in host() else 16


def _declaration(model: Model) -> str:
    """Return a model that computes arrays as declarations: its code is an object of its own."""
    arrays = re.search(rf"func private @{model.symbol}_block\((.*?)\)", model.text)
    pair = re.search(rf"func private @{model.symbol}\((.*?)\) -> (\w+)", model.text)
    if arrays is None or pair is None:
        raise ToolError(f"the model @{model.symbol} lacks a function for arrays or pairs")

    def types(arguments: str) -> str:
        return ", ".join(re.findall(r"%\w+: (\S+?)(?:,|$)", arguments))

    return (
        f"func.func private @{model.symbol}_block({types(arrays[1])})\n"
        f"func.func private @{model.symbol}({types(pair[1])}) -> {pair[2]} "
        f"attributes {{approx.block = @{model.symbol}_block}}\n"
    )


def _signature(function: Any) -> list[dict[str, Any]]:
    """Return for each argument its role, what it is called, and its size in bytes."""
    from mlir import ir

    types = ir.FunctionType(function.attributes["function_type"].value).inputs
    attributes = (
        list(function.attributes["arg_attrs"]) if "arg_attrs" in function.attributes else []
    )
    arguments = []
    for position, kind in enumerate(types):
        entry = attributes[position] if attributes else {}
        if "approx.contraction" in entry:
            described = contraction_from(ir.DictAttr(entry["approx.contraction"]))
            arguments.append({"role": "contraction", "name": described, "bytes": 1})
            continue
        for role in ("value", "weight", "prepared", "parameters", "arena"):
            key = f"approx.{role}"
            if key in entry:
                named = role in ("value", "weight", "prepared")
                name = entry[key].value if named else None
                arguments.append({"role": role, "name": name, "bytes": _bytes(ir, kind)})
                break
        else:
            raise ToolError(f"argument {position} of a stage has no role")
    return arguments


def _bytes(ir: Any, kind: Any) -> int:
    memref = ir.MemRefType(kind)
    element, lanes = memref.element_type, 1
    if isinstance(element, ir.VectorType):
        lanes, element = element.shape[0], element.element_type
    # An integer of 18 bits, a product that does not depend on samples, takes a whole word.
    size = lanes * max(1, (1 << (element.width - 1).bit_length()) // 8)
    for extent in memref.shape:
        size *= extent
    return size


_NAMED = re.compile(
    r'approx\.(?:value = (?P<value>\d+) : i64|(?P<kind>weight|layer|stage) = "(?P<name>[^"]*)")'
    r'|"[^"]*"'
)


@dataclass(frozen=True)
class _Names:
    """What a stage calls its values and weights; code calls them by their places here."""

    values: tuple[int, ...] = ()
    weights: tuple[str, ...] = ()

    @classmethod
    def taken_from(cls, text: str) -> tuple[_Names, Callable[[str], str]]:
        """Return the names in a stage's text, and what replaces them in it.

        What is left does not say which layer it is: equal layers have one code.
        """
        places: dict[str, dict[str, int]] = {"value": {}, "weight": {}}

        def place(found: re.Match[str]) -> str:
            if found["value"] is not None:
                own = places["value"]
                return f"approx.value = {own.setdefault(found['value'], len(own))} : i64"
            if found["kind"] is None:  # another string
                return found[0]
            if found["kind"] != "weight":
                return f'approx.{found["kind"]} = "layer"'
            own = places["weight"]
            return f'approx.weight = "{own.setdefault(found["name"], len(own))}"'

        _NAMED.sub(place, text)
        names = cls(tuple(map(int, places["value"])), tuple(map(_unescaped, places["weight"])))
        return names, lambda other: _NAMED.sub(place, other)

    def restored(self, argument: dict[str, Any]) -> dict[str, Any]:
        """Return what an argument of the code is, in the stage's names."""
        role, name = argument["role"], argument["name"]
        if role == "value":
            return {**argument, "name": self.values[name]}
        if role == "weight":
            return {**argument, "name": self.weights[int(name)]}
        if role == "contraction" and "weight" in name:
            return {**argument, "name": {**name, "weight": self.weights[int(name["weight"])]}}
        return argument


def _unescaped(name: str) -> str:
    r"""Return a string as it was before MLIR printed it: bytes as \XX, a backslash doubled."""
    raw = re.sub(
        rb"\\(\\|[0-9A-Fa-f]{2})",
        lambda found: b"\\" if found[1] == b"\\" else bytes.fromhex(found[1].decode()),
        name.encode(),
    )
    return raw.decode()


class NativeStage:
    """Native code of a stage under one kind of binding, loaded."""

    def __init__(self, data: bytes, symbols: Mapping[str, int], keep: Any) -> None:
        header, _, code = data.partition(b"\n")
        signature = json.loads(header)
        self.main: list[dict[str, Any]] = signature["main"]
        self.prepare: list[dict[str, Any]] = signature["prepare"]
        self._loaded = LoadedObject(code, symbols, keep)

    def named(self, names: _Names) -> NativeStage:
        """Return this code for a stage whose values and weights have other names."""
        other = copy.copy(self)
        other.main = [names.restored(argument) for argument in self.main]
        other.prepare = [names.restored(argument) for argument in self.prepare]
        return other

    @property
    def contractions(self) -> list[dict[str, Any]]:
        """What says where codes, weights and sums of its contractions lie, in `main`'s order."""
        return [a["name"] for a in self.main if a["role"] == "contraction"]

    @cached_property
    def entry(self) -> int:
        """The address of `asnet_main`."""
        return self._loaded.address("asnet_main")

    def prepared(
        self, weights: Mapping[str, np.ndarray], parameters: np.ndarray
    ) -> dict[int, np.ndarray]:
        """Run `@prepare`: what depends on weights and parameters only, by number.

        Args:
          weights: C-contiguous arrays by name.
          parameters: int32[n], as `approx-promote-parameters` orders them.
        """
        results, arguments = {}, []
        for argument in self.prepare:
            role, name = argument["role"], argument["name"]
            if role == "arena":
                arguments.append(Argument("arena", argument["bytes"]))
                continue
            if role == "prepared":
                array = results[name] = aligned(argument["bytes"])
            else:
                array = parameters if role == "parameters" else weights[name]
            arguments.append(Argument("constant", array.ctypes.data))
        if results:
            entry = self._loaded.address("asnet_prepare")
            Plan([(entry, arguments)], []).run({}, blocks=1, threads=1)
        return results


@dataclass(frozen=True)
class BoundStage:
    """A stage and the native code that computes it under a binding.

    Attributes:
      products: of its contractions, as they number them.
      key: hash of everything that decides the stage's results but weights and input.
    """

    stage: Stage
    native: NativeStage
    parameters: np.ndarray
    products: tuple[Product, ...]
    key: str

    @property
    def weights(self) -> tuple[str, ...]:
        """The names of the weights that it computes with."""
        arguments = (*self.native.main, *self.native.prepare)
        names = [a["name"] for a in arguments if a["role"] == "weight"]
        names += [c["weight"] for c in self.native.contractions if "weight" in c]
        return tuple(dict.fromkeys(names))

    @property
    def value_bytes(self) -> dict[int, int]:
        """Bytes of a block of each value that it reads or writes, by number."""
        return {a["name"]: a["bytes"] for a in self.native.main if a["role"] == "value"}


@dataclass(frozen=True)
class _Request:
    """A stage to be compiled.

    `text` is bound, its values, weights and layers called by their places (`names`); `models` are
    of the instances that it names, `instances` these; `products` are of its contractions.  `key` is
    that of its native code.
    """

    stage: Stage
    text: str
    names: _Names
    instances: Mapping[int, Instance]
    models: Mapping[int, Model]
    products: tuple[Product, ...]
    key: str
    parameters: np.ndarray


def _parameters(models: Mapping[int, Model]) -> np.ndarray:
    """Return int32[n]: what native code of stages takes for its models."""
    values = [value for model in models.values() for value in model.parameters]
    return np.array(values, np.uint32).view(np.int32)


class StageCompiler:
    """Compiles stages; equal ones once."""

    def __init__(
        self, lanes: int, strategy: Strategy | None = None, way: Way | None = None
    ) -> None:
        """Make one for `lanes` samples at once, 1 for scalars; see `derive_models`.

        Args:
          way: of contractions (`contractions.py`); by default the quickest of each, and `models`
            where this processor has no vectors for the others.
        """
        self.lanes = lanes
        # Portable code of contractions is slower than what LLVM makes of models.
        self._vectors = vectors_for(lanes)[0]
        self.way: Way | None = way or (None if self._vectors != "portable" else "models")
        self._strategy = strategy
        self._requests: dict[tuple[str, ...], _Request] = {}
        self._outlines: dict[tuple[Hashable, ...], Outlined] = {}
        self._products: dict[str, Product] = {}
        self._known: dict[tuple[str, str], Model] = {}
        self._stages: dict[str, NativeStage] = {}
        self._blocks: dict[str, tuple[int, Any]] = {}
        self.libraries: list[Any] = []

    @classmethod
    def for_host(
        cls, has_lanes: bool = True, strategy: Strategy | None = None, way: Way | None = None
    ) -> StageCompiler:
        """Return one whose lanes fill a vector register of this processor, or one for scalars."""
        return cls(_registers() // 2 if has_lanes else 1, strategy, way)

    @property
    def count(self) -> int:
        """How many different stages there are."""
        return len(self._stages)

    def lowered_text(self, stage: Stage, binding: Binding) -> str:
        """Return `stage` under the network's `binding` in the LLVM dialect, as text."""
        request = self._request(stage, binding)
        text = self._outlined(stage, stage.restrict(binding))[0].text
        with _lowered(text, request.models, stage.layer, self.lanes) as (module, _):
            return str(module)

    def compile(self, stages: Sequence[Stage], binding: Binding) -> tuple[BoundStage, ...]:
        """Return native code of `stages` under the network's `binding`."""
        requests = [self._request(stage, binding) for stage in stages]
        missing = {r.key: r for r in requests if r.key not in self._stages}
        # LLVM, which takes most of the time, runs side by side for several stages.
        if len(missing) > 1:
            with ThreadPoolExecutor(min(len(missing), len(os.sched_getaffinity(0)))) as pool:
                codes = list(pool.map(self._code, missing.values()))
        else:
            codes = [self._code(request) for request in missing.values()]
        for request, code in zip(missing.values(), codes, strict=True):
            self._stages[request.key] = self._loaded(request, code)
        return tuple(
            BoundStage(
                request.stage,
                self._stages[request.key].named(request.names),
                request.parameters,
                request.products,
                content_hash(
                    request.key,
                    request.parameters.tobytes(),
                    *(product.key for product in request.products),
                ),
            )
            for request in requests
        )

    def _request(self, stage: Stage, binding: Binding) -> _Request:
        own = stage.restrict(binding)
        instances = own.instances
        known = (stage.text, own.pass_option, *(i.content_hash for i in instances.values()))
        if known not in self._requests:
            self._requests[known] = self._make_request(stage, own)
        return self._requests[known]

    def _make_request(self, stage: Stage, own: Binding) -> _Request:
        parts, products = self._outlined(stage, own)
        names, placed = _Names.taken_from(parts.code)
        instances = {n: i for n, i in own.instances.items() if names_instance(parts.code, n)}
        models = self._models(instances)
        # What products compute, and with which cores, is data: no code depends on it.
        texts = [model.parametric_text for model in models.values()]
        key = native_key("stage", placed(parts.code), str(self.lanes), *texts)
        parameters = _parameters(models)
        text = placed(parts.text)
        return _Request(stage, text, names, instances, models, products, key, parameters)

    def _outlined(self, stage: Stage, own: Binding) -> tuple[Outlined, tuple[Product, ...]]:
        """Return the bound stage and the products of its contractions."""
        parts = self._parts(stage, own, self.way)
        products = tuple(self._product(stage, text, own) for text in parts.products)
        if not all(product.ways for product in products):  # words too wide for either way
            return self._parts(stage, own, "models"), ()
        return parts, products

    def _parts(self, stage: Stage, own: Binding, way: Way | None) -> Outlined:
        """Return what `outlined` does, once for all parameters of the binding's cores."""
        cores = [(i.core.module, i.core.op, str(i.format)) for i in own.instances.values()]
        known = (stage.text, own.pass_option, str(way), *cores)
        if known not in self._outlines:
            self._outlines[known] = outlined(stage, own, way)
        return self._outlines[known]

    def _product(self, stage: Stage, text: str, own: Binding) -> Product:
        """Return the product of two codes that a module computes (`Outlined.products`)."""
        instances = {n: i for n, i in own.instances.items() if names_instance(text, n)}
        models = self._models(instances)
        versions = [model.version for model in models.values()]
        hashes = [instance.content_hash for instance in instances.values()]
        key = native_key("product", text, *hashes, *versions)
        if key not in self._products:

            def make() -> bytes:
                parameters = _parameters(models)
                code, names = inlined(text), _Names()
                request = _Request(stage, code, names, instances, models, (), key, parameters)
                scalar = StageCompiler(1, self._strategy)
                native = scalar._loaded(request, scalar._code(request))
                return product_table(native.entry, native.main, parameters).tobytes()

            words = np.frombuffer(cached_bytes("products", key, make), np.int32)
            self._products[key] = Product(words.reshape(256, 256), self.way)
        return self._products[key]

    def _code(self, request: _Request) -> bytes:
        """Return signature and object file of a stage."""
        # Blocked code has its vectors; scalar code profits from LLVM's own vectorizers.
        level = 1 if self.lanes > 1 else 3
        layer = request.stage.layer

        def make() -> bytes:
            with _lowered(request.text, request.models, layer, self.lanes) as lowered:
                module, signature = lowered
                return json.dumps(signature).encode() + b"\n" + compile_object(module, level)

        return cached_bytes("stages", request.key, make)

    def _loaded(self, request: _Request, code: bytes) -> NativeStage:
        symbols: dict[str, int] = {"asnet_contract": contract_address()}
        keep = []
        for number, model in request.models.items():
            if model.block:
                address, loaded = self._block(request.instances[number])
                symbols[f"{model.symbol}_block"] = address
                keep.append(loaded)
        return NativeStage(code, symbols, keep)

    def _models(self, instances: Mapping[int, Instance]) -> dict[int, Model]:
        """Return the models of instances by ID."""
        wanted = {
            (model_symbol(number), instance.content_hash): instance
            for number, instance in instances.items()
        }
        missing = {key: value for key, value in wanted.items() if key not in self._known}
        if missing:
            symbols = {symbol: instance for (symbol, _), instance in missing.items()}
            for symbol, model in derive_models(symbols, self._strategy).items():
                self._known[symbol, symbols[symbol].content_hash] = model
        return dict(zip(instances, (self._known[key] for key in wanted), strict=True))

    def _block(self, instance: Instance) -> tuple[int, Any]:
        """Return the address of a model that computes arrays, and what must live with it."""
        if instance.content_hash not in self._blocks:
            symbol = "approx_model"
            model = derive_models({symbol: instance}, self._strategy)[symbol]
            libraries = _libraries(model)
            self.libraries += [library for library, _ in libraries.values()]
            key = native_key("block", model.text)
            data = cached_bytes("blocks", key, lambda: _compile_block(model))
            addresses = {name: address for name, (_, address) in libraries.items()}
            loaded = LoadedObject(data, addresses, list(libraries.values()))
            self._blocks[instance.content_hash] = loaded.address(f"{symbol}_block"), loaded
        return self._blocks[instance.content_hash]

    def check(self) -> None:
        """Raise what went wrong inside simulated cores."""
        for library in self.libraries:
            if library.asnet_block_failures():
                raise ToolError(
                    "a simulated core ended its simulation by itself or gave no result in time"
                )


def _compile_block(model: Model) -> bytes:
    with module_from_text(model.text) as module:
        for op in module.body.operations:
            if op.attributes["sym_name"].value == f"{model.symbol}_block":
                del op.attributes["sym_visibility"]
        use_ternary_logic(module)
        run_passes(module, "builtin.module(asnet-models-to-llvm)", "lowering a model")
        return compile_object(module, 3)


def _libraries(model: Model) -> dict[str, tuple[Any, int]]:
    """Load what a simulated model calls, with the address of each function, by its name."""
    if "approx.library" not in model.text:
        return {}
    with module_from_text(model.text) as module:
        return {
            name: (library, ctypes.cast(library.asnet_block, ctypes.c_void_p).value or 0)
            for name, library in block_libraries(module)
        }
