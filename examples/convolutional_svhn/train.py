# SPDX-License-Identifier: Apache-2.0
"""Train convolutional_svhn: two convolutions with pooling, two dense layers, on 32 x 32 x 3 crops.

    python examples/convolutional_svhn/train.py [OUTPUT.keras] [--svhn FOLDER]

The default output is the file that the package ships, which is trained on *synthetic* house
numbers (docs/decisions/0010-data-and-networks.md): the real SVHN may not be passed on.  With
`--svhn`, the real one is used, from the folder of its `train_32x32.mat` and `test_32x32.mat`.  The
run is seeded and takes about two minutes; its last line is the accuracy on the test images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from asnet_mlir.data import load_data
from asnet_mlir.frontends.keras import import_keras
from asnet_mlir.support.resources import data_directory

NAME = "convolutional_svhn"
EPOCHS = 20
BATCH = 128
SEED = 2021


def main(output: Path, data: str) -> None:
    keras = import_keras()
    layers = keras.layers
    keras.utils.set_random_seed(SEED)
    train, test = load_data(f"{data}:train"), load_data(f"{data}:test")
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
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
    print(f"test accuracy {accuracy:.4f} on {data}:test, written to {output}")


if __name__ == "__main__":
    shipped = data_directory() / "models" / f"{NAME}.keras"
    parser = argparse.ArgumentParser(description="train convolutional_svhn")
    parser.add_argument("output", nargs="?", type=Path, default=shipped, metavar="OUTPUT.keras")
    parser.add_argument("--svhn", metavar="FOLDER", help="of the real data set's .mat files")
    options = parser.parse_args()
    main(options.output, f"svhn:{options.svhn}" if options.svhn else "svhn_synthetic")
