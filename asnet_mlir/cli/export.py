# SPDX-License-Identifier: Apache-2.0
"""`asnet export`: a network under a binding as an artifact that runs with JAX alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asnet_mlir.cli.arguments import (
    DATA,
    Verbs,
    add_verb,
    binding_arguments,
    binding_of,
    model_of,
    network_arguments,
)
from asnet_mlir.cli.printing import print_json

if TYPE_CHECKING:
    from asnet_mlir.network import Network

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs,
        "export",
        run,
        "a network under a binding as an artifact that runs with JAX alone",
        network_arguments(),
        binding_arguments(),
    )
    option = command.add_argument
    option("-o", "--output", metavar="NET.stablehlo", help="gets the artifact")
    option(
        "--codes",
        action="store_true",
        help="end with the network's last codes, whose words are the same on all platforms",
    )
    option(
        "--compare",
        metavar="FILE",
        help="write nothing: run this artifact here, or take the outputs that it gave elsewhere "
        "(.npz, .npy), and compare the words with the evaluator's",
    )
    option("--data", metavar="DATA", help=f"of --compare: {DATA}; here x alone is enough")


def run(options: Any) -> int:
    """Carry the verb out."""
    from asnet_mlir.errors import InputError
    from asnet_mlir.training import compare_artifact, export_artifact

    binding = binding_of(options)
    model = model_of(options.model, options.weights, options.module)
    if (options.output is None) == (options.compare is None):
        raise InputError("export: give either -o NET.stablehlo or --compare FILE")
    if options.compare is None:
        made = export_artifact(model, binding, options.output, codes=options.codes)
        label, parts = made.binding.label, _parts(made.network)
        if options.json:
            print_json({"file": options.output, "binding": made.binding.to_json(), **parts})
        else:
            print(f"written to {options.output}, binding: {label}")
            for what, names in parts.items():
                print(f"{what}: {', '.join(names)}")
        return 0
    if options.data is None:
        raise InputError("export: --compare needs samples: --data DATA")
    found = compare_artifact(options.compare, model, binding, options.data)
    if options.json:
        print_json({**vars(found), "first": list(found.first) if found.first else None})
    else:
        of = f" of {found.output}" if found.output else ""
        where = f"; the first at {list(found.first)}{of}" if found.first else ""
        print(f"{found.differ} of {found.words} words differ{where} ({found.device})")
    return 1 if found.differ else 0


def _parts(network: Network) -> dict[str, list[str]]:
    """Return the names of several inputs or outputs, in the order of the artifact's arguments."""
    return {
        what: sorted(parts.names)
        for what, parts in (("inputs", network.inputs), ("outputs", network.outputs))
        if parts is not None
    }
