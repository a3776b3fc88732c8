"""Model files that are read in a process of their framework: TensorFlow's, or Keras on JAX.

    python -m asnet_mlir.frontends.child KIND PATH BATCH FOLDER

writes into FOLDER what `asnet_mlir.frontends.cached` packs of the network, and its texts for BATCH.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import asnet_mlir.errors
from asnet_mlir import processes
from asnet_mlir.errors import AsnetError, ToolError
from asnet_mlir.frontends.cached import pack, unpack
from asnet_mlir.frontends.network import Network

__all__ = ["ChildModel", "main"]

_TIMEOUT_SECONDS = 900.0
_WRITTEN = ("network", "stablehlo", "lower")
_FAILED = 3  # the exit status that says that standard output holds an error of ours


class ChildModel:
    """A model file that another process reads, once for each batch size that is asked for.

    Args:
      kind: `keras` or `saved_model`.

    Raises:
      AsnetError: what the front end raised over there.
      ToolError: the process ended otherwise.
    """

    def __init__(self, kind: str, path: Path) -> None:
        self._kind = kind
        self._path = path
        self._exported = functools.cache(self._export)

    def network(self) -> Network:
        """Return the network; its texts are those of `text`."""
        return unpack(
            self._exported(1)["network"],
            self._path.stem,
            functools.partial(functools.partial, self.text),
        )

    def text(self, stage: str, batch: int) -> str:
        """Return the text of a stage: `stablehlo` or `lower`."""
        return self._exported(batch)[stage].decode()

    def _export(self, batch: int) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory(prefix="asnet-model-") as folder:
            program = [sys.executable, "-m", "asnet_mlir.frontends.child"]
            done = processes.run(
                [*program, self._kind, str(self._path), str(batch), folder],
                purpose=f"reading {self._path}",
                env={"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"},
                timeout_seconds=_TIMEOUT_SECONDS,
                memory_bytes=None,  # TensorFlow and JAX reserve far more than they use
                check=False,
            )
            if done.returncode == _FAILED:
                error = json.loads(done.stdout.splitlines()[-1])
                raise getattr(asnet_mlir.errors, error["kind"])(error["message"])
            if done.returncode:
                tail = " | ".join(done.stderr.strip().splitlines()[-3:])
                raise ToolError(
                    f"reading {self._path}: ended with status {done.returncode}: {tail}"
                )
            return {name: (Path(folder) / name).read_bytes() for name in _WRITTEN}


def main(arguments: Sequence[str]) -> int:
    """Read one model and write it; return the exit status."""
    kind, path, batch, folder = arguments[0], Path(arguments[1]), int(arguments[2]), arguments[3]
    # Frameworks print; what is printed must not stand among the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        network = _load(kind, path)
        if network.fixed_batch is not None:
            batch = network.fixed_batch
        (Path(folder) / "stablehlo").write_text(network.stablehlo(batch))
        (Path(folder) / "lower").write_text(network.lower(batch))
        (Path(folder) / "network").write_bytes(pack(network))
    except AsnetError as error:
        print(json.dumps({"kind": type(error).__name__, "message": str(error)}), file=answers)
        answers.flush()
        return _FAILED
    return 0


def _load(kind: str, path: Path) -> Network:
    if kind == "saved_model":
        from asnet_mlir.frontends.saved_model import load_saved_model

        return load_saved_model(path)
    from asnet_mlir.frontends.keras_file import from_keras_file

    return from_keras_file(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
