# SPDX-License-Identifier: Apache-2.0
"""How an engine goes through a loop nest: its order, its ring of codes, its lanes, its cycles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asnet_mlir.errors import UnsupportedError
from asnet_mlir.hardware.integers.code_graph import Access, Generic, Tensor, gathered

__all__ = ["Wanted", "Window", "output_order", "plan"]


@dataclass(frozen=True)
class Wanted:
    """What is wanted of an engine: the fewest cycles, then the fewest terms at once.

    Attributes:
      terms: at once at most.
      cycles: of a sample; fewer are worth nothing.
    """

    terms: int = 1 << 20
    cycles: int = 0


@dataclass(frozen=True)
class Window:
    """An engine's loops; words are `codes` codes.

    Attributes:
      x: what is read.
      lanes: outputs at once, neighbours in the innermost dimension, of each of the pixels.
      pack: codes of the reduction at once.
      pixels: neighbours in the dimension around that whose outputs are computed at once, all of
        each; a word is read for each of them.  They are pixels of a row, or groups of channels.
      shared: whether all of them take the same weights, as pixels do.
      pixel_step: words from one of them to the next.
      apart: each lane reads a code of its own, neighbours in a word; else all read the same ones.
      last_lanes: outputs of a dimension's last group.
      sizes, deltas: of the loops, the innermost one first; see `asnet_window`.
      depth: steps of an output.
      group_loop, weight_loop: places of the loops behind the reduction: over groups of lanes, and
        the outermost one on which weights depend.
      chunks, need, need_last, step, step_last, first, ring_bits: see `asnet_window`.
      outputs, work: of a sample: results, and terms that are reduced.
      cycles: of a sample.
      weights: of each constant operand int64[words, weight_lanes, pack].
    """

    x: Tensor
    lanes: int
    pack: int
    pixels: int
    pixel_step: int
    shared: bool
    apart: bool
    last_lanes: int
    sizes: tuple[int, ...]
    deltas: tuple[int, ...]
    depth: int
    group_loop: int
    weight_loop: int
    chunks: int
    need: int
    need_last: int
    step: int
    step_last: int
    first: int
    ring_bits: int
    outputs: int
    work: int
    cycles: int
    weights: tuple[np.ndarray, ...]

    @property
    def codes(self) -> int:
        """Codes of a word."""
        return self.lanes_each if self.apart else self.pack

    @property
    def lanes_each(self) -> int:
        """Outputs at once of each pixel."""
        return self.lanes // self.pixels

    @property
    def weight_lanes(self) -> int:
        """Lanes that take weights of their own."""
        return self.lanes_each if self.shared else self.lanes

    @property
    def steps(self) -> int:
        """Steps of a sample."""
        return self.cycles - self.chunks * max(0, 1 - self.gap) - self.groups * self.gap

    @property
    def groups(self) -> int:
        """How often lanes begin an output for a sample."""
        return (self.cycles - self.chunks * max(0, 1 - self.gap)) // (self.depth + self.gap)

    @property
    def gap(self) -> int:
        """Cycles after a group in which its results leave."""
        return max(0, self.lanes - self.depth)

    @property
    def ahead(self) -> int:
        """Codes that are in the ring while rows come in as others are read."""
        return (self.need + self.step) * self.codes if self.chunks > 1 else 0

    def needed(self) -> np.ndarray:
        """Return how many codes each output wants to have come in, int64[outputs]."""
        chunk = np.arange(self.outputs) // (self.outputs // self.chunks)
        words = chunk * self.step + self.need
        frame = (self.chunks - 1) * self.step + self.step_last
        return np.where(chunk == self.chunks - 1, frame, words) * self.codes


def output_order(node: Generic) -> list[int]:
    """Return the loops over outputs in the order in which results are stored.

    Raises:
      UnsupportedError: results are not stored each at a place of its own.
    """
    matrix = node.result_access.matrix
    order = []
    for row in matrix:
        (loops,) = np.nonzero(row)
        if len(loops) == 1 and row[loops[0]] == 1:
            order.append(int(loops[0]))
        elif len(loops):
            raise UnsupportedError(f"hardware of codes can't store so (layer '{node.layer}')")
    parallel = [loop for loop, reduced in enumerate(node.reduced) if not reduced]
    missing = [loop for loop in parallel if loop not in order and node.sizes[loop] > 1]
    if missing or node.result_access.offsets.any():
        raise UnsupportedError(f"hardware of codes can't store so (layer '{node.layer}')")
    return order


def plan(node: Generic, wanted: Wanted, in_order: bool) -> Window:
    """Choose lanes and codes of a word.

    Args:
      in_order: sums are added up in the defined order, one term after the other.
    """
    streams = [(x, access) for x, access in node.operands if x.constant is None]
    if len(streams) != 1:
        raise UnsupportedError(
            f"hardware of codes reduces one tensor, not {len(streams)} (layer '{node.layer}')"
        )
    x, access = streams[0]
    steps, first = access.flat(x.shape)
    if (steps < 0).any() or first < 0:
        raise UnsupportedError(f"hardware of codes reads forwards (layer '{node.layer}')")
    nest = _Nest(node, x, steps, first)
    # Several pixels want a ring each: they are for what outputs and the reduction do not give.
    best: tuple[tuple[int, int, int, int], int] | None = None
    for lanes in nest.lane_choices(wanted.terms):
        for pack in [1] if in_order else nest.pack_choices(lanes, wanted.terms // lanes):
            for pixels in nest.pixel_choices(lanes, wanted.terms // (lanes * pack)):
                cycles = max(nest.cycles(lanes, pack, pixels), x.size, wanted.cycles)
                key = (cycles, pixels, lanes * pack, pack)
                if best is None or key < best[0]:
                    best = key, lanes
    assert best is not None
    (_, pixels, _, pack), lanes = best
    return nest.window(lanes, pack, pixels)


class _Nest:
    def __init__(self, node: Generic, x: Tensor, steps: np.ndarray, first: int) -> None:
        self._node, self._x, self._steps, self._first = node, x, steps, first
        sizes = node.sizes
        self._outer = [loop for loop in output_order(node) if sizes[loop] > 1]
        self._reduced = [loop for loop, r in enumerate(node.reduced) if r and sizes[loop] > 1]
        self._constants = [one for one in node.operands if one[0].constant is not None]
        self._weighted = [
            loop
            for loop in self._outer
            if any(access.matrix[:, loop].any() for _, access in self._constants)
        ]

        inner = self._outer[-1] if self._outer and self._reduced else None
        # Lanes read the same codes, or neighbours.
        self._lane_loop = inner if inner is not None and steps[inner] in (0, 1) else None
        self._apart = self._lane_loop is not None and steps[self._lane_loop] == 1
        # The loop around lanes, if it is not the one over chunks, and weights depend on no loop
        # around it.
        place = len(self._outer) - (1 if self._lane_loop is None else 2)
        is_free = place > 0 and self._weighted_loops() <= len(self._outer) - place
        self._pixel_loop = self._outer[place] if is_free and self._reduced else None
        self._shared = self._pixel_loop not in self._weighted

    def lane_choices(self, most: int) -> list[int]:
        """Return how many lanes there can be."""
        if self._lane_loop is None:
            return [1]
        size = self._node.sizes[self._lane_loop]
        choices = range(1, min(size, max(most, 1)) + 1)
        if not self._apart:
            return list(choices)
        unit = self._unit(size, [*self._outer[:-1], *self._reduced])
        return [lanes for lanes in choices if unit % lanes == 0]

    def pack_choices(self, lanes: int, most: int) -> list[int]:
        """Return how many codes of the reduction a word can hold, for so many lanes."""
        if not self._reduced or self._steps[self._reduced[-1]] != 1 or (self._apart and lanes > 1):
            return [1]
        last = self._reduced[-1]
        unit = self._unit(self._node.sizes[last], [*self._outer, *self._reduced[:-1]])
        return [pack for pack in range(1, min(unit, max(most, 1)) + 1) if unit % pack == 0]

    def pixel_choices(self, lanes: int, most: int) -> list[int]:
        """Return how many pixels there can be, each of so many lanes, which must be all then."""
        is_whole = self._lane_loop is None or lanes == self._node.sizes[self._lane_loop]
        if self._pixel_loop is None or not is_whole:
            return [1]
        return list(range(1, min(self._node.sizes[self._pixel_loop], max(most, 1)) + 1))

    def _unit(self, size: int, others: Sequence[int]) -> int:
        """Return which words the codes can be cut into such that all steps are whole words."""
        steps = [int(self._steps[loop]) for loop in others]
        return math.gcd(size, self._x.size, self._first, *steps)

    def _outer_sizes(self, lanes: int, pixels: int) -> list[int]:
        """Return how often the loops over outputs run, by groups of lanes and of pixels."""
        groups = {self._lane_loop: lanes, self._pixel_loop: pixels}
        return [-(-self._node.sizes[loop] // groups.get(loop, 1)) for loop in self._outer]

    def _depth(self, pack: int) -> int:
        return math.prod(self._node.sizes[loop] for loop in self._reduced) // pack

    def _weighted_loops(self) -> int:
        """Return how many loops over outputs, the innermost ones, weights are of."""
        if not self._weighted:
            return 1 if self._constants and self._lane_loop is not None else 0
        return len(self._outer) - self._outer.index(self._weighted[0])

    def _chunks(self, lanes: int, pixels: int) -> int:
        """Return how often the outermost loop goes on in the codes, with the same weights."""
        is_chunked = self._outer and self._steps[self._outer[0]] > 0
        if not is_chunked or self._weighted_loops() >= len(self._outer):
            return 1
        return self._outer_sizes(lanes, pixels)[0]

    def cycles(self, lanes: int, pack: int, pixels: int) -> int:
        """Return the cycles of a sample."""
        depth = self._depth(pack)
        gap = max(0, lanes * pixels - depth)
        slots = math.prod(self._outer_sizes(lanes, pixels))
        return slots * (depth + gap) + self._chunks(lanes, pixels) * max(0, 1 - gap)

    def window(self, lanes: int, pack: int, pixels: int) -> Window:
        """Return the loops of a choice."""
        sizes, steps = self._node.sizes, self._steps
        codes = lanes if self._apart else pack
        # Loops from the outside in: size, step in words.
        groups = {self._lane_loop: lanes, self._pixel_loop: pixels}
        outer = [
            (size, int(steps[loop]) * groups.get(loop, 1) // codes)
            for size, loop in zip(self._outer_sizes(lanes, pixels), self._outer, strict=True)
        ]
        pixel_step = 0 if self._pixel_loop is None else int(steps[self._pixel_loop]) // codes
        inner = [(sizes[loop], int(steps[loop]) // codes) for loop in self._reduced]
        if inner:
            last = self._reduced[-1]
            inner[-1] = (sizes[last] // pack, int(steps[last]) * pack // codes)
        chunks = self._chunks(lanes, pixels)
        step = outer[0][1] if chunks > 1 else 0
        nest = [*(outer[1:] if chunks > 1 else outer), *inner][::-1] or [(1, 0)]
        frame = self._x.size // codes
        first = self._first // codes
        beyond = self._beyond(pixels, pixel_step)
        span = first + sum((size - 1) * one for size, one in nest) + beyond + 1
        step_last = frame - (chunks - 1) * step
        need = max(span, step) if chunks > 1 else frame
        ring = step_last + need + step
        depth, weighted = self._depth(pack), self._weighted_loops()
        outputs = math.prod(sizes[loop] for loop in self._outer)
        neighbours = 1 if self._lane_loop is None else sizes[self._lane_loop]
        group_loop = len(inner) if self._lane_loop is not None else max(len(inner) - 1, 0)
        if self._pixel_loop is not None and pixels > 1:
            neighbours *= sizes[self._pixel_loop]
            group_loop = len(inner) + (0 if self._lane_loop is None else 1)
        return Window(
            x=self._x,
            lanes=lanes * pixels,
            pack=pack,
            pixels=pixels,
            pixel_step=pixel_step,
            shared=self._shared,
            apart=self._apart,
            last_lanes=neighbours - (-(-neighbours // (lanes * pixels)) - 1) * lanes * pixels,
            sizes=tuple(size for size, _ in nest),
            deltas=_deltas(nest),
            depth=depth,
            group_loop=group_loop,
            weight_loop=max(len(inner) + weighted - 1, 0),
            chunks=chunks,
            need=need,
            need_last=step_last,
            step=step if chunks > 1 else frame,
            step_last=step_last,
            first=first,
            ring_bits=max(2, (ring - 1).bit_length()),
            outputs=outputs,
            work=outputs * depth * pack,
            cycles=self.cycles(lanes, pack, pixels),
            weights=tuple(
                self._words(one, lanes, pack, 1 if self._shared else pixels, weighted)
                for one in self._constants
            ),
        )

    def _beyond(self, pixels: int, step: int) -> int:
        """Return how far the last pixel lies behind the first one of the last group."""
        if self._pixel_loop is None:
            return 0
        size = self._node.sizes[self._pixel_loop]
        return (size - 1 - (-(-size // pixels) - 1) * pixels) * step

    def _words(
        self, operand: tuple[Tensor, Access], lanes: int, pack: int, groups: int, weighted: int
    ) -> np.ndarray:
        """Return a constant operand in the order of the steps, int64[words, lanes, pack], of so
        many lanes of so many groups."""
        values = gathered(operand[0], operand[1], self._node.sizes)
        kept = self._outer[len(self._outer) - weighted :]
        order = [*kept, *self._reduced]
        index = tuple(slice(None) if loop in order else 0 for loop in range(len(self._node.sizes)))
        values = values[index]
        present = sorted(order)
        values = values.transpose([present.index(loop) for loop in order])
        depth = math.prod(self._node.sizes[loop] for loop in self._reduced) // pack
        channels = 1 if self._lane_loop is None else self._node.sizes[self._lane_loop]
        around = 1 if groups == 1 else self._node.sizes[self._pixel_loop or 0]
        values = values.reshape(-1, around, channels, depth, pack)
        filled = ((0, 0), (0, -around % groups), (0, -channels % lanes), (0, 0), (0, 0))
        values = np.pad(values, filled)
        values = values.reshape(
            len(values), values.shape[1] // groups, groups, -1, lanes, depth, pack
        )
        return values.transpose(0, 1, 3, 5, 2, 4, 6).reshape(-1, groups * lanes, pack)


def _deltas(nest: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Return what is added to the address when each loop goes on and those inside begin anew."""
    deltas, inside = [], 0
    for size, step in nest:
        deltas.append(step - inside)
        inside += (size - 1) * step
    return tuple(deltas)
