"""The way of a network through the compiler, stage by stage.

Every stage takes and gives the text of an MLIR module, so that each can be printed, changed by hand
and fed back (`asnet compile --emit STAGE`, `asnet-opt`).

    stablehlo --frontends--> linalg --to_approx--> approx --bind--> bound --to_llvm--> llvm
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.worker import in_mlir_process

if TYPE_CHECKING:
    from asnet_mlir.binding import Binding
    from asnet_mlir.cores import Instance
    from asnet_mlir.frontends import Network
    from asnet_mlir.jit import CompiledModule

__all__ = [
    "MODEL_STAGES",
    "STAGES",
    "UNRESOLVED",
    "bind",
    "bind_for_hardware",
    "compile",
    "model_texts",
    "to_approx",
    "to_llvm",
    "to_native",
]

#: On an op of a file whose core's source is unknown: the message for who does not bind it anew.
UNRESOLVED = "approx.unresolved"

#: What `compile` can emit; `scheduled`, `hw` and `sv` are the hardware's.
STAGES = ("stablehlo", "linalg", "approx", "bound", "llvm", "scheduled", "hw", "sv")
#: The stages whose modules are models again, with their weights beside them.
MODEL_STAGES = ("stablehlo", "approx", "bound")

#: Instances of the exact library cores that hardware binds to ops without a rule.
EXACT_CORES = {
    "addf": "fadd",
    "subf": "fsub",
    "mulf": "fmul",
    "divf": "fdiv",
    "maxf": "fmax",
    "minf": "fmin",
}

_TO_APPROX = (
    "builtin.module(inline,symbol-dce,linalg-generalize-named-ops,"
    "func.func(approx-annotate-layers,approx-fuse-elementwise),canonicalize,cse,"
    "approx-expand-math,convert-arith-to-approx,cse)"
)

_CALL_MODELS = "builtin.module(convert-approx-to-calls)"
_PROMOTE_PARAMETERS = "builtin.module(approx-promote-parameters)"
_INLINE_MODELS = "builtin.module(inline,symbol-dce,canonicalize,cse)"

# Subset hoisting keeps the block of accumulators in registers over the reduction's loop.
_VECTORIZE = (
    "builtin.module(func.func(approx-vectorize-outputs),canonicalize,cse,"
    "func.func(loop-invariant-subset-hoisting,loop-invariant-code-motion),canonicalize,cse)"
)

_BUFFERIZE = (
    "builtin.module(one-shot-bufferize{bufferize-function-boundaries=true "
    "function-boundary-type-conversion=identity-layout-map},"
    "buffer-results-to-out-params{hoist-static-allocs=true modify-public-functions=true},"
    "fold-memref-alias-ops,canonicalize,cse,buffer-deallocation-pipeline)"
)

_BLOCK_CALLS = "builtin.module(approx-block-calls,canonicalize,cse)"

# No pass here forms an FMA or reorders floating-point operations.
_TO_LLVM = (
    "builtin.module(approx-linalg-to-loops,convert-vector-to-scf{full-unroll=true},canonicalize,"
    "cse,lower-affine,convert-scf-to-cf,expand-strided-metadata,lower-affine,"
    "convert-vector-to-llvm,finalize-memref-to-llvm,convert-math-to-llvm,convert-arith-to-llvm,"
    "convert-index-to-llvm,convert-ub-to-llvm,convert-func-to-llvm,convert-cf-to-llvm,"
    "reconcile-unrealized-casts,canonicalize,cse)"
)


@in_mlir_process
def compile(
    model: Any,
    emit: str = "bound",
    binding: Binding | None = None,
    *,
    batch: int | None = None,
) -> str:
    """Compile a network up to a stage and return the stage's text.

    Args:
      model: whatever `load_model` takes.
      emit: one of `STAGES`.
      binding: which instances compute which ops; exact without.
      batch: samples in a call, by default 1 (or the file's own number); the hardware's stages know
        1 only.

    Raises:
      InputError: an unknown stage, model, or layer in the binding.
      UnsupportedError: the network has an op that is not supported, named with its location.
    """
    from asnet_mlir.binding import Binding
    from asnet_mlir.frontends import load_model

    if emit not in STAGES:
        raise InputError(f"unknown stage '{emit}'; stages are {', '.join(STAGES)}")
    network = load_model(model)
    binding = (binding or Binding()).over(network.instances)
    if batch is None:
        batch = network.fixed_batch or 1
    if emit == "stablehlo":
        return network.stablehlo(batch)
    if emit == "linalg":
        return network.lower(batch)
    approx = to_approx(network, batch)
    if emit == "approx":
        return approx
    if emit == "bound":
        return bind(approx, binding)
    if emit == "llvm":
        return to_llvm(bind(approx, binding), model_texts(binding.instances))
    from asnet_mlir.hardware import emit_hardware

    if batch != 1:
        raise InputError(f"stage '{emit}' needs a batch of 1, not {batch}")
    return emit_hardware(network, binding, emit)


def to_approx(network: Network, batch: int) -> str:
    """Lower a network to linalg on tensors whose arithmetic is that of the approx dialect.

    Arguments of `@main` carry `approx.role = "input"` or `approx.weight = NAME`.

    Raises:
      UnsupportedError: an op that the dialect can't express, named with layer and location.
    """
    if network.approx is not None:
        return network.approx(batch)
    with _module(network.lower(batch)) as module:
        from mlir import ir

        main = _main(module)
        main.attributes["arg_attrs"] = ir.ArrayAttr.get(
            [
                ir.DictAttr.get({"approx.role": ir.StringAttr.get("input")}),
                *(
                    ir.DictAttr.get({"approx.weight": ir.StringAttr.get(weight.name)})
                    for weight in network.weights
                ),
            ]
        )
        _rename(module, network.name)
        _run(module, _TO_APPROX, network.name)
        return str(module)


def bind(approx: str, binding: Binding) -> str:
    """Declare the binding's instances in a module of the approx dialect and apply its rules.

    Raises:
      InputError: a rule names a layer that the network does not have, or an op of a bound file is
        left whose core's source is unknown.
    """
    with _module(approx) as module:
        _apply(module, binding)
        if UNRESOLVED in approx:
            _check_resolved(module)
        return str(module)


def bind_for_hardware(approx: str, binding: Binding) -> tuple[str, dict[int, Instance]]:
    """Bind like `bind`, and bind the ops that have no rule to the library's exact cores.

    Hardware has no operation without a core.  Exact subtractions become additions first, so that
    they share the adder.

    Returns:
      The module, in which every op is bound, and all instances by ID.
    """
    with _module(approx) as module:
        from mlir import ir

        from asnet_mlir.cores import load_core

        _apply(module, binding)
        if UNRESOLVED in approx:
            _check_resolved(module)
        _run(module, "builtin.module(approx-subf-to-addf)", "binding")
        instances = dict(binding.instances)
        ids = {instance.content_hash: number for number, instance in instances.items()}
        for op in _walk(module.operation):
            kind = op.name.removeprefix("approx.")
            if not op.name.startswith("approx.") or kind not in EXACT_CORES:
                continue
            if "instance" not in op.attributes:
                exact = load_core(EXACT_CORES[kind]).instance()
                number = ids.setdefault(exact.content_hash, max(instances, default=0) + 1)
                instances[number] = exact
                op.attributes["instance"] = ir.IntegerAttr.get(
                    ir.IntegerType.get_signless(32), number
                )
        _declare(module, instances)
        module.operation.verify()
        return str(module), instances


def model_texts(instances: Mapping[int, Instance]) -> str:
    """Return the models of instances, functions named after their IDs, as one module's text."""
    from asnet_mlir.cores import derive_models

    models = derive_models({f"approx_core_{key}": value for key, value in instances.items()})
    return "\n".join(model.text for model in models.values())


def to_llvm(bound: str, models: str) -> str:
    """Lower a bound module to the LLVM dialect, models inlined and outputs vectorized.

    `@main` takes the input, the weights and the output as memrefs, through its C interface.
    """
    with _llvm_module(bound, models) as (module, _):
        return str(module)


def to_native(
    bound: str,
    models: str,
    *,
    vectorize: bool = True,
    parametric: bool = False,
    callbacks: Mapping[str, Any] | None = None,
) -> CompiledModule:
    """Compile a bound module for this processor; `("main", x, *weights, y)` runs it.

    Args:
      bound: what `bind` or `bind_for_hardware` returned.
      models: what `model_texts` returned for the instances that are bound.
      vectorize: without, every op is a scalar loop nest in the defined order: the reference that
        the vectorized code is tested against.
      parametric: `models` are parametric texts (`Model.parametric_text`); after the weights comes
        an int32 array of their parameters.
      callbacks: C functions (of ctypes) that `models` declare, by their names.
    """
    from asnet_mlir.jit import CompiledModule

    with _llvm_module(bound, models, vectorize, parametric) as (module, shapes):
        compiled = CompiledModule(module, shapes={"main": shapes}, callbacks=callbacks)
    compiled.prepare("main")
    return compiled


@contextlib.contextmanager
def _llvm_module(
    bound: str, models: str, vectorize: bool = True, parametric: bool = False
) -> Iterator[tuple[Any, list[tuple[int, ...]]]]:
    """Yield the module in the LLVM dialect and the shapes of the arrays that `@main` takes."""
    with _module(bound) as module:
        from mlir import ir

        # The module object must outlive the move of its operations.
        parsed = ir.Module.parse(models)
        for op in list(parsed.body.operations):
            module.body.append(op)
        _main(module).attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
        pipelines = [
            _CALL_MODELS,
            *([_PROMOTE_PARAMETERS] if parametric else []),
            _INLINE_MODELS,
            *([_VECTORIZE] if vectorize else []),
            _BUFFERIZE,
            _BLOCK_CALLS,
        ]
        for pipeline in pipelines:
            _run(module, pipeline, "lowering to LLVM")
        inputs = _main(module).attributes["function_type"].value.inputs
        shapes = [tuple(ir.MemRefType(kind).shape) for kind in inputs]
        _run(module, _TO_LLVM, "lowering to LLVM")
        yield module, shapes


@contextlib.contextmanager
def _module(text: str) -> Iterator[Any]:
    """Parse `text` in a context of its own that knows the approx dialect."""
    from asnet_mlir import dialects

    dialects.load()
    from mlir import ir

    with ir.Context() as context, ir.Location.unknown():
        # Passes here take milliseconds; a thread pool per context costs more than it gives.
        context.enable_multithreading(False)
        try:
            module = ir.Module.parse(text)
        except ir.MLIRError as error:
            raise InputError(f"not a module of MLIR: {_diagnostic(error)}") from None
        yield module


def _run(module: Any, pipeline: str, what: str) -> None:
    from mlir import ir, passmanager

    try:
        passmanager.PassManager.parse(pipeline).run(module.operation)
    except ir.MLIRError as error:
        raise UnsupportedError(f"{what}: {_diagnostic(error)}") from None


def _diagnostic(error: Any) -> str:
    """Return the first diagnostic of an MLIRError on one line, with its location."""
    diagnostics = getattr(error, "error_diagnostics", None)
    if not diagnostics:
        return " ".join(str(error).split())
    first = diagnostics[0]
    location = str(first.location)
    # Where an op stands in a text that the compiler itself has just printed says nothing.
    place = (
        "" if "unknown" in location or location.startswith('loc("-"') else f" at {location[:200]}"
    )
    return " ".join(first.message.split()) + place


def _main(module: Any) -> Any:
    for op in module.body.operations:
        if "sym_name" in op.attributes and op.attributes["sym_name"].value == "main":
            return op
    raise InputError("the module lacks the function @main")


def _rename(module: Any, name: str) -> None:
    """Give the module its network's name and drop what the framework left on it."""
    from mlir import ir

    for attribute in list(module.operation.attributes):
        key = attribute if isinstance(attribute, str) else attribute.name
        del module.operation.attributes[key]
    module.operation.attributes["sym_name"] = ir.StringAttr.get(name)
    main = _main(module)
    if "res_attrs" in main.attributes:
        del main.attributes["res_attrs"]


def _apply(module: Any, binding: Binding) -> None:
    """Declare the binding's instances and run its rules."""
    if binding.instances:
        _declare(module, binding.instances)
    if binding.rules:
        pipeline = f"builtin.module(approx-bind-instances{{bindings={binding.pass_option}}})"
        try:
            _run(module, pipeline, "binding")
        except UnsupportedError as error:
            raise InputError(str(error)) from None


def _check_resolved(module: Any) -> None:
    """Refuse ops of a bound file whose core's source is unknown and that no rule binds anew."""
    for op in _walk(module.operation):
        if UNRESOLVED in op.attributes:
            if "instance" not in op.attributes:
                raise InputError(op.attributes[UNRESOLVED].value)
            del op.attributes[UNRESOLVED]


def _declare(module: Any, instances: Mapping[int, Instance]) -> None:
    """Give the module a library of exactly `instances`."""
    from mlir import ir

    from asnet_mlir.dialects import approx

    for op in list(module.body.operations):
        if op.operation.name == "approx.library":
            op.operation.erase()
    if not instances:
        return
    i64 = ir.IntegerType.get_signless(64)
    with ir.InsertionPoint.at_block_begin(module.body):
        library = approx.LibraryOp()  # type: ignore[attr-defined]
        block = library.regions[0].blocks.append()
    with ir.InsertionPoint(block):
        for number, instance in instances.items():
            parameters = {key: ir.IntegerAttr.get(i64, value) for key, value in instance.parameters}
            approx.CoreOp(  # type: ignore[attr-defined]
                number,
                instance.core.op,
                instance.core.module,
                ir.DictAttr.get(parameters),
                instance.latency,
                instance.interval,
            )


def _walk(op: Any) -> Iterator[Any]:
    yield op
    for region in op.regions:
        for block in region:
            for child in block:
                yield from _walk(child.operation)
