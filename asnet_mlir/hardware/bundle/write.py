# SPDX-License-Identifier: Apache-2.0
"""Write a network's hardware as a bundle: a folder that simulates and synthesizes on its own."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir import __version__
from asnet_mlir.errors import InputError
from asnet_mlir.hardware.bundle import core_data, integer_bundle, kit, shelled, stream_bundle
from asnet_mlir.hardware.bundle import systemverilog as verilog
from asnet_mlir.hardware.bundle.manifest import (
    HELPERS,
    check_name,
    edge_formats,
    predicted_cycles,
)
from asnet_mlir.hardware.bundle.rom_images import rom_files, rom_image
from asnet_mlir.hardware.bundle.unit import CoreFiles, attachment
from asnet_mlir.hardware.integers import design as integers
from asnet_mlir.hardware.integers.sizing import AS_IT_IS, Sizing
from asnet_mlir.hardware.schedule import shared
from asnet_mlir.hardware.schedule.registers import FEWEST, Registers
from asnet_mlir.hardware.shell import top as shells
from asnet_mlir.hardware.shell.options import PLAIN, Shell
from asnet_mlir.support.files import replacement, restore, unwritable
from asnet_mlir.support.formats import parse_format
from asnet_mlir.support.resources import lowering_directory

__all__ = ["check_output", "write_bundle"]


def write_bundle(
    network: str,
    weights: Mapping[str, np.ndarray],
    cores: Mapping[int, CoreFiles],
    out_dir: str | Path,
    *,
    name: str = "network",
    force: bool = False,
    registers: Registers = FEWEST,
    models: str | None = None,
    info: Mapping[str, Any] | None = None,
    style: str = "shared",
    lanes: Sequence[str] = (),
    sizing: Sizing = AS_IT_IS,
    shell: Shell = PLAIN,
    clock_mhz: float | None = None,
    clocks: Mapping[int, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Generate the hardware of `network` into the new folder `out_dir`.

    The same input gives the same bytes.  On any error nothing is left, and what was there stays.

    Args:
      network: bound network as MLIR text on tensors, batch 1 (see `shared.schedule`).
      weights: float32 (or int32) arrays by the name that arguments carry in `approx.weight`.
      cores: the core of each instance that the network's library declares.
      name: of the design and its top module; all other modules and the ROMs' files are called
        NAME_.., so that several designs can be parts of one.
      force: replace `out_dir` if it exists.
      registers: those beyond what the hardware needs (a higher clock, more cycles).
      models: the software models of the instances, kept beside the network so that the software's
        result can be computed from the bundle alone, and test vectors be made.
      info: JSON values for the manifest (bindings, layers, ..); test vectors want `input_shape`,
        `output_shape` and the order of the `weights`.
      style: `shared`, the sequential machine; `stream`, an engine a layer; `integers`, the same for
        networks on integer codes.
      lanes: of the stream's engines, see `schedule.stream.parse_lanes`.
      sizing: of engines on integer codes.
      shell: what is around the network.
      clock_mhz, clocks: for the manifest: the clock that was asked for, and what `clock.choose`
        says of each instance.

    Returns:
      The manifest.

    Raises:
      InputError: `out_dir` exists; a weight or core is missing or of the wrong size; the network
        has something that the machine cannot do.
    """
    out = check_output(out_dir, force)
    check_name(name)

    reserved = _reserved_names(name, cores)
    merged = _merged(cores, name, reserved)
    attachments = {
        key: attachment(core, merged.modules[key], merged.renamed[key])
        for key, core in cores.items()
    }
    if style == "integers":
        generated, entries = integer_bundle.contents(
            network, weights, cores, attachments, name, sizing
        )
    elif style == "stream":
        generated, entries = stream_bundle.contents(
            network, weights, attachments, name, lanes, registers
        )
    else:
        generated, entries = _machine_contents(network, weights, attachments, name, registers)
    if registers != FEWEST:
        entries["registers"] = asdict(registers)
    units = entries.pop("units")
    _check_units(units, cores)
    used = {key: core for key, core in cores.items() if key in {unit["id"] for unit in units}}
    merged = _merged(used, name, reserved)
    # How often each core is built: once in the machine, as often as engines have it in a stream.
    counts = entries.pop("counts", dict.fromkeys(used, 1))
    entries["instances"] = [
        _instance_entry(unit, cores, merged.modules, counts, clocks or {}) for unit in units
    ]
    core_files, entries["memories"] = _core_files(used, merged, name, entries["memories"])
    details = dict(info or {})
    if style != "integers" and _are_integers(details):
        entries["has_integer_words"] = True
    framed = shelled.surround(name, shell, generated, entries, details)
    design = framed.files | _helper_files(name, framed.files) | core_files
    files, described = _with_kit(name, design, entries, network, models, weights, details, framed)
    manifest = {
        "format": 1,
        "name": name,
        "top": name,
        **entries,
        **described,
        "clock": framed.clock,
        "reset": framed.reset,
        "versions": {"asnet-mlir": __version__, "circt": version("circt")},
        "info": details,
        "files": {path: hashlib.sha256(data).hexdigest() for path, data in sorted(files.items())},
    }
    if clock_mhz is not None:
        manifest["clock_mhz"] = clock_mhz
    files["manifest.json"] = (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()
    _write(out, files)
    return manifest


def _are_integers(info: Mapping[str, Any]) -> bool:
    """Whether no word of a network's answers is a float, so that none is a NaN."""
    parts = info.get("outputs", ())
    formats = [parse_format(part["format"]) for part in parts] or [edge_formats(info)[1]]
    return not any(format.is_float for format in formats)


def _with_kit(
    name: str,
    design: Mapping[str, bytes],
    entries: Mapping[str, Any],
    network: str,
    models: str | None,
    weights: Mapping[str, np.ndarray],
    details: Mapping[str, Any],
    framed: shelled.Framed,
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the files of a design with those that go with it (list, bench, network, kit), and what
    the manifest says of the kit.
    """
    sources = _file_list(name, design)
    files = dict(design)
    files["filelist.f"] = "".join(f"{path}\n" for path in sources).encode()
    files["tb/bench.cpp"] = (Path(__file__).parent / "bench.cpp").read_bytes()
    files["network.mlir"] = network.encode()
    if models is not None:
        files["models.mlir"] = models.encode()
    files["weights.npz"] = _npz(weights)
    vectors = None
    if models is not None and "input_shape" in details:
        vectors = framed.vectors(kit.vectors(network, models, weights, details))
    added, described = kit.files(
        name=name,
        sources=sources,
        entries=entries,
        vectors=vectors,
        shell=framed.shell,
        framing=framed.framing,
        registers=framed.registers,
        info=details,
    )
    return files | added, described


def _reserved_names(name: str, cores: Mapping[int, CoreFiles]) -> list[str]:
    """Return the modules of a design that are not cores, those of a stream's stages among them."""
    texts = "\n".join(text for core in cores.values() for _, text in core.sources)
    stages = sorted(set(re.findall(r"\bstage_\w+", texts, re.I)))
    return [
        f"{name}_{other}"
        for other in (
            *("plain", "observed", "network"),
            *(*HELPERS, *integers.HELPERS, *shells.HELPERS, *stages),
        )
    ]


def _merged(
    cores: Mapping[int, CoreFiles], name: str, reserved: Sequence[str]
) -> verilog.MergedSources:
    """Return the sources of cores such that they can stand in one design."""
    return verilog.merge_sources(
        {key: (core.module, core.sources) for key, core in sorted(cores.items())},
        reserved=reserved,
        prefix=f"{name}_",
    )


def _helper_files(name: str, generated: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of the library's modules that the generated ones instantiate."""
    files = {}
    text = b"".join(data for path, data in generated.items() if path.startswith("rtl/"))
    sources = {helper: lowering_directory() / "circt" / "rtl" for helper in HELPERS}
    sources |= dict.fromkeys(integers.HELPERS, integers.RTL)
    sources |= dict.fromkeys(shells.HELPERS, shells.RTL)
    for helper, folder in sources.items():
        if f"{name}_{helper} ".encode() in text:
            source = (folder / f"asnet_{helper}.sv").read_text()
            source = source.replace(f"asnet_{helper}", f"{name}_{helper}")
            for other in sources:
                source = source.replace(f"asnet_{other} #", f"{name}_{other} #")
            text += source.encode()  # of which it may instantiate others
            files[f"rtl/{name}_{helper}.sv"] = source.encode()
    return files


def _core_files(
    cores: Mapping[int, CoreFiles],
    merged: verilog.MergedSources,
    name: str,
    memories: Mapping[str, Any],
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the files of cores, and `memories` with what theirs are read from."""
    data = {
        file: (contents, core.label or core.module)
        for _, core in sorted(cores.items())
        for file, contents in core.data
    }
    files = {
        f"cores/{file_name}": core_data.in_design(source, data, name).encode()
        for file_name, source in merged.files
    }
    described = dict(memories)
    for file, (contents, label) in data.items():
        own = core_data.name_in_design(file, name)
        files[own] = contents.encode()
        described[Path(file).stem] = {"file": own, "core": label}
    return files, described


def _file_list(name: str, files: Mapping[str, bytes]) -> list[str]:
    """Return the Verilog files in the order in which tools read them: the top module last."""
    top = f"rtl/{name}.sv"
    return [
        *(path for path in files if path.startswith("cores/")),
        *sorted(
            path
            for path in files
            if path.startswith("rtl/") and path.endswith(".sv") and path != top
        ),
        top,
    ]


def _instance_entry(
    unit: Mapping[str, Any],
    cores: Mapping[int, CoreFiles],
    modules: Mapping[int, str],
    counts: Mapping[int, int],
    clocks: Mapping[int, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return what the manifest says of an instance."""
    key = unit["id"]
    core = cores[key]
    return {
        "id": key,
        "op": unit["op"],
        "core": core.label or core.module,
        "module": modules[key],
        "parameters": dict(sorted(core.parameters.items())),
        "latency": unit["latency"],
        "count": counts[key],
        "interval": core.interval,
        **clocks.get(key, {}),
        "licence": core.license or "unknown",
        "reference": core.reference,
    }


def check_output(out_dir: str | Path, force: bool) -> Path:
    """Return the folder of a bundle that is to be written.

    Raises:
      InputError: it exists, and is no bundle that may be replaced.
    """
    out = Path(out_dir)
    restore(out)
    if out.is_symlink() and not out.exists():
        raise InputError(f"{out}: is a link to nothing; nothing was written")
    if out.exists() and not force:
        raise InputError(f"{out}: exists; nothing was written (give --force to replace it)")
    if (
        out.exists()
        and not (out / "manifest.json").is_file()
        and (not out.is_dir() or any(out.iterdir()))
    ):
        raise InputError(f"{out}: exists and is no bundle; not replaced even with --force")
    return out


def _machine_contents(
    network: str,
    weights: Mapping[str, np.ndarray],
    attachments: Mapping[int, Mapping[str, Any]],
    top: str,
    registers: Registers,
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the sequential machine's generated files, and what the manifest says about them."""
    scheduled = shared.schedule(network, registers)
    made = json.loads(shared.hw_opt(scheduled, "all", top, attachments))
    summary = made["summary"]
    files = {f"rtl/{file}": text.encode() for file, text in made["sv"].items()}
    files[f"rtl/{top}.lst"] = made["microcode_listing"].encode()
    memories: dict[str, dict[str, Any]] = {
        "ram": {"words": summary["ram_words"], "width": 32},
        "weights": {"words": summary["rom_words"], "width": 32},
    }
    roms = {"microcode": made["microcode_hex"].encode()}
    if summary["rom_words"]:
        roms["weights"] = rom_image(summary["memories"], weights)
    for what, data in roms.items():
        rom, its_memories = rom_files(top, data, made["roms"][what])
        files |= rom
        memories |= its_memories
    entries = {
        "kind": "sequential",
        "input_words": summary["input_words"],
        "output_words": summary["output_words"],
        "predicted_cycles_per_sample": predicted_cycles(summary),
        "schedule": {
            key: summary[key]
            for key in ("cycles", "rows", "row_bits", "registers", "memory_latency", "functions")
        },
        "layers": [{"layer": layer, "cycles": cycles} for layer, cycles in summary["layer_cycles"]],
        "memories": memories,
        "buffers": [
            {key: value for key, value in memory.items() if key != "contents"}
            for memory in summary["memories"]
        ],
        "units": summary["units"],
    }
    return files, entries


def _check_units(units: list[dict[str, Any]], cores: Mapping[int, CoreFiles]) -> None:
    for unit in units:
        core = cores.get(unit["id"])
        if core is None:
            raise InputError(f"instance {unit['id']} ({unit['op']}): no core was given for it")
        if core.op != unit["op"]:
            raise InputError(
                f"instance {unit['id']}: the network wants {unit['op']}, "
                f"the core computes {core.op}"
            )
        if core.latency != unit["latency"]:
            raise InputError(
                f"instance {unit['id']} ({unit['op']}): the network's library declares latency "
                f"{unit['latency']}, the core has {core.latency}"
            )


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Like numpy.savez, with fixed times: the same arrays give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data.getvalue())
    return buffer.getvalue()


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacement(out) as temporary:
            for name, data in files.items():
                path = temporary / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    except OSError as error:
        raise unwritable(out, error, "; nothing was changed") from None
