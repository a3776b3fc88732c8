# SPDX-License-Identifier: Apache-2.0
"""Frames of an input stream, brought to the length that the hardware wants.

A frame ends at its `tlast`.  Every frame gives an answer: the words that a short one lacks are NaN,
those that a long one has too many are taken and thrown away.  So the frames behind it are answered
rightly, and answers come in the order of frames, as many as there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from hw_module import NAN, Module, is_nan

__all__ = ["InputFrames"]


@dataclass(frozen=True)
class _Stream:
    """The signals of a stream of words that comes in."""

    data: str
    valid: str
    last: str


class InputFrames:
    """The input stream of a network.

    Attributes:
      word: the word for the hardware, a NaN of floats canonical.
      valid: there is one.
      wrong: it shows that its frame has the wrong length: the frame ends with it but should not, or
        should but does not.
      is_wrong: the frame of which it is the last word has the wrong length.
    """

    def __init__(self, m: Module, clk: str, rst: str, has_floats: bool = True) -> None:
        self.m = m
        self.clk = clk
        self.rst = rst
        self.stream = _Stream(
            m.input("s_axis_tdata", 32), m.input("s_axis_tvalid", 1), m.input("s_axis_tlast", 1)
        )
        self.padding = m.forward("padding", 1)
        self.discarding = m.forward("discarding", 1)
        # No other padding takes so little logic, as a NaN in the stream becomes this one, too.
        is_poison = self.padding
        if has_floats:
            is_poison = m.or_(is_poison, is_nan(m, self.stream.data))
        self.word = m.hint("word", m.mux(is_poison, m.constant(NAN, 32), self.stream.data))
        offered = m.and_(self.stream.valid, m.not_(self.discarding))
        self.valid = m.hint("word_offered", m.or_(self.padding, offered))

    def connect(self, received: str, at_end: str) -> None:
        """Define what happens to frames.

        Args:
          received: the hardware takes the word.
          at_end: that should be the last one of a frame.
        """
        m, last = self.m, self.stream.last
        self.is_wrong = m.or_(self.padding, m.not_(last))
        is_word = m.hint("received_from_stream", m.and_(received, m.not_(self.padding)))
        self.wrong = m.name_as("wrong_length", m.and_(is_word, m.xor(last, at_end)))
        ends = m.and_(received, at_end)
        padding = m.and_(m.or_(self.padding, m.and_(received, last)), m.not_(ends))
        m.register("padding", padding, self.clk, self.rst)
        too_long = m.or_(self.discarding, m.and_(is_word, at_end))
        ended = m.and_(self.stream.valid, last)
        m.register("discarding", m.and_(too_long, m.not_(ended)), self.clk, self.rst)

    def ready(self, takes: str) -> str:
        """Return `tready` where the hardware would take a word."""
        m = self.m
        return m.or_(self.discarding, m.and_(takes, m.not_(self.padding)))

    def error(self, late: list[str], clear: str) -> None:
        """Make the flag that says that something went wrong since it was cleared."""
        m = self.m
        kept = m.and_(m.forward("error_seen", 1), m.not_(clear))
        m.register("error_seen", m.or_(kept, self.wrong, *late), self.clk, self.rst)
        m.output("frame_error", "%error_seen")
