# SPDX-License-Identifier: Apache-2.0
"""Model files that are read in a process of their framework: TensorFlow's, or Keras on JAX.

`child_main` is that process's program.
"""

from __future__ import annotations

import functools
import json
import sys
import tempfile
from pathlib import Path

from asnet_mlir import errors
from asnet_mlir.errors import ToolError
from asnet_mlir.frontends.cached import unpack
from asnet_mlir.network import Network
from asnet_mlir.support import processes

__all__ = ["FAILED", "ChildModel"]

_TIMEOUT_SECONDS = 900.0
_WRITTEN = ("network", "stablehlo", "linalg")
FAILED = 3  # the exit status that says that standard output holds an error of ours


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
            self.text,
        )

    def text(self, form: str, batch: int) -> str:
        """Return the text of a form: `stablehlo` or `linalg`."""
        return self._exported(batch)[form].decode()

    def _export(self, batch: int) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory(prefix="asnet-model-") as folder:
            program = [sys.executable, "-m", "asnet_mlir.frontends.child_main"]
            done = processes.run(
                [*program, self._kind, str(self._path), str(batch), folder],
                purpose=f"reading {self._path}",
                env={"KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"},
                timeout_seconds=_TIMEOUT_SECONDS,
                memory_bytes=None,  # TensorFlow and JAX reserve far more than they use
                check=False,
            )
            if done.returncode == FAILED:
                error = json.loads(done.stdout.splitlines()[-1])
                raise getattr(errors, error["kind"])(error["message"])
            if done.returncode:
                tail = " | ".join(done.stderr.strip().splitlines()[-3:])
                raise ToolError(
                    f"reading {self._path}: ended with status {done.returncode}: {tail}"
                )
            return {name: (Path(folder) / name).read_bytes() for name in _WRITTEN}
