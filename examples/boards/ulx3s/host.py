# SPDX-License-Identifier: Apache-2.0
"""Sends samples to the board, and shows its answers and the cycles that they took.

    python host.py /dev/ttyUSB0 --data mnist:test -n 20 --bundle build/bundle

The packets are those of rtl/link.sv.  One that comes to nothing, by noise on the line or a pause of
the USB, is sent again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import numpy as np

BAUD = 3_000_000
CLOCK_HZ = 60_000_000
#: What a status says.
ERRORS = {
    1: "the board read a wrong check sum",
    2: "the board saw a framing error",
    3: "the line paused in the middle of the sample",
    4: "the board's network takes samples of another length",
}
_TO_BOARD, _FROM_BOARD = 0xA5, 0x5A


class Line(Protocol):
    """What a `Link` needs of a serial port: pyserial's `Serial` has it."""

    def write(self, data: bytes) -> object:
        """Send bytes."""

    def read(self, size: int) -> bytes:
        """Return so many bytes, or fewer where no more come in time."""


class BoardError(Exception):
    """The board did not answer, or said why it can't."""


def crc16(data: bytes) -> int:
    """Return the CRC-16/CCITT-FALSE of bytes: polynomial 0x1021, begun with 0xffff."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def packet(sample: bytes) -> bytes:
    """Return the packet of a sample."""
    body = len(sample).to_bytes(2, "little") + sample
    return bytes([_TO_BOARD]) + body + crc16(body).to_bytes(2, "little")


class Link:
    """A board at the end of a line."""

    def __init__(self, line: Line, retries: int = 3) -> None:
        self._line, self._retries = line, retries

    def ask(self, sample: bytes) -> tuple[bytes, int]:
        """Return the answer to a sample, and the clock cycles that it took.

        Raises:
          BoardError: there was none, so many tries after each other.
        """
        reason = ""
        for _ in range(self._retries + 1):
            self._line.write(packet(sample))
            try:
                return self._answer()
            except BoardError as error:
                reason = str(error)
        raise BoardError(f"no answer after {self._retries + 1} tries: {reason}")

    def _answer(self) -> tuple[bytes, int]:
        while (first := self._read(1)[0]) != _FROM_BOARD:
            pass  # the rest of an answer that was lost
        del first
        head = self._read(3)
        status, length = head[0], int.from_bytes(head[1:], "little")
        body = self._read(length + 4) if length else b""
        if int.from_bytes(self._read(2), "little") != crc16(head + body):
            raise BoardError("the answer has a wrong check sum")
        if status:
            raise BoardError(ERRORS.get(status, f"status {status}"))
        return body[:length], int.from_bytes(body[length:], "little")

    def _read(self, size: int) -> bytes:
        data = self._line.read(size)
        if len(data) < size:
            raise BoardError("the board does not answer")
        return data


class Simulated:
    """The board in Verilator, as a line; see sim/uart_bench.cpp."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
        )

    def __enter__(self) -> Simulated:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def command(self, kind: int, value: int = 0, answers: int = 0) -> bytes:
        """Do something to the line; return so many bytes of the bench."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(bytes([kind, value]))
        if not answers:
            return b""
        self._process.stdin.flush()
        return self._process.stdout.read(answers)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        for byte in data:
            self.command(0, byte)

    def read(self, size: int) -> bytes:
        """Return so many bytes, or fewer where no more come."""
        result = b""
        while len(result) < size:
            came, byte = self.command(3, answers=2)
            if not came:
                break
            result += bytes([byte])
        return result


def best(answer: bytes, manifest: dict[str, object]) -> int:
    """Return the class that an answer names: its index, or the place of its greatest code."""
    shell = manifest.get("shell") or {}
    if isinstance(shell, dict) and shell.get("argmax"):
        return int.from_bytes(answer, "little")
    info = manifest["info"]
    assert isinstance(info, dict)
    is_signed = str(info.get("output_format", "i8")).startswith("i")
    return int(np.argmax(np.frombuffer(answer, np.int8 if is_signed else np.uint8)))


def run(line: Line, bundle: Path, data: str, samples: int) -> None:
    """Send samples of a data set; print answers and cycles."""
    from asnet_mlir.data import load_data
    from asnet_mlir.support.formats import parse_format

    manifest = json.loads((bundle / "manifest.json").read_text())
    format = parse_format(manifest["info"]["input_format"])
    dataset = load_data(data, format).head(samples)
    link, right, began = Link(line), 0, time.monotonic()
    for number in range(len(dataset.x)):
        sample = np.ascontiguousarray(dataset.x[number], format.dtype).tobytes()
        answer, cycles = link.ask(sample)
        named, label = best(answer, manifest), int(np.asarray(dataset.y)[number])
        right += named == label
        milliseconds = 1000 * cycles / CLOCK_HZ
        print(f"image {number}: {named} (label {label}), {cycles} cycles, {milliseconds:.2f} ms")
    seconds = time.monotonic() - began
    print(f"{right} of {len(dataset.x)} right, {len(dataset.x) / seconds:.0f} images/s")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("port", help="as /dev/ttyUSB0; or the program that `make simulate` builds")
    parser.add_argument("--bundle", type=Path, default=Path("build/bundle"))
    parser.add_argument("--data", default="mnist:test")
    parser.add_argument("-n", type=int, default=10, dest="samples")
    options = parser.parse_args()
    try:
        if Path(options.port).is_file():
            with Simulated(Path(options.port).resolve(), options.bundle) as line:
                run(line, options.bundle, options.data, options.samples)
            return
        import serial  # pip install pyserial

        with serial.Serial(options.port, BAUD, timeout=1.0) as port:
            port.reset_input_buffer()
            run(port, options.bundle, options.data, options.samples)
    except (BoardError, OSError) as error:
        print(f"{options.port}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
