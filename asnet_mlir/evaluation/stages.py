"""Stages: the parts of a network, one a layer, that are compiled, cached and run by themselves.

    approx module --split--> stages --bind, models, lanes, loops--> object files

A stage's native code depends on its own text and on what its own ops are bound to.  So a binding
that changes one layer compiles one stage, one that changes a parameter of a truncating core
compiles none (masks are arguments), and results of the stages before it can be used again.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from asnet_mlir.binding import Binding, Rule
from asnet_mlir.cache import cached_bytes, cached_text, content_hash
from asnet_mlir.compiler import bind, module_from_text, run_passes
from asnet_mlir.cores import Instance, derive_models
from asnet_mlir.cores.model import Model, Strategy
from asnet_mlir.errors import ToolError, UnsupportedError
from asnet_mlir.native import LoadedObject, aligned, compile_object, host, native_key
from asnet_mlir.ternary import use_ternary_logic

__all__ = [
    "BoundStage",
    "NativeStage",
    "Split",
    "Stage",
    "StageCompiler",
    "split_stages",
    "transposer",
]

_SPLIT = "builtin.module(approx-split-stages)"
_CALL_MODELS = "builtin.module(convert-approx-to-calls{keep-blocks=true})"
_PROMOTE_PARAMETERS = "builtin.module(approx-promote-parameters)"
# Models that compute arrays stay as they are: approx-block-calls looks for them.
_INLINE_MODELS = "builtin.module(inline,canonicalize,cse)"
_HOIST = "builtin.module(approx-hoist-uniform,canonicalize,cse)"
_ADD_LANES = "builtin.module(approx-add-lanes{{lanes={lanes}}},canonicalize,cse)"
_BUFFERIZE = (
    "builtin.module(approx-protect-weights,approx-distinct-results,"
    "one-shot-bufferize{bufferize-function-boundaries=true "
    "function-boundary-type-conversion=identity-layout-map},"
    "buffer-results-to-out-params{hoist-static-allocs=true modify-public-functions=true},"
    "fold-memref-alias-ops,canonicalize,cse)"
)
_BLOCK = (
    "builtin.module(approx-block-calls,symbol-dce,func.func(approx-register-block{{registers={registers}}}),"
    "approx-linalg-to-loops,canonicalize,cse,loop-invariant-code-motion,approx-use-arena)"
)
# No pass here forms an FMA or reorders floating-point operations.
_TO_LLVM = (
    "builtin.module(lower-affine,convert-scf-to-cf,expand-strided-metadata,lower-affine,"
    "convert-vector-to-llvm,finalize-memref-to-llvm,convert-arith-to-llvm,convert-index-to-llvm,"
    "convert-ub-to-llvm,convert-func-to-llvm,convert-cf-to-llvm,reconcile-unrealized-casts,"
    "canonicalize,cse)"
)


@dataclass(frozen=True)
class Stage:
    """One layer of a network, unbound.

    Attributes:
      text: a module with the function `@main`, whose arguments and results are numbered values of
        the network (`approx.value`) or weights (`approx.weight`).
      layer: its name; empty where it has none.
      sites: op kinds that occur, each with the layer of the op: what a binding can bind.
      inputs, outputs: numbers of the values it reads and gives.
    """

    text: str
    layer: str
    sites: tuple[tuple[str, str], ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def restrict(self, binding: Binding) -> Binding:
        """Return the rules of `binding` that decide about this stage, with IDs of their own."""
        deciding = [
            # The most specific rule wins (approx-bind-instances).
            max(rules, key=lambda rule: len(rule.layer or ""))
            for site in self.sites
            if (rules := [rule for rule in binding.rules if _fits(rule, *site)])
        ]
        return Binding(tuple(rule for rule in binding.rules if rule in deciding))

    def is_reached_by(self, rule: Rule) -> bool:
        """Return whether a rule fits an op of this stage."""
        return any(_fits(rule, *site) for site in self.sites)


def _fits(rule: Rule, kind: str, layer: str) -> bool:
    """Return whether a rule fits an op of a layer, as `approx-bind-instances` sees it."""
    return rule.op == kind and (
        rule.layer is None or rule.layer == layer or layer.startswith(f"{rule.layer}/")
    )


@dataclass(frozen=True)
class Split:
    """A network as its stages, in the order of computation.

    Attributes:
      has_lanes: whether every op has a form for several samples at once.
    """

    stages: tuple[Stage, ...]
    has_lanes: bool


def split_stages(approx: str) -> Split:
    """Split a module of the approx dialect (unbound) into its stages.

    Raises:
      UnsupportedError: the network is not straight-line code.
    """
    content = json.loads(
        cached_text("stages", native_key("split", approx), lambda: json.dumps(_split(approx)))
    )
    stages = tuple(
        Stage(
            item["text"],
            item["layer"],
            tuple((kind, layer) for kind, layer in item["sites"]),
            tuple(item["inputs"]),
            tuple(item["outputs"]),
        )
        for item in content["stages"]
    )
    return Split(stages, content["has_lanes"])


def _split(approx: str) -> dict[str, Any]:
    stages = []
    with module_from_text(approx) as module:
        from mlir import ir

        run_passes(module, _SPLIT, "splitting into stages")
        for op in module.body.operations:
            name = op.attributes["sym_name"].value if "sym_name" in op.attributes else ""
            if not name.startswith("stage_"):
                continue
            layer = op.attributes["approx.stage"].value if "approx.stage" in op.attributes else ""
            op.attributes["sym_name"] = ir.StringAttr.get("main")
            stages.append(
                {
                    "text": f"module {{\n{op}\n}}\n",
                    "layer": layer,
                    "sites": sorted(_sites(op)),
                    "inputs": _numbers(op, "arg_attrs"),
                    "outputs": _numbers(op, "res_attrs"),
                }
            )
    has_lanes = all(_has_lanes(str(stage["text"])) for stage in stages)
    return {"stages": stages, "has_lanes": has_lanes}


def _sites(op: Any, layer: str = "") -> set[tuple[str, str]]:
    """Return kind and layer of every approx op in `op`; a layer holds for all that is inside."""
    if "approx.layer" in op.attributes:
        layer = op.attributes["approx.layer"].value
    found = set()
    if op.operation.name.startswith("approx."):
        found.add((op.operation.name.removeprefix("approx."), layer))
    for region in op.regions:
        for block in region:
            for child in block:
                found |= _sites(child, layer)
    return found


def _has_lanes(text: str) -> bool:
    with module_from_text(text) as module:
        try:
            run_passes(module, _ADD_LANES.format(lanes=2), "vectorizing")
        except UnsupportedError:
            return False
    return True


def _numbers(function: Any, attribute: str) -> list[int]:
    if attribute not in function.attributes:
        return []
    return [
        entry["approx.value"].value
        for entry in function.attributes[attribute]
        if "approx.value" in entry
    ]


@contextlib.contextmanager
def _lowered(
    stage: Stage, models: Mapping[int, Model], binding: Binding, lanes: int
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield a stage in the LLVM dialect, `lanes` samples at once, and its signature.

    Args:
      stage: unbound.
      models: of the instances of `binding`, by ID; `approx_core_<ID>` is their symbol.
      binding: restricted to the stage.
      lanes: 1 for scalar code.

    Yields:
      `(module, signature)`; the signature says what `@main` and `@prepare` take, see `_signature`.
    """
    with module_from_text(bind(stage.text, binding)) as module:
        from mlir import ir

        for model in models.values():
            text = _declaration(model) if model.block else model.parametric_text
            parsed = ir.Module.parse(text)
            for op in list(parsed.body.operations):
                module.body.append(op)
        run_passes(module, _CALL_MODELS, "calling models")
        run_passes(module, _PROMOTE_PARAMETERS, "calling models")
        run_passes(module, _INLINE_MODELS, "inlining models")
        run_passes(module, _HOIST, "preparing weights")
        if lanes > 1:
            run_passes(module, _ADD_LANES.format(lanes=lanes), f"layer '{stage.layer}'")
        run_passes(module, _BUFFERIZE, "bufferizing")
        run_passes(module, _BLOCK.format(registers=_registers()), "blocking")
        signature = {}
        for op in module.body.operations:
            name = op.attributes["sym_name"].value
            if name in ("main", "prepare"):
                op.attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
                signature[name] = _signature(op)
        run_passes(module, _TO_LLVM, "lowering to LLVM")
        yield module, signature


