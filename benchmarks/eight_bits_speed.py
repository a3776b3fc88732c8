# SPDX-License-Identifier: Apache-2.0
"""Evaluation of networks in 8 bits against the exact float network under `jax.jit`.

    make bench-eight-bits  (or: python benchmarks/eight_bits_speed.py [--threads N] [--repeat R])

For each network: float under `jax.jit`, and its quantised form exact, under cores of few passes and
under a core whose table has full rank, all in this process, in turn, with the same threads;
compilation is not counted.  Then the layers of ResNet-8 alone, on one thread: products a second by
each way, beside XLA's own convolution of int8 to int32 and ONNX Runtime's (where it is installed).
What is quoted is the median of the pairwise ratios; the spread says how noisy the machine was.

Results: eight_bits_speed.json.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import host
import numpy as np

CASES = {
    "classification_mnist": "mnist:test",
    "convolutional_mnist": "mnist:test",
    "convolutional_svhn": "svhn_synthetic:test:3000",
    "resnet8_svhn": "svhn_synthetic:test:3000",
}
#: Of one pass (exact), of two and three, of many, and one without a short form.
BINDINGS = {
    "exact": [],
    "roba, 2 passes": ["muli=roba:N=8,SIGNED=1"],
    "kulkarni, 3 passes": ["muli=kulkarni:N=8,SIGNED=1"],
    "evolved M=5, 5 passes": ["muli=mul8s_evolved:M=5"],
    "evolved M=30, rows": ["muli=mul8s_evolved:M=30"],
}
#: Convolutions of ResNet-8 on 32 x 32: side of the output, channels in and out, taps, stride.
LAYERS = [
    (32, 3, 16, 3, 1),
    (32, 16, 16, 3, 1),
    (16, 16, 32, 3, 2),
    (16, 32, 32, 3, 1),
    (8, 32, 64, 3, 2),
    (8, 64, 64, 3, 1),
]
SAMPLES = 512
#: Seconds before each run: XLA's threads spin for a while when theirs is over, beside the next one.
PAUSE = 0.05


def main() -> None:
    options = host.beside_xla(__doc__, CASES, 11).parse_args()
    report = host.restrict(options)
    report["networks"] = {
        name: network(name, CASES[name], options) for name in options.network or CASES
    }
    report["layers"] = [layer(*shape, options) for shape in LAYERS]
    host.save("eight_bits_speed", report)


def timed(runs: dict[str, Callable[[], Any]], repeat: int) -> dict[str, list[float]]:
    """Return milliseconds of each run, in turn."""
    times: dict[str, list[float]] = {label: [] for label in runs}
    for run in runs.values():
        run()
    for _ in range(repeat):
        for label, run in runs.items():
            time.sleep(PAUSE)
            begin = time.perf_counter()
            run()
            times[label].append(1e3 * (time.perf_counter() - begin))
    return times


def against(times: dict[str, list[float]], reference: str) -> dict[str, Any]:
    return {
        label: {
            "milliseconds": host.spread(values),
            f"ratio_to_{reference}": host.spread(
                [a / b for a, b in zip(values, times[reference], strict=True)]
            ),
        }
        for label, values in times.items()
    }


def network(name: str, data: str, options: Any) -> dict[str, Any]:
    """Return times and ratios of one network."""
    import jax
    from evaluate_against_xla import keras_function

    import asnet_mlir
    from asnet_mlir.binding import Binding
    from asnet_mlir.evaluation import CompiledNetwork, Evaluator
    from asnet_mlir.evaluation.evaluate import prepare_data
    from asnet_mlir.frontends import load_model

    floats = prepare_data(data, load_model(name)).x
    xla = keras_function(name)
    device_x = jax.device_put(floats)
    quantised = asnet_mlir.quantize(name, data.replace("test", "train").rsplit(":3000")[0] + ":200")
    codes = prepare_data(data, quantised).x
    compiled = CompiledNetwork(quantised)
    runs: dict[str, Callable[[], Any]] = {
        "jax": lambda: np.asarray(xla(device_x).block_until_ready())
    }
    changed = {}
    for label, texts in BINDINGS.items():
        binding = Binding.parse(texts)
        Evaluator(compiled, binding, threads=options.threads)  # derives the core's model
        begin = time.perf_counter()
        evaluator = Evaluator(compiled, binding, threads=options.threads)
        changed[label] = time.perf_counter() - begin
        runs[label] = functools.partial(evaluator.outputs, codes)
    times = timed(runs, options.repeat)
    return {
        "data": data,
        "samples": len(codes),
        "seconds_to_change_the_binding": changed,
        "rows": against(times, "jax"),
    }


def layer(side: int, inputs: int, filters: int, taps: int, stride: int, options: Any) -> Any:
    """Return products a second of one convolution by every way, on one thread, and of others."""
    import asnet_mlir  # noqa: F401
    from asnet_mlir.cores.models.lifting import lift
    from asnet_mlir.native.contraction import Contraction

    lanes, wide = 16, side * stride + taps - 1
    ranges = [side, side, filters, taps, taps, inputs]
    described = {
        "ranges": ranges,
        "reduces": [0, 0, 0, 1, 1, 1],
        "x": [stride * wide * inputs, stride * inputs, 0, wide * inputs, inputs, 1],
        "w": [0, 0, 1, taps * inputs * filters, inputs * filters, filters],
        "y": [side * filters, filters, 1, 0, 0, 0],
        "x_offset": 0,
        "w_offset": 0,
        "y_offset": 0,
        "lanes": lanes,
        "adds": False,
    }
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 256, taps * taps * inputs * filters, np.uint8)
    signed = np.where(np.arange(256) > 127, np.arange(256) - 256, np.arange(256))
    exact = np.outer(signed, signed)
    tables = {
        "lifted, 1 pass": exact,
        "lifted, 3 passes": exact
        + np.outer(signed & 3, signed & 5)
        + np.outer(signed & 1, signed & 8),
        "rows": rng.integers(-32768, 32768, (256, 256)),
    }
    products = math.prod(ranges)
    rates = {}
    for label, table in tables.items():
        words = table.astype(np.int32)
        lifted = lift(words) if "lifted" in label else None
        if "lifted" in label:
            assert lifted and lifted.passes == int(label.split()[1]), lifted
        seconds = Contraction(described, weights, words if lifted is None else lifted).seconds(
            runs=9
        )
        rates[label] = products * lanes / seconds
    samples = SAMPLES
    x = rng.integers(-128, 128, (samples, wide, wide, inputs), np.int8)
    w = weights.view(np.int8).reshape(taps, taps, inputs, filters)
    rates["xla int8"] = products * samples / least(xla_convolution(x, w, stride))
    runtime = onnx_convolution(x, w, stride, options.threads)
    if runtime is not None:
        rates["onnxruntime int8"] = products * samples / least(runtime)
    return {
        "layer": f"{side}x{side}, {inputs} to {filters}, {taps}x{taps}, stride {stride}",
        "products": products,
        "products_per_second": {k: round(v / 1e9, 2) * 1e9 for k, v in rates.items()},
        "threads": {"ours": 1, "xla": options.threads, "onnxruntime": options.threads},
    }


def least(run: Callable[[], Any], runs: int = 5) -> float:
    run()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def xla_convolution(x: np.ndarray, w: np.ndarray, stride: int) -> Callable[[], Any]:
    """Return XLA's convolution of int8 to int32."""
    import jax
    import jax.numpy as jnp

    convolve = jax.jit(
        lambda x: jax.lax.conv_general_dilated(
            x,
            jnp.asarray(w),
            (stride, stride),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            preferred_element_type=jnp.int32,
        )
    )
    device = jax.device_put(x)
    return lambda: convolve(device).block_until_ready()


def onnx_convolution(
    x: np.ndarray, w: np.ndarray, stride: int, threads: int
) -> Callable[[], Any] | None:
    """Return ONNX Runtime's ConvInteger of the same, or None where it is not installed."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        return None
    from onnx import TensorProto, helper, numpy_helper

    # It has unsigned activations and signed weights only.
    unsigned = np.ascontiguousarray(
        (x.astype(np.int16) + 128).astype(np.uint8).transpose(0, 3, 1, 2)
    )
    filters = numpy_helper.from_array(np.ascontiguousarray(w.transpose(3, 2, 0, 1)), "w")
    node = helper.make_node("ConvInteger", ["x", "w"], ["y"], strides=[stride, stride])
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, unsigned.shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT32, ["n", "c", "h", "w"])],
        [filters],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": unsigned})


if __name__ == "__main__":
    main()
