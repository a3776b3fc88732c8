# SPDX-License-Identifier: Apache-2.0
"""Random recursive and deep hierarchies: each ends soon, with the right function or an error.

A module instantiates itself one to three times on halves of its operand (`generate`), by name or by
order, or a chain of modules each instantiates the one below several times.  What comes out is known
because it is computed here as well.  Some never end, and some are too large when they are flat.
`ASNET_FUZZ_SECONDS` (20) bounds it, `ASNET_FUZZ_SEED` (0) is where it begins.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asnet_mlir.cores import core_from_verilog
from asnet_mlir.cores.models.derive import derive_models
from asnet_mlir.cores.models.kernel import compile_elementwise
from asnet_mlir.cores.verilog import yosys
from asnet_mlir.errors import AsnetError

SECONDS = float(os.environ.get("ASNET_FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("ASNET_FUZZ_SEED", "0"))
#: Processor time for one hierarchy, reading (here bounded at 3 s), model and all.
MOST_SECONDS = 60.0

Function = Callable[[np.ndarray, np.ndarray], np.ndarray]
MASK = 0xFF
COMBINE: dict[str, Function] = {
    "{x} + {y}": lambda x, y: x + y & MASK,
    "{x} ^ {y}": lambda x, y: x ^ y,
    "{x} - {y}": lambda x, y: x - y & MASK,
    "({x} & {y}) + 8'd1": lambda x, y: (x & y) + 1 & MASK,
    "{x}[0] ? {y} : {x}": lambda x, y: np.where(x & 1, y, x),
    "({x} | {y}) ^ ({x} << 1)": lambda x, y: (x | y) ^ x << 1 & MASK,
}


def _connect(rng: random.Random, inner: str, **pins: str) -> str:
    names = pins.items()
    by_name = rng.random() < 0.5
    ports = ", ".join(f".{n}({net})" if by_name else net for n, net in names)
    return f"{inner}({ports});"


def _tree(rng: random.Random) -> tuple[str, Function]:
    """A tree over 16 bits of a and b; `twice` reads a half two times, as a third instance."""
    text, combine = rng.choice(list(COMBINE.items()))
    leaf = rng.choice([1, 2, 4])
    third = rng.random() < 0.3
    clocked = rng.random() < 0.3
    name = rng.choice(["tree", "lod_tree", "t"])
    low = _connect(rng, f"{name} #(N / 2) l", c="c", x="x[N/2-1:0]", y="p")
    high = _connect(rng, f"{name} #(.N(N / 2)) h", c="c", x="x[N-1:N/2]", y="q")
    again = _connect(rng, f"{name} #(N / 2) m", c="c", x="x[N-1:N/2]", y="s") if third else ""
    y = text.format(x="p", y="q")
    if third:
        y = f"({y}) ^ s"
    store = "always @(posedge c) y <= " if clocked else "always @* y = "
    verilog = (
        f"module {name} #(parameter N = 16)(input c, input [N-1:0] x, output reg [7:0] y);\n"
        f"generate if (N <= {leaf}) begin {store}x; end\nelse begin : g\n"
        f"  wire [7:0] p, q, s;\n  {low}\n  {high}\n  {again}\n  {store}{y};\n"
        "end endgenerate\nendmodule\n"
        f"module top({'input clk, ' if clocked else ''}input [7:0] a, b, output [7:0] y);\n"
        f"  {name} u({'clk' if clocked else '1`b0'.replace('`', chr(39))}, {{a, b}}, y);\n"
        "endmodule\n"
    )

    def fold(x: np.ndarray, width: int) -> np.ndarray:
        if width <= leaf:
            return x
        half = width // 2
        p, q = fold(x & (1 << half) - 1, half), fold(x >> half, half)
        result = combine(p, q)
        return result ^ q if third else result

    return verilog, lambda a, b: fold(a << 8 | b, 16)


def _chain(rng: random.Random, depth: int) -> tuple[str, Function]:
    """Modules m0, m1, ..: each instantiates the one below two times."""
    text, combine = rng.choice(list(COMBINE.items()))
    parts = ["module m0(input [7:0] x, output [7:0] y); assign y = x ^ 8'd90; endmodule\n"]
    for level in range(1, depth + 1):
        first = _connect(rng, f"m{level - 1} l", x="x", y="p")
        second = _connect(rng, f"m{level - 1} h", x="x + 8'd1", y="q")
        parts.append(
            f"module m{level}(input [7:0] x, output [7:0] y);\n  wire [7:0] p, q;\n"
            f"  {first}\n  {second}\n  assign y = {text.format(x='p', y='q')};\nendmodule\n"
        )
    rng.shuffle(parts)
    top = f"module top(input [7:0] a, b, output [7:0] y); m{depth} u(a ^ b, y); endmodule\n"

    def value(x: np.ndarray, level: int) -> np.ndarray:
        if level == 0:
            return x ^ 90
        return combine(value(x, level - 1), value(x + 1 & MASK, level - 1))

    return "".join([*parts, top]), lambda a, b: value(a ^ b, depth)


def _endless(rng: random.Random) -> str:
    step = rng.choice(["N + 1", "N", "N * 2"])
    twice = "r #(.N({0})) h(x, q);" if rng.random() < 0.7 else "assign q = x;"
    return (
        "module r #(parameter N = 4)(input [7:0] x, output [7:0] y);\n  wire [7:0] p, q;\n"
        f"  r #(.N({step})) l(x, p); {twice.format(step)} assign y = p ^ q;\nendmodule\n"
        "module top(input [7:0] a, b, output [7:0] y); r u(a & b, y); endmodule\n"
    )


def test_random_hierarchies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yosys, "_CPU_SECONDS", 3.0)
    counts: Counter[str] = Counter()
    end, seed, slowest = time.monotonic() + SECONDS, SEED, 0.0
    pairs = np.arange(1 << 16)
    a, b = pairs >> 8, pairs & 255
    while time.monotonic() < end or not counts:
        rng = random.Random(seed)
        kind = rng.choice(["tree", "tree", "chain", "deep", "endless"])
        right: Function | None = None
        if kind == "tree":
            text, right = _tree(rng)
        elif kind == "endless":
            text = _endless(rng)
        else:
            depth = rng.randrange(1, 7) if kind == "chain" else rng.randrange(20, 64)
            text, right = _chain(rng, depth)
        path = tmp_path / f"s{seed}.{rng.choice(['v', 'sv'])}"
        path.write_text(text)
        where = f"seed {seed} ({kind})\n{text}"
        start = os.times()
        try:
            core = core_from_verilog([path], top=rng.choice(["top", None]))
            kernel = compile_elementwise(derive_models({"f": core.instance()}))
            got = kernel("f", a.astype(np.uint8), b.astype(np.uint8))
        except AsnetError as error:
            assert kind in ("deep", "endless"), f"{where}\n{error}"
            assert path.name in str(error), f"{where}\n{error}"
            counts[f"{kind}: refused"] += 1
        else:
            assert right is not None and kind != "deep", where
            np.testing.assert_array_equal(got, right(a, b), where)
            counts[f"{kind}: right"] += 1
        now = os.times()
        took = sum(now[:4]) - sum(start[:4])
        slowest = max(slowest, took)
        assert took < MOST_SECONDS, f"{where}\ntook {took:.1f} s of processor time"
        seed += 1
    print(f"\nhierarchies, seeds {SEED}..{seed - 1}: {dict(counts)}, slowest {slowest:.1f} s")
