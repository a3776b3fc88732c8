# SPDX-License-Identifier: Apache-2.0
"""Train convolutional_mnist: two convolutions with pooling, two dense layers, on 28 x 28 digits.

    python examples/convolutional_mnist/train.py [OUTPUT.keras]

The default output is the file that the package ships.  The run is seeded and takes about two
minutes; its last line is the accuracy on MNIST's 10,000 test images.
"""

from __future__ import annotations

import sys
from pathlib import Path

from asnet_mlir.data import load_data
from asnet_mlir.frontends.keras import import_keras
from asnet_mlir.support.resources import data_directory

NAME = "convolutional_mnist"
EPOCHS = 8
BATCH = 128
SEED = 2021


def main(output: Path) -> None:
    keras = import_keras()
    layers = keras.layers
    keras.utils.set_random_seed(SEED)
    train, test = load_data("mnist:train"), load_data("mnist:test")
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(16, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Flatten(name="flatten"),
            layers.Dense(20, name="dense1"),
            layers.Dense(10, activation="softmax", name="dense2"),
        ],
        name=NAME,
    )
    steps = EPOCHS * -(-len(train) // BATCH)
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    model.fit(train.x, train.y, batch_size=BATCH, epochs=EPOCHS, verbose=2)
    _, accuracy = model.evaluate(test.x, test.y, verbose=0)
    model.save(output)
    print(f"test accuracy {accuracy:.4f}, written to {output}")


if __name__ == "__main__":
    shipped = data_directory() / "models" / f"{NAME}.keras"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else shipped)
