# SPDX-License-Identifier: Apache-2.0
"""Whether hardware on integer codes gives the words of the evaluator, and these those of LiteRT.

    make hardware-integers-equality  (one: benchmarks/integer_hardware_equality.py --network N)

Our networks in 8 bits on images of their test sets, with exact products and with an approximate
core; files of TensorFlow Lite as MLPerf Tiny's networks are, with random weights, on random inputs.
The hardware is simulated: words and cycles an image are compared.

Results go to integer_hardware_equality.json and docs/hardware.md after every network, of large ones
after every few images; an interrupted run goes on where it stopped.  After a change of the
generator `--again` compares anew what is known.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import host
import numpy as np
from eight_bits import NETWORKS

#: Images of the test set.
IMAGES = {"classification_mnist": 1000}
FEWER_IMAGES = 100
RANDOM_INPUTS = 10
#: Images that are simulated at once, where a network takes long.
BATCH = {"resnet8_svhn": 33}
CORE = "compressor42:N=8,SIGNED=1"
FILES = ("mobilenet", "ds_cnn", "autoencoder", "resnet8")
#: How many terms of its sums a layer computes at once.  With cores that are simulated gate by gate,
#: fewer of the largest networks: their simulation takes gigabytes of C++ otherwise.
TERMS, FEWER_TERMS = "32", "8"
LARGE = ("resnet8", "resnet8_svhn")
PAGE = Path(__file__).parents[1] / "docs" / "hardware.md"
_BEGIN, _END = "<!-- begin: integers equal -->", "<!-- end: integers equal -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", action="append", choices=(*NETWORKS, *FILES))
    parser.add_argument("--again", action="store_true", help="compare anew what is known")
    options = parser.parse_args()
    path = host.RESULTS / "integer_hardware_equality.json"
    known = json.loads(path.read_text())["networks"] if path.is_file() else {}
    report = {**host.describe(), "networks": known}
    for name in options.network or (*NETWORKS, *FILES):
        wanted = RANDOM_INPUTS if name in FILES else IMAGES.get(name, FEWER_IMAGES)
        for core in (None, CORE):
            label = name if core is None else f"{name}, {core}"
            if options.again and label in known:
                known[label] = known[label] | {"images": 0, "words": 0, "differ": 0}
            while (done := known.get(label, {}).get("images", 0)) < wanted:
                end = min(wanted, done + BATCH.get(name, wanted))
                known[label] = joined(known.get(label), compare(name, core, done, end))
                host.save("integer_hardware_equality", report)
                write(known)
            print(label, known[label], flush=True)
    wrong = [
        label for label, one in known.items() if one["differ"] or one.get("differ_from_litert")
    ]
    if wrong:
        raise SystemExit(f"words differ: {wrong}")


def write(known: dict[str, dict[str, Any]]) -> None:
    """Write the table into the page."""
    lines = [
        "| network | inputs | words | differ from the evaluator | evaluator from LiteRT | "
        "cycles an image (predicted) |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {label} | {one['images']:,} | {one['words']:,} | {one['differ']} | "
        f"{one.get('differ_from_litert', '-')} | {one['cycles']:,.0f} "
        f"({one['predicted_cycles']:,}) |"
        for label, one in known.items()
    ]
    table = "\n".join(lines)
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}\n\n{table}\n{_END}{after}")


def joined(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    """Return what more images add."""
    if before is None or not before["images"]:
        return now
    sums = ("images", "words", "differ")
    return now | {key: before[key] + now[key] for key in sums}


def compare(name: str, core: str | None, first: int, end: int) -> dict[str, Any]:
    """Return how many words and cycles differ, of images from `first` to `end`."""
    import asnet_mlir
    from asnet_mlir.evaluation.evaluate import prepare_data

    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Any] = {}
        if name in FILES:
            model, x = tflite(name, Path(folder), found, core is None)
        else:
            calibration, test = NETWORKS[name]
            model = asnet_mlir.quantize(name, calibration)
            x = prepare_data(test, model).x[first:end]
        binding = None if core is None else f"muli={core}"
        terms = FEWER_TERMS if core is not None and name in LARGE else TERMS
        bundle = Path(folder) / "bundle"
        manifest = asnet_mlir.generate(model, binding, output=bundle, lanes=[terms])
        result = asnet_mlir.simulate(bundle, (x, np.zeros(len(x), int)))
        return found | {
            "images": len(x),
            "words": len(x) * manifest["output_words"],
            "differ": result.mismatches + result.vector_mismatches,
            "cycles": result.cycles_per_sample,
            "predicted_cycles": manifest["predicted_cycles_per_sample"],
        }


def tflite(
    name: str, folder: Path, found: dict[str, Any], is_exact: bool
) -> tuple[str, np.ndarray]:
    """Write a file, and return it with random inputs, on which LiteRT is compared."""
    import asnet_mlir

    sys.path.insert(0, str(Path(__file__).parents[1] / "test" / "py"))
    import tflite_networks
    from tflite_files import by_litert

    path = folder / f"{name}.tflite"
    path.write_bytes(getattr(tflite_networks, name)())
    network = asnet_mlir.load_model(str(path))
    x = np.random.default_rng(0).integers(-128, 128, (RANDOM_INPUTS, *network.input_shape))
    x = x.astype(np.int8)
    if is_exact:
        outputs = asnet_mlir.run(network, x).outputs
        found["differ_from_litert"] = int((outputs != by_litert(path.read_bytes(), x)).sum())
    return str(path), x


if __name__ == "__main__":
    main()
