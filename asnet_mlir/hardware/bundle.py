"""Write a network's hardware as a bundle: a folder that simulates and synthesizes on its own."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir import __version__
from asnet_mlir.errors import InputError
from asnet_mlir.files import replacement, restore, unwritable
from asnet_mlir.hardware import data_files, kit, observed, stages, stream_bundle, verilog
from asnet_mlir.hardware.rom import rom_files, rom_image
from asnet_mlir.resources import lowering_directory

__all__ = [
    "CoreFiles",
    "attachment",
    "check_files",
    "check_name",
    "check_output",
    "generate",
    "helper_modules",
    "listed",
    "predicted_cycles",
    "read_manifest",
    "verify_files",
]

#: What the machine adds to a run: one cycle to leave the receiving phase, two to fill the fetch
#: pipeline.
_START_CYCLES = 2
_MANIFEST_KINDS: dict[str, type] = {
    "top": str,
    "input_words": int,
    "output_words": int,
    "predicted_cycles_per_sample": int,
    "memories": dict,
    "info": dict,
    "files": dict,
}
#: Of files in a message.
_MOST_LISTED = 5
_HELPERS = ("fifo", "ram", "register_file", "rom")


@dataclass(frozen=True)
class CoreFiles:
    """A core with its parameters fixed, as the bundle needs it.

    Attributes:
      op: op kind (`mulf`).
      module: its top module.
      sources: file name and text of each Verilog source.
      parameters: parameters of the module.
      latency: clock cycles from operands to result.
      canonical_nan: its only NaN result is 0x7FC00000; otherwise the machine forces it.
      a, b, result, clock: port names; `clock` is None for a combinational core.
      widths: bits of `a`, `b` and `result`; those of a network's cores are 32.
      tied: inputs that are held at a value, each with its width and the value.
      label: what the manifest calls it.
      interval: cycles for which operands are held.
      reset, reset_active_low, start, done, busy, ready, start_b, ready_b: of an iterative core, as
        in `cores.Ports`.
      settled, late: of the adapter of one: 1 once it can be started after a reset; 1 where the core
        took longer than its latency.
      license: SPDX identifier; empty where its author states none.
      reference: where it comes from, or empty.
      data: files that its memories are read from, by the names that its sources have for them.
    """

    op: str
    module: str
    sources: tuple[tuple[str, str], ...]
    parameters: Mapping[str, int] = field(default_factory=dict)
    latency: int = 0
    canonical_nan: bool = False
    a: str = "a_i"
    b: str = "b_i"
    result: str = "result_o"
    clock: str | None = "clk_i"
    widths: tuple[int, int, int] = (32, 32, 32)
    tied: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    label: str = ""
    interval: int = 1
    reset: str | None = None
    reset_active_low: bool = False
    start: str | None = None
    done: str | None = None
    busy: str | None = None
    ready: str | None = None
    start_b: str | None = None
    ready_b: str | None = None
    settled: str | None = None
    late: str | None = None
    license: str = ""
    reference: str = ""
    data: tuple[tuple[str, str], ...] = ()


def generate(
    network: str,
    weights: Mapping[str, np.ndarray],
    cores: Mapping[int, CoreFiles],
    out_dir: str | Path,
    *,
    name: str = "network",
    force: bool = False,
    memory_latency: int = 1,
    models: str | None = None,
    info: Mapping[str, Any] | None = None,
    style: str = "shared",
    lanes: Sequence[str] = (),
    clock_mhz: float | None = None,
    clocks: Mapping[int, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Generate the hardware of `network` into the new folder `out_dir`.

    The same input gives the same bytes.  On any error nothing is left, and what was there stays.

    Args:
      network: bound network as MLIR text on tensors, batch 1 (see `stages.schedule`).
      weights: float32 (or int32) arrays by the name that arguments carry in `approx.weight`.
      cores: the core of each instance that the network's library declares.
      name: of the design and its top module; all other modules and the ROMs' files are called
        NAME_.., so that several designs can be parts of one.
      force: replace `out_dir` if it exists.
      memory_latency: 1, or 2 for a register behind each memory (a higher clock, more cycles).
      models: the software models of the instances, kept beside the network so that the software's
        result can be computed from the bundle alone, and test vectors be made.
      info: JSON values for the manifest (bindings, layers, ..); test vectors want `input_shape`,
        `output_shape` and the order of the `weights`.
      style: `shared`, the sequential machine; or `stream`, an engine a layer.
      lanes: of the stream's engines, see `streams.parse_lanes`.
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

    # Modules that are not cores, those of a stream's stages among them.
    texts = "\n".join(text for core in cores.values() for _, text in core.sources)
    taken = ("plain", "observed", *_HELPERS, *sorted(set(re.findall(r"\bstage_\w+", texts, re.I))))
    reserved = [f"{name}_{other}" for other in taken]
    merged = verilog.merge_sources(
        {key: (core.module, core.sources) for key, core in sorted(cores.items())},
        reserved=reserved,
        prefix=f"{name}_",
    )
    attachments = {
        key: attachment(core, merged.modules[key], merged.renamed[key])
        for key, core in cores.items()
    }
    if style == "stream":
        generated, entries = stream_bundle.contents(network, weights, attachments, name, lanes)
    else:
        generated, entries = _machine_contents(network, weights, attachments, name, memory_latency)
    units = entries.pop("units")
    _check_units(units, cores)
    # How often each core is built: once in the machine, as often as engines have it in a stream.
    counts = entries.pop("counts", {unit["id"]: 1 for unit in units})

    used = {unit["id"] for unit in units}
    merged = verilog.merge_sources(
        {key: (core.module, core.sources) for key, core in sorted(cores.items()) if key in used},
        reserved=reserved,
        prefix=f"{name}_",
    )
    files = dict(generated)
    text = b"".join(data for path, data in files.items() if path.startswith("rtl/"))
    for helper in _HELPERS:
        if f"{name}_{helper} ".encode() in text:
            path = lowering_directory() / "circt" / "rtl" / f"asnet_{helper}.sv"
            source = path.read_text().replace(path.stem, f"{name}_{helper}")
            files[f"rtl/{name}_{helper}.sv"] = source.encode()
    data = {
        file: (contents, core.label or core.module)
        for key, core in sorted(cores.items())
        if key in used
        for file, contents in core.data
    }
    for file_name, source in merged.files:
        files[f"cores/{file_name}"] = data_files.in_design(source, data, name).encode()
    for file, (contents, label) in data.items():
        own = data_files.name_in_design(file, name)
        files[own] = contents.encode()
        entries["memories"][Path(file).stem] = {"file": own, "core": label}
    sources = [path for path in files if path.startswith("cores/")]
    sources += sorted(
        path
        for path in files
        if path.startswith("rtl/") and path.endswith(".sv") and path != f"rtl/{name}.sv"
    )
    sources.append(f"rtl/{name}.sv")
    files["filelist.f"] = "".join(f"{path}\n" for path in sources).encode()
    files["tb/bench.cpp"] = (Path(__file__).parent / "bench.cpp").read_bytes()
    files["network.mlir"] = network.encode()
    if models is not None:
        files["models.mlir"] = models.encode()
    files["weights.npz"] = _npz(weights)
    details = dict(info or {})
    vectors = None
    if models is not None and "input_shape" in details:
        vectors = kit.vectors(network, models, weights, details)
    added, described = kit.files(name=name, sources=sources, entries=entries, vectors=vectors)
    files |= added

    manifest = {
        "format": 1,
        "name": name,
        "top": name,
        **entries,
        **described,
        "clock": "clk",
        "reset": "rst",
        "instances": [
            {
                "id": unit["id"],
                "op": unit["op"],
                "core": cores[unit["id"]].label or cores[unit["id"]].module,
                "module": merged.modules[unit["id"]],
                "parameters": dict(sorted(cores[unit["id"]].parameters.items())),
                "latency": unit["latency"],
                "count": counts[unit["id"]],
                "interval": cores[unit["id"]].interval,
                **(clocks or {}).get(unit["id"], {}),
                "licence": cores[unit["id"]].license or "unknown",
                "reference": cores[unit["id"]].reference,
            }
            for unit in units
        ],
        "versions": {"asnet-mlir": __version__, "circt": version("circt")},
        "info": details,
        "files": {path: hashlib.sha256(data).hexdigest() for path, data in sorted(files.items())},
    }
    if clock_mhz is not None:
        manifest["clock_mhz"] = clock_mhz
    files["manifest.json"] = (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode()
    _write(out, files)
    return manifest


def check_name(name: str) -> None:
    """Check the name of a design.

    Raises:
      InputError: it can't be the name of a module, with which others begin.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise InputError(f"'{name}' is no name for a Verilog module; use letters, digits and _")
    if name.lower() in verilog.KEYWORDS:
        raise InputError(f"'{name}' is a keyword of SystemVerilog; take another name")


