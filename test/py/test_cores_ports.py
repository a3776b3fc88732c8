# SPDX-License-Identifier: Apache-2.0
"""Which port is which: by names, by widths, and not at all where they leave a doubt."""

from __future__ import annotations

import re
from typing import Any

import pytest

from asnet_mlir.cli import main as cli
from asnet_mlir.cores.reading.port_choice import choose_ports
from asnet_mlir.cores.verilog.interface import ModuleInterface, PortInterface
from asnet_mlir.errors import InputError


def module(header: str) -> ModuleInterface:
    """Return the ports that `clk, a[8], b[8] -> y[16], ov` names; a clock clocks registers."""
    ports = []
    for direction, part in zip(("input", "output"), header.split("->"), strict=True):
        for text in part.split(","):
            name, width = re.fullmatch(r"\s*(\w+)(?:\[(\d+)\])?\s*", text).groups()
            clocks = name.startswith("clk")
            ports.append(PortInterface(name, direction, int(width or 1), clocks))
    return ModuleInterface("m", tuple(ports), (), "m.v:1")


@pytest.mark.parametrize(
    ("header", "op", "result"),
    [
        # A floating-point unit with its flags, in any order, and under any name.
        ("a[32], b[32] -> result[32], overflow", "mulf", "result"),
        ("a[32], b[32] -> exception, overflow, underflow, z[32]", "addf", "z"),
        ("clk, a[32], b[32] -> flags[5], x[32]", "divf", "x"),
        ("a[32], b[32] -> result[32], overflow", None, "result"),
        ("a[16], b[16] -> o[16], hi[32]", "mulf:bf16", None),
        ("a[16], b[16] -> o[16], inexact", "mulf:bf16", "o"),
        # Significand units.
        ("a[24], b[24] -> p[48], debug[24]", "mulf", "p"),
        ("a[24], b[24] -> s[24], t[25]", "addf", None),
        # Integers: the exact result's width, else the only bus.
        ("a[8], b[8] -> p[16], lo[8]", "muli", "p"),
        ("a[8], b[8] -> hi[8], lo[8]", "muli", None),
        ("a[8], b[8] -> s[8], cout", "addi", "s"),
        ("a[8], b[8] -> s[8], full[9]", "addi", None),
        ("a, b -> carry, sum", "addi", "sum"),
        ("a[8], b[8] -> y[8], z[8]", "subi", None),
        ("a[8], b[8] -> y[16], z[16]", "muli", None),
        ("a[8], b[8] -> product[16], z[16]", "muli", "product"),
        # A name speaks against the width.
        ("a[8], b[8] -> result[8], z[16]", "muli", None),
        # The remainder may have the width that the quotient usually has.
        ("a[16], b[8] -> quotient[8], remainder[16]", "divi", None),
        ("a[16], b[16] -> quotient[16], remainder[16]", "divi", "quotient"),
        ("a[16], b[8] -> y[16], z[8]", "divi", None),
        # Without an operation, only beside what is plainly a flag.
        ("a[8], b[8] -> y[16], z[8]", None, None),
        ("a[8], b[8] -> y[16], w", None, None),
        # An only output that is no result.
        ("a[8], b[8] -> overflow", "muli", None),
        ("a[8], b[8] -> overflow", None, "overflow"),
    ],
)
def test_results_by_width_and_name(header: str, op: str | None, result: str | None) -> None:
    name, _, format = (op or "").partition(":")
    arguments: Any = (module(header), {}, name or None, None, format or "f32")
    if result is not None:
        assert choose_ports(*arguments)[0].result == result
        return
    with pytest.raises(InputError) as caught:
        choose_ports(*arguments)
    assert "--port result=" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "operands"),
    [
        ("q[8], p[8] -> y[8]", ("q", "p")),
        ("b[8], a[8] -> y[8]", ("a", "b")),
        ("B_i[8], A_i[8] -> y[8]", ("A_i", "B_i")),
        ("op_y[8], op_x[8] -> y[8]", ("op_x", "op_y")),
        ("in2[8], in1[8] -> y[8]", ("in1", "in2")),
        ("divisor[8], dividend[16] -> y[16]", ("dividend", "divisor")),
        ("a, b[10] -> y[4]", ("a", "b")),
    ],
)
def test_operands_in_the_order_of_their_names(header: str, operands: tuple[str, str]) -> None:
    ports = choose_ports(module(header), {})[0]
    assert (ports.a, ports.b) == operands


@pytest.mark.parametrize(
    ("header", "given", "message"),
    [
        ("a[8], b[8], cin -> y[8]", {}, "cin needs a value or a role; say it with "
         "--port constant.cin=VALUE"),
        ("a[32], b[32], rm[3] -> y[32]", {"a": "a", "b": "b"}, "--port constant.rm=VALUE"),
        ("a[8], b[8], c[8] -> y[8]", {}, "--port a=NAME --port b=NAME --port constant.NAME"),
        ("a[8], mode -> y[8]", {}, "2 inputs could be a and b: a, mode"),
        ("a[8], en -> y[8]", {}, "2 inputs could be a and b"),
        ("clk, en, ce, a[8], b[8] -> y[8]", {}, "--port enable=NAME"),
        ("clk, start, a[8], b[8] -> y[8]", {}, "start needs a value or a role"),
        ("clk, start, a[8], b[8] -> y[8], ready", {}, "start needs a value or a role"),
        ("clk, start, a[8], b[8] -> y[8], done, finished", {}, "could each be the done"),
    ],
)  # fmt: skip
def test_inputs_in_doubt(header: str, given: dict, message: str) -> None:
    with pytest.raises(InputError) as caught:
        choose_ports(module(header), given)
    assert message in str(caught.value)


def test_strobes_of_a_stream() -> None:
    """AXI4-Stream has its own names for them."""
    side = "{0}_tdata[32], {0}_tvalid"
    header = f"clk, {side.format('s_axis_b')}, {side.format('s_axis_a')}, m_axis_r_tready ->"
    header += f" s_axis_a_tready, s_axis_b_tready, {side.format('m_axis_r')}"
    piped, held = choose_ports(module(header), {}, "addf")
    assert (held.a, held.b, held.result) == ("s_axis_a_tdata", "s_axis_b_tdata", "m_axis_r_tdata")
    assert (held.start, held.start_b) == ("s_axis_a_tvalid", "s_axis_b_tvalid")
    assert (held.ready, held.ready_b) == ("s_axis_a_tready", "s_axis_b_tready")
    assert (held.done, held.ack) == ("m_axis_r_tvalid", "m_axis_r_tready")
    assert piped.start is None and piped.tied == {
        "s_axis_a_tvalid": 1,
        "s_axis_b_tvalid": 1,
        "m_axis_r_tready": 1,
    }


@pytest.mark.parametrize(
    "line",
    [
        "--port a=x b=y --param N=4 K=2 mul.v",
        "--port a=x --port b=y --param N=4 --param K=2 mul.v",
        "mul.v --port a=x b=y --param N=4 K=2",
        "--param N=4 K=2 --port a=x b=y -- mul.v",
    ],
)
def test_lists_of_ports_and_parameters_end_where_the_core_begins(line: str) -> None:
    options = cli.make_parser().parse_args(cli.spread(["cores", "check", *line.split()]))
    assert (options.core, options.port, options.param) == (
        ["mul.v"],
        ["a=x", "b=y"],
        ["N=4", "K=2"],
    )
    options = cli.make_parser().parse_args(
        cli.spread(["cores", "check", "--param", "N=4", "drum:K=4"])
    )
    assert (options.core, options.param) == (["drum:K=4"], ["N=4"])
