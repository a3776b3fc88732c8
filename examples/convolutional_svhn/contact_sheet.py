# SPDX-License-Identifier: Apache-2.0
"""Draw the first images of a data set side by side, to look at.

python examples/convolutional_svhn/contact_sheet.py OUTPUT.png [DATA]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from asnet_mlir.data import load_data

ROWS, COLUMNS = 8, 20


def main(output: Path, name: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.image

    images = load_data(f"{name}:{ROWS * COLUMNS}").x
    _, height, width, channels = images.shape
    grid = images.reshape(ROWS, COLUMNS, height, width, channels).swapaxes(1, 2)
    sheet = grid.reshape(ROWS * height, COLUMNS * width, channels)
    matplotlib.image.imsave(output, np.broadcast_to(sheet, (*sheet.shape[:2], 3)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "svhn_synthetic:test")