def helper_modules(name: str) -> list[str]:
    """Return the modules for memories and queues in the design `name`."""
    return [f"{name}_{helper}" for helper in _HELPERS]


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
    memory_latency: int,
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the sequential machine's generated files, and what the manifest says about them."""
    scheduled = stages.schedule(network, memory_latency)
    made = json.loads(stages.hw_opt(scheduled, "all", top, attachments))
    summary = made["summary"]
    files = {f"rtl/{file}": text.encode() for file, text in made["sv"].items()}
    files["tb/observed.sv"] = observed.sequential(top).encode()
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


def attachment(
    core: CoreFiles, module: str, renamed: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return how `stages` attaches a core whose module is called `module` in the bundle.

    `renamed` are the identifiers of the core that have another name there.
    """
    names = renamed or {}
    roles = {role: getattr(core, role) for role in ("reset", "start", "settled", "late")}
    return {
        "a": names.get(core.a, core.a),
        "b": names.get(core.b, core.b),
        "result": names.get(core.result, core.result),
        "clock": names.get(core.clock, core.clock) if core.clock else None,
        "module": module,
        "parameters": {names.get(key, key): value for key, value in core.parameters.items()},
        "canonical_nan": core.canonical_nan,
        "tied": [[names.get(name, name), *entry] for name, entry in core.tied.items()],
        **{role: names.get(port, port) for role, port in roles.items() if port},
    }


def predicted_cycles(summary: Mapping[str, Any]) -> int:
    """Return the clock cycles from one sample's start to the next without any back-pressure."""
    answer = summary["memory_latency"] + 1  # a word leaves every so many cycles
    return (
        summary["input_words"]
        + _START_CYCLES
        + summary["cycles"]
        + summary["output_words"] * answer
    )


def read_manifest(bundle_dir: str | Path) -> dict[str, Any]:
    """Return the manifest of a bundle.

    Raises:
      InputError: the folder is no bundle.
    """
    path = Path(bundle_dir) / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except OSError:
        raise InputError(
            f"{bundle_dir}: no manifest.json; make a bundle with 'asnet generate'"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != 1:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise InputError(f"{path}: format {found!r}, this version reads 1")
    for key, kind in _MANIFEST_KINDS.items():
        value = manifest.get(key)
        wrong_number = isinstance(value, int) and (value is True or not 0 < value < 1 << 40)
        if not isinstance(value, kind) or wrong_number:
            raise InputError(f"{path}: the key '{key}' is missing or not what 'generate' wrote")
    for name in manifest["files"]:
        if not (Path(bundle_dir) / name).is_file():
            raise InputError(f"{bundle_dir}: lacks the file '{name}'; generate the bundle anew")
    return manifest


def check_files(bundle_dir: str | Path) -> None:
    """Refuse a bundle that is not as it was generated.

    Raises:
      InputError: the folder is no bundle, or files of it were changed: which.
    """
    changed = verify_files(bundle_dir)
    if changed:
        raise InputError(
            f"{bundle_dir}: changed since it was generated: {listed(changed)}; generate it anew, "
            "or give --modified to go on with it as it is"
        )


def listed(names: Sequence[str]) -> str:
    """Return a list of files for a message."""
    rest = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def verify_files(bundle_dir: str | Path) -> list[str]:
    """Return the files of a bundle whose content is not what was generated."""
    folder = Path(bundle_dir)
    changed = []
    for name, digest in read_manifest(folder)["files"].items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            changed.append(name)
    return changed


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
