# SPDX-License-Identifier: Apache-2.0
"""`asnet run`: a network's outputs, in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asnet_mlir
from asnet_mlir.cli.arguments import (
    DATA,
    STRATEGY,
    THREADS,
    Verbs,
    add_verb,
    binding_arguments,
    binding_of,
    compensated,
    compensation_arguments,
    model_of,
    network_arguments,
)
from asnet_mlir.cli.printing import print_json
from asnet_mlir.errors import InputError

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Add the verb with its arguments."""
    command = add_verb(
        verbs,
        "run",
        run,
        "outputs of a network, or of all its layers, into an .npz file",
        network_arguments(),
        binding_arguments(),
        compensation_arguments(),
    )
    command.add_argument(
        "--data", required=True, metavar="DATA", help=f"{DATA}; here x alone is enough"
    )
    command.add_argument("--threads", type=int, metavar="N", help=THREADS)
    command.add_argument("--strategy", metavar="S", help=STRATEGY)
    command.add_argument("--layers", action="store_true", help="every layer's output as well")
    command.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE.npz",
        help="gets the arrays 'outputs' (codes where the network computes on integers), 'labels' "
        "where the data has them, and with --layers 'layer/NAME'; of several outputs an array for "
        "each, by its name, and 'labels/NAME'",
    )


def run(options: Any) -> None:
    """Carry the verb out."""
    from asnet_mlir.frontends.weights import write_arrays

    path = Path(options.output)
    if path.suffix != ".npz":
        raise InputError(f"{path}: outputs are written as .npz files; name it FILE.npz")
    binding = binding_of(options)
    result = asnet_mlir.run(
        compensated(options, model_of(options.model, options.weights, options.module), binding),
        options.data,
        binding,
        layers=options.layers,
        threads=options.threads,
        strategy=options.strategy,
    )
    arrays = result.named
    if result.labels is not None:
        fields = result.labels.dtype.names
        labels = {"labels": result.labels}
        if fields is not None:
            labels = {f"labels/{name}": result.labels[name] for name in fields}
        arrays |= labels
    arrays |= {f"layer/{name}": value for name, value in result.layers.items()}
    write_arrays(path, arrays)
    if options.json:
        print_json(
            {
                "file": str(path),
                "arrays": {name: _kind(value) for name, value in arrays.items()},
                "binding": result.binding.to_json(),
            }
        )
        return
    for name, value in arrays.items():
        print(f"{name}: {_kind(value)['dtype']}{list(value.shape)}")
    print(f"written to {path}, binding: {result.binding.label}")


def _kind(value: Any) -> dict[str, Any]:
    return {"dtype": str(value.dtype), "shape": list(value.shape)}
