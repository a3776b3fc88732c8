# SPDX-License-Identifier: Apache-2.0
"""Other people's networks as hardware: simulated word by word beside the software.

    make networks-hardware
    python benchmarks/networks_hardware.py [--network NAME ..] [--again]

Each is generated and simulated in a process of its own: some random inputs and the bundle's own
five vectors.  Results: networks_hardware.json, of which networks.py makes a table; what is there
already is not done again, so that a run that was stopped goes on.  `ResNet18` is torchvision's, of
11.7 M weights and for 32 x 32 pixels: the environment of `make test-torch` exports it, without
which it is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import float_networks
import host
import numpy as np

ROOT = Path(__file__).parent.parent
TORCH = ROOT / "build" / "torch-venv" / "bin" / "python"
RESULTS = host.RESULTS / "networks_hardware.json"
_EXPORT = """
import sys, torch, torchvision
torch.manual_seed(0)
model = torchvision.models.resnet18(weights=None).eval()
for name, buffer in model.named_buffers():
    if name.endswith("running_var"):
        buffer.copy_(torch.rand(buffer.shape) + 0.5)
x = torch.randn(2, 3, 32, 32)
dynamic = ({0: torch.export.Dim.DYNAMIC},)
torch.export.save(torch.export.export(model, (x,), dynamic_shapes=dynamic), sys.argv[1])
"""


@dataclass(frozen=True)
class Design:
    """A network for hardware.

    Attributes:
      source: who made it, in which format.
      make: gives what `asnet_mlir.load_model` takes; a folder for files is there.
      style: of the hardware.
      samples: random inputs to simulate.
    """

    source: str
    make: Callable[[Path], Any]
    style: str
    samples: int


def mobilenet(_: Path) -> Any:
    """Return MobileNetV1 of MLPerf Tiny's size, for 32 x 32 pixels."""
    import keras

    keras.utils.set_random_seed(0)
    return keras.applications.MobileNet((32, 32, 3), alpha=0.25, weights=None, classes=10)


def residual_onnx(folder: Path) -> Any:
    """Return a residual block, a pool and a classifier as an ONNX file."""
    import onnx
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    shapes = {"stem": (8, 3, 3, 3), "conv1": (8, 8, 3, 3), "conv2": (8, 8, 3, 3), "fc": (10, 8)}
    weights = [
        numpy_helper.from_array((rng.standard_normal(shape) / 8).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    pads = {"pads": [1, 1, 1, 1]}
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Conv", ["x", "stem"], "a", pads),
        ("Relu", ["a"], "b", {}),
        ("Conv", ["b", "conv1"], "c", pads),
        ("Relu", ["c"], "d", {}),
        ("Conv", ["d", "conv2"], "e", pads),
        ("Add", ["b", "e"], "f", {}),
        ("Relu", ["f"], "g", {}),
        ("GlobalAveragePool", ["g"], "h", {}),
        ("Flatten", ["h"], "i", {}),
        ("Gemm", ["i", "fc"], "j", {"transB": 1}),
        ("Softmax", ["j"], "y", {}),
    ]
    nodes = [
        helper.make_node(op, inputs, [output], name=f"{op.lower()}_{output}", **options)
        for op, inputs, output, options in steps
    ]
    edges = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", *shape])
        for name, shape in (("x", (3, 16, 16)), ("y", (10,)))
    ]
    graph = helper.make_graph(nodes, "residual_block", edges[:1], edges[1:], weights)
    path = folder / "residual_block.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def resnet18(folder: Path) -> Any:
    """Return torchvision's ResNet18 as PyTorch exports it."""
    path = folder / "resnet18.pt2"
    subprocess.run([TORCH, "-c", _EXPORT, path], check=True, capture_output=True)
    return path


def lstm(_: Path) -> Any:
    """Return Keras' LSTM of 32 cells over 28 rows of 28 numbers."""
    return float_networks.lstm().load()


