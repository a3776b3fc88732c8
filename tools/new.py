# SPDX-License-Identifier: Apache-2.0
"""Write the files of a new pass or core: `make new-pass NAME=..`, `make new-core NAME=..`.

What is written compiles and passes its test; it is there to be replaced.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

__all__ = ["new_core", "new_pass"]

ROOT = Path(__file__).resolve().parents[1]

_DEFINITION = """
def {Class} : Pass<"approx-{name}"> {{
  let summary = "TODO: what it does, in a line";
  let description = [{{
    TODO: how, and why.  The skeleton gives every approx op the attribute `approx.layer`.

    - Before: any IR.
    - After: attributes only.

    ```mlir
    %0 = approx.addf %a, %b : f32
    ==>
    %0 = approx.addf %a, %b {{approx.layer = "{name}"}} : f32
    ```
  }}];
}}
"""

_PASS = """\
// SPDX-License-Identifier: Apache-2.0
#include "passes/Passes.h"

using namespace mlir;

namespace asnet {{
#define GEN_PASS_DEF_{MACRO}
#include "passes/Passes.h.inc"

namespace {{
struct {Class} : impl::{Class}Base<{Class}> {{
  void runOnOperation() override {{
    getOperation()->walk([](approx::ArithmeticOpInterface op) {{
      op->setAttr("approx.layer", StringAttr::get(op->getContext(), "{name}"));
    }});
  }}
}};
}} // namespace
}} // namespace asnet
"""

_LIT = """\
// RUN: asnet-opt %s --approx-{name} | FileCheck %s

// CHECK-LABEL: func.func @some(
func.func @some(%a: f32, %b: f32) -> f32 {{
  // CHECK: approx.addf %{{{{.*}}}}, %{{{{.*}}}} {{approx.layer = "{name}"}} : f32
  %0 = approx.addf %a, %b : f32
  return %0 : f32
}}

// CHECK-LABEL: func.func @nothing_to_do(
// CHECK-NOT:     approx.layer
func.func @nothing_to_do(%a: f32) -> f32 {{
  return %a : f32
}}
"""

_CORE = """\
// IEEE-754 binary32 {what}, approximate.
//
// Purpose:  TODO. The skeleton is {exact} without the low P fraction bits of the first operand.
// Source:   TODO: the paper.
// Latency:  LATENCY, see {exact}.
// Special:  as {exact}.
module {name} #(
  parameter int unsigned P       = 8,
  parameter int unsigned LATENCY = {latency}
) (
  input  logic        clk_i,
  input  logic [31:0] a_i,
  input  logic [31:0] b_i,
  output logic [31:0] result_o
);

  if (P > 22) begin : gen_bad_bits
    $error("{name}: P must be in 0..22");
  end

  localparam logic [31:0] Mask = 32'hFFFF_FFFF << P;

  {exact} #(.LATENCY(LATENCY)) u_exact (
    .clk_i   (clk_i),
    .a_i     (a_i & Mask),
    .b_i     (b_i),
    .result_o(result_o)
  );

endmodule
"""

_MANIFEST = """\
name = "{name}"
module = "{name}"
op = "{op}"
format = "f32"
sources = {sources}
latency_cycles = "LATENCY"
initiation_interval = 1
exact = false
special_values = "as {exact}"
summary = "TODO: what it computes, in a line"

[ports]
clock = "clk_i"
a = "a_i"
b = "b_i"
result = "result_o"

[parameters.P]
low = 0
high = 22
default = 8
summary = "low fraction bits of the first operand that are ignored"

[parameters.LATENCY]
low = 0
high = {deepest}
default = {latency}
summary = "pipeline registers between operands and result"

