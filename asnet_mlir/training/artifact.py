# SPDX-License-Identifier: Apache-2.0
"""Networks under bindings as portable artifacts, which run with JAX alone (`jax.export`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

from asnet_mlir.errors import InputError
from asnet_mlir.evaluation import run
from asnet_mlir.evaluation.evaluate import prepare_data
from asnet_mlir.frontends import load_model
from asnet_mlir.network import Network
from asnet_mlir.support.files import write_whole
from asnet_mlir.training.approximation import ONLY, Approximation, approximate
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

    `jax.export.deserialize(FILE's bytes).call(x)` runs it; of several inputs, x is a dictionary of
    arrays by their names, and of several outputs so is what it gives.

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
    function = approximate(ending_in_codes(network) if codes else network, binding)
    own = function.network
    batch = own.fixed_batch if own.fixed_batch not in (None, 1) else None
    rows = export.symbolic_shape("n")[0] if batch is None else batch
    kind = (
        jax.ShapeDtypeStruct((rows, *own.input_shape), own.input_format.dtype)
        if own.inputs is None
        else {
            part.name: jax.ShapeDtypeStruct((rows, *part.shape), part.format.dtype)
            for part in own.inputs
        }
    )
    exported = export.export(jax.jit(function.named), platforms=list(platforms))(kind)
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


def run_artifact(path: str | Path, x: Any, *, batch: int = 256) -> Any:
    """Return the outputs of an artifact on JAX's default device; of several, by their names.

    Args:
      x: [n, *input_shape] of the network's format; of several inputs, such arrays by their names.
      batch: samples at once, where the artifact takes any number.

    Raises:
      InputError: see `read_artifact`; it takes other samples, or is not for this device.
    """
    artifact = read_artifact(path)
    (kinds,), _ = jax.tree.unflatten(artifact.in_tree, artifact.in_avals)
    _check_samples(path, kinds, x)
    platform = {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend())
    if platform not in artifact.platforms:
        raise InputError(
            f"{path}: is for {', '.join(artifact.platforms)}, the device here is {platform}"
        )
    fixed, count = artifact.in_avals[0].shape[0], len(jax.tree.leaves(x)[0])
    size = fixed if isinstance(fixed, int) else min(batch, count)
    with _readable(path):
        given = jax.tree.map(lambda one: jax.ShapeDtypeStruct((size, *one.shape[1:]), one.dtype), x)
        function = jax.jit(artifact.call).lower(given).compile()

    def rows(begin: int) -> Any:
        """Return `size` samples, the last one repeated where there are fewer."""
        numbers = np.minimum(np.arange(begin, begin + size), count - 1)
        return jax.tree.map(lambda one: one[numbers], x)

    found = [function(rows(begin)) for begin in range(0, count, size)]
    return jax.tree.map(lambda *own: np.concatenate(own)[:count], *found)


def _check_samples(path: str | Path, kinds: Any, x: Any) -> None:
    """Refuse samples that are not those that an artifact takes.

    Raises:
      InputError: naming what it takes and what they are.
    """

    def text(of: Any) -> str:
        if isinstance(of, Mapping):
            return ", ".join(f"{name} {text(of[name])}" for name in sorted(of))
        return f"{of.dtype}{list(of.shape[1:])}"

    if text(kinds) != text(x):
        raise InputError(f"{path}: takes {text(kinds)}, the samples are {text(x)}")


@dataclass(frozen=True)
class Compared:
    """How the words of an artifact's outputs are beside the evaluator's.

    Attributes:
      words, differ: how many there are, and how many are not equal.
      first: index of the first that differs; None where none does.
      output: of several outputs the name of that where it is.
      greatest: the greatest difference.
      device: that the artifact ran on, or the file that the outputs came from.
    """

    words: int
    differ: int
    first: tuple[int, ...] | None
    greatest: float
    device: str
    output: str = ""


def compare_artifact(
    path: str | Path, model: Any, binding: Any, data: Any, *, batch: int = 256
) -> Compared:
    """Compare an artifact's outputs, or those that it gave elsewhere, with the evaluator's.

    Args:
      path: of the artifact, or of an `.npz` or `.npy` file with its outputs, by their names.
      model, binding: that it was made of.
      data: whatever `load_named` takes.

    Raises:
      InputError: see `run_artifact`; outputs of another shape.
    """
    network = load_model(model)
    if Path(path).suffix in (".npz", ".npy"):
        found, device = _outputs(path, network), str(path)
    else:
        x = prepare_data(data, network).x
        found = run_artifact(
            path, x if network.inputs is None else network.inputs.unpack(x), batch=batch
        )
        found, device = found if isinstance(found, dict) else {ONLY: found}, str(jax.devices()[0])
    wanted = run(network, data, binding).named
    if _kinds(found) != _kinds(wanted):
        shorter = ending_in_codes(network)
        if shorter is not network:
            wanted = run(shorter, data, binding).named
    if _kinds(found) != _kinds(wanted):
        raise InputError(f"{path}: gives {_kinds(found)}, {network.name} {_kinds(wanted)}")
    return _compared(found, wanted, device)


def _kinds(arrays: Mapping[str, np.ndarray]) -> str:
    """Return what arrays are, for comparison and messages."""
    return ", ".join(f"{name} {arrays[name].dtype}{list(arrays[name].shape)}" for name in arrays)


def _compared(
    found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], device: str
) -> Compared:
    words = differ = 0
    first: tuple[int, ...] | None = None
    greatest, output = 0.0, ""
    for name, own in wanted.items():
        other, bits = found[name], np.dtype(f"u{own.dtype.itemsize}")
        places = np.argwhere(other.view(bits) != own.view(bits))
        gap = np.abs(other.astype(np.float64) - own.astype(np.float64))
        words, differ = words + own.size, differ + len(places)
        greatest = max(greatest, float(gap.max(initial=0)))
        if first is None and len(places):
            first = tuple(int(place) for place in places[0])
            output = name if len(wanted) > 1 else ""
    return Compared(words, differ, first, greatest, device, output)


def _outputs(path: str | Path, network: Network) -> dict[str, np.ndarray]:
    """Return the outputs that a file has: an array of each by its name, of one `outputs`."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    names = (ONLY,) if network.outputs is None else network.outputs.names
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            loaded = {ONLY: loaded}
        return {name: np.ascontiguousarray(loaded[name]) for name in names}
    except (ValueError, OSError, KeyError) as error:
        listed = ", ".join(f"'{name}'" for name in names)
        raise InputError(f"{path}: has no array {listed} ({error})") from None
