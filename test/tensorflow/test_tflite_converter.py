# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite files as TensorFlow's converter writes them: LiteRT's reference bits."""

import numpy as np
import pytest
import tensorflow as tf
from quantized_programs import by_xla
from tflite_files import by_litert

from asnet_mlir.frontends.tflite_layers import layer_names, program_of
from asnet_mlir.frontends.tflite_model import read_tflite

SHAPE = (12, 12, 3)


def residual():
    layers = tf.keras.layers
    x = given = layers.Input(SHAPE)
    x = layers.Conv2D(8, 3, padding="same")(x)
    x = start = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(16, 3, 2, padding="same")(x)
    x = layers.ReLU()(layers.Add()([x, layers.Conv2D(16, 1, 2)(start)]))
    x = layers.Flatten()(layers.AveragePooling2D(6)(x))
    return tf.keras.Model(given, layers.Dense(10, activation="softmax")(x))


def separable():
    layers = tf.keras.layers
    x = given = layers.Input(SHAPE)
    x = layers.Conv2D(8, 3, 2, use_bias=False)(layers.ZeroPadding2D(((0, 1), (0, 1)))(x))
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x)
    x = layers.LeakyReLU(0.2)(layers.Conv2D(16, 1)(x))
    x = layers.Concatenate()([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2)(x)])
    x = layers.Reshape((32,))(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return tf.keras.Model(given, layers.Dense(5, activation="sigmoid")(x))


def converted(model, kind):
    rng = np.random.default_rng(0)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [rng.random((1, *SHAPE), np.float32)] for _ in range(20)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if kind != np.float32:
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(kind)
    return converter.convert()


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.float32])
@pytest.mark.parametrize("make", [residual, separable])
def test_bits(make, kind):
    tf.keras.utils.set_random_seed(0)
    content = converted(make(), kind)
    rng = np.random.default_rng(1)
    x = rng.random((20, *SHAPE), np.float32)
    if kind != np.float32:
        info = np.iinfo(kind)
        x = rng.integers(info.min, info.max + 1, x.shape).astype(kind)
    model = read_tflite(content)
    expected = by_litert(content, x)
    assert len(np.unique(expected)) > 3
    np.testing.assert_array_equal(by_xla(program_of("net", model), x), expected)
    assert not any("functional" in name for name in layer_names(model))
