# SPDX-License-Identifier: Apache-2.0
"""Writes the `.pt2` files of test/py/data/torch, and what PyTorch makes of the inputs.

    build/torch-venv/bin/python test/torch/write_files.py

What a reader must not need is left out: example inputs, a pickle, and traces, which name folders.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch_networks import NETWORKS, trained

FOLDER = Path(__file__).resolve().parents[1] / "py" / "data" / "torch"
NAMES = ("residual", "transformer", "gru")


def without_traces(data):
    program = json.loads(data)
    for node in program["graph_module"]["graph"]["nodes"]:
        node["metadata"].pop("stack_trace", None)
    return json.dumps(program, separators=(",", ":")).encode()


def write(name):
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    model, x = trained(make()), torch.randn(3, *shape)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    file = io.BytesIO()
    torch.export.save(program, file)
    with (
        zipfile.ZipFile(file) as whole,
        zipfile.ZipFile(FOLDER / f"{name}.pt2", "w", zipfile.ZIP_DEFLATED) as copy,
    ):
        for info in whole.infolist():
            member = info.filename.partition("/")[2]
            if member.startswith(("data/sample_inputs", ".data/")):
                continue
            data = whole.read(info)
            data = without_traces(data) if member.startswith("models/") else data
            copy.writestr(zipfile.ZipInfo(f"{name}/{member}"), data, zipfile.ZIP_DEFLATED)
    return {f"{name}_x": x.numpy(), f"{name}_y": model(x).detach().numpy()}


if __name__ == "__main__":
    arrays = {}
    for name in NAMES:
        arrays |= write(name)
    np.savez_compressed(FOLDER / "outputs.npz", **arrays)
