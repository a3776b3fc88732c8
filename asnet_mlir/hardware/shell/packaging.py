# SPDX-License-Identifier: Apache-2.0
"""A bundle as other tools take it: IP-XACT for Vivado and others, a module of LiteX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from asnet_mlir.hardware.shell.options import Framing, Shell
from asnet_mlir.hardware.shell.register_map import ADDRESS_BITS, Register
from asnet_mlir.hardware.shell.top import LITE_PREFIX, Port, clock_and_reset, ports

__all__ = ["Package", "component_xml", "litex_module"]

_SPIRIT = "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"
_XILINX = "http://www.xilinx.com"


@dataclass(frozen=True)
class Package:
    """What is packaged.

    Attributes:
      name: of the top module.
      version: of this package.
      shell, framing: what is around the network.
      registers: of its control block.
      sources, roms: files of the bundle.
    """

    name: str
    version: str
    shell: Shell
    framing: Framing
    registers: Sequence[Register]
    sources: Sequence[str]
    roms: Sequence[str]


def component_xml(package: Package) -> bytes:
    """Return the bundle as a component of IP-XACT (IEEE 1685-2009, as Vivado reads it)."""
    ElementTree.register_namespace("spirit", _SPIRIT)
    ElementTree.register_namespace("xilinx", _XILINX)
    root = ElementTree.Element(f"{{{_SPIRIT}}}component")
    _name_of_component(root, package)
    _bus_interfaces(_sub(root, "busInterfaces"), package)
    if package.shell.weights == "stream":
        space = _sub(_sub(root, "addressSpaces"), "addressSpace")
        _sub(space, "name", "m_axi")
        _sub(space, "range", "4G")
        _sub(space, "width", "32")
    if package.registers:
        _memory_map(_sub(root, "memoryMaps"), package)
    _model(_sub(root, "model"), package)
    sets = _sub(root, "fileSets")
    for set_name in ("synthesis", "simulation"):
        _file_set(_sub(sets, "fileSet"), set_name, package)
    _sub(root, "description", f"The network {package.name} as hardware")
    parameters = _sub(root, "parameters")
    _parameter(parameters, "Component_Name", package.name)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    assert isinstance(text, bytes)
    return text + b"\n"


def _sub(parent: ElementTree.Element, tag: str, text: str | None = None) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, f"{{{_SPIRIT}}}{tag}")
    element.text = text
    return element


def _name_of_component(root: ElementTree.Element, package: Package) -> None:
    for tag, text in (
        ("vendor", "asnet"),
        ("library", "network"),
        ("name", package.name),
        ("version", ".".join(package.version.split(".")[:2])),
    ):
        _sub(root, tag, text)


def _parameter(parent: ElementTree.Element, name: str, value: str) -> None:
    parameter = _sub(parent, "parameter")
    _sub(parameter, "name", name)
    _sub(parameter, "value", value)


def _bus(
    parent: ElementTree.Element, name: str, vendor: tuple[str, str], bus: str, mode: str
) -> ElementTree.Element:
    """Begin a bus interface; `vendor` is the domain and the library of its definition."""
    interface = _sub(parent, "busInterface")
    _sub(interface, "name", name)
    for tag, suffix in (("busType", ""), ("abstractionType", "_rtl")):
        element = _sub(interface, tag)
        for key, value in (
            ("vendor", vendor[0]),
            ("library", vendor[1]),
            ("name", f"{bus}{suffix}"),
            ("version", "1.0"),
        ):
            element.set(f"{{{_SPIRIT}}}{key}", value)
    side = _sub(interface, mode)
    if mode == "master" and bus == "aximm":
        _sub(side, "addressSpaceRef").set(f"{{{_SPIRIT}}}addressSpaceRef", name)
    if mode == "slave" and bus == "aximm":
        _sub(side, "memoryMapRef").set(f"{{{_SPIRIT}}}memoryMapRef", name)
    return interface


def _port_maps(interface: ElementTree.Element, maps: Sequence[tuple[str, str]]) -> None:
    maps_element = _sub(interface, "portMaps")
    for logical, physical in maps:
        port_map = _sub(maps_element, "portMap")
        _sub(_sub(port_map, "logicalPort"), "name", logical)
        _sub(_sub(port_map, "physicalPort"), "name", physical)


def _bus_interfaces(parent: ElementTree.Element, package: Package) -> None:
    names = [port.name for port in ports(package.shell, package.framing)]
    buses = [("s_axis", "axis", "slave"), ("m_axis", "axis", "master")]
    if package.shell.weights == "load":
        buses.append(("s_weights", "axis", "slave"))
    if package.shell.weights == "stream":
        buses.append(("m_axi", "aximm", "master"))
    if package.registers:
        buses.append(("s_axi", "aximm", "slave"))
    for prefix, bus, mode in buses:
        interface = _bus(parent, prefix, ("xilinx.com", "interface"), bus, mode)
        own = [name for name in names if name.startswith(f"{prefix}_")]
        maps = [(name.removeprefix(f"{prefix}_").upper(), name) for name in own]
        _port_maps(interface, maps)
    clock, reset = clock_and_reset(package.shell)
    interface = _bus(parent, clock, ("xilinx.com", "signal"), "clock", "slave")
    _port_maps(interface, [("CLK", clock)])
    parameters = _sub(interface, "parameters")
    _parameter(parameters, "ASSOCIATED_BUSIF", ":".join(prefix for prefix, _, _ in buses))
    _parameter(parameters, "ASSOCIATED_RESET", reset)
    interface = _bus(parent, reset, ("xilinx.com", "signal"), "reset", "slave")
    _port_maps(interface, [("RST", reset)])
    active = "ACTIVE_LOW" if package.shell.ports == "vivado" else "ACTIVE_HIGH"
    _parameter(_sub(interface, "parameters"), "POLARITY", active)


def _memory_map(parent: ElementTree.Element, package: Package) -> None:
    memory_map = _sub(parent, "memoryMap")
    _sub(memory_map, "name", LITE_PREFIX.rstrip("_"))
    block = _sub(memory_map, "addressBlock")
    _sub(block, "name", "registers")
    _sub(block, "baseAddress", "0")
    _sub(block, "range", str(1 << ADDRESS_BITS))
    _sub(block, "width", "32")
    _sub(block, "usage", "register")
    accesses = {"ro": "read-only", "rw": "read-write", "w1": "write-only"}
    for register in package.registers:
        element = _sub(block, "register")
        _sub(element, "name", register.name)
        _sub(element, "addressOffset", f"0x{register.address:x}")
        _sub(element, "size", "32")
        _sub(element, "access", "read-write" if register.is_written else "read-only")
        for field in register.fields:
            part = _sub(element, "field")
            _sub(part, "name", field.name)
            _sub(part, "description", field.text)
            _sub(part, "bitOffset", str(field.low))
            _sub(part, "bitWidth", str(field.bits))
            _sub(part, "access", accesses[field.access])


def _model(model: ElementTree.Element, package: Package) -> None:
    views = _sub(model, "views")
    for name, purpose in (("synthesis", "synthesis"), ("simulation", "simulation")):
        view = _sub(views, "view")
        _sub(view, "name", name)
        _sub(view, "envIdentifier", f":vivado.xilinx.com:{purpose}")
        _sub(view, "language", "SystemVerilog")
        _sub(view, "modelName", package.name)
        _sub(_sub(view, "fileSetRef"), "localName", name)
    elements = _sub(model, "ports")
    for port in ports(package.shell, package.framing):
        element = _sub(elements, "port")
        _sub(element, "name", port.name)
        wire = _sub(element, "wire")
        _sub(wire, "direction", "in" if port.is_input else "out")
        if port.bits > 1:
            vector = _sub(wire, "vector")
            _sub(vector, "left", str(port.bits - 1))
            _sub(vector, "right", "0")
    parameters = _sub(model, "modelParameters")
    parameter = _sub(parameters, "modelParameter")
    parameter.set(f"{{{_SPIRIT}}}dataType", "string")
    _sub(parameter, "name", "RomFolder")
    _sub(parameter, "value", "rom")


def _file_set(file_set: ElementTree.Element, name: str, package: Package) -> None:
    _sub(file_set, "name", name)
    for path in package.sources:
        file = _sub(file_set, "file")
        _sub(file, "name", path)
        is_verilog = path.endswith(".v")
        _sub(file, "fileType", "verilogSource" if is_verilog else "systemVerilogSource")
    for path in package.roms:
        file = _sub(file_set, "file")
        _sub(file, "name", path)
        _sub(file, "userFileType", "mem")


def litex_module(package: Package) -> bytes:
    """Return a module of Python for LiteX: streams, the control block's bus, sources and ROMs."""
    own = ports(package.shell, package.framing)
    clock, reset = clock_and_reset(package.shell)
    values = {
        clock: "ClockSignal()",
        reset: "~ResetSignal()" if package.shell.ports == "vivado" else "ResetSignal()",
        **{one: f"self.{one}" for one in _signals(package)},
    }
    streams = {"s_axis_t": "self.sink", "m_axis_t": "self.source", "s_weights_t": "self.weights"}
    signals = {"data": "data", "valid": "valid", "ready": "ready", "last": "last", "user": "error"}
    lines = []
    for port in own:
        value = values.get(port.name, "")
        for prefix, stream in streams.items():
            if port.name.startswith(prefix):
                value = f"{stream}.{signals.get(port.name.removeprefix(prefix), 'keep')}"
        for prefix, bus in ((LITE_PREFIX, "bus"), ("m_axi_", "memory")):
            if port.name.startswith(prefix):
                value = _bus_signal(port.name.removeprefix(prefix), bus)
        lines.append(f"            {'i' if port.is_input else 'o'}_{port.name}={value},")
    keep = f', ("keep", {package.framing.output.width // 8})' if _has_keep(own) else ""
    members = "".join(
        f"        self.{name} = Signal({bits})\n" for name, bits in _signals(package).items()
    )
    if package.shell.weights == "load":
        members += """        #: Frames of weights; see the bundle's page.
        self.weights = stream.Endpoint([("data", 32)])
"""
    if package.shell.weights == "stream":
        members += """        #: AXI4, reads of weights.
        self.memory = axi.AXIInterface(data_width=32, address_width=32)
"""
    if package.registers:
        members += f"""        #: AXI4-Lite, {1 << ADDRESS_BITS} bytes of registers.
        self.bus = axi.AXILiteInterface(data_width=32, address_width={ADDRESS_BITS})
"""
    has_bus = package.registers or package.shell.weights == "stream"
    text = _LITEX.format(
        name=package.name,
        class_name="".join(part.capitalize() for part in package.name.split("_") if part)
        or "Network",
        axi="from litex.soc.interconnect import axi, stream"
        if has_bus
        else "from litex.soc.interconnect import stream",
        input=package.framing.input.width,
        output=package.framing.output.width,
        keep=keep,
        members=members,
        ports="\n".join(lines),
    )
    return text.encode()


