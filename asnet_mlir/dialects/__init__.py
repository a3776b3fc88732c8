# SPDX-License-Identifier: Apache-2.0
"""The approx dialect for MLIR's Python bindings.

>>> from asnet_mlir import dialects
>>> dialects.load()
>>> from asnet_mlir.dialects import approx
"""

from __future__ import annotations

import sys
from functools import cache

from asnet_mlir.errors import AsnetError

__all__ = ["can_load", "load", "load_first"]

# Each of these brings LLVM or MLIR symbols that the loader would merge with MLIR's own: where it
# came first, importing MLIR ends the process with a segmentation fault.
_CLASHES = ("tensorflow", "circt")


def can_load() -> bool:
    """Say whether MLIR is in this process, or may still be: no library that clashes came first."""
    return "mlir.ir" in sys.modules or not any(name in sys.modules for name in _CLASHES)


def load_first() -> None:
    """Load MLIR now where that is possible, before something that would make it impossible."""
    if can_load():
        load()


@cache
def load() -> None:
    """Register the dialect and all its passes with MLIR; later calls do nothing.

    Every `mlir.ir.Context` made afterwards knows the dialect, `PassManager.parse` knows the passes,
    and parsed operations come back as the classes of `asnet_mlir.dialects.approx`.  For a context
    that was made before, call `context.append_dialect_registry(get_dialect_registry())`.

    Raises:
        AsnetError: TensorFlow or CIRCT is already in this process and MLIR is not.
    """
    if not can_load():
        name = next(name for name in _CLASHES if name in sys.modules)
        raise AsnetError(
            f"'{name}' was imported before MLIR and would crash it; use asnet_mlir's functions "
            "(evaluate, ..), which then run in another process, or call "
            f"asnet_mlir.dialects.load() before importing {name}"
        )
    # mlir.ir comes first: it loads libMLIRPythonCAPI.so, which _asnet resolves its symbols from.
    from mlir import ir  # noqa: F401
    from mlir._mlir_libs import _mlir, get_dialect_registry

    from asnet_mlir._mlir_libs import _asnet  # type: ignore[attr-defined]

    _asnet.register_dialects(get_dialect_registry())
    _mlir.globals.append_dialect_search_prefix("asnet_mlir.dialects")
