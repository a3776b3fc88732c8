# SPDX-License-Identifier: Apache-2.0
"""How exact the exact network is: errors against float64, ours beside the framework's.

    python benchmarks/exactness.py [MODEL DATA ..]

Without arguments all built-in networks run on their test sets. Of a Keras model whose last layer
has a softmax, errors are those of the logits before it; of other models those of the outputs. The
reference is the framework's own StableHLO in float64, with the float32 weights and constants taken
as exact, run by XLA. Prints one JSON object and stores it as benchmarks/results/exactness.json.

The bounds: our greatest error is at most twice the framework's, outputs differ from the framework's
by at most 1e-5, and the answers are equal wherever float64 has a margin above that. Exit status 1
where one does not hold.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.data import load_data
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.frontends import load_model
from asnet_mlir.frontends.load import builtin_models
from asnet_mlir.network import Network

os.environ.setdefault("JAX_PLATFORMS", "cpu")

RESULTS = Path(__file__).resolve().parent / "results" / "exactness.json"
BATCH = 500
FACTOR = 2.0
TOLERANCE = 1e-5


def logits_network(model: str) -> tuple[Network, str]:
    """Return the network without a last softmax, and what its outputs are."""
    path = builtin_models().get(model, Path(model))
    if path.suffix != ".keras":
        return load_model(model), "outputs"
    from asnet_mlir.frontends.keras import from_keras_model, import_keras

    keras = import_keras()
    loaded = keras.saving.load_model(path, compile=False, safe_mode=True)
    last = loaded.layers[-1]
    if getattr(last, "activation", None) is not keras.activations.softmax:
        return from_keras_model(loaded, name=path.stem), "outputs"
    last.activation = keras.activations.linear
    return from_keras_model(loaded, name=path.stem), "logits"


def in_float64(text: str) -> str:
    """Return a StableHLO module with every f32 made f64, constants keeping their float32 values."""

    def exact(match: re.Match[str]) -> str:
        values = match.group(1)
        if '"' in values:
            raise InputError("constants in raw bytes can't be widened; pass weights as arguments")
        values = re.sub(r"0x([0-9A-Fa-f]{8})\b", _wide_bits, values)
        values = re.sub(r"-?\d+\.\d+(?:[eE][+-]?\d+)?", _wide_number, values)
        return f"dense<{values}> : tensor<{match.group(2)}f64>"

    text = re.sub(r"dense<([^>]*)> : tensor<([0-9x]*)f32>", exact, text)
    return re.sub(r"\bf32\b|(?<=x)f32\b", "f64", text)


def _wide_bits(match: re.Match[str]) -> str:
    value = np.array([int(match.group(1), 16)], np.uint32).view(np.float32).astype(np.float64)
    return f"0x{value.view(np.uint64)[0]:016X}"


def _wide_number(match: re.Match[str]) -> str:
    return f"{float(np.float32(match.group())):.17e}"


def float64_outputs(network: Network, x: np.ndarray) -> np.ndarray:
    """Return float64[n, *output_shape] of the framework's module, run by XLA in float64."""
    import jax
    from jax.extend.backend import get_backend
    from jax.interpreters.mlir import make_ir_context
    from jaxlib.mlir import ir

    original = network.unfolded or network
    batch = network.fixed_batch or min(BATCH, len(x))
    with make_ir_context():
        module = ir.Module.parse(in_float64(original.stablehlo(batch)))
        executable = get_backend().compile_and_load(str(module), jax.local_devices()[:1])
    results = []
    with jax.enable_x64(True):
        weights = [jax.device_put(weight.value.astype(np.float64)) for weight in original.weights]
        for start in range(0, len(x), batch):
            part = np.zeros((batch, *network.input_shape))
            count = len(x[start : start + batch])
            part[:count] = x[start : start + batch]
            outputs = executable.execute_sharded([jax.device_put(part), *weights])
            (array,) = outputs.disassemble_into_single_device_arrays()
            results.append(np.asarray(array[0])[:count])
    return np.concatenate(results)


def measure(model: str, data: str) -> dict[str, Any]:
    """Return the errors of one network on one data set."""
    network, what = logits_network(model)
    x = load_data(data).shaped(network.input_shape).x
    ours = Evaluator(network).outputs(x)
    assert network.reference is not None
    framework = np.concatenate(
        [np.asarray(network.reference(x[i : i + BATCH])) for i in range(0, len(x), BATCH)]
    )
    exact = float64_outputs(network, x)
    whole = load_model(model)
    assert whole.reference is not None
    outputs = (
        Evaluator(whole).outputs(x),
        np.concatenate(
            [np.asarray(whole.reference(x[i : i + BATCH])) for i in range(0, len(x), BATCH)]
        ),
    )
    flat = exact.reshape(len(x), -1)
    ranked = np.sort(flat, axis=1)
    margin = ranked[:, -1] - ranked[:, -2] if flat.shape[1] > 1 else np.full(len(x), np.inf)
    other = ours.reshape(len(x), -1).argmax(1) != framework.reshape(len(x), -1).argmax(1)
    errors = [float(np.abs(value.astype(np.float64) - exact).max()) for value in (ours, framework)]
    difference = float(np.abs(outputs[0] - outputs[1]).max())
    result = {
        "data": data,
        "samples": len(x),
        "of": what,
        "greatest_magnitude": float(np.abs(exact).max()),
        "our_error": errors[0],
        "framework_error": errors[1],
        "ratio": round(errors[0] / errors[1], 3) if errors[1] else None,
        "outputs_difference_to_framework": difference,
        "other_answers": int(other.sum()),
        "other_answers_beyond_margin": int((other & (margin > TOLERANCE)).sum()),
    }
    result["holds"] = bool(
        errors[0] <= FACTOR * errors[1]
        and difference <= TOLERANCE
        and not result["other_answers_beyond_margin"]
    )
    return result


def default_data(model: str) -> str:
    """Return the test set of a built-in network, which its name ends with."""
    return "svhn_synthetic:test" if model.endswith("svhn") else "mnist:test"


def main(arguments: list[str]) -> int:
    """Measure the networks that are named, or all built-in ones."""
    if len(arguments) % 2:
        print("exactness.py: give models and data in pairs: MODEL DATA ..", file=sys.stderr)
        return 2
    pairs = list(zip(arguments[::2], arguments[1::2], strict=True))
    pairs = pairs or [(name, default_data(name)) for name in builtin_models()]
    report = {model: measure(model, data) for model, data in pairs}
    text = json.dumps(report, indent=2)
    RESULTS.write_text(text + "\n")
    print(text)
    return 0 if all(entry["holds"] for entry in report.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
