# SPDX-License-Identifier: Apache-2.0
"""What devices' multipliers and memories have: registers inside, and room for two products."""

import copy
import json
from collections import Counter

import numpy as np
import pytest

from asnet_mlir.hardware.integers.design import RTL
from asnet_mlir.hardware.synthesis import targets
from asnet_mlir.hardware.synthesis.block_registers import use_block_registers
from asnet_mlir.support import processes
from asnet_mlir.support.tools import yosys_program

#: A product and a word with registers around, and two each that must keep theirs: with an enable,
#: and where something else reads what is in front of the register.
SOURCE = """
module top (
  input  logic clk, enable, input logic signed [7:0] a, b, c, d, input logic [9:0] place,
  output logic signed [15:0] y, z, v, output logic [17:0] word, seen, first
);
  asnet_product #(.Left(8), .Right(8), .Latency(2)) product (
    .clk_i(clk), .a_i(a), .b_i(b), .y_o(y)
  );
  logic signed [7:0] c_q, d_q;
  always_ff @(posedge clk) begin
    if (enable) c_q <= c;
    d_q <= d;
    if (enable) z <= c_q * d_q;
  end
  logic signed [15:0] p, p_q;
  assign p = a * c;
  always_ff @(posedge clk) p_q <= p;
  assign v = p_q & {16{enable}} & p;
  logic [17:0] words[1024], others[1024], q, r;
  initial for (int i = 0; i < 1024; i++) begin
    words[i] = 18'(i * 40503 + 7);
    others[i] = 18'(i * 30011 + 5);
  end
  always_ff @(posedge clk) begin
    q <= words[place];
    word <= q;
    r <= others[place];
    seen <= r;
  end
  assign first = r;
endmodule
"""


def mapped(folder, target, top, helpers, names=()):
    """Let Yosys map a design, with multipliers; return how many cells there are of each type."""
    for name in helpers:
        (folder / f"asnet_{name}.sv").write_text((RTL / f"asnet_{name}.sv").read_text())
        names = (*names, f"asnet_{name}.sv")
    script = targets.script(target, top, list(names), True, True, None)
    (folder / "commands.json").write_text(json.dumps(script))
    processes.run_program(
        yosys_program(), ["commands.json"], purpose="mapping", cwd=folder, timeout_seconds=300
    )
    text = (folder / "stat.json").read_text()
    return json.loads(text[text.index("{") :])["design"]["num_cells_by_type"]


@pytest.fixture(scope="module")
def netlist(tmp_path_factory):
    """The cells that Yosys maps the design to."""
    folder = tmp_path_factory.mktemp("mapped")
    (folder / "top.sv").write_text(SOURCE)
    mapped(folder, "ecp5", "top", ("product", "rows"), ["top.sv"])
    return json.loads((folder / "design.json").read_text())


