# SPDX-License-Identifier: Apache-2.0
"""The board of examples/boards/ulx3s behind its UART, by the host's own script, and line faults."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.frontends.program import from_program
from asnet_mlir.hardware.bundle import kit
from asnet_mlir.quantized import Builder, Quantization
from asnet_mlir.support import verilator

BOARD = Path(__file__).parents[2] / "examples" / "boards" / "ulx3s"
_NAMES = ("uart_rx", "uart_tx", "crc16", "link", "board")
SOURCES = [
    BOARD / "rtl" / f"{name}.sv" for name in ("uart_rx", "uart_tx", "crc16", "link", "board")
]
CODES = 13  # of a sample

_spec = importlib.util.spec_from_file_location("ulx3s_host", BOARD / "host.py")
host = importlib.util.module_from_spec(_spec)
sys.modules["ulx3s_host"] = host
_spec.loader.exec_module(host)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A small network that gives codes, with an approximate multiplier."""
    rng = np.random.default_rng(3)
    codes = Quantization(np.array([0.05]), np.array([-3]))
    scale = Quantization(np.array([0.01]), np.array([0]))
    weights = rng.integers(-127, 128, (CODES, 5)).astype(np.int8)
    net = Builder("small", (CODES,), codes)
    network = from_program(
        net.program(net.dense(net.input, weights, scale, None, codes, layer="d"))
    )
    folder = tmp_path_factory.mktemp("board") / "bundle"
    binding = "muli=kulkarni:N=8,SIGN_MAGNITUDE=8"
    asnet_mlir.generate(network, binding, output=folder, prefix="network")
    return folder


@pytest.fixture(scope="module")
def program(bundle):
    """The board in Verilator, with 4 clocks a bit and short pauses."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    folder = bundle.parent / "build"
    folder.mkdir()
    macros = {
        "NETWORK": manifest["top"],
        "IN_BYTES": manifest["input_words"],
        "OUT_BYTES": manifest["output_words"],
    }
    verilator.translate(
        [*(bundle / "filelist.f").read_text().split(), *SOURCES],
        top="board",
        prefix="Vboard",
        into=folder,
        cwd=bundle,
        options=[
            *(f"-D{name}={value}" for name, value in macros.items()),
            *("-GClocksPerBit=4", "-GPause=60", "-Wno-lint", "--x-assign", "fast"),
        ],
        purpose="translating the board",
    )
    parts = [*(path.name for path in folder.glob("Vboard*.cpp")), BOARD / "sim" / "uart_bench.cpp"]
    (folder / "all.cpp").write_text("".join(f'#include "{part}"\n' for part in parts))
    verilator.compile_model(
        [folder / "all.cpp"],
        folder / "bench",
        level="-O0",
        defines=["-DMAX_BITS=4000"],
        includes=[folder],
        cwd=folder,
        purpose="compiling the board",
    )
    return folder / "bench"


@pytest.fixture
def line(program, bundle):
    with host.Simulated(program, bundle) as simulated:
        yield simulated


@pytest.fixture(scope="module")
def vectors(bundle):
    """Samples as bytes, and the answers that the software gives."""
    found = kit.read_vectors(bundle, json.loads((bundle / "manifest.json").read_text()))
    return [row.astype(np.uint8).tobytes() for row in found.inputs], [
        row.astype(np.uint8).tobytes() for row in found.outputs
    ]


def test_answers_are_the_softwares(line, vectors):
    link = host.Link(line)
    answers = [link.ask(sample) for sample in vectors[0]]
    assert [answer for answer, _ in answers] == vectors[1]
    assert len({cycles for _, cycles in answers}) == 1 and answers[0][1] > CODES


def once(line, link, packet, sample):
    """Send bytes as they are; return the status that comes back, then ask for an answer."""
    line.write(packet)
    with pytest.raises(host.BoardError) as raised:
        link._answer()
    return str(raised.value), link.ask(sample)[0]


def test_a_wrong_check_sum_is_answered_and_forgotten(line, vectors):
    packet = bytearray(host.packet(vectors[0][0]))
    packet[5] ^= 0x10
    said, answer = once(line, host.Link(line), bytes(packet), vectors[0][1])
    assert (said, answer) == (host.ERRORS[1], vectors[1][1])


@pytest.mark.parametrize("place", [1, 2, 8, CODES + 4])
def test_a_framing_error_is_answered_and_recovered_from(line, vectors, place):
    for number, byte in enumerate(host.packet(vectors[0][0])):
        line.command(int(number == place), byte)
    link = host.Link(line)
    with pytest.raises(host.BoardError, match="framing error"):
        link._answer()
    assert link.ask(vectors[0][2])[0] == vectors[1][2]


def test_a_packet_that_stops_is_given_up(line, vectors):
    said, answer = once(line, host.Link(line), host.packet(vectors[0][0])[:9], vectors[0][3])
    assert (said, answer) == (host.ERRORS[3], vectors[1][3])


def test_a_sample_of_another_length_is_refused(line, vectors):
    said, answer = once(line, host.Link(line), host.packet(b"abc"), vectors[0][3])
    assert (said, answer) == (host.ERRORS[4], vectors[1][3])


def test_noise_between_packets_does_no_harm(line, vectors):
    line.write(bytes(byte for byte in range(256) if byte != 0xA5))
    line.command(1, 0x55)
    line.command(2, 10)
    assert host.Link(line).ask(vectors[0][4])[0] == vectors[1][4]


def test_the_host_sends_again_what_was_lost(line, vectors):
    """A line that spoils a byte of the first packet."""

    class Noisy:
        broken = False

        def write(self, data):
            line.write(data[:6])
            line.command(int(not self.broken), data[6])
            self.broken = True
            line.write(data[7:])

        read = staticmethod(line.read)

    assert host.Link(Noisy()).ask(vectors[0][0])[0] == vectors[1][0]


def test_a_silent_board_is_an_error(bundle):
    class Silent:
        def write(self, data):
            pass

        def read(self, size):
            return b""

    with pytest.raises(host.BoardError, match="after 2 tries: the board does not answer"):
        host.Link(Silent(), retries=1).ask(b"x")


def test_check_sums_are_those_of_the_standard():
    assert host.crc16(b"123456789") == 0x29B1  # CRC-16/CCITT-FALSE's check value


def test_classes_are_named_as_the_evaluator_counts_them():
    info = {"info": {"output_format": "i8"}}
    assert host.best(bytes([0x80, 5, 5, 0xFF]), info) == 1
    assert host.best(bytes([7]), {"shell": {"argmax": True}, **info}) == 7
