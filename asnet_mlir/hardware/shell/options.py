# SPDX-License-Identifier: Apache-2.0
"""What a shell is asked for, and the words that its streams then carry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.support.formats import NumberFormat

__all__ = [
    "_BURST_WORDS",
    "PLAIN",
    "PORTS",
    "WIDTHS",
    "Edge",
    "Framing",
    "Shell",
    "WeightMemory",
    "weight_image",
    "weight_places",
]

#: Names of ports: `clk` and `rst`, or `aclk` and `aresetn`, 0 resets.
PORTS = ("plain", "vivado")
#: Bits that the streams of integers may be made to have.
WIDTHS = (8, 16, 32)


@dataclass(frozen=True)
class Shell:
    """What is around the hardware of a network.

    Attributes:
      stream_width: bits of a word of both streams, several numbers a word; None: one number.
      argmax: answers are indices of the greatest number of the last axis.
      ports: one of `PORTS`.
      control: registers behind an AXI4-Lite port.
      weights: `rom`, or where else weights are: `load`, in RAM; `stream`, in external memory.
    """

    stream_width: int | None = None
    argmax: bool = False
    ports: str = "plain"
    control: bool = False
    weights: str = "rom"

    def __post_init__(self) -> None:
        if self.ports not in PORTS:
            raise InputError(f"unknown names of ports '{self.ports}'; there are {', '.join(PORTS)}")
        if self.stream_width is not None and self.stream_width not in WIDTHS:
            widths = ", ".join(map(str, WIDTHS))
            raise InputError(f"stream width {self.stream_width}: widths are {widths}")

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing around the network."""
        return self == PLAIN

    def to_json(self) -> dict[str, Any]:
        """Return what a manifest says of it."""
        return asdict(self)

    @staticmethod
    def of(manifest: Mapping[str, Any]) -> Shell:
        """Return the shell of a bundle.

        Raises:
          InputError: the manifest is damaged.
        """
        try:
            return Shell(**manifest.get("shell", {}))
        except TypeError:
            raise InputError("the manifest's shell is damaged; generate the bundle anew") from None


#: A network as it is.
PLAIN = Shell()


@dataclass(frozen=True)
class WeightMemory:
    """Weights of an engine that lie outside.

    Attributes:
      layer: of the network.
      words: of 32 bits, all of them.
      row_words: words of what a step takes.
      room: words of the ring that they come through, of a stream.
      reads: how often a sample wants all of them, of a stream.
    """

    layer: str
    words: tuple[int, ...]
    row_words: int
    room: int
    reads: int


#: A burst begins at a multiple of so many words.
_BURST_WORDS = 16


def weight_places(memories: Sequence[WeightMemory]) -> list[int]:
    """Return the byte from which on each memory's words lie in external memory."""
    places, place = [], 0
    for memory in memories:
        places.append(place)
        place += 4 * -(-len(memory.words) // _BURST_WORDS) * _BURST_WORDS
    return places


def weight_image(mode: str, memories: Sequence[WeightMemory]) -> list[int]:
    """Return the words that are loaded, their sum behind them, or that lie in external memory."""
    if mode == "load":
        words = [word for memory in memories for word in memory.words]
        return [*words, sum(words) & 0xFFFFFFFF]
    words = []
    for memory in memories:
        words += memory.words
        words += [0] * (-len(words) % _BURST_WORDS)
    return words


@dataclass(frozen=True)
class Edge:
    """A stream of frames.

    Attributes:
      codes: numbers of a frame.
      bits: of a number.
      width: bits of a word.
    """

    codes: int
    bits: int
    width: int

    @property
    def lanes(self) -> int:
        """Numbers of a word."""
        return self.width // self.bits

    @property
    def words(self) -> int:
        """Words of a frame."""
        return -(-self.codes // self.lanes)

    def to_words(self, numbers: np.ndarray) -> np.ndarray:
        """Return uint32[n, words] of uint32[n, codes], the first number in the lowest bits."""
        padded = np.zeros((len(numbers), self.words * self.lanes), np.uint32)
        padded[:, : self.codes] = numbers
        shifts = np.arange(self.lanes, dtype=np.uint32) * np.uint32(self.bits % 32)
        parts = padded.reshape(len(numbers), self.words, self.lanes) << shifts
        return np.bitwise_or.reduce(parts, axis=2).astype(np.uint32)

    def from_words(self, words: np.ndarray) -> np.ndarray:
        """Return uint32[n, codes] of uint32[n, words]."""
        shifts = np.arange(self.lanes, dtype=np.uint32) * np.uint32(self.bits % 32)
        parts = words[:, :, np.newaxis] >> shifts & np.uint32((1 << self.bits) - 1)
        return parts.reshape(len(words), -1)[:, : self.codes]


@dataclass(frozen=True)
class Framing:
    """The streams of a network in its shell.

    Attributes:
      input, output: its edges.
      classes: of the argmax; 0: there is none.
      format: of the numbers that the network gives.
    """

    input: Edge
    output: Edge
    classes: int
    format: NumberFormat

    @property
    def has_floats(self) -> bool:
        """Whether a word of the answers is a float, so that its NaNs are one."""
        return self.format.is_float and not self.classes

    @staticmethod
    def of(
        shell: Shell,
        formats: tuple[NumberFormat, NumberFormat],
        shapes: tuple[tuple[int, ...], tuple[int, ...]],
    ) -> Framing:
        """Return the streams of a network.

        Args:
          formats, shapes: of a sample and of an answer.

        Raises:
          InputError: its numbers do not fit into words of the width, or there is nothing to choose.
        """
        bits = [_stored_bits(one) for one in formats]
        widths = []
        for edge, own in zip(("input", "output"), bits, strict=True):
            width = shell.stream_width or own
            if width % own and not (shell.argmax and edge == "output"):
                raise InputError(
                    f"stream width {width}: numbers of the {edge} have {own} bits, of which a word "
                    "holds a whole number"
                )
            widths.append(width)
        counts = [math.prod(shape) for shape in shapes]
        if not shell.argmax:
            given, taken = (Edge(*one) for one in zip(counts, bits, widths, strict=True))
            return Framing(given, taken, 0, formats[1])
        classes = shapes[1][-1] if shapes[1] else 1
        if classes < 2:
            raise InputError(
                "argmax: the network's answer is one number, of which none is greatest"
            )
        index = next(size for size in WIDTHS if classes <= 1 << size)
        width = shell.stream_width or index
        if width % index:
            raise InputError(
                f"stream width {width}: an index of {classes} classes has {index} bits, of which a "
                "word holds a whole number"
            )
        output = Edge(counts[1] // classes, index, width)
        return Framing(Edge(counts[0], bits[0], widths[0]), output, classes, formats[1])

    def to_input(self, numbers: np.ndarray) -> np.ndarray:
        """Return the words uint32[n, words] that bring bits of samples, uint32[n, numbers]."""
        return self.input.to_words(numbers)

    def to_output(self, numbers: np.ndarray) -> np.ndarray:
        """Return the words uint32[n, words] that answer with bits uint32[n, numbers]."""
        if self.classes:
            values = self.format.from_words(numbers).reshape(len(numbers), -1, self.classes)
            numbers = np.argmax(values, axis=2).astype(np.uint32)
        return self.output.to_words(numbers)


def _stored_bits(format: NumberFormat) -> int:
    return 32 if format.is_float else format.width
