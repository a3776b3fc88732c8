# SPDX-License-Identifier: Apache-2.0
"""Train classification_mnist, the paper's first network: one dense layer of 10 neurons, softmax.

    python examples/classification_mnist/train.py [OUTPUT.keras]

The default output is the file that the package ships.  The run is seeded; its last line is the
accuracy on MNIST's 10,000 test images.
"""

from __future__ import annotations

import sys
from pathlib import Path

from asnet_mlir.data import load_data
from asnet_mlir.frontends.keras import import_keras
from asnet_mlir.support.resources import data_directory

EPOCHS = 20
BATCH = 128
SEED = 2021


def main(output: Path) -> None:
    keras = import_keras()
    keras.utils.set_random_seed(SEED)
    train, test = (load_data(f"mnist:{part}").shaped((784,)) for part in ("train", "test"))
    model = keras.Sequential(
        [keras.Input((784,)), keras.layers.Dense(10, activation="softmax", name="dense")],
        name="classification_mnist",
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    model.fit(train.x, train.y, batch_size=BATCH, epochs=EPOCHS, verbose=2)
    _, accuracy = model.evaluate(test.x, test.y, verbose=0)
    model.save(output)
    print(f"test accuracy {accuracy:.4f}, written to {output}")


if __name__ == "__main__":
    shipped = data_directory() / "models" / "classification_mnist.keras"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else shipped)
