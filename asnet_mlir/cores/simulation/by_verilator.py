# SPDX-License-Identifier: Apache-2.0
"""Verilator as a simulator of instances: the first independent opinion on a model."""

from __future__ import annotations

import shutil
from pathlib import Path

from asnet_mlir.cores.simulation.family import DRIVER, TOP, Family
from asnet_mlir.errors import ToolError
from asnet_mlir.support import verilator
from asnet_mlir.support.cache import cached_directory, content_hash

__all__ = ["build", "name"]

_COMPILE_SECONDS = 180.0
_LEVEL = "-O1"
_VERILATOR_OPTIONS = (
    "--no-assert",
    "--x-assign",
    "unique",  # undefined values are random, so that a result that depends on them is noticed
    "--x-initial",
    "unique",
    "-Wno-lint",
    "-Wno-style",
)
# The second try reads .v files as Verilog-2005, where `bit` and `logic` are names like others.
_LANGUAGES: tuple[tuple[str, ...], ...] = ((), ("+1364-2005ext+v",))

_MODEL = r"""
#include "Vfamily.h"
#include "verilated.h"
#include <cstring>

// $finish, $stop and fatal errors are reported instead of ending the process.
namespace {
thread_local bool ended = false;
struct Fatal {};
}  // namespace
void vl_finish(const char*, int, const char*) { ended = true; }
void vl_stop(const char*, int, const char*) { ended = true; }
void vl_fatal(const char*, int, const char*, const char* message) {
  // Where logic does not converge, returning would let Verilator's loop run on for ever.
  if (message && std::strstr(message, "converge")) throw Fatal{};
  ended = true;
}

namespace {
class Model {
 public:
  explicit Model(int64_t seed) {
    ended = false;
    context_.randReset(2);
    context_.randSeed(static_cast<int>(seed));
    top_.reset(new Vfamily(&context_, ""));
  }
  void a(uint64_t bits) { top_->a = static_cast<decltype(+top_->a)>(bits); }
  void b(uint64_t bits) { top_->b = static_cast<decltype(+top_->b)>(bits); }
  void clock(bool level) { top_->clk = level; }
  void reset(bool level) { top_->rst = level; }
  void start(uint8_t bits) { top_->start = bits; }
  bool settle() {
    try {
      top_->eval();
      return true;
    } catch (const Fatal&) {
      return false;
    }
  }
  bool stopped() const { return ended; }
@PORTS@
 private:
  VerilatedContext context_;
  std::unique_ptr<Vfamily> top_;
};
}  // namespace
"""


def name() -> str:
    """Return the simulator's name as reports give it."""
    return verilator.version()


def build(family: Family) -> Path:
    """Return the shared library of a family, built on the first call and then cached.

    Raises:
      ToolError: Verilator or the C++ compiler failed or took too long.
    """
    options = (_LEVEL, *_VERILATOR_OPTIONS, *_LANGUAGES[1])
    key = content_hash(verilator.version(), family.key, _MODEL, *options)
    return cached_directory("verilator", key, lambda path: _build(path, family)) / "family.so"


def _build(folder: Path, family: Family) -> None:
    """Fill `folder` with family.so."""
    core = family.instances[0].core
    names = []
    for number, source in enumerate(core.sources):
        # The suffix decides the language.
        names.append(f"f{number}{'.v' if source.path.suffix == '.v' else '.sv'}")
        (folder / names[-1]).write_text(source.text, encoding="utf-8")
    (folder / f"{TOP}.v").write_text(family.top())
    includes = [f"-I{path}" for path in core.include_folders]
    for language in _LANGUAGES:
        try:
            verilator.translate(
                [*names, f"{TOP}.v"],
                top=TOP,
                prefix="Vfamily",
                into="generated",
                cwd=folder,
                options=[*_VERILATOR_OPTIONS, *includes, *language],
                purpose=f"building a simulation of {core.name} with Verilator",
                timeout_seconds=_COMPILE_SECONDS,
            )
            break
        except ToolError:
            if language == _LANGUAGES[-1] or not any(name.endswith(".v") for name in names):
                raise
    # One translation unit, because parsing Verilator's headers takes longer than a small model.
    # What Verilator calls slow runs once, at the start: it is not worth optimising.
    parts = sorted(path.name for path in (folder / "generated").glob("*.cpp"))
    fast = [part for part in parts if "__Slow" not in part]
    slow = [part for part in parts if "__Slow" in part]
    model = _MODEL.replace("@PORTS@", family.ports_code("top_->r@", "top_->d@"))
    (folder / "driver.cpp").write_text(
        "#include <memory>\n"
        + family.settings()
        + model
        + DRIVER
        + "".join(f'#include "generated/{part}"\n' for part in fast)
        + '#pragma GCC optimize("O0")\n'
        + "".join(f'#include "generated/{part}"\n' for part in slow)
    )
    verilator.compile_model(
        ["driver.cpp"],
        folder / "family.so",
        level=_LEVEL,
        includes=["generated"],
        link=["-shared", "-Wl,-Bsymbolic"],
        cwd=folder,
        purpose=f"compiling a simulation of {core.name}",
        timeout_seconds=_COMPILE_SECONDS,
    )
    shutil.rmtree(folder / "generated")
    (folder / "driver.cpp").unlink()
