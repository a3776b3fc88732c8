# SPDX-License-Identifier: Apache-2.0
"""A stream as a program of models, one for each of its stages.

Verilator evaluates all of a model in every cycle.  Of a deep stream most stages wait for others
most of the time, so that a model a stage, left out while nothing in it changes, is several times
as fast, and a stage that was changed is the only one that is compiled again.  `stage_models.cpp`
says how they make one machine.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asnet_mlir.hardware.bundle.systemverilog import header
from asnet_mlir.support import verilator
from asnet_mlir.support.cache import cached_directory, content_hash

__all__ = ["StageModels"]

_CLOCKS = ("clk", "clk_i")
_JOINED = "stage_models.cpp"
# As Verilator declares ports: VL_IN8(&name,7,0).
_PORT = re.compile(r"VL_(IN|OUT)(?:8|16|64|W)?\(&(\w+),(\d+),(\d+)")


@dataclass(frozen=True)
class _Port:
    name: str
    width: int


@dataclass(frozen=True)
class _Model:
    """A stage's model: the folder of its headers and object, and its ports."""

    prefix: str
    folder: Path
    clock: str
    inputs: tuple[_Port, ...]
    outputs: tuple[_Port, ...]


@dataclass(frozen=True)
class StageModels:
    """What a stream's program is made of.

    Attributes:
      bundle: its folder.
      manifest: its manifest.
      options: of Verilator, for every model.
      level: of the compiler, as `-O2`.
    """

    bundle: Path
    manifest: Mapping[str, Any]
    options: tuple[str, ...]
    level: str

    @staticmethod
    def version() -> str:
        """Return what a program depends on besides the bundle."""
        return content_hash(
            *(Path(__file__).with_suffix(end).read_bytes() for end in (".py", ".cpp"))
        )

    def write(
        self, folder: Path, top: str, sources: Sequence[str], defines: Sequence[str]
    ) -> list[Path]:
        """Write `Vtop.h` and the sources of what is between the stages into a folder.

        Args:
          folder: where to.
          top: the bench's top module.
          sources: files of the design and the bench, relative to the bundle.
          defines: options of Verilator for the bench's module.

        Returns:
          Objects of the stages.

        Raises:
          ToolError: Verilator or the compiler failed.
        """
        layers = self._layers
        with ThreadPoolExecutor(min(len(layers), os.cpu_count() or 1)) as pool:
            models = list(pool.map(lambda layer: self._model(layer, sources), layers))
        own = {name for layer in layers for name in _files_of(layer["module"], sources)}
        (folder / "stages.sv").write_text("".join(self._stubs(models)))
        (folder / "top.sv").write_text(self._top(top, sources, models))
        verilator.translate(
            [
                *(name for name in sources if name not in own),
                folder / "stages.sv",
                folder / "top.sv",
            ],
            top=f"{top}_stages",
            prefix="Vbetween",
            into=folder,
            cwd=self.bundle,
            # Nearly all inputs, the stages' outputs, may have changed.
            options=[*self.options, *defines, "-fno-ico-change-detect"],
            purpose=f"translating {self.bundle} with Verilator",
        )
        (folder / "Vtop.h").write_text(_joined(models))
        shutil.copyfile(Path(__file__).with_name(_JOINED), folder / _JOINED)
        return [model.folder / "model.o" for model in models]

    def _model(self, layer: Mapping[str, Any], sources: Sequence[str]) -> _Model:
        """Return the model of a stage, translated and compiled if it is not there yet."""
        module = layer["module"]
        prefix = f"V{module}"
        others = {
            name
            for other in self._layers
            if other is not layer
            for name in _files_of(other["module"], sources)
        }
        top = f"rtl/{self.manifest['name']}.sv"
        files = [
            name
            for name in sources
            if name not in others and name != top and not name.startswith("tb/")
        ]
        text, top_module = "", module
        if layer.get("kind") == "engine":
            top_module = f"{module}_observed"
            text = self._observed(module, top_module)
        key = content_hash(
            verilator.version(),
            prefix,
            self.level,
            *self.options,
            text,
            *files,
            *((self.bundle / name).read_bytes() for name in files),
        )

        def build(folder: Path) -> None:
            (folder / "observed.sv").write_text(text)
            verilator.translate(
                [*files, folder / "observed.sv"],
                top=top_module,
                prefix=prefix,
                into=folder,
                cwd=self.bundle,
                options=self.options,
                purpose=f"translating {self.bundle} with Verilator",
            )
            parts = sorted(path.name for path in folder.glob("V*.cpp"))
            (folder / "all.cpp").write_text("".join(f'#include "{part}"\n' for part in parts))
            verilator.compile_object(
                folder / "all.cpp",
                folder / "model.o",
                level=self.level,
                purpose=f"compiling the simulation of {self.bundle}",
            )
            for path in folder.iterdir():
                if path.suffix not in (".h", ".o"):
                    path.unlink()

        folder = cached_directory("stage-simulation", key, build)
        ports: dict[str, list[_Port]] = {"IN": [], "OUT": []}
        clock = ""
        for way, name, high, low in _PORT.findall((folder / f"{prefix}.h").read_text()):
            if name in _CLOCKS:
                clock = name
            else:
                ports[way].append(_Port(name, int(high) - int(low) + 1))
        return _Model(prefix, folder, clock, tuple(ports["IN"]), tuple(ports["OUT"]))

    @property
    def _layers(self) -> list[Mapping[str, Any]]:
        """The layers that have a module of their own; padding is an instance of the library's."""
        folder = self.bundle / "rtl"
        return [
            layer
            for layer in self.manifest["layers"]
            if (folder / f"{layer['module']}.sv").is_file()
        ]

    def _text(self, module: str) -> str:
        return (self.bundle / "rtl" / f"{module}.sv").read_text()

    def _observed(self, module: str, name: str) -> str:
        """Return a stage with a port that says when its engine begins a step."""
        ports = _with_ports(header(self._text(module), module), ["output logic issue"])
        ports = ports.replace(module, name, 1)
        return f"{ports}\n  {module} stage (.*);\n  assign issue = stage.issue;\nendmodule\n"

    def _stubs(self, models: Sequence[_Model]) -> Iterator[str]:
        """Stand-ins for the stages, whose outputs come from the top module's ports."""
        for layer, model in zip(self._layers, models, strict=True):
            module = layer["module"]
            has_issue = any(port.name == "issue" for port in model.outputs)
            issue = "  wire issue;\n" if has_issue else ""
            yield f"{header(self._text(module), module)}\n{issue}endmodule\n"

    def _top(self, top: str, sources: Sequence[str], models: Sequence[_Model]) -> str:
        """Return the bench's top module with ports for the stages' inputs and outputs."""
        name = self.manifest["name"]
        inner = "bench.dut.network" if "shell" in self.manifest else "bench.dut"
        ports, lines = [], []
        for number, (layer, model) in enumerate(zip(self._layers, models, strict=True)):
            path = f"{inner}.{layer['module'].removeprefix(f'{name}_')}"
            for port in model.inputs:
                own = f"s{number}_{port.name}"
                ports.append(f"output logic [{port.width - 1}:0] {own}")
                lines.append(f"  assign {own} = {path}.{port.name};\n")
            for port in model.outputs:
                own = f"s{number}_{port.name}"
                ports.append(f"input logic [{port.width - 1}:0] {own}")
                lines.append(f"  assign {path}.{port.name} = {own};\n")
        text = (self.bundle / "tb" / "observed.sv").read_text()
        whole = _with_ports(header(text, top), ports).replace(top, f"{top}_stages", 1)
        return f"{whole}\n  {top} bench (.*);\n{''.join(lines)}endmodule\n"


