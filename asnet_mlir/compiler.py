"""The way of a network through the compiler, stage by stage.

Every stage takes and gives the text of an MLIR module, so that each can be printed, changed by hand
and fed back (`asnet compile --emit STAGE`, `asnet-opt`).

    stablehlo --frontends--> linalg --to_approx--> approx --bind--> bound --to_llvm--> llvm
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.worker import in_mlir_process

if TYPE_CHECKING:
    from asnet_mlir.binding import Binding
    from asnet_mlir.cores import Instance
    from asnet_mlir.frontends import Network, Weight
    from asnet_mlir.jit import CompiledModule

__all__ = [
    "MODEL_STAGES",
    "STAGES",
    "bind",
    "bind_for_hardware",
    "compile",
    "main_function",
    "mark_arguments",
    "model_texts",
    "module_from_text",
    "run_passes",
    "to_approx",
    "to_llvm",
    "to_native",
    "walk",
]

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
    "func.func(approx-annotate-layers,approx-fuse-elementwise,approx-split-sums),canonicalize,cse,"
    "approx-widen-booleans,approx-expand-math,convert-arith-to-approx,canonicalize,cse)"
)

# The reference: scalar loop nests in the order in which ops list their iterators.
_REFERENCE = (
    "builtin.module(approx-distinct-results,one-shot-bufferize{bufferize-function-boundaries=true "
    "function-boundary-type-conversion=identity-layout-map},"
    "buffer-results-to-out-params{hoist-static-allocs=true modify-public-functions=true},"
    "fold-memref-alias-ops,canonicalize,cse,approx-block-calls,symbol-dce,"
    "buffer-deallocation-pipeline,approx-linalg-to-loops,lower-affine,convert-scf-to-cf,"
    "expand-strided-metadata,lower-affine,convert-vector-to-llvm,finalize-memref-to-llvm,"
    "convert-arith-to-llvm,convert-index-to-llvm,convert-ub-to-llvm,convert-func-to-llvm,"
    "convert-cf-to-llvm,reconcile-unrealized-casts,canonicalize,cse)"
)


@in_mlir_process
def compile(
    model: Any,
    emit: str = "bound",
    binding: Any = None,
    *,
    batch: int | None = None,
    style: str = "shared",
    lanes: Sequence[str] = (),
) -> str:
    """Compile a network up to a stage and return the stage's text.

    Args:
      model: whatever `load_model` takes.
      emit: one of `STAGES`.
      binding: which instances compute which ops, whatever `Binding.of` takes; exact without.
      batch: samples in a call, by default 1 (or the file's own number); the hardware's stages know
        1 only.
      style, lanes: of the hardware's stages, see `generate`.

    Raises:
      InputError: an unknown stage, model, or layer in the binding.
      UnsupportedError: the network has an op that is not supported, named with its location.
    """
    from asnet_mlir.frontends import load_model

    if emit not in STAGES:
        raise InputError(f"unknown stage '{emit}'; stages are {', '.join(STAGES)}")
    network = load_model(model)
    if batch is None:
        batch = network.fixed_batch or 1
    if emit == "stablehlo":
        return network.stablehlo(batch)
    if emit == "linalg":
        return network.lower(batch)
    approx = to_approx(network, batch)
    if emit == "approx":
        return approx
    binding = network.complete(binding)
    if emit == "bound":
        return bind(approx, binding)
    if emit == "llvm":
        bind(approx, binding)  # names what does not fit the network
        return to_llvm(approx, binding)
    from asnet_mlir.hardware import emit_hardware

    if batch != 1:
        raise InputError(f"stage '{emit}' needs a batch of 1, not {batch}")
    return emit_hardware(network, binding, emit, style, lanes)


def to_approx(network: Network, batch: int) -> str:
    """Lower a network to linalg on tensors whose arithmetic is that of the approx dialect.

    Arguments of `@main` carry `approx.role = "input"` or `approx.weight = NAME`.

    Raises:
      UnsupportedError: an op that the dialect can't express, named with layer and location.
    """
    if network.approx is not None:
        return network.approx(batch)
    with module_from_text(network.lower(batch)) as module:
        mark_arguments(module, network.weights)
        _rename(module, network.name)
        run_passes(module, _TO_APPROX, network.name)
        return str(module)


def mark_arguments(module: Any, weights: Sequence[Weight]) -> None:
    """Mark the first argument of `@main` as the input and the others as `weights`."""
    from mlir import ir

    main_function(module).attributes["arg_attrs"] = ir.ArrayAttr.get(
        [
            ir.DictAttr.get({"approx.role": ir.StringAttr.get("input")}),
            *(
                ir.DictAttr.get({"approx.weight": ir.StringAttr.get(weight.name)})
                for weight in weights
            ),
        ]
    )


def bind(approx: str, binding: Binding) -> str:
    """Declare the binding's instances in a module of the approx dialect and apply its rules.

    Raises:
      InputError: a rule names a layer that the network does not have.
    """
    with module_from_text(approx) as module:
        _apply(module, binding)
        return str(module)


def bind_for_hardware(
    approx: str, binding: Binding, exact: Mapping[str, Instance] | None = None
) -> tuple[str, dict[int, Instance]]:
    """Bind like `bind`, and bind the ops that have no rule to the library's exact cores.

    Hardware has no operation without a core.  Exact subtractions become additions first, so that
    they share the adder.

    Args:
      approx: module of the approx dialect.
      binding: the rules.
      exact: other instances for ops without a rule, by kind.

    Returns:
      The module, in which every op is bound, and all instances by ID.
    """
    with module_from_text(approx) as module:
        from mlir import ir

        from asnet_mlir.cores import load_core

        _apply(module, binding)
        run_passes(module, "builtin.module(approx-subf-to-addf)", "binding")
        instances = dict(binding.instances)
        ids = {instance.content_hash: number for number, instance in instances.items()}
        for op in walk(module.operation):
            kind = op.name.removeprefix("approx.")
            if not op.name.startswith("approx.") or kind not in EXACT_CORES:
                continue
            if "instance" not in op.attributes:
                chosen = (exact or {}).get(kind) or load_core(EXACT_CORES[kind]).instance()
                number = ids.setdefault(chosen.content_hash, len(ids) + 1)
                instances[number] = chosen
                op.attributes["instance"] = ir.IntegerAttr.get(
                    ir.IntegerType.get_signless(32), number
                )
        _declare(module, instances, units=True)
        module.operation.verify()
        return str(module), instances


def model_texts(instances: Mapping[int, Instance]) -> str:
    """Return the models of instances, functions named after their IDs, as one module's text."""
    from asnet_mlir.cores import derive_models

    models = derive_models({f"approx_core_{key}": value for key, value in instances.items()})
    return "\n".join(model.text for model in models.values())


def to_llvm(approx: str, binding: Binding) -> str:
    """Lower a module of the approx dialect to the LLVM dialect, as the evaluator runs it.

    Returns:
      A module for each stage, several samples at once, separated by `// -----`.
    """
    from asnet_mlir.evaluation.stages import StageCompiler, split_stages

    split = split_stages(approx)
    compiler = StageCompiler.for_host(split.has_lanes)
    return "// -----\n".join(compiler.lowered_text(stage, binding) for stage in split.stages)


def to_native(
    bound: str, models: str, *, callbacks: Mapping[str, Any] | None = None
) -> CompiledModule:
    """Compile a bound module as the reference: scalar loops, one sample after the other.

    `("main", x, *weights, y)` runs it.  The evaluator's code, which is much faster, is tested
    against it.

    Args:
      bound: what `bind` or `bind_for_hardware` returned.
      models: what `model_texts` returned for the instances that are bound.
      callbacks: C functions (of ctypes) that `models` declare, by their names.
    """
    from asnet_mlir.jit import CompiledModule

    with module_from_text(bound) as module:
        from mlir import ir

        # The module object must outlive the move of its operations.
        parsed = ir.Module.parse(models)
        for op in list(parsed.body.operations):
            module.body.append(op)
        main = main_function(module)
        main.attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
        _protect_arguments(main)
        function = ir.FunctionType(main.attributes["function_type"].value)
        shapes = [
            tuple(ir.ShapedType(kind).shape) for kind in (*function.inputs, *function.results)
        ]
        for pipeline in (
            "builtin.module(convert-approx-to-calls{keep-blocks=true})",
            "builtin.module(inline,canonicalize,cse)",
            _REFERENCE,
        ):
            run_passes(module, pipeline, "lowering to LLVM")
        compiled = CompiledModule(module, shapes={"main": shapes}, callbacks=callbacks)
    compiled.prepare("main")
    return compiled


def _protect_arguments(main: Any) -> None:
    """Forbid bufferization to compute in place in an argument: the arrays are the caller's."""
    from mlir import ir

    attributes = main.attributes.get("arg_attrs")
    count = len(ir.FunctionType(main.attributes["function_type"].value).inputs)
    given = list(ir.ArrayAttr(attributes)) if attributes else [ir.DictAttr.get({})] * count
    main.attributes["arg_attrs"] = ir.ArrayAttr.get(
        [
            ir.DictAttr.get(
                {
                    **{named.name: named.attr for named in ir.DictAttr(known)},
                    "bufferization.writable": ir.BoolAttr.get(False),
                }
            )
            for known in given
        ]
    )


@contextlib.contextmanager
def module_from_text(text: str) -> Iterator[Any]:
    """Parse `text` in a context of its own that knows the approx dialect.

    Raises:
      InputError: it does not parse.
    """
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


def run_passes(module: Any, pipeline: str, what: str | None) -> None:
    """Run a pipeline of passes on a module.

    Args:
      what: begins the message of an error; None where the passes' own messages say it.

    Raises:
      UnsupportedError: a pass refused.
    """
    from mlir import ir, passmanager

    try:
        passmanager.PassManager.parse(pipeline).run(module.operation)
    except ir.MLIRError as error:
        text = _diagnostic(error)
        raise UnsupportedError(text if what is None else f"{what}: {text}") from None


def _diagnostic(error: Any) -> str:
    """Return the first diagnostic of an MLIRError on one line, with its location."""
    diagnostics = getattr(error, "error_diagnostics", None)
    if not diagnostics:
        return " ".join(str(error).split())
    first = diagnostics[0]
    location = str(first.location)
    # Where an op stands in a text that the compiler has just printed itself says nothing.
    placeless = "unknown" in location or location.startswith('loc("-"')
    place = "" if placeless else f" at {location[:200]}"
    return " ".join(first.message.split()) + place


def main_function(module: Any) -> Any:
    """Return the function `@main` of a module.

    Raises:
      InputError: it has none.
    """
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
    main = main_function(module)
    if "res_attrs" in main.attributes:
        del main.attributes["res_attrs"]


def _apply(module: Any, binding: Binding) -> None:
    """Declare the binding's instances and run its rules."""
    if not binding.rules:
        return
    _declare(module, binding.instances)
    pipeline = f"builtin.module(approx-bind-instances{{bindings={binding.pass_option}}})"
    try:
        run_passes(module, pipeline, None)
    except UnsupportedError as error:
        text = str(error)
        for number, rule in binding.numbered.items():
            text = text.replace(f"'{number}'", f"'{rule.typed or rule.label}'")
        raise InputError(text) from None


def _declare(module: Any, instances: Mapping[int, Instance], units: bool = False) -> None:
    """Give the module a library of exactly `instances`, or with `units`, of their hardware."""
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
                instance.unit_latency if units else instance.latency,
                instance.unit_interval if units else instance.interval,
            )


def walk(op: Any) -> Iterator[Any]:
    """Yield an operation and all that it holds, in order."""
    yield op
    for region in op.regions:
        for block in region:
            for child in block:
                yield from walk(child.operation)
