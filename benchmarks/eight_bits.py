# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the built-in networks in float, with codes of 8 bits, and with approximate cores.

    make eight-bits         (or: python benchmarks/eight_bits.py [--only page])

Each network is quantized on training images, and evaluated on all test images.  Results
(eight_bits.json) are written after every configuration, and an interrupted run goes on where it
stopped; docs/eight_bits.md is written from them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from pathlib import Path
from typing import Any

import host

ROOT = Path(__file__).resolve().parent.parent
PATH = host.RESULTS / "eight_bits.json"
PAGE = ROOT / "docs" / "eight_bits.md"
#: Networks, and the data that calibrates and tests them.
NETWORKS = {
    "classification_mnist": ("mnist:train:512", "mnist:test"),
    "convolutional_mnist": ("mnist:train:512", "mnist:test"),
    "convolutional_svhn": ("svhn_synthetic:train:512", "svhn_synthetic:test"),
    "resnet8_svhn": ("svhn_synthetic:train:512", "svhn_synthetic:test"),
}
#: How activations become codes: with options of `quantize`.
SCHEMES: dict[str, dict[str, Any]] = {"int8": {}, "int8, symmetric": {"symmetric": True}}
#: Multipliers of magnitudes; the sign is put back (docs/semantics.md, E7).
CORES = {
    "truncated": "truncated:N=8,CUT=6,CORRECTION=1,SIGN_MAGNITUDE=8",
    "broken array": "bam:N=8,VBL=6,HBL=2,SIGN_MAGNITUDE=8",
    "DRUM": "drum:N=8,K=4,SIGN_MAGNITUDE=8",
    "Kulkarni": "kulkarni:N=8,SIGN_MAGNITUDE=8",
    "Mitchell": "mitchell:N=8,SIGN_MAGNITUDE=8",
}


def read() -> dict[str, Any]:
    """Return accuracies by network and configuration, as far as they are known."""
    known: dict[str, Any] = json.loads(PATH.read_text()) if PATH.is_file() else {}
    return {name: known.get("networks", {}).get(name, {}) for name in NETWORKS}


def write(found: dict[str, Any]) -> None:
    """Keep what is known."""
    new = PATH.with_suffix(".new")
    content = {"machine": host.describe(), "cores": CORES, "networks": found}
    new.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(new, PATH)


def measure(found: dict[str, Any]) -> None:
    """Evaluate what is not known yet."""
    import asnet_mlir

    for name, scheme in itertools.product(NETWORKS, ("float", *SCHEMES)):
        calibration, test = NETWORKS[name]
        own = found[name].setdefault(scheme, {})
        cores = {"exact": None} if scheme == "float" else {"exact": None, **CORES}
        fields = {"accuracy"} if scheme == "float" else {"accuracy", "ways"}
        left = [key for key in cores if not fields <= own.get(key, {}).keys()]
        if not left:
            continue
        model: Any = name
        if scheme != "float":
            model = asnet_mlir.quantize(name, calibration, **SCHEMES[scheme])
        for key in left:
            rules = f"muli={CORES[key]}" if key in CORES else None
            result = asnet_mlir.evaluate(model, test, rules)
            own[key] = {"accuracy": result.accuracy, "images": result.samples}
            if scheme != "float":
                own[key] |= ways(result)
            write(found)
            print(f"{name}, {scheme}, {key}: {result.accuracy:.4f}", flush=True)


def ways(result: Any) -> dict[str, Any]:
    """Return how an evaluation computed its sums of products, and products a second."""
    products = sum(one.products for one in result.contractions)
    passes = sorted({one.passes for one in result.contractions if one.passes is not None})
    rows = any(one.way == "rows" for one in result.contractions)
    text = f"lifted, {passes[0]} pass{'es' if passes[0] != 1 else ''}" if passes else ""
    both = [part for part in (text, "rows" if rows else "") if part]
    return {
        "ways": " and ".join(both) or "models",
        "products_per_second": round(products * result.samples / result.seconds, -8),
    }


def page(found: dict[str, Any]) -> None:
    """Write docs/eight_bits.md."""
    keys = ("exact", *CORES)
    lines = [
        "# Eight bits in numbers",
        "",
        "Accuracy in % on all test images. Each network is quantized on 512 training images",
        "([how](quantization.md)), without options or with `--symmetric`; a core computes all",
        "products of all layers. Written by `make eight-bits`.",
        "",
        "| network | numbers | " + " | ".join(keys) + " |",
        "|---" * (2 + len(keys)) + "|",
    ]
    for name, schemes in found.items():
        for scheme, own in schemes.items():
            cells = [f"{100 * own[key]['accuracy']:.2f}" if key in own else "" for key in keys]
            lines.append(f"| `{name}` | {scheme} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Without options the zero point of what ReLU leaves is -128: all zeros, which are many,",
        "are a code whose products a core may get wrong, while what corrects them is exact. With",
        "`--symmetric` a zero is the code 0, whose products these cores have right, `truncated`",
        "apart, which adds its correction to them as well; half of the codes are unused then.",
    ]
    lines += ["", "The cores ([their papers](families.md)):", ""]
    lines += [f"- {key}: `muli={core}`" for key, core in CORES.items()]
    lines += [
        "",
        "## How they are computed",
        "",
        "The quickest way on this machine, and billions of products a second of the whole network",
        "(`int8`; all processors; its pools, requantisation and moves included):",
        "",
        "| network | " + " | ".join(keys) + " |",
        "|---" * (1 + len(keys)) + "|",
    ]
    for name, schemes in found.items():
        entries = [schemes["int8"].get(key, {}) for key in keys]
        cells = [
            f"{e['ways']}, {e['products_per_second'] / 1e9:.1f}" if "ways" in e else ""
            for e in entries
        ]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    lines += equality()
    PAGE.write_text("\n".join(lines) + "\n")


def equality() -> list[str]:
    """Return what is known of the equality of all ways to compute these networks."""
    path = host.RESULTS / "eight_bits_equality.json"
    if not path.is_file():
        return []
    lines = [
        "",
        "## Equal words",
        "",
        "Outputs of all test images by rows, lifted products (where the core has them) and models,",
        "and of the first images by the core's simulated Verilog in every product; its products",
        "of all 65,536 pairs of codes, simulated and by its model (`make eight-bits-equality`).",
        "",
        "| network | core | words | ways | images simulated | words differ | products differ |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, cores in json.loads(path.read_text())["networks"].items():
        for core, entry in cores.items():
            lines.append(
                f"| `{name}` | {core} | {entry['words']:,} | {', '.join(entry['ways'])} | "
                f"{entry.get('simulated_images', '')} | {entry['differ']} | "
                f"{entry.get('products_differ', '')} |"
            )
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="accuracies with codes of 8 bits")
    parser.add_argument("--only", choices=("page",), help="write the page from what is known")
    found = read()
    if parser.parse_args().only is None:
        measure(found)
    page(found)