def _has_keep(own: Sequence[Port]) -> bool:
    return any(port.name == "m_axis_tkeep" for port in own)


def _signals(package: Package) -> dict[str, int]:
    """Return the ports that are signals of the module by themselves, with their bits."""
    names = (
        "frame_error",
        "frame_error_clear",
        "weights_loaded",
        "weights_error",
        "weights_address",
    )
    return {
        port.name: port.bits for port in ports(package.shell, package.framing) if port.name in names
    }


def _bus_signal(name: str, bus: str) -> str:
    """Return the signal of LiteX's interface that a port of AXI is connected to."""
    channel = name[:2] if name.startswith("a") else name[:1]
    signal = name.removeprefix(channel)
    if signal == "prot" and bus == "bus":  # its AXI4-Lite has none
        return "0"
    return f"self.{bus}.{channel}.{signal}"


_LITEX = '''"""The network {name} in a SoC of LiteX: streams in and out; add it as a submodule.

It reads its ROMs from the folder `rom` beside this file.  `platform.add_extension` and pins are the
SoC's.
"""

from pathlib import Path

from migen import ClockSignal, Instance, Module, ResetSignal, Signal
{axi}

FOLDER = Path(__file__).resolve().parent


class {class_name}(Module):
    """Samples go into `sink`, answers come out of `source`; `last` ends a frame of either."""

    def __init__(self, platform=None):
        self.sink = stream.Endpoint([("data", {input})])
        #: `error` is 1 beside the `last` of an answer to a sample of a wrong length.
        self.source = stream.Endpoint([("data", {output}), ("error", 1){keep}])
{members}        self.specials += Instance(
            "{name}",
            p_RomFolder=str(FOLDER / "rom"),
{ports}
        )
        if platform is not None:
            add_sources(platform)


def add_sources(platform):
    """Add the sources of the network to a platform, in their order."""
    for path in (FOLDER / "filelist.f").read_text().split():
        platform.add_source(str(FOLDER / path), "systemverilog")
'''
