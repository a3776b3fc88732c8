"""StableHLO to linalg, by jaxlib's own MLIR.

jaxlib brings a copy of MLIR with the StableHLO passes; it lives beside the project's MLIR in one
process and hands over text.
"""

from __future__ import annotations

from typing import Any

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.frontends.locations import walk

__all__ = ["linalg_from_stablehlo", "run_passes"]

# Composites and calls are inlined so that each op's location carries its whole scope.
_PIPELINE = (
    "builtin.module(inline,func.func(chlo-legalize-to-stablehlo,"
    "stablehlo-legalize-composite-to-call),inline,symbol-dce,stablehlo-convert-to-signless,"
    "stablehlo-legalize-to-linalg,canonicalize,cse)"
)


def linalg_from_stablehlo(module: Any) -> str:
    """Lower a jaxlib MLIR module of StableHLO to linalg on tensors.

    Args:
      module: `jaxlib.mlir.ir.Module`; it is not changed.

    Returns:
      The text of the module, with locations.

    Raises:
      UnsupportedError: an op has no lowering; it is named with its location.
    """
    with module.context:
        # JAX caches the module it hands out, so passes must run on a copy.
        copy = module.operation.clone()
        run_passes(copy, _PIPELINE)
        for op in walk(copy.operation):
            if op.name.startswith(("stablehlo.", "chlo.", "mhlo.")):
                raise UnsupportedError(f"unsupported op '{op.name}' at {op.location}")
        return copy.operation.get_asm(enable_debug_info=True)


def run_passes(module: Any, pipeline: str) -> None:
    """Run passes on a jaxlib MLIR module, in place.

    Raises:
      UnsupportedError: a pass fails; the first diagnostic is kept, with its location.
    """
    from jaxlib.mlir import ir, passmanager
    from jaxlib.mlir.dialects import stablehlo

    stablehlo.register_stablehlo_passes()
    messages: list[str] = []

    def keep(diagnostic: Any) -> bool:
        messages.append(f"{diagnostic.location}: {diagnostic.message}")
        return True

    with module.context as context:
        handler = context.attach_diagnostic_handler(keep)
        try:
            passmanager.PassManager.parse(pipeline).run(module.operation)
        except ir.MLIRError as error:
            detail = messages[0] if messages else str(error).splitlines()[0]
            raise UnsupportedError(f"StableHLO has an op without a lowering: {detail}") from None
        finally:
            handler.detach()
