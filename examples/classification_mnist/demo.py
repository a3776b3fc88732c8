# SPDX-License-Identifier: Apache-2.0
"""The whole way once: a trained Keras classifier becomes SystemVerilog of chosen accuracy.

    make demo        (or: python examples/classification_mnist/demo.py [OUTPUT_FOLDER])

Sweeps the multiplier and the divider that ignore P = 0..22 mantissa bits over MNIST's 10,000 test
images, picks the furthest configuration within an accuracy bound, generates the hardware of the
exact and of the chosen network, simulates the chosen one against the software, synthesises both.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asnet_mlir
from asnet_mlir.exploration import choose
from asnet_mlir.exploration.sweep_progress import ProgressDisplay
from asnet_mlir.reports import accuracy_table, plot_accuracy

MODEL = "classification_mnist"
DATA = "mnist:test"
BOUND = "accuracy>=0.92"
IMAGES = 100
CONSTRAINTS = Path(__file__).with_name("constraints.json")


def main(output: Path) -> int:
    begin = time.perf_counter()

    def step(text: str) -> None:
        print(f"\n[{time.perf_counter() - begin:5.1f} s] {text}", flush=True)

    output.mkdir(parents=True, exist_ok=True)
    step("checking the cores against their simulated Verilog, then sweeping the design space")
    display = ProgressDisplay()
    exploration = asnet_mlir.explore(
        MODEL, DATA, CONSTRAINTS, store=output / "results.sqlite", progress=display
    )
    display.close()
    print(accuracy_table(exploration))
    print(
        f"{len(exploration.results)} configurations in {exploration.seconds:.1f} s, "
        f"{exploration.evaluated} of them run now"
    )
    plot = output / "accuracy.png"
    plot_accuracy(exploration, plot)
    print(f"plot: {plot}")

    chosen = choose(exploration, BOUND)
    chosen.binding.save(output / "chosen.json")
    print(f"chosen for {BOUND}: {chosen.binding.label} (accuracy {chosen.accuracy:.4f})")

    step("generating the hardware of the exact and of the chosen configuration")
    bundles = {"exact": output / "exact", "chosen": output / "chosen"}
    bindings = {"exact": exploration.exact.binding, "chosen": chosen.binding}
    for name, folder in bundles.items():
        asnet_mlir.generate(MODEL, bindings[name], output=folder, force=True)
        print(f"bundle: {folder}")

    step("synthesising both for ECP5 while the chosen one is simulated")
    with ThreadPoolExecutor(2) as pool:
        synths = {name: pool.submit(asnet_mlir.synthesize, path) for name, path in bundles.items()}
        simulation = asnet_mlir.simulate(bundles["chosen"], DATA, samples=IMAGES)
        print(f"{simulation.samples} images simulated, {simulation.mismatches} mismatching words")
        print(f"{simulation.cycles_per_sample} cycles per image", flush=True)
        results = {name: future.result() for name, future in synths.items()}
    exact, cut = results["exact"], results["chosen"]
    print(f"{'':10}{'LUT4':>8}{'FF':>8}{'block RAM':>11}{'Fmax [MHz]':>12}")
    for name, result in results.items():
        print(
            f"{name:10}{result['luts']:8}{result['ffs']:8}{result['brams']:11}"
            f"{result['fmax_mhz']:12.1f}"
        )
    print(
        f"area {100 * (1 - cut['luts'] / exact['luts']):.1f} % less, "
        f"Fmax {100 * (cut['fmax_mhz'] / exact['fmax_mhz'] - 1):+.1f} %, accuracy "
        f"{100 * (chosen.accuracy - exploration.exact.accuracy):+.2f} points"
    )
    step("done")
    return 1 if simulation.mismatches else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output")))
