# SPDX-License-Identifier: Apache-2.0
"""What this checkout computes, as hashes: to see that a change of its structure changed nothing.

    python tools/fingerprint.py FILE.json [--against OLD.json] [--images N]

Run it by the interpreter of each checkout (`OLD/.venv/bin/python NEW/tools/fingerprint.py`): it
uses the public interface only.  Hashed are the output words of the built-in networks under several
bindings, the text of every form, the models of the library's cores, and each file of the bundles
of both styles.  With `--against`, what differs is listed; the status is 1 where anything does.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import asnet_mlir as asnet
from asnet_mlir.cores import derive_models, library_cores
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.evaluation.evaluate import prepare_data

NETWORKS = {
    "classification_mnist": "mnist:test",
    "convolutional_mnist": "mnist:test",
    "convolutional_svhn": "svhn_synthetic:test",
}
BINDINGS: dict[str, list[str]] = {
    "exact": [],
    "P = 12": ["mulf=fmul_trunc:P=12"],
    "Table I": ["mulf=fmul_trunc:P=20", "divf=fdiv_trunc:P=22"],
    "DRUM, another adder latency": ["mulf=fmul_drum", "addf=fadd:LATENCY=2"],
}
FORMS = ("stablehlo", "linalg", "approx", "bound", "llvm", "scheduled", "sv")
STYLES = ("shared", "stream")
#: Where the checkout lies: locations name it.
HERE = str(Path(asnet.__file__).resolve().parents[1])


def main() -> int:
    """Write the hashes; compare them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--against", type=Path, help="what another checkout wrote")
    parser.add_argument("--images", type=int, default=500)
    options = parser.parse_args()
    found = fingerprint(options.images)
    options.file.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{len(found)} hashes")
    if options.against is None:
        return 0
    other = json.loads(options.against.read_text())
    differing = sorted(
        key for key in found.keys() | other.keys() if found.get(key) != other.get(key)
    )
    for key in differing:
        how = "differs" if key in found and key in other else "new" if key in found else "gone"
        print(f"{how:8}{key}")
    print(f"{len(differing)} differ")
    return int(bool(differing))


def fingerprint(images: int) -> dict[str, str]:
    """Return the hashes by what they are of."""
    found: dict[str, str] = {}
    exact = {name: core.instance() for name, core in library_cores().items()}
    for name, model in derive_models(exact).items():
        found[f"model of {name}"] = digest(model.text)
    for network, data in NETWORKS.items():
        x = prepare_data(data, asnet.load_model(network)).x[:images]
        for label, rules in BINDINGS.items():
            binding = asnet.Binding.parse(rules)
            words = Evaluator(asnet.load_model(network), binding).outputs(x)
            found[f"{network}, {label}: words"] = digest(words.tobytes())
        binding = asnet.Binding.parse(BINDINGS["Table I"])
        for form in FORMS:
            text = asnet.compile(network, form, binding)
            found[f"{network}, Table I: {form}"] = digest(text.replace(HERE, ""))
        for style in STYLES:
            for path, content in bundle(network, binding, style):
                found[f"{network}, Table I, {style}: {path}"] = digest(content)
        print(network, flush=True)
    return found


def bundle(network: str, binding: Any, style: str) -> list[tuple[str, bytes]]:
    """Return the files of a bundle by their places in it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "bundle"
        asnet.generate(network, binding, output=root, style=style)
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return [(str(path.relative_to(root)), path.read_bytes()) for path in files]


def digest(content: str | bytes) -> str:
    """Return the hash of a content."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
