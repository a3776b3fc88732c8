# SPDX-License-Identifier: Apache-2.0
"""Native code: made of modules in the LLVM dialect, kept on disk, loaded, run over blocks.

Code is kept as object files under the hash of what it is made from, so that it is compiled once on
a machine, not once in a process.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asnet_mlir.errors import AsnetError, ToolError
from asnet_mlir.support.cache import code_version, content_hash

__all__ = ["Argument", "LoadedObject", "Plan", "aligned", "compile_object", "host", "native_key"]

#: Bytes to which memory of native code is aligned: a vector register of AVX-512.
ALIGNMENT = 64

# Division of more than 64 bits is a call into the C compiler's runtime.
_COMPILER_RUNTIME = "libgcc_s.so.1"


def native_library() -> Any:
    """Return the extension module with the compiler, the loader and the runner."""
    from asnet_mlir import dialects

    dialects.load()
    from asnet_mlir._mlir_libs import _asnet  # type: ignore[attr-defined]

    return _asnet


@functools.cache
def host() -> str:
    """Return what native code depends on besides its source: processor, features, LLVM."""
    return native_library().host()


def native_key(*parts: str) -> str:
    """Return the key under which native code made from `parts` is kept for this processor."""
    version = code_version("_mlir_libs", "dialects", "evaluation")
    return content_hash(host(), version, *parts)


def compile_object(module: Any, level: int) -> bytes:
    """Compile an `mlir.ir.Module` in the LLVM dialect to an object file for this processor.

    Other threads go on meanwhile.

    Args:
      level: of LLVM's optimizer; from 3 on with its vectorizers, which blocked code of vectors does
        not need.

    Of each function with `llvm.emit_c_interface`, the object has `asnet_<name>(void **)`, which
    takes the addresses of memref descriptors as an array.

    Raises:
      ToolError: LLVM refused the module.
    """
    try:
        return native_library().compile(module, level)
    except RuntimeError as error:
        raise ToolError(f"generating native code: {error}") from None


class LoadedObject:
    """An object file in this process; what it was linked with is kept alive with it."""

    def __init__(
        self, data: bytes, symbols: Mapping[str, int] | None = None, keep: Sequence[Any] = ()
    ) -> None:
        """Load `data`, with the addresses of functions that it refers to."""
        self._keep = tuple(keep)
        # Where native code finds what is not among `symbols`.
        ctypes.CDLL(_COMPILER_RUNTIME, mode=ctypes.RTLD_GLOBAL)
        try:
            self._object = native_library().load(data, dict(symbols or {}))
        except RuntimeError as error:
            raise ToolError(f"loading native code: {error}") from None

    def address(self, name: str) -> int:
        """Return the address of a function.

        Raises:
          ToolError: there is none of that name, or it refers to one that is nowhere.
        """
        try:
            return native_library().lookup(self._object, name)
        except RuntimeError as error:
            raise ToolError(f"loading native code: {error}") from None


@dataclass(frozen=True)
class Argument:
    """What a function of a plan takes: a value, a constant array, or scratch memory.

    Attributes:
      kind: `value` (by number), `constant` (by address), `arena` (of so many bytes).
    """

    kind: str
    payload: int = 0


_KINDS = {"value": 0, "constant": 1, "arena": 2}


class Plan:
    """Functions to run one after the other on every block of samples."""

    def __init__(
        self,
        functions: Sequence[tuple[int, Sequence[Argument]]],
        value_sizes: Sequence[int],
        keep: Sequence[Any] = (),
    ) -> None:
        """Make a plan.

        Args:
          functions: address and arguments of each.
          value_sizes: bytes of a block of each value.
          keep: kept alive: objects and arrays whose addresses are used.
        """
        self._keep = tuple(keep)
        self.sizes = tuple(value_sizes)
        self._plan = native_library().plan(
            [
                (address, [_KINDS[a.kind] for a in arguments], [a.payload for a in arguments])
                for address, arguments in functions
            ],
            list(value_sizes),
        )

    def memory(self, arrays: Mapping[int, np.ndarray]) -> int:
        """Return the bytes that each thread of a run with `arrays` takes."""
        return native_library().memory(self._plan, self._bases(arrays))

    def _bases(self, arrays: Mapping[int, np.ndarray]) -> list[int]:
        bases = [0] * len(self.sizes)
        for number, array in arrays.items():
            if not array.flags.c_contiguous or array.ctypes.data % array.itemsize:
                raise AsnetError("a plan takes contiguous, aligned arrays")
            bases[number] = array.ctypes.data
        return bases

    def run(
        self,
        arrays: Mapping[int, np.ndarray],
        blocks: int,
        threads: int,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Run all functions on `blocks` blocks, on at most `threads` threads.

        Args:
          arrays: value number -> C-contiguous array that holds that value's blocks one after the
            other; other values are in memory of each thread and are gone afterwards.
          check: called at the end; raises what went wrong inside native code.

        Raises:
          MemoryError: no memory for the threads.
          KeyboardInterrupt: Ctrl-C came, and was answered between two blocks.
        """
        native_library().run(self._plan, self._bases(arrays), blocks, threads)
        if check is not None:
            check()


def aligned(size: int) -> np.ndarray:
    """Return uint8[size], uninitialized, whose address is a multiple of `ALIGNMENT`."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]