def text(_: Path) -> Any:
    """Return a classifier of 40 words of 5,000 in Keras: an embedding, an LSTM, two classes."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((40,), dtype="int32"),
            layers.Embedding(5000, 32, name="words"),
            layers.LSTM(32, name="lstm"),
            layers.Dense(2, activation="softmax", name="classes"),
        ],
        name="text",
    )


def narrow_residual(_: Path) -> Any:
    """Return ResNet18's parts, narrow, as PyTorch exported them."""
    return ROOT / "test" / "py" / "data" / "torch" / "residual.pt2"


DESIGNS: dict[str, Design] = {
    "LSTM 28 x 32": Design("Keras", lstm, "shared", 3),
    "MobileNetV1 0.25": Design("keras.applications", mobilenet, "stream", 3),
    "residual block": Design("ONNX", residual_onnx, "stream", 3),
    "ResNet18's parts, narrow": Design("PyTorch, .pt2", narrow_residual, "stream", 3),
    "text classifier, 5,000 words": Design("Keras", text, "shared", 3),
    "ResNet18": Design("torchvision, .pt2", resnet18, "stream", 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", action="append", choices=DESIGNS)
    parser.add_argument("--again", action="store_true", help="do what is there already, too")
    parser.add_argument("--here", choices=DESIGNS, help="do it in this process, print its figures")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(DESIGNS[options.here])))
        return
    report = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.network or DESIGNS:
        if name == "ResNet18" and not TORCH.exists():
            print(f"{name}: left out, there is no {TORCH}", file=sys.stderr)
            continue
        if name in report and not options.again:
            continue
        command = [sys.executable, __file__, "--here", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr.strip()[-2000:]}")
        report[name] = json.loads(done.stdout.splitlines()[-1])
        host.save("networks_hardware", report)


def measure(design: Design) -> dict[str, Any]:
    """Generate and simulate a network in this process."""
    os.environ |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    import asnet_mlir

    with tempfile.TemporaryDirectory() as folder:
        network = asnet_mlir.load_model(design.make(Path(folder)))
        begin = time.process_time()
        bundle = Path(folder) / "bundle"
        manifest = asnet_mlir.generate(network, output=bundle, style=design.style)
        generated = time.process_time() - begin
        rng, shape = np.random.default_rng(0), (design.samples, *network.input_shape)
        x = rng.standard_normal(shape).astype(np.float32)
        if not network.input_format.is_float:
            x = rng.integers(0, 5000, shape).astype(network.input_format.dtype)
        data = (x, np.zeros(design.samples, int))
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        found = asnet_mlir.simulate(bundle, data)
        simulated = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    return {
        "source": design.source,
        "weights": sum(int(weight.value.size) for weight in network.weights),
        "style": design.style,
        "layers": len(manifest["layers"]),
        "cycles": found.cycles_per_sample,
        "predicted_cycles": manifest["predicted_cycles_per_sample"],
        "latency_cycles": found.latency_cycles,
        "images": found.samples,
        "vectors": found.vectors,
        "words": (found.samples + found.vectors) * manifest["output_words"],
        "different_words": found.mismatches + found.vector_mismatches,
        "generate_seconds": round(generated, 1),
        "simulate_seconds": round(simulated, 1),
    }


def section() -> list[str]:
    """Return the lines of docs/networks.md about hardware."""
    if not RESULTS.exists():
        return []
    lines = [
        "",
        "## As hardware",
        "",
        "Made by `make networks-hardware`: f32, exact cores, one lane, some inputs and the "
        "bundle's five vectors in Verilator beside the software.  Processor seconds, of the "
        "simulation with what was not in the cache of its compilation.",
        "",
        "| network | from | weights | style, layers | cycles an image (predicted) | latency "
        "| words, of them different | generate s | simulate s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, entry in json.loads(RESULTS.read_text()).items():
        cells = [
            name,
            entry["source"],
            f"{entry['weights']:,}",
            f"{entry['style']}, {entry['layers']}",
            f"{entry['cycles']:,} ({entry['predicted_cycles']:,})",
            f"{entry['latency_cycles']:,}",
            f"{entry['words']:,}, **{entry['different_words']}**",
            f"{entry['generate_seconds']:g}",
            f"{entry['simulate_seconds']:g}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
