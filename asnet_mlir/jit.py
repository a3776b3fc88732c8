"""Native code from modules in the LLVM dialect, called on numpy arrays.

`mlir` is imported when the first module is compiled, never when this package is imported.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from asnet_mlir.errors import AsnetError, InputError, ToolError
from asnet_mlir.ternary import use_ternary_logic

if TYPE_CHECKING:
    from asnet_mlir.cores.model import Model

__all__ = [
    "LOWER_LOOPS_TO_LLVM",
    "CompiledModule",
    "ElementwiseKernel",
    "assert_default_rounding",
    "compile_elementwise",
]

#: Passes that take functions on memrefs, loops and arith to the LLVM dialect.
LOWER_LOOPS_TO_LLVM = (
    "convert-scf-to-cf,expand-strided-metadata,lower-affine,convert-vector-to-llvm,"
    "finalize-memref-to-llvm,convert-arith-to-llvm,convert-index-to-llvm,convert-ub-to-llvm,"
    "convert-func-to-llvm,convert-cf-to-llvm,reconcile-unrealized-casts,canonicalize,cse"
)


# Division of more than 64 bits is a call into the C compiler's runtime.
_COMPILER_RUNTIME = "libgcc_s.so.1"


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
        shared_libraries: Sequence[str] = (),
        shapes: Mapping[str, Sequence[tuple[int, ...]]] | None = None,
        callbacks: Mapping[str, Any] | None = None,
    ) -> None:
        """Compile `module`, an `mlir.ir.Module` in the LLVM dialect, for this processor.

        Args:
          shapes: shapes of a function's arguments by its name; calls are checked against them.
          callbacks: functions of ctypes that the module declares, by name; kept alive with it.
        """
        from mlir.execution_engine import ExecutionEngine

        ctypes.CDLL(
            _COMPILER_RUNTIME, mode=ctypes.RTLD_GLOBAL
        )  # where the engine looks for symbols
        self._engine = ExecutionEngine(
            module, opt_level=opt_level, shared_libs=list(shared_libraries)
        )
        self._callbacks = dict(callbacks or {})
        for name, callback in self._callbacks.items():
            self._engine.raw_register_runtime(name, ctypes.cast(callback, ctypes.c_void_p))
        self._libraries = list(_register_libraries(self._engine, module))
        self._names = {
            operation.attributes["sym_name"].value.removeprefix("_mlir_ciface_")
            for operation in module.body.operations
            if "sym_name" in operation.attributes
        }
        self._functions: dict[str, Any] = {}
        self._shapes = dict(shapes or {})
        self._lock = threading.Lock()

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
        # The engine's packed interface: an array of addresses of arguments, where an argument is
        # itself the address of a descriptor.
        vector = ctypes.c_void_p * len(arrays)
        arguments = vector(*(ctypes.addressof(descriptor) for descriptor in descriptors))
        start = ctypes.addressof(arguments)
        size = ctypes.sizeof(ctypes.c_void_p)
        packed = vector(*(start + position * size for position in range(len(arrays))))
        function = self._function(name)

        def call(_keep: Any = (self, arrays, descriptors, arguments)) -> None:
            function(packed)
            for library in self._libraries:
                if library.asnet_block_failures():
                    raise ToolError(
                        "a simulated core ended its simulation by itself or gave no result in time"
                    )

        return call

    def prepare(self, name: str) -> None:
        """Generate the native code of function `name` now rather than at its first call."""
        self._function(name)

    def _function(self, name: str) -> Any:
        function = self._functions.get(name)
        if function is None:
            with self._lock:
                address = self._engine.raw_lookup(f"_mlir_ciface_{name}")
                if not address and name in self._names:
                    raise ToolError(f"LLVM did not compile '{name}'; see standard error above")
                if not address:
                    raise InputError(f"the compiled module has no function '{name}'")
                # A prototype from CFUNCTYPE gives up the global lock for the length of the call.
                function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
                self._functions[name] = function
        return function


def _register_libraries(engine: Any, module: Any) -> Iterator[ctypes.CDLL]:
    """Load what `llvm.func`s with the attribute `approx.library` are implemented by."""
    for operation in module.body.operations:
        if "approx.library" in operation.attributes:
            library = ctypes.CDLL(operation.attributes["approx.library"].value)
            address = ctypes.cast(library.asnet_block, ctypes.c_void_p)
            engine.raw_register_runtime(operation.attributes["sym_name"].value, address)
            yield library


_DESCRIPTORS: dict[int, type[ctypes.Structure]] = {}


def _descriptor(name: str, position: int, array: np.ndarray) -> ctypes.Structure:
    """Return MLIR's ranked memref descriptor of an array."""
    if not isinstance(array, np.ndarray):
        raise InputError(f"{name}: argument {position} is {type(array).__name__}, not an array")
    if not array.flags.c_contiguous:
        raise InputError(f"{name}: argument {position} is not C-contiguous")
    if not array.flags.aligned or not array.dtype.isnative:
        raise InputError(f"{name}: argument {position} is not aligned or of foreign byte order")
    if array.dtype.kind not in "fiub":
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