[origin]
license = "Apache-2.0"
reference = "TODO"
"""

_CORE_TEST = '''\
# SPDX-License-Identifier: Apache-2.0
"""A core against arithmetic of its own; its check is that of all cores of the library."""

from __future__ import annotations

import numpy as np

from asnet_mlir.cores import derive_models, parse_instance
from asnet_mlir.cores.models.kernel import compile_elementwise


def test_ignores_low_bits_of_the_first_operand() -> None:
    models = derive_models({{"core": parse_instance("{name}:P=20")}}, "word")
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-4, 4, (2, 10_000)).astype(np.float32)
    masked = (a.view(np.uint32) & np.uint32(0xFFF00000)).view(np.float32)
    result = compile_elementwise(models, opt_level=1)("core", a, b)
    np.testing.assert_array_equal(result.view(np.uint32), np.{ufunc}(masked, b).view(np.uint32))
'''

_OPS = {
    "addf": ("fadd", "adder", "add"),
    "mulf": ("fmul", "multiplier", "multiply"),
    "divf": ("fdiv", "divider", "divide"),
}


def new_pass(root: Path, name: str) -> list[Path]:
    """Write the pass `approx-<name>` below `root` and return the files that changed."""
    _check(name, r"[a-z][a-z0-9]*(-[a-z0-9]+)*", "a pass is named like fold-weights")
    class_name = "".join(part.capitalize() for part in name.split("-"))
    words = {"name": name, "Class": class_name, "MACRO": class_name.upper()}
    definitions = root / "passes" / "Passes.td"
    end = "\n#endif // PASSES_PASSES_TD\n"
    text = definitions.read_text()
    if f"def {class_name} :" in text:
        raise SystemExit(f"{name}: passes/Passes.td has the pass already")
    new = {
        root / "passes" / f"{class_name}.cpp": _PASS.format(**words),
        root / "test" / "lit" / "passes" / f"{name}.mlir": _LIT.format(**words),
    }
    changed = {definitions: text.replace(end, _DEFINITION.format(**words) + end)}
    return _write(new, changed)


def new_core(root: Path, name: str, op: str = "mulf") -> list[Path]:
    """Write the library's core `name` of an op kind and return the files that changed."""
    _check(name, r"[a-z][a-z0-9_]*", "a core is named like fmul_trunc")
    if op not in _OPS:
        raise SystemExit(f"OP={op}: a skeleton is of {', '.join(_OPS)}")
    exact, what, ufunc = _OPS[op]
    library = root / "hdl_lib"
    manifest = tomllib.loads((library / exact / "core.toml").read_text())
    inner = [f"../{exact}/{file}" for file in manifest["sources"] if "/" not in file]
    inner += [file for file in manifest["sources"] if "/" in file]
    quoted = ", ".join(f'"{file}"' for file in [f"{name}.sv", *inner])
    depth = manifest["parameters"]["LATENCY"]
    words = {
        "name": name,
        "op": op,
        "exact": exact,
        "what": what,
        "ufunc": ufunc,
        "latency": depth["default"],
        "deepest": depth["high"],
        "sources": f"[{quoted}]",
    }
    new = {
        library / name / f"{name}.sv": _CORE.format(**words),
        library / name / "core.toml": _MANIFEST.format(**words),
        root / "test" / "py" / f"test_core_{name}.py": _CORE_TEST.format(**words),
    }
    listed, fusesoc, page = (library / f"{file}" for file in _LISTS)
    row = f"| `{name}` | f32 | TODO | `P`, `LATENCY` |\n"
    changed = {
        listed: f"{listed.read_text()}{name}/{name}.sv\n",
        fusesoc: fusesoc.read_text().replace(
            "\n\ntargets:", f"\n      - {name}/{name}.sv\n\ntargets:", 1
        ),
        page: page.read_text().replace("| `bam`", f"{row}| `bam`", 1),
    }
    return _write(new, changed)


_LISTS = ("asnet_hdl.f", "asnet_hdl.core", "README.md")


def _check(name: str, pattern: str, hint: str) -> None:
    if not re.fullmatch(pattern, name):
        raise SystemExit(f"NAME={name}: {hint}")


def _write(new: dict[Path, str], changed: dict[Path, str]) -> list[Path]:
    for path in new:
        if path.exists():
            raise SystemExit(f"{path} is there already")
    for path, text in (new | changed).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return [*new, *changed]


def main(arguments: list[str]) -> None:
    """Write the files and say which."""
    parser = argparse.ArgumentParser(prog="tools/new.py", description=__doc__)
    parser.add_argument("what", choices=["pass", "core"])
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--op", default="mulf")
    options = parser.parse_args(arguments)
    if not options.name:
        raise SystemExit(f"make new-{options.what} NAME=..")
    if options.what == "pass":
        files = new_pass(ROOT, options.name)
        then = f"make setup references && .venv/bin/lit -q test/lit/passes/{options.name}.mlir"
    else:
        files = new_core(ROOT, options.name, options.op)
        then = f".venv/bin/python -m pytest -q {files[2].relative_to(ROOT)} test/py/test_hdl_lib.py"
    print("\n".join(str(path.relative_to(ROOT)) for path in files))
    print(f"then: replace what says TODO, and\n  {then}")


if __name__ == "__main__":
    main(sys.argv[1:])