def _files_of(module: str, sources: Sequence[str]) -> list[str]:
    """Return the files that a stage alone has: its module's, and those whose names go on."""
    return [
        name
        for name in sources
        if (stem := Path(name).stem) == module or stem.startswith(f"{module}_")
    ]


def _with_ports(header: str, ports: Sequence[str]) -> str:
    """Return a module's header with more ports."""
    return header[: header.rindex(")")].rstrip() + ",\n  " + ",\n  ".join(ports) + "\n);"


def _joined(models: Sequence[_Model]) -> str:
    """Return `Vtop.h`: the models with their ports, as one."""
    lines = ["#pragma once", '#include "Vbetween.h"', f'#include "{_JOINED}"']
    for model in models:
        for name in (model.prefix, f"{model.prefix}__Syms"):
            lines.append(f'#include "{model.folder / name}.h"')
    for number, model in enumerate(models):
        lines += _ports(number, model)
    names = ", ".join(f"Ports{number}" for number in range(len(models)))
    lines.append(f"using Vtop = asnet::Stages<Vbetween, {names}>;")
    return "\n".join(lines) + "\n"


def _ports(number: int, model: _Model) -> list[str]:
    """Return what `Stage` of stage_models.cpp wants to know of a stage."""
    takes = "".join(
        f" | asnet::moved(from.s{number}_{port.name}, to.{port.name})" for port in model.inputs
    )
    gives = "".join(
        f" | asnet::moved(from.{port.name}, to.s{number}_{port.name})" for port in model.outputs
    )
    return [
        f"struct Ports{number} {{",
        f"  using Model = {model.prefix};",
        f"  using State = {model.prefix}__Syms;",
        f"  static CData &clock(Model &it) {{ return it.{model.clock}; }}",
        f"  static bool take(const Vbetween &from, Model &to) {{ return false{takes}; }}",
        f"  static bool give(const Model &from, Vbetween &to) {{ return false{gives}; }}",
        "};",
    ]
