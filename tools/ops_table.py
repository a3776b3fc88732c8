# SPDX-License-Identifier: Apache-2.0
"""Write docs/ops.md: which ops of StableHLO and which layers of Keras are supported.

    make ops-table       (or: python tools/ops_table.py)

Every row is tried: a tiny network with the op is evaluated, compared with its framework, and taken
to SystemVerilog. A network whose op is refused must be refused by name; anything else ends the run
with status 1.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from op_cases import CASES, KERAS_CASES, inputs

from asnet_mlir.binding import Binding
from asnet_mlir.errors import AsnetError, InputError, UnsupportedError
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.hardware.generation import emit_hardware
from asnet_mlir.network import Network

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-5
PAGE = ROOT / "docs" / "ops.md"


class Support(NamedTuple):
    """What a network's op can do; the reasons where it can't."""

    evaluates: bool
    generates: bool
    reason: str = ""


def try_network(make: Callable[[], Network], form: str) -> Support:
    """Evaluate a network and generate its hardware up to `form`.

    Raises:
      AssertionError: it computes something else than the framework.
    """
    try:
        network = make()
        x = inputs(network.input_shape)
        if network.fixed_batch:
            x = x[: network.fixed_batch]
        outputs = Evaluator(network).outputs(x)
    except UnsupportedError as error:
        return Support(False, False, _short(error))
    assert network.reference is not None
    difference = np.abs(outputs - np.asarray(network.reference(x)).reshape(outputs.shape))
    # NaN fails as well.
    assert bool((difference <= TOLERANCE).all()), f"{network.name}: off by {difference.max()}"
    try:
        emit_hardware(network, Binding(), form)
    except (UnsupportedError, InputError) as error:
        return Support(True, False, _short(error))
    return Support(True, True)


def _short(error: AsnetError) -> str:
    text = str(error)
    quoted = text.split("'")
    return f"`{quoted[1]}`" if len(quoted) > 2 else text[:80]


def row(name: str, what: str, support: Support) -> str:
    """Return a row of the table."""
    evaluates = "yes" if support.evaluates else "no"
    generates = "yes" if support.generates else "no"
    return f"| {name} | {what} | {evaluates} | {generates} | {support.reason} |"


def untried(tried: Iterable[str]) -> list[str]:
    """Return the ops of the dialect that no case has."""
    from jaxlib.mlir.dialects import _stablehlo_ops_gen as generated

    names = {
        value.OPERATION_NAME.removeprefix("stablehlo.")
        for value in vars(generated).values()
        if hasattr(value, "OPERATION_NAME")
    }
    return sorted(names - set(tried) - {"return"})


def page(form: str) -> str:
    """Return the text of docs/ops.md."""
    head = "| {} | use | evaluates | hardware | not, because of |\n|---|---|---|---|---|"
    lines = [
        "# Supported ops",
        "",
        "Made by `make ops-table`, which tries every row: a tiny network is evaluated and compared "
        "with its framework (to 1e-5), then taken to SystemVerilog. What is not supported is "
        "refused by name, with its layer and its place.",
        "",
        "## StableHLO",
        "",
        head.format("op"),
    ]
    for case in CASES:
        lines.append(row(f"`{case.op}`", case.what, try_network(case.network, form)))
        print(lines[-1], file=sys.stderr)
    names = ", ".join(f"`{name}`" for name in untried(case.op for case in CASES))
    lines += [
        "",
        "Not tried (of these, only what StableHLO lowers to the ops above can work): "
        + names
        + ".",
        "",
        "## Keras layers",
        "",
        head.format("layer"),
    ]
    for layer in KERAS_CASES:
        lines.append(row(f"`{layer.layer}`", layer.what, try_network(layer.network, form)))
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> Any:
    """Write the page."""
    PAGE.write_text(page("sv"))
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