class ElementwiseKernel:
    """Models compiled into loops over arrays; made by `compile_elementwise`."""

    def __init__(self, compiled: CompiledModule, dtypes: dict[str, tuple[np.dtype, ...]]) -> None:
        self._compiled = compiled
        self._dtypes = dtypes

    def prepared(
        self, symbol: str, a: np.ndarray, b: np.ndarray, result: np.ndarray
    ) -> Callable[[], None]:
        """Return the call that writes model `symbol` of each pair to `result`, to be repeated."""
        return self._compiled.prepared(f"{symbol}_loop", a, b, result)

    def dtypes(self, symbol: str) -> tuple[np.dtype, ...]:
        """Return the dtypes of the operands and the result of model `symbol`."""
        return self._dtypes[symbol]

    def __call__(self, symbol: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return model `symbol` of each pair of elements.

        Args:
          symbol: one of the compiled models.
          a, b: 1-D arrays of one length; float32, or for integer models the unsigned dtype of at
            least the port's width (upper bits ignored).

        Raises:
          InputError: shapes or dtypes do not fit.
        """
        dtypes = self._dtypes[symbol]
        if a.shape != b.shape or a.ndim != 1 or (a.dtype, b.dtype) != dtypes[:2]:
            raise InputError(
                f"{symbol}: expected two 1-D arrays of {dtypes[0]} and {dtypes[1]} of one length, "
                f"got {a.dtype}{a.shape} and {b.dtype}{b.shape}"
            )
        result = np.empty(a.shape, dtypes[2])
        self._compiled(f"{symbol}_loop", np.ascontiguousarray(a), np.ascontiguousarray(b), result)
        return result


def compile_elementwise(models: Mapping[str, Model | str], opt_level: int = 3) -> ElementwiseKernel:
    """Compile models into loops over arrays, one kernel for all of them.

    Args:
      models: by symbol, a model or its text: `func.func private @symbol(%a, %b) -> r`, on f32 or
        integers of up to 64 bits (carried in the next wider unsigned dtype), with `approx.block`
        where another function computes whole arrays.

    Raises:
      InputError: a model is not such a function.
    """
    from asnet_mlir import dialects

    dialects.load()
    from mlir import ir
    from mlir.dialects import arith, func, memref, scf
    from mlir.passmanager import PassManager

    dtypes = {}
    texts = [model if isinstance(model, str) else model.text for model in models.values()]
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse("\n".join(texts))
        functions = {
            op.attributes["sym_name"].value: op
            for op in module.body.operations
            if isinstance(op, func.FuncOp)
        }
        index = ir.IndexType.get()
        for symbol in models:
            if symbol not in functions:
                raise InputError(f"the model text has no function '{symbol}'")
            function = functions[symbol]
            types = [*function.type.inputs, *function.type.results]
            if len(types) != 3:
                raise InputError(f"{symbol}: a model takes two operands and gives one result")
            storage = [_storage(ir, symbol, kind) for kind in types]
            dtypes[symbol] = tuple(dtype for dtype, _ in storage)
            buffers = [
                ir.MemRefType.get([ir.ShapedType.get_dynamic_size()], kind) for _, kind in storage
            ]
            with ir.InsertionPoint(module.body):
                loop = func.FuncOp(f"{symbol}_loop", ir.FunctionType.get(buffers, []))
            loop.attributes["llvm.emit_c_interface"] = ir.UnitAttr.get()
            with ir.InsertionPoint(loop.add_entry_block()):
                if "approx.block" in function.attributes:
                    block = ir.FlatSymbolRefAttr(function.attributes["approx.block"])
                    func.CallOp([], block, list(loop.arguments))
                else:
                    zero = arith.constant(index, 0)
                    one = arith.constant(index, 1)
                    count = memref.dim(loop.arguments[0], zero)
                    for position in scf.for_(zero, count, one):
                        operands = [
                            _convert(arith, memref.load(buffer, [position]), kind)
                            for buffer, kind in zip(loop.arguments[:2], types[:2], strict=True)
                        ]
                        value = func.CallOp(function, operands).result
                        result = _convert(arith, value, storage[2][1])
                        memref.store(result, loop.arguments[2], [position])
                        scf.yield_([])
                func.ReturnOp([])
        use_ternary_logic(module)
        module.operation.verify()
        passes = f"inline,symbol-dce,canonicalize,cse,{LOWER_LOOPS_TO_LLVM}"
        PassManager.parse(f"builtin.module({passes})").run(module.operation)
        return ElementwiseKernel(CompiledModule(module, opt_level), dtypes)


def _storage(ir: Any, symbol: str, kind: Any) -> tuple[np.dtype, Any]:
    if isinstance(kind, ir.F32Type):
        return np.dtype(np.float32), kind
    if isinstance(kind, ir.IntegerType):
        for bits in (8, 16, 32, 64):
            if kind.width <= bits:
                return np.dtype(f"uint{bits}"), ir.IntegerType.get_signless(bits)
    raise InputError(f"{symbol}: {kind} is neither f32 nor an integer of up to 64 bits")


def _convert(arith: Any, value: Any, to: Any) -> Any:
    """Truncate or extend an integer with zeros; f32 stays."""
    if value.type == to:
        return value
    have, want = value.type.width, to.width
    return arith.trunci(to, value) if want < have else arith.extui(to, value)
