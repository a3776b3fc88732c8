# SPDX-License-Identifier: Apache-2.0
"""Random port lists: the choice is the right one, or a refusal that names `--port`.

What is right is known because the list is made from it.  Names are of three kinds: usual ones,
plain ones that say nothing, and misleading ones (a flag as wide as a result, an operand like a
control).  Some modules lack an operand or a result: there any choice is wrong.
Most lists are decided without Verilog; every few hundredth one is written out and read, where the
structure (what clocks registers, a pipeline or a state) has its say as well.

`ASNET_FUZZ_SECONDS` (20) bounds it, `ASNET_FUZZ_SEED` (0) is where it begins.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from asnet_mlir.cores import core_from_verilog
from asnet_mlir.cores.ports import PORT_ROLES, Ports
from asnet_mlir.cores.reading.port_choice import choose_ports
from asnet_mlir.cores.verilog.interface import ModuleInterface, PortInterface
from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import FLOAT_FORMATS

WIDTHS = {kind.width for kind in FLOAT_FORMATS.values()}

SECONDS = float(os.environ.get("ASNET_FUZZ_SECONDS", "20"))
SEED = int(os.environ.get("ASNET_FUZZ_SEED", "0"))
VERILOG_EVERY = 400

OPERANDS = [
    *(("a", "b"), ("A", "B"), ("x", "y"), ("in1", "in2"), ("op_a", "op_b"), ("a_i", "b_i")),
    *(("i_a", "i_b"), ("opa", "opb"), ("input_a", "input_b"), ("din0", "din1"), ("n", "d")),
    *(("dividend", "divisor"), ("multiplicand", "multiplier"), ("lhs", "rhs")),
    ("num", "den"),
]
PLAIN = [f"{letter}{number}" for letter in "tuvwk" for number in ("", "7", "_net")]
RESULTS = ["result", "res", "out", "o", "z", "y", "r", "result_o", "o_result", "output_z", "dout"]
OF_OP = {
    "mul": ["product", "prod", "p", "mul_out"],
    "add": ["sum", "s", "sum_o"],
    "sub": ["diff", "difference", "d_o"],
    "div": ["quotient", "quot", "q", "o_q"],
}
FLAGS = [
    *("overflow", "underflow", "exception", "inexact", "invalid", "div_by_zero", "nan", "cout"),
    *("zero_flag", "flags", "status", "error", "carry_out", "ovf", "snan", "ine", "stall_o"),
]
SECOND = ["remainder", "rem", "lo", "hi", "debug", "dbg_bus", "spare", "hi_part", "mod"]
CONTROL = ["mode", "rm", "rmode", "cin", "sel", "opcode", "fpu_op", "round_mode", "test_mode", "k0"]
CLOCKS = ["clk", "clock", "CLK", "clk_i", "i_clk", "aclk", "tick"]
RESETS = [
    ("rst", "high"),
    ("reset", "high"),
    ("rst_n", "low"),
    ("aresetn", "low"),
    ("rst_i", "high"),
]
ENABLES = ["en", "ce", "enable", "clk_en", "i_en"]


@dataclass
class Case:
    """A port list with what it means."""

    op: str | None
    format: str
    ports: list[PortInterface]
    truth: dict[str, str]
    active: str = "high"
    constant: dict[str, int] = field(default_factory=dict)
    is_chain: bool = False
    is_whole: bool = True

    def roles(self, ports: Ports) -> bool:
        """Whether a choice says the same."""
        return {r: n for r in PORT_ROLES if (n := getattr(ports, r))} == self.truth

    def __str__(self) -> str:
        listing = ", ".join(f"{p.direction} {p.name}[{p.width}]" for p in self.ports)
        return f"op {self.op} {self.format}, truth {self.truth}: {listing}"


def case(rng: random.Random) -> Case:
    """Draw a module."""
    op = rng.choice([None, "mulf", "addf", "subf", "divf", "muli", "addi", "subi", "divi"])
    format = rng.choice(["f32", "f32", "bf16", "f16"])
    taken: set[str] = set()

    def name(*pools: list[str]) -> str:
        for _ in range(100):
            found = rng.choice(rng.choice(pools))
            if rng.random() < 0.15:
                found = rng.choice([found.upper(), f"i_{found}", f"{found}_r", f"{found}_x"])
            if found.lower() not in taken:
                taken.add(found.lower())
                return found
        found = f"free{len(taken)}"
        taken.add(found)
        return found

    wide = rng.randint(2, 32)
    a = b = wide
    if op and op.endswith("f"):
        a = b = FLOAT_FORMATS[format].width
    elif rng.random() < 0.3:
        b = rng.randint(1, 32)
    both = max(a, b)
    natural = {
        "mul": [a + b],
        "add": [both, both + 1],
        "sub": [both, both + 1],
        "div": [a],
    }.get((op or "")[:3], [rng.randint(1, 40)])
    if op and op.endswith("f"):
        natural = [a]
        # A unit for the significands.
        if op in ("mulf", "addf", "subf") and rng.random() < 0.3:
            a = b = rng.choice([w for w in range(2, 33) if w not in WIDTHS])
            natural = [2 * a] if op == "mulf" else [a, a + 1]
    first, second = rng.choice(OPERANDS)
    if rng.random() < 0.2:
        first, second = rng.sample(PLAIN, 2)
    taken |= {first.lower(), second.lower()}
    ports: list[PortInterface] = []
    truth: dict[str, str] = {"a": first, "b": second}

    def port(label: str, direction: str, width: int, clocks: bool = False) -> str:
        ports.append(PortInterface(label, direction, width, clocks))
        return label

    port(first, "input", a)
    port(second, "input", b)
    good = [RESULTS, OF_OP.get((op or "")[:3], RESULTS)]
    is_usual = rng.random() < 0.7
    width = rng.choice(natural)
    if is_usual and not (op and op.endswith("f")) and rng.random() < 0.15:
        width = rng.randint(1, 40)  # a part of the exact result, under a name
    truth["result"] = port(name(*(good if is_usual else [PLAIN])), "output", width)
    built = Case(op, format, ports, truth)
    if rng.random() < 0.6:
        truth["clock"] = port(name(CLOCKS), "input", 1, rng.random() < 0.9)
        if rng.random() < 0.5:
            reset, built.active = rng.choice(RESETS)
            if reset not in taken:
                taken.add(reset)
                truth["reset"] = port(reset, "input", 1)
        if rng.random() < 0.2:
            truth["enable"] = port(name(ENABLES), "input", 1)
        handshake(rng, built, port, taken)
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 3])):
        pool = rng.choice([FLAGS, FLAGS, SECOND, PLAIN, RESULTS])
        usual = rng.choice([1, 1, 1, 5, a, width, rng.randint(1, 40)])
        if pool in (PLAIN, RESULTS) and not is_usual:
            # Two outputs without a telling name: the width of this one must not be the natural one,
            # or nobody could know.
            usual = 1 if width > 1 else 2
            if usual in natural or op is None or op in ("divi", "divf"):
                continue
        if pool is RESULTS:
            continue
        port(name(pool), "output", usual)
    for _ in range(rng.choice([0, 0, 0, 0, 1, 2])):
        control = port(name(CONTROL), "input", rng.choice([1, 1, 2, 3, a]))
        if rng.random() < 0.5:
            built.constant[control] = 0
    if rng.random() < 0.1 and not built.constant:
        # Half a unit: one operand and what steers it, or flags without a result.
        built.is_whole = False
        lost = "b" if rng.random() < 0.7 or op is None else "result"
        ports[:] = [p for p in ports if p.name != truth[lost]]
    # Control ports may be anywhere; operands whose names say nothing keep their order.
    order = list(ports)
    rng.shuffle(order)
    if (first, second) not in OPERANDS and built.is_whole:
        places = sorted(order.index(p) for p in ports[:2])
        for place, p in zip(places, ports[:2], strict=True):
            order[place] = p
    built.ports = order
    return built


def handshake(rng: random.Random, built: Case, port, taken: set[str]) -> None:
    """Give a case the ports of a handshake, or of the valid bits of a pipeline."""
    truth = built.truth
    result = truth["result"]

    def add(role: str, label: str, direction: str) -> None:
        if label.lower() not in taken:
            taken.add(label.lower())
            truth[role] = port(label, direction, 1)

    kind = rng.choice(["", "", "", "done", "busy", "valid", "ready", "strobes"])
    if kind in ("done", "busy"):
        add("start", rng.choice(["start", "start_i", "i_start", "go"]), "input")
        add(kind, rng.choice([kind, f"{kind}_o", f"o_{kind}"]), "output")
    elif kind in ("valid", "ready"):
        built.is_chain = True
        start, done, ready, ack = rng.choice(
            [
                ("valid_i", "valid_o", "ready_o", "ready_i"),
                ("in_valid", "out_valid", "in_ready", "out_ready"),
                ("i_vld", "o_vld", "i_rdy", "o_rdy"),
                ("input_stb", "output_stb", "input_ack", "output_ack"),
                ("s_valid", "m_valid", "s_ready", "m_ready"),
            ]
        )
        add("start", start, "input")
        add("done", done, "output")
        if kind == "ready":
            add("ready", ready, "output")
            add("ack", ack, "input")
    elif kind == "strobes":
        built.is_chain = True
        valid, ready = rng.choice([("stb", "ack"), ("valid", "ready"), ("vld", "rdy")])
        for role, data in (("", truth["a"]), ("_b", truth["b"])):
            add(f"start{role}", f"{data}_{valid}", "input")
            add(f"ready{role}", f"{data}_{ready}", "output")
        add("done", f"{result}_{valid}", "output")
        if rng.random() < 0.7:
            add("ack", f"{result}_{ready}", "input")


def decide(built: Case, path: Path | None) -> str:
    """Return `right`, `refused`, or what is wrong."""
    given = {f"constant.{key}": value for key, value in built.constant.items()}
    try:
        if path is None:
            module = ModuleInterface("m", tuple(built.ports), (), "m.v:1")
            found = choose_ports(module, given, built.op, None, built.format)
        else:
            path.write_text(verilog(built))
            options = {"latency": 9} if built.truth.get("start") else {}
            core = core_from_verilog(
                [path], op=built.op, ports=given, format=built.format, **options
            )
            found = [(core.unit.core if core.unit else core).ports]
    except InputError as error:
        # What is chosen may be refused for another reason by the levels and the structure.
        if path is None and "--port" not in str(error):
            return f"a refusal without --port: {error}"
        return "refused"
    if not built.is_whole:
        names = {p.name for p in built.ports if p.name in CONTROL[:-1] + FLAGS + SECOND}
        chosen = names & {found[0].a, found[0].b, found[0].result}
        # Two plain names are a unit of another kind.
        return f"half a unit is taken for a whole: {found[0].to_json()}" if chosen else "right"
    for ports in found:
        if built.roles(ports) and dict(ports.constant) == built.constant:
            return "right"
    last = found[-1]
    if built.is_chain and len(found) == 1 and last.start is None:
        return f"no handshake: {last.to_json()}"
    return f"wrong: {last.to_json()}"


def verilog(built: Case) -> str:
    """Write a module: an iterative one where it has a handshake, else a pipeline or wires."""
    t = built.truth
    lines = []
    for p in built.ports:
        size = f"[{p.width - 1}:0] " if p.width > 1 else ""
        lines.append(f"  {p.direction} {'reg ' if p.direction == 'output' else ''}{size}{p.name}")
    others = [p for p in built.ports if p.direction == "output" and p.name not in t.values()]
    value = f"({t['a']} ^ {t['b']})"
    if "clock" in t:
        body = [f"always @(posedge {t['clock']}) begin"]
        if "start" in t:
            starts = " && ".join(t[role] for role in ("start", "start_b") if role in t)
            body.append(f"  left <= {starts} ? 3'd5 : left - (left != 0);")
            body.append(f"  if (left == 3) {t['result']} <= {value} + left;")
            body += [f"  {t['done']} <= left == 3;"] if "done" in t else []
            body += [f"  {t['busy']} <= {starts} || left > 3;"] if "busy" in t else []
            body += [f"  {t[role]} <= left == 0;" for role in ("ready", "ready_b") if role in t]
        else:
            enable = f"if ({t['enable']}) " if "enable" in t else ""
            low = "!" if built.active == "low" else ""
            reset = f"if ({low}{t['reset']}) {t['result']} <= 0; else " if "reset" in t else ""
            body.append(f"  {reset}{enable}{t['result']} <= {value};")
        body += [f"  {p.name} <= {t['a']};" for p in others] + ["end"]
    else:
        body = [f"always @* begin {t['result']} = {value};"]
        body += [f"  {p.name} = {t['a']};" for p in others] + ["end"]
    state = "reg [2:0] left = 0;"
    return f"module m(\n{',\n'.join(lines)});\n{state}\n" + "\n".join(body) + "\nendmodule\n"


def test_choices_are_right_or_refused(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    failures = []
    end = time.monotonic() + SECONDS
    seed = SEED
    while time.monotonic() < end and len(failures) < 20:
        built = case(random.Random(seed))
        path = tmp_path / "m.v" if seed % VERILOG_EVERY == 7 and built.is_whole else None
        answer = decide(built, path)
        counts[("verilog " if path else "") + answer.split(":")[0]] += 1
        kinds["handshake" if "start" in built.truth else "plain"] += answer == "right"
        if answer not in ("right", "refused"):
            failures.append(f"seed {seed}: {answer}; {built}")
        seed += 1
    total = sum(counts.values())
    print(f"\nport lists: {total} from seed {SEED}: {dict(counts)}; right {dict(kinds)}")
    assert not failures, "\n".join(failures)
    assert counts["right"] > counts.total() // 4