class Simulation:
    """Cycles of a netlist of flip-flops, LUTs, multipliers and memories that are read."""

    def __init__(self, netlist):
        module = netlist["modules"]["top"]
        self.ports = {name: port["bits"] for name, port in module["ports"].items()}
        self.cells = [c for c in module["cells"].values() if c["type"] != "$scopeinfo"]
        self.state = {}  # of a cell's register by number and port
        self.values = {}

    def run(self, inputs):
        """Return what the outputs are in each cycle."""
        found = []
        for given in inputs:
            self.values = {"0": 0, "1": 1, "x": 0}
            for name, value in given.items():
                for i, bit in enumerate(self.ports[name]):
                    self.values[bit] = value >> i & 1
            self._settle()
            found.append(
                {
                    name: [self.values[bit] for bit in bits]
                    for name, bits in self.ports.items()
                    if name not in given and name != "clk"
                }
            )
            self._clock()
        return found

    def _settle(self):
        waiting = list(enumerate(self.cells))
        while waiting:
            left = [one for one in waiting if not self._drive(*one)]
            assert len(left) < len(waiting), [cell["type"] for _, cell in left]
            waiting = left

    def _bits(self, cell, side, count):
        return [self.values.get(cell["connections"][f"{side}{i}"][0]) for i in range(count)]

    def _word(self, cell, side):
        """Return what a memory has at its address: any bits, but of that address."""
        place = self._bits(cell, f"AD{side}", 14)
        if None in place:
            return None
        rng = np.random.default_rng(sum(bit << i for i, bit in enumerate(place)))
        return rng.integers(0, 2, 18).tolist()

    def _product(self, cell):
        if cell["parameters"].get("REG_INPUTA_CLK", "NONE") == "NONE":
            a, b = (self._bits(cell, side, 18) for side in "AB")
        else:
            a, b = self.state.get((id(cell), "AB"), ([0] * 18, [0] * 18))
        if None in a or None in b:
            return None
        x, y = (sum(bit << i for i, bit in enumerate(v)) - (v[17] << 18) for v in (a, b))
        return [x * y >> i & 1 for i in range(36)]

    def _outputs(self, cell):
        """Return the values of a cell's outputs by port, or None if inputs are not there."""
        kind, connections = cell["type"], cell["connections"]
        if kind == "TRELLIS_FF":
            return {"Q": self.state.get((id(cell), "Q"), 0)}
        if kind == "LUT4":
            inputs = [self.values.get(connections[port][0]) for port in "ABCD"]
            if None in inputs:
                return None
            place = sum(bit << i for i, bit in enumerate(inputs))
            return {"Z": int(cell["parameters"]["INIT"], 2) >> place & 1}
        if kind == "MULT18X18D":
            is_held = cell["parameters"].get("REG_OUTPUT_CLK", "NONE") != "NONE"
            bits = self.state.get((id(cell), "P"), [0] * 36) if is_held else self._product(cell)
            return None if bits is None else {f"P{i}": bit for i, bit in enumerate(bits)}
        assert kind == "DP16KD"
        return {
            f"DO{side}{i}": bit
            for side in "AB"
            for i, bit in enumerate(self.state.get((id(cell), side), [0] * 18))
        }

    def _drive(self, _, cell):
        outputs = self._outputs(cell)
        if outputs is None:
            return False
        for port, value in outputs.items():
            if port in cell["connections"]:
                self.values[cell["connections"][port][0]] = value
        return True

    def _clock(self):
        after = dict(self.state)
        for cell in self.cells:
            key, parameters = id(cell), cell["parameters"]
            if cell["type"] == "TRELLIS_FF":
                enable = cell["connections"].get("CE", ["1"])[0]
                if parameters["CEMUX"].strip() == "1" or self.values[enable]:
                    after[key, "Q"] = self.values[cell["connections"]["DI"][0]]
            elif cell["type"] == "MULT18X18D":
                after[key, "P"] = self._product(cell)
                after[key, "AB"] = tuple(self._bits(cell, side, 18) for side in "AB")
            elif cell["type"] == "DP16KD":
                for side in "AB":
                    word = self._word(cell, side)
                    held = parameters[f"REGMODE_{side}"] == "OUTREG"
                    after[key, side] = self.state.get((key, side, "in"), [0] * 18) if held else word
                    after[key, side, "in"] = word
        self.state = after


def kinds(netlist):
    return Counter(cell["type"] for cell in netlist["modules"]["top"]["cells"].values())


def test_words_are_the_same_in_every_cycle(netlist):
    packed = copy.deepcopy(netlist)
    gone = use_block_registers(packed)
    assert kinds(netlist)["TRELLIS_FF"] - kinds(packed)["TRELLIS_FF"] == gone
    rng = np.random.default_rng(0)
    widths = {"enable": 1, "a": 8, "b": 8, "c": 8, "d": 8, "place": 10}
    inputs = [
        {name: int(rng.integers(1 << width)) for name, width in widths.items()} for _ in range(40)
    ]
    before, after = Simulation(netlist).run(inputs), Simulation(packed).run(inputs)
    assert before == after
    assert len({str(cycle["y"]) for cycle in after}) > 20
    assert len({str(cycle["word"]) for cycle in after}) > 20


def test_registers_that_do_more_than_delay_stay(netlist):
    packed = copy.deepcopy(netlist)
    # Of the product: 8 and 8 bits in, 16 out; of the word 18.
    assert use_block_registers(packed) == 8 + 8 + 16 + 18
    cells = packed["modules"]["top"]["cells"].values()
    modes = Counter(
        (c["parameters"].get("REG_INPUTA_CLK"), c["parameters"].get("REG_OUTPUT_CLK"))
        for c in cells
        if c["type"] == "MULT18X18D"
    )
    assert modes == {("CLK0", "CLK0"): 1, (None, None): 2}
    behind = [c["parameters"]["REGMODE_A"] for c in cells if c["type"] == "DP16KD"]
    assert sorted(behind) == ["NOREG", "OUTREG"]


def test_another_clock_stays_outside(netlist):
    packed = copy.deepcopy(netlist)
    module = packed["modules"]["top"]
    for name, cell in module["cells"].items():
        if name.startswith(("word_", "product.a_q", "product.gen_block.a_q")):
            cell["connections"]["CLK"] = module["ports"]["enable"]["bits"]
    assert use_block_registers(packed) == 16  # those behind the product


@pytest.mark.parametrize(("target", "multipliers"), [("xilinx7", 1), ("ecp5", 2)])
def test_two_products_in_a_multiplier_that_is_wide_enough(target, multipliers, tmp_path):
    cells = mapped(tmp_path, target, "asnet_pair", ("pair", "product", "rows"))
    assert cells.get("DSP48E1", 0) + cells.get("MULT18X18D", 0) == multipliers
