# SPDX-License-Identifier: Apache-2.0
"""Yosys' CXXRTL as a simulator of instances: the second independent opinion on a model.

The Verilog is read by slang (`read_slang`), where slang refuses it by Yosys' own reader; models are
derived through Yosys' own reader and our translation, of which a slang simulation shares nothing.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import sys
from pathlib import Path

from asnet_mlir.cores.simulation.family import DRIVER, TOP, Family
from asnet_mlir.errors import ToolError, ToolTimeoutError
from asnet_mlir.support import cpp, processes
from asnet_mlir.support.cache import cached_directory, content_hash
from asnet_mlir.support.resources import how_to_install
from asnet_mlir.support.tools import yosys_program

__all__ = ["build", "name"]

_SECONDS = 600.0
_HEADERS = ("cxxrtl/cxxrtl.h", "cstdlib", "memory")
_COMPILE = (
    "-std=gnu++17",
    "-O1",
    # A netlist of gates is one long function, for which combining three instructions and more is
    # what takes longest.
    "--param=max-combine-insns=2",
    "-w",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-gnu-unique",
)
_LINK = ("-shared", "-Wl,-Bsymbolic")
_LATCHES = "latches"
_PASSES = (
    f"hierarchy -check -top {TOP}",
    "proc",
    "flatten",
    "opt_expr",
    "opt_clean",  # before nets are split: aliases keep them whole
    # One wire for each driver: a bus that is written in parts would count as feedback, and be
    # evaluated again and again until it stands still.
    "splitnets -driver",
    "opt_clean",
    f"tee -q -o {_LATCHES} select -list t:$dlatch t:$adlatch t:$dlatchsr t:$sr",
    # Without debugging data, which is half of the code.
    "write_cxxrtl -O6 -g0 family.cc",
)
_MODEL = r"""
#include "family.cc"

namespace {
class Model {
 public:
  explicit Model(int64_t) {}  // undefined values are 0 here
  void a(uint64_t bits) { top_.p_a.set<asnet_a>(static_cast<asnet_a>(bits)); }
  void b(uint64_t bits) { top_.p_b.set<asnet_b>(static_cast<asnet_b>(bits)); }
  void clock(bool level) { top_.p_clk.set<uint8_t>(level); }
  void reset(bool level) { top_.p_rst.set<uint8_t>(level); }
  void start(uint8_t bits) { top_.p_start.set<uint8_t>(bits); }
  bool settle() {
    for (int tries = 0; tries < 1000; ++tries) {
      const bool converged = top_.eval();
      const bool changed = top_.commit();
      // What passes a latch arrives after the commit, of which `converged` knows nothing.
      if ((converged && !kLatches) || !changed) return true;
    }
    return false;
  }
  bool stopped() const { return false; }
@PORTS@
 private:
  cxxrtl_design::p_asnet__family top_;
};
}  // namespace
"""


def build(family: Family) -> Path:
    """Return the shared library of a family, built on the first call and then cached.

    Raises:
      ToolError: Yosys or the C++ compiler failed or took too long.
    """
    key = content_hash(_version(), family.key, _MODEL, *_COMPILE, *_LINK, *_PASSES)
    return cached_directory("cxxrtl", key, lambda path: _build(path, family)) / "family.so"


def name(library: Path) -> str:
    """Return the simulator's name as reports give it, with what read the Verilog of a library."""
    reader = (library.parent / "reader").read_text().strip()
    return f"cxxrtl (yosys {_version()}, {reader})" if reader else f"cxxrtl (yosys {_version()})"


@functools.cache
def _version() -> str:
    return importlib.metadata.version("pyosys")


def _runtime() -> Path:
    # From sys.path and not by import, which would load Yosys into this process.
    for entry in sys.path:
        root = Path(entry) / "pyosys/share/include/backends/cxxrtl/runtime"
        if root.is_dir():
            return root
    hint = how_to_install("pyosys")
    raise ToolError(f"the headers of Yosys' CXXRTL are not there; they come with pyosys: {hint}")


def _build(folder: Path, family: Family) -> None:
    """Fill `folder` with family.so and the name of the reader."""
    core = family.instances[0].core
    (folder / f"{TOP}.v").write_text(family.top())
    # Numbered names and links: Yosys' commands split at spaces.
    files = []
    for number, source in enumerate(core.sources):
        files.append(f"f{number}{'.v' if source.path.suffix == '.v' else '.sv'}")
        (folder / files[-1]).write_text(source.text, encoding="utf-8")
    includes = []
    for number, path in enumerate(core.include_folders):
        (folder / f"include{number}").symlink_to(path)
        includes.append(f"include{number}")
    names = " ".join([*files, f"{TOP}.v"])
    flags = " ".join(f"-I{include}" for include in includes)
    slang = f"read_slang --single-unit --top {TOP} {flags}"
    ways = [("slang", f"{slang} {names}")]
    if any(file.endswith(".v") for file in files):
        ways.append(("slang", f"{slang} --std 1364-2005 {names}"))
    ways.append(("", f"read_verilog -sv {flags} {names}"))
    ways.append(("", f"read_verilog {flags} {names}"))
    errors = []
    for reader, read in ways:
        try:
            (folder / "commands.json").write_text(json.dumps([read, *_PASSES]))
            processes.run_program(
                yosys_program(),
                ["commands.json"],
                purpose=f"building a simulation of {core.name} with Yosys",
                cwd=folder,
                timeout_seconds=_SECONDS,
            )
        except ToolTimeoutError:
            raise
        except ToolError as error:
            errors.append(error)
            continue
        (folder / "reader").write_text(reader)
        break
    else:
        raise errors[0]
    has_latches = bool((folder / _LATCHES).read_text().strip())
    (folder / "driver.cpp").write_text(
        "#include <memory>\n"
        + family.settings()
        + f"constexpr bool kLatches = {'true' if has_latches else 'false'};\n"
        + _MODEL.replace(
            "@PORTS@", family.ports_code("top_.p_r@.get<asnet_r>()", "top_.p_d@.get<uint8_t>()")
        )
        + DRIVER
    )
    known = cpp.with_headers(_HEADERS, [*_COMPILE, f"-I{_runtime()}"])
    cpp.compile(
        [*known, "driver.cpp", *_LINK, "-o", "family.so"],
        purpose=f"compiling a simulation of {core.name}",
        cwd=folder,
        timeout_seconds=_SECONDS,
    )
    for path in (folder / "family.cc", folder / "driver.cpp", folder / "commands.json"):
        path.unlink()
