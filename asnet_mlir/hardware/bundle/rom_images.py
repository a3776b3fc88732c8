# SPDX-License-Identifier: Apache-2.0
"""Images of the ROMs that hold weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError
from asnet_mlir.network import Weight

__all__ = ["RomPart", "array_words", "rom_files", "rom_image", "rom_text"]

#: A file, its first word and how many, the lowest bit of a word that it holds and how many.
RomPart = tuple[str, int, int, int, int]


def array_words(array: np.ndarray, name: str) -> np.ndarray:
    """Return the words that hold an array in row-major order, NaNs canonical."""
    format = Weight(name, array).format
    words = format.to_words(array.reshape(-1))
    return format.canonical(words) if format.is_float else words


def rom_image(memories: list[dict[str, Any]], weights: Mapping[str, np.ndarray]) -> bytes:
    """Return the one ROM of a sequential machine: its weights and constants, one after the other.

    Args:
      memories: of the machine's summary.
      weights: arrays by name.

    Raises:
      InputError: a weight is missing or of the wrong size.
    """
    lines = []
    position = 0
    for memory in sorted((m for m in memories if m["bank"] == "rom"), key=lambda m: m["base"]):
        name = memory["name"]
        if memory["contents"] is not None:
            words = np.array(memory["contents"], np.uint32)
        elif name in weights:
            words = array_words(weights[name], name)
        else:
            raise InputError(f"no weight '{name}' was given; there are {', '.join(weights)}")
        if words.size != memory["words"]:
            raise InputError(
                f"weight '{name}' has {words.size} elements, the network wants {memory['words']}"
            )
        assert memory["base"] == position
        lines.append(f"// {_on_one_line(name)}: {words.size} words from {position}")
        lines += [f"{word:08x}" for word in words.tolist()]
        position += words.size
    return ("\n".join(lines) + "\n").encode()


def rom_text(name: str, words: Iterable[int], width: int = 32) -> bytes:
    """Return a ROM of one weight, as `$readmemh` reads it."""
    digits = width // 4
    lines = [f"// {_on_one_line(name)}", *(f"{word:0{digits}x}" for word in words)]
    return ("\n".join(lines) + "\n").encode()


def _on_one_line(name: str) -> str:
    """Return a weight's name for a comment: its layer's may hold ends of lines."""
    return "".join(c if c.isprintable() else "?" for c in name)


def rom_files(
    name: str, data: bytes, parts: Sequence[RomPart]
) -> tuple[dict[str, bytes], dict[str, dict[str, Any]]]:
    """Return the files of a ROM that may be made of several, and what the manifest says of them.

    Args:
      name: of the design, with which the files' names begin.
      data: the whole ROM, as `$readmemh` reads it.
      parts: which words and which of their bits each file of the folder `rom` holds.
    """
    files = {}
    memories = {}
    lines = [line for line in data.decode().splitlines() if not line.startswith("//")]
    for file, first, words, low, width in parts:
        path = f"rom/{file}"
        entry: dict[str, Any] = {"words": words, "width": width, "file": path}
        if len(parts) == 1:
            files[path] = data
        else:
            entry |= {"first": first, "low": low}
            mask, digits = (1 << width) - 1, (width + 3) // 4
            mine = [int(line, 16) >> low & mask for line in lines[first : first + words]]
            head = f"// words from {first}, bits {low + width - 1} to {low}\n"
            text = head + "".join(f"{value:0{digits}x}\n" for value in mine)
            files[path] = text.encode()
        memories[PurePosixPath(file).stem.removeprefix(f"{name}_")] = entry
    return files, memories
