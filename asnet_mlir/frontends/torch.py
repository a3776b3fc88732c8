# SPDX-License-Identifier: Apache-2.0
"""PyTorch: `.pt2` files, which need no PyTorch, and modules and programs in the user's process.

The latter are exported (`torch.export`) and saved to memory: what is read is always such a file.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from asnet_mlir.errors import InputError, UnsupportedError, described
from asnet_mlir.frontends.cached import cached_network, file_key
from asnet_mlir.frontends.graph_network import from_graph
from asnet_mlir.frontends.torch_archive import TorchProgram, read_pt2
from asnet_mlir.frontends.torch_call import TorchTranslation
from asnet_mlir.frontends.torch_elementwise import TORCH_ELEMENTWISE
from asnet_mlir.frontends.torch_graph import WITHOUT_NUMBERS, TorchFunction, targets
from asnet_mlir.frontends.torch_layers import TORCH_LAYERS
from asnet_mlir.frontends.torch_shapes import TORCH_SHAPES
from asnet_mlir.network import Network

__all__ = ["TORCH_TRANSLATIONS", "from_torch", "from_torch_file"]

_PACKAGES = ("jax", "jaxlib")
_ATEN = "torch.ops.aten."
_APART = "; export the program with run_decompositions(), which takes most ops apart"

#: ATen ops that are read, and what makes JAX of them.
TORCH_TRANSLATIONS: Mapping[str, TorchTranslation] = MappingProxyType(
    {**TORCH_ELEMENTWISE, **TORCH_SHAPES, **TORCH_LAYERS}
)


def from_torch_file(path: Path) -> Network:
    """Read a `.pt2` file of `torch.export.save`; no code of it is run, and PyTorch is not needed.

    Raises:
      InputError: the file is missing or damaged, or its parts don't fit together.
      UnsupportedError: it is of another version, or an op, a type or a shape is not supported.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")

    def find_key() -> str:
        return f"pt2 {file_key(path, packages=_PACKAGES)}"

    def make() -> Network:
        try:
            program = read_pt2(str(path), path)
            _check_ops(path.stem, program, _APART)
            return _from_program(path.stem, program)
        except InputError as error:
            text = str(error).removeprefix(f"{path.stem}: ").removeprefix(f"{path}: ")
            raise type(error)(f"{path}: {text}") from None

    return cached_network(find_key, path.stem, make)


def from_torch(
    model: Any, example_arguments: Sequence[Any] | None = None, *, name: str | None = None
) -> Network:
    """Make a network of a `torch.nn.Module`, computed as in evaluation, or an `ExportedProgram`.

    Args:
      example_arguments: of a module, what it takes; values do not matter.

    Raises:
      InputError: a module without example arguments, or one that can't be exported.
      UnsupportedError: an op, a type or a shape is not supported.
    """
    import torch

    if isinstance(model, torch.export.ExportedProgram):
        return _from_exported(name or "network", model)
    label = name or type(model).__name__
    if not isinstance(model, torch.nn.Module):
        raise InputError(
            f"unknown model of type {label}: of PyTorch give a torch.nn.Module, with example "
            "arguments, or an ExportedProgram"
        )
    if example_arguments is None:
        raise InputError(
            f"{label}: a torch.nn.Module does not say its input's shape; give (module, (x,)) with "
            "an example x"
        )
    if not example_arguments or not all(isinstance(x, torch.Tensor) for x in example_arguments):
        raise InputError(f"{label}: the example arguments must be tensors of PyTorch")
    given = tuple(x.detach() for x in example_arguments)
    with (
        _evaluating(model),
        warnings.catch_warnings(),
        described(f"{label}: PyTorch can't export it"),
    ):
        warnings.simplefilter("ignore")
        network = None
        if all(x.ndim for x in given):
            # Two samples: of one, PyTorch takes the batch for a dimension that can't grow.
            two = tuple(torch.cat([x[:1], x[:1]]) for x in given)
            network = _in_any_batch(torch, label, model, two)
        if network is None or network.fixed_batch not in (None, len(given[0])):
            network = _from_exported(label, torch.export.export(model, given))
    return network


def _in_any_batch(torch: Any, label: str, model: Any, given: tuple[Any, ...]) -> Network | None:
    """Return the network of a module whose batch is open, or None where it must not be."""
    automatic = torch.export.Dim.AUTO
    try:
        program = torch.export.export(model, given, dynamic_shapes=(({0: automatic},) * len(given)))
    except Exception:  # whatever PyTorch finds: what is exported as it is says more
        return None
    return _from_exported(label, program)


@contextmanager
def _evaluating(model: Any) -> Any:
    """Put a module into evaluation for a while, and each of its parts back into what it was in."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _from_exported(name: str, program: Any) -> Network:
    """Make a network of an `ExportedProgram`; ops that are not read are taken apart first."""
    own = _saved(name, program)
    if not _lacking(own):
        with suppress(UnsupportedError):  # of ops in place, which then are in place no more
            return _from_program(name, own)
    with described(f"{name}: PyTorch can't take its ops apart"):
        core = program.run_decompositions(_decompositions())
    own = _saved(name, core)
    _check_ops(name, own)
    return _from_program(name, own)


def _decompositions() -> Mapping[Any, Callable[..., Any]]:
    """Return how PyTorch takes ops apart, but for those that are read whole."""
    from torch.export import default_decompositions

    table = default_decompositions()
    for op in list(table):
        own = str(op).removeprefix("aten.").partition(".")[0]
        if own in TORCH_TRANSLATIONS:
            del table[op]
    return table


def _saved(name: str, program: Any) -> TorchProgram:
    import torch

    file = io.BytesIO()
    with described(f"{name}: PyTorch can't save it"):
        torch.export.save(program, file)
    return read_pt2(name, file.getvalue())


def _from_program(name: str, program: TorchProgram) -> Network:
    """Make a network of a program, whose inputs and outputs keep their names.

    The batch may be of any size where the graph allows it, else of the one that it fixes.

    Raises:
      InputError, UnsupportedError: see `from_torch_file`.
    """
    return from_graph(
        name,
        lambda: TorchFunction(name, program, TORCH_TRANSLATIONS),
        "export it with all but the batch fixed",
    )


def _lacking(program: TorchProgram) -> list[str]:
    """Return the ATen ops of a program that are not read."""
    lacking = set()
    for target in targets(program):
        op = target.removeprefix(_ATEN).partition(".")[0]
        is_known = op.rstrip("_") in TORCH_TRANSLATIONS or op in TORCH_TRANSLATIONS
        if target.startswith(_ATEN) and not is_known and not op.startswith(WITHOUT_NUMBERS):
            lacking.add(target.removeprefix("torch.ops."))
    return sorted(lacking)


def _check_ops(name: str, program: TorchProgram, hint: str = "") -> None:
    """Refuse ops that are not read, all of them in one message."""
    lacking = _lacking(program)
    if lacking:
        are = "the ops {} are" if len(lacking) > 1 else "the op {} is"
        shown = ", ".join(lacking)
        raise UnsupportedError(f"{name}: {are.format(shown)} not supported{hint}")
