"""Sources of several cores beside each other."""

from __future__ import annotations

import re

from asnet_mlir.hardware.verilog import merge_sources


def top(name: str, helper: str = "helper") -> str:
    return f"""// {name} uses {helper}
module {name}(input logic [31:0] a_i, output logic [31:0] result_o);
  {helper} u_{helper} (.{helper}(a_i), .result_o(result_o)); /* {helper} */
endmodule
"""


def helper(value: int) -> str:
    return (
        "module helper(input logic [31:0] helper, output logic [31:0] result_o);\n"
        f'  initial $display("helper {value}");\n  assign result_o = {value};\nendmodule\n'
    )


def modules(text: str) -> list[str]:
    return re.findall(r"^module (\w+)", text, re.MULTILINE)


def test_equal_sources_are_kept_once() -> None:
    merged = merge_sources(
        {
            1: ("one", [("one.sv", top("one")), ("helper.sv", helper(1))]),
            2: ("two", [("two.sv", top("two")), ("helper_copy.sv", helper(1))]),
            3: ("one", [("one.sv", top("one")), ("helper.sv", helper(1))]),
        }
    )
    assert merged.modules == {1: "one", 2: "two", 3: "one"}
    defined = [name for _, text in merged.files for name in modules(text)]
    assert sorted(defined) == ["helper", "one", "two"]


def test_helpers_of_one_name_and_two_contents_are_told_apart() -> None:
    cores = {
        1: ("core", [("core.sv", top("core")), ("helper.sv", helper(1))]),
        2: ("core", [("core.sv", top("core")), ("helper.sv", helper(2))]),
    }
    merged = merge_sources(cores)
    defined = [name for _, text in merged.files for name in modules(text)]
    assert len(defined) == len(set(defined)) == 4
    assert len({name for name, _ in merged.files}) == 4
    # The core that uses a renamed helper differs as well, though its text was the same.
    assert merged.modules[1] != merged.modules[2]
    for key, value in ((1, 1), (2, 2)):
        text = next(text for _, text in merged.files if f"module {merged.modules[key]}(" in text)
        # A port of the module's name is renamed with it, at both ends.
        used = re.search(r"^  (helper_\w+) u_helper \(\.(\w+)\(", text, re.MULTILINE)
        assert used, text
        body = next(text for _, text in merged.files if f"module {used[1]}(" in text)
        assert used[2] == used[1]
        assert f"[31:0] {used[1]}," in body
        assert f"assign result_o = {value};" in body
        assert f'"helper {value}"' in body  # strings and comments are not renamed
        assert "/* helper */" in text
    assert merge_sources(cores) == merged


def test_names_of_the_machine_are_reserved() -> None:
    merged = merge_sources(
        {1: ("asnet_ram", [("ram.sv", top("asnet_ram", "other"))])}, ["asnet_ram"]
    )
    assert merged.modules[1].startswith("asnet_ram_")
    assert modules(merged.files[0][1]) == [merged.modules[1]]