def _registers() -> int:
    """Vector registers of this processor: 32 of 16 lanes with AVX-512, else 16 of 8 lanes."""
    return 32 if "+avx512f" in host() else 16


def _declaration(model: Model) -> str:
    """Return a model that computes arrays as declarations: its code is an object of its own."""
    f32 = "memref<?xf32>"
    return (
        f"func.func private @{model.symbol}_block({f32}, {f32}, {f32})\n"
        f"func.func private @{model.symbol}(f32, f32) -> f32 "
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
    width = 32 if isinstance(element, ir.F32Type) else ir.IntegerType(element).width
    size = lanes * max(1, width // 8)
    for extent in memref.shape:
        size *= extent
    return size


class NativeStage:
    """Native code of a stage under one kind of binding, loaded."""

    def __init__(self, data: bytes, symbols: Mapping[str, int], keep: Any) -> None:
        header, _, code = data.partition(b"\n")
        signature = json.loads(header)
        self.main: list[dict[str, Any]] = signature["main"]
        self.prepare: list[dict[str, Any]] = signature["prepare"]
        self._loaded = LoadedObject(code, symbols, keep)

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
        results = {}
        descriptors = []
        for argument in self.prepare:
            role, name = argument["role"], argument["name"]
            if role == "prepared":
                array = results[name] = aligned(argument["bytes"])
            elif role == "weight":
                array = weights[name]
            elif role == "parameters":
                array = parameters
            else:
                array = aligned(argument["bytes"])
            descriptors.append((ctypes.c_int64 * 3)(array.ctypes.data, array.ctypes.data, 0))
        if results:
            entry = self._loaded.address("asnet_prepare")
            pointers = (ctypes.c_void_p * len(descriptors))(
                *(ctypes.addressof(descriptor) for descriptor in descriptors)
            )
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(entry)(pointers)
        return results


@dataclass(frozen=True)
class BoundStage:
    """A stage and the native code that computes it under a binding.

    Attributes:
      key: hash of everything that decides the stage's results but weights and input.
    """

    stage: Stage
    native: NativeStage
    parameters: np.ndarray
    key: str


@dataclass(frozen=True)
class _Request:
    """A stage to be compiled: `binding` is restricted to it, `key` is that of its native code."""

    stage: Stage
    binding: Binding
    models: Mapping[int, Model]
    key: str
    parameters: np.ndarray


class StageCompiler:
    """Compiles stages; equal ones once."""

    def __init__(self, lanes: int, strategy: Strategy | None = None) -> None:
        """Make one for `lanes` samples at once, 1 for scalars; see `derive_models`."""
        self.lanes = lanes
        self._strategy = strategy
        self._known: dict[tuple[str, str], Model] = {}
        self._stages: dict[str, NativeStage] = {}
        self._blocks: dict[str, tuple[int, Any]] = {}
        self.libraries: list[Any] = []

    @classmethod
    def for_host(cls, has_lanes: bool = True, strategy: Strategy | None = None) -> StageCompiler:
        """Return one whose lanes fill a vector register of this processor, or one for scalars."""
        return cls(_registers() // 2 if has_lanes else 1, strategy)

    @property
    def count(self) -> int:
        """How many different stages there are."""
        return len(self._stages)

    def lowered_text(self, stage: Stage, binding: Binding) -> str:
        """Return `stage` under the network's `binding` in the LLVM dialect, as text."""
        own = stage.restrict(binding)
        with _lowered(stage, self._models(own), own, self.lanes) as (module, _):
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
                self._stages[request.key],
                request.parameters,
                content_hash(request.key, request.parameters.tobytes()),
            )
            for request in requests
        )

    def _request(self, stage: Stage, binding: Binding) -> _Request:
        own = stage.restrict(binding)
        models = self._models(own)
        texts = [model.parametric_text for model in models.values()]
        key = native_key("stage", stage.text, str(self.lanes), own.pass_option, *texts)
        values = [value for model in models.values() for value in model.parameters]
        return _Request(stage, own, models, key, np.array(values, np.uint32).view(np.int32))

    def _code(self, request: _Request) -> bytes:
        """Return signature and object file of a stage."""
        # Blocked code has its vectors; scalar code profits from LLVM's own vectorizers.
        level = 1 if self.lanes > 1 else 3

        def make() -> bytes:
            with _lowered(request.stage, request.models, request.binding, self.lanes) as lowered:
                module, signature = lowered
                return json.dumps(signature).encode() + b"\n" + compile_object(module, level)

        return cached_bytes("stages", request.key, make)

    def _loaded(self, request: _Request, code: bytes) -> NativeStage:
        symbols, keep = {}, []
        for number, model in request.models.items():
            if model.block:
                address, loaded = self._block(request.binding.instances[number])
                symbols[f"{model.symbol}_block"] = address
                keep.append(loaded)
        return NativeStage(code, symbols, keep)

    def _models(self, binding: Binding) -> dict[int, Model]:
        """Return the models of a binding's instances by ID; `approx_core_<ID>` is their symbol."""
        wanted = {
            (f"approx_core_{number}", instance.content_hash): instance
            for number, instance in binding.instances.items()
        }
        missing = {key: value for key, value in wanted.items() if key not in self._known}
        if missing:
            symbols = {symbol: instance for (symbol, _), instance in missing.items()}
            for symbol, model in derive_models(symbols, self._strategy).items():
                self._known[symbol, symbols[symbol].content_hash] = model
        return dict(zip(binding.instances, (self._known[key] for key in wanted), strict=True))

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
    from asnet_mlir.jit import LOWER_LOOPS_TO_LLVM

    with module_from_text(model.text) as module:
        for op in module.body.operations:
            if op.attributes["sym_name"].value == f"{model.symbol}_block":
                del op.attributes["sym_visibility"]
        use_ternary_logic(module)
        passes = f"inline,symbol-dce,canonicalize,cse,{LOWER_LOOPS_TO_LLVM}"
        run_passes(module, f"builtin.module({passes})", "lowering a model")
        return compile_object(module, 3)


def _libraries(model: Model) -> dict[str, tuple[Any, int]]:
    """Load what `llvm.func`s with the attribute `approx.library` are implemented by."""
    if "approx.library" not in model.text:
        return {}
    found = {}
    with module_from_text(model.text) as module:
        for op in module.body.operations:
            if "approx.library" in op.attributes:
                library = ctypes.CDLL(op.attributes["approx.library"].value)
                address = ctypes.cast(library.asnet_block, ctypes.c_void_p).value or 0
                found[op.attributes["sym_name"].value] = library, address
    return found


def transposer(rows: int, columns: int, lanes: int) -> int:
    """Return the address of native code that transposes float32[rows, columns].

    It takes the array and the result, float32[columns, rows], and works on tiles of
    `lanes` x `lanes`, where both sides have as many.
    """
    key = native_key("transposer", str(rows), str(columns), str(lanes))
    if key not in _TRANSPOSERS:

        def make() -> bytes:
            with module_from_text(_transposer_text(rows, columns, lanes)) as module:
                run_passes(module, _TO_LLVM, "transposing")
                return compile_object(module, 1)

        _TRANSPOSERS[key] = LoadedObject(cached_bytes("transposers", key, make))
    return _TRANSPOSERS[key].address("asnet_main")


_TRANSPOSERS: dict[str, LoadedObject] = {}


def _transposer_text(rows: int, columns: int, lanes: int) -> str:
    source, target = f"memref<{rows}x{columns}xf32>", f"memref<{columns}x{rows}xf32>"
    lines = [
        f"func.func @main(%x: {source}, %y: {target}) attributes {{llvm.emit_c_interface}} {{",
        *(f"  %c{i} = arith.constant {i} : index" for i in range(lanes)),
    ]
    for name, value in (("step", lanes), ("rows", rows), ("columns", columns)):
        lines.append(f"  %{name} = arith.constant {value} : index")
    if rows < lanes or columns < lanes:
        lines += [
            "  scf.for %i = %c0 to %rows step %c1 {",
            "    scf.for %j = %c0 to %columns step %c1 {",
            f"      %v = memref.load %x[%i, %j] : {source}",
            f"      memref.store %v, %y[%j, %i] : {target}",
            "    }",
            "  }",
        ]
    else:
        vector = f"vector<{lanes}xf32>"
        for name, size in (("last_row", rows - lanes), ("last_column", columns - lanes)):
            lines.append(f"  %{name} = arith.constant {size} : index")
        lines += [
            "  scf.for %row = %c0 to %rows step %step {",
            # The last tile overlaps the one before it rather than reaching beyond the end.
            "    %i = arith.minsi %row, %last_row : index",
            "    scf.for %column = %c0 to %columns step %step {",
            "      %j = arith.minsi %column, %last_column : index",
        ]
        values = []
        for k in range(lanes):
            lines.append(f"      %i{k} = arith.addi %i, %c{k} : index")
            lines.append(f"      %r0_{k} = vector.load %x[%i{k}, %j] : {source}, {vector}")
            values.append(f"%r0_{k}")
        size, step = 1, 0
        while size < lanes:
            step += 1
            following = list(values)
            low = [j if not j & size else lanes + j - size for j in range(lanes)]
            high = [j + size if not j & size else lanes + j for j in range(lanes)]
            for k in range(lanes):
                if k & size:
                    continue
                pair = f"{values[k]}, {values[k + size]}"
                for position, mask in ((k, low), (k + size, high)):
                    name = f"%r{step}_{position}"
                    lines.append(
                        f"      {name} = vector.shuffle {pair} {mask} : {vector}, {vector}"
                    )
                    following[position] = name
            values, size = following, size * 2
        for k in range(lanes):
            lines.append(f"      %j{k} = arith.addi %j, %c{k} : index")
            lines.append(f"      vector.store {values[k]}, %y[%j{k}, %i] : {target}, {vector}")
        lines += ["    }", "  }"]
    lines += ["  return", "}"]
    return "\n".join(lines) + "\n"
