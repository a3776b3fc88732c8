# SPDX-License-Identifier: Apache-2.0
"""Networks under bindings as portable artifacts, which run with JAX alone (`jax.export`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

from asnet_mlir.data import load_samples
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation import run
from asnet_mlir.frontends import load_model
from asnet_mlir.support.files import write_whole
from asnet_mlir.training.approximation import Approximation, approximate
from asnet_mlir.training.ending import ending_in_codes

__all__ = ["PLATFORMS", "Compared", "compare_artifact", "export_artifact", "run_artifact"]

#: What an artifact is made for, by JAX's names.
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def export_artifact(
    model: Any,
    binding: Any,
    path: str | Path,
    *,
    platforms: Sequence[str] = PLATFORMS,
    codes: bool = False,
) -> Approximation:
    """Write a network under a binding as an artifact for any number of samples.

    `jax.export.deserialize(FILE's bytes).call(x)` runs it.

    Args:
      model, binding: see `approximate`.
      platforms: of `PLATFORMS`, those that it shall run on.
      codes: end with the network's last codes, whose words are the same on all platforms.

    Raises:
      InputError: an unknown platform; see `approximate`.
    """
    unknown = [name for name in platforms if name not in PLATFORMS]
    if unknown or not platforms:
        raise InputError(f"platform '{', '.join(unknown)}': of {', '.join(PLATFORMS)}")
    network = load_model(model)
    network.require_one("export")
    function = approximate(ending_in_codes(network) if codes else network, binding)
    own = function.network
    batch = own.fixed_batch if own.fixed_batch not in (None, 1) else None
    rows = export.symbolic_shape("n")[0] if batch is None else batch
    kind = jax.ShapeDtypeStruct((rows, *own.input_shape), own.input_format.dtype)
    exported = export.export(jax.jit(function), platforms=list(platforms))(kind)
    write_whole(path, bytes(exported.serialize()))
    return function


def read_artifact(path: str | Path) -> Any:
    """Read an artifact.

    Raises:
      InputError: it is none, or of a version that this JAX does not read.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{path}: no such file")
    with _readable(path):
        artifact = export.deserialize(bytearray(file.read_bytes()))
        version = artifact.calling_convention_version
        least = export.minimum_supported_calling_convention_version
        most = export.maximum_supported_calling_convention_version
        if not least <= version <= most:
            raise ValueError(f"its calling convention is {version}, here are {least} to {most}")
    return artifact


@contextlib.contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    """Say of what JAX stumbles on that the artifact is of another version, or none."""
    try:
        yield
    except Exception as error:  # the readers of flatbuffers and StableHLO raise whatever they like
        detail = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: no artifact that JAX {jax.__version__} reads ({detail}); write it again with "
            "`asnet export`"
        ) from None


def run_artifact(path: str | Path, x: np.ndarray, *, batch: int = 256) -> np.ndarray:
    """Return the outputs of an artifact on JAX's default device.

    Args:
      x: [n, *input_shape] of the network's format.
      batch: samples at once, where the artifact takes any number.

    Raises:
      InputError: see `read_artifact`; it takes other samples, or is not for this device.
    """
    artifact = read_artifact(path)
    (kind,) = artifact.in_avals
    if kind.shape[1:] != x.shape[1:] or kind.dtype != x.dtype:
        raise InputError(
            f"{path}: takes {kind.dtype}{list(kind.shape[1:])}, the samples are "
            f"{x.dtype}{list(x.shape[1:])}"
        )
    platform = {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend())
    if platform not in artifact.platforms:
        raise InputError(
            f"{path}: is for {', '.join(artifact.platforms)}, the device here is {platform}"
        )
    size = kind.shape[0] if isinstance(kind.shape[0], int) else min(batch, len(x))
    with _readable(path):
        given = jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype)
        function = jax.jit(artifact.call).lower(given).compile()
    rows = []
    for start in range(0, len(x), size):
        part = x[start : start + size]
        filled = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        rows.append(np.asarray(function(filled))[: len(part)])
    return np.concatenate(rows)


@dataclass(frozen=True)
class Compared:
    """How the words of an artifact's outputs are beside the evaluator's.

    Attributes:
      words, differ: how many there are, and how many are not equal.
      first: index of the first that differs; None where none does.
      greatest: the greatest difference.
      device: that the artifact ran on, or the file that the outputs came from.
    """

    words: int
    differ: int
    first: tuple[int, ...] | None
    greatest: float
    device: str


def compare_artifact(
    path: str | Path, model: Any, binding: Any, data: Any, *, batch: int = 256
) -> Compared:
    """Compare an artifact's outputs, or those that it gave elsewhere, with the evaluator's.

    Args:
      path: of the artifact, or of an `.npz` or `.npy` file with its outputs.
      model, binding: that it was made of.
      data: whatever `load_samples` takes.

    Raises:
      InputError: see `run_artifact`; outputs of another shape.
    """
    network = load_model(model)
    samples = load_samples(data, network.input_format)[0].shaped(network.input_shape)
    if Path(path).suffix in (".npz", ".npy"):
        found, device = _outputs(path), str(path)
    else:
        found = run_artifact(path, samples.x, batch=batch)
        device = str(jax.devices()[0])
    wanted = run(network, data, binding).outputs
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        shorter = ending_in_codes(network)
        if shorter is not network:
            wanted = run(shorter, data, binding).outputs
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        raise InputError(
            f"{path}: gives {found.dtype}{list(found.shape)}, {network.name} "
            f"{wanted.dtype}{list(wanted.shape)}"
        )
    bits = np.dtype(f"u{wanted.dtype.itemsize}")
    differ = np.argwhere(found.view(bits) != wanted.view(bits))
    gap = np.abs(found.astype(np.float64) - wanted.astype(np.float64))
    first = tuple(int(place) for place in differ[0]) if len(differ) else None
    return Compared(wanted.size, len(differ), first, float(gap.max(initial=0)), device)


def _outputs(path: str | Path) -> np.ndarray:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    try:
        loaded = np.load(path, allow_pickle=False)
        return np.ascontiguousarray(loaded if isinstance(loaded, np.ndarray) else loaded["outputs"])
    except (ValueError, OSError, KeyError) as error:
        raise InputError(f"{path}: has no array 'outputs' ({error})") from None
