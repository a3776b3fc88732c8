# SPDX-License-Identifier: Apache-2.0
"""An ASIC library of four gates and a flip-flop."""

from __future__ import annotations

import re
from pathlib import Path


def liberty(folder: Path) -> Path:
    """Write a library of four gates and a flip-flop, with delays that are linear in the load."""

    def table(kind: str, delay: float) -> str:
        rows = ", ".join(
            '"' + ", ".join(f"{delay + load + 0.1 * slew:.3f}" for slew in (0.05, 0.5, 1.0)) + '"'
            for load in (0.005, 0.05, 0.5)
        )
        return f"""{kind}(t) {{
          index_1 ("0.005, 0.05, 0.5");
          index_2 ("0.05, 0.5, 1.0");
          values ({rows});
        }}
        """

    def gate(name: str, area: int, function: str, sense: str, delay: float) -> str:
        inputs = [pin for pin in "AB" if pin in function]
        kinds = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
        tables = "".join(table(kind, delay) for kind in kinds)
        pins = "".join(f"pin({p}) {{ direction : input; capacitance : 0.01; }}\n" for p in inputs)
        arcs = "".join(
            f'timing() {{ related_pin : "{p}"; timing_sense : {sense};\n{tables}}}\n'
            for p in inputs
        )
        return f"""cell({name}) {{ area : {area}; {pins}
          pin(Y) {{ direction : output; max_capacitance : 0.5; function : "{function}";\n{arcs}}}
        }}
        """

    path = folder / "tiny.lib"
    path.write_text(
        """/* four gates */
library(tiny) {
  delay_model : table_lookup;
  time_unit : "1ns";
  voltage_unit : "1V";
  current_unit : "1uA";
  capacitive_load_unit (1,pf);
  lu_table_template(t) {
    variable_1 : total_output_net_capacitance;
    variable_2 : input_net_transition;
    index_1 ("1, 2, 3");
    index_2 ("1, 2, 3");
  }
  """
        + gate("INV", 1, "(!A)", "negative_unate", 0.03)
        + gate("BUF", 2, "(A)", "positive_unate", 0.06)
        + gate("NAND2", 2, "(!(A B))", "negative_unate", 0.05)
        + gate("NOR2", 2, "(!(A+B))", "negative_unate", 0.05)
        + """cell(DFF) { area : 6;
          ff(IQ, IQN) { next_state : "D"; clocked_on : "C"; }
          pin(D) { direction : input; capacitance : 0.01; }
          pin(C) { direction : input; clock : true; capacitance : 0.01; }
          pin(Q) { direction : output; function : "IQ"; }
        }
}
"""
    )
    return path


def leaking(library: Path, *, unit: str = '"1nW"', but: str = "") -> Path:
    """Return a copy of a liberty file in which each cell, but one, leaks a tenth of its area."""

    def leak(cell: re.Match[str]) -> str:
        if cell[1] == but:
            return cell[0]
        value = int(cell[2]) / 10
        return f"{cell[0]} /* cell_leakage_power : 99; */ cell_leakage_power : {value};"

    text = re.sub(r"cell\((\w+)\) \{ area : (\d+);", leak, library.read_text())
    settings = f"leakage_power_unit : {unit};\n  operating_conditions(typical) {{ "
    settings += "process : 1; voltage : 1.8; temperature : 25; }\n  "
    settings += "default_operating_conditions : typical;\n  "
    for way in ("rise", "fall"):  # OpenSTA wants to know all of them
        settings += f"input_threshold_pct_{way} : 50;\n  output_threshold_pct_{way} : 50;\n  "
        settings += f"slew_lower_threshold_pct_{way} : 20;\n  "
        settings += f"slew_upper_threshold_pct_{way} : 80;\n  "
    text = text.replace("delay_model", f"{settings}delay_model", 1)
    path = library.with_name(f"leaking{but}.lib")
    path.write_text(text)
    return path
