# SPDX-License-Identifier: Apache-2.0
"""Native code from modules in the LLVM dialect, called on numpy arrays.

`mlir` is imported when the first module is compiled, never when this package is imported.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from asnet_mlir.errors import AsnetError, InputError, ToolError
from asnet_mlir.native.objects import LoadedObject, compile_object
from asnet_mlir.support.formats import format_of_array

__all__ = ["CompiledModule", "assert_default_rounding", "block_libraries", "library_paths"]


def assert_default_rounding() -> None:
    """Check that this thread rounds to nearest and neither flushes nor zeroes subnormals.

    Another library may have changed the processor's MXCSR register (code built with `-ffast-math`
    does when it is loaded), and results would then differ from what the hardware computes.
    Python's own floats obey the same register, so a few operations on doubles show it in a
    microsecond.

    Raises:
      AsnetError: the mode is not the default one.
    """
    smallest_normal, smallest = float.fromhex("0x1p-1022"), float.fromhex("0x1p-1074")
    one, tie, above = 1.0, float.fromhex("0x1p-53"), float.fromhex("0x1.8p-53")
    if (
        smallest_normal * 0.5 == 0.0  # flush to zero
        or smallest * 2.0 == 0.0  # denormals are zero
        or one + tie != 1.0  # upward
        or one + above == 1.0  # downward, towards zero
        or -one - tie != -1.0  # downward
    ):
        raise AsnetError(
            "this thread's floating-point mode is not the default (round to nearest, no FTZ or "
            "DAZ): a library loaded earlier changed it; load asnet_mlir's work into a fresh process"
        )


class CompiledModule:
    """Native code of one module; `self(name, *arrays)` calls one of its functions.

    Functions to be called carry `llvm.emit_c_interface`, take ranked memrefs with identity layout
    (static or dynamic shapes) and return nothing.  A call releases Python's global lock, so threads
    run side by side as long as they write to different arrays.
    """

    def __init__(
        self,
        module: Any,
        opt_level: int = 3,
        shapes: Mapping[str, Sequence[tuple[int, ...]]] | None = None,
        callbacks: Mapping[str, Any] | None = None,
    ) -> None:
        """Compile `module`, an `mlir.ir.Module` in the LLVM dialect, for this processor.

        Args:
          shapes: shapes of a function's arguments by its name; calls are checked against them.
          callbacks: functions of ctypes that the module declares, by name; kept alive with it.
        """
        names = {
            operation.attributes["sym_name"].value.removeprefix("_mlir_ciface_")
            for operation in module.body.operations
            if "sym_name" in operation.attributes
        }
        paths = library_paths(module)
        self._load(compile_object(module, opt_level), names, paths, shapes, callbacks)

    @classmethod
    def from_object(
        cls,
        code: bytes,
        libraries: Mapping[str, str],
        shapes: Mapping[str, Sequence[tuple[int, ...]]],
    ) -> CompiledModule:
        """Return the module of which `compile_object` made `code`.

        Args:
          libraries: what `library_paths` returned for it.
          shapes: of the arguments of each function that may be called.
        """
        made = cls.__new__(cls)
        made._load(code, set(shapes), libraries, shapes, None)
        return made

    def _load(
        self,
        code: bytes,
        names: set[str],
        libraries: Mapping[str, str],
        shapes: Mapping[str, Sequence[tuple[int, ...]]] | None,
        callbacks: Mapping[str, Any] | None,
    ) -> None:
        loaded = {name: ctypes.CDLL(path) for name, path in libraries.items()}
        self._libraries = list(loaded.values())
        self._names = names
        given = {
            **{name: library.asnet_block for name, library in loaded.items()},
            **(callbacks or {}),
        }
        symbols = {
            name: ctypes.cast(function, ctypes.c_void_p).value or 0
            for name, function in given.items()
        }
        self._loaded = LoadedObject(code, symbols, [*self._libraries, *given.values()])
        self._shapes = dict(shapes or {})

    def __call__(self, name: str, *arrays: np.ndarray) -> None:
        """Call function `name` on `arrays`, each a memref of the array's rank.

        The caller answers for dtypes (and, where the constructor was not told, shapes) that fit the
        function's signature; the arrays must be C-contiguous and aligned to their elements.

        Raises:
          InputError: no such function, an array of another shape, or one that is not contiguous,
            aligned and native.
          ToolError: LLVM did not generate the function's code.
          AsnetError: this thread's floating-point mode is not the default.
        """
        self.prepared(name, *arrays)()

    def prepared(self, name: str, *arrays: np.ndarray) -> Callable[[], None]:
        """Return the call of function `name` on `arrays` as a function without arguments.

        For calls that are repeated or timed; as `__call__` in every other way.
        """
        assert_default_rounding()
        given = [np.shape(array) for array in arrays]
        expected = self._shapes.get(name)
        if expected is not None and given != list(expected):
            raise InputError(f"{name}: takes arrays of shapes {list(expected)}, got {given}")
        descriptors = [_descriptor(name, position, a) for position, a in enumerate(arrays)]
        addresses = (ctypes.addressof(descriptor) for descriptor in descriptors)
        arguments = (ctypes.c_void_p * len(arrays))(*addresses)
        function = self.function(name)

        def call(_keep: Any = (self, arrays, descriptors)) -> None:
            function(arguments)
            for library in self._libraries:
                if library.asnet_block_failures():
                    raise ToolError(
                        "a simulated core ended its simulation by itself or gave no result in time"
                    )

        return call

    def function(self, name: str) -> Any:
        """Return function `name`, which takes an array of the addresses of its arguments.

        Raises:
          InputError: the module has none of that name.
          ToolError: it refers to what is nowhere.
        """
        if name not in self._names:
            raise InputError(f"the compiled module has no function '{name}'")
        # A prototype from CFUNCTYPE gives up the global lock for the length of the call.
        return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._loaded.address(f"asnet_{name}"))


def library_paths(module: Any) -> dict[str, str]:
    """Return the library that implements each `llvm.func` with the attribute `approx.library`."""
    return {
        operation.attributes["sym_name"].value: operation.attributes["approx.library"].value
        for operation in module.body.operations
        if "approx.library" in operation.attributes
    }


def block_libraries(module: Any) -> Iterator[tuple[str, ctypes.CDLL]]:
    """Load what `llvm.func`s with the attribute `approx.library` are implemented by, by name."""
    for name, path in library_paths(module).items():
        yield name, ctypes.CDLL(path)


_DESCRIPTORS: dict[int, type[ctypes.Structure]] = {}


def _descriptor(name: str, position: int, array: np.ndarray) -> ctypes.Structure:
    """Return MLIR's ranked memref descriptor of an array."""
    if not isinstance(array, np.ndarray):
        raise InputError(f"{name}: argument {position} is {type(array).__name__}, not an array")
    if not array.flags.c_contiguous:
        raise InputError(f"{name}: argument {position} is not C-contiguous")
    if not array.flags.aligned or not array.dtype.isnative:
        raise InputError(f"{name}: argument {position} is not aligned or of foreign byte order")
    # bfloat16 is of kind V.
    if array.dtype.kind not in "fiub" and format_of_array(array) is None:
        raise InputError(f"{name}: argument {position} has dtype {array.dtype}, not a number")
    rank = array.ndim
    kind = _DESCRIPTORS.get(rank)
    if kind is None:
        fields: list[Any] = [
            ("allocated", ctypes.c_void_p),
            ("aligned", ctypes.c_void_p),
            ("offset", ctypes.c_int64),
        ]
        if rank:
            fields += [("shape", ctypes.c_int64 * rank), ("strides", ctypes.c_int64 * rank)]
        kind = type(f"Memref{rank}", (ctypes.Structure,), {"_fields_": fields})
        _DESCRIPTORS[rank] = kind
    address = array.ctypes.data
    if not rank:
        return kind(address, address, 0)
    vector = ctypes.c_int64 * rank
    strides = [stride // array.itemsize for stride in array.strides]
    return kind(address, address, 0, vector(*array.shape), vector(*strides))
