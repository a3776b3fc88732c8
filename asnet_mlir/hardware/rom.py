"""Images of the ROMs that hold weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from asnet_mlir.errors import InputError

__all__ = ["array_words", "rom_image", "rom_text"]

_CANONICAL_NAN = 0x7FC00000


def array_words(array: np.ndarray, name: str) -> np.ndarray:
    """Return the bits of an array in row-major order, NaNs canonical."""
    array = np.ascontiguousarray(array)
    if array.dtype == np.float32:
        bits = array.reshape(-1).view(np.uint32).copy()
        bits[np.isnan(array.reshape(-1))] = _CANONICAL_NAN
        return bits
    if array.dtype in (np.int32, np.uint32):
        return array.reshape(-1).view(np.uint32)
    raise InputError(f"weight '{name}': {array.dtype} is not supported; float32 or int32")


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
        lines.append(f"// {name}: {words.size} words from {position}")
        lines += [f"{word:08x}" for word in words.tolist()]
        position += words.size
    return ("\n".join(lines) + "\n").encode()


def rom_text(name: str, words: Iterable[int], width: int = 32) -> bytes:
    """Return a ROM of one weight, as `$readmemh` reads it."""
    digits = width // 4
    return (f"// {name}\n" + "".join(f"{word:0{digits}x}\n" for word in words)).encode()
