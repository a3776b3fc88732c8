# SPDX-License-Identifier: Apache-2.0
"""A circuit of a public library as a core of its own: a folder with a `core.toml`, and its Verilog.

What a public library leaves to the name of a file (the operation, whether operands are signed) is
stated in the manifest, beside the hash of the text that it was found for.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from asnet_mlir.cores.checks import fit
from asnet_mlir.cores.core import Core
from asnet_mlir.cores.simulation.simulation import port_widths, simulate_pairs
from asnet_mlir.cores.sources.memory_files import memory_files
from asnet_mlir.cores.sources.source import dependencies
from asnet_mlir.errors import InputError
from asnet_mlir.support.cache import content_hash
from asnet_mlir.support.formats import INTEGER_OPS

__all__ = ["MANIFEST", "member_files", "with_operation"]

MANIFEST = "core.toml"
_NAME = re.compile(r"[\w.+-]+", re.ASCII)


def with_operation(core: Core) -> Core:
    """Return a core with the operation, and the reading of its operands, that it is taken for.

    Raises:
      InputError: neither its name nor its function tells; or see `simulate_pairs`.
    """
    if core.op is not None:
        return core
    instance = core.instance()
    widths = port_widths([instance])[0]
    a, b = fit.probes(widths)
    kept = core.ports.specified(a, b)
    a, b = a[kept], b[kept]
    found = fit.distances(widths, a, b, simulate_pairs(instance, a, b))
    inference = fit.infer(core.module, widths, found, core.signed, a.size)
    if inference is None:
        raise InputError(
            "neither its name nor its function tells what it computes; give it with --op: one of "
            f"{', '.join(INTEGER_OPS)}"
        )
    return dataclasses.replace(
        core, op=inference.op, signed=inference.signed, summary=str(inference)
    )


def member_files(core: Core, name: str) -> dict[str, str]:
    """Return the files of a member by their names: its manifest and its Verilog.

    Args:
      core: an integer core of one Verilog file, with an operation.
      name: of the member.

    Raises:
      InputError: the name can't be part of a binding, or the core needs other files.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"'{name}' can't be the name of a core: letters, digits and . + - _ only")
    if dependencies(core.sources, core.include_folders) or memory_files(core.sources):
        raise InputError("reads other files; describe it by a core.toml and bind it by that")
    (source,) = core.sources
    file = f"{name}{source.path.suffix}"
    ports = core.ports.to_json()
    tables = {key: ports.pop(key) for key in ("constant", "unspecified") if key in ports}
    lines = [
        *_entries(
            {
                "name": name,
                "module": core.module,
                "op": core.op,
                "signed": core.signed,
                "sources": [file],
                "content": content_hash(source.text),
                "latency_cycles": core.latency_cycles,
                "initiation_interval": core.initiation_interval,
                "summary": core.summary,
            }
        ),
        "",
        "[ports]",
        *_entries(ports),
    ]
    for key, values in tables.items():
        lines += ["", f"[ports.{key}]", *_entries(values)]
    for parameter in core.parameters:
        lines += ["", f"[parameters.{parameter.name}]"]
        lines += _entries({"values": [parameter.default], "default": parameter.default})
    lines += ["", "[origin]", *_entries({"reference": f"imported from {source.path.name}"})]
    return {MANIFEST: "\n".join(lines) + "\n", file: source.text}


def _entries(values: dict[str, Any]) -> list[str]:
    # Strings, integers, booleans and arrays of these are written alike in JSON and in TOML.
    return [f"{key} = {json.dumps(value)}" for key, value in values.items()]
