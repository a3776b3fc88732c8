# SPDX-License-Identifier: Apache-2.0
"""Calling compiled code: arguments are checked, threads run side by side."""

from __future__ import annotations

import ctypes
import ctypes.util
import threading

import numpy as np
import pytest

from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.errors import AsnetError, InputError
from asnet_mlir.native.jit import assert_default_rounding

ADD = (
    "func.func private @f(%a: f32, %b: f32) -> f32 {\n"
    "%r = arith.addf %a, %b : f32\nreturn %r : f32\n}"
)


def test_elementwise() -> None:
    kernel = compile_elementwise({"f": ADD})
    a = np.linspace(0, 1, 1001, dtype=np.float32)
    np.testing.assert_array_equal(kernel("f", a, a), a + a)
    np.testing.assert_array_equal(kernel("f", a[::2], a[::2]), a[::2] * 2)
    assert kernel("f", a[:0], a[:0]).shape == (0,)
    with pytest.raises(InputError, match="one length"):
        kernel("f", a, a[:3])
    with pytest.raises(InputError, match="float64"):
        kernel("f", a.astype(np.float64), a)


def test_arguments_are_checked() -> None:
    compiled = compile_elementwise({"f": ADD})._compiled
    a = np.zeros(8, np.float32)
    with pytest.raises(InputError, match="no function 'g'"):
        compiled("g", a)
    with pytest.raises(InputError, match="argument 1 is not C-contiguous"):
        compiled("f_loop", a, a[::2], a)
    with pytest.raises(InputError, match="argument 0 is not aligned"):
        compiled("f_loop", np.frombuffer(bytes(33), np.uint8)[1:].view(np.float32), a, a)
    with pytest.raises(InputError, match="argument 2 is list, not an array"):
        compiled("f_loop", a, a, [0.0])  # type: ignore[arg-type]


def test_wide_integers() -> None:
    text = """func.func private @g(%a: i64, %b: i64) -> i64 {
      %x = arith.extui %a : i64 to i96
      %y = arith.extui %b : i64 to i96
      %c = arith.constant 30 : i96
      %s = arith.shli %x, %c : i96
      %d = arith.divui %s, %y : i96
      %r = arith.trunci %d : i96 to i64
      return %r : i64
    }"""
    rng = np.random.default_rng(0)
    a, b = rng.integers(1, 1 << 63, (2, 100), dtype=np.uint64)
    want = [(int(x) << 30) // int(y) & ((1 << 64) - 1) for x, y in zip(a, b, strict=True)]
    assert compile_elementwise({"g": text})("g", a, b).tolist() == want


def test_threads_give_the_same_bits() -> None:
    kernel = compile_elementwise({"f": ADD})
    a = np.random.default_rng(0).random(1 << 18, dtype=np.float32)
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(kernel("f", a, a))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_array_equal(result, a + a)


def test_another_rounding_mode_is_refused() -> None:
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    modes = {"downward": 0x400, "upward": 0x800, "towards zero": 0xC00}
    for name, mode in modes.items():
        try:
            assert library.fesetround(mode) == 0
            with pytest.raises(AsnetError, match="floating-point mode"):
                assert_default_rounding()
                pytest.fail(name)
        finally:
            library.fesetround(0)
    assert_default_rounding()


def test_flushing_of_subnormals_is_refused():
    """A library that sets FTZ or DAZ in MXCSR (bits 15 and 6) would change results."""
    from mlir import ir

    from asnet_mlir.native.jit import CompiledModule

    text = """
    llvm.func @_mlir_ciface_load(%bits: !llvm.ptr) {
      llvm.call_intrinsic "llvm.x86.sse.ldmxcsr"(%bits) : (!llvm.ptr) -> ()
      llvm.return
    }
    """
    with ir.Context(), ir.Location.unknown():
        module = CompiledModule(ir.Module.parse(text))
    load = module.function("load")
    default, outcome = 0x1F80, {}

    def run(name, mode):
        # The register belongs to a thread, which ends after this.
        bits = ctypes.c_uint32(mode)
        pointer = ctypes.c_void_p(ctypes.addressof(bits))
        load(ctypes.addressof(pointer))
        try:
            assert_default_rounding()
            outcome[name] = "accepted"
        except AsnetError:
            outcome[name] = "refused"

    for name, mode in {
        "default": default,
        "ftz": default | 1 << 15,
        "daz": default | 1 << 6,
        "down": default | 1 << 13,
        "up": default | 1 << 14,
        "zero": default | 3 << 13,
    }.items():
        thread = threading.Thread(target=run, args=(name, mode))
        thread.start()
        thread.join()
    assert outcome == dict.fromkeys(outcome, "refused") | {"default": "accepted"}
    assert len(outcome) == 6
