# SPDX-License-Identifier: Apache-2.0
"""What training makes small."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["are_classes", "cross_entropy"]


def cross_entropy(logits: Any, classes: Any) -> Any:
    """Return the mean cross entropy, in nats.

    Args:
      logits: float32[n, classes].
      classes: int[n].
    """
    chances = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(chances, classes[:, None], axis=1).mean()


def are_classes(y: np.ndarray | None) -> bool:
    """Return whether labels are one integer a sample, none of them negative."""
    if y is None or y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        return False
    return not len(y) or int(y.min()) >= 0
