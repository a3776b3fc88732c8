# SPDX-License-Identifier: Apache-2.0
"""Train resnet8_svhn: the topology of MLPerf Tiny's image classification, on 32 x 32 x 3 crops.

    python examples/resnet8_svhn/train.py [OUTPUT.keras] [--svhn FOLDER] [--epochs N]

Three residual blocks of two 3 x 3 convolutions with 16, 32 and 64 filters, batch normalization
behind each, the last two with a stride of 2 and a 1 x 1 convolution beside them (Banbury et al.,
*MLPerf Tiny Benchmark*, 2021).  The default output is the file that the package ships, which is
trained on *synthetic* house numbers (docs/decisions/0010-data-and-networks.md).  With `--svhn`, the
real SVHN is used, from the folder of its `train_32x32.mat` and `test_32x32.mat`.  The run is seeded
and takes about a quarter of an hour in one thread; its last line is the accuracy on the test
images.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from asnet_mlir.data import load_data
from asnet_mlir.frontends.keras import import_keras
from asnet_mlir.support.resources import data_directory

NAME = "resnet8_svhn"
EPOCHS = 12
BATCH = 64
RATE = 3e-3
SEED = 2021


def residual_network(keras: Any) -> Any:
    """Return the network, untrained."""
    layers = keras.layers
    image = keras.Input((32, 32, 3), name="image")

    def convolution(x: Any, filters: int, name: str, size: int = 3, strides: int = 1) -> Any:
        """Return the convolution of x; the normalization behind it has the bias."""
        return layers.Conv2D(
            filters, size, strides, "same", use_bias=size == 1, name=name,
            kernel_initializer="he_normal", kernel_regularizer=keras.regularizers.L2(1e-4),
        )(x)  # fmt: skip

    def normalized(x: Any, name: str) -> Any:
        return layers.BatchNormalization(momentum=0.9, name=name)(x)

    x = normalized(convolution(image, 16, "conv"), "norm")
    x = layers.ReLU(name="relu")(x)
    for number, filters in enumerate((16, 32, 64), 1):
        strides, name = 1 if number == 1 else 2, f"block{number}"
        y = normalized(convolution(x, filters, f"{name}_conv1", 3, strides), f"{name}_norm1")
        y = layers.ReLU(name=f"{name}_relu1")(y)
        y = normalized(convolution(y, filters, f"{name}_conv2"), f"{name}_norm2")
        if strides != 1:
            x = convolution(x, filters, f"{name}_shortcut", 1, strides)
        x = layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([x, y]))
    x = layers.Flatten(name="flatten")(layers.AveragePooling2D(8, name="pool")(x))
    return keras.Model(image, layers.Dense(10, activation="softmax", name="dense")(x), name=NAME)


def main(output: Path, data: str, epochs: int) -> None:
    keras = import_keras()
    keras.utils.set_random_seed(SEED)
    train, test = load_data(f"{data}:train"), load_data(f"{data}:test")
    model = residual_network(keras)
    steps = epochs * -(-len(train) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(
        RATE / 10, steps, warmup_target=RATE, warmup_steps=steps // 10
    )
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    model.fit(train.x, train.y, batch_size=BATCH, epochs=epochs, verbose=2)
    _, accuracy = model.evaluate(test.x, test.y, verbose=0)
    trained = residual_network(keras)  # without the optimizer's state
    trained.set_weights(model.get_weights())
    trained.save(output)
    print(f"test accuracy {accuracy:.4f} on {data}:test, written to {output}")


if __name__ == "__main__":
    shipped = data_directory() / "models" / f"{NAME}.keras"
    parser = argparse.ArgumentParser(description="train resnet8_svhn")
    parser.add_argument("output", nargs="?", type=Path, default=shipped, metavar="OUTPUT.keras")
    parser.add_argument("--svhn", metavar="FOLDER", help="of the real data set's .mat files")
    parser.add_argument("--epochs", type=int, default=EPOCHS, metavar="N")
    options = parser.parse_args()
    data = f"svhn:{options.svhn}" if options.svhn else "svhn_synthetic"
    main(options.output, data, options.epochs)
